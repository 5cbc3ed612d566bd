"""The people of a site, one profile, one's own options, marking read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from forumapi import itemtypes
from forumapi.cron import maintenance_jobs
from forumapi.models.people.profile import Profile, suggested_name
from forumapi.models.people.user import User
from tests.factories import Person, Site
from tests.stage import Stage, staged

_numbers = iter(range(1, 10_000))


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("profiles")) as made:
        yield made


@pytest.fixture
def site(stage: Stage) -> Site:
    """A site of the test's own, with the usual cast."""
    return stage.make.site()


@pytest.mark.parametrize(
    ("email", "name"),
    [
        ("ada@example.org", "ada"),
        ("ada+forum@example.org", "user5837"),
        ("a@example.org", "user5837"),
        (f"{'a' * 26}@example.org", "user5837"),
        (f"{'a' * 25}@example.org", "a" * 25),
    ],
)
def test_a_name_is_suggested_from_the_address_on_the_platform_alone(email: str, name: str) -> None:
    assert suggested_name(True, 7, email) == name
    assert suggested_name(False, 7, email) == "user5837"


def names(answer: Any) -> list[str]:
    """The names of a page of people."""
    return [one["profileName"] for one in answer.data["profiles"]["items"]]


def person(stage: Stage, site: Site, name: str, comments: int = 0) -> Person:
    """Somebody of exactly this name, with so many comments."""
    made = stage.make.person(site, f"p{next(_numbers)}")
    stage.sql(
        "UPDATE profiles SET profile_name = %(n)s, version = version + 1 WHERE site_id = %(s)s AND profile_id = %(p)s",
        n=name,
        s=site.id,
        p=made.id,
    )
    stage.sql(
        "UPDATE profile_counters SET comment_count = %(c)s WHERE site_id = %(s)s AND profile_id = %(p)s",
        c=comments,
        s=site.id,
        p=made.id,
    )
    return Person(site, made.id, made.user_id, name, made.email, made.token)


# ---------------------------------------------------------------- the list


def test_people_are_listed_by_name_and_anyone_may_look(stage: Stage, site: Site) -> None:
    person(stage, site, "Zoë")
    person(stage, site, "adam")
    for by in (None, site.member, site.owner):
        answer = stage.get("/profiles", by=by, site=site)
        assert answer.status == 200
        assert names(answer) == [
            "adam",
            "banned",
            "member",
            "moderator",
            "newcomer",
            "owner",
            "Zoë",
        ]
        assert answer.data["profiles"]["total"] == 7
        assert answer.data["profiles"]["type"] == "/api/v1/profiles"
        assert answer.data["meta"]["links"] == [{"rel": "self", "href": "/api/v1/profiles"}]


def test_the_list_names_no_addresses(stage: Stage, site: Site) -> None:
    for by in (site.member, site.owner, None):
        assert b"@" not in stage.get("/profiles", by=by, site=site).body


def test_a_prefix_is_literal_and_any_case(stage: Stage, site: Site) -> None:
    for name in ("percy", "Percival", "per%nt", "per_nt", "per&amp;nt", "apercu"):
        person(stage, site, name)
    for q, expected in (
        ("PER", ["per%nt", "per&amp;nt", "per_nt", "Percival", "percy"]),
        ("@percy", ["percy"]),
        ("%2B%2Bperc", ["Percival", "percy"]),
        ("per%25", ["per%nt"]),
        ("per_", ["per_nt"]),
        ("per%26", ["per&amp;nt"]),
        ("%25", []),
        ("nobody", []),
    ):
        answer = stage.get(f"/profiles?q={q}", site=site)
        assert names(answer) == expected, q
        assert answer.data["profiles"]["total"] == len(expected)


def test_top_is_by_comments_and_an_exact_name_comes_first(stage: Stage, site: Site) -> None:
    for name, comments in (("ann", 3), ("anna", 9), ("annabel", 9), ("bob", 20)):
        person(stage, site, name, comments)
    assert names(stage.get("/profiles?top=true", site=site))[:4] == [
        "bob",
        "anna",
        "annabel",
        "ann",
    ]
    assert names(stage.get("/profiles?top=True&q=ANN", site=site)) == ["ann", "anna", "annabel"]
    assert names(stage.get("/profiles?q=anna", site=site)) == ["anna", "annabel"]


def test_following_and_online_narrow_the_list(stage: Stage, site: Site) -> None:
    friend, away = person(stage, site, "friend"), person(stage, site, "away")
    stage.watch(site.member, itemtypes.PROFILE, friend.id)
    stage.watch(site.member, itemtypes.PROFILE, away.id)
    stage.sql(
        """UPDATE profile_counters SET last_active = now() - interval '91 minutes'
            WHERE site_id = %(s)s AND profile_id = %(p)s""",
        s=site.id,
        p=away.id,
    )
    assert names(stage.get("/profiles?following=true", by=site.member)) == ["away", "friend"]
    assert names(stage.get("/profiles?following=true&online=true", by=site.member)) == ["friend"]
    assert names(stage.get("/profiles?following=1", site=site)) == []
    assert "away" not in names(stage.get("/profiles?online=t", site=site))
    for nonsense in ("following=maybe", "online=2", "top="):
        assert "away" in names(stage.get(f"/profiles?{nonsense}", by=site.member))


def test_ignored_people_and_the_placeholder_are_left_out(stage: Stage, site: Site) -> None:
    person(stage, site, "deleted")
    before = stage.get("/profiles", by=site.member).data["profiles"]["total"]
    assert "deleted" not in names(stage.get("/profiles", by=site.member))
    stage.make.ignore(site.member, site.newcomer)
    after = stage.get("/profiles", by=site.member)
    assert after.data["profiles"]["total"] == before - 1
    assert "newcomer" not in names(after)
    assert "newcomer" in names(stage.get("/profiles", by=site.owner))


def test_pages_and_their_ends(stage: Stage, site: Site) -> None:
    first = stage.get("/profiles?limit=5", site=site)
    assert names(first) == ["banned", "member", "moderator", "newcomer", "owner"]
    person(stage, site, "zed")
    last = stage.get("/profiles?limit=5&offset=5", site=site)
    assert names(last) == ["zed"]
    assert last.data["profiles"]["links"][0]["rel"] == "prev"
    assert last.data["meta"]["links"][0]["href"] == "/api/v1/profiles?limit=5&offset=5"
    for query, code in (("limit=5&offset=10", 4), ("limit=7", 4), ("offset=x", 3)):
        answer = stage.get(f"/profiles?{query}", site=site)
        assert (answer.status, answer.code) == (400, code), query


def test_the_list_says_how_its_viewer_watches_it(stage: Stage, site: Site) -> None:
    assert stage.get("/profiles", by=site.member).data["meta"]["flags"] == {}
    stage.watch(site.member, itemtypes.PROFILE, 0, email=True)
    flags = stage.get("/profiles", by=site.member).data["meta"]["flags"]
    assert flags == {"watched": True, "sendEmail": True, "sendSMS": False}
    assert stage.get("/profiles", by=site.owner).data["meta"]["flags"] == {}


def test_the_list_costs_two_round_trips_and_a_held_one_is_304(stage: Stage, site: Site) -> None:
    stage.get("/profiles", by=site.member)
    answer = stage.get("/profiles", by=site.member)
    assert answer.statements == 2
    held = stage.get("/profiles", by=site.member, headers={"If-None-Match": answer.headers["ETag"]})
    assert (held.status, held.body) == (304, b"")
    stage.make.ignore(site.member, site.newcomer)
    changed = stage.get(
        "/profiles", by=site.member, headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert changed.status == 200


def test_posting_a_profile_leads_to_ones_own(stage: Stage, site: Site) -> None:
    answer = stage.post("/profiles", {"profileName": "another"}, by=site.member)
    assert (answer.status, answer.location) == (302, site.member.path)
    guest = stage.post("/profiles", {"profileName": "another"}, site=site)
    assert (guest.status, guest.code) == (403, 5)


# ---------------------------------------------------------------- one profile


def test_only_oneself_and_the_sites_owner_see_address_and_membership(
    stage: Stage, site: Site
) -> None:
    assert stage.member_flag(site.member, True, by=site.owner).status == 200
    path = f"/profiles/{site.member.id}"
    for insider in (site.member, site.owner):
        shown = stage.get(path, by=insider).data
        assert (shown["email"], shown["member"]) == (site.member.email, True)
    for by in (None, site.newcomer, site.moderator):
        answer = stage.get(path, by=by, site=site)
        assert "email" not in answer.data
        assert "member" not in answer.data
        assert site.member.email.encode() not in answer.body
    assert "stats" in stage.get(path, by=site.member).data["meta"]
    assert "stats" not in stage.get(path, by=site.owner).data["meta"]


def test_a_profile_shows_the_newest_comment_on_it(stage: Stage, site: Site) -> None:
    path = f"/profiles/{site.member.id}"
    assert stage.get(path, by=site.newcomer).data["profileComment"] is None
    said = stage.make.comment(site.member, by=site.member, markdown="I *ride*")
    for answer in (stage.get(path, by=site.newcomer), stage.get("/whoami", by=site.member)):
        bio = answer.data["profileComment"]
        assert bio["id"] == said.id
        assert bio["html"] == "<p>I <em>ride</em></p>\n"
        assert bio["meta"]["createdBy"]["id"] == site.member.id
    reply = stage.make.comment(site.member, by=site.newcomer, markdown="Do you?", reply_to=said)
    bio = stage.get(path, by=site.owner).data["profileComment"]
    assert bio["id"] == reply.id
    assert [link["rel"] for link in bio["meta"]["links"]][-2:] == ["inReplyTo", "inReplyToAuthor"]


def test_the_viewers_own_flags_are_shown(stage: Stage, site: Site) -> None:
    path = f"/profiles/{site.member.id}"
    stage.watch(site.newcomer, itemtypes.PROFILE, site.member.id)
    assert stage.get(path, by=site.newcomer).data["meta"]["flags"] == {
        "watched": True,
        "sendEmail": False,
        "sendSMS": False,
    }
    stage.make.ignore(site.owner, site.member)
    assert stage.get(path, by=site.owner).data["meta"]["flags"] == {"ignored": True}
    assert stage.get(path, site=site).data["meta"]["flags"] == {}


def test_a_profile_takes_two_round_trips_and_whoami_one(stage: Stage, site: Site) -> None:
    stage.make.comment(site.member, by=site.newcomer)
    path = f"/profiles/{site.member.id}"
    for _ in range(2):
        shown, me = stage.get(path, by=site.newcomer), stage.get("/whoami", by=site.member)
        guest = stage.get(path, site=site)
    assert (shown.statements, me.statements, guest.statements) == (2, 1, 1)


def test_whoami_is_for_those_who_are_signed_in(stage: Stage, site: Site) -> None:
    me = stage.get("/whoami", by=site.member)
    assert me.data["meta"]["stats"] == [{"metric": "unreadHuddles", "value": 0}]
    rights = me.data["meta"]["permissions"]
    assert [name for name, value in rights.items() if value] == [
        "create",
        "read",
        "update",
        "owner",
    ]
    assert stage.get("/whoami", site=site).code == 5
    assert stage.request("HEAD", "/whoami", by=site.member).status == 200
    assert stage.request("DELETE", "/whoami", by=site.member).status == 405


def test_whoami_is_another_answer_after_each_thing_it_shows(stage: Stage, site: Site) -> None:
    tag = ""
    for change in (
        "UPDATE profiles SET gender = 'x', version = version + 1",
        "UPDATE profile_counters SET comment_count = comment_count + 1",
        "UPDATE profile_counters SET unread_huddles = 3",
        "UPDATE profile_counters SET last_active = now()",
    ):
        stage.sql(
            f"{change} WHERE site_id = %(s)s AND profile_id = %(p)s", s=site.id, p=site.member.id
        )
        answer = stage.get("/whoami", by=site.member, headers={"If-None-Match": tag})
        assert answer.status == 200, change
        tag = answer.headers["ETag"]
    assert stage.get("/whoami", by=site.member, headers={"If-None-Match": tag}).status == 304


def test_another_sites_profile_is_one_that_never_was(stage: Stage, site: Site) -> None:
    other = stage.make.site()
    stage.get("/permission?itemType=site", by=site.member)
    for by in (None, site.member, site.owner):
        for method, body in (
            ("GET", None),
            ("PUT", {"gender": "x"}),
            ("PATCH", [{"op": "replace", "path": "/member", "value": True}]),
        ):
            stage.app.sites.poll()
            theirs = stage.request(method, f"/profiles/{other.member.id}", body, by=by, site=site)
            never = stage.request(method, "/profiles/999999999", body, by=by, site=site)
            assert (theirs.status, theirs.body) == (never.status, never.body)
            assert theirs.statements == never.statements
            assert theirs.status in (403, 404)
    assert stage.get("/profiles/999999999", by=site.member).status == 404


def test_on_the_platforms_own_host_there_is_only_oneself(stage: Stage, site: Site) -> None:
    me = stage.get("/whoami", token=site.member.token, host="localhost")
    assert me.data["siteId"] == 1
    own = f"/profiles/{me.data['id']}"
    assert stage.get(own, token=site.member.token, host="localhost").status == 200
    for token in ("", site.newcomer.token):
        assert stage.get(own, token=token, host="localhost").status == 403
    assert stage.get("/profiles", token=site.member.token, host="localhost").status == 404


# ---------------------------------------------------------------- changes


def test_a_profile_changes_itself(stage: Stage, site: Site) -> None:
    path = f"/profiles/{site.member.id}"
    body = {"profileName": "Rider One", "gender": "<b>f</b> & m", "visible": False, "styleId": 3}
    answer = stage.put(path, body, by=site.member)
    assert (answer.status, answer.location) == (302, site.member.path)
    shown = stage.get(path, by=site.member).data
    assert shown["profileName"] == "RiderOne"
    assert shown["gender"] == "f &amp; m"
    assert (shown["visible"], shown["styleId"]) == (False, 3)
    stage.put(path, {"gender": ""}, by=site.member)
    shown = stage.get(path, by=site.member).data
    assert "gender" not in shown
    assert (shown["profileName"], shown["styleId"]) == ("RiderOne", 3), "what is not sent stays"


def test_a_client_may_send_the_whole_object_back(stage: Stage, site: Site) -> None:
    someone = person(stage, site, "O&#39;Hara")
    path = f"/profiles/{someone.id}"
    shown = stage.get(path, by=someone).data
    body = shown | {"id": site.owner.id, "siteId": 1, "userId": 1, "commentCount": 999}
    assert stage.put(path, body, by=someone).status == 302
    after = stage.get(path, by=someone).data
    assert after == shown | {"lastActive": after["lastActive"]}
    assert stage.get(f"/profiles/{site.owner.id}", by=someone).data["profileName"] == "owner"


@pytest.mark.parametrize(
    "body",
    [
        {"profileName": "x"},
        {"profileName": "x" * 26},
        {"profileName": "a@b"},
        {"profileName": "a+b"},
        {"profileName": "  "},
        {"profileName": "<b></b>"},
        {"profileName": "Administrator"},
        {"profileName": "newcomer"},
        {"profileName": "NewComer"},
        {"gender": "x" * 17},
        {"styleId": -1},
        {"styleId": 2**40},
        {"styleId": "3"},
        {"visible": "yes"},
        {"profileName": 5},
    ],
)
def test_what_breaks_a_rule_is_refused_and_nothing_is_changed(
    stage: Stage, site: Site, body: dict[str, Any]
) -> None:
    path = f"/profiles/{site.member.id}"
    before = stage.get(path, by=site.member).data
    answer = stage.put(path, {"gender": "changed", **body}, by=site.member)
    assert answer.status == 400
    assert answer.error.startswith(next(iter(body)))
    after = stage.get(path, by=site.member).data
    assert after == before | {"lastActive": after["lastActive"]}


def test_the_longest_name_counts_characters_not_entities(stage: Stage, site: Site) -> None:
    path = f"/profiles/{site.member.id}"
    assert stage.put(path, {"profileName": "&" * 25}, by=site.member).status == 302
    assert stage.get(path, by=site.member).data["profileName"] == "&amp;" * 25


def test_only_oneself_and_the_sites_owner_change_a_profile(stage: Stage, site: Site) -> None:
    path = f"/profiles/{site.member.id}"
    for by, status in ((None, 403), (site.newcomer, 403), (site.moderator, 403), (site.owner, 302)):
        assert stage.put(path, {"gender": "x"}, by=by, site=site).status == status


def test_a_change_moves_the_profiles_version_and_its_summary_everywhere(
    stage: Stage, site: Site
) -> None:
    path = f"/profiles/{site.member.id}"
    tag = stage.get(path, by=site.member).headers["ETag"]
    stage.get("/profiles", by=site.newcomer)
    stage.put(path, {"profileName": "renamed"}, by=site.member, headers={"If-Match": tag})
    assert "renamed" in names(stage.get("/profiles", by=site.newcomer))
    late = stage.put(path, {"profileName": "again"}, by=site.member, headers={"If-Match": tag})
    assert late.status == 412


def test_the_site_document_follows_its_owners_name(stage: Stage, site: Site) -> None:
    stage.put(f"/profiles/{site.owner.id}", {"profileName": "thequeen"}, by=site.owner)
    ((version,),) = stage.sql("SELECT version FROM sites WHERE site_id = %(s)s", s=site.id)
    stage.put(f"/profiles/{site.member.id}", {"profileName": "subject"}, by=site.member)
    assert stage.sql("SELECT version FROM sites WHERE site_id = %(s)s", s=site.id) == [(version,)]
    assert version == 2


def test_membership_is_the_site_owners_to_give(stage: Stage, site: Site) -> None:
    assert stage.member_flag(site.member, True, by=site.owner).status == 200
    assert stage.get("/whoami", by=site.member).data["member"] is True
    attributes = stage.sql(
        "SELECT key, boolean_value FROM attributes WHERE site_id = %(s)s AND item_type_id = 3 AND item_id = %(p)s",
        s=site.id,
        p=site.member.id,
    )
    assert attributes == [("is_member", True)]
    for by in (site.member, site.moderator, None):
        refused = stage.member_flag(site.member, False, by=by, site=site)
        assert (refused.status, refused.code) == (403, 8)
    assert stage.member_flag(site.member, False, by=site.owner).status == 200
    assert "member" not in stage.get("/whoami", by=site.member).data


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ([], 400),
        ([{"op": "replace", "path": "/profileName", "value": True}], 400),
        ([{"op": "replace", "path": "/member", "value": "true"}], 400),
        ([{"op": "replace", "path": "/member", "value": None}], 400),
        ([{"op": "replace", "path": "/member"}], 400),
        ([{"op": "add", "path": "/member", "value": True}], 501),
        ({"op": "replace"}, 400),
    ],
)
def test_other_patches_are_refused(stage: Stage, site: Site, document: Any, status: int) -> None:
    path = f"/profiles/{site.member.id}"
    assert stage.request("PATCH", path, document, by=site.owner).status == status


def test_changes_are_audited(stage: Stage, site: Site) -> None:
    stage.put(f"/profiles/{site.member.id}", {"gender": "x"}, by=site.member, ip="203.0.113.5")
    stage.member_flag(site.member, True, by=site.owner, ip="203.0.113.6")
    rows = stage.sql(
        """SELECT action, profile_id, host(ip) FROM audit_log
            WHERE site_id = %(s)s AND item_type_id = 3 AND item_id = %(p)s AND action <> 'C' ORDER BY audit_id""",
        s=site.id,
        p=site.member.id,
    )
    assert rows == [("R", site.member.id, "203.0.113.5"), ("U", site.owner.id, "203.0.113.6")]


# ---------------------------------------------------------------- options


def test_options_are_merged_and_nobody_clears_a_mark(stage: Stage, site: Site) -> None:
    assert stage.get("/profiles/options", by=site.member).data == {
        "profileId": site.member.id,
        "showDOB": False,
        "showDOBYear": False,
        "sendEmail": True,
        "sendSMS": False,
        "isDiscouraged": False,
    }
    stage.sql(
        """UPDATE profile_options SET show_dob = true, is_discouraged = true
            WHERE site_id = %(s)s AND profile_id = %(p)s""",
        s=site.id,
        p=site.member.id,
    )
    body = {"sendEmail": False, "sendSMS": True, "isDiscouraged": False}
    answer = stage.put("/profiles/options", body, by=site.member)
    assert (answer.status, answer.location) == (302, "/api/v1/profiles/options")
    shown = stage.get("/profiles/options", by=site.member).data
    assert (shown["sendEmail"], shown["sendSMS"]) == (False, True)
    assert (shown["showDOB"], shown["isDiscouraged"]) == (True, True)


def test_options_are_for_those_who_are_signed_in(stage: Stage, site: Site) -> None:
    assert stage.get("/profiles/options", site=site).status == 403
    assert stage.put("/profiles/options", {"sendEmail": True}, site=site).status == 403
    assert stage.put("/profiles/options", {"sendEmail": "x"}, by=site.member).code == 3


# ---------------------------------------------------------------- reading


def marks(stage: Stage, by: Person) -> list[tuple[int, int]]:
    """(type, id) of what has a mark."""
    return stage.sql(
        "SELECT item_type_id, item_id FROM read_marks WHERE site_id = %(s)s AND profile_id = %(p)s ORDER BY 1, 2",
        s=by.site.id,
        p=by.id,
    )


def read(stage: Stage, by: Person | None, kind: str, id: int | None = None, **how: Any) -> int:
    """The status of marking something read."""
    body = {"itemType": kind} | ({} if id is None else {"itemId": id})
    return stage.put("/profiles/read", body, by=by, **how).status


def test_items_and_microcosms_are_marked_and_the_site_replaces_them(
    stage: Stage, site: Site
) -> None:
    place = stage.make.microcosm(site)
    below = stage.make.microcosm(site, parent=place)
    talk = stage.make.conversation(site, microcosm=place)
    assert read(stage, site.newcomer, "conversation", talk.id) == 200
    assert read(stage, site.newcomer, "Microcosm", place.id) == 200
    assert marks(stage, site.newcomer) == [(2, place.id), (2, below.id), (6, talk.id)]
    assert read(stage, site.newcomer, "site") == 200
    assert marks(stage, site.newcomer) == []


def test_huddles_are_marked_one_by_one_or_all(stage: Stage, site: Site) -> None:
    first, second = (stage.huddle(site.member, site.newcomer) for _ in range(2))
    for huddle in (first, second):
        stage.make.comment(huddle, by=site.member)
    stage.sql(
        "UPDATE profile_counters SET unread_huddles = 2 WHERE site_id = %(s)s AND profile_id = %(p)s",
        s=site.id,
        p=site.newcomer.id,
    )

    def unread() -> int:
        return int(stage.get("/whoami", by=site.newcomer).data["meta"]["stats"][0]["value"])

    assert unread() == 2
    assert read(stage, site.newcomer, "huddle", first.id) == 200
    assert unread() == 1
    assert read(stage, site.newcomer, "huddle", 0) == 200
    assert unread() == 0
    assert marks(stage, site.newcomer) == []
    assert read(stage, site.moderator, "huddle", first.id) == 404


def test_what_cannot_be_read_or_named_is_not_marked(stage: Stage, site: Site) -> None:
    other = stage.make.site()
    theirs = stage.make.conversation(other)
    closed = stage.make.microcosm(site)
    stage.make.role(site, closed.id, "Nobody")
    hidden = stage.make.conversation(site, microcosm=closed)
    for id in (theirs.id, hidden.id, 999999999):
        assert read(stage, site.newcomer, "conversation", id) == 404
    assert read(stage, site.newcomer, "microcosm", closed.id) == 404
    for kind, unfit in (
        ("zebra", 1),
        ("comment", 1),
        ("conversation", 0),
        ("huddle", -1),
        ("poll", None),
    ):
        assert read(stage, site.newcomer, kind, unfit) == 400
    assert read(stage, None, "site", site=site) == 403


def test_several_things_are_marked_at_once_or_none(stage: Stage, site: Site) -> None:
    me, make = site.newcomer, stage.make
    place = make.microcosm(site)
    talk, event = make.conversation(site), make.event(site)
    huddle = stage.huddle(site.member, me)
    make.comment(huddle, by=site.member)
    batch = [
        {"itemType": "microcosm", "itemId": place.id},
        {"itemType": "conversation", "itemId": talk.id},
        {"itemType": "event", "itemId": event.id},
        {"itemType": "event", "itemId": event.id},
        {"itemType": "huddle", "itemId": huddle.id},
    ]
    missing = {"itemType": "conversation", "itemId": 999999999}

    refused = stage.put("/profiles/read/batch", [*batch, missing], by=me)
    assert refused.status == 404
    assert "body[5].itemId" in refused.error
    assert marks(stage, me) == []

    assert stage.put("/profiles/read/batch", batch, by=me).status == 200
    assert marks(stage, me) == [(2, place.id), (5, huddle.id), (6, talk.id), (9, event.id)]

    everything = [{"itemType": "site"}, {"itemType": "huddle", "itemId": 0}, batch[1], batch[4]]
    assert stage.put("/profiles/read/batch", everything, by=me).status == 200
    assert marks(stage, me) == []
    assert stage.get("/whoami", by=me).data["meta"]["stats"][0]["value"] == 0


def test_a_batch_of_marks_costs_as_much_as_one_and_has_an_end(stage: Stage, site: Site) -> None:
    things = [
        {"itemType": "conversation", "itemId": stage.make.conversation(site).id} for _ in range(10)
    ]
    stage.get("/whoami", by=site.newcomer)
    one = stage.put("/profiles/read/batch", things[:1], by=site.newcomer)
    many = stage.put("/profiles/read/batch", things, by=site.newcomer)
    assert (one.status, many.status) == (200, 200)
    assert one.statements == many.statements
    for batch in ([], [things[0]] * 101):
        assert stage.put("/profiles/read/batch", batch, by=site.newcomer).status == 400
    unfit = stage.put("/profiles/read/batch", [things[0], {"itemType": "zebra"}], by=site.newcomer)
    assert unfit.status == 400
    assert "body[1].itemType" in unfit.error
    assert stage.put("/profiles/read/batch", things, site=site).status == 403


# ---------------------------------------------------------------- names that look alike (UTS 39)


def looked_at(stage: Stage) -> None:
    """Let the job note the looks of names that were written by hand, or by the release before."""
    done = ""
    while done != "0 names":
        with stage.app.database.write() as tx:
            done = maintenance_jobs.name_looks(tx, stage.config)


@pytest.mark.parametrize("imitation", ["оwner", "0wner", "ｏｗｎｅｒ", "nеwcomer", "newcorner"])
def test_nobody_takes_a_name_that_looks_like_anothers(
    stage: Stage, site: Site, imitation: str
) -> None:
    looked_at(stage)
    someone = person(stage, site, f"plain{site.id}")
    path = f"/profiles/{someone.id}"

    refused = stage.put(path, {"profileName": imitation}, by=someone)

    assert (refused.status, refused.error) == (400, "profileName: looks like another's")
    assert stage.put(path, {"profileName": f"{imitation}fan"}, by=someone).status == 302
    # On another site nobody is called so.
    elsewhere = person(stage, stage.make.site(), f"plain{site.id}")
    theirs = f"/profiles/{elsewhere.id}"
    stage.sql(
        "UPDATE profiles SET profile_name = 'x' || profile_id WHERE site_id = %(s)s RETURNING 1",
        s=elsewhere.site.id,
    )
    assert stage.put(theirs, {"profileName": imitation}, by=elsewhere).status == 302


def test_ones_own_name_may_change_its_looks(stage: Stage, site: Site) -> None:
    someone = person(stage, site, f"Bill{site.id}")
    looked_at(stage)
    for name in (f"bi11{site.id}", f"BILL{site.id}"):
        assert stage.put(f"/profiles/{someone.id}", {"profileName": name}, by=someone).status == 302


def test_a_name_that_is_numbered_is_not_cut_through_an_entity(stage: Stage) -> None:
    name = "x" * 22 + "&#39;y"
    with stage.app.database.write() as tx:
        ids = [
            Profile.insert(
                tx,
                stage.site.id,
                User.find_or_create(tx, f"o{number}@entity.test", is_verified=True).id,
                name,
            )
            for number in range(2)
        ]
    rows = stage.sql(
        "SELECT profile_name FROM profiles WHERE profile_id = ANY(%(i)s) ORDER BY profile_id", i=ids
    )
    assert rows == [(name,), (f"{name}2",)]


def test_reserved_names_are_not_imitated_either(stage: Stage, site: Site) -> None:
    for name in ("Аdministrator", "adrninistrator"):
        refused = stage.put(f"/profiles/{site.member.id}", {"profileName": name}, by=site.member)
        assert (refused.status, refused.error) == (400, "profileName: is reserved")


def test_a_name_that_is_made_without_asking_imitates_nobody(stage: Stage) -> None:
    with stage.app.database.write() as tx:
        first = User.find_or_create(tx, "wanderer@looks.test", is_verified=True)
        second = User.find_or_create(tx, "wаnderer@looks.test", is_verified=True)
        ids = [
            Profile.insert(tx, stage.site.id, first.id, "wanderer"),
            Profile.insert(tx, stage.site.id, second.id, "wаnderer"),
        ]
    rows = stage.sql(
        "SELECT profile_name FROM profiles WHERE profile_id = ANY(%(i)s) ORDER BY 1", i=ids
    )
    assert rows == [("wanderer",), ("wаnderer2",)]


def test_a_rename_by_hand_is_looked_at_anew(stage: Stage, site: Site) -> None:
    someone, other = person(stage, site, f"plain{site.id}"), person(stage, site, f"other{site.id}")
    looked_at(stage)
    stage.sql(
        "UPDATE profiles SET profile_name = 'Roller' WHERE profile_id = %(p)s RETURNING 1",
        p=someone.id,
    )
    looked_at(stage)
    assert stage.put(f"/profiles/{other.id}", {"profileName": "RоIIer"}, by=other).status == 400
