"""How a profile comes to be, and which roles it is in (platform 4.4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from forumapi import itemtypes
from forumapi.database.connections import Database, Query, Transaction
from forumapi.errors import Unavailable
from forumapi.models.journal import journal
from forumapi.models.people import role_members
from forumapi.text import clean
from forumapi.text.looks import looks

if TYPE_CHECKING:
    from forumapi.models.access.identity import Identity

FIND_USER = Query("membership.user", "SELECT u.email FROM users u WHERE u.user_id = %(user_id)s")

FIND_PROFILE = Query(
    "membership.profile",
    "SELECT p.profile_id FROM profiles p WHERE p.site_id = %(site_id)s AND p.user_id = %(user_id)s",
)

# Nobody else's name, nor one that looks like it, and one profile a user: whichever of two concurrent first requests
# comes second finds the first.
CREATE_PROFILE = Query(
    "membership.create",
    """
    WITH made AS (
        INSERT INTO profiles (site_id, user_id, profile_name, name_looks, all_read_at, huddles_read_at, uses_platform)
        SELECT %(site_id)s, %(user_id)s, %(name)s, %(looks)s::text[], now(), now(), %(uses_platform)s
         WHERE NOT EXISTS (SELECT FROM profiles o
                            WHERE o.site_id = %(site_id)s AND o.name_looks && %(looks)s::text[])
            ON CONFLICT DO NOTHING
     RETURNING site_id, profile_id, profile_name),
    counters AS (
        INSERT INTO profile_counters (site_id, profile_id, name_key)
        SELECT site_id, profile_id, lower(profile_name) FROM made),
    options AS (
        INSERT INTO profile_options (site_id, profile_id, send_email, send_sms)
        SELECT made.site_id, made.profile_id, coalesce(o.send_email, f.send_email), coalesce(o.send_sms, f.send_sms)
          FROM made JOIN site_options o ON o.site_id = made.site_id CROSS JOIN platform_options f)
    SELECT profile_id FROM made""",
)

# From now on a provider that the site's owner set up opens no huddles, until it is confirmed (auth/own_provider.py).
INTRODUCE = Query(
    "membership.introduce",
    """
    UPDATE profiles p
       SET uses_platform = true
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s""",
)

SUGGESTED_FROM = 5830
_LONGEST = 25


def suggested_name(site_is_root: bool, user_id: int, email: str) -> str:
    """The name of a profile that is made without asking: on the root site the local part of the address."""
    if site_is_root:
        name = clean.word(email.partition("@")[0])
        if 2 <= clean.length(name) <= 25 and "@" not in name and "+" not in name:
            return name
    return f"user{user_id + SUGGESTED_FROM}"


def _candidates(name: str, user_id: int) -> Iterator[str]:
    """Names to try, the nicest first: with a small number; where many are called that, with one that is the user's."""
    yield name
    for number in range(2, 10):
        yield f"{name[: _LONGEST - 1]}{number}"
    own = str(user_id + SUGGESTED_FROM)
    yield f"{name[: _LONGEST - len(own)]}{own}"
    # Somebody has taken that on purpose.
    for number in range(1, 40):
        yield f"user{own}x{number}"


def create(
    tx: Transaction,
    site_id: int,
    user_id: int,
    name: str,
    *,
    ip: str = "",
    uses_platform: bool = True,
) -> int:
    """The profile of a user on a site, made if it isn't there; its id. A taken name gets a number appended.

    `uses_platform` False: nobody but the site's owner vouches for this user yet.
    """
    for candidate in _candidates(name, user_id):
        row = tx.row(
            CREATE_PROFILE,
            site_id=site_id,
            user_id=user_id,
            name=candidate,
            looks=looks(candidate),
            uses_platform=uses_platform,
        )
        if row:
            profile_id: int = row[0]
            journal.record(
                tx,
                site_id,
                journal.CREATED,
                itemtypes.PROFILE,
                profile_id,
                actor=profile_id,
                ip=ip,
                version=1,
            )
            # A criterion may well name those who have written nothing yet.
            settle_roles(tx, site_id, [profile_id])
            return profile_id
        found = tx.value(FIND_PROFILE, site_id=site_id, user_id=user_id)
        if found:
            return int(found)
    raise Unavailable("No free profile name was found")


def find_or_create(
    tx: Transaction,
    site_id: int,
    user_id: int,
    email: str,
    *,
    is_root: bool,
    ip: str = "",
    uses_platform: bool = True,
) -> int:
    """The profile of a user on a site, made under a suggested name if there is none; its id. See `create`."""
    found = tx.value(FIND_PROFILE, site_id=site_id, user_id=user_id)
    if found:
        return int(found)
    name = suggested_name(is_root, user_id, email)
    return create(tx, site_id, user_id, name, ip=ip, uses_platform=uses_platform)


def settle(database: Database, site_id: int, identity: Identity, *, is_root: bool) -> None:
    """Make what a signed-in request needs and does not have yet: its profile on this site, or its due roles."""
    with database.write() as tx:
        if identity.profile_id:
            settle_roles(tx, site_id, [identity.profile_id])
            if identity.is_introduced:
                tx.run(INTRODUCE, site_id=site_id, profile_id=identity.profile_id)
        else:
            email = tx.value(FIND_USER, user_id=identity.user_id)
            find_or_create(tx, site_id, identity.user_id, email, is_root=is_root)


def settle_roles(tx: Transaction, site_id: int, profile_ids: list[int]) -> None:
    """Write the role sets of these profiles anew, after a change of what they depend on."""
    role_members.recompute_roles(tx, site_id, profile_ids)
