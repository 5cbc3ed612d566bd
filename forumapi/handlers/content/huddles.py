"""Huddles: private conversations among their participants. Wire: docs/api/huddles.md."""

from __future__ import annotations

import contextlib
from typing import ClassVar, Final

from forumapi import itemtypes
from forumapi.errors import NO_CREATE, NO_UPDATE, Forbidden, Invalid, NoRoom, NotFound
from forumapi.models.content import (
    comment_page,
    huddle,
    huddle_page,
    item,
    item_page,
    text,
)
from forumapi.models.content.huddle_page import Participants, Seen
from forumapi.models.content.item import LockedItem
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Target
from forumapi.request.context import Context, Located
from forumapi.request.handler import (
    ANYONE,
    CREATE,
    DELETE,
    READ,
    UPDATE,
    Handler,
    Param,
    needs,
)
from forumapi.request.response import (
    Done,
    Found,
    Page,
    Result,
    TemporaryRedirect,
)
from forumapi.wire import (
    body,
    json_fragments,
    paging,
    schemas,
)
from forumapi.wire.body import UNSET, Body, UnsetType

_CLOSED: Final = (
    "Huddles are closed to this provider until you confirm the sign-in by the mail that you got"
)


class ParticipantBody(Body):
    """Somebody to be in a huddle."""

    id: int | UnsetType = UNSET


class HuddleBody(Body):
    """A huddle as a client sends it (content 8.3)."""

    title: str | UnsetType = UNSET
    isConfidential: bool | UnsetType = UNSET
    participants: list[ParticipantBody] | UnsetType = UNSET


# ---------------------------------------------------------------- locating: for all but participants there is nothing


class LocatedHuddle(Located):
    """A huddle for reading; `seen` None if the caller is in none of that id."""

    __slots__ = ("seen",)

    seen: Seen | None


class LockedLocated(Located):
    """A huddle for writing, locked; `item` None if the caller is in none of that id."""

    __slots__ = ("item",)

    item: LockedItem | None


class LocatedParticipants(Located):
    """Participants of a huddle; `found` None if the caller is in none of that id."""

    __slots__ = ("found",)

    found: Participants | None


def _nothing(ctx: Context) -> Target:
    return Target(itemtypes.HUDDLE, ctx.args["item"].id)


def _locate_page(ctx: Context) -> LocatedHuddle:
    seen = huddle_page.page(
        ctx.app.pages,
        ctx.reader,
        ctx.site.id,
        ctx.args["item"].id,
        ctx.identity.principal.participant_id,
        ctx.identity.ignored_profiles,
        ctx.paging,
    )
    located = LocatedHuddle(
        seen.page.target if seen else _nothing(ctx), version=seen.page.version if seen else 0
    )
    located.seen = seen
    return located


def _locate_locked(ctx: Context) -> LockedLocated:
    tx, site_id, me = ctx.writer, ctx.site.id, ctx.identity.principal.participant_id
    found = item.lock(tx, site_id, itemtypes.HUDDLE, ctx.args["item"].id, me)
    target = item.target(tx, site_id, found, me) if found else _nothing(ctx)
    located = LockedLocated(target, version=found.version if found else 0)
    located.item = found
    return located


def _locate_participants(ctx: Context, one: int | None = None) -> LocatedParticipants:
    found = huddle_page.participants(
        ctx.reader,
        ctx.site.id,
        ctx.args["item"].id,
        ctx.identity.principal.participant_id,
        ctx.paging,
        one=one,
    )
    located = LocatedParticipants(
        found.target if found else _nothing(ctx), version=found.version if found else 0
    )
    located.found = found
    return located


def _required(ctx: Context) -> LockedItem:
    found: LockedItem | None = ctx.located.item
    if found is None:
        raise NotFound("There is no such huddle")
    return found


def _ids(sent: list[ParticipantBody] | UnsetType) -> set[int]:
    named = body.given(sent, [])
    return huddle.ids_of([body.given(one.id, 0) for one in named])


# ---------------------------------------------------------------- huddles


class HuddlesHandler(Handler):
    """The caller's own huddles."""

    allow = "OPTIONS,GET,HEAD,POST"
    required_keys: ClassVar = {"POST": ("title",)}

    def locate(self, ctx: Context) -> Located:
        return Located(Target(itemtypes.HUDDLE))

    @needs(
        ANYONE,
        answer=schemas.Huddles,
        paged=True,
        params=(Param("unread", bool, "Only those with something unread."),),
    )
    def get(self, ctx: Context) -> Result:
        """Last activity first, without ignored ones and those begun by somebody whom the caller ignores. No guest's."""
        identity, at = ctx.identity, ctx.paging
        total = 0
        entries: list[huddle_page.Entry] = []
        if not identity.is_guest:
            total, entries = huddle_page.own(
                ctx.reader,
                ctx.site.id,
                identity.principal.participant_id,
                identity.ignored_profiles,
                identity.ignored_items,
                at,
                unread=ctx.query.get("unread", "").lower() == "true",
            )
        paging.check(total, at)

        def build() -> bytes:
            found = huddle_page.summaries(ctx.reader, ctx.app.documents, ctx.site.id, entries)
            page = paging.page(found, total, at, ctx.path, ctx.path, ctx.query_string, ctx.pairs)
            own = json_fragments.dumps(ctx.own_href)
            return b'{"huddles":%b,"meta":{"links":[{"rel":"self","href":%b}]}}' % (page, own)

        stamp = ([entry.stamp for entry in entries], total, ctx.query_string)
        return Page(0, stamp, build, is_kept=False)

    @needs(CREATE, body=HuddleBody, status=302)
    def post(self, ctx: Context) -> Result:
        """Begin a huddle with `participants`; the caller is always in it. The same title again at once is the first."""
        sent: HuddleBody = ctx.body
        if ctx.identity.huddles_closed:
            raise Forbidden(_CLOSED, code=NO_CREATE)
        title = text.title(None if isinstance(sent.title, UnsetType) else sent.title, "title", 150)
        id = huddle.insert(
            ctx.writer,
            ctx.author,
            title,
            _ids(sent.participants),
            is_confidential=body.given(sent.isConfidential, False),
        )
        return Found(itemtypes.href(itemtypes.HUDDLE, id))


class HuddleHandler(Handler):
    """One huddle with a page of its comments; there for its participants alone."""

    allow = "OPTIONS,GET,HEAD,DELETE"

    def locate(self, ctx: Context) -> Located:
        return _locate_locked(ctx) if ctx.is_write else _locate_page(ctx)

    @needs(READ, answer=schemas.Huddle, paged=True)
    def get(self, ctx: Context) -> Result:
        """The huddle and a page of its comments, oldest first; reading marks it read."""
        seen: Seen | None = ctx.located.seen
        if seen is None:
            raise NotFound("There is no such huddle")
        found, at = seen.page, ctx.paging
        paging.check(found.total, at)
        site_id, me = ctx.site.id, ctx.identity.profile_id
        if seen.is_unread and not ctx.is_head:
            with contextlib.suppress(NoRoom), ctx.aside() as tx:
                huddle_page.mark_read(tx, site_id, seen, me, at)
        is_ignored = found.id in ctx.identity.ignored_items
        permission = evaluator.as_json(ctx.can)
        own = comment_page.Own.of(ctx.identity.principal, found.target, ctx.tree, found.reacted)

        def comments_page(items: bytes) -> bytes:
            return paging.page(
                items, found.total, at, "/api/v1/comments", ctx.path, ctx.query_string, ctx.pairs
            )

        def build() -> bytes:
            return huddle_page.detail(
                ctx.reader,
                ctx.app.documents,
                site_id,
                seen,
                comments_page,
                permission,
                is_ignored=is_ignored,
                own=own,
            )

        of_comments = own and own.stamp(found.comments)
        stamp = (seen.stamp, of_comments, is_ignored, ctx.can, ctx.path, ctx.query_string)
        return Page(found.version, stamp, build)

    @needs(DELETE)
    def delete(self, ctx: Context) -> Result:
        """Leave it. The others stay; with the last one it goes."""
        huddle.leave(ctx.writer, ctx.author, _required(ctx))
        return Done()


# ---------------------------------------------------------------- participants


class ParticipantsHandler(Handler):
    """Who is in a huddle."""

    allow = "OPTIONS,GET,HEAD,PUT"
    leads_to: ClassVar = {"PUT": "/api/v1/huddles/<huddle:item>"}

    def locate(self, ctx: Context) -> Located:
        return _locate_locked(ctx) if ctx.is_write else _locate_participants(ctx)

    @needs(READ, answer=schemas.Participants, paged=True)
    def get(self, ctx: Context) -> Result:
        """By id."""
        found: Participants | None = ctx.located.found
        if found is None:
            raise NotFound("There is no such huddle")
        at = ctx.paging
        paging.check(found.total, at)

        def build() -> bytes:
            entries = huddle_page.participant_documents(
                ctx.reader, ctx.app.documents, ctx.site.id, found.versions
            )
            page = paging.page(
                b"[%b]" % b",".join(entries),
                found.total,
                at,
                ctx.path,
                ctx.path,
                ctx.query_string,
                ctx.pairs,
            )
            return b'{"participants":%b,"meta":{}}' % page

        stamp = (tuple(found.versions.items()), found.total, ctx.query_string)
        return Page(found.version, stamp, build)

    @needs(UPDATE, body=list[ParticipantBody], status=302)
    def put(self, ctx: Context) -> Result:
        """Add people: all of them or nobody. Those in it already stay; one who ignores the caller is left out."""
        found = _required(ctx)
        _add(ctx, found, _ids(ctx.body))
        return Found(itemtypes.href(itemtypes.HUDDLE, found.id))


class ParticipantHandler(Handler):
    """One participant of a huddle."""

    allow = "OPTIONS,GET,HEAD,PUT,DELETE"

    def locate(self, ctx: Context) -> Located:
        if ctx.is_write:
            return _locate_locked(ctx)
        return _locate_participants(ctx, ctx.args["profileId"].id)

    @needs(READ, answer=schemas.Participant)
    def get(self, ctx: Context) -> Result:
        """The participant; 404 if that profile is not in the huddle."""
        found: Participants | None = ctx.located.found
        if found is None or not found.versions:
            raise NotFound("There is no such participant")

        def build() -> bytes:
            (one,) = huddle_page.participant_documents(
                ctx.reader, ctx.app.documents, ctx.site.id, found.versions
            )
            return one

        return Page(found.version, tuple(found.versions.items()), build)

    @needs(UPDATE, status=302)
    def put(self, ctx: Context) -> Result:
        """Add one profile; nothing changes if it is in the huddle already."""
        found = _required(ctx)
        _add(ctx, found, huddle.ids_of([ctx.args["profileId"].id]))
        return Found(ctx.path)

    @needs(DELETE)
    def delete(self, ctx: Context) -> Result:
        """Leave the huddle; nobody can be removed by another."""
        found = _required(ctx)
        if ctx.args["profileId"].id != ctx.identity.profile_id:
            raise Invalid("profileId", "Only the participant in question can leave a huddle")
        huddle.leave(ctx.writer, ctx.author, found)
        return Done()


def _add(ctx: Context, found: LockedItem, ids: set[int]) -> None:
    """Add people unless the circle is closed (C-37)."""
    is_confidential, present = huddle.state(ctx.writer, ctx.site.id, found.id)
    if is_confidential:
        raise Forbidden("Nobody can be added to a confidential huddle", code=NO_UPDATE)
    huddle.add(ctx.writer, ctx.author, found, ids, present)


# ---------------------------------------------------------------- where to go on reading


class HuddleLastCommentHandler(Handler):
    """The page of a huddle that holds its last comment."""

    allow = "OPTIONS,GET,HEAD"
    is_newest = True

    def locate(self, ctx: Context) -> Located:
        return _locate_participants(ctx)

    @needs(READ, status=307, paged=True)
    def get(self, ctx: Context) -> Result:
        """307 to the huddle's page that holds the comment; to the huddle itself while it has none."""
        if ctx.located.found is None:
            raise NotFound("There is no such huddle")
        href = item_page.redirect(
            ctx.reader,
            ctx.site.id,
            itemtypes.HUDDLE,
            ctx.args["item"].id,
            ctx.identity.profile_id,
            ctx.identity.ignored_profiles,
            ctx.paging.limit,
            ctx.pairs,
            newest=self.is_newest,
        )
        return TemporaryRedirect(href)


class HuddleNewCommentHandler(HuddleLastCommentHandler):
    """The page of a huddle that holds the first comment the caller has not read."""

    is_newest = False
