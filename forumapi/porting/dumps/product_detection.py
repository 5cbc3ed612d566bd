"""Detection of the product that an uploaded dump or archive is of, and limits of archives from strangers."""

from __future__ import annotations

import contextlib
import gzip
import io
import zipfile
import zlib
from importlib import import_module
from pathlib import Path
from typing import Final

from forumapi.porting.dumps import mysql_dump, postgres_dump
from forumapi.porting.dumps.dump_types import DumpError
from forumapi.porting.dumps.source import BoundedStream
from forumapi.porting.readers import NAMES

LAYOUT: Final = "microcosm"
MAIL: Final = "mbox"
# Bytes of an archive's directory, which is held in memory whole: about 200,000 files.
MAX_DIRECTORY: Final = 16 * 1024 * 1024
_ZIP: Final = b"PK"
_SQLITE: Final = b"SQLite format 3\0"
# Place of the directory's size in the record at an archive's end.
_DIRECTORY_SIZE: Final = 5
# Methods whose decompression zipfile bounds; it gives those of bzip2 and LZMA no limit of output.
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED: Final = 1


class _FoundError(Exception):
    """Signal that ends the parsing of a dump, since a table that one product alone has was found."""


def detect(path: Path, most: int) -> str:
    """Return the product that a file is of, one of NAMES (readers/__init__.py): "microcosm" for any ZIP file; for a
    dump, that of the first table that one product alone has. `most`: bytes that the dump may have after decompression.
    Raises DumpError for a dump that has more, is damaged, or has no such table, as an mbox does not.
    """
    with path.open("rb") as opened:
        head = opened.read(len(_ZIP))
    if head == _ZIP:
        return LAYOUT
    markers = {
        marker: name
        for name in NAMES
        if name != LAYOUT
        and (marker := getattr(import_module(f"forumapi.porting.readers.{name}"), "MARKER", ""))
    }
    found = ""

    def look(table: str) -> bool:
        nonlocal found
        for marker, name in markers.items():
            if table == marker or table.endswith(f"_{marker}"):
                found = name
                raise _FoundError
        return False

    with BoundedStream(path, most) as raw, io.BufferedReader(raw, 1 << 20) as stream:
        head = stream.peek(65536)[:65536]
        parser = postgres_dump if postgres_dump.looks_like(head) else mysql_dump
        with contextlib.suppress(_FoundError):
            for _ in parser.read(stream, look):
                pass
    if not found:
        raise DumpError(f"no table tells the product: name it, one of {', '.join(NAMES)}")
    return found


def check_kind(path: Path) -> None:
    """Raise DumpError if the file is an SQLite file, plain or compressed by gzip. Such a file is not taken from
    strangers, since its whole content is instructions to a library.
    """
    with gzip.open(path) as opened:
        try:
            packed = opened.read(len(_SQLITE))
        except (OSError, EOFError, zlib.error):
            packed = b""
    with path.open("rb") as plain:
        is_plain = plain.read(len(_SQLITE)) == _SQLITE
    if is_plain or packed == _SQLITE:
        raise DumpError("an SQLite file is for the command of the platform's operator")


def check_size(path: Path, most: int) -> None:
    """Check that a file, decompressed if it is gzip, has at most `most` bytes. Raises DumpError if the file has more,
    is damaged, or is an archive of another kind.
    """
    with BoundedStream(path, most) as stream:
        while stream.read(1 << 20):
            pass


def check_archive(path: Path, most: int) -> None:
    """Check a ZIP file before it is opened. Raises DumpError for what is no ZIP file or cut off, and unless its
    directory has at most MAX_DIRECTORY (16 MiB) bytes, and the files that the directory lists are stored or deflated,
    not encrypted, and together at most `most` bytes after decompression.
    """
    with path.open("rb") as opened:
        try:
            # The same record that ZipFile takes, which reads a directory of any size into memory.
            record = zipfile._EndRecData(opened)  # type: ignore[attr-defined]
        except (OSError, zipfile.BadZipFile):
            record = None
    if not record:
        raise DumpError("the file is no ZIP file, or cut off")
    if record[_DIRECTORY_SIZE] > MAX_DIRECTORY:
        raise DumpError(f"the archive's directory has more than {MAX_DIRECTORY:,} bytes")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DumpError(f"the file is no ZIP file: {error}") from None
    for one in entries:
        if one.compress_type not in _METHODS:
            raise DumpError(
                f"the archive's file {one.filename[:200]!r} is neither stored nor deflated"
            )
        if one.flag_bits & _ENCRYPTED:
            raise DumpError(f"the archive's file {one.filename[:200]!r} is encrypted")
    if sum(one.file_size for one in entries) > most:
        raise DumpError(f"the archive has more than {most:,} bytes after decompression")
