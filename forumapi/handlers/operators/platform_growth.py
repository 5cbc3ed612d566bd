"""Figures of the platform's growth, a sample a day, for its operators, on the platform's host. Wire:
docs/api/metrics.md.
"""

from __future__ import annotations

from forumapi.errors import NEEDS_OWNER, Forbidden
from forumapi.models.usage import platform_growth
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, needs
from forumapi.request.handler_results import Data, Done, Result
from forumapi.wire import json_fragments
from forumapi.wire.schemas import sites as schemas


def check_admin(ctx: Context) -> None:
    """Check that the caller is an operator of the platform, listed in `admin_user_ids` (P-53). Raises Forbidden."""
    if ctx.identity.user_id not in ctx.app.config.admin_user_ids:
        raise Forbidden("Only administrators of the platform may see this", code=NEEDS_OWNER)


class MetricsHandler(Handler):
    """Figures of the platform's growth, for its operators."""

    @needs(LOGIN, answer=schemas.Metrics)
    def get(self, ctx: Context) -> Result:
        """The figures of the last sample of each day (UTC), oldest first, without days that have no sample; 403 unless
        the caller is one of the platform's operators.
        """
        check_admin(ctx)
        return Data(json_fragments.dumps({"metrics": platform_growth.daily(ctx.reader)}))

    @needs(LOGIN)
    def put(self, ctx: Context) -> Result:
        """Count the figures now and store them as a sample of today; 403 unless the caller is one of the platform's
        operators.

        Answers 200 with `data` null.
        """
        check_admin(ctx)
        platform_growth.sample(ctx.writer)
        return Done()
