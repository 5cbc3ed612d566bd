"""Content of a new sandbox: a few microcosms, conversations, an event, a poll, comments by each of its people, and a
huddle, written as the people themselves would write them.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.models.content.comment import Comment, CommentParent
from forumapi.models.content.event import DEFAULT_DURATION_MIN, Event, EventDetails
from forumapi.models.content.huddle import Huddle
from forumapi.models.content.item import Item
from forumapi.models.content.poll import Poll, PollChange, PollDetails
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms.microcosm import Microcosm, MicrocosmColumns
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.roles.role import FLAGS, LockedRoles, Role
from forumapi.models.sites.sandbox import MEMBER, MODERATOR, NEWCOMER, OWNER, NewSandbox
from forumapi.models.sites.site import Site
from forumapi.models.texts import text_rendering


class _Text(NamedTuple):
    """Comment to write: `by`, a key of sandbox.PEOPLE, and its Markdown."""

    by: str
    markdown: str


_START: Final = "Start here"
_RIDES: Final = "Rides"
_WORKSHOP: Final = "Workshop"
_BACK_ROOM: Final = "Back room"
# Descriptions by title; all stand below the root.
_PLACES: Final = {
    _START: "What this sandbox is, and what to try.",
    _RIDES: "Where to, when, and who comes along.",
    _WORKSHOP: "Whatever needs a spanner.",
    _BACK_ROOM: "Hidden from guests and newcomers.",
}
# Place, title, and the comments: each but the first answers the one before it.
_CONVERSATIONS: Final = (
    (
        _START,
        "Welcome to your sandbox",
        (
            _Text(
                OWNER,
                "This site is yours for a day. **Break it**: nobody else is here, and nothing leaves.",
            ),
            _Text(NEWCOMER, "So I may write, and not move what others wrote?"),
            _Text(MODERATOR, "Right, @nils. I may do that, and only @olivia changes the site."),
        ),
    ),
    (
        _RIDES,
        "Where to on Sunday?",
        (
            _Text(MEMBER, "The river path is dry again. Forty kilometres, flat, one ferry."),
            _Text(NEWCOMER, "Slow riders welcome?"),
            _Text(MEMBER, "@nils nobody is left behind:\n\n- lights\n- a spare tube\n- cake"),
        ),
    ),
    (
        _WORKSHOP,
        "A rear wheel that ticks",
        (
            _Text(NEWCOMER, "Once per turn, louder under load. What is it?"),
            _Text(
                MODERATOR, "> Once per turn\n\nA spoke nipple, most likely. A drop of oil there."
            ),
            _Text(NEWCOMER, "That was it, thank you."),
        ),
    ),
    (
        _BACK_ROOM,
        "Who looks after what",
        (
            _Text(MODERATOR, "I take the workshop this week."),
            _Text(MEMBER, "And I the rides."),
        ),
    ),
)
_TYPES: Final = itemtypes.MICROCOSM_CHILDREN
# Rights of the two roles, by their names on the wire.
_INSIDERS: Final = ("read", "create", "closeOwn", "readOthers")
_MODERATORS: Final = ("moderator", *_INSIDERS, "update", "delete", "openOwn")


def fill(tx: Transaction, site: Site, new: NewSandbox, *, short_links: str) -> None:
    """Write the content of a sandbox into its new site, `site`. `short_links` as in text_rendering.prepare."""
    _ContentWriter(tx, site, new, short_links).write()


class _ContentWriter:
    """Writer of the content of one sandbox."""

    def __init__(self, tx: Transaction, site: Site, new: NewSandbox, short_links: str) -> None:
        self._tx = tx
        self._site = site
        self._short_links = short_links
        self._authors: Mapping[str, Author] = {
            role: Author(site.id, person.id, "") for role, person in new.people.items()
        }

    def write(self) -> None:
        """Write all."""
        places = self._write_places()
        for place, title, comments in _CONVERSATIONS:
            item = Item(itemtypes.CONVERSATION, places[place], title)
            self._write_item(item, comments)
        self._write_item(
            Event(itemtypes.EVENT, places[_RIDES], "Sunday along the river", details=_next_week()),
            (_Text(MEMBER, "We meet at the bridge."), _Text(MODERATOR, "I bring the pump.")),
        )
        self._write_item(
            Poll(itemtypes.POLL, places[_RIDES], "The stop on Sunday", details=_poll()),
            (_Text(OWNER, "Cake, whatever wins."),),
        )
        others = [self._authors[MODERATOR].profile_id]
        self._write_item(
            Huddle(itemtypes.HUDDLE, 0, "Before Sunday", participants=others),
            (_Text(MEMBER, "Is the ferry running?"), _Text(MODERATOR, "From nine on.")),
        )

    def _write_places(self) -> dict[str, int]:
        """Make the microcosms, the moderators' role on all of them, and the role that opens the hidden one; return the
        ids of the microcosms by title.
        """
        tx, site, author = self._tx, self._site, self._authors[OWNER]
        LockedRoles.lock(tx, site.id, author.profile_id, moves_rights=True)
        places = {
            title: Microcosm.insert(
                tx,
                author,
                site.root_microcosm_id,
                MicrocosmColumns(title, description, "", "public", _TYPES),
            )
            for title, description in _PLACES.items()
        }
        self._write_role(site.root_microcosm_id, "Moderators", _MODERATORS, (MODERATOR,))
        self._write_role(places[_BACK_ROOM], "Insiders", _INSIDERS, (MODERATOR, MEMBER))
        return places

    def _write_role(
        self, microcosm_id: int, title: str, rights: Sequence[str], members: Sequence[str]
    ) -> None:
        author = self._authors[OWNER]
        flags = {name: name in rights for name in FLAGS}
        id = Role.insert(self._tx, author, microcosm_id, title, flags, window_s=0)
        Role(microcosm_id, id, 1, title, flags).add_profiles(
            self._tx, author, [self._authors[role].profile_id for role in members]
        )

    def _write_item(self, item: Item, comments: Sequence[_Text]) -> None:
        """Write an item by the author of its first comment, and the comments."""
        tx, site = self._tx, self._site
        item.insert(tx, self._authors[comments[0].by], window_s=0)
        parent = CommentParent(item.item_type, item.id, item)
        before = 0
        for by, markdown in comments:
            prepared = text_rendering.prepare(tx, site, markdown, short_links=self._short_links)
            rendered = text_rendering.finish(
                tx,
                prepared,
                lambda: load_tree(tx, site.id, site.acl_version),
                None if parent.is_huddle else item.microcosm_id,
            )
            comment = Comment(parent, markdown, before)
            comment.insert(tx, self._authors[by], rendered, window_s=0, per_minute=0)
            item.last_seq += 1
            before = comment.id


def _next_week() -> EventDetails:
    """Return the details of an event at ten in the morning, a week from today, both in UTC."""
    now = datetime.datetime.now(datetime.UTC)
    begins = (now + datetime.timedelta(days=7)).replace(hour=10, minute=0, second=0, microsecond=0)
    return EventDetails(
        when_local=begins.replace(tzinfo=None),
        when_utc=begins,
        tz_name="UTC",
        duration_min=4 * DEFAULT_DURATION_MIN,
        place="The old bridge",
        status="upcoming",
    )


def _poll() -> PollChange:
    details = PollDetails(question="Tea or coffee?")
    return PollChange(PollDetails(), details, [(None, choice) for choice in ("Tea", "Coffee")])
