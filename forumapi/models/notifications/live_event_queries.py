"""Statements for live events: changes of rights and sites, facts about the things of events, tickets, versions.

Each is one statement for any number of sites, listeners or events.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.notifications.update_types import (
    APPEAL_DECIDED,
    DECISION_IDS,
    REPORT_DECIDED,
    REPORT_RECEIVED,
    STATEMENT,
)
from forumapi.permissions.evaluator import Target, Tree

# ---------------------------------------------------------------- what is new

# One row a site: whose rights changed since the snapshot `seen` (docs/decisions/0011), the site's versions, and the
# number of its newest event. All of it is of one snapshot, so whoever lost a right before an event was written is
# known to have lost it when the event is.
CHANGES = Query(
    "live_event_queries.changes",
    """
    SELECT pg_current_snapshot()::text,
           CASE WHEN %(seen)s::text = '' THEN ARRAY[0::bigint]
                ELSE ARRAY(SELECT DISTINCT c.user_id
                             FROM (SELECT nullif(%(seen)s::text, '')::pg_snapshot AS snapshot) k
                             JOIN right_changes c ON c.changed_in >= pg_snapshot_xmin(k.snapshot)
                                                 AND NOT pg_visible_in_snapshot(c.changed_in, k.snapshot)) END,
           s.site_id, s.version, s.acl_version, s.is_deleted, coalesce(h.number, 0)
      FROM sites s
      LEFT JOIN event_heads h ON h.site_id = s.site_id
     WHERE s.site_id = ANY(%(site_ids)s)""",
)


class SiteVersions(NamedTuple):
    """Versions of a site. `version`: that of its document; `acl_version`: that of its microcosms and roles; `head`:
    number of its newest event.
    """

    site_id: int
    version: int
    acl_version: int
    is_deleted: bool
    head: int


class SnapshotChanges(NamedTuple):
    """Changes since a snapshot of the database. `snapshot`: the one of this reading, as text, from which the next call
    goes on; `user_ids`: users whose rights may have changed since, a 0 stands for all users, the negated id of a site
    for all users of that site; `sites`: present versions of the sites asked for.
    """

    snapshot: str
    user_ids: list[int]
    sites: list[SiteVersions]


def changes_since(tx: Reader, seen: str, site_ids: Collection[int]) -> SnapshotChanges:
    """Return the changes of rights, on all sites, since `seen`, the `snapshot` in the result of the call before ("":
    the first call, which returns a change of all users), and the present versions of these sites, in any order; a site
    that does not exist is left out. If none of the sites exists, no change is returned, and `snapshot` is `seen`.
    """
    rows = tx.rows(CHANGES, seen=seen, site_ids=list(site_ids))
    if not rows:
        return SnapshotChanges(seen, [], [])
    return SnapshotChanges(rows[0][0], rows[0][1], [SiteVersions(*row[2:]) for row in rows])


# Condition: a change of what a user may see was begun after an event: of their own rights, of everybody's, or of the
# site's tree and roles.
RIGHTS_CHANGED = Query(
    "live_event_queries.rights_changed",
    """
    SELECT EXISTS (SELECT FROM event_sequence s
                     JOIN event_log e ON e.site_id = s.site_id AND e.event_id = s.event_id AND e.created = s.created
                     JOIN right_changes c ON c.changed_in > e.xid
                                         AND c.user_id IN (0, %(user_id)s, -%(site_id)s::bigint)
                    WHERE s.site_id = %(site_id)s AND s.number = %(number)s)""",
)


def rights_changed(tx: Reader, site_id: int, user_id: int, number: int) -> bool:
    """Return True if the rights of the user (0: of guests) on this site may have changed since the event with the
    number `number`; only the changes of the last hour or so are stored, and so are found. False if the log has no such
    event any more.
    """
    return bool(tx.value(RIGHTS_CHANGED, site_id=site_id, user_id=user_id, number=number))


# ---------------------------------------------------------------- what an event is about


def _is_update(id: str, *types: int) -> str:
    """Return the SQL condition that `a`, an update whose id a caller looks up, is of one of these types and about the
    decision whose id is the column `id`.
    """
    starts = ", ".join(str(DECISION_IDS[type] >> 48) for type in types)
    return f"a.id >> 48 IN ({starts}) AND {id} = (a.id & {(1 << 48) - 1})"


# Facts about comments, items, profiles, attendees, updates and roles: microcosm, owners, own state, state of the
# parent, the parent's type and id, version, the profiles that alone may know of it (null: no such limit), and, for
# comments, true if the parent is a held item of the comment's author.
FACTS = Query(
    "live_event_queries.facts",
    f"""
    WITH asked AS MATERIALIZED (
        SELECT a.type, a.id, a.parent_id
          FROM unnest(%(types)s::smallint[], %(ids)s::bigint[], %(parents)s::bigint[]) AS a (type, id, parent_id))
    SELECT a.type, a.id, a.parent_id, coalesce(i.microcosm_id, 0), ARRAY[i.created_by], i.is_deleted, i.is_moderated,
           false, 0::smallint, 0::bigint, i.version,
           CASE i.item_type_id WHEN {itemtypes.HUDDLE} THEN
                ARRAY(SELECT h.profile_id FROM huddle_participants h
                       WHERE h.site_id = i.site_id AND h.item_id = i.item_id) END, false
      FROM asked a
      JOIN items i ON i.site_id = %(site_id)s AND i.item_id = a.id AND i.item_type_id = a.type
     UNION ALL
    SELECT a.type, a.id, a.parent_id, coalesce(i.microcosm_id, 0), ARRAY[c.created_by], c.is_deleted, c.is_moderated,
           coalesce(i.is_deleted OR i.is_moderated, false), coalesce(i.item_type_id, {itemtypes.PROFILE}::smallint),
           coalesce(c.item_id, c.on_profile_id), c.version,
           CASE i.item_type_id WHEN {itemtypes.HUDDLE} THEN
                ARRAY(SELECT h.profile_id FROM huddle_participants h
                       WHERE h.site_id = i.site_id AND h.item_id = i.item_id) END,
           coalesce(i.created_by = c.created_by AND i.is_moderated AND NOT i.is_deleted
                    AND i.microcosm_id IS NOT NULL, false)
      FROM asked a
      JOIN comments c ON c.site_id = %(site_id)s AND c.comment_id = a.id
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE a.type = {itemtypes.COMMENT}
     UNION ALL
    SELECT a.type, a.id, a.parent_id, 0, ARRAY[p.profile_id], false, false, false, 0::smallint, 0::bigint, p.version,
           NULL::bigint[], false
      FROM asked a
      JOIN profiles p ON p.site_id = %(site_id)s AND p.profile_id = a.id
     WHERE a.type = {itemtypes.PROFILE}
     UNION ALL
    SELECT a.type, a.id, a.parent_id, coalesce(i.microcosm_id, 0),
           ARRAY[a.id, coalesce((SELECT t.created_by FROM attendees t WHERE t.site_id = i.site_id
                                                                       AND t.item_id = i.item_id
                                                                       AND t.profile_id = a.id), a.id)],
           false, false, i.is_deleted OR i.is_moderated, i.item_type_id, i.item_id, 0, NULL::bigint[],
           false
      FROM asked a
      JOIN items i ON i.site_id = %(site_id)s AND i.item_id = a.parent_id AND i.item_type_id = {itemtypes.EVENT}
     WHERE a.type = {itemtypes.ATTENDEE}
     UNION ALL
    SELECT a.type, a.id, a.parent_id, 0, ARRAY[x.profile_id], false, false, false, 0::smallint, 0::bigint, 0,
           ARRAY[x.profile_id], false
      FROM asked a
      JOIN updates x ON x.site_id = %(site_id)s AND x.update_id = a.id
     WHERE a.type = {itemtypes.UPDATE}
     UNION ALL
    SELECT a.type, a.id, a.parent_id, 0, ARRAY[d.reader_id], false, false, false, 0::smallint, 0::bigint, 0,
           ARRAY[d.reader_id], false
      FROM asked a
     CROSS JOIN LATERAL (
            SELECT t.profile_id AS reader_id FROM statements t
             WHERE {_is_update("t.statement_id", STATEMENT)} AND t.site_id = %(site_id)s
             UNION ALL
            SELECT r.reporter_id FROM reports r
             WHERE {_is_update("r.report_id", REPORT_RECEIVED, REPORT_DECIDED)}
               AND r.site_id = %(site_id)s AND r.reporter_id IS NOT NULL
             UNION ALL
            SELECT p.profile_id FROM appeals p
             WHERE {_is_update("p.appeal_id", APPEAL_DECIDED)} AND p.site_id = %(site_id)s) d
     WHERE a.type = {itemtypes.UPDATE}
     UNION ALL
    SELECT a.type, a.id, a.parent_id, 0, ARRAY[coalesce(r.created_by, 0)], false, false, false,
           {itemtypes.MICROCOSM}::smallint, r.microcosm_id, 0, NULL::bigint[], false
      FROM asked a
      JOIN roles r ON r.site_id = %(site_id)s AND r.role_id = a.id
     WHERE a.type = {itemtypes.ROLE}""",
)

ThingKey = tuple[int, int, int]
"""A thing: its type and id, and for an attendee the event's id, else 0."""


class Fact(NamedTuple):
    """Facts about a thing of an event, the same for all viewers, by which delivery is decided.

    `target`: the thing as a target of permissions; `is_deleted`, `is_moderated`: the thing itself is; `is_gone_above`:
    its parent, or the microcosm above, is hidden or gone; `parent_type`, `parent_id`: what the thing is on, of a
    microcosm the one above, id 0 for none; `version`: the thing's, 0 if it has none. `insiders`: ids of the profiles
    that alone may know that the thing exists; None: no such limit. `is_in_own_held`: the thing is a comment on an item
    of the same author, and is gone above only because that item is moderated.
    """

    target: Target
    is_deleted: bool = False
    is_moderated: bool = False
    is_gone_above: bool = False
    parent_type: int = 0
    parent_id: int = 0
    version: int = 0
    insiders: frozenset[int] | None = None
    is_in_own_held: bool = False


def facts(
    tx: Reader, site_id: int, tree: Tree, named: Collection[ThingKey]
) -> dict[ThingKey, Fact]:
    """Return the facts about the things `named` of a site, by these keys; things that do not exist are left out, but
    an attendee of an event that exists has facts even without an answer. Things of other types than site, microcosm,
    item, comment, profile, attendee, update and role are left out too. `tree`: the site's microcosms. One statement at
    most.
    """
    found: dict[ThingKey, Fact] = {}
    asked = []
    for thing in set(named):
        kind, id, _ = thing
        if kind == itemtypes.SITE:
            if id == site_id:
                found[thing] = Fact(Target(itemtypes.SITE, site_id))
        elif kind == itemtypes.MICROCOSM:
            if (node := tree.nodes.get(id)) is not None:
                above = tree.nodes.get(node.parent_id)
                target = Target(kind, id, id, (node.owned_by, node.created_by))
                found[thing] = Fact(
                    target,
                    node.is_deleted,
                    node.is_moderated,
                    above is not None and not above.is_live,
                    kind,
                    node.parent_id,
                    node.version,
                )
        else:
            asked.append(thing)
    if asked:
        types, ids, parents = zip(*sorted(asked), strict=True)
        rows = tx.rows(FACTS, site_id=site_id, types=types, ids=ids, parents=parents)
        found.update(((row[0], row[1], row[2]), _fact(tree, row)) for row in rows)
    return found


def _fact(tree: Tree, row: tuple[Any, ...]) -> Fact:
    kind, id, _, microcosm_id, owners, is_deleted, is_moderated, is_gone, parent_type, parent_id = (
        row[:10]
    )
    target = Target(kind, id, microcosm_id, tuple(owners), parent_type=parent_type)
    node = tree.nodes.get(microcosm_id)
    is_nowhere = bool(microcosm_id) and (node is None or not node.is_live)
    insiders = None if row[11] is None else frozenset(row[11])
    return Fact(
        target,
        is_deleted,
        is_moderated,
        is_gone or is_nowhere,
        parent_type,
        parent_id,
        row[10],
        insiders,
        row[12] and not is_nowhere,
    )


class BeforeMove(NamedTuple):
    """Facts about a thing (`fact`) as they were in the microcosm that the thing has left. `tree`: the site's tree for
    permissions there; for a microcosm that was moved, one in which that is still below its former parent.
    """

    fact: Fact
    tree: Tree


def before_move(tree: Tree, fact: Fact, microcosm_id: int) -> BeforeMove | None:
    """Return the thing of `fact`, which is now as in `tree`, as it was in the microcosm `microcosm_id`, which it has
    left; None if that microcosm no longer exists, or is now below the thing, or the thing is a microcosm that no longer
    exists.
    """
    node = tree.nodes.get(microcosm_id)
    if node is None:
        return None
    was = fact._replace(is_gone_above=not node.is_live)
    if fact.target.item_type != itemtypes.MICROCOSM:
        return BeforeMove(was._replace(target=fact.target._replace(microcosm_id=node.id)), tree)
    id = fact.target.item_id
    if id not in tree.nodes or id in node.path:
        return None
    return BeforeMove(was._replace(parent_id=node.id), tree.before_move(id, node.id))


# ---------------------------------------------------------------- tickets and the key of cursors

TICKET_S: Final = 30
ADD_TICKET = Query(
    "live_event_queries.add_ticket",
    """
    INSERT INTO single_use (kind, secret_hash, site_id, subject, payload, expires)
    VALUES ('live', %(secret_hash)s, %(site_id)s, %(subject)s,
            jsonb_strip_nulls(jsonb_build_object('origin', %(origin)s::text, 'stream', %(stream)s::text)),
            now() + make_interval(secs => %(ttl_s)s::int))""",
)

CURSOR_KEY = Query(
    "live_event_queries.cursor_key",
    """
    INSERT INTO platform_secrets (name, secret) VALUES ('live-cursors', %(secret)s)
        ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name
 RETURNING secret""",
)


def add_ticket(
    tx: Transaction, site_id: int, token_id: int, *, origin: str, stream: str | None
) -> str:
    """Store a ticket, by which one connection can be opened within TICKET_S as the holder of the token; return the
    ticket's secret.

    The ticket is good for pages of `origin` ("": the site's own pages, and programs) and for the stream `stream` alone;
    None: for any stream. The identity statement (identity.py) uses the ticket up.
    """
    secret = secrets.token_urlsafe(24)
    tx.run(
        ADD_TICKET,
        secret_hash=ticket_hash(secret),
        site_id=site_id,
        subject=str(token_id),
        origin=origin,
        stream=stream,
        ttl_s=TICKET_S,
    )
    return secret


def cursor_key(tx: Transaction) -> bytes:
    """Return the key with which all processes of the platform encode the cursors of live events; the first call makes
    and stores it.
    """
    return bytes(tx.value(CURSOR_KEY, secret=secrets.token_bytes(16)))


def ticket_hash(secret: str) -> bytes:
    """Return the hash by which a ticket is stored and found."""
    return hashlib.sha256(secret.encode()).digest()


# ---------------------------------------------------------------- for the log's readers

HEAD = Query(
    "live_event_queries.head",
    """
    SELECT coalesce(h.number, 0) FROM sites s LEFT JOIN event_heads h ON h.site_id = s.site_id
     WHERE s.site_id = %(site_id)s""",
)


def head(tx: Reader, site_id: int) -> int:
    """Return the number of the site's newest event, 0 without any."""
    return int(tx.value(HEAD, site_id=site_id) or 0)
