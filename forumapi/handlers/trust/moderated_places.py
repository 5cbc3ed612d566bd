"""Microcosms that the caller moderates, as actions and cases name them."""

from __future__ import annotations

from forumapi.errors import NO_READ, Forbidden
from forumapi.permissions import evaluator
from forumapi.request.context import Context

# Number in place of a microcosm for what is outside of all: the site's owner alone moderates it.
OUTSIDE = 0


def find(ctx: Context) -> list[int]:
    """Return the live microcosms that the caller moderates, and OUTSIDE for the site's owner; [] for none."""
    ids, on_profiles = evaluator.moderated(ctx.identity.principal, ctx.tree)
    return [*([OUTSIDE] if on_profiles else []), *ids]


def required(ctx: Context) -> list[int]:
    """Return `find`. Raises Forbidden for somebody who moderates nothing."""
    found = find(ctx)
    if not found:
        raise Forbidden("There is nothing here that you may moderate", code=NO_READ)
    return found
