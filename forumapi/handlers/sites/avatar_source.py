"""Setting of a site: Gravatar as the source of pictures for people who uploaded none. Wire: docs/api/sites.md."""

from __future__ import annotations

from msgspec import Struct, UnsetType

from forumapi.errors import Invalid
from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.models.people import gravatar
from forumapi.request.context import Context
from forumapi.request.handler import OWNER, needs
from forumapi.request.handler_results import Found, Page, Result
from forumapi.wire.body import UNSET
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import sites as schemas


class SiteAvatarsBody(Struct):
    """Body of PUT /site/avatars. `gravatar`: import pictures from Gravatar."""

    gravatar: bool | UnsetType = UNSET


class SiteAvatarsHandler(SiteSettingHandler):
    """The source of pictures for profiles that uploaded none, set by the site's owner."""

    allow = "OPTIONS,HEAD,GET,PUT"
    closed_in_sandboxes = ("PUT",)

    @needs(OWNER, answer=schemas.SiteAvatars)
    def get(self, ctx: Context) -> Result:
        """`gravatar`: true if pictures are imported from Gravatar."""
        is_on = gravatar.is_on(ctx.reader, ctx.site.id)
        return Page(0, is_on, lambda: dumps({"gravatar": is_on}))

    @needs(OWNER, body=SiteAvatarsBody, status=302)
    def put(self, ctx: Context, sent: SiteAvatarsBody) -> Result:
        """Turn the import of pictures from Gravatar on or off; pictures imported before stay.

        400 without `gravatar`. Answers 302 to this address.
        """
        if isinstance(sent.gravatar, UnsetType):
            raise Invalid("gravatar", "is required")
        gravatar.switch(ctx.writer, ctx.author, on=sent.gravatar)
        return Found(ctx.path)
