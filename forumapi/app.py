"""The parts of one web process, joined once: settings, database, cache, sites, activity, routes."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachetools import TTLCache
from werkzeug.routing import BaseConverter, IntegerConverter, Map, MapAdapter, Rule, ValidationError

from forumapi import itemtypes
from forumapi.cache.documents import OVERHEAD, Cache
from forumapi.cache.eviction import Lru, Popular, plainly
from forumapi.concurrency.per_caller_limit import Turns
from forumapi.database.connections import Database, Reader, Transaction
from forumapi.database.standby import Standbys
from forumapi.errors import WRONG_TYPE, Invalid, Unavailable
from forumapi.events.readers import Reader as EventReader
from forumapi.events.readers import Readers
from forumapi.events.sequencer import Sequencer
from forumapi.files.images.image_worker_pool import Studio
from forumapi.files.storage import StorageError, clear_scratch, open_storage
from forumapi.files.thumbnails import Box, Thumbnails
from forumapi.itemtypes import ItemType
from forumapi.mail.outbox import Sender
from forumapi.models.content import text
from forumapi.models.content.file import Stored
from forumapi.models.journal.activity import Activity
from forumapi.models.microcosms import microcosm_counters
from forumapi.models.pages.documents import Documents
from forumapi.models.pages.page_cache import Pages
from forumapi.models.people.profile_list import Borders
from forumapi.models.people.role_settler import Settler
from forumapi.models.sites import platform_metrics
from forumapi.models.sites.site import SiteDirectory
from forumapi.observability import log, metrics
from forumapi.observability.log import logger
from forumapi.observability.metrics_export import Point, Reporter
from forumapi.outbound.geocoders import choose as choose_geocoder
from forumapi.realtime.event_pump import Live
from forumapi.request import tracing
from forumapi.request.handler import Handler
from forumapi.request.hotfiles import HotFiles
from forumapi.request.rate_limit import AddressBuckets, Buckets
from forumapi.updates import dispatch, email
from forumapi.updates.notice import Notice
from forumapi.updates.writer import EmailWriter
from forumapi.webhooks.sender import Deliverer
from forumapi.wire import client_address, legacy_urls, scopes

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.request.context import Context

_BIGINT = 2**63 - 1
SMALL_FILES_BYTES = 8 * 1024 * 1024
# A server that works cancels a statement itself before this is over as well.
SILENCE_MS = 200
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PART = re.compile(r"<(?:\w+:)?(\w+)>")


def template(url: str) -> str:
    """An address of the routing table as logs and figures show it: `/api/v1/comments/{id}`."""
    return _PART.sub(lambda part: "{id}" if part[1] == "item" else f"{{{part[1]}}}", url)


class Item:
    """An item named by an address: type number and id."""

    __slots__ = ("id", "type")

    def __init__(self, type: int, id: int) -> None:
        self.type = type
        self.id = id


def _number(text: str) -> int:
    if len(text) > 19 or int(text) > _BIGINT:
        raise Invalid("id", "is beyond 64 bits", code=WRONG_TYPE)
    return int(text)


class NumberConverter(IntegerConverter):
    """`<number:name>`: digits; beyond 64 bits is 400 (platform 1.1)."""

    regex = "[0-9]+"

    def to_python(self, value: str) -> int:
        if not value.isascii():
            raise ValidationError
        return _number(value)


class KeyConverter(BaseConverter):
    """`<key:name>`: letters, digits, hyphens, underscores (content 1.1)."""

    regex = "[0-9A-Za-z_-]+"


def _item_converter(kind: ItemType) -> type[NumberConverter]:
    class ItemConverter(NumberConverter):
        """`<type:item>`: an id of one item type."""

        def to_python(self, value: str) -> Any:
            return Item(kind.id, super().to_python(value))

    return ItemConverter


CONVERTERS: dict[str, type[BaseConverter]] = {
    "key": KeyConverter,
    "number": NumberConverter,
    **{kind.name: _item_converter(kind) for kind in itemtypes.TYPES},
}


class _Matched(Rule):
    """A rule for matching alone."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        """No function that would build addresses: to write those is nearly all the work of making the rules."""

        def build(rule: Rule, **values: Any) -> tuple[str, str]:
            raise NotImplementedError

        return build


def adapter(routes: dict[str, type[Handler]]) -> MapAdapter:
    """A route table as something to match paths with."""
    instances = {handler: handler() for handler in set(routes.values())}
    rules = [_Matched(url, endpoint=instances[handler]) for url, handler in routes.items()]
    return Map(rules, converters=CONVERTERS, strict_slashes=True, merge_slashes=False).bind("")


class App:
    """Everything a request needs that outlives it. `start` before the first request, `stop` after the last."""

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
        # Where requests read: on the standby what it may answer, if there is one.
        self.standbys: Standbys | None = None
        self.read = self.database.read
        if config.database_replica_url:
            self.standbys = Standbys(
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
        self.pages = Pages(config.memory_cache_mb * 1024 * 1024 // 3)
        # What guests may download, a second old at most, and the bytes of small files, which never change.
        self.open_files: TTLCache[tuple[int, str], Stored] = TTLCache(maxsize=2000, ttl=1.0)
        self.hot_files = HotFiles()
        self.small_files: Lru[str, bytes] = Lru(SMALL_FILES_BYTES, plainly)
        # Finished ones, by site and entity tag, which covers every byte.
        self.answers: Popular[tuple[int, str], bytes] = Popular(
            config.memory_cache_mb * 1024 * 1024 // 2, lambda data: len(data) + OVERHEAD
        )
        self.sites = SiteDirectory(
            self.database,
            config.platform_domain,
            poll_ms=config.site_poll_ms,
            scheme=config.scheme,
            port_suffix=config.port_suffix,
        )
        self.activity = Activity(self.database)
        self.old_sites = legacy_urls.load(config.old_sites_folder)
        self.borders = Borders()
        self.mail = Sender(
            self.database,
            lambda: self.config,
            EmailWriter(self.database, self.sites, lambda: self.config),
        )
        self.webhooks = Deliverer(self, config)
        direct = config.database_direct_url or database_url or config.database_url
        self.sequencer = Sequencer(direct, self._numbered, self.sites.wake)
        self.readers = Readers(
            self.database,
            (
                EventReader(dispatch.NAME, dispatch.Dispatch(self._queue_mail).work),
                self.webhooks.reader,
            ),
            lambda: self.sequencer.leads,
            self.sequencer.hold,
        )
        self.settler = Settler(self.database, lambda: self.config, lambda: self.sequencer.leads)
        self.live = Live(self.database, self.sites, self.documents, lambda: self.config, direct)
        self.storage = open_storage(config)
        self.studio = Studio(
            time_limit_s=config.picture_timeout_s, pixel_limit=config.picture_pixel_limit
        )
        self.thumbnails = Thumbnails(self.database, self.storage, self.studio)
        self.thumbnail_boxes = tuple(map(Box.of, config.thumbnail_sizes))
        self.root_routes = adapter(root)
        self.site_routes = adapter(site)
        self.scopes = scopes.known(
            (url, verb) for url, handler in site.items() for verb in handler.operations
        )
        self.templates = {url: template(url) for url in (*root, *site)}
        # Where paths lead, by (root, path): handler, arguments, template. Matching anew costs ten times as much.
        self.routed: Lru[tuple[bool, str], tuple[Handler, Mapping[str, Any], str]] = Lru(
            1000, lambda *_: 1
        )
        self.reporter = Reporter(
            lambda: self.config,
            look=self._look,
            platform=self.platform_figures,
            leads=lambda: self.sequencer.leads,
        )
        self.tracer = tracing.tracer(config.trace_url, config.trace_percent)
        self._cpu_s = 0.0
        self._lines_lost = 0
        self.apply(config)

    def apply(self, config: Config) -> None:
        """Take over what a reload of the settings may change at once."""
        self.config = config
        self.access = log.requests()
        self.debug_counts = config.debug_counts
        self.geocoder = choose_geocoder(config)
        self.webhooks.apply(config)
        self.proxies = client_address.Proxies(config.trusted_proxies)
        self.front_ends = client_address.FrontEnds(config.front_ends)
        self.body_limit = config.request_body_limit
        guest_seconds = config.guest_cache_seconds
        self.cache_control = (
            f"public, max-age={guest_seconds}" if guest_seconds else "no-cache, max-age=0"
        )
        workers = config.worker_count
        self.token_buckets = Buckets(config.rate_limit_token_per_minute, workers)
        self.address_buckets = AddressBuckets(config.rate_limit_address_per_minute, workers)
        self.guest_turns = Turns(config.guest_reads_at_once)

    def start(self) -> bool:
        """Open connections and begin the background work of this process; False when there is no database yet.

        Requests are refused until there is one, and nothing has to be started anew for it.
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
        self.readers.start()
        self.webhooks.start()
        self.settler.start()
        self.sequencer.start()
        self.live.start()
        self.reporter.start()
        self._open_files()
        return has_database

    def retire(self) -> None:
        """Another process has the place of this one, which answers a few last clients: leave it the connections."""
        self.sequencer.stop()
        self.database.retire()

    def stop(self) -> None:
        """End the background work and write what is buffered."""
        self.live.stop()
        self.sequencer.stop()
        self.readers.stop()
        self.webhooks.stop()
        self.settler.stop()
        self.sites.stop()
        self.activity.stop()
        self.mail.stop()
        self.thumbnails.stop()
        self.studio.close()
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

    def _queue_mail(self, tx: Transaction, site_id: int, notices: Sequence[Notice]) -> None:
        email.queue(tx, site_id, notices)
        if notices:
            tx.after_commit(self.mail.wake)

    def _open_files(self) -> None:
        """Say at the start what is wrong with the store; texts are served without it."""
        try:
            logger.info("files are kept %s", self.storage.check())
            clear_scratch(self.storage)
        except StorageError as error:
            logger.error("files can't be stored or read: %s", error.reason)
        self.thumbnails.start()

    def _rerender(
        self, tx: Reader, site_id: int, microcosm_id: int | None, comment_id: int, source: str
    ) -> tuple[int, str]:
        site = self.sites.by_id(site_id, tx)
        assert site is not None  # its comment is
        return text.rerender(
            tx,
            site,
            lambda: self.sites.tree(site, tx),
            microcosm_id,
            comment_id,
            source,
            short_links=self.config.short_links,
        )

    def wrote(self, tx: Transaction, site_id: int, id: int) -> None:
        """After some writes, fold the site's counters: which ones, the new row's `id` decides."""
        if id % microcosm_counters.FOLD_EVERY == 0:
            tx.after_commit(lambda: microcosm_counters.fold(self.database, site_id))

    def answered(
        self, ctx: Context, method: str, status: int, size: int, seconds: float, error: str
    ) -> None:
        """A request was answered: count it, and say so in one line where the settings ask for it."""
        tx = ctx.tx
        metrics.request(ctx.route, method, status, seconds, tx.statements, tx.seconds)
        if self.access is not None:
            site = getattr(ctx, "site", None)
            self.access.write(
                method,
                ctx.route or log.path_template(ctx.path),
                status,
                size,
                seconds,
                database_s=tx.seconds,
                statements=tx.statements,
                cache_trips=tx.cache_trips,
                site_id=site.id if site else 0,
                user_id=ctx.identity.user_id,
                profile_id=ctx.identity.profile_id,
                ip=ctx.ip,
                request_id=ctx.request_id,
                error=error,
            )

    def platform_figures(self) -> Iterable[Point]:
        """The figures of the whole platform, as far as they can be had."""
        points: list[Point] = []
        reader = self.database.read()
        try:
            points += platform_metrics.of_platform(reader)
        except Unavailable:
            points.append(Point(metrics.DATABASE_UP.name, (), "g", 0))
        finally:
            reader.end()
        if (path := self.config.backup_status_path) is not None:
            points += platform_metrics.of_backup(path)
        return points

    def _look(self) -> None:
        """Set the gauges of this process; called once a second."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = used.ru_utime + used.ru_stime
        metrics.CPU_SECONDS.add(cpu_s - self._cpu_s)
        self._cpu_s = cpu_s
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
        metrics.WORKER_MEMORY.set(pages * _PAGE)
        metrics.SOCKETS.set(self.live.connections)
        self.database.look()
        lost = log.lost() - self._lines_lost
        if lost:
            self._lines_lost += lost
            metrics.LOG_LOST.add(lost)
            logger.warning("%d lines of the log were lost", lost)
