"""Interface of stores of files (`Storage`), and their errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from forumapi.errors import Unavailable

# Bytes of a chunk in which a file is read.
PIECE: Final = 256 * 1024


class StorageError(Unavailable):
    """Failure of the store, which the API answers with 503. `reason`: for the operator, and never sent."""

    def __init__(self, reason: str) -> None:
        super().__init__("Files are not available at the moment")
        self.reason = reason


class MissingError(Exception):
    """Error of a read: the store has no object of this name."""


class Served(Protocol):
    """Headers of one file's download, for a store or proxy that sends the file itself: `media_type` is its
    Content-Type, `disposition` its Content-Disposition, "" for none.
    """

    @property
    def media_type(self) -> str: ...
    @property
    def disposition(self) -> str: ...


class Storage(Protocol):
    """Interface of stores of immutable objects. `name` of an object: 40 hexadecimal digits. Each method that reads or
    writes objects may raise StorageError.

    `scratch`: folder for temporary files; what `put` takes comes from there.
    """

    scratch: Path

    def put(self, name: str, path: Path, media_type: str) -> None:
        """Store the file at `path` as the object `name`, durably and atomically; if the object exists already, it stays
        as it is. The file at `path` may be gone afterwards. `media_type`: the file's, which some stores keep beside the
        object and others ignore.
        """

    def size(self, name: str) -> int | None:
        """Return the size of an object in bytes; None if it does not exist."""

    def read(self, name: str, start: int, length: int) -> Iterator[bytes]:
        """Yield `length` bytes of an object from the position `start` (0: its first byte) on, fewer if it ends before,
        in chunks of any size. `start` must lie within the object, and `length` be 1 or more. Raises MissingError before
        the first chunk.
        """

    def fetch(self, name: str, target: Path) -> None:
        """Copy an object into the file `target`, which is overwritten. Raises MissingError if it does not exist."""

    def delete(self, name: str) -> None:
        """Remove an object; nothing happens if it does not exist."""

    def internal(self, name: str) -> str:
        """Return the internal address for X-Accel-Redirect, by which nginx sends the object instead of this process; ""
        if nginx can't read this store. Not checked: whether the object exists.
        """

    def redirect(self, name: str, served: Served) -> str:
        """Return a temporary URL to which the client is redirected for the object, with the headers `served`; "" if
        this process must send it.
        """

    def check(self) -> str:
        """Check, without storing an object, that the store can be used; return a description of it for the log, such as
        "in bucket files". Raises StorageError if it can't be used.
        """
