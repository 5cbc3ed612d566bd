"""Shapes of access tokens, API keys, sessions, sign-in methods, second factors, and OAuth 2."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.parts import LinksMeta, Paged
from forumapi.wire.schemas.people import User
from forumapi.wire.schemas.values import Count, Id, Text, Time


class AccessToken(Struct, kw_only=True):
    """The access token that the request was sent with (platform 3.5). `clientId`: the operator's application by which
    its user signed in, 0 for none.
    """

    accessToken: str
    user: User
    clientId: Count
    created: Time
    expires: Time


class ApiKey(Struct, kw_only=True):
    """A token that the caller made for a program. `scopes` null: the token may do all that its user may."""

    id: Id
    name: Text
    prefix: Annotated[str, Meta(description="What the secret begins with.")]
    secret: Annotated[
        str | UnsetType, Meta(description="The token; only in the answer that makes it.")
    ] = UNSET
    forAgents: Annotated[
        bool,
        Meta(description="Good at the MCP endpoint of this site alone, else everywhere but there."),
    ]
    scopes: list[str] | None
    created: Time
    expires: Time
    lastUsed: Time | None
    meta: LinksMeta


LevelOfAgents = Literal["off", "read", "draft", "write"]


class AgentLevels(Struct, kw_only=True):
    """Levels of agents, which say how far agents may go in the caller's name: the site's, the caller's own, and the
    lower one of both.
    """

    site: Annotated[LevelOfAgents, Meta(description="What the site's owner lets agents do.")]
    own: Annotated[LevelOfAgents, Meta(description="What the caller lets theirs do.")]
    inForce: Annotated[LevelOfAgents, Meta(description="The lower one of both.")]


class ApiKeys(Struct, kw_only=True):
    """The caller's unexpired API keys that are good on this site, newest first."""

    keys: Paged[ApiKey]
    meta: LinksMeta


class Bot(Struct, kw_only=True):
    """A bot of the caller: the profile of a program, with its key. `scopes` and `expires` are those of the key;
    `expires` is null once the key has expired, or was ended.
    """

    id: Annotated[Id, Meta(description="Of its profile.")]
    profileName: Text
    secret: Annotated[
        str | UnsetType, Meta(description="The key; only in the answer that makes it.")
    ] = UNSET
    prefix: Annotated[
        str, Meta(description='What the secret begins with; "" once the key has ended.')
    ]
    scopes: list[str]
    created: Time
    expires: Time | None
    lastUsed: Time | None
    meta: LinksMeta


class Bots(Struct, kw_only=True):
    """The caller's bots on this site, oldest first."""

    bots: list[Bot]
    mayMake: Annotated[bool, Meta(description="The caller may make bots here.")]
    meta: LinksMeta


class Session(Struct, kw_only=True):
    """A session of the caller: a device on which they are signed in, by a token of its own."""

    id: Id
    current: Annotated[bool, Meta(description="The request came with it.")]
    userAgent: Annotated[str, Meta(description="What the device said it is, HTML-escaped.")]
    ip: Annotated[str, Meta(description="The address it was last used from.")]
    created: Time
    expires: Time
    lastUsed: Time | None
    meta: LinksMeta


class Sessions(Struct, kw_only=True):
    """The caller's unexpired sessions, newest first."""

    sessions: Paged[Session]
    meta: LinksMeta


class SignInMethod(Struct, kw_only=True):
    """A method to sign in, as a client shows it. `method`: the name that requests send; `title`: its name for people;
    `kind`: the form of the sign-in.
    """

    method: str
    title: str
    kind: Literal["code", "redirect", "assertion", "passkey", "development"]


class SignInMethods(Struct, kw_only=True):
    """The methods to sign in on a site that are enabled and fully configured."""

    methods: list[SignInMethod]


class Begun(Struct, kw_only=True):
    """Answer to the first step of a sign-in, or of registering a passkey: `location`, the provider's page to visit, or
    `publicKey`, the argument of the browser's passkey call. The client sends `flow` with the last step, and shows it to
    nobody.
    """

    flow: str
    location: str | UnsetType = UNSET
    publicKey: dict[str, Any] | UnsetType = UNSET


class SecondStep(Struct, kw_only=True):
    """Answer to a sign-in of a person with a second factor, in place of a token: the client sends a code of the second
    factor next, with `flow`.
    """

    secondFactor: Literal[True]
    flow: str


class Passkey(Struct, kw_only=True):
    """One of the caller's passkeys; `domain`: the domain on which the passkey signs in; `backedUp`: at its last use, or
    at its registration, the device said that the key is stored elsewhere too.
    """

    id: Id
    name: Text
    domain: str
    backedUp: bool
    created: Time
    lastUsed: Time | None


class Passkeys(Struct, kw_only=True):
    """The caller's passkeys, oldest first."""

    passkeys: list[Passkey]


class OneTime(Struct, kw_only=True):
    """The state of the caller's second factor; `since`: from when it is on, null while it is off; `recoveryCodes`:
    number of codes that are still good.
    """

    enabled: bool
    since: Time | None
    recoveryCodes: Count


class OneTimeSecret(Struct, kw_only=True):
    """A new secret of the caller for an authenticator app (TOTP), which counts once a code of the app has confirmed it;
    `uri`: its otpauth address, for a QR code.
    """

    secret: str
    uri: str


class RecoveryCodes(Struct, kw_only=True):
    """The caller's new recovery codes, in case the app is lost: each is good once, and no later answer shows them."""

    recoveryCodes: list[str]


class SignInAddress(Struct, kw_only=True):
    """The e-mail address by which the caller signs in."""

    email: str


class SettingField(Struct, kw_only=True):
    """Description of a setting that a sign-in method can have, without its value."""

    name: str
    kind: Literal["text", "secret", "url", "urls"]
    required: bool
    description: str


class SiteAuthMethod(SignInMethod, kw_only=True):
    """A sign-in method, as the site's owner sees it. `ready`: all required settings are set; `own`: set up by the
    site's owner, not by the platform. `fields`: the settings that the method can have; `settings`: the site's own
    values of them, by name, without secrets; `secrets`: names of the secrets that are set.
    """

    enabled: bool
    ready: bool
    own: bool
    settings: dict[str, Any]
    secrets: list[str]
    fields: list[SettingField]


class SiteAuth(Struct, kw_only=True):
    """The ways to sign in on a site, as its owner sees them, with those that are switched off. `secondFactor` true:
    people without a second factor moderate nothing there.
    """

    secondFactor: bool
    methods: list[SiteAuthMethod]


class Scope(Struct, kw_only=True):
    """A scope, to which a token can be limited."""

    scope: Annotated[str, Meta(examples=["comments:read"])]
    description: Annotated[str, Meta(description="What it lets one do, for people.")]


class OAuthClient(Struct, kw_only=True):
    """An OAuth client: a program that asks people of a site to let it act for them. `id` is its client_id."""

    id: Id
    name: Text
    confidential: Annotated[bool, Meta(description="It has a secret.")]
    secret: Annotated[str | UnsetType, Meta(description="Only in the answer that makes it.")] = (
        UNSET
    )
    redirectUris: list[str]
    scopes: Annotated[list[str], Meta(description="What it may ask for at most.")]
    deviceFlow: Annotated[bool, Meta(description="It may ask for device codes.")]
    created: Time
    meta: LinksMeta


class OAuthClients(Struct, kw_only=True):
    """The OAuth clients that are registered with a site, oldest first."""

    clients: Paged[OAuthClient]
    meta: LinksMeta


class OAuthGrant(Struct, kw_only=True):
    """A grant of the caller to an OAuth client, with which the client acts for the caller."""

    id: Id
    clientId: Id
    clientName: Text
    clientHost: Annotated[
        str | UnsetType,
        Meta(description="Host of the document of a client that nobody has registered."),
    ] = UNSET
    forAgents: Annotated[bool, Meta(description="Its tokens are good at the MCP endpoint alone.")]
    scopes: list[Scope]
    created: Time
    refreshed: Annotated[str, Meta(description="When the client last came for a new token.")]
    meta: LinksMeta


class OAuthGrants(Struct, kw_only=True):
    """The caller's grants to OAuth clients, newest first."""

    grants: Paged[OAuthGrant]
    meta: LinksMeta


class OAuthTokens(Struct, kw_only=True):
    """Answer to a token request of an OAuth client: a new access token and a refresh token (RFC 6749, section 5.1)."""

    access_token: str
    expires_in: Annotated[int, Meta(ge=1, description="Seconds.")]
    token_type: Literal["Bearer"]
    scope: str
    refresh_token: str


class OAuthDevice(Struct, kw_only=True):
    """Answer to the device authorization request of an OAuth client: `device_code`, for the client to poll with, and
    `user_code`, for the person to enter (RFC 8628, section 3.2).
    """

    verification_uri: str
    expires_in: Annotated[int, Meta(ge=1, description="Seconds.")]
    user_code: str
    device_code: str
    interval: Annotated[int, Meta(ge=1, description="Seconds to wait between polls.")]
    scope: str
    verification_uri_complete: str


class OAuthIntrospection(Struct, kw_only=True):
    """Answer to an OAuth client that asks about one of its tokens (RFC 7662, section 2.2); for an inactive token
    `active` alone.
    """

    active: bool
    scope: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    token_type: str | UnsetType = UNSET
    exp: Annotated[int, Meta(description="Seconds since 1970.")] | UnsetType = UNSET
    iat: Annotated[int, Meta(description="Seconds since 1970.")] | UnsetType = UNSET
    sub: Annotated[str, Meta(description="The id of the profile.")] | UnsetType = UNSET


class OAuthError(Struct, kw_only=True):
    """Answer of the OAuth addresses to a request that they refuse (RFC 6749, section 5.2), without an envelope."""

    error: Annotated[str, Meta(examples=["invalid_grant"])]
    error_description: str | UnsetType = UNSET
    error_uri: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
