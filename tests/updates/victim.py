"""A process that reads events and tells people until it is killed: `python -m tests.updates.victim URL`.

Each mail that it takes up is a row of `taken`, in the reader's transaction, and a line on its output before that.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from forumapi.database.connections import Database, Transaction
from forumapi.database.query import Query
from forumapi.events.readers import EventReader, Readers
from forumapi.updates.dispatch import NAME, Dispatch
from forumapi.updates.message_request import MessageRequest

TAKE = Query("test.take", "INSERT INTO taken (cause) SELECT unnest(%(causes)s::text[])")


def queue(tx: Transaction, site_id: int, mail_requests: Sequence[MessageRequest]) -> None:
    """Keep the causes, and say so."""
    tx.run(TAKE, causes=[mail_request.cause for mail_request in mail_requests])
    sys.stdout.write("taken\n")
    sys.stdout.flush()


if __name__ == "__main__":
    database = Database(sys.argv[1])
    reader = EventReader(NAME, Dispatch(queue).work)
    Readers(database, [reader], lambda: True).catch_up()
    database.close()
