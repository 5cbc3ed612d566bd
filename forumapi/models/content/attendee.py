"""Attendees of events: answers, the waiting list, lists and the CSV (content 5.5 to 5.7)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query, Replica, Row
from forumapi.errors import EVENT_FULL, Invalid, NotFound
from forumapi.models.content import item_page, item_summary, type_specific_fields
from forumapi.models.content.event import Event
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.notifications import update_types
from forumapi.models.notifications.watcher import watch
from forumapi.models.pages.document_reader import Documents
from forumapi.models.people import profile_summary
from forumapi.permissions.evaluator import Target
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment, dumps
from forumapi.wire.paging import Paging

YES: Final = 1
MAYBE: Final = 2
INVITED: Final = 3
NO: Final = 4
STATES: Final[Mapping[str, int]] = {"yes": YES, "maybe": MAYBE, "invited": INVITED, "no": NO}
NAMES: Final[Mapping[int, str]] = {id: name for name, id in STATES.items()}

# ---------------------------------------------------------------- reading

# Of an attendee `a` with the versions of the people it shows; the creator decides whether there is one.
_COLUMNS: Final = """
           a.profile_id, p.version, a.state_id, a.rsvpd_on, a.waiting_since IS NOT NULL, a.created,
           a.created_by, ac.version, a.edited, coalesce(a.edited_by, 0), coalesce(ae.version, 0)"""
_JOINS: Final = """
      LEFT JOIN profiles p ON p.site_id = a.site_id AND p.profile_id = a.profile_id
      LEFT JOIN profiles ac ON ac.site_id = a.site_id AND ac.profile_id = a.created_by
      LEFT JOIN profiles ae ON ae.site_id = a.site_id AND ae.profile_id = a.edited_by"""

FIND = Query(
    "attendee.find",
    f"""
    SELECT i.microcosm_id, i.is_deleted OR i.is_moderated, i.created_by, {_COLUMNS}
      FROM items i
      LEFT JOIN attendees a ON a.site_id = i.site_id AND a.item_id = i.item_id AND a.profile_id = %(profile_id)s
      {_JOINS}
     WHERE i.site_id = %(site_id)s AND i.item_id = %(event_id)s AND i.item_type_id = {itemtypes.EVENT}""",
)

# State, then the time of the answer; one row without attendee when the page is empty.
LIST = Query(
    "attendee.list",
    f"""
    SELECT n.total, {_COLUMNS}
      FROM (SELECT count(*)::int AS total
              FROM attendees a
             WHERE a.site_id = %(site_id)s AND a.item_id = %(event_id)s
               AND (NOT %(attending)s::boolean OR a.state_id = 1)) n
      LEFT JOIN (SELECT a.*
                   FROM attendees a
                  WHERE a.site_id = %(site_id)s AND a.item_id = %(event_id)s
                    AND (NOT %(attending)s::boolean OR a.state_id = 1)
                  ORDER BY a.state_id, a.rsvpd_on, a.profile_id
                  LIMIT %(limit)s OFFSET %(offset)s) a ON true
      {_JOINS}
     ORDER BY a.state_id, a.rsvpd_on, a.profile_id""",
    replica=Replica.ACKNOWLEDGED,
)

BY_IDS = Query(
    "attendee.by_ids",
    f"""
    SELECT a.item_id, {_COLUMNS}
      FROM unnest(%(event_ids)s::bigint[], %(profile_ids)s::bigint[]) AS k (item_id, profile_id)
      JOIN attendees a ON a.item_id = k.item_id AND a.profile_id = k.profile_id
      {_JOINS}
     WHERE a.site_id = %(site_id)s""",
)

CSV = Query(
    "attendee.csv",
    """
    SELECT p.profile_name, p.profile_id, CASE p.profile_id WHEN %(me)s THEN u.email ELSE u.person_key END, a.rsvpd_on
      FROM attendees a
      JOIN profiles p ON p.site_id = a.site_id AND p.profile_id = a.profile_id
      JOIN users u ON u.user_id = p.user_id
     WHERE a.site_id = %(site_id)s AND a.item_id = %(event_id)s AND a.state_id = 1
     ORDER BY lower(p.profile_name), p.profile_id""",
)

# The events that somebody said yes to, as item_summary.LIST and item_summary.COUNT list all of them.
_ATTENDED: Final = """
              FROM attendees t
              JOIN items i ON i.site_id = t.site_id AND i.item_id = t.item_id
             WHERE t.site_id = %(site_id)s AND t.profile_id = %(me)s AND t.state_id = 1
               AND i.item_type_id = %(item_type)s AND NOT i.is_deleted AND NOT i.is_moderated
               AND i.microcosm_id = ANY(%(readable)s::bigint[]) AND i.item_id <> ALL(%(ignored)s::bigint[])"""

EVENTS = Query(
    "attendee.events",
    f"""
    SELECT {item_summary.SUMMARY_COLUMNS}, {item_summary.SUMMARY_TIMES}, {item_page.new_comments()},
           {type_specific_fields.MINE}
      FROM (SELECT i.* {_ATTENDED}
             ORDER BY i.is_sticky DESC, i.last_activity DESC, i.item_id DESC
             LIMIT %(limit)s OFFSET %(offset)s) i
      {item_summary.SUMMARY_JOINS}
     ORDER BY i.is_sticky DESC, i.last_activity DESC, i.item_id DESC""",
    replica=Replica.ALL,
)

COUNT_EVENTS = Query(
    "attendee.count_events", f"SELECT count(*) {_ATTENDED}", replica=Replica.ACKNOWLEDGED
)


class Attendee(NamedTuple):
    """Answer of a profile to an event. `state`: a value such as YES, given at `rsvpd_on`; `is_waiting`: the profile is
    on the waiting list; `creator_id` and `editor_id`: the profiles that first stored and last changed the answer,
    `editor_id` 0 if it was never changed; `…_version`: versions of these profiles.
    """

    profile_id: int
    profile_version: int
    state: int
    rsvpd_on: datetime.datetime
    is_waiting: bool
    created: datetime.datetime
    creator_id: int
    creator_version: int
    edited: datetime.datetime | None
    editor_id: int
    editor_version: int

    def delete(self, tx: Transaction, author: Author, event: Event) -> None:
        """Delete the answer, and give a space that becomes free to whoever has waited longest on the waiting list, as
        `promote_waiting` does. The caller has locked `event` and loaded its details.
        """
        key = {"site_id": author.site_id, "event_id": event.id}
        tx.run(DELETE, profile_id=self.profile_id, **key)
        _record(tx, author, event, journal.DELETED, [self.profile_id])
        promote_waiting(tx, author, event)

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Return values of which one differs whenever the document does, for the entity tag."""
        return (
            self.profile_id,
            self.profile_version,
            self.state,
            self.rsvpd_on.timestamp(),
            self.is_waiting,
            self.creator_version,
            self.editor_id,
            self.editor_version,
        )


class EventAttendance(NamedTuple):
    """Event as a target of permissions, with the answer of one profile to it. `is_hidden`: the event itself is deleted
    or moderated; `author_id`: profile of the event's author; `attendee` None: the profile has not answered.
    """

    microcosm_id: int
    is_hidden: bool
    author_id: int
    attendee: Attendee | None

    def target(self, event_id: int) -> Target:
        """Return the event as a target of permissions, for the evaluator."""
        return Target(itemtypes.EVENT, event_id, self.microcosm_id, (self.author_id,))

    def attendee_target(self, profile_id: int, me: int) -> Target:
        """Return the answer of the profile `profile_id`, stored or not, as a target of permissions of the caller, whose
        profile has the id `me` (0: a guest) (platform 5.4).
        """
        owners = (profile_id, self.attendee.creator_id) if self.attendee else (profile_id,)
        return Target(
            itemtypes.ATTENDEE,
            profile_id,
            self.microcosm_id,
            owners,
            is_attendee=bool(me) and me == profile_id,
        )


def find(tx: Reader, site_id: int, event_id: int, profile_id: int) -> EventAttendance | None:
    """Return the event, hidden or not, with the answer of one profile; None if there never was such an event on this
    site.
    """
    row = tx.row(FIND, site_id=site_id, event_id=event_id, profile_id=profile_id)
    if row is None:
        return None
    microcosm_id, is_hidden, author_id, *columns = row
    attendee = Attendee(*columns) if columns[0] else None
    return EventAttendance(microcosm_id, is_hidden, author_id, attendee)


def page(
    tx: Reader, site_id: int, event_id: int, at: Paging, *, attending: bool
) -> tuple[int, list[Attendee]]:
    """Return the number of answers to an event and the page `at` of them, by answer (yes, maybe, invited, no), then by
    the time of the answer. `attending`: the number and the page are those of answers yes alone.
    """
    rows = tx.rows(
        LIST,
        site_id=site_id,
        event_id=event_id,
        attending=attending,
        limit=at.limit,
        offset=at.offset,
    )
    return rows[0][0], [Attendee(*row[1:]) for row in rows if row[1] is not None]


def people(attendees: Sequence[Attendee]) -> dict[int, int]:
    """Return the versions of all profiles that the documents of these answers show, by profile id."""
    versions: dict[int, int] = {}
    for attendee in attendees:
        versions[attendee.profile_id] = attendee.profile_version
        versions[attendee.creator_id] = attendee.creator_version
        if attendee.editor_id:
            versions[attendee.editor_id] = attendee.editor_version
    return versions


def by_ids(
    tx: Reader, documents: Documents, site_id: int, pairs: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], bytes]:
    """Return documents of answers as JSON, by (event id, profile id); of `pairs`, of the same form, those without an
    answer are left out. The caller checks permission.
    """
    if not pairs:
        return {}
    events, profiles = zip(*pairs, strict=True)
    rows = tx.rows(BY_IDS, site_id=site_id, event_ids=list(events), profile_ids=list(profiles))
    attendees = [(row[0], Attendee(*row[1:])) for row in rows]
    wanted = {profile_summary.SUMMARY: people([attendee for _, attendee in attendees])}
    shown = documents.fetch(tx, site_id, wanted)[profile_summary.SUMMARY]
    return {
        (event_id, attendee.profile_id): document(event_id, attendee, shown)
        for event_id, attendee in attendees
    }


def document(
    event_id: int, attendee: Attendee, people: Mapping[int, Fragment], permissions: bytes = b""
) -> bytes:
    """Render an answer as JSON (content 5.6). `people`: documents by profile id, of all profiles that the function
    `people` names for the answer; `permissions`: JSON of the viewer's permissions, b"" to leave out the member
    `permissions`.
    """
    event = itemtypes.href(itemtypes.EVENT, event_id)
    meta: dict[str, Any] = {
        "created": json_fragments.format_time(attendee.created),
        "createdBy": json_fragments.raw(people[attendee.creator_id][0]),
    }
    if attendee.edited is not None:
        meta["edited"] = json_fragments.format_time(attendee.edited)
        meta["editedBy"] = json_fragments.raw(people[attendee.editor_id][0])
    meta["links"] = [
        {"rel": "self", "href": f"{event}/attendees/{attendee.profile_id}"},
        {"rel": "profile", "href": itemtypes.href(itemtypes.PROFILE, attendee.profile_id)},
        {"rel": "event", "href": event},
    ]
    if permissions:
        meta["permissions"] = json_fragments.raw(permissions)
    data: dict[str, Any] = {
        "profileId": attendee.profile_id,
        "profile": json_fragments.raw(people[attendee.profile_id][0]),
        "rsvp": NAMES[attendee.state],
    }
    if attendee.is_waiting:
        data["waiting"] = True
    return dumps(data | {"rsvpdOn": json_fragments.format_time(attendee.rsvpd_on), "meta": meta})


def csv_rows(tx: Reader, site_id: int, event_id: int, me: int) -> list[Row]:
    """Return (name as HTML, profile id, e-mail address, time of the answer) of all who answered yes, ordered by name,
    ignoring case; [] for nobody.

    The address of the profile `me` is as entered, the others' are the results of `same_person_key`
    (text/email_address.py). The caller leaves out those addresses that may not be shown.
    """
    return tx.rows(CSV, site_id=site_id, event_id=event_id, me=me)


# ---------------------------------------------------------------- answering

# Only under the lock of the event's item, which keeps the count of spaces exact.
CURRENT = Query(
    "attendee.current",
    """
    SELECT p.profile_id, coalesce(a.state_id, 0)::int, a.waiting_since IS NOT NULL
      FROM profiles p
      LEFT JOIN attendees a ON a.site_id = p.site_id AND a.item_id = %(event_id)s AND a.profile_id = p.profile_id
     WHERE p.site_id = %(site_id)s AND p.profile_id = ANY(%(ids)s::bigint[])""",
)

ATTENDING = Query(
    "attendee.attending",
    """
    SELECT count(*)::int
      FROM attendees a
     WHERE a.site_id = %(site_id)s AND a.item_id = %(event_id)s AND a.state_id = 1""",
)

# The clock and not the transaction's time, so that the waiting list has the order of the locks.
STORE = Query(
    "attendee.store",
    """
    INSERT INTO attendees (site_id, item_id, profile_id, state_id, rsvpd_on, waiting_since, created, created_by)
    SELECT %(site_id)s, %(event_id)s, u.profile_id, u.state_id, n.now, CASE WHEN u.waits THEN n.now END, n.now, %(me)s
      FROM unnest(%(ids)s::bigint[], %(states)s::smallint[], %(waits)s::boolean[]) AS u (profile_id, state_id, waits),
           (SELECT clock_timestamp() AS now) n
        ON CONFLICT (site_id, item_id, profile_id) DO UPDATE
       SET state_id = EXCLUDED.state_id, rsvpd_on = EXCLUDED.rsvpd_on, waiting_since = EXCLUDED.waiting_since,
           edited = EXCLUDED.rsvpd_on, edited_by = %(me)s""",
)

DELETE = Query(
    "attendee.delete",
    """
    DELETE FROM attendees a
     WHERE a.site_id = %(site_id)s AND a.item_id = %(event_id)s AND a.profile_id = %(profile_id)s""",
)

# `spaces` null: as many as there are.
MOVE_UP = Query(
    "attendee.move_up",
    """
    UPDATE attendees a
       SET state_id = 1, waiting_since = NULL, rsvpd_on = n.now, edited = n.now, edited_by = a.profile_id
      FROM (SELECT w.profile_id, clock_timestamp() AS now
              FROM attendees w
             WHERE w.site_id = %(site_id)s AND w.item_id = %(event_id)s AND w.waiting_since IS NOT NULL
             ORDER BY w.waiting_since, w.profile_id
             LIMIT %(spaces)s::int) n
     WHERE a.site_id = %(site_id)s AND a.item_id = %(event_id)s AND a.profile_id = n.profile_id
 RETURNING a.profile_id""",
)

RECOUNT = Query(
    "attendee.recount",
    """
    UPDATE events e
       SET rsvp_attending = (SELECT count(*) FROM attendees a
                              WHERE a.site_id = e.site_id AND a.item_id = e.item_id AND a.state_id = 1)
     WHERE e.site_id = %(site_id)s AND e.item_id = %(event_id)s""",
)

# Somebody who said yes watches the event, with the defaults of update type 7 (content 5.5).
WATCH = Query("attendee.watch", watch(update_types.EVENT_REMINDER, itemtypes.EVENT, "%(event_id)s"))


class Rsvp(NamedTuple):
    """Answer to be stored for a profile. `state`: a value such as YES; `waits`: for a yes without free space the
    profile joins the waiting list; False: such a yes is refused.
    """

    profile_id: int
    state: int
    waits: bool = False


def store_answers(tx: Transaction, author: Author, event: Event, rsvps: Sequence[Rsvp]) -> None:
    """Store answers to an event in the given order, all or none; of two by one profile the last counts. The caller has
    locked the event and loaded its details.

    Answers equal to the stored ones change nothing. A yes that waits for a space is stored as a maybe; a space that
    becomes free goes to a later yes of `rsvps`, or else, as `promote_waiting` says, to the profile that has waited
    longest; a profile that says yes gets a watcher of the event. Raises NotFound for a profile that is not of this
    site, else Invalid (code 18) if there is no space left for a yes that does not wait.
    """
    site_id, me = author[:2]
    key = {"site_id": site_id, "event_id": event.id}
    limit = event.details.rsvp_limit
    ids = sorted({rsvp.profile_id for rsvp in rsvps})
    before = {row[0]: (row[1], row[2]) for row in tx.rows(CURRENT, ids=ids, **key)}
    if len(before) < len(ids):
        raise NotFound("There is no such profile")
    after = dict(before)
    attending_before = attending = int(tx.value(ATTENDING, **key))
    for rsvp in rsvps:
        state, _ = after[rsvp.profile_id]
        wanted, waits = rsvp.state, False
        if wanted == YES and state != YES and limit and attending >= limit:
            if not rsvp.waits:
                raise Invalid("rsvp", "There are no spaces left", code=EVENT_FULL)
            wanted, waits = MAYBE, True
        after[rsvp.profile_id] = (wanted, waits)
        attending += (wanted == YES) - (state == YES)
    changed = [id for id in ids if after[id] != before[id]]
    if not changed:
        return
    tx.run(
        STORE,
        me=me,
        ids=changed,
        states=[after[id][0] for id in changed],
        waits=[after[id][1] for id in changed],
        **key,
    )
    for kind, existed in ((journal.CREATED, False), (journal.REPLACED, True)):
        _record(tx, author, event, kind, [id for id in changed if bool(before[id][0]) is existed])
    for id in changed:
        if after[id][0] == YES:
            tx.run(WATCH, me=id, **key)
    if attending < attending_before:
        promote_waiting(tx, author, event)
    else:
        tx.run(RECOUNT, **key)


def promote_waiting(tx: Transaction, author: Author, event: Event) -> None:
    """Give each free space, unless the event is over, to the profile on the waiting list that has waited longest, whose
    answer becomes yes; audit and event log name no actor for that, whoever `author` is. Recount the answers yes in any
    case. The caller has locked the event and loaded its details.
    """
    key = {"site_id": author.site_id, "event_id": event.id}
    limit = event.details.rsvp_limit
    if not event.details.is_over:
        spaces = None
        if limit:
            spaces = max(0, limit - int(tx.value(ATTENDING, **key)))
        moved = sorted(row[0] for row in tx.rows(MOVE_UP, spaces=spaces, **key))
        # Without an actor: nobody did it, a space became free.
        _record(tx, author._replace(profile_id=0), event, journal.PATCHED, moved)
        for id in moved:
            tx.run(WATCH, me=id, **key)
    tx.run(RECOUNT, **key)


def _record(
    tx: Transaction, author: Author, event: Event, kind: str, profile_ids: list[int]
) -> None:
    if profile_ids:
        journal.record_many(
            tx,
            author,
            kind,
            itemtypes.ATTENDEE,
            profile_ids,
            parent=(itemtypes.EVENT, event.id),
            microcosm_id=event.microcosm_id,
        )
