"""Retention periods of a site: for how long addresses, audit, mail and texts of deleted things are kept. Wire:
docs/api/persons.md.
"""

from __future__ import annotations

from typing import ClassVar, Final

from msgspec import Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import Invalid
from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.models.privacy import retention
from forumapi.models.privacy.retention import Period
from forumapi.permissions.evaluator import Target
from forumapi.request.context import Context, Located
from forumapi.request.handler import OWNER, Param, needs
from forumapi.request.handler_results import Data, Found, Result
from forumapi.wire.body import UNSET
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import sites as schemas

_DRY_RUN: Final = Param(
    "dryRun", bool, "Nothing is written; the answer, 200, says what these periods would remove now."
)


class SiteRetentionBody(Struct):
    """Body of PUT /site/retention: for each kind of data (client addresses, audit, texts of deleted things, mail) the
    days to keep it, or 0 for the platform's own period.
    """

    addresses: int | UnsetType = UNSET
    audit: int | UnsetType = UNSET
    deletedTexts: int | UnsetType = UNSET
    mail: int | UnsetType = UNSET


class SiteRetentionHandler(SiteSettingHandler):
    """The retention periods of the site, for its owner."""

    also_succeeds: ClassVar[dict[str, type[Struct]]] = {"PUT": schemas.RetentionPreview}

    def locate(self, ctx: Context) -> Located:
        # A dry run only counts, for which nothing of the site has to wait.
        if ctx.is_write and ctx.flag("dryRun"):
            return Located(Target(itemtypes.SITE, ctx.site.id))
        return super().locate(ctx)

    @needs(OWNER, answer=schemas.SiteRetention)
    def get(self, ctx: Context) -> Result:
        """The period in force of each kind of data, in days (absent: kept for good), with the lowest and highest that
        the owner may set.
        """
        limits = _limits(ctx)
        days = retention.in_force(retention.find(ctx.reader, ctx.site.id), limits)
        return Data(dumps(retention.document(days, limits)))

    @needs(OWNER, body=SiteRetentionBody, status=302, params=(_DRY_RUN,))
    def put(self, ctx: Context, sent: SiteRetentionBody) -> Result:
        """Set periods; a period that is not sent stays, and 0 goes back to the platform's. Data older than its period
        is deleted for good within the hour. 400 for a period outside the limits that GET names.

        Answers 302 to this address. With `dryRun` nothing is stored: the answer, 200, says how many things of each kind
        these periods would remove now, and the time of the oldest; 400 if the request has an idempotency key.
        """
        limits = _limits(ctx)
        days = {
            kind: value
            for kind in limits
            if not isinstance(value := getattr(sent, kind), UnsetType)
        }
        own = retention.checked(retention.find(ctx.reader, ctx.site.id), days, limits)
        if ctx.flag("dryRun"):
            if "HTTP_IDEMPOTENCY_KEY" in ctx.environ:
                raise Invalid(
                    "Idempotency-Key", "is not accepted with dryRun, which writes nothing"
                )
            losses = retention.preview(ctx.reader, ctx.site.id, retention.in_force(own, limits))
            return Data(dumps(retention.preview_document(losses)))
        retention.set_periods(ctx.writer, ctx.author, own)
        return Found(ctx.path)


def _limits(ctx: Context) -> dict[str, Period]:
    config = ctx.app.config
    return retention.bounds(config.audit_address_days, config.audit_retention_days)
