"""Updates (notifications) of the caller, and preferences of how each type is sent. Wire: docs/api/updates.md."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import Invalid, NotFound
from forumapi.models.notifications import update_page, update_types
from forumapi.models.notifications.update_options import UpdatePreference
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, Param, needs
from forumapi.request.handler_results import Data, Found, Page, Result
from forumapi.wire import paging
from forumapi.wire.body import given
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import updates_mail_webhooks as schemas

_TYPES: Final = {name: type for type, name in update_types.NAMES.items()}


class PreferenceBody(Struct):
    """Body of PUT for one type of update: whether updates of the type are sent by mail, by SMS and by web push;
    `sendSMS` is only stored: no SMS is sent.
    """

    sendEmail: bool | UnsetType = UNSET
    sendSMS: bool | UnsetType = UNSET
    sendPush: bool | UnsetType = UNSET


class UpdatesHandler(Handler):
    """The caller's updates."""

    allow = "OPTIONS,HEAD,GET"

    @needs(
        LOGIN,
        answer=schemas.Updates,
        paged=True,
        params=(
            Param("unread", bool, "Only updates about something that the caller has not read."),
            Param("byOthers", bool, "No updates about what the caller wrote or began."),
            Param(
                "updateType", str, "Only updates of this type, such as `mentioned`.", tuple(_TYPES)
            ),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """The caller's updates, newest first.

        Of new comments on one followed object only the newest is listed, of new items only those of the last month.
        Replies, mentions and updates about events are limited to the latest 1,000 together, moderators' decisions to
        the latest 1,000 of each type. `unread`: only updates about something that the caller has not read;
        `byOthers`: none about what the caller wrote or began; `updateType`: only updates of this type, 400 for an
        unknown type.
        """
        ctx.check_paging()
        identity, tree, site_id, at = ctx.identity, ctx.tree, ctx.site.id, ctx.paging
        view = tree.view(identity.principal)
        total, entries = update_page.page(
            ctx.reader,
            site_id,
            identity.profile_id,
            ctx.listable.ids,
            identity.ignored_profiles,
            identity.ignored_items,
            at,
            kinds=identity.kinds,
            decisions=update_types.readable_decisions(identity.scopes),
            type=_type(ctx.query.get("updateType", "")),
            unread=bool(ctx.flag("unread")),
            by_others=bool(ctx.flag("byOthers")),
        )
        paging.check(total, at)
        decided = update_page.decided(ctx.reader, site_id, identity.profile_id, entries)

        def build() -> bytes:
            items = update_page.documents(
                ctx.reader, ctx.app.documents, site_id, entries, decided, tree, view
            )
            return ctx.listed("updates", items, total)

        stamp = (
            total,
            [entry.stamp for entry in entries],
            dumps(list(decided.values())),
            ctx.query_string,
            tree.acl_version,
            view.stamp,
        )
        return Page(0, stamp, build)


def _type(name: str) -> int | None:
    """Return the number of the type of update called `name`; None for "". Raises Invalid for an unknown name."""
    if not name:
        return None
    if name not in _TYPES:
        raise Invalid("updateType", f"must be one of: {', '.join(_TYPES)}")
    return _TYPES[name]


class PreferencesHandler(Handler):
    """The caller's preferences of the ways by which updates are sent, one for each type of update."""

    allow = "OPTIONS,HEAD,GET"

    @needs(LOGIN, answer=list[schemas.UpdatePreference])
    def get(self, ctx: Context) -> Result:
        """The caller's preferences, sorted by the type's number; none for types about moderators' decisions. A
        preference that was never set has its default, which follows from the options of the caller and of the site.
        """
        me = ctx.identity.profile_id
        preferences = UpdatePreference.find_all(ctx.reader, ctx.site.id, me)
        return Data(dumps([preference.document(me) for preference in preferences]))


class PreferenceHandler(Handler):
    """The caller's preference of the ways by which one type of update is sent; 404 for an unknown type, and for a type
    about moderators' decisions, which has no preference.
    """

    allow = "OPTIONS,HEAD,GET,PUT"

    @needs(LOGIN, answer=schemas.UpdatePreference)
    def get(self, ctx: Context) -> Result:
        """The caller's preference for the type in the address; its default if the caller has set none.

        404 for a type that does not exist, or is about moderators' decisions.
        """
        me = ctx.identity.profile_id
        preference: UpdatePreference | None = None
        if ctx.args["type"] in update_types.NAMES:
            preference = UpdatePreference.find(ctx.reader, ctx.site.id, me, ctx.args["type"])
        if preference is None:
            raise NotFound("There is no such type of update")
        return Data(dumps(preference.document(me)))

    @needs(LOGIN, body=PreferenceBody, status=302)
    def put(self, ctx: Context, sent: PreferenceBody) -> Result:
        """Set the caller's preference for the type in the address; keys that are not sent stay as they are.

        404 for a type that does not exist, or is about moderators' decisions. Answers 302 to the preference.
        """
        is_known = ctx.args["type"] in update_types.NAMES and UpdatePreference.update(
            ctx.writer,
            ctx.author,
            ctx.args["type"],
            send_email=given(sent.sendEmail, None),
            send_sms=given(sent.sendSMS, None),
            send_push=given(sent.sendPush, None),
        )
        if not is_known:
            raise NotFound("There is no such type of update")
        return Found(ctx.path)
