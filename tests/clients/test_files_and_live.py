"""Uploads and live events of both clients on a real server, a stream across the end of a worker included."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api import Api
from tests.chaos.stage import wait_for, workers
from tests.clients.conftest import Local, Node
from tests.clients.stub import answer, stub
from tests.factories import Factory
from tests.fixtures import Server, start_server
from tests.realtime.test_socket import write

pytestmark = [pytest.mark.wide, pytest.mark.slow]


def test_a_file_goes_up_and_comes_back(
    package: Any, client: Callable[..., Any], make: Factory, tmp_path: Path
) -> None:
    site = make.site()
    member = client(site, site.member)
    path = tmp_path / "notes.txt"
    path.write_bytes(os.urandom(300_000))
    told: list[int] = []

    files = [package.Upload.from_path(path)]
    made = member.files.create(files, progress=lambda sent, total: told.append(sent))[0]

    assert made.fileSize == 300_000 and len(told) > 4
    assert member.files.get(made.fileHash) == path.read_bytes()
    assert member.files.get(made.fileHash, range="bytes=0-9") == path.read_bytes()[:10]


def test_a_file_goes_up_from_node(node: Node, make: Factory, server: Server) -> None:
    site = make.site()
    program = """
const site = new Client(given.address, given.token);
const told = [];
const content = new Blob(["x".repeat(300000)]);
const [made] = await site.files.create([{ name: "a.txt", content }], { onProgress: sent => told.push(sent) });
const back = await site.files.get(made.fileHash);
const wrong = await site.files.get("nothing").catch(error => error instanceof NotFound);
return [made.fileSize, told.length > 4, (await back.text()) === (await content.text()), wrong];
"""
    address = f"http://{site.host}:{server.address[1]}"

    assert node.run(program, address=address, token=site.member.token) == [
        300_000,
        True,
        True,
        True,
    ]


def test_a_stream_goes_on_when_its_worker_dies(
    package: Any, node: Node, database_url: str, make: Factory, tmp_path: Path
) -> None:
    """Both clients follow one conversation, and get every comment, those that were written meanwhile too, once."""
    site = make.site()
    chat = make.conversation(site)
    topic = f"conversation/{chat.id}"
    server = start_server(database_url, tmp_path)
    api: Api = server.api()
    address = f"http://{site.host}:{server.address[1]}"
    follower = package.Client(address, site.member.token, transport=Local(server.address))
    stream = follower.live.stream_events(topic=topic, documents=True)
    told: list[str] = []
    told_node: list[str] = []

    def follow() -> None:
        # The conversation itself may have been numbered after the stream began.
        for frame in stream:
            if frame.raw["itemType"] == "comment":
                told.append(frame.document.markdown)

    def noted(request: Any) -> bytes:
        told_node.append(request.body.decode())
        return answer()

    program = """
const site = new Client(given.address, given.token);
const stream = await site.live.streamEvents({ topic: given.topic, documents: true });
for await (const frame of stream) {
  if (frame.itemType !== "comment") continue;
  await fetch(given.note, { method: "POST", body: frame.document.markdown });
  if (frame.document.markdown === "The end") stream.close();
}
return "closed";
"""
    ended: list[Any] = []
    with stub(noted) as note:
        threads = [
            threading.Thread(target=follow, daemon=True),
            threading.Thread(
                target=lambda: ended.append(
                    node.run(
                        program,
                        address=address,
                        token=site.member.token,
                        topic=topic,
                        note=note.address,
                    )
                ),
                daemon=True,
            ),
        ]
        try:
            for thread in threads:
                thread.start()

            def are_following() -> bool:
                write(api, chat.path, site.moderator, f"Hello {time.monotonic()}")
                return bool(told and told_node)

            wait_for(are_following, 30)
            before = workers(server)
            os.kill(before[0], signal.SIGKILL)
            wait_for(lambda: set(workers(server)) - set(before), 30)
            for number in range(3):
                write(api, chat.path, site.moderator, f"Meanwhile {number}")
            write(api, chat.path, site.moderator, "The end")
            wait_for(lambda: "The end" in told and "The end" in told_node, 60)
            threads[1].join(30)
        finally:
            stream.close()
            server.stop()
            api.close()

    meanwhile = [f"Meanwhile {number}" for number in range(3)]
    for one in (told, told_node):
        assert [text for text in one if text.startswith("Meanwhile")] == meanwhile
    assert ended == ["closed"]
