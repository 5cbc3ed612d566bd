"""`make dist`: one file that runs where there is nothing of the project, the same bytes each time, and a bill of it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from forumapi import __version__
from forumapi.concurrency.end_with_parent import end_with_parent
from tests import services
from tests.dist import one_file
from tests.files.pictures import BOUNDARY, form, png
from tests.fixtures import PROJECT
from tests.services import free_port

pytestmark = [pytest.mark.slow, pytest.mark.wide]


@pytest.fixture(scope="module")
def stranger(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """A machine that was sent the file and nothing else."""
    folder = tmp_path_factory.mktemp("stranger")
    copy = folder / "forumapi"
    copy.write_bytes(file.read_bytes())
    copy.chmod(0o755)
    return Stranger(copy, folder / "home")


class Collector(ThreadingHTTPServer):
    """A server that takes traces; `got` has the paths that they came to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.got: queue.Queue[str] = queue.Queue()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1/traces"


class _Taker(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.put(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on loopback."""
    made = Collector()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()


class Stranger:
    """The file in a folder of its own, run with next to no environment."""

    def __init__(self, file: Path, home: Path) -> None:
        self.file = file
        self.folder = file.parent
        self.home = home

    def start(self, *words: str, output: Path, **settings: str) -> subprocess.Popen[bytes]:
        with output.open("wb") as out:
            return subprocess.Popen(
                ["./forumapi", *words],
                cwd=self.folder,
                env=one_file.bare(self.home, **settings),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=end_with_parent,  # noqa: PLW1509
            )

    def run(self, *words: str, **settings: str) -> str:
        """Return what a command printed; it must succeed."""
        done = subprocess.run(
            ["./forumapi", *words],
            cwd=self.folder,
            env=one_file.bare(self.home, **settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def ask(
    port: int,
    path: str,
    host: str = "localhost",
    method: str = "GET",
    body: bytes | None = None,
    **headers: str,
) -> tuple[int, bytes]:
    """Status and body of one answer; (0, b"") where nobody answers yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, {"Host": host, **sent})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def wait_until_ready(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + 120
    while ask(port, "/api/v1/ready")[0] != 200:
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.05)


def test_it_knows_its_version_and_what_it_was_built_from(stranger: Stranger) -> None:
    said = stranger.run("--version")

    assert re.fullmatch(rf"forumapi {re.escape(__version__)} \([0-9a-f-]{{8,}}\)\n", said)


BUILT_FOR = f"Python {sys.version_info[0]}.{sys.version_info[1]}"


def test_where_there_is_no_such_python_it_says_in_one_line_what_it_was_built_for(
    stranger: Stranger, tmp_path: Path
) -> None:
    """A machine with the usual tools and, as its only Python, one of another version."""
    for folder in ("/usr/bin", "/bin"):
        for tool in Path(folder).iterdir():
            if not tool.name.startswith(("python", "pypy")) and not (tmp_path / tool.name).exists():
                (tmp_path / tool.name).symlink_to(tool)
    environ = one_file.bare(tmp_path / "home") | {"PATH": str(tmp_path)}
    for other in (False, True):
        if other:
            fake = tmp_path / "python3"
            fake.write_text("#!/bin/sh\nexit 1\n")
            fake.chmod(0o755)
        done = subprocess.run(
            [stranger.file, "--version"], env=environ, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert BUILT_FOR in done.stderr


OTHER_PYTHONS = [
    path
    for version in range(12, 20)
    for path in (
        # Where versions stand side by side (pyenv), and where the distribution has them.
        *Path(sys.base_prefix).parent.glob(f"3.{version}.*/bin/python3"),
        Path(f"/usr/bin/python3.{version}"),
    )
    if path.exists() and version != sys.version_info[1]
]


# Where no other is installed, one that says so of itself.
PRETENDING = (
    "import runpy, sys; sys.version_info = (3, 99, 0, 'final', 0); sys.argv = sys.argv[1:];"
    " runpy.run_path(sys.argv[0], run_name='__main__')"
)


def test_called_by_another_python_it_says_so_in_one_line(
    stranger: Stranger, tmp_path: Path
) -> None:
    other = [str(OTHER_PYTHONS[0])] if OTHER_PYTHONS else None
    for program in ([sys.executable, "-c", PRETENDING], other):
        if program is None:
            continue
        done = subprocess.run(
            [*program, stranger.file, "--version"],
            env=one_file.bare(tmp_path),
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert BUILT_FOR in done.stderr


def test_two_builds_are_the_same_bytes(file: Path, tmp_path: Path) -> None:
    again = one_file.build(tmp_path, umask="077", zone="Asia/Tokyo")

    assert hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(again.read_bytes()).digest()
    for name in ("forumapi.cdx.json", "forumapi.sha256"):
        assert (file.parent / name).read_bytes() == (tmp_path / name).read_bytes()


def test_its_checksum_stands_beside_it(file: Path) -> None:
    command = ["sha256sum", "--check", "--status", "forumapi.sha256"]

    assert subprocess.run(command, cwd=file.parent).returncode == 0


def test_the_bill_of_materials_is_valid_and_names_what_is_inside(
    file: Path, stranger: Stranger
) -> None:
    text = (file.parent / "forumapi.cdx.json").read_text()
    bill = json.loads(text)
    inside = {one["name"]: one for one in bill["components"]}
    code = "from importlib.metadata import distributions as d\nfor one in d(): print(one.name, one.version)"
    environ = one_file.bare(stranger.home) | {"PEX_INTERPRETER": "1"}
    there = subprocess.run(
        [stranger.file, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    installed = dict(line.split() for line in there.stdout.splitlines())
    build = re.findall(r"\((.*)\)", stranger.run("--version"))[0]

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert installed.pop("forumapi") == __version__
    assert {name: one["version"] for name, one in inside.items()} == installed
    assert bill["metadata"]["component"]["version"] == f"{__version__}+{build}"
    assert bill["metadata"]["component"]["hashes"][0]["content"] == (
        hashlib.sha256(file.read_bytes()).hexdigest()
    )
    assert all(one.get("licenses") for one in inside.values())
    assert any("libpq" in one["name"] for one in inside["psycopg-binary"]["components"])


def test_the_stores_client_and_those_that_hand_out_its_credentials_are_inside(
    stranger: Stranger,
) -> None:
    code = (
        "import boto3\nfor name in ('s3', 'sts', 'sso', 'sso-oidc', 'signin'): "
        "boto3.client(name, region_name='eu-west-1', aws_access_key_id='k', aws_secret_access_key='s')"
    )
    environ = one_file.bare(stranger.home) | {"PEX_INTERPRETER": "1"}

    subprocess.run([stranger.file, "-c", code], env=environ, check=True)


def test_routes_settings_and_documents_are_inside(stranger: Stranger) -> None:
    assert stranger.run("routes") == (PROJECT / "tests" / "saved" / "routes.txt").read_text()
    assert "are good" in stranger.run("config", "check")
    pages = stranger.run("docs").split()
    written = (PROJECT / "docs").rglob("*.md")
    assert sorted(pages) == sorted(
        str(path.relative_to(PROJECT / "docs").with_suffix("")) for path in written
    )
    for page in ("operations", "api/comments", "spec/content"):
        assert stranger.run("docs", page) == (PROJECT / "docs" / f"{page}.md").read_text()


def test_it_migrates_examines_works_and_serves(
    stranger: Stranger, postgres_url: str, tmp_path: Path
) -> None:
    port = free_port()
    with services.new_database(postgres_url, "one_file") as url, collecting() as collector:
        settings: dict[str, str] = {
            "database_url": url,
            "listen": f"127.0.0.1:{port}",
            "data_dir": str(tmp_path / "var"),
            "workers": "1",
            "environment": "development",
            "trace_url": collector.url,
            "trace_percent": "100",
        }
        assert "migrating: 0001_initial" in stranger.run("migrate", **settings)
        assert stranger.run("migrate", "--check", **settings) == ""
        examined = stranger.run("doctor", **settings)
        assert "PostgreSQL" in examined
        assert stranger.run("cron", "run", "fold_counters", **settings)
        stranger.run("site", "create", "velo", "--title", "Velo", "--owner", "a@b.test", **settings)
        output = tmp_path / "serve.log"
        process = stranger.start("hold", "./forumapi", output=output, **settings)
        wait_until_ready(process, port, output)
        stranger.run("node", "check", **settings)
        stranger.run("node", "replace", **settings)
        status, body = ask(port, "/api/v1/version")
        page, _ = ask(port, "/api/v1/docs", "velo.localhost")
        assert collector.got.get(timeout=30) == "/v1/traces"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, output.read_text()

    version = json.loads(body)["data"]
    assert status == page == 200
    assert stranger.run("--version") == f"forumapi {version['version']} ({version['build']})\n"
    assert [path.name for path in stranger.home.iterdir()] == ["unpacked"]


def test_everything_runs_from_an_empty_folder(stranger: Stranger) -> None:
    port = free_port()
    output = stranger.home / "run.txt"
    environ = {"listen": f"127.0.0.1:{port}", "workers": "1"}
    process = stranger.start("run", output=output, **environ)
    wait_until_ready(process, port, output)
    deadline = time.monotonic() + 30
    while "Post a comment" not in output.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    token = re.findall(r"member@bikes\.test +(\w+)", output.read_text())[0]
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    body = form(("a.png", png(900, 700), "image/png"))
    bearer = f"Bearer {token}"
    # The picture's size is measured in another process, which has to find the package too.
    status, answer = ask(
        port,
        "/api/v1/files",
        "bikes.localhost",
        "POST",
        body,
        Authorization=bearer,
        Content_Type=kind,
    )
    uploaded: dict[str, Any] = json.loads(answer)["data"][0]
    # Nobody outside is asked: the cities come along.
    found, place = ask(port, "/api/v1/geocode?q=Porto", "bikes.localhost", Authorization=bearer)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0, output.read_text()

    assert (status, uploaded["width"], uploaded["height"]) == (200, 900, 700)
    assert (found, json.loads(place)["display_name"]) == (200, "Porto, PT")
    assert sorted(path.name for path in stranger.folder.iterdir()) == ["forumapi", "home", "var"]
