"""kill -9 of workers under writes: every acknowledged comment is there, whole; every retried key made one."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.api import Response
from tests.chaos.stage import differences, own_database, wait_for, workers
from tests.factories import Person, Thing
from tests.fixtures import Server, factory, start_server

pytestmark = pytest.mark.slow

WRITERS = 6
KILLS = 3


class Writer:
    """Posts comment after comment, each with a key, again and again until it is acknowledged."""

    def __init__(self, server: Server, by: Person, chat: Thing, stop: threading.Event) -> None:
        self.server = server
        self.by = by
        self.chat = chat
        self.stop = stop
        self.acknowledged: dict[str, str] = {}  # text -> location
        self.retried = 0

    def run(self) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            text = f"{self.by.name} {number} " + "whole " * 200 + "end"
            key = uuid4().hex
            for attempt in range(200):
                try:
                    answer = self.post(text, key)
                except (OSError, http.client.HTTPException):
                    time.sleep(0.02)
                    continue
                if answer.status == 302:
                    self.retried += attempt > 0
                    self.acknowledged[text] = str(answer.headers["Location"])
                    break
                # The copy that died is still being rolled back.
                assert answer.status in (409, 503), answer.read()
                time.sleep(0.05)
            else:
                raise AssertionError("never acknowledged")

    def post(self, text: str, key: str) -> http.client.HTTPResponse:
        """One try, on a connection of its own. Raises when the connection breaks."""
        connection = http.client.HTTPConnection(*self.server.address, timeout=20)
        body = {"itemType": "conversation", "itemId": self.chat.id, "markdown": text}
        headers = {
            "Host": self.by.site.host,
            "Authorization": f"Bearer {self.by.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        try:
            connection.request("POST", "/api/v1/comments", json.dumps(body), headers)
            answer = connection.getresponse()
            answer.read()
            return answer
        finally:
            connection.close()


def wait_for_more(writers: list[Writer]) -> None:
    """Until several more comments have been acknowledged than are now."""

    def count() -> int:
        return sum(len(writer.acknowledged) for writer in writers)

    before = count()
    wait_for(lambda: count() > before + WRITERS, 60)


def test_nothing_acknowledged_is_lost_and_nothing_is_written_twice(tmp_path: Path) -> None:
    with own_database("killed") as url, factory(url) as make:
        site = make.site()
        chat = make.conversation(site)
        people = [make.person(site) for _ in range(WRITERS)]
        # The guard against equal texts is off: only the keys keep retries from writing twice.
        server = start_server(url, tmp_path, workers="2", duplicate_window_s="0")
        try:
            stop = threading.Event()
            writers = [Writer(server, by, chat, stop) for by in people]
            killed = 0
            with ThreadPoolExecutor(WRITERS) as pool:
                done = [pool.submit(writer.run) for writer in writers]
                try:
                    while killed < KILLS or not any(writer.retried for writer in writers):
                        # The older one, in the middle of writes that go well.
                        wait_for_more(writers)
                        wait_for(lambda: len(workers(server)) == 2, 60)
                        os.kill(workers(server)[0], signal.SIGKILL)
                        killed += 1
                        assert killed < 10 * KILLS
                    wait_for_more(writers)
                finally:
                    stop.set()
                for one in done:
                    one.result()
            acknowledged = {
                text: place for one in writers for text, place in one.acknowledged.items()
            }

            stored = make.sql(
                "SELECT comment_id, markdown, html FROM comments WHERE item_id = %(i)s", i=chat.id
            )
            assert len(stored) == len(acknowledged)
            by_text = {row[1]: row for row in stored}
            for text, location in acknowledged.items():
                id, _, html = by_text[text]
                assert location == f"/api/v1/comments/{id}"
                assert html.rstrip().endswith("end</p>")
            assert differences(url) == []
            # And the server is well.
            shown = server.api().get(chat.path, site=site).data["comments"]
            assert shown["total"] == len(acknowledged)
        finally:
            server.stop()


@pytest.mark.wide
def test_a_claim_of_a_killed_worker_is_held_while_it_may_still_be_done(tmp_path: Path) -> None:
    with own_database("claim") as url, factory(url) as make:
        site = make.site()
        chat = make.conversation(site)
        server = start_server(url, tmp_path, workers="1", duplicate_window_s="0")
        try:
            api = server.api()
            key = {"Idempotency-Key": uuid4().hex}
            body = {"itemType": "conversation", "itemId": chat.id, "markdown": "Once"}

            def send() -> Response:
                return api.post("/api/v1/comments", body, by=site.member, headers=key)

            with psycopg.connect(url) as other:
                other.execute("SELECT 1 FROM items WHERE item_id = %s FOR UPDATE", [chat.id])
                dying = http.client.HTTPConnection(*server.address, timeout=10)
                headers = {
                    **key,
                    "Host": site.host,
                    "Authorization": f"Bearer {site.member.token}",
                    "Content-Type": "application/json",
                }
                dying.request("POST", "/api/v1/comments", json.dumps(body), headers)
                wait_for(lambda: make.sql(WAITING) != [(0,)], 5)
                (worker,) = workers(server)
                os.kill(worker, signal.SIGKILL)
                with pytest.raises((OSError, http.client.HTTPException)):
                    dying.getresponse()
                dying.close()
                wait_for(lambda: workers(server) not in ([], [worker]), 10)

                # 409 while the dead one's session holds the key, 503 once it is this request that waits for the row.
                assert send().status in (409, 503)
                other.rollback()

            assert send().status == 302
            assert send().status == 302
            made = make.sql("SELECT markdown FROM comments WHERE item_id = %(i)s", i=chat.id)
            assert made == [("Once",)]
        finally:
            server.stop()


WAITING = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'"""
