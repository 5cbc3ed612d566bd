"""Custom domains: claimed by their site's owner, served once DNS proves them, looked at again (platform 2.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.factories import Site
from tests.handlers.platform import DOMAIN, Platform
from tests.outbound.nameserver import Nameserver, nameserver

OWN = "/api/v1/site"


@pytest.fixture(scope="module")
def zone() -> Iterator[Nameserver]:
    """The name server that proofs are looked up at."""
    with nameserver() as made:
        yield made


@pytest.fixture(scope="module")
def platform(platform_database: str, zone: Nameserver) -> Iterator[Platform]:
    """An application that looks names up there."""
    made = Platform(platform_database, dns_servers=(zone.address,))
    made.application.start()
    yield made
    made.application.stop()


class Scene:
    """Sites that want the same domain."""

    def __init__(self, platform: Platform, zone: Nameserver) -> None:
        self.platform = platform
        self.zone = zone
        self.site = platform.make.site()
        self.other = platform.make.site()
        self.domain = f"www.{self.site.key}.example"

    def claim(self, site: Site, domain: str | None = None) -> None:
        """Its owner says that the domain is the site's."""
        body = {"domain": self.domain if domain is None else domain}
        assert self.platform.api.put(OWN, body, by=site.owner).status == 302

    def name(self, *sites: Site, domain: str = "") -> None:
        """DNS names these sites in TXT records, and no others."""
        values = [f'"forumapi-site={site.host}"' for site in sites]
        key = (f"_forumapi.{domain or self.domain}", "TXT")
        self.zone.records.pop(key, None)
        if values:
            self.zone.records[key] = ['"v=something else"', *values]

    def look(self) -> None:
        """All are due, and the job runs."""
        from forumapi.cron.domain_verification import custom_domains

        self.platform.sql("UPDATE site_domains SET next_check = now() RETURNING 1")
        with self.platform.app.database.write() as tx:
            custom_domains(tx, self.platform.config)

    def served(self) -> Site | None:
        """The site that a request for the domain meets."""
        self.platform.app.sites.poll()
        answer = self.platform.api.get(OWN, host=self.domain)
        by_id = {one.id: one for one in (self.site, self.other)}
        asked = self.platform.api.get(f"/api/v1/hosts/{self.domain}")
        if answer.status == 404:
            assert asked.status == 404
            return None
        found = by_id[answer.data["siteId"]]
        assert asked.body.decode() == found.host
        return found

    def health(self, site: Site) -> dict[str, Any]:
        """Return what the owner is told."""
        path = f"{self.platform.path(site)}/status"
        answer = self.platform.api.get(path, by=site.owner, host=DOMAIN)
        found: dict[str, Any] = answer.data["domainHealth"]
        return found

    def state(self, site: Site) -> str:
        """Return how it stands with the site's domain."""
        return str((self.health(site)["value"] or {}).get("state", ""))

    def pass_by(self, days: float) -> None:
        """Everything that is known of the domain was so many days earlier."""
        self.platform.sql(
            """
            UPDATE site_domains
               SET since = since - %(days)s * interval '1 day', checked = checked - %(days)s * interval '1 day',
                   failing_since = failing_since - %(days)s * interval '1 day',
                   released = released - %(days)s * interval '1 day'
             WHERE domain = %(domain)s RETURNING 1""",
            days=days,
            domain=self.domain,
        )

    def prove(self, site: Site) -> None:
        """The domain is this site's, with a proof."""
        self.claim(site)
        self.name(site)
        self.look()
        assert self.served() is site


@pytest.fixture
def scene(platform: Platform, zone: Nameserver) -> Iterator[Scene]:
    made = Scene(platform, zone)
    yield made
    # A full minute's memory of what was found is another test's.
    zone.records.clear()
    zone.failing.clear()


@pytest.mark.wide
def test_a_claim_waits_for_its_proof_and_tells_how_to_give_it(scene: Scene) -> None:
    scene.claim(scene.site)
    scene.look()

    assert scene.served() is None
    assert scene.platform.api.get(OWN, site=scene.site).data["domain"] == ""
    found = scene.health(scene.site)
    assert (found["set"], found["valid"]) == (True, False)
    value = found["value"]
    assert (value["domain"], value["state"]) == (scene.domain, "pending")
    assert value["cname"] == scene.site.host
    for part in (scene.site.host, value["txtName"], value["txt"]):
        assert part in found["error"]


def test_a_txt_record_that_names_the_site_proves_it(scene: Scene) -> None:
    scene.claim(scene.site)
    value = scene.health(scene.site)["value"]
    scene.zone.records[value["txtName"], "TXT"] = [f'"{value["txt"]}"']
    scene.look()

    assert scene.served() is scene.site
    assert scene.platform.api.get(OWN, site=scene.site).data["domain"] == scene.domain


def test_an_alias_of_the_sites_own_host_proves_it(scene: Scene) -> None:
    scene.zone.records[scene.domain, "CNAME"] = [f"{scene.site.host.upper()}."]
    scene.claim(scene.site)
    scene.look()

    assert scene.served() is scene.site
    assert scene.state(scene.site) == "proven"
    assert scene.health(scene.site)["valid"]


def test_what_names_another_site_proves_nothing(scene: Scene) -> None:
    scene.zone.records[scene.domain, "CNAME"] = [f"{scene.other.host}."]
    scene.name(scene.other)
    scene.claim(scene.site)
    scene.look()

    assert scene.served() is None
    error = scene.health(scene.site)["error"]
    assert f"{scene.domain} is an alias of {scene.other.host}, not of {scene.site.host}" in error
    assert scene.site.host in error.partition(". ")[2]


def test_an_alias_elsewhere_is_said_also_if_no_name_has_a_text(scene: Scene) -> None:
    scene.zone.records[scene.domain, "CNAME"] = ["elsewhere.example."]
    scene.claim(scene.site)

    assert f"{scene.domain} is an alias of elsewhere.example" in scene.health(scene.site)["error"]


def test_a_name_that_dns_does_not_know_is_said(scene: Scene) -> None:
    scene.claim(scene.site)

    error = scene.health(scene.site)["error"]
    assert error.startswith(f"The name {scene.domain} is not known. ")


def test_a_text_that_names_another_site_is_said(scene: Scene) -> None:
    scene.name(scene.other)
    scene.claim(scene.site)

    error = scene.health(scene.site)["error"]
    assert f'has the TXT record "forumapi-site={scene.other.host}"' in error


def test_of_several_claims_the_first_proof_wins_whoever_asked_first(scene: Scene) -> None:
    scene.claim(scene.other)
    scene.claim(scene.site)
    scene.name(scene.site)
    scene.look()
    assert scene.served() is scene.site

    scene.name(scene.site, scene.other)
    scene.look()
    assert scene.served() is scene.site
    assert scene.state(scene.other) == "pending"
    assert "another site" in scene.health(scene.other)["error"]


@pytest.mark.wide
def test_a_released_name_rests_for_thirty_days_but_for_its_own_site(scene: Scene) -> None:
    scene.prove(scene.site)
    scene.claim(scene.site, "")
    assert scene.served() is None
    scene.claim(scene.other)
    scene.name(scene.site, scene.other)
    scene.look()
    assert scene.served() is None
    assert "rests until" in scene.health(scene.other)["error"]

    scene.claim(scene.site)
    scene.look()
    assert scene.served() is scene.site

    scene.claim(scene.site, "")
    scene.pass_by(29)
    scene.look()
    assert scene.served() is None
    scene.claim(scene.other)
    scene.pass_by(1.1)
    scene.claim(scene.other)
    scene.look()
    assert scene.served() is scene.other


def test_a_rest_is_not_cut_short_by_a_claim_of_its_site(scene: Scene) -> None:
    scene.prove(scene.site)
    for domain in ("", scene.domain, f"other.{scene.domain}"):
        scene.claim(scene.site, domain)
    scene.claim(scene.other)
    scene.name(scene.other)
    scene.look()

    assert scene.served() is None
    assert "rests until" in scene.health(scene.other)["error"]


def test_what_was_never_proven_has_no_rest(scene: Scene) -> None:
    from_before(scene, scene.site)
    assert scene.served() is scene.site
    scene.claim(scene.site, "")
    scene.claim(scene.other)
    scene.name(scene.other)
    scene.look()

    assert scene.served() is scene.other


@pytest.mark.wide
def test_a_claim_is_withdrawn_by_naming_alone_what_is_served(scene: Scene) -> None:
    mistyped = f"mistyped.{scene.domain}"
    for is_served in (False, True):
        if is_served:
            scene.prove(scene.site)
        scene.claim(scene.site, mistyped)
        scene.claim(scene.site, scene.domain if is_served else "")
        scene.name(scene.site, domain=mistyped)
        scene.look()

        shown = scene.platform.api.get(OWN, site=scene.site).data["domain"]
        assert shown == (scene.domain if is_served else "")


@pytest.mark.wide
def test_three_failed_looks_over_72_hours_take_it_away_and_never_one(scene: Scene) -> None:
    scene.prove(scene.site)
    scene.name()
    scene.look()
    scene.pass_by(4)  # one alone, however long ago
    assert scene.served() is scene.site
    scene.look()
    assert scene.served() is scene.site
    assert scene.state(scene.site) == "proven"
    assert not scene.health(scene.site)["valid"]
    scene.look()
    assert scene.served() is None


@pytest.mark.wide
def test_any_number_of_failed_looks_within_72_hours_takes_nothing_away(scene: Scene) -> None:
    scene.prove(scene.site)
    scene.name()
    for _ in range(5):
        scene.look()
    scene.pass_by(2.9)
    scene.look()
    assert scene.served() is scene.site

    # A look that sees it begins the count anew.
    scene.name(scene.site)
    scene.look()
    scene.name()
    scene.pass_by(4)
    scene.look()
    scene.look()
    scene.look()
    assert scene.served() is scene.site


def test_a_name_server_that_is_away_says_nothing(scene: Scene) -> None:
    scene.prove(scene.site)
    scene.zone.failing.update((scene.domain, f"_forumapi.{scene.domain}"))
    scene.look()
    scene.pass_by(4)
    assert scene.platform.sql(
        "SELECT failures FROM site_domains WHERE domain = %(domain)s", domain=scene.domain
    ) == [(0,)]
    assert scene.served() is scene.site


def from_before(scene: Scene, site: Site) -> None:
    """The release before has stored the domain, which asked for no proof."""
    scene.platform.sql(
        "UPDATE sites SET domain = %(domain)s, version = version + 1 WHERE site_id = %(id)s RETURNING 1",
        domain=scene.domain,
        id=site.id,
    )
    scene.look()


@pytest.mark.wide
def test_a_domain_from_before_is_served_unproven_for_sixty_days(scene: Scene) -> None:
    from_before(scene, scene.site)
    assert scene.served() is scene.site
    assert scene.state(scene.site) == "unproven"
    assert not scene.health(scene.site)["valid"]
    scene.pass_by(59.9)
    scene.look()
    assert scene.served() is scene.site

    scene.pass_by(0.2)
    scene.look()
    assert scene.served() is None

    scene.name(scene.site)
    scene.look()
    assert scene.served() is scene.site


@pytest.mark.wide
def test_a_domain_from_before_becomes_proven_and_stays(scene: Scene) -> None:
    from_before(scene, scene.site)
    scene.name(scene.site)
    scene.look()
    scene.pass_by(61)
    scene.look()

    assert scene.served() is scene.site
    assert scene.state(scene.site) == "proven"


@pytest.mark.wide
def test_whoever_proves_a_domain_has_it_at_once_from_a_site_that_never_did(scene: Scene) -> None:
    from_before(scene, scene.other)
    assert scene.served() is scene.other
    scene.claim(scene.site)
    scene.name(scene.site)
    scene.look()

    assert scene.served() is scene.site
    assert scene.state(scene.other) == "pending"


@pytest.mark.wide
def test_a_deleted_site_keeps_a_domain_from_nobody(scene: Scene) -> None:
    scene.prove(scene.other)
    gone = {"meta": {"flags": {"deleted": True}}}
    assert scene.platform.api.put(OWN, gone, by=scene.other.owner).status == 302
    scene.claim(scene.site)
    scene.name(scene.site, scene.other)
    scene.look()

    assert scene.served() is scene.site


@pytest.mark.wide
def test_a_site_goes_on_under_its_old_domain_until_the_new_one_is_proven(scene: Scene) -> None:
    scene.prove(scene.site)
    new = f"new.{scene.domain}"
    scene.claim(scene.site, new)
    scene.look()
    assert scene.served() is scene.site
    assert scene.platform.api.get(OWN, host=new).status == 404

    scene.name(scene.site, domain=new)
    scene.look()
    assert scene.platform.api.get(OWN, site=scene.site).data["domain"] == new
    assert scene.served() is None

    # Sent back as it is shown it changes nothing.
    scene.claim(scene.site, new)
    assert scene.state(scene.site) == "proven"


@pytest.mark.wide
def test_what_is_sent_back_as_it_was_shown_leaves_a_claim_alone(scene: Scene) -> None:
    def send_back() -> None:
        shown = scene.platform.api.get(OWN, site=scene.site).data
        body = {"title": "Another", "domain": shown["domain"]}
        assert scene.platform.api.put(OWN, body, by=scene.site.owner).status == 302

    scene.claim(scene.site)
    send_back()
    scene.name(scene.site)
    scene.look()
    assert scene.served() is scene.site

    new = f"new.{scene.domain}"
    scene.claim(scene.site, new)
    send_back()
    scene.name(scene.site, domain=new)
    scene.look()
    assert scene.platform.api.get(OWN, site=scene.site).data["domain"] == new


def test_a_domain_said_when_the_site_is_made_waits_too(scene: Scene) -> None:
    api, key = scene.platform.api, f"new{scene.site.key}"
    body = {"title": "New", "description": "New", "subdomainKey": key, "domain": scene.domain}
    answer = api.post("/api/v1/sites", body, by=scene.site.owner, host=DOMAIN)
    made = api.follow(answer, by=scene.site.owner, host=DOMAIN).data
    assert (made["domain"], scene.served()) == ("", None)

    host = f"{key}.{DOMAIN}"
    scene.zone.records[f"_forumapi.{scene.domain}", "TXT"] = [f"forumapi-site={host}"]
    scene.look()
    assert api.get(OWN, host=scene.domain).data["siteId"] == made["siteId"]


def test_only_its_owner_learns_of_a_claim(scene: Scene) -> None:
    scene.claim(scene.site)
    for who in (None, scene.site.member, scene.other.owner):
        assert (
            scene.domain not in scene.platform.api.get(OWN, site=scene.site, by=who).body.decode()
        )
        path = f"{scene.platform.path(scene.site)}/status"
        assert scene.platform.api.get(path, by=who, host=DOMAIN).status == 403


def test_the_job_looks_at_what_is_due_alone(scene: Scene) -> None:
    from forumapi.cron.domain_verification import custom_domains

    scene.claim(scene.site)
    scene.look()
    with scene.platform.app.database.write() as tx:
        assert custom_domains(tx, scene.platform.config) == "none were due"
