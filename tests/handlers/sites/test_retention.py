"""Retention periods of a site over HTTP: bounds, defaults, the dry run, and who may."""

from __future__ import annotations

import pytest

from forumapi.config import Config
from tests.factories import Site
from tests.handlers.platform import Platform, platform

__all__ = ["platform"]

PATH = "/api/v1/site/retention"


@pytest.mark.wide
def test_periods_have_bounds_and_go_back_to_the_platforms(platform: Platform) -> None:
    api, site = platform.api, platform.make.site()
    default = api.get(PATH, by=site.owner).data

    assert default == {
        "addresses": {"days": 30, "lowest": 1, "highest": 30, "default": 30},
        "audit": {"days": 90, "lowest": 30, "highest": 90, "default": 90},
        "deletedTexts": {"lowest": 31, "highest": 3650},
        "mail": {"days": 30, "lowest": 7, "highest": 30, "default": 30},
    }
    assert api.put(PATH, {"addresses": 7, "deletedTexts": 31}, by=site.owner).status == 302
    assert api.put(PATH, {"mail": 8, "addresses": 0}, by=site.owner).status == 302
    shown = api.get(PATH, by=site.owner).data
    days = {kind: period.get("days") for kind, period in shown.items()}
    assert days == {"addresses": 30, "audit": 90, "deletedTexts": 31, "mail": 8}
    for kind, bounds in default.items():
        for value in (bounds["lowest"] - 1 or -1, bounds["highest"] + 1, 2**70, -1, "7", 7.5, True):
            refused = api.put(PATH, {kind: value}, by=site.owner)
            assert refused.status == 400 and kind in refused.error, (kind, value)
    assert api.get(PATH, by=site.owner).data == shown


def test_a_dry_run_stores_nothing(platform: Platform) -> None:
    api, site = platform.api, platform.make.site()

    answer = api.put(f"{PATH}?dryRun=true", {"addresses": 1}, by=site.owner)

    assert answer.status == 200
    assert answer.data["mail"] == {"count": 0}
    assert api.get(PATH, by=site.owner).data["addresses"]["days"] == 30
    keyed = {"Idempotency-Key": "a-key-of-this-test"}
    assert api.put(f"{PATH}?dryRun=true", {}, by=site.owner, headers=keyed).status == 400


def test_periods_are_for_the_owner_of_the_same_site(platform: Platform) -> None:
    api, site, other = platform.api, platform.make.site(), platform.make.site()
    for person in (site.moderator, site.member, None):
        assert api.get(PATH, by=person, site=site).status == 403
        for path in (PATH, f"{PATH}?dryRun=true"):
            assert api.put(path, {"mail": 7}, by=person, site=site).status == 403
    assert api.put(PATH, {"mail": 7}, by=other.owner).status == 302
    assert api.get(PATH, by=site.owner).data["mail"]["days"] == 30


def test_a_platform_with_shorter_periods_has_the_last_word(database_url: str) -> None:
    platform = Platform(database_url, audit_address_days=5, audit_retention_days=10)
    site: Site = platform.make.site()
    shown = platform.api.get(PATH, by=site.owner).data

    assert shown["addresses"] == {"days": 5, "lowest": 1, "highest": 5, "default": 5}
    assert shown["audit"] == {"days": 10, "lowest": 10, "highest": 10, "default": 10}
    assert Config().audit_address_days == 30
