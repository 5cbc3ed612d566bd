"""Encryption of web push messages for one subscription (RFC 8291), and proof of their sender (VAPID, RFC 8292). Sends
nothing.
"""

from __future__ import annotations

import base64
import os
import struct
import time
from typing import Final
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PUBLIC_KEY_BYTES: Final = 65
AUTH_SECRET_BYTES: Final = 16
# Largest text: push services take messages of 4,096 bytes, of which 103 are header, padding mark and tag.
MOST_TEXT: Final = 4_096 - 103
_CURVE: Final = ec.SECP256R1()
# Order of the curve: private keys are below it.
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# A proof is good for at most a day (RFC 8292, 2); it is made anew after half of its life.
_PROOF_S: Final = 12 * 3600
# Push services are few: more origins than this are typed by somebody.
_PROOFS: Final = 200


def decode(text: str) -> bytes:
    """Decode base64url with or without padding. Raises ValueError for anything else, base64 with + or / included."""
    if "+" in text or "/" in text:
        raise ValueError("not base64url")
    return base64.b64decode(
        text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), b"-_", validate=True
    )


def encode(data: bytes) -> str:
    """Encode `data` as base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def is_public_key(data: bytes) -> bool:
    """Return True if `data` is a public key of a subscription: an uncompressed point of the curve P-256."""
    if len(data) != PUBLIC_KEY_BYTES:
        return False
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, data)
    except ValueError:
        return False
    return True


def encrypt(text: bytes, public_key: bytes, auth_secret: bytes) -> bytes:
    """Encrypt a message for a push subscription, by its public key and auth secret; return the body of the POST, in the
    content coding `aes128gcm`.

    `text`: at most MOST_TEXT bytes; `public_key`: one that `is_public_key` accepts; neither is checked. Each message
    has a key pair and a salt of its own.
    """
    return _encrypt(text, public_key, auth_secret, ec.generate_private_key(_CURVE), os.urandom(16))


def _encrypt(
    text: bytes,
    public_key: bytes,
    auth_secret: bytes,
    sender: ec.EllipticCurvePrivateKey,
    salt: bytes,
) -> bytes:
    receiver = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, public_key)
    point = _point(sender)
    key_info = b"WebPush: info\0" + public_key + point
    secret = _derive(auth_secret, sender.exchange(ec.ECDH(), receiver), key_info, 32)
    key = _derive(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(salt, secret, b"Content-Encoding: nonce\0", 12)
    # The text is one record, whose last byte marks the end (RFC 8188, 2).
    sealed = AESGCM(key).encrypt(nonce, text + b"\x02", None)
    return salt + struct.pack("!IB", 4_096, len(point)) + point + sealed


def _derive(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(secret)


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


class VapidKey:
    """Key pair with which the platform proves to push services that it sends a message. `public`: the public key, in
    base64url.

    `secret`: 32 bytes, the private key; bytes that are no private key are reduced to one. `contact`: mailto: or https:
    address at which those who run push services reach the operator.
    """

    def __init__(self, secret: bytes, contact: str) -> None:
        number = int.from_bytes(secret)
        if not 0 < number < _ORDER:
            number = number % (_ORDER - 1) + 1
        self._key = ec.derive_private_key(number, _CURVE)
        self._contact = contact
        self.public = encode(_point(self._key))
        # Origin of a push service -> proof and the time at which it is made anew.
        self._proofs: dict[str, tuple[str, float]] = {}

    def authorization(self, endpoint: str) -> str:
        """Return the value of the header Authorization for a POST to the subscription's URL `endpoint`: a signed proof
        for the origin of that URL, cached here and used again for 6 of the 12 hours for which it is valid.
        """
        parts = urlsplit(endpoint)
        origin = f"{parts.scheme}://{parts.netloc}"
        now = time.time()
        kept = self._proofs.get(origin)
        if kept is None or kept[1] < now:
            claims = {"aud": origin, "exp": int(now) + _PROOF_S, "sub": self._contact}
            kept = (jwt.encode(claims, self._key, "ES256"), now + _PROOF_S / 2)
            if len(self._proofs) >= _PROOFS:
                self._proofs.clear()
            self._proofs[origin] = kept
        return f"vapid t={kept[0]}, k={self.public}"
