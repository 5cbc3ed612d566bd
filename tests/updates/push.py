"""A browser that subscribes to web push, and reads what its push service on loopback got: RFC 8291 the other way."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import os
import struct
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.api import Api, Response
from tests.factories import Person
from tests.webhooks.receiver import Message, Receiver

PATH = "/api/v1/updates/push"
_numbers = itertools.count(1)


def b64(data: bytes) -> str:
    """Base64url without padding, as browsers have it."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text: str) -> bytes:
    """Decode what `b64` encodes."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Browser:
    """Keys and endpoint of one subscription."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.path = f"/push/{next(_numbers)}"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._auth = os.urandom(16)
        self._point = self._key.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )

    @property
    def subscription(self) -> dict[str, Any]:
        """The subscription as `PushSubscription.toJSON()` has it."""
        return {
            "endpoint": self.receiver.url(self.path),
            "expirationTime": None,
            "keys": {"p256dh": b64(self._point), "auth": b64(self._auth)},
        }

    def subscribe(self, api: Api, person: Person) -> Response:
        """Subscribe for a person."""
        answer = api.post(PATH, self.subscription, by=person)
        assert answer.status == 302, answer.body
        return answer

    def read(self, message: Message) -> Any:
        """Return what a message says."""
        salt, size, length = message.body[:16], *struct.unpack("!IB", message.body[16:21])
        point, sealed = message.body[21 : 21 + length], message.body[21 + length :]
        assert length == 65
        assert len(message.body) <= size == 4096
        sender = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        shared = self._key.exchange(ec.ECDH(), sender)
        pseudo = hmac.digest(self._auth, shared, hashlib.sha256)
        info = b"WebPush: info\x00" + self._point + point + b"\x01"
        secret = hmac.digest(salt, hmac.digest(pseudo, info, hashlib.sha256), hashlib.sha256)
        key = hmac.digest(secret, b"Content-Encoding: aes128gcm\x00\x01", hashlib.sha256)[:16]
        nonce = hmac.digest(secret, b"Content-Encoding: nonce\x00\x01", hashlib.sha256)[:12]
        text, mark, rest = AESGCM(key).decrypt(nonce, sealed, None).rpartition(b"\x02")
        assert (mark, rest.strip(b"\x00")) == (b"\x02", b"")
        return json.loads(text)

    def got(self, count: int = 1) -> list[Any]:
        """The texts of all messages, once there are `count`."""
        return [self.read(message) for message in self.receiver.wait(count, self.path)]

    def messages(self) -> list[Message]:
        """The messages that have come so far."""
        return self.receiver.at(self.path)


def claims(message: Message, public_key: str) -> Any:
    """Verify the proof of a message by the platform's key, as a push service does; what it says."""
    scheme, _, fields = message.headers["Authorization"].partition(" ")
    assert scheme == "vapid"
    token, key = (field.partition("=")[2] for field in fields.split(", "))
    assert key == public_key
    verifier = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unb64(key))
    return jwt.decode(token, verifier, ["ES256"], options={"verify_aud": False})
