"""Events: items with a time and a place. Wire: docs/api/events.md."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from forumapi import itemtypes
from forumapi.handlers.content import items
from forumapi.handlers.content.items import ItemBody, ItemHandler, ItemsHandler
from forumapi.models.content import attendee, event_writing, item
from forumapi.models.content.event_writing import Stored
from forumapi.request.context import Context
from forumapi.request.handler import (
    CREATE,
    READ,
    UPDATE,
    Param,
    needs,
)
from forumapi.request.response import Result
from forumapi.wire import schemas


class EventBody(ItemBody):
    """An event as a client sends it (content 5.2)."""

    when: str | UnsetType = UNSET
    tz: str | UnsetType = UNSET
    duration: int | UnsetType = UNSET
    where: str | UnsetType = UNSET
    lat: float | UnsetType = UNSET
    lon: float | UnsetType = UNSET
    north: float | UnsetType = UNSET
    east: float | UnsetType = UNSET
    south: float | UnsetType = UNSET
    west: float | UnsetType = UNSET
    rsvpLimit: int | UnsetType = UNSET
    status: str | UnsetType = UNSET


class EventHandler(ItemHandler):
    """One event with a page of its comments."""

    allow = "OPTIONS,HEAD,GET,PUT,PATCH,DELETE"

    @needs(READ, answer=schemas.Event, paged=True)
    def get(self, ctx: Context) -> Result:
        """The event and a page of its comments, oldest first; reading marks it read."""
        return items.show(ctx)

    @needs(UPDATE, body=EventBody, status=302)
    def put(self, ctx: Context) -> Result:
        """Change the event, call it off or move it to another microcosm; needs meta.editReason. Who waits for a space
        moves up if there are more of them now."""
        found = items.required(ctx)
        change = items.change(ctx)
        tx, author = ctx.writer, ctx.author
        made = event_writing.after_put(ctx.body, event_writing.stored(tx, ctx.site.id, found.id))
        item.update(tx, author, found, *change)
        event_writing.update(tx, ctx.site.id, found.id, made)
        after = event_writing.stored(tx, ctx.site.id, found.id)
        place = attendee.Place(found.id, change.microcosm_id, after.rsvp_limit, after.is_over)
        attendee.settle(tx, author, place)
        return items.here(ctx)


class EventsHandler(ItemsHandler):
    """The site's events, across its microcosms."""

    allow = "OPTIONS,POST,HEAD,GET"
    required_keys: ClassVar = {"POST": ("microcosmId", "title")}
    item_type = itemtypes.EVENT

    @needs(
        READ,
        answer=schemas.Events,
        paged=True,
        params=(Param("isAttending", bool, "Only the events that the caller said yes to."),),
    )
    def get(self, ctx: Context) -> Result:
        """Sticky ones first, then by last activity; only what the caller may read and does not ignore."""
        listing = items.ALL
        if ctx.flag("isAttending"):
            listing = items.Listing(attendee.EVENTS, attendee.COUNT_EVENTS)
        return items.list_items(ctx, self.item_type, "events", listing)

    @needs(CREATE, body=EventBody, status=302)
    def post(self, ctx: Context) -> Result:
        """Announce an event. The same one again within minutes leads to the first."""
        made = event_writing.checked(ctx.body, Stored())
        return items.create(ctx, self.item_type, event_writing.new(made))
