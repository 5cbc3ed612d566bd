"""Pages of events and of their attendees: to read, to answer, to announce and change one, and as calendar files."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.content.item_forms import begin, edit_reason
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

# What a form asks for, in its order; the API has the rules.
FIELDS: Final = ("title", "day", "time", "tz", "hours", "where", "rsvpLimit")
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


class CreateEventView(View):
    """Form of a new event in a microcosm."""

    def get(self, visit: Visit, microcosm: int) -> Answer:
        """Show it, empty."""
        visit.member()
        day = (visit.now + timedelta(days=7)).strftime("%Y-%m-%d")
        return self._show(
            visit, microcosm, {"day": day, "time": "19:00", "tz": "UTC", "hours": "2"}
        )

    def post(self, visit: Visit, microcosm: int) -> Answer:
        """Create the event, with what was written about it as its first comment, and lead to it."""
        visit.member()
        typed = {name: visit.field(name) for name in (*FIELDS, "markdown")}
        try:
            body = {"microcosmId": microcosm, **_body(visit, typed)}
            return begin(visit, "event", body, typed["markdown"])
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, microcosm, typed, failure)

    def _show(
        self, visit: Visit, microcosm: int, typed: dict[str, str], failure: Failure | None = None
    ) -> Answer:
        place = visit.api.get(f"/microcosms/{microcosm}", limit=5)
        return visit.page(
            "event_form.html",
            status=failure.status if failure else 200,
            place=place,
            item=None,
            typed=typed,
            failure=failure,
            match="",
            other=None,
        )


class EditEventView(View):
    """Form of an event that is there."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Show it as it is."""
        visit.member()
        found = visit.api.document(f"/events/{item}", limit=5)
        return self._show(visit, found.data, _typed(found.data), found.etag)

    def post(self, visit: Visit, item: int) -> Answer:
        """Change it; where somebody else has changed it meanwhile, both versions are shown."""
        visit.member()
        typed = {name: visit.field(name) for name in (*FIELDS, "status")}
        match = visit.field("match")
        try:
            body = _body(visit, typed)
            body["meta"] = {"editReason": edit_reason(visit)}
            if typed["status"]:
                body["status"] = typed["status"]
            visit.api.put(f"/events/{item}", body, key=visit.field("key"), match=match)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            now = visit.api.document(f"/events/{item}", limit=5)
            is_conflict = failure.status == 412
            return self._show(
                visit,
                now.data,
                typed,
                now.etag if is_conflict else match,
                failure,
                _typed(now.data) if is_conflict else None,
            )
        return visit.redirect(f"/events/{item}/")

    def _show(
        self,
        visit: Visit,
        item: dict[str, Any],
        typed: dict[str, str],
        match: str,
        failure: Failure | None = None,
        other: dict[str, str] | None = None,
    ) -> Answer:
        return visit.page(
            "event_form.html",
            status=failure.status if failure else 200,
            place=None,
            item=item,
            typed=typed,
            failure=failure,
            match=match,
            other=other,
        )


def _body(visit: Visit, typed: dict[str, str]) -> dict[str, Any]:
    """Make the API's body of what was typed. Raises Failure for what is no number."""
    day, clock = typed["day"].strip(), typed["time"].strip() or "00:00"
    try:
        minutes = round(float(typed["hours"].replace(",", ".") or 0) * 60)
        limit = int(typed["rsvpLimit"] or 0)
    except (ValueError, OverflowError):
        text = visit.language.gettext("Hours and spaces must be numbers.")
        raise Failure(400, detail=text) from None
    return {
        "title": typed["title"],
        "when": f"{day}T{clock}:00" if day else "",
        "tz": typed["tz"].strip() or "UTC",
        "duration": minutes,
        "where": typed["where"],
        "rsvpLimit": limit,
    }


def _typed(item: dict[str, Any]) -> dict[str, str]:
    """Make the fields of a form of an event as the API has it."""
    when = str(item.get("when", ""))
    minutes = int(item.get("duration", 0))
    return {
        "title": item["title"],
        "day": when[:10],
        "time": when[11:16],
        "tz": item.get("tz", "UTC"),
        "hours": f"{minutes / 60:g}",
        "where": item.get("where", ""),
        "rsvpLimit": str(item.get("rsvpLimit", 0)),
        "status": "",
    }
