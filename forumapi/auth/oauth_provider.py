"""forumapi as the OAuth 2 provider of one site, for the clients registered there; on oauthlib. Docs: docs/api/oauth.md.

oauthlib knows the protocol: the parts of a request, the order of checks, the form of the answer. `Rules`
(oauth_request_validator.py) answers its questions about clients, codes and tokens. Only authorization code with PKCE
(S256), device code and refresh token exist.

A refusal is returned and not raised, so that what was written with it is committed (a code used up, tokens revoked
because a refresh token came twice).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

from oauthlib.common import Request
from oauthlib.oauth2 import (
    AuthorizationCodeGrant,
    AuthorizationEndpoint,
    BearerToken,
    IntrospectEndpoint,
    RefreshTokenGrant,
    RevocationEndpoint,
    TokenEndpoint,
)
from oauthlib.oauth2.rfc6749.errors import (
    FatalClientError,
    InvalidRequestError,
    OAuth2Error,
    UnauthorizedClientError,
)
from oauthlib.oauth2.rfc6749.grant_types.authorization_code import code_challenge_method_s256
from oauthlib.oauth2.rfc8628.endpoints import DeviceAuthorizationEndpoint
from oauthlib.oauth2.rfc8628.grant_types import DeviceCodeGrant

from forumapi.auth.oauth_request_validator import (
    DEVICE_GRANT,
    RESOURCE_PATH,
    InvalidTargetError,
    Rules,
)
from forumapi.models.access.access_token import new_secret
from forumapi.models.access.device_code import INTERVAL_S, LIFE_S, DeviceCode, new_user_code
from forumapi.models.access.oauth_client import OAuthClient

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.models.sites.site import Site

Pairs = Iterable[tuple[str, str]]

# Parameters that oauthlib may see: it would take over all others, its own internal ones too.
_ASKED: Final = frozenset(
    (
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "redirect_uri",
        "resource",
        "response_type",
        "scope",
        "state",
    )
)
_SENT: Final = frozenset(
    (
        "client_id",
        "client_secret",
        "code",
        "code_verifier",
        "device_code",
        "grant_type",
        "redirect_uri",
        "refresh_token",
        "resource",
        "scope",
        "token",
        "token_type_hint",
    )
)
# A SHA-256 in base64url without padding.
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_MOST_STATE: Final = 2000


class AuthorizationRequest(NamedTuple):
    """Valid authorization request: its client, the scopes that the person may grant to it, the redirect URI, and the
    audience of the tokens that it asks for (access_token.AGENTS, "" for the REST API).
    """

    client: OAuthClient
    scopes: list[str]
    redirect_uri: str
    audience: str


class RefusedRequest(NamedTuple):
    """Refused authorization request. `text`: reason, for the person; `location`: redirect URI with the error for the
    client, "" if the client or its redirect URI is unknown.
    """

    text: str
    location: str


class OAuthAnswer(NamedTuple):
    """Answer to an OAuth client: HTTP status, and a JSON body as RFC 6749 has it, without the API's envelope. A refusal
    is such an answer too, and not raised.
    """

    status: int
    body: bytes


class _Codes(AuthorizationCodeGrant):
    """Authorization code grant that accepts only PKCE with S256: with "plain" the request itself would reveal the
    verifier.
    """

    _code_challenge_methods = {"S256": code_challenge_method_s256}


class OAuthProvider:
    """OAuth provider of one site, made for one request. `tx`: a Reader for `validate`, a Transaction for all other
    methods.

    `known`: all scopes that there are; `ip`: client address, stored with new tokens; `described`: the client of an
    authorization request, if its id is the URL of a document (client_metadata.py).
    """

    def __init__(
        self,
        tx: Any,
        site: Site,
        config: Config,
        known: Iterable[str],
        ip: str = "",
        described: OAuthClient | None = None,
    ) -> None:
        self._tx = tx
        self._site = site
        resources = (f"{site.origin}{RESOURCE_PATH}", f"{site.url}{RESOURCE_PATH}")
        self._rules = Rules(
            *(tx, site.id, config, known, ip),
            () if site.agents == "off" else resources,
            described,
        )
        rules: Any = self._rules
        codes = _Codes(rules, pre_auth=[self._check_audience, _check_request])
        bearer: Any = BearerToken(
            rules,
            token_generator=lambda _: new_secret(),
            expires_in=config.oauth_access_minutes * 60,
        )
        self._authorization = AuthorizationEndpoint("code", bearer, {"code": codes})
        self._token = TokenEndpoint(
            "authorization_code",
            bearer,
            {
                "authorization_code": codes,
                "refresh_token": RefreshTokenGrant(rules),
                DEVICE_GRANT: DeviceCodeGrant(rules),
            },
        )
        generator: Any = new_user_code
        self._revocation = RevocationEndpoint(rules)
        self._introspection = IntrospectEndpoint(rules)
        self._device = DeviceAuthorizationEndpoint(
            rules,
            f"{site.origin}/oauth/device",
            expires_in=LIFE_S,
            interval=INTERVAL_S,
            verification_uri_complete=f"{site.origin}/oauth/device?user_code={{user_code}}",
            user_code_generator=generator,
        )

    # ---------------------------------------------------------------- consent of a person

    def validate(self, query: Pairs) -> AuthorizationRequest | RefusedRequest:
        """Check the query of an authorization request, decoded (name, value) pairs; return the request or, if it is
        refused, the reason. Nothing is written.
        """
        try:
            granted, found = self._authorization.validate_authorization_request(_uri(query))
        except FatalClientError as error:
            return RefusedRequest(_sentence(error), "")
        except OAuth2Error as error:
            return RefusedRequest(
                _sentence(error), self._told(error.in_uri(str(error.redirect_uri)))
            )
        request = found["request"]
        return AuthorizationRequest(
            *(request.client, granted, request.redirect_uri), self._rules.audience(request)
        )

    def _check_audience(self, request: Request) -> dict[str, Any]:
        """Raise InvalidTargetError for several resources, and for one that is not this site's MCP endpoint; else return
        {}: nothing that oauthlib should add to the request.
        """
        self._rules.audience(request)
        return {}

    def grant(self, query: Pairs, asked: AuthorizationRequest, user_id: int) -> str:
        """Issue an authorization code to the client of `asked`, for the account of the user `user_id`; return the
        redirect URI with the code. Without a scope in `asked` issue none, and return what `deny` does.

        `query`: the one for which `validate` has returned `asked`, of whose scopes the caller may have taken some or
        all away.
        """
        if not asked.scopes:  # oauthlib would grant those that `query` names
            return self.deny(query, asked)
        headers, _, _ = self._authorization.create_authorization_response(
            _uri(query), scopes=asked.scopes, credentials={"user": user_id}
        )
        return self._told(headers["Location"])

    def deny(self, query: Pairs, asked: AuthorizationRequest, error: str = "access_denied") -> str:
        """Return the redirect URI with an error of RFC 6749, 4.1.2.1, by default that of a person who has refused the
        request; nothing is written. `query`, `asked`: as in `grant`.
        """
        state = dict(query).get("state")
        told = [("error", error), *([("state", state)] if state else [])]
        mark = "&" if "?" in asked.redirect_uri else "?"
        return self._told(f"{asked.redirect_uri}{mark}{urlencode(told)}")

    def _told(self, location: str) -> str:
        """Return the redirect URI `location`, which has a query already, with the parameter `iss` added, by which a
        client of many providers can't mix them up (RFC 9207).
        """
        return f"{location}&{urlencode({'iss': self._site.origin})}"

    # ---------------------------------------------------------------- requests of a client

    def token(self, pairs: Pairs, authorization: str) -> OAuthAnswer:
        """Answer a token request: exchange a code, device code or refresh token for tokens (RFC 6749, 7636, 8628). A
        refusal is returned, not raised: the caller commits what was written. `pairs`: fields of the form;
        `authorization`: value of the header Authorization, "" for none.
        """
        return self._ask(self._token.create_token_response, pairs, authorization)

    def revoke(self, pairs: Pairs, authorization: str) -> OAuthAnswer:
        """Answer a request of a client to revoke one of its tokens (RFC 7009); the status is 200 also for a token that
        is not its own or unknown. `pairs`: fields of the form; `authorization`: value of the header Authorization, ""
        for none.
        """
        answer = self._ask(self._revocation.create_revocation_response, pairs, authorization)
        return OAuthAnswer(answer.status, answer.body or b"{}")

    def introspect(self, pairs: Pairs, authorization: str) -> OAuthAnswer:
        """Return the state of one of the client's own tokens: active or not, with scopes, expiry and profile (RFC
        7662). Not active: a token that is unknown or another client's, one of a person who is banned or has no profile
        on the site, and any for a client without a secret. `pairs`, `authorization`: as in `token`.
        """
        return self._ask(self._introspection.create_introspect_response, pairs, authorization)

    def device(self, pairs: Pairs, authorization: str) -> OAuthAnswer:
        """Issue a device code and a user code, for a device without a browser (RFC 8628); refused for a client that was
        not registered for that, and for a request that names a resource. `pairs`, `authorization`: as in `token`.
        """
        answer = self._ask(self._device.create_device_authorization_response, pairs, authorization)
        if answer.status != 200:
            return answer
        data = json.loads(answer.body)
        client = self._rules.client
        assert client is not None  # it was authenticated
        if not client.device_flow:
            return _refusal(UnauthorizedClientError())
        if any(name == "resource" for name, _ in pairs):
            return _refusal(InvalidTargetError("Tokens of devices are for the REST API alone"))
        DeviceCode(client.id, data["scope"].split()).insert(
            self._tx, self._site.id, data["device_code"], data["user_code"]
        )
        return answer

    @staticmethod
    def _ask(endpoint: Any, pairs: Pairs, authorization: str) -> OAuthAnswer:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if authorization:
            headers["Authorization"] = authorization
        sent = [(name, value) for name, value in pairs if name in _SENT]
        try:
            _, body, status = endpoint(_URI, http_method="POST", body=sent, headers=headers)
        except OAuth2Error as error:
            return _refusal(error)
        return OAuthAnswer(status, (json.dumps(body) if isinstance(body, dict) else body).encode())


# oauthlib demands a URL, whose content plays no part; TLS ends at the proxy.
_URI: Final = "https://provider.invalid/"


def _uri(query: Pairs) -> str:
    asked = [(name, value) for name, value in query if name in _ASKED]
    return f"{_URI}?{urlencode(asked)}" if asked else _URI


def _refusal(error: OAuth2Error) -> OAuthAnswer:
    return OAuthAnswer(error.status_code, error.json.encode())


def _sentence(error: OAuth2Error) -> str:
    return str(error.description or error.error).rstrip(".")


def _check_request(request: Request) -> dict[str, Any]:
    """Check what oauthlib does not: the form of PKCE's challenge, that the challenge and its method are not sent twice,
    and that `state` has at most _MOST_STATE characters. Raises InvalidRequestError.

    Returns {}: nothing that oauthlib should add to the request.
    """
    if request.code_challenge is not None and not _CHALLENGE.fullmatch(request.code_challenge):
        raise InvalidRequestError("code_challenge must be a SHA-256 in base64url", request=request)
    if request.state is not None and len(request.state) > _MOST_STATE:
        rule = f"state may have at most {_MOST_STATE} characters"
        # Empty, so that it is not sent back: a URL as long as that may not arrive.
        raise InvalidRequestError(rule, state="", request=request)
    for name in ("code_challenge", "code_challenge_method"):
        if name in request.duplicate_params:
            raise InvalidRequestError(f"Duplicate {name} parameter.", request=request)
    return {}
