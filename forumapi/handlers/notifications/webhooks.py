"""Webhooks of a site, for its owner. Wire: docs/api/webhooks.md."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import OUT_OF_RANGE, InsufficientScope, Invalid, NotFound, known
from forumapi.models.journal import journal
from forumapi.models.notifications import webhook_delivery
from forumapi.models.notifications.webhook import (
    ITEM_TYPES,
    KINDS,
    MOST_NAME,
    MOST_URL,
    USUAL_TYPES,
    Webhook,
    WebhookSettings,
    checked_kinds,
    checked_types,
    reading_scopes,
)
from forumapi.models.usage.site_plan import WEBHOOKS
from forumapi.outbound.safe_http_client import OutboundError
from forumapi.request.context import Context
from forumapi.request.handler import OWNER, Handler, Param, needs
from forumapi.request.handler_results import Data, Done, Found, Result
from forumapi.text import short_text_cleaning
from forumapi.wire import paging
from forumapi.wire.body import given
from forumapi.wire.json_fragments import dumps
from forumapi.wire.openapi_enums import closed, closed_types
from forumapi.wire.schemas import updates_mail_webhooks as schemas

_PATH: Final = "/api/v1/webhooks"
ME: Final = "me"
AS_GUEST: Final = "guest"


class WebhookBody(Struct):
    """Webhook as the site's owner sends it. `actAs`: `me`, the webhook is sent what the caller may read; or `guest`,
    what guests may read; `me` when absent for a new webhook. `documents`: events are sent with the things that they are
    about, except reports, cases and appeals; false when absent for a new webhook. `enabled`: true when absent for a new
    webhook. `kinds`, `itemTypes`: kinds of events that are sent, and types of things that the events are about; when
    absent for a new webhook, all kinds and the contents of microcosms.
    """

    name: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    kinds: list[Annotated[str, closed(KINDS)]] | UnsetType = UNSET
    itemTypes: list[Annotated[str, closed_types(ITEM_TYPES)]] | UnsetType = UNSET
    actAs: Annotated[str, closed((ME, AS_GUEST))] | UnsetType = UNSET
    documents: bool | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class SecretBody(Struct):
    """Body that replaces a webhook's secret. `keepOld`, true when absent: for 24 hours deliveries are signed with the
    old secret as well.
    """

    keepOld: bool | UnsetType = UNSET


class ReplayBody(Struct):
    """Body that selects deliveries to repeat: the dead letter `id` or, without `id`, all dead letters from the cursor
    `first` to the cursor `last`.

    `everything`, false when absent: all events from `first` to `last`, delivered or not, instead of dead letters alone.
    """

    id: str | UnsetType = UNSET
    first: str | UnsetType = UNSET
    last: str | UnsetType = UNSET
    everything: bool | UnsetType = UNSET


class WebhooksHandler(Handler):
    """The site's webhooks, for its owner."""

    takes_idempotency_key = False
    closed_in_sandboxes = ("POST",)
    required_keys = {"POST": ("url",)}

    @needs(OWNER, answer=schemas.Webhooks, paged=True)
    def get(self, ctx: Context) -> Result:
        """The site's webhooks, oldest first, without their secrets."""
        webhooks, total = Webhook.page(ctx.reader, ctx.site.id, ctx.paging)
        items = dumps([_document(ctx, webhook) for webhook in webhooks])
        paging.check(total, ctx.paging)
        return Data(ctx.listed("webhooks", items, total, _PATH))

    @needs(OWNER, body=WebhookBody, answer=schemas.Webhook)
    def post(self, ctx: Context, sent: WebhookBody) -> Result:
        """Register a webhook, which is sent the events from now on; its secret is in this answer and in no later one.

        400 for a `url` that no delivery may be sent to, and beyond the 20 webhooks that a site may have; 403 for types
        of things that the token may not read, and beyond the webhooks of the site's plan.
        """
        settings = _settings(ctx, sent, None)
        _reach(ctx, settings.url)
        ctx.app.plans.take(ctx.writer, ctx.site, WEBHOOKS)
        webhook, secret = Webhook.insert(ctx.writer, ctx.author, settings)
        journal.record(ctx.writer, ctx.author, journal.CREATED, itemtypes.AUTH, webhook.id)
        return Data(dumps(_document(ctx, webhook, secret)))


class WebhookHandler(Handler):
    """One of the site's webhooks, for the site's owner; 404 if the site has no such webhook."""

    @needs(OWNER, answer=schemas.Webhook)
    def get(self, ctx: Context) -> Result:
        """The webhook, with the state of its deliveries and without its secret."""
        return Data(dumps(_document(ctx, _find(ctx))))

    @needs(OWNER, body=WebhookBody, status=302)
    def put(self, ctx: Context, sent: WebhookBody) -> Result:
        """Change the webhook, and end its pause after failures; keys that are not sent stay. `enabled` true starts a
        disabled webhook again, with the events from now on; false makes dead letters of its waiting deliveries.

        Unless the webhook acts as a guest, it is sent from now on what the caller may read, even if a former owner
        registered it; if that is another profile than before, its deliveries about huddles are deleted. 400 for a new
        `url` that no delivery may be sent to, 403 for types of things that the token may not read. Answers 302 to the
        webhook.
        """
        before = _find(ctx)
        url = _settings(ctx, sent, before).url
        if url != before.url:
            _reach(ctx, url)
        webhook = _lock(ctx)
        # Another request may have changed it while the address was resolved: settings that it set stay.
        webhook.update(ctx.writer, _settings(ctx, sent, webhook))
        journal.record(ctx.writer, ctx.author, journal.REPLACED, itemtypes.AUTH, webhook.id)
        return Found(f"{_PATH}/{webhook.id}")

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Delete the webhook, with all its deliveries: waiting ones, dead letters and tests."""
        webhook = _lock(ctx)
        webhook.delete(ctx.writer)
        journal.record(ctx.writer, ctx.author, journal.DELETED, itemtypes.AUTH, webhook.id)
        return Done()


class WebhookSecretHandler(Handler):
    """Replacement of the secret with which a webhook's deliveries are signed, for the site's owner."""

    takes_idempotency_key = False

    @needs(OWNER, body=SecretBody, answer=schemas.Webhook)
    def post(self, ctx: Context, sent: SecretBody) -> Result:
        """Replace the secret by a new one, which is in this answer and in no later one.

        For 24 hours deliveries are signed with the old secret as well, unless `keepOld` is false.
        """
        webhook = _lock(ctx)
        secret = webhook.rotate_secret(ctx.writer, keep_old=given(sent.keepOld, True))
        journal.record(ctx.writer, ctx.author, journal.PATCHED, itemtypes.AUTH, webhook.id)
        return Data(dumps(_document(ctx, webhook, secret)))


class WebhookPingHandler(Handler):
    """Sending of a test delivery to one of the site's webhooks, for the site's owner."""

    @needs(OWNER)
    def post(self, ctx: Context) -> Result:
        """Queue a test delivery to the webhook, which is sent within a second or two, also while the webhook is
        disabled; nothing is queued while another test waits.

        Its outcome is listed among the webhook's deliveries. Answers 200 with `data` null.
        """
        webhook = _lock(ctx)
        webhook.deliveries.ping(ctx.writer)
        ctx.writer.after_commit(ctx.app.webhooks.wake)
        return Done()


class WebhookDeliveriesHandler(Handler):
    """A webhook's deliveries: those that wait, dead letters (given up after hours of tries, or because the webhook was
    disabled), and tests; for the site's owner.
    """

    @needs(
        OWNER,
        answer=schemas.WebhookDeliveries,
        paged=True,
        params=(
            Param(
                "state",
                str,
                "`dead` (when left out), `queued`, or `sent`: tests of a week.",
                webhook_delivery.STATES,
            ),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """The deliveries in the state `state` (dead when left out), lowest cursor first; 400 for a state other than
        dead, queued and sent (tests of the last week).

        A delivery about a huddle is listed only if the caller takes part in the huddle, one about a report, case or
        appeal only if that concerns nothing which the caller wrote.
        """
        webhook = _find(ctx)
        state = ctx.query.get("state", webhook_delivery.DEAD)
        if state not in webhook_delivery.STATES:
            raise Invalid("state", "must be dead, queued or sent", code=OUT_OF_RANGE)
        rows, total = webhook.deliveries.page(
            ctx.reader, state, ctx.paging, viewer=ctx.identity.principal.participant_id
        )
        items = dumps([webhook_delivery.document(row, _cursor(ctx, row[1])) for row in rows])
        paging.check(total, ctx.paging)
        return Data(ctx.listed("deliveries", items, total, f"{_PATH}/{webhook.id}/deliveries"))


class WebhookReplayHandler(Handler):
    """Repetition of a webhook's deliveries, for the site's owner."""

    @needs(OWNER, body=ReplayBody, answer=schemas.WebhookReplay)
    def post(self, ctx: Context, sent: ReplayBody) -> Result:
        """Queue the dead letter `id` again, or all dead letters from the cursor `first` to `last`, both included, the
        first 10,000 at most; the data has their number, and in `next`, null if all are queued, the cursor to go on
        from.

        With `everything` all events of that range are sent again, as far back as the event log goes.

        Events about huddles in which the caller does not take part are left out, and events about reports, cases and
        appeals that concern what the caller wrote. 400 while the webhook is disabled and, without `id`, for a missing
        or bad cursor; 404 if `id` is no dead letter of the webhook.
        """
        webhook = _lock(ctx)
        if not webhook.is_enabled:
            raise Invalid("", "The webhook is disabled: enable it first")
        viewer = ctx.identity.principal.participant_id
        if not isinstance(sent.id, UnsetType):
            if not webhook.deliveries.replay_one(ctx.writer, sent.id, viewer=viewer):
                raise NotFound("There is no such dead letter")
            return _replayed(ctx, 1, None)
        first, last = _number(ctx, "first", sent.first), _number(ctx, "last", sent.last)
        count, reached = webhook.deliveries.replay(
            ctx.writer, first, last, everything=given(sent.everything, False), viewer=viewer
        )
        return _replayed(ctx, count, reached + 1 if reached < last else None)


def _replayed(ctx: Context, count: int, following: int | None) -> Data:
    ctx.writer.after_commit(ctx.app.webhooks.wake)
    following_cursor = None if following is None else _cursor(ctx, following)
    return Data(dumps({"replayed": count, "next": following_cursor}))


def _document(ctx: Context, webhook: Webhook, secret: str = "") -> dict[str, object]:
    missed = None
    if webhook.missed_from:
        missed = {
            "first": _cursor(ctx, webhook.missed_from),
            "last": _cursor(ctx, webhook.missed_upto),
        }
    return webhook.document(missed, secret)


def _cursor(ctx: Context, number: int) -> str:
    """Return the cursor of the event with the number `number`, as live frames have it; "" for 0, a test's number."""
    return ctx.app.live.cursors.make(ctx.site.id, number) if number > 0 else ""


def _number(ctx: Context, name: str, text: str | UnsetType) -> int:
    if isinstance(text, UnsetType):
        raise Invalid(name, "is required unless id is given")
    number = ctx.app.live.cursors.read(ctx.site.id, text)
    if number is None:
        raise Invalid(name, "is not a cursor of this site", code=OUT_OF_RANGE)
    return number


def _settings(ctx: Context, sent: WebhookBody, before: Webhook | None) -> WebhookSettings:
    """Return a webhook's settings from the body; a key that is absent keeps the value that it has in `before`, but a
    webhook that does not act as a guest acts as the caller from now on.

    `before` None: a new webhook. Raises Invalid for a bad value, and InsufficientScope for types of things that the
    caller's token may not read.
    """
    name = short_text_cleaning.sentence(
        given(sent.name, before.name if before else ""), quiet=False
    )
    if short_text_cleaning.length(name) > MOST_NAME:
        raise Invalid("name", f"may have at most {MOST_NAME} characters")
    url = given(sent.url, before.url if before else "")
    if not 1 <= len(url) <= MOST_URL:
        raise Invalid("url", f"must have 1 to {MOST_URL} characters")
    kinds = before.kinds if before else list(KINDS)
    if not isinstance(sent.kinds, UnsetType):
        kinds = checked_kinds(sent.kinds)
    types = before.item_types if before else list(USUAL_TYPES)
    if not isinstance(sent.itemTypes, UnsetType):
        types = checked_types(sent.itemTypes)
    act_as = given(sent.actAs, ME if before is None or before.acts_as else AS_GUEST)
    if act_as not in (ME, AS_GUEST):
        raise Invalid("actAs", "must be me or guest", code=OUT_OF_RANGE)
    if act_as == AS_GUEST and itemtypes.HUDDLE in types:
        raise Invalid("itemTypes", "a guest takes part in no huddle", code=OUT_OF_RANGE)
    if act_as == AS_GUEST and not itemtypes.RECORDS.keys().isdisjoint(types):
        raise Invalid("itemTypes", "a guest sees no reports, cases and appeals", code=OUT_OF_RANGE)
    _check_scopes(ctx, types)
    return WebhookSettings(
        name=name,
        url=url,
        kinds=kinds,
        item_types=types,
        acts_as=ctx.identity.profile_id if act_as == ME else 0,
        with_documents=given(sent.documents, before.with_documents if before else False),
        is_enabled=given(sent.enabled, before.is_enabled if before else True),
    )


def _check_scopes(ctx: Context, types: list[int]) -> None:
    """Check that the caller's token has the scopes to read objects of these item types, and, with reports, cases or
    appeals among them, whatever these are about. Raises InsufficientScope.
    """
    granted = ctx.identity.scopes
    if granted is not None:
        for scope in reading_scopes(types):
            if scope not in granted:
                raise InsufficientScope(scope)


def _reach(ctx: Context, url: str) -> None:
    """Check that deliveries to `url` would be sent: its form is allowed and its host resolves to no inner address;
    blocks while the name is looked up. Raises Invalid.

    Gives back the request's connection, which rolls its transaction back: call it before anything is written or locked.
    """
    # Resolving a name may take seconds: the connection is free for others meanwhile. Nothing was written yet.
    ctx.writer.end()
    try:
        ctx.app.webhooks.check(url)
    except OutboundError as error:
        raise Invalid("url", str(error), code=OUT_OF_RANGE) from None


def _find(ctx: Context) -> Webhook:
    return known(Webhook.find(ctx.reader, ctx.site.id, ctx.args["webhook_id"]), "webhook")


def _lock(ctx: Context) -> Webhook:
    return known(Webhook.lock(ctx.writer, ctx.site.id, ctx.args["webhook_id"]), "webhook")
