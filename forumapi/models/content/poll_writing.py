"""Polls, for writing: what a client sends, checked; its choices; votes (content 6.3 and 6.5, C-32, C-33).

Everything here runs under the lock of the poll's item, so that counts are exact and nobody votes twice. Who voted
stands in `poll_ballots` alone: neither the event log nor the audit says it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.database.connections import Query, Reader, Transaction
from forumapi.errors import CLOSED as IS_CLOSED
from forumapi.errors import OUT_OF_RANGE, WRONG_TYPE, Invalid
from forumapi.models.content import poll, text
from forumapi.models.content.item import LockedItem
from forumapi.models.content.item_type_spec import New
from forumapi.models.journal import journal
from forumapi.models.sites.site_rules import given

MIN_CHOICES: Final = 2
MAX_CHOICES: Final = 50
MAX_QUESTION: Final = 512
MAX_CHOICE: Final = 150
_RESULTS: Final = (poll.ALWAYS, poll.VOTED, poll.CLOSED)
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)

DUPLICATE = Query(
    "poll_writing.duplicate",
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
    "poll_writing.insert",
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

STORED = Query(
    "poll_writing.stored",
    f"""
    SELECT p.question, p.is_multi, p.is_poll_open, p.closes, p.is_named, p.results, p.voter_count, {poll.IS_OPEN},
           ARRAY(SELECT c.choice_id FROM poll_choices c
                  WHERE c.site_id = p.site_id AND c.item_id = p.item_id ORDER BY c.sequence),
           (SELECT b.choice_ids FROM poll_ballots b
             WHERE b.site_id = p.site_id AND b.item_id = p.item_id AND b.user_id = %(user_id)s)
      FROM polls p
     WHERE p.site_id = %(site_id)s AND p.item_id = %(item_id)s""",
)

UPDATE = Query(
    "poll_writing.update",
    """
    UPDATE polls p
       SET question = %(question)s, is_multi = %(is_multi)s, is_poll_open = %(is_open)s,
           closes = %(closes)s::timestamptz, is_named = %(is_named)s, results = %(results)s
     WHERE p.site_id = %(site_id)s AND p.item_id = %(item_id)s""",
)

HAS_MULTIPLE = Query(
    "poll_writing.has_multiple",
    """
    SELECT EXISTS (SELECT 1 FROM poll_ballots b
                    WHERE b.site_id = %(site_id)s AND b.item_id = %(item_id)s AND cardinality(b.choice_ids) > 1)""",
)

REPLACE_CHOICES = Query(
    "poll_writing.replace_choices",
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

# With a choice go its votes, and with their last one the ballots.
TRIM_BALLOTS = Query(
    "poll_writing.trim_ballots",
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
    "poll_writing.cast",
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

# Who voted for what, in a poll that says so.
VOTES = Query(
    "poll_writing.votes",
    """
    SELECT v.profile_id, v.version, b.choice_ids, b.cast_at
      FROM poll_ballots b
      JOIN profiles v ON v.site_id = b.site_id AND v.user_id = b.user_id
     WHERE b.site_id = %(site_id)s AND b.item_id = %(item_id)s
     ORDER BY b.user_id
     LIMIT %(limit)s OFFSET %(offset)s""",
)


class ChoiceBody(Struct):
    """A choice as a client sends it; its order is its place, and its counts are nobody's to say (C-32)."""

    id: int | UnsetType = UNSET
    choice: str | UnsetType = UNSET


class Stored(NamedTuple):
    """A poll as it is stored, with its choices in order and the ballot of one user (None: not voted)."""

    question: str = ""
    is_multi: bool = False
    is_open: bool = True  # as it was set
    closes: datetime.datetime | None = None
    is_named: bool = False
    results: str = poll.ALWAYS
    voter_count: int = 0
    takes_votes: bool = True  # open, and not past its time
    choice_ids: Sequence[int] = ()
    ballot: Sequence[int] | None = None


class Checked(NamedTuple):
    """A poll as a body describes it: new details, and its choices as (id or None, text), or None to keep them."""

    poll: Stored
    choices: list[tuple[int | None, str]] | None


def stored(tx: Reader, site_id: int, item_id: int, user_id: int = 0) -> Stored:
    """The details of a poll; under a write its item is locked. `user_id`: whose ballot."""
    row = tx.row(STORED, site_id=site_id, item_id=item_id, user_id=user_id)
    assert row is not None  # made with its item
    return Stored(*row)


def checked(sent: Any, before: Stored, *, is_new: bool = False) -> Checked:
    """What a body (handlers.polls.PollBody) makes of a poll. Raises Invalid."""
    question = before.question
    if is_new or not isinstance(sent.question, UnsetType):
        question = text.title(_sent(sent.question), "question", MAX_QUESTION)
    closes = before.closes
    if not isinstance(sent.pollCloses, UnsetType):
        closes = _closing(sent.pollCloses, is_new=is_new) if sent.pollCloses else None
    is_named = given(sent.named, before.is_named)
    if is_named != before.is_named and before.voter_count:
        raise Invalid("named", "can't be changed once somebody has voted")
    results = given(sent.results, before.results)
    if results not in _RESULTS:
        raise Invalid("results", f"must be one of: {', '.join(_RESULTS)}")
    choices = None
    if is_new or not isinstance(sent.choices, UnsetType):
        choices = _choices(given(sent.choices, []), before.choice_ids)
    made = before._replace(
        question=question,
        is_multi=given(sent.multi, before.is_multi),
        is_open=given(sent.pollOpen, before.is_open),
        closes=closes,
        is_named=is_named,
        results=results,
    )
    return Checked(made, choices)


def _sent(value: object) -> object:
    return None if isinstance(value, UnsetType) else value


def _choices(sent: Sequence[ChoiceBody], known: Sequence[int]) -> list[tuple[int | None, str]]:
    if not MIN_CHOICES <= len(sent) <= MAX_CHOICES:
        rule = f"must be {MIN_CHOICES} to {MAX_CHOICES}"
        raise Invalid("choices", rule, code=OUT_OF_RANGE if sent else 0)
    left = set(known)
    made: list[tuple[int | None, str]] = []
    for place, one in enumerate(sent):
        id = given(one.id, 0) or None
        if id is not None and id not in left:
            raise Invalid(f"choices[{place}].id", "is no choice of this poll, or stands twice")
        left.discard(id or 0)
        made.append((id, text.title(_sent(one.choice), f"choices[{place}].choice", MAX_CHOICE)))
    return made


def _closing(sent: str, *, is_new: bool) -> datetime.datetime:
    found = _TIME.fullmatch(sent)
    if found is not None:
        day, time, fraction, zone = found.groups()
        zone = "+00:00" if zone in "Zz" else zone
        try:
            moment = datetime.datetime.fromisoformat(
                f"{day}T{time}.{(fraction or '0'):0<6.6}{zone}"
            ).astimezone(datetime.UTC)
        except (ValueError, OverflowError):
            found = None
    if found is None:
        raise Invalid("pollCloses", "must be a time such as 2027-07-01T00:00:00Z", code=WRONG_TYPE)
    if is_new and moment <= datetime.datetime.now(datetime.UTC):
        raise Invalid("pollCloses", "may not be in the past", code=OUT_OF_RANGE)
    return moment


def new(made: Checked) -> New:
    """What stores a checked poll with its item."""
    assert made.choices is not None
    texts = [choice for _, choice in made.choices]
    return New(DUPLICATE, INSERT, {**_columns(made.poll), "choices": texts})


def _columns(made: Stored) -> dict[str, Any]:
    return {
        "question": made.question,
        "is_multi": made.is_multi,
        "is_open": made.is_open,
        "closes": made.closes,
        "is_named": made.is_named,
        "results": made.results,
    }


def update(tx: Transaction, site_id: int, item_id: int, before: Stored, made: Checked) -> None:
    """Store what a PUT made of a poll; its item is locked, and its version moves elsewhere. Raises Invalid."""
    here: Mapping[str, int] = {"site_id": site_id, "item_id": item_id}
    tx.run(UPDATE, **here, **_columns(made.poll))
    if made.choices is not None:
        ids = [id for id, _ in made.choices]
        removed = sorted(set(before.choice_ids) - {id for id in ids if id is not None})
        texts = [choice for _, choice in made.choices]
        tx.run(REPLACE_CHOICES, ids=ids, choices=texts, removed=removed, **here)
        if removed and before.voter_count:
            tx.run(TRIM_BALLOTS, removed=removed, **here)
    if before.is_multi and not made.poll.is_multi and tx.value(HAS_MULTIPLE, **here):
        raise Invalid("multi", "can't be taken back: somebody voted for several choices")


def vote(
    tx: Transaction,
    author: journal.Author,
    user_id: int,
    found: LockedItem,
    chosen: Sequence[int],
    *,
    is_moderator: bool,
) -> None:
    """Make this the ballot of a user, none: withdraw it. Raises Invalid; code 17 where no votes are taken any more."""
    before = stored(tx, author.site_id, found.id, user_id)
    if not before.takes_votes or not (found.is_open or is_moderator):
        raise Invalid("", "This poll is closed", code=IS_CLOSED)
    if len(set(chosen)) != len(chosen):
        raise Invalid("", "A choice may be named once")
    for place, id in enumerate(chosen):
        if id not in before.choice_ids:
            raise Invalid(f"[{place}].id", "is no choice of this poll")
    if len(chosen) > 1 and not before.is_multi:
        raise Invalid("", "Only one choice may be named in this poll")
    if sorted(chosen) == sorted(before.ballot or ()):
        return
    tx.run(
        CAST,
        site_id=author.site_id,
        item_id=found.id,
        user_id=user_id,
        chosen=list(chosen),
        before=list(before.ballot or ()),
    )
    # That somebody voted is no secret, since the counts show it; who did is nobody's to know.
    journal.record(
        tx,
        author.site_id,
        journal.PATCHED,
        itemtypes.POLL,
        found.id,
        actor=0,
        ip="",
        microcosm_id=found.microcosm_id,
        audit=False,
    )
