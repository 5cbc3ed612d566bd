"""Two faults at once, each pair once and briefly; `make chaos` plays them longer, on the small data set."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from forumapi.database import embedded_postgres, migrations
from scripts.chaos import pairs
from scripts.chaos.stage import HOST, Stage
from tests.fixtures import factory

pytestmark = [pytest.mark.slow, pytest.mark.wide]

SITE, _, DOMAIN = HOST.partition(".")


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A PostgreSQL that may be taken away, with a site to write on."""
    folder = Path(tempfile.mkdtemp(prefix="forumapi-pairs-", dir="/tmp"))
    folder.chmod(0o755)
    server = embedded_postgres.start(folder / "pg", max_connections=200)
    migrations.migrate(server.url)
    with factory(server.url, DOMAIN) as make:
        site = make.site(SITE)
        conversations = [make.conversation(site).id for _ in range(20)]
        tokens = [make.person(site).token for _ in range(8)]
    yield Stage(folder, server.url, conversations, tokens, site.id, 0.2)
    running = embedded_postgres.find(folder / "pg")
    if running is not None:
        running.stop()
    shutil.rmtree(folder)


@pytest.mark.parametrize("trouble", pairs.TROUBLES, ids=lambda trouble: trouble.name)
@pytest.mark.parametrize("event", pairs.EVENTS, ids=lambda event: event.name)
def test_nothing_is_lost_and_it_comes_back_by_itself(
    stage: Stage, event: type[pairs.Event], trouble: type[pairs.Trouble]
) -> None:
    assert pairs.play(stage, event, trouble)
