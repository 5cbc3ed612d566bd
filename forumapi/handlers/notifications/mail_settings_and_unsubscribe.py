"""Mail about updates, as its reader sets it: the caller's settings, the link to unsubscribe. Wire: docs/api/mail.md."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi.models.access import platform_secret
from forumapi.request.answers import html_answers
from forumapi.request.answers.html_answers import MailedLinkHandler
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, LOGIN, Handler, Param, needs
from forumapi.request.handler_results import Data, Found, Result
from forumapi.updates import digest_settings, unsubscribe
from forumapi.updates.digest_settings import FREQUENCIES
from forumapi.updates.unsubscribe import MailKind
from forumapi.wire import html_pages, json_fragments
from forumapi.wire.body import given
from forumapi.wire.openapi_enums import closed
from forumapi.wire.schemas import updates_mail_webhooks as schemas

_SETTINGS: Final = "/api/v1/updates/email"

# ---------------------------------------------------------------- one's own settings


class EmailBody(Struct):
    """Body of PUT /updates/email: how often digests are sent, and the time zone, a name such as Europe/Berlin; keys
    that are not sent stay.
    """

    digest: Annotated[str, closed(FREQUENCIES)] | UnsetType = UNSET
    timeZone: str | UnsetType = UNSET


class EmailSettingsHandler(Handler):
    """The caller's settings of mail: address, last bounce, digest."""

    allow = "OPTIONS,HEAD,GET,PUT"

    @needs(LOGIN, answer=schemas.EmailSettings)
    def get(self, ctx: Context) -> Result:
        """The caller's address, why mail to that address bounced (null if none did), how often digests are sent, in
        which time zone, and the time of the next digest (null if none is due).
        """
        me = ctx.identity.profile_id
        choice = digest_settings.find(ctx.reader, ctx.site.id, me)
        off = choice.bounce
        bounce: dict[str, Any] | None = None
        if off is not None:
            since = json_fragments.format_time(off.created)
            bounce = {"reason": off.reason, "detail": off.detail, "since": since}
        return Data(
            json_fragments.dumps(
                {
                    "profileId": me,
                    "email": choice.email,
                    "bounce": bounce,
                    "digest": choice.digest,
                    "timeZone": choice.time_zone,
                    "nextDigest": json_fragments.format_time(choice.due) if choice.due else None,
                }
            )
        )

    @needs(LOGIN, body=EmailBody, status=302)
    def put(self, ctx: Context, sent: EmailBody) -> Result:
        """Set how often digests are sent, `daily`, `weekly` or `none`, and the time zone in whose mornings they are;
        keys that are not sent stay.

        400 for other values. Answers 302 to the settings.
        """
        site_id, me = ctx.site.id, ctx.identity.profile_id
        now = digest_settings.find(ctx.reader, site_id, me)
        digest_settings.choose(
            ctx.writer,
            site_id,
            me,
            given(sent.digest, now.digest),
            given(sent.timeZone, now.time_zone),
        )
        return Found(_SETTINGS)


# ---------------------------------------------------------------- the link in each mail


class UnsubscribeHandler(MailedLinkHandler):
    """The address that the unsubscribe link of each mail leads to; mail programs post to it too (RFC 8058)."""

    # Mail of the site may still arrive.
    serves_held_sites = ("GET", "POST")

    @needs(
        ANYONE,
        media_type=html_pages.TYPE,
        params=(Param("code", str, "What the mail's link carries; signed."),),
    )
    def get(self, ctx: Context) -> Result:
        """HTML page that names the kind of mail, with a button to end it; changes nothing. 400 for a code that this
        site has not signed.
        """
        found = _read(ctx)
        if found is None:
            return _broken(ctx)
        return html_answers.page(ctx, "unsubscribe", what=found[1].words)

    @needs(
        ANYONE,
        media_type=html_pages.TYPE,
        params=(Param("code", str, "What the mail's link carries; signed."),),
    )
    def post(self, ctx: Context) -> Result:
        """End the kind of mail that the link's code names, for the profile that the code names; mail of invitations
        ends for that profile's address on all sites. An HTML page says so.

        The request needs no token, may be repeated, and has a body that is ignored. 400 for a code that this site has
        not signed.
        """
        found = _read(ctx)
        if found is None:
            return _broken(ctx)
        profile_id, what = found
        unsubscribe.apply(ctx.writer, ctx.site.id, profile_id, what)
        text = f"You will get no more mail from us about {what.words}."
        return html_answers.message(ctx, "It has ended", text)


def _read(ctx: Context) -> tuple[int, MailKind] | None:
    secret = platform_secret.find(ctx.reader, platform_secret.MAIL)
    carried = platform_secret.carried(ctx.reader, ctx.site.id)
    return unsubscribe.read(secret, ctx.site.id, ctx.query.get("code", ""), carried)


def _broken(ctx: Context) -> Result:
    text = "The address of this page is not whole. Open it from the mail again, or go to your settings."
    return html_answers.message(ctx, "Nothing has changed", text, status=400)
