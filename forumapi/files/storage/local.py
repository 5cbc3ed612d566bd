"""Store of files in a local folder, in sub-folders two levels deep. A file appears there atomically, after it is synced
to disk.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from forumapi.concurrency.blocking_disk_calls import offload
from forumapi.files.storage.base import PIECE, MissingError, Served, StorageError


class LocalStorage:
    """Store of objects at `folder`/ab/cd/<name>, where "abcd" begins the name. `scratch` is in the same file system, so
    that a rename is atomic. `accel_prefix`: nginx's internal location of the folder, "" for none.
    """

    def __init__(self, folder: Path, accel_prefix: str = "") -> None:
        self.folder = folder
        self._prefix = accel_prefix
        self.scratch = folder / "incoming"

    def path(self, name: str) -> Path:
        """Return the path of an object, whether it exists or not."""
        return self.folder / name[:2] / name[2:4] / name

    def put(self, name: str, path: Path, media_type: str) -> None:
        """Move the file at `path` to the place of the object `name`, synced to disk; if the object exists already, both
        stay. `media_type` is not kept. Raises StorageError.
        """
        if self.size(name):
            return
        try:
            offload(_move, path, self.path(name))
        except OSError as error:
            raise StorageError(f"{self.folder}: {error}") from error

    def size(self, name: str) -> int | None:
        """Return the size of an object in bytes; None if it does not exist. Raises StorageError."""
        try:
            return self.path(name).stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"{self.folder}: {error}") from error

    def read(self, name: str, start: int, length: int) -> Iterator[bytes]:
        """Yield `length` bytes, 1 or more, of the object `name` from the position `start` within it (0: its first byte)
        on, fewer if it ends before, in chunks of any size. Raises MissingError before the first chunk, StorageError.
        """
        try:
            handle = self.path(name).open("rb", buffering=0)
        except FileNotFoundError:
            raise MissingError(name) from None
        except OSError as error:
            raise StorageError(f"{self.folder}: {error}") from error
        return _pieces(handle, start, length)

    def fetch(self, name: str, target: Path) -> None:
        """Copy an object into the file `target`, which is overwritten. Raises MissingError if it does not exist,
        StorageError if the store fails.
        """
        try:
            offload(shutil.copyfile, self.path(name), target)
        except FileNotFoundError:
            raise MissingError(name) from None
        except OSError as error:
            raise StorageError(f"{self.folder}: {error}") from error

    def delete(self, name: str) -> None:
        """Remove an object; one that does not exist is no error. Raises StorageError."""
        try:
            self.path(name).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{self.folder}: {error}") from error

    def internal(self, name: str) -> str:
        """Return the object's address below nginx's internal location for this folder; "" if none is configured."""
        return f"{self._prefix}{name[:2]}/{name[2:4]}/{name}" if self._prefix else ""

    def redirect(self, name: str, served: Served) -> str:
        """Return "", since objects in a folder have no address of their own."""
        return ""

    def check(self) -> str:
        """Check that the folder can be written; return a description of the store for the log. Raises StorageError if
        the folder can't be written.
        """
        try:
            self.scratch.mkdir(parents=True, exist_ok=True)
            probe = self.scratch / f"probe-{secrets.token_hex(8)}"
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            raise StorageError(f"{self.folder}: {error.strerror or error}") from error
        return f"in {self.folder}"


def _pieces(handle: FileIO, start: int, length: int) -> Iterator[bytes]:
    with handle:
        handle.seek(start)
        while length > 0 and (piece := handle.read(min(PIECE, length))):
            length -= len(piece)
            yield piece


def _move(source: Path, target: Path) -> None:
    """Sync the file `source` to disk, rename it to `target`, whose folders are made if missing, and sync the target's
    folder and those that got new folders.
    """
    made = [folder for folder in (target.parent.parent, target.parent) if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    _sync(source)
    source.rename(target)
    for folder in {target.parent, *(folder.parent for folder in made)}:
        _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
