"""E-mail addresses that are off: mail to them came back. Kept as keyed hashes, across all sites.

Only mail about updates and digests minds: a code to sign in goes to whoever asks for it, and one that is used proves
that mail arrives again.
"""

from __future__ import annotations

import datetime
from typing import Final, NamedTuple

from forumapi.database.connections import Query, Reader, Transaction
from forumapi.models.access import platform_secret
from forumapi.text import email

# Why: a mail server refused the recipient; a report about a mail of ours came back.
REFUSED: Final = "refused"
REPORTED: Final = "reported"

MAX_DETAIL: Final = 300

# Without a secret nothing was ever hashed with it, and this is null.
_HASH: Final = """sha256((SELECT k.secret FROM platform_secrets k WHERE k.name = 'mail')
                           || convert_to({key}, 'UTF8'))"""
# SQL: the hash of the address of user `u`, and whether it is off.
HASH: Final = _HASH.format(key="u.person_key")
IS_OFF: Final = f"EXISTS (SELECT 1 FROM mail_suppressions x WHERE x.address_hash = {HASH})"


def hashed(key: str) -> str:
    """SQL: the hash of the address whose person key is the expression `key`."""
    return _HASH.format(key=key)


ADD = Query(
    "suppression.add",
    f"""
    INSERT INTO mail_suppressions (address_hash, reason, detail)
    VALUES ({_HASH.format(key="%(key)s::text")}, %(reason)s, %(detail)s)
        ON CONFLICT (address_hash) DO NOTHING""",
)

REMOVE = Query(
    "suppression.remove",
    f"DELETE FROM mail_suppressions x WHERE x.address_hash = {_HASH.format(key='%(key)s::text')}",
)

FIND = Query(
    "suppression.find",
    f"""
    SELECT x.reason, x.detail, x.created
      FROM mail_suppressions x
     WHERE x.address_hash = {_HASH.format(key="%(key)s::text")}""",
)


class Suppression(NamedTuple):
    """Why an address is off: `refused` or `reported`, what the mail server said, and since when."""

    reason: str
    detail: str
    created: datetime.datetime


def add(tx: Transaction, address: str, reason: str, detail: str) -> bool:
    """Turn an address off; whether it was on."""
    platform_secret.find(tx, platform_secret.MAIL)  # made if there is none
    words = " ".join(detail.replace("\0", "").split())[:MAX_DETAIL]
    return bool(tx.run(ADD, key=email.same_person_key(address), reason=reason, detail=words))


def remove(tx: Transaction, address: str) -> bool:
    """Turn an address on again; whether it was off."""
    return bool(tx.run(REMOVE, key=email.same_person_key(address)))


def find(tx: Reader, address: str) -> Suppression | None:
    """What is known of an address that is off, or None."""
    row = tx.row(FIND, key=email.same_person_key(address))
    return Suppression(*row) if row else None
