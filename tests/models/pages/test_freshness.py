"""Tests of what one worker changed is so on every other: at once for members, within a second for guests
(architecture, guests).

Two web processes on one database; no cron process runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from forumapi.config import Config
from forumapi.models.microcosms.microcosm import Microcosm
from forumapi.models.people.ban import Ban
from forumapi.wsgi import create_app
from tests.api import Api, Response
from tests.factories import RIGHTS, Factory, Person, Site, Thing
from tests.fixtures import PLATFORM_DOMAIN
from tests.handlers.platform import WsgiApi

pytestmark = pytest.mark.slow

GUESTS_S = 1.0
# An answer is worked out a moment after it was asked for.
SLACK_S = 0.3


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


class Warm:
    """A place and a conversation that both processes know already, as guest and as member."""

    def __init__(self, api: Api, there: Api, make: Factory, site: Site) -> None:
        self.reader: Person = make.person(site)
        self.place: Thing = make.microcosm(site)
        self.chat: Thing = make.conversation(site, microcosm=self.place)
        self.comment: Thing = make.comment(self.chat)
        for client in (api, there):
            for by in (None, self.reader):
                for path in (self.chat.path, self.place.path, "/api/v1/microcosms"):
                    assert client.get(path, site=site, by=by).status == 200


@pytest.fixture
def warm(api: Api, there: Api, make: Factory, site: Site) -> Warm:
    """See Warm."""
    return Warm(api, there, make, site)


def soon(ask: Callable[[], Response], is_right: Callable[[Response], bool]) -> float:
    """Seconds until the last question that was answered wrong, however long the answers take; 0 if none was."""
    began, wrong = time.monotonic(), 0.0
    while True:
        asked = time.monotonic() - began
        if is_right(ask()):
            return wrong
        assert asked < 30, "never"
        wrong = asked
        time.sleep(0.01)


def status_is(status: int) -> Callable[[Response], bool]:
    """True for an answer of this status."""
    return lambda answer: answer.status == status


# ---------------------------------------------------------------- members: the next request


@pytest.mark.wide
def test_a_ban_and_its_end_hold_on_the_next_request(
    there: Api, make: Factory, site: Site, warm: Warm
) -> None:
    with make.database.write() as tx:
        ban_id = Ban.insert(tx, warm.reader.user_id, site_id=site.id, display_reason="Enough")

    refused = there.get(warm.chat.path, by=warm.reader)
    assert refused.status == 403
    assert refused.code == 13
    assert refused.error == "Enough"
    with make.database.write() as tx:
        assert Ban.delete(tx, site.id, ban_id)
    assert there.get(warm.chat.path, by=warm.reader).status == 200


@pytest.mark.wide
def test_a_revoked_token_is_worth_nothing_on_the_next_request(
    api: Api, there: Api, site: Site, warm: Warm
) -> None:
    assert api.delete("/api/v1/auth", by=warm.reader).status == 200

    refused = there.get(warm.chat.path, by=warm.reader)
    assert refused.status == 401
    assert refused.code == 7


def test_a_role_gained_and_lost_holds_on_the_next_request(
    there: Api, make: Factory, site: Site, warm: Warm
) -> None:
    assert there.delete(warm.comment.path, by=warm.reader).status == 403
    role = make.role(site, warm.place.id, "Keepers", moderator=True, rights=RIGHTS)

    make.join(role, warm.reader)
    assert there.get(warm.chat.path, by=warm.reader).data["meta"]["permissions"]["moderator"]
    assert there.delete(warm.comment.path, by=warm.reader).status == 200
    set_right(make, role, "is_moderator = false, can_delete = false, can_update = false")
    shown = there.get(warm.chat.path, by=warm.reader).data["meta"]["permissions"]
    assert not shown["moderator"]
    assert not shown["delete"]


def set_right(make: Factory, role: tuple[Site, int], change: str) -> None:
    """Change a role as its route will."""
    site, role_id = role
    with make.database.write() as tx:
        Microcosm.lock_tree(tx, site.id)
    make.sql(
        f"UPDATE roles SET {change} WHERE site_id = %(s)s AND role_id = %(r)s",
        s=site.id,
        r=role_id,
    )
    with make.database.write() as tx:
        Microcosm.lock_tree(tx, site.id)


def test_a_role_that_shuts_members_out_holds_on_the_next_request(
    there: Api, make: Factory, site: Site, warm: Warm
) -> None:
    # With a regular role of its own, the inherited ones are switched off.
    role = make.role(site, warm.place.id, "Insiders", rights=("read",))

    for path in (warm.chat.path, warm.place.path, warm.comment.path):
        assert there.get(path, by=warm.reader).status == 403
    listed = there.get("/api/v1/conversations", by=warm.reader).data["conversations"]["items"]
    assert warm.chat.id not in [one["id"] for one in listed]
    assert there.get(warm.chat.path, by=site.member).status == 200  # its author
    make.join(role, warm.reader)
    assert there.get(warm.chat.path, by=warm.reader).status == 200


@pytest.mark.wide
def test_a_hidden_microcosm_is_hidden_on_the_next_request(
    api: Api, there: Api, site: Site, warm: Warm
) -> None:
    for flag in ("deleted", "moderated"):
        assert api.patch(warm.place.path, (flag, True), by=site.owner).status == 200
        for path in (warm.chat.path, warm.place.path, warm.comment.path):
            assert there.get(path, by=warm.reader).status == 404
        refused = there.post(
            "/api/v1/comments",
            {"itemType": "conversation", "itemId": warm.chat.id, "markdown": "too late"},
            by=warm.reader,
        )
        assert refused.status == 404
        assert api.patch(warm.place.path, (flag, False), by=site.owner).status == 200
        assert there.get(warm.chat.path, by=warm.reader).status == 200


def test_a_closed_conversation_is_closed_on_the_next_request(
    api: Api, there: Api, site: Site, warm: Warm
) -> None:
    assert api.patch(warm.chat.path, ("open", False), by=site.moderator).status == 200

    refused = there.post(
        "/api/v1/comments",
        {"itemType": "conversation", "itemId": warm.chat.id, "markdown": "too late"},
        by=warm.reader,
    )
    assert refused.status == 403
    assert refused.code == 10


def test_a_renamed_site_and_a_deleted_one_are_so_on_the_next_request(
    api: Api, there: Api, site: Site, warm: Warm
) -> None:
    assert there.get("/api/v1/site", by=warm.reader).data["title"] != "Renamed"
    assert api.put("/api/v1/site", {"title": "Renamed"}, by=site.owner).status == 302
    assert there.get("/api/v1/site", by=warm.reader).data["title"] == "Renamed"

    gone = {"meta": {"flags": {"deleted": True}}}
    assert api.put("/api/v1/site", gone, by=site.owner).status == 302
    assert there.get("/api/v1/site", by=warm.reader).status == 404
    assert there.get(warm.chat.path, by=warm.reader).status == 404


def role_of(api: Api, warm: Warm, by: Person, **sent: object) -> str:
    """The address of a new role of the warm place."""
    made = api.post(f"{warm.place.path}/roles", {"title": "Insiders", **sent}, by=by)
    assert made.status == 302
    return made.location


def opens(client: Api, warm: Warm) -> bool:
    """Return whether the warm place is open to its reader, and so is what stands in it."""
    statuses = {
        client.get(path, by=warm.reader).status for path in (warm.place.path, warm.chat.path)
    }
    assert len(statuses) == 1
    return statuses == {200}


@pytest.mark.wide
def test_each_change_of_a_role_holds_on_the_next_request(
    api: Api, there: Api, site: Site, warm: Warm
) -> None:
    role = role_of(api, warm, site.owner, read=True)
    assert not opens(there, warm)
    for flag, value, is_open in (
        ("/includeUsers", True, True),
        ("/read", False, False),
        ("/read", True, True),
        ("/banned", True, False),
        ("/banned", False, True),
        ("/includeUsers", False, False),
    ):
        assert api.patch(role, (flag, value), by=site.owner).status == 200
        assert opens(there, warm) is is_open, (flag, value)
    assert api.put(role, {"includeUsers": True}, by=site.owner).status == 302
    assert opens(there, warm)
    assert api.put(role, {"read": False}, by=site.owner).status == 302
    assert not opens(there, warm)
    assert api.delete(role, by=site.owner).status == 200
    assert opens(there, warm)


@pytest.mark.wide
def test_each_change_of_members_holds_on_the_next_request(
    api: Api, there: Api, site: Site, warm: Warm
) -> None:
    role = role_of(api, warm, site.owner, read=True)
    me = [{"id": warm.reader.id}]
    for method, path, body, is_open in (
        ("PUT", f"{role}/profiles", me, True),
        ("DELETE", f"{role}/profiles", me, False),
        ("PUT", f"{role}/profiles/{warm.reader.id}", None, True),
        ("DELETE", f"{role}/profiles", [], False),
        ("PUT", f"{role}/profiles", me, True),
        ("DELETE", f"{role}/profiles/{warm.reader.id}", None, False),
    ):
        assert api.request(method, path, json=body, by=site.owner).status in (200, 302)
        assert opens(there, warm) is is_open, (method, path)


@pytest.mark.wide
def test_each_change_of_criteria_and_of_what_they_ask_holds_on_the_next_request(
    api: Api, there: Api, site: Site, warm: Warm
) -> None:
    role = role_of(api, warm, site.owner, read=True)
    sent = {"profileColumn": "commentCount", "predicate": "ge", "value": 1}
    made = api.post(f"{role}/criteria", sent, by=site.owner)
    assert not opens(there, warm)
    hello = {"itemType": "profile", "itemId": warm.reader.id, "markdown": "Hello"}
    comment = api.post("/api/v1/comments", hello, by=warm.reader)
    assert opens(there, warm)
    assert api.delete(comment.location, by=warm.reader).status == 200
    assert not opens(there, warm)
    assert api.put(made.location, {"value": 0}, by=site.owner).status == 302
    assert opens(there, warm)
    assert api.delete(made.location, by=site.owner).status == 200
    assert not opens(there, warm)
    gender = {"profileColumn": "gender", "predicate": "eq", "value": "x"}
    assert api.post(f"{role}/criteria", gender, by=site.owner).status == 302
    assert api.put(warm.reader.path, {"gender": "x"}, by=warm.reader).status == 302
    assert opens(there, warm)
    assert api.request("DELETE", f"{role}/criteria", json=[], by=site.owner).status == 200
    assert not opens(there, warm)


def test_a_moderator_gained_and_lost_moderates_on_the_next_request(
    api: Api, there: Api, site: Site, warm: Warm
) -> None:
    role = role_of(api, warm, site.owner, title="Keepers", moderator=True, update=True)
    mine = f"{role}/profiles/{warm.reader.id}"
    for _ in range(2):
        assert there.patch(warm.chat.path, ("sticky", True), by=warm.reader).status == 403
        assert there.get(f"{role}/members", by=warm.reader).status == 403
        assert api.put(mine, by=site.owner).status == 302
        assert there.patch(warm.chat.path, ("sticky", True), by=warm.reader).status == 200
        assert there.get(f"{role}/members", by=warm.reader).status == 200
        assert api.delete(mine, by=site.owner).status == 200


def test_a_microcosm_that_moves_takes_on_its_new_parents_roles_on_the_next_request(
    api: Api, there: Api, make: Factory, site: Site, warm: Warm
) -> None:
    shut = make.microcosm(site)
    make.role(site, shut.id, "Nobody", rights=("read",))
    moves = {"meta": {"editReason": "tidying"}}
    for parent, is_open in ((shut.id, False), (site.root_id, True)):
        sent = {"parentId": parent, **moves}
        assert api.put(warm.place.path, sent, by=site.owner).status == 302
        assert opens(there, warm) is is_open


# ---------------------------------------------------------------- guests: within a second


def test_guests_see_a_change_of_the_tree_within_a_second(
    api: Api, there: Api, site: Site, warm: Warm
) -> None:
    def look() -> Response:
        return there.get(warm.chat.path, site=site)

    assert api.patch(warm.place.path, ("deleted", True), by=site.owner).status == 200
    assert soon(look, status_is(404)) < GUESTS_S + SLACK_S
    assert api.patch(warm.place.path, ("deleted", False), by=site.owner).status == 200
    assert soon(look, status_is(200)) < GUESTS_S + SLACK_S


@pytest.mark.wide
def test_guests_are_shut_out_within_a_second(
    there: Api, make: Factory, site: Site, warm: Warm
) -> None:
    make.role(site, warm.place.id, "Insiders", rights=("read",))

    assert soon(lambda: there.get(warm.chat.path, site=site), status_is(403)) < GUESTS_S + SLACK_S


def test_guests_are_let_in_and_put_out_by_roles_within_a_second(
    api: Api, there: Api, site: Site, warm: Warm
) -> None:
    def look() -> Response:
        return there.get(warm.chat.path, site=site)

    role = role_of(api, warm, site.owner, read=True)
    assert soon(look, status_is(403)) < GUESTS_S + SLACK_S
    assert api.patch(role, ("/includeGuests", True), by=site.owner).status == 200
    assert soon(look, status_is(200)) < GUESTS_S + SLACK_S
    assert api.patch(role, ("/read", False), by=site.owner).status == 200
    assert soon(look, status_is(403)) < GUESTS_S + SLACK_S
    assert api.delete(role, by=site.owner).status == 200
    assert soon(look, status_is(200)) < GUESTS_S + SLACK_S


def test_guests_see_a_changed_site_within_a_second(
    api: Api, there: Api, site: Site, warm: Warm
) -> None:
    def look() -> Response:
        return there.get("/api/v1/site", site=site)

    look()
    assert api.put("/api/v1/site", {"title": "Renamed"}, by=site.owner).status == 302
    assert soon(look, lambda got: got.data["title"] == "Renamed") < GUESTS_S + SLACK_S
    gone = {"meta": {"flags": {"deleted": True}}}
    assert api.put("/api/v1/site", gone, by=site.owner).status == 302
    assert soon(look, status_is(404)) < GUESTS_S + SLACK_S


def test_guests_are_shown_at_once_what_was_written_by_the_same_process(
    api: Api, make: Factory, site: Site
) -> None:
    place = make.microcosm(site)
    assert api.get(place.path, site=site).status == 200
    for number in range(10):
        title = f"Renamed {number}"
        assert api.put("/api/v1/site", {"title": title}, by=site.owner).status == 302
        assert api.get("/api/v1/site", site=site).data["title"] == title
        # What may be read, too.
        is_gone = bool(number % 2)
        assert api.patch(place.path, ("deleted", is_gone), by=site.owner).status == 200
        assert api.get(place.path, site=site).status == (404 if is_gone else 200)


def test_a_write_wakes_the_other_processes(api: Api, site: Site, database_url: str) -> None:
    config = Config(
        environment="embedded",
        platform_domain=PLATFORM_DOMAIN,
        rate_limit_address_per_minute=0,
        crawl_budget_per_minute=0,
        site_poll_ms=600_000,
    )
    application = create_app(config, database_url)
    client = WsgiApi(application)
    # By itself it looks when the test is long over.
    application.app.sites.start()
    application.app.sequencer.start()
    try:
        # For a second after it has looked a read asks for no versions: what is seen within it, somebody else has told.
        # On a machine that is busy for so long a try says nothing.
        for number in range(10):
            title = f"Renamed {number}"
            # The name of its host is known again after it has changed.
            client.get("/api/v1/site", host=site.host)
            looked = time.monotonic()
            application.app.sites.poll()
            assert api.put("/api/v1/site", {"title": title}, by=site.owner).status == 302
            while client.get("/api/v1/site", host=site.host).data["title"] != title:
                time.sleep(0.005)
            if time.monotonic() - looked < GUESTS_S:
                return
        raise AssertionError("nobody woke it")
    finally:
        application.app.sequencer.stop()
        application.app.sites.stop()
        application.app.database.close()


@pytest.mark.wide
def test_guests_are_told_right_where_the_poll_is_dead(
    api: Api, make: Factory, site: Site, warm: Warm, database_url: str
) -> None:
    config = Config(
        environment="embedded", platform_domain=PLATFORM_DOMAIN, rate_limit_address_per_minute=0
    )
    # Never started, so nothing in it asks what changed.
    application = create_app(config, database_url)
    client = WsgiApi(application)
    assert client.get(warm.chat.path, host=site.host).status == 200

    assert api.patch(warm.place.path, ("deleted", True), by=site.owner).status == 200
    after = soon(lambda: client.get(warm.chat.path, host=site.host), status_is(404))
    application.app.database.close()

    assert after < GUESTS_S + SLACK_S


def test_what_is_in_no_list_of_the_poll_guests_see_at_once(
    api: Api, there: Api, site: Site, warm: Warm
) -> None:
    # Items and comments are read from their rows: nothing of them is guarded by time.
    for flag in ("deleted", "moderated"):
        assert api.patch(warm.comment.path, (flag, True), by=site.moderator).status == 200
        assert there.get(warm.chat.path, site=site).data["comments"]["total"] == 0
        assert there.get(warm.comment.path, site=site).status == 404
        assert api.patch(warm.comment.path, (flag, False), by=site.moderator).status == 200
        assert there.get(warm.chat.path, site=site).data["comments"]["total"] == 1
    assert api.delete(warm.chat.path, by=site.moderator).status == 200
    assert there.get(warm.chat.path, site=site).status == 404


# ---------------------------------------------------------------- reading what was just written


@pytest.mark.wide
def test_a_write_is_read_on_the_other_worker_at_once(
    api: Api, there: Api, site: Site, warm: Warm
) -> None:
    here, yonder = api, there
    path, reader = warm.chat.path, warm.reader
    for number in range(10):
        made = here.post(
            "/api/v1/comments",
            {"itemType": "conversation", "itemId": warm.chat.id, "markdown": f"Number {number}"},
            by=reader,
        )
        assert made.status == 302
        assert yonder.follow(made, by=reader).data["markdown"] == f"Number {number}"
        assert yonder.get(path, by=site.newcomer).data["comments"]["total"] == number + 2
        totals = yonder.get("/api/v1/microcosms", site=site).data["items"]["items"]
        assert [one["item"]["totalComments"] for one in totals] == [number + 2]
        edited = here.put(made.location, {"markdown": f"Edited {number}"}, by=reader)
        assert yonder.follow(edited, by=reader).data["markdown"] == f"Edited {number}"
        texts = [one["markdown"] for one in yonder.get(path, by=reader).data["comments"]["items"]]
        assert texts[-1] == f"Edited {number}"
        here, yonder = yonder, here


@pytest.mark.wide
def test_new_places_and_items_are_there_at_once(api: Api, there: Api, site: Site) -> None:
    here, yonder = api, there
    for number in range(10):
        body = {"title": f"Place {number}", "description": "x"}
        place = here.post("/api/v1/microcosms", body, by=site.owner)
        shown = yonder.follow(place, by=site.owner)
        assert shown.data["title"] == f"Place {number}"
        tree = yonder.get("/api/v1/microcosms/tree", by=site.member).data
        assert shown.data["id"] in [one["id"] for one in tree]
        chat = yonder.post(
            "/api/v1/conversations",
            {"microcosmId": shown.data["id"], "title": f"Chat {number}"},
            by=site.member,
        )
        assert here.follow(chat, by=site.member).data["title"] == f"Chat {number}"
        here, yonder = yonder, here


def test_a_new_name_is_shown_everywhere_at_once(
    api: Api, there: Api, site: Site, warm: Warm
) -> None:
    author = site.member
    for path in (warm.chat.path, warm.comment.path):
        there.get(path, by=warm.reader)
        there.get(path, site=site)

    assert api.put(author.path, {"profileName": "renamed"}, by=author).status == 302

    for by in (warm.reader, None):
        chat = there.get(warm.chat.path, site=site, by=by).data
        assert chat["meta"]["createdBy"]["profileName"] == "renamed"
        assert chat["comments"]["items"][0]["meta"]["createdBy"]["profileName"] == "renamed"
        comment = there.get(warm.comment.path, site=site, by=by).data
        assert comment["meta"]["createdBy"]["profileName"] == "renamed"


def test_what_was_read_here_is_read_there(api: Api, there: Api, make: Factory, site: Site) -> None:
    reader = make.person(site)
    chat = make.conversation(site)
    make.comment(chat)

    def is_unread(client: Api) -> bool:
        page = client.get("/api/v1/microcosms", by=reader).data
        return bool(page["items"]["items"][0]["item"]["meta"]["flags"]["unread"])

    assert is_unread(there)
    assert api.get(chat.path, by=reader).status == 200
    assert not is_unread(there)
    make.comment(chat)
    assert is_unread(there)
    assert is_unread(api)
