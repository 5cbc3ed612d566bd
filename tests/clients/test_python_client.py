"""The Python client on a real server: reading, pages, writing, errors, files, sign-in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api import Api
from tests.factories import Factory

Clients = Callable[..., Any]


@pytest.mark.wide
def test_a_conversation_is_read_without_its_envelope(make: Factory, client: Clients) -> None:
    site = make.site()
    chat = make.conversation(site)

    found = client(site, site.member).conversations.get(chat.id)

    assert found.id == chat.id and found.microcosmId == site.root_id
    assert found.meta.permissions.read is True
    assert found.meta.flags.ignored is None
    assert type(found).__name__ == "Conversation"


def test_pages_go_on_by_themselves(make: Factory, client: Clients, api: Api) -> None:
    site = make.site()
    chat = make.conversation(site)
    texts = [f"Number {number}" for number in range(12)]
    for text in texts:
        make.comment(chat, markdown=text)
    reader = client(site)

    conversation = reader.conversations.get(chat.id, limit=5)

    assert [comment.markdown for comment in conversation.comments()] == texts
    assert len(conversation.comments.items) == 5 and conversation.comments.total == 12
    assert [one.id for one in reader.conversations.list(limit=5)] == [chat.id]


def test_a_write_gives_the_document_and_is_done_once(make: Factory, client: Clients) -> None:
    site = make.site()
    member = client(site, site.member)

    made = member.conversations.create(
        {"microcosmId": site.root_id, "title": "From Python"}, idempotency_key="one"
    )
    again = member.conversations.create(
        {"microcosmId": site.root_id, "title": "From Python"}, idempotency_key="one"
    )
    comment = member.comments.create(
        {"itemType": "conversation", "itemId": made.id, "markdown": "*Hello*"}
    )
    changed = member.comments.update(
        comment.id, {"markdown": "Hello", "meta": {"editReason": "calmer"}}
    )

    assert made.title == "From Python" and again.id == made.id
    assert comment.html.strip() == "<p><em>Hello</em></p>" and changed.markdown == "Hello"
    assert member.comments.delete(comment.id) is None


def test_errors_are_types_by_status_and_by_code(
    make: Factory, client: Clients, package: Any
) -> None:
    site = make.site()
    chat = make.conversation(site)
    guest = client(site)

    with pytest.raises(package.Forbidden) as forbidden:
        guest.conversations.create({"microcosmId": site.root_id, "title": "No"})
    with pytest.raises(package.OutOfRangeError) as range_:
        guest.conversations.get(chat.id, limit=7)
    with pytest.raises(package.TokenInvalidError) as token:
        client(site, token="fapi-nothing").whoami.get()

    assert isinstance(forbidden.value, package.NoCreateError) and forbidden.value.code == 10
    assert isinstance(range_.value, package.BadRequest) and "limit" in str(range_.value)
    assert token.value.status == 401 and token.value.request_id
