"""A profile's own options, and its preferences per kind of notification (platform 4.3, discovery 2)."""

from __future__ import annotations

from typing import Any, NamedTuple

from forumapi.db import Query, Reader, Transaction

FIND = Query(
    "update_options.find",
    """
    SELECT o.show_dob, o.show_dob_year, o.send_email, o.send_sms, o.is_discouraged
      FROM profile_options o
     WHERE o.site_id = %(site_id)s AND o.profile_id = %(profile_id)s""",
)

# Only what was sent changes (P-35); nobody changes is_discouraged here.
MERGE = Query(
    "update_options.merge",
    """
    INSERT INTO profile_options AS o (site_id, profile_id, show_dob, show_dob_year, send_email, send_sms)
    VALUES (%(site_id)s, %(profile_id)s, coalesce(%(show_dob)s::boolean, false),
            coalesce(%(show_dob_year)s::boolean, false), coalesce(%(send_email)s::boolean, true),
            coalesce(%(send_sms)s::boolean, false))
        ON CONFLICT (site_id, profile_id) DO UPDATE
       SET show_dob = coalesce(%(show_dob)s::boolean, o.show_dob),
           show_dob_year = coalesce(%(show_dob_year)s::boolean, o.show_dob_year),
           send_email = coalesce(%(send_email)s::boolean, o.send_email),
           send_sms = coalesce(%(send_sms)s::boolean, o.send_sms)""",
)


class Options(NamedTuple):
    """The options of a profile, with the platform's defaults."""

    show_dob: bool = False
    show_dob_year: bool = False
    send_email: bool = True
    send_sms: bool = False
    is_discouraged: bool = False


def find(tx: Reader, site_id: int, profile_id: int) -> Options:
    """The options of a profile."""
    row = tx.row(FIND, site_id=site_id, profile_id=profile_id)
    return Options(*row) if row else Options()


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
