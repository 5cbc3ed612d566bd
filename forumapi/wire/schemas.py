"""Wire shapes: one struct per object of an answer, keys in wire order, with the wire's names.

The OpenAPI document is made from these structs, and every answer of the test suite is checked against it. A key that
may be absent is `T | UnsetType = UNSET`; a key that is always there and may be null is `T | None`. The structs make no
answers: documents are encoded by their models.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

T = TypeVar("T")

# ---------------------------------------------------------------- values (platform 1.9)

Id = Annotated[int, Meta(ge=1, description="An id, unique among things of its type.")]
NoneOrId = Annotated[int, Meta(ge=0, description="An id; 0 for none.")]
Count = Annotated[int, Meta(ge=0)]
Time = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{0,5}[1-9])?Z$",
        description="RFC 3339 in UTC; at most six fractional digits, trailing zeros left out.",
        examples=["2026-03-01T18:22:07.4Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
Text = Annotated[str, Meta(description="Plain text, HTML-escaped: insert it as it is.")]
Address = Annotated[
    str, Meta(description="A reference relative to the host, such as /api/v1/conversations/88.")
]
ReactionCounts = Annotated[
    dict[str, Annotated[int, Meta(ge=1)]],
    Meta(
        description="How many of each reaction it got; absent without any.", examples=[{"like": 3}]
    ),
]
ItemTypeName = Annotated[
    str, Meta(description="The name of an item type.", examples=["conversation"])
]
CommentableName = Literal["conversation", "event", "poll", "huddle", "profile"]
ContainedName = Literal["microcosm", "conversation", "event", "poll"]

# ---------------------------------------------------------------- parts


class Link(Struct, kw_only=True):
    """A named address (platform 1.10)."""

    rel: Annotated[str, Meta(description="What is found there.")]
    href: Address
    title: Text | UnsetType = UNSET


class MenuEntry(Struct, kw_only=True):
    """One entry of a site's menu (platform 2.3)."""

    href: Annotated[str, Meta(description="A relative reference, or http, https, mailto.")]
    title: Text | UnsetType = UNSET
    text: Text


class Stat(Struct, kw_only=True):
    """One figure of a site or profile."""

    metric: Annotated[str, Meta(description="What is counted.", examples=["totalComments"])]
    value: Count


class Permissions(Struct, kw_only=True):
    """Rights of the caller on the object, computed for each request (platform 1.13 and 5.4)."""

    create: Annotated[bool, Meta(description="Create something under it.")]
    read: bool
    update: bool
    delete: bool
    closeOwn: Annotated[bool, Meta(description="Close an own item.")]
    openOwn: Annotated[bool, Meta(description="Open an own item again.")]
    readOthers: bool
    guest: Annotated[bool, Meta(description="The caller has no profile on this site.")]
    banned: bool
    owner: Annotated[bool, Meta(description="The caller made it, or it is the caller.")]
    moderator: bool
    siteOwner: bool


class Paged(Struct, Generic[T], kw_only=True):
    """One page of a list (platform 1.8)."""

    total: Annotated[int, Meta(ge=0, description="Entries of the whole list.")]
    limit: Annotated[int, Meta(ge=5, le=250, multiple_of=5)]
    offset: Count
    maxOffset: Annotated[int, Meta(ge=0, description="The offset of the last page.")]
    totalPages: Annotated[int, Meta(ge=0, description="0 for an empty list.")]
    page: Annotated[int, Meta(ge=1, description="Counted from 1, also for an empty list.")]
    links: Annotated[
        list[Link], Meta(description="first, prev, self, next, last, as far as they exist.")
    ]
    type: Address
    items: list[T]


class Breadcrumb(Struct, kw_only=True):
    """A microcosm above the thing shown (content 1.9); the outermost comes first, the root is left out."""

    rel: Literal["microcosm ancestor"]
    href: Address
    title: Text
    id: Id
    level: Annotated[int, Meta(ge=2, description="Depth in the tree; the root is 1.")]


class RowError(Struct, kw_only=True):
    """Broken rule of one row of a list that was sent."""

    row: Annotated[int, Meta(ge=1, description="Counted from 1; of CSV the line.")]
    field: str
    rule: str


class ErrorDetail(Struct, kw_only=True):
    """`data` of every error (platform 1.6)."""

    siteId: Annotated[int, Meta(ge=0, description="0 when the site is unknown.")]
    profileId: Annotated[int, Meta(ge=1, description="The caller.")] | UnsetType = UNSET
    errorCode: Annotated[int, Meta(ge=0, le=25, description="A stable code; 0 when none fits.")]
    errorDetail: Annotated[str, Meta(description="The same text as error[0].")]
    scope: Annotated[str, Meta(description="The scope that the token lacks.")] | UnsetType = UNSET
    rows: (
        Annotated[list[RowError], Meta(description="Of a batch: its wrong rows, at most 1,000.")]
        | UnsetType
    ) = UNSET


# ---------------------------------------------------------------- profiles (platform 4)


class NoFlags(Struct, kw_only=True):
    """Always empty."""


class ProfileSummaryMeta(Struct, kw_only=True):
    """`meta` of a profile summary."""

    flags: NoFlags
    links: list[Link]


class ProfileSummary(Struct, kw_only=True):
    """A profile as it is embedded everywhere (platform 4.2)."""

    id: Id
    siteId: Id
    userId: Annotated[Id, Meta(description="The user's to oneself; of others the profile's.")]
    profileName: Text
    visible: bool
    avatar: Annotated[str, Meta(max_length=125, description='Address of a picture; "" for none.')]
    meta: ProfileSummaryMeta


class ProfileFlags(Struct, kw_only=True):
    """The caller's own relation to a profile, or to the list of people."""

    watched: Literal[True] | UnsetType = UNSET
    ignored: Literal[True] | UnsetType = UNSET
    sendEmail: bool | UnsetType = UNSET
    sendSMS: bool | UnsetType = UNSET


class ProfileMeta(Struct, kw_only=True):
    """`meta` of a profile."""

    flags: ProfileFlags
    stats: Annotated[list[Stat], Meta(description="unreadHuddles.")] | UnsetType = UNSET
    links: list[Link]
    permissions: Permissions


class Profile(Struct, kw_only=True):
    """A user's face on one site (platform 4.3)."""

    id: Id
    siteId: Id
    userId: Annotated[Id, Meta(description="The user's to oneself; of others the profile's.")]
    email: str | UnsetType = UNSET
    profileName: Text
    member: Literal[True] | UnsetType = UNSET
    gender: Text | UnsetType = UNSET
    visible: bool
    styleId: Count
    itemCount: Annotated[int, Meta(ge=0, description="Visible conversations made by the profile.")]
    commentCount: Count
    profileComment: CommentSummary | None
    created: Time
    lastActive: Time
    avatar: Annotated[str, Meta(max_length=125, description='Address of a picture; "" for none.')]
    meta: ProfileMeta


class PeopleMeta(Struct, kw_only=True):
    """`meta` of the list of people."""

    flags: ProfileFlags
    links: list[Link]
    permissions: Permissions


class Profiles(Struct, kw_only=True):
    """The list of people (platform 4.3)."""

    profiles: Paged[ProfileSummary]
    meta: PeopleMeta


class ProfileOptions(Struct, kw_only=True):
    """A profile's own options (platform 4.3)."""

    profileId: Id
    showDOB: bool
    showDOBYear: bool
    sendEmail: Annotated[bool, Meta(description="Master switch of notification mail.")]
    sendSMS: bool
    isDiscouraged: bool


class UserMeta(Struct, kw_only=True):
    """`meta` of a user."""

    links: list[Link]


class User(Struct, kw_only=True):
    """One person across the platform (platform 4.1)."""

    userId: Id
    email: str
    gender: str | None
    language: str | UnsetType = UNSET
    created: Time
    state: Literal["email_confirm", "valid", "email_confirm_edit"] | None
    banned: Literal[True] | UnsetType = UNSET
    dobDay: Annotated[int, Meta(ge=1, le=31)] | None
    dobMonth: Annotated[int, Meta(ge=1, le=12)] | None
    dobYear: int | None
    canonicalEmail: str | UnsetType = UNSET
    meta: UserMeta


class BatchRow(Struct, kw_only=True):
    """Result of one row of a batch of members."""

    row: Annotated[int, Meta(ge=1, description="Counted from 1; of CSV the line.")]
    profileId: Id
    outcome: Annotated[
        Literal["created", "granted", "revoked", "unchanged", "folded"],
        Meta(description="created: got a profile; folded: a later row for the same person counts."),
    ]


class BatchReport(Struct, kw_only=True):
    """Result of a batch of members."""

    profiles: Annotated[int, Meta(ge=0, description="New to the site.")]
    granted: Count
    revoked: Count
    unchanged: Count
    folded: Count
    invited: Annotated[int, Meta(ge=0, description="Mails that were put on their way.")]
    rows: list[BatchRow]


class AccessToken(Struct, kw_only=True):
    """The token that was presented (platform 3.5)."""

    accessToken: str
    user: User
    clientId: Count
    created: Time
    expires: Time


# ---------------------------------------------------------------- keys and sessions (docs/api/tokens.md)


class LinksMeta(Struct, kw_only=True):
    """`meta` of a list that nobody is refused."""

    links: list[Link]


class ApiKey(Struct, kw_only=True):
    """A token that its user made for a program. Without scopes (null) it may do all that its user may."""

    id: Id
    name: Text
    prefix: Annotated[str, Meta(description="What the secret begins with.")]
    secret: Annotated[str, Meta(description="The token; only in the answer that makes it.")] | (
        UnsetType
    ) = UNSET
    scopes: list[str] | None
    created: Time
    expires: Time
    lastUsed: Time | None
    meta: LinksMeta


class ApiKeys(Struct, kw_only=True):
    """The caller's keys for this site."""

    keys: Paged[ApiKey]
    meta: LinksMeta


class Session(Struct, kw_only=True):
    """One signed-in device of the caller."""

    id: Id
    current: Annotated[bool, Meta(description="The request came with it.")]
    userAgent: Annotated[str, Meta(description="What the device said it is, HTML-escaped.")]
    ip: Annotated[str, Meta(description="The address it was last used from.")]
    created: Time
    expires: Time
    lastUsed: Time | None
    meta: LinksMeta


class Sessions(Struct, kw_only=True):
    """Sessions in which the caller is signed in."""

    sessions: Paged[Session]
    meta: LinksMeta


# ---------------------------------------------------------------- signing in (platform 3)


class SignInMethod(Struct, kw_only=True):
    """A way to sign in, as clients show it."""

    method: str
    title: str
    kind: Literal["code", "redirect", "assertion", "passkey", "development"]


class SignInMethods(Struct, kw_only=True):
    """The ways to sign in on a site."""

    methods: list[SignInMethod]


class Begun(Struct, kw_only=True):
    """The first step of a sign-in; `flow` is the client's secret until the last one."""

    flow: str
    location: str | UnsetType = UNSET
    publicKey: dict[str, Any] | UnsetType = UNSET


class SecondStep(Struct, kw_only=True):
    """Challenge that a sign-in answers in place of a token when a second factor is demanded."""

    secondFactor: Literal[True]
    flow: str


class Passkey(Struct, kw_only=True):
    """One of the caller's passkeys; `domain` is where it is good."""

    id: Id
    name: Text
    domain: str
    backedUp: bool
    created: Time
    lastUsed: Time | None


class Passkeys(Struct, kw_only=True):
    """The caller's passkeys."""

    passkeys: list[Passkey]


class OneTime(Struct, kw_only=True):
    """The caller's second factor."""

    enabled: bool
    since: Time | None
    recoveryCodes: Count


class OneTimeSecret(Struct, kw_only=True):
    """Secret for an authenticator app (TOTP); `uri` is for a QR code."""

    secret: str
    uri: str


class RecoveryCodes(Struct, kw_only=True):
    """Codes for when the app is lost: each counts once, and they are shown once."""

    recoveryCodes: list[str]


class SettingField(Struct, kw_only=True):
    """One thing that a way to sign in has to be told."""

    name: str
    kind: Literal["text", "secret", "url", "urls"]
    required: bool
    description: str


class SiteAuthMethod(Struct, kw_only=True):
    """A way to sign in, as the site's owner sees it. `secrets` are the names of those that are set."""

    method: str
    title: str
    kind: Literal["code", "redirect", "assertion", "passkey", "development"]
    enabled: bool
    ready: bool
    own: bool
    settings: dict[str, Any]
    secrets: list[str]
    fields: list[SettingField]


class SiteAuth(Struct, kw_only=True):
    """Sign-in settings of a site."""

    secondFactor: bool
    methods: list[SiteAuthMethod]


# ---------------------------------------------------------------- mail about updates


class MailTemplate(Struct, kw_only=True):
    """A template of mail, as the site's owner sees it. `own`: the site has replaced it."""

    name: str
    description: str
    own: bool
    subject: Annotated[str, Meta(description="One line of plain text with $names.")]
    text: Annotated[str, Meta(description="The plain text part, with $names.")]
    html: Annotated[str, Meta(description="The HTML part, with $names.")]
    names: Annotated[list[str], Meta(description="What may stand in it after a $.")]


class MailTemplates(Struct, kw_only=True):
    """All templates of a site's mail."""

    templates: list[MailTemplate]


class SignInAddress(Struct, kw_only=True):
    """The address by which the caller signs in."""

    email: str


class SiteOptions(Struct, kw_only=True):
    """Options of a site as they count now."""

    membersCreateMicrocosms: Annotated[bool, Meta(description="Else its owner alone.")]
    sendEmail: Annotated[bool, Meta(description="Of profiles that are made from now on.")]
    sendSMS: Annotated[bool, Meta(description="Likewise.")]


class LegalTemplate(Struct, kw_only=True):
    """A legal document as the site's owner edits it. `own`: the site has replaced it."""

    name: Literal["cookies", "privacy", "terms"]
    own: bool
    html: Annotated[str, Meta(description='The text, with $names; "" where there is a link.')]
    link: Annotated[str, Meta(description='Where it is kept instead; "" for here.')]
    lastModified: Time
    names: Annotated[list[str], Meta(description="What may stand in it after a $.")]


class LegalTemplates(Struct, kw_only=True):
    """All legal documents of a site, as its owner edits them."""

    documents: list[LegalTemplate]


class SiteOffer(Struct, kw_only=True):
    """An offer to own a site."""

    to: ProfileSummary
    by: ProfileSummary
    expires: Time


class Bounce(Struct, kw_only=True):
    """Why no mail about updates goes to an address any more."""

    reason: Literal["refused", "reported"]
    detail: Annotated[str, Meta(description="What the mail server said.")]
    since: Time


class EmailSettings(Struct, kw_only=True):
    """The caller's own mail: the address, what came back from it, and the digest."""

    profileId: Id
    email: str
    bounce: Bounce | None
    digest: Literal["none", "daily", "weekly"]
    timeZone: Annotated[str, Meta(examples=["Europe/Berlin"])]
    nextDigest: Time | None


# ---------------------------------------------------------------- roles (platform 5)


class ProfilePreview(Struct, kw_only=True):
    """The beginning of a list of people inside another answer (platform 1.8)."""

    total: Annotated[int, Meta(ge=0, description="Entries of the whole list.")]
    limit: Count
    offset: Count
    maxOffset: Count
    totalPages: Count
    page: Count
    type: Address
    items: list[ProfileSummary]


class RoleMeta(Struct, kw_only=True):
    """`meta` of a role."""

    created: Time
    createdBy: ProfileSummary | None
    edited: Time | UnsetType = UNSET
    editedBy: ProfileSummary | UnsetType = UNSET
    editReason: Text | UnsetType = UNSET
    links: list[Link]
    permissions: Permissions | UnsetType = UNSET


class Role(Struct, kw_only=True):
    """A named set of rights on a microcosm and those below that inherit it (platform 5.2)."""

    id: Id
    title: Text
    siteId: Id
    microcosmId: Id
    moderator: bool
    banned: Annotated[bool, Meta(description="Its members get nothing, whatever other roles say.")]
    includeGuests: Annotated[bool, Meta(description="Those who are not signed in, and only they.")]
    includeUsers: Annotated[bool, Meta(description="Everybody with a profile.")]
    create: bool
    read: bool
    update: Annotated[bool, Meta(description="Change what others wrote.")]
    delete: Annotated[bool, Meta(description="Delete what others wrote.")]
    closeOwn: bool
    openOwn: bool
    readOthers: bool
    meta: RoleMeta
    members: (
        Annotated[
            ProfilePreview,
            Meta(description="In lists: who is in it; entries for moderators."),
        ]
        | UnsetType
    ) = UNSET
    losing: (
        Annotated[
            ProfilePreview,
            Meta(
                description="In lists, for moderators: who is in it by their own word alone, and will not be."
            ),
        ]
        | UnsetType
    ) = UNSET


class Roles(Struct, kw_only=True):
    """The roles that apply to a microcosm (platform 5.5)."""

    roles: Paged[Role]
    defaultRoles: (
        Annotated[bool, Meta(description="Present and true where all regular roles are inherited.")]
        | UnsetType
    ) = UNSET
    meta: NoFlags


class RoleProfiles(Struct, kw_only=True):
    """The profiles that are named in a role (platform 5.5)."""

    profiles: Paged[ProfileSummary]
    meta: NoFlags


class Criterion(Struct, kw_only=True):
    """Criterion of a role on profiles (platform 5.3); exactly one of `profileColumn` and `attrKey` is there."""

    id: Id
    orGroup: Annotated[int, Meta(description="Those of one group must all hold.")]
    profileColumn: str | UnsetType = UNSET
    attrKey: str | UnsetType = UNSET
    predicate: Literal["eq", "ne", "neq", "lt", "le", "ge", "gt", "substr", "nsubstr"]
    value: bool | float | str


class Criteria(Struct, kw_only=True):
    """The criteria of a role (platform 5.5)."""

    criteria: Paged[Criterion]
    meta: NoFlags


class MetCriterion(Criterion, kw_only=True):
    """A criterion that a profile meets, with what it was compared with."""

    actual: (
        Annotated[
            bool | float | str,
            Meta(description="The profile's value; null where it has none, or is not shown."),
        ]
        | None
    )


class RoleReason(Struct, kw_only=True):
    """Why a profile is in a role."""

    profileId: Id
    explicit: Annotated[bool, Meta(description="It is named.")]
    everyone: Annotated[bool, Meta(description="Everybody with a profile is.")]
    criteria: Annotated[
        list[MetCriterion], Meta(description="Those of each group that it meets as a whole.")
    ]


class RoleMembers(Struct, kw_only=True):
    """Everyone whom a role covers (platform 5.5)."""

    profiles: Paged[ProfileSummary]
    meta: NoFlags
    reasons: list[RoleReason] | UnsetType = UNSET


class DryRun(Struct, kw_only=True):
    """Effect that a change of criteria would have; nothing was written."""

    joins: ProfilePreview
    leaves: ProfilePreview
    selfGranted: Annotated[
        ProfilePreview,
        Meta(
            description="Kept out: the attribute fits, but its holder wrote it, not the site's owner."
        ),
    ]


# ---------------------------------------------------------------- OAuth 2 (docs/api/oauth.md)


class Scope(Struct, kw_only=True):
    """Scope that limits a token."""

    scope: Annotated[str, Meta(examples=["comments:read"])]
    description: Annotated[str, Meta(description="What it lets one do, for people.")]


class OAuthClient(Struct, kw_only=True):
    """A program that asks the people of a site for leave to act for them. `id` is its client_id."""

    id: Id
    name: Text
    confidential: Annotated[bool, Meta(description="It has a secret.")]
    secret: Annotated[str, Meta(description="Only in the answer that makes it.")] | UnsetType = (
        UNSET
    )
    redirectUris: list[str]
    scopes: Annotated[list[str], Meta(description="What it may ask for at most.")]
    deviceFlow: Annotated[bool, Meta(description="It may ask for device codes.")]
    created: Time
    meta: LinksMeta


class OAuthClients(Struct, kw_only=True):
    """The clients of a site."""

    clients: Paged[OAuthClient]
    meta: LinksMeta


class OAuthGrant(Struct, kw_only=True):
    """Grant of the caller to a client."""

    id: Id
    clientId: Id
    clientName: Text
    scopes: list[Scope]
    created: Time
    refreshed: Annotated[str, Meta(description="When the client last came for a new token.")]
    meta: LinksMeta


class OAuthGrants(Struct, kw_only=True):
    """The clients that may act for the caller."""

    grants: Paged[OAuthGrant]
    meta: LinksMeta


class OAuthTokens(Struct, kw_only=True):
    """The answer to a token request (RFC 6749, section 5.1)."""

    access_token: str
    expires_in: Annotated[int, Meta(ge=1, description="Seconds.")]
    token_type: Literal["Bearer"]
    scope: str
    refresh_token: str


class OAuthDevice(Struct, kw_only=True):
    """The answer to a device (RFC 8628, section 3.2)."""

    verification_uri: str
    expires_in: Annotated[int, Meta(ge=1, description="Seconds.")]
    user_code: str
    device_code: str
    interval: Annotated[int, Meta(ge=1, description="Seconds to wait between polls.")]
    scope: str
    verification_uri_complete: str


class OAuthIntrospection(Struct, kw_only=True):
    """Introspection of a token (RFC 7662, section 2.2)."""

    active: bool
    scope: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    token_type: str | UnsetType = UNSET
    exp: Annotated[int, Meta(description="Seconds since 1970.")] | UnsetType = UNSET
    iat: Annotated[int, Meta(description="Seconds since 1970.")] | UnsetType = UNSET
    sub: Annotated[str, Meta(description="The id of the profile.")] | UnsetType = UNSET


class OAuthError(Struct, kw_only=True):
    """A refusal of the protocol (RFC 6749, section 5.2)."""

    error: Annotated[str, Meta(examples=["invalid_grant"])]
    error_description: str | UnsetType = UNSET
    error_uri: str | UnsetType = UNSET
    state: str | UnsetType = UNSET


# ---------------------------------------------------------------- sites (platform 2)


class SiteFlags(Struct, kw_only=True):
    """Flag of a site: `deleted`."""

    deleted: bool


class SiteMeta(Struct, kw_only=True):
    """`meta` of a site."""

    created: Time
    createdBy: ProfileSummary | None
    flags: SiteFlags
    stats: list[Stat]
    links: list[Link]
    permissions: Permissions | UnsetType = UNSET


class Site(Struct, kw_only=True):
    """A tenant (platform 2.2)."""

    siteId: Id
    siteURL: Annotated[
        str, Meta(description="Its own domain, else where its API is; no trailing slash.")
    ]
    title: Text
    description: Text
    subdomainKey: str
    domain: Annotated[str, Meta(description='Its own domain; "" for none.')]
    webUrl: (
        Annotated[str, Meta(description="Where its pages are; mails and feeds lead there.")]
        | UnsetType
    ) = UNSET
    forceSSL: Literal[True] | UnsetType = UNSET
    ownedBy: ProfileSummary | None
    themeId: Id
    logoUrl: str
    faviconUrl: str | UnsetType = UNSET
    backgroundColor: str
    backgroundUrl: str | UnsetType = UNSET
    backgroundPosition: (
        Literal["tile", "cover", "tall", "wide", "left", "center", "right"] | UnsetType
    ) = UNSET
    linkColor: str
    gaWebPropertyId: str | UnsetType = UNSET
    menu: list[MenuEntry]
    auth0Domain: str | UnsetType = UNSET
    auth0ClientId: str | UnsetType = UNSET
    meta: SiteMeta


class Sites(Struct, kw_only=True):
    """The list of sites (platform 2.3)."""

    sites: Paged[Site]
    meta: LinksMeta


class Health(Struct, kw_only=True):
    """One thing that was looked at for a site's owner."""

    set: bool
    valid: bool
    error: Annotated[str, Meta(description='What is wrong; "" for nothing.')]
    value: Any


class SiteStatus(Struct, kw_only=True):
    """Health of the domains and sign-in methods that the owner configured (platform 2.3)."""

    site: Site
    domainHealth: Health
    backgroundUrlHealth: Health
    logoUrlHealth: Health
    analyticsIDHealth: Health


class Reserved(Struct, kw_only=True):
    """Availability of a subdomain: true if it is taken or reserved (platform 2.3)."""

    reserved: bool


class Index(Struct, kw_only=True):
    """Index of the API's first links (platform 2.3)."""

    links: list[Link]


class LegalIndex(Struct, kw_only=True):
    """The legal documents of this host (platform 6.1)."""

    links: list[Link]


class LegalDocument(Struct, kw_only=True):
    """A legal document, or a link to where it is kept (platform 6.1)."""

    link: str | UnsetType = UNSET
    html: str | UnsetType = UNSET
    lastModified: Time


# ---------------------------------------------------------------- items (content 3)


class SummaryFlags(Struct, kw_only=True):
    """The state of an item in a list (platform 1.12); `unread` only where a list says so."""

    sticky: bool
    open: bool
    deleted: bool
    moderated: bool
    visible: Annotated[bool, Meta(description="Neither deleted nor moderated.")]
    unread: bool | UnsetType = UNSET


class SummaryMeta(Struct, kw_only=True):
    """`meta` of an item in a list."""

    created: Time
    createdBy: ProfileSummary
    flags: SummaryFlags
    links: list[Link]


class DetailFlags(Struct, kw_only=True):
    """The state of an item, and the caller's own relation to it (platform 1.12)."""

    sticky: bool
    open: bool
    deleted: bool
    moderated: bool
    visible: Annotated[bool, Meta(description="Neither deleted nor moderated.")]
    watched: Literal[True] | UnsetType = UNSET
    ignored: Literal[True] | UnsetType = UNSET
    sendEmail: bool | UnsetType = UNSET
    sendSMS: bool | UnsetType = UNSET


class DetailMeta(Struct, kw_only=True):
    """`meta` of an item (content 1.9, MetaDetail)."""

    created: Time
    createdBy: ProfileSummary
    edited: Time | UnsetType = UNSET
    editedBy: ProfileSummary | UnsetType = UNSET
    editReason: Text | UnsetType = UNSET
    flags: DetailFlags
    links: list[Link]
    permissions: Permissions
    reactions: ReactionCounts | UnsetType = UNSET


class ListMeta(Struct, kw_only=True):
    """`meta` of a list of items; the permissions are those on the root microcosm."""

    links: list[Link]
    permissions: Permissions


class LastComment(Struct, kw_only=True):
    """The newest live comment of an item."""

    id: Id
    created: Time
    createdBy: ProfileSummary


class ConversationSummary(Struct, kw_only=True):
    """A conversation in a list (content 3.1)."""

    id: Id
    title: Text
    microcosmId: Id
    breadcrumb: list[Breadcrumb]
    totalComments: Count
    totalViews: Count
    lastComment: LastComment | UnsetType = UNSET
    meta: SummaryMeta


class EventSummaryFlags(Struct, kw_only=True):
    """The state of an event in a list."""

    sticky: bool
    open: bool
    deleted: bool
    moderated: bool
    visible: Annotated[bool, Meta(description="Neither deleted nor moderated.")]
    unread: bool | UnsetType = UNSET
    attending: bool


class EventSummaryMeta(Struct, kw_only=True):
    """`meta` of an event in a list."""

    created: Time
    createdBy: ProfileSummary
    flags: EventSummaryFlags
    links: list[Link]


class EventSummary(Struct, kw_only=True):
    """An event in a list (content 3.1 and 5.3)."""

    id: Id
    title: Text
    microcosmId: Id
    breadcrumb: list[Breadcrumb]
    when: (
        Annotated[str, Meta(description="Local time at the event, printed with a Z.")] | UnsetType
    ) = UNSET
    tz: str | UnsetType = UNSET
    whentz: Time | UnsetType = UNSET
    duration: Annotated[int, Meta(ge=1, description="Minutes.")] | UnsetType = UNSET
    where: Text | UnsetType = UNSET
    lat: float | UnsetType = UNSET
    lon: float | UnsetType = UNSET
    north: float | UnsetType = UNSET
    east: float | UnsetType = UNSET
    south: float | UnsetType = UNSET
    west: float | UnsetType = UNSET
    status: Literal["proposed", "upcoming", "postponed", "cancelled", "past"]
    rsvpLimit: Annotated[int, Meta(ge=0, description="0 for no limit.")]
    rsvpAttend: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    rsvpSpaces: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    totalComments: Count
    totalViews: Count
    lastComment: LastComment | UnsetType = UNSET
    meta: EventSummaryMeta


class ConversationEntry(Struct, kw_only=True, tag_field="itemType", tag="conversation"):
    """A conversation among items of several types."""

    item: ConversationSummary


class EventEntry(Struct, kw_only=True, tag_field="itemType", tag="event"):
    """An event among items of several types."""

    item: EventSummary


class MicrocosmEntry(Struct, kw_only=True, tag_field="itemType", tag="microcosm"):
    """A child microcosm among items."""

    item: MicrocosmSummary


ItemContainer = MicrocosmEntry | ConversationEntry | EventEntry
"""An entry of a microcosm's page: `itemType` says what `item` is (content 2.7)."""

# ---------------------------------------------------------------- microcosms (content 2)


class MicrocosmChild(Struct, kw_only=True):
    """A link to a child microcosm."""

    rel: Literal["microcosm child"]
    href: Address
    title: Text
    logoUrl: str | UnsetType = UNSET
    id: Id


class MicrocosmSummary(Struct, kw_only=True):
    """A microcosm in a list (content 2.5)."""

    id: Id
    parentId: Id | UnsetType = UNSET
    breadcrumb: list[Breadcrumb] | UnsetType = UNSET
    siteId: Id
    visibility: Literal["public", "protected", "private"]
    title: Text
    description: Text
    logoUrl: str
    itemTypes: list[ContainedName]
    children: list[MicrocosmChild] | UnsetType = UNSET
    moderators: Annotated[list[int], Meta(max_length=0, description="Reserved: always empty.")]
    totalItems: Annotated[int, Meta(ge=0, description="Items here and below.")]
    totalComments: Annotated[int, Meta(ge=0, description="Comments here and below.")]
    mostRecentUpdate: ConversationEntry | EventEntry | UnsetType = UNSET
    meta: SummaryMeta


class MicrocosmFlags(Struct, kw_only=True):
    """The state of a microcosm, and the caller's own relation to it."""

    sticky: bool
    open: bool
    deleted: bool
    moderated: bool
    visible: Annotated[bool, Meta(description="Neither deleted nor moderated.")]
    unread: bool
    watched: Literal[True] | UnsetType = UNSET
    ignored: Literal[True] | UnsetType = UNSET
    sendEmail: bool | UnsetType = UNSET
    sendSMS: bool | UnsetType = UNSET


class MicrocosmMeta(Struct, kw_only=True):
    """`meta` of a microcosm."""

    created: Time
    createdBy: ProfileSummary
    edited: Time | UnsetType = UNSET
    editedBy: ProfileSummary | UnsetType = UNSET
    editReason: Text | UnsetType = UNSET
    flags: MicrocosmFlags
    links: list[Link]
    permissions: Permissions


class Microcosm(Struct, kw_only=True):
    """A microcosm with a page of its child microcosms and items (content 2.4)."""

    id: Id
    parentId: Id | UnsetType = UNSET
    breadcrumb: list[Breadcrumb] | UnsetType = UNSET
    siteId: Id
    visibility: Literal["public", "protected", "private"]
    title: Text
    description: Text
    logoUrl: Annotated[str, Meta(description='"" for none.')]
    itemTypes: list[ContainedName]
    moderators: Annotated[list[int], Meta(max_length=0, description="Reserved: always empty.")]
    items: Paged[ItemContainer]
    meta: MicrocosmMeta


class MicrocosmTreeNode(Struct, kw_only=True):
    """One microcosm of the flat tree; parents come before children (content 2.6)."""

    rel: Literal["microcosm"]
    href: Address
    title: Text
    id: Id
    level: Annotated[int, Meta(ge=1, description="Depth in the tree; the root is 1.")]
    parentId: Id | UnsetType = UNSET


# ---------------------------------------------------------------- conversations (content 4)


class Conversation(Struct, kw_only=True):
    """A conversation with a page of its comments (content 4.3)."""

    id: Id
    title: Text
    microcosmId: Id
    breadcrumb: list[Breadcrumb]
    comments: Paged[CommentSummary]
    meta: DetailMeta


class Conversations(Struct, kw_only=True):
    """The conversations of a site that the caller may read (content 3.6)."""

    conversations: Paged[ConversationSummary]
    meta: ListMeta


# ---------------------------------------------------------------- huddles (content 8)


class HuddleFlags(Struct, kw_only=True):
    """The caller's own relation to a huddle."""

    watched: Literal[True] | UnsetType = UNSET
    ignored: Literal[True] | UnsetType = UNSET
    sendEmail: bool | UnsetType = UNSET
    sendSMS: bool | UnsetType = UNSET


class HuddleMeta(Struct, kw_only=True):
    """`meta` of a huddle."""

    created: Time
    createdBy: ProfileSummary
    flags: HuddleFlags
    links: list[Link]
    permissions: Permissions


class Huddle(Struct, kw_only=True):
    """A private conversation with a page of its comments (content 8.4)."""

    id: Id
    title: Text
    isConfidential: Annotated[bool, Meta(description="Nobody can be added.")]
    participants: Annotated[list[ProfileSummary], Meta(description="All of them, by id.")]
    comments: Paged[CommentSummary]
    meta: HuddleMeta


class HuddleSummaryFlags(Struct, kw_only=True):
    """Unread state of a huddle for the caller; absent in the list of watchers."""

    unread: bool | UnsetType = UNSET


class HuddleSummaryMeta(Struct, kw_only=True):
    """`meta` of a huddle in a list."""

    created: Time
    createdBy: ProfileSummary
    flags: HuddleSummaryFlags
    links: list[Link]


class HuddleSummary(Struct, kw_only=True):
    """A huddle in the list of the caller's own (content 8.4)."""

    id: Id
    title: Text
    totalComments: Count
    participants: Annotated[list[ProfileSummary], Meta(description="All of them, by id.")]
    lastCommentId: Id | UnsetType = UNSET
    lastCommentCreatedBy: ProfileSummary | UnsetType = UNSET
    lastCommentCreated: Time | UnsetType = UNSET
    meta: HuddleSummaryMeta


class Huddles(Struct, kw_only=True):
    """The caller's own huddles (content 8.5)."""

    huddles: Paged[HuddleSummary]
    meta: LinksMeta


class Participant(Struct, kw_only=True):
    """Somebody in a huddle (content 8.6)."""

    id: Id
    participant: ProfileSummary


class Participants(Struct, kw_only=True):
    """Participants of a huddle (content 8.6)."""

    participants: Paged[Participant]
    meta: NoFlags


# ---------------------------------------------------------------- ignored (discovery 6)


class IgnoredMicrocosm(Struct, kw_only=True, tag_field="itemType", tag="microcosm"):
    """An ignored microcosm."""

    itemId: Id
    item: MicrocosmSummary


class IgnoredProfile(Struct, kw_only=True, tag_field="itemType", tag="profile"):
    """An ignored person."""

    itemId: Id
    item: ProfileSummary


class IgnoredConversation(Struct, kw_only=True, tag_field="itemType", tag="conversation"):
    """An ignored conversation."""

    itemId: Id
    item: ConversationSummary


class IgnoredEvent(Struct, kw_only=True, tag_field="itemType", tag="event"):
    """An ignored event."""

    itemId: Id
    item: EventSummary


class IgnoredPoll(Struct, kw_only=True, tag_field="itemType", tag="poll"):
    """An ignored poll."""

    itemId: Id
    item: PollSummary


class Ignored(Struct, kw_only=True):
    """Object that the caller ignores."""

    ignored: Paged[
        IgnoredMicrocosm | IgnoredProfile | IgnoredConversation | IgnoredEvent | IgnoredPoll
    ]
    meta: LinksMeta


# ---------------------------------------------------------------- watchers (discovery 5)


class WatchedSite(Struct, kw_only=True, tag_field="itemType", tag="site"):
    """The caller follows the whole site."""

    id: Id
    itemTypeId: Annotated[int, Meta(ge=1)]
    itemId: Id
    lastNotified: Annotated[Time, Meta(description="0001-01-01T00:00:00Z: never.")]
    sendEmail: bool
    sendSMS: bool
    item: Site


class WatchedMicrocosm(Struct, kw_only=True, tag_field="itemType", tag="microcosm"):
    """The caller follows a microcosm."""

    id: Id
    itemTypeId: Annotated[int, Meta(ge=1)]
    itemId: Id
    lastNotified: Annotated[Time, Meta(description="0001-01-01T00:00:00Z: never.")]
    sendEmail: bool
    sendSMS: bool
    item: MicrocosmSummary


class WatchedProfile(Struct, kw_only=True, tag_field="itemType", tag="profile"):
    """The caller follows a person; `itemId` 0 with `item` null is all people."""

    id: Id
    itemTypeId: Annotated[int, Meta(ge=1)]
    itemId: Count
    lastNotified: Annotated[Time, Meta(description="0001-01-01T00:00:00Z: never.")]
    sendEmail: bool
    sendSMS: bool
    item: ProfileSummary | None


class WatchedHuddle(Struct, kw_only=True, tag_field="itemType", tag="huddle"):
    """The caller follows a huddle."""

    id: Id
    itemTypeId: Annotated[int, Meta(ge=1)]
    itemId: Id
    lastNotified: Annotated[Time, Meta(description="0001-01-01T00:00:00Z: never.")]
    sendEmail: bool
    sendSMS: bool
    item: HuddleSummary


class WatchedConversation(Struct, kw_only=True, tag_field="itemType", tag="conversation"):
    """The caller follows a conversation."""

    id: Id
    itemTypeId: Annotated[int, Meta(ge=1)]
    itemId: Id
    lastNotified: Annotated[Time, Meta(description="0001-01-01T00:00:00Z: never.")]
    sendEmail: bool
    sendSMS: bool
    item: ConversationSummary


class WatchedPoll(Struct, kw_only=True, tag_field="itemType", tag="poll"):
    """The caller follows a poll."""

    id: Id
    itemTypeId: Annotated[int, Meta(ge=1)]
    itemId: Id
    lastNotified: Annotated[Time, Meta(description="0001-01-01T00:00:00Z: never.")]
    sendEmail: bool
    sendSMS: bool
    item: PollSummary


class WatchedEvent(Struct, kw_only=True, tag_field="itemType", tag="event"):
    """The caller follows an event."""

    id: Id
    itemTypeId: Annotated[int, Meta(ge=1)]
    itemId: Id
    lastNotified: Annotated[Time, Meta(description="0001-01-01T00:00:00Z: never.")]
    sendEmail: bool
    sendSMS: bool
    item: EventSummary


class Watchers(Struct, kw_only=True):
    """Watchers of the caller."""

    watchers: Paged[
        WatchedSite
        | WatchedMicrocosm
        | WatchedProfile
        | WatchedHuddle
        | WatchedConversation
        | WatchedPoll
        | WatchedEvent
    ]
    meta: LinksMeta


# ---------------------------------------------------------------- files (content 10)


class File(Struct, kw_only=True):
    """An uploaded file (content 10.2)."""

    created: Time
    fileName: str
    fileExt: Annotated[str, Meta(description='Without the dot; "" for none.')]
    fileSize: Annotated[int, Meta(ge=1, description="Bytes as they are stored.")]
    fileHash: Annotated[str, Meta(pattern="^[0-9a-f]{40}$", description="SHA-1 of those bytes.")]
    mimeType: Annotated[str, Meta(description="Told by the content.")]
    width: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    height: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


class AttachmentMeta(Struct, kw_only=True):
    """`meta` of an attachment; the first link is the file."""

    links: list[Link]


class Attachment(Struct, kw_only=True):
    """A file on a comment or profile (content 10.5)."""

    profileId: Annotated[Id, Meta(description="Who attached it.")]
    fileHash: Annotated[str, Meta(pattern="^[0-9a-f]{40}$")]
    fileName: str
    fileExt: str
    created: Time
    meta: AttachmentMeta


class AttachmentsMeta(Struct, kw_only=True):
    """`meta` of a list of attachments."""

    links: list[Link]
    permissions: Permissions


class Attachments(Struct, kw_only=True):
    """Attachments of a comment or profile, oldest first (content 10.5)."""

    attachments: Paged[Attachment]
    meta: AttachmentsMeta


# ---------------------------------------------------------------- events (content 5)


class EventFlags(DetailFlags, kw_only=True):
    """The state of an event, and the caller's own relation to it."""

    attending: Annotated[bool, Meta(description="Absent for guests.")] | UnsetType = UNSET


class EventMeta(Struct, kw_only=True):
    """`meta` of an event."""

    created: Time
    createdBy: ProfileSummary
    edited: Time | UnsetType = UNSET
    editedBy: ProfileSummary | UnsetType = UNSET
    editReason: Text | UnsetType = UNSET
    flags: EventFlags
    links: list[Link]
    permissions: Permissions
    reactions: ReactionCounts | UnsetType = UNSET


class Event(Struct, kw_only=True):
    """An event with a page of its comments (content 5.3)."""

    id: Id
    title: Text
    microcosmId: Id
    breadcrumb: list[Breadcrumb]
    when: (
        Annotated[str, Meta(description="Local time at the event, printed with a Z.")] | UnsetType
    ) = UNSET
    tz: str | UnsetType = UNSET
    whentz: Time | UnsetType = UNSET
    duration: Annotated[int, Meta(ge=1, description="Minutes.")] | UnsetType = UNSET
    where: Text | UnsetType = UNSET
    lat: float | UnsetType = UNSET
    lon: float | UnsetType = UNSET
    north: float | UnsetType = UNSET
    east: float | UnsetType = UNSET
    south: float | UnsetType = UNSET
    west: float | UnsetType = UNSET
    status: Literal["proposed", "upcoming", "postponed", "cancelled", "past"]
    rsvpLimit: Annotated[int, Meta(ge=0, description="0 for no limit.")]
    rsvpAttend: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    rsvpSpaces: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    comments: Paged[CommentSummary]
    meta: EventMeta


class Events(Struct, kw_only=True):
    """The events of a site that the caller may read (content 3.6)."""

    events: Paged[EventSummary]
    meta: ListMeta


class AttendeeMeta(Struct, kw_only=True):
    """`meta` of an attendee in a list."""

    created: Time
    createdBy: ProfileSummary
    edited: Time | UnsetType = UNSET
    editedBy: ProfileSummary | UnsetType = UNSET
    links: list[Link]


class Attendee(Struct, kw_only=True):
    """Somebody's answer to an event (content 5.6)."""

    profileId: Id
    profile: ProfileSummary
    rsvp: Literal["yes", "maybe", "invited", "no"]
    waiting: (
        Annotated[Literal[True], Meta(description="Comes as soon as there is a space.")] | UnsetType
    ) = UNSET
    rsvpdOn: Time
    meta: AttendeeMeta


class AttendeeDetailMeta(AttendeeMeta, kw_only=True):
    """`meta` of an attendee."""

    permissions: Permissions


class AttendeeDetail(Struct, kw_only=True):
    """Somebody's answer to an event, alone."""

    profileId: Id
    profile: ProfileSummary
    rsvp: Literal["yes", "maybe", "invited", "no"]
    waiting: Literal[True] | UnsetType = UNSET
    rsvpdOn: Time
    meta: AttendeeDetailMeta


class Attendees(Struct, kw_only=True):
    """The answers to an event."""

    attendees: Paged[Attendee]
    meta: ListMeta


# ---------------------------------------------------------------- bans (platform 3.6)


class Ban(Struct, kw_only=True):
    """Ban of a profile, or of an e-mail domain, on the site."""

    id: Id
    profile: ProfileSummary | UnsetType = UNSET
    domain: Annotated[str, Meta(description="After the @, or below it.")] | UnsetType = UNSET
    reason: Annotated[str, Meta(description="What those concerned are told.")]
    note: Annotated[str, Meta(description="For owners alone.")]
    created: Time
    createdBy: ProfileSummary | None
    expires: Time | None
    meta: LinksMeta


class Bans(Struct, kw_only=True):
    """The bans of a site that hold."""

    bans: Paged[Ban]
    meta: LinksMeta


# ---------------------------------------------------------------- comments (content 7)


class CommentFlags(Struct, kw_only=True):
    """The state of a comment: always all four."""

    deleted: bool
    moderated: bool
    visible: Annotated[bool, Meta(description="Neither deleted nor moderated.")]
    unread: bool


class Preview(Struct, kw_only=True):
    """A text as it would be shown."""

    html: Annotated[str, Meta(description="Rendered and sanitised.")]


class CommentSummaryMeta(Struct, kw_only=True):
    """`meta` of an embedded comment."""

    created: Time
    createdBy: ProfileSummary
    edited: Time | UnsetType = UNSET
    editedBy: Annotated[
        ProfileSummary, Meta(description="Author of the current revision, also when never edited.")
    ]
    flags: CommentFlags
    links: list[Link]
    attachments: Annotated[list[Attachment], Meta(description="The oldest 25.")] | UnsetType = UNSET
    reactions: ReactionCounts | UnsetType = UNSET
    reacted: (
        Annotated[list[str], Meta(description="How the caller reacted, on the page of an item.")]
        | UnsetType
    ) = UNSET
    permissions: (
        Annotated[
            Permissions,
            Meta(description="The caller's, on the page of an item; absent for guests."),
        ]
        | UnsetType
    ) = UNSET


class CommentSummary(Struct, kw_only=True):
    """A comment embedded in what it is on (content 7.3)."""

    id: Id
    itemType: CommentableName
    itemId: Id
    revisions: Annotated[int, Meta(ge=1)]
    inReplyTo: Id | UnsetType = UNSET
    attachments: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    markdown: Annotated[str, Meta(description="The source, as it was sent.")]
    html: Annotated[str, Meta(description="Rendered and sanitised.")]
    meta: CommentSummaryMeta


class CommentMeta(Struct, kw_only=True):
    """`meta` of a comment."""

    inReplyTo: CommentSummary | UnsetType = UNSET
    replies: list[CommentSummary] | UnsetType = UNSET
    created: Time
    createdBy: ProfileSummary
    edited: Time | UnsetType = UNSET
    editedBy: Annotated[
        ProfileSummary, Meta(description="Author of the current revision, also when never edited.")
    ]
    flags: CommentFlags
    links: list[Link]
    attachments: Annotated[list[Attachment], Meta(description="The oldest 25.")] | UnsetType = UNSET
    permissions: Permissions
    reactions: ReactionCounts | UnsetType = UNSET


class Comment(Struct, kw_only=True):
    """A comment (content 7.4)."""

    id: Id
    itemType: CommentableName
    itemId: Id
    revisions: Annotated[int, Meta(ge=1)]
    inReplyTo: NoneOrId
    attachments: Count
    firstLine: Annotated[str, Meta(description='Reserved: always "".')]
    markdown: Annotated[str, Meta(description="The source, as it was sent.")]
    html: Annotated[str, Meta(description="Rendered and sanitised.")]
    meta: CommentMeta


# ---------------------------------------------------------------- attributes (content 9)


class Attribute(Struct, kw_only=True):
    """A key and its value on some thing (content 9.2)."""

    key: Annotated[str, Meta(pattern="^[0-9A-Za-z_-]{1,50}$")]
    value: Annotated[
        str | int | float | bool,
        Meta(description="A string of the form YYYY-MM-DD is a date; other strings are escaped."),
    ]


class Attributes(Struct, kw_only=True):
    """The attributes of a thing, by key."""

    attributes: Paged[Attribute]


class RevisionMeta(Struct, kw_only=True):
    """`meta` of a revision: who wrote it when."""

    created: Time
    createdBy: ProfileSummary
    links: list[Link]


class RevisionSummary(Struct, kw_only=True):
    """A revision of a comment in a list."""

    commentId: Id
    revision: Annotated[int, Meta(ge=1)]
    current: Annotated[bool, Meta(description="It is the text that is shown.")]
    meta: RevisionMeta


class Revision(Struct, kw_only=True):
    """A revision of a comment."""

    commentId: Id
    revision: Annotated[int, Meta(ge=1)]
    current: Annotated[bool, Meta(description="It is the text that is shown.")]
    markdown: Annotated[str, Meta(description="The source, as it was sent.")]
    meta: RevisionMeta


class RevisionsMeta(Struct, kw_only=True):
    """`meta` of a list of revisions; the permissions are those on the comment."""

    links: list[Link]
    permissions: Permissions


class Revisions(Struct, kw_only=True):
    """The revisions of a comment, newest first."""

    revisions: Paged[RevisionSummary]
    meta: RevisionsMeta


class TextChange(Struct, kw_only=True):
    """A piece of text that stayed, went or came."""

    op: Literal["equal", "delete", "insert"]
    text: str


class Difference(Struct, kw_only=True, rename={"from_": "from"}):
    """Difference between two revisions of a comment."""

    commentId: Id
    from_: Annotated[int, Meta(ge=0, description="0: nothing, before the first one.")]
    to: Annotated[int, Meta(ge=1)]
    changes: list[TextChange]
    meta: LinksMeta


# ---------------------------------------------------------------- drafts


class DraftMeta(Struct, kw_only=True):
    """`meta` of a draft."""

    created: Time
    edited: Time
    links: list[Link]


class Draft(Struct, kw_only=True):
    """Draft of the caller at some place."""

    itemType: Annotated[ItemTypeName, Meta(description="What it is going to be.")]
    placeType: Annotated[ItemTypeName, Meta(description="What it is going to stand on or in.")]
    placeId: Id
    version: Annotated[int, Meta(ge=1, description="What the next copy must name.")]
    content: Annotated[dict[str, Any], Meta(description="As it was sent.")]
    meta: DraftMeta


class Drafts(Struct, kw_only=True):
    """The caller's drafts."""

    drafts: Paged[Draft]
    meta: LinksMeta


# ---------------------------------------------------------------- reactions and bookmarks


class ReactionKind(Struct, kw_only=True):
    """A reaction that can be given on this site."""

    name: Annotated[str, Meta(pattern="^[a-z0-9_-]{1,30}$")]
    text: Annotated[Text, Meta(description="What is shown for it, such as an emoji.")]


class Reaction(Struct, kw_only=True):
    """Count of a reaction to an item or comment."""

    name: str
    text: Text
    count: Count
    own: Annotated[bool, Meta(description="The caller gave it too.")]


class Reactions(Struct, kw_only=True):
    """The reactions of this site, with what something got of each."""

    reactions: list[Reaction]
    meta: LinksMeta


class Bookmark(Struct, kw_only=True):
    """Something that the caller wants to find again."""

    itemType: ItemTypeName
    itemId: Id
    title: Annotated[Text, Meta(description="Of the item, or of what the comment is on.")]
    created: Annotated[Time, Meta(description="When it was bookmarked.")]
    meta: LinksMeta


class BookmarkPage(Struct, kw_only=True):
    """Some bookmarks, the newest first; `next` leads on by key, so that no page is slower than the first."""

    limit: Annotated[int, Meta(ge=5, le=250, multiple_of=5)]
    links: Annotated[list[Link], Meta(description="self, and next where there are more.")]
    type: Address
    items: list[Bookmark]


class Bookmarks(Struct, kw_only=True):
    """The caller's bookmarks."""

    bookmarks: BookmarkPage
    meta: LinksMeta


# ---------------------------------------------------------------- moderation


class WaitingMeta(Struct, kw_only=True):
    """`meta` of something that waits for moderation."""

    created: Time
    createdBy: ProfileSummary
    links: list[Link]


class Waiting(Struct, kw_only=True):
    """An item or comment that waits for moderation."""

    itemType: Literal["comment", "conversation", "event", "poll"]
    itemId: Id
    title: Annotated[Text, Meta(description="Of the item, or of what the comment is on.")]
    microcosmId: Id | UnsetType = UNSET
    comment: CommentSummary | UnsetType = UNSET
    meta: WaitingMeta


class WaitingPage(Struct, kw_only=True):
    """A page of what waits, oldest first."""

    total: Annotated[int, Meta(ge=0, description="Everything that waits.")]
    limit: Annotated[int, Meta(ge=5, le=250, multiple_of=5)]
    links: Annotated[list[Link], Meta(description="self, and next as far as it exists.")]
    type: Address
    items: list[Waiting]


class WaitingCounts(Struct, kw_only=True):
    """Number of waiting objects of each type."""

    comment: Count
    conversation: Count
    event: Count
    poll: Count


class Moderation(Struct, kw_only=True):
    """Objects that wait for moderation where the caller may moderate."""

    moderation: WaitingPage
    counts: WaitingCounts
    meta: LinksMeta


# ---------------------------------------------------------------- polls (content 6)


class PollChoice(Struct, kw_only=True):
    """A choice of a poll; without counts while the caller may not see the results."""

    id: Id
    choice: Text
    order: Annotated[int, Meta(ge=1, description="Its place.")]
    votes: Annotated[int, Meta(ge=0, description="Ballots that name it.")] | UnsetType = UNSET
    voterCount: Annotated[int, Meta(ge=0, description="The same.")] | UnsetType = UNSET
    voted: (
        Annotated[Literal[True], Meta(description="The caller's ballot names it.")] | UnsetType
    ) = UNSET


class Poll(Struct, kw_only=True):
    """A poll with a page of its comments (content 6.4)."""

    id: Id
    title: Text
    microcosmId: Id
    breadcrumb: list[Breadcrumb]
    question: Text
    multi: Annotated[bool, Meta(description="A ballot may name several choices.")]
    pollOpen: Annotated[bool, Meta(description="Votes are taken.")]
    choices: list[PollChoice]
    voterCount: Annotated[int, Meta(ge=0, description="Ballots.")]
    pollCloses: Time | UnsetType = UNSET
    named: (
        Annotated[Literal[True], Meta(description="It is shown who voted for what.")] | UnsetType
    ) = UNSET
    results: (
        Annotated[
            Literal["voted", "closed"],
            Meta(description="Who sees the results before the end: whoever voted, or nobody."),
        ]
        | UnsetType
    ) = UNSET
    comments: Paged[CommentSummary]
    meta: DetailMeta


class PollSummary(Struct, kw_only=True):
    """A poll in a list (content 3.1)."""

    id: Id
    title: Text
    microcosmId: Id
    breadcrumb: list[Breadcrumb]
    question: Text
    multi: bool
    pollOpen: bool
    pollCloses: Time | UnsetType = UNSET
    totalComments: Count
    totalViews: Count
    meta: SummaryMeta


class Polls(Struct, kw_only=True):
    """The polls of a site that the caller may read (content 3.6)."""

    polls: Paged[PollSummary]
    meta: ListMeta


class PollEntry(Struct, kw_only=True, tag_field="itemType", tag="poll"):
    """A poll among items of several types."""

    item: PollSummary


class Vote(Struct, kw_only=True):
    """One ballot of a named poll."""

    voter: ProfileSummary
    choices: Annotated[list[int], Meta(description="Ids of the choices that it names.")]
    created: Annotated[Time, Meta(description="When it was cast, or changed last.")]


class Votes(Struct, kw_only=True):
    """Votes of a named poll, by choice."""

    votes: Paged[Vote]
    meta: LinksMeta


class Trending(Struct, kw_only=True):
    """The hottest items of a site, hottest first (discovery 9)."""

    items: Paged[ConversationEntry | EventEntry | PollEntry]
    meta: LinksMeta


class LivePoll(Struct, kw_only=True):
    """Events since a cursor."""

    frames: Annotated[
        list[dict[str, Any]],
        Meta(description="As a WebSocket would bring them (docs/api/live.md)."),
    ]
    cursor: Annotated[str, Meta(description="Where to go on from.")]


class Ticket(Struct, kw_only=True):
    """Ticket that opens one connection of events."""

    ticket: str
    expiresIn: Annotated[int, Meta(description="Seconds.")]


# ---------------------------------------------------------------- updates (discovery 2, 3)


def _one_of(*structs: str) -> Meta:
    """Any of some structs where nothing inside says which."""
    refs: list[dict[str, str]] = [{"$ref": f"#/components/schemas/{name}"} for name in structs]
    return Meta(extra_json_schema={"anyOf": refs})


UpdateTypeName = Literal[
    "new_comment",
    "reply_to_comment",
    "mentioned",
    "new_comment_in_huddle",
    "new_attendee",
    "new_vote",
    "event_reminder",
    "new_item",
    "new_user",
    "event_invitation",
]


class UpdateFlags(Struct, kw_only=True):
    """Unread state of the item, or of the item of the comment."""

    unread: bool


class UpdateMeta(Struct, kw_only=True):
    """`meta` of an update."""

    created: Time
    createdBy: Annotated[
        ProfileSummary, Meta(description="Who did it; of a vote, who made the poll.")
    ]
    flags: UpdateFlags


class Update(Struct, kw_only=True):
    """Something that the caller hears of (discovery 2.7)."""

    id: Id
    updateType: UpdateTypeName
    itemType: Literal["comment", "conversation", "event", "poll"]
    item: Annotated[
        Any,
        _one_of("CommentSummary", "ConversationSummary", "EventSummary", "PollSummary"),
    ]
    parentItemType: (
        Annotated[CommentableName, Meta(description="Of what a comment is on.")] | UnsetType
    ) = UNSET
    parentItem: (
        Annotated[
            Any,
            _one_of(
                "ConversationSummary",
                "EventSummary",
                "PollSummary",
                "HuddleSummary",
                "ProfileSummary",
            ),
        ]
        | UnsetType
    ) = UNSET
    meta: UpdateMeta


class Updates(Struct, kw_only=True):
    """Updates of the caller, newest first."""

    updates: Paged[Update]
    meta: LinksMeta


class NoMeta(Struct, kw_only=True):
    """Always empty."""


class UpdatePreference(Struct, kw_only=True):
    """Preference of the caller for mail about a type of update (discovery 3.2)."""

    profileId: Id
    id: Annotated[int, Meta(ge=1, le=10, description="The number of the type.")]
    description: Annotated[str, Meta(description="When such an update is made.")]
    sendEmail: bool
    sendSMS: Annotated[bool, Meta(description="Kept; no messages are sent.")]
    meta: NoMeta


# ---------------------------------------------------------------- search (discovery 8)


Rank = Annotated[float, Meta(ge=0, description="How well it fits; 0.5 without words.")]
Activity = Annotated[Time, Meta(description="Its last activity.")]
Highlight = Annotated[
    str, Meta(description="A part of the text, escaped, with the words found in <b>.")
]


class SiteHit(Struct, kw_only=True, tag_field="itemType", tag="site"):
    """The site itself."""

    item: Site
    unread: bool
    rank: Rank
    lastModified: Activity
    highlight: Highlight


class MicrocosmHit(Struct, kw_only=True, tag_field="itemType", tag="microcosm"):
    """A microcosm that was found."""

    item: MicrocosmSummary
    unread: bool
    rank: Rank
    lastModified: Activity
    highlight: Highlight


class ProfileHit(Struct, kw_only=True, tag_field="itemType", tag="profile"):
    """A person who was found."""

    item: ProfileSummary
    unread: bool
    rank: Rank
    lastModified: Activity
    highlight: Highlight


class CommentHit(Struct, kw_only=True, tag_field="itemType", tag="comment"):
    """A comment that was found, with what it is on."""

    item: CommentSummary
    parentItemType: CommentableName
    parentItem: Annotated[
        Any,
        _one_of(
            "ConversationSummary", "EventSummary", "PollSummary", "HuddleSummary", "ProfileSummary"
        ),
    ]
    unread: bool
    rank: Rank
    lastModified: Activity
    highlight: Highlight


class HuddleHit(Struct, kw_only=True, tag_field="itemType", tag="huddle"):
    """A huddle of the caller that was found."""

    item: HuddleSummary
    unread: bool
    rank: Rank
    lastModified: Activity
    highlight: Highlight


class ConversationHit(Struct, kw_only=True, tag_field="itemType", tag="conversation"):
    """A conversation that was found."""

    item: ConversationSummary
    unread: bool
    rank: Rank
    lastModified: Activity
    highlight: Highlight


class PollHit(Struct, kw_only=True, tag_field="itemType", tag="poll"):
    """A poll that was found."""

    item: PollSummary
    unread: bool
    rank: Rank
    lastModified: Activity
    highlight: Highlight


class EventHit(Struct, kw_only=True, tag_field="itemType", tag="event"):
    """An event that was found."""

    item: EventSummary
    unread: bool
    rank: Rank
    lastModified: Activity
    highlight: Highlight


class SearchQuery(Struct, kw_only=True):
    """Query as the search understood it; empty members are left out."""

    q: str | UnsetType = UNSET
    inTitle: Literal[True] | UnsetType = UNSET
    hashtags: list[str] | UnsetType = UNSET
    forumId: Annotated[list[int], Meta(description="With those below.")] | UnsetType = UNSET
    type: list[str] | UnsetType = UNSET
    id: list[int] | UnsetType = UNSET
    authorId: Id | UnsetType = UNSET
    email: list[str] | UnsetType = UNSET
    following: Literal[True] | UnsetType = UNSET
    since: str | UnsetType = UNSET
    until: str | UnsetType = UNSET
    eventAfter: str | UnsetType = UNSET
    eventBefore: str | UnsetType = UNSET
    attendee: Literal[True] | UnsetType = UNSET
    has: list[str] | UnsetType = UNSET
    sort: str | UnsetType = UNSET
    ignored: (
        Annotated[str, Meta(description="What could not be used, joined by blanks.")] | UnsetType
    ) = UNSET
    searched: Annotated[str, Meta(description="What was used.")] | UnsetType = UNSET


class Search(Struct, kw_only=True):
    """Result of a search; `results` is absent for an empty query."""

    query: SearchQuery
    timeTakenInMs: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    partial: (
        Annotated[Literal[True], Meta(description="There was no time to look at everything.")]
        | UnsetType
    ) = UNSET
    atLeast: (
        Annotated[
            Literal[True],
            Meta(description="There are more than `total`; pages further on count further."),
        ]
        | UnsetType
    ) = UNSET
    forgiving: (
        Annotated[
            Literal[True],
            Meta(description="Nothing holds the words as typed; words one typing error away do."),
        ]
        | UnsetType
    ) = UNSET
    results: (
        Paged[
            SiteHit
            | MicrocosmHit
            | ProfileHit
            | CommentHit
            | HuddleHit
            | ConversationHit
            | PollHit
            | EventHit
        ]
        | UnsetType
    ) = UNSET


class Suggestions(Struct, kw_only=True):
    """Words that may complete the one being typed."""

    suggestions: list[str]


class SiteSearch(Struct, kw_only=True):
    """The language that a site's texts are searched in."""

    language: Annotated[str, Meta(description="A text configuration of PostgreSQL.")]
    languages: Annotated[list[str], Meta(description="Those that there are.")]
    indexing: Annotated[bool, Meta(description="Texts are still being indexed in it.")]


class SiteAvatars(Struct, kw_only=True):
    """The source of pictures of people who uploaded none."""

    gravatar: Annotated[bool, Meta(description="They are fetched from Gravatar.")]


# ---------------------------------------------------------------- webhooks (docs/api/webhooks.md)


class CursorRange(Struct, kw_only=True):
    """Some events, by their cursors, both ends included."""

    first: str
    last: str


class Webhook(Struct, kw_only=True):
    """An address that is told of what happens on a site. `actsAs` is the profile with whose eyes it sees."""

    id: Id
    name: Text
    url: Annotated[str, Meta(description="Where messages are sent.")]
    secret: (
        Annotated[str, Meta(description="What signs; only in the answer that makes it.")]
        | UnsetType
    ) = UNSET
    kinds: Annotated[list[str], Meta(description="Of which kinds of events it is told.")]
    itemTypes: Annotated[list[str], Meta(description="Of which types of things.")]
    actsAs: Annotated[int, Meta(ge=0, description="A profile; 0: a guest.")]
    documents: Annotated[bool, Meta(description="Messages carry the thing itself.")]
    enabled: bool
    disabledBecause: Annotated[
        str, Meta(description='"failing" or "gone" where it was disabled by itself, else "".')
    ]
    created: Time
    failures: Annotated[int, Meta(ge=0, description="Since the last success.")]
    failingSince: Time | None
    pausedUntil: Time | None
    sent: Annotated[int, Meta(ge=0, description="Messages that were delivered.")]
    lastSent: Time | None
    lastStatus: Annotated[int, Meta(ge=0, description="The last answer's; 0 without one.")]
    lastError: str
    missed: (
        Annotated[CursorRange, Meta(description="What its full queue had no room for: replay it.")]
        | None
    )
    meta: LinksMeta


class Webhooks(Struct, kw_only=True):
    """The webhooks of a site."""

    webhooks: Paged[Webhook]
    meta: LinksMeta


class WebhookDelivery(Struct, kw_only=True):
    """A delivery to a webhook: queued, a dead letter, or a test that was sent."""

    id: Annotated[
        str, Meta(description="The message's id without `msg_`; the same for each attempt.")
    ]
    cursor: Annotated[str, Meta(description='The event\'s; "" for a test.')]
    state: Annotated[str, Meta(description="queued, dead or sent.")]
    kind: str
    itemType: Annotated[str, Meta(description='"" for a test.')]
    itemId: NoneOrId
    parentType: Annotated[str, Meta(description='What it is in or on; "" for nothing.')]
    parentId: NoneOrId
    version: Count
    occurred: Time
    queued: Time
    attempts: Count
    nextAttempt: Time | None
    lastStatus: Count
    lastError: str


class WebhookDeliveries(Struct, kw_only=True):
    """Messages to a webhook in one state, lowest cursor first."""

    deliveries: Paged[WebhookDelivery]
    meta: LinksMeta


class WebhookReplay(Struct, kw_only=True):
    """Number of deliveries sent again. `next`: where the next request goes on, if one request was not enough."""

    replayed: Count
    next: str | None


# ---------------------------------------------------------------- short links (platform 6.3)


class SiteLink(Struct, kw_only=True):
    """A link in a comment of the site."""

    short: Annotated[str, Meta(description="What stands in the comment.")]
    url: Annotated[str, Meta(description="Where it leads.")]
    host: str
    uses: Annotated[int, Meta(ge=1, description="Comments of the site that hold it.")]
    created: Annotated[Time, Meta(description="When the comment was written.")]
    meta: LinksMeta


class SiteLinkPage(Struct, kw_only=True):
    """Some links, the newest first; `next` leads on by key."""

    limit: Annotated[int, Meta(ge=5, le=250, multiple_of=5)]
    links: Annotated[list[Link], Meta(description="self, and next where there are more.")]
    type: Address
    items: list[SiteLink]


class SiteLinks(Struct, kw_only=True):
    """The links in the comments of a site."""

    links: SiteLinkPage
    meta: LinksMeta


class PlatformLink(Struct, kw_only=True):
    """A link of the platform."""

    short: str
    url: Annotated[str, Meta(description="Where it leads.")]
    host: str
    hits: Annotated[int, Meta(ge=0, description="How often it was followed.")]
    uses: Annotated[int, Meta(ge=0, description="Comments that hold or held it.")]
    blocked: Annotated[bool, Meta(description="It is refused.")]
    created: Time


class PlatformLinkPage(Struct, kw_only=True):
    """Some links, the newest first; `next` leads on by key."""

    limit: Annotated[int, Meta(ge=5, le=250, multiple_of=5)]
    links: Annotated[list[Link], Meta(description="self, and next where there are more.")]
    type: Address
    items: list[PlatformLink]


class PlatformLinks(Struct, kw_only=True):
    """All links of the platform."""

    links: PlatformLinkPage
    meta: LinksMeta


# ---------------------------------------------------------------- old addresses (discovery 10)


class OldTarget(Struct, kw_only=True):
    """Target of an old URL."""

    rel: (
        Annotated[str, Meta(description="The item type; absent for a file and for nothing.")]
        | UnsetType
    ) = UNSET
    href: Annotated[str, Meta(description='The address here; "" for nothing.')]


class Resolved(Struct, kw_only=True):
    """Resolution of a URL of the old site."""

    url: Annotated[str, Meta(description="As it was asked.")]
    status: Literal[301, 404]
    redirect: OldTarget
    itemType: (
        Literal["microcosm", "conversation", "comment", "profile", "huddle", "attachment", "update"]
        | UnsetType
    ) = UNSET
    itemId: Annotated[Id, Meta(description="Absent for a list.")] | UnsetType = UNSET
    offset: Annotated[int, Meta(ge=25, description="Absent for the first page.")] | UnsetType = (
        UNSET
    )
    action: Literal["incontext", "search", "online"] | UnsetType = UNSET
    search: Annotated[str, Meta(description="What to look for, with `search`.")] | UnsetType = UNSET


# ---------------------------------------------------------------- the platform's figures (platform 6.2)


class Metric(Struct, kw_only=True):
    """One day of the platform."""

    timestamp: Annotated[Time, Meta(description="When it was counted.")]
    pageviews: Annotated[Count, Meta(description="Kept for old data: 0.")]
    visits: Annotated[Count, Meta(description="Kept for old data: 0.")]
    uniques: Annotated[Count, Meta(description="Kept for old data: 0.")]
    newProfiles: Annotated[Count, Meta(description="Made in the 24 hours before.")]
    editedProfiles: Annotated[Count, Meta(description="With a name and an avatar of their own.")]
    totalProfiles: Count
    signins: Annotated[Count, Meta(description="Profiles active in the 24 hours before.")]
    comments: Annotated[Count, Meta(description="Of the 24 hours before.")]
    conversations: Annotated[Count, Meta(description="Of the 24 hours before.")]
    engagedForums: Annotated[
        Count, Meta(description="Sites with a comment, several profiles and a logo of their own.")
    ]
    totalForums: Annotated[Count, Meta(description="Sites.")]


class Metrics(Struct, kw_only=True):
    """The last sample of each day, the oldest first."""

    metrics: list[Metric]


# ---------------------------------------------------------------- the order of keys

# A tag is the first property of its struct; where it stands elsewhere on the wire: struct -> (tag, what it follows).
TAG_AFTER: Final = {
    one.__name__: ("itemType", "item")
    for one in (
        WatchedSite,
        WatchedMicrocosm,
        WatchedProfile,
        WatchedHuddle,
        WatchedConversation,
        WatchedPoll,
        WatchedEvent,
    )
}
