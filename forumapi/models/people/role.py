"""Roles: named sets of rights on one microcosm (platform 5.2). Their members: role_members.py, criterion.py.

Every change of a role moves the site's acl_version, so that access lists are worked out anew.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import (
    Query,
    Reader,
    Row,
    Transaction,
)
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.people import role_members, role_members_page, role_settling
from forumapi.models.people.role_members_page import Movement
from forumapi.models.people.role_settling import Settling
from forumapi.wire import json_fragments
from forumapi.wire.paging import Paging

# Wire name -> column, in wire order (platform 5.2).
FLAGS: Final = {
    "moderator": "is_moderator",
    "banned": "is_banned",
    "includeGuests": "include_guests",
    "includeUsers": "include_users",
    "create": "can_create",
    "read": "can_read",
    "update": "can_update",
    "delete": "can_delete",
    "closeOwn": "can_close_own",
    "openOwn": "can_open_own",
    "readOthers": "can_read_others",
}
PREVIEWED: Final = 5  # members that a summary shows

_FLAGS: Final = ", ".join(f"r.{column}" for column in FLAGS.values())
_COLUMNS: Final = f"""
    r.role_id, r.version, r.microcosm_id, r.title, r.created, r.edited, r.edit_reason, coalesce(r.created_by, 0),
    coalesce(author.version, 0), coalesce(r.edited_by, 0), coalesce(editor.version, 0), {_FLAGS}"""
_PEOPLE: Final = """
      LEFT JOIN profiles author ON author.site_id = r.site_id AND author.profile_id = r.created_by
      LEFT JOIN profiles editor ON editor.site_id = r.site_id AND editor.profile_id = r.edited_by"""

FIND = Query(
    "role.find",
    f"""
    SELECT {_COLUMNS}
      FROM roles r {_PEOPLE}
     WHERE r.site_id = %(site_id)s AND r.microcosm_id = %(microcosm_id)s AND r.role_id = %(id)s""",
)

# A page of roles with how many are in each, and the first of them. What only time has changed counts from a profile's
# next request on.
PAGE = Query(
    "role.page",
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

# Who manages roles now: the site's owner, and whoever is in the right ones.
_NOW: Final = """
           s.acl_version, coalesce(s.owned_by, 0),
           (SELECT p.role_ids FROM profiles p WHERE p.site_id = s.site_id AND p.profile_id = %(me)s)"""

LOOK = Query("role.look", f"SELECT {_NOW} FROM sites s WHERE s.site_id = %(site_id)s")
BUMP = Query(
    "role.bump",
    f"""
    UPDATE sites s
       SET acl_version = s.acl_version + 1
     WHERE s.site_id = %(site_id)s
 RETURNING {_NOW}""",
)

LOCK = Query(
    "role.lock",
    f"""
    SELECT r.version, r.title, {_FLAGS}
      FROM roles r
     WHERE r.site_id = %(site_id)s AND r.microcosm_id = %(microcosm_id)s AND r.role_id = %(id)s
       FOR NO KEY UPDATE""",
)

DUPLICATE = Query(
    "role.duplicate",
    """
    SELECT r.role_id
      FROM roles r
     WHERE r.site_id = %(site_id)s AND r.microcosm_id = %(microcosm_id)s AND r.title = %(title)s
       AND r.created_by = %(me)s AND r.created > now() - make_interval(secs => %(window_s)s)
     ORDER BY r.role_id LIMIT 1""",
)

_NAMES: Final = ", ".join(FLAGS.values())
_VALUES: Final = ", ".join(f"%({column})s" for column in FLAGS.values())

INSERT = Query(
    "role.insert",
    f"""
    INSERT INTO roles (site_id, microcosm_id, title, created_by, {_NAMES})
    VALUES (%(site_id)s, %(microcosm_id)s, %(title)s, %(me)s, {_VALUES})
 RETURNING role_id""",
)

UPDATE = Query(
    "role.update",
    f"""
    UPDATE roles r
       SET title = %(title)s, ({_NAMES}) = ROW ({_VALUES}), edited = now(), edited_by = %(me)s,
           edit_reason = %(reason)s, version = r.version + 1
     WHERE r.site_id = %(site_id)s AND r.role_id = %(id)s
 RETURNING r.version""",
)

DELETE = Query(
    "role.delete",
    """
    WITH tests AS (
        DELETE FROM criteria c WHERE c.site_id = %(site_id)s AND c.role_id = %(id)s),
    named AS (
        DELETE FROM role_profiles x WHERE x.site_id = %(site_id)s AND x.role_id = %(id)s)
    DELETE FROM roles r WHERE r.site_id = %(site_id)s AND r.role_id = %(id)s""",
)

# ---------------------------------------------------------------- who is named

NAMED = Query(
    "role.named",
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
    "role.find_named",
    """
    SELECT p.version
      FROM role_profiles x
      JOIN profiles p ON p.site_id = x.site_id AND p.profile_id = x.profile_id
     WHERE x.site_id = %(site_id)s AND x.role_id = %(id)s AND x.profile_id = %(profile_id)s""",
)

# How many of them are profiles of this site; they are named if all are.
NAME = Query(
    "role.name",
    """
    WITH found AS MATERIALIZED (
        SELECT p.profile_id FROM profiles p
         WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(profile_ids)s)),
    added AS (
        INSERT INTO role_profiles (site_id, role_id, profile_id)
        SELECT %(site_id)s, %(id)s, f.profile_id
          FROM found f
         WHERE (SELECT count(*) FROM found) = %(wanted)s
            ON CONFLICT DO NOTHING)
    SELECT count(*) FROM found""",
)

# NULL: all.
UNNAME = Query(
    "role.unname",
    """
    DELETE FROM role_profiles x
     WHERE x.site_id = %(site_id)s AND x.role_id = %(id)s
       AND (%(profile_ids)s::bigint[] IS NULL OR x.profile_id = ANY(%(profile_ids)s::bigint[]))""",
)


class Rights(NamedTuple):
    """What of a role may be changed: the flags by wire name."""

    version: int
    title: str
    flags: dict[str, bool]


class Role(NamedTuple):
    """A role as it is shown. `author` and `editor` are (profile, version); profile 0: nobody."""

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
    def of(cls, row: Row) -> Role:
        """From the columns of _COLUMNS."""
        flags = dict(zip(FLAGS, row[11:], strict=True))
        return cls._make((*row[:7], row[7:9], row[9:11], flags))

    @property
    def people(self) -> dict[int, int]:
        """The profiles that the document shows, with their versions."""
        return {id: version for id, version in (self.author, self.editor) if id}

    @property
    def path(self) -> str:
        """The address at which it can be read and changed."""
        return path(self.microcosm_id, self.id)


class Summary(NamedTuple):
    """A role in a list: how many are in it, and the first of them (profile -> version).

    `losing`: who is in it by nothing but a value of their own, and will not be for long.
    """

    role: Role
    total: int
    members: dict[int, int]
    losing: Movement | None = None


class NamedPage(NamedTuple):
    """One page of those who are named in a role, by id: profile -> version."""

    total: int
    versions: dict[int, int]


class Held(NamedTuple):
    """A site whose roles nobody else changes now: its acl_version, its owner, and the roles of the caller."""

    acl_version: int
    owner_id: int
    role_ids: tuple[int, ...]


def path(microcosm_id: int, role_id: int) -> str:
    """The address of a role below its microcosm."""
    return f"{itemtypes.href(itemtypes.MICROCOSM, microcosm_id)}/roles/{role_id}"


def document(
    role: Role,
    site_id: int,
    microcosm_title: str,
    people: Mapping[int, bytes],
    *,
    permissions: bytes = b"",
    members: bytes = b"",
    losing: bytes = b"",
) -> bytes:
    """The object of platform 5.2, with `permissions` as a role of its own, with `members` as one of a list."""
    meta: dict[str, Any] = {
        "created": json_fragments.when(role.created),
        "createdBy": json_fragments.raw(people.get(role.author[0], b"null")),
    }
    if role.edited is not None:
        meta["edited"] = json_fragments.when(role.edited)
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
    return json_fragments.dumps(data)


def find(tx: Reader, site_id: int, microcosm_id: int, id: int) -> Role | None:
    """The role of that microcosm, else None, also for a role of another (P-46)."""
    row = tx.row(FIND, site_id=site_id, microcosm_id=microcosm_id, id=id)
    return Role.of(row) if row else None


def page(tx: Reader, site_id: int, ids: list[int], at: Paging, *, shows: bool) -> list[Summary]:
    """One page of these roles: moderators first, banned last, then by title.

    `shows`: with their first members and those who will lose the role, which costs another statement where one of them
    has criteria on attributes.
    """
    rows = tx.rows(PAGE, site_id=site_id, ids=ids, limit=at.limit, offset=at.offset, shows=shows)
    found = [
        Summary(Role.of(row[4:]), row[0], dict(zip(row[1] or (), row[2] or (), strict=True)))
        for row in rows
    ]
    asking = [one.role.id for one, row in zip(found, rows, strict=True) if row[3] and shows]
    losing = role_members_page.losing(tx, site_id, asking, PREVIEWED) if asking else {}
    return [one._replace(losing=losing.get(one.role.id)) for one in found]


def hold(tx: Transaction, site_id: int, me: int, *, moves_rights: bool) -> Held:
    """Begin a change of the site's roles; others wait. `moves_rights`: access lists are worked out anew."""
    role_members.lock_roles(tx, site_id)
    row = tx.row(BUMP if moves_rights else LOOK, site_id=site_id, me=me)
    assert row is not None
    return Held(row[0], row[1], tuple(row[2] or ()))


def lock(tx: Transaction, site_id: int, microcosm_id: int, id: int) -> Rights | None:
    """The role's row for a change; None if that microcosm has no such role."""
    row = tx.row(LOCK, site_id=site_id, microcosm_id=microcosm_id, id=id)
    if row is None:
        return None
    return Rights(row[0], row[1], dict(zip(FLAGS, row[2:], strict=True)))


def insert(
    tx: Transaction,
    author: Author,
    microcosm_id: int,
    title: str,
    flags: Mapping[str, bool],
    *,
    window_s: int,
) -> int:
    """A new role's id, or that of the equal one that the same author made within `window_s` seconds (P-10)."""
    site_id, me, _ = author
    same = {"site_id": site_id, "microcosm_id": microcosm_id, "title": title, "me": me}
    found = tx.value(DUPLICATE, window_s=window_s, **same)
    if found:
        return int(found)
    id = int(tx.value(INSERT, **same, **_columns(flags)))
    record(tx, author, journal.CREATED, microcosm_id, id, 1)
    return id


def update(
    tx: Transaction,
    author: Author,
    microcosm_id: int,
    id: int,
    new: Rights,
    reason: str,
    kind: str,
) -> None:
    """Store a changed role. `kind` is journal.REPLACED or PATCHED. Call `hold` first."""
    version = tx.value(
        UPDATE,
        site_id=author.site_id,
        id=id,
        title=new.title,
        me=author.profile_id,
        reason=reason,
        **_columns(new.flags),
    )
    record(tx, author, kind, microcosm_id, id, version)


def delete(tx: Transaction, author: Author, microcosm_id: int, id: int) -> Settling | None:
    """Remove a role with its criteria and those named in it. Call `hold` first. Returns what `settle` does."""
    tx.run(DELETE, site_id=author.site_id, id=id)
    left = _settle(tx, author.site_id, id)
    record(tx, author, journal.DELETED, microcosm_id, id, None)
    return left


def _columns(flags: Mapping[str, bool]) -> dict[str, bool]:
    return {column: flags[name] for name, column in FLAGS.items()}


def record(
    tx: Transaction,
    author: Author,
    kind: str,
    microcosm_id: int,
    id: int,
    version: int | None = None,
    *,
    audit: bool = True,
) -> None:
    """Note a change of a role; `audit` False for its criteria (platform 7.1)."""
    journal.record(
        tx,
        author.site_id,
        kind,
        itemtypes.ROLE,
        id,
        actor=author.profile_id,
        ip=author.ip,
        version=version,
        parent=(itemtypes.MICROCOSM, microcosm_id),
        microcosm_id=microcosm_id,
        audit=audit,
    )


def named(tx: Reader, site_id: int, id: int, at: Paging) -> NamedPage:
    """One page of those who are named in a role."""
    rows = tx.rows(NAMED, site_id=site_id, id=id, limit=at.limit, offset=at.offset)
    return NamedPage(rows[0][0], {row[1]: row[2] for row in rows if row[1] is not None})


def find_named(tx: Reader, site_id: int, id: int, profile_id: int) -> int | None:
    """The version of a profile that is named in a role, else None."""
    found: int | None = tx.value(FIND_NAMED, site_id=site_id, id=id, profile_id=profile_id)
    return found


def name(tx: Transaction, site_id: int, id: int, profile_ids: list[int]) -> bool:
    """Name profiles in a role; False, and nobody is, if one of them is not of this site. Call `hold` first."""
    wanted = len(set(profile_ids))
    found = tx.value(NAME, site_id=site_id, id=id, profile_ids=profile_ids, wanted=wanted)
    return int(found) == wanted


def unname(tx: Transaction, site_id: int, id: int, profile_ids: list[int] | None) -> None:
    """Name these, or (None) all, in a role no more. Call `hold` first."""
    tx.run(UNNAME, site_id=site_id, id=id, profile_ids=profile_ids)


def settle(
    tx: Transaction,
    author: Author,
    microcosm_id: int,
    id: int,
    profile_ids: list[int] | None = None,
    *,
    audit: bool = True,
) -> Settling | None:
    """Let everything follow a change of who is in a role: these profiles, or (None) any. Call `hold` first.

    On a large site it only queues the role: what it returns is for Settler.take_away once this is committed.
    """
    left = _settle(tx, author.site_id, id, profile_ids)
    record(tx, author, journal.PATCHED, microcosm_id, id, audit=audit)
    return left


def _settle(
    tx: Transaction, site_id: int, id: int, profile_ids: list[int] | None = None
) -> Settling | None:
    if profile_ids is not None and len(profile_ids) <= role_members.IN_ONE_GO:
        role_members.recompute_role_of(tx, site_id, id, profile_ids)
    elif role_members.is_large(tx, site_id):
        return role_settling.queue(tx, site_id, id)
    else:
        role_members.recompute_role(tx, site_id, id)
    return None
