"""Digests: once a day or a week, in the morning of the reader's own time zone, what is new and may still be read.

Beyond the reference. Taking them up is one statement a run; what they say is found out when they are sent.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from psycopg import errors as pgerrors

from forumapi import itemtypes
from forumapi.database.connections import (
    Query,
    Reader,
    Row,
    Transaction,
)
from forumapi.errors import Invalid
from forumapi.models.content import event_writing
from forumapi.models.notices import suppression
from forumapi.models.notices.suppression import Suppression
from forumapi.updates.mail_context import Fact

if TYPE_CHECKING:
    from forumapi.models.sites.site import Site
    from forumapi.permissions.evaluator import Tree

NONE: Final = "none"
FREQUENCIES: Final = (NONE, "daily", "weekly")

# What one run of the job takes up; the rest is for the next.
MOST: Final = 20_000
# The newest of a site that digests choose from, and what one shows.
CANDIDATES: Final = 500
SHOWN: Final = 20

# The first 07:00 after a time, of any day or of a Monday, on the reader's clock; through changes of the clock.
# By the clock of the database; tests name a time.
_NOW: Final = "coalesce(%(now)s::timestamptz, now())"
_LOCAL: Final = f"({_NOW} AT TIME ZONE {{zone}})"
_NEXT: Final = f"""
           ((date_trunc({{unit}}, {_LOCAL}) + interval '7 hours'
             + CASE WHEN {_LOCAL} >= date_trunc({{unit}}, {_LOCAL}) + interval '7 hours' THEN {{step}}
                    ELSE interval '0' END) AT TIME ZONE {{zone}})"""


def _next(frequency: str, zone: str) -> str:
    unit = f"CASE {frequency} WHEN 'weekly' THEN 'week' ELSE 'day' END"
    step = f"CASE {frequency} WHEN 'weekly' THEN interval '7 days' ELSE interval '1 day' END"
    return _NEXT.format(zone=zone, unit=unit, step=step)


# A zone that the server does not know (any more) is UTC. Due times that were missed fold into one digest, which reaches
# back to the one before.
TAKE_UP = Query(
    "cron.digests",
    f"""
    WITH zones AS MATERIALIZED (SELECT z.name FROM pg_timezone_names z),
    due AS MATERIALIZED (
        SELECT o.site_id, o.profile_id, o.digest, o.digest_due, o.send_email, o.time_zone
          FROM profile_options o
         WHERE o.digest_due <= {_NOW}
         ORDER BY o.digest_due
         LIMIT %(limit)s
           FOR UPDATE SKIP LOCKED),
    known AS MATERIALIZED (
        SELECT d.site_id, d.profile_id, d.digest, d.digest_due, d.send_email, coalesce(z.name, 'UTC') AS zone
          FROM due d
          LEFT JOIN zones z ON z.name = d.time_zone),
    moved AS (
        UPDATE profile_options o
           SET digest_due = CASE WHEN k.digest <> 'none' THEN {_next("k.digest", "k.zone")} END
          FROM known k
         WHERE o.site_id = k.site_id AND o.profile_id = k.profile_id)
    INSERT INTO mail_outbox (site_id, cause, state, profile_id, since, created)
    SELECT k.site_id,
           'digest:' || k.site_id || ':' || k.profile_id || ':' || extract(epoch FROM k.digest_due)::bigint,
           'unwritten', k.profile_id,
           (k.digest_due AT TIME ZONE k.zone
            - CASE k.digest WHEN 'weekly' THEN interval '7 days' ELSE interval '1 day' END) AT TIME ZONE k.zone,
           {_NOW}
      FROM known k
      JOIN sites s ON s.site_id = k.site_id AND NOT s.is_deleted
     WHERE k.digest <> 'none' AND k.send_email
        ON CONFLICT (cause) DO NOTHING""",
)

FIND = Query(
    "digest.find",
    f"""
    SELECT coalesce(o.digest, 'none'), coalesce(o.time_zone, 'UTC'), o.digest_due, u.email, x.reason, x.detail,
           x.created
      FROM profiles p
      JOIN users u ON u.user_id = p.user_id
      LEFT JOIN profile_options o ON o.site_id = p.site_id AND o.profile_id = p.profile_id
      LEFT JOIN mail_suppressions x ON x.address_hash = {suppression.HASH}
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s""",
)

CHOOSE = Query(
    "digest.choose",
    f"""
    INSERT INTO profile_options AS o (site_id, profile_id, digest, time_zone, digest_due)
    VALUES (%(site_id)s, %(profile_id)s, %(digest)s, %(zone)s,
            CASE WHEN %(digest)s::text <> 'none' THEN {_next("%(digest)s::text", "%(zone)s::text")} END)
        ON CONFLICT (site_id, profile_id) DO UPDATE
       SET digest = EXCLUDED.digest, time_zone = EXCLUDED.time_zone, digest_due = EXCLUDED.digest_due""",
)

# The newest of a site: the beginnings of the index for each kind of item, pinned ones too.
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
)

# Of (profile, item), those that the profile has not read since the last thing happened in them.
UNREAD = Query(
    "digest.unread",
    """
    SELECT a.profile_id, a.item_id
      FROM unnest(%(profile_ids)s::bigint[], %(item_ids)s::bigint[]) AS a (profile_id, item_id)
      JOIN profiles p ON p.site_id = %(site_id)s AND p.profile_id = a.profile_id
      JOIN items i ON i.site_id = %(site_id)s AND i.item_id = a.item_id
      LEFT JOIN read_marks r ON r.site_id = %(site_id)s AND r.profile_id = a.profile_id
                            AND r.item_type_id = i.item_type_id AND r.item_id = i.item_id
      LEFT JOIN read_marks mr ON mr.site_id = %(site_id)s AND mr.profile_id = a.profile_id AND mr.item_type_id = 2
                             AND mr.item_id = i.microcosm_id
     WHERE i.last_activity > greatest(r.read_at, mr.read_at, p.all_read_at)""",
)


class Choice(NamedTuple):
    """What a profile chose, when its next digest is due, where its mail goes, and why it does not (None: it does)."""

    digest: str
    time_zone: str
    due: datetime.datetime | None
    email: str
    bounce: Suppression | None


class News(NamedTuple):
    """An item in a digest; titles are as stored. `is_new`: begun since, else it has comments since."""

    id: int
    type: int
    title: str
    microcosm_title: str
    is_new: bool


def find(tx: Reader, site_id: int, profile_id: int) -> Choice:
    """What a profile of this site chose. One statement."""
    row = tx.row(FIND, site_id=site_id, profile_id=profile_id)
    assert row is not None, "somebody asks for their own"
    bounce = Suppression(*row[4:]) if row[4] else None
    return Choice._make((*row[:4], bounce))


def choose(
    tx: Transaction,
    site_id: int,
    profile_id: int,
    digest: str,
    time_zone: str,
    now: datetime.datetime | None = None,
) -> None:
    """Want a digest `daily`, `weekly` or `none`, on the clock of a zone. Raises Invalid."""
    if digest not in FREQUENCIES:
        raise Invalid("digest", f"must be one of: {', '.join(FREQUENCIES)}")
    if time_zone not in event_writing.zones():
        raise Invalid("timeZone", "must be the name of a time zone, such as Europe/Berlin")
    try:
        tx.run(
            CHOOSE, site_id=site_id, profile_id=profile_id, digest=digest, zone=time_zone, now=now
        )
    except pgerrors.InvalidParameterValue:
        raise Invalid("timeZone", "is not known to the database") from None


def take_up(tx: Transaction, now: datetime.datetime | None = None, limit: int = MOST) -> int:
    """Put the digests that are due into the outbox and work out when the next ones are; how many that were."""
    return tx.run(TAKE_UP, now=now, limit=limit)


def local(when: datetime.datetime, zone: str) -> str:
    """A time for people, on their clock."""
    try:
        there = when.astimezone(zoneinfo.ZoneInfo(zone))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        there = when
    return f"{there.day} {there:%B, %H:%M}"


def read(
    tx: Reader, site: Site, tree: Tree, readers: Sequence[Fact]
) -> Iterator[tuple[Fact, list[News]]]:
    """What is new to each of these readers of one site, newest first. Two statements, however many readers.

    Only what stands in microcosms that a reader may list counts, and nothing that they ignore or have read.
    """
    since = min(fact.since or fact.created for fact in readers)
    newest = tx.rows(NEWEST, site_id=site.id, since=since, limit=CANDIDATES)
    chosen = {fact.profile_id: list(_readable(fact, tree, newest)) for fact in readers}
    pairs = [(profile_id, one.id) for profile_id, news in chosen.items() for one in news]
    unread: set[tuple[int, int]] = set()
    if pairs:
        profile_ids, item_ids = zip(*pairs, strict=True)
        rows = tx.rows(UNREAD, site_id=site.id, profile_ids=profile_ids, item_ids=item_ids)
        unread = {(row[0], row[1]) for row in rows}
    for fact in readers:
        me = fact.profile_id
        yield fact, [one for one in chosen[me] if (me, one.id) in unread][:SHOWN]


def _readable(fact: Fact, tree: Tree, newest: Sequence[Row]) -> Iterator[News]:
    since = fact.since or fact.created
    me = fact.profile_id
    ignored = set(fact.ignored)
    view = tree.view(fact.principal)
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
            yield News(id, kind, title, tree.nodes[microcosm_id].title, is_new)
