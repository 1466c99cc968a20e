import sys


def build(wheel):
    """Write story["megabytes"] of log, told apart by line numbers, then make a good wheel."""
    line = "gcc -O2 -Wall -c generated/part_%07d.c -o build/temp/generated/part_%07d.o  # 100 columns of log" + "\n"
    size = len(line % (0, 0))
    total = wheel.story["megabytes"] * 1000 * 1000
    number = 0
    while number * size < total:
        sys.stdout.write("".join(line % (n, n) for n in range(number, number + 1000)))
        number += 1000
    sys.stdout.flush()
    return wheel.write()
