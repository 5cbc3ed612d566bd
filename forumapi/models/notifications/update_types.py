"""Types of updates: number and name of each (discovery 2.1). SQL gets them from sql/seeds/defaults.sql."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

NEW_COMMENT: Final = 1
REPLY: Final = 2
MENTIONED: Final = 3
NEW_COMMENT_IN_HUDDLE: Final = 4
NEW_ATTENDEE: Final = 5
NEW_VOTE: Final = 6
EVENT_REMINDER: Final = 7
NEW_ITEM: Final = 8
NEW_USER: Final = 9
EVENT_INVITATION: Final = 10
STATEMENT: Final = 11
REPORT_RECEIVED: Final = 12
REPORT_DECIDED: Final = 13
APPEAL_DECIDED: Final = 14

# Number of digests of mail among the types.
DIGEST: Final = 0

# The names on the wire.
NAMES: Final[Mapping[int, str]] = {
    NEW_COMMENT: "new_comment",
    REPLY: "reply_to_comment",
    MENTIONED: "mentioned",
    NEW_COMMENT_IN_HUDDLE: "new_comment_in_huddle",
    NEW_ATTENDEE: "new_attendee",
    NEW_VOTE: "new_vote",
    EVENT_REMINDER: "event_reminder",
    NEW_ITEM: "new_item",
    NEW_USER: "new_user",
    EVENT_INVITATION: "event_invitation",
    STATEMENT: "statement",
    REPORT_RECEIVED: "report_received",
    REPORT_DECIDED: "report_decided",
    APPEAL_DECIDED: "appeal_decided",
}

# Types about decisions of moderators, and the scope without which a token does not list them. They have no preference:
# the law wants people to know.
DECISIONS: Final[Mapping[int, str]] = {
    STATEMENT: "statements:read",
    REPORT_RECEIVED: "reports:read",
    REPORT_DECIDED: "reports:read",
    APPEAL_DECIDED: "appeals:read",
}

# Updates about decisions have no row: their ids are that of the statement, report or appeal, below 2^48, above these.
DECISION_IDS: Final[Mapping[int, int]] = {
    STATEMENT: 4 << 48,
    REPORT_RECEIVED: 5 << 48,
    REPORT_DECIDED: 6 << 48,
    APPEAL_DECIDED: 7 << 48,
}
_BY_ID: Final = {start >> 48: type for type, start in DECISION_IDS.items()}

# Types on whose mail a preference decides; for all others watchers do.
PREFERRED: Final = frozenset((REPLY, MENTIONED, EVENT_REMINDER, EVENT_INVITATION))
# Types with a comment.
COMMENTED: Final = frozenset((NEW_COMMENT, REPLY, MENTIONED, NEW_COMMENT_IN_HUDDLE))
# Types whose preference a new watcher may take over (discovery 3.3, W-03).
SEEDING: Final = frozenset(NAMES) - {EVENT_INVITATION} - frozenset(DECISIONS)


def decision_type(update_id: int) -> int:
    """Return the type of the update with this id if the update is about a decision; 0 for any other update."""
    return _BY_ID.get(update_id >> 48, 0)


def readable_decisions(scopes: Collection[str] | None) -> list[int]:
    """Return the numbers of the types of updates about decisions that a token with these scopes (None: not limited)
    may list, in ascending order; [] for none.
    """
    return [type for type, scope in DECISIONS.items() if scopes is None or scope in scopes]
