"""Check of the audit's chains: finds changed, inserted and deleted entries, a cut tail, and a chain computed anew.

The check can't find a row that was forged before its event was read, and so never came into the chain unforged.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from forumapi.database.connections import Connection
from forumapi.database.query import PLATFORM, Query, Row
from forumapi.models.journal import audit_chain, audit_hash
from forumapi.models.journal.audit_hash import BASE, ERASED, HEAD, SIGNED, ChainEntry, Head, Keys

BATCH: Final = 2_000
# Faults of a site that are listed; a recomputed chain has one in each entry.
MOST_FAULTS: Final = 20
# Time limit of a statement.
_LIMIT_S: Final = 600.0

# Whatever one of the tables knows: a head may be what was deleted.
SITES = Query(
    "audit_check.sites",
    """
    SELECT h.site_id FROM audit_heads h
     UNION
    SELECT e.site_id FROM audit_entries e
     UNION
    SELECT a.site_id FROM audit_log a
     ORDER BY 1""",
    scope=PLATFORM,
)

HEAD_ROW = Query(
    "audit_check.head_row",
    """
    SELECT h.number, h.hash, h.base_number, h.base_hash, h.base_created, h.base_signature
      FROM audit_heads h
     WHERE h.site_id = %(site_id)s""",
)

ENTRIES = Query(
    "audit_check.entries",
    f"""
    SELECT e.number, e.event_number, coalesce(e.audit_id, 0), e.created, e.action, e.item_type_id, e.item_id,
           e.parent_type_id, e.parent_id, e.actor_id, e.subject_id, e.is_private, e.detail_hash, e.hash, e.signature,
           a.audit_id IS NOT NULL,
           (a.created, a.action, a.item_type_id, a.item_id, coalesce(a.profile_id, 0))
               IS NOT DISTINCT FROM (e.created, CASE e.action WHEN '{ERASED}' THEN 'D' ELSE e.action END,
                                     e.item_type_id, e.item_id, e.actor_id),
           coalesce(a.event_id, -1), a.salt, {audit_chain.ADDRESS_HASH}, coalesce(a.detail::text, ''),
           a.ip IS NOT NULL AND (a.ip_hash IS NOT NULL OR a.ip <> host(a.ip)::inet)
      FROM audit_entries e
      LEFT JOIN audit_log a ON a.site_id = e.site_id AND a.audit_id = e.audit_id
     WHERE e.site_id = %(site_id)s AND e.number > %(after)s
     ORDER BY e.number
     LIMIT %(limit)s""",
)

ERASURES = Query(
    "audit_check.erasures",
    f"""
    SELECT e.item_id, max(e.number)
      FROM audit_entries e
     WHERE e.site_id = %(site_id)s AND e.action = '{ERASED}'
     GROUP BY e.item_id""",
)

# Rows without an entry, but for those whose event waits for its number or its reader.
LOOSE = Query(
    "audit_check.loose",
    f"""
    SELECT a.audit_id
      FROM audit_log a
     WHERE a.site_id = %(site_id)s
       AND NOT EXISTS (SELECT 1 FROM audit_entries e WHERE e.site_id = a.site_id AND e.audit_id = a.audit_id)
       AND NOT (EXISTS (SELECT 1 FROM event_log v WHERE v.site_id = a.site_id AND v.event_id = a.event_id)
                AND NOT EXISTS (SELECT 1 FROM event_sequence s
                                  JOIN event_cursors c ON c.site_id = s.site_id AND c.reader = '{audit_chain.NAME}'
                                                      AND c.number >= s.number
                                 WHERE s.site_id = a.site_id AND s.event_id = a.event_id))
     ORDER BY a.audit_id
     LIMIT %(limit)s""",
)


class SiteCheck(NamedTuple):
    """Outcome of the check of one site's chain. `entries`: number of its entries; `first` and `last`: numbers of the
    first and last entry (without entries 0, and the number of the last one that retention deleted); `signed`: the last
    signed entry as a head, in the form that the program's log has, "" if none is signed by a known key; `faults`: one
    sentence for each of the first MOST_FAULTS, [] for a sound chain.
    """

    site_id: int
    entries: int
    first: int
    last: int
    signed: str
    faults: list[str]


class Rows(Protocol):
    """Source of rows: a transaction, or a Snapshot."""

    def rows(self, query: Query, **params: object) -> list[Row]:
        """Return all rows of `query`, in its order."""


class Snapshot:
    """Connection of its own, to the database at `url`, whose statements all see the database as it was at the first of
    them.
    """

    def __init__(self, url: str) -> None:
        self._connection = Connection(url, prepare=False, timeout_s=_LIMIT_S)
        self._connection.command(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def rows(self, query: Query, **params: object) -> list[Row]:
        """Return all rows of `query`, in its order. Raises psycopg.Error if the database refuses it or is gone."""
        return self._connection.execute(query, params)[0]

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def sites(tx: Rows) -> list[int]:
    """Return the ids of all sites with an audit, deleted sites too, in ascending order."""
    return [row[0] for row in tx.rows(SITES)]


def check(tx: Rows, site_id: int, keys: Keys, heads: list[Head]) -> SiteCheck:
    """Check the chain of a site, and compare it with those of `heads` that are of this site: signed heads from the
    program's log; return the outcome. Nothing is written. While others write, `tx` must be a Snapshot.
    """
    return _Check(tx, site_id, keys, heads).run()


class _Check:
    def __init__(self, tx: Rows, site_id: int, keys: Keys, heads: list[Head]) -> None:
        self._tx = tx
        self._site_id = site_id
        self._keys = keys
        self._heads = {head.number: head for head in heads if head.site_id == site_id}
        self._faults: list[str] = []
        self._signed: Head | None = None
        self._erased: dict[int, int] = {}

    def run(self) -> SiteCheck:
        row = next(iter(self._tx.rows(HEAD_ROW, site_id=self._site_id)), None)
        if row is None:
            self._fault("there is no head")
            row = (0, b"", 0, audit_hash.genesis(self._site_id), None, None)
        number, hash, base_number, base_hash, base_created, base_signature = row
        self._check_base(base_number, bytes(base_hash), base_created, base_signature)
        self._erased = dict(self._tx.rows(ERASURES, site_id=self._site_id))
        count, last, before = 0, int(base_number), bytes(base_hash)
        for row in self._rows():
            last, before = self._check_entry(row, last, before)
            count += 1
        if (last, before) != (int(number), bytes(hash)):
            self._fault(f"the head is entry {number}, and the last one there is {last}")
        for head in self._heads.values():
            self._check_head(head, last)
        for (audit_id,) in self._tx.rows(LOOSE, site_id=self._site_id, limit=MOST_FAULTS):
            self._fault(f"row {audit_id} has no entry")
        first = last - count + 1 if count else 0
        signed = str(self._signed or "")
        return SiteCheck(self._site_id, count, first, last, signed, self._faults)

    def _fault(self, text: str) -> None:
        if len(self._faults) < MOST_FAULTS:
            self._faults.append(text)

    def _rows(self) -> Iterator[Row]:
        after = -(2**62)
        while True:
            rows = self._tx.rows(ENTRIES, site_id=self._site_id, after=after, limit=BATCH)
            yield from rows
            if len(rows) < BATCH:
                return
            after = rows[-1][0]

    def _check_base(
        self, number: int, hash: bytes, created: datetime.datetime | None, signature: bytes | None
    ) -> None:
        if number == 0 and created is None and signature is None:
            if hash != audit_hash.genesis(self._site_id):
                self._fault("the checkpoint is not the beginning of this site's chain")
        elif (
            created is None
            or signature is None
            or not self._keys.signed(BASE, self._site_id, number, created, hash, bytes(signature))
        ):
            self._fault(
                f"the checkpoint at entry {number} is not signed by a key of these settings"
            )

    def _check_entry(self, row: Row, last: int, before: bytes) -> tuple[int, bytes]:
        """Check one entry against the number `last` and hash `before` of the previous one, and add its faults to the
        outcome; return its number and its stored hash, faulty or not.
        """
        number, stored, signature = int(row[0]), bytes(row[13]), row[14]
        entry = ChainEntry._make((self._site_id, *row[:12], bytes(row[12])))
        if number != last + 1:
            self._fault(f"entries {last + 1} to {number - 1} are missing")
        elif audit_hash.entry_hash(before, entry) != stored:
            self._fault(f"entry {number} was changed")
        if entry.action == SIGNED:
            self._check_signature(entry, stored, signature)
        elif signature is not None:
            self._fault(f"entry {number} has a signature")
        else:
            self._check_detail(entry, row)
        head = self._heads.get(number)
        if head is not None and (head.hash, head.created) != (stored, entry.created):
            self._fault(f"entry {number} is not the one that was signed: the chain was made anew")
        return number, stored

    def _check_signature(self, entry: ChainEntry, hash: bytes, signature: bytes | None) -> None:
        if signature is None or not self._keys.signed(
            HEAD, self._site_id, entry.number, entry.created, hash, bytes(signature)
        ):
            self._fault(f"entry {entry.number} is not signed by a key of these settings")
        else:
            self._signed = Head(self._site_id, entry.number, entry.created, hash, bytes(signature))

    def _check_detail(self, entry: ChainEntry, row: Row) -> None:
        is_there, is_same, event_id, salt, address_hash, detail, is_odd = row[15:22]
        is_erased = entry.action != ERASED and any(
            self._erased.get(id, 0) > entry.number
            for id in (entry.actor_id, entry.subject_id)
            if id
        )
        if not is_there:
            if not is_erased:
                self._fault(f"the details of entry {entry.number} are missing")
        elif is_erased:
            self._fault(f"the details of entry {entry.number} were to be erased")
        elif (
            not is_same
            or is_odd
            or audit_hash.detail_hash(salt, event_id, address_hash, detail) != entry.detail_hash
        ):
            self._fault(f"the details of entry {entry.number} were changed")

    def _check_head(self, head: Head, last: int) -> None:
        if not self._keys.signed(
            HEAD, head.site_id, head.number, head.created, head.hash, head.signature
        ):
            self._fault(f"the head {head.number} is not signed by a key of these settings")
        elif head.number > last:
            self._fault(f"the chain ends at entry {last}, before the signed head {head.number}")
