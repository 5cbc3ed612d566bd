"""kill -9 of the processes that send: others go on, nothing is lost, and things keep their order."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from forumapi import itemtypes
from forumapi.database.connections import Database
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from tests import services
from tests.factories import Factory, Site
from tests.fixtures import Server, start_server
from tests.webhooks.conftest import Hooks, until
from tests.webhooks.receiver import Receiver

ROUNDS = 2


@pytest.mark.wide
@pytest.mark.slow
def test_nothing_is_lost_with_the_processes_that_send(
    postgres_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    with services.database(postgres_url, "senders") as url:
        server = start_server(url, tmp_path, workers="2", webhook_timeout_s="1")
        database = Database(url, size=2)
        try:
            _kill(Factory(database, "forum.test"), server, receiver)
        finally:
            server.stop()
            database.close()


def _kill(make: Factory, server: Server, receiver: Receiver) -> None:
    site = make.site()
    hooks = Hooks(server.api(), make, site)
    chat = make.conversation(site)
    hooks.add(receiver.url(), itemTypes=["comment"])
    written: list[int] = []
    for number in range(ROUNDS):
        for comment in make.comments(chat, 20):
            written.append(comment.id)
            _touch(make, site, comment.id)
        receiver.wait(len(written) // 2)
        if number < ROUNDS - 1:
            _kill_workers(server)

    wanted = {(id, kind) for id in written for kind in ("created", "replaced")}

    def told() -> list[tuple[int, str]]:
        """Each event once, in the order in which it first came."""
        came = [(message.data["itemId"], message.data["kind"]) for message in receiver.at()]
        return list(dict.fromkeys(came))

    firsts = until(told, lambda all: len(all) == len(wanted), seconds=40)
    assert set(firsts) == wanted
    for id in written:
        assert firsts.index((id, "created")) < firsts.index((id, "replaced"))
    # What came twice came under the same id.
    ids = {(message.data["itemId"], message.data["kind"], message.id) for message in receiver.at()}
    assert len(ids) == len(firsts)


def _touch(make: Factory, site: Site, id: int) -> None:
    """A second event of the same comment."""
    with make.database.write() as tx:
        journal.record(
            tx, Author(site.id, 0, ""), journal.REPLACED, itemtypes.COMMENT, id, version=2
        )


def _kill_workers(server: Server) -> None:
    for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split():
        os.kill(int(pid), signal.SIGKILL)
