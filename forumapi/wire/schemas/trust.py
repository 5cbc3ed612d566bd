"""Shapes of moderation: reports, cases, actions, statements of reasons, appeals, transparency reports."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.parts import KeysetPage, Link, LinksMeta, ProfileSummary
from forumapi.wire.schemas.values import Address, Count, Id, ItemTypeName, PageLimit, Text, Time

Category = Annotated[
    str, Meta(pattern="^STATEMENT_CATEGORY_[A-Z_]+$", description="A category of the DSA.")
]


class ReportMeta(Struct, kw_only=True):
    """`meta` of a report."""

    created: Time
    links: list[Link]


class Report(Struct, kw_only=True):
    """A report as its reporter sees it."""

    id: Id
    itemType: ItemTypeName
    itemId: Id
    kind: str
    category: Category
    text: Text
    state: Literal["open", "decided"]
    outcome: Literal["acted", "dismissed"] | UnsetType = UNSET
    decided: Time | UnsetType = UNSET
    meta: ReportMeta


class ReportPage(KeysetPage[Report]):
    """A page of reports, newest first."""


class Reports(Struct, kw_only=True):
    """The caller's own reports, newest first."""

    reports: ReportPage
    meta: LinksMeta


class CaseSummary(Struct, kw_only=True):
    """A case in the queue: all that waits about one thing, reports and what a check or rule has held; or one appeal.
    `due`: time by which it should be decided; `assignedTo`: moderator who should decide it; `takenBy`: moderator for
    whom it is locked until `takenUntil`; these keys are absent if there is none; a profile that is gone is null.
    """

    id: Id
    itemType: ItemTypeName
    itemId: Id
    author: ProfileSummary | None
    state: Literal["open", "decided"]
    priority: Literal["urgent", "high", "normal"]
    reports: Count
    opened: Time
    due: Time
    held: Annotated[bool, Meta(description="A check or a rule has hidden it.")]
    appealId: Id | UnsetType = UNSET
    assignedTo: ProfileSummary | UnsetType | None = UNSET
    microcosmId: Id | UnsetType = UNSET
    text: (
        Annotated[
            str,
            Meta(
                description="Of a comment its Markdown, of an item its title, of a profile its name."
            ),
        ]
        | UnsetType
    ) = UNSET
    takenBy: ProfileSummary | UnsetType | None = UNSET
    takenUntil: Time | UnsetType = UNSET
    outcome: Literal["acted", "dismissed"] | UnsetType = UNSET
    decided: Time | UnsetType = UNSET
    decidedBy: ProfileSummary | UnsetType | None = UNSET
    meta: LinksMeta


class CasePage(Struct, kw_only=True):
    """A page of the queue of cases: open ones by urgency, then oldest first; or decided ones, newest first."""

    limit: PageLimit
    links: Annotated[list[Link], Meta(description="self, and next where there are more.")]
    type: Address
    items: list[CaseSummary]


class Cases(Struct, kw_only=True):
    """Cases, open or decided, in microcosms that the caller moderates, without those about the caller's own content."""

    cases: CasePage
    meta: LinksMeta


class ReportKind(Struct, kw_only=True):
    """A kind of reports that the site offers."""

    kind: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,40}$")]
    title: Text
    category: Category


class ReportingGuest(Struct, kw_only=True):
    """The guest who made a report; name and address are empty once the report was decided half a year ago."""

    name: Text
    email: str


class ShownComment(Struct, kw_only=True):
    """A comment of a huddle, which a reporter who is in the huddle shows to the moderators; `text`: its Markdown."""

    id: Id
    text: str
    created: Time
    createdBy: ProfileSummary | None


class Reported(Struct, kw_only=True):
    """A report as moderators see it, within its case; `shownIds`: comments of a huddle that its reporter shows with the
    reported one.
    """

    reporter: ProfileSummary | None
    created: Time
    kind: str
    category: Category
    text: Text
    guest: ReportingGuest | UnsetType = UNSET
    shownIds: list[Id] | UnsetType = UNSET


class StoredVerdict(Struct, kw_only=True):
    """Verdict of one check on a thing, as moderators see it; `milliseconds`: time that the check took."""

    check: str
    verdict: Literal["pass", "hold", "failed"]
    reason: str
    milliseconds: Count


class CheckedThing(Struct, kw_only=True):
    """Verdicts of all checks on a thing at one time, as moderators see them within its case."""

    checked: Time
    state: Literal["passed", "held"]
    verdicts: list[StoredVerdict]


class RoleRate(Struct, kw_only=True):
    """Number of things that people in a role may write in an hour before more are held; 0: as many as they want."""

    roleId: Id
    perHour: Count


class Checks(Struct, kw_only=True):
    """Checks that a site has turned on; a check is off with 0 (`maxLinks` with null alone), false or an empty list.
    `firstPosts`: so many first things of an author are held; `maxLinks`: a text with more links is held (0: with any
    link); `domains`: a text with links to these or their subdomains is held; `perHour`: more things of an author in an
    hour are held, `rates` says otherwise for roles; `sameText`: a text that was written on so many other sites within a
    day is held; `onFailure`: verdict on a text that a service could not judge.
    """

    firstPosts: Count
    maxLinks: int | None
    domains: list[str]
    perHour: Count
    rates: list[RoleRate]
    sameText: Count
    stopForumSpam: bool
    akismetKey: Annotated[bool, Meta(description="There is a key.")]
    onFailure: Literal["pass", "hold"]
    beforeShown: Annotated[bool, Meta(description="Local checks judge before others read.")]


class CaseNote(Struct, kw_only=True):
    """A note on a case."""

    text: Text
    created: Time
    createdBy: ProfileSummary | None


class Case(Struct, kw_only=True):
    """A case with its first 500 reports and first 500 notes, oldest first, and the ids of its actions; `shown`:
    comments of a huddle that reporters show, `checks`: verdicts on the thing. Other keys as in CaseSummary.
    """

    id: Id
    itemType: ItemTypeName
    itemId: Id
    author: ProfileSummary | None
    state: Literal["open", "decided"]
    priority: Literal["urgent", "high", "normal"]
    reports: Count
    opened: Time
    due: Time
    held: Annotated[bool, Meta(description="A check or a rule has hidden it.")]
    appealId: Id | UnsetType = UNSET
    assignedTo: ProfileSummary | UnsetType | None = UNSET
    microcosmId: Id | UnsetType = UNSET
    text: str | UnsetType = UNSET
    takenBy: ProfileSummary | UnsetType | None = UNSET
    takenUntil: Time | UnsetType = UNSET
    outcome: Literal["acted", "dismissed"] | UnsetType = UNSET
    decided: Time | UnsetType = UNSET
    decidedBy: ProfileSummary | UnsetType | None = UNSET
    reported: list[Reported]
    shown: list[ShownComment] | UnsetType = UNSET
    checks: list[CheckedThing] | UnsetType = UNSET
    notes: list[CaseNote]
    actions: Annotated[list[Id], Meta(description="Ids of the actions on the case.")]
    meta: LinksMeta


class ActionCounts(Struct, kw_only=True):
    """Numbers of an action's targets, by their state (see ChangedThing)."""

    planned: Count
    done: Count
    unchanged: Count
    refused: Count
    undone: Count
    conflict: Count


class ChangedThing(Struct, kw_only=True):
    """A target of an action, with what became of it: not changed yet (`planned`), changed (`done`), in that state
    already (`unchanged`), not changed (`refused`), changed back (`undone`), or left alone by an undo, since it was
    changed meanwhile (`conflict`).
    """

    itemType: ItemTypeName
    itemId: Id
    href: Address
    state: Literal["planned", "done", "unchanged", "refused", "undone", "conflict"]
    text: (
        Annotated[
            str,
            Meta(
                description="Of a comment the beginning of its Markdown, of an item its title, of a profile its name."
            ),
        ]
        | UnsetType
    ) = UNSET
    why: Annotated[str, Meta(description="Why it was refused, or not undone.")] | UnsetType = UNSET


class NamedThing(Struct, kw_only=True):
    """Thing by its type and id."""

    itemType: ItemTypeName
    itemId: Id


class ActionSummary(Struct, kw_only=True):
    """An action of a moderator, a rule or an operator, in a list. `total`: number of its targets; `ends`: of a silence
    or ban, absent if it is for good.
    """

    id: Id
    kind: str
    state: Literal["planned", "running", "done", "undoing", "undone"]
    ground: Literal["terms", "illegal"]
    category: Category
    rule: Text
    reason: Annotated[Text, Meta(description="What the authors are told.")]
    note: Annotated[Text, Meta(description="For moderators alone.")]
    total: Count
    caseId: Id | UnsetType = UNSET
    byRule: (
        Annotated[int, Meta(description="The rule that acted; createdBy is null.")] | UnsetType
    ) = UNSET
    ruleVersion: int | UnsetType = UNSET
    microcosmId: Id | UnsetType = UNSET
    into: (
        Annotated[
            NamedThing,
            Meta(description="What conversations were merged into, or a split has made."),
        ]
        | UnsetType
    ) = UNSET
    title: (
        Annotated[Text, Meta(description="Of the conversation that a split makes.")] | UnsetType
    ) = UNSET
    ends: Time | UnsetType = UNSET
    ticket: Annotated[str, Meta(description="Sent back, it carries out the plan.")] | UnsetType = (
        UNSET
    )
    created: Time
    createdBy: ProfileSummary | None
    finished: Time | UnsetType = UNSET
    undone: Time | UnsetType = UNSET
    undoneBy: ProfileSummary | UnsetType | None = UNSET
    meta: LinksMeta


class ActionPage(KeysetPage[ActionSummary]):
    """A page of actions, newest first."""


class Actions(Struct, kw_only=True):
    """Actions of moderators, rules and operators, newest first, whose targets are all in microcosms that the caller
    moderates; without those of others on the caller's own content.
    """

    actions: ActionPage
    meta: LinksMeta


class Action(Struct, kw_only=True):
    """An action of a moderator, a rule or an operator with its first 250 targets: first those that the action could not
    change or an undo could not change back, then the others.
    """

    id: Id
    kind: str
    state: Literal["planned", "running", "done", "undoing", "undone"]
    ground: Literal["terms", "illegal"]
    category: Category
    rule: Text
    reason: Text
    note: Text
    total: Count
    caseId: Id | UnsetType = UNSET
    byRule: int | UnsetType = UNSET
    ruleVersion: int | UnsetType = UNSET
    microcosmId: Id | UnsetType = UNSET
    into: NamedThing | UnsetType = UNSET
    title: Text | UnsetType = UNSET
    ends: Time | UnsetType = UNSET
    ticket: str | UnsetType = UNSET
    created: Time
    createdBy: ProfileSummary | None
    finished: Time | UnsetType = UNSET
    undone: Time | UnsetType = UNSET
    undoneBy: ProfileSummary | UnsetType | None = UNSET
    counts: ActionCounts
    targets: list[ChangedThing]
    meta: LinksMeta


class StatementSummary(Struct, kw_only=True):
    """A statement of reasons in a list (DSA, Article 17). `action`: kind of the action that was decided on; `facts`:
    the reason that was given for it; both `automated…`: a rule decided, no person. `applied`: when the decision was
    made; `ends`: until when, null for good; `revoked`: when it was taken back, absent if it was not; `corrected`: when
    an appeal found it wrong, absent if none did.
    """

    id: Id
    action: str
    decision: Annotated[str, Meta(pattern="^DECISION_[A-Z_]+$")]
    ground: Annotated[str, Meta(pattern="^DECISION_GROUND_[A-Z_]+$")]
    category: Category
    rule: Annotated[Text, Meta(description="The term or law that the decision stands on.")]
    facts: Text
    automatedDetection: bool
    automatedDecision: bool
    applied: Time
    ends: Time | None
    count: Annotated[int, Meta(ge=0, description="Things that it is about.")]
    microcosmId: Id | UnsetType = UNSET
    revoked: Time | UnsetType = UNSET
    corrected: Time | UnsetType = UNSET
    meta: LinksMeta


class StatementPage(KeysetPage[StatementSummary]):
    """A page of statements, newest first."""


class Statements(Struct, kw_only=True):
    """The statements of reasons that are addressed to the caller, newest first."""

    statements: StatementPage
    meta: LinksMeta


class StatedThing(Struct, kw_only=True):
    """An object of the caller's that a statement of reasons is about; `undone`: what was decided on it was undone."""

    itemType: ItemTypeName
    itemId: Id
    href: Address
    undone: bool


class Statement(Struct, kw_only=True):
    """A statement of reasons with the first 100 objects that it is about; `count`: number of all. Other keys as in
    StatementSummary.
    """

    id: Id
    action: str
    decision: Annotated[str, Meta(pattern="^DECISION_[A-Z_]+$")]
    ground: Annotated[str, Meta(pattern="^DECISION_GROUND_[A-Z_]+$")]
    category: Category
    rule: Text
    facts: Text
    automatedDetection: bool
    automatedDecision: bool
    applied: Time
    ends: Time | None
    count: Count
    microcosmId: Id | UnsetType = UNSET
    revoked: Time | UnsetType = UNSET
    corrected: Time | UnsetType = UNSET
    appealUntil: Annotated[Time, Meta(description="The end of the time in which one can appeal.")]
    things: list[StatedThing]
    meta: Annotated[LinksMeta, Meta(description="With a link `appeal` where there is one.")]


class AppealMessage(Struct, kw_only=True):
    """A message of an appeal; the person who appeals does not see `createdBy`, which is absent for them."""

    text: Text
    created: Time
    byModerator: bool
    createdBy: ProfileSummary | UnsetType | None = UNSET


class AppealSummary(Struct, kw_only=True):
    """An appeal against a statement of reasons, in a list. The person who appeals does not see `actionId`, `createdBy`
    and `decidedBy`, which are absent for them.
    """

    id: Id
    statementId: Id
    state: Literal["open", "granted", "refused"]
    created: Time
    actionId: Annotated[Id, Meta(description="For moderators alone.")] | UnsetType = UNSET
    createdBy: ProfileSummary | UnsetType | None = UNSET
    decided: Time | UnsetType = UNSET
    decidedBy: ProfileSummary | UnsetType | None = UNSET
    meta: LinksMeta


class AppealPage(KeysetPage[AppealSummary]):
    """A page of appeals: the caller's own, newest first; or those to decide, oldest first."""


class Appeals(Struct, kw_only=True):
    """The caller's own appeals, or those that the caller may decide."""

    appeals: AppealPage
    meta: LinksMeta


class Appeal(Struct, kw_only=True):
    """An appeal with its messages, oldest first. Other keys as in AppealSummary."""

    id: Id
    statementId: Id
    state: Literal["open", "granted", "refused"]
    created: Time
    actionId: Id | UnsetType = UNSET
    createdBy: ProfileSummary | UnsetType | None = UNSET
    decided: Time | UnsetType = UNSET
    decidedBy: ProfileSummary | UnsetType | None = UNSET
    messages: list[AppealMessage]
    meta: LinksMeta


class TransparencyTotals(Struct, kw_only=True):
    """Totals and medians of a transparency report, over its whole period."""

    notices: Count
    noticeMedianSeconds: (
        Annotated[float, Meta(description="From a notice to the decision on its case.")] | None
    )
    decisions: Annotated[Count, Meta(description="Statements of reasons.")]
    things: Annotated[Count, Meta(description="Things that the decisions concern.")]
    decisionMedianSeconds: (
        Annotated[float, Meta(description="From the first notice to the decision that it led to.")]
        | None
    )
    appeals: Count
    appealMedianSeconds: float | None


class TransparencyRow(Struct, kw_only=True):
    """The number (`count`) of notices, decisions or appeals with the same values under the keys from `source` to
    `outcome`, where a key that does not apply to this `part` is null or "". `things`: number of things that the
    decisions concern.
    """

    part: Literal["notice", "decision", "appeal"]
    source: Literal["SOURCE_ARTICLE_16", "SOURCE_VOLUNTARY"] | None
    kind: Annotated[str, Meta(description="Of the report, else of the action.")]
    category: Category | None
    ground: str | None
    decision: str | None
    contentType: Literal["CONTENT_TYPE_TEXT", "CONTENT_TYPE_OTHER"] | None
    automatedDetection: bool | None
    automatedDecision: bool | None
    outcome: Literal[
        "open", "acted", "dismissed", "inForce", "revoked", "corrected", "granted", "refused"
    ]
    count: Count
    things: Count | None
    medianSeconds: float | None


class TransparencyReport(Struct, kw_only=True):
    """The numbers of notices, decisions and appeals in a period, in the terms of the Digital Services Act."""

    since: Time
    until: Time
    totals: TransparencyTotals
    rows: list[TransparencyRow]
