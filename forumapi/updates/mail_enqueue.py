"""Queuing of mail about updates, in the transaction that causes the update; updates/mail_rendering.py renders it when
it is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.updates import message_request
from forumapi.updates.message_request import MessageRequest

QUEUE: Final = Query(
    "mail_enqueue.queue",
    """
    INSERT INTO mail_outbox (site_id, cause, state, profile_id, update_type_id, item_type_id, item_id, comment_id,
                             by_profile_id)
    SELECT %(site_id)s, n.cause, 'unwritten', n.profile_id, n.update_type_id, n.item_type_id, n.item_id, n.comment_id,
           n.by_profile_id
      FROM unnest(%(causes)s::text[], %(profile_ids)s::bigint[], %(update_type_ids)s::smallint[],
                  %(item_type_ids)s::smallint[], %(item_ids)s::bigint[], %(comment_ids)s::bigint[],
                  %(by_profile_ids)s::bigint[])
                  AS n (cause, profile_id, update_type_id, item_type_id, item_id, comment_id, by_profile_id)
        ON CONFLICT (cause) DO NOTHING""",
)


def queue(tx: Transaction, site_id: int, mail_requests: Sequence[MessageRequest]) -> None:
    """Queue the requested mails of one site, each once for its cause; one statement, none without requests. Rows name
    what a mail is about and hold no text; so readers who have lost the right to read that by the time of sending get no
    mail.
    """
    if mail_requests:
        tx.run(QUEUE, site_id=site_id, **message_request.columns(mail_requests))
