"""Pages of polls: to read, to vote, to see the voters, and to begin and change one."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.content.item_forms import begin, edit_reason
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit

FIELDS: Final = ("title", "question", "multi", "named", "results", "closes")
# Empty lines that a form offers beside the choices that are there.
SPARE: Final = 3


class PollsView(View):
    """Polls of the site."""

    def get(self, visit: Visit) -> Answer:
        """Show a page, those with the newest comments first."""
        found = visit.api.get("/polls", offset=visit.query.get("offset"))
        return visit.page("polls.html", polls=found["polls"])


class PollView(View):
    """Poll: its question, the form to vote, its results, and its comments."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Show it with a page of its comments."""
        return self.show(visit, item)

    def show(self, visit: Visit, item: int, failure: Failure | None = None) -> Answer:
        """Show it, perhaps with why a ballot was not taken."""
        found = visit.api.get(f"/polls/{item}", offset=visit.query.get("offset"))
        return visit.page(
            "poll.html",
            status=failure.status if failure else 200,
            item=found,
            kind="poll",
            failed_answer=failure,
        )


class VoteView(View):
    """Ballot of a member; without any choice it is withdrawn."""

    def post(self, visit: Visit, item: int) -> Answer:
        """Store it."""
        visit.member()
        chosen = visit.form.getlist("choice") if visit.form is not None else []
        body = [{"id": int(one)} for one in chosen if one.isascii() and one.isdigit()]
        try:
            visit.api.put(f"/polls/{item}/votes", body)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return PollView().show(visit, item, failure)
        return visit.redirect(f"/polls/{item}/#poll")


class VotersView(View):
    """Voters of a poll that names them."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Show a page."""
        poll = visit.api.get(f"/polls/{item}", limit=5)
        found = visit.api.get(f"/polls/{item}/votes", offset=visit.query.get("offset"))
        names = {choice["id"]: choice["choice"] for choice in poll["choices"]}
        return visit.page("voters.html", item=poll, votes=found["votes"], names=names)


class CreatePollView(View):
    """Form of a new poll in a microcosm."""

    def get(self, visit: Visit, microcosm: int) -> Answer:
        """Show it, empty."""
        visit.member()
        return self._show(visit, microcosm, {}, [])

    def post(self, visit: Visit, microcosm: int) -> Answer:
        """Create the poll, with what was written about it as its first comment; `more` offers further lines."""
        visit.member()
        typed = {name: visit.field(name) for name in (*FIELDS, "markdown")}
        choices = [text for _, text in _lines(visit)]
        if visit.field("do") == "more":
            return self._show(visit, microcosm, typed, choices)
        try:
            body = {"microcosmId": microcosm, **_body(typed)}
            body["choices"] = [{"choice": text} for text in choices]
            body["named"] = bool(typed["named"])
            return begin(visit, "poll", body, typed["markdown"])
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, microcosm, typed, choices, failure)

    def _show(
        self,
        visit: Visit,
        microcosm: int,
        typed: dict[str, str],
        choices: list[str],
        failure: Failure | None = None,
    ) -> Answer:
        place = visit.api.get(f"/microcosms/{microcosm}", limit=5)
        return visit.page(
            "poll_form.html",
            status=failure.status if failure else 200,
            place=place,
            item=None,
            typed=typed,
            choices=[("", text) for text in (*choices, *([""] * max(SPARE, 4 - len(choices))))],
            failure=failure,
            match="",
        )


class EditPollView(View):
    """Form of a poll that is there."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Show it as it is."""
        visit.member()
        found = visit.api.document(f"/polls/{item}", limit=5)
        typed = _typed(found.data)
        return self._show(visit, found.data, typed, _choices(found.data), found.etag)

    def post(self, visit: Visit, item: int) -> Answer:
        """Change it; the choices that are sent are all that stay."""
        visit.member()
        typed = {name: visit.field(name) for name in FIELDS}
        lines = _lines(visit)
        match = visit.field("match")
        try:
            if visit.field("do") == "more":
                found = visit.api.get(f"/polls/{item}", limit=5)
                return self._show(visit, found, typed, lines, match)
            body = _body(typed)
            body["choices"] = [
                {"id": int(id), "choice": text} if id.isdigit() else {"choice": text}
                for id, text in lines
            ]
            body["meta"] = {"editReason": edit_reason(visit)}
            visit.api.put(f"/polls/{item}", body, key=visit.field("key"), match=match)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            now = visit.api.document(f"/polls/{item}", limit=5)
            tag = now.etag if failure.status == 412 else match
            return self._show(visit, now.data, typed, lines, tag, failure)
        return visit.redirect(f"/polls/{item}/")

    def _show(
        self,
        visit: Visit,
        item: dict[str, Any],
        typed: dict[str, str],
        choices: list[tuple[str, str]],
        match: str,
        failure: Failure | None = None,
    ) -> Answer:
        return visit.page(
            "poll_form.html",
            status=failure.status if failure else 200,
            place=None,
            item=item,
            typed=typed,
            choices=[*choices, *([("", "")] * SPARE)],
            failure=failure,
            match=match,
        )


def _lines(visit: Visit) -> list[tuple[str, str]]:
    """Return the choices that were typed, each with its id, "" for a new one."""
    if visit.form is None:
        return []
    pairs = zip(visit.form.getlist("choiceId"), visit.form.getlist("choice"), strict=False)
    return [(id, text) for id, text in pairs if text.strip()]


def _body(typed: dict[str, str]) -> dict[str, Any]:
    return {
        "title": typed["title"],
        "question": typed["question"],
        "multi": bool(typed["multi"]),
        "results": typed["results"] or "always",
        "pollCloses": f"{typed['closes']}:00Z" if typed["closes"] else "",
    }


def _typed(item: dict[str, Any]) -> dict[str, str]:
    return {
        "title": item["title"],
        "question": item["question"],
        "multi": "1" if item["multi"] else "",
        "named": "1" if item.get("named") else "",
        "results": item.get("results", "always"),
        "closes": str(item.get("pollCloses", ""))[:16],
    }


def _choices(item: dict[str, Any]) -> list[tuple[str, str]]:
    return [(str(one["id"]), one["choice"]) for one in item["choices"]]
