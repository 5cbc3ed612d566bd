"""Signing in for an access token, and out again, by every method of the site. Wire: docs/api/auth.md."""

from __future__ import annotations

import hmac
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.auth import auth0_v1_exchange, backend_list, backends, sign_in
from forumapi.auth.backends import Begin, SignIn, Verified
from forumapi.auth.sign_in import SecondFactorNeeded
from forumapi.errors import Invalid, NotFound
from forumapi.models.access import access_token
from forumapi.models.access.access_token import AccessToken
from forumapi.models.access.operator_application import OperatorApplication
from forumapi.models.journal import journal
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Handler, needs
from forumapi.request.handler_results import Data, Done, Result
from forumapi.wire import json_fragments
from forumapi.wire.body import given
from forumapi.wire.schemas import access as schemas

__all__ = ["Auth0Handler", "AuthBeginHandler", "AuthHandler", "TokenHandler", "backend_list"]


class AuthHandler(Handler):
    """Access tokens: POST signs in; GET shows the token of the request, DELETE ends it."""

    allow = "OPTIONS,POST,HEAD,GET,DELETE"
    errors_without_data = True
    signs_in = True
    closed_in_sandboxes = ("POST",)
    counts_as_call = False
    takes_idempotency_key = False
    also_answers = {"POST": (501, 502)}

    @needs(ANYONE, answer=schemas.AccessToken)
    def get(self, ctx: Context) -> Result:
        """The token that the request was sent with, and its user (P-25); 404 for a request without a token."""
        return _show(ctx)

    @needs(ANYONE, body=SignIn, answer=str | schemas.SecondStep | None)
    def post(self, ctx: Context, sent: SignIn) -> Result:
        """Sign in: a token; null if a code was sent by mail; an object with `flow` if a second factor is asked for.

        `{"method": "email-code", "email": ...}` sends a code; the same with `code` answers with the token. `{"method":
        "development", "email": ...}` signs in at once, in the embedded mode only. Without `method` the body is an
        application's `Assertion` with its `ClientSecret`. A person with a second factor gets an object with `flow`, and
        the token for `{"method": "second-factor", "flow": ..., "code": ...}`; but 401 if the body had no `method`,
        since such a client would take the object for a token. The last step of a sign-in that POST /auth/begin began is
        sent here too. 401 for a wrong, used or expired proof; 403 for newcomers to a site whose plan or state lets none
        in, and for newcomers whose address was reported for spam; 429 after too many tries, 501 for a method that is
        not set up here, 502 if a provider fails.
        """
        # Nothing is held while a verifier is asked; each step below is a transaction of its own.
        ctx.end_writer()
        app = ctx.app
        tx = ctx.reader
        verified = backends.verify(sent, ctx.site, ctx.ip, app.config, app.database, tx)
        if verified is None:
            app.mail.wake()
            return Done()
        agent = ctx.environ.get("HTTP_USER_AGENT", "")
        try:
            secret = sign_in.complete(
                app.database,
                app.config,
                ctx.site,
                verified,
                ctx.ip,
                agent,
                tx,
                app.plans.taking_member(ctx.site),
            )
        except SecondFactorNeeded as error:
            # A client that names no method takes whatever is not null for the token.
            if not isinstance(sent.method, str):
                raise
            return Data(json_fragments.dumps({"secondFactor": True, "flow": error.flow}))
        return Data(json_fragments.dumps(secret))

    @needs(ANYONE)
    def delete(self, ctx: Context) -> Result:
        """Sign out: the token that the request was sent with is refused from now on; 404 without a token."""
        return _revoke(ctx)


class AuthBeginHandler(Handler):
    """The first step of signing in on a provider's page or with a passkey."""

    signs_in = True
    closed_in_sandboxes = ("POST",)
    counts_as_call = False
    takes_idempotency_key = False
    also_answers = {"POST": (501, 502)}

    @needs(ANYONE, body=Begin, answer=schemas.Begun)
    def post(self, ctx: Context, sent: Begin) -> Result:
        """Begin a sign-in by `method`; the client sends the answer's `flow` once, with the last step, by POST /auth
        within ten minutes.

        The answer also has `location`, the address of the provider's page, where the browser goes next; or, for a
        passkey, `publicKey`, the argument of `navigator.credentials.get`. 400 for a method whose first step is POST
        /auth, 501 for one that is not set up here, 502 if the provider fails.
        """
        # Nothing is held while a provider is asked.
        ctx.end_writer()
        app = ctx.app
        begun = backends.begin(sent, ctx.site, ctx.ip, app.config, app.database, ctx.reader)
        data: dict[str, Any] = {"flow": begun.flow}
        if begun.location:
            data["location"] = begun.location
        if begun.public_key is not None:
            data["publicKey"] = begun.public_key
        return Data(json_fragments.dumps(data))


class TokenHandler(Handler):
    """The token that the request was sent with, named in the address too; 404 if the address names another."""

    serves_held_sites = ("GET", "DELETE")
    needs_no_consent = ("DELETE",)

    allow = "OPTIONS,HEAD,GET,DELETE"
    takes_idempotency_key = False

    @needs(ANYONE, answer=schemas.AccessToken)
    def get(self, ctx: Context) -> Result:
        """The token and its user (P-25); 404 unless the request was sent with this token."""
        _same(ctx)
        return _show(ctx)

    @needs(ANYONE)
    def delete(self, ctx: Context) -> Result:
        """Sign out: end the token; 404 unless the request was sent with this token."""
        _same(ctx)
        return _revoke(ctx)


def _same(ctx: Context) -> None:
    named = str(ctx.args["token"]).encode()
    if not hmac.compare_digest(named, ctx.token.encode()):
        raise NotFound("There is no such token")


def _show(ctx: Context) -> Result:
    shown = access_token.document(ctx.reader, ctx.site.id, ctx.token) if ctx.token else None
    if shown is None:
        raise NotFound("There is no such token")
    return Data(shown)


def _revoke(ctx: Context) -> Result:
    user_id = AccessToken.delete(ctx.writer, ctx.token) if ctx.token else 0
    if not user_id:
        raise NotFound("There is no such token")
    journal.record(ctx.writer, ctx.author, journal.DELETED, itemtypes.AUTH, user_id)
    return Done()


class Auth0Body(Struct):
    """Body of POST /auth0 (platform 3.4): `ClientSecret` of an application that the operator registered, and, of the
    site's Auth0 tenant, an authorization `Code`, or an `AccessToken` with its `TokenType`, Bearer; `Code` wins if both
    are sent.
    """

    ClientSecret: str | UnsetType = UNSET
    Code: str | UnsetType = UNSET
    AccessToken: str | UnsetType = UNSET
    TokenType: str | UnsetType = UNSET


class Auth0Handler(Handler):
    """Signing in through the site's Auth0 tenant."""

    errors_without_data = True
    signs_in = True
    closed_in_sandboxes = ("POST",)
    counts_as_call = False
    takes_idempotency_key = False
    also_answers = {"POST": (502,)}

    @needs(ANYONE, body=Auth0Body, answer=str)
    def post(self, ctx: Context, sent: Auth0Body) -> Result:
        """Exchange Auth0's `Code`, or Auth0's `AccessToken` with its `TokenType`, for an access token that is good on
        this site.

        400 while one of the site's `auth0Domain`, `auth0ClientId` and `auth0ClientSecret` is empty, and for a body with
        neither `Code` nor `AccessToken` and `TokenType`. 401 for a wrong `ClientSecret`, if Auth0 refuses, does not
        call the address verified or issued `AccessToken` to another client, and for people with a second factor; 403
        for newcomers to a site whose plan or state lets none in, and for newcomers whose address was reported for spam;
        502 if Auth0 fails.
        """
        tenant = auth0_v1_exchange.tenant(ctx.reader, ctx.site.id)
        code, given_token = given(sent.Code, ""), given(sent.AccessToken, "")
        if not code and not (given_token and sent.TokenType):
            raise Invalid("Code", "or AccessToken with TokenType is required")
        if not code and str(sent.TokenType).lower() != "bearer":
            raise Invalid("TokenType", "must be Bearer")
        client_id = OperatorApplication.check_secret(ctx.reader, given(sent.ClientSecret, ""))
        # Nothing is held while the tenant is asked.
        ctx.end_writer()
        app, site = ctx.app, ctx.site
        if code:
            email = auth0_v1_exchange.email_of_code(app.config, tenant, code, site.url)
        else:
            email = auth0_v1_exchange.email_of_token(app.config, tenant, given_token)
        # The site's owner chose the tenant: what it says counts there.
        verified = Verified(email, client_id, is_platforms=site.is_root)
        agent = ctx.environ.get("HTTP_USER_AGENT", "")
        secret = sign_in.complete(
            app.database,
            app.config,
            site,
            verified,
            ctx.ip,
            agent,
            take_member=app.plans.taking_member(site),
        )
        return Data(json_fragments.dumps(secret))
