"""The walks that the documents name, on a running platform."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests import services
from tests.factories import Factory, Site
from tests.fixtures import PLATFORM_DOMAIN, PROJECT, Server, factory, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def database_url(postgres_url: str) -> Iterator[str]:
    """A database of these tests: a walk reads one process's mailbox, and each on a database sends what it finds."""
    with services.database(postgres_url, "smoke") as url:
        yield url


@pytest.fixture(scope="module")
def server(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The web process on that database."""
    with running(database_url, tmp_path_factory.mktemp("smoke")) as started:
        yield started


@pytest.fixture(scope="module")
def make(database_url: str) -> Iterator[Factory]:
    """Makes sites and people there."""
    with factory(database_url) as maker:
        yield maker


def run(server: Server, database_url: str, site: Site, other: Site, part: str) -> list[str]:
    """The lines of one part of the smoke test, every answer of which was right."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "scripts.smoke", part),
            *("--site", f"http://{site.key}.{PLATFORM_DOMAIN}"),
            *("--other", f"http://{other.key}.{PLATFORM_DOMAIN}"),
            *("--owner", f"owner@{site.key}.test", "--member", f"member@{site.key}.test"),
        ],
        cwd=PROJECT,
        # Where it listens and keeps its mail is what the settings say, as for `make run`.
        env=os.environ
        | {
            "FORUMAPI_ENVIRONMENT": "development",
            "FORUMAPI_DATABASE_URL": database_url,
            "FORUMAPI_LISTEN": f"127.0.0.1:{server.address[1]}",
            "FORUMAPI_DATA_DIR": str(server.log.parent),
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "every answer was the right one"
    return lines


@pytest.mark.wide
def test_a_stranger_is_walked_through(server: Server, database_url: str, make: Factory) -> None:
    site = make.site()
    # More people than a page holds are in the role before the stranger is, as on the demo sites.
    for _ in range(26):
        make.person(site)
    make.sql("UPDATE profile_counters SET comment_count = 10 WHERE site_id = %(s)s", s=site.id)

    lines = run(server, database_url, site, site, "access")

    assert any("after nine comments" in line and "403" in line for line in lines)
    assert any("lacks the scope comments:write" in line for line in lines)


@pytest.mark.wide
def test_two_people_talk(server: Server, database_url: str, make: Factory) -> None:
    site, other = make.site(), make.site()
    make.conversation(other)

    lines = run(server, database_url, site, other, "conversations")

    assert any("on pages of 5, 5 and 2" in line for line in lines)
    assert any("is 403 here" in line and "word for word" in line for line in lines)


@pytest.mark.wide
def test_two_people_hear_of_each_other(server: Server, database_url: str, make: Factory) -> None:
    site = make.site()

    lines = run(server, database_url, site, site, "notifications")

    for kind in ("mentioned", "reply_to_comment", "new_item", "new_comment_in_huddle"):
        assert any(f"is told: {kind}" in line for line in lines)
    assert sum("and mailed:" in line for line in lines) == 6
    assert any("is not mailed" in line for line in lines)
    assert any("trending_scores" in line and "every minute" in line for line in lines)
