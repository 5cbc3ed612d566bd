"""Imports that are killed at any moment, and run again until they are through."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forumapi.config import Config, embedded_environ
from forumapi.models.sites.site_cache import SiteCache
from forumapi.porting.layout import (
    PortedComment,
    PortedConversation,
    PortedMessage,
    PortedRecipient,
)
from forumapi.porting.loading.imported_ids import Origin
from forumapi.porting.loading.verification import Verifier
from forumapi.porting.readers.layout_reader import LayoutReader
from tests.factories import Factory
from tests.fixtures import PROJECT
from tests.porting import boards
from tests.porting.exports.test_round_trip import empty, export
from tests.porting.moved import TABLES, Moved

KILLS = 20


def large() -> boards.Shelf:
    """The forum about bikes with some thousand more posts, which answer and name each other."""
    board = boards.bikes()
    for talk in range(1000, 1060):
        board.streams["conversations"].append(
            PortedConversation(
                id=str(talk),
                name=f"Talk {talk}",
                forum_id="10",
                author="2",
                date_created=boards.at(9),
                is_open=True,
            )
        )
        for place in range(50):
            id = talk * 100 + place
            board.streams["comments"].append(
                PortedComment(
                    id=str(id),
                    on_id=str(talk),
                    author="1" if place % 3 else "2",
                    author_name="",
                    in_reply_to=str(id - 1) if place else "",
                    date_created=boards.at(9),
                    versions=boards.said(
                        f"Post {id} as [said](old:comment/{id + 150}) https://example.com/{talk}"
                    ),
                )
            )
    for id in range(5000, 5400):
        board.streams["messages"].append(
            PortedMessage(
                id=str(id),
                root_id=str(id - id % 10),
                author="1" if id % 2 else "2",
                to=(PortedRecipient(id="2" if id % 2 else "1"),),
                date_created=boards.at(10),
                versions=boards.said(f"Message {id}"),
            )
        )
    return board


def counted(moved: Moved) -> dict[str, int]:
    """Rows of a site by table."""
    return {
        table: moved.rows(f"SELECT count(*) FROM {table} t WHERE t.site_id = %(s)s")[0][0]
        for table in TABLES.split()
    }


def written(moved: Moved) -> int:
    """Number of things that the import has come to."""
    ((count,),) = moved.rows(
        """SELECT (SELECT count(*) FROM imported_items i WHERE i.site_id = %(s)s)
                + (SELECT count(*) FROM import_marks m WHERE m.site_id = %(s)s)"""
    )
    return int(count)


@pytest.mark.wide
def test_an_import_killed_again_and_again_is_the_same_as_one_that_was_not(
    make: Factory, config: Config, tmp_path: Path
) -> None:
    boards.write(large(), tmp_path / "board")
    straight = Moved(make, config, empty(make), LayoutReader(tmp_path / "board"))
    straight.load()
    killed = Moved(make, config, empty(make), LayoutReader(tmp_path / "board"))
    command = [
        *(sys.executable, "-m", "forumapi", "import", "run", "microcosm", str(tmp_path / "board")),
        *("--site", killed.site.key),
    ]
    env = (
        {name: value for name, value in os.environ.items() if not name.startswith("FORUMAPI_")}
        | embedded_environ()
        | {
            "FORUMAPI_DATABASE_URL": config.database_url,
            "FORUMAPI_DATA_DIR": config.data_dir,
            "FORUMAPI_PLATFORM_DOMAIN": config.platform_domain,
        }
    )
    whole = written(straight)
    chance = random.Random(7)
    killed_at = []
    for point in sorted(chance.randrange(whole) for _ in range(KILLS)):
        process = subprocess.Popen(
            command, cwd=PROJECT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        while process.poll() is None and written(killed) < point:
            time.sleep(0.01)
        # Any moment of what follows will do.
        time.sleep(chance.random() / 2)
        is_through = process.poll() is not None
        process.send_signal(signal.SIGKILL)
        _, error = process.communicate()
        assert not is_through or process.returncode == 0, error.decode()
        if not is_through:
            killed_at += killed.rows("SELECT stage FROM import_origins WHERE site_id = %(s)s")
    process = subprocess.Popen(command, cwd=PROJECT, env=env, stdout=subprocess.DEVNULL)
    assert process.wait() == 0

    assert len(killed_at) > KILLS / 2, "the kills came too late"
    assert len(set(killed_at)) > 1, killed_at
    assert counted(killed) == counted(straight)
    hashes = set()
    for moved in (straight, killed):
        # What has no time in the source has that of its import.
        for table in ("profiles", "microcosms", "bans", "attachments"):
            moved.rows(
                f"""UPDATE {table} t SET created = '2020-02-02' WHERE t.site_id = %(s)s
                       AND t.created > now() - interval '1 day' RETURNING 1"""
            )
        hashes.add(export(config, moved.site.id, tmp_path / moved.site.key).hash)
    assert len(hashes) == 1
    for moved in (straight, killed):
        tx = make.database.read()
        site = SiteCache(make.database, make.platform_domain).by_id(moved.site.id, tx)
        origin = Origin.find(tx, moved.site.id, "import")
        assert site is not None
        assert origin is not None
        report = Verifier(tx, config, site, origin, moved.reader).run()
        tx.end()
        assert report.differences == []
