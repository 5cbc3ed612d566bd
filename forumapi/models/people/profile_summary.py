"""Summaries of profiles (platform 4.2): documents, cached by version, that other documents have in their holes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query, Replica
from forumapi.models.pages.document_reader import Documents, Kind, Loaded
from forumapi.text import avatar as avatars
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment

LOAD = Query(
    "profile_summary.load",
    """
    SELECT p.profile_id, p.version, p.profile_name, p.is_visible, p.avatar_url, p.is_bot
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(ids)s)""",
    replica=Replica.ACKNOWLEDGED,
)

VERSIONS = Query(
    "profile_summary.versions",
    """
    SELECT p.profile_id, p.version
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(ids)s)""",
)


def summary_document(
    site_id: int, profile_id: int, name: str, is_visible: bool, avatar: str, is_bot: bool = False
) -> dict[str, Any]:
    """Return the summary of a profile as a dict for JSON (platform 4.2). `name`: HTML-escaped, as stored; `avatar`:
    the column `avatar_url`; `is_bot` False leaves the member `isBot` out. The member `userId` is the profile's id;
    `own_user` replaces it for the profile's own person.
    """
    return {
        "id": profile_id,
        "siteId": site_id,
        "userId": profile_id,
        "profileName": name,
        "visible": is_visible,
        **({"isBot": True} if is_bot else {}),
        "avatar": avatars.href(profile_id, avatar),
        "meta": {
            "flags": {},
            "links": [
                {"rel": "self", "href": itemtypes.href(itemtypes.PROFILE, profile_id)},
                {"rel": "site", "href": itemtypes.href(itemtypes.SITE, site_id)},
            ],
        },
    }


def _load_summaries(_: Documents, tx: Reader, site_id: int, ids: list[int]) -> Loaded:
    for profile_id, version, *columns in tx.rows(LOAD, site_id=site_id, ids=ids):
        data = summary_document(site_id, profile_id, *columns)
        yield profile_id, version, json_fragments.encode(data)


SUMMARY: Final = Kind("profile/4", _load_summaries)


def own_user(data: bytes, site_id: int, profile_id: int, user_id: int) -> bytes:
    """Return the finished JSON `data` with the user's id as `userId` in each summary of the person's own profile,
    `profile_id`.

    No text can look like the beginning of a summary, since quotes within a text are escaped.
    """
    begin = b'{"id":%d,"siteId":%d,"userId":' % (profile_id, site_id)
    return data.replace(b"%b%d," % (begin, profile_id), b"%b%d," % (begin, user_id))


def summaries(
    tx: Reader, documents: Documents, site_id: int, ids: Collection[int]
) -> dict[int, bytes]:
    """Return profile summaries as JSON, by profile id, at their current versions; unknown ids are left out."""
    if not ids:
        return {}
    versions = {row[0]: row[1] for row in tx.rows(VERSIONS, site_id=site_id, ids=list(ids))}
    found = documents.fetch(tx, site_id, {SUMMARY: versions})[SUMMARY]
    return {id: fragment[0] for id, fragment in found.items()}


def person(people: Mapping[int, Fragment], id: int) -> Any:
    """Return the summary of the profile `id` as a JSON value; None if it is not in `people`."""
    document = people.get(id)
    return json_fragments.raw(document[0]) if document else None


def relation(
    send_email: bool | None, send_sms: bool | None, *, is_ignored: bool = False
) -> dict[str, bool]:
    """Return flags of a thing for the caller, by name (platform 1.12): `ignored` only if true; `watched`, `sendEmail`
    and `sendSMS` only if the caller watches the thing. `send_email` None: the caller does not watch it, and `send_sms`
    has no effect.
    """
    flags: dict[str, bool] = {}
    if send_email is not None:
        flags["watched"] = True
    if is_ignored:
        flags["ignored"] = True
    if send_email is not None:
        flags["sendEmail"] = send_email
        flags["sendSMS"] = bool(send_sms)
    return flags
