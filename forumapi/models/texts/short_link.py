"""Short links: one row per distinct URL of the whole platform, its code, and the comments that have it (platform 6.3).

Links belong to no site: the same URL has the same code everywhere. A code makes its URL public, so only links in texts
that guests may read get codes.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import re
import time
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import Forbidden, Invalid, NotFound, TooMany
from forumapi.models.access import rate_counters
from forumapi.models.access.rate_counters import Limit
from forumapi.outbound.safe_http_client import is_public
from forumapi.text import short_link_code
from forumapi.wire.client_address import network

MAX_LENGTH: Final = 2000  # characters of a URL that is shortened (C-53)

# Known URLs take no number and no lock. URLs that only have the code of an earlier release are locked, and new URLs are
# inserted, by ascending hash, so that two comments with the same links can't deadlock.
SHORTEN = Query(
    "short_link.shorten",
    """
    WITH wanted AS (
        SELECT w.url_hash, w.url, w.host, w.code
          FROM unnest(%(hashes)s::bytea[], %(urls)s::text[], %(hosts)s::text[], %(codes)s::text[])
               AS w (url_hash, url, host, code)),
    known AS (
        SELECT l.url_hash, l.link_id, l.code FROM links l WHERE l.url_hash = ANY(%(hashes)s::bytea[])),
    uncoded AS (
        SELECT l.link_id, w.code
          FROM links l
          JOIN wanted w ON w.url_hash = l.url_hash
         WHERE l.url_hash IN (SELECT k.url_hash FROM known k WHERE k.code IS NULL) AND l.code IS NULL
         ORDER BY l.url_hash
           FOR NO KEY UPDATE OF l),
    coded AS (
        UPDATE links l SET code = u.code FROM uncoded u WHERE l.link_id = u.link_id
     RETURNING l.url_hash, l.link_id, l.code),
    made AS (
        INSERT INTO links (url_hash, url, host, code, has_old_code, lead)
        SELECT w.url_hash, w.url, w.host, w.code, false, left(w.code, 1)
          FROM wanted w
         WHERE NOT EXISTS (SELECT FROM known k WHERE k.url_hash = w.url_hash)
         ORDER BY w.url_hash
            ON CONFLICT (url_hash) DO NOTHING
     RETURNING url_hash, link_id, code)
    SELECT k.url_hash, k.link_id, k.code FROM known k WHERE k.code IS NOT NULL
     UNION ALL
    SELECT c.url_hash, c.link_id, c.code FROM coded c
     UNION ALL
    SELECT m.url_hash, m.link_id, m.code FROM made m""",
)

RECORD_USES = Query(
    "short_link.record_uses",
    """
    INSERT INTO link_uses (site_id, comment_id, revision, link_id)
    SELECT %(site_id)s, %(comment_id)s, %(revision)s, u.link_id
      FROM unnest(%(link_ids)s::bigint[]) AS u (link_id)
        ON CONFLICT DO NOTHING""",
)

# The domain of a link `l`, or one above it, is on the list: as many look-ups as the host has parts, however long it is.
BLOCKED: Final = """
           EXISTS (SELECT FROM generate_series(1, cardinality(string_to_array(l.host, '.'))) AS n (place)
                     JOIN blocked_link_domains b
                       ON b.domain = array_to_string((string_to_array(l.host, '.'))[n.place:], '.'))"""

# How often the client address missed lately, and the link; without one the rest is NULL. A code of an earlier release
# counts while guests read a live comment that holds the link; of one that very many hold, some are looked at.
FIND = Query(
    "short_link.find",
    f"""
    SELECT coalesce((SELECT a.attempts FROM attempt_counters a
                      WHERE a.kind = %(kind)s AND a.subject = %(subject)s
                        AND a.window_start = {rate_counters.WINDOW}), 0),
           l.link_id, l.url,
           CASE WHEN l.code = %(code)s THEN true
                ELSE EXISTS (
                     SELECT FROM (
                            SELECT DISTINCT c.site_id, coalesce(i.microcosm_id, 0) AS microcosm_id
                              FROM (SELECT u.site_id, u.comment_id, u.revision FROM link_uses u
                                     WHERE u.link_id = l.link_id LIMIT 1000) AS u
                              JOIN comments c ON c.site_id = u.site_id AND c.comment_id = u.comment_id
                                             AND c.revisions = u.revision AND NOT c.is_deleted AND NOT c.is_moderated
                              JOIN sites s ON s.site_id = c.site_id AND NOT s.is_deleted
                              LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
                                               AND NOT i.is_deleted AND NOT i.is_moderated
                             WHERE c.on_profile_id IS NOT NULL OR i.microcosm_id IS NOT NULL) AS p
                      WHERE p.microcosm_id = 0 OR guests_read(p.site_id, p.microcosm_id)) END,
           {BLOCKED}
      FROM (SELECT 1) AS one
      LEFT JOIN links l ON l.code = %(code)s
                        OR l.link_id = %(old_id)s AND l.lead = left(%(code)s, 1) AND l.has_old_code""",
    scope=PLATFORM,
)


class FollowedLink(NamedTuple):
    """Link that a code leads to. `url`: http or https, as it stands in the texts."""

    id: int
    url: str


class ShortLink(NamedTuple):
    """Link as a text shows it: `url` is the short address; with `id` 0 it is the URL itself, not shortened."""

    id: int
    url: str


def shorten(tx: Reader, urls: Sequence[str], base: str) -> dict[str, ShortLink]:
    """Return short links by URL, for each of `urls`, in one statement, two after a collision; a URL that has no code
    yet gets one, which is stored.

    `base`: address that codes are appended to, ending in `/out/`. Only http and https URLs with a host and of at most
    MAX_LENGTH characters are shortened (C-53); others are left out of the result.
    """
    wanted = {hashlib.sha256(url.encode()).digest(): (url, host) for url, host in _web(urls)}
    result: dict[str, ShortLink] = {}
    # A row that another transaction adds at this moment is in neither part of the answer; the next statement sees it.
    for _ in range(2):
        if not wanted:
            break
        for url_hash, link_id, code in tx.rows(
            SHORTEN,
            hashes=list(wanted),
            urls=[url for url, _ in wanted.values()],
            hosts=[host for _, host in wanted.values()],
            codes=[short_link_code.draw() for _ in wanted],
        ):
            url, _ = wanted.pop(url_hash)
            result[url] = ShortLink(link_id, base + code)
    return result


KNOWN = Query(
    "short_link.known",
    """
    SELECT l.url, l.link_id, l.code
      FROM links l
     WHERE l.url_hash = ANY(%(hashes)s::bytea[]) AND l.code IS NOT NULL""",
)


def known(tx: Reader, urls: Sequence[str], base: str) -> dict[str, ShortLink]:
    """Return short links by URL, for those of `urls` that have a code already. Writes nothing. `base`: as in
    `shorten`.
    """
    hashes = [hashlib.sha256(url.encode()).digest() for url, _ in _web(urls)]
    if not hashes:
        return {}
    return {
        url: ShortLink(link_id, base + code) for url, link_id, code in tx.rows(KNOWN, hashes=hashes)
    }


def unshortened(urls: Sequence[str]) -> dict[str, ShortLink]:
    """Return, by URL, a link for each of `urls` that `shorten` would shorten, with id 0 and the URL itself, for a text
    that guests may not read. Stores nothing.
    """
    return {url: ShortLink(0, url) for url, _ in _web(urls)}


def _web(urls: Sequence[str]) -> Iterable[tuple[str, str]]:
    for url in urls:
        host = host_of(url)
        if host and len(url) <= MAX_LENGTH:
            yield url, host


def record_uses(
    tx: Transaction, site_id: int, comment_id: int, revision: int, link_ids: Sequence[int]
) -> None:
    """Record that a revision of a comment has the short links `link_ids`; those recorded already are skipped."""
    if link_ids:
        tx.run(
            RECORD_USES,
            site_id=site_id,
            comment_id=comment_id,
            revision=revision,
            link_ids=sorted(set(link_ids)),
        )


def find(
    tx: Reader,
    code: str,
    blocked: Iterable[str] = (),
    *,
    misses: Limit,
    ip: str,
) -> FollowedLink:
    """Return the link of a code. `blocked`: domains that are refused, with their subdomains, beside the stored ones.

    A code of an earlier release, which could be guessed, is known only while guests may read a text that has the link.

    Raises TooMany, for known codes too, if the client address `ip` has used up `misses`, the limit of unknown codes
    (`most` 0: no limit); else NotFound for an unknown code, Forbidden for a blocked domain and for addresses outside
    the open internet (P-54). The caller counts an unknown code against that limit.
    """
    row = tx.row(
        FIND,
        code=code,
        old_id=short_link_code.decode(code),
        kind=misses.kind,
        subject=network(ip) if ip else "",
        window_s=misses.window_s,
    )
    assert row is not None, "it has no condition"
    missed, link_id, url, is_open, is_blocked = row
    if misses.most and missed >= misses.most:
        left_s = misses.window_s - int(time.time()) % misses.window_s
        raise TooMany("Too many unknown links; try again later", left_s)
    host = host_of(url or "")
    if not host or not is_open:
        raise NotFound("There is no such link")
    if is_blocked or any(f".{host}".endswith(f".{domain}") for domain in blocked):
        raise Forbidden("This link leads to a domain that is blocked here")
    if is_inside(host):
        raise Forbidden("This link leads to an address that is not on the public internet")
    return FollowedLink(link_id, url)


# Names that are never those of a machine on the open internet (RFC 6761, 6762, 8375, and what networks at home use).
_INSIDE: Final = frozenset(
    (
        "localhost",
        "local",
        "internal",
        "intranet",
        "lan",
        "home",
        "corp",
        "private",
        "localdomain",
        "test",
    )
)


def is_inside(host: str) -> bool:
    """Return True if a host, a result of `host_of`, is in a private network, or is no name or address of the public
    internet.

    Addresses are read as browsers read them: `127.1`, `0x7f000001` and `017700000001` are 127.0.0.1.
    """
    labels = host.split(".")
    if ":" in host:
        return not _is_open(host.partition("%")[0])
    if _NUMBER.fullmatch(labels[-1]):
        address = _ipv4(labels)
        return address is None or not _is_open(address)
    return len(labels) == 1 or labels[-1] in _INSIDE or host.endswith(".home.arpa")


_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


def _ipv4(labels: Sequence[str]) -> str | None:
    """Return the IPv4 address that one to four numbers form, the last number filling the rest; None for anything else.
    `labels`: parts of a host between its dots; numbers may be decimal, octal or hexadecimal.
    """
    if len(labels) > 4 or not all(map(_NUMBER.fullmatch, labels)):
        return None
    try:
        numbers = [_number(label) for label in labels]
    except ValueError:
        return None
    *first, last = numbers
    if any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
        return None
    whole = sum(number << 8 * (3 - place) for place, number in enumerate(first)) + last
    return str(ipaddress.IPv4Address(whole))


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8) if text.startswith("0") and len(text) > 1 else int(text)


def _is_open(address: str) -> bool:
    try:
        return is_public(ipaddress.ip_address(address))
    except ValueError:
        return False


def host_of(url: str) -> str:
    """Return the host of an http or https URL as it is looked up: lower case, in ASCII; "" for any other URL.

    A URL that browsers and this parser could read differently (back-slashes, control characters) has no host here.
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


# ---------------------------------------------------------------- lists and statistics

# Links of a site by comment, the newest first: links of current texts of live comments in microcosms that the caller
# may read; none of huddles and profiles.
OF_SITE = Query(
    "short_link.of_site",
    """
    SELECT c.comment_id, c.created, l.link_id, coalesce(l.code, ''), l.url, l.host,
           (SELECT count(DISTINCT o.comment_id)
              FROM link_uses o
              JOIN comments oc ON oc.site_id = o.site_id AND oc.comment_id = o.comment_id AND oc.revisions = o.revision
                              AND NOT oc.is_deleted AND NOT oc.is_moderated
              JOIN items oi ON oi.site_id = oc.site_id AND oi.item_id = oc.item_id AND NOT oi.is_deleted
                           AND NOT oi.is_moderated AND oi.microcosm_id = ANY(%(readable)s::bigint[])
             WHERE o.site_id = u.site_id AND o.link_id = u.link_id)
      FROM link_uses u
      JOIN comments c ON c.site_id = u.site_id AND c.comment_id = u.comment_id AND c.revisions = u.revision
                     AND NOT c.is_deleted AND NOT c.is_moderated
      JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id AND NOT i.is_deleted AND NOT i.is_moderated
                  AND i.microcosm_id = ANY(%(readable)s::bigint[])
      JOIN links l ON l.link_id = u.link_id
     WHERE u.site_id = %(site_id)s AND (u.comment_id, u.link_id) < (%(comment_id)s, %(link_id)s)
       AND (%(host)s = '' OR l.host = %(host)s OR right(l.host, length(%(host)s) + 1) = '.' || %(host)s)
     ORDER BY u.comment_id DESC, u.link_id DESC
     LIMIT %(limit)s""",
)

OF_PLATFORM = Query(
    "short_link.of_platform",
    f"""
    SELECT l.link_id, l.created, l.code, l.url, l.host, coalesce(h.hits, 0),
           (SELECT count(*) FROM (SELECT DISTINCT u.site_id, u.comment_id FROM link_uses u
                                   WHERE u.link_id = l.link_id) AS used), {BLOCKED}
      FROM links l
      LEFT JOIN link_hits h ON h.link_id = l.link_id
     WHERE l.link_id < %(before)s AND l.code IS NOT NULL
       AND (%(host)s = '' OR l.host = %(host)s OR right(l.host, length(%(host)s) + 1) = '.' || %(host)s)
     ORDER BY l.link_id DESC
     LIMIT %(limit)s""",
    scope=PLATFORM,
    unrestricted="for operators, who see how often a link is used, not where",
)

BLOCK = Query(
    "short_link.block",
    """
    INSERT INTO blocked_link_domains (domain) SELECT unnest(%(domains)s::text[])
        ON CONFLICT DO NOTHING""",
)
UNBLOCK = Query(
    "short_link.unblock",
    "DELETE FROM blocked_link_domains b WHERE b.domain = ANY(%(domains)s::text[])",
)
LIST_BLOCKED = Query(
    "short_link.list_blocked",
    "SELECT b.domain, b.created FROM blocked_link_domains b ORDER BY b.domain",
)


class LinkUse(NamedTuple):
    """Link in a comment of a site, one object for each comment that has it. `created`: time of the comment; `code` "":
    the link has none; `host`: the URL's, as `host_of` returns it; `uses`: number of the site's comments whose present
    text has the link, hidden and deleted ones left out, in the microcosms that `of_site` was given as readable.
    """

    comment_id: int
    created: datetime.datetime
    link_id: int
    code: str  # "" until a text that holds it is rendered by this release
    url: str
    host: str
    uses: int


class PlatformLink(NamedTuple):
    """Link of the platform, one object for each URL. `hits`: number of times it was followed; `uses`: number of
    comments of all sites that have or had it; `is_blocked`: its domain is stored as blocked.
    """

    link_id: int
    created: datetime.datetime
    code: str
    url: str
    host: str
    hits: int
    uses: int
    is_blocked: bool


class BlockedDomain(NamedTuple):
    """Domain that links may not lead to, nor to its subdomains; `created`: when it was blocked."""

    domain: str
    created: datetime.datetime


def of_site(
    tx: Reader,
    site_id: int,
    readable: Sequence[int],
    host: str,
    before: tuple[int, int],
    limit: int,
) -> list[LinkUse]:
    """Return up to `limit` links in the current texts of comments on items of `readable` microcosms, newest comment
    first, and of one comment the highest link id first; none of huddles or profiles, and none if comment or item is
    hidden or deleted. `readable`: ids of microcosms.

    `before`: (comment id, link id) of the last one already listed, after which the result begins in that order; from
    the beginning with numbers above all ids. `host`: only links to this domain and its subdomains; "" for all.
    """
    rows = tx.rows(
        OF_SITE,
        site_id=site_id,
        readable=readable,
        host=host,
        comment_id=before[0],
        link_id=before[1],
        limit=limit,
    )
    return [LinkUse(*row) for row in rows]


def of_platform(tx: Reader, host: str, before: int, limit: int) -> list[PlatformLink]:
    """Return up to `limit` links of all sites that have a code and an id below `before`, newest first; from the newest
    with a number above all ids. `host`: as in `of_site`.
    """
    rows = tx.rows(OF_PLATFORM, host=host, before=before, limit=limit)
    return [PlatformLink(*row) for row in rows]


def checked_domain(text: str) -> str:
    """Return `text` as a domain in the form in which hosts are looked up: lower case, in ASCII; a port or path behind
    it is cut off. Raises Invalid for a URL with a scheme, and for a text that is no host name; a single label and an
    IPv4 address count as host names.
    """
    domain = host_of(f"http://{text.strip().strip('.').lower()}")
    if "://" in text or not domain or not re.fullmatch(r"[a-z0-9_.-]{1,253}", domain):
        raise Invalid("domain", "must be the name of a host")
    return domain


def domains_in(lines: Iterable[str]) -> list[str]:
    """Return the domains in the lines of a blocklist: a line has one alone, or several behind an address as in a hosts
    file; # begins a comment.

    Words that aren't domains of the public internet are skipped. The domains are in the order of the lines, each once.
    """
    found: dict[str, None] = {}
    for line in lines:
        words = line.partition("#")[0].split()
        for word in words[1:] if len(words) > 1 else words:
            try:
                domain = checked_domain(word)
            except Invalid:
                continue
            if not is_inside(domain):
                found[domain] = None
    return list(found)


def block(tx: Transaction, domains: Sequence[str]) -> int:
    """Store these domains, results of `checked_domain`, as blocked, with their subdomains; return the number of those
    that were not stored before.
    """
    return tx.run(BLOCK, domains=domains)


def unblock(tx: Transaction, domains: Sequence[str]) -> int:
    """Delete these domains, results of `checked_domain`, from the stored blocked ones; return the number of those
    deleted. One blocked as a subdomain of another stays blocked.
    """
    return tx.run(UNBLOCK, domains=domains)


def list_blocked(tx: Reader) -> list[BlockedDomain]:
    """Return the stored blocked domains, ordered by name."""
    return [BlockedDomain(*row) for row in tx.rows(LIST_BLOCKED)]
