"""Pages of events and of their attendees: to read, to answer, to announce and change one, and as calendar files."""

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
    """Events of the site in the order of their days: those to come, or with `past` those that were."""

    def get(self, visit: Visit) -> Answer:
        """Show a page."""
        is_past = "past" in visit.query
        today = visit.now.strftime("%Y-%m-%dT%H:%M")
        asked = {"eventBefore": today} if is_past else {"eventAfter": today}
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
    """Event: when, where, who comes, and its comments."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Show it with a page of its comments."""
        return self.show(visit, item)

    def show(self, visit: Visit, item: int, failure: Failure | None = None) -> Answer:
        """Show it, perhaps with why an answer to it was not taken."""
        found = visit.api.get(f"/events/{item}", offset=visit.query.get("offset"))
        attendees = visit.api.get(f"/events/{item}/attendees", status="attending")
        own = None
        if visit.me is not None:
            try:
                own = visit.api.get(f"/events/{item}/attendees/{visit.me['id']}")
            except Failure as missing:
                if missing.status != 404:
                    raise
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
    """Answer of a member: they come, perhaps, or don't; `waiting` waits for a space."""

    def post(self, visit: Visit, item: int) -> Answer:
        """Store the answer."""
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
    """Everybody who has answered."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Show a page."""
        event = visit.api.get(f"/events/{item}", limit=5)
        found = visit.api.get(f"/events/{item}/attendees", offset=visit.query.get("offset"))
        return visit.page("attendees.html", item=event, attendees=found["attendees"])


class AttendeesFileView(View):
    """Everybody who comes, for a spreadsheet."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Send the profiles that answered yes to the event, as a CSV attachment."""
        reply = visit.api.document(f"/events/{item}/attendeescsv")
        name = f'attachment; filename="attendees-{item}.csv"'
        return visit.send(
            reply.body, "text/csv; charset=utf-8", headers={"Content-Disposition": name}
        )


class CalendarView(View):
    """Event for a calendar program."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Send the event as an iCalendar attachment."""
        reply = visit.api.document(f"/events/{item}/ical")
        name = f'attachment; filename="event-{item}.ics"'
        return visit.send(
            reply.body, "text/calendar; charset=utf-8", headers={"Content-Disposition": name}
        )


class CreateEventView(CreateItemView):
    """Form of a new event in a microcosm."""

    kind = "event"
    template = "event_form.html"

    def begun(self, visit: Visit) -> Writing:
        """Propose an evening a week from now."""
        day = (visit.now + timedelta(days=7)).strftime("%Y-%m-%d")
        fields = {"day": [day], "time": ["19:00"], "tz": ["UTC"], "hours": ["2"]}
        return Writing(fields=fields)

    def body(self, visit: Visit, writing: Writing) -> dict[str, Any]:
        """Return when, where, and for how many. Raises Failure."""
        return _body(visit, writing)


class EditEventView(EditItemView):
    """Form of an event that is there."""

    kind = "event"
    template = "event_form.html"

    def fields(self, item: dict[str, Any]) -> dict[str, list[str]]:
        """Return when, where, and for how many."""
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
        """Return when, where, for how many, and, if it was said, that it takes place. Raises Failure."""
        made = _body(visit, writing)
        if writing.value("status"):
            made["status"] = writing.value("status")
        return made

    def words(self, visit: Visit, item: dict[str, Any]) -> str:
        """Return title, time and place."""
        stored = Writing(fields=self.fields(item))
        when = f"{stored.value('day')} {stored.value('time')} ({stored.value('tz')})"
        return "\n".join((plain(item["title"]), when, stored.value("where")))


def _body(visit: Visit, writing: Writing) -> dict[str, Any]:
    """Make the API's body of what was typed. Raises Failure for what is no number."""
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
