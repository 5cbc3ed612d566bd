"""Bots: profiles of programs. A bot has an owner, the profile that made it, one key and no address, so that nobody
signs in as it. Once it is removed its profile stays, with what it wrote, marked as a bot's and without an owner.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import Conflict
from forumapi.models.access.access_token import DAY_S, KEY, AccessToken
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.people.profile import Profile
from forumapi.wire import json_fragments

MOST_BOTS: Final = 5  # of one person on one site
# Comments that a bot may write a minute, moderator or not, where the installation's limit for people is not lower.
COMMENTS_A_MINUTE: Final = 10
# What a key of a bot may allow. Bots vote in no poll, attend nothing, and are in no huddle.
SCOPES: Final = frozenset(
    (
        "comments:read",
        "comments:write",
        "conversations:read",
        "conversations:write",
        "events:read",
        "files:write",
        "live:read",
        "microcosms:read",
        "permission:read",
        "polls:read",
        "profile:read",
        "profiles:read",
        "search:read",
        "sites:read",
        "updates:read",
        "updates:write",
        "watchers:read",
        "watchers:write",
    )
)

_KEY: Final = """
      LEFT JOIN LATERAL (
            SELECT t.token_prefix, t.scopes, t.expires, t.last_used
              FROM access_tokens t
             WHERE t.user_id = p.user_id AND t.site_id = p.site_id AND t.kind = 'key' AND t.expires > now()
             ORDER BY t.token_id DESC LIMIT 1) k ON true"""
_COLUMNS: Final = (
    "p.profile_id, p.profile_name, p.created, k.token_prefix, k.scopes, k.expires, k.last_used"
)

OWN = Query(
    "bot.own",
    f"""
    SELECT {_COLUMNS}
      FROM profiles p {_KEY}
     WHERE p.site_id = %(site_id)s AND p.bot_owner_id = %(me)s
     ORDER BY p.profile_id""",
)

FIND = Query(
    "bot.find",
    f"""
    SELECT {_COLUMNS}
      FROM profiles p {_KEY}
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(id)s AND p.bot_owner_id = %(me)s""",
)

# One person makes one bot after another, so that the limit holds.
LOCK_OWNER = Query(
    "bot.lock_owner",
    """
    SELECT p.profile_id
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(me)s
       FOR NO KEY UPDATE""",
)
COUNT = Query(
    "bot.count",
    "SELECT count(*) FROM profiles p WHERE p.site_id = %(site_id)s AND p.bot_owner_id = %(me)s",
)

INSERT_USER = Query(
    "bot.insert_user",
    """
    INSERT INTO users (email, canonical_email, person_key)
    VALUES ('', '', %(key)s)
 RETURNING user_id""",
)

MARK = Query(
    "bot.mark",
    """
    UPDATE profiles p
       SET is_bot = true, bot_owner_id = %(me)s, version = p.version + 1
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(id)s
 RETURNING p.version""",
)

LOCK = Query(
    "bot.lock",
    """
    SELECT p.user_id
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(id)s
       AND (p.bot_owner_id = %(me)s OR %(any_owner)s AND p.bot_owner_id IS NOT NULL)
       FOR NO KEY UPDATE""",
)

END_KEYS = Query(
    "bot.end_keys",
    "DELETE FROM access_tokens t WHERE t.site_id = %(site_id)s AND t.user_id = %(user_id)s",
)

REMOVE = Query(
    "bot.remove",
    """
    UPDATE profiles p
       SET bot_owner_id = NULL, version = p.version + 1
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(id)s
 RETURNING p.version""",
)


class Bot(NamedTuple):
    """Bot as its owner sees it. `name`: HTML-escaped; `prefix`: the first characters of its key's secret, None if it
    has no key or the key has expired, and then `scopes`, `expires` and `last_used` are None too; `last_used` None
    beside a `prefix`: never.
    """

    id: int
    name: str
    created: datetime.datetime
    prefix: str | None
    scopes: list[str] | None
    expires: datetime.datetime | None
    last_used: datetime.datetime | None

    @classmethod
    def find_own(cls, tx: Reader, site_id: int, me: int) -> list[Bot]:
        """Return the bots of the profile `me`, oldest first."""
        return [cls(*row) for row in tx.rows(OWN, site_id=site_id, me=me)]

    @classmethod
    def find(cls, tx: Reader, site_id: int, me: int, id: int) -> Bot | None:
        """Return the bot with the id `id`; None unless it is one of the profile `me`."""
        row = tx.row(FIND, site_id=site_id, me=me, id=id)
        return cls(*row) if row else None

    @staticmethod
    def insert(
        tx: Transaction, author: Author, name: str, scopes: Sequence[str], days: int
    ) -> tuple[int, str]:
        """Make a bot of the author's profile with a key of `scopes` for `days`; return its id and the key's secret.
        `name`: a result of profile.checked_name, changed as by Profile.insert if it is taken. Raises Conflict if the
        author has MOST_BOTS bots, Unavailable as Profile.insert does.
        """
        site_id, me = author[:2]
        tx.row(LOCK_OWNER, site_id=site_id, me=me)
        if tx.value(COUNT, site_id=site_id, me=me) >= MOST_BOTS:
            raise Conflict(f"You have {MOST_BOTS} bots already; remove one first")
        user_id = int(tx.value(INSERT_USER, key=f"bot:{secrets.token_hex(16)}"))
        id = Profile.insert(tx, site_id, user_id, name, is_recorded=False)
        version = tx.value(MARK, site_id=site_id, me=me, id=id)
        journal.record(tx, author, journal.CREATED, itemtypes.PROFILE, id, version=version)
        return id, _new_key(tx, author, user_id, scopes, days)

    @staticmethod
    def renew_key(
        tx: Transaction, author: Author, id: int, scopes: Sequence[str], days: int
    ) -> str | None:
        """End the key of the author's bot `id`, if it has one, and make another one of `scopes` for `days`; return its
        secret, None if the author has no such bot.
        """
        user_id = tx.value(
            LOCK, site_id=author.site_id, me=author.profile_id, id=id, any_owner=False
        )
        if user_id is None:
            return None
        tx.run(END_KEYS, site_id=author.site_id, user_id=user_id)
        journal.record(tx, author, journal.REPLACED, itemtypes.AUTH, id)
        return _new_key(tx, author, user_id, scopes, days)

    @staticmethod
    def end_key(tx: Transaction, author: Author, id: int) -> bool:
        """End the key of the author's bot `id`, if it has one; return False only if the author has no such bot."""
        user_id = tx.value(
            LOCK, site_id=author.site_id, me=author.profile_id, id=id, any_owner=False
        )
        if user_id is None:
            return False
        tx.run(END_KEYS, site_id=author.site_id, user_id=user_id)
        journal.record(tx, author, journal.DELETED, itemtypes.AUTH, id)
        return True

    @staticmethod
    def remove(tx: Transaction, author: Author, id: int, *, is_site_owner: bool) -> bool:
        """End the key of the author's bot `id`, or with `is_site_owner` of anybody's, and leave the bot's profile
        without an owner; return False, and change nothing, if no bot has that id or, without `is_site_owner`, it is not
        the author's.
        """
        key = {"site_id": author.site_id, "id": id}
        user_id = tx.value(LOCK, me=author.profile_id, any_owner=is_site_owner, **key)
        if user_id is None:
            return False
        tx.run(END_KEYS, site_id=author.site_id, user_id=user_id)
        version = tx.value(REMOVE, **key)
        journal.record(tx, author, journal.PATCHED, itemtypes.PROFILE, id, version=version)
        return True

    def document(self, secret: str = "") -> dict[str, Any]:
        """Return the bot as JSON members for its owner. `secret`: the one of a key just made; "" leaves it out."""
        data: dict[str, Any] = {"id": self.id, "profileName": self.name}
        if secret:
            data["secret"] = secret
        time = json_fragments.format_time
        return data | {
            "prefix": self.prefix or "",
            "scopes": self.scopes or [],
            "created": time(self.created),
            "expires": time(self.expires) if self.expires else None,
            "lastUsed": time(self.last_used) if self.last_used else None,
            "meta": {
                "links": [
                    {"rel": "self", "href": f"/api/v1/bots/{self.id}"},
                    {"rel": "profile", "href": itemtypes.href(itemtypes.PROFILE, self.id)},
                ]
            },
        }


def _new_key(
    tx: Transaction, author: Author, user_id: int, scopes: Sequence[str], days: int
) -> str:
    return AccessToken.insert(
        tx,
        user_id,
        kind=KEY,
        life_s=days * DAY_S,
        name="Bot",
        site_id=author.site_id,
        scopes=scopes,
        ip=author.ip,
    ).secret
