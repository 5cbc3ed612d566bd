"""Every write of the API from a page, of the site itself and of another origin, with every header that is described."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import uuid4

import pyotp
import pytest
from selenium.webdriver import Chrome

from forumapi import routes
from forumapi.wire import documented_headers
from tests import schema_check
from tests.api import Api
from tests.browser.conftest import Callback
from tests.factories import Factory, Site
from tests.permissions.test_table import SAVED, SKIPPED, asked

pytestmark = pytest.mark.slow

FORMS = ("", "return=representation", "return=minimal")
ORIGINS = ("same", "other")
# Shown once, or of another form: these answer alike, whatever is preferred.
ONE_FORM = frozenset(
    url
    for url, handler in routes.SITE.items()
    if not handler.takes_idempotency_key
    or any(operation.media_type for operation in handler.operations.values())
)
# Values that change nothing about the write. Overridden is POST alone, and that to itself.
HEADERS = {
    "If-Match": "*",
    "If-None-Match": '"of nothing"',
    "If-Range": '"of nothing"',
    "Last-Event-ID": "none",
    "Range": "bytes=0-",
    "X-Always-200": "",
    "X-Disable-Boiler": "",
    "X-HTTP-Method-Override": "POST",
    "X-Request-Id": "of-a-page",
}
# One after the other, as a page would: what can't be read is an exception, whose text is all that a page learns.
_SEND = """
const [base, calls, done] = arguments;
(async () => {
  const told = [];
  for (const {method, path, headers, body} of calls) {
    try {
      const answer = await fetch(base + path, {method, headers, body});
      const names = ["Allow", "ETag", "Live-Cursor", "Location", "Preference-Applied", "X-Request-Id"];
      told.push({
        status: answer.status, redirected: answer.redirected, url: answer.url, text: await answer.text(),
        headers: Object.fromEntries(names.map(name => [name, answer.headers.get(name)])),
      });
    } catch (error) { told.push({failure: String(error)}); }
  }
  done(told);
})();
"""


class Write(NamedTuple):
    """An operation that changes something, and who of the cast may do it; "" for nobody."""

    method: str
    url: str
    caller: str


def writes() -> Iterator[Write]:
    """Every write of a site, with the first of those whom the table of permissions lets do it."""
    heads, *lines = SAVED.read_text().splitlines()
    cast = heads.split()
    for line in lines:
        method, url, *statuses = line.split()
        allowed = [
            name
            for name, status in zip(cast, statuses, strict=True)
            if name != "guest" and int(status) < 400
        ]
        if method != "GET":
            yield Write(method, url, allowed[0] if allowed else "")


WRITES = list(writes())


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


def send(browser: Chrome, api: Api, site: Site, calls: list[dict[str, Any]]) -> list[Any]:
    """Return what the page that is open learns from each of these."""
    base = f"http://{site.host}:{api.address[1]}"
    browser.set_script_timeout(300)
    told: list[Any] = browser.execute_async_script(_SEND, base, calls)
    return told


def go(browser: Chrome, api: Api, site: Site, callback: Callback, origin: str) -> None:
    """Open a page of this origin."""
    own = f"http://{site.host}:{api.address[1]}/api/v1/site"
    browser.get(own if origin == "same" else callback.address)


def call(make: Factory, site: Site, write: Write, form: str) -> dict[str, Any]:
    """The request of a page for a write, with all headers."""
    hook = make.webhook(site) if "/webhooks/" in write.url else 0
    path, body = asked(make, site, write.url, write.method, hook)
    if "<user:item>" in write.url and write.caller == "member":
        # To oneself the id is the user's.
        path = write.url.replace("<user:item>", str(site.member.user_id))
    person = site.cast()[write.caller or "owner"]
    assert person is not None
    headers = {**HEADERS, "Authorization": f"Bearer {person.token}"}
    if form:
        headers["Prefer"] = form
    if routes.SITE[write.url].takes_idempotency_key:
        headers["Idempotency-Key"] = uuid4().hex
    if body is not None:
        headers["Content-Type"] = "application/json"
    text = None if body is None else json.dumps(body)
    return {"method": write.method, "path": path, "headers": headers, "body": text}


def faults(write: Write, form: str, sent: dict[str, Any], told: dict[str, Any]) -> list[str]:
    """Return what the page could not do or learn."""
    if "failure" in told:
        return [told["failure"]]
    status, headers = told["status"], told["headers"]
    if not write.caller:
        return [] if status >= 400 else [f"{status}, where the table has a refusal"]
    # Codes by mail are counted by address, and all of these come from one.
    if status >= 300 and (write.url, status) != ("/api/v1/auth/email", 429):
        return [f"{status} {told['text'][:200]}"]
    if status >= 300:
        return []
    wrong = []
    if headers["X-Request-Id"] != "of-a-page":
        wrong.append(f"X-Request-Id is {headers['X-Request-Id']}")
    if write.url in ONE_FORM or not form:
        if form == "" and told["text"] and json.loads(told["text"])["error"]:
            wrong.append(told["text"][:200])
        return wrong
    if told["redirected"]:
        wrong.append(f"led to {told['url']} all the same")
    if headers["Preference-Applied"] != form:
        wrong.append(f"Preference-Applied is {headers['Preference-Applied']}")
    if form == "return=minimal":
        if (status, told["text"]) != (204, ""):
            wrong.append(f"{status} with {told['text'][:100]!r}")
        return wrong
    operation = schema_check.operation(write.method, write.url)
    is_shown = json.loads(told["text"])["data"] is not None
    if "302" in operation["responses"] and not (is_shown and headers["Location"]):
        wrong.append(f"Location is {headers['Location']}: {told['text'][:100]}")
    if is_shown and headers["Location"] and not headers["Live-Cursor"]:
        wrong.append("no Live-Cursor")
    return wrong


def check(
    browser: Chrome, api: Api, make: Factory, site: Site, chosen: list[tuple[Write, str]]
) -> None:
    """Do these from the page that is open. Whoever hands the site over owns nothing afterwards: that comes last."""
    chosen = sorted(chosen, key=lambda one: one[0].url == "/api/v1/site/offer")
    calls = [call(make, site, write, form) for write, form in chosen]
    wrong = [
        f"{write.method} {write.url} {form}: {fault}"
        for (write, form), sent, told in zip(
            chosen, calls, send(browser, api, site, calls), strict=True
        )
        for fault in faults(write, form, sent, told)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.sliced(1)
@pytest.mark.parametrize("origin", ORIGINS)
def test_a_page_can_write(
    browser: Chrome, api: Api, make: Factory, site: Site, callback: Callback, origin: str
) -> None:
    go(browser, api, site, callback, origin)
    chance = random.Random(f"12 {origin}")
    puts = [write for write in WRITES if write.method == "PUT" and write.caller]
    chosen = dict.fromkeys(chance.sample(WRITES, 12) + chance.sample(puts, 6))

    check(browser, api, make, site, [(one, FORMS[n % 3]) for n, one in enumerate(chosen)])


@pytest.mark.wide
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("origin", ORIGINS)
def test_a_page_can_write_everything(
    browser: Chrome, api: Api, make: Factory, site: Site, callback: Callback, origin: str, form: str
) -> None:
    assert {url for url, handler in routes.SITE.items() if set(handler.operations) - {"GET"}} == {
        write.url for write in WRITES
    } | {url for url in SKIPPED if url != "/api/v1/out/<code>" and _writes(url)}
    go(browser, api, site, callback, origin)

    check(browser, api, make, site, [(write, form) for write in WRITES])


def _writes(url: str) -> bool:
    return bool(set(routes.SITE[url].operations) - {"GET"})


@pytest.mark.wide
def test_each_described_header_may_be_sent_and_read_from_elsewhere(
    browser: Chrome, api: Api, make: Factory, site: Site, callback: Callback
) -> None:
    chat = make.conversation(site)
    browser.get(callback.address)
    values = {**HEADERS, "Prefer": "return=minimal", "Idempotency-Key": "of-a-page"}
    # A part of what it has kept is made by the browser itself.
    values["Range"] = "bytes=0-,5-"
    assert values.keys() == documented_headers.REQUEST.keys()
    calls = [
        {"method": "GET", "path": chat.path, "headers": {name: value}}
        for name, value in values.items()
    ]
    # A method that needs no leave of OPTIONS, which would not give it.
    calls.append({"method": "POST", "path": "/api/v1/site", "headers": {}})

    *told, refused = send(browser, api, site, calls)

    assert [one.get("failure") or one["status"] for one in told] == [200] * len(values), told
    for one in told:
        assert one["headers"]["ETag"] and one["headers"]["Live-Cursor"]
        assert one["headers"]["X-Request-Id"]
    assert (refused["status"], refused["headers"]["Allow"]) == (405, "OPTIONS,HEAD,GET,PUT")


@pytest.mark.wide
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("origin", ORIGINS)
def test_a_page_can_write_what_the_table_has_no_good_request_for(
    browser: Chrome, api: Api, make: Factory, site: Site, callback: Callback, origin: str, form: str
) -> None:
    """Keys, clients, files that hang on something, replays; on the platform's host sites and their menus."""
    owner = site.owner
    key = api.post("/api/v1/keys", {"name": "A key", "scopes": ["comments:read"]}, by=owner).data
    new = {
        "name": "A client",
        "redirectUris": ["https://client.example/back"],
        "scopes": ["comments:read"],
    }
    client = api.post("/api/v1/oauth/clients", new, by=owner).data
    at = f"/api/v1/oauth/clients/{client['id']}"
    comment = make.comment(make.conversation(site), by=owner)
    hash = make.file(owner)
    # The last picture of a profile stays.
    for thing, one in ((comment.path, hash), (owner.path, hash), (owner.path, make.file(owner))):
        assert api.post(f"{thing}/attachments", {"fileHash": one}, by=owner).status == 302
    hook = make.webhook(site)
    menu = [{"href": "/microcosms/1/", "text": "Start"}]
    here: list[tuple[str, str, Any]] = [
        ("POST", "/api/v1/oauth/clients", new),
        ("PUT", at, {"name": "Renamed"}),
        ("POST", f"{at}/secret", None),
        ("DELETE", at, None),
        ("DELETE", f"/api/v1/keys/{key['id']}", None),
        ("DELETE", f"{comment.path}/attachments/{hash}", None),
        ("DELETE", f"{owner.path}/attachments/{hash}", None),
        ("POST", f"/api/v1/webhooks/{hook}/secret", {"keepOld": False}),
    ]
    platform: list[tuple[str, str, Any]] = [
        ("PUT", f"/api/v1/sites/{site.id}", {"title": "Renamed"}),
        ("PUT", f"/api/v1/sites/{site.id}/menu", menu),
        ("DELETE", f"/api/v1/sites/{site.id}/menu", None),
        (
            "POST",
            "/api/v1/sites",
            {"title": "New", "description": "Here", "subdomainKey": f"new{uuid4().hex[:12]}"},
        ),
    ]
    for host, requests in ((site.host, here), ("forum.test", platform)):
        calls = [
            {
                "method": method,
                "path": path,
                "headers": {
                    **HEADERS,
                    "Authorization": f"Bearer {owner.token}",
                    **({"Prefer": form} if form else {}),
                    **({"Content-Type": "application/json"} if body is not None else {}),
                },
                "body": None if body is None else json.dumps(body),
            }
            for method, path, body in requests
        ]
        base = f"http://{host}:{api.address[1]}"
        browser.get(f"{base}/api/v1/site" if origin == "same" else callback.address)
        told = browser.execute_async_script(_SEND, base, calls)

        wrong = [
            (method, path, one)
            for (method, path, _), one in zip(requests, told, strict=True)
            if "failure" in one or one["status"] >= 300
        ]
        assert not wrong


@pytest.mark.wide
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("origin", ORIGINS)
def test_a_page_can_sign_people_in_and_out_and_guard_their_account(
    browser: Chrome, api: Api, make: Factory, site: Site, callback: Callback, origin: str, form: str
) -> None:
    member = site.member
    ended, told_off = make.token(member), make.token(member)
    sessions = api.get("/api/v1/sessions", by=member).data["sessions"]["items"]
    one = next(one["id"] for one in sessions if not one["current"])
    secret = api.post("/api/v1/auth/totp", by=member).data["secret"]
    good: list[tuple[str, str, Any]] = [
        ("DELETE", f"/api/v1/auth/{ended}", None),
        ("DELETE", f"/api/v1/sessions/{one}", None),
        ("PUT", "/api/v1/auth/totp", {"code": pyotp.TOTP(secret).now()}),
        ("POST", "/api/v1/auth/passkeys/begin", None),
        ("POST", "/api/v1/auth/email", {"email": f"{uuid4().hex}@elsewhere.test"}),
        ("DELETE", "/api/v1/sessions?others=true", None),
        ("DELETE", "/api/v1/sessions", None),
    ]
    # Nobody can sign in by these here; the page reads why.
    refused = [
        ("POST", "/api/v1/auth/begin", {"method": "nothing"}),
        ("POST", "/api/v1/auth0", {"code": "nothing"}),
    ]
    go(browser, api, site, callback, origin)

    told = send(
        browser,
        api,
        site,
        [
            {
                "method": method,
                "path": path,
                "headers": {
                    **{name: value for name, value in HEADERS.items() if name != "If-Match"},
                    "Authorization": f"Bearer {ended if ended in path else member.token}",
                    **({"Prefer": form} if form else {}),
                    **({"Content-Type": "application/json"} if body is not None else {}),
                },
                "body": None if body is None else json.dumps(body),
            }
            for method, path, body in [*good, *refused]
        ],
    )

    answers = {one.get("failure") or one["status"] for one in told[: len(good)]}
    assert answers <= {200, 204}, told
    assert all(json.loads(one["text"])["error"] for one in told[len(good) :])
    assert api.get("/api/v1/whoami", headers={"Authorization": f"Bearer {told_off}"}).status == 401
