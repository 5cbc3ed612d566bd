"""Policy of a site for crawlers. Wire: docs/api/sites.md."""

from __future__ import annotations

from msgspec import Struct

from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.models.sites.crawl_policy import CrawlPolicy
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, OWNER, needs
from forumapi.request.handler_results import Data, Found, Result
from forumapi.wire.body import UNSET, UnsetType, given
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import sites as schemas


class CrawlPolicyBody(Struct):
    """Body of PUT /site/crawling: the policy; what is not sent stays. `refused`: names of crawlers that the platform
    knows; `trainAi`: y if texts may train language models, n if not, "" for no statement; `perMinute`: requests a
    minute that all unknown programs together may make, 0 for the platform's number.
    """

    refused: list[str] | UnsetType = UNSET
    trainAi: str | UnsetType = UNSET
    perMinute: int | UnsetType = UNSET


class CrawlingHandler(SiteSettingHandler):
    """Policy of the site for crawlers, which robots.txt tells them."""

    # Whom the policy refuses may read it.
    counts_as_call = False

    @needs(ANYONE, answer=schemas.CrawlPolicy)
    def get(self, ctx: Context) -> Result:
        """The crawlers that are refused, the preference on training language models, and the requests a minute that all
        unknown programs together may make.
        """
        return Data(dumps(CrawlPolicy.of(ctx.site.crawling).document()))

    @needs(OWNER, body=CrawlPolicyBody, status=302)
    def put(self, ctx: Context, sent: CrawlPolicyBody) -> Result:
        """Change the policy; keys that are not sent stay.

        400 for a crawler that the platform does not know, for a `trainAi` that is none of y, n and "", and for a number
        out of range. Answers 302 to this address.
        """
        now = CrawlPolicy.of(ctx.site.crawling)
        policy = CrawlPolicy(
            tuple(given(sent.refused, list(now.refused))),
            given(sent.trainAi, now.train_ai),
            given(sent.perMinute, now.per_minute),
        )
        policy.checked().set(ctx.writer, ctx.author)
        return Found(ctx.path)
