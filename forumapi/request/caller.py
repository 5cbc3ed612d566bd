"""Caller of a request: rate limit, token, identity, ban and scopes; and the site as this caller may see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forumapi import errors
from forumapi.errors import (
    ApiError,
    ConsentRequired,
    Forbidden,
    InsufficientScope,
    PlanLimit,
    SandboxRefused,
    SiteClosing,
    SiteReadOnly,
    SiteSuspended,
    TooMany,
    Unauthorized,
)
from forumapi.models.access import identity as identities
from forumapi.models.people import caller_profile_upkeep
from forumapi.models.sites import site_state
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, AUDIENCE, READ, Handler
from forumapi.wire import scopes

if TYPE_CHECKING:
    from forumapi.models.sites.site import Site
    from forumapi.request.rate_limit import Allowance
    from forumapi.request.services import Services


def count(app: Services, ctx: Context, handler: Handler) -> None:
    """Set `ctx.token` to the request's access token ("" for none), and count the request for the rate limit: by its
    token if this process has accepted that lately, else by its address; one without a token, unless
    `handler.counts_as_call` is False, also for the limits of the site's plan and of crawlers.

    Raises TooMany; PlanLimit, CrawlBudget, CrawlerRefused for a request without a token; Unauthorized for an
    Authorization header that is no bearer token, or a text that can't be a token; and what `Handler.token` raises.
    """
    ctx.token = _token(ctx, handler)
    ctx.is_token_known = bool(ctx.token) and app.token_buckets.knows(ctx.token)
    if ctx.is_token_known:
        _count_token(app, ctx)
    else:
        count_address(app, ctx)
    # Callers with a token count once they are known: the owner is never refused.
    if not ctx.token and handler.counts_as_call:
        app.plans.take_call(ctx.site)
        environ = ctx.environ
        app.crawl.take(
            ctx.site,
            ctx.ip,
            environ.get("HTTP_USER_AGENT", ""),
            ctx.query.get("offset", ""),
            is_front_end=bool(ctx.front_end),
        )


def _count_token(app: Services, ctx: Context) -> None:
    ctx.is_counted = True
    ctx.allowance = app.token_buckets.take(ctx.token)
    _refuse_beyond(ctx.allowance)


def count_address(app: Services, ctx: Context) -> None:
    """Count the request for the rate limit by its address, and set `ctx.allowance`; do nothing if it is counted
    already. Raises TooMany beyond the limit.
    """
    if not ctx.is_counted:
        ctx.is_counted = True
        ctx.allowance = app.address_buckets.take(ctx.ip)
        _refuse_beyond(ctx.allowance)


def count_refusal(app: Services, ctx: Context, error: ApiError) -> ApiError:
    """Count a refused request by its address, unless it is counted already.

    Returns `error`, the refusal; TooMany in its place if the address is beyond its limit.
    """
    try:
        count_address(app, ctx)
    except TooMany as refusal:
        return refusal
    return error


def _refuse_beyond(allowance: Allowance | None) -> None:
    if allowance is not None and allowance.retry_after_s:
        raise TooMany("Too many requests", allowance.retry_after_s)


def _token(ctx: Context, handler: Handler) -> str:
    """Return the token of the request, of the header Authorization or as `Handler.token` finds it; "" for none and for
    a handler that ignores tokens.

    Raises Unauthorized for an Authorization header that is no bearer token or has a text that can't be one, and what
    `Handler.token` raises.
    """
    if handler.ignores_token:
        return ""
    header = str(ctx.environ.get("HTTP_AUTHORIZATION", "")).strip()
    if not header:
        return handler.token(ctx)
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or " " in token:
        raise Unauthorized("Authorization must be: Bearer <token>", code=errors.TOKEN_INVALID)
    return identities.shaped(token)


def identify(app: Services, ctx: Context, handler: Handler, verb: str) -> None:
    """Set `ctx.identity` to the identity of the caller, and `ctx.site` to a snapshot of the site that is at least as
    new as the identity. A user's first request on a site makes their profile, in a transaction of its own. Without a
    token the identity stays a guest's, and so does that of a newcomer who reads where nobody may become a member.

    A good token is counted in place of the address from then on; its use, and the activity of its profile, are noted.
    Raises Unauthorized for a token that is unknown, has ended, or has another audience than the address, Forbidden for
    banned callers, InsufficientScope if the token may not use the method `verb` here, ConsentRequired for a write by a
    member who has yet to agree to a legal text, NotFound for a site that is gone, TooMany, PlanLimit, ReadOnly to a
    newcomer; SandboxRefused, SiteReadOnly, SiteSuspended or SiteClosing where the site forbids the method.
    """
    if not ctx.token:
        ctx.site = app.sites.fresh(_detach_site(ctx), ctx.reader)
        _check_state(app, ctx, handler, verb)
        return
    site_id = ctx.site.id
    try:
        asked = handler.asked(ctx)
        found = identities.find(ctx.reader, site_id, ctx.token, asked)
    except Unauthorized:
        if ctx.is_token_known:
            # The token has ended: from now on it counts as a guess, and this was the first.
            app.token_buckets.forget(ctx.token)
            ctx.is_counted = False
            count_address(app, ctx)
        raise
    if not ctx.is_token_known:
        # Guesses are counted for the address, good tokens for themselves.
        ctx.is_token_known = True
        app.address_buckets.give_back(ctx.ip)
        _count_token(app, ctx)
    if not found.profile_id or found.needs_roles:
        # A request holds one connection at a time: many newcomers at once would wait for second ones forever.
        ctx.reader.end()
        try:
            caller_profile_upkeep.ensure(
                app.database,
                ctx.site.id,
                found,
                is_root=ctx.site.is_root,
                is_moving=ctx.site.is_moving,
                take_member=app.plans.taking_member(ctx.site),
            )
        except (PlanLimit, SiteReadOnly, SiteSuspended, SiteClosing):
            if verb != "GET" or handler.operations[verb].need not in (ANYONE, READ):
                raise
        else:
            found = identities.find(ctx.reader, site_id, ctx.token, identities.again(asked, found))
    ctx.identity = found if found.profile_id else identities.GUEST
    ctx.site = app.sites.confirmed(
        _detach_site(ctx), found.site_version, found.acl_version, ctx.reader
    )
    _check_state(app, ctx, handler, verb)
    if found.audience != ctx.environ.get(AUDIENCE, handler.audience):
        # P-72
        raise Unauthorized("This access token is not for this address", code=errors.TOKEN_INVALID)
    if (
        handler.counts_as_call
        and not ctx.is_counted_as_call
        and found.user_id != ctx.site.owner_user_id
    ):
        # A request with files is identified a second time, once they are received.
        ctx.is_counted_as_call = True
        app.plans.take_call(ctx.site)
    if found.ban_reason is not None and not handler.admits_banned(ctx):
        raise Forbidden(found.ban_reason, code=errors.BANNED)
    if found.scopes is not None:
        _check_scope(app, ctx, found.scopes, verb)
    if found.missing_consent is not None and verb != "GET":
        _check_consent(app, ctx, handler, verb, *found.missing_consent)
    if found.profile_id:
        app.activity.active(site_id, found.profile_id)
    app.activity.used(found.token_id, ctx.ip)


def _check_state(app: Services, ctx: Context, handler: Handler, verb: str) -> None:
    """Check that the request's site serves the method `verb` of `handler`: while the site is active, each method; in
    any other state, signing in and what the owner needs and, while the site is read-only, reads too; in a sandbox no
    method that reaches outside of it. Raises SandboxRefused, SiteReadOnly, SiteSuspended, SiteClosing.
    """
    site = ctx.site
    if site.is_sandbox and verb in handler.closed_in_sandboxes:
        raise SandboxRefused
    if site.state == site_state.ACTIVE or verb in handler.serves_held_sites or handler.signs_in:
        return
    if site.state != site_state.READ_ONLY or not (verb == "GET" or _only_reads(app, ctx, verb)):
        site_state.check(site)


def _check_consent(
    app: Services, ctx: Context, handler: Handler, verb: str, text: str, version: int
) -> None:
    """Check that the method `verb` of `handler`, a write, serves members who have yet to agree to a legal text: signing
    in and out, what only reads, and what the handler names. Raises ConsentRequired, which names the text (`text`: its
    name, `version`: the one in force).
    """
    if verb in handler.needs_no_consent or handler.signs_in or _only_reads(app, ctx, verb):
        return
    raise ConsentRequired(text, version, ctx.site.page(f"/legal/{text}/"))


def _only_reads(app: Services, ctx: Context, verb: str) -> bool:
    """Return True if the method `verb` of the request's address in the API changes nothing on the site: if it needs no
    scope or one of reading, as do batch reads, tickets, tokens, and the tools of agents, each of which is checked by
    itself. False for an address outside the API.
    """
    route = app.routes(ctx.site).match(ctx.path)
    assert route is not None, "the request has a handler"
    if not route.url.startswith("/api/v1/"):
        return False
    scope = scopes.of(route.url, verb)
    return scope == scopes.OPEN or scope.endswith(":read")


def _check_scope(app: Services, ctx: Context, granted: frozenset[str], verb: str) -> None:
    """Check that a token with the scopes `granted` may use the method `verb` at the request's address.

    Raises InsufficientScope.
    """
    route = app.routes(ctx.site).match(ctx.path)
    assert route is not None, "the request has a handler"
    scope = scopes.of(route.url, verb)
    if scope == scopes.WHOLE:
        raise InsufficientScope("")
    if scope != scopes.OPEN and scope not in granted:
        raise InsufficientScope(scope)


def _detach_site(ctx: Context) -> Site:
    """Return the request's site, and unset `ctx.site`, for the caller of this function to set anew; it stays unset if
    the site is gone (NotFound), so that the refusal names no site.
    """
    site = ctx.site
    del ctx.site
    return site
