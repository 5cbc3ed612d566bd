"""Options of a profile, such as whether it gets mail (platform 4.3).

Values that the profile has not set are read from the site's and the platform's at the time of the request (N-01).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.journal.journal import Author

# Defaults of site `so` and platform `pl`.
DEFAULTS: Final = """platform_options pl
      LEFT JOIN site_options so ON so.site_id = %(site_id)s"""

FIND = Query(
    "profile_options.find",
    f"""
    SELECT coalesce(o.show_dob, false), coalesce(o.show_dob_year, false),
           coalesce(o.send_email, so.send_email, pl.send_email), coalesce(o.send_sms, so.send_sms, pl.send_sms),
           coalesce(o.is_discouraged, false)
      FROM {DEFAULTS}
      LEFT JOIN profile_options o ON o.site_id = %(site_id)s AND o.profile_id = %(profile_id)s""",
)

# Only values that were sent change (P-35); is_discouraged is not changed here.
UPDATE = Query(
    "profile_options.update",
    f"""
    INSERT INTO profile_options AS o (site_id, profile_id, show_dob, show_dob_year, send_email, send_sms)
    SELECT %(site_id)s, %(profile_id)s, coalesce(%(show_dob)s::boolean, false),
           coalesce(%(show_dob_year)s::boolean, false),
           coalesce(%(send_email)s::boolean, so.send_email, pl.send_email),
           coalesce(%(send_sms)s::boolean, so.send_sms, pl.send_sms)
      FROM {DEFAULTS}
        ON CONFLICT (site_id, profile_id) DO UPDATE
       SET show_dob = coalesce(%(show_dob)s::boolean, o.show_dob),
           show_dob_year = coalesce(%(show_dob_year)s::boolean, o.show_dob_year),
           send_email = coalesce(%(send_email)s::boolean, o.send_email),
           send_sms = coalesce(%(send_sms)s::boolean, o.send_sms)""",
)


class ProfileOptions(NamedTuple):
    """Options in force for a profile. `show_dob`, `show_dob_year` and `is_discouraged`: flags of v1, stored and shown,
    on which nothing depends; `send_email`, `send_sms`: the profile's own, else the site's, else the platform's.
    `send_email` False stops mail about updates of every type but statements of reasons and decisions on appeals; with
    True the preferences of the types and the watchers decide. No SMS is sent.
    """

    show_dob: bool
    show_dob_year: bool
    send_email: bool
    send_sms: bool
    is_discouraged: bool

    @classmethod
    def find(cls, tx: Reader, site_id: int, profile_id: int) -> ProfileOptions:
        """Return the options in force for a profile, which need not have set any."""
        row = tx.row(FIND, site_id=site_id, profile_id=profile_id)
        assert row is not None  # the platform has options
        return cls(*row)

    @staticmethod
    def update(
        tx: Transaction,
        author: Author,
        *,
        show_dob: bool | None,
        show_dob_year: bool | None,
        send_email: bool | None,
        send_sms: bool | None,
    ) -> None:
        """Store options of the author's profile, of which `show_dob` and `show_dob_year` are about the date of birth;
        None keeps the stored value. For a profile that has none stored yet, None stores the default that is in force.
        """
        tx.run(
            UPDATE,
            site_id=author.site_id,
            profile_id=author.profile_id,
            show_dob=show_dob,
            show_dob_year=show_dob_year,
            send_email=send_email,
            send_sms=send_sms,
        )

    def document(self, profile_id: int) -> dict[str, Any]:
        """Return the options as JSON members (platform 4.3). `profile_id`: id of the profile that has them."""
        return {
            "profileId": profile_id,
            "showDOB": self.show_dob,
            "showDOBYear": self.show_dob_year,
            "sendEmail": self.send_email,
            "sendSMS": self.send_sms,
            "isDiscouraged": self.is_discouraged,
        }
