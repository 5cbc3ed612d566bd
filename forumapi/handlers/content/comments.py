"""Comments: writing, reading and changing them, and the page of an item that holds one. Wire: docs/api/comments.md."""

from __future__ import annotations

import contextlib
from typing import Annotated, ClassVar, Final

from forumapi import itemtypes
from forumapi.errors import NO_CREATE, OUT_OF_RANGE, Forbidden, Invalid, NoRoom, NotFound
from forumapi.handlers.content import holding
from forumapi.itemtypes import ItemRef
from forumapi.models.access import bot
from forumapi.models.content import comment_documents, huddle_page, item, item_page
from forumapi.models.content.comment import Comment, CommentParent
from forumapi.models.content.comment_documents import CommentPage
from forumapi.models.journal import journal
from forumapi.models.microcosms import microcosm_counters
from forumapi.models.people import profile_summary
from forumapi.models.texts import text_rendering
from forumapi.models.trust import patched_flags
from forumapi.models.usage.site_plan import COMMENTS
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Target
from forumapi.request import patch
from forumapi.request.context import Context, Located, LocatedObject
from forumapi.request.handler import CREATE, DELETE, READ, UPDATE, Handler, needs
from forumapi.request.handler_results import Done, Found, Page, Result, TemporaryRedirect
from forumapi.wire import body, paging
from forumapi.wire.body import UNSET, Body, Meta, UnsetType
from forumapi.wire.openapi_enums import COMMENTABLE, closed_types
from forumapi.wire.schemas.content import comments as schemas

_PATHS: Final = (patch.DELETED, patch.MODERATED)


class CommentBody(Body):
    """A comment as a client sends it (content 7.2). `inReplyTo`: id of the comment that it replies to. `meta` is
    accepted and never looked at. A PUT reads `markdown` alone.
    """

    itemType: Annotated[str, closed_types(COMMENTABLE)] | UnsetType = UNSET
    itemId: int | UnsetType = UNSET
    inReplyTo: int | UnsetType = UNSET
    markdown: str | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


# ---------------------------------------------------------------- one comment


class ShownComment(LocatedObject[CommentPage]):
    """Comment that the address names, with all that its own page shows; read without a lock."""

    noun = "comment"


def locate_for_reading(ctx: Context) -> ShownComment:
    """Read the comment that the address names, hidden or not; `object` is None if it never existed here, or is in a
    huddle in which the caller does not participate.
    """
    page = comment_documents.page(
        ctx.reader,
        ctx.site.id,
        ctx.args["item"].id,
        ctx.identity.principal,
        ctx.identity.ignored_profiles,
    )
    if page is None:
        return ShownComment(None, Target(itemtypes.COMMENT, ctx.args["item"].id))
    node = ctx.tree.nodes.get(page.microcosm_id)
    is_above_hidden = not (node is None or node.is_live)
    if page.parent_hidden and not is_above_hidden:
        ref, me = ItemRef(page.parent.type, page.parent.id), ctx.identity.profile_id
        is_mine = bool(me) and page.comment.author_id == me
        is_above_hidden = not (is_mine and item.is_own_held(ctx.reader, ctx.site.id, ref, me))
    target = Target(
        itemtypes.COMMENT,
        page.comment.id,
        page.microcosm_id,
        (page.comment.author_id,),
        parent_type=page.parent.type,
        is_participant=page.is_participant,
    )
    return ShownComment(
        page,
        target,
        is_hidden=page.is_deleted or page.is_moderated or page.parent_hidden or is_above_hidden,
        own_moderated=(not page.is_deleted or bool(page.statement_id)) and not is_above_hidden,
        version=page.comment.version,
    )


class LockedComment(LocatedObject[Comment]):
    """Comment that the address names, locked together with the item that it is on, if it is not on a profile."""

    noun = "comment"


def locate_for_writing(ctx: Context) -> LockedComment:
    """Lock the comment that the address names, and its item, hidden or not, until the transaction ends.

    `object` is None if the comment never existed here, or is in a huddle in which the caller does not participate.
    Raises Conflict if it was moved to another item meanwhile.
    """
    id, me = ctx.args["item"].id, ctx.identity.principal.participant_id
    comment = Comment.lock(ctx.writer, ctx.site.id, id, me)
    if comment is None:
        return LockedComment(None, Target(itemtypes.COMMENT, id))
    is_hidden = not comment.is_visible or _is_hidden(ctx, comment.parent)
    return LockedComment(comment, comment.target, is_hidden=is_hidden, version=comment.version)


def _is_hidden(ctx: Context, parent: CommentParent, *, but_held_of: int = 0) -> bool:
    """Return True if the item `parent`, or its microcosm or one above it, is hidden; False if `parent` is a profile.

    `but_held_of`: id of a profile, 0 for none; an item by that profile that is moderated but not deleted does not count
    as hidden itself.
    """
    if parent.item is None:
        return False
    node = ctx.tree.nodes.get(parent.microcosm_id)
    if not (node is None or node.is_live):
        return True
    return not parent.item.is_visible and not parent.item.is_held_of(but_held_of)


class CommentHandler(Handler):
    """One comment that the address names."""

    def locate(self, ctx: Context) -> Located:
        if ctx.is_write:
            return locate_for_writing(ctx)
        return locate_for_reading(ctx)

    @needs(READ, answer=schemas.Comment, paged=True)
    def get(self, ctx: Context) -> Result:
        """The comment, the comment that it replies to, and its replies, oldest first, at most 250; if the comment is on
        an item and the caller has not read it yet, marks the item as read up to this comment.

        `limit`: the size of the pages of the item's or profile's comments, to one of which the link `commentPage`
        leads.
        """
        page = ctx.located_as(ShownComment).required()
        if page.comment.is_unread and not ctx.is_head:
            with contextlib.suppress(NoRoom):
                _mark_read(ctx, page)
        limit = ctx.paging.limit
        offset = paging.page_offset(page.position, limit)
        href = paging.href(
            itemtypes.href(page.parent.type, page.parent.id),
            (),
            offset=offset or None,
            limit=limit if offset and limit != paging.DEFAULT_LIMIT else None,
        )
        permission = evaluator.as_json(ctx.can)

        def build() -> bytes:
            return comment_documents.detail(
                ctx.reader, ctx.app.documents, ctx.site.id, page, href, permission
            )

        return Page(page.comment.version, (page.stamp, href, ctx.can), build)

    @needs(UPDATE, body=CommentBody, status=302)
    def put(self, ctx: Context, sent: CommentBody) -> Result:
        """Change the comment's text; the text before stays as a revision.

        Without `markdown` nothing changes. Answers 302 to the comment.
        """
        comment = ctx.located_as(LockedComment).required()
        if not isinstance(sent.markdown, UnsetType):
            change_text(ctx, comment, text_rendering.source(sent.markdown))
        return Found(comment.href)

    @needs(UPDATE, body=list[patch.Operation])
    def patch(self, ctx: Context, sent: list[patch.Operation]) -> Result:
        """Set the comment's flags `deleted` and `moderated`. Moderators may set each to true or false; others with the
        right to delete the comment may only set `deleted` to true, else 403.

        By operations `replace` of RFC 6902: 501 for its other operations, 400 for another flag. A change by a
        moderator, except in a huddle, is recorded as an action of moderation.
        """
        comment = ctx.located_as(LockedComment).required()
        is_deleted, is_moderated = comment.is_deleted, comment.is_moderated
        for change in patch.changes(sent, _PATHS):
            patch.permit(change, ctx.can)
            if change.path == patch.DELETED:
                is_deleted = change.value
            else:
                is_moderated = change.value
        if (is_deleted, is_moderated) != (comment.is_deleted, comment.is_moderated):
            flags = {"is_deleted": is_deleted, "is_moderated": is_moderated}
            if ctx.can & evaluator.MODERATOR and not comment.parent.is_huddle:
                patched_flags.flag_comment(ctx.writer, ctx.author, comment, flags)
            else:
                comment.flag(ctx.writer, ctx.author, **flags)
        return Done()

    @needs(DELETE)
    def delete(self, ctx: Context) -> Result:
        """Delete the comment: it is hidden from all but moderators, in a huddle from everybody; 200 also if it is
        deleted already. What a moderator deletes of others is recorded as an action of moderation; in a huddle nobody
        deletes what others wrote.
        """
        comment = ctx.located_as(LockedComment).required()
        is_others = comment.author_id != ctx.identity.profile_id
        if ctx.can & evaluator.MODERATOR and is_others:
            patched_flags.delete_comment(ctx.writer, ctx.author, comment)
        else:
            comment.delete(ctx.writer, ctx.author)
        return Done()


def _mark_read(ctx: Context, page: CommentPage) -> None:
    """Move the viewer's read mark of the item that the comment of `page` is on forward to the comment's time, never
    back (discovery 7.4).

    If the comment is in a huddle, a transaction of its own is committed (`ctx.aside`); nothing happens for a comment on
    a profile.
    """
    site_id, me, parent = ctx.site.id, ctx.identity.profile_id, page.parent
    if parent.type == itemtypes.HUDDLE:
        with ctx.aside() as tx:
            huddle_page.mark_read_to(tx, site_id, parent.id, me, page.comment.id)
    elif parent.type != itemtypes.PROFILE:
        ctx.reader.run(
            item_page.MARK_AT,
            site_id=site_id,
            me=me,
            item_type=parent.type,
            item_id=parent.id,
            comment_id=page.comment.id,
        )


def change_text(ctx: Context, comment: Comment, source: str) -> None:
    """Make `source` the Markdown of the locked comment, as a new revision; the site's rules and checks may hide the
    comment at once, unless it is hidden already or in a huddle. Nothing changes if `source` is its Markdown already.
    """
    if source != comment.markdown:
        rendered = finish(ctx, prepare(ctx, source), comment.parent)
        comment.update(ctx.writer, ctx.author, source, rendered)
        if comment.is_visible and not comment.parent.is_huddle:
            ref = ItemRef(itemtypes.COMMENT, comment.id)
            holding.hold(ctx, ref, journal.REPLACED, comment.author_id, source)


def prepare(ctx: Context, source: str) -> text_rendering.PreparedText:
    """Render the Markdown `source` of a comment as far as that is the same whatever the comment is on; `finish` does
    the rest.
    """
    return text_rendering.prepare(
        ctx.writer, ctx.site, source, short_links=ctx.app.config.short_links
    )


def finish(
    ctx: Context, prepared: text_rendering.PreparedText, parent: CommentParent
) -> text_rendering.RenderedText:
    """Finish the rendering that this module's `prepare` began, for a comment on `parent`; the result has the HTML to
    store and show. Where guests may read the comment, links in it become short links, of which new ones are stored.
    """
    microcosm_id = None if parent.is_huddle else parent.microcosm_id
    return text_rendering.finish(ctx.writer, prepared, lambda: ctx.tree, microcosm_id)


# ---------------------------------------------------------------- new comments


class LocatedParent(Located):
    """Item or profile that a new comment is to be on.

    `parent`: None if there is no such item or profile, for a huddle that the caller is not in, and for guests; an item
    is locked, a profile is not. `source`: the Markdown as sent. `prepared`: its rendering as far as this module's
    `prepare` does it, None for guests.
    """

    __slots__ = ("parent", "prepared", "source")

    parent: CommentParent | None
    prepared: text_rendering.PreparedText | None
    source: str


def _lock_parent(ctx: Context, ref: ItemRef) -> CommentParent | None:
    if ref.type == itemtypes.PROFILE and not profile_summary.summaries(
        ctx.reader, ctx.app.documents, ctx.site.id, [ref.id]
    ):
        return None
    me = ctx.identity.principal.participant_id
    return CommentParent.lock(ctx.writer, ctx.site.id, ref, me)


def _most_a_minute(ctx: Context, *, is_moderator: bool) -> int:
    """Return how many comments the caller may write a minute, 0 for any number. `is_moderator`: the caller moderates
    what the comment is to be on.
    """
    most = ctx.app.config.comment_rate_per_minute
    if ctx.identity.is_bot:
        return min(most or bot.COMMENTS_A_MINUTE, bot.COMMENTS_A_MINUTE)
    return 0 if is_moderator else most


class CommentsHandler(Handler):
    """Creation of comments. Existing comments are listed by their item or profile."""

    required_keys: ClassVar = {"POST": ("itemType", "itemId", "markdown")}

    def locate(self, ctx: Context) -> Located:
        """Lock the item that the body names, or find the profile; before that, render as much of the text as needs no
        lock.

        Raises Invalid for a bad type, id or text. A guest's text is not rendered, and nothing is locked for it.
        """
        sent = ctx.body_as(CommentBody)
        name = body.given(sent.itemType, "").lower()
        kind = itemtypes.BY_NAME.get(name)
        if kind is None or not kind.commentable:
            raise Invalid("itemType", "must be conversation, event, poll, huddle or profile")
        id = body.given(sent.itemId, 0)
        if id <= 0:
            raise Invalid("itemId", "must be a positive number", code=OUT_OF_RANGE)
        source = text_rendering.source(sent.markdown)
        prepared = parent = None
        if not ctx.identity.is_guest:
            prepared = prepare(ctx, source)
            parent = _lock_parent(ctx, ItemRef(kind.id, id))
        if parent is None:
            located = LocatedParent(Target(kind.id, id))
        elif parent.item is None:
            located = LocatedParent(Target(itemtypes.PROFILE, id, 0, (id,)))
        else:
            # Authors go on in an item that is held: it was begun in one request, and its text comes in the next.
            is_hidden = _is_hidden(ctx, parent, but_held_of=ctx.author.profile_id)
            located = LocatedParent(
                parent.item.target(ctx.writer, ctx.author, asks_delete=False), is_hidden=is_hidden
            )
        located.parent = parent
        located.prepared = prepared
        located.source = source
        return located

    @needs(CREATE, body=CommentBody, status=302)
    def post(self, ctx: Context, sent: CommentBody) -> Result:
        """Write a comment on an item or profile, perhaps in reply to another comment.

        The same text there, sent again by its author within five minutes, or the time that this installation sets,
        leads to the comment that exists. `inReplyTo` is ignored unless it names a visible comment there. 400 for a text
        that is blank or too long.

        Only the profile itself and the site's owner may write on a profile, else 403. 403 for an item that the caller
        may not read, and for an item or profile that never existed, which is 404 for the site's owner. For all but
        moderators also 403 for a closed item, and 404 for a hidden one, on which its author may still write if a
        moderator, a rule or a check hid it. 429 beyond the number of comments a minute that this installation allows to
        all but moderators, for a bot beyond ten, and, for moderators too, beyond the comments of a day in the site's
        plan. Answers 302 to the comment.
        """
        located = ctx.located_as(LocatedParent)
        parent, prepared = located.parent, located.prepared
        if parent is None or prepared is None:
            raise NotFound("There is no such item")
        is_moderator = bool(ctx.can & evaluator.MODERATOR)
        if parent.item is not None and not parent.item.is_open and not is_moderator:
            raise Forbidden("This is closed", code=NO_CREATE)
        config = ctx.app.config
        comment = Comment(parent, located.source, max(body.given(sent.inReplyTo, 0), 0))
        may_be_held = not parent.is_huddle and holding.is_possible(
            ctx, itemtypes.COMMENT, journal.CREATED
        )
        ctx.app.plans.check(ctx.writer, ctx.site, COMMENTS)
        is_new = comment.insert(
            ctx.writer,
            ctx.author,
            finish(ctx, prepared, parent),
            window_s=config.duplicate_window_s,
            per_minute=_most_a_minute(ctx, is_moderator=is_moderator),
            may_be_held=may_be_held,
        )
        if is_new:
            ctx.app.plans.add_comment(ctx.writer, ctx.site.id)
            if may_be_held:
                ref = ItemRef(itemtypes.COMMENT, comment.id)
                holding.hold(ctx, ref, journal.CREATED, comment.author_id, located.source)
            microcosm_counters.maybe_fold(ctx.app.database, ctx.writer, ctx.site.id, comment.id)
        return Found(comment.href)


# ---------------------------------------------------------------- where a comment stands


class CommentInContextHandler(Handler):
    """Redirect to the page of an item or profile on which a comment stands."""

    def locate(self, ctx: Context) -> Located:
        return locate_for_reading(ctx)

    @needs(READ, status=307, paged=True)
    def get(self, ctx: Context) -> Result:
        """Redirect (307) to the item or profile that the comment is on, at the page that holds the comment; the new
        address names the comment in its query, by `comment_id`.
        """
        page = ctx.located_as(ShownComment).required()
        limit = ctx.paging.limit
        offset = paging.page_offset(page.position, limit)
        href = paging.href(
            itemtypes.href(page.parent.type, page.parent.id),
            (),
            comment_id=page.comment.id,
            offset=offset or None,
            limit=limit if offset and limit != paging.DEFAULT_LIMIT else None,
        )
        return TemporaryRedirect(href)
