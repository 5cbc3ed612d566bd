"""Writing of an import's conversations, events and polls, without their comments."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.porting.layout import PortedConversation, PortedPoll, Unreadable
from forumapi.porting.loading import value_cleaning
from forumapi.porting.loading.imported_ids import ImportedThing, Origin, allocate
from forumapi.porting.loading.people import ImportedPeople

INSERT = Query(
    "items.insert",
    """
    WITH made AS (
        INSERT INTO items (site_id, item_id, item_type_id, microcosm_id, title, created, created_by, edited, edited_by,
                           edit_reason, is_sticky, is_open, is_deleted, is_moderated, by_agent, last_activity)
        SELECT %(site_id)s, r.id, r.type, r.microcosm_id, r.title, r.created, r.created_by, r.edited, r.edited_by,
               r.edit_reason, r.is_sticky, r.is_open, r.is_deleted, r.is_moderated, r.by_agent, r.created
          FROM json_to_recordset(%(rows)s::json)
               AS r (id bigint, type smallint, microcosm_id bigint, title text, created timestamptz, created_by bigint,
                     edited timestamptz, edited_by bigint, edit_reason text, is_sticky boolean, is_open boolean,
                     is_deleted boolean, is_moderated boolean, by_agent boolean)
         ORDER BY r.id
     RETURNING site_id, item_id)
    INSERT INTO item_views (site_id, item_id, views)
    SELECT made.site_id, made.item_id, r.views
      FROM json_to_recordset(%(rows)s::json) AS r (id bigint, views bigint)
      JOIN made ON made.item_id = r.id""",
)
INSERT_EVENTS = Query(
    "items.insert_events",
    """
    INSERT INTO events (site_id, item_id, when_local, when_utc, tz_name, duration_min, place, lat, lon, status,
                        rsvp_limit, reminded)
    SELECT %(site_id)s, r.id, r.when_local, r.when_local AT TIME ZONE r.tz_name, r.tz_name, r.duration, r.place, r.lat,
           r.lon, r.status, r.rsvp_limit, now()
      FROM json_to_recordset(%(rows)s::json)
           AS r (id bigint, when_local timestamp, tz_name text, duration integer, place text, lat double precision,
                 lon double precision, status text, rsvp_limit integer)""",
)
INSERT_ATTENDEES = Query(
    "items.insert_attendees",
    """
    WITH made AS (
        INSERT INTO attendees (site_id, item_id, profile_id, state_id, rsvpd_on, created_by)
        SELECT DISTINCT ON (r.item_id, r.profile_id) %(site_id)s, r.item_id, r.profile_id, r.state, r.rsvpd_on,
               r.profile_id
          FROM json_to_recordset(%(rows)s::json)
               AS r (item_id bigint, profile_id bigint, state smallint, rsvpd_on timestamptz)
     RETURNING site_id, item_id, state_id)
    UPDATE events e
       SET rsvp_attending = n.attending
      FROM (SELECT made.item_id, count(*) FILTER (WHERE made.state_id = 1) AS attending
              FROM made GROUP BY made.item_id) n
     WHERE e.site_id = %(site_id)s AND e.item_id = n.item_id""",
)
INSERT_POLLS = Query(
    "items.insert_polls",
    """
    INSERT INTO polls (site_id, item_id, question, is_multi, is_poll_open, closes, voter_count, is_named, results,
                       voted)
    SELECT %(site_id)s, r.id, r.question, r.is_multi, r.is_poll_open, r.closes, r.voter_count, r.is_named, r.results,
           r.voted
      FROM json_to_recordset(%(rows)s::json)
           AS r (id bigint, question text, is_multi boolean, is_poll_open boolean, closes timestamptz,
                 voter_count integer, is_named boolean, results text, voted timestamptz)""",
)
INSERT_CHOICES = Query(
    "items.insert_choices",
    """
    INSERT INTO poll_choices (site_id, item_id, choice_id, choice, sequence, vote_count)
    SELECT %(site_id)s, r.item_id, r.id, r.choice, r.place, r.votes
      FROM json_to_recordset(%(rows)s::json)
           AS r (item_id bigint, id bigint, choice text, place smallint, votes integer)""",
)
INSERT_BALLOTS = Query(
    "items.insert_ballots",
    """
    INSERT INTO poll_ballots (site_id, item_id, user_id, choice_ids, cast_at)
    SELECT %(site_id)s, r.item_id, r.user_id, r.choices, r.cast_at
      FROM json_to_recordset(%(rows)s::json)
           AS r (item_id bigint, user_id bigint, choices bigint[], cast_at timestamptz)
        ON CONFLICT DO NOTHING""",
)

UNTITLED: Final = "Untitled"
_STATES: Final = {"yes": 1, "maybe": 2, "invited": 3, "no": 4}
_INT32: Final = 2**31 - 1


def count(number: int) -> int:
    """Return a number of the source, such as views, limited to the range from 0 to the largest value of an integer
    column.
    """
    return max(0, min(number, _INT32))


class ItemWriter:
    """Writer of an import's conversations, events with attendees, and polls with ballots."""

    def __init__(self, origin: Origin, people: ImportedPeople) -> None:
        self._origin = origin
        self._people = people
        self._now = datetime.datetime.now(datetime.UTC)

    def insert_conversations(
        self, tx: Transaction, conversations: Sequence[PortedConversation]
    ) -> list[Unreadable]:
        """Insert the conversations and events that no earlier run has inserted; return those left out, whose forum does
        not exist here. Attendees who did not come are dropped.
        """
        origin = self._origin
        wanted = [("conversation", one.id) for one in conversations]
        wanted += [("forum", one.forum_id) for one in conversations]
        found = origin.find_items(tx, wanted)
        left: list[Unreadable] = []
        fresh: dict[str, PortedConversation] = {}
        for one in conversations:
            if ("conversation", one.id) in found or one.id in fresh:
                continue
            if ("forum", one.forum_id) not in found:
                left.append(_homeless("conversation", one.id, "forumId: forum", one.forum_id))
            else:
                fresh[one.id] = one
        self._people.ensure_authors(tx, ((one.author, one.author_name) for one in fresh.values()))
        ids = allocate(tx, "items_item_id_seq", len(fresh))
        rows, events, attendees = [], [], []
        for one, id in zip(fresh.values(), ids, strict=True):
            kind = itemtypes.EVENT if one.event else itemtypes.CONVERSATION
            rows.append(self._row(one, id, kind, found["forum", one.forum_id].id, one.name))
            if one.event is not None:
                events.append(_event_row(one, id))
                attendees += self._attendee_rows(one, id)
        origin.run(tx, INSERT, rows)
        origin.run(tx, INSERT_EVENTS, events)
        origin.run(tx, INSERT_ATTENDEES, attendees)
        origin.remember(
            tx,
            [
                (itemtypes.EVENT if one.event else itemtypes.CONVERSATION, one.id, id, "")
                for one, id in zip(fresh.values(), ids, strict=True)
            ],
        )
        return left

    def insert_polls(self, tx: Transaction, polls: Sequence[PortedPoll]) -> list[Unreadable]:
        """Insert the polls that no earlier run has inserted, with choices and ballots; return what was left out, with
        reasons: polls whose conversation or forum did not come, ballots of unknown people or for no choice of the poll,
        and second ballots of one person.
        """
        origin = self._origin
        wanted = [("poll", one.id) for one in polls]
        wanted += [("forum", one.forum_id) for one in polls if one.forum_id]
        wanted += [("conversation", one.conversation_id) for one in polls if one.conversation_id]
        found = origin.find_items(tx, wanted)
        homes = self._microcosms(tx, found)
        left: list[Unreadable] = []
        fresh: dict[str, tuple[PortedPoll, int]] = {}
        for one in polls:
            if ("poll", one.id) in found or one.id in fresh:
                continue
            home = homes.get(("conversation", one.conversation_id)) if one.conversation_id else None
            if home is None and not one.conversation_id and ("forum", one.forum_id) in found:
                home = found["forum", one.forum_id].id
            if home is None:
                what = (
                    ("conversationId: conversation", one.conversation_id)
                    if one.conversation_id
                    else ("forumId: forum", one.forum_id)
                )
                left.append(_homeless("poll", one.id, *what))
            else:
                fresh[one.id] = (one, home)
        self._people.ensure_authors(
            tx, ((one.author, one.author_name) for one, _ in fresh.values())
        )
        ids = allocate(tx, "items_item_id_seq", len(fresh))
        rows, details, choices, ballots = [], [], [], []
        voters = {
            self._people.id(ballot.author) for one, _ in fresh.values() for ballot in one.ballots
        } - {0}
        users = self._people.users(tx, voters)
        for (one, home), id in zip(fresh.values(), ids, strict=True):
            rows.append(self._row(one, id, itemtypes.POLL, home, one.name or one.question))
            places = allocate(tx, "poll_choices_choice_id_seq", len(one.choices))
            numbers = {
                choice.id: number for choice, number in zip(one.choices, places, strict=True)
            }
            cast, unknown = self._ballot_rows(one, id, numbers, users)
            left += unknown
            ballots += cast
            votes: dict[int, int] = {}
            for ballot in cast:
                for number in ballot["choices"]:
                    votes[number] = votes.get(number, 0) + 1
            choices += [
                {
                    "item_id": id,
                    "id": numbers[choice.id],
                    "choice": value_cleaning.line(choice.text, "—"),
                    "place": place,
                    "votes": max(count(choice.votes), votes.get(numbers[choice.id], 0)),
                }
                for place, choice in enumerate(one.choices, 1)
            ]
            details.append(_poll_row(one, id, cast))
        origin.run(tx, INSERT, rows)
        origin.run(tx, INSERT_POLLS, details)
        origin.run(tx, INSERT_CHOICES, choices)
        origin.run(tx, INSERT_BALLOTS, ballots)
        origin.remember(
            tx,
            [
                (
                    itemtypes.POLL,
                    one.id,
                    id,
                    f"conversation:{one.conversation_id}" if one.conversation_id else "",
                )
                for (one, _), id in zip(fresh.values(), ids, strict=True)
            ],
        )
        return left

    def _microcosms(
        self, tx: Transaction, found: Mapping[tuple[str, str], ImportedThing]
    ) -> dict[tuple[str, str], int]:
        """Return the id of the microcosm that each conversation among the things `found` is in; both maps by kind and
        old id.
        """
        ids = {thing.id: key for key, thing in found.items() if key[0] == "conversation"}
        if not ids:
            return {}
        rows = tx.rows(HOMES, site_id=self._origin.site_id, ids=list(ids))
        return {ids[id]: microcosm_id for id, microcosm_id in rows}

    def _row(
        self,
        one: PortedConversation | PortedPoll,
        id: int,
        kind: int,
        microcosm_id: int,
        title: str,
    ) -> dict[str, Any]:
        edited = getattr(one, "date_edited", None)
        editor = getattr(one, "edited_by", "")
        return {
            "id": id,
            "type": kind,
            "microcosm_id": microcosm_id,
            "title": value_cleaning.line(title, UNTITLED),
            "created": value_cleaning.time(one.date_created, self._now),
            "created_by": self._people.author(one.author, one.author_name),
            "edited": value_cleaning.time(edited, self._now) if edited else None,
            "edited_by": (self._people.id(editor) or None) if edited else None,
            "edit_reason": value_cleaning.line(getattr(one, "edit_reason", "")),
            "is_sticky": one.is_sticky,
            "is_open": one.is_open,
            "is_deleted": one.is_deleted,
            "is_moderated": one.is_moderated,
            "by_agent": one.by_agent,
            "views": max(0, one.view_count),
        }

    def _attendee_rows(self, one: PortedConversation, id: int) -> list[dict[str, Any]]:
        assert one.event is not None
        return [
            {
                "item_id": id,
                "profile_id": profile_id,
                "state": _STATES[attendee.state],
                "rsvpd_on": value_cleaning.time(attendee.date, one.date_created or self._now),
            }
            for attendee in one.event.attendees
            if (profile_id := self._people.id(attendee.id))
        ]

    def _ballot_rows(
        self, one: PortedPoll, id: int, numbers: Mapping[str, int], users: Mapping[int, int]
    ) -> tuple[list[dict[str, Any]], list[Unreadable]]:
        cast: dict[int, dict[str, Any]] = {}
        left = []
        for ballot in one.ballots:
            user = users.get(self._people.id(ballot.author))
            chosen = [numbers[choice] for choice in ballot.choices if choice in numbers]
            if user is None or not chosen:
                reason = (
                    "author: is no profile" if user is None else "choices: are none of the poll"
                )
                left.append(
                    Unreadable(kind="ballot", id=f"{one.id}:{ballot.author}", reason=reason)
                )
            elif user in cast:
                # Two old accounts of one person.
                left.append(
                    Unreadable(
                        kind="ballot",
                        id=f"{one.id}:{ballot.author}",
                        reason="author: is a person who voted already, from another account",
                    )
                )
            else:
                cast[user] = {
                    "item_id": id,
                    "user_id": user,
                    "choices": sorted(set(chosen)),
                    "cast_at": value_cleaning.time(ballot.date, one.date_created or self._now),
                }
        return list(cast.values()), left


HOMES = Query(
    "items.homes",
    """
    SELECT i.item_id, i.microcosm_id
      FROM items i
     WHERE i.site_id = %(site_id)s AND i.item_id = ANY(%(ids)s::bigint[])""",
)


def _event_row(one: PortedConversation, id: int) -> dict[str, Any]:
    event = one.event
    assert event is not None
    return {
        "id": id,
        "when_local": event.when.replace(tzinfo=None).isoformat() if event.when else None,
        "tz_name": value_cleaning.time_zone(event.time_zone, "UTC"),
        "duration": count(event.duration),
        "place": value_cleaning.line(event.place),
        "lat": event.lat,
        "lon": event.lon,
        "status": event.status,
        "rsvp_limit": count(event.rsvp_limit),
    }


def _poll_row(one: PortedPoll, id: int, ballots: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "id": id,
        "question": value_cleaning.line(one.question, UNTITLED),
        "is_multi": one.max_choices != 1,
        "is_poll_open": one.is_poll_open,
        "closes": value_cleaning.time(one.closes, value_cleaning.EPOCH) if one.closes else None,
        "voter_count": max(count(one.voter_count), len(ballots)),
        "is_named": one.is_named,
        "results": one.results,
        "voted": max((ballot["cast_at"] for ballot in ballots), default=None),
    }


def _homeless(kind: str, id: str, field: str, old_id: str) -> Unreadable:
    return Unreadable(kind=kind, id=id, reason=f"{field} {old_id} did not come")
