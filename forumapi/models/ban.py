"""Bans: a user shut out of one site or of the whole platform (platform 3.6). Read by the identity statement."""

from __future__ import annotations

import datetime
from typing import NamedTuple

from forumapi.db import Query, Reader, Transaction
from forumapi.errors import Invalid
from forumapi.models import member

OWNS = Query(
    "ban.owns",
    """
    SELECT true
      FROM sites s
      JOIN profiles p ON p.site_id = s.site_id AND p.profile_id = s.owned_by
     WHERE s.site_id = %(site_id)s AND p.user_id = %(user_id)s""",
)

ADD = Query(
    "ban.add",
    """
    INSERT INTO bans (site_id, user_id, expires, display_reason, admin_reason)
    VALUES (%(site_id)s, %(user_id)s, %(expires)s, %(display_reason)s, %(admin_reason)s)
 RETURNING ban_id""",
)

LIFT = Query(
    "ban.lift",
    "DELETE FROM bans b WHERE b.ban_id = %(ban_id)s RETURNING b.user_id, coalesce(b.site_id, 0)",
)

LIFT_USER = Query(
    "ban.lift_user",
    """
    DELETE FROM bans b
     WHERE b.user_id = %(user_id)s AND b.site_id IS NOT DISTINCT FROM %(site_id)s::bigint""",
)

ALL = Query(
    "ban.all",
    """
    SELECT b.ban_id, coalesce(b.site_id, 0), b.user_id, u.email, coalesce(p.profile_id, 0),
           coalesce(p.profile_name, ''), b.created, b.expires, b.display_reason, b.admin_reason
      FROM bans b
      JOIN users u ON u.user_id = b.user_id
      LEFT JOIN profiles p ON p.site_id = b.site_id AND p.user_id = b.user_id
     WHERE %(site_id)s::bigint = 0 OR b.site_id IS NULL OR b.site_id = %(site_id)s::bigint
     ORDER BY b.ban_id""",
)

FORGET_LAPSED = Query("ban.forget_lapsed", "DELETE FROM bans b WHERE b.expires < now()")


class Ban(NamedTuple):
    """A ban. `site_id` 0: the whole platform; `profile_id` 0: no profile on that site; `expires` None: for good."""

    id: int
    site_id: int
    user_id: int
    email: str
    profile_id: int
    profile_name: str
    created: datetime.datetime
    expires: datetime.datetime | None
    display_reason: str
    admin_reason: str


def add(
    tx: Transaction,
    user_id: int,
    *,
    site_id: int = 0,
    expires: datetime.datetime | None = None,
    display_reason: str = "",
    admin_reason: str = "",
) -> int:
    """Ban a user from a site, or (0) from all; the ban's id. Effective on the user's next request.

    Raises Invalid for a site's own owner (P-26).
    """
    if site_id and tx.value(OWNS, site_id=site_id, user_id=user_id):
        raise Invalid("user", "A site's owner can't be banned from it")
    ban_id = tx.value(
        ADD,
        site_id=site_id or None,
        user_id=user_id,
        expires=expires,
        display_reason=display_reason,
        admin_reason=admin_reason,
    )
    member.mark_user(tx, user_id, site_id=site_id)
    return int(ban_id)


def lift(tx: Transaction, ban_id: int) -> bool:
    """End one ban; False if there was none."""
    row = tx.row(LIFT, ban_id=ban_id)
    if row is None:
        return False
    user_id, site_id = row
    member.mark_user(tx, user_id, site_id=site_id)
    return True


def lift_user(tx: Transaction, user_id: int, *, site_id: int = 0) -> int:
    """End every ban of a user on a site, or (0) those of the whole platform; how many there were."""
    lifted = tx.run(LIFT_USER, user_id=user_id, site_id=site_id or None)
    member.mark_user(tx, user_id, site_id=site_id)
    return lifted


def list_all(tx: Reader, site_id: int = 0) -> list[Ban]:
    """The bans that hold on a site, or (0) all there are, oldest first; lapsed ones included."""
    return [Ban(*row) for row in tx.rows(ALL, site_id=site_id)]


def forget_lapsed(tx: Transaction) -> int:
    """Delete bans that have run out; how many there were."""
    return tx.run(FORGET_LAPSED)
