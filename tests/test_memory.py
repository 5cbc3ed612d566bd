"""Tests of what a web process keeps is bounded by the bytes that it really takes, whatever it is asked for."""

from __future__ import annotations

import ast
import datetime
import gc
import json
import logging
import os
import socket
import time
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import forumapi
from forumapi import routes
from forumapi.app import SMALL_FILES_BYTES, App
from forumapi.auth import client_metadata, identity_provider_client, spam_check
from forumapi.cache.document_cache import Memory
from forumapi.config import Config
from forumapi.database.connections import Database
from forumapi.errors import Unavailable
from forumapi.handlers.sites import configuration_checks
from forumapi.handlers.sites.configuration_checks import Examiner
from forumapi.models.access.identity import GUEST
from forumapi.models.content.comment_documents import CommentRow
from forumapi.models.content.file import StoredFile
from forumapi.models.journal.activity_buffers import Activity
from forumapi.models.pages.page_cache import CachedPage, PageCache
from forumapi.models.people.profile_list import KeysetMarks
from forumapi.models.sites.crawl_policy import CrawlPolicy
from forumapi.models.sites.site import Site as SiteSnapshot
from forumapi.models.sites.site_cache import SiteCache
from forumapi.observability import log
from forumapi.outbound.safe_http_client import Fetched, Outbound, UnansweredError
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import READ, Node, Principal, RoleGrant, Tree
from forumapi.permissions.memory_budget import budget
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.request.admission.crawl_budget import CrawlGate
from forumapi.request.rate_limit import AddressBuckets, Buckets
from forumapi.request.usage_counter import GUEST_READ, UsageCounter
from forumapi.updates import mail_templates
from forumapi.updates.dispatch import Dispatch
from forumapi.updates.mail_rendering import EmailWriter
from forumapi.webclient.api import Asked
from forumapi.webclient.guest_page_cache import KeptPage, KeptPages
from forumapi.wire import client_address, json_fragments, known_crawlers
from forumapi.wire.client_address import Proxies
from tests.factories import Factory
from tests.syntax import statements, tree

LIMIT = 1_000_000
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
ROLES = 10


def taken(fill: Callable[[], object]) -> int:
    """Bytes that are held after `fill`, as Python's allocator counts them; what it returns is held."""
    gc.collect()
    tracemalloc.start()
    try:
        held = fill()
        gc.collect()
        found = tracemalloc.get_traced_memory()[0]
        assert held is not None
        return found
    finally:
        tracemalloc.stop()


@pytest.mark.wide
def test_documents_of_any_form_take_what_the_setting_allows() -> None:
    for parts, size in ((1, 100), (9, 20), (23, 60), (1, 5_000)):

        def fill(parts: int = parts, size: int = size) -> Memory:
            memory = Memory(LIMIT)
            for number in range(3 * LIMIT // (parts * (size + 50))):
                fragment = tuple(os.urandom(size) for _ in range(parts))
                memory.add((10**9, "comment/1", 10**9 + number, 10**9 + number), fragment)
            return memory

        assert LIMIT * 0.7 < taken(fill) < LIMIT * 1.1, f"{parts} parts of {size} bytes"


@pytest.mark.wide
def test_kept_pages_take_what_is_allowed_however_long_they_are() -> None:
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

    def page(number: int, comments: int) -> tuple[object, ...]:
        ids = range(10**9 + 1000 * number, 10**9 + 1000 * number + comments)
        stubs = [
            CommentRow(id, id + 1, id + 2, id + 3, 0, 0, False, 0, 0, f"{id}", None) for id in ids
        ]
        times = [start + datetime.timedelta(microseconds=id) for id in ids]
        return (number, "A title of some length", frozenset(ids), stubs, times)

    for comments in (0, 25, 250):

        def fill(comments: int = comments) -> PageCache:
            pages = PageCache(LIMIT)
            for number in range(3 * LIMIT // (400 + 700 * comments)):
                key = ("item", 1, 6, 10**9 + number, 0, comments, ())
                pages.put(key, CachedPage(f"{number}:{number}:", page(number, comments)))
            assert pages.bytes <= LIMIT
            return pages

        assert LIMIT * 0.7 < taken(fill) < LIMIT * 1.1, f"{comments} comments"


@pytest.mark.wide
def test_renderings_for_many_viewers_are_bounded_together() -> None:
    most = budget.LIMIT

    def fill() -> list[ReadableMicrocosms]:
        views = [ReadableMicrocosms(tuple(range(number, number + 20))) for number in range(30)]
        for number in range(6_000):
            row = (10**9 + number, str(number) * 10, 10**9 - number)
            made = (row, (), os.urandom(4_000))
            views[number % 30].keep(("item", number, True, None), made)
        return views

    assert taken(fill) < most * 1.1


def test_what_was_rendered_last_is_found_again() -> None:
    view = ReadableMicrocosms((1, 2))
    for number in range(3_000):
        view.keep(number, b"%d" % number + b"x" * 10_000)
        assert view.cache[number].startswith(b"%d" % number)

    assert len(view.cache) < 3_000


def test_a_rendering_that_is_made_anew_takes_no_more_room() -> None:
    view, other = ReadableMicrocosms((1, 2)), ReadableMicrocosms((1, 2))
    other.keep("once", b"kept")
    for number in range(10_000):
        view.keep("again", b"%d" % number + b"x" * 10_000)

    assert other.cache == {"once": b"kept"}


@pytest.mark.wide
def test_sets_of_roles_without_end_are_bounded_and_answered_right() -> None:
    nodes = [
        Node(id, id > 1, f"M{id}", "", (6,), 1, False, True, False, False, 1, 1, 1)
        for id in range(1, 301)
    ]
    roles = [
        RoleGrant(10 + n, 2 + n, False, False, False, False, evaluator.READ) for n in range(ROLES)
    ]

    def fill() -> Tree:
        tree = Tree(1, nodes, roles)
        for mask in range(700):
            mine = tuple(10 + n for n in range(ROLES) if mask & 1 << n)
            view = tree.view(Principal(10**6 + mask, mine))
            assert view.set == {2 + n for n in range(ROLES) if mask & 1 << n}
        return tree

    assert taken(fill) < budget.LIMIT * 1.1


def test_of_many_sites_some_are_held_and_all_are_answered(make: Factory) -> None:
    sites = [make.site() for _ in range(5)]
    directory = SiteCache(make.database, make.platform_domain, most=2)
    trees = weakref.WeakSet[Tree]()
    reader = make.database.read()
    try:
        for made in sites * 3:
            found = directory.by_host(made.host, reader)
            trees.add(directory.tree(found, reader))

            assert directory.current(made.id, reader) is directory.by_host(made.host, reader)
            assert (found.id, found.tree.root_id if found.tree else 0) == (made.id, made.root_id)
            assert directory.held <= 2
            directory.poll()
    finally:
        reader.end()
    del found
    gc.collect()

    assert len(trees) <= 2


# ---------------------------------------------------------------- whatever callers can fill


KIB, MIB = 1024, 1024 * 1024
MANY = 27_000


def buckets() -> object:
    made = [Buckets(1200), AddressBuckets(1200)]
    for number in range(MANY):
        made[0].take(f"{number:0128}")
        made[1].take(f"192.{number >> 16}.{number >> 8 & 0xFF}.{number & 0xFF}")
    return made


def open_app() -> App:
    return App(
        Config(platform_domain="forum.test"), routes.ROOT, routes.SITE, "postgresql://nowhere"
    )


def small_files() -> object:
    app = open_app()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(MANY):
        app.small_files.add(f"{number:040x}", b"x%d" % number)
    assert tracemalloc.get_traced_memory()[0] - before < SMALL_FILES_BYTES * 1.2
    # What is large now; the table of the many stays.
    for number in range(200):
        app.small_files.add(f"{number:040x}", os.urandom(200_000))
    return app


def open_files() -> object:
    app = open_app()
    for number in range(10_000):
        name = f"{number:04}" + "\U0001f6b2" * 508
        size = 10**9 + number
        stored = StoredFile(
            "application/octet-stream", size, "x" * 16, NOW, name, False, True, True, False
        )
        app.open_files.add((number, 10**6, f"{number:040x}"), (time.monotonic() + number, stored))
    return app


def answers() -> object:
    app = open_app()
    for number in range(MANY):
        app.answers.add((10**9 + number % 900, f'"{number}-{number:024x}"'), b"%d" % number)
    return app


def proxies() -> object:
    made = Proxies(["127.0.0.1"])
    for number in range(4_200):
        made.client_ip(
            {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": f"{number:090}, 10.0.0.1"}
        )
        made.client_ip({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": f"{number:09000}"})
        client_address.network(f"2001:db8:{number:x}::1")
    return made


def lines_of_the_log() -> object:
    for number in range(4_500):
        log.path_template(f"/{number:05}" + "\U0001f6b2" * 90)
        log.path_template(f"/{number:05}" + "\U0001f6b2" * 4000)
        log.short_address(f"2001:db8:0:1:2:3:{number:x}:1")
        json_fragments.format_time(NOW + datetime.timedelta(seconds=number))
    return 1


def waiting_lines() -> object:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        made = log.Output(f"tcp://127.0.0.1:{probe.getsockname()[1]}")
    made.start()
    for number in range(30_000):
        made.write(f"{number:08000}")
    made.stop(0)
    return made._lines


class Answering:
    """A way out on which every address answers with a document as large as one may be."""

    def __init__(self) -> None:
        self._asked = 0

    def fetch(self, url: str, **_: Any) -> Fetched:
        self._asked += 1
        keys = [{"kid": f"{self._asked}-{n}", "n": "x" * 60} for n in range(1500)]
        return Fetched(200, "", json.dumps({"keys": keys}).encode())


def providers() -> object:
    made, out = identity_provider_client._Cache(), Answering()
    for number in range(40):
        made.get(out, f"https://{number}.example/keys", is_plain=False)  # type: ignore[arg-type]
        made.again(out, f"https://{number}.example/keys", is_plain=False)  # type: ignore[arg-type]
    for number in range(2_000):
        made._refetched.add((f"https://{number}.example/" + "x" * 1000, True), [1.0] * 5)
    return made


def client_documents() -> object:
    made = client_metadata.DocumentCache()
    for number in range(2_000):
        uris = tuple(f"https://{number}.example/{n}" + "x" * 300 for n in range(10))
        document = client_metadata.ClientDocument(f"{number:050}", uris, (f"{number}:read",))
        made.add(f"https://{number}.example/client.json", document)
    return made


def verdicts() -> object:
    spam_check._seen.clear()
    for number in range(MANY):
        spam_check._seen.add(
            os.urandom(32), (1.5 + number, spam_check.Verdict("spam", 50.5 + number))
        )
    return 1


def examined() -> object:
    made = Examiner(Outbound())
    for number in range(1_500):
        health = {
            name: configuration_checks._health(True, error="e", value=f"{number}" * 400)
            for name in "abcd"
        }
        made._found.add(number, (number, 1.0, health))
    return made


class Rows:
    """A reader on which every statement finds the same."""

    def __init__(self, make: Callable[[], list[Any]]) -> None:
        self._make = make

    def rows(self, *_: Any, **__: Any) -> list[Any]:
        return self._make()

    def row(self, *_: Any, **__: Any) -> Any:
        return self._make()


def marks() -> object:
    made = KeysetMarks()
    reader: Any = Rows(lambda: [1, [f"{time.monotonic_ns()}{n:020}" for n in range(4_000)]])
    for number in range(30):
        made.find(reader, number, anew=False)
    return made


def forms() -> object:
    app = open_app()
    made = EmailWriter(app.database, app.sites, lambda: app.config, app.plans.take_mail)
    body = json.dumps({"subject": "s", "text": "t" * 40_000, "html": "h" * 40_000})
    own: Any = Rows(
        lambda: [
            (f"{mail_templates.PREFIX}{kind.name}", body, NOW)
            for kind in mail_templates.KINDS.values()
        ]
    )
    none: Any = Rows(list)
    for number in range(1_000):
        for kind in mail_templates.KINDS:
            made._template(own if number % 20 == 0 else none, a_site(app, number), kind)
    return made


def a_tree(microcosms: int, number: int) -> Tree:
    nodes = [
        Node(
            10**9 + id, 10**9 + id // 2 if id > 1 else 0, f"Microcosm {id} of {number}", f"/logo/{number}/{id}" * 5,
            (2, 6, 9), id, False, True, False, False, 10**8 + id, 10**8 + id, 10**6 + id,
        )
        for id in range(1, microcosms + 1)
    ]  # fmt: skip
    roles = [
        RoleGrant(10**9 + n, 10**9 + 1 + n % microcosms, False, False, False, True, READ)
        for n in range(microcosms // 4)
    ]
    return Tree(number, nodes, roles)


def trees() -> object:
    made = Dispatch(lambda *_: None)
    for number in range(30):
        made._trees.add(number, a_tree(1 + number % 3 * 1000, number))
    return made


def a_site(app: App, number: int) -> SiteSnapshot:
    texts_of = f"{number}" * 50
    return SiteSnapshot(
        (
            10**9 + number, 1, 1, texts_of, texts_of * 4, f"site{number}", f"www.{number}.example", True, NOW, 1, 1, 1,
            1, texts_of, texts_of, texts_of, "#fff", "cover", "#000", "", "", "", False, True, 1,
            1, 1, 1, 1, 1, 1, ['["/a","b","c"]'] * 10, *[0] * 11, None, False, None, None, False, "off", "", None,
            "active", None, False,
        ),
        "forum.test",
    )  # fmt: skip


def sites() -> object:
    app = open_app()
    directory = app.sites
    for number in range(1_500):
        site = directory._by_id[10**9 + number] = a_site(app, number)
        directory._seen[site.id] = 0.0
        directory._ids[site.host] = directory._ids[site.domain] = site.id
        site.render()
        site.render(b"{}")
        if number % 30 == 0:
            site.tree = a_tree(1 + number % 300 * 10, number)
            site.texts = {"legal.terms": (f"x{number}" * 10_000, "", NOW)}
        if number % 10 == 9:
            directory._make_room()
    assert len(directory._ids) == 2 * directory.held
    assert directory.held <= 1_000
    return app


def activity() -> object:
    made = Activity(Database("postgresql://127.0.0.1:9/nowhere"))
    for batch in range(2):
        for number in range(MANY):
            key = 10**9 + batch * MANY // 2 + number
            made.viewed(10**9 + number, key)
            made.followed(key)
            made.active(10**9 + number, key)
            made.used(key, f"2001:db8::{number:x}")
        # pytest keeps what is logged, with the error and all that it stood beside.
        logging.disable()
        made.flush()
        logging.disable(logging.NOTSET)
    return made


def pages_of_guests() -> object:
    made = KeptPages()
    for number in range(30_000):
        calls = (Asked(f"/conversations/{number}", "offset=25", f'"1-{number:024x}"'),)
        page = KeptPage.of([("Content-Type", "x")], os.urandom(number % 40 * 500), calls, 1e12)
        made.add(("host", f"/conversations/{number}/", "", "en"), page)
    return made


def agents() -> object:
    for number in range(3_000):
        known_crawlers.claimed(f"{number:08190}")
        known_crawlers.is_browser(f"{number:08191}")
    return 1


class Unanswering:
    """A way out on which no name server answers."""

    def names(self, _: object) -> list[str]:
        raise UnansweredError


def crawlers() -> object:
    out: Any = Unanswering()
    made = CrawlGate(lambda: out)
    for number in range(2_000):
        policy = CrawlPolicy(tuple(known_crawlers.BY_NAME), "n", 10**6 + number)
        made._policy(json.dumps(policy.document()))
    for number in range(12_000):
        ip = f"2001:db8:1000:1000:1000:1000:1000:{number:04x}"
        made._is_verified(ip, known_crawlers.BY_NAME["Amazonbot"])
        if number % 10 == 9 and len(made._known) <= made.MOST:
            made.poll()
    for number in range(1_000):
        made._is_verified(f"2001:db8::{number:x}", known_crawlers.BY_NAME["Amazonbot"])
    assert (len(made._known), len(made._waiting)) == (made.MOST, made.MOST_WAITING)
    return made


def usage() -> object:
    made = UsageCounter(Database("postgresql://127.0.0.1:9/nowhere"), dict)
    for number in range(UsageCounter.MOST + 1_000):
        made.count(10**9 + number, GUEST_READ, 10**6 + number, 3, 0.5 + number)
    logging.disable()  # as above
    with pytest.raises(Unavailable):
        made.poll()
    logging.disable(logging.NOTSET)
    assert len(made._counts) == made.MOST
    return made


# What is filled, with what, and how many bytes it takes at most.
FILLED: dict[str, tuple[Callable[[], object], int]] = {
    "request.rate_limit.Buckets._full": (buckets, 2 * Buckets.MOST_BYTES),
    "webclient.guest_page_cache.KeptPages._pages": (pages_of_guests, 17 * MIB),
    "app.App.small_files": (small_files, SMALL_FILES_BYTES + 3 * MIB),
    "app.App.open_files": (open_files, 8 * MIB),
    "app.App.answers": (answers, 17 * MIB),
    "wire.client_address.Proxies._kept wire.client_address.network": (proxies, 4 * MIB),
    "wire.known_crawlers._claimed wire.known_crawlers._is_browser": (agents, 4 * MIB),
    "request.admission.crawl_budget.CrawlGate._known request.admission.crawl_budget.CrawlGate._waiting"
    " request.admission.crawl_budget.CrawlGate._policies": (crawlers, 8 * MIB),
    "request.usage_counter.UsageCounter._counts": (usage, UsageCounter.MOST * 600),
    "observability.log._path_template observability.log.short_address"
    " wire.json_fragments.format_time": (lines_of_the_log, 6 * MIB),
    "observability.log.Output._lines": (waiting_lines, 24 * MIB),
    "auth.identity_provider_client._Cache._kept auth.identity_provider_client._Cache._refetched": (providers, 9 * MIB),
    "auth.client_metadata.DocumentCache._kept": (client_documents, MIB),
    "auth.spam_check._seen": (verdicts, MIB),
    "handlers.sites.configuration_checks.Examiner._found": (examined, 2 * MIB),
    "models.people.profile_list.KeysetMarks._of": (marks, 4 * MIB),
    "updates.mail_rendering.EmailWriter._templates": (forms, 5 * MIB),
    "updates.dispatch.Dispatch._trees": (trees, 8 * MIB),
    "models.sites.site_cache.SiteCache._by_id models.sites.site_cache.SiteCache._ids"
    " models.sites.site_cache.SiteCache._seen models.sites.site_cache.SiteCache._written"
    " models.sites.site.Site._finished": (sites, SiteCache.MOST_BYTES),
    "models.journal.activity_buffers.Activity._views models.journal.activity_buffers.Activity._hits"
    " models.journal.activity_buffers.Activity._active models.journal.activity_buffers.Activity._used"
    " models.journal.activity_buffers.Activity._noted models.journal.activity_buffers.Activity._used_noted": (
        activity,
        6 * Activity.MOST * 100,
    ),
    "permissions.evaluator._json": (lambda: [evaluator.as_json(can) for can in range(1 << 12)], 2 * MIB),
}  # fmt: skip


# The others are for the wide run.
QUICK = ("handlers", "permissions", "request.rate_limit")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name.startswith(QUICK) else pytest.mark.wide)
        for name in FILLED
    ],
)
def test_whatever_callers_can_fill_is_bounded(name: str) -> None:
    fill, most = FILLED[name]
    app = open_app()  # what the first one makes for all of them is not measured
    base = taken(open_app)
    del app

    assert taken(fill) < most * 1.1 + base, f"{taken(fill) / MIB:.1f} MiB"


# ---------------------------------------------------------------- that nothing was forgotten


# Held by the tests above these.
ABOVE = """
    cache.document_cache.Cache.memory models.pages.page_cache.PageCache._pages cache.lru_cache.Lru._entries
    permissions.memory_budget.MemoryBudget._holders permissions.readable_microcosms.ReadableMicrocosms.cache
    permissions.evaluator.Tree._access permissions.evaluator.Tree._views"""
# As long as one request, connection, batch or start lasts.
BRIEF = """
    models.trust.comment_relocation.CommentRelocation._going models.trust.action_worker.ActionWorker._aside
    webclient.handlers.content.huddles.People.chosen webclient.handlers.content.huddles.People.unclear
    webclient.visit.Visit._set webclient.visit.me webclient.visit.new_key
    webclient.visit.site webclient.api.Api._read webclient.api.Api.asked webclient.api.data
    auth.backends.Backend.found models.access.identity.Identity._ignored_marks
    text.tag_nesting.Nesting.open text.tag_nesting.Nesting._too_deep
    files.images.fair_queue._WaitingTurns.finished files.images.fair_queue._WaitingTurns.waiting
    models.journal.audit_check._Check._faults models.journal.audit_check._Check._erased
    models.trust.target_batch_writer.TargetBatchWriter._changed
    models.trust.target_batch_writer.TargetBatchWriter._comment_writers
    models.trust.target_batch_writer.TargetBatchWriter._item_writers
    models.trust.target_batch_writer.TargetBatchWriter._wrote
    models.trust.target_batch_writer.TargetBatchWriter._bios
    models.trust.target_batch_writer.TargetBatchWriter._counts
    models.trust.target_batch_writer.TargetBatchWriter._refreshed
    models.trust.target_batch_writer.TargetBatchWriter._activities
    text.render._Writer.parts
    text.render._Writer.names database.connections.Transaction._after
    models.microcosms.microcosm_page.MicrocosmViewer.marks models.microcosms.microcosm_page.MicrocosmViewer.mine
    models.microcosms.microcosm_page.MicrocosmViewer.new
    permissions.evaluator.Tree.roles permissions.evaluator.Tree.owned
    realtime.delivery_permissions.DeliveryPolicy._known realtime.long_polling._Waiting.frames
    models.roles.role_recomputation_worker.Settler._own files.thumbnails.Thumbnails._busy
    concurrency.single_flight.SingleFlight._running concurrency.single_flight.SingleFlight._next
    request.opentelemetry_spans.Trace.steps
    request.admission.deficit_round_robin.SiteQueue.members request.admission.deficit_round_robin.SiteQueue.guests
    request.admission.deficit_round_robin.SiteQueue.lanes
    request.admission.deficit_round_robin.DeficitRoundRobin.sites
    request.admission.deficit_round_robin.DeficitRoundRobin._new
    request.admission.deficit_round_robin.DeficitRoundRobin._old
    request.admission.deficit_round_robin.DeficitRoundRobin._held
    request.admission.deficit_round_robin.DeficitRoundRobin._parked
    request.admission.admission_gate.AdmissionGate._refused database.connection_permits.ConnectionPermits._held
    database.connection_permits.ConnectionPermits._queues
    updates.dispatch._EventDispatch._passed_over
    checks.check_settings.CheckSettings.domains checks.check_settings.CheckSettings.rates

    request.multipart._Receiver.parts webhooks.sender.Deliverer._busy"""
# By listener; how many there may be is a setting, and so is what waits for each.
LISTENERS = """
    realtime.delivery_permissions.Caller.clients realtime.delivery_permissions.Caller.lost
    realtime.live_clients.LiveClient.ended
    realtime.site_listeners.SiteListeners.clients realtime.site_listeners.SiteListeners.callers
    realtime.live_service.Live._by_site realtime.live_service.Live._threads
    realtime.live_service.Live._beats realtime.live_service.Live._count realtime.live_clients.LiveClient.follows
    realtime.subscription_index.Index._by_topic
    realtime.presence.Presence._own realtime.presence.Presence._others realtime.presence.Presence._shown
    realtime.presence.Presence._typing realtime.presence.Presence._heard
    realtime.socket_and_stream_connections.Pipe._queue
    server.address_connection_limit.AddressConnectionLimit._count"""
# What the code itself names, or the settings, or a bound that stands where it is filled.
FIXED = """
    wire.known_front_ends.FrontEnds._by_digest wire.body._fields
    cache.document_cache.Cache._clients text.name_skeletons._prototypes
    observability.crash_reports.Gate._seen database.query.Query.all database.connections.Connection._prepared
    database.connections.Database._idle outbound.geocoders.Gazetteer._cities
    outbound.geocoders.Gazetteer._regions request.handler.Handler.operations request.handler.Handler.also_reads
    request.handler.Handler.leads_to
    request.health.Health._points observability.metrics.Region.slots observability.metrics.Shared._regions
    observability.metrics._State.inherited observability.metrics.Metric.all
    observability.metrics.Metric._slots observability.metrics._slots_of models.content.event.zones
    models.sites.legal._packaged outbound.safe_http_client._trusted
    database.standby.StandbyPool._idle database.standby._NOTHING
    database.standby.StandbyPool._open
    observability.metrics_push.Reporter._sent files.thumbnails.Thumbnails._waiting updates.mail_templates.packaged
    server.master.ForumMaster._leaving webclient.dates_and_numbers._dated
    webclient.dates_and_numbers._ago webclient.dates_and_numbers.number webclient.languages.language
    webclient.site_colours._sheet agents.tools.input_schema
    webclient.template_environment._text webclient.template_environment._escaped
    webclient.template_environment._escaped_plain
    webclient.handlers.microcosms.front_page._kept_places
    webclient.template_environment._nothing wire.html_pages._style webclient.template_environment._page
    webclient.template_environment._plural webclient.template_environment._whole_plural
    request.admission.admission_gate.AdmissionGate._weights
    webclient.template_environment._whole webclient.template_environment.environment webclient.static._all
    request.routing._matcher request.routing.RoutingTable._numbered
    outbound.web_push_crypto.VapidKey._proofs updates.push_sender.CircuitBreaker._failing
    webclient.handlers.notifications.updates.time_zones models.trust.action_kinds.KINDS
    checks.check_worker.CheckWorker._paused
    apidocs.openapi.recorded apidocs.reference.try_pages.scripts apidocs.reference.try_pages.try_page
    apidocs.reference.try_pages.signed_in_page handlers.sites.api_docs._made
    request.handler.Handler.form_fields
    request.admission.plan_limits._NO_LIMITS request.admission.plan_limits.PlanLimits._plans
    request.admission.plan_limits.PlanLimits._calls request.admission.plan_limits.PlanLimits._weights"""
# By site, some entries of a few hundred bytes for each, however often it is asked: for sites of the last seconds, those
# near a limit of their plan (each limit twice a month), and the numbers that owners chose since the start.
BY_SITE = """
    request.usage_counter.UsageCounter._weights request.admission.plan_limits.PlanLimits._uses
    request.admission.plan_limits.PlanLimits._asked request.admission.plan_limits._Use.added
    request.admission.plan_limits.PlanLimits._notices request.admission.plan_limits.PlanLimits._told
    request.admission.crawl_budget.CrawlGate._buckets"""
# Not of the web process.
ELSEWHERE = (
    "command.run_everything.",
    "command.seed.",
    "command.static_archive.",
    "cron.",
    "database.embedded_postgres.",
    # Readers live as long as an import, which the command or cron runs.
    "porting.",
    "server.listener_holder.",
)

PACKAGE = Path(forumapi.__file__).parent
CACHES = {
    "Lru",
    "Memory",
    "cache",
    "cached_property",
    "lru_cache",
}
PLAIN = {"OrderedDict", "Queue", "defaultdict", "deque", "dict", "list", "set"}
MAKERS = CACHES | PLAIN | {"WeakKeyDictionary", "WeakSet", "WeakValueDictionary"}


def made_by(value: ast.expr) -> str:
    """The name of what is called, subscripts aside."""
    while isinstance(value, ast.Call | ast.Subscript):
        value = value.func if isinstance(value, ast.Call) else value.value
    return value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "")


def begins_empty(statement: ast.stmt) -> ast.expr | None:
    """Return what a statement assigns an empty container or a cache to."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
        return None
    value = statement.value
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    if isinstance(value, ast.Dict):
        return None if value.keys else target
    if isinstance(value, ast.List | ast.Set):
        return None if value.elts else target
    is_copy = (
        isinstance(value, ast.Call) and value.args and made_by(value) in ("dict", "list", "set")
    )
    is_made = isinstance(value, ast.Call) and made_by(value) in MAKERS and not is_copy
    is_counter = ast.unparse(value) in ("collections.Counter()", "Counter()")
    return target if is_made or is_counter else None


def containers(module: ast.Module) -> Iterator[str]:
    """Names of what a module, its classes and their instances hold that may grow."""
    for statement in module.body:
        if isinstance(found := begins_empty(statement), ast.Name):
            yield found.id
    for node in statements(module):
        if isinstance(node, ast.FunctionDef) and any(
            made_by(one) in MAKERS for one in node.decorator_list
        ):
            yield node.name
        if not isinstance(node, ast.ClassDef):
            continue
        for statement in node.body:
            if isinstance(found := begins_empty(statement), ast.Name):
                yield f"{node.name}.{found.id}"
            if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                for inner in ast.walk(statement):
                    if isinstance(inner, ast.stmt) and isinstance(
                        found := begins_empty(inner), ast.Attribute
                    ):
                        yield f"{node.name}.{found.attr}"


def test_whatever_may_grow_is_known_to_be_bounded() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if not f"{module}.".startswith(ELSEWHERE):
            found |= {f"{module}.{name}" for name in containers(tree(path))}
    known = f"{ABOVE} {BRIEF} {LISTENERS} {FIXED} {BY_SITE} {' '.join(FILLED)}".replace(
        " when over", ""
    ).split()

    assert sorted(found - set(known)) == [], "say above how it is bounded, or fill it"
    assert sorted(set(known) - found) == []


def test_listeners_who_have_gone_are_let_go_of_before_their_beat(
    database_url: str, make: Factory
) -> None:
    class Silent:
        """A connection that nothing reaches."""

        def wake(self) -> None: ...

    app = App(Config(platform_domain=make.platform_domain), routes.ROOT, routes.SITE, database_url)
    reader = app.database.read()
    site = app.sites.by_host(make.site().host, reader)
    reader.end()
    connection: Any = Silent()
    try:
        for _ in range(2_000):
            app.live.leave(app.live.join(site, GUEST, connection))
        assert len(app.live._beats) <= 101
    finally:
        app.live.stop()
        app.database.close()
