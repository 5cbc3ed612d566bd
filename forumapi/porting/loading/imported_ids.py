"""Sources of imports, our ids for each source's old ids, and what was left out of an import with its reason."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query, Row
from forumapi.porting.layout import Board, PortedAlias, Unreadable
from forumapi.porting.loading import value_cleaning

LOCK = Query(
    "imported_ids.lock",
    "SELECT pg_advisory_xact_lock(hashtextextended('import:' || %(site_id)s::bigint::text, 0))",
)
FIND = Query(
    "imported_ids.find",
    """
    SELECT i.item_type_id, i.old_id, i.item_id, coalesce(i.detail, ''), coalesce(i.written, '')
      FROM unnest(%(types)s::smallint[], %(old_ids)s::text[]) AS n (item_type_id, old_id)
      JOIN imported_items i ON i.site_id = %(site_id)s AND i.origin_id = %(origin_id)s
                           AND i.item_type_id = n.item_type_id AND i.old_id = n.old_id""",
)
ALL_OF_TYPE = Query(
    "imported_ids.all_of_type",
    """
    SELECT i.old_id, i.item_id, coalesce(i.detail, '')
      FROM imported_items i
     WHERE i.site_id = %(site_id)s AND i.origin_id = %(origin_id)s AND i.item_type_id = %(type)s
     ORDER BY i.old_id""",
    unrestricted="for the operator who imports them",
)
INSERT = Query(
    "imported_ids.insert",
    """
    INSERT INTO imported_items (site_id, origin_id, item_type_id, old_id, item_id, detail, written)
    SELECT %(site_id)s, %(origin_id)s, r.type, r.old_id, r.id, nullif(r.detail, ''), r.written
      FROM json_to_recordset(%(rows)s::json) AS r (type smallint, old_id text, id bigint, detail text, written text)
        ON CONFLICT (site_id, origin_id, item_type_id, old_id) DO NOTHING""",
)
# Digests that no earlier run has stored.
MARK = Query(
    "imported_ids.mark",
    """
    INSERT INTO import_marks (site_id, origin_id, digest)
    SELECT %(site_id)s, %(origin_id)s, n.digest
      FROM unnest(%(digests)s::uuid[]) AS n (digest)
     ORDER BY n.digest
        ON CONFLICT (site_id, origin_id, digest) DO NOTHING
 RETURNING digest::text""",
)
UNMARK = Query(
    "imported_ids.unmark",
    "DELETE FROM import_marks m WHERE m.site_id = %(site_id)s AND m.origin_id = %(origin_id)s",
)
ALLOCATE = Query(
    "imported_ids.allocate",
    "SELECT nextval(%(sequence)s::text::regclass) FROM generate_series(1, %(count)s::int)",
)
LEAVE_OUT = Query(
    "imported_ids.leave_out",
    """
    INSERT INTO import_leftouts (site_id, origin_id, kind, old_id, reason)
    SELECT %(site_id)s, %(origin_id)s, r.kind, r.old_id, r.reason
      FROM (SELECT DISTINCT ON (x.kind, x.old_id) x.kind, x.old_id, x.reason
              FROM json_to_recordset(%(rows)s::json) AS x (kind text, old_id text, reason text)) AS r
        ON CONFLICT (site_id, origin_id, kind, old_id) DO UPDATE SET reason = EXCLUDED.reason""",
)
# What came in after all, in a later run.
TAKE_IN = Query(
    "imported_ids.take_in",
    """
    DELETE FROM import_leftouts l
     WHERE l.site_id = %(site_id)s AND l.origin_id = %(origin_id)s AND l.kind = %(kind)s
       AND l.old_id = ANY(%(old_ids)s::text[])""",
)
LEFT_OUT = Query(
    "imported_ids.left_out",
    """
    SELECT l.kind, l.old_id, l.reason
      FROM import_leftouts l
     WHERE l.site_id = %(site_id)s AND l.origin_id = %(origin_id)s
     ORDER BY l.kind, length(l.old_id), l.old_id""",
)

FIND_ORIGIN = Query(
    "imported_ids.find_origin",
    """
    SELECT o.origin_id, o.product, o.is_resolved, o.stage, o.addresses
      FROM import_origins o
     WHERE o.site_id = %(site_id)s AND o.title = %(title)s""",
)
ORIGINS = Query(
    "imported_ids.origins",
    """
    SELECT o.title, o.product, o.product_version, o.is_resolved, o.stage, o.created, o.finished
      FROM import_origins o
     WHERE o.site_id = %(site_id)s
     ORDER BY o.origin_id""",
)
INSERT_ORIGIN = Query(
    "imported_ids.insert_origin",
    """
    INSERT INTO import_origins (site_id, title, product, product_version, is_resolved, addresses, stage)
    VALUES (%(site_id)s, %(title)s, %(product)s, %(version)s, false, %(addresses)s::text[], 'profiles')
        ON CONFLICT (site_id, title) DO NOTHING
 RETURNING origin_id""",
)
SET_STAGE = Query(
    "imported_ids.set_stage",
    """
    UPDATE import_origins o
       SET stage = %(stage)s, finished = CASE WHEN %(stage)s = 'done' THEN now() END
     WHERE o.site_id = %(site_id)s AND o.origin_id = %(origin_id)s""",
)
SWITCH = Query(
    "imported_ids.switch",
    """
    UPDATE import_origins o
       SET is_resolved = %(is_resolved)s
     WHERE o.site_id = %(site_id)s AND o.origin_id = %(origin_id)s""",
)

T = TypeVar("T")

# Types under which things of a layout's kind may be stored; the first that is found counts.
TYPES: Final[Mapping[str, tuple[int, ...]]] = {
    "site": (itemtypes.SITE,),
    "profile": (itemtypes.PROFILE,),
    "role": (itemtypes.ROLE,),
    "forum": (itemtypes.MICROCOSM,),
    "conversation": (itemtypes.CONVERSATION, itemtypes.EVENT),
    "event": (itemtypes.EVENT, itemtypes.CONVERSATION),
    "poll": (itemtypes.POLL,),
    "comment": (itemtypes.COMMENT,),
    "message": (itemtypes.HUDDLE,),
    "attachment": (itemtypes.ATTACHMENT,),
}


class ImportedThing(NamedTuple):
    """Thing that came with an import: type and id here. `detail`: what the thing's row notes, such as the file of an
    attachment or the comment of a message, "" for nothing; `written`: note of what the last run wrote of a comment, ""
    for other types.
    """

    type: int
    id: int
    detail: str = ""
    # Of a comment: note of what the run before wrote (comments.written_note); "" for other types.
    written: str = ""


class Origin(NamedTuple):
    """Source of an import into one site, a row of `import_origins`; its methods keep the ids of what came from it.
    `is_resolved`: old addresses lead to what came; `stage`: how far the import is: the stream that is loaded, "links",
    "files", "counters", "done" or "undoing"; `addresses`: those that the forum had.
    """

    site_id: int
    id: int
    product: str
    is_resolved: bool
    stage: str
    addresses: tuple[str, ...]

    @classmethod
    def find(cls, tx: Reader, site_id: int, title: str) -> Origin | None:
        """Return the site's import with this title; None if there is none."""
        row = tx.row(FIND_ORIGIN, site_id=site_id, title=title)
        if row is None:
            return None
        origin_id, product, is_resolved, stage, addresses = row
        return cls(site_id, origin_id, product, is_resolved, stage, tuple(addresses))

    @classmethod
    def find_or_create(cls, tx: Transaction, site_id: int, title: str, board: Board) -> Origin:
        """Return the site's import with this title; if there is none, insert it first, with the product and addresses
        that `board` names. An import that exists stays as it is, whatever `board` names.
        """
        tx.run(
            INSERT_ORIGIN,
            site_id=site_id,
            title=title,
            product=board.product,
            version=board.product_version,
            addresses=list(board.addresses),
        )
        found = cls.find(tx, site_id, title)
        assert found is not None, "it was just inserted"
        return found

    def unknown(self, addresses: Iterable[str]) -> str:
        """Return the first of `addresses` that the import was not begun with, "" for none; links to it stay as they
        are.
        """
        return next((one for one in addresses if one not in self.addresses), "")

    def lock(self, tx: Transaction) -> None:
        """Lock the site against other imports into it until the transaction ends; wait while another transaction holds
        the lock.
        """
        tx.rows(LOCK, site_id=self.site_id)

    def set_stage(self, tx: Transaction, stage: str) -> None:
        """Store the name of the stage that the import is in: a stream, "links", "files", "counters", "done" or
        "undoing"; with "done" also the time of the end, which another stage clears.
        """
        tx.run(SET_STAGE, site_id=self.site_id, origin_id=self.id, stage=stage)

    def switch(self, tx: Transaction, *, on: bool) -> None:
        """Switch the redirects from old addresses to what was imported on, or off if `on` is False."""
        tx.run(SWITCH, site_id=self.site_id, origin_id=self.id, is_resolved=on)

    def erased_id(self, old_id: str) -> str:
        """Return the old id under which the profile with this old id, a text, is kept once its person is erased
        (models/privacy/erasure_steps.py): SHA-256 in hexadecimal of site, source and id; a number stays as it is.
        """
        stored = value_cleaning.old_id(old_id)
        if stored.isascii() and stored.isdigit():
            return stored
        return hashlib.sha256(f"{self.site_id}:{self.id}:{stored}".encode()).hexdigest()

    def find_items(
        self, tx: Reader, wanted: Iterable[tuple[str, str]]
    ) -> dict[tuple[str, str], ImportedThing]:
        """Find imported things by kind (of TYPES, such as "forum") and old id, in one statement. Return the things by
        the same kind and old id; what has not come is missing. A conversation is also found as an event and the
        reverse, an erased profile by the id that its person had. Raises KeyError for another kind.
        """
        asked: dict[tuple[int, str], list[tuple[str, str]]] = {}
        for kind, id in set(wanted):
            for item_type in TYPES[kind]:
                asked.setdefault((item_type, value_cleaning.old_id(id)), []).append((kind, id))
            if kind == "profile" and (erased := self.erased_id(id)) != id:
                asked.setdefault((itemtypes.PROFILE, erased), []).append((kind, id))
        if not asked:
            return {}
        rows = tx.rows(
            FIND,
            site_id=self.site_id,
            origin_id=self.id,
            types=[item_type for item_type, _ in asked],
            old_ids=[id for _, id in asked],
        )
        stored = {(row[0], row[1]): ImportedThing(row[0], row[2], row[3], row[4]) for row in rows}
        found: dict[tuple[str, str], ImportedThing] = {}
        for key, names in asked.items():
            if key in stored:
                for name in names:
                    first = found.get(name)
                    types = TYPES[name[0]]
                    if first is None or types.index(key[0]) < types.index(first.type):
                        found[name] = stored[key]
        return found

    def all_of(self, tx: Reader, item_type: int) -> dict[str, ImportedThing]:
        """Return all imported things of one type (`itemtypes`) by old id as it is stored (`value_cleaning.old_id`),
        without `written`; for types of which there are few enough for memory.
        """
        rows = tx.rows(ALL_OF_TYPE, site_id=self.site_id, origin_id=self.id, type=item_type)
        return {row[0]: ImportedThing(item_type, row[1], row[2]) for row in rows}

    def remember(
        self,
        tx: Transaction,
        rows: Collection[tuple[int, str, int, str]],
        written: Mapping[str, str] | None = None,
    ) -> None:
        """Insert the ids of things that came, each row: type, old id, id here, detail; an old id that is known keeps
        its row. `written`: notes of what was written of comments, by old id.
        """
        notes = written or {}
        self.run(
            tx,
            INSERT,
            [
                {
                    "type": type,
                    "old_id": value_cleaning.old_id(old),
                    "id": id,
                    "detail": detail,
                    "written": notes.get(old),
                }
                for type, old, id, detail in rows
            ],
        )

    def unwritten(self, tx: Transaction, rows: Sequence[tuple[Sequence[object], T]]) -> list[T]:
        """Return, in order, those rows that no earlier run has written, and note in the database that this run writes
        them. Each is given as a pair: what tells the row apart (its kind, old ids and values), and the row. Of pairs
        with equal first members the first counts.
        """
        keyed: dict[str, T] = {}
        for parts, row in rows:
            digest = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]
            keyed.setdefault(str(uuid.UUID(digest)), row)
        if not keyed:
            return []
        new = {
            row[0]
            for row in tx.rows(MARK, site_id=self.site_id, origin_id=self.id, digests=list(keyed))
        }
        return [row for digest, row in keyed.items() if digest in new]

    def forget_written(self, tx: Transaction) -> None:
        """Delete the marks that `unwritten` set, so that the next run writes the rows of earlier runs again."""
        tx.run(UNMARK, site_id=self.site_id, origin_id=self.id)

    def leave_out(self, tx: Transaction, rows: Collection[Unreadable]) -> None:
        """Store which documents were left out, with the reasons, cut to 500 characters; a later reason replaces an
        earlier one.
        """
        self.run(
            tx,
            LEAVE_OUT,
            [
                {
                    "kind": row.kind,
                    "old_id": value_cleaning.old_id(row.id),
                    "reason": value_cleaning.plain(row.reason)[:500],
                }
                for row in rows
            ],
        )

    def take_in(self, tx: Transaction, kind: str, ids: Collection[str]) -> None:
        """Delete from the list of left-out documents those that were imported after all. `kind`: of the documents, such
        as "comment"; `ids`: their old ids.
        """
        if ids:
            tx.run(
                TAKE_IN,
                site_id=self.site_id,
                origin_id=self.id,
                kind=kind,
                old_ids=[value_cleaning.old_id(id) for id in ids],
            )

    def left_out(self, tx: Reader) -> list[Unreadable]:
        """Return all documents that were left out, with the reasons, by kind, then old id, shorter ones first, so that
        numbers are in numeric order.
        """
        rows = tx.rows(LEFT_OUT, site_id=self.site_id, origin_id=self.id)
        return [Unreadable(kind=kind, id=id, reason=reason) for kind, id, reason in rows]

    def run(
        self, tx: Transaction, query: Query, rows: Collection[Mapping[str, Any]], **more: object
    ) -> int:
        """Run a statement that reads `rows` as JSON from its parameter of that name; return the number of rows that it
        changed. Its parameters `site_id` and, if it has that, `origin_id` are the import's; `more`: further ones. With
        `rows` empty nothing is run, and 0 returned.
        """
        if not rows:
            return 0
        if "origin_id" in query.names:
            more["origin_id"] = self.id
        return tx.run(query, site_id=self.site_id, rows=msgspec.json.encode(rows).decode(), **more)

    def rows(self, tx: Transaction, query: Query, rows: Collection[Mapping[str, Any]]) -> list[Row]:
        """Run a statement that reads `rows` as JSON from its parameter of that name, and whose `site_id` is the
        import's; return its rows in its order. With `rows` empty nothing is run, and [] returned.
        """
        if not rows:
            return []
        return tx.rows(query, site_id=self.site_id, rows=msgspec.json.encode(rows).decode())

    def remember_aliases(self, tx: Transaction, aliases: Sequence[PortedAlias]) -> list[Unreadable]:
        """Insert further old ids of things, by which old addresses find them; return those left out, whose thing does
        not exist here.
        """
        found = self.find_items(tx, [(one.on_type, one.on_id) for one in aliases])
        rows, left = [], []
        for one in aliases:
            thing = found.get((one.on_type, one.on_id))
            if thing is None:
                reason = f"{one.on_type} {one.on_id} did not come"
                left.append(Unreadable(kind="alias", id=one.alias, reason=reason))
            else:
                rows.append((TYPES[one.on_type][0], one.alias, thing.id, "alias"))
        self.remember(tx, rows)
        return left


def allocate(tx: Reader, sequence: str, count: int) -> list[int]:
    """Take `count` ids from a sequence, given by its name; return them in ascending order."""
    if not count:
        return []
    return sorted(row[0] for row in tx.rows(ALLOCATE, sequence=sequence, count=count))
