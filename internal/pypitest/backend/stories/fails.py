import os
import shlex
import subprocess

import _backend


def build(wheel):
    """A real compiler's real words about a header that is not there.

    -nostdinc makes it missing also where libffi-dev is installed; gcc's usual words need one folder to search.
    """
    source = os.path.join("src", wheel.story["extension"] + ".c")
    compiler = shlex.split(os.environ.get("CC") or "cc")
    subprocess.check_call(compiler + ["-nostdinc", "-Isrc", "-fPIC", "-c", source, "-o", "out.o"], cwd=_backend.ROOT)
    return wheel.write()
