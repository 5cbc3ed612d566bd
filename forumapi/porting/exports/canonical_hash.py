"""Canonical hash of a forum's documents: equal for equal forums, whatever their ids are (docs/export.md).

Each stream is hashed in its order. In place of its id a document has its canonical id, the number of documents of its
kind before it plus one, and so has each reference to it; a reference to a thing that is not among the documents is
empty. What reading alone changes, and what a site is called, counts for nothing.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from forumapi.models.content.attribute import IS_MEMBER
from forumapi.porting.exports.canonical_rights import CanonicalRights, RightsFolder
from forumapi.porting.exports.own_links import OLD
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
    PortedRole,
    PortedVersion,
)
from forumapi.text.character_filters import block_characters

replace: Final = msgspec.structs.replace
# Streams that are hashed, in their order. Each of the kind that its documents are of. Roles count by what they allow.
HASHED: Final[Mapping[str, str]] = {
    "profiles": "profile",
    "roles": "",
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
    """Canonical ids of one kind's documents, numbered from 1 in the order in which they are added; the caller adds each
    id once. Ids that are ascending numbers take eight bytes of memory each, up to the first id that is not.
    """

    def __init__(self) -> None:
        self._ascending = array("q")
        self._others: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ascending) + len(self._others)

    def add(self, id: str) -> str:
        """Give the document with this id the next number, and return the number as text."""
        number = len(self) + 1
        if not self._others and id.isdecimal() and len(id) <= 18 and id[0] != "0":
            value = int(id)
            if not self._ascending or value > self._ascending[-1]:
                self._ascending.append(value)
                return str(number)
        self._others[id] = number
        return str(number)

    def find(self, id: str) -> str:
        """Return the number of the document with this id as text; "" if no such document was added."""
        if id in self._others:
            return str(self._others[id])
        if not id.isdecimal() or len(id) > 18 or id[0] == "0":
            return ""
        value = int(id)
        place = bisect_left(self._ascending, value)
        if place < len(self._ascending) and self._ascending[place] == value:
            return str(place + 1)
        return ""


class _ForumWithRights(Struct, frozen=True):
    """Forum as it is hashed: without its roles, with the rights that these give."""

    forum: PortedForum
    rights: CanonicalRights


class CanonicalHash:
    """Hash (SHA-256) of a forum's documents in canonical form, in which canonical ids stand for the forum's own. The
    documents are added stream by stream in the order of HASHED: profiles, roles, forums, conversations, polls,
    comments, attachments, reactions, follows, bans.
    """

    def __init__(self) -> None:
        self._ids: dict[str, CanonicalIds] = {
            kind: CanonicalIds() for kind in HASHED.values() if kind
        }
        self._rights = RightsFolder(self._person)
        self._digest = hashlib.sha256()
        self._encode = msgspec.json.Encoder(order="deterministic").encode
        self._rewrite: dict[str, Callable[[Any], Struct]] = {
            "profiles": self._profile,
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
        """Add the next document of a stream to the hash; roles enter it only through the rights in forums. Streams must
        come whole and in the order of HASHED, and a forum after its parent: a reference to a document that was not
        added before counts as empty. Streams that are not in HASHED are ignored.
        """
        if isinstance(document, PortedRole):
            self._rights.add_role(document)
            return
        rewrite = self._rewrite.get(stream)
        if rewrite is not None:
            line = self._encode(rewrite(document))
            self._digest.update(b"%s %d\n%s\n" % (stream.encode(), len(line), line))

    def hexdigest(self) -> str:
        """Return the hash of all documents added so far, in hexadecimal."""
        return self._digest.hexdigest()

    def _find(self, kind: str, id: str) -> str:
        # An event is a conversation with an event.
        ids = self._ids.get("conversation" if kind == "event" else kind)
        return ids.find(id) if ids is not None and id else ""

    def _person(self, id: str) -> str:
        return self._find("profile", id)

    @staticmethod
    def _attributes(all: Iterable[PortedAttribute]) -> tuple[PortedAttribute, ...]:
        """Return attributes sorted by key, without the attribute `is_member`, and each without who wrote it, when, and
        whether criteria count it, since these differ after a move.
        """
        return tuple(
            replace(one, written_by="", written=None, is_granted=False)
            for one in sorted(all, key=lambda one: one.key)
            if one.key != IS_MEMBER
        )

    def _profile(self, one: PortedProfile) -> Struct:
        avatar = one.avatar and self._attachment(one.avatar)
        return replace(
            one,
            id=self._ids["profile"].add(one.id),
            last_active=None,
            avatar=avatar,
            usergroups=(),
            attributes=self._attributes(one.attributes),
        )

    def _forum(self, one: PortedForum) -> Struct:
        rights = self._rights.fold(one)
        forum = replace(
            one,
            id=self._ids["forum"].add(one.id),
            parent_id=self._find("forum", one.parent_id),
            author="",
            usergroups=None,
            usergroups_only=False,
            moderators=(),
            attributes=self._attributes(one.attributes),
        )
        return _ForumWithRights(forum, rights)

    def _conversation(self, one: PortedConversation) -> Struct:
        event = one.event
        if event is not None:
            attendees = [replace(who, id=self._person(who.id)) for who in event.attendees]
            event = replace(
                event,
                status=_default(event.status, "proposed"),
                attendees=tuple(sorted(attendees, key=self._encode)),
            )
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

    def _poll(self, one: PortedPoll) -> Struct:
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
            results=_default(one.results, "always"),
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

    def _comment(self, one: PortedComment) -> Struct:
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
        # What no typed text keeps, such as control characters, does not count.
        text = OLD.sub(self._canonical_link, block_characters(one.text))
        return replace(one, text=text, editor=self._person(one.editor), ip_address="")

    def _canonical_link(self, found: re.Match[str]) -> str:
        # A link to a comment that comes later has no number yet, in no export.
        return f"old:{found[1]}/{self._find(found[1], found[2])}"

    def _reaction(self, one: PortedReaction) -> Struct:
        return replace(
            one,
            author=self._person(one.author),
            on_id=self._find(one.on_type, one.on_id),
            name=_default(one.name, _SIGN),
        )

    def _follow(self, one: PortedFollow) -> Struct:
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

    def _ban(self, one: PortedBan) -> Struct:
        return replace(one, profile=self._person(one.profile), ip_address="")


# Sign of a reaction that names none.
_SIGN: Final = PortedReaction(author="", on_type="comment", on_id="").name


def _default(value: str, default: str) -> Any:
    """Return the object `default` if `value` equals it, else `value`: msgspec leaves a field out of JSON only if it is
    the very object.
    """
    return default if value == default else value
