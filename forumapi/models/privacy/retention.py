"""Retention periods of a site, set by its owner: for how many days client addresses, the audit, mail that was sent
or given up and texts of deleted things are kept; and the preview of what would go.

The platform's own period is the highest that a site may set; without one of its own, a site has the platform's. Texts
of deleted things are kept for good unless the owner sets a period. retention_steps.py carries the periods out.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.texts.text_removal import REMOVED
from forumapi.models.trust.statement_of_reasons import APPEAL_MONTHS
from forumapi.wire import json_fragments

ADDRESSES: Final = "addresses"
AUDIT: Final = "audit"
DELETED_TEXTS: Final = "deletedTexts"
MAIL: Final = "mail"

# Days for which mail that was sent is kept everywhere (cron/maintenance_jobs.py).
MAIL_DAYS: Final = 30
# Actions of moderators can be undone for 30 days, and the audit says for as long who has done them.
LOWEST_AUDIT: Final = 30
LOWEST_TEXTS: Final = 31
HIGHEST_TEXTS: Final = 3_650
# A follower is not mailed again about what they have not read, as long as the first mail is kept.
LOWEST_MAIL: Final = 7

FIND = Query(
    "retention.find",
    "SELECT s.value -> 'periods' FROM site_settings s WHERE s.site_id = %(site_id)s AND s.key = 'retention'",
)

SET = Query(
    "retention.set",
    """
    INSERT INTO site_settings AS s (site_id, key, value)
    VALUES (%(site_id)s, 'retention',
            jsonb_build_object('periods', %(periods)s::jsonb, 'set', now(), 'isJournaled', false))
        ON CONFLICT (site_id, key) DO UPDATE SET value = EXCLUDED.value""",
)

# SQL: the things whose texts stay while a case or an appeal about them waits for its decision, or as long as their
# author can appeal; the items that such comments are on; and the comments on such items and profiles.
HELD: Final = f"""
    contested AS MATERIALIZED (
        SELECT k.item_type_id, k.item_id
          FROM cases k
         WHERE k.site_id = %(site_id)s AND k.state <> 'decided' AND k.appeal_id IS NULL
         UNION ALL
        SELECT x.item_type_id, x.item_id
          FROM cases k
          JOIN action_changes x ON x.site_id = %(site_id)s AND x.action_id = k.action_id
         WHERE k.site_id = %(site_id)s AND k.state <> 'decided'
         UNION ALL
        SELECT x.item_type_id, x.item_id
          FROM statements s
          JOIN action_changes x ON x.site_id = %(site_id)s AND x.action_id = s.action_id
                               AND x.statement_id = s.statement_id AND x.state <> 'undone'
         WHERE s.site_id = %(site_id)s AND s.created > now() - interval '{APPEAL_MONTHS} months'
           AND NOT EXISTS (SELECT FROM appeals p WHERE p.site_id = %(site_id)s AND p.statement_id = s.statement_id)),
    held AS MATERIALIZED (
        SELECT n.item_type_id, n.item_id FROM contested n
         UNION ALL
        SELECT i.item_type_id, i.item_id
          FROM contested n
          JOIN comments c ON c.site_id = %(site_id)s AND c.comment_id = n.item_id
          JOIN items i ON i.site_id = %(site_id)s AND i.item_id = c.item_id
         WHERE n.item_type_id = {itemtypes.COMMENT}
         UNION ALL
        SELECT {itemtypes.COMMENT}, c.comment_id
          FROM contested n
          JOIN comments c ON c.site_id = %(site_id)s AND c.item_id = n.item_id AND c.is_deleted
         WHERE n.item_type_id NOT IN ({itemtypes.COMMENT}, {itemtypes.PROFILE})
         UNION ALL
        SELECT {itemtypes.COMMENT}, c.comment_id
          FROM contested n
          JOIN comments c ON c.site_id = %(site_id)s AND c.on_profile_id = n.item_id AND c.is_deleted
         WHERE n.item_type_id = {itemtypes.PROFILE})"""
# SQL: what was deleted longer ago than the period, `d`, and is not held.
AGED: Final = """
          FROM deletions d
         WHERE d.site_id = %(site_id)s AND d.deleted < now() - make_interval(days => %(days)s::int)
           AND NOT EXISTS (SELECT FROM held h WHERE h.item_type_id = d.item_type_id AND h.item_id = d.item_id)"""

# The audit goes from its beginning to the first entry that is to stay (audit_chain.py).
PREVIEW_TRACES = Query(
    "retention.preview_traces",
    """
    SELECT 'addresses', count(*), min(a.created)
      FROM audit_log a
     WHERE a.site_id = %(site_id)s AND a.created < now() - make_interval(days => %(address_days)s::int)
       AND a.ip IS NOT NULL
     UNION ALL
    SELECT 'audit', count(e.number), min(e.created)
      FROM audit_heads h
      LEFT JOIN audit_entries e ON e.site_id = %(site_id)s AND e.number > h.base_number
                               AND e.number < coalesce((SELECT min(k.number)
                                                          FROM audit_entries k
                                                         WHERE k.site_id = %(site_id)s
                                                           AND k.created >= now()
                                                               - make_interval(days => %(audit_days)s::int)),
                                                       h.number + 1)
     WHERE h.site_id = %(site_id)s
     UNION ALL
    SELECT 'mail', count(*), min(coalesce(m.sent, m.created))
      FROM mail_outbox m
     WHERE m.site_id = %(site_id)s AND m.state IN ('sent', 'dropped', 'dead')
       AND coalesce(m.sent, m.created) < now() - make_interval(days => %(mail_days)s::int)""",
)

# The comments on a deleted item go with it, deleted themselves or not.
PREVIEW_TEXTS = Query(
    "retention.preview_texts",
    f"""
    WITH {HELD},
    due AS MATERIALIZED (
        SELECT d.item_type_id, d.item_id, d.deleted {AGED}),
    texts AS MATERIALIZED (
        SELECT n.comment_id, min(n.deleted) AS deleted
          FROM (SELECT c.comment_id, d.deleted
                  FROM due d
                  JOIN comments c ON c.site_id = %(site_id)s AND c.comment_id = d.item_id AND c.is_deleted
                 WHERE d.item_type_id = {itemtypes.COMMENT} AND c.markdown <> %(removed)s
                 UNION ALL
                SELECT c.comment_id, d.deleted
                  FROM due d
                  JOIN items i ON i.site_id = %(site_id)s AND i.item_id = d.item_id AND i.is_deleted
                  JOIN comments c ON c.site_id = %(site_id)s AND c.item_id = d.item_id
                 WHERE d.item_type_id <> {itemtypes.COMMENT} AND c.markdown <> %(removed)s) n
         GROUP BY n.comment_id)
    SELECT 'comments', count(*), min(t.deleted) FROM texts t
     UNION ALL
    SELECT 'revisions', count(*), min(t.deleted)
      FROM texts t
      JOIN comment_revisions r ON r.site_id = %(site_id)s AND r.comment_id = t.comment_id
     UNION ALL
    SELECT 'items', count(*), min(d.deleted)
      FROM due d
      JOIN items i ON i.site_id = %(site_id)s AND i.item_id = d.item_id AND i.is_deleted
     WHERE d.item_type_id <> {itemtypes.COMMENT} AND i.title <> %(removed)s""",
    unrestricted="counts of what its owner is about to remove",
)

OF_SITES = Query(
    "retention.of_sites",
    """
    SELECT v.site_id, s.created, v.value -> 'periods', v.value ->> 'set', (v.value ->> 'isJournaled')::boolean
      FROM site_settings v
      JOIN sites s ON s.site_id = v.site_id
     WHERE v.key = 'retention'
     ORDER BY v.site_id""",
    scope=PLATFORM,
)

# Unless the owner has set other ones meanwhile.
JOURNALED = Query(
    "retention.journaled",
    """
    UPDATE site_settings s
       SET value = s.value || '{"isJournaled": true}'
     WHERE s.site_id = %(site_id)s AND s.key = 'retention' AND s.value ->> 'set' = %(set_at)s""",
)

# Of a restored database, whose own ones may be later.
RESTORE = Query(
    "retention.restore",
    """
    INSERT INTO site_settings AS v (site_id, key, value)
    SELECT s.site_id, 'retention',
           jsonb_build_object('periods', %(periods)s::jsonb, 'set', %(set_at)s::text, 'isJournaled', true)
      FROM sites s
     WHERE s.site_id = %(site_id)s AND s.created = %(created)s::timestamptz
        ON CONFLICT (site_id, key) DO UPDATE SET value = EXCLUDED.value
     WHERE (v.value ->> 'set')::timestamptz < %(set_at)s::timestamptz""",
)


class Period(NamedTuple):
    """Bounds of a retention period, in days: a site may set `lowest` to `highest`. `default`: in force where a site
    sets none; None: nothing is deleted there.
    """

    lowest: int
    highest: int
    default: int | None


class SitePeriods(NamedTuple):
    """Periods that the site `site_id` has set, in days by kind, as in `find`. `created`: when the site was made;
    `set_at`: when they were set, as PostgreSQL writes it in JSON; `is_journaled`: the journal of erasures has them.
    """

    site_id: int
    created: datetime.datetime
    days: Mapping[str, int]
    set_at: str
    is_journaled: bool


class AgedRows(NamedTuple):
    """Number of rows of one kind that a period would delete or empty, and the time of the oldest: when it was written,
    for mail when it was sent or, if it was given up, queued, for a text when its thing was deleted; None for 0 rows.
    """

    number: int
    oldest: datetime.datetime | None


def bounds(address_days: int, audit_days: int) -> dict[str, Period]:
    """Return the bounds of each period by its kind: ADDRESSES, AUDIT, DELETED_TEXTS or MAIL. `address_days`,
    `audit_days`: the platform's own periods of client addresses and of the audit, which are their highest and default;
    `audit_days` is the lowest too if it is below LOWEST_AUDIT.
    """
    return {
        ADDRESSES: Period(1, address_days, address_days),
        AUDIT: Period(min(LOWEST_AUDIT, audit_days), audit_days, audit_days),
        DELETED_TEXTS: Period(LOWEST_TEXTS, HIGHEST_TEXTS, None),
        MAIL: Period(LOWEST_MAIL, MAIL_DAYS, MAIL_DAYS),
    }


def find(tx: Reader, site_id: int) -> dict[str, int]:
    """Return the periods that a site has set itself, in days by kind (ADDRESSES and others, as in `bounds`); {} for
    none.
    """
    row = tx.row(FIND, site_id=site_id)
    return _loaded(row[0]) if row else {}


def in_force(own: Mapping[str, int], limits: Mapping[str, Period]) -> dict[str, int | None]:
    """Return the days in force of each kind in `limits`: those of the site's `own` periods, but at most the kind's
    highest; for a kind that `own` lacks the kind's default, None for what is kept for good.
    """
    return {
        kind: min(own[kind], limit.highest) if kind in own else limit.default
        for kind, limit in limits.items()
    }


def checked(
    own: Mapping[str, int], sent: Mapping[str, int], limits: Mapping[str, Period]
) -> dict[str, int]:
    """Return the site's `own` periods with those of `sent` in their place, in days by kind; 0 in `sent` goes back to
    the default, and the kind is then left out. Raises Invalid, naming the kind, for days outside of its limits.
    `limits`: result of `bounds`, which must have each kind of `sent`.
    """
    found = dict(own)
    for kind, days in sent.items():
        limit = limits[kind]
        if days == 0:
            found.pop(kind, None)
        elif not limit.lowest <= days <= limit.highest:
            rule = f"must be {limit.lowest} to {limit.highest} days, or 0 for the default"
            raise Invalid(kind, rule, code=OUT_OF_RANGE)
        else:
            found[kind] = days
    return found


def set_periods(tx: Transaction, author: Author, own: Mapping[str, int]) -> None:
    """Set the periods of the author's site, in days by kind, in place of all its earlier ones, and journal the change;
    a kind that `own` lacks has the default from now on. The site's row must be locked.
    """
    tx.run(SET, site_id=author.site_id, periods=json.dumps(own))
    journal.record_site(tx, author)


def preview(tx: Reader, site_id: int, days: Mapping[str, int | None]) -> dict[str, AgedRows]:
    """Count what periods, `days` in force by kind, would delete or empty on a site now: two statements, one where
    deleted texts are kept for good.

    Keys are addresses, audit and mail, and comments, revisions and items for the texts of deleted things.
    """
    rows = tx.rows(
        PREVIEW_TRACES,
        site_id=site_id,
        address_days=days[ADDRESSES],
        audit_days=days[AUDIT],
        mail_days=days[MAIL],
    )
    found = dict.fromkeys(
        ("addresses", "audit", "mail", "comments", "revisions", "items"), AgedRows(0, None)
    )
    if days[DELETED_TEXTS] is not None:
        rows += tx.rows(PREVIEW_TEXTS, site_id=site_id, days=days[DELETED_TEXTS], removed=REMOVED)
    for kind, count, oldest in rows:
        found[kind] = AgedRows(count, oldest)
    return found


def of_sites(tx: Reader) -> list[SitePeriods]:
    """Return the periods of all sites that have set some, ordered by site id."""
    return [
        SitePeriods(site_id, created, _loaded(days), set_at, is_journaled)
        for site_id, created, days, set_at, is_journaled in tx.rows(OF_SITES)
    ]


def document(days: Mapping[str, int | None], limits: Mapping[str, Period]) -> dict[str, Any]:
    """Return the periods in force, `days` as `in_force` returns them, with their bounds `limits` as a dict for JSON, by
    kind; what is kept for good has no `days`, and where that is the default no `default`.
    """
    return {
        kind: {
            name: value
            for name, value in (
                ("days", days[kind]),
                ("lowest", limit.lowest),
                ("highest", limit.highest),
                ("default", limit.default),
            )
            if value is not None
        }
        for kind, limit in limits.items()
    }


def preview_document(losses: Mapping[str, AgedRows]) -> dict[str, Any]:
    """Return a preview, the result `losses` of `preview`, as a dict for JSON; a kind of 0 rows has no `oldest`."""
    return {
        kind: {
            "count": loss.number,
            **({"oldest": json_fragments.format_time(loss.oldest)} if loss.oldest else {}),
        }
        for kind, loss in losses.items()
    }


def _loaded(value: Any) -> dict[str, int]:
    found = json.loads(value) if isinstance(value, str | bytes) else value
    return {kind: int(days) for kind, days in (found or {}).items()}
