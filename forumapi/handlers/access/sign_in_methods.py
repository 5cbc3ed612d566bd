"""Sign-in methods of a site: the list for clients, and the settings of its owner. Wire: docs/api/auth.md."""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi.auth import backend_list, backends
from forumapi.auth.backends import Backend, State
from forumapi.errors import Invalid, NotFound
from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.models.access import second_factor_rule
from forumapi.models.access.auth_backend_settings import SiteAuthBackend
from forumapi.models.access.totp import Totp
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, OWNER, Handler, needs
from forumapi.request.handler_results import Data, Done, Found, Result
from forumapi.wire import json_fragments
from forumapi.wire.body import given
from forumapi.wire.schemas import access as schemas

__all__ = [
    "AuthMethodsHandler",
    "SiteAuthHandler",
    "SiteAuthMethodHandler",
    "backend_list",
]

_SITE_AUTH: Final = "/api/v1/site/auth"


class AuthMethodsHandler(Handler):
    """The methods by which people can sign in on this site."""

    serves_held_sites = ("GET",)
    counts_as_call = False

    allow = "OPTIONS,HEAD,GET"

    @needs(ANYONE, answer=schemas.SignInMethods)
    def get(self, ctx: Context) -> Result:
        """The methods that are enabled and fully configured, sorted by `method`: `method` (the name to send), `title`
        to show, and `kind`, the form of the sign-in, such as `code` or `redirect`. In a sandbox the list is empty.
        """
        shown = [
            {
                "method": method.backend.name,
                "title": str(method.settings.get("title") or method.backend.title),
                "kind": method.backend.kind,
            }
            for method in backends.find_all(ctx.reader, ctx.site, ctx.app.config)
            if method.is_enabled and method.is_ready and not ctx.site.is_sandbox
        ]
        return Data(json_fragments.dumps({"methods": shown}))


def _shown(method: State) -> dict[str, Any]:
    """Return a sign-in method as a dict for the site's owner. Of its settings the dict has only the site's own, not the
    platform's; of secrets only the names of those that are set.
    """
    fields = method.backend.settings
    # The platform's own settings are none of the owner's business.
    settings = method.settings if method.is_own else {}
    return {
        "method": method.backend.name,
        "title": method.backend.title,
        "kind": method.backend.kind,
        "enabled": method.is_enabled,
        "ready": method.is_ready,
        "own": method.is_own,
        "settings": {
            field.name: settings[field.name]
            for field in fields
            if field.kind != "secret" and field.name in settings
        },
        "secrets": [
            field.name for field in fields if field.kind == "secret" and settings.get(field.name)
        ],
        "fields": [
            {
                "name": field.name,
                "kind": field.kind,
                "required": field.is_required,
                "description": field.text,
            }
            for field in fields
        ],
    }


class SiteAuthBody(Struct):
    """Body of PUT /site/auth. `secondFactor`: the site demands a second factor of those who moderate."""

    secondFactor: bool | UnsetType = UNSET


class SiteAuthHandler(SiteSettingHandler):
    """The ways to sign in on this site, as its owner set them."""

    closed_in_sandboxes = ("PUT",)
    allow = "OPTIONS,HEAD,GET,PUT"

    @needs(OWNER, answer=schemas.SiteAuth)
    def get(self, ctx: Context) -> Result:
        """`secondFactor`, and every sign-in method with its possible settings and the site's own values of them.

        Of secrets only the names of those that are set, never a value.
        """
        return Data(
            json_fragments.dumps(
                {
                    "secondFactor": second_factor_rule.needs_second_factor(ctx.reader, ctx.site.id),
                    "methods": [
                        _shown(method)
                        for method in backends.find_all(ctx.reader, ctx.site, ctx.app.config)
                    ],
                }
            )
        )

    @needs(OWNER, body=SiteAuthBody, status=302)
    def put(self, ctx: Context, sent: SiteAuthBody) -> Result:
        """Set `secondFactor`: if true, people without a second factor moderate nothing on this site.

        Without the key nothing changes. 400 for true from an owner who has no second factor. Answers 302 to
        this address.
        """
        if isinstance(sent.secondFactor, bool):
            if sent.secondFactor and not Totp.is_on_for(ctx.reader, ctx.identity.user_id):
                raise Invalid(
                    "secondFactor",
                    "would lock you out: add a second factor of your own first (POST /api/v1/auth/totp)",
                )
            second_factor_rule.set_second_factor(ctx.writer, ctx.author, sent.secondFactor)
        return Found(_SITE_AUTH)


class SiteAuthMethodBody(Struct):
    """Body of PUT /site/auth/{method}: the method's switch and settings; keys that are absent stay as they are."""

    enabled: bool | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET


class SiteAuthMethodHandler(SiteSettingHandler):
    """One sign-in method of this site, for its owner; 404 for an unknown method."""

    closed_in_sandboxes = ("PUT",)
    allow = "OPTIONS,HEAD,GET,PUT,DELETE"

    @needs(OWNER, answer=schemas.SiteAuthMethod)
    def get(self, ctx: Context) -> Result:
        """The method's possible settings, the site's own values of them, and the names of secrets that are set."""
        backend = _named(ctx)
        row = SiteAuthBackend.find(ctx.reader, ctx.site.id, backend.name)
        return Data(json_fragments.dumps(_shown(backends.state(backend, row, ctx.app.config))))

    @needs(OWNER, body=SiteAuthMethodBody, status=302)
    def put(self, ctx: Context, sent: SiteAuthMethodBody) -> Result:
        """Configure the method for this site; a setting that is not sent or null stays, "" or [] clears it; `enabled`
        stays too if it is not sent: before the site's first PUT it is as on the platform, or true if the platform has
        no settings of the method.

        The platform's settings of the method no longer apply here; once the site has a setting of its own for the
        method, tokens from it are good on this site only. 400 for an unknown setting or unsuitable value, and if the
        address that receives a stored secret changes while that secret is not sent again. Answers 302 to the method.
        """
        backend = _named(ctx)
        row = SiteAuthBackend.find(ctx.reader, ctx.site.id, backend.name)
        stored = dict(row.settings) if row and row.is_own else {}
        settings = backends.merge_settings(backend, stored, given(sent.settings, {}))
        enabled = sent.enabled
        if not isinstance(enabled, bool):
            enabled = row.is_enabled if row else True
        SiteAuthBackend.upsert(
            ctx.writer, ctx.author, backend.name, is_enabled=enabled, settings=settings
        )
        return Found(f"{_SITE_AUTH}/{backend.name}")

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Delete the site's own settings of the method, so that the platform's settings apply again; 200 also if there
        are none.
        """
        SiteAuthBackend.delete(ctx.writer, ctx.author, _named(ctx).name)
        return Done()


def _named(ctx: Context) -> type[Backend]:
    backend = backends.find(ctx.args["method"], ctx.app.config)
    if backend is None or not backend.is_listed:
        raise NotFound("There is no such sign-in method")
    return backend
