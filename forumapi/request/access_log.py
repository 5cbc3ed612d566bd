"""Metrics and access log of answered requests, and the description of a request in crash reports and traces."""

from __future__ import annotations

from forumapi.observability import log, metrics
from forumapi.request.context import Context


def place(ctx: Context, method: str) -> dict[str, str | int]:
    """Return the request's id, method, route, site and profile, as fields of a crash report or trace; 0 for none."""
    site = getattr(ctx, "site", None)
    return {
        "request": ctx.request_id,
        "method": method,
        "route": ctx.route,
        "site": site.id if site else 0,
        "profile": ctx.identity.profile_id,
    }


def record(ctx: Context, method: str, status: int, size: int, seconds: float, error: str) -> None:
    """Count an answered request in the metrics, and write a line about it if the settings ask for an access log.

    `size`: bytes of the body. `seconds`: duration. `error`: message of a refusal, "" for none.
    """
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
