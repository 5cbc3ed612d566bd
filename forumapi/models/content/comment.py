"""Comments as clients write them: create, edit with revisions, hide, show (content 7). comment_page.py reads them."""

from __future__ import annotations

import datetime
from typing import NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Query, Transaction
from forumapi.errors import TooMany
from forumapi.models.content import draft, link
from forumapi.models.content.comment_page import SEEN
from forumapi.models.content.item import SERIALISE, LockedItem
from forumapi.models.content.text import Rendered
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms import microcosm_counters
from forumapi.models.notices.watcher import watch
from forumapi.models.people import profile_counters, read_mark, role_members
from forumapi.text.render import RENDERER_VERSION

# Asked once the parent is locked: an equal comment of the last minutes, how many this author wrote in the last one,
# whether the comment replied to is live and here; and the new comment's id and time. Shares the lock on the site's
# roles, which the author's counter may change.
PREPARE = Query(
    "comment.prepare",
    f"""
    SELECT (SELECT c.comment_id FROM comments c
             WHERE c.site_id = %(site_id)s AND c.created_by = %(me)s
               AND c.created > now() - make_interval(secs => %(window_s)s)
               AND c.item_id IS NOT DISTINCT FROM %(item_id)s
               AND c.on_profile_id IS NOT DISTINCT FROM %(on_profile_id)s
               AND NOT c.is_deleted AND c.markdown = %(markdown)s
             ORDER BY c.comment_id LIMIT 1),
           (SELECT count(*) FROM comments c
             WHERE c.site_id = %(site_id)s AND c.created_by = %(me)s AND c.created > now() - interval '1 minute'),
           (SELECT c.comment_id FROM comments c
             WHERE c.site_id = %(site_id)s AND c.comment_id = %(in_reply_to)s AND NOT c.is_deleted
               AND NOT c.is_moderated AND c.item_id IS NOT DISTINCT FROM %(item_id)s
               AND c.on_profile_id IS NOT DISTINCT FROM %(on_profile_id)s),
           nextval('comments_comment_id_seq'), clock_timestamp()
      FROM {role_members.LOCK_ROLES_SHARED} AS held""",
)

# Everything a new comment moves, in one round trip. The item is locked, so its numbers are known; the author's
# counter comes after it, in a statement of its own (lock order: item, comment, profile).
INSERT = Query(
    "comment.insert",
    f"""
    WITH made AS (
        INSERT INTO comments (site_id, comment_id, item_id, on_profile_id, seq, in_reply_to, created, created_by,
                              edited_by, renderer, markdown, html)
        VALUES (%(site_id)s, %(id)s, %(item_id)s, %(on_profile_id)s, %(seq)s, %(in_reply_to)s, %(created)s, %(me)s,
                %(me)s, %(renderer)s, %(markdown)s, %(html)s)),
    parent AS (
        UPDATE items i
           SET last_seq = %(seq)s, comment_count = i.comment_count + 1, last_comment_id = %(id)s,
               last_comment_at = %(created)s, last_comment_by = %(me)s, last_activity = %(created)s
         WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s),
    wrote AS (
        INSERT INTO item_authors (site_id, item_id, profile_id, live)
        SELECT %(site_id)s, %(item_id)s, %(me)s, 1 WHERE %(item_id)s::bigint IS NOT NULL
            ON CONFLICT (site_id, item_id, profile_id) DO UPDATE SET live = item_authors.live + 1),
    counted AS (
        INSERT INTO microcosm_deltas (site_id, microcosm_id, comments, item_id, activity)
        SELECT %(site_id)s, %(counted_in)s::bigint, 1, CASE WHEN %(parent_type)s <> 7 THEN %(item_id)s END,
               CASE WHEN %(parent_type)s <> 7 THEN %(created)s END
         WHERE %(counted_in)s::bigint IS NOT NULL),
    watched AS ({watch("%(update_type)s", "%(parent_type)s::smallint", "%(parent_id)s::bigint")}),
    mentioned AS (
        INSERT INTO comment_mentions (site_id, comment_id, profile_id)
        SELECT %(site_id)s, %(id)s, m.profile_id FROM unnest(%(mentioned)s::bigint[]) AS m (profile_id)),
    linked AS (
        INSERT INTO link_uses (site_id, comment_id, revision, link_id)
        SELECT %(site_id)s, %(id)s, 1, l.link_id FROM unnest(%(links)s::bigint[]) AS l (link_id)),
    drafted AS ({draft.published("%(parent_type)s::smallint", "%(parent_id)s::bigint", "4::smallint")}),
    bio AS (
        UPDATE profiles p
           SET bio_comment_id = %(id)s, version = p.version + 1
         WHERE p.site_id = %(site_id)s AND p.profile_id = %(on_profile_id)s),
    audited AS (
        INSERT INTO audit_log (site_id, item_type_id, item_id, profile_id, action, ip)
        VALUES (%(site_id)s, 4, %(id)s, %(me)s, 'C', %(ip)s::inet))
    INSERT INTO event_log (site_id, kind, item_type_id, item_id, parent_type_id, parent_id, microcosm_id, actor_id,
                           version)
    VALUES (%(site_id)s, 'created', 4, %(id)s, %(parent_type)s::smallint, %(parent_id)s::bigint, %(microcosm_id)s,
            %(me)s, 1)""",
)

# After something in a huddle was written or hidden. One's own comment one has read. All participants are locked in the
# order of their ids before any of their counters moves, the author's included, who may have left.
HOLD_PARTICIPANTS = Query(
    "comment.hold_participants",
    """
    WITH marked AS (
        INSERT INTO read_marks AS r (site_id, profile_id, item_type_id, item_id, read_at)
        SELECT %(site_id)s, %(author_id)s, 5, %(item_id)s, %(read_at)s::timestamptz
         WHERE %(read_at)s::timestamptz IS NOT NULL
            ON CONFLICT (site_id, profile_id, item_type_id, item_id) DO UPDATE
           SET read_at = greatest(r.read_at, EXCLUDED.read_at))
    SELECT n.profile_id
      FROM profile_counters n
     WHERE n.site_id = %(site_id)s
       AND (n.profile_id = %(author_id)s
            OR n.profile_id IN (SELECT h.profile_id FROM huddle_participants h
                                 WHERE h.site_id = %(site_id)s AND h.item_id = %(item_id)s))
     ORDER BY n.profile_id
       FOR NO KEY UPDATE OF n""",
)
COUNT_PARTICIPANTS = Query(
    "comment.count_participants",
    f"""
    UPDATE profile_counters n
       SET comment_count = n.comment_count + CASE n.profile_id WHEN %(author_id)s THEN %(by)s ELSE 0 END,
           unread_huddles = ({read_mark.UNREAD_HUDDLES})
     WHERE n.site_id = %(site_id)s AND n.profile_id = ANY(%(profile_ids)s::bigint[])
 RETURNING n.profile_id = %(author_id)s AND {profile_counters.COMMENTS_CROSS}""",
)

PARENT_OF = Query(
    "comment.parent_of",
    f"""
    SELECT coalesce(c.item_id, 0), coalesce(i.item_type_id, 3::smallint), coalesce(c.on_profile_id, 0)
      FROM comments c
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s AND {SEEN}""",
)

LOCK = Query(
    "comment.lock",
    """
    SELECT c.comment_id, c.version, c.created_by, c.is_deleted, c.is_moderated, c.revisions, c.markdown, c.created,
           c.edited, c.edited_by
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s
       FOR NO KEY UPDATE""",
)

EDIT = Query(
    "comment.edit",
    """
    WITH kept AS (
        INSERT INTO comment_revisions (site_id, comment_id, revision, markdown, created, created_by)
        VALUES (%(site_id)s, %(id)s, %(revision)s - 1, %(old_markdown)s, %(old_created)s, %(old_author)s)),
    mentioned AS (
        INSERT INTO comment_mentions (site_id, comment_id, profile_id)
        SELECT %(site_id)s, %(id)s, m.profile_id FROM unnest(%(mentioned)s::bigint[]) AS m (profile_id)
            ON CONFLICT DO NOTHING)
    UPDATE comments c
       SET markdown = %(markdown)s, html = %(html)s, renderer = %(renderer)s, revisions = %(revision)s,
           edited = clock_timestamp(), edited_by = %(me)s, version = c.version + 1
     WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s
 RETURNING c.version""",
)

FLAG = Query(
    "comment.flag",
    """
    UPDATE comments c
       SET is_deleted = %(is_deleted)s, is_moderated = %(is_moderated)s, version = c.version + 1
     WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s
 RETURNING c.version""",
)

# After a comment was hidden or shown. With no live comment left the last activity stays (content 7.7).
RECOUNT_ITEM = Query(
    "comment.recount_item",
    """
    WITH wrote AS (
        INSERT INTO item_authors (site_id, item_id, profile_id, live)
        VALUES (%(site_id)s, %(item_id)s, %(author_id)s, greatest(%(by)s, 0))
            ON CONFLICT (site_id, item_id, profile_id) DO UPDATE SET live = item_authors.live + %(by)s)
    UPDATE items i
       SET comment_count = i.comment_count + %(by)s, last_comment_id = l.comment_id, last_comment_at = l.created,
           last_comment_by = l.created_by, last_activity = coalesce(l.created, i.last_activity)
      FROM (SELECT 1) AS one
      LEFT JOIN LATERAL (
            SELECT c.comment_id, c.created, c.created_by FROM comments c
             WHERE c.site_id = %(site_id)s AND c.item_id = %(item_id)s AND c.seq > 0 AND NOT c.is_deleted
               AND NOT c.is_moderated
             ORDER BY c.seq DESC LIMIT 1) l ON true
     WHERE i.site_id = %(site_id)s AND i.item_id = %(item_id)s""",
)

RECOUNT_BIO = Query(
    "comment.recount_bio",
    """
    UPDATE profiles p
       SET version = p.version + 1,
           bio_comment_id = (SELECT max(c.comment_id) FROM comments c
                              WHERE c.site_id = %(site_id)s AND c.on_profile_id = %(profile_id)s
                                AND NOT c.is_deleted AND NOT c.is_moderated)
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s""",
)


class Place(NamedTuple):
    """Where a comment hangs: a locked item, or a profile."""

    item_type: int
    id: int
    locked: LockedItem | None = None
    is_under_live: bool = True  # the microcosms above are live

    @property
    def microcosm_id(self) -> int:
        """The microcosm of the item; 0 without one."""
        return self.locked.microcosm_id or 0 if self.locked else 0


class Created(NamedTuple):
    """A new comment, or the equal one of a moment ago."""

    id: int
    is_new: bool


def insert(
    tx: Transaction,
    author: Author,
    place: Place,
    markdown: str,
    rendered: Rendered,
    *,
    in_reply_to: int,
    window_s: int,
    per_minute: int,
) -> Created:
    """Write a comment on a locked item or a profile. Raises TooMany over `per_minute` (0: no limit)."""
    site_id, me, ip = author
    item_id = place.id if place.locked else None
    on_profile_id = None if place.locked else place.id
    if on_profile_id:
        # A locked item lets one writer in at a time; a profile is not locked.
        tx.rows(SERIALISE, key=f"{site_id}:profile:{on_profile_id}:{me}:{markdown}")
    row = tx.row(
        PREPARE,
        site_id=site_id,
        me=me,
        item_id=item_id,
        on_profile_id=on_profile_id,
        markdown=markdown,
        in_reply_to=in_reply_to or None,
        window_s=window_s,
    )
    assert row is not None
    duplicate, recent, reply, id, created = row
    if duplicate:
        return Created(duplicate, False)
    if per_minute and recent >= per_minute:
        raise TooMany(f"At most {per_minute} comments a minute", 60)
    locked = place.locked
    counted_in = place.microcosm_id if locked and locked.is_visible else 0
    tx.run(
        INSERT,
        site_id=site_id,
        id=id,
        me=me,
        item_id=item_id,
        on_profile_id=on_profile_id,
        seq=locked.last_seq + 1 if locked else 0,
        in_reply_to=reply,
        created=created,
        renderer=RENDERER_VERSION,
        markdown=markdown,
        html=rendered.html,
        counted_in=counted_in or None,
        microcosm_id=place.microcosm_id or None,
        parent_type=place.item_type,
        parent_id=place.id,
        update_type=4 if place.item_type == itemtypes.HUDDLE else 1,
        mentioned=rendered.mentioned if place.item_type != itemtypes.HUDDLE else (),
        links=sorted(set(rendered.link_ids)),
        ip=ip or None,
    )
    journal.count(tx, journal.CREATED, itemtypes.COMMENT)
    _count_author(tx, site_id, place, me, 1, read_at=created)
    return Created(id, True)


def _count_author(
    tx: Transaction,
    site_id: int,
    place: Place,
    author_id: int,
    by: int,
    *,
    read_at: datetime.datetime | None = None,
) -> None:
    """Count a comment of an author; in a huddle also what is unread for each participant (discovery 7.5).

    `read_at`: up to when the author has read the huddle.
    """
    if place.item_type != itemtypes.HUDDLE:
        profile_counters.comments(tx, site_id, author_id, by)
        return
    rows = tx.rows(
        HOLD_PARTICIPANTS, site_id=site_id, item_id=place.id, author_id=author_id, read_at=read_at
    )
    ids = [row[0] for row in rows]
    crossed = tx.rows(
        COUNT_PARTICIPANTS, site_id=site_id, author_id=author_id, by=by, profile_ids=ids
    )
    if any(row[0] for row in crossed):
        role_members.recompute_roles(tx, site_id, [author_id])


class LockedComment(NamedTuple):
    """The current row of a comment, locked with its item until the transaction ends."""

    id: int
    version: int
    author_id: int
    is_deleted: bool
    is_moderated: bool
    revisions: int
    markdown: str
    created: datetime.datetime
    edited: datetime.datetime | None
    editor_id: int

    @property
    def is_visible(self) -> bool:
        """Neither deleted nor moderated itself."""
        return not self.is_deleted and not self.is_moderated


def parent_of(tx: Transaction, site_id: int, id: int, me: int) -> tuple[int, int] | None:
    """(type, id) of what a comment is on; None if it never existed here, or is in a huddle without `me`."""
    row = tx.row(PARENT_OF, site_id=site_id, id=id, me=me)
    if row is None:
        return None
    return row[1], row[0] or row[2]


def lock(tx: Transaction, site_id: int, id: int) -> LockedComment | None:
    """Lock a comment; its item must be locked already."""
    row = tx.row(LOCK, site_id=site_id, id=id)
    return LockedComment(*row) if row else None


def edit(
    tx: Transaction,
    author: Author,
    place: Place,
    found: LockedComment,
    markdown: str,
    rendered: Rendered,
) -> None:
    """Store a new revision as the current one; the one before is kept apart."""
    site_id, me, _ = author
    revision = found.revisions + 1
    version = tx.value(
        EDIT,
        site_id=site_id,
        id=found.id,
        revision=revision,
        old_markdown=found.markdown,
        old_created=found.edited or found.created,
        old_author=found.editor_id,
        me=me,
        markdown=markdown,
        html=rendered.html,
        renderer=RENDERER_VERSION,
        mentioned=rendered.mentioned if place.item_type != itemtypes.HUDDLE else (),
    )
    link.record_uses(tx, site_id, found.id, revision, rendered.link_ids)
    _record(tx, author, place, journal.REPLACED, found.id, version)


def flag(
    tx: Transaction,
    author: Author,
    place: Place,
    found: LockedComment,
    *,
    is_deleted: bool,
    is_moderated: bool,
    kind: str,
) -> None:
    """Hide or show a locked comment; counters and last activity follow. `kind` is journal.PATCHED or DELETED."""
    site_id = author.site_id
    version = tx.value(
        FLAG, site_id=site_id, id=found.id, is_deleted=is_deleted, is_moderated=is_moderated
    )
    is_visible = not is_deleted and not is_moderated
    if is_visible != found.is_visible:
        by = 1 if is_visible else -1
        role_members.lock_roles_shared(tx, site_id)
        if place.locked:
            tx.run(
                RECOUNT_ITEM, site_id=site_id, item_id=place.id, author_id=found.author_id, by=by
            )
            if place.microcosm_id and place.locked.is_visible:
                microcosm_counters.add(tx, site_id, place.microcosm_id, comments=by)
                microcosm_counters.refresh(tx, site_id, [place.microcosm_id])
        else:
            tx.run(RECOUNT_BIO, site_id=site_id, profile_id=place.id)
        _count_author(tx, site_id, place, found.author_id, by)
    _record(tx, author, place, kind, found.id, version)


def _record(
    tx: Transaction, author: Author, place: Place, kind: str, comment_id: int, version: int
) -> None:
    journal.record(
        tx,
        author.site_id,
        kind,
        itemtypes.COMMENT,
        comment_id,
        actor=author.profile_id,
        ip=author.ip,
        version=version,
        parent=(place.item_type, place.id),
        microcosm_id=place.microcosm_id,
    )
