# Imports the modules of one installed distribution, named by the only argument,
# and writes to descriptor 3 as JSON which it imported and which it could not.
import importlib, importlib.machinery, importlib.metadata, json, os, sys

ASIDE = {"test", "tests", "testing", "doc", "docs", "example", "examples", "setup",
         "conftest", "benchmark", "benchmarks", "scripts"}
BINARY = tuple(importlib.machinery.EXTENSION_SUFFIXES)


def module(name):
    """The name of the module in a file, or None."""
    for suffix in (".py",) + BINARY:
        if name.endswith(suffix):
            return name[:-len(suffix)]
    return None


def tops(files):
    """Top-level packages and modules; inside a namespace its first ones."""
    packages, single, spaced = set(), set(), set()
    for f in files:
        parts = f.parts
        if ".." in parts or parts[0].endswith((".dist-info", ".data")) or "__pycache__" in parts:
            continue
        name = module(parts[-1])
        if not name or not all(p.isidentifier() for p in parts[:-1] + (name,)):
            continue
        if name == "__init__":
            packages.add(parts[:-1])
        elif len(parts) == 1:
            single.add((name,))
        else:
            spaced.add(parts[:-1] + (name,))
    first = {p for p in packages if p and not any(p[:n] in packages for n in range(1, len(p)))}
    return sorted(first | single or spaced)


def main(dist):
    names = [".".join(p) for p in tops(importlib.metadata.distribution(dist).files or [])]
    names = [n for n in names if n.split(".")[0] not in ASIDE] or names
    done, failed = [], {}
    for name in names:
        try:
            importlib.import_module(name)
            done.append(name)
        except BaseException as e:
            failed[name] = "%s: %s" % (type(e).__name__, e)
    with os.fdopen(3, "w") as out:
        json.dump({"imported": done, "failed": failed}, out)


main(sys.argv[1])
