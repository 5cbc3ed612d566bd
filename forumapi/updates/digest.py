"""Digests: mail once a day or week, in the morning of the reader's time zone, with what is new and may be read.

Not in v1. One statement queues all that are due; their content is read when they are sent. Profiles choose them in
digest_settings.py.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query, Row
from forumapi.updates.digest_settings import NOW, next_due
from forumapi.updates.message_context import MessageContext

if TYPE_CHECKING:
    from forumapi.models.sites.site import Site
    from forumapi.permissions.evaluator import Tree

# Digests queued by one run of the job; the next one queues the rest.
MOST: Final = 20_000
# Newest items of a site from which digests choose, and items in one digest.
CANDIDATES: Final = 500
SHOWN: Final = 20

# A zone unknown to the server is UTC. Due times that were missed are merged into one digest, which reaches back to the
# last one.
QUEUE_DUE = Query(
    "digest.queue_due",
    f"""
    WITH zones AS MATERIALIZED (SELECT z.name FROM pg_timezone_names z),
    due AS MATERIALIZED (
        SELECT o.site_id, o.profile_id, o.digest, o.digest_due, o.send_email, o.time_zone
          FROM profile_options o
         WHERE o.digest_due <= {NOW}
         ORDER BY o.digest_due
         LIMIT %(limit)s
           FOR UPDATE SKIP LOCKED),
    known AS MATERIALIZED (
        SELECT d.site_id, d.profile_id, d.digest, d.digest_due, d.send_email, coalesce(z.name, 'UTC') AS zone
          FROM due d
          LEFT JOIN zones z ON z.name = d.time_zone),
    moved AS (
        UPDATE profile_options o
           SET digest_due = CASE WHEN k.digest <> 'none' THEN {next_due("k.digest", "k.zone")} END
          FROM known k
         WHERE o.site_id = k.site_id AND o.profile_id = k.profile_id)
    INSERT INTO mail_outbox (site_id, cause, state, profile_id, since, created)
    SELECT k.site_id,
           'digest:' || k.site_id || ':' || k.profile_id || ':' || extract(epoch FROM k.digest_due)::bigint,
           'unwritten', k.profile_id,
           (k.digest_due AT TIME ZONE k.zone
            - CASE k.digest WHEN 'weekly' THEN interval '7 days' ELSE interval '1 day' END) AT TIME ZONE k.zone,
           {NOW}
      FROM known k
      JOIN sites s ON s.site_id = k.site_id AND NOT s.is_deleted
     WHERE k.digest <> 'none' AND k.send_email
        ON CONFLICT (cause) DO NOTHING""",
    scope=PLATFORM,
)

# Newest items of a site: the beginning of the index for each type, pinned items too.
NEWEST = Query(
    "digest.newest",
    """
    SELECT i.item_id, i.item_type_id, i.title, i.microcosm_id, i.created, i.created_by, i.last_comment_at,
           coalesce(i.last_comment_by, 0)
      FROM (VALUES (6, true), (6, false), (7, true), (7, false), (9, true), (9, false)) AS k (kind, sticky)
     CROSS JOIN LATERAL (
            SELECT i.item_id, i.item_type_id, i.title, i.microcosm_id, i.created, i.created_by, i.last_comment_at,
                   i.last_comment_by, i.last_activity
              FROM items i
             WHERE i.site_id = %(site_id)s AND i.item_type_id = k.kind::smallint AND i.is_sticky = k.sticky
               AND NOT i.is_deleted AND NOT i.is_moderated AND i.last_activity > %(since)s
             ORDER BY i.last_activity DESC
             LIMIT %(limit)s) i
     ORDER BY i.last_activity DESC, i.item_id
     LIMIT %(limit)s""",
    unrestricted="the evaluator chooses from them for each reader",
)

# Pairs (profile, item) whose item has activity that the profile has not read.
UNREAD = Query(
    "digest.unread",
    f"""
    SELECT a.profile_id, a.item_id
      FROM unnest(%(profile_ids)s::bigint[], %(item_ids)s::bigint[]) AS a (profile_id, item_id)
      JOIN profiles p ON p.site_id = %(site_id)s AND p.profile_id = a.profile_id
      JOIN items i ON i.site_id = %(site_id)s AND i.item_id = a.item_id
      LEFT JOIN read_marks r ON r.site_id = %(site_id)s AND r.profile_id = a.profile_id
                            AND r.item_type_id = i.item_type_id AND r.item_id = i.item_id
      LEFT JOIN read_marks mr ON mr.site_id = %(site_id)s AND mr.profile_id = a.profile_id
          AND mr.item_type_id = {itemtypes.MICROCOSM}
                             AND mr.item_id = i.microcosm_id
     WHERE i.last_activity > greatest(r.read_at, mr.read_at, p.all_read_at)""",
)


class DigestItem(NamedTuple):
    """Item in a digest, with titles as stored (HTML-escaped). `is_new`: made since the reader's last digest, by others;
    False: others have only commented since.
    """

    id: int
    type: int
    title: str
    microcosm_title: str
    is_new: bool


def queue_due(tx: Transaction, now: datetime.datetime | None = None, limit: int = MOST) -> int:
    """Take up to `limit` digests of all sites that are due: queue their mails, except those of deleted sites and those
    to readers who have turned mail off, and set the next times of all. Return the number of queued mails.

    `now`: for tests; None: the database's time.
    """
    return tx.run(QUEUE_DUE, now=now, limit=limit)


def local(when: datetime.datetime, zone: str) -> str:
    """Format a time, with a time zone, for a reader in the time zone named `zone`, such as "3 May, 14:05"; for an
    unknown name the time stays in its own zone.
    """
    try:
        there = when.astimezone(zoneinfo.ZoneInfo(zone))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        there = when
    return f"{there.day} {there:%B, %H:%M}"


def read(
    tx: Reader, site: Site, tree: Tree, readers: Sequence[MessageContext]
) -> Iterator[tuple[MessageContext, list[DigestItem]]]:
    """Yield (reader, items for the reader's digest) for each of `readers`, at least one, in their order, the contexts
    of digests on one site (`tree`: its microcosms): items by latest activity, newest first, SHOWN at most; two
    statements for all.

    An item is among them if since the reader's last digest others have made it or written its last comment, and the
    reader may list its microcosm and has not read the item since its latest activity. Ignored items and microcosms, and
    what ignored people made or wrote, are left out. Only the CANDIDATES items of the site with the latest activity are
    looked at.
    """
    since = min(context.since for context in readers)
    newest = tx.rows(NEWEST, site_id=site.id, since=since, limit=CANDIDATES)
    chosen = {context.profile_id: list(_readable(context, tree, newest)) for context in readers}
    pairs = [(profile_id, one.id) for profile_id, news in chosen.items() for one in news]
    unread: set[tuple[int, int]] = set()
    if pairs:
        profile_ids, item_ids = zip(*pairs, strict=True)
        rows = tx.rows(UNREAD, site_id=site.id, profile_ids=profile_ids, item_ids=item_ids)
        unread = {(row[0], row[1]) for row in rows}
    for context in readers:
        me = context.profile_id
        yield context, [one for one in chosen[me] if (me, one.id) in unread][:SHOWN]


def _readable(context: MessageContext, tree: Tree, newest: Sequence[Row]) -> Iterator[DigestItem]:
    since = context.since
    me = context.profile_id
    ignored = set(context.ignored)
    view = tree.view(context.principal)
    hidden: dict[int, bool] = {}
    for id, kind, title, microcosm_id, created, author_id, commented, commenter_id in newest:
        if microcosm_id not in view.set or id * 32 + kind in ignored:
            continue
        if microcosm_id not in hidden:
            path = tree.nodes[microcosm_id].path
            hidden[microcosm_id] = any(
                place * 32 + itemtypes.MICROCOSM in ignored for place in path
            )
        if hidden[microcosm_id] or author_id * 32 + itemtypes.PROFILE in ignored:
            continue
        is_new = created > since and author_id != me
        is_answered = (
            commented is not None
            and commented > since
            and commenter_id != me
            and commenter_id * 32 + itemtypes.PROFILE not in ignored
        )
        if is_new or is_answered:
            yield DigestItem(id, kind, title, tree.nodes[microcosm_id].title, is_new)
