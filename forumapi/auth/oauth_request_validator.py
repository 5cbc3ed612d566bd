"""Answers to oauthlib's questions about clients, codes and tokens of a site; False or None means refused."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from oauthlib.oauth2 import RequestValidator
from oauthlib.oauth2.rfc6749.errors import InvalidGrantError, OAuth2Error

from forumapi.models.access.access_token import AGENTS
from forumapi.models.access.authorization_code import AuthorizationCode
from forumapi.models.access.device_code import DENIED, PENDING, DevicePoll
from forumapi.models.access.oauth_client import MOST_URI, OAuthClient, hash_secret
from forumapi.models.access.oauth_grant import ClientToken, OAuthGrant, active_profile

if TYPE_CHECKING:
    from forumapi.config import Config

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
GRANT_TYPES: Final = ("authorization_code", "refresh_token", DEVICE_GRANT)

# Address of a site's MCP endpoint, the one resource that a token can be limited to (RFC 8707).
RESOURCE_PATH: Final = "/api/v1/mcp"

# A verifier of RFC 7636.
_VERIFIER: Final = re.compile(r"[A-Za-z0-9\-._~]{43,128}")


def basic_credentials(authorization: str) -> tuple[str, str] | None:
    """Parse the header Authorization: name and password of HTTP Basic, each form-encoded (RFC 6749, 2.3.1); None for a
    header of another scheme, or malformed.
    """
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


class InvalidTargetError(OAuth2Error):
    """Refusal of a resource that is none of this site's, or not the one that was granted (RFC 8707)."""

    error = "invalid_target"


class Rules(RequestValidator):
    """Validator that oauthlib calls about one request of a client of one site. `tx`, `known`, `ip`: as in
    OAuthProvider. `resources`: addresses of the site's MCP endpoint; empty while agents are off there. `described`: the
    client of an authorization request as its document describes it; None for a registered client, and for the client's
    own requests, such as for a token: these use the described client as it was stored when somebody allowed it.
    """

    def __init__(
        self,
        tx: Any,
        site_id: int,
        config: Config,
        known: Iterable[str],
        ip: str,
        resources: Iterable[str],
        described: OAuthClient | None = None,
    ) -> None:
        self._tx = tx
        self._site_id = site_id
        self._config = config
        self._known = frozenset(known)
        self._ip = ip
        self._resources = frozenset(resources)
        self._described = described
        self.client: OAuthClient | None = None
        self._code: AuthorizationCode | None = None
        self._grant: OAuthGrant | None = None

    # ---------------------------------------------------------------- clients

    def _find(self, client_id: str | None) -> OAuthClient | None:
        if not client_id or not client_id.isascii() or len(client_id) > MOST_URI:
            return None
        if self._described is not None and client_id == self._described.client_id:
            return self._described
        if not client_id.isdigit():
            return OAuthClient.find_described(self._tx, self._site_id, client_id)
        if len(client_id) > 18 or client_id != str(int(client_id)):
            return None
        return OAuthClient.find(self._tx, self._site_id, int(client_id))

    def _credentials(self, request: Any) -> tuple[str, str]:
        """Return the client's id and secret, "" for a missing one, from the form or the Basic header; both "" if they
        contradict each other, the secret came twice, or the header is malformed or of another scheme.
        """
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
        if not hmac.compare_digest(client.secret_hash, hash_secret(secret)):
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
        return bool(request.client.allows_redirect(redirect_uri))

    def get_default_redirect_uri(
        self, client_id: str, request: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Return None: there is no default, so a client must send the redirect URI in the authorization request and in
        the token request.
        """
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
        """Set `request.scopes` to `scopes`, each once, and return True; return False if there are none, or one that
        `client` may not ask for. Agents ask for all scopes that the metadata of their resource lists, so for them
        scopes that the client may not ask for are left out, and False is returned only if none is left (RFC 6749, 3.3).
        Raises InvalidTargetError as `audience` does.
        """
        asked = dict.fromkeys(scopes)
        if self.audience(request) == AGENTS:
            asked = {s: None for s in asked if s in client.scopes and s in self._known}
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

    # ---------------------------------------------------------------- audience

    def audience(self, request: Any) -> str:
        """Return the audience of the resource that the request names: "" for none, or access_token.AGENTS. Raises
        InvalidTargetError for several resources, and for one that is not among `resources`.
        """
        named = getattr(request, "resource", None)
        if named is None:
            return ""
        if "resource" in request.duplicate_params or named not in self._resources:
            raise InvalidTargetError("There is no such resource here", request=request)
        return AGENTS

    def _check_audience(self, request: Any, granted: str) -> None:
        """Raise InvalidTargetError if the token request names a resource whose audience is not `granted`, the audience
        of the grant; a request that names no resource passes.
        """
        if getattr(request, "resource", None) is not None and self.audience(request) != granted:
            raise InvalidTargetError("The grant is for another resource", request=request)

    # ---------------------------------------------------------------- authorization codes

    def is_pkce_required(self, client_id: str, request: Any) -> bool:
        return True

    def save_authorization_code(
        self, client_id: str, code: Any, request: Any, *args: Any, **kwargs: Any
    ) -> None:
        consent = AuthorizationCode(
            request.client.id,
            request.user,
            request.scopes,
            request.redirect_uri,
            request.code_challenge,
            self.audience(request),
        )
        consent.insert(self._tx, self._site_id, code["code"])

    def validate_code(
        self,
        client_id: str,
        code: str,
        client: Any,
        request: Any,
        *args: Any,
        **kwargs: Any,
    ) -> bool:
        consent = AuthorizationCode.redeem(self._tx, self._site_id, client.id, code)
        if consent is None or not self._may(consent.user):
            return False
        self._check_audience(request, consent.audience)
        self._code = consent
        request.user = consent.user
        # The client's scopes may have been narrowed meanwhile.
        request.scopes = [scope for scope in consent.scopes if scope in client.scopes]
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
        """Do nothing, since `validate_code` has used the code up already."""

    def _may(self, user_id: int) -> bool:
        """Return True if this user has a profile on this site and is not banned there."""
        return active_profile(self._tx, self._site_id, user_id) is not None

    # ---------------------------------------------------------------- device codes

    def validate_device_code(
        self, client_id: str, code: str, request: Any, *args: Any, **kwargs: Any
    ) -> str | None:
        # Tokens of devices are for the REST API. Before the poll: a refusal uses no code up.
        self._check_audience(request, "")
        polled = DevicePoll.take(self._tx, self._site_id, request.client.id, code)
        if polled is None:
            return None
        if not polled.is_live:
            return "expired_token"
        if polled.is_hasty:
            return "slow_down"
        request_of_device = polled.code
        if request_of_device.state == PENDING:
            return "authorization_pending"
        if request_of_device.state == DENIED or not self._may(request_of_device.user):
            return "access_denied"
        request.user = request_of_device.user
        request.scopes = request_of_device.scopes
        return "authorized"

    # ---------------------------------------------------------------- tokens

    def validate_refresh_token(
        self, refresh_token: str, client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        grant = OAuthGrant.lock(self._tx, self._site_id, client.id, refresh_token)
        if grant is None:
            return False
        if not self._may(grant.user_id):
            grant.delete(self._tx)
            return False
        self._check_audience(request, grant.audience)
        self._grant = grant
        request.user = grant.user_id
        return True

    def get_original_scopes(
        self, refresh_token: str, request: Any, *args: Any, **kwargs: Any
    ) -> list[str]:
        return list(self._grant.scopes) if self._grant else []

    def rotate_refresh_token(self, request: Any) -> bool:
        return True

    def save_bearer_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        grant = self._grant or OAuthGrant.insert(
            self._tx,
            self._site_id,
            request.client.id,
            request.user,
            request.scopes,
            request.code if self._code else "",
            self._code.audience if self._code else "",
        )
        grant.add_tokens(
            self._tx,
            access=token["access_token"],
            scopes=request.scopes,
            life_s=token["expires_in"],
            refresh=token["refresh_token"],
            refresh_days=self._config.oauth_refresh_days,
            used=request.refresh_token if self._grant else "",
            ip=self._ip,
        )

    def revoke_token(
        self, token: str, token_type_hint: str, request: Any, *args: Any, **kwargs: Any
    ) -> None:
        ClientToken.revoke(self._tx, self._site_id, request.client.id, token)

    def introspect_token(
        self, token: str, token_type_hint: str, request: Any, *args: Any, **kwargs: Any
    ) -> dict[str, Any] | None:
        client = request.client
        # Without a secret anybody could ask in a public client's name.
        if not client.is_confidential:
            return None
        found = ClientToken.find(self._tx, self._site_id, client.id, token)
        profile = found and active_profile(self._tx, self._site_id, found.user_id)
        if not found or not profile:
            return None
        return {
            "scope": " ".join(found.scopes),
            "client_id": client.client_id,
            "token_type": "Bearer",
            "exp": int(found.expires.timestamp()),
            "iat": int(found.created.timestamp()),
            "sub": str(profile[0]),
        }
