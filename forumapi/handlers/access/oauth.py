"""Endpoints of the OAuth provider for clients: tokens, revocation, introspection. Wire: docs/api/oauth.md.

Bodies, answers and errors are those of the protocol, without the envelope; errors that are found before its rules are
looked at (an unreadable body, too many requests) are in the envelope.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import parse_qsl

from msgspec import UNSET, Struct, UnsetType, structs

from forumapi.auth.oauth_provider import OAuthAnswer, OAuthProvider, Pairs
from forumapi.auth.oauth_request_validator import GRANT_TYPES
from forumapi.models.access.oauth_client import OAuthClient
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Handler, needs
from forumapi.request.handler_results import RawResponse, Result
from forumapi.wire.json_fragments import dumps
from forumapi.wire.openapi_enums import closed
from forumapi.wire.schemas import access as schemas

_JSON = "application/json"


class TokenBody(Struct):
    """Body of a token request (RFC 6749). A confidential client sends its id and secret here or as HTTP Basic.
    `resource` (RFC 8707): address of the site's MCP endpoint, for tokens that are good there alone.
    """

    grant_type: Annotated[str, closed(GRANT_TYPES)] | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    client_secret: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    code_verifier: str | UnsetType = UNSET
    redirect_uri: str | UnsetType = UNSET
    resource: str | UnsetType = UNSET
    refresh_token: str | UnsetType = UNSET
    device_code: str | UnsetType = UNSET
    scope: str | UnsetType = UNSET


class AboutTokenBody(Struct):
    """Body of a revocation (RFC 7009) or an introspection (RFC 7662): the token to revoke or to describe."""

    token: str | UnsetType = UNSET
    token_type_hint: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    client_secret: str | UnsetType = UNSET


class DeviceBody(Struct):
    """Body of a device authorization request (RFC 8628)."""

    client_id: str | UnsetType = UNSET
    client_secret: str | UnsetType = UNSET
    scope: str | UnsetType = UNSET


def provider(ctx: Context, described: OAuthClient | None = None) -> OAuthProvider:
    """Make the OAuth provider of the request's site, which reads and writes in the request's transaction. `described`:
    the client of an authorization request, if its id is the URL of a document.
    """
    app = ctx.app
    return OAuthProvider(ctx.reader, ctx.site, app.config, app.scopes, ctx.ip, described)


class OAuthEndpointHandler(Handler):
    """Base class of OAuth's endpoints for clients: no bearer token is read, and errors are JSON as OAuth has it.

    `OAuthProvider` authenticates the client, by an id and a secret in the body or as HTTP Basic; 401 if it fails to.
    Other refusals are 400 with OAuth's `error`; what was written before, such as the end of a grant, is committed.
    """

    ignores_token = True
    takes_idempotency_key = False
    error_form = "OAuth"
    also_answers = {"POST": (401,)}


def _ask(ctx: Context, sent: Struct, ask: Callable[[Pairs, str], OAuthAnswer]) -> Result:
    answer = ask(_pairs(ctx, sent), ctx.environ.get("HTTP_AUTHORIZATION", ""))
    headers = [("Pragma", "no-cache")]
    if answer.status == 401:
        headers.append(("WWW-Authenticate", f'Basic realm="{ctx.site.host}"'))
    return RawResponse(answer.body, _JSON, tuple(headers), answer.status)


def _pairs(ctx: Context, sent: Struct) -> list[tuple[str, str]]:
    """Return the parameters in a request's body as pairs of name and value: of a form in the order sent, a name that is
    sent twice in two pairs; of a JSON body those of `sent`, the decoded object, without absent ones.
    """
    if ctx.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() == _JSON:
        fields: dict[str, Any] = structs.asdict(sent)
        return [(name, value) for name, value in fields.items() if value is not UNSET]
    return parse_qsl(ctx.raw_body.decode("ascii"), keep_blank_values=True)


class OAuthTokenHandler(OAuthEndpointHandler):
    """Token endpoint of the OAuth provider (RFC 6749, section 3.2)."""

    @needs(ANYONE, body=TokenBody, answer=schemas.OAuthTokens, media_type=_JSON)
    def post(self, ctx: Context, sent: TokenBody) -> Result:
        """Exchange an authorization code (with its PKCE verifier), a device code or a refresh token for an access token
        and a refresh token.

        Each refresh token is good once: the answer has the next one. A code or refresh token that is presented a second
        time ends all tokens of its grant. 400 with the `error` of RFC 6749 if the request is refused, 401 if the client
        is unknown or its secret wrong.
        """
        return _ask(ctx, sent, provider(ctx).token)


class OAuthRevokeHandler(OAuthEndpointHandler):
    """Revocation of tokens by the client that they were issued to (RFC 7009)."""

    @needs(ANYONE, body=AboutTokenBody, answer=dict[str, str], media_type=_JSON)
    def post(self, ctx: Context, sent: AboutTokenBody) -> Result:
        """End an access token, or with a refresh token all tokens of its grant; 200 also for an unknown token and for
        another client's, which stays.
        """
        return _ask(ctx, sent, provider(ctx).revoke)


class OAuthIntrospectHandler(OAuthEndpointHandler):
    """Introspection of tokens by the confidential client that they were issued to (RFC 7662)."""

    @needs(ANYONE, body=AboutTokenBody, answer=schemas.OAuthIntrospection, media_type=_JSON)
    def post(self, ctx: Context, sent: AboutTokenBody) -> Result:
        """Describe a valid token of the confidential client that asks; `active: false` alone for an expired, unknown or
        another client's token, for a token of a banned person, and for a client without a secret.
        """
        return _ask(ctx, sent, provider(ctx).introspect)


class OAuthDeviceHandler(OAuthEndpointHandler):
    """Device authorization, for devices without a browser (RFC 8628)."""

    @needs(ANYONE, body=DeviceBody, answer=schemas.OAuthDevice, media_type=_JSON)
    def post(self, ctx: Context, sent: DeviceBody) -> Result:
        """Begin the device flow (RFC 8628): a device code and a user code.

        The client polls the token endpoint with the device code, while a person types the user code at
        `verification_uri`. 400 for a client that was not registered for the device flow.
        """
        return _ask(ctx, sent, provider(ctx).device)


class OAuthMetadataHandler(Handler):
    """Metadata of the OAuth provider (RFC 8414)."""

    ignores_token = True

    @needs(ANYONE, answer=dict[str, Any], media_type=_JSON)
    def get(self, ctx: Context) -> Result:
        """The endpoints, scopes and methods of the OAuth provider, in the form of RFC 8414, without the envelope."""
        origin = ctx.site.origin
        api = f"{origin}/api/v1/oauth"
        ways = ["client_secret_basic", "client_secret_post"]
        document = {
            "issuer": origin,
            "authorization_endpoint": f"{origin}/oauth/authorize",
            "token_endpoint": f"{api}/token",
            "device_authorization_endpoint": f"{api}/device",
            "revocation_endpoint": f"{api}/revoke",
            "introspection_endpoint": f"{api}/introspect",
            "scopes_supported": ctx.app.scopes,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": GRANT_TYPES,
            "token_endpoint_auth_methods_supported": [*ways, "none"],
            "revocation_endpoint_auth_methods_supported": [*ways, "none"],
            "introspection_endpoint_auth_methods_supported": ways,
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "client_id_metadata_document_supported": True,
            "service_documentation": f"{origin}/api/v1/docs",
        }
        return RawResponse(dumps(document), _JSON)
