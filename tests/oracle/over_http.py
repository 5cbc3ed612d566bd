"""Playing a world over HTTP: one request a case, against what `outcome`, `may` and `listed` say of it.

What a write changes is written down in the world, so that the next cases are asked of what is there then: what a
request was told is found again by all that follow. The first difference ends a world.
"""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

import psycopg

from forumapi import itemtypes
from tests.oracle import draw, limits, outcome, store
from tests.oracle.limits import READING, Scopes, under
from tests.oracle.listed import LISTS, MIXED, ignores, listed
from tests.oracle.may import FLAGS, NEVER, is_site_banned, lineage, may, rights
from tests.oracle.world import (
    ATTENDEE,
    COMMENT,
    CONVERSATION,
    EVENT,
    HUDDLE,
    ITEMS,
    MICROCOSM,
    NOTHING,
    POLL,
    PROFILE,
    Asked,
    Comment,
    Item,
    Microcosm,
    Profile,
    World,
)

# Rows of things that have an address, and those that can be written through it.
READ = (
    "microcosm",
    "profile",
    "comment in an item",
    "comment on a profile",
    "comment in a huddle",
    "huddle",
    "item",
    "attendee",
)
WRITTEN = (MICROCOSM, COMMENT, *ITEMS)
ALL = "limit=250"
# Lists of the whole site or of one person; those of MIXED are of things of several kinds.
WHOLE = ("tree", *LISTS.values(), "huddles", "profiles", *MIXED)
NAMES = {CONVERSATION: "conversation", EVENT: "event", POLL: "poll"}
_TRIES = 10
PARENTS = {**NAMES, HUDDLE: "huddle", PROFILE: "profile"}


class Answer(NamedTuple):
    """The status and the body of an answer."""

    status: int
    body: bytes
    location: str

    @property
    def data(self) -> Any:
        """Return what stands under `data`."""
        return json.loads(self.body)["data"]


class Client:
    """One kept-alive connection, and nothing that a request does not need."""

    def __init__(self, address: tuple[str, int], platform_domain: str) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=60)
        self._domain = platform_domain

    def ask(self, world: World, who: Caller, verb: str, path: str, sent: Any = None) -> Answer:
        """One request on the world's host."""
        headers = {"Host": f"{store.host_key(world)}.{self._domain}"}
        if who.profile_id:
            headers["Authorization"] = f"Bearer {store.token(who.profile_id, who.number)}"
        data = None if sent is None else json.dumps(sent)
        if data is not None:
            headers["Content-Type"] = "application/json"
        for _ in range(_TRIES):
            self._connection.request(verb, f"/api/v1{path}", data, headers)
            answer = self._connection.getresponse()
            body = answer.read()
            # The database had no time on a machine that has none: nothing was written, and the client comes again.
            if answer.status != 503:
                break
        return Answer(answer.status, body, answer.getheader("Location") or "")

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


class Caller(NamedTuple):
    """Caller, under one of their tokens."""

    profile_id: int
    number: int
    scopes: Scopes


class Difference(NamedTuple):
    """A case in which the engine and the oracle disagree."""

    kind: str
    who: Caller
    what: str
    expected: object
    got: object


def follow_all(url: str, worlds: Sequence[World]) -> None:
    """Let everybody follow and bookmark everything that ever was there."""
    with psycopg.connect(url, autocommit=True) as connection:
        for world in worlds:
            for table, columns, every in (
                ("watchers", "site_id, profile_id, item_type_id, item_id", things(world)),
                ("bookmarks", "site_id, profile_id, item_type_id, item_id", marked(world)),
            ):
                connection.execute(
                    f"""INSERT INTO {table} ({columns})
                        SELECT %s, p.id, t.kind, t.id
                          FROM unnest(%s::bigint[]) AS p (id), unnest(%s::smallint[], %s::bigint[]) AS t (kind, id)
                            ON CONFLICT DO NOTHING""",
                    [
                        world.site_id,
                        list(world.profiles),
                        [one.type for one in every],
                        [one.id for one in every],
                    ],
                )


def things(world: World) -> list[Asked]:
    """All that can be followed or ignored."""
    return [
        *(Asked(kind, id) for kind, id in world.items),
        *(Asked(MICROCOSM, id) for id in world.microcosms),
        *(Asked(HUDDLE, id) for id in world.huddles),
        *(Asked(PROFILE, id) for id in world.profiles),
    ]


def marked(world: World) -> list[Asked]:
    """All that can be bookmarked."""
    return [
        *(Asked(kind, id) for kind, id in world.items),
        *(Asked(HUDDLE, id) for id in world.huddles),
        *(Asked(COMMENT, id) for id in world.comments),
    ]


class Play:
    """The cases of one world."""

    def __init__(
        self, random: Random, world: World, foreign: World, client: Client, seen: Counter[Any]
    ) -> None:
        self.random = random
        self.world = world
        self.foreign = foreign
        self.client = client
        self.seen = seen
        self.number = 0
        self.asked = Asked()
        # What each follows and bookmarked; what is written is followed by who wrote it.
        self.follows = {id: set(things(world)) for id in world.profiles}
        # What was posted where everybody follows what is new.
        self.posted: set[Asked] = set()
        self.watched = set(world.microcosms)
        self.marks = {id: set(marked(world)) for id in world.profiles}
        self.kinds: list[tuple[int, str, Callable[[Caller], Difference | None]]] = [
            (20, "permission", self.permission),
            (18, "get", self.get),
            (7, "put", self.put),
            (5, "delete", self.delete),
            (9, "patch", self.patch),
            (10, "post_comment", self.post_comment),
            (4, "post_item", self.post_item),
            (2, "post_microcosm", self.post_microcosm),
            (2, "list_huddles", self.list_huddles),
            (23, "list", self.whole),
        ]

    def cases(self, many: int) -> Difference | None:
        """So many cases, or the first difference among them.

        Guests come first: what they are shown may be a moment old, so they see a world that nobody has changed.
        """
        weights = [weight for weight, _, _ in self.kinds]
        for place in range(many):
            self.number += 1
            _, name, play = self.random.choices(self.kinds, weights)[0]
            who = self.caller(is_guest=place < many // 8)
            found = play(who)
            if found is not None:
                return found
            self.seen[name, "cases"] += 1
        return None

    def about(self) -> str:
        """Return what was asked for last, and what it stands in, in words."""
        found: list[object] = []
        asked = self.asked
        if asked.type == COMMENT and asked.id in self.world.comments:
            comment = self.world.comments[asked.id]
            found.append(comment)
            asked = Asked(comment.parent_type, comment.parent_id)
        if asked.type in ITEMS and (asked.type, asked.id) in self.world.items:
            item = self.world.items[asked.type, asked.id]
            found.append(item)
            asked = Asked(MICROCOSM, item.microcosm_id)
        if asked.type == MICROCOSM and asked.id in self.world.microcosms:
            found += [self.world.microcosms[id] for id in lineage(self.world, asked.id)]
        if asked.type == HUDDLE:
            found.append(self.world.huddles.get(asked.id))
        return f"of {found} on a site of {self.world.owned_by}"

    def caller(self, *, is_guest: bool) -> Caller:
        """Somebody, under one of their tokens."""
        if is_guest:
            return Caller(0, 0, None)
        person = self.random.choice(list(self.world.profiles.values()))
        return self.under_a_token(person)

    def under_a_token(self, person: Profile) -> Caller:
        """A person under one of their tokens, mostly the one without limits."""
        number = self.random.randrange(len(person.tokens)) if self.random.random() < 0.5 else 0
        return Caller(person.id, number, person.tokens[number])

    def drawn(self, who: Caller, row: str) -> tuple[Caller, Asked]:
        """A thing of a row of platform 5.4's table, and who asks for it: not a guest becomes whom it belongs to."""
        profile_id, asked = draw.question(self.random, self.world, row, self.foreign)
        if who.profile_id and profile_id:
            who = self.under_a_token(self.world.profiles[profile_id])
        return who, asked

    def expected(self, who: Caller, scope: str, status: Callable[[World], int]) -> int:
        """The status of a request whose address takes `scope`."""
        if not limits.allows(who.scopes, scope):
            return outcome.FORBIDDEN
        return status(under(self.world, who.profile_id, who.scopes))

    # ------------------------------------------------------------ one thing

    def permission(self, who: Caller) -> Difference | None:
        """All flags of any question of the table."""
        rows = [row for row in draw.ROWS if row not in ("attendee", "others")]
        who, asked = self.drawn(who, self.random.choice(rows))
        query = "&".join(
            f"{name}={value}"
            for name, value in (
                ("itemType", itemtypes.name_of(asked.type) if asked.type else ""),
                ("itemId", asked.id),
                ("microcosmId", asked.microcosm_id),
            )
            if value
        )
        answer = self.client.ask(self.world, who, "GET", f"/permission?{query}")
        status = 200
        if is_site_banned(self.world, who.profile_id) or not limits.allows(
            who.scopes, "permission:read"
        ):
            status = 403
        found = self.check("permission", who, query, status, answer)
        if found is not None or status != 200:
            return found
        world = under(self.world, who.profile_id, who.scopes)
        flags = sorted(rights(world, who.profile_id, asked))
        got = sorted(name for name in FLAGS if answer.data[name])
        return Difference("permission", who, query, flags, got) if flags != got else None

    def one(self, who: Caller, types: Sequence[int], *, but: int = 0) -> tuple[Caller, Asked, str]:
        """A thing of one of some types that has an address, who asks for it, and the address; not the microcosm `but`,
        which stays as it is."""
        while True:
            row = self.random.choice(READ)
            who, asked = self.drawn(who, row)
            if asked.type not in types or asked == Asked(MICROCOSM, but, asked.microcosm_id):
                continue
            asked = self.asked = Asked(asked.type, asked.id or NEVER)
            return who, asked, self.path(asked)

    def path(self, asked: Asked) -> str:
        """The address of a thing below /api/v1."""
        if asked.type == ATTENDEE:
            found = self.world.attendees.get(asked.id)
            event, person = (found.event_id, found.profile_id) if found else (NEVER, NEVER)
            return f"/events/{event}/attendees/{person}"
        return itemtypes.href(asked.type, asked.id).removeprefix("/api/v1")

    def check(
        self, kind: str, who: Caller, what: str, expected: int, answer: Answer
    ) -> Difference | None:
        """The difference between two statuses, if there is one."""
        self.seen[kind, expected] += 1
        if answer.status == expected:
            return None
        return Difference(kind, who, what, expected, (answer.status, answer.body[:300]))

    def get(self, who: Caller) -> Difference | None:
        """GET of one."""
        who, asked, path = self.one(who, (MICROCOSM, PROFILE, COMMENT, HUDDLE, *ITEMS, ATTENDEE))
        expected = self.expected(
            who,
            READING[EVENT if asked.type == ATTENDEE else asked.type],
            lambda world: outcome.get(world, who.profile_id, asked),
        )
        answer = self.client.ask(self.world, who, "GET", path)
        return self.check("get", who, f"GET {path}", expected, answer)

    def put(self, who: Caller) -> Difference | None:
        """PUT of one."""
        who, asked, path = self.one(who, WRITTEN)
        name = "comment" if asked.type == COMMENT else "item"
        text = f"An {name} changed {self.number}"
        body: dict[str, Any] = {"meta": {"editReason": "Asked"}}
        if asked.type == COMMENT:
            body["markdown"] = text
        elif asked.type != MICROCOSM:
            body["title"] = text
        expected = self.expected(
            who, _writing(asked.type), lambda world: outcome.put(world, who.profile_id, asked)
        )
        answer = self.client.ask(self.world, who, "PUT", path, body)
        return self.check("put", who, f"PUT {path}", expected, answer)

    def delete(self, who: Caller) -> Difference | None:
        """DELETE of one; of a huddle it is to leave."""
        who, asked, path = self.one(who, (*WRITTEN, HUDDLE), but=self.world.root_id)
        expected = self.expected(
            who, _writing(asked.type), lambda world: outcome.delete(world, who.profile_id, asked)
        )
        answer = self.client.ask(self.world, who, "DELETE", path)
        found = self.check("delete", who, f"DELETE {path}", expected, answer)
        if found is None and expected == outcome.OK:
            self.hide(who, asked)
        return found

    def hide(self, who: Caller, asked: Asked) -> None:
        """Apply what a DELETE that was answered with 200 has changed: nothing of what was out of sight already."""
        if asked.type == HUDDLE:
            self.world.huddles[asked.id].participants.discard(who.profile_id)
        elif outcome.is_deleted_by(self.world, who.profile_id, asked):
            self.flag(who, asked, "is_deleted", True)

    def flag(self, who: Caller, asked: Asked, flag: str, value: bool) -> None:
        """A flag of a thing, the counters of its author that follow from what is seen of it, and the reasons."""
        thing = self.thing(asked)
        before = not any(outcome.own_state(self.world, asked))
        is_others = outcome.author_of(self.world, asked) not in (0, who.profile_id)
        hides = value and flag != "is_open" and not getattr(thing, flag)
        if hides and is_others and outcome.moderates(self.world, who.profile_id, asked):
            self.world.stated.add((asked.type, asked.id))
        setattr(thing, flag, value)
        by = (not any(outcome.own_state(self.world, asked))) - before
        if isinstance(thing, Comment):
            self.world.profiles[thing.author].comment_count += by
        elif asked.type == CONVERSATION:
            self.world.profiles[thing.author].item_count += by

    def thing(self, asked: Asked) -> Any:
        """The record of a thing that can be hidden."""
        if asked.type == COMMENT:
            return self.world.comments[asked.id]
        if asked.type == MICROCOSM:
            return self.world.microcosms[asked.id]
        return self.world.items[asked.type, asked.id]

    def patch(self, who: Caller) -> Difference | None:
        """PATCH of one flag."""
        who, asked, path = self.one(who, WRITTEN, but=self.world.root_id)
        flags = ["deleted", "moderated"]
        if asked.type in ITEMS:
            flags += ["open", "open", "sticky"]
        named, value = self.random.choice(flags), self.random.random() < 0.5
        expected = self.expected(
            who,
            _writing(asked.type),
            lambda world: outcome.patch(world, who.profile_id, asked, named, value),
        )
        change = [{"op": "replace", "path": f"/meta/flags/{named}", "value": value}]
        answer = self.client.ask(self.world, who, "PATCH", path, change)
        found = self.check("patch", who, f"PATCH {path} {named} {value}", expected, answer)
        if found is None and expected == outcome.OK and named != "sticky":
            self.flag(who, asked, f"is_{named}", value)
        return found

    # ------------------------------------------------------------ new things

    def post_comment(self, who: Caller) -> Difference | None:
        """POST of a comment on anything."""
        who, on, _ = self.one(who, (PROFILE, HUDDLE, *ITEMS))
        body = {
            "itemType": PARENTS[on.type],
            "itemId": on.id,
            "markdown": f"Comment new {self.number}",
        }
        expected = self.expected(
            who, "comments:write", lambda world: outcome.post_comment(world, who.profile_id, on)
        )
        answer = self.client.ask(self.world, who, "POST", "/comments", body)
        found = self.check("post_comment", who, f"POST /comments {body}", expected, answer)
        if found is None and expected == outcome.MOVED:
            made = Comment(_id(answer), on.type, on.id, who.profile_id)
            self.world.comments[made.id] = made
            self.world.profiles[who.profile_id].comment_count += 1
            self.follows[who.profile_id].add(on)
        return found

    def post_item(self, who: Caller) -> Difference | None:
        """POST of a conversation, event or poll."""
        item_type = self.random.choice(ITEMS)
        place = self.random.choice([*self.world.microcosms, *self.foreign.microcosms, NEVER])
        if place not in self.world.microcosms and self.random.random() < 0.7:
            place = self.random.choice(list(self.world.microcosms))
        body: dict[str, Any] = {"microcosmId": place, "title": f"Item new {self.number}"}
        if item_type == EVENT:
            body |= {"when": "2031-05-01T10:00:00Z", "duration": 60}
        if item_type == POLL:
            body |= {"question": "Which?", "choices": [{"choice": "This"}, {"choice": "That"}]}
        path = f"/{LISTS[item_type]}"
        expected = self.expected(
            who,
            _writing(item_type),
            lambda world: outcome.post_item(world, who.profile_id, item_type, place),
        )
        answer = self.client.ask(self.world, who, "POST", path, body)
        found = self.check("post_item", who, f"POST {path} {body}", expected, answer)
        if found is None and expected == outcome.MOVED:
            made = Item(item_type, _id(answer), place, who.profile_id)
            self.world.items[item_type, made.id] = made
            self.follows[who.profile_id].add(Asked(item_type, made.id))
            if place in self.watched:
                self.posted.add(Asked(item_type, made.id))
            if item_type == CONVERSATION:
                self.world.profiles[who.profile_id].item_count += 1
        return found

    def post_microcosm(self, who: Caller) -> Difference | None:
        """POST of a microcosm below another one."""
        parent = self.random.choice([*self.world.microcosms, NEVER])
        body = {
            "parentId": parent,
            "title": f"Microcosm new {self.number}",
            "description": "A place",
            "itemTypes": ["microcosm", *NAMES.values()],
        }
        expected = self.expected(
            who,
            "microcosms:write",
            lambda world: outcome.post_microcosm(world, who.profile_id, parent),
        )
        answer = self.client.ask(self.world, who, "POST", "/microcosms", body)
        found = self.check("post_microcosm", who, f"POST /microcosms {body}", expected, answer)
        if found is None and expected == outcome.MOVED:
            made = Microcosm(_id(answer), parent, who.profile_id, who.profile_id)
            self.world.microcosms[made.id] = made
        return found

    # ------------------------------------------------------------ lists

    def list_huddles(self, who: Caller) -> Difference | None:
        """Check that there is a list of own huddles."""
        expected = self.expected(
            who, "huddles:read", lambda world: outcome.list_huddles(world, who.profile_id)
        )
        answer = self.client.ask(self.world, who, "GET", "/huddles")
        return self.check("list_huddles", who, "GET /huddles", expected, answer)

    def whole(self, who: Caller) -> Difference | None:
        """A list as a whole: what stands in it, each once, and that it counts these."""
        where = self.random.choice(
            (*WHOLE, "microcosm", "comments", "comments", "updates", "search")
        )
        if where in ("microcosm", "comments"):
            return self.page_of(who, where)
        if where == "search":
            return self.search(who)
        scope, path, keys, allowed = self._simple(who, where)
        person = self.world.profiles.get(who.profile_id)
        status = self.expected(who, scope, lambda _: 200 if allowed else 403)
        if is_site_banned(self.world, who.profile_id):
            status = 403
        answer = self.client.ask(self.world, who, "GET", path)
        candidates = {
            "bookmarks": lambda: self.marks[who.profile_id],
            "watchers": lambda: self.follows[who.profile_id],
            "updates": lambda: self.news(who),
            "ignored": lambda: {Asked(*one) for one in person.ignored} if person else set(),
            "huddles": lambda: {Asked(HUDDLE, id) for id in self.world.huddles},
            "profiles": lambda: {Asked(PROFILE, id) for id in self.world.profiles},
            "tree": lambda: {Asked(MICROCOSM, id) for id in self.world.microcosms},
        }.get(where, lambda: {Asked(*one) for one in self.world.items})
        return self.compare(where, who, path, status, answer, keys, candidates)

    def news(self, who: Caller) -> set[Asked]:
        """Return possible news: of each thing that is followed the newest comment, and what was posted."""
        found = set(self.posted)
        world = under(self.world, who.profile_id, who.scopes)
        for thing in self.follows[who.profile_id]:
            on = [
                comment.id
                for comment in world.comments.values()
                if (comment.parent_type, comment.parent_id) == (thing.type, thing.id)
                and not comment.is_deleted
                and not comment.is_moderated
                and not ignores(world, who.profile_id, PROFILE, comment.author)
            ]
            if on:
                # On an item they are counted, on a profile they have nothing but their ids.
                found.add(Asked(COMMENT, max(on) if thing.type == PROFILE else on[-1]))
        return found

    def _simple(self, who: Caller, where: str) -> tuple[str, str, tuple[str, ...], bool]:
        """(scope, address, keys of the page, whether the person may see the list) of a list of the whole site."""
        is_theirs = who.profile_id != 0
        if where == "tree":
            return "microcosms:read", "/microcosms/tree", (), True
        if where in LISTS.values():
            root = Asked(MICROCOSM, self.world.root_id)
            allowed = may(self.world, who.profile_id, "read", root)
            return f"{where}:read", f"/{where}?{ALL}", (where,), allowed
        if where == "huddles":
            is_theirs = outcome.list_huddles(self.world, who.profile_id) == outcome.OK
        if where == "profiles":
            return "profiles:read", f"/profiles?{ALL}", ("profiles",), True
        return f"{where}:read", f"/{where}?{ALL}", (where,), is_theirs

    def compare(
        self,
        where: str,
        who: Caller,
        path: str,
        status: int,
        answer: Answer,
        keys: Sequence[str],
        candidates: Callable[[], set[Asked]],
        of: Asked = NOTHING,
    ) -> Difference | None:
        """The difference between a list and what the oracle says stands in it."""
        found = self.check(where, who, f"GET {path}", status, answer)
        if found is not None or status != 200:
            return found
        expected = {
            one
            for one in candidates()
            if listed(self.world, who.profile_id, one, where, of, scopes=who.scopes)
        }
        return self._differs(where, who, path, expected, answer.data, keys)

    def _differs(
        self,
        where: str,
        who: Caller,
        path: str,
        expected: set[Asked],
        data: Any,
        keys: Sequence[str],
    ) -> Difference | None:
        page = data
        for key in keys:
            page = page[key]
        entries = page if isinstance(page, list) else page["items"]
        # Decisions about somebody's own things are told them whatever they may read.
        told = [
            one
            for one in entries
            if where == "updates" and one["itemType"] not in itemtypes.BY_NAME
        ]
        entries = [one for one in entries if one not in told]
        got = [_named(one, where) for one in entries]
        total = page.get("total", len(got)) if isinstance(page, dict) else len(got)
        total -= len(told)
        self.seen[where, "shown"] += len(got)
        wanted = {(one.type, one.id) for one in expected}
        if set(got) != wanted or total != len(got) or len(set(got)) != len(got):
            more, less = sorted(set(got) - wanted), sorted(wanted - set(got))
            return Difference(
                where, who, f"GET {path}", ("lacks", less, len(wanted)), (more, total)
            )
        return None

    def page_of(self, who: Caller, where: str) -> Difference | None:
        """The page that one thing holds: of a microcosm its places and items, of others their comments."""
        types = (MICROCOSM,) if where == "microcosm" else (HUDDLE, *ITEMS)
        who, asked, path = self.one(who, types)
        status = self.expected(
            who, READING[asked.type], lambda world: outcome.get(world, who.profile_id, asked)
        )
        path = f"{path}?{ALL}"
        answer = self.client.ask(self.world, who, "GET", path)
        keys = ("items",) if where == "microcosm" else ("comments",)

        def candidates() -> set[Asked]:
            if where == "comments":
                return {Asked(COMMENT, id) for id in self.world.comments}
            return {
                *(Asked(*one) for one in self.world.items),
                *(Asked(MICROCOSM, id) for id in self.world.microcosms),
            }

        return self.compare(where, who, path, status, answer, keys, candidates, asked)

    def search(self, who: Caller) -> Difference | None:
        """A search by words or by filters."""
        text, types = self.random.choice(SEARCHES)
        path = f"/search?{ALL}&q={quote(text)}" + "".join(
            f"&type={itemtypes.name_of(kind)}" for kind in types
        )
        status = 403 if is_site_banned(self.world, who.profile_id) else 200
        status = self.expected(who, "search:read", lambda _: status)
        answer = self.client.ask(self.world, who, "GET", path)
        kinds = types or tuple(WORDS)

        def candidates() -> set[Asked]:
            every = {*things(self.world), *(Asked(COMMENT, id) for id in self.world.comments)}
            found = {one for one in every if one.type in kinds}
            if COMMENT in kinds and types and len(kinds) > 1:
                # Comments on things of the types that are named.
                found = {
                    one
                    for one in found
                    if one.type != COMMENT or self.world.comments[one.id].parent_type in kinds
                }
            return found

        return self.compare("search", who, path, status, answer, ("results",), candidates)


# What store.py and the cases call things.
WORDS = {MICROCOSM: "microcosm", COMMENT: "comment", HUDDLE: "item", **dict.fromkeys(ITEMS, "item")}
SEARCHES: list[tuple[str, tuple[int, ...]]] = [
    ("item OR comment OR microcosm", ()),
    *((WORDS[kind], (kind,)) for kind in WORDS),
    *(("", (kind,)) for kind in (*WORDS, PROFILE)),
    ("item OR comment", (*ITEMS, COMMENT)),
    ("", (*ITEMS, COMMENT)),
]


def _writing(item_type: int) -> str:
    """The scope of writing things of a type."""
    return READING[item_type].replace(":read", ":write")


def _id(answer: Answer) -> int:
    """The number of what was made."""
    return int(answer.location.rpartition("/")[2])


def _named(entry: Any, where: str) -> tuple[int, int]:
    """The type and id of an entry of a list."""
    if where in ("watchers", "bookmarks", "ignored"):
        return itemtypes.BY_NAME[entry["itemType"]].id, entry["itemId"]
    if where in ("microcosm", "search", "updates"):
        return itemtypes.BY_NAME[entry["itemType"]].id, entry["item"]["id"]
    kinds = {"tree": MICROCOSM, "comments": COMMENT, "huddles": HUDDLE, "profiles": PROFILE}
    kinds |= {name: kind for kind, name in LISTS.items()}
    return kinds[where], entry["id"]


def deal(cases: int, a_world: int) -> list[int]:
    """Return how many cases each world has, so that there are `cases` in all."""
    whole, rest = divmod(cases, a_world)
    return [a_world] * whole + ([rest] if rest else [])
