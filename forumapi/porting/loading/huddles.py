"""Writing of an import's private messages, as comments in huddles; a participant is somebody who has a copy of every
message in the huddle.

Messages of one talk between the same people share a huddle. A blind copy is in a huddle of its author and recipient
alone. People who have removed their copy do not get it back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.porting.layout import PortedMessage, PortedRecipient, Unreadable
from forumapi.porting.loading import value_cleaning
from forumapi.porting.loading.comments import TOO_LONG, NewText, TextPlace, TextWriter, is_too_long
from forumapi.porting.loading.imported_ids import Origin, allocate
from forumapi.porting.loading.people import ImportedPeople

INSERT = Query(
    "huddles.insert",
    f"""
    WITH made AS (
        INSERT INTO items (site_id, item_id, item_type_id, title, created, created_by, last_activity)
        SELECT %(site_id)s, r.id, {itemtypes.HUDDLE}, r.title, r.created, r.created_by, r.created
          FROM json_to_recordset(%(rows)s::json) AS r (id bigint, title text, created timestamptz, created_by bigint)
         ORDER BY r.id
     RETURNING site_id, item_id),
    private AS (
        INSERT INTO huddles (site_id, item_id, is_confidential) SELECT site_id, item_id, true FROM made)
    INSERT INTO item_views (site_id, item_id) SELECT site_id, item_id FROM made""",
)
INSERT_PARTICIPANTS = Query(
    "huddles.insert_participants",
    """
    INSERT INTO huddle_participants (site_id, item_id, profile_id, joined)
    SELECT %(site_id)s, r.item_id, r.profile_id, r.joined
      FROM json_to_recordset(%(rows)s::json) AS r (item_id bigint, profile_id bigint, joined timestamptz)""",
)
# What is read up to a message, of those who have read it. A time moves forward only.
MARK_READ = Query(
    "huddles.mark_read",
    f"""
    INSERT INTO read_marks AS m (site_id, profile_id, item_type_id, item_id, read_at)
    SELECT %(site_id)s, r.profile_id, {itemtypes.HUDDLE}, r.item_id, max(r.read_at)
      FROM json_to_recordset(%(rows)s::json) AS r (profile_id bigint, item_id bigint, read_at timestamptz)
     GROUP BY r.profile_id, r.item_id
        ON CONFLICT (site_id, profile_id, item_type_id, item_id) DO UPDATE
       SET read_at = greatest(m.read_at, EXCLUDED.read_at)""",
)

UNTITLED: Final = "Untitled"


class MessageCopy(NamedTuple):
    """Copy of a private message, stored as a comment in a huddle of exactly its `people`. A message has one copy for
    its author and the open recipients together, and one for its author and each blind recipient.

    `old_id`: old id of the copy, one of those that the function `copy_ids` returns for the message; `root`: old id of
    the message that began the talk. `people`: ids of the profiles here, ascending, of the copy's author and recipients,
    if they came with the import and have not deleted the copy; `readers`: those among `people` who have read the
    message, the author included.
    """

    old_id: str
    root: str
    message: PortedMessage
    people: tuple[int, ...]
    readers: frozenset[int]

    @property
    def key(self) -> str:
        """Old id under which the copy's huddle is kept; equal for copies of the same talk with the same people."""
        told = f"{self.root}|{','.join(map(str, self.people))}"
        return f"talk:{hashlib.sha1(told.encode()).hexdigest()}"


def copy_ids(message: PortedMessage) -> list[str]:
    """Return the old ids under which a message's copies are kept: the message's own, for the copy of the author and the
    open recipients, then `<id>:bcc:<recipient's id>` for each blind recipient. Copies that nobody has are among them.
    """
    return [message.id, *(f"{message.id}:bcc:{one.id}" for one in message.bcc)]


class HuddleWriter:
    """Writer of an import's private messages."""

    def __init__(self, origin: Origin, people: ImportedPeople, texts: TextWriter) -> None:
        self._origin = origin
        self._people = people
        self._texts = texts

    def insert(self, tx: Transaction, messages: Sequence[PortedMessage]) -> list[Unreadable]:
        """Insert the copies of messages that no earlier run has inserted, in this order, with read marks for those who
        had read them; return the messages left out, with reasons.
        """
        origin = self._origin
        self._people.ensure_authors(tx, ((one.author, one.author_name) for one in messages))
        left: list[Unreadable] = []
        copies: dict[str, MessageCopy] = {}
        for one in messages:
            if is_too_long(one.versions):
                left.append(Unreadable(kind="message", id=one.id, reason=TOO_LONG))
                continue
            made = self.copies(one)
            if not made:
                reason = "to: nobody who has a copy of it came"
                left.append(Unreadable(kind="message", id=one.id, reason=reason))
            copies |= {copy.old_id: copy for copy in made}
        wanted = [("message", copy.old_id) for copy in copies.values()]
        wanted += [("message", copy.key) for copy in copies.values()]
        wanted += [("message", one.in_reply_to) for one in messages if one.in_reply_to]
        found = origin.find_items(tx, wanted)
        fresh = [copy for copy in copies.values() if ("message", copy.old_id) not in found]
        talks = self._talks(tx, fresh, {old: thing.id for (_, old), thing in found.items()})
        marks: list[dict[str, Any]] = []
        texts: list[NewText] = []
        answered: dict[str, int] = {}
        for copy in fresh:
            one = copy.message
            created = value_cleaning.time(one.date_created, value_cleaning.EPOCH)
            marks += [
                {"profile_id": id, "item_id": talks[copy.key], "read_at": created}
                for id in copy.readers
            ]
            answers = self._answered(copy)
            if answers and ("message", answers) in found:
                answered[answers] = int(found["message", answers].detail or 0)
            texts.append(
                NewText(
                    copy.old_id,
                    TextPlace(talks[copy.key], 0, None),
                    self._people.author(one.author, one.author_name),
                    created,
                    one.versions,
                    answers,
                )
            )
        stored = self._texts.write(tx, texts, answered, waits=False)
        origin.run(tx, MARK_READ, marks)
        origin.remember(
            tx,
            [
                (itemtypes.HUDDLE, copy.old_id, talks[copy.key], str(one.id))
                for copy, one in zip(fresh, stored, strict=True)
            ],
        )
        return left

    def copies(self, one: PortedMessage) -> list[MessageCopy]:
        """Return the copies of a message that are to be stored: one for the author and the open recipients, one for the
        author and each blind recipient. A copy that none of its recipients still has is left out; if all are left out,
        a copy for the author alone is returned, or [] if the author has deleted the message or did not come.
        """
        author = self._people.id(one.author)
        own = {author} if author and not one.is_deleted else set()
        root = one.root_id or one.id
        made = []
        open_to, readers = self._having(one.to)
        if open_to or (own and not one.bcc):
            people = open_to | own
            made.append(
                MessageCopy(one.id, root, one, tuple(sorted(people)), frozenset(readers | own))
            )
        for recipient in one.bcc:
            hidden, has_read = self._having((recipient,))
            if hidden:
                people = hidden | own
                made.append(
                    MessageCopy(
                        f"{one.id}:bcc:{recipient.id}",
                        root,
                        one,
                        tuple(sorted(people)),
                        frozenset(has_read | own),
                    )
                )
        if not made and own:
            made.append(MessageCopy(one.id, root, one, tuple(own), frozenset(own)))
        return made

    def _having(self, recipients: Sequence[PortedRecipient]) -> tuple[set[int], set[int]]:
        """Return the ids of the profiles here of the recipients who came and still have their copy, and the ids of
        those among them who have read it.
        """
        having = [
            (self._people.id(one.id), one.is_read) for one in recipients if not one.is_deleted
        ]
        return {id for id, _ in having if id}, {id for id, is_read in having if id and is_read}

    def _answered(self, copy: MessageCopy) -> str:
        answers = copy.message.in_reply_to
        return answers if answers and ":bcc:" not in copy.old_id else ""

    def _talks(
        self, tx: Transaction, copies: Sequence[MessageCopy], known: dict[str, int]
    ) -> dict[str, int]:
        """Return the ids here of the huddles of `copies`, by the copies' `key`; for copies whose key is not in `known`
        insert new huddles with their participants. `known`: ids of huddles by key; all of its entries are returned too.
        """
        missing: dict[str, MessageCopy] = {}
        for copy in copies:
            if copy.key not in known:
                missing.setdefault(copy.key, copy)
        ids = allocate(tx, "items_item_id_seq", len(missing))
        rows, people = [], []
        for copy, id in zip(missing.values(), ids, strict=True):
            one = copy.message
            headline = one.name or (one.versions[-1].headline if one.versions else "")
            created = value_cleaning.time(one.date_created, value_cleaning.EPOCH)
            rows.append(
                {
                    "id": id,
                    "title": value_cleaning.line(headline, UNTITLED),
                    "created": created,
                    "created_by": self._people.author(one.author, one.author_name),
                }
            )
            people += [
                {"item_id": id, "profile_id": profile_id, "joined": created}
                for profile_id in copy.people
            ]
        self._origin.run(tx, INSERT, rows)
        self._origin.run(tx, INSERT_PARTICIPANTS, people)
        self._origin.remember(
            tx,
            [(itemtypes.HUDDLE, key, id, "") for key, id in zip(missing, ids, strict=True)],
        )
        return known | dict(zip(missing, ids, strict=True))
