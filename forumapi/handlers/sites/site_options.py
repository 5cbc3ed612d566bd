"""Options of a site that are not in its document, for its owner. Wire: docs/api/sites.md."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi.agents import tools
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.models.sites.site_options import SiteOptions
from forumapi.request.context import Context
from forumapi.request.handler import OWNER, needs
from forumapi.request.handler_results import Data, Found, Result
from forumapi.wire import json_fragments
from forumapi.wire.body import given
from forumapi.wire.openapi_enums import closed
from forumapi.wire.schemas import sites as schemas

_OPTIONS: Final = "/api/v1/site/options"


class SiteOptionsBody(Struct):
    """Body of PUT /site/options; keys that are not sent stay. `agents`: level of agents; `sendEmail`, `sendSMS`:
    initial values for new profiles.
    """

    agents: Annotated[str, closed(tools.LEVELS)] | UnsetType = UNSET
    membersCreateMicrocosms: bool | UnsetType = UNSET
    membersMakeBots: bool | UnsetType = UNSET
    sendEmail: bool | UnsetType = UNSET
    sendSMS: bool | UnsetType = UNSET


class SiteOptionsHandler(SiteSettingHandler):
    """The site's options, for its owner."""

    allow = "OPTIONS,HEAD,GET,PUT"

    @needs(OWNER, answer=schemas.SiteOptions)
    def get(self, ctx: Context) -> Result:
        """The options: how far agents may go, who may create microcosms and make bots, and the initial switches of mail
        and SMS for new profiles.
        """
        options = SiteOptions.find(ctx.reader, ctx.site.id)
        return Data(
            json_fragments.dumps(
                {
                    "agents": options.agents,
                    "membersCreateMicrocosms": options.members_create_microcosms,
                    "membersMakeBots": options.members_make_bots,
                    "sendEmail": options.send_email,
                    "sendSMS": options.send_sms,
                }
            )
        )

    @needs(OWNER, body=SiteOptionsBody, status=302)
    def put(self, ctx: Context, sent: SiteOptionsBody) -> Result:
        """Set options; those that are not sent stay.

        `agents`: what agents may do at most, with a token of the person that they act for. `membersCreateMicrocosms`:
        every member may create microcosms, not the owner alone; `membersMakeBots`: every member may make bots, not the
        owner alone. `sendEmail`, `sendSMS`: initial values for new profiles. Answers 302 to the options.
        """
        level = given(sent.agents, None)
        if level is not None and level not in tools.LEVELS:
            raise Invalid("agents", f"must be one of {', '.join(tools.LEVELS)}", code=OUT_OF_RANGE)
        SiteOptions.update(
            ctx.writer,
            ctx.author,
            members_create=given(sent.membersCreateMicrocosms, None),
            send_email=given(sent.sendEmail, None),
            send_sms=given(sent.sendSMS, None),
            agents=level,
            members_make_bots=given(sent.membersMakeBots, None),
        )
        ctx.writer.after_commit(lambda: ctx.app.sites.forget(ctx.site.id))
        return Found(_OPTIONS)
