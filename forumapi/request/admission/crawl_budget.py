"""Budget of requests of unknown programs (neither browsers nor verified crawlers), over all their addresses, for each
site and minute in one web process; and the verification of known crawlers by DNS, which no request waits for.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final

from forumapi.concurrency.background_thread import PollingThread
from forumapi.config import Config
from forumapi.errors import CrawlBudget, CrawlerRefused
from forumapi.models.sites.crawl_policy import CrawlPolicy
from forumapi.outbound.safe_http_client import Outbound, OutboundError, UnansweredError
from forumapi.request.rate_limit import Buckets
from forumapi.wire import known_crawlers
from forumapi.wire.known_crawlers import Crawler

if TYPE_CHECKING:
    from forumapi.models.sites.site import Site

# Beyond this place in a list, a page is one that people seldom open.
DEEP: Final = 500
_GOOD_S: Final = 86_400.0
_BAD_S: Final = 3_600.0
_UNANSWERED_S: Final = 60.0
DNS_S: Final = 2.0


class CrawlGate(PollingThread):
    """Gate for requests of guests: refuses the crawlers that a site refuses, and counts in token buckets of the site
    the requests of unknown programs (neither a browser nor a verified crawler) and, apart from them, those of browsers
    for pages of lists beyond DEEP. A crawler is verified if DNS shows that its address is the crawler's.

    `outbound()` makes the DNS client. At most MOST addresses are remembered, and MOST_WAITING wait for their look-up;
    whoever else claims to be a crawler counts as an unknown program meanwhile. `take` costs no statement and waits for
    nothing.
    """

    MOST: ClassVar[int] = 10_000
    MOST_WAITING: ClassVar[int] = 200
    # Look-ups of one poll, two seconds each at most.
    _BATCH: ClassVar[int] = 20

    def __init__(self, outbound: Callable[[], Outbound]) -> None:
        super().__init__("crawlers", "crawlers are not verified")
        self._outbound = outbound
        self._per_minute = 0
        self._share = 1
        # By the number of requests a minute: sites with one number share the object, not the bucket.
        self._buckets: dict[int, Buckets] = {}
        self._policies: OrderedDict[str, CrawlPolicy] = OrderedDict()
        # By address and crawler: the result, and the monotonic time until which it is good.
        self._known: OrderedDict[tuple[str, str], tuple[bool, float]] = OrderedDict()
        self._waiting: OrderedDict[tuple[str, str], Crawler] = OrderedDict()

    def apply(self, config: Config) -> None:
        """Take over the settings `config`; counts begin anew."""
        self._per_minute = config.crawl_budget_per_minute
        self._share = config.worker_count
        self._buckets = {}

    def take(
        self, site: Site, ip: str, user_agent: str, offset: str, *, is_front_end: bool
    ) -> None:
        """Count one request of a guest with the address `ip`, unless it is a verified crawler's, or a browser's for a
        page at an offset up to DEEP. `user_agent`: header of the request, by which crawlers and browsers are
        recognised; `offset`: query parameter of this name as sent, of which any but a number of up to nine digits
        counts as none; `is_front_end`: a front end sent the request, whose User-Agent, unless it names a crawler, says
        nothing about the visitor, who counts as a browser.

        Raises CrawlerRefused by the site's policy, CrawlBudget beyond the site's budget: that of the settings, or a
        lower one in the site's policy; with 0 in the settings there is no limit, whatever the policy says.
        """
        policy = self._policy(site.crawling)
        crawler = known_crawlers.claimed(user_agent)
        if crawler is not None:
            if crawler.name in policy.refused:
                raise CrawlerRefused(crawler.name)
            if self._is_verified(ip, crawler):
                return
        elif is_front_end or known_crawlers.is_browser(user_agent):
            if offset.isdigit() and len(offset) < 10 and int(offset) > DEEP:
                self._count(policy, f"{site.id} deep")
            return
        self._count(policy, str(site.id))

    def _count(self, policy: CrawlPolicy, key: str) -> None:
        most = self._per_minute
        if not most:
            return
        if policy.per_minute:
            most = min(most, policy.per_minute)
        buckets = self._buckets.get(most)
        if buckets is None:
            # Owners choose the number: a few are kept, and the rest share the next lower power of two.
            if len(self._buckets) >= 64:
                most = 1 << (most.bit_length() - 1)
            buckets = self._buckets.setdefault(most, Buckets(most, self._share))
        allowance = buckets.take(key)
        if allowance is not None and allowance.retry_after_s:
            raise CrawlBudget(allowance.retry_after_s)

    def _policy(self, text: str) -> CrawlPolicy:
        if not text:
            return CrawlPolicy.of("")
        policy = self._policies.get(text)
        if policy is None:
            policy = self._policies[text] = CrawlPolicy.of(text)
            while len(self._policies) > 1_000:
                self._policies.popitem(last=False)
        return policy

    def _is_verified(self, ip: str, crawler: Crawler) -> bool:
        if not crawler.hosts:
            return False
        key = (ip, crawler.name)
        found = self._known.get(key)
        if found is not None and time.monotonic() < found[1]:
            return found[0]
        if len(self._waiting) < self.MOST_WAITING and key not in self._waiting:
            self._waiting[key] = crawler
            self.wake()
        return False

    def poll(self) -> None:
        """Verify by DNS the addresses of crawlers that wait, _BATCH at most, and remember the results; the next poll
        goes on.
        """
        outbound = self._outbound()
        for key in list(self._waiting)[: self._BATCH]:
            if self.is_stopping:
                return
            result = verify(outbound, key[0], self._waiting[key])
            self._known[key] = (result[0], time.monotonic() + result[1])
            self._known.move_to_end(key)
            self._waiting.pop(key, None)
            while len(self._known) > self.MOST:
                self._known.popitem(last=False)


def verify(outbound: Outbound, ip: str, crawler: Crawler) -> tuple[bool, float]:
    """Look up by DNS, with `outbound`, the host names of the address `ip`, and the addresses of the first name that is
    in a domain of the crawler's. Return (True if `ip` is among them, seconds for which the result is good); False also
    if there is no such name or a look-up fails.
    """
    try:
        address = ipaddress.ip_address(ip)
        for name in outbound.names(address):
            if any(name == host or name.endswith(f".{host}") for host in crawler.hosts):
                return (True, _GOOD_S) if address in outbound.addresses(name) else (False, _BAD_S)
    except UnansweredError:
        return False, _UNANSWERED_S
    except (OutboundError, ValueError):
        return False, _BAD_S
    return False, _BAD_S
