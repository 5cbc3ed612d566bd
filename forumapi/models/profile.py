"""Profiles: a user's face on one site. Summaries are cached by version; the profile object is made per request."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable
from typing import Any, Final

from forumapi import fragments, itemtypes
from forumapi.db import Query, Reader, Row, Transaction
from forumapi.fragments import Hole
from forumapi.models.documents import Documents, Kind, Loaded

LOAD_SUMMARIES = Query(
    "profile.summaries",
    """
    SELECT p.profile_id, p.version, p.user_id, p.profile_name, p.is_visible, p.avatar_url
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(ids)s)""",
)

VERSIONS = Query(
    "profile.versions",
    """
    SELECT p.profile_id, p.version
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(ids)s)""",
)

# A profile's own row, counters and biography; the columns of DETAIL_COLUMNS are shared with `whoami`'s statement.
DETAIL_COLUMNS: Final = """
    p.profile_id, p.version, p.user_id, p.profile_name, p.is_visible, p.avatar_url, p.gender, p.style_id, p.is_member,
    p.created, u.email, n.item_count, n.comment_count, n.unread_huddles, n.last_active,
    coalesce(bio.comment_id, 0), coalesce(bio.version, 0), coalesce(bio.edited_by, 0), coalesce(bio_editor.version, 0),
    coalesce(bio.created_by, 0), coalesce(bio_author.version, 0)"""

DETAIL_JOINS: Final = """
      LEFT JOIN profile_counters n ON n.site_id = p.site_id AND n.profile_id = p.profile_id
      LEFT JOIN comments bio ON bio.site_id = p.site_id AND bio.comment_id = p.bio_comment_id
      LEFT JOIN profiles bio_author ON bio_author.site_id = bio.site_id AND bio_author.profile_id = bio.created_by
      LEFT JOIN profiles bio_editor ON bio_editor.site_id = bio.site_id AND bio_editor.profile_id = bio.edited_by"""


def summary_document(
    site_id: int, profile_id: int, user_id: int, name: str, is_visible: bool, avatar: str
) -> dict[str, Any]:
    """The profile summary of platform 4.2."""
    return {
        "id": profile_id,
        "siteId": site_id,
        "userId": user_id,
        "profileName": name,
        "visible": is_visible,
        "avatar": avatar,
        "meta": {
            "flags": {},
            "links": [
                {"rel": "self", "href": itemtypes.href(itemtypes.PROFILE, profile_id)},
                {"rel": "site", "href": itemtypes.href(itemtypes.SITE, site_id)},
            ],
        },
    }


def _load_summaries(tx: Reader, site_id: int, ids: list[int]) -> Loaded:
    for profile_id, version, user_id, name, is_visible, avatar in tx.rows(
        LOAD_SUMMARIES, site_id=site_id, ids=ids
    ):
        data = summary_document(site_id, profile_id, user_id, name, is_visible, avatar)
        yield profile_id, version, fragments.encode(data)


SUMMARY: Final = Kind("profile/1", _load_summaries)


def summaries(
    tx: Reader, documents: Documents, site_id: int, ids: Collection[int]
) -> dict[int, bytes]:
    """Profile summaries by id, at their current versions; an unknown id has no entry."""
    if not ids:
        return {}
    versions = {row[0]: row[1] for row in tx.rows(VERSIONS, site_id=site_id, ids=list(ids))}
    found = documents.fetch(tx, site_id, {SUMMARY: versions})[SUMMARY]
    return {id: fragment[0] for id, fragment in found.items()}
