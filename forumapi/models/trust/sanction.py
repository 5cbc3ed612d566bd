"""Sanctions of people, who may not write in a microcosm, or not enter it; and bans from the site by an action.

The evaluator finds a sanction among the role ids of its profile, so it is effective on the profile's next request, like
any role.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Final, Self

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.models.access import identity as identities
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.people.ban import Ban
from forumapi.models.roles import role_recomputation
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Target, Tree

# State of a sanction that is not there; one without an end has "".
NONE: Final = "none"

LOCK_PROFILE = Query(
    "sanction.lock_profile",
    f"""
    SELECT p.user_id
      FROM {role_recomputation.LOCK_ROLES_SHARED} AS held
     CROSS JOIN profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s
       FOR NO KEY UPDATE OF p""",
)
FIND = Query(
    "sanction.find",
    """
    SELECT s.ends, s.ends IS NOT NULL AND s.ends <= now()
      FROM sanctions s
     WHERE s.site_id = %(site_id)s AND s.profile_id = %(profile_id)s AND s.microcosm_id = %(microcosm_id)s
       AND s.is_ban = %(is_ban)s""",
)
SET = Query(
    "sanction.set",
    """
    INSERT INTO sanctions (site_id, profile_id, microcosm_id, is_ban, ends)
    VALUES (%(site_id)s, %(profile_id)s, %(microcosm_id)s, %(is_ban)s, %(ends)s)
        ON CONFLICT (site_id, profile_id, microcosm_id, is_ban) DO UPDATE SET ends = EXCLUDED.ends""",
)
DELETE = Query(
    "sanction.delete",
    """
    DELETE FROM sanctions s
     WHERE s.site_id = %(site_id)s AND s.profile_id = %(profile_id)s AND s.microcosm_id = %(microcosm_id)s
       AND s.is_ban = %(is_ban)s""",
)
FORGET = Query(
    "sanction.forget",
    "DELETE FROM sanctions s WHERE s.ends < now() - interval '30 days'",
    scope=PLATFORM,
)
BANNED = Query(
    "sanction.banned",
    """
    SELECT b.ban_id FROM bans b
     WHERE b.site_id = %(site_id)s AND b.user_id = %(user_id)s AND (b.expires IS NULL OR b.expires > now())""",
)


@dataclasses.dataclass
class Sanction:
    """Sanction of a profile in a microcosm, one object for each kind: a ban or, if not `is_ban`, a silence. The profile
    is locked. `state`: NONE if the sanction is not stored, else the time of its end as ISO 8601, "" for never.

    `is_over`: its end has passed.
    """

    site_id: int
    profile_id: int
    microcosm_id: int
    is_ban: bool
    state: str = NONE
    is_over: bool = False

    @classmethod
    def lock(
        cls, tx: Transaction, site_id: int, profile_id: int, microcosm_id: int, is_ban: bool
    ) -> Self:
        """Lock a profile's row, and return that profile's ban from the microcosm `microcosm_id` (`is_ban`) or silence
        in it, one that is over too, with the state NONE if none is stored. Bans from the site are not looked at.
        """
        tx.rows(LOCK_PROFILE, site_id=site_id, profile_id=profile_id)
        held = cls(site_id, profile_id, microcosm_id, is_ban)
        row = tx.row(FIND, **held._named)
        if row is not None:
            held.state = row[0].isoformat() if row[0] is not None else ""
            held.is_over = row[1]
        return held

    @property
    def _named(self) -> dict[str, int | bool]:
        return {
            "site_id": self.site_id,
            "profile_id": self.profile_id,
            "microcosm_id": self.microcosm_id,
            "is_ban": self.is_ban,
        }

    def lasts_until(self, ends: datetime.datetime | None) -> bool:
        """Return True if the sanction is in force at least until `ends`, None: for good."""
        if self.state == NONE or self.is_over:
            return False
        if self.state == "":
            return True
        return ends is not None and datetime.datetime.fromisoformat(self.state) >= ends

    def set(
        self,
        tx: Transaction,
        author: Author,
        *,
        is_in_force: bool,
        ends: datetime.datetime | None = None,
    ) -> None:
        """Store the sanction until `ends` (None: for good) or, if not `is_in_force`, delete it; recompute the profile's
        roles and journal the change. Nothing happens if the sanction is so already.
        """
        state = (ends.isoformat() if ends is not None else "") if is_in_force else NONE
        if state == self.state:
            return
        if is_in_force:
            tx.run(SET, ends=ends, **self._named)
        else:
            tx.run(DELETE, **self._named)
        self.state = state
        role_recomputation.recompute_roles(tx, self.site_id, [self.profile_id])
        journal.record(tx, author, journal.PATCHED, itemtypes.PROFILE, self.profile_id)

    def restore(self, tx: Transaction, author: Author, state: str) -> None:
        """Set the sanction to `state`, an earlier value of the field `state`: in force until a time, in force
        without end ("") or not in force (NONE).
        """
        ends = datetime.datetime.fromisoformat(state) if state not in ("", NONE) else None
        self.set(tx, author, is_in_force=state != NONE, ends=ends)


def ban_from_site(
    tx: Transaction, author: Author, profile_id: int, ends: datetime.datetime | None
) -> int:
    """Ban a profile's user from the author's site until `ends` (None: for good), and journal that; return the ban's id.
    If the user is banned there already, store nothing and return 0.
    """
    user_id = tx.value(LOCK_PROFILE, site_id=author.site_id, profile_id=profile_id)
    if tx.value(BANNED, site_id=author.site_id, user_id=user_id):
        return 0
    id = Ban.insert(tx, user_id, site_id=author.site_id, expires=ends, created_by=author.profile_id)
    journal.record(tx, author, journal.PATCHED, itemtypes.PROFILE, profile_id)
    return id


def end_ban(tx: Transaction, author: Author, profile_id: int, ban_id: int) -> bool:
    """Delete the ban `ban_id` from the author's site, and journal that; return False if that ban is gone and the
    profile's user is banned by another one, True otherwise.
    """
    user_id = tx.value(LOCK_PROFILE, site_id=author.site_id, profile_id=profile_id)
    if Ban.delete(tx, author.site_id, ban_id) is None:
        return not tx.value(BANNED, site_id=author.site_id, user_id=user_id)
    journal.record(tx, author, journal.PATCHED, itemtypes.PROFILE, profile_id)
    return True


def protected(
    tx: Reader,
    site_id: int,
    tree: Tree,
    profile_ids: Sequence[int],
    place_id: int,
    *,
    is_below_too: bool = False,
) -> int:
    """Return the first of these profile ids that is the site's owner's or that of a moderator of the microcosm
    `place_id`, with `is_below_too` also of one below it; with place 0, or one that `tree` lacks, of whoever moderates
    anything on the site. 0 if none is.
    """
    for profile_id in profile_ids:
        found = identities.of_profile(tx, site_id, profile_id)
        if found is None:
            continue
        # Whoever needs a second factor to moderate is a moderator all the same.
        principal = found.principal._replace(is_limited=False, is_site_banned=False)
        node = tree.nodes.get(place_id)
        if node is None:
            if evaluator.moderates(principal, tree):
                return profile_id
            continue
        for id in node.subtree if is_below_too else (node.id,):
            one = tree.nodes[id]
            target = Target(itemtypes.MICROCOSM, id, id, (one.owned_by, one.created_by))
            can = evaluator.effective(principal, target, tree)
            if can & (evaluator.MODERATOR | evaluator.SITE_OWNER):
                return profile_id
    return 0


def forget(tx: Transaction) -> int:
    """Delete sanctions that ended over 30 days ago, of all sites; return their number."""
    return tx.run(FORGET)
