# Runs a command and, when it ends or SIGTERM comes, ends every process that
# came of it: as their subreaper it is the parent of all orphans, so daemons
# that detached themselves are found too. Exits as the command did.
import ctypes, os, resource, signal, sys, time

PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER = 38, 36
PER_LINUX32 = 8
PATIENCE = 10  # seconds for killed processes to go


class Stop(Exception):
    pass


def stop(signum, frame):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stop


def kin():
    """The process numbers of all descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name, "rb") as f:
                parent = int(f.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
        children.setdefault(parent, []).append(int(name))
    found, todo = [], [os.getpid()]
    while todo:
        for child in children.get(todo.pop(), ()):
            found.append(child)
            todo.append(child)
    return found


def end_all():
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        # Stopped first, so that none starts another while the rest is killed.
        for sig in (signal.SIGSTOP, signal.SIGKILL):
            for pid in kin():
                try:
                    os.kill(pid, sig)
                except OSError:
                    pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def bind(bounds):
    """Sets limits, "7:4096,4:0" by the kernel's numbers; what is there stays if it is less."""
    for bound in bounds.split(","):
        which, most = map(int, bound.split(":"))
        there = resource.getrlimit(which)[1]
        if there != resource.RLIM_INFINITY:
            most = min(most, there)
        resource.setrlimit(which, (most, most))
    try:
        with open("/proc/self/oom_score_adj", "w") as f:
            f.write("1000")  # ends first when the machine is short of memory; not its supervisor
    except OSError:
        pass


def main(bounds, argv):
    libc = ctypes.CDLL(None)
    prctl = libc.prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    status = signal.SIGKILL
    try:
        signal.signal(signal.SIGTERM, stop)
        first = os.fork()
        if first == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            bind(bounds)
            if "_PYTHON_HOST_PLATFORM" in os.environ:  # as seem32 in persona.go
                libc.personality(PER_LINUX32)
            os.execv(argv[0], argv)
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == first:
                break
    except Stop:
        pass
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_all()
    os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


main(sys.argv[1], sys.argv[2:])
