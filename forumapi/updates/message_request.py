"""Request for one mail or web push message about an update: dispatch.py makes it; mail_enqueue.py and push_queue.py
queue it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class MessageRequest(NamedTuple):
    """Request for one mail, or one web push message, to the profile `profile_id`, whose rights are checked again when
    it is sent.

    `cause`: key of the mail, the same if an event is dispatched again, so that the mail is sent once. `item_type_id`
    and `item_id`: the item, the parent of the comment `comment_id`, or the new profile; `comment_id` None: the update
    is about no comment. `by_profile_id`: the actor; of a reminder, the author of its item.
    """

    cause: str
    profile_id: int
    update_type_id: int
    item_type_id: int
    item_id: int
    comment_id: int | None
    by_profile_id: int


def columns(requests: Sequence[MessageRequest]) -> dict[str, Sequence[Any]]:
    """Return `requests`, at least one, as parameters of the statements that queue them: an array for each field, from
    `causes` to `by_profile_ids`.
    """
    arrays = zip(*requests, strict=True)
    return {f"{name}s": of_all for name, of_all in zip(MessageRequest._fields, arrays, strict=True)}
