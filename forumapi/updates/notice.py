"""What one mail would be about: made by dispatch, turned into mail by email."""

from __future__ import annotations

from typing import NamedTuple


class Notice(NamedTuple):
    """Somebody wants a mail about something; whether they may read it is asked again when it is sent.

    `cause` is the same however often the same thing is dispatched, and of no other mail: at most one mail leaves for
    it. `item_type_id` and `item_id` say what it is about: the item itself, what the comment `comment_id` is on, or the
    new profile.
    """

    cause: str
    profile_id: int
    update_type_id: int
    item_type_id: int
    item_id: int
    comment_id: int | None
    by_profile_id: int
