"""Attendees: the answers of profiles to an event. Wire: docs/api/events.md."""

from __future__ import annotations

import csv
import html
import io
from typing import Annotated, ClassVar, Final

from msgspec import UNSET, UnsetType

from forumapi import itemtypes
from forumapi.errors import (
    CLOSED,
    EVENT_OVER,
    NO_DELETE,
    NO_READ,
    NO_UPDATE,
    OUT_OF_RANGE,
    Forbidden,
    Invalid,
    NotFound,
    known,
)
from forumapi.handlers.content import item_base
from forumapi.models.access import permission_target
from forumapi.models.content import attendee, item_summary
from forumapi.models.content.attendee import EventAttendance, Rsvp
from forumapi.models.content.event import Event
from forumapi.models.people.profile_summary import SUMMARY as PEOPLE
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import MODERATOR, OWNER, SITE_OWNER, Target
from forumapi.request.context import Context, Located, LocatedObject
from forumapi.request.handler import CREATE, READ, Handler, Param, needs
from forumapi.request.handler_results import Done, Found, Page, RawResponse, Result
from forumapi.wire import body, paging
from forumapi.wire.body import Body
from forumapi.wire.openapi_enums import closed
from forumapi.wire.schemas.content import events as schemas

MAX_BATCH: Final = 1000
_STEWARDS: Final = OWNER | MODERATOR | SITE_OWNER


class AttendeeBody(Body):
    """Answer of a profile to an event (content 5.5). `waiting`, read with the answer yes: join the waiting list if all
    spaces are taken, as a maybe until a space is free. `profileId`: the profile that answers, required in a list of
    answers, also for the caller's own, and not read elsewhere.
    """

    profileId: int | UnsetType = UNSET
    rsvp: Annotated[str, closed(attendee.STATES)] | UnsetType = UNSET
    waiting: bool | UnsetType = UNSET


def _locate_event(ctx: Context) -> Located:
    """Find the event that the address names; a write locks it. A missing one is located too, in no microcosm.

    The event is located without its version, which is not that of the attendees, so that If-Match is ignored.
    """
    if ctx.is_write:
        located: Located = item_base.locate_locked(ctx, Event)
        located.version = 0
        return located
    named = ctx.args["item"]
    place = permission_target.find(
        ctx.reader, ctx.site.id, ctx.tree, ctx.identity.principal, named.type, named.id
    )
    return Located(place.target, is_hidden=place.is_hidden)


def _rsvp(ctx: Context, sent: AttendeeBody, profile_id: int) -> Rsvp:
    """Return the checked answer that a body gives for `profile_id`; without `rsvp` in the body it is "invited".

    Raises Invalid for an unknown answer. Raises Forbidden for another profile than the caller's, unless the caller is
    the event's owner, a moderator or the site's owner and the answer is not "yes" (content 5.5).
    """
    rsvp = body.given(sent.rsvp, "") or "invited"
    state = attendee.STATES.get(rsvp)
    if state is None:
        raise Invalid("rsvp", "must be one of: yes, maybe, invited, no")
    if profile_id != ctx.identity.profile_id:
        if not ctx.can & _STEWARDS:
            raise Forbidden("You may only answer for yourself", code=NO_UPDATE)
        if state == attendee.YES:
            raise Forbidden("Only the invited profile itself may answer yes", code=NO_UPDATE)
    return Rsvp(profile_id, state, body.given(sent.waiting, False))


def _open_event(ctx: Context) -> Event:
    """Return the locked event with its details. Raises NotFound if there is none, Invalid if it is over, or closed and
    the caller no moderator (C-12, content 5.5).
    """
    event = item_base.required(ctx, Event)
    event.load_details(ctx.writer, ctx.site.id)
    if not event.is_open and not ctx.can & MODERATOR:
        raise Invalid("", "This event is closed", code=CLOSED)
    if event.details.is_over:
        raise Invalid("", "This event is over", code=EVENT_OVER)
    return event


class AttendeesHandler(Handler):
    """The answers to one event: their list, and storing several at once."""

    allow = "OPTIONS,PUT,HEAD,GET"

    def locate(self, ctx: Context) -> Located:
        return _locate_event(ctx)

    @needs(
        READ,
        answer=schemas.Attendees,
        paged=True,
        params=(
            Param("status", str, "`attending` lists only those who said yes.", ("attending",)),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """The attendees, sorted by answer (yes, maybe, invited, no), then by the time of the answer, earliest first;
        with `status=attending` only those who answered yes.

        404 for an event that is hidden from the caller; 403 for one that the caller may not read, or that never
        existed, but for the site's owner 404.
        """
        event_id, at, site_id = ctx.args["item"].id, ctx.paging, ctx.site.id
        if not ctx.target.microcosm_id:
            raise NotFound("There is no such event")
        attending = ctx.query.get("status") == "attending"
        total, attendees = attendee.page(ctx.reader, site_id, event_id, at, attending=attending)
        paging.check(total, at)
        permission = evaluator.as_json(ctx.can)

        def build() -> bytes:
            wanted = {PEOPLE: attendee.people(attendees)}
            people = ctx.app.documents.fetch(ctx.reader, site_id, wanted)[PEOPLE]
            entries = [attendee.document(event_id, answer, people) for answer in attendees]
            page = ctx.page(b"[%b]" % b",".join(entries), total, "/api/v1/events/0/attendees")
            here = paging.href(ctx.path, ctx.pairs)
            return item_summary.listed("attendees", page, here, permission)

        return Page(
            0, ([answer.stamp for answer in attendees], total, ctx.can, ctx.query_string), build
        )

    @needs(CREATE, body=list[AttendeeBody])
    def put(self, ctx: Context, sent: list[AttendeeBody]) -> Result:
        """Store answers of the caller or, for the event's owner, moderators and the site's owner, of other profiles:
        all or none.

        Of two answers for one profile the last is stored. Only a profile itself may answer yes, which makes it follow
        the event. 403 for a yes for another profile and, unless the caller is the event's owner, a moderator or the
        site's owner, for any answer for another. 404 for an unknown profile. 400 for a yes without `waiting` once all
        spaces are taken, for no answers and for more than 1,000, for an event that is over, and for a closed one unless
        the caller moderates it. Answers 200 with `data` null.
        """
        if not sent:
            raise Invalid("body", "must have at least one answer")
        if len(sent) > MAX_BATCH:
            raise Invalid("body", f"may hold at most {MAX_BATCH} answers", code=OUT_OF_RANGE)
        rsvps = [_rsvp(ctx, answer, body.given(answer.profileId, 0)) for answer in sent]
        attendee.store_answers(ctx.writer, ctx.author, _open_event(ctx), rsvps)
        return Done()


class LocatedAttendee(LocatedObject[EventAttendance]):
    """Event that the address names, with the answer to it by the profile that the address names; read without a lock.

    `object` None: there is no event; `object.attendee` None: the profile has not answered.
    """

    noun = "attendee"


class AttendeeHandler(Handler):
    """The answer of one profile to one event.

    Permission is checked on the event first, so that an event the caller may not read looks like one that never existed
    (C-01); then on the answer itself.
    """

    allow = "OPTIONS,HEAD,GET,PUT,DELETE"
    required_keys: ClassVar = {"PUT": ("rsvp",)}

    def locate(self, ctx: Context) -> Located:
        if ctx.is_write:
            return _locate_event(ctx)
        event_id = ctx.args["item"].id
        attendance = attendee.find(ctx.reader, ctx.site.id, event_id, ctx.args["profileId"].id)
        if attendance is None:
            return LocatedAttendee(None, Target(itemtypes.EVENT, event_id))
        is_live = permission_target.is_live(ctx.tree, attendance.microcosm_id)
        is_hidden = attendance.is_hidden or not is_live
        return LocatedAttendee(attendance, attendance.target(event_id), is_hidden=is_hidden)

    @needs(READ, answer=schemas.AttendeeDetail)
    def get(self, ctx: Context) -> Result:
        """The answer to the event by the profile in the address; 404 while the profile has not answered."""
        event_id = ctx.args["item"].id
        attendance = ctx.located_as(LocatedAttendee).required()
        answer = known(attendance.attendee, "attendee")
        can = self._can(ctx, attendance)
        if not can & evaluator.READ:
            raise Forbidden("You may not read this", code=NO_READ)
        permission = evaluator.as_json(can)

        def build() -> bytes:
            wanted = {PEOPLE: attendee.people([answer])}
            people = ctx.app.documents.fetch(ctx.reader, ctx.site.id, wanted)[PEOPLE]
            return attendee.document(event_id, answer, people, permission)

        return Page(0, (event_id, answer.stamp, can), build)

    @staticmethod
    def _can(ctx: Context, attendance: EventAttendance) -> evaluator.PermissionSet:
        me = ctx.identity.profile_id
        target = attendance.attendee_target(ctx.args["profileId"].id, me)
        return evaluator.effective(ctx.identity.principal, target, ctx.tree)

    @needs(CREATE, body=AttendeeBody, status=302)
    def put(self, ctx: Context, sent: AttendeeBody) -> Result:
        """Store the answer of the profile in the address: the caller's own or, for the event's owner, moderators and
        the site's owner, another's.

        Only a profile itself may answer yes, which makes it follow the event. 403 for a yes for another profile and,
        unless the caller is the event's owner, a moderator or the site's owner, for any answer for another. 404 for an
        unknown profile. 400 for a yes without `waiting` once all spaces are taken, for an event that is over, and for a
        closed one unless the caller moderates it. Answers 302 to the answer.
        """
        rsvp = _rsvp(ctx, sent, ctx.args["profileId"].id)
        attendee.store_answers(ctx.writer, ctx.author, _open_event(ctx), [rsvp])
        return Found(ctx.path)

    @needs(READ)
    def delete(self, ctx: Context) -> Result:
        """Withdraw the answer of the profile in the address; 200 also if the profile has not answered, and if the event
        is hidden from the caller, when the answer stays.

        For the profile itself, and for those with the right `delete` in the event's microcosm; others get 403. An
        answer to an event that is over stays, as does one to a closed event unless the caller moderates it: 400.
        """
        event_id, profile_id = ctx.args["item"].id, ctx.args["profileId"].id
        item_base.required(ctx, Event)
        attendance = attendee.find(ctx.reader, ctx.site.id, event_id, profile_id)
        assert attendance is not None  # its item is locked
        if not self._can(ctx, attendance) & evaluator.DELETE:
            raise Forbidden("You may not delete this", code=NO_DELETE)
        if attendance.attendee is not None:
            attendance.attendee.delete(ctx.writer, ctx.author, _open_event(ctx))
        return Done()


# A spreadsheet would evaluate a value that begins with one of these as a formula (C-30).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


class AttendeesCsvHandler(Handler):
    """Profiles that answered yes to an event, as CSV, for a spreadsheet."""

    allow = "OPTIONS,HEAD,GET"

    def locate(self, ctx: Context) -> Located:
        return _locate_event(ctx)

    @needs(READ, media_type="text/csv")
    def get(self, ctx: Context) -> Result:
        """The profiles that answered yes, as CSV, sorted by name: name, profile id, e-mail address and time of the
        answer (UTC) of each; an apostrophe stands before what a spreadsheet would take for a formula.

        For the event's owner, moderators and the site's owner; others get 403. The site's owner gets the e-mail
        addresses of all, other people's in the form that identifies an account (lower case, at Gmail without dots);
        other callers get their own address alone, and empty cells for the rest.
        """
        if not ctx.can & _STEWARDS:
            raise Forbidden("Only those who may edit this event may do this", code=NO_READ)
        event_id = ctx.args["item"].id
        if not ctx.target.microcosm_id:
            raise NotFound("There is no such event")
        out = io.StringIO()
        out.write("name,id,email,date\r\n")
        writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
        me = ctx.identity.profile_id
        sees_all = ctx.can & SITE_OWNER
        for name, id, email, date in attendee.csv_rows(ctx.reader, ctx.site.id, event_id, me):
            if not sees_all and id != me:
                email = ""
            writer.writerow(
                (_cell(html.unescape(name)), id, _cell(email), f"{date:%Y-%m-%dT%H:%M:%SZ}")
            )
        headers = (
            ("Content-Disposition", f"attachment; filename=event{event_id}.csv"),
            ("Cache-Control", "no-cache, max-age=0"),
        )
        return RawResponse(out.getvalue().encode(), "text/csv", headers)
