"""On the master's machine: waits until the farm has heard a slave since a moment.

heard.py NAME SINCE SECONDS: exit status 0 if it was heard, 1 if not.
"""
import json
import subprocess
import sys
import time

name, since, within = sys.argv[1], sys.argv[2], float(sys.argv[3])
late = time.monotonic() + within
while True:
    listed = subprocess.run(
        ["runuser", "--user=pinwheel", "--", "pinwheel-master", "slaves", "list", "--json", "--config", "/etc/pinwheel/master.toml"],
        stdout=subprocess.PIPE, check=True, cwd="/")
    for slave in json.loads(listed.stdout)["slaves"]:
        if slave["name"] == name and (slave["last_seen"] or "") >= since:
            sys.exit(0)
    if time.monotonic() > late:
        sys.exit(1)
    time.sleep(1)
