"""Web push: subscriptions of the caller's browsers and apps to updates. Wire: docs/api/updates.md."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import OUT_OF_RANGE, InsufficientScope, Invalid, NotFound
from forumapi.models.notifications.push_subscription import MOST_ENDPOINT, PushSubscription
from forumapi.outbound import web_push_crypto
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, needs
from forumapi.request.handler_results import Data, Done, Found, Result
from forumapi.wire.body import given
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import updates_mail_webhooks as schemas

PATH: Final = "/api/v1/updates/push"
# Scope that a limited token needs, since messages tell of what the list of updates shows.
_READS: Final = "updates:read"


class PushKeys(Struct):
    """Keys of a browser's subscription in base64url: its public key `p256dh` and its secret `auth`."""

    p256dh: str | UnsetType = UNSET
    auth: str | UnsetType = UNSET


class PushBody(Struct):
    """Subscription as a browser's `PushSubscription.toJSON()` returns it; other keys are ignored."""

    endpoint: str | UnsetType = UNSET
    keys: PushKeys | UnsetType = UNSET


class PushSubscriptionsHandler(Handler):
    """The caller's subscriptions to web push on this site."""

    takes_idempotency_key = False
    closed_in_sandboxes = ("POST",)
    required_keys = {"POST": ("endpoint", "keys")}

    @needs(LOGIN, answer=schemas.PushSubscriptions)
    def get(self, ctx: Context) -> Result:
        """The platform's public key to subscribe with, and the caller's subscriptions, oldest first.

        Their endpoints are secrets, which no answer shows.
        """
        key = ctx.app.push.key(ctx.reader)
        me = ctx.identity
        found = PushSubscription.find_all(ctx.reader, ctx.site.id, me.profile_id)
        listed = [one.document(me.token_id) for one in found]
        return Data(dumps({"publicKey": key.public, "subscriptions": listed}))

    @needs(LOGIN, body=PushBody, status=302)
    def post(self, ctx: Context, sent: PushBody) -> Result:
        """Store a subscription of this browser or app, in place of one with the same endpoint, even another person's.

        The subscription ends with the token of this request.

        403 for a token without the scope to read updates; 400 for an endpoint or key of a wrong form, and beyond the 10
        subscriptions that one person may have on a site. Answers 302 to the list of subscriptions.
        """
        granted = ctx.identity.scopes
        if granted is not None and _READS not in granted:
            raise InsufficientScope(_READS)
        endpoint = given(sent.endpoint, "")
        if not 1 <= len(endpoint) <= MOST_ENDPOINT:
            raise Invalid("endpoint", f"must have 1 to {MOST_ENDPOINT} characters")
        keys = given(sent.keys, PushKeys())
        public_key = _bytes("keys.p256dh", keys.p256dh)
        if not web_push_crypto.is_public_key(public_key):
            raise Invalid(
                "keys.p256dh", "must be a point of P-256, uncompressed", code=OUT_OF_RANGE
            )
        auth_secret = _bytes("keys.auth", keys.auth)
        if len(auth_secret) != web_push_crypto.AUTH_SECRET_BYTES:
            raise Invalid("keys.auth", "must be 16 bytes", code=OUT_OF_RANGE)
        # Resolving a name may take seconds: the connection is free for others meanwhile. Nothing was written yet.
        ctx.writer.end()
        ctx.app.push.check(endpoint)
        PushSubscription.insert(
            ctx.writer,
            ctx.site.id,
            ctx.identity.profile_id,
            ctx.identity.token_id,
            endpoint=endpoint,
            public_key=public_key,
            auth_secret=auth_secret,
        )
        return Found(PATH)


class PushSubscriptionHandler(Handler):
    """Deletion of one of the caller's subscriptions to web push."""

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Delete the caller's subscription with the id in the address; 404 if there is none."""
        me, id = ctx.identity.profile_id, ctx.args["subscription_id"]
        if not PushSubscription.delete(ctx.writer, ctx.site.id, me, id):
            raise NotFound("There is no such subscription")
        return Done()


def _bytes(field: str, text: str | UnsetType) -> bytes:
    """Decode the base64url text of the field `field` of a body; b"" for UNSET. Raises Invalid for a text that is no
    base64url.
    """
    try:
        return web_push_crypto.decode(given(text, ""))
    except ValueError:
        raise Invalid(field, "must be base64url", code=OUT_OF_RANGE) from None
