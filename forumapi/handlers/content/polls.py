"""Polls: items with a question, choices and votes. Wire: docs/api/polls.md."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import NO_READ, Forbidden, Invalid
from forumapi.handlers.content import attached_to, items
from forumapi.handlers.content.items import ItemBody, ItemHandler, ItemsHandler
from forumapi.models.content import item, poll, poll_writing
from forumapi.models.content.poll_writing import ChoiceBody, Stored
from forumapi.models.people import profile
from forumapi.permissions.evaluator import MODERATOR
from forumapi.request.context import Context, Located
from forumapi.request.handler import (
    CREATE,
    READ,
    UPDATE,
    Handler,
    needs,
)
from forumapi.request.response import Page, Result
from forumapi.wire import json_fragments, paging, schemas
from forumapi.wire.body import given


class PollBody(ItemBody):
    """A poll as a client sends it (content 6.3)."""

    question: str | UnsetType = UNSET
    choices: list[ChoiceBody] | UnsetType = UNSET
    multi: bool | UnsetType = UNSET
    pollOpen: bool | UnsetType = UNSET
    pollCloses: str | UnsetType = UNSET
    named: bool | UnsetType = UNSET
    results: str | UnsetType = UNSET


class VoteBody(Struct):
    """A choice that is voted for."""

    id: int | UnsetType = UNSET


class PollHandler(ItemHandler):
    """One poll with a page of its comments."""

    allow = "OPTIONS,HEAD,GET,PUT,PATCH,DELETE"

    @needs(READ, answer=schemas.Poll, paged=True)
    def get(self, ctx: Context) -> Result:
        """The poll and a page of its comments, oldest first; reading marks it read."""
        return items.show(ctx)

    @needs(UPDATE, body=PollBody, status=302)
    def put(self, ctx: Context) -> Result:
        """Change the poll or move it to another microcosm; needs meta.editReason. A choice that is left out is removed
        with its votes."""
        found = items.required(ctx)
        change = items.change(ctx)
        before = poll_writing.stored(ctx.writer, ctx.site.id, found.id)
        made = poll_writing.checked(ctx.body, before)
        item.update(ctx.writer, ctx.author, found, *change)
        poll_writing.update(ctx.writer, ctx.site.id, found.id, before, made)
        return items.here(ctx)


class PollsHandler(ItemsHandler):
    """The site's polls, across its microcosms."""

    allow = "OPTIONS,POST,HEAD,GET"
    required_keys: ClassVar = {"POST": ("microcosmId", "title", "question", "choices")}
    item_type = itemtypes.POLL

    @needs(READ, answer=schemas.Polls, paged=True)
    def get(self, ctx: Context) -> Result:
        """Sticky ones first, then by last activity; only what the caller may read and does not ignore."""
        return items.list_items(ctx, self.item_type, "polls")

    @needs(CREATE, body=PollBody, status=302)
    def post(self, ctx: Context) -> Result:
        """Ask something. The same question again within minutes leads to the first."""
        made = poll_writing.checked(ctx.body, Stored(), is_new=True)
        return items.create(ctx, self.item_type, poll_writing.new(made))


class VotesHandler(Handler):
    """The votes of a poll."""

    allow = "OPTIONS,GET,HEAD,PUT"
    leads_to: ClassVar = {"PUT": "/api/v1/polls/<poll:item>"}

    def locate(self, ctx: Context) -> Located:
        return items.locate_locked(ctx) if ctx.is_write else attached_to.find(ctx)

    @needs(READ, answer=schemas.Votes, paged=True)
    def get(self, ctx: Context) -> Result:
        """Who voted for what, in a named poll whose results the caller may see; 403 for everybody in any other."""
        attached_to.check(ctx)
        site_id, id, at = ctx.site.id, ctx.args["item"].id, ctx.paging
        found = poll_writing.stored(ctx.reader, site_id, id, ctx.identity.user_id)
        if not found.is_named:
            raise Forbidden("Nobody is told who voted in this poll", code=NO_READ)
        has_voted = found.ballot is not None
        if not poll.shows_results(found.results, is_open=found.takes_votes, has_voted=has_voted):
            raise Forbidden("The results of this poll are not shown yet", code=NO_READ)
        paging.check(found.voter_count, at)
        rows = ctx.reader.rows(
            poll_writing.VOTES, site_id=site_id, item_id=id, limit=at.limit, offset=at.offset
        )

        def build() -> bytes:
            versions = {row[0]: row[1] for row in rows}
            people = ctx.app.documents.fetch(ctx.reader, site_id, {profile.SUMMARY: versions})
            known = people[profile.SUMMARY]
            entries = [
                {
                    "voter": json_fragments.raw(known[row[0]][0]),
                    "choices": sorted(row[2]),
                    "created": json_fragments.when(row[3]),
                }
                for row in rows
                if row[0] in known
            ]
            page = paging.page(
                json_fragments.dumps(entries),
                found.voter_count,
                at,
                ctx.path,
                ctx.path,
                ctx.query_string,
                ctx.pairs,
            )
            links = json_fragments.dumps([{"rel": "self", "href": ctx.own_href}])
            return b'{"votes":%b,"meta":{"links":%b}}' % (page, links)

        stamp = [(*row[:3], json_fragments.when(row[3])) for row in rows]
        return Page(0, (stamp, found.voter_count, ctx.path, ctx.query_string), build)

    @needs(CREATE, body=list[VoteBody], status=302)
    def put(self, ctx: Context) -> Result:
        """The caller's ballot: these choices and no others; an empty list withdraws it."""
        found = items.required(ctx)
        attached_to.check_signed_in(ctx)
        chosen = [given(vote.id, 0) for vote in ctx.body]
        if len(chosen) > poll_writing.MAX_CHOICES:
            raise Invalid("", f"At most {poll_writing.MAX_CHOICES} choices may be named")
        poll_writing.vote(
            ctx.writer,
            ctx.author,
            ctx.identity.user_id,
            found,
            chosen,
            is_moderator=bool(ctx.can & MODERATOR),
        )
        return items.here(ctx)
