"""Profile in detail as it is shown: the object of platform 4.3, made for each request."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query, Row
from forumapi.models.people import profile_summary
from forumapi.text import avatar as avatars
from forumapi.wire import json_fragments

# A profile's own row, counters, what the viewer follows of it, and its biography in the columns of CommentRow.
# How others have written their addresses elsewhere is nothing of this site: they have the form that tells people apart.
# Shared with the statement of `whoami`. In scope: profile p, user u; the joins add the rest.
DETAIL_COLUMNS: Final = """
    p.profile_id, p.version, p.profile_name, p.is_visible, p.avatar_url, p.gender, p.style_id, p.is_member,
    p.created, CASE WHEN p.is_bot THEN '' WHEN p.profile_id = {viewer} THEN u.email ELSE u.person_key END,
    coalesce(n.item_count, 0), coalesce(n.comment_count, 0), coalesce(n.unread_huddles, 0),
    coalesce(n.last_active, p.created), w.send_email, w.send_sms,
    CASE p.profile_id WHEN {viewer} THEN (SELECT e.due FROM erasures e
                                           WHERE e.site_id = p.site_id AND e.profile_id = p.profile_id
                                             AND e.state = 'waiting') END,
    CASE p.profile_id WHEN {viewer} THEN (SELECT a.due FROM account_erasures a
                                           WHERE a.user_id = p.user_id AND a.state = 'waiting') END,
    p.is_bot, coalesce(p.bot_owner_id, 0),
    coalesce(bio.comment_id, 0), bio.version, bio.created_by, bio_author.version, bio.edited_by, bio_editor.version,
    false, coalesce(bio.in_reply_to, 0), coalesce(replied_to.profile_id, 0), coalesce(replied_to.profile_name, ''),
    bio.reactions::text"""

DETAIL_JOINS: Final = f"""
      LEFT JOIN profile_counters n ON n.site_id = p.site_id AND n.profile_id = p.profile_id
      LEFT JOIN watchers w ON w.site_id = p.site_id AND w.profile_id = {{viewer}}
                          AND w.item_type_id = {itemtypes.PROFILE} AND w.item_id = p.profile_id
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
    "profile_page.find",
    f"SELECT {DETAIL_COLUMNS.format(viewer='%(me)s')} {_FROM} {DETAIL_JOINS.format(viewer='%(me)s')} {_WHERE}",
)

FIND_MANY = Query(
    "profile_page.find_many",
    f"""SELECT {DETAIL_COLUMNS.format(viewer="%(me)s")} {_FROM} {DETAIL_JOINS.format(viewer="%(me)s")}
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(profile_ids)s::bigint[])""",
)


class ProfileDetail(NamedTuple):
    """Row of a profile, in the order of DETAIL_COLUMNS. `name` and `gender`: HTML-escaped; `is_visible` False: search
    leaves the profile out; `avatar`: the column `avatar_url`; `email`: "" for a bot, else as entered for the viewer's
    own profile, and for all others the person key (text/email_address.py); `item_count`: number of the profile's
    visible conversations; `unread_huddles`: number of huddles that this profile has not read; `send_email` and
    `send_sms` None: the viewer does not follow the profile; `erasure_due` and `account_erasure_due`: when the erasure
    that the viewer asked for, of this profile or of the whole account, is due, None for no such request and on other
    profiles; `is_bot`: the profile is a program's, and `bot_owner_id` that of its owner, 0 for none; `bio`: columns of
    a CommentRow, of the profile's comment about itself, with id 0 if there is none.
    """

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
    erasure_due: datetime.datetime | None  # of the viewer's own profile alone
    account_erasure_due: datetime.datetime | None
    is_bot: bool
    bot_owner_id: int
    bio: Row  # the columns of a CommentRow; its id is 0 if there is none

    @classmethod
    def of(cls, row: Row) -> ProfileDetail:
        """Make the object from a row of DETAIL_COLUMNS."""
        return cls._make((*row[:_DETAIL_WIDTH], row[_DETAIL_WIDTH:]))

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Return values of which one differs whenever the document does, for the entity tag; the viewer's rights are
        not among them.
        """
        times = [
            json_fragments.format_time(one) if one else ""
            for one in (self.last_active, self.erasure_due, self.account_erasure_due)
        ]
        return (*self[:8], *times, *self[9:13], *self[14:16], self.bio)


_DETAIL_WIDTH: Final = 20


def find(tx: Reader, site_id: int, profile_id: int, viewer_id: int) -> ProfileDetail | None:
    """Return the profile as the profile `viewer_id` (0: a guest) sees it; None if this site has none with this id."""
    row = tx.row(FIND, site_id=site_id, profile_id=profile_id, me=viewer_id)
    return ProfileDetail.of(row) if row else None


def find_many(
    tx: Reader, site_id: int, profile_ids: Collection[int], viewer_id: int
) -> dict[int, ProfileDetail]:
    """Return profiles as the profile `viewer_id` (0: a guest) sees them, by profile id; unknown ids are left out."""
    rows = tx.rows(FIND_MANY, site_id=site_id, profile_ids=list(profile_ids), me=viewer_id)
    return {row[0]: ProfileDetail.of(row) for row in rows}


def detail_document(
    site_id: int,
    detail: ProfileDetail,
    bio: bytes,
    permissions: bytes,
    *,
    is_self: bool,
    is_ignored: bool,
    sees_private: bool,
    moderates: bool,
) -> bytes:
    """Render the profile object of platform 4.3. `bio`: JSON of the profile's comment about itself, null if there is
    none; `permissions`: JSON of the viewer's permissions on the profile; `is_self`: the viewer is this profile;
    `is_ignored`: the viewer ignores it.

    `sees_private`: the viewer is this profile or the site's owner, and is shown e-mail address and the flag `member`.
    `moderates`: the viewer is this profile, and may moderate at least one place of the site.
    """
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
        **({"isBot": True} if detail.is_bot else {}),
        "styleId": detail.style_id,
        "itemCount": detail.item_count,
        "commentCount": detail.comment_count,
        "profileComment": json_fragments.raw(bio),
        "created": json_fragments.format_time(detail.created),
        "lastActive": json_fragments.format_time(detail.last_active),
        "avatar": avatars.href(detail.id, detail.avatar),
    }
    meta: dict[str, Any] = {
        "flags": profile_summary.relation(detail.send_email, detail.send_sms, is_ignored=is_ignored)
    }
    if moderates:
        meta["flags"]["moderates"] = True
    if is_self:
        meta["stats"] = [{"metric": "unreadHuddles", "value": detail.unread_huddles}]
    for name, due in (
        ("erasureDue", detail.erasure_due),
        ("accountErasureDue", detail.account_erasure_due),
    ):
        if due:
            meta[name] = json_fragments.format_time(due)
    meta["links"] = [
        {"rel": "self", "href": itemtypes.href(itemtypes.PROFILE, detail.id)},
        {"rel": "site", "href": itemtypes.href(itemtypes.SITE, site_id)},
    ]
    if detail.bot_owner_id:
        owner = itemtypes.href(itemtypes.PROFILE, detail.bot_owner_id)
        meta["links"].append({"rel": "botOwner", "href": owner})
    meta["permissions"] = json_fragments.raw(permissions)
    data["meta"] = meta
    return json_fragments.dumps(data)
