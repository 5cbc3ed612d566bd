"""Writer of the neutral layout: a reader's documents as files, in a folder or a ZIP file (docs/export.md).

Each stream is a folder of parts, `comments/000001.jsonl`, with one JSON document a line. `index.json` is written last,
so that a folder without it is known to be incomplete.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, Protocol

import msgspec

from forumapi.porting.exports.canonical_hash import HASHED, CanonicalHash
from forumapi.porting.layout import STREAMS, VERSION, ForumReader, PortedAttachment, Unreadable

INDEX: Final = "index.json"
SITE: Final = "site.json"
# Documents of a part, and bytes after which a part ends earlier.
PART: Final = 5_000
PART_BYTES: Final = 16 * 1024 * 1024
_COPY: Final = 256 * 1024
# Compresses at four times the speed of zipfile's default, to about the same size.
_LEVEL: Final = 3
_PACKED: Final = ("image/gif", "image/jpeg", "image/png", "image/webp", "application/zip")

encode: Final = msgspec.json.Encoder().encode


class LayoutSink(Protocol):
    """Interface of the target of an export's files, a folder or a ZIP file. `open` opens a file for writing, as long as
    a with block lasts, one at a time. `path`: below the target's root; `is_packed`: the bytes are compressed already.
    """

    def open(
        self, path: str, *, is_packed: bool = False
    ) -> contextlib.AbstractContextManager[IO[bytes]]: ...


class FolderSink:
    """Target of an export's files in a folder, which is created with the first file. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def open(self, path: str, *, is_packed: bool = False) -> Iterator[IO[bytes]]:
        """Open the file `path` below the folder for writing; it gets its name when the block ends without an error,
        until then, and after an error, it has a temporary one. A file of the name is replaced. `is_packed` changes
        nothing: no file is compressed here.
        """
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        with part.open("wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(target)


class ZipSink:
    """Target of an export's files in `archive`, a ZIP file that is open for writing, such as the module's function
    `zip_file` returns; the caller closes it.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    @contextlib.contextmanager
    def open(self, path: str, *, is_packed: bool = False) -> Iterator[IO[bytes]]:
        """Open an entry `path` of the ZIP file for writing; `is_packed`: its bytes are compressed already, so that the
        entry is stored without compression.
        """
        # An entry that is named by its path alone is compressed as the archive says.
        entry = zipfile.ZipInfo(path, datetime.datetime.now(datetime.UTC).timetuple()[:6])
        entry.external_attr = 0o600 << 16
        with self._archive.open(entry if is_packed else path, "w", force_zip64=True) as handle:
            yield handle


def zip_file(path: Path) -> zipfile.ZipFile:
    """Create a ZIP file, which may become larger than 4 GB, for a ZipSink; the caller closes it. Overwrites an existing
    file.
    """
    return zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, allowZip64=True, compresslevel=_LEVEL)


class PartFile(msgspec.Struct, frozen=True):
    """Entry of `index.json` for one file of a stream: its path below the export's root, the number of documents in it,
    and its SHA-256 in hexadecimal.
    """

    path: str
    documents: int
    sha256: str


class StreamIndex(msgspec.Struct, frozen=True):
    """Entry of `index.json` for one stream: the number of its documents, and the files that hold them."""

    documents: int
    files: list[PartFile]


class LeftOut(msgspec.Struct, frozen=True):
    """Entry of `index.json` for a part of the forum that the export lacks. `subject`: the part, such as "huddles";
    `reason`: why it is left out.
    """

    subject: str
    reason: str


class LayoutIndex(msgspec.Struct, frozen=True, rename="camel"):
    """Contents of `index.json`. `layout`: version of the layout; `product`: name of the software that the forum runs
    on; `created`: time at which the export was complete; `streams`: entries by the stream's name, without empty
    streams; `files`: number of files of attachments and avatars that were written, each path once; `missing_files`:
    paths of those that the store lacks; `left_out`: parts of the forum that the export lacks; `hash`: canonical hash of
    all documents.
    """

    layout: int
    product: str
    created: datetime.datetime
    streams: dict[str, StreamIndex]
    files: int
    missing_files: list[str]
    left_out: list[LeftOut]
    hash: str


class LayoutWritten(NamedTuple):
    """Result of `write`: number of documents, number of files of attachments and avatars, and the canonical hash."""

    documents: int
    files: int
    hash: str


# Called with the number of documents so far; it may raise to end the export.
Step = Callable[[int], None]


def write(reader: ForumReader, sink: LayoutSink, step: Step = lambda _: None) -> LayoutWritten:
    """Write all documents and files that a reader yields, but no Unreadable, and the index into `sink`; call `step`
    after each document with the number of documents so far, and after each file with the same number. What `step`
    raises ends the export.

    Raises OSError, and the errors of the reader and the store. Memory grows by eight bytes a document and by the names
    of files alone.
    """
    return _LayoutWriter(reader, sink, step).write()


class _LayoutWriter:
    """State of one call of `write`."""

    def __init__(self, reader: ForumReader, sink: LayoutSink, step: Step) -> None:
        self._reader = reader
        self._sink = sink
        self._step = step
        self._hash = CanonicalHash()
        self._documents = 0
        # Digests of the paths of files that are written.
        self._files: set[bytes] = set()
        self._missing: list[str] = []

    def write(self) -> LayoutWritten:
        board = self._reader.board()
        with self._sink.open(SITE) as handle:
            handle.write(encode(board) + b"\n")
        # Comments before attachments, which the canonical hash sees on their comments.
        names = [*HASHED, *(name for name in STREAMS if name not in HASHED)]
        streams = {name: self._stream(name) for name in names}
        digest = self._hash.hexdigest()
        index = LayoutIndex(
            layout=VERSION,
            product=board.product,
            created=datetime.datetime.now(datetime.UTC),
            streams={name: streams[name] for name in STREAMS if streams[name].documents},
            files=len(self._files),
            missing_files=self._missing,
            left_out=[LeftOut(loss.subject, loss.reason) for loss in self._reader.losses],
            hash=digest,
        )
        with self._sink.open(INDEX) as handle:
            handle.write(msgspec.json.format(encode(index), indent=1) + b"\n")
        return LayoutWritten(self._documents, len(self._files), digest)

    def _stream(self, name: str) -> StreamIndex:
        documents = self._lines(name)
        parts: list[PartFile] = []
        first = next(documents, None)
        while first is not None:
            path = f"{name}/{len(parts) + 1:06}.jsonl"
            with self._sink.open(path) as handle:
                digest, count, size = hashlib.sha256(), 0, 0
                line: bytes | None = first
                while line is not None:
                    handle.write(line)
                    digest.update(line)
                    count, size = count + 1, size + len(line)
                    line = next(documents, None)
                    if count >= PART or size >= PART_BYTES:
                        break
            first = line
            parts.append(PartFile(path, count, digest.hexdigest()))
        if name in ("profiles", "attachments"):
            self._copy_files(name)
        return StreamIndex(sum(part.documents for part in parts), parts)

    def _lines(self, name: str) -> Iterator[bytes]:
        for document in getattr(self._reader, name)():
            if isinstance(document, Unreadable):
                continue
            self._hash.add(name, document)
            yield encode(document) + b"\n"
            self._documents += 1
            self._step(self._documents)

    def _copy_files(self, name: str) -> None:
        """Copy the files of the stream `name` into the sink: of "profiles" their avatars, of "attachments" the attached
        files. The stream is read a second time for it, as a sink has one file open at a time.
        """
        for document in getattr(self._reader, name)():
            file: Any = document.avatar if name == "profiles" else document
            if isinstance(file, PortedAttachment) and file.path:
                self._copy(file)

    def _copy(self, file: PortedAttachment) -> None:
        key = hashlib.sha256(file.path.encode()).digest()
        if key in self._files:
            return
        source = self._reader.open(file)
        if source is None:
            self._missing.append(file.path)
            return
        with source, self._sink.open(file.path, is_packed=file.mimetype in _PACKED) as handle:
            shutil.copyfileobj(source, handle, _COPY)
        self._files.add(key)
        self._step(self._documents)
