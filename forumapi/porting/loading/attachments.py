"""Writing of an import's attachments: files are examined and stored as uploads are, then attached to comments and
profiles.

A file without an attachment is open to everybody who knows its digest, so the row that makes it known to the site comes
with the attachment, and not before.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import msgspec

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.database.connections import Database, Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import ApiError
from forumapi.files import file_rows, file_types
from forumapi.files.images.image_worker_handle import ImageWorker
from forumapi.files.storage import open_storage
from forumapi.files.thumbnails import scratch
from forumapi.models.content import file
from forumapi.models.content.attachment import file_href
from forumapi.models.content.file import File
from forumapi.porting.layout import PortedAssociation, PortedAttachment, PortedProfile, Unreadable
from forumapi.porting.loading import value_cleaning
from forumapi.porting.loading.imported_ids import ImportedThing, Origin, allocate
from forumapi.porting.loading.people import ImportedPeople

Opener = Callable[[PortedAttachment], IO[bytes] | None]

# The row of the content alone: it makes the file known to no site.
KEEP = Query(
    "attachments.keep",
    """
    WITH kept AS (
        INSERT INTO files AS f (file_hash, file_name, file_ext, file_size, mime_type, width, height, is_animated)
        SELECT r.hash, '', r.ext, r.size, r.mime_type, r.width, r.height, r.is_animated
          FROM json_to_recordset(%(rows)s::json)
               AS r (hash text, ext text, size bigint, mime_type text, width integer, height integer,
                     is_animated boolean)
         WHERE %(site_id)s::bigint > 0
         ORDER BY r.hash
            ON CONFLICT (file_hash) DO UPDATE SET file_size = f.file_size
     RETURNING file_hash)
    DELETE FROM file_strays s USING kept WHERE s.file_hash = kept.file_hash""",
)
# One attachment a row; of the same file on the same thing the first counts.
HANG = Query(
    "attachments.hang",
    f"""
    WITH sent AS (
        SELECT r.id, r.type, r.item_id, r.profile_id, r.hash, r.name, r.ext, r.created
          FROM json_to_recordset(%(rows)s::json)
               AS r (id bigint, type smallint, item_id bigint, profile_id bigint, hash text, name text, ext text,
                     created timestamptz)),
    made AS (
        INSERT INTO attachments (site_id, attachment_id, item_type_id, item_id, profile_id, file_hash, file_name,
                                 file_ext, created)
        SELECT %(site_id)s, s.id, s.type, s.item_id, s.profile_id, s.hash, s.name, s.ext, s.created
          FROM sent s
         ORDER BY s.id
            ON CONFLICT (site_id, item_type_id, item_id, file_hash) DO NOTHING
     RETURNING attachment_id, item_type_id, item_id, profile_id, file_hash),
    uploaded AS (
        INSERT INTO file_uploads (site_id, profile_id, file_hash, created, file_name, file_ext)
        SELECT DISTINCT ON (s.profile_id, s.hash) %(site_id)s, s.profile_id, s.hash, s.created, s.name, s.ext
          FROM sent s
            ON CONFLICT (site_id, profile_id, file_hash) DO NOTHING
     RETURNING profile_id, file_hash),
    used AS (
        INSERT INTO file_usage AS t (site_id, profile_id, bytes)
        SELECT %(site_id)s, p.profile_id, sum(f.file_size)
          FROM uploaded u
          JOIN files f ON f.file_hash = u.file_hash
         CROSS JOIN LATERAL unnest(ARRAY[0, u.profile_id]) AS p (profile_id)
         GROUP BY p.profile_id
         ORDER BY p.profile_id
            ON CONFLICT (site_id, profile_id) DO UPDATE SET bytes = t.bytes + EXCLUDED.bytes),
    counted AS (
        UPDATE files f
           SET attach_count = f.attach_count + n.made
          FROM (SELECT made.file_hash, count(*) AS made FROM made GROUP BY made.file_hash ORDER BY made.file_hash) n
         WHERE f.file_hash = n.file_hash)
    UPDATE comments c
       SET attachments = c.attachments + n.made, version = c.version + 1
      FROM (SELECT made.item_id, count(*) AS made FROM made
             WHERE made.item_type_id = {itemtypes.COMMENT} GROUP BY made.item_id) n
     WHERE c.site_id = %(site_id)s AND c.comment_id = n.item_id""",
)
SET_AVATARS = Query(
    "attachments.set_avatars",
    f"""
    UPDATE profiles p
       SET avatar_url = r.url, avatar_id = a.attachment_id, version = p.version + 1
      FROM json_to_recordset(%(rows)s::json) AS r (item_id bigint, hash text, url text)
      JOIN attachments a ON a.site_id = %(site_id)s AND a.item_type_id = {itemtypes.PROFILE} AND a.item_id = r.item_id
                        AND a.file_hash = r.hash
     WHERE p.site_id = %(site_id)s AND p.profile_id = r.item_id""",
)

# Files that imports stored and that no usage counts: the row that counts a file comes with its attachment.
UNCOUNTED = Query(
    "attachments.uncounted",
    f"""
    SELECT coalesce(sum(f.file_size), 0)::bigint
      FROM (SELECT DISTINCT split_part(split_part(i.detail, E'\\n', 1), '.', 1) AS file_hash
              FROM imported_items i
             WHERE i.site_id = %(site_id)s AND i.item_type_id = {itemtypes.ATTACHMENT}) kept
      JOIN files f ON f.file_hash = kept.file_hash
     WHERE NOT EXISTS (SELECT FROM file_uploads u
                        WHERE u.site_id = %(site_id)s AND u.file_hash = kept.file_hash)""",
    unrestricted="added up alone",
)

_AVATAR_URL_MAX: Final = 125
# Prefix of the ids of profiles' pictures among attachments.
AVATAR: Final = "avatar:"
_NO_PLACE: Final = "associations: nothing that it hangs on came"


class StoredAttachment(NamedTuple):
    """Attachment as the source has it, `old`, with its file in the store here, `file`."""

    old: PortedAttachment
    file: File

    @property
    def detail(self) -> str:
        """Text that `imported_items` keeps with the attachment's id: `<hash>.<ext>`, without the dot if there is no
        extension, a line feed, the file's name.
        """
        name = f"{self.file.hash}.{self.file.ext}" if self.file.ext else self.file.hash
        return f"{name}\n{self.file.name}"


class FileRefused(Exception):
    """Refusal of a file that is left out of an import; the message is the reason."""


class FileStore:
    """Store of files for an import: the file store of `config`, to which `put` writes, and a process of its own that
    examines pictures, until `close`.
    """

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._storage = open_storage(config)
        self._limit = config.file_size_limit
        self._images = ImageWorker(
            time_limit_s=config.picture_timeout_s, pixel_limit=config.picture_pixel_limit
        )

    def close(self) -> None:
        """End the process that examines pictures."""
        self._images.close()

    def put(
        self, old: PortedAttachment, source: IO[bytes], room: int | None = None
    ) -> StoredAttachment:
        """Examine the bytes of `source` and put them into the store as the file of `old`, a picture without its
        metadata; a damaged picture is stored as a file that is never shown. Before that, record the file in a
        transaction of its own, so that a job deletes it if no row follows. Return `old` with the file. `room`: bytes
        that the file may take in the store, None for any number. Raises FileRefused for an empty file, or one larger
        than `file_size_limit` or `room`, and StorageError.
        """
        with scratch(self._storage) as folder:
            path = folder / "received"
            sha1 = self._received(source, path)
            examined, kept = self._examined(old, path, sha1, folder)
            if room is not None and examined.size > room:
                raise FileRefused("bytes: the site has no room left for them")
            with self._database.write() as tx:
                file.announce(tx, [examined.hash])
            self._storage.put(examined.hash, kept, examined.mime_type)
        return StoredAttachment(old, examined)

    def _received(self, source: IO[bytes], path: Path) -> str:
        digest = hashlib.sha1(usedforsecurity=False)
        size = 0
        with path.open("wb") as target:
            while piece := source.read(1 << 16):
                size += len(piece)
                if size > self._limit:
                    raise FileRefused(f"bytes: are more than file_size_limit, {self._limit:,}")
                digest.update(piece)
                target.write(piece)
        if not size:
            raise FileRefused("bytes: there are none")
        return digest.hexdigest()

    def _examined(
        self, old: PortedAttachment, path: Path, sha1: str, folder: Path
    ) -> tuple[File, Path]:
        with path.open("rb") as opened:
            head = opened.read(file_types.HEAD)
        size = path.stat().st_size
        name = file_types.clean_name(value_cleaning.plain(old.name)) or "untitled"
        kind = file_types.picture(head)
        if kind:
            target = folder / "made"
            try:
                made = self._images.make(path, target, kind, who="import")
            except ApiError:
                # Nobody could upload it as a picture; as a file it is downloaded and never shown.
                return file_rows.other(sha1, size, name, file_types.UNKNOWN), path
            return file_rows.picture(made, name, kind), target if made.is_new else path
        if file_types.is_untaken(head):
            return file_rows.other(sha1, size, name, file_types.UNKNOWN), path
        return file_rows.other(sha1, size, name, file_types.sniff(head)), path


def opened(attachment: PortedAttachment, opener: Opener) -> IO[bytes]:
    """Open the bytes of an attachment: those of its data URL if it has one, else those that `opener`, called with the
    attachment, returns; the caller closes the file. Raises FileRefused for a malformed data URL, and for a file that is
    missing or can't be opened.
    """
    if attachment.content_url:
        head, comma, data = attachment.content_url.partition(",")
        if not comma or not head.startswith("data:") or not head.endswith(";base64"):
            raise FileRefused("contentUrl: is no base64 data URL")
        try:
            return io.BytesIO(base64.b64decode(data, validate=True))
        except (binascii.Error, ValueError):
            raise FileRefused("contentUrl: is no base64 data URL") from None
    try:
        source = opener(attachment)
    except OSError as error:
        raise FileRefused(f"bytes: {error.strerror or error}") from None
    if source is None:
        raise FileRefused("bytes: the file is lost")
    return source


class AttachmentWriter:
    """Writer of an import's attachments, in two stages: `store` before the texts that show the files, `hang` after all
    comments.
    """

    def __init__(
        self,
        origin: Origin,
        people: ImportedPeople,
        store: FileStore,
        opener: Opener,
        room: int | None = None,
    ) -> None:
        """Prepare the writer. `origin`: the import; `people`: its profiles; `store`: where the files go; `opener`:
        function that opens an attachment's bytes in the source, and returns None for a lost file; `room`: bytes that
        all files of this run may take, None for any number.
        """
        self._room = room
        self._origin = origin
        self._people = people
        self._store = store
        self._opener = opener

    def store(self, tx: Transaction, attachments: Sequence[PortedAttachment]) -> list[Unreadable]:
        """Store the files of the attachments that no earlier run has stored, and insert the attachments' ids into
        `imported_items`; they are attached to nothing yet. Return the attachments left out, with reasons. One that is
        attached neither to a comment or message, which may come yet, nor to a profile that came is left out too. Raises
        StorageError.
        """
        origin = self._origin
        profiles = {
            ("profile", on.on_id)
            for one in attachments
            for on in one.associations
            if on.on_type == "profile"
        }
        found = origin.find_items(tx, [*(("attachment", one.id) for one in attachments), *profiles])
        left: list[Unreadable] = []
        stored: dict[str, StoredAttachment] = {}
        for one in attachments:
            if ("attachment", one.id) in found or one.id in stored:
                continue
            try:
                if not _may_hang(one, found):
                    raise FileRefused(_NO_PLACE)
                with contextlib.closing(opened(one, self._opener)) as source:
                    made = self._store.put(one, source, self._room)
                if self._room is not None:
                    self._room -= made.file.size
                stored[one.id] = made
            except FileRefused as error:
                left.append(Unreadable(kind="attachment", id=one.id, reason=str(error)))
        rows = {
            one.file.hash: {
                "hash": one.file.hash,
                "ext": one.file.ext,
                "size": one.file.size,
                "mime_type": one.file.mime_type,
                "width": one.file.width,
                "height": one.file.height,
                "is_animated": one.file.is_animated,
            }
            for one in stored.values()
        }
        origin.run(tx, KEEP, list(rows.values()))
        ids = allocate(tx, "attachments_attachment_id_seq", len(stored))
        origin.remember(
            tx,
            [
                (itemtypes.ATTACHMENT, one.old.id, id, one.detail)
                for one, id in zip(stored.values(), ids, strict=True)
            ],
        )
        return left

    def hang(self, tx: Transaction, attachments: Sequence[PortedAttachment]) -> list[Unreadable]:
        """Attach stored files to their comments, messages and profiles, unless they are attached already; to a profile
        as its avatar. Attachments whose file is not stored are skipped. Return as left out, with reasons, the stored
        attachments none of whose comments, messages and profiles came.
        """
        origin = self._origin
        wanted = [("attachment", one.id) for one in attachments]
        for one in attachments:
            for on in one.associations:
                wanted.append((on.on_type, on.on_id))
        found = origin.find_items(tx, wanted)
        self._people.ensure_authors(tx, ((one.author, one.author_name) for one in attachments))
        now = datetime.datetime.now(datetime.UTC)
        left: list[Unreadable] = []
        all: list[tuple[tuple[object, ...], dict[str, Any]]] = []
        for one in attachments:
            stored = found.get(("attachment", one.id))
            if stored is None:
                continue
            holders = holders_of(one, found)
            if not holders:
                left.append(Unreadable(kind="attachment", id=one.id, reason=_NO_PLACE))
            name, _, shown = stored.detail.partition("\n")
            hash, _, ext = name.partition(".")
            more = allocate(tx, "attachments_attachment_id_seq", max(0, len(holders) - 1))
            for (kind, holder), id in zip(holders, [stored.id, *more], strict=False):
                row = {
                    "id": id,
                    "type": kind,
                    "item_id": holder,
                    "profile_id": self._people.author(one.author, one.author_name),
                    "hash": hash,
                    "name": shown,
                    "ext": ext,
                    "created": value_cleaning.time(one.date_created, now),
                }
                all.append((("file", one.id, kind, holder), row))
        rows = origin.unwritten(tx, all)
        origin.run(tx, HANG, rows)
        origin.run(
            tx,
            SET_AVATARS,
            [
                {"item_id": row["item_id"], "hash": row["hash"], "url": url}
                for row in rows
                if row["type"] == itemtypes.PROFILE
                and len(url := file_href(row["hash"], row["ext"])) <= _AVATAR_URL_MAX
            ],
        )
        return left


def uncounted(tx: Reader, site_id: int) -> int:
    """Return how many bytes the files have that imports stored for the site and that its usage does not count, since
    they hang on nothing.
    """
    return int(tx.value(UNCOUNTED, site_id=site_id))


def _may_hang(one: PortedAttachment, found: Mapping[tuple[str, str], ImportedThing]) -> bool:
    """Return True if a file is attached to a comment or message, which may come yet, or to a profile that came.
    `found`: imported things by kind and old id.
    """
    return any(
        on.on_type in ("comment", "message")
        or (on.on_type == "profile" and ("profile", on.on_id) in found)
        for on in one.associations
    )


def holders_of(
    one: PortedAttachment, found: Mapping[tuple[str, str], ImportedThing]
) -> list[tuple[int, int]]:
    """Return item type and id of the comments and profiles here that a file is to be attached to, each once, in the
    order of the file's `associations`; things that were not imported are left out. `found`: imported things by kind and
    old id.
    """
    holders: dict[tuple[int, int], None] = {}
    for on in one.associations:
        thing = found.get((on.on_type, on.on_id))
        if thing is None:
            continue
        if on.on_type == "comment":
            holders[itemtypes.COMMENT, thing.id] = None
        elif on.on_type == "message" and thing.detail.isdigit():
            holders[itemtypes.COMMENT, int(thing.detail)] = None
        elif on.on_type == "profile":
            holders[itemtypes.PROFILE, thing.id] = None
    return list(holders)


def avatar(profile: PortedProfile) -> PortedAttachment | None:
    """Return a profile's avatar as an attachment to the profile, with the id `avatar:<profile's id>`; None without an
    avatar.
    """
    if profile.avatar is None:
        return None
    return msgspec.structs.replace(
        profile.avatar,
        id=f"{AVATAR}{profile.id}",
        author=profile.id,
        associations=(PortedAssociation(on_type="profile", on_id=profile.id),),
    )
