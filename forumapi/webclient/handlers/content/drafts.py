"""Pages of one's drafts, texts begun and kept on the server: the list of them, saving one, discarding one."""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import Failure
from forumapi.webclient.handlers.content.item_forms import again
from forumapi.webclient.text_form import Writing
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

# Places of drafts, as addresses have them.
DRAFTED: Final = "any(conversation,event,huddle,microcosm,poll,profile)"

DRAFTED_ITEMS: Final = ("conversation", "event", "poll")


def page_of(place: str, id: int, item_type: str) -> str:
    """Return the page on which a draft goes on."""
    if place == "microcosm":
        return f"/microcosms/{id}/create/{item_type}/"
    return f"/{place}s/{id}/"


def _without_reply(address: str) -> str:
    """Return the address of a page without the comment that is answered there: the draft names it."""
    path, mark, query = address.partition("#")[0].partition("?")
    rest = [one for one in query.split("&") if not one.startswith(("reply=", "quote="))]
    return f"{path}{mark}{'&'.join(rest)}" if rest else path


class DraftListView(View):
    """Drafts of a member."""

    def get(self, visit: Visit) -> Answer:
        """List them, the newest first."""
        visit.member()
        found = visit.api.get("/drafts", offset=visit.query.get("offset"))["drafts"]
        return visit.page("drafts.html", drafts=found, page_of=page_of, writing_of=Writing.of_draft)


class SaveDraftView(View):
    """Draft of a comment on something, or of an item in a microcosm."""

    takes_files = True

    def post(self, visit: Visit, place: str, id: int) -> Answer:
        """Save it over the version that the form knows; if another one stands, both are shown."""
        visit.member()
        item_type = visit.field("itemType")
        if place == "microcosm" and item_type not in DRAFTED_ITEMS:
            raise Refused(400)
        writing = visit.writing = Writing.read(visit, item_type if place == "microcosm" else "")
        path = f"/{place}s/{id}/draft"
        body: dict[str, Any] = {"content": writing.content(visit.field("about"))}
        if writing.draft:
            body["version"] = writing.draft
        if place == "microcosm":
            body["itemType"] = item_type
        try:
            if writing.is_refused:
                raise Failure(writing.status)
            if writing.is_empty:
                visit.api.delete(path)
                writing.draft, writing.saved = 0, ""
            else:
                found = visit.api.put(path, body).data
                writing.draft, writing.saved = found["version"], found["meta"]["edited"]
        except Failure as failure:
            if failure.status == 409:
                self._conflict(visit, path, writing)
            else:
                writing.failed(failure)
        if visit.wants_json:
            answer = {"version": writing.draft, "other": writing.other, "problem": writing.problem}
            return visit.json(answer, status=writing.status)
        page = page_of(place, id, item_type)
        if writing.is_refused:
            return again(visit, page)
        back = visit.back(page)
        address = back if back.partition("?")[0] == page else page
        return visit.redirect(f"{_without_reply(address)}#write")

    def _conflict(self, visit: Visit, path: str, writing: Writing) -> None:
        """Take what is stored beside what was typed: to save again goes over it."""
        gettext = visit.language.gettext
        try:
            stored = Writing.of_draft(visit.api.get(path))
        except Failure as failure:
            if failure.status != 404:
                raise
            writing.draft = 0
            problem = gettext(
                "This draft was posted or thrown away elsewhere. Save again to keep it."
            )
        else:
            writing.draft, writing.other = stored.draft, stored.text
            problem = gettext("Another draft was saved here meanwhile. Save again to keep yours.")
        writing.refuse(problem, 409)


class DiscardDraftView(View):
    """Way to throw a draft away."""

    def post(self, visit: Visit, place: str, id: int) -> Answer:
        """Throw it away and lead back."""
        visit.member()
        visit.api.delete(f"/{place}s/{id}/draft")
        back = visit.back("/drafts/")
        return visit.redirect(back)
