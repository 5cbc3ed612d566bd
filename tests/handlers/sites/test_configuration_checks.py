"""Tests of what a site's owner is told about domain, pictures and analytics (platform 2.3, P-19)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from forumapi.handlers.sites.configuration_checks import (
    Examiner,
    check_analytics,
    check_picture,
    examine,
)
from forumapi.models.sites.site import Site
from forumapi.outbound.safe_http_client import Outbound, OutboundError
from tests.handlers.platform import Platform, platform

__all__ = ["platform"]

UNSET = {"set": False, "valid": False, "error": "", "value": None}


class Outside(Outbound):
    """The world outside as a test has it: the status of each address, the alias of each name."""

    def __init__(
        self, *, statuses: dict[str, int] | None = None, aliases: dict[str, str] | None = None
    ) -> None:
        super().__init__(timeout_s=0.5)
        self.statuses = statuses or {}
        self.aliases = aliases or {}
        self.asked: list[str] = []
        self.hold: threading.Event | None = None

    def head(self, url: str) -> int:
        """The status, if any."""
        self.asked.append(url)
        if self.hold is not None:
            self.hold.wait(5)
        if url not in self.statuses:
            raise OutboundError("No answer")
        return self.statuses[url]

    def cname(self, name: str) -> str:
        """The alias, if any."""
        self.asked.append(name)
        return self.aliases.get(name, "")


def snapshot(platform: Platform, **fields: Any) -> Site:
    """A site with these fields, as it is read."""
    made = platform.make.site(**fields)
    reader = platform.app.database.read()
    try:
        found = platform.app.sites.by_id(made.id, reader)
        assert found is not None
        return found
    finally:
        reader.end()


@pytest.mark.parametrize(
    ("status", "valid"), [(200, True), (399, True), (404, False), (500, False)]
)
def test_a_picture_must_answer_below_400(platform: Platform, status: int, valid: bool) -> None:
    site = snapshot(platform)
    relative = check_picture(
        "/a.png", site, Outside(statuses={f"https://{site.host}/a.png": status})
    )

    assert (relative["set"], relative["valid"], relative["value"]) == (True, valid, "/a.png")
    assert bool(relative["error"]) is not valid
    url = "https://cdn.example/a.png"
    assert check_picture(url, site, Outside(statuses={url: status}))["valid"] is valid
    assert check_picture("", site, Outside()) == UNSET


def test_analytics_ids_are_looked_at(platform: Platform) -> None:
    assert check_analytics(snapshot(platform)) == UNSET
    assert check_analytics(snapshot(platform, gaWebPropertyId="UA-1"))["valid"] is True


@pytest.mark.wide
@pytest.mark.slow
def test_what_does_not_come_back_is_left_behind(platform: Platform) -> None:
    site = snapshot(platform, logoUrl="https://slow.example/logo.png", backgroundUrl="")
    outside = Outside()
    outside.hold = threading.Event()

    found = examine(site, [], outside)
    outside.hold.set()
    assert found["logoUrlHealth"]["error"] == "No answer in time"
    assert found["domainHealth"] == UNSET


def test_what_was_found_is_kept_for_a_minute_or_until_the_site_changes(platform: Platform) -> None:
    site = snapshot(platform, logoUrl="https://cdn.example/logo.png")
    outside = Outside(statuses={"https://cdn.example/logo.png": 200})
    examiner = Examiner(outside)

    first = examiner.examine(site, [])
    asked = len(outside.asked)
    assert examiner.examine(site, []) == first
    assert len(outside.asked) == asked
    site.version += 1
    examiner.examine(site, [])
    assert len(outside.asked) == asked * 2
