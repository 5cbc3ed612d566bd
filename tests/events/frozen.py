"""A process that numbers and reads events, and is stopped where its reader finds item 99.

`python -m tests.events.frozen URL NAME`; it ends with its input.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from forumapi import itemtypes
from forumapi.database.connections import Database, Transaction
from forumapi.events.event_log import LoggedEvent
from forumapi.events.readers import EventReader, Readers
from forumapi.events.sequencer import Sequencer
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author

FREEZES = 99
READ = 500  # what is read is noted as an item so much higher


def note_read(tx: Transaction, site_id: int, events: Sequence[LoggedEvent]) -> None:
    """Leave a row for each event, in the reader's transaction."""
    for event in events:
        if event.kind == journal.PATCHED:
            id = READ + event.item_id
            journal.record(tx, Author(site_id, 0, ""), "created", itemtypes.COMMENT, id)


def freeze(tx: Transaction, site_id: int, events: Sequence[LoggedEvent]) -> None:
    """The same, and stop the whole process before it can commit."""
    note_read(tx, site_id, events)
    if any(event.item_id == FREEZES for event in events):
        os.kill(os.getpid(), signal.SIGSTOP)


class Process:
    """The part of a web worker that works on events."""

    def __init__(self, url: str, reader: EventReader) -> None:
        self.database = Database(url)
        self.sequencer = Sequencer(url, self._numbered)
        self.readers = Readers(
            self.database, [reader], lambda: self.sequencer.leads, self.sequencer.hold
        )

    def _numbered(self) -> None:
        self.readers.wake()

    def start(self) -> None:
        """Work in the background."""
        self.sequencer.start()
        self.readers.start()

    def stop(self) -> None:
        """End it."""
        self.readers.stop()
        self.sequencer.stop()
        self.database.close()


if __name__ == "__main__":
    process = Process(sys.argv[1], EventReader(sys.argv[2], freeze))
    process.start()
    sys.stdin.read()
    process.stop()
