"""Terms of the Digital Services Act that reports, actions and statements use, as data (version of 2024)."""

from __future__ import annotations

from typing import Final

from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.text import short_text_cleaning

TERMS: Final = "terms"
ILLEGAL: Final = "illegal"
# Ground of an action -> the decision ground of a statement.
GROUNDS: Final = {
    TERMS: "DECISION_GROUND_INCOMPATIBLE_CONTENT",
    ILLEGAL: "DECISION_GROUND_ILLEGAL_CONTENT",
}

CHILD_SAFETY: Final = "STATEMENT_CATEGORY_CHILD_SAFETY"
VIOLATION: Final = "STATEMENT_CATEGORY_VIOLATION_TOS"
UNCATEGORISED: Final = "STATEMENT_CATEGORY_UNCATEGORISED"
CATEGORIES: Final = (
    "STATEMENT_CATEGORY_PIRACY",
    "STATEMENT_CATEGORY_DISCRIMINATION",
    "STATEMENT_CATEGORY_COUNTERFEIT",
    "STATEMENT_CATEGORY_FRAUD",
    "STATEMENT_CATEGORY_TERRORISM",
    CHILD_SAFETY,
    "STATEMENT_CATEGORY_NON_CONSENT",
    "STATEMENT_CATEGORY_MISINFORMATION",
    VIOLATION,
    UNCATEGORISED,
)
# Categories whose cases come first.
_URGENT: Final = frozenset(
    (
        "STATEMENT_CATEGORY_TERRORISM",
        CHILD_SAFETY,
        "STATEMENT_CATEGORY_NON_CONSENT",
    )
)

# Kinds of reports -> the category of one that names none.
SPAM: Final = "spam"
REPORT_ILLEGAL: Final = "illegal"
KINDS: Final = {
    SPAM: VIOLATION,
    "abuse": VIOLATION,
    "offTopic": VIOLATION,
    REPORT_ILLEGAL: UNCATEGORISED,
    "other": UNCATEGORISED,
}

# Priority of a case -> days until its decision is due.
URGENT: Final = 0
DUE_DAYS: Final = (1, 3, 7)


def priority(kind: str, category: str) -> int:
    """Return the priority of a case with a report of the kind named `kind`, such as `illegal`, and of `category`, one
    of CATEGORIES: 0 is worked on first, 2 last.
    """
    if category in _URGENT:
        return URGENT
    return 1 if kind == REPORT_ILLEGAL else 2


def checked_category(sent: str, otherwise: str) -> str:
    """Return the category `sent` by a client, for "" `otherwise`. Raises Invalid if `sent` is not in CATEGORIES."""
    if not sent:
        return otherwise
    if sent not in CATEGORIES:
        raise Invalid("category", f"must be one of {', '.join(CATEGORIES)}", code=OUT_OF_RANGE)
    return sent


def checked_text(sent: str, field: str, most: int) -> str:
    """Return `sent` as a text of several lines, which may be "": without tags and unprintable characters, in small
    letters if it is all in capitals, and HTML-escaped. Raises Invalid, which names `field`, if that has more than
    `most` characters, counted before the escaping.
    """
    cleaned = short_text_cleaning.block(sent)
    if short_text_cleaning.length(cleaned) > most:
        raise Invalid(field, f"may have at most {most} characters", code=OUT_OF_RANGE)
    return cleaned


def required_text(sent: str, field: str, most: int) -> str:
    """Return `sent` as `checked_text` does. Raises Invalid, which names `field`, also for a text that is then empty."""
    text = checked_text(sent, field, most)
    if not text:
        raise Invalid(field, "may not be empty")
    return text
