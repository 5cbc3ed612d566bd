"""Account of what becomes of a request: permission together with the item's own state (content 1.2, 1.10, 1.11, 3,
7, 8)."""

from __future__ import annotations

from tests.oracle.may import NEVER, exists, is_site_banned, knows, lineage, may
from tests.oracle.world import ATTENDEE, COMMENT, EVENT, HUDDLE, ITEMS, MICROCOSM, Asked, World

OK, MOVED, INVALID, FORBIDDEN, MISSING = 200, 302, 400, 403, 404


def own_state(world: World, asked: Asked) -> tuple[bool, bool]:
    """(deleted, moderated) of the thing itself; what has no state is neither."""
    if asked.type == MICROCOSM:
        place = world.microcosms[asked.id]
        return place.is_deleted, place.is_moderated
    if asked.type in ITEMS:
        item = world.items[asked.type, asked.id]
        return item.is_deleted, item.is_moderated
    if asked.type == COMMENT:
        comment = world.comments[asked.id]
        return comment.is_deleted, comment.is_moderated
    return False, False


def is_below_hidden(world: World, asked: Asked) -> bool:
    """Return whether something above the thing is deleted or moderated (C-19, content 3.7)."""
    if asked.type == MICROCOSM:
        above = lineage(world, asked.id)[1:]
        return any(any(own_state(world, Asked(MICROCOSM, id))) for id in above)
    if asked.type in ITEMS:
        place = Asked(MICROCOSM, world.items[asked.type, asked.id].microcosm_id)
        return any(own_state(world, place)) or is_below_hidden(world, place)
    if asked.type == COMMENT:
        comment = world.comments[asked.id]
        if comment.parent_type in ITEMS:
            parent = Asked(comment.parent_type, comment.parent_id)
            return any(own_state(world, parent)) or is_below_hidden(world, parent)
    if asked.type == ATTENDEE:
        event = Asked(EVENT, world.attendees[asked.id].event_id)
        return any(own_state(world, event)) or is_below_hidden(world, event)
    return False


def is_live(world: World, asked: Asked) -> bool:
    """Neither hidden itself nor below something hidden."""
    return not any(own_state(world, asked)) and not is_below_hidden(world, asked)


def author_of(world: World, asked: Asked) -> int:
    """Return who wrote a thing; 0 for what has no author here."""
    if asked.type in ITEMS:
        return world.items[asked.type, asked.id].author
    if asked.type == COMMENT:
        return world.comments[asked.id].author
    return 0


def get(world: World, profile_id: int, asked: Asked) -> int:
    """GET of one: `read` (403), then load (404); hidden things for `moderator` and a moderated one for its author."""
    if asked.type == ATTENDEE:
        return _get_attendee(world, profile_id, asked)
    if not may(world, profile_id, "read", asked):
        return _refused(world, profile_id, asked)
    if not exists(world, asked) or not _can_load(world, profile_id, asked, is_get=True):
        return MISSING
    return OK


def _get_attendee(world: World, profile_id: int, asked: Asked) -> int:
    """C-01: `read` of the event first, so that no answer tells that there is one."""
    event = Asked(EVENT, world.attendees[asked.id].event_id if exists(world, asked) else NEVER)
    if not may(world, profile_id, "read", event):
        return FORBIDDEN
    if not exists(world, asked) or not _can_load(world, profile_id, event):
        return MISSING
    return OK if may(world, profile_id, "read", asked) else FORBIDDEN


def _refused(world: World, profile_id: int, asked: Asked) -> int:
    """Content 1.2: an id that never existed is 404 for the site's owner alone; a comment may be one for them (C-01)."""
    is_nothing = asked.type == COMMENT and not (
        exists(world, asked) and knows(world, profile_id, asked)
    )
    return MISSING if is_nothing and may(world, profile_id, "siteOwner", asked) else FORBIDDEN


def _can_load(world: World, profile_id: int, asked: Asked, *, is_get: bool = False) -> bool:
    """C-09 and C-19: what is below something hidden is gone for all readers, and an author may GET, but not change, an
    own moderated thing, one that a moderator deleted, and an own comment in an own moderated item."""
    if moderates(world, profile_id, asked):
        return True
    deleted, moderated = own_state(world, asked)
    # A guest is nobody's author, not even of what has none.
    is_own = profile_id != 0 and profile_id == author_of(world, asked)
    if is_get and is_own and (asked.type, asked.id) in world.stated:
        deleted, moderated = False, True
    if asked.type == COMMENT and is_get and is_own and not deleted:
        comment = world.comments[asked.id]
        if is_own_held(world, profile_id, Asked(comment.parent_type, comment.parent_id)):
            return True
    if deleted or is_below_hidden(world, asked):
        return False
    return not moderated or (is_get and is_own)


def is_own_held(world: World, profile_id: int, asked: Asked) -> bool:
    """Return whether the profile wrote the item, which is moderated, not deleted, and below nothing hidden."""
    return (
        asked.type in ITEMS
        and profile_id != 0
        and profile_id == author_of(world, asked)
        and own_state(world, asked) == (False, True)
        and not is_below_hidden(world, asked)
    )


def put(world: World, profile_id: int, asked: Asked) -> int:
    """PUT: signed in, `read` first (C-01), load (404), `update`."""
    seen = get(world, profile_id, asked)
    if seen != OK:
        return seen
    if not _can_load(world, profile_id, asked):
        return MISSING
    if profile_id not in world.profiles:
        return FORBIDDEN
    return MOVED if may(world, profile_id, "update", asked) else FORBIDDEN


def delete(world: World, profile_id: int, asked: Asked) -> int:
    """DELETE: signed in and `delete` (403), then load; gone already is 200."""
    if profile_id not in world.profiles:
        return FORBIDDEN
    if not may(world, profile_id, "delete", asked):
        return _refused(world, profile_id, asked)
    if not exists(world, asked):
        return MISSING
    return OK


def is_deleted_by(world: World, profile_id: int, asked: Asked) -> bool:
    """Return if a DELETE that is answered with 200 changes anything: what is out of sight is as good as gone."""
    return is_live(world, asked) or moderates(world, profile_id, asked)


def moderates(world: World, profile_id: int, asked: Asked) -> bool:
    """Return if the profile sees what is hidden of a thing. Nobody moderates a huddle, whose site may be theirs."""
    is_in_huddle = asked.type == COMMENT and world.comments[asked.id].parent_type == HUDDLE
    return not is_in_huddle and may(world, profile_id, "moderator", asked)


def patch(world: World, profile_id: int, asked: Asked, flag: str, value: bool) -> int:
    """PATCH of one flag: signed in and `update` (403), load (404, C-09), the flag's own rule (403)."""
    if profile_id not in world.profiles:
        return FORBIDDEN
    if not may(world, profile_id, "update", asked):
        return _refused(world, profile_id, asked)
    if not exists(world, asked) or not _can_load(world, profile_id, asked):
        return MISSING
    moderator = may(world, profile_id, "moderator", asked)
    owner = may(world, profile_id, "owner", asked)
    if flag == "open":
        right = "openOwn" if value else "closeOwn"
        allowed = moderator or (owner and may(world, profile_id, right, asked))
    elif flag == "deleted" and value:
        allowed = moderator or may(world, profile_id, "delete", asked)
    else:
        allowed = moderator
    return OK if allowed else FORBIDDEN


def post_comment(world: World, profile_id: int, parent: Asked) -> int:
    """POST of a comment: `create` on the parent; hidden parent 404, but not for the author of a moderated one; closed
    parent 403 unless moderator (C-12)."""
    if profile_id not in world.profiles:
        return FORBIDDEN
    if not may(world, profile_id, "create", parent):
        return FORBIDDEN
    if not exists(world, parent):
        return MISSING
    if not _can_load(world, profile_id, parent) and not is_own_held(world, profile_id, parent):
        return MISSING
    if parent.type in ITEMS:
        item = world.items[parent.type, parent.id]
        if not item.is_open and not may(world, profile_id, "moderator", parent):
            return FORBIDDEN
    return MOVED


def post_item(world: World, profile_id: int, item_type: int, microcosm_id: int) -> int:
    """POST of a conversation, event or poll: `create` on the microcosm, which must be live."""
    asked = Asked(item_type, 0, microcosm_id)
    if (
        profile_id not in world.profiles
        or not microcosm_id
        or not may(world, profile_id, "create", asked)
    ):
        return FORBIDDEN
    place = Asked(MICROCOSM, microcosm_id)
    if not exists(world, place) or not is_live(world, place):
        return MISSING
    return MOVED


def post_microcosm(world: World, profile_id: int, parent_id: int) -> int:
    """POST of a microcosm: `create` on the site, a live parent that can be read (400), `create` on it (C-17)."""
    parent = Asked(MICROCOSM, parent_id)
    if profile_id not in world.profiles:
        return FORBIDDEN
    if not may(world, profile_id, "create", Asked(1, world.site_id)):
        return FORBIDDEN
    if not exists(world, parent) or not is_live(world, parent):
        return INVALID
    if not may(world, profile_id, "read", parent):
        return INVALID
    return MOVED if may(world, profile_id, "create", parent) else FORBIDDEN


def list_huddles(world: World, profile_id: int) -> int:
    """GET /huddles: empty for guests, refused to who is banned."""
    return FORBIDDEN if is_site_banned(world, profile_id) else OK


def is_person(world: World, profile_id: int) -> bool:
    """Signed in and not under a site ban."""
    return profile_id in world.profiles and not is_site_banned(world, profile_id)
