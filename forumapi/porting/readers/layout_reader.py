"""Reader of the neutral layout itself, as exports of this platform and of Microcosm have it: a folder or a ZIP file.

A stream is a folder, which holds parts `000001.jsonl` with a document a line, as our export writes them; or a document
a file, whose id is its path below the folder without slashes and `.json`, unless an `index.json` lists the files. Parts
come in the order of their names, documents with a file each in that of their ids, numbers by value. Keys and folders of
older drafts of the format are taken as well, and old ids may be numbers.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, NamedTuple

import msgspec

from forumapi.porting.layout import (
    DOCUMENTS,
    STREAMS,
    BaseReader,
    Board,
    Loss,
    PortedAlias,
    PortedAttachment,
    PortedBan,
    PortedBookmark,
    PortedComment,
    PortedConversation,
    PortedDocument,
    PortedFollow,
    PortedForum,
    PortedMessage,
    PortedPoll,
    PortedProfile,
    PortedReaction,
    PortedReport,
    PortedRole,
    PortedWarning,
    Unreadable,
)

# Bytes of one document; pictures stand in documents of old exports.
MOST_BYTES: Final = 128 * 1024 * 1024
# Bytes of a longer line that are passed over at a time.
_PIECE: Final = 1024 * 1024
# Names that folders had in older drafts.
_FOLDERS: Final[Mapping[str, tuple[str, ...]]] = {
    **{name: (name,) for name in STREAMS},
    "profiles": ("profiles", "users"),
    "roles": ("roles", "usergroups"),
    "forums": ("forums", "microcosms"),
    "conversations": ("conversations", "threads"),
    "comments": ("comments", "posts"),
    "messages": ("messages", "huddles"),
}
_ALIASES: Final = {
    "emailFromAdmins": "receiveEmailFromAdmins",
    "emailNotifications": "receiveEmailNotifications",
    "banned": "isBanned",
    "ipaddress": "ipAddress",
    "open": "isOpen",
    "sticky": "isSticky",
    "moderated": "isModerated",
    "deleted": "isDeleted",
}
_IDS: Final = frozenset(
    (
        *("id", "author", "forumId", "parentId", "onId", "inReplyTo", "editor", "editedBy"),
        *("writtenBy", "rootId", "conversationId", "profile", "commentId", "closedBy", "owner"),
    )
)
_ID_LISTS: Final = frozenset(("usersIgnored", "forumsIgnored", "conversationsIgnored", "choices"))
_ON_TYPES: Final = {
    "user": "profile",
    "thread": "conversation",
    "huddle": "message",
    "post": "comment",
}
_DIGITS: Final = re.compile(r"[0-9]+")


class LayoutError(Exception):
    """Failure to open or read a layout; the message is for the operator and names the file."""


class _LayoutFile(NamedTuple):
    """File of a stream. `path`: from the layout's root; `id`: that of the document in the file, "" for a part with many
    documents.
    """

    path: str
    id: str


class _Files:
    """Files below a root, which is a folder or a ZIP file. Raises LayoutError for a root that is neither."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._zip: zipfile.ZipFile | None = None
        if root.is_file():
            try:
                self._zip = zipfile.ZipFile(root)
            except (zipfile.BadZipFile, OSError) as error:
                raise LayoutError(f"{root}: is no ZIP file: {error}") from None
        elif not root.is_dir():
            raise LayoutError(f"{root}: is neither a folder nor a ZIP file")

    def open(self, path: str) -> IO[bytes] | None:
        """Open a file for reading by its path from the root; the caller closes it. None if there is none, or the path
        leads out of the root.
        """
        parts = PurePosixPath(path).parts
        if not parts or parts[0] == "/" or ".." in parts:
            return None
        if self._zip is not None:
            try:
                return self._zip.open("/".join(parts))
            except KeyError:
                return None
        whole = self._root.joinpath(*parts)
        if not whole.is_file() or not whole.resolve().is_relative_to(self._root.resolve()):
            return None
        return whole.open("rb")

    def read(self, path: str) -> bytes | None:
        """Read a file whole, by its path from the root; None if there is none, or the path leads out of the root.
        Raises LayoutError for a file above 128 MiB.
        """
        handle = self.open(path)
        if handle is None:
            return None
        with handle:
            data = handle.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise LayoutError(f"{path}: has more than {MOST_BYTES:,} bytes")
        return data

    def below(self, folder: str) -> Iterator[str]:
        """Yield the paths, from the root, of all files below a folder, in any order; none if there is no such
        folder.
        """
        if self._zip is not None:
            yield from (
                name
                for name in self._zip.namelist()
                if name.startswith(f"{folder}/") and not name.endswith("/")
            )
            return
        base = self._root / folder
        if base.is_dir():
            for path in base.rglob("*"):
                if path.is_file():
                    yield path.relative_to(self._root).as_posix()

    def close(self) -> None:
        if self._zip is not None:
            self._zip.close()


class LayoutReader(BaseReader):
    """Reader of a layout in a folder or ZIP file. Raises LayoutError for a `root` that is neither, that has no file of
    any stream, or whose `site.json` is damaged. A damaged document is yielded as an Unreadable; a damaged `index.json`
    in a stream's folder raises LayoutError when the reader is made or the stream is read.
    """

    name = "microcosm"
    losses: tuple[Loss, ...] = (
        Loss(subject="addresses of machines", reason="they are not kept beyond their retention"),
    )

    def __init__(self, root: Path) -> None:
        self._files = _Files(root)
        self._board: Board | None = None
        written = self._files.read("site.json")
        self._is_ours = False
        if written is not None:
            try:
                self._board = _decoded(written, Board, "", is_ours=True)
            except (msgspec.MsgspecError, UnicodeError, ValueError) as error:
                raise LayoutError(f"site.json: {error}") from None
            self._is_ours = b'"layout"' in written or self._files.read("index.json") is not None
        index = self._files.read("index.json")
        self._counts: dict[str, int] = {}
        if index is not None:
            self._counts = _counts(index)
        if not any(True for name in STREAMS for _ in self._entries_of(name)):
            raise LayoutError(f"{root}: has none of the folders {', '.join(STREAMS)}")

    def board(self) -> Board:
        """Return the forum as a whole, from `site.json`; without that file one without a title."""
        return self._board or Board(title="", product=self.name)

    def counts(self) -> Mapping[str, int]:
        """Return the number of documents of each stream: as the root's `index.json` says, if that can be read; else of
        each stream that has a file for each document, by counting the files. Other streams are missing.
        """
        if not self._counts:
            for name in STREAMS:
                entries = list(self._entries_of(name))
                if not any(entry.path.endswith(".jsonl") for entry in entries):
                    self._counts[name] = len(entries)
        return self._counts

    def profiles(self) -> Iterator[PortedProfile | Unreadable]:
        return self._documents("profiles", PortedProfile)

    def roles(self) -> Iterator[PortedRole | Unreadable]:
        return self._documents("roles", PortedRole)

    def forums(self) -> Iterator[PortedForum | Unreadable]:
        return self._documents("forums", PortedForum)

    def conversations(self) -> Iterator[PortedConversation | Unreadable]:
        return self._documents("conversations", PortedConversation)

    def polls(self) -> Iterator[PortedPoll | Unreadable]:
        return self._documents("polls", PortedPoll)

    def attachments(self) -> Iterator[PortedAttachment | Unreadable]:
        return self._documents("attachments", PortedAttachment)

    def comments(self) -> Iterator[PortedComment | Unreadable]:
        return self._documents("comments", PortedComment)

    def messages(self) -> Iterator[PortedMessage | Unreadable]:
        return self._documents("messages", PortedMessage)

    def reactions(self) -> Iterator[PortedReaction | Unreadable]:
        return self._documents("reactions", PortedReaction)

    def bookmarks(self) -> Iterator[PortedBookmark | Unreadable]:
        return self._documents("bookmarks", PortedBookmark)

    def follows(self) -> Iterator[PortedFollow | Unreadable]:
        return self._documents("follows", PortedFollow)

    def bans(self) -> Iterator[PortedBan | Unreadable]:
        return self._documents("bans", PortedBan)

    def warnings(self) -> Iterator[PortedWarning | Unreadable]:
        return self._documents("warnings", PortedWarning)

    def reports(self) -> Iterator[PortedReport | Unreadable]:
        return self._documents("reports", PortedReport)

    def aliases(self) -> Iterator[PortedAlias | Unreadable]:
        return self._documents("aliases", PortedAlias)

    def open(self, attachment: PortedAttachment) -> IO[bytes] | None:
        """Open the file of an attachment, at its `path` below the root, for reading; the caller closes it. None if
        there is none, or the path leads out of the root.
        """
        return self._files.open(attachment.path) if attachment.path else None

    def close(self) -> None:
        """Close the ZIP file, if the layout is one."""
        self._files.close()

    # ---------------------------------------------------------------- files

    def _documents(self, stream: str, kind: type[Any]) -> Iterator[Any]:
        assert DOCUMENTS[stream] is kind
        for entry in self._entries_of(stream):
            if entry.path.endswith(".jsonl"):
                yield from self._lines(stream, entry, kind)
                continue
            try:
                data = self._files.read(entry.path)
            except LayoutError as error:
                yield Unreadable(
                    kind=stream[:-1], id=entry.id or entry.path[-64:], reason=str(error)
                )
                continue
            if data is None:
                reason = f"{entry.path}: is listed and not there"
                yield Unreadable(kind=stream[:-1], id=entry.id, reason=reason)
            else:
                yield self._document(stream, data, kind, entry.id, entry.path)

    def _lines(self, stream: str, entry: _LayoutFile, kind: type[Any]) -> Iterator[Any]:
        handle = self._files.open(entry.path)
        if handle is None:
            return
        with handle:
            number = 0
            while line := handle.readline(MOST_BYTES):
                number += 1
                where = f"{entry.path}:{number}"
                if len(line) >= MOST_BYTES:
                    reason = f"{where}: has more than {MOST_BYTES:,} bytes"
                    yield Unreadable(kind=stream.removesuffix("s"), id=where[-64:], reason=reason)
                    # The rest of the line is no document either.
                    while not line.endswith(b"\n") and (line := handle.readline(_PIECE)):
                        pass
                elif line.strip():
                    yield self._document(stream, line, kind, "", where)

    def _document(self, stream: str, data: bytes, kind: type[Any], id: str, where: str) -> Any:
        try:
            return _decoded(data, kind, id, is_ours=self._is_ours)
        except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError) as error:
            return Unreadable(
                kind=stream.removesuffix("s"), id=id or where[-64:], reason=f"{where}: {error}"
            )

    def _entries_of(self, stream: str) -> Iterator[_LayoutFile]:
        for folder in _FOLDERS[stream]:
            listed = self._listed(folder)
            if listed is not None:
                yield from listed
                return
            paths = list(self._files.below(folder))
            parts = sorted(path for path in paths if path.endswith(".jsonl"))
            if parts:
                yield from (_LayoutFile(path, "") for path in parts)
                return
            entries = [
                _LayoutFile(path, _id_of(path, folder))
                for path in paths
                if path.endswith(".json") and path != f"{folder}/index.json"
            ]
            if entries:
                yield from sorted(entries, key=lambda entry: _order(entry.id))
                return

    def _listed(self, folder: str) -> list[_LayoutFile] | None:
        """Return the files of a stream that the `index.json` in its folder lists, in the order of their ids; None
        without that file. Raises LayoutError for an `index.json` that is no such list, or too large.
        """
        data = self._files.read(f"{folder}/index.json")
        if data is None:
            return None
        try:
            files = json.loads(data)["files"]
            entries = [_LayoutFile(str(one["path"]), str(one["id"])) for one in files]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise LayoutError(f"{folder}/index.json: is no index: {error!r}") from None
        return sorted(
            (
                entry
                if entry.path.startswith(f"{folder}/")
                else _LayoutFile(f"{folder}/{entry.path}", entry.id)
                for entry in entries
            ),
            key=lambda entry: _order(entry.id),
        )


def _id_of(path: str, folder: str) -> str:
    return path.removeprefix(f"{folder}/").removesuffix(".json").replace("/", "")


def _order(id: str) -> tuple[int, str]:
    return (int(id), "") if _DIGITS.fullmatch(id) else (0, id)


def _counts(index: bytes) -> dict[str, int]:
    try:
        streams = json.loads(index)["streams"]
        return {name: int(one["documents"]) for name, one in streams.items() if name in STREAMS}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _decoded(data: bytes, kind: type[Any], id: str, *, is_ours: bool) -> Any:
    """Return a document of the type `kind`, decoded from its JSON, also from the form of an older draft; `id`: given to
    a document that has none, "" to give none. `is_ours`: today's form is tried first, and a right to reply that is
    missing is not taken from the right to begin threads. Raises ValueError, RecursionError, msgspec.MsgspecError for
    what is no such document.
    """
    if is_ours:
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.ValidationError:
            pass
    found = _renewed(json.loads(data))
    if not isinstance(found, dict):
        raise ValueError("is no JSON object")
    if id and "id" in kind.__struct_fields__:
        found.setdefault("id", id)
    if kind is PortedAttachment and "onType" in found:
        found["associations"] = [{"onType": found["onType"], "onId": found.get("onId", "")}]
    for one in found.get("associations", ()) if kind is PortedAttachment else ():
        if isinstance(one, dict):
            one["onType"] = _ON_TYPES.get(str(one.get("onType")), one.get("onType"))
    if "onType" in found:
        found["onType"] = _ON_TYPES.get(str(found["onType"]), found["onType"])
    if not is_ours:
        _give_replies(found)
    document: PortedDocument = msgspec.convert(found, type=kind)
    return document


def _renewed(value: Any, key: str = "") -> Any:
    """Return decoded JSON of an older draft with today's keys, without nulls, and with ids as text, "" for 0. `key`:
    that of `value` in the object around it, "" without one.
    """
    if isinstance(value, dict):
        return {
            _ALIASES.get(name, name): _renewed(one, name)
            for name, one in value.items()
            if one is not None
        }
    if isinstance(value, list):
        return [_renewed(one, "id" if key in _ID_LISTS else "") for one in value]
    if key in _IDS and isinstance(value, int) and not isinstance(value, bool):
        return str(value) if value else ""
    return value


def _give_replies(found: dict[str, Any]) -> None:
    """Set `canReply` to `canPostNew` in those rights of the decoded document `found` that lack it: old exports have one
    right for both.
    """
    for holder in (found, *(one for one in found.get("usergroups") or () if isinstance(one, dict))):
        rights = holder.get("forumPermissions")
        if isinstance(rights, dict) and "canReply" not in rights:
            rights["canReply"] = bool(rights.get("canPostNew"))
