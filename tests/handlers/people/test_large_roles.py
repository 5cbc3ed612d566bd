"""Roles of a large site: whoever writes there does not wait for a change that moves thousands of profiles."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from forumapi.config import Config
from forumapi.database.connections import Database
from forumapi.errors import BadGateway
from forumapi.models.roles import role_recomputation
from forumapi.models.roles.criterion import Criterion
from forumapi.models.roles.role_recomputation_queue import Settling
from forumapi.models.roles.role_recomputation_worker import Settler
from tests.api import Response
from tests.factories import Factory, Site, Thing
from tests.fixtures import Server

CROWD = 600
Role = tuple[Site, int]

ADD_CROWD = """
    WITH people AS (
        INSERT INTO users (email, canonical_email, person_key, email_verified)
        SELECT a.email, a.email, a.email, true
          FROM (SELECT 'crowd' || n || 'x' || %(s)s::bigint || '@example.test' AS email
                  FROM generate_series(1, %(n)s::int) AS n) a
     RETURNING user_id),
    made AS (
        INSERT INTO profiles (site_id, user_id, profile_name)
        SELECT %(s)s::bigint, p.user_id, 'crowd' || p.user_id FROM people p
     RETURNING site_id, profile_id, profile_name),
    options AS (INSERT INTO profile_options (site_id, profile_id) SELECT m.site_id, m.profile_id FROM made m)
    INSERT INTO profile_counters (site_id, profile_id, name_key)
    SELECT m.site_id, m.profile_id, m.profile_name FROM made m"""


@pytest.fixture(scope="module")
def crowd(make: Factory) -> Site:
    """A site with more people than one transaction moves."""
    site = make.site()
    make.sql(ADD_CROWD, s=site.id, n=CROWD)
    return site


@pytest.fixture
def place(make: Factory, crowd: Site) -> Thing:
    """A microcosm of the site."""
    return make.microcosm(crowd)


@pytest.fixture
def role(make: Factory, crowd: Site, place: Thing) -> Role:
    """A role of the microcosm that nobody is in."""
    return make.role(crowd, place.id, "Crowd", rights=("read", "create"))


def named(value: str) -> dict[str, Any]:
    """A criterion that the crowd meets, or nobody."""
    return {"profileColumn": "profileName", "predicate": "substr", "value": value}


def criteria(place: Thing, role: Role) -> str:
    """The address of a role's criteria."""
    return f"{place.path}/roles/{role[1]}/criteria"


def inside(make: Factory, role: Role) -> int:
    """Return how many of the site are in the role, as stored."""
    return int(
        make.sql(
            "SELECT count(*) FROM profiles WHERE site_id = %(s)s AND %(r)s = ANY(role_ids)",
            s=role[0].id,
            r=role[1],
        )[0][0]
    )


def eventually(holds: Callable[[], bool]) -> None:
    """Look until it holds; a minute, for a machine that is busy."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def everybody_in(make: Factory, role: Role) -> None:
    """Let the crowd be in the role by a criterion on their names."""
    make.criterion(role, "profileName", "substr", "crowd")
    assert inside(make, role) == CROWD


@contextmanager
def one_of_the_crowd_locked(make: Factory, database_url: str, role: Role) -> Iterator[None]:
    """The last of the crowd is being written elsewhere, by somebody who takes their time."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """SELECT 1 FROM profiles WHERE site_id = %s AND profile_id =
               (SELECT max(profile_id) FROM profiles WHERE site_id = %s AND profile_name LIKE 'crowd%%') FOR UPDATE""",
            [role[0].id, role[0].id],
        )
        yield
        connection.rollback()


def a_change_waits(make: Factory) -> None:
    """Return when a statement of models/roles/role_recomputation.py waits for a lock."""
    look = """SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock'
                 AND query LIKE '/* role_recomputation.%%'"""
    eventually(lambda: make.sql(look)[0][0] > 0)


def post(server: Server, path: str, sent: dict[str, Any], by: Any) -> Response:
    """A request on a connection of its own."""
    api = server.api()
    try:
        return api.post(path, sent, by=by)
    finally:
        api.close()


def comment(server: Server, chat: Thing, by: Any, text: str) -> int:
    """Write a comment; the status."""
    sent = {"itemType": "conversation", "itemId": chat.id, "markdown": text}
    return post(server, "/api/v1/comments", sent, by).status


@pytest.mark.wide
def test_nobody_waits_for_a_criterion_that_puts_a_crowd_out(
    server: Server, make: Factory, crowd: Site, place: Thing, role: Role, database_url: str
) -> None:
    everybody_in(make, role)
    chat = make.conversation(crowd)
    sent = {"orGroup": 0, "profileColumn": "commentCount", "predicate": "ge", "value": 1}

    with ThreadPoolExecutor(1) as pool:
        with one_of_the_crowd_locked(make, database_url, role):
            change = pool.submit(post, server, criteria(place, role), sent, crowd.owner)
            a_change_waits(make)
            # The first comment crosses what the criterion names, and so asks for the same locks.
            assert comment(server, chat, crowd.newcomer, "meanwhile") == 302
            assert not change.done()
        assert change.result().status == 302

    # What takes rights away is effective with the answer.
    assert inside(make, role) == 0


@pytest.mark.wide
def test_what_a_change_gives_follows_its_acknowledgement(
    server: Server, make: Factory, crowd: Site, place: Thing, role: Role, database_url: str
) -> None:
    with one_of_the_crowd_locked(make, database_url, role):
        made = post(server, criteria(place, role), named("crowd"), crowd.owner)
        assert made.status == 302
        assert inside(make, role) < CROWD
    eventually(lambda: inside(make, role) == CROWD)


def test_a_banned_role_takes_away_from_those_who_come_in(
    server: Server, make: Factory, crowd: Site, place: Thing
) -> None:
    banned = make.role(crowd, place.id, "Banned here", banned=True)

    assert post(server, criteria(place, banned), named("crowd"), crowd.owner).status == 302

    assert inside(make, banned) == CROWD
    api = server.api()
    assert api.delete(criteria(place, banned), json=[], by=crowd.owner).status == 200
    api.close()
    eventually(lambda: inside(make, banned) == 0)


@pytest.mark.wide
def test_names_are_taken_off_with_the_answer_and_a_role_goes_with_it(
    server: Server, make: Factory, crowd: Site, place: Thing, role: Role
) -> None:
    make.sql(
        """INSERT INTO role_profiles (site_id, role_id, profile_id)
           SELECT site_id, %(r)s, profile_id FROM profiles WHERE site_id = %(s)s AND profile_name LIKE 'crowd%%'""",
        s=crowd.id,
        r=role[1],
    )
    make.settle(crowd)
    assert inside(make, role) == CROWD
    api = server.api()

    gone = api.delete(f"{place.path}/roles/{role[1]}/profiles", json=[], by=crowd.owner)

    assert (gone.status, inside(make, role)) == (200, 0)
    everybody_in(make, role)
    assert api.delete(f"{place.path}/roles/{role[1]}", by=crowd.owner).status == 200
    eventually(lambda: inside(make, role) == 0)
    api.close()


def test_a_process_that_ends_in_between_leaves_the_rest_to_another(
    make: Factory, crowd: Site, role: Role
) -> None:
    with make.database.write() as tx:
        new = Criterion.make(0, "profileName", "", "substr", "crowd")
        new.insert(tx, crowd.id, role[1], most=10)
        Settling.insert(tx, crowd.id, role[1])
    make.sql("UPDATE role_settlings SET not_before = now() WHERE role_id = %(r)s", r=role[1])

    Settler(make.database, Config, lambda: True).poll()

    # The web process of the tests may be at it as well.
    eventually(lambda: inside(make, role) == CROWD)
    left = "SELECT count(*) FROM role_settlings WHERE role_id = %(r)s"
    eventually(lambda: make.sql(left, r=role[1]) == [(0,)])


def test_a_change_that_waits_keeps_nobody_waiting_behind_it(
    server: Server, make: Factory, crowd: Site, place: Thing, role: Role
) -> None:
    """As while a list of ten thousand people is being taken in, which holds changes of roles back."""
    chat = make.conversation(crowd)
    writing, done = threading.Event(), threading.Event()

    def hold_back() -> None:
        with make.database.write() as tx:
            role_recomputation.lock_roles_shared(tx, crowd.id)
            writing.set()
            done.wait(60)

    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(hold_back)
        writing.wait(60)
        change: Future[Response] = pool.submit(
            post, server, criteria(place, role), named("nobody"), crowd.owner
        )
        tries = """SELECT count(*) FROM pg_stat_activity
                    WHERE query LIKE '/* role_recomputation.try_lock%%' AND state <> 'idle'"""
        eventually(lambda: make.sql(tries)[0][0] > 0)
        assert comment(server, chat, crowd.member, "meanwhile") == 302
        assert not change.done()
        done.set()
        other.result()
        assert change.result().status == 302


@pytest.mark.wide
def test_rights_that_could_not_be_taken_away_are_not_acknowledged_and_go_soon(
    make: Factory, crowd: Site, role: Role, database_url: str
) -> None:
    everybody_in(make, role)
    impatient = Database(f"{database_url}&options=-c%20lock_timeout%3D50ms", size=2)
    settler = Settler(impatient, Config, lambda: False)
    with one_of_the_crowd_locked(make, database_url, role):
        with make.database.write() as tx:
            new = Criterion.make(0, "profileName", "", "substr", "nobody")
            new.insert(tx, crowd.id, role[1], most=10)
            queued = Settling.insert(tx, crowd.id, role[1])

        with pytest.raises(BadGateway):  # 503 would say that nothing was written
            settler.take_away(queued)

    # Whoever looks next does not wait until the lease is over.
    eventually(lambda: inside(make, role) == 0)
    impatient.close()
