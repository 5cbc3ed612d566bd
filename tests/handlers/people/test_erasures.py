"""Requests to erase a profile or an account: made after a fresh sign-in, taken back, shown to the person alone."""

from __future__ import annotations

import psycopg
import pytest

from forumapi.errors import NO_DELETE, SIGN_IN, SIGN_IN_AGAIN
from tests.api import Api
from tests.factories import Factory, Person, Site


@pytest.fixture
def me(make: Factory, bikes: Site) -> Person:
    return make.person(bikes)


def _age_token(database_url: str, person: Person) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE access_tokens SET created = now() - interval '11 minutes' WHERE user_id = %s",
            [person.user_id],
        )


def test_a_profile_waits_for_thirty_days_and_says_so(api: Api, me: Person) -> None:
    asked = api.delete(f"{me.path}?words=remove", by=me)

    assert asked.status == 200
    assert asked.data["words"] == "remove"
    shown = api.get(f"{me.path}/erasure", by=me)
    assert shown.data == asked.data
    due, requested = asked.data["due"], asked.data["requested"]
    assert due[10:] == requested[10:] and due > requested
    assert api.get("/api/v1/whoami", by=me).data["meta"]["erasureDue"] == due
    assert "accountErasureDue" not in api.get("/api/v1/whoami", by=me).data["meta"]
    assert "erasureDue" not in api.get(me.path, by=me.site.owner).data["meta"]


def test_it_is_taken_back(api: Api, me: Person) -> None:
    api.delete(me.path, by=me)

    assert api.delete(f"{me.path}/erasure", by=me).status == 200
    assert api.delete(f"{me.path}/erasure", by=me).status == 404
    assert api.get(f"{me.path}/erasure", by=me).status == 404
    assert "erasureDue" not in api.get("/api/v1/whoami", by=me).data["meta"]


def test_a_new_request_replaces_the_choice(api: Api, me: Person) -> None:
    api.delete(me.path, by=me)

    assert api.delete(f"{me.path}?words=remove", by=me).data["words"] == "remove"
    wrong = api.delete(f"{me.path}?words=some", by=me)
    assert (wrong.status, wrong.error) == (400, "words: must be keep or remove")


def test_a_sign_in_of_long_ago_is_not_enough(api: Api, me: Person, database_url: str) -> None:
    user = f"/api/v1/users/{me.user_id}"
    _age_token(database_url, me)

    for path in (me.path, user):
        refused = api.delete(path, by=me)
        assert (refused.status, refused.code) == (403, SIGN_IN_AGAIN)
        assert api.get(f"{path}/erasure", by=me).status == 404


def test_nobody_else_asks_or_sees(api: Api, make: Factory, me: Person, trains: Site) -> None:
    api.delete(me.path, by=me)
    other = make.person(me.site)
    nobody = f"/api/v1/profiles/{2**40}"

    for by in (other, me.site.owner, me.site.moderator):
        for path in (me.path, nobody):
            assert (api.delete(path, by=by).status, api.delete(path, by=by).code) == (
                403,
                NO_DELETE,
            )
            assert api.get(f"{path}/erasure", by=by).status == 403
            assert api.delete(f"{path}/erasure", by=by).status == 403
        assert api.delete(f"/api/v1/users/{me.user_id}", by=by).status == 403
        assert api.get(f"/api/v1/users/{me.user_id}/erasure", by=by).status == 403
    assert api.delete(me.path, host=me.site.host).code == SIGN_IN
    assert api.get(f"{me.path}/erasure", by=me).status == 200


def test_the_owner_of_a_site_hands_it_over_first(api: Api, make: Factory) -> None:
    site = make.site(title="Handed over first")

    for path in (site.owner.path, f"/api/v1/users/{site.owner.user_id}"):
        refused = api.delete(path, by=site.owner)
        assert refused.status == 409
        assert f"Handed over first (site {site.id})" in refused.error


def test_an_account_waits_and_is_taken_back(api: Api, me: Person) -> None:
    user = f"/api/v1/users/{me.user_id}"

    asked = api.delete(user, by=me)
    assert (asked.status, asked.data["words"]) == (200, "keep")
    assert api.get(f"{user}/erasure", by=me).data == asked.data
    assert api.get("/api/v1/whoami", by=me).data["meta"]["accountErasureDue"] == asked.data["due"]
    assert api.delete(f"{user}/erasure", by=me).status == 200
    assert api.delete(f"{user}/erasure", by=me).status == 404


def test_the_banned_may(api: Api, make: Factory, me: Person) -> None:
    make.ban(me)

    assert api.delete(me.path, by=me).status == 200
    assert api.get(f"{me.path}/erasure", by=me).status == 200
    assert api.delete(f"{me.path}/erasure", by=me).status == 200
    assert api.delete(f"/api/v1/users/{me.user_id}", by=me).status == 200


def test_a_site_may_keep_what_was_written(api: Api, make: Factory) -> None:
    site = make.site()
    me = make.person(site)
    rule = "/api/v1/site/privacy"
    assert api.get(rule, by=me).status == 403
    assert api.get(rule, by=site.owner).data == {"keepsWords": False}

    assert api.put(rule, {"keepsWords": True}, by=site.owner).status == 302
    assert api.put(rule, {}, by=site.owner).error == "keepsWords: is required"

    refused = api.delete(f"{me.path}?words=remove", by=me)
    assert (refused.status, refused.error[:20]) == (400, "words: must be keep:")
    assert api.delete(me.path, by=me).status == 200


def test_quotations_are_listed_where_they_may_be_read(
    api: Api, make: Factory, bikes: Site, me: Person
) -> None:
    chat = make.conversation(bikes)
    mine = make.comment(chat, by=me, markdown="My words")
    quoted = make.comment(chat, by=bikes.owner, markdown="> My words\n\nWell.", reply_to=mine)
    again = make.comment(chat, by=bikes.member, markdown="> My words", reply_to=mine)
    make.comment(chat, by=bikes.member, markdown="Without", reply_to=mine)
    make.comment(chat, by=bikes.member, markdown="> somebody else's")

    shown = api.get(f"{me.path}/quotations", by=me).data["quotations"]
    assert [one["commentId"] for one in shown["items"]] == [again.id, quoted.id]
    assert {one["quotes"] for one in shown["items"]} == {mine.id}
    assert api.get(f"{me.path}/quotations", by=bikes.owner).status == 403

    api.delete(quoted.path, by=bikes.owner)
    shown = api.get(f"{me.path}/quotations", by=me).data["quotations"]
    assert [one["commentId"] for one in shown["items"]] == [again.id]
    api.patch(chat.path, ("/meta/flags/deleted", True), by=bikes.owner)
    assert api.get(f"{me.path}/quotations", by=me).data["quotations"]["items"] == []


def test_the_banned_are_listed_the_quotations_that_guests_may_read(
    api: Api, make: Factory, bikes: Site, me: Person
) -> None:
    closed = make.microcosm(bikes)
    make.role(bikes, closed.id, "Members", users=True, rights=("read", "create"))
    quoted = []
    for chat in (make.conversation(bikes), make.conversation(bikes, microcosm=closed)):
        mine = make.comment(chat, by=me, markdown="My words")
        quoted.append(make.comment(chat, markdown="> My words", reply_to=mine).id)

    def listed() -> list[int]:
        shown = api.get(f"{me.path}/quotations", by=me).data["quotations"]["items"]
        return [one["commentId"] for one in shown]

    assert listed() == quoted[::-1]
    make.ban(me)
    assert listed() == quoted[:1]
