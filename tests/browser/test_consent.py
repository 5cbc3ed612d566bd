"""The pages that ask a person for leave, as a browser and those who can't see or point meet them."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import title_contains, url_contains
from selenium.webdriver.support.wait import WebDriverWait

from forumapi.models.access import platform_secret
from forumapi.updates import unsubscribe
from forumapi.updates.unsubscribe import MailKind
from tests.api import Api
from tests.auth.consent import Client
from tests.browser.conftest import Callback
from tests.factories import Factory, Person, Site

pytestmark = pytest.mark.slow

# What every page must keep to for those who hear it or go by keys; run in the page itself.
_FAULTS = """
const found = [];
if (!document.documentElement.lang) found.push("no language");
if (!document.title.trim()) found.push("no title");
if (document.querySelectorAll("h1").length !== 1) found.push("not one heading");
if (document.querySelectorAll("main").length !== 1) found.push("not one main part");
for (const field of document.querySelectorAll("input:not([type=hidden])"))
  if (!field.labels.length) found.push("no label: " + field.name);
for (const button of document.querySelectorAll("button"))
  if (!button.textContent.trim()) found.push("no name: button");
const ids = [...document.querySelectorAll("[id]")].map(one => one.id);
if (new Set(ids).size !== ids.length) found.push("an id twice");
if (document.querySelectorAll("script, iframe, img, link, [style]").length) found.push("more than text and forms");
if (document.querySelectorAll("[tabindex]:not([tabindex='0'])").length) found.push("an order of its own");
return found;
"""


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


@pytest.fixture
def client(api: Api, make: Factory, site: Site, callback: Callback) -> Client:
    made = Client.registered(api, make, site, redirectUris=[callback.address])
    made.redirect_uri = callback.address
    return made


def _open(browser: Chrome, client: Client, address: str = "") -> None:
    browser.get(f"http://{client.site.host}:{client.api.address[1]}{address or client.address()}")


def _wait(browser: Chrome) -> WebDriverWait[Chrome]:
    return WebDriverWait(browser, 20)


def _named(browser: Chrome, text: str) -> WebElement:
    """The button that says this."""
    return browser.find_element(By.XPATH, f"//button[normalize-space()={text!r}]")


def _field(browser: Chrome, label: str) -> WebElement:
    """The field that a label with this text leads to."""
    name = browser.find_element(By.XPATH, f"//label[normalize-space()={label!r}]")
    return browser.find_element(By.ID, name.get_attribute("for") or "")


def _check(browser: Chrome) -> None:
    assert browser.execute_script(_FAULTS) == []


def _sign_in(browser: Chrome, make: Factory, person: Person) -> None:
    """With keys alone: the field has the focus, Enter goes on."""
    _check(browser)
    assert browser.switch_to.active_element == _field(browser, "Your e-mail address")
    browser.switch_to.active_element.send_keys(person.email, Keys.ENTER)
    _wait(browser).until(lambda there: there.find_elements(By.ID, "code"))
    _check(browser)
    ((subject,),) = make.sql(
        "SELECT subject FROM mail_outbox WHERE recipient = %(to)s", to=person.email
    )
    assert browser.switch_to.active_element == _field(browser, "Code")
    browser.switch_to.active_element.send_keys(subject[:8], Keys.ENTER)


def _complaints(browser: Chrome) -> list[Any]:
    """Return what the browser had to say about the pages, their icon aside."""
    return [one for one in browser.get_log("browser") if "favicon.ico" not in one["message"]]


def test_a_person_signs_in_reads_what_is_asked_for_and_allows_it(
    browser: Chrome, make: Factory, client: Client, callback: Callback, site: Site
) -> None:
    _open(browser, client)
    assert browser.title.startswith("Sign in - ")
    _sign_in(browser, make, site.member)
    _wait(browser).until(title_contains("Allow access?"))
    _check(browser)
    assert browser.find_element(By.TAG_NAME, "h1").text.startswith("Reader & Co asks to act")
    asked = [one.text for one in browser.find_elements(By.CSS_SELECTOR, "#scopes li")]
    assert asked == [
        "Read comments",
        "Read conversations",
        "Start, change and delete conversations",
    ]
    cookie = browser.get_cookie("oauth")
    assert cookie and cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    assert browser.execute_script("return document.cookie") == ""
    assert _complaints(browser) == []
    # By keys: the first stop is the first button.
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "Allow"
    browser.switch_to.active_element.send_keys(Keys.ENTER)

    _wait(browser).until(url_contains(callback.address))
    (told,) = callback.visits
    assert told["state"] == "st&te"
    made = client.redeem(told["code"]).json()
    assert client.works(made["access_token"])
    # The page forgets who was there.
    _open(browser, client)
    assert browser.title.startswith("Sign in - ")


@pytest.mark.wide
def test_the_link_in_a_mail_is_confirmed_by_keys_alone(
    browser: Chrome, api: Api, make: Factory, site: Site
) -> None:
    person = site.member
    make.sql("UPDATE profile_options SET digest = 'daily' WHERE profile_id = %(p)s", p=person.id)
    with make.database.write() as tx:
        secret = platform_secret.find(tx, platform_secret.MAIL)
    code = unsubscribe.code(secret, site.id, person.id, MailKind(unsubscribe.DIGEST, 0, 0))
    browser.get(f"http://{site.host}:{api.address[1]}{unsubscribe.PATH}?code={code}")
    assert browser.title.startswith("Stop this mail? - ")
    _check(browser)
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "Stop it"
    browser.switch_to.active_element.send_keys(Keys.ENTER)

    _wait(browser).until(title_contains("It has ended"))
    _check(browser)
    assert _complaints(browser) == []
    rows = make.sql("SELECT digest FROM profile_options WHERE profile_id = %(p)s", p=person.id)
    assert rows == [("none",)]


@pytest.mark.wide
def test_a_person_says_no(
    browser: Chrome, make: Factory, client: Client, callback: Callback, site: Site
) -> None:
    _open(browser, client)
    _sign_in(browser, make, site.newcomer)
    _wait(browser).until(title_contains("Allow access?"))

    _named(browser, "Don't allow").click()

    _wait(browser).until(url_contains(callback.address))
    assert callback.visits[0]["error"] == "access_denied"


@pytest.mark.wide
def test_what_is_wrong_is_said_where_it_is_heard(
    browser: Chrome, make: Factory, client: Client, site: Site
) -> None:
    _open(browser, client)
    _field(browser, "Your e-mail address").send_keys(site.member.email, Keys.ENTER)
    _wait(browser).until(lambda there: there.find_elements(By.ID, "code"))

    _field(browser, "Code").send_keys("12345678", Keys.ENTER)

    _wait(browser).until(lambda there: there.find_elements(By.CSS_SELECTOR, "[role=alert]"))
    _check(browser)
    assert "This code is wrong" in browser.find_element(By.CSS_SELECTOR, "[role=alert]").text


@pytest.mark.wide
def test_no_other_page_can_frame_it(
    browser: Chrome, client: Client, callback: Callback, site: Site
) -> None:
    page = f"http://{site.host}:{client.api.address[1]}{client.address()}"
    callback.page = f'<iframe src="{page.replace("&", "&amp;")}"></iframe>'

    browser.get(callback.address)

    _wait(browser).until(lambda there: there.find_elements(By.TAG_NAME, "iframe"))
    browser.switch_to.frame(0)
    assert browser.find_elements(By.TAG_NAME, "form") == []
    browser.switch_to.default_content()
    said = [one["message"] for one in browser.get_log("browser")]
    assert any("frame-ancestors" in message for message in said)


@pytest.mark.wide
def test_a_form_elsewhere_can_not_press_the_button(
    browser: Chrome, make: Factory, client: Client, callback: Callback, site: Site
) -> None:
    _open(browser, client)
    _sign_in(browser, make, site.member)
    _wait(browser).until(title_contains("Allow access?"))
    page = f"http://{site.host}:{client.api.address[1]}{client.address()}"
    callback.page = (
        f'<form method="post" action="{page.replace("&", "&amp;")}">'
        '<input name="step" value="allow"><button>Win a prize</button></form>'
    )
    browser.get(callback.address)

    browser.find_element(By.TAG_NAME, "button").click()

    _wait(browser).until(title_contains("This page is too old"))
    assert callback.visits == []


@pytest.mark.wide
def test_a_device_is_connected(browser: Chrome, api: Api, make: Factory, site: Site) -> None:
    device = Client.registered(api, make, site, deviceFlow=True, redirectUris=[])
    asked = device.ask("device").json()
    _open(browser, device, "/oauth/device")
    _sign_in(browser, make, site.member)
    _wait(browser).until(title_contains("Connect a device"))
    _check(browser)

    _field(browser, "Code").send_keys(asked["user_code"].lower(), Keys.ENTER)
    _wait(browser).until(title_contains("Allow access?"))
    _check(browser)
    _named(browser, "Allow").click()

    _wait(browser).until(title_contains("Allowed"))
    answer = device.ask(
        "token",
        grant_type="urn:ietf:params:oauth:grant-type:device_code",
        device_code=asked["device_code"],
    )
    assert device.works(answer.json()["access_token"])
