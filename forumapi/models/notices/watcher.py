"""Who follows what (discovery 5): one row for each profile and thing. Writing follows by item.watch."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import (
    Query,
    Reader,
    Replica,
    Row,
    Transaction,
)
from forumapi.errors import Invalid
from forumapi.models.content import huddle_page, item_details, item_page
from forumapi.models.content.huddle_page import Entry
from forumapi.models.content.item import WATCHER_DEFAULTS
from forumapi.models.microcosms import microcosm
from forumapi.models.microcosms.microcosm import Child
from forumapi.models.people import profile
from forumapi.permissions.evaluator import Tree
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment, dumps, raw
from forumapi.wire.paging import Paging

# What can be followed (W2).
WATCHABLE: Final = frozenset(
    {
        itemtypes.SITE,
        itemtypes.MICROCOSM,
        itemtypes.PROFILE,
        itemtypes.HUDDLE,
        itemtypes.CONVERSATION,
        itemtypes.POLL,
        itemtypes.EVENT,
    }
)
# Everybody on the site: an id of type profile that is nobody's.
ALL_PEOPLE: Final = 0
# Entries of one batch.
MOST_AT_ONCE: Final = 100
NEVER: Final = "0001-01-01T00:00:00Z"

# The kinds of update that seed what a new watcher wants sent (discovery 3.3, W3).
UPDATE_TYPES: Final = range(1, 10)
_SEEDS: Final = {itemtypes.SITE: 8, itemtypes.MICROCOSM: 8, itemtypes.HUDDLE: 4}

_NAMED: Final = "unnest(%(types)s::smallint[], %(ids)s::bigint[])"

# What is followed already stays as it is. In the order of the key, so that two who add the same never wait in a circle.
ADD = Query(
    "watcher.add",
    f"""
    INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email, send_sms)
    SELECT %(site_id)s, %(me)s, w.item_type_id, w.item_id,
           {WATCHER_DEFAULTS.format(flag="send_email", type="w.seed", who="%(me)s")},
           {WATCHER_DEFAULTS.format(flag="send_sms", type="w.seed", who="%(me)s")}
      FROM unnest(%(types)s::smallint[], %(ids)s::bigint[], %(seeds)s::smallint[]) AS w (item_type_id, item_id, seed)
     ORDER BY w.item_type_id, w.item_id
        ON CONFLICT DO NOTHING""",
)

SENDS = Query(
    "watcher.sends",
    f"""
    SELECT w.item_type_id, w.item_id, w.send_email
      FROM {_NAMED} AS n (item_type_id, item_id)
      JOIN watchers w ON w.site_id = %(site_id)s AND w.profile_id = %(me)s AND w.item_type_id = n.item_type_id
                     AND w.item_id = n.item_id""",
)

SET = Query(
    "watcher.set",
    """
    UPDATE watchers w
       SET send_email = coalesce(n.send_email, w.send_email), send_sms = coalesce(n.send_sms, w.send_sms)
      FROM unnest(%(types)s::smallint[], %(ids)s::bigint[], %(emails)s::boolean[], %(smss)s::boolean[])
           AS n (item_type_id, item_id, send_email, send_sms)
     WHERE w.site_id = %(site_id)s AND w.profile_id = %(me)s AND w.item_type_id = n.item_type_id
       AND w.item_id = n.item_id
 RETURNING w.item_type_id, w.item_id""",
)

SET_ONE = Query(
    "watcher.set_one",
    """
    UPDATE watchers w
       SET send_email = coalesce(%(send_email)s::boolean, w.send_email),
           send_sms = coalesce(%(send_sms)s::boolean, w.send_sms)
     WHERE w.site_id = %(site_id)s AND w.watcher_id = %(id)s AND w.profile_id = %(me)s""",
)

REMOVE = Query(
    "watcher.remove",
    f"""
    DELETE FROM watchers w
     USING {_NAMED} AS n (item_type_id, item_id)
     WHERE w.site_id = %(site_id)s AND w.profile_id = %(me)s AND w.item_type_id = n.item_type_id
       AND w.item_id = n.item_id""",
)

REMOVE_ONE = Query(
    "watcher.remove_one",
    "DELETE FROM watchers w WHERE w.site_id = %(site_id)s AND w.watcher_id = %(id)s",
)

# What is gone, hidden or not readable any more is neither listed nor counted (G1, G2); the one row there is without
# any entry says how many there are. Look-ups have a whole key each, and so never become a walk through a table.
PAGE = Query(
    "watcher.page",
    f"""
    WITH mine AS MATERIALIZED (
        SELECT w.watcher_id, w.site_id, w.item_type_id, w.item_id, w.last_notified, w.send_email, w.send_sms
          FROM watchers w
         WHERE w.site_id = %(site_id)s AND w.profile_id = %(me)s AND w.item_type_id = ANY(%(kinds)s::smallint[])
           AND CASE w.item_type_id
                    WHEN 1 THEN w.item_id = w.site_id
                    WHEN 2 THEN w.item_id = ANY(%(readable)s::bigint[])
                    WHEN 3 THEN w.item_id = 0 OR (
                        SELECT true FROM profiles p WHERE p.site_id = w.site_id AND p.profile_id = w.item_id LIMIT 1)
                    WHEN 5 THEN (
                        SELECT NOT i.is_deleted AND NOT i.is_moderated
                          FROM huddle_participants h
                          JOIN items i ON i.site_id = h.site_id AND i.item_id = h.item_id
                         WHERE h.site_id = w.site_id AND h.item_id = w.item_id AND h.profile_id = w.profile_id
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
    SELECT {item_page.SUMMARY_COLUMNS}, {item_page.SUMMARY_TIMES},
           (SELECT count(*) FROM mine), people.ids, people.versions, {item_details.MINE}, w.watcher_id, w.item_type_id,
           w.item_id, w.last_notified, w.send_email, w.send_sms, coalesce(p.version, 0)
      FROM (SELECT 1) AS one
      LEFT JOIN page w ON true
      LEFT JOIN profiles p ON w.item_type_id = 3 AND p.site_id = w.site_id AND p.profile_id = w.item_id
      LEFT JOIN LATERAL (
            SELECT i.* FROM items i
             WHERE i.site_id = w.site_id AND i.item_id = w.item_id AND i.item_type_id = w.item_type_id
             LIMIT 1) i ON true
      LEFT JOIN profiles a ON a.site_id = i.site_id AND a.profile_id = i.created_by
      LEFT JOIN profiles l ON l.site_id = i.site_id AND l.profile_id = i.last_comment_by
      LEFT JOIN item_views v ON v.site_id = i.site_id AND v.item_id = i.item_id
      {huddle_page.PEOPLE.strip()}
     ORDER BY w.last_notified DESC NULLS FIRST, w.item_type_id, w.item_id DESC""",
    replica=Replica.ACKNOWLEDGED,
)
_TIMES: Final = item_page.SUMMARY_WIDTH
_OWN: Final = _TIMES + item_page.TIMES_WIDTH


class Named(NamedTuple):
    """A thing by type and id, as a client names it."""

    item_type: int
    item_id: int


class Change(NamedTuple):
    """What is to be sent of a thing that is followed; None leaves it as it is."""

    thing: Named
    send_email: bool | None
    send_sms: bool | None


def seed_of(thing: Named) -> int:
    """The kind of update whose preference a new watcher of a thing takes over (W3)."""
    if thing == (itemtypes.PROFILE, ALL_PEOPLE):
        return 9
    return _SEEDS.get(thing.item_type, 1)


# ---------------------------------------------------------------- writing


def add(
    tx: Transaction, site_id: int, me: int, things: Sequence[Named], seeds: Sequence[int]
) -> None:
    """Follow these things; what is followed already stays as it is. `seeds` are kinds of update, one for each.

    Asks no permission.
    """
    tx.run(ADD, site_id=site_id, me=me, seeds=list(seeds), **_arrays(things))


def sends(tx: Reader, site_id: int, me: int, things: Sequence[Named]) -> dict[Named, bool]:
    """Whether mail is sent to `me` of each of these things; what is not followed has no entry."""
    rows = tx.rows(SENDS, site_id=site_id, me=me, **_arrays(things))
    return {Named(row[0], row[1]): row[2] for row in rows}


def set_sending(
    tx: Transaction, site_id: int, me: int, changes: Sequence[Change], *, place: str = ""
) -> None:
    """Change what is sent of things that `me` follows: all of them or none.

    `place` names the list they came in, for messages. Raises Invalid for what is not followed.
    """
    last = {one.thing: one for one in changes}.values()  # of two on the same thing
    rows = tx.rows(
        SET,
        site_id=site_id,
        me=me,
        emails=[one.send_email for one in last],
        smss=[one.send_sms for one in last],
        **_arrays([one.thing for one in last]),
    )
    found = {Named(*row) for row in rows}
    for number, one in enumerate(changes):
        if one.thing not in found:
            field = f"{place}[{number}].itemId" if place else "itemId"
            raise Invalid(field, "is not followed")


def set_one(
    tx: Transaction,
    site_id: int,
    me: int,
    watcher_id: int,
    send_email: bool | None,
    send_sms: bool | None,
) -> bool:
    """Change what is sent by the watcher of that id; False if `me` has none."""
    values = {"send_email": send_email, "send_sms": send_sms}
    return bool(tx.run(SET_ONE, site_id=site_id, me=me, id=watcher_id, **values))


def remove(tx: Transaction, site_id: int, me: int, things: Sequence[Named]) -> None:
    """Follow these things no more; what is not followed is passed over (W7)."""
    tx.run(REMOVE, site_id=site_id, me=me, **_arrays(things))


def remove_one(tx: Transaction, site_id: int, watcher_id: int) -> None:
    """Take a watcher away. Asks no permission."""
    tx.run(REMOVE_ONE, site_id=site_id, id=watcher_id)


def _arrays(things: Sequence[Named]) -> dict[str, Any]:
    return {"types": [one.item_type for one in things], "ids": [one.item_id for one in things]}


# ---------------------------------------------------------------- the list


class Watcher(NamedTuple):
    """An entry of the list."""

    id: int
    item_type: int
    item_id: int
    last_notified: datetime.datetime | None
    send_email: bool
    send_sms: bool
    version: int  # of a profile; else 0
    row: Row  # SUMMARY_COLUMNS of an item
    times: Row
    mine: str | None  # what only the viewer sees of it (models/content/item_details.py)
    entry: Entry | None  # of a huddle

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Plain data that covers what the entry shows."""
        notified = self.last_notified and json_fragments.when(self.last_notified)
        shown = self.entry.stamp if self.entry else (self.row, self.mine)
        return (*self[:3], notified, *self[4:7], shown)


class Watchers(NamedTuple):
    """One page of what a profile follows."""

    total: int
    entries: list[Watcher]
    microcosms: dict[int, Child]

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Plain data that covers what the entries show."""
        places = [(*child[:8], child.mine) for child in self.microcosms.values()]
        return (self.total, [one.stamp for one in self.entries], places)

    @property
    def wanted(self) -> dict[Any, dict[int, int]]:
        """The documents that the entries are made of."""
        people: dict[int, int] = {}
        for one in self.entries:
            if one.item_type == itemtypes.PROFILE and one.item_id:
                people[one.item_id] = one.version
            elif one.entry is not None:
                people |= one.entry.people
        people |= item_page.summary_people([one.row for one in self.entries if one.row])
        for child in self.microcosms.values():
            people[child.author_id] = child.author_version
        latest = [child.latest for child in self.microcosms.values() if child.latest]
        people |= item_page.summary_people(latest)
        places = {child.id: child.version for child in self.microcosms.values()}
        return {microcosm.SUMMARY: places, profile.SUMMARY: people}


def page(
    tx: Reader,
    site_id: int,
    me: int,
    tree: Tree,
    view: ReadableMicrocosms,
    ignored_microcosms: list[int],
    ignored_items: Sequence[int],
    at: Paging,
    *,
    kinds: Collection[int],
) -> Watchers:
    """A page of what `me` follows and may see: what was notified of last comes first, before it what never was.

    `view`: what `me` may read; `kinds`: the types of things that may be shown. Two statements with microcosms among
    what is shown, else one.
    """
    rows = tx.rows(
        PAGE,
        site_id=site_id,
        me=me,
        readable=view.ids,
        kinds=sorted(kinds),
        limit=at.limit,
        offset=at.offset,
    )
    entries = [_watcher(row) for row in rows if row[_OWN + 4] is not None]
    tops = [one.item_id for one in entries if one.item_type == itemtypes.MICROCOSM]
    places = microcosm.watched(tx, site_id, tree, view, tops, me, ignored_microcosms, ignored_items)
    return Watchers(rows[0][_OWN], entries, places)


def _watcher(row: Row) -> Watcher:
    _, ids, versions, mine, id, kind, item_id, notified, email, sms, version = row[_OWN:]
    summary, times, entry = row[:_TIMES], row[_TIMES:_OWN], None
    if kind == itemtypes.HUDDLE:
        # id, version, title, author and comments as SUMMARY_COLUMNS has them; a huddle has no views.
        last = (*summary[9:11], summary[11] or 0)
        entry = Entry._make(
            (summary[0], summary[2], *summary[4:8], *last, ids, versions, None, *times[:2])
        )
        summary = ()
    elif summary[0] is None:
        summary = ()
    return Watcher(id, kind, item_id, notified, email, sms, version, summary, times, mine, entry)


def document(
    found: Watchers,
    documents: dict[Any, dict[int, Fragment]],
    tree: Tree,
    view: ReadableMicrocosms,
    site_id: int,
    site: bytes,
) -> bytes:
    """The JSON array of the page's entries (discovery 5.6). `site` is the document of the site itself."""
    people, places = documents[profile.SUMMARY], documents[microcosm.SUMMARY]

    def shown(one: Watcher) -> bytes | None:
        if one.item_type == itemtypes.SITE:
            return site
        if one.item_type == itemtypes.PROFILE:
            if not one.item_id:
                return b"null"
            return people[one.item_id][0] if one.item_id in people else None
        if one.item_type == itemtypes.MICROCOSM:
            child = found.microcosms.get(one.item_id)
            if child is None or child.id not in places:
                return None
            return microcosm.child_summary(
                places[child.id], child, people, tree, view, site_id, unread=None
            )
        if one.entry is not None:
            return huddle_page.summary(one.entry, people)
        return item_page.summary(one.row, one.times, people, tree, view, unread=None, mine=one.mine)

    made = []
    for one in found.entries:
        summary = shown(one)
        if summary is not None:
            notified = one.last_notified
            data = {
                "id": one.id,
                "itemTypeId": one.item_type,
                "itemId": one.item_id,
                "lastNotified": NEVER if notified is None else json_fragments.when(notified),
                "sendEmail": one.send_email,
                "sendSMS": one.send_sms,
                "item": raw(summary),
                "itemType": itemtypes.name_of(one.item_type),
            }
            made.append(dumps(data))
    return b"[%b]" % b",".join(made)
