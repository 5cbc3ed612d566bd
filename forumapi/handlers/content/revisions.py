"""Revisions of a comment: their list, one of them, the difference of two, and going back to one. Wire:
docs/api/comments.md.

Revisions are for callers who may change the comment; others get 403.
"""

from __future__ import annotations

from typing import ClassVar

from forumapi.errors import OUT_OF_RANGE, Invalid, NotFound, known
from forumapi.handlers.content import comments
from forumapi.handlers.content.comments import LockedComment, ShownComment
from forumapi.models.content import revision_page
from forumapi.permissions import evaluator
from forumapi.request.context import Context, Located
from forumapi.request.handler import UPDATE, Handler, Param, needs
from forumapi.request.handler_results import Found, Page, Result
from forumapi.wire import body, json_fragments, paging
from forumapi.wire.body import UNSET, Body, UnsetType
from forumapi.wire.schemas.content import comments as schemas


class RevertBody(Body):
    """Number of the revision whose text is to be current again."""

    revision: int | UnsetType = UNSET


class RevisionsHandler(Handler):
    """The revisions of a comment, newest first."""

    leads_to: ClassVar = {"POST": "/api/v1/comments/<comment:item>"}
    required_keys: ClassVar = {"POST": ("revision",)}

    def locate(self, ctx: Context) -> Located:
        return (
            comments.locate_for_writing(ctx) if ctx.is_write else comments.locate_for_reading(ctx)
        )

    @needs(UPDATE, answer=schemas.Revisions, paged=True)
    def get(self, ctx: Context) -> Result:
        """Author and time of each revision, newest first, without its text."""
        shown = ctx.located_as(ShownComment).required()
        id, at = shown.comment.id, ctx.paging
        total, revisions = revision_page.page(ctx.reader, ctx.site.id, id, at)
        paging.check(total, at)
        permission = evaluator.as_json(ctx.can)

        def build() -> bytes:
            entries = revision_page.documents(
                ctx.reader, ctx.app.documents, ctx.site.id, id, revisions, total, with_text=False
            )
            page = ctx.page(b"[%b]" % b",".join(entries), total)
            meta = {
                "links": revision_page.links(id, ctx.own_href),
                "permissions": json_fragments.raw(permission),
            }
            return b'{"revisions":%b,"meta":%b}' % (page, json_fragments.dumps(meta))

        stamp = ([each.stamp for each in revisions], total, ctx.can, ctx.query_string)
        return Page(shown.comment.version, stamp, build)

    @needs(UPDATE, body=RevertBody, status=302)
    def post(self, ctx: Context, sent: RevertBody) -> Result:
        """Make the text of an earlier revision the comment's text again, as a new revision; nothing changes if the
        comment has that text already.

        404 if the comment has no such revision. Answers 302 to the comment.
        """
        comment = ctx.located_as(LockedComment).required()
        number = body.given(sent.revision, 0)
        if number < 1:
            raise Invalid("revision", "must be the number of a revision", code=OUT_OF_RANGE)
        revisions = revision_page.find(ctx.writer, ctx.site.id, comment.id, [number])
        wanted = known(revisions.get(number), "revision")
        comments.change_text(ctx, comment, wanted.markdown)
        return Found(comment.href)


class RevisionHandler(Handler):
    """One revision of a comment."""

    def locate(self, ctx: Context) -> Located:
        return comments.locate_for_reading(ctx)

    @needs(UPDATE, answer=schemas.Revision)
    def get(self, ctx: Context) -> Result:
        """The revision with its Markdown; 404 if there is no such revision."""
        shown = ctx.located_as(ShownComment).required()
        id, number = shown.comment.id, ctx.args["revision"]
        wanted = known(
            revision_page.find(ctx.reader, ctx.site.id, id, [number]).get(number), "revision"
        )
        current = shown.revisions

        def build() -> bytes:
            (document,) = revision_page.documents(
                ctx.reader, ctx.app.documents, ctx.site.id, id, [wanted], current, with_text=True
            )
            return document

        return Page(shown.comment.version, (wanted.stamp, current), build)


class DifferenceHandler(Handler):
    """The difference between two revisions of a comment."""

    def locate(self, ctx: Context) -> Located:
        return comments.locate_for_reading(ctx)

    @needs(
        UPDATE,
        answer=schemas.Difference,
        params=(
            Param("from", int, "The revision to compare with; the one before by default, 0: none."),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """The changes, word by word, from the revision before (of the first revision: from an empty text), or from the
        revision that `from` names (0: from an empty text), to the revision in the address.

        404 if the comment lacks one of the two revisions.
        """
        shown = ctx.located_as(ShownComment).required()
        id, new = shown.comment.id, ctx.args["revision"]
        old = ctx.number("from", max(new - 1, 0))
        revisions = revision_page.find(ctx.reader, ctx.site.id, id, [old, new])
        if new not in revisions or (old and old not in revisions):
            raise NotFound("There is no such revision")
        before = revisions[old].markdown if old else ""
        stamps = (revisions[old].stamp if old else (), revisions[new].stamp)

        def build() -> bytes:
            return revision_page.difference_document(id, old, new, before, revisions[new].markdown)

        return Page(shown.comment.version, stamps, build)
