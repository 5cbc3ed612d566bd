"""Users: each is one person across all sites, known by an e-mail address (platform 3.1 and 4.1)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query, Row
from forumapi.errors import Invalid
from forumapi.text import email_address
from forumapi.wire import json_fragments

# SQL: a provider that the site's owner set up vouched for the sign-in behind token `t` (docs/decisions/0009).
BY_SITE: Final = "coalesce(t.by_site, t.kind = 'session' AND t.site_id IS NOT NULL)"
# SQL: user `u` has signed in at some time. Whom the owner of a site has only added, or their provider has named, has
# asked for nothing.
HAS_BEEN_HERE: Final = f"""(u.email_verified
                     OR EXISTS (SELECT FROM access_tokens t WHERE t.user_id = u.user_id AND NOT {BY_SITE})
                     OR EXISTS (SELECT FROM sign_in_places x WHERE x.user_id = u.user_id))"""

FIND_BY_EMAIL = Query(
    "user.find_by_email",
    """
    SELECT u.user_id, u.email, u.email_verified,
           EXISTS (SELECT FROM one_time_secrets o WHERE o.user_id = u.user_id AND o.confirmed IS NOT NULL)
      FROM users u
     WHERE u.person_key = %(person_key)s""",
)

# The second of two concurrent sign-ins finds the user of the first.
INSERT = Query(
    "user.insert",
    """
    INSERT INTO users (email, canonical_email, person_key, email_verified, state)
    VALUES (%(email)s, %(canonical)s, %(person_key)s, %(verified)s, CASE WHEN %(verified)s THEN 'valid' END)
        ON CONFLICT (person_key) DO NOTHING
 RETURNING user_id, email""",
)

VERIFY = Query(
    "user.verify",
    """
    UPDATE users u
       SET email_verified = true, state = 'valid'
     WHERE u.user_id = %(user_id)s AND NOT u.email_verified""",
)

_COLUMNS: Final = """
    u.user_id, u.email, u.gender, u.language, u.created, u.state, u.is_banned, u.dob_day, u.dob_month, u.dob_year,
    u.canonical_email"""
_FROM: Final = "FROM users u WHERE u.user_id = %(user_id)s"

FIND = Query("user.find", f"SELECT {_COLUMNS} {_FROM}")

# Values that belong to a site: nothing that others see of a user is older than the profile there.
FIND_HERE = Query(
    "user.find_here",
    """
    SELECT u.person_key, p.gender, p.created
      FROM profiles p
      JOIN users u ON u.user_id = p.user_id
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s""",
)


class User(NamedTuple):
    """User with the columns that a sign-in needs. `is_new`: made just now; `has_second_factor`: a confirmed one."""

    id: int
    email: str
    is_new: bool = False
    has_second_factor: bool = False

    @classmethod
    def find_by_email(cls, tx: Reader, address: str) -> User | None:
        """Return the user who signs in with this address, apart from case and Gmail's rules (P-29); None if there is
        none.
        """
        row = tx.row(FIND_BY_EMAIL, person_key=email_address.same_person_key(address))
        return cls(row[0], row[1], has_second_factor=row[3]) if row else None

    @classmethod
    def find_or_create(cls, tx: Transaction, address: str, *, is_verified: bool) -> User:
        """Return the user with this valid address, apart from case and Gmail's rules; without one, make the user.
        `is_verified`: a sign-in method has just proven the address, which is recorded.
        """
        key = email_address.same_person_key(address)
        row = tx.row(FIND_BY_EMAIL, person_key=key)
        if row is None:
            row = tx.row(
                INSERT,
                email=address,
                canonical=email_address.canonical(address),
                person_key=key,
                verified=is_verified,
            )
            if row is not None:
                return cls(row[0], row[1], is_new=True)
            row = tx.row(FIND_BY_EMAIL, person_key=key)
            assert row is not None, "a user that conflicts is there"
        if is_verified and not row[2]:
            tx.run(VERIFY, user_id=row[0])
        return cls(row[0], row[1], has_second_factor=row[3])


def checked_email(text: str) -> str:
    """Return `text` without the spaces around it. Raises Invalid if it is no plain e-mail address."""
    address = text.strip()
    if not email_address.valid(address):
        raise Invalid("email", "must be an e-mail address")
    return address


def document(row: Row) -> dict[str, Any]:
    """Return a row of FIND as a dict for JSON (platform 4.1). Without a value gender, state and date of birth are null
    (P-27), language, banned and canonicalEmail are left out.
    """
    user_id, address, gender, language, created, state, is_banned, day, month, year, canonical = row
    data: dict[str, Any] = {"userId": user_id, "email": address, "gender": gender}
    if language:
        data["language"] = language
    data["created"] = json_fragments.format_time(created)
    data["state"] = state
    if is_banned:
        data["banned"] = True
    data |= {"dobDay": day, "dobMonth": month, "dobYear": year}
    if canonical:
        data["canonicalEmail"] = canonical
    data["meta"] = {"links": [{"rel": "self", "href": itemtypes.href(itemtypes.USER, user_id)}]}
    return data


def find_here(tx: Reader, site_id: int, profile_id: int) -> dict[str, Any] | None:
    """Return the user of a profile, as a dict for JSON with only what the site's owner may see: `userId` is the
    profile's id, and the address the person key (text/email_address.py). None if there is no such profile.
    """
    row = tx.row(FIND_HERE, site_id=site_id, profile_id=profile_id)
    if row is None:
        return None
    address, gender, created = row
    return document((profile_id, address, gender, None, created, *[None] * 6))


def find(tx: Reader, user_id: int) -> dict[str, Any] | None:
    """Return a user as a dict for JSON, as the user themselves sees it; None if there is none."""
    row = tx.row(FIND, user_id=user_id)
    return document(row) if row else None
