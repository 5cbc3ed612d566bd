"""Attributes: keys with values, of a site, microcosm, item, comment or profile. Wire: docs/api/attributes.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import NO_UPDATE, OUT_OF_RANGE, Forbidden, Invalid, NotFound
from forumapi.handlers.content import carrier_lookup
from forumapi.models.content import attribute
from forumapi.models.content.attribute import Attributes
from forumapi.models.roles import role_recomputation
from forumapi.permissions.evaluator import SITE_OWNER
from forumapi.request.context import Context, Located
from forumapi.request.handler import READ, REMOVE, UPDATE, Handler, needs
from forumapi.request.handler_results import Done, Found, Page, Result
from forumapi.wire import paging
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas.content import attributes as schemas


class ValueBody(Struct):
    """Value of the attribute whose key is in the address; a key in the body is ignored (C-02). Its JSON type, or a date
    such as 2027-01-31, is the type of the attribute.
    """

    value: str | int | float | bool | UnsetType = UNSET


class AttributeBody(Struct):
    """Attribute in a batch of attributes to store, in place of an attribute with the same key; the attribute gets the
    type of its value, date for a string such as 2027-01-31.
    """

    key: str | UnsetType = UNSET
    value: str | int | float | bool | UnsetType = UNSET


class KeyBody(Struct):
    """Key of an attribute, in a batch of attributes to remove."""

    key: str | UnsetType = UNSET


def _locate(ctx: Context) -> Located:
    named = ctx.args["item"]
    if named.type == itemtypes.SITE and named.id != ctx.site.id:
        raise NotFound("There is no such site here")
    if ctx.is_write and named.type == itemtypes.PROFILE:
        # Criteria, which decide who may write which keys, don't change until this is written.
        role_recomputation.lock_roles_shared(ctx.writer, ctx.site.id)
    return carrier_lookup.find(ctx)


def _attributes(ctx: Context) -> Attributes:
    return Attributes(ctx.site.id, ctx.target)


def _check_keys(ctx: Context, keys: Iterable[str]) -> None:
    """Check that the caller may write the attributes with these keys on the carrier in the address.

    Raises Forbidden on a profile, unless the caller is the site's owner, for the key `is_member`, for keys that
    criteria of roles test, and for keys that the owner wrote there (P-34).
    """
    if ctx.args["item"].type != itemtypes.PROFILE or ctx.can & SITE_OWNER:
        return
    key = _attributes(ctx).granted_key(ctx.reader, keys)
    if key is not None:
        raise Forbidden(f"Only the owner of this site may write {key}", code=NO_UPDATE)


def _save(ctx: Context, values: dict[str, attribute.Value]) -> None:
    attributes, most = _attributes(ctx), ctx.app.config.max_attributes_per_thing
    is_profile = attributes.carrier.item_type == itemtypes.PROFILE
    grants = is_profile and bool(ctx.can & SITE_OWNER)
    attributes.update(ctx.writer, ctx.author, values, most, grants=grants)


def _check_batch(entries: list[AttributeBody] | list[KeyBody]) -> None:
    if len(entries) > attribute.MAX_BATCH:
        rule = f"may have at most {attribute.MAX_BATCH} entries"
        raise Invalid("", f"A batch {rule}", code=OUT_OF_RANGE)


class AttributesHandler(Handler):
    """All attributes of a site, microcosm, item, comment or profile."""

    def locate(self, ctx: Context) -> Located:
        return _locate(ctx)

    @needs(READ, answer=schemas.Attributes, paged=True)
    def get(self, ctx: Context) -> Result:
        """The attributes of the object in the address, sorted by key."""
        carrier_lookup.check(ctx)
        at = ctx.paging
        found = _attributes(ctx).page(ctx.reader, at)
        paging.check(found.total, at)

        def build() -> bytes:
            items = dumps([attribute.document(row) for row in found.rows])
            base = ctx.path.rsplit("/", 2)[0]
            return b'{"attributes":%b}' % ctx.page(items, found.total, f"{base}/0/attributes")

        return Page(0, (tuple(found), ctx.path, ctx.query_string), build)

    @needs(UPDATE, body=list[AttributeBody])
    def put(self, ctx: Context, sent: list[AttributeBody]) -> Result:
        """Store the sent attributes, all or none; attributes with other keys stay.

        If a key is sent twice, its last value is stored. 400 for more than 100 at once, and if the object then had more
        attributes than this installation allows. 403 for keys of a profile that the site's owner alone may write.
        Answers 200 with `data` null.
        """
        carrier_lookup.check(ctx)
        _check_batch(sent)
        values = {
            attribute.checked_key(_sent(entry.key), f"[{index}].key"): attribute.checked_value(
                _sent(entry.value), f"[{index}].value"
            )
            for index, entry in enumerate(sent)
        }
        _check_keys(ctx, values)
        if values:
            _save(ctx, values)
        return Done()

    @needs(REMOVE, body=list[KeyBody])
    def delete(self, ctx: Context, sent: list[KeyBody]) -> Result:
        """Remove the attributes with the sent keys; keys that are not there are skipped.

        400 for more than 100 keys. 403 for keys of a profile that the site's owner alone may write. An object that is
        hidden from the caller is left as it is: 200.
        """
        carrier_lookup.check(ctx)
        _check_batch(sent)
        keys = {
            attribute.checked_key(_sent(entry.key), f"[{index}].key")
            for index, entry in enumerate(sent)
        }
        _check_keys(ctx, keys)
        _attributes(ctx).delete(ctx.writer, ctx.author, keys)
        return Done()


class AttributeHandler(Handler):
    """One attribute of a site, microcosm, item, comment or profile."""

    required_keys: ClassVar = {"PUT": ("value",)}

    def locate(self, ctx: Context) -> Located:
        return _locate(ctx)

    @needs(READ, answer=schemas.Attribute)
    def get(self, ctx: Context) -> Result:
        """The attribute with the key in the address; 404 if there is none."""
        carrier_lookup.check(ctx)
        row = _attributes(ctx).find(ctx.reader, ctx.args["key"])
        if row is None:
            raise NotFound("There is no attribute of that key")
        return Page(0, row, lambda: dumps(attribute.document(row)))

    @needs(UPDATE, body=ValueBody, status=302)
    def put(self, ctx: Context, sent: ValueBody) -> Result:
        """Store the attribute in place of an attribute with the same key; its type is that of the value sent, date for
        a string such as 2027-01-31.

        400 if the object then had more attributes than this installation allows. 403 for a key of a profile that the
        site's owner alone may write. Answers 302 to the attribute.
        """
        carrier_lookup.check(ctx)
        key = attribute.checked_key(ctx.args["key"], "key")
        value = attribute.checked_value(_sent(sent.value), "value")
        _check_keys(ctx, [key])
        _save(ctx, {key: value})
        return Found(ctx.path)

    @needs(REMOVE)
    def delete(self, ctx: Context) -> Result:
        """Remove the attribute with the key in the address; 200 also if there is none.

        403 for a key of a profile that the site's owner alone may write. An object that is hidden from the caller is
        left as it is: 200.
        """
        carrier_lookup.check(ctx)
        key = ctx.args["key"]
        _check_keys(ctx, [key])
        _attributes(ctx).delete(ctx.writer, ctx.author, [key])
        return Done()


def _sent(value: object) -> object:
    return None if isinstance(value, UnsetType) else value
