"""Webhooks of a site: their receivers, the kinds of events they receive, and the profiles that they act as.

A webhook sees what the profile that it acts as may see at the moment of each delivery, or, without one, what a guest
may. Its secret is stored in plain text, since deliveries are signed with it. Docs: docs/api/webhooks.md.
"""

from __future__ import annotations

import base64
import datetime
import secrets
from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple

from msgspec import Struct

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import OUT_OF_RANGE, Invalid, excerpt
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.notifications.webhook_delivery import DeliveryQueue
from forumapi.models.pages import page_with_total
from forumapi.models.sites.site import lock_for_update
from forumapi.models.trust import targets
from forumapi.wire import json_fragments
from forumapi.wire.paging import Paging

MOST_WEBHOOKS: Final = 20  # of one site
MOST_NAME: Final = 100
MOST_URL: Final = 2000
SECRET_BYTES: Final = 32
# The name of the readers' cursors (events/readers.py).
READER: Final = "webhooks"

KINDS: Final = (
    journal.CREATED,
    journal.REPLACED,
    journal.PATCHED,
    journal.DELETED,
    journal.REMINDED,
    journal.DECIDED,
)
ITEM_TYPES: Final = (
    itemtypes.MICROCOSM,
    itemtypes.PROFILE,
    itemtypes.COMMENT,
    itemtypes.HUDDLE,
    itemtypes.CONVERSATION,
    itemtypes.POLL,
    itemtypes.EVENT,
    *itemtypes.RECORDS,
)
# Types of a webhook that was registered without a choice: contents of microcosms.
USUAL_TYPES: Final = tuple(
    kind
    for kind in ITEM_TYPES
    if kind not in (itemtypes.PROFILE, itemtypes.HUDDLE, *itemtypes.RECORDS)
)
# Resources of the API that show what a webhook is sent of moderators' records.
_RECORD_RESOURCES: Final = {
    itemtypes.REPORT: "cases",
    itemtypes.CASE: "cases",
    itemtypes.APPEAL: "appeals",
}

_COLUMNS: Final = """
    w.webhook_id, w.name, w.url, w.kinds, w.item_types, coalesce(w.acts_as, 0), w.with_documents, w.is_enabled,
    w.disabled, w.created, w.created_by, w.failures, w.failing_since, w.parked_until, w.sent_count, w.last_sent,
    coalesce(w.last_status, 0), coalesce(w.last_error, ''), coalesce(w.missed_from, 0), coalesce(w.missed_upto, 0)"""

PAGE = Query(
    "webhook.page",
    f"""
    SELECT {_COLUMNS}, count(*) OVER ()
      FROM webhooks w
     WHERE w.site_id = %(site_id)s
     ORDER BY w.webhook_id LIMIT %(limit)s::int OFFSET %(offset)s::int""",
)

COUNT = Query("webhook.count", "SELECT count(*) FROM webhooks w WHERE w.site_id = %(site_id)s")

FIND = Query(
    "webhook.find",
    f"SELECT {_COLUMNS} FROM webhooks w WHERE w.site_id = %(site_id)s AND w.webhook_id = %(webhook_id)s",
)

LOCK = Query(
    "webhook.lock",
    f"""
    SELECT {_COLUMNS}
      FROM webhooks w
     WHERE w.site_id = %(site_id)s AND w.webhook_id = %(webhook_id)s
       FOR UPDATE""",
)

# While no webhook of a site is enabled, its log is not read for them: reading begins at its end.
BEGIN = Query(
    "webhook.begin",
    f"""
    INSERT INTO event_cursors AS c (reader, site_id, number)
    SELECT '{READER}', h.site_id, h.number
      FROM event_heads h
     WHERE h.site_id = %(site_id)s
       AND NOT EXISTS (SELECT FROM webhooks w WHERE w.site_id = h.site_id AND w.is_enabled)
        ON CONFLICT (reader, site_id) DO UPDATE
       SET number = greatest(c.number, EXCLUDED.number), moved = now()""",
)

_HEAD: Final = "coalesce((SELECT h.number FROM event_heads h WHERE h.site_id = %(site_id)s), 0)"

INSERT = Query(
    "webhook.insert",
    f"""
    INSERT INTO webhooks AS w (site_id, created_by, name, url, secret, kinds, item_types, acts_as, with_documents,
                               is_enabled, begins)
    VALUES (%(site_id)s, %(created_by)s, %(name)s, %(url)s, %(secret)s, %(kinds)s, %(item_types)s,
            nullif(%(acts_as)s::bigint, 0), %(with_documents)s, %(is_enabled)s, {_HEAD})
 RETURNING {_COLUMNS}""",
)

UPDATE = Query(
    "webhook.update",
    f"""
    UPDATE webhooks w
       SET name = %(name)s, url = %(url)s, kinds = %(kinds)s, item_types = %(item_types)s,
           acts_as = nullif(%(acts_as)s::bigint, 0), with_documents = %(with_documents)s,
           begins = CASE WHEN %(is_enabled)s AND NOT w.is_enabled THEN {_HEAD} ELSE w.begins END,
           failures = 0, failing_since = NULL, parked_until = NULL, disabled = '', is_enabled = %(is_enabled)s
     WHERE w.site_id = %(site_id)s AND w.webhook_id = %(webhook_id)s""",
)

SET_SECRET = Query(
    "webhook.set_secret",
    """
    UPDATE webhooks w
       SET old_secret = CASE WHEN %(keep)s THEN w.secret END, old_secret_until = now() + interval '24 hours',
           secret = %(secret)s
     WHERE w.site_id = %(site_id)s AND w.webhook_id = %(webhook_id)s""",
)

# A new owner of a webhook gets no list of the huddles that the one before takes part in.
FORGET_PRIVATE = Query(
    "webhook.forget_private",
    f"""
    DELETE FROM webhook_deliveries d
     WHERE d.site_id = %(site_id)s AND d.webhook_id = %(webhook_id)s
       AND {itemtypes.HUDDLE} IN (d.item_type_id, d.parent_type_id)""",
)

DELETE_DELIVERIES = Query(
    "webhook.delete_deliveries",
    """
    DELETE FROM webhook_deliveries d
     WHERE d.site_id = %(site_id)s AND d.webhook_id = %(webhook_id)s""",
)

DELETE = Query(
    "webhook.delete",
    "DELETE FROM webhooks w WHERE w.site_id = %(site_id)s AND w.webhook_id = %(webhook_id)s",
)

LIST_ALL = Query(
    "webhook.list_all",
    """
    SELECT s.subdomain_key, w.webhook_id, w.name, w.url, w.is_enabled, w.disabled, w.failures, w.failing_since,
           w.sent_count,
           (SELECT count(*) FROM webhook_deliveries d
             WHERE d.site_id = w.site_id AND d.webhook_id = w.webhook_id AND d.state = 'queued') AS queued,
           (SELECT count(*) FROM webhook_deliveries d
             WHERE d.site_id = w.site_id AND d.webhook_id = w.webhook_id AND d.state = 'dead') AS dead
      FROM webhooks w
      JOIN sites s ON s.site_id = w.site_id
     WHERE %(site_id)s::bigint = 0 OR w.site_id = %(site_id)s::bigint
     ORDER BY w.site_id, w.webhook_id""",
    scope=PLATFORM,
)


class WebhookSettings(Struct, frozen=True):
    """Settings of a webhook that the site's owner chooses. `name`: HTML-escaped; `kinds` and `item_types`: an event
    must be of one of these kinds, about a thing of one of these types; `acts_as`: id of the profile whose rights it
    has; 0: a guest's; `with_documents`: deliveries hold the document of the event's thing.
    """

    name: str
    url: str
    kinds: list[str]
    item_types: list[int]
    acts_as: int
    with_documents: bool
    is_enabled: bool

    def params(self) -> dict[str, Any]:
        """Return the settings as parameters of INSERT and UPDATE."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


class ListedWebhook(NamedTuple):
    """Webhook as operators see it in a list. `site`: the site's subdomain key; `disabled_because`: why the platform
    disabled it, "" if it did not; `failures`: number of failures in a row, since `failing_since`; `sent`, `queued`,
    `dead`: numbers of deliveries, `dead` of those that were given up and are kept.
    """

    site: str
    id: int
    name: str
    url: str
    enabled: bool
    disabled_because: str
    failures: int
    failing_since: datetime.datetime | None
    sent: int
    queued: int
    dead: int


class Webhook(Struct, frozen=True):
    """Webhook of a site. `name` to `is_enabled`: as in WebhookSettings; `disabled`: why the platform disabled it,
    "failing" or "gone", "" if it did not; `created_by`: a profile; `failures`: failures in a row, since
    `failing_since`; `parked_until`: no delivery is tried before; `sent_count`: number of deliveries that were sent;
    `last_status`: the receiver's status code in the last attempt, 0 for no answer or none yet; `last_error`: what
    failed in it, "" for nothing; `missed_from`, `missed_upto`: numbers of the first and last event that it missed, 0
    for none.
    """

    site_id: int
    id: int
    name: str
    url: str
    kinds: list[str]
    item_types: list[int]
    acts_as: int
    with_documents: bool
    is_enabled: bool
    disabled: str  # why it was disabled without a request: "failing", "gone", or ""
    created: datetime.datetime
    created_by: int
    failures: int
    failing_since: datetime.datetime | None
    parked_until: datetime.datetime | None
    sent_count: int
    last_sent: datetime.datetime | None
    last_status: int
    last_error: str
    missed_from: int
    missed_upto: int

    @classmethod
    def page(cls, tx: Reader, site_id: int, paging: Paging) -> tuple[list[Webhook], int]:
        """Return the page `paging` of the site's webhooks, oldest first, and the number of all of them."""
        rows, total = page_with_total.page(tx, PAGE, COUNT, paging, site_id=site_id)
        return [cls(site_id, *row) for row in rows], total

    @classmethod
    def find(cls, tx: Reader, site_id: int, webhook_id: int) -> Webhook | None:
        """Return the webhook with this id on this site; None if there is none."""
        row = tx.row(FIND, site_id=site_id, webhook_id=webhook_id)
        return cls(site_id, *row) if row else None

    @classmethod
    def lock(cls, tx: Transaction, site_id: int, webhook_id: int) -> Webhook | None:
        """Lock the row of the webhook with this id on this site and return the webhook; None if there is none."""
        row = tx.row(LOCK, site_id=site_id, webhook_id=webhook_id)
        return cls(site_id, *row) if row else None

    @classmethod
    def insert(
        cls, tx: Transaction, author: Author, settings: WebhookSettings
    ) -> tuple[Webhook, str]:
        """Store a webhook, which gets events from now on if `settings` enable it; return it and its secret, as the
        owner gets it.

        Raises Invalid for a site that has MOST_WEBHOOKS. Locks the site's row.
        """
        # The site's lock makes registrations take turns, so that the limit holds and the cursor begins once.
        lock_for_update(tx, author.site_id)
        if tx.value(COUNT, site_id=author.site_id) >= MOST_WEBHOOKS:
            raise Invalid("", f"A site has at most {MOST_WEBHOOKS} webhooks")
        tx.run(BEGIN, site_id=author.site_id)
        secret = secrets.token_bytes(SECRET_BYTES)
        row = tx.row(
            INSERT,
            site_id=author.site_id,
            created_by=author.profile_id,
            secret=secret,
            **settings.params(),
        )
        assert row is not None  # the statement returns one row
        return cls(author.site_id, *row), _shown(secret)

    def update(self, tx: Transaction, settings: WebhookSettings) -> None:
        """Store new settings of the webhook, whose row is locked, and end its pause after failures.

        If the settings enable a disabled webhook, it gets events from now on; if they disable it, waiting deliveries
        become dead letters. If they change the profile that it acts as, its deliveries about huddles are deleted.
        """
        if settings.is_enabled and not self.is_enabled:
            tx.run(BEGIN, site_id=self.site_id)
        tx.run(UPDATE, site_id=self.site_id, webhook_id=self.id, **settings.params())
        if not settings.is_enabled:
            self.deliveries.bury(tx)
        if settings.acts_as != self.acts_as:
            tx.run(FORGET_PRIVATE, site_id=self.site_id, webhook_id=self.id)

    def rotate_secret(self, tx: Transaction, *, keep_old: bool) -> str:
        """Replace the secret of the webhook, whose row is locked; return the new secret.

        `keep_old`: deliveries are signed with the old secret too for 24 hours.
        """
        secret = secrets.token_bytes(SECRET_BYTES)
        tx.run(SET_SECRET, site_id=self.site_id, webhook_id=self.id, secret=secret, keep=keep_old)
        return _shown(secret)

    def delete(self, tx: Transaction) -> None:
        """Delete the webhook, whose row is locked, with its deliveries."""
        tx.run(DELETE_DELIVERIES, site_id=self.site_id, webhook_id=self.id)
        tx.run(DELETE, site_id=self.site_id, webhook_id=self.id)

    @property
    def deliveries(self) -> DeliveryQueue:
        """Return the queue of the webhook's deliveries; reads nothing."""
        return DeliveryQueue(self.site_id, self.id)

    def document(self, missed: dict[str, str] | None, secret: str = "") -> dict[str, Any]:
        """Return the webhook as JSON members for the site's owner.

        `missed`: cursors of the `first` and `last` event that it missed, by these names, None for none; `secret`: the
        one just made, "" leaves the member out.
        """
        path = f"/api/v1/webhooks/{self.id}"
        data: dict[str, Any] = {"id": self.id, "name": self.name, "url": self.url}
        if secret:
            data["secret"] = secret
        return data | {
            "kinds": self.kinds,
            # A process of a later release may have stored more.
            "itemTypes": [
                itemtypes.name_of(kind) for kind in self.item_types if kind in ITEM_TYPES
            ],
            "actsAs": self.acts_as,
            "documents": self.with_documents,
            "enabled": self.is_enabled,
            "disabledBecause": self.disabled,
            "created": json_fragments.format_time(self.created),
            "failures": self.failures,
            "failingSince": _when(self.failing_since),
            "pausedUntil": _when(self.parked_until),
            "sent": self.sent_count,
            "lastSent": _when(self.last_sent),
            "lastStatus": self.last_status,
            "lastError": self.last_error,
            "missed": missed,
            "meta": {
                "links": [
                    {"rel": "self", "href": path},
                    {"rel": "deliveries", "href": f"{path}/deliveries"},
                ]
            },
        }


def list_all(tx: Reader, site_id: int = 0) -> list[ListedWebhook]:
    """Return the webhooks of a site, or with `site_id` 0 of all sites, for operators, ordered by site, then by id."""
    return [ListedWebhook(*row) for row in tx.rows(LIST_ALL, site_id=site_id)]


def _shown(secret: bytes) -> str:
    """Return a stored secret in the form in which its owner gets it (Standard Webhooks)."""
    return "whsec_" + base64.b64encode(secret).decode()


def _when(moment: datetime.datetime | None) -> str | None:
    return json_fragments.format_time(moment) if moment is not None else None


def checked_kinds(given: Iterable[str]) -> list[str]:
    """Return the kinds of events in `given`, each once, in the order of KINDS. Raises Invalid for an unknown kind, and
    if `given` is empty.
    """
    chosen = set(given)
    if unknown := sorted(chosen.difference(KINDS)):
        raise Invalid("kinds", f"there is no kind {excerpt(unknown[0])}", code=OUT_OF_RANGE)
    if not chosen:
        raise Invalid("kinds", "must name at least one kind", code=OUT_OF_RANGE)
    return [kind for kind in KINDS if kind in chosen]


def checked_types(given: Iterable[str]) -> list[int]:
    """Return the ids of the item types with the names `given`, each once, ascending. Raises Invalid for an unknown
    name, and if `given` is empty.
    """
    known = {itemtypes.name_of(kind): kind for kind in ITEM_TYPES}
    chosen = set(given)
    if unknown := sorted(chosen.difference(known)):
        raise Invalid(
            "itemTypes", f"there are no events of {excerpt(unknown[0])}", code=OUT_OF_RANGE
        )
    if not chosen:
        raise Invalid("itemTypes", "must name at least one type", code=OUT_OF_RANGE)
    return sorted(known[name] for name in chosen)


def reading_scopes(item_types: Collection[int]) -> list[str]:
    """Return the OAuth scopes that a token needs to read things of these types, in the order of the types, and for
    records of moderators, or types that this release does not know, also to read whatever these are about.
    """
    things = [kind for kind in item_types if kind in itemtypes.ALL]
    records = [kind for kind in item_types if kind in itemtypes.RECORDS]
    if len(things) < len(item_types):
        things += targets.TYPES
    resources = [itemtypes.BY_ID[kind].path.rpartition("/")[2] for kind in things]
    resources += [_RECORD_RESOURCES[kind] for kind in records]
    return [f"{resource}:read" for resource in dict.fromkeys(resources)]
