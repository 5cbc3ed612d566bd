"""Page of the things that a profile follows (discovery 5)."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query, Replica, Row
from forumapi.models.content import huddle_page, item_page, item_summary, type_specific_fields
from forumapi.models.content.huddle_page import HuddleRow
from forumapi.models.microcosms import microcosm_summary
from forumapi.models.microcosms.microcosm_summary import ChildMicrocosm
from forumapi.models.people import profile_summary
from forumapi.permissions.evaluator import Tree
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment, dumps, raw
from forumapi.wire.paging import Paging

NEVER: Final = "0001-01-01T00:00:00Z"

_NEW: Final = item_page.new_comments(only=f"i.item_type_id <> {itemtypes.HUDDLE}")

# Things that are gone, hidden or not readable any more are neither listed nor counted (G-01, G-02); a page without
# entries has one row with the total. Each look-up has a whole key, so that it never becomes a scan.
PAGE = Query(
    "watcher_page.list",
    f"""
    WITH mine AS MATERIALIZED (
        SELECT w.watcher_id, w.site_id, w.item_type_id, w.item_id, w.last_notified, w.send_email, w.send_sms
          FROM watchers w
         WHERE w.site_id = %(site_id)s AND w.profile_id = %(me)s AND w.item_type_id = ANY(%(kinds)s::smallint[])
           AND CASE w.item_type_id
                    WHEN {itemtypes.SITE} THEN w.item_id = w.site_id
                    WHEN {itemtypes.MICROCOSM} THEN w.item_id = ANY(%(readable)s::bigint[])
                    WHEN {itemtypes.PROFILE} THEN w.item_id = 0 OR (
                        SELECT true FROM profiles p WHERE p.site_id = w.site_id AND p.profile_id = w.item_id LIMIT 1)
                    WHEN {itemtypes.HUDDLE} THEN (
                        SELECT NOT i.is_deleted AND NOT i.is_moderated
                          FROM huddle_participants h
                          JOIN items i ON i.site_id = h.site_id AND i.item_id = h.item_id
                         WHERE h.site_id = w.site_id AND h.item_id = w.item_id AND h.profile_id = %(me)s
                         LIMIT 1)
                    ELSE (
                        SELECT i.microcosm_id
                          FROM items i
                         WHERE i.site_id = w.site_id AND i.item_id = w.item_id AND i.item_type_id = w.item_type_id
                           AND NOT i.is_deleted AND NOT i.is_moderated
                         LIMIT 1) = ANY(%(readable)s::bigint[]) END),
    page AS MATERIALIZED (
        SELECT m.* FROM mine m
         ORDER BY m.last_notified DESC NULLS FIRST, m.item_type_id, m.item_id DESC
         LIMIT %(limit)s OFFSET %(offset)s)
    SELECT {item_summary.SUMMARY_COLUMNS}, {item_summary.SUMMARY_TIMES},
           (SELECT count(*) FROM mine), people.ids, people.versions, {type_specific_fields.MINE}, {_NEW}, w.watcher_id,
           w.item_type_id, w.item_id, w.last_notified, w.send_email, w.send_sms, coalesce(p.version, 0)
      FROM (SELECT 1) AS one
      LEFT JOIN page w ON true
      LEFT JOIN profiles p ON p.site_id = w.site_id AND p.profile_id = w.item_id
                          AND w.item_type_id = {itemtypes.PROFILE}
      LEFT JOIN LATERAL (
            SELECT i.* FROM items i
             WHERE i.site_id = w.site_id AND i.item_id = w.item_id AND i.item_type_id = w.item_type_id
             LIMIT 1) i ON true
      LEFT JOIN profiles a ON a.site_id = i.site_id AND a.profile_id = i.created_by
      LEFT JOIN profiles l ON l.site_id = i.site_id AND l.profile_id = i.last_comment_by
      LEFT JOIN item_views v ON v.site_id = i.site_id AND v.item_id = i.item_id
      {huddle_page.PEOPLE.strip()}
     ORDER BY w.last_notified DESC NULLS FIRST, w.item_type_id, w.item_id DESC""",
    replica=Replica.ALL,
)
_TIMES: Final = item_summary.SUMMARY_WIDTH
_OWN: Final = _TIMES + item_summary.TIMES_WIDTH


class WatcherEntry(NamedTuple):
    """Entry of the list of followed things: a watcher, with what is shown of the thing that it follows. `last_notified`
    None: never; `version`: of a profile, else 0; `row` and `times`: SUMMARY_COLUMNS and SUMMARY_TIMES of an item, `row`
    () for a huddle or anything else; `new`: number of the item's comments that are new to the viewer; `mine`: the
    viewer's part of the item's details; `huddle`: row of a followed huddle, None for anything else.
    """

    id: int
    item_type: int
    item_id: int
    last_notified: datetime.datetime | None
    send_email: bool
    send_sms: bool
    version: int  # of a profile; else 0
    row: Row  # SUMMARY_COLUMNS of an item
    times: Row
    new: int
    mine: str | None  # the part that only the viewer sees (models/content/type_specific_fields.py)
    huddle: HuddleRow | None  # its own entry, for a huddle

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Return values of which one differs whenever the shown entry does, for the entity tag."""
        notified = self.last_notified and json_fragments.format_time(self.last_notified)
        shown = self.huddle.stamp if self.huddle else (self.row, self.new, self.mine)
        return (*self[:3], notified, *self[4:7], shown)


class WatcherPage(NamedTuple):
    """Page of the things that a profile follows. `total`: number of all followed things that it may see; `microcosms`:
    those among the entries of the page, by microcosm id.
    """

    total: int
    entries: list[WatcherEntry]
    microcosms: dict[int, ChildMicrocosm]

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Return values of which one differs whenever the shown page does, for the entity tag."""
        places = [(*child[:8], child.mine) for child in self.microcosms.values()]
        return (self.total, [entry.stamp for entry in self.entries], places)

    @property
    def wanted(self) -> dict[Any, dict[int, int]]:
        """Return the documents that the entries are made of, as `Documents.fetch` takes them: by kind of document,
        version by id.
        """
        people: dict[int, int] = {}
        for entry in self.entries:
            if entry.item_type == itemtypes.PROFILE and entry.item_id:
                people[entry.item_id] = entry.version
            elif entry.huddle is not None:
                people |= entry.huddle.people
        people |= item_summary.summary_people([entry.row for entry in self.entries if entry.row])
        for child in self.microcosms.values():
            people[child.author_id] = child.author_version
        latest = [child.latest for child in self.microcosms.values() if child.latest]
        people |= item_summary.summary_people(latest)
        places = {child.id: child.version for child in self.microcosms.values()}
        return {microcosm_summary.SUMMARY: places, profile_summary.SUMMARY: people}

    @classmethod
    def read(
        cls,
        tx: Reader,
        site_id: int,
        me: int,
        tree: Tree,
        view: ReadableMicrocosms,
        ignored_microcosms: list[int],
        ignored_items: Sequence[int],
        ignored_people: Sequence[int],
        at: Paging,
        *,
        kinds: Collection[int],
    ) -> WatcherPage:
        """Read the page `at` of the things that the profile `me` follows and may see.

        Things about which nothing was notified yet come first, then the others, the one notified last before those
        notified earlier. `view`: microcosms of `tree` that `me` may read; `ignored_…`: ids of what `me` ignores:
        ignored things are listed too, but comments of ignored people are not counted as new, and no ignored item is a
        microcosm's latest; `kinds`: types of things that the caller's token may read. Costs one statement, and with
        microcosms among the entries one to three more.
        """
        rows = tx.rows(
            PAGE,
            site_id=site_id,
            me=me,
            readable=view.ids,
            ignored_people=ignored_people,
            kinds=sorted(kinds),
            limit=at.limit,
            offset=at.offset,
        )
        entries = [_entry(row) for row in rows if row[_OWN + 5] is not None]
        tops = [entry.item_id for entry in entries if entry.item_type == itemtypes.MICROCOSM]
        children = microcosm_summary.watched(
            tx, site_id, tree, view, tops, me, ignored_microcosms, ignored_items
        )
        return cls(rows[0][_OWN], entries, children)

    def document(
        self,
        documents: dict[Any, dict[int, Fragment]],
        tree: Tree,
        view: ReadableMicrocosms,
        site_id: int,
        site: bytes,
    ) -> bytes:
        """Render the entries as a JSON array (discovery 5.6). `documents`: those of `wanted`; a followed profile or
        microcosm without its document is left out, other missing authors are null; `item` of the entry for all new
        people is null; `tree`, `view`: as in `read`; `site`: JSON document of the site itself.
        """
        people, places = documents[profile_summary.SUMMARY], documents[microcosm_summary.SUMMARY]

        def summary_of(entry: WatcherEntry) -> bytes | None:
            if entry.item_type == itemtypes.SITE:
                return site
            if entry.item_type == itemtypes.PROFILE:
                if not entry.item_id:
                    return b"null"
                return people[entry.item_id][0] if entry.item_id in people else None
            if entry.item_type == itemtypes.MICROCOSM:
                child = self.microcosms.get(entry.item_id)
                if child is None or child.id not in places:
                    return None
                return microcosm_summary.summary(
                    places[child.id], child, people, tree, view, site_id, unread=None
                )
            if entry.huddle is not None:
                return huddle_page.summary(entry.huddle, people)
            return item_summary.summary(
                entry.row,
                entry.times,
                people,
                tree,
                view,
                unread=None,
                new=entry.new,
                mine=entry.mine,
            )

        made = []
        for entry in self.entries:
            summary = summary_of(entry)
            if summary is not None:
                notified = entry.last_notified
                data = {
                    "id": entry.id,
                    "itemTypeId": entry.item_type,
                    "itemId": entry.item_id,
                    "lastNotified": NEVER
                    if notified is None
                    else json_fragments.format_time(notified),
                    "sendEmail": entry.send_email,
                    "sendSMS": entry.send_sms,
                    "item": raw(summary),
                    "itemType": itemtypes.name_of(entry.item_type),
                }
                made.append(dumps(data))
        return b"[%b]" % b",".join(made)


def _entry(row: Row) -> WatcherEntry:
    _, ids, versions, mine, new, id, kind, item_id, notified, email, sms, version = row[_OWN:]
    summary, times, huddle = row[:_TIMES], row[_TIMES:_OWN], None
    if kind == itemtypes.HUDDLE:
        # id, version, title, author and comments as SUMMARY_COLUMNS has them; a huddle has no views.
        last = (*summary[9:11], summary[11] or 0)
        huddle = HuddleRow._make(
            (summary[0], summary[2], *summary[4:8], *last, ids, versions, None, *times[:2])
        )
        summary = ()
    elif summary[0] is None:
        summary = ()
    return WatcherEntry(
        id, kind, item_id, notified, email, sms, version, summary, times, new or 0, mine, huddle
    )
