"""Access log and counters of answered requests."""

from __future__ import annotations

from forumapi.observability import log, metrics
from forumapi.request.context import Context


def place(ctx: Context, method: str) -> dict[str, str | int]:
    """Return site, route and caller of a failed request by name, for crash reports and traces."""
    site = getattr(ctx, "site", None)
    return {
        "request": ctx.request_id,
        "method": method,
        "route": ctx.route,
        "site": site.id if site else 0,
        "profile": ctx.identity.profile_id,
    }


def record(ctx: Context, method: str, status: int, size: int, seconds: float, error: str) -> None:
    """Count an answered request; log a line about it if the settings ask for an access log."""
    tx = ctx.reader
    metrics.request(ctx.route, method, status, seconds, tx.statements, tx.seconds)
    if ctx.app.access is not None:
        site = getattr(ctx, "site", None)
        ctx.app.access.write(
            method,
            ctx.route or log.path_template(ctx.path),
            status,
            size,
            seconds,
            database_s=tx.seconds,
            statements=tx.statements,
            cache_trips=tx.cache_trips,
            site_id=site.id if site else 0,
            user_id=ctx.identity.user_id,
            profile_id=ctx.identity.profile_id,
            ip=ctx.ip,
            request_id=ctx.request_id,
            error=error,
        )
