"""Files: upload, and download of originals, thumbnails and generated avatars. Wire: docs/api/files.md."""

from __future__ import annotations

import contextlib
import datetime
import re
import time
from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from forumapi.errors import BAD_IMAGE, SIGN_IN, Forbidden, Invalid, NotFound
from forumapi.files import file_rows, file_types
from forumapi.files.storage import MissingError
from forumapi.files.thumbnails import Box, scratch
from forumapi.models.content import file
from forumapi.models.content.file import File, Quota, StoredFile
from forumapi.models.journal import idempotency
from forumapi.models.people import profile
from forumapi.request import multipart
from forumapi.request.byte_range import byte_range
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, ANYTHING, LOGIN, Handler, Param, needs
from forumapi.request.handler_results import (
    Data,
    Result,
    StoredBytes,
    StreamedBody,
    TemporaryRedirect,
)
from forumapi.request.multipart import Part, UploadLimits
from forumapi.text import avatar
from forumapi.wire import client_address
from forumapi.wire.entity_tags import none_match
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas.content import files as schemas
from forumapi.wire.status_and_base_headers import plain_headers

_HASH: Final = re.compile(r"[0-9a-f]{40}")
# Objects up to this size are cached in the process once they were requested (Services.small_files).
SMALL: Final = 256 * 1024
_NEVER_CHANGED: Final = "Thu, 01 Jan 2026 00:00:00 GMT"  # the time of all generated pictures
# Lifetime of a row of `open_files`.
_OPEN_S: Final = 1.0
_YEAR: Final = datetime.timedelta(days=365)
# A hostile file that is opened by itself is a page without scripts, forms and outer resources (P-58).
_POLICY: Final = "default-src 'none'; sandbox"

_LIMITS: Final = (
    Param("maxWidth", int, "Pictures are made to fit, never enlarged; 0: no limit."),
    Param("maxHeight", int, "The same for the height."),
)


# ---------------------------------------------------------------- upload


class FilesHandler(Handler):
    """Upload of files."""

    receives_files = True

    @contextlib.contextmanager
    def take_files(self, ctx: Context) -> Iterator[None]:
        """Receive the files of the body, check them, and put them into the store; `ctx.body` is then a list of `File`,
        and `ctx.raw_body` what a repeated request must have again: names, hashes, `maxWidth` and `maxHeight`. Their
        rows are inserted inside the block, at whose end the local copies are removed.

        Raises Forbidden for guests; Invalid for a body that is no form, and for a picture that is damaged or none of
        GIF, JPEG, PNG and WebP; TooLarge beyond a limit or quota; PlanLimit beyond the storage of the site's plan.
        """
        if ctx.identity.is_guest:
            raise Forbidden("Sign in to do this", code=SIGN_IN)
        width, height = ctx.number("maxWidth"), ctx.number("maxHeight")
        multipart.boundary(ctx.environ.get("CONTENT_TYPE", ""))
        app, config = ctx.app, ctx.app.config
        _quota(ctx).check(*file.usage(ctx.reader, ctx.site.id, ctx.identity.profile_id))
        ctx.reader.end()
        limits = UploadLimits(config.upload_body_limit, config.file_size_limit)
        with scratch(app.storage) as folder:
            parts = multipart.receive(ctx.environ, folder, limits)
            files = [_examined(ctx, part, folder, width, height) for part in parts]
            # A retry must repeat these; the boundary differs each time.
            sent = [(part.name, part.sha1) for part in parts]
            ctx.raw_body = dumps([sent, width, height])
            if files:
                with app.database.write() as tx:
                    file.announce(tx, [received.hash for received, _ in files])
            for received, path in files:
                app.storage.put(received.hash, path, received.mime_type)
            ctx.body = [received for received, _ in files]
            yield

    @needs(LOGIN, answer=list[schemas.File], params=_LIMITS)
    def post(self, ctx: Context) -> Result:
        """Store the files of a form, and describe each, in the form's order.

        A file with the same bytes as a stored one gets the same hash, and its bytes are not stored a second time. 400
        for a body that is no form, and for a picture that is damaged, has too many pixels, or is none of GIF, JPEG, PNG
        and WebP; 413 beyond a limit or quota; 403 beyond the storage of the site's plan; 503 after too long a wait for
        the processing of a picture.
        """
        quota = _quota(ctx)
        files: list[File] = ctx.body_as(list)
        answer = []
        for received in files:
            created = received.insert(ctx.writer, ctx.site.id, ctx.identity.profile_id, quota)
            answer.append(received.document(created))
        ctx.writer.after_commit(lambda: _queue_thumbnails(ctx, files))
        return Data(dumps(answer))

    def replay(self, ctx: Context, done: idempotency.Finished) -> Result:
        """Answer to a repeated idempotency key by storing the same files again: of their rows only the time of upload
        changes.

        The first answer, a list of files, is not kept: `done` lacks it.
        """
        return self.post(ctx)


def _quota(ctx: Context) -> Quota:
    config, plans, site = ctx.app.config, ctx.app.plans, ctx.site
    return Quota(
        config.file_quota_site_mb,
        config.file_quota_profile_mb,
        lambda size: plans.check_stored(site, size),
    )


def _examined(ctx: Context, part: Part, folder: Path, width: int, height: int) -> tuple[File, Path]:
    """Determine the type of a received file; return its row to be, and the path of the bytes to store: those that were
    received, or new ones in `folder`.

    A picture is made smaller if it exceeds `width` or `height` in pixels (0: no limit), and loses its metadata. Any
    other file, an SVG too, is stored as received. Raises Invalid, code 21, for a picture that is damaged, of too many
    pixels, or in a format that is not accepted (such as HEIC or TIFF), and for a file that its sender calls GIF, JPEG,
    PNG or WebP and that is none; Unavailable after too long a wait for the image worker.
    """
    name = file_types.clean_name(part.name) or "untitled"
    kind = file_types.picture(part.head)
    if kind:
        target = folder / f"{part.path.name}.made"
        made = ctx.app.image_worker.make(
            part.path, target, kind, who=_person(ctx), max_width=width, max_height=height
        )
        return file_rows.picture(made, name, kind), target if made.is_new else part.path
    if file_types.is_untaken(part.head) or file_types.claims_picture(part.declared, part.name):
        raise Invalid("file", "images must be GIF, JPEG, PNG or WebP", code=BAD_IMAGE)
    return file_rows.other(part.sha1, part.size, name, file_types.sniff(part.head)), part.path


def _queue_thumbnails(ctx: Context, files: list[File]) -> None:
    """Queue the making of thumbnails, in all sizes that the installation sets, for the pictures among `files`."""
    kinds = {media_type: kind for kind, media_type in file.PICTURES.items()}
    for uploaded in files:
        if uploaded.mime_type in kinds:
            kind = kinds[uploaded.mime_type]
            ctx.app.thumbnails.later(
                uploaded.hash, kind, uploaded.size, ctx.app.thumbnail_boxes, who=_person(ctx)
            )


def _person(ctx: Context) -> str:
    """Return the key by which work on pictures is shared out: the user's id, or a guest's network."""
    user_id = ctx.identity.user_id
    return str(user_id) if user_id else client_address.network(ctx.ip)


# ---------------------------------------------------------------- download


class Download(NamedTuple):
    """Object of the store that is about to be sent, with the values of its headers.

    `object`: its name in the store. `disposition`: Content-Disposition, "" for none. `modified`: Last-Modified.
    `is_public`: everybody may read it. `kept_until`: Unix time until which a proxy may answer others from its cache
    without asking; 0: it may not.
    """

    object: str
    size: int
    media_type: str
    disposition: str
    modified: str
    is_public: bool
    kept_until: int

    @property
    def etag(self) -> str:
        """Return the entity tag: the object's name in quotes, since the bytes under a name never change."""
        return f'"{self.object}"'


class FileHandler(Handler):
    """One file by its hash, or a generated avatar. An extension in the address is ignored."""

    is_limited_per_guest = False
    also_answers = {"GET": (416,)}

    @needs(
        ANYONE,
        params=(
            Param(
                "maxWidth", int, "With maxHeight: a picture in one of the sizes that are offered."
            ),
            Param("maxHeight", int, "With maxWidth."),
        ),
        media_type=ANYTHING,
    )
    def get(self, ctx: Context) -> Result:
        """The bytes of the file or generated avatar or, with `maxWidth` and `maxHeight`, of its thumbnail in that size,
        whole or one range of them; 404 if there is no such file or the caller may not see it, 400 for a size that is
        not offered, and for any size of a file that is no picture, 416 for a range beyond the end.

        307 where the store serves it at an address of its own.
        """
        hash = str(ctx.args["name"]).partition(".")[0]
        if (profile_id := avatar.profile_of(hash)) is not None:
            return _generated(ctx, profile_id)
        if not _HASH.fullmatch(hash):
            raise _none()
        kept_until = 0
        if _is_keeping(ctx):
            # The site in memory could be a second old. The time is taken before anything is read.
            kept_until = int(time.time())
            ctx.site = ctx.app.sites.renewed(ctx.site, ctx.reader)
        opened = ctx.app.open_files if ctx.identity.is_guest and not kept_until else None
        now = time.monotonic()
        # A redaction of a text with files changes the site's version.
        key = (ctx.site.id, ctx.site.version, hash)
        if opened is not None and (known := opened.get(key)) is not None:
            until, row = known
            if now < until:
                return _sent(ctx, hash, row, is_public=True, kept_until=0)
        stored = file.find(ctx.reader, ctx.site.id, ctx.identity.user_id, hash)
        is_open = stored is not None and stored.is_open(ctx.app.config.file_access)
        is_public = True
        if stored is None or not is_open:
            visible = file.visibility(
                ctx.reader, ctx.site.id, ctx.identity.principal, hash, ctx.tree
            )
            if stored is None or not (visible.caller or stored.is_mine):
                raise _none()
            is_public = visible.everybody
        elif opened is not None:
            opened.add(key, (now + _OPEN_S, stored))
        return _sent(ctx, hash, stored, is_public, kept_until if is_public else 0)


def _generated(ctx: Context, profile_id: int) -> Result:
    """Answer with the generated avatar of the profile `profile_id` of this site, also to callers who may not see the
    profile, in the size that the query asks for, but never larger than it is made.

    Raises Invalid for a size that is not offered, NotFound for an id that no profile of the site has.
    """
    box = Box(ctx.number("maxWidth"), ctx.number("maxHeight"))
    size = avatar.SIZE
    if any(box):
        _check_offered(ctx, box)
        size = min(size, *box)
    if not profile.exists(ctx.reader, ctx.site.id, profile_id):
        raise _none()
    data = avatar.png(profile_id, size)
    download = Download(
        f"profile-{profile_id}-{size}", len(data), "image/png", "", _NEVER_CHANGED, True, 0
    )
    return _answer(ctx, download, data)


def _is_keeping(ctx: Context) -> bool:
    """Return True if a caching proxy (etc/nginx) asks on behalf of a guest, and so may keep the answer for others."""
    return (
        "HTTP_X_FORUMAPI_KEEPS" in ctx.environ
        and ctx.identity.is_guest
        and not ctx.token
        and not ctx.is_head
    )


def _none() -> NotFound:
    return NotFound("There is no such file")


def _sent(ctx: Context, hash: str, stored: StoredFile, is_public: bool, kept_until: int) -> Result:
    try:
        return _answer(ctx, _download(ctx, hash, stored, is_public, kept_until))
    except MissingError:
        error = _none()
        error.reason = f"the store has no object for file {hash}"
        raise error from None


def _download(
    ctx: Context, hash: str, stored: StoredFile, is_public: bool, kept_until: int
) -> Download:
    """Return the file `hash` for sending: the original or, if the query names a size, its thumbnail, made now if there
    is none.

    `stored`: the file's row; `is_public`: everybody may read it; `kept_until`: Unix time until which a proxy may answer
    others without asking, 0: it may not; in the result 0 for files of more than SMALL bytes. Raises Invalid for a size
    that is not offered, or of a file that is no picture.
    """
    name, size = hash, stored.size
    box = Box(ctx.number("maxWidth"), ctx.number("maxHeight"))
    if any(box):
        if stored.mime_type not in file.INLINE:
            raise Invalid("maxWidth", "only images can be resized")
        _check_offered(ctx, box)
        # Making a thumbnail takes a while, during which others may need the connection.
        ctx.reader.end()
        kind = stored.mime_type.partition("/")[2]
        name, size = ctx.app.thumbnails.get(hash, kind, stored.size, box, who=_person(ctx))
    disposition = ""
    if stored.mime_type not in file.INLINE:
        disposition = _attachment(stored.name or f"{hash}.{stored.ext}".rstrip("."))
    modified = format_datetime(stored.created.replace(microsecond=0), usegmt=True)
    if size > SMALL:
        kept_until = 0
    return Download(name, size, stored.mime_type, disposition, modified, is_public, kept_until)


def _check_offered(ctx: Context, box: Box) -> None:
    if box not in ctx.app.thumbnail_boxes:
        sizes = ", ".join(f"{one.width}x{one.height}" for one in ctx.app.thumbnail_boxes)
        raise Invalid("maxWidth", f"and maxHeight must be one of: {sizes}")


def _attachment(name: str) -> str:
    """Return a Content-Disposition header that makes browsers save the file as `name` (RFC 6266), in ASCII and in
    UTF-8.
    """
    plain = re.sub(r"[^ !#-\[\]-~]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _answer(ctx: Context, download: Download, data: bytes | None = None) -> Result:
    """Answer with a download: 200, 206 for one range, 304 if the client has it, or 307 to the store's own address.
    `data`: the download's bytes; None: they are read from the store, or a proxy is told to send them
    (X-Accel-Redirect). Raises RangeNotSatisfiable for a range beyond the end, MissingError if the store has no such
    object.
    """
    headers = _headers(download)
    environ = ctx.environ
    if none_match(environ.get("HTTP_IF_NONE_MATCH", ""), download.etag):
        return StoredBytes(304, headers, b"")
    storage = ctx.app.storage
    if ctx.is_head:
        return StoredBytes(200, headers, StreamedBody(download.size, iter(())))
    if data is None:
        # A proxy that caches the file gets its bytes; any other takes them from the disk itself.
        if not download.kept_until and (internal := storage.internal(download.object)):
            headers.append(("X-Accel-Redirect", internal))
            return StoredBytes(200, headers, b"")
        if address := storage.redirect(download.object, download):
            return TemporaryRedirect(address)
    status, start, length = 200, 0, download.size
    asked = byte_range(
        environ.get("HTTP_RANGE", ""),
        environ.get("HTTP_IF_RANGE", ""),
        download.size,
        (download.etag, download.modified),
    )
    if asked is not None:
        status, (start, length) = 206, asked
        headers.append(("Content-Range", f"bytes {start}-{start + length - 1}/{download.size}"))
    if data is None and download.size > SMALL:
        return StoredBytes(
            status, headers, StreamedBody(length, storage.read(download.object, start, length))
        )
    if data is None:
        data = ctx.app.small_files.get(download.object)
    if data is None:
        data = b"".join(storage.read(download.object, 0, download.size))
        ctx.app.small_files.add(download.object, data)
    return StoredBytes(status, headers, data[start : start + length])


def _headers(download: Download) -> list[tuple[str, str]]:
    headers = [
        *plain_headers("" if download.is_public else "Authorization"),
        ("Content-Type", download.media_type),
        ("ETag", download.etag),
        ("Last-Modified", download.modified),
        ("Accept-Ranges", "bytes"),
        ("Content-Security-Policy", _POLICY),
    ]
    if download.disposition:
        headers.append(("Content-Disposition", download.disposition))
    if download.kept_until:
        headers.append(("X-Accel-Expires", f"@{download.kept_until}"))
    if download.is_public:
        expires = datetime.datetime.now(datetime.UTC) + _YEAR
        headers.append(("Cache-Control", "max-age=31536000, immutable"))
        headers.append(("Expires", format_datetime(expires, usegmt=True)))
    else:
        # Revalidated each time: permission may end.
        headers.append(("Cache-Control", "private, no-cache"))
    return headers
