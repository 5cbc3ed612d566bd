"""Mail about updates: a site's own templates, one's own settings, and the link that ends it. Wire: docs/api/mail.md."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import known
from forumapi.handlers.sites.sites import SiteSettingHandler
from forumapi.models.access import platform_secret
from forumapi.models.journal import journal
from forumapi.request import html_answers
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, LOGIN, OWNER, Handler, Param, needs
from forumapi.request.response import Data, Done, Found, Result
from forumapi.updates import digest, mail_templates, unsubscribe
from forumapi.updates.unsubscribe import MailKind
from forumapi.wire import html_pages, json_fragments
from forumapi.wire.body import given
from forumapi.wire.schemas import updates_mail_webhooks as schemas

_TEMPLATES: Final = "/api/v1/site/mail"
_SETTINGS: Final = "/api/v1/updates/email"

# ---------------------------------------------------------------- a site's templates


class MailTemplatesHandler(SiteSettingHandler):
    """The templates of mail about updates, for the owner of the site."""

    allow = "OPTIONS,HEAD,GET"

    @needs(OWNER, answer=schemas.MailTemplates)
    def get(self, ctx: Context) -> Result:
        """Every template of mail in its current form, with the names of its placeholders."""
        own = mail_templates.own(ctx.reader, ctx.site.id)
        made = [mail_templates.document(number, own.get(number)) for number in mail_templates.KINDS]
        return Data(json_fragments.dumps({"templates": made}))


class MailTemplateBody(Struct):
    """Body of PUT /site/mail/{template}: the whole template."""

    subject: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    html: str | UnsetType = UNSET


class MailTemplateHandler(SiteSettingHandler):
    """One template of mail about updates, for the owner of the site."""

    allow = "OPTIONS,HEAD,GET,PUT,DELETE"

    @needs(OWNER, answer=schemas.MailTemplate)
    def get(self, ctx: Context) -> Result:
        """The template in its current form."""
        number = _number(ctx)
        own = mail_templates.own(ctx.reader, ctx.site.id).get(number)
        return Data(json_fragments.dumps(mail_templates.document(number, own)))

    @needs(OWNER, body=MailTemplateBody, status=302)
    def put(self, ctx: Context, sent: MailTemplateBody) -> Result:
        """Replace the template. HTML that mail programs do not show (scripts, forms, frames) is removed."""
        number = _number(ctx)
        parts = mail_templates.checked(
            number, given(sent.subject, None), given(sent.text, None), given(sent.html, None)
        )
        mail_templates.put(ctx.writer, ctx.site.id, number, parts)
        journal.record_site(ctx.writer, ctx.author)
        return Found(f"{_TEMPLATES}/{mail_templates.KINDS[number].name}")

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Delete the site's own template; the one of the software applies again."""
        if mail_templates.delete(ctx.writer, ctx.site.id, _number(ctx)):
            journal.record_site(ctx.writer, ctx.author)
        return Done()


def _number(ctx: Context) -> int:
    return known(mail_templates.BY_NAME.get(ctx.args["template"]), "template")


# ---------------------------------------------------------------- one's own settings


class EmailBody(Struct):
    """Body of PUT /updates/email; keys that are not sent stay."""

    digest: str | UnsetType = UNSET
    timeZone: str | UnsetType = UNSET


class EmailSettingsHandler(Handler):
    """Mail settings of the caller: address, bounces, digest."""

    allow = "OPTIONS,HEAD,GET,PUT"

    @needs(LOGIN, answer=schemas.EmailSettings)
    def get(self, ctx: Context) -> Result:
        """The caller's address with its last bounce, and the frequency of digests."""
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
        """Set `digest` to `daily`, `weekly` or `none`, and the time zone in whose mornings digests are sent."""
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
    """Target of the unsubscribe link: a page to confirm it, and the one-click request of mail programs (RFC 8058)."""

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
        """Page that names the mail to be ended, with a button. Changes nothing."""
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
        """End the mail that the link names; needs no token, ignores the body, and may be repeated."""
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
