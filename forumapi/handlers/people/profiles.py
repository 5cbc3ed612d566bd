"""Profiles: their list, one of them, the caller's own options, and read marks. Wire: docs/api/profiles.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import NO_READ, OUT_OF_RANGE, Forbidden, Invalid, known
from forumapi.handlers.people import erasures
from forumapi.models.access import permission_target_batch
from forumapi.models.content import comment_documents
from forumapi.models.content.comment_documents import CommentRow, ParentLink
from forumapi.models.people import profile, profile_list, profile_page, profile_summary, read_mark
from forumapi.models.people.profile import Profile
from forumapi.models.people.profile_list import Filter
from forumapi.models.people.profile_options import ProfileOptions
from forumapi.models.people.profile_page import ProfileDetail
from forumapi.models.people.read_mark import ReadMark
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import SITE_OWNER, PermissionSet, Target
from forumapi.request import patch
from forumapi.request.context import Context, Located
from forumapi.request.handler import ANYONE, LOGIN, OWNER, READ, UPDATE, Handler, Param, needs
from forumapi.request.handler_results import Data, Done, Found, Page, Result
from forumapi.wire import json_fragments, paging
from forumapi.wire.body import given
from forumapi.wire.openapi_enums import closed_types
from forumapi.wire.schemas import people as schemas

MEMBER: Final = "/member"
OPTIONS_PATH: Final = "/api/v1/profiles/options"


class ProfileBody(Struct):
    """Profile as a client sends it: the keys that can be changed; all others are ignored (P-03). `visible`: others find
    the profile by searching; `styleId`: a number that clients set, without effect.
    """

    profileName: str | UnsetType = UNSET
    gender: str | UnsetType = UNSET
    visible: bool | UnsetType = UNSET
    styleId: int | UnsetType = UNSET


class OptionsBody(Struct):
    """Options of the caller as a client sends them; keys that are absent stay (P-35). `sendEmail`: false stops mail
    about updates of every type but statements of reasons and decisions on appeals, with true the preferences of the
    types decide; `sendSMS`, `showDOB` (date of birth), `showDOBYear`: flags of v1, which are only stored.
    """

    showDOB: bool | UnsetType = UNSET
    showDOBYear: bool | UnsetType = UNSET
    sendEmail: bool | UnsetType = UNSET
    sendSMS: bool | UnsetType = UNSET


# ---------------------------------------------------------------- the list of people


class ProfilesHandler(Handler):
    """The site's profiles."""

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
        """The profiles, sorted by name or, with `top`, by number of comments, most first; without profiles that the
        caller ignores, and without the profile named `deleted`, which has the content of removed people.

        `q`: only profiles whose names begin with that text, in any letter case, an equal name first; `following`: only
        those that the caller follows; `online`: only those active within the last 90 minutes. A flag that is no boolean
        counts as false.
        """
        identity, site_id = ctx.identity, ctx.site.id
        wanted = Filter.of(
            ctx.query.get("q", ""),
            top=_lenient(ctx, "top"),
            following=_lenient(ctx, "following"),
            online=_lenient(ctx, "online"),
        )
        found = profile_list.page(
            ctx.reader,
            ctx.app.profile_marks,
            site_id,
            identity.profile_id,
            identity.ignored_profiles,
            wanted,
            ctx.paging,
        )
        paging.check(found.total, ctx.paging)
        flags = profile_summary.relation(found.send_email, found.send_sms)

        def build() -> bytes:
            documents = ctx.app.documents.fetch(
                ctx.reader, site_id, {profile_summary.SUMMARY: found.versions}
            )[profile_summary.SUMMARY]
            entries = [documents[id][0] for id in found.versions if id in documents]
            page = ctx.page(b"[%b]" % b",".join(entries), found.total, "/api/v1/profiles")
            meta = {
                "flags": flags,
                "links": [{"rel": "self", "href": ctx.own_href}],
                "permissions": json_fragments.raw(evaluator.as_json(ctx.can)),
            }
            return b'{"profiles":%b,"meta":%b}' % (page, json_fragments.dumps(meta))

        stamp = (found.total, tuple(flags.items()), tuple(found.versions.items()), ctx.can)
        return Page(0, stamp, build)

    @needs(LOGIN, status=302)
    def post(self, ctx: Context) -> Result:
        """Redirect (302) to the caller's own profile, which exists since the caller's first request (P-31)."""
        return Found(itemtypes.href(itemtypes.PROFILE, ctx.identity.profile_id))


def _lenient(ctx: Context, name: str) -> bool:
    """Return the boolean parameter `name` of the query; False if it is absent or no boolean (platform 4.3)."""
    try:
        return bool(ctx.flag(name))
    except Invalid:
        return False


# ---------------------------------------------------------------- one profile


class LocatedProfile(Located):
    """Profile that the address names: under GET its `detail`, under a write its locked row `profile`; the other is
    None.

    Both are None if there is no such profile.
    """

    __slots__ = ("detail", "profile")

    detail: ProfileDetail | None
    profile: Profile | None


class ProfileHandler(Handler):
    """One profile. On the platform's host people see no profile but their own."""

    allow = "OPTIONS,HEAD,GET,PUT,PATCH,DELETE"
    needs_no_consent = ("DELETE",)
    also_answers: ClassVar = {"DELETE": (409,)}

    def admits_banned(self, ctx: Context) -> bool:
        """Return True if the address names the caller's own profile, which banned callers may read, and whose erasure
        they may request.
        """
        return bool(ctx.args["item"].id == ctx.identity.profile_id)

    def locate(self, ctx: Context) -> LocatedProfile:
        """Find the profile in the address; a write locks its row. A profile that does not exist is located too, as a
        target without owners, with `detail` and `profile` None.

        Raises Forbidden on the platform's host for any profile but the caller's own.
        """
        id = ctx.args["item"].id
        if ctx.site.is_root and id != ctx.identity.profile_id:
            raise Forbidden("Only the profile itself may see this", code=NO_READ)
        detail = locked = None
        if ctx.is_write:
            locked = Profile.lock(ctx.writer, ctx.site.id, id)
        else:
            detail = profile_page.find(ctx.reader, ctx.site.id, id, ctx.identity.profile_id)
        found = detail or locked
        target = Target(itemtypes.PROFILE, id, owner_ids=(id,) if found else ())
        located = LocatedProfile(target, version=found.version if found else 0)
        located.detail, located.profile = detail, locked
        return located

    @needs(READ, answer=schemas.Profile)
    def get(self, ctx: Context) -> Result:
        """The profile; its e-mail address for the profile itself and the site's owner alone. 404 if there is no such
        profile.
        """
        return show(ctx, known(ctx.located_as(LocatedProfile).detail, "profile"))

    @needs(UPDATE, body=ProfileBody, status=302)
    def put(self, ctx: Context, sent: ProfileBody) -> Result:
        """Change the profile's name, gender, visibility and style; keys that are not sent stay as they are.

        For the profile itself and the site's owner. 400 for a value that does not fit, and for a new name that is
        reserved, taken or looks like another profile's name. Answers 302 to the profile.
        """
        now = _locked(ctx)
        name = now.name
        if isinstance(sent.profileName, str) and sent.profileName != now.name:
            name = profile.checked_name(sent.profileName, _reserved(ctx, now.name))
        gender = now.gender or ""
        if isinstance(sent.gender, str):
            gender = profile.checked_gender(sent.gender)
        now.update(
            ctx.writer,
            ctx.author,
            name=name,
            gender=gender,
            is_visible=given(sent.visible, now.is_visible),
            style_id=given(sent.styleId, now.style_id),
        )
        return Found(itemtypes.href(itemtypes.PROFILE, now.id))

    @needs(OWNER, body=list[patch.Operation])
    def patch(self, ctx: Context, sent: list[patch.Operation]) -> Result:
        """Set the flag `/member` of the profile to true or false, which the site's owner alone may (P-33); of several
        operations the last counts.

        By operations `replace` of RFC 6902: 501 for its other operations, 400 for another flag.
        """
        changes = patch.changes(sent, {MEMBER})
        _locked(ctx).set_member(ctx.writer, ctx.author, changes[-1].value)
        return Done()

    @needs(ANYONE, answer=schemas.Erasure, params=erasures.WORDS)
    def delete(self, ctx: Context) -> Result:
        """Request that the caller's own profile be erased in 30 days; until then the request can be withdrawn.

        With `words=remove` what the profile has written is erased too; 400 where the site keeps it. A sign-in within
        the last ten minutes is needed, else 403 with code 26. 409 for the site's owner, 403 for another person's
        profile. The answer is the request.
        """
        return erasures.request(ctx)


def _locked(ctx: Context) -> Profile:
    return known(ctx.located_as(LocatedProfile).profile, "profile")


def _reserved(ctx: Context, current: str) -> set[str]:
    """Return the profile names that the installation reserves (`reserved_profile_names`), in lower case, without
    `current`, the present name of the profile that is renamed, which may stay.
    """
    return {name.lower() for name in ctx.app.config.reserved_profile_names} - {current.lower()}


def show(ctx: Context, detail: ProfileDetail) -> Page:
    """Answer with the profile `detail`; with its private parts, such as the e-mail address, for the profile itself and
    the site's owner alone.
    """
    is_self = bool(detail.id) and detail.id == ctx.identity.profile_id
    if not ctx.identity.principal.sees_huddles:
        detail = detail._replace(unread_huddles=0)
    if ctx.identity.is_of_site:
        # The site's owner can sign in as anybody there, and learns nothing of the account.
        detail = detail._replace(account_erasure_due=None)
    is_ignored = ctx.identity.ignores(itemtypes.PROFILE, detail.id)
    moderates = _moderates(ctx, detail.id)

    def build() -> bytes:
        bio = _bios(ctx, [detail]).get(detail.id, b"null")
        return _document(ctx, detail, bio, ctx.can)

    return Page(detail.version, (detail.stamp, is_self, is_ignored, moderates, ctx.can), build)


def shown(ctx: Context, ids: Sequence[int]) -> list[bytes]:
    """Return profiles as the caller sees them, as JSON, in the order of `ids`; ids without a profile are left out."""
    found = profile_page.find_many(ctx.reader, ctx.site.id, ids, ctx.identity.profile_id)
    details = [found[id] for id in ids if id in found]
    bios = _bios(ctx, details)
    documents = []
    for detail in details:
        target = Target(itemtypes.PROFILE, detail.id, owner_ids=(detail.id,))
        can = evaluator.effective(ctx.identity.principal, target, ctx.tree)
        documents.append(_document(ctx, detail, bios.get(detail.id, b"null"), can))
    return documents


def _moderates(ctx: Context, id: int) -> bool:
    """Return True if the profile `id` is the caller's own and may moderate anything; False on the platform's host."""
    principal = ctx.identity.principal
    if ctx.site.is_root or id != principal.profile_id:
        return False
    return evaluator.moderates(principal, ctx.tree)


def _document(ctx: Context, detail: ProfileDetail, bio: bytes, can: PermissionSet) -> bytes:
    is_self = detail.id == ctx.identity.profile_id
    return profile_page.detail_document(
        ctx.site.id,
        detail,
        bio,
        evaluator.as_json(can),
        is_self=is_self,
        is_ignored=ctx.identity.ignores(itemtypes.PROFILE, detail.id),
        sees_private=is_self or bool(can & SITE_OWNER),
        moderates=_moderates(ctx, detail.id),
    )


def _bios(ctx: Context, details: Sequence[ProfileDetail]) -> dict[int, bytes]:
    """Return, for each profile, the newest comment on it that is not hidden, as JSON, by profile id; profiles without
    such a comment are left out.
    """
    stubs = {detail.id: CommentRow(*detail.bio) for detail in details if detail.bio[0]}
    if not stubs:
        return {}
    found = ctx.app.documents.fetch(
        ctx.reader,
        ctx.site.id,
        {
            comment_documents.SUMMARY: {stub.id: stub.version for stub in stubs.values()},
            profile_summary.SUMMARY: comment_documents.profiles_of(list(stubs.values())),
        },
    )
    people, texts = found[profile_summary.SUMMARY], found[comment_documents.SUMMARY]
    made = {}
    for detail in details:
        stub = stubs.get(detail.id)
        if stub and stub.id in texts and {stub.author_id, stub.editor_id} <= people.keys():
            links = comment_documents.parent_links(
                ParentLink(itemtypes.PROFILE, detail.id, detail.name)
            )
            made[detail.id] = comment_documents.summary(
                texts[stub.id], stub, people, links, stub.is_unread
            )
    return made


# ---------------------------------------------------------------- one's own options


class ProfileOptionsHandler(Handler):
    """The caller's options."""

    allow = "OPTIONS,HEAD,GET,PUT"

    @needs(LOGIN, answer=schemas.ProfileOptions)
    def get(self, ctx: Context) -> Result:
        """The caller's options in force, own ones or defaults: `sendEmail`, of which false stops mail about updates of
        every type but statements of reasons and decisions on appeals, and flags of v1, such as `sendSMS`, on which
        nothing depends.
        """
        me = ctx.identity.profile_id
        options = ProfileOptions.find(ctx.reader, ctx.site.id, me)
        return Data(json_fragments.dumps(options.document(me)))

    @needs(LOGIN, body=OptionsBody, status=302)
    def put(self, ctx: Context, sent: OptionsBody) -> Result:
        """Change the caller's options; keys that are not sent stay. Answers 302 to the options."""
        ProfileOptions.update(
            ctx.writer,
            ctx.author,
            show_dob=_sent(sent.showDOB),
            show_dob_year=_sent(sent.showDOBYear),
            send_email=_sent(sent.sendEmail),
            send_sms=_sent(sent.sendSMS),
        )
        return Found(OPTIONS_PATH)


def _sent(value: bool | UnsetType) -> bool | None:
    return None if isinstance(value, UnsetType) else value


# ---------------------------------------------------------------- read marks


class ReadBody(Struct):
    """Body that names an object to mark as read by type and id (discovery 7.2); `huddle` with the id 0 is all huddles;
    for the type `site`, everything but huddles, `itemId` is ignored.
    """

    itemType: Annotated[str, closed_types(read_mark.MARKABLE)] | UnsetType = UNSET
    itemId: int | UnsetType = UNSET


class ProfileReadHandler(Handler):
    """Setting of the caller's read mark of one object."""

    shows_above = False
    required_keys: ClassVar = {"PUT": ("itemType",)}

    @needs(LOGIN, body=ReadBody)
    def put(self, ctx: Context, sent: ReadBody) -> Result:
        """Mark an object as read up to now: an item, or a microcosm with all below it; 404 for an object that is hidden
        or that the caller may not read.

        `huddle` with the id 0 is all huddles, `site` everything but huddles. Answers 200 with `data` null.
        """
        _mark(ctx, [_readable(sent)])
        return Done()


class ProfileReadBatchHandler(Handler):
    """Setting of the caller's read marks of many objects at once: all of a batch or none; 400 for an empty batch, and
    for more than 100.
    """

    shows_above = False

    @needs(LOGIN, body=list[ReadBody])
    def put(self, ctx: Context, sent: list[ReadBody]) -> Result:
        """Mark up to 100 objects as read; 404, and none is marked, if the caller may not read one of them.

        Answers 200 with `data` null.
        """
        if not 1 <= len(sent) <= read_mark.MOST_AT_ONCE:
            text = f"must name 1 to {read_mark.MOST_AT_ONCE} things"
            raise Invalid("body", text, code=OUT_OF_RANGE)
        _mark(ctx, [_readable(one, f"body[{number}].") for number, one in enumerate(sent)], "body")
        return Done()


def _mark(ctx: Context, things: list[ReadMark], place: str = "") -> None:
    """Mark the objects `things` as read by the caller up to now, all or none. `place`: name of the list in errors, ""
    for a single object.

    Raises NotFound for an object that the caller may not read (R-03). For a token without the scope of huddles the mark
    of all huddles together is left out.
    """
    tx, site_id, principal = ctx.writer, ctx.site.id, ctx.identity.principal
    if not principal.sees_huddles:
        things = [one for one in things if one != (itemtypes.HUDDLE, 0)]
    # A thing without an id is the caller's own.
    own = [one if one.item_id else ReadMark(itemtypes.SITE, site_id) for one in things]
    permission_target_batch.check_readable(
        tx, site_id, principal, ctx.tree, own, "mark", place=place
    )
    ReadMark.insert(tx, ctx.author, ctx.tree, things)


def _readable(sent: ReadBody, place: str = "") -> ReadMark:
    """Return the object that a body names; id 0 for the site, and for all huddles together. `place`: prefix of the
    field's name in errors.

    Raises Invalid for a type without read marks, or a missing or bad id.
    """
    name = sent.itemType.lower() if isinstance(sent.itemType, str) else ""
    kind = itemtypes.BY_NAME.get(name)
    if kind is None or kind.id not in read_mark.MARKABLE:
        names = ", ".join(sorted(itemtypes.name_of(one) for one in read_mark.MARKABLE))
        raise Invalid(f"{place}itemType", f"must be one of: {names}")
    if kind.id == itemtypes.SITE:
        return ReadMark(kind.id, 0)
    if not isinstance(sent.itemId, int):
        raise Invalid(f"{place}itemId", "is required")
    if sent.itemId < (0 if kind.id == itemtypes.HUDDLE else 1):
        raise Invalid(f"{place}itemId", "must be the id of an item", code=OUT_OF_RANGE)
    return ReadMark(kind.id, sent.itemId)
