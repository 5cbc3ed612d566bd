"""Who may be told of an event: the evaluator that REST uses, asked when a frame is about to leave.

`deliveries` is the one place that decides it. It takes what happened, what the things are now, who the listeners are
now, and says who gets which frame. It is pure; what it is given is read right before (models/notices/live.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.events.log import Event
from forumapi.models.access.identity import GUEST, Identity
from forumapi.models.journal import journal
from forumapi.models.notices.live import (
    Fact,
    Left,
    Named,
    left,
)
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Principal, Tree
from forumapi.realtime.hub import HUDDLES, SITE, UPDATES, Client, Index, Topic

# What somebody sees of a thing: nothing, not even that it is there; that it is gone; the thing itself.
NOTHING: Final = 0
GONE: Final = 1
WHOLE: Final = 2

# Kinds after which a thing may be gone for some who have seen it.
_ENDS: Final = frozenset((journal.DELETED, journal.PATCHED))
# What is nobody's business but its owner's, and not theirs in a stream either.
_PRIVATE: Final = frozenset((itemtypes.USER, itemtypes.AUTH))
_PARTS: Final = frozenset((itemtypes.ATTACHMENT, itemtypes.ATTRIBUTE))
_ITEMS: Final = itemtypes.IN_MICROCOSM | {itemtypes.HUDDLE}
# Without a version nothing changed that these show: a ban, a way to sign in.
_VERSIONED: Final = frozenset((itemtypes.SITE, itemtypes.PROFILE))


class Caller:
    """Who is listening on a site, as of the last look. Shared by all connections under one token."""

    __slots__ = (
        "clients",
        "due",
        "expires",
        "ignored_items",
        "ignored_microcosms",
        "ignored_profiles",
        "kinds",
        "lost",
        "principal",
        "readable",
        "token_id",
        "user_id",
    )

    def __init__(self, identity: Identity = GUEST) -> None:
        self.clients: set[Client] = set()
        # The microcosms that they could read at the last look, and since which event not any more; None: nobody looked.
        self.readable: frozenset[int] | None = None
        self.lost: dict[int, int] = {}
        self.become(identity)

    def become(self, identity: Identity) -> None:
        """Take over who they are now."""
        self.token_id = identity.token_id
        self.user_id = identity.user_id
        self.principal: Principal = identity.principal
        self.kinds = identity.kinds
        self.ignored_profiles = frozenset(identity.ignored_profiles)
        self.ignored_microcosms = frozenset(identity.ignored_microcosms)
        self.ignored_items = frozenset(identity.ignored_items)
        self.expires, self.due = identity.more[:2] if len(identity.more) > 1 else (None, None)

    def regained(self, tree: Tree, position: int) -> dict[int, int]:
        """Look what they may read now: the microcosms that they could not read before, with the number of the event
        since which they could not, 0 for what they never could.

        `position`: the number of the last event that was told by what they could read before.
        """
        before, now = self.readable, tree.view(self.principal).set
        self.readable = now
        if before is None or before is now:
            return {}
        for id in before - now:
            self.lost.setdefault(id, position)
        return {id: self.lost.pop(id, 0) for id in now - before}

    def has_scope(self, item_type: int, parent_type: int = 0) -> bool:
        """Whether their token is good for things of a type, in a thing of another."""
        if item_type in _PARTS and parent_type not in self.kinds:
            return False
        return item_type in self.kinds and (
            parent_type != itemtypes.HUDDLE or parent_type in self.kinds
        )


def subject(event: Event) -> Named | None:
    """The thing whose permission decides about an event; None for an event that nobody is told of."""
    kind = event.item_type
    if kind in _PRIVATE or event.kind == journal.REMINDED:
        return None
    if kind in _VERSIONED and not event.version:
        return None
    if kind in _PARTS:
        return event.parent_type, event.parent_id, 0
    if kind == itemtypes.ATTENDEE:
        return kind, event.item_id, event.parent_id
    return kind, event.item_id, 0


def topics(event: Event, fact: Fact) -> list[Topic]:
    """What somebody may follow to be told of an event, the nearest first."""
    found = [Topic(event.item_type, event.item_id)]
    for kind, id in (
        (fact.target.item_type, fact.target.item_id),
        (event.parent_type, event.parent_id),
        (fact.parent_type, fact.parent_id),
    ):
        if id and (topic := Topic(kind, id)) not in found:
            found.append(topic)
    if fact.insiders is not None:
        own = UPDATES if event.item_type == itemtypes.UPDATE else HUDDLES
        return found + [Topic(own, profile_id) for profile_id in sorted(fact.insiders)]
    for id in (fact.target.microcosm_id, event.microcosm_id, event.moved_from):
        if id and (topic := Topic(itemtypes.MICROCOSM, id)) not in found:
            found.append(topic)
    found.append(Topic(SITE, 0))
    return found


class Judge:
    """The evaluator for the things of one batch. Answers are kept by what they depend on: 2,000 listeners with one set
    of roles are asked about once."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        # With the fact itself: an answer is found by its identity, which is its own for as long as it is there.
        self._known: dict[tuple[object, ...], tuple[int, Fact]] = {}

    def sight(self, principal: Principal, fact: Fact) -> int:
        """What `principal` sees of a thing: NOTHING, GONE or WHOLE, as a GET of it would show."""
        target = fact.target
        node = self._tree.nodes.get(target.microcosm_id)
        is_special = (
            principal.profile_id in target.owner_ids
            or (fact.insiders is not None and principal.profile_id in fact.insiders)
            or (node is not None and principal.profile_id in (node.owned_by, node.created_by))
        )
        me = principal.profile_id if is_special else min(principal.profile_id, 1) * -1
        key = (
            id(fact),
            principal.role_ids,
            principal.is_site_owner,
            principal.is_site_banned,
            principal.is_limited,
            principal.sees_huddles,
            me,
        )
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = (self._see(principal, fact), fact)
        return found[0]

    def _see(self, principal: Principal, fact: Fact) -> int:
        target = fact.target
        if principal.is_site_banned:
            return NOTHING
        if fact.insiders is not None:
            if principal.profile_id not in fact.insiders:
                return NOTHING
            target = target._replace(is_participant=True)
        can = evaluator.effective(principal, target, self._tree)
        if not can & evaluator.READ:
            return NOTHING
        # Nobody moderates a huddle.
        moderates = can & evaluator.MODERATOR and fact.parent_type != itemtypes.HUDDLE
        if moderates or not (fact.is_deleted or fact.is_moderated or fact.is_gone_above):
            return WHOLE
        is_own = can & evaluator.OWNER and target.item_type != itemtypes.MICROCOSM
        return WHOLE if is_own and not (fact.is_deleted or fact.is_gone_above) else GONE

    def may_comment(self, principal: Principal, fact: Fact) -> bool:
        """Whether `principal` sees a thing and may write a comment on it."""
        target = fact.target
        if not principal.profile_id or self.sight(principal, fact) != WHOLE:
            return False
        if fact.insiders is not None:
            target = target._replace(is_participant=True)
        return bool(evaluator.effective(principal, target, self._tree) & evaluator.CREATE)

    def is_ignored(self, caller: Caller, fact: Fact, topic: Topic, place: Fact) -> bool:
        """Return if they asked not to see this where they follow `topic`, as lists of `place` leave it out."""
        target = fact.target
        if caller.ignored_profiles:
            if target.item_type == itemtypes.COMMENT and target.owner_ids[0] in (
                caller.ignored_profiles
            ):
                return True
            if (
                target.item_type in (itemtypes.PROFILE, itemtypes.HUDDLE)
                and topic.kind in (SITE, HUDDLES)
                and target.owner_ids[0] in caller.ignored_profiles
            ):
                return True
        if topic.kind not in (SITE, HUDDLES, itemtypes.MICROCOSM):
            return False
        if caller.ignored_items and _item_of(fact) in caller.ignored_items:
            return True
        node = self._tree.nodes.get(place.target.microcosm_id)
        return (
            bool(caller.ignored_microcosms)
            and node is not None
            and not caller.ignored_microcosms.isdisjoint((*node.path, target.microcosm_id))
        )


def _item_of(fact: Fact) -> int:
    """The id of the item that a thing is or hangs on, 0 for none."""
    if fact.target.item_type in _ITEMS:
        return fact.target.item_id
    return fact.parent_id if fact.parent_type in _ITEMS else 0


class Delivery(NamedTuple):
    """An event for some listeners. `is_gone`: they are told that the thing is not to be seen any more.

    Of what was moved out of their sight, `fact` is where it was.
    """

    event: Event
    fact: Fact
    is_gone: bool
    clients: list[tuple[Client, bool]]  # with whether the document is wanted


def deliveries(
    events: Iterable[Event], facts: Mapping[Named, Fact], index: Index, tree: Tree
) -> list[Delivery]:
    """Who of the listeners in `index` is told of which event, in the order of events."""
    judge = Judge(tree)
    made: list[Delivery] = []
    for event in events:
        thing = subject(event)
        fact = facts.get(thing) if thing is not None else None
        if fact is None:
            continue
        was = left(tree, fact, event.moved_from) if event.moved_from else None
        whole: dict[Client, bool] = {}
        gone: dict[Client, bool] = {}
        for topic in topics(event, fact):
            for client, follow in index.followers(topic).items():
                if whole.get(client):
                    continue
                seen = told(judge, client.caller, event, fact, topic, was)
                if seen == WHOLE:
                    whole[client] = follow.wants_documents
                elif seen == GONE:
                    gone[client] = False
        if whole:
            made.append(Delivery(event, fact, False, list(whole.items())))
        if gone:
            shown = fact if was is None else was.thing
            made.append(Delivery(event, shown, True, list(gone.items())))
    return made


def told(
    judge: Judge,
    caller: Caller,
    event: Event,
    fact: Fact,
    topic: Topic,
    was: Left | None = None,
) -> int:
    """Decide how a follower of `topic` is told of an event: NOTHING is not at all, GONE as something that has gone.

    `was`: where the thing has left. Those who could read it there and do not see it now are told that it has gone.
    """
    seen, place = judge.sight(caller.principal, fact), fact
    if was is not None and seen != WHOLE:
        if judge.sight(caller.principal, was.place) != WHOLE:
            return NOTHING
        seen, fact, place = GONE, was.thing, was.place
    elif seen == NOTHING or (seen == GONE and event.kind not in _ENDS):
        return NOTHING
    parent_type = fact.target.item_type if event.item_type in _PARTS else fact.parent_type
    if not caller.has_scope(event.item_type, parent_type):
        return NOTHING
    return NOTHING if judge.is_ignored(caller, fact, topic, place) else seen


def may_follow(judge: Judge, caller: Caller, fact: Fact | None) -> bool:
    """Whether they may follow a thing: whoever may read it may, also while it is hidden."""
    return (
        fact is not None
        and caller.has_scope(fact.target.item_type, fact.parent_type)
        and judge.sight(caller.principal, fact) != NOTHING
    )
