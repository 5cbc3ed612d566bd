"""Type of the services that outlive a request and that handlers use; `forumapi.app.App` makes and joins them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from forumapi.cache.document_cache import Cache
from forumapi.cache.lru_cache import Lru
from forumapi.config import Config
from forumapi.database.connections import Database, Reader
from forumapi.database.standby import StandbyPool
from forumapi.events.sequencer import Sequencer
from forumapi.files.images.image_worker_handle import ImageWorker
from forumapi.files.storage import Storage
from forumapi.files.thumbnails import Box, Thumbnails
from forumapi.mail.outbox import Sender
from forumapi.models.content.file import StoredFile
from forumapi.models.journal.activity_buffers import Activity
from forumapi.models.pages.document_reader import Documents
from forumapi.models.pages.page_cache import PageCache
from forumapi.models.people.profile_list import KeysetMarks
from forumapi.models.roles.role_recomputation_worker import Settler
from forumapi.models.sites.site_cache import SiteCache
from forumapi.models.trust.action_worker import ActionWorker
from forumapi.observability.log import AccessLog
from forumapi.outbound.geocoders import Geocoder
from forumapi.realtime.live_service import Live
from forumapi.request.admission.admission_gate import AdmissionGate
from forumapi.request.admission.crawl_budget import CrawlGate
from forumapi.request.admission.plan_limits import PlanLimits
from forumapi.request.opentelemetry_spans import Tracer
from forumapi.request.rate_limit import AddressBuckets, Buckets
from forumapi.request.usage_counter import UsageCounter
from forumapi.updates.push_sender import PushSender
from forumapi.wire.client_address import Proxies
from forumapi.wire.known_front_ends import FrontEnds
from forumapi.wire.legacy_urls import RuleSet

if TYPE_CHECKING:
    from forumapi.models.sites.site import Site
    from forumapi.request.routing import RoutingTable


class Webhooks(Protocol):
    """Interface of the webhook sender, as far as requests use it."""

    def wake(self) -> None:
        """Have the sender's thread look for due deliveries at once, not only at its next poll; returns without waiting
        for it.
        """

    def check(self, url: str) -> None:
        """Raise OutboundError if deliveries to `url` would be refused, by its form or the present addresses of its
        host; nothing is sent to it.
        """


class Services:
    """Services of one web process, as attributes; there is one of them in a process."""

    config: Config
    database: Database
    # Makes the readers of requests: on a standby where there is one.
    read: Callable[[], Reader]
    standbys: StandbyPool | None
    cache: Cache
    documents: Documents
    pages: PageCache
    # Rows of files that guests may download, by site, the site's version and hash, each with the end of the second that
    # it is good for.
    open_files: Lru[tuple[int, int, str], tuple[float, StoredFile]]
    # Bytes of small files, by object; an object never changes.
    small_files: Lru[str, bytes]
    # Finished answers, by site and entity tag, which covers every byte.
    answers: Lru[tuple[int, str], bytes]
    sites: SiteCache
    activity: Activity
    old_sites: Mapping[str, RuleSet]
    profile_marks: KeysetMarks
    mail: Sender
    push: PushSender
    webhooks: Webhooks
    sequencer: Sequencer
    settler: Settler
    actions: ActionWorker
    live: Live
    usage: UsageCounter
    plans: PlanLimits
    crawl: CrawlGate
    storage: Storage
    image_worker: ImageWorker
    thumbnails: Thumbnails
    thumbnail_boxes: tuple[Box, ...]
    root_routes: RoutingTable
    site_routes: RoutingTable
    scopes: tuple[str, ...]
    # Addresses of the routing tables as logs show them.
    templates: Mapping[str, str]
    tracer: Tracer | None
    gate: AdmissionGate
    # Settings that a reload applies at once.
    access: AccessLog | None
    server_timing_header: bool
    geocoder: Geocoder | None
    proxies: Proxies
    front_ends: FrontEnds
    body_limit: int
    cache_control: str
    token_buckets: Buckets
    address_buckets: AddressBuckets

    def routes(self, site: Site) -> RoutingTable:
        """Return the routes of a site's hosts: those of the platform's host for the platform's own site, else those
        that all sites have.
        """
        return self.root_routes if site.is_root else self.site_routes
