"""The WebSocket of a site, at a real worker: following, resuming, signing in, and being let go."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.fixtures import Server, running
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


@pytest.mark.wide
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


# ---------------------------------------------------------------- signing in


def test_a_page_signs_in_with_a_sub_protocol_that_is_not_said_back(
    server: Server, make: Factory, site: Site
) -> None:
    offered = f"forumapi.live.v1, bearer.{site.member.token}"
    with Listener(server.address, site, headers={"Sec-WebSocket-Protocol": offered}) as there:
        assert there.headers["sec-websocket-protocol"] == "forumapi.live.v1"
        assert there.hello["profileId"] == site.member.id


def test_a_ticket_opens_one_connection(server: Server, api: Api, site: Site, trains: Site) -> None:
    ticket = api.post("/api/v1/live/tickets", by=site.member).data["ticket"]

    assert Listener(server.address, trains, query=f"?ticket={ticket}").answer == 401
    with Listener(server.address, site, query=f"?ticket={ticket}") as there:
        assert there.hello["profileId"] == site.member.id
    assert Listener(server.address, site, query=f"?ticket={ticket}").answer == 401


def test_a_token_in_the_address_is_refused(server: Server, site: Site) -> None:
    query = f"?access_token={site.member.token}"
    assert Listener(server.address, site, query=query).answer == 400


@pytest.mark.parametrize(
    ("origin", "answer"),
    [
        ("https://{host}", 101),
        ("http://forum.test", 101),
        ("http://{host}:{port}", 101),
        ("http://{host}:1", 403),
        ("http://forum.test:1", 403),
        ("ftp://{host}", 403),
        ("{host}", 403),
        ("https://evil.example", 403),
        ("https://{host}.evil.example", 403),
        ("null", 403),
    ],
)
def test_a_browser_connects_from_pages_of_the_site_alone(
    server: Server, site: Site, origin: str, answer: int
) -> None:
    sent = {"Origin": origin.format(host=site.host, port=server.address[1])}
    with Listener(server.address, site, site.member, headers=sent) as there:
        assert there.answer == answer


def test_over_tls_a_page_without_it_is_of_another_origin(
    database_url: str, tmp_path: Path, make: Factory
) -> None:
    plain = make.site(domain="plain.example")
    forced = make.site(domain="forced.example", forceSSL=True)
    settings = {"public_scheme": "https", "realtime_origins": "partner.example"}
    with running(database_url, tmp_path, **settings) as secure:
        for site, origin, answer in (
            (plain, f"https://{plain.host}", 101),
            (plain, f"http://{plain.host}", 403),
            (plain, "https://plain.example", 101),
            (plain, "http://plain.example", 101),
            (plain, "http://plain.example:81", 403),
            (forced, "http://forced.example", 403),
            (forced, "https://forced.example", 101),
            (forced, "http://partner.example:8080", 101),
        ):
            with Listener(secure.address, site, headers={"Origin": origin}) as there:
                assert there.answer == answer, origin


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Upgrade": ""}, 426),
        ({"Connection": "keep-alive"}, 426),
        ({"Authorization": "Bearer nobody"}, 401),
    ],
)
def test_a_handshake_that_is_not_one_is_refused_in_the_usual_way(
    server: Server, site: Site, headers: dict[str, str], answer: int
) -> None:
    with Listener(server.address, site, headers=headers) as there:
        assert there.answer == answer


def test_whoever_is_banned_gets_no_connection(server: Server, site: Site) -> None:
    assert Listener(server.address, site, site.banned).answer == 403


def test_a_limited_token_is_told_of_what_its_scopes_are_for(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    make.sql(
        "UPDATE access_tokens SET scopes = '{live:read,conversations:read}' WHERE user_id = %(user)s",
        user=site.newcomer.user_id,
    )
    chat = make.conversation(site)
    with Listener(server.address, site, site.newcomer) as there:
        assert there.follow("huddles")["status"] == 403
        there.follow("site")
        write(api, chat.path, site.moderator)
        second = api.post(
            "/api/v1/conversations",
            {"microcosmId": site.root_id, "title": "Another"},
            by=site.moderator,
        )
        told = there.next("event")
        while told["href"] != second.location:
            assert told["itemType"] == "conversation"
            told = there.next("event")


# ---------------------------------------------------------------- losing rights


def test_whoever_signs_out_is_let_go(server: Server, make: Factory, site: Site, api: Api) -> None:
    person = make.person(site)
    with Listener(server.address, site, person) as there:
        there.follow("site")
        assert api.delete(f"/api/v1/auth/{person.token}", by=person).status == 200

        assert there.next("bye")["reason"] == "signedOut"
        assert there.close_code() == 4001


def test_whoever_is_banned_is_let_go(server: Server, make: Factory, site: Site) -> None:
    person = make.person(site)
    with Listener(server.address, site, person) as there:
        began = time.monotonic()
        make.ban(person)

        assert there.next("bye")["reason"] == "banned"
        assert time.monotonic() - began < 5.0
        assert there.close_code() == 4003


@pytest.mark.wide
def test_a_token_that_expires_ends_its_connections(
    server: Server, make: Factory, site: Site
) -> None:
    person = make.person(site)
    # A machine that needs longer than a second to connect gets more.
    for left_s in (1, 5, 9):
        make.sql(
            "UPDATE access_tokens SET expires = now() + make_interval(secs => %(s)s) WHERE user_id = %(user)s",
            s=left_s,
            user=person.user_id,
        )
        with Listener(server.address, site, person) as there:
            if there.answer == 101:
                assert there.next("bye")["reason"] == "signedOut"
                return
    pytest.fail("it never was valid")


def test_what_was_lost_before_an_event_is_lost_for_it(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    inside = make.person(site)
    place = make.microcosm(site)
    role = make.role(site, place.id, "Insiders", rights=("read", "create"))
    make.join(role, inside, site.moderator)
    chat = make.conversation(site, microcosm=place, by=site.owner)
    with Listener(server.address, site, inside) as there:
        assert there.follow(f"conversation/{chat.id}")["type"] == "subscribed"
        first = write(api, chat.path, site.owner, "Before")
        assert there.comments(1) == [first]
        role_path = f"/api/v1/microcosms/{place.id}/roles/{role[1]}/profiles/{inside.id}"
        assert api.delete(role_path, by=site.owner).status == 200
        write(api, chat.path, site.owner, "After")

        ended = there.next("unsubscribed")
        assert (ended["topics"], ended["reason"]) == ([f"conversation/{chat.id}"], "forbidden")
        assert not [one for one in there.seen if one["type"] == "event"]


def test_whoever_leaves_a_huddle_hears_no_more_of_it(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    huddle = make.huddle(site.owner, site.member, site.newcomer)
    with Listener(server.address, site, site.newcomer) as there:
        assert there.follow(f"huddle/{huddle.id}")["type"] == "subscribed"
        assert there.follow("huddles")["type"] == "subscribed"
        first = write(api, huddle.path, site.owner, "Still here?")
        assert there.comments(1) == [first]
        gone = api.delete(f"{huddle.path}/participants/{site.newcomer.id}", by=site.newcomer)
        assert gone.status == 200, gone.body
        write(api, huddle.path, site.owner, "Between us")

        assert there.next("unsubscribed")["topics"] == [f"huddle/{huddle.id}"]
        assert not [one for one in there.seen if one.get("itemType") == "comment"]


def test_the_owner_of_a_site_is_told_nothing_of_huddles_of_others(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    huddle = make.huddle(site.member, site.newcomer)
    with Listener(server.address, site, site.owner) as there:
        there.follow("site")
        there.follow("huddles")
        write(api, huddle.path, site.member, "Secret")
        chat = make.conversation(site)
        shown = write(api, chat.path, site.member, "Open")

        assert there.comments(1) == [shown]
        assert not [one for one in there.seen if "huddle" in one.get("href", "")]


# ---------------------------------------------------------------- what is told


def test_something_that_was_hidden_is_told_of_as_gone_and_to_moderators_as_it_is(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    with (
        Listener(server.address, site, site.member) as reader,
        Listener(server.address, site, site.moderator) as moderator,
    ):
        for there in (reader, moderator):
            there.follow(f"conversation/{chat.id}")
        id = write(api, chat.path, site.newcomer, "Rude")
        for there in (reader, moderator):
            assert there.comments(1) == [id]
        api.patch(f"/api/v1/comments/{id}", ("moderated", True), by=site.moderator)

        gone, kept = reader.next("event"), moderator.next("event")
        assert (gone["kind"], gone["itemId"], "version" in gone) == ("deleted", id, False)
        assert (kept["kind"], kept["itemId"], kept["version"]) == ("patched", id, 2)


def test_documents_are_those_of_rest(server: Server, api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site)
    with Listener(server.address, site, site.member) as there:
        there.follow(f"conversation/{chat.id}", documents=True)
        write(api, chat.path, site.moderator, "With *all* of it")
        told = there.next("event")
        while told["itemType"] != "comment":
            told = there.next("event")
    shown = api.get(chat.path, by=site.member).data["comments"]["items"][-1]
    # A document is the same for everybody.
    shown["meta"]["flags"]["unread"] = False
    del shown["meta"]["permissions"]

    assert told["document"] == shown


def test_comments_of_ignored_people_are_not_told(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    me, loud = make.person(site), make.person(site)
    chat = make.conversation(site)
    with Listener(server.address, site, me) as there:
        there.follow(f"conversation/{chat.id}")
        make.ignore(me, loud)
        write(api, chat.path, loud, "Me me me")
        shown = write(api, chat.path, site.member, "Quiet")

        assert there.comments(1) == [shown]


def test_another_site_is_told_nothing(
    server: Server, api: Api, make: Factory, site: Site, trains: Site
) -> None:
    chat, other = make.conversation(site), make.conversation(trains)
    with Listener(server.address, trains, trains.owner) as there:
        assert there.follow(f"conversation/{chat.id}")["status"] == 403
        there.follow("site")
        write(api, chat.path, site.member, "Here")
        shown = write(api, other.path, trains.member, "There")

        assert there.comments(1) == [shown]


def test_a_cursor_of_another_site_or_a_made_up_one_is_answered_with_resync(
    server: Server, api: Api, make: Factory, site: Site, trains: Site
) -> None:
    with Listener(server.address, trains, trains.member) as other:
        foreign = other.hello["cursor"]
    with Listener(server.address, site, site.member) as there:
        for cursor in (foreign, "A" * 22, "nonsense"):
            there.seen.clear()
            there.follow("site", cursor=cursor)
            assert [one["type"] for one in there.seen if "reason" in one] == ["resync"], cursor


def test_what_is_kept_no_longer_is_said_with_what_heals_it(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    with Listener(server.address, site, site.member) as there:
        there.follow(f"conversation/{chat.id}")
        first = write(api, chat.path, site.member, "One")
        assert there.comments(1) == [first]
        cursor = there.cursor
        ids = [write(api, chat.path, site.member, f"Lost {n}") for n in range(3)]
        assert there.comments(3) == ids
    make.sql(
        """DELETE FROM event_sequence q USING event_log e
            WHERE e.site_id = q.site_id AND e.event_id = q.event_id AND q.site_id = %(site)s
              AND e.item_type_id = 4 AND e.item_id = ANY(%(ids)s) RETURNING 1""",
        site=site.id,
        ids=ids[:2],
    )
    with Listener(server.address, site, site.member) as again:
        again.follow(f"conversation/{chat.id}", cursor=cursor)
        gap = next(one for one in again.seen if one["type"] == "gap")

        assert (gap["topic"], gap["href"]) == (f"conversation/{chat.id}", chat.path)
        assert again.comments(1) == ids[2:]


def test_a_gap_is_told_in_its_place_among_what_is_kept(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    with Listener(server.address, site, site.member) as there:
        there.follow(f"conversation/{chat.id}")
        cursor = there.cursor
        ids = [write(api, chat.path, site.member, f"Word {n}") for n in range(4)]
        assert there.comments(4) == ids
    make.sql(
        """DELETE FROM event_sequence q USING event_log e
            WHERE e.site_id = q.site_id AND e.event_id = q.event_id AND q.site_id = %(site)s
              AND e.item_type_id = 4 AND e.item_id = ANY(%(ids)s) RETURNING 1""",
        site=site.id,
        ids=ids[1:3],
    )
    with Listener(server.address, site, site.member) as again:
        again.follow(f"conversation/{chat.id}", cursor=cursor)
        told = [
            one.get("itemId", one["type"])
            for one in again.seen
            if one["type"] == "gap" or one.get("itemType") == "comment"
        ]

    # Whoever is cut in the middle goes on from the cursor of the last frame.
    assert told == [ids[0], "gap", ids[3]]


def test_each_page_says_from_where_to_follow_it(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    seen: list[int] = []
    for n in range(5):
        seen.append(write(api, chat.path, site.member, f"Number {n}"))
    page = api.get(chat.path, by=site.newcomer)
    shown = [one["id"] for one in page.data["comments"]["items"]]
    later = [write(api, chat.path, site.member, f"Later {n}") for n in range(3)]

    assert shown == seen
    with Listener(server.address, site, site.newcomer) as there:
        there.follow(f"conversation/{chat.id}", cursor=page.headers["Live-Cursor"])
        told = there.comments(3)
        while told[-1] != later[-1]:
            told += there.comments(1)
        # What is shown already may come again; what is not shown comes, once.
        assert told[-3:] == later
        assert set(told[:-3]) <= set(seen)
