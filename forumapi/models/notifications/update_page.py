"""List of a profile's updates as it is shown (discovery 2); updates/dispatch.py decides who is notified, and writes
rows.

Only what is meant for one person has a row: replies, mentions, answers to events, reminders, invitations. Comments on
what one follows, new items of microcosms that one follows, and votes are found here, from watchers and what they watch,
so that a comment costs the same however many follow its thread. Each request computes the whole list anew: things that
the profile may not read any more, and hidden or ignored ones, are neither listed nor counted.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query, Replica, Row
from forumapi.itemtypes import COMMENT, CONVERSATION, EVENT, HUDDLE, MICROCOSM, POLL, PROFILE, SITE
from forumapi.models.cases import appeal, report
from forumapi.models.content import (
    comment_documents,
    huddle_page,
    item_page,
    item_summary,
    type_specific_fields,
)
from forumapi.models.content.comment_documents import CommentRow, ParentLink
from forumapi.models.notifications.update_types import (
    APPEAL_DECIDED,
    DECISION_IDS,
    DECISIONS,
    EVENT_INVITATION,
    EVENT_REMINDER,
    MENTIONED,
    NAMES,
    NEW_ATTENDEE,
    NEW_COMMENT,
    NEW_COMMENT_IN_HUDDLE,
    NEW_ITEM,
    NEW_VOTE,
    REPLY,
    REPORT_DECIDED,
    REPORT_RECEIVED,
    STATEMENT,
)
from forumapi.models.pages.document_reader import Documents
from forumapi.models.people import profile_summary
from forumapi.models.trust import statement_of_reasons
from forumapi.permissions.evaluator import Principal, Tree
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment, dumps
from forumapi.wire.paging import Paging

# Ids of entries without a row: that of the comment, item or poll above one of these, which rows never reach. All stay
# within what JavaScript counts exactly.
_OF_COMMENT: Final = 1 << 51
_OF_ITEM: Final = 1 << 52
_OF_VOTE: Final = _OF_COMMENT + _OF_ITEM
# Below all these: ids of updates about decisions (update_types.py).
_DECISION_ID: Final = (1 << 48) - 1

# Condition: lists show item `i`, which is not hidden, is readable and not ignored. `readable` leaves ignored
# microcosms out.
_SHOWN: Final = f"""
               NOT i.is_deleted AND NOT i.is_moderated AND i.item_id <> ALL(%(ignored_items)s::bigint[])
           AND (i.microcosm_id = ANY(%(readable)s::bigint[])
                OR i.item_type_id = {HUDDLE}
                   AND EXISTS (SELECT 1 FROM huddle_participants h
                                WHERE h.site_id = i.site_id AND h.item_id = i.item_id AND h.profile_id = %(me)s))"""
_NOT_IGNORED: Final = "<> ALL(%(ignored_profiles)s::bigint[])"

# Items that one follows and may see, looked up by their ids at once: of the index's pages each is looked at once, which
# costs a third less than a look-up for each watcher. Ids are no two items' on a site, so the type need not be compared.
_FOLLOWED_ITEMS: Final = f"""
        SELECT i.item_type_id, i.item_id, i.microcosm_id, i.last_activity, i.created_by, i.last_comment_id,
               i.last_comment_at, i.last_comment_by
          FROM items i
         WHERE i.site_id = %(site_id)s
           AND i.item_id = ANY(ARRAY(SELECT w.item_id FROM watchers w
                                      WHERE w.site_id = %(site_id)s AND w.profile_id = %(me)s
                                        AND w.item_type_id IN ({HUDDLE}, {CONVERSATION}, {POLL}, {EVENT})))
           AND {_SHOWN}"""

_COMMENTED: Final = (
    f"CASE i.item_type_id WHEN {HUDDLE} THEN {NEW_COMMENT_IN_HUDDLE} ELSE {NEW_COMMENT} END"
)

# Each branch has the columns of the first. The newest comment by anybody who is not ignored, of all one follows: mostly
# the newest there is, of which the item says all.
_ON_ITEMS: Final = f"""
        SELECT {_OF_COMMENT} + i.last_comment_id AS update_id,
               ({_COMMENTED})::smallint AS update_type_id,
               i.last_comment_id AS comment_id, i.item_type_id, i.item_id, NULL::bigint AS on_profile_id,
               i.microcosm_id, i.last_activity, i.last_comment_by, i.last_comment_at AS created,
               i.last_comment_by AS created_by
          FROM followed_items i
         WHERE i.last_comment_id IS NOT NULL AND i.last_comment_by {_NOT_IGNORED}
         UNION ALL
        SELECT {_OF_COMMENT} + c.comment_id, ({_COMMENTED})::smallint,
               c.comment_id, i.item_type_id, i.item_id, NULL::bigint, i.microcosm_id, i.last_activity,
               i.last_comment_by, c.created, c.created_by
          FROM followed_items i
         CROSS JOIN LATERAL (
                SELECT c.comment_id, c.created, c.created_by
                  FROM comments c
                 WHERE c.site_id = %(site_id)s AND c.item_id = i.item_id AND NOT c.is_deleted AND NOT c.is_moderated
                   AND c.created_by {_NOT_IGNORED}
                 ORDER BY c.seq DESC LIMIT 1) c
         WHERE i.last_comment_by = ANY(%(ignored_profiles)s::bigint[])"""

_ON_PROFILES: Final = f"""
        SELECT {_OF_COMMENT} + c.comment_id, {NEW_COMMENT}::smallint, c.comment_id, {PROFILE}::smallint, NULL::bigint,
               c.on_profile_id, NULL::bigint, NULL::timestamptz, NULL::bigint, c.created, c.created_by
          FROM watchers w
         CROSS JOIN LATERAL (
                SELECT c.comment_id, c.on_profile_id, c.created, c.created_by
                  FROM comments c
                 WHERE c.site_id = w.site_id AND c.on_profile_id = w.item_id AND NOT c.is_deleted
                   AND NOT c.is_moderated AND c.created_by {_NOT_IGNORED}
                 ORDER BY c.comment_id DESC LIMIT 1) c
         WHERE w.site_id = %(site_id)s AND w.profile_id = %(me)s AND w.item_type_id = {PROFILE}
           AND w.item_id {_NOT_IGNORED}"""

# Rows stay for ever; so many of the latest are looked at.
_MOST_TOLD: Final = 1000

# Types of updates with rows, and such updates. Answers to an event are listed while the profile follows it (U-06), its
# beginning while they come, an invitation until it is withdrawn.
_WITH_ROWS: Final = (REPLY, MENTIONED, NEW_ATTENDEE, EVENT_REMINDER, EVENT_INVITATION)
_TOLD: Final = f"""
        SELECT u.update_id, u.update_type_id, c.comment_id, coalesce(i.item_type_id, {PROFILE}::smallint), i.item_id,
               c.on_profile_id, i.microcosm_id, i.last_activity, i.last_comment_by, u.created, u.created_by
          FROM (SELECT u.* FROM updates u
                 WHERE u.site_id = %(site_id)s AND u.profile_id = %(me)s AND u.update_type_id IN {_WITH_ROWS}
                 ORDER BY u.created DESC, u.update_id DESC
                 LIMIT {_MOST_TOLD}) u
          LEFT JOIN comments c ON u.item_type_id = {COMMENT} AND c.site_id = u.site_id AND c.comment_id = u.item_id
          LEFT JOIN items i ON i.site_id = u.site_id
                           AND i.item_id = CASE u.item_type_id WHEN {COMMENT} THEN c.item_id ELSE u.item_id END
         WHERE u.created_by {_NOT_IGNORED}
           AND (u.item_type_id <> {COMMENT} OR NOT c.is_deleted AND NOT c.is_moderated)
           AND CASE WHEN i.item_id IS NULL THEN c.on_profile_id {_NOT_IGNORED} ELSE {_SHOWN} END
           AND (u.update_type_id <> {NEW_ATTENDEE}
                OR EXISTS (SELECT 1 FROM watchers w
                            WHERE w.site_id = u.site_id AND w.profile_id = u.profile_id AND w.item_type_id = {EVENT}
                              AND w.item_id = u.item_id))
           AND (u.update_type_id <> {EVENT_REMINDER}
                OR EXISTS (SELECT 1 FROM attendees a
                            WHERE a.site_id = u.site_id AND a.item_id = u.item_id AND a.profile_id = u.profile_id
                              AND a.state_id = 1))
           AND (u.update_type_id <> {EVENT_INVITATION}
                OR EXISTS (SELECT 1 FROM attendees a
                            WHERE a.site_id = u.site_id AND a.item_id = u.item_id AND a.profile_id = u.profile_id))"""

# Items posted within a month in microcosms that the profile followed then. No item is active before it is made, so that
# the indices of lists serve: its last activity is bounded by the same time.
_NEW: Final = f"""
        SELECT {_OF_ITEM} + i.item_id, {NEW_ITEM}::smallint, NULL::bigint, i.item_type_id, i.item_id, NULL::bigint,
               i.microcosm_id, i.last_activity, i.last_comment_by, i.created, i.created_by
          FROM followed f
          JOIN items i ON i.site_id = %(site_id)s AND i.microcosm_id = f.microcosm_id
                      AND i.item_type_id IN {{types}} AND i.is_sticky IN (false, true)
                      AND i.last_activity >= now() - interval '1 month'
                      AND i.last_activity >= f.since AND i.created >= f.since
                      AND NOT i.is_deleted AND NOT i.is_moderated
         WHERE i.created_by {_NOT_IGNORED} AND i.item_id <> ALL(%(ignored_items)s::bigint[])"""
_FOLLOWED: Final = f"""
        SELECT f.microcosm_id, greatest(min(f.created), now() - interval '1 month') AS since
          FROM (SELECT w.item_id AS microcosm_id, w.created
                  FROM watchers w
                 WHERE w.site_id = %(site_id)s AND w.profile_id = %(me)s AND w.item_type_id = {MICROCOSM}
                   AND w.item_id = ANY(%(readable)s::bigint[])
                 UNION ALL
                SELECT r.microcosm_id, w.created
                  FROM watchers w
                 CROSS JOIN unnest(%(readable)s::bigint[]) AS r (microcosm_id)
                 WHERE w.site_id = %(site_id)s AND w.profile_id = %(me)s AND w.item_type_id = {SITE}
                   AND w.item_id = w.site_id) f
         GROUP BY f.microcosm_id"""

# Voters are secret: the entry is the poll's, by its author.
_VOTES: Final = f"""
        SELECT {_OF_VOTE} + i.item_id, {NEW_VOTE}::smallint, NULL::bigint, i.item_type_id, i.item_id, NULL::bigint,
               i.microcosm_id, i.last_activity, i.last_comment_by, v.voted, i.created_by
          FROM followed_items i
          JOIN polls v ON v.site_id = %(site_id)s AND v.item_id = i.item_id AND v.voted IS NOT NULL
         WHERE i.item_type_id = {POLL} AND i.created_by {_NOT_IGNORED}"""

# Decisions of moderators about what the profile wrote, reported or appealed against: as by itself, since who decided is
# not said. Unread until everything is marked as read.
_OF_MINE: Final = """
        SELECT {id}, {type}::smallint, NULL::bigint, {profile}::smallint, NULL::bigint, NULL::bigint, NULL::bigint,
               d.at, NULL::bigint, d.at, %(me)s::bigint
          FROM (SELECT {column} AS id, {at} AS at
                  FROM {source}
                 WHERE x.site_id = %(site_id)s AND x.{person} = %(me)s {more}
                 ORDER BY {column} DESC
                 LIMIT {most}) d"""


def _of_mine(type: int, source: str, column: str, at: str, person: str, more: str = "") -> str:
    return _OF_MINE.format(
        id=f"{DECISION_IDS[type]} + d.id",
        type=type,
        profile=PROFILE,
        source=source,
        column=column,
        at=at,
        person=person,
        more=more,
        most=_MOST_TOLD,
    )


_REPORTED: Final = "reports x JOIN cases k ON k.site_id = x.site_id AND k.case_id = x.case_id"
_DECISIONS: Final = "\n         UNION ALL".join(
    (
        _of_mine(STATEMENT, "statements x", "x.statement_id", "x.created", "profile_id"),
        _of_mine(
            *(REPORT_RECEIVED, _REPORTED, "x.report_id", "x.created", "reporter_id"),
            "AND k.state = 'open'",
        ),
        _of_mine(
            *(REPORT_DECIDED, _REPORTED, "x.report_id", "k.decided", "reporter_id"),
            "AND k.state = 'decided'",
        ),
        _of_mine(
            *(APPEAL_DECIDED, "appeals x", "x.appeal_id", "x.decided", "profile_id"),
            "AND x.decided IS NOT NULL",
        ),
    )
)
# Condition: entry `i` is of a type that the token may read.
_OF_KINDS: Final = f"""
               CASE WHEN i.update_type_id = ANY(ARRAY{sorted(DECISIONS)}::smallint[])
                    THEN i.update_type_id = ANY(%(decisions)s::smallint[])
                    ELSE i.item_type_id = ANY(%(kinds)s::smallint[]) END"""

# Unread state of entry `i` (discovery 7.3). Comments by ignored people leave a huddle read (discovery 7.5), a profile
# is never unread.
_UNREAD: Final = f"""
               coalesce(i.last_activity > {item_page.READ_TIME}
                        AND (i.item_type_id <> {HUDDLE} OR i.last_comment_by {_NOT_IGNORED}), false)"""

# First what an entry is and by whom, then its comment, its item, and of a huddle who is in it.
_ENTRY: Final = """
           e.update_id, e.update_type_id, e.is_unread, e.created_by, x.version, coalesce(e.on_profile_id, 0),
           coalesce(o.version, 0), coalesce(o.profile_name, i.title), people.ids, people.versions"""
_ENTRIES: Final = f"""
    WITH followed AS MATERIALIZED ({_FOLLOWED}),
    followed_items AS MATERIALIZED ({_FOLLOWED_ITEMS}),
    entries AS ({_ON_ITEMS}
         UNION ALL {_ON_PROFILES}
         UNION ALL {_TOLD}
         UNION ALL {_NEW.format(types=f"({CONVERSATION}, {EVENT})")}
         UNION ALL {_NEW.format(types=f"({POLL})")}
         UNION ALL {_VOTES}
         UNION ALL {_DECISIONS})"""
LIST = Query(
    "update_page.list",
    f"""{_ENTRIES},
    wanted AS MATERIALIZED (
        SELECT i.*
          FROM entries i
         WHERE (%(type)s::smallint IS NULL OR i.update_type_id = %(type)s::smallint)
           AND {_OF_KINDS.lstrip()}
           AND (i.comment_id IS NULL OR {COMMENT} = ANY(%(kinds)s::smallint[]))
           AND (NOT %(unread)s::boolean OR {_UNREAD})
           AND NOT (%(by_others)s::boolean AND i.created_by IS NOT DISTINCT FROM %(me)s
                    AND i.update_type_id IN ({NEW_COMMENT}, {NEW_COMMENT_IN_HUDDLE}, {NEW_ITEM}))),
    page AS MATERIALIZED (
        SELECT i.*, {_UNREAD} AS is_unread
          FROM wanted i
         ORDER BY i.created DESC, i.update_id DESC
         LIMIT %(limit)s OFFSET %(offset)s)
    SELECT n.total, {_ENTRY}, {comment_documents.COLUMNS.format(unread="false")}, {item_summary.SUMMARY_COLUMNS},
           {type_specific_fields.MINE}, {item_summary.SUMMARY_TIMES}, e.created
      FROM (SELECT count(*) AS total FROM wanted) n
      LEFT JOIN page e ON true
      LEFT JOIN profiles x ON x.site_id = %(site_id)s AND x.profile_id = e.created_by
      LEFT JOIN profiles o ON o.site_id = %(site_id)s AND o.profile_id = e.on_profile_id
      LEFT JOIN comments c ON c.site_id = %(site_id)s AND c.comment_id = e.comment_id
      LEFT {comment_documents.JOINS.lstrip()}
      LEFT JOIN items i ON i.site_id = %(site_id)s AND i.item_id = e.item_id
      LEFT {item_summary.SUMMARY_JOINS.lstrip()}
      LEFT JOIN LATERAL (
            SELECT coalesce(array_agg(h.profile_id ORDER BY h.profile_id), '{{}}') AS ids,
                   coalesce(array_agg((SELECT p.version FROM profiles p
                                        WHERE p.site_id = h.site_id AND p.profile_id = h.profile_id)
                                      ORDER BY h.profile_id), '{{}}') AS versions
              FROM huddle_participants h
             WHERE i.item_type_id = {HUDDLE} AND h.site_id = i.site_id AND h.item_id = i.item_id) people ON true
     ORDER BY e.created DESC, e.update_id DESC""",
    replica=Replica.ALL,
)
_WIDTH: Final = 10

# Entries among the given ones that the list has.
OWN = Query(
    "update_page.own",
    f"""{_ENTRIES}
    SELECT DISTINCT i.update_id
      FROM entries i
     WHERE i.update_id = ANY(%(ids)s::bigint[]) AND {_OF_KINDS.lstrip()}""",
    replica=Replica.ALL,
)


class UpdateEntry(NamedTuple):
    """Entry of the list of updates: the update, its actor (of a decision: the viewer), and the item or comment that it
    is about.

    Ids are 0 for none. `type`: a key of update_types.NAMES; `is_unread`: the viewer has not read all of the item, or,
    of a decision, not marked everything as read since; `profile_id`: profile that the comment is on; `title`: of what
    the comment is on, HTML-escaped; `participant_…`: those of the comment's huddle, [] outside of huddles. `stub`: the
    comment's row, with `id` None without a comment; `row`: SUMMARY_COLUMNS of the item, the first of which is None
    without an item. `mine`: the viewer's part of the item's details; `times`: SUMMARY_TIMES of the item.
    """

    id: int
    type: int
    is_unread: bool
    actor_id: int
    actor_version: int
    profile_id: int  # that the comment is on
    profile_version: int
    title: str  # of what the comment is on
    participant_ids: list[int]
    participant_versions: list[int]
    stub: CommentRow
    row: Row  # item_summary.SUMMARY_COLUMNS
    mine: str | None
    times: Row  # item_summary.SUMMARY_TIMES
    created: datetime.datetime

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Return values of which one differs whenever the shown entry does, for the entity tag."""
        return (
            *self[:10],
            tuple(self.stub),
            self.row,
            self.mine,
            json_fragments.format_time(self.created),
        )

    @property
    def people(self) -> dict[int, int]:
        """Return the versions of all profiles that the entry shows, by profile id."""
        found = {self.actor_id: self.actor_version}
        if self.profile_id:
            found[self.profile_id] = self.profile_version
        found.update(zip(self.participant_ids, self.participant_versions, strict=True))
        if self.stub.id:
            found |= comment_documents.profiles_of([self.stub])
        return found | item_summary.summary_people([self.row])


def page(
    tx: Reader,
    site_id: int,
    me: int,
    readable: Sequence[int],
    ignored_profiles: Sequence[int],
    ignored_items: Sequence[int],
    at: Paging,
    *,
    kinds: Collection[int],
    decisions: Collection[int],
    type: int | None = None,
    unread: bool = False,
    by_others: bool = False,
) -> tuple[int, list[UpdateEntry]]:
    """Return the number of the updates of the profile `me`, and the page `at` of them, newest first, by one statement.
    Of the comments on a followed thing the newest alone makes an update; of replies, mentions and updates about
    attendance together, and of decisions of each type, the latest _MOST_TOLD are looked at; of items in followed
    microcosms those of the last month.

    `readable`: ids of the microcosms that `me` may read and does not ignore; `ignored_profiles`, `ignored_items`: ids
    of those that `me` ignores. `type`: only updates of that type, None for all; `unread`: only of things that `me` has
    not read; `by_others`: none about what `me` wrote or began; all three narrow the number too. `kinds`: types of
    things that the caller's token may read; for a comment the type of its item or profile must be among them too.
    `decisions`: types of updates about decisions that the token may list.
    """
    rows = tx.rows(
        LIST,
        site_id=site_id,
        me=me,
        readable=readable,
        ignored_profiles=ignored_profiles,
        ignored_items=ignored_items,
        kinds=sorted(kinds),
        decisions=sorted(decisions),
        type=type,
        unread=unread,
        by_others=by_others,
        limit=at.limit,
        offset=at.offset,
    )
    return rows[0][0], [_entry(row[1:]) for row in rows if row[1] is not None]


def own(
    tx: Reader,
    site_id: int,
    principal: Principal,
    readable: Sequence[int],
    ignored_profiles: Sequence[int],
    ignored_items: Sequence[int],
    ids: Sequence[int],
    *,
    decisions: Collection[int],
) -> frozenset[int]:
    """Return the update ids in `ids` that the list of `principal` has now, of updates that have no row but are
    computed, from watchers or decisions; updates of huddles only if the token sees huddles. `readable` to
    `ignored_items`, and `decisions`: as in `page`.

    No SQL statement is run if none of `ids` has the form of such an id.
    """
    computed = [id for id in ids if id >= DECISION_IDS[STATEMENT]]
    if not computed or not principal.profile_id:
        return frozenset()
    rows = tx.rows(
        OWN,
        site_id=site_id,
        me=principal.profile_id,
        readable=readable,
        ignored_profiles=ignored_profiles,
        ignored_items=ignored_items,
        kinds=sorted(itemtypes.ALL - (set() if principal.sees_huddles else {itemtypes.HUDDLE})),
        decisions=sorted(decisions),
        ids=computed,
    )
    return frozenset(row[0] for row in rows)


def decided(
    tx: Reader, site_id: int, me: int, entries: Sequence[UpdateEntry]
) -> dict[int, dict[str, Any]]:
    """Return the members `itemType` and `item` that the entries about decisions among `entries` show to the profile
    `me`, as dicts for JSON, by the entry's id; one SQL statement for each kind of decision. An entry whose statement,
    report or appeal is gone is left out.
    """
    ids: dict[int, list[int]] = {}
    for one in entries:
        if one.type in DECISIONS:
            ids.setdefault(one.type, []).append(one.id & _DECISION_ID)
    reports = ids.get(REPORT_RECEIVED, []) + ids.get(REPORT_DECIDED, [])
    found = {
        "statement": statement_of_reasons.documents(tx, site_id, me, ids.get(STATEMENT, ())),
        "report": report.documents(tx, site_id, me, reports),
        "appeal": appeal.documents(tx, site_id, me, ids.get(APPEAL_DECIDED, ())),
    }
    names = {one.id: _DECIDED[one.type] for one in entries if one.type in DECISIONS}
    return {
        id: {"itemType": name, "item": found[name][id & _DECISION_ID]}
        for id, name in names.items()
        if id & _DECISION_ID in found[name]
    }


_DECIDED: Final = {
    STATEMENT: "statement",
    REPORT_RECEIVED: "report",
    REPORT_DECIDED: "report",
    APPEAL_DECIDED: "appeal",
}


def _entry(row: Row) -> UpdateEntry:
    at = _WIDTH
    stub = CommentRow(*row[at : at + comment_documents.WIDTH])
    at += comment_documents.WIDTH
    summary = row[at : at + item_summary.SUMMARY_WIDTH]
    at += item_summary.SUMMARY_WIDTH
    return UpdateEntry._make((*row[:_WIDTH], stub, summary, row[at], row[at + 1 : -1], row[-1]))


def documents(
    tx: Reader,
    documents: Documents,
    site_id: int,
    entries: Sequence[UpdateEntry],
    decisions: Mapping[int, dict[str, Any]],
    tree: Tree,
    view: ReadableMicrocosms,
) -> bytes:
    """Render the entries as a JSON array (discovery 2.7), in their order; an entry of which a document is gone
    meanwhile is left out (G-01).

    `documents`: reader of cached documents, here of comments and profiles; `decisions`: result of `decided` for these
    entries; `view`: microcosms of `tree` that the viewer may list.
    """
    people: dict[int, int] = {}
    for one in entries:
        people |= one.people
    comments = {one.stub.id: one.stub.version for one in entries if one.stub.id}
    fetched = documents.fetch(
        tx, site_id, {comment_documents.SUMMARY: comments, profile_summary.SUMMARY: people}
    )
    known = fetched[profile_summary.SUMMARY]
    made = []
    for one in entries:
        if one.type in DECISIONS:
            if one.id in decisions and one.actor_id in known:
                made.append(_whole(one, decisions[one.id], known))
        elif all(id in known for id in one.people) and (
            not one.stub.id or one.stub.id in fetched[comment_documents.SUMMARY]
        ):
            made.append(_document(one, fetched[comment_documents.SUMMARY], known, tree, view))
    return b"[%b]" % b",".join(made)


def _document(
    one: UpdateEntry,
    comments: Mapping[int, Fragment],
    people: dict[int, Fragment],
    tree: Tree,
    view: ReadableMicrocosms,
) -> bytes:
    if one.profile_id:
        parent_type, parent_id = itemtypes.PROFILE, one.profile_id
        parent = people[one.profile_id][0]
    else:
        parent_id, parent_type = one.row[:2]
        if parent_type == itemtypes.HUDDLE:
            parent = huddle_page.summary(_huddle(one), people)
        else:
            parent = item_summary.summary(
                one.row, one.times, people, tree, view, unread=None, mine=one.mine
            )
    data: dict[str, Any] = {}
    if one.stub.id:
        links = comment_documents.parent_links(ParentLink(parent_type, parent_id, one.title))
        data["itemType"] = itemtypes.name_of(itemtypes.COMMENT)
        data["item"] = json_fragments.raw(
            comment_documents.summary(comments[one.stub.id], one.stub, people, links, False)
        )
        data["parentItemType"] = itemtypes.name_of(parent_type)
        data["parentItem"] = json_fragments.raw(parent)
    else:
        data["itemType"] = itemtypes.name_of(parent_type)
        data["item"] = json_fragments.raw(parent)
    return _whole(one, data, people)


def _whole(one: UpdateEntry, about: Mapping[str, Any], people: Mapping[int, Fragment]) -> bytes:
    """Render an entry as JSON. `about`: its members that show the thing that the entry is about; `people`: documents of
    profiles by id.
    """
    meta = {
        "created": json_fragments.format_time(one.created),
        "createdBy": json_fragments.raw(people[one.actor_id][0]),
        "flags": {"unread": one.is_unread},
    }
    return dumps({"id": one.id, "updateType": NAMES[one.type]} | dict(about) | {"meta": meta})


def _huddle(one: UpdateEntry) -> huddle_page.HuddleRow:
    """Make the row of the huddle in which the entry's comment is, as the list of huddles has it."""
    id, _, version, _, title, author, author_version, count, _, last, last_by, last_version = (
        one.row[:12]
    )
    return huddle_page.HuddleRow(
        id,
        version,
        title,
        author,
        author_version,
        count,
        last,
        last_by,
        last_version,
        one.participant_ids,
        one.participant_versions,
        one.is_unread,
        one.times[0],
        one.times[1],
    )
