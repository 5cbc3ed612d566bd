"""Reads on a streaming standby: answered there, never older than on the primary, and by the primary in need."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg import errors as pgerrors

from forumapi.command import doctor
from forumapi.config import Config
from forumapi.database import embedded_postgres, migrations
from forumapi.database.connections import Database
from forumapi.database.query import Query, Replica
from forumapi.database.standby import StandbyPool
from forumapi.observability import metrics
from scripts import cluster
from tests import services
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing
from tests.fixtures import PLATFORM_DOMAIN, Server, start_server
from tests.services import free_port

pytestmark = [pytest.mark.slow, pytest.mark.wide]

TWO = Query("test.replica.two", "SELECT 2", replica=Replica.ACKNOWLEDGED)
LOCKED = Query(
    "test.replica.locked",
    "SELECT count(*) FROM replica_notes, pg_sleep(0.3)",
    replica=Replica.ACKNOWLEDGED,
)

HALF = Query(
    "test.replica.half", "SELECT 1 / %(by)s::int, %(word)s::text", replica=Replica.ACKNOWLEDGED
)


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that servers under another user can enter."""
    with tempfile.TemporaryDirectory(prefix="forumapi-replica-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


class Scene:
    """A primary, its standby, a site, and a web process that reads from the standby what that may answer."""

    def __init__(self, pair: cluster.Pair, folder: Path, make: Factory) -> None:
        self.pair = pair
        self.folder = folder
        self.make = make
        self.site: Site = make.site()
        self.chat: Thing = make.conversation(self.site)
        self.private = ("127.0.0.1", free_port())
        self.server = start_server(
            pair.primary.url,
            folder / "web",
            database_replica_url=pair.standby.url,
            admin_listen="{}:{}".format(*self.private),
        )
        self.api = self.server.api()

    def standby(self, statement: str) -> None:
        """Run a statement on the standby."""
        with psycopg.connect(self.pair.standby.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The standby takes the log and repeats nothing of it."""
        self.standby("SELECT pg_wal_replay_pause()")
        try:
            yield
        finally:
            self.standby("SELECT pg_wal_replay_resume()")

    def check(self) -> dict[str, object]:
        """Return what `ready` says of the standby, and the state of the whole."""
        connection = http.client.HTTPConnection(*self.private, timeout=10)
        connection.request("GET", "/api/v1/ready")
        data = json.loads(connection.getresponse().read())["data"]
        connection.close()
        found = next(one for one in data["checks"] if one["name"] == "replica")
        return {"state": data["state"], "error": found["error"]}

    def is_read_from(self) -> bool:
        return self.check() == {"state": "ready", "error": ""}

    def wait_until_read_from(self) -> None:
        services.wait_until(self.is_read_from, "the standby is not read from")


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with open_folder() as folder, cluster.postgres_pair(folder, throwaway=True) as pair:
        migrations.migrate(pair.primary.url)
        with psycopg.connect(pair.primary.url, autocommit=True) as connection:
            # What the standby takes away from reads is looked at here, not whether writes wait for it.
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            connection.execute("SELECT pg_reload_conf()")
            # Of sessions on both servers.
            connection.execute(
                f"ALTER DATABASE {embedded_postgres.DATABASE} SET log_min_duration_statement = 0"
            )
        database = Database(pair.primary.url)
        made = Scene(pair, folder, Factory(database, PLATFORM_DOMAIN))
        try:
            yield made
        finally:
            made.api.close()
            made.server.stop()
            database.close()


@pytest.fixture(autouse=True)
def _is_whole(request: pytest.FixtureRequest) -> None:
    """Each test that shares the scene begins with a standby that is read from."""
    if "scene" in request.fixturenames:
        request.getfixturevalue("scene").wait_until_read_from()


class Log:
    """Record of what a server has run since the log was opened."""

    def __init__(self, server: embedded_postgres.Server) -> None:
        self._path = server.data_dir / "postgres.log"
        self._begin = self._path.stat().st_size

    def ran(self) -> Counter[str]:
        """Return how often each named statement ran."""
        with self._path.open("rb") as file:
            file.seek(self._begin)
            text = file.read().decode(errors="replace")
        found: Counter[str] = Counter()
        for line in text.splitlines():
            _, execute, rest = line.partition(" execute ")
            if execute:
                found[rest.partition(":")[0]] += 1
        return found


def comment(api: Api, chat: Thing, by: Person, text: str) -> int:
    body = {"itemType": "conversation", "itemId": chat.id, "markdown": text}
    return api.post("/api/v1/comments", body, by=by).status


@contextlib.contextmanager
def load(scene: Scene, *, threads: int = 1) -> Iterator[list[int]]:
    """Others write comments meanwhile; their statuses."""
    statuses: list[int] = []
    stop = threading.Event()
    chats = [scene.make.conversation(scene.site) for _ in range(threads)]

    def write(chat: Thing) -> None:
        api = scene.server.api()
        while not stop.is_set():
            statuses.append(comment(api, chat, scene.site.moderator, f"more {len(statuses)}"))
            stop.wait(0.005)
        api.close()

    writers = [threading.Thread(target=write, args=[chat]) for chat in chats]
    for one in writers:
        one.start()
    try:
        yield statuses
    finally:
        stop.set()
        for one in writers:
            one.join()


# ---------------------------------------------------------------- who answers


# What is asked for, and the statement that answers it.
READS = [
    ("/api/v1/conversations/{chat}", "item_page.page"),
    ("/api/v1/microcosms", "microcosm_page.page"),
    ("/api/v1/conversations", "item_summary.list"),
    ("/api/v1/profiles", "profile_list.page"),
    ("/api/v1/search?q=type:conversation", "latest_items.page"),
    ("/api/v1/search?q=type:microcosm", "search.filtered"),
    ("/api/v1/search?q=hello", "search.text"),
    ("/api/v1/trending", "trending.hottest"),
    ("/api/v1/events/{event}/attendees", "attendee.list"),
    ("/api/v1/updates", "update_page.list"),
    ("/api/v1/watchers", "watcher_page.list"),
    ("/api/v1/huddles", "huddle_page.list"),
]
FOR_MEMBERS = ("update_page.list", "watcher_page.list", "huddle_page.list")


@pytest.mark.parametrize("who", ["guest", "member"])
def test_what_guests_and_lists_read_is_read_on_the_standby_and_not_on_the_primary(
    scene: Scene, who: str
) -> None:
    site, make = scene.site, scene.make
    event = make.event(site)
    by = site.newcomer if who == "member" else None

    def is_read_there(path: str, name: str) -> bool:
        # Something new, since a page that is kept is read nowhere.
        chat = make.conversation(site)
        on_standby, on_primary = Log(scene.pair.standby), Log(scene.pair.primary)
        answer = scene.api.get(path.format(chat=chat.id, event=event.id), site=site, by=by)
        assert answer.status == 200, path
        return on_standby.ran()[name] == 1 and on_primary.ran()[name] == 0

    for path, name in READS:
        if by is not None or name not in FOR_MEMBERS:
            # A busy machine may be more behind than a request waits for.
            services.wait_until(partial(is_read_there, path, name), f"{name} is not")


def test_nothing_runs_on_the_standby_that_was_not_declared(scene: Scene) -> None:
    site, make = scene.site, scene.make
    on_standby = Log(scene.pair.standby)
    for by in (None, site.member, site.owner):
        chat = make.conversation(site)
        scene.api.get(chat.path, site=site, by=by)
        scene.api.get("/api/v1/whoami", site=site, by=by)
        comment(scene.api, chat, site.member, "hello")
        scene.api.get(chat.path, site=site, by=by)

    declared = {name for name, one in Query.all.items() if one.replica is not Replica.NEVER}
    ours = {"standby.prove", "standby.replayed", "<unnamed>"}
    assert set(on_standby.ran()) <= declared | ours


def is_behind(pair: cluster.Pair) -> bool:
    """Return whether the standby has something left to repeat."""
    with (
        psycopg.connect(pair.primary.url, autocommit=True) as primary,
        psycopg.connect(pair.standby.url, autocommit=True) as standby,
    ):
        written = primary.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        assert written is not None
        row = standby.execute("SELECT pg_last_wal_replay_lsn() < %s::pg_lsn", written).fetchone()
    return row == (True,)


def test_every_statement_that_a_standby_may_answer_runs_on_one(scene: Scene) -> None:
    failed = {}
    with psycopg.connect(
        scene.pair.standby.url, autocommit=True, prepare_threshold=None
    ) as connection:
        for name, query in Query.all.items():
            if query.replica is Replica.NEVER or name.startswith("test."):
                continue
            connection.execute("DEALLOCATE ALL")
            connection.execute(b"PREPARE one AS " + query.text)
            try:
                connection.execute(
                    f"EXECUTE one({', '.join(['NULL'] * len(query.names))})".encode()
                )
            except pgerrors.NullValueNotAllowed:
                pass
            except psycopg.Error as error:
                failed[name] = str(error)

    assert not failed


# ---------------------------------------------------------------- never older than the primary


@pytest.mark.parametrize(
    "is_paused",
    [pytest.param(False, id="repeating", marks=pytest.mark.wide), pytest.param(True, id="paused")],
)
def test_a_member_sees_an_own_comment_at_once_two_hundred_times_under_load(
    scene: Scene, *, is_paused: bool
) -> None:
    site, make = scene.site, scene.make
    chat = make.conversation(site)
    on_standby = Log(scene.pair.standby)
    with (
        scene.paused() if is_paused else contextlib.nullcontext(),
        load(scene) as statuses,
    ):
        missed = []
        for number in range(200):
            text = f"number {number}"
            assert comment(scene.api, chat, site.member, text) == 302
            # The page and the list in turn.
            if number % 2:
                path = f"{chat.path}?offset={number // 25 * 25}"
                shown = scene.api.get(path, by=site.member).data["comments"]
                total = shown["total"] if text in shown["items"][-1]["html"] else None
            else:
                shown = scene.api.get("/api/v1/conversations", by=site.member).data
                counts = {
                    one["id"]: one["totalComments"] for one in shown["conversations"]["items"]
                }
                total = counts.get(chat.id)
            if total != number + 1:
                missed.append((number, total))
        guest = scene.api.get(chat.path, site=site).data["comments"]["total"]
    assert not missed
    assert guest == 200
    assert set(statuses) == {302}
    answered = on_standby.ran()["item_page.page"] + on_standby.ran()["item_summary.list"]
    assert (answered == 0) if is_paused else (answered > 20)


def _ban(scene: Scene, person: Person, chat: Thing) -> None:
    scene.make.ban(person)


def _hide(scene: Scene, person: Person, chat: Thing) -> None:
    answer = scene.api.patch(chat.path, ("/meta/flags/moderated", True), by=scene.site.moderator)
    assert answer.status == 200


def _delete(scene: Scene, person: Person, chat: Thing) -> None:
    assert scene.api.delete(chat.path, by=scene.site.moderator).status == 200


def _close_the_place(scene: Scene, person: Person, chat: Thing) -> None:
    scene.make.sql(
        """UPDATE microcosms SET is_deleted = true, version = version + 1
            WHERE site_id = %(site_id)s AND microcosm_id = (
                SELECT microcosm_id FROM items WHERE site_id = %(site_id)s AND item_id = %(id)s)
           RETURNING 1""",
        site_id=scene.site.id,
        id=chat.id,
    )
    scene.make.sql(
        "UPDATE sites SET acl_version = acl_version + 1 WHERE site_id = %(site_id)s RETURNING 1",
        site_id=scene.site.id,
    )


@pytest.mark.parametrize("change", [_ban, _hide, _delete, _close_the_place])
@pytest.mark.parametrize("is_paused", [False, True], ids=["repeating", "paused"])
def test_what_is_taken_away_is_gone_with_the_next_request(
    scene: Scene, change: Callable[[Scene, Person, Thing], None], *, is_paused: bool
) -> None:
    site, make = scene.site, scene.make
    person = make.person(site)
    chat = make.conversation(site, microcosm=make.microcosm(site))
    make.comment(chat, by=person)
    paths = (chat.path, "/api/v1/conversations?limit=250", "/api/v1/updates", "/api/v1/search?q=*")
    assert scene.api.get(chat.path, by=person).status == 200
    with scene.paused() if is_paused else contextlib.nullcontext():
        change(scene, person, chat)
        answers = {path: scene.api.get(path, by=person) for path in paths}

    assert answers[chat.path].status in (403, 404)
    if change is _ban:
        assert {one.status for one in answers.values()} == {403}
    else:
        listed = answers[paths[1]].data["conversations"]["items"]
        assert chat.id not in [one["id"] for one in listed]
    if change in (_hide, _delete):
        assert scene.api.get(chat.path, site=site).status == 404


@pytest.mark.parametrize("statement", ["item_page.page", "microcosm_page.page"])
def test_a_page_that_the_standby_gave_is_read_anew_when_what_was_in_progress_then_commits(
    scene: Scene, statement: str
) -> None:
    make = scene.make
    site = make.site()
    chat = make.conversation(site, title="early")
    path = chat.path if statement == "item_page.page" else "/api/v1/microcosms"

    def title(limit: int) -> str:
        data = scene.api.get(f"{path}?limit={limit}", site=site).data
        if statement != "item_page.page":
            data = next(
                one["item"] for one in data["items"]["items"] if one["item"]["id"] == chat.id
            )
        return str(data["title"])

    with psycopg.connect(scene.pair.primary.url) as primary:
        primary.execute(
            """UPDATE items SET title = 'late', version = version + 1
                WHERE site_id = %s AND item_id = %s""",
            [site.id, chat.id],
        )
        # A younger transaction ends first, so that its age alone does not tell that the older one is in progress.
        make.conversation(site)
        on_standby = Log(scene.pair.standby)
        read_there = 0
        for limit in (5, 10, 15, 20, 25, 50, 100):
            assert title(limit) == "early"
            if on_standby.ran()[statement]:
                read_there = limit
                break
        primary.commit()

    assert read_there
    assert title(read_there) == "late"


def test_a_place_that_was_read_shows_as_read_in_what_is_found_next(scene: Scene) -> None:
    site, make = scene.site, scene.make
    word = f"zebra{time.time_ns()}"
    seen = []
    for number in range(5):
        chat = make.conversation(site, title=f"{word} {number}")
        make.comment(chat, by=site.owner)
        assert scene.api.get(chat.path, by=site.member).status == 200
        hits = scene.api.get(f"/api/v1/search?q={word}", by=site.member).data["results"]["items"]
        seen += [one.get("unread", False) for one in hits if one["item"]["id"] == chat.id]

    assert seen == [False] * 5


# ---------------------------------------------------------------- in need


def test_a_standby_that_repeats_nothing_is_degraded_and_comes_back(scene: Scene) -> None:
    with scene.paused():
        scene.make.conversation(scene.site)
        services.wait_until(lambda: not scene.is_read_from(), "nobody noticed")
        found = scene.check()
        assert scene.api.get("/api/v1/conversations", site=scene.site).status == 200

    assert found["state"] == "degraded"
    assert str(found["error"]).endswith("bytes behind")
    scene.wait_until_read_from()


@contextlib.contextmanager
def standbys(url: str, primary: str) -> Iterator[tuple[StandbyPool, Database]]:
    """Connections of this process, which was not patched by gevent."""
    database = Database(primary)
    made = StandbyPool(url, database, size=4, timeout_ms=10_000)
    made.start()
    try:
        yield made, database
    finally:
        made.stop()
        database.close()


def test_a_statement_that_is_cancelled_for_the_log_is_answered_by_the_primary(
    scene: Scene,
) -> None:
    pair = scene.pair
    with psycopg.connect(pair.primary.url, autocommit=True) as primary:
        primary.execute("CREATE TABLE replica_notes AS SELECT 1 AS one")
        scene.standby("ALTER SYSTEM SET max_standby_streaming_delay = 0")
        scene.standby("SELECT pg_reload_conf()")
        services.wait_until(lambda: not is_behind(pair), "the standby does not catch up")
        on_standby, on_primary = Log(pair.standby), Log(pair.primary)
        with standbys(pair.standby.url, pair.primary.url) as (made, _):
            reader = made.read()
            found = []
            asking = threading.Thread(target=lambda: found.append(reader.rows(LOCKED)))
            asking.start()
            services.wait_until(lambda: runs(pair.standby.url, "pg_sleep"), "it does not run there")
            primary.execute("ALTER TABLE replica_notes ADD two int")
            asking.join()
            reader.end()
            assert not made.health_problem
        scene.standby("ALTER SYSTEM RESET max_standby_streaming_delay")
        scene.standby("SELECT pg_reload_conf()")
        primary.execute("DROP TABLE replica_notes")

    assert found == [[(1,)]]
    assert on_standby.ran()[LOCKED.name] == 0
    assert on_primary.ran()[LOCKED.name] == 1


@pytest.mark.parametrize(
    ("by", "word", "expected"),
    [(0, "", pgerrors.DivisionByZero), ("x", "", psycopg.DataError), (1, "\ud800", ValueError)],
)
def test_a_bad_value_is_no_failure_of_the_standby(
    scene: Scene, by: object, word: str, expected: type[Exception]
) -> None:
    pair = scene.pair
    on_primary = Log(pair.primary)
    with standbys(pair.standby.url, pair.primary.url) as (made, _):
        before = metrics.REPLICA_READS.value("failed")
        reader = made.read()
        with pytest.raises(expected):
            reader.rows(HALF, by=by, word=word)

        # It goes on there.
        there = metrics.REPLICA_READS.value("standby")
        assert reader.rows(TWO) == [(2,)]
        assert metrics.REPLICA_READS.value("standby") == there + 1
        reader.end()

    assert metrics.REPLICA_READS.value("failed") == before
    assert on_primary.ran()[HALF.name] == 0


def runs(url: str, text: str) -> bool:
    """Return whether some other session runs a statement that holds `text`."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            """SELECT count(*) FROM pg_stat_activity
                WHERE state = 'active' AND query LIKE %s AND pid <> pg_backend_pid()""",
            [f"%{text}%"],
        ).fetchone()
    return row != (0,)


class Readers:
    """Guests and members who read all the time, and what they were answered."""

    def __init__(self, server: Server, site: Site, chats: list[Thing]) -> None:
        self.statuses: Counter[int] = Counter()
        self.slowest_s = 0.0
        self._stop = threading.Event()
        paths = [*(chat.path for chat in chats), "/api/v1/conversations", "/api/v1/trending"]

        def read(by: Person | None) -> None:
            api = server.api()
            while not self._stop.is_set():
                for path in paths:
                    began = time.monotonic()
                    self.statuses[api.get(path, site=site, by=by).status] += 1
                    self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            api.close()

        self._threads = [
            threading.Thread(target=read, args=[by]) for by in (None, None, site.member, site.owner)
        ]
        for one in self._threads:
            one.start()

    def wait_for(self, count: int) -> None:
        """Until so many more answers came."""
        until = self.statuses.total() + count
        services.wait_until(lambda: self.statuses.total() >= until, "nothing is answered")

    def stop(self) -> None:
        self._stop.set()
        for one in self._threads:
            one.join()


# ---------------------------------------------------------------- promotion, and what is no standby of ours


@pytest.mark.skipif(cluster.program("pgbouncer") is None, reason="pgbouncer is not installed")
def test_a_connection_that_was_in_use_when_all_were_given_up_is_used_no_more(scene: Scene) -> None:
    with standbys(scene.pair.standby.url, scene.pair.primary.url) as (pool, _):
        used = pool.take()
        assert used is not None
        pool.stop()
        pool.give_back(used)

        assert pool.take() is None
        with pytest.raises(psycopg.OperationalError):
            used.ask()


def test_neither_a_primary_nor_a_pooler_is_taken_for_a_standby(scene: Scene) -> None:
    pair = scene.pair
    with standbys(pair.primary.url, pair.primary.url) as (made, _):
        assert made.health_problem == "the server is no standby"
        reader = made.read()
        assert reader.value(TWO) == 2
        reader.end()
    with (
        cluster.pgbouncer(pair.standby.url, scene.folder / "pgbouncer") as pooled,
        standbys(pooled, pair.primary.url) as (made, _),
    ):
        assert (
            made.health_problem
            == "there is a pooler before it, give the address of the standby itself"
        )


@pytest.mark.wide
def test_when_the_standby_is_promoted_reads_go_on_and_nothing_acknowledged_is_lost(
    scene: Scene,
) -> None:
    with (
        open_folder() as folder,
        cluster.postgres_pair(folder, throwaway=True) as pair,
        cluster.standby_of(pair.primary, folder / "second", "second", throwaway=True) as second,
    ):
        migrations.migrate(pair.primary.url)
        database = Database(pair.primary.url)
        make = Factory(database, PLATFORM_DOMAIN)
        site = make.site()
        chat, quiet = make.conversation(site), make.conversation(site)
        database.close()
        server = start_server(pair.url, folder / "web", database_replica_url=pair.standby.url)
        readers = Readers(server, site, [chat, quiet])
        acknowledged: list[str] = []
        stop = threading.Event()

        def write() -> None:
            api = server.api()
            number = 0
            while not stop.is_set():
                text = f"number {number}"
                body = {"itemType": "conversation", "itemId": chat.id, "markdown": text}
                headers = {"Idempotency-Key": f"key-{number}"}
                answer = api.post("/api/v1/comments", body, by=site.member, headers=headers)
                if answer.status == 302:
                    acknowledged.append(text)
                    number += 1
                else:
                    assert answer.status in (502, 503, 409)
                    time.sleep(0.05)
            api.close()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            services.wait_until(lambda: len(acknowledged) > 20, "nothing was written")
            pair.primary.stop(0)
            before = len(acknowledged)
            pair.promote()
            services.wait_until(
                lambda: len(acknowledged) > before + 20, "nothing was written after the promotion"
            )
            # Everybody sees all that was acknowledged, old and new.
            api = server.api()
            known = len(acknowledged)
            shown = api.get(f"{chat.path}?limit=250", site=site).data["comments"]["total"]
            api.close()
            readers.wait_for(20)
            # The second one still follows the old primary, and would say that it is as far as the new one.
            with standbys(second.url, pair.standby.url) as (made, _):
                follows_another = made.health_problem
            with standbys(scene.pair.standby.url, pair.standby.url) as (made, _):
                is_another = made.health_problem
        finally:
            stop.set()
            writer.join()
            readers.stop()
            server.stop()
        with psycopg.connect(pair.standby.url) as connection:
            rows = connection.execute(
                "SELECT markdown FROM comments WHERE site_id = %s AND item_id = %s ORDER BY seq",
                [site.id, chat.id],
            ).fetchall()

    assert [row[0] for row in rows][: len(acknowledged)] == acknowledged
    assert shown >= known
    assert follows_another == "it was last on timeline 00000001, the primary is on 00000002"
    assert is_another == "it is a standby of another database"
    assert set(readers.statuses) <= {200, 503}


def test_doctor_says_whether_the_standby_is_fit(scene: Scene) -> None:
    primary, standby = scene.pair.primary.url, scene.pair.standby.url
    good = doctor.replica(Config(database_url=primary, database_replica_url=standby))
    bad = doctor.replica(Config(database_url=primary, database_replica_url=primary))

    assert (good.found, good.mend) == ("a standby of the database, and not behind", "")
    assert bad.found == "the server is no standby"
    assert bad.mend
    assert bad.is_warning


# ---------------------------------------------------------------- last, since it takes the scene's standby away


def test_no_request_fails_when_the_standby_is_killed_freezes_or_comes_back(scene: Scene) -> None:
    pair = scene.pair
    chats = [scene.make.conversation(scene.site) for _ in range(3)]
    readers = Readers(scene.server, scene.site, chats)
    try:
        readers.wait_for(50)
        freeze(pair.standby, signal.SIGSTOP)
        services.wait_until(lambda: not scene.is_read_from(), "nobody noticed that it is frozen")
        readers.wait_for(50)
        freeze(pair.standby, signal.SIGCONT)
        scene.wait_until_read_from()
        os.kill(pair.standby.pid, signal.SIGQUIT)
        services.wait_until(lambda: not scene.is_read_from(), "nobody noticed that it is away")
        readers.wait_for(50)
        services.wait_until(lambda: not pair.standby.is_running, "it still runs")
        again = cluster.start_standby(
            pair.primary,
            scene.folder / "standby",
            "standby",
            throwaway=True,
            socket_dir=pair.standby.socket_dir,
        )
        try:
            scene.wait_until_read_from()
            on_standby = Log(again)
            scene.make.conversation(scene.site)
            services.wait_until(
                lambda: on_standby.ran()["item_summary.list"] > 0, "it is not read from"
            )
        finally:
            readers.stop()
            again.stop()
    finally:
        readers.stop()

    assert set(readers.statuses) == {200}


def freeze(server: embedded_postgres.Server, sign: int) -> None:
    """Stop or continue all processes of a server."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    for pid in (server.pid, *map(int, children)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)
