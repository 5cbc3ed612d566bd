"""Suppressed e-mail addresses: mail to them bounced or was reported. Stored as keyed hashes, for all sites together.

Codes to sign in are sent all the same, since they are sent on request, and a code that is used proves that mail arrives
again. See Suppression for the mail that is not sent.
"""

from __future__ import annotations

import datetime
from typing import Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.access import platform_secret
from forumapi.text import email_address

# Reasons: a mail server refused the recipient; a delivery report said that a mail bounced.
REFUSED: Final = "refused"
REPORTED: Final = "reported"

MAX_DETAIL: Final = 300

# Null without a secret, when no address was hashed yet.
_HASH: Final = """sha256((SELECT k.secret FROM platform_secrets k WHERE k.name = 'mail')
                           || convert_to({key}, 'UTF8'))"""
# SQL: the hash of the address of user `u`, and the condition that it is suppressed.
HASH: Final = _HASH.format(key="u.person_key")
IS_OFF: Final = f"EXISTS (SELECT 1 FROM mail_suppressions x WHERE x.address_hash = {HASH})"


def hashed(key: str) -> str:
    """Return SQL for the keyed hash of an address, null while the platform has no secret for it; `key`: SQL expression
    of the address's same_person_key.
    """
    return _HASH.format(key=key)


INSERT = Query(
    "mail_suppression.insert",
    f"""
    INSERT INTO mail_suppressions (address_hash, reason, detail)
    VALUES ({_HASH.format(key="%(key)s::text")}, %(reason)s, %(detail)s)
        ON CONFLICT (address_hash) DO NOTHING""",
)

DELETE = Query(
    "mail_suppression.delete",
    f"DELETE FROM mail_suppressions x WHERE x.address_hash = {_HASH.format(key='%(key)s::text')}",
)

FIND = Query(
    "mail_suppression.find",
    f"""
    SELECT x.reason, x.detail, x.created
      FROM mail_suppressions x
     WHERE x.address_hash = {_HASH.format(key="%(key)s::text")}""",
)


class Suppression(NamedTuple):
    """Suppression of an address, to which no mail about updates, no digest, no invitation and no request to confirm a
    guest's report is sent, but codes for signing in are; it holds for all spellings that are one person's
    (same_person_key). `reason`: REFUSED if the mail server refused the recipient at once, REPORTED if a bounce came
    later; `detail`: the mail server's words; `created`: time of the suppression.
    """

    reason: str
    detail: str
    created: datetime.datetime

    @classmethod
    def find(cls, tx: Reader, address: str) -> Suppression | None:
        """Return the suppression of an address, or of another spelling of it that is the same person's
        (same_person_key); None if there is none.
        """
        row = tx.row(FIND, key=email_address.same_person_key(address))
        return cls(*row) if row else None

    @staticmethod
    def insert(tx: Transaction, address: str, reason: str, detail: str) -> bool:
        """Suppress an address, with reason and detail as in this class, the detail cut to MAX_DETAIL characters; return
        False, and change nothing, if the address is suppressed already.
        """
        platform_secret.find(tx, platform_secret.MAIL)  # made if there is none
        words = " ".join(detail.replace("\0", "").split())[:MAX_DETAIL]
        return bool(
            tx.run(INSERT, key=email_address.same_person_key(address), reason=reason, detail=words)
        )

    @staticmethod
    def delete(tx: Transaction, address: str) -> bool:
        """Delete the suppression of an address, so that all mail is sent there again; return False if there is none."""
        return bool(tx.run(DELETE, key=email_address.same_person_key(address)))
