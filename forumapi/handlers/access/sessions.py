"""Sessions of the caller: the devices that are signed in. Wire: docs/api/tokens.md."""

from __future__ import annotations

from forumapi import itemtypes
from forumapi.errors import NotFound
from forumapi.models.access.api_keys_sessions import Session
from forumapi.models.journal import journal
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, Param, needs
from forumapi.request.handler_results import Data, Done, Result
from forumapi.wire import paging
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import access as schemas

_PATH = "/api/v1/sessions"


class SessionsHandler(Handler):
    """The caller's sessions, each a device that is signed in: those that are good on this site alone and, if the token
    of the request is good on all sites, those that are good on all sites.
    """

    needs_no_consent = ("DELETE",)

    @needs(LOGIN, answer=schemas.Sessions, paged=True)
    def get(self, ctx: Context) -> Result:
        """The caller's unexpired sessions, newest first; `current` is true for the session of this request."""
        sessions, total = Session.page(ctx.reader, ctx.site.id, ctx.identity, ctx.paging)
        current = ctx.identity.token_id
        items = dumps([session.document(current) for session in sessions])
        paging.check(total, ctx.paging)
        return Data(ctx.listed("sessions", items, total, _PATH))

    @needs(LOGIN, params=(Param("others", bool, "Keep the session that asks."),))
    def delete(self, ctx: Context) -> Result:
        """End the caller's sessions that GET lists, that of this request among them unless the query's `others` is
        true.

        Each is refused from its next request on.
        """
        but = ctx.identity.token_id if ctx.flag("others") else 0
        Session.delete_all(ctx.writer, ctx.site.id, ctx.identity, but=but)
        journal.record(
            ctx.writer, ctx.author, journal.DELETED, itemtypes.AUTH, ctx.identity.user_id
        )
        return Done()


class SessionHandler(Handler):
    """Ending of one of the caller's sessions."""

    needs_no_consent = ("DELETE",)

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """End the session, which is refused from its next request on; 404 for a session that GET /sessions would not
        list, such as another person's.
        """
        id: int = ctx.args["session_id"]
        if not Session.delete(ctx.writer, ctx.site.id, ctx.identity, id):
            raise NotFound("There is no such session")
        journal.record(ctx.writer, ctx.author, journal.DELETED, itemtypes.AUTH, id)
        return Done()
