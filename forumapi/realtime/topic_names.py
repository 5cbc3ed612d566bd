"""Topics that live clients follow, and their names on the wire. The topics that an event reaches are found by
delivery_permissions.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.errors import Invalid

# Kinds of topics beside item types: the whole site, the caller's huddles, the caller's updates.
SITE: Final = 0
HUDDLES: Final = -1
UPDATES: Final = -2


class Topic(NamedTuple):
    """Topic that clients follow. `kind`: an item type, or SITE, HUDDLES or UPDATES.

    `id`: of the thing; of the profile for HUDDLES and UPDATES, 0 for SITE.
    """

    kind: int
    id: int


_HEALING: Final = {
    SITE: "/api/v1/microcosms",
    HUDDLES: "/api/v1/huddles",
    UPDATES: "/api/v1/updates",
}
_NAMES: Final = {SITE: "site", HUDDLES: "huddles", UPDATES: "updates"}
# What can be followed by its type and id.
FOLLOWED: Final = {
    itemtypes.name_of(kind): kind
    for kind in (
        itemtypes.MICROCOSM,
        itemtypes.PROFILE,
        itemtypes.HUDDLE,
        itemtypes.CONVERSATION,
        itemtypes.POLL,
        itemtypes.EVENT,
    )
}


def topic_name(topic: Topic) -> str:
    """Return the name of a topic on the wire, such as `conversation/42`, `site`, `huddles` or `updates`."""
    return _NAMES.get(topic.kind) or f"{itemtypes.name_of(topic.kind)}/{topic.id}"


def parse_topic(text: str, profile_id: int) -> Topic:
    """Parse the name of a topic on the wire; `huddles` and `updates` are those of the profile `profile_id`. The thing
    need not exist. Raises Invalid for a text that names no topic.
    """
    if text == "site":
        return Topic(SITE, 0)
    if text in ("huddles", "updates"):
        return Topic(HUDDLES if text == "huddles" else UPDATES, profile_id)
    kind, _, id = text.partition("/")
    if kind in FOLLOWED and id.isascii() and id.isdigit() and len(id) < 19 and int(id):
        return Topic(FOLLOWED[kind], int(id))
    raise Invalid(
        "topic", f"must be site, huddles, updates or <type>/<id>, of: {', '.join(FOLLOWED)}"
    )


def state_href(topic: Topic) -> str:
    """Return the address of the REST resource that shows the present state of a topic, for clients that missed
    events.
    """
    return _HEALING.get(topic.kind) or itemtypes.href(topic.kind, topic.id)
