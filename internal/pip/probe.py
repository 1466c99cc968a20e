# Prints what this interpreter is, as JSON, on its last line. Runs on Python 2.7 and
# every Python 3.
import io, json, os, platform, struct, sys, sysconfig


def abi():
    if platform.python_implementation() != "CPython":
        return ""
    soabi = sysconfig.get_config_var("SOABI") or ""
    if soabi.startswith("cpython-"):
        return "cp" + soabi.split("-")[1]
    if sys.version_info[0] > 2:
        return ""
    # Python 2 has no SOABI: pip puts the tag together from how it was configured.
    tag = "cp%d%d" % sys.version_info[:2]
    if hasattr(sys, "gettotalrefcount"):
        tag += "d"
    if sysconfig.get_config_var("WITH_PYMALLOC") in (None, 1):
        tag += "m"
    if sys.maxunicode == 0x10FFFF:
        tag += "u"
    return tag


def release():
    found = {}
    try:
        for line in io.open("/etc/os-release", encoding="utf-8"):
            key, _, value = line.strip().partition("=")
            found[key] = value.strip("\"'")
    except (OSError, IOError):
        pass
    return found


def have(name):
    try:
        return __import__(name)
    except ImportError:
        return None


def there(name):
    """Whether a package can be imported, without doing so: it may change others."""
    try:
        from importlib.util import find_spec
    except ImportError:
        import imp

        try:
            return bool(imp.find_module(name))
        except ImportError:
            return False
    return find_spec(name) is not None


def prefixes():
    real = os.path.realpath(sys.executable)
    found = {sys.prefix, sys.exec_prefix, os.path.dirname(os.path.dirname(real))}
    for name in ("base_prefix", "base_exec_prefix"):
        found.add(getattr(sys, name, sys.prefix))
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
    "wheel": there("setuptools") and there("wheel"),
    "abi": abi(),
    "machine": sysconfig.get_platform().replace("-", "_").replace(".", "_"),
    "bits": 8 * struct.calcsize("P"),
    "glibc": glibc,
    "codename": release().get("VERSION_CODENAME", ""),
    "os": release().get("PRETTY_NAME", ""),
    "prefixes": prefixes(),
    "include": sysconfig.get_path("include") or "",
    "cc": (sysconfig.get_config_var("CC") or "cc").split()[0],
}))
