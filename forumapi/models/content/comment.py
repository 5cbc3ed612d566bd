"""Comments as clients write them: create, edit with revisions, hide, show (content 7). comment_documents.py reads
comments.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import NamedTuple, Self

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.errors import Conflict, TooMany
from forumapi.itemtypes import ItemRef
from forumapi.models.content import draft
from forumapi.models.content.comment_documents import HUDDLE_ACCESS
from forumapi.models.content.huddle import Huddle
from forumapi.models.content.item import SERIALISE, Item
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms import microcosm_counters
from forumapi.models.notifications import update_types
from forumapi.models.notifications.watcher import watch
from forumapi.models.people import profile_counters, read_mark
from forumapi.models.roles import role_recomputation
from forumapi.models.texts import short_link
from forumapi.models.texts.text_rendering import RenderedText
from forumapi.permissions.evaluator import Target
from forumapi.text.render import RENDERER_VERSION

# Read once the parent is locked: an equal comment of the last minutes, how many comments this author wrote in the last
# minute, the comment replied to if it is live and has the same parent; and id and time of the new comment. Shares the
# lock on the site's roles, which the author's counter may change.
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
      FROM {role_recomputation.LOCK_ROLES_SHARED} AS held""",
)

# All that a new comment changes, in one round trip. The item is locked, so its numbers are known; the author's counter
# comes after it, in a statement of its own (lock order: item, comment, profile).
INSERT = Query(
    "comment.insert",
    f"""
    WITH made AS (
        INSERT INTO comments (site_id, comment_id, item_id, on_profile_id, seq, in_reply_to, created, created_by,
                              edited_by, by_agent, renderer, markdown, html)
        VALUES (%(site_id)s, %(id)s, %(item_id)s, %(on_profile_id)s, %(seq)s, %(in_reply_to)s, %(created)s, %(me)s,
                %(me)s, %(by_agent)s, %(renderer)s, %(markdown)s, %(html)s)),
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
        SELECT %(site_id)s, %(counted_in)s::bigint, 1,
               CASE WHEN %(parent_type)s <> {itemtypes.POLL} THEN %(item_id)s END,
               CASE WHEN %(parent_type)s <> {itemtypes.POLL} THEN %(created)s END
         WHERE %(counted_in)s::bigint IS NOT NULL),
    watched AS ({watch("%(update_type)s", "%(parent_type)s::smallint", "%(parent_id)s::bigint")}),
    mentioned AS (
        INSERT INTO comment_mentions (site_id, comment_id, profile_id)
        SELECT %(site_id)s, %(id)s, m.profile_id FROM unnest(%(mentioned)s::bigint[]) AS m (profile_id)),
    linked AS (
        INSERT INTO link_uses (site_id, comment_id, revision, link_id)
        SELECT %(site_id)s, %(id)s, 1, l.link_id FROM unnest(%(links)s::bigint[]) AS l (link_id)),
    drafted AS ({
        draft.published(
            "%(parent_type)s::smallint", "%(parent_id)s::bigint", f"{itemtypes.COMMENT}::smallint"
        )
    }),
    bio AS (
        UPDATE profiles p
           SET bio_comment_id = %(id)s, version = p.version + 1
         WHERE p.site_id = %(site_id)s AND p.profile_id = %(on_profile_id)s),
    logged AS (
        INSERT INTO event_log (site_id, kind, item_type_id, item_id, parent_type_id, parent_id, microcosm_id, actor_id,
                               version)
        VALUES (%(site_id)s, 'created', {itemtypes.COMMENT}, %(id)s, %(parent_type)s::smallint,
                %(parent_id)s::bigint, %(microcosm_id)s, %(me)s, 1)
     RETURNING event_id)
    INSERT INTO audit_log (site_id, item_type_id, item_id, profile_id, action, ip, event_id)
    SELECT %(site_id)s, {
        itemtypes.COMMENT
    }, %(id)s, %(me)s, 'C', %(ip)s::inet, l.event_id FROM logged l""",
)

# After something in a huddle was written or hidden. Authors have read their own comment. All participants are locked in
# the order of their ids before any of their counters changes, and so is the author, who may have left.
LOCK_PARTICIPANTS = Query(
    "comment.lock_participants",
    f"""
    WITH marked AS (
        INSERT INTO read_marks AS r (site_id, profile_id, item_type_id, item_id, read_at)
        SELECT %(site_id)s, %(author_id)s, {itemtypes.HUDDLE}, %(item_id)s, %(read_at)s::timestamptz
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
    SELECT coalesce(i.item_type_id, {itemtypes.PROFILE}::smallint), coalesce(c.item_id, c.on_profile_id)
      FROM comments c
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s AND {HUDDLE_ACCESS}""",
)

# The fields of Comment after its parent, in their order, then the id of the item or profile that it is on now.
LOCK = Query(
    "comment.lock",
    """
    SELECT c.markdown, coalesce(c.in_reply_to, 0), c.comment_id, c.version, c.created_by, c.is_deleted, c.is_moderated,
           c.revisions, coalesce(c.edited, c.created), c.edited_by, coalesce(c.item_id, c.on_profile_id)
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s
       FOR NO KEY UPDATE""",
)

# A mention that the new text lacks is deleted unless its profile was notified: nobody is notified of it afterwards.
UPDATE = Query(
    "comment.update",
    """
    WITH kept AS (
        INSERT INTO comment_revisions (site_id, comment_id, revision, markdown, created, created_by)
        VALUES (%(site_id)s, %(id)s, %(revision)s - 1, %(old_markdown)s, %(old_created)s, %(old_author)s)),
    mentioned AS (
        INSERT INTO comment_mentions (site_id, comment_id, profile_id)
        SELECT %(site_id)s, %(id)s, m.profile_id FROM unnest(%(mentioned)s::bigint[]) AS m (profile_id)
            ON CONFLICT DO NOTHING),
    unnamed AS (
        DELETE FROM comment_mentions m
         WHERE m.site_id = %(site_id)s AND m.comment_id = %(id)s AND NOT m.told
           AND m.profile_id <> ALL(%(mentioned)s::bigint[]))
    UPDATE comments c
       SET markdown = %(markdown)s, html = %(html)s, renderer = %(renderer)s, revisions = %(revision)s,
           edited = clock_timestamp(), edited_by = %(me)s, version = c.version + 1
     WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s
 RETURNING c.version, c.edited""",
)

FLAG = Query(
    "comment.flag",
    """
    UPDATE comments c
       SET is_deleted = %(is_deleted)s, is_moderated = %(is_moderated)s, version = c.version + 1
     WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s
 RETURNING c.version""",
)

# After a comment was hidden or shown. Without a live comment the last activity stays as it is (content 7.7).
RECOUNT_ITEM = Query(
    "comment.recount_item",
    """
    WITH wrote AS (
        INSERT INTO item_authors (site_id, item_id, profile_id, live)
        VALUES (%(site_id)s, %(item_id)s, %(author_id)s, greatest(%(delta)s, 0))
            ON CONFLICT (site_id, item_id, profile_id) DO UPDATE SET live = item_authors.live + %(delta)s)
    UPDATE items i
       SET comment_count = i.comment_count + %(delta)s, last_comment_id = l.comment_id, last_comment_at = l.created,
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


class CommentParent(NamedTuple):
    """Item or profile that a comment stands on. `item` is locked until the transaction ends; None for a profile, which
    is not locked.
    """

    type: int
    id: int
    item: Item | None = None  # None: a profile

    @property
    def microcosm_id(self) -> int:
        """Return the id of the item's microcosm; 0 for a huddle or profile."""
        return self.item.microcosm_id if self.item else 0

    @property
    def is_huddle(self) -> bool:
        """Return True if the parent is a huddle, where mentions notify nobody and each participant's counter of unread
        huddles must be adapted.
        """
        return self.type == itemtypes.HUDDLE

    @classmethod
    def lock(cls, tx: Transaction, site_id: int, ref: ItemRef, me: int) -> Self | None:
        """Lock the item `ref`, hidden or not, and return it as a parent; None if it never existed here, or is a huddle
        in which the profile `me` does not participate.

        For a profile nothing is locked or looked up: the caller has checked that it exists.
        """
        if ref.type == itemtypes.PROFILE:
            return cls(*ref)
        model = Huddle if ref.type == itemtypes.HUDDLE else Item
        item = model.lock(tx, site_id, ref, me)
        return cls(*ref, item) if item else None


@dataclasses.dataclass
class Comment:
    """Comment as clients write it: a new one, or its current row, locked with its item until the transaction ends.

    `in_reply_to`: id of another comment, 0 for none; `revisions`: number of the current revision; `written` and
    `editor_id`: time and author of that revision; `author_id` and `editor_id` are ids of profiles, 0 before `insert`,
    and `written` is None before it.
    """

    parent: CommentParent
    markdown: str
    in_reply_to: int = 0
    id: int = 0
    version: int = 1
    author_id: int = 0
    is_deleted: bool = False
    is_moderated: bool = False
    revisions: int = 1
    written: datetime.datetime | None = None  # the current revision
    editor_id: int = 0  # the author of the current revision

    @property
    def href(self) -> str:
        """Return the comment's host-relative address in the API."""
        return itemtypes.href(itemtypes.COMMENT, self.id)

    @property
    def is_visible(self) -> bool:
        """Return True if the comment itself is neither deleted nor moderated; its parent may be."""
        return not self.is_deleted and not self.is_moderated

    @property
    def target(self) -> Target:
        """Return the comment as a target of permissions, for a write. In a huddle the caller counts as a participant,
        as `lock` has checked.
        """
        return Target(
            itemtypes.COMMENT,
            self.id,
            self.parent.microcosm_id,
            (self.author_id,),
            parent_type=self.parent.type,
            # A huddle is locked for its participants alone.
            is_participant=self.parent.is_huddle,
        )

    @classmethod
    def lock(cls, tx: Transaction, site_id: int, id: int, me: int) -> Self | None:
        """Lock a comment after its item, both hidden or not, and return it; None if the comment never existed here, or
        is in a huddle in which the profile `me` does not participate. Raises Conflict as `lock_on` does.
        """
        row = tx.row(PARENT_OF, site_id=site_id, id=id, me=me)
        parent = CommentParent.lock(tx, site_id, ItemRef(*row), me) if row else None
        return cls.lock_on(tx, site_id, parent, id) if parent else None

    @classmethod
    def lock_on(cls, tx: Transaction, site_id: int, parent: CommentParent, id: int) -> Self | None:
        """Lock a comment whose item is locked already, given as `parent`, and return the comment; None if no comment
        has this id.

        Raises Conflict for a comment that a merge or split moved elsewhere while this transaction waited for the lock
        on `parent`: items are locked in the order of their ids, so its new item can't be locked now.
        """
        row = tx.row(LOCK, site_id=site_id, id=id)
        if row is None:
            return None
        if row[-1] != parent.id:
            raise Conflict("This comment was moved to another conversation just now; try again")
        return cls(parent, *row[:-1])

    def insert(
        self,
        tx: Transaction,
        author: Author,
        rendered: RenderedText,
        *,
        window_s: int,
        per_minute: int,
        may_be_held: bool = False,
    ) -> bool:
        """Store the new comment on its locked parent, with `rendered` made of its `markdown`; return False, and store
        nothing, if its author wrote the same Markdown there within `window_s` seconds, in a comment that is not
        deleted.

        With the comment the author gets a watcher of the parent, and the author's draft there is deleted. `id` is set
        in both cases: to that of the new comment, or of the earlier one; all other fields only for a new one.
        `in_reply_to` is stored only if it is the id of a visible comment on the same parent, and becomes 0 otherwise.
        Raises TooMany if there is no such earlier comment, and the author has written `per_minute` comments on the site
        within a minute (0: no limit). `may_be_held`: the transaction may hide the comment next, so the counters of its
        microcosm are locked before those of its author.
        """
        site_id, me, ip = author[:3]
        parent, item = self.parent, self.parent.item
        item_id = item.id if item else None
        on_profile_id = None if item else parent.id
        if on_profile_id:
            # A locked item lets one writer in at a time; a profile is not locked.
            tx.rows(SERIALISE, key=f"{site_id}:profile:{on_profile_id}:{me}:{self.markdown}")
        row = tx.row(
            PREPARE,
            site_id=site_id,
            me=me,
            item_id=item_id,
            on_profile_id=on_profile_id,
            markdown=self.markdown,
            in_reply_to=self.in_reply_to or None,
            window_s=window_s,
        )
        assert row is not None
        duplicate_id, recent, reply, id, created = row
        if duplicate_id:
            self.id = duplicate_id
            return False
        if per_minute and recent >= per_minute:
            raise TooMany(f"At most {per_minute} comments a minute", 60)
        counted_in = parent.microcosm_id if item and item.is_visible else 0
        tx.run(
            INSERT,
            site_id=site_id,
            id=id,
            me=me,
            item_id=item_id,
            on_profile_id=on_profile_id,
            seq=item.last_seq + 1 if item else 0,
            in_reply_to=reply,
            created=created,
            by_agent=author.by_agent,
            renderer=RENDERER_VERSION,
            markdown=self.markdown,
            html=rendered.html,
            counted_in=counted_in or None,
            microcosm_id=parent.microcosm_id or None,
            parent_type=parent.type,
            parent_id=parent.id,
            update_type=update_types.NEW_COMMENT_IN_HUDDLE
            if parent.is_huddle
            else update_types.NEW_COMMENT,
            mentioned=() if parent.is_huddle else rendered.mentioned,
            links=sorted(set(rendered.link_ids)),
            ip=ip or None,
        )
        self.id, self.written, self.in_reply_to = id, created, reply or 0
        self.author_id = self.editor_id = me
        journal.count(tx, journal.CREATED, itemtypes.COMMENT)
        place_id = parent.microcosm_id if may_be_held else 0
        self._count_author(tx, site_id, 1, read_at=created, place_id=place_id)
        return True

    def update(
        self, tx: Transaction, author: Author, markdown: str, rendered: RenderedText
    ) -> None:
        """Store `markdown`, with `rendered` made of it, as the current revision of the locked comment, and set the
        fields of this object to the new revision; the one before is moved to the table of revisions.
        """
        site_id, me = author[:2]
        revision = self.revisions + 1
        row = tx.row(
            UPDATE,
            site_id=site_id,
            id=self.id,
            revision=revision,
            old_markdown=self.markdown,
            old_created=self.written,
            old_author=self.editor_id,
            me=me,
            markdown=markdown,
            html=rendered.html,
            renderer=RENDERER_VERSION,
            mentioned=() if self.parent.is_huddle else rendered.mentioned,
        )
        assert row is not None, "the comment is locked"
        self.version, self.written = row
        self.markdown, self.revisions, self.editor_id = markdown, revision, me
        short_link.record_uses(tx, site_id, self.id, revision, rendered.link_ids)
        self._record(tx, author, journal.REPLACED)

    def flag(
        self, tx: Transaction, author: Author, *, is_deleted: bool, is_moderated: bool
    ) -> None:
        """Set the flags `is_deleted` and `is_moderated` of the locked comment to these values, and record that in the
        journal even if nothing changes. If this hides or shows the comment, the author's counters are adapted; for a
        comment on an item also the item's counters and last activity, and the counters of its microcosm if the item is
        visible; for a comment on a profile the profile's biography, which is the newest visible comment on it.
        """
        self._flag(tx, author, journal.PATCHED, is_deleted, is_moderated)

    def delete(self, tx: Transaction, author: Author) -> None:
        """Set the flag `is_deleted` of the locked comment, with the effects that `flag` has; nothing changes if it is
        set already.
        """
        if not self.is_deleted:
            self._flag(tx, author, journal.DELETED, True, self.is_moderated)

    def _flag(
        self, tx: Transaction, author: Author, kind: str, is_deleted: bool, is_moderated: bool
    ) -> None:
        site_id, parent = author.site_id, self.parent
        was_visible = self.is_visible
        self.is_deleted, self.is_moderated = is_deleted, is_moderated
        self.version = tx.value(
            FLAG, site_id=site_id, id=self.id, is_deleted=is_deleted, is_moderated=is_moderated
        )
        if self.is_visible != was_visible:
            delta = 1 if self.is_visible else -1
            role_recomputation.lock_roles_shared(tx, site_id)
            if parent.item:
                tx.run(
                    RECOUNT_ITEM,
                    site_id=site_id,
                    item_id=parent.id,
                    author_id=self.author_id,
                    delta=delta,
                )
                if parent.microcosm_id and parent.item.is_visible:
                    microcosm_counters.add(tx, site_id, parent.microcosm_id, comments=delta)
                    microcosm_counters.refresh(tx, site_id, [parent.microcosm_id])
            else:
                tx.run(RECOUNT_BIO, site_id=site_id, profile_id=parent.id)
            self._count_author(tx, site_id, delta)
        self._record(tx, author, kind)

    def _count_author(
        self,
        tx: Transaction,
        site_id: int,
        delta: int,
        *,
        read_at: datetime.datetime | None = None,
        place_id: int = 0,
    ) -> None:
        """Add `delta` to the author's count of comments; in a huddle also count the unread huddles of each participant
        anew (discovery 7.5).

        `read_at`: time up to which the author has now read the huddle, None to leave the read mark. `place_id`:
        microcosm whose counters are locked first, 0 for none.
        """
        if not self.parent.is_huddle:
            profile_counters.add_comments(tx, site_id, self.author_id, delta, place_id=place_id)
            return
        rows = tx.rows(
            LOCK_PARTICIPANTS,
            site_id=site_id,
            item_id=self.parent.id,
            author_id=self.author_id,
            read_at=read_at,
        )
        crossed = tx.rows(
            COUNT_PARTICIPANTS,
            site_id=site_id,
            author_id=self.author_id,
            by=delta,
            profile_ids=[row[0] for row in rows],
        )
        if any(row[0] for row in crossed):
            role_recomputation.recompute_roles(tx, site_id, [self.author_id])

    def _record(self, tx: Transaction, author: Author, kind: str) -> None:
        journal.record(
            tx,
            author,
            kind,
            itemtypes.COMMENT,
            self.id,
            version=self.version,
            parent=(self.parent.type, self.parent.id),
            microcosm_id=self.parent.microcosm_id,
        )
