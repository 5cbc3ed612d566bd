"""scripts/deploy, from one machine to others: folders and ports here, reached as `local` or through a real sshd."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from forumapi.concurrency.end_with_parent import end_with_parent
from forumapi.config import Config
from forumapi.server import health_client, listener_holder
from tests import services
from tests.fixtures import PLATFORM_DOMAIN, PROJECT
from tests.nginx.stage import nginx
from tests.services import free_port
from tests.upgrade.releases import release
from tests.upgrade.stage import Held, Load, OverTls, answers, environment, until

pytestmark = [pytest.mark.slow, pytest.mark.wide]

FAILING = """def _fail(self, environ, start_response):
    start_response("500 Internal Server Error", [("Content-Length", "0")])
    return (b"",)
_whole = Application.__call__
def _some(self, environ, start_response):
    is_page = environ.get("PATH_INFO") == "/api/v1/site"
    return (_fail if is_page else _whole)(self, environ, start_response)
Application.__call__ = _some"""


@dataclass
class Machine:
    """A folder that forumapi is installed in, with its web process."""

    folder: Path
    held: Held

    @property
    def local(self) -> str:
        """Its name for scripts/deploy."""
        return f"local:{self.folder}"

    def link(self, name: str) -> str:
        """The build that a link leads to."""
        return (self.folder / name).readlink().name

    @property
    def config(self) -> Config:
        """As much of its settings as looking at it takes."""
        return Config(listen=f"127.0.0.1:{self.held.port}", platform_domain=PLATFORM_DOMAIN)

    @property
    def is_out(self) -> bool:
        """Return whether it is out of service."""
        return (self.folder / "var" / "out-of-service").exists()


@contextlib.contextmanager
def machine(database_url: str, folder: Path, program: Path) -> Iterator[Machine]:
    """A machine that runs `program`."""
    port = free_port()
    build = program.parent.name
    (folder / "releases" / build).mkdir(parents=True)
    (folder / "releases" / build / "forumapi").write_bytes(program.read_bytes())
    (folder / "releases" / build / "forumapi").chmod(0o755)
    (folder / "current").symlink_to(f"releases/{build}")
    (folder / "port").write_text(str(port))
    environ = environment(database_url, folder, port, workers="1")
    settings = "".join(
        f"export {name}='{value}'\n"
        for name, value in environ.items()
        if name.startswith("FORUMAPI_")
    )
    command = folder / "forumapi"
    command.write_text(
        f"#!/bin/sh\n{settings}file=${{RELEASE_FILE:-{folder}/current/forumapi}}\n"
        'unset RELEASE_FILE\nexec "$file" "$@"\n'
    )
    command.chmod(0o755)
    current = folder / "current" / "forumapi"
    with (folder / "hold.log").open("wb") as output:
        process = subprocess.Popen(
            [current, "hold", current],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=end_with_parent,  # noqa: PLW1509
        )
    held = Held(process, current, port, folder, environ)
    try:
        until(lambda: answers(held), held)
        yield Machine(folder, held)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("programs")
    made = {
        "first": release(folder, "first"),
        "second": release(folder, "second"),
        "broken": release(folder, "broken", {"wsgi.py": "raise RuntimeError('broken')"}),
        "failing": release(folder, "failing", {"wsgi.py": FAILING}),
        "migrating": release(folder, "migrating"),
    }
    sql = folder / "migrating" / "sql"
    sql.unlink()
    subprocess.run(["cp", "-r", PROJECT / "sql", sql], check=True)
    (sql / "migrations" / "9999_more.sql").write_text("CREATE TABLE more (id bigint);\n")
    return made


@pytest.fixture(scope="module")
def machines(
    postgres_url: str, programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Machine, Machine]]:
    """Two of them, on one database; each test but the last leaves both running the first release."""
    folder = tmp_path_factory.mktemp("machines")
    with (
        services.database(postgres_url, "deploy") as url,
        machine(url, folder / "one", programs["first"]) as one,
        machine(url, folder / "two", programs["first"]) as two,
    ):
        yield one, two


def deploy(*words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/deploy; there is no cron process to restart."""
    return subprocess.run(
        [str(PROJECT / "scripts" / "deploy"), *map(str, words)],
        env=os.environ | {"DEPLOY_DRAIN_S": "0.2", "DEPLOY_CRON": "true"} | environ,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def ssh() -> Iterator[str]:
    """Options of ssh that lead to an sshd on loopback; none where it is not installed."""
    program = services.sshd_program()
    if program is None:
        yield ""
        return
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="forumapi-sshd-") as name:
        folder = Path(name)
        for key in ("host", "mine"):
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
            subprocess.run(make, check=True)
        port = free_port()
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder}/mine.pub\nStrictModes no\nSubsystem sftp internal-sftp\n"
        )
        (folder / "ssh_config").write_text(
            f"Host machine\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {folder}/mine\n"
            f"  UserKnownHostsFile {folder}/known\n  StrictHostKeyChecking no\n  LogLevel ERROR\n"
            # Dozens of connections are made, and the key exchange that ssh prefers takes most of each.
            "  KexAlgorithms curve25519-sha256\n"
        )
        server = subprocess.Popen(
            [program, "-D", "-e", "-f", str(folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=end_with_parent,  # noqa: PLW1509
        )
        try:
            yield f"-F {folder}/ssh_config -o BatchMode=yes -o ConnectionAttempts=20"
        finally:
            server.terminate()
            server.wait()


@pytest.mark.wide
def test_a_rolling_upgrade_under_load_fails_no_request(
    machines: tuple[Machine, Machine], programs: dict[str, Path], ssh: str, tmp_path: Path
) -> None:
    program = services.nginx_program()
    if program is None:
        pytest.skip("nginx is not installed")
    one, two = machines
    server = f"server 127.0.0.1:{one.held.port} max_fails=3 fail_timeout=2s;"
    changes = {
        "rate=50r/s": "rate=100000r/s",
        server: f"server 127.0.0.1:{one.held.port};\n    server 127.0.0.1:{two.held.port};",
        "proxy_next_upstream error timeout;\nproxy_next_upstream_tries 2;": "proxy_next_upstream off;",
    }
    # One machine is this one, the other is reached as any other is.
    names = [one.local, f"machine:{two.folder}" if ssh else two.local]
    told = tmp_path / "told"
    mark = "${NODE#*:}/var/out-of-service"
    environ = {
        "DEPLOY_SSH": f"ssh {ssh}",
        "DEPLOY_SCP": f"scp -q {ssh}",
        # A balancer is told at the right time: after the machine said so itself, and when it is back.
        "DEPLOY_OUT": f"test -e {mark} && echo out $NODE >> {told}",
        "DEPLOY_CRON": f"echo cron >> {told}",
        "DEPLOY_IN": f"test ! -e {mark} && echo in $NODE >> {told}",
    }
    upstream = ("127.0.0.1", one.held.port)
    # It lasts long, and most of it nothing is replaced.
    load = Load(pause_s=0.05)
    with nginx(program, tmp_path, upstream, files=tmp_path, changes=changes) as front:
        for n in range(3):
            load.start(f"kept {n}", lambda: OverTls(front), keeps=True)
        load.start("fresh", lambda: OverTls(front), keeps=False)
        try:
            done = deploy("--file", programs["second"], *names, **environ)
        finally:
            load.end()

    assert done.returncode == 0, done.stdout + done.stderr
    assert load.failures == []
    assert min(load.answered.values()) > 20
    assert len(load.answered) == 4
    for machine in machines:
        assert machine.held.build() == "second"
        assert (machine.link("current"), machine.link("previous")) == ("second", "first")
        assert not machine.is_out
    assert told.read_text() == "".join(f"out {name}\ncron\nin {name}\n" for name in names)

    rolled = deploy("--roll-back", *names, **environ)
    assert rolled.returncode == 0, rolled.stdout + rolled.stderr
    assert [machine.held.build() for machine in machines] == ["first", "first"]


@contextlib.contextmanager
def website_on(machine: Machine) -> Iterator[int]:
    """The website as a process of its own on a machine, on the port that this yields."""
    port = free_port()
    command = machine.folder / "forumapi"
    before = command.read_text()
    command.write_text(
        before.replace("file=", f"export FORUMAPI_WEBCLIENT_LISTEN='127.0.0.1:{port}'\nfile=", 1)
    )
    current = machine.folder / "current" / "forumapi"
    with (machine.folder / "website.log").open("wb") as output:
        process = subprocess.Popen(
            [current, "hold", "--website", current],
            env=machine.held.environ | {"FORUMAPI_WEBCLIENT_LISTEN": f"127.0.0.1:{port}"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=end_with_parent,  # noqa: PLW1509
        )

    def shows_a_page() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/", headers={"Host": PLATFORM_DOMAIN})
            return connection.getresponse().status == 200
        return False

    try:
        until(shows_a_page, machine.held)
        yield port
    finally:
        command.write_text(before)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def website_release(machine: Machine) -> str:
    """The release that the website's process runs."""
    state = listener_holder.find(machine.folder / "var", listener_holder.WEBSITE)
    assert state is not None
    environ = Path(f"/proc/{state.web}/environ").read_bytes().decode().split("\0")
    (path,) = [one for one in environ if one.startswith("PYTHONPATH=")]
    return path.rpartition("/")[2]


@pytest.mark.wide
def test_the_website_is_replaced_like_the_api_and_fails_no_request(
    machines: tuple[Machine, Machine], programs: dict[str, Path]
) -> None:
    one, _ = machines
    load = Load(pause_s=0.05, path="/")
    with website_on(one) as port:
        assert website_release(one) == "first"
        for name, keeps in (("kept", True), ("fresh", False)):
            load.start(name, lambda: http.client.HTTPConnection("127.0.0.1", port), keeps=keeps)
        try:
            done = deploy("--file", programs["second"], one.local)
        finally:
            load.end()
        replaced = website_release(one)
        rolled = deploy("--roll-back", one.local)
        back = website_release(one)

    assert (done.returncode, rolled.returncode) == (0, 0), done.stderr + rolled.stderr
    assert load.failures == []
    assert min(load.answered.values()) > 20
    assert (replaced, back) == ("second", "first")
    assert one.held.build() == "first"


@pytest.mark.wide
@pytest.mark.parametrize(
    ("bad", "why"),
    [("broken", "the old web process stays"), ("failing", "a page is answered with 500")],
)
def test_a_bad_release_is_rolled_back_and_goes_no_further(
    machines: tuple[Machine, Machine], programs: dict[str, Path], bad: str, why: str
) -> None:
    names = [machine.local for machine in machines]
    done = deploy("--file", programs[bad], *names, DEPLOY_WAIT_S="4")

    assert (done.returncode, why in done.stderr) == (1, True), done.stdout + done.stderr
    assert machines[1].local + ": switching" not in done.stdout
    for machine in machines:
        assert (machine.held.build(), machine.link("current")) == ("first", "first")
        assert health_client.health_problem(machine.config) == ""
        assert not machine.is_out


def test_a_machine_that_can_not_be_reached_stops_it_before_anything_is_switched(
    machines: tuple[Machine, Machine], programs: dict[str, Path]
) -> None:
    done = deploy("--file", programs["second"], machines[0].local, "nowhere.invalid")

    assert (done.returncode, "nowhere.invalid" in done.stderr) == (1, True), done.stderr
    assert machines[0].held.build() == "first"


def test_nothing_is_switched_while_the_database_is_behind(
    machines: tuple[Machine, Machine], programs: dict[str, Path]
) -> None:
    one, _ = machines
    stopped = deploy("--file", programs["migrating"], one.local)
    assert (stopped.returncode, "pending: 9999_more" in stopped.stderr) == (1, True), stopped.stderr
    assert one.held.build() == "first"

    done = deploy("--file", programs["migrating"], "--migrate", one.local)
    assert done.returncode == 0, done.stdout + done.stderr
    assert one.held.build() == "migrating"
