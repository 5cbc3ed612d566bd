"""Live events of one process: clients join, follow topics and catch up; new events are read from the log and delivered
to them.

One thread polls the database, when a notification wakes it and at a fixed interval. What rights depend on is read after
the events, so that nobody receives an event after losing the right to it. Each site has one position,
`SiteListeners.position`, up to which all live listeners have received everything; a new listener first catches up with
that position from the log. The lock of the site's listeners keeps both apart: no listener becomes live in the middle of
a batch.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import psycopg

from forumapi import itemtypes
from forumapi.database.connections import Database, Reader
from forumapi.errors import NO_CREATE, ApiError, Forbidden, Invalid, NotFound, TooMany, Unavailable
from forumapi.events import event_log
from forumapi.models.notifications import live_event_queries
from forumapi.observability.log import logger
from forumapi.realtime.caller_refresh import CallerRefresh, stale_callers
from forumapi.realtime.cursor import Cursors
from forumapi.realtime.delivery_permissions import Caller, DeliveryPolicy, check_topics, may_follow
from forumapi.realtime.event_delivery import EventDelivery
from forumapi.realtime.live_clients import (
    CODES,
    RETRY_MS,
    Follow,
    Frame,
    LiveClient,
    LiveConnection,
    bye_frame,
)
from forumapi.realtime.postgres_listener import Listener
from forumapi.realtime.presence import Presence
from forumapi.realtime.site_listeners import SiteListeners
from forumapi.realtime.subscription_index import Index
from forumapi.realtime.topic_names import SITE, Topic, topic_name

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.models.access.identity import Identity
    from forumapi.models.pages.document_reader import Documents
    from forumapi.models.sites.site import Site
    from forumapi.models.sites.site_cache import SiteCache

BATCH: Final = 200
# Clients that may query the database at once; others wait. When thousands reconnect together, database connections are
# left for requests, and no client is refused for having waited.
TURNS: Final = 4
# Least time between two typing notifications of one client.
TYPING_S: Final = 3.0
# Closed clients that may stay in the heartbeat queue, beside as many as are connected.
_GONE: Final = 100


class Live:
    """Live events of one process: its listeners by site, and the threads that serve them.

    `config()` returns the present settings; `url`: direct address of the database, without a pooler.
    """

    POLL_S: Final = 0.4  # interval of polls without a notification
    KEEP_S: Final = 30.0  # how long a site without listeners is still polled
    # After so long without a poll all callers are read anew, not only those whose rights changed: rows that record such
    # changes are deleted after an hour (cron/maintenance_jobs.py).
    SURE_S: Final = 1800.0

    def __init__(
        self,
        database: Database,
        sites: SiteCache,
        documents: Documents,
        config: Callable[[], Config],
        url: str,
    ) -> None:
        self._database = database
        self._sites = sites
        self._config = config
        self._presence = Presence(database, topic_name)
        self._listener = Listener(url, self.wake, self._presence.receive)
        self._by_site: dict[int, SiteListeners] = {}
        self._lock = threading.RLock()
        self._turns = threading.Semaphore(TURNS)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        # Held while the threads start, and while they are told to stop.
        self._threads_lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._seen = ""  # the snapshot of the last poll
        self._began = 0.0  # when the last successful poll began
        self._beats: collections.deque[tuple[float, LiveClient]] = collections.deque()
        self._cursors: Cursors | None = None
        self._delivery = EventDelivery(documents, lambda: self.cursors)
        self._callers = CallerRefresh(database, self._end)
        self._count: collections.Counter[int | str] = collections.Counter()
        self.is_stopping = False

    # ---------------------------------------------------------------- cursors

    @property
    def has_cursors(self) -> bool:
        """Return True once `cursors` was used; its first use reads the key, over a database connection of its own."""
        return self._cursors is not None

    @property
    def cursors(self) -> Cursors:
        """Return the codec of cursors, made at the first use. Raises Unavailable if the database can't be
        reached then.
        """
        if self._cursors is None:
            with self._database.write() as tx:
                key = live_event_queries.cursor_key(tx)
            self._cursors = Cursors(key)
        return self._cursors

    # ---------------------------------------------------------------- the process

    def start(self) -> None:
        """Accept listeners from now on; the threads start with the first listener."""
        self._stopping.clear()
        self.is_stopping = False

    def stop(self) -> None:
        """Close all connections as `close_connections` does, and ask the threads to end, of which only the listener for
        notifications is waited for, two seconds at most.
        """
        self.close_connections()
        self._stopping.set()
        self._wake.set()
        with self._threads_lock:
            self._listener.stop()
            self._threads = []

    @property
    def connections(self) -> int:
        """Return the number of live connections of this process, of all sites, as `reserve` and `release` have counted
        them.
        """
        return self._count.total()

    def connections_by_site(self) -> dict[int, int]:
        """Return the number of live connections of this process by site; sites without one are left out."""
        return {id: len(one.clients) for id, one in list(self._by_site.items()) if one.clients}

    def close_connections(self) -> None:
        """Accept no more listeners, and have each client's connection closed after a last frame with the time within
        which to reconnect, since this process stops; does not wait for that.
        """
        self.is_stopping = True
        for listeners in list(self._by_site.values()):
            with listeners.lock:
                for client in list(listeners.clients):
                    self._end(client, "stopping")

    def wake(self) -> None:
        """Wake the thread that polls, since there may be new events; its poll is not waited for."""
        self._wake.set()

    def _run_threads(self) -> None:
        with self._threads_lock:
            if self._threads or self._stopping.is_set():
                return
            self._listener.start()
            self._threads = [
                threading.Thread(target=work, name=name, daemon=True)
                for name, work in (("live", self._work), ("live-beat", self._beat))
            ]
            for thread in self._threads:
                thread.start()

    def _work(self) -> None:
        while True:
            self._wake.wait(self.POLL_S)
            self._wake.clear()
            if self._stopping.is_set():
                return
            try:
                self.poll()
            except (ApiError, OSError, psycopg.Error) as error:
                logger.warning("live events are not delivered, retrying: %s", error)
            except Exception:  # noqa: BLE001 - one bad event must not end all deliveries
                logger.exception("delivery of live events failed")

    def _beat(self) -> None:
        """Send presence each second, and heartbeat and ping to each client when its own are due, until `stop`: body of
        a thread.
        """
        while not self._stopping.wait(1.0):
            now = time.monotonic()
            try:
                self._presence.tick(list(self._by_site.values()))
            except (ApiError, OSError, psycopg.Error) as error:
                logger.debug("presence is not sent: %s", error)
            frames: dict[int, Frame] = {}
            while self._beats and self._beats[0][0] <= now:
                _, client = self._beats.popleft()
                if client.is_over:
                    continue
                listeners = client.listeners
                if client.is_live:
                    site_id = listeners.site.id
                    if site_id not in frames:
                        frames[site_id] = Frame(
                            "heartbeat", self.cursors.make(site_id, listeners.position)
                        )
                    client.push(frames[site_id])
                client.connection.ping()
                self._beats.append((now + self._config().realtime_heartbeat_s, client))

    # ---------------------------------------------------------------- coming and going

    def reserve(self, key: int | str) -> None:
        """Count a new connection of a caller against the limits of connections, by `key`: id of a user, or address or
        network of a guest.

        Raises Unavailable if this process stops or has its maximum of connections, TooMany if the caller has the
        maximum of one caller.
        """
        config = self._config()
        if self.is_stopping or self._count.total() >= config.realtime_connections:
            raise Unavailable("This process accepts no more live connections at the moment")
        if self._count[key] >= config.realtime_connections_per_caller:
            raise TooMany(
                f"At most {config.realtime_connections_per_caller} live connections are allowed at once",
                RETRY_MS // 1000,
            )
        self._count[key] += 1

    def release(self, key: int | str) -> None:
        """Undo one `reserve` of the same key, when its connection has ended."""
        self._count[key] -= 1
        if self._count[key] <= 0:
            del self._count[key]

    def join(self, site: Site, identity: Identity, connection: LiveConnection) -> LiveClient:
        """Add a client of a site, without subscriptions, and return it. `identity` must have been read within the last
        minute; for the first client here with a token it is read again, a further one shares the Caller of that token.

        Raises NotFound if the site is gone, Unavailable without a database; a caller who is signed out or banned by
        then is disconnected, and the client returned `is_over`.
        """
        with self._lock:
            listeners = self._by_site.get(site.id)
            if listeners is None:
                listeners = self._open(site)
            caller = listeners.callers.get(identity.token_id)
            if caller is None:
                caller = listeners.callers[identity.token_id] = Caller(identity)
                is_known = False
            else:
                is_known = True
            client = LiveClient(listeners, caller, connection)
            caller.clients.add(client)
            listeners.clients.add(client)
        self._run_threads()
        try:
            if identity.token_id and not is_known:
                # The identity was read before its changes were watched, and its `more` holds no times.
                with self._turns:
                    self._callers.refresh(listeners, [caller])
        except BaseException:
            self.leave(client)
            raise
        beat = time.monotonic() + self._config().realtime_heartbeat_s
        self._beats.append((beat, client))
        if len(self._beats) > 2 * self.connections + _GONE:
            # Closed clients would else stay until their heartbeat is due.
            self._beats = collections.deque(one for one in self._beats if not one[1].is_over)
        return client

    def leave(self, client: LiveClient) -> None:
        """Remove a client and its subscriptions, since its connection has ended; nothing is sent."""
        listeners = client.listeners
        client.is_over = True
        listeners.index.leave(client)
        listeners.clients.discard(client)
        caller = client.caller
        caller.clients.discard(client)
        if not caller.clients and listeners.callers.get(caller.token_id) is caller:
            del listeners.callers[caller.token_id]
        listeners.left = time.monotonic()

    def drop(self, client: LiveClient, reason: str) -> None:
        """Send a client its last frame, with its cursor unless it is catching up, and close its connection. `reason`: a
        key of CODES.
        """
        client.listeners.index.leave(client)
        self._end(client, reason)

    def _open(self, site: Site) -> SiteListeners:
        reader = self._database.read()
        try:
            tree = self._sites.tree(site, reader)
            listeners = SiteListeners(site, tree, live_event_queries.head(reader, site.id))
        finally:
            reader.end()
        self._by_site[site.id] = listeners
        listeners.left = time.monotonic()
        return listeners

    def _end(self, client: LiveClient, reason: str) -> None:
        cursor = ""
        if client.is_live:
            cursor = self.cursors.make(client.listeners.site.id, client.listeners.position)
        client.end(CODES[reason], bye_frame(reason, cursor))

    # ---------------------------------------------------------------- following

    def follow(self, client: LiveClient, follows: Sequence[Follow], cursor: str | None) -> None:
        """Subscribe a client to topics, each in place of an earlier subscription to it: the client receives what it
        missed after `cursor` (None or "": nothing; not valid: `resync`), then `subscribed`, then new events.

        Raises Forbidden, and subscribes to none, if one of the topics does not exist or the caller may not follow it;
        Unavailable without a database, after which the client may be disconnected (`away`).
        """
        self._poll_if_stale()
        listeners = client.listeners
        reader = self._database.read()
        try:
            topics = [follow.topic for follow in follows]
            caller = client.caller
            with self._turns:
                check_topics(reader, listeners.site.id, listeners.tree, caller, topics)
                if caller.readable is None:
                    caller.regained(listeners.tree, listeners.position)
                reader.end()
            after = self._place(client, cursor)
            with listeners.lock:
                listeners.index.leave(client)
                if client.is_live:
                    client.is_live = False
                    client.position = listeners.position
            wanted = {follow.topic: follow for follow in follows}
            try:
                if after is not None:
                    self._announce_gaps(client, wanted, after, reader)
                    if after < client.position:
                        self._replay(client, wanted, after, client.position, reader)
                client.follows |= wanted
            finally:
                self._catch_up(client, wanted, reader)
        finally:
            reader.end()
            if not client.is_live:
                # Without a database it is unknown which events the client has missed.
                self.drop(client, "away")

    def _catch_up(self, client: LiveClient, new: Iterable[Topic], reader: Reader) -> None:
        """Replay events to a client until it has reached the position of its site's listeners, make it live, and
        confirm the topics `new` to it.
        """
        listeners = client.listeners
        while not client.is_over:
            with listeners.lock:
                upto = listeners.position
                if client.position >= upto:
                    client.is_live = True
                    listeners.index.enter(client)
                    told = [topic for topic in new if topic in client.follows]
                    if told:
                        names = [topic_name(topic) for topic in told]
                        client.push(Frame("subscribed", self.cursor(client), topics=names))
                    for topic in told:
                        self._welcome(client, client.follows[topic])
                    return
            self._replay(client, client.follows, client.position, upto, reader)
            client.position = upto

    def _welcome(self, client: LiveClient, follow: Follow) -> None:
        """Send a new follower the present number of readers of the topic, if the subscription wants presence."""
        if follow.wants_presence and follow.topic.kind > 0:
            frame = self._presence.welcome((client.listeners.site.id, *follow.topic))
            if frame is not None:
                client.push(frame)

    def unfollow(self, client: LiveClient, topic: Topic) -> bool:
        """End a client's subscription to a topic; return True if there was one. Nothing is sent."""
        client.listeners.index.discard(client, topic)
        return client.follows.pop(topic, None) is not None

    def typing(self, client: LiveClient, topic: Topic) -> None:
        """Announce to others who follow the topic with presence that the caller is writing a comment on it; within
        TYPING_S of the last call of this client do nothing.

        Raises Invalid if the client does not follow the topic with presence, Forbidden if the caller may not comment
        there, Unavailable without a database.
        """
        follow = client.follows.get(topic)
        now = time.monotonic()
        if follow is None or not follow.wants_presence or topic.kind <= 0:
            raise Invalid("topic", "must be followed with presence")
        if now - client.typed < TYPING_S:
            return
        client.typed = now
        listeners = client.listeners
        named = (topic.kind, topic.id, 0)
        reader = self._database.read()
        try:
            fact = live_event_queries.facts(reader, listeners.site.id, listeners.tree, [named]).get(
                named
            )
        finally:
            reader.end()
        if fact is None or not DeliveryPolicy(listeners.tree).may_comment(
            client.caller.principal, fact
        ):
            raise Forbidden("You may not comment on this", code=NO_CREATE)
        self._presence.typing((listeners.site.id, *topic), client.caller.principal.profile_id)

    def cursor(self, client: LiveClient) -> str:
        """Return the cursor of a client's position: after the last event that it has received or that did not concern
        it.
        """
        listeners = client.listeners
        number = listeners.position if client.is_live else client.position
        return self.cursors.make(listeners.site.id, number)

    def _place(self, client: LiveClient, cursor: str | None) -> int | None:
        """Decode a client's cursor into an event number; None for "" or None. For a cursor that is not valid, of
        another site or beyond this site's last event, send `resync`, and return None.
        """
        if not cursor:
            return None
        listeners = client.listeners
        number = self.cursors.read(listeners.site.id, cursor)
        if number is None or number > listeners.position:
            if number is not None:
                # The cursor may come from another process that is ahead of this one.
                self.poll()
            if number is None or number > listeners.position:
                client.push(
                    Frame(
                        "resync", self.cursor(client), reason="The cursor is not one of this site"
                    )
                )
                return None
        return number

    def _announce_gaps(
        self, client: LiveClient, follows: Mapping[Topic, Follow], after: int, reader: Reader
    ) -> None:
        """Send gaps for those of the topics `follows` of which the client may have missed events up to the number
        `after`, that of its cursor, since it had no right to them then.
        """
        listeners = client.listeners
        holes = {topic: client.ended.pop(topic) for topic in follows if topic in client.ended}
        caller = client.caller
        with self._turns:
            if live_event_queries.rights_changed(reader, listeners.site.id, caller.user_id, after):
                holes = dict.fromkeys(follows, 0) | holes
            reader.end()
        for topic, since in holes.items():
            if since < after:
                self._delivery.push_gap(client, topic, since, after, after)

    def _announce_regained(self, listeners: SiteListeners, callers: Iterable[Caller]) -> None:
        """Send gaps to the clients of these callers, if they may read microcosms that they could not at the last poll:
        in the topics of the site and of the microcosms directly above, if the client follows them.
        """
        for caller in callers:
            regained = caller.regained(listeners.tree, listeners.position)
            if not regained:
                continue
            parents = {listeners.tree.nodes[id].parent_id for id in regained}
            since = min(regained.values())
            for client in caller.clients:
                place = listeners.position if client.is_live else client.position
                for topic in client.follows:
                    if topic.kind == SITE or (
                        topic.kind == itemtypes.MICROCOSM and topic.id in parents
                    ):
                        self._delivery.push_gap(client, topic, since, place, place)

    def _replay(
        self,
        client: LiveClient,
        follows: Mapping[Topic, Follow],
        after: int,
        upto: int,
        reader: Reader,
    ) -> None:
        """Send a client the stored events after `after` and up to `upto` of the topics in `follows` that it may see
        now; a gap for events that are no longer stored, and for those before the newest `realtime_replay_events`.
        """
        listeners = client.listeners
        alone = Index()
        for follow in follows.values():
            alone.add(client, follow)
        most = self._config().realtime_replay_events
        if upto - after > most:
            self._delivery.push_gaps(listeners, alone, after, upto - most)
            after = upto - most
        while after < upto and not client.is_over:
            with self._turns:
                events = event_log.between(reader, listeners.site.id, after, upto, BATCH)
                reached = events[-1].number if len(events) == BATCH else upto
                self._delivery.deliver(listeners, alone, events, after, reached, reader)
                # No database connection is held while a slow client receives.
                reader.end()
            after = reached
            client.connection.wait_for_room()

    # ---------------------------------------------------------------- looking

    def _poll_if_stale(self) -> None:
        """Poll when this thread's turn comes; do nothing if another thread has finished by then a poll that began after
        this call.
        """
        now = time.monotonic()
        with self._lock:
            if self._began < now:
                self.poll()

    def poll(self) -> None:
        """Read what is new on the sites that have listeners, and deliver it: rights first, then events. Forgets sites
        whose last client left more than KEEP_S ago. Waits while another thread polls. Raises Unavailable,
        psycopg.Error; the next poll repeats what was left undone.
        """
        with self._lock:
            if not self._by_site:
                self._seen = ""
                return
            began = time.monotonic()
            reader = self._database.read()
            try:
                seen = self._seen if began - self._began < self.SURE_S else ""
                changes = live_event_queries.changes_since(reader, seen, self._by_site)
                changed = set(changes.user_ids)
                known = {site.site_id: site for site in changes.sites}
                for site_id, listeners in list(self._by_site.items()):
                    if not listeners.clients and began - listeners.left > self.KEEP_S:
                        del self._by_site[site_id]
                    else:
                        self._update_site(listeners, known.get(site_id), changed, reader)
            finally:
                reader.end()
            # Only now: the next poll repeats what a failed poll left undone.
            self._seen, self._began = changes.snapshot, began

    def _update_site(
        self,
        listeners: SiteListeners,
        now: live_event_queries.SiteVersions | None,
        changed: set[int],
        reader: Reader,
    ) -> None:
        """Bring the listeners of one site up to date: their identities, then events, then the end of subscriptions
        without a right; if the site is gone, disconnect them all.

        `now`: present versions of the site, None if it is gone; `changed`: ids of users whose identity may have
        changed; with 0 among them, that of all may have.
        """
        try:
            if now is None or now.is_deleted:
                raise NotFound("There is no such site")
            site = self._sites.confirmed(listeners.site, now.version, now.acl_version, reader)
        except NotFound:
            for client in list(listeners.clients):
                self._end(client, "siteGone")
            return
        listeners.site = site
        tree = listeners.tree = self._sites.tree(site, reader)
        # Until all of this is done: after a failure the next poll checks every subscription.
        before, listeners.checked_tree = listeners.checked_tree, None
        concerned = stale_callers(listeners, changed)
        if concerned:
            self._callers.refresh(listeners, concerned, reader)
        # Events up to here were delivered by the former rights; later ones are by the present rights.
        position = listeners.checked_position
        with listeners.lock:
            self._announce_regained(
                listeners, list(listeners.callers.values()) if tree is not before else concerned
            )
        moved = self._advance(listeners, now.head, reader)
        if tree is not before:
            self._recheck(listeners, list(listeners.clients), position, reader)
        else:
            some = {one for caller in concerned for one in caller.clients}
            if moved:
                some |= {one for one in listeners.clients if not moved.isdisjoint(one.follows)}
            if some:
                self._recheck(listeners, some, position, reader)
        listeners.checked_tree, listeners.checked_position = tree, listeners.position

    def _recheck(
        self,
        listeners: SiteListeners,
        clients: Collection[LiveClient],
        position: int,
        reader: Reader,
    ) -> None:
        """End the subscriptions of `clients` to topics that they may no longer follow, and send them `unsubscribed`.
        `position`: number up to which they have those topics' events.
        """
        topics = {topic for client in clients for topic in client.follows if topic.kind > 0}
        named = {topic: (topic.kind, topic.id, 0) for topic in topics}
        found = (
            live_event_queries.facts(
                reader, listeners.site.id, listeners.tree, list(named.values())
            )
            if named
            else {}
        )
        policy = DeliveryPolicy(listeners.tree)
        for client in clients:
            for topic in list(client.follows):
                if topic in named and not may_follow(
                    policy, client.caller, found.get(named[topic])
                ):
                    self.unfollow(client, topic)
                    client.ended[topic] = position
                    if len(client.ended) > self._config().realtime_subscriptions:
                        del client.ended[next(iter(client.ended))]
                    client.push(
                        Frame("unsubscribed", topics=[topic_name(topic)], reason="forbidden")
                    )

    # ---------------------------------------------------------------- handing out

    def _advance(self, listeners: SiteListeners, head: int, reader: Reader) -> set[Topic]:
        """Deliver the events up to number `head` to the live listeners of a site, and move its position there; return
        the topics of things that were moved to another microcosm.
        """
        moved: set[Topic] = set()
        with listeners.lock:
            while listeners.position < head:
                events = event_log.between(
                    reader, listeners.site.id, listeners.position, head, BATCH
                )
                reached = events[-1].number if len(events) == BATCH else head
                if listeners.index:
                    try:
                        self._delivery.deliver(
                            listeners, listeners.index, events, listeners.position, reached, reader
                        )
                    except (ApiError, OSError, psycopg.Error):
                        raise
                    except Exception:  # noqa: BLE001 - one bad event must not end all deliveries
                        logger.exception(
                            "live events of site %d are not delivered", listeners.site.id
                        )
                        self._delivery.push_gaps(
                            listeners, listeners.index, listeners.position, reached
                        )
                moved.update(
                    Topic(event.item_type, event.item_id) for event in events if event.moved_from
                )
                listeners.position = reached
        return moved
