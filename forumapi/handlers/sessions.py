"""Where a person is signed in. Wire: docs/api/tokens.md."""

from __future__ import annotations

from forumapi import schemas
from forumapi.context import Context
from forumapi.errors import NotFound
from forumapi.fragments import dumps
from forumapi.handler import LOGIN, Handler, Param, needs
from forumapi.handlers.credentials import listed, note
from forumapi.models import journal, own_token
from forumapi.models.access_token import SESSION
from forumapi.response import Done, Result

_PATH = "/api/v1/sessions"


class SessionsHandler(Handler):
    """The caller's sessions: devices that are signed in, on all sites."""

    allow = "OPTIONS,GET,HEAD,DELETE"

    @needs(LOGIN, answer=schemas.Sessions, paged=True)
    def get(self, ctx: Context) -> Result:
        """The sessions, newest first; `current` is the one that asks."""
        rows, total = own_token.page(ctx.reader, ctx.site.id, ctx.identity, SESSION, ctx.paging)
        current = ctx.identity.token_id
        items = dumps([own_token.session_document(row, current) for row in rows])
        return listed(ctx, "sessions", items, total, _PATH)

    @needs(LOGIN, params=(Param("others", bool, "Keep the session that asks."),))
    def delete(self, ctx: Context) -> Result:
        """Sign out everywhere, here too unless `others` is true; effective on the next request of each."""
        but = ctx.identity.token_id if ctx.flag("others") else 0
        own_token.revoke_all(ctx.writer, ctx.site.id, ctx.identity, SESSION, but=but)
        note(ctx, journal.DELETED, ctx.identity.user_id)
        return Done()


class SessionHandler(Handler):
    """One session of the caller."""

    allow = "OPTIONS,DELETE"

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Sign that device out, from its next request on; 404 for a session of somebody else."""
        id: int = ctx.args["session_id"]
        if not own_token.revoke(ctx.writer, ctx.site.id, ctx.identity, SESSION, id):
            raise NotFound("There is no such session")
        note(ctx, journal.DELETED, id)
        return Done()
