"""Struct of a request for one mail, which updates/dispatch.py makes and updates/mail_queue.py queues."""

from __future__ import annotations

from typing import NamedTuple


class MailRequest(NamedTuple):
    """Request for a mail to a profile; its permission is checked again when the mail is sent.

    `cause` is unique to a mail and the same for repeated dispatches: at most one mail is sent for it. `item_type_id`
    and `item_id`: the item, the parent of the comment `comment_id`, or the new profile.
    """

    cause: str
    profile_id: int
    update_type_id: int
    item_type_id: int
    item_id: int
    comment_id: int | None
    by_profile_id: int
