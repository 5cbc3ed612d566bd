"""Preferences of a profile for each type of update (discovery 3).

Values that the profile has not set are read from the site's and the platform's at the time of the request (N-01).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.journal.journal import Author
from forumapi.models.notifications import update_types
from forumapi.models.people.profile_options import DEFAULTS

# A type's preference (discovery 3.3): the profile's own, else what its options allow and the type wants by default.
_PREFERENCES: Final = f"""
    SELECT t.update_type_id, t.description,
           coalesce(o.send_email, coalesce(po.send_email, so.send_email, pl.send_email) AND t.send_email) AS send_email,
           coalesce(o.send_sms, coalesce(po.send_sms, so.send_sms, pl.send_sms) AND t.send_sms) AS send_sms,
           coalesce(o.send_push, t.send_push) AS send_push
      FROM {DEFAULTS}
      JOIN update_types t ON t.update_type_id <> ALL(ARRAY{sorted(update_types.DECISIONS)}::smallint[])
      LEFT JOIN profile_options po ON po.site_id = %(site_id)s AND po.profile_id = %(profile_id)s
      LEFT JOIN update_options o ON o.site_id = %(site_id)s AND o.profile_id = %(profile_id)s
                                AND o.update_type_id = t.update_type_id"""

FIND_PREFERENCES = Query(
    "update_options.find_preferences",
    f"""{_PREFERENCES}
     WHERE %(type)s::smallint IS NULL OR t.update_type_id = %(type)s::smallint
     ORDER BY t.update_type_id""",
)

# A value that is not sent stays as it was, a default included.
UPDATE_PREFERENCE = Query(
    "update_options.update_preference",
    f"""
    INSERT INTO update_options AS n (site_id, profile_id, update_type_id, send_email, send_sms, send_push)
    SELECT %(site_id)s, %(profile_id)s, p.update_type_id, coalesce(%(send_email)s::boolean, p.send_email),
           coalesce(%(send_sms)s::boolean, p.send_sms), %(send_push)s::boolean
      FROM ({_PREFERENCES}
             WHERE t.update_type_id = %(type)s) p
        ON CONFLICT (site_id, profile_id, update_type_id) DO UPDATE
       SET send_email = coalesce(%(send_email)s::boolean, n.send_email),
           send_sms = coalesce(%(send_sms)s::boolean, n.send_sms),
           send_push = coalesce(%(send_push)s::boolean, n.send_push)""",
)


class UpdatePreference(NamedTuple):
    """Preference of a profile for a type of update: the ways by which it is notified, its own or the defaults. For a
    type not in update_types.PREFERRED, `send_email` and `send_sms` are those that a new watcher begins with. `type`:
    the type's number.
    """

    type: int
    description: str
    send_email: bool
    send_sms: bool
    send_push: bool

    @classmethod
    def find_all(cls, tx: Reader, site_id: int, profile_id: int) -> list[UpdatePreference]:
        """Return the preferences of a profile, one for each type of update but those about decisions, ordered by the
        type's number.
        """
        rows = tx.rows(FIND_PREFERENCES, site_id=site_id, profile_id=profile_id, type=None)
        return [cls(*row) for row in rows]

    @classmethod
    def find(cls, tx: Reader, site_id: int, profile_id: int, type: int) -> UpdatePreference | None:
        """Return the preference of a profile for one type of update; None if there is no such type, or the type is
        about decisions.
        """
        row = tx.row(FIND_PREFERENCES, site_id=site_id, profile_id=profile_id, type=type)
        return cls(*row) if row else None

    @staticmethod
    def update(
        tx: Transaction,
        author: Author,
        type: int,
        *,
        send_email: bool | None,
        send_sms: bool | None,
        send_push: bool | None,
    ) -> bool:
        """Set the preference of the author's profile for a type of update; None keeps a flag. For a type without a
        stored preference, None stores the `send_email` or `send_sms` that is in force, and leaves `send_push` to the
        default. Return False if there is no such type, or the type is about decisions.
        """
        changed = tx.run(
            UPDATE_PREFERENCE,
            site_id=author.site_id,
            profile_id=author.profile_id,
            type=type,
            send_email=send_email,
            send_sms=send_sms,
            send_push=send_push,
        )
        return changed > 0

    def document(self, profile_id: int) -> dict[str, Any]:
        """Return the preference as JSON members (discovery 3.2). `profile_id`: id of the profile that has it."""
        return {
            "profileId": profile_id,
            "id": self.type,
            "description": self.description,
            "sendEmail": self.send_email,
            "sendSMS": self.send_sms,
            "sendPush": self.send_push,
            "meta": {},
        }
