"""Pages of comments on items and profiles: redirects to one comment on its page, and the forms to write, edit, delete
and restore comments.
"""

from __future__ import annotations

from typing import Final

from forumapi.webclient.api import Document, Failure
from forumapi.webclient.handlers.content.item_forms import preview, preview_answer, show_form_again
from forumapi.webclient.handlers.microcosms.moderation import said
from forumapi.webclient.handlers.trust.statements import statement_of
from forumapi.webclient.template_environment import page_address
from forumapi.webclient.text_form import Writing, attach, file_problem, once, quote_of, upload
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit

# Things that one can comment on.
COMMENTED: Final = ("conversation", "event", "poll", "huddle", "profile")


class NewestView(View):
    """Redirect to the first comment on a conversation, event or poll that the member has not read; to the newest
    comment if all are read. Guests have read none.
    """

    where = "newcomment"

    def get(self, visit: Visit, kind: str, item: int) -> Answer:
        """Redirect to the page that shows the first unread comment on the item with the id `item`; the newest one if
        all are read, and always in LastView; to the item's page if the item has no comments. `kind`: plural of the
        item's type, such as `conversations`. Raises Failure if the visitor may not read the item.
        """
        found = visit.api.document(f"/{kind}/{item}/{self.where}")
        return visit.redirect(in_context(found.location), status=302)


class LastView(NewestView):
    """Redirect to the newest comment on a conversation, event, poll or huddle."""

    where = "lastcomment"


class CommentView(View):
    """Redirect from the short address of a comment, to which the comment's time links, to the comment among the others
    on its item or profile.
    """

    def get(self, visit: Visit, comment: int) -> Answer:
        """Redirect to the page of the item or profile that holds the comment with the id `comment`, with the comment as
        its anchor. The author of a comment that moderators took away, which no page holds, is redirected to the page of
        the statement of reasons. Raises Failure if the visitor may not read the comment.
        """
        return InContextView().get(visit, comment)


class InContextView(View):
    """Redirect to a comment on the page of its item or profile, between the comments around it."""

    def get(self, visit: Visit, comment: int) -> Answer:
        """Redirect to the page, among the pages of comments on its item or profile, that holds the comment with the id
        `comment`, with the comment as its anchor.

        The author of a comment that moderators took away, which no page holds, is redirected to the page of the
        statement of reasons. Raises Failure if the visitor may not read the comment.
        """
        if visit.session.token:
            try:
                why = statement_of(visit, "comments", comment)
            except Failure as failure:
                if failure.status not in (401, 403, 404):
                    raise
                why = ""
            if why:
                return visit.redirect(why, status=302)
        found = visit.api.document(f"/comments/{comment}/incontext")
        return visit.redirect(in_context(found.location), status=302)


def in_context(location: str) -> str:
    """Return the website's address, page and anchor, for `location`, the header by which the API redirects to a comment
    among the others on its item or profile; the page alone if `location` names no comment.
    """
    comment = location.partition("comment_id=")[2].partition("&")[0]
    address = page_address(location)
    return f"{address}#comment{comment}" if comment.isascii() and comment.isdigit() else address


class CreateCommentView(View):
    """Creation of a comment, by the form on the page of an item or profile."""

    takes_files = True

    def post(self, visit: Visit) -> Answer:
        """Post the comment with its files and lead to it; with `do` = "preview" show it in the form, rendered, or send
        its HTML as JSON to a script. A form without text or too long, and a refusal whose status is in WRITING_REFUSALS
        (400, 403, 404 and others), show the page with the form again, as it was filled in; a comment to which a file
        can't be attached is posted all the same, and the form, sent again unchanged, posts no second one. Raises
        SignInFirst for guests, Refused with 400 unless the field `itemType` is in COMMENTED (conversation, event, poll,
        huddle, profile) and `itemId` is an id, Failure for other refusals, and for any if the member may not read that
        page.
        """
        visit.member()
        kind, item = visit.field("itemType"), visit.number("itemId")
        if kind not in COMMENTED or not item:
            raise Refused(400)
        writing = visit.writing = Writing.read(visit)
        if visit.field("do") == "preview":
            preview(visit, writing, {"itemType": kind, "itemId": item})
            if visit.wants_json:
                return preview_answer(visit, writing)
            return show_form_again(visit, f"/{kind}s/{item}/")
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
        return show_form_again(visit, f"/{kind}s/{item}/")


class EditCommentView(View):
    """Form for the text and files of an existing comment."""

    takes_files = True

    def get(self, visit: Visit, comment: int) -> Answer:
        """Show the form with text and files of the comment with the id `comment`. Raises Refused with 403 unless the
        visitor may update the comment, SignInFirst for guests, Failure if the visitor may not read it.
        """
        visit.member()
        found = visit.api.document(f"/comments/{comment}")
        if not found.data["meta"]["permissions"]["update"]:
            raise Refused(403)
        return self._show(visit, found, Writing(text=found.data["markdown"], etag=found.etag))

    def post(self, visit: Visit, comment: int) -> Answer:
        """Store text and files of the comment with the id `comment`, and lead to the comment; with `do` = "preview"
        show the form again with the text rendered, or send its HTML as JSON to a script. A text that is missing or too
        long, and a refusal whose status is in WRITING_REFUSALS (400, 403, 404 and others), show the form again; the
        text is stored first, and stays so if a file is refused: the form, sent again, replaces it. If somebody changed
        the comment since the form was shown, show the form again, with the comment's present text beside the sent one.
        Raises SignInFirst for guests, Failure for other refusals, and for any if the member may not read the comment.
        """
        visit.member()
        writing = Writing.read(visit)
        path = f"/comments/{comment}"
        writing.check(visit)
        is_preview = visit.field("do") == "preview"
        stored: Document | None = None
        try:
            if not writing.is_refused and not is_preview:
                stored = visit.api.put(path, {"markdown": writing.text}, match=writing.etag)
                self._change_files(visit, comment, writing)
                return visit.redirect(f"{path}/incontext/")
        except Failure as failure:
            writing.failed(failure)
        found = visit.api.document(path)
        if is_preview:
            place = {"itemType": found.data["itemType"], "itemId": found.data["itemId"]}
            preview(visit, writing, place)
            if visit.wants_json:
                return preview_answer(visit, writing)
        if stored is not None and stored.data["markdown"] == found.data["markdown"]:
            # Each file that was attached before the refused one has changed the entity tag too.
            writing.etag = found.etag
        elif writing.status == 412:
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
    """Page that asks for confirmation before a comment is deleted; for moderators also the page that offers to restore
    it.
    """

    def get(self, visit: Visit, comment: int) -> Answer:
        """Ask for confirmation to delete the comment with the id `comment`; for one that is deleted already, offer
        moderators to restore it. Raises Refused with 403 for members who may not delete the comment or, if it is
        deleted, do not moderate there; SignInFirst for guests, Failure if the member may not read the comment.
        """
        visit.member()
        found = visit.api.get(f"/comments/{comment}")
        can = found["meta"]["permissions"]
        is_deleted = found["meta"]["flags"]["deleted"]
        if not (can["moderator"] if is_deleted else can["delete"]):
            raise Refused(403)
        return visit.page("delete_comment.html", comment=found)

    def post(self, visit: Visit, comment: int) -> Answer:
        """Delete the comment with the id `comment`; lead moderators to the page that undoes it, others to the page of
        comments where it was; both say what was done. Raises SignInFirst for guests, Failure if the API refuses.
        """
        visit.member()
        found = visit.api.get(f"/comments/{comment}")
        place = visit.api.document(f"/comments/{comment}/incontext").location
        visit.api.delete(f"/comments/{comment}")
        if found["meta"]["permissions"]["moderator"]:
            undo = f"/comments/{comment}"
            return visit.redirect(said(visit, f"{undo}/delete/", "delete", undo))
        path, _, query = page_address(place).partition("?")
        rest = [one for one in query.split("&") if one.startswith(("offset=", "limit="))]
        return visit.redirect(said(visit, f"{path}?{'&'.join(rest)}" if rest else path, "delete"))


class RestoreCommentView(View):
    """Restoring of a deleted comment, by a moderator."""

    def post(self, visit: Visit, comment: int) -> Answer:
        """Restore the comment with the id `comment` and lead to it. Raises SignInFirst for guests, Failure if the API
        refuses, as it does to members who do not moderate there.
        """
        visit.member()
        visit.api.patch(f"/comments/{comment}", {"/meta/flags/deleted": False})
        return visit.redirect(f"/comments/{comment}/incontext/")


class QuoteView(View):
    """Quotation of a comment in Markdown, for the script that puts it into the form of an answer."""

    def get(self, visit: Visit, comment: int) -> Answer:
        """Answer with JSON: `markdown`, the text of the comment with the id `comment` as a quotation; "" if nothing is
        left to quote, or the API refuses the comment. Raises SignInFirst for guests, Failure from status 500 on.
        """
        visit.member()
        return visit.json({"markdown": quote_of(visit, comment)})


class UploadView(View):
    """Upload of one file by the script of a form, before the form is sent."""

    takes_files = True

    def post(self, visit: Visit) -> Answer:
        """Store the file `file` and answer with JSON: `value`, for the form's field `file`, and `name`; for a file that
        was refused `problem`, a sentence with the reason, under the refusal's status. Raises SignInFirst for guests,
        Refused with 400 without a file, Failure for a refusal that is not about the file.
        """
        visit.member()
        sent = visit.files.get("file") if visit.files is not None else None
        if sent is None or not sent.filename:
            raise Refused(400)
        try:
            made = upload(visit, sent)
        except Failure as failure:
            problem = file_problem(visit, sent.filename, failure)
            if not problem:
                raise
            return visit.json({"problem": problem}, status=failure.status)
        return visit.json({"value": made.value, "name": made.name})
