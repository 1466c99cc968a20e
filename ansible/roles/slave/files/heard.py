"""On the master's machine: waits until the farm has heard a slave since a moment, of a version.

heard.py NAME SINCE SECONDS [VERSION]: exit status 0 if it was heard since then (seconds since
1970), 1 if not, and what the master knows of it instead.
"""
import datetime
import json
import re
import subprocess
import sys
import time


def moment(text):
    """A time as JSON has it, in whatever zone, as seconds since 1970; a slave that was never heard was so in 1970."""
    if not text:
        return 0
    return datetime.datetime.strptime(re.sub(r"\.\d+", "", text), "%Y-%m-%dT%H:%M:%S%z").timestamp()


name, since, within = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
version = "".join(sys.argv[4:])
late = time.monotonic() + within
while True:
    listed = subprocess.run(
        ["runuser", "--user=pinwheel", "--", "pinwheel-master", "slaves", "list", "--json", "--config", "/etc/pinwheel/master.toml"],
        stdout=subprocess.PIPE, check=True, cwd="/")
    known = [s for s in json.loads(listed.stdout)["slaves"] if s["name"] == name] or [{}]
    slave = known[0]
    heard = moment(slave.get("last_seen"))
    if heard >= since and version in ("", slave.get("version", version)):
        sys.exit(0)
    if time.monotonic() > late:
        break
    time.sleep(1)
if heard >= since:
    print("the master hears version %s of it, and %s is installed" % (slave["version"] or "none", version))
elif slave.get("revoked", True):
    print("its credentials were ended" if slave else "the master has not enrolled it")
else:
    print("the master does not hear it")
sys.exit(1)
