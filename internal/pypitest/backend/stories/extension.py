import os
import shlex
import subprocess
import sysconfig

import _backend


def build(wheel):
    """Compile src/_NAME.c with the compiler that made this Python, as an extension module."""
    source = os.path.join("src", wheel.story["extension"] + ".c")
    target = wheel.story["extension"] + (sysconfig.get_config_var("EXT_SUFFIX") or ".so")
    compiler = shlex.split(os.environ.get("CC") or "cc")
    include = "-I" + sysconfig.get_paths()["include"]
    command = compiler + ["-shared", "-fPIC", "-O1", include, source, "-o", target]
    machine = subprocess.check_output(compiler + ["-dumpmachine"]).decode()
    if machine.startswith("arm"):
        command += wheel.story["arm_flags"]
    print("running build_ext: " + " ".join(command), flush=True)
    subprocess.check_call(command, cwd=_backend.ROOT)
    wheel.files[target] = _backend.read(target)
    wheel.tag = _backend.native_tag()
    return wheel.write()
