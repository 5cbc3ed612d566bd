"""Second factor of the caller (one-time codes and recovery codes), and the address to sign in with. Wire:
docs/api/auth.md.
"""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager
from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.errors import Conflict, Invalid, NotImplementedHere
from forumapi.mail import outbox
from forumapi.models.access.account_change_user import AccountChangeUser
from forumapi.models.access.totp import Totp, count_try, otpauth_uri
from forumapi.models.journal import journal
from forumapi.models.people import email_change
from forumapi.models.people.email_change import EmailChange
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, needs
from forumapi.request.handler_results import Data, Done, Result
from forumapi.wire import json_fragments
from forumapi.wire.body import given
from forumapi.wire.schemas import access as schemas


class CodeBody(Struct):
    """Body with a code of the second factor: of the app or, except to switch the factor on, a recovery code."""

    code: str | UnsetType = UNSET


class OneTimeHandler(Handler):
    """The caller's second factor: one-time codes of an app; 403 for a token that is limited to a site or to scopes."""

    serves_held_sites = ("GET",)

    allow = "OPTIONS,HEAD,GET,POST,PUT,DELETE"
    takes_idempotency_key = False
    also_answers = {"POST": (409,)}
    required_keys: ClassVar = {"PUT": ("code",), "DELETE": ("code",)}

    @needs(LOGIN, answer=schemas.OneTime)
    def get(self, ctx: Context) -> Result:
        """The state of the second factor: `enabled`, `since` when it is on (null while it is off), and the number of
        unused recovery codes.
        """
        owner = AccountChangeUser.find(ctx.reader, ctx.identity)
        factor = Totp.find(ctx.reader, owner.user_id)
        since = factor.confirmed if factor else None
        return Data(
            json_fragments.dumps(
                {
                    "enabled": since is not None,
                    "since": json_fragments.format_time(since) if since else None,
                    "recoveryCodes": factor.recovery_codes if factor else 0,
                }
            )
        )

    @needs(LOGIN, answer=schemas.OneTimeSecret)
    def post(self, ctx: Context) -> Result:
        """Make a secret for the app, in place of one that was not confirmed; PUT with a code that the app shows then
        switches the second factor on.

        409 if the factor is on already. The answer has the `secret`, and as `uri` the otpauth: address for a QR code.
        """
        owner = AccountChangeUser.lock(ctx.writer, ctx.identity)
        secret = Totp.insert(ctx.writer, owner.user_id)
        if secret is None:
            raise Conflict("You have a second factor already; DELETE it first")
        issuer = outbox.plain(ctx.site.title) or ctx.site.host
        uri = otpauth_uri(secret, owner.email, issuer)
        return Data(json_fragments.dumps({"secret": secret, "uri": uri}))

    @needs(LOGIN, body=CodeBody, answer=schemas.RecoveryCodes)
    def put(self, ctx: Context, sent: CodeBody) -> Result:
        """Switch the second factor on, proven by a code of the app.

        The ten recovery codes are in this answer and in no later one. All other sessions, keys and grants of the caller
        end, since they were made without a second factor; the caller is notified by mail. 400 for a code that is wrong
        or used, before POST made a secret, and while the second factor is on; 429 after ten tries in an hour.
        """
        with _tried(ctx) as tx:
            owner = _proven(ctx, sent, tx, is_new=True)
            codes = Totp.confirm(tx, owner.user_id)
            owner.end_other_tokens(tx, ctx.identity.token_id)
            record(ctx, tx)
            notify(ctx, owner, "A second factor was added to your account", tx)
        return Data(json_fragments.dumps({"recoveryCodes": codes}))

    @needs(LOGIN, body=CodeBody)
    def delete(self, ctx: Context, sent: CodeBody) -> Result:
        """Switch the second factor off, proven by a code of the app or a recovery code.

        The caller is notified by mail. 400 for a code that is wrong, used or expired, and while the second factor is
        off; 429 after ten tries in an hour.
        """
        with _tried(ctx) as tx:
            owner = _proven(ctx, sent, tx)
            Totp.delete(tx, owner.user_id)
            record(ctx, tx)
            notify(ctx, owner, "The second factor was removed from your account", tx)
        return Done()


class RecoveryCodesHandler(Handler):
    """Replacement of the caller's recovery codes; 403 for a token that is limited to a site or to scopes."""

    takes_idempotency_key = False
    required_keys: ClassVar = {"POST": ("code",)}

    @needs(LOGIN, body=CodeBody, answer=schemas.RecoveryCodes)
    def post(self, ctx: Context, sent: CodeBody) -> Result:
        """Replace all recovery codes by ten new ones, proven by a code of the app or a recovery code.

        The new codes are in this answer and in no later one. The caller is notified by mail. 400 for a code that is
        wrong, used or expired, and without a second factor; 429 after ten tries in an hour.
        """
        with _tried(ctx) as tx:
            owner = _proven(ctx, sent, tx)
            codes = Totp.renew_recovery_codes(tx, owner.user_id)
            record(ctx, tx)
            notify(ctx, owner, "Your recovery codes were replaced", tx)
        return Data(json_fragments.dumps({"recoveryCodes": codes}))


def _tried(ctx: Context) -> AbstractContextManager[Transaction]:
    """Count a try of the caller's second factor, and commit the count, so that a wrong code counts too.

    Ends the request's transaction. Returns a new one for the change, to be entered by `with`. Raises TooMany after too
    many tries, and Forbidden for a token that is limited to a site or to scopes.
    """
    user_id = AccountChangeUser.find(ctx.reader, ctx.identity).user_id
    ctx.end_writer()
    with ctx.app.database.write() as tx:
        count_try(tx, user_id)
    return ctx.app.database.write()


def _proven(
    ctx: Context, sent: CodeBody, tx: Transaction, *, is_new: bool = False
) -> AccountChangeUser:
    owner = AccountChangeUser.lock(tx, ctx.identity)
    if not Totp.use_code(tx, owner.user_id, given(sent.code, ""), is_new=is_new):
        raise Invalid("code", "is wrong, used or expired")
    return owner


class AddressBody(Struct):
    """Body of POST /auth/email: the new address."""

    email: str | UnsetType = UNSET


class AddressProofBody(Struct):
    """Body of PUT /auth/email: `code` as it was mailed to the new address.

    `secondFactor`: a code of the app or a recovery code, for people who have a second factor.
    """

    code: str | UnsetType = UNSET
    secondFactor: str | UnsetType = UNSET


class EmailAddressHandler(Handler):
    """The caller's e-mail address, by which the caller signs in on all sites; 403 for a token that is limited to a site
    or to scopes.
    """

    allow = "OPTIONS,HEAD,GET,POST,PUT"
    takes_idempotency_key = False
    closed_in_sandboxes = ("POST", "PUT")
    also_answers: ClassVar = {"POST": (501,), "PUT": (409,)}
    required_keys: ClassVar = {"POST": ("email",), "PUT": ("code",)}

    @needs(LOGIN, answer=schemas.SignInAddress)
    def get(self, ctx: Context) -> Result:
        """The caller's e-mail address, as it was entered, under `email`."""
        return Data(
            json_fragments.dumps({"email": AccountChangeUser.find(ctx.reader, ctx.identity).email})
        )

    @needs(LOGIN, body=AddressBody)
    def post(self, ctx: Context, sent: AddressBody) -> Result:
        """Mail a code to the address that is to become the caller's.

        The answer does not show whether the address is another person's, who gets a mail without a code. 400 for what
        is no address and for the address that the caller has already, 429 after too many codes, 501 where no mail is
        sent. Answers 200 with `data` null.
        """
        app = ctx.app
        owner = AccountChangeUser.find(ctx.reader, ctx.identity)
        address = email_change.checked(given(sent.email, ""), owner.email)
        if not outbox.is_possible(app.config):
            raise NotImplementedHere("Sending mail is not configured here")
        ctx.end_writer()
        with app.database.write() as tx:
            email_change.count_send(tx, owner.user_id, address)
        with app.database.write() as tx:
            code = EmailChange.insert(tx, owner.user_id, address)
            is_taken = email_change.is_taken(tx, owner.user_id, address)
            subject = "You have an account already" if is_taken else f"{code} is your code"
            outbox.queue_notice(
                tx,
                "address_taken" if is_taken else "new_address",
                cause=f"{email_change.KIND}:{secrets.token_hex(16)}",
                site_id=ctx.site.id,
                recipient=address,
                subject=subject,
                code=code,
                minutes=email_change.MINUTES,
                site_title=outbox.plain(ctx.site.title),
            )
            tx.after_commit(app.mail.wake)
        return Done()

    @needs(LOGIN, body=AddressProofBody)
    def put(self, ctx: Context, sent: AddressProofBody) -> Result:
        """Change the caller's address, proven by the mailed code and, if the caller has a second factor, a code of the
        app or a recovery code.

        All other sessions, keys and grants of the caller end, and the old address is notified. 400 for a code that is
        wrong, used or expired; 409 if the address is another person's by now, 429 after too many tries of either code.
        Answers 200 with `data` null.
        """
        user_id = AccountChangeUser.find(ctx.reader, ctx.identity).user_id
        ctx.end_writer()
        database = ctx.app.database
        with database.write() as tx:
            if sent.secondFactor is not UNSET:
                count_try(tx, user_id)
            change = EmailChange.prove(tx, user_id, given(sent.code, ""))
        if change is None:
            raise Invalid("code", "is wrong, used or expired")
        with database.write() as tx:
            owner = AccountChangeUser.lock(tx, ctx.identity)
            if Totp.is_on_for(tx, user_id):
                code = given(sent.secondFactor, "")
                if not Totp.use_code(tx, user_id, code, is_new=False):
                    raise Invalid("secondFactor", "is required, and is wrong, used or expired")
            change.apply(tx)
            owner.end_other_tokens(tx, ctx.identity.token_id)
            record(ctx, tx)
            # The old address is notified, so that a change by somebody else is noticed.
            notify(ctx, owner, "Your account has another e-mail address now", tx)
        return Done()


def record(ctx: Context, tx: Transaction | None = None) -> None:
    """Record in the audit that the caller changed a way to sign in. `tx`: transaction of the change; None: the
    request's.
    """
    journal.record(
        tx or ctx.writer, ctx.author, journal.PATCHED, itemtypes.AUTH, ctx.identity.profile_id
    )


def notify(
    ctx: Context, owner: AccountChangeUser, text: str, tx: Transaction | None = None
) -> None:
    """Queue a mail to the owner of an account, if mail is configured, so that a change by somebody else is noticed.
    `text`: what has changed, as plain text: the mail's subject, which its body repeats.

    `tx`: transaction of the change; None: the request's.
    """
    app = ctx.app
    if not outbox.is_possible(app.config):
        return
    writer = tx or ctx.writer
    outbox.queue_notice(
        writer,
        "credentials",
        cause=f"credentials:{secrets.token_hex(16)}",
        site_id=ctx.site.id,
        recipient=owner.email,
        subject=text,
        what=text,
        site_title=outbox.plain(ctx.site.title),
    )
    writer.after_commit(app.mail.wake)
