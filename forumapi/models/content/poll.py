"""Polls: an item's details beyond what all items share, read and written; votes (content 6.3 to 6.5, C-32, C-33)."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import CLOSED as IS_CLOSED
from forumapi.errors import OUT_OF_RANGE, WRONG_TYPE, Invalid
from forumapi.models.content.item import Item, ItemChange
from forumapi.models.content.type_specific_fields_interface import TypeSpecificFields
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.texts import text_rendering
from forumapi.text import rfc3339
from forumapi.wire import json_fragments
from forumapi.wire.body import given

# ---------------------------------------------------------------- reading

# SQL: a poll `p` is open until it is closed or its time has come (content 6.4).
IS_OPEN: Final = "p.is_poll_open AND (p.closes IS NULL OR p.closes > now())"

_SQL: Final = f"""
    SELECT json_build_array(
               p.question, p.is_multi, {IS_OPEN}, p.closes AT TIME ZONE 'UTC', p.voter_count, p.is_named, p.results,
               (SELECT json_agg(json_build_array(c.choice_id, c.choice, c.sequence, c.vote_count) ORDER BY c.sequence)
                  FROM poll_choices c
                 WHERE c.site_id = p.site_id AND c.item_id = p.item_id))::text
      FROM polls p
     WHERE p.site_id = i.site_id AND p.item_id = i.item_id"""

# The ballot of the viewer `me`. A ballot belongs to a user, with whichever profile it was cast (C-33).
_MINE: Final = """
    SELECT array_to_json(b.choice_ids)::text
      FROM profiles v
      JOIN poll_ballots b ON b.site_id = v.site_id AND b.item_id = i.item_id AND b.user_id = v.user_id
     WHERE v.site_id = %(site_id)s AND v.profile_id = %(me)s::bigint"""

ALWAYS: Final = "always"
VOTED: Final = "voted"
CLOSED: Final = "closed"


class _ShownChoice(msgspec.Struct, array_like=True):
    """Choice of a poll as pages read it. `text`: HTML-escaped; `order`: its place in the poll, from 1; `votes`: number
    of ballots that name it.
    """

    id: int
    text: str
    order: int
    votes: int


class _ShownPoll(msgspec.Struct, array_like=True):
    """Details of a poll as pages read them. `question`: HTML-escaped; `is_open`: neither closed nor past `closes`,
    which is in UTC, without zone, None for never; `results`: the setting ALWAYS, VOTED or CLOSED; `is_named`: others
    see who voted for what; `choices` None: the poll has none.
    """

    question: str
    is_multi: bool
    is_open: bool
    closes: datetime.datetime | None
    voter_count: int
    is_named: bool
    results: str
    choices: list[_ShownChoice] | None


_decode: Final = msgspec.json.Decoder(_ShownPoll).decode
_decode_ballot: Final = msgspec.json.Decoder(list[int]).decode


def shows_results(results: str, *, is_open: bool, has_voted: bool) -> bool:
    """Return True if a viewer may see how others voted. `results`: the poll's setting ALWAYS, VOTED or CLOSED;
    `is_open`: the poll is neither closed nor past its time; `has_voted`: the viewer has a ballot in the poll.

    Moderators see no more than others.
    """
    return results == ALWAYS or not is_open or (results == VOTED and has_voted)


def _summary_members(text: str, _: str | None) -> dict[str, Any]:
    """Return the members of a poll's summary that other items lack (content 3.1), by name. `text`: the poll's details
    (type_specific_fields.py).
    """
    poll = _decode(text)
    shown: dict[str, Any] = {
        "question": poll.question,
        "multi": poll.is_multi,
        "pollOpen": poll.is_open,
    }
    if poll.closes is not None:
        shown["pollCloses"] = json_fragments.format_time(poll.closes)
    return shown


def _members(text: str, mine: str | None) -> dict[str, Any]:
    """Return the members of a poll's detail that other items lack (content 6.4), by name. `text`: the poll's details
    (type_specific_fields.py); `mine`: the viewer's ballot, a JSON array of choice ids, None if the viewer has not
    voted.
    """
    poll = _decode(text)
    own = _decode_ballot(mine) if mine is not None else []
    has_results = shows_results(poll.results, is_open=poll.is_open, has_voted=mine is not None)
    shown: dict[str, Any] = {
        "question": poll.question,
        "multi": poll.is_multi,
        "pollOpen": poll.is_open,
        "choices": [
            _choice(choice, has_results, choice.id in own) for choice in poll.choices or ()
        ],
        "voterCount": poll.voter_count,
    }
    if poll.closes is not None:
        shown["pollCloses"] = json_fragments.format_time(poll.closes)
    if poll.is_named:
        shown["named"] = True
    if poll.results != ALWAYS:
        shown["results"] = poll.results
    return shown


def _choice(choice: _ShownChoice, has_results: bool, is_own: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": choice.id, "choice": choice.text, "order": choice.order}
    if has_results:
        # Each ballot names a choice once, so both are the same number (content 6.4).
        shown["votes"] = shown["voterCount"] = choice.votes
    if is_own:
        shown["voted"] = True
    return shown


def _until(text: str) -> datetime.datetime | None:
    """Return the time at which an open poll closes by itself; None for a closed poll, or one without such a time.
    `text`: the poll's details (type_specific_fields.py).
    """
    poll = _decode(text)
    if not poll.is_open or poll.closes is None:
        return None
    return poll.closes.replace(tzinfo=datetime.UTC)


SPEC: Final = TypeSpecificFields(
    _SQL, _members, _MINE, has_last_comment=False, until=_until, summary=_summary_members
)


# ---------------------------------------------------------------- writing

MIN_CHOICES: Final = 2
MAX_CHOICES: Final = 50
MAX_QUESTION: Final = 512
MAX_CHOICE: Final = 150
RESULTS: Final = (ALWAYS, VOTED, CLOSED)
DUPLICATE = Query(
    "poll.duplicate",
    """
    SELECT i.item_id
      FROM items i
      JOIN polls p ON p.site_id = i.site_id AND p.item_id = i.item_id AND p.question = %(question)s
     WHERE i.site_id = %(site_id)s AND i.created_by = %(me)s AND i.item_type_id = %(item_type)s
       AND i.microcosm_id = %(microcosm_id)s AND i.title = %(title)s AND NOT i.is_deleted
       AND i.created > now() - make_interval(secs => %(window_s)s)
     ORDER BY i.item_id LIMIT 1""",
)

INSERT = Query(
    "poll.insert",
    """
    WITH made AS (
        INSERT INTO polls (site_id, item_id, question, is_multi, is_poll_open, closes, is_named, results)
        VALUES (%(site_id)s, %(item_id)s, %(question)s, %(is_multi)s, %(is_open)s, %(closes)s::timestamptz,
                %(is_named)s, %(results)s)
     RETURNING site_id, item_id)
    INSERT INTO poll_choices (site_id, item_id, choice, sequence)
    SELECT made.site_id, made.item_id, n.choice, n.place
      FROM made CROSS JOIN unnest(%(choices)s::text[]) WITH ORDINALITY AS n (choice, place)
     ORDER BY n.place""",
)

DETAILS = Query(
    "poll.details",
    f"""
    SELECT p.question, p.is_multi, p.is_poll_open, p.closes, p.is_named, p.results, p.voter_count, {IS_OPEN},
           ARRAY(SELECT c.choice_id FROM poll_choices c
                  WHERE c.site_id = p.site_id AND c.item_id = p.item_id ORDER BY c.sequence),
           (SELECT b.choice_ids FROM poll_ballots b
             WHERE b.site_id = p.site_id AND b.item_id = p.item_id AND b.user_id = %(user_id)s)
      FROM polls p
     WHERE p.site_id = %(site_id)s AND p.item_id = %(item_id)s""",
)

UPDATE = Query(
    "poll.update",
    """
    UPDATE polls p
       SET question = %(question)s, is_multi = %(is_multi)s, is_poll_open = %(is_open)s,
           closes = %(closes)s::timestamptz, is_named = %(is_named)s, results = %(results)s
     WHERE p.site_id = %(site_id)s AND p.item_id = %(item_id)s""",
)

HAS_MULTIPLE = Query(
    "poll.has_multiple",
    """
    SELECT EXISTS (SELECT 1 FROM poll_ballots b
                    WHERE b.site_id = %(site_id)s AND b.item_id = %(item_id)s AND cardinality(b.choice_ids) > 1)""",
)

REPLACE_CHOICES = Query(
    "poll.replace_choices",
    """
    WITH listed AS MATERIALIZED (
        SELECT n.id, n.choice, n.place
          FROM unnest(%(ids)s::bigint[], %(choices)s::text[]) WITH ORDINALITY AS n (id, choice, place)),
    gone AS (
        DELETE FROM poll_choices c
         WHERE c.site_id = %(site_id)s AND c.item_id = %(item_id)s AND c.choice_id = ANY(%(removed)s::bigint[])),
    kept AS (
        UPDATE poll_choices c
           SET choice = listed.choice, sequence = listed.place
          FROM listed
         WHERE c.site_id = %(site_id)s AND c.item_id = %(item_id)s AND c.choice_id = listed.id)
    INSERT INTO poll_choices (site_id, item_id, choice, sequence)
    SELECT %(site_id)s, %(item_id)s, listed.choice, listed.place FROM listed
     WHERE listed.id IS NULL ORDER BY listed.place""",
)

# The votes for a removed choice go with it, and a ballot with its last vote.
TRIM_BALLOTS = Query(
    "poll.trim_ballots",
    """
    WITH trimmed AS (
        UPDATE poll_ballots b
           SET choice_ids = ARRAY(SELECT x.id FROM unnest(b.choice_ids) AS x (id)
                                   WHERE x.id <> ALL(%(removed)s::bigint[]))
         WHERE b.site_id = %(site_id)s AND b.item_id = %(item_id)s AND b.choice_ids && %(removed)s::bigint[]
           AND NOT b.choice_ids <@ %(removed)s::bigint[]),
    dropped AS (
        DELETE FROM poll_ballots b
         WHERE b.site_id = %(site_id)s AND b.item_id = %(item_id)s AND b.choice_ids <@ %(removed)s::bigint[]
     RETURNING 1)
    UPDATE polls p
       SET voter_count = p.voter_count - (SELECT count(*) FROM dropped)
     WHERE p.site_id = %(site_id)s AND p.item_id = %(item_id)s""",
)

CAST = Query(
    "poll.cast",
    """
    WITH ballot AS (
        INSERT INTO poll_ballots (site_id, item_id, user_id, choice_ids)
        SELECT %(site_id)s, %(item_id)s, %(user_id)s, %(chosen)s::bigint[] WHERE %(chosen)s::bigint[] <> '{}'
            ON CONFLICT (site_id, item_id, user_id) DO UPDATE
           SET choice_ids = EXCLUDED.choice_ids, cast_at = EXCLUDED.cast_at),
    withdrawn AS (
        DELETE FROM poll_ballots b
         WHERE b.site_id = %(site_id)s AND b.item_id = %(item_id)s AND b.user_id = %(user_id)s
           AND %(chosen)s::bigint[] = '{}'),
    counted AS (
        UPDATE poll_choices c
           SET vote_count = c.vote_count + (c.choice_id = ANY(%(chosen)s::bigint[]))::int
                                         - (c.choice_id = ANY(%(before)s::bigint[]))::int
         WHERE c.site_id = %(site_id)s AND c.item_id = %(item_id)s
           AND c.choice_id = ANY(%(chosen)s::bigint[]) <> (c.choice_id = ANY(%(before)s::bigint[])))
    UPDATE polls p
       SET voter_count = p.voter_count + (%(chosen)s::bigint[] <> '{}')::int - (%(before)s::bigint[] <> '{}')::int,
           voted = CASE WHEN %(chosen)s::bigint[] <> '{}' AND %(before)s::bigint[] = '{}' THEN now() ELSE p.voted END
     WHERE p.site_id = %(site_id)s AND p.item_id = %(item_id)s""",
)

# The ballots of a named poll, with their voters.
VOTES = Query(
    "poll.votes",
    """
    SELECT v.profile_id, v.version, b.choice_ids, b.cast_at
      FROM poll_ballots b
      JOIN profiles v ON v.site_id = b.site_id AND v.user_id = b.user_id
     WHERE b.site_id = %(site_id)s AND b.item_id = %(item_id)s
     ORDER BY b.user_id
     LIMIT %(limit)s OFFSET %(offset)s""",
)


class ChoiceBody(Struct):
    """Choice of a poll as a client sends it; its position is its place in the array. `id`: that of a choice which the
    poll has; without it, or 0: a new choice. A sent count is ignored (C-32).
    """

    id: int | UnsetType = UNSET
    choice: str | UnsetType = UNSET


class PollDetails(NamedTuple):
    """Details of a poll as clients write them. `question`: HTML-escaped; `is_multi`: one may vote for several choices;
    `is_open`: as it was set, even past `closes`, the time at which it closes by itself, None for never; `takes_votes`:
    it is neither closed nor past `closes`; `results`: ALWAYS, VOTED or CLOSED; `is_named`: others see who voted for
    what; `choice_ids` in order; `ballot`: choice ids of one user, None for no vote.
    """

    question: str = ""
    is_multi: bool = False
    is_open: bool = True  # as it was set
    closes: datetime.datetime | None = None
    is_named: bool = False
    results: str = ALWAYS
    voter_count: int = 0
    takes_votes: bool = True  # open, and not past its time
    choice_ids: Sequence[int] = ()
    ballot: Sequence[int] | None = None


class PollChange(NamedTuple):
    """Details of a poll before and after a body is applied; `after` has `choice_ids`, `takes_votes`, `voter_count` and
    `ballot` of `before` all the same. `choices`: all choices in order, as (id, HTML-escaped text) with id None for a
    new one; None keeps them.
    """

    before: PollDetails
    after: PollDetails
    choices: list[tuple[int | None, str]] | None


def read_details(tx: Reader, site_id: int, item_id: int, user_id: int = 0) -> PollDetails:
    """Read the stored details of an existing poll, with the ballot of the user `user_id`; `ballot` is None if that user
    has not voted, and for 0.
    """
    row = tx.row(DETAILS, site_id=site_id, item_id=item_id, user_id=user_id)
    assert row is not None  # stored with its item
    return PollDetails(*row)


def checked(sent: Any, before: PollDetails, *, is_new: bool = False) -> PollChange:
    """Return how a body (handlers.polls.PollBody) changes `before`: a member that was not sent keeps its value, an
    empty `pollCloses` removes the time.

    `is_new`: question and choices are required, and `pollCloses` must be in the future. Raises Invalid for the first
    bad field, such as a `named` that differs once somebody has voted.
    """
    question = before.question
    if is_new or not isinstance(sent.question, UnsetType):
        question = text_rendering.title(_sent(sent.question), "question", MAX_QUESTION)
    closes = before.closes
    if not isinstance(sent.pollCloses, UnsetType):
        closes = _closing(sent.pollCloses, is_new=is_new) if sent.pollCloses else None
    is_named = given(sent.named, before.is_named)
    if is_named != before.is_named and before.voter_count:
        raise Invalid("named", "can't be changed once somebody has voted")
    results = given(sent.results, before.results)
    if results not in RESULTS:
        raise Invalid("results", f"must be one of: {', '.join(RESULTS)}")
    choices = None
    if is_new or not isinstance(sent.choices, UnsetType):
        choices = _choices(given(sent.choices, []), before.choice_ids)
    after = before._replace(
        question=question,
        is_multi=given(sent.multi, before.is_multi),
        is_open=given(sent.pollOpen, before.is_open),
        closes=closes,
        is_named=is_named,
        results=results,
    )
    return PollChange(before, after, choices)


def _sent(value: object) -> object:
    return None if isinstance(value, UnsetType) else value


def _choices(sent: Sequence[ChoiceBody], known: Sequence[int]) -> list[tuple[int | None, str]]:
    if not MIN_CHOICES <= len(sent) <= MAX_CHOICES:
        rule = f"must be {MIN_CHOICES} to {MAX_CHOICES}"
        raise Invalid("choices", rule, code=OUT_OF_RANGE if sent else 0)
    remaining = set(known)
    choices: list[tuple[int | None, str]] = []
    for position, choice in enumerate(sent):
        field = f"choices[{position}]"
        id = given(choice.id, 0) or None
        if id is not None and id not in remaining:
            raise Invalid(f"{field}.id", "is not a choice of this poll, or is repeated")
        remaining.discard(id or 0)
        choices.append(
            (id, text_rendering.title(_sent(choice.choice), f"{field}.choice", MAX_CHOICE))
        )
    return choices


def _closing(sent: str, *, is_new: bool) -> datetime.datetime:
    moment = rfc3339.instant(sent)
    if moment is None:
        raise Invalid("pollCloses", "must be a time such as 2027-07-01T00:00:00Z", code=WRONG_TYPE)
    if is_new and moment <= datetime.datetime.now(datetime.UTC):
        raise Invalid("pollCloses", "may not be in the past", code=OUT_OF_RANGE)
    return moment


def _columns(details: PollDetails) -> dict[str, Any]:
    return {
        "question": details.question,
        "is_multi": details.is_multi,
        "is_open": details.is_open,
        "closes": details.closes,
        "is_named": details.is_named,
        "results": details.results,
    }


@dataclasses.dataclass
class Poll(Item):
    """Poll as clients write it: a new one, or its current row, locked until the transaction ends. `details`: those that
    `insert` or `update` is to store; None where neither is called.

    The lock keeps counts exact and prevents a second vote. Only the table `poll_ballots` names voters: neither the
    event log nor the audit does.
    """

    details: PollChange | None = None  # for `insert` and `update`

    def _find_duplicate(self, tx: Transaction, **values: Any) -> int | None:
        assert self.details is not None
        id: int | None = tx.value(DUPLICATE, question=self.details.after.question, **values)
        return id

    def _insert_details(self, tx: Transaction, site_id: int) -> None:
        assert self.details is not None
        texts = [choice for _, choice in self.details.choices or ()]
        columns = _columns(self.details.after)
        tx.run(INSERT, site_id=site_id, item_id=self.id, choices=texts, **columns)

    def update(self, tx: Transaction, author: Author, change: ItemChange) -> None:
        """Store the title, microcosm and edit reason of `change` as Item.update does, and this object's `details`, in
        the locked poll; votes for removed choices are dropped. Raises Invalid if the poll allowed several choices and
        is to allow one only, and a ballot that is left names several.
        """
        super().update(tx, author, change)
        assert self.details is not None
        before, after, choices = self.details
        key: Mapping[str, int] = {"site_id": author.site_id, "item_id": self.id}
        tx.run(UPDATE, **key, **_columns(after))
        if choices is not None:
            ids = [id for id, _ in choices]
            removed = sorted(set(before.choice_ids) - {id for id in ids if id is not None})
            texts = [choice for _, choice in choices]
            tx.run(REPLACE_CHOICES, ids=ids, choices=texts, removed=removed, **key)
            if removed and before.voter_count:
                tx.run(TRIM_BALLOTS, removed=removed, **key)
        if before.is_multi and not after.is_multi and tx.value(HAS_MULTIPLE, **key):
            raise Invalid("multi", "can't be unset: somebody voted for several choices")

    def vote(
        self,
        tx: Transaction,
        author: Author,
        user_id: int,
        chosen: Sequence[int],
        *,
        is_moderator: bool,
    ) -> None:
        """Replace the ballot of the user `user_id` in the locked poll by the choice ids `chosen`; without choices,
        withdraw the ballot. An event of `author`'s site, which names no voter, goes to the event log. Nothing is
        written if the ballot names these choices already.

        Raises Invalid, with code 17, if the poll is closed, or its item is closed and not `is_moderator`, even if
        nothing would be written; else for an unknown or repeated choice, and for several in a poll that allows one.
        """
        site_id = author.site_id
        details = read_details(tx, site_id, self.id, user_id)
        if not details.takes_votes or not (self.is_open or is_moderator):
            raise Invalid("", "This poll is closed", code=IS_CLOSED)
        if len(set(chosen)) != len(chosen):
            raise Invalid("", "A choice may be named once")
        for position, id in enumerate(chosen):
            if id not in details.choice_ids:
                raise Invalid(f"[{position}].id", "is not a choice of this poll")
        if len(chosen) > 1 and not details.is_multi:
            raise Invalid("", "Only one choice may be named in this poll")
        if sorted(chosen) == sorted(details.ballot or ()):
            return
        tx.run(
            CAST,
            site_id=site_id,
            item_id=self.id,
            user_id=user_id,
            chosen=list(chosen),
            before=list(details.ballot or ()),
        )
        # The counts show that somebody voted; who it was is secret.
        journal.record(
            tx,
            Author(site_id, 0, ""),
            journal.PATCHED,
            itemtypes.POLL,
            self.id,
            microcosm_id=self.microcosm_id,
            audit=False,
        )
