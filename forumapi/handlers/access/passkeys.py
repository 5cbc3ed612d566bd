"""Passkeys of the caller: registering, renaming and deleting them. Wire: docs/api/auth.md."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi.auth import passkey as ceremony
from forumapi.handlers.access.second_factor_and_email import notify, record
from forumapi.mail import outbox
from forumapi.models.access.account_change_user import AccountChangeUser
from forumapi.models.access.passkey import Passkey, checked_name
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, needs
from forumapi.request.handler_results import Data, Done, Found, Result
from forumapi.wire import json_fragments
from forumapi.wire.body import given
from forumapi.wire.schemas import access as schemas

_PATH: Final = "/api/v1/auth/passkeys"


class PasskeyBody(Struct):
    """Body of POST /auth/passkeys: the `flow` of POST /auth/passkeys/begin, the `credential` that the browser then
    made, and a `name` for it; also of PUT /auth/passkeys/{id}, which reads nothing but `name`.
    """

    flow: str | UnsetType = UNSET
    credential: dict[str, Any] | UnsetType = UNSET
    name: str | UnsetType = UNSET


class PasskeysHandler(Handler):
    """The caller's passkeys; 403 for a token that is limited to a site or to scopes."""

    allow = "OPTIONS,HEAD,GET,POST"
    takes_idempotency_key = False
    required_keys: ClassVar = {"POST": ("flow", "credential", "name")}

    @needs(LOGIN, answer=schemas.Passkeys)
    def get(self, ctx: Context) -> Result:
        """The caller's passkeys, oldest first."""
        owner = AccountChangeUser.find(ctx.reader, ctx.identity)
        return Data(
            json_fragments.dumps(
                {"passkeys": [key.document() for key in Passkey.of_user(ctx.reader, owner.user_id)]}
            )
        )

    @needs(LOGIN, body=PasskeyBody, status=302)
    def post(self, ctx: Context, sent: PasskeyBody) -> Result:
        """Register the credential that `navigator.credentials.create` returned as a passkey called `name`.

        The caller is notified by mail. 400 for a `name` that is blank or too long, for a `flow` that is unknown or
        expired, for a `credential` that was not made for that flow or is registered already, and beyond the 20 passkeys
        that one person may have. Answers 302 to the passkey.
        """
        tx = ctx.writer
        owner = AccountChangeUser.lock(tx, ctx.identity)
        name = checked_name(given(sent.name, ""))
        credential = given(sent.credential, {})
        id = ceremony.register(tx, ctx.site, owner, given(sent.flow, ""), credential, name)
        record(ctx)
        notify(ctx, owner, f"The passkey {outbox.plain(name)} was added to your account")
        return Found(f"{_PATH}/{id}")


class PasskeyBeginHandler(Handler):
    """The first step of registering a passkey; 403 for a token that is limited to a site or to scopes."""

    takes_idempotency_key = False

    @needs(LOGIN, answer=schemas.Begun)
    def post(self, ctx: Context) -> Result:
        """Begin registering a passkey: `publicKey` is the argument of `navigator.credentials.create`.

        The client sends the answer's `flow` with the credential within ten minutes.
        """
        begun = ceremony.offer(
            ctx.writer, ctx.site, AccountChangeUser.lock(ctx.writer, ctx.identity)
        )
        return Data(json_fragments.dumps({"flow": begun.flow, "publicKey": begun.public_key}))


class PasskeyHandler(Handler):
    """One of the caller's passkeys; 404 for a passkey of another person, 403 for a token that is limited to a site or
    to scopes.
    """

    allow = "OPTIONS,HEAD,GET,PUT,DELETE"

    @needs(LOGIN, answer=schemas.Passkey)
    def get(self, ctx: Context) -> Result:
        """The passkey, without its key."""
        owner = AccountChangeUser.find(ctx.reader, ctx.identity)
        passkey = Passkey.find(ctx.reader, owner.user_id, ctx.args["passkey"])
        return Data(json_fragments.dumps(passkey.document()))

    @needs(LOGIN, body=PasskeyBody, status=302)
    def put(self, ctx: Context, sent: PasskeyBody) -> Result:
        """Rename the passkey to `name`, 400 if that is blank or too long; without `name` it keeps the old one. Answers
        302 to the passkey.
        """
        owner = AccountChangeUser.lock(ctx.writer, ctx.identity)
        passkey = Passkey.find(ctx.writer, owner.user_id, ctx.args["passkey"])
        passkey.update(ctx.writer, owner.user_id, checked_name(given(sent.name, passkey.name)))
        record(ctx)
        return Found(f"{_PATH}/{passkey.id}")

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Delete the passkey, which signs in no longer; the caller is notified by mail. Sessions stay."""
        owner = AccountChangeUser.lock(ctx.writer, ctx.identity)
        name = Passkey.delete(ctx.writer, owner.user_id, ctx.args["passkey"])
        record(ctx)
        notify(ctx, owner, f"The passkey {outbox.plain(name)} was deleted from your account")
        return Done()
