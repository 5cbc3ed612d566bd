"""A device that makes passkeys and signs with them, as WebAuthn says; what it says can be bent."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


class Authenticator:
    """One passkey. `flags` are what the device says of whoever holds it."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id = os.urandom(32)
        self.count = 0
        self.flags = PRESENT | VERIFIED

    def create(self, options: Mapping[str, Any], origin: str, **bent: Any) -> dict[str, Any]:
        """Return what `navigator.credentials.create` gives for these options on a page of `origin`."""
        numbers = self.key.public_key().public_numbers()
        cose = cbor2.dumps(
            {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        )
        attested = bytes(16) + struct.pack(">H", 32) + self.credential_id + cose
        rp_id = bent.get("rp_id", options["rp"]["id"])
        data = self._data(rp_id, self.flags | ATTESTED) + attested
        said = self._said("webauthn.create", options, origin, bent)
        return self._credential(
            {
                "clientDataJSON": said,
                "attestationObject": cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data}),
            }
        )

    def get(self, options: Mapping[str, Any], origin: str, **bent: Any) -> dict[str, Any]:
        """Return what `navigator.credentials.get` gives."""
        self.count += 1
        data = self._data(bent.get("rp_id", options["rpId"]), self.flags)
        said = self._said("webauthn.get", options, origin, bent)
        signature = self.key.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(hashes.SHA256()))
        return self._credential(
            {"clientDataJSON": said, "authenticatorData": data, "signature": signature}
        )

    def _data(self, rp_id: str, flags: int) -> bytes:
        return hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, self.count)

    def _said(
        self, kind: str, options: Mapping[str, Any], origin: str, bent: Mapping[str, Any]
    ) -> bytes:
        challenge = bent.get("challenge", options["challenge"])
        assert len(base64url_to_bytes(options["challenge"])) >= 32
        said = {
            "type": bent.get("kind", kind),
            "challenge": challenge,
            "origin": origin,
            "crossOrigin": False,
        }
        return json.dumps(said).encode()

    def _credential(self, response: Mapping[str, bytes]) -> dict[str, Any]:
        id = bytes_to_base64url(self.credential_id)
        return {
            "id": id,
            "rawId": id,
            "type": "public-key",
            "response": {name: bytes_to_base64url(value) for name, value in response.items()},
        }
