"""Options of a site that are not in its document, for its owner. Wire: docs/api/sites.md."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Struct, UnsetType

from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.models.sites.site_options import SiteOptions
from forumapi.request.context import Context
from forumapi.request.handler import OWNER, needs
from forumapi.request.handler_results import Data, Found, Result
from forumapi.wire import json_fragments
from forumapi.wire.body import given
from forumapi.wire.schemas import sites as schemas

_OPTIONS: Final = "/api/v1/site/options"


class SiteOptionsBody(Struct):
    """Body of PUT /site/options; keys that are not sent stay."""

    membersCreateMicrocosms: bool | UnsetType = UNSET
    sendEmail: bool | UnsetType = UNSET
    sendSMS: bool | UnsetType = UNSET


class SiteOptionsHandler(SiteSettingHandler):
    """The site's options, for its owner."""

    allow = "OPTIONS,HEAD,GET,PUT"

    @needs(OWNER, answer=schemas.SiteOptions)
    def get(self, ctx: Context) -> Result:
        """The options: who may create microcosms, and the initial switches of mail and SMS for new profiles."""
        options = SiteOptions.find(ctx.reader, ctx.site.id)
        return Data(
            json_fragments.dumps(
                {
                    "membersCreateMicrocosms": options.members_create_microcosms,
                    "sendEmail": options.send_email,
                    "sendSMS": options.send_sms,
                }
            )
        )

    @needs(OWNER, body=SiteOptionsBody, status=302)
    def put(self, ctx: Context, sent: SiteOptionsBody) -> Result:
        """Set options; those that are not sent stay.

        `membersCreateMicrocosms`: every member may create microcosms, not the owner alone. `sendEmail`, `sendSMS`:
        initial values for new profiles.
        """
        SiteOptions.update(
            ctx.writer,
            ctx.author,
            members_create=given(sent.membersCreateMicrocosms, None),
            send_email=given(sent.sendEmail, None),
            send_sms=given(sent.sendSMS, None),
        )
        ctx.writer.after_commit(lambda: ctx.app.sites.forget(ctx.site.id))
        return Found(_OPTIONS)
