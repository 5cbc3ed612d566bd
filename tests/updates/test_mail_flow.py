"""From a comment to a mail, through every part as it runs: API, event log, dispatch, outbox, mailbox."""

from __future__ import annotations

import email
import email.policy
import time
from email.message import EmailMessage
from urllib.parse import urlsplit

import pytest

from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.fixtures import Server
from tests.services import mailed


def mails(server: Server, person: Person) -> list[EmailMessage]:
    """Return what lies in the mailboxes of the embedded mode for somebody."""
    found = []
    for path in mailed(server.log.parent):
        made = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        assert isinstance(made, EmailMessage)
        if made["To"] == person.email:
            found.append(made)
    return found


def wait(server: Server, person: Person, count: int) -> list[EmailMessage]:
    """The mails of somebody once there are so many."""
    deadline = time.monotonic() + 30
    while True:
        found = mails(server, person)
        if len(found) >= count or time.monotonic() > deadline:
            assert len(found) == count
            return found
        time.sleep(0.05)


@pytest.mark.wide
@pytest.mark.slow
def test_a_reply_is_mailed_until_the_link_in_the_mail_ends_it(
    api: Api, server: Server, make: Factory
) -> None:
    site: Site = make.site()
    ana, bob = site.newcomer, site.member
    assert api.put("/api/v1/updates/preferences/2", {"sendEmail": True}, by=ana).status == 302
    chat = make.conversation(site, by=ana)
    mine = make.comment(chat, by=ana)

    def answer(text: str) -> None:
        sent = {
            "itemType": "conversation",
            "itemId": chat.id,
            "inReplyTo": mine.id,
            "markdown": text,
        }
        assert api.post("/api/v1/comments", sent, by=bob).status == 302

    answer("First answer")
    (first,) = wait(server, ana, 1)
    assert "First answer" in str(first.get_body(("html",)))
    link = urlsplit(first["List-Unsubscribe"].strip("<>"))
    assert link.netloc.partition(":")[0] == site.host

    done = api.post(f"{link.path}?{link.query}", form={"List-Unsubscribe": "One-Click"}, site=site)
    assert done.status == 200
    assert not api.get("/api/v1/updates/preferences/2", by=ana).data["sendEmail"]
    answer("Second answer")
    # Bob asks for the same, and is told after it: by then the second answer was dispatched.
    api.put("/api/v1/updates/preferences/2", {"sendEmail": True}, by=bob)
    his = make.comment(chat, by=bob)
    sent = {"itemType": "conversation", "itemId": chat.id, "inReplyTo": his.id, "markdown": "Third"}
    assert api.post("/api/v1/comments", sent, by=ana).status == 302
    wait(server, bob, 1)
    assert len(mails(server, ana)) == 1
