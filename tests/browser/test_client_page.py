"""A page of another origin as a whole client: it signs in, writes, edits, reacts, uploads, and follows across a cut."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.conftest import Callback
from tests.factories import Factory, Person, Site
from tests.fixtures import Server, running

pytestmark = [pytest.mark.slow, pytest.mark.wide]

# What such a page needs: fetch, FormData and EventSource as they come, and nothing of ours.
_CLIENT = """
const base = arguments[0];
window.told = [];
window.token = "";
window.ask = async (method, path, body, more = {}) => {
  const headers = {...more};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body && !(body instanceof FormData)) headers["Content-Type"] = "application/json";
  const sent = body instanceof FormData ? body : body && JSON.stringify(body);
  const answer = await fetch(base + path, {method, headers, body: sent});
  const {data, error} = await answer.json();
  return {status: answer.status, data, error, tag: answer.headers.get("ETag"), at: answer.headers.get("Location")};
};
window.follow = async topics => {
  const {data} = await ask("POST", "/api/v1/live/tickets");
  const query = new URLSearchParams({documents: "true", ticket: data.ticket});
  for (const topic of topics) query.append("topic", topic);
  window.stream = new EventSource(`${base}/api/v1/live/events?${query}`);
  for (const name of ["hello", "subscribed", "event", "gap", "resync", "unsubscribed", "error", "bye"])
    stream.addEventListener(name, ({data}) => { if (data) told.push(JSON.parse(data)); });
};
window.upload = async () => {
  const form = new FormData();
  form.append("file", new File(["From a page"], "notes.bin"));
  const {data} = await ask("POST", "/api/v1/files", form);
  return data[0].fileHash;
};
window.download = async hash =>
  (await fetch(`${base}/api/v1/files/${hash}`, {headers: {Authorization: `Bearer ${token}`}})).text();
"""


class Page:
    """The page, as somebody who uses it sees it."""

    def __init__(self, browser: Chrome, server: Server, site: Site, callback: Callback) -> None:
        self.browser = browser
        browser.get(callback.address)
        browser.set_script_timeout(60)
        browser.execute_script(_CLIENT, f"http://{site.host}:{server.address[1]}")

    def run(self, call: str, *given: Any) -> Any:
        """Return what a call of the page comes to."""
        return self.browser.execute_async_script(
            f"const done = arguments[arguments.length - 1]; {call.join(('(', ')'))}"
            ".apply(null, [...arguments].slice(0, -1)).then(done, error => done({failure: String(error)}));",
            *given,
        )

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """An answer; it must be a good one."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        found = self.run("ask", method, path, body, sent)
        assert "failure" not in found and found["status"] < 300, found
        return found

    def told(self) -> list[dict[str, Any]]:
        """All frames so far."""
        found: list[dict[str, Any]] = self.browser.execute_script("return told")
        return found

    def until(self, is_so: Any, text: str) -> None:
        """Wait for a frame."""
        WebDriverWait(self.browser, 60).until(
            lambda _: any(is_so(one) for one in self.told()), f"{text}: {self.told()}"
        )

    def until_shown(self, id: int, markdown: str) -> None:
        """Wait until a comment has come with this text."""
        self.until(
            lambda one: (
                one.get("itemId") == id and one.get("document", {}).get("markdown") == markdown
            ),
            markdown,
        )


def sign_in(page: Page, make: Factory, person: Person) -> None:
    """By the code that comes in a mail."""
    path, body = "/api/v1/auth", {"method": "email-code", "email": person.email}
    assert page.ask("POST", path, body)["data"] is None
    ((subject,),) = make.sql(
        "SELECT subject FROM mail_outbox WHERE recipient = %(to)s", to=person.email
    )
    token = page.ask("POST", path, {**body, "code": subject[:8]})["data"]
    page.browser.execute_script("window.token = arguments[0]", token)


def test_a_page_signs_in_writes_and_follows_across_a_cut(
    browser: Chrome, database_url: str, tmp_path: Path, make: Factory, callback: Callback
) -> None:
    site = make.site()
    chat = make.conversation(site)
    shown = {"Prefer": "return=representation"}
    with running(database_url, tmp_path) as server:
        page = Page(browser, server, site, callback)
        sign_in(page, make, site.member)
        assert page.run("follow", [f"conversation/{chat.id}", "updates"]) is None
        page.until(lambda one: one["type"] == "subscribed", "subscribed")

        # Write, edit what was read, react, upload and attach: each answer is the document.
        body = {"itemType": "conversation", "itemId": chat.id, "markdown": "From a page"}
        made = page.ask("POST", "/api/v1/comments", body, Idempotency_Key="once", **shown)
        id, path = made["data"]["id"], made["at"]
        assert (made["status"], path) == (201, f"/api/v1/comments/{id}")
        page.until_shown(id, "From a page")
        change = {"markdown": "Edited", "meta": {"editReason": "why not"}}
        edited = page.ask("PUT", path, change, If_Match=made["tag"], **shown)
        assert edited["data"]["markdown"] == "Edited"
        page.until_shown(id, "Edited")
        # Without a preference a PUT leads to the document.
        assert page.ask("PUT", path, {**change, "markdown": "Again"})["data"]["markdown"] == "Again"
        page.ask("PUT", f"{path}/reactions/like", **shown)
        page.until(
            lambda one: one.get("document", {}).get("meta", {}).get("reactions") == {"like": 1},
            "a reaction",
        )
        hash = page.run("upload")
        page.ask("POST", f"{path}/attachments", {"fileHash": hash}, **shown)
        assert page.run("download", hash) == "From a page"

        # The process goes, and with it every connection; what happens meanwhile is told afterwards.
        master = server.pid
        for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        missed = make.comment(chat, by=site.moderator, markdown="Meanwhile")
        page.until_shown(missed.id, "Meanwhile")
        answer = {**body, "inReplyTo": id, "markdown": "A reply"}
        reply = server.api().post("/api/v1/comments", answer, by=site.moderator)
        page.until_shown(int(reply.location.rpartition("/")[2]), "A reply")
        # It is still the same person, who alone is told of their updates.
        page.until(lambda one: one.get("itemType") == "update", "an update")

    kinds = [one["type"] for one in page.told()]
    assert kinds.count("hello") >= 2
    assert {one["profileId"] for one in page.told() if one["type"] == "hello"} == {site.member.id}
    assert not {"gap", "resync", "unsubscribed", "error"} & set(kinds)
