"""Check of new e-mail addresses with Stop Forum Spam (platform 7.3, P-62). Off unless configured; if the service fails,
nobody is refused.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
import time
import urllib.request
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from forumapi.cache.lru_cache import Lru, plainly
from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.observability.log import logger
from forumapi.text import email_address

URL: Final = "https://api.stopforumspam.org/api"
TIMEOUT_S: Final = 2.0
_REMEMBERED_S: Final = 3600.0
_KEPT_BYTES: Final = 1024 * 1024
_YEAR_S: Final = 365 * 24 * 3600
_MOST_BYTES: Final = 65_536

RECORD = Query(
    "spam_check.record",
    """
    INSERT INTO spam_verdicts (site_id, address_hash, verdict, confidence)
    VALUES (%(site_id)s, %(address_hash)s, %(verdict)s, %(confidence)s)""",
)

FORGET = Query(
    "spam_check.forget_verdicts",
    "DELETE FROM spam_verdicts v WHERE v.created < now() - make_interval(days => %(days)s)",
    scope=PLATFORM,
)


class Verdict(NamedTuple):
    """Verdict on an e-mail address. `word`: "spam" (reported within a year, with a confidence above 0), "clean", or
    "unknown" if the service gave no usable answer.

    `confidence`: the service's own figure in percent, None if it gave none.
    """

    word: str
    confidence: float | None = None

    @property
    def is_spam(self) -> bool:
        """Return True if `word` is "spam"."""
        return self.word == "spam"


UNKNOWN: Final = Verdict("unknown")

_seen: Lru[bytes, tuple[float, Verdict]] = Lru(_KEPT_BYTES, plainly)
_lock = threading.Lock()


def check(address: str, url: str = URL) -> Verdict:
    """Ask the service at `url` about an e-mail address, or return its answer of the last hour; "unknown" if it gives no
    usable answer. Each wait for the service ends after TIMEOUT_S seconds.
    """
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
        return UNKNOWN
    with _lock:
        _seen.add(key, (now, found))
    return found


def _ask(address: str, url: str) -> Verdict:
    query = urlencode({"f": "json", "unix": "", "email": address})
    with urllib.request.urlopen(f"{url}?{query}", timeout=TIMEOUT_S) as answer:
        return _judge(json.loads(answer.read(_MOST_BYTES)))


def _judge(said: Any) -> Verdict:
    about = said.get("email") if isinstance(said, dict) and said.get("success") == 1 else None
    if not isinstance(about, dict):
        return UNKNOWN
    last_seen, confidence = about.get("lastseen"), about.get("confidence")
    sure = float(confidence) if isinstance(confidence, int | float) else None
    is_recent = isinstance(last_seen, int | float) and time.time() - last_seen < _YEAR_S
    return Verdict("spam" if is_recent and sure is not None and sure > 0 else "clean", sure)


def record(tx: Transaction, site_id: int, address: str, verdict: Verdict) -> None:
    """Store the verdict on an address that signs in for the first time, under a hash of the address, beside earlier
    ones. `site_id`: the site signed in to.
    """
    tx.run(
        RECORD,
        site_id=site_id,
        address_hash=hashlib.sha256(email_address.canonical(address).encode()).digest(),
        verdict=verdict.word,
        confidence=verdict.confidence,
    )


def forget(tx: Transaction, days: int) -> int:
    """Delete the stored verdicts of all sites that are older than `days` days; return their number."""
    return tx.run(FORGET, days=days)
