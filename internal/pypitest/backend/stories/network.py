from urllib.request import urlopen


def build(wheel):
    """Ask an address outside; without an answer there is no wheel."""
    address = wheel.story["address"]
    print("downloading " + address, flush=True)
    urlopen(address, timeout=10).read()
    return wheel.write()
