"""Calendars: events as iCalendar, to which calendar programs subscribe. Wire: docs/api/events.md."""

from __future__ import annotations

import hashlib
from typing import Final

from forumapi import itemtypes
from forumapi.database.query import Row
from forumapi.errors import NotFound, known
from forumapi.models.access import permission_target
from forumapi.models.content import calendar
from forumapi.request.context import Context, Located
from forumapi.request.handler import READ, Handler, needs
from forumapi.request.handler_results import RawResponse, Result
from forumapi.text import icalendar as ical

_MEDIA: Final = "text/calendar; charset=utf-8"


def _answer(ctx: Context, name: str, rows: list[Row]) -> RawResponse:
    """Answer with a calendar of the title `name` that holds the events in `rows`, as functions of
    models/content/calendar.py return them; with an entity tag, for 304.
    """
    site, named = ctx.site, ctx.args["item"]
    entries = [calendar.entry(row, site.page, site.host) for row in rows]
    tag = hashlib.sha1(repr((name, entries)).encode(), usedforsecurity=False).hexdigest()
    file = f"{itemtypes.name_of(named.type)}{named.id}.ics"
    headers = (("Content-Disposition", f"inline; filename={file}"), ("ETag", f'"{tag}"'))
    return RawResponse(ical.render(name, entries), _MEDIA, headers)


class CalendarHandler(Handler):
    """Base class of handlers that answer with events as iCalendar; locates the event, microcosm or profile in the
    address, without a lock.
    """

    tags_bare_answers = True

    def locate(self, ctx: Context) -> Located:
        named = ctx.args["item"]
        place = permission_target.find(
            ctx.reader, ctx.site.id, ctx.tree, ctx.identity.principal, named.type, named.id
        )
        return Located(place.target, is_hidden=place.is_hidden)


class EventCalendarHandler(CalendarHandler):
    """One event as iCalendar."""

    allow = "OPTIONS,HEAD,GET"

    @needs(READ, media_type=_MEDIA)
    def get(self, ctx: Context) -> Result:
        """The event as iCalendar; 404 while it has no time."""
        rows = calendar.one(ctx.reader, ctx.site.id, ctx.args["item"].id)
        if not rows:
            raise NotFound("This event has no time yet")
        return _answer(ctx, rows[0][1], rows)


class MicrocosmCalendarHandler(CalendarHandler):
    """The events of a microcosm and its descendants as iCalendar."""

    allow = "OPTIONS,HEAD,GET"

    @needs(READ, media_type=_MEDIA)
    def get(self, ctx: Context) -> Result:
        """Events in the microcosm and its descendants that the caller may read and does not ignore.

        At most 1,000: events to come, the soonest first, then events that began within the last year, the latest first.
        """
        node = known(ctx.tree.nodes.get(ctx.args["item"].id), "microcosm")
        listable = ctx.listable.set
        inside = [id for id in node.subtree if id in listable]
        rows = calendar.of_microcosms(ctx.reader, ctx.site.id, inside, ctx.identity.ignored_items)
        return _answer(ctx, node.title, rows)


class ProfileCalendarHandler(CalendarHandler):
    """The events to which a profile answered yes, as iCalendar."""

    allow = "OPTIONS,HEAD,GET"

    @needs(READ, media_type=_MEDIA)
    def get(self, ctx: Context) -> Result:
        """Events to which the profile answered yes, and which the caller may read and does not ignore.

        At most 1,000: events to come, the soonest first, then events that began within the last year, the latest first.
        404 if there is no such profile.
        """
        id, ignored = ctx.args["item"].id, ctx.identity.ignored_items
        if not ctx.target.owner_ids:
            raise NotFound("There is no such profile")
        rows = calendar.of_profile(ctx.reader, ctx.site.id, id, ctx.listable.ids, ignored)
        return _answer(ctx, ctx.site.title, rows)
