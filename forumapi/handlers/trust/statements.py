"""Statements of reasons: decisions of moderators on content, as its author reads them. Wire: docs/api/moderation.md."""

from __future__ import annotations

from forumapi.errors import known
from forumapi.handlers.trust.reports import BEFORE, LIMIT
from forumapi.models.cases import appeal
from forumapi.models.trust import statement_of_reasons
from forumapi.models.trust.statement_of_reasons import Statement
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, needs
from forumapi.request.handler_results import Data, Result
from forumapi.wire.json_fragments import dumps, format_time
from forumapi.wire.schemas import trust as schemas


class StatementsHandler(Handler):
    """The statements of reasons that are addressed to the caller."""

    def admits_banned(self, ctx: Context) -> bool:
        return True

    @needs(LOGIN, answer=schemas.Statements, params=(LIMIT, BEFORE))
    def get(self, ctx: Context) -> Result:
        """The decisions on the caller's content and profile, with their reasons, newest first."""
        ctx.check_paging()
        limit = ctx.paging.limit
        me, before = ctx.identity.profile_id, ctx.number("before")
        found = Statement.page(ctx.reader, ctx.site.id, me, before, limit)
        onwards = found[limit - 1].id if len(found) > limit else 0
        documents = [one.document() for one in found[:limit]]
        return Data(ctx.keyset_listed("statements", documents, onwards))


class StatementHandler(Handler):
    """One statement of reasons that is addressed to the caller; 404 for another person's."""

    def admits_banned(self, ctx: Context) -> bool:
        return True

    @needs(LOGIN, answer=schemas.Statement)
    def get(self, ctx: Context) -> Result:
        """The statement, with up to 100 of the caller's objects that it is about."""
        tx, site_id, me = ctx.reader, ctx.site.id, ctx.identity.profile_id
        found = known(Statement.find(tx, site_id, me, ctx.args["statement"]), "statement")
        data = found.document()
        meta = data.pop("meta")
        until, appeal_id = found.appealable(tx, site_id)
        if appeal_id:
            meta["links"].append({"rel": "appeal", "href": f"{appeal.PATH}/{appeal_id}"})
        things = [statement_of_reasons.thing(row) for row in found.things(tx, site_id, me)]
        more = {"appealUntil": format_time(until), "things": things}
        return Data(dumps(data | more | {"meta": meta}))
