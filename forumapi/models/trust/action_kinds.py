"""Register of action kinds: what each does to one thing, and its inverse. A class without an inverse that is not
`final` raises TypeError at import.
"""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.content.item import ItemChange
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms import microcosm_counters
from forumapi.models.trust import sanction, targets
from forumapi.models.trust.sanction import Sanction
from forumapi.models.trust.targets import ActionTarget

State = Mapping[str, Any]

# Last activity of an item after a comment was shown. Without a live comment it stays as it is (content 7.7), so that
# the inverse, which leaves none, restores what it was.
LAST_ACTIVITY = Query(
    "action_kinds.last_activity",
    "SELECT i.last_activity FROM items i WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s",
)
RESTORE_ACTIVITY = Query(
    "action_kinds.restore_activity",
    """
    UPDATE items i
       SET last_activity = %(before)s::timestamptz
     WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s AND i.comment_count = 0
       AND i.last_activity = %(after)s::timestamptz""",
)
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
SKIP_ACTIVITY = Query(
    "action_kinds.skip_activity",
    f"""
    UPDATE action_changes y
       SET before = y.before || jsonb_build_object('last_activity', %(before)s::text)
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.item_id = %(item_id)s AND y.site_id = c.site_id
       AND y.item_type_id = {itemtypes.COMMENT} AND y.item_id = c.comment_id
       AND y.applied > %(applied)s::timestamptz AND y.before ->> 'last_activity' = %(after)s::text""",
)
# An undo that shows a comment: whichever other change of it is undone later hides it again, and then restores the last
# activity that the item had before any of its comments was shown.
CARRY_ACTIVITY = Query(
    "action_kinds.carry_activity",
    f"""
    UPDATE action_changes y
       SET before = y.before || jsonb_build_object('last_activity', coalesce(
                        (SELECT z.before ->> 'last_activity'
                           FROM comments o
                           JOIN action_changes z ON z.site_id = o.site_id AND z.item_type_id = {itemtypes.COMMENT}
                                                AND z.item_id = o.comment_id
                          WHERE o.site_id = %(site_id)s AND o.item_id = %(item_id)s
                            AND z.state IN ('done', 'conflict') AND z.before ? 'last_activity'
                          ORDER BY z.applied LIMIT 1), %(before)s::text)),
           after = y.after || jsonb_build_object('last_activity', c.created)
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s AND y.site_id = c.site_id
       AND y.item_type_id = {itemtypes.COMMENT} AND y.item_id = c.comment_id
       AND y.state IN ('done', 'conflict') AND NOT y.before ? 'last_activity'
       AND (y.before @> '{{"is_deleted": true}}' OR y.before @> '{{"is_moderated": true}}')""",
)

CHANGED_SINCE: Final = "somebody has changed this since"
GONE: Final = "the microcosm that it was in is no more, or is not yours to moderate"


class ActionOptions(NamedTuple):
    """Options of an action. `place_id`: microcosm into which it moves, or in which it restricts; 0 for none. `allowed`:
    microcosms that the actor moderates.
    """

    place_id: int = 0
    ends: datetime.datetime | None = None
    allowed: frozenset[int] = frozenset()


class AppliedChange(NamedTuple):
    """Values of a thing before and after an action, by name: only those that the action changed. `applied`: the time of
    the change, once it is stored.
    """

    before: State
    after: State
    applied: datetime.datetime | None = None


KINDS: Final[dict[str, ActionKind]] = {}


class ActionKind(ABC):
    """Base class of action kinds. A concrete one has a `name`, and defines `apply` and `inverse`, or is `final`.

    `takes`: types of things that it changes; `decision`: the DSA's term for it in statements of reasons, "" if it needs
    none.
    """

    name: ClassVar[str] = ""
    # Types that it takes.
    takes: ClassVar[frozenset[int]] = frozenset()
    # What it is in terms of the DSA's database; "": authors get no statement.
    decision: ClassVar[str] = ""
    # True for what can never be undone.
    final: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.name and not cls.final and cls.inverse is ActionKind.inverse:
            raise TypeError(f"{cls.__name__} has no inverse")
        if cls.name:
            if cls.name in KINDS:
                raise TypeError(f"two kinds of actions are called {cls.name}")
            KINDS[cls.name] = cls()

    @property
    def flag(self) -> str:
        """Return the name of the column that the kind sets, "" for none; a query leaves out things that have the value
        already.
        """
        return ""

    @property
    def value(self) -> bool:
        """Return the value to which the kind sets the column `flag`."""
        return False

    @abstractmethod
    def apply(
        self, tx: Transaction, author: Author, target: ActionTarget, options: ActionOptions
    ) -> AppliedChange | None:
        """Change the locked thing; return what changed, None if nothing did."""

    def inverse(
        self,
        tx: Transaction,
        author: Author,
        target: ActionTarget,
        change: AppliedChange,
        options: ActionOptions,
    ) -> str:
        """Take back exactly what `apply` changed in the locked thing; return "", or, if that can't be done, the
        reason.
        """
        raise NotImplementedError


class FlagKind(ActionKind):
    """Base class of kinds that set one flag of a comment or item."""

    column: ClassVar[str] = ""
    becomes: ClassVar[bool] = False

    @property
    def flag(self) -> str:
        return self.column

    @property
    def value(self) -> bool:
        return self.becomes

    def apply(
        self, tx: Transaction, author: Author, target: ActionTarget, options: ActionOptions
    ) -> AppliedChange | None:
        thing = target.comment or target.item
        assert thing is not None
        if getattr(thing, self.column) is self.becomes:
            return None
        before: dict[str, Any] = {self.column: not self.becomes}
        after: dict[str, Any] = {self.column: self.becomes}
        held = target.parent
        _set(tx, author, target, self.column, self.becomes)
        if target.comment is not None and target.comment.is_visible and held is not None:
            before["last_activity"] = held.last_activity.isoformat()
            held.last_activity = tx.value(
                LAST_ACTIVITY, site_id=author.site_id, item_id=held.item.id
            )
            after["last_activity"] = held.last_activity.isoformat()
        return AppliedChange(before, after)

    def inverse(
        self,
        tx: Transaction,
        author: Author,
        target: ActionTarget,
        change: AppliedChange,
        options: ActionOptions,
    ) -> str:
        thing = target.comment or target.item
        assert thing is not None
        if getattr(thing, self.column) is not self.becomes:
            return CHANGED_SINCE
        _set(tx, author, target, self.column, not self.becomes)
        if target.comment is not None and target.comment.is_visible:
            _carry_activity(tx, author, target)
        if "last_activity" in change.before:
            _restore_activity(tx, author, target, change)
        if "edited" in change.after:
            _restore_edit(tx, author, target, change)
        return ""


def _carry_activity(tx: Transaction, author: Author, target: ActionTarget) -> None:
    """Store the last activity that an item had before an undo showed a comment in it, so that an undo which hides the
    comment can restore it.
    """
    held, comment = target.parent, target.comment
    if held is None or comment is None:
        return
    tx.run(
        CARRY_ACTIVITY,
        site_id=author.site_id,
        item_id=held.item.id,
        id=comment.id,
        before=held.last_activity.isoformat(),
    )
    held.last_activity = tx.value(LAST_ACTIVITY, site_id=author.site_id, item_id=held.item.id)


def _restore_activity(
    tx: Transaction, author: Author, target: ActionTarget, change: AppliedChange
) -> None:
    """Restore the last activity that an item had before a comment was shown in it, if no visible comment is left
    there.
    """
    item_id = target.parent.item.id if target.parent is not None else 0
    named = {
        "site_id": author.site_id,
        "item_id": item_id,
        "before": change.before["last_activity"],
        "after": change.after["last_activity"],
    }
    if tx.run(RESTORE_ACTIVITY, **named):
        microcosm_counters.refresh(tx, author.site_id, [target.microcosm_id])
    elif named["before"] != named["after"]:
        tx.run(SKIP_ACTIVITY, applied=change.applied, **named)


def _restore_edit(
    tx: Transaction, author: Author, target: ActionTarget, change: AppliedChange
) -> None:
    """Restore the item's marks of its last edit, which a PATCH of v1 had replaced, unless the item was edited since."""
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


def _set(tx: Transaction, author: Author, target: ActionTarget, column: str, value: bool) -> None:
    """Set one flag of the locked comment or item."""
    if target.comment is not None:
        flags = {
            "is_deleted": target.comment.is_deleted,
            "is_moderated": target.comment.is_moderated,
            column: value,
        }
        target.comment.flag(tx, author, **flags)
    elif target.item is not None:
        target.item.flag(tx, author, {column: value}, None)


_WRITTEN: Final = frozenset((itemtypes.COMMENT, *targets.ITEMS))


_PEOPLE: Final = frozenset((itemtypes.PROFILE,))


class HideKind(FlagKind):
    """Kind that hides comments and items: sets `is_moderated`, until somebody shows them."""

    name = "hide"
    takes = _WRITTEN
    decision = "DECISION_VISIBILITY_CONTENT_DISABLED"
    column = "is_moderated"
    becomes = True


class ShowKind(FlagKind):
    """Kind that shows hidden comments and items: unsets `is_moderated`."""

    name = "show"
    takes = _WRITTEN
    column = "is_moderated"
    becomes = False


class DeleteKind(FlagKind):
    """Kind that deletes comments and items: sets `is_deleted`."""

    name = "delete"
    takes = _WRITTEN
    decision = "DECISION_VISIBILITY_CONTENT_REMOVED"
    column = "is_deleted"
    becomes = True


class RestoreKind(FlagKind):
    """Kind that restores deleted comments and items: unsets `is_deleted`."""

    name = "restore"
    takes = _WRITTEN
    column = "is_deleted"
    becomes = False


class LockKind(FlagKind):
    """Kind that closes items to comments."""

    name = "lock"
    takes = targets.ITEMS
    decision = "DECISION_VISIBILITY_OTHER"
    column = "is_open"
    becomes = False


class UnlockKind(FlagKind):
    """Kind that opens items to comments."""

    name = "unlock"
    takes = targets.ITEMS
    column = "is_open"
    becomes = True


class PinKind(FlagKind):
    """Kind that puts items on top of their microcosm's list."""

    name = "pin"
    takes = targets.ITEMS
    column = "is_sticky"
    becomes = True


class UnpinKind(FlagKind):
    """Kind that takes items off the top of their microcosm's list."""

    name = "unpin"
    takes = targets.ITEMS
    column = "is_sticky"
    becomes = False


class MoveKind(ActionKind):
    """Kind that moves items into another microcosm."""

    name = "move"
    takes = targets.ITEMS

    def apply(
        self, tx: Transaction, author: Author, target: ActionTarget, options: ActionOptions
    ) -> AppliedChange | None:
        item = target.item
        assert item is not None
        was = item.microcosm_id
        if was == options.place_id:
            return None
        item.update(tx, author, ItemChange(item.title, options.place_id, None))
        return AppliedChange({"microcosm_id": was}, {"microcosm_id": options.place_id})

    def inverse(
        self,
        tx: Transaction,
        author: Author,
        target: ActionTarget,
        change: AppliedChange,
        options: ActionOptions,
    ) -> str:
        item = target.item
        assert item is not None
        if item.microcosm_id != change.after["microcosm_id"]:
            return CHANGED_SINCE
        back = change.before["microcosm_id"]
        if back not in options.allowed:
            return GONE
        item.update(tx, author, ItemChange(item.title, back, None))
        return ""


class WarnKind(ActionKind):
    """Kind that warns people: it changes nothing; they read the statement of reasons."""

    name = "warn"
    takes = _PEOPLE
    decision = "DECISION_VISIBILITY_OTHER"

    def apply(
        self, tx: Transaction, author: Author, target: ActionTarget, options: ActionOptions
    ) -> AppliedChange | None:
        # It changes nothing of the profile: the entry of the audit says that they were warned.
        journal.record(tx, author, journal.PATCHED, itemtypes.PROFILE, target.ref.id)
        return AppliedChange({}, {})

    def inverse(
        self,
        tx: Transaction,
        author: Author,
        target: ActionTarget,
        change: AppliedChange,
        options: ActionOptions,
    ) -> str:
        journal.record(tx, author, journal.PATCHED, itemtypes.PROFILE, target.ref.id)
        return ""


class SanctionKind(ActionKind):
    """Base class of kinds that restrict people in a microcosm and below it, until `ends` or for good."""

    is_ban: ClassVar[bool] = False

    def apply(
        self, tx: Transaction, author: Author, target: ActionTarget, options: ActionOptions
    ) -> AppliedChange | None:
        held = Sanction.lock(tx, author.site_id, target.ref.id, options.place_id, self.is_ban)
        was = held.state
        held.set(tx, author, is_in_force=True, ends=options.ends)
        if held.state == was:
            return None
        key = f"{self.name}:{options.place_id}"
        return AppliedChange({key: was}, {key: held.state})

    def inverse(
        self,
        tx: Transaction,
        author: Author,
        target: ActionTarget,
        change: AppliedChange,
        options: ActionOptions,
    ) -> str:
        key = f"{self.name}:{options.place_id}"
        held = Sanction.lock(tx, author.site_id, target.ref.id, options.place_id, self.is_ban)
        if held.state != change.after[key] and not held.is_over:
            return CHANGED_SINCE
        held.restore(tx, author, change.before[key])
        return ""


class SilenceKind(SanctionKind):
    """Kind that lets people read but not write in a microcosm and below it."""

    name = "silence"
    takes = _PEOPLE
    decision = "DECISION_PROVISION_PARTIAL_SUSPENSION"


class BanKind(SanctionKind):
    """Kind that shuts people out of a microcosm and all below it, or, without a microcosm, out of the site."""

    name = "ban"
    takes = _PEOPLE
    decision = "DECISION_PROVISION_PARTIAL_SUSPENSION"
    is_ban = True

    def apply(
        self, tx: Transaction, author: Author, target: ActionTarget, options: ActionOptions
    ) -> AppliedChange | None:
        if options.place_id:
            return super().apply(tx, author, target, options)
        id = sanction.ban_from_site(tx, author, target.ref.id, options.ends)
        return AppliedChange({"ban": 0}, {"ban": id}) if id else None

    def inverse(
        self,
        tx: Transaction,
        author: Author,
        target: ActionTarget,
        change: AppliedChange,
        options: ActionOptions,
    ) -> str:
        if options.place_id:
            return super().inverse(tx, author, target, change, options)
        is_ended = sanction.end_ban(tx, author, target.ref.id, change.after["ban"])
        return "" if is_ended else CHANGED_SINCE


# Flag of a PATCH and its new value -> the kind of action underneath.
OF_FLAG: Final = {
    (kind.flag, kind.value): kind for kind in KINDS.values() if isinstance(kind, FlagKind)
}
