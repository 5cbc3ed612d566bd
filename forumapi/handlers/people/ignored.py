"""What the caller does not want to see. Wire: docs/api/ignored.md."""

from __future__ import annotations

from typing import ClassVar

from forumapi import itemtypes
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.models.people import ignore
from forumapi.models.people.ignore import Named
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, needs
from forumapi.request.response import Done, Page, Result
from forumapi.wire import json_fragments, paging, schemas
from forumapi.wire.body import UNSET, Body, UnsetType

PATH = "/api/v1/ignored"


class IgnoreBody(Body):
    """A thing to ignore, or to ignore no more."""

    itemType: str | UnsetType = UNSET
    itemId: int | UnsetType = UNSET


def _named(sent: IgnoreBody, place: str = "") -> Named:
    """The thing that is named. Raises Invalid: 400 for a type that can't be ignored (I-01) and for no id."""
    name = sent.itemType.lower() if isinstance(sent.itemType, str) else ""
    kind = itemtypes.BY_NAME.get(name)
    if kind is None or kind.id not in ignore.IGNORABLE:
        names = ", ".join(sorted(itemtypes.name_of(id) for id in ignore.IGNORABLE))
        raise Invalid(f"{place}itemType", f"must be one of: {names}")
    if not isinstance(sent.itemId, int) or sent.itemId < 1:
        raise Invalid(f"{place}itemId", "must be the id of an item", code=OUT_OF_RANGE)
    return Named(kind.id, sent.itemId)


class IgnoredHandler(Handler):
    """What the caller ignores; nobody else can see it."""

    allow = "OPTIONS,HEAD,GET,PUT,DELETE"
    required_keys: ClassVar = {"PUT": ("itemType", "itemId"), "DELETE": ("itemType", "itemId")}

    @needs(LOGIN, answer=schemas.Ignored, paged=True)
    def get(self, ctx: Context) -> Result:
        """By type, then title; what is gone or can't be read any more is left out."""
        site_id, tree, at = ctx.site.id, ctx.tree, ctx.paging
        view = tree.view(ctx.identity.principal)
        me, kinds = ctx.identity.profile_id, ctx.identity.kinds
        found = ignore.page(ctx.reader, site_id, me, tree, view, kinds, at)
        paging.check(found.total, at)

        def build() -> bytes:
            documents = ctx.app.documents.fetch(ctx.reader, site_id, found.wanted)
            entries = ignore.entries(found, documents, tree, view, site_id)
            page = paging.page(
                entries, found.total, at, PATH, ctx.path, ctx.query_string, ctx.pairs
            )
            own = paging.href(ctx.path, ctx.pairs, offset=at.offset or None)
            meta = json_fragments.dumps({"links": [{"rel": "self", "href": own}]})
            return b'{"ignored":%b,"meta":%b}' % (page, meta)

        stamp = (found.stamp, ctx.query_string, tree.acl_version, view.stamp)
        return Page(0, stamp, build)

    @needs(LOGIN, body=IgnoreBody)
    def put(self, ctx: Context) -> Result:
        """Ignores a thing that the caller may read; once more is fine."""
        ignore.add(ctx.writer, ctx.site.id, ctx.identity.principal, ctx.tree, [_named(ctx.body)])
        return Done()

    @needs(LOGIN, body=IgnoreBody)
    def delete(self, ctx: Context) -> Result:
        """Ends ignoring a thing; one that is not ignored is fine."""
        ignore.remove(ctx.writer, ctx.site.id, ctx.identity.profile_id, [_named(ctx.body)])
        return Done()


class IgnoredBatchHandler(Handler):
    """Several things at once: all of them or none."""

    allow = "OPTIONS,PUT,DELETE"

    @needs(LOGIN, body=list[IgnoreBody])
    def put(self, ctx: Context) -> Result:
        """Ignores up to 100 things that the caller may read."""
        things = _several(ctx)
        ignore.add(ctx.writer, ctx.site.id, ctx.identity.principal, ctx.tree, things, place="body")
        return Done()

    @needs(LOGIN, body=list[IgnoreBody])
    def delete(self, ctx: Context) -> Result:
        """Ends ignoring up to 100 things."""
        ignore.remove(ctx.writer, ctx.site.id, ctx.identity.profile_id, _several(ctx))
        return Done()


def _several(ctx: Context) -> list[Named]:
    sent: list[IgnoreBody] = ctx.body
    if not 1 <= len(sent) <= ignore.MOST_AT_ONCE:
        raise Invalid("body", f"must name 1 to {ignore.MOST_AT_ONCE} things", code=OUT_OF_RANGE)
    named = [_named(one, f"body[{number}].") for number, one in enumerate(sent)]
    return list(dict.fromkeys(named))
