"""People, microcosms and items that the caller ignores. Wire: docs/api/ignored.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from forumapi import itemtypes
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.models.access import permission_target_batch
from forumapi.models.people import ignore_page
from forumapi.models.people.ignore import IGNORABLE, MOST_AT_ONCE, Ignore
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, needs
from forumapi.request.handler_results import Done, Page, Result
from forumapi.wire import paging
from forumapi.wire.body import UNSET, Body, UnsetType
from forumapi.wire.openapi_enums import closed_types
from forumapi.wire.schemas import watchers_and_ignored as schemas

PATH = "/api/v1/ignored"


class IgnoreBody(Body):
    """Body that names an object to ignore, or to ignore no longer."""

    itemType: Annotated[str, closed_types(IGNORABLE)] | UnsetType = UNSET
    itemId: int | UnsetType = UNSET


def _named(sent: IgnoreBody, place: str = "") -> Ignore:
    """Return the object that a body names. `place`: prefix of the field's name in errors.

    Raises Invalid for a type that can't be ignored (I-01), or a missing or bad id.
    """
    name = sent.itemType.lower() if isinstance(sent.itemType, str) else ""
    kind = itemtypes.BY_NAME.get(name)
    if kind is None or kind.id not in IGNORABLE:
        names = ", ".join(sorted(itemtypes.name_of(id) for id in IGNORABLE))
        raise Invalid(f"{place}itemType", f"must be one of: {names}")
    if not isinstance(sent.itemId, int) or sent.itemId < 1:
        raise Invalid(f"{place}itemId", "must be the id of an item", code=OUT_OF_RANGE)
    return Ignore(kind.id, sent.itemId)


def _insert(ctx: Context, things: Sequence[Ignore], *, place: str = "") -> None:
    """Let the caller ignore all of these objects, or none.

    `place`: name of the list in errors, "" for a single object. Raises NotFound for an object that the caller may not
    read (P-37), Invalid for the caller's own profile, and if the caller would ignore more than `ignore.MOST` objects.
    """
    for number, thing in enumerate(things):
        if thing == (itemtypes.PROFILE, ctx.identity.profile_id):
            field = f"{place}[{number}].itemId" if place else "itemId"
            raise Invalid(field, "is your own profile, which you can't ignore")
    permission_target_batch.check_readable(
        ctx.reader, ctx.site.id, ctx.identity.principal, ctx.tree, things, "ignore", place=place
    )
    Ignore.insert(ctx.writer, ctx.author, things, place=place)


class IgnoredHandler(Handler):
    """The objects that the caller ignores, which nobody else can see."""

    allow = "OPTIONS,HEAD,GET,PUT,DELETE"
    required_keys: ClassVar = {"PUT": ("itemType", "itemId"), "DELETE": ("itemType", "itemId")}

    @needs(LOGIN, answer=schemas.Ignored, paged=True)
    def get(self, ctx: Context) -> Result:
        """The ignored objects, sorted by the number of their type, then by title; without huddles, and without objects
        that were deleted or that the caller may no longer read.
        """
        site_id, tree, at = ctx.site.id, ctx.tree, ctx.paging
        view = tree.view(ctx.identity.principal)
        me, kinds = ctx.identity.profile_id, ctx.identity.kinds
        found = ignore_page.page(ctx.reader, site_id, me, tree, view, kinds, at)
        paging.check(found.total, at)

        def build() -> bytes:
            documents = ctx.app.documents.fetch(ctx.reader, site_id, found.wanted)
            entries = ignore_page.entries(found, documents, tree, view, site_id)
            return ctx.listed("ignored", entries, found.total, PATH)

        stamp = (found.stamp, ctx.query_string, tree.acl_version, view.stamp)
        return Page(0, stamp, build)

    @needs(LOGIN, body=IgnoreBody)
    def put(self, ctx: Context, sent: IgnoreBody) -> Result:
        """Ignore an object; nothing changes if the caller ignores it already. 404 for an object that is hidden or that
        the caller may not read.

        400 for the caller's own profile, and beyond the 1,000 objects that one profile may ignore. Answers 200 with
        `data` null.
        """
        _insert(ctx, [_named(sent)])
        return Done()

    @needs(LOGIN, body=IgnoreBody)
    def delete(self, ctx: Context, sent: IgnoreBody) -> Result:
        """Ignore an object no longer; 200 also if it is not ignored."""
        Ignore.delete(ctx.writer, ctx.author, [_named(sent)])
        return Done()


class IgnoredBatchHandler(Handler):
    """Start and end of ignoring many objects at once: all of a batch or none; 400 for an empty batch, and for more than
    100.
    """

    @needs(LOGIN, body=list[IgnoreBody])
    def put(self, ctx: Context, sent: list[IgnoreBody]) -> Result:
        """Ignore up to 100 objects. None is ignored, and the answer is 404, if the caller may not read one of them, or
        400, if one is the caller's own profile or the caller would ignore more than 1,000.

        Answers 200 with `data` null.
        """
        _insert(ctx, _several(sent), place="body")
        return Done()

    @needs(LOGIN, body=list[IgnoreBody])
    def delete(self, ctx: Context, sent: list[IgnoreBody]) -> Result:
        """Ignore up to 100 objects no longer; those that are not ignored are skipped."""
        Ignore.delete(ctx.writer, ctx.author, _several(sent))
        return Done()


def _several(sent: list[IgnoreBody]) -> list[Ignore]:
    if not 1 <= len(sent) <= MOST_AT_ONCE:
        raise Invalid("body", f"must name 1 to {MOST_AT_ONCE} things", code=OUT_OF_RANGE)
    named = [_named(one, f"body[{number}].") for number, one in enumerate(sent)]
    return list(dict.fromkeys(named))
