"""Roles of a microcosm or of the whole site, and the profiles named in them. Wire: docs/api/roles.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from forumapi import itemtypes
from forumapi.errors import OUT_OF_RANGE, WRONG_TYPE, Forbidden, Invalid, NotFound, known
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.people.profile_summary import SUMMARY as PEOPLE
from forumapi.models.roles import role_page
from forumapi.models.roles.role import FLAGS, LockedRoles, Role
from forumapi.models.roles.role_page import RoleSummary, ShownRole
from forumapi.models.roles.role_recomputation_queue import Settling
from forumapi.models.texts import text_rendering
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Target, Tree
from forumapi.request import patch
from forumapi.request.context import Context, Located
from forumapi.request.handler import MODERATE, OWNER, READ, Handler, needs
from forumapi.request.handler_results import Data, Done, Found, Page, Result
from forumapi.text import short_text_cleaning
from forumapi.wire import paging
from forumapi.wire.body import UNSET, Body, Meta, UnsetType, given
from forumapi.wire.entity_tags import check_match
from forumapi.wire.schemas import parts
from forumapi.wire.schemas import roles as schemas

SITE_ROLES: Final = "/api/v1/roles"
PEOPLE_PATH: Final = "/api/v1/profiles"
MAX_REASON: Final = 150
NO_REASON: Final = "No reason given"
_PATHS: Final = frozenset(f"/{name}" for name in FLAGS)


# ---------------------------------------------------------------- address and locks


def microcosm_id(ctx: Context) -> int:
    """Return the id of the microcosm in the address; the root's for an address of the site's default roles (P-39)."""
    named = ctx.args.get("item")
    return named.id if named is not None else ctx.tree.root_id


def prefix(ctx: Context) -> str:
    """Return the address, without a slash at its end, of the list of roles that the request's address is below: a
    microcosm's list or the site's.
    """
    named = ctx.args.get("item")
    return f"{itemtypes.href(named.type, named.id)}/roles" if named is not None else SITE_ROLES


def locate(ctx: Context) -> Located:
    """Find the object on which a caller must be a moderator to manage the roles in the address.

    That is the microcosm in the address or, for the site's default roles, the site: its owner alone manages them.
    """
    return _locate_in(ctx, ctx.tree)


def _locate_in(ctx: Context, tree: Tree) -> Located:
    named = ctx.args.get("item")
    if named is None:
        return Located(Target(itemtypes.SITE, ctx.site.id))
    node = tree.nodes.get(named.id)
    if node is None:
        return Located(Target(itemtypes.MICROCOSM, named.id))
    target = Target(itemtypes.MICROCOSM, node.id, node.id, (node.owned_by, node.created_by))
    return Located(target, is_hidden=not node.is_live)


def role_id(ctx: Context) -> int:
    """Return the id of the role in the address. Raises Invalid if it is not a number (platform 1.1)."""
    named = ctx.args["role"]
    if not isinstance(named, str):
        return int(named.id)
    if not named.isdigit() or len(named) > 19 or int(named) >= 2**63:
        raise Invalid("role", "must be the id of a role", code=WRONG_TYPE)
    return int(named)


def find(ctx: Context) -> ShownRole:
    """Read the role in the address, without a lock.

    Raises NotFound if there is none, or if it is a role of another microcosm than that of the address (P-46).
    """
    return known(role_page.find(ctx.reader, ctx.site.id, microcosm_id(ctx), role_id(ctx)), "role")


def _lock_roles(ctx: Context, *, moves_rights: bool = False) -> None:
    """Lock the site's roles until the transaction ends, and check again, with them locked, that the caller may manage
    the roles in the address: raises Forbidden if not, NotFound if the microcosm is gone, Unavailable if the lock is not
    free within five seconds.

    `moves_rights`: the rights that a role gives may change, so that the tree gets another `acl_version`.
    """
    site_id, identity = ctx.site.id, ctx.identity
    tree = ctx.tree
    locked = LockedRoles.lock(ctx.writer, site_id, identity.profile_id, moves_rights=moves_rights)
    if locked.acl_version != tree.acl_version + moves_rights:
        tree = load_tree(ctx.writer, site_id, locked.acl_version)
    principal = identity.principal._replace(
        role_ids=locked.role_ids, is_site_owner=identity.profile_id == locked.owner_id
    )
    if not evaluator.effective(principal, _locate_in(ctx, tree).target, tree) & evaluator.MODERATOR:
        raise Forbidden("Only moderators may do this")
    if microcosm_id(ctx) not in tree.nodes:
        raise NotFound("There is no such microcosm")


def lock(ctx: Context, *, moves_rights: bool = False) -> Role:
    """Lock the site's roles and the role in the address, which is returned. `moves_rights`: the rights that a role
    gives may change.

    Raises Forbidden unless the caller may manage these roles, NotFound for a missing microcosm or role, Unavailable if
    the lock is not free within five seconds, and PreconditionFailed if If-Match names another version of the role.
    """
    _lock_roles(ctx, moves_rights=moves_rights)
    found = known(Role.lock(ctx.writer, ctx.site.id, microcosm_id(ctx), role_id(ctx)), "role")
    wanted = ctx.environ.get("HTTP_IF_MATCH")
    if wanted is not None:
        check_match(wanted, found.version)
    return found


def summaries(ctx: Context, versions: dict[int, int]) -> dict[int, bytes]:
    """Return the summaries of profiles as JSON, by profile id. `versions`: for the id of each profile to show, its
    version.

    A profile that does not exist is left out.
    """
    found = ctx.app.documents.fetch(ctx.reader, ctx.site.id, {PEOPLE: versions})[PEOPLE]
    return {id: fragment[0] for id, fragment in found.items()}


def people(ctx: Context, versions: dict[int, int]) -> bytes:
    """Return the summaries of profiles as a JSON array. `versions`: for the id of each profile to show, its version, in
    the order to show them. A profile that does not exist is left out.
    """
    found = summaries(ctx, versions)
    return b"[%b]" % b",".join(found[id] for id in versions if id in found)


# ---------------------------------------------------------------- the list


class RoleBody(Body):
    """Role as a client sends it (platform 5.2): its title, its flags and, in `meta.editReason`, the reason of a change;
    other keys are ignored (P-03).
    """

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
    return now if title == now else text_rendering.title(title or None, "title", 50, quiet=False)


def _flags(sent: RoleBody, now: dict[str, bool]) -> dict[str, bool]:
    """Return all flags of a role by name: those that were sent, the others as in `now`. Raises Invalid if both
    `moderator` and `banned` would be true.
    """
    return _sound({name: given(getattr(sent, name), now[name]) for name in FLAGS})


def _sound(flags: dict[str, bool]) -> dict[str, bool]:
    if flags["moderator"] and flags["banned"]:
        raise Invalid("banned", "can't be set together with moderator")
    return flags


def _reason(sent: RoleBody) -> str:
    reason = UNSET if isinstance(sent.meta, UnsetType) else sent.meta.editReason
    cleaned = short_text_cleaning.sentence(given(reason, ""), quiet=False)
    if short_text_cleaning.length(cleaned) > MAX_REASON:
        raise Invalid(
            "meta.editReason", f"may have at most {MAX_REASON} characters", code=OUT_OF_RANGE
        )
    return cleaned or NO_REASON


class RolesHandler(Handler):
    """The roles that apply to a microcosm, for whoever may read it; its moderators can make further roles."""

    required_keys: ClassVar = {"POST": ("title",)}

    def locate(self, ctx: Context) -> Located:
        return locate(ctx)

    @needs(READ, answer=schemas.Roles, paged=True)
    def get(self, ctx: Context) -> Result:
        """The microcosm's own roles and those that it inherits: roles of moderators first, those of banned people
        last, otherwise by title; their members are shown to moderators alone (P-49).
        """
        return show(ctx)

    @needs(MODERATE, body=RoleBody, status=302)
    def post(self, ctx: Context, sent: RoleBody) -> Result:
        """Make a role in the microcosm that the address names or, if it names none, in the root microcosm.

        If the caller made a role of the same title there within the last five minutes, or the time that this
        installation sets, no other is made: the answer leads to that one. Answers 302 to the role.
        """
        title = _title(sent)
        flags = _flags(sent, dict.fromkeys(FLAGS, False))
        _lock_roles(ctx, moves_rights=True)
        id = Role.insert(
            ctx.writer,
            ctx.author,
            microcosm_id(ctx),
            title,
            flags,
            window_s=ctx.app.config.duplicate_window_s,
        )
        return Found(f"{prefix(ctx)}/{id}")


class DefaultRolesHandler(RolesHandler):
    """The site's default roles, which are the roles of its root microcosm, for the site's owner."""

    @needs(OWNER, answer=schemas.Roles, paged=True)
    def get(self, ctx: Context) -> Result:
        """The roles of the root microcosm, with the first members of each: roles of moderators first, those of banned
        people last, otherwise by title.
        """
        return show(ctx)


def show(ctx: Context) -> Result:
    """Answer with the roles that apply to the microcosm in the address; with the first members of each if the caller
    moderates there (platform 5.5). An address of the site's default roles stands for the root microcosm.
    """
    tree, site_id, at = ctx.tree, ctx.site.id, ctx.paging
    node = known(tree.nodes.get(microcosm_id(ctx)), "microcosm")
    applying = tree.applying(node.id)
    regular = [one for one in applying if not one.is_moderator and not one.is_banned]
    inherits = node.parent_id != 0 and all(one.microcosm_id != node.id for one in regular)
    paging.check(len(applying), at)
    is_manager = bool(ctx.can & evaluator.MODERATOR)
    found = role_page.page(
        ctx.reader, site_id, [one.role_id for one in applying], at, shows=is_manager
    )

    def build() -> bytes:
        wanted: dict[int, int] = {}
        for one in found:
            wanted |= one.members | one.role.people
            if one.losing is not None:
                wanted |= one.losing.versions
        fetched = summaries(ctx, wanted)
        entries = [_entry(one, site_id, tree, fetched) for one in found]
        page = ctx.page(b"[%b]" % b",".join(entries), len(applying), SITE_ROLES)
        return b'{"roles":%b,%b"meta":{}}' % (page, b'"defaultRoles":true,' if inherits else b"")

    stamp = (
        [(one.role.id, one.role.version, one.total, list(one.members.items())) for one in found],
        [list(one.role.people.items()) for one in found],
        [one.losing and (one.losing.total, list(one.losing.versions.items())) for one in found],
        [tree.nodes[one.role.microcosm_id].version for one in found],
        len(applying),
        inherits,
        ctx.path,
        ctx.query_string,
    )
    return Page(0, stamp, build)


def _entry(one: RoleSummary, site_id: int, tree: Tree, fetched: dict[int, bytes]) -> bytes:
    members = _preview(one.total, one.members, fetched)
    losing = _preview(one.losing.total, one.losing.versions, fetched) if one.losing else b""
    title = tree.nodes[one.role.microcosm_id].title
    return role_page.document(one.role, site_id, title, fetched, members=members, losing=losing)


def _preview(total: int, versions: dict[int, int], fetched: dict[int, bytes]) -> bytes:
    shown = [fetched[id] for id in versions if id in fetched]
    return paging.preview(b"[%b]" % b",".join(shown), total, role_page.PREVIEWED, PEOPLE_PATH)


# ---------------------------------------------------------------- one role


class RoleHandler(Handler):
    """One role of the microcosm in the address, for the microcosm's moderators; 404 for a role that the microcosm
    inherits.
    """

    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {"DELETE": (502,)}

    def locate(self, ctx: Context) -> Located:
        role_id(ctx)
        return locate(ctx)

    @needs(MODERATE, answer=schemas.Role)
    def get(self, ctx: Context) -> Result:
        """The role. Its `permissions` are those of the caller on the role itself."""
        found = find(ctx)
        target = Target(itemtypes.ROLE, found.id, owner_ids=(found.author[0],))
        can = evaluator.effective(ctx.identity.principal, target, ctx.tree)
        node = ctx.tree.nodes[found.microcosm_id]

        def build() -> bytes:
            return role_page.document(
                found,
                ctx.site.id,
                node.title,
                summaries(ctx, found.people),
                permissions=evaluator.as_json(can),
            )

        return Page(found.version, (found.id, list(found.people.items()), node.version, can), build)

    @needs(MODERATE, body=RoleBody, status=302)
    def put(self, ctx: Context, sent: RoleBody) -> Result:
        """Change the role's title and flags; keys that are not sent stay as they are.

        400 if the role would be both `moderator` and `banned`. Answers 302 to the role.
        """
        reason = _reason(sent)
        role = lock(ctx, moves_rights=True)
        title, flags = _title(sent, role.title), _flags(sent, role.flags)
        role.update(ctx.writer, ctx.author, title, flags, reason)
        return Found(f"{prefix(ctx)}/{role.id}")

    @needs(MODERATE, body=list[patch.Operation])
    def patch(self, ctx: Context, sent: list[patch.Operation]) -> Result:
        """Set flags of the role, named by paths such as `/moderator`, `/banned` and `/read`, to true or false (P-48);
        the other flags stay.

        400 if the role would be both `moderator` and `banned`. By operations `replace` of RFC 6902: 501 for its other
        operations, 400 for another flag.
        """
        changes = patch.changes(sent, _PATHS)
        role = lock(ctx, moves_rights=True)
        flags = role.flags | {change.path[1:]: change.value for change in changes}
        last = changes[-1]
        reason = f"Set {last.path[1:]} to {'true' if last.value else 'false'}"
        role.flag(ctx.writer, ctx.author, _sound(flags), reason)
        return Done()

    @needs(MODERATE)
    def delete(self, ctx: Context) -> Result:
        """Delete the role, with its criteria and the list of profiles named in it; all members of the role lose its
        rights.

        502 if the role is deleted, but the rights could not be taken away at once.
        """
        role = lock(ctx, moves_rights=True)
        take_away_rights(ctx, role.delete(ctx.writer, ctx.author))
        return Done()


# ---------------------------------------------------------------- named profiles


class NamedBody(Body):
    """Entry of a list in a body: the id of a profile or criterion."""

    id: int | UnsetType = UNSET


def ids(sent: Sequence[NamedBody]) -> list[int]:
    """Return the ids in a list of a body, in order. Raises Invalid for an entry without an id."""
    found = []
    for number, one in enumerate(sent):
        if isinstance(one.id, UnsetType):
            raise Invalid(f"[{number}].id", "is required")
        found.append(one.id)
    return found


class RoleProfilesHandler(Handler):
    """The profiles that are named in a role, for moderators of the role's microcosm; members by the role's criteria are
    listed by `…/members`.
    """

    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {"PUT": (502,), "DELETE": (502,)}

    def locate(self, ctx: Context) -> Located:
        return locate(ctx)

    @needs(MODERATE, answer=schemas.RoleProfiles, paged=True)
    def get(self, ctx: Context) -> Result:
        """The profiles that are named in the role, sorted by id."""
        at = ctx.paging
        found = role_page.named(ctx.reader, ctx.site.id, find(ctx).id, at)
        paging.check(found.total, at)

        def build() -> bytes:
            entries = people(ctx, found.versions)
            page = ctx.page(entries, found.total)
            return b'{"profiles":%b,"meta":{}}' % page

        return Page(0, (found.total, list(found.versions.items()), ctx.query_string), build)

    @needs(MODERATE, body=list[NamedBody])
    def put(self, ctx: Context, sent: list[NamedBody]) -> Result:
        """Name further profiles in the role: all that are sent, or none and 404 if one of them does not exist.

        502 if the profiles are stored, but rights that they lose by that could not be taken away at once. Answers 200
        with `data` null.
        """
        profile_ids = ids(sent)
        role = lock(ctx)
        take_away_rights(ctx, role.add_profiles(ctx.writer, ctx.author, profile_ids))
        return Done()

    @needs(MODERATE, body=list[NamedBody])
    def delete(self, ctx: Context, sent: list[NamedBody]) -> Result:
        """Name the sent profiles in the role no longer; an empty list removes all names from the role.

        Ids that the role does not name are ignored, and profiles that meet the role's criteria stay members. 502 if the
        change is stored, but rights that profiles lose by it could not be taken away at once.
        """
        profile_ids = ids(sent)
        role = lock(ctx)
        take_away_rights(ctx, role.remove_profiles(ctx.writer, ctx.author, profile_ids or None))
        return Done()


def take_away_rights(ctx: Context, queued: Settling | None) -> None:
    """Have the rights that profiles lose by this change of a role taken away after the commit of the request's
    transaction, before the answer is sent.

    `queued`: the role, if its members are to be recomputed in the background; None: they are recomputed already, and
    nothing is done. If the taking away fails then, the request is answered with BadGateway, 502, though the change is
    stored; the background completes what is left.
    """
    if queued is None:
        return
    tx = ctx.writer

    def take_away() -> None:
        tx.end()  # a request holds one connection at a time
        ctx.app.settler.take_away(queued)

    tx.after_commit(take_away)


class RoleProfileHandler(Handler):
    """One profile that is named in a role, for moderators of the role's microcosm."""

    def locate(self, ctx: Context) -> Located:
        return locate(ctx)

    @needs(MODERATE, answer=parts.ProfileSummary)
    def get(self, ctx: Context) -> Result:
        """The summary of the profile in the address; 404 if the profile is not named in the role (P-47)."""
        id = ctx.args["profile"].id
        version = role_page.find_named(ctx.reader, ctx.site.id, find(ctx).id, id)
        found = summaries(ctx, {id: version}) if version is not None else {}
        if id not in found:
            raise NotFound("There is no such profile in this role")
        return Data(found[id])

    @needs(MODERATE, status=302)
    def put(self, ctx: Context) -> Result:
        """Name the profile in the role; nothing changes if the role names it already, 404 if there is no such profile.

        502 if that is stored, but rights that the profile loses by it could not be taken away at once. Answers 302 to
        the profile in the role.
        """
        role, profile_id = lock(ctx), ctx.args["profile"].id
        take_away_rights(ctx, role.add_profiles(ctx.writer, ctx.author, [profile_id]))
        return Found(f"{prefix(ctx)}/{role.id}/profiles/{profile_id}")

    @needs(MODERATE)
    def delete(self, ctx: Context) -> Result:
        """Name the profile in the role no longer; 200 also if the role does not name it.

        A profile that meets the role's criteria stays a member. 502 if that is stored, but rights that the profile
        loses by it could not be taken away at once.
        """
        role, profile_id = lock(ctx), ctx.args["profile"].id
        take_away_rights(ctx, role.remove_profiles(ctx.writer, ctx.author, [profile_id]))
        return Done()
