"""Profiles as clients write them: each is a user's identity on one site (platform 4). profile_page.py reads them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from html import unescape
from typing import Final, NamedTuple

from psycopg import errors as pgerrors

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import OUT_OF_RANGE, Invalid, Unavailable
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.people import imported_profile
from forumapi.models.roles import role_recomputation
from forumapi.text import short_text_cleaning
from forumapi.text.name_skeletons import looks

NAME_MIN: Final = 2
NAME_MAX: Final = 25
GENDER_MAX: Final = 16
STYLE_MAX: Final = 2**31 - 1


FIND_OF_USER = Query(
    "profile.find_of_user",
    "SELECT p.profile_id FROM profiles p WHERE p.site_id = %(site_id)s AND p.user_id = %(user_id)s",
)

# The profile of a user, and true if an imported one waits for them (imported_profile.py).
FIND_OR_CLAIM = Query(
    "profile.find_or_claim",
    """
    SELECT (SELECT p.profile_id FROM profiles p WHERE p.site_id = %(site_id)s AND p.user_id = %(user_id)s),
           EXISTS (SELECT FROM users u
                     JOIN imported_profiles i ON i.site_id = %(site_id)s AND i.person_key = u.person_key
                    WHERE u.user_id = %(user_id)s AND u.email_verified)""",
)

# SQL: what each new profile has beside its row, `made`.
ROWS_BESIDE: Final = """
    counters AS (
        INSERT INTO profile_counters (site_id, profile_id, name_key)
        SELECT site_id, profile_id, lower(profile_name) FROM made),
    options AS (
        INSERT INTO profile_options (site_id, profile_id, send_email, send_sms)
        SELECT made.site_id, made.profile_id, coalesce(o.send_email, f.send_email), coalesce(o.send_sms, f.send_sms)
          FROM made JOIN site_options o ON o.site_id = made.site_id CROSS JOIN platform_options f)"""

# A name is unique on its site, also among names that look alike, and a user has one profile: the second of two
# concurrent first requests finds the profile of the first.
INSERT = Query(
    "profile.insert",
    f"""
    WITH made AS (
        INSERT INTO profiles (site_id, user_id, profile_name, name_looks, all_read_at, huddles_read_at, uses_platform)
        SELECT %(site_id)s, %(user_id)s, %(name)s, %(looks)s::text[], now(), now(), %(uses_platform)s
         WHERE NOT EXISTS (SELECT FROM profiles o
                            WHERE o.site_id = %(site_id)s AND o.name_looks && %(looks)s::text[])
            ON CONFLICT DO NOTHING
     RETURNING site_id, profile_id, profile_name),
    {ROWS_BESIDE.strip()}
    SELECT profile_id FROM made""",
)

# A change of a profile may change its roles.
EXISTS = Query(
    "profile.exists",
    """
    SELECT EXISTS (SELECT FROM profiles p WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s)""",
)

LOCK = Query(
    "profile.lock",
    f"""
    SELECT p.version, p.profile_name, p.gender, p.is_visible, p.style_id, p.is_member
      FROM {role_recomputation.LOCK_ROLES_SHARED} AS held
     CROSS JOIN profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s
       FOR NO KEY UPDATE OF p""",
)

# The site document shows its owner and creator: a change of either increments the site's version too.
UPDATE = Query(
    "profile.update",
    """
    WITH changed AS (
        UPDATE profiles p
           SET profile_name = %(name)s, name_looks = coalesce(%(looks)s::text[], p.name_looks),
               gender = nullif(%(gender)s::text, ''), is_visible = %(is_visible)s,
               style_id = %(style_id)s, version = p.version + 1
         WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s
           AND NOT EXISTS (SELECT FROM profiles o
                            WHERE o.site_id = %(site_id)s AND o.name_looks && %(looks)s::text[]
                              AND o.profile_id <> %(profile_id)s)
     RETURNING p.site_id, p.profile_id, p.version),
    shown AS (
        UPDATE sites s
           SET version = s.version + 1
          FROM changed
         WHERE s.site_id = changed.site_id AND changed.profile_id IN (s.owned_by, s.created_by))
    SELECT version FROM changed""",
)

# The flag lives as the attribute is_member (platform 4.3); the profile's column mirrors it.
GRANT_MEMBER = Query(
    "profile.grant_member",
    f"""
    WITH noted AS (
        INSERT INTO attributes (site_id, item_type_id, item_id, key, value_type_id, boolean_value, written_by, written,
                                is_granted)
        VALUES (%(site_id)s, {itemtypes.PROFILE}, %(profile_id)s, 'is_member', 4, true, %(me)s, clock_timestamp(), true)
            ON CONFLICT (site_id, item_type_id, item_id, key) DO UPDATE
           SET value_type_id = 4, string_value = NULL, date_value = NULL, number_value = NULL, boolean_value = true,
               written_by = EXCLUDED.written_by, written = EXCLUDED.written, is_granted = true)
    UPDATE profiles p
       SET is_member = true, version = p.version + 1
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s
 RETURNING p.version""",
)
REVOKE_MEMBER = Query(
    "profile.revoke_member",
    f"""
    WITH noted AS (
        DELETE FROM attributes a
         WHERE a.site_id = %(site_id)s AND a.item_type_id = {itemtypes.PROFILE}
           AND a.item_id = %(profile_id)s AND a.key = 'is_member')
    UPDATE profiles p
       SET is_member = false, version = p.version + 1
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s
 RETURNING p.version""",
)


class Profile(NamedTuple):
    """Profile whose row is locked, with the columns that its person or the site's owner may change; `name` and `gender`
    are HTML-escaped; `is_visible` False: search leaves the profile out.
    """

    id: int
    version: int
    name: str
    gender: str | None
    is_visible: bool
    style_id: int
    is_member: bool

    @classmethod
    def lock(cls, tx: Transaction, site_id: int, profile_id: int) -> Profile | None:
        """Take the shared lock on the site's roles, then lock the profile's row and return the profile; None if this
        site has none with this id.
        """
        row = tx.row(LOCK, site_id=site_id, profile_id=profile_id)
        return cls(profile_id, *row) if row else None

    @classmethod
    def insert(
        cls,
        tx: Transaction,
        site_id: int,
        user_id: int,
        name: str,
        *,
        ip: str = "",
        uses_platform: bool = True,
        is_recorded: bool = True,
    ) -> int:
        """Make the profile of a user on a site, and return its id; if the user has one here, return that one's.
        `name`: HTML-escaped by the caller; `ip`: the client address, for the audit; `is_recorded` False: the caller
        records the new profile.

        A name that is taken, or looks like another's, gets a number appended, or else is replaced by one made of the
        user's id; raises Unavailable if no such name is free. `uses_platform` False: only a provider that the site's
        owner set up vouches for this user so far.
        """
        for candidate in _candidates(name, user_id):
            row = tx.row(
                INSERT,
                site_id=site_id,
                user_id=user_id,
                name=candidate,
                looks=looks(candidate),
                uses_platform=uses_platform,
            )
            if row:
                profile_id: int = row[0]
                if is_recorded:
                    author = Author(site_id, profile_id, ip)
                    _record(tx, author, journal.CREATED, profile_id, 1)
                # Criteria may name profiles that have written nothing yet.
                role_recomputation.recompute_roles(tx, site_id, [profile_id])
                return profile_id
            found = tx.value(FIND_OF_USER, site_id=site_id, user_id=user_id)
            if found:
                return int(found)
        raise Unavailable("No free profile name was found")

    @classmethod
    def find_or_create(
        cls,
        tx: Transaction,
        site_id: int,
        user_id: int,
        email: str,
        *,
        is_root: bool,
        ip: str = "",
        uses_platform: bool = True,
        claims: bool = False,
        take_member: Callable[[Transaction], None] | None = None,
    ) -> int:
        """Return the id of a user's profile on a site; without one, make it under a name suggested from `email`, as
        `insert` does. `take_member` is called before a profile is made, and raises the ApiError of a site that
        takes no more members; None for no such limit.

        `claims`: the user is signing in by a way that the platform vouches for, so that an imported profile with the
        user's proven address is handed over instead. `is_root`: the site is the root site; `ip` and `uses_platform` as
        in `insert`. Raises Unavailable as `insert` does, and what `take_member` raises.
        """
        row = tx.row(FIND_OR_CLAIM, site_id=site_id, user_id=user_id)
        assert row is not None
        found, waits = row
        if found:
            return int(found)
        if claims and waits and (claimed := imported_profile.claim(tx, site_id, user_id)):
            _record(tx, Author(site_id, claimed, ip), journal.PATCHED, claimed, None)
            return claimed
        if take_member is not None:
            take_member(tx)
        name = suggested_name(is_root, user_id, email)
        return cls.insert(tx, site_id, user_id, name, ip=ip, uses_platform=uses_platform)

    def update(
        self,
        tx: Transaction,
        author: Author,
        *,
        name: str,
        gender: str,
        is_visible: bool,
        style_id: int,
    ) -> None:
        """Store new columns of the profile and recompute its roles. `name`, `gender`: results of `checked_name` and
        `checked_gender`, or the stored ones, "" for no gender; `is_visible`: as in this class; `style_id`: a number
        from 0 to STYLE_MAX that clients set, and that nothing else uses.

        Raises Invalid for a style out of range, a taken name (P-32), and a new name that looks like another's.
        """
        if not 0 <= style_id <= STYLE_MAX:
            raise Invalid("styleId", f"must be between 0 and {STYLE_MAX}", code=OUT_OF_RANGE)
        try:
            version = tx.value(
                UPDATE,
                site_id=author.site_id,
                profile_id=self.id,
                name=name,
                looks=looks(name) if name != self.name else None,
                gender=gender,
                is_visible=is_visible,
                style_id=style_id,
            )
        except pgerrors.UniqueViolation:
            raise Invalid("profileName", "is taken") from None
        if version is None:
            raise Invalid("profileName", "looks like another's")
        role_recomputation.recompute_roles(tx, author.site_id, [self.id])
        _record(tx, author, journal.REPLACED, self.id, version)

    def set_member(self, tx: Transaction, author: Author, is_member: bool) -> None:
        """Set the flag `member` of the profile to `is_member`, and recompute its roles. The caller has checked that the
        author owns the site.
        """
        query = GRANT_MEMBER if is_member else REVOKE_MEMBER
        writer = {"me": author.profile_id} if is_member else {}
        version = tx.value(query, site_id=author.site_id, profile_id=self.id, **writer)
        role_recomputation.recompute_roles(tx, author.site_id, [self.id])
        _record(tx, author, journal.PATCHED, self.id, version)


def exists(tx: Reader, site_id: int, profile_id: int) -> bool:
    """Return True if the site has a profile with this id, visible or not."""
    return bool(tx.value(EXISTS, site_id=site_id, profile_id=profile_id))


def _record(
    tx: Transaction, author: Author, kind: str, profile_id: int, version: int | None
) -> None:
    journal.record(tx, author, kind, itemtypes.PROFILE, profile_id, version=version)


# ---------------------------------------------------------------- names

SUGGESTED_FROM = 5830
_LONGEST = 25


def suggested_name(site_is_root: bool, user_id: int, email: str) -> str:
    """Return a name for a new profile: on the root site the local part of the e-mail address, cleaned and HTML-escaped
    as by `checked_name`, if it then has 2 to 25 characters, counted before the escaping, and no @ or +; else one made
    of the user's id.
    """
    if site_is_root:
        name = short_text_cleaning.word(email.partition("@")[0])
        if 2 <= short_text_cleaning.length(name) <= 25 and "@" not in name and "+" not in name:
            return name
    return f"user{user_id + SUGGESTED_FROM}"


def _candidates(name: str, user_id: int) -> Iterator[str]:
    """Yield names to try in turn: `name`; `name` with each number from 2 to 9; `name` with the user's number, which is
    `user_id` + SUGGESTED_FROM; each cut before the number to 25 characters in all, counted before the escaping; then 39
    names made of the user's number alone. `name` and all that are yielded are HTML-escaped.
    """
    yield name
    for number in range(2, 10):
        yield f"{_cut(name, _LONGEST - 1)}{number}"
    own = str(user_id + SUGGESTED_FROM)
    yield f"{_cut(name, _LONGEST - len(own))}{own}"
    # Another user has taken that name on purpose.
    for number in range(1, 40):
        yield f"user{own}x{number}"


def _cut(name: str, most: int) -> str:
    # A cut through an entity would leave a part of it.
    return short_text_cleaning.escape(unescape(name)[:most])


def checked_name(text: str, reserved: Collection[str]) -> str:
    """Return `text` as a profile name: without white space, tags and unprintable characters, HTML-escaped, and in lower
    case if it was all in capitals (platform 4.3).

    Raises Invalid for fewer than NAME_MIN or more than NAME_MAX characters, counted before the escaping, for a name
    that contains @ or +, and for one that looks like a name in `reserved`.
    """
    name = short_text_cleaning.word(text)
    if not NAME_MIN <= short_text_cleaning.length(name) <= NAME_MAX:
        raise Invalid("profileName", f"must have {NAME_MIN} to {NAME_MAX} characters")
    if "@" in name or "+" in name:
        raise Invalid("profileName", "may not hold @ or +")
    own = looks(name)
    if any(not set(looks(one)).isdisjoint(own) for one in reserved):
        raise Invalid("profileName", "is reserved")
    return name


def checked_gender(text: str) -> str:
    """Return `text` as a gender, trimmed, without tags, line breaks and unprintable characters, and HTML-escaped; ""
    means none. Raises Invalid beyond GENDER_MAX characters, counted before the escaping.
    """
    gender = short_text_cleaning.sentence(text, quiet=False)
    if short_text_cleaning.length(gender) > GENDER_MAX:
        raise Invalid("gender", f"may have at most {GENDER_MAX} characters", code=OUT_OF_RANGE)
    return gender


# ---------------------------------------------------------------- looks of names

WITHOUT_LOOKS = Query(
    "profile.without_looks",
    """
    SELECT p.site_id, p.profile_id, p.profile_name
      FROM profiles p
     WHERE p.name_looks IS NULL
     ORDER BY p.site_id, p.profile_id
     LIMIT %(limit)s""",
    scope=PLATFORM,
)
# A name that was changed meanwhile is handled the next time.
SET_LOOKS = Query(
    "profile.set_looks",
    """
    UPDATE profiles p
       SET name_looks = array_remove(ARRAY[n.first, n.second], NULL)
      FROM unnest(%(sites)s::bigint[], %(ids)s::bigint[], %(names)s::text[], %(firsts)s::text[], %(seconds)s::text[])
           AS n (site_id, profile_id, name, first, second)
     WHERE p.site_id = n.site_id AND p.profile_id = n.profile_id AND p.profile_name = n.name
       AND p.name_looks IS NULL""",
)


def store_looks(tx: Transaction, limit: int) -> int:
    """Store the skeletons (the form in which names that look alike are equal) of up to `limit` names of all sites that
    have none; return how many were stored.
    """
    rows = tx.rows(WITHOUT_LOOKS, limit=limit)
    if not rows:
        return 0
    seen = [looks(name) for _, _, name in rows]
    return tx.run(
        SET_LOOKS,
        sites=[row[0] for row in rows],
        ids=[row[1] for row in rows],
        names=[row[2] for row in rows],
        firsts=[one[0] for one in seen],
        seconds=[one[1] if len(one) > 1 else None for one in seen],
    )
