"""Canonical hash of a forum's documents: equal for equal forums, whatever their ids are (docs/export.md).

Each stream is hashed in its order. In place of its id a document has its canonical id, the number of documents of its
kind before it plus one, and so has each reference to it; a reference to a thing that is not among the documents is
empty. What reading alone changes, and what a site is called, counts for nothing.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from forumapi.porting.layout import (
    PortedAttachment,
    PortedAttribute,
    PortedBan,
    PortedComment,
    PortedConversation,
    PortedDocument,
    PortedFollow,
    PortedFollowed,
    PortedForum,
    PortedPoll,
    PortedProfile,
    PortedReaction,
    PortedRef,
    PortedRole,
    PortedVersion,
)

replace: Final = msgspec.structs.replace
# Streams that are hashed, in their order. Each of the kind that its documents are of.
HASHED: Final[Mapping[str, str]] = {
    "profiles": "profile",
    "roles": "role",
    "forums": "forum",
    "conversations": "conversation",
    "polls": "poll",
    "comments": "comment",
    "attachments": "",
    "reactions": "",
    "follows": "",
    "bans": "",
}


class CanonicalIds:
    """Canonical ids of one kind. Ids that are numbers and come in ascending order take eight bytes each."""

    def __init__(self) -> None:
        self._ascending = array("q")
        self._others: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ascending) + len(self._others)

    def add(self, id: str) -> str:
        """Give the next id, and return it."""
        number = len(self) + 1
        if not self._others and id.isdecimal() and len(id) <= 18 and id[0] != "0":
            value = int(id)
            if not self._ascending or value > self._ascending[-1]:
                self._ascending.append(value)
                return str(number)
        self._others[id] = number
        return str(number)

    def find(self, id: str) -> str:
        """Return the canonical id of a thing; "" for one that was not given any."""
        if id in self._others:
            return str(self._others[id])
        if not id.isdecimal() or len(id) > 18 or id[0] == "0":
            return ""
        value = int(id)
        place = bisect_left(self._ascending, value)
        if place < len(self._ascending) and self._ascending[place] == value:
            return str(place + 1)
        return ""


class CanonicalHash:
    """Hash of the documents that `add` has taken, stream by stream in the order of HASHED."""

    def __init__(self) -> None:
        self._ids: dict[str, CanonicalIds] = {
            kind: CanonicalIds() for kind in HASHED.values() if kind
        }
        self._digest = hashlib.sha256()
        self._encode = msgspec.json.Encoder(order="deterministic").encode
        self._rewrite: dict[str, Callable[[Any], PortedDocument]] = {
            "profiles": self._profile,
            "roles": self._role,
            "forums": self._forum,
            "conversations": self._conversation,
            "polls": self._poll,
            "attachments": self._attachment,
            "comments": self._comment,
            "reactions": self._reaction,
            "follows": self._follow,
            "bans": self._ban,
        }

    def add(self, stream: str, document: PortedDocument) -> None:
        """Take the next document of a stream; streams that are not in HASHED count for nothing."""
        rewrite = self._rewrite.get(stream)
        if rewrite is not None:
            line = self._encode(rewrite(document))
            self._digest.update(b"%s %d\n%s\n" % (stream.encode(), len(line), line))

    def hexdigest(self) -> str:
        """Return the hash of all that was taken."""
        return self._digest.hexdigest()

    def _find(self, kind: str, id: str) -> str:
        # An event is a conversation with an event.
        ids = self._ids.get("conversation" if kind == "event" else kind)
        return ids.find(id) if ids is not None and id else ""

    def _person(self, id: str) -> str:
        return self._find("profile", id)

    def _refs(self, refs: Iterable[PortedRef]) -> tuple[PortedRef, ...]:
        found = (self._person(ref.id) for ref in refs)
        return tuple(PortedRef(id=id) for id in sorted(filter(None, found), key=int))

    def _attributes(self, all: Iterable[PortedAttribute]) -> tuple[PortedAttribute, ...]:
        return tuple(
            replace(one, written_by=self._person(one.written_by), written=None)
            for one in sorted(all, key=lambda one: one.key)
        )

    def _profile(self, one: PortedProfile) -> PortedDocument:
        avatar = one.avatar and self._attachment(one.avatar)
        return replace(
            one,
            id=self._ids["profile"].add(one.id),
            last_active=None,
            avatar=avatar,
            usergroups=(),
            attributes=self._attributes(one.attributes),
        )

    def _role(self, one: PortedRole) -> PortedRole:
        self._ids["role"].add(one.id)
        return self._group(one)

    def _group(self, one: PortedRole) -> PortedRole:
        return replace(
            one,
            id="",
            users=self._refs(one.users),
            criteria=tuple(sorted(one.criteria, key=self._encode)),
        )

    def _forum(self, one: PortedForum) -> PortedDocument:
        groups = one.usergroups
        if groups is not None:
            groups = tuple(sorted(map(self._group, groups), key=self._encode))
        return replace(
            one,
            id=self._ids["forum"].add(one.id),
            parent_id=self._find("forum", one.parent_id),
            author=self._person(one.author),
            usergroups=groups,
            moderators=self._refs(one.moderators),
            attributes=self._attributes(one.attributes),
        )

    def _conversation(self, one: PortedConversation) -> PortedDocument:
        event = one.event
        if event is not None:
            attendees = [replace(who, id=self._person(who.id)) for who in event.attendees]
            event = replace(event, attendees=tuple(sorted(attendees, key=self._encode)))
        return replace(
            one,
            id=self._ids["conversation"].add(one.id),
            forum_id=self._find("forum", one.forum_id),
            author=self._person(one.author),
            edited_by=self._person(one.edited_by),
            view_count=0,
            event=event,
            attributes=self._attributes(one.attributes),
        )

    def _poll(self, one: PortedPoll) -> PortedDocument:
        places = {choice.id: str(place) for place, choice in enumerate(one.choices, 1)}
        ballots = [
            replace(
                ballot,
                author=self._person(ballot.author),
                choices=tuple(sorted(places.get(id, "") for id in ballot.choices)),
            )
            for ballot in one.ballots
        ]
        return replace(
            one,
            id=self._ids["poll"].add(one.id),
            conversation_id=self._find("conversation", one.conversation_id),
            forum_id=self._find("forum", one.forum_id),
            author=self._person(one.author),
            view_count=0,
            choices=tuple(replace(choice, id=places[choice.id]) for choice in one.choices),
            ballots=tuple(sorted(ballots, key=self._encode)),
        )

    def _attachment(self, one: PortedAttachment) -> PortedAttachment:
        return replace(
            one,
            id="",
            author=self._person(one.author),
            associations=tuple(
                replace(on, on_id=self._find(on.on_type, on.on_id)) for on in one.associations
            ),
        )

    def _comment(self, one: PortedComment) -> PortedDocument:
        return replace(
            one,
            id=self._ids["comment"].add(one.id),
            on_id=self._find(one.on_type, one.on_id),
            in_reply_to=self._find("comment", one.in_reply_to),
            author=self._person(one.author),
            ip_address="",
            versions=tuple(map(self._version, one.versions)),
        )

    def _version(self, one: PortedVersion) -> PortedVersion:
        return replace(one, editor=self._person(one.editor), ip_address="")

    def _reaction(self, one: PortedReaction) -> PortedDocument:
        return replace(
            one, author=self._person(one.author), on_id=self._find(one.on_type, one.on_id)
        )

    def _follow(self, one: PortedFollow) -> PortedDocument:
        def followed(kind: str, all: Iterable[PortedFollowed]) -> tuple[PortedFollowed, ...]:
            found = (replace(ref, id=self._find(kind, ref.id)) for ref in all)
            return tuple(sorted((ref for ref in found if ref.id), key=self._encode))

        return replace(
            one,
            author=self._person(one.author),
            users=followed("profile", one.users),
            forums=followed("forum", one.forums),
            conversations=followed("conversation", one.conversations),
            users_ignored=(),
            forums_ignored=(),
            conversations_ignored=(),
        )

    def _ban(self, one: PortedBan) -> PortedDocument:
        return replace(one, profile=self._person(one.profile), ip_address="")
