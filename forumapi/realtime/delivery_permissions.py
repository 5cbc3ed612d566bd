"""Decision on who may follow which topic, and which listeners receive which live event, by the same evaluator of rights
as REST.

`deliveries` alone decides, from events, the present state of things and the present identities of listeners. It reads
nothing; its arguments are read right before (models/notifications/live_event_queries.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.errors import NO_READ, Forbidden
from forumapi.events.event_log import LoggedEvent
from forumapi.models.access.identity import GUEST, Identity
from forumapi.models.journal import journal
from forumapi.models.notifications import live_event_queries, update_types
from forumapi.models.notifications.live_event_queries import Fact, ThingKey, before_move
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Principal, Tree
from forumapi.realtime.live_clients import LiveClient
from forumapi.realtime.subscription_index import Index
from forumapi.realtime.topic_names import HUDDLES, SITE, UPDATES, Topic, topic_name

# Visibility of a thing: not even its existence; only that it has gone; the thing itself.
NOTHING: Final = 0
GONE: Final = 1
WHOLE: Final = 2

# Kinds after which a thing may be gone for some who have seen it.
_ENDS: Final = frozenset((journal.DELETED, journal.PATCHED))
# Types of things that are never delivered, not even to their owners; records of moderators go to webhooks alone.
_PRIVATE: Final = frozenset((itemtypes.USER, itemtypes.AUTH, *itemtypes.RECORDS))
_PARTS: Final = frozenset((itemtypes.ATTACHMENT, itemtypes.ATTRIBUTE))
_ITEMS: Final = itemtypes.IN_MICROCOSM | {itemtypes.HUDDLE}
# Events of these without a version changed nothing that they show: a ban, a sign-in method.
_VERSIONED: Final = frozenset((itemtypes.SITE, itemtypes.PROFILE))


class Caller:
    """Identity of the listeners with one token on a site, as of the last poll; all connections of the token share it,
    and so do all guests.

    `kinds`: item types that the token's scopes allow reading; `decisions`: types of updates about decisions of
    moderators that the scopes allow listing; `expires`, `due`: Unix times at which the token expires and at which the
    profile's roles are to be recomputed, None for never; `readable`, `lost`: what `regained` remembers, for it alone.
    """

    __slots__ = (
        "clients",
        "decisions",
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
        self.clients: set[LiveClient] = set()
        # Microcosms that they could read at the last poll (None: not known yet), and those lost since, each with the
        # number of the event before the loss.
        self.readable: frozenset[int] | None = None
        self.lost: dict[int, int] = {}
        self.become(identity)

    def become(self, identity: Identity) -> None:
        """Take over a newer identity of the same token; `readable` and `lost` stay."""
        self.token_id = identity.token_id
        self.user_id = identity.user_id
        self.principal: Principal = identity.principal
        self.kinds = identity.kinds
        self.decisions = frozenset(update_types.readable_decisions(identity.scopes))
        self.ignored_profiles = frozenset(identity.ignored_profiles)
        self.ignored_microcosms = frozenset(identity.ignored_microcosms)
        self.ignored_items = frozenset(identity.ignored_items)
        self.expires, self.due = identity.more[:2] if len(identity.more) > 1 else (None, None)

    def regained(self, tree: Tree, position: int) -> dict[int, int]:
        """Compare the microcosms that the caller may read now, in the site's present `tree`, with those of the last
        call, and remember the present ones.

        Return the ids of those that have become readable, each with the number of the last event before it was lost, 0
        if it was never readable; {} at the first call. `position`: number of the last event that was delivered by the
        former rights.
        """
        before, now = self.readable, tree.view(self.principal).set
        self.readable = now
        if before is None or before is now:
            return {}
        for id in before - now:
            self.lost.setdefault(id, position)
        return {id: self.lost.pop(id, 0) for id in now - before}

    def has_scope(self, item_type: int, parent_type: int = 0) -> bool:
        """Return True if the token's scopes allow reading things of the type `item_type` that belong to a thing of
        `parent_type`, 0 for none; for what is in a huddle, and for attachments and attributes, they must allow reading
        `parent_type` too.
        """
        if item_type in _PARTS and parent_type not in self.kinds:
            return False
        return item_type in self.kinds and (
            parent_type != itemtypes.HUDDLE or parent_type in self.kinds
        )


def subject(event: LoggedEvent) -> ThingKey | None:
    """Return the key of the thing whose permissions decide who receives an event; None if nobody receives it."""
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


def topics(event: LoggedEvent, fact: Fact) -> list[Topic]:
    """Return the topics whose followers may receive an event, the nearest first: the thing itself, then what it belongs
    to (of a moved thing also the microcosm that it left), and the site last; in place of the site, for what is in a
    huddle or is an update, the huddles or updates of each profile concerned.
    """
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


class DeliveryPolicy:
    """Evaluator of callers' rights to the things of one batch of events, in the tree `tree`.

    Results are remembered by what they depend on, so 2,000 listeners with the same roles cost as much as one.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        # Each answer holds its fact: keys use the id() of a fact, which is unique only while the fact exists.
        self._known: dict[tuple[object, ...], tuple[int, Fact]] = {}

    def visibility(self, principal: Principal, fact: Fact) -> int:
        """Return how a caller, given by `principal`, would see the thing of `fact` by GET: NOTHING (no right to it),
        GONE (a right to it, but it is deleted or hidden from this caller) or WHOLE.
        """
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
        # Huddles have no moderators.
        moderates = can & evaluator.MODERATOR and fact.parent_type != itemtypes.HUDDLE
        if moderates or not (fact.is_deleted or fact.is_moderated or fact.is_gone_above):
            return WHOLE
        is_own = can & evaluator.OWNER and target.item_type != itemtypes.MICROCOSM
        is_gone_above = fact.is_gone_above and not fact.is_in_own_held
        return WHOLE if is_own and not (fact.is_deleted or is_gone_above) else GONE

    def may_comment(self, principal: Principal, fact: Fact) -> bool:
        """Return True if a caller, given by `principal`, sees the thing of `fact` (its `visibility` is WHOLE) and may
        write comments on it; False for guests.
        """
        target = fact.target
        if not principal.profile_id or self.visibility(principal, fact) != WHOLE:
            return False
        if fact.insiders is not None:
            target = target._replace(is_participant=True)
        return bool(evaluator.effective(principal, target, self._tree) & evaluator.CREATE)

    def is_ignored(self, caller: Caller, fact: Fact, topic: Topic) -> bool:
        """Return True if `caller`, a follower of `topic`, does not want an event about the thing of `fact`: a comment
        by a profile that the caller ignores; or, for topics that are lists (the site, huddles, a microcosm), an ignored
        profile or its huddle, an ignored item with what is on it, or anything in an ignored microcosm or below it.
        """
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
        node = self._tree.nodes.get(target.microcosm_id)
        return (
            bool(caller.ignored_microcosms)
            and node is not None
            and not caller.ignored_microcosms.isdisjoint(node.path)
        )

    def before_move(self, fact: Fact, microcosm_id: int) -> FormerPlace | None:
        """Return a moved thing, whose present state is `fact`, as it was in the microcosm `microcosm_id` that it has
        left; None if that is 0, or the id of a microcosm that no longer exists or is now below the thing.
        """
        was = before_move(self._tree, fact, microcosm_id) if microcosm_id else None
        if was is None:
            return None
        return FormerPlace(self if was.tree is self._tree else DeliveryPolicy(was.tree), was.fact)


class FormerPlace(NamedTuple):
    """Moved thing as it was in the microcosm that it has left (`fact`), and the evaluator of the rights by which
    callers could see the thing there (`policy`).
    """

    policy: DeliveryPolicy
    fact: Fact


def _item_of(fact: Fact) -> int:
    """Return the id of the item that a thing is or directly belongs to, 0 if there is none."""
    if fact.target.item_type in _ITEMS:
        return fact.target.item_id
    return fact.parent_id if fact.parent_type in _ITEMS else 0


class Delivery(NamedTuple):
    """Event with the clients that receive it, each with True if the client wants the document too. `is_gone`: for these
    clients the thing has disappeared.

    `fact`: the thing at present or, if it was moved out of their sight, in its former place.
    """

    event: LoggedEvent
    fact: Fact
    is_gone: bool
    clients: list[tuple[LiveClient, bool]]  # with: include the document


def deliveries(
    events: Iterable[LoggedEvent], facts: Mapping[ThingKey, Fact], index: Index, tree: Tree
) -> list[Delivery]:
    """Decide which followers in `index` receive each of these events, in the order of events: for an event up to two
    deliveries, one to those who may see the thing and one to those for whom it has disappeared; none without receivers.

    `facts`: present state of the things concerned; an event whose thing is not among them is delivered to nobody.
    `tree`: the site's present one, by which rights are decided.
    """
    policy = DeliveryPolicy(tree)
    made: list[Delivery] = []
    for event in events:
        thing = subject(event)
        fact = facts.get(thing) if thing is not None else None
        if fact is None:
            continue
        was = policy.before_move(fact, event.moved_from)
        whole: dict[LiveClient, bool] = {}
        gone: dict[LiveClient, bool] = {}
        for topic in topics(event, fact):
            for client, follow in index.followers(topic).items():
                if whole.get(client):
                    continue
                seen = decide(policy, client.caller, event, fact, topic, was)
                if seen == WHOLE:
                    whole[client] = follow.wants_documents
                elif seen == GONE:
                    gone[client] = False
        if whole:
            made.append(Delivery(event, fact, False, list(whole.items())))
        if gone:
            shown = fact if was is None else was.fact
            made.append(Delivery(event, shown, True, list(gone.items())))
    return made


def decide(
    policy: DeliveryPolicy,
    caller: Caller,
    event: LoggedEvent,
    fact: Fact,
    topic: Topic,
    was: FormerPlace | None = None,
) -> int:
    """Return what `caller`, a follower of `topic`, receives of an event: NOTHING, GONE (that the thing has disappeared)
    or WHOLE (the event). NOTHING also for an event other than deleted or patched of a thing that is deleted or hidden
    from the caller; if the token's scopes do not allow reading the thing, or, of an update about a decision of
    moderators, listing it; and if the follower ignores the thing.

    `policy`: evaluator of the present rights; `fact`: present state of the thing. `was`: the place that the thing has
    left, None if it was not moved; a follower who could read it there, and can't now, receives GONE.
    """
    seen = policy.visibility(caller.principal, fact)
    if was is not None and seen != WHOLE:
        policy, fact = was
        if policy.visibility(caller.principal, fact) != WHOLE:
            return NOTHING
        seen = GONE
    elif seen == NOTHING or (seen == GONE and event.kind not in _ENDS):
        return NOTHING
    parent_type = fact.target.item_type if event.item_type in _PARTS else fact.parent_type
    if not caller.has_scope(event.item_type, parent_type):
        return NOTHING
    if event.item_type == itemtypes.UPDATE:
        decision = update_types.decision_type(event.item_id)
        if decision and decision not in caller.decisions:
            return NOTHING
    return NOTHING if policy.is_ignored(caller, fact, topic) else seen


def may_follow(policy: DeliveryPolicy, caller: Caller, fact: Fact | None) -> bool:
    """Return True if a caller may follow a thing: whoever has the right to read it, and a token whose scopes allow it,
    even while the thing is hidden or deleted. `fact` None: the thing does not exist, so nobody may.
    """
    return (
        fact is not None
        and caller.has_scope(fact.target.item_type, fact.parent_type)
        and policy.visibility(caller.principal, fact) != NOTHING
    )


def check_topics(
    reader: Reader, site_id: int, tree: Tree, caller: Caller, topics: Sequence[Topic]
) -> None:
    """Check that the caller may follow all of these topics, of the site `site_id`; the topic of the site is free to
    everybody. Raises Forbidden for the first thing that they have no right or no scope to read, or that does not exist,
    and for huddles and updates of a guest, or of a token whose scopes leave them out.
    """
    named = {topic: (topic.kind, topic.id, 0) for topic in topics if topic.kind > 0}
    found = live_event_queries.facts(reader, site_id, tree, list(named.values())) if named else {}
    policy = DeliveryPolicy(tree)
    for topic in topics:
        if topic.kind in (HUDDLES, UPDATES):
            kind = itemtypes.HUDDLE if topic.kind == HUDDLES else itemtypes.UPDATE
            is_allowed = bool(caller.principal.profile_id) and caller.has_scope(kind)
        else:
            is_allowed = topic not in named or may_follow(policy, caller, found.get(named[topic]))
        if not is_allowed:
            raise Forbidden(f"You may not follow {topic_name(topic)}", code=NO_READ)
