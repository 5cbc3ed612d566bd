"""Passkeys: public keys that sign a user in, each good for one domain."""

from __future__ import annotations

import datetime
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import Invalid, NotFound
from forumapi.text import short_text_cleaning
from forumapi.wire import json_fragments

MAX: Final = 20  # of one person
MAX_NAME: Final = 100

_COLUMNS: Final = "p.passkey_id, p.name, p.rp_id, p.is_backed_up, p.created, p.last_used"

OF_USER = Query(
    "passkey.of_user",
    f"SELECT {_COLUMNS} FROM passkeys p WHERE p.user_id = %(user_id)s ORDER BY p.passkey_id",
)

FIND = Query(
    "passkey.find",
    f"SELECT {_COLUMNS} FROM passkeys p WHERE p.passkey_id = %(passkey_id)s AND p.user_id = %(user_id)s",
)

CREDENTIAL_IDS = Query(
    "passkey.credential_ids",
    "SELECT p.credential_id FROM passkeys p WHERE p.user_id = %(user_id)s AND p.rp_id = %(rp_id)s",
)

INSERT = Query(
    "passkey.insert",
    """
    INSERT INTO passkeys (user_id, credential_id, rp_id, public_key, sign_count, name, is_backed_up)
    VALUES (%(user_id)s, %(credential_id)s, %(rp_id)s, %(public_key)s, %(sign_count)s, %(name)s, %(is_backed_up)s)
        ON CONFLICT (credential_id) DO NOTHING
 RETURNING passkey_id""",
)

UPDATE = Query(
    "passkey.update",
    """
    UPDATE passkeys p
       SET name = %(name)s
     WHERE p.passkey_id = %(passkey_id)s AND p.user_id = %(user_id)s
 RETURNING true""",
)

DELETE = Query(
    "passkey.delete",
    "DELETE FROM passkeys p WHERE p.passkey_id = %(passkey_id)s AND p.user_id = %(user_id)s RETURNING p.name",
)

# The row stays locked until the sign-in is done: its counter is compared with that of the last sign-in.
LOCK = Query(
    "passkey.lock",
    """
    SELECT p.passkey_id, p.user_id, u.email, p.public_key, p.sign_count
      FROM passkeys p
      JOIN users u ON u.user_id = p.user_id
     WHERE p.credential_id = %(credential_id)s AND p.rp_id = %(rp_id)s
       FOR NO KEY UPDATE OF p""",
)

MARK_USED = Query(
    "passkey.mark_used",
    """
    UPDATE passkeys p
       SET sign_count = %(sign_count)s, is_backed_up = %(is_backed_up)s, last_used = now()
     WHERE p.passkey_id = %(passkey_id)s""",
)


class Passkey(NamedTuple):
    """Passkey of a user. `name`: HTML-escaped; `domain`: the WebAuthn relying party id that it is good for;
    `is_backed_up`: at its last use, or at its registration, the authenticator said that it is stored elsewhere too;
    `last_used` None: never.
    """

    id: int
    name: str
    domain: str
    is_backed_up: bool
    created: datetime.datetime
    last_used: datetime.datetime | None

    @classmethod
    def of_user(cls, tx: Reader, user_id: int) -> list[Passkey]:
        """Return a user's passkeys, oldest first."""
        return [cls(*row) for row in tx.rows(OF_USER, user_id=user_id)]

    @classmethod
    def find(cls, tx: Reader, user_id: int, passkey_id: int) -> Passkey:
        """Return the passkey with this id of the user. Raises NotFound if there is none or it is another user's."""
        row = tx.row(FIND, passkey_id=passkey_id, user_id=user_id)
        if row is None:
            raise NotFound("There is no such passkey")
        return cls(*row)

    @staticmethod
    def insert(
        tx: Transaction,
        user_id: int,
        rp_id: str,
        name: str,
        *,
        credential_id: bytes,
        public_key: bytes,
        sign_count: int,
        is_backed_up: bool,
    ) -> int:
        """Store a passkey of a user, whose row is locked by the caller; return its id. `rp_id`: the domain that the
        passkey is good for; `name`: as `checked_name` returned it; the other values are those of the authenticator's
        answer.

        Raises Invalid if a passkey with this credential is registered already, and for a user who has MAX passkeys.
        """
        if len(tx.rows(OF_USER, user_id=user_id)) >= MAX:
            raise Invalid("", f"You may have at most {MAX} passkeys")
        id = tx.value(
            INSERT,
            user_id=user_id,
            rp_id=rp_id,
            name=name,
            credential_id=credential_id,
            public_key=public_key,
            sign_count=sign_count,
            is_backed_up=is_backed_up,
        )
        if id is None:
            raise Invalid("credential", "is registered already")
        return int(id)

    def update(self, tx: Transaction, user_id: int, name: str) -> None:
        """Rename the user's passkey to `name`, a result of `checked_name`. Raises NotFound if it is gone or another
        user's.
        """
        if not tx.value(UPDATE, passkey_id=self.id, user_id=user_id, name=name):
            raise NotFound("There is no such passkey")

    @staticmethod
    def delete(tx: Transaction, user_id: int, passkey_id: int) -> str:
        """Delete the passkey with this id of the user; return its name. Raises NotFound if there is none or it is
        another user's.
        """
        name = tx.value(DELETE, passkey_id=passkey_id, user_id=user_id)
        if name is None:
            raise NotFound("There is no such passkey")
        return str(name)

    def document(self) -> dict[str, Any]:
        """Return the passkey as JSON members for its owner."""
        return {
            "id": self.id,
            "name": self.name,
            "domain": self.domain,
            "backedUp": self.is_backed_up,
            "created": json_fragments.format_time(self.created),
            "lastUsed": json_fragments.format_time(self.last_used) if self.last_used else None,
        }


class PasskeyCredential(NamedTuple):
    """Credential of a passkey, as the verification of a sign-in needs it, with its user's id and e-mail address. `id`:
    the passkey's; `public_key`: as the authenticator sent it at registration; `sign_count`: its counter at the last
    use.
    """

    id: int
    user_id: int
    email: str
    public_key: bytes
    sign_count: int

    @classmethod
    def lock(cls, tx: Transaction, rp_id: str, credential_id: bytes) -> PasskeyCredential | None:
        """Lock the row of the credential with the id `credential_id` for the domain `rp_id` and return it; None if it
        is unknown.
        """
        row = tx.row(LOCK, rp_id=rp_id, credential_id=credential_id)
        return cls(row[0], row[1], row[2], bytes(row[3]), row[4]) if row else None

    def mark_used(self, tx: Transaction, sign_count: int, *, is_backed_up: bool) -> None:
        """Store that the passkey signed its user in now, with the counter and `is_backed_up` that the authenticator
        sent.
        """
        tx.run(MARK_USED, passkey_id=self.id, sign_count=sign_count, is_backed_up=is_backed_up)


def credential_ids(tx: Reader, user_id: int, rp_id: str) -> list[bytes]:
    """Return the ids by which authenticators know a user's passkeys for the domain `rp_id`, in any order; [] if the
    user has none.
    """
    return [bytes(row[0]) for row in tx.rows(CREDENTIAL_IDS, user_id=user_id, rp_id=rp_id)]


def checked_name(text: str) -> str:
    """Return `text` as the name of a passkey: trimmed, without tags, line breaks and unprintable characters, and
    HTML-escaped. Raises Invalid if that is empty, or has, with its escapes, more than MAX_NAME characters.
    """
    name = short_text_cleaning.sentence(text, quiet=False)
    if not name:
        raise Invalid("name", "must not be blank")
    if short_text_cleaning.length(name) > MAX_NAME or len(name) > MAX_NAME:
        raise Invalid("name", f"may have at most {MAX_NAME} characters")
    return name
