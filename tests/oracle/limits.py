"""Limits of a token: what its scopes leave of its user's rights, one question at a time.

A call without the scope of its address is refused. Beyond that a thing takes the scope of its own kind wherever it is
shown beside others, and who lacks `huddles:read` is no participant of any huddle.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tests.oracle.world import (
    ATTENDEE,
    COMMENT,
    CONVERSATION,
    EVENT,
    HUDDLE,
    MICROCOSM,
    POLL,
    PROFILE,
    ROLE,
    SITE,
    UPDATE,
    Asked,
    World,
)

Scopes = frozenset[str] | None

READING = {
    MICROCOSM: "microcosms:read",
    PROFILE: "profiles:read",
    COMMENT: "comments:read",
    HUDDLE: "huddles:read",
    CONVERSATION: "conversations:read",
    POLL: "polls:read",
    EVENT: "events:read",
}
# Of those that have no list beside others, but whose events are told.
TOLD = {
    **READING,
    SITE: "sites:read",
    ATTENDEE: READING[EVENT],
    UPDATE: "updates:read",
    ROLE: "roles:read",
}
LISTS = ("search", "updates", "watchers", "bookmarks", "ignored", "permission", "sites", "roles")
EVERY = (
    *READING.values(),
    *(scope.replace(":read", ":write") for scope in READING.values()),
    *(f"{name}:read" for name in LISTS),
)


def drawn(random: Random) -> Scopes:
    """Scopes of a token: many of them, so that a call is often refused for a thing and not for its address."""
    return frozenset(scope for scope in EVERY if random.random() < 0.7)


def allows(scopes: Scopes, scope: str) -> bool:
    """Return if a token is good for an address that takes this scope."""
    return scopes is None or scope in scopes


def under(world: World, profile_id: int, scopes: Scopes) -> World:
    """The site as it is for the profile under a token with these scopes."""
    if allows(scopes, "huddles:read"):
        return world
    huddles = {
        id: replace(huddle, participants=huddle.participants - {profile_id})
        for id, huddle in world.huddles.items()
    }
    return replace(world, huddles=huddles)


def shows(world: World, scopes: Scopes, asked: Asked) -> bool:
    """Return if a list of several kinds shows a thing under these scopes; a comment takes that of what it is on too."""
    if not allows(scopes, READING[asked.type]):
        return False
    if asked.type != COMMENT:
        return True
    return allows(scopes, READING[world.comments[asked.id].parent_type])
