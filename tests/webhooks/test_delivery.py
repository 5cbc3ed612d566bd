"""Tests of what receivers get: signed, in order, once each if they answer, and nothing that may not be seen."""

from __future__ import annotations

import base64
import datetime
import time
from types import SimpleNamespace
from typing import Any

import pytest

from forumapi.config import Config
from forumapi.database.query import Query
from forumapi.models.notifications import webhook_delivery
from forumapi.models.notifications.webhook_delivery import DeliveryQueue
from forumapi.webhooks import sender
from tests.api import Api
from tests.factories import RIGHTS, Factory, Site
from tests.request.threads import no_threads
from tests.services import wait_until
from tests.webhooks.conftest import PATH, Hooks, until
from tests.webhooks.receiver import Message, Receiver, receiving

COMMENTS = {"itemTypes": ["comment"]}
SET_DELETED = Query(
    "test.set_deleted", "UPDATE sites SET is_deleted = %(is_deleted)s WHERE site_id = %(site_id)s"
)


@pytest.mark.wide
def test_what_happens_is_told_and_signed(
    hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    hook = hooks.add(receiver.url(), **COMMENTS)

    id = hooks.write(chat, "Hello")

    message = receiver.only()
    assert message.is_signed_with(hook["secret"])
    assert message.headers["Content-Type"] == "application/json"
    said = message.data
    assert said.pop("cursor")
    assert said.pop("at")
    assert said.pop("site").startswith(f"http://{site.host}")
    assert said == {
        "type": "comment.created",
        "kind": "created",
        "itemType": "comment",
        "itemId": id,
        "href": f"/api/v1/comments/{id}",
        "parentType": "conversation",
        "parentId": chat.id,
        "microcosmId": site.root_id,
        "version": 1,
    }


def test_the_specifications_own_example_is_signed_as_it_says() -> None:
    secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    made = sender.signature(
        base64.b64decode(secret),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )

    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_document_is_what_the_profile_would_be_answered(
    hooks: Hooks, api: Api, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    hooks.add(receiver.url(), documents=True, **COMMENTS)

    id = hooks.write(chat, "Hello *there*")

    said = receiver.only().data
    assert said["document"] == api.get(f"/api/v1/comments/{id}", by=site.owner).data
    assert "<em>there</em>" in said["document"]["html"]


def test_a_document_marks_nothing_as_read(
    hooks: Hooks, api: Api, make: Factory, site: Site, receiver: Receiver
) -> None:
    hooks.add(receiver.url(), documents=True, itemTypes=["conversation"])
    api.post("/api/v1/conversations", {"microcosmId": site.root_id, "title": "New"}, by=site.member)

    said = receiver.only().data

    assert said["document"]["title"] == "New"
    marks = make.sql(
        "SELECT 1 FROM read_marks WHERE site_id = %(site)s AND profile_id = %(profile)s",
        site=site.id,
        profile=site.owner.id,
    )
    assert marks == []


@pytest.mark.wide
def test_only_the_chosen_kinds_and_types_are_told(
    hooks: Hooks, api: Api, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    hooks.add(receiver.url("/deleted"), kinds=["deleted"], itemTypes=["comment"])
    hooks.add(receiver.url("/chats"), itemTypes=["conversation"])
    id = hooks.write(chat, "Hello")
    api.post("/api/v1/conversations", {"microcosmId": site.root_id, "title": "N"}, by=site.member)
    api.delete(f"/api/v1/comments/{id}", by=site.member)

    deleted = receiver.only("/deleted").data
    chats = until(
        lambda: receiver.at("/chats"), lambda all: all and all[-1].data["itemId"] > chat.id
    )

    assert (deleted["type"], deleted["itemId"]) == ("comment.deleted", id)
    assert {message.data["itemType"] for message in chats} == {"conversation"}


def test_what_a_guest_may_not_read_is_not_told_to_one(
    hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    closed = make.microcosm(site)
    make.role(site, closed.id, "Members", users=True, rights=RIGHTS)
    secret, open_ = make.conversation(site, microcosm=closed), make.conversation(site)
    hooks.add(receiver.url("/guest"), actAs="guest", **COMMENTS)
    hooks.add(receiver.url("/owner"), **COMMENTS)

    hidden = hooks.write(secret, "Among us")
    shown = hooks.write(open_, "For all")

    owner = receiver.wait(2, "/owner")
    guest = receiver.only("/guest")
    assert [message.data["itemId"] for message in owner] == [hidden, shown]
    assert guest.data["itemId"] == shown


def test_who_may_not_read_any_more_at_the_time_of_delivery_is_told_nothing(
    hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    place = make.microcosm(site)
    chat, open_ = make.conversation(site, microcosm=place), make.conversation(site)
    receiver.answer = lambda message: 500
    hook = hooks.add(receiver.url(), actAs="guest", **COMMENTS)
    hooks.write(chat, "Before it was closed")
    receiver.wait()
    make.role(site, place.id, "Members", users=True, rights=RIGHTS)
    receiver.answer = lambda message: 200

    after = hooks.write(open_, "After")
    hooks.time_passes(hook)

    messages = receiver.wait(2)
    assert messages[1].data["itemId"] == after
    # A delivery is written down after its receiver has answered.
    wait_until(lambda: hooks.deliveries(hook, "queued") == [], "something is still queued")


@pytest.mark.wide
def test_where_a_thing_was_is_not_told_to_who_may_not_read_that(
    hooks: Hooks, api: Api, make: Factory, site: Site, receiver: Receiver
) -> None:
    closed, open_ = make.microcosm(site), make.microcosm(site)
    make.role(site, closed.id, "Members", users=True, rights=RIGHTS)
    receiver.answer = lambda message: 500
    hook = hooks.add(receiver.url(), actAs="guest", itemTypes=["conversation"])
    make.conversation(site, microcosm=open_)
    receiver.wait()  # it pauses now
    chat = make.conversation(site, microcosm=closed)
    body = {"title": "For all", "microcosmId": open_.id, "meta": {"editReason": "For all"}}
    assert api.put(chat.path, body, by=site.owner).status == 302
    hooks.numbered()
    until(lambda: len(hooks.deliveries(hook, "queued")), lambda waiting: waiting == 3)
    receiver.answer = lambda message: 200

    hooks.time_passes(hook)

    until(lambda: len(receiver.messages), lambda count: count >= 4)
    assert {message.data["microcosmId"] for message in receiver.messages} == {open_.id}


def test_a_ban_is_no_news_of_a_profile(
    hooks: Hooks, api: Api, make: Factory, site: Site, receiver: Receiver
) -> None:
    hooks.numbered()
    hooks.add(receiver.url(), actAs="guest", itemTypes=["profile"])
    ban = {"profileId": site.newcomer.id, "reason": "Spam"}
    assert api.post("/api/v1/bans", ban, by=site.owner).status == 302
    newest = make.person(site)
    renamed = api.put(f"/api/v1/profiles/{newest.id}", {"profileName": f"n{newest.id}"}, by=newest)
    assert renamed.status == 302, renamed.body

    until(lambda: len(receiver.messages), lambda count: count)
    assert {message.data["itemId"] for message in receiver.messages} == {newest.id}


def test_huddles_are_told_to_who_takes_part_and_asks_for_them(
    hooks: Hooks, api: Api, make: Factory, site: Site, receiver: Receiver
) -> None:
    theirs = make.huddle(site.member, site.moderator)
    own = make.huddle(site.member, site.owner)
    hooks.add(receiver.url("/all"), itemTypes=["comment", "huddle"])
    hooks.add(receiver.url("/comments"), **COMMENTS)
    chat = make.conversation(site)
    ids = [
        int(
            api.post(
                "/api/v1/comments",
                {"itemType": "huddle", "itemId": huddle.id, "markdown": "Psst"},
                by=site.member,
            )
            .location.rpartition("/")[2]
            .partition("?")[0]
        )
        for huddle in (theirs, own)
    ]
    last = hooks.write(chat, "Aloud")

    def told() -> list[int]:
        return [
            message.data["itemId"]
            for message in receiver.at("/all")
            if message.data["itemType"] == "comment"
        ]

    assert until(told, lambda all: last in all) == [ids[1], last]
    assert receiver.only("/comments").data["itemId"] == last


@pytest.mark.wide
def test_what_is_hidden_is_told_as_deleted_and_without_a_document(
    hooks: Hooks, api: Api, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    hooks.add(receiver.url(), actAs="guest", documents=True, **COMMENTS)
    hooks.add(receiver.url("/deleted"), actAs="guest", kinds=["deleted"], **COMMENTS)
    hooks.add(receiver.url("/patched"), actAs="guest", kinds=["patched"], **COMMENTS)
    first, second = hooks.write(chat, "Hello"), hooks.write(chat, "Hello again")
    receiver.wait(2)

    api.patch(f"/api/v1/comments/{first}", ("moderated", True), by=site.moderator)
    api.delete(f"/api/v1/comments/{second}", by=site.member)

    for path, before in (("/hook", 2), ("/deleted", 0)):
        told = [message.data for message in receiver.wait(before + 2, path)[before:]]
        assert [said["type"] for said in told] == ["comment.deleted"] * 2
        assert [said["itemId"] for said in told] == [first, second]
        assert not any("document" in said for said in told)
    assert receiver.at("/patched") == []


def test_a_banned_owner_of_a_webhook_is_told_nothing(
    hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    hook = hooks.add(receiver.url(), **COMMENTS)
    # As if it had been registered before another came to own the site.
    make.sql(
        "UPDATE webhooks SET acts_as = %(profile)s WHERE webhook_id = %(id)s RETURNING 1",
        id=hook["id"],
        profile=site.banned.id,
    )
    hooks.add(receiver.url("/other"), **COMMENTS)

    hooks.write(chat, "Hello")

    receiver.wait(path="/other")
    first = hooks.write(chat, "Again")
    receiver.wait(2, path="/other")
    assert first
    assert receiver.at("/hook") == []


# ---------------------------------------------------------------- failures


@pytest.mark.wide
def test_a_failed_delivery_comes_again_under_the_same_id(
    hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    receiver.answer = lambda message: 503 if len(receiver.at()) < 2 else 200
    hook = hooks.add(receiver.url(), **COMMENTS)
    hooks.write(chat, "Hello")

    receiver.wait(1)
    waiting = until(
        lambda: hooks.deliveries(hook, "queued"), lambda one: one and one[0]["attempts"] == 1
    )
    hooks.time_passes(hook)
    receiver.wait(2)
    until(lambda: hooks.state(hook), lambda state: state["failures"] == 2)
    hooks.time_passes(hook)
    messages = receiver.wait(3)

    assert waiting[0]["lastStatus"] == 503
    assert waiting[0]["nextAttempt"] > waiting[0]["queued"]
    assert len({message.id for message in messages}) == 1
    assert all(message.is_signed_with(hook["secret"]) for message in messages)
    state = until(lambda: hooks.state(hook), lambda state: state["sent"] == 1)
    assert (state["failures"], state["failingSince"], state["lastStatus"]) == (0, None, 200)
    assert hooks.deliveries(hook, "queued") == []


@pytest.mark.wide
def test_events_of_one_object_keep_their_order_and_others_do_not_wait(
    hooks: Hooks, api: Api, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    hook = hooks.add(receiver.url(), **COMMENTS)
    poison = 0

    def answer(message: Message) -> int:
        return 500 if message.data["itemId"] == poison else 200

    first = poison = hooks.write(chat, "First")
    receiver.answer = answer
    api.put(
        f"/api/v1/comments/{first}",
        {"markdown": "First, again", "meta": {"editReason": "x"}},
        by=site.member,
    )
    second = hooks.write(chat, "Second")
    until(
        lambda: hooks.deliveries(hook, "queued"), lambda all: bool(all) and all[0]["attempts"] >= 1
    )
    hooks.make.sql(
        "UPDATE webhooks SET parked_until = NULL WHERE webhook_id = %(id)s RETURNING 1",
        id=hook["id"],
    )
    until(receiver.at, lambda all: any(m.data["itemId"] == second for m in all))
    poison = 0
    hooks.time_passes(hook)
    until(lambda: hooks.deliveries(hook, "queued"), lambda all: not all)

    told = [m.data["kind"] for m in receiver.at() if m.data["itemId"] == first]
    assert told[-1] != "created"
    assert told == sorted(told, key=["created", told[-1]].index)


@pytest.mark.wide
def test_a_receiver_that_is_down_holds_up_only_itself(
    hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    with receiving() as silent:
        silent.answer = lambda message: None
        slow = hooks.add(silent.url(), **COMMENTS)
        hooks.add("http://127.0.0.1:9/nobody", **COMMENTS)
        hooks.add(receiver.url(), **COMMENTS)
        ids = [hooks.write(chat, f"Text {number}") for number in range(5)]
        silent.wait()

        told = [message.data["itemId"] for message in receiver.wait(5)]

        assert told == ids
        assert len(silent.at()) == 1
        assert len(hooks.deliveries(slow, "queued")) == 5


def test_whose_claim_ran_out_leaves_that_of_another_alone(
    hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    hook = hooks.add(receiver.url(), enabled=False, **COMMENTS)
    queue = DeliveryQueue(site.id, hook["id"])

    def claimed(lease_s: int) -> datetime.datetime | None:
        with make.database.write() as tx:
            return queue.claim(tx, lease_s)

    why: dict[str, Any] = {
        "status": 410,
        "error": "x",
        "wait_s": 0,
        "pause_s": 0,
        "hours": 1,
        "days": 1,
    }
    slow = claimed(0)
    assert slow
    with make.database.write() as tx:
        queue.ping(tx)
        assert queue.next(tx, slow) is None
        other = queue.claim(tx, 60)
        assert other
        ping = queue.next(tx, other)
        assert ping
        assert queue.next(tx, slow) is None
        event = ping._replace(kind="created", number=1)
        for failed in (ping, event):
            assert queue.mark_failed(tx, failed, **why, lease_s=0, claimed=slow) == (0, "")
        assert queue.next(tx, other) == ping
        queue.mark_sent(tx, ping, 200, 0, claimed=slow)
        queue.release(tx, slow)
    assert claimed(60) is None

    with make.database.write() as tx:
        queue.mark_sent(tx, event, 200, 0, claimed=other)
    last = claimed(60)
    assert last
    with make.database.write() as tx:
        assert queue.mark_failed(tx, event, **why, lease_s=60, claimed=last) == (0, "gone")
        queue.release(tx, last)
    assert claimed(60)


def test_what_waits_of_a_site_that_is_deleted_is_not_due_until_it_is_kept(
    hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    hook = hooks.add(receiver.url(), enabled=False, **COMMENTS)
    queue = DeliveryQueue(site.id, hook["id"])

    with make.database.write() as tx:  # until its end nobody else sees what waits
        queue.ping(tx)
        assert queue in webhook_delivery.due(tx, 1000)
        for is_deleted in (True, False):
            tx.run(SET_DELETED, site_id=site.id, is_deleted=is_deleted)
            assert (queue in webhook_delivery.due(tx, 1000)) is not is_deleted


def test_a_webhook_that_no_thread_can_be_started_for_is_free_again(
    hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    hook = hooks.add(receiver.url(), enabled=False, **COMMENTS)
    queue = DeliveryQueue(site.id, hook["id"])
    app: Any = SimpleNamespace(database=make.database)
    deliverer = sender.Deliverer(app, Config())
    for _ in range(2):
        with make.database.write() as tx:
            claimed = queue.claim(tx, 60)
        assert claimed
        with no_threads(), pytest.raises(RuntimeError, match="thread"):
            deliverer.begin(queue, claimed)
    assert deliverer.has_room(queue)


@pytest.mark.wide
def test_one_site_is_served_in_a_quarter_of_the_places(
    hooks: Hooks, make: Factory, site: Site
) -> None:
    most = Config().webhook_concurrency // 4
    chat = make.conversation(site)
    with receiving() as silent:
        silent.answer = lambda message: None
        for number in range(most + 2):
            hooks.add(silent.url(f"/{number}"), **COMMENTS)
        hooks.write(chat, "Text")
        until(lambda: len(silent.messages), lambda count: count >= most)
        time.sleep(1)

        assert len(silent.messages) == most


@pytest.mark.wide
def test_after_a_day_a_delivery_is_a_dead_letter_and_can_be_replayed(
    hooks: Hooks, api: Api, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    receiver.answer = lambda message: 500
    hook = hooks.add(receiver.url(), **COMMENTS)
    path = f"{PATH}/{hook['id']}/replay"
    ids = [hooks.write(chat, f"Text {number}") for number in range(3)]
    receiver.wait()
    until(lambda: hooks.deliveries(hook, "queued"), lambda all: len(all) == 3)
    hooks.hours_pass(hook, 25)

    dead = until(lambda: hooks.deliveries(hook, "dead"), lambda all: len(all) == 3)
    assert [one["itemId"] for one in dead] == ids
    assert hooks.deliveries(hook, "queued") == []
    receiver.answer = lambda message: 200
    receiver.messages.clear()
    hooks.time_passes(hook)
    one = api.post(path, {"id": dead[1]["id"]}, by=site.owner).data
    receiver.wait()
    rest = api.post(
        path, {"first": dead[0]["cursor"], "last": dead[2]["cursor"]}, by=site.owner
    ).data

    messages = receiver.wait(3)
    assert (one["replayed"], rest["replayed"]) == (1, 2)
    assert [message.data["itemId"] for message in messages] == [ids[1], ids[0], ids[2]]
    assert messages[0].id == "msg_" + dead[1]["id"].replace("-", "")
    assert until(lambda: hooks.deliveries(hook, "dead"), lambda all: not all) == []
    assert api.post(path, {"id": dead[1]["id"]}, by=site.owner).status == 404


@pytest.mark.wide
def test_what_was_delivered_can_be_sent_again_from_the_log(
    hooks: Hooks, api: Api, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    hook = hooks.add(receiver.url(), **COMMENTS)
    ids = [hooks.write(chat, f"Text {number}") for number in range(3)]
    before = receiver.wait(3)
    until(lambda: hooks.state(hook), lambda state: state["sent"] == 3)

    answer = api.post(
        f"{PATH}/{hook['id']}/replay",
        {"first": before[1].data["cursor"], "last": before[2].data["cursor"], "everything": True},
        by=site.owner,
    )

    after = receiver.wait(5)[3:]
    assert answer.data == {"replayed": 2, "next": None}
    assert [message.data["itemId"] for message in after] == ids[1:]


@pytest.mark.wide
def test_a_webhook_that_fails_for_days_is_disabled_and_its_owner_told(
    hooks: Hooks, api: Api, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    receiver.answer = lambda message: 500
    hook = hooks.add(receiver.url(), name="Mirror", **COMMENTS)
    id = hooks.write(chat, "Hello")
    until(lambda: hooks.state(hook), lambda state: state["failures"] == 1)
    hooks.hours_pass(hook, 24 * 5 + 1)

    state = until(lambda: hooks.state(hook), lambda state: not state["enabled"])

    assert state["disabledBecause"] == "failing"
    (dead,) = hooks.deliveries(hook, "dead")
    assert dead["itemId"] == id
    ((recipient, text),) = make.sql(
        "SELECT recipient, subject FROM mail_outbox WHERE cause LIKE %(cause)s",
        cause=f"webhook:{site.id}:{hook['id']}:%",
    )
    assert recipient == site.owner.email
    assert "webhook was disabled" in text
    hooks.write(chat, "While it is off")
    hooks.numbered()
    receiver.answer = lambda message: 200
    receiver.messages.clear()
    api.put(f"{PATH}/{hook['id']}", {"enabled": True}, by=site.owner)
    after = hooks.write(chat, "After")
    assert receiver.only().data["itemId"] == after
    assert hooks.state(hook)["disabledBecause"] == ""


def test_a_receiver_that_says_it_has_gone_is_asked_no_more(
    hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    receiver.answer = lambda message: 410
    hook = hooks.add(receiver.url(), **COMMENTS)

    hooks.write(chat, "Hello")

    state = until(lambda: hooks.state(hook), lambda state: not state["enabled"])
    assert state["disabledBecause"] == "gone"


def test_a_redirect_is_a_failure_and_leads_nowhere(
    hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    receiver.answer = lambda message: 307
    receiver.location = receiver.url("/elsewhere")
    hook = hooks.add(receiver.url(), **COMMENTS)

    hooks.write(chat, "Hello")

    state = until(lambda: hooks.state(hook), lambda state: state["failures"] == 1)
    assert state["lastError"] == "The receiver answered 307"
    assert receiver.at("/elsewhere") == []


def test_an_answer_without_end_is_a_failure(
    hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    chat = make.conversation(site)
    receiver.answer = lambda message: 200
    receiver.length = sender.MOST_ANSWER + 1
    hook = hooks.add(receiver.url(), **COMMENTS)

    hooks.write(chat, "Hello")

    state = until(lambda: hooks.state(hook), lambda state: state["failures"] == 1)
    assert state["lastError"] == "The answer is too long"


@pytest.mark.wide
@pytest.mark.sliced(4)
@pytest.mark.parametrize("failures", range(12))
def test_waits_grow_and_differ(failures: int) -> None:
    waits = [sender.wait_s(failures) for _ in range(50)]
    pauses = [sender.pause_s(failures) for _ in range(50)]

    longest = min(7200, 5 * 3**failures)
    assert all(longest / 2 <= wait <= longest for wait in waits)
    assert all(min(600, 2 * 2**failures) / 2 <= pause <= 600 for pause in pauses)
    assert len(set(waits)) > 25
