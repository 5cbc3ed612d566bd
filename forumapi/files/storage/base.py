"""What a store of files must do, and how it says that it can't."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from forumapi.errors import Unavailable

# Pieces in which a file is read; one that is not longer is read at once.
PIECE: Final = 256 * 1024


class StorageError(Unavailable):
    """503: the store can't be used right now. `reason` is for the operator, not for the API's user."""

    def __init__(self, reason: str) -> None:
        super().__init__("Files are not available right now")
        self.reason = reason


class MissingError(Exception):
    """The store has no object of that name."""


class Served(Protocol):
    """How a download of an object looks to the client, where the store itself or a proxy sends it."""

    @property
    def media_type(self) -> str: ...
    @property
    def disposition(self) -> str: ...


class Storage(Protocol):
    """Objects by name, written once and never changed. A name is 40 hex digits.

    Everything may raise StorageError. `scratch` is a folder for files on their way; `put` takes a file from there.
    """

    scratch: Path

    def put(self, name: str, path: Path, media_type: str) -> None:
        """Store the file at `path`, durably and whole or not at all; an object that is there already stays."""

    def size(self, name: str) -> int | None:
        """Bytes of an object; None if it isn't there."""

    def read(self, name: str, start: int, length: int) -> Iterator[bytes]:
        """`length` bytes from `start` on, in pieces. Raises MissingError before the first one."""

    def fetch(self, name: str, target: Path) -> None:
        """Copy an object into a file. Raises MissingError."""

    def delete(self, name: str) -> None:
        """Remove an object; nothing happens if it isn't there."""

    def internal(self, name: str) -> str:
        """The address at which the proxy in front finds the object itself; "" if it is to be sent by us."""

    def redirect(self, name: str, served: Served) -> str:
        """An address where the client finds the object itself for a while; "" if it is to be read and sent by us."""

    def check(self) -> str:
        """Prove that objects can be written and read; a sentence about where they are."""
