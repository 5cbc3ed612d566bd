"""Tests of what the process that holds the addresses leaves to others on its machine."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from forumapi.config import Config
from forumapi.server import health_client, listener_holder
from tests.fixtures import PROJECT
from tests.services import free_port


def test_what_one_that_was_killed_has_left_is_not_read_as_the_next_ones(tmp_path: Path) -> None:
    listener_holder.HolderState(pid=1, web=1).write(tmp_path)
    (tmp_path / "hold.new").mkdir()  # what it would say of itself can't be written
    web = tmp_path / "web"
    web.write_text(f"#!/bin/sh\n[ -e {tmp_path}/hold.json ] && exit 4\nexit 3\n")
    web.chmod(0o700)
    environ = os.environ | {
        "FORUMAPI_ENVIRONMENT": "development",
        "FORUMAPI_DATA_DIR": str(tmp_path),
        "FORUMAPI_LISTEN": f"127.0.0.1:{free_port()}",
    }

    done = subprocess.run(
        [sys.executable, "-m", "forumapi", "hold", str(web)], cwd=PROJECT, env=environ
    )

    assert done.returncode == 3


def test_a_new_web_process_is_on_trial_for_half_a_minute() -> None:
    assert Config().release_trial_s == 30


def test_a_process_that_is_gone_is_not_asked_to_replace_anything(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    listener_holder.HolderState(pid=gone.pid).write(tmp_path)
    holder = subprocess.Popen(
        ["flock", str(tmp_path / "hold.lock"), "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdin is not None and holder.stdout is not None
    holder.stdin.write(b"held\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == b"held\n"

    with pytest.raises(listener_holder.HoldError, match="No such process"):
        listener_holder.replace(tmp_path)

    holder.communicate()


@contextlib.contextmanager
def answering(listening: socket.socket, statuses: list[int]) -> Iterator[None]:
    """Have requests at a socket answered with these statuses, the last one again and again."""

    def serve() -> None:
        for n in itertools.count():
            try:
                client, _ = listening.accept()
            except OSError:
                return
            with client:
                client.recv(4096)
                status, body = statuses[min(n, len(statuses) - 1)], b'{"data":{"build":""}}'
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n"
                client.sendall(head.encode() + body)

    threading.Thread(target=serve, daemon=True).start()
    yield


ANSWERS = pytest.mark.parametrize(
    ("status", "wrong", "is_fault"),
    [
        (200, "", False),
        # It is the questions that are too many.
        (429, "", False),
        (503, "a page is answered with 503", False),
        (404, "a page is answered with 404", True),
        (500, "a page is answered with 500", True),
    ],
)


@ANSWERS
def test_a_release_on_trial_is_not_to_blame_for_too_many_questions(
    tmp_path: Path, status: int, wrong: str, is_fault: bool
) -> None:
    probe = listener_holder.Probe(tmp_path, "forum.example")
    with contextlib.closing(probe.socket), answering(probe.socket, [200, status]):
        probe.begin(2)
        until(lambda: bool(probe.asked))
        probe.end()

    assert (probe.wrong, probe.is_fault) == (wrong, is_fault)


@ANSWERS
def test_a_machine_is_not_to_blame_for_too_many_checks(
    status: int, wrong: str, is_fault: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, answering(listening, [200, status]):
        config = Config(listen=f"127.0.0.1:{listening.getsockname()[1]}")
        assert health_client.health_problem(config, is_out=True) == wrong


# A web process that answers for the domain of the settings. It serves once no file `slow` is there, says that its
# workers end when there is a file `loop`, and ends when there is a file `end`, both named after its release.
RELEASE = f"""#!{sys.executable}
import os, pathlib, signal, socket, sys, threading, time, tomllib
signal.signal(signal.SIGHUP, signal.SIG_IGN)
said = int(os.environ["{listener_holder.ENV_READY}"])
folder = pathlib.Path(os.environ["FORUMAPI_DATA_DIR"])
build = pathlib.Path(sys.argv[0]).resolve().name
settings = tomllib.loads(pathlib.Path(os.environ["FORUMAPI_CONFIG"]).read_text())
def serve(number):
    listening = socket.socket(fileno=number)
    while True:
        client, _ = listening.accept()
        with client:
            is_known = "Host: " + settings["platform_domain"] + "\\r" in client.recv(4096).decode()
            status = 200 if is_known else 404
            client.sendall(f"HTTP/1.1 {{status}} X\\r\\nContent-Length: 0\\r\\n\\r\\n".encode())
while (folder / "slow").exists():
    time.sleep(0.01)
for number in os.environ["{listener_holder.ENV_LISTENERS}"].split(","):
    threading.Thread(target=serve, args=(int(number),), daemon=True).start()
os.write(said, b"1\\n")
(folder / f"{{build}}.serves").touch()
while not (folder / f"{{build}}.loop").exists():
    time.sleep(0.01)
os.write(said, b"ended\\n" * {listener_holder.LOOP_ENDS})
while not (folder / f"{{build}}.end").exists():
    time.sleep(0.01)
sys.exit(5)
"""


@dataclass
class Holding:
    """A process that holds for the release `current` leads to."""

    folder: Path

    @property
    def text(self) -> str:
        return (self.folder / "log").read_text()

    def settings(self, domain: str) -> None:
        """Have these settings from now on, without a word to anybody."""
        (self.folder / "forumapi.toml").write_text(
            f'platform_domain = "{domain}"\nrelease_trial_s = 1\n'
        )

    def switch(self, build: str) -> None:
        """Have `current` lead to a release."""
        program = self.folder / build
        program.write_text(RELEASE)
        program.chmod(0o700)
        (self.folder / "current").unlink(missing_ok=True)
        (self.folder / "current").symlink_to(program)

    @property
    def failure(self) -> str:
        """Why the last attempt failed."""
        state = listener_holder.find(self.folder)
        return state.failure if state is not None else ""

    def replace(self, build: str) -> str:
        """Have the web process replaced by one of this release; why that failed, "" if it did not."""
        self.switch(build)
        return listener_holder.replace(self.folder).failure


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[Holding]:
    """A process that holds, with a web process of the release `first`."""
    made = Holding(tmp_path)
    made.settings("forum.example")
    made.switch("first")
    environ = os.environ | {
        "FORUMAPI_ENVIRONMENT": "development",
        "FORUMAPI_CONFIG": str(tmp_path / "forumapi.toml"),
        "FORUMAPI_DATA_DIR": str(tmp_path),
        "FORUMAPI_LISTEN": f"127.0.0.1:{free_port()}",
    }
    command = [sys.executable, "-m", "forumapi", "hold", str(tmp_path / "current")]
    with (tmp_path / "log").open("wb") as output:
        running = subprocess.Popen(command, cwd=PROJECT, env=environ, stderr=output)
    try:
        # Its interpreter has read the file that `current` leads to: what it leads to may change now.
        until((tmp_path / "first.serves").exists)
        yield made
    finally:
        running.terminate()
        running.wait()


@pytest.mark.wide
def test_a_release_is_asked_for_the_domain_that_the_settings_name_by_then(holding: Holding) -> None:
    assert holding.replace("second") == ""
    holding.settings("other.example")

    assert holding.replace("third") == ""
    assert holding.replace("fourth") == ""


def until(is_so: Callable[[], bool]) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_release_after_a_rollback_that_was_interrupted_is_on_trial(holding: Holding) -> None:
    assert holding.replace("second") == ""
    (holding.folder / "slow").touch()
    (holding.folder / "second.loop").touch()
    until(lambda: "going back to" in holding.text)
    (holding.folder / "second.end").touch()
    until(lambda: "ended by itself (5)" in holding.text)
    (holding.folder / "slow").unlink()

    until(lambda: holding.failure == "rolled back: 3 of its workers ended")
    assert holding.replace("third") == ""
    assert holding.text.count("is on trial for 1 s") == 2
