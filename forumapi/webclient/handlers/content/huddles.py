"""Pages of huddles: list, page with comments, forms to begin one, to add people and to leave; people are chosen by
name.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from forumapi.webclient.api import Failure
from forumapi.webclient.handlers.access.account import SHOWN
from forumapi.webclient.handlers.content.comments import in_context
from forumapi.webclient.template_environment import plain
from forumapi.webclient.text_form import Writing, once
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

# Names that one form resolves: each is a call of the API.
MOST_NAMES: Final = 20
# People that a beginning of a name may mean, for somebody to choose from.
MOST_MEANT: Final = 10


class HuddlesView(View):
    """List of the huddles that a member takes part in."""

    def get(self, visit: Visit) -> Answer:
        """List the member's huddles from the query's `offset` on, latest activity first; with the query parameter
        `unread` those alone that hold unread comments. Raises SignInFirst for guests.
        """
        visit.member()
        is_unread = "true" if visit.query.get("unread") else ""
        found = visit.api.get("/huddles", offset=visit.query.get("offset"), unread=is_unread)
        return visit.page("huddles.html", list=found["huddles"], is_unread=bool(is_unread))


class HuddlePageView(View):
    """Page of a huddle: participants, comments, and the forms to answer and to add people."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Show the huddle with the id `item`, and its comments from the query's `offset` on, oldest first; the first
        ones if the API refuses that offset. Raises Refused with 404 for members who take no part, Failure for other
        refusals.
        """
        return self.show(visit, item)

    def show(
        self,
        visit: Visit,
        item: int,
        *,
        people: People | None = None,
        failure: Failure | None = None,
    ) -> Answer:
        """Show the page of the huddle with the id `item`. `people`: contents of the page's form to add people, if
        adding them failed, else None; `failure`: the API's refusal to add them, None if it was not asked. The page has
        the refusal's status, else 400 with `people`, else 200. Raises Refused with 404 for members who take no part,
        Failure for other refusals.
        """
        try:
            found = visit.listed(f"/huddles/{item}")
        except Failure as refusal:
            raise huddle_refusal(visit, refusal) from None
        status = failure.status if failure else 200 if people is None else 400
        return visit.page(
            "huddle.html",
            status=status,
            item=found,
            kind="huddle",
            people=people or People(),
            failure=failure,
        )


class NewestHuddleCommentView(View):
    """Redirect to the first comment of a huddle that the participant has not read; to the newest comment if all are
    read.
    """

    def get(self, visit: Visit, item: int) -> Answer:
        """Redirect to the page that shows the first unread comment, or the newest one if all are read, of the huddle
        with the id `item`. Raises Refused with 404 for members who take no part, Failure for guests and other refusals.
        """
        found = for_participants(visit, f"/huddles/{item}/newcomment")
        return visit.redirect(in_context(found.location), status=302)


class BeginHuddleView(View):
    """Form for a new huddle: participants, title and first comment."""

    def get(self, visit: Visit) -> Answer:
        """Show the empty form; the profile whose id is the query parameter `to` is chosen as a participant, nobody if
        `to` is no number. Raises SignInFirst for guests, Failure for an id that the API refuses.
        """
        visit.member()
        people = People()
        wanted = visit.query.get("to", "")
        if typed_number(wanted) is not None:
            found = visit.api.get(f"/profiles/{wanted}")
            people.chosen[found["id"]] = plain(found["profileName"])
        return self._show(visit, people)

    def post(self, visit: Visit) -> Answer:
        """Begin the huddle, post its first comment and lead there. Names that could mean nobody or several people, more
        than MOST_NAMES (20) names, nobody but the member, no text and a refusal of the huddle whose status is 404 or in
        SHOWN (400, 401, 403 and others) show the form again. Raises SignInFirst for guests, Failure for other refusals.

        If the comment alone is refused, its text stands in the form on the new huddle's page.
        """
        me = visit.member()
        people = People.of_form(visit)
        people.chosen.pop(me["id"], None)
        text = visit.field("markdown")
        if people.is_unclear or not people.chosen:
            return self._show(visit, people)
        if not text.strip():
            return self._show(visit, people, is_empty=True)
        body = {
            "title": visit.field("title"),
            "isConfidential": bool(visit.field("isConfidential")),
            "participants": [{"id": one} for one in people.chosen],
        }
        key = visit.field("key")
        try:
            made = visit.api.post("/huddles", body, key=once(key, body))
        except Failure as failure:
            if failure.status not in (*SHOWN, 404):
                raise
            return self._show(visit, people, failure=failure)
        huddle = made.data["id"]
        comment = {"itemType": "huddle", "itemId": huddle, "markdown": text}
        try:
            visit.api.post("/comments", comment, key=once(key, comment))
        except Failure as failure:
            # The huddle is there: what was typed stands in its form.
            visit.writing = Writing(text=text)
            visit.writing.failed(failure)
            return visit.website.show_again(visit, f"/huddles/{huddle}/", visit.writing.status)
        return visit.redirect(f"/huddles/{huddle}/")

    def _show(
        self,
        visit: Visit,
        people: People,
        *,
        failure: Failure | None = None,
        is_empty: bool = False,
    ) -> Answer:
        is_sent = visit.method == "POST"
        return visit.page(
            "begin_huddle.html",
            status=failure.status if failure else 400 if is_sent else 200,
            people=people,
            failure=failure,
            is_sent=is_sent,
            is_empty=is_empty,
        )


class AddToHuddleView(View):
    """Adding of people to a huddle, by the form on its page."""

    def post(self, visit: Visit, item: int) -> Answer:
        """Add the people of the form as participants of the huddle with the id `item`, and lead to it; if names are
        unclear, missing or more than MOST_NAMES (20), or the API refuses to add them with 400, 403, 404, 429 or 503,
        show the huddle's page with the reason. Raises SignInFirst for guests, Refused with 404 if that page is shown to
        members who take no part, Failure for other refusals.
        """
        visit.member()
        people = People.of_form(visit)
        if people.is_unclear or not people.chosen:
            return HuddlePageView().show(visit, item, people=people)
        body = [{"id": one} for one in people.chosen]
        try:
            visit.api.put(f"/huddles/{item}/participants", body)
        except Failure as failure:
            if failure.status not in (400, 403, 404, 429, 503):
                raise
            return HuddlePageView().show(visit, item, people=people, failure=failure)
        return visit.redirect(f"/huddles/{item}/")


class LeaveHuddleView(View):
    """Form by which a participant leaves a huddle, for good."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Ask for confirmation to leave the huddle with the id `item`. Raises Refused with 404 for members who take no
        part, SignInFirst for guests, Failure for other refusals.
        """
        visit.member()
        found = for_participants(visit, f"/huddles/{item}", limit=5).data
        return visit.page("leave_huddle.html", item=found)

    def post(self, visit: Visit, item: int) -> Answer:
        """Take the member out of the huddle with the id `item`, and lead to the list of huddles. Raises Refused with
        404 for members who take no part, SignInFirst for guests, Failure for other refusals.
        """
        visit.member()
        try:
            visit.api.delete(f"/huddles/{item}")
        except Failure as failure:
            raise huddle_refusal(visit, failure) from None
        return visit.redirect("/huddles/")


# ---------------------------------------------------------------- people by name


class Meant(NamedTuple):
    """Name that was typed, and the first MOST_MEANT (10) profiles whose names begin with it, as the API shows them, for
    the person to choose from; [] if there are none.
    """

    name: str
    profiles: list[dict[str, Any]]


class People:
    """People chosen in one sent form: `chosen`, plain names by profile id; `unclear`, typed names that could mean no
    profile or several; `is_too_many`: more than MOST_NAMES names were typed, and none was looked up.
    """

    def __init__(self) -> None:
        self.chosen: dict[int, str] = {}
        self.unclear: list[Meant] = []
        self.is_too_many = False

    @property
    def is_unclear(self) -> bool:
        """Return True if the form has to be shown again, for names to be chosen or corrected."""
        return bool(self.unclear) or self.is_too_many

    @classmethod
    def of_form(cls, visit: Visit) -> People:
        """Read the sent form: profiles that were chosen (fields `person` and `person.N`: id, space, name; the first
        100), and names typed into `to` (separated by spaces, commas or semicolons; one that is repeated counts once),
        which are looked up unless they are more than MOST_NAMES (20). Raises Failure if the API refuses a look-up.
        """
        made = cls()
        sent = visit.form.items(multi=True) if visit.form is not None else ()
        picked = [value for name, value in sent if name.partition(".")[0] == "person"]
        for text in picked[:100]:
            id, _, name = text.partition(" ")
            if (known := typed_number(id)) is not None:
                made.chosen[known] = name[:100]
        names = dict.fromkeys(
            name.lstrip("@+")
            for name in re.split(r"[\s,;]+", visit.field("to"))
            if name.strip("@+")
        )
        made.is_too_many = len(names) > MOST_NAMES
        if made.is_too_many:
            return made
        for name in names:
            made._resolve(visit, name)
        return made

    def _resolve(self, visit: Visit, name: str) -> None:
        """Look a name up, and add what is found to `chosen` or `unclear`: a profile of exactly this name in any letter
        case, else the only profile whose name begins so, is chosen; else the name is unclear.
        """
        found = visit.api.get("/profiles", q=name, limit=MOST_MEANT)["profiles"]
        items = found["items"]
        exact = [one for one in items if plain(one["profileName"]).lower() == name.lower()]
        if len(exact) == 1 or found["total"] == 1:
            one = (exact or items)[0]
            self.chosen[one["id"]] = plain(one["profileName"])
        else:
            self.unclear.append(Meant(name, items))


# ---------------------------------------------------------------- what is there for participants alone


def for_participants(visit: Visit, path: str, **query: Any) -> Any:
    """GET `path` of the API, that of a huddle or below it, and return the answer, a Document. `query`: query parameters
    by name. Raises Refused with 404 for members who take no part, Failure for other refusals.
    """
    try:
        return visit.api.document(path, **query)
    except Failure as failure:
        raise huddle_refusal(visit, failure) from None


def huddle_refusal(visit: Visit, failure: Failure) -> Exception:
    """Return the exception to raise for a failed call about a huddle. For a member the exception is Refused with 404 in
    place of 403 and 404, so that nobody learns that the huddle exists; for guests, for banned members (error code 13)
    and for other statuses `failure` itself.
    """
    is_nothing = failure.status in (403, 404) and failure.code != 13
    return Refused(404) if is_nothing and visit.session.token else failure
