"""Setting of a site: whether the words of people who are erased stay, or each person chooses. Wire:
docs/api/persons.md.
"""

from __future__ import annotations

from msgspec import Struct, UnsetType

from forumapi.errors import Invalid
from forumapi.handlers.sites.sites import SiteSettingHandler
from forumapi.models.privacy import erasure
from forumapi.request.context import Context
from forumapi.request.handler import OWNER, needs
from forumapi.request.response import Data, Found, Result
from forumapi.wire.body import UNSET
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import sites as schemas


class SitePrivacyBody(Struct):
    """Body of PUT /site/privacy."""

    keepsWords: bool | UnsetType = UNSET


class SitePrivacyHandler(SiteSettingHandler):
    """Rule of the site for people who are erased."""

    @needs(OWNER, answer=schemas.SitePrivacy)
    def get(self, ctx: Context) -> Result:
        """`keepsWords`: true if what people have written stays, whatever they choose; false: each chooses."""
        return Data(dumps({"keepsWords": erasure.keeps_words(ctx.reader, ctx.site.id)}))

    @needs(OWNER, body=SitePrivacyBody, status=302)
    def put(self, ctx: Context, sent: SitePrivacyBody) -> Result:
        """Set the rule; requests that wait already keep their choice."""
        if isinstance(sent.keepsWords, UnsetType):
            raise Invalid("keepsWords", "is required")
        erasure.set_rule(ctx.writer, ctx.author, keeps=sent.keepsWords)
        return Found(ctx.path)
