"""Comments. Wire: docs/api/comments.md."""

from __future__ import annotations

import contextlib
from typing import ClassVar, Final

from forumapi import itemtypes
from forumapi.errors import NO_CREATE, OUT_OF_RANGE, Forbidden, Invalid, NoRoom, NotFound
from forumapi.models.content import (
    comment,
    comment_page,
    huddle_page,
    item,
    item_page,
    text,
)
from forumapi.models.content.comment import LockedComment, Place
from forumapi.models.content.comment_page import CommentPage
from forumapi.models.journal import journal
from forumapi.models.microcosms import microcosm_counters
from forumapi.models.people import profile
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Target
from forumapi.request import patch
from forumapi.request.context import Context, Located
from forumapi.request.handler import (
    CREATE,
    DELETE,
    READ,
    UPDATE,
    Handler,
    needs,
)
from forumapi.request.response import (
    Done,
    Found,
    Page,
    Result,
    TemporaryRedirect,
)
from forumapi.wire import body, paging, schemas
from forumapi.wire.body import (
    UNSET,
    Body,
    Meta,
    UnsetType,
)

_PATHS: Final = (patch.DELETED, patch.MODERATED)


class CommentBody(Body):
    """A comment as a client sends it (content 7.2)."""

    itemType: str | UnsetType = UNSET
    itemId: int | UnsetType = UNSET
    inReplyTo: int | UnsetType = UNSET
    markdown: str | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


# ---------------------------------------------------------------- one comment


class LocatedComment(Located):
    """A comment for reading; `page` None if there is none of that id."""

    __slots__ = ("page",)

    page: CommentPage | None


def locate_for_reading(ctx: Context) -> LocatedComment:
    """The comment that the address names, as the caller sees it."""
    found = comment_page.page(
        ctx.reader,
        ctx.site.id,
        ctx.args["item"].id,
        ctx.identity.principal,
        ctx.identity.ignored_profiles,
    )
    if found is None:
        located = LocatedComment(Target(itemtypes.COMMENT, ctx.args["item"].id))
    else:
        node = ctx.tree.nodes.get(found.microcosm_id)
        under_live = node is None or node.is_live
        located = LocatedComment(
            Target(
                itemtypes.COMMENT,
                found.stub.id,
                found.microcosm_id,
                (found.stub.author_id,),
                parent_type=found.parent.type,
                is_participant=found.is_participant,
            ),
            is_hidden=found.is_deleted
            or found.is_moderated
            or found.parent_hidden
            or not under_live,
            own_moderated=found.is_moderated
            and not found.is_deleted
            and not found.parent_hidden
            and under_live,
            version=found.stub.version,
        )
    located.page = found
    return located


class LockedLocated(Located):
    """A comment for writing, locked with its item; `comment` None if there is none of that id."""

    __slots__ = ("comment", "place")

    comment: LockedComment | None
    place: Place


def locate_for_writing(ctx: Context) -> LockedLocated:
    """The comment that the address names, locked with its item until the end of the request."""
    tx, site_id, id = ctx.writer, ctx.site.id, ctx.args["item"].id
    parent = comment.parent_of(tx, site_id, id, ctx.identity.principal.participant_id)
    if parent is None:
        located = LockedLocated(Target(itemtypes.COMMENT, id))
        located.comment = None
        return located
    place = _place(ctx, *parent)
    if place is None:  # a huddle that the caller left at this moment
        located = LockedLocated(Target(itemtypes.COMMENT, id))
        located.comment = None
        return located
    found = comment.lock(tx, site_id, id)
    assert found is not None
    located = LockedLocated(
        Target(
            itemtypes.COMMENT,
            id,
            place.microcosm_id,
            (found.author_id,),
            parent_type=place.item_type,
            is_participant=place.item_type == itemtypes.HUDDLE,
        ),
        is_hidden=not found.is_visible or _is_hidden(place),
        version=found.version,
    )
    located.comment = found
    located.place = place
    return located


def _place(ctx: Context, item_type: int, id: int) -> Place | None:
    """What a comment is or would be on, locked if it is an item; None if there is no such thing here."""
    if item_type == itemtypes.PROFILE:
        known = profile.summaries(ctx.reader, ctx.app.documents, ctx.site.id, [id])
        return Place(item_type, id) if id in known else None
    me = ctx.identity.principal.participant_id
    locked = item.lock(ctx.writer, ctx.site.id, item_type, id, me)
    if locked is None:
        return None
    node = ctx.tree.nodes.get(locked.microcosm_id)
    return Place(item_type, id, locked, node is None or node.is_live)


def _is_hidden(place: Place) -> bool:
    locked = place.locked
    return locked is not None and not (locked.is_visible and place.is_under_live)


class CommentHandler(Handler):
    """One comment."""

    allow = "OPTIONS,GET,HEAD,PUT,PATCH,DELETE"

    def locate(self, ctx: Context) -> Located:
        if ctx.is_write:
            return locate_for_writing(ctx)
        return locate_for_reading(ctx)

    @needs(READ, answer=schemas.Comment, paged=True)
    def get(self, ctx: Context) -> Result:
        """The comment, the one it replies to and its replies; marks its item read up to it."""
        found = shown(ctx)
        if found.stub.is_unread and not ctx.is_head:
            with contextlib.suppress(NoRoom):
                _mark_read(ctx, found)
        limit = ctx.paging.limit
        offset = paging.page_offset(found.position, limit)
        href = paging.href(
            itemtypes.href(found.parent.type, found.parent.id),
            (),
            offset=offset or None,
            limit=limit if offset and limit != paging.DEFAULT_LIMIT else None,
        )
        permission = evaluator.as_json(ctx.can)

        def build() -> bytes:
            return comment_page.detail(
                ctx.reader, ctx.app.documents, ctx.site.id, found, href, permission
            )

        return Page(found.stub.version, (found.stamp, href, ctx.can), build)

    @needs(UPDATE, body=CommentBody, status=302)
    def put(self, ctx: Context) -> Result:
        """Change the text; the one before stays as a revision."""
        found: LockedComment = required(ctx)
        place: Place = ctx.located.place
        here = f"/api/v1/comments/{found.id}"
        if isinstance(ctx.body.markdown, UnsetType):
            return Found(here)
        source = text.source(ctx.body.markdown)
        if source != found.markdown:
            rendered = finish(ctx, prepare(ctx, source), place)
            comment.edit(ctx.writer, ctx.author, place, found, source, rendered)
        return Found(here)

    @needs(UPDATE, body=list[patch.Operation])
    def patch(self, ctx: Context) -> Result:
        """Set the flags `deleted` and `moderated`."""
        found: LockedComment = required(ctx)
        is_deleted, is_moderated = found.is_deleted, found.is_moderated
        for change in patch.changes(ctx.body, _PATHS):
            patch.permit(change, ctx.can)
            if change.path == patch.DELETED:
                is_deleted = change.value
            else:
                is_moderated = change.value
        if (is_deleted, is_moderated) != (found.is_deleted, found.is_moderated):
            comment.flag(
                ctx.writer,
                ctx.author,
                ctx.located.place,
                found,
                is_deleted=is_deleted,
                is_moderated=is_moderated,
                kind=journal.PATCHED,
            )
        return Done()

    @needs(DELETE)
    def delete(self, ctx: Context) -> Result:
        """Hide the comment from everybody but moderators; 200 also when it is gone."""
        found: LockedComment = required(ctx)
        if not found.is_deleted:
            comment.flag(
                ctx.writer,
                ctx.author,
                ctx.located.place,
                found,
                is_deleted=True,
                is_moderated=found.is_moderated,
                kind=journal.DELETED,
            )
        return Done()


def shown(ctx: Context) -> CommentPage:
    """The located comment. Raises NotFound."""
    found: CommentPage | None = ctx.located.page
    if found is None:
        raise NotFound("There is no such comment")
    return found


def _mark_read(ctx: Context, found: CommentPage) -> None:
    """Move the read mark of what the comment is on up to it (discovery 7.4)."""
    site_id, me, parent = ctx.site.id, ctx.identity.profile_id, found.parent
    if parent.type == itemtypes.HUDDLE:
        with ctx.aside() as tx:
            huddle_page.mark_read_to(tx, site_id, parent.id, me, found.stub.id)
    elif parent.type != itemtypes.PROFILE:
        ctx.tx.run(
            item_page.MARK_AT,
            site_id=site_id,
            me=me,
            item_type=parent.type,
            item_id=parent.id,
            comment_id=found.stub.id,
        )


def required(ctx: Context) -> LockedComment:
    """The comment located for writing. Raises NotFound."""
    found: LockedComment | None = ctx.located.comment
    if found is None:
        raise NotFound("There is no such comment")
    return found


def prepare(ctx: Context, source: str) -> text.Draft:
    """A comment's source as far as its place doesn't matter."""
    return text.prepare(ctx.writer, ctx.site, source, short_links=ctx.app.config.short_links)


def finish(ctx: Context, draft: text.Draft, place: Place) -> text.Rendered:
    """A comment's source as it will be shown."""
    microcosm_id = None if place.item_type == itemtypes.HUDDLE else place.microcosm_id
    return text.finish(ctx.writer, draft, lambda: ctx.tree, microcosm_id)


# ---------------------------------------------------------------- new comments


class LocatedParent(Located):
    """What a new comment would be on; `place` None if there is no such thing."""

    __slots__ = ("draft", "place", "source")

    draft: text.Draft | None
    place: Place | None
    source: str


class CommentsHandler(Handler):
    """Comments come embedded in what they are on; here they are only made."""

    allow = "OPTIONS,POST"
    required_keys: ClassVar = {"POST": ("itemType", "itemId", "markdown")}

    def locate(self, ctx: Context) -> Located:
        """The parent that the body names. The longer part of rendering comes first, locks after it."""
        sent: CommentBody = ctx.body
        name = body.given(sent.itemType, "").lower()
        kind = itemtypes.BY_NAME.get(name)
        if kind is None or not kind.commentable:
            raise Invalid("itemType", "must be conversation, event, poll, huddle or profile")
        id = body.given(sent.itemId, 0)
        if id <= 0:
            raise Invalid("itemId", "must be a positive number", code=OUT_OF_RANGE)
        source = text.source(sent.markdown)
        draft = place = None
        if not ctx.identity.is_guest:
            draft = prepare(ctx, source)
            place = _place(ctx, kind.id, id)
        if place is None:
            located = LocatedParent(Target(kind.id, id))
        elif place.locked is None:
            located = LocatedParent(Target(itemtypes.PROFILE, id, 0, (id,)))
        else:
            located = LocatedParent(
                item.target(
                    ctx.writer,
                    ctx.site.id,
                    place.locked,
                    ctx.identity.profile_id,
                    asks_delete=False,
                ),
                is_hidden=_is_hidden(place),
            )
        located.place = place
        located.draft = draft
        located.source = source
        return located

    @needs(CREATE, body=CommentBody, status=302)
    def post(self, ctx: Context) -> Result:
        """Write a comment. The same text again within minutes leads to the first one."""
        located: LocatedParent = ctx.located
        place, draft = located.place, located.draft
        if place is None or draft is None:
            raise NotFound("There is no such item")
        is_moderator = bool(ctx.can & evaluator.MODERATOR)
        if place.locked is not None and not place.locked.is_open and not is_moderator:
            raise Forbidden("This is closed", code=NO_CREATE)
        config = ctx.app.config
        made = comment.insert(
            ctx.writer,
            ctx.author,
            place,
            located.source,
            finish(ctx, draft, place),
            in_reply_to=max(body.given(ctx.body.inReplyTo, 0), 0),
            window_s=config.duplicate_window_s,
            per_minute=0 if is_moderator else config.comment_rate_per_minute,
        )
        if made.is_new:
            microcosm_counters.maybe_fold(ctx.app.database, ctx.writer, ctx.site.id, made.id)
        return Found(f"/api/v1/comments/{made.id}")


# ---------------------------------------------------------------- where a comment stands


class CommentInContextHandler(Handler):
    """The page of its item that holds a comment."""

    allow = "OPTIONS,GET,HEAD"

    def locate(self, ctx: Context) -> Located:
        return locate_for_reading(ctx)

    @needs(READ, status=307, paged=True)
    def get(self, ctx: Context) -> Result:
        """307 to the item's page that holds the comment."""
        found = shown(ctx)
        limit = ctx.paging.limit
        offset = paging.page_offset(found.position, limit)
        href = paging.href(
            itemtypes.href(found.parent.type, found.parent.id),
            (),
            comment_id=found.stub.id,
            offset=offset or None,
            limit=limit if offset and limit != paging.DEFAULT_LIMIT else None,
        )
        return TemporaryRedirect(href)
