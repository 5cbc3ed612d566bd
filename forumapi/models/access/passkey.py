"""Passkeys: public keys that sign a user in, each good for one domain."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from forumapi.database.connections import (
    Query,
    Reader,
    Row,
    Transaction,
)
from forumapi.errors import Invalid, NotFound
from forumapi.text import clean
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

CREDENTIALS = Query(
    "passkey.credentials",
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

RENAME = Query(
    "passkey.rename",
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

# The row stays locked until the sign-in is done: a counter is compared with what the last one left.
BY_CREDENTIAL = Query(
    "passkey.by_credential",
    """
    SELECT p.passkey_id, p.user_id, u.email, p.public_key, p.sign_count
      FROM passkeys p
      JOIN users u ON u.user_id = p.user_id
     WHERE p.credential_id = %(credential_id)s AND p.rp_id = %(rp_id)s
       FOR NO KEY UPDATE OF p""",
)

USED = Query(
    "passkey.used",
    """
    UPDATE passkeys p
       SET sign_count = %(sign_count)s, is_backed_up = %(is_backed_up)s, last_used = now()
     WHERE p.passkey_id = %(passkey_id)s""",
)


class Known(NamedTuple):
    """A passkey as signing in needs it."""

    id: int
    user_id: int
    email: str
    public_key: bytes
    sign_count: int


def checked_name(text: str) -> str:
    """A passkey's name as it is stored. Raises Invalid."""
    name = clean.sentence(text, quiet=False)
    if not name:
        raise Invalid("name", "must not be blank")
    if clean.length(name) > MAX_NAME or len(name) > MAX_NAME:
        raise Invalid("name", f"may have at most {MAX_NAME} characters")
    return name


def document(row: Row) -> dict[str, Any]:
    """A passkey for its owner."""
    id, name, rp_id, is_backed_up, created, last_used = row
    return {
        "id": id,
        "name": name,
        "domain": rp_id,
        "backedUp": is_backed_up,
        "created": json_fragments.when(created),
        "lastUsed": json_fragments.when(last_used) if last_used else None,
    }


def of_user(tx: Reader, user_id: int) -> list[dict[str, Any]]:
    """A user's passkeys, oldest first."""
    return [document(row) for row in tx.rows(OF_USER, user_id=user_id)]


def find(tx: Reader, user_id: int, id: int) -> dict[str, Any]:
    """One of a user's passkeys. Raises NotFound, also for somebody else's."""
    row = tx.row(FIND, passkey_id=id, user_id=user_id)
    if row is None:
        raise NotFound("There is no such passkey")
    return document(row)


def credentials(tx: Reader, user_id: int, rp_id: str) -> list[bytes]:
    """What authenticators call a user's passkeys for a domain."""
    return [bytes(row[0]) for row in tx.rows(CREDENTIALS, user_id=user_id, rp_id=rp_id)]


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
    """Keep a passkey; its id. The user's row must be locked. Raises Invalid for one that is known, or one too many."""
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


def rename(tx: Transaction, user_id: int, id: int, name: str) -> None:
    """Raises NotFound."""
    if not tx.value(RENAME, passkey_id=id, user_id=user_id, name=name):
        raise NotFound("There is no such passkey")


def delete(tx: Transaction, user_id: int, id: int) -> str:
    """Delete one of a user's passkeys; its name. Raises NotFound."""
    name = tx.value(DELETE, passkey_id=id, user_id=user_id)
    if name is None:
        raise NotFound("There is no such passkey")
    return str(name)


def lock(tx: Transaction, rp_id: str, credential_id: bytes) -> Known | None:
    """The passkey that an authenticator names, locked."""
    row = tx.row(BY_CREDENTIAL, rp_id=rp_id, credential_id=credential_id)
    return Known(row[0], row[1], row[2], bytes(row[3]), row[4]) if row else None


def used(tx: Transaction, id: int, sign_count: int, *, is_backed_up: bool) -> None:
    """Note a sign-in."""
    tx.run(USED, passkey_id=id, sign_count=sign_count, is_backed_up=is_backed_up)
