"""Pages of comments on anything: the way to one among its neighbours, and the forms to write, change and delete it."""

from __future__ import annotations

from typing import Final

from forumapi.webclient.api import Document, Failure
from forumapi.webclient.handlers.content.item_forms import again, preview, said
from forumapi.webclient.template_environment import page_address
from forumapi.webclient.text_form import Writing, attach, file_problem, once, quote_of, upload
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

# Things that one can comment on.
COMMENTED: Final = ("conversation", "event", "poll", "huddle", "profile")


class NewestView(View):
    """First comment on something that a member has not read, or the newest one."""

    where = "newcomment"

    def get(self, visit: Visit, kind: str, item: int) -> Answer:
        """Lead to it."""
        found = visit.api.document(f"/{kind}/{item}/{self.where}")
        return visit.redirect(in_context(found.location), status=302)


class LastView(NewestView):
    """Newest comment on something."""

    where = "lastcomment"


class CommentView(View):
    """Comment, by the address that its time links to."""

    def get(self, visit: Visit, comment: int) -> Answer:
        """Lead to it among its neighbours."""
        return InContextView().get(visit, comment)


class InContextView(View):
    """Comment among its neighbours."""

    def get(self, visit: Visit, comment: int) -> Answer:
        """Lead to the page that holds it."""
        found = visit.api.document(f"/comments/{comment}/incontext")
        return visit.redirect(in_context(found.location), status=302)


def in_context(location: str) -> str:
    """Return the page and place of the API's address of a comment in context."""
    comment = location.partition("comment_id=")[2].partition("&")[0]
    address = page_address(location)
    return f"{address}#comment{comment}" if comment.isdigit() else address


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
