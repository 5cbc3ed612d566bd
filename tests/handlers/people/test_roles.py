"""Roles: their routes, who may, what follows (platform 5.2, 5.5)."""

from __future__ import annotations

from typing import Any

import pytest

from forumapi.models.roles import role as roles
from tests.api import Api
from tests.factories import RIGHTS, Factory, Person, Site, Thing

FLAGS = tuple(roles.FLAGS)


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


@pytest.fixture
def place(make: Factory, site: Site) -> Thing:
    """A microcosm of the site."""
    return make.microcosm(site)


def path(at: Thing | None, *parts: object) -> str:
    """The address of the roles of a microcosm, or (None) of the site's default roles, or of something below."""
    base = f"{at.path}/roles" if at else "/api/v1/roles"
    return "/".join([base, *map(str, parts)])


def new_role(api: Api, at: Thing | None, by: Person, **sent: Any) -> int:
    """A role made over the API; its id."""
    made = api.post(path(at), {"title": "Ride leaders", **sent}, by=by)
    assert made.status == 302, made.body
    base, _, id = made.location.rpartition("/")
    assert base == path(at)
    return int(id)


def titles(answer: Any) -> list[str]:
    """The titles of a list of roles."""
    return [one["title"] for one in answer.data["roles"]["items"]]


def ids(answer: Any) -> list[int]:
    """The profiles of a list of profiles."""
    return [one["id"] for one in answer.data["profiles"]["items"]]


# ---------------------------------------------------------------- one role


def test_a_role_is_made_and_read(api: Api, site: Site, place: Thing) -> None:
    sent = {"title": " Ride <b>leaders</b> ", "create": True, "read": True, "closeOwn": True}
    made = api.post(path(place), sent, by=site.moderator)

    shown = api.follow(made, by=site.moderator).data
    true = {name for name in FLAGS if shown[name]}
    assert true == {"create", "read", "closeOwn"}
    assert shown["title"] == "Ride leaders"
    assert shown["siteId"] == site.id
    assert shown["microcosmId"] == place.id
    meta = shown["meta"]
    assert meta["createdBy"]["id"] == site.moderator.id
    assert "edited" not in meta
    own = path(place, shown["id"])
    assert [link["href"] for link in meta["links"]] == [own, place.path]
    assert {name for name, is_set in meta["permissions"].items() if is_set} == {"owner"}
    owners = api.get(own, by=site.owner).data["meta"]["permissions"]
    assert owners["update"]
    assert owners["siteOwner"]


def test_put_changes_what_is_sent(api: Api, site: Site, place: Thing) -> None:
    id = new_role(api, place, site.owner, read=True)

    changed = api.put(path(place, id), {"title": "Others", "create": True}, by=site.moderator)

    assert changed.location == path(place, id)
    shown = api.follow(changed, by=site.moderator).data
    assert (shown["title"], shown["read"], shown["create"]) == ("Others", True, True)
    assert shown["meta"]["editReason"] == "No reason given"
    assert shown["meta"]["editedBy"]["id"] == site.moderator.id
    again = {"id": 1, "microcosmId": site.root_id, "meta": {"editReason": "because"}}
    assert api.put(path(place, id), again, by=site.owner).status == 302
    shown = api.get(path(place, id), by=site.owner).data
    assert (shown["id"], shown["microcosmId"]) == (id, place.id)
    assert shown["meta"]["editReason"] == "because"


@pytest.mark.parametrize("flag", FLAGS)
def test_patch_sets_each_right(api: Api, site: Site, place: Thing, flag: str) -> None:
    id = new_role(api, place, site.owner)

    assert api.patch(path(place, id), (f"/{flag}", True), by=site.moderator).status == 200

    shown = api.get(path(place, id), by=site.owner).data
    assert [name for name in FLAGS if shown[name]] == [flag]
    assert shown["meta"]["editReason"] == f"Set {flag} to true"


def test_nobody_is_moderator_and_banned(api: Api, site: Site, place: Thing) -> None:
    both = {"title": "Both", "moderator": True, "banned": True}
    refused = api.post(path(place), both, by=site.owner)
    assert refused.status == 400
    assert "moderator" in refused.error
    id = new_role(api, place, site.owner, moderator=True)
    assert api.put(path(place, id), {"banned": True}, by=site.owner).status == 400
    assert api.patch(path(place, id), ("/banned", True), by=site.owner).status == 400
    exchange = (("/moderator", False), ("/banned", True))
    assert api.patch(path(place, id), *exchange, by=site.owner).status == 200


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"title": " "}, "title"),
        ({"title": "x" * 51}, "title"),
        ({"title": 3}, "title"),
        ({"read": 1, "title": "x"}, "read"),
        ({}, "title"),
    ],
)
def test_what_is_wrong_is_named(
    api: Api, site: Site, place: Thing, sent: dict[str, Any], field: str
) -> None:
    refused = api.post(path(place), sent, by=site.owner)

    assert refused.status == 400
    assert field in refused.error


def test_patches_that_are_none(api: Api, site: Site, place: Thing) -> None:
    id = new_role(api, place, site.owner)
    address = path(place, id)

    assert api.patch(address, ("/title", True), by=site.owner).status == 400
    assert api.request("PATCH", address, by=site.owner, json=[]).status == 400
    wrong = [{"op": "replace", "path": "/read", "value": "yes"}]
    refused = api.request("PATCH", address, by=site.owner, json=wrong)
    assert (refused.status, refused.code) == (400, 3)
    unbuilt = [{"op": "add", "path": "/read", "value": True}]
    assert api.request("PATCH", address, by=site.owner, json=unbuilt).status == 501


def test_a_repeated_submission_is_one_role(api: Api, site: Site, place: Thing) -> None:
    first = new_role(api, place, site.owner)

    assert new_role(api, place, site.owner) == first
    assert new_role(api, place, site.moderator) != first
    assert new_role(api, None, site.owner) != first
    assert api.delete(path(place, first), by=site.owner).status == 200
    assert new_role(api, place, site.owner) != first


def test_a_deleted_role_is_gone_with_all_of_it(
    api: Api, make: Factory, site: Site, place: Thing
) -> None:
    id = new_role(api, place, site.owner, read=True)
    api.put(path(place, id, "profiles", site.member.id), by=site.owner)
    api.post(path(place, id, "criteria"), CRITERION, by=site.owner)

    assert api.delete(path(place, id), by=site.moderator).status == 200

    for address in (path(place, id), path(place, id, "members"), path(place, id, "criteria")):
        assert api.get(address, by=site.owner).status == 404
    assert api.delete(path(place, id), by=site.owner).status == 404
    left = make.sql(
        """SELECT (SELECT count(*) FROM criteria WHERE site_id = %(s)s),
                  (SELECT count(*) FROM profiles WHERE site_id = %(s)s AND %(r)s = ANY(role_ids))""",
        s=site.id,
        r=id,
    )
    assert left == [(0, 0)]


CRITERION = {"profileColumn": "commentCount", "predicate": "ge", "value": 0}


def test_if_match_asks_the_roles_own_version(api: Api, site: Site, place: Thing) -> None:
    id = new_role(api, place, site.owner)
    tag = api.get(path(place, id), by=site.owner).headers["ETag"]
    sent = {"headers": {"If-Match": tag}, "by": site.owner}

    assert api.put(path(place, id), {"read": True}, **sent).status == 302
    assert api.put(path(place, id), {"read": False}, **sent).status == 412
    assert api.delete(path(place, id), **sent).status == 412
    assert api.get(path(place, id), by=site.owner).data["read"]


def test_every_change_is_audited(api: Api, make: Factory, site: Site, place: Thing) -> None:
    id = new_role(api, place, site.owner)
    api.put(path(place, id), {"read": True}, by=site.owner)
    api.patch(path(place, id), ("/read", False), by=site.owner)
    api.post(path(place, id, "criteria"), CRITERION, by=site.owner)
    api.delete(path(place, id), by=site.owner)

    rows = make.sql(
        "SELECT action FROM audit_log WHERE site_id = %(s)s AND item_type_id = 17 AND item_id = %(r)s "
        "ORDER BY audit_id",
        s=site.id,
        r=id,
    )
    assert [row[0] for row in rows] == ["C", "R", "U", "D"]


# ---------------------------------------------------------------- which role, and who may


@pytest.mark.wide
def test_only_managers_get_at_roles(api: Api, make: Factory, site: Site, place: Thing) -> None:
    id = new_role(api, place, site.owner)
    reads = [path(place, id, *rest) for rest in ((), ("members",), ("profiles",), ("criteria",))]
    for by in (None, site.member, site.newcomer):
        for address in reads:
            assert api.get(address, site=site, by=by).status == 403
        assert api.post(path(place), {"title": "x"}, site=site, by=by).status == 403
        assert api.put(path(place, id), {"read": True}, site=site, by=by).status == 403
        assert api.delete(path(place, id), site=site, by=by).status == 403
        named = path(place, id, "profiles", site.member.id)
        assert api.put(named, site=site, by=by).status == 403
        assert api.get(path(None), site=site, by=by).status == 403
        assert api.post(path(None), {"title": "x"}, site=site, by=by).status == 403
    # Whoever moderates the root manages its roles there; the site's own address is its owner's.
    root = Thing(site, 2, site.root_id)
    assert api.get(path(root, id), by=site.moderator).status == 404
    assert api.get(path(None), by=site.moderator).status == 403
    mine = make.microcosm(site, by=site.member)
    assert api.post(path(mine), {"title": "x"}, by=site.member).status == 302
    assert api.post(path(place), {"title": "x"}, by=site.member).status == 403


def test_a_role_is_found_at_its_own_microcosm_alone(
    api: Api, make: Factory, site: Site, place: Thing
) -> None:
    child = make.microcosm(site, parent=place)
    other = make.microcosm(site, by=site.member)
    id = new_role(api, place, site.owner, read=True)

    for at in (child, other, None):
        for rest in ((), ("members",), ("profiles",), ("criteria",)):
            assert api.get(path(at, id, *rest), by=site.owner).status == 404
        assert api.put(path(at, id), {"update": True}, by=site.owner).status == 404
        assert api.patch(path(at, id), ("/update", True), by=site.owner).status == 404
        assert api.delete(path(at, id), by=site.owner).status == 404
        assert api.put(path(at, id, "profiles", site.member.id), by=site.owner).status == 404
        assert api.post(path(at, id, "criteria"), CRITERION, by=site.owner).status == 404
    # The member owns `other`, and gets at nothing else through it (P-46).
    assert api.patch(path(other, id), ("/update", True), by=site.member).status == 404
    assert not api.get(path(place, id), by=site.owner).data["update"]


@pytest.mark.wide
def test_a_foreign_role_is_one_that_never_was(
    api: Api, make: Factory, site: Site, place: Thing, trains: Site
) -> None:
    there = make.microcosm(trains)
    id = new_role(api, there, trains.owner, read=True)
    never = 987_654_321
    for by in (None, site.member, site.moderator, site.owner):
        api.get("/api/v1/microcosms", site=site, by=by)
        for rest in ((), ("members",), ("profiles",), ("criteria",), ("criteria", 5)):
            for at in (place, None):
                theirs, none = (
                    api.get(path(at, number, *rest), site=site, by=by) for number in (id, never)
                )
                assert (theirs.status, theirs.body) == (none.status, none.body)
                assert theirs.statements == none.statements
        theirs, none = (
            api.put(path(place, number), {"read": True}, site=site, by=by) for number in (id, never)
        )
        assert (theirs.status, theirs.body) == (none.status, none.body)
        assert theirs.statements == none.statements


def test_a_microcosm_that_is_none(api: Api, site: Site) -> None:
    never = Thing(site, 2, 987_654_321)
    for by, status in ((None, 403), (site.member, 403), (site.moderator, 403), (site.owner, 404)):
        assert api.get(path(never), site=site, by=by).status == status
        assert api.get(path(never, 1), site=site, by=by).status == status
        assert api.post(path(never), {"title": "x"}, site=site, by=by).status == status


def test_an_id_that_is_no_number(api: Api, site: Site, place: Thing) -> None:
    refused = api.get(path(place, "abc-1"), by=site.owner)
    assert (refused.status, refused.code) == (400, 3)
    assert api.get(path(place, "9" * 30), by=site.owner).status == 400
    assert api.get(path(place, "abc", "members"), by=site.owner).status == 404
    assert api.get(path(None, "abc"), by=site.owner).status == 404


def test_a_role_that_moderates_and_reads_nothing_manages(
    api: Api, make: Factory, site: Site, place: Thing
) -> None:
    make.role(site, place.id, "Shut", rights=())
    keeper = make.person(site)
    make.join(make.role(site, place.id, "Keepers", moderator=True), keeper)
    id = new_role(api, place, site.owner)

    assert api.get(place.path, by=keeper).status == 403
    assert api.put(path(place, id), {"read": True}, by=keeper).status == 302
    assert api.get(path(place, id), by=keeper).data["read"]


# ---------------------------------------------------------------- the list


def test_the_list_holds_the_roles_that_apply(
    api: Api, make: Factory, site: Site, place: Thing
) -> None:
    inherited = api.get(path(place), by=site.owner)
    assert titles(inherited) == ["Moderators", "Guests", "Members", "Banned"]
    assert inherited.data["defaultRoles"] is True
    assert inherited.data["roles"]["type"] == "/api/v1/roles"
    assert {one["microcosmId"] for one in inherited.data["roles"]["items"]} == {site.root_id}

    new_role(api, place, site.owner, title="Zebras", read=True)
    new_role(api, place, site.owner, title="Ants", moderator=True)
    own = api.get(path(place), by=site.owner)
    assert titles(own) == ["Ants", "Moderators", "Zebras", "Banned"]
    assert "defaultRoles" not in own.data
    child = api.get(path(make.microcosm(site, parent=place)), by=site.owner)
    assert titles(child) == titles(own)
    assert child.data["defaultRoles"] is True
    assert titles(api.get(path(None), by=site.owner)) == [
        "Moderators",
        "Guests",
        "Members",
        "Banned",
    ]


def test_the_list_shows_members_to_managers_only(api: Api, site: Site, place: Thing) -> None:
    everybody = [site.owner, site.moderator, site.member, site.newcomer, site.banned]
    for by in (site.moderator, site.owner):
        listed = {one["title"]: one for one in api.get(path(place), by=by).data["roles"]["items"]}
        members = listed["Members"]["members"]
        assert members["total"] == 5
        assert [one["id"] for one in members["items"]] == sorted(p.id for p in everybody)
        assert (members["limit"], "links" in members) == (5, False)
        moderators = listed["Moderators"]["members"]
        assert [one["id"] for one in moderators["items"]] == [site.moderator.id]
    for reader in (None, site.member):
        shown = api.get(path(place), site=site, by=reader).data["roles"]["items"]
        assert [one["members"]["total"] for one in shown] == [1, 0, 5, 0]
        assert all(one["members"]["items"] == [] for one in shown)


def test_the_list_comes_in_pages(api: Api, site: Site, place: Thing) -> None:
    for number in range(7):
        new_role(api, place, site.owner, title=f"Role {number}")

    first = api.get(f"{path(place)}?limit=5", by=site.owner)
    second = api.get(f"{path(place)}?limit=5&offset=5", by=site.owner)
    assert titles(first)[:2] == ["Moderators", "Role 0"]
    assert titles(second) == ["Role 4", "Role 5", "Role 6", "Banned"]
    assert second.data["roles"]["total"] == 9
    assert api.get(f"{path(place)}?offset=50", by=site.owner).status == 400
    assert api.get(f"{path(place)}?limit=7", by=site.owner).status == 400


def test_the_list_costs_the_same_however_long(api: Api, site: Site, place: Thing) -> None:
    address = f"{path(place)}?limit=250"
    api.get(address, by=site.owner)
    few = api.get(address, by=site.owner).statements
    for number in range(5):
        id = new_role(api, place, site.owner, title=f"Role {number}")
        api.put(path(place, id, "profiles", site.member.id), by=site.owner)
    api.get(address, by=site.owner)

    assert api.get(address, by=site.owner).statements == few == 2


# ---------------------------------------------------------------- who is named


def test_profiles_are_named_and_taken_off(
    api: Api, make: Factory, site: Site, place: Thing
) -> None:
    id = new_role(api, place, site.owner, read=True)
    people = [make.person(site) for _ in range(3)]
    address = path(place, id, "profiles")

    two = [{"id": people[1].id}, {"id": people[0].id}]
    assert api.put(address, two, by=site.moderator).status == 200
    assert (
        api.put(address, [{"id": people[2].id}, {"id": people[0].id}], by=site.owner).status == 200
    )
    listed = api.get(address, by=site.owner)
    assert ids(listed) == sorted(person.id for person in people)
    assert listed.data["profiles"]["type"] == address
    assert api.get(place.path, by=people[0]).status == 200
    assert api.get(place.path, by=site.newcomer).status == 403

    assert api.request("DELETE", address, json=[{"id": people[0].id}], by=site.owner).status == 200
    assert api.get(place.path, by=people[0]).status == 403
    assert len(ids(api.get(address, by=site.owner))) == 2
    assert api.request("DELETE", address, json=[], by=site.owner).status == 200
    assert ids(api.get(address, by=site.owner)) == []
    assert api.get(place.path, by=people[1]).status == 403


def test_an_unknown_profile_names_nobody(
    api: Api, make: Factory, site: Site, place: Thing, trains: Site
) -> None:
    id = new_role(api, place, site.owner, read=True)
    address = path(place, id, "profiles")
    for stranger in (trains.member.id, 987_654_321):
        both = [{"id": site.newcomer.id}, {"id": stranger}]
        assert api.put(address, both, by=site.owner).status == 404
        assert api.put(f"{address}/{stranger}", by=site.owner).status == 404
        assert api.get(f"{address}/{stranger}", by=site.owner).status == 404
        assert api.delete(f"{address}/{stranger}", by=site.owner).status == 200
    assert api.put(address, [{}], by=site.owner).status == 400
    assert ids(api.get(address, by=site.owner)) == []


def test_one_profile_is_named_and_taken_off(api: Api, site: Site, place: Thing) -> None:
    id = new_role(api, place, site.owner, read=True)
    address = path(place, id, "profiles", site.newcomer.id)
    assert api.get(address, by=site.owner).status == 404

    named = api.put(address, by=site.moderator)
    assert named.location == address
    assert api.follow(named, by=site.owner).data["profileName"] == "newcomer"
    assert api.get(place.path, by=site.newcomer).status == 200
    assert api.delete(address, by=site.owner).status == 200
    assert api.delete(address, by=site.owner).status == 200
    assert api.get(address, by=site.owner).status == 404
    assert api.get(place.path, by=site.newcomer).status == 403


def test_members_are_those_who_are_named_or_everybody(api: Api, site: Site, place: Thing) -> None:
    id = new_role(api, place, site.owner, read=True, includeGuests=True)
    address = path(place, id, "members")
    assert ids(api.get(address, by=site.owner)) == []

    api.put(path(place, id, "profiles", site.newcomer.id), by=site.owner)
    assert ids(api.get(address, by=site.owner)) == [site.newcomer.id]
    # A guests' role is for those who are not signed in.
    assert api.get(place.path, site=site).status == 200
    assert api.get(place.path, by=site.member).status == 403
    api.patch(path(place, id), ("/includeUsers", True), by=site.owner)
    assert len(ids(api.get(address, by=site.owner))) == 5
    assert api.get(place.path, by=site.member).status == 200
    assert api.get(f"{address}?offset=25", by=site.owner).status == 400


# ---------------------------------------------------------------- what a role grants


def test_moderators_and_banned_add_up_down_the_tree(
    api: Api, make: Factory, site: Site, place: Thing
) -> None:
    child = make.microcosm(site, parent=place)
    aside = make.microcosm(site)
    chat = make.conversation(site, microcosm=child)
    keeper, nuisance = make.person(site), make.person(site)
    keepers = new_role(api, place, site.owner, title="Keepers", moderator=True)
    shut = new_role(api, place, site.owner, title="Shut", banned=True)
    api.put(path(place, keepers, "profiles", keeper.id), by=site.owner)
    api.put(path(place, shut, "profiles", nuisance.id), by=site.owner)

    for at in (place, child):
        can = api.get(at.path, by=keeper).data["meta"]["permissions"]
        # Moderating implies nothing else: the rest is a member's.
        assert {name for name, is_set in can.items() if is_set} == {
            "create",
            "read",
            "closeOwn",
            "readOthers",
            "moderator",
        }
        refused = api.get(at.path, by=nuisance)
        assert (refused.status, refused.code) == (403, 13)
    assert api.patch(chat.path, ("sticky", True), by=keeper).status == 403
    api.patch(path(place, keepers), ("/update", True), by=site.owner)
    assert api.patch(chat.path, ("sticky", True), by=keeper).status == 200
    assert not api.get(aside.path, by=keeper).data["meta"]["permissions"]["moderator"]
    assert api.get(aside.path, by=nuisance).status == 200
    # Banned wins over moderating; nobody shuts out the site's owner.
    api.put(path(place, shut, "profiles", keeper.id), by=site.owner)
    api.put(path(place, shut, "profiles", site.owner.id), by=site.owner)
    assert api.get(child.path, by=keeper).status == 403
    assert api.get(child.path, by=site.owner).status == 200


def test_a_regular_role_switches_the_inherited_ones_off_until_it_goes(
    api: Api, site: Site, place: Thing
) -> None:
    assert api.get(place.path, by=site.member).status == 200
    id = new_role(api, place, site.owner, title="Insiders", read=True)
    assert api.get(place.path, by=site.member).status == 403
    assert api.get(place.path, by=site.moderator).status == 200
    assert api.delete(path(place, id), by=site.owner).status == 200
    assert api.get(place.path, by=site.member).status == 200


def test_a_moderator_who_is_taken_off_manages_no_more(
    api: Api, make: Factory, site: Site, place: Thing
) -> None:
    keeper = make.person(site)
    role = make.role(site, place.id, "Keepers", moderator=True, rights=RIGHTS)
    make.join(role, keeper)
    id = new_role(api, place, keeper, title="Friends")

    assert api.delete(path(place, role[1], "profiles", keeper.id), by=keeper).status == 200
    assert api.patch(path(place, id), ("/read", True), by=keeper).status == 403
