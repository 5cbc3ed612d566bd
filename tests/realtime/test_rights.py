"""Tests of whatever decides what somebody may see leaves a mark when it changes, in its transaction; and a look
costs the same
however many listen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.database.connections import Connection, Database, Reader
from forumapi.database.query import Query, Row
from forumapi.errors import Unavailable
from forumapi.events import event_log
from forumapi.models.access import identity
from forumapi.models.journal.journal import Author
from forumapi.models.notifications import live_event_queries
from forumapi.models.pages.document_reader import Documents
from forumapi.models.sites import site_state
from forumapi.models.sites.site_cache import SiteCache
from forumapi.realtime.live_clients import Follow, Frame
from forumapi.realtime.live_service import Live
from forumapi.realtime.topic_names import Topic
from forumapi.wsgi import create_app
from tests.factories import Factory, Person, Site
from tests.fixtures import PLATFORM_DOMAIN
from tests.services import wait_until

BAN = Query(
    "test.live_ban", "INSERT INTO bans (site_id, user_id) VALUES (%(site_id)s, %(user_id)s)"
)

DELETE_SITE = (
    "UPDATE sites SET is_deleted = true, version = version + 1 WHERE site_id = %(id)s RETURNING 1"
)

Change = Callable[[Factory, Site, Person], Any]


def _sql(statement: str) -> Change:
    """A change by SQL: `user` and `profile` are the person's ids, `site` the site's."""

    def change(make: Factory, site: Site, person: Person) -> None:
        make.sql(statement, user=person.user_id, profile=person.id, site=site.id)

    return change


def _leave_a_huddle(make: Factory, site: Site, person: Person) -> None:
    huddle = make.huddle(site.owner, person)
    make.sql(
        "DELETE FROM huddle_participants WHERE item_id = %(item)s AND profile_id = %(profile)s RETURNING 1",
        item=huddle.id,
        profile=person.id,
    )


def _join_a_role(make: Factory, site: Site, person: Person) -> None:
    make.join(make.role(site, site.root_id, "Some", rights=("read",)), person)
    make.settle(site)


# What changes, and whether it is told of everybody.
CHANGES: dict[str, tuple[Change, bool]] = {
    "a token is revoked": (
        _sql("DELETE FROM access_tokens WHERE user_id = %(user)s RETURNING 1"),
        False,
    ),
    "a token ends earlier": (
        _sql("UPDATE access_tokens SET expires = now() WHERE user_id = %(user)s RETURNING 1"),
        False,
    ),
    "a token is limited": (
        _sql("UPDATE access_tokens SET scopes = '{}' WHERE user_id = %(user)s RETURNING 1"),
        False,
    ),
    "a ban": (lambda make, site, person: make.ban(person), False),
    "a ban that ends": (
        _sql(
            """WITH made AS (INSERT INTO bans (site_id, user_id) VALUES (%(site)s, %(user)s) RETURNING ban_id)
               UPDATE bans SET expires = now() WHERE user_id = %(user)s RETURNING 1"""
        ),
        False,
    ),
    "a ban of a domain": (
        _sql(
            "INSERT INTO bans (site_id, email_domain) VALUES (%(site)s, 'x' || %(user)s || '.test') RETURNING 1"
        ),
        True,
    ),
    "a ban everywhere": (
        _sql("UPDATE users SET is_banned = true WHERE user_id = %(user)s RETURNING 1"),
        False,
    ),
    "another address": (
        _sql("UPDATE users SET email = 'y' || email WHERE user_id = %(user)s RETURNING 1"),
        False,
    ),
    "a role": (_join_a_role, False),
    "another owner": (
        _sql("UPDATE sites SET owned_by = %(profile)s WHERE site_id = %(site)s RETURNING 1"),
        True,
    ),
    "a site that demands a second factor": (
        _sql("UPDATE sites SET needs_second_factor = true WHERE site_id = %(site)s RETURNING 1"),
        True,
    ),
    "a second factor": (
        _sql("INSERT INTO one_time_secrets (user_id, secret) VALUES (%(user)s, 'x') RETURNING 1"),
        False,
    ),
    "leaving a huddle": (_leave_a_huddle, False),
    "ignoring somebody": (lambda make, site, person: make.ignore(person, site.owner), False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_rights_is_seen_by_the_next_look(make: Factory, change: str) -> None:
    site = make.site()
    person = make.person(site)
    reader = make.database.read()
    seen = live_event_queries.changes_since(reader, "", [site.id]).snapshot
    assert live_event_queries.changes_since(reader, seen, [site.id]).user_ids == []
    work, is_about_everybody = CHANGES[change]
    work(make, site, person)

    found = live_event_queries.changes_since(reader, seen, [site.id]).user_ids
    reader.end()
    assert (0 if is_about_everybody else person.user_id) in found


def test_what_changes_for_somebody_is_told_of_their_bots_too(make: Factory) -> None:
    site = make.site()
    person, machine, other = (make.person(site) for _ in range(3))
    make.sql(
        """UPDATE profiles SET is_bot = true, bot_owner_id = %(owner)s
            WHERE site_id = %(site)s AND profile_id = %(bot)s RETURNING 1""",
        site=site.id,
        owner=person.id,
        bot=machine.id,
    )
    reader = make.database.read()
    for work in (_join_a_role, CHANGES["a ban"][0]):
        seen = live_event_queries.changes_since(reader, "", [site.id]).snapshot
        work(make, site, person)
        found = live_event_queries.changes_since(reader, seen, [site.id]).user_ids
        assert {person.user_id, machine.user_id} <= {*found}
        assert other.user_id not in found
    reader.end()


def test_rights_are_looked_at_every_five_seconds_without_a_notification() -> None:
    assert Live.POLL_S <= 5.0


def test_a_change_is_seen_once_it_is_committed_and_not_before(make: Factory) -> None:
    site = make.site()
    person = make.person(site)
    reader = make.database.read()
    with make.database.write() as tx:
        tx.run(BAN, site_id=site.id, user_id=person.user_id)
        seen = live_event_queries.changes_since(reader, "", [site.id]).snapshot
        other = make.person(site)
        make.ban(other)
        between = live_event_queries.changes_since(reader, seen, [site.id])
        assert between.user_ids == [other.user_id]

    assert live_event_queries.changes_since(reader, between.snapshot, [site.id]).user_ids == [
        person.user_id
    ]
    reader.end()


def test_what_says_nothing_of_rights_leaves_no_mark(make: Factory) -> None:
    site = make.site()
    chat = make.conversation(site)
    reader = make.database.read()
    seen = live_event_queries.changes_since(reader, "", [site.id]).snapshot
    make.comments(chat, 3)
    make.sql(
        "UPDATE access_tokens SET last_used = now() WHERE user_id = %(user)s RETURNING 1",
        user=site.member.user_id,
    )
    make.sql(
        "UPDATE profiles SET version = version + 1 WHERE profile_id = %(id)s RETURNING 1",
        id=site.member.id,
    )

    assert live_event_queries.changes_since(reader, seen, [site.id]).user_ids == []
    reader.end()


# ---------------------------------------------------------------- what it costs


class Counting(Database):
    """A database that adds up the statements of all its readers."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.readers: list[Reader] = []

    def read(self) -> Reader:
        reader = super().read()
        self.readers.append(reader)
        return reader


class Still(Live):
    """Looks when it is told to, and at no other time."""

    POLL_S = 3600.0  # type: ignore[misc]


class Deaf:
    """A connection that counts what it is told."""

    def __init__(self) -> None:
        self.events = 0

    def push(self, frame: Frame) -> None:
        self.events += b'"itemType":"comment"' in frame.data

    def close(self, code: int, reason: str) -> None:
        """Nothing to close."""

    def ping(self) -> None:
        """Nobody answers."""

    def wait_for_room(self) -> None:
        """There is room."""


@pytest.mark.wide
@pytest.mark.parametrize("followers", [1, 40])
def test_a_look_asks_as_much_of_the_database_however_many_follow(
    database_url: str, make: Factory, followers: int
) -> None:
    site = make.site()
    chat = make.conversation(site)
    database = Counting(database_url)
    app = create_app(
        Config(environment="embedded", platform_domain=PLATFORM_DOMAIN), database_url
    ).app
    directory = SiteCache(database, PLATFORM_DOMAIN)
    documents: Documents = app.documents
    nowhere = "postgresql:///nothing?host=/nonexistent"  # nothing is heard
    pushing = Still(database, directory, documents, lambda: app.config, nowhere)
    reader = database.read()
    found = directory.by_host(site.host, reader)
    reader.end()
    ears = []
    try:
        for _ in range(followers):
            person = make.person(site)
            tx = database.read()
            who = identity.find(
                tx, site.id, person.token, identity.IdentityQuery(identity.IDENTITY)
            )
            tx.end()
            ears.append(Deaf())
            client = pushing.join(found, who, ears[-1])
            topic = Topic(itemtypes.CONVERSATION, chat.id)
            pushing.follow(client, [Follow(topic, wants_documents=True)], None)
        make.comments(chat, 10, by=site.member)
        connection = Connection(database_url, prepare=False, timeout_s=10)
        event_log.number(connection)
        connection.close()
        before = [ear.events for ear in ears]
        database.readers.clear()
        pushing.poll()
        statements = sum(one.statements for one in database.readers)

        assert [ear.events - was for ear, was in zip(ears, before, strict=True)] == [10] * followers
        # Changes, events, facts, comments, their documents, their authors, the conversation that was begun.
        assert statements <= 7
    finally:
        pushing.stop()
        app.database.close()
        database.close()


def test_however_many_come_two_threads_work_and_none_once_it_stops(
    database_url: str, make: Factory
) -> None:
    app = create_app(
        Config(environment="embedded", platform_domain=PLATFORM_DOMAIN), database_url
    ).app
    nowhere = "postgresql:///nothing?host=/nonexistent"
    pushing = Still(app.database, app.sites, app.documents, lambda: app.config, nowhere)
    others = set(threading.enumerate())

    def working() -> list[str]:
        found = [one.name for one in threading.enumerate() if one not in others]
        return sorted(name for name in found if name in ("live", "live-beat"))

    try:
        reader = app.database.read()
        site = app.sites.by_host(make.site().host, reader)
        reader.end()
        for _ in range(3):
            pushing.join(site, identity.GUEST, Deaf())
        assert working() == ["live", "live-beat"]
        pushing.stop()
        pushing.join(site, identity.GUEST, Deaf())
        wait_until(lambda: not working(), "threads go on")
    finally:
        pushing.stop()
        app.database.close()


class Late(Still):
    """Has not looked for longer than changes of rights are kept."""

    SURE_S = 0.0  # type: ignore[misc]


def test_a_process_that_was_away_for_long_asks_who_everybody_is(
    database_url: str, make: Factory
) -> None:
    site = make.site()
    app = create_app(
        Config(environment="embedded", platform_domain=PLATFORM_DOMAIN), database_url
    ).app
    pushing = Late(
        app.database,
        app.sites,
        app.documents,
        lambda: app.config,
        "postgresql:///nothing?host=/nonexistent",
    )
    ear = Ended()
    try:
        reader = app.database.read()
        found = app.sites.by_host(site.host, reader)
        who = identity.find(
            reader, site.id, site.newcomer.token, identity.IdentityQuery(identity.IDENTITY)
        )
        reader.end()
        pushing.join(found, who, ear)
        pushing.poll()
        make.ban(site.newcomer)
        make.sql("DELETE FROM right_changes WHERE user_id = %(id)s", id=site.newcomer.user_id)

        pushing.poll()

        assert ear.codes == [4003]
    finally:
        pushing.stop()
        app.database.close()


class Ended(Deaf):
    """Knows with which codes it was ended."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: list[int] = []

    def close(self, code: int, reason: str) -> None:
        self.codes.append(code)


def test_whoever_closes_one_of_two_connections_is_still_banned_from_the_other(
    database_url: str, make: Factory
) -> None:
    site = make.site()
    app = create_app(
        Config(environment="embedded", platform_domain=PLATFORM_DOMAIN), database_url
    ).app
    nowhere = "postgresql:///nothing?host=/nonexistent"
    pushing = Still(app.database, app.sites, app.documents, lambda: app.config, nowhere)
    ears = [Ended(), Ended()]
    try:
        reader = app.database.read()
        found = app.sites.by_host(site.host, reader)
        who = identity.find(
            reader, site.id, site.newcomer.token, identity.IdentityQuery(identity.IDENTITY)
        )
        reader.end()
        first, _ = [pushing.join(found, who, ear) for ear in ears]
        pushing.poll()
        pushing.leave(first)
        make.ban(site.newcomer)

        pushing.poll()

        assert [ear.codes for ear in ears] == [[], [4003]]
    finally:
        pushing.stop()
        app.database.close()


# A suspended site is deleted to lists and live events; requests find it.
@pytest.mark.parametrize("state", ["", site_state.SUSPENDED])
def test_all_are_disconnected_from_a_site_that_is_deleted_or_suspended(
    database_url: str, make: Factory, state: str
) -> None:
    site, other = make.site(), make.site()
    app = create_app(
        Config(environment="embedded", platform_domain=PLATFORM_DOMAIN), database_url
    ).app
    nowhere = "postgresql:///nothing?host=/nonexistent"
    pushing = Still(app.database, app.sites, app.documents, lambda: app.config, nowhere)
    ears = [Ended(), Ended()]
    try:
        for ear, one in zip(ears, (site, other), strict=True):
            reader = app.database.read()
            found = app.sites.by_host(one.host, reader)
            reader.end()
            pushing.join(found, identity.GUEST, ear)
        pushing.poll()
        assert [ear.codes for ear in ears] == [[], []]
        if state:
            with make.database.write() as tx:
                held = site_state.HeldSite.lock(tx, site.id)
                assert held is not None
                held.set_state(tx, Author(site.id, 0, "", "root"), state)
        else:
            make.sql(DELETE_SITE, id=site.id)

        pushing.poll()

        assert [ear.codes for ear in ears] == [[4004], []]
    finally:
        pushing.stop()
        app.database.close()


class Failing(Database):
    """A database that is away for the statement named `away`, after the first few."""

    away = ""
    passing = 0

    def read(self) -> Reader:
        return FailingReader(self)


class FailingReader(Reader):
    def rows(self, query: Query, **params: object) -> list[Row]:
        database = cast("Failing", self._database)
        if query.name == database.away:
            database.passing -= 1
            if database.passing < 0:
                raise Unavailable
        return super().rows(query, **params)


class Hearing(Deaf):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""

    def push(self, frame: Frame) -> None:
        self.data += frame.data


# While events are read, or delivered, or subscriptions are checked.
@pytest.mark.parametrize(
    ("away", "passing"),
    [("event_log.read", 0), ("live_event_queries.facts", 0), ("live_event_queries.facts", 1)],
)
def test_what_a_poll_that_failed_left_undone_is_done_by_the_next_one(
    database_url: str, make: Factory, away: str, passing: int
) -> None:
    site = make.site()
    place = make.microcosm(site)
    chat = make.conversation(site, microcosm=place)
    app = create_app(
        Config(environment="embedded", platform_domain=PLATFORM_DOMAIN), database_url
    ).app
    database = Failing(database_url)
    directory = SiteCache(database, PLATFORM_DOMAIN)
    documents: Documents = app.documents
    pushing = Still(
        database,
        directory,
        documents,
        lambda: app.config,
        "postgresql:///nothing?host=/nonexistent",
    )
    ear = Hearing()
    try:
        reader = database.read()
        found = directory.by_host(site.host, reader)
        who = identity.find(
            reader, site.id, site.newcomer.token, identity.IdentityQuery(identity.IDENTITY)
        )
        reader.end()
        client = pushing.join(found, who, ear)
        topic = Topic(itemtypes.CONVERSATION, chat.id)
        pushing.follow(client, [Follow(topic, wants_documents=False)], None)
        pushing.poll()
        # Nobody is in this role.
        make.role(site, place.id, "Some", rights=("read",))
        make.comment(chat)
        connection = Connection(database_url, prepare=False, timeout_s=10)
        event_log.number(connection)
        connection.close()
        position = client.listeners.position
        database.away, database.passing = away, passing
        with pytest.raises(Unavailable):
            pushing.poll()
        assert topic in client.follows
        database.away = ""
        pushing.poll()

        assert client.ended == {topic: position}
        assert b'"type":"unsubscribed"' in ear.data
    finally:
        pushing.stop()
        app.database.close()
        database.close()
