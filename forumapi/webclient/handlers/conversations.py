"""Pages of conversations, and of the comments on anything."""

from __future__ import annotations

from forumapi.webclient.api import Failure
from forumapi.webclient.rendering import page_address
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, Visit


class ConversationView(View):
    """Conversation with a page of its comments, and the form for another one."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Show a page."""
        return self.show(visit, item)

    def show(
        self,
        visit: Visit,
        item: int,
        *,
        typed: str = "",
        reply_to: int = 0,
        failure: Failure | None = None,
        preview: str = "",
    ) -> Answer:
        """Show a page, perhaps with what was typed and why the API did not take it."""
        found = visit.listed(f"/conversations/{item}")
        return visit.page(
            "conversation.html",
            status=failure.status if failure else 200,
            item=found,
            kind="conversation",
            typed=typed,
            reply_to=reply_to,
            failure=failure,
            preview=preview,
        )


class ConversationsView(View):
    """All conversations of a site that the visitor may read."""

    def get(self, visit: Visit) -> Answer:
        """List a page of them."""
        found = visit.listed("/conversations")
        return visit.page("conversations.html", list=found["conversations"])


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


class CreateCommentView(View):
    """Form of a new comment, on anything that has comments."""

    def post(self, visit: Visit) -> Answer:
        """Post it and lead to it; `preview` shows it first. What the API refuses comes back as it was typed."""
        visit.member()
        kind, text = visit.field("itemType"), visit.field("markdown")
        try:
            item, reply = int(visit.field("itemId")), int(visit.field("inReplyTo") or 0)
        except ValueError:
            raise Refused(400) from None
        if kind != "conversation":
            raise Refused(400)
        body = {"itemType": kind, "itemId": item, "markdown": text, "inReplyTo": reply}
        try:
            if visit.field("do") == "preview":
                shown = visit.api.post(
                    "/preview", {"markdown": text, "itemType": kind, "itemId": item}
                )
                html = shown.data["html"]
                return ConversationView().show(
                    visit, item, typed=text, reply_to=reply, preview=html
                )
            made = visit.api.post("/comments", body, key=visit.field("key"))
        except Failure as failure:
            if failure.status not in (400, 403, 409, 413, 429, 503):
                raise
            return ConversationView().show(visit, item, typed=text, reply_to=reply, failure=failure)
        return visit.redirect(f"/comments/{made.data['id']}/incontext/")


def in_context(location: str) -> str:
    """Return the page and place of the API's address of a comment in context."""
    comment = location.partition("comment_id=")[2].partition("&")[0]
    address = page_address(location)
    return f"{address}#comment{comment}" if comment.isdigit() else address
