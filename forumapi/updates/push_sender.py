"""Sending of web push: messages are made when they are sent, encrypted for one subscription, and posted to its push
service.

All web processes send. A batch is leased, so that a crash repeats one batch at most. Whether a message is sent is
decided by the rights that the subscription's token has at that moment. What guests may not read is named by type and
address alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import psycopg

from forumapi import itemtypes
from forumapi.concurrency.background_thread import PollingThread
from forumapi.database import site_turns
from forumapi.database.connections import Database, Reader
from forumapi.errors import ApiError, Invalid, NotFound
from forumapi.mail.outbox import plain
from forumapi.models.access import identity, platform_secret
from forumapi.models.notifications import update_types
from forumapi.models.roles import role_recomputation
from forumapi.models.usage import site_usage
from forumapi.observability import metrics
from forumapi.observability.log import logger
from forumapi.outbound import web_push_crypto
from forumapi.outbound.safe_http_client import Outbound, OutboundError
from forumapi.outbound.web_push_crypto import VapidKey
from forumapi.text import sanitise
from forumapi.updates import message_context, push_queue, sending_decision
from forumapi.updates.message_context import MessageContext
from forumapi.updates.push_queue import DueMessage, PushOutcome
from forumapi.wire.json_fragments import dumps

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.models.access.identity import Identity
    from forumapi.models.sites.site import Site
    from forumapi.models.sites.site_cache import SiteCache
    from forumapi.permissions.evaluator import Tree

BATCH: Final = 40
_AT_ONCE: Final = 8
TIMEOUT_S: Final = 10.0
LEASE_S: Final = 120
# Waits after the first, second, … failure; after the last one the message is dead.
BACK_OFF_S: Final = (15, 60, 300, 1800, 7200)
# Characters of a title and of a comment in a message.
_MOST_TITLE: Final = 150
_MOST_WORDS: Final = 200
_MOST_ANSWER: Final = 16_384
# Time for which a push service keeps a message for a device that is off.
_TTL_S: Final = 24 * 3600
_GONE: Final = frozenset((404, 410))
# Refusals of one message, which another try would not change.
_REFUSED: Final = frozenset((400, 413))
_HEADERS: Final = {
    "Content-Type": "application/octet-stream",
    "Content-Encoding": "aes128gcm",
    "TTL": str(_TTL_S),
    "Urgency": "normal",
}


class CircuitBreaker:
    """Circuit breakers of all push services, by host (with port): after FAILURES failures in a row nothing is sent to a
    host for FIRST_S seconds.

    When that time is over one message is tried; each further failure doubles the time, up to MOST_S. Of the hosts that
    fail, HOSTS at most are remembered. Safe for threads.
    """

    FAILURES: Final = 5
    FIRST_S: Final = 30.0
    MOST_S: Final = 900.0
    HOSTS: Final = 1000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Host -> failures in a row, and the time before which nothing is sent to it.
        self._failing: dict[str, tuple[int, float]] = {}

    def wait_s(self, host: str) -> int:
        """Return the seconds for which nothing may be sent to a host, 0 if something may be sent now. Once the time of
        a failing host is over one caller gets 0, to try it and `record` the outcome; until it has recorded that, others
        get what is left of TIMEOUT_S, after which the next caller gets 0.
        """
        with self._lock:
            count, until = self._failing.get(host) or (0, 0.0)
            left = until - time.monotonic()
            if left > 0:
                return int(left) + 1
            if count >= self.FAILURES:
                self._failing[host] = (count, time.monotonic() + TIMEOUT_S)
            return 0

    def record(self, host: str, *, is_there: bool) -> None:
        """Record that a host is working (`is_there`), which ends its failures, or that it has failed once more."""
        with self._lock:
            before = self._failing.pop(host, (0, 0.0))
            if is_there:
                return
            while len(self._failing) >= self.HOSTS:
                del self._failing[next(iter(self._failing))]
            count, pause = before[0] + 1, 0.0
            if count >= self.FAILURES:
                pause = min(self.MOST_S, self.FIRST_S * 2 ** min(count - self.FAILURES, 10))
            self._failing[host] = (count, time.monotonic() + pause)


class PushSender(PollingThread):
    """Thread that sends web push messages that are due. `config()` returns the present settings; `sites`: cache of
    sites, for their rights.
    """

    POLL_S = 5.0

    def __init__(self, database: Database, sites: SiteCache, config: Callable[[], Config]) -> None:
        super().__init__("push", "messages of web push are delayed")
        self._database = database
        self._sites = sites
        self._config = config
        self._key: VapidKey | None = None
        self._breaker = CircuitBreaker()
        # The site that had the last turn.
        self._after = 0

    def poll(self) -> None:
        """Send all messages that are due, until there are none; if the thread is stopped, the rest is left to other
        processes.
        """
        while not self.is_stopping and self.flush():
            pass

    def key(self, tx: Reader) -> VapidKey:
        """Return the platform's key pair: that of the setting `push_private_key`, else the one in the database, which
        the first call on the platform makes and stores, so `tx` must be able to write. A changed setting takes effect
        in a new process.
        """
        if self._key is None:
            config = self._config()
            given = config.push_private_key
            secret = (
                web_push_crypto.decode(given)
                if given
                else platform_secret.find(tx, platform_secret.PUSH)
            )
            self._key = VapidKey(secret, f"mailto:{config.operator_email or config.sender}")
        return self._key

    def check(self, endpoint: str) -> None:
        """Raise Invalid if messages to the subscription's URL `endpoint` would be refused, by its form or the present
        addresses of its host; nothing is sent.
        """
        try:
            self._outbound().check(endpoint)
        except OutboundError as error:
            raise Invalid("endpoint", str(error)) from None

    def flush(self) -> int:
        """Send at most one batch of messages that are due; return how many were taken from the queue, sent or not.

        Raises Unavailable if the database can't be reached.
        """
        with self._database.write() as tx:
            batch = push_queue.lease(tx, BATCH, LEASE_S, after=self._after)
            key = self.key(tx)
        if not batch:
            return 0
        self._after = site_turns.last([message.site_id for message in batch], self._after)
        outcomes: list[PushOutcome] = []
        bodies = self._bodies(batch, outcomes)
        outbound = self._outbound()
        with ThreadPoolExecutor(_AT_ONCE, "push") as pool:
            outcomes += pool.map(
                lambda pair: self._send(outbound, key, *pair),
                bodies.items(),
            )
        with self._database.write() as tx:
            push_queue.record(tx, outcomes)
            sent = [one.message.site_id for one in outcomes if one.state == "sent"]
            if sent:
                site_usage.add_pushes(tx, sent)
        for one in outcomes:
            if one.was_tried:
                metrics.PUSHES.add(1, "gone" if one.is_gone else one.state or "retried")
        return len(batch)

    def _outbound(self) -> Outbound:
        if self._config().private_push:
            return Outbound(allowed=lambda _: True, ports=(), timeout_s=TIMEOUT_S)
        return Outbound(ports=(), schemes=("https",), timeout_s=TIMEOUT_S)

    # ------------------------------------------------------------ texts

    def _bodies(
        self, batch: Sequence[DueMessage], outcomes: list[PushOutcome]
    ) -> dict[DueMessage, bytes]:
        """Return the texts (JSON, not encrypted) of those messages of a batch that are to be sent; append the outcomes
        of the others to `outcomes`.
        """
        late = [message for message in batch if message.is_late]
        outcomes += [PushOutcome(message, "dropped", "it is too old") for message in late]
        waiting = [message for message in batch if not message.is_late]
        tx = self._database.read()
        try:
            contexts = self._contexts(tx, waiting)
            made: dict[DueMessage, bytes] = {}
            for site_id in dict.fromkeys(message.site_id for message in waiting):
                some = [message for message in waiting if message.site_id == site_id]
                tokens = identity.find_many(tx, site_id, {message.token_id for message in some})
                for message in some:
                    context = contexts.get((site_id, message.id))
                    try:
                        text = self._text(tx, context, tokens.get(message.token_id))
                    except (ApiError, psycopg.Error):
                        raise
                    except Exception as error:  # noqa: BLE001 - one message must not keep the others from being sent
                        logger.exception("message %d of web push is dead", message.id)
                        failure = f"{type(error).__name__}: {error}"
                        outcomes.append(PushOutcome(message, "dead", failure))
                        continue
                    if isinstance(text, str):
                        outcomes.append(PushOutcome(message, "dropped", text, was_tried=False))
                    else:
                        made[message] = text
            return made
        finally:
            tx.end()

    def _contexts(
        self, tx: Reader, messages: Sequence[DueMessage]
    ) -> Mapping[tuple[int, int], MessageContext]:
        """Return the contexts of messages by (site id, message id), without messages that are gone. Roles of readers
        that are due to change with time are recomputed before, in transactions of their own.
        """
        keys = [message.site_id for message in messages], [message.id for message in messages]
        found = message_context.of_messages(tx, *keys)
        due: dict[int, set[int]] = {}
        for context in found:
            if context.is_due:
                due.setdefault(context.site_id, set()).add(context.profile_id)
        if due:
            tx.end()  # one connection at a time
            for site_id in sorted(due):
                with self._database.write() as writing:
                    role_recomputation.recompute_roles(writing, site_id, sorted(due[site_id]))
            found = message_context.of_messages(tx, *keys)
        return {(context.site_id, context.mail_id): context for context in found}

    def _text(
        self, tx: Reader, context: MessageContext | None, reader: Identity | None
    ) -> bytes | str:
        """Return the text of a message (JSON) as bytes, or as str the reason why the message must not be sent.
        `context` None: the message is gone. `reader`: present identity of the subscription's token, None if the token
        is valid no more; its rights take the place of those in `context`.
        """
        if context is None or reader is None or reader.profile_id != context.profile_id:
            return "the reader is gone"
        if context.is_site_deleted:
            return "the site is gone"
        # The token may have fewer rights than its person.
        context.principal = reader.principal
        try:
            site = self._sites.at(context.site_id, context.site_version, context.acl_version, tx)
        except NotFound:
            return "the site is gone"
        tree = self._sites.tree(site, tx)
        kinds = {context.item_type} | (
            {itemtypes.COMMENT} if context.type in update_types.COMMENTED else set()
        )
        if not kinds <= reader.kinds:
            return "the token may not read it"
        reason = sending_decision.objection(context, tree)
        return reason or dumps(document(site, tree, context))

    # ------------------------------------------------------------ sending

    def _send(
        self, outbound: Outbound, key: VapidKey, message: DueMessage, text: bytes
    ) -> PushOutcome:
        host = urlsplit(message.endpoint).netloc
        wait = self._breaker.wait_s(host)
        if wait:
            return PushOutcome(
                message, None, "the push service is down", wait_s=wait, was_tried=False
            )
        try:
            encrypted = web_push_crypto.encrypt(text, message.public_key, message.auth_secret)
        except ValueError as error:  # one message must not keep the others from being sent
            logger.exception("message %d of web push is dead", message.id)
            return PushOutcome(message, "dead", f"ValueError: {error}", was_tried=False)
        try:
            got = outbound.fetch(
                message.endpoint,
                body=encrypted,
                headers=_HEADERS | {"Authorization": key.authorization(message.endpoint)},
                max_bytes=_MOST_ANSWER,
            )
        except OutboundError as error:
            self._breaker.record(host, is_there=False)
            return _later(message, str(error))
        self._breaker.record(host, is_there=got.status < 500 and got.status != 429)
        if 200 <= got.status < 300:
            return PushOutcome(message, "sent")
        if got.status in _GONE:
            return PushOutcome(message, None, is_gone=True)
        refusal = f"The push service answered {got.status}"
        if got.status in _REFUSED:
            return PushOutcome(message, "dead", refusal)
        return _later(message, refusal)


def _later(message: DueMessage, error: str) -> PushOutcome:
    tried = message.attempts - 1
    if tried < len(BACK_OFF_S):
        return PushOutcome(message, None, error, wait_s=BACK_OFF_S[tried])
    logger.warning("message %d of web push is dead: %s", message.id, error)
    return PushOutcome(message, "dead", error)


def document(site: Site, tree: Tree, context: MessageContext) -> dict[str, Any]:
    """Return the JSON object of the web push message about `context` (docs/api/updates.md), before its encoding; the
    keys `title`, `by` and `text`, plain texts of which the first and last are cut, are left out if guests may not read
    what the message is about. `tree`: the microcosms of `site`.
    """
    parent = context.item or (itemtypes.PROFILE, context.on_profile[0], ())
    made: dict[str, Any] = {
        "updateType": update_types.NAMES[context.type],
        "profileId": context.profile_id,
        "itemType": itemtypes.name_of(parent[0]),
        "itemId": parent[1],
        "url": site.page(_path(context)),
        "siteTitle": plain(site.title),
    }
    if context.type in update_types.COMMENTED:
        made["commentId"] = context.comment_id
    if not sending_decision.is_public(context, tree):
        return made
    title = plain(context.title if context.item is not None else context.on_profile[1])
    made["title"] = title if len(title) <= _MOST_TITLE else title[: _MOST_TITLE - 1] + "…"
    made["by"] = plain(context.actor_name)
    if context.type in update_types.COMMENTED:
        made["text"] = sanitise.plain(context.html or "", _MOST_WORDS)
    return made


def _path(context: MessageContext) -> str:
    """Return the path, as `Site.page` takes it, of the site's page that a message leads to: of the comment in its
    context for a type of update about comments (COMMENTED), else of the item, such as `/events/3/`.
    """
    if context.type in update_types.COMMENTED:
        return f"/comments/{context.comment_id}/incontext/"
    return itemtypes.href(context.item_type, context.item_id).removeprefix("/api/v1") + "/"
