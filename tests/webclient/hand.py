"""Person at a browser, who finds things by what a page says and does them by mouse or by keyboard alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from forumapi.webclient.session import Seal, WebSession
from tests.factories import Person, Site
from tests.webclient.visitor import Visitor

NO_SCRIPT: Final = "no script"
SCRIPT: Final = "script"
KEYBOARD: Final = "keyboard"
MODES: Final = (NO_SCRIPT, SCRIPT, KEYBOARD)

# Presses of Tab after which what is looked for can't be reached.
MOST_TABS: Final = 200
WAIT_S: Final = 10.0
# Of the web process that tests start.
WEBSITE_SECRET: Final = "of-the-tests"


T = TypeVar("T")


class Hand:
    """Person at a browser. `mode` is one of MODES; a site is visited on the port of the web process."""

    def __init__(self, driver: Chrome, port: int, mode: str) -> None:
        self.driver = driver
        self.mode = mode
        self._port = port
        self.site: Site | None = None
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": mode == NO_SCRIPT})

    def leave(self) -> None:
        """Give the browser back as it was."""
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})

    # ------------------------------------------------------------ going

    def go(self, site: Site, path: str = "/") -> None:
        """Open a page of a site."""
        self.site = site
        self.driver.get(f"http://{site.host}:{self._port}{path}")

    def sign_in(self, site: Site, person: Person) -> None:
        """Give the browser a session of a person, as the form of signing in would; no page is opened."""
        self.site = site
        visitor = Visitor(("127.0.0.1", self._port), f"{site.host}:{self._port}")
        form = {"step": "development", "email": person.email}
        agent = self.driver.execute_cdp_cmd("Browser.getVersion", {})["userAgent"]
        page = visitor.post("/login/", form, User_Agent=agent)
        assert page.status == 303, page.text
        for name, value in visitor.cookies.items():
            self._keep(name, value)

    def make_stale(self, person: Person) -> None:
        """Let the session of this person be one of an hour ago."""
        self.become(person, int(time.time()) - 3600)

    def become(self, person: Person, since: int) -> None:
        """Let the browser have a session of this person, begun at that second."""
        assert self.site is not None
        seal = Seal([WEBSITE_SECRET])
        session = WebSession(person.token, since)
        self._keep("session", seal.seal_session(f"{self.site.host}:{self._port}", session))

    def _keep(self, name: str, value: str) -> None:
        """Let the browser have a cookie of the site."""
        assert self.site is not None
        address = f"http://{self.site.host}:{self._port}/"
        cookie = {"name": name, "value": value, "url": address, "httpOnly": True}
        assert self.driver.execute_cdp_cmd("Network.setCookie", cookie)["success"]

    @property
    def path(self) -> str:
        """Path and query of the page, without its host."""
        return self.driver.current_url.partition("://")[2].partition("/")[2]

    # ------------------------------------------------------------ seeing

    def sees(self, text: str) -> bool:
        """Return True if the page shows a text now."""
        return text in self.driver.find_element(By.TAG_NAME, "body").text

    def see(self, text: str) -> None:
        """Wait until the page shows a text."""
        self._wait(lambda: self.sees(text), f"{text!r} is not shown")

    def see_no(self, text: str) -> None:
        """Check that the page does not show a text."""
        assert not self.sees(text), f"{text!r} is shown"

    def gone(self, text: str) -> None:
        """Wait until the page no longer shows a text."""
        self._wait(lambda: not self.sees(text), f"{text!r} is still shown")

    def find(self, css: str) -> WebElement:
        """Find one element by a CSS selector."""
        return self._wait(
            lambda: next(iter(self.driver.find_elements(By.CSS_SELECTOR, css)), None),
            f"{css} is not there",
        )

    def value(self, label: str, *, within: str = "body") -> str:
        """Return what a field holds, by its label."""
        return str(self._labelled(label, within).get_property("value"))

    def wait(self, look: Callable[[], object]) -> None:
        """Wait until something is so."""
        self._wait(look, "it never came to that")

    def until(self, look: Callable[[], object]) -> None:
        """Wait until something is true."""
        self._wait(look, "it does not become true")

    def reload_until(self, look: Callable[[], bool]) -> None:
        """Load the page anew until something is true: guests may be shown what was true a moment ago."""

        def is_so() -> bool:
            found = look()
            if not found:
                self.driver.refresh()
            return found

        self._wait(is_so, "it does not become true")

    # ------------------------------------------------------------ doing

    def press(self, text: str, *, within: str = "body") -> None:
        """Follow a link or press a button by what it says, inside the element that `within` selects."""
        self._use(self._named(text, within))

    def press_through(self, text: str, *, within: str = "body") -> None:
        """Press what leads to another page, and wait until the present one is gone: what both show is then the new
        page's.
        """
        page = self.find("html")
        self.press(text, within=within)
        self._wait(lambda: _is_gone(page), f"{text!r} leads to no other page")

    def press_twice(self, text: str, *, within: str = "body") -> None:
        """Press a button twice, as fast as a double click or a key that repeats."""
        button = self._named(text, within)
        if self.mode != KEYBOARD:
            ActionChains(self.driver).double_click(button).perform()
            return
        self._tab_to(button)
        ActionChains(self.driver).send_keys(Keys.ENTER, Keys.ENTER).perform()

    def fill(self, label: str, text: str, *, within: str = "body") -> None:
        """Write into a field by its label, in place of what it holds."""
        field = self._labelled(label, within)
        if self.mode == KEYBOARD:
            self._tab_to(field)
            self.driver.switch_to.active_element.send_keys(Keys.CONTROL, "a")
            self.driver.switch_to.active_element.send_keys(text or Keys.DELETE)
            return
        field.clear()
        field.send_keys(text)

    def add(self, label: str, text: str, *, within: str = "body") -> None:
        """Write on at the end of what a field holds."""
        field = self._labelled(label, within)
        if self.mode == KEYBOARD:
            self._tab_to(field)
            field = self.driver.switch_to.active_element
        field.send_keys(Keys.CONTROL, Keys.END)
        field.send_keys(text)

    def paste(self, label: str, text: str, *, within: str = "body") -> None:
        """Put a long text into a field at once, as from the clipboard; no keyboard writes that."""
        field = self._labelled(label, within)
        field.click()
        self.driver.execute_cdp_cmd("Input.insertText", {"text": text})

    def choose(self, label: str, option: str, *, within: str = "body") -> None:
        """Choose an option of a list by what it says."""
        field = self._labelled(label, within)
        if self.mode == KEYBOARD:
            self._tab_to(field)
            self.driver.switch_to.active_element.send_keys(option)
            return
        field.find_element(By.XPATH, f".//option[normalize-space()={_quoted(option)}]").click()

    def tick(self, label: str, *, within: str = "body") -> None:
        """Tick or untick a box by its label, or choose one of several."""
        field = self._labelled(label, within)
        if self.mode == KEYBOARD and field.get_attribute("type") == "radio":
            self._move_to(field)
        else:
            self._use(field, key=Keys.SPACE)

    def upload(self, label: str, path: str, *, within: str = "body") -> None:
        """Choose a file. No keyboard reaches the dialog of the system, so all modes do it alike."""
        self._labelled(label, within).send_keys(path)

    # ------------------------------------------------------------ inner

    def _named(self, text: str, within: str) -> WebElement:
        said = _quoted(text)
        path = (
            f".//*[self::a or self::button or self::summary or self::label]"
            f"[normalize-space()={said} or @aria-label={said}]"
        )

        def look() -> WebElement | None:
            for part in self.driver.find_elements(By.CSS_SELECTOR, within):
                for found in part.find_elements(By.XPATH, path):
                    if found.is_displayed():
                        return found
            return None

        return self._wait(look, f"nothing says {text!r} in {within}")

    def _labelled(self, label: str, within: str) -> WebElement:
        said = _quoted(label)

        def look() -> WebElement | None:
            for part in self.driver.find_elements(By.CSS_SELECTOR, within):
                for found in part.find_elements(By.XPATH, f".//label[normalize-space()={said}]"):
                    named = found.get_attribute("for")
                    if named:
                        return self.driver.find_element(By.ID, named)
                    return found.find_element(By.CSS_SELECTOR, "input,select,textarea")
                for found in part.find_elements(By.XPATH, f".//*[@aria-label={said}]"):
                    return found
            return None

        return self._wait(look, f"no field {label!r} in {within}")

    def _use(self, element: WebElement, *, key: str = "") -> None:
        if self.mode != KEYBOARD:
            element.click()
            return
        self._tab_to(element)
        is_link = element.tag_name == "a"
        self.driver.switch_to.active_element.send_keys(
            key or (Keys.ENTER if is_link else Keys.SPACE)
        )

    def _move_to(self, radio: WebElement) -> None:
        """Press arrow keys among those of which one is chosen: Tab stops at one of them alone."""
        name = radio.get_attribute("name")
        group = self.driver.find_elements(By.CSS_SELECTOR, f'input[type="radio"][name="{name}"]')
        self._tab_to(next((one for one in group if one.is_selected()), group[0]))
        for _ in group:
            if radio.is_selected():
                return
            ActionChains(self.driver).send_keys(Keys.ARROW_DOWN).perform()
        assert radio.is_selected(), "no arrow key reaches it"

    def _tab_to(self, element: WebElement) -> None:
        """Press Tab until the element has the focus. Focus goes on from where it is, and round once."""
        for _ in range(MOST_TABS):
            if self.driver.switch_to.active_element == element:
                return
            # Not by `send_keys` of the element: to a field for files that would be a path.
            ActionChains(self.driver).send_keys(Keys.TAB).perform()
        raise AssertionError(f"no keyboard reaches {element.get_attribute('outerHTML')}")

    def _wait(self, look: Callable[[], T | None], failed: str) -> T:
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                found = look()
            except Exception:  # noqa: BLE001 - the page may just be changing
                found = None
            if found:
                return found
            if time.monotonic() > deadline:
                where = self.driver.current_url
                body = self.driver.find_element(By.TAG_NAME, "body").text[:1500]
                raise AssertionError(f"{failed} at {where}:\n{body}")
            time.sleep(0.05)


def _is_gone(element: WebElement) -> bool:
    try:
        element.is_enabled()
    except StaleElementReferenceException:
        return True
    return False


def _quoted(text: str) -> str:
    """Quote a text for XPath, which knows no escapes."""
    if "'" not in text:
        return f"'{text}'"
    parts = ', "\'", '.join(f"'{part}'" for part in text.split("'"))
    return f"concat({parts})"
