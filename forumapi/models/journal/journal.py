"""Journal of writes: a row for the audit and a row for the event log, in the write's own transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.journal import audit_detail_encoding
from forumapi.observability import metrics

CREATED: Final = "created"
REPLACED: Final = "replaced"
PATCHED: Final = "patched"
DELETED: Final = "deleted"
# An event begins soon; nobody did it, so it is in the event log alone.
REMINDED: Final = "reminded"
# A case or an appeal was decided. The event names nobody, and the audit has an entry of its own for the decision.
DECIDED: Final = "decided"
_ACTIONS: Final = {CREATED: "C", REPLACED: "R", PATCHED: "U", DELETED: "D"}


class Author(NamedTuple):
    """Author of a write: for rows, audit and events. `ip`: the client address of the request, "" for none.

    `profile_id` 0: nobody did it, or an operator from the command line, whose account is `operator`. `detail`: for the
    audit, keys of audit_detail_encoding.py that belong to every write of this author object. `by_agent`: an agent
    writes in the profile's name.
    """

    site_id: int
    profile_id: int
    ip: str
    operator: str = ""
    detail: Mapping[str, Any] | None = None
    by_agent: bool = False

    def encoded_detail(self, more: Mapping[str, Any] | None = None) -> str | None:
        """Encode `detail`, the keys `more` of one write and the operator's name as JSON for `audit_log`; None if all of
        them are empty. Raises TypeError as audit_detail_encoding.encode does.
        """
        if not (more or self.detail or self.operator):
            return None
        return audit_detail_encoding.encode({**(self.detail or {}), **(more or {})}, self.operator)


_EVENT: Final = """
        INSERT INTO event_log (site_id, kind, item_type_id, item_id, parent_type_id, parent_id, microcosm_id, actor_id,
                               version, detail)"""
_ENTRY: Final = """
    INSERT INTO audit_log (site_id, item_type_id, item_id, profile_id, action, ip, event_id, detail)"""

RECORD = Query(
    "journal.record",
    f"""
    WITH logged AS ({_EVENT}
        VALUES (%(site_id)s, %(kind)s, %(item_type)s, %(item_id)s, %(parent_type)s, %(parent_id)s, %(microcosm_id)s,
                %(actor)s::bigint, %(version)s,
                CASE WHEN %(moved_from)s::bigint > 0 THEN jsonb_build_object('movedFrom', %(moved_from)s::bigint) END)
     RETURNING event_id){_ENTRY}
    SELECT %(site_id)s, %(item_type)s, %(item_id)s, %(actor)s::bigint, %(action)s::text, %(ip)s::inet, l.event_id,
           %(audit_detail)s::jsonb
      FROM logged l
     WHERE %(action)s::text IS NOT NULL""",
)

RECORD_MANY = Query(
    "journal.record_many",
    f"""
    WITH written AS (
        SELECT w.item_id, w.version
          FROM unnest(%(item_ids)s::bigint[], %(versions)s::int[]) WITH ORDINALITY AS w (item_id, version, place)
         ORDER BY w.place),
    logged AS ({_EVENT}
        SELECT %(site_id)s, %(kind)s, %(item_type)s, w.item_id, %(parent_type)s, %(parent_id)s, %(microcosm_id)s,
               %(actor)s::bigint, w.version, %(detail)s::jsonb
          FROM written w
     RETURNING item_id, event_id){_ENTRY}
    SELECT %(site_id)s, %(item_type)s, l.item_id, %(actor)s::bigint, %(action)s::text, %(ip)s::inet, l.event_id,
           %(audit_detail)s::jsonb
      FROM logged l""",
)

# As RECORD, of many things, each with its own type, parent and place.
RECORD_EACH = Query(
    "journal.record_each",
    f"""
    WITH written AS (
        SELECT w.item_type, w.item_id, w.version, w.parent_type, w.parent_id, w.microcosm_id, w.moved_from
          FROM unnest(%(item_types)s::smallint[], %(item_ids)s::bigint[], %(versions)s::int[],
                      %(parent_types)s::smallint[], %(parent_ids)s::bigint[], %(microcosm_ids)s::bigint[],
                      %(moved_froms)s::bigint[]) WITH ORDINALITY
               AS w (item_type, item_id, version, parent_type, parent_id, microcosm_id, moved_from, place)
         ORDER BY w.place),
    logged AS ({_EVENT}
        SELECT %(site_id)s, %(kind)s, w.item_type, w.item_id, w.parent_type, w.parent_id, w.microcosm_id,
               %(actor)s::bigint, w.version,
               CASE WHEN w.moved_from > 0 THEN jsonb_build_object('movedFrom', w.moved_from) END
          FROM written w
     RETURNING item_type_id, item_id, event_id){_ENTRY}
    SELECT %(site_id)s, l.item_type_id, l.item_id, %(actor)s::bigint, %(action)s::text, %(ip)s::inet, l.event_id,
           %(audit_detail)s::jsonb
      FROM logged l""",
)


class WrittenThing(NamedTuple):
    """One of many things that are written at once: the arguments of `record` that concern the thing."""

    item_type: int
    item_id: int
    version: int | None = None
    parent: tuple[int, int] | None = None
    microcosm_id: int | None = None
    moved_from: int = 0


def record(
    tx: Transaction,
    author: Author,
    kind: str,
    item_type: int,
    item_id: int,
    *,
    version: int | None = None,
    parent: tuple[int, int] | None = None,
    microcosm_id: int | None = None,
    moved_from: int = 0,
    audit: bool = True,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Record in audit and event log that the author did `kind` to a thing: CREATED, REPLACED, PATCHED or DELETED, and
    REMINDED and DECIDED only with `audit` False. Call it while the thing's row is locked.

    The lock makes event ids follow the commit order of each thing. `version`: the thing's after the write, None if it
    has none; `parent`: (type, id) of what it is on; `microcosm_id`: microcosm that it is in, None or 0 for none;
    `moved_from`: id of the microcosm that it has left, 0 for none. `audit` False: only the event, since platform 7.1
    keeps no address for this type. `detail`: for the audit, keys of audit_detail_encoding.py.
    """
    tx.run(
        RECORD,
        site_id=author.site_id,
        kind=kind,
        item_type=item_type,
        item_id=item_id,
        actor=author.profile_id or None,
        ip=author.ip or None,
        version=version,
        parent_type=parent[0] if parent else None,
        parent_id=parent[1] if parent else None,
        microcosm_id=microcosm_id or None,
        moved_from=moved_from,
        action=_ACTIONS[kind] if audit else None,
        audit_detail=author.encoded_detail(detail),
    )
    count(tx, kind, item_type)


def record_site(
    tx: Transaction,
    author: Author,
    kind: str = REPLACED,
    *,
    version: int | None = None,
    audit: bool = True,
) -> None:
    """Record that the author did `kind` to the author's site, or changed one of its settings. Call it while the site's
    row is locked. `version` and `audit` as in `record`.
    """
    record(
        tx,
        author,
        kind,
        itemtypes.SITE,
        author.site_id,
        version=version,
        audit=audit,
    )


def count(tx: Transaction, kind: str, item_type: int, by: int = 1) -> None:
    """Add `by` to the metric of writes of this kind and type, after the commit. Only for writes whose event the caller
    stored by a statement of its own: the functions of this module count theirs.
    """
    name = itemtypes.name_of(item_type)
    tx.after_commit(lambda: metrics.WRITES.add(by, name, kind))


def record_many(
    tx: Transaction,
    author: Author,
    kind: str,
    item_type: int,
    ids: Sequence[int],
    *,
    versions: Sequence[int | None] = (),
    parent: tuple[int, int] | None = None,
    microcosm_id: int | None = None,
    is_import: bool = False,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Record that the author did `kind` to many things of one type, on one parent and in one microcosm. `versions`: in
    the order of `ids`; without them each thing has version 1, as a new one has.

    For changes that only follow from another one, pass an `author` whose `profile_id` is 0. `is_import`: nobody is
    notified of these events. `detail`: for the audit of each, keys of audit_detail_encoding.py. `parent` and
    `microcosm_id` as in `record`, but None alone stands for no microcosm.
    """
    if ids:
        tx.run(
            RECORD_MANY,
            site_id=author.site_id,
            kind=kind,
            item_type=item_type,
            item_ids=ids,
            versions=versions or [1] * len(ids),
            parent_type=parent[0] if parent else None,
            parent_id=parent[1] if parent else None,
            microcosm_id=microcosm_id,
            actor=author.profile_id or None,
            ip=author.ip or None,
            action=_ACTIONS[kind],
            detail='{"import": true}' if is_import else None,
            audit_detail=author.encoded_detail(detail),
        )
        count(tx, kind, item_type, len(ids))


def record_each(
    tx: Transaction, author: Author, kind: str, entries: Sequence[WrittenThing]
) -> None:
    """Record that the author did `kind` to each of many things, in this order; nothing for []. Call it while their rows
    are locked.
    """
    if not entries:
        return
    tx.run(
        RECORD_EACH,
        site_id=author.site_id,
        kind=kind,
        item_types=[one.item_type for one in entries],
        item_ids=[one.item_id for one in entries],
        versions=[one.version for one in entries],
        parent_types=[one.parent[0] if one.parent else None for one in entries],
        parent_ids=[one.parent[1] if one.parent else None for one in entries],
        microcosm_ids=[one.microcosm_id or None for one in entries],
        moved_froms=[one.moved_from for one in entries],
        actor=author.profile_id or None,
        ip=author.ip or None,
        action=_ACTIONS[kind],
        audit_detail=author.encoded_detail(),
    )
    for item_type, number in Counter(one.item_type for one in entries).items():
        count(tx, kind, item_type, number)
