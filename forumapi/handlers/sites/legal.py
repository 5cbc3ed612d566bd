"""Legal documents, as everybody reads them: of a site or, on the platform's host, of the platform. Wire:
docs/api/legal.md.
"""

from __future__ import annotations

from typing import ClassVar, Final

from forumapi.models.sites import legal
from forumapi.models.sites.legal import LegalText, Operator
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Handler, needs
from forumapi.request.handler_results import Data, Page, Result
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import sites as schemas


def _index(documents: tuple[str, ...]) -> Data:
    return Data(
        dumps({"links": [{"rel": name, "href": f"/api/v1/legal/{name}"} for name in documents]})
    )


_SITE: Final = _index(legal.SITE_DOCUMENTS)
_ROOT: Final = _index(legal.ROOT_DOCUMENTS)


class LegalHandler(Handler):
    """The legal documents of this host."""

    serves_held_sites = ("GET",)

    @needs(ANYONE, answer=schemas.LegalIndex)
    def get(self, ctx: Context) -> Result:
        """A link to each legal document of this host."""
        return _ROOT if ctx.site.is_root else _SITE


class DocumentHandler(Handler):
    """Base class of handlers of one legal document, which a subclass names in `document`."""

    serves_held_sites = ("GET",)

    document: ClassVar[str] = ""

    @needs(ANYONE, answer=schemas.LegalDocument)
    def get(self, ctx: Context) -> Result:
        """The document as HTML, with the names of site and operator filled in; or a link, if the owner keeps it
        elsewhere.
        """
        config = ctx.app.config
        operator = Operator(config.operator_name, config.operator_email, config.operator_address)
        site = ctx.site
        text = LegalText.held(ctx.reader, site, self.document)
        services = legal.held_services(ctx.reader, site) if self.document == "privacy" else ""
        return Page(
            site.version,
            (site.id, site.version, self.document, tuple(operator)),
            lambda: text.render(site, operator, services),
        )


class CookiesHandler(DocumentHandler):
    """Document about the use of cookies."""

    document = "cookies"


class PrivacyHandler(DocumentHandler):
    """Document about personal data."""

    document = "privacy"


class TermsHandler(DocumentHandler):
    """Terms of use for the users of a site."""

    document = "terms"


class ServiceHandler(DocumentHandler):
    """Terms of service for the owners of sites."""

    document = "service"
