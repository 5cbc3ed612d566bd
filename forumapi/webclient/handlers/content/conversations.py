"""Pages of conversations: one with its comments, the list of all, and the forms to begin and to change one."""

from __future__ import annotations

from typing import Any, ClassVar

from forumapi.webclient.api import Document, Failure
from forumapi.webclient.handlers.content.item_forms import places_for, preview, said
from forumapi.webclient.rendering import plain
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit
from forumapi.webclient.writing import TITLE_LENGTH, Writing, attach, draft_of, once


class ConversationView(View):
    """Conversation with a page of its comments, and the form for another one."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Show a page."""
        found = visit.listed(f"/conversations/{item}")
        return visit.page("conversation.html", item=found, kind="conversation")


class ConversationsView(View):
    """All conversations of a site that the visitor may read."""

    def get(self, visit: Visit) -> Answer:
        """List a page of them."""
        found = visit.listed("/conversations")
        return visit.page("conversations.html", list=found["conversations"])


class CreateConversationView(View):
    """Form of a new conversation: its place, its title and its first comment."""

    takes_files = True

    def get(self, visit: Visit, microcosm: int = 0) -> Answer:
        """Show the form, with the draft that is kept for this place."""
        visit.member()
        writing = visit.writing
        if writing is None and microcosm:
            writing = draft_of(visit, f"/microcosms/{microcosm}")
        return self._show(visit, microcosm, writing or Writing())

    def post(self, visit: Visit, microcosm: int = 0) -> Answer:
        """Post both. Sent twice, or again after half of it failed, it makes one conversation."""
        visit.member()
        microcosm = microcosm or visit.number("microcosmId")
        writing = visit.writing = Writing.read(visit)
        if visit.field("do") == "preview":
            preview(visit, writing, {"microcosmId": microcosm})
            return (
                said(visit, writing) if visit.wants_json else self._show(visit, microcosm, writing)
            )
        if not microcosm:
            writing.refuse(visit.language.gettext("Choose a place for it."))
        writing.check(visit, has_title=True)
        if writing.is_refused:
            return self._show(visit, microcosm, writing)
        key = visit.field("key")
        body: dict[str, Any] = {"microcosmId": microcosm, "title": writing.title}
        try:
            item = visit.api.post("/conversations", body, key=once(key, body)).data["id"]
            body = {"itemType": "conversation", "itemId": item, "markdown": writing.text}
            made = visit.api.post("/comments", body, key=once(key, body))
            attach(visit, made.data["id"], writing.files)
        except Failure as failure:
            writing.failed(failure)
            return self._show(visit, microcosm, writing)
        return visit.redirect(f"/conversations/{item}/")

    def _show(self, visit: Visit, microcosm: int, writing: Writing) -> Answer:
        place, places = None, []
        if microcosm:
            place = visit.api.get(f"/microcosms/{microcosm}", limit=5)
            may = place["meta"]["permissions"]["create"] and "conversation" in place["itemTypes"]
            if not may and not writing.is_refused:
                raise Refused(403, visit.language.gettext("You can’t begin a conversation here."))
        else:
            places = places_for(visit, "conversation")
        return visit.page(
            "create_conversation.html",
            status=writing.status,
            place=place,
            places=places,
            writing=writing,
        )


class EditConversationView(View):
    """Form of a conversation's title and place."""

    kind: ClassVar = "conversation"

    def get(self, visit: Visit, item: int) -> Answer:
        """Show the form."""
        visit.member()
        found = self._found(visit, item)
        if not found.data["meta"]["permissions"]["update"]:
            raise Refused(403)
        writing = Writing(title=plain(found.data["title"]), etag=found.etag)
        return self._show(visit, found, writing, found.data["microcosmId"], "")

    def post(self, visit: Visit, item: int) -> Answer:
        """Store it, unless somebody else did meanwhile: then both titles are shown."""
        visit.member()
        gettext = visit.language.gettext
        writing = Writing.read(visit)
        place, reason = visit.number("microcosmId"), visit.field("editReason")
        if not writing.title.strip():
            writing.refuse(gettext("A title is missing."))
        elif len(writing.title) > TITLE_LENGTH:
            writing.refuse(gettext("The title is too long: at most 150 characters."))
        body: dict[str, Any] = {
            "title": writing.title,
            "meta": {"editReason": reason.strip()[:150] or gettext("Edited")},
        }
        if place:
            body["microcosmId"] = place
        try:
            if not writing.is_refused:
                visit.api.put(f"/{self.kind}s/{item}", body, match=writing.etag)
                return visit.redirect(f"/{self.kind}s/{item}/")
        except Failure as failure:
            writing.failed(failure)
        found = self._found(visit, item)
        if writing.status == 412:
            writing.other, writing.etag = plain(found.data["title"]), found.etag
        return self._show(visit, found, writing, place, reason)

    def _found(self, visit: Visit, item: int) -> Document:
        return visit.api.document(f"/{self.kind}s/{item}", limit=5)

    def _show(
        self, visit: Visit, found: Document, writing: Writing, place: int, reason: str
    ) -> Answer:
        return visit.page(
            "edit_conversation.html",
            status=writing.status,
            item=found.data,
            kind=self.kind,
            writing=writing,
            places=places_for(visit, self.kind),
            chosen=place or found.data["microcosmId"],
            reason=reason,
        )
