"""May this profile do that? Platform 5.1 to 5.4, paragraph by paragraph, for one question at a time."""

from __future__ import annotations

from tests.oracle import criteria
from tests.oracle.world import (
    ATTENDEE,
    ATTRIBUTE,
    COMMENT,
    CONVERSATION,
    EVENT,
    HUDDLE,
    ITEMS,
    MICROCOSM,
    POLL,
    PROFILE,
    RESERVED,
    ROLE,
    SITE,
    UPDATE,
    USER,
    WATCHER,
    Asked,
    Role,
    World,
)

# An id that nothing has.
NEVER = 987_654_321_987
GRANTS = ("create", "read", "update", "delete", "closeOwn", "openOwn", "readOthers")
NAMES = {
    SITE: "site",
    MICROCOSM: "microcosm",
    PROFILE: "profile",
    HUDDLE: "huddle",
    ATTENDEE: "attendee",
    USER: "user",
    UPDATE: "update",
    ROLE: "role",
    WATCHER: "watcher",
}
FLAGS = (*GRANTS, "guest", "banned", "owner", "moderator", "siteOwner")


def may(world: World, profile_id: int, right: str, asked: Asked) -> bool:
    """Return whether the profile (0 is a guest) has `right`, one of FLAGS, on what is asked for."""
    return right in rights(world, profile_id, asked)


def rights(world: World, profile_id: int, asked: Asked) -> set[str]:
    """The flags that are true: the steps of platform 5.4 in their order."""
    guest = profile_id not in world.profiles
    found = {"guest"} if guest else set()

    # Another site, and a user without a profile here, are no part of this site: nothing is asked (P-12, 4.1, C-42).
    if asked.type in (SITE, USER) and asked.id and not exists(world, asked):
        asked = Asked(0, asked.id)

    # 1. Guest asking about item type site.
    if guest and asked.type == SITE:
        return found | {"read"}

    # 2. Under a site ban; nobody is banned from the site that is theirs (P-26).
    if is_site_banned(world, profile_id):
        own = asked.type == PROFILE and asked.id == profile_id
        return found | {"banned"} | ({"read"} if asked.type == SITE or own else set())

    # 3. Nothing asked.
    if asked.type == 0 and (asked.id or not asked.microcosm_id):
        return found

    # A huddle is a secret: for all others a comment in it is one that never existed (C-01, 8.1).
    if asked.type == COMMENT and not knows(world, profile_id, asked):
        asked = Asked(COMMENT, NEVER)

    # 4. An attribute is what it hangs on.
    if asked.type == ATTRIBUTE and (ATTRIBUTE, asked.id) in world.owned:
        carrier = world.owned[ATTRIBUTE, asked.id].on
        asked = Asked(carrier[0], carrier[1])

    # 5. The microcosm concerned.
    place = microcosm_of(world, asked)

    # 6. A banned role there or above.
    is_limited = lacks_factor(world, profile_id)
    site_owner = profile_id == world.owned_by and not is_limited
    if place and not site_owner and is_banned_in(world, profile_id, place):
        return found | {"banned"}

    # 7. Owners.
    microcosm_owner = site_owner or (
        place != 0
        and not guest
        and not is_limited
        and profile_id in (world.microcosms[place].owned_by, world.microcosms[place].created_by)
    )
    owner = not guest and owns(world, profile_id, asked)
    if site_owner:
        found.add("siteOwner")
    if owner:
        found.add("owner")

    # 8. What the roles give.
    by_role: set[str] = set()
    for role in roles_that_apply(world, place) if place else []:
        if is_limited and role.is_moderator:
            continue
        if is_member(world, role, profile_id):
            by_role |= role.grants
            if role.is_moderator:
                found.add("moderator")
    if microcosm_owner:
        found.add("moderator")

    # 9. The rest by item type.
    found |= _by_type(world, profile_id, asked, by_role, site_owner, microcosm_owner, owner)
    return found


def _by_type(
    world: World,
    profile_id: int,
    asked: Asked,
    by_role: set[str],
    so: bool,
    mo: bool,
    ow: bool,
) -> set[str]:
    """The table of platform 5.4, row by row."""
    member = profile_id in world.profiles
    known = exists(world, asked)

    def given(**columns: bool) -> set[str]:
        return {name for name in GRANTS if columns.get(name, False)}

    def role(name: str) -> bool:
        return name in by_role

    if asked.type == SITE:
        return given(
            create=so or (member and world.everyone_creates_microcosms),
            read=True,
            update=so,
            delete=so,
        )
    if asked.type == MICROCOSM:
        return {name for name in GRANTS if role(name) or mo}
    if asked.type == PROFILE:
        return given(create=so or ow, read=True, update=so or ow, delete=so)
    if asked.type == COMMENT:
        if asked.id and not exists(world, asked):
            # As one in a huddle that they are not in, which they could tell it from.
            return set()
        kind = comment_kind(world, asked)
        if kind == PROFILE:
            return given(create=so or ow, read=True, update=so or ow, delete=so or ow)
        if kind == HUDDLE:
            inside = profile_id in world.huddles[world.comments[asked.id].parent_id].participants
            return given(create=inside, read=inside, update=ow, delete=ow)
        return {
            name
            for name in GRANTS
            if role(name) or mo or (ow and name in ("create", "read", "update", "delete"))
        }
    if asked.type == HUDDLE:
        huddle = world.huddles.get(asked.id)
        inside = huddle is not None and profile_id in huddle.participants
        return given(
            create=inside or (asked.id == 0 and member), read=inside, update=inside, delete=inside
        )
    if asked.type in ITEMS or asked.type in RESERVED:
        return {
            name
            for name in GRANTS
            if role(name)
            or mo
            or (ow and name in ("create", "read", "update"))
            or (ow and name == "delete" and not others_comment_in(world, profile_id, asked))
        }
    if asked.type == ATTENDEE:
        that_profile = known and world.attendees[asked.id].profile_id == profile_id
        return {
            name
            for name in GRANTS
            if role(name)
            or mo
            or (ow and name in ("create", "read", "update"))
            or (name == "delete" and that_profile)
        }
    if asked.type == USER:
        return given(read=so or ow, update=so or ow)
    if asked.type == UPDATE:
        return given(read=ow, update=ow, delete=ow)
    if asked.type == ROLE:
        return {name for name in GRANTS if so}
    if asked.type == WATCHER:
        return given(create=so or ow, read=so or ow, update=so or ow, delete=so or ow)
    return set()


def exists(world: World, asked: Asked) -> bool:
    """Return whether the id that is asked for names something of this site; so does an absent id of a site."""
    if asked.type == SITE:
        return asked.id in (0, world.site_id)
    if asked.type == MICROCOSM:
        return asked.id in world.microcosms
    if asked.type == PROFILE:
        return asked.id in world.profiles
    if asked.type == COMMENT:
        return asked.id in world.comments
    if asked.type == HUDDLE:
        return asked.id in world.huddles
    if asked.type in ITEMS:
        return (asked.type, asked.id) in world.items
    if asked.type == ATTENDEE:
        return asked.id in world.attendees
    if asked.type == USER:
        return any(profile.user_id == asked.id for profile in world.profiles.values())
    if asked.type == ROLE:
        return asked.id in world.roles
    return (asked.type, asked.id) in world.owned


def microcosm_of(world: World, asked: Asked) -> int:
    """Step 5: from the item whenever an id is given, else the caller's parameter (P-44). 0 is none."""
    if asked.type in (SITE, PROFILE, HUDDLE, USER, UPDATE, ROLE, WATCHER):
        return 0
    if not asked.id:
        return asked.microcosm_id if asked.microcosm_id in world.microcosms else 0
    if not exists(world, asked):
        return 0
    if asked.type == MICROCOSM:
        return asked.id
    if asked.type in ITEMS:
        return world.items[asked.type, asked.id].microcosm_id
    if asked.type == ATTENDEE:
        return world.items[EVENT, world.attendees[asked.id].event_id].microcosm_id
    if asked.type == COMMENT:
        comment = world.comments[asked.id]
        if comment.parent_type in ITEMS:
            return world.items[comment.parent_type, comment.parent_id].microcosm_id
    return 0


def owns(world: World, profile_id: int, asked: Asked) -> bool:
    """The column "OW means"."""
    if asked.type == SITE:
        return profile_id == world.owned_by and not lacks_factor(world, profile_id)
    if asked.id == 0 or not exists(world, asked):
        return False
    if asked.type == MICROCOSM:
        place = world.microcosms[asked.id]
        return profile_id in (place.owned_by, place.created_by)
    if asked.type == PROFILE:
        return profile_id == asked.id
    if asked.type == COMMENT:
        comment = world.comments[asked.id]
        if comment.parent_type == HUDDLE:
            huddle = world.huddles[comment.parent_id]
            return profile_id == comment.author and profile_id in huddle.participants
        return profile_id == comment.author
    if asked.type == HUDDLE:
        # C-38: who has left is not in it any more, its creator included.
        huddle = world.huddles[asked.id]
        return profile_id == huddle.author and profile_id in huddle.participants
    if asked.type in (CONVERSATION, POLL, EVENT):
        return profile_id == world.items[asked.type, asked.id].author
    if asked.type == ATTENDEE:
        attendee = world.attendees[asked.id]
        return profile_id in (attendee.profile_id, attendee.added_by)
    if asked.type == USER:
        return world.profiles[profile_id].user_id == asked.id
    if asked.type == ROLE:
        return profile_id == world.roles[asked.id].created_by
    return profile_id == world.owned[asked.type, asked.id].profile_id


def comment_kind(world: World, asked: Asked) -> int:
    """The type of the parent of the comment that is asked for; a microcosm's item when none is."""
    comment = world.comments.get(asked.id)
    return comment.parent_type if comment else CONVERSATION


def row_of(world: World, profile_id: int, asked: Asked) -> str:
    """The row of platform 5.4's table by which a question is judged."""
    if asked.type == COMMENT:
        kinds = {PROFILE: "comment on a profile", HUDDLE: "comment in a huddle"}
        return kinds.get(comment_kind(world, asked), "comment in an item")
    return NAMES.get(asked.type, "item" if asked.type in (*ITEMS, *RESERVED) else "others")


def others_comment_in(world: World, profile_id: int, asked: Asked) -> bool:
    """Return whether somebody else has a live comment in the item (C-24)."""
    return any(
        (comment.parent_type, comment.parent_id) == (asked.type, asked.id)
        and comment.author != profile_id
        and not comment.is_deleted
        and not comment.is_moderated
        for comment in world.comments.values()
    )


def knows(world: World, profile_id: int, asked: Asked) -> bool:
    """False for a comment in a huddle that the profile is not in."""
    comment = world.comments.get(asked.id)
    if comment is None or comment.parent_type != HUDDLE:
        return True
    return profile_id in world.huddles[comment.parent_id].participants


def lacks_factor(world: World, profile_id: int) -> bool:
    """Return whether the site demands a second factor of those who moderate, and this profile has none: it then
    moderates
    nothing, neither as owner nor by a role."""
    profile = world.profiles.get(profile_id)
    return world.needs_second_factor and profile is not None and not profile.has_second_factor


def is_site_banned(world: World, profile_id: int) -> bool:
    """Platform 3.6 with P-26."""
    profile = world.profiles.get(profile_id)
    if profile is None or profile_id == world.owned_by:
        return False
    return profile.is_banned_everywhere or profile.has_ban


def is_banned_in(world: World, profile_id: int, place: int) -> bool:
    """Return whether the profile is in a banned role of the microcosm or of an ancestor."""
    return any(
        role.is_banned and is_member(world, role, profile_id)
        for role in roles_that_apply(world, place)
    )


def lineage(world: World, place: int) -> list[int]:
    """The microcosm, then its parent, and so on to the root."""
    found = []
    at: int | None = place
    while at is not None:
        found.append(at)
        at = world.microcosms[at].parent_id
    return found


def roles_that_apply(world: World, place: int) -> list[Role]:
    """Platform 5.2: special roles add up down the tree, regular ones are those of the nearest that has any."""
    here_and_above = lineage(world, place)
    found = [
        role
        for role in world.roles.values()
        if role.microcosm_id in here_and_above and (role.is_moderator or role.is_banned)
    ]
    for at in here_and_above:
        regular = [
            role
            for role in world.roles.values()
            if role.microcosm_id == at and not role.is_moderator and not role.is_banned
        ]
        if regular:
            return found + regular
    return found


def is_member(world: World, role: Role, profile_id: int) -> bool:
    """Platform 5.2: guests if includeGuests; all profiles if includeUsers; those listed; those that criteria match."""
    profile = world.profiles.get(profile_id)
    if profile is None:
        return role.include_guests
    return (
        role.include_users
        or profile_id in role.profiles
        or criteria.matches(world, role.criteria, profile)
    )
