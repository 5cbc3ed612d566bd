"""Webhooks of a site: where they go, what they are told of, and with whose eyes they see. Docs: docs/api/webhooks.md.

A webhook sees what the profile that registered it may see at the moment of each delivery, or what a guest may. Its
secret is stored as it is: what signs must be known.
"""

from __future__ import annotations

import base64
import datetime
import secrets
from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple

from msgspec import Struct

from forumapi import itemtypes
from forumapi.database.connections import Query, Reader, Transaction
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.models.journal import journal
from forumapi.models.notices import webhook_delivery
from forumapi.models.pages import page_with_total
from forumapi.models.sites.site import hold
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
)
ITEM_TYPES: Final = (
    itemtypes.MICROCOSM,
    itemtypes.PROFILE,
    itemtypes.COMMENT,
    itemtypes.HUDDLE,
    itemtypes.CONVERSATION,
    itemtypes.POLL,
    itemtypes.EVENT,
)
# Without a choice: what people write in microcosms.
USUAL_TYPES: Final = tuple(
    kind for kind in ITEM_TYPES if kind not in (itemtypes.PROFILE, itemtypes.HUDDLE)
)

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
    INSERT INTO webhooks (site_id, created_by, name, url, secret, kinds, item_types, acts_as, with_documents,
                          is_enabled, begins)
    VALUES (%(site_id)s, %(created_by)s, %(name)s, %(url)s, %(secret)s, %(kinds)s, %(item_types)s,
            nullif(%(acts_as)s::bigint, 0), %(with_documents)s, %(is_enabled)s, {_HEAD})
 RETURNING webhook_id""",
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

# Whoever takes a webhook over gets no list of what another takes part in.
FORGET_PRIVATE = Query(
    "webhook.forget_private",
    """
    DELETE FROM webhook_deliveries d
     WHERE d.site_id = %(site_id)s AND d.webhook_id = %(webhook_id)s AND 5 IN (d.item_type_id, d.parent_type_id)""",
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
)


class Webhook(Struct, frozen=True):
    """One webhook of a site. `acts_as` 0: it sees what a guest may see."""

    id: int
    name: str
    url: str
    kinds: list[str]
    item_types: list[int]
    acts_as: int
    with_documents: bool
    is_enabled: bool
    disabled: str  # why it was disabled by itself: "failing", "gone", or ""
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


class Listed(NamedTuple):
    """A webhook as operators see it."""

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


class Settings(Struct, frozen=True):
    """What the owner decides about a webhook."""

    name: str
    url: str
    kinds: list[str]
    item_types: list[int]
    acts_as: int
    with_documents: bool
    is_enabled: bool


def page(tx: Reader, site_id: int, paging: Paging) -> tuple[list[Webhook], int]:
    """Webhooks of a site, oldest first, and how many there are."""
    rows, total = page_with_total.page(tx, PAGE, COUNT, paging, site_id=site_id)
    return [Webhook(*row) for row in rows], total


def list_all(tx: Reader, site_id: int = 0) -> list[Listed]:
    """All webhooks, or those of one site."""
    return [Listed(*row) for row in tx.rows(LIST_ALL, site_id=site_id)]


def find(tx: Reader, site_id: int, webhook_id: int) -> Webhook | None:
    """The webhook with this id on this site, or None."""
    row = tx.row(FIND, site_id=site_id, webhook_id=webhook_id)
    return Webhook(*row) if row else None


def lock(tx: Transaction, site_id: int, webhook_id: int) -> Webhook | None:
    """The same, its row locked."""
    row = tx.row(LOCK, site_id=site_id, webhook_id=webhook_id)
    return Webhook(*row) if row else None


def insert(tx: Transaction, site_id: int, created_by: int, given: Settings) -> tuple[int, str]:
    """Register a webhook, which is told of what happens from now on; its id and its secret.

    Raises Invalid beyond the limit of the site.
    """
    # One after another, so that the limit holds and the cursor begins once.
    hold(tx, site_id)
    if tx.value(COUNT, site_id=site_id) >= MOST_WEBHOOKS:
        raise Invalid("", f"A site has at most {MOST_WEBHOOKS} webhooks")
    tx.run(BEGIN, site_id=site_id)
    secret = secrets.token_bytes(SECRET_BYTES)
    id = tx.value(INSERT, site_id=site_id, created_by=created_by, secret=secret, **_params(given))
    return int(id), shown_secret(secret)


def update(tx: Transaction, site_id: int, found: Webhook, given: Settings) -> None:
    """Change a locked webhook. It is tried again at once; enabled anew, it is told of what happens from now on."""
    if given.is_enabled and not found.is_enabled:
        tx.run(BEGIN, site_id=site_id)
    tx.run(UPDATE, site_id=site_id, webhook_id=found.id, **_params(given))
    if not given.is_enabled:
        webhook_delivery.bury(tx, site_id, found.id)
    if given.acts_as != found.acts_as:
        tx.run(FORGET_PRIVATE, site_id=site_id, webhook_id=found.id)


def rotate(tx: Transaction, site_id: int, found: Webhook, *, keep: bool) -> str:
    """A new secret for a locked webhook. `keep`: for 24 hours the old one signs as well."""
    secret = secrets.token_bytes(SECRET_BYTES)
    tx.run(SET_SECRET, site_id=site_id, webhook_id=found.id, secret=secret, keep=keep)
    return shown_secret(secret)


def delete(tx: Transaction, site_id: int, found: Webhook) -> None:
    """Delete a locked webhook with everything that waits for it."""
    tx.run(DELETE_DELIVERIES, site_id=site_id, webhook_id=found.id)
    tx.run(DELETE, site_id=site_id, webhook_id=found.id)


def _params(given: Settings) -> dict[str, Any]:
    return {name: getattr(given, name) for name in given.__struct_fields__}


def shown_secret(secret: bytes) -> str:
    """A secret as its owner gets it (Standard Webhooks)."""
    return "whsec_" + base64.b64encode(secret).decode()


# ---------------------------------------------------------------- what may be chosen


def checked_kinds(given: Iterable[str]) -> list[str]:
    """Kinds of events, each once, in the order of KINDS. Raises Invalid."""
    chosen = set(given)
    if unknown := sorted(chosen.difference(KINDS)):
        raise Invalid("kinds", f"there is no kind {unknown[0]}", code=OUT_OF_RANGE)
    if not chosen:
        raise Invalid("kinds", "must name at least one kind", code=OUT_OF_RANGE)
    return [kind for kind in KINDS if kind in chosen]


def checked_types(given: Iterable[str]) -> list[int]:
    """Ids of item types, by their names, each once. Raises Invalid."""
    known = {itemtypes.name_of(kind): kind for kind in ITEM_TYPES}
    chosen = set(given)
    if unknown := sorted(chosen.difference(known)):
        raise Invalid("itemTypes", f"events are not told of {unknown[0]}", code=OUT_OF_RANGE)
    if not chosen:
        raise Invalid("itemTypes", "must name at least one type", code=OUT_OF_RANGE)
    return sorted(known[name] for name in chosen)


def reading_scopes(item_types: Collection[int]) -> list[str]:
    """The scopes that a limited token needs to read things of these types itself."""
    return [f"{itemtypes.BY_ID[kind].path.rpartition('/')[2]}:read" for kind in item_types]


# ---------------------------------------------------------------- document


def document(found: Webhook, missed: dict[str, str] | None, secret: str = "") -> dict[str, Any]:
    """A webhook as the site's owner sees it; `secret` only when it was made just now. `missed`: as cursors."""
    path = f"/api/v1/webhooks/{found.id}"
    data: dict[str, Any] = {"id": found.id, "name": found.name, "url": found.url}
    if secret:
        data["secret"] = secret
    return data | {
        "kinds": found.kinds,
        "itemTypes": [itemtypes.name_of(kind) for kind in found.item_types],
        "actsAs": found.acts_as,
        "documents": found.with_documents,
        "enabled": found.is_enabled,
        "disabledBecause": found.disabled,
        "created": json_fragments.when(found.created),
        "failures": found.failures,
        "failingSince": _when(found.failing_since),
        "pausedUntil": _when(found.parked_until),
        "sent": found.sent_count,
        "lastSent": _when(found.last_sent),
        "lastStatus": found.last_status,
        "lastError": found.last_error,
        "missed": missed,
        "meta": {
            "links": [
                {"rel": "self", "href": path},
                {"rel": "deliveries", "href": f"{path}/deliveries"},
            ]
        },
    }


def _when(moment: datetime.datetime | None) -> str | None:
    return json_fragments.when(moment) if moment is not None else None
