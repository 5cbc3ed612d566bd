"""Thread that recomputes the members of queued roles in batches, so that no request waits for a large site.

Rights that are lost are taken away before the change is answered (`take_away`, in the request); rights that are gained
follow a moment later. If the process ends in between, the role is still in the queue (role_recomputation_queue.py).
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

import psycopg

from forumapi.concurrency.background_thread import PollingThread
from forumapi.config import Config
from forumapi.database import site_turns
from forumapi.database.connections import Database
from forumapi.errors import ApiError, BadGateway
from forumapi.models.roles import role_recomputation, role_recomputation_queue
from forumapi.models.roles.role_recomputation_queue import Settling
from forumapi.observability.log import logger

# Profiles in one transaction. A write by one of these profiles waits for it: some 10 ms.
BATCH: Final = 100
# Roles that are claimed at a time.
_AT_ONCE: Final = 20
_STORED: Final = (
    "This is stored, but the rights that it takes away are not all gone yet; they go in a moment"
)


class Settler(PollingThread):
    """Thread that recomputes the roles queued by this process and, while `leads` returns True, those in the queue that
    no process has claimed. `config` returns the configuration in force.
    """

    POLL_S: ClassVar[float] = 2.0

    def __init__(
        self, database: Database, config: Callable[[], Config], leads: Callable[[], bool]
    ) -> None:
        super().__init__("settler", "members of roles wait to be worked out")
        self._database = database
        self._config = config
        self._leads = leads
        self._own: deque[Settling] = deque()
        # The site that had the last turn.
        self._after = 0

    def take_away(self, queued: Settling) -> None:
        """Recompute at once those profiles that lose rights by the committed change that put `queued`, a role, into the
        queue; leave the rest to the thread.

        Raises BadGateway if that fails: the change is stored, and the process that leads continues with it.
        """
        try:
            _, losing = self._sides(queued)
            self._settle(queued, losing)
        except (ApiError, psycopg.Error) as error:
            with contextlib.suppress(ApiError, psycopg.Error), self._database.write() as tx:
                queued.release(tx)
            logger.warning(
                "rights of role %d are not all taken away yet: %s", queued.role_id, error
            )
            raise BadGateway(_STORED) from error
        self._own.append(queued)
        self.wake()

    def poll(self) -> None:
        """Recompute queued roles. Raises Unavailable if the database can't be reached."""
        while self._own and not self.is_stopping:
            self._finish(self._own.popleft())
        if not self._leads():
            return
        while not self.is_stopping:
            with self._database.write() as tx:
                grace_h = self._config().attribute_grace_hours
                due = Settling.claim(tx, _AT_ONCE, grace_h=grace_h, after=self._after)
            self._after = site_turns.last([one.site_id for one in due], self._after)
            for one in due:
                self._finish(one)
            if not due:
                return

    def _finish(self, queued: Settling) -> None:
        gaining, losing = self._sides(queued)
        self._settle(queued, losing)
        self._settle(queued, gaining)
        if not self.is_stopping:
            with self._database.write() as tx:
                queued.finish(tx)

    def _sides(self, queued: Settling) -> tuple[list[int], list[int]]:
        """Return (gaining, losing), each ascending: ids of the profiles that gain rights by the role as it is now, or
        only get another due time, and ids of those that lose rights.
        """
        tx = self._database.read()
        try:
            coming, going, looking = role_recomputation.pending_changes(
                tx, queued.site_id, queued.role_id
            )
            if role_recomputation_queue.joining_takes_rights(tx, queued.site_id, queued.role_id):
                return going + looking, coming
            return coming + looking, going
        finally:
            tx.end()

    def _settle(self, queued: Settling, profile_ids: Sequence[int]) -> None:
        for start in range(0, len(profile_ids), BATCH):
            if self.is_stopping:
                return
            batch = list(profile_ids[start : start + BATCH])
            with self._database.write() as tx:
                role_recomputation.recompute_role_of(tx, queued.site_id, queued.role_id, batch)
