"""Account of what the oracle looks at: one site, its people, tree, roles and content, as plain records.

Every record carries the number that its row has in the database. Nothing here knows a rule.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

SITE, MICROCOSM, PROFILE, COMMENT, HUDDLE, CONVERSATION, POLL = 1, 2, 3, 4, 5, 6, 7
EVENT, ATTENDEE, USER, ATTRIBUTE, UPDATE, ROLE, WATCHER = 9, 13, 14, 15, 16, 17, 19
# Items of a microcosm; those whose number names no table of their own are reserved (platform 5.4, row 6).
ITEMS = (CONVERSATION, POLL, EVENT)
RESERVED = (8, 10, 11, 12)

Value = str | int | float | bool | datetime.date


@dataclass
class Profile:
    """A person on the site. `is_banned_everywhere` is users.is_banned, `has_ban` a current ban of this site."""

    id: int
    user_id: int
    name: str
    email: str
    gender: str | None
    created: datetime.datetime
    item_count: int = 0
    comment_count: int = 0
    is_banned_everywhere: bool = False
    has_ban: bool = False
    has_second_factor: bool = False
    attributes: dict[str, Value] = field(default_factory=dict)
    # Of these keys, those whose value the person wrote and nobody granted.
    own_keys: set[str] = field(default_factory=set)
    # What tokens of theirs are limited to; None: to nothing.
    tokens: list[frozenset[str] | None] = field(default_factory=lambda: [None])
    # (item type, id) of what this person does not want to see.
    ignored: set[tuple[int, int]] = field(default_factory=set)


@dataclass
class Criterion:
    """One condition of a role; the names of platform 5.3."""

    or_group: int
    column: str | None
    key: str | None
    predicate: str
    value: Value


@dataclass
class Role:
    """A role of one microcosm. `grants` are the names of the flags that are set, as platform 5.2 writes them."""

    id: int
    microcosm_id: int
    created_by: int
    grants: set[str]
    is_moderator: bool = False
    is_banned: bool = False
    include_guests: bool = False
    include_users: bool = False
    profiles: set[int] = field(default_factory=set)
    criteria: list[Criterion] = field(default_factory=list)


@dataclass
class Microcosm:
    """A place in the tree; the root's parent is None."""

    id: int
    parent_id: int | None
    owned_by: int
    created_by: int
    is_deleted: bool = False
    is_moderated: bool = False


@dataclass
class Item:
    """A conversation, poll or event."""

    type: int
    id: int
    microcosm_id: int
    author: int
    is_deleted: bool = False
    is_moderated: bool = False
    is_open: bool = True


@dataclass
class Huddle:
    """A private conversation. Who created it may have left."""

    id: int
    author: int
    participants: set[int]
    is_confidential: bool = False


@dataclass
class Comment:
    """A comment; its parent is an item, a huddle or a profile."""

    id: int
    parent_type: int
    parent_id: int
    author: int
    is_deleted: bool = False
    is_moderated: bool = False


@dataclass
class Attendee:
    """Somebody's answer to an event, written down by `added_by`."""

    id: int
    event_id: int
    profile_id: int
    added_by: int


@dataclass
class Owned:
    """An update, watcher or attribute: whom it belongs to, or for an attribute what it hangs on."""

    type: int
    id: int
    profile_id: int = 0
    on: tuple[int, int] = (0, 0)


@dataclass
class World:
    """One site and all that is on it, by number."""

    site_id: int
    owned_by: int
    everyone_creates_microcosms: bool
    now: datetime.datetime
    needs_second_factor: bool = False
    profiles: dict[int, Profile] = field(default_factory=dict)
    microcosms: dict[int, Microcosm] = field(default_factory=dict)
    roles: dict[int, Role] = field(default_factory=dict)
    items: dict[tuple[int, int], Item] = field(default_factory=dict)
    huddles: dict[int, Huddle] = field(default_factory=dict)
    comments: dict[int, Comment] = field(default_factory=dict)
    attendees: dict[int, Attendee] = field(default_factory=dict)
    owned: dict[tuple[int, int], Owned] = field(default_factory=dict)
    # Things whose authors got reasons, since a moderator hid or deleted them.
    stated: set[tuple[int, int]] = field(default_factory=set)

    @property
    def root_id(self) -> int:
        """The microcosm without a parent."""
        return next(place.id for place in self.microcosms.values() if place.parent_id is None)


@dataclass(frozen=True)
class Asked:
    """Record of what a permission is asked for: platform 5.4's input. 0 is "not given"."""

    type: int = 0
    id: int = 0
    microcosm_id: int = 0


NOTHING = Asked()
