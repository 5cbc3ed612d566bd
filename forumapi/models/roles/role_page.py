"""Roles as they are shown: one role, pages of roles with their members, and the profiles named in a role."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query, Row
from forumapi.models.roles import role_members_page
from forumapi.models.roles.role import FLAG_COLUMNS, FLAGS
from forumapi.models.roles.role_members_page import MemberChange
from forumapi.wire import json_fragments
from forumapi.wire.paging import Paging

PREVIEWED: Final = 5  # members that a summary shows

_COLUMNS: Final = f"""
    r.role_id, r.version, r.microcosm_id, r.title, r.created, r.edited, r.edit_reason, coalesce(r.created_by, 0),
    coalesce(author.version, 0), coalesce(r.edited_by, 0), coalesce(editor.version, 0), {FLAG_COLUMNS}"""
_PEOPLE: Final = """
      LEFT JOIN profiles author ON author.site_id = r.site_id AND author.profile_id = r.created_by
      LEFT JOIN profiles editor ON editor.site_id = r.site_id AND editor.profile_id = r.edited_by"""

FIND = Query(
    "role_page.find",
    f"""
    SELECT {_COLUMNS}
      FROM roles r {_PEOPLE}
     WHERE r.site_id = %(site_id)s AND r.microcosm_id = %(microcosm_id)s AND r.role_id = %(id)s""",
)

# Page of roles with the number of members of each, and the first of these. A change by time alone counts from the
# profile's next request on.
PAGE = Query(
    "role_page.page",
    f"""
    WITH page AS MATERIALIZED (
        SELECT r.role_id, r.include_users
          FROM roles r
         WHERE r.site_id = %(site_id)s AND r.role_id = ANY(%(ids)s)
         ORDER BY r.is_moderator DESC, r.is_banned, r.title, r.role_id
         LIMIT %(limit)s OFFSET %(offset)s),
    covered AS (
        SELECT u.role_id, p.profile_id, p.version
          FROM profiles p
         CROSS JOIN LATERAL unnest(p.role_ids) AS u (role_id)
         WHERE p.site_id = %(site_id)s AND p.role_ids && ARRAY(SELECT g.role_id FROM page g WHERE NOT g.include_users)),
    counted AS (
        SELECT c.role_id, count(*) AS total,
               (array_agg(c.profile_id ORDER BY c.profile_id) FILTER (WHERE %(shows)s))[1:{PREVIEWED}] AS ids,
               (array_agg(c.version ORDER BY c.profile_id) FILTER (WHERE %(shows)s))[1:{PREVIEWED}] AS versions
          FROM covered c
         GROUP BY c.role_id),
    first AS (
        SELECT p.profile_id, p.version
          FROM profiles p
         WHERE p.site_id = %(site_id)s AND %(shows)s AND EXISTS (SELECT FROM page g WHERE g.include_users)
         ORDER BY p.profile_id LIMIT {PREVIEWED}),
    everyone AS (
        SELECT (SELECT count(*) FROM profiles p
                 WHERE p.site_id = %(site_id)s AND EXISTS (SELECT FROM page g WHERE g.include_users)) AS total,
               (SELECT array_agg(f.profile_id ORDER BY f.profile_id) FROM first f) AS ids,
               (SELECT array_agg(f.version ORDER BY f.profile_id) FROM first f) AS versions)
    SELECT CASE WHEN r.include_users THEN e.total ELSE coalesce(n.total, 0) END,
           CASE WHEN r.include_users THEN e.ids ELSE n.ids END,
           CASE WHEN r.include_users THEN e.versions ELSE n.versions END,
           EXISTS (SELECT FROM criteria c
                    WHERE c.site_id = r.site_id AND c.role_id = r.role_id AND c.attr_key <> 'is_member'), {_COLUMNS}
      FROM page g
      JOIN roles r ON r.site_id = %(site_id)s AND r.role_id = g.role_id {_PEOPLE}
     CROSS JOIN everyone e
      LEFT JOIN counted n ON n.role_id = r.role_id
     ORDER BY r.is_moderator DESC, r.is_banned, r.title, r.role_id""",
)

# ---------------------------------------------------------------- named profiles

NAMED = Query(
    "role_page.named",
    """
    SELECT n.total, page.profile_id, page.version
      FROM (SELECT count(*) AS total FROM role_profiles x
             WHERE x.site_id = %(site_id)s AND x.role_id = %(id)s) n
      LEFT JOIN LATERAL (
            SELECT p.profile_id, p.version
              FROM role_profiles x
              JOIN profiles p ON p.site_id = x.site_id AND p.profile_id = x.profile_id
             WHERE x.site_id = %(site_id)s AND x.role_id = %(id)s
             ORDER BY p.profile_id LIMIT %(limit)s OFFSET %(offset)s) page ON true
     ORDER BY page.profile_id""",
)

FIND_NAMED = Query(
    "role_page.find_named",
    """
    SELECT p.version
      FROM role_profiles x
      JOIN profiles p ON p.site_id = x.site_id AND p.profile_id = x.profile_id
     WHERE x.site_id = %(site_id)s AND x.role_id = %(id)s AND x.profile_id = %(profile_id)s""",
)


class ShownRole(NamedTuple):
    """Role as it is shown. `author` and `editor`: (id, version) of the profiles that made it and last changed it, id 0
    for nobody; `edited`: time of that change, None if it was never changed; `flags`: all of FLAGS, by wire name; texts
    are HTML-escaped.
    """

    id: int
    version: int
    microcosm_id: int
    title: str
    created: datetime.datetime
    edited: datetime.datetime | None
    edit_reason: str
    author: tuple[int, int]
    editor: tuple[int, int]
    flags: dict[str, bool]

    @classmethod
    def of(cls, row: Row) -> ShownRole:
        """Make the role from a row of _COLUMNS."""
        flags = dict(zip(FLAGS, row[11:], strict=True))
        return cls._make((*row[:7], row[7:9], row[9:11], flags))

    @property
    def people(self) -> dict[int, int]:
        """Return the versions of the profiles that the document shows, by profile id."""
        return {id: version for id, version in (self.author, self.editor) if id}

    @property
    def path(self) -> str:
        """Return the host-relative address at which the role can be read and changed."""
        return f"{itemtypes.href(itemtypes.MICROCOSM, self.microcosm_id)}/roles/{self.id}"


class RoleSummary(NamedTuple):
    """Role in a list. `total`: number of its members; `members`: versions, by profile id, of the PREVIEWED members with
    the lowest ids.

    `losing`: members that are in the role only by a value that they wrote themselves, and will soon leave it; None for
    none.
    """

    role: ShownRole
    total: int
    members: dict[int, int]
    losing: MemberChange | None = None


class NamedProfiles(NamedTuple):
    """Page of the profiles named in a role: `versions` by profile id; `total`: number of all of them."""

    total: int
    versions: dict[int, int]


def document(
    role: ShownRole,
    site_id: int,
    microcosm_title: str,
    people: Mapping[int, bytes],
    *,
    permissions: bytes = b"",
    members: bytes = b"",
    losing: bytes = b"",
    reason: bytes = b"",
) -> bytes:
    """Render a role as JSON (platform 5.2). `people`: summaries of the role's author and editor by profile id; without
    one the author is null, and the editor left out; `microcosm_title`: HTML-escaped, as stored, shown in the link to
    the microcosm. All parameters from `permissions` on are JSON, and b"" leaves the member out.

    `permissions`: for a role that stands alone; `members` and `losing`: for a role in a list; `reason`: for a role in
    the list of one profile's roles.
    """
    meta: dict[str, Any] = {
        "created": json_fragments.format_time(role.created),
        "createdBy": json_fragments.raw(people.get(role.author[0], b"null")),
    }
    if role.edited is not None:
        meta["edited"] = json_fragments.format_time(role.edited)
        if role.editor[0] in people:
            meta["editedBy"] = json_fragments.raw(people[role.editor[0]])
        meta["editReason"] = role.edit_reason
    meta["links"] = [
        {"rel": "self", "href": role.path},
        {
            "rel": "microcosm",
            "href": itemtypes.href(itemtypes.MICROCOSM, role.microcosm_id),
            "title": microcosm_title,
        },
    ]
    if permissions:
        meta["permissions"] = json_fragments.raw(permissions)
    data: dict[str, Any] = {
        "id": role.id,
        "title": role.title,
        "siteId": site_id,
        "microcosmId": role.microcosm_id,
        **role.flags,
    }
    data["meta"] = meta
    if members:
        data["members"] = json_fragments.raw(members)
    if losing:
        data["losing"] = json_fragments.raw(losing)
    if reason:
        data["reason"] = json_fragments.raw(reason)
    return json_fragments.dumps(data)


def find(tx: Reader, site_id: int, microcosm_id: int, id: int) -> ShownRole | None:
    """Return the role with this id of that microcosm; None also for a role of another microcosm (P-46)."""
    row = tx.row(FIND, site_id=site_id, microcosm_id=microcosm_id, id=id)
    return ShownRole.of(row) if row else None


def page(tx: Reader, site_id: int, ids: list[int], at: Paging, *, shows: bool) -> list[RoleSummary]:
    """Return the page `at` of the roles with the ids `ids`: moderators' first, roles that ban last, then by title.

    `shows`: with a few members of each role and those who will leave it, by one more statement if a role has criteria
    on attributes; else `members` is empty and `losing` None.
    """
    rows = tx.rows(PAGE, site_id=site_id, ids=ids, limit=at.limit, offset=at.offset, shows=shows)
    summaries = [
        RoleSummary(
            ShownRole.of(row[4:]), row[0], dict(zip(row[1] or (), row[2] or (), strict=True))
        )
        for row in rows
    ]
    asking = [one.role.id for one, row in zip(summaries, rows, strict=True) if row[3] and shows]
    losing = role_members_page.losing(tx, site_id, asking, PREVIEWED) if asking else {}
    return [one._replace(losing=losing.get(one.role.id)) for one in summaries]


def named(tx: Reader, site_id: int, id: int, at: Paging) -> NamedProfiles:
    """Return the page `at` of the profiles named in the role `id`, in the order of their ids."""
    rows = tx.rows(NAMED, site_id=site_id, id=id, limit=at.limit, offset=at.offset)
    return NamedProfiles(rows[0][0], {row[1]: row[2] for row in rows if row[1] is not None})


def find_named(tx: Reader, site_id: int, id: int, profile_id: int) -> int | None:
    """Return the version of the profile `profile_id` if it is named in the role `id`; None if it is not."""
    version: int | None = tx.value(FIND_NAMED, site_id=site_id, id=id, profile_id=profile_id)
    return version
