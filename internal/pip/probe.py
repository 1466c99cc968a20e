# Prints what this interpreter is, as JSON. Runs on any Python 3.
import json, os, platform, struct, sys, sysconfig


def abi():
    soabi = sysconfig.get_config_var("SOABI") or ""
    if sys.implementation.name != "cpython" or not soabi.startswith("cpython-"):
        return ""
    return "cp" + soabi.split("-")[1]


def machine():
    name = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    if struct.calcsize("P") == 4:
        # A 32-bit Python below a 64-bit kernel: wheels are named so, too.
        small = {"linux_x86_64": "linux_i686", "linux_aarch64": "linux_armv7l"}
        name = small.get(name, name)
    return name


def release():
    found = {}
    try:
        for line in open("/etc/os-release", encoding="utf-8"):
            key, _, value = line.strip().partition("=")
            found[key] = value.strip("\"'")
    except OSError:
        pass
    return found


def have(name):
    try:
        return __import__(name)
    except ImportError:
        return None


def prefixes():
    real = os.path.realpath(sys.executable)
    found = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    found.add(os.path.dirname(os.path.dirname(real)))
    return sorted(found)


try:
    glibc = os.confstr("CS_GNU_LIBC_VERSION").partition(" ")[2]
except (ValueError, OSError, AttributeError):
    glibc = ""
pip = have("pip")
print(json.dumps({
    "path": sys.executable,
    "version": platform.python_version(),
    "pip": getattr(pip, "__version__", ""),
    "venv": bool(have("venv") and have("ensurepip")),
    "abi": abi(),
    "platform": machine(),
    "glibc": glibc,
    "codename": release().get("VERSION_CODENAME", ""),
    "os": release().get("PRETTY_NAME", ""),
    "prefixes": prefixes(),
    "include": sysconfig.get_path("include") or "",
    "cc": (sysconfig.get_config_var("CC") or "cc").split()[0],
}))
