"""Checks that ask no service: an author's first things, links, domains, rates, and the same text on other sites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from forumapi.checks.check import HOLD, PASSED, CheckedText, CheckVerdict, TextCheck


class FirstThingsCheck(TextCheck):
    """Check that holds the texts of authors who have fewer than `count` other comments and items that are neither
    deleted nor hidden.
    """

    name: ClassVar[str] = "firstPosts"

    def __init__(self, count: int) -> None:
        self._count = count

    def judge(self, text: CheckedText) -> CheckVerdict:
        if text.live_count >= self._count:
            return PASSED
        return CheckVerdict(HOLD, f"one of the first {self._count} of this author")


class LinksCheck(TextCheck):
    """Check that holds a text with more than `most` links."""

    name: ClassVar[str] = "links"

    def __init__(self, most: int) -> None:
        self._most = most

    def judge(self, text: CheckedText) -> CheckVerdict:
        if len(text.domains) <= self._most:
            return PASSED
        return CheckVerdict(HOLD, f"{len(text.domains)} links")


class DomainsCheck(TextCheck):
    """Check that holds a text with a link to one of `domains` (in lower case), or to a host below one of them."""

    name: ClassVar[str] = "domains"

    def __init__(self, domains: tuple[str, ...]) -> None:
        self._domains = frozenset(domains)

    def judge(self, text: CheckedText) -> CheckVerdict:
        for host in text.domains:
            labels = host.split(".")
            for start in range(len(labels)):
                if ".".join(labels[start:]) in self._domains:
                    return CheckVerdict(HOLD, f"a link to {host}"[:200])
        return PASSED


class RateCheck(TextCheck):
    """Check that holds a text if its author has written more things in the last hour, deleted ones and this one
    included, than the most generous of the author's roles allows.

    `of_roles`: most things an hour by role id, a huge number for no limit; `per_hour`: for authors in none of these
    roles, 0 for no limit.
    """

    name: ClassVar[str] = "rate"

    def __init__(self, per_hour: int, of_roles: Mapping[int, int]) -> None:
        self._per_hour = per_hour
        self._of_roles = of_roles

    def judge(self, text: CheckedText) -> CheckVerdict:
        own = [self._of_roles[id] for id in text.role_ids if id in self._of_roles]
        most = max(own) if own else self._per_hour
        if not most or text.recent_count <= most:
            return PASSED
        return CheckVerdict(HOLD, f"{text.recent_count} within an hour")


class SameTextCheck(TextCheck):
    """Check that holds a text that was written on at least `sites` other sites within a day."""

    name: ClassVar[str] = "sameText"

    def __init__(self, sites: int) -> None:
        self._sites = sites

    def judge(self, text: CheckedText) -> CheckVerdict:
        if text.sites_with_text < self._sites:
            return PASSED
        return CheckVerdict(HOLD, "the same text was written elsewhere today")
