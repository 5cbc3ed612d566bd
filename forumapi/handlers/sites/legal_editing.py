"""Editing of a site's legal texts by its owner, as templates with placeholders. Wire: docs/api/sites.md."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import NotFound
from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.models.sites import legal
from forumapi.models.sites.legal import LegalText
from forumapi.request.context import Context
from forumapi.request.handler import OWNER, needs
from forumapi.request.handler_results import Data, Done, Found, Result
from forumapi.wire import json_fragments
from forumapi.wire.body import given
from forumapi.wire.openapi_enums import closed
from forumapi.wire.schemas import sites as schemas

_LEGAL: Final = "/api/v1/site/legal"


class LegalBody(Struct):
    """Body of PUT /site/legal/{document}: either `html`, the text, or `link`, its address elsewhere; and `consent`:
    whether members must agree to the new text, `ask`, `correction` or `none`.
    """

    html: str | UnsetType = UNSET
    link: str | UnsetType = UNSET
    consent: Annotated[str, closed(legal.CONSENTS)] | UnsetType = UNSET


class SiteLegalHandler(SiteSettingHandler):
    """The site's legal documents in the form in which its owner edits them."""

    allow = "OPTIONS,HEAD,GET"

    @needs(OWNER, answer=schemas.LegalTemplates)
    def get(self, ctx: Context) -> Result:
        """Every legal document as a template, with the names of the placeholders that it may hold."""
        shown = [_template(ctx, name) for name in legal.SITE_DOCUMENTS]
        return Data(json_fragments.dumps({"documents": shown}))


class SiteLegalDocumentHandler(SiteSettingHandler):
    """One legal document in the form in which the site's owner edits it; 404 for an unknown document."""

    allow = "OPTIONS,HEAD,GET,PUT,DELETE"

    @needs(OWNER, answer=schemas.LegalTemplate)
    def get(self, ctx: Context) -> Result:
        """The document as a template; the software's own text if the owner has set none."""
        return Data(json_fragments.dumps(_template(ctx, _document(ctx))))

    @needs(OWNER, body=LegalBody, status=302)
    def put(self, ctx: Context, sent: LegalBody) -> Result:
        """Replace the document by `html`, from which scripts, forms and frames are removed, or by a `link` to it.

        With `consent`: "ask", each member has to agree to this version of the text before their next write;
        "correction", it is a new version, and earlier consents stay good; "none", as when absent, the text asks for no
        consent. Where the text before asks for consent, `consent` is required. 400 for "ask" and "correction" of a
        document that can't ask, for "correction" where the text before asks for none, and for both and for neither of
        `html` and `link`. Answers 302 to the document.
        """
        name = _document(ctx)
        html, link = legal.checked(given(sent.html, None), given(sent.link, None))
        consent = given(sent.consent, "")
        LegalText.upsert(ctx.writer, ctx.author, name, html, link, consent)
        ctx.writer.after_commit(lambda: ctx.app.sites.forget(ctx.site.id))
        return Found(f"{_LEGAL}/{name}")

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Delete the site's own text or link, so that the software's text applies again; 200 also if there is none."""
        LegalText.delete(ctx.writer, ctx.author, _document(ctx))
        ctx.writer.after_commit(lambda: ctx.app.sites.forget(ctx.site.id))
        return Done()


def _document(ctx: Context) -> str:
    name: str = ctx.args["document"]
    if name not in legal.SITE_DOCUMENTS:
        raise NotFound("There is no such document")
    return name


def _template(ctx: Context, name: str) -> dict[str, Any]:
    text = LegalText.find(ctx.reader, ctx.site.id, name)
    return {
        "name": name,
        "own": text.is_own,
        "html": text.body,
        "link": text.link,
        "lastModified": json_fragments.format_time(text.modified),
        "names": list(legal.NAMES),
        **({"version": text.version, "askedSince": text.asked_since} if text.asked_since else {}),
    }
