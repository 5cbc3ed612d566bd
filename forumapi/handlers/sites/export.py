"""Export of a whole site, by its owner: begun, followed, downloaded. Wire: docs/api/export.md."""

from __future__ import annotations

import secrets
from email.utils import format_datetime
from typing import Any, ClassVar, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import Conflict, Invalid, NotFound, known
from forumapi.files.storage import MissingError
from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.mail import outbox
from forumapi.models.access import rate_counters
from forumapi.models.access.fresh_sign_in import FreshSignIn
from forumapi.models.access.rate_counters import DAY_S, Limit
from forumapi.models.access.totp import Totp, count_try
from forumapi.models.sites import site_export
from forumapi.models.sites.site_export import DONE, FAILED, SiteExport
from forumapi.request.byte_range import byte_range
from forumapi.request.context import Context
from forumapi.request.handler import ANYTHING, OWNER, needs
from forumapi.request.handler_results import Data, Done, Found, Result, StoredBytes, StreamedBody
from forumapi.wire import json_fragments
from forumapi.wire.body import given
from forumapi.wire.entity_tags import none_match
from forumapi.wire.schemas import sites as schemas
from forumapi.wire.status_and_base_headers import plain_headers

_EXPORT: Final = "/api/v1/site/export"
_ARCHIVE: Final = f"{_EXPORT}/archive"
# Exports of a site within a day.
PER_DAY: Final = Limit("site-export", 5, DAY_S)


class ExportBody(Struct):
    """Body of POST /site/export. `secondFactor`: a code of the app or a recovery code, for owners with a second
    factor.
    """

    secondFactor: str | UnsetType = UNSET


class SiteExportHandler(SiteSettingHandler):
    """The site's latest export, shown only to the owner who began it."""

    serves_held_sites = ("GET", "POST", "DELETE")

    takes_idempotency_key = False
    also_answers: ClassVar = {"POST": (409, 429)}

    @needs(OWNER, answer=schemas.SiteExport)
    def get(self, ctx: Context) -> Result:
        """The export's state and progress; 404 if there is none, or if a former owner began it."""
        return Data(json_fragments.dumps(_document(_own(ctx))))

    @needs(OWNER, body=ExportBody, status=302)
    def post(self, ctx: Context, sent: ExportBody) -> Result:
        """Begin an export in the background, which replaces the export before.

        The request needs a sign-in within the last ten minutes, else 403 with code 26, and a code of the second factor
        of owners who have one, else 400. 409 while an export is under way, 429 after five within a day. The owner gets
        a mail that the export was begun. Answers 302 to the export.
        """
        session = FreshSignIn.find(ctx.reader, ctx.identity)
        session.check()
        database, author = ctx.app.database, ctx.author
        ctx.end_writer()
        # A wrong code counts too.
        if session.has_factor:
            with database.write() as tx:
                count_try(tx, session.user_id)
        with database.write() as tx:
            code = given(sent.secondFactor, "")
            if session.has_factor and not Totp.use_code(tx, session.user_id, code):
                raise Invalid("secondFactor", "is required, and is wrong, used or expired")
            rate_counters.take(tx, PER_DAY, str(ctx.site.id))
            if not SiteExport.insert(tx, author, session.user_id, ctx.identity.token_id):
                raise Conflict("An export of this site is under way")
            site_export.audit(tx, author)
            _notify(ctx, session, tx)
        return Found(_EXPORT)

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Stop the export if it is under way, whichever owner began it, and delete its archive; 200 also if there is
        none.
        """
        SiteExport.delete(ctx.writer, ctx.site.id)
        return Done()


class ExportArchiveHandler(SiteSettingHandler):
    """The archive of the site's latest export, for the owner who began it; it is kept for 24 hours."""

    serves_held_sites = ("GET",)

    is_limited_per_guest = False
    also_answers: ClassVar = {"GET": (416,)}

    @needs(OWNER, media_type=ANYTHING)
    def get(self, ctx: Context) -> Result:
        """The archive, a ZIP file, whole or one range; 404 while the export is not done, 416 for a range beyond the
        end.

        The request needs the session that began the export, or a session of the same owner with a sign-in within the
        last ten minutes, else 403 with code 26.
        """
        found = _own(ctx)
        if found.state != DONE:
            raise NotFound("There is no archive")
        if ctx.identity.token_id != found.token_id:
            FreshSignIn.find(ctx.reader, ctx.identity).check()
        try:
            return _sent(ctx, found)
        except MissingError:
            error = NotFound("There is no archive")
            error.reason = f"the store has no object for the export of site {ctx.site.id}"
            raise error from None


def _own(ctx: Context) -> SiteExport:
    """Return the site's export. Raises NotFound if there is none, or if another user than the caller began it."""
    found = known(SiteExport.find(ctx.reader, ctx.site.id), "export")
    if found.user_id != ctx.identity.user_id:
        raise NotFound("There is no such export")
    return found


def _document(found: SiteExport) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "state": found.state,
        "created": json_fragments.format_time(found.created),
    }
    for name, time in (("started", found.started), ("finished", found.finished)):
        if time is not None:
            shown[name] = json_fragments.format_time(time)
    shown |= {"documents": found.documents, "total": found.total}
    if found.state == FAILED:
        shown["reason"] = found.reason
    if found.state == DONE and found.expires is not None:
        shown |= {
            "archive": _ARCHIVE,
            "expires": json_fragments.format_time(found.expires),
            "size": found.size,
            "sha256": found.sha256,
            "hash": found.hash,
        }
    return shown


def _notify(ctx: Context, session: FreshSignIn, tx: Any) -> None:
    if not outbox.is_possible(ctx.app.config):
        return
    title = outbox.plain(ctx.site.title)
    outbox.queue_notice(
        tx,
        "site_export",
        cause=f"site-export:{secrets.token_hex(16)}",
        site_id=ctx.site.id,
        recipient=session.email,
        subject=f"An export of {title} was begun",
        site_title=title,
        ip=ctx.ip,
    )
    tx.after_commit(ctx.app.mail.wake)


def _sent(ctx: Context, found: SiteExport) -> Result:
    """Answer with the archive of `found`, a finished export: 200, 206 for one range, 304 if the client has it. Raises
    RangeNotSatisfiable for a range beyond the end, MissingError if the store has no such archive.

    The client is never redirected to the store's own address, which would serve whoever knows it.
    """
    assert found.finished is not None, "it is done"
    etag = f'"{found.sha256}"'
    modified = format_datetime(found.finished.replace(microsecond=0), usegmt=True)
    name = f"{ctx.site.key}-{found.created:%Y-%m-%d}.zip"
    headers = [
        *plain_headers(),
        ("Content-Type", "application/zip"),
        ("ETag", etag),
        ("Last-Modified", modified),
        ("Accept-Ranges", "bytes"),
        ("Content-Disposition", f'attachment; filename="{name}"'),
        ("Cache-Control", "private, no-store"),
    ]
    environ, size = ctx.environ, found.size
    if none_match(environ.get("HTTP_IF_NONE_MATCH", ""), etag):
        return StoredBytes(304, headers, b"")
    if ctx.is_head:
        return StoredBytes(200, headers, StreamedBody(size, iter(())))
    asked = byte_range(
        environ.get("HTTP_RANGE", ""), environ.get("HTTP_IF_RANGE", ""), size, (etag, modified)
    )
    status, (start, length) = (200, (0, size)) if asked is None else (206, asked)
    if asked is not None:
        headers.append(("Content-Range", f"bytes {start}-{start + length - 1}/{size}"))
    pieces = ctx.app.storage.read(found.object, start, length)
    return StoredBytes(status, headers, StreamedBody(length, pieces))
