"""Dry run of an import: reads the source without a database, and says what would come, what would not, and how long it
would take.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from forumapi.porting.layout import (
    STREAMS,
    ForumReader,
    Loss,
    PortedBan,
    PortedBookmark,
    PortedComment,
    PortedConversation,
    PortedForum,
    PortedMessage,
    PortedPoll,
    PortedProfile,
    PortedRole,
    Unreadable,
)
from forumapi.porting.loading import bans, forums, value_cleaning
from forumapi.porting.loading.comments import TOO_LONG, is_too_long
from forumapi.porting.loading.distinct_ids import distinct
from forumapi.porting.loading.people import person_key
from forumapi.porting.loading.role_conversion import Rights

# Posts a second that the estimate counts on.
PACE: Final = 1_000
# Reasons of each kind that are told by themselves.
SHOWN: Final = 10


class ImportPlan(NamedTuple):
    """Result of a dry run.

    `come`, `stay`: numbers of documents by stream that would come, or be left out; `reasons`: why, the first 10 of each
    stream. `changes`: how often something would come changed, by a description in words. `unsaid`: how often texts hold
    formatting that Markdown can't express, by its name. `losses`: parts of the product's data that never come.
    `seconds`: estimate for the import.
    """

    come: dict[str, int]
    stay: dict[str, int]
    reasons: list[Unreadable]
    changes: dict[str, int]
    unsaid: dict[str, int]
    losses: tuple[Loss, ...]
    seconds: float


class Planner:
    """Dry run of an import of one reader's forum, for one call of `run`."""

    def __init__(self, reader: ForumReader) -> None:
        self._reader = reader
        self._now = datetime.datetime.now(datetime.UTC)
        self._come: Counter[str] = Counter()
        self._stay: Counter[str] = Counter()
        self._changes: Counter[str] = Counter()
        self._reasons: list[Unreadable] = []
        self._shown: Counter[str] = Counter()
        self._people: set[str] = set()
        self._forums: set[str] = set()
        self._items: set[str] = set()
        self._polls: set[str] = set()

    def run(self) -> ImportPlan:
        """Read all streams and return the result; nothing is written."""
        self._read_people()
        self._read_forums()
        self._read_conversations()
        self._read_polls()
        self._read_comments()
        self._read_messages()
        for name in STREAMS:
            if name not in ("profiles", "roles", "forums", "conversations", "polls"):
                self._read_rest(name)
        texts = self._come["comments"] + self._come["messages"]
        return ImportPlan(
            dict(self._come),
            dict(self._stay),
            self._reasons,
            dict(self._changes),
            dict(self._reader.unsaid()),
            self._reader.losses,
            texts / PACE,
        )

    def _left(self, stream: str, kind: str, id: str, reason: str) -> None:
        self._stay[stream] += 1
        self._shown[stream] += 1
        if self._shown[stream] <= SHOWN:
            self._reasons.append(Unreadable(kind=kind, id=id, reason=reason))

    def _bad(self, stream: str, one: object) -> bool:
        """Return True for a row that the reader could not read, and count it as left out of the stream; False for a
        document.
        """
        if not isinstance(one, Unreadable):
            return False
        self._left(stream, one.kind, one.id, one.reason)
        return True

    def _read_people(self) -> None:
        keys: set[str] = set()
        names: set[str] = set()
        for one in distinct("profile", self._reader.profiles()):
            if self._bad("profiles", one):
                continue
            assert isinstance(one, PortedProfile)
            name = value_cleaning.name(one.name)
            if not name:
                self._left("profiles", "profile", one.id, "name: is empty")
                continue
            self._come["profiles"] += 1
            self._people.add(one.id)
            self._changes[
                "fields that an owner vouched for, which roles count if you name them"
            ] += sum(field.is_granted for field in one.attributes)
            key = person_key(one.email)
            if not key:
                self._changes["people without an address, whom nobody can become"] += 1
            elif key in keys:
                self._changes["people with another's address, who become one with them"] += 1
                continue
            keys.add(key)
            if name != value_cleaning.line(one.name):
                self._changes["names with a space, @ or + in them, which become _"] += 1
            if name.lower() in names:
                self._changes["names that differ in case alone, which get a number"] += 1
            names.add(name.lower())

    def _read_forums(self) -> None:
        roles = [one for one in self._reader.roles() if not self._bad("roles", one)]
        given = [one for one in self._reader.forums() if not self._bad("forums", one)]
        placed, circling = forums.acyclic([one for one in given if isinstance(one, PortedForum)])
        for bad in circling:
            self._left("forums", bad.kind, bad.id, bad.reason)
        rights = Rights([one for one in roles if isinstance(one, PortedRole)], placed)
        self._come["roles"] = len(roles)
        for forum in placed:
            self._come["forums"] += 1
            self._forums.add(forum.id)
            found = rights.of(forum)
            self._changes["moderators with their rights in one forum, not below it"] += len(
                found.reduced
            )
            self._changes[
                "moderators who lose their rights in a forum that inherits its roles"
            ] += len(found.without_rights)
            self._changes["forums that held new posts for approval, and show them at once"] += (
                forum.holds_posts
            )

    def _read_conversations(self) -> None:
        for one in distinct("conversation", self._reader.conversations()):
            if self._bad("conversations", one):
                continue
            assert isinstance(one, PortedConversation)
            if one.forum_id not in self._forums:
                reason = f"forumId: forum {one.forum_id} would not come"
                self._left("conversations", "conversation", one.id, reason)
                continue
            self._come["conversations"] += 1
            self._items.add(one.id)
            self._author(one.author)

    def _read_polls(self) -> None:
        for one in distinct("poll", self._reader.polls()):
            if self._bad("polls", one):
                continue
            assert isinstance(one, PortedPoll)
            is_there = (
                one.conversation_id in self._items
                if one.conversation_id
                else one.forum_id in self._forums
            )
            if not is_there:
                self._left("polls", "poll", one.id, "where it stands would not come")
                continue
            self._come["polls"] += 1
            self._polls.add(one.id)
            if one.max_choices > 1 and one.max_choices < len(one.choices):
                self._changes["polls with a limit of choices, which take any number"] += 1

    def _read_comments(self) -> None:
        for one in distinct("comment", self._reader.comments()):
            if self._bad("comments", one):
                continue
            assert isinstance(one, PortedComment)
            places = {
                "profile": self._people,
                "poll": self._polls,
            }.get(one.on_type, self._items)
            if is_too_long(one.versions):
                self._left("comments", "comment", one.id, TOO_LONG)
                continue
            if one.on_id not in places:
                reason = f"onId: {one.on_type} {one.on_id} would not come"
                self._left("comments", "comment", one.id, reason)
                continue
            self._come["comments"] += 1
            self._author(one.author)

    def _read_messages(self) -> None:
        for one in distinct("message", self._reader.messages()):
            if self._bad("messages", one):
                continue
            assert isinstance(one, PortedMessage)
            having = [person.id for person in (*one.to, *one.bcc) if not person.is_deleted]
            having += [one.author] if not one.is_deleted else []
            if is_too_long(one.versions):
                self._left("messages", "message", one.id, TOO_LONG)
                continue
            if not any(id in self._people for id in having):
                self._left("messages", "message", one.id, "to: nobody who has a copy would come")
                continue
            self._come["messages"] += 1

    def _read_rest(self, name: str) -> None:
        if name in ("comments", "messages"):
            return
        stream = (
            bans.with_marked(self._reader, self._now)
            if name == "bans"
            else getattr(self._reader, name)()
        )
        if name == "attachments":
            stream = distinct("attachment", stream)
        for one in stream:
            if self._bad(name, one):
                continue
            if name in ("warnings", "reports"):
                id = getattr(one, "id", "") or getattr(one, "profile", "")
                self._left(name, name.removesuffix("s"), id, "there is no place for it here")
            elif isinstance(one, PortedBan) and (reason := self._reason_against(one)):
                self._left(name, "ban", bans.left_out_as(one), reason)
            else:
                self._come[name] += 1
                if isinstance(one, PortedBookmark) and one.text:
                    self._changes["bookmarks with a note, which come without it"] += 1

    def _reason_against(self, ban: PortedBan) -> str:
        """Return the reason for which a ban would be left out, "" for a ban that would come."""
        if bans.is_over(ban, self._now):
            return "expires: is over"
        return bans.reason_against(ban, is_there=ban.profile in self._people)

    def _author(self, id: str) -> None:
        if id not in self._people:
            self._changes["texts of guests and of accounts that are gone"] += 1


def lines(plan: ImportPlan) -> Iterator[str]:
    """Yield the lines of text in which a plan is printed for the operator, without line feeds."""
    yield f"{'':16}{'comes':>10}{'stays':>10}"
    for name in STREAMS:
        if plan.come.get(name) or plan.stay.get(name):
            yield f"{name:16}{plan.come.get(name, 0):>10,}{plan.stay.get(name, 0):>10,}"
    for title, counted in (
        ("comes changed:", plan.changes),
        ("texts hold what Markdown cannot say:", plan.unsaid),
    ):
        if any(counted.values()):
            yield title
            yield from (
                f"  {count:>8,}  {what}" for what, count in sorted(counted.items()) if count
            )
    if plan.losses:
        yield "never comes:"
        yield from (f"  {loss.subject}: {loss.reason}" for loss in plan.losses)
    if plan.reasons:
        yield f"stays, the first {SHOWN} of each kind:"
        yield from (f"  {one.kind} {one.id}: {one.reason}" for one in plan.reasons)
    minutes = plan.seconds / 60
    yield f"about {minutes:,.0f} minutes" if minutes >= 1 else "less than a minute"
