"""Tests of whoever tells people may be killed at any moment: nothing is lost, and nothing happens twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forumapi import itemtypes
from forumapi.concurrency.end_with_parent import end_with_parent
from forumapi.database.connections import Database
from forumapi.events import event_log
from tests import services
from tests.chaos.stage import own_database, workers
from tests.factories import Factory
from tests.fixtures import PROJECT, factory, start_server
from tests.updates.stage import told

ITEMS = 350
# After so many mails each of them is killed: within the first batch of events, the second, and the third.
KILLED_AFTER = (40, 140, 90)


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    """A database that nobody else reads events of."""
    with services.database(postgres_url, "killed") as address:
        yield address


def victim(url: str) -> subprocess.Popen[str]:
    """A process that tells people of what has happened."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.updates.victim", url],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=end_with_parent,  # noqa: PLW1509
    )


@pytest.mark.wide
def test_readers_killed_in_the_middle_lose_nothing_and_do_nothing_twice(url: str) -> None:
    database = Database(url)
    make = Factory(database, "forum.test")
    site = make.site()
    make.sql("CREATE TABLE taken (cause text NOT NULL)")
    for person in (site.member, site.newcomer):
        make.sql(
            """
            INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email)
            VALUES (%(site)s, %(who)s, %(type)s, %(root)s, true)""",
            site=site.id,
            who=person.id,
            type=itemtypes.MICROCOSM,
            root=site.root_id,
        )
    chat = make.conversation(site, by=site.owner)
    for number in range(ITEMS):
        make.conversation(site, by=site.owner, title=f"Number {number}")
        if number % 10 == 0:
            make.comment(chat, by=site.owner, markdown=f"{number} for @{site.member.name}")
    connection = database._acquire()
    event_log.number(connection)
    database._release(connection)

    for mails in KILLED_AFTER:
        process = victim(url)
        assert process.stdout is not None
        for _ in range(mails):
            assert process.stdout.readline() == "taken\n"
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
    last = victim(url)
    last.communicate()
    assert last.returncode == 0

    causes = [row[0] for row in make.sql("SELECT cause FROM taken")]
    assert len(causes) == len(set(causes))
    assert len([cause for cause in causes if cause.startswith("item")]) == 2 * (ITEMS + 1)
    assert make.sql("SELECT count(*) FROM updates WHERE update_type_id = 3") == [(ITEMS // 10,)]
    assert make.sql("SELECT count(*) FROM comment_mentions WHERE NOT told") == [(0,)]
    database.close()


@pytest.mark.wide
@pytest.mark.slow
def test_when_the_workers_that_number_and_tell_are_killed_others_tell_everybody(
    tmp_path: Path,
) -> None:
    with own_database("told") as url:
        server = start_server(url, tmp_path / "web", workers="2")
        with factory(url) as make:
            try:
                site = make.site()
                chat = make.conversation(site)
                for number in range(2):
                    for one in range(30):
                        text = f"{number}.{one} for @{site.member.name}"
                        make.comment(chat, by=site.owner, markdown=text)
                    for pid in workers(server):
                        os.kill(pid, signal.SIGKILL)
                told(make, site)
            finally:
                server.stop()
            rows = make.sql(
                "SELECT count(*), count(DISTINCT item_id) FROM updates WHERE update_type_id = 3"
            )
            assert rows == [(60, 60)]
