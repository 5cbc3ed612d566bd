"""List of the things that a profile ignores, except huddles (discovery 6)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query, Row
from forumapi.models.content import item_summary
from forumapi.models.microcosms import microcosm_summary
from forumapi.models.microcosms.microcosm_summary import ChildMicrocosm
from forumapi.models.people import profile_summary
from forumapi.models.people.ignore import Ignore
from forumapi.permissions.evaluator import Tree
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.wire.json_fragments import Fragment, dumps
from forumapi.wire.paging import Paging

# Types of items that the list can show.
LISTED: Final = (itemtypes.CONVERSATION, itemtypes.EVENT, itemtypes.POLL)
# A thing that is deleted, hidden or no longer readable has no title here, and so is neither listed nor counted (G-01).
PAGE = Query(
    "ignore_page.page",
    f"""
    WITH seen AS MATERIALIZED (
        SELECT g.site_id, g.item_type_id, coalesce(m.microcosm_id, p.profile_id, i.item_id) AS item_id,
               lower(coalesce(m.title, p.profile_name, i.title)) AS title
          FROM ignores g
          LEFT JOIN microcosms m ON g.item_type_id = {itemtypes.MICROCOSM} AND m.site_id = g.site_id
                                AND m.microcosm_id = g.item_id AND m.microcosm_id = ANY(%(readable)s::bigint[])
          LEFT JOIN profiles p ON g.item_type_id = {itemtypes.PROFILE} AND p.site_id = g.site_id
                              AND p.profile_id = g.item_id
          LEFT JOIN items i ON i.site_id = g.site_id AND i.item_id = g.item_id AND i.item_type_id = g.item_type_id
                           AND NOT i.is_deleted AND NOT i.is_moderated
                           AND i.item_type_id = ANY(%(kinds)s::smallint[])
                           AND i.microcosm_id = ANY(%(readable)s::bigint[])
         WHERE g.site_id = %(site_id)s AND g.profile_id = %(me)s AND g.item_type_id = ANY(%(shown)s::smallint[])),
    shown AS (
        SELECT s.site_id, s.item_type_id, s.item_id,
               row_number() OVER (ORDER BY s.item_type_id, s.title, s.item_id) AS place
          FROM seen s
         WHERE s.title IS NOT NULL
         ORDER BY place
         LIMIT %(limit)s OFFSET %(offset)s)
    SELECT {item_summary.SUMMARY_COLUMNS}, {item_summary.SUMMARY_TIMES},
           (SELECT count(*) FROM seen s WHERE s.title IS NOT NULL), coalesce(g.item_type_id, 0::smallint),
           coalesce(g.item_id, 0), coalesce(p.version, 0)
      FROM (SELECT 1) AS one
      LEFT JOIN shown g ON true
      LEFT JOIN profiles p ON g.item_type_id = {itemtypes.PROFILE} AND p.site_id = g.site_id
                          AND p.profile_id = g.item_id
      LEFT JOIN items i ON g.item_type_id <> {itemtypes.PROFILE} AND i.site_id = g.site_id AND i.item_id = g.item_id
                       AND i.item_type_id = g.item_type_id
      LEFT JOIN profiles a ON a.site_id = i.site_id AND a.profile_id = i.created_by
      LEFT JOIN profiles l ON l.site_id = i.site_id AND l.profile_id = i.last_comment_by
      LEFT JOIN item_views v ON v.site_id = i.site_id AND v.item_id = i.item_id
     ORDER BY g.place""",
)
_TIMES: Final = item_summary.SUMMARY_WIDTH
_ENTRY: Final = _TIMES + item_summary.TIMES_WIDTH


class IgnoredPage(NamedTuple):
    """Page of the things that a profile ignores, without huddles, as `entries` in the order of the list; `total`: the
    number of all that this profile may still see.

    The other fields hold, by id, the data from which the entries are rendered: `profiles` their versions, `items` their
    rows of (SUMMARY_COLUMNS, SUMMARY_TIMES), `microcosms` the rows that every list of microcosms uses.
    """

    total: int
    entries: list[Ignore]
    profiles: dict[int, int]  # id -> version
    items: dict[int, tuple[Row, Row]]  # id -> SUMMARY_COLUMNS, SUMMARY_TIMES
    microcosms: dict[int, ChildMicrocosm]

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Return values of which one differs whenever the shown page does, for the entity tag."""
        rows = [row for row, _ in self.items.values()]
        places = [tuple(child[:7]) for child in self.microcosms.values()]
        named = [tuple(one) for one in self.entries]
        return (self.total, named, tuple(self.profiles.items()), rows, places)

    @property
    def wanted(self) -> dict[Any, dict[int, int]]:
        """Return the documents that the entries are made of, as `Documents.fetch` takes them: by kind of document,
        version by id.
        """
        people = self.profiles | item_summary.summary_people(
            [row for row, _ in self.items.values()]
        )
        people |= {child.author_id: child.author_version for child in self.microcosms.values()}
        places = {child.id: child.version for child in self.microcosms.values()}
        return {microcosm_summary.SUMMARY: places, profile_summary.SUMMARY: people}


def page(
    tx: Reader,
    site_id: int,
    me: int,
    tree: Tree,
    view: ReadableMicrocosms,
    shown: Collection[int],
    at: Paging,
) -> IgnoredPage:
    """Read the page `at` of the things that the profile `me` ignores and may still see, ordered by type, then by title
    or name, capitals and small letters alike. Ignored huddles are neither listed nor counted.

    `view`: microcosms that `me` may read; `shown`: types that may be listed.
    """
    rows = tx.rows(
        PAGE,
        site_id=site_id,
        me=me,
        kinds=LISTED,
        shown=sorted(shown),
        readable=view.ids,
        limit=at.limit,
        offset=at.offset,
    )
    total = rows[0][_ENTRY]
    entries, profiles, items = [], {}, {}
    for row in rows:
        kind, id, version = row[_ENTRY + 1 :]
        if not kind:
            continue
        entries.append(Ignore(kind, id))
        if kind == itemtypes.PROFILE:
            profiles[id] = version
        elif kind != itemtypes.MICROCOSM:
            items[id] = (row[:_TIMES], row[_TIMES:_ENTRY])
    tops = [one.item_id for one in entries if one.item_type == itemtypes.MICROCOSM]
    microcosms = microcosm_summary.children(tx, site_id, tree, view, tops)
    return IgnoredPage(total, entries, profiles, items, microcosms)


def entries(
    found: IgnoredPage,
    documents: dict[Any, dict[int, Fragment]],
    tree: Tree,
    view: ReadableMicrocosms,
    site_id: int,
) -> bytes:
    """Render the entries of the page `found` as a JSON array, in its order. `documents`: those that `found.wanted`
    names, by kind and id; a profile or microcosm whose document is missing is left out. `view`: microcosms of `tree`
    that the viewer may read.
    """
    people, places = documents[profile_summary.SUMMARY], documents[microcosm_summary.SUMMARY]
    made = []
    for kind, id in found.entries:
        if kind == itemtypes.PROFILE:
            summary = people[id][0] if id in people else None
        elif kind == itemtypes.MICROCOSM:
            summary = _place(found.microcosms.get(id), places, people, tree, view, site_id)
        else:
            row, times = found.items[id]
            summary = item_summary.summary(row, times, people, tree, view, unread=None)
        if summary is not None:
            head = dumps({"itemType": itemtypes.name_of(kind), "itemId": id})[:-1]
            made.append(b'%b,"item":%b}' % (head, summary))
    return b"[%b]" % b",".join(made)


def _place(
    child: ChildMicrocosm | None,
    places: dict[int, Fragment],
    people: dict[int, Fragment],
    tree: Tree,
    view: ReadableMicrocosms,
    site_id: int,
) -> bytes | None:
    """Render the summary of the ignored microcosm `child` as JSON; None if it, or its document, is gone meanwhile.
    `places` and `people`: documents of microcosms and profiles by id.

    The microcosm's latest item is left out, since who ignores a microcosm ignores its items too.
    """
    if child is None or child.id not in places:
        return None
    quiet = child._replace(latest=None)
    # Nothing here is unread (discovery 6).
    return microcosm_summary.summary(
        places[child.id], quiet, people, tree, view, site_id, unread=None
    )
