"""Attachments: files attached to comments and profiles; a profile's newest attachment is its avatar. Wire:
docs/api/files.md.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import (
    ATTACH_TARGET,
    FILE_UNKNOWN,
    NO_DELETE,
    NO_READ,
    Forbidden,
    Invalid,
    NotFound,
)
from forumapi.files import file_types
from forumapi.handlers.content.carrier_lookup import LocatedCarrier
from forumapi.models.access import permission_target
from forumapi.models.content import attachment, file
from forumapi.models.content.attachment import Attachment
from forumapi.permissions import evaluator
from forumapi.request.context import Context
from forumapi.request.handler import READ, UPDATE, Handler, needs
from forumapi.request.handler_results import Done, Found, Page, Result
from forumapi.wire import json_fragments, paging
from forumapi.wire.body import given
from forumapi.wire.schemas.content import files as schemas

_HASH: Final = re.compile(r"[0-9a-f]{40}")
_UNNAMED: Final = "untitled.unk"


class AttachmentBody(Struct):
    """Body of a new attachment: the hash of an uploaded file, and the name to show for the file, `untitled.unk` when
    absent (content 10.5).
    """

    fileHash: str | UnsetType = UNSET
    fileName: str | UnsetType = UNSET


class CarrierHandler(Handler):
    """Base class of the handlers of attachments, whose address names the comment or profile that carries them."""

    def locate(self, ctx: Context) -> LocatedCarrier:
        """Find the comment or profile in the address; a write locks its row. `place.exists` is False for a missing one.

        A comment that a moderator, a rule or a check hides is not hidden from its author here, so that the author can
        attach files, which come after the text in requests of their own.

        On the platform's host the caller's own profile alone is accepted. Raises Forbidden there for another id.
        """
        item = ctx.args["item"]
        if ctx.site.is_root and item.id != ctx.identity.profile_id:
            raise Forbidden("Only the profile itself may see this", code=NO_READ)
        principal = ctx.identity.principal
        if ctx.is_write:
            permission_target.lock(ctx.writer, ctx.site.id, principal, item.type, item.id)
        place = permission_target.find(
            ctx.reader, ctx.site.id, ctx.tree, principal, item.type, item.id
        )
        is_hidden = place.is_hidden and not place.is_own_held
        located = LocatedCarrier(place.target, is_hidden=is_hidden, version=place.version)
        located.place = place
        return located


def _path(ctx: Context) -> str:
    item = ctx.args["item"]
    return f"{itemtypes.href(item.type, item.id)}/attachments"


class AttachmentsHandler(CarrierHandler):
    """Attachments of a comment or profile."""

    allow = "OPTIONS,POST,HEAD,GET"
    required_keys: ClassVar = {"POST": ("fileHash",)}

    def locate(self, ctx: Context) -> LocatedCarrier:
        """Find the comment or profile in the address; a POST locks its row.

        Raises Invalid, code 23, for a POST to a carrier that does not exist, that the caller may not read, or that is
        hidden from the caller (content 1.2).
        """
        located = super().locate(ctx)
        if ctx.is_write:
            can = evaluator.effective(ctx.identity.principal, located.target, ctx.tree)
            is_seen = not located.is_hidden_from(can)
            if not (located.place.exists and can & evaluator.READ and is_seen):
                raise Invalid("", "The thing to attach to does not exist", code=ATTACH_TARGET)
        return located

    @needs(READ, answer=schemas.Attachments, paged=True)
    def get(self, ctx: Context) -> Result:
        """The attachments of the comment or profile, oldest first.

        404 for a profile that does not exist and for a comment hidden from the caller; 403 for a comment that the
        caller may not read, or that never existed, but for the site's owner 404.
        """
        _required(ctx)
        at = ctx.paging
        attachments = attachment.page(ctx.reader, ctx.site.id, ctx.args["item"], at)
        paging.check(attachments.total, at)

        def build() -> bytes:
            whole = ctx.page(attachments.items(), attachments.total, "attachments")
            own = paging.href(ctx.path, ctx.pairs, offset=at.offset or None)
            meta = {
                "links": [{"rel": "self", "href": own}],
                "permissions": json_fragments.raw(evaluator.as_json(ctx.can)),
            }
            return b'{"attachments":%b,"meta":%b}' % (whole, json_fragments.dumps(meta))

        shown: list[Any] = [
            (*row[:-1], json_fragments.format_time(row[-1])) for row in attachments.rows
        ]
        return Page(0, (attachments.total, shown, tuple(at), ctx.can), build)

    @needs(UPDATE, body=AttachmentBody, status=302)
    def post(self, ctx: Context, sent: AttachmentBody) -> Result:
        """Attach an uploaded file to the comment or profile; on a profile it becomes the avatar.

        Nothing changes if a comment has the file already; on a profile a file that it has already becomes the avatar
        again. 400 for a comment or profile that does not exist, that the caller may not read, or that is hidden from
        the caller, and for a hash of which no file is stored, or of a file that the caller may not see; 403 for callers
        who may not change the comment or profile. Answers 302 to the list of attachments.
        """
        hash = given(sent.fileHash, "")
        if not hash:
            raise Invalid("fileHash", "is required")
        name = file_types.clean_name(given(sent.fileName, "")) or _UNNAMED
        if not _may_use(ctx, hash):
            raise Invalid("fileHash", "no file with this hash was uploaded", code=FILE_UNKNOWN)
        ext = file_types.extension(name)
        Attachment(ctx.target, hash, name, ext).insert(ctx.writer, ctx.author)
        return Found(_path(ctx))


class AttachmentHandler(CarrierHandler):
    """Detaching of one attachment from a comment or profile, by the file's hash. An extension in the address is
    ignored.
    """

    @needs(READ)
    def delete(self, ctx: Context) -> Result:
        """Detach the file: for the site's owner, moderators and the owner of the comment or profile; others get 403.

        403 too for the author of a comment that a moderator, a rule or a check hides: it keeps its files until a
        moderator decides. From a comment that is hidden from the caller for another reason nothing is detached: 200.
        200 also if the file was not attached, but 400 if there is no file of this hash that the caller may see; 400 for
        the last picture of a profile. The file itself stays stored.
        """
        if not ctx.can & evaluator.DETACH:
            raise Forbidden("You may not remove this", code=NO_DELETE)
        if ctx.located_as(LocatedCarrier).place.is_own_held and not ctx.can & evaluator.MODERATOR:
            raise Forbidden("This is hidden, and keeps its files until it is shown", code=NO_DELETE)
        _required(ctx)
        hash = str(ctx.args["name"]).partition(".")[0]
        is_gone = Attachment(ctx.target, hash).delete(ctx.writer, ctx.author)
        if not is_gone and not _may_use(ctx, hash):
            raise Invalid("hash", "no file with this hash was uploaded", code=FILE_UNKNOWN)
        return Done()


def _required(ctx: Context) -> None:
    if not ctx.located_as(LocatedCarrier).place.exists:
        raise NotFound("There is no such comment or profile")


def _may_use(ctx: Context, hash: str) -> bool:
    """Return True if the file `hash` is stored and the caller may see it, and so may attach it."""
    if not _HASH.fullmatch(hash):
        return False
    tx, site, principal = ctx.reader, ctx.site, ctx.identity.principal
    stored = file.find(tx, site.id, principal.user_id, hash)
    if stored is not None and (stored.is_mine or stored.is_open(ctx.app.config.file_access)):
        return True
    seen = file.visibility(tx, site.id, principal, hash, ctx.tree).caller
    return stored is not None and seen
