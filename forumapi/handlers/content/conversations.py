"""Conversations: items of a title and comments. Wire: docs/api/conversations.md."""

from __future__ import annotations

from typing import ClassVar

from forumapi import itemtypes
from forumapi.handlers.content import item_base
from forumapi.handlers.content.item_base import ItemBody, ItemHandler, ItemsHandler
from forumapi.models.content.item import Item
from forumapi.request.context import Context
from forumapi.request.handler import CREATE, READ, UPDATE, needs
from forumapi.request.handler_results import Found, Result
from forumapi.wire.schemas.content import items as schemas


class ConversationBody(ItemBody):
    """A conversation as a client sends it (content 4.2)."""


class ConversationHandler(ItemHandler):
    """One conversation with a page of its comments."""

    @needs(READ, answer=schemas.Conversation, paged=True)
    def get(self, ctx: Context) -> Result:
        """The conversation and a page of its comments, oldest first; marks the comments of that page as read."""
        return item_base.show(ctx)

    @needs(UPDATE, body=ConversationBody, status=302)
    def put(self, ctx: Context, sent: ConversationBody) -> Result:
        """Change the conversation's title, or move it to another microcosm; keys that are not sent stay,
        meta.editReason is required.

        Answers 302 to the conversation.
        """
        conversation = item_base.required(ctx, Item)
        conversation.update(ctx.writer, ctx.author, item_base.change(ctx, sent))
        item_base.hold_edited(ctx, conversation)
        return Found(conversation.href)


class ConversationsHandler(ItemsHandler):
    """The site's conversations, in all of its microcosms."""

    required_keys: ClassVar = {"POST": ("microcosmId", "title")}
    item_type = itemtypes.CONVERSATION

    @needs(READ, answer=schemas.Conversations, paged=True, params=(item_base.IN_MICROCOSM,))
    def get(self, ctx: Context) -> Result:
        """Conversations that the caller may read and does not ignore: sticky ones first, then the latest active; with
        `microcosmId` only those directly in that microcosm, not those below it.
        """
        return item_base.list_items(ctx, self.item_type, "conversations")

    @needs(CREATE, body=ConversationBody, status=302)
    def post(self, ctx: Context, sent: ConversationBody) -> Result:
        """Begin a conversation in a microcosm.

        If the same author began a conversation of the same title there within the last five minutes, or the time that
        this installation sets, and it is not deleted, no other is begun: the answer leads to that one. Answers 302 to
        the conversation.
        """
        return item_base.create(ctx, sent, self.item_type)
