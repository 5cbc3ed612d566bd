"""Hashes and signatures of the audit's chain (docs/operations.md, "Audit").

An entry's hash covers its row, the hash of the entry before it, and a salted hash of the values that are erased one
day. Heads of the chain, and the checkpoints that retention leaves, are signed (Ed25519) by a key that the database does
not hold.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

# What a signature is about; one cannot stand for the other.
HEAD: Final = "head"
BASE: Final = "base"

SIGNED: Final = "S"  # action of an entry that ends a signed part of the chain
ERASED: Final = "X"  # action of an entry after which the details of a profile's entries are erased

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)
NO_DETAIL: Final = b""


class ChainEntry(NamedTuple):
    """Entry of the chain, without its hash. `number`: its place in the chain, from 1; `event_number`: that of its event
    in the site's sequence; `audit_id`: id of its row in `audit_log`; `action`: a letter, SIGNED or a key of
    audit_page.ACTIONS; `actor_id` and `subject_id`: profiles that acted and that the action concerned; `detail_hash`:
    result of the function `detail_hash`, or NO_DETAIL; `is_private`: no list for the site's owner has the entry. Ids,
    types and `event_number` are 0 for none.
    """

    site_id: int
    number: int
    event_number: int
    audit_id: int
    created: datetime.datetime
    action: str
    item_type: int
    item_id: int
    parent_type: int
    parent_id: int
    actor_id: int
    subject_id: int
    is_private: bool
    detail_hash: bytes


def _digest(*parts: object) -> bytes:
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).digest()


def genesis(site_id: int) -> bytes:
    """Return the hash that a site's first entry has in place of one before it."""
    return _digest("forumapi audit", 1, site_id)


def entry_hash(before: bytes, entry: ChainEntry) -> bytes:
    """Return the hash of `entry`, which follows an entry with the hash `before`."""
    values = [_plain(value) for value in entry]
    return _digest("entry", before.hex(), *values)


def detail_hash(
    salt: bytes | None, event_id: int, address_hash: bytes | None, detail: str
) -> bytes:
    """Return the salted hash of the erasable values of a row of the audit. `salt` and `address_hash` (keyed hash of the
    client address) None: the row has none; `event_id` 0: no event; `detail`: the row's JSON, as PostgreSQL prints it,
    "" for none.
    """
    return _digest("detail", (salt or b"").hex(), event_id, (address_hash or b"").hex(), detail)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.datetime):
        return (value - _EPOCH) // _MICROSECOND
    return value


class Head(NamedTuple):
    """Signed head of a site's chain: number, time and hash of the chain's entry that was the last one when it was
    signed. The program's log, outside the database, has it as `<site>.<number>.<microseconds>.<hash>.<signature>`.
    """

    site_id: int
    number: int
    created: datetime.datetime
    hash: bytes
    signature: bytes

    def __str__(self) -> str:
        hash, signature = _text(self.hash), _text(self.signature)
        return f"{self.site_id}.{self.number}.{_plain(self.created)}.{hash}.{signature}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Parse a head in the form that the program's log has, without a check of its signature. Raises ValueError for
        any other text, OverflowError for a time beyond the year 9999.
        """
        site_id, number, created, hash, signature = text.strip().split(".")
        at = _EPOCH + int(created) * _MICROSECOND
        return cls(int(site_id), int(number), at, _bytes(hash), _bytes(signature))


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


class Keys:
    """Signing keys, derived from secrets: the first one signs, all verify."""

    def __init__(self, secret_texts: Sequence[str]) -> None:
        seeds = [
            hashlib.sha256(b"forumapi audit key\n" + t.encode()).digest() for t in secret_texts
        ]
        self._private = [Ed25519PrivateKey.from_private_bytes(seed) for seed in seeds]
        self._public: list[Ed25519PublicKey] = [key.public_key() for key in self._private]

    def sign(
        self, kind: str, site_id: int, number: int, created: datetime.datetime, hash: bytes
    ) -> bytes:
        """Return the signature, by the first key, of a position in a site's chain: number, time and hash of an entry.
        `kind`: HEAD for a signed entry, BASE for a checkpoint.
        """
        return self._private[0].sign(_message(kind, site_id, number, created, hash))

    def signed(
        self,
        kind: str,
        site_id: int,
        number: int,
        created: datetime.datetime,
        hash: bytes,
        signature: bytes,
    ) -> bool:
        """Return True if one of the keys made `signature` for this position; the other parameters are those
        of `sign`.
        """
        message = _message(kind, site_id, number, created, hash)
        for key in self._public:
            try:
                key.verify(signature, message)
            except InvalidSignature:
                continue
            return True
        return False


def _message(
    kind: str, site_id: int, number: int, created: datetime.datetime, hash: bytes
) -> bytes:
    return _digest(f"forumapi audit {kind}", site_id, number, _plain(created), hash.hex())


def keys(setting: str, data_folder: Path) -> Keys:
    """Return the keys of the secrets in `setting`, separated by spaces; for "", one key, whose secret is kept in the
    file audit.key of `data_folder`, which is made if it is missing.
    """
    return Keys(setting.split() or [_kept(data_folder / "audit.key")])


def _kept(path: Path) -> str:
    """Return the secret in the file; if there is no such file, make one with a new secret."""
    while True:
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
            descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as handle:
                handle.write(secrets.token_hex(32))
            try:
                # The first of several processes wins.
                os.link(made, path)
            except FileExistsError:
                pass
            finally:
                made.unlink()
