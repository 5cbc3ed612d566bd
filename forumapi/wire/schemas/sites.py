"""Shapes of sites, their settings and legal documents, and of figures of the platform."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.content.comments import TextChange
from forumapi.wire.schemas.parts import Link, LinksMeta, Paged, Permissions, ProfileSummary, Stat
from forumapi.wire.schemas.values import Count, Id, Text, Time


class MenuEntry(Struct, kw_only=True):
    """A link in a site's menu (platform 2.3)."""

    href: Annotated[str, Meta(description="A relative reference, or http, https, mailto.")]
    title: Text | UnsetType = UNSET
    text: Text


class ReactionKind(Struct, kw_only=True):
    """A kind of reaction that can be given on this site."""

    name: Annotated[str, Meta(pattern="^[a-z0-9_-]{1,30}$")]
    text: Annotated[Text, Meta(description="What is shown for it, such as an emoji.")]


class SiteFlags(Struct, kw_only=True):
    """The flags of a site, of which there is one: `deleted`."""

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
    """A site: one isolated community (platform 2.2)."""

    siteId: Id
    siteURL: Annotated[
        str, Meta(description="Its own domain, else where its API is; no trailing slash.")
    ]
    title: Text
    description: Text
    subdomainKey: str
    domain: Annotated[str, Meta(description='Its own domain; "" for none.')]
    webUrl: Annotated[
        str | UnsetType,
        Meta(
            description="Where its pages are; mails and feeds lead there. Its own address where the website runs."
        ),
    ] = UNSET
    forceSSL: Literal[True] | UnsetType = UNSET
    namesModerators: (
        Annotated[Literal[True], Meta(description="Microcosms tell who moderates them.")]
        | UnsetType
    ) = UNSET
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
    reactions: Annotated[
        list[ReactionKind] | UnsetType,
        Meta(description="Kinds of reactions that can be given; on the site's own host alone."),
    ] = UNSET
    meta: SiteMeta


class Sites(Struct, kw_only=True):
    """The sites of the platform that are neither deleted, suspended nor in their export window, oldest first, without
    sandboxes and the platform's own (platform 2.3).
    """

    sites: Paged[Site]
    meta: LinksMeta


class SandboxPerson(Struct, kw_only=True):
    """A person of a new sandbox: a profile on it, with an access token that is good on it alone."""

    id: Annotated[Id, Meta(description="Of the profile.")]
    profileName: Text
    accessToken: Annotated[str, Meta(description="In this answer and in no later one.")]


class SandboxPeople(Struct, kw_only=True):
    """The people of a new sandbox, by what each may do there."""

    owner: SandboxPerson
    moderator: SandboxPerson
    member: SandboxPerson
    newcomer: Annotated[SandboxPerson, Meta(description="Reads what every member reads.")]


class Sandbox(Struct, kw_only=True):
    """A new sandbox: a site for trying the API, with four people."""

    siteId: Id
    siteURL: Annotated[str, Meta(description="Where its API is; no trailing slash.")]
    ends: Annotated[Time, Meta(description="The tokens end, and the site is deleted.")]
    people: SandboxPeople


class Health(Struct, kw_only=True):
    """Result of the check of one setting: whether it is set, and whether it works; `value`: the setting."""

    set: bool
    valid: bool
    error: Annotated[str, Meta(description='What is wrong; "" for nothing.')]
    value: Any


class SiteStatus(Struct, kw_only=True):
    """A site, with the results of the checks of its domain, pictures and analytics id (platform 2.3)."""

    site: Site
    domainHealth: Health
    backgroundUrlHealth: Health
    logoUrlHealth: Health
    analyticsIDHealth: Health


class UsageTotals(Struct, kw_only=True):
    """Numbers of a site's usage in a period. A request is counted in one of `guestReads`, `memberReads`, `writes` and
    `refused`: in `refused` whenever it was answered with a status of 400 or more; `liveSeconds`: of all live
    connections together; `comments`: new ones.
    """

    guestReads: int
    memberReads: int
    writes: int
    refused: int
    bytesSent: int
    cpuMs: int
    databaseMs: int
    liveSeconds: int
    mails: int
    pushes: int
    comments: int


class UsageRow(UsageTotals, kw_only=True):
    """A site's usage in the hour, day or month that begins at `since`."""

    since: Time


class SiteUsage(Struct, kw_only=True):
    """A site's usage from `since` on and before `until`, in rows by time, without periods that have no usage;
    `storedBytes`: its files now.
    """

    since: Time
    until: Time
    period: Literal["hour", "day", "month"]
    totals: UsageTotals
    usage: list[UsageRow]
    storedBytes: int


class CrawlPolicy(Struct, kw_only=True):
    """Policy of a site for crawlers: names of those that are refused; `trainAi`, whether texts may train language
    models, "" for no statement; and the requests a minute of all unknown programs, 0 for the platform's number.
    """

    refused: list[str]
    trainAi: Literal["y", "n", ""]
    perMinute: int


class PlanLimit(Struct, kw_only=True):
    """Limit of a plan: `most` of what `limit` names, 0 if the site may have nothing of it; and `used`, what the site
    uses of it. `used` is absent for calls and sockets, which each web process limits by itself.
    """

    limit: Literal[
        "members",
        "storage_mb",
        "comments_per_day",
        "calls_per_minute",
        "sockets",
        "mails_per_day",
        "invitations_per_day",
        "webhooks",
        "imports_per_day",
    ]
    most: int
    used: int | UnsetType = UNSET


class SitePlan(Struct, kw_only=True):
    """Plan of a site, "" for none, with its limits; what is not among them has no limit."""

    plan: str
    limits: list[PlanLimit]


class Reserved(Struct, kw_only=True):
    """Answer to the question if a subdomain is free: `reserved` is true if the platform reserves the subdomain, a site
    has it, also a deleted or suspended one, or a site that had it was deleted for good less than 30 days ago (platform
    2.3).
    """

    reserved: bool


class Index(Struct, kw_only=True):
    """Links to what is below an entry point of the API: /, /api or /api/v1 (platform 2.3)."""

    links: list[Link]


class LegalIndex(Struct, kw_only=True):
    """Links to the legal documents of this host (platform 6.1)."""

    links: list[Link]


class LegalDocument(Struct, kw_only=True):
    """A legal document as everybody reads it, or a link to it (platform 6.1)."""

    link: str | UnsetType = UNSET
    html: str | UnsetType = UNSET
    lastModified: Time
    version: (
        Annotated[int, Meta(ge=1, description="Number of a text that asks for consent.")]
        | UnsetType
    ) = UNSET


class LegalVersion(Struct, kw_only=True):
    """Version of a legal text that asks for consent (platform 6.1). `link` or `html`, its text, is absent in lists."""

    version: Annotated[int, Meta(ge=1)]
    published: Time
    asksAgain: Annotated[
        bool, Meta(description="Consents to earlier versions are not good for it.")
    ]
    href: str
    link: str | UnsetType = UNSET
    html: str | UnsetType = UNSET


class LegalVersions(Struct, kw_only=True):
    """All versions of a legal text, newest first; none for a text that has never asked for consent."""

    versions: list[LegalVersion]


class LegalDifference(Struct, kw_only=True, rename={"from_": "from"}):
    """Difference between the words of the versions `from` and `to` of a legal text: all pieces of both, in order."""

    from_: Annotated[int, Meta(ge=0, description="0: nothing, before the first one.")]
    to: Annotated[int, Meta(ge=1)]
    changes: list[TextChange]


class LegalTemplate(Struct, kw_only=True):
    """A legal document in the form in which the site's owner edits it. `own`: the text is the owner's, not the
    software's.
    """

    name: Literal["cookies", "privacy", "terms"]
    own: bool
    html: Annotated[str, Meta(description='The text, with $names; "" where there is a link.')]
    link: Annotated[str, Meta(description='Where it is kept instead; "" for here.')]
    lastModified: Time
    names: Annotated[list[str], Meta(description="What may stand in it after a $.")]
    version: (
        Annotated[int, Meta(ge=1, description="Number of a text that asks for consent.")]
        | UnsetType
    ) = UNSET
    askedSince: (
        Annotated[int, Meta(ge=1, description="First version to which a consent is good.")]
        | UnsetType
    ) = UNSET


class LegalTemplates(Struct, kw_only=True):
    """All legal documents of a site, as its owner edits them."""

    documents: list[LegalTemplate]


class SiteOptions(Struct, kw_only=True):
    """The options of a site: how far agents may go, who creates microcosms and makes bots, and by which ways new
    profiles are notified at first.
    """

    agents: Annotated[
        Literal["off", "read", "draft", "write"], Meta(description="What agents may do at most.")
    ]
    membersCreateMicrocosms: Annotated[bool, Meta(description="Else its owner alone.")]
    membersMakeBots: Annotated[bool, Meta(description="Else its owner alone.")]
    sendEmail: Annotated[bool, Meta(description="Of profiles that are made from now on.")]
    sendSMS: Annotated[bool, Meta(description="Likewise.")]


class SiteOffer(Struct, kw_only=True):
    """The offer of a site to a new owner. `to`: the profile that it is offered to; `by`: the owner's."""

    to: ProfileSummary
    by: ProfileSummary
    expires: Time


class SiteExport(Struct, kw_only=True):
    """The latest export of a site: its state and progress and, once it is done, its archive."""

    state: Annotated[str, Meta(description="waiting, running, done, failed or expired.")]
    created: Time
    started: Annotated[Time | UnsetType, Meta(description="Once a process works on it.")] = UNSET
    finished: Annotated[Time | UnsetType, Meta(description="Once it is done or failed.")] = UNSET
    documents: Annotated[int, Meta(description="Written so far.")]
    total: Annotated[int, Meta(description="About how many there are; 0 while unknown.")]
    reason: Annotated[str | UnsetType, Meta(description="Of a failure.")] = UNSET
    archive: Annotated[
        str | UnsetType,
        Meta(description="The address of the archive, a ZIP file, while it is there."),
    ] = UNSET
    expires: Annotated[Time | UnsetType, Meta(description="The end of the archive.")] = UNSET
    size: Annotated[int | UnsetType, Meta(description="Of the archive, in bytes.")] = UNSET
    sha256: Annotated[str | UnsetType, Meta(description="Of the archive's bytes.")] = UNSET
    hash: Annotated[
        str | UnsetType, Meta(description="Of the content, equal for equal sites (docs/export.md).")
    ] = UNSET


class SiteState(Struct, kw_only=True):
    """State of a site in its life cycle; `since`: from when it is in this state."""

    state: Literal["active", "read-only", "suspended", "export-window"]
    since: Annotated[Time | UnsetType, Meta(description="Unless it is active.")] = UNSET
    due: Annotated[
        Time | UnsetType,
        Meta(description="End of the export window, at which the deletion begins."),
    ] = UNSET
    byOperator: Annotated[
        bool | UnsetType,
        Meta(
            description="In the export window: an operator asked for it, so that the owner can't keep the site."
        ),
    ] = UNSET


class ImportStream(Struct, kw_only=True):
    """Numbers of documents of one kind in the plan of an import: those that would be imported (`comes`), and those that
    would be left out (`stays`).
    """

    name: str
    comes: int
    stays: Annotated[int, Meta(description="Left out.")]


class ImportCount(Struct, kw_only=True):
    """A change or loss in the plan of an import, in words (`text`), with the number of cases."""

    text: str
    count: int


class ImportLoss(Struct, kw_only=True):
    """A kind of data that is never imported from the forum software in question, with the reason."""

    subject: str
    reason: str


class ImportLeftover(Struct, kw_only=True):
    """A document that is left out of an import."""

    kind: Annotated[str, Meta(description="Such as comment.")]
    id: Annotated[str, Meta(description="That of the old forum.")]
    reason: str


class ImportPlan(Struct, kw_only=True):
    """The plan of an import, before anything is written: documents that would be imported, imported with changes, or
    left out.
    """

    streams: list[ImportStream]
    changes: Annotated[list[ImportCount], Meta(description="What would come changed.")]
    unsaid: Annotated[
        list[ImportCount], Meta(description="What texts hold that Markdown can't express.")
    ]
    never: list[ImportLoss]
    reasons: Annotated[
        list[ImportLeftover], Meta(description="Why documents stay, the first 10 of each kind.")
    ]
    seconds: Annotated[int, Meta(description="About how long a run takes.")]


class ImportCheck(Struct, kw_only=True):
    """Counts of one check of an import against its source: documents in the source, on this site (`here`), left out,
    and different from the source.
    """

    name: str
    source: int
    here: int
    leftOut: int
    different: int


class ImportDifference(Struct, kw_only=True):
    """A difference between an import and its source."""

    check: str
    id: Annotated[str, Meta(description="That of the old forum.")]
    text: str


class ImportVerification(Struct, kw_only=True):
    """The comparison of what was loaded with its source."""

    isRight: bool
    checks: list[ImportCheck]
    differences: Annotated[list[ImportDifference], Meta(description="The first 20 of each check.")]
    commentsSince: Annotated[int, Meta(description="Comments of others in it since.")]
    itemsSince: Annotated[int, Meta(description="Items of others in it since.")]


class ImportTouched(Struct, kw_only=True):
    """A use of imported things by others after the import, which keeps the import from being removed. `id`: of what
    others made, edited or voted in, or of the profile; `onType` and `onId`: the imported thing that it is on or in.
    """

    kind: Annotated[
        str,
        Meta(
            description="claim: the profile has been taken over; edit: a text or an item was edited; ballots: somebody "
            "voted in the poll; attendee: the profile answered the event; else the type of what others made."
        ),
    ]
    id: int
    onType: str
    onId: int
    created: Annotated[
        Time | UnsetType,
        Meta(description="Time of it, of ballots the latest one's; absent for a claim."),
    ] = UNSET


class ImportUndoing(Struct, kw_only=True):
    """The removal of an import: numbers of things that were removed, and that stay; and uses of the import by others,
    because of which nothing was removed, unless the request asked to leave out what others have used.
    """

    isDone: Annotated[
        bool, Meta(description="False: others have used it, and nothing was removed.")
    ]
    touched: Annotated[list[ImportTouched], Meta(description="The first 100.")]
    touchedTotal: int
    items: Annotated[int, Meta(description="Removed.")]
    microcosms: Annotated[int, Meta(description="Removed.")]
    people: Annotated[int, Meta(description="Removed.")]
    left: Annotated[int, Meta(description="Things of the import that stay.")]


class SiteImport(Struct, kw_only=True):
    """The latest import that the owner began: its last task (plan, run, verify or undo) with state and progress, and
    the latest results of tasks before.
    """

    state: Annotated[str, Meta(description="waiting, running, done, failed or cancelled.")]
    task: Annotated[str, Meta(description="plan, run, verify or undo.")]
    title: str
    product: Annotated[str | UnsetType, Meta(description="Once it is known.")] = UNSET
    created: Time
    started: Annotated[Time | UnsetType, Meta(description="Once a process works on it.")] = UNSET
    finished: Annotated[Time | UnsetType, Meta(description="Once the task has ended.")] = UNSET
    reason: Annotated[str | UnsetType, Meta(description="Of a failure.")] = UNSET
    phase: Annotated[str | UnsetType, Meta(description="What is read or loaded now.")] = UNSET
    done: Annotated[int, Meta(description="Documents of the phase so far.")]
    total: Annotated[int, Meta(description="Documents of the phase; 0 while unknown.")]
    percent: Annotated[
        int | UnsetType, Meta(description="Of the task; while it runs and this is known.")
    ] = UNSET
    secondsLeft: Annotated[int | UnsetType, Meta(description="About, while it runs.")] = UNSET
    size: Annotated[int | UnsetType, Meta(description="Of the upload, while it is there.")] = UNSET
    expires: Annotated[
        Time | UnsetType, Meta(description="The end of the upload, unless a task is under way.")
    ] = UNSET
    plan: ImportPlan | UnsetType = UNSET
    verification: ImportVerification | UnsetType = UNSET
    undoing: ImportUndoing | UnsetType = UNSET
    isLoaded: Annotated[bool, Meta(description="A run has come to its end.")]
    isResolved: Annotated[bool, Meta(description="Old addresses lead to what was loaded.")]
    leftOut: Annotated[int, Meta(description="Documents that were left out.")]


class ImportLeftovers(Struct, kw_only=True):
    """A page of the documents that an import left out, sorted by kind and old id."""

    leftovers: Paged[ImportLeftover]
    meta: LinksMeta


class SitePrivacy(Struct, kw_only=True):
    """The site's rule on the words of people who are erased: they stay whatever the people choose, or as each person
    chooses.
    """

    keepsWords: Annotated[
        bool, Meta(description="What they have written stays, whatever they choose.")
    ]


class RetentionPeriod(Struct, kw_only=True):
    """A retention period of a site and its bounds, in days."""

    days: Annotated[int | UnsetType, Meta(description="In force; absent: for good.")] = UNSET
    lowest: Annotated[int, Meta(description="That the owner may set.")]
    highest: Annotated[int, Meta(description="That the owner may set.")]
    default: Annotated[
        int | UnsetType, Meta(description="Where the owner sets none; absent: for good.")
    ] = UNSET


class SiteRetention(Struct, kw_only=True):
    """Retention periods of a site: for how many days it keeps each kind of data."""

    addresses: Annotated[RetentionPeriod, Meta(description="Of machines, in the audit.")]
    audit: Annotated[RetentionPeriod, Meta(description="Who changed what.")]
    deletedTexts: Annotated[RetentionPeriod, Meta(description="Of deleted comments and items.")]
    mail: Annotated[RetentionPeriod, Meta(description="That was sent.")]


class RetentionLoss(Struct, kw_only=True):
    """Number of things of one kind that a retention period would remove."""

    count: Count
    oldest: Annotated[Time | UnsetType, Meta(description="Of these, or its deletion.")] = UNSET


class RetentionPreview(Struct, kw_only=True):
    """Answer to a dry run of a change of retention periods: numbers of things that these periods would remove now."""

    addresses: RetentionLoss
    audit: Annotated[RetentionLoss, Meta(description="Entries.")]
    mail: RetentionLoss
    comments: Annotated[RetentionLoss, Meta(description="Deleted, or on deleted items.")]
    revisions: Annotated[RetentionLoss, Meta(description="Earlier texts of these comments.")]
    items: Annotated[RetentionLoss, Meta(description="Deleted.")]


class SiteAvatars(Struct, kw_only=True):
    """The setting of a site that says from where the pictures come of profiles that have uploaded none."""

    gravatar: Annotated[bool, Meta(description="They are fetched from Gravatar.")]


class Metric(Struct, kw_only=True):
    """The figures of the whole platform on one day."""

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
    """The figures of the platform, a sample a day, oldest first."""

    metrics: list[Metric]
