"""Imported profiles that nobody has claimed yet: a user who proves the imported address takes the profile over.

An address in a dump proves nothing. The profile changes its user when somebody signs in with that address on its site
by a way that the platform vouches for, and not before.
"""

from __future__ import annotations

from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.roles import role_recomputation

# The first of several imports of a site. A token of the site's own provider proves no address.
FIND = Query(
    "imported_profile.find",
    """
    SELECT i.profile_id, p.user_id
      FROM users u
      JOIN imported_profiles i ON i.site_id = %(site_id)s AND i.person_key = u.person_key
      JOIN profiles p ON p.site_id = i.site_id AND p.profile_id = i.profile_id
     WHERE u.user_id = %(user_id)s AND u.email_verified
     ORDER BY i.profile_id
     LIMIT 1
       FOR NO KEY UPDATE OF p""",
)
# Bans and votes name users. The user that stood for the person goes.
CLAIM = Query(
    "imported_profile.claim",
    """
    WITH claimed AS (
        DELETE FROM imported_profiles i
         WHERE i.site_id = %(site_id)s AND i.profile_id = %(profile_id)s
     RETURNING i.site_id, i.profile_id, i.send_email),
    bans AS (
        UPDATE bans b SET user_id = %(user_id)s
         WHERE b.site_id = %(site_id)s AND b.user_id = %(stand_in)s),
    votes AS (
        UPDATE poll_ballots b SET user_id = %(user_id)s
         WHERE b.site_id = %(site_id)s AND b.user_id = %(stand_in)s),
    options AS (
        UPDATE profile_options o
           SET send_email = c.send_email
          FROM claimed c
         WHERE o.site_id = c.site_id AND o.profile_id = c.profile_id)
    UPDATE profiles p
       SET user_id = %(user_id)s, version = p.version + 1
      FROM claimed c
     WHERE p.site_id = c.site_id AND p.profile_id = c.profile_id
 RETURNING p.profile_id""",
)
DELETE_STAND_IN = Query(
    "imported_profile.delete_stand_in",
    """
    DELETE FROM users u
     WHERE u.user_id = %(stand_in)s AND u.person_key LIKE 'imported:%%' AND NOT u.email_verified""",
)
# Whom the operator is asked to free: the next sign-in makes a new profile.
REFUSE = Query(
    "imported_profile.refuse",
    """
    DELETE FROM imported_profiles i
     WHERE i.site_id = %(site_id)s AND i.person_key = %(person_key)s
 RETURNING i.profile_id""",
)


def claim(tx: Transaction, site_id: int, user_id: int) -> int:
    """Give the imported profile of this site that has the user's proven address, of several the one with the lowest id,
    to that user, who has no profile here; return the profile's id, 0 if there is none.

    The profile's bans and votes on this site become those of the user, its option for e-mail is set to the imported
    choice, its roles are recomputed, and the placeholder user that the import had made for it is deleted.
    """
    role_recomputation.lock_roles_shared(tx, site_id)
    row = tx.row(FIND, site_id=site_id, user_id=user_id)
    if row is None:
        return 0
    profile_id, stand_in = row
    claimed = tx.value(
        CLAIM, site_id=site_id, profile_id=profile_id, user_id=user_id, stand_in=stand_in
    )
    tx.run(DELETE_STAND_IN, stand_in=stand_in)
    role_recomputation.recompute_roles(tx, site_id, [profile_id])
    return int(claimed or 0)


def refuse(tx: Transaction, site_id: int, person_key: str) -> list[int]:
    """Record that nobody may claim the site's imported profiles of an address any more; return their ids in any
    order, [] if there are none. `person_key`: that of the address (text/email_address.py).
    """
    rows = tx.rows(REFUSE, site_id=site_id, person_key=person_key)
    return [row[0] for row in rows]
