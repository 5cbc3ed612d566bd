"""Sending of webhook deliveries, signed, by a limited number of threads. Wire: docs/api/webhooks.md.

Only the process that numbers events sends. It claims a webhook while it serves it, so that two processes never send its
deliveries out of order. A webhook that is served holds one of the slots, but no database connection while its receiver
is awaited, and does not delay other webhooks.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg

from forumapi import itemtypes
from forumapi.concurrency.background_thread import PollingThread
from forumapi.database.connections import Reader, Transaction
from forumapi.errors import ApiError, Forbidden, NotFound
from forumapi.events import event_log, readers
from forumapi.events.event_log import LoggedEvent
from forumapi.itemtypes import ItemRef
from forumapi.mail import outbox
from forumapi.models.access import identity as identities
from forumapi.models.access.identity import GUEST, Identity
from forumapi.models.journal import journal
from forumapi.models.notifications import live_event_queries, webhook_delivery
from forumapi.models.notifications.live_event_queries import Fact
from forumapi.models.notifications.moderation_record import ModerationRecord
from forumapi.models.notifications.webhook import READER
from forumapi.models.notifications.webhook_delivery import (
    DeliveryQueue,
    DisabledWebhook,
    DueDelivery,
)
from forumapi.models.people import caller_profile_upkeep
from forumapi.observability import metrics
from forumapi.observability.log import logger
from forumapi.outbound.safe_http_client import Outbound, OutboundError
from forumapi.permissions import evaluator
from forumapi.realtime.delivery_permissions import GONE, NOTHING, WHOLE, DeliveryPolicy
from forumapi.request.answers.document_for_webhook import render_as
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import dumps

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.models.sites.site import Site
    from forumapi.request.services import Services

# Bytes of a response; a longer one is a failure.
MOST_ANSWER: Final = 65_536
# Bytes of a document; a larger one is left out, and its receiver can request it.
MOST_DOCUMENT: Final = 262_144
# Deliveries, and seconds, after which a webhook gives up its slot.
_RUN: Final = 25
_RUN_S: Final = 5.0
# Length of a claim beyond the receiver's timeout. Webhooks of a process that died stay claimed for so long.
_LEASE_S: Final = 5
_MOST_WAIT_S: Final = 7200.0
_MOST_PAUSE_S: Final = 600.0
# Kind of a message about a thing that was moved out of sight; webhooks that ask for `deleted` receive it.
GONE_KIND: Final = "gone"
# Kinds after which a thing may be gone for those who have seen it.
_ENDS: Final = frozenset((journal.DELETED, journal.PATCHED))


def outbound(config: Config) -> Outbound:
    """Make the HTTP client for requests to receivers, by the settings: https to public addresses alone, at any port;
    http too, and at any address, in the embedded mode or if `private_webhooks` is set.
    """
    if config.is_embedded or config.private_webhooks:
        return Outbound(allowed=lambda _: True, ports=(), timeout_s=config.webhook_timeout_s)
    return Outbound(ports=(), schemes=("https",), timeout_s=config.webhook_timeout_s)


def signature(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a message as Standard Webhooks has it, `v1,` and the HMAC-SHA256 in base64, keyed by
    `secret`, one of the webhook's, over id, time and body. `timestamp`: seconds since 1970.
    """
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def headers(delivery: DueDelivery, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of a delivery's request with the body `body`, sent at `timestamp` (seconds since 1970). The
    signature header has two signatures, by the new secret and the old one, while the old one is still valid after a
    change, else one.
    """
    message_id = f"msg_{delivery.message_id.replace('-', '')}"
    known = (
        [delivery.secret] if delivery.old_secret is None else [delivery.secret, delivery.old_secret]
    )
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(
            signature(secret, message_id, timestamp, body) for secret in known
        ),
    }


def wait_s(attempts: int) -> float:
    """Return the seconds until a delivery is tried again that had failed `attempts` times before this failure: 5, 15,
    45, … up to 2 h, at random less by up to a half.
    """
    return min(_MOST_WAIT_S, float(5 * 3 ** min(attempts, 10))) * random.uniform(0.5, 1.0)


def pause_s(failures: int) -> float:
    """Return the seconds for which a webhook is not served that had failed `failures` times in a row before this
    failure: 2, 4, … up to 10 min, at random less by up to a half.
    """
    return min(_MOST_PAUSE_S, float(2 * 2 ** min(failures, 10))) * random.uniform(0.5, 1.0)


class DeliveryOutcome(NamedTuple):
    """Outcome of one try of a delivery. `status`: HTTP status of the receiver's response, 0 if none came or it is
    longer than MOST_ANSWER; `error`: why the try failed, "" for success, which is a status from 200 to 299.
    """

    status: int
    error: str


class Deliverer(PollingThread):
    """Thread that starts deliveries that are due, while this process numbers events; each webhook is served in a thread
    of its own, at most `webhook_concurrency` of `config` at a time. `app`: the services of this process.

    The attribute `reader` is the reader that queues the deliveries, for the thread that runs readers of the event log.
    """

    def __init__(self, app: Services, config: Config) -> None:
        super().__init__("webhooks", "webhooks are delayed")
        self._app = app
        self._slots = config.webhook_concurrency
        self._of_one_site = max(1, self._slots // 4)
        self._lock = threading.Lock()
        self._busy: set[DeliveryQueue] = set()
        self.reader = readers.EventReader(READER, self._queue, webhook_delivery.BEHIND)
        self.apply(config)

    def _queue(self, tx: Transaction, site_id: int, events: Sequence[LoggedEvent]) -> None:
        webhook_delivery.queue(tx, site_id, events)
        tx.after_commit(self.wake)

    def apply(self, config: Config) -> None:
        """Take over the settings of requests to receivers, and their time limit, from `config`, for the requests from
        now on.
        """
        self._outbound = outbound(config)
        self._lease_s = config.webhook_timeout_s + _LEASE_S

    def check(self, url: str) -> None:
        """Raise OutboundError if deliveries to `url` would be refused, by its form or the present addresses of its
        host; nothing is sent to it.
        """
        self._outbound.check(url)

    def poll(self) -> None:
        """Start serving the webhooks that have deliveries due, if this process numbers events.

        A delivery that is under way when the process ends is sent again, unless its outcome was recorded.
        """
        if self._app.sequencer.leads:
            self._dispatch()

    def _dispatch(self) -> None:
        """Claim webhooks that have deliveries due and serve each in a thread, as long as slots are free; one site has a
        quarter of the slots at most.
        """
        if len(self._busy) >= self._slots:
            return
        reader = self._app.database.read()
        try:
            due = webhook_delivery.due(reader, self._slots * 4)
        finally:
            reader.end()
        for queue in due:
            if len(self._busy) >= self._slots:
                return
            if not self.has_room(queue):
                continue
            with self._app.database.write() as tx:
                claimed = queue.claim(tx, self._lease_s)
            if claimed is not None:
                self.begin(queue, claimed)

    def begin(self, queue: DeliveryQueue, claimed: datetime.datetime) -> None:
        """Serve the webhook of `queue` in a new thread, without waiting for it. `claimed`: time of this process's claim
        on the webhook, by which the claim is known from later ones. If no thread can be started, give the claim back
        and raise RuntimeError.
        """
        with self._lock:
            self._busy.add(queue)
        thread = threading.Thread(
            target=self._serve, args=(queue, claimed), name="webhook", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            self._release(queue, claimed)
            raise

    def has_room(self, queue: DeliveryQueue) -> bool:
        """Return True if this process may serve the webhook of `queue` as well: it does not serve it already, and
        serves fewer webhooks of the same site than one site may have at a time (a quarter of the slots).
        """
        with self._lock:
            busy = Counter(served.site_id for served in self._busy)
            return queue not in self._busy and busy[queue.site_id] < self._of_one_site

    def _serve(self, queue: DeliveryQueue, claimed: datetime.datetime) -> None:
        """Send the deliveries of one webhook in order, until one fails, none is left, its turn of _RUN deliveries or
        _RUN_S seconds is over, `stop` was called, or another process has claimed the webhook; then give back the claim
        made at the time `claimed`. Errors are logged, not raised.
        """
        sent = 0
        try:
            until = time.monotonic() + _RUN_S
            while sent < _RUN and time.monotonic() < until and not self.is_stopping:
                if not self._deliver(queue, claimed):
                    break
                sent += 1
        except (ApiError, psycopg.Error) as error:
            logger.warning(
                "webhook %d of site %d waits: %s", queue.webhook_id, queue.site_id, error
            )
        except Exception:  # noqa: BLE001 - one webhook must not keep the others from being served
            logger.exception("webhook %d of site %d", queue.webhook_id, queue.site_id)
        finally:
            self._release(queue, claimed)
            # If nothing was sent though something was due, a poll now would find the same delivery again.
            if sent:
                self.wake()

    def _release(self, queue: DeliveryQueue, claimed: datetime.datetime) -> None:
        try:
            tx = self._app.database.read()
            try:
                queue.release(tx, claimed)
            finally:
                tx.end()
        except (ApiError, psycopg.Error) as error:
            logger.warning(
                "webhook %d of site %d stays claimed: %s", queue.webhook_id, queue.site_id, error
            )
        with self._lock:
            self._busy.discard(queue)

    # ------------------------------------------------------------ one delivery

    def _deliver(self, queue: DeliveryQueue, claimed: datetime.datetime) -> bool:
        """Send the next delivery of the webhook of `queue`, claimed at the time `claimed`, or drop it for a reason of
        `_body`; record the outcome. Return True if the next delivery may follow at once; False after a failure, if no
        delivery is due, or if another process has claimed the webhook since.
        """
        app = self._app
        tx = app.database.read()
        try:
            delivery = queue.next(tx, claimed)
            if delivery is None:
                return False
            body = self._body(tx, queue.site_id, delivery)
            if body is None:
                queue.drop(tx, delivery.number)
                metrics.WEBHOOKS.add(1, "dropped")
                return True
        finally:
            tx.end()
        outcome = self._send(delivery, body)
        if not outcome.error:
            tx = app.database.read()
            try:
                queue.mark_sent(tx, delivery, outcome.status, self._lease_s, claimed=claimed)
            finally:
                tx.end()
            return True
        self._failed(queue, delivery, outcome, claimed)
        return False

    def _send(self, delivery: DueDelivery, body: bytes) -> DeliveryOutcome:
        started = time.monotonic()
        now = int(datetime.datetime.now(datetime.UTC).timestamp())
        try:
            got = self._outbound.fetch(
                delivery.url, body=body, headers=headers(delivery, now, body), max_bytes=MOST_ANSWER
            )
        except OutboundError as error:
            metrics.WEBHOOKS.add(1, "failed")
            return DeliveryOutcome(0, str(error))
        metrics.WEBHOOK_SECONDS.observe(time.monotonic() - started)
        if 200 <= got.status < 300:
            metrics.WEBHOOKS.add(1, "sent")
            return DeliveryOutcome(got.status, "")
        metrics.WEBHOOKS.add(1, "failed")
        return DeliveryOutcome(got.status, f"The receiver answered {got.status}")

    def _failed(
        self,
        queue: DeliveryQueue,
        delivery: DueDelivery,
        outcome: DeliveryOutcome,
        claimed: datetime.datetime,
    ) -> None:
        config = self._app.config
        with self._app.database.write() as tx:
            dead, why = queue.mark_failed(
                tx,
                delivery,
                status=outcome.status,
                error=outcome.error,
                wait_s=wait_s(delivery.attempts),
                pause_s=pause_s(delivery.failures),
                hours=config.webhook_retry_hours,
                days=config.webhook_failing_days,
                lease_s=self._lease_s,
                claimed=claimed,
            )
            if why:
                queue.bury(tx)
                disabled = queue.disable(tx)
                if disabled is not None:
                    self._notify(tx, queue, disabled)
        if dead:
            metrics.WEBHOOKS.add(dead, "dead")
        if why:
            metrics.WEBHOOKS.add(1, "disabled")

    def _notify(self, tx: Transaction, queue: DeliveryQueue, webhook: DisabledWebhook) -> None:
        """Queue a mail to the address in `webhook`, the site's owner's, which says that the webhook was disabled and
        why.
        """
        site_id, webhook_id = queue
        logger.warning("webhook %d of site %d is disabled: %s", webhook_id, site_id, webhook.error)
        since = webhook.failing_since or datetime.datetime.now(datetime.UTC)
        outbox.queue_notice(
            tx,
            "webhook_disabled",
            cause=f"webhook:{site_id}:{webhook_id}:{since.isoformat()}",
            recipient=webhook.email,
            subject=f"{webhook.site_title}: a webhook was disabled",
            site_id=site_id,
            name=outbox.plain(webhook.name),
            site_title=outbox.plain(webhook.site_title),
            url=webhook.url,
            since=f"{since:%Y-%m-%d %H:%M}",
            error=webhook.error,
            id=webhook_id,
        )

    # ------------------------------------------------------------ messages

    def _body(self, tx: Reader, site_id: int, delivery: DueDelivery) -> bytes | None:
        """Make the body of a delivery; None if it is to be dropped: the profile that the webhook acts as is gone or may
        not see the event now, or the webhook does not ask for its kind.
        """
        site = self._app.sites.current(site_id, tx)
        if delivery.kind == webhook_delivery.PING:
            return dumps(
                {
                    "type": delivery.kind,
                    "site": site.origin,
                    "at": json_fragments.format_time(delivery.occurred),
                }
            )
        who = self._identity(tx, site, delivery.acts_as)
        if who is None:
            return None
        if not who.is_guest:
            site = self._app.sites.confirmed(site, who.site_version, who.acl_version, tx)
        if delivery.item_type in itemtypes.RECORDS:
            record = self._record(tx, site, who, delivery)
            return dumps(record) if record is not None else None
        visibility, fact, kind = self._visibility(tx, site, who, delivery)
        if fact is None or (kind if kind != GONE_KIND else journal.DELETED) not in delivery.kinds:
            return None
        message = self._message(site, delivery, kind, fact)
        if visibility == WHOLE and delivery.with_documents:
            tx.end()
            try:
                document = render_as(self._app, site, who, message["href"])
            except (Forbidden, NotFound):
                # It has gone since it was read a moment ago.
                return None
            if len(document) <= MOST_DOCUMENT:
                message["document"] = json_fragments.raw(document)
        return dumps(message)

    def _message(self, site: Site, delivery: DueDelivery, kind: str, fact: Fact) -> dict[str, Any]:
        """Return the message about a delivery's event: the members that a live frame has, with site and type. `kind`:
        the event's as the receiver is told; `fact`: present or former state of the thing.
        """
        message = self._head(site, delivery, kind)
        parent = delivery.parent_type, delivery.parent_id
        if kind == GONE_KIND:
            parent = fact.parent_type, fact.parent_id
        if parent[1]:
            message |= {"parentType": itemtypes.name_of(parent[0]), "parentId": parent[1]}
        if fact.target.microcosm_id:
            message["microcosmId"] = fact.target.microcosm_id
        if delivery.version and kind == delivery.kind:
            message["version"] = delivery.version
        return message | {"at": json_fragments.format_time(delivery.occurred)}

    def _head(self, site: Site, delivery: DueDelivery, kind: str) -> dict[str, Any]:
        name = itemtypes.name_of(delivery.item_type)
        return {
            "type": f"{name}.{kind}",
            "site": site.origin,
            "cursor": self._app.live.cursors.make(site.id, delivery.number),
            "kind": kind,
            "itemType": name,
            "itemId": delivery.item_id,
            "href": itemtypes.href(delivery.item_type, delivery.item_id),
        }

    def _record(
        self, tx: Reader, site: Site, who: Identity, delivery: DueDelivery
    ) -> dict[str, Any] | None:
        """Return the message about a delivery's report, case or appeal; None unless `who` owns the site now and may see
        the case, and the webhook asks for the event's kind.
        """
        principal = who.principal
        if not principal.is_site_owner or delivery.kind not in delivery.kinds:
            return None
        ids, is_outside_too = evaluator.moderated(principal, self._app.sites.tree(site, tx))
        ref = ItemRef(delivery.item_type, delivery.item_id)
        is_case = ref.type == itemtypes.CASE
        case_id = delivery.item_id if is_case else delivery.parent_id
        found = ModerationRecord.find(
            tx,
            site.id,
            ref,
            case_id,
            me=principal.profile_id,
            moderated=[*([0] if is_outside_too else []), *ids],
            shown=sorted(who.kinds),
        )
        said = found.document(ref.type, delivery.kind) if found is not None else None
        if found is None or said is None:
            return None
        message = self._head(site, delivery, delivery.kind)
        if ref.type == itemtypes.REPORT:
            # A report's own address is for the person who sent it.
            message["href"] = itemtypes.href(itemtypes.CASE, case_id)
        if not is_case:
            message |= {"parentType": itemtypes.name_of(itemtypes.CASE), "parentId": case_id}
        if found.microcosm_id:
            message["microcosmId"] = found.microcosm_id
        return message | {"at": json_fragments.format_time(delivery.occurred)} | said

    def _identity(self, tx: Reader, site: Site, profile_id: int) -> Identity | None:
        """Return the present identity of the profile that a webhook acts as, a guest's for 0; None if the profile is
        gone. If the profile's roles have to be recomputed, that is done first, in a transaction of its own.
        """
        if not profile_id:
            return GUEST
        found = identities.of_profile(tx, site.id, profile_id)
        if found is not None and found.needs_roles:
            tx.end()
            caller_profile_upkeep.ensure(self._app.database, site.id, found, is_root=site.is_root)
            found = identities.of_profile(tx, site.id, profile_id)
        return found

    def _visibility(
        self, tx: Reader, site: Site, who: Identity, delivery: DueDelivery
    ) -> tuple[int, Fact | None, str]:
        """Decide what `who` may see now of the thing of a delivery's event, as for live connections; return the
        visibility (NOTHING, GONE or WHOLE), the state of the thing to report (None: report nothing), and the kind of
        the message ("" for none): the event's own, journal.DELETED for a thing that is gone, GONE_KIND for one moved
        where `who` can't see it.
        """
        tree = self._app.sites.tree(site, tx)
        thing = (delivery.item_type, delivery.item_id, 0)
        fact = live_event_queries.facts(tx, site.id, tree, [thing]).get(thing)
        if fact is None:
            return NOTHING, None, ""
        policy = DeliveryPolicy(tree)
        visibility = policy.visibility(who.principal, fact)
        if visibility == WHOLE:
            return WHOLE, fact, delivery.kind
        # Only events that may have ended a thing, or moved it out of sight, report that it is gone.
        if visibility == GONE and delivery.kind in _ENDS:
            return GONE, fact, journal.DELETED
        moves = delivery.kind == journal.REPLACED
        for event in (
            event_log.between(tx, site.id, delivery.number - 1, delivery.number, 1) if moves else ()
        ):
            was = policy.before_move(fact, event.moved_from)
            if was is not None and was.policy.visibility(who.principal, was.fact) == WHOLE:
                return GONE, was.fact, GONE_KIND
        return NOTHING, None, ""
