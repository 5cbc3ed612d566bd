"""Mail about updates: a site's templates, the caller's settings, the link to unsubscribe. Wire: docs/api/mail.md."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import known
from forumapi.handlers.sites.sites import SiteSettingHandler
from forumapi.models.access import platform_secret
from forumapi.models.journal import journal
from forumapi.request import html_answers
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, LOGIN, OWNER, Handler, Param, needs
from forumapi.request.handler_results import Data, Done, Found, Result
from forumapi.updates import digest, mail_templates, unsubscribe
from forumapi.updates.digest import FREQUENCIES
from forumapi.updates.unsubscribe import MailKind
from forumapi.wire import html_pages, json_fragments
from forumapi.wire.body import given
from forumapi.wire.openapi_enums import closed
from forumapi.wire.schemas import updates_mail_webhooks as schemas

_TEMPLATES: Final = "/api/v1/site/mail"
_SETTINGS: Final = "/api/v1/updates/email"

# ---------------------------------------------------------------- a site's templates


class MailTemplatesHandler(SiteSettingHandler):
    """The site's templates of mail about updates, for its owner."""

    allow = "OPTIONS,HEAD,GET"

    @needs(OWNER, answer=schemas.MailTemplates)
    def get(self, ctx: Context) -> Result:
        """Every template, the site's own or else the software's, with the names of its placeholders."""
        own = mail_templates.own(ctx.reader, ctx.site.id)
        made = [mail_templates.document(number, own.get(number)) for number in mail_templates.KINDS]
        return Data(json_fragments.dumps({"templates": made}))


class MailTemplateBody(Struct):
    """Body of PUT /site/mail/{template}: a whole template, of which no part may be absent."""

    subject: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    html: str | UnsetType = UNSET


class MailTemplateHandler(SiteSettingHandler):
    """One of the site's templates of mail about updates, for its owner; 404 for an unknown template."""

    allow = "OPTIONS,HEAD,GET,PUT,DELETE"

    @needs(OWNER, answer=schemas.MailTemplate)
    def get(self, ctx: Context) -> Result:
        """The template, the site's own or else the software's, with the names of its placeholders."""
        number = _number(ctx)
        own = mail_templates.own(ctx.reader, ctx.site.id).get(number)
        return Data(json_fragments.dumps(mail_templates.document(number, own)))

    @needs(OWNER, body=MailTemplateBody, status=302)
    def put(self, ctx: Context, sent: MailTemplateBody) -> Result:
        """Replace the template by the site's own; HTML that mail programs do not show (scripts, forms, frames) is
        removed.
        """
        number = _number(ctx)
        parts = mail_templates.checked(
            number, given(sent.subject, None), given(sent.text, None), given(sent.html, None)
        )
        mail_templates.put(ctx.writer, ctx.site.id, number, parts)
        journal.record_site(ctx.writer, ctx.author)
        return Found(f"{_TEMPLATES}/{mail_templates.KINDS[number].name}")

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Delete the site's own template, so that the software's applies again; 200 also if there is none."""
        if mail_templates.delete(ctx.writer, ctx.site.id, _number(ctx)):
            journal.record_site(ctx.writer, ctx.author)
        return Done()


def _number(ctx: Context) -> int:
    return known(mail_templates.BY_NAME.get(ctx.args["template"]), "template")


# ---------------------------------------------------------------- one's own settings


class EmailBody(Struct):
    """Body of PUT /updates/email; keys that are not sent stay."""

    digest: Annotated[str, closed(FREQUENCIES)] | UnsetType = UNSET
    timeZone: str | UnsetType = UNSET


class EmailSettingsHandler(Handler):
    """The caller's settings of mail: address, last bounce, digest."""

    allow = "OPTIONS,HEAD,GET,PUT"

    @needs(LOGIN, answer=schemas.EmailSettings)
    def get(self, ctx: Context) -> Result:
        """The caller's address, why mail to it bounced (null unless it did), and when digests are sent."""
        me = ctx.identity.profile_id
        choice = digest.find(ctx.reader, ctx.site.id, me)
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
        """Set how often digests are sent, `daily`, `weekly` or `none`, and the time zone in whose mornings they are."""
        site_id, me = ctx.site.id, ctx.identity.profile_id
        now = digest.find(ctx.reader, site_id, me)
        digest.choose(
            ctx.writer,
            site_id,
            me,
            given(sent.digest, now.digest),
            given(sent.timeZone, now.time_zone),
        )
        return Found(_SETTINGS)


# ---------------------------------------------------------------- the link in each mail


class UnsubscribeHandler(Handler):
    """The address that the unsubscribe link of each mail leads to; mail programs post to it too (RFC 8058)."""

    ignores_token = True
    takes_idempotency_key = False
    error_form = "Page"
    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {"GET": (400,), "POST": (400,)}

    @needs(
        ANYONE,
        media_type=html_pages.TYPE,
        params=(Param("code", str, "What the mail's link carries; signed."),),
    )
    def get(self, ctx: Context) -> Result:
        """HTML page that names the kind of mail, with a button to end it; changes nothing."""
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
        """End the kind of mail that the link's code names, for the profile that it names.

        Needs no token, ignores the body, and may be repeated.
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
    return unsubscribe.read(secret, ctx.site.id, ctx.query.get("code", ""))


def _broken(ctx: Context) -> Result:
    text = "The address of this page is not whole. Open it from the mail again, or go to your settings."
    return html_answers.message(ctx, "Nothing has changed", text, status=400)
