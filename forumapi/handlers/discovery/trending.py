"""Trending items of a site. Wire: docs/api/trending.md."""

from __future__ import annotations

from forumapi.models.content import item_summary
from forumapi.models.discovery import trending
from forumapi.models.people.profile_summary import SUMMARY as PEOPLE
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Handler, needs
from forumapi.request.handler_results import Page, Result
from forumapi.wire import paging
from forumapi.wire.schemas import discovery as schemas


class TrendingHandler(Handler):
    """The items of the site with the highest scores of recent activity."""

    @needs(ANYONE, answer=schemas.Trending, paged=True)
    def get(self, ctx: Context) -> Result:
        """Up to 25 conversations, events and polls, highest score first.

        Only items that the caller may read and does not ignore.
        """
        ctx.check_paging()
        tree, site_id, at = ctx.tree, ctx.site.id, ctx.paging
        view = tree.view(ctx.identity.principal)
        identity = ctx.identity
        found = trending.hottest(
            ctx.reader,
            site_id,
            identity.profile_id,
            ctx.listable.ids,
            identity.ignored_items,
            identity.ignored_profiles,
            identity.kinds,
        )
        paging.check(len(found), at)
        shown = found[at.offset : at.offset + at.limit]

        def build() -> bytes:
            wanted = item_summary.summary_people([hot.row for hot in shown])
            people = ctx.app.documents.fetch(ctx.reader, site_id, {PEOPLE: wanted})[PEOPLE]
            entries = [
                item_summary.entry(
                    hot.row,
                    hot.times,
                    people,
                    tree,
                    view,
                    unread=hot.new is not None,
                    new=hot.new or 0,
                    mine=hot.mine,
                )
                for hot in shown
            ]
            return ctx.listed("items", b"[%b]" % b",".join(entries), len(found), "items")

        stamp = (
            [(hot.row, hot.new, hot.mine) for hot in shown],
            len(found),
            ctx.path,
            ctx.query_string,
            tree.acl_version,
            view.stamp,
        )
        return Page(0, stamp, build)
