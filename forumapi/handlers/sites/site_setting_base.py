"""Base of handlers of this host's site and its settings, and the lock of the site's row that their writes take."""

from __future__ import annotations

from forumapi import itemtypes
from forumapi.errors import NO_SITE, NotFound
from forumapi.models.sites.site import LockedSite, Site
from forumapi.permissions.evaluator import Target
from forumapi.request.context import Context, Located
from forumapi.request.handler import Handler


class LocatedSite(Located):
    """Site that a write found and locked. `locked`: its row."""

    __slots__ = ("locked",)

    locked: LockedSite


def located(locked: LockedSite) -> LocatedSite:
    """Return the locked row as the site that a handler has located, for the check of permission."""
    located = LocatedSite(
        Target(itemtypes.SITE, locked.site_id, 0, (locked.owned_by,)), version=locked.version
    )
    located.locked = locked
    return located


def no_site() -> NotFound:
    """Return the error of a site that is unknown or deleted: NotFound with the code NO_SITE, to be raised by the
    caller.
    """
    return NotFound("There is no such site", code=NO_SITE)


def lock_own(ctx: Context) -> LocatedSite:
    """Lock the site of this host until the transaction ends. Raises NotFound for a deleted site.

    The site is located without its version, which is not that of any setting, so that If-Match is ignored.
    """
    found = lock_versioned(ctx)
    found.version = 0
    return found


def lock_versioned(ctx: Context) -> LocatedSite:
    """Lock the site of this host until the transaction ends, and locate it with its version, for a change of its
    document. Raises NotFound for a deleted site.
    """
    locked = Site.lock(ctx.writer, ctx.site.id)
    if locked is None or locked.is_deleted:
        raise no_site()
    return located(locked)


class SiteSettingHandler(Handler):
    """Base class of handlers of this host's site and its settings: permission is asked on the site, a write locks its
    row.
    """

    def locate(self, ctx: Context) -> Located:
        return lock_own(ctx) if ctx.is_write else Located(Target(itemtypes.SITE, ctx.site.id))
