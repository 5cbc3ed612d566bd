"""Menu of a site: the links beside its content, on its own host and on the platform's. Wire: docs/api/sites.md."""

from __future__ import annotations

from forumapi.handlers.sites.site_setting_base import LocatedSite, lock_versioned
from forumapi.handlers.sites.sites import check_owner, find_named, lock_named
from forumapi.models.sites.menu import EntryBody, Menu
from forumapi.models.sites.site import Site
from forumapi.request.context import Context, Located
from forumapi.request.handler import ANYONE, LOGIN, OWNER, Handler, needs
from forumapi.request.handler_results import Done, Page, Result
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import sites as schemas


def _show(site: Site) -> Result:
    return Page(site.version, (site.id, site.version), lambda: dumps(site.menu_links))


def _update(ctx: Context, menu: Menu) -> Result:
    locked = ctx.located_as(LocatedSite).locked
    menu.update(ctx.writer, locked.owner(ctx.ip))
    ctx.writer.after_commit(lambda: ctx.app.sites.forget(locked.site_id))
    return Done()


class OwnMenuHandler(Handler):
    """The menu of this host's site."""

    serves_held_sites = ("GET",)

    def locate(self, ctx: Context) -> Located | None:
        return lock_versioned(ctx) if ctx.is_write else None

    @needs(ANYONE, answer=list[schemas.MenuEntry])
    def get(self, ctx: Context) -> Result:
        """The links of this site's menu, in order."""
        return _show(ctx.site)

    @needs(OWNER, body=list[EntryBody])
    def put(self, ctx: Context, sent: list[EntryBody]) -> Result:
        """Replace this site's menu: 1 to 10 links, 400 for another number and for a bad link.

        Answers 200 with `data` null.
        """
        return _update(ctx, Menu.checked(sent))

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Delete this site's menu; 200 also when there is none."""
        return _update(ctx, Menu())


class MenuHandler(Handler):
    """The menu of a site that the address names, on the platform's host.

    A write is 403 while the site is read-only and, for its owner, while it is suspended or in its export window; it is
    404 for a site for which GET is 404.
    """

    def locate(self, ctx: Context) -> Located | None:
        return lock_named(ctx) if ctx.is_write else None

    @needs(ANYONE, answer=list[schemas.MenuEntry])
    def get(self, ctx: Context) -> Result:
        """The links of the site's menu, in order; 404 for an unknown site, and for one that is deleted, suspended or in
        its export window unless the caller's user owns it.
        """
        return _show(find_named(ctx))

    @needs(LOGIN, body=list[EntryBody])
    def put(self, ctx: Context, sent: list[EntryBody]) -> Result:
        """Replace the site's menu: 1 to 10 links, 400 for another number and for a bad link; 403 unless the caller's
        user owns the site.

        Answers 200 with `data` null.
        """
        locked = ctx.located_as(LocatedSite).locked
        check_owner(ctx, locked.site_id, locked.owner_user_id)
        return _update(ctx, Menu.checked(sent))

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Delete the site's menu; 200 also if there is none, 403 unless the caller's user owns the site."""
        locked = ctx.located_as(LocatedSite).locked
        check_owner(ctx, locked.site_id, locked.owner_user_id)
        return _update(ctx, Menu())
