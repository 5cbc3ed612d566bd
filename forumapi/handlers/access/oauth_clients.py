"""OAuth clients of a site, for its owner; each person's grants to clients; all scopes. Wire: docs/api/oauth.md."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import Invalid, NotFound, known
from forumapi.models.access.api_keys_sessions import checked_name, checked_scopes
from forumapi.models.access.oauth_client import (
    MOST_NAME,
    OAuthClient,
    OAuthClientSettings,
    checked_redirect_uris,
)
from forumapi.models.access.oauth_grant import GrantedClient, OAuthGrant
from forumapi.models.journal import journal
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, LOGIN, OWNER, Handler, needs
from forumapi.request.handler_results import Data, Done, Found, Result
from forumapi.wire import paging, scopes
from forumapi.wire.body import given
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import access as schemas

_CLIENTS = "/api/v1/oauth/clients"
_GRANTS = "/api/v1/oauth/grants"


class ClientBody(Struct):
    """OAuth client as the site's owner sends it. `confidential`: the client has a secret; it is looked at when the
    client is made and never later, and is true when absent. `scopes`: those that the client may ask for; `deviceFlow`:
    it may use the device flow (RFC 8628).
    """

    name: str | UnsetType = UNSET
    confidential: bool | UnsetType = UNSET
    redirectUris: list[str] | UnsetType = UNSET
    scopes: list[str] | UnsetType = UNSET
    deviceFlow: bool | UnsetType = UNSET


class ClientsHandler(Handler):
    """The OAuth clients that are registered with this site."""

    takes_idempotency_key = False
    required_keys = {"POST": ("name", "scopes")}

    @needs(OWNER, answer=schemas.OAuthClients, paged=True)
    def get(self, ctx: Context) -> Result:
        """The site's OAuth clients, oldest first, without their secrets."""
        clients, total = OAuthClient.page(ctx.reader, ctx.site.id, ctx.paging)
        items = dumps([client.document() for client in clients])
        paging.check(total, ctx.paging)
        return Data(ctx.listed("clients", items, total, _CLIENTS))

    @needs(OWNER, body=ClientBody, answer=schemas.OAuthClient)
    def post(self, ctx: Context, sent: ClientBody) -> Result:
        """Register a client: `name`, `scopes`, and `redirectUris`, `deviceFlow` or both.

        The secret of a confidential client is in this answer and in no later one. 400 for a bad name, scope or redirect
        URI, for neither redirect URI nor device flow, and beyond the 50 clients that a site may have.
        """
        client, secret = OAuthClient.insert(
            ctx.writer,
            ctx.author,
            _settings(ctx, sent, None),
            is_confidential=given(sent.confidential, True),
        )
        journal.record(ctx.writer, ctx.author, journal.CREATED, itemtypes.AUTH, client.id)
        return Data(dumps(client.document(secret)))


class ClientHandler(Handler):
    """One OAuth client of this site; 404 if the site has no such client."""

    @needs(OWNER, answer=schemas.OAuthClient)
    def get(self, ctx: Context) -> Result:
        """The client without its secret."""
        client = OAuthClient.find(ctx.reader, ctx.site.id, ctx.args["client_id"])
        return Data(dumps(known(client, "client").document()))

    @needs(OWNER, body=ClientBody, status=302)
    def put(self, ctx: Context, sent: ClientBody) -> Result:
        """Change the client; keys that are not sent stay as they are.

        Grants with a scope that the client may no longer ask for end at once. 400 for a bad name, scope or redirect
        URI, and if neither a redirect URI nor the device flow would be left. Answers 302 to the client.
        """
        client = _lock(ctx)
        client.update(ctx.writer, _settings(ctx, sent, client))
        journal.record(ctx.writer, ctx.author, journal.REPLACED, itemtypes.AUTH, client.id)
        return Found(f"{_CLIENTS}/{client.id}")

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Delete the client, with all grants to it and all tokens that were issued to it."""
        client = _lock(ctx)
        client.delete(ctx.writer)
        journal.record(ctx.writer, ctx.author, journal.DELETED, itemtypes.AUTH, client.id)
        return Done()


class ClientSecretHandler(Handler):
    """Replacement of the secret of a confidential client."""

    takes_idempotency_key = False

    @needs(OWNER, answer=schemas.OAuthClient)
    def post(self, ctx: Context) -> Result:
        """Replace the client's secret by a new one, which is in this answer; the old secret is refused from now on.

        400 for a public client, which has no secret.
        """
        client = _lock(ctx)
        if not client.is_confidential:
            raise Invalid("", "A public client has no secret")
        secret = client.rotate_secret(ctx.writer)
        journal.record(ctx.writer, ctx.author, journal.PATCHED, itemtypes.AUTH, client.id)
        return Data(dumps(client.document(secret)))


class GrantsHandler(Handler):
    """The caller's grants on this site: OAuth clients that may act for the caller."""

    @needs(LOGIN, answer=schemas.OAuthGrants, paged=True)
    def get(self, ctx: Context) -> Result:
        """The caller's grants, newest first."""
        grants, total = GrantedClient.page(
            ctx.reader, ctx.site.id, ctx.identity.user_id, ctx.paging
        )
        items = dumps([grant.document() for grant in grants])
        paging.check(total, ctx.paging)
        return Data(ctx.listed("grants", items, total, _GRANTS))


class GrantHandler(Handler):
    """Revocation of one of the caller's grants to OAuth clients."""

    needs_no_consent = ("DELETE",)

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Revoke the grant: all of its tokens are refused from the next request on; 404 unless the grant is the
        caller's.
        """
        id: int = ctx.args["grant_id"]
        if not OAuthGrant.delete_own(ctx.writer, ctx.site.id, ctx.identity.user_id, id):
            raise NotFound("There is no such grant")
        journal.record(ctx.writer, ctx.author, journal.DELETED, itemtypes.AUTH, id)
        return Done()


class ScopesHandler(Handler):
    """The scopes that tokens can have."""

    @needs(ANYONE, answer=list[schemas.Scope])
    def get(self, ctx: Context) -> Result:
        """Every scope that a token can have, with a description of the operations that it allows."""
        there = [{"scope": scope, "description": scopes.words(scope)} for scope in ctx.app.scopes]
        return Data(dumps(there))


def _settings(ctx: Context, sent: ClientBody, before: OAuthClient | None) -> OAuthClientSettings:
    """Return the client's settings from the body; a key that is absent keeps the value that it has in `before`.

    `before` None: a new client. Raises Invalid for a bad name, scope or redirect URI, and for a client with neither a
    redirect URI nor the device flow.
    """
    uris = checked_redirect_uris(given(sent.redirectUris, before.redirect_uris if before else []))
    device_flow = given(sent.deviceFlow, before.device_flow if before else False)
    if not uris and not device_flow:
        raise Invalid("redirectUris", "must have an entry, or deviceFlow be true")
    name, scopes = given(sent.name, ""), given(sent.scopes, [])
    keeps_name = before is not None and isinstance(sent.name, UnsetType)
    keeps_scopes = before is not None and isinstance(sent.scopes, UnsetType)
    return OAuthClientSettings(
        before.name if before and keeps_name else checked_name(name, MOST_NAME),
        uris,
        before.scopes if before and keeps_scopes else checked_scopes(scopes, ctx.app.scopes),
        device_flow,
    )


def _lock(ctx: Context) -> OAuthClient:
    return known(OAuthClient.lock(ctx.writer, ctx.site.id, ctx.args["client_id"]), "client")
