"""The page that shows a conversation changing live, in a browser, with the curl line that it shows itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from tests.api import Api
from tests.factories import Factory, Site
from tests.fixtures import start_server

pytestmark = pytest.mark.slow

# What the page must keep to for those who hear it or go by keys; run in the page itself.
_FAULTS = """
const found = [];
if (!document.documentElement.lang) found.push("no language");
if (document.querySelectorAll("h1").length !== 1) found.push("not one heading");
if (document.querySelectorAll("main").length !== 1) found.push("not one main part");
for (const field of document.querySelectorAll("select, input"))
  if (!field.labels.length) found.push("no label: " + field.id);
for (const part of document.querySelectorAll("[role=log], [role=region]"))
  if (!document.getElementById(part.getAttribute("aria-labelledby"))) found.push("no name: " + part.id);
if (!document.querySelector("[role=status]")) found.push("no state that is heard");
const ids = [...document.querySelectorAll("[id]")].map(one => one.id);
if (new Set(ids).size !== ids.length) found.push("an id twice");
if (document.querySelectorAll("script[src], link, img, iframe, [style]").length) found.push("from elsewhere");
return found;
"""


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


@pytest.mark.wide
def test_a_site_beyond_the_listed_ones_is_found_by_the_address(
    browser: Chrome, api: Api, make: Factory
) -> None:
    sites = [make.site() for _ in range(52)]
    newest = sites[-1]
    chat = make.conversation(newest)

    _open(browser, api, newest, chat.id)

    assert _said(browser) == []


@pytest.mark.wide
def test_an_address_that_names_no_site_changes_no_origin(
    browser: Chrome, api: Api, site: Site
) -> None:
    browser.get(f"http://forum.test:{api.address[1]}/live?site=evil.example/%23")

    _wait(browser).until(lambda there: not _state(there).startswith("Looking"))
    chosen = browser.execute_script("return document.getElementById('site').value")
    assert chosen.isalnum()


def _wait(browser: Chrome) -> WebDriverWait[Chrome]:
    return WebDriverWait(browser, 20)


def _open(browser: Chrome, api: Api, site: Site, id: int) -> None:
    port = api.address[1]
    browser.get(f"http://forum.test:{port}/live?site={site.key}&conversation={id}")
    _connected(browser)


def _connected(browser: Chrome) -> None:
    try:
        _wait(browser).until(lambda there: _state(there).startswith("Connected"))
    except TimeoutException:
        raise AssertionError(f"the page says {_state(browser)!r}") from None


def _state(browser: Chrome) -> str:
    return browser.find_element(By.ID, "state").text


def _said(browser: Chrome) -> list[str]:
    """The texts on the page, read at one moment, oldest first: the page has the newest first."""
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll('#comments li p:last-child')].map(one => one.textContent)"
    )
    return found[::-1]


def _until_said(browser: Chrome, *texts: str) -> None:
    _wait(browser).until(lambda there: _said(there) == list(texts), f"{_said(browser)}")


def _complaints(browser: Chrome) -> list[Any]:
    return [one for one in browser.get_log("browser") if "favicon.ico" not in one["message"]]


def _write(api: Api, site: Site, id: int, text: str) -> str:
    """Write a comment; its address."""
    body = {"itemType": "conversation", "itemId": id, "markdown": text}
    return api.post("/api/v1/comments", body, by=site.member).location.partition("?")[0]


@pytest.mark.wide
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_line_on_the_page_makes_a_comment_appear(
    browser: Chrome, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    make.comment(chat, markdown="It was *there* before")
    _open(browser, api, site, chat.id)
    assert browser.execute_script(_FAULTS) == []
    assert _said(browser) == ["It was there before"]
    line = browser.find_element(By.ID, "curl").text
    # Names of tests are found on loopback by nobody.
    found = line.replace("curl ", f"curl --resolve '*:{api.address[1]}:127.0.0.1' ")

    subprocess.run(["bash", "-c", found], check=True, timeout=20)

    _wait(browser).until(lambda there: len(_said(there)) == 2)
    assert _said(browser)[1].startswith("Hello, it is ")
    assert _complaints(browser) == []


@pytest.mark.wide
def test_what_is_written_changed_and_deleted_shows_at_once(
    browser: Chrome, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    _open(browser, api, site, chat.id)

    first = _write(api, site, chat.id, "First <b>of</b> all")
    _write(api, site, chat.id, "Second")
    _until_said(browser, "First of all", "Second")
    api.put(first, {"markdown": "First again", "meta": {"editReason": "x"}}, by=site.member)
    _until_said(browser, "First again", "Second")
    api.delete(first, by=site.member)
    _until_said(browser, "Second")

    assert _complaints(browser) == []


@pytest.mark.wide
def test_another_conversation_is_chosen_with_the_keyboard(
    browser: Chrome, api: Api, make: Factory, site: Site
) -> None:
    one, other = make.conversation(site, title="Tea &amp; cake"), make.conversation(site)
    _write(api, site, one.id, "In one")
    _open(browser, api, site, other.id)
    titles = [one.text for one in Select(browser.find_element(By.ID, "conversation")).options]
    assert "Tea & cake" in titles

    browser.find_element(By.ID, "conversation").send_keys("Tea", Keys.ENTER)

    _until_said(browser, "In one")
    _connected(browser)
    _write(api, site, other.id, "In the other")
    _write(api, site, one.id, "In one again")
    _until_said(browser, "In one", "In one again")
    assert f"conversation={one.id}" in browser.current_url


@pytest.mark.wide
def test_after_a_cut_nothing_is_missing(
    browser: Chrome,
    database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    make: Factory,
    site: Site,
) -> None:
    chat = make.conversation(site)
    server = start_server(database_url, tmp_path_factory.mktemp("cut"))
    api = server.api()
    try:
        _open(browser, api, site, chat.id)
        _write(api, site, chat.id, "Before")
        _until_said(browser, "Before")
        for worker in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split():
            os.kill(int(worker), signal.SIGKILL)
        make.comment(chat, markdown="Meanwhile")
        _wait(browser).until(lambda there: "again" in _state(there))

        _until_said(browser, "Before", "Meanwhile")
        _connected(browser)
        _write(api, site, chat.id, "After")
        _until_said(browser, "Before", "Meanwhile", "After")
    finally:
        server.stop()


@pytest.mark.wide
def test_the_page_is_in_the_embedded_mode_alone(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = start_server(
        database_url, tmp_path_factory.mktemp("development"), environment="development"
    )
    try:
        assert server.api().get("/live").status == 404
    finally:
        server.stop()


def test_the_policy_allows_its_own_script_and_the_sites_alone(api: Api) -> None:
    answer = api.get("/live")
    policy = answer.headers["Content-Security-Policy"]

    port = api.address[1]
    assert answer.status == 200
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert f"connect-src 'self' http://*.forum.test:{port} ws://*.forum.test:{port};" in policy
    assert policy.count("script-src 'sha256-") == 1
