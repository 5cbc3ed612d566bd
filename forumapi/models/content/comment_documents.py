"""Comments as they are shown: cached documents, summaries, one comment in detail (content 7). item_page.py and
huddle_page.py read the lists of comments.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query, Replica, Row
from forumapi.models.content import attachment, reaction
from forumapi.models.pages.document_reader import Documents, Kind, Loaded
from forumapi.models.people import profile_summary
from forumapi.models.trust import latest_statement_link
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import PermissionSet, Principal, Target, Tree
from forumapi.text.render import RENDERER_VERSION
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment, Hole, dumps

# ---------------------------------------------------------------- documents

LOAD = Query(
    "comment_documents.load",
    f"""
    SELECT c.comment_id, c.version, coalesce(i.item_type_id, {itemtypes.PROFILE}::smallint),
           coalesce(c.item_id, c.on_profile_id), c.revisions, coalesce(c.in_reply_to, 0), c.attachments,
           c.markdown, c.html, c.created, c.edited, c.is_deleted, c.is_moderated, c.renderer,
           CASE WHEN c.item_id IS NULL THEN 0 ELSE i.microcosm_id END, c.by_agent, {attachment.OF_COMMENT.strip()}
      FROM comments c
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s)""",
    replica=Replica.ACKNOWLEDGED,
)


# Shown for a source of which nothing is left, such as a lone script element (content 7.6).
NOTHING: Final = "<p>This comment has nothing that can be shown.</p>\n"


def _document(row: Row, *, is_detail: bool) -> Fragment:
    """Render a row of LOAD as the document of a comment, with the holes author, editor, unread and links, and
    `reactions` in a summary; in a detail with the holes thread and permissions in place of `reactions`.
    """
    (
        comment_id,
        _,
        parent_type,
        parent_id,
        revisions,
        in_reply_to,
        attachments,
        markdown,
        html,
        created,
        edited,
        is_deleted,
        is_moderated,
        _,
        _,
        by_agent,
        files,
    ) = row
    data: dict[str, Any] = {
        "id": comment_id,
        "itemType": itemtypes.name_of(parent_type),
        "itemId": parent_id,
        "revisions": revisions,
    }
    if in_reply_to or is_detail:
        data["inReplyTo"] = in_reply_to
    if attachments or is_detail:
        data["attachments"] = attachments
    if is_detail:
        data["firstLine"] = ""
    data["markdown"] = markdown
    data["html"] = html or NOTHING
    meta: dict[str, Any] = {json_fragments.OPTIONAL: Hole("thread")} if is_detail else {}
    meta |= {"created": json_fragments.format_time(created), "createdBy": Hole("author")}
    if by_agent:
        meta["byAgent"] = True
    if edited is not None:
        meta["edited"] = json_fragments.format_time(edited)
    meta["editedBy"] = Hole("editor")
    meta["flags"] = {
        "deleted": is_deleted,
        "moderated": is_moderated,
        "visible": not is_deleted and not is_moderated,
        "unread": Hole("unread"),
    }
    meta["links"] = [
        {"rel": "self", "href": itemtypes.href(itemtypes.COMMENT, comment_id)},
        Hole("links"),
    ]
    if files:
        meta["attachments"] = attachment.of_comment(files)
    if is_detail:
        # Reactions follow the permissions, inside the same hole.
        meta["permissions"] = Hole("permissions")
    else:
        meta[json_fragments.OPTIONAL] = Hole("reactions")
    data["meta"] = meta
    return json_fragments.encode(data)


def _load(
    documents: Documents, tx: Reader, site_id: int, ids: list[int], *, is_detail: bool
) -> Loaded:
    for row in tx.rows(LOAD, site_id=site_id, ids=ids):
        if row[_RENDERER] != RENDERER_VERSION:
            version, html = documents.rerender(tx, site_id, row[_MICROCOSM], row[0], row[_MARKDOWN])
            row = (row[0], version, *row[2 : _MARKDOWN + 1], html, *row[_MARKDOWN + 2 :])
        document = _document(row, is_detail=is_detail)
        assert is_detail or document[1::2] == _SUMMARY_HOLES
        yield row[0], row[1], document


def _load_summaries(documents: Documents, tx: Reader, site_id: int, ids: list[int]) -> Loaded:
    return _load(documents, tx, site_id, ids, is_detail=False)


def _load_details(documents: Documents, tx: Reader, site_id: int, ids: list[int]) -> Loaded:
    return _load(documents, tx, site_id, ids, is_detail=True)


# The order that `summary` fills a summary's holes in.
_SUMMARY_HOLES: Final = (b"author", b"editor", b"unread", b"links", b"reactions")

# Places in LOAD's rows.
_MARKDOWN: Final = 7
_RENDERER: Final = 13
_MICROCOSM: Final = 14

SUMMARY: Final = Kind("comment/6", _load_summaries)
DETAIL: Final = Kind("comment.detail/6", _load_details)


# ---------------------------------------------------------------- rows of page statements


class CommentRow(NamedTuple):
    """Row of a comment in a page statement: ids and versions of all that its summary shows.

    Fields are in the order of COLUMNS. `editor_id`: profile that wrote the current revision, of an unedited comment the
    author. `is_unread`: the viewer has not read the comment. `in_reply_to` is 0 for no reply; `reply_author_id` and
    `reply_author_name`, of the comment replied to, are 0 and "" unless that comment is neither deleted nor moderated
    and has the same parent; the name is HTML-escaped. `reactions`: JSON, number by name of the reaction; None without
    any.
    """

    id: int
    version: int
    author_id: int
    author_version: int
    editor_id: int
    editor_version: int
    is_unread: bool
    in_reply_to: int
    reply_author_id: int
    reply_author_name: str
    reactions: str | None  # how many of each, as JSON


# SQL: the columns of CommentRow for a comment `c`; `unread` is an expression, true if the viewer has not read `c`.
COLUMNS: Final = """
           c.comment_id, c.version, c.created_by, ca.version, c.edited_by, coalesce(ce.version, ca.version),
           {unread}, coalesce(c.in_reply_to, 0), coalesce(rp.profile_id, 0), coalesce(rp.profile_name, ''),
           c.reactions::text"""
JOINS: Final = """
      JOIN profiles ca ON ca.site_id = c.site_id AND ca.profile_id = c.created_by
      LEFT JOIN profiles ce ON ce.site_id = c.site_id AND ce.profile_id = nullif(c.edited_by, c.created_by)
      LEFT JOIN comments rc ON rc.site_id = c.site_id AND rc.comment_id = c.in_reply_to AND NOT rc.is_deleted
                           AND NOT rc.is_moderated AND rc.item_id IS NOT DISTINCT FROM c.item_id
                           AND rc.on_profile_id IS NOT DISTINCT FROM c.on_profile_id
      LEFT JOIN profiles rp ON rp.site_id = rc.site_id AND rp.profile_id = rc.created_by"""
WIDTH: Final = 11


class ParentLink(NamedTuple):
    """Item or profile that a comment stands on, as the comment's links show it. `type`: its item type, as a number;
    `title`: HTML-escaped, "" leaves the link without a title.
    """

    type: int
    id: int
    title: str  # "" leaves the title out


def parent_links(parent: ParentLink) -> bytes:
    """Return the two links of a comment to its parent, as entries of a JSON array without brackets (content 7.3). Their
    relations are the name of the parent's type, such as `conversation`, and `up`.
    """
    link: dict[str, Any] = {
        "rel": itemtypes.name_of(parent.type),
        "href": itemtypes.href(parent.type, parent.id),
    }
    if parent.title:
        link["title"] = parent.title
    return b"%b,%b" % (dumps(link), dumps({**link, "rel": "up"}))


def _links(parent: bytes, row: CommentRow) -> bytes:
    if not row.reply_author_id:
        return parent
    return b'%b,{"rel":"inReplyTo","href":"/api/v1/comments/%d"},%b' % (
        parent,
        row.in_reply_to,
        dumps(
            {
                "rel": "inReplyToAuthor",
                "href": itemtypes.href(itemtypes.PROFILE, row.reply_author_id),
                "title": row.reply_author_name,
            }
        ),
    )


def profiles_of(rows: Iterable[CommentRow]) -> dict[int, int]:
    """Return the versions of the authors and editors of comments, by profile id."""
    versions: dict[int, int] = {}
    for row in rows:
        versions[row.author_id] = row.author_version
        versions[row.editor_id] = row.editor_version
    return versions


class CommentRights(NamedTuple):
    """Rights of the viewer, the profile `me`, on comments of one item or profile: `own` on the viewer's own comments,
    `others` on all others; and the viewer's marks: `reacted`, names of reactions by comment id, and `bookmarked`, ids
    of comments.
    """

    me: int
    own: PermissionSet
    others: PermissionSet
    reacted: Mapping[int, Sequence[str]]  # by comment
    bookmarked: Collection[int]

    @classmethod
    def of(
        cls,
        principal: Principal,
        parent: Target,
        tree: Tree,
        reacted: Mapping[int, Sequence[str]],
        bookmarked: Collection[int],
    ) -> CommentRights | None:
        """Return the rights of `principal` on comments of `parent`, an item or profile, with the given marks; None for
        a guest, to whom summaries show no rights.
        """
        if not principal.profile_id:
            return None
        own, others = (
            evaluator.effective(
                principal,
                Target(
                    itemtypes.COMMENT,
                    0,
                    parent.microcosm_id,
                    owners,
                    parent_type=parent.item_type,
                    is_participant=parent.is_participant,
                ),
                tree,
            )
            for owners in ((principal.profile_id,), ())
        )
        return cls(principal.profile_id, own, others, reacted, bookmarked)

    def stamp(self, rows: Iterable[CommentRow]) -> Any:
        """Return all values on which the results of the method `members` for these rows depend, for the entity tag."""
        mine = [row.author_id == self.me for row in rows]
        return self.own, self.others, mine, sorted(self.reacted.items()), sorted(self.bookmarked)

    def members(self, row: CommentRow) -> bytes:
        """Render, as JSON with a leading comma, the members of a comment's `meta` that depend on the viewer: `reacted`,
        names of the viewer's reactions, only if there are any; `bookmarked`, only if the viewer has a bookmark; and
        `permissions`.
        """
        can = evaluator.as_json(self.own if row.author_id == self.me else self.others)
        names = self.reacted.get(row.id)
        reacted = b',"reacted":%b' % dumps(names) if names else b""
        bookmarked = b',"bookmarked":true' if row.id in self.bookmarked else b""
        return b'%b%b,"permissions":%b' % (reacted, bookmarked, can)


def summary(
    fragment: Fragment,
    row: CommentRow,
    people: dict[int, Fragment],
    links: bytes,
    unread: bool,
    rights: CommentRights | None = None,
) -> bytes:
    """Render the summary of a comment as JSON.

    `fragment`: the comment's document, split at its holes; `people`: documents of author and editor by profile id;
    `links`: result of `parent_links`; `unread`: the flag shown; `rights` None: the members that depend on the viewer
    are left out.
    """
    before, _, after_author, _, after_editor, _, after_unread, _, after_links, _, end = fragment
    return b"".join(
        (
            before,
            people[row.author_id][0],
            after_author,
            people[row.editor_id][0],
            after_editor,
            b"true" if unread else b"false",
            after_unread,
            _links(links, row),
            after_links,
            reaction.shown(row.reactions),
            rights.members(row) if rights else b"",
            end,
        )
    )


def summaries(
    texts: dict[int, Fragment],
    rows: Sequence[CommentRow],
    people: dict[int, Fragment],
    parent: ParentLink,
    unread: Sequence[bool],
    rights: CommentRights | None = None,
) -> bytes:
    """Render comments of one `parent` as a JSON array (content 7.5), in the order of `rows`. `texts`: documents by
    comment id; `people`: documents of authors and editors by profile id; a comment that lacks one of these is skipped.
    `unread`: the flag shown for each row, in the same order; `rights` as in `summary`.
    """
    links = parent_links(parent)
    return b"[%b]" % b",".join(
        [
            summary(texts[row.id], row, people, links, is_unread, rights)
            for row, is_unread in zip(rows, unread, strict=True)
            if row.id in texts and row.author_id in people and row.editor_id in people
        ]
    )


BY_IDS = Query(
    "comment_documents.by_ids",
    f"""
    SELECT {COLUMNS.format(unread="false")}, coalesce(i.item_type_id, {itemtypes.PROFILE}::smallint),
           coalesce(c.item_id, c.on_profile_id), coalesce(i.title, pp.profile_name, '')
      FROM comments c {JOINS}
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
      LEFT JOIN profiles pp ON pp.site_id = c.site_id AND pp.profile_id = c.on_profile_id
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s)""",
)


def by_ids(tx: Reader, documents: Documents, site_id: int, ids: Sequence[int]) -> dict[int, bytes]:
    """Return summaries of comments as JSON, hidden comments too, by comment id; `unread` is false, and no member
    depends on the viewer. Unknown ids are left out. The caller checks permission.
    """
    if not ids:
        return {}
    rows = {
        CommentRow(*row[:WIDTH]): ParentLink(*row[WIDTH:])
        for row in tx.rows(BY_IDS, site_id=site_id, ids=list(ids))
    }
    fetched = documents.fetch(
        tx,
        site_id,
        {
            SUMMARY: {row.id: row.version for row in rows},
            profile_summary.SUMMARY: profiles_of(rows),
        },
    )
    texts, people = fetched[SUMMARY], fetched[profile_summary.SUMMARY]
    return {
        row.id: summary(texts[row.id], row, people, parent_links(parent), False)
        for row, parent in rows.items()
        if row.id in texts
    }


# ---------------------------------------------------------------- one comment, in detail

# SQL: an item `i` is no huddle, or `me` participates in it. For others a huddle and its comments don't exist.
HUDDLE_ACCESS: Final = f"""(i.item_type_id IS DISTINCT FROM {itemtypes.HUDDLE}
                    OR EXISTS (SELECT 1 FROM huddle_participants h
                                WHERE h.site_id = i.site_id AND h.item_id = i.item_id AND h.profile_id = %(me)s))"""

# The comment itself (kind 0), the comment that it replies to (1) and its replies (2), each with the columns of a
# summary; and of the first what permission, parent and read mark need. Comments that a split has moved elsewhere are
# left out: the viewer's permission is checked where the comment itself is.
PAGE = Query(
    "comment_documents.page",
    f"""
    WITH one AS (
        SELECT c.*, i.item_type_id, i.microcosm_id, i.title, i.is_deleted OR i.is_moderated AS parent_hidden,
               greatest(r.read_at, mr.read_at,
                        CASE i.item_type_id WHEN {
        itemtypes.HUDDLE
    } THEN me.huddles_read_at ELSE me.all_read_at END,
                        '-infinity'::timestamptz) AS read_time,
               i.item_type_id = {itemtypes.HUDDLE} AS is_participant
          FROM comments c
          LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
          LEFT JOIN profiles me ON me.site_id = c.site_id AND me.profile_id = %(me)s
          LEFT JOIN read_marks r ON r.site_id = c.site_id AND r.profile_id = %(me)s
                                AND r.item_type_id = i.item_type_id AND r.item_id = i.item_id
          LEFT JOIN read_marks mr ON mr.site_id = c.site_id AND mr.profile_id = %(me)s
                                 AND mr.item_type_id = {
        itemtypes.MICROCOSM
    } AND mr.item_id = i.microcosm_id
         WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s
           AND {HUDDLE_ACCESS.replace("%(me)s", "%(participant)s")}),
    found AS (
        SELECT 0 AS kind, one.comment_id FROM one
         UNION ALL
        SELECT 1, p.comment_id FROM one
          JOIN comments p ON p.site_id = one.site_id AND p.comment_id = one.in_reply_to AND NOT p.is_deleted
                         AND NOT p.is_moderated AND p.item_id IS NOT DISTINCT FROM one.item_id
                         AND p.on_profile_id IS NOT DISTINCT FROM one.on_profile_id
         UNION ALL
        (SELECT 2, a.comment_id FROM one
           JOIN comments a ON a.site_id = one.site_id AND a.in_reply_to = one.comment_id AND NOT a.is_deleted
                          AND NOT a.is_moderated AND a.created_by <> ALL(%(ignored)s::bigint[])
                          AND a.item_id IS NOT DISTINCT FROM one.item_id
                          AND a.on_profile_id IS NOT DISTINCT FROM one.on_profile_id
          ORDER BY a.comment_id LIMIT 250))
    SELECT {COLUMNS.format(unread="f.kind = 0 AND %(me)s <> 0 AND c.created > one.read_time")},
           f.kind, coalesce(one.item_type_id, {
        itemtypes.PROFILE
    }::smallint), coalesce(one.item_id, one.on_profile_id),
           coalesce(one.microcosm_id, 0), coalesce(one.title, pp.profile_name, ''),
           coalesce(one.parent_hidden, false), one.is_deleted, one.is_moderated, coalesce(one.is_participant, false),
           one.revisions,
           CASE WHEN f.kind = 0 AND one.item_id IS NOT NULL THEN
                one.seq - (SELECT count(*) FROM comments h WHERE h.site_id = one.site_id AND h.item_id = one.item_id
                              AND h.seq <= one.seq AND (h.is_deleted OR h.is_moderated))
                        - (SELECT count(*) FROM comments h WHERE h.site_id = one.site_id AND h.item_id = one.item_id
                              AND h.seq <= one.seq AND NOT h.is_deleted AND NOT h.is_moderated
                              AND h.created_by = ANY(%(ignored)s::bigint[]) AND %(ignored)s::bigint[] <> '{{}}')
                ELSE 1 END,
           CASE WHEN f.kind = 0 AND one.created_by = %(me)s AND (one.is_deleted OR one.is_moderated) THEN {
        latest_statement_link.LATEST.format(
            site="one.site_id", item_type=itemtypes.COMMENT, item="one.comment_id"
        ).strip()
    } END
      FROM one
      CROSS JOIN found f
      JOIN comments c ON c.site_id = one.site_id AND c.comment_id = f.comment_id
      {JOINS}
      LEFT JOIN profiles pp ON pp.site_id = one.site_id AND pp.profile_id = one.on_profile_id
     ORDER BY f.kind, c.comment_id""",
    replica=Replica.ALL,
)


class CommentPage(NamedTuple):
    """Comment with the comment that it replies to and its oldest 250 replies, oldest first, without replies that are
    hidden or moved elsewhere.

    `replied_to` None: no reply, or to a comment that is hidden or moved elsewhere; `microcosm_id`: that of the item, 0
    for a huddle or profile; `parent_hidden`: the item is deleted or moderated; `is_participant`: the viewer
    participates in the huddle that the comment is in; `revisions`: number of the comment's revisions; `position`: place
    of the comment among those of the item that the viewer sees, from 1 on; on a profile always 1; `statement_id`: the
    latest statement of reasons for hiding the comment, None if it isn't hidden, there is none, or the viewer is not its
    author; `stamp`: all rows, for the entity tag.
    """

    comment: CommentRow
    replied_to: CommentRow | None
    replies: list[CommentRow]
    parent: ParentLink
    microcosm_id: int
    parent_hidden: bool  # the item itself is deleted or moderated
    is_deleted: bool
    is_moderated: bool
    is_participant: bool
    revisions: int
    position: int  # 1-based, among what the viewer sees
    statement_id: int | None  # of reasons why it is hidden, for its author alone
    stamp: Any


def page(
    tx: Reader, site_id: int, id: int, principal: Principal, ignored: Sequence[int]
) -> CommentPage | None:
    """Read a comment, hidden or not, without replies of the profiles `ignored`; None if it never existed here, or is in
    a huddle in which `principal` does not participate. The caller checks permission.
    """
    rows = tx.rows(
        PAGE,
        site_id=site_id,
        id=id,
        me=principal.profile_id,
        participant=principal.participant_id,
        ignored=ignored,
    )
    if not rows:
        return None
    first = rows[0]
    parent_type, parent_id, microcosm_id, title, *rest = first[WIDTH + 1 :]
    by_kind: dict[int, list[CommentRow]] = {0: [], 1: [], 2: []}
    for row in rows:
        by_kind[row[WIDTH]].append(CommentRow(*row[:WIDTH]))
    replied_to = by_kind[1][0] if by_kind[1] else None
    parent = ParentLink(parent_type, parent_id, title)
    return CommentPage._make(
        (by_kind[0][0], replied_to, by_kind[2], parent, microcosm_id, *rest, rows)
    )


def detail(
    tx: Reader,
    documents: Documents,
    site_id: int,
    page: CommentPage,
    page_href: str,
    permissions: bytes,
) -> bytes:
    """Render the detail of a comment as JSON (content 7.4), with `unread` false for all comments in it. `page_href`:
    address of the page of the item or profile on which the comment is; `permissions`: JSON of the viewer's permissions
    on the comment.
    """
    others = [*([page.replied_to] if page.replied_to else []), *page.replies]
    fetched = documents.fetch(
        tx,
        site_id,
        {
            DETAIL: {page.comment.id: page.comment.version},
            SUMMARY: {row.id: row.version for row in others},
            profile_summary.SUMMARY: profiles_of([page.comment, *others]),
        },
    )
    people = fetched[profile_summary.SUMMARY]
    links = parent_links(page.parent)
    known = fetched[SUMMARY]
    thread = b""
    if page.replied_to is not None and page.replied_to.id in known:
        replied_to = summary(known[page.replied_to.id], page.replied_to, people, links, False)
        thread += b'"inReplyTo":%b,' % replied_to
    if page.replies:
        unread = [False] * len(page.replies)
        thread += b'"replies":%b,' % summaries(known, page.replies, people, page.parent, unread)
    return json_fragments.fill(
        fetched[DETAIL][page.comment.id],
        {
            b"author": people[page.comment.author_id][0],
            b"editor": people[page.comment.editor_id][0],
            b"unread": b"false",
            b"thread": thread,
            b"links": b",".join(
                (
                    _links(links, page.comment),
                    dumps({"rel": "commentPage", "href": page_href}),
                    *(
                        [dumps(latest_statement_link.link(page.statement_id))]
                        if page.statement_id
                        else ()
                    ),
                )
            ),
            b"permissions": permissions + reaction.shown(page.comment.reactions),
        },
    )
