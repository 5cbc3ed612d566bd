"""Sites: this host's own, and on the platform's host all of them. Wire: docs/api/sites.md."""

from __future__ import annotations

from html import unescape
from typing import ClassVar, Final

from forumapi import itemtypes
from forumapi.errors import NEEDS_OWNER, SIGN_IN, Forbidden, InsufficientScope, SandboxRefused
from forumapi.handlers.sites.site_setting_base import (
    LocatedSite,
    SiteSettingHandler,
    located,
    lock_versioned,
    no_site,
)
from forumapi.mail import outbox
from forumapi.models.access import second_factor_rule
from forumapi.models.people import profile_summary
from forumapi.models.sites import site_state
from forumapi.models.sites.site import Site
from forumapi.models.sites.site_state import SiteLifeCycle
from forumapi.models.sites.site_validation import SiteBody, SiteSettings
from forumapi.permissions import evaluator
from forumapi.request.context import Context, Located
from forumapi.request.handler import ANYONE, LOGIN, OWNER, Handler, Param, needs
from forumapi.request.handler_results import Found, Page, Result
from forumapi.text.character_filters import sentence_characters
from forumapi.wire import paging
from forumapi.wire.schemas import sites as schemas

_COLLECTION: Final = "/api/v1/sites"


def lock_named(ctx: Context) -> LocatedSite:
    """Lock the site that the address names, on the platform's host, until the transaction ends.

    Raises NotFound for an unknown site, and for one that is deleted, suspended or in its export window unless the
    caller's user owns it (P-14). Raises SiteReadOnly for a read-only site, whoever owns it; SiteSuspended or
    SiteClosing for a site of the caller's user that is suspended or in its export window.
    """
    locked = Site.lock(ctx.writer, ctx.args["item"].id)
    if locked is None or (locked.is_deleted and not is_users(ctx, locked.owner_user_id)):
        raise no_site()
    site_state.check(SiteLifeCycle.find(ctx.writer, locked.site_id))
    return located(locked)


def find_named(ctx: Context) -> Site:
    """Return the site that the address names, on the platform's host.

    Raises NotFound for an unknown site, and for one that is deleted, suspended or in its export window unless the
    caller's user owns it (P-14).
    """
    found = ctx.app.sites.by_id(ctx.args["item"].id, ctx.reader)
    if found is None or (found.is_deleted and not is_users(ctx, found.owner_user_id)):
        raise no_site()
    return found


def is_users(ctx: Context, owner_user_id: int) -> bool:
    """Return True if the caller's user is `owner_user_id`; False for guests.

    On the platform's host a site is owned by a user, since the caller has another profile there (platform 2.3).
    """
    return bool(ctx.identity.user_id) and ctx.identity.user_id == owner_user_id


def _rendered(ctx: Context, found: Site) -> bytes:
    """Return the site's document; for its owner with the owner's user id, by which a client can tell that the site is
    the caller's own.
    """
    data = found.render()
    if is_users(ctx, found.owner_user_id):
        data = profile_summary.own_user(data, found.id, found.owned_by, found.owner_user_id)
    return data


def check_owner(ctx: Context, site_id: int, owner_user_id: int) -> None:
    """Check that the caller's user is `owner_user_id`, the owner of the site `site_id`, and has a second factor if that
    site demands one. Raises Forbidden if either fails.
    """
    if not is_users(ctx, owner_user_id):
        raise Forbidden("Only the owner of the site may do this", code=NEEDS_OWNER)
    if second_factor_rule.is_limited(ctx.reader, site_id, ctx.identity.user_id):
        raise Forbidden("This site demands a second factor of its owner", code=NEEDS_OWNER)


def find_for_operators(ctx: Context) -> Site:
    """Return the site that the address names, on the platform's host, for its owner and the platform's operators, also
    one that is deleted, suspended or in its export window.

    Raises NotFound for an unknown site. For callers who are neither its owner nor operators raises NotFound if it is
    deleted, suspended or in its export window, else Forbidden; Forbidden also for an owner, no operator, without the
    second factor that the site demands.
    """
    if ctx.identity.user_id not in ctx.app.config.admin_user_ids:
        found = find_named(ctx)
        check_owner(ctx, found.id, found.owner_user_id)
        return found
    site = ctx.app.sites.by_id(ctx.args["item"].id, ctx.reader)
    if site is None:
        raise no_site()
    return site


def _check_token(ctx: Context, sent: SiteBody, stored: SiteSettings | None = None) -> None:
    """Check that a token with scopes sets no other Auth0 tenant by the body `sent` than `stored` has, the site's
    present settings (None: a new site, with none); nothing is checked for a token without scopes, which is unlimited.

    Raises InsufficientScope: through a provider of its own choice the token's program could sign in as the owner.
    """
    if ctx.identity.scopes is None:
        return
    for value, now in (
        (sent.auth0Domain, stored and stored.auth0_domain),
        (sent.auth0ClientId, stored and stored.auth0_client_id),
        (sent.auth0ClientSecret, stored and stored.auth0_client_secret),
    ):
        if isinstance(value, str) and value != (now or ""):
            raise InsufficientScope("")


def _check_sandbox(ctx: Context, sent: SiteBody) -> None:
    """Check that the body `sent` gives no sandbox a custom domain or an Auth0 tenant. Raises SandboxRefused."""
    reaching = (sent.domain, sent.auth0Domain, sent.auth0ClientId, sent.auth0ClientSecret)
    if ctx.site.is_sandbox and any(isinstance(value, str) and value for value in reaching):
        raise SandboxRefused


def _change(ctx: Context, sent: SiteBody) -> None:
    """Update the located site, which is locked, by the body. Raises Invalid, which names the field, for a bad setting
    and for the deletion of the root site; InsufficientScope if a token with scopes would set another Auth0 tenant.
    """
    locked = ctx.located_as(LocatedSite).locked
    _check_token(ctx, sent, locked.settings)
    locked.update(ctx.writer, sent, platform_domain=ctx.app.sites.domain, ip=ctx.ip)
    # This process reads the site again at once; the others poll several times a second.
    ctx.writer.after_commit(lambda: ctx.app.sites.forget(locked.site_id))


class OwnSiteHandler(SiteSettingHandler):
    """The site that this host belongs to."""

    allow = "OPTIONS,HEAD,GET,PUT"
    # Pages of signing in show it.
    counts_as_call = False
    serves_held_sites = ("GET",)

    def locate(self, ctx: Context) -> Located:
        return lock_versioned(ctx) if ctx.is_write else super().locate(ctx)

    def admits_banned(self, ctx: Context) -> bool:
        """Return True: banned callers may read the site too; PUT is refused by the check of permission."""
        return True

    @needs(ANYONE, answer=schemas.Site)
    def get(self, ctx: Context) -> Result:
        """This host's site with the caller's permissions."""
        found, can = ctx.site, ctx.can
        return Page(
            found.version,
            (found.id, found.version, found.stats, can),
            lambda: found.render(evaluator.as_json(can)),
        )

    @needs(OWNER, body=SiteBody, status=302)
    def put(self, ctx: Context, sent: SiteBody) -> Result:
        """Change the site; keys that are not sent stay as they are.

        Another custom domain is in force once DNS records prove it. `meta.flags.deleted` true deletes the site, until
        its owner restores it on the platform's host. Answers 302 to the site.
        """
        _check_sandbox(ctx, sent)
        _change(ctx, sent)
        return Found("/api/v1/site")


class SitesHandler(Handler):
    """The sites of the platform."""

    allow = "OPTIONS,POST,HEAD,GET"
    required_keys: ClassVar = {"POST": ("title", "description", "subdomainKey")}

    def locate(self, ctx: Context) -> None:
        # A refusal wins over a bad page (content 1.2).
        if ctx.query.get("filter") == "owned" and ctx.identity.is_guest and not ctx.is_write:
            raise Forbidden("Sign in to see your sites", code=SIGN_IN)

    @needs(
        ANYONE,
        answer=schemas.Sites,
        paged=True,
        params=(
            Param(
                "filter", str, "`owned`: only the sites that the caller's user owns.", ("owned",)
            ),
            Param("q", str, "Only sites with this in their title, in any letter case."),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """The sites that are neither deleted, suspended nor in their export window, oldest first, without sandboxes and
        the platform's own; with `filter=owned` only sites that the caller's user owns, 403 for guests; with `q` only
        sites with that text in their title, in any letter case.
        """
        owner = ctx.identity.user_id if ctx.query.get("filter") == "owned" else None
        words = sentence_characters(ctx.query.get("q", "").strip())
        total, found = ctx.app.sites.page(ctx.reader, ctx.paging, owner, words)
        paging.check(total, ctx.paging)

        def build() -> bytes:
            items = b"[" + b",".join(_rendered(ctx, one) for one in found) + b"]"
            return ctx.listed("sites", items, total, _COLLECTION)

        seen = tuple(
            (one.id, one.version, one.stats, is_users(ctx, one.owner_user_id)) for one in found
        )
        return Page(0, (total, seen, ctx.query_string), build)

    @needs(LOGIN, body=SiteBody, status=302)
    def post(self, ctx: Context, sent: SiteBody) -> Result:
        """Make a site that the caller's user owns, with a root microcosm and three roles.

        A custom domain is in force once DNS records prove it. 400 for a bad setting, and for a user who owns as many
        sites, deleted ones counted, as the platform allows. A mail is sent to `new_site_email` if that is set. Answers
        302 to the site.
        """
        _check_token(ctx, sent)
        site_id = Site.insert(
            ctx.writer,
            sent,
            user_id=ctx.identity.user_id,
            platform_domain=ctx.app.sites.domain,
            ip=ctx.ip,
            most=ctx.app.config.max_sites_per_user,
        )
        recipient = ctx.app.config.new_site_email
        if recipient:
            found = ctx.app.sites.by_id(site_id, ctx.reader)
            assert found is not None
            outbox.queue_notice(
                ctx.writer,
                "new_site",
                cause=f"new site {site_id}",
                recipient=recipient,
                subject=f"New site: {found.title}",
                site_title=unescape(found.title),
                url=found.url,
                description=unescape(found.description),
            )
        return Found(itemtypes.href(itemtypes.SITE, site_id))


class SiteHandler(Handler):
    """One site, on the platform's host."""

    allow = "OPTIONS,HEAD,GET,PUT"

    def locate(self, ctx: Context) -> Located | None:
        return lock_named(ctx) if ctx.is_write else None

    @needs(ANYONE, answer=schemas.Site)
    def get(self, ctx: Context) -> Result:
        """The site, without permissions; 404 for an unknown site, and for one that is deleted, suspended or in its
        export window unless the caller's user owns it.
        """
        found = find_named(ctx)
        stamp = (found.id, found.version, found.stats, is_users(ctx, found.owner_user_id))
        return Page(found.version, stamp, lambda: _rendered(ctx, found))

    @needs(LOGIN, body=SiteBody, status=302)
    def put(self, ctx: Context, sent: SiteBody) -> Result:
        """Change the site; keys that are not sent stay as they are.

        Another custom domain is in force once DNS records prove it. `meta.flags.deleted` true deletes the site, false
        restores it. 403 unless the caller's user owns the site, and while it is read-only, suspended or in its export
        window; 404 for an unknown site and, unless the caller's user owns it, for one that is deleted, suspended or in
        its export window. Answers 302 to the site.
        """
        locked = ctx.located_as(LocatedSite).locked
        check_owner(ctx, locked.site_id, locked.owner_user_id)
        _change(ctx, sent)
        return Found(itemtypes.href(itemtypes.SITE, locked.site_id))
