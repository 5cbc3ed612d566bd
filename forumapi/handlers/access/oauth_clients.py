"""Clients of a site, and what people granted them. Wire: docs/api/oauth.md."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import Invalid, NotFound
from forumapi.handlers.access.access_lists import known, listed, note
from forumapi.models.access import api_keys_sessions, oauth_client, oauth_grant
from forumapi.models.access.oauth_client import Client
from forumapi.models.journal import journal
from forumapi.request.context import Context
from forumapi.request.handler import (
    ANYONE,
    LOGIN,
    OWNER,
    Handler,
    needs,
)
from forumapi.request.response import (
    Data,
    Done,
    Found,
    Result,
)
from forumapi.wire import schemas, scopes
from forumapi.wire.body import given
from forumapi.wire.json_fragments import dumps

_CLIENTS = "/api/v1/oauth/clients"
_GRANTS = "/api/v1/oauth/grants"


class ClientBody(Struct):
    """A client. `confidential` (true when left out) is settled when it is made."""

    name: str | UnsetType = UNSET
    confidential: bool | UnsetType = UNSET
    redirectUris: list[str] | UnsetType = UNSET
    scopes: list[str] | UnsetType = UNSET
    deviceFlow: bool | UnsetType = UNSET


class ClientsHandler(Handler):
    """The clients that are registered with this site."""

    allow = "OPTIONS,GET,HEAD,POST"
    takes_idempotency_key = False
    required_keys = {"POST": ("name", "scopes")}

    @needs(OWNER, answer=schemas.OAuthClients, paged=True)
    def get(self, ctx: Context) -> Result:
        """The clients, oldest first, without their secrets."""
        found, total = oauth_client.page(ctx.reader, ctx.site.id, ctx.paging)
        items = dumps([oauth_client.document(client) for client in found])
        return listed(ctx, "clients", items, total, _CLIENTS)

    @needs(OWNER, body=ClientBody, answer=schemas.OAuthClient)
    def post(self, ctx: Context) -> Result:
        """Register a client: `name`, `scopes`, and `redirectUris` or `deviceFlow`.

        The answer alone has the secret of a confidential client.
        """
        sent: ClientBody = ctx.body
        uris = oauth_client.checked_redirect_uris(given(sent.redirectUris, []))
        device_flow = given(sent.deviceFlow, False)
        _check_ways(uris, device_flow)
        id, secret = oauth_client.insert(
            ctx.writer,
            ctx.site.id,
            ctx.identity.profile_id,
            name=api_keys_sessions.checked_name(given(sent.name, ""), oauth_client.MOST_NAME),
            is_confidential=given(sent.confidential, True),
            redirect_uris=uris,
            scopes=api_keys_sessions.checked_scopes(given(sent.scopes, []), ctx.app.scopes),
            device_flow=device_flow,
        )
        note(ctx, journal.CREATED, id)
        return _shown(_find(ctx, id), secret)


class ClientHandler(Handler):
    """One client of this site."""

    allow = "OPTIONS,GET,HEAD,PUT,DELETE"

    @needs(OWNER, answer=schemas.OAuthClient)
    def get(self, ctx: Context) -> Result:
        """The client without its secret."""
        return _shown(_find(ctx, ctx.args["client_id"]))

    @needs(OWNER, body=ClientBody, status=302)
    def put(self, ctx: Context) -> Result:
        """Change it. What people granted beyond its new scopes ends at once."""
        client = _lock(ctx)
        sent: ClientBody = ctx.body
        uris = oauth_client.checked_redirect_uris(given(sent.redirectUris, client.redirect_uris))
        device_flow = given(sent.deviceFlow, client.device_flow)
        _check_ways(uris, device_flow)
        name = client.name
        if not isinstance(sent.name, UnsetType):
            name = api_keys_sessions.checked_name(sent.name, oauth_client.MOST_NAME)
        granted = client.scopes
        if not isinstance(sent.scopes, UnsetType):
            granted = api_keys_sessions.checked_scopes(sent.scopes, ctx.app.scopes)
        oauth_client.update(
            ctx.writer,
            ctx.site.id,
            client,
            name=name,
            redirect_uris=uris,
            scopes=granted,
            device_flow=device_flow,
        )
        note(ctx, journal.REPLACED, client.id)
        return Found(f"{_CLIENTS}/{client.id}")

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Delete it, with every token it was given."""
        client = _lock(ctx)
        oauth_client.delete(ctx.writer, ctx.site.id, client)
        note(ctx, journal.DELETED, client.id)
        return Done()


class ClientSecretHandler(Handler):
    """The secret of a confidential client."""

    allow = "OPTIONS,POST"
    takes_idempotency_key = False

    @needs(OWNER, answer=schemas.OAuthClient)
    def post(self, ctx: Context) -> Result:
        """Make a new secret, which the answer has; the old one is worth nothing from now on."""
        client = _lock(ctx)
        if not client.is_confidential:
            raise Invalid("", "A public client has no secret")
        secret = oauth_client.rotate(ctx.writer, ctx.site.id, client)
        note(ctx, journal.PATCHED, client.id)
        return _shown(client, secret)


class GrantsHandler(Handler):
    """The clients that the caller let act for them on this site."""

    allow = "OPTIONS,GET,HEAD"

    @needs(LOGIN, answer=schemas.OAuthGrants, paged=True)
    def get(self, ctx: Context) -> Result:
        """What was granted to whom, newest first."""
        rows, total = oauth_grant.page(ctx.reader, ctx.site.id, ctx.identity.user_id, ctx.paging)
        items = dumps([oauth_grant.document(row) for row in rows])
        return listed(ctx, "grants", items, total, _GRANTS)


class GrantHandler(Handler):
    """One grant of the caller."""

    allow = "OPTIONS,DELETE"

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Take it back: every token of it is worth nothing from the next request on."""
        id: int = ctx.args["grant_id"]
        if not oauth_grant.end_own(ctx.writer, ctx.site.id, ctx.identity.user_id, id):
            raise NotFound("There is no such grant")
        note(ctx, journal.DELETED, id)
        return Done()


class ScopesHandler(Handler):
    """The scopes there are."""

    allow = "OPTIONS,GET,HEAD"

    @needs(ANYONE, answer=list[schemas.Scope])
    def get(self, ctx: Context) -> Result:
        """Every scope, with what it lets one do."""
        there = [{"scope": scope, "description": scopes.words(scope)} for scope in ctx.app.scopes]
        return Data(dumps(there))


def _shown(client: Client, secret: str = "") -> Data:
    return Data(dumps(oauth_client.document(client, secret)))


def _check_ways(uris: list[str], device_flow: bool) -> None:
    if not uris and not device_flow:
        raise Invalid("redirectUris", "must have an entry, or deviceFlow be true")


def _find(ctx: Context, id: int) -> Client:
    return known(oauth_client.find(ctx.reader, ctx.site.id, id), "client")


def _lock(ctx: Context) -> Client:
    return known(oauth_client.lock(ctx.writer, ctx.site.id, ctx.args["client_id"]), "client")
