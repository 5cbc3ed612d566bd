"""Definitions of rules: the event, the conditions on a thing and its author, and what is done then."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

from forumapi import itemtypes
from forumapi.errors import Invalid
from forumapi.models.journal import journal
from forumapi.models.roles.criterion import Criterion, comparison
from forumapi.models.trust import targets
from forumapi.models.trust.action import ActionGrounds
from forumapi.models.trust.action_kinds import KINDS, ActionKind, FlagKind

OFF: Final = "off"
SHADOW: Final = "shadow"
ACTIVE: Final = "active"
MODES: Final = (SHADOW, ACTIVE)

# Hides the thing and opens its case, so that a moderator decides.
HOLD: Final = "hold"
# Of a report, which stands in no event log: the reporter stays unknown to everybody who reads it.
REPORTED: Final = "reported"
_COMMENTS: Final = frozenset((itemtypes.COMMENT,))


class RuleEvent(NamedTuple):
    """Event that rules wait for, by what happens and to what. `kind`: a kind of journal.py, such as CREATED, or
    REPORTED; `takes`: types of the things that it happens to.
    """

    takes: frozenset[int]
    kind: str


EVENTS: Final = {
    "comment.created": RuleEvent(_COMMENTS, journal.CREATED),
    "comment.edited": RuleEvent(_COMMENTS, journal.REPLACED),
    "item.created": RuleEvent(targets.ITEMS, journal.CREATED),
    "item.edited": RuleEvent(targets.ITEMS, journal.REPLACED),
    "comment.reported": RuleEvent(_COMMENTS, REPORTED),
    "item.reported": RuleEvent(targets.ITEMS, REPORTED),
    "profile.joined": RuleEvent(frozenset((itemtypes.PROFILE,)), journal.CREATED),
}
# Actions that restrict the author in the thing's microcosm and below it, for some days.
RESTRICTS: Final = ("silence", "ban")
# What a rule may do: to the thing, or, for `warn` and RESTRICTS, to its author.
ACTIONS: Final = (
    HOLD,
    *(name for name, kind in KINDS.items() if isinstance(kind, FlagKind)),
    "move",
    "warn",
    *RESTRICTS,
)
# Actions that themselves write what events are made of. Flags are none of the events.
_SETS_OFF: Final = {"move": frozenset(("item.edited",))}


# What they hide does not count, so whoever has few comments or items would keep few because of the rule.
_HIDES: Final = (HOLD, "hide", "delete")


def _shrinks(criterion: Criterion) -> bool:
    counts = criterion.column in ("commentCount", "itemCount")
    return counts and criterion.predicate not in ("gt", "ge")


class RuleDefinition(NamedTuple):
    """Definition of a rule. `event`: one of EVENTS; `action`: one of ACTIONS, done on these `grounds`. Conditions:
    `roles`: the author is in one of the roles with these ids; `other_roles`: in none of these; `criteria`: the author
    meets all of at least one of their groups (`or_group`); `places`: the thing is in or below one of these microcosms;
    empty tuples restrict nothing. `has_link` True: the text has a link; False: it has none; None: either.

    `least_length`, `most_length`: inclusive bounds of the text in characters (a comment's Markdown, an item's title),
    0: no limit; `to_place`: microcosm into which `move` moves, else 0; `days`: for how long RESTRICTS last, else 0.
    `least_reports`: number of people whose reports the open case of the thing must have, of those in one of the roles
    `reporters` (empty: of all, guests too); 0 for other events. A profile that joins is its own author, and has no text
    and no place.
    """

    title: str
    event: str
    action: str
    grounds: ActionGrounds
    roles: tuple[int, ...] = ()
    other_roles: tuple[int, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    has_link: bool | None = None
    least_length: int = 0
    most_length: int = 0
    places: tuple[int, ...] = ()
    to_place: int = 0
    days: int = 0
    least_reports: int = 0
    reporters: tuple[int, ...] = ()

    @property
    def on(self) -> RuleEvent:
        """Return the event that the rule waits for."""
        return EVENTS[self.event]

    @property
    def does(self) -> ActionKind:
        """Return the object that carries out the rule's action; that of `hide` for HOLD."""
        return KINDS["hide" if self.action == HOLD else self.action]

    def check(self) -> None:
        """Raise Invalid if the event or action is unknown, if the action can't be done on the event's things, if the
        rule would act on its own effects or keep people in its criteria by hiding what they write, and for conditions
        that do not suit the event: `least_reports` is required for reports, and profiles that join have neither text
        nor place.
        """
        if self.event not in EVENTS:
            raise Invalid("event", f"must be one of {', '.join(EVENTS)}")
        if self.action not in ACTIONS:
            raise Invalid("action", f"must be one of {', '.join(ACTIONS)}")
        if not self.is_on_author and not self.on.takes <= self.does.takes:
            raise Invalid("action", f"{self.action} can't be done on {self.event}")
        if self.event in self.effects:
            raise Invalid("action", f"{self.action} would set off {self.event}, and so the rule")

        if self.is_on_joining and (
            self.places or self.has_link is not None or self.least_length or self.most_length
        ):
            raise Invalid("event", "profile.joined has neither a place nor a text")
        if self.is_on_report != bool(self.least_reports) or (
            self.reporters and not self.is_on_report
        ):
            raise Invalid("minReports", "must be given for reports, and for nothing else")
        if self.hides and any(_shrinks(one) for one in self.criteria):
            raise Invalid(
                "criteria", "may not ask for few comments or items: what is hidden does not count"
            )

    @property
    def hides(self) -> bool:
        """Return True if the action hides or deletes the thing."""
        return self.action in _HIDES

    @property
    def is_on_author(self) -> bool:
        """Return True if the action is on the author of the thing, not on the thing."""
        return itemtypes.PROFILE in self.does.takes

    @property
    def is_on_report(self) -> bool:
        """Return True if the rule waits for reports."""
        return self.on.kind == REPORTED

    @property
    def is_on_joining(self) -> bool:
        """Return True if the rule waits for profiles that join."""
        return itemtypes.PROFILE in self.on.takes

    def ends(self) -> datetime.datetime | None:
        """Return the time, in UTC, at which a restriction that begins now ends, after `days`; None for other actions,
        whose `days` is 0.
        """
        if not self.days:
            return None
        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=self.days)

    @property
    def effects(self) -> frozenset[str]:
        """Return the events, of EVENTS by name, that the action itself sets off."""
        return _SETS_OFF.get(self.action, frozenset())

    def encoded(self) -> str:
        """Return the definition as JSON; its decoded form is what `of` takes. The fields that only rules on reports use
        are left out of other rules, so that an earlier release can read these.
        """
        data: dict[str, Any] = self._asdict()
        if not self.is_on_report:
            del data["least_reports"], data["reporters"]
        data["grounds"] = self.grounds._asdict()
        data["criteria"] = [one._asdict() for one in self.criteria]
        return json.dumps(data, ensure_ascii=False)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Make the definition from what `encoded` stored, decoded from JSON."""
        names = ("roles", "other_roles", "places", "reporters")
        lists = {name: tuple(data.get(name, ())) for name in names}
        return cls(
            **{
                **data,
                **lists,
                "grounds": ActionGrounds(**data["grounds"]),
                "criteria": tuple(Criterion(**one) for one in data["criteria"]),
            }
        )

    def tests(self) -> str:
        """Return the criteria as a JSON array of objects, the rows of the SQL table `tests` in matching.py."""
        tests = []
        for one in self.criteria:
            found = comparison(one)
            tests.append(
                {
                    "or_group": one.or_group,
                    "kind": found.kind,
                    "attr_key": one.key or None,
                    "predicate": one.predicate,
                    "number_value": found.number,
                    "date_value": found.date.isoformat() if found.date else None,
                    "text_value": found.text,
                    "boolean_value": found.flag,
                }
            )
        return json.dumps(tests, ensure_ascii=False)

    def document(self) -> dict[str, Any]:
        """Return the definition as a dict for JSON, without the grounds' note; the link condition, the target of a
        move, the days of a restriction and the conditions on reports are there only if the rule has them.
        """
        data: dict[str, Any] = {
            "title": self.title,
            "event": self.event,
            "roleIds": list(self.roles),
            "notRoleIds": list(self.other_roles),
            "criteria": [one.document() for one in self.criteria],
            "microcosmIds": list(self.places),
            "minLength": self.least_length,
            "maxLength": self.most_length,
            "action": self.action,
            "ground": self.grounds.ground,
            "category": self.grounds.category,
            "rule": self.grounds.rule,
            "reason": self.grounds.reason,
        }
        if self.to_place:
            data["toMicrocosmId"] = self.to_place
        if self.days:
            data["restrictDays"] = self.days
        if self.has_link is not None:
            data["hasLink"] = self.has_link
        if self.is_on_report:
            data |= {"minReports": self.least_reports, "reporterRoleIds": list(self.reporters)}
        return data
