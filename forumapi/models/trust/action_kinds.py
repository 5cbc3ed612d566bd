"""Register of action kinds: what each does to one thing, and its inverse. A class without an inverse that is not
`final` raises TypeError at import.
"""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple, TypedDict, Unpack

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.trust import kept_last_activity, redaction, sanction, targets
from forumapi.models.trust.kept_last_activity import RehiddenComment, UnhiddenComment
from forumapi.models.trust.sanction import Sanction
from forumapi.models.trust.target_batch_writer import TargetBatchWriter
from forumapi.models.trust.targets import ActionTarget, HeldItem

State = Mapping[str, Any]

# What a PATCH of v1 leaves on an item, taken back unless somebody has edited the item since.
RESTORE_EDIT = Query(
    "action_kinds.restore_edit",
    """
    UPDATE items i
       SET edited = %(edited)s::timestamptz, edited_by = %(edited_by)s, edit_reason = %(edit_reason)s
     WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s AND i.edited = %(after)s::timestamptz""",
)

# Undone before a later change, which then began from what the earlier one left: it began from what was before both.
SKIP_EDIT = Query(
    "action_kinds.skip_edit",
    """
    UPDATE action_changes y
       SET before = y.before || jsonb_build_object('edited', %(edited)s::text, 'edited_by', %(edited_by)s::bigint,
                                                   'edit_reason', %(edit_reason)s::text)
     WHERE y.site_id = %(site_id)s AND y.item_type_id = %(item_type)s AND y.item_id = %(item_id)s
       AND y.before ->> 'edited' = %(after)s::text""",
)
_WRITTEN: Final = frozenset((itemtypes.COMMENT, *targets.ITEMS))
_PEOPLE: Final = frozenset((itemtypes.PROFILE,))
# Columns that hide a thing where they are true.
_HIDING: Final = frozenset(("is_deleted", "is_moderated"))

# Key of the item whose last activity a change has moved.
ACTIVE_ITEM: Final = "active_item"
# Key of what a redaction has changed.
REDACTED: Final = "redacted"
CHANGED_SINCE: Final = "somebody has changed this since"
MERGED: Final = "this was merged into another conversation"
GONE: Final = "the microcosm that it was in is no more, or is not yours to moderate"


class ActionOptions(NamedTuple):
    """Options of an action, the same for all its things. `place_id`: microcosm into which it moves, or in which it
    restricts; 0 for none; `ends`: end of a restriction, None for never; `allowed`: ids of the microcosms that the actor
    moderates (0: outside of all); `action_id`: the action's own.

    `into_id`: the item that a merge moves comments into, 0 for none; `title`: title of the conversation that a split
    makes; `items`: all items that are locked, by id; `keeps_longer`: a restriction in force that ends no earlier stays
    as it is, as when a rule acts.
    """

    place_id: int = 0
    ends: datetime.datetime | None = None
    allowed: frozenset[int] = frozenset()
    action_id: int = 0
    into_id: int = 0
    title: str = ""
    items: Mapping[int, HeldItem] = MappingProxyType({})
    keeps_longer: bool = False


class Refusal(NamedTuple):
    """Refusal to change one thing of an action, which is left as it is; `why`: the reason, for the moderator."""

    why: str


class AppliedChange(NamedTuple):
    """Change of a thing by an action: the values `before` and `after` it, by name, of the fields that an undo looks at,
    of which some may be the same; both {} for a warning. `applied`: the time of the change; None until the change is
    stored.
    """

    before: State
    after: State
    applied: datetime.datetime | None = None


# Outcome of an action for one thing; None: nothing of the thing had to change.
Applied = AppliedChange | Refusal | None


class UndoneChange(NamedTuple):
    """Change that is to be taken back, and the locked target that it was made to."""

    target: ActionTarget
    change: AppliedChange


class _KindOptions(TypedDict, total=False):
    """Options that a class of kinds is declared with; their meaning is in ActionKind."""

    name: str
    takes: frozenset[int]
    decision: str
    final: bool


KINDS: Final[dict[str, ActionKind]] = {}


class ActionKind(ABC):
    """Base class of action kinds; each concrete one has a name and a single object, in KINDS, and defines `apply`,
    and `inverse` unless it is `final`.

    `takes`: types of things that it is done to. `decision`: its name in the DSA's database, of kinds that restrict
    people the beginning of the name; "": authors get no statement. `final`: it can never be undone. `moves_comments`:
    it moves comments between items, all of whose comments are locked then.
    """

    name: ClassVar[str]
    takes: ClassVar[frozenset[int]]
    decision: ClassVar[str]
    final: ClassVar[bool]
    moves_comments: ClassVar[bool] = False

    def __init_subclass__(
        cls,
        name: str = "",
        takes: frozenset[int] = frozenset(),
        decision: str = "",
        *,
        final: bool = False,
    ) -> None:
        super().__init_subclass__()
        cls.name, cls.takes, cls.decision, cls.final = name, takes, decision, final
        if name:
            if not final and cls.inverse is ActionKind.inverse:
                raise TypeError(f"{cls.__name__} has no inverse")
            if name in KINDS:
                raise TypeError(f"two kinds of actions are called {name}")
            KINDS[name] = cls()

    def decided(self, *, is_site_wide: bool, is_for_good: bool) -> str:
        """Return the name in the DSA's database of what an action of this kind decides. `is_site_wide`: it names no
        microcosm; `is_for_good`: it has no end; both matter to kinds alone that restrict people.
        """
        return self.decision

    @property
    def flag(self) -> str:
        """Return the name of the column that the kind sets, "" for none; `Action.plan_query` leaves out things whose
        column has the value `value` already.
        """
        return ""

    @property
    def value(self) -> bool:
        """Return the value to which the kind sets the column `flag`; False, without a meaning, if `flag` is ""."""
        return False

    def is_large(self, tx: Transaction, site_id: int, action_id: int) -> bool:
        """Return True if the things of an action that are still to be changed, or to be taken back, are too large for
        one request, however few they are, such as conversations with many comments: then each is changed in a
        transaction of its own, in the background.
        """
        return False

    def others(self, into_id: int, before: State | None) -> set[int]:
        """Return the ids of items that are to be locked together with a thing of an action. `into_id`: the action's
        item of a merge or split, 0 for none; `before`: for an undo, the thing's state before the action; None when the
        action is carried out.
        """
        return set()

    @abstractmethod
    def apply(
        self,
        tx: Transaction,
        author: Author,
        held: Sequence[ActionTarget],
        options: ActionOptions,
    ) -> list[Applied]:
        """Change the locked things; return the outcome for each, in the order of `held`: what changed, None if nothing
        had to, or a Refusal.
        """

    def inverse(
        self,
        tx: Transaction,
        author: Author,
        undone: Sequence[UndoneChange],
        options: ActionOptions,
    ) -> list[str]:
        """Take back exactly what `apply` changed in the locked things; return for each, in the order of `undone`, "" or
        why that can't be. Raises NotImplementedError for a `final` kind.
        """
        raise NotImplementedError


class FlagKind(ActionKind):
    """Base class of kinds that set one flag of a comment or item: `column`, its name, to the value `becomes`; both are
    given as arguments of the class statement.
    """

    column: ClassVar[str] = ""
    becomes: ClassVar[bool] = False

    def __init_subclass__(
        cls, column: str = "", *, becomes: bool = False, **rest: Unpack[_KindOptions]
    ) -> None:
        cls.column, cls.becomes = column, becomes
        super().__init_subclass__(**rest)

    @property
    def flag(self) -> str:
        return self.column

    @property
    def value(self) -> bool:
        return self.becomes

    def others(self, into_id: int, before: State | None) -> set[int]:
        """Return the ids as `ActionKind.others` does: for an undo the item whose last activity the change has moved."""
        return {before[ACTIVE_ITEM]} if before and ACTIVE_ITEM in before else set()

    @property
    def _hides(self) -> bool:
        """Return True if the kind hides or deletes the things that it is done to."""
        return self.column in _HIDING and self.becomes

    def apply(
        self,
        tx: Transaction,
        author: Author,
        held: Sequence[ActionTarget],
        options: ActionOptions,
    ) -> list[Applied]:
        batch = TargetBatchWriter(tx, author)
        if not self._hides:
            batch.read_latest(held)
        changes: list[Applied] = []
        for target in held:
            if getattr(target.thing, self.column) is self.becomes:
                changes.append(None)
                continue
            if self.column == "is_deleted" and not self.becomes and target.is_merged:
                changes.append(Refusal(MERGED))
                continue
            before: dict[str, Any] = {self.column: not self.becomes}
            after: dict[str, Any] = {self.column: self.becomes}
            parent = target.parent
            was = parent.last_activity if parent is not None else None
            batch.flag(target, self.column, self.becomes)
            if target.comment is not None and target.comment.is_visible and parent is not None:
                before["last_activity"], after["last_activity"] = was, parent.last_activity
                before[ACTIVE_ITEM] = parent.item.id
            changes.append(AppliedChange(before, after))
        batch.write(journal.PATCHED)
        return changes

    def inverse(
        self,
        tx: Transaction,
        author: Author,
        undone: Sequence[UndoneChange],
        options: ActionOptions,
    ) -> list[str]:
        batch = TargetBatchWriter(tx, author)
        if self._hides:
            batch.read_latest(one.target for one in undone)
        shown, hidden, edited, conflicts = [], [], [], []
        for target, change in undone:
            is_fixed = self.column == "is_deleted" and self.becomes and target.is_merged
            if getattr(target.thing, self.column) is not self.becomes or is_fixed:
                conflicts.append(CHANGED_SINCE)
                continue
            parent = target.parent
            was = parent.last_activity if parent is not None else None
            batch.flag(target, self.column, not self.becomes)
            if was is not None and target.comment is not None and target.comment.is_visible:
                shown.append(UnhiddenComment(target, was))
            # The item that the comment was on then: it may have been moved since.
            active = (
                options.items.get(change.before[ACTIVE_ITEM])
                if ACTIVE_ITEM in change.before
                else parent
            )
            if "last_activity" in change.before and active is not None:
                before, after = _activity(change.before), _activity(change.after)
                if not batch.restore_activity(active, before, after) and before != after:
                    assert change.applied is not None
                    hidden.append(RehiddenComment(active.item.id, before, after, change.applied))
            if "edited" in change.after:
                edited.append((target, change))
            conflicts.append("")
        batch.write(journal.PATCHED)
        kept_last_activity.carry(tx, author.site_id, shown)
        kept_last_activity.skip(tx, author.site_id, hidden)
        for target, change in edited:
            _restore_edit(tx, author, target, change)
        return conflicts


def _activity(state: State) -> datetime.datetime:
    return datetime.datetime.fromisoformat(state["last_activity"])


def _restore_edit(
    tx: Transaction, author: Author, target: ActionTarget, change: AppliedChange
) -> None:
    """Give the item `target` back the time, author and reason of its last edit before `change`, a PATCH of v1, which
    counts as an edit too. If the item was edited after `change`, put these values into the record of the later change
    that has the edit of `change` as the one before it instead, so that its undo restores them.
    """
    named = {
        "site_id": author.site_id,
        "item_id": target.ref.id,
        "edited": change.before["edited"],
        "edited_by": change.before["edited_by"],
        "edit_reason": change.before["edit_reason"],
        "after": change.after["edited"],
    }
    if not tx.run(RESTORE_EDIT, **named):
        tx.run(SKIP_EDIT, item_type=target.ref.type, **named)


class HideKind(
    FlagKind,
    name="hide",
    takes=_WRITTEN,
    decision="DECISION_VISIBILITY_CONTENT_DISABLED",
    column="is_moderated",
    becomes=True,
):
    """Kind that hides comments and items: sets `is_moderated`, until somebody shows them."""


class ShowKind(FlagKind, name="show", takes=_WRITTEN, column="is_moderated"):
    """Kind that shows hidden comments and items: unsets `is_moderated`."""


class DeleteKind(
    FlagKind,
    name="delete",
    takes=_WRITTEN,
    decision="DECISION_VISIBILITY_CONTENT_REMOVED",
    column="is_deleted",
    becomes=True,
):
    """Kind that deletes comments and items: sets `is_deleted`."""


class RestoreKind(FlagKind, name="restore", takes=_WRITTEN, column="is_deleted"):
    """Kind that restores deleted comments and items: unsets `is_deleted`. An item whose comments a merge has moved into
    another one is refused.
    """


class LockKind(
    FlagKind,
    name="lock",
    takes=targets.ITEMS,
    decision="DECISION_VISIBILITY_OTHER",
    column="is_open",
):
    """Kind that closes items to comments: unsets `is_open`."""


class UnlockKind(FlagKind, name="unlock", takes=targets.ITEMS, column="is_open", becomes=True):
    """Kind that opens items to comments: sets `is_open`."""


class PinKind(FlagKind, name="pin", takes=targets.ITEMS, column="is_sticky", becomes=True):
    """Kind that puts items on top of their microcosm's list: sets `is_sticky`."""


class UnpinKind(FlagKind, name="unpin", takes=targets.ITEMS, column="is_sticky"):
    """Kind that takes items off the top of their microcosm's list: unsets `is_sticky`."""


class MoveKind(ActionKind, name="move", takes=targets.ITEMS):
    """Kind that moves items into another microcosm, `place_id` of the action's options."""

    def apply(
        self,
        tx: Transaction,
        author: Author,
        held: Sequence[ActionTarget],
        options: ActionOptions,
    ) -> list[Applied]:
        batch = TargetBatchWriter(tx, author)
        changes: list[Applied] = []
        for target in held:
            was = target.place_id
            if was == options.place_id:
                changes.append(None)
                continue
            batch.move(target, options.place_id)
            changes.append(AppliedChange({"microcosm_id": was}, {"microcosm_id": options.place_id}))
        batch.write(journal.REPLACED)
        return changes

    def inverse(
        self,
        tx: Transaction,
        author: Author,
        undone: Sequence[UndoneChange],
        options: ActionOptions,
    ) -> list[str]:
        batch = TargetBatchWriter(tx, author)
        conflicts = []
        for target, change in undone:
            back = change.before["microcosm_id"]
            conflict = ""
            if target.place_id != change.after["microcosm_id"]:
                conflict = CHANGED_SINCE
            elif back not in options.allowed:
                conflict = GONE
            else:
                batch.move(target, back)
            conflicts.append(conflict)
        batch.write(journal.REPLACED)
        return conflicts


class RedactKind(
    ActionKind,
    name="redact",
    takes=_WRITTEN,
    decision="DECISION_VISIBILITY_CONTENT_REMOVED",
    final=True,
):
    """Kind that deletes things and removes their texts for good, because of a law. Nothing restores them. It is the one
    kind that is done to a comment in a huddle, the one that a case is about.
    """

    def apply(
        self,
        tx: Transaction,
        author: Author,
        held: Sequence[ActionTarget],
        options: ActionOptions,
    ) -> list[Applied]:
        redacted = redaction.redacted(tx, author.site_id, held)
        redaction.remove(tx, author.site_id, [one for one in held if one.ref not in redacted])
        batch = TargetBatchWriter(tx, author)
        changes: list[Applied] = []
        for target in held:
            if target.ref in redacted:
                changes.append(None)
                continue
            before = {"is_deleted": target.thing.is_deleted}
            if target.comment is not None and target.is_in_huddle:
                # As if its author did: each participant has a count of unread huddles.
                hidden = target.comment.is_moderated
                target.comment.flag(tx, author, is_deleted=True, is_moderated=hidden)
            else:
                batch.flag(target, "is_deleted", True)
            changes.append(AppliedChange(before, {"is_deleted": True, REDACTED: True}))
        batch.write(journal.PATCHED)
        return changes


class PersonKind(ActionKind):
    """Base class of kinds that are done to people, one after the other: subclasses define `_apply` and `_undo`, each
    for one profile.
    """

    def apply(
        self,
        tx: Transaction,
        author: Author,
        held: Sequence[ActionTarget],
        options: ActionOptions,
    ) -> list[Applied]:
        return [self._apply(tx, author, one.ref.id, options) for one in held]

    def inverse(
        self,
        tx: Transaction,
        author: Author,
        undone: Sequence[UndoneChange],
        options: ActionOptions,
    ) -> list[str]:
        return [self._undo(tx, author, one.target.ref.id, one.change, options) for one in undone]

    @abstractmethod
    def _apply(
        self, tx: Transaction, author: Author, profile_id: int, options: ActionOptions
    ) -> AppliedChange | None:
        """Apply the action to the profile `profile_id`; return the change, None if there is nothing to change."""

    @abstractmethod
    def _undo(
        self,
        tx: Transaction,
        author: Author,
        profile_id: int,
        change: AppliedChange,
        options: ActionOptions,
    ) -> str:
        """Undo `change` for the profile `profile_id`; return why that is not possible, "" if it is done."""


class WarnKind(PersonKind, name="warn", takes=_PEOPLE, decision="DECISION_VISIBILITY_OTHER"):
    """Kind that warns people: it changes nothing; they read the statement of reasons."""

    def _apply(
        self, tx: Transaction, author: Author, profile_id: int, options: ActionOptions
    ) -> AppliedChange | None:
        # It changes nothing of the profile: the entry of the audit says that they were warned.
        journal.record(tx, author, journal.PATCHED, itemtypes.PROFILE, profile_id)
        return AppliedChange({}, {})

    def _undo(
        self,
        tx: Transaction,
        author: Author,
        profile_id: int,
        change: AppliedChange,
        options: ActionOptions,
    ) -> str:
        journal.record(tx, author, journal.PATCHED, itemtypes.PROFILE, profile_id)
        return ""


class SilenceKind(PersonKind, name="silence", takes=_PEOPLE, decision="DECISION_PROVISION"):
    """Kind that lets people read but not write in a microcosm and below it, until `ends` or for good."""

    is_ban: ClassVar[bool] = False

    def decided(self, *, is_site_wide: bool, is_for_good: bool) -> str:
        """Return the decision as `ActionKind.decided` does: total for the whole site, else partial; a termination if it
        has no end, else a suspension.
        """
        reach = "TOTAL" if is_site_wide else "PARTIAL"
        return f"{self.decision}_{reach}_{'TERMINATION' if is_for_good else 'SUSPENSION'}"

    def _apply(
        self, tx: Transaction, author: Author, profile_id: int, options: ActionOptions
    ) -> AppliedChange | None:
        held = Sanction.lock(tx, author.site_id, profile_id, options.place_id, self.is_ban)
        if options.keeps_longer and held.lasts_until(options.ends):
            return None
        was = held.state
        held.set(tx, author, is_in_force=True, ends=options.ends)
        if held.state == was:
            return None
        key = f"{self.name}:{options.place_id}"
        return AppliedChange({key: was}, {key: held.state})

    def _undo(
        self,
        tx: Transaction,
        author: Author,
        profile_id: int,
        change: AppliedChange,
        options: ActionOptions,
    ) -> str:
        key = f"{self.name}:{options.place_id}"
        held = Sanction.lock(tx, author.site_id, profile_id, options.place_id, self.is_ban)
        if held.state != change.after[key] and not held.is_over:
            return CHANGED_SINCE
        held.restore(tx, author, change.before[key])
        return ""


class BanKind(SilenceKind, name="ban", takes=_PEOPLE, decision="DECISION_PROVISION"):
    """Kind that shuts people out of a microcosm and all below it, or, without a microcosm, out of the site, until
    `ends` or for good.
    """

    is_ban = True

    def _apply(
        self, tx: Transaction, author: Author, profile_id: int, options: ActionOptions
    ) -> AppliedChange | None:
        if options.place_id:
            return super()._apply(tx, author, profile_id, options)
        id = sanction.ban_from_site(tx, author, profile_id, options.ends)
        return AppliedChange({"ban": 0}, {"ban": id}) if id else None

    def _undo(
        self,
        tx: Transaction,
        author: Author,
        profile_id: int,
        change: AppliedChange,
        options: ActionOptions,
    ) -> str:
        if options.place_id:
            return super()._undo(tx, author, profile_id, change, options)
        is_ended = sanction.end_ban(tx, author, profile_id, change.after["ban"])
        return "" if is_ended else CHANGED_SINCE


# Flag of a PATCH and its new value -> the kind of action underneath.
OF_FLAG: Final = {
    (kind.flag, kind.value): kind for kind in KINDS.values() if isinstance(kind, FlagKind)
}
