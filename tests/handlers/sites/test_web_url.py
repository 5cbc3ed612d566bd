"""Address of a site's pages: mails, mentions and feeds lead there, and without pages to what exists."""

from __future__ import annotations

import pytest

from forumapi.command import cli
from forumapi.models.sites.site_cache import SiteCache
from tests.factories import Factory, Site
from tests.handlers.platform import Platform, platform

__all__ = ["platform"]

OWN = "/api/v1/site"


def url_of(platform: Platform, site: Site) -> str:
    """The pages' address as the site shows it; "" for none."""
    return str(platform.api.get(OWN, site=site).data.get("webUrl", ""))


def put(platform: Platform, site: Site, url: str) -> tuple[int, str]:
    """The owner says it: status and error."""
    answer = platform.api.put(OWN, {"webUrl": url}, by=site.owner)
    return answer.status, answer.error if answer.status >= 400 else ""


def in_feed(platform: Platform, site: Site) -> str:
    """The address that a calendar gives for an event."""
    event = platform.make.event(site)
    text = platform.api.get(f"{event.path}/ical", site=site, by=site.member).body.decode()
    unfolded = text.replace("\r\n ", "")
    (url,) = (line[4:] for line in unfolded.split("\r\n") if line.startswith("URL:"))
    return url.replace(f"/events/{event.id}", "/events/ID")


@pytest.mark.wide
def test_the_owner_says_where_the_pages_are_and_feeds_lead_there(platform: Platform) -> None:
    site = platform.make.site()
    assert "webUrl" not in platform.api.get(OWN, site=site).data
    assert in_feed(platform, site) == f"https://{site.host}/api/v1/events/ID"

    for said, kept in (("", ""), ("/", ""), ("/community/", "/community")):
        assert put(platform, site, f"https://{site.host.upper()}{said}") == (302, "")
        assert url_of(platform, site) == f"https://{site.host}{kept}"
        assert in_feed(platform, site) == f"https://{site.host}{kept}/events/ID/"
    assert put(platform, site, "") == (302, "")
    assert url_of(platform, site) == ""


@pytest.mark.parametrize("has_website", [False, True])
def test_where_the_website_runs_a_site_s_own_address_is_that_of_its_pages(
    has_website: bool, make: Factory
) -> None:
    site = make.site()
    directory = SiteCache(
        make.database, make.platform_domain, port_suffix=":8080", has_website=has_website
    )
    with make.database.write() as tx:
        found = directory.by_id(site.id, tx)
    assert found is not None
    own = f"https://{site.host}:8080"

    assert found.web_url == (own if has_website else "")
    assert found.page("/events/1/") == own + ("/events/1/" if has_website else "/api/v1/events/1")
    assert (b'"webUrl"' in found.render()) == has_website


@pytest.mark.wide
def test_it_is_https_on_the_sites_own_host_or_a_proven_domain(platform: Platform) -> None:
    site, other = platform.make.site(), platform.make.site()
    domain = f"www.{site.key}.example"
    platform.api.put(OWN, {"domain": domain}, by=site.owner)
    for url in (
        f"http://{site.host}",
        f"https://{other.host}",
        f"https://{platform.domain}",
        f"https://evil.example/{site.host}",
        f"https://{site.host}@evil.example",
        f"https://{site.host}.evil.example",
        f"https://{site.host}:8443",
        f"https://{site.host}/?a=b",
        f"https://{site.host}/#a",
        f"https://{site.host}/a b",
        f'https://{site.host}/"onclick=x',
        f"//{site.host}",
        f"/{site.host}",
        "javascript:alert(1)",
        f"https://{domain}",
        f"https://{site.host}/{'x' * 2000}",
    ):
        status, error = put(platform, site, url)
        assert (status, error.partition(":")[0]) == (400, "webUrl"), url
    platform.sql(
        "UPDATE site_domains SET state = 'unproven' WHERE domain = %(d)s RETURNING 1", d=domain
    )
    assert put(platform, site, f"https://{domain}")[0] == 400
    assert url_of(platform, site) == ""

    platform.sql("DELETE FROM site_domains WHERE domain = %(d)s RETURNING 1", d=domain)
    platform.make.domain(site, domain)
    assert put(platform, site, f"https://{domain}/forum") == (302, "")
    assert in_feed(platform, site) == f"https://{domain}/forum/events/ID/"
    # What comes back as it was shown changes nothing.
    shown = platform.api.get(OWN, by=site.owner).data
    again = {"webUrl": shown["webUrl"], "domain": shown["domain"]}
    assert platform.api.put(OWN, again, by=site.owner).status == 302
    assert url_of(platform, site) == f"https://{domain}/forum"


def test_with_a_domain_goes_the_address_on_it(platform: Platform) -> None:
    site = platform.make.site()
    domain = f"www.{site.key}.example"
    platform.make.domain(site, domain)
    put(platform, site, f"https://{domain}")
    assert platform.api.put(OWN, {"domain": ""}, by=site.owner).status == 302

    assert url_of(platform, site) == ""
    assert domain not in in_feed(platform, site)


def test_a_new_site_may_say_it_at_once(platform: Platform) -> None:
    person = platform.make.site().member
    key = f"pages{person.id}"
    body = {"title": "New", "description": "New", "subdomainKey": key}
    for url, status in (("https://evil.example", 400), (f"https://{key}.forum.example", 302)):
        answer = platform.api.post(
            "/api/v1/sites", body | {"webUrl": url}, by=person, host=platform.domain
        )
        assert answer.status == status
    made = platform.api.follow(answer, by=person, host=platform.domain).data
    assert made["webUrl"] == f"https://{key}.forum.example"


@pytest.fixture
def forumapi(platform: Platform, monkeypatch, capsys):
    """Runs a command against the platform's database: exit code and what it printed."""
    monkeypatch.setenv("FORUMAPI_DATABASE_URL", platform.database_url)

    def run(*words: str) -> tuple[int, str]:
        code = cli.main(words)
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.mark.wide
def test_the_operator_may_name_any_other_address(platform: Platform, forumapi) -> None:
    site = platform.make.site()
    elsewhere = "https://pages.example/velo"
    assert forumapi("site", "web-url", site.key, elsewhere)[0] == 0
    platform.app.sites.poll()
    assert url_of(platform, site) == elsewhere
    assert in_feed(platform, site) == f"{elsewhere}/events/ID/"

    # The owner may send it back, and not bring it back.
    assert put(platform, site, elsewhere) == (302, "")
    assert url_of(platform, site) == elsewhere
    assert put(platform, site, "") == (302, "")
    assert put(platform, site, elsewhere)[0] == 400

    for bad in ("http://pages.example", "https://", "pages.example"):
        code, said = forumapi("site", "web-url", site.key, bad)
        assert (code, "webUrl" in said) == (1, True)
    assert forumapi("site", "web-url", "nosuchsite", elsewhere)[0] == 1
    assert forumapi("site", "web-url", site.key, "")[0] == 0
