"""Where to point the drivers: the busiest site of the data set, its members, threads and microcosms."""

from __future__ import annotations

import hashlib
import json
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from scripts.bench.exchange import NUMBER, Answer, Request
from scripts.bench.pages import GUEST, IGNORER, MEMBER, POSTERS, Page

CONVERSATIONS = 500
MICROCOSMS = 50
POSTING_MEMBERS = 50
FULL_PAGE = 25
HIDDEN_EACH = 20
"""Every so many-th comment is hidden for the page with 5 % of the thread hidden."""

Ask = Callable[[Request], Answer]

BUSIEST_SITE = """
    SELECT s.site_id, s.subdomain_key, s.owned_by
      FROM sites s
      JOIN microcosm_counts mc ON mc.site_id = s.site_id
     WHERE NOT s.is_deleted
     GROUP BY s.site_id
     ORDER BY sum(mc.comment_count) DESC
     LIMIT 1"""

LONGEST_THREAD = """
    SELECT i.item_id, i.last_seq
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_type_id = 6 AND NOT i.is_deleted AND NOT i.is_moderated
       AND i.microcosm_id = ANY(%(readable)s)
     ORDER BY i.last_seq DESC, i.item_id
     LIMIT 1"""

# Those with a full first page, spread over the site; the longest thread has lines of its own.
FULL_CONVERSATIONS = """
    SELECT i.item_id, i.last_comment_id
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_type_id = 6 AND NOT i.is_deleted AND NOT i.is_moderated
       AND i.microcosm_id = ANY(%(readable)s) AND i.is_open AND i.item_id <> %(longest)s
       AND i.last_comment_id IS NOT NULL
     ORDER BY least(i.comment_count, %(full)s) DESC, md5(i.item_id::text)
     LIMIT %(count)s"""

BIGGEST_MICROCOSMS = """
    SELECT i.microcosm_id, count(*)
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_type_id IN (6, 9) AND NOT i.is_deleted AND NOT i.is_moderated
       AND i.microcosm_id = ANY(%(readable)s)
     GROUP BY i.microcosm_id
     ORDER BY count(*) DESC, i.microcosm_id
     LIMIT %(count)s"""

# Members with as many watchers and ignores as the data set gives, those who ignore no writer of the
# longest thread first: its last page is for one who sees all of it.
MEMBERS = """
    SELECT p.profile_id, p.user_id,
           (SELECT count(*) FROM watchers w WHERE w.site_id = p.site_id AND w.profile_id = p.profile_id) AS watched,
           (SELECT count(*) FROM ignores g WHERE g.site_id = p.site_id AND g.profile_id = p.profile_id) AS ignored
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id <> %(owner)s
       AND NOT EXISTS (SELECT FROM bans b
                        WHERE b.user_id = p.user_id AND (b.site_id = p.site_id OR b.site_id IS NULL))
     ORDER BY least((SELECT count(*) FROM watchers w
                      WHERE w.site_id = p.site_id AND w.profile_id = p.profile_id), 500) DESC,
              (SELECT count(*) FROM ignores g
                 JOIN item_authors a ON a.site_id = g.site_id AND a.profile_id = g.item_id AND a.item_id = %(longest)s
                WHERE g.site_id = p.site_id AND g.profile_id = p.profile_id AND g.item_type_id = 3),
              p.profile_id
     LIMIT %(count)s"""

HEAVY_AUTHORS = """
    INSERT INTO ignores (site_id, profile_id, item_type_id, item_id)
    SELECT a.site_id, %(profile_id)s, 3, a.profile_id
      FROM item_authors a
     WHERE a.site_id = %(site_id)s AND a.item_id = %(longest)s AND a.profile_id <> %(profile_id)s
     ORDER BY a.live DESC, a.profile_id
     LIMIT 3
        ON CONFLICT DO NOTHING"""

TOKEN = """
    INSERT INTO access_tokens (token_hash, token_prefix, user_id, name, expires)
    VALUES (%(token_hash)s, %(prefix)s, %(user_id)s, 'benchmark', now() + interval '1 day')"""

OLD_TOKENS = "DELETE FROM access_tokens t WHERE t.name = 'benchmark'"

EVERY_NTH_COMMENT = """
    SELECT c.comment_id
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.item_id = %(longest)s AND c.seq %% %(nth)s = 7
       AND c.is_moderated = %(hidden)s AND NOT c.is_deleted
     ORDER BY c.seq"""

# What people write: mostly plain, some with a link, a quotation, a mention, a list.
TEXTS = (
    (
        "Had the same on the old frame. The bearing was fine, the seat was not: a little wear and the "
        "whole thing creaks under load. Worth a look before you order parts."
    ),
    (
        "Thanks for the pictures, that **really** helps. I would start with the left side, it takes "
        "the weight, and it is the one nobody ever cleans properly."
    ),
    (
        "> It only happens when it is cold\\n\\nThen it is the grease. Change it for something thinner "
        "and see whether it comes back, it did not for me."
    ),
    (
        "There is a good description at https://www.example.org/guides/bearings?step=3 with the sizes "
        "for most years. Ours is the second one on the page."
    ),
    (
        "Three things to try first:\\n\\n- clean it\\n- tighten the left bolt to 12 Nm\\n- ride it for "
        "a week before touching anything else\\n\\nMost of the time that is all."
    ),
)


@dataclass(frozen=True)
class Found:
    """What the data set offers to the benchmark, in ids of the busiest site."""

    site_id: int
    host: str
    tokens: dict[str, list[str]]
    owner_token: str
    longest: int
    longest_comments: int
    conversations: list[int]
    comments: list[int]
    microcosms: list[int]
    biggest_items: int
    member: str
    """The member in words: id, watchers, ignores."""


def find(connection: psycopg.Connection, domain: str, ask: Ask) -> Found:
    """Choose, the same way for the same data, and make the tokens. `ask` sends a request to the application."""
    site_id, key, owner = _one(connection, BUSIEST_SITE)
    host = f"{key}.{domain}"
    tree = json.loads(ask(Request("GET", "/api/v1/microcosms/tree", host)).body)["data"]
    readable = [place["id"] for place in tree]
    base = {"site_id": site_id, "readable": readable}
    longest, comments = _one(connection, LONGEST_THREAD, base)
    base["longest"] = longest
    full = connection.execute(
        FULL_CONVERSATIONS, {**base, "full": FULL_PAGE, "count": CONVERSATIONS}
    ).fetchall()
    places = connection.execute(BIGGEST_MICROCOSMS, {**base, "count": MICROCOSMS}).fetchall()
    members = connection.execute(
        MEMBERS, {**base, "owner": owner, "count": POSTING_MEMBERS + 2}
    ).fetchall()
    (member, *_), (ignorer, *_) = members[:2]
    connection.execute(HEAVY_AUTHORS, {**base, "profile_id": ignorer})
    connection.execute(OLD_TOKENS)
    made = [token(connection, user_id) for _, user_id, _, _ in members]
    (owner_user,) = _one(
        connection,
        "SELECT p.user_id FROM profiles p WHERE p.site_id = %(site_id)s AND p.profile_id = %(owner)s",
        {"site_id": site_id, "owner": owner},
    )
    return Found(
        site_id=site_id,
        host=host,
        tokens={MEMBER: made[:1], IGNORER: made[1:2], POSTERS: made[2:]},
        owner_token=token(connection, owner_user),
        longest=longest,
        longest_comments=comments,
        conversations=[item for item, _ in full],
        comments=[comment for _, comment in full],
        microcosms=[place for place, items in places if items >= FULL_PAGE] or [places[0][0]],
        biggest_items=places[0][1],
        member=f"profile {member}, {members[0][2]} watchers, {members[0][3]} ignores",
    )


def token(connection: psycopg.Connection, user_id: int) -> str:
    """A new token of a user, valid for a day; the secret itself."""
    secret = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(128))
    connection.execute(
        TOKEN,
        {
            "token_hash": hashlib.sha256(secret.encode()).digest(),
            "prefix": secret[:8],
            "user_id": user_id,
        },
    )
    return secret


def requests(page: Page, found: Found, ask: Ask) -> list[Request]:
    """The requests of a page, to be sent in turn. `ask` is used to find the last page of a list."""
    tokens = found.tokens.get(page.who, [None])

    def get(path: str) -> Request:
        return Request("GET", path, found.host, tokens[0])

    kind = page.name.removeprefix(GUEST + "-")
    if page.method == "POST":
        return [
            Request(
                "POST",
                "/api/v1/comments",
                found.host,
                tokens[number % len(tokens)],
                _comment(item, TEXTS[number % len(TEXTS)]),
            )
            for number, item in enumerate(found.conversations)
        ]
    if kind in ("whoami", "site"):
        return [get(f"/api/v1/{kind}")]
    if kind == "permission":
        path = "/api/v1/permission?itemType=conversation&itemId="
        return [get(f"{path}{item}") for item in found.conversations]
    if kind == "front":
        return [get("/api/v1/microcosms")]
    if kind == "microcosm":
        return [get(f"/api/v1/microcosms/{place}") for place in found.microcosms]
    if kind == "microcosm-last":
        return [last_page(get(f"/api/v1/microcosms/{found.microcosms[0]}"), "items", ask)]
    if kind == "conversation":
        return [get(f"/api/v1/conversations/{item}") for item in found.conversations]
    if kind == "comment":
        return [get(f"/api/v1/comments/{comment}") for comment in found.comments]
    return [last_page(get(f"/api/v1/conversations/{found.longest}"), "comments", ask)]


def last_page(first: Request, key: str, ask: Ask) -> Request:
    """The last full page of the list under `data.<key>`: a last page with two lines would flatter."""
    page = json.loads(ask(first).body)["data"][key]
    offset = page["total"] // page["limit"] * page["limit"] - page["limit"]
    path = f"{first.path}?offset={offset}" if offset > 0 else first.path
    return Request(first.method, path, first.host, first.token)


def hide(connection: psycopg.Connection, found: Found, ask: Ask, hidden: bool) -> int:
    """Hide 5 % of the longest thread, or show it again, through the API as a moderator; how many."""
    rows = connection.execute(
        EVERY_NTH_COMMENT,
        {
            "site_id": found.site_id,
            "longest": found.longest,
            "nth": HIDDEN_EACH,
            "hidden": not hidden,
        },
    ).fetchall()
    patch = [{"op": "replace", "path": "/meta/flags/moderated", "value": hidden}]
    body = json.dumps(patch).encode()
    for (comment,) in rows:
        path = f"/api/v1/comments/{comment}"
        answer = ask(Request("PATCH", path, found.host, found.owner_token, body))
        if answer.status != 200:
            raise RuntimeError(f"PATCH {path} answered {answer.status}: {answer.body[:200]!r}")
    return len(rows)


def _comment(item: int, text: str) -> bytes:
    number = NUMBER.decode()
    return f'{{"itemType": "conversation", "itemId": {item}, "markdown": "{text} ({number})"}}'.encode()


def _one(
    connection: psycopg.Connection, query: str, values: dict[str, Any] | None = None
) -> tuple[Any, ...]:
    row = connection.execute(query, values).fetchone()
    if row is None:
        raise RuntimeError(f"the data set has nothing for: {query.strip()}")
    return row
