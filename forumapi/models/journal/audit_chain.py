"""Chain of a site's audit entries, each with the hash of the one before; appended after the commit by a reader of the
event log.

The writes of requests take no lock and run no statement for it: the reader finds the rows that they left in
`audit_log`, in the order of the site's event numbers, and appends their hashes here.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.events.event_log import LoggedEvent
from forumapi.itemtypes import ItemRef
from forumapi.models.journal import audit_hash
from forumapi.models.journal.audit_address_hashing import SECRET
from forumapi.models.journal.audit_hash import BASE, ERASED, HEAD, SIGNED, ChainEntry, Head, Keys
from forumapi.models.journal.journal import Author

NAME: Final = "audit"  # of the reader
EXPORTED: Final = "E"  # action: everything that the thing holds was exported
IMPORTED: Final = "I"  # action: a forum was imported into the site

_ITEMS: Final = (
    f"({itemtypes.HUDDLE}, {itemtypes.CONVERSATION}, {itemtypes.POLL}, {itemtypes.EVENT})"
)
_THING: Final = f"""
      LEFT JOIN comments c ON c.site_id = a.site_id
                          AND c.comment_id = CASE WHEN a.item_type_id = {itemtypes.COMMENT} THEN a.item_id
                                                  WHEN e.parent_type_id = {itemtypes.COMMENT} THEN e.parent_id END
      LEFT JOIN items i ON i.site_id = a.site_id
                       AND i.item_id = CASE WHEN c.comment_id IS NOT NULL THEN c.item_id
                                            WHEN a.item_type_id IN {_ITEMS} THEN a.item_id
                                            WHEN e.parent_type_id IN {_ITEMS} THEN e.parent_id END"""

# The hash of an address is keyed: the same while the address is stored and after it was replaced by that hash.
ADDRESS_HASH: Final = """
           coalesce(a.ip_hash,
                    sha256((SELECT k.secret FROM platform_secrets k WHERE k.name = 'audit-addresses')
                           || convert_to(host(a.ip), 'UTF8')))"""

# Columns of _Found. What is in huddles, and how people sign in, is nobody else's business.
_FOUND: Final = f"""
           a.audit_id, a.created, a.action, a.item_type_id, a.item_id,
           coalesce(e.parent_type_id, 0::smallint), coalesce(e.parent_id, 0), coalesce(a.profile_id, 0),
           coalesce((a.detail ->> 'subject')::bigint,
                    CASE WHEN a.item_type_id IN ({itemtypes.PROFILE}, {itemtypes.ATTENDEE}) THEN a.item_id
                         WHEN a.item_type_id = {itemtypes.COMMENT} THEN c.created_by
                         WHEN a.item_type_id IN {_ITEMS} THEN i.created_by
                         WHEN a.item_type_id = {itemtypes.ATTRIBUTE} THEN
                              CASE WHEN e.parent_type_id = {itemtypes.PROFILE} THEN e.parent_id
                                   WHEN e.parent_type_id = {itemtypes.COMMENT} THEN c.created_by
                                   ELSE i.created_by END END, 0),
           a.item_type_id IN ({itemtypes.HUDDLE}, {itemtypes.AUTH})
           OR coalesce(e.parent_type_id, 0) = {itemtypes.HUDDLE} OR coalesce(i.item_type_id, 0) = {itemtypes.HUDDLE},
           coalesce(a.event_id, 0), a.salt, {ADDRESS_HASH}, coalesce(a.detail::text, '')"""

FIND = Query(
    "audit_chain.find",
    f"""
    SELECT s.number, {_FOUND}
      FROM event_sequence s
      JOIN audit_log a ON a.site_id = s.site_id AND a.event_id = s.event_id
      JOIN event_log e ON e.site_id = s.site_id AND e.event_id = s.event_id AND e.created = s.created
      {_THING}
     WHERE s.site_id = %(site_id)s AND s.number >= %(first)s AND s.number <= %(last)s
     ORDER BY s.number, a.audit_id""",
    unrestricted="for the audit, which shows ids of things and nothing in them",
)

HAS_SECRET = Query(
    "audit_chain.has_secret", "SELECT 1 FROM platform_secrets k WHERE k.name = 'audit-addresses'"
)

LOCK = Query(
    "audit_chain.lock",
    "SELECT h.number, h.hash FROM audit_heads h WHERE h.site_id = %(site_id)s FOR UPDATE",
)

BEGIN = Query(
    "audit_chain.begin",
    """
    INSERT INTO audit_heads (site_id, number, hash, base_number, base_hash)
    VALUES (%(site_id)s, 0, %(hash)s, 0, %(hash)s)
        ON CONFLICT DO NOTHING""",
)

APPEND = Query(
    "audit_chain.append",
    """
    WITH moved AS (
        UPDATE audit_heads h SET number = %(head)s, hash = %(hash)s WHERE h.site_id = %(site_id)s)
    INSERT INTO audit_entries (site_id, number, event_number, audit_id, created, action, item_type_id, item_id,
                               parent_type_id, parent_id, actor_id, subject_id, is_private, detail_hash, hash,
                               signature)
    SELECT %(site_id)s, n.number, n.event_number, nullif(n.audit_id, 0), n.created, n.action, n.item_type, n.item_id,
           n.parent_type, n.parent_id, n.actor_id, n.subject_id, n.is_private, n.detail_hash, n.hash,
           %(signature)s::bytea
      FROM unnest(%(numbers)s::bigint[], %(event_numbers)s::bigint[], %(audit_ids)s::bigint[],
                  %(times)s::timestamptz[], %(actions)s::text[], %(item_types)s::smallint[], %(item_ids)s::bigint[],
                  %(parent_types)s::smallint[], %(parent_ids)s::bigint[], %(actor_ids)s::bigint[],
                  %(subject_ids)s::bigint[], %(privates)s::boolean[], %(detail_hashes)s::bytea[], %(hashes)s::bytea[])
           AS n (number, event_number, audit_id, created, action, item_type, item_id, parent_type, parent_id, actor_id,
                 subject_id, is_private, detail_hash, hash)
     ORDER BY n.number""",
)


class _Found(NamedTuple):
    """Row of `audit_log`, with the values that the chain keeps of it. `event_id`: id of its event in the table
    `event_log`, `event_number`: the event's number in the site's sequence; both 0: no event belongs to the row. `salt`,
    `address_hash` and `detail` are arguments of audit_hash.detail_hash; all others mean what they mean in ChainEntry.
    """

    event_number: int
    audit_id: int
    created: datetime.datetime
    action: str
    item_type: int
    item_id: int
    parent_type: int
    parent_id: int
    actor_id: int
    subject_id: int
    is_private: bool
    event_id: int
    salt: bytes | None
    address_hash: bytes | None
    detail: str

    @property
    def detail_hash(self) -> bytes:
        return audit_hash.detail_hash(self.salt, self.event_id, self.address_hash, self.detail)


def work(tx: Transaction, site_id: int, events: Sequence[LoggedEvent]) -> None:
    """Append an entry for each row of the audit that belongs to these consecutive events to the site's chain, in their
    order; an event without such a row gets none. Called by the reader of the event log, in its transaction.
    """
    if events:
        _secret(tx)
        # Before the rows are read: an erasure, which changes rows that have no entry yet, holds the head too.
        head = lock(tx, site_id)
        rows = tx.rows(FIND, site_id=site_id, first=events[0].number, last=events[-1].number)
        append(tx, head, [_Found(*row) for row in rows], site_id)


def _secret(tx: Transaction) -> None:
    if tx.row(HAS_SECRET) is None:
        tx.value(SECRET, secret=secrets.token_bytes(32))


def append(tx: Transaction, head: tuple[int, bytes], found: Sequence[_Found], site_id: int) -> None:
    """Append an entry for each row `found` to the site's chain, in that order. `head`: result of `lock`, in the same
    transaction.
    """
    if not found:
        return
    number, hash = head
    entries = [
        ChainEntry(
            site_id,
            number + place,
            one.event_number,
            one.audit_id,
            one.created,
            one.action,
            one.item_type,
            one.item_id,
            one.parent_type,
            one.parent_id,
            one.actor_id,
            one.subject_id,
            one.is_private,
            one.detail_hash,
        )
        for place, one in enumerate(found, 1)
    ]
    _store(tx, hash, entries)


def lock(tx: Transaction, site_id: int) -> tuple[int, bytes]:
    """Lock the head of the site's chain until the transaction ends, beginning a chain if there is none; return the
    number and hash of its last entry, 0 and audit_hash.genesis for a chain without any.
    """
    row = tx.row(LOCK, site_id=site_id)
    if row is None:
        tx.run(BEGIN, site_id=site_id, hash=audit_hash.genesis(site_id))
        row = tx.row(LOCK, site_id=site_id)
        assert row is not None  # heads are not deleted
    return int(row[0]), bytes(row[1])


def _store(
    tx: Transaction, before: bytes, entries: Sequence[ChainEntry], keys: Keys | None = None
) -> Head | None:
    """Append these entries, at least one, of which the first follows the entry with the hash `before`, to their site's
    chain. With `keys`, sign the last one and return it as a head; else return None.
    """
    hashes = []
    for entry in entries:
        before = audit_hash.entry_hash(before, entry)
        hashes.append(before)
    last = entries[-1]
    signature = None
    if keys is not None:
        signature = keys.sign(HEAD, last.site_id, last.number, last.created, before)
    tx.run(
        APPEND,
        site_id=last.site_id,
        head=last.number,
        hash=before,
        signature=signature,
        numbers=[entry.number for entry in entries],
        event_numbers=[entry.event_number for entry in entries],
        audit_ids=[entry.audit_id for entry in entries],
        times=[entry.created for entry in entries],
        actions=[entry.action for entry in entries],
        item_types=[entry.item_type for entry in entries],
        item_ids=[entry.item_id for entry in entries],
        parent_types=[entry.parent_type for entry in entries],
        parent_ids=[entry.parent_id for entry in entries],
        actor_ids=[entry.actor_id for entry in entries],
        subject_ids=[entry.subject_id for entry in entries],
        privates=[entry.is_private for entry in entries],
        detail_hashes=[entry.detail_hash for entry in entries],
        hashes=hashes,
    )
    return Head(last.site_id, last.number, last.created, before, signature) if signature else None


# ---------------------------------------------------------------- signatures

UNSIGNED = Query(
    "audit_chain.unsigned",
    f"""
    SELECT h.site_id
      FROM audit_heads h
      JOIN audit_entries e ON e.site_id = h.site_id AND e.number = h.number
     WHERE e.action <> '{SIGNED}'
     ORDER BY h.site_id""",
    scope=PLATFORM,
)

NOW = Query("audit_chain.now", "SELECT clock_timestamp()")


def unsigned(tx: Reader) -> list[int]:
    """Return the ids of sites whose chain has entries after its last signed one, in ascending order."""
    return [row[0] for row in tx.rows(UNSIGNED)]


def sign(tx: Transaction, site_id: int, keys: Keys) -> Head:
    """Append a signed entry to the site's chain and return it as a head, which the caller writes to the program's log,
    outside the database.
    """
    number, hash = lock(tx, site_id)
    now = tx.value(NOW)
    entry = ChainEntry(
        *(site_id, number + 1, 0, 0, now, SIGNED, itemtypes.SITE, site_id, 0, 0, 0, 0, False),
        audit_hash.NO_DETAIL,
    )
    head = _store(tx, hash, [entry], keys)
    assert head is not None  # there are keys
    return head


# ---------------------------------------------------------------- what no event tells

RECORD = Query(
    "audit_chain.record",
    """
    INSERT INTO audit_log (site_id, item_type_id, item_id, profile_id, action, ip, event_id, detail)
    VALUES (%(site_id)s, %(item_type)s, %(item_id)s, %(actor)s, %(action)s, %(ip)s::inet, 0, %(detail)s::jsonb)
 RETURNING audit_id""",
)

RECORDED = Query(
    "audit_chain.recorded",
    f"""
    SELECT a.created, a.salt, {ADDRESS_HASH}, coalesce(a.detail::text, '')
      FROM audit_log a
     WHERE a.site_id = %(site_id)s AND a.audit_id = %(audit_id)s""",
)


def record(
    tx: Transaction,
    author: Author,
    action: str,
    ref: ItemRef,
    *,
    subject_id: int = 0,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Record that the author did `action`, a key of audit_page.ACTIONS, to the thing `ref`, where no event tells of it,
    as of an export: store a row of the audit, and its entry in the chain at once. `subject_id`: profile that the action
    concerned, 0 for none; `detail`: keys of audit_detail_encoding.py.

    The head of the site's chain stays locked until the transaction ends: take no other lock afterwards.
    """
    _secret(tx)
    head = lock(tx, author.site_id)
    audit_id = tx.value(
        RECORD,
        site_id=author.site_id,
        item_type=ref.type,
        item_id=ref.id,
        actor=author.profile_id or None,
        # The row of an erasure says that something was deleted; its entry says what (ERASED).
        action="D" if action == ERASED else action,
        ip=author.ip or None,
        detail=author.encoded_detail(detail),
    )
    row = tx.row(RECORDED, site_id=author.site_id, audit_id=audit_id)
    assert row is not None  # it was inserted
    created, *rest = row
    found = _Found(
        *(0, int(audit_id), created, action, ref.type, ref.id, 0, 0, author.profile_id),
        *(subject_id, False, 0, *rest),
    )
    append(tx, head, [found], author.site_id)


# ---------------------------------------------------------------- rows without an event

# Rows from before the chain, and of the release before while it was still running beside this one.
LATE = Query(
    "audit_chain.late",
    """
    SELECT DISTINCT a.site_id
      FROM audit_log a
      JOIN schema_migrations m ON m.name LIKE '0063\\_%%' AND a.created < m.applied + interval '1 hour'
                              AND now() < m.applied + interval '7 days'
     WHERE a.event_id IS NULL
     ORDER BY a.site_id""",
    scope=PLATFORM,
)

ADOPT = Query(
    "audit_chain.adopt",
    """
    UPDATE audit_log a
       SET event_id = 0, salt = coalesce(a.salt, uuid_send(gen_random_uuid()))
     WHERE a.site_id = %(site_id)s
       AND a.audit_id IN (SELECT o.audit_id
                            FROM audit_log o
                           WHERE o.site_id = %(site_id)s AND o.event_id IS NULL
                             AND NOT EXISTS (SELECT FROM audit_entries x
                                              WHERE x.site_id = o.site_id AND x.audit_id = o.audit_id)
                           ORDER BY o.audit_id
                           LIMIT %(most)s)
 RETURNING a.audit_id""",
)

ADOPTED = Query(
    "audit_chain.adopted",
    f"""
    SELECT 0::bigint, {_FOUND}
      FROM audit_log a
      LEFT JOIN event_log e ON e.site_id = a.site_id AND e.event_id = a.event_id
      {_THING}
     WHERE a.site_id = %(site_id)s AND a.audit_id = ANY(%(ids)s::bigint[])
     ORDER BY a.audit_id""",
    unrestricted="for the audit, which shows ids of things and nothing in them",
)


def adopt(tx: Transaction, most: int) -> int:
    """Append, to the chains of their sites, entries for up to `most` rows of the audit, of all sites, that have none
    since they are older than the chain; return the number of these rows. Later than a week after the migration that
    made the chain, do nothing and return 0.
    """
    total = 0
    for (site_id,) in tx.rows(LATE):
        _secret(tx)
        head = lock(tx, site_id)
        ids = [row[0] for row in tx.rows(ADOPT, site_id=site_id, most=most - total)]
        rows = tx.rows(ADOPTED, site_id=site_id, ids=ids)
        append(tx, head, [_Found(*row) for row in rows], site_id)
        total += len(rows)
        if total >= most:
            break
    return total


# ---------------------------------------------------------------- retention and erasure

AGED = Query(
    "audit_chain.aged",
    """
    SELECT h.site_id
      FROM audit_heads h
     WHERE EXISTS (SELECT 1 FROM audit_entries e
                    WHERE e.site_id = h.site_id AND e.number = h.base_number + 1
                      AND e.created < now() - make_interval(days => %(days)s))
     ORDER BY h.site_id""",
    scope=PLATFORM,
)

# The first `most` entries, or as many as have none before them that is to be kept.
LAST_AGED = Query(
    "audit_chain.last_aged",
    """
    WITH head AS (SELECT h.base_number FROM audit_heads h WHERE h.site_id = %(site_id)s),
    oldest AS (
        SELECT e.number, e.hash, e.created < now() - make_interval(days => %(days)s) AS is_aged
          FROM audit_entries e, head
         WHERE e.site_id = %(site_id)s AND e.number > head.base_number AND e.number <= head.base_number + %(most)s)
    SELECT s.number, s.hash
      FROM oldest s
     WHERE s.number < coalesce((SELECT min(k.number) FROM oldest k WHERE NOT k.is_aged), 9223372036854775807)
     ORDER BY s.number DESC
     LIMIT 1""",
)

FORGET = Query(
    "audit_chain.forget",
    """
    WITH gone AS (
        DELETE FROM audit_entries e
         WHERE e.site_id = %(site_id)s AND e.number <= %(number)s
     RETURNING e.audit_id),
    details AS (
        DELETE FROM audit_log a
         USING gone g
         WHERE a.site_id = %(site_id)s AND a.audit_id = g.audit_id),
    moved AS (
        UPDATE audit_heads h
           SET base_number = %(number)s, base_hash = %(hash)s, base_created = %(created)s,
               base_signature = %(signature)s
         WHERE h.site_id = %(site_id)s)
    SELECT count(*) FROM gone""",
)


def aged(tx: Reader, days: int) -> list[int]:
    """Return the ids of sites whose first entry in the chain is older than `days`, in ascending order."""
    return [row[0] for row in tx.rows(AGED, days=days)]


def forget(tx: Transaction, site_id: int, days: int, keys: Keys, most: int) -> int:
    """Delete the oldest entries of the site's chain that are older than `days`, `most` at most, with their rows in
    `audit_log`; return the number of entries.

    A checkpoint, signed with `keys`, takes the place of the last one deleted.
    """
    lock(tx, site_id)
    row = tx.row(LAST_AGED, site_id=site_id, days=days, most=most)
    if row is None:
        return 0
    number, hash = int(row[0]), bytes(row[1])
    now = tx.value(NOW)
    deleted = tx.value(
        FORGET,
        site_id=site_id,
        number=number,
        hash=hash,
        created=now,
        signature=keys.sign(BASE, site_id, number, now, hash),
    )
    return int(deleted or 0)


ERASE = Query(
    "audit_chain.erase",
    f"""
    DELETE FROM audit_log a
     USING audit_entries e
     WHERE e.site_id = %(site_id)s AND a.site_id = %(site_id)s AND a.audit_id = e.audit_id AND e.number < %(number)s
       AND (e.actor_id = %(profile_id)s OR e.subject_id = %(profile_id)s) AND e.action <> '{ERASED}'""",
)


def erase(tx: Transaction, author: Author, profile_id: int, reason: str = "") -> int:
    """Delete the rows of `audit_log`, on the author's site, by or about the profile `profile_id`, since they hold
    client addresses and texts; return the number of deleted rows. Rows that record such a deletion stay, and so do rows
    that have no entry in the chain yet.

    No entry of the chain is deleted, so that the chain stays valid, and an entry is appended that says that `author`
    deleted these rows, with `reason`. Locks the head of the site's chain until the transaction ends.
    """
    site_id = author.site_id
    number, _ = lock(tx, site_id)
    ref = ItemRef(itemtypes.PROFILE, profile_id)
    record(tx, author, ERASED, ref, subject_id=profile_id, detail={"reason": reason})
    return tx.run(ERASE, site_id=site_id, profile_id=profile_id, number=number + 1)
