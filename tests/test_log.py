"""What the log says of a request, and what it never says (platform 7.2)."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from forumapi import log
from forumapi.log import AccessLog, Output
from forumapi.metrics import Metrics

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


def line(folder: Path, form: str) -> str:
    target = folder / "access.log"
    access = AccessLog(Output(str(target)), form=form)
    access.write(
        "POST",
        f"/api/v1/auth/{TOKEN}",
        403,
        120,
        0.0123,
        site_id=7,
        user_id=88,
        profile_id=401,
        ip="203.0.113.77",
        request_id="r1",
        error='You may not "post" here\n',
    )
    return target.read_text()


def test_a_request_is_one_line_of_text(tmp_path):
    text = line(tmp_path, "text")

    assert text.count("\n") == 1
    assert "POST /api/v1/auth/{id} 403 120B 12.3ms site=7 user=88 profile=401 ip=..113.77" in text
    assert 'request=r1 error="You may not \\"post\\" here\\n"' in text
    assert TOKEN not in text


def test_a_request_is_one_line_of_json(tmp_path):
    found = json.loads(line(tmp_path, "json"))

    assert found["path"] == "/api/v1/auth/{id}"
    assert (found["status"], found["bytes"], found["ms"]) == (403, 120, 12.3)
    assert (found["site"], found["user"], found["profile"]) == (7, 88, 401)


@pytest.fixture
def untouched():
    """The process's log as it was."""
    handlers, level, propagate = log.logger.handlers[:], log.logger.level, log.logger.propagate
    yield
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


def test_a_log_that_cannot_be_written_does_not_fail_the_request(tmp_path):
    output = Output("/dev/full")
    output.write("lost")


def test_figures_go_to_the_statsd_server_and_nobody_need_listen():
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(2)
        metrics = Metrics(f"127.0.0.1:{server.getsockname()[1]}", "here")
        metrics.count("cron.job.failed")
        metrics.timing("cron.job", 0.25)
        assert server.recv(100) == b"here.cron.job.failed:1|c"
        assert server.recv(100) == b"here.cron.job:250.000|ms"
    for _ in range(3):
        metrics.count("into.nothing")
    Metrics().count("nowhere")


def test_levels_have_the_names_of_the_setting(untouched):
    for level in ("debug", "info", "warning", "error"):
        log.set_level(level)
        assert logging.getLevelName(log.logger.level) == level.upper()
