"""What oauthlib asks about our clients, codes and tokens. Its word for "no" is False or None."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from oauthlib.oauth2 import RequestValidator
from oauthlib.oauth2.rfc6749.errors import InvalidGrantError

from forumapi.models.access import device_code, oauth_client, oauth_grant
from forumapi.models.access.oauth_client import Client

if TYPE_CHECKING:
    from forumapi.config import Config

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
GRANT_TYPES: Final = ("authorization_code", "refresh_token", DEVICE_GRANT)

# A verifier as RFC 7636 wants it.
_VERIFIER: Final = re.compile(r"[A-Za-z0-9\-._~]{43,128}")


def basic_credentials(authorization: str) -> tuple[str, str] | None:
    """Name and password of an HTTP Basic header, each form-encoded inside (RFC 6749, 2.3.1); None for others."""
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = (
            base64.b64decode(text.strip(), validate=True).decode().partition(":")
        )
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (unquote_plus(name), unquote_plus(password)) if colon else None


class Rules(RequestValidator):
    """What oauthlib asks about our clients, codes and tokens. Its word for "no" is False or None."""

    def __init__(
        self, tx: Any, site_id: int, config: Config, known: Iterable[str], ip: str
    ) -> None:
        self._tx = tx
        self._site_id = site_id
        self._config = config
        self._known = frozenset(known)
        self._ip = ip
        self.client: Client | None = None
        self._code: oauth_grant.Code | None = None
        self._family: oauth_grant.Family | None = None

    # ---------------------------------------------------------------- clients

    def _find(self, client_id: str | None) -> Client | None:
        if not client_id or not client_id.isascii() or not client_id.isdigit():
            return None
        if len(client_id) > 18 or client_id != str(int(client_id)):
            return None
        return oauth_client.find(self._tx, self._site_id, int(client_id))

    def _credentials(self, request: Any) -> tuple[str, str]:
        """Id and secret as the client presents them, one way alone; "" for what is not there."""
        header = request.headers.get("Authorization", "")
        if not header:
            return request.client_id or "", request.client_secret or ""
        found = basic_credentials(header)
        # Two ways at once, or two names, are none (RFC 6749, section 2.3).
        if not found or request.client_secret or request.client_id not in (None, found[0]):
            return "", ""
        return found

    def client_authentication_required(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        client = self._find(self._credentials(request)[0])
        return client is None or client.is_confidential

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        client_id, secret = self._credentials(request)
        client = self._find(client_id)
        if client is None or not client.is_confidential or not secret:
            return False
        if not hmac.compare_digest(client.secret_hash, oauth_client.hash_secret(secret)):
            return False
        request.client_id = client.client_id
        request.client = self.client = client
        return True

    def authenticate_client_id(
        self, client_id: str, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        name, secret = self._credentials(request)
        client = self._find(name)
        if client is None or client.is_confidential or secret:
            return False
        request.client_id = client.client_id
        request.client = self.client = client
        return True

    def validate_client_id(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        request.client = self.client = self._find(client_id)
        return self.client is not None

    def validate_redirect_uri(
        self, client_id: str, redirect_uri: str, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        return oauth_client.allows_redirect(request.client, redirect_uri)

    def get_default_redirect_uri(
        self, client_id: str, request: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """None: it must be sent, both times."""
        return None

    def get_default_scopes(
        self, client_id: str, request: Any, *args: Any, **kwargs: Any
    ) -> list[str]:
        client = request.client or self.client
        return [scope for scope in client.scopes if scope in self._known] if client else []

    def validate_scopes(
        self,
        client_id: str,
        scopes: Any,
        client: Any,
        request: Any,
        *args: Any,
        **kwargs: Any,
    ) -> bool:
        asked = dict.fromkeys(scopes)
        request.scopes = list(asked)
        return bool(asked) and all(s in client.scopes and s in self._known for s in asked)

    def validate_response_type(
        self,
        client_id: str,
        response_type: str,
        client: Any,
        request: Any,
        *args: Any,
        **kwargs: Any,
    ) -> bool:
        return response_type == "code"

    def validate_grant_type(
        self,
        client_id: str,
        grant_type: str,
        client: Any,
        request: Any,
        *args: Any,
        **kwargs: Any,
    ) -> bool:
        return grant_type in GRANT_TYPES and (grant_type != DEVICE_GRANT or client.device_flow)

    # ---------------------------------------------------------------- authorization codes

    def is_pkce_required(self, client_id: str, request: Any) -> bool:
        return True

    def save_authorization_code(
        self, client_id: str, code: Any, request: Any, *args: Any, **kwargs: Any
    ) -> None:
        kept = oauth_grant.Code(
            request.client.id,
            request.user,
            request.scopes,
            request.redirect_uri,
            request.code_challenge,
        )
        oauth_grant.add_code(self._tx, self._site_id, code["code"], kept)

    def validate_code(
        self,
        client_id: str,
        code: str,
        client: Any,
        request: Any,
        *args: Any,
        **kwargs: Any,
    ) -> bool:
        found = oauth_grant.take_code(self._tx, self._site_id, client.id, code)
        if found is None or not self._may(found.user):
            return False
        self._code = found
        request.user = found.user
        # What the client was narrowed to meanwhile holds.
        request.scopes = [scope for scope in found.scopes if scope in client.scopes]
        return bool(request.scopes)

    def get_code_challenge(self, code: str, request: Any) -> Any:
        if request.code_verifier is not None and not _VERIFIER.fullmatch(request.code_verifier):
            raise InvalidGrantError("code_verifier must have 43 to 128 letters", request=request)
        return self._code.challenge if self._code else None

    def get_code_challenge_method(self, code: str, request: Any) -> str:
        return "S256"

    def confirm_redirect_uri(
        self,
        client_id: str,
        code: str,
        redirect_uri: str,
        client: Any,
        request: Any,
        *args: Any,
        **kwargs: Any,
    ) -> bool:
        return self._code is not None and redirect_uri == self._code.redirect

    def invalidate_authorization_code(
        self, client_id: str, code: str, request: Any, *args: Any, **kwargs: Any
    ) -> None:
        """It is used up already: `validate_code` takes it, whatever comes of it."""

    def _may(self, user_id: int) -> bool:
        """Whether this user has a profile here and is not banned."""
        return oauth_grant.standing(self._tx, self._site_id, user_id) is not None

    # ---------------------------------------------------------------- device codes

    def validate_device_code(
        self, client_id: str, code: str, request: Any, *args: Any, **kwargs: Any
    ) -> str | None:
        polled = device_code.poll(self._tx, self._site_id, request.client.id, code)
        if polled is None:
            return None
        if not polled.is_live:
            return "expired_token"
        if polled.is_hasty:
            return "slow_down"
        waiting = polled.waiting
        if waiting.state == device_code.PENDING:
            return "authorization_pending"
        if waiting.state == device_code.DENIED or not self._may(waiting.user):
            return "access_denied"
        request.user = waiting.user
        request.scopes = waiting.scopes
        return "authorized"

    # ---------------------------------------------------------------- tokens

    def validate_refresh_token(
        self, refresh_token: str, client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        family = oauth_grant.hold(self._tx, self._site_id, client.id, refresh_token)
        if family is None:
            return False
        if not self._may(family.user_id):
            oauth_grant.end(self._tx, self._site_id, family.id)
            return False
        self._family = family
        request.user = family.user_id
        return True

    def get_original_scopes(
        self, refresh_token: str, request: Any, *args: Any, **kwargs: Any
    ) -> list[str]:
        return self._family.scopes if self._family else []

    def rotate_refresh_token(self, request: Any) -> bool:
        return True

    def save_bearer_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        site_id, client = self._site_id, request.client
        family = self._family
        if family is None:
            id = oauth_grant.begin(
                self._tx,
                site_id,
                client.id,
                request.user,
                request.scopes,
                request.code if self._code else "",
            )
            family = oauth_grant.Family(id, request.user, request.scopes)
        oauth_grant.add_tokens(
            self._tx,
            site_id,
            client.id,
            family,
            access=token["access_token"],
            granted=request.scopes,
            life_s=token["expires_in"],
            refresh=token["refresh_token"],
            refresh_days=self._config.oauth_refresh_days,
            used=request.refresh_token if self._family else "",
            ip=self._ip,
        )

    def revoke_token(
        self, token: str, token_type_hint: str, request: Any, *args: Any, **kwargs: Any
    ) -> None:
        oauth_grant.revoke(self._tx, self._site_id, request.client.id, token)

    def introspect_token(
        self, token: str, token_type_hint: str, request: Any, *args: Any, **kwargs: Any
    ) -> dict[str, Any] | None:
        client = request.client
        # Without a secret anybody could ask in a public client's name.
        if not client.is_confidential:
            return None
        shown = oauth_grant.show(self._tx, self._site_id, client.id, token)
        person = shown and oauth_grant.standing(self._tx, self._site_id, shown.user_id)
        if not shown or not person:
            return None
        return {
            "scope": " ".join(shown.scopes),
            "client_id": client.client_id,
            "token_type": "Bearer",
            "exp": int(shown.expires.timestamp()),
            "iat": int(shown.created.timestamp()),
            "sub": str(person[0]),
        }
