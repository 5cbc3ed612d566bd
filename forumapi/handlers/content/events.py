"""Events: items with a time and a place. Wire: docs/api/events.md."""

from __future__ import annotations

import functools
from typing import ClassVar

from msgspec import UNSET, UnsetType

from forumapi import itemtypes
from forumapi.handlers.content import item_base
from forumapi.handlers.content.item_base import ItemBody, ItemHandler, ItemsHandler
from forumapi.models.content import attendee
from forumapi.models.content.event import Event, EventDetails, after_put, checked
from forumapi.request.context import Context
from forumapi.request.handler import CREATE, READ, UPDATE, Param, needs
from forumapi.request.handler_results import Found, Result
from forumapi.wire.schemas.content import events as schemas


class EventBody(ItemBody):
    """An event as a client sends it (content 5.2). `when`: clock time in the zone `tz`, whatever offset is written with
    it, "" for none yet; `duration`: minutes; `where`, `lat`, `lon`: the place, `north` to `west`: the map around it;
    `rsvpLimit`: spaces, 0 for any number; `status`: read by PUT alone, `cancelled` or `postponed`; any other text
    restores the event.
    """

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

    model = Event
    allow = "OPTIONS,HEAD,GET,PUT,PATCH,DELETE"

    @needs(READ, answer=schemas.Event, paged=True)
    def get(self, ctx: Context) -> Result:
        """The event and a page of its comments, oldest first; marks the comments of that page as read."""
        return item_base.show(ctx)

    @needs(UPDATE, body=EventBody, status=302)
    def put(self, ctx: Context, sent: EventBody) -> Result:
        """Change the event, cancel it, or move it to another microcosm; keys that are not sent stay, meta.editReason is
        required.

        If there are more spaces than before, attendees on the waiting list get them. Answers 302 to the event.
        """
        tx, author = ctx.writer, ctx.author
        event = item_base.required(ctx, Event)
        change = item_base.change(ctx, sent)
        event.load_details(tx, ctx.site.id)
        event.details = after_put(sent, event.details)
        event.update(tx, author, change)
        attendee.promote_waiting(tx, author, event)
        item_base.hold_edited(ctx, event)
        return Found(event.href)


class EventsHandler(ItemsHandler):
    """The site's events, in all of its microcosms."""

    allow = "OPTIONS,POST,HEAD,GET"
    required_keys: ClassVar = {"POST": ("microcosmId", "title")}
    item_type = itemtypes.EVENT

    @needs(
        READ,
        answer=schemas.Events,
        paged=True,
        params=(
            item_base.IN_MICROCOSM,
            Param("isAttending", bool, "Only the events that the caller said yes to."),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """Events that the caller may read and does not ignore: sticky ones first, then the latest active; with
        `isAttending` only those to which the caller answered yes, with `microcosmId` only those directly in that
        microcosm, not those below it.
        """
        listing = item_base.ALL
        if ctx.flag("isAttending"):
            listing = item_base.Listing(attendee.EVENTS, attendee.COUNT_EVENTS)
        return item_base.list_items(ctx, self.item_type, "events", listing)

    @needs(CREATE, body=EventBody, status=302)
    def post(self, ctx: Context, sent: EventBody) -> Result:
        """Announce an event in a microcosm.

        If the same author announced an event there within the last five minutes, or the time that this installation
        sets, which is not deleted and equals this one in all but the duration, the answer leads to that one, and no
        other is announced. Answers 302 to the event.
        """
        details = checked(sent, EventDetails())
        return item_base.create(
            ctx, sent, self.item_type, functools.partial(Event, details=details)
        )
