"""Shapes of profiles, users, batches of members, bans, erasures and personal exports."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.bases import RelationFlags
from forumapi.wire.schemas.content.comments import CommentSummary
from forumapi.wire.schemas.parts import (
    KeysetPage,
    Link,
    LinksMeta,
    Paged,
    Permissions,
    ProfileSummary,
    Stat,
)
from forumapi.wire.schemas.sites import Site
from forumapi.wire.schemas.values import Avatar, Count, Id, IsBot, Text, Time


class ProfileFlags(RelationFlags):
    """The caller's own relation to a profile, or to the list of a site's people, which is watched for new profiles."""

    moderates: Annotated[
        Literal[True] | UnsetType,
        Meta(description="Of the own profile: there is something that it may moderate."),
    ] = UNSET


class ProfileMeta(Struct, kw_only=True):
    """`meta` of a profile."""

    flags: ProfileFlags
    stats: Annotated[list[Stat], Meta(description="unreadHuddles.")] | UnsetType = UNSET
    erasureDue: (
        Annotated[Time, Meta(description="When the own profile is going to be erased.")] | UnsetType
    ) = UNSET
    accountErasureDue: (
        Annotated[Time, Meta(description="When the own account is going to be erased.")] | UnsetType
    ) = UNSET
    links: list[Link]
    permissions: Permissions


class Erasure(Struct, kw_only=True):
    """A pending request to erase the caller's profile or account."""

    words: Annotated[
        Literal["keep", "remove"], Meta(description="Whether what was written goes, too.")
    ]
    requested: Time
    due: Annotated[Time, Meta(description="Until then it can be taken back.")]
    meta: LinksMeta


class Quotation(Struct, kw_only=True):
    """A comment by somebody else that quotes a comment of the caller's."""

    commentId: Id
    quotes: Annotated[Id, Meta(description="The comment of the caller.")]
    created: Time
    meta: LinksMeta


class QuotationPage(KeysetPage[Quotation]):
    """A page of comments that quote the caller, newest first."""


class Quotations(Struct, kw_only=True):
    """The comments by others that quote the caller and that the caller may read, newest first."""

    quotations: QuotationPage
    meta: LinksMeta


class PersonalExport(Struct, kw_only=True):
    """The export of the caller's personal data: its state and, for a day once it is ready, its file. `bytes`: size of
    the file; `ends`: when it is deleted.
    """

    state: Literal["queued", "running", "ready", "failed"]
    requested: Time
    done: Annotated[int, Meta(ge=0, description="Rows that are in it.")]
    total: Annotated[int, Meta(ge=0, description="Rows that it is going to have, at least.")]
    bytes: int | UnsetType = UNSET
    ends: Time | UnsetType = UNSET
    meta: LinksMeta


class Profile(Struct, kw_only=True):
    """A user's profile on one site (platform 4.3); `email` and `member` for the profile itself and the site's owner
    alone. `visible`: others find it by searching; `profileComment`: the newest visible comment on the profile, its
    biography, null for none; `styleId`: a number that clients set, without effect.
    """

    id: Id
    siteId: Id
    userId: Annotated[Id, Meta(description="The user's to oneself; of others the profile's.")]
    email: str | UnsetType = UNSET
    profileName: Text
    member: Literal[True] | UnsetType = UNSET
    gender: Text | UnsetType = UNSET
    visible: bool
    isBot: IsBot | UnsetType = UNSET
    styleId: Count
    itemCount: Annotated[int, Meta(ge=0, description="Visible conversations made by the profile.")]
    commentCount: Count
    profileComment: CommentSummary | None
    created: Time
    lastActive: Time
    avatar: Avatar
    meta: ProfileMeta


class WhoAmI(Profile, kw_only=True):
    """The caller's own profile; with the site too, if the query has `site=true`."""

    site: Annotated[Site | UnsetType, Meta(description="With `site=true`.")] = UNSET


class PeopleMeta(Struct, kw_only=True):
    """`meta` of the list of a site's profiles."""

    flags: ProfileFlags
    links: list[Link]
    permissions: Permissions


class Profiles(Struct, kw_only=True):
    """The list of a site's profiles, sorted by name, without those that the caller ignores (platform 4.3)."""

    profiles: Paged[ProfileSummary]
    meta: PeopleMeta


class ProfileOptions(Struct, kw_only=True):
    """The caller's options on this site (platform 4.3): `sendEmail`, the master switch of mail about updates; the other
    keys are v1's: their values are stored and shown, and have no effect (no SMS is sent).
    """

    profileId: Id
    showDOB: bool
    showDOBYear: bool
    sendEmail: Annotated[bool, Meta(description="Master switch of notification mail.")]
    sendSMS: bool
    isDiscouraged: bool


class UserMeta(LinksMeta):
    """`meta` of a user."""


class User(Struct, kw_only=True):
    """A user: one person across all sites (platform 4.1), as they see themselves. A site's owner sees less of another
    user: the profile's id as `userId`, the address in lower case (at Gmail without dots) as `email`, `gender`, and the
    time since which the profile exists as `created`.
    """

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
    """Outcome of one row of a batch, which sets the flag `member` of people by e-mail address."""

    row: Annotated[int, Meta(ge=1, description="Counted from 1; of CSV the line.")]
    profileId: Id
    outcome: Annotated[
        Literal["created", "granted", "revoked", "unchanged", "folded"],
        Meta(description="created: got a profile; folded: a later row for the same person counts."),
    ]


class BatchReport(Struct, kw_only=True):
    """Outcome of a batch, which sets the flag `member` of people: the number of each outcome, and every row."""

    profiles: Annotated[int, Meta(ge=0, description="New to the site.")]
    granted: Count
    revoked: Count
    unchanged: Count
    folded: Count
    invited: Annotated[int, Meta(ge=0, description="Mails that were put on their way.")]
    rows: list[BatchRow]


class Ban(Struct, kw_only=True):
    """A ban of a profile or of an e-mail domain from the site."""

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
    """The bans of a site that are in force, last made first."""

    bans: Paged[Ban]
    meta: LinksMeta


class AskedText(Struct, kw_only=True):
    """A legal text of the site that asks for consent, and how far the caller has agreed to it. `needed`: the caller's
    writes are refused until they agree; never for the site's owner.
    """

    text: Annotated[str, Meta(description="Its name, such as terms.")]
    version: Annotated[int, Meta(ge=1, description="The one in force.")]
    askedSince: Annotated[int, Meta(ge=1, description="First version to which a consent is good.")]
    agreed: Annotated[int, Meta(ge=0, description="Newest version agreed to; 0: none.")]
    needed: bool
    href: Annotated[str, Meta(description="The version in force.")]


class Consent(Struct, kw_only=True):
    """A consent that the caller gave to a version of a legal text. `withdrawn`: when they withdrew it; absent while it
    is in force.
    """

    text: Annotated[str, Meta(description="The text's name, such as terms.")]
    version: Annotated[int, Meta(ge=1)]
    given: Time
    href: Annotated[str, Meta(description="The version, as it was.")]
    withdrawn: Time | UnsetType = UNSET


class Consents(Struct, kw_only=True):
    """The legal texts of the site that ask for consent, by name, and the caller's consents, newest first: those in
    force, and those that were withdrawn.
    """

    texts: list[AskedText]
    given: list[Consent]
    withdrawn: list[Consent]


class ConsentCount(Struct, kw_only=True):
    """Numbers of people who have agreed to a version of a legal text, and of those who have withdrawn that and not
    agreed again.
    """

    text: Annotated[str, Meta(description="The text's name, such as terms.")]
    version: Annotated[int, Meta(ge=1)]
    published: Time
    agreed: Count
    withdrawn: Count
    href: Annotated[str, Meta(description="The version, as it was.")]


class ConsentCounts(Struct, kw_only=True):
    """Numbers of consents to all versions of the site's legal texts, by name of the text, newest version first."""

    versions: list[ConsentCount]
