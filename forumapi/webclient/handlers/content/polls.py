"""Pages of polls: list, page with the form to vote, voters, and the forms to create and edit one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from forumapi.webclient.api import FORM_REFUSALS, Failure
from forumapi.webclient.handlers.content.item_forms import CreateItemView, EditItemView
from forumapi.webclient.template_environment import plain
from forumapi.webclient.text_form import Writing
from forumapi.webclient.typed_number import typed_number
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit


class PollsView(View):
    """List of the site's polls."""

    def get(self, visit: Visit) -> Answer:
        """List the polls that the visitor may read, from the query's `offset` on, sticky ones first, then those with
        the newest comments. Raises Failure for an offset that the API refuses.
        """
        found = visit.api.get("/polls", offset=visit.query.get("offset"))
        return visit.page("polls.html", polls=found["polls"])


class PollView(View):
    """Page of a poll: question, form to vote, results, and comments."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Show the poll with the id `item`, and its comments from the query's `offset` on, oldest first. Raises Failure
        if the visitor may not read the poll, and for an offset that the API refuses.
        """
        return self.show(visit, item)

    def show(self, visit: Visit, item: int, failure: Failure | None = None) -> Answer:
        """Show the page of the poll with the id `item`. `failure`: the API's refusal of the member's ballot, whose
        reason the page shows and whose status it has; None without a refusal (status 200). Raises Failure if the
        visitor may not read the poll, and for an `offset` in the query that the API refuses.
        """
        found = visit.api.get(f"/polls/{item}", offset=visit.query.get("offset"))
        return visit.page(
            "poll.html",
            status=failure.status if failure else 200,
            item=found,
            kind="poll",
            failed_answer=failure,
        )


class VoteView(View):
    """Storing and withdrawal of a member's vote in a poll."""

    def post(self, visit: Visit, item: int) -> Answer:
        """Store the choices of the form, ids in the field `choice` (anything else there is left out), in place of the
        member's former vote in the poll with the id `item`; a form without choices withdraws the vote. Lead back to the
        poll; a refusal whose status is in FORM_REFUSALS (400, 403 and others) shows the poll's page with reason and
        status of the refusal. Raises SignInFirst for guests, Failure for other refusals, and for any if the member may
        not read the poll.
        """
        visit.member()
        chosen = visit.form.getlist("choice") if visit.form is not None else []
        body = [{"id": id} for one in chosen if (id := typed_number(one)) is not None]
        try:
            visit.api.put(f"/polls/{item}/votes", body)
        except Failure as failure:
            if failure.status not in FORM_REFUSALS:
                raise
            return PollView().show(visit, item, failure)
        return visit.redirect(f"/polls/{item}/#poll")


class VotersView(View):
    """List of the voters of a poll that names them, with the choice of each."""

    def get(self, visit: Visit, item: int) -> Answer:
        """List the votes in the poll with the id `item` from the query's `offset` on, by the voters' user ids. Raises
        Failure for a poll that keeps its voters secret, and if the visitor may not read the poll.
        """
        poll = visit.api.get(f"/polls/{item}", limit=5)
        found = visit.api.get(f"/polls/{item}/votes", offset=visit.query.get("offset"))
        names = {choice["id"]: choice["choice"] for choice in poll["choices"]}
        return visit.page("voters.html", item=poll, votes=found["votes"], names=names)


class CreatePollView(CreateItemView):
    """Form for a new poll in a microcosm; its button `more` adds lines for choices."""

    kind = "poll"
    template = "poll_form.html"

    def begun(self, visit: Visit) -> Writing:
        """Return a Writing whose `fields` hold what an empty form proposes: the time zone UTC, in whose place a script
        puts that of the browser; nothing else of the Writing is used.
        """
        return Writing(fields={"tz": ["UTC"]})

    def body(self, visit: Visit, writing: Writing) -> dict[str, Any]:
        """Return the keys of the API's body that only polls have, from the form `writing`: question, choices without
        empty lines, time of closing, and the flags `multi` (several choices a vote) and `named` (voters are named), and
        `results` (when results are shown).
        """
        choices = [{"choice": text} for text in writing.fields["choice"] if text.strip()]
        made = _body(visit, writing)
        return {**made, "choices": choices, "named": bool(writing.value("named"))}


class EditPollView(EditItemView):
    """Form for an existing poll; a choice whose line is emptied is deleted."""

    kind = "poll"
    template = "poll_form.html"

    def fields(self, item: dict[str, Any]) -> dict[str, list[str]]:
        """Return the form's fields for the stored poll `item`, which is as the API shows it: question, choices with
        their ids, time of closing in UTC, `multi` (several choices a vote) and `results` (when results are shown);
        without `named`, the flag by which voters are named, which this form leaves as it is.
        """
        return {
            "question": [plain(item["question"])],
            "choice": [plain(one["choice"]) for one in item["choices"]],
            "choiceId": [str(one["id"]) for one in item["choices"]],
            "multi": ["1"] if item["multi"] else [],
            "results": [item.get("results", "always")],
            "closes": [str(item.get("pollCloses", ""))[:16]],
            "tz": ["UTC"],
        }

    def body(self, visit: Visit, writing: Writing) -> dict[str, Any]:
        """Return the keys of the API's body that only polls have, from the form `writing`: question, all choices whose
        line is not empty, with the ids of those that are stored already, time of closing, `multi` (several choices a
        vote) and `results` (when results are shown); without `named`, the flag by which voters are named, which this
        form leaves as it is.
        """
        ids = writing.fields["choiceId"]
        choices: list[dict[str, Any]] = []
        for place, text in enumerate(writing.fields["choice"]):
            id = typed_number(ids[place]) if place < len(ids) else None
            if text.strip():
                known = {} if id is None else {"id": id}
                choices.append({**known, "choice": text})
        return {**_body(visit, writing), "choices": choices}

    def words(self, visit: Visit, item: dict[str, Any]) -> str:
        """Return title, question and choices of the stored poll `item`, which is as the API shows it, a line each, as
        plain text.
        """
        lines = (item["title"], item["question"], *(one["choice"] for one in item["choices"]))
        return "\n".join(plain(one) for one in lines)


def _body(visit: Visit, writing: Writing) -> dict[str, Any]:
    """Return those of the API's fields that are the same for new and stored polls. Raises Failure with 400 for an
    unknown time zone.
    """
    return {
        "question": writing.value("question"),
        "multi": bool(writing.value("multi")),
        "results": writing.value("results") or "always",
        "pollCloses": _closes(visit, writing),
    }


def _closes(visit: Visit, writing: Writing) -> str:
    """Return when the poll closes, in UTC, from the form's day and time in its time zone; "" for never, and what is no
    time as it was typed. Raises Failure with 400 for an unknown time zone.
    """
    typed = writing.value("closes").strip()
    try:
        zone = ZoneInfo(writing.value("tz").strip() or "UTC")
    except (ValueError, KeyError, OSError):
        text = visit.language.gettext("There is no time zone of this name.")
        raise Failure(400, detail=text) from None
    try:
        there = datetime.fromisoformat(typed).replace(tzinfo=zone)
        return there.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return typed
