"""Admission of one request: its price, its class and its client, as the gate needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forumapi.request.admission import route_prices
from forumapi.request.admission.admission_gate import Admission
from forumapi.wire import client_address

if TYPE_CHECKING:
    from forumapi.request.context import Context
    from forumapi.request.handler import Handler
    from forumapi.request.services import Services


def admit(app: Services, ctx: Context, handler: Handler, verb: str) -> Admission:
    """Wait until the request may begin, and return its place among those in work; `ctx.admission` is set to it too.
    `verb`: method that is run.

    A caller is a member here if this process has accepted the token before. Handlers whose answers take long without
    much work (`is_limited_per_guest` is False) wait for their turn, but their place is given back at once. Raises
    SiteBusy, TooMany, Unavailable.
    """
    is_limited = verb == "GET" and not ctx.token and handler.is_limited_per_guest
    place = ctx.admission = app.gate.enter(
        ctx.site.id,
        ctx.site.key,
        route_prices.price(verb, ctx.route, is_page="forumapi.is_page" in ctx.environ),
        weight=app.plans.weight(ctx.site),
        address=client_address.network(ctx.ip) if is_limited else "",
        is_member=ctx.is_token_known,
        is_gone=ctx.environ.get("forumapi.is_gone"),
    )
    if not handler.is_limited_per_guest:
        place.end()
    return place
