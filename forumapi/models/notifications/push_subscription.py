"""Web push subscriptions: where browsers and apps of a person receive messages. Docs: docs/api/updates.md.

A subscription is of one profile and of the token that made it, and ends with either; whoever subscribes with the same
endpoint takes it over, as on a browser that two people use.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import Invalid
from forumapi.text import short_text_cleaning
from forumapi.wire import json_fragments

MOST_SUBSCRIPTIONS: Final = 10  # of one person on one site
MOST_ENDPOINT: Final = 2000

_COLUMNS: Final = "s.subscription_id, s.token_id, s.endpoint, s.created, s.last_sent, s.failing_since, t.user_agent"

FIND_ALL = Query(
    "push_subscription.find_all",
    f"""
    SELECT {_COLUMNS}
      FROM push_subscriptions s
      JOIN access_tokens t ON t.token_id = s.token_id AND t.expires > now()
                          AND (t.site_id IS NULL OR t.site_id = %(site_id)s)
     WHERE s.site_id = %(site_id)s AND s.profile_id = %(profile_id)s
     ORDER BY s.subscription_id""",
)

# The lock lets a person add one after another, so that the limit holds.
LOCK_PROFILE = Query(
    "push_subscription.lock_profile",
    """
    SELECT p.profile_id
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s
       FOR NO KEY UPDATE""",
)

COUNT = Query(
    "push_subscription.count",
    """
    SELECT count(*)
      FROM push_subscriptions s
     WHERE s.site_id = %(site_id)s AND s.profile_id = %(profile_id)s AND s.endpoint_hash <> %(hash)s""",
)

# Messages that wait are of the person who had it.
TAKE_OVER = Query(
    "push_subscription.take_over",
    """
    DELETE FROM push_subscriptions s
     WHERE s.site_id = %(site_id)s AND s.endpoint_hash = %(hash)s""",
)

INSERT = Query(
    "push_subscription.insert",
    """
    INSERT INTO push_subscriptions (site_id, profile_id, token_id, endpoint, endpoint_hash, public_key, auth_secret)
    VALUES (%(site_id)s, %(profile_id)s, %(token_id)s, %(endpoint)s, %(hash)s, %(public_key)s, %(auth_secret)s)
 RETURNING subscription_id""",
)

DELETE = Query(
    "push_subscription.delete",
    """
    DELETE FROM push_subscriptions s
     WHERE s.site_id = %(site_id)s AND s.profile_id = %(profile_id)s AND s.subscription_id = %(id)s""",
)


class PushSubscription(NamedTuple):
    """Subscription of a profile as its person sees it. `token_id`: the token that made it, and `user_agent` that
    token's; `last_sent` None: never; `failing_since`: time from which on all messages failed, None if the last one did
    not.
    """

    id: int
    token_id: int
    endpoint: str
    created: datetime.datetime
    last_sent: datetime.datetime | None
    failing_since: datetime.datetime | None
    user_agent: str

    @classmethod
    def find_all(cls, tx: Reader, site_id: int, profile_id: int) -> list[PushSubscription]:
        """Return the subscriptions of a profile whose tokens are still valid, oldest first."""
        rows = tx.rows(FIND_ALL, site_id=site_id, profile_id=profile_id)
        return [cls(*row) for row in rows]

    @staticmethod
    def insert(
        tx: Transaction,
        site_id: int,
        profile_id: int,
        token_id: int,
        *,
        endpoint: str,
        public_key: bytes,
        auth_secret: bytes,
    ) -> int:
        """Store a subscription of the profile, made with the token `token_id`, in place of any subscription on this
        site with its endpoint, whosever that is; return the new one's id. `public_key` and `auth_secret` are those of
        the browser (RFC 8291). Locks the profile's row.

        Raises Invalid for a profile that has MOST_SUBSCRIPTIONS others.
        """
        digest = hashlib.sha256(endpoint.encode()).digest()
        tx.row(LOCK_PROFILE, site_id=site_id, profile_id=profile_id)
        if (
            tx.value(COUNT, site_id=site_id, profile_id=profile_id, hash=digest)
            >= MOST_SUBSCRIPTIONS
        ):
            raise Invalid("", f"A person has at most {MOST_SUBSCRIPTIONS} subscriptions on a site")
        tx.run(TAKE_OVER, site_id=site_id, hash=digest)
        return int(
            tx.value(
                INSERT,
                site_id=site_id,
                profile_id=profile_id,
                token_id=token_id,
                endpoint=endpoint,
                hash=digest,
                public_key=public_key,
                auth_secret=auth_secret,
            )
        )

    @staticmethod
    def delete(tx: Transaction, site_id: int, profile_id: int, id: int) -> bool:
        """Delete a subscription of a profile with its waiting messages; return False if there is none."""
        return tx.run(DELETE, site_id=site_id, profile_id=profile_id, id=id) > 0

    def document(self, token_id: int) -> dict[str, Any]:
        """Return the subscription as JSON members. The endpoint is a secret: only its host is shown. `token_id`: id of
        the caller's token; a subscription that was made with it is marked as `current`.
        """
        return {
            "id": self.id,
            "host": urlsplit(self.endpoint).hostname or "",
            "userAgent": short_text_cleaning.sentence(self.user_agent, quiet=False),
            "current": self.token_id == token_id,
            "created": json_fragments.format_time(self.created),
            "lastSent": _when(self.last_sent),
            "failingSince": _when(self.failing_since),
        }


def _when(moment: datetime.datetime | None) -> str | None:
    return json_fragments.format_time(moment) if moment is not None else None
