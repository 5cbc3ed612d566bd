"""Exports of the caller's personal data on one site, as a file to download. Wire: docs/api/persons.md."""

from __future__ import annotations

from typing import ClassVar, Final

from forumapi import itemtypes
from forumapi.errors import NotFound, known
from forumapi.files.storage import MissingError
from forumapi.handlers.people.erasures import check_own
from forumapi.models.access import rate_counters
from forumapi.models.access.fresh_sign_in import FreshSignIn
from forumapi.models.access.rate_counters import DAY_S, Limit
from forumapi.models.journal import journal
from forumapi.models.privacy.personal_export import READY, PersonalExport
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, ANYTHING, Handler, needs
from forumapi.request.handler_results import Data, Done, Result, StoredBytes, StreamedBody
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import people as schemas
from forumapi.wire.status_and_base_headers import plain_headers

EXPORTS_PER_USER: Final = Limit("personal-export", 5, DAY_S)


class PersonalExportHandler(Handler):
    """The export of the personal data of the profile in the address, which must be the caller's: else 403."""

    takes_idempotency_key = False
    needs_no_consent = ("POST", "DELETE")
    also_answers: ClassVar = {"POST": (429,)}

    def admits_banned(self, ctx: Context) -> bool:
        """Return True for every request: callers who are banned too may have a copy of their data."""
        return True

    @needs(ANYONE, answer=schemas.PersonalExport)
    def get(self, ctx: Context) -> Result:
        """State and progress of the export of the caller's data, and the address of its file once the file is ready;
        404 if there is no export.
        """
        check_own(ctx)
        return _show(ctx)

    @needs(ANYONE, answer=schemas.PersonalExport)
    def post(self, ctx: Context) -> Result:
        """Begin an export of the caller's data in the background, which replaces a finished export; an export that is
        being made goes on. The answer is the export, as by GET.

        The request needs a sign-in within the last ten minutes, else 403 with code 26. 429 after five exports that the
        user has begun within a day, on all sites together.
        """
        check_own(ctx)
        person = FreshSignIn.find(ctx.writer, ctx.identity)
        person.check()
        me = ctx.identity.profile_id
        if PersonalExport.insert(ctx.writer, ctx.site.id, me):
            rate_counters.take(ctx.writer, EXPORTS_PER_USER, str(person.user_id))
            journal.record(ctx.writer, ctx.author, journal.CREATED, itemtypes.AUTH, me)
        return _show(ctx)

    @needs(ANYONE)
    def delete(self, ctx: Context) -> Result:
        """Delete the export of the caller's data and its file, also while it is being made; 404 if there is none."""
        check_own(ctx)
        if not PersonalExport.delete(ctx.writer, ctx.site.id, ctx.identity.profile_id):
            raise NotFound("There is no such export")
        journal.record(
            ctx.writer, ctx.author, journal.DELETED, itemtypes.AUTH, ctx.identity.profile_id
        )
        return Done()


class PersonalExportFileHandler(Handler):
    """The file of the export of the profile in the address, which must be the caller's: else 403."""

    is_limited_per_guest = False

    def admits_banned(self, ctx: Context) -> bool:
        """Return True for every request: callers who are banned too may have a copy of their data."""
        return True

    @needs(ANYONE, media_type=ANYTHING)
    def get(self, ctx: Context) -> Result:
        """The file with the caller's data, a ZIP; 404 until it is ready, and again after a day.

        403 unless the token is a session that is good on all sites.
        """
        check_own(ctx)
        FreshSignIn.find(ctx.reader, ctx.identity)
        found = known(_find(ctx), "export")
        if found.state != READY:
            raise NotFound("There is no such export yet")
        headers = [
            *plain_headers("Authorization"),
            ("Content-Type", "application/zip"),
            ("Content-Disposition", 'attachment; filename="export.zip"'),
            ("Cache-Control", "private, no-store"),
        ]
        if ctx.is_head:
            return StoredBytes(200, headers, StreamedBody(found.bytes, iter(())))
        try:
            pieces = ctx.app.storage.read(found.object, 0, found.bytes)
        except MissingError:
            raise NotFound("There is no such export") from None
        ctx.reader.end()
        return StoredBytes(200, headers, StreamedBody(found.bytes, pieces))


def _find(ctx: Context) -> PersonalExport | None:
    tx = ctx.writer if ctx.is_write else ctx.reader
    return PersonalExport.find(tx, ctx.site.id, ctx.identity.profile_id)


def _show(ctx: Context) -> Result:
    found = known(_find(ctx), "export")
    href = f"{itemtypes.href(itemtypes.PROFILE, ctx.identity.profile_id)}/export"
    return Data(dumps(found.document(href)))
