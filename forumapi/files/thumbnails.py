"""Thumbnails: made in the background after an upload, or on the first request if it comes earlier."""

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
from forumapi.files.images.image_worker_pool import ImageWorker
from forumapi.files.storage import MissingError, Storage, StorageError
from forumapi.models.content import file
from forumapi.models.content.file import Variant
from forumapi.observability.log import logger

# Length of this process's queue; thumbnails beyond it are made on request.
MAX_WAITING: Final = 200


class Box(NamedTuple):
    """Maximum width and height of a thumbnail."""

    width: int
    height: int

    @classmethod
    def of(cls, text: str) -> Box:
        """Parse "800x600", the form in the settings."""
        width, _, height = text.partition("x")
        return cls(int(width), int(height))


class _Wanted(NamedTuple):
    hash: str
    kind: str
    size: int
    box: Box
    who: str


class Thumbnails:
    """Maker of thumbnails of stored images, each made once; its background thread runs between `start` and `stop`."""

    def __init__(self, database: Database, storage: Storage, image_worker: ImageWorker) -> None:
        self._database = database
        self._storage = storage
        self._image_worker = image_worker
        self._waiting: queue.Queue[_Wanted | None] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._busy: dict[tuple[str, Box], threading.Lock] = {}

    def start(self) -> None:
        """Start the background thread."""
        self._thread = threading.Thread(target=self._work, name="thumbnails", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the background thread; queued thumbnails are then made on request."""
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(None)
            self._thread.join(timeout=1)
            self._thread = None

    def later(self, hash: str, kind: str, size: int, boxes: tuple[Box, ...], *, who: str) -> None:
        """Queue thumbnails of a stored image, in the turns of the caller `who`."""
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
        """Return a thumbnail, made now if needed, in the turns of the caller `who`.

        Raises Invalid, MissingError, StorageError.
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
        """Lock a thumbnail in this process: callers that wait find it made."""
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
                    is_size=True,
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
    """Yield a temporary folder in the store's scratch folder. Raises StorageError."""
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
