"""Small forums in the neutral layout, for tests of what moves them."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from forumapi.porting import layout
from forumapi.porting.layout import (
    BaseReader,
    Board,
    ForumPermissions,
    PortedAlias,
    PortedAssociation,
    PortedAttachment,
    PortedAttribute,
    PortedBallot,
    PortedBan,
    PortedBookmark,
    PortedChoice,
    PortedComment,
    PortedConversation,
    PortedFollow,
    PortedFollowed,
    PortedForum,
    PortedMessage,
    PortedPoll,
    PortedProfile,
    PortedReaction,
    PortedRecipient,
    PortedRef,
    PortedRole,
    PortedVersion,
)

MEMBER = ForumPermissions(can_view=True, can_post_new=True, can_reply=True, can_close_own=True)
READER = ForumPermissions(can_view=True)
# A picture of one pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
    "789c63606060000000040001f61738550000000049454e44ae426082"
)


def at(day: int, hour: int = 12) -> datetime.datetime:
    """A time in May 2015."""
    return datetime.datetime(2015, 5, day, hour, tzinfo=datetime.UTC)


def said(text: str, **more: Any) -> tuple[PortedVersion, ...]:
    """One wording."""
    return (PortedVersion(text=text, **more),)


def refs(*ids: str) -> tuple[PortedRef, ...]:
    """Things by their ids."""
    return tuple(PortedRef(id=id) for id in ids)


class Shelf(BaseReader):
    """Reader of what it is given, for the tests of the loader."""

    name = "shelf"

    def __init__(self, **streams: Iterable[Any]) -> None:
        self.streams = {name: list(all) for name, all in streams.items()}
        self.about = Board(
            title="Old bikes",
            product="phpbb",
            addresses=("http://old.example.org/forum",),
        )
        self.files: dict[str, bytes] = {}

    def board(self) -> Board:
        return self.about

    def counts(self) -> dict[str, int]:
        return {name: len(all) for name, all in self.streams.items()}

    def __getattribute__(self, name: str) -> Any:
        if name in layout.STREAMS:
            all = object.__getattribute__(self, "streams").get(name, [])
            return lambda: iter(all)
        return object.__getattribute__(self, name)

    def open(self, attachment: PortedAttachment) -> IO[bytes] | None:
        data = self.files.get(attachment.path)
        return None if data is None else io.BytesIO(data)


def bikes() -> Shelf:
    """A forum with a bit of everything.

    Anna (1) moderates Garage (10), which everybody reads. The workshop (11) below it is for the group Wrenches: Anna
    and Ben (2). Cid (3) is banned. Forum 12 is closed to all but Ben.
    """
    members = PortedRole(
        id="100",
        name="Members",
        include_registered_users=True,
        default=True,
        forum_permissions=MEMBER,
    )
    guests = PortedRole(
        id="101", name="Guests", include_guests=True, default=True, forum_permissions=READER
    )
    wrenches = PortedRole(id="102", name="Wrenches", users=refs("1", "2"))
    board = Shelf(
        profiles=[
            PortedProfile(
                id="1",
                name="Anna Lee",
                email="Anna@example.org",
                date_created=at(1),
                last_active=at(20),
                is_visible=True,
                receive_email_notifications=True,
                text="I like *bikes*.",
                attributes=(
                    PortedAttribute(key="Rank", value="Chief"),
                    PortedAttribute(key="paid", value=True),
                ),
                avatar=PortedAttachment(id="a1", name="me.png", path="avatar.png"),
            ),
            PortedProfile(id="2", name="ben", email="ben@example.org", date_created=at(2)),
            PortedProfile(id="3", name="Cid", email="cid@example.org", is_banned=True),
            PortedProfile(id="4", name="Anna again", email="anna@EXAMPLE.org", date_created=at(3)),
        ],
        roles=[members, guests, wrenches],
        forums=[
            PortedForum(
                id="10",
                name="Garage & <tools> of a name that is longer than the fifty letters of ours",
                text="All about bikes",
                is_open=True,
                usergroups=(
                    PortedRole(id="100", forum_permissions=MEMBER),
                    PortedRole(id="101", forum_permissions=READER),
                ),
                usergroups_only=True,
                moderators=refs("1"),
            ),
            PortedForum(
                id="11",
                parent_id="10",
                name="Workshop",
                is_open=True,
                usergroups=(PortedRole(id="102", forum_permissions=MEMBER),),
                usergroups_only=True,
            ),
            PortedForum(
                id="12",
                name="Vault",
                is_open=True,
                usergroups=(
                    PortedRole(id="", name="Ben", users=refs("2"), forum_permissions=MEMBER),
                ),
                usergroups_only=True,
            ),
        ],
        conversations=[
            PortedConversation(
                id="20",
                name="WHICH oil? <b>&amp;",
                forum_id="10",
                author="1",
                date_created=at(3),
                view_count=77,
                is_open=True,
                is_sticky=True,
            ),
            PortedConversation(
                id="21", name="Secret", forum_id="11", author="2", date_created=at(4), is_open=True
            ),
            PortedConversation(
                id="22", name="Gone", forum_id="10", author="2", date_created=at(5), is_deleted=True
            ),
            PortedConversation(
                id="23", name="Nowhere", forum_id="99", author="2", date_created=at(5)
            ),
        ],
        polls=[
            PortedPoll(
                id="20",
                conversation_id="20",
                question="Which [oil]?",
                author="1",
                date_created=at(3),
                is_poll_open=True,
                choices=(
                    PortedChoice(id="1", text="Thin", votes=3),
                    PortedChoice(id="2", text="Thick"),
                ),
                ballots=(
                    PortedBallot(author="1", choices=("1",), date=at(4)),
                    PortedBallot(author="2", choices=("2",), date=at(5)),
                ),
                voter_count=4,
                is_open=True,
            )
        ],
        attachments=[
            PortedAttachment(
                id="50",
                author="1",
                date_created=at(3),
                name="oil.png",
                path="oil.png",
                associations=(PortedAssociation(on_type="comment", on_id="300"),),
            ),
            PortedAttachment(
                id="51",
                author="2",
                date_created=at(6),
                name="note.txt",
                path="note.txt",
                associations=(PortedAssociation(on_type="message", on_id="400"),),
            ),
            PortedAttachment(
                id="52",
                author="2",
                name="lost.txt",
                path="lost.txt",
                associations=(PortedAssociation(on_type="comment", on_id="301"),),
            ),
            PortedAttachment(
                id="53",
                author="2",
                date_created=at(3),
                name="torn.png",
                path="torn.png",
                associations=(PortedAssociation(on_type="comment", on_id="301"),),
            ),
        ],
        comments=[
            PortedComment(
                id="300",
                on_id="20",
                author="1",
                date_created=at(3),
                versions=(
                    PortedVersion(text="First", date_modified=at(3)),
                    PortedVersion(
                        text="See ![oil](old:attachment/50), [the answer](old:comment/302) and"
                        " http://old.example.org/forum/viewtopic.php?t=21 by [@ben](old:profile/2)",
                        editor="2",
                        date_modified=at(4),
                    ),
                ),
            ),
            PortedComment(
                id="301",
                on_id="20",
                author="2",
                date_created=at(3, 13),
                in_reply_to="300",
                versions=said("**Thin** [of course](https://example.com/oil)"),
            ),
            PortedComment(
                id="302",
                on_id="20",
                author_name="A guest",
                date_created=at(3, 13),
                in_reply_to="301",
                versions=said("<script>alert(1)</script>Hidden &amp; safe"),
            ),
            PortedComment(
                id="303", on_id="20", date_created=at(4), is_deleted=True, versions=said("Spam")
            ),
            PortedComment(
                id="304",
                on_id="20",
                author="3",
                date_created=at(4),
                is_moderated=True,
                versions=said("Wait"),
            ),
            PortedComment(
                id="305",
                on_id="21",
                author="2",
                date_created=at(4),
                versions=said("Psst " * 12_000),
            ),
            PortedComment(id="306", on_id="23", author="2", versions=said("Lost")),
            PortedComment(
                id="307", on_id="22", author="2", date_created=at(5), versions=said("Old")
            ),
        ],
        messages=[
            PortedMessage(
                id="400",
                name="Hi",
                author="1",
                to=(PortedRecipient(id="2", is_read=True),),
                date_created=at(6),
                versions=said("Come over"),
            ),
            PortedMessage(
                id="401",
                root_id="400",
                name="Re: Hi",
                author="2",
                to=(PortedRecipient(id="1"),),
                bcc=(PortedRecipient(id="3"),),
                in_reply_to="400",
                date_created=at(7),
                versions=said("I will"),
            ),
            PortedMessage(
                id="402",
                root_id="400",
                author="1",
                to=(PortedRecipient(id="2"), PortedRecipient(id="3", is_deleted=True)),
                date_created=at(8),
                versions=said("Now"),
            ),
        ],
        reactions=[
            PortedReaction(author="2", on_type="comment", on_id="300", name="👍", date=at(4)),
            PortedReaction(author="2", on_type="comment", on_id="300", name="🦄", date=at(4)),
        ],
        bookmarks=[PortedBookmark(author="2", on_type="conversation", on_id="20", date=at(5))],
        follows=[
            PortedFollow(
                author="2",
                conversations=(PortedFollowed(id="20", notify=True),),
                users_ignored=("3",),
            )
        ],
        bans=[
            PortedBan(email="*@spam.example"),
            PortedBan(ip_address="192.0.2.17"),
            PortedBan(email="anna@mail.example"),
        ],
        aliases=[PortedAlias(on_type="profile", on_id="1", alias="anna-lee")],
    )
    board.files = {"oil.png": PNG, "note.txt": b"a note", "avatar.png": PNG, "torn.png": PNG[:40]}
    return board


def write(board: Shelf, root: Path) -> None:
    """Write a forum as files, a document each."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "site.json").write_bytes(msgspec.json.encode(board.about))
    for name, all in board.streams.items():
        folder = root / name
        folder.mkdir()
        lines = [msgspec.json.encode(one) for one in all]
        (folder / "000001.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    for name, data in board.files.items():
        (root / name).write_bytes(data)


def streams_of(reader: layout.ForumReader) -> Iterator[tuple[str, list[Any]]]:
    """All documents of a reader by stream."""
    for name in layout.STREAMS:
        yield name, list(getattr(reader, name)())
