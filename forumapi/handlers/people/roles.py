"""Roles: who may do what in a microcosm and below it. Wire: docs/api/roles.md."""

from __future__ import annotations

from typing import ClassVar, Final

from forumapi import itemtypes
from forumapi.errors import OUT_OF_RANGE, WRONG_TYPE, Forbidden, Invalid, NotFound
from forumapi.models.content import text
from forumapi.models.journal import journal
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.people import role
from forumapi.models.people.profile import SUMMARY as PEOPLE
from forumapi.models.people.role import Rights, Role, Summary
from forumapi.models.people.role_settling import Settling
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Target, Tree
from forumapi.request import patch
from forumapi.request.context import Context, Located
from forumapi.request.handler import (
    MODERATE,
    OWNER,
    READ,
    Handler,
    needs,
)
from forumapi.request.response import (
    Data,
    Done,
    Found,
    Page,
    Result,
    check_match,
)
from forumapi.text import clean
from forumapi.wire import paging, schemas
from forumapi.wire.body import (
    UNSET,
    Body,
    Meta,
    UnsetType,
    given,
)

SITE_ROLES: Final = "/api/v1/roles"
PEOPLE_PATH: Final = "/api/v1/profiles"
MAX_REASON: Final = 150
NO_REASON: Final = "No reason given"
_PATHS: Final = frozenset(f"/{name}" for name in role.FLAGS)


# ---------------------------------------------------------------- where the roles hang


def microcosm_id(ctx: Context) -> int:
    """The microcosm of the address; the root for the site's default roles (P-39)."""
    named = ctx.args.get("item")
    return named.id if named is not None else ctx.tree.root_id


def prefix(ctx: Context) -> str:
    """The address of the collection that was named."""
    named = ctx.args.get("item")
    return f"{itemtypes.href(named.type, named.id)}/roles" if named is not None else SITE_ROLES


def locate(ctx: Context) -> Located:
    """What a manager must moderate: the microcosm, or for the default roles the site, which only its owner does."""
    return _place(ctx, ctx.tree)


def _place(ctx: Context, at: Tree) -> Located:
    named = ctx.args.get("item")
    if named is None:
        return Located(Target(itemtypes.SITE, ctx.site.id))
    node = at.nodes.get(named.id)
    if node is None:
        return Located(Target(itemtypes.MICROCOSM, named.id))
    target = Target(itemtypes.MICROCOSM, node.id, node.id, (node.owned_by, node.created_by))
    return Located(target, is_hidden=not node.is_live)


def role_id(ctx: Context) -> int:
    """The role of the address. Raises Invalid where it is no number (platform 1.1)."""
    named = ctx.args["role"]
    if not isinstance(named, str):
        return int(named.id)
    if not named.isdigit() or len(named) > 19 or int(named) >= 2**63:
        raise Invalid("role", "must be the id of a role", code=WRONG_TYPE)
    return int(named)


def find(ctx: Context) -> Role:
    """The role of the address, of the microcosm of the address and no other (P-46). Raises NotFound."""
    found = role.find(ctx.reader, ctx.site.id, microcosm_id(ctx), role_id(ctx))
    if found is None:
        raise NotFound("There is no such role")
    return found


def hold(ctx: Context, *, moves_rights: bool = False) -> None:
    """Let nobody else change the site's roles until this request ends, and ask again whether the caller may.

    `moves_rights`: what the role grants, or to guests and members as such, may change. Raises Forbidden, NotFound.
    """
    site_id, identity = ctx.site.id, ctx.identity
    known = ctx.tree
    held = role.hold(ctx.writer, site_id, identity.profile_id, moves_rights=moves_rights)
    if held.acl_version != known.acl_version + moves_rights:
        known = load_tree(ctx.writer, site_id, held.acl_version)
    principal = identity.principal._replace(
        role_ids=held.role_ids, is_site_owner=identity.profile_id == held.owner_id
    )
    if not evaluator.effective(principal, _place(ctx, known).target, known) & evaluator.MODERATOR:
        raise Forbidden("Only those who moderate this may do this")
    if microcosm_id(ctx) not in known.nodes:
        raise NotFound("There is no such microcosm")


def locked(ctx: Context) -> Rights:
    """The role of the address, locked for a change. Asks If-Match. Raises NotFound, PreconditionFailed."""
    found = role.lock(ctx.writer, ctx.site.id, microcosm_id(ctx), role_id(ctx))
    if found is None:
        raise NotFound("There is no such role")
    wanted = ctx.environ.get("HTTP_IF_MATCH")
    if wanted is not None:
        check_match(wanted, found.version)
    return found


def summaries(ctx: Context, versions: dict[int, int]) -> dict[int, bytes]:
    """Profile summaries by id."""
    found = ctx.app.documents.fetch(ctx.reader, ctx.site.id, {PEOPLE: versions})[PEOPLE]
    return {id: fragment[0] for id, fragment in found.items()}


def people(ctx: Context, versions: dict[int, int]) -> bytes:
    """The entries of a list of profiles, as a JSON array."""
    found = summaries(ctx, versions)
    return b"[%b]" % b",".join(found[id] for id in versions if id in found)


# ---------------------------------------------------------------- the list


class RoleBody(Body):
    """A role as a client sends it (platform 5.2); everything else that it sends back is ignored (P-03)."""

    title: str | UnsetType = UNSET
    moderator: bool | UnsetType = UNSET
    banned: bool | UnsetType = UNSET
    includeGuests: bool | UnsetType = UNSET
    includeUsers: bool | UnsetType = UNSET
    create: bool | UnsetType = UNSET
    read: bool | UnsetType = UNSET
    update: bool | UnsetType = UNSET
    delete: bool | UnsetType = UNSET
    closeOwn: bool | UnsetType = UNSET
    openOwn: bool | UnsetType = UNSET
    readOthers: bool | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


def _title(sent: RoleBody, now: str | None = None) -> str:
    title = given(sent.title, "") if now is None else given(sent.title, now)
    return now if title == now else text.title(title or None, "title", 50, quiet=False)


def _flags(sent: RoleBody, now: dict[str, bool]) -> dict[str, bool]:
    """The flags with what was sent laid over them. Raises Invalid."""
    return _sound({name: given(getattr(sent, name), now[name]) for name in role.FLAGS})


def _sound(flags: dict[str, bool]) -> dict[str, bool]:
    if flags["moderator"] and flags["banned"]:
        raise Invalid("banned", "can't be set together with moderator")
    return flags


def _reason(sent: RoleBody) -> str:
    reason = UNSET if isinstance(sent.meta, UnsetType) else sent.meta.editReason
    cleaned = clean.sentence(given(reason, ""), quiet=False)
    if clean.length(cleaned) > MAX_REASON:
        raise Invalid(
            "meta.editReason", f"may have at most {MAX_REASON} characters", code=OUT_OF_RANGE
        )
    return cleaned or NO_REASON


class RolesHandler(Handler):
    """The roles that apply to a microcosm."""

    allow = "OPTIONS,GET,HEAD,POST"
    required_keys: ClassVar = {"POST": ("title",)}

    def locate(self, ctx: Context) -> Located:
        return locate(ctx)

    @needs(READ, answer=schemas.Roles, paged=True)
    def get(self, ctx: Context) -> Result:
        """Its own roles and those it inherits; who is in them is shown to moderators (P-49)."""
        return show(ctx)

    @needs(MODERATE, body=RoleBody, status=302)
    def post(self, ctx: Context) -> Result:
        """Makes a role. The same title by the same caller within minutes is taken for a repetition."""
        sent: RoleBody = ctx.body
        title = _title(sent)
        flags = _flags(sent, dict.fromkeys(role.FLAGS, False))
        hold(ctx, moves_rights=True)
        id = role.insert(
            ctx.writer,
            ctx.author,
            microcosm_id(ctx),
            title,
            flags,
            window_s=ctx.app.config.duplicate_window_s,
        )
        return Found(f"{prefix(ctx)}/{id}")


class DefaultRolesHandler(RolesHandler):
    """The site's default roles: those of its root microcosm."""

    @needs(OWNER, answer=schemas.Roles, paged=True)
    def get(self, ctx: Context) -> Result:
        """The roles of the root microcosm, with the first of those who are in each."""
        return show(ctx)


def show(ctx: Context) -> Result:
    """The page of roles that apply to the located microcosm (platform 5.5)."""
    known, site_id, at = ctx.tree, ctx.site.id, ctx.paging
    node = known.nodes.get(microcosm_id(ctx))
    if node is None:
        raise NotFound("There is no such microcosm")
    applying = known.applying(node.id)
    regular = [one for one in applying if not one.is_moderator and not one.is_banned]
    inherits = node.parent_id != 0 and all(one.microcosm_id != node.id for one in regular)
    paging.check(len(applying), at)
    is_manager = bool(ctx.can & evaluator.MODERATOR)
    found = role.page(ctx.reader, site_id, [one.role_id for one in applying], at, shows=is_manager)

    def build() -> bytes:
        wanted: dict[int, int] = {}
        for one in found:
            wanted |= one.members | one.role.people
            if one.losing is not None:
                wanted |= one.losing.versions
        fetched = summaries(ctx, wanted)
        entries = [_entry(one, site_id, known, fetched) for one in found]
        page = paging.page(
            b"[%b]" % b",".join(entries),
            len(applying),
            at,
            SITE_ROLES,
            ctx.path,
            ctx.query_string,
            ctx.pairs,
        )
        return b'{"roles":%b,%b"meta":{}}' % (page, b'"defaultRoles":true,' if inherits else b"")

    stamp = (
        [(one.role.id, one.role.version, one.total, list(one.members.items())) for one in found],
        [list(one.role.people.items()) for one in found],
        [one.losing and (one.losing.total, list(one.losing.versions.items())) for one in found],
        [known.nodes[one.role.microcosm_id].version for one in found],
        len(applying),
        inherits,
        ctx.path,
        ctx.query_string,
    )
    return Page(0, stamp, build)


def _entry(one: Summary, site_id: int, known: Tree, fetched: dict[int, bytes]) -> bytes:
    members = _preview(one.total, one.members, fetched)
    losing = _preview(one.losing.total, one.losing.versions, fetched) if one.losing else b""
    title = known.nodes[one.role.microcosm_id].title
    return role.document(one.role, site_id, title, fetched, members=members, losing=losing)


def _preview(total: int, versions: dict[int, int], fetched: dict[int, bytes]) -> bytes:
    shown = [fetched[id] for id in versions if id in fetched]
    return paging.preview(b"[%b]" % b",".join(shown), total, role.PREVIEWED, PEOPLE_PATH)


# ---------------------------------------------------------------- one role


class RoleHandler(Handler):
    """One role of a microcosm; its inherited roles are found at their own."""

    allow = "OPTIONS,GET,HEAD,PUT,PATCH,DELETE"
    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {"DELETE": (502,)}

    def locate(self, ctx: Context) -> Located:
        role_id(ctx)
        return locate(ctx)

    @needs(MODERATE, answer=schemas.Role)
    def get(self, ctx: Context) -> Result:
        """The role. Its permissions are the caller's on the role itself, which only the site's owner has."""
        found = find(ctx)
        target = Target(itemtypes.ROLE, found.id, owner_ids=(found.author[0],))
        can = evaluator.effective(ctx.identity.principal, target, ctx.tree)
        node = ctx.tree.nodes[found.microcosm_id]

        def build() -> bytes:
            return role.document(
                found,
                ctx.site.id,
                node.title,
                summaries(ctx, found.people),
                permissions=evaluator.as_json(can),
            )

        return Page(found.version, (found.id, list(found.people.items()), node.version, can), build)

    @needs(MODERATE, body=RoleBody, status=302)
    def put(self, ctx: Context) -> Result:
        """Changes title and flags; what is not sent stays."""
        sent: RoleBody = ctx.body
        reason = _reason(sent)
        hold(ctx, moves_rights=True)
        now = locked(ctx)
        new = now._replace(title=_title(sent, now.title), flags=_flags(sent, now.flags))
        place, id = microcosm_id(ctx), role_id(ctx)
        role.update(ctx.writer, ctx.author, place, id, new, reason, journal.REPLACED)
        return Found(f"{prefix(ctx)}/{id}")

    @needs(MODERATE, body=list[patch.Operation])
    def patch(self, ctx: Context) -> Result:
        """Sets single flags: `/moderator`, `/banned`, `/read` and so on (P-48)."""
        changes = patch.changes(ctx.body, _PATHS)
        hold(ctx, moves_rights=True)
        now = locked(ctx)
        flags = now.flags | {change.path[1:]: change.value for change in changes}
        last = changes[-1]
        reason = f"Set {last.path[1:]} to {'true' if last.value else 'false'}"
        new = now._replace(flags=_sound(flags))
        place, id = microcosm_id(ctx), role_id(ctx)
        role.update(ctx.writer, ctx.author, place, id, new, reason, journal.PATCHED)
        return Done()

    @needs(MODERATE)
    def delete(self, ctx: Context) -> Result:
        """Removes it with its criteria and its list of profiles; 404 when it is gone."""
        hold(ctx, moves_rights=True)
        locked(ctx)
        follow(ctx, role.delete(ctx.writer, ctx.author, microcosm_id(ctx), role_id(ctx)))
        return Done()


# ---------------------------------------------------------------- who is named in it


class NamedBody(Body):
    """A profile of a list of profiles."""

    id: int | UnsetType = UNSET


def ids(ctx: Context) -> list[int]:
    """The ids of a list of objects. Raises Invalid."""
    found = []
    for number, one in enumerate(ctx.body):
        if isinstance(one.id, UnsetType):
            raise Invalid(f"[{number}].id", "is required")
        found.append(one.id)
    return found


class RoleProfilesHandler(Handler):
    """The profiles that are named in a role, whatever they are like."""

    allow = "OPTIONS,GET,HEAD,PUT,DELETE"
    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {"PUT": (502,), "DELETE": (502,)}

    def locate(self, ctx: Context) -> Located:
        return locate(ctx)

    @needs(MODERATE, answer=schemas.RoleProfiles, paged=True)
    def get(self, ctx: Context) -> Result:
        """By id."""
        at = ctx.paging
        found = role.named(ctx.reader, ctx.site.id, find(ctx).id, at)
        paging.check(found.total, at)

        def build() -> bytes:
            entries = people(ctx, found.versions)
            page = paging.page(
                entries, found.total, at, ctx.path, ctx.path, ctx.query_string, ctx.pairs
            )
            return b'{"profiles":%b,"meta":{}}' % page

        return Page(0, (found.total, list(found.versions.items()), ctx.query_string), build)

    @needs(MODERATE, body=list[NamedBody])
    def put(self, ctx: Context) -> Result:
        """Adds profiles to those who are named: all of them, or none where one is unknown (404)."""
        profile_ids = ids(ctx)
        id = change_members(ctx)
        _name(ctx, id, profile_ids)
        settle(ctx, id, profile_ids)
        return Done()

    @needs(MODERATE, body=list[NamedBody])
    def delete(self, ctx: Context) -> Result:
        """Takes these profiles off the list; an empty list takes all off."""
        profile_ids = ids(ctx)
        id = change_members(ctx)
        role.unname(ctx.writer, ctx.site.id, id, profile_ids or None)
        settle(ctx, id, profile_ids or None)
        return Done()


def change_members(ctx: Context) -> int:
    """Begin a change of who is in the role of the address; its id. Raises NotFound, Forbidden."""
    hold(ctx)
    locked(ctx)
    return role_id(ctx)


def settle(
    ctx: Context, id: int, profile_ids: list[int] | None = None, *, audit: bool = True
) -> None:
    """Let everything follow a change of who is in the role: these profiles, or (None) any."""
    place = microcosm_id(ctx)
    follow(ctx, role.settle(ctx.writer, ctx.author, place, id, profile_ids, audit=audit))


def follow(ctx: Context, queued: Settling | None) -> None:
    """Take away, between the commit and the answer, the rights that a change of a large role takes away."""
    if queued is None:
        return
    tx = ctx.writer

    def take_away() -> None:
        tx.end()  # a request holds one connection at a time
        ctx.app.settler.take_away(queued)

    tx.after_commit(take_away)


def _name(ctx: Context, id: int, profile_ids: list[int]) -> None:
    if not role.name(ctx.writer, ctx.site.id, id, profile_ids):
        raise NotFound("There is no such profile")


class RoleProfileHandler(Handler):
    """One profile as one that is named in a role."""

    allow = "OPTIONS,GET,HEAD,PUT,DELETE"

    def locate(self, ctx: Context) -> Located:
        return locate(ctx)

    @needs(MODERATE, answer=schemas.ProfileSummary)
    def get(self, ctx: Context) -> Result:
        """The profile, if it is named in the role; else 404 (P-47)."""
        id = ctx.args["profile"].id
        version = role.find_named(ctx.reader, ctx.site.id, find(ctx).id, id)
        found = summaries(ctx, {id: version}) if version is not None else {}
        if id not in found:
            raise NotFound("There is no such profile in this role")
        return Data(found[id])

    @needs(MODERATE, status=302)
    def put(self, ctx: Context) -> Result:
        """Names it."""
        id, profile_id = change_members(ctx), ctx.args["profile"].id
        _name(ctx, id, [profile_id])
        settle(ctx, id, [profile_id])
        return Found(f"{prefix(ctx)}/{id}/profiles/{profile_id}")

    @needs(MODERATE)
    def delete(self, ctx: Context) -> Result:
        """Takes it off the list; 200 also when it is not on it."""
        id, profile_id = change_members(ctx), ctx.args["profile"].id
        role.unname(ctx.writer, ctx.site.id, id, [profile_id])
        settle(ctx, id, [profile_id])
        return Done()
