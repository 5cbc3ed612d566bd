"""Thread that carries out the rules on reports: one report at a time, in the order in which they came.

A report that rules wait for is marked in the transaction that stores it. Its mark goes in the transaction of what the
rules do, so a process that ends in between leaves it to the next one, and nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from forumapi.concurrency.background_thread import PollingThread
from forumapi.database.connections import Database
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import ApiError, Conflict, TooSlow
from forumapi.itemtypes import ItemRef
from forumapi.models.rules import engine
from forumapi.observability.log import logger

# A second process waits for the first one here, and then finds the mark gone.
TAKE = Query(
    "report_worker.take",
    """
    WITH oldest AS MATERIALIZED (
        SELECT r.site_id, r.report_id
          FROM reports r
         WHERE r.awaits_rules
         ORDER BY r.report_id, r.site_id
         LIMIT 1
           FOR NO KEY UPDATE)
    UPDATE reports r
       SET awaits_rules = false
      FROM oldest
     WHERE r.site_id = oldest.site_id AND r.report_id = oldest.report_id AND r.awaits_rules
 RETURNING r.site_id, r.report_id, r.item_type_id, r.item_id, r.created""",
    scope=PLATFORM,
)


PASS_OVER = Query(
    "report_worker.pass_over",
    "UPDATE reports r SET awaits_rules = false WHERE r.site_id = %(site_id)s AND r.report_id = %(id)s",
)


class ReportRulesWorker(PollingThread):
    """Thread that carries the rules of all sites out on reports, while `leads()` says that this process is the one to
    do it. `hint()` is called after a rule acted, so that its events are soon numbered.
    """

    POLL_S: ClassVar[float] = 1.0

    def __init__(
        self, database: Database, leads: Callable[[], bool], hint: Callable[[], None]
    ) -> None:
        super().__init__("report-rules", "reports wait for the rules")
        self._database = database
        self._leads = leads
        self._hint = hint

    def poll(self) -> None:
        """Carry the rules out on all waiting reports, one after the other, while `leads()` is True. Raises Unavailable
        if the database can't be reached.
        """
        while self._leads() and not self.is_stopping and self.work():
            pass

    def work(self) -> bool:
        """Carry the rules out on the report that has waited longest, in a transaction of their own; return False if
        none waits, or another process took it.

        A report on which they fail, except for want of the database, is logged and passed over, and True returned, so
        that the others do not wait behind it. Raises Unavailable if the database can't be reached.
        """
        row = None
        try:
            with self._database.write() as tx:
                row = tx.row(TAKE)
                if row is None:
                    return False
                site_id, id, item_type, item_id, created = row
                has_acted = engine.work_report(
                    tx, site_id, ItemRef(item_type, item_id), id, created
                )
        except Exception as error:
            may_pass = isinstance(error, Conflict | TooSlow) or not isinstance(error, ApiError)
            if row is None or not may_pass:
                raise
            # By its id: meanwhile an older report may have been committed, which nobody has looked at.
            with self._database.write() as tx:
                tx.run(PASS_OVER, site_id=row[0], id=row[1])
            logger.exception("the rules failed on a report: site %s, report %s", row[0], row[1])
            return True
        if has_acted:
            self._hint()
        return True
