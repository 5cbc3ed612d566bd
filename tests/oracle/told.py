"""Account of what somebody who follows is told of an event: what a GET of the thing would show them, where they
follow it."""

from __future__ import annotations

from dataclasses import replace

from tests.oracle.limits import TOLD, Scopes, allows, under
from tests.oracle.listed import ignores
from tests.oracle.may import is_site_banned, knows, lineage, may
from tests.oracle.outcome import MISSING, OK, get, is_below_hidden, own_state
from tests.oracle.world import (
    ATTENDEE,
    ATTRIBUTE,
    COMMENT,
    EVENT,
    HUDDLE,
    ITEMS,
    MICROCOSM,
    PROFILE,
    ROLE,
    SITE,
    UPDATE,
    Asked,
    World,
)

# (type, id), or one of these with 0.
SITE_TOPIC, HUDDLES_TOPIC, UPDATES_TOPIC = "site", "huddles", "updates"
Topic = tuple[int, int] | str

NOTHING, GONE, WHOLE = 0, 1, 2
# After these kinds somebody who had seen a thing is told that it is gone.
ENDING = ("deleted", "patched")


def told(
    world: World,
    profile_id: int,
    kind: str,
    asked: Asked,
    topics: set[Topic],
    moved_from: int = 0,
    scopes: Scopes = None,
) -> int:
    """NOTHING, GONE or WHOLE, for the event `kind` of a thing, to a profile (0: a guest) that follows `topics` under a
    token with these scopes.

    `moved_from`: the microcosm that the event took it out of.
    """
    if is_site_banned(world, profile_id):
        return NOTHING
    world = under(world, profile_id, scopes)
    thing = _carrier(world, asked)
    if not allows(scopes, TOLD[thing.type]):
        return NOTHING
    seen = sight(world, profile_id, thing)
    if seen == GONE and kind not in ENDING:
        seen = NOTHING
    followed = {topic for topic in topics if _is_in(world, profile_id, asked, topic)}
    if moved_from:
        before = _before(world, thing, moved_from)
        # Whoever follows where it was follows it still.
        followed |= {topic for topic in topics if _is_in(before, profile_id, asked, topic)}
        if seen != WHOLE:
            seen = GONE if sight(before, profile_id, thing) == WHOLE else NOTHING
            world = before
    if seen == NOTHING:
        return NOTHING
    return seen if any(not _left_out(world, profile_id, thing, t) for t in followed) else NOTHING


def _before(world: World, thing: Asked, microcosm_id: int) -> World:
    """The world as it is but for this thing, which stands in that microcosm."""
    if thing.type == MICROCOSM:
        place = replace(world.microcosms[thing.id], parent_id=microcosm_id)
        return replace(world, microcosms={**world.microcosms, thing.id: place})
    key = thing.type, thing.id
    return replace(
        world, items={**world.items, key: replace(world.items[key], microcosm_id=microcosm_id)}
    )


def _carrier(world: World, asked: Asked) -> Asked:
    """An attribute is what it hangs on."""
    if asked.type == ATTRIBUTE:
        return Asked(*world.owned[ATTRIBUTE, asked.id].on)
    return asked


def sight(world: World, profile_id: int, thing: Asked) -> int:
    """Return what somebody sees of a thing: nothing, that it is gone, or it."""
    if thing.type == COMMENT and not knows(world, profile_id, thing):
        return NOTHING
    if thing.type == HUDDLE and profile_id not in world.huddles[thing.id].participants:
        return NOTHING
    if thing.type == ATTENDEE:
        event = Asked(EVENT, world.attendees[thing.id].event_id)
        if not may(world, profile_id, "read", thing):
            return NOTHING
        hidden = any(own_state(world, event)) or is_below_hidden(world, event)
        return GONE if hidden and not may(world, profile_id, "moderator", thing) else WHOLE
    shown = get(world, profile_id, thing)
    return WHOLE if shown == OK else GONE if shown == MISSING else NOTHING


def _is_in_huddle(world: World, thing: Asked) -> bool:
    return thing.type == COMMENT and world.comments[thing.id].parent_type == HUDDLE


def _parent(world: World, thing: Asked) -> tuple[int, int]:
    """Return what a thing directly hangs on."""
    if thing.type == COMMENT:
        comment = world.comments[thing.id]
        return comment.parent_type, comment.parent_id
    if thing.type == ATTENDEE:
        return EVENT, world.attendees[thing.id].event_id
    if thing.type == MICROCOSM:
        return MICROCOSM, world.microcosms[thing.id].parent_id or 0
    if thing.type == ROLE:
        return MICROCOSM, world.roles[thing.id].microcosm_id
    return 0, 0


def _place(world: World, thing: Asked) -> int:
    """The microcosm that a thing stands in, 0 for none; that of a microcosm is itself."""
    if thing.type == MICROCOSM:
        return thing.id
    if thing.type in ITEMS:
        return world.items[thing.type, thing.id].microcosm_id
    parent = _parent(world, thing)
    return world.items[parent].microcosm_id if parent in world.items else 0


def _is_in(world: World, profile_id: int, asked: Asked, topic: Topic) -> bool:
    """Return whether a topic is about a thing."""
    thing = _carrier(world, asked)
    is_private = thing.type in (HUDDLE, UPDATE) or _is_in_huddle(world, thing)
    if topic == SITE_TOPIC:
        return not is_private
    if topic == UPDATES_TOPIC:
        return thing.type == UPDATE
    if topic == HUDDLES_TOPIC:
        return is_private and thing.type != UPDATE
    if isinstance(topic, str):
        raise AssertionError(topic)
    if topic in ((thing.type, thing.id), _parent(world, thing)):
        return True
    return topic == (MICROCOSM, _place(world, thing)) and thing.type not in (PROFILE, SITE)


def _left_out(world: World, profile_id: int, thing: Asked, topic: Topic) -> bool:
    """Return what lists leave out for those who ignore it."""
    if thing.type == COMMENT and ignores(
        world, profile_id, PROFILE, world.comments[thing.id].author
    ):
        return True
    through_list = isinstance(topic, str) or topic[0] == MICROCOSM
    if not through_list:
        return False
    item = (thing.type, thing.id) if thing.type in (*ITEMS, HUDDLE) else _parent(world, thing)
    if item[0] in (*ITEMS, HUDDLE) and ignores(world, profile_id, *item):
        return True
    if (
        topic == SITE_TOPIC
        and thing.type == PROFILE
        and ignores(world, profile_id, PROFILE, thing.id)
    ):
        return True
    if (
        topic == HUDDLES_TOPIC
        and thing.type == HUDDLE
        and ignores(world, profile_id, PROFILE, world.huddles[thing.id].author)
    ):
        return True
    place = _place(world, thing)
    return bool(place) and any(
        ignores(world, profile_id, MICROCOSM, id) for id in lineage(world, place)
    )
