"""Interface of stores of files, and its errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from forumapi.errors import Unavailable

# Bytes of a chunk in which a file is read.
PIECE: Final = 256 * 1024


class StorageError(Unavailable):
    """Failure of the store, answered by 503. `reason` is for the operator, not for the API's user."""

    def __init__(self, reason: str) -> None:
        super().__init__("Files are not available at the moment")
        self.reason = reason


class MissingError(Exception):
    """Absence of an object in the store."""


class Served(Protocol):
    """Headers of a download that the store itself or a proxy sends."""

    @property
    def media_type(self) -> str: ...
    @property
    def disposition(self) -> str: ...


class Storage(Protocol):
    """Store of immutable objects by name, 40 hex digits. Every method may raise StorageError.

    `scratch`: folder for temporary files, from which `put` takes a file.
    """

    scratch: Path

    def put(self, name: str, path: Path, media_type: str) -> None:
        """Store the file at `path` durably and atomically; an existing object stays."""

    def size(self, name: str) -> int | None:
        """Return the size of an object in bytes; None if it does not exist."""

    def read(self, name: str, start: int, length: int) -> Iterator[bytes]:
        """Yield `length` bytes from `start` on, in chunks. Raises MissingError before the first chunk."""

    def fetch(self, name: str, target: Path) -> None:
        """Copy an object into a file. Raises MissingError."""

    def delete(self, name: str) -> None:
        """Remove an object, if it exists."""

    def internal(self, name: str) -> str:
        """Return the address by which nginx sends the object itself; "" if this process must send it."""

    def redirect(self, name: str, served: Served) -> str:
        """Return a temporary address of the object for the client; "" if this process must send it."""

    def check(self) -> str:
        """Check that objects can be written and read; return a description of their location."""
