"""List of a site's profiles (platform 4.3): its pages, orders and filters, each in the order of an index.

The total is stored (`site_people`). This process remembers every `STEP`-th name, until a profile is added or renamed,
and reads a page deep in the list by name from the nearest of these on: so page 800 costs as much as page 1.
"""

from __future__ import annotations

import itertools
from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.cache.lru_cache import Lru, plainly
from forumapi.database.connections import Reader
from forumapi.database.query import Query, Replica, Row
from forumapi.text import short_text_cleaning
from forumapi.wire.paging import Paging

ONLINE_MINUTES: Final = 90
# Names between two marks, and bytes of all marks.
STEP: Final = 250
_MOST_BYTES: Final = 4 * 1024 * 1024


class Filter(NamedTuple):
    """Filter and order of the list of a site's profiles (platform 4.3, list parameters), which is by name unless `top`.

    `prefix`: beginning of the names as they are stored, HTML-escaped, capitals and small letters alike, "" for all;
    `top`: most comments first, after the profile whose whole name is `prefix`; `following`: only profiles that the
    viewer follows; `online`: only those active within ONLINE_MINUTES.
    """

    prefix: str = ""  # of the stored name, any case
    top: bool = False
    following: bool = False
    online: bool = False

    @classmethod
    def of(cls, q: str, *, top: bool, following: bool, online: bool) -> Filter:
        """Make a filter of query parameters; `top`, `following` and `online` as in this class. Leading + and @ of `q`,
        the beginning of the names, are dropped, and the rest is HTML-escaped; no character is a wildcard (P-30).
        """
        return cls(short_text_cleaning.escape(q.lstrip("+@")), top, following, online)


class PeoplePage(NamedTuple):
    """Page of profiles. `versions`: the profiles' versions by profile id, in the order of the list; `total`: number of
    all profiles that the filter leaves.

    `send_email` and `send_sms`: flags of the viewer's watcher of new people, None if the viewer does not follow them.
    """

    total: int
    send_email: bool | None
    send_sms: bool | None
    versions: dict[int, int]


# Profiles that are never listed for this viewer: ignored ones, and the placeholder that inherits a person's content.
_HIDDEN: Final = """
    hidden AS MATERIALIZED (
        SELECT d.profile_id, d.name
          FROM unnest(%(ignored)s::bigint[]) AS g (profile_id)
         CROSS JOIN LATERAL (
               SELECT d.profile_id, lower(d.profile_name) AS name
                 FROM profiles d
                WHERE d.site_id = %(site_id)s AND d.profile_id = g.profile_id OFFSET 0) d
         UNION
        SELECT d.profile_id, lower(d.profile_name)
          FROM profiles d
         WHERE d.site_id = %(site_id)s AND lower(d.profile_name) = 'deleted' AND d.profile_name = 'deleted')"""
_SHOWN: Final = "{one}.profile_id <> ALL(ARRAY(SELECT h.profile_id FROM hidden h))"
_ALL: Final = """
           coalesce((SELECT s.total FROM site_people s WHERE s.site_id = %(site_id)s), 0)
           - (SELECT count(*)::int FROM hidden)"""
# U+10FFFF sorts after whatever may follow the prefix; the operators are those of the indexes.
_PREFIX: Final = """
               AND {name} ~>=~ lower(%(prefix)s::text)
               AND {name} ~<~ (lower(%(prefix)s::text) || chr(1114111))"""
_FOLLOWING: Final = f"""
               AND {{one}}.profile_id IN (SELECT f.item_id FROM watchers f
                                         WHERE f.site_id = %(site_id)s AND f.profile_id = %(me)s
                                           AND f.item_type_id = {itemtypes.PROFILE})"""
_ONLINE: Final = f"""
               AND n.last_active > now() - interval '{ONLINE_MINUTES} minutes'"""

# %(...)s are parameters as everywhere, {...} is filled once for each combination of filters. OFFSET 0: each is found by
# its whole key. Where sites have two people on average, a plan for whatever is asked would read all of a large one.
_PAGE: Final = """
      WITH {hidden},
    walked AS (
        SELECT {one}.profile_id
          FROM {source}
         WHERE {one}.site_id = %(site_id)s AND {shown} {where}
         ORDER BY {order}
         LIMIT %(limit)s OFFSET {offset}),
    page AS (SELECT w.profile_id, row_number() OVER () AS place FROM walked w)
    SELECT {total}, w.send_email, w.send_sms, p.profile_id, p.version{more}
      FROM (SELECT 1) AS one
      LEFT JOIN watchers w ON w.site_id = %(site_id)s AND w.profile_id = %(me)s AND w.item_type_id = {profile_type}
                          AND w.item_id = 0
      LEFT JOIN page ON true
      LEFT JOIN LATERAL (
            SELECT p.profile_id, p.version FROM profiles p
             WHERE p.site_id = %(site_id)s AND p.profile_id = page.profile_id OFFSET 0) p ON true
     ORDER BY page.place"""
_COUNT: Final = (
    "(SELECT count(*)::int FROM {source} WHERE {one}.site_id = %(site_id)s AND {shown} {where})"
)


def _page_query(has_prefix: bool, top: bool, following: bool, online: bool) -> Query:
    """Return the statement for one combination of filters, so that each gets a plan of its own. `has_prefix`: a prefix
    of the names is given; the others as in Filter.

    With `top` or `online` the statement scans the table `profile_counters`, which holds the names too, else `profiles`.
    """
    one = "n" if top or online else "p"
    name = "n.name_key" if top or online else "lower(p.profile_name)"
    source = "profile_counters n" if top or online else "profiles p"
    where = (
        (_PREFIX.format(name=name) if has_prefix else "")
        + (_FOLLOWING.format(one=one) if following else "")
        + (_ONLINE if online else "")
    )
    order = f"n.comment_count DESC, {name} USING ~<~" if top else f"{name} USING ~<~"
    if has_prefix and top:
        order = f"{name} = lower(%(prefix)s::text) DESC, {order}"
    shown = _SHOWN.format(one=one)
    is_filtered = has_prefix or following or online
    counted = _COUNT.format(source=source, one=one, shown=shown, where=where)
    used = [
        word
        for word, is_used in (
            ("prefix", has_prefix),
            ("following", following),
            ("online", online),
            ("top", top),
        )
        if is_used
    ]
    text = _PAGE.format(
        hidden=_HIDDEN,
        profile_type=itemtypes.PROFILE,
        one=one,
        source=source,
        shown=shown,
        where=where,
        order=order,
        offset="%(offset)s",
        total=counted if is_filtered else _ALL,
        more="",
    )
    suffix = "".join(f".{part}" for part in used)
    return Query(f"profile_list.page{suffix}", text, replica=Replica.ACKNOWLEDGED)


_PAGES: Final = {
    choice: _page_query(*choice) for choice in itertools.product((False, True), repeat=4)
}

# A page by name that begins near a remembered one. `start`: how many names, hidden ones included, come before `mark`.
FROM_MARK = Query(
    "profile_list.from_mark",
    _PAGE.format(
        hidden=_HIDDEN,
        profile_type=itemtypes.PROFILE,
        one="p",
        source="profiles p",
        shown=_SHOWN.format(one="p"),
        where="AND lower(p.profile_name) ~>=~ %(mark)s::text",
        order="lower(p.profile_name) USING ~<~",
        offset="""greatest(%(offset)s::int - %(start)s::int
                + (SELECT count(*)::int FROM hidden h WHERE h.name ~<~ %(mark)s::text), 0)""",
        total=_ALL,
        more=", (SELECT s.changes FROM site_people s WHERE s.site_id = %(site_id)s)",
    ),
    replica=Replica.ACKNOWLEDGED,
)

MARKS = Query(
    "profile_list.marks",
    """
    SELECT (SELECT s.changes FROM site_people s WHERE s.site_id = %(site_id)s),
           ARRAY(SELECT w.name
                   FROM (SELECT lower(p.profile_name) AS name,
                                row_number() OVER (ORDER BY lower(p.profile_name) USING ~<~) AS place
                           FROM profiles p
                          WHERE p.site_id = %(site_id)s) w
                  WHERE w.place %% %(step)s::int = 1
                  ORDER BY w.place)""",
)


class _Names(NamedTuple):
    """Every STEP-th name of a site. `changes`: the site's number of changes of its list of names when they were
    read.
    """

    changes: int
    names: list[str]


class KeysetMarks:
    """Cache of keyset marks by site: names at which pages deep in a list begin."""

    def __init__(self) -> None:
        self._of: Lru[int, _Names] = Lru(_MOST_BYTES, plainly)

    def find(self, tx: Reader, site_id: int, *, anew: bool) -> _Names:
        """Return a site's marks, the keys at which pages of the list of profiles begin: cached ones, or with
        `anew`, or without cached ones, read from the database.
        """
        found = self._of.get(site_id)
        if found is None or anew:
            row = tx.row(MARKS, site_id=site_id, step=STEP)
            assert row is not None, "a statement without FROM returns one row"
            found = _Names(row[0] or 0, row[1])
            self._of.add(site_id, found)
        return found


def page(
    tx: Reader,
    marks: KeysetMarks,
    site_id: int,
    viewer_id: int,
    ignored: list[int],
    wanted: Filter,
    at: Paging,
) -> PeoplePage:
    """Read the page `at` of the site's profiles as the profile `viewer_id` sees them (0: a guest), filtered and ordered
    as `wanted` says, without the profiles `ignored` and the placeholder `deleted`. `marks`: this process's cache.
    """
    if wanted == Filter() and at.offset >= 2 * STEP:
        return _deep(tx, marks, site_id, viewer_id, ignored, at)
    query = _PAGES[bool(wanted.prefix), wanted.top, wanted.following, wanted.online]
    return _found(
        tx.rows(
            query,
            site_id=site_id,
            me=viewer_id,
            ignored=ignored,
            prefix=wanted.prefix,
            limit=at.limit,
            offset=at.offset,
        )
    )


def _deep(
    tx: Reader, marks: KeysetMarks, site_id: int, viewer_id: int, ignored: list[int], at: Paging
) -> PeoplePage:
    """Read the page `at`, deep in the list by name, from a cached mark on; the other parameters are those of `page`.
    If the list of names has changed since the marks were read, the marks and the page are read once more.
    """
    for anew in (False, True):
        known = marks.find(tx, site_id, anew=anew)
        number = min(at.offset // STEP, len(known.names) - 1)
        rows = tx.rows(
            FROM_MARK,
            site_id=site_id,
            me=viewer_id,
            ignored=ignored,
            limit=at.limit,
            offset=at.offset,
            mark=known.names[number] if number >= 0 else "",
            start=max(number, 0) * STEP,
        )
        if rows[0][5] == known.changes:
            break
    # Profiles were added between the two statements again: at worst a neighbouring entry is on this page too.
    return _found(rows)


def _found(rows: list[Row]) -> PeoplePage:
    total, send_email, send_sms = rows[0][:3]
    return PeoplePage(
        total, send_email, send_sms, {row[3]: row[4] for row in rows if row[3] is not None}
    )
