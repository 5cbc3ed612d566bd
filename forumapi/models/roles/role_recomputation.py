"""Recomputation of the roles that each profile is in, by name or by criteria (platform 5.2 and 5.3), and its lock.

`profiles.role_ids` holds the ids of a profile's roles, from which the permission evaluator starts. They are recomputed
in the transaction that changes anything they depend on: for some profiles by `recompute_roles`, for one role and the
whole site by `recompute_role`. Each is one statement over sets. role.py names and removes members, role_members_page.py
lists them.

A transaction that changes a profile in anything a criterion may name takes the lock on the site's roles shared; one
that changes a role's members or criteria takes it exclusively. So each of two such transactions sees the other's
change. Lock order: this lock, the site's row, profiles. A transaction that locks a profile's row and more takes the
shared lock first.
"""

from __future__ import annotations

import time
from typing import Final

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import Unavailable
from forumapi.models.roles.criteria_sql import (
    ATTRIBUTE,
    BORDERS,
    FACTS,
    MET,
    NEXT_CHANGE,
    TESTS,
    groups,
    meets,
)

_KEY: Final = "hashtextextended('roles:' || %(site_id)s::bigint::text, 0)"
# SQL that takes the shared lock on the site's roles until the transaction ends.
LOCK_ROLES_SHARED: Final = f"pg_advisory_xact_lock_shared({_KEY})"

LOCK_SHARED = Query("role_recomputation.lock_shared", f"SELECT {LOCK_ROLES_SHARED}")
TRY_LOCK = Query("role_recomputation.try_lock", f"SELECT pg_try_advisory_xact_lock({_KEY})")
# The exclusive lock is tried again and again: a transaction in its queue would block all later ones that share it.
_TRY_S: Final = 0.01
_TRIES: Final = 500

# Profiles whose roles one transaction recomputes while it holds the lock: some 50 ms.
IN_ONE_GO: Final = 500
LARGE = Query(
    "role_recomputation.large",
    "SELECT s.total > %(most)s FROM site_people s WHERE s.site_id = %(site_id)s",
)

LOCK_PROFILES = Query(
    "role_recomputation.lock_profiles",
    f"""
    SELECT p.profile_id
      FROM {LOCK_ROLES_SHARED} AS held
     CROSS JOIN profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(profile_ids)s)
     ORDER BY p.profile_id
       FOR NO KEY UPDATE OF p""",
)

# ---------------------------------------------------------------- recomputing

RECOMPUTE_ROLES = Query(
    "role_recomputation.recompute_roles",
    f"""
    WITH tests AS MATERIALIZED ({TESTS}),
    borders AS MATERIALIZED ({BORDERS}),
    facts AS MATERIALIZED ({FACTS} AND p.profile_id = ANY(%(profile_ids)s)),
    fresh AS MATERIALIZED (
        SELECT f.profile_id, {NEXT_CHANGE} AS due,
               ARRAY(SELECT r.role_id FROM role_profiles r
                      WHERE r.site_id = %(site_id)s AND r.profile_id = f.profile_id
                      UNION
                     SELECT met.role_id
                       FROM (SELECT t.role_id FROM tests t {ATTRIBUTE}
                              GROUP BY t.role_id, t.or_group HAVING bool_and({MET})) met
                      UNION ALL
                     SELECT -2 * s.microcosm_id - (NOT s.is_ban)::int FROM sanctions s
                      WHERE s.site_id = %(site_id)s AND s.profile_id = f.profile_id
                        AND (s.ends IS NULL OR s.ends > now())
                      ORDER BY 1) AS role_ids
          FROM facts f)
    UPDATE profiles p
       SET role_ids = fresh.role_ids, next_change_at = fresh.due
      FROM fresh
     WHERE p.site_id = %(site_id)s AND p.profile_id = fresh.profile_id
       AND (p.role_ids, p.next_change_at) IS DISTINCT FROM (fresh.role_ids, fresh.due)""",
)


def _fresh_of_role(whom: str) -> str:
    """Return an SQL WITH clause whose last table is `fresh`: a row for each profile of the site, or of those that
    `whom` selects, which says whether the profile was in the role `role_id` and whether it belongs there now. `whom`:
    SQL condition on the profile `p` that begins with AND, "" for all.
    """
    return f"""
    WITH tests AS MATERIALIZED ({TESTS}),
    borders AS MATERIALIZED ({BORDERS}),
    own AS MATERIALIZED (
        SELECT t.or_group, t.kind, t.attr_key, t.number_value, t.date_value, t.text_value, t.boolean_value, t.predicate
          FROM tests t
         WHERE t.role_id = %(role_id)s),
    {groups("own")},
    named AS MATERIALIZED (
        SELECT r.profile_id FROM role_profiles r WHERE r.site_id = %(site_id)s AND r.role_id = %(role_id)s),
    facts AS MATERIALIZED ({FACTS} {whom}),
    fresh AS MATERIALIZED (
        SELECT f.profile_id, f.role_ids, f.next_change_at, {NEXT_CHANGE} AS due,
               %(role_id)s = ANY(f.role_ids) AS was_in,
               f.profile_id IN (SELECT x.profile_id FROM named x) OR {meets("own")} AS is_in
          FROM facts f)"""


_STORE_ROLE: Final = """
    UPDATE profiles p
       SET next_change_at = f.due,
           role_ids = CASE WHEN f.is_in = f.was_in THEN f.role_ids
                           WHEN f.is_in THEN ARRAY(SELECT u.id FROM unnest(f.role_ids || %(role_id)s::bigint) AS u (id)
                                                    ORDER BY u.id)
                           ELSE array_remove(f.role_ids, %(role_id)s::bigint) END
      FROM fresh f
     WHERE p.site_id = %(site_id)s AND p.profile_id = f.profile_id
       AND (f.is_in <> f.was_in OR f.due IS DISTINCT FROM f.next_change_at)"""

RECOMPUTE_ROLE = Query("role_recomputation.recompute_role", f"{_fresh_of_role('')} {_STORE_ROLE}")
RECOMPUTE_ROLE_OF = Query(
    "role_recomputation.recompute_role_of",
    f"{_fresh_of_role('AND p.profile_id = ANY(%(profile_ids)s)')} {_STORE_ROLE}",
)

# Profiles that recomputing the role would change: true: they join; false: they leave; null: only the time of the next
# recomputation changes.
PENDING_CHANGES = Query(
    "role_recomputation.pending_changes",
    f"""{_fresh_of_role("")}
    SELECT f.profile_id, CASE WHEN f.is_in <> f.was_in THEN f.is_in END
      FROM fresh f
     WHERE f.is_in <> f.was_in OR f.due IS DISTINCT FROM f.next_change_at
     ORDER BY f.profile_id""",
)

_MARK: Final = """
    UPDATE profiles p
       SET next_change_at = now()
      FROM users u
     WHERE u.user_id = p.user_id AND (%(site_id)s::bigint IS NULL OR p.site_id = %(site_id)s::bigint)
       AND EXISTS (SELECT FROM criteria c WHERE c.site_id = p.site_id AND c.kind IN ('isBanned', 'email'))"""

# The roles of a user's profiles are recomputed on their next request.
MARK_USER = Query("role_recomputation.mark_user", f"{_MARK} AND u.user_id = %(user_id)s")
MARK_DOMAIN = Query(
    "role_recomputation.mark_domain",
    f"""{_MARK}
       AND (lower(u.email) LIKE '%%@' || %(domain)s::text OR lower(u.email) LIKE '%%.' || %(domain)s::text)""",
)

DUE = Query(
    "role_recomputation.due",
    """
    SELECT p.site_id, p.profile_id
      FROM profiles p
     WHERE p.next_change_at <= now()
     ORDER BY p.next_change_at
     LIMIT %(limit)s""",
    scope=PLATFORM,
)


def lock_roles(tx: Transaction, site_id: int) -> None:
    """Take the lock on the site's roles exclusively, until the transaction ends, for a change of members or criteria.

    Raises Unavailable if the lock is not free within five seconds.
    """
    for _ in range(_TRIES):
        if tx.value(TRY_LOCK, site_id=site_id):
            return
        time.sleep(_TRY_S)
    raise Unavailable("The members of this site's roles are being changed")


def is_large(tx: Reader, site_id: int) -> bool:
    """Return True if a site has more than IN_ONE_GO profiles, too many to be recomputed in one transaction."""
    return bool(tx.value(LARGE, site_id=site_id, most=IN_ONE_GO))


def lock_roles_shared(tx: Transaction, site_id: int) -> None:
    """Take the lock on the site's roles shared, until the transaction ends, before a change of a profile that may move
    it into or out of a role.
    """
    tx.rows(LOCK_SHARED, site_id=site_id)


def recompute_roles(tx: Transaction, site_id: int, profile_ids: list[int]) -> None:
    """Recompute and store which roles these profiles are in, after a change of anything that criteria compare.

    Locks the profiles: a transaction that locks one of them for its change takes the shared lock on roles before that.
    """
    tx.rows(LOCK_PROFILES, site_id=site_id, profile_ids=profile_ids)
    tx.run(RECOMPUTE_ROLES, site_id=site_id, profile_ids=profile_ids)


def recompute_role(tx: Transaction, site_id: int, role_id: int) -> int:
    """Recompute, for all profiles of the site, which are in the role, after a change of its members or criteria; return
    the number of profiles that came in, went out, or only got another time of the next recomputation.

    Call `lock_roles` first. A deleted role is removed from all profiles.
    """
    return tx.run(RECOMPUTE_ROLE, site_id=site_id, role_id=role_id)


def recompute_role_of(tx: Transaction, site_id: int, role_id: int, profile_ids: list[int]) -> int:
    """Recompute which of these profiles are in one role, and lock them for it, after the shared lock on the site's
    roles; return the number of profiles that came in, went out, or only got another time of the next recomputation.
    """
    tx.rows(LOCK_PROFILES, site_id=site_id, profile_ids=profile_ids)
    return tx.run(RECOMPUTE_ROLE_OF, site_id=site_id, role_id=role_id, profile_ids=profile_ids)


def pending_changes(
    tx: Reader, site_id: int, role_id: int
) -> tuple[list[int], list[int], list[int]]:
    """Return the ids of profiles for which the stored members of a role are out of date, each list ascending: (joining,
    leaving, those that only are due for recomputation at another time). Locks nothing.
    """
    sides: dict[bool | None, list[int]] = {True: [], False: [], None: []}
    for profile_id, comes in tx.rows(PENDING_CHANGES, site_id=site_id, role_id=role_id):
        sides[comes].append(profile_id)
    return sides[True], sides[False], sides[None]


def mark_user(tx: Transaction, user_id: int, *, site_id: int = 0) -> None:
    """Mark a user's profiles on one site (0: on all) so that their roles are recomputed on their next request; not on
    sites without a criterion on addresses or bans.

    For use after a change of the user's address or bans.
    """
    tx.run(MARK_USER, user_id=user_id, site_id=site_id or None)


def mark_domain(tx: Transaction, domain: str, *, site_id: int = 0) -> None:
    """Mark the profiles on one site (0: on all) with an address in `domain`, which is in lower case, or its subdomains,
    so that their roles are recomputed on their next request; not on sites without a criterion on addresses or bans.
    """
    tx.run(MARK_DOMAIN, domain=domain, site_id=site_id or None)


def due(tx: Reader, limit: int) -> list[tuple[int, int]]:
    """Return (site id, profile id) of at most `limit` profiles whose roles are due for recomputation, the longest due
    first.
    """
    return [(site_id, profile_id) for site_id, profile_id in tx.rows(DUE, limit=limit)]
