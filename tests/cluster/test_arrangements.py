"""More than one box: each arrangement of `scripts/cluster.py`, with something of it taken away while it works."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from forumapi.database import migrations
from scripts import cluster
from tests import services
from tests.api import Api
from tests.factories import Person, Thing
from tests.fixtures import PLATFORM_DOMAIN, factory, start_server

pytestmark = pytest.mark.slow


def missing(*programs: str) -> bool:
    return any(cluster.program(name) is None for name in programs)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that servers under another user can enter, as they can't those of pytest."""
    with tempfile.TemporaryDirectory(prefix="forumapi-beyond-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def comment(api: Api, chat: Thing, by: Person, text: str, key: str) -> int:
    """The status of a new comment under a retry key."""
    body = {"itemType": "conversation", "itemId": chat.id, "markdown": text}
    return api.post("/api/v1/comments", body, by=by, headers={"Idempotency-Key": key}).status


def texts(url: str, chat: Thing) -> list[str]:
    """Return what was stored in a conversation, in order."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT markdown FROM comments WHERE site_id = %s AND item_id = %s ORDER BY seq",
            [chat.site.id, chat.id],
        ).fetchall()
    return [row[0] for row in rows]


@pytest.mark.wide
@pytest.mark.skipif(missing("pgbouncer"), reason="pgbouncer is not installed")
def test_behind_a_transaction_pooler_everything_works_on_two_server_connections(
    postgres_url: str, open_folder: Path
) -> None:
    with (
        services.database(postgres_url, "pooled") as url,
        factory(url) as make,
        cluster.pgbouncer(url, open_folder / "pgbouncer", pool=2) as pooled,
    ):
        site = make.site()
        chat = make.conversation(site)
        server = start_server(
            pooled,
            open_folder / "web",
            database_direct_url=url,
            database_prepare="false",
            database_connections="12",
        )
        try:

            def visit(number: int) -> tuple[int, int, int]:
                api = server.api()
                try:
                    read = api.get(chat.path, by=site.member).status
                    wrote = comment(api, chat, site.member, f"number {number}", f"key-{number}")
                    return read, wrote, api.get("/api/v1/microcosms", site=site).status
                finally:
                    api.close()

            with ThreadPoolExecutor(12) as pool:
                seen = set(pool.map(visit, range(60)))

            assert seen == {(200, 302, 200)}
            assert sorted(texts(url, chat)) == sorted(f"number {n}" for n in range(60))
            assert server_connections(pooled) <= 2
            # The sequencer listens past the pooler: what was written gets its numbers.
            services.wait_until(lambda: numbered(url, site.id), "events were not numbered")
        finally:
            server.stop()


def server_connections(pooled: str) -> int:
    """Return how many connections PgBouncer holds to the database, leaving out its own console's."""
    console = pooled.rpartition("/")[0] + "/pgbouncer"
    with psycopg.connect(console, autocommit=True) as connection:
        cursor = psycopg.ClientCursor(connection)
        rows = cursor.execute("SHOW SERVERS").fetchall()
    return len(rows)


def numbered(url: str, site_id: int) -> bool:
    """Return whether each event of a site has its number."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            """
            SELECT count(*) FROM event_log e
             WHERE e.site_id = %(site)s
               AND NOT EXISTS (SELECT 1 FROM event_sequence s
                                WHERE s.site_id = e.site_id AND s.event_id = e.event_id)""",
            {"site": site_id},
        ).fetchone()
    return row == (0,)


@pytest.mark.wide
@pytest.mark.skipif(missing("nginx", "memcached"), reason="nginx or memcached is not installed")
def test_of_two_nodes_and_three_memcacheds_one_each_may_be_killed(
    postgres_url: str, open_folder: Path
) -> None:
    with (
        services.database(postgres_url, "nodes") as url,
        factory(url) as make,
        contextlib.ExitStack() as stack,
    ):
        site = make.site()
        chat = make.conversation(site)
        ring = [stack.enter_context(cluster.memcached(open_folder)) for _ in range(3)]
        settings = {
            "database_url": url,
            "platform_domain": PLATFORM_DOMAIN,
            "memcached": ",".join(address for address, _ in ring),
            "trusted_proxies": "127.0.0.1",
            "comment_rate_per_minute": "0",
            "rate_limit_token_per_minute": "0",
            "rate_limit_address_per_minute": "0",
            "crawl_budget_per_minute": "0",
            "log_level": "warning",
            "access_log": "false",
        }
        nodes = [
            stack.enter_context(cluster.node(open_folder / f"node{n}", settings)) for n in (1, 2)
        ]
        front = stack.enter_context(
            cluster.nginx(open_folder / "nginx", [port for port, _ in nodes])
        )
        api = Api(("127.0.0.1", front), PLATFORM_DOMAIN)
        stack.callback(api.close)
        acknowledged = []
        refused = 0
        for number in range(60):
            if number == 20:
                ring[0][1].kill()
            if number == 40:
                nodes[0][1].send_signal(signal.SIGTERM)
            key = f"key-{number}"
            # A node that ends may take a write with it: the retry finds it made, or makes it.
            while (status := comment(api, chat, site.member, f"number {number}", key)) != 302:
                refused += 1
                assert status in (502, 503, 409)
                assert refused < 20
                time.sleep(0.05)
            acknowledged.append(f"number {number}")
            assert api.get(chat.path, by=site.member).status == 200

        assert texts(url, chat) == acknowledged
        shown = api.get(f"{chat.path}?limit=250", site=site).data["comments"]
        assert shown["total"] == 60
        nodes[0][1].wait(30)
        assert api.get("/api/v1/microcosms", by=site.member).status == 200


@pytest.mark.wide
def test_a_promoted_standby_takes_over_and_nothing_acknowledged_is_lost(open_folder: Path) -> None:
    with cluster.postgres_pair(open_folder) as pair:
        migrations.migrate(pair.primary.url)
        with factory(pair.primary.url) as make:
            site = make.site()
            chat = make.conversation(site)
        server = start_server(pair.url, open_folder / "web")
        acknowledged: list[str] = []
        stop = threading.Event()

        def write() -> None:
            api = server.api()
            number = 0
            while not stop.is_set():
                text = f"number {number}"
                try:
                    if comment(api, chat, site.member, text, f"key-{number}") == 302:
                        acknowledged.append(text)
                        number += 1
                        continue
                except (OSError, http.client.HTTPException):
                    api.close()
                time.sleep(0.05)

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
        finally:
            stop.set()
            writer.join()
            server.stop()

        assert texts(pair.standby.url, chat)[: len(acknowledged)] == acknowledged


@pytest.mark.wide
def test_the_script_starts_all_of_it(open_folder: Path) -> None:
    if missing("pgbouncer", "nginx", "memcached"):
        pytest.skip("pgbouncer, nginx or memcached is not installed")
    with contextlib.ExitStack() as stack:
        listen = cluster.free_port()
        pair = cluster.run(open_folder, listen, stack)
        connection = http.client.HTTPConnection("127.0.0.1", listen, timeout=20)
        stack.callback(connection.close)

        def get(path: str) -> Any:
            connection.request("GET", path, headers={"Host": f"bikes.localhost:{listen}"})
            answer = connection.getresponse()
            data = json.loads(answer.read())["data"]
            assert answer.status == 200
            return data

        def is_read_from() -> bool:
            get("/api/v1/conversations")
            with psycopg.connect(pair.standby.url) as standby:
                row = standby.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '/* item_summary.list */%'"
                ).fetchone()
            return row != (0,)

        assert get("/api/v1/site")["title"] == "Bikes"
        services.wait_until(is_read_from, "the standby is not read from")
