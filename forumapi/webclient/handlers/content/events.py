"""Pages of events: list, page, attendees, forms, and files for calendar programs and spreadsheets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.content.item_forms import CreateItemView, EditItemView
from forumapi.webclient.template_environment import plain
from forumapi.webclient.text_form import Writing
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

ANSWERS: Final = ("yes", "maybe", "no")


class EventsView(View):
    """List of the site's events: those that begin later than now, the next one first; with the query parameter `past`
    those that began before now, the latest first; with `mine` only those of them to which the member has answered yes;
    for guests `mine` changes nothing.
    """

    def get(self, visit: Visit) -> Answer:
        """List events from the query's `offset` on: those that begin later than now, the next one first, or with the
        query parameter `past` those that began before now, the latest first; with `mine` only those of them to which
        the member has answered yes; for guests `mine` changes nothing.
        """
        is_past = "past" in visit.query
        # "0" is now, to the microsecond; dates in a search are of whole minutes.
        asked = {"eventBefore": "0"} if is_past else {"eventAfter": "0"}
        found = visit.api.get(
            "/search",
            type="event",
            sort="newest" if is_past else "oldest",
            attendee="true" if "mine" in visit.query and visit.me else None,
            offset=visit.query.get("offset"),
            **asked,
        )
        return visit.page("events.html", found=found.get("results"), is_past=is_past)


class EventView(View):
    """Page of an event: time, place, people who attend, the member's own answer, and comments."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Show the event with the id `item`, and its comments from the query's `offset` on, oldest first. Raises
        Failure if the visitor may not read the event, and for an offset that the API refuses.
        """
        return self.show(visit, item)

    def show(self, visit: Visit, item: int, failure: Failure | None = None) -> Answer:
        """Show the page of the event with the id `item`. `failure`: the API's refusal of the member's answer, whose
        reason the page shows and whose status it has; None without a refusal (status 200). Raises Failure if the
        visitor may not read the event, and for an `offset` in the query that the API refuses.
        """
        found = visit.api.get(f"/events/{item}", offset=visit.query.get("offset"))
        attendees = visit.api.get(f"/events/{item}/attendees", status="attending")
        own = None
        if visit.me is not None:
            own = visit.api.find(f"/events/{item}/attendees/{visit.me['id']}")
        return visit.page(
            "event.html",
            status=failure.status if failure else 200,
            item=found,
            kind="event",
            attendees=attendees["attendees"],
            own=own,
            failed_answer=failure,
        )


class AttendView(View):
    """Storing of a member's answer to an event: `rsvp` is yes, maybe, no, or `waiting` for a place on a full event."""

    def post(self, visit: Visit, item: int) -> Answer:
        """Store the member's answer to the event with the id `item`, the field `rsvp`, in place of the former one, and
        lead back to the event; a refusal whose status is in FORM_REFUSALS (400, 403 and others) shows the event's page
        with reason and status of the refusal. Raises SignInFirst for guests, Refused with 400 if `rsvp` is not yes,
        maybe, no or waiting, Failure for other refusals, and for any if the member may not read the event.
        """
        me = visit.member()
        rsvp = visit.field("rsvp")
        if rsvp not in (*ANSWERS, "waiting"):
            raise Refused(400)
        body: dict[str, Any] = {"rsvp": "yes" if rsvp == "waiting" else rsvp}
        if rsvp == "waiting":
            body["waiting"] = True
        try:
            visit.api.put(f"/events/{item}/attendees/{me['id']}", body)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return EventView().show(visit, item, failure)
        return visit.redirect(f"/events/{item}/#attending")


class AttendeesView(View):
    """List of the profiles that have answered an event or were invited to it."""

    def get(self, visit: Visit, item: int) -> Answer:
        """List the attendees of the event with the id `item` from the query's `offset` on: by answer (yes, maybe,
        invited, no), then by the time of the answer, earliest first. Raises Failure if the visitor may not read the
        event.
        """
        event = visit.api.get(f"/events/{item}", limit=5)
        found = visit.api.get(f"/events/{item}/attendees", offset=visit.query.get("offset"))
        return visit.page("attendees.html", item=event, attendees=found["attendees"])


class AttendeesFileView(View):
    """Spreadsheet of the profiles that answered yes to an event."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Send the profiles that answered yes to the event with the id `item` as a CSV file, sorted by name. Raises
        Failure for visitors who are neither the event's owner nor moderate there nor own the site.
        """
        reply = visit.api.document(f"/events/{item}/attendeescsv")
        name = f'attachment; filename="attendees-{item}.csv"'
        return visit.send(
            reply.body, "text/csv; charset=utf-8", headers={"Content-Disposition": name}
        )


class CalendarView(View):
    """File of an event for calendar programs."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Send the event with the id `item` as an iCalendar file. Raises Failure for visitors who may not read the
        event.
        """
        reply = visit.api.document(f"/events/{item}/ical")
        name = f'attachment; filename="event-{item}.ics"'
        return visit.send(
            reply.body, "text/calendar; charset=utf-8", headers={"Content-Disposition": name}
        )


class CreateEventView(CreateItemView):
    """Form for a new event in a microcosm."""

    kind = "event"
    template = "event_form.html"

    def begun(self, visit: Visit) -> Writing:
        """Return a Writing whose `fields` hold what an empty form proposes: 19:00 UTC a week from today, for two hours;
        nothing else of the Writing is used.
        """
        day = (visit.now + timedelta(days=7)).strftime("%Y-%m-%d")
        fields = {"day": [day], "time": ["19:00"], "tz": ["UTC"], "hours": ["2"]}
        return Writing(fields=fields)

    def body(self, visit: Visit, writing: Writing) -> dict[str, Any]:
        """Return the API's fields of the event typed into the form `writing`: time, duration in minutes, place and the
        most people who can attend. Hours and that number are 0 if left empty; raises Failure with 400 if either is no
        number.
        """
        return _body(visit, writing)


class EditEventView(EditItemView):
    """Form for an existing event."""

    kind = "event"
    template = "event_form.html"

    def fields(self, item: dict[str, Any]) -> dict[str, list[str]]:
        """Return the form's fields for the stored event `item`, which is as the API shows it: day, time, time zone,
        duration in hours, place and the most people who can attend (0: any number).
        """
        when = str(item.get("when", ""))
        shown = {
            "day": when[:10],
            "time": when[11:16],
            "tz": item.get("tz", "UTC"),
            "hours": f"{int(item.get('duration', 0)) / 60:g}",
            "where": plain(item.get("where", "")),
            "rsvpLimit": str(item.get("rsvpLimit", 0)),
        }
        return {name: [text] for name, text in shown.items()}

    def body(self, visit: Visit, writing: Writing) -> dict[str, Any]:
        """Return the API's fields of the event typed into the form `writing`: time, duration in minutes, place, the
        most people who can attend and, if the form has it, `status`. Hours and that number are 0 if left empty; raises
        Failure with 400 if either is no number.
        """
        made = _body(visit, writing)
        if writing.value("status"):
            made["status"] = writing.value("status")
        return made

    def words(self, visit: Visit, item: dict[str, Any]) -> str:
        """Return title, time and place of the stored event `item`, which is as the API shows it, a line each, as plain
        text.
        """
        stored = Writing(fields=self.fields(item))
        when = f"{stored.value('day')} {stored.value('time')} ({stored.value('tz')})"
        return "\n".join((plain(item["title"]), when, stored.value("where")))


def _body(visit: Visit, writing: Writing) -> dict[str, Any]:
    """Return the API's fields of the event typed into the form `writing`: time, time zone, duration in minutes, place
    and the most people who can attend. Hours and the most people who can attend are 0 if left empty; raises Failure
    with 400 if either is no number.
    """
    day, clock = writing.value("day").strip(), writing.value("time").strip() or "00:00"
    try:
        minutes = round(float(writing.value("hours").replace(",", ".") or 0) * 60)
        limit = int(writing.value("rsvpLimit") or 0)
    except (ValueError, OverflowError):
        text = visit.language.gettext("Hours and spaces must be numbers.")
        raise Failure(400, detail=text) from None
    return {
        "when": f"{day}T{clock}:00" if day else "",
        "tz": writing.value("tz").strip() or "UTC",
        "duration": minutes,
        "where": writing.value("where"),
        "rsvpLimit": limit,
    }
