"""The checker of lists, on statements that are right and wrong."""

from __future__ import annotations

import re

import pytest

from tests.database.read_conditions import Checker

_HUDDLE = "SELECT FROM huddle_participants h WHERE h.item_id = i.item_id AND h.profile_id = %(me)s"


def _unrestricted(text: str) -> list[str]:
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    return Checker(names).check(
        re.sub(r"%\((\w+)\)s", lambda match: f"${names.index(match[1]) + 1}", text)
    )


@pytest.mark.parametrize(
    "text",
    [
        "SELECT i.title FROM items i WHERE i.item_id = %(id)s",
        "SELECT i.title FROM items i WHERE i.microcosm_id = ANY(%(readable)s::bigint[])",
        f"SELECT FROM items i WHERE i.microcosm_id = ANY(%(readable)s) OR i.item_type_id = 5 AND EXISTS ({_HUDDLE})",
        "SELECT FROM comments c JOIN items i USING (item_id) WHERE c.item_id = i.item_id AND i.item_id = %(id)s",
        "SELECT FROM huddle_participants h JOIN items i ON i.item_id = h.item_id WHERE h.profile_id = %(me)s",
        "SELECT FROM watchers w LEFT JOIN items i ON i.item_id = w.item_id AND i.microcosm_id = ANY(%(readable)s)",
        (
            "SELECT FROM bookmarks b LEFT JOIN comments c ON c.comment_id = b.item_id"
            " LEFT JOIN items i ON i.site_id = b.site_id AND i.item_id = c.item_id"
            " WHERE i.item_id IS NULL OR i.microcosm_id = ANY(%(readable)s)"
        ),
        (
            "WITH one AS (SELECT i.item_id FROM items i WHERE i.item_id = %(id)s UNION ALL SELECT NULL::bigint)"
            " SELECT FROM one o JOIN comments c ON c.item_id = o.item_id"
        ),
        (
            "SELECT FROM watchers w"
            " WHERE (SELECT i.microcosm_id FROM items i WHERE i.item_id = w.item_id) = ANY(%(readable)s)"
        ),
        "SELECT FROM comments c JOIN watchers w ON c.on_profile_id = w.item_id",
        "SELECT FROM search(%(readable)s) s JOIN items i ON i.item_id = s.item_id",
        "SELECT FROM unnest(%(ids)s::bigint[]) AS u (id) JOIN items i ON i.item_id = u.id",
    ],
)
def test_a_restricted_statement_passes(text: str) -> None:
    assert _unrestricted(text) == []


@pytest.mark.parametrize(
    ("text", "aliases"),
    [
        ("SELECT i.title FROM items i", "i (items)"),
        ("SELECT FROM items i WHERE i.site_id = %(site_id)s", "i (items)"),
        ("SELECT FROM items i WHERE i.microcosm_id <> ALL(%(readable)s)", "i (items)"),
        ("SELECT FROM items i WHERE i.microcosm_id IS DISTINCT FROM %(id)s", "i (items)"),
        ("SELECT FROM items i WHERE NOT i.microcosm_id = ANY(%(readable)s)", "i (items)"),
        (
            "SELECT FROM items i WHERE i.microcosm_id = ANY(%(readable)s) OR i.item_type_id = 5",
            "i (items)",
        ),
        (
            "SELECT FROM watchers w JOIN items i ON i.item_id = w.item_id WHERE w.profile_id = %(me)s",
            "i (items)",
        ),
        (
            "SELECT FROM attendees t JOIN items i ON i.item_id = t.item_id WHERE t.profile_id = %(me)s",
            "t (attendees), i (items)",
        ),
        (
            "SELECT FROM items i LEFT JOIN comments c ON c.item_id = i.item_id AND i.item_id = %(id)s",
            "i (items), c (comments)",
        ),
        (
            (
                "SELECT FROM bookmarks b LEFT JOIN comments c ON c.comment_id = b.item_id"
                " LEFT JOIN items i ON i.site_id = b.site_id AND i.item_id = c.item_id AND NOT i.is_deleted"
                " WHERE i.item_id IS NULL OR i.microcosm_id = ANY(%(readable)s)"
            ),
            "c (comments)",
        ),
        (
            (
                "WITH one AS (SELECT i.item_id FROM items i WHERE i.item_id = %(id)s"
                " UNION ALL SELECT w.item_id FROM watchers w)"
                " SELECT FROM one o JOIN comments c ON c.item_id = o.item_id"
            ),
            "c (comments)",
        ),
        ("SELECT (SELECT count(*) FROM comments c WHERE c.created > now())", "c (comments)"),
        ("SELECT FROM search(%(ids)s) s JOIN items i ON i.item_id = s.item_id", "i (items)"),
    ],
)
def test_an_alias_that_nothing_restricts_is_reported(text: str, aliases: str) -> None:
    assert ", ".join(_unrestricted(text)) == aliases
