#!/usr/bin/env python3
"""The Pis that Mythic Beasts host, as an Ansible inventory: -i inventory/hostedpi.py

It only reads: it logs in, lists the servers, and asks for each; it never orders, cancels or
reboots one. Python's own library is all that it needs.

  HOSTEDPI_ID, HOSTEDPI_SECRET  the API key; never written, and in no message
  HOSTEDPI_VIA                  ipv6 (default): the Pi's own address, port 22
                                ipv4: ssh.NAME.hostedpi.com, at the port that the Pi has there
  HOSTEDPI_ONLY                 which Pis of the account are of the farm, by name: pi-*,spare-1; all
                                of them by default
  HOSTEDPI_TIMEOUT              seconds for one question, 10 by default; four minutes for all
  HOSTEDPI_AUTH, HOSTEDPI_API   base URLs, for a test

Every live Pi is in the group slaves and in one by its model, pi_3 or pi_4. One that is still
being made is named on stderr and left out. If anything cannot be asked the exit status is 1 and
stdout is empty: a part of an inventory would pass for all of it.
"""

import base64
import concurrent.futures
import fnmatch
import http.client
import ipaddress
import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

AUTH = "https://auth.mythic-beasts.com"
API = "https://api.mythic-beasts.com/beta/pi"
ALL = 240.0  # seconds for the whole inventory
TRIES = 4  # of a question that was answered with 429 or 5xx, or not at all
LARGEST = 8 << 20  # bytes of an answer
PAGES = 1000
AT_ONCE = 4
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")


class Trouble(Exception):
    """What is said in one line before the end."""


class Gone(Exception):
    """The server says 404."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token goes to the host that it is for, and to no other."""

    def redirect_request(self, *_):
        return None


class Client:
    def __init__(self, environ):
        self.key = environ.get("HOSTEDPI_ID", ""), environ.get("HOSTEDPI_SECRET", "")
        if not all(self.key):
            raise Trouble("HOSTEDPI_ID and HOSTEDPI_SECRET are not both set: they are the API key's")
        try:
            self.timeout = float(environ.get("HOSTEDPI_TIMEOUT") or 10)
        except ValueError:
            self.timeout = 0.0
        if not 0 < self.timeout <= ALL:
            raise Trouble("HOSTEDPI_TIMEOUT wants seconds, more than 0 and up to %d" % ALL)
        self.auth = (environ.get("HOSTEDPI_AUTH") or AUTH).rstrip("/")
        self.api = (environ.get("HOSTEDPI_API") or API).rstrip("/")
        self.end = time.monotonic() + ALL
        self.opener = urllib.request.build_opener(NoRedirect)
        self.token = ""

    def login(self):
        basic = base64.b64encode(":".join(self.key).encode()).decode()
        request = urllib.request.Request(self.auth + "/login", b"grant_type=client_credentials", {
            "Authorization": "Basic " + basic, "Content-Type": "application/x-www-form-urlencoded"})
        answer, _ = self.ask(request)
        self.token = answer.get("access_token")
        if not isinstance(self.token, str) or not self.token:
            raise Trouble("%s: the answer has no access_token" % request.full_url)

    def get(self, url):
        return self.ask(urllib.request.Request(url, headers={"Authorization": "Bearer " + self.token, "Accept": "application/json"}))

    def ask(self, request):
        """Returns the answer and its headers; asks again what may be answered next time."""
        for attempt in range(TRIES):
            pause = 0.5 * 2**attempt
            try:
                left = min(self.timeout, self.end - time.monotonic())
                if left <= 0:
                    raise Trouble("%s: not answered within %d s, which all questions together may take" % (request.full_url, ALL))
                with self.opener.open(request, timeout=left) as response:
                    return self.read(request, response, time.monotonic() + left)
            except urllib.error.HTTPError as e:
                why = "%d %s%s" % (e.code, e.reason, words(e))
                if e.code == 404:
                    raise Gone(request.full_url) from None
                if e.code != 429 and e.code < 500:
                    raise Trouble("%s: %s" % (request.full_url, why)) from None
                pause = max(pause, retry_after(e.headers))
            except (OSError, http.client.HTTPException) as e:
                why = str(getattr(e, "reason", e)) or type(e).__name__
            if attempt + 1 < TRIES:
                time.sleep(max(0.0, min(pause, self.end - time.monotonic())))
        raise Trouble("%s: %s, %d times" % (request.full_url, why, TRIES))

    def read(self, request, response, late):
        """A timeout of a socket is for each piece: one that drips is ended here."""
        pieces, size = [], 0
        while piece := response.read1(64 << 10):
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST:
                raise Trouble("%s: the answer is larger than %d bytes" % (request.full_url, LARGEST))
            if time.monotonic() > late:
                raise TimeoutError("timed out")
        if response.length:
            raise http.client.IncompleteRead(b"".join(pieces), response.length)
        try:
            answer = json.loads(b"".join(pieces))
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Trouble("%s: the answer is not a JSON object" % request.full_url)
        return answer, response.headers

    def names(self):
        """All names, through all pages (RFC 8288), each asked for once and of this API only."""
        found, url, seen = [], self.api + "/servers", set()
        while url:
            if url in seen or len(seen) >= PAGES:
                raise Trouble("%s: its pages have no end" % self.api)
            seen.add(url)
            try:
                answer, headers = self.get(url)
            except Gone:
                raise Trouble("%s: 404, this is not the API" % url) from None
            servers = answer.get("servers")
            if not isinstance(servers, (dict, list)) or servers and not isinstance(servers, dict):
                raise Trouble("%s: the answer has no servers" % url)
            found += servers
            url = next_page(url, headers)
            if url and urllib.parse.urlsplit(url)[:2] != urllib.parse.urlsplit(self.api)[:2]:
                raise Trouble("%s: the next page is on another host: %s" % (self.api, url))
        return sorted(set(found))

    def server(self, name):
        try:
            return self.get("%s/servers/%s" % (self.api, name))[0]
        except Gone:  # cancelled since the list was made
            return {}


def words(error):
    """The API's own words, if it has any, in one line."""
    try:
        said = json.loads(error.read(64 << 10)).get("error")
    except (OSError, ValueError, AttributeError, http.client.HTTPException):
        return ""
    return ": " + " ".join(said.split())[:200] if isinstance(said, str) else ""


def retry_after(headers):
    value = headers.get("Retry-After", "")
    return min(float(value), 30.0) if value.isdigit() else 0.0


def next_page(url, headers):
    for value in headers.get_all("Link") or []:
        for target, params in re.findall(r"<([^>]*)>([^,]*)", value):
            if re.search(r';\s*rel="?next"?\s*(;|$)', params):
                return urllib.parse.urljoin(url, target)
    return ""


def reach(name, server, via):
    """How Ansible reaches it; None as long as it cannot be reached so."""
    if via == "ipv4":
        port = server.get("ssh_port")
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            return None
        return {"ansible_host": "ssh.%s.hostedpi.com" % name, "ansible_port": port}
    try:
        return {"ansible_host": str(ipaddress.IPv6Address(server.get("ip"))), "ansible_port": 22}
    except ValueError:
        return None


def inventory(servers, via):
    out = {"_meta": {"hostvars": {}}, "slaves": {"hosts": []}}
    for name, server in servers:
        status = server.get("status") or "gone"
        how = reach(name, server, via)
        if not NAME.match(name):
            say("%r is left out: that is no name for a slave" % name)
        elif status != "live":
            say("%s is left out: it is %s" % (name, status))
        elif not how:
            say("%s is left out: the API tells no way to it by %s" % (name, via))
        else:
            model = str(server.get("model") or "")
            out["_meta"]["hostvars"][name] = {
                **how, "ansible_user": "root", "hostedpi_model": server.get("model_full") or model,
                "hostedpi_memory_mb": server.get("memory"), "hostedpi_disk_gb": server.get("disk_size"),
                "hostedpi_location": server.get("location")}
            out["slaves"]["hosts"].append(name)
            if re.fullmatch(r"[0-9]{1,2}", model):
                out.setdefault("pi_" + model, {"hosts": []})["hosts"].append(name)
    return out


def chosen(names, patterns):
    """Those of the farm. A pattern that none has is a mistake, and half a farm is none."""
    known = {p: fnmatch.filter(names, p) for p in patterns.replace(",", " ").split()}
    if not known:
        raise Trouble("HOSTEDPI_ONLY names no Pi")
    for pattern, found in known.items():
        if not found and pattern != "*":
            raise Trouble("HOSTEDPI_ONLY: the account has no Pi %s" % pattern)
    return sorted(set().union(*known.values()))


def say(line):
    print("hostedpi: " + line, file=sys.stderr)


def main(args):
    if args[:1] == ["--host"]:
        print("{}")  # all variables are in the list
        return 0
    if args not in ([], ["--list"]):
        say("use: hostedpi.py --list")
        return 2
    via = os.environ.get("HOSTEDPI_VIA") or "ipv6"
    try:
        if via not in ("ipv4", "ipv6"):
            raise Trouble("HOSTEDPI_VIA is ipv4 or ipv6")
        client = Client(os.environ)
        try:
            client.login()
        except Gone as e:
            raise Trouble("%s: 404, this is not the API" % e) from None
        names = chosen(client.names(), os.environ.get("HOSTEDPI_ONLY") or "*")
        known = [n for n in names if NAME.match(n)]
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            told = dict(zip(known, pool.map(client.server, known)))
        out = inventory([(n, told.get(n, {})) for n in names], via)
    except Trouble as e:
        say(str(e))
        return 1
    json.dump(out, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
