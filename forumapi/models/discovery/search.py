"""Search of a site: things that hold some words, or meet some filters, and that the caller may see (discovery 8).

The statements are in sql/functions/search.sql; they filter by permission, state and ignoring before anything is
counted. Hits come with all that their summaries need in the same statement, except microcosms and huddles.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query, Replica, Row
from forumapi.itemtypes import COMMENT, CONVERSATION, EVENT, HUDDLE, MICROCOSM, POLL, PROFILE
from forumapi.models.content import (
    comment_documents,
    huddle_page,
    item_page,
    item_summary,
    type_specific_fields,
)
from forumapi.models.content.comment_documents import CommentRow
from forumapi.models.discovery import search_query
from forumapi.models.discovery.search_query import ParsedSearch, SearchScope, Word, scope
from forumapi.models.microcosms import microcosm_links, microcosm_summary
from forumapi.models.microcosms.microcosm_summary import ChildMicrocosm
from forumapi.models.pages.document_reader import Documents
from forumapi.models.people import profile_summary
from forumapi.permissions.evaluator import Tree
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.text.short_text_cleaning import escape
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import dumps
from forumapi.wire.paging import Paging

# No search finds more (S-13).
MOST: Final = 10_000
# So many of the newest titles, and as many comments, are collected and ranked against each other, whatever the page.
RANKED: Final = 500
# Alternatives to a word that nothing holds, and completions of one.
MOST_ALIKE: Final = 10
# Letters of all alternatives to texts without spaces: they grow with the square of what was typed, and the database
# makes words of each two neighbours.
MOST_LETTERS: Final = 4_000
SUGGESTED: Final = 10

# Around the words found, in what the database cuts out for `highlight`, and in place of < and >, between which it would
# see a tag and leave it out; no stored text may hold them there.
_BEGIN, _END = "\x01", "\x02"
_ANGLES: Final = str.maketrans("\x03\x04", "<>")
_HEADLINE: Final = f'\'StartSel="{_BEGIN}",StopSel="{_END}",MinWords=15,MaxWords=35,ShortWord=3,HighlightAll=false\''

# Queries of the words in the languages of the site's documents, and the first word as it may stand in a text.
_WANTED: Final = """
    WITH asked AS MATERIALIZED (
        SELECT search_query(l.languages, w.words, w.groups, w.negated, w.tags, false) AS wanted,
               search_query(l.languages, w.words, w.groups, w.negated, w.tags, true) AS positive,
               search_config(l.languages[1]) AS config
          FROM (SELECT search_languages(%(site_id)s) AS languages) l,
               (SELECT %(words)s::text[] AS words, %(groups)s::integer[] AS groups, %(negated)s::boolean[] AS negated,
                       %(tags)s::text[] AS tags) w)"""

_FILTERS: Final = """%(kinds)s::smallint[], %(with_comments)s::boolean, %(parents)s::smallint[], %(ids)s::bigint[],
               %(readable)s::bigint[], %(everywhere)s::boolean, %(ignored_items)s::bigint[],
               %(ignored_people)s::bigint[], %(author)s::bigint, %(since)s::timestamptz, %(until)s::timestamptz,
               %(starts_after)s::timestamptz, %(starts_before)s::timestamptz, %(attending)s::boolean,
               %(attached)s::boolean, %(following)s::boolean, %(ordering)s::text"""

# All that the entries show of a hit `f`: the item it is or is on (i), the comment it is (c), the profile it is or is on
# (p).
_SHOWN: Final = f"""
    SELECT f.total, f.is_partial, {{is_more}}, f.item_type_id, f.item_id, f.rank, f.modified,
           {item_page.new_comments(only=f"f.item_type_id IN ({CONVERSATION}, {POLL}, {EVENT})")},
           {type_specific_fields.MINE}, {{highlights}},
           {item_summary.SUMMARY_COLUMNS}, {item_summary.SUMMARY_TIMES},
           {comment_documents.COLUMNS.format(unread="false")},
           coalesce(p.profile_id, 0), coalesce(p.version, 0), coalesce(p.profile_name, '')
      FROM found f
      LEFT JOIN comments c ON f.item_type_id = {COMMENT} AND c.site_id = %(site_id)s AND c.comment_id = f.item_id
      LEFT {comment_documents.JOINS.lstrip()}
      LEFT JOIN items i ON i.site_id = %(site_id)s
                       AND i.item_id = CASE WHEN f.item_type_id = {COMMENT} THEN c.item_id
                                            WHEN f.item_type_id IN ({HUDDLE}, {CONVERSATION}, {POLL}, {EVENT})
                                            THEN f.item_id END
      LEFT JOIN profiles a ON a.site_id = i.site_id AND a.profile_id = i.created_by
      LEFT JOIN profiles l ON l.site_id = i.site_id AND l.profile_id = i.last_comment_by
      LEFT JOIN item_views v ON v.site_id = i.site_id AND v.item_id = i.item_id
      LEFT JOIN profiles p ON p.site_id = %(site_id)s
                          AND p.profile_id = CASE WHEN f.item_type_id = {COMMENT} THEN c.on_profile_id
                                                  WHEN f.item_type_id = {PROFILE} THEN f.item_id END"""

# Source of an excerpt: of a comment, the part around the first word in it as it was typed or stemmed, as texts can be
# long; of other things the title, and the text indexed behind it, where the words may stand alone.
_TITLE: Final = f"""CASE f.item_type_id
                WHEN {COMMENT} THEN (SELECT substr(t.source, greatest(1, strpos(lower(t.source), q.needle) - 300), 1500)
                               FROM (SELECT left(c.markdown, 50000) AS source) t)
                WHEN {PROFILE} THEN search_unescaped(p.profile_name)
                WHEN {MICROCOSM} THEN (SELECT search_unescaped(m.title) FROM microcosms m
                              WHERE m.site_id = %(site_id)s AND m.microcosm_id = f.item_id)
                ELSE search_unescaped(i.title) END"""
_BEHIND: Final = f"""CASE f.item_type_id
                WHEN {MICROCOSM} THEN (SELECT search_unescaped(m.description) FROM microcosms m
                              WHERE m.site_id = %(site_id)s AND m.microcosm_id = f.item_id)
                WHEN {POLL} THEN (SELECT search_unescaped(o.question) FROM polls o
                              WHERE o.site_id = %(site_id)s AND o.item_id = f.item_id)
                WHEN {EVENT} THEN (SELECT search_unescaped(e.place) FROM events e
                              WHERE e.site_id = %(site_id)s AND e.item_id = f.item_id) END"""


def _cut(source: str) -> str:
    """Return an SQL expression for the excerpt of the text expression `source` around the matched words, or, in
    searches for scripts without spaces, for the whole text; either has control characters in place of < and >.
    """
    clean = f"translate({source}, E'<>\\x01\\x02\\x03\\x04', E'\\x03\\x04')"
    headline = f"ts_headline(q.config, {clean}, q.positive, {_HEADLINE})"
    return f"CASE WHEN %(literally)s::boolean THEN {clean} ELSE {headline} END"


TEXT = Query(
    "search.text",
    f"""{_WANTED},
    found AS MATERIALIZED (
        SELECT s.*
          FROM asked q
         CROSS JOIN LATERAL search_text(%(site_id)s, %(me)s, q.wanted, q.positive, %(in_title)s::boolean,
               {_FILTERS}, %(most)s::integer, %(ranked)s::integer, %(limit)s::integer, %(offset)s::integer,
               %(limit_ms)s::integer) s)
    {_SHOWN.format(is_more="f.is_more", highlights=f"{_cut(_TITLE)}, {_cut(_BEHIND)}")}
     CROSS JOIN (SELECT q.config, q.positive,
                        coalesce(nullif(%(needle)s::text, ''),
                                 left((regexp_match(q.positive::text, '''([^'']+)'''))[1], 12), '') AS needle
                   FROM asked q) q
     ORDER BY f.place""",
    replica=Replica.ALL,
)

FILTERED = Query(
    "search.filtered",
    f"""
    WITH found AS MATERIALIZED (
        SELECT s.*
          FROM search_filtered(%(site_id)s, %(me)s, {_FILTERS}, %(most)s::integer, %(limit)s::integer,
                               %(offset)s::integer) s)
    {_SHOWN.format(is_more="false", highlights="NULL::text, NULL::text")}
     ORDER BY f.place""",
    replica=Replica.ALL,
)

# Only for the site's owner; who they ignore and who does not want to be shown makes no difference here.
BY_EMAIL = Query(
    "search.by_email",
    f"""
    WITH known AS MATERIALIZED (
        SELECT p.profile_id, lower(p.profile_name) AS name
          FROM users u
          JOIN profiles p ON p.site_id = %(site_id)s AND p.user_id = u.user_id
         WHERE u.canonical_email = ANY(%(canonicals)s::text[])),
    found AS MATERIALIZED (
        SELECT s.place, {PROFILE}::smallint AS item_type_id, s.profile_id AS item_id, 1::real AS rank,
               n.last_active AS modified, (SELECT count(*) FROM known)::integer AS total, false AS is_partial
          FROM (SELECT 1) AS one
          LEFT JOIN (SELECT k.profile_id, row_number() OVER (ORDER BY k.name, k.profile_id) AS place
                       FROM known k
                      ORDER BY place
                      LIMIT %(limit)s OFFSET %(offset)s) s ON true
          LEFT JOIN profile_counters n ON n.site_id = %(site_id)s AND n.profile_id = s.profile_id)
    {_SHOWN.format(is_more="false", highlights="NULL::text, NULL::text")}
     ORDER BY f.place""",
    replica=Replica.ALL,
)

# Words of the site that are one typing error away from those typed. What the language leaves out is not missing.
ALIKE: Final = Query(
    "search.alike",
    """
    SELECT u.place::integer, a.word
      FROM unnest(%(typed)s::text[]) WITH ORDINALITY AS u (typed, place)
     CROSS JOIN LATERAL search_alike(%(site_id)s, search_word(u.typed), %(most)s::integer) AS a (word)
     WHERE numnode(search_query(search_languages(%(site_id)s), ARRAY[u.typed], '{1}', '{f}', '{}', false)) > 0""",
    replica=Replica.ACKNOWLEDGED,
)

# Completions of a word that the caller may see: each candidate is searched as the caller would find it.
SUGGEST: Final = Query(
    "search.suggest",
    """
    SELECT c.word
      FROM (SELECT c.word, c.errors, c.documents, search_languages(%(site_id)s) AS languages
              FROM search_completions(%(site_id)s, search_word(%(typed)s), %(most)s::integer) c
             ORDER BY c.errors, c.documents DESC, c.word) c
     WHERE search_seen(%(site_id)s, %(me)s, search_query(c.languages, ARRAY[c.word], '{1}', '{f}', '{}', false),
                       %(kinds)s::smallint[], %(readable)s::bigint[], %(ignored_items)s::bigint[],
                       %(ignored_people)s::bigint[], now() + make_interval(secs => %(limit_ms)s::integer / 1000.0),
                       %(parents)s::smallint[])
     LIMIT %(limit)s::integer""",
    replica=Replica.ACKNOWLEDGED,
)

_HEAD: Final = 11
_TIMES: Final = _HEAD + item_summary.SUMMARY_WIDTH
_COMMENT: Final = _TIMES + item_summary.TIMES_WIDTH
_PERSON: Final = _COMMENT + comment_documents.WIDTH


class Viewer(NamedTuple):
    """Caller of a search, and the part of the site that the caller may see.

    `me`: profile id, 0 for a guest; `view`: microcosms of `tree` that the caller may read, `listable`: those of `view`
    that are not ignored; `ignored_items` and `ignored_people`: ids of the items and profiles that the caller ignores;
    `kinds`: types of things that may be shown.
    """

    site_id: int
    me: int
    tree: Tree
    view: ReadableMicrocosms
    listable: ReadableMicrocosms
    ignored_items: Sequence[int]
    ignored_people: Sequence[int]
    kinds: frozenset[int] = itemtypes.ALL  # the types of things that may be shown


class Hit(NamedTuple):
    """Row of a result: a thing that matches, and all that its entry shows.

    `rank`: how well the words match, the higher the better; `modified`: time shown as `lastModified`; `new`: number of
    comments of an item that are new to the viewer, 0 for a comment or huddle with something unread in its item, None if
    nothing there is unread; `highlight`: excerpt as safe HTML, "" in a search without words; `item` and `times`:
    columns for item_summary.summary, of the item or of the comment's item; `mine`: the viewer's part of the item's
    details. `stub`: row of the comment, None for another thing; `person_…`: the profile found, or on which the comment
    stands, 0 for none.
    """

    item_type: int
    id: int
    rank: float
    modified: datetime.datetime
    new: int | None
    mine: str | None
    highlight: str
    item: Row
    times: Row
    stub: CommentRow | None
    person_id: int
    person_version: int
    person_name: str

    @property
    def stamp(self) -> Any:
        """Return values of which one differs whenever the shown entry does, for the entity tag."""
        stub = tuple(self.stub) if self.stub is not None else None
        moment = json_fragments.format_time(self.modified)
        return (*self[:3], moment, *self[4:8], stub, *self[10:])

    @property
    def parent(self) -> comment_documents.ParentLink:
        """Return the item or profile that the comment stands on; only for the hit of a comment."""
        if self.person_id:
            return comment_documents.ParentLink(itemtypes.PROFILE, self.person_id, self.person_name)
        return comment_documents.ParentLink(self.item[1], self.item[0], self.item[4])


class SearchResult(NamedTuple):
    """Page of a search's result.

    `is_partial`: the time limit ended the search early. `is_more`: counting was left off early, so that there may be
    more matches than `total`. `stamp`: values of which one differs whenever the entries of the hits do, for the entity
    tag. `is_forgiving`: nothing holds the words as typed; the hits hold words one typing error away.
    """

    total: int
    is_partial: bool
    is_more: bool
    hits: list[Hit]
    stamp: Any
    is_forgiving: bool = False


def expanded(tree: Tree, view: ReadableMicrocosms, forum_ids: Sequence[int]) -> list[int]:
    """Return the microcosm ids `forum_ids` in their order, then, for those in `view`, the readable microcosms, the ids
    of the readable microcosms below them; each id once.
    """
    found = list(forum_ids)
    for id in forum_ids:
        node = tree.nodes.get(id)
        if node is not None and id in view.set:
            found += [below for below in node.subtree if below in view.set]
    return list(dict.fromkeys(found))


def find(
    tx: Reader, who: Viewer, asked: ParsedSearch, at: Paging, *, limit_ms: int
) -> SearchResult:
    """Return the page `at` of the result for the search `asked`. With words, what was not found within `limit_ms` is
    missing, and `is_partial` is then True. Raises TooSlow if the database cancels the statement.

    If nothing holds the words as typed, words one typing error away are searched, for another `limit_ms`.
    """
    if not asked.text:
        most = MOST if asked.sort in ("oldest", "newest") else reach(at)
        rows = tx.rows(FILTERED, **filters(who, asked), **_page(at, most))
        found = _found(rows, ())
        return found._replace(is_more=found.total >= most)
    words = search_query.words(asked.text)
    found = _by_words(tx, who, asked, words, at, limit_ms)
    if found.total or found.is_partial:
        return found
    alike = _alike(tx, who.site_id, words)
    if not alike:
        return found
    forgiving = _by_words(tx, who, asked, [*words, *alike], at, limit_ms)
    # That there are words like these is told of those alone that the caller may see.
    return forgiving._replace(is_forgiving=True) if forgiving.total else found


def _alike(tx: Reader, site_id: int, words: Sequence[Word]) -> list[Word]:
    """Return alternatives to the words that were typed and are not negated: words of the site's texts one typing error
    away, each with the `group` of the typed word.

    There are at most MOST_ALIKE for each word. Those of a word of a script without spaces are instead the results of
    search_query.forgiving; such words get none where the results would have more than MOST_LETTERS letters in all.
    """
    typed = [word for word in words if not word.is_negated]
    found: list[Word] = []
    left = MOST_LETTERS
    for word in typed:
        # Three alternatives a letter, each nearly as long as the text.
        letters = 3 * len(word.text) ** 2
        if letters <= left and search_query.is_unspaced(word.text):
            left -= letters
            found += [Word(text, word.group) for text in search_query.forgiving(word.text)]
    spaced = [word for word in typed if not search_query.unspaced(word.text)]
    if spaced:
        texts = [word.text for word in spaced]
        rows = tx.rows(ALIKE, site_id=site_id, typed=texts, most=MOST_ALIKE)
        found += [Word(word, spaced[place - 1].group) for place, word in rows]
    return found


def suggest(tx: Reader, who: Viewer, typed: str, *, limit_ms: int) -> list[str]:
    """Return words of texts that the caller may read which complete `typed`, one typing error forgiven: at most
    SUGGESTED, first those without an error, then the most frequent; [] for none. Words that were not looked at within
    `limit_ms` are left out. Raises TooSlow if the database cancels the statement.
    """
    wanted = SearchScope(search_query.INDEXED, True, None, None).limited(who.kinds)
    rows = tx.rows(
        SUGGEST,
        site_id=who.site_id,
        me=who.me,
        typed=typed,
        kinds=wanted.kinds,
        parents=wanted.parents if wanted.with_comments else (),
        readable=who.listable.ids,
        ignored_items=who.ignored_items,
        ignored_people=who.ignored_people,
        most=2 * SUGGESTED,
        limit=SUGGESTED,
        limit_ms=limit_ms,
    )
    return list(dict.fromkeys(row[0] for row in rows))


def by_email(tx: Reader, who: Viewer, canonicals: Sequence[str], at: Paging) -> SearchResult:
    """Return the page `at` of the site's profiles whose e-mail address has one of these canonical forms
    (text/email_address.py), ordered by name. Only for the site's owner, which the caller checks.
    """
    rows = tx.rows(
        BY_EMAIL,
        site_id=who.site_id,
        me=who.me,
        ignored_people=who.ignored_people,
        canonicals=canonicals,
        limit=at.limit,
        offset=at.offset,
    )
    return _found(rows, ())


def _by_words(
    tx: Reader, who: Viewer, asked: ParsedSearch, words: Sequence[Word], at: Paging, limit_ms: int
) -> SearchResult:
    letters = [
        run for word in words if not word.is_negated for run in search_query.unspaced(word.text)
    ]
    rows = tx.rows(
        TEXT,
        words=[word.text for word in words],
        groups=[word.group for word in words],
        negated=[word.is_negated for word in words],
        tags=asked.hashtags,
        in_title=asked.in_title,
        literally=bool(letters),
        needle=letters[0].lower() if letters else "",
        ranked=RANKED,
        limit_ms=limit_ms,
        **filters(who, asked),
        **_page(at, MOST),
    )
    return _found(rows, letters)


def reach(at: Paging) -> int:
    """Return the number of matches to collect for the page `at` of a search without words: up to one beyond its end,
    but at least RANKED and at most MOST.
    """
    return min(MOST, max(RANKED, at.offset + at.limit + 1))


def _page(at: Paging, most: int) -> dict[str, int]:
    return {"most": most, "limit": at.limit, "offset": at.offset}


def filters(who: Viewer, asked: ParsedSearch) -> dict[str, Any]:
    """Return the parameters of statements by which viewer and filters of a search, not its words, decide what is found,
    by name: None for a filter that was not sent. `readable`: ids of microcosms, those that the viewer may list and that
    the search has not left out.
    """
    wanted = scope(asked).limited(who.kinds)
    readable: Sequence[int] = who.listable.ids
    if asked.forum_ids:
        inside = {
            below
            for id in asked.forum_ids
            if id in who.tree.nodes
            for below in who.tree.nodes[id].subtree
        }
        readable = [id for id in readable if id in inside]
    return {
        "site_id": who.site_id,
        "me": who.me,
        "kinds": wanted.kinds,
        "with_comments": wanted.with_comments,
        "parents": wanted.parents,
        "ids": wanted.ids,
        "readable": readable,
        # Things outside all microcosms are in none of those named.
        "everywhere": not asked.forum_ids,
        "ignored_items": who.ignored_items,
        "ignored_people": who.ignored_people,
        "author": asked.author_id or None,
        "since": asked.moment("since"),
        "until": asked.moment("until"),
        "starts_after": asked.moment("eventAfter"),
        "starts_before": asked.moment("eventBefore"),
        "attending": asked.attendee or None,
        "attached": bool(asked.has) or None,
        "following": asked.following or None,
        "ordering": asked.sort,
    }


def _found(rows: Sequence[Row], runs: Sequence[str]) -> SearchResult:
    hits = [_hit(row, runs) for row in rows if row[4] is not None]
    total, is_partial, is_more = rows[0][:3]
    return SearchResult(total, is_partial, is_more, hits, [hit.stamp for hit in hits])


def _hit(row: Row, runs: Sequence[str]) -> Hit:
    _, _, _, item_type, id, rank, modified, is_unread, mine, title, behind = row[:_HEAD]
    stub = row[_COMMENT:_PERSON]
    return Hit(
        item_type,
        id,
        rank,
        modified,
        is_unread,
        mine,
        _highlight(title, behind, runs),
        row[_HEAD:_TIMES],
        row[_TIMES:_COMMENT],
        CommentRow(*stub) if stub[0] is not None else None,
        *row[_PERSON:],
    )


# ---------------------------------------------------------------- highlights

_AROUND: Final = 30  # letters before the first word in a text without spaces
_SHOWN_LETTERS: Final = 120


def _highlight(title: str | None, behind: str | None, runs: Sequence[str]) -> str:
    """Return the excerpt that a hit shows, as HTML: of `title`, or of `behind` if words match in `behind` alone; of
    `title` if they match in neither; "" for `title` None. Matched words are in <b>; all else is escaped, so that a
    client may insert the excerpt (S-14).

    `title`: text of a comment, or title of another thing; `behind`: text that is indexed together with that title (a
    microcosm's description, a poll's question, an event's place), None for none. `runs`: the words of scripts without
    spaces that are searched for. With any, both texts are whole and unmarked, and are cut and marked here; without, the
    database has cut both to excerpts with the control characters _BEGIN and _END around matches.
    """
    if title is None:
        return ""
    if runs:
        title, behind = _mark(title, runs), behind and _mark(behind, runs)
    marked = behind if behind and _BEGIN not in title and _BEGIN in behind else title
    return escape(marked.translate(_ANGLES)).replace(_BEGIN, "<b>").replace(_END, "</b>")


def _mark(text: str, runs: Sequence[str]) -> str:
    """Return the part of a text around the first match of one of `runs` (the beginning, without a match), at most
    _SHOWN_LETTERS characters, with the control characters _BEGIN and _END around each match.
    """
    pattern = re.compile(
        "|".join(map(re.escape, sorted(runs, key=len, reverse=True))), re.IGNORECASE
    )
    first = pattern.search(text)
    start = max(0, first.start() - _AROUND) if first else 0
    return pattern.sub(
        lambda match: f"{_BEGIN}{match[0]}{_END}", text[start : start + _SHOWN_LETTERS]
    )


# ---------------------------------------------------------------- entries


class More(NamedTuple):
    """Data that entries show beside the hits, by id: `microcosms` among the hits, and `huddles` that are hits or hold a
    comment that is a hit; `unread`: ids of the microcosms among the hits with something unread.
    """

    microcosms: dict[int, ChildMicrocosm]
    unread: set[int]
    huddles: dict[int, huddle_page.HuddleRow]

    @property
    def stamp(self) -> Any:
        """Return values of which one differs whenever what entries show of these microcosms and huddles does, for the
        entity tag.
        """
        return (
            [tuple(child[:8]) for child in self.microcosms.values()],
            sorted(self.unread),
            [entry.stamp for entry in self.huddles.values()],
        )


def more(tx: Reader, who: Viewer, hits: Sequence[Hit]) -> More:
    """Read the microcosms among the hits, and the huddles among the hits or around their comments, as `who` sees them;
    without such hits no statement is run.
    """
    tops = [hit.id for hit in hits if hit.item_type == itemtypes.MICROCOSM]
    ignored = frozenset(who.ignored_items)
    found = {
        id: child._replace(latest=None) if child.latest and child.latest[0] in ignored else child
        for id, child in microcosm_summary.children(
            tx, who.site_id, who.tree, who.listable, tops
        ).items()
    }
    unread: set[int] = set()
    if tops and who.me:
        unread = microcosm_summary.unread(
            tx, who.site_id, who.me, who.ignored_items, who.tree, who.listable, tops
        )
    inside = {
        hit.item[0] for hit in hits if hit.item[0] is not None and hit.item[1] == itemtypes.HUDDLE
    }
    huddles: dict[int, huddle_page.HuddleRow] = {}
    if inside:
        huddles = huddle_page.some(
            tx, who.site_id, who.me, who.ignored_people, who.ignored_items, sorted(inside)
        )
    return More(found, unread, huddles)


def entries(
    tx: Reader, documents: Documents, who: Viewer, hits: Sequence[Hit], rest: More, site: bytes
) -> bytes:
    """Render the hits as a JSON array (discovery 8.7), in their order. A hit that is gone meanwhile is left out.
    `rest`: result of `more` for these hits; `site`: JSON document of the site.
    """
    people = item_summary.summary_people([hit.item for hit in hits])
    stubs = [hit.stub for hit in hits if hit.stub is not None]
    people |= comment_documents.profiles_of(stubs)
    people |= {hit.person_id: hit.person_version for hit in hits if hit.person_id}
    for child in rest.microcosms.values():
        people[child.author_id] = child.author_version
        if child.latest is not None:
            people |= item_summary.summary_people([child.latest])
    for entry in rest.huddles.values():
        people |= entry.people
    fetched = documents.fetch(
        tx,
        who.site_id,
        {
            comment_documents.SUMMARY: {stub.id: stub.version for stub in stubs},
            microcosm_summary.SUMMARY: {
                child.id: child.version for child in rest.microcosms.values()
            },
            profile_summary.SUMMARY: people,
        },
    )
    made = [_entry(hit, who, rest, fetched, site) for hit in hits]
    return b"[%b]" % b",".join([one for one in made if one is not None])


def _entry(hit: Hit, who: Viewer, rest: More, fetched: dict[Any, Any], site: bytes) -> bytes | None:
    people = fetched[profile_summary.SUMMARY]
    unread = hit.new is not None or (hit.id in rest.unread and hit.item_type == itemtypes.MICROCOSM)
    parent = b""
    if hit.stub is not None:
        above = hit.parent
        holder = _thing(above.type, above.id, hit, who, rest, fetched, site)
        if holder is None or hit.id not in fetched[comment_documents.SUMMARY]:
            return None
        shown: bytes | None = comment_documents.summary(
            fetched[comment_documents.SUMMARY][hit.id],
            hit.stub,
            people,
            comment_documents.parent_links(above),
            unread,
        )
        parent = b',"parentItemType":%b,"parentItem":%b' % (
            dumps(itemtypes.name_of(above.type)),
            holder,
        )
    else:
        shown = _thing(hit.item_type, hit.id, hit, who, rest, fetched, site)
    if shown is None:
        return None
    return b'{"itemType":%b,"item":%b%b,"unread":%b,"rank":%b,"lastModified":%b,"highlight":%b}' % (
        dumps(itemtypes.name_of(hit.item_type)),
        shown,
        parent,
        b"true" if unread else b"false",
        dumps(float(f"{hit.rank:.6g}")) if hit.rank else b"0",
        dumps(json_fragments.format_time(hit.modified)),
        dumps(hit.highlight),
    )


def _thing(
    kind: int, id: int, hit: Hit, who: Viewer, rest: More, fetched: dict[Any, Any], site: bytes
) -> bytes | None:
    """Render the summary of the thing `kind`, `id` as JSON: that of the hit itself, or of the item or profile of its
    comment; None if it is gone meanwhile. `fetched`: documents by kind and id; `rest`, `site`: as in `entries`.
    """
    people = fetched[profile_summary.SUMMARY]
    summary: bytes | None = None
    if kind == itemtypes.SITE:
        summary = site
    elif kind == itemtypes.PROFILE:
        summary = people[id][0] if id in people else None
    elif kind == itemtypes.HUDDLE:
        entry = rest.huddles.get(id)
        summary = huddle_page.summary(entry, people) if entry is not None else None
    elif kind == itemtypes.MICROCOSM:
        child, places_found = rest.microcosms.get(id), fetched[microcosm_summary.SUMMARY]
        if child is not None and id in places_found:
            summary = microcosm_summary.summary(
                places_found[id], child, people, who.tree, who.view, who.site_id, unread=None
            )
    else:
        summary = item_summary.summary(
            hit.item,
            hit.times,
            people,
            who.tree,
            who.view,
            unread=None,
            new=hit.new or 0,
            mine=hit.mine,
        )
    return summary


def viewer(
    site_id: int,
    me: int,
    tree: Tree,
    view: ReadableMicrocosms,
    ignored_microcosms: list[int],
    ignored_items: Sequence[int],
    ignored_people: Sequence[int],
    kinds: frozenset[int],
) -> Viewer:
    """Make the viewer of a search, the profile `me` (0: a guest).

    `view`: microcosms that this profile may read; `ignored_…`: ids of what it ignores; `kinds`: types of things that it
    may be shown.
    """
    listable = microcosm_links.visible(view, tree, ignored_microcosms)
    return Viewer(site_id, me, tree, view, listable, ignored_items, ignored_people, kinds)
