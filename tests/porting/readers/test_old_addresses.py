"""Old addresses of boards that the products made themselves: each leads to the right thing and page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from forumapi import itemtypes
from forumapi.wire import legacy_urls
from forumapi.wire.legacy_urls import Old
from tests.porting.fixtures import board, needs_fixtures

RULES = legacy_urls.load()
MICROCOSM, PROFILE, COMMENT, HUDDLE, TALK, FILE, UPDATE = (
    itemtypes.BY_NAME[name].id
    for name in (
        "microcosm",
        "profile",
        "comment",
        "huddle",
        "conversation",
        "attachment",
        "update",
    )
)
TYPES = {
    "topic": TALK,
    "post": COMMENT,
    "forum": MICROCOSM,
    "user": PROFILE,
    "attachment": FILE,
    "message": HUDDLE,
}
LISTS = {"users": PROFILE, "messages": HUDDLE, "topics": TALK}
# Addresses that are not what they were, and why.
EXPLAINED = {
    # A group is no page here.
    ("phpbb-3.3", "/memberlist.php?mode=group&g=8"),
    ("phpbb-3.3", "/memberlist.php?mode=group&g=9"),
    ("phpbb-3.3", "/memberlist.php?mode=group&g=11"),
    # Another program's page on the same host has the same form.
    ("smf-2.1", "/other/index.php?topic=4.0"),
    # Rules hold the product's usual 50 posts a page, the board has 10.
    ("vbulletin-4", "/forum/showthread.php?t=12&page=2"),
    ("vbulletin-4", "/forum/showthread.php?t=12&page=3"),
}
FIXTURES = [
    "phpbb-3.3",
    "smf-2.1",
    "nodebb-4",
    "misago-0.39",
    "discourse-intermediate",
    "vbulletin-4",
    "xenforo-2",
]


class Known:
    """Things of a board by type and old id, further ids included."""

    def __init__(self, expected: Mapping[str, Any]) -> None:
        self._ids: dict[tuple[int, str], str] = {}
        self.posts = {str(one["id"]): len(one["visible_posts"]) for one in expected["topics"]}
        for kind, things in (
            (TALK, expected["topics"]),
            (COMMENT, expected["posts"]),
            (MICROCOSM, expected["forums"]),
            (PROFILE, [one for one in expected["users"] if one["kind"] == "member"]),
            (FILE, expected["attachments"]),
            (HUDDLE, expected["messages"]),
        ):
            for one in things:
                # The sign of a moved topic is a further id of the topic.
                self._ids[kind, str(one["id"])] = str(one.get("shadow_of") or one["id"])
                if kind == PROFILE:
                    for name in (one["name"], one.get("slug"), one.get("login")):
                        if name:
                            self._ids[kind, f"@{name.casefold()}"] = str(one["id"])
                            self._ids[kind, name.casefold()] = str(one["id"])
                    if one.get("avatar"):
                        self._ids[FILE, f"avatar:{one['id']}"] = f"avatar:{one['id']}"
                if kind == FILE and one["file"] and "uploads/" in one["file"]:
                    self._ids[kind, one["file"].partition("uploads/")[2]] = str(one["id"])

    def first(self, found: list[Old]) -> tuple[Old, str] | None:
        """Return the first thing that was imported, as the resolver does."""
        for old in found:
            if not old.old_id:
                return old, ""
            if id := self._ids.get((old.item_type, old.old_id)):
                return old, id
        return None


def page(offset: int, total: int | None = None) -> int:
    """Return the first entry of our page that an entry is on, the last page for entries beyond."""
    last = offset if total is None else max(total - 1, 0)
    return min(offset, last) // 25 * 25


def problem(known: Known, product: str, row: Mapping[str, Any]) -> str:
    """Say what is wrong with where an address leads."""
    match = known.first(list(RULES[product].read_all(row["url"])))
    wanted = row["leads_to"]
    if wanted is None:
        return "" if match is None else f"leads to {match}"
    if match is None:
        return "leads nowhere"
    old, id = match
    kind = wanted["kind"]
    if kind == "front":
        return "" if (old.item_type, id) == (MICROCOSM, "") else f"leads to {match}"
    if kind == "list":
        return "" if (old.item_type, id) == (LISTS[wanted["of"]], "") else f"leads to {match}"
    if kind == "search":
        good = (PROFILE, str(wanted["user"])) if "user" in wanted else (TALK, "")
        return "" if (old.item_type, id) == good else f"leads to {match}"
    if kind == "avatar":
        return "" if id == f"avatar:{wanted['user']}" else f"leads to {match}"
    if old.item_type != TYPES[kind] or id != str(wanted["id"]):
        return f"leads to {match}"
    if wanted.get("go") == "first unread":
        return "" if old.go == "newcomment" else f"leads to {match}"
    index = wanted.get("index") if kind in ("topic", "forum") else None
    total = known.posts.get(id) if kind == "topic" else None
    if index is not None and page(old.offset, total) != page(index, total):
        return f"leads to entry {old.offset} in place of {index}"
    return ""


@needs_fixtures
@pytest.mark.parametrize("fixture", FIXTURES)
def test_old_addresses_lead_to_the_same_things(fixture: str) -> None:
    expected = board(fixture).expected
    known = Known(expected)
    product = expected["product"]["name"]
    wrong = {
        row["url"]: found
        for row in expected["addresses"]
        if (fixture, row["url"]) not in EXPLAINED and (found := problem(known, product, row))
    }

    assert not wrong, (len(wrong), len(expected["addresses"]), list(wrong.items())[:12])
