"""Watchers: the objects that the caller follows, and how updates about them are sent. Wire: docs/api/watchers.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Final, TypeVar

from forumapi import itemtypes
from forumapi.errors import NO_DELETE, OUT_OF_RANGE, Forbidden, Invalid, NotFound
from forumapi.models.access import permission_target, permission_target_batch
from forumapi.models.journal.idempotency import Finished
from forumapi.models.notifications import update_types
from forumapi.models.notifications.watcher import (
    ALL_PEOPLE,
    MOST_AT_ONCE,
    WATCHABLE,
    WatchedThing,
    Watcher,
    WatcherChange,
)
from forumapi.models.notifications.watcher_page import WatcherPage
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import DELETE
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, Param, needs
from forumapi.request.handler_results import Data, Done, Page, Result
from forumapi.wire import json_fragments, paging
from forumapi.wire.body import UNSET, Body, UnsetType, parse
from forumapi.wire.openapi_enums import closed_types, type_names
from forumapi.wire.schemas import watchers_and_ignored as schemas

PATH: Final = "/api/v1/watchers"

T = TypeVar("T")


class WatchBody(Body):
    """Body that names an object to follow by type and id; the type `profile` with the id 0 is all new people.

    `updateTypeId`: type of update whose preference decides whether mail is sent about the object; by default the type
    that fits the object.
    """

    itemType: Annotated[str, closed_types(WATCHABLE)] | UnsetType = UNSET
    itemId: int | UnsetType = UNSET
    updateTypeId: int | UnsetType = UNSET


class SendingBody(Body):
    """Body that names a followed object, and sets whether updates about it are sent by mail and by SMS, which is only
    stored: no SMS is sent; keys that are absent stay. At an address that names the watcher, the object may be absent.
    """

    itemType: Annotated[str, closed_types(WATCHABLE)] | UnsetType = UNSET
    itemId: int | UnsetType = UNSET
    sendEmail: bool | UnsetType = UNSET
    sendSMS: bool | UnsetType = UNSET


class WatchedBody(Body):
    """Body that names a followed object by type and id; the type `profile` with the id 0 is all new people."""

    itemType: Annotated[str, closed_types(WATCHABLE)] | UnsetType = UNSET
    itemId: int | UnsetType = UNSET


def _named(item_type: str | UnsetType, item_id: int | UnsetType, place: str = "") -> WatchedThing:
    """Return the object that a body or query names by `item_type`, in any letter case, and `item_id`; a profile with
    the id 0 stands for all new people. `place`: prefix of the field's name in errors.

    Raises Invalid for a type that can't be followed (W-02), or a missing or bad id.
    """
    name = item_type.lower() if isinstance(item_type, str) else ""
    kind = itemtypes.BY_NAME.get(name)
    if kind is None or kind.id not in WATCHABLE:
        names = ", ".join(sorted(itemtypes.name_of(id) for id in WATCHABLE))
        raise Invalid(f"{place}itemType", f"must be one of: {names}")
    if not isinstance(item_id, int):
        raise Invalid(f"{place}itemId", "is required")
    if item_id < (0 if kind.id == itemtypes.PROFILE else 1):
        raise Invalid(f"{place}itemId", "must be the id of an item", code=OUT_OF_RANGE)
    return WatchedThing(kind.id, item_id)


def _update_type(sent: WatchBody, thing: WatchedThing, place: str = "") -> int:
    if not isinstance(sent.updateTypeId, int):
        return thing.update_type
    if sent.updateTypeId not in update_types.SEEDING:
        raise Invalid(f"{place}updateTypeId", "must be 1 to 9", code=OUT_OF_RANGE)
    return sent.updateTypeId


def _change(sent: SendingBody, place: str = "") -> WatcherChange:
    thing = _named(sent.itemType, sent.itemId, place)
    return WatcherChange(thing, _sent(sent.sendEmail), _sent(sent.sendSMS))


def _sent(value: bool | UnsetType) -> bool | None:
    return None if isinstance(value, UnsetType) else value


def _several(sent: list[T]) -> list[tuple[T, str]]:
    """Return the entries of a batch, each with the prefix of its fields' names in errors.

    Raises Invalid for an empty batch or one of more than MOST_AT_ONCE.
    """
    if not 1 <= len(sent) <= MOST_AT_ONCE:
        text = f"must name 1 to {MOST_AT_ONCE} things"
        raise Invalid("body", text, code=OUT_OF_RANGE)
    return [(entry, f"body[{number}].") for number, entry in enumerate(sent)]


def _follow(
    ctx: Context, things: Sequence[WatchedThing], seeds: Sequence[int], place: str = ""
) -> None:
    """Insert the caller's watchers of `things`; those that are followed already stay as they are.

    `seeds`: for each of `things`, in the same order, the number of the type of update whose preference decides on mail.
    `place`: name of the list in errors, "" for a single object. Raises NotFound for an object that the caller may not
    read (W-02).
    """
    tx, site_id, principal = ctx.writer, ctx.site.id, ctx.identity.principal
    # All people together are readable to everybody.
    asked = [thing for thing in things if thing.item_id != ALL_PEOPLE]
    permission_target_batch.check_readable(
        tx, site_id, principal, ctx.tree, asked, "follow", place=place
    )
    Watcher.insert(tx, ctx.author, things, seeds)


class WatchersHandler(Handler):
    """The caller's watchers."""

    allow = "OPTIONS,GET,HEAD,PUT,POST"
    required_keys: ClassVar = {
        "POST": ("itemType", "itemId"),
        "PUT": ("itemType", "itemId"),
    }

    @needs(LOGIN, answer=schemas.Watchers, paged=True)
    def get(self, ctx: Context) -> Result:
        """The caller's watchers: first those by which the caller was never notified, then the others, the one with the
        latest notification first.

        Watchers of objects that were deleted or that the caller may no longer read are left out.
        """
        site, tree, at, identity = ctx.site, ctx.tree, ctx.paging, ctx.identity
        view = tree.view(identity.principal)
        found = WatcherPage.read(
            ctx.reader,
            site.id,
            identity.profile_id,
            tree,
            view,
            identity.ignored_microcosms,
            identity.ignored_items,
            identity.ignored_profiles,
            at,
            kinds=identity.kinds,
        )
        paging.check(found.total, at)
        own = (
            site.render()
            if any(entry.item_type == itemtypes.SITE for entry in found.entries)
            else b""
        )

        def build() -> bytes:
            documents = ctx.app.documents.fetch(ctx.reader, site.id, found.wanted)
            entries = found.document(documents, tree, view, site.id, own)
            return ctx.listed("watchers", entries, found.total, PATH)

        stamp = (found.stamp, own, ctx.query_string, tree.acl_version, view.stamp)
        return Page(0, stamp, build)

    @needs(LOGIN, body=WatchBody, answer=bool)
    def post(self, ctx: Context, sent: WatchBody) -> Result:
        """Follow an object; nothing changes if the caller follows it already. The data is true if mail about it is
        sent.

        404 for an object that is hidden or that the caller may not read, 400 for a type that can't be followed.
        """
        thing = _named(sent.itemType, sent.itemId)
        _follow(ctx, [thing], [_update_type(sent, thing)])
        watcher = Watcher.find(ctx.reader, ctx.author, [thing])[thing]
        return Data(json_fragments.dumps(watcher.send_email))

    @needs(LOGIN, body=WatchBody, answer=bool)
    def put(self, ctx: Context, sent: WatchBody) -> Result:
        """Follow an object, as by POST; nothing changes if the caller follows it already. The data is true if mail
        about it is sent.

        404 for an object that is hidden or that the caller may not read, 400 for a type that can't be followed.
        """
        return self.post(ctx, sent)

    def replay(self, ctx: Context, done: Finished) -> Result:
        """Answer to a repeated idempotency key: true if mail is sent about the object now. Writes nothing, so that an
        object unfollowed since stays so; the first answer, `done`, holds no data to repeat.
        """
        sent = parse(ctx.raw_body, ctx.environ.get("CONTENT_TYPE", ""), WatchBody)
        thing = _named(sent.itemType, sent.itemId)
        watcher = Watcher.find(ctx.reader, ctx.author, [thing]).get(thing)
        return Data(json_fragments.dumps(watcher is not None and watcher.send_email))


class WatcherByItemHandler(Handler):
    """Change and deletion of the caller's watcher of an object that type and id name: `/watchers/patch` and
    `/watchers/delete`.
    """

    allow = "OPTIONS,DELETE,PATCH"
    required_keys: ClassVar = {"PATCH": ("itemType", "itemId")}

    @needs(LOGIN, body=SendingBody)
    def patch(self, ctx: Context, sent: SendingBody) -> Result:
        """Set whether updates about the object are sent by mail and SMS; keys that are not sent stay (W-04).

        400 for an object that the caller does not follow.
        """
        Watcher.update(ctx.writer, ctx.author, [_change(sent)])
        return Done()

    @needs(
        LOGIN,
        params=(
            Param("itemType", str, "The type of what is followed.", type_names(WATCHABLE)),
            Param("itemId", int, "Its id; 0 with `profile` is all people."),
        ),
    )
    def delete(self, ctx: Context) -> Result:
        """Unfollow the object that the query names by `itemType` and `itemId`.

        200 also if it is not followed (W-07), 400 for a type that can't be followed, and without an id.
        """
        id = ctx.number("itemId") if ctx.query.get("itemId") else UNSET
        thing = _named(ctx.query.get("itemType", ""), id)
        Watcher.delete(ctx.writer, ctx.author, [thing])
        return Done()


class WatcherHandler(Handler):
    """Change and deletion of one watcher, named by its own id."""

    allow = "OPTIONS,DELETE,PATCH"

    @needs(LOGIN, body=SendingBody)
    def patch(self, ctx: Context, sent: SendingBody) -> Result:
        """Set whether updates about one followed object are sent by mail and SMS; keys that are not sent stay.

        The object is the one that the body names, 400 if the caller does not follow it; if the body names none, the
        object of the caller's watcher with the id in the address, 404 if the caller has no such watcher.
        """
        if isinstance(sent.itemType, str) or isinstance(sent.itemId, int):
            Watcher.update(ctx.writer, ctx.author, [_change(sent)])
            return Done()
        email, sms = _sent(sent.sendEmail), _sent(sent.sendSMS)
        if not Watcher.update_one(ctx.writer, ctx.author, ctx.args["watcher"], email, sms):
            raise NotFound("You have no such watcher")
        return Done()

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Delete the watcher with the id in the address: for its profile, and for the site's owner; others get 403. 404
        if there is no such watcher.
        """
        tx, site_id, id = ctx.writer, ctx.site.id, ctx.args["watcher"]
        principal = ctx.identity.principal
        where = permission_target.find(tx, site_id, ctx.tree, principal, itemtypes.WATCHER, id)
        if not where.exists:
            raise NotFound("There is no such watcher")
        if not evaluator.effective(principal, where.target, ctx.tree) & DELETE:
            raise Forbidden("This watcher is not yours", code=NO_DELETE)
        Watcher.delete_one(tx, site_id, id)
        return Done()


class WatchersBatchHandler(Handler):
    """Many watchers of the caller at once: all of a batch are written or none; 400 for an empty batch, and for more
    than 100.
    """

    @needs(LOGIN, body=list[WatchBody])
    def put(self, ctx: Context, sent: list[WatchBody]) -> Result:
        """Follow up to 100 objects; 404, and none is followed, if the caller may not read one of them.

        Answers 200 with `data` null.
        """
        things, seeds = [], []
        for entry, place in _several(sent):
            thing = _named(entry.itemType, entry.itemId, place)
            things.append(thing)
            seeds.append(_update_type(entry, thing, place))
        _follow(ctx, things, seeds, "body")
        return Done()

    @needs(LOGIN, body=list[SendingBody])
    def patch(self, ctx: Context, sent: list[SendingBody]) -> Result:
        """Set, for up to 100 objects, whether updates about them are sent by mail and SMS.

        Keys that are not sent stay. 400, and nothing changes, if the caller does not follow all of them.
        """
        changes = [_change(entry, place) for entry, place in _several(sent)]
        Watcher.update(ctx.writer, ctx.author, changes, place="body")
        return Done()

    @needs(LOGIN, body=list[WatchedBody])
    def delete(self, ctx: Context, sent: list[WatchedBody]) -> Result:
        """Unfollow up to 100 objects; those that are not followed are skipped."""
        things = [_named(entry.itemType, entry.itemId, place) for entry, place in _several(sent)]
        Watcher.delete(ctx.writer, ctx.author, things)
        return Done()
