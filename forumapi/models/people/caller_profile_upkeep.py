"""Profile of a signed-in caller on this site: made at their first request, its roles recomputed when they are due."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from forumapi.database.connections import Database, Transaction
from forumapi.database.query import Query
from forumapi.models.people.profile import Profile
from forumapi.models.roles import role_recomputation
from forumapi.models.sites import site_move_guard

if TYPE_CHECKING:
    from forumapi.models.access.identity import Identity

FIND_USER = Query(
    "caller_profile_upkeep.find_user", "SELECT u.email FROM users u WHERE u.user_id = %(user_id)s"
)

# A provider that the site's owner set up opens no huddles from now on, until it is confirmed
# (auth/owner_provider_confirmation.py).
INTRODUCE = Query(
    "caller_profile_upkeep.introduce",
    """
    UPDATE profiles p
       SET uses_platform = true
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s""",
)


def ensure(
    database: Database,
    site_id: int,
    identity: Identity,
    *,
    is_root: bool,
    is_moving: bool = False,
    take_member: Callable[[Transaction], None] | None = None,
) -> None:
    """Make the caller's profile on this site, or, if there is one, recompute its roles, in a transaction of its own
    (platform 4.4); `identity` stays as it was read. If it is the profile's first request with a sign-in that the
    platform vouches for (`identity.is_introduced`), store that too. `is_root`: the site is the root site; `is_moving`:
    it is being moved to another platform, or has been; `take_member`: as in `Profile.find_or_create`.

    Raises ReadOnly or SiteMoved where the profile is to be made while the site takes no writes, and what `take_member`
    raises.
    """
    with database.write() as tx:
        if identity.profile_id:
            role_recomputation.recompute_roles(tx, site_id, [identity.profile_id])
            if identity.is_introduced:
                tx.run(INTRODUCE, site_id=site_id, profile_id=identity.profile_id)
        else:
            if is_moving:
                site_move_guard.check_writable(tx, site_id)
            email = tx.value(FIND_USER, user_id=identity.user_id)
            Profile.find_or_create(
                tx,
                site_id,
                identity.user_id,
                email,
                is_root=is_root,
                # A session that a site's own provider vouched for has proven no address.
                claims=not identity.is_of_site,
                take_member=take_member,
            )
