"""Pages of polls: to read, to vote, to see the voters, and to begin and change one."""

from __future__ import annotations

from typing import Any

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.content.item_forms import CreateItemView, EditItemView
from forumapi.webclient.template_environment import plain
from forumapi.webclient.text_form import Writing
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit


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


class CreatePollView(CreateItemView):
    """Form of a new poll in a microcosm; `more` offers further lines."""

    kind = "poll"
    template = "poll_form.html"

    def body(self, visit: Visit, writing: Writing) -> dict[str, Any]:
        """Return the question with its choices, and how votes are taken and shown."""
        choices = [{"choice": text} for text in writing.fields["choice"] if text.strip()]
        return {**_body(writing), "choices": choices, "named": bool(writing.value("named"))}


class EditPollView(EditItemView):
    """Form of a poll that is there; the choices that are sent are all that stay."""

    kind = "poll"
    template = "poll_form.html"

    def fields(self, item: dict[str, Any]) -> dict[str, list[str]]:
        """Return the question with its choices, and how votes are taken and shown."""
        return {
            "question": [plain(item["question"])],
            "choice": [plain(one["choice"]) for one in item["choices"]],
            "choiceId": [str(one["id"]) for one in item["choices"]],
            "multi": ["1"] if item["multi"] else [],
            "results": [item.get("results", "always")],
            "closes": [str(item.get("pollCloses", ""))[:16]],
        }

    def body(self, visit: Visit, writing: Writing) -> dict[str, Any]:
        """Return the question, the choices with their ids, and how votes are taken and shown."""
        ids = writing.fields["choiceId"]
        choices: list[dict[str, Any]] = []
        for place, text in enumerate(writing.fields["choice"]):
            id = ids[place] if place < len(ids) else ""
            if text.strip():
                known = {"id": int(id)} if id.isdecimal() and len(id) < 19 else {}
                choices.append({**known, "choice": text})
        return {**_body(writing), "choices": choices}

    def words(self, visit: Visit, item: dict[str, Any]) -> str:
        """Return title, question and choices."""
        lines = (item["title"], item["question"], *(one["choice"] for one in item["choices"]))
        return "\n".join(plain(one) for one in lines)


def _body(writing: Writing) -> dict[str, Any]:
    closes = writing.value("closes")
    return {
        "question": writing.value("question"),
        "multi": bool(writing.value("multi")),
        "results": writing.value("results") or "always",
        "pollCloses": f"{closes}:00Z" if closes else "",
    }
