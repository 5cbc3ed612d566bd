"""Pages of conversations, and of the comments on anything."""

from __future__ import annotations

from forumapi.webclient.rendering import page_address
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit


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
