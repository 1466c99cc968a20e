"""What ansible's Python on the test's machines begins with: code of the modules, which come as
source in a zip with each task, is compiled once for a machine and kept by what it was made
from. Else that is a third of all that the test computes."""

import marshal
import os
import zipimport
from _blake2 import blake2b

KEPT = "/run/compiled"


def compile_once(path, source, really=zipimport._compile_source):
    kept = os.path.join(KEPT, blake2b(source, digest_size=16).hexdigest())
    try:
        with open(kept, "rb") as f:
            return marshal.load(f)
    except (OSError, EOFError, ValueError):
        code = really(path, source)
    os.makedirs(KEPT, mode=0o700, exist_ok=True)
    with open("%s.%d" % (kept, os.getpid()), "wb") as f:
        marshal.dump(code, f)
    os.rename(f.name, kept)
    return code


os.environ.pop("PYTHONPATH", None)  # it is not for whom the module starts
zipimport._compile_source = compile_once
