"""Prints which files of a service are newer than its process: stale.py UNIT SECONDS FILE...

So a play knows that a restart is due, also one that was cut off before it. Nothing is printed of a
service that does not run, nor of files that are newer by less than SECONDS: on a network root their times
are another machine's. The program itself needs no clock: the kernel knows whether it was replaced.
"""
import os
import re
import subprocess
import sys
import time

unit, within, files = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
shown = subprocess.run(["systemctl", "show", "--property=MainPID", unit], stdout=subprocess.PIPE, check=True)
pid = re.search(r"MainPID=(\d+)", shown.stdout.decode())[1]
try:
    with open("/proc/%s/stat" % pid) as f:
        ticks = int(f.read().rpartition(")")[2].split()[19])
    runs = os.readlink("/proc/%s/exe" % pid)
except OSError:  # it does not run, or has just ended
    sys.exit(0)
# By its age, of the clock that the kernel counts it by: as a time of day its start is wrong if
# the clock has been set since, and a container's /proc/uptime counts from another moment.
began = time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
for path in files:
    if not os.path.exists(path):
        continue
    # What was replaced has lost its name; NFS keeps it under one of its own.
    real = os.path.realpath(path)
    replaced = runs == real + " (deleted)" or runs.startswith(os.path.join(os.path.dirname(real), ".nfs"))
    if replaced or os.stat(path).st_ctime > began + within:
        print(path)
