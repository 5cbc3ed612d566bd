"""Asking Stop Forum Spam about the address of a new user (platform 7.3, P-62). Off unless configured; fails open."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
import time
import urllib.request
from typing import Any, Final
from urllib.parse import urlencode

from forumapi.log import logger

URL: Final = "https://api.stopforumspam.org/api"
TIMEOUT_S: Final = 2.0
_REMEMBERED_S: Final = 3600.0
_MOST: Final = 10_000
_YEAR_S: Final = 365 * 24 * 3600
_MOST_BYTES: Final = 65_536

_seen: dict[bytes, tuple[float, bool]] = {}
_lock = threading.Lock()


def is_spammer(address: str, url: str = URL) -> bool:
    """Whether the address was reported as a spammer's within a year. False whenever the service does not say so."""
    key = hashlib.sha256(f"{url} {address.lower()}".encode()).digest()
    now = time.monotonic()
    with _lock:
        known = _seen.get(key)
    if known is not None and now - known[0] < _REMEMBERED_S:
        return known[1]
    try:
        found = _ask(address, url)
    except (OSError, http.client.HTTPException, ValueError) as error:
        logger.warning("the spam check failed, nobody is refused: %s", error)
        return False
    with _lock:
        if len(_seen) >= _MOST:
            _seen.clear()
        _seen[key] = (now, found)
    return found


def _ask(address: str, url: str) -> bool:
    query = urlencode({"f": "json", "unix": "", "email": address})
    with urllib.request.urlopen(f"{url}?{query}", timeout=TIMEOUT_S) as answer:
        return _judge(json.loads(answer.read(_MOST_BYTES)))


def _judge(said: Any) -> bool:
    about = said.get("email") if isinstance(said, dict) and said.get("success") == 1 else None
    if not isinstance(about, dict):
        return False
    last_seen, confidence = about.get("lastseen"), about.get("confidence")
    return (
        isinstance(last_seen, int | float)
        and isinstance(confidence, int | float)
        and time.time() - last_seen < _YEAR_S
        and confidence > 0
    )
