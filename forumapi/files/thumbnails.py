"""Thumbnails of stored images: made in the background after an upload, or on the first request if that comes
earlier.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from forumapi.database.connections import Database
from forumapi.errors import ApiError, Invalid
from forumapi.files.images.image_worker_handle import ImageWorker
from forumapi.files.storage import MissingError, Storage, StorageError
from forumapi.models.content import file
from forumapi.models.content.file import Variant
from forumapi.observability.log import logger

# Length of this process's queue; thumbnails beyond it are made on request.
MAX_WAITING: Final = 200


class Box(NamedTuple):
    """Greatest width and height of a thumbnail, in pixels."""

    width: int
    height: int

    @classmethod
    def of(cls, text: str) -> Box:
        """Parse a size such as "800x600", as the settings have it. Raises ValueError for another form."""
        width, _, height = text.partition("x")
        return cls(int(width), int(height))


class _Wanted(NamedTuple):
    hash: str
    kind: str
    size: int
    box: Box
    who: str


class Thumbnails:
    """Maker of thumbnails: each is made once, stored, and found by the image's hash and the box. A thread makes queued
    ones between `start` and `stop`.
    """

    def __init__(self, database: Database, storage: Storage, image_worker: ImageWorker) -> None:
        self._database = database
        self._storage = storage
        self._image_worker = image_worker
        self._waiting: queue.Queue[_Wanted | None] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._busy: dict[tuple[str, Box], threading.Lock] = {}

    def start(self) -> None:
        """Start the thread that makes queued thumbnails, until `stop`."""
        self._thread = threading.Thread(target=self._work, name="thumbnails", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Have the thread of `start`, if it runs, end after the thumbnails that are queued already, and wait for that a
        second at most; if the queue is full the thread goes on. What is not made by then is made on its first request.
        """
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(None)
            self._thread.join(timeout=1)
            self._thread = None

    def later(self, hash: str, kind: str, size: int, boxes: tuple[Box, ...], *, who: str) -> None:
        """Queue a thumbnail of a stored image for each of `boxes`; those for which the queue has no room are made on
        their first request.

        `hash`, `kind`, `size`: name in the store, format and bytes of the image; `who`: key of the caller whose turns
        of the image worker are taken.
        """
        for box in boxes:
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(_Wanted(hash, kind, size, box, who))

    def _work(self) -> None:
        while (wanted := self._waiting.get()) is not None:
            try:
                self.get(*wanted)
            except ApiError as error:
                reason = error.reason if isinstance(error, StorageError) else error.message
                logger.warning("a thumbnail of %s was not made: %s", wanted.hash, reason)

    def get(self, hash: str, kind: str, size: int, box: Box, who: str) -> Variant:
        """Return hash (name in the store) and size in bytes of the thumbnail of a stored image within `box`, made and
        stored now if there is none yet; the thumbnail may be the image itself.

        `hash`, `kind`, `size`: name in the store, format and bytes of the image; `who`: key of the caller whose turn of
        the image worker is taken. Raises Invalid for an image that can't be scaled, MissingError if the store lacks the
        image, StorageError if the store fails, Unavailable after too long a wait for a turn.
        """
        made = self._known(hash, box)
        if made is None:
            with self._alone(hash, box):
                made = self._known(hash, box) or self._make(hash, kind, size, box, who)
        if not made.hash:
            raise Invalid("maxWidth", "is not possible for this image: it cannot be resized")
        return made

    def _known(self, hash: str, box: Box) -> Variant | None:
        tx = self._database.read()
        try:
            return file.variant(tx, hash, *box)
        finally:
            tx.end()

    @contextlib.contextmanager
    def _alone(self, hash: str, box: Box) -> Iterator[None]:
        """Hold this process's lock of one thumbnail during the with statement; a caller that had to wait then finds it
        made, unless that failed.
        """
        lock = self._busy.setdefault((hash, box), threading.Lock())
        with lock:
            try:
                yield
            finally:
                self._busy.pop((hash, box), None)

    def _make(self, hash: str, kind: str, size: int, box: Box, who: str) -> Variant:
        with scratch(self._storage) as folder:
            source, target = folder / "source", folder / "target"
            self._storage.fetch(hash, source)
            try:
                picture = self._image_worker.make(
                    source,
                    target,
                    kind,
                    who=who,
                    is_thumbnail=True,
                    max_width=box.width,
                    max_height=box.height,
                )
            except Invalid:
                made = None
            else:
                made = Variant(hash, size)
                if picture.is_new and picture.size < size:
                    made = Variant(picture.sha1, picture.size)
                    with self._database.write() as tx:
                        file.announce(tx, [made.hash])
                    self._storage.put(made.hash, target, file.PICTURES[kind])
        with self._database.write() as tx:
            file.add_variant(tx, hash, *box, made)
        return made or Variant("", 0)


@contextlib.contextmanager
def scratch(storage: Storage) -> Iterator[Path]:
    """Yield a new temporary folder in the store's scratch folder, removed afterwards with its files. Raises
    StorageError if it can't be made.
    """
    folder = storage.scratch / secrets.token_hex(12)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}") from error
    try:
        yield folder
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


__all__ = ["Box", "MissingError", "Thumbnails", "scratch"]
