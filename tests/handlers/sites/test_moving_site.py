"""Requests to a site that is being moved to another platform, or has moved."""

from __future__ import annotations

from tests import services
from tests.api import Api
from tests.factories import Factory, Site

MOVE = """
    WITH moving AS (
        INSERT INTO site_moves (site_id, direction, state, address, read_only_until)
        VALUES (%(site)s, 'out', %(state)s, 'https://bikes.elsewhere.test', now() + %(left)s::interval)
            ON CONFLICT (site_id) DO UPDATE
           SET state = EXCLUDED.state, read_only_until = EXCLUDED.read_only_until)
    UPDATE sites SET version = version + 1, is_deleted = %(state)s = 'switched' WHERE site_id = %(site)s RETURNING 1"""


def state(make: Factory, site: Site, state: str, left: str) -> None:
    make.sql(MOVE, site=site.id, state=state, left=left)


def test_a_read_only_site_is_read_and_takes_writes_again_when_the_lease_ends(
    api: Api, make: Factory
) -> None:
    site = make.site()
    talk = make.conversation(site)
    path, words = (
        "/api/v1/comments",
        {"itemType": "conversation", "itemId": talk.id, "markdown": "x"},
    )
    assert api.post(path, words, by=site.member).status == 302

    state(make, site, "copying", "40 seconds")
    refused = api.post(path, words, by=site.member)
    assert (refused.status, refused.data["code"]) == (503, "read_only")
    assert 30 < int(refused.headers["Retry-After"]) <= 40
    assert api.get(talk.path, by=site.member).status == 200
    described = api.put(
        f"/api/v1/sites/{site.id}", {"title": "Other"}, by=site.owner, host=api.platform_domain
    )
    assert described.status == 503

    state(make, site, "copying", "-1 second")
    assert api.post(path, words, by=site.member).status == 302


def test_a_moved_site_redirects_and_takes_no_writes(api: Api, make: Factory) -> None:
    site = make.site()
    talk = make.conversation(site)
    state(make, site, "switched", "0")
    api.checks_schema = False

    def gone() -> bool:
        return api.get("/api/v1/site", site=site).status == 301

    services.wait_until(gone, "it is still served")
    read = api.get(f"{talk.path}?limit=50&access_token=secret", site=site)
    assert (read.status, read.location) == (
        301,
        f"https://bikes.elsewhere.test{talk.path}?limit=50",
    )
    write = api.post("/api/v1/comments", {}, by=site.member)
    assert (write.status, write.data["code"]) == (410, "site_moved")
    restored = api.put(
        f"/api/v1/sites/{site.id}",
        {"meta": {"flags": {"deleted": False}}},
        by=site.owner,
        host=api.platform_domain,
    )
    assert restored.status == 410
    assert api.get("/api/v1/site", host=f"{site.key}x.{api.platform_domain}").status == 404
