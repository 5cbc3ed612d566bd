"""Event, poll and huddles of a demonstration site, written through the models as its people would write them."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.content import attendee, poll
from forumapi.models.content.attendee import MAYBE, NO, YES, Rsvp
from forumapi.models.content.comment import Comment, CommentParent
from forumapi.models.content.event import DEFAULT_DURATION_MIN, Event, EventDetails
from forumapi.models.content.huddle import Huddle
from forumapi.models.content.item import Item
from forumapi.models.content.poll import Poll, PollChange, PollDetails
from forumapi.models.journal.activity_buffers import ADD_VIEWS, TOUCH
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.sites.site import Site
from forumapi.models.texts import text_rendering

# Profiles in the order of joining; the owner, the moderator and the member are among the first.
PEOPLE: Final = Query(
    "demonstration_items.people",
    """
    SELECT p.profile_name, p.profile_id, p.user_id
      FROM profiles p
     WHERE p.site_id = %(site_id)s
     ORDER BY p.profile_id""",
)

PLACE: Final = Query(
    "demonstration_items.place",
    """
    SELECT m.microcosm_id
      FROM microcosms m
     WHERE m.site_id = %(site_id)s AND m.title = %(title)s""",
    unrestricted="for the demonstration, whose microcosms have known titles",
)

_OWNER: Final = "owner"
_MODERATOR: Final = "moderator"
_MEMBER: Final = "member"
_NEWCOMER: Final = "newcomer"
_BANNED: Final = "banned"
# Others who answer the event and vote; the last of them stays away.
_GUESTS: Final = 6
_SPACES: Final = 8
_VIEWS: Final = 40
# Positions of the choices that owner, moderator, member and the others vote for.
_VOTES: Final = (0, 1, 0, 0, 2, 1, 0, 1, 0)


class DemoComment(NamedTuple):
    """Comment to write: `by`, the name of a profile of the site, and its Markdown."""

    by: str
    markdown: str


@dataclass(frozen=True, slots=True)
class DemoItems:
    """Texts of the event, the poll and the huddle of a demonstration site: the title and the comments of each; an item
    is by the author of its first comment. `place`: title of the public microcosm of event and poll; `meeting`: where
    the event is; `choices`: three, of the poll; `talk`: the huddle of owner, moderator and member.
    """

    place: str
    event: str
    meeting: str
    event_lines: tuple[DemoComment, ...]
    poll: str
    question: str
    choices: tuple[str, ...]
    poll_lines: tuple[DemoComment, ...]
    talk: str
    talk_lines: tuple[DemoComment, ...]


# The newcomer has written nothing so far, and finds this.
_WELCOME: Final = "Welcome"
_WELCOME_LINES: Final = (
    DemoComment(
        _MODERATOR,
        "Good to have you here. This message is for the two of us alone: nobody else can read it.\n\n"
        "Ask me anything. To begin with, *New conversation* on the front page is for all to read.",
    ),
)


def write(tx: Transaction, site: Site, items: DemoItems, *, short_links: str) -> None:
    """Write the event with answers, the poll with votes, and two huddles into the demonstration site `site`, which has
    its people: one of owner, moderator and member, and one of moderator and newcomer, in which the moderator alone
    wrote. `short_links` as in text_rendering.prepare.
    """
    _ItemWriter(tx, site, items, short_links).write()


class _ItemWriter:
    """Writer of the event, poll and huddles of one demonstration site."""

    def __init__(self, tx: Transaction, site: Site, items: DemoItems, short_links: str) -> None:
        self._tx = tx
        self._site = site
        self._items = items
        self._short_links = short_links
        rows = tx.rows(PEOPLE, site_id=site.id)
        self._ids = {name: id for name, id, _ in rows}
        self._users = {name: user_id for name, _, user_id in rows}
        named = {_OWNER, _MODERATOR, _MEMBER, _NEWCOMER, _BANNED}
        self._guests = [name for name, _, _ in rows if name not in named][:_GUESTS]
        self._written: list[int] = []

    def write(self) -> None:
        """Write all, add views to each item, and set the time of the last activity of owner, moderator and member."""
        items = self._items
        place = int(self._tx.value(PLACE, site_id=self._site.id, title=items.place))
        event = Event(itemtypes.EVENT, place, items.event, details=_next_week(items.meeting))
        self._write_item(event, items.event_lines)
        self._answer(event)
        ballot = Poll(itemtypes.POLL, place, items.poll, details=_change(items))
        self._write_item(ballot, items.poll_lines)
        self._vote(ballot)
        self._write_huddle(items.talk, items.talk_lines, (_OWNER, _MODERATOR, _MEMBER))
        self._write_huddle(_WELCOME, _WELCOME_LINES, (_MODERATOR, _NEWCOMER))
        self._note_activity()

    def _author(self, name: str) -> Author:
        return Author(self._site.id, self._ids[name], "")

    def _write_huddle(self, title: str, lines: Sequence[DemoComment], names: Sequence[str]) -> None:
        others = [self._ids[name] for name in names]
        self._write_item(Huddle(itemtypes.HUDDLE, 0, title, participants=others), lines)

    def _write_item(self, item: Item, lines: Sequence[DemoComment]) -> None:
        """Write an item and its comments `lines`; the author of the first comment is the item's too."""
        tx, site = self._tx, self._site
        item.insert(tx, self._author(lines[0].by), window_s=0)
        self._written.append(item.id)
        parent = CommentParent(item.item_type, item.id, item)
        for by, markdown in lines:
            prepared = text_rendering.prepare(tx, site, markdown, short_links=self._short_links)
            rendered = text_rendering.finish(
                tx,
                prepared,
                lambda: load_tree(tx, site.id, site.acl_version),
                None if parent.is_huddle else item.microcosm_id,
            )
            comment = Comment(parent, markdown)
            comment.insert(tx, self._author(by), rendered, window_s=0, per_minute=0)
            item.last_seq += 1

    def _answer(self, event: Event) -> None:
        """Store each person's answer to the event: owner, moderator and all other voters but the last yes, the member
        maybe, the last no.
        """
        event.load_details(self._tx, self._site.id)
        *come, away = self._guests
        states = dict.fromkeys((_OWNER, _MODERATOR, *come), YES) | {_MEMBER: MAYBE, away: NO}
        for name, state in states.items():
            answer = Rsvp(self._ids[name], state)
            attendee.store_answers(self._tx, self._author(name), event, [answer])

    def _vote(self, ballot: Poll) -> None:
        """Have all who answered the event vote, for the choices in _VOTES."""
        choices = poll.read_details(self._tx, self._site.id, ballot.id).choice_ids
        voters = (_OWNER, _MODERATOR, _MEMBER, *self._guests)
        for name, chosen in zip(voters, _VOTES, strict=True):
            ballot.vote(
                self._tx,
                self._author(name),
                self._users[name],
                [choices[chosen]],
                is_moderator=False,
            )

    def _note_activity(self) -> None:
        site_id, now = self._site.id, time.time()
        count = len(self._written)
        # Views of huddles are not counted on the pages, but each item has its row.
        self._tx.run(
            ADD_VIEWS, sites=[site_id] * count, items=self._written, views=[_VIEWS] * count
        )
        people = sorted(self._ids[name] for name in (_OWNER, _MODERATOR, _MEMBER))
        self._tx.run(
            TOUCH, sites=[site_id] * len(people), profiles=people, seconds=[now] * len(people)
        )


def _next_week(place: str) -> EventDetails:
    """Return the details of an event at 10:00 UTC a week from today, at `place`, with a limited number of spaces."""
    now = datetime.datetime.now(datetime.UTC)
    begins = (now + datetime.timedelta(days=7)).replace(hour=10, minute=0, second=0, microsecond=0)
    return EventDetails(
        when_local=begins.replace(tzinfo=None),
        when_utc=begins,
        tz_name="UTC",
        duration_min=4 * DEFAULT_DURATION_MIN,
        place=place,
        status="upcoming",
        rsvp_limit=_SPACES,
    )


def _change(items: DemoItems) -> PollChange:
    details = PollDetails(question=items.question)
    return PollChange(PollDetails(), details, [(None, choice) for choice in items.choices])
