# Unpacks the wheel named by the first argument into the folder named by the second,
# as an installation would, imports its top-level modules, each in a process of its
# own, within so many seconds as the third says, and writes what came of it as the
# last line: {"modules": [...], "findings": [{"code", "severity", "entry", "message"}]}.
# It is run by the Python of the target, which may be 2.7.
from __future__ import print_function
import json, os, re, select, shutil, signal, site, sys, tempfile, time, zipfile

try:
    from importlib import import_module
    from importlib.machinery import EXTENSION_SUFFIXES as BINARY
except ImportError:  # 2.7
    import imp
    BINARY = [s for s, _, kind in imp.get_suffixes() if kind == imp.C_EXTENSION]

ASIDE = {"test", "tests", "testing", "doc", "docs", "example", "examples", "setup",
         "conftest", "benchmark", "benchmarks", "scripts"}
# What Pythons before this one had: no other project brings it.
REMOVED = set("""asynchat asyncore imp distutils smtpd cgi cgitb crypt pipes telnetlib nntplib imghdr sndhdr
    uu xdrlib audioop aifc chunk msilib nis ossaudiodev spwd sunau mailcap lib2to3 binhex parser symbol formatter
    ConfigParser urllib2 urlparse StringIO cStringIO Queue cPickle commands httplib __builtin__ Tkinter copy_reg
    exceptions thread HTMLParser cookielib xmlrpclib SocketServer BaseHTTPServer UserDict""".split())
MOST = 40  # modules that are tried


def unpack(wheel, to):
    """Every entry's place in the folder of modules; the others are not needed here."""
    names = []
    with zipfile.ZipFile(wheel) as z:
        for entry in z.infolist():
            parts = entry.filename.split("/")
            if parts[0].endswith(".data"):
                parts = parts[2:] if len(parts) > 2 and parts[1] in ("purelib", "platlib") else []
            if not parts or not parts[-1] or parts[0] == "" or ".." in parts:
                continue
            path = os.path.join(to, *parts)
            if not os.path.isdir(os.path.dirname(path)):
                os.makedirs(os.path.dirname(path))
            with z.open(entry) as source, open(path, "wb") as target:
                shutil.copyfileobj(source, target)
            names.append(parts)
    return names


def module(name):
    for suffix in [".py"] + list(BINARY):
        if name.endswith(suffix):
            return name[:-len(suffix)]


def tops(files):
    """Top-level packages and modules; inside a namespace its first ones."""
    packages, single, spaced = set(), set(), set()
    for parts in files:
        name = module(parts[-1])
        inside = tuple(parts[:-1])
        if not name or not all(re.match(r"[A-Za-z_]\w*$", p) for p in inside + (name,)):
            continue
        if name == "__init__":
            packages.add(inside)
        elif not inside:
            single.add((name,))
        else:
            spaced.add(inside + (name,))
    first = set(p for p in packages if p and not any(p[:n] in packages for n in range(1, len(p))))
    names = [".".join(p) for p in sorted(first | single or spaced)]
    return [n for n in names if n.split(".")[0] not in ASIDE] or names


def missing(e):
    """The module that was not found, if that is what happened."""
    if isinstance(e, ImportError):
        m = re.match(r"No module named '?([\w.]+)'?", str(e))
        return m and m.group(1)


def told(e, own):
    """Code, severity and words of what an import raised."""
    text = "%s: %s" % (type(e).__name__, e)
    if isinstance(text, bytes):  # 2.7
        text = text.decode("utf-8", "replace")
    library = re.search(r"(\S+): cannot open shared object file", text)
    if library:
        return "import-missing-library", "warning", "needs the library " + library.group(1)
    if "undefined symbol" in text:
        return "import-undefined-symbol", "warning", text
    if not isinstance(e, (SyntaxError, NameError, TypeError, AttributeError)):
        x, seen = e, 0
        while x is not None and seen < 10:
            name = missing(x)
            if name and name.split(".")[0] in REMOVED:
                return "import-failed", "warning", "needs the module %s, which this Python does not have" % name
            if name and name.split(".")[0] not in own:
                return "import-needs", "info", "needs the module %s, which another project brings" % name
            x, seen = getattr(x, "__cause__", None) or getattr(x, "__context__", None), seen + 1
    return "import-failed", "warning", text


def child(name, own, answer):
    os.setsid()
    output = os.open(os.devnull, os.O_RDWR)
    for fd in 0, 1, 2:
        os.dup2(output, fd)
    said = None
    try:
        import_module(name) if sys.version_info[0] > 2 else __import__(name)
    except BaseException as e:
        try:
            said = told(e, own)
        except BaseException as odd:  # an exception that cannot be printed
            said = "import-failed", "warning", type(odd).__name__
    os.write(answer, json.dumps([said]).encode()[:4000])
    os._exit(0)


def attempt(name, own, seconds):
    """None if it can be imported, else what is to be said."""
    hear, answer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(hear)
            child(name, own, answer)
        finally:
            os._exit(1)
    os.close(answer)
    ready = select.select([hear], [], [], seconds)[0]
    said = os.read(hear, 4096) if ready else b""
    os.close(hear)
    if not said and ready:  # it ends by itself
        time.sleep(0.05)
    try:
        os.kill(-pid, signal.SIGKILL)
    except OSError:
        pass
    status = os.waitpid(pid, 0)[1]
    if not ready:
        return "import-timeout", "warning", "not done after %d seconds" % seconds
    try:
        return json.loads(said.decode())[0]
    except ValueError:
        pass
    if os.WIFSIGNALED(status):
        return "import-crashed", "warning", "ended by signal %d" % os.WTERMSIG(status)
    return "import-crashed", "warning", "ended the process"


def main(wheel, to, budget):
    end = time.time() + budget
    names = tops(unpack(wheel, to))
    for set_up in "setquit", "setcopyright", "sethelper":  # as Python does that is started without -S
        getattr(site, set_up, lambda: None)()
    sys.path[:] = [to] + [p for p in sys.path if p]
    site.addsitedir(to)  # for its .pth files
    own = set(n.split(".")[0] for n in names)
    done, findings = [], []
    for i, name in enumerate(names):
        left = end - time.time()
        if i == MOST or left < 1:
            findings.append(["import-not-tried", "info", "", "%d modules more were not tried" % (len(names) - i)])
            break
        said = attempt(name, own, min(left, budget / 2.0))
        if said:
            findings.append([said[0], said[1], name, said[2]])
        else:
            done.append(name)
    print()
    print(json.dumps({"modules": done, "findings": [dict(zip(("code", "severity", "entry", "message"), f)) for f in findings]}))


main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
