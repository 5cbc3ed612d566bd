"""The WebSocket of a site, at a real worker: following, resuming, signing in, and being let go."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.fixtures import Server
from tests.realtime.listener import Listener

Listen = Callable[..., Listener]


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


def write(api: Api, path: str, by: Person, text: str = "Hello") -> int:
    """A comment by REST; its id."""
    kind, id = path.split("/")[-2:]
    made = api.post(
        "/api/v1/comments",
        {"itemType": kind.rstrip("s"), "itemId": int(id), "markdown": text},
        by=by,
    )
    assert made.status == 302, made.body
    return int(made.location.rsplit("/", 1)[1])


def test_whoever_follows_a_conversation_is_told_of_each_comment(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    with Listener(server.address, site, site.member) as there:
        assert there.hello["type"] == "hello"
        assert there.follow(f"conversation/{chat.id}")["type"] == "subscribed"
        ids = [write(api, chat.path, site.moderator, f"Word {n}") for n in range(3)]

        assert there.comments(3) == ids
        write(api, chat.path, site.moderator, "Last")
        last = there.next("event")
        assert (last["parentType"], last["parentId"], last["version"]) == (
            "conversation",
            chat.id,
            1,
        )


def test_a_client_that_was_cut_misses_nothing(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    with Listener(server.address, site, site.member) as there:
        there.follow(f"conversation/{chat.id}")
        first = write(api, chat.path, site.moderator, "First")
        assert there.comments(1) == [first]
        cursor = there.cursor
    ids = [write(api, chat.path, site.moderator, f"Missed {n}") for n in range(2)]

    with Listener(server.address, site, site.member) as again:
        again.follow(f"conversation/{chat.id}", cursor=cursor)
        ids.append(write(api, chat.path, site.moderator, "Live"))

        assert again.comments(3) == ids


def test_what_one_may_not_read_can_not_be_followed(
    server: Server, make: Factory, site: Site
) -> None:
    huddle = make.huddle(site.moderator, site.owner)
    with Listener(server.address, site, site.member) as there:
        for topic in (f"huddle/{huddle.id}", "conversation/987654321"):
            refused = there.follow(topic)
            assert (refused["type"], refused["status"]) == ("error", 403), topic
