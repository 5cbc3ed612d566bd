"""Pages of conversations: one with its comments, the list of all, and the forms to begin and to change one."""

from __future__ import annotations

from typing import Any

from forumapi.webclient.handlers.content.item_forms import CreateItemView, EditItemView
from forumapi.webclient.text_form import Writing
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit


class ConversationView(View):
    """Page of a conversation: some of its comments, and the form for a new one."""

    def get(self, visit: Visit, item: int) -> Answer:
        """Show the conversation with the id `item`, and its comments from the query's `offset` on, oldest first; the
        first ones if the API refuses that offset. Raises Failure if the visitor may not read the conversation.
        """
        found = visit.listed(f"/conversations/{item}")
        return visit.page("conversation.html", item=found, kind="conversation")


class ConversationsView(View):
    """List of all conversations of the site that the visitor may read."""

    def get(self, visit: Visit) -> Answer:
        """List conversations from the query's `offset` on: sticky ones first, then by last activity, latest first; the
        first ones if the API refuses that offset.
        """
        found = visit.listed("/conversations")
        return visit.page("conversations.html", list=found["conversations"])


class CreateConversationView(CreateItemView):
    """Form for a new conversation: its microcosm, title and first comment."""

    kind = "conversation"
    template = "create_conversation.html"
    needs_text = True


class EditConversationView(EditItemView):
    """Form for the title and microcosm of an existing conversation."""

    kind = "conversation"
    template = "edit_conversation.html"

    def body(self, visit: Visit, writing: Writing) -> dict[str, Any]:
        """Return `microcosmId` for the API if the sent form chooses a microcosm, else {}. `writing` plays no part."""
        place = visit.number("microcosmId")
        return {"microcosmId": place} if place else {}
