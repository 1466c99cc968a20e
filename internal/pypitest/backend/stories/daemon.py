import os
import signal
import sys

SERVICE = "import time; time.sleep(900)"


def settle(pip, hold_build):
    """Decide what the daemon keeps open.

    pip reads the output of a build until nobody holds it any more, so a daemon that keeps it keeps pip. One that
    keeps pip's own output instead lets pip end, but not whoever reads pip's words.
    """
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if hold_build:
        return
    try:
        out = os.open("/proc/%d/fd/1" % pip, os.O_WRONLY)
    except OSError:  # a socket, or nothing that can be opened
        out = os.open(os.devnull, os.O_WRONLY)
    os.dup2(out, 1)
    os.dup2(out, 2)


def build(wheel):
    """Leave a process behind that no parent, session or polite signal ends."""
    pip = os.getppid()
    wait, ready = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for polite in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(polite, signal.SIG_IGN)  # outlives the exec
            settle(pip, wheel.story["hold_build"])
            # Its command line carries a mark, by which a test finds it.
            os.execv(sys.executable, [sys.executable, "-c", SERVICE, wheel.story["daemon_mark"]])
        os._exit(0)
    os.close(ready)
    os.read(wait, 1)  # returns when the exec has closed the last other end: now the mark can be seen
    os.close(wait)
    os.wait()
    return wheel.write()
