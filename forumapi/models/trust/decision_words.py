"""Decisions of moderators in words, for the people whom they concern: mails, and the page of an appeal."""

from __future__ import annotations

import calendar
import datetime
from typing import Final

from forumapi.models.trust.dsa_terms import ILLEGAL

# Kind of action -> what was done; {things} is a number of things, as `things` says it.
_DONE: Final = {
    "hide": "The moderators have hidden {things} that you wrote.",
    "delete": "The moderators have removed {things} that you wrote.",
    "lock": "The moderators have closed {things} that you began: nobody can answer there.",
    "warn": "The moderators warn you.",
    "silence": "You can read, but not write in a part of this forum.",
    "ban": "You are banned from this forum, or from a part of it.",
    "redact": "The moderators have removed {things} that you wrote, for good.",
}
_ANY: Final = "The moderators have decided something about {things} that you wrote."
_GROUNDS: Final = "It is against the rules of this forum."
_ILLEGAL: Final = "It is against the law."


def done(kind: str, count: int) -> str:
    """Return the sentence that an action of this kind, a name of KINDS, was done to `count` things of the person who
    reads it; 1 or fewer are `something`, and some kinds name no things.
    """
    things = "something" if count <= 1 else f"{count:,} things"
    return _DONE.get(kind, _ANY).format(things=things)


def ground(ground: str) -> str:
    """Return the sentence that names the ground of an action: that the law was broken (`ground` ILLEGAL), or the rules
    of the site (any other).
    """
    return _ILLEGAL if ground == ILLEGAL else _GROUNDS


def date(moment: datetime.datetime) -> str:
    """Return the day of a time as text, such as 3 May 2027, in the time's own zone."""
    return f"{moment.day} {calendar.month_name[moment.month]} {moment.year}"


def months_later(moment: datetime.datetime, months: int) -> datetime.datetime:
    """Return the time so many months later, as PostgreSQL counts: in a shorter month, its last day."""
    years, month = divmod(moment.month - 1 + months, 12)
    year = moment.year + years
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)
