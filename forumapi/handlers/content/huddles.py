"""Huddles: private conversations among their participants. Wire: docs/api/huddles.md."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import ClassVar, Final

from forumapi import itemtypes
from forumapi.errors import NO_CREATE, OUT_OF_RANGE, Forbidden, Invalid, NoRoom, NotFound
from forumapi.handlers.content.last_and_new_comment_redirects import LastCommentHandler
from forumapi.models.content import comment_documents, huddle_page
from forumapi.models.content.huddle import Huddle
from forumapi.models.content.huddle_page import HuddleView, Participants
from forumapi.models.texts import text_rendering
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Target
from forumapi.request.context import Context, Located, LocatedObject
from forumapi.request.handler import ANYONE, CREATE, DELETE, READ, UPDATE, Handler, Param, needs
from forumapi.request.handler_results import Done, Found, Page, Result
from forumapi.wire import body, paging
from forumapi.wire.body import UNSET, Body, UnsetType
from forumapi.wire.schemas.content import huddles as schemas

_CLOSED: Final = (
    "Huddles are closed to this provider until you confirm the sign-in by the mail that you got"
)


class ParticipantBody(Body):
    """A profile to add to a huddle, by its id."""

    id: int | UnsetType = UNSET


class HuddleBody(Body):
    """A huddle as a client sends it (content 8.3). `isConfidential`: nobody can be added to it later, false when
    absent; `participants`: the profiles that are in it beside the caller.
    """

    title: str | UnsetType = UNSET
    isConfidential: bool | UnsetType = UNSET
    participants: list[ParticipantBody] | UnsetType = UNSET


# ---------------------------------------------------------------- locating: a huddle exists for its participants alone


class ShownHuddle(LocatedObject[HuddleView]):
    """Huddle that the address names, with a page of its comments, read without a lock; no object if the caller is not
    in it.
    """

    noun = "huddle"


class LockedHuddle(LocatedObject[Huddle]):
    """Huddle that the address names, locked for writing; no object if the caller is not in it."""

    noun = "huddle"


class ShownParticipants(LocatedObject[Participants]):
    """Page of participants of the huddle that the address names; no object if the caller is not in the huddle."""

    noun = "huddle"


def _nothing(ctx: Context) -> Target:
    return Target(itemtypes.HUDDLE, ctx.args["item"].id)


def _locate_page(ctx: Context) -> ShownHuddle:
    view = huddle_page.page(
        ctx.app.pages,
        ctx.reader,
        ctx.site.id,
        ctx.args["item"].id,
        ctx.identity.principal.participant_id,
        ctx.identity.ignored_profiles,
        ctx.paging,
    )
    if view is None:
        return ShownHuddle(None, _nothing(ctx))
    return ShownHuddle(view, view.page.target, version=view.page.version)


def _locate_locked(ctx: Context) -> LockedHuddle:
    me = ctx.identity.principal.participant_id
    huddle = Huddle.lock(ctx.writer, ctx.site.id, ctx.args["item"], me)
    if huddle is None:
        return LockedHuddle(None, _nothing(ctx))
    return LockedHuddle(huddle, huddle.target(ctx.writer, ctx.author), version=huddle.version)


def _locate_participants(ctx: Context, one: int | None = None) -> ShownParticipants:
    participants = huddle_page.participants(
        ctx.reader,
        ctx.site.id,
        ctx.args["item"].id,
        ctx.identity.principal.participant_id,
        ctx.paging,
        one=one,
    )
    if participants is None:
        return ShownParticipants(None, _nothing(ctx))
    return ShownParticipants(participants, participants.target, version=participants.version)


def _profile_ids(sent: list[ParticipantBody] | UnsetType) -> set[int]:
    """Return the ids of the profiles in a body, each once; none for an absent list. Raises Invalid for a missing id or
    one below 1.
    """
    ids = [body.given(participant.id, 0) for participant in body.given(sent, [])]
    for position, id in enumerate(ids):
        if id < 1:
            raise Invalid(f"[{position}].id", "must be the id of a profile", code=OUT_OF_RANGE)
    return set(ids)


# ---------------------------------------------------------------- huddles


class HuddlesHandler(Handler):
    """The caller's own huddles."""

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
        """The huddles that the caller is in, those with the latest activity first; none for guests.

        With `unread=true` only huddles with comments that the caller has not read; any other value counts as false.
        Ignored huddles and those begun by ignored profiles are left out.
        """
        identity, at = ctx.identity, ctx.paging
        total = 0
        entries: list[huddle_page.HuddleRow] = []
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
            summaries = huddle_page.summaries(ctx.reader, ctx.app.documents, ctx.site.id, entries)
            return ctx.listed("huddles", summaries, total)

        stamp = ([entry.stamp for entry in entries], total, ctx.query_string)
        return Page(0, stamp, build, is_kept=False)

    @needs(CREATE, body=HuddleBody, status=302)
    def post(self, ctx: Context, sent: HuddleBody) -> Result:
        """Begin a huddle of the caller and the profiles in `participants`.

        Profiles that ignore the caller are silently left out. The same title, sent again by the caller within 5 seconds
        with whatever participants, leads to the huddle that exists, unless the caller has left that. 404 for an unknown
        profile, 400 for a bad title and for more than 100 participants, the caller and the profiles that are left out
        counted.

        403 for a caller whose sign-in, by the site owner's provider, opens no huddles yet. Answers 302 to the huddle.
        """
        if ctx.identity.huddles_closed:
            raise Forbidden(_CLOSED, code=NO_CREATE)
        title = text_rendering.title(
            None if isinstance(sent.title, UnsetType) else sent.title, "title", 150
        )
        huddle = Huddle(
            itemtypes.HUDDLE,
            0,
            title,
            is_confidential=body.given(sent.isConfidential, False),
            participants=_profile_ids(sent.participants),
        )
        huddle.insert(ctx.writer, ctx.author)
        return Found(huddle.href)


class HuddleHandler(Handler):
    """One huddle with a page of its comments; 403 for all but its participants, as for an unknown id."""

    def locate(self, ctx: Context) -> Located:
        return _locate_locked(ctx) if ctx.is_write else _locate_page(ctx)

    @needs(READ, answer=schemas.Huddle, paged=True)
    def get(self, ctx: Context) -> Result:
        """The huddle and a page of its comments, oldest first; marks the comments of that page as read."""
        view = ctx.located_as(ShownHuddle).required()
        page, at = view.page, ctx.paging
        paging.check(page.total, at)
        site_id, me = ctx.site.id, ctx.identity.profile_id
        if view.is_unread and not ctx.is_head:
            with contextlib.suppress(NoRoom), ctx.aside() as tx:
                huddle_page.mark_read(tx, site_id, view, me, at)
        is_ignored = page.id in ctx.identity.ignored_items
        permission = evaluator.as_json(ctx.can)
        rights = comment_documents.CommentRights.of(
            ctx.identity.principal, page.target, ctx.tree, page.reacted, view.viewer.bookmarked
        )

        comments_page = partial(ctx.page, total=page.total, type_path="/api/v1/comments")

        def build() -> bytes:
            return huddle_page.detail(
                ctx.reader,
                ctx.app.documents,
                site_id,
                view,
                comments_page,
                permission,
                is_ignored=is_ignored,
                rights=rights,
            )

        of_comments = rights and rights.stamp(page.comments)
        stamp = (view.stamp, of_comments, is_ignored, ctx.can, ctx.path, ctx.query_string)
        return Page(page.version, stamp, build)

    @needs(DELETE)
    def delete(self, ctx: Context) -> Result:
        """Take the caller out of the huddle; other participants stay.

        A huddle that nobody is in any more is deleted at night.
        """
        ctx.located_as(LockedHuddle).required().leave(ctx.writer, ctx.author)
        return Done()


# ---------------------------------------------------------------- participants


class ParticipantsHandler(Handler):
    """Participants of a huddle."""

    leads_to: ClassVar = {"PUT": "/api/v1/huddles/<huddle:item>"}

    def locate(self, ctx: Context) -> Located:
        return _locate_locked(ctx) if ctx.is_write else _locate_participants(ctx)

    @needs(READ, answer=schemas.Participants, paged=True)
    def get(self, ctx: Context) -> Result:
        """The participants of the huddle, sorted by profile id."""
        participants = ctx.located_as(ShownParticipants).required()
        at = ctx.paging
        paging.check(participants.total, at)

        def build() -> bytes:
            entries = huddle_page.participant_documents(
                ctx.reader, ctx.app.documents, ctx.site.id, participants.versions
            )
            page = ctx.page(b"[%b]" % b",".join(entries), participants.total)
            return b'{"participants":%b,"meta":{}}' % page

        stamp = (tuple(participants.versions.items()), participants.total, ctx.query_string)
        return Page(participants.version, stamp, build)

    @needs(UPDATE, body=list[ParticipantBody], status=302)
    def put(self, ctx: Context, sent: list[ParticipantBody]) -> Result:
        """Add the sent profiles to the huddle, all or none; none is removed.

        Profiles that ignore the caller are silently left out. 403 for a confidential huddle, 404 for an unknown
        profile, 400 for more than 100 sent profiles, and if the huddle would have more than 100 participants, the
        profiles that are left out counted. Answers 302 to the huddle.
        """
        huddle = ctx.located_as(LockedHuddle).required()
        huddle.add(ctx.writer, ctx.author, _profile_ids(sent))
        return Found(huddle.href)


class ParticipantHandler(Handler):
    """One participant of a huddle."""

    def locate(self, ctx: Context) -> Located:
        if ctx.is_write:
            return _locate_locked(ctx)
        return _locate_participants(ctx, ctx.args["profileId"].id)

    @needs(READ, answer=schemas.Participant)
    def get(self, ctx: Context) -> Result:
        """The participant; 404 if that profile is not in the huddle, 403 if the caller is not."""
        participants = ctx.located_as(ShownParticipants).object
        if participants is None or not participants.versions:
            raise NotFound("There is no such participant")

        def build() -> bytes:
            (document,) = huddle_page.participant_documents(
                ctx.reader, ctx.app.documents, ctx.site.id, participants.versions
            )
            return document

        return Page(participants.version, tuple(participants.versions.items()), build)

    @needs(UPDATE, status=302)
    def put(self, ctx: Context) -> Result:
        """Add the profile in the address to the huddle; nothing changes if it is a participant already, or ignores the
        caller.

        403 for a confidential huddle, 404 for an unknown profile, 400 beyond 100 participants. Answers 302 to the
        participant.
        """
        added = ParticipantBody(id=ctx.args["profileId"].id)
        huddle = ctx.located_as(LockedHuddle).required()
        huddle.add(ctx.writer, ctx.author, _profile_ids([added]))
        return Found(ctx.path)

    @needs(DELETE)
    def delete(self, ctx: Context) -> Result:
        """Take the profile in the address out of the huddle; 400 for any other profile than the caller's own."""
        huddle = ctx.located_as(LockedHuddle).required()
        if ctx.args["profileId"].id != ctx.identity.profile_id:
            raise Invalid("profileId", "Participants can only remove themselves from a huddle")
        huddle.leave(ctx.writer, ctx.author)
        return Done()


# ---------------------------------------------------------------- where to go on reading


class HuddleLastCommentHandler(LastCommentHandler):
    """Redirect to the page of a huddle that holds its last comment."""

    def locate(self, ctx: Context) -> Located:
        return _locate_participants(ctx)


class HuddleNewCommentHandler(HuddleLastCommentHandler):
    """Redirect to the page of a huddle that holds the first comment that the caller has not read; to the page with the
    last one if all are read.
    """

    is_newest = False
