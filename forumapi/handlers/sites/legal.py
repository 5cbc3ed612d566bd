"""Legal documents, as everybody reads them: of a site or, on the platform's host, of the platform. Wire:
docs/api/legal.md.
"""

from __future__ import annotations

from typing import ClassVar, Final

from forumapi.errors import NotFound, known
from forumapi.models.sites import legal, legal_version
from forumapi.models.sites.legal import LegalText, Operator
from forumapi.models.sites.legal_version import ASKING, LegalVersion
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Handler, Param, needs
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
        operator = _operator(ctx)
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


class LegalVersionsHandler(Handler):
    """Versions of a legal text that may ask for consent: terms or privacy; 404 for any other document."""

    serves_held_sites = ("GET",)

    @needs(ANYONE, answer=schemas.LegalVersions)
    def get(self, ctx: Context) -> Result:
        """All versions of the text, newest first; none for a text that has never asked for consent."""
        document = _asking(ctx)
        found = LegalVersion.find_all(ctx.reader, ctx.site.id, document)
        return Data(dumps({"versions": [one.summary(document) for one in found]}))


class LegalVersionHandler(Handler):
    """One version of a legal text, also one that is no longer in force."""

    serves_held_sites = ("GET",)

    @needs(ANYONE, answer=schemas.LegalVersion)
    def get(self, ctx: Context) -> Result:
        """The version with its text as HTML, with the names of site and operator as they are now; or a link, if the
        owner kept it elsewhere. 404 if the text has no such version.
        """
        document, number = _asking(ctx), ctx.args["version"]
        found = LegalVersion.find(ctx.reader, ctx.site.id, document, [number])
        version = known(found.get(number), "version")
        operator, site = _operator(ctx), ctx.site

        def build() -> bytes:
            text = {"link": version.link} if version.link else {"html": _html(version, ctx)}
            return dumps({**version.summary(document), **text})

        return Page(number, (site.id, site.version, document, number, tuple(operator)), build)


class LegalDifferenceHandler(Handler):
    """The difference between two versions of a legal text."""

    serves_held_sites = ("GET",)

    @needs(
        ANYONE,
        answer=schemas.LegalDifference,
        params=(
            Param("from", int, "The version to compare with; the one before by default, 0: none."),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """The changes, word by word and without tags, from the version before (of the first version: from an empty
        text), or from the version that `from` names (0: from an empty text), to the version in the address. A text that
        is kept elsewhere counts as empty.

        404 if the text lacks one of the two versions.
        """
        document, new = _asking(ctx), ctx.args["version"]
        old = ctx.number("from", max(new - 1, 0))
        found = LegalVersion.find(ctx.reader, ctx.site.id, document, [old, new])
        if new not in found or (old and old not in found):
            raise NotFound("There is no such version")
        operator, site = _operator(ctx), ctx.site

        def build() -> bytes:
            before = _html(found[old], ctx) if old else ""
            return legal_version.changes(old, new, before, _html(found[new], ctx))

        return Page(new, (site.id, site.version, document, old, new, tuple(operator)), build)


def _operator(ctx: Context) -> Operator:
    config = ctx.app.config
    return Operator(config.operator_name, config.operator_email, config.operator_address)


def _asking(ctx: Context) -> str:
    document: str = ctx.args["document"]
    if document not in ASKING:
        raise NotFound("There is no such document with versions")
    return document


def _html(version: LegalVersion, ctx: Context) -> str:
    text = LegalText(version.body, version.link, version.published)
    return text.filled(ctx.site, _operator(ctx))
