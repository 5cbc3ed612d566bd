"""The revisions of a comment. Wire: docs/api/comments.md.

Whoever may change a comment sees how it came about; for others an earlier text is gone.
"""

from __future__ import annotations

from typing import ClassVar

from forumapi import itemtypes
from forumapi.errors import OUT_OF_RANGE, Invalid, NotFound
from forumapi.handlers.content import comments
from forumapi.models.content import comment, revision
from forumapi.models.content.comment import LockedComment
from forumapi.permissions import evaluator
from forumapi.request.context import Context, Located
from forumapi.request.handler import (
    UPDATE,
    Handler,
    Param,
    needs,
)
from forumapi.request.response import Found, Page, Result
from forumapi.wire import (
    body,
    json_fragments,
    paging,
    schemas,
)
from forumapi.wire.body import UNSET, Body, UnsetType


class RevertBody(Body):
    """Which revision is to be the current text again."""

    revision: int | UnsetType = UNSET


class RevisionsHandler(Handler):
    """The revisions of one comment, newest first."""

    allow = "OPTIONS,GET,HEAD,POST"
    leads_to: ClassVar = {"POST": "/api/v1/comments/<comment:item>"}
    required_keys: ClassVar = {"POST": ("revision",)}

    def locate(self, ctx: Context) -> Located:
        return (
            comments.locate_for_writing(ctx) if ctx.is_write else comments.locate_for_reading(ctx)
        )

    @needs(UPDATE, answer=schemas.Revisions, paged=True)
    def get(self, ctx: Context) -> Result:
        """Who wrote which revision when, without the texts."""
        shown = comments.shown(ctx)
        id, at = shown.stub.id, ctx.paging
        total, found = revision.page(ctx.reader, ctx.site.id, id, at)
        paging.check(total, at)
        permission = evaluator.as_json(ctx.can)

        def build() -> bytes:
            entries = revision.documents(
                ctx.reader, ctx.app.documents, ctx.site.id, id, found, total, with_text=False
            )
            page = paging.page(
                b"[%b]" % b",".join(entries),
                total,
                at,
                ctx.path,
                ctx.path,
                ctx.query_string,
                ctx.pairs,
            )
            meta = {
                "links": revision.links(id, ctx.path),
                "permissions": json_fragments.raw(permission),
            }
            return b'{"revisions":%b,"meta":%b}' % (page, json_fragments.dumps(meta))

        stamp = ([one.stamp for one in found], total, ctx.can, ctx.query_string)
        return Page(shown.stub.version, stamp, build)

    @needs(UPDATE, body=RevertBody, status=302)
    def post(self, ctx: Context) -> Result:
        """Make the text of an earlier revision the current one again, as a new revision."""
        found: LockedComment = comments.required(ctx)
        number = body.given(ctx.body.revision, 0)
        if number < 1:
            raise Invalid("revision", "must be the number of a revision", code=OUT_OF_RANGE)
        wanted = revision.find(ctx.writer, ctx.site.id, found.id, [number]).get(number)
        if wanted is None:
            raise NotFound("There is no such revision")
        if wanted.markdown != found.markdown:
            comment.edit(
                ctx.writer,
                ctx.author,
                ctx.located.place,
                found,
                wanted.markdown,
                comments.finish(ctx, comments.prepare(ctx, wanted.markdown), ctx.located.place),
            )
        return Found(itemtypes.href(itemtypes.COMMENT, found.id))


class RevisionHandler(Handler):
    """One revision of a comment."""

    allow = "OPTIONS,GET,HEAD"

    def locate(self, ctx: Context) -> Located:
        return comments.locate_for_reading(ctx)

    @needs(UPDATE, answer=schemas.Revision)
    def get(self, ctx: Context) -> Result:
        """The revision with its source."""
        shown = comments.shown(ctx)
        id, number = shown.stub.id, ctx.args["revision"]
        found = revision.find(ctx.reader, ctx.site.id, id, [number]).get(number)
        if found is None:
            raise NotFound("There is no such revision")
        current = shown.revisions

        def build() -> bytes:
            (one,) = revision.documents(
                ctx.reader, ctx.app.documents, ctx.site.id, id, [found], current, with_text=True
            )
            return one

        return Page(shown.stub.version, (found.stamp, current), build)


class DifferenceHandler(Handler):
    """What a revision of a comment changed."""

    allow = "OPTIONS,GET,HEAD"

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
        """Word by word, against the revision before or the one that `from` names."""
        shown = comments.shown(ctx)
        id, new = shown.stub.id, ctx.args["revision"]
        old = ctx.number("from", max(new - 1, 0))
        found = revision.find(ctx.reader, ctx.site.id, id, [old, new])
        if new not in found or (old and old not in found):
            raise NotFound("There is no such revision")
        before = found[old].markdown if old else ""

        def build() -> bytes:
            return revision.difference_document(id, old, new, before, found[new].markdown)

        return Page(shown.stub.version, (old, new), build)
