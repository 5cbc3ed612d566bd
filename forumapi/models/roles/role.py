"""Roles as clients write them: each is a named set of rights on one microcosm, with the profiles named in it (platform
5.2).

role_page.py reads roles; role_recomputation.py recomputes who is in them. Every change of rights increments the site's
acl_version, so that access lists kept in memory are loaded anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.errors import NotFound
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.roles import role_recomputation
from forumapi.models.roles.role_recomputation_queue import Settling

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
FLAG_COLUMNS: Final = ", ".join(f"r.{column}" for column in FLAGS.values())

# Facts that decide who may change roles: the site's owner, and the roles of the caller.
_NOW: Final = """
           s.acl_version, coalesce(s.owned_by, 0),
           (SELECT p.role_ids FROM profiles p WHERE p.site_id = s.site_id AND p.profile_id = %(me)s)"""

SITE = Query("role.site", f"SELECT {_NOW} FROM sites s WHERE s.site_id = %(site_id)s")
# Increments the version that access lists are kept under.
MOVE_RIGHTS = Query(
    "role.move_rights",
    f"""
    UPDATE sites s
       SET acl_version = s.acl_version + 1
     WHERE s.site_id = %(site_id)s
 RETURNING {_NOW}""",
)

LOCK = Query(
    "role.lock",
    f"""
    SELECT r.version, r.title, {FLAG_COLUMNS}
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

# Names profiles if all of them are of this site; returns how many are.
ADD_PROFILES = Query(
    "role.add_profiles",
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
REMOVE_PROFILES = Query(
    "role.remove_profiles",
    """
    DELETE FROM role_profiles x
     WHERE x.site_id = %(site_id)s AND x.role_id = %(id)s
       AND (%(profile_ids)s::bigint[] IS NULL OR x.profile_id = ANY(%(profile_ids)s::bigint[]))""",
)


class LockedRoles(NamedTuple):
    """Roles of a site, locked for a change, with values on which the right to change them depends: `acl_version`,
    incremented if the change moves rights, `owner_id`, the profile that owns the site, and `role_ids`, ids of the roles
    that the author's profile is in.
    """

    acl_version: int
    owner_id: int
    role_ids: tuple[int, ...]  # of the caller

    @classmethod
    def lock(
        cls, tx: Transaction, site_id: int, profile_id: int, *, moves_rights: bool
    ) -> LockedRoles:
        """Lock the site's roles exclusively until the transaction ends. `profile_id`: the author's; `moves_rights`: the
        change moves rights, so acl_version is incremented too. Raises Unavailable if the lock is not free within five
        seconds.
        """
        role_recomputation.lock_roles(tx, site_id)
        row = tx.row(MOVE_RIGHTS if moves_rights else SITE, site_id=site_id, me=profile_id)
        assert row is not None
        return cls(row[0], row[1], tuple(row[2] or ()))


class Role(NamedTuple):
    """Role of a microcosm, whose row is locked after LockedRoles. `title`: HTML-escaped; `flags`: all of FLAGS, by wire
    name.

    On a large site a change of members only queues the role: the methods then return the queued role, which the caller
    passes to Settler.take_away after the commit.
    """

    microcosm_id: int
    id: int
    version: int
    title: str
    flags: dict[str, bool]

    @classmethod
    def lock(cls, tx: Transaction, site_id: int, microcosm_id: int, id: int) -> Role | None:
        """Lock the role's row and return the role; None if the microcosm has no such role."""
        row = tx.row(LOCK, site_id=site_id, microcosm_id=microcosm_id, id=id)
        if row is None:
            return None
        return cls(microcosm_id, id, row[0], row[1], dict(zip(FLAGS, row[2:], strict=True)))

    @classmethod
    def insert(
        cls,
        tx: Transaction,
        author: Author,
        microcosm_id: int,
        title: str,
        flags: Mapping[str, bool],
        *,
        window_s: int,
    ) -> int:
        """Store a new role, with neither criteria nor named profiles, and return its id. `title`: HTML-escaped by the
        caller; `flags` holds all of FLAGS, by wire name.

        If the author made a role of the same title in the microcosm within `window_s` seconds, store nothing and return
        the id of that one (P-10).
        """
        same = {
            "site_id": author.site_id,
            "microcosm_id": microcosm_id,
            "title": title,
            "me": author.profile_id,
        }
        found = tx.value(DUPLICATE, window_s=window_s, **same)
        if found:
            return int(found)
        id = int(tx.value(INSERT, **same, **_columns(flags)))
        _record(tx, author, journal.CREATED, microcosm_id, id, 1)
        return id

    def update(
        self, tx: Transaction, author: Author, title: str, flags: Mapping[str, bool], reason: str
    ) -> None:
        """Store a new title and new flags; `flags` holds all of FLAGS, by wire name. `title` and `reason`, the edit
        reason: HTML-escaped by the caller.
        """
        self._store(tx, author, journal.REPLACED, title, flags, reason)

    def flag(self, tx: Transaction, author: Author, flags: Mapping[str, bool], reason: str) -> None:
        """Store new flags; `flags` holds all of FLAGS, by wire name, changed or not. `reason`: the edit reason,
        HTML-escaped by the caller.
        """
        self._store(tx, author, journal.PATCHED, self.title, flags, reason)

    def _store(
        self,
        tx: Transaction,
        author: Author,
        kind: str,
        title: str,
        flags: Mapping[str, bool],
        reason: str,
    ) -> None:
        version = tx.value(
            UPDATE,
            site_id=author.site_id,
            id=self.id,
            title=title,
            me=author.profile_id,
            reason=reason,
            **_columns(flags),
        )
        _record(tx, author, kind, self.microcosm_id, self.id, version)

    def delete(self, tx: Transaction, author: Author) -> Settling | None:
        """Delete the role with its criteria and named profiles, and take the role from all of its members. Return the
        role as queued, if its members are taken out in the background; None if that is done.
        """
        tx.run(DELETE, site_id=author.site_id, id=self.id)
        queued = _recompute(tx, author.site_id, self.id)
        _record(tx, author, journal.DELETED, self.microcosm_id, self.id, None)
        return queued

    def add_profiles(
        self, tx: Transaction, author: Author, profile_ids: list[int]
    ) -> Settling | None:
        """Name profiles in the role, where one that is named already stays so, and recompute its members among
        them; return the queued role, None if nothing is queued.

        Raises NotFound, and adds none, if a profile is not of this site.
        """
        wanted = len(set(profile_ids))
        site_id = author.site_id
        found = tx.value(
            ADD_PROFILES, site_id=site_id, id=self.id, profile_ids=profile_ids, wanted=wanted
        )
        if int(found) != wanted:
            raise NotFound("There is no such profile")
        return self.recompute(tx, author, profile_ids)

    def remove_profiles(
        self, tx: Transaction, author: Author, profile_ids: list[int] | None
    ) -> Settling | None:
        """Name these profiles (None: all) in the role no longer, and recompute its members among them; return the
        queued role, None if nothing is queued. Who meets the criteria stays a member.
        """
        tx.run(REMOVE_PROFILES, site_id=author.site_id, id=self.id, profile_ids=profile_ids)
        return self.recompute(tx, author, profile_ids)

    def recompute(
        self,
        tx: Transaction,
        author: Author,
        profile_ids: list[int] | None = None,
        *,
        audit: bool = True,
    ) -> Settling | None:
        """Recompute which of these profiles (None: all of the site) are in the role, and record a change of the role,
        even if nobody came or went; return the queued role, None if nothing is queued.

        `audit` False: criteria were changed, which the audit does not record (platform 7.1).
        """
        queued = _recompute(tx, author.site_id, self.id, profile_ids)
        _record(tx, author, journal.PATCHED, self.microcosm_id, self.id, audit=audit)
        return queued


def _recompute(
    tx: Transaction, site_id: int, id: int, profile_ids: list[int] | None = None
) -> Settling | None:
    if profile_ids is not None and len(profile_ids) <= role_recomputation.IN_ONE_GO:
        role_recomputation.recompute_role_of(tx, site_id, id, profile_ids)
    elif role_recomputation.is_large(tx, site_id):
        return Settling.insert(tx, site_id, id)
    else:
        role_recomputation.recompute_role(tx, site_id, id)
    return None


def _columns(flags: Mapping[str, bool]) -> dict[str, bool]:
    return {column: flags[name] for name, column in FLAGS.items()}


def _record(
    tx: Transaction,
    author: Author,
    kind: str,
    microcosm_id: int,
    id: int,
    version: int | None = None,
    *,
    audit: bool = True,
) -> None:
    journal.record(
        tx,
        author,
        kind,
        itemtypes.ROLE,
        id,
        version=version,
        parent=(itemtypes.MICROCOSM, microcosm_id),
        microcosm_id=microcosm_id,
        audit=audit,
    )
