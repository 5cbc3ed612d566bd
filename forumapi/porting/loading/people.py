"""Writing of an import's profiles, which belong to nobody who can sign in; and one more profile for each name of a
guest.

A profile belongs to a user: an imported profile's user has no e-mail address, and a key that is none, so that nobody
can sign in as that user. A person who proves the address by a code takes the profile over
(models/people/imported_profile.py).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any, Final

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.porting.layout import PortedProfile, Unreadable
from forumapi.porting.loading import value_cleaning
from forumapi.porting.loading.imported_ids import Origin, allocate
from forumapi.text import email_address
from forumapi.text.name_skeletons import looks

TAKEN_NAMES = Query(
    "people.taken_names",
    """
    SELECT n.name
      FROM unnest(%(names)s::text[]) AS n (name)
     WHERE EXISTS (SELECT FROM profiles p
                    WHERE p.site_id = %(site_id)s AND lower(p.profile_name) = lower(n.name))""",
)
# Names that others of the site, not of this import, could be taken for.
TAKEN_LOOKS = Query(
    "people.taken_looks",
    f"""
    SELECT DISTINCT o.look
      FROM profiles p
     CROSS JOIN unnest(p.name_looks) AS o (look)
     WHERE p.site_id = %(site_id)s AND p.name_looks && %(looks)s::text[] AND o.look = ANY(%(looks)s::text[])
       AND NOT EXISTS (SELECT FROM imported_items i
                        WHERE i.site_id = p.site_id AND i.item_type_id = {itemtypes.PROFILE}
                          AND i.item_id = p.profile_id AND i.origin_id = %(origin_id)s)""",
)
INSERT_USERS = Query(
    "people.insert_users",
    """
    INSERT INTO users (user_id, email, canonical_email, person_key, created)
    SELECT r.user_id, '', '', r.person_key, r.created
      FROM json_to_recordset(%(rows)s::json) AS r (user_id bigint, person_key text, created timestamptz)
     WHERE %(site_id)s::bigint > 0""",
)
INSERT = Query(
    "people.insert",
    """
    WITH made AS (
        INSERT INTO profiles (site_id, profile_id, user_id, profile_name, name_looks, is_visible, is_bot, created,
                              all_read_at)
        SELECT %(site_id)s, r.id, r.user_id, r.name, r.looks, r.is_visible, r.is_bot, r.created, now()
          FROM json_to_recordset(%(rows)s::json)
               AS r (id bigint, user_id bigint, name text, looks text[], is_visible boolean, is_bot boolean,
                     created timestamptz)
     RETURNING site_id, profile_id, profile_name),
    counters AS (
        INSERT INTO profile_counters (site_id, profile_id, name_key, last_active)
        SELECT made.site_id, made.profile_id, lower(made.profile_name), r.last_active
          FROM json_to_recordset(%(rows)s::json) AS r (id bigint, last_active timestamptz)
          JOIN made ON made.profile_id = r.id),
    claims AS (
        INSERT INTO imported_profiles (site_id, profile_id, origin_id, person_key, email, send_email)
        SELECT made.site_id, made.profile_id, %(origin_id)s, r.claimed_by, r.email, r.send_email
          FROM json_to_recordset(%(rows)s::json)
               AS r (id bigint, claimed_by text, email text, send_email boolean)
          JOIN made ON made.profile_id = r.id
         WHERE r.claimed_by <> '')
    INSERT INTO profile_options (site_id, profile_id, send_email, send_sms, time_zone)
    SELECT made.site_id, made.profile_id, false, false, r.time_zone
      FROM json_to_recordset(%(rows)s::json) AS r (id bigint, time_zone text)
      JOIN made ON made.profile_id = r.id""",
)
# Unclaimed profiles of these addresses, for duplicates in the same forum.
OF_KEYS = Query(
    "people.of_keys",
    """
    SELECT p.person_key, p.profile_id
      FROM imported_profiles p
     WHERE p.site_id = %(site_id)s AND p.origin_id = %(origin_id)s AND p.person_key = ANY(%(keys)s::text[])""",
)
USERS_OF = Query(
    "people.users_of",
    """
    SELECT p.profile_id, p.user_id
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(ids)s::bigint[])""",
)

# Shown where nothing is known of an author.
DELETED: Final = "deleted"
_MAX_SUFFIX: Final = 10_000


class ImportedPeople:
    """Ids here of an import's profiles by old id, all in memory, some 150 bytes each. `load` reads the ids of earlier
    runs.
    """

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self._ids: dict[str, int] = {}

    def load(self, tx: Reader) -> None:
        """Read the ids of all profiles that earlier runs have inserted."""
        found = self.origin.all_of(tx, itemtypes.PROFILE)
        self._ids = {old: thing.id for old, thing in found.items()}

    def __len__(self) -> int:
        return len(self._ids)

    def id(self, old_id: str) -> int:
        """Return the id here of the profile with this old id, also of an erased one; 0 if it has not come, or for
        "".
        """
        if not old_id:
            return 0
        found = self._ids.get(value_cleaning.old_id(old_id))
        return found or self._ids.get(self.origin.erased_id(old_id), 0)

    def everybody(self) -> Iterable[int]:
        """Return the ids here of all imported profiles; some twice, as two old ids may have become one profile."""
        return self._ids.values()

    def author(self, old_id: str, author_name: str) -> int:
        """Return the id here of an author's profile: by the old id or, if that is "" or did not come, by the name under
        which a guest wrote ("": the profile called "deleted"); 0 if `ensure_authors` has not made it.
        """
        return self.id(old_id) or self.id(value_cleaning.guest_id(author_name))

    def ensure_authors(self, tx: Transaction, authors: Iterable[tuple[str, str]]) -> None:
        """Insert the profiles that `author` would not find for these authors (old id, name): for those whose old id did
        not come, one for each name that has no profile yet, and one called "deleted" for those without a name.
        """
        missing: dict[str, str] = {}
        for old_id, author_name in authors:
            if not self.id(old_id):
                key = value_cleaning.guest_id(author_name)
                if not self.id(key):
                    missing.setdefault(key, author_name or DELETED)
        if missing:
            self._insert(
                tx,
                [
                    PortedProfile(id=key, name=shown, is_visible=False)
                    for key, shown in missing.items()
                ],
            )

    def insert(self, tx: Transaction, profiles: Sequence[PortedProfile]) -> list[Unreadable]:
        """Insert the profiles that no earlier run has inserted; return those left out for want of a name. Several of
        this import with the same e-mail address become one profile, also with one that an earlier run has inserted and
        nobody has taken over.
        """
        left: list[Unreadable] = []
        fresh: dict[str, PortedProfile] = {}
        same: list[tuple[str, str]] = []
        keys: dict[str, str] = {}
        for profile in profiles:
            if self.id(profile.id) or profile.id in fresh:
                continue
            if not value_cleaning.name(profile.name):
                left.append(Unreadable(kind="profile", id=profile.id, reason="name: is empty"))
                continue
            key = person_key(profile.email)
            if key and key in keys:
                same.append((profile.id, keys[key]))
                continue
            if key:
                keys[key] = profile.id
            fresh[profile.id] = profile
        merged: list[tuple[int, str, int, str]] = []
        if keys:
            rows = tx.rows(
                OF_KEYS, site_id=self.origin.site_id, origin_id=self.origin.id, keys=list(keys)
            )
            for key, profile_id in rows:
                old = keys[key]
                if old in fresh:
                    del fresh[old]
                    merged.append((itemtypes.PROFILE, old, profile_id, "same address"))
        self._insert(tx, list(fresh.values()))
        ids = {old: id for _, old, id, _ in merged}
        for old, first in same:
            id = ids.get(first) or self.id(first)
            merged.append((itemtypes.PROFILE, old, id, "same address"))
        self.origin.remember(tx, merged)
        self._ids |= {value_cleaning.old_id(old): id for _, old, id, _ in merged}
        return left

    def users(self, tx: Reader, ids: Iterable[int]) -> dict[int, int]:
        """Return the user ids of the profiles with these ids here, by profile id; an unknown profile is missing."""
        wanted = sorted(set(ids))
        return dict(tx.rows(USERS_OF, site_id=self.origin.site_id, ids=wanted)) if wanted else {}

    def _insert(self, tx: Transaction, profiles: Sequence[PortedProfile]) -> None:
        if not profiles:
            return
        count = len(profiles)
        user_ids = allocate(tx, "users_user_id_seq", count)
        ids = allocate(tx, "profiles_profile_id_seq", count)
        names = self._free_names(tx, [value_cleaning.name(one.name) or DELETED for one in profiles])
        now = datetime.datetime.now(datetime.UTC)
        site_id, origin_id = self.origin.site_id, self.origin.id
        users: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        for profile, id, user_id, name in zip(profiles, ids, user_ids, names, strict=True):
            created = value_cleaning.time(profile.date_created, now)
            key = person_key(profile.email)
            users.append(
                {
                    "user_id": user_id,
                    "person_key": f"imported:{site_id}:{origin_id}:{value_cleaning.old_id(profile.id)}",
                    "created": created,
                }
            )
            rows.append(
                {
                    "id": id,
                    "user_id": user_id,
                    "name": name,
                    "looks": looks(name),
                    "is_visible": profile.is_visible,
                    "is_bot": profile.is_bot,
                    "created": created,
                    "last_active": max(
                        created, value_cleaning.time(profile.last_active, value_cleaning.EPOCH)
                    ),
                    "claimed_by": key,
                    "email": profile.email.strip() if key else "",
                    "send_email": profile.receive_email_notifications,
                    "time_zone": value_cleaning.time_zone(profile.time_zone, "UTC"),
                }
            )
        self.origin.run(tx, INSERT_USERS, users)
        self.origin.run(tx, INSERT, rows)
        self.origin.remember(
            tx,
            [
                (itemtypes.PROFILE, profile.id, id, "")
                for profile, id in zip(profiles, ids, strict=True)
            ],
        )
        self._ids |= {
            value_cleaning.old_id(one.id): id for one, id in zip(profiles, ids, strict=True)
        }

    def _free_names(self, tx: Reader, wanted: Sequence[str]) -> list[str]:
        """Return a free name for each wanted one, in the same order: the name itself; if somebody on the site or an
        earlier one of the list has it, or somebody on the site who did not come with this import has one that looks
        like it, the name with `_` and a number from 2 on. Raises ValueError if the numbers up to 9,999 are taken.
        """
        seen = {name: looks(name) for name in wanted}
        site_id = self.origin.site_id
        taken = {
            row[0].lower() for row in tx.rows(TAKEN_NAMES, site_id=site_id, names=sorted(seen))
        }
        strange = {
            row[0]
            for row in tx.rows(
                TAKEN_LOOKS,
                site_id=site_id,
                origin_id=self.origin.id,
                looks=sorted({look for all in seen.values() for look in all}),
            )
        }
        taken |= {name.lower() for name, all in seen.items() if not strange.isdisjoint(all)}
        chosen: list[str] = []
        for name in wanted:
            free = name
            if free.lower() in taken:
                free = self._numbered(tx, name, taken)
            taken.add(free.lower())
            chosen.append(free)
        return chosen

    def _numbered(self, tx: Reader, name: str, taken: set[str]) -> str:
        site_id = self.origin.site_id
        for number in range(2, _MAX_SUFFIX):
            free = f"{name}_{number}"
            if free.lower() not in taken and not tx.rows(
                TAKEN_NAMES, site_id=site_id, names=[free]
            ):
                return free
        raise ValueError(f"no free name like {name}")


def person_key(address: str) -> str:
    """Return the key by which an e-mail address is compared with users' addresses, equal for spellings of one mailbox;
    "" for an invalid address.
    """
    address = address.strip()
    return email_address.same_person_key(address) if email_address.valid(address) else ""
