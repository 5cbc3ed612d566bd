"""Metrics, usage and access log of answered requests, and the description of a request in crash reports and traces."""

from __future__ import annotations

from forumapi.observability import log, metrics
from forumapi.request.context import Context
from forumapi.request.usage_counter import GUEST_READ, MEMBER_READ, REFUSED, WRITE


def place(ctx: Context, method: str) -> dict[str, str | int]:
    """Return the request's id, method, route, and the ids of its site and of the caller's profile (0 for none), as
    fields of a crash report or trace.
    """
    site = getattr(ctx, "site", None)
    return {
        "request": ctx.request_id,
        "method": method,
        "route": ctx.route,
        "site": site.id if site else 0,
        "profile": ctx.identity.profile_id,
    }


def record(ctx: Context, method: str, status: int, size: int, seconds: float, error: str) -> None:
    """Count an answered request in the metrics and in its site's usage, and write a line about it if the settings ask
    for an access log.

    `status`: that was answered, before the switch `always200`. `size`: bytes of the body. `seconds`: from the request's
    beginning to its answer. `error`: message of a refusal, "" for none.
    """
    tx = ctx.reader
    metrics.request(ctx.route, method, status, seconds, tx.statements, tx.seconds)
    site = getattr(ctx, "site", None)
    if site is not None:
        kind = _kind(ctx, status)
        ctx.app.usage.count(site.id, kind, size, tx.statements, tx.seconds)
    if ctx.app.access is not None:
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


def _kind(ctx: Context, status: int) -> int:
    """Return the class of a request in its site's usage: GUEST_READ, MEMBER_READ, WRITE or, for an error, REFUSED."""
    if status >= 400:
        return REFUSED
    if ctx.is_write:
        return WRITE
    return GUEST_READ if ctx.identity.is_guest else MEMBER_READ
