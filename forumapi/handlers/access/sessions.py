"""Sessions of the caller. Wire: docs/api/tokens.md."""

from __future__ import annotations

from forumapi.errors import NotFound
from forumapi.handlers.access.credential_helpers import listed, note
from forumapi.models.access.api_keys_sessions import Session
from forumapi.models.journal import journal
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, Param, needs
from forumapi.request.response import Done, Result
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import access as schemas

_PATH = "/api/v1/sessions"


class SessionsHandler(Handler):
    """The caller's sessions: devices that are signed in, on all sites."""

    @needs(LOGIN, answer=schemas.Sessions, paged=True)
    def get(self, ctx: Context) -> Result:
        """The caller's sessions, newest first; `current` marks the session of this request."""
        sessions, total = Session.page(ctx.reader, ctx.site.id, ctx.identity, ctx.paging)
        current = ctx.identity.token_id
        items = dumps([session.document(current) for session in sessions])
        return listed(ctx, "sessions", items, total, _PATH)

    @needs(LOGIN, params=(Param("others", bool, "Keep the session that asks."),))
    def delete(self, ctx: Context) -> Result:
        """End all sessions of the caller, except the presented one if `others` is true; effective on the next
        request of each.
        """
        but = ctx.identity.token_id if ctx.flag("others") else 0
        Session.delete_all(ctx.writer, ctx.site.id, ctx.identity, but=but)
        note(ctx, journal.DELETED, ctx.identity.user_id)
        return Done()


class SessionHandler(Handler):
    """One session of the caller."""

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """End the session: its device is signed out from its next request on; 404 for another person's session."""
        id: int = ctx.args["session_id"]
        if not Session.delete(ctx.writer, ctx.site.id, ctx.identity, id):
            raise NotFound("There is no such session")
        note(ctx, journal.DELETED, id)
        return Done()
