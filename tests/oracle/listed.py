"""Account of what stands in which list: readable microcosm, live, not ignored (content 2.6, 2.7, 3.6, 7.5, 8.5;
discovery 6)."""

from __future__ import annotations

from tests.oracle.limits import Scopes, shows, under
from tests.oracle.may import lineage, may
from tests.oracle.outcome import is_live, own_state
from tests.oracle.world import (
    COMMENT,
    CONVERSATION,
    EVENT,
    HUDDLE,
    ITEMS,
    MICROCOSM,
    NOTHING,
    POLL,
    PROFILE,
    Asked,
    World,
)

LISTS = {CONVERSATION: "conversations", EVENT: "events", POLL: "polls"}
# Those of things of several kinds.
MIXED = ("search", "watchers", "bookmarks", "ignored", "updates")


def listed(
    world: World,
    profile_id: int,
    asked: Asked,
    where: str,
    of: Asked = NOTHING,
    *,
    scopes: Scopes = None,
) -> bool:
    """Return if the thing stands in the list `where` as the profile sees it under a token with these scopes, which is
    good for the list; `of` is what the list belongs to.

    Lists: tree; microcosm (the page of items of `of`); conversations, events, polls; comments (of an item, huddle or
    profile); huddles; profiles; ignored; watchers (of one who follows everything); bookmarks (of one who bookmarked
    everything); updates (of one who is told of the thing); search (everything that has words).
    """
    if where in MIXED and not shows(world, scopes, asked):
        return False
    world = under(world, profile_id, scopes)
    if where == "tree":
        return asked.type == MICROCOSM and may_list(world, profile_id, asked)
    if where == "microcosm":
        return _on_page(world, profile_id, asked, of)
    if where in LISTS.values():
        return LISTS.get(asked.type) == where and may_list(world, profile_id, asked)
    if where == "comments":
        return _under(world, profile_id, asked, of)
    if where == "huddles":
        huddle = world.huddles[asked.id]
        return profile_id in huddle.participants and not (
            ignores(world, profile_id, HUDDLE, asked.id)
            or ignores(world, profile_id, PROFILE, huddle.author)
        )
    if where == "profiles":
        return asked.type == PROFILE and not ignores(world, profile_id, PROFILE, asked.id)
    if where == "search":
        return _found(world, profile_id, asked)
    if where == "watchers":
        return _still_there(world, profile_id, asked)
    if where == "updates":
        return _told(world, profile_id, asked)
    if where == "bookmarks":
        return _still_marked(world, profile_id, asked)
    if where == "ignored":
        # Huddles are ignored without being listed.
        return (
            asked.type != HUDDLE
            and ignores(world, profile_id, asked.type, asked.id)
            and _still_there(world, profile_id, asked)
        )
    raise AssertionError(where)


def _found(world: World, profile_id: int, asked: Asked) -> bool:
    """Discovery 8.6 and S-11: what its own list shows; on such a thing a live comment, not by somebody ignored."""
    if asked.type == COMMENT:
        comment = world.comments[asked.id]
        on = Asked(comment.parent_type, comment.parent_id)
        return (
            not comment.is_deleted
            and not comment.is_moderated
            and not ignores(world, profile_id, PROFILE, comment.author)
            and _found(world, profile_id, on)
        )
    if asked.type == HUDDLE:
        return listed(world, profile_id, asked, "huddles")
    if asked.type == PROFILE:
        return listed(world, profile_id, asked, "profiles")
    return may_list(world, profile_id, asked)


def may_list(world: World, profile_id: int, asked: Asked) -> bool:
    """Readable microcosm, live, not ignored: of a microcosm or an item."""
    place = asked.id if asked.type == MICROCOSM else world.items[asked.type, asked.id].microcosm_id
    return (
        may(world, profile_id, "read", Asked(MICROCOSM, place))
        and is_live(world, asked)
        and not any(ignores(world, profile_id, MICROCOSM, id) for id in lineage(world, place))
        and not ignores(world, profile_id, asked.type, asked.id)
    )


def _on_page(world: World, profile_id: int, asked: Asked, of: Asked) -> bool:
    """Content 2.7: direct children, and conversations and events, of the microcosm; never polls."""
    if asked.type == MICROCOSM:
        return world.microcosms[asked.id].parent_id == of.id and may_list(world, profile_id, asked)
    # Whoever asks for the page of a microcosm sees what is in it, ignored and hidden as it may be itself.
    return (
        asked.type in (CONVERSATION, EVENT)
        and world.items[asked.type, asked.id].microcosm_id == of.id
        and not any(own_state(world, asked))
        and not ignores(world, profile_id, asked.type, asked.id)
    )


def _under(world: World, profile_id: int, asked: Asked, of: Asked) -> bool:
    """Content 7.5: left out are deleted and moderated comments and those by authors whom the viewer ignores."""
    comment = world.comments[asked.id]
    return (
        asked.type == COMMENT
        and (comment.parent_type, comment.parent_id) == (of.type, of.id)
        and not comment.is_deleted
        and not comment.is_moderated
        and not ignores(world, profile_id, PROFILE, comment.author)
    )


def _told(world: World, profile_id: int, asked: Asked) -> bool:
    """Discovery 2.5: what is hidden, can't be read, is ignored or by somebody ignored is no news."""
    if asked.type == COMMENT:
        comment = world.comments[asked.id]
        if comment.is_deleted or comment.is_moderated:
            return False
        on = Asked(comment.parent_type, comment.parent_id)
        return not ignores(world, profile_id, PROFILE, comment.author) and _is_seen(
            world, profile_id, on
        )
    author = world.items[asked.type, asked.id].author
    return not ignores(world, profile_id, PROFILE, author) and _is_seen(world, profile_id, asked)


def _is_seen(world: World, profile_id: int, asked: Asked) -> bool:
    """Return if news about a thing is shown: of a huddle to those in it, whoever began it."""
    if asked.type == HUDDLE:
        inside = profile_id in world.huddles[asked.id].participants
        return inside and not ignores(world, profile_id, HUDDLE, asked.id)
    if asked.type == PROFILE:
        return not ignores(world, profile_id, PROFILE, asked.id)
    return may_list(world, profile_id, asked)


def _still_marked(world: World, profile_id: int, asked: Asked) -> bool:
    """Bookmarks of what is hidden or may not be read are passed over; whom one ignores makes no difference."""
    if asked.type != COMMENT:
        return _still_there(world, profile_id, asked)
    comment = world.comments[asked.id]
    on = Asked(comment.parent_type, comment.parent_id)
    return (
        not comment.is_deleted and not comment.is_moderated and _still_there(world, profile_id, on)
    )


def _still_there(world: World, profile_id: int, asked: Asked) -> bool:
    """Discovery 6: what exists, is not deleted or moderated, and lies in a readable microcosm."""
    if asked.type == MICROCOSM:
        return is_live(world, asked) and may(world, profile_id, "read", asked)
    if asked.type in ITEMS:
        place = Asked(MICROCOSM, world.items[asked.type, asked.id].microcosm_id)
        return is_live(world, asked) and may(world, profile_id, "read", place)
    if asked.type == HUDDLE:
        return profile_id in world.huddles[asked.id].participants
    return asked.id in world.profiles


def ignores(world: World, profile_id: int, item_type: int, id: int) -> bool:
    """Return whether the profile does not want to see the thing."""
    profile = world.profiles.get(profile_id)
    return profile is not None and (item_type, id) in profile.ignored
