"""Thread that does actions on many things, and undoes them, in batches in the background.

Each batch is a transaction of its own, which marks what it did. If the process ends in between, the process that leads
goes on with the things that are not marked yet. Others who write to the same things wait for a batch, so the next one
is smaller after one that took long. An action whose batch failed is set aside for a while, so that the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from forumapi.concurrency.background_thread import PollingThread
from forumapi.database.connections import Database, Transaction
from forumapi.models.access import identity as identities
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.trust import targets
from forumapi.models.trust.action import BATCH, IN_REQUEST, LEAST, RUNNING, Action
from forumapi.permissions import evaluator


class ActionWorker(PollingThread):
    """Thread that works on actions of all sites, the oldest first: when it is woken, and at each poll while `leads()`
    returns True, as it does in one process at a time. `hint()` is called after the commit of each batch, to have its
    events numbered.
    """

    POLL_S: ClassVar[float] = 2.0
    # Time that a batch should take.
    BATCH_S: ClassVar[float] = 0.05
    # Time for which an action is set aside after a batch of it failed.
    ASIDE_S: ClassVar[float] = 60.0

    def __init__(
        self,
        database: Database,
        leads: Callable[[], bool],
        hint: Callable[[], None],
    ) -> None:
        super().__init__("actions", "actions of moderators wait to be carried out")
        self._database = database
        self._leads = leads
        self._hint = hint
        self._is_woken = False
        self._batch = BATCH
        # Ends of the times for which actions are set aside, by action id.
        self._aside: dict[int, float] = {}

    def wake(self) -> None:
        """Have the thread work now, even if this process does not lead; return at once. To be called after the commit
        of an action or of an undo that is carried out in the background.
        """
        self._is_woken = True
        super().wake()

    def poll(self) -> None:
        """Do all actions that wait, batch by batch, if this process leads or `wake` was called. Raises Unavailable if
        the database can't be reached, and whatever a batch raises.
        """
        if not self._is_woken and not self._leads():
            return
        self._is_woken = False
        while not self.is_stopping and self.work():
            self._hint()

    def work(self) -> bool:
        """Do one batch, in a transaction of its own, of the oldest action, of a site that is not deleted, that no other
        process works on and that is not set aside; return False if there is none. An action whose batch raises is set
        aside for ASIDE_S seconds; the exception is raised again.

        An action of an operator or of a rule may change things in all microcosms of the site; an action of a profile
        only in those that the profile moderates now.
        """
        now = time.monotonic()
        self._aside = {id: until for id, until in self._aside.items() if until > now}
        id = 0
        try:
            with self._database.write() as tx:
                claimed = Action.claim(tx, self._aside)
                if claimed is None:
                    return False
                site_id, by, action = claimed
                id = action.id
                author = Author(site_id, by, "", "" if by else action.operator)
                allowed = self._allowed(tx, site_id, by) if by else targets.places(tx, site_id)
                began = time.monotonic()
                if action.state == RUNNING:
                    action.run(tx, author, allowed, self._batch)
                else:
                    action.run_back(tx, author, allowed, self._batch)
        except Exception:
            if id:
                self._aside[id] = time.monotonic() + self.ASIDE_S
            raise
        took = time.monotonic() - began
        fitting = int(self._batch * self.BATCH_S / max(took, 0.001))
        self._batch = min(max(fitting, self._batch // 2, LEAST), self._batch * 2, IN_REQUEST)
        return True

    def _allowed(self, tx: Transaction, site_id: int, profile_id: int) -> list[int]:
        """Return the ids of the microcosms that a profile moderates now, and 0 among them if the profile also moderates
        what is outside of all microcosms; [] for no such profile.
        """
        found = identities.of_profile(tx, site_id, profile_id)
        if found is None:
            return []
        ids, on_profiles = evaluator.moderated(
            found.principal, load_tree(tx, site_id, found.acl_version)
        )
        return [*([0] if on_profiles else []), *ids]
