"""Bans by the owner of a site: of a profile, of an e-mail domain, their end, and what those concerned still see."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from forumapi import routes
from tests.factories import Person, Site
from tests.stage import Stage, staged

NEVER = 987_654_321
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("bans")) as made:
        yield made


@pytest.fixture
def site(stage: Stage) -> Site:
    """A site of the test's own, with the usual cast."""
    return stage.make.site()


def ban(stage: Stage, site: Site, body: dict[str, Any]) -> str:
    """The address of a new ban, below /api/v1."""
    answer = stage.post("/bans", body, by=site.owner)
    assert answer.status == 302, answer.body
    return answer.location.removeprefix("/api/v1")


def person_at(stage: Stage, site: Site, domain: str) -> Person:
    """Somebody on the site with an e-mail address of a domain."""
    made = stage.make.person(site)
    address = f"{made.name}@{domain}"
    stage.sql(
        "UPDATE users SET email = %(e)s, person_key = lower(%(e)s) WHERE user_id = %(u)s",
        e=address,
        u=made.user_id,
    )
    return Person(site, made.id, made.user_id, made.name, address, made.token)


def is_banned(stage: Stage, person: Person) -> bool:
    """Return whether their requests are refused as those of somebody banned."""
    answer = stage.get("/profiles", by=person)
    assert answer.status in (200, 403)
    if answer.status == 403:
        assert answer.code == 13
    return answer.status == 403


@pytest.mark.wide
def test_of_many_bans_of_one_person_at_once_one_stays(stage: Stage, site: Site) -> None:
    bodies = [{"profileId": site.member.id, "reason": f"Reason {number}"} for number in range(8)]
    with ThreadPoolExecutor(len(bodies)) as pool:
        addresses = list(pool.map(lambda body: ban(stage, site, body), bodies))

    listed = stage.get("/bans", by=site.owner).data["bans"]["items"]
    (held,) = [one for one in listed if one["profile"]["id"] == site.member.id]
    assert f"/bans/{held['id']}" in addresses
    assert stage.request("DELETE", f"/bans/{held['id']}", by=site.owner).status == 200
    assert not is_banned(stage, site.member)


def test_a_profile_is_banned_and_let_in_again(stage: Stage, site: Site) -> None:
    person = stage.make.person(site)
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)
    assert not is_banned(stage, person)

    path = ban(
        stage,
        site,
        {
            "profileId": person.id,
            "reason": "Be <b>nicer</b>",
            "note": "Third time",
            "expires": until.isoformat(),
        },
    )

    refused = stage.post("/conversations", {"microcosmId": site.root_id, "title": "x"}, by=person)
    assert (refused.status, refused.code, refused.error) == (403, 13, "Be nicer")
    shown = stage.get(path, by=site.owner).data
    assert shown["profile"]["id"] == person.id
    assert shown["createdBy"]["id"] == site.owner.id
    assert (shown["reason"], shown["note"]) == ("Be nicer", "Third time")
    assert shown["expires"] == until.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0") + "Z"
    for _ in range(2):
        assert stage.request("DELETE", path, by=site.owner).status == 200
    assert not is_banned(stage, person)
    assert stage.get(path, by=site.owner).status == 404
    ((events,),) = stage.sql(
        """SELECT count(*) FROM event_log
            WHERE site_id = %(s)s AND item_type_id = 3 AND item_id = %(p)s AND kind = 'patched'""",
        s=site.id,
        p=person.id,
    )
    assert events == 2


def test_a_ban_ends_by_itself(stage: Stage, site: Site) -> None:
    person = stage.make.person(site)
    ban(stage, site, {"profileId": person.id, "expires": "2999-01-01T00:00:00Z"})
    assert is_banned(stage, person)
    stage.sql(
        "UPDATE bans SET expires = now() - interval '1 second' WHERE user_id = %(u)s",
        u=person.user_id,
    )
    assert not is_banned(stage, person)
    assert stage.get("/bans", by=site.owner).data["bans"]["total"] == 1


def test_an_email_domain_shuts_out_who_is_there_and_who_comes(stage: Stage, site: Site) -> None:
    domain = f"spam{site.id}.example"
    inside, below = (
        person_at(stage, site, domain),
        person_at(stage, site, f"mail.{domain}"),
    )
    alike = [
        person_at(stage, site, f"not{domain}"),
        person_at(stage, site, f"{domain}.org"),
        person_at(stage, site, f"spam{site.id}xexample.org"),
    ]
    path = ban(stage, site, {"domain": f"@{domain.upper()}", "reason": "Spam"})

    late = person_at(stage, site, domain)
    assert all(is_banned(stage, one) for one in (inside, below, late))
    assert not any(is_banned(stage, one) for one in (*alike, site.owner, site.member))
    assert stage.get(path, by=site.owner).data["domain"] == domain
    again = ban(stage, site, {"domain": domain, "reason": "Still spam"})
    assert again == path
    assert stage.get("/profiles", by=inside).error == "Still spam"

    stage.request("DELETE", path, by=site.owner)
    assert not any(is_banned(stage, one) for one in (inside, below, late))


def test_it_is_of_one_site_only(stage: Stage, site: Site) -> None:
    other = stage.make.site()
    domain = f"both{site.id}.example"
    person = person_at(stage, site, domain)
    ban(stage, site, {"domain": domain})
    assert is_banned(stage, person)
    assert stage.get("/profiles", site=other, token=person.token).status == 200


def test_nobody_is_banned_from_a_site_of_their_own(stage: Stage, site: Site) -> None:
    refused = stage.post("/bans", {"profileId": site.owner.id}, by=site.owner)
    assert refused.status == 400
    path = ban(stage, site, {"domain": site.owner.email.partition("@")[2]})
    assert not is_banned(stage, site.owner)
    assert is_banned(stage, site.moderator)
    stage.request("DELETE", path, by=site.owner)
    recorded = stage.sql(
        "SELECT item_id FROM audit_log WHERE site_id = %(id)s AND detail ->> 'verb' IN ('ban', 'lift')",
        id=site.id,
    )
    assert recorded.count((site.moderator.id,)) == 2
    assert (site.owner.id,) not in recorded


def test_a_new_ban_takes_the_place_of_the_old(stage: Stage, site: Site) -> None:
    for reason in ("One", "Two"):
        ban(stage, site, {"profileId": site.newcomer.id, "reason": reason})
    listed = stage.get("/bans", by=site.owner).data["bans"]
    mine = [one for one in listed["items"] if one["profile"]["id"] == site.newcomer.id]
    assert [one["reason"] for one in mine] == ["Two"]


def test_the_list_has_pages_and_a_fixed_cost(stage: Stage, site: Site) -> None:
    for _ in range(6):
        ban(stage, site, {"profileId": stage.make.person(site).id})
    first = stage.get("/bans?limit=5", by=site.owner)
    second = stage.get("/bans?limit=5&offset=5", by=site.owner)
    ids = [one["id"] for answer in (first, second) for one in answer.data["bans"]["items"]]
    assert ids == sorted(ids, reverse=True)
    # One of them is the cast's.
    assert (first.data["bans"]["total"], len(ids)) == (7, 7)
    assert stage.get("/bans?limit=5", by=site.owner).statements == 3
    assert stage.get("/bans?limit=5&offset=10", by=site.owner).status == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"profileId": 0}, 400),
        ({"profileId": "7"}, 400),
        ({"profileId": NEVER}, 404),
        ({"profileId": 1, "domain": "spam.example"}, 400),
        ({"domain": "spam"}, 400),
        ({"domain": "%.example"}, 400),
        ({"domain": "a b.example"}, 400),
        ({"domain": "x" * 300 + ".example"}, 400),
        ({"domain": "spam.example", "expires": "tomorrow"}, 400),
        ({"domain": "spam.example", "expires": "2027-01-01T00:00:00"}, 400),
        ({"domain": "spam.example", "expires": "2001-01-01T00:00:00Z"}, 400),
        ({"domain": "spam.example", "expires": "0001-01-01T00:00:00+23:00"}, 400),
        ({"domain": "spam.example", "reason": "x" * 501}, 400),
        ({"domain": "spam.example", "note": "x" * 2001}, 400),
    ],
)
def test_what_is_no_ban_is_refused(stage: Stage, body: Any, status: int) -> None:
    assert stage.post("/bans", body, by=stage.site.owner).status == status


def test_bans_are_the_owners_and_of_one_site(stage: Stage, site: Site) -> None:
    other = stage.make.site()
    path = ban(stage, site, {"profileId": site.newcomer.id})
    for by in (None, site.member, site.moderator):
        for method, address in (("GET", "/bans"), ("GET", path), ("DELETE", path)):
            assert stage.request(method, address, by=by, site=site).status == 403
        body = {"profileId": site.member.id}
        assert stage.request("POST", "/bans", body, by=by, site=site).status == 403
    assert stage.get(path, by=other.owner).status == 404
    assert stage.request("DELETE", path, by=other.owner).status == 200
    assert is_banned(stage, site.newcomer)
    assert stage.get("/bans", by=other.owner).data["bans"]["total"] == 1
    foreign = stage.post("/bans", {"profileId": site.member.id}, by=other.owner)
    assert foreign.status == 404


@pytest.mark.wide
def test_somebody_banned_sees_what_the_page_needs_and_nothing_else(
    stage: Stage, site: Site
) -> None:
    person = stage.make.person(site)
    chat = stage.make.conversation(site, by=person)
    comment = stage.make.comment(chat, by=person)
    ban(stage, site, {"profileId": person.id, "reason": "Enough"})
    ids = {
        "conversation": chat.id,
        "comment": comment.id,
        "microcosm": site.root_id,
        "profile": person.id,
        "user": person.user_id,
    }
    answered = set()
    for url, handler in routes.SITE.items():
        if not url.startswith("/api/v1/") or "<token>" in url or "/auth" in url:
            continue
        kind = re.search(r"<(\w+):item>", url)
        path = _PARAMETER.sub(str(ids.get(kind[1], 1) if kind else 1), url)
        for method in handler.operations:
            if handler.ignores_token or "/out/" in url:
                continue
            answer = stage.request(method, path.removeprefix("/api/v1"), by=person)
            if (answer.status, answer.status == 403 and answer.code) != (403, 13):
                answered.add((method, url, answer.status))

    # Whoever is banned takes their data out, and deletes their profile and account.
    profile, user = "/api/v1/profiles/<profile:item>", "/api/v1/users/<user:item>"
    own_data = {
        *((method, f"{profile}/export") for method in ("GET", "POST", "DELETE")),
        *((method, f"{of}/erasure") for method in ("GET", "DELETE") for of in (profile, user)),
        ("GET", f"{profile}/export/file"),
        ("GET", f"{profile}/quotations"),
        ("DELETE", profile),
        ("DELETE", user),
    }
    answered = {one for one in answered if one[:2] not in own_data}
    assert {(method, url) for method, url, status in answered if status == 200} == {
        ("GET", "/api/v1/site"),
        ("GET", "/api/v1/whoami"),
        ("GET", "/api/v1/profiles/<profile:item>"),
        ("GET", "/api/v1/statements"),
        ("GET", "/api/v1/appeals"),
    }
    # What else is let through to the first three changes nothing; there is no statement and appeal here.
    others = {(method, url, status) for method, url, status in answered if status != 200}
    reasons = {one for one in others if "statement" in one[1] or "appeal" in one[1]}
    assert {status for _, _, status in reasons} <= {400, 404}
    # Agents have tokens of their own.
    others.remove(("POST", "/api/v1/mcp", 401))
    assert {method for method, _, _ in others - reasons} <= {"PUT", "PATCH", "DELETE"}
    assert {url for _, url, _ in others - reasons} <= {
        "/api/v1/site",
        "/api/v1/profiles/<profile:item>",
    }
    own = stage.get(f"/profiles/{person.id}", by=person).data["meta"]["permissions"]
    assert {name for name, value in own.items() if value} == {"read", "banned"}
    other = stage.get(f"/profiles/{site.member.id}", by=person)
    assert (other.status, other.code) == (403, 13)


def test_the_audit_says_of_each_profile_that_a_ban_began_and_ended(
    stage: Stage, site: Site
) -> None:
    people = [person_at(stage, site, f"{site.key}.example") for _ in range(3)]
    path = ban(stage, site, {"domain": f"{site.key}.example", "reason": "Spam", "note": "Again"})
    assert stage.request("DELETE", path, by=site.owner).status == 200

    rows = stage.sql(
        """SELECT item_id, profile_id, detail::text FROM audit_log
            WHERE site_id = %(id)s AND detail IS NOT NULL ORDER BY audit_id""",
        id=site.id,
    )
    began = '{"note": "Again", "verb": "ban", "reason": "Spam"}'
    assert [row[1:] for row in rows] == [(site.owner.id, began)] * 3 + [
        (site.owner.id, '{"verb": "lift"}')
    ] * 3
    assert sorted(row[0] for row in rows[:3]) == sorted(one.id for one in people)
