"""Tests of what the log says of a request, where its lines go, and what it never says (platform 7.2)."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forumapi.observability import log
from forumapi.observability.log import AccessLog, Output
from tests.fixtures import PROJECT, Server, start_server
from tests.services import free_port

TOKEN = "fapi" + "q" * 124


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/api/v1/conversations/42", "/api/v1/conversations/{id}"),
        ("/api/v1/microcosms/7/roles/9/members", "/api/v1/microcosms/{id}/roles/{id}/members"),
        ("/api/v1/openapi.json", "/api/v1/openapi.json"),
        (f"/api/v1/auth/{TOKEN}", "/api/v1/auth/{id}"),
        (f"/api/v1/auth/{'q' * 128}", "/api/v1/auth/{id}"),
        ("/api/v1/files/9c1d4e.png", "/api/v1/files/{id}"),
        ("/out/xBc", "/out/{id}"),
        ("/api/v1/hosts/www.velo.example", "/api/v1/hosts/{id}"),
        ("/\r\nGET /admin\x1b[2J", "/{id}/{id}"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_a_path_is_written_without_ids_secrets_or_odd_characters(path, template):
    assert log.path_template(path) == template


@pytest.mark.parametrize(
    ("ip", "short"),
    [("203.0.113.77", "..113.77"), ("2001:db8::a:b", "..a:b"), ("", "-")],
)
def test_of_an_address_the_last_two_groups_stay(ip, short):
    assert log.short_address(ip) == short


def line(folder: Path, form: str = "text", template: str = "") -> str:
    target = folder / "access.log"
    access = AccessLog(Output(str(target)), form=form, template=template)
    access.write(
        "POST",
        "/api/v1/auth/{id}",
        403,
        120,
        0.0123,
        database_s=0.0071,
        statements=3,
        cache_trips=1,
        site_id=7,
        user_id=88,
        profile_id=401,
        ip="203.0.113.77",
        request_id="r1",
        error=f'You may not "post" here\naccess_token={TOKEN}',
    )
    return target.read_text()


def test_a_request_is_one_line_of_text(tmp_path):
    text = line(tmp_path)

    assert text.count("\n") == 1
    assert "POST /api/v1/auth/{id} 403 120B 12.3ms db=7.1ms/3 cache=1 site=7 user=88" in text
    assert " profile=401 ip=..113.77 request=r1 " in text
    assert 'error="You may not \\"post\\" here\\naccess_token=[secret]"' in text


def test_a_request_is_one_line_of_json(tmp_path):
    found = json.loads(line(tmp_path, "json"))

    assert found["route"] == "/api/v1/auth/{id}"
    assert (found["status"], found["bytes"], found["ms"], found["db_ms"]) == (403, 120, 12.3, 7.1)
    assert (found["site"], found["user"], found["profile"]) == (7, 88, 401)
    assert (found["statements"], found["cache_trips"], found["request"]) == (3, 1, "r1")
    assert sorted(found) == sorted((*log.FIELDS, "level"))


def test_a_request_is_a_line_of_the_operators_own(tmp_path):
    template = "[{time}] {status:5d} {method:>6} {route} {ms:08.3f} {error}"
    text = line(tmp_path, "json", template)

    assert log.format_problem(template) is None
    assert re.fullmatch(
        r"\[[0-9-]+T[0-9:.]+Z\]   403   POST /api/v1/auth/\{id\} 0012\.300"
        r' "You may not \\"post\\" here\\naccess_token=\[secret\]"\n',
        text,
    )


@pytest.fixture
def untouched():
    """The process's log as it was."""
    handlers, level, propagate = log.logger.handlers[:], log.logger.level, log.logger.propagate
    yield
    log.configure()
    log.logger.handlers[:], log.logger.propagate = handlers, propagate
    log.logger.setLevel(level)


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_goes_where_it_is_told_and_is_opened_again_after_a_rename(
    tmp_path, untouched, form
):
    target = tmp_path / "log" / "forumapi.log"
    log.configure(level="warning", form=form, target=str(target))
    log.logger.info("not this")
    try:
        raise ValueError("no luck")
    except ValueError:
        log.logger.exception("this")
    target.rename(tmp_path / "old.log")
    log.reopen()
    log.logger.warning("that")

    old = (tmp_path / "old.log").read_text()
    assert "not this" not in old
    assert "this" in old
    assert "ValueError: no luck" in old
    assert "that" in target.read_text()
    if form == "json":
        assert json.loads(target.read_text())["level"] == "warning"


def test_a_log_that_cannot_be_written_does_not_fail_the_request():
    output = Output("/dev/full")
    output.write("lost")

    assert output.lost == 1


def test_lost_lines_stay_counted_when_the_log_goes_elsewhere(tmp_path, untouched):
    log.configure(target="/dev/full")
    log.logger.warning("lost")
    lost = log.lost()
    assert lost

    log.configure(target=str(tmp_path / "log"))
    assert log.lost() == lost


def test_a_forked_process_has_lost_no_line_yet(untouched):
    log.configure(target="/dev/full")
    log.logger.warning("lost")
    assert log.lost()

    pid = os.fork()
    if not pid:
        before = log.lost()
        log.logger.warning("lost")
        os._exit(before * 10 + log.lost())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert log.lost()


def test_levels_have_the_names_of_the_setting(untouched):
    for level in ("debug", "info", "warning", "error"):
        log.set_level(level)
        assert logging.getLevelName(log.logger.level) == level.upper()


@pytest.mark.parametrize(
    "message",
    [
        f"Authorization: Bearer {TOKEN}",
        f"GET /api/v1/whoami?access_token={TOKEN[:12]}&x=1",
        f"the token {TOKEN[:4]}x7{TOKEN[6:60]} was refused",
        "Cookie: session=hunter2; theme=dark",
        "{'Set-Cookie': 'page=hunter2; HttpOnly'}",
        "connect to postgresql://forum:hunter2@db.example/forum failed",
        "https://files.example/x?X-Amz-Credential=hunter2&X-Amz-Signature=hunter2",
        '{"code": "hunter2", "client_secret": "hunter2"}',
        "password=hunter2",
        "DETAIL:  Failing row contains (1, hunter2, null).",
        "Key (secret_hash)=(hunter2) already exists.",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6.eyJzdWIiOiIxMjM0hunter2.SflKxwRJSMeKKF2QT4fwpMeJf36",
    ],
)
def test_an_event_loses_what_looks_like_a_secret(tmp_path, untouched, message):
    target = tmp_path / "log"
    log.configure(target=str(target))
    log.logger.warning("something: %s", message)
    log.logger.error("failed", exc_info=ValueError(message))

    text = target.read_text()
    assert "hunter2" not in text
    assert "qqqqqqqq" not in text
    assert text.count("[secret]") + text.count("[row]") >= 2


@pytest.mark.parametrize(
    "message",
    [
        "cron: site_statistics: 3 sites (0.02 s)",
        "settings reloaded: token_days, sign_in_codes_per_email",
        "request 8ff0ad36ee0cf0e3 failed: GET WhoamiHandler",
        "mail 17 is dead: 550 no such user",
        "files are kept in /var/lib/forumapi/test_gunicorn_alone_reads_the_shipped_file0/files",
    ],
)
def test_an_event_without_secrets_stays_as_it_is(tmp_path, untouched, message):
    target = tmp_path / "log"
    log.configure(target=str(target))
    log.logger.warning("%s", message)

    assert message in target.read_text()


@pytest.mark.parametrize(
    "address",
    [
        "ana.whole@example.org",
        "ana.whole+tag@mail.example.co.uk",
        "ana.whole@localhost",
        "ána.whole@bücher.example",
        "ana.whole%40example.org",
        '"ana.whole"@example.org',
    ],
)
def test_an_event_says_no_whole_e_mail_address(tmp_path, untouched, address):
    target = tmp_path / "log"
    for form in ("text", "json"):
        log.configure(target=str(target), form=form)
        log.logger.info("mail to %s: /var/mailbox/1.eml", address)
        log.logger.warning("550 5.1.1 <%s>: no such user", address)
        log.logger.error("failed", exc_info=ValueError(f"to={address}, again"))

    text = target.read_text()
    assert "ana.whole" not in text
    assert "whole" not in text
    assert "no such user" in text


@pytest.mark.parametrize(
    "hostile",
    [
        "there is no scope " + "a-" * 500_000,
        "a." * 500_000,
        "Bearer " + "x" * 1_000_000,
        "code=" + "x" * 1_000_000,
        "Key (a)=(" * 100_000,
        "x" * 1_000_000 + "@example.org",
        "word " * 200_000,
    ],
    ids=["dashes", "dots", "bearer", "code", "keys", "address", "words"],
)
def test_of_a_text_of_any_length_the_beginning_alone_is_looked_at(tmp_path, untouched, hostile):
    target = tmp_path / "log"
    log.configure(target=str(target))
    log.logger.error("%s the-end", hostile, exc_info=ValueError(f"{hostile} the-end"))
    AccessLog(Output(str(target))).write(
        "POST", "/api/v1/keys", 400, 1, 0.1, error=f"{hostile} the-end"
    )

    text = target.read_text()
    assert "the-end" not in text
    assert len(text) < 10_000


@pytest.mark.wide
@pytest.mark.sliced(1)
@pytest.mark.parametrize(
    "secret",
    [
        "to ana.whole@example.org",
        f"the token {'hunter2' * 20} was refused",
        "Bearer hunter2hunter2",
        "postgresql://forum:hunter2hunter2@db.example/forum",
        "Key (name)=(hunter2, hunter2,\nhunter2) already exists",
        "Key (room)=(hunter2) conflicts with existing key (room)=(hunter2).",
    ],
)
def test_a_secret_that_a_long_text_is_cut_within_is_not_written_in_part(
    tmp_path, untouched, secret
):
    target = tmp_path / "log"
    log.configure(target=str(target))
    # A third of all places, the last ones among them.
    for before in range(2_300, 2_501, 3):
        log.logger.warning("%s %s", "." * before, secret)

    text = target.read_text()
    assert "hunter2" not in text
    assert "whole" not in text


# ---------------------------------------------------------------- syslog

RFC5424 = re.compile(
    r"<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (\S+) forumapi (\d+) (event|request) - (.*)",
    re.DOTALL,
)


def parsed(data: bytes) -> tuple[int, str, str, str]:
    """Priority, host, what it is about, and the text of a message of RFC 5424."""
    match = RFC5424.fullmatch(data.decode())
    assert match is not None, data
    assert int(match[3]) == os.getpid()
    return int(match[1]), match[2], match[4], match[5]


def test_lines_go_to_syslog_over_udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        output = Output(f"udp://127.0.0.1:{server.getsockname()[1]}")
        output.write("one", 3)
        AccessLog(output).write("GET", "/", 200, 1, 0.1)

        assert parsed(server.recv(9000)) == (3 * 8 + 3, socket.gethostname(), "event", "one")
        priority, _, about, text = parsed(server.recv(9000))
        assert (priority, about) == (3 * 8 + 6, "request")
        assert " GET / 200 1B " in text
        output.close()


@pytest.mark.wide
def test_lines_go_to_syslog_over_tcp_with_their_length_and_over_a_new_connection_after_a_loss():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        output = Output(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        output.start()
        output.write("one\nof two lines")
        output.write("two")
        connection, _ = server.accept()
        assert [text for *_, text in framed(connection, 2)] == ["one\nof two lines", "two"]
        # A reset, so that the next line finds a dead connection.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        output.write("three")
        again, _ = server.accept()
        with again:
            assert [text for *_, text in framed(again, 1)] == ["three"]
        output.close()


def framed(connection: socket.socket, count: int) -> list[tuple[int, str, str, str]]:
    """Messages that come with their length before them (RFC 6587)."""
    with connection.makefile("rb") as stream:
        found = []
        for _ in range(count):
            size = b""
            while (byte := stream.read(1)) not in (b" ", b""):
                size += byte
            found.append(parsed(stream.read(int(size))))
        return found


def test_lines_go_to_a_local_socket(tmp_path):
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.settimeout(5)
        output = Output(f"unix://{path}")
        output.write("here")

        assert parsed(server.recv(9000))[3] == "here"
        output.close()


# ---------------------------------------------------------------- slow or away


@pytest.mark.wide
def test_lines_wait_for_a_server_that_is_away_and_beyond_a_limit_they_are_counted():
    port = free_port()
    output = Output(f"tcp://127.0.0.1:{port}")
    output.start()
    started = time.process_time()
    for number in range(Output.LIMIT + 100):
        output.write(f"line {number}")
    assert time.process_time() - started < 5
    assert output.lost == 100
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(10)
        connection, _ = server.accept()
        with connection:
            assert [text for *_, text in framed(connection, 3)] == ["line 0", "line 1", "line 2"]
    output.close()


@pytest.mark.wide
def test_a_pipe_that_nobody_reads_holds_nobody_up():
    code = (
        "from forumapi.observability import log\n"
        "output = log.configure(target='stdout')\n"
        "log.start()\n"
        "for number in range(5000):\n"
        "    log.logger.info('%s', 'x' * 200)\n"
        "import sys; sys.stderr.write('done'); sys.stderr.flush()\n"
        "log.stop()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    assert process.stdout is not None
    # 1 MB was said while 64 KB fit.
    assert process.stderr.read(4) == b"done"
    assert process.wait(10) == 0
    first = process.stdout.readline()
    assert first.endswith(b"x" * 200 + b"\n")
    process.stdout.close()
    process.stderr.close()


@pytest.mark.wide
def test_a_write_that_is_cut_short_tears_and_doubles_no_line(tmp_path):
    # A limit of a file's size cuts a write short and fails the next, as a full disk does.
    target = tmp_path / "log"
    code = (
        "import resource, sys\n"
        "from collections import deque\n"
        "from forumapi.observability.log import LogLine, _FileTarget\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "lines = deque(LogLine(f'line {number} \u00e9', 6, 'event', 0.0) for number in range(4))\n"
        "target = _FileTarget(sys.argv[1])\n"
        "for most in (17, 17, 19, 20, 35, 39):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))\n"
        "    try: target.send(lines)\n"
        "    except OSError: print(len(lines))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
        "target.send(lines)\n"
        "print(len(lines))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)], cwd=PROJECT, capture_output=True, check=True
    )

    assert target.read_text() == "".join(f"line {number} \u00e9\n" for number in range(4))
    # Lines of which nothing is written wait.
    assert done.stdout.split() == [b"2", b"2", b"2", b"2", b"0", b"0", b"0"]


@pytest.mark.wide
def test_the_rest_of_a_line_stays_with_its_process_and_its_file(tmp_path):
    target, turned = tmp_path / "log", tmp_path / "log.1"
    code = (
        "import os, resource, sys\n"
        "from forumapi.observability import log\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "log.configure(target=sys.argv[1])\n"
        "def write(text, most):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))\n"
        "    log._output.write(text)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
        "write('first line', 5)\n"
        "if not os.fork():\n"
        "    log._output.write('of the fork')\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "os.rename(sys.argv[1], sys.argv[2])\n"
        "log.reopen()\n"
        "log._output.write('second line')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(target), str(turned)], cwd=PROJECT, check=True)

    assert target.read_text() == "second line\n"
    assert turned.read_text() == "firstof the fork\n line\n"


def test_what_waits_is_written_at_the_end(tmp_path):
    target = tmp_path / "log"
    output = Output(str(target))
    output.start()
    for number in range(1000):
        output.write(str(number))
    output.close()

    assert target.read_text().split() == [str(number) for number in range(1000)]


@pytest.mark.wide
def test_lines_of_several_processes_do_not_mix(tmp_path):
    code = (
        "import sys; from forumapi.observability.log import Output\n"
        "output = Output('stdout'); output.start()\n"
        "for number in range(400): output.write(sys.argv[1] * 300)\n"
        "output.close()\n"
    )
    reading, writing = os.pipe()
    writers = [
        subprocess.Popen([sys.executable, "-c", code, name], cwd=PROJECT, stdout=writing)
        for name in "ab"
    ]
    os.close(writing)
    with os.fdopen(reading) as stream:
        lines = stream.read().splitlines()
    assert [writer.wait() for writer in writers] == [0, 0]
    assert sorted(lines) == ["a" * 300] * 400 + ["b" * 300] * 400


# ---------------------------------------------------------------- a web process


@pytest.fixture(scope="module")
def web(database_url: str, tmp_path_factory: pytest.TempPathFactory):
    """A web process that says everything, as JSON into a file."""
    folder = tmp_path_factory.mktemp("log")
    started = start_server(
        database_url,
        folder,
        log_level="info",
        log_format="json",
        access_log="true",
        log_target=str(folder / "forumapi.log"),
    )
    yield started
    started.stop()


def said(web: Server, request_id: str) -> dict[str, object]:
    """The line about a request."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for text in (web.log.parent / "forumapi.log").read_text().splitlines():
            if request_id in text:
                found: dict[str, object] = json.loads(text)
                return found
        time.sleep(0.05)
    raise AssertionError(f"nothing was said of {request_id}")


@pytest.mark.wide
def test_a_line_says_route_site_profile_and_statements(web, make, bikes):
    comment = make.comment(make.conversation(bikes))
    web.api().get(
        f"/api/v1/comments/{comment.id}",
        site=bikes,
        by=bikes.member,
        headers={"X-Request-Id": "line-of-a-comment"},
    )
    found = said(web, "line-of-a-comment")

    assert found["route"] == "/api/v1/comments/{id}"
    assert (found["site"], found["profile"]) == (bikes.id, bikes.member.id)
    assert found["status"] == 200
    assert isinstance(found["statements"], int)
    assert found["statements"] >= 2


@pytest.mark.wide
def test_no_secret_of_a_client_reaches_the_log(web, bikes):
    token = bikes.member.token
    api = web.api()
    api.get(f"/api/v1/whoami?access_token={token}", site=bikes)
    api.get("/api/v1/whoami", site=bikes, token=token)
    api.get("/api/v1/whoami", site=bikes, token="made-up-hunter2")
    api.get("/api/v1/site", site=bikes, headers={"Cookie": "session=hunter2"})
    api.post("/api/v1/auth", {"Code": "hunter2", "SiteURL": "hunter2"}, site=bikes)
    api.get(f"/api/v1/auth/{token}", site=bikes)
    api.get("/api/v1/site", site=bikes, headers={"X-Request-Id": "the-last-one"})
    said(web, "the-last-one")

    text = (web.log.parent / "forumapi.log").read_text()
    assert token not in text
    assert "hunter2" not in text
