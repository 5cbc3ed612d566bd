"""The caller's own profile, and the site that comes with it."""

from __future__ import annotations

import pytest

from tests.api import Api
from tests.factories import Factory
from tests.services import wait_until


@pytest.mark.parametrize("name", ["owner", "moderator", "member", "banned"])
def test_the_site_comes_along_as_the_caller_sees_it(api: Api, make: Factory, name: str) -> None:
    site = make.site()
    person = getattr(site, name)
    alone = api.get("/api/v1/whoami", by=person)
    both = api.get("/api/v1/whoami?site=true", by=person)
    shown = api.get("/api/v1/site", by=person)

    assert both.status == 200
    assert both.data == {**alone.data, "site": shown.data}
    assert both.headers["etag"] != alone.headers["etag"]
    assert api.get("/api/v1/whoami?site=maybe", by=person).status == 400


def test_its_entity_tag_moves_with_the_site(api: Api, make: Factory) -> None:
    site = make.site()
    path = "/api/v1/whoami?site=true"
    tags = [""]

    def is_same() -> bool:
        """Ask again; what the site counts may just have changed."""
        same = api.get(path, by=site.member, headers={"If-None-Match": tags[-1]})
        tags.append(same.headers["etag"])
        return same.status == 304

    wait_until(is_same, "no tag stays")
    before = tags[-1]

    api.put("/api/v1/site", {"title": "Another title"}, by=site.owner)

    after = api.get(path, by=site.member, headers={"If-None-Match": before})
    assert after.status == 200
    assert after.data["site"]["title"] == "Another title"
    assert api.get(path, site=site).status in (401, 403)
