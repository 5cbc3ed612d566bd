"""Moderators of microcosms, named where the owner of a site chose it, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Api
from tests.factories import Factory, Person, Site


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


def choose(api: Api, site: Site, choice: object) -> None:
    done = api.put("/api/v1/site", {"namesModerators": choice}, by=site.owner)
    assert done.status in (200, 302), done.body


def shown(api: Api, site: Site, id: int, by: Person | None = None) -> dict[str, Any]:
    answer = api.get(f"/api/v1/microcosms/{id}", by=by, site=site)
    assert answer.status == 200, answer.body
    data: dict[str, Any] = answer.data
    return data


def test_nobody_is_named_before_the_owner_chose_it(api: Api, site: Site) -> None:
    found = shown(api, site, site.root_id, site.owner)

    assert found["moderators"] == [] and "moderatedBy" not in found
    assert "namesModerators" not in api.get("/api/v1/site", site=site).data


def test_a_microcosm_names_its_owner_and_its_moderators(
    api: Api, make: Factory, site: Site
) -> None:
    place = make.microcosm(site, "Lamps")
    other = make.microcosm(site, "Locks")
    person = make.person(site, "Lucy")
    make.join(make.role(site, place.id, "Keepers", moderator=True), person)
    readers = make.role(site, place.id, "Readers", guests=True, users=True, rights=("read",))
    make.join(readers, site.newcomer)
    choose(api, site, True)

    assert api.get("/api/v1/site", site=site).data["namesModerators"] is True
    for by in (None, site.member):
        found = shown(api, site, place.id, by)
        names = {one["profileName"] for one in found["moderatedBy"]}
        assert {"Lucy", site.moderator.name} <= names
        assert site.newcomer.name not in names and site.member.name not in names
        assert found["moderators"] == sorted(one["id"] for one in found["moderatedBy"])
    assert person.id not in shown(api, site, other.id)["moderators"]
    listed = api.get("/api/v1/microcosms", site=site).data["items"]["items"]
    assert all(one["item"].get("moderators", []) == [] for one in listed)


def test_it_follows_roles_and_the_choice_at_once(api: Api, make: Factory, site: Site) -> None:
    person = make.person(site, "Lucy")
    role = make.role(site, site.root_id, "Keepers", moderator=True)
    choose(api, site, True)
    assert person.id not in shown(api, site, site.root_id)["moderators"]

    make.join(role, person)
    assert person.id in shown(api, site, site.root_id)["moderators"]
    make.sql("UPDATE profiles SET role_ids = '{}' WHERE profile_id = %(id)s", id=person.id)
    assert person.id not in shown(api, site, site.root_id)["moderators"]
    choose(api, site, False)
    assert shown(api, site, site.root_id)["moderators"] == []


def test_a_page_that_was_kept_is_none_after_a_change(api: Api, make: Factory, site: Site) -> None:
    person = make.person(site, "Lucy")
    role = make.role(site, site.root_id, "Keepers", moderator=True)
    choose(api, site, True)
    path = f"/api/v1/microcosms/{site.root_id}"
    before = api.get(path, site=site)
    make.join(role, person)

    again = api.get(path, site=site, headers={"If-None-Match": before.headers["etag"]})

    assert again.status == 200 and person.id in again.data["moderators"]


@pytest.mark.parametrize("choice", ["yes", 1])
def test_it_is_yes_or_no(api: Api, site: Site, choice: object) -> None:
    sent = {"namesModerators": choice}

    assert api.put("/api/v1/site", sent, by=site.owner).status == 400


def test_the_owner_alone_chooses(api: Api, site: Site) -> None:
    for by in (site.moderator, site.member):
        sent = {"namesModerators": True}
        assert api.put("/api/v1/site", sent, by=by).status == 403
