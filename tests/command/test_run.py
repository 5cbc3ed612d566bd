"""`forumapi run`, as `make run` starts it: from nothing to the first answer, and nothing left behind."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from PIL import Image

from forumapi.concurrency.end_with_parent import end_with_parent
from forumapi.database import embedded_postgres
from tests.fixtures import PROJECT
from tests.services import free_port

pytestmark = pytest.mark.slow


class Run:
    """One `forumapi run` on a data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("FORUMAPI_")
        }
        self.output = data.parent / f"run-{self.port}.txt"
        self.started = time.monotonic()
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "forumapi", "run"],
                cwd=PROJECT,
                env=kept
                | {
                    "FORUMAPI_LISTEN": f"127.0.0.1:{self.port}",
                    "FORUMAPI_DATA_DIR": str(data),
                    "FORUMAPI_WORKERS": "1",
                    "FORUMAPI_MAX_SANDBOXES": "10",
                },
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=end_with_parent,  # noqa: PLW1509
            )

    def text(self) -> str:
        """Return what it printed so far."""
        return self.output.read_text()

    def wait_until_ready(self) -> None:
        """Wait until it showed its addresses."""
        while "forumapi is running" not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() - self.started < 120, self.text()
            time.sleep(0.05)
        # The lines come in one write, which may still be under way.
        time.sleep(0.1)

    def processes(self) -> list[int]:
        """Every process that works for it."""
        found = []
        cluster = (self.data / "postgres").resolve()
        marks = (f"FORUMAPI_DATA_DIR={self.data}".encode(), str(cluster).encode())
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                known = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if any(mark in known for mark in marks):
                found.append(int(entry.name))
        return found

    def wait_until_gone(self) -> None:
        """Until no process of it is left."""
        deadline = time.monotonic() + 60
        while self.processes():
            assert time.monotonic() < deadline, self.processes()
            time.sleep(0.1)

    def stop(self, sign: int = signal.SIGINT) -> int:
        """Send the signal and wait; the exit code."""
        self.process.send_signal(sign)
        return self.process.wait(40)


def forget_cluster(data: Path) -> None:
    """Delete a cluster that stands outside, because the data folder was closed to PostgreSQL's user."""
    cluster = data / "postgres"
    if cluster.is_symlink():
        shutil.rmtree(cluster.resolve().parent, ignore_errors=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of the runs of this module, one after the other."""
    folder = tmp_path_factory.mktemp("run") / "var"
    yield folder
    forget_cluster(folder)


@pytest.fixture(scope="module")
def first(data: Path) -> Iterator[Run]:
    """The first run, ready."""
    run = Run(data)
    run.wait_until_ready()
    yield run
    if run.process.poll() is None:
        run.stop()


def test_it_shows_progress_addresses_and_tokens(first: Run):
    text = first.text()

    assert "starting PostgreSQL" in text
    assert list((first.data / "mailbox").iterdir()) == [], "printed, so there before any mail is"
    assert "migrating: 0001_initial" in text
    assert f"http://127.0.0.1:{first.port} with the header 'Host: bikes.localhost'" in text
    address = f"http://bikes.localhost:{first.port}/"
    shown = text.partition(" ready\n")[2]
    assert shown.split()[0] == address, "the first thing that is said"
    assert "Sign in there as member@bikes.test" in shown
    for site in ("bikes", "trains"):
        assert f"http://{site}.localhost:{first.port}/\n" in text
        for who in ("owner", "moderator", "member"):
            assert re.search(rf"{who}@{site}\.test +[A-Za-z0-9]{{128}}\n", text)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_line_posts_a_comment(first: Run):
    lines = first.text().partition("Post a comment:\n")[2]
    command = shlex.split(lines.replace("\\\n", " "))
    command[command.index(next(word for word in command if word.startswith("http")))] = (
        f"http://127.0.0.1:{first.port}/api/v1/comments"
    )
    done = subprocess.run(
        [*command, "-H", f"Host: bikes.localhost:{first.port}"],
        capture_output=True,
        text=True,
        check=True,
    )
    envelope = json.loads(done.stdout)
    assert envelope["error"] is None
    assert "<strong>" in envelope["data"]["html"]


WALKS = {
    str(path.relative_to(PROJECT)): [
        block
        for block in re.findall(r"^```.*?\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
        if "curl " in block and "localhost:8080" in block
    ]
    for path in (PROJECT / "README.md", *sorted((PROJECT / "docs/api").glob("*.md")))
}
# A receiver of webhooks stays until it is ended, and its program stands elsewhere on the page.
_RECEIVER = "WEBHOOK_SECRET=$secret python3 receiver.py"
# Every connection goes to the run of this test, and the status of each answer into a file. A pattern that matches no
# file ends the walk: that is what zsh does.
_PRELUDE = """
shopt -s failglob
curl() {
  command curl -sS --connect-to "::127.0.0.1:$PORT" -D "$LOG.headers" "$@"; local code=$?
  grep -a ^HTTP/ "$LOG.headers" | tail -1 | cut -d' ' -f2 >> "$LOG"; return $code
}
"""


def expected(walk: str) -> list[str]:
    """A status for each curl of a walk, in their order: the one in its comment, else "" for one below 400."""
    calls = re.split(r"\bcurl (?=[^#]*\S)", walk)[1:]
    return [
        match[1] if (match := re.search(r"# (\d{3})(?= *$|[:;,])", call, re.M)) else ""
        for call in calls
    ]


def play(run: Run, folder: Path, walk: str) -> tuple[list[str], str]:
    """The statuses of a walk's requests, and what it printed."""
    tokens = dict(re.findall(r"(\w+)@bikes\.test +(\w{128})\n", run.text()))
    walk = walk.replace(_RECEIVER, "").replace("var/mailbox", str(run.data / "mailbox"))
    # What a line of a shell shows before a command, and a token that the reader puts in.
    walk = re.sub(r"^\$ ", "", walk, flags=re.MULTILINE).replace("fapi…", tokens["member"])
    log = folder / "statuses"
    log.touch()
    Image.new("RGB", (200, 150), "red").save(folder / "wheel.png")
    who = {"TOKEN": "member", "ANA": "member", "MODERATOR": "moderator", "BEN": "moderator"}
    who |= {"OWNER": "owner", "owner": "owner"}
    names = {name: tokens[role] for name, role in who.items()}
    done = subprocess.run(
        ["bash", "-c", _PRELUDE + walk],
        env={"PATH": os.environ["PATH"], "PORT": str(run.port), "LOG": str(log), **names},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not done.stderr, done.stderr
    return log.read_text().split(), done.stdout


@pytest.mark.wide
@pytest.mark.parametrize("page", [name for name, walks in WALKS.items() if walks])
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_what_the_documents_do_with_curl_works(first: Run, page: str, tmp_path: Path):
    for number, walk in enumerate(WALKS[page]):
        folder = tmp_path / str(number)
        folder.mkdir()
        got, said = play(first, folder, walk)
        if page.endswith("oauth.md"):
            *_, lists, lacks, kind, again, over = said.splitlines()
            assert '"scope":"comments:write"' in lacks
            assert (lists, kind, again, over) == ("200", "Bearer", "invalid_grant", "401")
            continue
        wanted = expected(walk)
        assert len(got) == len(wanted), (got, wanted, said)
        for status, want in zip(got, wanted, strict=True):
            assert status == want if want else int(status) < 400, (got, wanted, said)


@pytest.mark.wide
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_guide_can_be_pasted_into_one_shell(first: Run, tmp_path: Path):
    """A stranger has nothing but what the page's own commands get."""
    guide = "\n".join(WALKS["docs/api/guide.md"])
    got, said = play(first, tmp_path, f"unset TOKEN\n{guide}")
    wanted = expected(guide)

    assert len(got) == len(wanted), (got, wanted, said)
    for status, want in zip(got, wanted, strict=True):
        assert status == want if want else int(status) < 400, (got, wanted, said)


@pytest.mark.wide
def test_another_run_on_the_same_folder_is_refused(first: Run, data: Path):
    other = Run(data)
    assert other.process.wait(20) == 1
    assert "already" in other.text()
    assert first.process.poll() is None


def test_the_log_of_its_database_holds_no_values(first: Run):
    server = embedded_postgres.find(first.data)
    assert server is not None
    with psycopg.connect(server.url) as connection:
        shown = connection.execute(
            """SELECT current_setting('log_parameter_max_length'),
                      current_setting('log_parameter_max_length_on_error'), current_setting('log_error_verbosity')"""
        ).fetchone()
    assert shown == ("0", "0", "terse")


@pytest.mark.wide
def test_what_ends_unasked_is_started_again(first: Run):
    log = first.data / "log" / "cron.log"
    before = log.read_text().count("cron: started")
    cron = next(pid for pid in first.processes() if _command(pid).endswith("forumapi cron"))

    os.kill(cron, signal.SIGKILL)

    deadline = time.monotonic() + 60
    while log.read_text().count("cron: started") == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "cron ended" in first.text()


@pytest.mark.wide
def test_postgresql_may_crash(first: Run):
    server = int((first.data / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(server, signal.SIGKILL)

    deadline = time.monotonic() + 30
    while _status(first) != 200 or "PostgreSQL ended" not in first.text():
        assert time.monotonic() < deadline, first.text()
        time.sleep(0.2)


@pytest.mark.wide
def test_ctrl_c_stops_everything(first: Run):
    assert first.stop(signal.SIGINT) == 0
    first.wait_until_gone()
    assert first.text().rstrip().endswith("stopped")


@pytest.mark.wide
def test_a_second_run_continues_with_the_data_and_the_same_tokens(first: Run, data: Path):
    if first.process.poll() is None:
        first.stop()
    second = Run(data)
    try:
        second.wait_until_ready()
        assert (
            second.text().partition("Tokens:")[2].partition("Post a")[0]
            == (first.text().partition("Tokens:")[2].partition("Post a")[0])
        )
        assert "filling" not in second.text()
    finally:
        server = embedded_postgres.find(data)
        second.process.kill()
    second.process.wait()
    # Even killed, it takes everything with it, but for the folder of PostgreSQL's socket.
    second.wait_until_gone()
    assert server is not None
    assert list(server.socket_dir.iterdir()) == []
    server.socket_dir.rmdir()


@pytest.mark.wide
def test_sigterm_during_the_start_stops_it_too(tmp_path: Path):
    run = Run(tmp_path / "var")
    time.sleep(1.0)
    run.stop(signal.SIGTERM)
    run.wait_until_gone()
    forget_cluster(run.data)


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()


def _status(run: Run) -> int:
    """Return what it answers with; 0 where nobody does."""
    connection = http.client.HTTPConnection("127.0.0.1", run.port, timeout=10)
    try:
        connection.request("GET", "/api/v1/site", headers={"Host": "bikes.localhost"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
