"""Files of the website that are the same for everybody: style sheets, scripts, pictures."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

FOREVER: Final = "public, max-age=31536000, immutable"


class StaticFile(NamedTuple):
    """Static file: its bytes, the same as gzip, and its Content-Type."""

    data: bytes
    compressed: bytes
    type: str


@lru_cache
def _all() -> tuple[dict[str, str], dict[str, StaticFile]]:
    """Return (addresses of the static files by name; the files by key, the last part of the address, which holds a hash
    of the content); read once a process.
    """
    addresses: dict[str, str] = {}
    found: dict[str, StaticFile] = {}
    for source in sorted(
        (files("forumapi.webclient") / "static").iterdir(), key=lambda one: one.name
    ):
        stem, _, ending = source.name.rpartition(".")
        if not stem or stem.startswith(("_", ".")):
            continue
        data = source.read_bytes()
        key = f"{stem}.{hashlib.sha256(data).hexdigest()[:10]}.{ending}"
        addresses[source.name] = f"/static/{key}"
        kind = (
            "text/javascript"
            if ending == "js"
            else mimetypes.types_map.get(f".{ending}", "application/octet-stream")
        )
        kind = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
        found[key] = StaticFile(data, gzip.compress(data, 9, mtime=0), kind)
    return addresses, found


def address(name: str) -> str:
    """Return the path of a static file, `/static/` and its key, by the file's name, such as `site.css`. Raises KeyError
    for a name without a file.
    """
    return _all()[0][name]


def version() -> str:
    """Return the keys of all static files as one text, which changes whenever one of the files does."""
    return " ".join(_all()[1])


def named(name: str) -> StaticFile:
    """Return a static file by its name, such as `site.css`. Raises KeyError for a name without a file."""
    return _all()[1][address(name).rpartition("/")[2]]


def find(key: str) -> StaticFile | None:
    """Return a static file by its key, the last part of its address; None for an unknown key."""
    return _all()[1].get(key)
