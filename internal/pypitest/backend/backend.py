"""A PEP 517 build backend that lives inside its own sdist and needs nothing but Python.

story.json says what to build; _story.py says what happens while building it.
"""
import base64
import hashlib
import json
import os
import sys
import sysconfig
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def read(*path):
    with open(os.path.join(ROOT, *path), "rb") as f:
        return f.read()


def digest(data):
    raw = hashlib.sha256(data).digest()
    return "sha256=" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def native_tag():
    """The tag of a wheel for exactly this interpreter on this platform (PEP 425)."""
    python = "cp%d%d" % sys.version_info[:2]
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return "%s-%s%s-%s" % (python, python, getattr(sys, "abiflags", ""), platform)


class Wheel:
    """A wheel in the making: the modules under src/, and what a story adds."""

    def __init__(self, directory):
        self.story = json.loads(read("story.json").decode())
        self.directory = directory
        self.name = self.story["name"]
        self.version = self.story["version"]
        self.tag = "py3-none-any"
        self.false_hash = None
        self.files = {}
        for path in self.story["modules"]:
            self.files[path] = read("src", *path.split("/"))

    def info(self):
        return "%s-%s.dist-info" % (self.name, self.version)

    def filename(self):
        return "%s-%s-%s.whl" % (self.name, self.version, self.tag)

    def about(self):
        pure = "true" if self.tag.endswith("-any") else "false"
        lines = ["Wheel-Version: 1.0", "Generator: pypitest", "Root-Is-Purelib: " + pure, "Tag: " + self.tag, ""]
        return "\n".join(lines).encode()

    def write(self):
        files = dict(self.files)
        files[self.info() + "/METADATA"] = read("PKG-INFO")
        files[self.info() + "/WHEEL"] = self.about()
        rows = []
        for path, data in files.items():
            told = b"something else" if path == self.false_hash else data
            rows.append("%s,%s,%d\n" % (path, digest(told), len(data)))
        record = self.info() + "/RECORD"
        files[record] = ("".join(rows) + record + ",,\n").encode()
        with zipfile.ZipFile(os.path.join(self.directory, self.filename()), "w", zipfile.ZIP_DEFLATED) as z:
            for path, data in files.items():
                entry = zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0))
                entry.external_attr = 0o644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                z.writestr(entry, data)
        return self.filename()


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    # Told without building, so that stories happen in the build itself and not while pip resolves.
    wheel = Wheel(None)
    os.mkdir(os.path.join(metadata_directory, wheel.info()))
    for name, data in (("METADATA", read("PKG-INFO")), ("WHEEL", wheel.about())):
        with open(os.path.join(metadata_directory, wheel.info(), name), "wb") as f:
            f.write(data)
    return wheel.info()


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    import _story

    return _story.build(Wheel(wheel_directory))
