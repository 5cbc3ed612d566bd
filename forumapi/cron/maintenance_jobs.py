"""Scheduled jobs that have no module of their own: counters, statistics, deletion of expired rows, digests, roles.

Each function is the work of the job of its name (schedule.py): runs over all sites in the transaction `tx`, unless it
says otherwise, may run again at any time, and returns its result in words for the log. Views of items need no job: web
processes add them up and write them in batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Final

from forumapi import itemtypes
from forumapi.auth import spam_check
from forumapi.checks import check_queue
from forumapi.config import Config
from forumapi.database.connections import Database, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.models.access import known_network_limit, rate_counters
from forumapi.models.access.access_token import AccessToken
from forumapi.models.cases import report
from forumapi.models.content import geocode_cache
from forumapi.models.journal import audit_address_hashing
from forumapi.models.microcosms import microcosm_counters
from forumapi.models.notifications import webhook_delivery
from forumapi.models.notifications.update_types import EVENT_REMINDER
from forumapi.models.people import profile
from forumapi.models.people.ban import Ban
from forumapi.models.privacy import retention
from forumapi.models.roles import role_recomputation
from forumapi.models.rules import moderation_rule
from forumapi.models.trust import action, sanction
from forumapi.models.usage import platform_growth, site_usage
from forumapi.updates import digest, push_queue

# Days for which events are kept, for readers that are behind; at least one.
EVENT_DAYS: Final = 7
EVENT_DAYS_AHEAD: Final = 3

# Profiles whose roles one run recomputes, in one transaction, for which their requests wait.
MOST_DUE: Final = 500

# Names whose looks one run computes, in some tenths of a second.
MOST_NAMES: Final = 2_000

# Days for which runs of jobs are kept.
KEEP_DAYS: Final = 30

# Microcosms of live sites that are not hidden, nor any of their ancestors.
LIVE: Final = """
    RECURSIVE live AS (
        SELECT m.site_id, m.microcosm_id
          FROM microcosms m
          JOIN sites s ON s.site_id = m.site_id
         WHERE m.parent_id IS NULL AND NOT s.is_deleted AND NOT m.is_deleted AND NOT m.is_moderated
         UNION ALL
        SELECT m.site_id, m.microcosm_id
          FROM microcosms m
          JOIN live l ON l.site_id = m.site_id AND l.microcosm_id = m.parent_id
         WHERE NOT m.is_deleted AND NOT m.is_moderated)"""

SITES_WITH_DELTAS = Query(
    "maintenance_jobs.sites_with_deltas",
    "SELECT DISTINCT d.site_id FROM microcosm_deltas d ORDER BY d.site_id",
    scope=PLATFORM,
)

ONLINE = Query(
    "maintenance_jobs.online",
    """
    UPDATE site_stats s
       SET online_profiles = n.online
      FROM (SELECT s.site_id,
                   (SELECT count(*) FROM profile_counters c
                     WHERE c.site_id = s.site_id AND c.last_active > now() - interval '90 minutes') AS online
              FROM sites s) n
     WHERE s.site_id = n.site_id AND s.online_profiles <> n.online""",
    scope=PLATFORM,
)

STATISTICS = Query(
    "maintenance_jobs.statistics",
    f"""
    WITH {LIVE},
    shown AS (
        SELECT i.site_id,
               count(*) FILTER (WHERE i.item_type_id = {itemtypes.CONVERSATION}) AS conversations,
               count(*) FILTER (WHERE i.item_type_id = {itemtypes.EVENT}) AS events,
               sum(i.comment_count) AS comments
          FROM items i
          JOIN live l ON l.site_id = i.site_id AND l.microcosm_id = i.microcosm_id
         WHERE NOT i.is_deleted AND NOT i.is_moderated
         GROUP BY i.site_id),
    on_profiles AS (
        SELECT c.site_id, count(*) AS comments
          FROM comments c
          JOIN profiles p ON p.site_id = c.site_id AND p.profile_id = c.on_profile_id AND p.is_visible
         WHERE c.on_profile_id IS NOT NULL AND NOT c.is_deleted AND NOT c.is_moderated
         GROUP BY c.site_id),
    people AS (
        SELECT c.site_id, count(*) AS total,
               count(*) FILTER (WHERE c.last_active > now() - interval '90 days') AS active,
               count(*) FILTER (WHERE c.last_active > now() - interval '90 minutes') AS online
          FROM profile_counters c
         GROUP BY c.site_id)
    INSERT INTO site_stats AS t (site_id, active_profiles, online_profiles, total_profiles, total_conversations,
                                 total_events, total_comments, computed)
    SELECT s.site_id, coalesce(p.active, 0), coalesce(p.online, 0), coalesce(p.total, 0),
           coalesce(i.conversations, 0), coalesce(i.events, 0),
           coalesce(i.comments, 0) + coalesce(o.comments, 0), now()
      FROM sites s
      LEFT JOIN shown i ON i.site_id = s.site_id
      LEFT JOIN on_profiles o ON o.site_id = s.site_id
      LEFT JOIN people p ON p.site_id = s.site_id
     WHERE NOT s.is_deleted
        ON CONFLICT (site_id) DO UPDATE
       SET active_profiles = EXCLUDED.active_profiles, online_profiles = EXCLUDED.online_profiles,
           total_profiles = EXCLUDED.total_profiles, total_conversations = EXCLUDED.total_conversations,
           total_events = EXCLUDED.total_events, total_comments = EXCLUDED.total_comments, computed = now()""",
    scope=PLATFORM,
)

FORGET_KEYS = Query(
    "maintenance_jobs.forget_keys",
    "DELETE FROM idempotency_keys k WHERE k.created < now() - make_interval(hours => %(hours)s::int)",
    scope=PLATFORM,
)

FORGET_SINGLE_USE = Query(
    "maintenance_jobs.forget_single_use",
    "DELETE FROM single_use u WHERE u.expires < now()",
    scope=PLATFORM,
)

# Web processes confirm a page for a minute at most (models/pages/page_cache.py).
FORGET_CHANGES = Query(
    "maintenance_jobs.forget_changes",
    "DELETE FROM site_changes c WHERE c.created < now() - interval '1 hour'",
    scope=PLATFORM,
)

FORGET_RIGHT_CHANGES = Query(
    "maintenance_jobs.forget_right_changes",
    "DELETE FROM right_changes c WHERE c.created < now() - interval '1 hour'",
)

FORGET_REFRESH = Query(
    "maintenance_jobs.forget_refresh",
    "DELETE FROM refresh_tokens r WHERE r.expires < now()",
    scope=PLATFORM,
)

# A grant without tokens cannot be used any more.
FORGET_GRANTS = Query(
    "maintenance_jobs.forget_grants",
    """
    DELETE FROM oauth_grants g
     WHERE g.refreshed < now() - interval '1 day'
       AND NOT EXISTS (SELECT 1 FROM refresh_tokens r WHERE r.site_id = g.site_id AND r.family_id = g.grant_id)
       AND NOT EXISTS (SELECT 1 FROM access_tokens t WHERE t.site_id = g.site_id AND t.grant_id = g.grant_id)""",
    scope=PLATFORM,
)

FORGET_MAIL = Query(
    "maintenance_jobs.forget_mail",
    """
    DELETE FROM mail_outbox m
     WHERE (m.state = 'sent' AND m.sent < now() - make_interval(days => %(days)s::int))
        OR (m.state IN ('dropped', 'dead') AND m.created < now() - make_interval(days => %(days)s::int))""",
    scope=PLATFORM,
)

# The latest row of each task is kept: the next due time depends on it.
FORGET_RUNS = Query(
    "maintenance_jobs.forget_runs",
    """
    DELETE FROM task_runs t
     WHERE t.due < now() - make_interval(days => %(days)s::int)
       AND t.due < (SELECT max(l.due) FROM task_runs l WHERE l.task = t.task)""",
)

PARTITIONS = Query(
    "maintenance_jobs.partitions",
    "SELECT p.made, p.dropped FROM event_partitions(%(ahead)s::int, %(keep)s::int) AS p",
)

# Writers insert deltas without waiting for this lock; folding waits for it.
LOCK_COUNTS = Query(
    "maintenance_jobs.lock_counts",
    "SELECT count(*) FROM (SELECT 1 FROM microcosm_counts c ORDER BY c.site_id, c.microcosm_id FOR NO KEY UPDATE) l",
    scope=PLATFORM,
)

# One statement, so that items and their deltas are read from the same snapshot.
COUNT_MICROCOSMS = Query(
    "maintenance_jobs.count_microcosms",
    f"""
    WITH folded AS (DELETE FROM microcosm_deltas d RETURNING d.site_id, d.microcosm_id),
    counted AS (
        SELECT m.site_id, m.microcosm_id,
               count(i.item_id) AS items,
               count(i.item_id) FILTER (WHERE i.item_type_id = {itemtypes.POLL}) AS polls,
               coalesce(sum(i.comment_count), 0) AS comments,
               max(i.last_activity) FILTER (WHERE i.item_type_id IN ({itemtypes.CONVERSATION},
                   {itemtypes.EVENT})) AS activity,
               (array_agg(i.item_id ORDER BY i.last_activity DESC, i.item_id DESC)
                  FILTER (WHERE i.item_type_id IN ({itemtypes.CONVERSATION}, {itemtypes.EVENT})))[1] AS item_id
          FROM microcosms m
          LEFT JOIN items i ON i.site_id = m.site_id AND i.microcosm_id = m.microcosm_id
                           AND NOT i.is_deleted AND NOT i.is_moderated
                               AND i.item_type_id IN ({itemtypes.CONVERSATION}, {itemtypes.POLL}, {itemtypes.EVENT})
         GROUP BY m.site_id, m.microcosm_id)
    UPDATE microcosm_counts c
       SET item_count = n.items, poll_count = n.polls, comment_count = n.comments,
           last_item_id = n.item_id, last_activity = coalesce(n.activity, '-infinity')
      FROM counted n
     WHERE c.site_id = n.site_id AND c.microcosm_id = n.microcosm_id
       AND (c.item_count, c.poll_count, c.comment_count, c.last_item_id, c.last_activity)
           IS DISTINCT FROM (n.items, n.polls, n.comments, n.item_id, coalesce(n.activity, '-infinity'))""",
    scope=PLATFORM,
)

# Order of lists of microcosms, part of the tree that processes cache per acl_version.
RENUMBER = Query(
    "maintenance_jobs.renumber",
    f"""
    WITH {LIVE},
    above AS (
        SELECT l.site_id, l.microcosm_id, l.microcosm_id AS ancestor_id FROM live l
         UNION ALL
        SELECT a.site_id, a.microcosm_id, m.parent_id
          FROM above a
          JOIN microcosms m ON m.site_id = a.site_id AND m.microcosm_id = a.ancestor_id
         WHERE m.parent_id IS NOT NULL),
    weighed AS (
        SELECT a.site_id, a.ancestor_id AS microcosm_id, sum(c.item_count + c.comment_count) AS weight
          FROM above a
          JOIN microcosm_counts c ON c.site_id = a.site_id AND c.microcosm_id = a.microcosm_id
         GROUP BY a.site_id, a.ancestor_id),
    ordered AS (
        SELECT m.site_id, m.microcosm_id,
               row_number() OVER (PARTITION BY m.site_id
                                  ORDER BY coalesce(w.weight, 0) DESC, m.microcosm_id) AS sequence
          FROM microcosms m
          JOIN sites s ON s.site_id = m.site_id AND NOT s.is_deleted
          LEFT JOIN weighed w ON w.site_id = m.site_id AND w.microcosm_id = m.microcosm_id),
    changed AS (
        UPDATE microcosms m
           SET sequence = o.sequence
          FROM ordered o
         WHERE o.site_id = m.site_id AND o.microcosm_id = m.microcosm_id AND o.sequence <> m.sequence
     RETURNING m.site_id)
    UPDATE sites s
       SET acl_version = s.acl_version + 1
     WHERE s.site_id IN (SELECT c.site_id FROM changed c)""",
    scope=PLATFORM,
)

# Of updates with rows only reminders expire: replies, mentions and attendees are kept, others have no rows
# (models/notifications/update_page.py). Rows of a batch, and batches of a run.
FORGET_REMINDERS = Query(
    "maintenance_jobs.forget_reminders",
    f"""
    DELETE FROM updates u
     WHERE (u.site_id, u.update_id) IN (SELECT o.site_id, o.update_id
                                          FROM updates o
                                         WHERE o.update_type_id = {EVENT_REMINDER}
                                           AND o.created < now() - interval '1 month'
                                         ORDER BY o.created
                                         LIMIT %(most)s)""",
    scope=PLATFORM,
)
UPDATES_AT_ONCE: Final = 5000
UPDATE_BATCHES: Final = 20

# The difference is added, so that concurrent writes stay counted.
COUNT_PROFILES = Query(
    "maintenance_jobs.count_profiles",
    f"""
    WITH {LIVE},
    written AS (
        SELECT c.site_id, c.created_by AS profile_id, count(*) AS comments
          FROM comments c
          LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
          LEFT JOIN live l ON l.site_id = i.site_id AND l.microcosm_id = i.microcosm_id
         WHERE NOT c.is_deleted AND NOT c.is_moderated
           AND (c.item_id IS NULL
                OR NOT i.is_deleted AND NOT i.is_moderated AND (i.item_type_id = {itemtypes.HUDDLE}
                    OR l.microcosm_id IS NOT NULL))
         GROUP BY c.site_id, c.created_by),
    begun AS (
        SELECT i.site_id, i.created_by AS profile_id, count(*) AS items
          FROM items i
          JOIN live l ON l.site_id = i.site_id AND l.microcosm_id = i.microcosm_id
         WHERE i.item_type_id = {itemtypes.CONVERSATION} AND NOT i.is_deleted AND NOT i.is_moderated
         GROUP BY i.site_id, i.created_by),
    counted AS (
        SELECT n.site_id, n.profile_id, coalesce(w.comments, 0) - n.comment_count AS comments,
               coalesce(b.items, 0) - n.item_count AS items
          FROM profile_counters n
          JOIN sites s ON s.site_id = n.site_id AND NOT s.is_deleted
          LEFT JOIN written w ON w.site_id = n.site_id AND w.profile_id = n.profile_id
          LEFT JOIN begun b ON b.site_id = n.site_id AND b.profile_id = n.profile_id)
    UPDATE profile_counters n
       SET comment_count = n.comment_count + c.comments, item_count = n.item_count + c.items
      FROM counted c
     WHERE n.site_id = c.site_id AND n.profile_id = c.profile_id AND (c.comments, c.items) <> (0, 0)
 RETURNING n.site_id, n.profile_id""",
    scope=PLATFORM,
)

COUNTING_SITES = Query(
    "maintenance_jobs.counting_sites",
    "SELECT DISTINCT c.site_id FROM criteria c WHERE c.kind IN ('commentCount', 'itemCount')",
    scope=PLATFORM,
)


def fold_counters(tx: Transaction, config: Config) -> str:
    """Add the pending deltas of microcosms' counters to their base rows and delete the deltas; what readers see as the
    sum does not change. Return the result in words.
    """
    sites = [row[0] for row in tx.rows(SITES_WITH_DELTAS)]
    for site_id in sites:
        ids = [row[0] for row in tx.rows(microcosm_counters.LOCK, site_id=site_id, ids=None)]
        if ids:
            tx.run(microcosm_counters.FOLD, site_id=site_id, ids=ids)
    return f"{len(sites)} sites"


def online_profiles(tx: Transaction, config: Config) -> str:
    """Count for each site the profiles that were active within 90 minutes, and store the number where it has changed
    (P-66); return the result in words.
    """
    return f"{tx.run(ONLINE)} sites changed"


def site_statistics(tx: Transaction, config: Config) -> str:
    """Count and store for every site that is not deleted its people (all, active within 90 days, online within 90
    minutes), conversations, events and comments (platform 2.2); return the result in words.
    """
    return f"{tx.run(STATISTICS)} sites"


def short_lived(tx: Transaction, config: Config) -> str:
    """Delete expired rows that live for hours or days: idempotency keys, single-use secrets such as sign-in codes,
    rate-limit counters, change records, geocoders' answers, plans of moderators' actions and what their undoing needs,
    ended sanctions, addresses of guests who reported, verdicts of checks, records of moderation rules. Return the
    numbers in words.
    """
    keys = tx.run(FORGET_KEYS, hours=config.idempotency_hours)
    codes = tx.run(FORGET_SINGLE_USE)
    changes = tx.run(FORGET_CHANGES) + tx.run(FORGET_RIGHT_CHANGES)
    places = geocode_cache.delete_old(tx)
    states, sanctions = action.forget(tx), sanction.forget(tx)
    guests, checks = report.forget_guests(tx), check_queue.forget(tx)
    hits = moderation_rule.forget(tx)
    return (
        f"{keys} idempotency keys, {codes} codes, {rate_counters.forget_old(tx)} counters, "
        f"{changes} changes, {places} places, {states} states of actions, {sanctions} sanctions, "
        f"{guests} reporting guests, {checks} checks, {hits} records of rules"
    )


def event_partitions(tx: Transaction, config: Config) -> str:
    """Create the event log's partitions of the next EVENT_DAYS_AHEAD days, and drop those of more than EVENT_DAYS ago
    that no reader needs, each in a transaction of its own and not in `tx`; return the result in words.
    """
    made = dropped = 0
    with closing(Database(config.direct_url, size=1, prepare=False, timeout_ms=60_000)) as database:
        while True:
            with database.write() as own:
                row = own.row(PARTITIONS, ahead=EVENT_DAYS_AHEAD, keep=EVENT_DAYS)
            assert row is not None, "the function returns one row"
            if not any(row):
                return f"{made} made, {dropped} dropped"
            made, dropped = made + row[0], dropped + row[1]


def metrics(tx: Transaction, config: Config) -> str:
    """Store one sample of the platform's figures (platform 8) if the setting `mode` is "prod", else nothing; return the
    result in words.
    """
    if config.mode != "prod":
        return "not in this environment"
    return f"{platform_growth.sample(tx)} sample"


def old_usage(tx: Transaction, config: Config) -> str:
    """Delete the usage of sites that is older than site_usage.KEPT_DAYS; return the result in words."""
    return f"{site_usage.delete_old(tx)} hours"


def microcosm_counts(tx: Transaction, config: Config) -> str:
    """Correct the numbers of items and comments and the latest item of every microcosm, then order each site's
    microcosms by the numbers, those of the microcosms below included; return the result in words.
    """
    tx.row(LOCK_COUNTS)
    corrected = tx.run(COUNT_MICROCOSMS)
    return f"{corrected} corrected, order changed on {tx.run(RENUMBER)} sites"


def expired_credentials(tx: Transaction, config: Config) -> str:
    """Delete expired tokens, OAuth grants and bans; old mail, push, runs of jobs, sign-in networks, spam verdicts and
    dead letters of webhooks (P-21). Hash the addresses in audit entries older than `audit_address_days`. Return the
    result in words.

    Audit entries themselves are deleted by the job `audit_heads`.
    """
    tokens = AccessToken.delete_expired(tx) + tx.run(FORGET_REFRESH)
    known_network_limit.forget_old(tx)
    tx.run(FORGET_GRANTS)
    bans = Ban.delete_expired(tx)
    hashed = audit_address_hashing.hash_addresses(tx, config.audit_address_days)
    spam_check.forget(tx, config.audit_retention_days)
    tx.run(FORGET_MAIL, days=retention.MAIL_DAYS)
    tx.run(FORGET_RUNS, days=KEEP_DAYS)
    letters = webhook_delivery.forget_old(tx, EVENT_DAYS)
    push_queue.forget_old(tx)
    return f"{tokens} tokens, {bans} bans, {hashed} addresses hashed, {letters} dead letters"


def old_updates(tx: Transaction, config: Config) -> str:
    """Delete updates that remind of an event, a month after they were made, UPDATE_BATCHES batches a run; other updates
    are kept. Return the result in words.
    """
    forgotten = 0
    for _ in range(UPDATE_BATCHES):
        found = tx.run(FORGET_REMINDERS, most=UPDATES_AT_ONCE)
        forgotten += found
        if found < UPDATES_AT_ONCE:
            break
    return f"{forgotten} reminders"


def profile_counts(tx: Transaction, config: Config) -> str:
    """Correct the numbers of comments and conversations of every profile (P-68), and recompute the roles of corrected
    profiles on sites with criteria on these numbers; return the result in words.
    """
    corrected = tx.rows(COUNT_PROFILES)
    counting = {row[0] for row in tx.rows(COUNTING_SITES)}
    _settle(tx, [(site_id, id) for site_id, id in corrected if site_id in counting])
    return f"{len(corrected)} profiles corrected"


def name_looks(tx: Transaction, config: Config) -> str:
    """Compute and store the skeletons of profile names that have none yet, MOST_NAMES a run; return the result in
    words.
    """
    return f"{profile.store_looks(tx, MOST_NAMES)} names"


def digests(tx: Transaction, config: Config) -> str:
    """Queue the mails of digests whose time has come, digest.MOST a run, and set their next times; return the result in
    words.
    """
    return f"{digest.queue_due(tx)} digests"


def due_roles(tx: Transaction, config: Config) -> str:
    """Recompute the roles of profiles that meet other criteria than before by the passage of time alone, MOST_DUE a
    run; return the result in words. Profiles that make requests need no job: the request recomputes their roles.
    """
    due = role_recomputation.due(tx, MOST_DUE)
    _settle(tx, due)
    return f"{len(due)} profiles"


def _settle(tx: Transaction, profiles: Sequence[tuple[int, int]]) -> None:
    """Recompute the roles of the profiles, each given by site id and profile id."""
    by_site: dict[int, list[int]] = {}
    for site_id, profile_id in sorted(profiles):
        by_site.setdefault(site_id, []).append(profile_id)
    for site_id, ids in by_site.items():
        role_recomputation.recompute_roles(tx, site_id, ids)
