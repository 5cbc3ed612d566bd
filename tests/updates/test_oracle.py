"""Lists, counts and tellings on random sites, against the oracle's account of who may see what (discovery 2.4, 2.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import pytest

from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.events.event_log import LoggedEvent
from forumapi.models.journal import journal
from forumapi.updates.dispatch import Dispatch
from forumapi.updates.message_request import MessageRequest
from tests.api import Api
from tests.factories import Factory
from tests.oracle import compare, draw, store
from tests.oracle.listed import ignores, may_list
from tests.oracle.may import is_site_banned, knows, lineage, may
from tests.oracle.outcome import is_live
from tests.oracle.world import (
    COMMENT,
    EVENT,
    HUDDLE,
    ITEMS,
    MICROCOSM,
    POLL,
    PROFILE,
    SITE,
    Asked,
    Comment,
    World,
)

SEED = 1905
WORLDS = 40

TYPES = {
    2: "reply_to_comment",
    3: "mentioned",
    5: "new_attendee",
    7: "event_reminder",
    10: "event_invitation",
}


@dataclass
class Heard:
    """Record of what people of a world follow and were told, and which polls somebody voted in."""

    # profile -> (type, id) of what they follow
    watched: dict[int, set[tuple[int, int]]] = field(default_factory=dict)
    # (profile, type of update, item type, id, actor)
    told: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    coming: set[tuple[int, int]] = field(default_factory=set)  # (event, profile)
    voted: set[int] = field(default_factory=set)


def draw_heard(random: Random, world: World) -> Heard:
    """Return what they follow and were told, at random; rights do not matter here."""
    heard = Heard()
    things = [
        *world.items,
        *((HUDDLE, id) for id in world.huddles),
        *((PROFILE, id) for id in world.profiles),
        *((MICROCOSM, id) for id in world.microcosms),
    ]
    events = [id for kind, id in world.items if kind == EVENT]
    for person in world.profiles:
        heard.watched[person] = {thing for thing in things if random.random() < 0.5}
        if random.random() < 0.2:
            heard.watched[person].add((SITE, world.site_id))
        for comment in world.comments.values():
            if random.random() < 0.4:
                kind = random.choice((2, 3))
                heard.told.append((person, kind, COMMENT, comment.id, comment.author))
        for event in events:
            for actor in world.profiles:
                if random.random() < 0.15:
                    heard.told.append((person, 5, EVENT, event, actor))
            if random.random() < 0.5:
                author = world.items[EVENT, event].author
                heard.told.append((person, 7, EVENT, event, author))
            if random.random() < 0.5:
                inviter = random.choice(list(world.profiles))
                heard.told.append((person, 10, EVENT, event, inviter))
    heard.coming = {(a.event_id, a.profile_id) for a in world.attendees.values()}
    heard.voted = {id for kind, id in world.items if kind == POLL and random.random() < 0.5}
    return heard


def save(make: Factory, world: World, heard: Heard) -> None:
    """Write it beside the world, whose comments get times and whose items get their last ones."""
    site = world.site_id
    make.sql("DELETE FROM watchers WHERE site_id = %(site)s", site=site)
    make.sql(FORGET, site=site)
    with make.database.write() as tx:
        for statement, rows in (
            (WATCH, [(p, kind, id) for p, all in heard.watched.items() for kind, id in all]),
            (TELL, heard.told),
        ):
            columns = list(zip(*rows, strict=True)) if rows else []
            names = "abcde"[: len(columns)]
            if columns:
                tx.run(
                    statement,
                    site=site,
                    **{name: list(column) for name, column in zip(names, columns, strict=True)},
                )
        for query in SETTLE:
            tx.run(query, site=site, voted=sorted(heard.voted))


WATCH = Query(
    "test.oracle_watch",
    """
    INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, created, send_email)
    SELECT %(site)s, w.*, now() - interval '1 day', true
      FROM unnest(%(a)s::bigint[], %(b)s::smallint[], %(c)s::bigint[]) w""",
)
TELL = Query(
    "test.oracle_tell",
    """
    INSERT INTO updates (site_id, profile_id, update_type_id, item_type_id, item_id, created_by)
    SELECT %(site)s, u.*
      FROM unnest(%(a)s::bigint[], %(b)s::smallint[], %(c)s::smallint[], %(d)s::bigint[], %(e)s::bigint[]) u
        ON CONFLICT DO NOTHING""",
)
SETTLE = (
    Query(
        "test.oracle_times",
        """
        UPDATE comments c
           SET created = now() - interval '1 hour' + c.comment_id %% 1000 * interval '1 second'
         WHERE c.site_id = %(site)s AND %(voted)s::bigint[] IS NOT NULL""",
    ),
    Query(
        "test.oracle_last",
        """
        UPDATE items i
           SET last_comment_id = c.comment_id, last_comment_at = c.created, last_comment_by = c.created_by
          FROM comments c
         WHERE i.site_id = %(site)s AND c.site_id = i.site_id AND c.item_id = i.item_id
           AND NOT c.is_deleted AND NOT c.is_moderated AND %(voted)s::bigint[] IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM comments l
                            WHERE l.item_id = c.item_id AND l.seq > c.seq AND NOT l.is_deleted
                              AND NOT l.is_moderated)""",
    ),
    Query(
        "test.oracle_coming",
        """
        UPDATE attendees a SET state_id = 1
         WHERE a.site_id = %(site)s AND %(voted)s::bigint[] IS NOT NULL""",
    ),
    Query(
        "test.oracle_voted",
        """
        UPDATE polls p SET voted = now()
         WHERE p.site_id = %(site)s AND p.item_id = ANY(%(voted)s::bigint[])""",
    ),
)


@pytest.fixture(scope="module")
def worlds(database_url: str, make: Factory) -> list[tuple[World, Heard]]:
    """Random sites with what their people follow and were told, stored."""
    random = Random(SEED)
    now = compare.clock(make.database)
    ids = draw.Ids()
    made = [draw.world(random, ids, now) for _ in range(WORLDS)]
    store.save(database_url, made, skip_triggers=True)
    store.settle(make.database, made)
    found = []
    for world in made:
        heard = draw_heard(random, world)
        save(make, world, heard)
        found.append((world, heard))
    return found


# ---------------------------------------------------------------- the list


def is_shown(world: World, me: int, comment: Comment) -> bool:
    """Return whether a comment and what it is on may stand in the list of `me`."""
    return (
        not comment.is_deleted
        and not comment.is_moderated
        and is_parent_shown(world, me, comment.parent_type, comment.parent_id)
    )


def is_parent_shown(world: World, me: int, kind: int, id: int) -> bool:
    """The same for an item, huddle or profile."""
    if kind == PROFILE:
        return not ignores(world, me, PROFILE, id)
    if kind == HUDDLE:
        return me in world.huddles[id].participants and not ignores(world, me, HUDDLE, id)
    return may_list(world, me, Asked(kind, id))


def expected(world: World, heard: Heard, me: int) -> set[tuple[str, str, int, int]]:
    """(update type, item type, item, actor) of each entry of the list of `me`."""

    def ignored(who: int) -> bool:
        return ignores(world, me, PROFILE, who)

    found: set[tuple[str, str, int, int]] = set()
    mine = heard.watched[me]
    for kind, id in mine:
        comments = [
            c
            for c in world.comments.values()
            if (c.parent_type, c.parent_id) == (kind, id)
            and is_shown(world, me, c)
            and not ignored(c.author)
        ]
        if comments:
            last = max(comments, key=lambda c: c.id)
            name = "new_comment_in_huddle" if kind == HUDDLE else "new_comment"
            found.add((name, "comment", last.id, last.author))
    for who, kind, _, id, actor in heard.told:
        if who != me or ignored(actor):
            continue
        if kind in (2, 3):
            if is_shown(world, me, world.comments[id]):
                found.add((TYPES[kind], "comment", id, actor))
        elif may_list(world, me, Asked(EVENT, id)):
            follows = (EVENT, id) in mine if kind == 5 else (id, me) in heard.coming
            if follows:
                found.add((TYPES[kind], "event", id, actor))
    for item in world.items.values():
        asked = Asked(item.type, item.id)
        name = {6: "conversation", 7: "poll", 9: "event"}[item.type]
        if ignored(item.author) or not may_list(world, me, asked):
            continue
        if (MICROCOSM, item.microcosm_id) in mine or (SITE, world.site_id) in mine:
            found.add(("new_item", name, item.id, item.author))
        if item.id in heard.voted and (POLL, item.id) in mine:
            found.add(("new_vote", "poll", item.id, item.author))
    return found


def test_a_list_shows_and_counts_exactly_what_the_oracle_says(api: Api, worlds) -> None:
    seen: dict[str, int] = {}
    for world, heard in worlds:
        host = f"{store.host_key(world)}.forum.test"
        for me in world.profiles:
            answer = api.get("/api/v1/updates?limit=250", host=host, token=store.token(me))
            if is_site_banned(world, me):
                assert answer.status == 403
                continue
            page = answer.data["updates"]
            got = [
                (e["updateType"], e["itemType"], e["item"]["id"], e["meta"]["createdBy"]["id"])
                for e in page["items"]
            ]
            wanted = expected(world, heard, me)
            assert set(got) == wanted, (world.site_id, me)
            assert page["total"] == len(got) == len(wanted)
            for entry in wanted:
                seen[entry[0]] = seen.get(entry[0], 0) + 1
    assert min(seen.values()) > 20, seen
    assert len(seen) == 9


# ---------------------------------------------------------------- who is told


class Undone(Exception):
    """Record of what was told is taken back."""


def tell(
    make: Factory, world: World, event: LoggedEvent, named: Sequence[int] = ()
) -> tuple[set[int], set[int]]:
    """(who got a row, who gets a mail) for one event, with these people named in its comment; nothing of it stays."""
    mail_requests: list[MessageRequest] = []
    rows: list[tuple[int]] = []
    dispatch = Dispatch(lambda tx, site_id, some: mail_requests.extend(some))
    with pytest.raises(Undone), make.database.write() as tx:
        tx.run(NAME_THEM, site=world.site_id, comment=event.item_id, people=list(named))
        before = newest(tx, world.site_id)
        dispatch.work(tx, world.site_id, [event])
        rows = tx.rows(ROWS, site=world.site_id, after=before)
        raise Undone
    mailed = [one.profile_id for one in mail_requests]
    assert len(mailed) == len(set(mailed))
    return {row[0] for row in rows}, set(mailed)


NAME_THEM = Query(
    "test.oracle_name",
    """
    INSERT INTO comment_mentions (site_id, comment_id, profile_id)
    SELECT %(site)s, %(comment)s, p.id FROM unnest(%(people)s::bigint[]) AS p (id)""",
)
NEWEST = Query(
    "test.oracle_newest", "SELECT max(u.update_id) FROM updates u WHERE u.site_id = %(site)s"
)
ROWS = Query(
    "test.oracle_rows",
    "SELECT u.profile_id FROM updates u WHERE u.site_id = %(site)s AND u.update_id > %(after)s",
)
FORGET = "DELETE FROM updates WHERE site_id = %(site)s"


def newest(tx: Transaction, site_id: int) -> int:
    """The id of a site's newest update."""
    return int(tx.value(NEWEST, site=site_id) or 0)


def event_of(world: World, kind: int, id: int, actor: int) -> LoggedEvent:
    """The event of the log that the making of a thing leaves."""
    return LoggedEvent(1, journal.CREATED, kind, id, 0, 0, 0, actor, 1, False, world.now)


def wants(world: World, me: int, actor: int, kind: int, id: int, place: int | None) -> bool:
    """Neither the actor nor ignoring any of actor, thing and where it stands."""
    return (
        me != actor
        and not ignores(world, me, PROFILE, actor)
        and not ignores(world, me, kind, id)
        and not (place and any(ignores(world, me, MICROCOSM, up) for up in lineage(world, place)))
    )


@pytest.mark.wide
def test_a_comment_is_told_to_exactly_those_who_may_read_it_and_want_to(
    make: Factory, worlds
) -> None:
    told = mails = 0
    for world, heard in worlds[: WORLDS // 2]:
        make.sql(FORGET, site=world.site_id)
        for comment in world.comments.values():
            kind, id = comment.parent_type, comment.parent_id
            place = world.items[kind, id].microcosm_id if kind in ITEMS else None
            asked = Asked(COMMENT, comment.id)
            readers = {
                me
                for me in world.profiles
                if knows(world, me, asked)
                and may(world, me, "read", asked)
                and is_live(world, asked)
                and wants(world, me, comment.author, kind, id, place)
            }
            follows = {(kind, id)}
            if place:
                follows |= {(MICROCOSM, place), (SITE, world.site_id)}
            followers = {me for me in readers if follows & heard.watched[me]}
            event = event_of(world, COMMENT, comment.id, comment.author)

            rows, mailed = tell(make, world, event, list(world.profiles))

            assert (rows, mailed) == (readers, followers), (world.site_id, comment)
            told += len(rows)
            mails += len(mailed)
    assert told > 200
    assert mails > 100


@pytest.mark.wide
def test_a_new_item_is_mailed_to_exactly_those_who_may_read_it_and_want_to(
    make: Factory, worlds
) -> None:
    mails = 0
    for world, heard in worlds:
        for item in world.items.values():
            asked = Asked(item.type, item.id)
            follows = {(MICROCOSM, item.microcosm_id), (SITE, world.site_id)}
            readers = {
                me
                for me in world.profiles
                if follows & heard.watched[me]
                and may(world, me, "read", asked)
                and is_live(world, asked)
                and wants(world, me, item.author, item.type, item.id, item.microcosm_id)
            }

            rows, mailed = tell(make, world, event_of(world, item.type, item.id, item.author))

            assert (rows, mailed) == (set(), readers), (world.site_id, item)
            mails += len(mailed)
    assert mails > 50
