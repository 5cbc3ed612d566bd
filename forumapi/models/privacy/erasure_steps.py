"""Steps of the erasing of a profile and of an account, each in batches that continue where the last one committed.

Each batch is one transaction, which locks the row of `erasures` and stores how far the step is: a process that is
killed loses one batch at most, and two processes never work on one profile. The first step separates the profile from
its user; all that the person could still reach is gone with it. Words that stay belong from then on to a profile
without a person.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import Final

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, SITE, Query
from forumapi.itemtypes import ItemRef
from forumapi.models.access import access_token, platform_secret
from forumapi.models.cases import report
from forumapi.models.content.comment import Comment
from forumapi.models.content.huddle import Huddle
from forumapi.models.journal import audit_chain, journal
from forumapi.models.journal.journal import Author
from forumapi.models.privacy import erasure_request
from forumapi.models.roles import role_recomputation
from forumapi.models.texts import text_removal
from forumapi.models.texts.text_removal import REMOVED
from forumapi.text.name_skeletons import looks

# Rows of one batch, whose locks others wait for; comments that one batch looks through for mentions.
MOST: Final = 500
MOST_READ: Final = 5_000
MOST_HUDDLES: Final = 20

# ---------------------------------------------------------------- begin

# An owner's request waits until the site is handed over.
DUE_ACCOUNT = Query(
    "erasure_steps.due_account",
    """
    UPDATE account_erasures e
       SET state = 'running'
     WHERE e.user_id = (SELECT w.user_id FROM account_erasures w
                         WHERE w.state = 'waiting' AND w.due <= now()
                           AND NOT EXISTS (SELECT FROM sites s
                                             JOIN profiles p ON p.site_id = s.site_id AND p.profile_id = s.owned_by
                                            WHERE p.user_id = w.user_id AND NOT s.is_deleted)
                         ORDER BY w.due LIMIT 1 FOR UPDATE SKIP LOCKED)""",
    scope=PLATFORM,
)
DUE_PROFILE = Query(
    "erasure_steps.due_profile",
    """
    UPDATE erasures e
       SET state = 'running'
      FROM (SELECT w.site_id, w.profile_id FROM erasures w
             WHERE w.state = 'waiting' AND w.due <= now()
               AND NOT EXISTS (SELECT FROM sites s
                                WHERE s.site_id = w.site_id AND s.owned_by = w.profile_id AND NOT s.is_deleted)
             ORDER BY w.due LIMIT 1 FOR UPDATE SKIP LOCKED) due
     WHERE e.site_id = due.site_id AND e.profile_id = due.profile_id""",
    scope=PLATFORM,
)

# What runs and is not in the journal of erasures yet: names no person, and the time of creation tells an id from the
# same id that a restored database gave to somebody else.
UNJOURNALED = Query(
    "erasure_steps.unjournaled",
    """
    SELECT 0::bigint AS site_id, e.user_id, u.created, e.words
      FROM account_erasures e
      JOIN users u ON u.user_id = e.user_id
     WHERE e.state = 'running' AND NOT e.is_journaled
     UNION ALL
    SELECT e.site_id, e.profile_id, p.created, e.words
      FROM erasures e
      JOIN profiles p ON p.site_id = e.site_id AND p.profile_id = e.profile_id
     WHERE e.state = 'running' AND NOT e.is_journaled""",
    scope=PLATFORM,
)
JOURNALED_ACCOUNT = Query(
    "erasure_steps.journaled_account",
    "UPDATE account_erasures e SET is_journaled = true WHERE e.user_id = %(user_id)s",
)
JOURNALED_PROFILE = Query(
    "erasure_steps.journaled_profile",
    "UPDATE erasures e SET is_journaled = true WHERE e.site_id = %(site_id)s AND e.profile_id = %(profile_id)s",
)

LOCK_ACCOUNT = Query(
    "erasure_steps.lock_account",
    """
    SELECT e.user_id, e.words
      FROM account_erasures e
     WHERE e.state = 'running' AND e.is_journaled
     ORDER BY e.due
     LIMIT 1
       FOR UPDATE SKIP LOCKED""",
)

# A site that keeps words keeps them here too.
SPREAD = Query(
    "erasure_steps.spread",
    """
    INSERT INTO erasures AS e (site_id, profile_id, words, state, of_account, due)
    SELECT p.site_id, p.profile_id,
           CASE WHEN EXISTS (SELECT FROM site_settings s WHERE s.site_id = p.site_id AND s.key = 'erasure'
                                AND s.value ->> 'words' = 'keep') THEN 'keep' ELSE %(words)s END,
           'running', true, now()
      FROM profiles p
     WHERE p.user_id = %(user_id)s
     ORDER BY p.site_id, p.profile_id
        ON CONFLICT (site_id, profile_id) DO UPDATE
       SET state = 'running', of_account = true, words = EXCLUDED.words
     WHERE e.state = 'waiting'""",
    scope=PLATFORM,
)

PROFILES_LEFT = Query(
    "erasure_steps.profiles_left",
    "SELECT count(*) FROM profiles p WHERE p.user_id = %(user_id)s",
    scope=PLATFORM,
)

# ---------------------------------------------------------------- the account

# Bans in force stay, with the number of a user without address; their texts may name the person.


def _of_account(table: str) -> Query:
    return Query(
        f"erasure_steps.account_{table}",
        f"DELETE FROM {table} t WHERE t.user_id = %(user_id)s",
        scope=PLATFORM if table == "access_tokens" else SITE,
    )


ACCOUNT_ROWS: Final = (
    _of_account("access_tokens"),
    _of_account("one_time_secrets"),
    _of_account("recovery_codes"),
    _of_account("passkeys"),
    _of_account("sign_in_places"),
    _of_account("right_changes"),
)
# Reports that the person made as a guest, on any site.
ACCOUNT_REPORTS = Query(
    "erasure_steps.account_reports",
    f"""
    UPDATE reports r
       SET guest_email = '', guest_name = '', guest_key = NULL, text = '',
           reporter_hash = {report.reporter_hash("u.person_key")}
      FROM users u
     WHERE u.user_id = %(user_id)s AND r.guest_key = u.person_key""",
    scope=PLATFORM,
)
ACCOUNT_CODES = Query(
    "erasure_steps.account_codes",
    """
    DELETE FROM single_use s
     USING users u
     WHERE u.user_id = %(user_id)s
       AND (s.subject IN (u.person_key, lower(u.email)) OR s.payload ->> 'email' = u.email
            OR s.kind = 'email-change' AND s.subject = u.user_id::text
            OR s.payload ->> 'user' = u.user_id::text)""",
    scope=PLATFORM,
)
ACCOUNT_ATTEMPTS = Query(
    "erasure_steps.account_attempts",
    """
    DELETE FROM attempt_counters a
     USING users u
     WHERE u.user_id = %(user_id)s
       AND (a.subject IN (u.person_key, lower(u.email)) OR starts_with(a.subject, u.person_key || ' '))""",
)
ACCOUNT_MAIL = Query(
    "erasure_steps.account_mail",
    """
    DELETE FROM mail_outbox m
     USING users u
     WHERE u.user_id = %(user_id)s AND lower(m.recipient) IN (lower(u.email), u.person_key)""",
    scope=PLATFORM,
)
ACCOUNT_BANS = Query(
    "erasure_steps.account_bans",
    "DELETE FROM bans b WHERE b.user_id = %(user_id)s AND b.expires < now()",
    scope=PLATFORM,
)
ACCOUNT_BAN_TEXTS = Query(
    "erasure_steps.account_ban_texts",
    "UPDATE bans b SET display_reason = '', admin_reason = '' WHERE b.user_id = %(user_id)s",
    scope=PLATFORM,
)
END_ACCOUNT = Query(
    "erasure_steps.end_account",
    "DELETE FROM account_erasures e WHERE e.user_id = %(user_id)s",
)
HIDE_USER = Query(
    "erasure_steps.hide_user",
    """
    UPDATE users u
       SET email = 'erased-user-' || u.user_id || '@erased.invalid',
           canonical_email = 'erased-user-' || u.user_id || '@erased.invalid',
           person_key = 'erased-user-' || u.user_id || '@erased.invalid', email_verified = false, language = '',
           gender = NULL, state = NULL, dob_day = NULL, dob_month = NULL, dob_year = NULL
     WHERE u.user_id = %(user_id)s""",
)
DELETE_USER = Query(
    "erasure_steps.delete_user",
    """
    DELETE FROM users u
     WHERE u.user_id = %(user_id)s AND NOT EXISTS (SELECT FROM bans b WHERE b.user_id = u.user_id)""",
    scope=PLATFORM,
)

# ---------------------------------------------------------------- one profile

LOCK = Query(
    "erasure_steps.lock",
    """
    SELECT e.site_id, e.profile_id, e.words, e.step, nullif(e.upto_time, '-infinity'), e.upto_id, e.old_name,
           e.old_email, p.user_id, p.version
      FROM erasures e
      JOIN profiles p ON p.site_id = e.site_id AND p.profile_id = e.profile_id
     WHERE e.state = 'running' AND e.is_journaled
     ORDER BY e.due, e.site_id, e.profile_id
     LIMIT 1
       FOR UPDATE OF e SKIP LOCKED""",
    scope=PLATFORM,
)
MOVE = Query(
    "erasure_steps.move",
    """
    UPDATE erasures e
       SET step = %(step)s, upto_time = coalesce(%(upto_time)s::timestamptz, '-infinity'), upto_id = %(upto_id)s
     WHERE e.site_id = %(site_id)s AND e.profile_id = %(profile_id)s""",
)
FINISH = Query(
    "erasure_steps.finish",
    """
    UPDATE erasures e
       SET state = 'done', finished = now(), old_name = '', old_email = '', upto_time = '-infinity', upto_id = 0
     WHERE e.site_id = %(site_id)s AND e.profile_id = %(profile_id)s""",
)

# The person's user stays where they have other profiles; this one gets a user of its own, that nobody is.
HOLD = Query(
    "erasure_steps.hold",
    f"""
    SELECT p.profile_name, u.email
      FROM {role_recomputation.LOCK_ROLES_SHARED} AS held
     CROSS JOIN profiles p
      JOIN users u ON u.user_id = p.user_id
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s
       FOR NO KEY UPDATE OF p""",
)
REMEMBER = Query(
    "erasure_steps.remember",
    """
    UPDATE erasures e
       SET old_name = %(name)s, old_email = %(email)s
     WHERE e.site_id = %(site_id)s AND e.profile_id = %(profile_id)s""",
)
NOBODY = Query(
    "erasure_steps.nobody",
    """
    INSERT INTO users (email, canonical_email, person_key)
    VALUES (%(key)s, %(key)s, %(key)s)
        ON CONFLICT (person_key) DO UPDATE SET email = EXCLUDED.email
 RETURNING user_id""",
)
END_ACCESS: Final = (
    Query(
        "erasure_steps.end_grants",
        "DELETE FROM oauth_grants t WHERE t.site_id = %(site_id)s AND t.user_id = %(user_id)s",
    ),
    Query(
        "erasure_steps.end_tokens",
        "DELETE FROM access_tokens t WHERE t.site_id = %(site_id)s AND t.user_id = %(user_id)s",
    ),
)
MOVE_BALLOTS = Query(
    "erasure_steps.move_ballots",
    """
    UPDATE poll_ballots b
       SET user_id = %(nobody)s::bigint
     WHERE b.site_id = %(site_id)s AND b.user_id = %(user_id)s""",
)
NAME_IS_FREE = Query(
    "erasure_steps.name_is_free",
    """
    SELECT NOT EXISTS (SELECT FROM profiles o
                        WHERE o.site_id = %(site_id)s AND o.profile_id <> %(profile_id)s
                          AND (lower(o.profile_name) = lower(%(name)s::text) OR o.name_looks && %(looks)s::text[]))""",
)
ANONYMISE = Query(
    "erasure_steps.anonymise",
    """
    WITH changed AS (
        UPDATE profiles p
           SET user_id = %(nobody)s::bigint, profile_name = %(name)s, name_looks = %(looks)s::text[], gender = NULL,
               style_id = 0, avatar_url = '', avatar_id = NULL, is_member = false, huddles_confirmed = NULL,
               all_read_at = '-infinity', huddles_read_at = '-infinity', version = p.version + 1
         WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s
     RETURNING p.site_id, p.profile_id, p.version),
    options AS (
        UPDATE profile_options o
           SET show_dob = false, show_dob_year = false, send_email = false, send_sms = false, is_discouraged = false,
               time_zone = 'UTC', digest = 'none', digest_due = NULL
          FROM changed
         WHERE o.site_id = changed.site_id AND o.profile_id = changed.profile_id),
    shown AS (
        UPDATE sites s
           SET version = s.version + 1
          FROM changed
         WHERE s.site_id = changed.site_id AND changed.profile_id IN (s.owned_by, s.created_by))
    SELECT version FROM changed""",
)


# The key of a user that stood for an imported person has the person's old id in it.
HIDE_STAND_IN = Query(
    "erasure_steps.hide_stand_in",
    """
    UPDATE users u
       SET person_key = 'erased-user-' || u.user_id || '@erased.invalid'
     WHERE u.user_id = %(user_id)s AND u.person_key LIKE 'imported:%%'""",
)


def _own(table: str, condition: str = "t.profile_id = %(profile_id)s", label: str = "") -> Query:
    return Query(
        f"erasure_steps.{label or table}",
        f"DELETE FROM {table} t WHERE t.site_id = %(site_id)s AND {condition}",
    )


_ON_PROFILE: Final = f"t.item_type_id = {itemtypes.PROFILE} AND t.item_id = %(profile_id)s"

# Detail of an imported profile's old id once its person is erased (porting/loading/erased_people.py).
ERASED_IMPORT: Final = "erased"
# An old id that is no number may say who the person was: its hash stays in its place, as `Origin.erased_id` in
# porting/loading/imported_ids.py computes it.
_HASHED: Final = (
    "encode(sha256(convert_to(concat_ws(':', t.site_id, t.origin_id, t.old_id), 'UTF8')), 'hex')"
)

# What only the person had, and what others keep about the person alone.
OWN_ROWS: Final = (
    # Bots end with their owner; what they wrote stays, by a bot without an owner.
    Query(
        "erasure_steps.keys_of_bots",
        """
        DELETE FROM access_tokens t
         USING profiles b
         WHERE b.site_id = %(site_id)s AND b.bot_owner_id = %(profile_id)s
           AND t.site_id = b.site_id AND t.user_id = b.user_id""",
    ),
    Query(
        "erasure_steps.bots",
        """
        UPDATE profiles t
           SET bot_owner_id = NULL, version = t.version + 1
         WHERE t.site_id = %(site_id)s AND t.bot_owner_id = %(profile_id)s""",
    ),
    _own("role_profiles"),
    _own("watchers"),
    _own("ignores"),
    _own("read_marks"),
    _own("carried_marks"),
    _own("updates"),
    _own("update_options"),
    _own("consents"),
    _own("withdrawn_consents"),
    _own("push_subscriptions"),
    _own("push_messages", "%(profile_id)s IN (t.profile_id, t.by_profile_id)"),
    _own("drafts"),
    _own("bookmarks"),
    _own("idempotency_keys"),
    _own("site_offers", "%(profile_id)s IN (t.profile_id, t.offered_by)"),
    _own("watchers", _ON_PROFILE, "watchers_of_profile"),
    _own("ignores", _ON_PROFILE, "ignores_of_profile"),
    _own("attributes", _ON_PROFILE, "attributes_of_profile"),
    # The number that the person had on a former forum stays, or the hash of an id that is no number, and says that they
    # are erased: else another run of the import would bring them back. Names by which a former forum found them go.
    _own("imported_items", f"{_ON_PROFILE} AND t.detail = 'alias'", "imported_alias"),
    # The text that the person wrote about themself, and their picture, have the person's old id in their own.
    Query(
        "erasure_steps.imported_own",
        f"""
        UPDATE imported_items t
           SET old_id = {_HASHED}
          FROM imported_items m
         WHERE m.site_id = %(site_id)s AND m.item_type_id = {itemtypes.PROFILE} AND m.item_id = %(profile_id)s
           AND m.detail IS DISTINCT FROM '{ERASED_IMPORT}' AND m.old_id !~ '^[0-9]+$'
           AND t.site_id = m.site_id AND t.origin_id = m.origin_id
           AND (t.item_type_id, t.old_id) IN (({itemtypes.COMMENT}::smallint, 'about:' || m.old_id),
                                              ({itemtypes.ATTACHMENT}::smallint, 'avatar:' || m.old_id))""",
    ),
    Query(
        "erasure_steps.imported_profile",
        f"""
        UPDATE imported_items t
           SET detail = '{ERASED_IMPORT}', old_id = CASE WHEN t.old_id ~ '^[0-9]+$' THEN t.old_id ELSE {_HASHED} END
         WHERE t.site_id = %(site_id)s AND {_ON_PROFILE} AND t.detail IS DISTINCT FROM '{ERASED_IMPORT}'""",
    ),
    _own("personal_exports"),
    _own("site_exports"),
    Query(
        "erasure_steps.import_upload",
        """
        UPDATE file_usage t
           SET bytes = greatest(0, t.bytes - m.bytes)
          FROM site_imports m
         WHERE m.site_id = %(site_id)s AND m.profile_id = %(profile_id)s AND m.object IS NOT NULL
           AND t.site_id = %(site_id)s AND t.profile_id = 0""",
    ),
    _own("site_imports"),
    _own("imported_profiles"),
)
# Before the profile is nobody's: so that the person does not report the same again. Hashes go half a year after the
# decision (report.py).
HASH_REPORTER = Query(
    "erasure_steps.hash_reporter",
    f"""
    UPDATE reports r
       SET reporter_hash = {report.reporter_hash("u.person_key")}
      FROM users u, cases k
     WHERE r.site_id = %(site_id)s AND r.reporter_id = %(profile_id)s AND u.user_id = %(user_id)s
       AND k.site_id = r.site_id AND k.case_id = r.case_id
       AND (k.decided IS NULL OR k.decided > now() - interval '6 months')""",
)
# What the person told moderators, what was said to moderators about the person, and what undo would restore.
TRUST_WORDS: Final = (
    _own("sanctions"),
    _own("content_checks", "t.author_id = %(profile_id)s"),
    Query(
        "erasure_steps.reports",
        """
        UPDATE reports t
           SET text = ''
         WHERE t.site_id = %(site_id)s AND t.text <> ''
           AND (t.reporter_id = %(profile_id)s
                OR t.case_id IN (SELECT k.case_id FROM cases k
                                  WHERE k.site_id = %(site_id)s AND k.author_id = %(profile_id)s))""",
    ),
    Query(
        "erasure_steps.case_notes",
        """
        UPDATE case_notes t
           SET text = '[removed]'
         WHERE t.site_id = %(site_id)s
           AND (t.created_by = %(profile_id)s
                OR t.case_id IN (SELECT k.case_id FROM cases k
                                  WHERE k.site_id = %(site_id)s AND k.author_id = %(profile_id)s))""",
    ),
    Query(
        "erasure_steps.appeal_messages",
        """
        UPDATE appeal_messages t
           SET text = '[removed]'
         WHERE t.site_id = %(site_id)s
           AND (t.created_by = %(profile_id)s
                OR t.appeal_id IN (SELECT a.appeal_id FROM appeals a
                                    WHERE a.site_id = %(site_id)s AND a.profile_id = %(profile_id)s))""",
    ),
    # Of an action on things of several authors the words are about none of them alone.
    Query(
        "erasure_steps.actions",
        """
        UPDATE actions t
           SET reason = '', note = ''
         WHERE t.site_id = %(site_id)s
           AND t.action_id IN (SELECT x.action_id FROM action_changes x
                                WHERE x.site_id = %(site_id)s AND x.author_id = %(profile_id)s)
           AND NOT EXISTS (SELECT FROM action_changes o
                            WHERE o.site_id = t.site_id AND o.action_id = t.action_id
                              AND o.author_id <> %(profile_id)s)""",
    ),
    Query(
        "erasure_steps.action_changes",
        """
        UPDATE action_changes t
           SET before = NULL, after = NULL
         WHERE t.site_id = %(site_id)s AND t.author_id = %(profile_id)s AND t.before IS NOT NULL""",
    ),
)
LEAVE_EXPORT = Query(
    "erasure_steps.leave_export",
    """
    INSERT INTO file_strays (file_hash)
    SELECT x.object FROM personal_exports x
     WHERE x.site_id = %(site_id)s AND x.profile_id = %(profile_id)s AND x.object <> ''
     UNION
    SELECT s.object FROM site_exports s
     WHERE s.site_id = %(site_id)s AND s.profile_id = %(profile_id)s AND s.object IS NOT NULL
     UNION
    SELECT m.object FROM site_imports m
     WHERE m.site_id = %(site_id)s AND m.profile_id = %(profile_id)s AND m.object IS NOT NULL
        ON CONFLICT (file_hash) DO UPDATE SET since = now()
 RETURNING file_hash""",
)
# Rows that the chain of the audit does not have yet: it takes them as they are then.
FORGET_ADDRESSES = Query(
    "erasure_steps.forget_addresses",
    """
    UPDATE audit_log a
       SET ip = NULL, ip_hash = NULL, detail = NULL
     WHERE a.site_id = %(site_id)s AND a.profile_id = %(profile_id)s
       AND (a.ip IS NOT NULL OR a.ip_hash IS NOT NULL OR a.detail IS NOT NULL)
       AND NOT EXISTS (SELECT FROM audit_entries e WHERE e.site_id = %(site_id)s AND e.audit_id = a.audit_id)""",
)

HUDDLES = Query(
    "erasure_steps.huddles",
    """
    SELECT h.item_id
      FROM huddle_participants h
     WHERE h.site_id = %(site_id)s AND h.profile_id = %(profile_id)s
     ORDER BY h.item_id
     LIMIT %(most)s""",
    unrestricted="the huddles that the person themself takes part in",
)
BIOS = Query(
    "erasure_steps.bios",
    """
    SELECT c.comment_id
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.on_profile_id = %(profile_id)s AND c.created_by = %(profile_id)s
       AND c.markdown <> %(removed)s
     ORDER BY c.comment_id
     LIMIT %(most)s""",
)

# ---------------------------------------------------------------- words

WORDS = Query(
    "erasure_steps.words",
    """
    SELECT c.comment_id, c.version, c.created
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.created_by = %(profile_id)s
       AND c.created >= coalesce(%(upto_time)s::timestamptz, '-infinity')
       AND c.markdown <> %(removed)s
     ORDER BY c.created
     LIMIT %(most)s""",
    unrestricted="what the person themself has written",
)
LOCK_COMMENTS = Query(
    "erasure_steps.lock_comments",
    """
    SELECT c.comment_id
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s::bigint[])
     ORDER BY c.comment_id
       FOR NO KEY UPDATE""",
)
# What an edit of another's text said of it.
REASONS: Final = tuple(
    Query(
        f"erasure_steps.reasons_of_{table}",
        f"""
        UPDATE {table} t
           SET edit_reason = '', version = t.version + 1
         WHERE t.site_id = %(site_id)s AND t.edited_by = %(profile_id)s AND t.edit_reason <> ''""",
    )
    for table in ("items", "microcosms", "roles")
)
ITEMS = Query(
    "erasure_steps.items",
    """
    SELECT i.item_id
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.created_by = %(profile_id)s
       AND i.created >= coalesce(%(upto_time)s::timestamptz, '-infinity')
       AND i.title <> %(removed)s
     ORDER BY i.created
     LIMIT %(most)s""",
    unrestricted="what the person themself has begun",
)
# ---------------------------------------------------------------- mentions

PAGE = Query(
    "erasure_steps.page",
    """
    SELECT max(n.comment_id)
      FROM (SELECT c.comment_id FROM comments c
             WHERE c.site_id = %(site_id)s AND c.comment_id > %(after)s::bigint
             ORDER BY c.comment_id LIMIT %(most)s) n""",
    unrestricted="numbers of comments, which are shown to nobody",
)
MENTIONS = Query(
    "erasure_steps.mentions",
    """
    SELECT c.comment_id, c.version, c.markdown, c.html
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.comment_id > %(after)s::bigint AND c.comment_id <= %(upto)s::bigint
       AND strpos(c.html, %(link)s) > 0
     ORDER BY c.comment_id
       FOR NO KEY UPDATE""",
    unrestricted="texts with the name of the person, which is replaced in them",
)
RENAME_MENTION = Query(
    "erasure_steps.rename_mention",
    """
    UPDATE comments c
       SET markdown = %(markdown)s, html = %(html)s, version = c.version + 1
     WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s""",
)
OLD_MENTIONS = Query(
    "erasure_steps.old_mentions",
    """
    SELECT r.comment_id, r.revision, r.markdown
      FROM comment_revisions r
     WHERE r.site_id = %(site_id)s AND r.comment_id > %(after)s::bigint AND r.comment_id <= %(upto)s::bigint
       AND strpos(lower(r.markdown), lower(%(name)s::text)) > 0
     ORDER BY r.comment_id, r.revision
       FOR NO KEY UPDATE""",
    unrestricted="texts with the name of the person, which is replaced in them",
)
RENAME_OLD_MENTION = Query(
    "erasure_steps.rename_old_mention",
    """
    UPDATE comment_revisions r
       SET markdown = %(markdown)s
     WHERE r.site_id = %(site_id)s AND r.comment_id = %(id)s AND r.revision = %(revision)s""",
)

# ---------------------------------------------------------------- files and mail

DROP_AVATARS = Query(
    "erasure_steps.drop_avatars",
    f"""
    WITH gone AS (
        DELETE FROM attachments t WHERE t.site_id = %(site_id)s AND {_ON_PROFILE}
     RETURNING t.file_hash)
    UPDATE files f
       SET attach_count = f.attach_count - 1
      FROM gone g
     WHERE f.file_hash = g.file_hash""",
)
UPLOADS = Query(
    "erasure_steps.uploads",
    """
    SELECT u.file_hash
      FROM file_uploads u
     WHERE u.site_id = %(site_id)s AND u.profile_id = %(profile_id)s
     ORDER BY u.file_hash""",
)
FORGET_NAMES = Query(
    "erasure_steps.forget_names",
    """
    UPDATE file_uploads u
       SET file_name = ''
     WHERE u.site_id = %(site_id)s AND u.profile_id = %(profile_id)s AND u.file_name <> ''""",
)
GIVE_BACK = Query(
    "erasure_steps.give_back",
    """
    WITH gone AS (
        DELETE FROM file_uploads u
         WHERE u.site_id = %(site_id)s AND u.profile_id = %(profile_id)s AND u.file_hash = ANY(%(hashes)s::text[])
     RETURNING u.file_hash),
    freed AS (
        SELECT p.profile_id, sum(f.file_size) AS bytes
          FROM gone g
          JOIN files f ON f.file_hash = g.file_hash, unnest(ARRAY[0, %(profile_id)s::bigint]) AS p (profile_id)
         GROUP BY p.profile_id)
    UPDATE file_usage t
       SET bytes = t.bytes - freed.bytes
      FROM freed
     WHERE t.site_id = %(site_id)s AND t.profile_id = freed.profile_id""",
)
UNHELD = Query(
    "erasure_steps.unheld",
    """
    SELECT f.file_hash
      FROM files f
     WHERE f.file_hash = ANY(%(hashes)s::text[])
       AND NOT EXISTS (SELECT FROM attachments a WHERE a.file_hash = f.file_hash)
       AND NOT EXISTS (SELECT FROM file_uploads u WHERE u.file_hash = f.file_hash)
       FOR UPDATE""",
    scope=PLATFORM,
)

# Mail about the person, and texts of mail that was sent.
MAIL: Final = (
    _own("mail_outbox", "%(profile_id)s IN (t.profile_id, t.by_profile_id)"),
    _own(
        "mail_outbox",
        "%(email)s <> '' AND lower(t.recipient) = lower(%(email)s::text)",
        "mail_to_address",
    ),
    Query(
        "erasure_steps.mail_texts",
        """
        UPDATE mail_outbox m
           SET subject = '', text_body = '', html_body = NULL
         WHERE m.site_id = %(site_id)s AND m.state IN ('sent', 'dead', 'dropped') AND %(name)s::text <> ''
           AND strpos(lower(concat_ws(' ', m.subject, m.text_body, m.html_body)), lower(%(name)s::text)) > 0""",
    ),
)


def lock_unheld(tx: Transaction, hashes: Sequence[str]) -> list[str]:
    """Lock the rows of those of the files `hashes` that on no site are attached to anything or uploaded by anybody, and
    return their hashes, in any order; [] for no hashes. One that got an owner while its lock was awaited is not among
    them.
    """
    found = list(hashes)
    for _ in range(2) if found else ():
        found = [row[0] for row in tx.rows(UNHELD, hashes=found)]
    return found


@dataclass
class Erasing:
    """Erasing of one profile, whose row in `erasures` is locked. `words`: KEEP or REMOVE what the person wrote; `step`:
    index in STEPS; `upto_time`, `upto_id`: position within the step; `old_name`, `old_email`: those that the person had
    before the erasing, the name HTML-escaped, "" until the first step; `user_id`, `version`: the profile's when the row
    was locked; `is_done`: after the last step.

    For the caller, after the commit: `stale`, documents to drop from caches as (kind's name, id, version); `uploads`,
    hashes of files that the person uploaded; `objects`, objects of the store to delete.
    """

    site_id: int
    profile_id: int
    words: str
    step: int
    upto_time: datetime.datetime | None
    upto_id: int
    old_name: str
    old_email: str
    user_id: int
    version: int
    stale: list[tuple[str, int, int]] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    is_done: bool = False

    @property
    def author(self) -> Author:
        """Return the profile as the author of the changes, without a client address."""
        return Author(self.site_id, self.profile_id, "")

    @property
    def where(self) -> dict[str, int]:
        """Return the ids of site and profile as parameters of statements: site_id and profile_id."""
        return {"site_id": self.site_id, "profile_id": self.profile_id}


def _identity(tx: Transaction, work: Erasing) -> bool:
    """Take the person off the profile: give it a placeholder user and a name that says nothing, end the person's access
    to the site, delete the rows that only the person had, such as bookmarks, or that others keep about the person, and
    empty what moderators were told by the person or about them. Set `old_name`, `old_email` and `objects`, the archives
    of the profile's exports and imports. Journal the change. Return True, as each step does when it is done.
    """
    row = tx.row(HOLD, **work.where)
    assert row is not None, "an erasure refers to its profile"
    work.old_name, work.old_email = row
    tx.run(REMEMBER, name=work.old_name, email=work.old_email, **work.where)
    platform_secret.find(tx, platform_secret.MAIL)  # made if there is none
    tx.run(HASH_REPORTER, user_id=work.user_id, **work.where)
    nobody = tx.value(NOBODY, key=f"erased-{work.site_id}-{work.profile_id}@erased.invalid")
    for query in END_ACCESS:
        tx.run(query, site_id=work.site_id, user_id=work.user_id)
    tx.run(MOVE_BALLOTS, site_id=work.site_id, user_id=work.user_id, nobody=nobody)
    name = _free_name(tx, work)
    version = tx.value(ANONYMISE, nobody=nobody, name=name, looks=looks(name), **work.where)
    work.objects = [row[0] for row in tx.rows(LEAVE_EXPORT, **work.where)]
    tx.run(HIDE_STAND_IN, user_id=work.user_id)
    for query in (*OWN_ROWS, *TRUST_WORDS):
        tx.run(query, **work.where)
    role_recomputation.recompute_roles(tx, work.site_id, [work.profile_id])
    journal.record(
        tx,
        Author(work.site_id, 0, ""),
        journal.REPLACED,
        itemtypes.PROFILE,
        work.profile_id,
        version=version,
    )
    return True


def _free_name(tx: Transaction, work: Erasing) -> str:
    plain = f"deleted{work.profile_id}"
    for number in range(1, 50):
        name = plain if number == 1 else f"{plain}x{number}"
        if tx.value(NAME_IS_FREE, name=name, looks=looks(name), **work.where):
            return name
    raise RuntimeError(f"all names like {plain} are taken")


def _addresses(tx: Transaction, work: Erasing) -> bool:
    audit_chain.erase(tx, Author(work.site_id, 0, ""), work.profile_id)
    tx.run(FORGET_ADDRESSES, **work.where)
    return True


def _huddles(tx: Transaction, work: Erasing) -> bool:
    """Make the profile leave up to MOST_HUDDLES huddles, whose comments stay for the others; return True when no huddle
    of the profile is left.
    """
    ids = [row[0] for row in tx.rows(HUDDLES, most=MOST_HUDDLES, **work.where)]
    for id in ids:
        ref = ItemRef(itemtypes.HUDDLE, id)
        huddle = Huddle.lock(tx, work.site_id, ref, work.profile_id)
        if huddle is not None:
            huddle.leave(tx, work.author)
    return len(ids) < MOST_HUDDLES


def _bios(tx: Transaction, work: Erasing) -> bool:
    """Delete up to MOST_HUDDLES comments that the person has written on their own profile, and the texts of these
    comments, also where the person's words are kept; return True when no such comment is left.
    """
    ids = [row[0] for row in tx.rows(BIOS, removed=REMOVED, most=MOST_HUDDLES, **work.where)]
    for id in ids:
        comment = Comment.lock(tx, work.site_id, id, work.profile_id)
        if comment is not None:
            work.stale.append(("comment", id, comment.version))
            comment.delete(tx, work.author)
    text_removal.remove_comments(tx, work.site_id, ids)
    return len(ids) < MOST_HUDDLES


def _words(tx: Transaction, work: Erasing) -> bool:
    if work.words != erasure_request.REMOVE:
        return True
    rows = tx.rows(WORDS, upto_time=work.upto_time, removed=REMOVED, most=MOST, **work.where)
    ids = [row[0] for row in rows]
    work.stale += [("comment", id, version) for id, version, _ in rows]
    tx.rows(LOCK_COMMENTS, site_id=work.site_id, ids=ids)
    text_removal.remove_comments(tx, work.site_id, ids)
    if rows:
        work.upto_time = rows[-1][2]
    return len(rows) < MOST


def _titles(tx: Transaction, work: Erasing) -> bool:
    if work.words != erasure_request.REMOVE:
        return True
    ids = [
        row[0]
        for row in tx.rows(
            ITEMS, upto_time=work.upto_time, removed=REMOVED, most=MOST, **work.where
        )
    ]
    text_removal.remove_items(tx, work.site_id, ids)
    return len(ids) < MOST


def _reasons(tx: Transaction, work: Erasing) -> bool:
    if work.words == erasure_request.REMOVE:
        for query in REASONS:
            tx.run(query, **work.where)
    return True


def _mentions(tx: Transaction, work: Erasing) -> bool:
    """Replace the old name by the new one where the next MOST_READ comments of anybody, and their revisions, mention
    the person; return True once no comment of the site is left to look at.
    """
    after = work.upto_id
    upto = tx.value(PAGE, site_id=work.site_id, after=after, most=MOST_READ)
    if upto is None:
        return True
    span = {"site_id": work.site_id, "after": after, "upto": upto}
    new_name = tx.row(HOLD, **work.where)
    assert new_name is not None, "an erasure refers to its profile"
    link = f'<a href="/profiles/{work.profile_id}">'
    for id, version, markdown, html in tx.rows(MENTIONS, link=link, **span):
        work.stale.append(("comment", id, version))
        markdown, html = renamed(markdown, html, link, work.old_name, new_name[0])
        tx.run(RENAME_MENTION, site_id=work.site_id, id=id, markdown=markdown, html=html)
    for id, revision, markdown in tx.rows(OLD_MENTIONS, name=unescape(work.old_name), **span):
        markdown, _ = renamed(markdown, "", link, work.old_name, new_name[0])
        tx.run(
            RENAME_OLD_MENTION, site_id=work.site_id, id=id, revision=revision, markdown=markdown
        )
    work.upto_id = upto
    return False


def renamed(markdown: str, html: str, link: str, old: str, new: str) -> tuple[str, str]:
    """Return a comment's Markdown and HTML with the name `new` in mentions of the person, in place of `old` and of
    earlier names that the HTML links; in the Markdown a mention is any such name after @ or +, in upper or lower case.

    `old`, `new`: HTML-escaped, as profiles have them; `link`: the opening tag of a mention of the person.
    """
    words = {unescape(old)}

    def linked(match: re.Match[str]) -> str:
        words.add(unescape(match[2]))
        return f"{link}{match[1]}{new}</a>"

    html = re.sub(rf"{re.escape(link)}([@+])(.*?)</a>", linked, html, flags=re.DOTALL)
    for word in sorted(words, key=len, reverse=True):
        if word:
            pattern = rf"(?<!\w)([@+]){re.escape(word)}(?!\w)"
            markdown = re.sub(pattern, rf"\g<1>{unescape(new)}", markdown, flags=re.IGNORECASE)
    return markdown, html


def _mail(tx: Transaction, work: Erasing) -> bool:
    texts = {"email": work.old_email, "name": unescape(work.old_name)}
    for query in MAIL:
        given = {name: texts[name] for name in query.names if name in texts}
        tx.run(query, **given, **work.where)
    return True


def _files(tx: Transaction, work: Erasing) -> bool:
    """Detach the profile's pictures, empty the names of the files that the person uploaded, and set `uploads`: the
    caller deletes those files that no text links to. Return True.
    """
    tx.run(DROP_AVATARS, **work.where)
    tx.run(FORGET_NAMES, **work.where)
    work.uploads = [row[0] for row in tx.rows(UPLOADS, **work.where)]
    return True


# In the order of their numbers in the table: new ones come last.
STEPS: Final[tuple[Callable[[Transaction, Erasing], bool], ...]] = (
    _identity,
    _bios,
    _words,
    _titles,
    _reasons,
    _mentions,
    _huddles,
    _files,
    _mail,
    _addresses,
)


def begin(tx: Transaction) -> int:
    """Begin the erasing of one account and one profile whose requests are due, without those of owners of sites that
    are not deleted; return how many were begun, 0 to 2.
    """
    return tx.run(DUE_ACCOUNT) + tx.run(DUE_PROFILE)


def lock(tx: Transaction) -> Erasing | None:
    """Lock and return the erasing of a profile that was due first, of those that have begun, are in the journal of
    erasures and are locked by no other process; None if there is none.
    """
    row = tx.row(LOCK)
    return Erasing(*row) if row else None


def advance(tx: Transaction, work: Erasing) -> None:
    """Run one batch of the current step of a locked erasing, and store the step and the position in it; after the last
    step set `is_done`.
    """
    work.stale += [("profile", work.profile_id, version) for version in range(1, work.version + 1)]
    if STEPS[work.step](tx, work):
        work.step, work.upto_time, work.upto_id = work.step + 1, None, 0
    if work.step < len(STEPS):
        tx.run(MOVE, step=work.step, upto_time=work.upto_time, upto_id=work.upto_id, **work.where)
    else:
        tx.run(FINISH, **work.where)
        work.is_done = True


def advance_account(tx: Transaction) -> bool:
    """End all access to one account whose erasing has begun and is in the journal of erasures, and begin the erasing of
    all its profiles; or, when no profile is left, delete the account, of which only a user row without personal data
    stays while a ban is in force. Return False if there is no such account, or its profiles are still being erased.
    """
    row = tx.row(LOCK_ACCOUNT)
    if row is None:
        return False
    user_id, words = row
    tx.run(ACCOUNT_ROWS[0], user_id=user_id)
    access_token.end_grants(tx, user_id)
    spread = tx.run(SPREAD, user_id=user_id, words=words)
    if spread or tx.value(PROFILES_LEFT, user_id=user_id):
        return bool(spread)
    for query in (ACCOUNT_CODES, ACCOUNT_REPORTS, ACCOUNT_ATTEMPTS, ACCOUNT_MAIL, *ACCOUNT_ROWS):
        tx.run(query, user_id=user_id)
    for query in (ACCOUNT_BANS, ACCOUNT_BAN_TEXTS, END_ACCOUNT):
        tx.run(query, user_id=user_id)
    if not tx.run(DELETE_USER, user_id=user_id):
        tx.run(HIDE_USER, user_id=user_id)
    return True
