"""Bots: profiles of programs, which members own. Wire: docs/api/bots.md."""

from __future__ import annotations

from typing import ClassVar, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import NO_CREATE, OUT_OF_RANGE, Forbidden, Invalid, NotFound, known
from forumapi.models.access import bot
from forumapi.models.access.api_keys_sessions import DEFAULT_DAYS, checked_scopes
from forumapi.models.access.bot import Bot
from forumapi.models.people import profile
from forumapi.models.sites.site_options import SiteOptions
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, needs
from forumapi.request.handler_results import Data, Done, Result
from forumapi.wire.body import given
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import access as schemas

_PATH: Final = "/api/v1/bots"


class BotKeyBody(Struct):
    """Key of a bot to make. `scopes`: the operations that it allows, of those that bots may have; `days`: its lifetime;
    when absent 90, or the longest lifetime of tokens of this installation if that is shorter.
    """

    scopes: list[str] | UnsetType = UNSET
    days: int | UnsetType = UNSET


class BotBody(BotKeyBody):
    """Bot to make, with its key. `profileName`: name of the bot's profile."""

    profileName: str | UnsetType = UNSET


def _key(ctx: Context, sent: BotKeyBody) -> tuple[list[str], int]:
    """Return the scopes, and the lifetime in days, of the key that the body describes. Raises Invalid for no scope or
    one that bots may not have, and for days out of range.
    """
    most = ctx.app.config.token_days
    days = given(sent.days, min(DEFAULT_DAYS, most))
    if not 1 <= days <= most:
        raise Invalid("days", f"must be between 1 and {most}", code=OUT_OF_RANGE)
    return checked_scopes(given(sent.scopes, []), bot.SCOPES), days


def _may_make(ctx: Context) -> bool:
    """Return True if the caller may make bots on the site: its owner, and members where the owner lets them."""
    is_site_owner = ctx.identity.principal.is_site_owner
    return is_site_owner or SiteOptions.find(ctx.reader, ctx.site.id).members_make_bots


class BotsHandler(Handler):
    """The caller's bots."""

    takes_idempotency_key = False
    required_keys: ClassVar = {"POST": ("profileName", "scopes")}

    @needs(LOGIN, answer=schemas.Bots)
    def get(self, ctx: Context) -> Result:
        """The caller's bots, oldest first, without the secrets of their keys, and `mayMake`: the caller may make bots
        here.
        """
        found = Bot.find_own(ctx.reader, ctx.site.id, ctx.identity.profile_id)
        bots = [one.document() for one in found]
        meta = {"links": [{"rel": "self", "href": _PATH}]}
        return Data(dumps({"bots": bots, "mayMake": _may_make(ctx), "meta": meta}))

    @needs(LOGIN, body=BotBody, answer=schemas.Bot)
    def post(self, ctx: Context, sent: BotBody) -> Result:
        """Make a bot with a profile of the name `profileName`, or that name and a number if the name is taken, and a
        key with `scopes` that expires after `days`.

        The key's secret is in this answer and in no later one. 403 where members may not make bots, unless the caller
        owns the site, and beyond the members of the site's plan; 400 for a bad name, for no scope or one that bots may
        not have, and for `days` out of range; 409 for a caller who has 5 bots.
        """
        if not _may_make(ctx):
            raise Forbidden("Members make no bots here", code=NO_CREATE)
        reserved = ctx.app.config.reserved_profile_names
        name = profile.checked_name(given(sent.profileName, ""), reserved)
        scopes, days = _key(ctx, sent)
        ctx.app.plans.taking_member(ctx.site)(ctx.writer)
        id, secret = Bot.insert(ctx.writer, ctx.author, name, scopes, days)
        return _shown(ctx, id, secret)


class BotHandler(Handler):
    """One bot of the caller."""

    @needs(LOGIN, answer=schemas.Bot)
    def get(self, ctx: Context) -> Result:
        """The bot, without the secret of its key; 404 unless it is one of the caller's."""
        return _shown(ctx, ctx.args["bot"])

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Remove the bot: its key is refused from the next request on. Its profile stays, with what the bot wrote. 404
        unless it is a bot of the caller, or the caller owns the site.
        """
        is_site_owner = ctx.identity.principal.is_site_owner
        if not Bot.remove(ctx.writer, ctx.author, ctx.args["bot"], is_site_owner=is_site_owner):
            raise NotFound("There is no such bot")
        return Done()


class BotKeyHandler(Handler):
    """The key of one bot of the caller."""

    required_keys: ClassVar = {"PUT": ("scopes",)}

    @needs(LOGIN, body=BotKeyBody, answer=schemas.Bot)
    def put(self, ctx: Context, sent: BotKeyBody) -> Result:
        """Make another key for the bot, with `scopes` and `days`, in place of the key that the bot has, if any, which
        is refused from the next request on. The secret is in this answer and in no later one. 404 unless it is a bot of
        the caller; 400 for no scope or one that bots may not have, and for `days` out of range.
        """
        id: int = ctx.args["bot"]
        scopes, days = _key(ctx, sent)
        secret = known(Bot.renew_key(ctx.writer, ctx.author, id, scopes, days), "bot")
        return _shown(ctx, id, secret)

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Stop the bot: its key is refused from the next request on, and the bot has no key until PUT makes another.
        404 unless it is a bot of the caller.
        """
        if not Bot.end_key(ctx.writer, ctx.author, ctx.args["bot"]):
            raise NotFound("There is no such bot")
        return Done()


def _shown(ctx: Context, id: int, secret: str = "") -> Result:
    found = Bot.find(ctx.reader, ctx.site.id, ctx.identity.profile_id, id)
    return Data(dumps(known(found, "bot").document(secret)))
