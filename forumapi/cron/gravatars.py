"""Import of pictures from Gravatar, for sites that enable it: fetched by the server alone, and stored as files
(P-36).
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from pathlib import Path
from typing import Final, NamedTuple

from forumapi.config import Config
from forumapi.database.connections import Database, Transaction
from forumapi.errors import Invalid
from forumapi.files import file_rows, file_types
from forumapi.files.images.image_worker_handle import ImageWorker
from forumapi.files.storage import open_storage
from forumapi.files.thumbnails import scratch
from forumapi.models.content import file
from forumapi.models.content.file import File
from forumapi.models.people import gravatar
from forumapi.models.people.gravatar import GravatarRequest
from forumapi.observability.log import logger
from forumapi.outbound.safe_http_client import Outbound, OutboundError, TooLongError
from forumapi.text import avatar

# Profiles of one run, and its maximum duration: other jobs wait for it.
MOST: Final = 100
ASKING_S: Final = 5.0
TIMEOUT_S: Final = 3.0
MAX_BYTES: Final = 1_000_000
# Failures one after the other for which Gravatar is to blame, and not the person.
MOST_FAILURES: Final = 3


class _Fetched(NamedTuple):
    whose: GravatarRequest
    picture: File
    path: Path


def gravatars(tx: Transaction, config: Config) -> str:
    """Fetch and store Gravatar's pictures for members without a picture, a batch of members a run; return the result in
    words.

    Members are taken by site in order of id. A member whose request failed is tried again by the next run, unless
    Gravatar has answered for a later member in this one. Raises StorageError.
    """
    people = gravatar.due(tx, MOST) if config.gravatar_url else []
    if not people:
        return "nobody to ask for"
    storage = open_storage(config)
    image_worker = ImageWorker(
        time_limit_s=config.picture_timeout_s, pixel_limit=config.picture_pixel_limit
    )
    with scratch(storage) as folder, contextlib.closing(image_worker):
        found, asked = _ask(people, config.gravatar_url, folder, image_worker)
        if found:
            _announce(config, found)
        for one in found:
            storage.put(one.picture.hash, one.path, one.picture.mime_type)
        lacking = gravatar.lock(tx, [one.whose for one in found])
        for one in found:
            if (one.whose.site_id, one.whose.profile_id) in lacking:
                gravatar.add(tx, one.whose.site_id, one.whose.profile_id, one.picture)
    for site_id, profile_id in asked.items():
        gravatar.advance(tx, site_id, profile_id)
    return f"{len(lacking)} pictures"


def _ask(
    people: list[GravatarRequest], url: str, folder: Path, image_worker: ImageWorker
) -> tuple[list[_Fetched], dict[int, int]]:
    """Ask Gravatar, at `url` followed by a hash of the address, for the pictures of `people`; return the pictures
    found, stored in `folder`, and, by site id, the id of the last profile that need not be tried again.

    A person whose request failed is tried again by the next run, unless Gravatar has answered for a later person. Ends
    early after MOST_FAILURES in a row, or ASKING_S seconds.
    """
    out = Outbound(allowed=lambda _: True, ports=(), timeout_s=TIMEOUT_S)
    ends = time.monotonic() + ASKING_S
    found: list[_Fetched] = []
    asked: dict[int, int] = {}
    tried: list[GravatarRequest] = []
    failures = 0
    for number, one in enumerate(people):
        tried.append(one)
        if not one.has_picture:
            if failures == MOST_FAILURES or time.monotonic() > ends:
                break
            digest = hashlib.sha256(one.email.strip().lower().encode()).hexdigest()
            body = _fetch(out, f"{url}{digest}?s={avatar.SIZE}&d=404")
            failures = failures + 1 if body is None else 0
            if body:
                path = folder / f"picture{number}"
                path.write_bytes(body)
                if (picture := _made(path, image_worker)) is not None:
                    found.append(_Fetched(one, *picture))
        if not failures:
            asked.update((due.site_id, due.profile_id) for due in tried)
            tried.clear()
    return found, asked


def _fetch(out: Outbound, url: str) -> bytes | None:
    """Fetch a picture; b"" if the picture is too large, or Gravatar has none and so answers with a status other than
    200, None if the request failed (no answer, 429 or 5xx).
    """
    try:
        got = out.fetch(url, max_bytes=MAX_BYTES)
    except TooLongError:
        return b""
    except OutboundError as error:
        logger.warning("gravatars: %s", error)
        return None
    if got.status == 429 or got.status >= 500:
        logger.warning("gravatars: HTTP status %d", got.status)
        return None
    return got.body if got.status == 200 else b""


def _made(path: Path, image_worker: ImageWorker) -> tuple[File, Path] | None:
    """Make the image to be stored of the one at `path`; return its row for the database (File) and the path of its
    bytes; None if there is no valid image at `path`.
    """
    with path.open("rb") as source:
        kind = file_types.picture(source.read(file_types.HEAD))
    if not kind:
        return None
    target = path.with_suffix(".made")
    try:
        made = image_worker.make(
            path, target, kind, who="", max_width=avatar.SIZE, max_height=avatar.SIZE
        )
    except Invalid:
        return None
    picture = file_rows.picture(made, f"gravatar.{file_types.EXTENSIONS[kind]}", kind)
    return picture, target if made.is_new else path


def _announce(config: Config, found: list[_Fetched]) -> None:
    """Record the names of the objects of the pictures `found` in a transaction of its own, before the objects are put
    into the store, so that they are cleaned up as strays if the run fails.
    """
    database = Database(config.direct_url, size=1, prepare=False)
    try:
        with database.write() as tx:
            file.announce(tx, [one.picture.hash for one in found])
    finally:
        database.close()
