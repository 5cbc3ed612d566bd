"""Pages of comments: cached documents, summaries, one comment in detail (content 7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import (
    Query,
    Reader,
    Replica,
    Row,
)
from forumapi.models.content import attachment, reaction
from forumapi.models.pages.documents import Documents, Kind, Loaded
from forumapi.models.people import profile
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import (
    PermissionSet,
    Principal,
    Target,
    Tree,
)
from forumapi.text.render import RENDERER_VERSION
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment, Hole, dumps

# ---------------------------------------------------------------- documents

LOAD = Query(
    "comment_page.load",
    f"""
    SELECT c.comment_id, c.version, coalesce(i.item_type_id, 3::smallint), coalesce(c.item_id, c.on_profile_id),
           c.revisions, coalesce(c.in_reply_to, 0), c.attachments, c.markdown, c.html, c.created, c.edited,
           c.is_deleted, c.is_moderated, c.renderer,
           CASE WHEN c.item_id IS NULL THEN 0 ELSE i.microcosm_id END, {attachment.OF_COMMENT.strip()}
      FROM comments c
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s)""",
    replica=Replica.ACKNOWLEDGED,
)


# Shown for a source of which nothing is left, such as a lone script element (content 7.6).
NOTHING: Final = "<p>This comment has nothing that can be shown.</p>\n"


def _document(row: Row, *, is_detail: bool) -> Fragment:
    """A comment with the holes author, editor, unread, links, reactions; a detail has also thread and permissions."""
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
    meta |= {"created": json_fragments.when(created), "createdBy": Hole("author")}
    if edited is not None:
        meta["edited"] = json_fragments.when(edited)
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

SUMMARY: Final = Kind("comment/4", _load_summaries)
DETAIL: Final = Kind("comment.detail/4", _load_details)


# ---------------------------------------------------------------- what a page statement returns of a comment


class Stub(NamedTuple):
    """A comment as page statements return it: ids and versions of what it shows, and the viewer's flag.

    In the order of COLUMNS. `reply_author_id` is 0 unless the comment replied to is live and in the same parent.
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


# Of a comment `c`; `unread` must be in scope as the time up to which the viewer has read.
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


class Parent(NamedTuple):
    """What a comment hangs on, as its links show it."""

    type: int
    id: int
    title: str  # "" leaves the title out


def parent_links(parent: Parent) -> bytes:
    """The links `<type>` and `up` of a comment, as list entries with a leading comma (content 7.3)."""
    link: dict[str, Any] = {
        "rel": itemtypes.name_of(parent.type),
        "href": itemtypes.href(parent.type, parent.id),
    }
    if parent.title:
        link["title"] = parent.title
    return b"%b,%b" % (dumps(link), dumps({**link, "rel": "up"}))


def _links(parent: bytes, stub: Stub) -> bytes:
    if not stub.reply_author_id:
        return parent
    return b'%b,{"rel":"inReplyTo","href":"/api/v1/comments/%d"},%b' % (
        parent,
        stub.in_reply_to,
        dumps(
            {
                "rel": "inReplyToAuthor",
                "href": itemtypes.href(itemtypes.PROFILE, stub.reply_author_id),
                "title": stub.reply_author_name,
            }
        ),
    )


def profiles_of(stubs: Iterable[Stub]) -> dict[int, int]:
    """id -> version of the authors and editors of some comments."""
    versions: dict[int, int] = {}
    for stub in stubs:
        versions[stub.author_id] = stub.author_version
        versions[stub.editor_id] = stub.editor_version
    return versions


class Own(NamedTuple):
    """Rights of a viewer on comments of one item, on their own and on others', and their reactions to them."""

    me: int
    own: PermissionSet
    others: PermissionSet
    reacted: Mapping[int, Sequence[str]]  # by comment

    @classmethod
    def of(
        cls, principal: Principal, parent: Target, tree: Tree, reacted: Mapping[int, Sequence[str]]
    ) -> Own | None:
        """For the comments of an item; None for a guest, who may do nothing with any."""
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
        return cls(principal.profile_id, own, others, reacted)

    def stamp(self, stubs: Iterable[Stub]) -> Any:
        """Everything that the members depend on."""
        mine = [stub.author_id == self.me for stub in stubs]
        return self.own, self.others, mine, sorted(self.reacted.items())

    def members(self, stub: Stub) -> bytes:
        """Return the members of a comment's `meta` that are this viewer's alone, with a leading comma."""
        can = evaluator.as_json(self.own if stub.author_id == self.me else self.others)
        names = self.reacted.get(stub.id)
        return (b',"reacted":%b' % dumps(names) if names else b"") + b',"permissions":' + can


def summary(
    fragment: Fragment,
    stub: Stub,
    people: dict[int, Fragment],
    links: bytes,
    unread: bool,
    own: Own | None = None,
) -> bytes:
    """One comment summary; `links` are its parent's (see parent_links), `own` the viewer's part."""
    before, _, after_author, _, after_editor, _, after_unread, _, after_links, _, end = fragment
    return b"".join(
        (
            before,
            people[stub.author_id][0],
            after_author,
            people[stub.editor_id][0],
            after_editor,
            b"true" if unread else b"false",
            after_unread,
            _links(links, stub),
            after_links,
            reaction.shown(stub.reactions),
            own.members(stub) if own else b"",
            end,
        )
    )


def summaries(
    found: dict[int, Fragment],
    stubs: Sequence[Stub],
    people: dict[int, Fragment],
    parent: Parent,
    unread: Sequence[bool],
    own: Own | None = None,
) -> bytes:
    """The JSON array of some comments of one parent; one whose document is gone is skipped (content 7.5)."""
    links = parent_links(parent)
    return b"[%b]" % b",".join(
        [
            summary(found[stub.id], stub, people, links, is_unread, own)
            for stub, is_unread in zip(stubs, unread, strict=True)
            if stub.id in found and stub.author_id in people and stub.editor_id in people
        ]
    )


ONE = Query(
    "comment_page.one",
    f"""
    SELECT {COLUMNS.format(unread="false")}, coalesce(i.item_type_id, 3::smallint),
           coalesce(c.item_id, c.on_profile_id), coalesce(i.title, pp.profile_name, '')
      FROM comments c {JOINS}
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
      LEFT JOIN profiles pp ON pp.site_id = c.site_id AND pp.profile_id = c.on_profile_id
     WHERE c.site_id = %(site_id)s AND c.comment_id = ANY(%(ids)s)""",
)


def by_ids(tx: Reader, documents: Documents, site_id: int, ids: Sequence[int]) -> dict[int, bytes]:
    """Comment summaries by id, outside any page (`unread` false). No permission is asked here."""
    if not ids:
        return {}
    rows = tx.rows(ONE, site_id=site_id, ids=list(ids))
    stubs = [Stub(*row[:WIDTH]) for row in rows]
    found = documents.fetch(
        tx,
        site_id,
        {SUMMARY: {s.id: s.version for s in stubs}, profile.SUMMARY: profiles_of(stubs)},
    )
    people = found[profile.SUMMARY]
    return {
        stub.id: summary(
            found[SUMMARY][stub.id],
            stub,
            people,
            parent_links(Parent(*row[WIDTH : WIDTH + 3])),
            False,
        )
        for row, stub in zip(rows, stubs, strict=True)
        if stub.id in found[SUMMARY]
    }


# ---------------------------------------------------------------- one comment, in detail

# A comment in a huddle is not there for anybody but the participants: no later step can tell it from none.
SEEN: Final = """(i.item_type_id IS DISTINCT FROM 5
                    OR EXISTS (SELECT 1 FROM huddle_participants h
                                WHERE h.site_id = i.site_id AND h.item_id = i.item_id AND h.profile_id = %(me)s))"""

# The comment itself (0), the one it replies to (1), its replies (2), each with what its summary needs; and of the
# first what permission, place and read mark need.
PAGE = Query(
    "comment_page.page",
    f"""
    WITH one AS (
        SELECT c.*, i.item_type_id, i.microcosm_id, i.title, i.is_deleted OR i.is_moderated AS parent_hidden,
               greatest(r.read_at, mr.read_at,
                        CASE i.item_type_id WHEN 5 THEN me.huddles_read_at ELSE me.all_read_at END,
                        '-infinity'::timestamptz) AS read_time,
               i.item_type_id = 5 AS is_participant
          FROM comments c
          LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
          LEFT JOIN profiles me ON me.site_id = c.site_id AND me.profile_id = %(me)s
          LEFT JOIN read_marks r ON r.site_id = c.site_id AND r.profile_id = %(me)s
                                AND r.item_type_id = i.item_type_id AND r.item_id = i.item_id
          LEFT JOIN read_marks mr ON mr.site_id = c.site_id AND mr.profile_id = %(me)s AND mr.item_type_id = 2
                                 AND mr.item_id = i.microcosm_id
         WHERE c.site_id = %(site_id)s AND c.comment_id = %(id)s
           AND {SEEN.replace("%(me)s", "%(participant)s")}),
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
          ORDER BY a.comment_id LIMIT 250))
    SELECT {COLUMNS.format(unread="f.kind = 0 AND %(me)s <> 0 AND c.created > one.read_time")},
           f.kind, coalesce(one.item_type_id, 3::smallint), coalesce(one.item_id, one.on_profile_id),
           coalesce(one.microcosm_id, 0), coalesce(one.title, pp.profile_name, ''),
           coalesce(one.parent_hidden, false), one.is_deleted, one.is_moderated, coalesce(one.is_participant, false),
           one.revisions,
           CASE WHEN f.kind = 0 AND one.item_id IS NOT NULL THEN
                one.seq - (SELECT count(*) FROM comments h WHERE h.site_id = one.site_id AND h.item_id = one.item_id
                              AND h.seq <= one.seq AND (h.is_deleted OR h.is_moderated))
                        - (SELECT count(*) FROM comments h WHERE h.site_id = one.site_id AND h.item_id = one.item_id
                              AND h.seq <= one.seq AND NOT h.is_deleted AND NOT h.is_moderated
                              AND h.created_by = ANY(%(ignored)s::bigint[]) AND %(ignored)s::bigint[] <> '{{}}')
                ELSE 1 END
      FROM one
      CROSS JOIN found f
      JOIN comments c ON c.site_id = one.site_id AND c.comment_id = f.comment_id
      {JOINS}
      LEFT JOIN profiles pp ON pp.site_id = one.site_id AND pp.profile_id = one.on_profile_id
     ORDER BY f.kind, c.comment_id""",
    replica=Replica.ALL,
)


class CommentPage(NamedTuple):
    """One comment with the one it replies to and its replies."""

    stub: Stub
    replied_to: Stub | None
    replies: list[Stub]
    parent: Parent
    microcosm_id: int
    parent_hidden: bool  # the item itself is deleted or moderated
    is_deleted: bool
    is_moderated: bool
    is_participant: bool
    revisions: int
    position: int  # 1-based, among what the viewer sees
    stamp: Any


def page(
    tx: Reader, site_id: int, id: int, principal: Principal, ignored: Sequence[int]
) -> CommentPage | None:
    """The comment as `principal` sees it; None if it never existed here. Asks no permission."""
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
    by_kind: dict[int, list[Stub]] = {0: [], 1: [], 2: []}
    for row in rows:
        by_kind[row[WIDTH]].append(Stub(*row[:WIDTH]))
    replied_to = by_kind[1][0] if by_kind[1] else None
    parent = Parent(parent_type, parent_id, title)
    return CommentPage._make(
        (by_kind[0][0], replied_to, by_kind[2], parent, microcosm_id, *rest, rows)
    )


def detail(
    tx: Reader,
    documents: Documents,
    site_id: int,
    found: CommentPage,
    page_href: str,
    permissions: bytes,
) -> bytes:
    """The detail of a comment (content 7.4). `page_href` is the page of its parent that holds it."""
    others = [*([found.replied_to] if found.replied_to else []), *found.replies]
    fetched = documents.fetch(
        tx,
        site_id,
        {
            DETAIL: {found.stub.id: found.stub.version},
            SUMMARY: {stub.id: stub.version for stub in others},
            profile.SUMMARY: profiles_of([found.stub, *others]),
        },
    )
    people = fetched[profile.SUMMARY]
    links = parent_links(found.parent)
    known = fetched[SUMMARY]
    thread = b""
    if found.replied_to is not None and found.replied_to.id in known:
        one = summary(known[found.replied_to.id], found.replied_to, people, links, False)
        thread += b'"inReplyTo":%b,' % one
    if found.replies:
        none = [False] * len(found.replies)
        thread += b'"replies":%b,' % summaries(known, found.replies, people, found.parent, none)
    return json_fragments.fill(
        fetched[DETAIL][found.stub.id],
        {
            b"author": people[found.stub.author_id][0],
            b"editor": people[found.stub.editor_id][0],
            b"unread": b"false",
            b"thread": thread,
            b"links": b"%b,%b"
            % (_links(links, found.stub), dumps({"rel": "commentPage", "href": page_href})),
            b"permissions": permissions + reaction.shown(found.stub.reactions),
        },
    )
