"""Polls, for reading: what they have beyond other items (content 6.4). Writing and voting is poll_writing.py."""

from __future__ import annotations

import datetime
from typing import Any, Final

import msgspec

from forumapi.models.content.item_type_spec import Details
from forumapi.wire import json_fragments

# A poll is open until it is closed or its time has come (content 6.4).
IS_OPEN: Final = "p.is_poll_open AND (p.closes IS NULL OR p.closes > now())"

_SQL: Final = f"""
    SELECT json_build_array(
               p.question, p.is_multi, {IS_OPEN}, p.closes AT TIME ZONE 'UTC', p.voter_count, p.is_named, p.results,
               (SELECT json_agg(json_build_array(c.choice_id, c.choice, c.sequence, c.vote_count) ORDER BY c.sequence)
                  FROM poll_choices c
                 WHERE c.site_id = p.site_id AND c.item_id = p.item_id))::text
      FROM polls p
     WHERE p.site_id = i.site_id AND p.item_id = i.item_id"""

# The ballot of the viewer; a ballot is a user's, whichever profile they had (C-33).
_MINE: Final = """
    SELECT array_to_json(b.choice_ids)::text
      FROM profiles v
      JOIN poll_ballots b ON b.site_id = v.site_id AND b.item_id = i.item_id AND b.user_id = v.user_id
     WHERE v.site_id = %(site_id)s AND v.profile_id = %(me)s::bigint"""

ALWAYS: Final = "always"
VOTED: Final = "voted"
CLOSED: Final = "closed"


class Choice(msgspec.Struct, array_like=True):
    """One choice of a poll."""

    id: int
    text: str
    order: int
    votes: int


class Poll(msgspec.Struct, array_like=True):
    """The details of a poll. `closes` is in UTC, without zone."""

    question: str
    is_multi: bool
    is_open: bool
    closes: datetime.datetime | None
    voter_count: int
    is_named: bool
    results: str
    choices: list[Choice] | None


_decode: Final = msgspec.json.Decoder(Poll).decode
_decode_ballot: Final = msgspec.json.Decoder(list[int]).decode


def shows_results(results: str, *, is_open: bool, has_voted: bool) -> bool:
    """Whether somebody may see how others voted; nobody may earlier, whatever their role."""
    return results == ALWAYS or not is_open or (results == VOTED and has_voted)


def summary_members(text: str, _: str | None) -> dict[str, Any]:
    """The poll's own members of a summary (content 3.1)."""
    found = _decode(text)
    shown: dict[str, Any] = {
        "question": found.question,
        "multi": found.is_multi,
        "pollOpen": found.is_open,
    }
    if found.closes is not None:
        shown["pollCloses"] = json_fragments.when(found.closes)
    return shown


def members(text: str, mine: str | None) -> dict[str, Any]:
    """The poll's own members of a detail (content 6.4), with the viewer's own ballot in it."""
    found = _decode(text)
    own = _decode_ballot(mine) if mine is not None else []
    has_results = shows_results(found.results, is_open=found.is_open, has_voted=mine is not None)
    shown: dict[str, Any] = {
        "question": found.question,
        "multi": found.is_multi,
        "pollOpen": found.is_open,
        "choices": [
            _choice(choice, has_results, choice.id in own) for choice in found.choices or ()
        ],
        "voterCount": found.voter_count,
    }
    if found.closes is not None:
        shown["pollCloses"] = json_fragments.when(found.closes)
    if found.is_named:
        shown["named"] = True
    if found.results != ALWAYS:
        shown["results"] = found.results
    return shown


def _choice(choice: Choice, has_results: bool, is_own: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": choice.id, "choice": choice.text, "order": choice.order}
    if has_results:
        # Each ballot names a choice once, so both are the same number (content 6.4).
        shown["votes"] = shown["voterCount"] = choice.votes
    if is_own:
        shown["voted"] = True
    return shown


def until(text: str) -> datetime.datetime | None:
    """When an open poll will be closed."""
    found = _decode(text)
    if not found.is_open or found.closes is None:
        return None
    return found.closes.replace(tzinfo=datetime.UTC)


DETAILS: Final = Details(
    _SQL, members, _MINE, has_last_comment=False, until=until, summary=summary_members
)
