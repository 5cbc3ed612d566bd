"""Confirmation that sign-ins through the site owner's own provider may open one's huddles. Wire: docs/api/auth.md."""

from __future__ import annotations

from forumapi.auth import owner_provider_confirmation
from forumapi.errors import Forbidden
from forumapi.models.journal.journal import Author
from forumapi.request.answers import html_answers
from forumapi.request.answers.html_answers import MailedLinkHandler
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, LOGIN, Handler, Param, needs
from forumapi.request.handler_results import Done, Result
from forumapi.wire import html_pages

_CODE = Param("code", str, "What the mail's link carries; signed.")


class HuddlesConfirmedHandler(Handler):
    """Setting of the caller: whether sign-ins through the site owner's own provider open the caller's huddles."""

    @needs(LOGIN)
    def put(self, ctx: Context) -> Result:
        """Let sign-ins through the site owner's provider open the caller's huddles, for good: nothing takes that back.
        403 for a token that came from that provider: the caller must sign in by another method, as used before.

        Answers 200 with `data` null.
        """
        if ctx.identity.is_of_site:
            raise Forbidden(
                "Sign in once by the method that you used here before, and confirm with that token"
            )
        owner_provider_confirmation.confirm(ctx.writer, ctx.author)
        return Done()


class HuddlesPageHandler(MailedLinkHandler):
    """Page with a button to confirm, to which the mail about a sign-in through the site owner's own provider links."""

    @needs(ANYONE, media_type=html_pages.TYPE, params=(_CODE,))
    def get(self, ctx: Context) -> Result:
        """HTML page that explains its button; changes nothing, since programs that scan mail follow links too.

        400, as a page, for a code that is forged or too old.
        """
        if not owner_provider_confirmation.profile_of_code(
            ctx.reader, ctx.site.id, ctx.query.get("code", "")
        ):
            return _broken(ctx)
        return html_answers.page(ctx, "huddles")

    @needs(ANYONE, media_type=html_pages.TYPE, params=(_CODE,))
    def post(self, ctx: Context) -> Result:
        """Let sign-ins through the site owner's provider open the huddles of the profile that the mail was sent to, for
        good; an HTML page says so.

        400, as a page, for a code that is forged or too old.
        """
        profile_id = owner_provider_confirmation.profile_of_code(
            ctx.writer, ctx.site.id, ctx.query.get("code", "")
        )
        if not profile_id:
            return _broken(ctx)
        owner_provider_confirmation.confirm(ctx.writer, Author(ctx.site.id, profile_id, ctx.ip))
        return html_answers.message(
            ctx, "Your huddles are open", "Sign-ins through this provider show them from now on."
        )


def _broken(ctx: Context) -> Result:
    text = "This link is not whole, or too old. Open it from the mail again, or sign in as you did before."
    return html_answers.message(ctx, "Nothing has changed", text, status=400)
