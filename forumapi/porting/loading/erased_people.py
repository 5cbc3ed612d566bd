"""People of an import who were erased on the site since they came, and documents of theirs in a later dump, as far as
their choice lets them in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import unescape
from typing import Any, Final

import msgspec

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.models.privacy import erasure_request
from forumapi.models.privacy.erasure_steps import ERASED_IMPORT
from forumapi.models.texts.text_removal import REMOVED
from forumapi.porting.layout import (
    PortedAlias,
    PortedAttachment,
    PortedBan,
    PortedComment,
    PortedConversation,
    PortedFollow,
    PortedMessage,
    PortedPoll,
    PortedProfile,
    PortedVersion,
    PortedWarning,
    Unreadable,
)
from forumapi.porting.loading import value_cleaning
from forumapi.porting.loading.imported_ids import Origin

# An erasure that waits can still be taken back.
ERASED = Query(
    "erased_people.erased",
    """
    SELECT e.profile_id, e.words, p.profile_name
      FROM erasures e
      JOIN profiles p ON p.site_id = %(site_id)s AND p.profile_id = e.profile_id
     WHERE e.site_id = %(site_id)s AND e.state <> 'waiting'""",
)

_SILENCE: Final = (PortedVersion(text=REMOVED),)


class ErasedPeople:
    """Erased people of one import, and the filters of a later dump's streams by them: `without_theirs` drops their
    documents, `as_chosen` keeps these, without the words of those who chose to have their words removed; both drop
    erased people from the lists in others' documents. `names`: names here of erased people, by profile id. `load` must
    be called before all else.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._ids: frozenset[str] = frozenset()
        self._silent: frozenset[str] = frozenset()
        # Names here of erased people, by profile id: these replace the old names in mentions.
        self.names: dict[int, str] = {}

    def load(self, tx: Reader) -> None:
        """Read from the database who is erased, with each one's choice about their words."""
        rows = tx.rows(ERASED, site_id=self._origin.site_id)
        words = {id: chosen for id, chosen, _ in rows}
        came = self._origin.all_of(tx, itemtypes.PROFILE) if rows else {}
        self._ids = frozenset(
            old for old, thing in came.items() if thing.detail == ERASED_IMPORT or thing.id in words
        )
        self._silent = frozenset(
            old for old, thing in came.items() if words.get(thing.id) == erasure_request.REMOVE
        )
        self.names = {id: unescape(name) for id, _, name in rows}

    def is_erased(self, old_id: str) -> bool:
        """Return True if the person with this old id was erased since they came; False for "" and for an unknown id."""
        return self._is_among(self._ids, old_id)

    def _is_among(self, ids: frozenset[str], old_id: str) -> bool:
        if not ids or not old_id:
            return False
        return value_cleaning.old_id(old_id) in ids or self._origin.erased_id(old_id) in ids

    def without_theirs(self, stream: Iterable[Any]) -> Iterator[Any]:
        """Yield the documents of a stream that are neither of nor about erased people, whatever these chose about their
        words; follows by others come without them. `stream`: of profiles, aliases, bans, warnings, or documents with
        an `author`; each Unreadable is yielded.
        """
        for one in stream:
            if isinstance(one, Unreadable):
                owner = ""
            elif isinstance(one, PortedProfile):
                owner = one.id
            elif isinstance(one, PortedAlias):
                owner = one.on_id if one.on_type == "profile" else ""
            elif isinstance(one, (PortedBan, PortedWarning)):
                owner = one.profile
            else:
                owner = one.author
            if not self.is_erased(owner):
                yield self._without_them(one)

    def as_chosen(self, stream: Iterable[Any]) -> Iterator[Any]:
        """Yield the documents of a stream, all of which have an `author`; those of people who chose to have their words
        removed come without the words, files of these people not at all. Events come without erased attendees, polls
        without ballots of erased people, and these have no copy of a private message. Each Unreadable is yielded.
        """
        if not self._ids:
            yield from stream
            return
        for one in stream:
            if isinstance(one, Unreadable) or not self._is_among(self._silent, one.author):
                yield self._without_them(one)
            elif not isinstance(one, PortedAttachment):
                yield self._without_them(_silenced(one))

    def _without_them(self, document: Any) -> Any:
        """Return a document without the erased people that it lists beside its author; one that lists nobody is
        returned as it is. A conversation loses the reason of an edit by somebody who chose to have their words removed;
        a private message by an erased author becomes one that its author has deleted.
        """
        replace = msgspec.structs.replace

        def others(people: Iterable[Any]) -> tuple[Any, ...]:
            return tuple(one for one in people if not self.is_erased(one.id))

        if isinstance(document, PortedConversation):
            if self._is_among(self._silent, document.edited_by):
                document = replace(document, edit_reason="")
            if document.event is not None:
                event = replace(document.event, attendees=others(document.event.attendees))
                document = replace(document, event=event)
        elif isinstance(document, PortedPoll):
            ballots = tuple(one for one in document.ballots if not self.is_erased(one.author))
            document = replace(document, ballots=ballots)
        elif isinstance(document, PortedMessage):
            is_deleted = document.is_deleted or self.is_erased(document.author)
            document = replace(
                document, is_deleted=is_deleted, to=others(document.to), bcc=others(document.bcc)
            )
        elif isinstance(document, PortedFollow):
            ignored = tuple(id for id in document.users_ignored if not self.is_erased(id))
            document = replace(document, users=others(document.users), users_ignored=ignored)
        return document


def _silenced(document: Any) -> Any:
    """Return a copy of a person's document without the person's words, in the form that an erasure gives stored rows; a
    document of a kind without words is returned as it is.
    """
    replace = msgspec.structs.replace
    if isinstance(document, PortedComment):
        return replace(document, versions=_SILENCE)
    if isinstance(document, PortedMessage):
        return replace(document, name=REMOVED, versions=_SILENCE)
    if isinstance(document, PortedConversation):
        event = document.event
        if event is not None:
            event = replace(event, place="", lat=None, lon=None)
        return replace(document, name=REMOVED, edit_reason="", event=event, attributes=())
    if isinstance(document, PortedPoll):
        choices = tuple(
            replace(choice, text=f"{REMOVED} {number}")
            for number, choice in enumerate(document.choices, 1)
        )
        name = REMOVED if document.name else ""
        return replace(document, name=name, question=REMOVED, choices=choices)
    return document
