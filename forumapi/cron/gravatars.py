"""Pictures fetched from Gravatar for sites that want them: the server alone asks, and stores files (P-36)."""

from __future__ import annotations

import contextlib
import hashlib
import time
from pathlib import Path
from typing import Final, NamedTuple

from forumapi.config import Config
from forumapi.database.connections import Database, Transaction
from forumapi.errors import Invalid
from forumapi.files import file_types
from forumapi.files.images.image_worker_pool import Studio
from forumapi.files.storage import open_storage
from forumapi.files.thumbnails import scratch
from forumapi.models.content import file
from forumapi.models.content.file import Received
from forumapi.models.people import gravatar
from forumapi.models.people.gravatar import Due
from forumapi.observability.log import logger
from forumapi.outbound.safe_http_client import Outbound, OutboundError
from forumapi.text import avatar

# People of one run, and how long it goes on: other jobs wait for it.
MOST: Final = 100
ASKING_S: Final = 5.0
TIMEOUT_S: Final = 3.0
MAX_BYTES: Final = 1_000_000


class _Fetched(NamedTuple):
    whose: Due
    picture: Received
    path: Path


def gravatars(tx: Transaction, config: Config) -> str:
    """Ask Gravatar for the pictures of people who have none. What fails is asked for again by the next run."""
    people = gravatar.due(tx, MOST) if config.gravatar_url else []
    if not people:
        return "nobody to ask for"
    storage = open_storage(config)
    studio = Studio(time_limit_s=config.picture_timeout_s, pixel_limit=config.picture_pixel_limit)
    with scratch(storage) as folder, contextlib.closing(studio):
        found, asked = _ask(people, config.gravatar_url, folder, studio)
        if found:
            _announce(config, found)
        for one in found:
            storage.put(one.picture.hash, one.path, one.picture.mime_type)
        added = sum(
            gravatar.add(tx, one.whose.site_id, one.whose.profile_id, one.picture) for one in found
        )
    for site_id, profile_id in asked.items():
        gravatar.reached(tx, site_id, profile_id)
    return f"{added} pictures"


def _ask(
    people: list[Due], url: str, folder: Path, studio: Studio
) -> tuple[list[_Fetched], dict[int, int]]:
    """The pictures that there are, and up to whom of each site was asked."""
    out = Outbound(allowed=lambda _: True, ports=(), timeout_s=TIMEOUT_S)
    ends = time.monotonic() + ASKING_S
    found, asked = [], {}
    for number, one in enumerate(people):
        if not one.has_picture:
            if time.monotonic() > ends:
                break
            digest = hashlib.sha256(one.email.strip().lower().encode()).hexdigest()
            try:
                got = out.fetch(f"{url}{digest}?s={avatar.SIZE}&d=404", max_bytes=MAX_BYTES)
            except OutboundError as error:
                logger.warning("gravatars: %s", error)
                break
            if got.status not in (200, 404):
                logger.warning("gravatars: the answer was %d", got.status)
                break
            if got.status == 200:
                path = folder / f"picture{number}"
                path.write_bytes(got.body)
                if (picture := _made(path, studio)) is not None:
                    found.append(_Fetched(one, *picture))
        asked[one.site_id] = one.profile_id
    return found, asked


def _made(path: Path, studio: Studio) -> tuple[Received, Path] | None:
    """The picture at `path` as it is stored, and where it is; None for what is none."""
    with path.open("rb") as source:
        kind = file_types.picture(source.read(file_types.HEAD))
    if not kind:
        return None
    target = path.with_suffix(".made")
    try:
        made = studio.make(
            path, target, kind, who="", max_width=avatar.SIZE, max_height=avatar.SIZE
        )
    except Invalid:
        return None
    ext = file_types.EXTENSIONS[kind]
    picture = Received(
        made.sha1,
        made.size,
        f"gravatar.{ext}",
        ext,
        file.PICTURES[kind],
        made.width,
        made.height,
        made.is_animated,
    )
    return picture, target if made.is_new else path


def _announce(config: Config, found: list[_Fetched]) -> None:
    """Note in a transaction of its own that objects are about to be written: a run that fails leaves none for good."""
    database = Database(config.direct_url, size=1, prepare=False)
    try:
        with database.write() as tx:
            file.announce(tx, [one.picture.hash for one in found])
    finally:
        database.close()
