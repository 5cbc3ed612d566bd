"""Moderation queue: items and comments that wait for a moderator's decision. Wire: docs/api/moderation.md."""

from __future__ import annotations

from forumapi import itemtypes
from forumapi.errors import NO_READ, Forbidden
from forumapi.models.microcosms import moderation_queue
from forumapi.models.microcosms.moderation_queue import KINDS, Cursor
from forumapi.permissions import evaluator
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, Param, needs
from forumapi.request.handler_results import Data, Result
from forumapi.wire import json_fragments, paging
from forumapi.wire.schemas import microcosms as schemas


class ModerationHandler(Handler):
    """Items and comments that wait for a moderator, in microcosms that the caller moderates."""

    @needs(
        LOGIN,
        answer=schemas.Moderation,
        params=(
            Param("limit", int, "Entries of a page: a multiple of 5 up to 250, 25 by default."),
            Param("after", str, "Where the page before ended, as its link `next` says."),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """Items and comments that are flagged `moderated` and not deleted, in microcosms that the caller moderates,
        oldest first, without comments on deleted items; for the site's owner also comments on profiles.

        403 for callers who moderate nothing.
        """
        principal, tree, site_id = ctx.identity.principal, ctx.tree, ctx.site.id
        moderated, on_profiles = evaluator.moderated(principal, tree)
        if not moderated and not on_profiles:
            raise Forbidden("There is nothing here that you may moderate", code=NO_READ)
        limit = paging.parse(ctx.query.get("limit", ""), "").limit
        after = Cursor.read(ctx.query.get("after", ""))
        found = moderation_queue.queue(
            ctx.reader,
            site_id,
            moderated,
            limit,
            after,
            on_profiles=on_profiles,
            shown=ctx.identity.kinds,
        )
        entries = moderation_queue.documents(
            ctx.reader, ctx.app.documents, site_id, found, tree, tree.view(principal)
        )
        own = {"rel": "self", "href": paging.href(ctx.path, ctx.pairs)}
        links = [own]
        if found.next is not None:
            following = paging.href(ctx.path, ctx.pairs, after=found.next.text)
            links.append({"rel": "next", "href": following})
        data = {
            "moderation": {
                "total": sum(found.counts.values()),
                "limit": limit,
                "links": links,
                "type": ctx.path,
                "items": json_fragments.raw(entries),
            },
            "counts": {itemtypes.name_of(kind): found.counts[kind] for kind in KINDS},
            "meta": {"links": [own]},
        }
        return Data(json_fragments.dumps(data))
