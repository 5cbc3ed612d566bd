"""Pages on which people write: comments on anything, and conversations."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from forumapi.webclient.api import Document, Failure
from forumapi.webclient.rendering import content, page_address, plain
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit
from forumapi.webclient.writing import (
    TITLE_LENGTH,
    Writing,
    attach,
    draft_of,
    file_problem,
    once,
    quote_of,
    upload,
)

# Things that one can comment on.
COMMENTED: Final = ("conversation", "event", "poll", "huddle", "profile")
# Places that the API answers for in one call.
MOST_PLACES: Final = 100


def again(visit: Visit, page: str) -> Answer:
    """Answer with the page of a form, at the place that it was sent from, as `visit.writing` has it. Raises Failure."""
    assert visit.writing is not None  # it was read
    back = visit.back(page)
    address = back if back.partition("?")[0] == page else page
    return visit.website.show_again(visit, address, visit.writing.status)


def preview(visit: Visit, writing: Writing, place: dict[str, Any]) -> None:
    """Render the text as it would be shown in a place."""
    writing.check(visit)
    if writing.is_refused:
        return
    try:
        made = visit.api.post("/preview", {"markdown": writing.text, **place})
        writing.preview = made.data["html"]
    except Failure as failure:
        writing.failed(failure)


def said(visit: Visit, writing: Writing) -> Answer:
    """Answer a script of ours with the preview, or with what is wrong."""
    if writing.is_refused:
        problem = writing.problem or (writing.failure.detail if writing.failure else "")
        return visit.json({"problem": problem}, status=writing.status)
    return visit.json({"html": str(content(writing.preview))})


class CreateCommentView(View):
    """Form of a new comment, on anything that has comments."""

    takes_files = True

    def post(self, visit: Visit) -> Answer:
        """Post it and lead to it; `preview` shows it first. What the API refuses comes back as it was typed."""
        visit.member()
        kind, item = visit.field("itemType"), visit.number("itemId")
        if kind not in COMMENTED or not item:
            raise Refused(400)
        writing = visit.writing = Writing.read(visit)
        if visit.field("do") == "preview":
            preview(visit, writing, {"itemType": kind, "itemId": item})
            if visit.wants_json:
                return said(visit, writing)
            return again(visit, f"/{kind}s/{item}/")
        writing.check(visit)
        if not writing.is_refused:
            body = {
                "itemType": kind,
                "itemId": item,
                "markdown": writing.text,
                "inReplyTo": writing.reply_to,
            }
            try:
                made = visit.api.post("/comments", body, key=once(visit.field("key"), body))
                attach(visit, made.data["id"], writing.files)
                return visit.redirect(f"/comments/{made.data['id']}/incontext/")
            except Failure as failure:
                writing.failed(failure)
        return again(visit, f"/{kind}s/{item}/")


class EditCommentView(View):
    """Form of a comment's text and files."""

    takes_files = True

    def get(self, visit: Visit, comment: int) -> Answer:
        """Show the form."""
        visit.member()
        found = visit.api.document(f"/comments/{comment}")
        if not found.data["meta"]["permissions"]["update"]:
            raise Refused(403)
        return self._show(visit, found, Writing(text=found.data["markdown"], etag=found.etag))

    def post(self, visit: Visit, comment: int) -> Answer:
        """Store it, unless somebody else did meanwhile: then both texts are shown."""
        visit.member()
        writing = Writing.read(visit)
        path = f"/comments/{comment}"
        writing.check(visit)
        is_preview = visit.field("do") == "preview"
        try:
            if not writing.is_refused and not is_preview:
                visit.api.put(path, {"markdown": writing.text}, match=writing.etag)
                self._change_files(visit, comment, writing)
                return visit.redirect(f"{path}/incontext/")
        except Failure as failure:
            writing.failed(failure)
        found = visit.api.document(path)
        if is_preview:
            place = {"itemType": found.data["itemType"], "itemId": found.data["itemId"]}
            preview(visit, writing, place)
            if visit.wants_json:
                return said(visit, writing)
        if writing.status == 412:
            writing.other, writing.etag = found.data["markdown"], found.etag
        return self._show(visit, found, writing)

    def _change_files(self, visit: Visit, comment: int, writing: Writing) -> None:
        wanted = {one.hash for one in writing.files}
        attach(visit, comment, [one for one in writing.files if one.hash not in writing.kept])
        for hash in writing.kept:
            if hash not in wanted:
                visit.api.delete(f"/comments/{comment}/attachments/{hash}")

    def _show(self, visit: Visit, found: Document, writing: Writing) -> Answer:
        return visit.page(
            "edit_comment.html",
            status=writing.status,
            comment=found.data,
            attached=found.data["meta"].get("attachments", []),
            writing=writing,
            is_sent=bool(visit.sent_to),
        )


class DeleteCommentView(View):
    """Question whether a comment is to go; for moderators also the way back."""

    def get(self, visit: Visit, comment: int) -> Answer:
        """Ask; or say that it is gone, to those who may restore it."""
        visit.member()
        found = visit.api.get(f"/comments/{comment}")
        can = found["meta"]["permissions"]
        is_deleted = found["meta"]["flags"]["deleted"]
        if not (can["moderator"] if is_deleted else can["delete"]):
            raise Refused(403)
        return visit.page("delete_comment.html", comment=found)

    def post(self, visit: Visit, comment: int) -> Answer:
        """Delete it, and lead to where it stood."""
        visit.member()
        found = visit.api.get(f"/comments/{comment}")
        place = visit.api.document(f"/comments/{comment}/incontext").location
        visit.api.delete(f"/comments/{comment}")
        if found["meta"]["permissions"]["moderator"]:
            return visit.redirect(f"/comments/{comment}/delete/")
        path, _, query = page_address(place).partition("?")
        rest = [one for one in query.split("&") if one.startswith(("offset=", "limit="))]
        return visit.redirect(f"{path}?{'&'.join(rest)}" if rest else path)


class RestoreCommentView(View):
    """Way back of a deleted comment."""

    def post(self, visit: Visit, comment: int) -> Answer:
        """Restore it and lead to it."""
        visit.member()
        visit.api.patch(f"/comments/{comment}", {"/meta/flags/deleted": False})
        return visit.redirect(f"/comments/{comment}/incontext/")


class QuoteView(View):
    """Comment as a quotation in Markdown, for a script that writes it into the form."""

    def get(self, visit: Visit, comment: int) -> Answer:
        """Send the text."""
        visit.member()
        return visit.json({"markdown": quote_of(visit, comment)})


class UploadView(View):
    """Upload by a script that shows its progress: one file, which is attached when the form is sent."""

    takes_files = True

    def post(self, visit: Visit) -> Answer:
        """Store it."""
        visit.member()
        sent = visit.files.get("file") if visit.files is not None else None
        if sent is None or not sent.filename:
            raise Refused(400)
        try:
            made = upload(visit, sent.filename, sent.read(), sent.mimetype)
        except Failure as failure:
            problem = file_problem(visit, sent.filename, failure)
            if not problem:
                raise
            return visit.json({"problem": problem}, status=failure.status)
        return visit.json({"value": made.value, "name": made.name})


# ---------------------------------------------------------------- conversations


def places_for(visit: Visit, kind: str) -> list[dict[str, Any]]:
    """Return the places in which the visitor may begin something of a type, as the tree lists them."""
    found: list[dict[str, Any]] = visit.api.get("/microcosms/tree")[:MOST_PLACES]
    if not found:
        return []
    asked = [{"itemType": kind, "microcosmId": one["id"]} for one in found]
    rights = visit.api.call("POST", "/permission/batch", asked).data
    return [one for one, can in zip(found, rights, strict=True) if can["create"]]


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
