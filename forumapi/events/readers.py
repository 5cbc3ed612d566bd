"""Readers of the event log in the web process: they carry out the effects of a write that its answer does not wait for.

Each reader has a cursor for every site, moved in the transaction of its effects, so that an event takes effect once,
whichever process ends when. Readers run in the process that numbers events; a second process at the same time does no
harm, and what a frozen process had begun is ended when another takes over (`hold`, lease.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import psycopg

from forumapi.concurrency.background_thread import PollingThread
from forumapi.database.connections import Database, Transaction
from forumapi.database.query import Query
from forumapi.errors import ApiError, TooSlow
from forumapi.events import event_log
from forumapi.events.event_log import LoggedEvent
from forumapi.observability.log import logger

# Applies the effects of some events of one site, in their order.
Work = Callable[[Transaction, int, Sequence[LoggedEvent]], None]

BATCH: Final = 100


class EventReader(NamedTuple):
    """Reader of the event log. `name`: by which its cursors are stored; `work(tx, site_id, events)` carries out the
    effects of a batch of a site's events, which are in order, in the transaction that moves the cursor; `behind`:
    statement that finds sites with events that the reader has not read.
    """

    name: str
    work: Work
    behind: Query = event_log.BEHIND


class Readers(PollingThread):
    """Thread that runs `readers` when there are new events, in the one process where `leads()` is true.

    `hold(tx)` ties a transaction to that process's term.
    """

    def __init__(
        self,
        database: Database,
        readers: Sequence[EventReader],
        leads: Callable[[], bool],
        hold: Callable[[Transaction], None] = lambda tx: None,
    ) -> None:
        super().__init__("readers", "events wait to be read")
        self._database = database
        self._readers = readers
        self._leads = leads
        self._hold = hold

    def poll(self) -> None:
        """Run all readers until they have read everything, if this process leads."""
        if self._leads():
            self.catch_up()

    def catch_up(self) -> None:
        """Run each reader on each site until it has read all events of the site. Raises Unavailable if the database
        can't be reached, and LostError (an Unavailable) if another process has taken over.

        A site of which an event takes the database too long is left to the next poll, so that it does not delay others.
        """
        for reader in self._readers:
            tx = self._database.read()
            try:
                sites = event_log.behind(tx, reader.name, reader.behind)
            finally:
                tx.end()
            for site_id in sites:
                try:
                    while self._read(reader, site_id):
                        pass
                except TooSlow:
                    logger.warning("%s: an event of site %d takes too long", reader.name, site_id)

    def _read(self, reader: EventReader, site_id: int) -> bool:
        """Have a reader carry out the effects of one batch of a site's events, in a transaction of its own; return True
        if the batch had an event, False if no event is left, or another process is reading the site's events.

        After an error the batch is read one event at a time, and an event that fails again is logged and skipped,
        except with an ApiError, such as of a database out of reach or too slow, or a psycopg.OperationalError: these
        are raised.
        """
        try:
            return self._attempt(reader, site_id, BATCH)
        except TooSlow:
            return self._one_by_one(reader, site_id)
        except ApiError:
            raise
        except Exception:  # noqa: BLE001 - one event must not keep a site's others from being read
            logger.warning("%s: a batch of events of site %d failed", reader.name, site_id)
            return self._one_by_one(reader, site_id)

    def _one_by_one(self, reader: EventReader, site_id: int) -> bool:
        found = False
        for _ in range(BATCH):
            try:
                if not self._attempt(reader, site_id, 1):
                    return found
            except (ApiError, psycopg.OperationalError):
                raise
            except Exception:  # noqa: BLE001 - see _read
                logger.exception("%s: an event of site %d is passed over", reader.name, site_id)
                self._pass_over(reader, site_id)
            found = True
        return found

    def _attempt(self, reader: EventReader, site_id: int, limit: int) -> bool:
        with self._database.write() as tx:
            self._hold(tx)
            batch = event_log.begin(tx, reader.name, site_id, limit)
            if batch is None:
                return False
            reader.work(tx, site_id, batch.events)
            event_log.move(tx, reader.name, site_id, batch.upto)
        return True

    def _pass_over(self, reader: EventReader, site_id: int) -> None:
        with self._database.write() as tx:
            self._hold(tx)
            batch = event_log.begin(tx, reader.name, site_id, 1)
            if batch is not None:
                event_log.move(tx, reader.name, site_id, batch.upto)
