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
    """File with its bytes, also compressed, and its type."""

    data: bytes
    compressed: bytes
    type: str


@lru_cache
def _all() -> tuple[dict[str, str], dict[str, StaticFile]]:
    """Return the addresses by name, and the files by the last part of their address, which names their content."""
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
    """Return the address of a file by its name. Raises KeyError."""
    return _all()[0][name]


def version() -> str:
    """Return a text that is another one once any file is."""
    return " ".join(_all()[1])


def named(name: str) -> StaticFile:
    """Return a file by its name. Raises KeyError."""
    return _all()[1][address(name).rpartition("/")[2]]


def find(key: str) -> StaticFile | None:
    """Return the file of the last part of an address."""
    return _all()[1].get(key)
