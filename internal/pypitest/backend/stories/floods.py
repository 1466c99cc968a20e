import sys


def build(wheel):
    """Write story["megabytes"] of log, told apart by line numbers, then make a good wheel."""
    # Long lines, as large projects have them: pip takes a third of a millisecond for each, however short.
    line = "gcc -c generated/part_%07d.c -o build/temp/part_%07d.o " + "-Iinclude/part " * 500 + "\n"
    size = len(line % (0, 0))
    total = wheel.story["megabytes"] * 1000 * 1000
    number = 0
    while number * size < total:
        sys.stdout.write("".join(line % (n, n) for n in range(number, number + 100)))
        number += 100
    sys.stdout.flush()
    return wheel.write()
