"""Writing of an import's forums: microcosms, created together with their roles and criteria."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.errors import Invalid
from forumapi.models.roles.criterion import COLUMNS, Criterion
from forumapi.models.sites.site import Site
from forumapi.porting.layout import PortedCriterion, PortedForum, Unreadable
from forumapi.porting.loading import role_conversion, value_cleaning
from forumapi.porting.loading.erased_people import ErasedPeople
from forumapi.porting.loading.imported_ids import Origin, allocate
from forumapi.porting.loading.people import ImportedPeople
from forumapi.porting.loading.role_conversion import Grant, Rights

# The site's owner is who made them: whoever owns a microcosm has every right in it.
INSERT = Query(
    "forums.insert",
    """
    WITH made AS (
        INSERT INTO microcosms (site_id, microcosm_id, parent_id, title, description, item_types, sequence, created,
                                created_by, owned_by, is_sticky, is_open, is_deleted, is_moderated)
        SELECT %(site_id)s, r.id, coalesce(r.parent_id, s.root_microcosm_id), r.title, r.description, r.item_types,
               r.sequence, r.created, s.owned_by, s.owned_by, r.is_sticky, r.is_open, r.is_deleted, r.is_moderated
          FROM json_to_recordset(%(rows)s::json)
               AS r (id bigint, parent_id bigint, title text, description text, item_types smallint[], sequence integer,
                     created timestamptz, is_sticky boolean, is_open boolean, is_deleted boolean, is_moderated boolean)
          JOIN sites s ON s.site_id = %(site_id)s
         ORDER BY r.id
     RETURNING site_id, microcosm_id)
    INSERT INTO microcosm_counts (site_id, microcosm_id) SELECT site_id, microcosm_id FROM made""",
)
INSERT_ROLES = Query(
    "forums.insert_roles",
    """
    WITH made AS (
        INSERT INTO roles (site_id, role_id, microcosm_id, title, is_moderator, is_banned, include_guests,
                           include_users, can_create, can_read, can_update, can_delete, can_close_own, can_open_own,
                           can_read_others, created_by)
        SELECT %(site_id)s, r.id, r.microcosm_id, r.title, r.is_moderator, r.is_banned, r.include_guests,
               r.include_users, r.can_create, r.can_read, r.can_update, r.can_delete, r.can_close_own, r.can_open_own,
               r.can_read_others, s.owned_by
          FROM json_to_recordset(%(rows)s::json)
               AS r (id bigint, microcosm_id bigint, title text, is_moderator boolean, is_banned boolean,
                     include_guests boolean, include_users boolean, can_create boolean, can_read boolean,
                     can_update boolean, can_delete boolean, can_close_own boolean, can_open_own boolean,
                     can_read_others boolean)
          JOIN sites s ON s.site_id = %(site_id)s
     RETURNING site_id, role_id)
    INSERT INTO role_profiles (site_id, role_id, profile_id)
    SELECT made.site_id, made.role_id, m.profile_id
      FROM json_to_recordset(%(rows)s::json) AS r (id bigint, members bigint[])
      JOIN made ON made.role_id = r.id
     CROSS JOIN unnest(r.members) AS m (profile_id)""",
)
MOVE_RIGHTS = Query(
    "forums.move_rights",
    """
    UPDATE sites s
       SET acl_version = s.acl_version + 1
     WHERE s.site_id = %(site_id)s
 RETURNING s.acl_version""",
)

UNTITLED: Final = "Untitled"
NOT_HELD: Final = "holdsPosts: new posts appear at once, unless a rule of the site holds them"
MOST_CRITERIA: Final = 100
_INT32: Final = 2**31 - 1


def acyclic(forums: Sequence[PortedForum]) -> tuple[list[PortedForum], list[Unreadable]]:
    """Return the forums, each after its parent, and, with reasons, those left out: without a known parent, in a cycle
    or below one, or with an id that an earlier one has.
    """
    left: list[Unreadable] = []
    by_id: dict[str, PortedForum] = {}
    for forum in forums:
        if forum.id in by_id:
            left.append(Unreadable(kind="forum", id=forum.id, reason="id: another forum has it"))
        else:
            by_id[forum.id] = forum
    placed: dict[str, PortedForum] = {}
    waiting = list(by_id.values())
    while waiting:
        later = []
        for forum in waiting:
            if not forum.parent_id or forum.parent_id in placed:
                placed[forum.id] = forum
            else:
                later.append(forum)
        if len(later) == len(waiting):
            for forum in later:
                known = forum.parent_id in by_id
                reason = "is below itself, or below one left out" if known else "is not there"
                left.append(
                    Unreadable(
                        kind="forum",
                        id=forum.id,
                        reason=f"parentId: forum {forum.parent_id} {reason}",
                    )
                )
            break
        waiting = later
    return list(placed.values()), left


class ForumWriter:
    """Writer of an import's forums as microcosms. `erased`: people who become members of no role; `all_rights`: roles
    and moderators of all forums of the import, by which the roles of each microcosm are worked out.
    """

    def __init__(
        self,
        origin: Origin,
        site: Site,
        people: ImportedPeople,
        erased: ErasedPeople,
        all_rights: Rights,
    ) -> None:
        self._origin = origin
        self._site = site
        self._people = people
        self._erased = erased
        self._rights = all_rights

    def insert(self, tx: Transaction, forums: Sequence[PortedForum]) -> list[Unreadable]:
        """Insert the forums that no earlier run has inserted, with their roles, and raise the site's `acl_version` if
        there are any; the parent of each must have come, or be among `forums`. Return members, criteria, moderators'
        rights and approvals of posts that were left out, with reasons.
        """
        wanted = [("forum", forum.id) for forum in forums]
        wanted += [("forum", forum.parent_id) for forum in forums if forum.parent_id]
        found = self._origin.find_items(tx, wanted)
        ids = {old: thing.id for (_, old), thing in found.items()}
        fresh = [forum for forum in forums if forum.id not in ids]
        if not fresh:
            return []
        left: list[Unreadable] = []
        ids |= zip(
            (forum.id for forum in fresh),
            allocate(tx, "microcosms_microcosm_id_seq", len(fresh)),
            strict=True,
        )
        now = datetime.datetime.now(datetime.UTC)
        self._origin.run(tx, INSERT, [self._row(forum, ids, now) for forum in fresh])
        self._origin.remember(
            tx, [(itemtypes.MICROCOSM, forum.id, ids[forum.id], "") for forum in fresh]
        )
        for forum in fresh:
            left += self._insert_roles(tx, forum, ids[forum.id])
            if forum.holds_posts:
                left.append(Unreadable(kind="approval", id=forum.id, reason=NOT_HELD))
        tx.rows(MOVE_RIGHTS, site_id=self._origin.site_id)
        return left

    def _row(
        self, forum: PortedForum, ids: Mapping[str, int], now: datetime.datetime
    ) -> dict[str, Any]:
        kinds = [itemtypes.MICROCOSM]
        if not forum.is_category:
            kinds += [itemtypes.CONVERSATION, itemtypes.EVENT, itemtypes.POLL]
        title = value_cleaning.line(forum.name, UNTITLED)
        return {
            "id": ids[forum.id],
            "parent_id": ids[forum.parent_id] if forum.parent_id else None,
            "title": title,
            "description": value_cleaning.block(forum.text) or title,
            "item_types": kinds,
            "sequence": max(0, min(forum.display_order, _INT32)),
            "created": value_cleaning.time(forum.date_created, now),
            "is_sticky": forum.is_sticky,
            "is_open": forum.is_open,
            "is_deleted": forum.is_deleted,
            "is_moderated": forum.is_moderated,
        }

    def _insert_roles(
        self, tx: Transaction, forum: PortedForum, microcosm_id: int
    ) -> list[Unreadable]:
        left: list[Unreadable] = []
        found = self._rights.of(forum)
        grants = found.grants or ()
        ids = allocate(tx, "roles_role_id_seq", len(grants))
        rows = []
        for grant, id in zip(grants, ids, strict=True):
            members = {
                self._people.id(old) for old in grant.members if not self._erased.is_erased(old)
            } - {0}
            unknown = [old for old in grant.members if not self._people.id(old)]
            left += [
                Unreadable(
                    kind="role member",
                    id=f"{forum.id}:{old}",
                    reason=f"role {grant.title} of forum {forum.id}: profile {old} did not come",
                )
                for old in unknown
            ]
            rows.append(
                {
                    "id": id,
                    "microcosm_id": microcosm_id,
                    "title": value_cleaning.line(grant.title, "Members"),
                    "is_moderator": grant.is_moderator,
                    "is_banned": grant.is_banned,
                    "include_guests": grant.include_guests,
                    "include_users": grant.include_users,
                    "members": sorted(members),
                    **role_conversion.columns(grant),
                }
            )
        self._origin.run(tx, INSERT_ROLES, rows)
        self._origin.remember(
            tx,
            [
                (itemtypes.ROLE, f"{forum.id}:{grant.key}", id, grant.key)
                for grant, id in zip(grants, ids, strict=True)
            ],
        )
        for grant, id in zip(grants, ids, strict=True):
            left += self._insert_criteria(tx, forum, grant, id)
        told = f"moderates forum {forum.id} and not all below it: has"
        reasons = dict.fromkeys(found.reduced, f"{told} the rights in this one alone")
        reasons |= dict.fromkeys(
            found.without_rights, f"{told} no such rights, since this one inherits its roles"
        )
        return left + [
            Unreadable(kind="moderator", id=f"{forum.id}:{old}", reason=reason)
            for old, reason in reasons.items()
        ]

    def _insert_criteria(
        self, tx: Transaction, forum: PortedForum, grant: Grant, role_id: int
    ) -> list[Unreadable]:
        """Insert the criteria of `grant`, a role of `forum` that was inserted as `role_id`, and return []. If one of
        the criteria can't be expressed here insert none of them, since the others alone would let in more people, and
        return an entry for the role.
        """
        try:
            made = [_criterion(one) for one in grant.criteria]
        except Invalid as error:
            return [
                Unreadable(
                    kind="role",
                    id=f"{forum.id}:{grant.key}",
                    reason=f"criteria: {error.message}; nobody is a member by them",
                )
            ]
        for one in made:
            one.insert(tx, self._origin.site_id, role_id, MOST_CRITERIA)
        return []


def _criterion(given: PortedCriterion) -> Criterion:
    column = given.key if given.key in COLUMNS else ""
    key = "" if column else given.key
    return Criterion.make(given.or_group, column, key, given.predicate, given.value)
