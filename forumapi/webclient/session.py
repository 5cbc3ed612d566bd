"""Session cookie of the website: the API's token, encrypted for one host, so that the website stores no sessions."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# Administration, keys and exports ask for a sign-in that is not older.
FRESH_S: Final = 30 * 60
SESSION_DAYS: Final = 400


class WebSession(NamedTuple):
    """Session of a person in one browser: access token of the API, and when the person signed in (`began`, Unix time in
    seconds). GUEST has the token "".
    """

    token: str
    began: int

    @property
    def is_fresh(self) -> bool:
        """Return True while the sign-in is less than 30 minutes ago (FRESH_S), as administration, keys and exports
        demand.
        """
        return time.time() - self.began < FRESH_S


GUEST: Final = WebSession("", 0)


class Seal:
    """Authenticated encryption (AES-GCM) under the operator's secrets, `texts`, of which there is one at least: the
    first one encrypts, any of them decrypts.

    A value sealed for one purpose and host can't be opened for another. A purpose is any name, such as "session".
    """

    def __init__(self, texts: Sequence[str]) -> None:
        keys = [hashlib.sha256(b"forumapi.webclient\0" + text.encode()).digest() for text in texts]
        self._ciphers = [AESGCM(key) for key in keys]
        self._key = keys[0]

    def close(self, purpose: str, host: str, data: bytes) -> str:
        """Encrypt the bytes `data` with the present time for a purpose and host; return base64url text that `open`
        reads.
        """
        nonce = os.urandom(12)
        stamped = struct.pack(">Q", int(time.time())) + data
        sealed = self._ciphers[0].encrypt(nonce, stamped, f"{purpose}\0{host}".encode())
        return base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")

    def open(self, purpose: str, host: str, text: str, max_age_s: int) -> bytes | None:
        """Return the bytes that `close` has sealed for this purpose and host; None for a text of another purpose or
        host, for a forged or damaged one, and for one sealed `max_age_s` ago or earlier.
        """
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            return None
        for cipher in self._ciphers:
            try:
                data = cipher.decrypt(raw[:12], raw[12:], f"{purpose}\0{host}".encode())
            except (InvalidTag, ValueError):
                continue
            made = struct.unpack(">Q", data[:8])[0]
            return data[8:] if time.time() - made < max_age_s else None
        return None

    def proof(self, host: str, bound_to: str) -> str:
        """Return the token against forged requests (CSRF) that forms on this host carry, always the same for the same
        `bound_to`: the session's access token, or the value of a guest's visitor cookie.
        """
        text = f"form\0{host}\0{bound_to}".encode()
        return hmac.digest(self._key, text, "sha256").hex()[:32]

    def seal_session(self, host: str, session: WebSession) -> str:
        """Encrypt a session for one host; return the text that is the value of the session cookie, which `open_session`
        reads.
        """
        return self.close("session", host, f"{session.began} {session.token}".encode())

    def open_session(self, host: str, text: str) -> WebSession:
        """Return the session in `text`, the value of the session cookie of `host`; GUEST for an empty, forged or
        damaged value, and for one sealed SESSION_DAYS (400) days ago or earlier.
        """
        data = self.open("session", host, text, SESSION_DAYS * 86_400) if text else None
        if data is None:
            return GUEST
        began, _, token = data.decode().partition(" ")
        return WebSession(token, int(began))


def secrets_of(setting: str, data_folder: Path) -> list[str]:
    """Return the operator's secrets for `Seal` from `setting`, the value of `webclient_secret`, in which spaces
    separate them; if it is empty, the one in the file `webclient.key` of `data_folder`, which is made with a random
    secret if it is missing.
    """
    if setting.split():
        return setting.split()
    path = data_folder / "webclient.key"
    while True:
        try:
            return [path.read_text().strip()]
        except FileNotFoundError:
            data_folder.mkdir(parents=True, exist_ok=True)
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
