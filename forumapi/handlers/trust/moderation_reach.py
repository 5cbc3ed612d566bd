"""Ids of what the caller moderates: microcosms and, for the site's owner, all that is in none (OUTSIDE)."""

from __future__ import annotations

from forumapi.errors import NO_READ, Forbidden
from forumapi.models.access import identity
from forumapi.permissions import evaluator
from forumapi.request.context import Context

# Number in place of a microcosm for what is outside of all: the site's owner alone moderates it.
OUTSIDE = 0


def find(ctx: Context) -> list[int]:
    """Return the ids of the live microcosms that the caller moderates and, before them, OUTSIDE for the site's owner,
    who alone moderates what is in no microcosm; [] if none.
    """
    ids, on_profiles = evaluator.moderated(ctx.identity.principal, ctx.tree)
    return [*([OUTSIDE] if on_profiles else []), *ids]


def required(ctx: Context) -> list[int]:
    """Return the ids of the live microcosms that the caller moderates and, before them, OUTSIDE for the site's owner;
    never []. Raises Forbidden for callers who moderate nothing.
    """
    found = find(ctx)
    if not found:
        raise Forbidden("There is nothing here that you may moderate", code=NO_READ)
    return found


def of_profile(ctx: Context, profile_id: int) -> list[int]:
    """Return the ids of the live microcosms that another profile moderates now and, before them, OUTSIDE for the site's
    owner; [] for none, and for no such profile.
    """
    found = identity.of_profile(ctx.reader, ctx.site.id, profile_id)
    if found is None:
        return []
    ids, on_profiles = evaluator.moderated(found.principal, ctx.tree)
    return [*([OUTSIDE] if on_profiles else []), *ids]
