"""Item types: number, name on the wire, address and properties of each (platform 11, content 1.8).

Items are four of them; profiles, comments, roles and others have such a number too. This is the only list; SQL gets it
from sql/seeds/defaults.sql, and a test compares the two.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class ItemType(NamedTuple):
    """Type of items, or of other things (profiles, comments, roles, …) that are numbered in the same list: number, name
    on the wire, and `path`, the address of its collection in the API (of attachments the bare word "attachments").
    `commentable`: comments are written on such things; `trending`: such things get trending scores.
    """

    id: int
    name: str
    path: str
    commentable: bool = False
    trending: bool = False


SITE: Final = 1
MICROCOSM: Final = 2
PROFILE: Final = 3
COMMENT: Final = 4
HUDDLE: Final = 5
CONVERSATION: Final = 6
POLL: Final = 7
EVENT: Final = 9
ATTENDEE: Final = 13
USER: Final = 14
ATTRIBUTE: Final = 15
UPDATE: Final = 16
ROLE: Final = 17
UPDATE_TYPE: Final = 18
WATCHER: Final = 19
AUTH: Final = 20
ATTACHMENT: Final = 21

TYPES: Final[tuple[ItemType, ...]] = (
    ItemType(SITE, "site", "/api/v1/sites"),
    ItemType(MICROCOSM, "microcosm", "/api/v1/microcosms"),
    ItemType(PROFILE, "profile", "/api/v1/profiles", commentable=True),
    ItemType(COMMENT, "comment", "/api/v1/comments"),
    ItemType(HUDDLE, "huddle", "/api/v1/huddles", commentable=True),
    ItemType(
        CONVERSATION, "conversation", "/api/v1/conversations", commentable=True, trending=True
    ),
    ItemType(POLL, "poll", "/api/v1/polls", commentable=True, trending=True),
    ItemType(8, "article", "/api/v1/articles"),
    ItemType(EVENT, "event", "/api/v1/events", commentable=True, trending=True),
    ItemType(10, "question", "/api/v1/questions"),
    ItemType(11, "classified", "/api/v1/classifieds"),
    ItemType(12, "album", "/api/v1/albums"),
    ItemType(ATTENDEE, "attendee", "/api/v1/attendees"),
    ItemType(USER, "user", "/api/v1/users"),
    ItemType(ATTRIBUTE, "attribute", "/api/v1/attributes"),
    ItemType(UPDATE, "update", "/api/v1/updates"),
    ItemType(ROLE, "role", "/api/v1/roles"),
    ItemType(UPDATE_TYPE, "update_type", "/api/v1/updates/preferences"),
    ItemType(WATCHER, "watcher", "/api/v1/watchers"),
    ItemType(AUTH, "auth", "/api/v1/auth"),
    ItemType(ATTACHMENT, "attachment", "attachments"),
)

BY_ID: Final[dict[int, ItemType]] = {t.id: t for t in TYPES}
ALL: Final = frozenset(BY_ID)
BY_NAME: Final[dict[str, ItemType]] = {t.name: t for t in TYPES}

# Records of moderators. Events of the log and webhooks of a site's owner alone name these types: they are no item types
# of routes, tokens or the database.
REPORT: Final = 22
CASE: Final = 23
APPEAL: Final = 24
RECORDS: Final[dict[int, ItemType]] = {
    t.id: t
    for t in (
        ItemType(REPORT, "report", "/api/v1/reports"),
        ItemType(CASE, "case", "/api/v1/cases"),
        ItemType(APPEAL, "appeal", "/api/v1/appeals"),
    )
}
_NAMED: Final = BY_ID | RECORDS

# Items that stand in a microcosm (reserved types included, as platform 5.4 lists them), and those that do now.
IN_MICROCOSM: Final = frozenset({CONVERSATION, POLL, EVENT, 8, 10, 11, 12})
# Item types that a microcosm may list as its itemTypes (content 2.3).
MICROCOSM_CHILDREN: Final = (MICROCOSM, CONVERSATION, EVENT, POLL)


class ItemRef(NamedTuple):
    """Reference to an item, or to anything else with an item type (comment, profile, …): number of the type, and id."""

    type: int
    id: int

    @property
    def href(self) -> str:
        """Return the address of the thing in the API, as the function `href` does, such as "/api/v1/polls/3". Raises
        KeyError for an unknown number of a type.
        """
        return href(self.type, self.id)


def name_of(item_type_id: int) -> str:
    """Return the name on the wire of the item type, or type of RECORDS, with this number, such as "conversation" for 6.
    Raises KeyError for an unknown number.
    """
    return _NAMED[item_type_id].name


def known_name(item_type_id: int) -> str:
    """Return the name of the item type, or type of RECORDS, with this number; "" for an unknown number, which a process
    of a later release may have stored, and for 0.
    """
    named = _NAMED.get(item_type_id)
    return named.name if named else ""


def href(item_type_id: int, item_id: int) -> str:
    """Return the address of an item (or other thing with an item type, or record of RECORDS) in the API, without scheme
    and host, such as "/api/v1/polls/3"; of an attachment, which has none, "attachments/3". Raises KeyError for an
    unknown number of a type.
    """
    return f"{_NAMED[item_type_id].path}/{item_id}"
