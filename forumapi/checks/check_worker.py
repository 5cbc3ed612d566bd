"""Thread that checks what people have written, afterwards: one text at a time, each check with a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from forumapi.checks import check_queue, check_settings
from forumapi.checks.check import FAILED, HOLD, MOST_REASON, TIMEOUT_S, CheckedText, TextCheck
from forumapi.checks.check_queue import ContentCheck
from forumapi.concurrency.background_thread import PollingThread
from forumapi.database.connections import Database, Transaction
from forumapi.database.query import Query
from forumapi.models.access import identity as identities
from forumapi.models.microcosms.tree import load_tree
from forumapi.observability.log import logger
from forumapi.outbound.safe_http_client import Outbound, OutboundError
from forumapi.permissions import evaluator

if TYPE_CHECKING:
    from forumapi.config import Config

HOST = Query(
    "check_worker.host",
    """
    SELECT coalesce(s.domain, s.subdomain_key || '.' || %(domain)s)
      FROM sites s
     WHERE s.site_id = %(site_id)s""",
)
# Seconds for which a service that failed is not asked again for that site: texts do not queue behind it, and one site's
# bad key does not keep others from being checked.
_PAUSE_S: Final = 30.0
_MOST_PAUSED: Final = 1_000
_PAUSED: Final = "it failed a moment ago"


def outbound(config: Config) -> Outbound:
    """Make the HTTP client by which checks ask services: with https, at the ports 80 and 443 of public addresses alone;
    in the embedded mode, or if `private_webhooks` is set, with http too, and at any port and address.
    """
    if config.is_embedded or config.private_webhooks:
        return Outbound(allowed=lambda _: True, ports=(), timeout_s=TIMEOUT_S)
    return Outbound(schemes=("https",), timeout_s=TIMEOUT_S)


class CheckWorker(PollingThread):
    """Thread that works off the queue of all sites, while `leads()` says that this process is the one to do it.

    `config()` returns the present settings; `hint()` is called after a text was hidden, so that the event is soon
    numbered.
    """

    POLL_S: ClassVar[float] = 1.0

    def __init__(
        self,
        database: Database,
        config: Callable[[], Config],
        leads: Callable[[], bool],
        hint: Callable[[], None],
    ) -> None:
        super().__init__("checks", "what people wrote waits to be checked")
        self._database = database
        self._config = config
        self._leads = leads
        self._hint = hint
        # Site and name of a check that asks a service -> when it may be asked again; _MOST_PAUSED at the most.
        self._paused: dict[tuple[int, str], float] = {}
        # The site that had the last turn.
        self._after = 0

    def poll(self) -> None:
        """Check one text of the queue after the other, until none is due, this process no longer leads, or the thread
        is to stop. Raises Unavailable if the database can't be reached.
        """
        while self._leads() and not self.is_stopping and self.work():
            pass

    def work(self) -> bool:
        """Check the text that has been due for longest, of the site whose turn it is, with all checks of that site, in
        transactions of its own, and hide the text if one of them holds it, or gives no verdict where the site's
        `onFailure` is HOLD; return False if no text is due. A text by a moderator of its place passes without checks.
        From its lease MOST_ATTEMPTS + 1 on no service is asked, and the checks that would ask one give no verdict.
        Blocks while services are asked, without a database connection.
        """
        with self._database.write() as tx:
            claimed = ContentCheck.claim(tx, after=self._after)
        if claimed is None:
            return False
        self._after = claimed.site_id
        with self._database.write() as tx:
            chosen = check_settings.find(tx, claimed.site_id)
            site_url = f"https://{tx.value(HOST, site_id=claimed.site_id, domain=self._config().platform_domain)}"
            found = claimed.facts(tx, site_url) if chosen else None
            if chosen is None or found is None:
                claimed.finish(tx, check_queue.GONE, ())
                return True
            text, microcosm_id = found
            if self._moderates(tx, claimed, microcosm_id):
                claimed.finish(tx, check_queue.PASSED, ())
                return True
        config = self._config()
        checks = chosen.checks(outbound(config), config.spam_check_url, config.akismet_url)
        # A process that ended while services were asked, time after time, must not be ended by them for ever.
        is_late = claimed.attempts > check_queue.MOST_ATTEMPTS
        verdicts = [self._judge(check, text, is_late=is_late) for check in checks]
        holding = [
            one
            for one in verdicts
            if one["verdict"] == HOLD or (one["verdict"] == FAILED and chosen.onFailure == HOLD)
        ]
        with self._database.write() as tx:
            state = check_queue.HELD if holding else check_queue.PASSED
            if claimed.finish(tx, state, verdicts) and holding:
                claimed.hold(tx, "; ".join(f"{one['check']}: {one['reason']}" for one in holding))
        if holding:
            self._hint()
        return True

    def _pause(self, site_id: int, name: str, now: float) -> None:
        """Note, in this process's memory, that the check `name` must not ask its service for the site for _PAUSE_S
        seconds from `now` (monotonic time). If there are _MOST_PAUSED notes, those whose time is over are dropped
        before; if there are still as many, all.
        """
        if len(self._paused) >= _MOST_PAUSED:
            self._paused = {key: until for key, until in self._paused.items() if until > now}
        if len(self._paused) >= _MOST_PAUSED:
            self._paused.clear()
        self._paused[site_id, name] = now + _PAUSE_S

    def _judge(self, check: TextCheck, text: CheckedText, *, is_late: bool) -> dict[str, Any]:
        began = time.monotonic()
        try:
            if (is_late and check.asks_service) or self._paused.get(
                (text.site_id, check.name), 0.0
            ) > began:
                raise OutboundError(_PAUSED)
            word, reason = check.judge(text)
        except OutboundError as error:
            word, reason = FAILED, str(error)
            if reason != _PAUSED:
                self._pause(text.site_id, check.name, began)
        except Exception as error:  # noqa: BLE001 - a check that lies must not keep texts from being checked
            logger.exception("the check %s failed", check.name)
            word, reason = FAILED, type(error).__name__
        taken = round((time.monotonic() - began) * 1000)
        return {
            "check": check.name,
            "verdict": word,
            "reason": reason[:MOST_REASON],
            "milliseconds": taken,
        }

    def _moderates(self, tx: Transaction, checked: ContentCheck, microcosm_id: int) -> bool:
        """Return True if the author of `checked` moderates the microcosm `microcosm_id`, in which the text is, or, with
        0 (a comment on a profile), comments on profiles, so that the text needs no check.
        """
        found = identities.of_profile(tx, checked.site_id, checked.author_id)
        if found is None:
            return False
        tree = load_tree(tx, checked.site_id, found.acl_version)
        ids, on_profiles = evaluator.moderated(found.principal, tree)
        return microcosm_id in ids if microcosm_id else on_profiles
