"""Composition of one web process: makes the database pool, caches, site cache, background threads and routes, and
joins them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from forumapi.cache.document_cache import OVERHEAD, Cache
from forumapi.cache.lru_cache import Lru, plainly
from forumapi.checks import check_queue, check_settings
from forumapi.checks.check_worker import CheckWorker
from forumapi.config import site_weights
from forumapi.database.connections import Database, Reader, Transaction
from forumapi.database.standby import StandbyPool
from forumapi.errors import Unavailable
from forumapi.events.readers import EventReader, Readers
from forumapi.events.sequencer import Sequencer
from forumapi.files.images.image_worker_handle import ImageWorker
from forumapi.files.storage import StorageError, clear_scratch, open_storage
from forumapi.files.thumbnails import Box, Thumbnails
from forumapi.mail.outbox import Sender
from forumapi.models.journal import audit_chain
from forumapi.models.journal.activity_buffers import Activity
from forumapi.models.pages.document_reader import Documents
from forumapi.models.pages.page_cache import PageCache
from forumapi.models.people.profile_list import KeysetMarks
from forumapi.models.roles.role_recomputation_worker import Settler
from forumapi.models.rules import engine, moderation_rule
from forumapi.models.rules.report_worker import ReportRulesWorker
from forumapi.models.sites.site_cache import SiteCache
from forumapi.models.texts import text_rendering
from forumapi.models.trust.action_worker import ActionWorker
from forumapi.models.usage import platform_health
from forumapi.observability import log
from forumapi.observability.log import logger
from forumapi.observability.metrics_push import Reporter
from forumapi.outbound.geocoders import choose as choose_geocoder
from forumapi.outbound.safe_http_client import Outbound
from forumapi.realtime.live_service import Live
from forumapi.request import opentelemetry_spans, routing
from forumapi.request.admission import crawl_budget
from forumapi.request.admission.admission_gate import AdmissionGate
from forumapi.request.admission.plan_limits import PlanLimits
from forumapi.request.handler import Handler
from forumapi.request.process_gauges import ProcessGauges
from forumapi.request.rate_limit import AddressBuckets, Buckets
from forumapi.request.services import Services
from forumapi.request.usage_counter import UsageCounter
from forumapi.updates import dispatch, mail_enqueue, push_queue
from forumapi.updates.mail_rendering import EmailWriter
from forumapi.updates.message_request import MessageRequest
from forumapi.updates.push_sender import PushSender
from forumapi.webhooks.sender import Deliverer
from forumapi.wire import client_address, known_front_ends, legacy_urls, scopes

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.models.sites.site import Site

SMALL_FILES_BYTES = 8 * 1024 * 1024
# Added to the statement timeout: a server that works has cancelled the statement itself by then.
SILENCE_MS = 200


class App(Services):
    """All services of one web process. Call `start` before the first request, `stop` after the last.

    `root` and `site`: handler classes by URL template, of the platform's host and of site hosts; `database_url`: of the
    database, "" for the configured one.
    """

    def __init__(
        self,
        config: Config,
        root: dict[str, type[Handler]],
        site: dict[str, type[Handler]],
        database_url: str = "",
    ) -> None:
        self.database = Database(
            database_url or config.database_url,
            size=config.database_connections,
            wait_ms=config.database_wait_ms,
            prepare=config.database_prepare,
            timeout_ms=config.statement_timeout_ms + SILENCE_MS,
        )
        self.standbys = None
        self.read = self.database.read
        if config.database_replica_url:
            self.standbys = StandbyPool(
                config.database_replica_url,
                self.database,
                size=config.database_connections,
                timeout_ms=config.statement_timeout_ms + SILENCE_MS,
            )
            self.read = self.standbys.read
        self.cache = Cache(
            config.memcached, memory_mb=config.memory_cache_mb, prefix=config.cache_prefix
        )
        self.documents = Documents(self.cache, self._rerender)
        self.pages = PageCache(config.memory_cache_mb * 1024 * 1024 // 3)
        self.open_files = Lru(2000, lambda *_: 1)
        self.small_files = Lru(SMALL_FILES_BYTES, plainly)
        self.answers = Lru(
            config.memory_cache_mb * 1024 * 1024, lambda _, data: len(data) + OVERHEAD
        )
        self.sites = SiteCache(
            self.database,
            config.platform_domain,
            poll_ms=config.site_poll_ms,
            scheme=config.scheme,
            port_suffix=config.port_suffix,
            has_website=config.has_website,
        )
        self.activity = Activity(self.database)
        self.old_sites = legacy_urls.load(config.old_sites_folder)
        self.profile_marks = KeysetMarks()
        self.mail = Sender(
            self.database,
            lambda: self.config,
            EmailWriter(
                self.database,
                self.sites,
                lambda: self.config,
                self._take_mail,
            ),
        )
        self.push = PushSender(self.database, self.sites, lambda: self.config)
        self.deliverer = self.webhooks = Deliverer(self, config)
        direct = config.database_direct_url or database_url or config.database_url
        self.sequencer = Sequencer(direct, self._numbered, self.sites.wake)
        self.readers = Readers(
            self.database,
            (
                EventReader(
                    dispatch.NAME, dispatch.Dispatch(self._queue_mail, self._queue_push).work
                ),
                EventReader(audit_chain.NAME, audit_chain.work),
                EventReader(moderation_rule.READER, engine.work, moderation_rule.BEHIND),
                self.deliverer.reader,
                EventReader(check_settings.READER, check_queue.queue, check_queue.BEHIND),
            ),
            lambda: self.sequencer.leads,
            self.sequencer.hold,
        )
        self.settler = Settler(self.database, lambda: self.config, lambda: self.sequencer.leads)
        self.checks = CheckWorker(
            self.database,
            lambda: self.config,
            lambda: self.sequencer.leads,
            self.sequencer.hint,
        )
        self.actions = ActionWorker(
            self.database, lambda: self.sequencer.leads, self.sequencer.hint
        )
        self.report_rules = ReportRulesWorker(
            self.database, lambda: self.sequencer.leads, self.sequencer.hint
        )
        self.live = Live(self.database, self.sites, self.documents, lambda: self.config, direct)
        self.usage = UsageCounter(self.database, self.live.connections_by_site)
        self.crawl = crawl_budget.CrawlGate(
            lambda: Outbound(nameservers=self.config.dns_servers, timeout_s=crawl_budget.DNS_S)
        )
        self.plans = PlanLimits(
            self.database,
            lambda: self.config,
            self.usage,
            self.live.connections_by_site,
            lambda site_id, tx: self.sites.current(site_id, tx).page(""),
        )
        self.storage = open_storage(config)
        self.image_worker = ImageWorker(
            time_limit_s=config.picture_timeout_s, pixel_limit=config.picture_pixel_limit
        )
        self.thumbnails = Thumbnails(self.database, self.storage, self.image_worker)
        self.thumbnail_boxes = tuple(map(Box.of, config.thumbnail_sizes))
        self.root_routes = routing.RoutingTable(root)
        self.site_routes = routing.RoutingTable(site)
        self.scopes = scopes.known(
            (url, verb) for url, handler in site.items() for verb in handler.operations
        )
        self.templates = {url: routing.template(url) for url in (*root, *site)}
        self.gate = AdmissionGate()
        self.reporter = Reporter(
            lambda: self.config,
            sample=ProcessGauges(self.database, self.live, self.gate).sample,
            platform=lambda: platform_health.collect(self.database, self.config.backup_status_path),
            leads=lambda: self.sequencer.leads,
        )
        self.tracer = opentelemetry_spans.tracer(config.trace_url, config.trace_percent)
        self.apply(config)

    def apply(self, config: Config) -> None:
        """Use `config`, the settings after a reload, from the next request on; sizes of pools and caches, addresses and
        routes stay as they were made. Counts of rate limits begin anew.
        """
        self.config = config
        self.access = log.requests()
        self.server_timing_header = config.server_timing_header
        self.geocoder = choose_geocoder(config)
        self.deliverer.apply(config)
        self.proxies = client_address.Proxies(config.trusted_proxies)
        self.front_ends = known_front_ends.FrontEnds(config.front_ends)
        self.body_limit = config.request_body_limit
        guest_seconds = config.guest_cache_seconds
        self.cache_control = (
            f"public, max-age={guest_seconds}" if guest_seconds else "no-cache, max-age=0"
        )
        workers = config.worker_count
        self.token_buckets = Buckets(config.rate_limit_token_per_minute, workers)
        self.address_buckets = AddressBuckets(config.rate_limit_address_per_minute, workers)
        self.plans.apply(config)
        self.crawl.apply(config)
        self.database.bind_sites(config.database_percent_per_site)
        self.gate.apply(
            address_limit=config.guest_concurrency_per_address,
            queue=config.queue_per_site,
            wait_s=config.queue_wait_s,
            weights=site_weights(config.site_weights),
        )

    def start(self) -> bool:
        """Open connections and start the background threads of this process; return True, or False if the database
        can't be reached now.

        In that case requests are refused until the database can be reached, and no restart is needed.
        """
        try:
            self.database.warm(2)
            self.live.cursors.make(1, 0)  # made here rather than during a request
        except Unavailable:
            has_database = False
            logger.error("there is no database: requests are refused until there is one")
        else:
            has_database = True
        if self.standbys is not None:
            self.standbys.start()
        self.sites.start()
        self.activity.start()
        self.mail.start()
        self.push.start()
        self.readers.start()
        self.deliverer.start()
        self.settler.start()
        self.actions.start()
        self.report_rules.start()
        self.checks.start()
        self.sequencer.start()
        self.live.start()
        self.usage.start()
        self.plans.start()
        self.crawl.start()
        self.reporter.start()
        self._open_files()
        return has_database

    def retire(self) -> None:
        """Stop numbering events and keep at most one idle database connection, since a successor process needs the
        others; requests are still answered.
        """
        self.sequencer.stop()
        self.database.retire()

    def stop(self) -> None:
        """Ask the background threads to end, of which few are waited for, write what is buffered, and close the live
        connections and the idle ones to the database.
        """
        self.live.stop()
        self.sequencer.stop()
        self.readers.stop()
        self.deliverer.stop()
        self.settler.stop()
        self.actions.stop()
        self.report_rules.stop()
        self.checks.stop()
        self.sites.stop()
        self.activity.stop()
        self.mail.stop()
        self.push.stop()
        self.thumbnails.stop()
        self.image_worker.close()
        self.plans.stop()
        self.crawl.stop()
        self.usage.stop()
        self.reporter.stop()
        if self.tracer is not None:
            self.tracer.stop()
        if self.standbys is not None:
            self.standbys.stop()
        self.database.close()

    def _numbered(self) -> None:
        self.readers.wake()
        self.live.wake()
        self.sites.wake()

    def _queue_mail(
        self, tx: Transaction, site_id: int, mail_requests: Sequence[MessageRequest]
    ) -> None:
        count = len(mail_requests)
        if count and not self.plans.may_mail(
            tx, site_id, lambda: self.sites.current(site_id, tx), count
        ):
            return
        mail_enqueue.queue(tx, site_id, mail_requests)
        if mail_requests:
            tx.after_commit(self.mail.wake)

    def _take_mail(self, tx: Reader, site: Site) -> bool:
        return self.plans.take_mail(tx, site)

    def _queue_push(
        self, tx: Transaction, site_id: int, requests: Sequence[MessageRequest]
    ) -> None:
        push_queue.queue(tx, site_id, requests)
        if requests:
            tx.after_commit(self.push.wake)

    def _open_files(self) -> None:
        """Check the store of files, clear its scratch folder of leftovers and start the thread of thumbnails; a problem
        of the store is only logged.
        """
        try:
            logger.info("files are kept %s", self.storage.check())
            clear_scratch(self.storage)
        except StorageError as error:
            logger.error("files can't be stored or read: %s", error.reason)
        self.thumbnails.start()

    def _rerender(
        self, tx: Reader, site_id: int, microcosm_id: int | None, comment_id: int, source: str
    ) -> tuple[int, str]:
        site = self.sites.current(site_id, tx)
        return text_rendering.rerender(
            tx,
            site,
            lambda: self.sites.tree(site, tx),
            microcosm_id,
            comment_id,
            source,
            short_links=self.config.short_links,
        )
