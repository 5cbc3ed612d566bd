"""Profiles: the people of a site, one of them, one's own options. Wire: docs/api/profiles.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import NO_READ, OUT_OF_RANGE, Forbidden, Invalid, NotFound, NotImplementedHere
from forumapi.models.access import permission_targets
from forumapi.models.content import comment_page
from forumapi.models.content.comment_page import CommentRow, ParentLink
from forumapi.models.journal import journal
from forumapi.models.notices import update_options
from forumapi.models.people import (
    membership,
    profile,
    profile_list,
    read_mark,
)
from forumapi.models.people.profile import Detail, Editable
from forumapi.models.people.profile_list import Filter
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import SITE_OWNER, PermissionSet, Target
from forumapi.request import patch
from forumapi.request.context import Context, Located
from forumapi.request.handler import (
    ANYONE,
    LOGIN,
    OWNER,
    READ,
    UPDATE,
    Handler,
    Param,
    needs,
)
from forumapi.request.response import (
    Data,
    Done,
    Found,
    Page,
    Result,
)
from forumapi.wire import json_fragments, paging, schemas
from forumapi.wire.body import given

MEMBER: Final = "/member"
OPTIONS_PATH: Final = "/api/v1/profiles/options"


class ProfileBody(Struct):
    """What may be changed of a profile; everything else that clients send back is ignored (P-03)."""

    profileName: str | UnsetType = UNSET
    gender: str | UnsetType = UNSET
    visible: bool | UnsetType = UNSET
    styleId: int | UnsetType = UNSET


class OptionsBody(Struct):
    """What may be changed of the options (P-35)."""

    showDOB: bool | UnsetType = UNSET
    showDOBYear: bool | UnsetType = UNSET
    sendEmail: bool | UnsetType = UNSET
    sendSMS: bool | UnsetType = UNSET


# ---------------------------------------------------------------- the list of people


class ProfilesHandler(Handler):
    """The people of the site."""

    allow = "OPTIONS,POST,HEAD,GET"

    def locate(self, ctx: Context) -> Located:
        return Located(Target(itemtypes.PROFILE))

    @needs(
        READ,
        answer=schemas.Profiles,
        paged=True,
        params=(
            Param(
                "q",
                str,
                "The beginning of a name, in any letter case; a leading + or @ is dropped.",
            ),
            Param("top", bool, "Most comments first."),
            Param("following", bool, "Only those the caller watches."),
            Param("online", bool, "Only those active in the last 90 minutes."),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """By name, without those the caller ignores; with `q`, the one of exactly that name comes first."""
        identity, site_id = ctx.identity, ctx.site.id
        wanted = Filter.of(
            ctx.query.get("q", ""),
            top=_lenient(ctx, "top"),
            following=_lenient(ctx, "following"),
            online=_lenient(ctx, "online"),
        )
        found = profile_list.page(
            ctx.reader,
            ctx.app.borders,
            site_id,
            identity.profile_id,
            identity.ignored_profiles,
            wanted,
            ctx.paging,
        )
        paging.check(found.total, ctx.paging)
        flags = profile.relation(found.send_email, found.send_sms)

        def build() -> bytes:
            documents = ctx.app.documents.fetch(
                ctx.reader, site_id, {profile.SUMMARY: found.versions}
            )[profile.SUMMARY]
            entries = [documents[id][0] for id in found.versions if id in documents]
            page = paging.page(
                b"[%b]" % b",".join(entries),
                found.total,
                ctx.paging,
                "/api/v1/profiles",
                ctx.path,
                ctx.query_string,
                ctx.pairs,
            )
            own = paging.href(ctx.path, ctx.pairs, offset=ctx.paging.offset or None)
            meta = {
                "flags": flags,
                "links": [{"rel": "self", "href": own}],
                "permissions": json_fragments.raw(evaluator.as_json(ctx.can)),
            }
            return b'{"profiles":%b,"meta":%b}' % (page, json_fragments.dumps(meta))

        stamp = (found.total, tuple(flags.items()), tuple(found.versions.items()), ctx.can)
        return Page(0, stamp, build)

    @needs(LOGIN, status=302)
    def post(self, ctx: Context) -> Result:
        """Leads to the caller's own profile: it is there since the first request (P-31)."""
        return Found(itemtypes.href(itemtypes.PROFILE, ctx.identity.profile_id))


def _lenient(ctx: Context, name: str) -> bool:
    """A boolean of the query; what can't be read as one is false (platform 4.3)."""
    try:
        return bool(ctx.flag(name))
    except Invalid:
        return False


# ---------------------------------------------------------------- one profile


class LocatedProfile(Located):
    """A profile: as it is shown (GET), or as it may be changed. Both None where there is none of that id."""

    __slots__ = ("detail", "editable")

    detail: Detail | None
    editable: Editable | None


class ProfileHandler(Handler):
    """One profile. On the platform's own host only the profile itself gets at it."""

    allow = "OPTIONS,HEAD,GET,PUT,PATCH,DELETE"
    also_answers = {"DELETE": (501,)}

    def admits_banned(self, ctx: Context) -> bool:
        """On the own profile."""
        return bool(ctx.args["item"].id == ctx.identity.profile_id)

    def locate(self, ctx: Context) -> LocatedProfile:
        """The profile; for a write its row is locked."""
        id = ctx.args["item"].id
        if ctx.site.is_root and id != ctx.identity.profile_id:
            raise Forbidden("Only the profile itself may see this", code=NO_READ)
        detail = editable = None
        if ctx.is_write:
            editable = profile.lock(ctx.writer, ctx.site.id, id)
        else:
            detail = profile.find(ctx.reader, ctx.site.id, id, ctx.identity.profile_id)
        found = detail or editable
        target = Target(itemtypes.PROFILE, id, owner_ids=(id,) if found else ())
        located = LocatedProfile(target, version=found.version if found else 0)
        located.detail, located.editable = detail, editable
        return located

    @needs(READ, answer=schemas.Profile)
    def get(self, ctx: Context) -> Result:
        """The profile; its e-mail address only for itself and the site's owner."""
        detail: Detail | None = ctx.located.detail
        if detail is None:
            raise NotFound("There is no such profile")
        return show(ctx, detail)

    @needs(UPDATE, body=ProfileBody, status=302)
    def put(self, ctx: Context) -> Result:
        """Changes name, gender, visibility and style; what is not sent stays."""
        id = ctx.args["item"].id
        now = _found(ctx)
        sent: ProfileBody = ctx.body
        name = now.name
        if isinstance(sent.profileName, str) and sent.profileName != now.name:
            name = profile.checked_name(sent.profileName, _reserved(ctx, now.name))
        gender = now.gender or ""
        if isinstance(sent.gender, str):
            gender = profile.checked_gender(sent.gender)
        version = profile.update(
            ctx.writer,
            ctx.site.id,
            id,
            name=name,
            is_renamed=name != now.name,
            gender=gender,
            is_visible=given(sent.visible, now.is_visible),
            style_id=given(sent.styleId, now.style_id),
        )
        membership.settle_roles(ctx.writer, ctx.site.id, [id])
        _record(ctx, journal.REPLACED, id, version)
        return Found(itemtypes.href(itemtypes.PROFILE, id))

    @needs(OWNER, body=list[patch.Operation])
    def patch(self, ctx: Context) -> Result:
        """Replaces `/member`; for the owner of the site alone (P-33)."""
        id = ctx.args["item"].id
        changes = patch.changes(ctx.body, {MEMBER})
        _found(ctx)
        version = profile.set_member(ctx.writer, ctx.author, id, changes[-1].value)
        membership.settle_roles(ctx.writer, ctx.site.id, [id])
        _record(ctx, journal.PATCHED, id, version)
        return Done()

    @needs(ANYONE)
    def delete(self, ctx: Context) -> Result:
        """Not implemented: 501 for everybody."""
        raise NotImplementedHere("Profiles can't be deleted")


def _found(ctx: Context) -> Editable:
    editable: Editable | None = ctx.located.editable
    if editable is None:
        raise NotFound("There is no such profile")
    return editable


def _reserved(ctx: Context, current: str) -> set[str]:
    """The names that this profile may not take: the reserved ones, its own excepted."""
    return {name.lower() for name in ctx.app.config.reserved_profile_names} - {current.lower()}


def _record(ctx: Context, kind: str, id: int, version: int) -> None:
    journal.record(
        ctx.writer,
        ctx.site.id,
        kind,
        itemtypes.PROFILE,
        id,
        actor=ctx.identity.profile_id,
        ip=ctx.ip,
        version=version,
    )


def show(ctx: Context, detail: Detail) -> Page:
    """The answer that shows a profile to the caller."""
    is_self = bool(detail.id) and detail.id == ctx.identity.profile_id
    if not ctx.identity.principal.sees_huddles:
        detail = detail._replace(unread_huddles=0)
    is_ignored = detail.id in ctx.identity.ignored_profiles

    def build() -> bytes:
        return _document(ctx, detail, _bios(ctx, [detail]).get(detail.id, b"null"), ctx.can)

    return Page(detail.version, (detail.stamp, is_self, is_ignored, ctx.can), build)


def shown(ctx: Context, ids: Sequence[int]) -> list[bytes]:
    """The profile objects of several profiles as the caller sees them, in this order; unknown ids are left out."""
    found = profile.find_many(ctx.reader, ctx.site.id, ids, ctx.identity.profile_id)
    details = [found[id] for id in ids if id in found]
    bios = _bios(ctx, details)
    documents = []
    for detail in details:
        target = Target(itemtypes.PROFILE, detail.id, owner_ids=(detail.id,))
        can = evaluator.effective(ctx.identity.principal, target, ctx.tree)
        documents.append(_document(ctx, detail, bios.get(detail.id, b"null"), can))
    return documents


def _document(ctx: Context, detail: Detail, bio: bytes, can: PermissionSet) -> bytes:
    is_self = detail.id == ctx.identity.profile_id
    return profile.detail_document(
        ctx.site.id,
        detail,
        bio,
        evaluator.as_json(can),
        is_self=is_self,
        is_ignored=detail.id in ctx.identity.ignored_profiles,
        sees_private=is_self or bool(can & SITE_OWNER),
    )


def _bios(ctx: Context, details: Sequence[Detail]) -> dict[int, bytes]:
    """The newest live comment on each profile as a comment summary, by the profile's id; none without one."""
    stubs = {detail.id: CommentRow(*detail.bio) for detail in details if detail.bio[0]}
    if not stubs:
        return {}
    found = ctx.app.documents.fetch(
        ctx.reader,
        ctx.site.id,
        {
            comment_page.SUMMARY: {stub.id: stub.version for stub in stubs.values()},
            profile.SUMMARY: comment_page.profiles_of(list(stubs.values())),
        },
    )
    people, texts = found[profile.SUMMARY], found[comment_page.SUMMARY]
    made = {}
    for detail in details:
        stub = stubs.get(detail.id)
        if stub and stub.id in texts and {stub.author_id, stub.editor_id} <= people.keys():
            links = comment_page.parent_links(ParentLink(itemtypes.PROFILE, detail.id, detail.name))
            made[detail.id] = comment_page.summary(
                texts[stub.id], stub, people, links, stub.is_unread
            )
    return made


# ---------------------------------------------------------------- one's own options


class ProfileOptionsHandler(Handler):
    """The caller's own options."""

    allow = "OPTIONS,HEAD,GET,PUT"

    @needs(LOGIN, answer=schemas.ProfileOptions)
    def get(self, ctx: Context) -> Result:
        """The master switches of notifications, and what of the birthday is shown."""
        me = ctx.identity.profile_id
        options = update_options.find(ctx.reader, ctx.site.id, me)
        return Data(json_fragments.dumps(update_options.document(me, options)))

    @needs(LOGIN, body=OptionsBody, status=302)
    def put(self, ctx: Context) -> Result:
        """Stores what is sent and keeps the rest."""
        sent: OptionsBody = ctx.body
        update_options.merge(
            ctx.writer,
            ctx.site.id,
            ctx.identity.profile_id,
            show_dob=_sent(sent.showDOB),
            show_dob_year=_sent(sent.showDOBYear),
            send_email=_sent(sent.sendEmail),
            send_sms=_sent(sent.sendSMS),
        )
        return Found(OPTIONS_PATH)


def _sent(value: bool | UnsetType) -> bool | None:
    return None if isinstance(value, UnsetType) else value


# ---------------------------------------------------------------- what one has read


class ReadBody(Struct):
    """What is read now (discovery 7.2)."""

    itemType: str | UnsetType = UNSET
    itemId: int | UnsetType = UNSET


class ProfileReadHandler(Handler):
    """Marking things read."""

    allow = "OPTIONS,PUT"
    shows_above = False
    required_keys: ClassVar = {"PUT": ("itemType",)}

    @needs(LOGIN, body=ReadBody)
    def put(self, ctx: Context) -> Result:
        """Marks an item, a microcosm with all below it, all huddles (`huddle`, 0) or everything else (`site`) read."""
        _mark(ctx, [_readable(ctx.body)])
        return Done()


class ProfileReadBatchHandler(Handler):
    """Marking several things read: all of them or none."""

    allow = "OPTIONS,PUT"
    shows_above = False

    @needs(LOGIN, body=list[ReadBody])
    def put(self, ctx: Context) -> Result:
        """Marks up to 100 things read."""
        sent: list[ReadBody] = ctx.body
        if not 1 <= len(sent) <= read_mark.MOST_AT_ONCE:
            text = f"must name 1 to {read_mark.MOST_AT_ONCE} things"
            raise Invalid("body", text, code=OUT_OF_RANGE)
        _mark(ctx, [_readable(one, f"body[{number}].") for number, one in enumerate(sent)], "body")
        return Done()


def _mark(ctx: Context, things: list[tuple[int, int]], place: str = "") -> None:
    """Mark things read that the caller may read. Raises NotFound for anything else (R-03)."""
    tx, site_id, principal = ctx.writer, ctx.site.id, ctx.identity.principal
    if not principal.sees_huddles:
        things = [one for one in things if one != (itemtypes.HUDDLE, 0)]
    own = [
        one if one[1] else (itemtypes.SITE, site_id) for one in things
    ]  # what has no id is one's own
    permission_targets.check_readable(tx, site_id, principal, ctx.tree, own, "mark", place=place)
    read_mark.mark(tx, site_id, ctx.tree, principal.profile_id, things)


def _readable(sent: ReadBody, place: str = "") -> tuple[int, int]:
    """Type and id of what is to be marked. Raises Invalid."""
    name = sent.itemType.lower() if isinstance(sent.itemType, str) else ""
    kind = itemtypes.BY_NAME.get(name)
    if kind is None or kind.id not in read_mark.MARKABLE:
        names = ", ".join(sorted(itemtypes.name_of(one) for one in read_mark.MARKABLE))
        raise Invalid(f"{place}itemType", f"must be one of: {names}")
    if kind.id == itemtypes.SITE:
        return kind.id, 0
    if not isinstance(sent.itemId, int):
        raise Invalid(f"{place}itemId", "is required")
    if sent.itemId < (0 if kind.id == itemtypes.HUDDLE else 1):
        raise Invalid(f"{place}itemId", "must be the id of an item", code=OUT_OF_RANGE)
    return kind.id, sent.itemId
