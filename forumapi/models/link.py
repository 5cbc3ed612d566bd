"""Short links: one row per distinct URL of the whole platform, a code for it, and where it is used (platform 6.3).

Links belong to no site: the same URL has the same code everywhere. What a code leads to is public.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from forumapi.content import shortcode
from forumapi.db import Query, Reader, Transaction
from forumapi.errors import Forbidden, NotFound

MAX_LENGTH: Final = 2000  # characters of a URL that is shortened (C-53)

# Known URLs take no number and no lock. New ones go in by ascending hash, so that two comments with the same links
# never wait for each other in a circle.
SHORTEN = Query(
    "link.shorten",
    """
    WITH wanted AS (
        SELECT w.url_hash, w.url, w.host, w.lead
          FROM unnest(%(hashes)s::bytea[], %(urls)s::text[], %(hosts)s::text[], %(leads)s::text[])
               AS w (url_hash, url, host, lead)),
    known AS (
        SELECT l.url_hash, l.link_id, l.lead FROM links l WHERE l.url_hash = ANY(%(hashes)s::bytea[])),
    made AS (
        INSERT INTO links (url_hash, url, host, lead)
        SELECT w.url_hash, w.url, w.host, w.lead
          FROM wanted w
         WHERE NOT EXISTS (SELECT FROM known k WHERE k.url_hash = w.url_hash)
         ORDER BY w.url_hash
            ON CONFLICT (url_hash) DO NOTHING
     RETURNING url_hash, link_id, lead)
    SELECT k.url_hash, k.link_id, k.lead FROM known k
     UNION ALL
    SELECT m.url_hash, m.link_id, m.lead FROM made m""",
)

RECORD_USES = Query(
    "link.record_uses",
    """
    INSERT INTO link_uses (site_id, comment_id, revision, link_id)
    SELECT %(site_id)s, %(comment_id)s, %(revision)s, u.link_id
      FROM unnest(%(link_ids)s::bigint[]) AS u (link_id)
        ON CONFLICT DO NOTHING""",
)

FIND = Query(
    "link.find",
    """
    SELECT l.lead, l.url,
           EXISTS (SELECT FROM blocked_link_domains b
                    WHERE right('.' || l.host, length(b.domain) + 1) = '.' || b.domain)
      FROM links l
     WHERE l.link_id = %(link_id)s""",
)


class Link(NamedTuple):
    """A link that may be followed. `url` is http or https, as it was written."""

    id: int
    url: str


def shorten(tx: Reader, urls: Sequence[str], base: str) -> dict[str, str]:
    """The short URL of each of `urls`, made where there is none yet. One statement, two after a collision.

    `base` is what the code is appended to, ending in `/out/`. Only http and https URLs with a host and of at most
    MAX_LENGTH characters are shortened (C-53); any other has no entry.
    """
    wanted: dict[bytes, tuple[str, str]] = {}
    for url in urls:
        host = host_of(url)
        if host and len(url) <= MAX_LENGTH:
            wanted[hashlib.sha256(url.encode()).digest()] = (url, host)
    result: dict[str, str] = {}
    # A row that another transaction adds at this moment is in neither part of the answer; the next statement sees it.
    for _ in range(2):
        if not wanted:
            break
        for url_hash, link_id, lead in tx.rows(
            SHORTEN,
            hashes=list(wanted),
            urls=[url for url, _ in wanted.values()],
            hosts=[host for _, host in wanted.values()],
            leads=random.choices(shortcode.ALPHABET, k=len(wanted)),
        ):
            url, _ = wanted.pop(url_hash)
            result[url] = base + shortcode.encode(link_id, lead)
    return result


def ids(shortened: Mapping[str, str] | Iterable[str]) -> list[int]:
    """The link ids behind short URLs: what `shorten` gave, or its values. Others are left out."""
    urls = shortened.values() if isinstance(shortened, Mapping) else shortened
    numbers = (shortcode.decode(url.rpartition("/")[2]) for url in urls)
    return [number for number in numbers if number is not None]


def record_uses(
    tx: Transaction, site_id: int, comment_id: int, revision: int, link_ids: Sequence[int]
) -> None:
    """Note that a revision of a comment holds these links."""
    if link_ids:
        tx.run(
            RECORD_USES,
            site_id=site_id,
            comment_id=comment_id,
            revision=revision,
            link_ids=sorted(set(link_ids)),
        )


def find(tx: Reader, code: str, blocked: Iterable[str] = ()) -> Link:
    """Where `code` leads. `blocked` are domains that are refused beside the stored ones, with everything below them.

    Raises NotFound for a code that was never given, Forbidden for a blocked domain (P-54).
    """
    link_id = shortcode.decode(code)
    row = None if link_id is None else tx.row(FIND, link_id=link_id)
    if link_id is None or row is None or row[0] != code[0]:
        raise NotFound("There is no such link")
    url = row[1]
    host = host_of(url)
    if not host:
        raise NotFound("There is no such link")
    if row[2] or any(f".{host}".endswith(f".{domain}") for domain in blocked):
        raise Forbidden("This link leads to a domain that is blocked here")
    return Link(link_id, url)


def host_of(url: str) -> str:
    """The host that an http or https URL leads to, as it is looked up: lower case, in ASCII; "" for any other URL.

    What browsers and this parser could read differently (back-slashes, control characters) has no host here.
    """
    if "\\" in url or not url.isprintable() or " " in url:
        return ""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        if parts.scheme not in ("http", "https") or not host or parts.port == 0:
            return ""
        return host if host.isascii() else host.encode("idna").decode("ascii").lower()
    except ValueError:  # a broken port, brackets or name (UnicodeError is one)
        return ""
