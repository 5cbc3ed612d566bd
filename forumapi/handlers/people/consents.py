"""Consents of the caller to legal texts of the site, and their numbers for its owner. Wire: docs/api/legal.md."""

from __future__ import annotations

from typing import ClassVar, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import WRONG_TYPE, Conflict, Invalid, NotFound
from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.models.privacy.consent import AskedText, Consent, ConsentCount
from forumapi.models.sites import legal_version
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, OWNER, Handler, needs
from forumapi.request.handler_results import Data, Done, Found, Result
from forumapi.wire.body import given
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import people as schemas

PATH: Final = "/api/v1/consents"


class ConsentBody(Struct):
    """Body of PUT /consents/{document}: the version that the caller has read."""

    version: int | UnsetType = UNSET


class ConsentsHandler(Handler):
    """Legal texts that ask the caller for consent, and the caller's consents."""

    @needs(LOGIN, answer=schemas.Consents)
    def get(self, ctx: Context) -> Result:
        """`texts`: the legal texts that ask for consent, by name, each with the newest version that the caller has
        agreed to; `given`: the caller's consents that are not withdrawn; `withdrawn`: those that the caller withdrew;
        both newest first.
        """
        tx, site_id, me = ctx.reader, ctx.site.id, ctx.identity.profile_id
        texts = [one.document() for one in AskedText.find_all(tx, site_id, me)]
        consents = [one.document() for one in Consent.find_all(tx, site_id, me)]
        withdrawn = [one.document() for one in Consent.find_withdrawn(tx, site_id, me)]
        return Data(dumps({"texts": texts, "given": consents, "withdrawn": withdrawn}))


class ConsentHandler(Handler):
    """Consent of the caller to the legal text in the address."""

    needs_no_consent = ("PUT", "DELETE")
    leads_to: ClassVar = {"PUT": PATH}
    required_keys: ClassVar = {"PUT": ("version",)}

    @needs(LOGIN, body=ConsentBody, status=302)
    def put(self, ctx: Context, sent: ConsentBody) -> Result:
        """Agree to the text's version in force, `version`; a repeated consent changes nothing. The request needs a
        token that is not limited to scopes.

        404 for a text that asks for no consent, 409 for a version that is not in force. Answers 302 to all consents.
        """
        tx, site_id, me = ctx.writer, ctx.site.id, ctx.identity.profile_id
        version = given(sent.version, 0)
        if version < 1:
            raise Invalid("version", "must be the number of a version", code=WRONG_TYPE)
        asked = {one.text: one for one in AskedText.find_all(tx, site_id, me)}
        text = asked.get(ctx.args["document"])
        if text is None:
            raise NotFound("There is no such text that asks for consent")
        if version != text.version:
            raise Conflict(f"Version {text.version} is in force: read that, and agree to it")
        Consent.insert(tx, site_id, me, text.text, version)
        return Found(PATH)

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Withdraw the caller's consents to all versions of the text; while the text asks for consent, the caller's
        writes are refused again, as before the consent. The request needs a token that is not limited to scopes. 200
        also if there is no consent; 404 for a document that never asks for consent.
        """
        document = ctx.args["document"]
        if document not in legal_version.ASKING:
            raise NotFound("There is no such text that asks for consent")
        Consent.withdraw(ctx.writer, ctx.site.id, ctx.identity.profile_id, document)
        return Done()


class SiteConsentsHandler(SiteSettingHandler):
    """Numbers of members who have agreed to the site's legal texts."""

    @needs(OWNER, answer=schemas.ConsentCounts)
    def get(self, ctx: Context) -> Result:
        """For each version of each text that has ever asked for consent, how many people have agreed to it, and how
        many have withdrawn their consent; by name of the text, newest version first. No person is named.
        """
        counts = ConsentCount.find_all(ctx.reader, ctx.site.id)
        return Data(dumps({"versions": [one.document() for one in counts]}))
