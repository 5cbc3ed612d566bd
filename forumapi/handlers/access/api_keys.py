"""API keys: tokens that a person makes for a program. Wire: docs/api/tokens.md."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.agents import tools
from forumapi.errors import OUT_OF_RANGE, Invalid, NotFound, known
from forumapi.models.access.access_token import AGENTS
from forumapi.models.access.api_keys_sessions import (
    DEFAULT_DAYS,
    MOST_NAME,
    ApiKey,
    checked_name,
    checked_scopes,
)
from forumapi.models.journal import journal
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, needs
from forumapi.request.handler_results import Data, Done, Result
from forumapi.wire import paging
from forumapi.wire.body import given
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import access as schemas

_PATH = "/api/v1/keys"


class ApiKeyBody(Struct):
    """API key to make. `name`: for the caller to tell it by; `scopes`: the operations that it allows. `days`: its
    lifetime; when absent 90, or the longest lifetime of tokens of this installation if that is shorter. `forAgents`:
    true for a key that is accepted at the MCP endpoint of this site and nowhere else.
    """

    name: str | UnsetType = UNSET
    scopes: list[str] | UnsetType = UNSET
    days: int | UnsetType = UNSET
    forAgents: bool | UnsetType = UNSET


class KeysHandler(Handler):
    """The caller's API keys for this site."""

    takes_idempotency_key = False
    required_keys = {"POST": ("name", "scopes")}

    @needs(LOGIN, answer=schemas.ApiKeys, paged=True)
    def get(self, ctx: Context) -> Result:
        """The caller's unexpired API keys for this site and, if the token of the request is good on all sites, those
        that are good on all sites; newest first, without their secrets.
        """
        keys, total = ApiKey.page(ctx.reader, ctx.site.id, ctx.identity, ctx.paging)
        items = dumps([key.document() for key in keys])
        paging.check(total, ctx.paging)
        return Data(ctx.listed("keys", items, total, _PATH))

    @needs(LOGIN, body=ApiKeyBody, answer=schemas.ApiKey)
    def post(self, ctx: Context, sent: ApiKeyBody) -> Result:
        """Make an API key with `name` and `scopes` that expires after `days`.

        Its secret is in this answer and in no later one. 400 for a bad name, for no scope or an unknown one, for `days`
        below 1 or beyond the lifetime of tokens of this installation, for a caller who has 50 keys here, and for a key
        with `forAgents` whose scopes allow both reading huddles and writing what others can read.
        """
        app = ctx.app
        name = checked_name(given(sent.name, ""), MOST_NAME)
        scopes = checked_scopes(given(sent.scopes, []), app.scopes)
        days = given(sent.days, min(DEFAULT_DAYS, app.config.token_days))
        if not 1 <= days <= app.config.token_days:
            raise Invalid(
                "days", f"must be between 1 and {app.config.token_days}", code=OUT_OF_RANGE
            )
        for_agents = given(sent.forAgents, False)
        if for_agents and tools.HUDDLES in scopes and not tools.PUBLISHING.isdisjoint(scopes):
            raise Invalid(
                "scopes",
                f"a key for agents with {tools.HUDDLES} may not write where others read",
                code=OUT_OF_RANGE,
            )
        me = ctx.identity
        audience = AGENTS if for_agents else ""
        new = ApiKey.insert(
            *(ctx.writer, ctx.site.id, me, name, scopes, days), ip=ctx.ip, audience=audience
        )
        key = ApiKey.find(ctx.reader, ctx.site.id, me, new.id)
        assert key is not None  # made just now
        journal.record(ctx.writer, ctx.author, journal.CREATED, itemtypes.AUTH, key.id)
        return Data(dumps(key.document(new.secret)))


class KeyHandler(Handler):
    """One API key of the caller."""

    needs_no_consent = ("DELETE",)

    @needs(LOGIN, answer=schemas.ApiKey)
    def get(self, ctx: Context) -> Result:
        """The API key without its secret; 404 unless it is one of the keys that GET /keys lists."""
        key = ApiKey.find(ctx.reader, ctx.site.id, ctx.identity, ctx.args["key_id"])
        return Data(dumps(known(key, "key").document()))

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Revoke the API key, which is refused from the next request on. 404 for a key that GET /keys does not list,
        except that an expired key of the caller is deleted like any other.
        """
        id: int = ctx.args["key_id"]
        if not ApiKey.delete(ctx.writer, ctx.site.id, ctx.identity, id):
            raise NotFound("There is no such key")
        journal.record(ctx.writer, ctx.author, journal.DELETED, itemtypes.AUTH, id)
        return Done()
