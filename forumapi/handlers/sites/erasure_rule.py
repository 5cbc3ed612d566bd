"""Setting of a site: whether the words of erased people stay, or each person chooses. Wire: docs/api/persons.md."""

from __future__ import annotations

from msgspec import Struct, UnsetType

from forumapi.errors import Invalid
from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.models.privacy import erasure_request
from forumapi.request.context import Context
from forumapi.request.handler import OWNER, needs
from forumapi.request.handler_results import Data, Found, Result
from forumapi.wire.body import UNSET
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import sites as schemas


class SitePrivacyBody(Struct):
    """Body of PUT /site/privacy. `keepsWords`: what erased people wrote stays, whatever they choose."""

    keepsWords: bool | UnsetType = UNSET


class SitePrivacyHandler(SiteSettingHandler):
    """The site's rule on the words of people who are erased, for its owner."""

    @needs(OWNER, answer=schemas.SitePrivacy)
    def get(self, ctx: Context) -> Result:
        """`keepsWords`: true if what erased people wrote stays, whatever they choose; false if each person chooses."""
        return Data(dumps({"keepsWords": erasure_request.keeps_words(ctx.reader, ctx.site.id)}))

    @needs(OWNER, body=SitePrivacyBody, status=302)
    def put(self, ctx: Context, sent: SitePrivacyBody) -> Result:
        """Set the rule for later requests of erasure; a request that was made before keeps its person's choice.

        400 without `keepsWords`. Answers 302 to this address.
        """
        if isinstance(sent.keepsWords, UnsetType):
            raise Invalid("keepsWords", "is required")
        erasure_request.set_rule(ctx.writer, ctx.author, keeps=sent.keepsWords)
        return Found(ctx.path)
