"""Templates of a site's mail about updates, as its owner sets them. Wire: docs/api/mail.md."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import known
from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.models.journal import journal
from forumapi.request.context import Context
from forumapi.request.handler import OWNER, needs
from forumapi.request.handler_results import Data, Done, Found, Result
from forumapi.updates import mail_templates
from forumapi.wire import json_fragments
from forumapi.wire.body import given
from forumapi.wire.schemas import updates_mail_webhooks as schemas

_TEMPLATES: Final = "/api/v1/site/mail"


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
        """The template that the address names, the site's own or else the software's, with the names of its
        placeholders.
        """
        number = _number(ctx)
        own = mail_templates.own(ctx.reader, ctx.site.id).get(number)
        return Data(json_fragments.dumps(mail_templates.document(number, own)))

    @needs(OWNER, body=MailTemplateBody, status=302)
    def put(self, ctx: Context, sent: MailTemplateBody) -> Result:
        """Replace the template that the address names by one of the site's own; HTML that mail programs do not show
        (scripts, forms, frames) is removed.

        400 for an unknown placeholder, and without the placeholder of the link that unsubscribes. Answers 302 to the
        template.
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
