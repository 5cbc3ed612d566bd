"""`make install`: everything is where the services look for it, and what they name runs."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
import pytest

from forumapi.concurrency.end_with_parent import end_with_parent
from tests import services
from tests.dist import one_file
from tests.fixtures import PROJECT
from tests.services import free_port

pytestmark = [pytest.mark.slow, pytest.mark.wide]

SYSTEMD: Final = "usr/lib/systemd/system"
UNITS: Final = (
    "forumapi.service",
    "forumapi-cron.service",
    "forumapi-webclient.service",
    "forumapi.socket",
    "forumapi-webclient.socket",
)
# Paths in the files of services that lead into the installation.
OURS: Final = re.compile(r"(?<![\w/])/(?:opt|etc|var/lib|var/cache|var/log|run)/forumapi\b")

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd's tools are not installed"
)


@pytest.fixture(scope="module")
def root(file: Path) -> Iterator[Path]:
    """A folder that the platform was installed below, which everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="forumapi-root-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        make_install(file, folder)
        for one in ("var/lib/forumapi", "var/cache/forumapi", "var/log/forumapi", "run/forumapi"):
            (folder / one).mkdir(parents=True, exist_ok=True)
        yield folder


def make_install(file: Path, root: Path) -> str:
    """Return what `make install` printed."""
    command = ["make", "-s", "install", f"FILE={file}", f"DESTDIR={root}", "WITH=--upstart"]
    environ = one_file.bare(root / "var/cache/forumapi/home") | {"PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=PROJECT, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def in_root(text: str, root: Path) -> str:
    """A service's text with the installation's folder before each path of ours."""
    return OURS.sub(lambda found: f"{root}{found[0]}", text)


@dataclass
class Service:
    """Record of what a service's file says is to be run, where and as whom."""

    before: list[str] = field(default_factory=list)
    main: str = ""
    reload: str = ""
    folder: str = "/"
    user: str = ""
    group: str = ""
    stop_s: float = 0
    environ: dict[str, str] = field(default_factory=dict)


def unit(text: str) -> Service:
    """A systemd service."""
    found = Service()
    for line in text.splitlines():
        name, _, value = line.partition("=")
        match name:
            case "ExecStartPre":
                found.before.append(value)
            case "ExecStart":
                found.main = value
            case "ExecReload":
                found.reload = value
            case "Environment":
                key, _, word = value.partition("=")
                found.environ[key] = word
            case "WorkingDirectory":
                found.folder = value
            case "User":
                found.user = value
            case "Group":
                found.group = value
            case "TimeoutStopSec":
                found.stop_s = float(value)
    return found


def job(text: str) -> Service:
    """An Upstart job. A stanza that is not known here fails: it would not be tried."""
    found = Service()
    for line in text.splitlines():
        stanza, _, value = line.strip().partition(" ")
        match stanza:
            case "exec":
                found.main = value
            case "pre-start":
                assert value.startswith("exec ")
                found.before.append(value.removeprefix("exec "))
            case "env":
                key, _, word = value.partition("=")
                found.environ[key] = word
            case "chdir":
                found.folder = value
            case "setuid":
                found.user = value
            case "setgid":
                found.group = value
            case "kill":
                found.stop_s = float(value.removeprefix("timeout "))
            case "limit":
                assert re.fullmatch(r"nofile \d+ \d+", value)
            case "umask":
                assert re.fullmatch(r"0\d\d", value)
            case "respawn":
                assert re.fullmatch(r"|limit \d+ \d+", value)
            case "console":
                assert value == "log"
            case "start" | "stop":
                assert value.startswith("on ")
            case _:
                assert stanza in ("", "#", "description"), line
    return found


SERVICES: Final = {
    "forumapi.service": (SYSTEMD, unit),
    "forumapi-cron.service": (SYSTEMD, unit),
    "forumapi.conf": ("etc/init", job),
    "forumapi-cron.conf": ("etc/init", job),
}


@pytest.fixture(scope="module")
def machine(root: Path, postgres_url: str) -> Iterator[Path]:
    """The installation with a migrated database; `FORUMAPI_LISTEN` is to be given."""
    with services.new_database(postgres_url, "installed") as url:
        for name, value in (("database_url", url), ("data_dir", str(root / "var/lib/forumapi"))):
            forumapi(root, "config", "set", name, value)
        forumapi(root, "config", "set", "platform_domain", "forum.test")
        forumapi(root, "config", "set", "workers", "1")
        forumapi(root, "migrate")
        yield root


def forumapi(
    root: Path, *words: str, environ: Mapping[str, str] | None = None, **settings: str
) -> str:
    """Return what the command of this machine printed, run by whoever runs the tests; `settings` override its own."""
    text = in_root((root / "opt/forumapi/forumapi").read_text(), root)
    # The user is not known outside of the folder.
    text = text.replace("setpriv --reuid forumapi --regid forumapi --init-groups", "env")
    text = text.replace("here=/opt", f"here={root}/opt")
    # Root's own commands unpack where the installation did.
    whole = one_file.bare(root / "var/cache/forumapi/home", **settings) | dict(environ or {})
    done = subprocess.run(
        ["sh", "-c", text, "forumapi", *words], env=whole, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_everything_is_in_its_place(root: Path) -> None:
    release = (root / "opt/forumapi/current").resolve()

    assert release.parent == (root / "opt/forumapi/releases").resolve()
    assert os.access(release / "forumapi", os.X_OK)
    assert f"({release.name})" in forumapi(root, "--version")
    assert (root / "usr/bin/forumapi").readlink() == Path("/opt/forumapi/forumapi")
    assert os.access(root / "opt/forumapi/forumapi", os.X_OK)
    settings = root / "etc/forumapi/forumapi.toml"
    assert settings.stat().st_mode & 0o777 == 0o640
    for name, value in (("environment", "prod"), ("trusted_proxies", "127.0.0.1")):
        assert forumapi(root, "config", "get", name) == f"{value}\n"
    shipped = {path.name for path in (PROJECT / "etc" / "systemd").iterdir()}
    assert shipped == {path.name for path in (root / SYSTEMD).iterdir()} == set(UNITS)
    for watching in ("prometheus/alerts.yml", "grafana/forumapi.json"):
        ours = PROJECT / "etc" / watching
        assert (root / "usr/share/forumapi" / watching).read_bytes() == ours.read_bytes()


def test_a_second_install_keeps_what_is_yours(root: Path, file: Path) -> None:
    settings = root / "etc/forumapi/forumapi.toml"
    proxy = root / "etc/nginx/forumapi.conf"
    proxy.write_text("# mine\n" + proxy.read_text())
    forumapi(root, "config", "set", "token_days", "30")
    before = settings.read_bytes(), proxy.read_bytes()

    assert f"kept      {settings}" in make_install(file, root)
    assert (settings.read_bytes(), proxy.read_bytes()) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="the command changes the user for root alone")
def test_what_root_does_leaves_nothing_where_the_processes_unpack(
    root: Path, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    told.write_text('#!/bin/sh\necho "$PEX_ROOT"\n')
    told.chmod(0o755)
    environ = {"RELEASE_FILE": str(told), "PEX_ROOT": "/srv/s own"}

    for words in ("config set token_days 30", "install"):
        assert forumapi(root, *words.split(), environ=environ) == "/srv/s own\n"
    for words in ("config get token_days", "migrate", "node check"):
        said = forumapi(root, *words.split(), environ=environ)
        assert said == f"{root}/var/cache/forumapi\n"


@needs_systemd
def test_systemd_finds_no_fault_with_the_units(root: Path, tmp_path: Path) -> None:
    for name in UNITS:
        (tmp_path / name).write_text(in_root((root / SYSTEMD / name).read_text(), root))
    paths = [str(tmp_path / name) for name in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_the_services_can_do_little_harm(root: Path, name: str) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20"]
    done = subprocess.run([*command, f"--root={root}", name], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "User=forumapi"):
        assert line in (root / SYSTEMD / name).read_text().splitlines()


@needs_systemd
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_user_and_the_folders_come_from_their_files(root: Path, tmp_path: Path) -> None:
    for kind in ("sysusers.d", "tmpfiles.d"):
        target = tmp_path / "usr/lib" / kind
        target.mkdir(parents=True)
        shutil.copy(root / "usr/lib" / kind / "forumapi.conf", target)
    settings = tmp_path / "etc/forumapi/forumapi.toml"
    settings.parent.mkdir(parents=True)
    settings.touch()
    made = [["systemd-sysusers", f"--root={tmp_path}"]]
    made += [["systemd-tmpfiles", f"--root={tmp_path}", "--create"]]
    for command in made:
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    (line,) = (tmp_path / "etc/passwd").read_text().splitlines()
    name, _, user, group, _, home, _ = line.split(":")

    assert (name, home) == ("forumapi", "/var/lib/forumapi")
    owners = {}
    for path in (
        "var/lib/forumapi",
        "var/cache/forumapi",
        "etc/forumapi/forumapi.toml",
        "opt/forumapi",
    ):
        stat = (tmp_path / path).stat()
        owners[path] = (stat.st_uid, stat.st_gid, oct(stat.st_mode & 0o777))
    assert owners == {
        "var/lib/forumapi": (int(user), int(group), "0o750"),
        "var/cache/forumapi": (int(user), int(group), "0o750"),
        "etc/forumapi/forumapi.toml": (0, int(group), "0o640"),
        "opt/forumapi": (0, 0, "0o755"),
    }


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_names_is_there_and_runs(machine: Path, name: str) -> None:
    folder, read = SERVICES[name]
    text = (machine / folder / name).read_text()
    told = read(in_root(text, machine))
    users = (machine / "usr/lib/sysusers.d/forumapi.conf").read_text()
    port = free_port()
    environ = {
        "PATH": f"{one_file.PATH}:/usr/sbin:/sbin",
        "HOME": str(machine / "var/lib/forumapi"),
        "FORUMAPI_LISTEN": f"127.0.0.1:{port}",
        "FORUMAPI_PLATFORM_DOMAIN": "forum.test",
        **told.environ,
    }

    assert re.search(rf"^u {told.user} ", users, re.MULTILINE)
    assert told.user == told.group
    assert Path(told.environ["FORUMAPI_CONFIG"]).is_file()
    assert Path(told.environ["PEX_ROOT"]).is_dir()
    for command in told.before:
        before = subprocess.run(
            shlex.split(command), cwd=told.folder, env=environ, capture_output=True, text=True
        )
        assert before.returncode == 0, before.stdout + before.stderr
    output = machine / "var/log" / f"{name}.txt"
    with output.open("wb") as out:
        process = subprocess.Popen(
            shlex.split(told.main),
            cwd=told.folder,
            env=environ,
            stdout=out,
            stderr=out,
            preexec_fn=end_with_parent,  # noqa: PLW1509
        )
    try:
        is_web = "cron" not in name
        wait_for(
            output,
            process,
            lambda: answers(port) if is_web else "cron: started" in output.read_text(),
        )
        if told.reload:
            subprocess.run(["sh", "-c", told.reload], env={"MAINPID": str(process.pid)}, check=True)
            wait_for(output, process, lambda: "settings reloaded" in output.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(told.stop_s) == 0, output.read_text()
    finally:
        process.kill()


@pytest.mark.parametrize("name", ["forumapi.service", "forumapi.conf"])
def test_a_node_that_boots_before_its_database_comes_up_by_itself(
    machine: Path, postgres_url: str, tmp_path: Path, name: str
) -> None:
    folder, read = SERVICES[name]
    cron = name.replace(".", "-cron.")
    told = read(in_root((machine / folder / name).read_text(), machine))
    (command,) = told.before
    assert read(in_root((machine / folder / cron).read_text(), machine)).before == [command]
    with services.new_database(postgres_url, "later") as url:
        real = psycopg.conninfo.conninfo_to_dict(url)
        socket = f".s.PGSQL.{real['port']}"
        # Nobody listens there yet.
        later = url.replace(str(real["host"]), str(tmp_path))
        environ = {**told.environ, "PATH": one_file.PATH, "FORUMAPI_DATABASE_URL": later}
        output = tmp_path / "output"
        with output.open("wb") as out:
            before = subprocess.Popen(
                shlex.split(command), cwd=told.folder, env=environ, stdout=out, stderr=out
            )
        try:
            wait_for(output, before, lambda: "No such file" in output.read_text())
            (tmp_path / socket).symlink_to(f"{real['host']}/{socket}")
            wait_for(output, before, lambda: "pending: 0001_initial" in output.read_text())
            forumapi(machine, "migrate", database_url=url)
            assert before.wait(60) == 0, output.read_text()
        finally:
            before.kill()


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/api/v1/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_for(output: Path, process: subprocess.Popen[bytes], is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.05)


@pytest.mark.skipif(services.logrotate_program() is None, reason="logrotate is not installed")
def test_logs_are_rotated_under_a_process_that_goes_on_writing(root: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    text = (root / "etc/logrotate.d/forumapi").read_text().replace("su forumapi forumapi\n", "\n")
    rules.write_text(in_root(text, root))
    rules.chmod(0o644)
    log = root / "var/log/forumapi/forumapi.log"
    program = services.logrotate_program()
    assert program is not None
    code = (
        "import sys; from forumapi.observability import log; log.configure(target=sys.argv[1])\n"
        "for line in sys.stdin: log.logger.error(line.strip()); print(flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(log)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for word in ("before", "after"):
            writer.stdin.write(f"{word}\n")
            writer.stdin.flush()
            writer.stdout.readline()
            if word == "before":
                subprocess.run(
                    [program, "--force", "--state", str(tmp_path / "state"), str(rules)], check=True
                )

    assert "after" in log.read_text()
    assert "before" not in log.read_text()
    assert "before" in log.with_name("forumapi.log.1").read_text()
