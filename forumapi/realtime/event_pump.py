"""From the event log to the listeners of this process: look what is new, who they are now, and hand out.

One thread looks, when it is woken and every so often anyway. Everything it needs to decide is read after the events
that it hands out, so that nobody is told of what they had lost the right to before it happened. For each site there is
one place, `Feed.position`, up to which all listeners have been told; whoever comes is brought up to it from the log
first. The lock of a feed keeps the two apart: nobody becomes live in the middle of a batch.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import psycopg

from forumapi import itemtypes
from forumapi.database.connections import Database, Reader
from forumapi.errors import (
    NO_CREATE,
    NO_READ,
    ApiError,
    Forbidden,
    Invalid,
    NotFound,
    TooMany,
    Unavailable,
)
from forumapi.events import log
from forumapi.events.log import Event
from forumapi.models.access import identity as identities
from forumapi.models.content import (
    attendee,
    comment_page,
    huddle_page,
    item_page,
)
from forumapi.models.notices import live
from forumapi.models.notices.live import Fact, Named
from forumapi.models.people import membership
from forumapi.observability.log import logger
from forumapi.realtime import websocket
from forumapi.realtime.cursor import Cursors
from forumapi.realtime.delivery_permissions import (
    Caller,
    Delivery,
    Judge,
    deliveries,
    may_follow,
    subject,
)
from forumapi.realtime.hub import (
    HUDDLES,
    SITE,
    UPDATES,
    Client,
    Connection,
    Follow,
    Frame,
    Index,
    Topic,
)
from forumapi.realtime.listen import Listener
from forumapi.realtime.presence import Presence
from forumapi.wire import json_fragments

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.models.access.identity import Identity
    from forumapi.models.pages.documents import Documents
    from forumapi.models.sites.site import Site, SiteDirectory
    from forumapi.permissions.evaluator import Tree
    from forumapi.permissions.readable_microcosms import ReadableMicrocosms

BATCH: Final = 200
# So many clients ask the database at once, the others wait their turn: when thousands come back together, connections
# are left for requests, and nobody is refused for having waited.
TURNS: Final = 4
# What is said with a frame to this many listeners before others get a turn.
TURN: Final = 200
# People asked about in one statement.
PEOPLE: Final = 1000
# Who writes is told at most this often.
TYPING_S: Final = 3.0
# So many who have gone may wait for their beat, beside as many as are there.
_GONE: Final = 100
# Clients that come back are asked to do so at some time within this.
RETRY_MS: Final = 5_000

# Codes of a close frame (4000 and above are an application's own), by the reason that `bye` gives.
CODES: Final = {
    "stopping": websocket.GOING_AWAY,
    "away": 1013,
    "slow": 4008,
    "flooding": 4029,
    "signedOut": 4001,
    "banned": 4003,
    "siteGone": 4004,
}

# After these a client does well to come back.
_COME_BACK: Final = frozenset(("stopping", "away", "slow"))

_HEALING: Final = {
    SITE: "/api/v1/microcosms",
    HUDDLES: "/api/v1/huddles",
    UPDATES: "/api/v1/updates",
}
_NAMES: Final = {SITE: "site", HUDDLES: "huddles", UPDATES: "updates"}
# What can be followed by its type and id.
FOLLOWED: Final = {
    itemtypes.name_of(kind): kind
    for kind in (
        itemtypes.MICROCOSM,
        itemtypes.PROFILE,
        itemtypes.HUDDLE,
        itemtypes.CONVERSATION,
        itemtypes.POLL,
        itemtypes.EVENT,
    )
}


def name(topic: Topic) -> str:
    """A topic as clients write it: `conversation/42`, `site`, `huddles`, `updates`."""
    return _NAMES.get(topic.kind) or f"{itemtypes.name_of(topic.kind)}/{topic.id}"


def topic_of(text: str, profile_id: int) -> Topic:
    """The topic that a client writes so. Raises Invalid."""
    if text == "site":
        return Topic(SITE, 0)
    if text in ("huddles", "updates"):
        return Topic(HUDDLES if text == "huddles" else UPDATES, profile_id)
    kind, _, id = text.partition("/")
    if kind in FOLLOWED and id.isascii() and id.isdigit() and len(id) < 19 and int(id):
        return Topic(FOLLOWED[kind], int(id))
    raise Invalid(
        "topic", f"must be site, huddles, updates or <type>/<id>, of: {', '.join(FOLLOWED)}"
    )


def healing(topic: Topic) -> str:
    """Where the present state of a topic is read."""
    return _HEALING.get(topic.kind) or itemtypes.href(topic.kind, topic.id)


def check(
    reader: Reader, site_id: int, tree: Tree, caller: Caller, topics: Sequence[Topic]
) -> None:
    """Raises Forbidden unless all of these may be followed: for what is not there, too."""
    named = {topic: (topic.kind, topic.id, 0) for topic in topics if topic.kind > 0}
    found = live.facts(reader, site_id, tree, list(named.values())) if named else {}
    judge = Judge(tree)
    for topic in topics:
        if topic.kind in (HUDDLES, UPDATES):
            kind = itemtypes.HUDDLE if topic.kind == HUDDLES else itemtypes.UPDATE
            is_allowed = bool(caller.principal.profile_id) and caller.has_scope(kind)
        else:
            is_allowed = topic not in named or may_follow(judge, caller, found.get(named[topic]))
        if not is_allowed:
            raise Forbidden(f"You may not follow {name(topic)}", code=NO_READ)


def goodbye(reason: str, cursor: str = "") -> Frame:
    """The last frame, with a reason of CODES."""
    retry = {"min": 0, "max": RETRY_MS} if reason in _COME_BACK else None
    return Frame("bye", cursor, reason=reason, retryAfterMs=retry)


class Feed:
    """One site with listeners in this process. `position`: the number up to which those that are live know all."""

    def __init__(self, site: Site, tree: Tree, position: int) -> None:
        self.site = site
        self.tree = tree
        self.position = position
        self.index = Index()
        self.clients: set[Client] = set()
        self.callers: dict[int, Caller] = {}
        self.lock = threading.RLock()
        self.left = 0.0  # when the last client went


class Live:
    """All listeners of this process. `url` is the direct address of the database."""

    POLL_S: Final = 0.4  # how often is looked without being woken
    KEEP_S: Final = 30.0  # how long a site without listeners is looked at
    # After so long without a look, it is not asked who has changed, but who everybody is: an hour later it is forgotten
    # (cron/jobs.py).
    SURE_S: Final = 1800.0

    def __init__(
        self,
        database: Database,
        sites: SiteDirectory,
        documents: Documents,
        config: Callable[[], Config],
        url: str,
    ) -> None:
        self._database = database
        self._sites = sites
        self._documents = documents
        self._config = config
        self._presence = Presence(database, name)
        self._listener = Listener(url, self.wake, self._presence.hear)
        self._feeds: dict[int, Feed] = {}
        self._lock = threading.RLock()
        self._turns = threading.Semaphore(TURNS)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._seen = ""  # the snapshot of the last look
        self._began = 0.0  # when the last look that succeeded began
        self._beats: collections.deque[tuple[float, Client]] = collections.deque()
        self._cursors: Cursors | None = None
        self._count: collections.Counter[int | str] = collections.Counter()
        self.is_stopping = False

    # ---------------------------------------------------------------- cursors

    @property
    def has_cursors(self) -> bool:
        """False until `cursors` was asked for, which then takes a connection of its own."""
        return self._cursors is not None

    @property
    def cursors(self) -> Cursors:
        """Makes and reads cursors. Raises Unavailable while there has been no database yet."""
        if self._cursors is None:
            with self._database.write() as tx:
                key = live.cursor_key(tx)
            self._cursors = Cursors(key)
        return self._cursors

    # ---------------------------------------------------------------- the process

    def start(self) -> None:
        """Nothing runs until somebody listens."""
        self._stopping.clear()
        self.is_stopping = False

    def stop(self) -> None:
        """Say goodbye to whoever is still there, and end."""
        self.say_goodbye()
        self._stopping.set()
        self._wake.set()
        self._listener.stop()
        self._threads = []

    @property
    def connections(self) -> int:
        """How many sockets this process holds."""
        return self._count.total()

    def say_goodbye(self) -> None:
        """This process stops: every client is told, with the time within which to come back."""
        self.is_stopping = True
        for feed in list(self._feeds.values()):
            with feed.lock:
                for client in list(feed.clients):
                    self._end(client, "stopping")

    def wake(self) -> None:
        """There may be something new."""
        self._wake.set()

    def _run_threads(self) -> None:
        if not self._threads:
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
                logger.warning("events are not pushed, will try again: %s", error)
            except Exception:  # noqa: BLE001 - one bad event must not end all pushing
                logger.exception("pushing events failed")

    def _beat(self) -> None:
        """Heartbeats and pings, each client at its own time."""
        while not self._stopping.wait(1.0):
            now = time.monotonic()
            try:
                self._presence.tick(list(self._feeds.values()))
            except (ApiError, OSError, psycopg.Error) as error:
                logger.debug("presence is not told: %s", error)
            frames: dict[int, Frame] = {}
            while self._beats and self._beats[0][0] <= now:
                _, client = self._beats.popleft()
                if client.is_over:
                    continue
                feed: Feed = client.feed
                if client.is_live:
                    site_id = feed.site.id
                    if site_id not in frames:
                        frames[site_id] = Frame(
                            "heartbeat", self.cursors.make(site_id, feed.position)
                        )
                    client.push(frames[site_id])
                client.connection.ping()
                self._beats.append((now + self._config().live_heartbeat_s, client))

    # ---------------------------------------------------------------- coming and going

    def reserve(self, key: int | str) -> None:
        """Count a connection of a caller: by the id of a user, or by the address or network of a guest.

        Raises Unavailable when this process has as many as it may, TooMany when the caller has.
        """
        config = self._config()
        if self.is_stopping or self._count.total() >= config.live_connections:
            raise Unavailable("This process takes no more listeners right now")
        if self._count[key] >= config.live_connections_per_caller:
            raise TooMany(
                f"At most {config.live_connections_per_caller} connections at once",
                RETRY_MS // 1000,
            )
        self._count[key] += 1

    def release(self, key: int | str) -> None:
        """A connection that was counted has ended."""
        self._count[key] -= 1
        if self._count[key] <= 0:
            del self._count[key]

    def join(self, site: Site, identity: Identity, connection: Connection) -> Client:
        """A new client, that follows nothing yet. Who it is was read within the last minute, not before.

        Raises NotFound, Unauthorized or Forbidden for one that is not welcome any more.
        """
        with self._lock:
            feed = self._feeds.get(site.id)
            if feed is None:
                feed = self._open(site)
            caller = feed.callers.get(identity.token_id)
            if caller is None:
                caller = feed.callers[identity.token_id] = Caller(identity)
                is_known = False
            else:
                is_known = True
            client = Client(feed, caller, connection)
            caller.clients.add(client)
            feed.clients.add(client)
        self._run_threads()
        try:
            if identity.token_id and not is_known:
                # Who they are was read before anybody watched whether it changes; `more` holds no times either.
                with self._turns:
                    self._reconsider(feed, [caller])
        except BaseException:
            self.leave(client)
            raise
        beat = time.monotonic() + self._config().live_heartbeat_s
        self._beats.append((beat, client))
        if len(self._beats) > 2 * self.connections + _GONE:
            # Those who have gone would else stay until their beat is due.
            self._beats = collections.deque(one for one in self._beats if not one[1].is_over)
        return client

    def leave(self, client: Client) -> None:
        """The client has gone."""
        feed: Feed = client.feed
        client.is_over = True
        feed.index.leave(client)
        feed.clients.discard(client)
        caller: Caller = client.caller
        caller.clients.discard(client)
        if not caller.clients and feed.callers.get(caller.token_id) is caller:
            del feed.callers[caller.token_id]
        feed.left = time.monotonic()

    def drop(self, client: Client, reason: str) -> None:
        """Let a client go, with its cursor and a reason of CODES."""
        client.feed.index.leave(client)
        self._end(client, reason)

    def _open(self, site: Site) -> Feed:
        reader = self._database.read()
        try:
            tree = self._sites.tree(site, reader)
            feed = Feed(site, tree, live.head(reader, site.id))
        finally:
            reader.end()
        self._feeds[site.id] = feed
        feed.left = time.monotonic()
        return feed

    def _end(self, client: Client, reason: str) -> None:
        cursor = ""
        if client.is_live:
            cursor = self.cursors.make(client.feed.site.id, client.feed.position)
        client.end(CODES[reason], goodbye(reason, cursor))

    # ---------------------------------------------------------------- following

    def follow(self, client: Client, follows: Sequence[Follow], cursor: str | None) -> None:
        """Let a client follow some topics: from `cursor` on, else from now on. `subscribed` is pushed when it is so.

        Raises Forbidden for what it may not read, and for what is not there: then it follows none of them.
        """
        self._freshen()
        feed: Feed = client.feed
        reader = self._database.read()
        try:
            topics = [follow.topic for follow in follows]
            caller: Caller = client.caller
            with self._turns:
                check(reader, feed.site.id, feed.tree, caller, topics)
                if caller.readable is None:
                    caller.regained(feed.tree, feed.position)
                reader.end()
            after = self._place(client, cursor)
            with feed.lock:
                feed.index.leave(client)
                if client.is_live:
                    client.is_live = False
                    client.position = feed.position
            wanted = {follow.topic: follow for follow in follows}
            try:
                if after is not None:
                    self._heal(client, wanted, after, reader)
                    if after < client.position:
                        self._replay(client, wanted, after, client.position, reader)
                client.follows |= wanted
            finally:
                self._catch_up(client, wanted, reader)
        finally:
            reader.end()
            if not client.is_live:
                # Without a database nobody can say what it has missed meanwhile.
                self.drop(client, "away")

    def _catch_up(self, client: Client, new: Iterable[Topic], reader: Reader) -> None:
        """Bring a client up to all others, and let it take part."""
        feed: Feed = client.feed
        while not client.is_over:
            with feed.lock:
                upto = feed.position
                if client.position >= upto:
                    client.is_live = True
                    feed.index.enter(client)
                    told = [topic for topic in new if topic in client.follows]
                    if told:
                        names = [name(topic) for topic in told]
                        client.push(Frame("subscribed", self.cursor(client), topics=names))
                    for topic in told:
                        self._welcome(client, client.follows[topic])
                    return
            self._replay(client, client.follows, client.position, upto, reader)
            client.position = upto

    def _welcome(self, client: Client, follow: Follow) -> None:
        """Who comes is told how many are there, also when the number stays as it was."""
        if follow.wants_presence and follow.topic.kind > 0:
            frame = self._presence.welcome((client.feed.site.id, *follow.topic))
            if frame is not None:
                client.push(frame)

    def unfollow(self, client: Client, topic: Topic) -> bool:
        """End a subscription; whether there was one."""
        client.feed.index.discard(client, topic)
        return client.follows.pop(topic, None) is not None

    def typing(self, client: Client, topic: Topic) -> None:
        """A member is writing on what they follow with presence. Raises Forbidden; too often it is passed over."""
        follow = client.follows.get(topic)
        now = time.monotonic()
        if follow is None or not follow.wants_presence or topic.kind <= 0:
            raise Invalid("topic", "must be followed with presence")
        if now - client.typed < TYPING_S:
            return
        client.typed = now
        feed: Feed = client.feed
        named = (topic.kind, topic.id, 0)
        reader = self._database.read()
        try:
            fact = live.facts(reader, feed.site.id, feed.tree, [named]).get(named)
        finally:
            reader.end()
        if fact is None or not Judge(feed.tree).may_comment(client.caller.principal, fact):
            raise Forbidden("You may not comment on this", code=NO_CREATE)
        self._presence.typing((feed.site.id, *topic), client.caller.principal.profile_id)

    def cursor(self, client: Client) -> str:
        """Up to where a client has been told everything."""
        feed: Feed = client.feed
        number = feed.position if client.is_live else client.position
        return self.cursors.make(feed.site.id, number)

    def _place(self, client: Client, cursor: str | None) -> int | None:
        """The number of a client's cursor. One that is no place in these events is answered with `resync`."""
        if not cursor:
            return None
        feed: Feed = client.feed
        number = self.cursors.read(feed.site.id, cursor)
        if number is None or number > feed.position:
            if number is not None:
                # Another process may be ahead of this one by a moment.
                self.poll()
            if number is None or number > feed.position:
                client.push(
                    Frame("resync", self.cursor(client), reason="The cursor is none of this site")
                )
                return None
        return number

    def _heal(
        self, client: Client, follows: Mapping[Topic, Follow], after: int, reader: Reader
    ) -> None:
        """Say what a client was not told of before its cursor `after`, since it might not know then but may now."""
        feed: Feed = client.feed
        holes = {topic: client.ended.pop(topic) for topic in follows if topic in client.ended}
        caller: Caller = client.caller
        with self._turns:
            if live.rights_changed(reader, feed.site.id, caller.user_id, after):
                holes = dict.fromkeys(follows, 0) | holes
            reader.end()
        for topic, since in holes.items():
            if since < after:
                self._say_gap(client, topic, since, after, after)

    def _regain(self, feed: Feed, callers: Iterable[Caller]) -> None:
        """Tell those who may read more than at the last look where they were told nothing."""
        for caller in callers:
            regained = caller.regained(feed.tree, feed.position)
            if not regained:
                continue
            parents = {feed.tree.nodes[id].parent_id for id in regained}
            since = min(regained.values())
            for client in caller.clients:
                place = feed.position if client.is_live else client.position
                for topic in client.follows:
                    if topic.kind == SITE or (
                        topic.kind == itemtypes.MICROCOSM and topic.id in parents
                    ):
                        self._say_gap(client, topic, since, place, place)

    def _replay(
        self, client: Client, follows: Mapping[Topic, Follow], after: int, upto: int, reader: Reader
    ) -> None:
        """Tell a client what happened from `after` to `upto`, as far as it is kept and it may know now."""
        feed: Feed = client.feed
        alone = Index()
        for follow in follows.values():
            alone.add(client, follow)
        most = self._config().live_replay_events
        if upto - after > most:
            self._gap(feed, alone, after, upto - most)
            after = upto - most
        while after < upto and not client.is_over:
            with self._turns:
                events = log.between(reader, feed.site.id, after, upto, BATCH)
                reached = events[-1].number if len(events) == BATCH else upto
                self._hand_out(feed, alone, events, after, reached, reader)
                # Nobody holds a connection while a slow client takes its time.
                reader.end()
            after = reached
            client.connection.wait_for_room()

    def _gap(self, feed: Feed, index: Index, after: int, upto: int) -> None:
        """Say to everybody in `index`, of each topic, that its events from `after` to `upto` are kept no longer."""
        topics: dict[Client, list[Topic]] = {}
        for topic, followers in index.items():
            for client in followers:
                topics.setdefault(client, []).append(topic)
        for client, gaps in topics.items():
            for topic in gaps:
                # Only the last is behind the gap: who is cut before it is told of all of them again.
                self._say_gap(client, topic, after, upto, upto if topic is gaps[-1] else after)

    def _say_gap(self, client: Client, topic: Topic, after: int, upto: int, place: int) -> None:
        """Say that what happened on a topic from `after` to `upto` is not told; the frame is at `place` in the log."""
        make, site_id = self.cursors.make, client.feed.site.id
        client.push(
            Frame(
                "gap",
                make(site_id, place),
                topic=name(topic),
                **{"from": make(site_id, after), "to": make(site_id, upto)},
                href=healing(topic),
            )
        )

    # ---------------------------------------------------------------- looking

    def _freshen(self) -> None:
        """Make sure that what is known began to be looked up after this call."""
        now = time.monotonic()
        with self._lock:
            if self._began < now:
                self.poll()

    def poll(self) -> None:
        """Ask once what is new on the sites that have listeners, and hand it out. Raises Unavailable, psycopg.Error."""
        with self._lock:
            if not self._feeds:
                self._seen = ""
                return
            began = time.monotonic()
            reader = self._database.read()
            try:
                seen = self._seen if began - self._began < self.SURE_S else ""
                news = live.news(reader, seen, self._feeds)
                changed = set(news.user_ids)
                known = {site.site_id: site for site in news.sites}
                for site_id, feed in list(self._feeds.items()):
                    if not feed.clients and began - feed.left > self.KEEP_S:
                        del self._feeds[site_id]
                    else:
                        self._bring(feed, known.get(site_id), changed, reader)
            finally:
                reader.end()
            # Only now: what a look that failed had not done yet, the next one does.
            self._seen, self._began = news.snapshot, began

    def _bring(
        self, feed: Feed, now: live.SiteNews | None, changed: set[int], reader: Reader
    ) -> None:
        """One site: who its listeners are, what they may follow, what they are told."""
        try:
            if now is None or now.is_deleted:
                raise NotFound("There is no such site")
            site = self._sites.confirmed(feed.site, now.version, now.acl_version, reader)
        except NotFound:
            for client in list(feed.clients):
                self._end(client, "siteGone")
            return
        feed.site = site
        tree, before = self._sites.tree(site, reader), feed.tree
        feed.tree = tree
        concerned = self._concerned(feed, changed)
        if concerned:
            self._reconsider(feed, concerned, reader)
        # What was told up to here was told by what they could read before; what comes, by what they can read now.
        position = feed.position
        with feed.lock:
            self._regain(feed, list(feed.callers.values()) if tree is not before else concerned)
        moved = self._advance(feed, now.head, reader)
        if tree is not before:
            self._recheck(feed, list(feed.clients), position, reader)
        else:
            some = {one for caller in concerned for one in caller.clients}
            if moved:
                some |= {one for one in feed.clients if not moved.isdisjoint(one.follows)}
            if some:
                self._recheck(feed, some, position, reader)

    def _concerned(self, feed: Feed, changed: set[int]) -> list[Caller]:
        now = time.time()
        return [
            caller
            for caller in feed.callers.values()
            if caller.token_id
            and (
                0 in changed
                or caller.user_id in changed
                or (caller.expires is not None and caller.expires <= now)
                or (caller.due is not None and caller.due <= now)
            )
        ]

    def _reconsider(
        self, feed: Feed, callers: Sequence[Caller], reader: Reader | None = None
    ) -> None:
        """Find out anew who some callers are; who is nobody any more, or banned, is told and ends."""
        own = reader or self._database.read()
        try:
            for at in range(0, len(callers), PEOPLE):
                some = callers[at : at + PEOPLE]
                ids = [caller.token_id for caller in some]
                found = identities.find_many(own, feed.site.id, ids)
                due = [one.profile_id for one in found.values() if one.needs_roles]
                if due:
                    own.end()
                    with self._database.write() as tx:
                        membership.settle_roles(tx, feed.site.id, sorted(set(due)))
                    found = identities.find_many(own, feed.site.id, ids)
                for caller in some:
                    self._become(caller, found.get(caller.token_id))
        finally:
            if reader is None:
                own.end()

    def _become(self, caller: Caller, identity: Identity | None) -> None:
        if identity is None or not identity.profile_id:
            reason = "signedOut"
        elif identity.ban_reason is not None:
            reason = "banned"
        else:
            caller.become(identity)
            return
        for client in list(caller.clients):
            feed: Feed = client.feed
            # Whoever comes with the same token is asked about anew.
            if feed.callers.get(caller.token_id) is caller:
                del feed.callers[caller.token_id]
            feed.index.leave(client)
            self._end(client, reason)

    def _recheck(
        self, feed: Feed, clients: Collection[Client], position: int, reader: Reader
    ) -> None:
        """End the subscriptions to what some clients may not read any more; up to `position` they were told of it."""
        topics = {topic for client in clients for topic in client.follows if topic.kind > 0}
        named = {topic: (topic.kind, topic.id, 0) for topic in topics}
        found = live.facts(reader, feed.site.id, feed.tree, list(named.values())) if named else {}
        judge = Judge(feed.tree)
        for client in clients:
            for topic in list(client.follows):
                if topic in named and not may_follow(judge, client.caller, found.get(named[topic])):
                    self.unfollow(client, topic)
                    client.ended[topic] = position
                    if len(client.ended) > self._config().live_subscriptions:
                        del client.ended[next(iter(client.ended))]
                    client.push(Frame("unsubscribed", topics=[name(topic)], reason="forbidden"))

    # ---------------------------------------------------------------- handing out

    def _advance(self, feed: Feed, head: int, reader: Reader) -> set[Topic]:
        """Tell the live listeners of a site what happened, up to `head`; what was moved by it."""
        moved: set[Topic] = set()
        with feed.lock:
            while feed.position < head:
                events = log.between(reader, feed.site.id, feed.position, head, BATCH)
                reached = events[-1].number if len(events) == BATCH else head
                if feed.index:
                    try:
                        self._hand_out(feed, feed.index, events, feed.position, reached, reader)
                    except (ApiError, OSError, psycopg.Error):
                        raise
                    except Exception:  # noqa: BLE001 - one bad event must not end all pushing
                        logger.exception("events of site %d are not pushed", feed.site.id)
                        self._gap(feed, feed.index, feed.position, reached)
                moved.update(
                    Topic(event.item_type, event.item_id) for event in events if event.moved_from
                )
                feed.position = reached
        return moved

    def _hand_out(
        self,
        feed: Feed,
        index: Index,
        events: Sequence[Event],
        after: int,
        upto: int,
        reader: Reader,
    ) -> None:
        """Tell the listeners in `index` of `events`, which are those from `after` to `upto` that are kept."""
        missing = collections.deque(_missing(events, after, upto))
        things = {thing for event in events if (thing := subject(event)) is not None}
        facts = live.facts(reader, feed.site.id, feed.tree, things) if things else {}
        made = deliveries(events, facts, index, feed.tree)
        documents = self._shown(feed, made, reader)
        for one in made:
            while missing and missing[0][1] < one.event.number:
                self._gap(feed, index, *missing.popleft())
            self._push(feed, one, documents.get(_thing(one)))
        for gap in missing:
            self._gap(feed, index, *gap)

    def _shown(
        self, feed: Feed, made: Sequence[Delivery], reader: Reader
    ) -> dict[Named, Callable[[Tree, ReadableMicrocosms], bytes]]:
        """Read what those who want documents are shown of things: one statement for each type of them."""
        wanted: dict[int, set[Named]] = {}
        for one in made:
            if not one.is_gone and any(wants for _, wants in one.clients):
                named = _thing(one)
                wanted.setdefault(named[0], set()).add(named)
        site_id, kept = feed.site.id, self._documents
        found: dict[Named, bytes] = {}
        for item_type, read in (
            (itemtypes.COMMENT, comment_page.by_ids),
            (itemtypes.HUDDLE, huddle_page.by_ids),
        ):
            ids = sorted(id for _, id, _ in wanted.get(item_type, ()))
            for id, document in read(reader, kept, site_id, ids).items():
                found[item_type, id, 0] = document
        answers = sorted((event, id) for _, id, event in wanted.get(itemtypes.ATTENDEE, ()))
        for (event, id), document in attendee.by_ids(reader, kept, site_id, answers).items():
            found[itemtypes.ATTENDEE, id, event] = document
        shown = {named: _alike(document) for named, document in found.items()}
        kinds = {
            id: item_type
            for item_type in itemtypes.IN_MICROCOSM
            for _, id, _ in wanted.get(item_type, ())
        }
        for id, render in item_page.by_ids(reader, kept, site_id, sorted(kinds)).items():
            shown[kinds[id], id, 0] = render
        return shown

    def _push(
        self,
        feed: Feed,
        one: Delivery,
        document: Callable[[Tree, ReadableMicrocosms], bytes] | None,
    ) -> None:
        plain: Frame | None = None
        # An item shows the way to it, which not everybody may read.
        whole: dict[ReadableMicrocosms, Frame] = {}
        for place, (client, wants_document) in enumerate(one.clients, 1):
            if wants_document and document is not None and not one.is_gone:
                view = feed.tree.view(client.caller.principal)
                if view not in whole:
                    whole[view] = self._frame(feed, one, document(feed.tree, view))
                client.push(whole[view])
            else:
                if plain is None:
                    plain = self._frame(feed, one, None)
                client.push(plain)
            if place % TURN == 0:
                time.sleep(0)

    def _frame(self, feed: Feed, one: Delivery, document: bytes | None) -> Frame:
        return Frame(
            "event",
            self.cursors.make(feed.site.id, one.event.number),
            **told(one.event, one.fact, is_gone=one.is_gone),
            **({} if document is None else {"document": json_fragments.raw(document)}),
        )


def told(event: Event, fact: Fact, *, is_gone: bool) -> dict[str, Any]:
    """Say of an event what a frame says. What has gone has no version any more."""
    kind = itemtypes.BY_ID[event.item_type]
    ended = "gone" if event.moved_from else "deleted"
    said: dict[str, Any] = {
        "kind": ended if is_gone else event.kind,
        "itemType": kind.name,
        "itemId": event.item_id,
    }
    parent_type, parent_id = fact.parent_type, fact.parent_id
    if event.item_type != fact.target.item_type:  # a part of the thing
        parent_type, parent_id = fact.target.item_type, fact.target.item_id
        said["href"] = _href(parent_type, parent_id)
    elif event.item_type == itemtypes.ATTENDEE:
        said["href"] = f"{_href(parent_type, parent_id)}/attendees/{event.item_id}"
    elif event.item_type == itemtypes.ROLE:
        said["href"] = f"{_href(parent_type, parent_id)}/roles"
    else:
        said["href"] = _href(event.item_type, event.item_id)
    if parent_id:
        said["parentType"] = itemtypes.name_of(parent_type)
        said["parentId"] = parent_id
    if fact.target.microcosm_id:
        said["microcosmId"] = fact.target.microcosm_id
    if event.version and not is_gone:
        said["version"] = event.version
    said["at"] = json_fragments.when(event.created)
    return said


def _href(item_type: int, id: int) -> str:
    """The address on the site's host that shows a thing: of what has none of its own, the one that lists it."""
    return _SHOWN_AT.get(item_type) or itemtypes.href(item_type, id)


_SHOWN_AT: Final = {itemtypes.SITE: "/api/v1/site", itemtypes.UPDATE: "/api/v1/updates"}


def _thing(one: Delivery) -> Named:
    """Name the thing that a document shows of an event; a part of it shows no document."""
    event, target = one.event, one.fact.target
    if event.item_type != target.item_type:
        return 0, 0, 0
    is_answer = event.item_type == itemtypes.ATTENDEE
    return target.item_type, target.item_id, one.fact.parent_id if is_answer else 0


def _alike(document: bytes) -> Callable[[Tree, ReadableMicrocosms], bytes]:
    return lambda tree, view: document


def _missing(events: Sequence[Event], after: int, upto: int) -> list[tuple[int, int]]:
    """The stretches of numbers from `after` to `upto` that are kept no longer: (after, upto) each."""
    if len(events) == upto - after:
        return []
    found = []
    for event in events:
        if event.number > after + 1:
            found.append((after, event.number - 1))
        after = event.number
    if after < upto:
        found.append((after, upto))
    return found


__all__ = ["CODES", "Feed", "Live", "Named", "Topic", "healing", "name", "topic_of"]
