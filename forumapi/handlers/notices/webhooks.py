"""Webhooks of a site, for its owner. Wire: docs/api/webhooks.md."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import OUT_OF_RANGE, InsufficientScope, Invalid, NotFound
from forumapi.handlers.access.access_lists import known, listed, note
from forumapi.models.journal import journal
from forumapi.models.notices import webhook, webhook_delivery
from forumapi.models.notices.webhook import Settings, Webhook
from forumapi.outbound.safe_http_client import OutboundError
from forumapi.request.context import Context
from forumapi.request.handler import (
    OWNER,
    Handler,
    Param,
    needs,
)
from forumapi.request.response import (
    Data,
    Done,
    Found,
    Result,
)
from forumapi.text import clean
from forumapi.wire import schemas
from forumapi.wire.body import given
from forumapi.wire.json_fragments import dumps

_PATH: Final = "/api/v1/webhooks"
ME: Final = "me"
AS_GUEST: Final = "guest"


class WebhookBody(Struct):
    """A webhook. `actAs`: `me` (what the caller may see) or `guest`."""

    name: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    kinds: list[str] | UnsetType = UNSET
    itemTypes: list[str] | UnsetType = UNSET
    actAs: str | UnsetType = UNSET
    documents: bool | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class SecretBody(Struct):
    """How a secret is replaced. `keepOld`: the old one signs as well for 24 hours; true when left out."""

    keepOld: bool | UnsetType = UNSET


class ReplayBody(Struct):
    """What is sent again: the dead letter `id`, or those from the cursor `first` to `last`; `everything`: also what was
    delivered."""

    id: str | UnsetType = UNSET
    first: str | UnsetType = UNSET
    last: str | UnsetType = UNSET
    everything: bool | UnsetType = UNSET


class WebhooksHandler(Handler):
    """The webhooks of this site."""

    allow = "OPTIONS,GET,HEAD,POST"
    takes_idempotency_key = False
    required_keys = {"POST": ("url",)}

    @needs(OWNER, answer=schemas.Webhooks, paged=True)
    def get(self, ctx: Context) -> Result:
        """The webhooks, oldest first, without their secrets."""
        found, total = webhook.page(ctx.reader, ctx.site.id, ctx.paging)
        items = dumps([_document(ctx, one) for one in found])
        return listed(ctx, "webhooks", items, total, _PATH)

    @needs(OWNER, body=WebhookBody, answer=schemas.Webhook)
    def post(self, ctx: Context) -> Result:
        """Register a webhook at `url`. It is told of what happens from now on; the answer alone has its secret."""
        settings = _settings(ctx, None)
        _reach(ctx, settings.url)
        id, secret = webhook.insert(ctx.writer, ctx.site.id, ctx.identity.profile_id, settings)
        note(ctx, journal.CREATED, id)
        return Data(dumps(_document(ctx, _find(ctx, id), secret)))


class WebhookHandler(Handler):
    """One webhook of this site."""

    allow = "OPTIONS,GET,HEAD,PUT,DELETE"

    @needs(OWNER, answer=schemas.Webhook)
    def get(self, ctx: Context) -> Result:
        """The webhook, and how its deliveries go, without its secret."""
        return Data(dumps(_document(ctx, _find(ctx, ctx.args["webhook_id"]))))

    @needs(OWNER, body=WebhookBody, status=302)
    def put(self, ctx: Context) -> Result:
        """Change it, or enable it again. Unless it acts as a guest, it acts as whoever changed it last."""
        before = _find(ctx, ctx.args["webhook_id"])
        url = _settings(ctx, before).url
        if url != before.url:
            _reach(ctx, url)
        found = _lock(ctx)
        # Another request may have changed it while the address was looked up: what that set stays.
        webhook.update(ctx.writer, ctx.site.id, found, _settings(ctx, found))
        note(ctx, journal.REPLACED, found.id)
        return Found(f"{_PATH}/{found.id}")

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Delete it, with all that waits for it."""
        found = _lock(ctx)
        webhook.delete(ctx.writer, ctx.site.id, found)
        note(ctx, journal.DELETED, found.id)
        return Done()


class WebhookSecretHandler(Handler):
    """The secret of a webhook."""

    allow = "OPTIONS,POST"
    takes_idempotency_key = False

    @needs(OWNER, body=SecretBody, answer=schemas.Webhook)
    def post(self, ctx: Context) -> Result:
        """Make a new secret, which the answer has. For 24 hours the old one signs too, unless `keepOld` is false."""
        found = _lock(ctx)
        sent: SecretBody = ctx.body
        keep = given(sent.keepOld, True)
        secret = webhook.rotate(ctx.writer, ctx.site.id, found, keep=keep)
        note(ctx, journal.PATCHED, found.id)
        return Data(dumps(_document(ctx, found, secret)))


class WebhookPingHandler(Handler):
    """Trying a webhook out."""

    allow = "OPTIONS,POST"

    @needs(OWNER)
    def post(self, ctx: Context) -> Result:
        """Send a test within a second or two, also while the webhook is paused; its deliveries say what came of it."""
        found = _lock(ctx)
        webhook_delivery.ping(ctx.writer, ctx.site.id, found.id)
        ctx.writer.after_commit(ctx.app.webhooks.wake)
        return Done()


class WebhookDeliveriesHandler(Handler):
    """What waits for a webhook, and what it did not get."""

    allow = "OPTIONS,GET,HEAD"

    @needs(
        OWNER,
        answer=schemas.WebhookDeliveries,
        paged=True,
        params=(
            Param("state", str, "`dead` (when left out), `queued`, or `sent`: tests of a week."),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """Deliveries in a state, lowest cursor first. Those of huddles are shown to whom the webhook acts as."""
        found = _find(ctx, ctx.args["webhook_id"])
        state = ctx.query.get("state", webhook_delivery.DEAD)
        if state not in webhook_delivery.STATES:
            raise Invalid("state", "must be dead, queued or sent", code=OUT_OF_RANGE)
        rows, total = webhook_delivery.page(
            ctx.reader,
            ctx.site.id,
            found.id,
            state,
            ctx.paging,
            viewer=ctx.identity.principal.participant_id,
        )
        items = dumps([webhook_delivery.document(row, _cursor(ctx, row[1])) for row in rows])
        return listed(ctx, "deliveries", items, total, f"{_PATH}/{found.id}/deliveries")


class WebhookReplayHandler(Handler):
    """Sending again."""

    allow = "OPTIONS,POST"

    @needs(OWNER, body=ReplayBody, answer=schemas.WebhookReplay)
    def post(self, ctx: Context) -> Result:
        """Send again: the dead letter `id`, or all from `first` to `last`; with `everything` also what was delivered,
        as far as the log has it."""
        found = _lock(ctx)
        sent: ReplayBody = ctx.body
        if not found.is_enabled:
            raise Invalid("", "The webhook is disabled: enable it first")
        viewer = ctx.identity.principal.participant_id
        if not isinstance(sent.id, UnsetType):
            if not webhook_delivery.replay_one(
                ctx.writer, ctx.site.id, found.id, sent.id, viewer=viewer
            ):
                raise NotFound("There is no such dead letter")
            return _replayed(ctx, 1, None)
        first, last = _number(ctx, "first", sent.first), _number(ctx, "last", sent.last)
        count, reached = webhook_delivery.replay(
            ctx.writer,
            ctx.site.id,
            found.id,
            first,
            last,
            everything=given(sent.everything, False),
            viewer=viewer,
        )
        return _replayed(ctx, count, reached + 1 if reached < last else None)


def _replayed(ctx: Context, count: int, following: int | None) -> Data:
    ctx.writer.after_commit(ctx.app.webhooks.wake)
    following_cursor = None if following is None else _cursor(ctx, following)
    return Data(dumps({"replayed": count, "next": following_cursor}))


def _document(ctx: Context, found: Webhook, secret: str = "") -> dict[str, object]:
    missed = None
    if found.missed_from:
        missed = {
            "first": _cursor(ctx, found.missed_from),
            "last": _cursor(ctx, found.missed_upto),
        }
    return webhook.document(found, missed, secret)


def _cursor(ctx: Context, number: int) -> str:
    """The cursor of an event, as live frames have it; "" for a test."""
    return ctx.app.live.cursors.make(ctx.site.id, number) if number > 0 else ""


def _number(ctx: Context, name: str, text: str | UnsetType) -> int:
    if isinstance(text, UnsetType):
        raise Invalid(name, "is needed, unless id names one dead letter")
    number = ctx.app.live.cursors.read(ctx.site.id, text)
    if number is None:
        raise Invalid(name, "is not a cursor of this site", code=OUT_OF_RANGE)
    return number


def _settings(ctx: Context, before: Webhook | None) -> Settings:
    """What was sent, over what was there before. Raises Invalid, InsufficientScope."""
    sent: WebhookBody = ctx.body
    name = clean.sentence(given(sent.name, before.name if before else ""), quiet=False)
    if clean.length(name) > webhook.MOST_NAME:
        raise Invalid("name", f"may have at most {webhook.MOST_NAME} characters")
    url = given(sent.url, before.url if before else "")
    if not 1 <= len(url) <= webhook.MOST_URL:
        raise Invalid("url", f"must have 1 to {webhook.MOST_URL} characters")
    kinds = before.kinds if before else list(webhook.KINDS)
    if not isinstance(sent.kinds, UnsetType):
        kinds = webhook.checked_kinds(sent.kinds)
    types = before.item_types if before else list(webhook.USUAL_TYPES)
    if not isinstance(sent.itemTypes, UnsetType):
        types = webhook.checked_types(sent.itemTypes)
    act_as = given(sent.actAs, ME if before is None or before.acts_as else AS_GUEST)
    if act_as not in (ME, AS_GUEST):
        raise Invalid("actAs", "must be me or guest", code=OUT_OF_RANGE)
    if act_as == AS_GUEST and itemtypes.HUDDLE in types:
        raise Invalid("itemTypes", "a guest takes part in no huddle", code=OUT_OF_RANGE)
    _check_scopes(ctx, types)
    return Settings(
        name=name,
        url=url,
        kinds=kinds,
        item_types=types,
        acts_as=ctx.identity.profile_id if act_as == ME else 0,
        with_documents=given(sent.documents, before.with_documents if before else False),
        is_enabled=given(sent.enabled, before.is_enabled if before else True),
    )


def _check_scopes(ctx: Context, types: list[int]) -> None:
    """Raises InsufficientScope where a limited token would have things told of that it may not read itself."""
    granted = ctx.identity.scopes
    if granted is not None:
        for scope in webhook.reading_scopes(types):
            if scope not in granted:
                raise InsufficientScope(scope)


def _reach(ctx: Context, url: str) -> None:
    """Raises Invalid for an address that nothing would be sent to."""
    # Resolving a name may take seconds: nobody should wait for this connection meanwhile. Only reading was done.
    ctx.writer.end()
    try:
        ctx.app.webhooks.check(url)
    except OutboundError as error:
        raise Invalid("url", str(error), code=OUT_OF_RANGE) from None


def _find(ctx: Context, id: int) -> Webhook:
    return known(webhook.find(ctx.reader, ctx.site.id, id), "webhook")


def _lock(ctx: Context) -> Webhook:
    return known(webhook.lock(ctx.writer, ctx.site.id, ctx.args["webhook_id"]), "webhook")
