"""Reference pages in Chromium: readable in each look and width, searched while one types, tried with a token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import url_to_be
from selenium.webdriver.support.wait import WebDriverWait

from forumapi.apidocs.reference.reference_pages import HOME
from tests.api import Api
from tests.apidocs.reference.test_reference_pages import pages
from tests.factories import Factory, Site
from tests.webclient import page_checks
from tests.webclient.page_checks import DARK, LIGHT

pytestmark = pytest.mark.slow

KINDS = ("", "comments", "errors", "basics")
QUERIES = ("comment", "POST comments", "no_read", "edit", "413", "markdown html", "zzz", "e")


@pytest.fixture
def window(browser: Chrome) -> Iterator[Chrome]:
    """A browser that has any look and width."""
    yield browser
    page_checks.leave(browser)


def _open(browser: Chrome, api: Api, site: Site, path: str) -> None:
    browser.get(f"http://{site.host}:{api.address[1]}{path}")


def _wait(browser: Chrome) -> WebDriverWait[Chrome]:
    return WebDriverWait(browser, 20)


def _complaints(browser: Chrome) -> list[Any]:
    found = browser.get_log("browser")
    return [one for one in found if one["level"] != "DEBUG" and "favicon.ico" not in one["message"]]


@pytest.mark.wide
def test_every_page_is_accessible_in_each_look(window: Chrome, api: Api, bikes: Site) -> None:
    wrong = {}
    for slug in pages("site").page:
        _open(window, api, bikes, f"{HOME}/{slug}".rstrip("/"))
        # All that can be opened is looked at.
        window.execute_script(
            "document.querySelectorAll('details').forEach(one => one.open = true)"
        )
        # Pages of subjects differ in nothing that has a colour.
        looks = ((LIGHT, 320), (DARK, 1280)) if slug in KINDS else ((LIGHT, 320),)
        for look, width in looks:
            page_checks.draw(window, look, width)
            if found := page_checks.overflowing(window) + page_checks.axe(window):
                wrong[slug, look.name, width] = found
    assert wrong == {}
    assert _complaints(window) == []


def _typed(browser: Chrome, query: str) -> list[str]:
    """The addresses that are shown for a query while one types."""
    browser.execute_script(
        """
        const field = document.getElementById('q');
        document.getElementById('told').textContent = '';
        field.value = arguments[0];
        field.dispatchEvent(new Event('input'));
        """,
        query,
    )
    _wait(browser).until(lambda there: there.find_element(By.ID, "told").text)
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll('#hits a')].map(one => one.getAttribute('href'))"
    )
    return found


# Enters the search, types half a second later, and says after how many milliseconds the first hit is drawn.
_TIMED = """
const [query, done] = arguments, field = document.getElementById('q'), hits = document.getElementById('hits');
let begun;
new MutationObserver(() => requestAnimationFrame(() => done(performance.now() - begun)))
  .observe(hits, {childList: true});
field.dispatchEvent(new Event('focus'));
setTimeout(() => {
  begun = performance.now();
  field.value = query;
  field.dispatchEvent(new Event('input'));
}, 500);
"""


@pytest.mark.wide
def test_typing_finds_what_the_server_finds(browser: Chrome, api: Api, bikes: Site) -> None:
    _open(browser, api, bikes, HOME)
    for query in QUERIES:
        found = [one.address for one in pages("site").search.find(query)]
        assert _typed(browser, query) == found, query
    assert _complaints(browser) == []


@pytest.mark.wide
def test_the_first_hit_is_shown_within_a_tenth_of_a_second(
    browser: Chrome, api: Api, bikes: Site
) -> None:
    """From the key to the list, at best: other processes take the processor too."""
    waits = []
    for query in QUERIES[:6]:
        _open(browser, api, bikes, HOME)
        waits.append(browser.execute_async_script(_TIMED, query))
    assert min(waits) < 100, waits


@pytest.mark.wide
def test_the_viewer_is_accessible(window: Chrome, api: Api, bikes: Site) -> None:
    wrong = {}
    for look, width in ((LIGHT, 320), (DARK, 1280)):
        page_checks.draw(window, look, width)
        _open(window, api, bikes, f"{HOME}/comments/try#/Comments/createComment")
        _wait(window).until(lambda there: there.find_elements(By.CSS_SELECTOR, ".opblock .execute"))
        if found := page_checks.axe(window):
            wrong[look.name] = found
    assert wrong == {}


@pytest.mark.wide
def test_anchors_of_the_single_page_lead_on(browser: Chrome, api: Api, bikes: Site) -> None:
    for old, new in {
        "createComment": "comments#createComment",
        "about-files": "files",
        "errors": "errors",
        "error-no_read": "errors#error-no_read",
        "object-ErrorDetail": "objects#object-ErrorDetail",
    }.items():
        browser.get("about:blank")
        _open(browser, api, bikes, f"{HOME}#{old}")
        _wait(browser).until(url_to_be(f"{browser.current_url.partition(HOME)[0]}{HOME}/{new}"))


@pytest.mark.wide
def test_a_pasted_token_sends_a_request(
    browser: Chrome, api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    _open(browser, api, bikes, f"{HOME}/caller/try#/Caller/whoAmI")
    _wait(browser).until(lambda there: there.find_elements(By.CSS_SELECTOR, ".opblock .execute"))
    browser.find_element(By.ID, "token").send_keys(bikes.member.token)
    browser.find_element(By.ID, "use").click()
    assert "with this token" in browser.find_element(By.ID, "told").text
    browser.find_element(By.CSS_SELECTOR, ".opblock .execute").click()
    answer = _answer(browser)
    assert re.search(rf'"id": {bikes.member.id}\b', answer)

    _open(browser, api, bikes, f"{HOME}/comments/try#/Comments/createComment")
    _wait(browser).until(lambda there: there.find_elements(By.CSS_SELECTOR, ".opblock .execute"))
    browser.find_element(By.ID, "token").send_keys(bikes.member.token)
    browser.find_element(By.ID, "use").click()
    body = f'{{"itemType":"conversation","itemId":{chat.id},"markdown":"Tried"}}'
    field = browser.find_element(By.CSS_SELECTOR, ".body-param__text")
    browser.execute_script(
        """
        const set = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set;
        set.call(arguments[0], arguments[1]);
        arguments[0].dispatchEvent(new Event('input', {bubbles: true}));
        arguments[0].dispatchEvent(new Event('change', {bubbles: true}));
        """,
        field,
        body,
    )
    browser.find_element(By.CSS_SELECTOR, ".opblock .execute").click()
    assert '"Tried"' in _answer(browser)
    comments = api.get(f"/api/v1/conversations/{chat.id}", by=bikes.member).json()["data"]
    assert "Tried" in str(comments["comments"]["items"])
    assert _complaints(browser) == []


def _answer(browser: Chrome) -> str:
    _wait(browser).until(
        lambda there: there.find_elements(By.CSS_SELECTOR, ".live-responses-table .response")
    )
    return browser.find_element(By.CSS_SELECTOR, ".live-responses-table .response").text
