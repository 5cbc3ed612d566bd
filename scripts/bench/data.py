"""Choice of what the drivers request: pages of the benchmark's site in the data set, and the callers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from forumapi.command import seed
from forumapi.webclient.session import Seal, WebSession
from scripts.bench import searches, subjects
from scripts.bench.exchange import NUMBER, Answer, Request
from scripts.bench.pages import GUEST, IGNORER, MEMBER, POSTERS, Page
from scripts.bench.services import Server

SITE = "bench"
CONVERSATIONS = 500
MICROCOSMS = 50
FULL_PAGE = 25

THREADS = {
    "thread-last": "longest_thread",
    "thread-last-hidden": "hidden_thread",
    "thread-last-ignored": "ignored_thread",
}
TREE = "/api/v1/microcosms/tree"

Ask = Callable[[Request], Answer]

# Those with a full first page, spread over the site; the long threads have lines of their own.
FULL_CONVERSATIONS = """
    SELECT i.item_id, i.last_comment_id
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_type_id = 6 AND NOT i.is_deleted AND NOT i.is_moderated
       AND i.microcosm_id = ANY(%(readable)s) AND i.is_open AND i.item_id <> ALL(%(long)s)
       AND i.last_comment_id IS NOT NULL
     ORDER BY least(i.comment_count, %(full)s) DESC, md5(i.item_id::text)
     LIMIT %(count)s"""

FULL_MICROCOSMS = """
    SELECT i.microcosm_id
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_type_id IN (6, 9) AND NOT i.is_deleted AND NOT i.is_moderated
       AND i.microcosm_id = ANY(%(readable)s)
     GROUP BY i.microcosm_id
    HAVING count(*) >= %(full)s
     ORDER BY md5(i.microcosm_id::text)
     LIMIT %(count)s"""

SIZES = """
    SELECT (SELECT i.comment_count FROM items i WHERE i.site_id = %(site_id)s AND i.item_id = %(longest)s),
           (SELECT count(*) FROM items i WHERE i.site_id = %(site_id)s AND i.microcosm_id = %(deep)s),
           (SELECT count(*) FROM watchers w WHERE w.site_id = %(site_id)s AND w.profile_id = %(member)s),
           (SELECT count(*) FROM ignores g WHERE g.site_id = %(site_id)s AND g.profile_id = %(member)s),
           (SELECT count(*) FROM read_marks r WHERE r.site_id = %(site_id)s AND r.profile_id = %(member)s)"""

# One word: several in the setting are several secrets, and the member would be a guest.
WEBSITE_SECRET = "of-the-benchmark"
# Settings of a web process that has the website.
WEBSITE = {"webclient": "true", "webclient_secret": WEBSITE_SECRET}

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
    """Record of what the benchmark's site has to be requested: ids of things, tokens of callers, words to
    search for.
    """

    host: str
    tokens: dict[str, list[str]]
    landmarks: dict[str, int]
    conversations: list[int]
    comments: list[int]
    microcosms: list[int]
    subjects: dict[str, list[int]]
    """Events, polls and huddles by kind."""
    searches: dict[str, list[str]]
    """Words to search for, by page."""
    words: str
    """The choice, for the head of the table."""


def find(url: str, domain: str, server: Server) -> Found:
    """Choose what to request, by asking the running application `server`; the same choice for the same data."""
    ask = server.ask
    landmarks = seed.landmarks(url)
    names = sorted(seed.bench_tokens().items(), key=lambda pair: landmarks[pair[0]])
    by_name = dict(names)
    member = by_name.pop("bench_member_1")
    tokens = {MEMBER: [member], IGNORER: [by_name.pop("bench_member_2")]}
    others = list(by_name.items())
    tokens[POSTERS] = [token for _, token in others]
    host = f"{SITE}.{domain}"

    # What both a guest and the member see: the pages of both are then the same ones.
    readable = set.intersection(
        *(
            {place["id"] for place in data_of(ask(Request("GET", TREE, host, token)))}
            for token in (None, member)
        )
    )
    values = {
        "site_id": landmarks["site_id"],
        "readable": list(readable - {landmarks["deep_microcosm"]}),
        "long": [landmarks[name] for name in ("longest_thread", "hidden_thread", "ignored_thread")],
        "full": FULL_PAGE,
        "longest": landmarks["longest_thread"],
        "deep": landmarks["deep_microcosm"],
        "member": landmarks["bench_member_1"],
    }
    with psycopg.connect(url, autocommit=True) as connection:
        conversations = connection.execute(
            FULL_CONVERSATIONS, {**values, "count": CONVERSATIONS}
        ).fetchall()
        microcosms = connection.execute(FULL_MICROCOSMS, {**values, "count": MICROCOSMS}).fetchall()
        words = searches.words(connection, landmarks["site_id"])
        comments, items, watchers, ignores, marks = connection.execute(SIZES, values).fetchall()[0]
        made = subjects.find(
            connection,
            server,
            host,
            landmarks["site_id"],
            microcosms[0][0],
            [(landmarks["bench_member_1"], member)]
            + [(landmarks[name], token) for name, token in others[:7]],
        )
    return Found(
        host=host,
        tokens=tokens,
        landmarks=landmarks,
        conversations=[item for item, _ in conversations],
        comments=[comment for _, comment in conversations],
        microcosms=[place for (place,) in microcosms],
        subjects=made,
        searches=words,
        words=f"{host}: {len(conversations)} conversations and {len(microcosms)} microcosms in turn; "
        f"longest thread {comments:,} comments, deepest microcosm {items:,} items; "
        f"member with {watchers} watchers, {ignores} ignores, {marks:,} read marks",
    )


def data_of(answer: Answer) -> Any:
    """Return the member `data` of an answer. Raises RuntimeError unless its status is 200."""
    if answer.status != 200:
        raise RuntimeError(f"answered {answer.status}: {answer.body[:200]!r}")
    return json.loads(answer.body)["data"]


def requests(page: Page, found: Found, ask: Ask) -> list[Request]:
    """Return the requests of a page of the table, to be sent in turn. `ask` sends one, to find the last page of
    a list.
    """
    tokens = found.tokens.get(page.who, [None])

    def get(path: str) -> Request:
        return Request("GET", path, found.host, tokens[0])

    kind = page.name.removeprefix(GUEST + "-").removesuffix("-offered")
    if page.is_website:
        return [
            Request("GET", path, found.host, cookie=_cookie(found.host, tokens[0]))
            for path in {
                "web-front": ["/"],
                "web-microcosm": [f"/microcosms/{place}/" for place in found.microcosms],
                "web-conversation": [f"/conversations/{item}/" for item in found.conversations],
            }[kind]
        ]
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
    if kind in ("whoami", "site", "updates", "watchers", "trending", "huddles", "profiles"):
        return [get(f"/api/v1/{kind}")]
    if kind == "permission":
        path = "/api/v1/permission?itemType=conversation&itemId="
        return [get(f"{path}{item}") for item in found.conversations]
    if kind == "front":
        return [get("/api/v1/microcosms")]
    if kind == "microcosm":
        return [get(f"/api/v1/microcosms/{place}") for place in found.microcosms]
    if kind == "conversation":
        return [get(f"/api/v1/conversations/{item}") for item in found.conversations]
    if kind in found.subjects:
        return [get(f"/api/v1/{kind}s/{item}") for item in found.subjects[kind]]
    if kind in found.searches:
        return [get(f"/api/v1/search?q={word}") for word in found.searches[kind]]
    if kind == "comment":
        return [get(f"/api/v1/comments/{comment}") for comment in found.comments]
    if kind.startswith("microcosm-"):
        first = get(f"/api/v1/microcosms/{found.landmarks['deep_microcosm']}")
        return [first if kind == "microcosm-deep" else last_page(first, "items", ask)]
    thread = found.landmarks[THREADS[kind]]
    return [last_page(get(f"/api/v1/conversations/{thread}"), "comments", ask)]


def last_page(first: Request, key: str, ask: Ask) -> Request:
    """Return the request for the last full page of the list under `data.<key>`; a last page of two lines would be too
    cheap.
    """
    page = data_of(ask(first))[key]
    offset = page["total"] // page["limit"] * page["limit"] - page["limit"]
    path = f"{first.path}?offset={offset}" if offset > 0 else first.path
    return Request(first.method, path, first.host, first.token)


def _cookie(host: str, token: str | None) -> str:
    """Return the header Cookie of a browser that is signed in to the website on `host` with this API token; "" for
    None, a guest.
    """
    if token is None:
        return ""
    session = WebSession(token, int(time.time()))
    return f"session={Seal([WEBSITE_SECRET]).seal_session(host, session)}"


def _comment(item: int, text: str) -> bytes:
    number = NUMBER.decode()
    return f'{{"itemType": "conversation", "itemId": {item}, "markdown": "{text} ({number})"}}'.encode()
