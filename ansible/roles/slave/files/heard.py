"""On the master's machine: waits until the farm has heard a slave since a moment.

heard.py NAME SINCE SECONDS: exit status 0 if it was heard since then (seconds since 1970), 1 if not.
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
late = time.monotonic() + within
while True:
    listed = subprocess.run(
        ["runuser", "--user=pinwheel", "--", "pinwheel-master", "slaves", "list", "--json", "--config", "/etc/pinwheel/master.toml"],
        stdout=subprocess.PIPE, check=True, cwd="/")
    for slave in json.loads(listed.stdout)["slaves"]:
        if slave["name"] == name and moment(slave["last_seen"]) >= since:
            sys.exit(0)
    if time.monotonic() > late:
        sys.exit(1)
    time.sleep(1)
