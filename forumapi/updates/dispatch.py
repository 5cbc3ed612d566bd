"""Dispatch of updates (discovery 2.3 to 2.5): a reader of the event log, which decides who is notified of each event.

An event leads to rows of `updates` (replies, mentions, attendees, invitations, reminders), to requests for mail, and to
`last_notified` of watchers. Comments, new items and votes on followed things need no rows:
models/notifications/update_page.py finds them when the list is read. All is committed with the reader's cursor, so that
each event takes effect once.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.cache.lru_cache import Lru
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query, Row
from forumapi.events.event_log import LoggedEvent
from forumapi.models.access import permission_target
from forumapi.models.journal import journal
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.notifications.update_types import (
    EVENT_INVITATION,
    EVENT_REMINDER,
    MENTIONED,
    NEW_ATTENDEE,
    NEW_COMMENT,
    NEW_COMMENT_IN_HUDDLE,
    NEW_ITEM,
    NEW_USER,
    REPLY,
)
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Target, Tree
from forumapi.updates import recipients
from forumapi.updates.message_request import MessageRequest
from forumapi.updates.recipients import Recipient, SiteState, Subject

# The name of its cursors.
NAME: Final = "updates"

# Queues mail, or messages of web push, in the transaction that decides on them (mail_enqueue.py, push_queue.py).
Queue = Callable[[Transaction, int, Sequence[MessageRequest]], None]

# Live comments: parent, author of the comment replied to, and whether any follower of the parent wants mail.
COMMENTS = Query(
    "dispatch.comments",
    f"""
    SELECT c.comment_id, c.created, c.created_by, coalesce(i.item_type_id, 3::smallint),
           coalesce(c.item_id, c.on_profile_id), coalesce(i.microcosm_id, 0), coalesce(r.created_by, 0),
           EXISTS (SELECT 1 FROM watchers w
                    WHERE w.site_id = c.site_id AND w.send_email
                      AND w.item_type_id = coalesce(i.item_type_id, 3)
                      AND w.item_id = coalesce(c.item_id, c.on_profile_id))
           OR EXISTS (SELECT 1 FROM watchers w
                       WHERE w.site_id = c.site_id AND w.send_email AND w.item_type_id = {itemtypes.MICROCOSM}
                         AND w.item_id = i.microcosm_id)
           OR i.microcosm_id IS NOT NULL
              AND EXISTS (SELECT 1 FROM watchers w
                           WHERE w.site_id = c.site_id AND w.send_email AND w.item_type_id = {itemtypes.SITE}
                             AND w.item_id = c.site_id),
           c.is_unannounced
      FROM comments c
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
      LEFT JOIN comments r ON r.site_id = c.site_id AND r.comment_id = c.in_reply_to
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s::bigint[]) AND NOT c.is_deleted
       AND NOT c.is_moderated AND (i.item_id IS NULL OR NOT i.is_deleted AND NOT i.is_moderated)""",
)

# Mentioned profiles that were not notified yet. Mentions are taken by the first event for which the comment is live, in
# this release or the one before.
MENTIONS = Query(
    "dispatch.mentions",
    """
    UPDATE comment_mentions m
       SET told = true
     WHERE m.site_id = %(site_id)s AND m.comment_id = ANY(%(ids)s::bigint[]) AND NOT m.told
 RETURNING m.comment_id, m.profile_id""",
)

ITEMS = Query(
    "dispatch.items",
    f"""
    SELECT i.item_id, i.item_type_id, i.microcosm_id, i.created_by, i.created, i.is_unannounced
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(ids)s::bigint[])
         AND i.item_type_id IN ({itemtypes.CONVERSATION}, {itemtypes.POLL}, {itemtypes.EVENT})
       AND NOT i.is_deleted AND NOT i.is_moderated""",
)

# New comments and items that are hidden, and of which people are notified once they are shown.
PUT_OFF = Query(
    "dispatch.put_off",
    """
    WITH put_off AS (
        UPDATE items i
           SET is_unannounced = true
         WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(items)s::bigint[]) AND NOT i.is_deleted)
    UPDATE comments c
       SET is_unannounced = true
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(comments)s::bigint[]) AND NOT c.is_deleted""",
)

# The same once they are shown, with the comments that were written meanwhile on an item.
RELEASED = Query(
    "dispatch.released",
    """
    SELECT c.item_id, c.comment_id
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.item_id = ANY(%(items)s::bigint[]) AND c.is_unannounced
     ORDER BY c.comment_id""",
)
TAKE_UP = Query(
    "dispatch.take_up",
    """
    WITH taken_up AS (
        UPDATE items i
           SET is_unannounced = false
         WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(items)s::bigint[]))
    UPDATE comments c
       SET is_unannounced = false
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(comments)s::bigint[])""",
)

# Attendees that said yes: all, or those among some profiles.
COMING = Query(
    "dispatch.coming",
    """
    SELECT a.profile_id
      FROM attendees a
     WHERE a.site_id = %(site_id)s AND a.item_id = %(event_id)s AND a.state_id = 1
       AND (%(ids)s::bigint[] IS NULL OR a.profile_id = ANY(%(ids)s::bigint[]))
     ORDER BY a.profile_id""",
)

# Attendees that somebody else added and who have not answered: invited (3) or, when they are new, maybe (2).
INVITED = Query(
    "dispatch.invited",
    """
    SELECT DISTINCT k.number
      FROM unnest(%(numbers)s::bigint[], %(event_ids)s::bigint[], %(profile_ids)s::bigint[], %(actors)s::bigint[],
                  %(are_new)s::boolean[]) AS k (number, event_id, profile_id, actor, is_new)
      JOIN attendees a ON a.item_id = k.event_id AND a.profile_id = k.profile_id
     WHERE a.site_id = %(site_id)s AND coalesce(a.edited_by, a.created_by) = k.actor AND a.waiting_since IS NULL
       AND (a.state_id = 3 OR a.state_id = 2 AND k.is_new)""",
)

# One row for each person and cause, moved to the top if `again`. Live listeners are notified (docs/api/live.md).
INSERT = Query(
    "dispatch.insert",
    """
    WITH inserted AS (
        INSERT INTO updates AS u (site_id, profile_id, update_type_id, item_type_id, item_id, parent_item_type_id,
                                  parent_item_id, created, created_by)
        SELECT %(site_id)s, t.profile_id, %(type)s, %(item_type)s, %(item_id)s, %(parent_type)s, %(parent_id)s,
               %(created)s, %(actor)s
          FROM unnest(%(ids)s::bigint[]) AS t (profile_id)
            ON CONFLICT (site_id, profile_id, update_type_id, item_type_id, item_id, created_by) DO UPDATE
           SET created = EXCLUDED.created
         WHERE %(again)s::boolean
     RETURNING u.site_id, u.update_id)
    INSERT INTO event_log (site_id, kind, item_type_id, item_id)
    SELECT inserted.site_id, 'created', 16, inserted.update_id FROM inserted""",
)

_TREES_BYTES: Final = 8 * 1024 * 1024


class LiveComment(NamedTuple):
    """Comment that is neither deleted nor hidden, on an item that is neither or on a profile, as dispatch reads it
    (COMMENTS, MENTIONS). `parent_type` and `parent_id`: the item or profile that it is on; `microcosm_id`: the item's,
    0 for none; `reply_to`: profile that wrote the comment replied to, 0 for none; `has_mail`: a follower of parent,
    microcosm or site wants mail; `is_unannounced`: it was hidden when it was made, so nobody was notified of it yet;
    `mentioned`: profiles that the comment mentions and that were not notified of that yet.
    """

    id: int
    created: datetime.datetime
    author_id: int
    parent_type: int
    parent_id: int
    microcosm_id: int
    reply_to: int  # the author of the comment replied to; 0 for none
    has_mail: bool
    is_unannounced: bool
    mentioned: Sequence[int] = ()

    @property
    def target(self) -> Target:
        """Return the comment as a target for the evaluator; that of a comment in a huddle holds for those alone who do
        not participate in the huddle.
        """
        return Target(
            itemtypes.COMMENT,
            self.id,
            self.microcosm_id,
            (self.author_id,),
            parent_type=self.parent_type,
        )


class LiveItem(NamedTuple):
    """Item that is neither deleted nor hidden, as dispatch reads it (ITEMS). `is_unannounced`: it was hidden when it
    was made, so nobody was notified of it yet.
    """

    id: int
    item_type: int
    microcosm_id: int
    author_id: int
    created: datetime.datetime
    is_unannounced: bool

    @property
    def target(self) -> Target:
        """Return the item as a target for the evaluator."""
        return Target(self.item_type, self.id, self.microcosm_id, (self.author_id,))


class Dispatch:
    """Reader of the event log named `updates`, for all sites. `queue(tx, site_id, requests)` queues mails, and `push`,
    called in the same way, messages of web push; `push` None: no such messages are queued.
    """

    def __init__(self, queue: Queue, push: Queue | None = None) -> None:
        self._queue = queue
        self._push = push or _no_push
        self._trees: Lru[int, Tree] = Lru(_TREES_BYTES, lambda _, tree: tree.weight)

    def work(self, tx: Transaction, site_id: int, events: Sequence[LoggedEvent]) -> None:
        """Notify people of these events of one site, which are in the order of the log, inside the transaction `tx`
        that also moves the reader's cursor. Events of imports, and of a deleted site, notify nobody.
        """
        concerned = [event for event in events if _concerns(event)]
        state = recipients.site(tx, site_id) if concerned else None
        if state is not None:
            tree = self._tree(tx, site_id, state)
            _EventDispatch(tx, site_id, state, tree, self._queue, self._push).run(concerned)

    def _tree(self, tx: Reader, site_id: int, state: SiteState) -> Tree:
        found = self._trees.get(site_id)
        if found is None or found.acl_version < state.acl_version:
            found = load_tree(tx, site_id, state.acl_version)
            self._trees.add(site_id, found)
        return found


def _concerns(event: LoggedEvent) -> bool:
    """Return True if an event can lead to notifications, by its kind and type of object; an event of an import never
    does (discovery 13). What was hidden may be shown by a PATCHED one.
    """
    if event.is_import:
        return False
    if event.kind == journal.REMINDED:
        return event.item_type == itemtypes.EVENT
    if event.item_type == itemtypes.COMMENT:
        return event.kind in (journal.CREATED, journal.REPLACED, journal.PATCHED)
    if event.item_type == itemtypes.ATTENDEE:
        return event.kind in (journal.CREATED, journal.REPLACED, journal.PATCHED)
    if event.item_type == itemtypes.PROFILE:
        # A profile made by its own person's first request; nobody is notified of those that others add (platform 4.1).
        return event.kind == journal.CREATED and event.actor_id == event.item_id
    is_shown = event.kind in (journal.CREATED, journal.PATCHED)
    return is_shown and event.item_type in itemtypes.IN_MICROCOSM


class _EventDispatch:
    """Dispatch of one batch of events of the site `site_id`, inside the transaction `tx`. The function
    `queue(tx, site_id, requests)` queues mails, and `push`, called in the same way, messages of web push; `state` and
    `tree`: state and microcosms of the site.
    """

    def __init__(
        self,
        tx: Transaction,
        site_id: int,
        state: SiteState,
        tree: Tree,
        queue: Queue,
        push: Queue,
    ) -> None:
        self._tx = tx
        self._site_id = site_id
        self._state = state
        self._tree = tree
        self._queue = queue
        self._push = push
        # Followers of each thing without a mail about its first comment in this batch: only they may need one about
        # a later comment.
        self._passed_over: dict[tuple[int, int], set[int]] = {}

    def run(self, events: Sequence[LoggedEvent]) -> None:
        """Notify people of each event, in order, and of all invitations to calendar events last; events of things that
        are deleted or hidden by now are left out.
        """
        items = self._by_id(
            LiveItem,
            ITEMS,
            _ids(events, itemtypes.IN_MICROCOSM)
            | {event.parent_id for event in events if event.item_type == itemtypes.ATTENDEE},
        )
        items = {id: item for id, item in items.items() if self._is_live(item)}
        released = self._released(events, items)
        written = _ids(events, {itemtypes.COMMENT}) | {
            id for ids in released.values() for id in ids
        }
        comments = self._by_id(LiveComment, COMMENTS, written)
        comments = self._with_mentions(
            {id: one for id, one in comments.items() if self._is_live(one)}
        )
        self._put_off(events, items, comments)
        for event in events:
            if event.item_type == itemtypes.COMMENT:
                self._written(comments, event, event.item_id)
            elif event.item_type == itemtypes.PROFILE:
                self._newcomer(event)
            elif event.item_type == itemtypes.ATTENDEE:
                if event.parent_id in items:
                    self._attendee(items[event.parent_id], event)
            elif event.item_id in items:
                item = items[event.item_id]
                if event.kind == journal.REMINDED:
                    self._reminder(item, event)
                elif event.kind == journal.CREATED or item.is_unannounced:
                    self._item(item)
                    items[item.id] = item._replace(is_unannounced=False)
                    for id in released.get(item.id, ()):
                        self._written(comments, event, id)

        asked = [
            event
            for event in events
            if event.item_type == itemtypes.ATTENDEE
            and event.actor_id not in (0, event.item_id)
            and event.parent_id in items
        ]
        if asked:
            self._invitations(items, asked)

    def _by_id(self, kind: Any, query: Query, ids: set[int]) -> dict[int, Any]:
        rows: list[Row] = []
        if ids:
            rows = self._tx.rows(query, site_id=self._site_id, ids=sorted(ids))
        return {row[0]: kind(*row) for row in rows}

    def _released(
        self, events: Sequence[LoggedEvent], items: dict[int, LiveItem]
    ) -> dict[int, list[int]]:
        """Return, for those of `items` (by id) that these events show for the first time, the ids of the comments that
        were written on the item while it was hidden, ascending, by item id; [] if there are none.
        """
        patched = _patched_items(events)
        released: dict[int, list[int]] = {
            id: [] for id, item in sorted(items.items()) if item.is_unannounced and id in patched
        }
        if released:
            rows = self._tx.rows(RELEASED, site_id=self._site_id, items=list(released))
            for item_id, comment_id in rows:
                released[item_id].append(comment_id)
        return released

    def _put_off(
        self,
        events: Sequence[LoggedEvent],
        items: dict[int, LiveItem],
        comments: dict[int, LiveComment],
    ) -> None:
        """Mark the items and comments that these events have made and that are not live (`items` and `comments`: the
        live ones by id), so that people are notified of them when they are shown; take the mark from the live comments,
        and from those live items that these events patch.
        """
        made = [event for event in events if event.kind == journal.CREATED]
        hidden = _ids(made, itemtypes.IN_MICROCOSM) - items.keys()
        unseen = _ids(made, {itemtypes.COMMENT}) - comments.keys()
        site_id = self._site_id
        if hidden or unseen:
            self._tx.run(PUT_OFF, site_id=site_id, items=sorted(hidden), comments=sorted(unseen))
        patched = _patched_items(events)
        shown = [id for id, item in sorted(items.items()) if item.is_unannounced and id in patched]
        seen = [id for id, comment in sorted(comments.items()) if comment.is_unannounced]
        if shown or seen:
            self._tx.run(TAKE_UP, site_id=site_id, items=shown, comments=seen)

    # ------------------------------------------------------------ comments

    def _written(self, comments: dict[int, LiveComment], event: LoggedEvent, id: int) -> None:
        """Notify people of the comment `id` of `comments`, the live ones by id, because of `event`; nothing happens if
        the comment is not among them.

        Those whom it mentions and who were not notified of that yet are notified now; all others if `event` is its
        creation, or shows a comment that was hidden until now. In `comments` the comment then has no mentions left and
        is not unannounced.
        """
        found = comments.get(id)
        if found is None:
            return
        is_created = event.kind == journal.CREATED and event.item_id == id
        is_new = is_created or found.is_unannounced
        if found.is_unannounced:
            found = found._replace(created=event.created)
        if is_new or found.mentioned:
            self._comment(found, is_new=is_new)
        comments[id] = found._replace(mentioned=(), is_unannounced=False)

    def _with_mentions(self, comments: dict[int, LiveComment]) -> dict[int, LiveComment]:
        """Take the mentions of these comments, by id, that were not notified yet, mark them as notified, and return the
        comments with them.
        """
        mentioned: dict[int, list[int]] = {id: [] for id in comments}
        if comments:
            ids = sorted(comments)
            for id, profile_id in self._tx.rows(MENTIONS, site_id=self._site_id, ids=ids):
                mentioned[id].append(profile_id)
        return {id: one._replace(mentioned=sorted(mentioned[id])) for id, one in comments.items()}

    def _comment(self, comment: LiveComment, *, is_new: bool) -> None:
        mailed: set[int] = set()
        if is_new and comment.reply_to:
            mailed |= self._direct(comment, REPLY, [comment.reply_to], mailed)
        if comment.mentioned:
            mailed |= self._direct(comment, MENTIONED, comment.mentioned, mailed)
        if is_new:
            if comment.has_mail:
                self._followers(comment, mailed | {comment.author_id, comment.reply_to})
            self._push_followers(comment)

    def _direct(
        self, comment: LiveComment, type: int, people: Sequence[int], mailed: set[int]
    ) -> set[int]:
        """Store an update for those of `people`, profiles whom a comment replies to or mentions, who may read the
        comment, do not ignore it and are not its author, and queue their mails and web push (U-04). Return the ids of
        those who get a mail.

        `type`: REPLY or MENTIONED; `mailed`: profiles that have a mail about this comment already, and get no other.
        """
        subject = self._about(comment, type, preference=type)
        found = recipients.people(self._tx, self._site_id, self._state, subject, people)
        told = [
            one
            for one in self._readers(comment.target, found)
            if one.profile_id != comment.author_id and not one.ignores
        ]
        self._store(
            type,
            told,
            (itemtypes.COMMENT, comment.id),
            comment.created,
            comment.author_id,
            parent=(comment.parent_type, comment.parent_id),
        )
        wanted = [one for one in told if one.wants_mail and one.profile_id not in mailed]
        self._mail(self._of_comment(comment, type, wanted))
        self._pushed(self._of_comment(comment, type, [one for one in told if one.wants_push]))
        return {one.profile_id for one in wanted}

    def _followers(self, comment: LiveComment, others: set[int]) -> None:
        """Queue mails about a new comment to those followers of its parent, microcosm and site who may read and do not
        ignore the comment and to whom a mail is due, except the profiles `others` (discovery 2.5, U-09); record in
        their watchers that they were notified.
        """
        type = _type_of(comment)
        subject = self._about(
            comment, type, once=True, by_presence=comment.parent_type == itemtypes.PROFILE
        )
        watched = self._watched(comment)
        parent = (comment.parent_type, comment.parent_id)
        among = self._passed_over.get(parent)
        passed_over = self._passed_over[parent] = set()
        for some in self._watchers(comment.target, subject, watched, among=among):
            wanted = [one for one in some if one.profile_id not in others and _is_mailed(one)]
            self._mail(self._of_comment(comment, type, wanted))
            self._notified(wanted, comment.created)
            passed_over |= {one.profile_id for one in some} - {one.profile_id for one in wanted}

    def _push_followers(self, comment: LiveComment) -> None:
        """Queue web push about a new comment to the followers of its parent, microcosm and site who want that and may
        read and do not ignore the comment, except its author.
        """
        type = _type_of(comment)
        subject = self._about(comment, type)
        for some in self._subscribers(comment.target, subject, self._watched(comment)):
            self._pushed(self._of_comment(comment, type, some))

    def _watched(self, comment: LiveComment) -> list[tuple[int, int]]:
        """Return the things, (type, id), whose followers follow a comment, the nearest first: the parent, then, if the
        comment is in a microcosm, the microcosm and the site.
        """
        watched = [(comment.parent_type, comment.parent_id)]
        return watched + (
            self._places_watched(comment.microcosm_id) if comment.microcosm_id else []
        )

    def _about(self, comment: LiveComment, type: int, **asked: Any) -> Subject:
        return Subject(
            comment.parent_type,
            comment.parent_id,
            comment.microcosm_id,
            self._above(comment.microcosm_id),
            comment.author_id,
            type,
            **asked,
        )

    def _of_comment(
        self, comment: LiveComment, type: int, wanted: Sequence[Recipient]
    ) -> list[MessageRequest]:
        return [
            MessageRequest(
                # One mail for each comment and person, whatever the reason (U-09).
                f"comment:{self._site_id}:{comment.id}:{one.profile_id}",
                one.profile_id,
                type,
                comment.parent_type,
                comment.parent_id,
                comment.id,
                comment.author_id,
            )
            for one in wanted
        ]

    # ------------------------------------------------------------ items

    def _item(self, item: LiveItem) -> None:
        """Queue mails and web push about a new item to the followers of its microcosm and of the site who may read and
        do not ignore the item, except its author; record in the watchers that led to a mail that they were notified.
        """
        subject = self._about_item(item, item.author_id, NEW_ITEM)
        watched = self._places_watched(item.microcosm_id)
        for some in self._watchers(item.target, subject, watched):
            wanted = [one for one in some if one.profile_id != item.author_id and _is_mailed(one)]
            self._mail(self._of_item(item, NEW_ITEM, wanted, "item", item.author_id))
            self._notified(wanted, item.created)
        for some in self._subscribers(item.target, subject, watched):
            self._pushed(self._of_item(item, NEW_ITEM, some, "item", item.author_id))

    def _attendee(self, item: LiveItem, event: LoggedEvent) -> None:
        """Store an update about a new attendee for the followers of the calendar event `item` who may read the event,
        and queue mail and web push to those of them, other than the attendee, who want it and do not ignore the event;
        do nothing if the attendee has not said yes. The watchers that led to a mail are recorded as notified. `event`:
        that of the log, about the attendee.
        """
        who = event.item_id
        if not self._coming(item, [who]):
            return
        subject = self._about_item(item, who, NEW_ATTENDEE, once=True, by_presence=True)
        watched = [(itemtypes.EVENT, item.id)]
        for some in self._watchers(item.target, subject, watched, everybody=True):
            self._store(NEW_ATTENDEE, some, (item.item_type, item.id), event.created, who)
            wanted = [one for one in some if one.profile_id != who and _is_mailed(one)]
            self._mail(self._of_item(item, NEW_ATTENDEE, wanted, f"attendee-{who}", who))
            self._notified(wanted, event.created)
        for some in self._subscribers(item.target, subject, watched):
            self._pushed(self._of_item(item, NEW_ATTENDEE, some, f"attendee-{who}", who))

    def _invitations(self, items: dict[int, LiveItem], events: Sequence[LoggedEvent]) -> None:
        """Store updates for profiles that somebody else has invited to calendar events, as far as the invitations are
        open and the profile may read and does not ignore the calendar event, and queue their mails and web push.
        `items`: the calendar events by id; `events`: those of the log, about the attendees.
        """
        numbers = {
            row[0]
            for row in self._tx.rows(
                INVITED,
                site_id=self._site_id,
                numbers=[event.number for event in events],
                event_ids=[event.parent_id for event in events],
                profile_ids=[event.item_id for event in events],
                actors=[event.actor_id for event in events],
                are_new=[event.kind == journal.CREATED for event in events],
            )
        }
        groups: dict[tuple[int, int], dict[int, LoggedEvent]] = {}
        for event in events:
            if event.number in numbers:
                group = groups.setdefault((event.parent_id, event.actor_id), {})
                group[event.item_id] = event
        for (id, actor), group in groups.items():
            item, last = items[id], max(group.values())
            subject = self._about_item(item, actor, EVENT_INVITATION, preference=EVENT_INVITATION)
            found = recipients.people(self._tx, self._site_id, self._state, subject, sorted(group))
            told = [one for one in self._readers(item.target, found) if not one.ignores]
            self._store(
                EVENT_INVITATION,
                told,
                (item.item_type, item.id),
                last.created,
                actor,
                again=True,
            )
            wanted = [one for one in told if one.wants_mail]
            # Without the event's number: whoever takes an invitation back and repeats it mails once.
            cause = f"invitation-{actor}"
            self._mail(self._of_item(item, EVENT_INVITATION, wanted, cause, actor))
            pushed = [one for one in told if one.wants_push]
            self._pushed(self._of_item(item, EVENT_INVITATION, pushed, cause, actor))

    def _reminder(self, item: LiveItem, event: LoggedEvent) -> None:
        """Store an update that reminds the attendees who said yes, and may read the calendar event `item`, of that
        event, and queue mail and web push to those of them who want it and do not ignore the event. `event`: the entry
        of the event log that asks for the reminder. An earlier reminder, from before the start was moved, does not keep
        this one from being sent.
        """
        subject = self._about_item(item, item.author_id, EVENT_REMINDER, preference=EVENT_REMINDER)
        coming = self._coming(item, None)
        for start in range(0, len(coming), recipients.MOST):
            some = coming[start : start + recipients.MOST]
            found = recipients.people(self._tx, self._site_id, self._state, subject, some)
            told = self._readers(item.target, found)
            self._store(
                EVENT_REMINDER,
                told,
                (item.item_type, item.id),
                event.created,
                item.author_id,
                again=True,
            )
            wanted = [one for one in told if _is_mailed(one)]
            cause = f"reminder-{event.number}"
            self._mail(self._of_item(item, EVENT_REMINDER, wanted, cause, item.author_id))
            pushed = [one for one in told if one.wants_push and not one.ignores]
            self._pushed(self._of_item(item, EVENT_REMINDER, pushed, cause, item.author_id))

    def _coming(self, item: LiveItem, ids: Sequence[int] | None) -> list[int]:
        rows = self._tx.rows(COMING, site_id=self._site_id, event_id=item.id, ids=ids)
        return [row[0] for row in rows]

    def _about_item(self, item: LiveItem, actor: int, type: int, **asked: Any) -> Subject:
        places = self._above(item.microcosm_id)
        return Subject(item.item_type, item.id, item.microcosm_id, places, actor, type, **asked)

    def _of_item(
        self, item: LiveItem, type: int, wanted: Sequence[Recipient], cause: str, actor: int
    ) -> list[MessageRequest]:
        return [
            MessageRequest(
                f"{cause}:{self._site_id}:{item.id}:{one.profile_id}",
                one.profile_id,
                type,
                item.item_type,
                item.id,
                None,
                actor,
            )
            for one in wanted
        ]

    # ------------------------------------------------------------ people

    def _newcomer(self, event: LoggedEvent) -> None:
        """Queue mails about a new profile, the object of `event`, to the followers of the site's list of people who may
        read the profile and do not ignore it; record in their watchers that they were notified.
        """
        new = event.item_id
        target = Target(itemtypes.PROFILE, new, owner_ids=(new,))
        subject = Subject(itemtypes.PROFILE, new, 0, (), new, NEW_USER)
        for some in self._watchers(target, subject, [(itemtypes.PROFILE, 0)]):
            wanted = [one for one in some if one.profile_id != new and _is_mailed(one)]
            mail_requests = [
                MessageRequest(
                    f"profile:{self._site_id}:{new}:{one.profile_id}",
                    one.profile_id,
                    NEW_USER,
                    itemtypes.PROFILE,
                    new,
                    None,
                    new,
                )
                for one in wanted
            ]
            self._mail(mail_requests)
            self._notified(wanted, event.created)

    # ------------------------------------------------------------ steps

    def _is_live(self, thing: LiveComment | LiveItem) -> bool:
        return permission_target.is_live(self._tree, thing.microcosm_id)

    def _above(self, microcosm_id: int) -> tuple[int, ...]:
        """Return the ids of a microcosm's ancestors and itself, from the root on; () for 0 or an unknown one."""
        node = self._tree.nodes.get(microcosm_id)
        return node.path if node is not None else ()

    def _places_watched(self, microcosm_id: int) -> list[tuple[int, int]]:
        """Return the things, (type, id), whose followers follow new content in a microcosm: the microcosm, but not its
        ancestors, then the site.
        """
        return [(itemtypes.MICROCOSM, microcosm_id), (itemtypes.SITE, self._site_id)]

    def _watchers(
        self,
        target: Target,
        subject: Subject,
        watched: Sequence[tuple[int, int]],
        *,
        everybody: bool = False,
        among: Collection[int] | None = None,
    ) -> Iterator[list[Recipient]]:
        """Yield the followers of any of `watched`, (type, id) each, the nearest thing first, who may read `target`: in
        batches, which may be empty, by profile id, each follower once. `everybody` False: only those to whom a mail
        about `subject` is due; `among`: only these profiles, None for all.
        """
        for some in recipients.watchers(
            self._tx,
            self._site_id,
            self._state,
            subject,
            watched,
            everybody=everybody,
            among=among,
        ):
            yield self._readers(target, some)

    def _subscribers(
        self, target: Target, subject: Subject, watched: Sequence[tuple[int, int]]
    ) -> Iterator[list[Recipient]]:
        """Yield the followers of any of `watched`, (type, id) each, who have web push, want it for the subject's type
        of update, and may read `target` and do not ignore the subject, in batches, which may be empty; the subject's
        actor is left out.
        """
        for some in recipients.subscribers(self._tx, self._site_id, self._state, subject, watched):
            wanted = [one for one in some if one.wants_push and not one.ignores]
            yield [one for one in self._readers(target, wanted) if one.profile_id != subject.actor]

    def _readers(self, target: Target, people: Sequence[Recipient]) -> list[Recipient]:
        """Return those of `people`, in the same order, who may read `target`, by the evaluator that requests use; in
        a huddle each as the participant that they are or are not.
        """
        return [
            one
            for one in people
            if evaluator.effective(
                one.principal, target._replace(is_participant=one.is_participant), self._tree
            )
            & evaluator.READ
        ]

    def _store(
        self,
        type: int,
        people: Sequence[Recipient],
        item: tuple[int, int],
        created: datetime.datetime,
        actor: int,
        *,
        parent: tuple[int, int] | None = None,
        again: bool = False,
    ) -> None:
        if people:
            self._tx.run(
                INSERT,
                site_id=self._site_id,
                ids=[one.profile_id for one in people],
                type=type,
                item_type=item[0],
                item_id=item[1],
                parent_type=parent[0] if parent else None,
                parent_id=parent[1] if parent else None,
                created=created,
                actor=actor,
                again=again,
            )

    def _notified(self, people: Sequence[Recipient], moment: datetime.datetime) -> None:
        ids = [one.watcher_id for one in people if one.watcher_id]
        if ids:
            recipients.notified(self._tx, self._site_id, ids, moment)

    def _mail(self, mail_requests: Sequence[MessageRequest]) -> None:
        if mail_requests:
            self._queue(self._tx, self._site_id, mail_requests)

    def _pushed(self, mail_requests: Sequence[MessageRequest]) -> None:
        if mail_requests:
            self._push(self._tx, self._site_id, mail_requests)


def _no_push(tx: Transaction, site_id: int, requests: Sequence[MessageRequest]) -> None:
    """Queue nothing: the default of `push` in Dispatch."""


def _type_of(comment: LiveComment) -> int:
    """Return the type of the update that followers get about a new comment: NEW_COMMENT_IN_HUDDLE in a huddle, else
    NEW_COMMENT.
    """
    return NEW_COMMENT_IN_HUDDLE if comment.parent_type == itemtypes.HUDDLE else NEW_COMMENT


def _is_mailed(one: Recipient) -> bool:
    return one.wants_mail and not one.ignores


def _patched_items(events: Sequence[LoggedEvent]) -> set[int]:
    """Return the ids of the items in microcosms that these events patch, and so may show."""
    patched = [event for event in events if event.kind == journal.PATCHED]
    return _ids(patched, itemtypes.IN_MICROCOSM)


def _ids(events: Sequence[LoggedEvent], types: Collection[int]) -> set[int]:
    return {event.item_id for event in events if event.item_type in types}
