"""Pages on which the owner of a site exports all that the export format holds, and downloads the archive."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from forumapi.webclient.api import FORM_REFUSALS, Api, Failure
from forumapi.webclient.handlers.sites.administration import owner
from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Refused, SignInFirst, Visit

_EXPORT: Final = "/site/export"
_ARCHIVE: Final = f"{_EXPORT}/archive"
# Code of a refusal for want of a sign-in within the last minutes (docs/api/README.md, "Errors").
_SIGN_IN_AGAIN: Final = 26
# Bytes that are asked of the API at a time.
PIECE: Final = 8 * 1024 * 1024
_RANGE: Final = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


class ExportView(View):
    """Page of the site's latest export: its state, and buttons to begin and to delete one; for the owner."""

    def get(self, visit: Visit) -> Answer:
        """Show the latest export, if there is one, and the form to begin one. Raises Refused for members who do not own
        the site, SignInFirst for guests and for a sign-in older than 30 minutes.
        """
        owner(visit)
        return self._show(visit)

    def post(self, visit: Visit) -> Answer:
        """Begin an export; with `do` = "delete" delete the latest one with its archive. Lead back to the page; a
        refusal whose status is in FORM_REFUSALS (400, 403 and others) shows it with that status. Raises Refused for
        members who do not own the site, SignInFirst for guests and if the sign-in is older than 30 minutes or than the
        API wants, Failure for other refusals.
        """
        owner(visit)
        try:
            if visit.field("do") == "delete":
                visit.api.delete(_EXPORT)
            else:
                visit.api.post(_EXPORT, {"secondFactor": visit.field("secondFactor")})
        except Failure as failure:
            if failure.code == _SIGN_IN_AGAIN:
                raise SignInFirst(is_stale=True) from None
            if failure.status not in FORM_REFUSALS:
                raise
            return self._show(visit, failure)
        return visit.redirect(visit.path)

    def _show(self, visit: Visit, failure: Failure | None = None) -> Answer:
        return visit.page(
            "admin_export.html",
            status=failure.status if failure else 200,
            failure=failure,
            export=visit.api.find(_EXPORT),
            has_factor=visit.api.get("/auth/totp")["enabled"],
        )


class ExportArchiveView(View):
    """Download of the latest export's archive, a ZIP file; for the owner."""

    def get(self, visit: Visit) -> Answer:
        """Send the archive, or with 206 the range of bytes that the header Range names as `bytes=first-last` or
        `bytes=first-`, read from the API piece by piece. Another form of Range is ignored, and so is the header if
        If-Range is there and not the archive's entity tag. Raises Refused: 403 for members who do not own the site, 404
        without an archive and for one that is replaced meanwhile, 416 for a range that holds none of its bytes;
        SignInFirst for guests and if the sign-in is older than 30 minutes or than the API wants.
        """
        owner(visit)
        found = visit.api.find(_EXPORT)
        if found is None or "archive" not in found:
            raise Refused(404)
        size, etag = found["size"], f'"{found["sha256"]}"'
        first, last, status = 0, size - 1, 200
        asked = _RANGE.fullmatch(visit.environ.get("HTTP_RANGE", ""))
        condition = visit.environ.get("HTTP_IF_RANGE", "")
        if asked is not None and condition in ("", etag):
            first, last = int(asked[1]), min(int(asked[2] or last), last)
            status = 206
            if first > last:
                raise Refused(416)
        pieces = _pieces(visit.api, first, last, etag)
        try:
            begin = next(pieces, None)
        except Failure as failure:
            if failure.code == _SIGN_IN_AGAIN:
                raise SignInFirst(is_stale=True) from None
            raise
        if begin is None:
            raise Refused(404)
        headers = [
            ("Content-Type", "application/zip"),
            ("Content-Length", str(last - first + 1)),
            ("Content-Disposition", f'attachment; filename="export-{found["created"][:10]}.zip"'),
            ("Accept-Ranges", "bytes"),
            ("ETag", etag),
            ("Cache-Control", "private, no-store"),
        ]
        if status == 206:
            headers.append(("Content-Range", f"bytes {first}-{last}/{size}"))
        return Answer(status, headers, b"", _joined(begin, pieces))


def _pieces(api: Api, first: int, last: int, etag: str) -> Iterator[bytes]:
    """Yield the archive's bytes from position `first` to `last`, both included, in pieces of PIECE bytes (8 MiB) at
    most, each read from the API when it is asked for; end early if the archive no longer has this entity tag. Raises
    Failure if the API refuses a piece.
    """
    while first <= last:
        end = min(first + PIECE - 1, last)
        headers = {"Range": f"bytes={first}-{end}", "If-Range": etag}
        document = api.call("GET", _ARCHIVE, headers=headers)
        if document.status != 206:
            return
        yield document.body
        first = end + 1


def _joined(begin: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield begin
    yield from pieces
