"""Pages of conversations: one with its comments, the list of all, and the forms to begin and to change one."""

from __future__ import annotations

from typing import Any

from forumapi.webclient.handlers.content.item_forms import CreateItemView, EditItemView
from forumapi.webclient.text_form import Writing
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


class CreateConversationView(CreateItemView):
    """Form of a new conversation: its place, its title and its first comment."""

    kind = "conversation"
    template = "create_conversation.html"
    needs_text = True


class EditConversationView(EditItemView):
    """Form of a conversation's title and place."""

    kind = "conversation"
    template = "edit_conversation.html"

    def body(self, visit: Visit, writing: Writing) -> dict[str, Any]:
        """Return the place, where one was chosen."""
        place = visit.number("microcosmId")
        return {"microcosmId": place} if place else {}
