"""Writing of an import's comments, those in huddles too: texts are rendered as typed ones are, a batch at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.sites.site import Site
from forumapi.models.texts import text_rendering
from forumapi.models.texts.text_rendering import RenderedText
from forumapi.permissions.evaluator import Tree
from forumapi.porting.layout import PortedComment, PortedVersion, Unreadable
from forumapi.porting.loading import value_cleaning
from forumapi.porting.loading.imported_ids import ImportedThing, Origin, allocate
from forumapi.porting.loading.links import Key, OldLinks
from forumapi.porting.loading.people import ImportedPeople
from forumapi.text.render import RENDERER_VERSION

# Items of a batch with the number of their last comment, locked until its end, in the order that others lock them in.
LOCK_ITEMS = Query(
    "comments.lock_items",
    """
    SELECT i.item_id, i.last_seq, coalesce(i.microcosm_id, 0), i.created
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(ids)s::bigint[])
     ORDER BY i.item_id
       FOR NO KEY UPDATE""",
)
INSERT = Query(
    "comments.insert",
    """
    INSERT INTO comments (site_id, comment_id, item_id, on_profile_id, seq, in_reply_to, created, created_by, edited,
                          edited_by, revisions, is_deleted, is_moderated, by_agent, renderer, markdown, html)
    SELECT %(site_id)s, r.id, r.item_id, r.on_profile_id, r.seq, r.in_reply_to, r.created, r.created_by, r.edited,
           r.edited_by, r.revisions, r.is_deleted, r.is_moderated, r.by_agent, %(renderer)s, r.markdown, r.html
      FROM json_to_recordset(%(rows)s::json)
           AS r (id bigint, item_id bigint, on_profile_id bigint, seq integer, in_reply_to bigint, created timestamptz,
                 created_by bigint, edited timestamptz, edited_by bigint, revisions integer, is_deleted boolean,
                 is_moderated boolean, by_agent boolean, markdown text, html text)
     ORDER BY r.id""",
)
INSERT_REVISIONS = Query(
    "comments.insert_revisions",
    """
    INSERT INTO comment_revisions (site_id, comment_id, revision, markdown, created, created_by)
    SELECT %(site_id)s, r.comment_id, r.revision, r.markdown, r.created, r.created_by
      FROM json_to_recordset(%(rows)s::json)
           AS r (comment_id bigint, revision integer, markdown text, created timestamptz, created_by bigint)""",
)
# Nobody is notified of an imported mention, also not when the comment is edited.
INSERT_MENTIONS = Query(
    "comments.insert_mentions",
    """
    INSERT INTO comment_mentions (site_id, comment_id, profile_id, told)
    SELECT %(site_id)s, r.comment_id, r.profile_id, true
      FROM json_to_recordset(%(rows)s::json) AS r (comment_id bigint, profile_id bigint)
        ON CONFLICT DO NOTHING""",
)
INSERT_LINKS = Query(
    "comments.insert_links",
    """
    INSERT INTO link_uses (site_id, comment_id, revision, link_id)
    SELECT %(site_id)s, r.comment_id, r.revision, r.link_id
      FROM json_to_recordset(%(rows)s::json) AS r (comment_id bigint, revision integer, link_id bigint)
        ON CONFLICT DO NOTHING""",
)
SET_LAST_SEQ = Query(
    "comments.set_last_seq",
    """
    UPDATE items i
       SET last_seq = r.last_seq
      FROM json_to_recordset(%(rows)s::json) AS r (id bigint, last_seq integer)
     WHERE i.site_id = %(site_id)s AND i.item_id = r.id""",
)
PLACES = Query(
    "comments.places",
    """
    SELECT c.comment_id, coalesce(c.item_id, 0), coalesce(c.on_profile_id, 0)
      FROM comments c
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s::bigint[])""",
)
ACL_VERSION = Query(
    "comments.acl_version", "SELECT s.acl_version FROM sites s WHERE s.site_id = %(site_id)s"
)
# Comments whose text names something that came later: links and replies.
UNFINISHED = Query(
    "comments.unfinished",
    f"""
    SELECT i.old_id, i.item_id, i.detail
      FROM imported_items i
     WHERE i.site_id = %(site_id)s AND i.origin_id = %(origin_id)s AND i.item_type_id = {itemtypes.COMMENT}
       AND i.detail IS NOT NULL AND i.old_id > %(after)s
     ORDER BY i.old_id
     LIMIT %(limit)s""",
    unrestricted="for the operator who imports them",
)
TEXTS = Query(
    "comments.texts",
    """
    SELECT c.comment_id, c.markdown, c.item_id, c.on_profile_id, c.revisions, coalesce(i.microcosm_id, 0)
      FROM comments c
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s::bigint[])
       FOR NO KEY UPDATE OF c""",
)
FINISH = Query(
    "comments.finish",
    """
    UPDATE comments c
       SET markdown = r.markdown, html = r.html, version = c.version + 1
      FROM json_to_recordset(%(rows)s::json) AS r (id bigint, markdown text, html text)
     WHERE c.site_id = %(site_id)s AND c.comment_id = r.id""",
)
REPLY = Query(
    "comments.reply",
    """
    UPDATE comments c
       SET in_reply_to = a.comment_id, version = c.version + 1
      FROM json_to_recordset(%(rows)s::json) AS r (id bigint, answers bigint)
      JOIN comments a ON a.site_id = %(site_id)s AND a.comment_id = r.answers
     WHERE c.site_id = %(site_id)s AND c.comment_id = r.id AND c.in_reply_to IS NULL
       AND c.item_id IS NOT DISTINCT FROM a.item_id AND c.on_profile_id IS NOT DISTINCT FROM a.on_profile_id""",
)
DETAIL = Query(
    "comments.detail",
    f"""
    UPDATE imported_items i
       SET detail = NULL
     WHERE i.site_id = %(site_id)s AND i.origin_id = %(origin_id)s AND i.item_type_id = {itemtypes.COMMENT}
       AND i.old_id = ANY(%(old_ids)s::text[])""",
)

# State of comments that an earlier run wrote, locked.
STATES = Query(
    "comments.states",
    """
    SELECT c.comment_id, c.revisions, c.is_deleted, c.is_moderated, coalesce(c.item_id, 0),
           coalesce(c.on_profile_id, 0), c.seq, CASE WHEN c.item_id IS NULL THEN 0 ELSE i.microcosm_id END, c.created
      FROM comments c
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s::bigint[])
     ORDER BY c.comment_id
       FOR NO KEY UPDATE OF c""",
)
_OF_COMMENTS: Final = "t.site_id = %(site_id)s AND t.comment_id = ANY(%(ids)s::bigint[])"
FORGET_TEXTS: Final = (
    Query("comments.forget_revisions", f"DELETE FROM comment_revisions t WHERE {_OF_COMMENTS}"),
    Query("comments.forget_mentions", f"DELETE FROM comment_mentions t WHERE {_OF_COMMENTS}"),
    Query("comments.forget_links", f"DELETE FROM link_uses t WHERE {_OF_COMMENTS}"),
)
REPLACE = Query(
    "comments.replace",
    """
    UPDATE comments c
       SET markdown = r.markdown, html = r.html, renderer = %(renderer)s, revisions = r.revisions, edited = r.edited,
           edited_by = r.edited_by, is_deleted = r.is_deleted, is_moderated = r.is_moderated, version = c.version + 1
      FROM json_to_recordset(%(rows)s::json)
           AS r (id bigint, edited timestamptz, edited_by bigint, revisions integer, is_deleted boolean,
                 is_moderated boolean, markdown text, html text)
     WHERE c.site_id = %(site_id)s AND c.comment_id = r.id""",
)
NOTE_WRITTEN = Query(
    "comments.note_written",
    f"""
    UPDATE imported_items i
       SET written = r.written, detail = coalesce(nullif(r.unfinished, ''), i.detail)
      FROM json_to_recordset(%(rows)s::json) AS r (old_id text, written text, unfinished text)
     WHERE i.site_id = %(site_id)s AND i.origin_id = %(origin_id)s AND i.item_type_id = {itemtypes.COMMENT}
       AND i.old_id = r.old_id""",
)

# The older versions of a text that was rewritten a thousand times are no use to anybody.
MOST_REVISIONS: Final = 100
_EMPTY: Final = "…"
# Characters of a text beyond which a page with it would be of no use to anybody.
MAX_TEXT: Final = 1_000_000
TOO_LONG: Final = f"text: has more than {MAX_TEXT:,} characters"


class TextPlace(NamedTuple):
    """Item or profile that a comment is written on; the other id is 0. `microcosm_id`: the item's; None for a huddle, 0
    for a profile.
    """

    item_id: int
    on_profile_id: int
    microcosm_id: int | None


class NewText(NamedTuple):
    """Comment to be stored, on the thing `place`. `author_id`: profile here; `created`: ISO 8601; `versions`: oldest
    first; `answers`: old id of the comment that it answers, "" for none; `below`: line of Markdown to be put below the
    text, "" for none; `by_agent`: an agent wrote it in its author's name.
    """

    old_id: str
    place: TextPlace
    author_id: int
    created: str
    versions: tuple[PortedVersion, ...]
    answers: str = ""
    is_deleted: bool = False
    is_moderated: bool = False
    # Line below the text, in Markdown.
    below: str = ""
    by_agent: bool = False


class StoredText(NamedTuple):
    """Comment that was stored: its old id and its id here. `unfinished`: note of links and of an answer that
    `CommentWriter.finish` has to resolve, "" for none.
    """

    old_id: str
    id: int
    # Links and answers that are still to come.
    unfinished: str


class TextWriter:
    """Writer of one import's comments into the table of comments, on items, profiles and in huddles alike. `links`:
    rewriter of the old forum's links in the texts; `short_links`: address that codes of short links are appended to,
    ending in `/out/`.
    """

    def __init__(
        self,
        origin: Origin,
        site: Site,
        people: ImportedPeople,
        links: OldLinks,
        *,
        short_links: str,
    ) -> None:
        self._origin = origin
        self._site = site
        self._people = people
        self._links = links
        self._short_links = short_links
        self._tree: Tree | None = None

    def tree(self, tx: Reader) -> Tree:
        """Return the site's tree of microcosms and roles, loaded anew if the stored one has changed since the last
        call.
        """
        version = int(tx.value(ACL_VERSION, site_id=self._site.id))
        if self._tree is None or self._tree.acl_version != version:
            self._tree = load_tree(tx, self._site.id, version)
        return self._tree

    def write(
        self, tx: Transaction, texts: Sequence[NewText], answered: Mapping[str, int], *, waits: bool
    ) -> list[StoredText]:
        """Insert comments in this order, with their last 100 versions (MOST_REVISIONS), links and, except in huddles,
        mentions; return what was stored, in the same order. The items that the comments are written on are locked until
        the transaction ends. `answered`: ids here, by old id, of comments of earlier calls that these may answer. A
        text that answers a comment on another item or profile is stored as one that answers none.

        `waits` True: links `old:comment/<id>` to comments of the import that are not inserted yet stay as they are,
        until `finish`; False: such links are replaced by their words.
        """
        if not texts:
            return []
        origin = self._origin
        named = {
            key
            for one in texts
            for version in one.versions[-MOST_REVISIONS:]
            for key in self._links.named(version.text)
        }
        found = origin.find_items(tx, named)
        ids = allocate(tx, "comments_comment_id_seq", len(texts))
        later: frozenset[Key] = frozenset()
        if waits:
            found |= {
                ("comment", one.old_id): ImportedThing(itemtypes.COMMENT, id)
                for one, id in zip(texts, ids, strict=True)
            }
            later = frozenset(key for key in named if key[0] == "comment") - found.keys()
        answerable = self._placed(tx, answered)
        seqs = {
            row[0]: row[1]
            for row in tx.rows(
                LOCK_ITEMS,
                site_id=origin.site_id,
                ids=sorted({one.place.item_id for one in texts} - {0}),
            )
        }
        rendered, sources, mentions = self._rendered(tx, texts, found, later)
        rows: list[dict[str, Any]] = []
        revisions: list[dict[str, Any]] = []
        links: list[dict[str, Any]] = []
        stored: list[StoredText] = []
        mentioned: list[dict[str, Any]] = []
        for one, id, html, markdown, extra in zip(
            texts, ids, rendered, sources, mentions, strict=True
        ):
            place = one.place
            seq = 0
            if place.item_id:
                seq = seqs[place.item_id] = seqs[place.item_id] + 1
            versions = one.versions[-MOST_REVISIONS:]
            stands = (place.item_id, place.on_profile_id)
            answers = answerable.get((one.answers, *stands), 0) if one.answers else 0
            edited, editor = self._edited(one, versions)
            rows.append(
                {
                    "id": id,
                    "item_id": place.item_id or None,
                    "on_profile_id": place.on_profile_id or None,
                    "seq": seq,
                    "in_reply_to": answers or None,
                    "created": one.created,
                    "created_by": one.author_id,
                    "edited": edited,
                    "edited_by": editor,
                    "revisions": max(1, len(versions)),
                    "is_deleted": one.is_deleted,
                    "is_moderated": one.is_moderated,
                    "by_agent": one.by_agent,
                    "markdown": markdown,
                    "html": html.html,
                }
            )
            revisions += self._older(one, id, versions, found)
            links += [
                {"comment_id": id, "revision": max(1, len(versions)), "link_id": link_id}
                for link_id in html.link_ids
            ]
            if place.microcosm_id is not None:
                mentioned += [
                    {"comment_id": id, "profile_id": profile_id}
                    for profile_id in dict.fromkeys((*html.mentioned, *extra))
                ]
            answerable[one.old_id, *stands] = id
            stored.append(StoredText(one.old_id, id, self._unfinished(one, answers, later)))
        origin.run(tx, INSERT, rows, renderer=RENDERER_VERSION)
        origin.run(tx, INSERT_REVISIONS, revisions)
        origin.run(tx, INSERT_MENTIONS, mentioned)
        origin.run(tx, INSERT_LINKS, links)
        origin.run(
            tx, SET_LAST_SEQ, [{"id": id, "last_seq": last} for id, last in sorted(seqs.items())]
        )
        return stored

    def _placed(self, tx: Reader, answered: Mapping[str, int]) -> dict[tuple[str, int, int], int]:
        """Return the ids here of those comments `answered` (ids here by old id) that exist. Each is under a tuple: its
        old id, and the ids of the item and the profile that it is written on, one of which is 0.
        """
        if not answered:
            return {}
        rows = tx.rows(PLACES, site_id=self._origin.site_id, ids=sorted(answered.values()))
        places = {id: (item_id, profile_id) for id, item_id, profile_id in rows}
        return {(old, *places[id]): id for old, id in answered.items() if id in places}

    def replace(self, tx: Transaction, texts: Sequence[tuple[int, NewText]]) -> dict[int, str]:
        """Replace texts, revisions (of the last 100 versions, MOST_REVISIONS), mentions, and the flags deleted and
        moderated of stored comments, each given as a pair of its id here and its new text; the comment that each
        answers stays. Return by id here the note of what `CommentWriter.finish` has to resolve in it, "" for nothing.
        """
        if not texts:
            return {}
        origin = self._origin
        ids = [id for id, _ in texts]
        named = {
            key
            for _, one in texts
            for version in one.versions[-MOST_REVISIONS:]
            for key in self._links.named(version.text)
        }
        found = origin.find_items(tx, named)
        later = frozenset(key for key in named if key[0] == "comment") - found.keys()
        rendered = self._rendered(tx, [one for _, one in texts], found, later)
        rows, revisions, links, mentioned = [], [], [], []
        unfinished: dict[int, str] = {}
        for (id, one), html, markdown, extra in zip(texts, *rendered, strict=True):
            versions = one.versions[-MOST_REVISIONS:]
            edited, editor = self._edited(one, versions)
            count = max(1, len(versions))
            rows.append(
                {
                    "id": id,
                    "edited": edited,
                    "edited_by": editor,
                    "revisions": count,
                    "is_deleted": one.is_deleted,
                    "is_moderated": one.is_moderated,
                    "markdown": markdown,
                    "html": html.html,
                }
            )
            revisions += self._older(one, id, versions, found)
            links += [
                {"comment_id": id, "revision": count, "link_id": link_id}
                for link_id in html.link_ids
            ]
            if one.place.microcosm_id is not None:
                mentioned += [
                    {"comment_id": id, "profile_id": profile_id}
                    for profile_id in dict.fromkeys((*html.mentioned, *extra))
                ]
            unfinished[id] = self._unfinished(one, 0, later)
        for query in FORGET_TEXTS:
            tx.run(query, site_id=origin.site_id, ids=ids)
        origin.run(tx, REPLACE, rows, renderer=RENDERER_VERSION)
        origin.run(tx, INSERT_REVISIONS, revisions)
        origin.run(tx, INSERT_MENTIONS, mentioned)
        origin.run(tx, INSERT_LINKS, links)
        return unfinished

    def _rendered(
        self,
        tx: Reader,
        texts: Sequence[NewText],
        found: Mapping[Key, ImportedThing],
        later: frozenset[Key],
    ) -> tuple[list[RenderedText], list[str], list[tuple[int, ...]]]:
        """Return three lists in the order of `texts`: the HTML of each, its Markdown as it is stored, and the ids of
        profiles that its links `old:profile/<id>` mention.

        `found`: imported things by kind and old id, to which links lead; `later`: kinds and old ids of things that may
        still come.
        """
        sources, mentions = [], []
        for one in texts:
            last = one.versions[-1].text if one.versions else ""
            whole, named = self.source(last, one.below, found, later)
            sources.append(whole)
            mentions.append(named)
        rendered = text_rendering.render_many(
            tx,
            self._site,
            [(source, one.place.microcosm_id) for source, one in zip(sources, texts, strict=True)],
            self.tree(tx),
            short_links=self._short_links,
        )
        return rendered, sources, mentions

    def source(
        self,
        written: str,
        below: str,
        found: Mapping[Key, ImportedThing],
        later: frozenset[Key] = frozenset(),
    ) -> tuple[str, tuple[int, ...]]:
        """Return the Markdown of the old text `written` as it is stored, with `below` as its last line unless "", and
        the ids of profiles that its links `old:profile/<id>` mention. An empty text becomes "…".

        `found`: imported things by kind and old id, to which links lead; links to things in `later` (kind and old id)
        stay as they are.
        """
        whole, mentioned = self._links.rewrite(value_cleaning.plain(written), found, later=later)
        if not whole.strip():
            whole = _EMPTY
        return (f"{whole.rstrip()}\n\n{below}" if below else whole), mentioned

    def finish(self, tx: Transaction, ids: Sequence[int]) -> None:
        """Resolve links to comments that were inserted since, in the texts of the stored comments with these ids here,
        and render these texts again; links to comments that did not come are replaced by their words.
        """
        if not ids:
            return
        rows = tx.rows(TEXTS, site_id=self._origin.site_id, ids=list(ids))
        named = {key for row in rows for key in self._links.named(row[1])}
        found = self._origin.find_items(tx, named)
        sources, mentions = [], []
        for row in rows:
            whole, mentioned = self._links.rewrite(row[1], found)
            sources.append(whole)
            mentions.append(mentioned)
        rendered = text_rendering.render_many(
            tx,
            self._site,
            [(source, row[5]) for source, row in zip(sources, rows, strict=True)],
            self.tree(tx),
            short_links=self._short_links,
        )
        stored, links, told = [], [], []
        for row, source, html, extra in zip(rows, sources, rendered, mentions, strict=True):
            id, revision = row[0], row[4]
            stored.append({"id": id, "markdown": source, "html": html.html})
            links += [
                {"comment_id": id, "revision": revision, "link_id": link_id}
                for link_id in html.link_ids
            ]
            told += [
                {"comment_id": id, "profile_id": profile_id}
                for profile_id in dict.fromkeys((*html.mentioned, *extra))
            ]
        self._origin.run(tx, FINISH, stored)
        self._origin.run(tx, INSERT_MENTIONS, told)
        self._origin.run(tx, INSERT_LINKS, links)

    def _edited(self, one: NewText, versions: Sequence[PortedVersion]) -> tuple[str | None, int]:
        """Return time (ISO 8601) and editor's profile id of the last edit of the comment `one`, which has these
        `versions`; None and its author if it has never been edited.
        """
        if not versions:
            return None, one.author_id
        last = versions[-1]
        when = (
            value_cleaning.time(last.date_modified, value_cleaning.EPOCH)
            if last.date_modified
            else None
        )
        if len(versions) == 1 and (when is None or when == one.created):
            return None, one.author_id
        return when or one.created, self._people.id(last.editor) or one.author_id

    def _older(
        self,
        one: NewText,
        id: int,
        versions: Sequence[PortedVersion],
        found: Mapping[Key, ImportedThing],
    ) -> list[dict[str, Any]]:
        return [
            {
                "comment_id": id,
                "revision": number,
                "markdown": self.source(version.text, "", found)[0],
                "created": (
                    value_cleaning.time(version.date_modified, value_cleaning.EPOCH)
                    if version.date_modified
                    else one.created
                ),
                "created_by": self._people.id(version.editor) or one.author_id,
            }
            for number, version in enumerate(versions[:-1], 1)
        ]

    def _unfinished(self, one: NewText, answers: int, later: frozenset[Key]) -> str:
        """Return a note of what `CommentWriter.finish` has to resolve in the comment `one`: "links" and "answers:" with
        an old id, those that apply, with a space between; "" for nothing. `answers`: id here of the comment that it
        answers, 0 if that is not known; `later`: kinds and old ids of comments that may still come.
        """
        parts = []
        if later and one.versions and later & self._links.named(one.versions[-1].text):
            parts.append("links")
        if one.answers and not answers:
            parts.append(f"answers:{one.answers}")
        return " ".join(parts)


class CommentWriter:
    """Writer of an import's comments on items and profiles; those in huddles are HuddleWriter's. `polls`: id here and
    title of each conversation's poll, by the conversation's old id (`loader.polls_of`).
    """

    def __init__(
        self,
        origin: Origin,
        people: ImportedPeople,
        texts: TextWriter,
        polls: Mapping[str, tuple[int, str]],
    ) -> None:
        self._origin = origin
        self._people = people
        self._texts = texts
        self._polls = polls

    def insert(self, tx: Transaction, comments: Sequence[PortedComment]) -> list[Unreadable]:
        """Insert the comments that no earlier run has inserted, in this order, and replace those that changed in the
        source since, unless somebody changed them here. Return the comments left out, with reasons.
        """
        origin = self._origin
        wanted: list[Key] = [("comment", one.id) for one in comments]
        wanted += [(one.on_type, one.on_id) for one in comments if one.on_type != "profile"]
        wanted += [("comment", one.in_reply_to) for one in comments if one.in_reply_to]
        found = origin.find_items(tx, wanted)
        left: list[Unreadable] = []
        fresh: dict[str, PortedComment] = {}
        changed: dict[str, PortedComment] = {}
        for one in comments:
            if ("comment", one.id) in found or one.id in fresh:
                written = found["comment", one.id].written if one.id not in fresh else ""
                if written and written != written_note(one):
                    changed[one.id] = one
                continue
            if one.on_type == "profile":
                is_there = bool(self._people.id(one.on_id))
            else:
                is_there = (one.on_type, one.on_id) in found
            if is_too_long(one.versions):
                left.append(Unreadable(kind="comment", id=one.id, reason=TOO_LONG))
            elif is_there:
                fresh[one.id] = one
            else:
                reason = f"onId: {one.on_type} {one.on_id} did not come"
                left.append(Unreadable(kind="comment", id=one.id, reason=reason))
        self._people.ensure_authors(tx, ((one.author, one.author_name) for one in fresh.values()))
        items = {
            found[one.on_type, one.on_id].id for one in fresh.values() if one.on_type != "profile"
        }
        facts = {
            row[0]: row[1:]
            for row in tx.rows(LOCK_ITEMS, site_id=origin.site_id, ids=sorted(items))
        }
        begun = {id for id, (last_seq, *_) in facts.items() if last_seq}
        texts = []
        for one in fresh.values():
            if one.on_type == "profile":
                place = TextPlace(0, self._people.id(one.on_id), 0)
                fallback = value_cleaning.EPOCH
                below = ""
            else:
                id = found[one.on_type, one.on_id].id
                _, microcosm_id, fallback = facts[id]
                place = TextPlace(id, 0, microcosm_id)
                below = "" if id in begun else self.below(one)
                begun.add(id)
            texts.append(
                NewText(
                    one.id,
                    place,
                    self._people.author(one.author, one.author_name),
                    value_cleaning.time(one.date_created, fallback),
                    one.versions,
                    one.in_reply_to,
                    one.is_deleted,
                    one.is_moderated,
                    below,
                    one.by_agent,
                )
            )
        answered = {
            one.in_reply_to: found["comment", one.in_reply_to].id
            for one in fresh.values()
            if ("comment", one.in_reply_to) in found
        }
        stored = self._texts.write(tx, texts, answered, waits=True)
        origin.remember(
            tx,
            [(itemtypes.COMMENT, one.old_id, one.id, one.unfinished) for one in stored],
            {id: written_note(one) for id, one in fresh.items()},
        )
        self._replace(tx, {id: (found["comment", id], one) for id, one in changed.items()})
        return left

    def _replace(
        self, tx: Transaction, changed: Mapping[str, tuple[ImportedThing, PortedComment]]
    ) -> None:
        """Replace the comments that changed in the source since an earlier run wrote them, but for those that were
        changed here since, are gone here, or have become too long. `changed`: by old id, the comment as it is stored
        and as it is in the source.
        """
        if not changed:
            return
        states = {
            row[0]: row[1:]
            for row in tx.rows(
                STATES,
                site_id=self._origin.site_id,
                ids=[thing.id for thing, _ in changed.values()],
            )
        }
        texts: list[tuple[int, NewText]] = []
        for thing, one in changed.values():
            state = states.get(thing.id)
            if state is None or is_too_long(one.versions):
                continue
            (
                revisions,
                is_deleted,
                is_moderated,
                item_id,
                on_profile_id,
                seq,
                microcosm_id,
                created,
            ) = state
            if not thing.written.startswith(f"{revisions} {is_deleted:d} {is_moderated:d} "):
                continue
            text = NewText(
                one.id,
                TextPlace(item_id, on_profile_id, microcosm_id),
                self._people.author(one.author, one.author_name),
                created.isoformat(),
                one.versions,
                is_deleted=one.is_deleted,
                is_moderated=one.is_moderated,
                below=self.below(one) if seq == 1 else "",
            )
            texts.append((thing.id, text))
        unfinished = self._texts.replace(tx, texts)
        self._origin.run(
            tx,
            NOTE_WRITTEN,
            [
                {
                    "old_id": value_cleaning.old_id(text.old_id),
                    "written": written_note(changed[text.old_id][1]),
                    "unfinished": unfinished[id],
                }
                for id, text in texts
            ],
        )

    def below(self, first: PortedComment) -> str:
        """Return the line of Markdown, a link to the conversation's poll, that is put below the conversation's `first`
        comment; "" without a poll, and for a comment on anything else.
        """
        poll = self._polls.get(first.on_id) if first.on_type == "conversation" else None
        return f"[{poll[1]}](/polls/{poll[0]}/)" if poll else ""

    def finish(self, tx: Transaction, after: str, limit: int) -> str | None:
        """Resolve links and answers to comments inserted later, in up to `limit` comments that wait for it, by
        ascending old id after `after` (exclusive; "" for the first call). Links to comments that did not come are
        replaced by their words, and a comment that answers one of these stays stored as answering none.

        Return the last one's old id, to be passed as `after` of the next call; None if there was none left.
        """
        origin = self._origin
        rows = tx.rows(
            UNFINISHED, site_id=origin.site_id, origin_id=origin.id, after=after, limit=limit
        )
        if not rows:
            return None
        answers = {
            id: part.removeprefix("answers:")
            for _, id, detail in rows
            for part in detail.split(" ")
            if part.startswith("answers:")
        }
        linking = [id for _, id, detail in rows if "links" in detail.split(" ")]
        found = origin.find_items(tx, [("comment", old) for old in answers.values()])
        origin.run(
            tx,
            REPLY,
            [
                {"id": id, "answers": found["comment", old].id}
                for id, old in answers.items()
                if ("comment", old) in found
            ],
        )
        self._texts.finish(tx, linking)
        tx.run(
            DETAIL,
            site_id=origin.site_id,
            origin_id=origin.id,
            old_ids=[old for old, _, _ in rows],
        )
        return str(rows[-1][0])


def written_note(comment: PortedComment) -> str:
    """Return a note of what a run writes of a comment: number of revisions, 1 or 0 for deleted, 1 or 0 for moderated,
    and a digest of all texts and their editors. While the comment here has that number and state, nobody has changed it
    here.
    """
    revisions = max(1, len(comment.versions[-MOST_REVISIONS:]))
    texts = msgspec.json.encode([(one.editor, one.text) for one in comment.versions])
    digest = hashlib.sha256(texts).hexdigest()[:16]
    return f"{revisions} {comment.is_deleted:d} {comment.is_moderated:d} {digest}"


def is_too_long(versions: Sequence[PortedVersion]) -> bool:
    """Return True if one of the versions has more than 1,000,000 characters, so that the comment is left out."""
    return any(len(version.text) > MAX_TEXT for version in versions)
