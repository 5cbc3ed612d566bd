"""Verification of a database's counters: each stored count is computed again from the counted rows, in plain SQL.

It is made for seeded databases. What the running platform stores passes as well, except for history that retention has
dropped; counts that wait in `microcosm_deltas` are added first.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import sql

from forumapi import itemtypes
from forumapi.command.seed.bulk_loader import TABLES

_SHOWN: Final = 5  # differences shown of each check

# Name -> a query that gives one row per difference. The first columns say where, the last two what
# is stored and what is right.
CHECKS: Final[dict[str, str]] = {
    "items.comment_count": """
        SELECT i.site_id, i.item_id, i.comment_count, count(c.*)
          FROM items i
          LEFT JOIN comments c ON c.site_id = i.site_id AND c.item_id = i.item_id
               AND NOT c.is_deleted AND NOT c.is_moderated
         GROUP BY i.site_id, i.item_id
        HAVING i.comment_count <> count(c.*)""",
    "items.last_seq": """
        SELECT i.site_id, i.item_id, i.last_seq, count(c.*)
          FROM items i
          LEFT JOIN comments c ON c.site_id = i.site_id AND c.item_id = i.item_id
         GROUP BY i.site_id, i.item_id
        HAVING i.last_seq <> count(c.*) OR i.last_seq <> coalesce(max(c.seq), 0)
            OR coalesce(min(c.seq), 1) <> 1""",
    "comments.seq follows time and id": """
        SELECT x.site_id, x.item_id, x.seq, x.comment_id
          FROM (SELECT site_id, item_id, seq, comment_id, created,
                       lag(seq) OVER w AS seq_before, lag(comment_id) OVER w AS id_before,
                       lag(created) OVER w AS created_before
                  FROM comments WHERE item_id IS NOT NULL
                WINDOW w AS (PARTITION BY site_id, item_id ORDER BY seq)) x
         WHERE x.seq <> x.seq_before + 1 OR x.comment_id <= x.id_before
            OR x.created <= x.created_before""",
    "items.last_comment": """
        SELECT i.site_id, i.item_id, (i.last_comment_id, i.last_comment_at, i.last_comment_by)::text,
               (c.comment_id, c.created, c.created_by)::text
          FROM items i
          LEFT JOIN (SELECT DISTINCT ON (site_id, item_id) site_id, item_id, comment_id, created,
                            created_by
                       FROM comments
                      WHERE item_id IS NOT NULL AND NOT is_deleted AND NOT is_moderated
                      ORDER BY site_id, item_id, created DESC, comment_id DESC) c
            ON c.site_id = i.site_id AND c.item_id = i.item_id
         WHERE (i.last_comment_id, i.last_comment_at, i.last_comment_by)
               IS DISTINCT FROM (c.comment_id, c.created, c.created_by)""",
    "items.last_activity": """
        SELECT site_id, item_id, last_activity, coalesce(last_comment_at, created)
          FROM items
         WHERE NOT is_deleted AND NOT is_moderated
           AND last_activity <> coalesce(last_comment_at, created)""",
    "item_authors.live": """
        SELECT coalesce(a.site_id, c.site_id), coalesce(a.item_id, c.item_id),
               coalesce(a.profile_id, c.created_by), a.live, c.live
          FROM item_authors a
          FULL JOIN (SELECT site_id, item_id, created_by,
                            count(*) FILTER (WHERE NOT is_deleted AND NOT is_moderated) AS live
                       FROM comments WHERE item_id IS NOT NULL
                      GROUP BY site_id, item_id, created_by) c
            ON c.site_id = a.site_id AND c.item_id = a.item_id AND c.created_by = a.profile_id
         WHERE a.live IS DISTINCT FROM c.live""",
    "item_views": """
        SELECT i.site_id, i.item_id, NULL, 'a row'
          FROM items i LEFT JOIN item_views v USING (site_id, item_id)
         WHERE v.views IS NULL""",
    "microcosm_counts": f"""
        SELECT m.site_id, m.microcosm_id,
               (c.item_count + d.items, c.poll_count + d.polls, c.comment_count + d.comments)::text,
               (r.items, r.polls, r.comments)::text
          FROM microcosms m
          LEFT JOIN microcosm_counts c USING (site_id, microcosm_id)
         CROSS JOIN LATERAL
               (SELECT coalesce(sum(items), 0) AS items, coalesce(sum(polls), 0) AS polls,
                       coalesce(sum(comments), 0) AS comments
                  FROM microcosm_deltas d
                 WHERE d.site_id = m.site_id AND d.microcosm_id = m.microcosm_id) d
          LEFT JOIN (SELECT site_id, microcosm_id, count(*) AS items,
                            count(*) FILTER (WHERE item_type_id = {itemtypes.POLL}) AS polls,
                            sum(comment_count) AS comments
                       FROM items WHERE NOT is_deleted AND NOT is_moderated
                      GROUP BY site_id, microcosm_id) r USING (site_id, microcosm_id)
         WHERE (c.item_count + d.items, c.poll_count + d.polls, c.comment_count + d.comments)
               IS DISTINCT FROM
               (coalesce(r.items, 0), coalesce(r.polls, 0), coalesce(r.comments, 0))""",
    "microcosm_counts.last_item_id": f"""
        SELECT c.site_id, c.microcosm_id, (c.last_item_id, c.last_activity)::text,
               (i.item_id, i.last_activity)::text
          FROM microcosm_counts c
          LEFT JOIN (SELECT DISTINCT ON (site_id, microcosm_id) site_id, microcosm_id, item_id,
                            last_activity
                       FROM items
                      WHERE item_type_id IN ({itemtypes.CONVERSATION}, {itemtypes.EVENT}) AND NOT is_deleted
                          AND NOT is_moderated
                      ORDER BY site_id, microcosm_id, last_activity DESC, item_id DESC) i
               USING (site_id, microcosm_id)
         WHERE (c.last_item_id, c.last_activity)
               IS DISTINCT FROM (i.item_id, coalesce(i.last_activity, '-infinity'))
           AND NOT EXISTS (SELECT FROM microcosm_deltas d
                            WHERE d.site_id = c.site_id AND d.microcosm_id = c.microcosm_id)""",
    "microcosms.sequence": """
        WITH RECURSIVE up AS (
            SELECT site_id, microcosm_id, microcosm_id AS ancestor_id FROM microcosms
            UNION ALL
            SELECT u.site_id, u.microcosm_id, m.parent_id
              FROM up u JOIN microcosms m ON m.site_id = u.site_id AND m.microcosm_id = u.ancestor_id
             WHERE m.parent_id IS NOT NULL
        ), weights AS (
            SELECT u.site_id, u.ancestor_id AS microcosm_id,
                   sum(c.item_count + c.comment_count) AS weight
              FROM up u JOIN microcosm_counts c USING (site_id, microcosm_id)
             GROUP BY u.site_id, u.ancestor_id
        )
        SELECT m.site_id, m.microcosm_id, m.sequence, w.rank
          FROM microcosms m
          JOIN (SELECT site_id, microcosm_id,
                       row_number() OVER (PARTITION BY site_id ORDER BY weight DESC, microcosm_id)
                           AS rank
                  FROM weights) w USING (site_id, microcosm_id)
         WHERE m.sequence <> w.rank""",
    "profile_counters": f"""
        SELECT p.site_id, p.profile_id, (k.item_count, k.comment_count)::text,
               (coalesce(i.items, 0), coalesce(c.comments, 0))::text
          FROM profiles p
          LEFT JOIN profile_counters k USING (site_id, profile_id)
          LEFT JOIN (SELECT site_id, created_by AS profile_id, count(*) AS items FROM items
                      WHERE item_type_id = {itemtypes.CONVERSATION} AND NOT is_deleted AND NOT is_moderated
                      GROUP BY site_id, created_by) i USING (site_id, profile_id)
          LEFT JOIN (SELECT site_id, created_by AS profile_id, count(*) AS comments FROM comments
                      WHERE NOT is_deleted AND NOT is_moderated
                      GROUP BY site_id, created_by) c USING (site_id, profile_id)
         WHERE (k.item_count, k.comment_count)
               IS DISTINCT FROM (coalesce(i.items, 0), coalesce(c.comments, 0))""",
    "profile_counters.name_key": """
        SELECT p.site_id, p.profile_id, k.name_key, lower(p.profile_name)
          FROM profiles p
          JOIN profile_counters k USING (site_id, profile_id)
         WHERE k.name_key <> lower(p.profile_name)""",
    "site_people": """
        SELECT p.site_id, 0, s.total, p.people
          FROM (SELECT site_id, count(*) AS people FROM profiles GROUP BY site_id) p
          LEFT JOIN site_people s USING (site_id)
         WHERE s.total IS DISTINCT FROM p.people""",
    "profile_counters.last_active": """
        SELECT k.site_id, k.profile_id, k.last_active, x.latest
          FROM profile_counters k
          JOIN (SELECT site_id, created_by AS profile_id, max(created) AS latest
                  FROM (SELECT site_id, created_by, created FROM items
                        UNION ALL SELECT site_id, created_by, created FROM comments) posts
                 GROUP BY site_id, created_by) x USING (site_id, profile_id)
         WHERE k.last_active < x.latest OR k.last_active > now()""",
    "profiles.bio_comment_id": """
        SELECT p.site_id, p.profile_id, p.bio_comment_id, c.comment_id
          FROM profiles p
          LEFT JOIN (SELECT site_id, on_profile_id AS profile_id, max(comment_id) AS comment_id
                       FROM comments
                      WHERE on_profile_id IS NOT NULL AND NOT is_deleted AND NOT is_moderated
                      GROUP BY site_id, on_profile_id) c USING (site_id, profile_id)
         WHERE p.bio_comment_id IS DISTINCT FROM c.comment_id""",
    "profiles.is_member": f"""
        SELECT p.site_id, p.profile_id, p.is_member, a.boolean_value
          FROM profiles p
          LEFT JOIN attributes a ON a.site_id = p.site_id AND a.item_type_id = {itemtypes.PROFILE}
               AND a.item_id = p.profile_id AND a.key = 'is_member'
         WHERE p.is_member <> coalesce(a.boolean_value, false)""",
    "profiles.role_ids": """
        SELECT p.site_id, p.profile_id, p.role_ids, r.role_ids
          FROM profiles p
          LEFT JOIN (SELECT site_id, profile_id, array_agg(role_id ORDER BY role_id) AS role_ids
                       FROM role_profiles GROUP BY site_id, profile_id) r USING (site_id, profile_id)
         WHERE p.role_ids <> coalesce(r.role_ids, '{}')
           AND NOT EXISTS (SELECT FROM criteria c WHERE c.site_id = p.site_id)""",
    "profiles.profile_name": """
        SELECT site_id, profile_id, profile_name, '2-25 characters, no space, @ or +'
          FROM profiles
         WHERE length(profile_name) NOT BETWEEN 2 AND 25 OR profile_name ~ '[[:space:]@+]'""",
    "profiles joined before they wrote": """
        SELECT p.site_id, p.profile_id, p.created, x.earliest
          FROM profiles p
          JOIN (SELECT site_id, created_by AS profile_id, min(created) AS earliest
                  FROM (SELECT site_id, created_by, created FROM items
                        UNION ALL SELECT site_id, created_by, created FROM comments) posts
                 GROUP BY site_id, created_by) x USING (site_id, profile_id)
         WHERE p.created > x.earliest""",
    "profile_options": """
        SELECT p.site_id, p.profile_id, NULL, 'a row'
          FROM profiles p LEFT JOIN profile_options o USING (site_id, profile_id)
         WHERE o.profile_id IS NULL""",
    "users.person_key": """
        SELECT user_id, person_key, lower(email) FROM users
         WHERE person_key <> lower(email) AND email !~* '@(gmail|googlemail)\\.com$'""",
    "site_stats": f"""
        SELECT s.site_id,
               (x.active_profiles, x.online_profiles, x.total_profiles, x.total_conversations,
                x.total_events, x.total_comments)::text,
               (p.active, p.online, p.total, i.conversations, i.events, c.comments)::text
          FROM sites s
          LEFT JOIN site_stats x USING (site_id)
         CROSS JOIN LATERAL
               (SELECT count(*) FILTER (WHERE k.last_active > x.computed - interval '90 days')
                           AS active,
                       count(*) FILTER (WHERE k.last_active > x.computed - interval '90 minutes')
                           AS online,
                       count(*) AS total
                  FROM profile_counters k WHERE k.site_id = s.site_id) p
         CROSS JOIN LATERAL
               (SELECT count(*) FILTER (WHERE i.item_type_id = {itemtypes.CONVERSATION}) AS conversations,
                       count(*) FILTER (WHERE i.item_type_id = {itemtypes.EVENT}) AS events
                  FROM items i JOIN microcosms m USING (site_id, microcosm_id)
                 WHERE i.site_id = s.site_id AND NOT i.is_deleted AND NOT i.is_moderated
                   AND NOT m.is_deleted AND NOT m.is_moderated) i
         CROSS JOIN LATERAL
               (SELECT count(*) AS comments
                  FROM comments c
                  LEFT JOIN items i USING (site_id, item_id)
                  LEFT JOIN microcosms m USING (site_id, microcosm_id)
                 WHERE c.site_id = s.site_id AND NOT c.is_deleted AND NOT c.is_moderated
                   AND i.item_type_id IS DISTINCT FROM 5
                   AND NOT coalesce(i.is_deleted OR i.is_moderated, false)
                   AND NOT coalesce(m.is_deleted OR m.is_moderated, false)) c
         WHERE (x.active_profiles, x.online_profiles, x.total_profiles, x.total_conversations,
                x.total_events, x.total_comments)
               IS DISTINCT FROM (p.active, p.online, p.total, i.conversations, i.events, c.comments)
               """,
    "sites": """
        SELECT s.site_id, (s.root_microcosm_id, s.owned_by, s.created_by, o.site_id)::text,
               m.microcosm_id
          FROM sites s
          LEFT JOIN microcosms m ON m.site_id = s.site_id AND m.parent_id IS NULL
          LEFT JOIN site_options o ON o.site_id = s.site_id
         WHERE s.site_id > 1
           AND (s.root_microcosm_id IS DISTINCT FROM m.microcosm_id OR s.owned_by IS NULL
                OR s.created_by IS NULL OR o.site_id IS NULL)""",
    "comments.revisions": """
        SELECT c.site_id, c.comment_id, (c.revisions, c.edited, c.edited_by)::text, count(r.*)
          FROM comments c
          LEFT JOIN comment_revisions r USING (site_id, comment_id)
         GROUP BY c.site_id, c.comment_id
        HAVING c.revisions <> 1 + count(r.*) OR coalesce(max(r.revision), 0) <> count(r.*)
            OR (c.edited IS NULL) <> (c.revisions = 1)
            OR (c.edited IS NULL AND c.edited_by <> c.created_by)
            OR c.edited <= c.created OR max(r.created) > c.edited""",
    "comments.in_reply_to": """
        SELECT c.site_id, c.comment_id, c.in_reply_to, r.comment_id
          FROM comments c
          LEFT JOIN comments r ON r.site_id = c.site_id AND r.comment_id = c.in_reply_to
         WHERE c.in_reply_to IS NOT NULL
           AND (r.item_id, r.on_profile_id) IS DISTINCT FROM (c.item_id, c.on_profile_id)""",
    "nothing is older than what it stands in": """
        SELECT i.site_id, i.item_id, i.created, m.created
          FROM items i JOIN microcosms m USING (site_id, microcosm_id)
         WHERE i.created < m.created
        UNION ALL
        SELECT c.site_id, c.comment_id, c.created, i.created
          FROM comments c JOIN items i USING (site_id, item_id)
         WHERE c.created < i.created OR c.created > now()""",
    "authors watch what they write in": """
        SELECT x.site_id, x.item_id, x.created_by, NULL, 'a watcher'
          FROM (SELECT site_id, item_type_id, item_id, created_by FROM items
                UNION
                SELECT c.site_id, i.item_type_id, c.item_id, c.created_by
                  FROM comments c JOIN items i USING (site_id, item_id)
                UNION
                SELECT site_id, 3, on_profile_id, created_by FROM comments
                 WHERE on_profile_id IS NOT NULL) x
          LEFT JOIN watchers w ON w.site_id = x.site_id AND w.profile_id = x.created_by
               AND w.item_type_id = x.item_type_id AND w.item_id = x.item_id
         WHERE w.watcher_id IS NULL""",
    "what is watched, ignored and read exists": f"""
        SELECT x.site_id, x.profile_id, x.item_type_id, x.item_id, NULL, 'an item'
          FROM (SELECT site_id, profile_id, item_type_id, item_id FROM watchers
                UNION ALL SELECT site_id, profile_id, item_type_id, item_id FROM ignores
                UNION ALL SELECT site_id, profile_id, item_type_id, item_id FROM read_marks) x
          LEFT JOIN items i ON i.site_id = x.site_id AND i.item_id = x.item_id
               AND i.item_type_id = x.item_type_id
          LEFT JOIN profiles p ON x.item_type_id = {itemtypes.PROFILE} AND p.site_id = x.site_id
               AND p.profile_id = x.item_id
          LEFT JOIN microcosms m ON x.item_type_id = {itemtypes.MICROCOSM} AND m.site_id = x.site_id
               AND m.microcosm_id = x.item_id
         WHERE coalesce(i.item_id, p.profile_id, m.microcosm_id) IS NULL AND x.item_type_id <> {itemtypes.SITE}
           AND x.item_id <> 0""",
    "link_uses": """
        SELECT c.site_id, c.comment_id, count(u.*), count(DISTINCT s.code)
          FROM comments c
          LEFT JOIN link_uses u ON u.site_id = c.site_id AND u.comment_id = c.comment_id
               AND u.revision = c.revisions
          LEFT JOIN LATERAL
               (SELECT (regexp_matches(c.html, '<a href="[^"]*/out/([2-9a-zA-Z]+)"', 'g'))[1] AS code) s
            ON true
         WHERE c.html LIKE '%/out/%' OR u.link_id IS NOT NULL
         GROUP BY c.site_id, c.comment_id
        HAVING count(DISTINCT u.link_id) <> count(DISTINCT s.code)""",
    "comment_mentions": """
        SELECT c.site_id, c.comment_id, m.profile_id, s.profile_id
          FROM comments c
          JOIN LATERAL
               (SELECT DISTINCT (regexp_matches(c.html, '<a href="/profiles/(\\d+)">', 'g'))[1]::bigint
                           AS profile_id) s ON true
          LEFT JOIN comment_mentions m ON m.site_id = c.site_id AND m.comment_id = c.comment_id
               AND m.profile_id = s.profile_id
         WHERE c.html LIKE '%<a href="/profiles/%' AND m.profile_id IS NULL""",
}

# Checks of stored counts that hold after any sequence of writes.
COUNTS: Final = (
    "items.comment_count",
    "items.last_seq",
    "comments.seq follows time and id",
    "items.last_comment",
    "item_authors.live",
    "microcosm_counts",
    "microcosm_counts.last_item_id",
    "profile_counters",
    "profiles.bio_comment_id",
    "comments.revisions",
    "comments.in_reply_to",
)

FOREIGN_KEYS: Final = """
    SELECT c.conname, t.relname, f.relname,
           ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k (n, o)
                   JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n ORDER BY k.o),
           ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k (n, o)
                   JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.n ORDER BY k.o)
      FROM pg_constraint c
      JOIN pg_class t ON t.oid = c.conrelid
      JOIN pg_class f ON f.oid = c.confrelid
     WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace AND c.conparentid = 0
     ORDER BY t.relname, c.conname"""


def verify(database_url: str) -> list[str]:
    """Return the differences between stored and computed values, a line each: at most 5 for each check, and then a line
    with the number of the check's further differences; [] if there are none.

    Checks counters and copied values (CHECKS), every foreign key, and that no identity sequence of TABLES can give an
    id again. Reads whole tables: a second for size S, minutes for L.
    """
    found: list[str] = []
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET statement_timeout = 0")
        connection.execute("SET work_mem = '256MB'")
        for name, query in CHECKS.items():
            found += _differences(connection, name, sql.SQL(query))
        for row in connection.execute(FOREIGN_KEYS).fetchall():
            found += _orphans(connection, *row)
        for table, column in TABLES.items():
            if column is not None:
                found += _reused(connection, table, column)
    return found


def recount(database_url: str) -> list[str]:
    """Return the differences between stored and computed counts, a line each as from `verify`, [] for none, in a
    database that the platform itself has written to. Other values, foreign keys and sequences are not checked, unlike
    by `verify`.
    """
    found: list[str] = []
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in COUNTS:
            found += _differences(connection, name, sql.SQL(CHECKS[name]))
    return found


def _differences(connection: psycopg.Connection[Any], name: str, query: sql.SQL) -> list[str]:
    rows = connection.execute(query).fetchall()
    shown = [f"{name}: {row}" for row in rows[:_SHOWN]]
    return shown + ([f"{name}: {len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else [])


def _orphans(
    connection: psycopg.Connection[Any],
    name: str,
    table: str,
    parent: str,
    columns: list[str],
    keys: list[str],
) -> list[str]:
    given = sql.SQL(" AND ").join(
        sql.SQL("t.{} IS NOT NULL").format(sql.Identifier(c)) for c in columns
    )
    same = sql.SQL(" AND ").join(
        sql.SQL("p.{} = t.{}").format(sql.Identifier(k), sql.Identifier(c))
        for k, c in zip(keys, columns, strict=True)
    )
    query = sql.SQL(
        "SELECT count(*) FROM {} t WHERE {} AND NOT EXISTS (SELECT FROM {} p WHERE {})"
    ).format(sql.Identifier(table), given, sql.Identifier(parent), same)
    orphans = _value(connection, query)
    if not orphans:
        return []
    return [f"foreign key {name}: {orphans} rows of {table} without one in {parent}"]


def _reused(connection: psycopg.Connection[Any], table: str, column: str) -> list[str]:
    top = _value(
        connection,
        sql.SQL("SELECT coalesce(max({}), 0) FROM {}").format(
            sql.Identifier(column), sql.Identifier(table)
        ),
    )
    sequence = _value(
        connection,
        sql.SQL("SELECT pg_get_serial_sequence({}, {})").format(
            sql.Literal(table), sql.Literal(column)
        ),
    )
    given = sql.SQL("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {}")
    last = _value(connection, given.format(sql.SQL(sequence)))
    return [] if last >= top else [f"{sequence}: gives {last + 1} next, {top} is taken"]


def _value(connection: psycopg.Connection[Any], query: sql.Composed) -> Any:
    row = connection.execute(query).fetchone()
    return None if row is None else row[0]
