"""Notifications of devices: a browser is added, shows what comes, and tells nobody else of it.

No push service is reached from a test: the browser's own subscription is replaced by keys of the test, messages go over
loopback, and what arrived is put into the service worker as the browser would.
"""

from __future__ import annotations

import itertools
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import websocket
from selenium.webdriver import Chrome

from tests.api import Api
from tests.browser.conftest import driven
from tests.factories import Factory, Site
from tests.updates.push import PATH, Browser
from tests.webclient.hand import NO_SCRIPT, Hand
from tests.webclient.installed_app import installed, near
from tests.webclient.step import step
from tests.webclient.visitor import Visitor
from tests.webhooks.receiver import Receiver, receiving

FAKE = """
    window.fakePush = (subscription) => {
      PushManager.prototype.getSubscription = async () => null;
      PushManager.prototype.subscribe = async (options) => {
        window.askedWith = options;
        return { toJSON: () => subscription };
      };
    };
    window.fakePush(%s);
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser that can notify."""
    with driven(tmp_path_factory, is_whole=True) as driver:
        yield driver


class ServiceWorker:
    """The service worker of a site in a browser, over the browser's own protocol."""

    def __init__(self, driver: Chrome, host: str) -> None:
        address = driver.capabilities["goog:chromeOptions"]["debuggerAddress"]
        with urllib.request.urlopen(f"http://{address}/json/version") as answer:
            url = json.load(answer)["webSocketDebuggerUrl"]
        self._numbers = itertools.count(1)
        self._socket = websocket.create_connection(url, suppress_origin=True)
        targets = self._call("Target.getTargets")["targetInfos"]
        (target,) = [
            one for one in targets if one["type"] == "service_worker" and host in one["url"]
        ]
        params = {"targetId": target["targetId"], "flatten": True}
        self._session = self._call("Target.attachToTarget", params)["sessionId"]

    def _call(self, method: str, params: Any = None, session: str = "") -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params or {}}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def run(self, script: str) -> Any:
        """Return what an expression comes to in it."""
        params = {"expression": script, "awaitPromise": True, "returnByValue": True}
        found = self._call("Runtime.evaluate", params, self._session)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def push(self, message: Any) -> Any:
        """Let a message come; the notifications that are shown then: title, text, address."""
        data = json.dumps(json.dumps(message))
        return self.run(
            f"""(async () => {{
              await show(new PushEvent("push", {{ data: {data} }}).data.json());
              return (await registration.getNotifications()).map((one) => [one.title, one.body, one.data]);
            }})()"""
        )

    def leave(self) -> None:
        """Let go of it."""
        self._socket.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        server.answer = lambda message: 201
        yield server


def allow(hand: Hand, there: Browser) -> None:
    """Let the browser permit notifications, and subscribe to a push service of the test."""
    driver = hand.driver
    driver.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["notifications"]})
    source = FAKE % json.dumps(there.subscription)
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})


@step("device is told of updates")
def test_a_device_is_told_of_updates(
    hand: Hand, make: Factory, receiver: Receiver, api_there: Api
) -> None:
    site = near(make)
    there = Browser(receiver)
    hand.sign_in(site, site.member)
    hand.go(site)
    if hand.mode == NO_SCRIPT:
        # A browser subscribes by script alone.
        hand.go(site, "/updates/settings/")
        hand.see("A device is added by script, which does not run in this browser")
        return
    installed(hand)
    allow(hand, there)
    hand.go(site, "/updates/settings/")
    hand.press("Notify me on this device")
    hand.see("Saved.")
    hand.see("This device")
    chat = make.conversation(site, by=site.owner, title="Which bolt?")
    body = {
        "itemType": "conversation",
        "itemId": chat.id,
        "markdown": f"+{site.member.name}, the *short* one?",
    }
    assert api_there.post("/api/v1/comments", body, by=site.owner).status == 302

    (said,) = there.got()
    worker = ServiceWorker(hand.driver, site.host)
    try:
        ((title, text, address),) = worker.push(said)
        assert title == f"{site.owner.name} named you in Which bolt?"
        assert text == f"+{site.member.name}, the short one?"
        assert address == said["url"]
        # One about a huddle has no words of it.
        quiet = {name: said[name] for name in ("profileId", "siteTitle", "itemId", "url")}
        quiet |= {"updateType": "new_comment_in_huddle", "itemType": "huddle"}
        assert worker.push(quiet)[-1][0] == "Somebody wrote in a message that you are in"
        opened = worker.run(
            """(async () => {
              clients.openWindow = async (address) => { self.opened = address; };
              const [notification] = await registration.getNotifications();
              const event = new NotificationEvent("notificationclick", { notification });
              dispatchEvent(event);
              await new Promise((done) => setTimeout(done, 300));
              return [self.opened, (await registration.getNotifications()).length];
            })()"""
        )
        here, _, _ = hand.driver.current_url.partition("/updates/")
        assert opened == [f"{here}/comments/{said['commentId']}/incontext/", 1]
    finally:
        worker.leave()

    hand.press("Remove", within="#push .rows")
    hand.see("Notify me on this device")
    assert not api_there.get(PATH, by=site.member).data["subscriptions"]


@step("second person on a browser is told nothing of the first")
def test_two_people_at_one_browser(
    hand: Hand, make: Factory, receiver: Receiver, api_there: Api
) -> None:
    site = near(make)
    there = Browser(receiver)
    hand.sign_in(site, site.member)
    hand.go(site)
    if hand.mode == NO_SCRIPT:
        hand.go(site, "/updates/settings/")
        hand.see_no("Notify me on this device")
        return
    installed(hand)
    allow(hand, there)
    hand.go(site, "/updates/settings/")
    hand.press("Notify me on this device")
    hand.see("This device")
    first = {
        "updateType": "mentioned",
        "profileId": site.member.id,
        "itemType": "conversation",
        "itemId": 7,
        "url": f"http://{site.host}/comments/7/incontext/",
        "siteTitle": "Bikes",
        "title": "For the first alone",
        "by": "ada",
        "text": "Words for the first",
    }

    hand.press("Sign out")
    hand.see("Sign in")
    assert not api_there.get(PATH, by=site.member).data["subscriptions"]
    hand.sign_in(site, site.owner)
    hand.go(site)
    hand.until(lambda: not _remembers(hand))
    worker = ServiceWorker(hand.driver, site.host)
    try:
        shown = worker.push(first)
        assert "first" not in str(shown)
        assert shown[-1] == ["Bikes", "Bikes", "/updates/"]
    finally:
        worker.leave()
    hand.go(site, "/updates/settings/")
    hand.see("Notify me on this device")


def _remembers(hand: Hand) -> bool:
    """Return whether the browser still knows whose notifications it shows."""
    script = "caches.has('push').then(arguments[0])"
    return bool(hand.driver.execute_async_script(script))


def test_devices_of_others_are_not_to_be_removed(
    visitor: Visitor, bikes: Site, make: Factory, api_there: Api
) -> None:
    theirs = make.push_subscription(make.person(bikes))
    mine = visitor.of(bikes, bikes.member)

    answer = mine.post("/updates/settings/devices/", {"remove": str(theirs)})

    assert answer.status == 404
    bad = {"endpoint": "ftp://push.test/", "p256dh": "x", "auth": "y"}
    assert mine.post("/updates/settings/devices/", bad).status in (400, 404)
