"""Pages of a member's drafts: unfinished comments and items that the server keeps; their list, and saving and
discarding one.
"""

from __future__ import annotations

from typing import Any, Final

from forumapi.webclient.api import Failure
from forumapi.webclient.handlers.content.item_forms import show_form_again
from forumapi.webclient.text_form import Writing
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

# Places of drafts, as addresses have them.
DRAFTED: Final = "any(conversation,event,huddle,microcosm,poll,profile)"

DRAFTED_ITEMS: Final = ("conversation", "event", "poll")


def page_of(place: str, id: int, item_type: str) -> str:
    """Return the path of the website's page whose form continues a draft. `place`, `id`: type (one of those in DRAFTED)
    and id of the thing that the draft comments on, or of the microcosm in which it begins an item of the type
    `item_type`. For other places `item_type` is ignored.
    """
    if place == "microcosm":
        return f"/microcosms/{id}/create/{item_type}/"
    return f"/{place}s/{id}/"


def _without_reply(address: str) -> str:
    """Return a page's address without fragment and without the query parameters `reply` and `quote`: the draft itself
    holds the comment that is answered.
    """
    path, mark, query = address.partition("#")[0].partition("?")
    rest = [one for one in query.split("&") if not one.startswith(("reply=", "quote="))]
    return f"{path}{mark}{'&'.join(rest)}" if rest else path


class DraftListView(View):
    """List of a member's drafts on this site."""

    def get(self, visit: Visit) -> Answer:
        """List the member's drafts from the query's `offset` on, those begun latest first. Raises SignInFirst for
        guests.
        """
        visit.member()
        found = visit.api.get("/drafts", offset=visit.query.get("offset"))["drafts"]
        return visit.page("drafts.html", drafts=found, page_of=page_of, writing_of=Writing.of_draft)


class SaveDraftView(View):
    """Storing of a member's draft: of a comment on an item or profile, or of a new item in a microcosm. An empty form
    deletes the draft.
    """

    takes_files = True

    def post(self, visit: Visit, place: str, id: int) -> Answer:
        """Store the form as the draft, or delete the draft if the form is empty, and lead back to the form. If the
        stored draft is another version than the one that the form shows, the form stands again with 409, with the
        stored text beside the sent one, or, if no draft is stored any more, with the reason alone; also after another
        refusal whose status is in WRITING_REFUSALS (400, 403, 404 and others), with that status.

        A script gets JSON under the same status: `version` of the draft (0: none is stored), `other`, the stored text
        if that is another version, else null, and `problem`, the reason for a refusal, "" without one. `place`, `id`:
        type and id of the thing that the draft comments on, or of the microcosm in which it begins an item of the type
        in the field `itemType`. Raises SignInFirst for guests, Refused with 400 for a new item of a type that is not in
        DRAFTED_ITEMS (conversation, event, poll), Failure for other refusals, and, unless a script sent the form, for
        any if the member may not read the form's page.
        """
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
            answer = {
                "version": writing.draft,
                "other": writing.other,
                "problem": writing.reason(visit),
            }
            return visit.json(answer, status=writing.status)
        page = page_of(place, id, item_type)
        if writing.is_refused:
            return show_form_again(visit, page)
        back = visit.back(page)
        address = back if back.partition("?")[0] == page else page
        return visit.redirect(f"{_without_reply(address)}#write")

    def _conflict(self, visit: Visit, path: str, writing: Writing) -> None:
        """Refuse the form `writing` with 409, and put into it text and version of the draft that is stored at `path` of
        the API: saving once more replaces that version. If no draft is stored any more, saving once more makes a new
        one. Raises Failure if the API refuses to show the draft.
        """
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
    """Deletion of a member's draft, by a button beside it."""

    def post(self, visit: Visit, place: str, id: int) -> Answer:
        """Delete the draft, and lead back to the page that the form's field `back` names, without it to the list of
        drafts. `place`, `id`: type and id of the thing that the draft comments on, or of the microcosm in which it
        begins an item. Raises SignInFirst for guests, Failure if the API refuses.
        """
        visit.member()
        visit.api.delete(f"/{place}s/{id}/draft")
        back = visit.back("/drafts/")
        return visit.redirect(back)
