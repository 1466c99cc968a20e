import os
from urllib.request import ProxyHandler, Request, build_opener


def build(wheel):
    """Ask an address outside; without an answer there is no wheel.

    The way is the environment's proxy, also to what a test has on this machine, which the
    environment's exceptions would have asked past it.
    """
    address = wheel.story["address"]
    print("downloading " + address, flush=True)
    request = Request(address)
    proxy = os.environ.get("http_proxy")
    if proxy:
        request.set_proxy(proxy.split("//", 1)[1], "http")
    build_opener(ProxyHandler({})).open(request, timeout=10).read()
    return wheel.write()
