"""Profiles: a user's face on one site (platform 4). Summaries are cached by version; the object is made per request."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any, Final, NamedTuple

from psycopg import errors as pgerrors

from forumapi import itemtypes
from forumapi.database.connections import (
    Query,
    Reader,
    Replica,
    Row,
    Transaction,
)
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.models.journal.journal import Author
from forumapi.models.pages.documents import Documents, Kind, Loaded
from forumapi.models.people import role_members
from forumapi.text import avatar as avatars
from forumapi.text import clean
from forumapi.text.looks import looks
from forumapi.wire import json_fragments

LOAD_SUMMARIES = Query(
    "profile.summaries",
    """
    SELECT p.profile_id, p.version, p.profile_name, p.is_visible, p.avatar_url
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(ids)s)""",
    replica=Replica.ACKNOWLEDGED,
)

VERSIONS = Query(
    "profile.versions",
    """
    SELECT p.profile_id, p.version
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(ids)s)""",
)

# A profile's own row, counters, what the viewer follows of it, and its biography in the columns of CommentRow.
# How others have written their addresses elsewhere is nothing of this site: they have the form that tells people apart.
# Shared with the statement of `whoami`. In scope: profile p, user u; the joins add the rest.
DETAIL_COLUMNS: Final = """
    p.profile_id, p.version, p.profile_name, p.is_visible, p.avatar_url, p.gender, p.style_id, p.is_member,
    p.created, CASE p.profile_id WHEN {viewer} THEN u.email ELSE u.person_key END,
    coalesce(n.item_count, 0), coalesce(n.comment_count, 0), coalesce(n.unread_huddles, 0),
    coalesce(n.last_active, p.created), w.send_email, w.send_sms,
    coalesce(bio.comment_id, 0), bio.version, bio.created_by, bio_author.version, bio.edited_by, bio_editor.version,
    false, coalesce(bio.in_reply_to, 0), coalesce(replied_to.profile_id, 0), coalesce(replied_to.profile_name, ''),
    bio.reactions::text"""

DETAIL_JOINS: Final = """
      LEFT JOIN profile_counters n ON n.site_id = p.site_id AND n.profile_id = p.profile_id
      LEFT JOIN watchers w ON w.site_id = p.site_id AND w.profile_id = {viewer} AND w.item_type_id = 3
                          AND w.item_id = p.profile_id
      LEFT JOIN comments bio ON bio.site_id = p.site_id AND bio.comment_id = p.bio_comment_id
      LEFT JOIN profiles bio_author ON bio_author.site_id = bio.site_id AND bio_author.profile_id = bio.created_by
      LEFT JOIN profiles bio_editor ON bio_editor.site_id = bio.site_id AND bio_editor.profile_id = bio.edited_by
      LEFT JOIN comments reply ON reply.site_id = bio.site_id AND reply.comment_id = bio.in_reply_to
                              AND NOT reply.is_deleted AND NOT reply.is_moderated
                              AND reply.on_profile_id = bio.on_profile_id
      LEFT JOIN profiles replied_to ON replied_to.site_id = reply.site_id
                                   AND replied_to.profile_id = reply.created_by"""

_FROM: Final = """
      FROM profiles p
      JOIN users u ON u.user_id = p.user_id"""
_WHERE: Final = " WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s"

FIND = Query(
    "profile.find",
    f"SELECT {DETAIL_COLUMNS.format(viewer='%(me)s')} {_FROM} {DETAIL_JOINS.format(viewer='%(me)s')} {_WHERE}",
)

FIND_MANY = Query(
    "profile.find_many",
    f"""SELECT {DETAIL_COLUMNS.format(viewer="%(me)s")} {_FROM} {DETAIL_JOINS.format(viewer="%(me)s")}
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(profile_ids)s::bigint[])""",
)

# A change of a profile may change its roles.
LOCK = Query(
    "profile.lock",
    f"""
    SELECT p.version, p.profile_name, p.gender, p.is_visible, p.style_id, p.is_member
      FROM {role_members.LOCK_ROLES_SHARED} AS held
     CROSS JOIN profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s
       FOR NO KEY UPDATE OF p""",
)

# The site document shows its owner and creator: a change of theirs moves the site's version too.
UPDATE = Query(
    "profile.update",
    """
    WITH changed AS (
        UPDATE profiles p
           SET profile_name = %(name)s, name_looks = coalesce(%(looks)s::text[], p.name_looks),
               gender = nullif(%(gender)s::text, ''), is_visible = %(is_visible)s,
               style_id = %(style_id)s, version = p.version + 1
         WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s
           AND NOT EXISTS (SELECT FROM profiles o
                            WHERE o.site_id = %(site_id)s AND o.name_looks && %(looks)s::text[]
                              AND o.profile_id <> %(profile_id)s)
     RETURNING p.site_id, p.profile_id, p.version),
    shown AS (
        UPDATE sites s
           SET version = s.version + 1
          FROM changed
         WHERE s.site_id = changed.site_id AND changed.profile_id IN (s.owned_by, s.created_by))
    SELECT version FROM changed""",
)

# The flag lives as the attribute is_member (platform 4.3); the profile's column mirrors it.
GRANT_MEMBER = Query(
    "profile.grant_member",
    """
    WITH noted AS (
        INSERT INTO attributes (site_id, item_type_id, item_id, key, value_type_id, boolean_value, written_by, written,
                                is_granted)
        VALUES (%(site_id)s, 3, %(profile_id)s, 'is_member', 4, true, %(me)s, clock_timestamp(), true)
            ON CONFLICT (site_id, item_type_id, item_id, key) DO UPDATE
           SET value_type_id = 4, string_value = NULL, date_value = NULL, number_value = NULL, boolean_value = true,
               written_by = EXCLUDED.written_by, written = EXCLUDED.written, is_granted = true)
    UPDATE profiles p
       SET is_member = true, version = p.version + 1
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s
 RETURNING p.version""",
)
REVOKE_MEMBER = Query(
    "profile.revoke_member",
    """
    WITH noted AS (
        DELETE FROM attributes a
         WHERE a.site_id = %(site_id)s AND a.item_type_id = 3 AND a.item_id = %(profile_id)s AND a.key = 'is_member')
    UPDATE profiles p
       SET is_member = false, version = p.version + 1
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s
 RETURNING p.version""",
)


def summary_document(
    site_id: int, profile_id: int, name: str, is_visible: bool, avatar: str
) -> dict[str, Any]:
    """The profile summary of platform 4.2. Who a user is elsewhere is nobody's business: see `own_user`."""
    return {
        "id": profile_id,
        "siteId": site_id,
        "userId": profile_id,
        "profileName": name,
        "visible": is_visible,
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
    for profile_id, version, name, is_visible, avatar in tx.rows(
        LOAD_SUMMARIES, site_id=site_id, ids=ids
    ):
        data = summary_document(site_id, profile_id, name, is_visible, avatar)
        yield profile_id, version, json_fragments.encode(data)


SUMMARY: Final = Kind("profile/3", _load_summaries)


def own_user(data: bytes, site_id: int, profile_id: int, user_id: int) -> bytes:
    """Finished JSON with the user's id as `userId` in every document of this one profile: as its own person sees it.

    No text can be taken for the beginning of a document, since quotes within a text are escaped.
    """
    begin = b'{"id":%d,"siteId":%d,"userId":' % (profile_id, site_id)
    return data.replace(b"%b%d," % (begin, profile_id), b"%b%d," % (begin, user_id))


def summaries(
    tx: Reader, documents: Documents, site_id: int, ids: Collection[int]
) -> dict[int, bytes]:
    """Profile summaries by id, at their current versions; an unknown id has no entry."""
    if not ids:
        return {}
    versions = {row[0]: row[1] for row in tx.rows(VERSIONS, site_id=site_id, ids=list(ids))}
    found = documents.fetch(tx, site_id, {SUMMARY: versions})[SUMMARY]
    return {id: fragment[0] for id, fragment in found.items()}


# ---------------------------------------------------------------- one profile

NAME_MIN: Final = 2
NAME_MAX: Final = 25
GENDER_MAX: Final = 16
STYLE_MAX: Final = 2**31 - 1


class Detail(NamedTuple):
    """A profile as its statement returned it, in the order of DETAIL_COLUMNS."""

    id: int
    version: int
    name: str
    is_visible: bool
    avatar: str
    gender: str | None
    style_id: int
    is_member: bool
    created: datetime.datetime
    email: str
    item_count: int
    comment_count: int
    unread_huddles: int
    last_active: datetime.datetime
    send_email: bool | None  # None: the viewer doesn't watch this profile
    send_sms: bool | None
    bio: Row  # the columns of a comment's CommentRow; its id is 0 where there is none

    @classmethod
    def of(cls, row: Row) -> Detail:
        """From the columns of DETAIL_COLUMNS."""
        return cls._make((*row[:_DETAIL_WIDTH], row[_DETAIL_WIDTH:]))

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Plain data that covers every input of the document but the viewer's rights."""
        return (*self[:8], json_fragments.when(self.last_active), *self[9:13], *self[14:])


_DETAIL_WIDTH: Final = 16


def find(tx: Reader, site_id: int, profile_id: int, viewer_id: int) -> Detail | None:
    """The profile as `viewer_id` (0: a guest) sees it, or None."""
    row = tx.row(FIND, site_id=site_id, profile_id=profile_id, me=viewer_id)
    return Detail.of(row) if row else None


def find_many(
    tx: Reader, site_id: int, profile_ids: Collection[int], viewer_id: int
) -> dict[int, Detail]:
    """The profiles as `viewer_id` sees them, by id; an unknown id has no entry."""
    rows = tx.rows(FIND_MANY, site_id=site_id, profile_ids=list(profile_ids), me=viewer_id)
    return {row[0]: Detail.of(row) for row in rows}


def detail_document(
    site_id: int,
    detail: Detail,
    bio: bytes,
    permissions: bytes,
    *,
    is_self: bool,
    is_ignored: bool,
    sees_private: bool,
) -> bytes:
    """The profile object of platform 4.3. `sees_private`: the viewer is this profile or the site's owner."""
    data: dict[str, Any] = {"id": detail.id, "siteId": site_id, "userId": detail.id}
    if sees_private:
        data["email"] = detail.email
    data["profileName"] = detail.name
    if sees_private and detail.is_member:
        data["member"] = True
    if detail.gender:
        data["gender"] = detail.gender
    data |= {
        "visible": detail.is_visible,
        "styleId": detail.style_id,
        "itemCount": detail.item_count,
        "commentCount": detail.comment_count,
        "profileComment": json_fragments.raw(bio),
        "created": json_fragments.when(detail.created),
        "lastActive": json_fragments.when(detail.last_active),
        "avatar": avatars.href(detail.id, detail.avatar),
    }
    meta: dict[str, Any] = {
        "flags": relation(detail.send_email, detail.send_sms, is_ignored=is_ignored)
    }
    if is_self:
        meta["stats"] = [{"metric": "unreadHuddles", "value": detail.unread_huddles}]
    meta["links"] = [
        {"rel": "self", "href": itemtypes.href(itemtypes.PROFILE, detail.id)},
        {"rel": "site", "href": itemtypes.href(itemtypes.SITE, site_id)},
    ]
    meta["permissions"] = json_fragments.raw(permissions)
    data["meta"] = meta
    return json_fragments.dumps(data)


def relation(
    send_email: bool | None, send_sms: bool | None, *, is_ignored: bool = False
) -> dict[str, bool]:
    """The caller's own flags on a thing (platform 1.12); `send_email` None: not watched."""
    flags: dict[str, bool] = {}
    if send_email is not None:
        flags["watched"] = True
    if is_ignored:
        flags["ignored"] = True
    if send_email is not None:
        flags["sendEmail"] = send_email
        flags["sendSMS"] = bool(send_sms)
    return flags


class Editable(NamedTuple):
    """What of a profile a PUT may change, with its version; the row is locked."""

    version: int
    name: str
    gender: str | None
    is_visible: bool
    style_id: int
    is_member: bool


def lock(tx: Transaction, site_id: int, profile_id: int) -> Editable | None:
    """The profile's own row, locked for a change; None if it isn't there."""
    row = tx.row(LOCK, site_id=site_id, profile_id=profile_id)
    return Editable(*row) if row else None


def checked_name(text: str, reserved: Collection[str]) -> str:
    """A profile name as it is stored (platform 4.3). Raises Invalid."""
    name = clean.word(text)
    if not NAME_MIN <= clean.length(name) <= NAME_MAX:
        raise Invalid("profileName", f"must have {NAME_MIN} to {NAME_MAX} characters")
    if "@" in name or "+" in name:
        raise Invalid("profileName", "may not hold @ or +")
    own = looks(name)
    if any(not set(looks(one)).isdisjoint(own) for one in reserved):
        raise Invalid("profileName", "is reserved")
    return name


def checked_gender(text: str) -> str:
    """A gender as it is stored; "" clears it. Raises Invalid."""
    gender = clean.sentence(text, quiet=False)
    if clean.length(gender) > GENDER_MAX:
        raise Invalid("gender", f"may have at most {GENDER_MAX} characters", code=OUT_OF_RANGE)
    return gender


def update(
    tx: Transaction,
    site_id: int,
    profile_id: int,
    *,
    name: str,
    is_renamed: bool,
    gender: str,
    is_visible: bool,
    style_id: int,
) -> int:
    """Store a change; the new version.

    Raises Invalid for a style out of range, for a taken name (P-32), and for one that looks like another's.
    """
    if not 0 <= style_id <= STYLE_MAX:
        raise Invalid("styleId", f"must be between 0 and {STYLE_MAX}", code=OUT_OF_RANGE)
    try:
        version = tx.value(
            UPDATE,
            site_id=site_id,
            profile_id=profile_id,
            name=name,
            looks=looks(name) if is_renamed else None,
            gender=gender,
            is_visible=is_visible,
            style_id=style_id,
        )
    except pgerrors.UniqueViolation:
        raise Invalid("profileName", "is taken") from None
    if version is None:
        raise Invalid("profileName", "looks like another's")
    return int(version)


def set_member(tx: Transaction, author: Author, profile_id: int, is_member: bool) -> int:
    """Grant or take the `member` flag; the new version. The caller settles the roles afterwards."""
    query = GRANT_MEMBER if is_member else REVOKE_MEMBER
    by = {"me": author.profile_id} if is_member else {}
    return int(tx.value(query, site_id=author.site_id, profile_id=profile_id, **by))


# ---------------------------------------------------------------- looks of names

NOT_LOOKED_AT = Query(
    "profile.not_looked_at",
    """
    SELECT p.site_id, p.profile_id, p.profile_name
      FROM profiles p
     WHERE p.name_looks IS NULL
     ORDER BY p.site_id, p.profile_id
     LIMIT %(limit)s""",
)
# A name that was changed meanwhile is looked at the next time.
SET_LOOKS = Query(
    "profile.set_looks",
    """
    UPDATE profiles p
       SET name_looks = array_remove(ARRAY[n.first, n.second], NULL)
      FROM unnest(%(sites)s::bigint[], %(ids)s::bigint[], %(names)s::text[], %(firsts)s::text[], %(seconds)s::text[])
           AS n (site_id, profile_id, name, first, second)
     WHERE p.site_id = n.site_id AND p.profile_id = n.profile_id AND p.profile_name = n.name
       AND p.name_looks IS NULL""",
)


def look_at_names(tx: Transaction, limit: int) -> int:
    """Note the looks of names that nobody looked at yet, across sites; how many."""
    rows = tx.rows(NOT_LOOKED_AT, limit=limit)
    if not rows:
        return 0
    seen = [looks(name) for _, _, name in rows]
    return tx.run(
        SET_LOOKS,
        sites=[row[0] for row in rows],
        ids=[row[1] for row in rows],
        names=[row[2] for row in rows],
        firsts=[one[0] for one in seen],
        seconds=[one[1] if len(one) > 1 else None for one in seen],
    )
