"""Appeals: who writes, who decides, and what a granted one takes back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from forumapi.database.query import Query
from tests.api import Api, Response
from tests.factories import RIGHTS, Factory, Person, Site, Thing
from tests.fixtures import Server

HELD = Query(
    "test.appeals.held",
    "SELECT s.statement_id FROM statements s WHERE s.site_id = %(site_id)s FOR NO KEY UPDATE",
)


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


def hide(api: Api, by: Person, *things: Thing) -> int:
    sent = {
        "kind": "hide",
        "reason": "Advertising",
        "targets": [{"itemType": "comment", "itemId": thing.id} for thing in things],
    }
    answer = api.request("POST", "/api/v1/actions", by=by, json=sent)
    assert answer.status == 200, answer.body
    return int(answer.data["id"])


def statement(api: Api, by: Person) -> str:
    items = api.get("/api/v1/statements", by=by).data["statements"]["items"]
    return f"/api/v1/statements/{items[0]['id']}"


def appeal(api: Api, by: Person) -> str:
    answer = api.post(f"{statement(api, by)}/appeal", {"text": "This was no spam"}, by=by)
    assert answer.status == 302, answer.body
    return answer.location


def decide(api: Api, path: str, by: Person, outcome: str = "granted") -> Response:
    return api.post(f"{path}/decision", {"outcome": outcome, "text": "I looked again"}, by=by)


def waiting(api: Api, by: Person) -> list[dict[str, Any]]:
    answer = api.get("/api/v1/appeals?toDecide=true", by=by)
    assert answer.status == 200, answer.body
    items: list[dict[str, Any]] = answer.data["appeals"]["items"]
    return items


@pytest.mark.wide
def test_another_moderator_decides_and_only_the_things_of_who_appeals_are_back(
    api: Api, make: Factory, site: Site
) -> None:
    other = make.person(site)
    make.join(make.role(site, site.root_id, "More", moderator=True, rights=RIGHTS), other)
    chat = make.conversation(site)
    mine, theirs = make.comment(chat), make.comment(chat, by=site.newcomer)
    action = hide(api, site.moderator, mine, theirs)
    path = appeal(api, site.member)
    assert appeal(api, site.member) == path

    assert [one["createdBy"]["id"] for one in waiting(api, other)] == [site.member.id]
    assert decide(api, path, site.moderator).status == 403
    for by in (site.newcomer, site.member):
        assert decide(api, path, by).status == 403
    assert api.get(path, by=site.newcomer).status == 404
    asked = api.post(f"{path}/messages", {"text": "What is it then?"}, by=site.moderator)
    assert asked.status == 302
    assert decide(api, path, other).status == 302
    assert decide(api, path, other).status == 409
    assert api.post(f"{path}/messages", {"text": "Thanks"}, by=site.member).status == 409
    assert waiting(api, other) == []

    assert api.get(mine.path, by=site.owner).data["meta"]["flags"]["moderated"] is False
    assert api.get(theirs.path, by=site.owner).data["meta"]["flags"]["moderated"] is True
    counts = api.get(f"/api/v1/actions/{action}", by=site.owner).data["counts"]
    assert (counts["undone"], counts["done"]) == (1, 1)
    read = api.get(path, by=site.member)
    assert read.data["state"] == "granted"
    assert [one["byModerator"] for one in read.data["messages"]] == [False, True, True]
    # No names of moderators.
    assert b'"createdBy"' not in read.body
    assert b"profileName" not in read.body
    assert api.get(path, by=other).data["decidedBy"]["id"] == other.id
    own = api.get(statement(api, site.member), by=site.member).data
    assert own["corrected"] == read.data["decided"] and "revoked" in own
    assert not {"revoked", "corrected"} & set(
        api.get(statement(api, site.newcomer), by=site.newcomer).data
    )


def test_who_acted_decides_where_there_is_nobody_else(api: Api, make: Factory, site: Site) -> None:
    place = make.microcosm(site)
    hide(api, site.owner, make.comment(make.conversation(site, microcosm=place)))
    path = appeal(api, site.member)
    # The moderator of the root could decide.
    assert decide(api, path, site.owner, "refused").status == 403
    make.sql(
        "DELETE FROM role_profiles WHERE site_id = %(s)s AND profile_id = %(p)s RETURNING 1",
        s=site.id,
        p=site.moderator.id,
    )
    make.settle(site)
    assert decide(api, path, site.owner, "refused").status == 302
    assert api.get(path, by=site.member).data["state"] == "refused"


@pytest.mark.wide
def test_on_a_site_without_an_owner_who_acted_decides(api: Api, make: Factory, site: Site) -> None:
    hide(api, site.moderator, make.comment(make.conversation(site)))
    path = appeal(api, site.member)
    assert decide(api, path, site.moderator, "refused").status == 403
    make.sql(
        """UPDATE sites SET owned_by = NULL, version = version + 1, acl_version = acl_version + 1
            WHERE site_id = %(s)s RETURNING 1""",
        s=site.id,
    )
    make.sql(
        "UPDATE microcosms SET owned_by = %(m)s, created_by = %(m)s WHERE site_id = %(s)s RETURNING 1",
        s=site.id,
        m=site.moderator.id,
    )
    make.settle(site)
    assert decide(api, path, site.moderator, "refused").status == 302


@pytest.mark.wide
def test_who_moderates_all_places_is_found_among_many_moderators_of_one(
    api: Api, make: Factory, site: Site
) -> None:
    places = [make.microcosm(site) for _ in range(2)]
    roles = [make.role(site, place.id, "More", moderator=True, rights=RIGHTS) for place in places]
    make.sql(
        """WITH people AS (
               INSERT INTO users (email, canonical_email, person_key)
               SELECT k.key, k.key, k.key
                 FROM (SELECT 'crowd-' || %(s)s::bigint || '-' || n || '@example.org' AS key
                         FROM generate_series(1, 501) AS n) k
            RETURNING user_id)
           INSERT INTO profiles (site_id, user_id, profile_name, role_ids)
           SELECT %(s)s, p.user_id, 'crowd' || p.user_id, ARRAY[%(r)s::bigint] FROM people p
        RETURNING profile_id""",
        s=site.id,
        r=roles[0][1],
    )
    make.sql(
        "DELETE FROM role_profiles WHERE site_id = %(s)s AND profile_id = %(p)s RETURNING 1",
        s=site.id,
        p=site.moderator.id,
    )
    make.join(roles[1], site.moderator)
    chats = [make.conversation(site, microcosm=place) for place in places]
    hide(api, site.owner, *(make.comment(chat) for chat in chats))
    path = appeal(api, site.member)
    other = make.person(site)
    make.join(roles[0], other)
    make.join(roles[1], other)

    assert decide(api, path, site.owner, "refused").status == 403
    assert decide(api, path, other, "refused").status == 302


def test_somebody_banned_reads_why_and_appeals(api: Api, make: Factory, site: Site) -> None:
    sent = {
        "kind": "ban",
        "reason": "Enough",
        "targets": [{"itemType": "profile", "itemId": site.member.id}],
    }
    assert api.request("POST", "/api/v1/actions", by=site.owner, json=sent).status == 200
    assert api.get("/api/v1/profiles", by=site.member).status == 403
    assert api.get(statement(api, site.member), by=site.member).data["facts"] == "Enough"
    path = appeal(api, site.member)
    # The site's owner alone could undo this.
    assert decide(api, path, site.moderator).status == 404
    assert decide(api, path, site.owner).status == 302
    assert api.get("/api/v1/profiles", by=site.member).status == 200


def test_an_appeal_comes_within_six_months_and_says_something(
    api: Api, make: Factory, site: Site
) -> None:
    hide(api, site.moderator, make.comment(make.conversation(site)))
    path = f"{statement(api, site.member)}/appeal"
    assert api.post(path, {"text": " "}, by=site.member).error.startswith("text:")
    assert api.post(path, {"text": "Why"}, by=site.newcomer).status == 404
    make.sql(
        "UPDATE statements SET created = now() - interval '7 months' WHERE site_id = %(s)s RETURNING 1",
        s=site.id,
    )
    assert api.post(path, {"text": "Why"}, by=site.member).status == 409


def test_two_appeals_at_once_are_one(api: Api, make: Factory, server: Server, site: Site) -> None:
    hide(api, site.moderator, make.comment(make.conversation(site)))
    path = f"{statement(api, site.member)}/appeal"

    def send(text: str) -> Response:
        return server.api().post(path, {"text": text}, by=site.member)

    with ThreadPoolExecutor(2) as pool:
        with make.database.write() as tx:
            tx.value(HELD, site_id=site.id)
            sent = [pool.submit(send, text) for text in ("One", "Two")]
            make.wait_for_locks(2)
        answers = [one.result() for one in sent]

    assert [one.status for one in answers] == [302, 302]
    assert len({one.location for one in answers}) == 1
