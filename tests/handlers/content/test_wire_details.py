"""Details of v1 that clients missed: a guest's huddles, lists' own links, roles, backgrounds."""

from __future__ import annotations

import pytest

from tests.api import Api, Response
from tests.factories import Factory, Person, Site


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


def own(answer: Response) -> str:
    assert answer.status == 200, answer.body
    (link,) = [one for one in answer.data["meta"]["links"] if one["rel"] == "self"]
    return str(link["href"])


def test_a_guest_has_no_huddles(api: Api, make: Factory, site: Site) -> None:
    make.huddle(site.member, site.newcomer)
    api.get("/api/v1/site", site=site)

    answer = api.get("/api/v1/huddles", site=site)

    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-cache, max-age=0"
    page = answer.data["huddles"]
    assert (page["items"], page["total"], page["type"]) == ([], 0, "/api/v1/huddles")
    assert answer.statements == 0
    assert api.get("/api/v1/huddles?offset=25", site=site).status == 400
    assert api.get("/api/v1/huddles", by=site.banned).status == 403
    assert api.post("/api/v1/huddles", {"title": "x", "participants": []}, site=site).status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/huddles",
        "/trending",
        "/drafts",
        "/bookmarks",
        "/keys",
        "/sessions",
        "/webhooks",
        "/oauth/clients",
        "/oauth/grants",
        "/conversations",
        "/events",
        "/polls",
        "/links",
        "/profiles",
        "/ignored",
        "/watchers",
        "/updates",
        "/bans",
        "/moderation",
    ],
)
def test_a_lists_own_link_keeps_its_query(api: Api, site: Site, path: str) -> None:
    where = f"/api/v1{path}"
    assert own(api.get(where, by=site.owner)) == where
    assert own(api.get(f"{where}?limit=5", by=site.owner)) == f"{where}?limit=5"
    token = site.owner.token
    answer = api.get(f"{where}?limit=5&unread=true&access_token={token}", site=site)
    assert own(answer) == f"{where}?limit=5&unread=true"


def test_the_list_of_revisions_does_so_too(api: Api, make: Factory, site: Site) -> None:
    where = f"{make.comment(make.conversation(site)).path}/revisions"
    for query in ("", "?limit=5"):
        assert own(api.get(where + query, by=site.member)) == where + query


def test_equal_lists_at_two_addresses_have_their_own_links(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    lists = [f"/api/v1/comments/{one.id}/attachments" for one in make.comments(chat, 2)]
    lists += [f"{make.event(site, by=site.owner).path}/attendees" for _ in range(2)]
    for role in (make.role(site, site.root_id, title) for title in ("One", "Other")):
        lists.append(f"/api/v1/microcosms/{site.root_id}/roles/{role[1]}/profiles")
    # Answers are kept under their tags, so no two of these may have one.
    tags = {api.get(where, by=site.owner).headers["ETag"] for where in lists}
    assert len(tags) == len(lists)
    for where in lists:
        answer = api.get(where, by=site.owner)
        assert answer.status == 200
        (page,) = (one for one in answer.data.values() if "items" in one)
        assert [one["href"] for one in page["links"] if one["rel"] == "self"] == [where]


def test_a_role_in_a_list_has_meta_before_members(api: Api, site: Site) -> None:
    shown = api.get(f"/api/v1/microcosms/{site.root_id}/roles", by=site.owner)
    for role in shown.data["roles"]["items"]:
        keys = list(role)
        assert keys.index("meta") + 1 == keys.index("members")
        assert role["members"]["type"] == "/api/v1/profiles"


def test_members_of_a_role_are_profiles(api: Api, make: Factory, site: Site) -> None:
    role = make.role(site, site.root_id, "Riders")
    make.join(role, site.member)
    where = f"/api/v1/microcosms/{site.root_id}/roles/{role[1]}"
    members = api.get(f"{where}/members?limit=5", by=site.owner).data["profiles"]
    assert members["type"] == "/api/v1/profiles"
    assert [one["id"] for one in members["items"]] == [site.member.id]
    # The collection of the named is a collection of its own.
    assert (
        api.get(f"{where}/profiles", by=site.owner).data["profiles"]["type"] == f"{where}/profiles"
    )


def test_a_site_without_a_background_has_none(api: Api, make: Factory) -> None:
    def shown(site: Site, by: Person | None = None) -> dict[str, object]:
        data: dict[str, object] = api.get("/api/v1/site", site=site, by=by).data
        return data

    site = make.site()
    assert not {"backgroundUrl", "backgroundPosition"} & shown(site).keys()
    sent = {"backgroundUrl": "/own.png", "backgroundPosition": "wide"}
    assert api.put("/api/v1/site", sent, by=site.owner).status == 302
    assert {key: shown(site, site.owner)[key] for key in sent} == sent
    # What was shown may be sent back, and "" clears it.
    assert api.put("/api/v1/site", shown(site, site.owner), by=site.owner).status == 302
    assert api.put("/api/v1/site", {"backgroundUrl": ""}, by=site.owner).status == 302
    assert not {"backgroundUrl", "backgroundPosition"} & shown(site, site.owner).keys()
