"""Digest settings of profiles: how often, in which time zone, and when the next digest is due."""

from __future__ import annotations

import datetime
from typing import Final, NamedTuple

from psycopg import errors as pgerrors

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import Invalid
from forumapi.models.content import event
from forumapi.models.notifications import mail_suppression
from forumapi.models.notifications.mail_suppression import Suppression

NONE: Final = "none"
FREQUENCIES: Final = (NONE, "daily", "weekly")


# First 07:00 after a time, of any day or of a Monday, in the reader's zone, correct across clock changes. By the
# database's clock; tests pass a time.
NOW: Final = "coalesce(%(now)s::timestamptz, now())"
_LOCAL: Final = f"({NOW} AT TIME ZONE {{zone}})"
_NEXT: Final = f"""
           ((date_trunc({{unit}}, {_LOCAL}) + interval '7 hours'
             + CASE WHEN {_LOCAL} >= date_trunc({{unit}}, {_LOCAL}) + interval '7 hours' THEN {{step}}
                    ELSE interval '0' END) AT TIME ZONE {{zone}})"""


def next_due(frequency: str, zone: str) -> str:
    """Return SQL for the time of the next digest, 7 o'clock each day or each Monday, after the time of the SQL
    expression NOW. `frequency` and `zone`: SQL for the profile's digest, daily or weekly, and for the name of its time
    zone.
    """
    unit = f"CASE {frequency} WHEN 'weekly' THEN 'week' ELSE 'day' END"
    step = f"CASE {frequency} WHEN 'weekly' THEN interval '7 days' ELSE interval '1 day' END"
    return _NEXT.format(zone=zone, unit=unit, step=step)


FIND = Query(
    "digest_settings.find",
    f"""
    SELECT coalesce(o.digest, 'none'), coalesce(o.time_zone, 'UTC'), o.digest_due, u.email, x.reason, x.detail,
           x.created
      FROM profiles p
      JOIN users u ON u.user_id = p.user_id
      LEFT JOIN profile_options o ON o.site_id = p.site_id AND o.profile_id = p.profile_id
      LEFT JOIN mail_suppressions x ON x.address_hash = {mail_suppression.HASH}
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s""",
)

CHOOSE = Query(
    "digest_settings.choose",
    f"""
    INSERT INTO profile_options AS o (site_id, profile_id, send_email, send_sms, digest, time_zone, digest_due)
    SELECT %(site_id)s, %(profile_id)s, coalesce(so.send_email, pl.send_email), coalesce(so.send_sms, pl.send_sms),
           %(digest)s, %(zone)s,
           CASE WHEN %(digest)s::text <> 'none' THEN {next_due("%(digest)s::text", "%(zone)s::text")} END
      FROM platform_options pl
      LEFT JOIN site_options so ON so.site_id = %(site_id)s
        ON CONFLICT (site_id, profile_id) DO UPDATE
       SET digest = EXCLUDED.digest, time_zone = EXCLUDED.time_zone, digest_due = EXCLUDED.digest_due""",
)


class DigestSettings(NamedTuple):
    """Digest settings of one profile. `digest`: none, daily or weekly; `time_zone`: its name, such as Europe/Berlin;
    `due`: time of the next digest, None if there is none.

    `bounce`: why the address `email`, the profile's, gets no mail; None if mail is sent to it.
    """

    digest: str
    time_zone: str
    due: datetime.datetime | None
    email: str
    bounce: Suppression | None


def find(tx: Reader, site_id: int, profile_id: int) -> DigestSettings:
    """Return the digest settings of a profile, which must exist; those that are not stored are the defaults: none, and
    UTC.
    """
    row = tx.row(FIND, site_id=site_id, profile_id=profile_id)
    assert row is not None, "profiles ask for their own"
    bounce = Suppression(*row[4:]) if row[4] else None
    return DigestSettings._make((*row[:4], bounce))


def choose(
    tx: Transaction,
    site_id: int,
    profile_id: int,
    digest: str,
    time_zone: str,
    now: datetime.datetime | None = None,
) -> None:
    """Set a profile's digest (`daily`, `weekly` or `none`) and time zone (by name), and thereby the time of the next
    digest. Raises Invalid for another digest or an unknown time zone. `now`: for tests; None: the database's time.
    """
    if digest not in FREQUENCIES:
        raise Invalid("digest", f"must be one of: {', '.join(FREQUENCIES)}")
    if time_zone not in event.zones():
        raise Invalid("timeZone", "must be the name of a time zone, such as Europe/Berlin")
    try:
        tx.run(
            CHOOSE, site_id=site_id, profile_id=profile_id, digest=digest, zone=time_zone, now=now
        )
    except pgerrors.InvalidParameterValue:
        raise Invalid("timeZone", "is not known to the database") from None
