"""From domain to host, reserved subdomains, and the index of a site host (platform 2.3)."""

from __future__ import annotations

import pytest

from tests.handlers.platform import Platform, eventually, platform

__all__ = ["platform"]

OWN = "/api/v1/site"


@pytest.mark.wide
def test_a_custom_domain_leads_to_the_api_host(platform: Platform) -> None:
    site = platform.make.site()
    domain = f"www.{site.key}.example"
    platform.make.domain(site, domain)

    for spelling in (domain, domain.upper()):
        answer = platform.api.get(f"/api/v1/hosts/{spelling}")
        assert (answer.status, answer.body) == (200, site.host.encode())
        assert answer.headers["Content-Type"] == "text/plain"
        assert answer.headers["X-Microcosm-Host"] == site.host
    assert platform.api.request("HEAD", f"/api/v1/hosts/{domain}").body == b""


def test_a_domain_that_no_live_site_has_is_404_in_the_envelope(platform: Platform) -> None:
    site = platform.make.site()
    domain = f"www.{site.key}.example"
    platform.make.domain(site, domain)

    for name in ("nothing.example.org", site.host, platform.domain, f"x.{domain}", "a_b", "..."):
        answer = platform.api.get(f"/api/v1/hosts/{name}")
        assert (answer.status, answer.json()["status"]) == (404, 404)
    platform.api.put(OWN, {"domain": ""}, by=site.owner)
    assert platform.api.get(f"/api/v1/hosts/{domain}").status == 404


def test_hosts_and_reserved_names_are_asked_on_the_root_host(platform: Platform) -> None:
    site = platform.make.site()

    for path in ("/api/v1/hosts/example.org", "/api/v1/reserved/velo"):
        assert platform.api.get(path, site=site).status == 404
        assert platform.api.request("OPTIONS", path).headers["Allow"] == "OPTIONS,HEAD,GET"
        assert platform.api.post(path).status == 405


@pytest.mark.parametrize(
    "name", ["admin", "ADMIN", "www", "adminstrator", "root", "administrators"]
)
def test_names_of_the_platform_are_reserved(platform: Platform, name: str) -> None:
    answer = platform.api.get(f"/api/v1/reserved/{name}")

    assert (answer.status, answer.body) == (200, b'{"reserved":true}')
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_names_of_live_sites_are_reserved(platform: Platform) -> None:
    site = platform.make.site()

    assert platform.api.get(f"/api/v1/reserved/{site.key}").body == b'{"reserved":true}'
    assert platform.api.get(f"/api/v1/reserved/{site.key.upper()}").body == b'{"reserved":true}'
    assert platform.api.get(f"/api/v1/reserved/{site.key}x").body == b'{"reserved":false}'
    answer = platform.api.get(f"/api/v1/reserved/{site.key}", by=site.owner, host=platform.domain)
    assert answer.body == b'{"reserved":true}'


def test_what_can_not_be_a_name_is_no_address(platform: Platform) -> None:
    for name in ("a-b", "a.b", "v%C3%A9lo", "a%20b"):
        assert platform.api.get(f"/api/v1/reserved/{name}").status == 404


def test_the_index_of_a_site_host_leads_to_its_collections(platform: Platform) -> None:
    site = platform.make.site()

    def links(path: str) -> dict[str, str]:
        answer = platform.api.get(path, site=site)
        assert (answer.status, answer.json()["error"]) == (200, None)
        assert answer.statements == 0 or path == "/"
        return {link["rel"]: link["href"] for link in answer.data["links"]}

    assert links("/") == {"api": "/api"}
    assert links("/api") == {"v1": "/api/v1"}
    v1 = links("/api/v1")
    assert list(v1) == [
        "auth", "comment", "conversation", "event", "microcosm", "poll", "profile", "site", "update",
        "watcher", "whoami",
    ]  # fmt: skip
    assert v1["site"] == OWN
    for path in ("/", "/api", "/api/v1"):
        answer = platform.api.request("OPTIONS", path, site=site)
        assert answer.headers["Allow"] == "OPTIONS,GET,HEAD"
        assert platform.api.get(path).status == 404
    assert platform.api.get("/api/", site=site).status == 404
    assert eventually(lambda: platform.api.get("/api", site=site).statements == 0)
