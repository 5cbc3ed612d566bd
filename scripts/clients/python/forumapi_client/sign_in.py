"""Ways to a token: a code by e-mail, a program with a browser (OAuth with PKCE), a device without one."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from .connection import Credentials
from .errors import BadAnswer, ForumError, OAuthRefused

if TYPE_CHECKING:
    from .operations import Client

TokenSource = Credentials
_TOKEN = "/api/v1/oauth/token"
_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class SecondFactorNeeded(ForumError):
    """The person has a second factor: `finish_second_factor` takes its code."""


class EmailSignIn:
    """Sign-in by a code of eight digits that is mailed to `email`; making it sends the mail."""

    def __init__(self, client: Client, email: str) -> None:
        self._client = client
        self._email = email
        self._flow = ""
        client.auth.sign_in({"method": "email-code", "email": email})

    def finish(self, code: str) -> str:
        """Return the token, which the client uses from here on. SecondFactorNeeded where that is not enough.

        A code that is wrong is Unauthorized; it may be tried again, four times.
        """
        return self._take(
            self._client.auth.sign_in({"method": "email-code", "email": self._email, "code": code})
        )

    def finish_second_factor(self, code: str) -> str:
        """Return the token for a code of the person's app, or one of their recovery codes."""
        return self._take(
            self._client.auth.sign_in({"method": "second-factor", "flow": self._flow, "code": code})
        )

    def _take(self, answer: Any) -> str:
        if isinstance(answer, str) and answer:
            self._client.token = answer
            return answer
        flow = getattr(answer, "flow", None)
        if not isinstance(flow, str):
            raise BadAnswer("neither a token nor a second step")
        self._flow = flow
        raise SecondFactorNeeded("a code of the second factor is needed")


class OAuthToken:
    """Access token that renews itself; `changed` is called with it after each renewal, to keep `refresh_token`.

    A refresh token is good once, so threads that need a new token at the same time share one renewal.
    """

    def __init__(
        self,
        client: Client,
        client_id: int | str,
        access_token: str,
        refresh_token: str,
        *,
        client_secret: str = "",
        scope: str = "",
        changed: Callable[[OAuthToken], None] | None = None,
    ) -> None:
        self._client = client
        self._id = str(client_id)
        self._secret = client_secret
        self._access = access_token
        self.refresh_token = refresh_token
        self.scope = scope
        self.changed = changed
        self._lock = threading.Lock()

    def access_token(self) -> str:
        """Return the token as it is now."""
        return self._access

    def renew(self, refused: str) -> bool:
        """Get another token in place of `refused`; False if the refresh token is no good either."""
        with self._lock:
            if self._access != refused:
                return True
            if not self.refresh_token:
                return False
            form = {
                "grant_type": "refresh_token",
                "client_id": self._id,
                "refresh_token": self.refresh_token,
            }
            if self._secret:
                form["client_secret"] = self._secret
            try:
                given = self._client.ask_oauth(_TOKEN, form)
            except OAuthRefused:
                self.refresh_token = ""
                return False
            self._access = str(given["access_token"])
            self.refresh_token = str(given.get("refresh_token", ""))
            self.scope = str(given.get("scope", self.scope))
        if self.changed is not None:
            self.changed(self)
        return True


class _OAuthSignIn:
    def __init__(self, client: Client, client_id: int | str, client_secret: str) -> None:
        self._client = client
        self._id = str(client_id)
        self._secret = client_secret

    def _ask(self, path: str, **form: str) -> dict[str, Any]:
        form["client_id"] = self._id
        if self._secret:
            form["client_secret"] = self._secret
        return self._client.ask_oauth(path, form)

    def _take(self, given: dict[str, Any]) -> OAuthToken:
        token = OAuthToken(
            self._client,
            self._id,
            str(given["access_token"]),
            str(given.get("refresh_token", "")),
            client_secret=self._secret,
            scope=str(given.get("scope", "")),
        )
        self._client.token = token
        return token


class PkceSignIn(_OAuthSignIn):
    """OAuth with PKCE (RFC 7636): send the person to `address`, then give `finish` the address they came back to."""

    def __init__(
        self,
        client: Client,
        client_id: int | str,
        redirect_uri: str,
        scopes: Sequence[str],
        *,
        client_secret: str = "",
    ) -> None:
        super().__init__(client, client_id, client_secret)
        self._redirect_uri = redirect_uri
        self.state = secrets.token_urlsafe(24)
        self.verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(self.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self._id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(scopes),
            "state": self.state,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        self.address = f"{client.address}/oauth/authorize?{urlencode(query)}"

    def finish(self, back: str) -> OAuthToken:
        """Return the token, which the client uses from here on.

        OAuthRefused if the person refused, or if `back` is the answer to another question or of another site.
        """
        query = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
        if not secrets.compare_digest(query.get("state", "").encode(), self.state.encode()):
            raise OAuthRefused("invalid_state", "the answer to another request")
        if "error" in query:
            raise OAuthRefused(query["error"], query.get("error_description", ""))
        metadata = self._client.exchange("GET", "/.well-known/oauth-authorization-server").json()
        issuer = metadata.get("issuer") if isinstance(metadata, dict) else None
        if not issuer or query.get("iss") != issuer:
            raise OAuthRefused("invalid_issuer", "the answer of another site")
        return self._take(
            self._ask(
                _TOKEN,
                grant_type="authorization_code",
                code=query.get("code", ""),
                redirect_uri=self._redirect_uri,
                code_verifier=self.verifier,
            )
        )


class DeviceSignIn(_OAuthSignIn):
    """Sign-in of a device (RFC 8628): show `user_code` and `verification_uri`, then call `wait`."""

    def __init__(
        self,
        client: Client,
        client_id: int | str,
        scopes: Sequence[str],
        *,
        client_secret: str = "",
    ) -> None:
        super().__init__(client, client_id, client_secret)
        given = self._ask("/api/v1/oauth/device", scope=" ".join(scopes))
        self.user_code = str(given["user_code"])
        self.verification_uri = str(given["verification_uri"])
        self.verification_uri_complete = str(given.get("verification_uri_complete", ""))
        self._code = str(given["device_code"])
        self._interval = float(given.get("interval", 5))
        self._until = time.monotonic() + float(given.get("expires_in", 900))

    def wait(self) -> OAuthToken:
        """Return the token once the person has allowed it. OAuthRefused: they refused, or the code has expired."""
        while True:
            self._client.settings.sleep(self._interval)
            if time.monotonic() > self._until:
                raise OAuthRefused("expired_token")
            try:
                return self._take(self._ask(_TOKEN, grant_type=_DEVICE, device_code=self._code))
            except OAuthRefused as error:
                if error.error == "slow_down":
                    self._interval += 5
                elif error.error != "authorization_pending":
                    raise
