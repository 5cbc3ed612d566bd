"""Plan of a site, with its limits and what the site uses of them: for its owner, and set by the platform's operators.
Wire: docs/api/usage.md.
"""

from __future__ import annotations

from msgspec import Struct

from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.handlers.operators.platform_growth import check_admin
from forumapi.handlers.sites.site_setting_base import LocatedSite, SiteSettingHandler
from forumapi.handlers.sites.sites import find_for_operators, lock_named
from forumapi.models.journal.journal import Author
from forumapi.models.sites.site import Site
from forumapi.models.usage import site_plan
from forumapi.request.context import Context, Located
from forumapi.request.handler import LOGIN, OWNER, Handler, needs
from forumapi.request.handler_results import Data, Found, Result
from forumapi.wire.body import UNSET, UnsetType
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import sites as schemas


class PlanBody(Struct):
    """Body of PUT /sites/{id}/plan. `plan`: name of a plan of the platform, "" for the default one."""

    plan: str | UnsetType = UNSET


def _shown(ctx: Context, site: Site) -> Data:
    plans = ctx.app.plans
    used = plans.used(ctx.reader, site)
    return Data(dumps(site_plan.document(plans.plan(site), plans.limits(site), used)))


class PlanHandler(Handler):
    """Plan of the site that the address names, on the platform's host."""

    required_keys = {"PUT": ("plan",)}

    def locate(self, ctx: Context) -> Located | None:
        if not ctx.is_write:
            return None
        check_admin(ctx)
        located = lock_named(ctx)
        # The plan has no version of its own, so that If-Match is ignored.
        located.version = 0
        return located

    @needs(LOGIN, answer=schemas.SitePlan)
    def get(self, ctx: Context) -> Result:
        """The plan, with each of its limits and what the site uses of it now; 403 for all but the site's owner and the
        platform's operators; 404 for an unknown site and, for all but these, for one that is deleted, suspended or in
        its export window.
        """
        return _shown(ctx, find_for_operators(ctx))

    @needs(LOGIN, body=PlanBody, status=302)
    def put(self, ctx: Context, sent: PlanBody) -> Result:
        """Set the plan; 403 for all but the platform's operators, 400 for a plan that the platform does not have.

        404 for an unknown site and, unless the operator owns the site, for one that is deleted, suspended or in its
        export window; 403 while the site is read-only and, for its owner, while it is suspended or in its export
        window. Answers 302 to the plan.
        """
        if not isinstance(sent.plan, str):
            raise Invalid("plan", "is required")
        plan = sent.plan
        known = ctx.app.plans.names
        if plan and plan not in known:
            raise Invalid("plan", f"must be one of {', '.join(known)}", code=OUT_OF_RANGE)
        site_id = ctx.located_as(LocatedSite).locked.site_id
        author = Author(site_id, 0, ctx.ip, f"user {ctx.identity.user_id}")
        site_plan.set_plan(ctx.writer, author, plan)
        ctx.writer.after_commit(lambda: ctx.app.sites.forget(site_id))
        return Found(ctx.path)


class OwnPlanHandler(SiteSettingHandler):
    """Plan of this host's site, for its owner."""

    @needs(OWNER, answer=schemas.SitePlan)
    def get(self, ctx: Context) -> Result:
        """The plan, with each of its limits and what this site uses of it now."""
        return _shown(ctx, ctx.site)
