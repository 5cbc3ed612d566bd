"""Deletions of whole sites: begun when an export window ends, how far each has come, and the receipt of each.

cron/site_deletions.py carries them out. Each step is a transaction that locks the deletion's row: a process that is
killed loses one batch at most, and two processes never work on one deletion. The site's own row and its owner's profile
go last, with the mail to the owner.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.models.journal.audit_hash import Keys
from forumapi.wire import json_fragments

# Rows of one batch. More of some tables would tell every listener of the platform that rights have changed.
MOST: Final = 1_000
# Objects of one batch: each batch reads the texts of all sites.
MOST_OBJECTS: Final = 5_000
# Mail goes out so many days before the end of an export window.
ANNOUNCED_DAYS: Final = 7
# A subdomain and a domain of a deleted site rest for so long.
REST_DAYS: Final = 30
# What a signature of a receipt is about.
RECEIPT: Final = "site deletion"

# ---------------------------------------------------------------- begin

ANNOUNCE = Query(
    "site_deletion.announce",
    """
    UPDATE site_states s
       SET is_announced = true
      FROM sites v
      LEFT JOIN profiles p ON p.site_id = v.site_id AND p.profile_id = v.owned_by
      LEFT JOIN users u ON u.user_id = p.user_id
     WHERE s.due <= now() + make_interval(days => %(days)s::int) AND NOT s.is_announced AND v.site_id = s.site_id
 RETURNING s.site_id, s.due, v.title, v.subdomain_key, coalesce(u.email, '')""",
    scope=PLATFORM,
)
# A site that is locked, perhaps by its owner who cancels, waits for the next run.
DUE = Query(
    "site_deletion.due",
    """
    SELECT s.site_id
      FROM site_states s
      JOIN sites v ON v.site_id = s.site_id
     WHERE s.due <= now()
     ORDER BY s.due
     LIMIT 1
       FOR NO KEY UPDATE OF v SKIP LOCKED
       FOR UPDATE OF s SKIP LOCKED""",
    scope=PLATFORM,
)
POSTPONE = Query(
    "site_deletion.postpone",
    """
    UPDATE site_states s
       SET due = now() + make_interval(days => %(days)s::int), is_announced = false
     WHERE s.due < now() + make_interval(days => %(days)s::int)""",
    scope=PLATFORM,
)
# A domain rests as one that its site has given up.
BEGIN = Query(
    "site_deletion.begin",
    """
    WITH gone AS (
        DELETE FROM site_states s WHERE s.site_id = %(site_id)s RETURNING s.since)
    INSERT INTO site_deletions (deleted_site, subdomain_key, domain, site_created, asked, is_silent, is_journaled)
    SELECT v.site_id, v.subdomain_key,
           (SELECT d.domain FROM site_domains d
             WHERE d.site_id = v.site_id AND d.domain = v.domain AND d.state = 'proven'),
           v.created, coalesce((SELECT g.since FROM gone g), now()), %(is_silent)s, %(is_journaled)s
      FROM sites v
     WHERE v.site_id = %(site_id)s AND v.site_id <> 1
        ON CONFLICT (deleted_site) WHERE finished IS NULL DO NOTHING
 RETURNING deletion_id""",
)
# What refers in a circle, and the texts that may name files. The owner's profile goes last, after the objects.
LOOSEN: Final = (
    Query(
        "site_deletion.close",
        """
        UPDATE sites v
           SET is_deleted = true, created_by = NULL, root_microcosm_id = NULL, domain = NULL, logo_url = NULL,
               favicon_url = NULL, background_url = NULL, description = '', web_url = NULL, version = v.version + 1
         WHERE v.site_id = %(site_id)s""",
    ),
    Query(
        "site_deletion.drop_avatar",
        """
        UPDATE profiles p
           SET avatar_url = '', avatar_id = NULL, version = p.version + 1
          FROM sites v
         WHERE v.site_id = %(site_id)s AND p.site_id = v.site_id AND p.profile_id = v.owned_by""",
    ),
    Query(
        "site_deletion.loosen_cases",
        "UPDATE cases c SET appeal_id = NULL WHERE c.site_id = %(site_id)s AND c.appeal_id IS NOT NULL",
    ),
)
# An import's detail of an attachment begins with the file's hash (porting/loading/attachments.py).
_IMPORTED_HASH: Final = "split_part(split_part(i.detail, E'\\n', 1), '.', 1)"
COLLECT = Query(
    "site_deletion.collect",
    f"""
    WITH loose AS (
        SELECT e.object FROM site_exports e WHERE e.site_id = %(site_id)s
         UNION SELECT m.object FROM site_imports m WHERE m.site_id = %(site_id)s
         UNION SELECT x.object FROM personal_exports x WHERE x.site_id = %(site_id)s),
    strays AS (
        INSERT INTO file_strays (file_hash)
        SELECT l.object FROM loose l WHERE l.object <> ''
            ON CONFLICT DO NOTHING)
    INSERT INTO site_deletion_files (deletion_id, file_hash)
    SELECT %(deletion_id)s::bigint, l.object FROM loose l WHERE l.object <> ''
     UNION SELECT %(deletion_id)s::bigint, u.file_hash FROM file_uploads u WHERE u.site_id = %(site_id)s
     UNION SELECT %(deletion_id)s::bigint, a.file_hash FROM attachments a WHERE a.site_id = %(site_id)s
     UNION SELECT %(deletion_id)s::bigint, f.file_hash
             FROM imported_items i
             JOIN files f ON f.file_hash = {_IMPORTED_HASH}
            WHERE i.site_id = %(site_id)s AND i.item_type_id = {itemtypes.ATTACHMENT}
     UNION SELECT %(deletion_id)s::bigint, f.file_hash
             FROM redactions r, unnest(r.file_hashes) AS h (file_hash)
             JOIN files f ON f.file_hash = h.file_hash
            WHERE r.site_id = %(site_id)s""",
)
UNJOURNALED = Query(
    "site_deletion.unjournaled",
    """
    UPDATE site_deletions d
       SET is_journaled = true
     WHERE d.finished IS NULL AND NOT d.is_journaled
 RETURNING d.deleted_site, d.site_created""",
)
REPLAYED = Query(
    "site_deletion.replayed",
    "SELECT v.site_id FROM sites v WHERE v.site_id = %(site_id)s AND v.created = %(created)s::timestamptz FOR UPDATE",
)

# ---------------------------------------------------------------- rows

LOCK = Query(
    "site_deletion.lock",
    """
    SELECT d.deletion_id, d.deleted_site, d.subdomain_key, d.site_created, d.asked, d.begun, d.is_silent
      FROM site_deletions d
     WHERE d.finished IS NULL AND d.is_journaled AND NOT d.deletion_id = ANY(%(but)s::bigint[])
     ORDER BY d.begun, d.deletion_id
     LIMIT 1
       FOR UPDATE SKIP LOCKED""",
)
# The newest first: most answers go before the comment that they answer. An imported answer may have the lower id.
COMMENTS = Query(
    "site_deletion.comments",
    """
    WITH batch AS MATERIALIZED (
        SELECT o.comment_id FROM comments o
         WHERE o.site_id = %(site_id)s ORDER BY o.comment_id DESC LIMIT %(most)s),
    loosened AS (
        UPDATE comments a
           SET in_reply_to = NULL
         WHERE a.site_id = %(site_id)s AND a.in_reply_to = ANY(ARRAY(SELECT b.comment_id FROM batch b))
           AND a.comment_id < (SELECT min(b.comment_id) FROM batch b))
    DELETE FROM comments c
     WHERE c.site_id = %(site_id)s AND c.comment_id IN (SELECT b.comment_id FROM batch b)
 RETURNING c.comment_id, c.version""",
)
MICROCOSMS = Query(
    "site_deletion.microcosms",
    """
    DELETE FROM microcosms m
     WHERE m.site_id = %(site_id)s
       AND m.microcosm_id IN (SELECT o.microcosm_id FROM microcosms o
                               WHERE o.site_id = %(site_id)s ORDER BY o.microcosm_id DESC LIMIT %(most)s)
 RETURNING m.microcosm_id, m.version""",
)
PROFILES = Query(
    "site_deletion.profiles",
    """
    DELETE FROM profiles p
     USING sites v
     WHERE p.site_id = %(site_id)s AND v.site_id = p.site_id
       AND p.profile_id IN (SELECT o.profile_id FROM profiles o
                             WHERE o.site_id = %(site_id)s
                               AND (%(with_owner)s OR o.profile_id IS DISTINCT FROM v.owned_by)
                             LIMIT %(most)s)
 RETURNING p.profile_id, p.version, p.user_id""",
)
# Users whom nobody is: of erased people, of those who were imported without an address, and of bots.
NOBODIES = Query(
    "site_deletion.nobodies",
    r"""
    DELETE FROM users u
     WHERE u.user_id = ANY(%(user_ids)s::bigint[]) AND u.person_key ~ '^(imported:|bot:|erased-.*@erased\.invalid$)'
       AND NOT EXISTS (SELECT FROM profiles p WHERE p.user_id = u.user_id)
       AND NOT EXISTS (SELECT FROM bans b WHERE b.user_id = u.user_id)
       AND NOT EXISTS (SELECT FROM poll_ballots b WHERE b.user_id = u.user_id)""",
    scope=PLATFORM,
)
LINK_USES = Query(
    "site_deletion.link_uses",
    """
    DELETE FROM link_uses u
     WHERE u.site_id = %(site_id)s
       AND (u.comment_id, u.revision, u.link_id) IN (SELECT o.comment_id, o.revision, o.link_id FROM link_uses o
                                                     WHERE o.site_id = %(site_id)s LIMIT %(most)s)
 RETURNING u.link_id""",
)
ROWS = Query(
    "site_deletion.rows",
    "SELECT delete_site_rows(%(tab)s::regclass, %(site_id)s, %(most)s)",
)
ADD = Query(
    "site_deletion.add",
    """
    UPDATE site_deletions d
       SET deleted_rows = d.deleted_rows || jsonb_build_object(
               %(tab)s::text, coalesce((d.deleted_rows ->> %(tab)s::text)::bigint, 0) + %(rows)s::bigint),
           documents = d.documents + %(documents)s, unconfirmed = d.unconfirmed + %(unconfirmed)s
     WHERE d.deletion_id = %(deletion_id)s""",
)

# ---------------------------------------------------------------- objects

OBJECTS = Query(
    "site_deletion.objects",
    """
    SELECT f.file_hash FROM site_deletion_files f WHERE f.deletion_id = %(deletion_id)s ORDER BY f.file_hash
     LIMIT %(most)s""",
)
ADD_OBJECTS = Query(
    "site_deletion.add_objects",
    """
    INSERT INTO site_deletion_files (deletion_id, file_hash)
    SELECT %(deletion_id)s::bigint, h.file_hash FROM unnest(%(hashes)s::text[]) AS h (file_hash)
        ON CONFLICT DO NOTHING""",
)
# Files that an import of a site stored: until its end nothing else says that the site has them.
AWAITED = Query(
    "site_deletion.awaited",
    f"""
    SELECT DISTINCT {_IMPORTED_HASH}
      FROM imported_items i
     WHERE i.item_type_id = {itemtypes.ATTACHMENT} AND {_IMPORTED_HASH} = ANY(%(hashes)s::text[])""",
    scope=PLATFORM,
    unrestricted="finds files that imports stored; only hashes come back",
)
COUNT_HUNG = Query(
    "site_deletion.count_hung",
    """
    UPDATE files f
       SET attach_count = n.hung
      FROM (SELECT h.file_hash, (SELECT count(*) FROM attachments a WHERE a.file_hash = h.file_hash) AS hung
              FROM unnest(%(hashes)s::text[]) AS h (file_hash) ORDER BY h.file_hash) n
     WHERE f.file_hash = n.file_hash AND f.attach_count <> n.hung""",
    scope=PLATFORM,
)
KEPT = Query(
    "site_deletion.kept",
    "SELECT count(*) FROM files f WHERE f.file_hash = ANY(%(hashes)s::text[])",
)
DONE_OBJECTS = Query(
    "site_deletion.done_objects",
    """
    WITH gone AS (
        DELETE FROM site_deletion_files f
         WHERE f.deletion_id = %(deletion_id)s AND f.file_hash = ANY(%(hashes)s::text[]))
    UPDATE site_deletions d
       SET objects = d.objects + %(deleted)s, objects_kept = d.objects_kept + %(kept)s
     WHERE d.deletion_id = %(deletion_id)s""",
)

# ---------------------------------------------------------------- end

OWNER = Query(
    "site_deletion.owner",
    """
    SELECT coalesce(u.email, '')
      FROM sites v
      LEFT JOIN profiles p ON p.site_id = v.site_id AND p.profile_id = v.owned_by
      LEFT JOIN users u ON u.user_id = p.user_id
     WHERE v.site_id = %(site_id)s
       FOR UPDATE OF v""",
)
LAST = Query("site_deletion.last", "DELETE FROM sites v WHERE v.site_id = %(site_id)s")
COUNT = Query(
    "site_deletion.count",
    "SELECT n.tab, n.total FROM count_site_rows(%(site_id)s) AS n (tab, total) ORDER BY n.tab",
)
FIGURES = Query(
    "site_deletion.figures",
    """
    SELECT d.deleted_rows::text, d.documents, d.unconfirmed, d.objects, d.objects_kept, clock_timestamp()
      FROM site_deletions d
     WHERE d.deletion_id = %(deletion_id)s""",
)
FINISH = Query(
    "site_deletion.finish",
    """
    UPDATE site_deletions d
       SET finished = %(finished)s, receipt = %(receipt)s, signature = %(signature)s::bytea
     WHERE d.deletion_id = %(deletion_id)s""",
)
FORGET_NAMES = Query(
    "site_deletion.forget_names",
    """
    UPDATE site_deletions d
       SET domain = NULL
     WHERE d.domain IS NOT NULL AND d.finished < now() - make_interval(days => %(days)s::int)""",
)
LIST = Query(
    "site_deletion.list",
    """
    SELECT s.site_id, v.subdomain_key, 'waits', s.since, s.due, NULL::timestamptz, '', NULL::bytea, 0::bigint
      FROM site_states s
      JOIN sites v ON v.site_id = s.site_id
     WHERE s.due IS NOT NULL
     UNION ALL
    SELECT d.deleted_site, d.subdomain_key, CASE WHEN d.finished IS NULL THEN 'deleting' ELSE 'deleted' END, d.asked,
           d.begun, d.finished, d.receipt, d.signature, d.deletion_id
      FROM site_deletions d
     ORDER BY 4, 1""",
    scope=PLATFORM,
)
IS_RESTING = Query(
    "site_deletion.is_resting",
    """
    SELECT EXISTS (SELECT FROM site_deletions d
                    WHERE (d.subdomain_key = %(name)s OR d.domain = %(name)s)
                      AND coalesce(d.finished, now()) > now() - make_interval(days => %(days)s::int))""",
)


class NotEmptyError(Exception):
    """Failure of a proof: tables, named in the message, still have rows of a site that was to be deleted."""


class SiteDeletion(NamedTuple):
    """Deletion of a site that has begun, its row locked. `id`: its own; `key`: the site's subdomain; `created`: when
    the site was made; `asked`: when the export window began, or, without one, when the deletion did; `is_silent`: no
    mail tells its end.
    """

    id: int
    site_id: int
    key: str
    created: datetime.datetime
    asked: datetime.datetime
    begun: datetime.datetime
    is_silent: bool

    @classmethod
    def lock(cls, tx: Transaction, but: Sequence[int] = ()) -> SiteDeletion | None:
        """Lock and return a deletion: of those that have begun, have not ended, are in the journal of erasures and are
        not locked by another process, the one that began first; None if there is none. `but`: ids of deletions that are
        left out.
        """
        row = tx.row(LOCK, but=list(but))
        return cls(*row) if row else None

    def add(
        self, tx: Transaction, table: str, rows: int, *, documents: int = 0, unconfirmed: int = 0
    ) -> None:
        """Add to the stored figures of the deletion: `rows` deleted of `table`, and `documents` removed from memcached,
        of which `unconfirmed` may still be there.
        """
        tx.run(
            ADD,
            deletion_id=self.id,
            tab=table,
            rows=rows,
            documents=documents,
            unconfirmed=unconfirmed,
        )

    def finish(self, tx: Transaction, keys: Keys) -> str:
        """Prove that no table has a row of the site, store the end of the deletion with its receipt, signed by `keys`,
        and return the receipt, a JSON text. Raises NotEmptyError, after which the transaction may not be committed.
        """
        counted = tx.rows(COUNT, site_id=self.site_id)
        left = [f"{name} ({total})" for name, total in counted if total]
        if left:
            raise NotEmptyError(f"site {self.site_id} has rows left: {', '.join(left)}")
        figures = tx.row(FIGURES, deletion_id=self.id)
        assert figures is not None, "its row is locked"
        rows, documents, unconfirmed, objects, kept, finished = figures
        receipt = json.dumps(
            {
                "site": self.site_id,
                "key": self.key,
                "created": json_fragments.format_time(self.created),
                "asked": json_fragments.format_time(self.asked),
                "begun": json_fragments.format_time(self.begun),
                "finished": json_fragments.format_time(finished),
                "rowsDeleted": json.loads(rows),
                "rowsLeft": dict(counted),
                "objectsDeleted": objects,
                "objectsOfOthers": kept,
                "documentsRemoved": documents,
                "documentsExpiring": unconfirmed,
            },
            sort_keys=True,
        )
        tx.run(
            FINISH,
            deletion_id=self.id,
            finished=finished,
            receipt=receipt,
            signature=keys.sign(RECEIPT, self.site_id, self.id, finished, digest(receipt)),
        )
        return receipt


class ListedDeletion(NamedTuple):
    """Deletion of a site as operators see it. `key`: the site's subdomain; `state`: waits (in the export window),
    deleting or deleted; `begins`: when it begins, or began; `finished` None, `receipt` "" and `signature` None before
    its end; `id`: 0 while it waits.
    """

    site_id: int
    key: str
    state: str
    asked: datetime.datetime
    begins: datetime.datetime
    finished: datetime.datetime | None
    receipt: str
    signature: bytes | None
    id: int

    @classmethod
    def all(cls, tx: Reader) -> list[ListedDeletion]:
        """Return the deletions of all sites, those that wait included, in the order in which they were asked for."""
        return [cls(*row) for row in tx.rows(LIST)]

    def is_signed(self, keys: Keys) -> bool:
        """Return True if one of the keys signed the receipt as it is; False before the end."""
        return (
            self.finished is not None
            and self.signature is not None
            and keys.signed(
                RECEIPT,
                self.site_id,
                self.id,
                self.finished,
                digest(self.receipt),
                bytes(self.signature),
            )
        )

    def figures(self) -> Mapping[str, Any]:
        """Return the receipt's values by name, as `SiteDeletion.finish` wrote them; {} before the end."""
        found: Mapping[str, Any] = json.loads(self.receipt or "{}")
        return found


def digest(receipt: str) -> bytes:
    """Return the SHA-256 of a receipt."""
    return hashlib.sha256(receipt.encode()).digest()


def begin(
    tx: Transaction, site_id: int, *, is_silent: bool = False, is_journaled: bool = False
) -> bool:
    """Begin the deletion of a site: close it for good, and store the names of its objects in the store of files, which
    the deletion removes. Return False, and change nothing, for the root site, for an id without a site, and if the
    deletion has begun already. The caller has locked the site's row.
    `is_silent`: no mail tells its end; `is_journaled`: the journal of erasures has it already.
    """
    id = tx.value(BEGIN, site_id=site_id, is_silent=is_silent, is_journaled=is_journaled)
    if id is None:
        return False
    for query in LOOSEN:
        tx.run(query, site_id=site_id)
    tx.run(COLLECT, site_id=site_id, deletion_id=id)
    return True


def is_resting(tx: Reader, name: str) -> bool:
    """Return True if `name`, a subdomain or domain in lower case, was that of a site whose deletion ended less than
    REST_DAYS ago, or has yet to end.
    """
    return bool(tx.value(IS_RESTING, name=name, days=REST_DAYS))
