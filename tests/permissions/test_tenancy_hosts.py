"""Tests of which site a Host header names, and how soon a change of that is seen (platform 2.1, P-11, P-13)."""

from __future__ import annotations

import pytest

from tests.factories import Site
from tests.handlers.platform import Platform, eventually, platform

__all__ = ["platform"]

OWN = "/api/v1/site"


def site_id(platform: Platform, host: str) -> int:
    """The id of the site behind a host; 0 where there is none."""
    answer = platform.api.get(OWN, host=host)
    if answer.status == 404:
        assert (answer.code, answer.data["siteId"]) == (14, 0)
        return 0
    assert answer.status == 200
    return int(answer.data["siteId"])


def test_spellings_of_a_host_name_one_site(platform: Platform) -> None:
    site = platform.make.site()

    for host in (
        site.host,
        f"{site.host}:8080",
        f"{site.host}.",
        f"{site.host}.:443",
        site.host.upper(),
        f"{site.key.title()}.Forum.EXAMPLE",
    ):
        assert site_id(platform, host) == site.id, host


@pytest.mark.parametrize(
    "host", ["forum.example", "FORUM.example:8080", "forum.example.", "Forum.Example.:80"]
)
def test_the_platform_domain_is_the_root_site(platform: Platform, host: str) -> None:
    assert site_id(platform, host) == 1


@pytest.mark.parametrize(
    "host",
    [
        "nosuch.forum.example",
        "a.b.forum.example",
        "root.forum.example",
        "ROOT.forum.example",
        "evilforum.example",
        "forum.example.evil.example",
        "forum.example..",
        ".forum.example",
        "my-site.forum.example",
        "localhost",
        "127.0.0.1",
        "x" * 253,
    ],
)
def test_other_hosts_name_no_site(platform: Platform, host: str) -> None:
    assert site_id(platform, host) == 0


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        ".",
        ":80",
        "*",
        "[::1]",
        "[::1]:8080",
        "x" * 254,
        "x" * 300 + ".example",
        "vélo.forum.example",
        "a b",
        "a_b.forum.example",
        "%00",
        "'; --",
        "forum.example:",
        "forum.example:123456",
        "forum.example:-1",
        "forum.example:80:80",
        "forum.example:٨٠",
        "forum.example, forum.example",
        "user@forum.example",
        "forum.example/",
        "http://forum.example",
    ],
)
def test_what_is_no_name_with_a_port_is_refused(platform: Platform, host: str) -> None:
    answer = platform.api._exchange("GET", OWN, None, {"Host": host})

    assert (answer.status, answer.code, answer.data["siteId"]) == (400, 2, 0)
    assert answer.error.startswith("Host: ")
    assert answer.statements == 0


def test_a_deeper_subdomain_of_a_site_is_no_site(platform: Platform) -> None:
    site = platform.make.site()

    assert site_id(platform, f"www.{site.host}") == 0


def domain_of(platform: Platform, site: Site) -> str:
    """A custom domain, given to the site."""
    domain = f"www.{site.key}.example"
    platform.make.domain(site, domain)
    return domain


def test_a_custom_domain_names_its_site_with_the_site_routes(platform: Platform) -> None:
    site = platform.make.site()
    domain = domain_of(platform, site)

    for host in (domain, domain.upper(), f"{domain}.", f"{domain}:8443"):
        assert site_id(platform, host) == site.id
    assert platform.api.get("/api/v1/legal/terms", host=domain).status == 200
    assert platform.api.get("/api/v1/sites", host=domain).status == 404
    assert site_id(platform, domain.removeprefix("www.")) == 0
    assert site_id(platform, f"x.{domain}") == 0


def test_a_domain_that_moves_to_another_site_moves_within_a_second(platform: Platform) -> None:
    first, second = platform.make.site(), platform.make.site()
    domain = domain_of(platform, first)
    worker = Platform(platform.database_url)
    worker.application.start()
    assert site_id(worker, domain) == first.id

    platform.api.put(OWN, {"domain": ""}, by=first.owner)
    # As though it had rested for as long as it must.
    platform.sql("DELETE FROM site_domains WHERE domain = %(d)s RETURNING 1", d=domain)
    platform.make.domain(second, domain)
    assert site_id(platform, domain) == second.id
    assert eventually(lambda: site_id(worker, domain) == second.id)
    assert site_id(worker, first.host) == first.id
    worker.application.stop()


def test_a_new_site_answers_at_once_where_there_was_none(platform: Platform) -> None:
    key = f"later{platform.make.site().id}"
    host = f"{key}.forum.example"
    assert site_id(platform, host) == 0

    made = platform.make.site(key)
    assert site_id(platform, host) == made.id


def test_two_spellings_share_what_is_kept_of_a_site(platform: Platform) -> None:
    site = platform.make.site()
    spellings = (site.host, f"{site.host}:8080", site.host.upper(), domain_of(platform, site))
    for host in spellings:
        platform.api.get(OWN, host=host)

    for _ in range(2):
        for host in spellings:
            assert platform.api.get(OWN, host=host).statements == 0


@pytest.mark.slow
def test_a_site_is_read_again_where_nobody_watches(platform: Platform) -> None:
    lone = Platform(platform.database_url)  # never started: no thread asks for versions
    site = lone.make.site()
    lone.api.get(OWN, site=site)
    lone.sql(
        "UPDATE sites SET title = 'Moved', version = version + 1 WHERE site_id = %(id)s RETURNING 1",
        id=site.id,
    )

    assert eventually(lambda: lone.api.get(OWN, site=site).data["title"] == "Moved", within_s=1.5)
    lone.application.stop()


def test_a_member_sees_a_change_on_the_next_request_of_any_worker(platform: Platform) -> None:
    site = platform.make.site()
    worker = Platform(platform.database_url, site_poll_ms=900)
    worker.application.start()
    assert worker.api.get(OWN, by=site.member).status == 200

    platform.api.put(OWN, {"title": "Now"}, by=site.owner)
    assert worker.api.get(OWN, by=site.member).data["title"] == "Now"
    worker.application.stop()


def test_a_token_of_one_site_makes_a_profile_of_its_own_on_another(platform: Platform) -> None:
    site, other = platform.make.site(), platform.make.site()

    own = platform.api.get("/api/v1/whoami", by=site.member).data
    there = platform.api.get("/api/v1/whoami", by=site.member, site=other).data
    assert (own["siteId"], there["siteId"]) == (site.id, other.id)
    assert own["userId"] == there["userId"]
    assert own["id"] != there["id"]
    permissions = platform.api.get(OWN, by=site.owner, site=other).data["meta"]["permissions"]
    assert permissions["siteOwner"] is False
