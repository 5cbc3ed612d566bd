"""A profile's own options, and its preferences per type of update (platform 4.3, discovery 3).

What nobody has chosen is worked out when it is read, from what the site and the platform say then (N-01).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Query, Reader, Transaction

# What site `so` and platform `pl` say for those who have not chosen.
_DEFAULTS: Final = """platform_options pl
      LEFT JOIN site_options so ON so.site_id = %(site_id)s"""

FIND = Query(
    "update_options.find",
    f"""
    SELECT coalesce(o.show_dob, false), coalesce(o.show_dob_year, false),
           coalesce(o.send_email, so.send_email, pl.send_email), coalesce(o.send_sms, so.send_sms, pl.send_sms),
           coalesce(o.is_discouraged, false)
      FROM {_DEFAULTS}
      LEFT JOIN profile_options o ON o.site_id = %(site_id)s AND o.profile_id = %(profile_id)s""",
)

# Only what was sent changes (P-35); nobody changes is_discouraged here.
MERGE = Query(
    "update_options.merge",
    f"""
    INSERT INTO profile_options AS o (site_id, profile_id, show_dob, show_dob_year, send_email, send_sms)
    SELECT %(site_id)s, %(profile_id)s, coalesce(%(show_dob)s::boolean, false),
           coalesce(%(show_dob_year)s::boolean, false),
           coalesce(%(send_email)s::boolean, so.send_email, pl.send_email),
           coalesce(%(send_sms)s::boolean, so.send_sms, pl.send_sms)
      FROM {_DEFAULTS}
        ON CONFLICT (site_id, profile_id) DO UPDATE
       SET show_dob = coalesce(%(show_dob)s::boolean, o.show_dob),
           show_dob_year = coalesce(%(show_dob_year)s::boolean, o.show_dob_year),
           send_email = coalesce(%(send_email)s::boolean, o.send_email),
           send_sms = coalesce(%(send_sms)s::boolean, o.send_sms)""",
)


# A type's preference (discovery 3.3): the profile's own, else what its options allow and the type wants by default.
_PREFERENCES: Final = f"""
    SELECT t.update_type_id, t.description,
           coalesce(o.send_email, coalesce(po.send_email, so.send_email, pl.send_email) AND t.send_email) AS send_email,
           coalesce(o.send_sms, coalesce(po.send_sms, so.send_sms, pl.send_sms) AND t.send_sms) AS send_sms
      FROM {_DEFAULTS}
     CROSS JOIN update_types t
      LEFT JOIN profile_options po ON po.site_id = %(site_id)s AND po.profile_id = %(profile_id)s
      LEFT JOIN update_options o ON o.site_id = %(site_id)s AND o.profile_id = %(profile_id)s
                                AND o.update_type_id = t.update_type_id"""

PREFERENCES = Query(
    "update_options.preferences",
    f"""{_PREFERENCES}
     WHERE %(type)s::smallint IS NULL OR t.update_type_id = %(type)s::smallint
     ORDER BY t.update_type_id""",
)

# What is not sent stays as it was, a default included.
PREFER = Query(
    "update_options.prefer",
    f"""
    INSERT INTO update_options AS n (site_id, profile_id, update_type_id, send_email, send_sms)
    SELECT %(site_id)s, %(profile_id)s, p.update_type_id, coalesce(%(send_email)s::boolean, p.send_email),
           coalesce(%(send_sms)s::boolean, p.send_sms)
      FROM ({_PREFERENCES}
             WHERE t.update_type_id = %(type)s) p
        ON CONFLICT (site_id, profile_id, update_type_id) DO UPDATE
       SET send_email = coalesce(%(send_email)s::boolean, n.send_email),
           send_sms = coalesce(%(send_sms)s::boolean, n.send_sms)""",
)


class Options(NamedTuple):
    """The options of a profile."""

    show_dob: bool
    show_dob_year: bool
    send_email: bool
    send_sms: bool
    is_discouraged: bool


class Preference(NamedTuple):
    """Whether a profile wants mail about a type of update."""

    type: int
    description: str
    send_email: bool
    send_sms: bool


def find(tx: Reader, site_id: int, profile_id: int) -> Options:
    """The options of a profile."""
    row = tx.row(FIND, site_id=site_id, profile_id=profile_id)
    assert row is not None  # the platform has options
    return Options(*row)


def document(profile_id: int, options: Options) -> dict[str, Any]:
    """The options object of platform 4.3."""
    return {
        "profileId": profile_id,
        "showDOB": options.show_dob,
        "showDOBYear": options.show_dob_year,
        "sendEmail": options.send_email,
        "sendSMS": options.send_sms,
        "isDiscouraged": options.is_discouraged,
    }


def merge(
    tx: Transaction,
    site_id: int,
    profile_id: int,
    *,
    show_dob: bool | None,
    show_dob_year: bool | None,
    send_email: bool | None,
    send_sms: bool | None,
) -> None:
    """Store what is not None and keep the rest."""
    tx.run(
        MERGE,
        site_id=site_id,
        profile_id=profile_id,
        show_dob=show_dob,
        show_dob_year=show_dob_year,
        send_email=send_email,
        send_sms=send_sms,
    )


# ---------------------------------------------------------------- preferences


def preferences(tx: Reader, site_id: int, profile_id: int) -> Sequence[Preference]:
    """The preferences of a profile, one for each type of update, by its number."""
    rows = tx.rows(PREFERENCES, site_id=site_id, profile_id=profile_id, type=None)
    return [Preference(*row) for row in rows]


def preference(tx: Reader, site_id: int, profile_id: int, type: int) -> Preference | None:
    """The preference of a profile for one type of update; None if there is no such type."""
    row = tx.row(PREFERENCES, site_id=site_id, profile_id=profile_id, type=type)
    return Preference(*row) if row else None


def prefer(
    tx: Transaction,
    site_id: int,
    profile_id: int,
    type: int,
    *,
    send_email: bool | None,
    send_sms: bool | None,
) -> bool:
    """Store what is not None; False if there is no such type."""
    changed = tx.run(
        PREFER,
        site_id=site_id,
        profile_id=profile_id,
        type=type,
        send_email=send_email,
        send_sms=send_sms,
    )
    return changed > 0


def preference_document(profile_id: int, one: Preference) -> dict[str, Any]:
    """A preference on the wire (discovery 3.2)."""
    return {
        "profileId": profile_id,
        "id": one.type,
        "description": one.description,
        "sendEmail": one.send_email,
        "sendSMS": one.send_sms,
        "meta": {},
    }
