"""Web push: who gets what, encrypted, by the rights of that moment; and what ends a subscription."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from forumapi import itemtypes
from forumapi.models.notifications import push_subscription
from forumapi.outbound import web_push_crypto
from forumapi.updates import push_queue
from forumapi.updates.push_sender import BACK_OFF_S, CircuitBreaker
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing
from tests.services import wait_until
from tests.updates.push import PATH, Browser, b64, claims, unb64
from tests.updates.stage import told
from tests.webhooks.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        server.answer = lambda message: 201
        yield server


@pytest.fixture
def browser(receiver: Receiver) -> Browser:
    return Browser(receiver)


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


@pytest.fixture
def ana(make: Factory, site: Site) -> Person:
    return make.person(site, "ana")


@pytest.fixture
def bob(make: Factory, site: Site) -> Person:
    return make.person(site, "bob")


def write(api: Api, chat: Thing, by: Person, text: str, **more: Any) -> int:
    """Write a comment over the API; its id."""
    kind = itemtypes.name_of(chat.type)
    body = {"itemType": kind, "itemId": chat.id, "markdown": text, **more}
    answer = api.post("/api/v1/comments", body, by=by)
    assert answer.status == 302, answer.body
    return int(answer.location.rpartition("/")[2].partition("?")[0])


def settled(make: Factory, site: Site) -> None:
    """Return once everybody was told, and nothing waits to be sent."""
    told(make, site)
    waiting = "SELECT 1 FROM push_messages WHERE site_id = %(s)s AND state = 'queued'"
    wait_until(lambda: not make.sql(waiting, s=site.id), "messages wait")


def states(make: Factory, site: Site) -> list[tuple[str, str]]:
    """(state, reason) of all messages of a site."""
    return make.sql(
        "SELECT state, last_error FROM push_messages WHERE site_id = %(s)s ORDER BY message_id",
        s=site.id,
    )


def subscriptions(api: Api, by: Person) -> list[Any]:
    answer = api.get(PATH, by=by)
    assert answer.status == 200, answer.body
    found: list[Any] = answer.data["subscriptions"]
    return found


# ---------------------------------------------------------------- messages


def test_a_mention_arrives_encrypted_and_vouched_for(
    api: Api, make: Factory, site: Site, browser: Browser, ana: Person, bob: Person
) -> None:
    key = api.get(PATH, by=ana).data["publicKey"]
    browser.subscribe(api, ana)
    chat = make.conversation(site, by=bob, title="Which bolt &amp; nut?")

    id = write(api, chat, bob, "Ask +ana, she *knows* &lt;all&gt;.")

    (said,) = browser.got()
    assert said == {
        "updateType": "mentioned",
        "profileId": ana.id,
        "itemType": "conversation",
        "itemId": chat.id,
        "commentId": id,
        "url": said["url"],
        "siteTitle": said["siteTitle"],
        "title": "Which bolt & nut?",
        "by": "bob",
        "text": "Ask +ana, she knows <all>.",
    }
    assert said["url"].startswith("http") and str(id) in said["url"]
    (message,) = browser.messages()
    assert message.headers["Content-Encoding"] == "aes128gcm"
    assert int(message.headers["TTL"]) > 0
    proof = claims(message, key)
    assert proof["aud"] == browser.receiver.url("")
    assert re.fullmatch(r"mailto:[^@]+@[^@]+", proof["sub"])
    assert time.time() < proof["exp"] < time.time() + 24 * 3600
    assert b"bolt" not in message.body


@pytest.mark.wide
def test_nothing_of_huddles_and_of_places_that_guests_may_not_read_is_in_a_message(
    api: Api, make: Factory, site: Site, browser: Browser, ana: Person, bob: Person
) -> None:
    browser.subscribe(api, ana)
    body = {"title": "Our secret", "participants": [{"id": ana.id}]}
    answer = api.post("/api/v1/huddles", body, by=bob)
    huddle = Thing(site, itemtypes.HUDDLE, int(answer.location.rpartition("/")[2]))
    first = write(api, huddle, bob, "Nobody else reads this")
    private = make.microcosm(site, "Members only")
    make.role(site, private.id, "Members", users=True, rights=("read", "create"))
    chat = make.conversation(site, microcosm=private, by=bob, title="Ours alone")
    second = write(api, chat, bob, "Psst, +ana")

    said = {one["commentId"]: one for one in browser.got(2)}

    assert said[first]["updateType"] == "new_comment_in_huddle"
    assert said[second]["updateType"] == "mentioned"
    for one in said.values():
        assert not one.keys() & {"title", "by", "text"}
        assert not any(word in str(one) for word in ("secret", "Nobody", "Psst", "alone", "bob"))


@pytest.mark.wide
def test_what_somebody_may_not_read_or_ignores_or_does_is_not_pushed(
    api: Api, make: Factory, site: Site, browser: Browser, ana: Person, bob: Person
) -> None:
    browser.subscribe(api, ana)
    closed = make.microcosm(site)
    make.role(site, closed.id, "Nobody")
    write(api, make.conversation(site, microcosm=closed, by=site.owner), site.owner, "+ana")
    open_chat = make.conversation(site, by=ana)
    write(api, open_chat, ana, "I am +ana")
    assert (
        api.put("/api/v1/ignored", {"itemType": "profile", "itemId": bob.id}, by=ana).status < 400
    )
    write(api, open_chat, bob, "Hello +ana")
    settled(make, site)

    assert states(make, site) == []
    assert not browser.messages()


@pytest.mark.wide
def test_a_right_that_is_lost_while_a_message_waits_counts(
    api: Api, make: Factory, site: Site, browser: Browser, ana: Person, bob: Person
) -> None:
    browser.receiver.answer = lambda message: 503
    browser.subscribe(api, ana)
    chat = make.conversation(site, by=bob)
    id = write(api, chat, bob, "+ana")
    browser.receiver.wait(1, browser.path)

    assert api.delete(f"/api/v1/comments/{id}", by=bob).status == 200
    browser.receiver.answer = lambda message: 201
    make.sql(
        "UPDATE push_messages SET not_before = now() WHERE site_id = %(s)s RETURNING 1", s=site.id
    )

    settled(make, site)
    assert states(make, site) == [("dropped", "the reader may not read it")]
    assert len(browser.messages()) == 1


@pytest.mark.wide
def test_a_preference_decides_on_push_alone(
    api: Api, make: Factory, site: Site, browser: Browser, ana: Person, bob: Person
) -> None:
    browser.subscribe(api, ana)
    path = "/api/v1/updates/preferences"
    sent = {one["id"]: one["sendPush"] for one in api.get(path, by=ana).data}
    assert [id for id, is_sent in sent.items() if is_sent] == [2, 3, 4, 7, 10]
    chat = make.conversation(site, by=ana)
    watch = {"itemType": "conversation", "itemId": chat.id}
    assert api.post("/api/v1/watchers", watch, by=ana).status == 200
    write(api, chat, bob, "Not by default")
    settled(make, site)
    assert not browser.messages()

    assert api.put(f"{path}/1", {"sendPush": True}, by=ana).status == 302
    before = api.get(f"{path}/1", by=ana).data
    assert (before["sendPush"], before["sendEmail"]) == (True, False)
    write(api, chat, bob, "Now it comes")
    (said,) = browser.got()
    assert (said["updateType"], said["text"]) == ("new_comment", "Now it comes")

    # A reply is one message, and the more exact one.
    own = write(api, chat, ana, "Mine")
    write(api, chat, bob, "To you", inReplyTo=own)
    assert browser.got(2)[1]["updateType"] == "reply_to_comment"
    api.put(f"{path}/2", {"sendPush": False}, by=ana)
    api.put(f"{path}/1", {"sendPush": False}, by=ana)
    write(api, chat, bob, "To you again", inReplyTo=own)
    settled(make, site)
    assert len(browser.messages()) == 2


@pytest.mark.wide
def test_a_person_is_not_flooded(
    api: Api, make: Factory, site: Site, browser: Browser, ana: Person, bob: Person
) -> None:
    browser.subscribe(api, ana)
    chat = make.conversation(site, by=bob)
    for number in range(push_queue.MOST_AN_HOUR + 5):
        write(api, chat, bob, f"+ana {number}")
    settled(make, site)

    assert len(browser.messages()) == push_queue.MOST_AN_HOUR


# ---------------------------------------------------------------- what ends it


@pytest.mark.parametrize("status", [404, 410])
def test_it_ends_when_the_push_service_says_so(
    status: int, api: Api, make: Factory, site: Site, browser: Browser, ana: Person, bob: Person
) -> None:
    browser.receiver.answer = lambda message: status
    browser.subscribe(api, ana)
    write(api, make.conversation(site, by=bob), bob, "+ana")

    wait_until(lambda: not subscriptions(api, ana), "it did not come to that")
    assert len(browser.messages()) == 1


@pytest.mark.wide
def test_it_ends_with_its_token(
    api: Api, make: Factory, site: Site, receiver: Receiver, ana: Person, bob: Person
) -> None:
    session = make.token(ana)
    here, there = Browser(receiver), Browser(receiver)
    body = here.subscription
    assert api.post(PATH, body, token=session, host=site.host).status == 302
    there.subscribe(api, ana)
    assert [one["current"] for one in subscriptions(api, ana)] == [False, True]

    # Signing out.
    assert api.delete(f"/api/v1/auth/{session}", token=session, host=site.host).status == 200
    write(api, make.conversation(site, by=bob), bob, "+ana")

    assert len(there.got()) == 1
    settled(make, site)
    assert not here.messages()
    assert len(subscriptions(api, ana)) == 1


@pytest.mark.wide
def test_an_expired_token_gets_nothing(
    api: Api, make: Factory, site: Site, browser: Browser, ana: Person, bob: Person
) -> None:
    browser.subscribe(api, ana)
    make.sql(
        "UPDATE access_tokens SET expires = now() - interval '1 second' WHERE user_id = %(u)s RETURNING 1",
        u=ana.user_id,
    )
    write(api, make.conversation(site, by=bob), bob, "+ana")
    settled(make, site)

    assert not browser.messages()
    assert states(make, site) == [("dropped", "the reader is gone")]


@pytest.mark.wide
def test_two_people_on_one_browser_get_each_their_own(
    api: Api, make: Factory, site: Site, browser: Browser, ana: Person, bob: Person
) -> None:
    browser.subscribe(api, ana)
    browser.subscribe(api, bob)

    write(api, make.conversation(site, by=site.owner), site.owner, "+ana and +bob")

    assert [one["profileId"] for one in browser.got()] == [bob.id]
    settled(make, site)
    assert len(browser.messages()) == 1
    assert not subscriptions(api, ana)


def test_it_is_ended_by_its_person_alone(
    api: Api, site: Site, browser: Browser, ana: Person, bob: Person
) -> None:
    browser.subscribe(api, ana)
    (one,) = subscriptions(api, ana)
    assert one["host"] == "127.0.0.1"

    assert api.delete(f"{PATH}/{one['id']}", by=bob).status == 404
    assert api.delete(f"{PATH}/{one['id']}", by=ana).status == 200
    assert not subscriptions(api, ana)


# ---------------------------------------------------------------- failures


@pytest.mark.wide
def test_a_failure_is_tried_again_and_a_week_of_them_ends_it(
    api: Api, make: Factory, site: Site, browser: Browser, ana: Person, bob: Person
) -> None:
    browser.receiver.answer = lambda message: 500
    browser.subscribe(api, ana)
    write(api, make.conversation(site, by=bob), bob, "+ana")
    browser.receiver.wait(1, browser.path)
    wait_until(lambda: bool(subscriptions(api, ana)[0]["failingSince"]), "it did not come to that")

    again = "UPDATE push_messages SET not_before = now() WHERE site_id = %(s)s RETURNING 1"
    browser.receiver.answer = lambda message: 201
    make.sql(again, s=site.id)
    assert len(browser.got(2)) == 2
    wait_until(lambda: not subscriptions(api, ana)[0]["failingSince"], "it did not come to that")

    browser.receiver.answer = lambda message: 403
    write(api, make.conversation(site, by=bob), bob, "+ana")
    browser.receiver.wait(3, browser.path)
    wait_until(lambda: bool(subscriptions(api, ana)[0]["failingSince"]), "it did not come to that")
    make.sql(
        "UPDATE push_subscriptions SET failing_since = now() - interval '8 days' WHERE site_id = %(s)s RETURNING 1",
        s=site.id,
    )
    make.sql(again, s=site.id)
    wait_until(lambda: not subscriptions(api, ana), "it did not come to that")


@pytest.mark.wide
def test_a_message_is_tried_at_longer_and_longer_intervals_and_in_the_end_not(
    api: Api, make: Factory, site: Site, browser: Browser, ana: Person, bob: Person
) -> None:
    browser.receiver.answer = lambda message: 500
    browser.subscribe(api, ana)
    write(api, make.conversation(site, by=bob), bob, "+ana")

    def after(attempts: int) -> tuple[str, int]:
        """State after so many attempts, and seconds until the next."""
        query = """SELECT state, extract(epoch FROM not_before - now())::int FROM push_messages
                    WHERE site_id = %(s)s AND attempts = %(n)s AND last_error <> ''"""
        wait_until(lambda: bool(make.sql(query, s=site.id, n=attempts)), "it was not tried")
        ((state, wait_s),) = make.sql(query, s=site.id, n=attempts)
        return state, wait_s

    def again(attempts: int) -> None:
        """Have it tried now, as if it had been so often."""
        make.sql(
            """UPDATE push_messages SET attempts = %(n)s, not_before = now(), last_error = ''
                WHERE site_id = %(s)s RETURNING 1""",
            s=site.id,
            n=attempts,
        )

    state, wait_s = after(1)
    assert state == "queued" and 10 <= wait_s <= BACK_OFF_S[0]
    last = len(BACK_OFF_S)
    again(last - 1)
    state, wait_s = after(last)
    assert state == "queued" and BACK_OFF_S[-1] - 5 <= wait_s <= BACK_OFF_S[-1]
    again(last)
    assert after(last + 1)[0] == "dead"


def test_a_key_that_is_none_keeps_no_other_message_from_being_sent(
    api: Api, make: Factory, site: Site, receiver: Receiver, ana: Person, bob: Person
) -> None:
    broken, whole = Browser(receiver), Browser(receiver)
    broken.subscribe(api, ana)
    make.sql(
        "UPDATE push_subscriptions SET public_key = decode(repeat('00', 65), 'hex') WHERE site_id = %(s)s"
        " RETURNING 1",
        s=site.id,
    )
    whole.subscribe(api, bob)

    write(api, make.conversation(site, by=site.owner), site.owner, "+ana and +bob")

    assert [one["profileId"] for one in whole.got()] == [bob.id]
    settled(make, site)
    assert sorted(state for state, _ in states(make, site)) == ["dead", "sent"]


def test_a_push_service_that_is_down_is_left_alone() -> None:
    breaker = CircuitBreaker()
    for _ in range(CircuitBreaker.FAILURES):
        assert breaker.wait_s("push.test") == 0
        breaker.record("push.test", is_there=False)

    assert 0 < breaker.wait_s("push.test") <= CircuitBreaker.FIRST_S + 1
    assert breaker.wait_s("other.test") == 0
    breaker.record("push.test", is_there=True)
    assert breaker.wait_s("push.test") == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"endpoint": "ftp://127.0.0.1/x"}, "endpoint"),
        ({"endpoint": ""}, "endpoint"),
        ({"endpoint": "https://push.test/" + "x" * 2000}, "endpoint"),
        ({"keys": {"p256dh": b64(b"\x04" + b"\x01" * 64), "auth": b64(b"1" * 16)}}, "keys.p256dh"),
        ({"keys": {"p256dh": "?", "auth": b64(b"1" * 16)}}, "keys.p256dh"),
        ({"keys": {}}, "keys.p256dh"),
    ],
)
def test_a_bad_subscription_is_refused_by_name(
    change: dict[str, Any], field: str, api: Api, browser: Browser, ana: Person
) -> None:
    answer = api.post(PATH, browser.subscription | change, by=ana)

    assert answer.status == 400, answer.body
    assert field in answer.body.decode()
    assert not subscriptions(api, ana)


def test_plain_base64_is_not_base64url() -> None:
    assert web_push_crypto.decode("-_-_") == web_push_crypto.decode("-_-_==") == b"\xfb\xff\xbf"
    for text in ("+_-_", "-/-_", "?"):
        with pytest.raises(ValueError):
            web_push_crypto.decode(text)


def test_so_many_subscriptions_and_no_more(api: Api, receiver: Receiver, ana: Person) -> None:
    for _ in range(push_subscription.MOST_SUBSCRIPTIONS):
        last = Browser(receiver)
        last.subscribe(api, ana)
    last.subscribe(api, ana)

    assert api.post(PATH, Browser(receiver).subscription, by=ana).status == 400


def test_guests_have_none(api: Api, site: Site, browser: Browser) -> None:
    assert api.get(PATH, host=site.host).status == 403
    assert api.post(PATH, browser.subscription, host=site.host).status == 403


# ---------------------------------------------------------------- the specification


def test_the_specifications_own_message_is_encrypted_as_it_says() -> None:
    """RFC 8291, appendix A."""
    sender = ec.derive_private_key(
        int.from_bytes(unb64("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")), ec.SECP256R1()
    )

    made = web_push_crypto._encrypt(
        b"When I grow up, I want to be a watermelon",
        unb64(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
        ),
        unb64("BTBZMqHH6r4Tts7J_aSIgg"),
        sender,
        unb64("DGv6ra1nlYgDCS1FRnbzlw"),
    )

    assert b64(made) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6"
        "cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
