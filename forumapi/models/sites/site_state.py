"""Life cycle of a site: active, read-only, suspended, in its export window, and then deleted (site_deletion.py).

A row of `site_states` says what holds a site back; an active site has none. A suspended site, and one in its export
window, is deleted in `sites` too, so that lists, mail, webhooks, live events and jobs pass over it; requests to its
host find it, and are refused but for what its owner needs (request/caller.py).
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import Conflict, Forbidden, SiteClosing, SiteReadOnly, SiteSuspended
from forumapi.itemtypes import ItemRef
from forumapi.models.journal import audit_chain, journal
from forumapi.models.journal.journal import Author
from forumapi.models.sites.site import ROOT_ID
from forumapi.wire import json_fragments

if TYPE_CHECKING:
    from forumapi.models.sites.site import Site

ACTIVE: Final = "active"
READ_ONLY: Final = "read-only"
SUSPENDED: Final = "suspended"
EXPORT_WINDOW: Final = "export-window"
STATES: Final = (ACTIVE, READ_ONLY, SUSPENDED, EXPORT_WINDOW)
# States of sites that are served, unless they are deleted.
SERVED: Final = (ACTIVE, READ_ONLY)
CHANGED: Final = "U"  # action in the audit
# Length of the export window.
HOLD_DAYS: Final = 30

FIND = Query(
    "site_state.find",
    """
    SELECT s.state, s.since, s.due, s.is_operators, s.state_before
      FROM site_states s
     WHERE s.site_id = %(site_id)s""",
)
LOCK = Query(
    "site_state.lock",
    """
    SELECT v.version, v.is_deleted, coalesce(u.email, ''), v.title, v.subdomain_key
      FROM sites v
      LEFT JOIN profiles p ON p.site_id = v.site_id AND p.profile_id = v.owned_by
      LEFT JOIN users u ON u.user_id = p.user_id
     WHERE v.site_id = %(site_id)s
       FOR NO KEY UPDATE OF v""",
)
# After the lock: a deletion that was beginning while it was awaited has begun.
IS_BEING_DELETED = Query(
    "site_state.is_being_deleted",
    "SELECT EXISTS (SELECT FROM site_deletions d WHERE d.deleted_site = %(site_id)s AND d.finished IS NULL)",
)
# A site that was deleted by its owner is so again once nothing holds it back.
SET = Query(
    "site_state.set",
    """
    WITH stored AS (
        INSERT INTO site_states AS s (site_id, state, due, is_operators, state_before, was_deleted)
        SELECT v.site_id, %(state)s, now() + make_interval(days => %(days)s::int), %(is_operators)s, 'active',
               v.is_deleted
          FROM sites v
         WHERE v.site_id = %(site_id)s
            ON CONFLICT (site_id) DO UPDATE
           SET state = EXCLUDED.state, since = now(), due = EXCLUDED.due, is_operators = EXCLUDED.is_operators,
               is_announced = false,
               state_before = CASE WHEN EXCLUDED.due IS NULL THEN 'active'
                                   WHEN s.state = 'export-window' THEN s.state_before ELSE s.state END
     RETURNING s.state, s.was_deleted)
    UPDATE sites v
       SET is_deleted = stored.state <> 'read-only' OR stored.was_deleted, version = v.version + 1
      FROM stored
     WHERE v.site_id = %(site_id)s
 RETURNING v.version""",
)
# An operator wants the export window that the owner began: its day stays.
TAKE_OVER = Query(
    "site_state.take_over",
    """
    WITH taken AS (
        UPDATE site_states s SET is_operators = true WHERE s.site_id = %(site_id)s RETURNING s.state)
    UPDATE sites v
       SET version = v.version + 1
      FROM taken
     WHERE v.site_id = %(site_id)s AND taken.state = 'export-window'
 RETURNING v.version""",
)
CLEAR = Query(
    "site_state.clear",
    """
    WITH gone AS (
        DELETE FROM site_states s WHERE s.site_id = %(site_id)s RETURNING s.was_deleted)
    UPDATE sites v
       SET is_deleted = gone.was_deleted, version = v.version + 1
      FROM gone
     WHERE v.site_id = %(site_id)s
 RETURNING v.version""",
)


class SiteLifeCycle(NamedTuple):
    """State of a site. `state`: one of STATES; `since`: its beginning, None if active; `due`: end of the export
    window, at which the deletion begins, None in other states; `is_operators`: an operator began the export window, so
    that the owner can't cancel it; `before`: the state to which a cancelled export window leads back.
    """

    state: str = ACTIVE
    since: datetime.datetime | None = None
    due: datetime.datetime | None = None
    is_operators: bool = False
    before: str = ACTIVE

    @classmethod
    def find(cls, tx: Reader, site_id: int) -> SiteLifeCycle:
        """Return the state of a site; ACTIVE also for an id without a site."""
        row = tx.row(FIND, site_id=site_id)
        return cls(*row) if row else cls()

    @property
    def is_ending(self) -> bool:
        """Return True in the export window."""
        return self.state == EXPORT_WINDOW

    def document(self) -> dict[str, Any]:
        """Return the state as a dict for JSON; an active site's has `state` alone, and `due` and `byOperator` are of
        the export window.
        """
        shown: dict[str, Any] = {"state": self.state}
        if self.since is not None:
            shown["since"] = json_fragments.format_time(self.since)
        if self.due is not None:
            shown["due"] = json_fragments.format_time(self.due)
            shown["byOperator"] = self.is_operators
        return shown


class HeldSite(NamedTuple):
    """Site whose row is locked for a change of its state. `is_deleted`: also while it is suspended or in its export
    window; `key`: its subdomain; `is_being_deleted`: its deletion has begun. `owner_email`: "" for a site without an
    owner; `title`: as stored, HTML-escaped.
    """

    site_id: int
    version: int
    is_deleted: bool
    owner_email: str
    title: str
    key: str
    is_being_deleted: bool

    @classmethod
    def lock(cls, tx: Transaction, site_id: int) -> HeldSite | None:
        """Lock the row of a site until the transaction ends, and return it; None for an id without a site."""
        row = tx.row(LOCK, site_id=site_id)
        if row is None:
            return None
        return cls._make((site_id, *row, tx.value(IS_BEING_DELETED, site_id=site_id)))

    def set_state(
        self, tx: Transaction, author: Author, state: str, *, is_operators: bool = True
    ) -> SiteLifeCycle:
        """Give the site `state`, one of STATES, journal that, also in the audit of the platform's own site, and return
        the site's life cycle as it is then; nothing changes if the site has that state already, but an export window of
        the owner's that an operator wants too is then the operator's, with the end that it had. An export window lasts
        HOLD_DAYS from its beginning. `is_operators`: an operator wants it.

        Raises Conflict for a site whose deletion has begun, and Forbidden for an owner who ends an export window that
        an operator began.
        """
        now = SiteLifeCycle.find(tx, self.site_id)
        if self.is_being_deleted:
            raise Conflict("The deletion of this site has begun")
        if now.is_operators and not is_operators and now.state != state:
            raise Forbidden("An operator of the platform deletes this site: ask there")
        if now.state == state:
            if not now.is_ending or now.is_operators or not is_operators:
                return now
            version = tx.value(TAKE_OVER, site_id=self.site_id)
        elif state == ACTIVE:
            version = tx.value(CLEAR, site_id=self.site_id)
        else:
            days = HOLD_DAYS if state == EXPORT_WINDOW else None
            version = tx.value(
                SET,
                site_id=self.site_id,
                state=state,
                days=days,
                is_operators=is_operators and state == EXPORT_WINDOW,
            )
        journal.record_site(tx, author, version=version)
        audit(tx, author)
        return SiteLifeCycle.find(tx, self.site_id)


def audit(tx: Transaction, author: Author, action: str = CHANGED) -> None:
    """Record in the audit of the platform's own site, which outlives others, that the author, or a job (profile 0, no
    operator), did `action`, a code of the audit such as CHANGED, to the author's site. Take no other lock afterwards.
    """
    ref = ItemRef(itemtypes.SITE, author.site_id)
    # The author's profile is one of that site.
    audit_chain.record(tx, author._replace(site_id=ROOT_ID, profile_id=0), action, ref)


def check(site: Site | SiteLifeCycle) -> None:
    """Check that a site is in the state ACTIVE. Raises SiteReadOnly in the state READ_ONLY, SiteSuspended in SUSPENDED,
    SiteClosing in EXPORT_WINDOW.
    """
    if site.state == READ_ONLY:
        raise SiteReadOnly
    if site.state == SUSPENDED:
        raise SiteSuspended
    if site.state == EXPORT_WINDOW:
        assert site.due is not None, "an export window ends"
        raise SiteClosing(site.due)
