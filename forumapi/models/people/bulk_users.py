"""Users and profiles that a site's owner adds, many at once, by e-mail address (platform 4.1, P-28).

The number of statements is fixed, however many users there are. A batch can be run again: users and profiles that exist
are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.people import profile
from forumapi.models.people.profile import Profile
from forumapi.models.roles import role_recomputation
from forumapi.models.sites.site import Site
from forumapi.text import email_address

MAKE_USERS = Query(
    "bulk_users.make_users",
    """
    INSERT INTO users (email, canonical_email, person_key)
    SELECT w.email, w.canonical, w.person_key
      FROM unnest(%(emails)s::text[], %(canonicals)s::text[], %(person_keys)s::text[])
           AS w (email, canonical, person_key)
     ORDER BY w.person_key
        ON CONFLICT (person_key) DO NOTHING
 RETURNING user_id""",
)

FIND = Query(
    "bulk_users.find",
    """
    SELECT u.person_key, u.user_id, u.email, coalesce(p.profile_id, 0)
      FROM users u
      LEFT JOIN profiles p ON p.site_id = %(site_id)s AND p.user_id = u.user_id
     WHERE u.person_key = ANY(%(person_keys)s::text[])""",
)

# Numbered in the order of the request and named after that number: neither tells whose account is older than it.
MAKE_PROFILES = Query(
    "bulk_users.make_profiles",
    f"""
    WITH numbered AS MATERIALIZED (
        SELECT w.user_id, nextval(pg_get_serial_sequence('profiles', 'profile_id')) AS profile_id
          FROM unnest(%(user_ids)s::bigint[]) AS w (user_id)),
    made AS (
        INSERT INTO profiles (site_id, profile_id, user_id, profile_name, all_read_at, huddles_read_at, uses_platform)
        SELECT %(site_id)s, n.profile_id, n.user_id, 'user' || (n.profile_id + %(names_from)s), now(), now(), false
          FROM numbered n
         ORDER BY n.user_id
            ON CONFLICT DO NOTHING
     RETURNING site_id, profile_id, user_id, profile_name),
    {profile.ROWS_BESIDE.strip()}
    SELECT user_id, profile_id FROM made ORDER BY profile_id""",
)

# Profiles whose membership differs from the wanted one, locked in the order of their ids.
TO_CHANGE = Query(
    "bulk_users.to_change",
    f"""
    SELECT p.profile_id, w.is_member
      FROM {role_recomputation.LOCK_ROLES_SHARED} AS held
     CROSS JOIN profiles p
      JOIN unnest(%(profile_ids)s::bigint[], %(members)s::boolean[]) AS w (profile_id, is_member)
        ON w.profile_id = p.profile_id
     WHERE p.site_id = %(site_id)s AND p.is_member <> w.is_member
     ORDER BY p.profile_id
       FOR NO KEY UPDATE OF p""",
)

# The flag lives as the attribute is_member (platform 4.3); the profile's column mirrors it.
CHANGE = Query(
    "bulk_users.change",
    f"""
    WITH wanted AS (
        SELECT w.profile_id, w.is_member
          FROM unnest(%(profile_ids)s::bigint[], %(members)s::boolean[]) AS w (profile_id, is_member)),
    taken AS (
        DELETE FROM attributes a
         USING wanted w
         WHERE a.site_id = %(site_id)s AND a.item_type_id = {itemtypes.PROFILE} AND a.item_id = w.profile_id
           AND a.key = 'is_member' AND NOT w.is_member),
    noted AS (
        INSERT INTO attributes (site_id, item_type_id, item_id, key, value_type_id, boolean_value, written_by, written,
                                is_granted)
        SELECT %(site_id)s, {itemtypes.PROFILE}, w.profile_id, 'is_member', 4, true, %(me)s, clock_timestamp(), true
          FROM wanted w
         WHERE w.is_member
            ON CONFLICT (site_id, item_type_id, item_id, key) DO UPDATE
           SET value_type_id = 4, string_value = NULL, date_value = NULL, number_value = NULL, boolean_value = true,
               written_by = EXCLUDED.written_by, written = EXCLUDED.written, is_granted = true)
    UPDATE profiles p
       SET is_member = w.is_member, version = p.version + 1
      FROM wanted w
     WHERE p.site_id = %(site_id)s AND p.profile_id = w.profile_id
 RETURNING p.profile_id, p.version""",
)


_MOST_TRIES: Final = 3


class Enrolled(NamedTuple):
    """User with their profile on the site. `email`: the address that the user signs in with; `is_new_profile`: the
    profile was made just now.
    """

    user_id: int
    email: str
    profile_id: int
    is_new_profile: bool


def find_or_create(
    tx: Transaction, site: Site, addresses: Iterable[str], author: Author, *, is_import: bool
) -> dict[str, Enrolled]:
    """Return the users with these valid addresses and their profiles, by person key (text/email_address.py). Users and
    profiles that don't exist are made; new profiles get ascending ids in the given order. Of several addresses of one
    person the last is taken.

    The audit names `author` as their creator. `is_import`: their events say that they are imported, so that nobody is
    notified of each new profile.
    """
    wanted = {email_address.same_person_key(address): address for address in addresses}
    keys = list(wanted)
    new_users = {
        row[0]
        for row in tx.rows(
            MAKE_USERS,
            emails=list(wanted.values()),
            canonicals=[email_address.canonical(address) for address in wanted.values()],
            person_keys=keys,
        )
    }
    found = {row[0]: row[1:] for row in tx.rows(FIND, site_id=site.id, person_keys=keys)}
    new_profiles, met = _make_profiles(
        tx,
        site,
        {found[key][0]: found[key][1] for key in keys if not found[key][2]},
    )
    journal.record_many(
        tx, author, journal.CREATED, itemtypes.USER, sorted(new_users), is_import=is_import
    )
    journal.record_many(
        tx,
        author,
        journal.CREATED,
        itemtypes.PROFILE,
        sorted(new_profiles.values()),
        is_import=is_import,
    )
    made = {}
    for key in keys:
        user_id, address, profile_id = found[key]
        made[key] = Enrolled(
            user_id,
            address,
            profile_id or new_profiles.get(user_id) or met[user_id],
            user_id in new_profiles,
        )
    return made


def _make_profiles(
    tx: Transaction, site: Site, addresses: Mapping[int, str]
) -> tuple[dict[int, int], dict[int, int]]:
    """Make profiles on the site for users, under names made of the profiles' ids; where such a name was taken three
    times, Profile.insert makes the profile. The caller records them. `addresses`: e-mail addresses by user id.

    Returns the ids of the made profiles by user id, and those of the profiles that users got meanwhile.
    """
    if not addresses:
        return {}, {}
    made: dict[int, int] = {}
    left = dict(addresses)
    # Somebody may have the name of that number.
    for _ in range(_MOST_TRIES):
        made |= tx.rows(
            MAKE_PROFILES,
            site_id=site.id,
            user_ids=list(left),
            names_from=profile.SUGGESTED_FROM,
        )
        left = {user_id: one for user_id, one in left.items() if user_id not in made}
        if not left:
            break
    role_recomputation.recompute_roles(tx, site.id, list(made.values()))
    met: dict[int, int] = {}
    for user_id in sorted(left):
        # The user came in at this moment.
        if found := tx.value(profile.FIND_OF_USER, site_id=site.id, user_id=user_id):
            met[user_id] = found
        else:
            name = profile.suggested_name(site.is_root, user_id, left[user_id])
            made[user_id] = Profile.insert(tx, site.id, user_id, name, is_recorded=False)
    return made, met


def set_members(tx: Transaction, author: Author, wanted: Mapping[int, bool]) -> list[int]:
    """Set the flag `member` of profiles of the author's site to the values in `wanted`, by profile id, recompute the
    roles of those that change, and record the changes in the journal as imported, so that nobody is notified.

    Returns the ids of the profiles that had another value, in ascending order; ids of no profile are left out.
    """
    rows = tx.rows(
        TO_CHANGE,
        site_id=author.site_id,
        profile_ids=list(wanted),
        members=list(wanted.values()),
    )
    if not rows:
        return []
    ids = [row[0] for row in rows]
    versions: dict[int, int] = dict(
        tx.rows(
            CHANGE,
            site_id=author.site_id,
            profile_ids=ids,
            members=[row[1] for row in rows],
            me=author.profile_id,
        )
    )
    role_recomputation.recompute_roles(tx, author.site_id, ids)
    journal.record_many(
        tx,
        author,
        journal.PATCHED,
        itemtypes.PROFILE,
        ids,
        versions=[versions[id] for id in ids],
        is_import=True,
    )
    return ids


# ---------------------------------------------------------------- the batch of members

Outcome = Literal["created", "granted", "revoked", "unchanged", "folded"]


class MemberRow(NamedTuple):
    """Valid row of a batch: its number, counted from 1, an e-mail address, and the value for the flag `member`."""

    number: int
    email: str
    is_member: bool


class BatchReport(NamedTuple):
    """Outcome of a batch. `rows`: (number of the row, profile id, outcome), in the given order; `new`: users who got a
    profile. Outcome "folded": a later row for the same person counts instead; "created": the profile is new, member or
    not; "granted", "revoked", "unchanged": what became of the flag `member`.
    """

    rows: list[tuple[int, int, Outcome]]
    new: list[Enrolled]


def enrol(tx: Transaction, site: Site, rows: Sequence[MemberRow], author: Author) -> BatchReport:
    """Find or make users and profiles for all rows, and set the flag `member` of each; return what became of each row.

    Of several rows for one person the last counts (P-28). The audit names `author` as the one who did it.
    """
    last = {email_address.same_person_key(row.email): row for row in rows}
    people = find_or_create(tx, site, (row.email for row in last.values()), author, is_import=True)
    wanted = {people[key].profile_id: row.is_member for key, row in last.items()}
    changed = set(set_members(tx, author, wanted))
    told = []
    for row in rows:
        key = email_address.same_person_key(row.email)
        told.append(
            (row.number, people[key].profile_id, _outcome(row, last[key], people[key], changed))
        )
    return BatchReport(told, [one for one in people.values() if one.is_new_profile])


def _outcome(row: MemberRow, last: MemberRow, person: Enrolled, changed: set[int]) -> Outcome:
    if row is not last:
        return "folded"
    if person.is_new_profile:
        return "created"
    if person.profile_id not in changed:
        return "unchanged"
    return "granted" if row.is_member else "revoked"
