"""Shapes of rules of moderation: dry runs, versions, records."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from forumapi.wire.schemas.parts import KeysetPage, LinksMeta, ProfileSummary
from forumapi.wire.schemas.trust import Category
from forumapi.wire.schemas.values import Address, Count, Id, ItemTypeName, Text, Time


class ModerationRuleCriterion(Struct, kw_only=True):
    """A criterion of a rule of moderation, of the form of a role's criteria: a condition on a column of the author's
    profile (`profileColumn`) or on one of its attributes (`attrKey`).
    """

    orGroup: Annotated[int, Meta(description="Those of one group must all hold.")]
    profileColumn: str | UnsetType = UNSET
    attrKey: str | UnsetType = UNSET
    predicate: Literal["eq", "ne", "neq", "lt", "le", "ge", "gt", "substr", "nsubstr"]
    value: bool | float | str


class ModerationRuleTerms(Struct, kw_only=True):
    """The terms of a rule of moderation: its event, its conditions, and what is done then. `minLength` and `maxLength`:
    characters of a comment's Markdown or an item's title; `hasLink`: true with a link, false without, absent for
    either.
    """

    title: Text
    event: Literal[
        "comment.created",
        "comment.edited",
        "item.created",
        "item.edited",
        "comment.reported",
        "item.reported",
        "profile.joined",
    ]
    roleIds: Annotated[list[Id], Meta(description="The author is in one of these roles.")]
    notRoleIds: Annotated[list[Id], Meta(description="The author is in none of these roles.")]
    criteria: list[ModerationRuleCriterion]
    microcosmIds: Annotated[list[Id], Meta(description="In one of these, or below; empty: all.")]
    minLength: Count
    maxLength: Annotated[int, Meta(ge=0, description="0: no limit.")]
    action: str
    ground: Literal["terms", "illegal"]
    category: Category
    rule: Annotated[Text, Meta(description="The term or law that it stands on.")]
    reason: Annotated[Text, Meta(description="What the authors are told.")]
    toMicrocosmId: Id | UnsetType = UNSET
    restrictDays: Annotated[int, Meta(description="Of `silence` and `ban`.")] | UnsetType = UNSET
    hasLink: bool | UnsetType = UNSET
    minReports: Annotated[int, Meta(description="So many people have reported it.")] | UnsetType = (
        UNSET
    )
    reporterRoleIds: (
        Annotated[list[Id], Meta(description="Only people in one of these count.")] | UnsetType
    ) = UNSET


class ModerationRule(ModerationRuleTerms, kw_only=True):
    """A rule of moderation in its version in force, with the numbers of things of the last 30 days on which it acted
    (`acted`), and which it only recorded, in shadow mode (`shadowed`).
    """

    id: Id
    version: Count
    mode: Literal["off", "shadow", "active"]
    acted: Annotated[int, Meta(ge=0, description="Things that it acted on in 30 days.")]
    shadowed: Annotated[int, Meta(ge=0, description="Things that it recorded in shadow mode.")]
    created: Time
    since: Annotated[Time, Meta(description="From when this version is in force.")]
    meta: LinksMeta


class ModerationRulePage(KeysetPage[ModerationRule]):
    """The one page of the list of a site's rules of moderation, oldest first."""


class ModerationRules(Struct, kw_only=True):
    """The rules of moderation of the site."""

    rules: ModerationRulePage
    meta: LinksMeta


class ModerationRuleTarget(Struct, kw_only=True):
    """A thing that the rule of a dry run fits. `happened`: when it was written, edited, reported or joined, whichever
    the rule is about.
    """

    itemType: ItemTypeName
    itemId: Id
    href: Address
    text: Annotated[str, Meta(description="The beginning of its Markdown, or its title.")]
    happened: Time
    createdBy: ProfileSummary | None


class ModerationRuleDryRun(ModerationRuleTerms, kw_only=True):
    """The outcome of a dry run of a rule of moderation: of `examined` things of the last `days` days, it fits `total`;
    `targets`: the newest 100 of these.
    """

    ticket: Annotated[str, Meta(description="It saves the rule, for 15 minutes.")]
    mode: Literal["shadow", "active"]
    days: Count
    examined: Count
    total: Count
    targets: list[ModerationRuleTarget]


class ModerationRuleVersion(ModerationRuleTerms, kw_only=True):
    """A version of a rule of moderation, in force or earlier."""

    version: Count
    mode: Literal["off", "shadow", "active"]
    matched: Annotated[int, Meta(ge=0, description="Things that its dry run found.")]
    created: Time
    createdBy: ProfileSummary | None


class ModerationRuleVersionPage(KeysetPage[ModerationRuleVersion]):
    """A page of versions of a rule of moderation, newest first."""


class ModerationRuleVersions(Struct, kw_only=True):
    """The versions of a rule of moderation, newest first."""

    versions: ModerationRuleVersionPage
    meta: LinksMeta


class ModerationRuleHit(Struct, kw_only=True):
    """The record that a rule of moderation fitted a thing, and acted on it or, with `shadow`, did nothing."""

    id: Id
    version: Count
    itemType: ItemTypeName
    itemId: Id
    href: Address
    shadow: bool
    actionId: Id | UnsetType = UNSET
    created: Time


class ModerationRuleHitPage(KeysetPage[ModerationRuleHit]):
    """A page of records of a rule of moderation, newest first."""


class ModerationRuleHits(Struct, kw_only=True):
    """The records of things that a rule of moderation fitted, newest first."""

    hits: ModerationRuleHitPage
    meta: LinksMeta
