"""Limits of sites' plans in one web process: what sites use is counted here, and read from the database again every few
seconds, so that a request costs no statement for it.
"""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from psycopg.errors import ForeignKeyViolation

from forumapi.concurrency.background_thread import PollingThread
from forumapi.config import Config, plan_weights, plans
from forumapi.database.connections import Database, Reader, Transaction
from forumapi.errors import NotFound, PlanLimit
from forumapi.mail import outbox
from forumapi.models.sites import sandbox, site_state
from forumapi.models.usage import site_plan
from forumapi.models.usage.site_plan import (
    CALLS,
    COMMENTS,
    DAILY,
    MAILS,
    MEMBERS,
    SOCKETS,
    STORAGE,
    PlanNotice,
)
from forumapi.request.rate_limit import Buckets
from forumapi.request.usage_counter import UsageCounter

if TYPE_CHECKING:
    from forumapi.models.sites.site import Site

_NO_LIMITS: Final[Mapping[str, int]] = {}
_MINUTE: Final = 60


class _Use:
    """Use of one site's plan, as numbers by the name of the limit. `read`: as the database had it on the UTC day `day`;
    `added`: what this process has counted since then.
    """

    __slots__ = ("added", "day", "read")

    def __init__(self, read: Mapping[str, int], day: datetime.date) -> None:
        self.read = read
        self.added: dict[str, int] = {}
        self.day = day


class PlanLimits(PollingThread):
    """Limits of sites' plans. What a site uses is read when a limit is first asked for and, as long as limits are asked
    for, every POLL_S again by a thread, which also queues the notices to owners of sites near a limit.

    Exact among the requests of one process, but for those in work at the same time; what other processes took is known
    POLL_S later, comments POLL_S after their counts are written. Calls and sockets are limited in each process to its
    share. `config()` returns the settings; `sockets()` the number of live connections of this process by site;
    `url(site_id, tx)` the address of a site.
    """

    POLL_S: ClassVar[float] = 10.0

    def __init__(
        self,
        database: Database,
        config: Callable[[], Config],
        usage: UsageCounter,
        sockets: Callable[[], Mapping[int, int]],
        url: Callable[[int, Reader], str],
    ) -> None:
        super().__init__("plans", "what sites use is not read")
        self._database = database
        self._config = config
        self._usage = usage
        self._sockets = sockets
        self._url = url
        self._plans: dict[str, dict[str, int]] = {}
        self._weights: dict[str, int] = {}
        self._default = ""
        self._share = 1
        self._calls: dict[str, Buckets] = {}
        self._uses: dict[int, _Use] = {}
        # Ids of sites whose limits were asked for since the last poll.
        self._asked: set[int] = set()
        self._notices: dict[tuple[int, str], PlanNotice] = {}
        self._told: dict[tuple[int, str, int], datetime.date] = {}

    def apply(self, config: Config) -> None:
        """Take over the plans of the settings `config`; counts of calls begin anew, and what sites use is read again
        when it is asked for.
        """
        self._plans = plans(config.plans)
        self._weights = plan_weights(config.plans)
        self._default = config.default_plan
        self._share = config.worker_count
        self._calls = {
            name: Buckets(limits[CALLS], self._share)
            for name, limits in self._plans.items()
            if limits.get(CALLS)
        }
        self._uses = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all plans, in the order of the settings."""
        return tuple(self._plans)

    def plan(self, site: Site) -> str:
        """Return the name of the plan that limits a site: the site's own or, if the settings have no plan of that name,
        the default one; of a sandbox that of all sandboxes. "" for none, and for the platform's own site.
        """
        if site.is_sandbox:
            return sandbox.PLAN
        if not self._plans or site.is_root:
            return ""
        name = site.plan if site.plan in self._plans else self._default
        return name if name in self._plans else ""

    def limits(self, site: Site) -> Mapping[str, int]:
        """Return the limits of a site's plan as numbers by their names in site_plan.py, such as MEMBERS; what has no
        limit is absent.
        """
        if site.is_sandbox:
            return sandbox.LIMITS
        return self._plans.get(self.plan(site), _NO_LIMITS)

    def weight(self, site: Site) -> int:
        """Return the weight of a site's plan beside those of other sites; 1 for a plan without one, and for no plan."""
        return self._weights.get(self.plan(site), 1) if self._weights else 1

    def check(self, tx: Reader, site: Site, limit: str, count: int = 1) -> None:
        """Check that the site may take `count` more of what `limit` names: MEMBERS, STORAGE (in MB) or another name in
        site_plan.py of which the database counts the use. Nothing is taken; from 80 % of the limit on a notice to the
        owner is kept for `poll`. Raises PlanLimit if `count` more would exceed the limit of the site's plan.
        """
        most = self.limits(site).get(limit)
        if most is None:
            return
        used = self._used(tx, site.id, limit) if most else 0
        self._refuse_beyond(site, limit, most, used + count)

    def take(self, tx: Transaction, site: Site, limit: str, count: int = 1) -> None:
        """Check as `check` does, which raises PlanLimit at once, and count `count` of what `limit` names as used when
        the transaction is committed.
        """
        self.check(tx, site, limit, count)
        if self.limits(site).get(limit):
            tx.after_commit(lambda: self.add(site.id, limit, count))

    def taking_member(self, site: Site) -> Callable[[Transaction], None]:
        """Return a function that checks and counts one more member of the site, as `take` does, in the transaction that
        the function is called with. The function also raises SiteReadOnly, SiteSuspended or SiteClosing if the site is
        not active, and so has no newcomers.
        """

        def take(tx: Transaction) -> None:
            site_state.check(site)
            self.take(tx, site, MEMBERS)

        return take

    def add(self, site_id: int, limit: str, count: int = 1) -> None:
        """Count `count` of what `limit` names as used by a site, beyond the limit too, in this process's memory: for
        things that were stored already. Does nothing if the site's use was not read yet, or was forgotten: these things
        are read with it then.
        """
        use = self._uses.get(site_id)
        if use is not None:
            use.added[limit] = use.added.get(limit, 0) + count

    def add_comment(self, tx: Transaction, site_id: int) -> None:
        """Count a new comment, once the transaction is committed: for the plan, and in the site's usage."""

        def count() -> None:
            self._usage.count_comment(site_id)
            self.add(site_id, COMMENTS)

        tx.after_commit(count)

    def check_stored(self, site: Site, size: int) -> None:
        """Check that a site may store `size` bytes in all, files that it has included. Raises PlanLimit."""
        most = self.limits(site).get(STORAGE)
        if most is not None:
            self._refuse_beyond(site, STORAGE, most, -(-size // (1024 * 1024)))

    def check_socket(self, site: Site) -> None:
        """Check that a site may have one more live connection in this process, which has its share of the limit: none
        for a limit of 0, else one connection at least. Raises PlanLimit.
        """
        most = self.limits(site).get(SOCKETS)
        if most is not None:
            here = max(1, most // self._share) if most else 0
            used = self._sockets().get(site.id, 0) + 1
            if used * 5 >= here * 4:
                self._note(site.id, SOCKETS, self.plan(site), most, 100 if used >= here else 80)
            if used > here:
                raise PlanLimit(SOCKETS, self.plan(site), most)

    def take_call(self, site: Site) -> None:
        """Count one call of a site, against this process's share of the plan's calls a minute. Raises PlanLimit beyond
        it.
        """
        most = self.limits(site).get(CALLS)
        if most is None:
            return
        plan = self.plan(site)
        if not most:
            self._note(site.id, CALLS, plan, most, 100)
            raise PlanLimit(CALLS, plan, most, _MINUTE)
        allowance = self._calls[plan].take(str(site.id))
        assert allowance is not None, "the bucket has a limit"
        if allowance.retry_after_s:
            self._note(site.id, CALLS, plan, most, 100)
            raise PlanLimit(CALLS, plan, most, allowance.retry_after_s)
        if allowance.remaining * 5 < allowance.limit:
            self._note(site.id, CALLS, plan, most, 80)

    def may_mail(self, tx: Transaction, site_id: int, site: Callable[[], Site], count: int) -> bool:
        """Return True if the plan allows the site to send mails about updates to `count` people more today; they count
        as sent once the transaction is committed. False beyond the limit: then none counts. `site()` returns the site
        with the id `site_id`, and is called only if a plan limits mail.
        """
        if not self._plans or not any(MAILS in limits for limits in self._plans.values()):
            return True
        try:
            self.take(tx, site(), MAILS, count)
        except PlanLimit:
            return False
        return True

    def take_mail(self, tx: Reader, site: Site) -> bool:
        """Return True if the plan allows the site one more mail today, which counts as sent at once; False beyond the
        limit: then it does not count. For digests and the like, of which it is known only at sending whether there is
        anything to send.
        """
        try:
            self.check(tx, site, MAILS)
        except PlanLimit:
            return False
        self.add(site.id, MAILS)
        return True

    def used(self, tx: Reader, site: Site) -> dict[str, int]:
        """Return what a site uses now, as numbers by the names of limits in site_plan.py, of all limits that the
        database counts.
        """
        return site_plan.used(tx, site.id)

    def _used(self, tx: Reader, site_id: int, limit: str) -> int:
        self._asked.add(site_id)
        use = self._uses.get(site_id)
        if use is None or use.day != _today():
            use = self._uses[site_id] = self._read(tx, site_id)
        return use.read[limit] + use.added.get(limit, 0)

    def _read(self, tx: Reader, site_id: int) -> _Use:
        day = _today()
        read = site_plan.used(tx, site_id)
        read[COMMENTS] += self._usage.unwritten_comments(site_id)
        return _Use(read, day)

    def _refuse_beyond(self, site: Site, limit: str, most: int, used: int) -> None:
        plan = self.plan(site)
        if used * 5 >= most * 4:
            self._note(site.id, limit, plan, most, 100 if used >= most else 80)
        if used > most:
            raise PlanLimit(limit, plan, most, _seconds_left() if limit in DAILY else 0)

    def _note(self, site_id: int, limit: str, plan: str, most: int, percent: int) -> None:
        notice = PlanNotice(site_id, limit, plan, most, percent)
        known = self._notices.get((site_id, limit))
        told = self._told.get((site_id, limit, percent))
        if told != notice.period(_today()) and (known is None or known.percent < percent):
            self._notices[site_id, limit] = notice

    def poll(self) -> None:
        """Queue the notices that are due, and read again what those sites use whose limits were asked for since the
        last poll; what the others use is forgotten. Raises Unavailable.
        """
        asked, self._asked = self._asked, set()
        for site_id in [id for id in self._uses if id not in asked]:
            self._uses.pop(site_id, None)
        for site_id in asked & self._uses.keys():
            reader = self._database.read()
            try:
                self._uses[site_id] = self._read(reader, site_id)
            finally:
                reader.end()
        self._tell()

    def _tell(self) -> None:
        today = _today()
        self._told = {key: day for key, day in self._told.items() if day.month == today.month}
        for key, notice in list(self._notices.items()):
            # Of a site that is gone nobody is told.
            with contextlib.suppress(NotFound, ForeignKeyViolation), self._database.write() as tx:
                self._queue(tx, notice, today)
            self._told[(*key, notice.percent)] = notice.period(today)
            if self._notices.get(key) == notice:
                del self._notices[key]

    def _queue(self, tx: Transaction, notice: PlanNotice, today: datetime.date) -> None:
        to = notice.note(tx, today)
        if to is None or not outbox.is_possible(self._config()):
            return
        email, title = to[0], outbox.plain(to[1])
        what = notice.limit.replace("_", " ")
        outbox.queue_notice(
            tx,
            "plan_limit",
            cause=f"plan:{':'.join(map(str, notice))}:{notice.period(today)}",
            recipient=email,
            subject=f"{title}: {notice.percent} % of {what} are used",
            site_id=notice.site_id,
            site_title=title,
            plan=notice.plan,
            what=what,
            most=notice.most,
            percent=notice.percent,
            url=self._url(notice.site_id, tx),
        )


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _seconds_left() -> int:
    """Return the seconds until the next midnight, UTC, one at least."""
    return max(1, 86_400 - int(time.time()) % 86_400)
