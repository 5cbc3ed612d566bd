"""Polls: items with a question, choices and votes. Wire: docs/api/polls.md."""

from __future__ import annotations

import functools
from typing import Annotated, ClassVar

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import NO_READ, Forbidden, Invalid
from forumapi.handlers.content import carrier_lookup, item_base
from forumapi.handlers.content.item_base import ItemBody, ItemHandler, ItemsHandler
from forumapi.models.content.poll import (
    MAX_CHOICES,
    RESULTS,
    VOTES,
    ChoiceBody,
    Poll,
    PollDetails,
    checked,
    read_details,
    shows_results,
)
from forumapi.models.people import profile_summary
from forumapi.permissions.evaluator import MODERATOR
from forumapi.request.context import Context, Located
from forumapi.request.handler import CREATE, READ, UPDATE, Handler, needs
from forumapi.request.handler_results import Found, Page, Result
from forumapi.wire import json_fragments, paging
from forumapi.wire.body import given
from forumapi.wire.openapi_enums import closed
from forumapi.wire.schemas.content import polls as schemas


class PollBody(ItemBody):
    """A poll as a client sends it (content 6.3). `multi`: a person may vote for several choices; `pollOpen`: votes are
    taken, until the time `pollCloses` if that is set ("" for none); `named`: others see who voted for what; `results`:
    when the results are shown (always, to a viewer who has voted, or once the poll is closed).
    """

    question: str | UnsetType = UNSET
    choices: list[ChoiceBody] | UnsetType = UNSET
    multi: bool | UnsetType = UNSET
    pollOpen: bool | UnsetType = UNSET
    pollCloses: str | UnsetType = UNSET
    named: bool | UnsetType = UNSET
    results: Annotated[str, closed(RESULTS)] | UnsetType = UNSET


class VoteBody(Struct):
    """Choice to vote for, by its id."""

    id: int | UnsetType = UNSET


class PollHandler(ItemHandler):
    """One poll with a page of its comments."""

    model = Poll
    allow = "OPTIONS,HEAD,GET,PUT,PATCH,DELETE"

    @needs(READ, answer=schemas.Poll, paged=True)
    def get(self, ctx: Context) -> Result:
        """The poll and a page of its comments, oldest first; marks the comments of that page as read."""
        return item_base.show(ctx)

    @needs(UPDATE, body=PollBody, status=302)
    def put(self, ctx: Context, sent: PollBody) -> Result:
        """Change the poll, or move it to another microcosm; keys that are not sent stay, meta.editReason is required.

        If `choices` is sent, a stored choice whose id is not among them is removed, with its votes, and one that is
        sent without an id is new; 400 for an id of no choice of this poll. 400 if the poll is to allow one choice only
        and somebody has voted for several, and if `named` is to change and anybody has voted. Answers 302 to the poll.
        """
        poll = item_base.required(ctx, Poll)
        change = item_base.change(ctx, sent)
        before = read_details(ctx.writer, ctx.site.id, poll.id)
        poll.details = checked(sent, before)
        poll.update(ctx.writer, ctx.author, change)
        item_base.hold_edited(ctx, poll)
        return Found(poll.href)


class PollsHandler(ItemsHandler):
    """The site's polls, in all of its microcosms."""

    allow = "OPTIONS,POST,HEAD,GET"
    required_keys: ClassVar = {"POST": ("microcosmId", "title", "question", "choices")}
    item_type = itemtypes.POLL

    @needs(READ, answer=schemas.Polls, paged=True, params=(item_base.IN_MICROCOSM,))
    def get(self, ctx: Context) -> Result:
        """Polls that the caller may read and does not ignore: sticky ones first, then the latest active; with
        `microcosmId` only those directly in that microcosm, not those below it.
        """
        return item_base.list_items(ctx, self.item_type, "polls")

    @needs(CREATE, body=PollBody, status=302)
    def post(self, ctx: Context, sent: PollBody) -> Result:
        """Begin a poll in a microcosm.

        If the same author began a poll of the same title and question there within the last five minutes, or the time
        that this installation sets, and it is not deleted, no other is begun: the answer leads to that one. Answers 302
        to the poll.
        """
        details = checked(sent, PollDetails(), is_new=True)
        return item_base.create(ctx, sent, self.item_type, functools.partial(Poll, details=details))


class VotesHandler(Handler):
    """The ballots of a poll: GET shows those of all voters, PUT replaces the caller's own."""

    leads_to: ClassVar = {"PUT": "/api/v1/polls/<poll:item>"}

    def locate(self, ctx: Context) -> Located:
        return item_base.locate_locked(ctx, Poll) if ctx.is_write else carrier_lookup.find(ctx)

    @needs(READ, answer=schemas.Votes, paged=True)
    def get(self, ctx: Context) -> Result:
        """The voters, in the order of the ids of their users, each with the choices voted for; 403 unless the poll
        shows names and the caller may see its results.
        """
        carrier_lookup.check(ctx)
        site_id, id, at = ctx.site.id, ctx.args["item"].id, ctx.paging
        details = read_details(ctx.reader, site_id, id, ctx.identity.user_id)
        if not details.is_named:
            raise Forbidden("This poll does not show who voted", code=NO_READ)
        has_voted = details.ballot is not None
        if not shows_results(details.results, is_open=details.takes_votes, has_voted=has_voted):
            raise Forbidden("The results of this poll are not shown yet", code=NO_READ)
        paging.check(details.voter_count, at)
        rows = ctx.reader.rows(VOTES, site_id=site_id, item_id=id, limit=at.limit, offset=at.offset)

        def build() -> bytes:
            versions = {row[0]: row[1] for row in rows}
            people = ctx.app.documents.fetch(
                ctx.reader, site_id, {profile_summary.SUMMARY: versions}
            )
            known = people[profile_summary.SUMMARY]
            entries = [
                {
                    "voter": json_fragments.raw(known[row[0]][0]),
                    "choices": sorted(row[2]),
                    "created": json_fragments.format_time(row[3]),
                }
                for row in rows
                if row[0] in known
            ]
            return ctx.listed("votes", json_fragments.dumps(entries), details.voter_count)

        stamp = [(*row[:3], json_fragments.format_time(row[3])) for row in rows]
        return Page(0, (stamp, details.voter_count, ctx.path, ctx.query_string), build)

    @needs(CREATE, body=list[VoteBody], status=302)
    def put(self, ctx: Context, sent: list[VoteBody]) -> Result:
        """Replace the caller's ballot by the sent choices; an empty list withdraws it.

        403 for guests; 400 once voting is closed or, for all but moderators, while the poll's flag `open` is false; 400
        for a choice that is named twice or not of this poll, and for several in a poll that takes one. Answers 302 to
        the poll.
        """
        poll = item_base.required(ctx, Poll)
        carrier_lookup.check_signed_in(ctx)
        chosen = [given(vote.id, 0) for vote in sent]
        if len(chosen) > MAX_CHOICES:
            raise Invalid("", f"At most {MAX_CHOICES} choices may be named")
        poll.vote(
            ctx.writer,
            ctx.author,
            ctx.identity.user_id,
            chosen,
            is_moderator=bool(ctx.can & MODERATOR),
        )
        return Found(poll.href)
