"""The plainest downloads, answered from memory before they are parsed: what any guest may have, asked for as it is.

A web page with thirty pictures is thirty such requests; parsing and routing them costs several times what sending them
does. What is recognised here is spelled out: one pattern, of a whole request with headers that change nothing about
the answer. Whatever is the least bit different goes the usual way, and gets the same answer there.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from forumapi.cache.eviction import Lru
from forumapi.observability import metrics
from forumapi.request.response import Headers, http_date

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.models.sites.site import Site
    from forumapi.request.services import Services

# For so long after the database was asked.
KEPT_S: Final = 1.0
# The pattern takes no more than this; where the settings allow less, nothing is recognised.
MOST_BYTES: Final = 2048
MOST_HEADERS: Final = 32
# Bytes of Python objects around an answer, measured.
_AROUND: Final = 700

# Possessive, so that what does not fit is given up at once. Host comes first, as all clients send it, and so only once.
_PLAIN: Final = re.compile(
    rb"GET (/api/v1/files/[0-9a-f]{40}(?:\.[A-Za-z0-9]{1,16})?) HTTP/1\.1\r\n"
    rb"(?i:Host): ?([A-Za-z0-9.:-]{1,255})\r\n"
    rb"(?:(?:(?i:Accept|Accept-Encoding|Accept-Language|Cache-Control|DNT|Origin|Pragma|Priority|Referer"
    rb"|Save-Data|Sec-[A-Za-z-]{1,40}|Upgrade-Insecure-Requests|User-Agent):[\x20-\x7e]*+"
    rb"|(?i:Connection): ?(?i:keep-alive))\r\n){0,30}+\r\n"
)


class Hot(NamedTuple):
    """A file that any guest may have, and how it is answered. `until` is on the monotonic clock."""

    site: Site
    until: float
    object: str
    route: str
    size: int
    head: bytes = b""  # the lines that are the same for all


class HotFiles:
    """Answers that are kept, by address and Host."""

    MOST_BYTES: Final = 4 * 1024 * 1024

    def __init__(self) -> None:
        self._kept: Lru[bytes, Hot] = Lru(
            self.MOST_BYTES, lambda key, hot: _AROUND + len(key) + len(hot.head)
        )

    def keep(self, path: str, host: str, hot: Hot, headers: Headers) -> None:
        """Remember what was answered with these headers."""
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        if head.count("\n") != len(headers) or head.count("\r") != len(headers):
            return  # the usual way refuses it
        # What is over holds on to its site, as it was.
        now = time.monotonic()
        while (oldest := self._kept.oldest()) is not None and oldest[1].until < now:
            self._kept.forget(oldest[0])
        key = f"{path} {host}".encode("latin-1", "replace")
        self._kept.add(key, hot._replace(head=head.encode("latin-1")))

    def get(self, path: bytes, host: bytes) -> Hot | None:
        """What is kept for this address, while it is right."""
        key = b"%b %b" % (path, host)
        hot = self._kept.get(key)
        if hot is not None and hot.until < time.monotonic():
            self._kept.forget(key)
            return None
        return hot


def may_be_used(config: Config) -> bool:
    """Whether nothing in the settings needs each request to go the usual way."""
    return (
        not config.trace_url
        and config.header_limit >= MOST_BYTES
        and config.header_count_limit >= MOST_HEADERS
    )


def answer(app: Services, data: bytes, peer: str) -> tuple[bytes, bytes] | None:
    """Head and body for the bytes of one whole request from the address `peer`; None: the usual way."""
    started = time.perf_counter()
    if len(data) > MOST_BYTES or (asked := _PLAIN.fullmatch(data)) is None:
        return None
    hot = app.hot_files.get(asked[1], asked[2])
    if hot is None or not app.sites.is_current(hot.site):
        return None
    body = app.small_files.get(hot.object)
    if body is None:
        return None
    limits = b""
    if (allowance := app.address_buckets.take(peer)) is not None:
        if allowance.retry_after_s:
            return None
        limits = (
            b"RateLimit-Limit: %d\r\nRateLimit-Remaining: %d\r\nRateLimit-Reset: %d\r\n"
            % allowance[:3]
        )
    request_id = os.urandom(8).hex()
    head = (
        b"HTTP/1.1 200 OK\r\nDate: %b\r\n%b%bX-Request-Id: %b\r\nContent-Length: %d\r\n%bConnection: keep-alive\r\n\r\n"
        % (
            http_date().encode(),
            hot.head,
            limits,
            request_id.encode(),
            hot.size,
            b"Server-Timing: db;desc=0, cache;desc=0\r\n" if app.debug_counts else b"",
        )
    )
    seconds = time.perf_counter() - started
    metrics.request(hot.route, "GET", 200, seconds, 0, 0.0)
    if app.access is not None:
        app.access.write(
            "GET",
            hot.route,
            200,
            hot.size,
            seconds,
            site_id=hot.site.id,
            ip=peer,
            request_id=request_id,
        )
    return head, body
