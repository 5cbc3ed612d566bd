"""A provider of OpenID Connect on loopback that signs whatever a test wants, with keys of its own.

It answers over real HTTP, checks code, client and PKCE as a provider does, and can be told to lie.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import json
import secrets
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm

CLIENT_ID = "forum-client"
CLIENT_SECRET = "a secret & more"


class Key:
    """A key pair with an id."""

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self.private = ec.generate_private_key(ec.SECP256R1())

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half, as the provider publishes it."""
        made: dict[str, Any] = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return made | {"kid": self.kid, "use": "sig", "alg": "ES256"}

    @property
    def public_pem(self) -> bytes:
        """The public half as text: what a downgrade to HS256 takes for its secret."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


class Forger:
    """The provider. `claims` and `header` are laid over each token; `key` signs; `published` are its public keys."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.key = Key("first")
        self.published = [self.key]
        self.discovery: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.emails: Any = []  # of GitHub's interface
        self.token: str | None = None  # instead of one that is made
        self.broken: dict[str, tuple[int, bytes]] = {}  # path -> what it answers
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        forger = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                forger.answer(self, b"")

            def do_POST(self) -> None:
                forger.answer(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.issuer = f"{scheme}://{self.host}"

    # ---------------------------------------------------------------- the browser's part

    def grant(self, redirect_uri: str) -> str:
        """A code that was asked for without PKCE."""
        code = secrets.token_urlsafe(16)
        self._codes[code] = {"redirect_uri": redirect_uri}
        return code

    def approve(self, location: str) -> dict[str, str]:
        """Return what somebody brings back who was sent to `location` and said yes: code and state."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        return {"code": code, "state": asked["state"]}

    # ---------------------------------------------------------------- what it answers

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """One request."""
        path = urlsplit(request.path).path
        self.asked.append(path)
        status, said = self.broken.get(path, (0, b""))
        if not status:
            status, found = self._found(path, request.headers, body)
            said = json.dumps(found).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(said)))
        request.end_headers()
        request.wfile.write(said)

    def _found(self, path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        if path.endswith("/.well-known/openid-configuration"):
            return 200, {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "jwks_uri": f"{self.issuer}/jwks",
                "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
            } | self.discovery
        if path == "/jwks":
            return 200, {"keys": [key.jwk for key in self.published]}
        if path in ("/token", "/oauth/token", "/login/oauth/access_token"):
            return self._token(headers, {k: v[0] for k, v in parse_qs(body.decode()).items()})
        if headers["Authorization"] != "Bearer the-access-token" and self.token is None:
            return 401, {"error": "invalid_token"}
        if path == "/userinfo":
            return 200, {"sub": "42", **self.userinfo}
        if path == "/user/emails":
            return 200, self.emails
        return 404, {}

    def _token(self, headers: Any, form: Mapping[str, str]) -> tuple[int, Any]:
        asked = self._codes.pop(form.get("code", ""), None)
        basic = "forum-client:a%20secret%20%26%20more"
        expected = f"Basic {base64.b64encode(basic.encode()).decode()}"
        if headers["Authorization"] != expected and form.get("client_secret") != CLIENT_SECRET:
            return 401, {"error": "invalid_client"}
        if asked is None or form.get("redirect_uri") != asked.get("redirect_uri"):
            return 400, {"error": "invalid_grant"}
        if "code_challenge" in asked:
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if challenge != asked["code_challenge"]:
                return 400, {"error": "invalid_grant"}
        return 200, {
            "access_token": "the-access-token",
            "token_type": "Bearer",
            "id_token": self.token or self.mint(asked.get("nonce", "")),
        }

    def mint(self, nonce: str = "", **how: Any) -> str:
        """A token as it should be, with `claims` laid over it; a claim that is None is left out."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "42",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "email": "ana@provider.test",
            "email_verified": True,
            **self.claims,
        }
        made = {name: value for name, value in claims.items() if value is not None}
        settings: dict[str, Any] = {
            "key": self.key.private,
            "algorithm": "ES256",
            "headers": {"kid": self.key.kid},
            **how,
        }
        return jwt.encode(made, **settings)


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1 with its key, which nobody else has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "self-signed.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@contextmanager
def forging(certificate: Path | None = None) -> Iterator[Forger]:
    """A forger that answers for the length of a with statement; with TLS under a certificate of `self_signed`."""
    made = Forger(certificate)
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()
