"""Website as a process of its own: what it needs, its end and reload, an API that is away or slow, what doctor says."""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forumapi.command import doctor
from forumapi.config import Config
from forumapi.server import listener_holder
from forumapi.webclient.routes import ROUTES
from forumapi.webclient.session import Seal, WebSession
from tests.factories import Factory, Site
from tests.fixtures import PLATFORM_DOMAIN, PROJECT, Server, running
from tests.webclient.crawl import filled
from tests.webclient.process import (
    FRONT_ENDS,
    SECRET,
    ask,
    begin_website,
    wait_for_website,
    website_of,
)
from tests.webclient.visitor import Visitor


@pytest.fixture(scope="module")
def api_alone(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An API without a website, that knows the front end."""
    folder = tmp_path_factory.mktemp("api-alone")
    with running(database_url, folder, front_ends=FRONT_ENDS) as started:
        yield started


@pytest.fixture(scope="module")
def alone(api_alone: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The website alone."""
    with website_of(api_alone, tmp_path_factory.mktemp("alone"), workers="2") as started:
        yield started


def test_it_shows_pages_and_takes_what_is_written(
    alone: Server, bikes: Site, make: Factory
) -> None:
    conversation = make.conversation(bikes)
    member = Visitor(alone.address).of(bikes, bikes.member)
    page = member.get(f"/conversations/{conversation.id}/")
    form = {"itemType": "conversation", "itemId": str(conversation.id), "markdown": "From afar"}

    made = member.post("/comments/create/", form)

    assert page.status == 200
    assert (made.status, member.get(made.location).status) == (303, 302)
    assert "From afar" in member.get(f"/conversations/{conversation.id}/").text


@pytest.mark.wide
def test_it_is_started_without_a_database_and_imports_none() -> None:
    code = (
        "import sys, forumapi.server.standalone_website;"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('psycopg', 'boto3')"
        " or m.startswith(('forumapi.models', 'forumapi.handlers', 'forumapi.database', 'forumapi.permissions'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.wide
def test_another_release_takes_over_without_a_refused_page(
    api_alone: Server, tmp_path: Path
) -> None:
    url = f"http://{api_alone.address[0]}:{api_alone.address[1]}"
    settings = {"command": "hold --website", "workers": "2", "release_trial_s": "1"}
    held = begin_website(url, tmp_path, **settings)
    seen: list[int] = []
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            seen.append(ask(held, "/", PLATFORM_DOMAIN)[0])

    try:
        wait_for_website(held)
        before = listener_holder.find(tmp_path, listener_holder.WEBSITE)
        assert before is not None
        assert listener_holder.find(tmp_path) is None
        reader = threading.Thread(target=read)
        reader.start()
        after = listener_holder.replace(tmp_path, 1, listener_holder.WEBSITE)
        count = len(seen)
        while len(seen) < count + 20:
            time.sleep(0.01)
        is_over.set()
        reader.join()
    finally:
        is_over.set()
        held.stop()

    assert after.failure == ""
    assert after.web != before.web
    assert set(seen) == {200}


@pytest.mark.wide
def test_one_that_shows_no_page_does_not_take_over(database_url: str, tmp_path: Path) -> None:
    # Its API is gone when the successor is on trial.
    with running(database_url, tmp_path / "api", front_ends=FRONT_ENDS) as api:
        url = f"http://{api.address[0]}:{api.address[1]}"
        settings = {"command": "hold --website", "workers": "1", "release_trial_s": "1"}
        held = begin_website(url, tmp_path, **settings)
        try:
            wait_for_website(held)
            before = listener_holder.find(tmp_path, listener_holder.WEBSITE)
            assert before is not None
            api.stop()
            after = listener_holder.replace(tmp_path, 1, listener_holder.WEBSITE)
            assert "503" in after.failure
            assert after.web == before.web
            assert ask(held, "/api/v1/ready")[0] == 200
        finally:
            held.stop()


@pytest.mark.wide
def test_the_addresses_of_the_api_are_none_of_its_pages(alone: Server, bikes: Site) -> None:
    assert ask(alone, "/api/v1/site", bikes.host)[0] == 404
    assert ask(alone, "/api/v1/ready")[0] == 200


@pytest.mark.wide
def test_it_finishes_what_is_under_way_when_it_ends(
    api_alone: Server, bikes: Site, tmp_path: Path
) -> None:
    with website_of(api_alone, tmp_path, workers="1") as started:
        connection = http.client.HTTPConnection(*started.address, timeout=30)
        connection.request("GET", "/", headers={"Host": bikes.host})
        connection.getresponse().read()
        started.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        # The connection that stands is answered, and told to close.
        connection.request("GET", "/", headers={"Host": bikes.host})
        answer = connection.getresponse()

        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert started.process.wait(30) == 0


@pytest.mark.wide
def test_a_reload_applies_settings_in_place(api_alone: Server, bikes: Site, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("trusted_proxies = []\n")
    url = f"http://{api_alone.address[0]}:{api_alone.address[1]}"
    started = begin_website(url, tmp_path, config=str(file), log_level="info")
    try:
        wait_for_website(started)
        file.write_text('trusted_proxies = ["127.0.0.1"]\nwebclient_secret = "other"\n')
        started.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while "settings reloaded" not in started.log.read_text():
            assert time.monotonic() < deadline, started.log.read_text()
            # Nobody is refused meanwhile.
            assert ask(started, "/", bikes.host)[0] == 200
        assert ask(started, "/", bikes.host)[0] == 200
    finally:
        started.stop()


# ---------------------------------------------------------------- an API that is away, or slow


@contextlib.contextmanager
def silent_api() -> Iterator[str]:
    """An API that takes requests and never answers; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken: list[socket.socket] = []

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(listening.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for one in taken:
            one.close()


@pytest.mark.wide
def test_an_api_that_is_away_is_said_in_a_page(bikes: Site, tmp_path: Path) -> None:
    started = begin_website("http://127.0.0.1:9", tmp_path)
    try:
        wait_for_website(started)
        guest = Visitor(started.address, bikes.host)
        page = guest.get("/")
        sent = guest.post(
            "/login/", {"step": "email", "email": "x@y.test", "markdown": "<b>kept\n"}
        )
    finally:
        started.stop()

    assert (page.status, page.headers["retry-after"]) == (503, "5")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "no-cache" in page.headers["cache-control"]
    assert page.tree.css_first('a[href="/"].button') is not None
    assert sent.status == 503
    assert sent.field("/login/", "markdown") == "<b>kept\n"
    assert sent.field("/login/", "email") == "x@y.test"


@pytest.mark.wide
def test_no_form_is_lost_while_the_api_is_away(bikes: Site, tmp_path: Path) -> None:
    """Whichever it is, and whoever sends it: its page says so, and holds what was typed."""
    started = begin_website("http://127.0.0.1:9", tmp_path, webclient_secret="secret")
    sealed = Seal(["secret"]).seal_session(bikes.host, WebSession("t" * 40, int(time.time())))
    wrong = []
    try:
        wait_for_website(started)
        for cookies in ({}, {"session": sealed}):
            visitor = Visitor(started.address, bikes.host, dict(cookies))
            for path, view in ROUTES.items():
                if "POST" not in view.methods() or path in ("/logout/", "/live-ticket/"):
                    continue
                sent = visitor.post(filled(path, {}), {"markdown": "Kept", "title": "Kept too"})
                visitor.cookies = dict(cookies)
                fields = {one.attributes.get("name") for one in sent.tree.css("input, textarea")}
                if sent.status != 503 or not {"markdown", "title"} <= fields:
                    wrong.append((path, bool(cookies), sent.status, fields))
    finally:
        started.stop()

    assert not wrong


@pytest.mark.wide
def test_a_slow_api_is_said_in_a_page_and_what_was_typed_is_kept(
    bikes: Site, tmp_path: Path
) -> None:
    with silent_api() as url:
        started = begin_website(url, tmp_path, request_timeout_s="3")
        try:
            wait_for_website(started)
            guest = Visitor(started.address, bikes.host)
            began = time.monotonic()
            page = guest.get("/")
            took = time.monotonic() - began
            sent = guest.post(
                "/login/", {"step": "email", "email": "x@y.test", "next": "/huddles/"}
            )
        finally:
            started.stop()

    assert (page.status, took < 2.5) == (503, True)
    assert sent.status == 503
    assert sent.field("/login/", "next") == "/huddles/"


@pytest.mark.wide
def test_a_member_sends_again_what_the_api_was_away_for(
    database_url: str, bikes: Site, make: Factory, tmp_path: Path
) -> None:
    conversation = make.conversation(bikes)
    with (
        running(database_url, tmp_path / "api", front_ends=FRONT_ENDS) as api,
        website_of(api, tmp_path / "web") as started,
    ):
        member = Visitor(started.address).of(bikes, bikes.member)
        page = member.get(f"/conversations/{conversation.id}/")
        names = ("itemType", "itemId", "inReplyTo", "key")
        form = {name: page.field("/comments/create/", name) for name in names}
        api.stop()
        refused = member.post("/comments/create/", {**form, "markdown": "Twice\nsent"})

    assert refused.status == 503
    assert refused.field("/comments/create/", "markdown") == "Twice\nsent"
    assert refused.field("/comments/create/", "key") == form["key"]


# ---------------------------------------------------------------- doctor


def said(config: Config) -> dict[str, tuple[bool, str]]:
    """Findings of doctor about the website: is it well, and in which words."""
    return {
        one.subject: (not one.mend, f"{one.found} {one.mend}") for one in doctor.website(config)
    }


@pytest.mark.wide
def test_doctor_tells_what_is_wrong_with_the_website(api_alone: Server) -> None:
    url = f"http://{api_alone.address[0]}:{api_alone.address[1]}"
    good = Config(
        environment="prod",
        platform_domain=PLATFORM_DOMAIN,
        webclient=False,
        webclient_secret="one for all",
        webclient_api_url=url,
        webclient_front_end_secret=SECRET,
    )
    named = said(good)
    unnamed = said(Config(platform_domain=PLATFORM_DOMAIN, webclient=False, webclient_api_url=url))
    away = said(
        Config(
            platform_domain=PLATFORM_DOMAIN, webclient=False, webclient_api_url="http://127.0.0.1:9"
        )
    )
    beside = said(Config(environment="prod"))
    none = said(Config(webclient=False))

    assert all(is_well for is_well, _ in named.values())
    assert not unnamed["website"][0]
    assert "no front end" in unnamed["website"][1]
    assert not unnamed["website secret"][0]
    assert not away["website"][0]
    assert "does not answer" in away["website"][1]
    assert re.search("openssl rand", beside["website secret"][1])
    assert none["website"] == (True, "none (webclient) ")
