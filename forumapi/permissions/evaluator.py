"""Evaluator of permissions (platform 5.4): on one target, or for all microcosms of a site at once.

Without database and HTTP. A permission set is an int of flag bits. What roles alone decide is computed once for each
set of roles, as RolePermissions of a Tree; what the caller decides (owner of the site or microcosm, author, banned) is
added in each call and never shared.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from forumapi import itemtypes
from forumapi.permissions.memory_budget import MICROCOSM_BYTES, OBJECT_BYTES, budget
from forumapi.permissions.readable_microcosms import ReadableMicrocosms
from forumapi.wire.json_fragments import dumps

PermissionSet = int  # a set of the flags below

CREATE: Final = 1
READ: Final = 2
UPDATE: Final = 4
DELETE: Final = 8
CLOSE_OWN: Final = 16
OPEN_OWN: Final = 32
READ_OTHERS: Final = 64
GUEST: Final = 128
BANNED: Final = 256
OWNER: Final = 512
MODERATOR: Final = 1024
SITE_OWNER: Final = 2048
# Within the evaluator alone: the caller is silenced in the microcosm.
_SILENCED: Final = 4096

# Keys of meta.permissions in wire order (platform 1.13).
NAMES: Final[tuple[tuple[str, int], ...]] = (
    ("create", CREATE),
    ("read", READ),
    ("update", UPDATE),
    ("delete", DELETE),
    ("closeOwn", CLOSE_OWN),
    ("openOwn", OPEN_OWN),
    ("readOthers", READ_OTHERS),
    ("guest", GUEST),
    ("banned", BANNED),
    ("owner", OWNER),
    ("moderator", MODERATOR),
    ("siteOwner", SITE_OWNER),
)
CRUD: Final = CREATE | READ | UPDATE | DELETE
# Who may take files off a comment or profile (C-48).
DETACH: Final = SITE_OWNER | MODERATOR | OWNER
RIGHTS: Final = CRUD | CLOSE_OWN | OPEN_OWN | READ_OTHERS

# Rights that somebody silenced loses: nothing new, and no change of what is there. Deleting what is one's own stays.
_SPEECH: Final = CREATE | UPDATE | CLOSE_OWN | OPEN_OWN

_json: dict[PermissionSet, bytes] = {}


def as_json(can: PermissionSet) -> bytes:
    """Return a permission set as a JSON object: its twelve flags as booleans by their names in NAMES
    (platform 1.13).
    """
    found = _json.get(can)
    if found is None:
        found = _json[can] = dumps({name: bool(can & flag) for name, flag in NAMES})
    return found


def banned_from(microcosm_id: int) -> int:
    """Return the pseudo role id, below 0, that a profile has while a moderator bans it from the microcosm."""
    return -2 * microcosm_id


def silenced_in(microcosm_id: int) -> int:
    """Return the pseudo role id, below 0, that a profile has while a moderator silences it in the microcosm."""
    return -2 * microcosm_id - 1


class RoleGrant(NamedTuple):
    """Role as far as rights depend on it: its microcosm, its kind (moderator, banned, else regular), and `rights`, the
    flags that it gives its members. `microcosm_id`: the role's own, below which it may apply too (`Tree.applying`);
    `include_guests`, `include_users`: all guests, or all who are signed in, are members too.
    """

    role_id: int
    microcosm_id: int
    is_moderator: bool
    is_banned: bool
    include_guests: bool
    include_users: bool
    rights: int


@dataclass(slots=True)
class Node:
    """Microcosm in the tree of its site, one object for each, with its place there as a Tree works it out.

    `parent_id`: 0 for the root; `item_types`: types of items that may be put into it; `is_open`: others than its
    moderators may put items into it, too; `sequence`: place among its siblings, who follow by id where it is the same;
    `owned_by`, `created_by`: ids of two profiles, which both have an owner's rights in it.

    `path`: ids from the root to the microcosm itself, and `level` their number; `children`: ids in their order;
    `subtree`: ids of itself and of all below it, parents first; `is_live`: neither it nor one above it is deleted or
    moderated (hidden until a moderator decides).
    """

    id: int
    parent_id: int  # 0: the root
    title: str
    logo_url: str
    item_types: tuple[int, ...]
    sequence: int
    is_sticky: bool
    is_open: bool
    is_deleted: bool
    is_moderated: bool
    created_by: int
    owned_by: int
    version: int
    level: int = 0
    path: tuple[int, ...] = ()
    is_live: bool = False  # it and everything above it is neither deleted nor moderated
    children: list[int] = field(default_factory=list)  # by sequence, then id
    subtree: tuple[int, ...] = ()  # itself and everything below, parents first


class Principal(NamedTuple):
    """Caller as far as rights depend on it. `role_ids`: of the caller's roles, pseudo roles included. A guest has
    `profile_id` 0 and `role_ids` None; `user_id` 0: no user.

    `is_limited`: the site demands a second factor of moderators, and the caller has none. Such a caller moderates
    nothing: `is_site_owner` is then False, and neither ownership of a microcosm nor moderator roles count.
    `sees_huddles`: False for a token without the scope `huddles:read`, with which the caller counts as a participant of
    no huddle.
    """

    profile_id: int
    role_ids: tuple[int, ...] | None
    is_site_owner: bool = False
    is_site_banned: bool = False
    user_id: int = 0
    is_limited: bool = False
    sees_huddles: bool = True

    @property
    def participant_id(self) -> int:
        """Return the id of the profile whose huddles the caller may read: the caller's own; 0, which is in no huddle,
        for a guest and unless `sees_huddles`.
        """
        return self.profile_id if self.sees_huddles else 0


GUEST_CALLER: Final = Principal(0, None)


# Bytes of a microcosm of a tree without its texts, and of a role; measured.
_NODE: Final = 700
_ROLE: Final = 250


# Moderation requires `read` and `update` beside `moderator`: a moderator opens a thing before deciding on it.
_MODERATES: Final = MODERATOR | READ | UPDATE


class RolePermissions:
    """Permissions that a set of roles gives in each microcosm of a site. `rights`, by microcosm id: flags of RIGHTS,
    MODERATOR and _SILENCED, or BANNED alone. `view`: the live microcosms that may be read by these roles, those with
    the ids `readable`. `moderates`: the roles give MODERATOR, READ and UPDATE in at least one microcosm of `view`.
    """

    __slots__ = ("moderates", "rights", "view")

    def __init__(self, rights: dict[int, int], readable: tuple[int, ...]) -> None:
        self.rights = rights
        self.view = ReadableMicrocosms(readable)
        self.moderates = any(rights[id] & _MODERATES == _MODERATES for id in readable)


class Tree:
    """All microcosms and roles of one site as of one `acl_version`, the site's counter of their changes. A tree never
    changes, but for the permissions cached in it.

    `nodes`: microcosms by id; `root_id`: id of the root, 0 without microcosms; `roles`: by the id of their microcosm;
    `order`: ids of all microcosms, each followed by those below it; `owned`: ids of the microcosms that a profile owns,
    by the profile's id.
    """

    def __init__(self, acl_version: int, nodes: Iterable[Node], roles: Iterable[RoleGrant]) -> None:
        self.acl_version = acl_version
        self.nodes: dict[int, Node] = {node.id: node for node in nodes}
        self.root_id = next((n.id for n in self.nodes.values() if n.parent_id == 0), 0)
        self.roles: dict[int, list[RoleGrant]] = {}
        for role in roles:
            self.roles.setdefault(role.microcosm_id, []).append(role)
        self.order: tuple[int, ...] = ()
        self.owned: dict[int, frozenset[int]] = {}
        self._access: dict[tuple[tuple[int, ...] | None, bool], RolePermissions] = {}
        self._views: dict[Principal, ReadableMicrocosms] = {}  # of site owners and microcosm owners
        if self.root_id:
            self._arrange()
        # Estimated bytes of the tree, without the derived values that `budget` counts.
        self.weight = self._weigh()

    def _arrange(self) -> None:
        for node in sorted(self.nodes.values(), key=lambda n: (n.sequence, n.id)):
            if node.parent_id in self.nodes:
                self.nodes[node.parent_id].children.append(node.id)
        order: list[int] = []
        stack = [self.root_id]
        while stack:
            node = self.nodes[stack.pop()]
            parent = self.nodes.get(node.parent_id)
            node.path = (*parent.path, node.id) if parent else (node.id,)
            node.level = len(node.path)
            own = not node.is_deleted and not node.is_moderated
            node.is_live = own and (parent is None or parent.is_live)
            order.append(node.id)
            stack.extend(reversed(node.children))
        self.order = tuple(order)
        below: dict[int, list[int]] = {id: [id] for id in order}
        for id in reversed(order):
            parent_id = self.nodes[id].parent_id
            if parent_id in below:
                below[parent_id][1:1] = below[id]
        owned: dict[int, set[int]] = {}
        for id in order:
            node = self.nodes[id]
            node.subtree = tuple(below[id])
            owned.setdefault(node.owned_by, set()).add(id)
            owned.setdefault(node.created_by, set()).add(id)
        self.owned = {profile: frozenset(ids) for profile, ids in owned.items()}

    def _weigh(self) -> int:
        nodes = sum(
            _NODE + len(node.title) + len(node.logo_url) + 8 * (len(node.path) + len(node.subtree))
            for node in self.nodes.values()
        )
        owned = sum(sys.getsizeof(ids) for ids in self.owned.values())
        return (
            OBJECT_BYTES + nodes + owned + sum(_ROLE * len(roles) for roles in self.roles.values())
        )

    def before_move(self, id: int, parent_id: int) -> Tree:
        """Return a tree in which the microcosm `id` is below its former parent `parent_id`, for permissions before a
        move. The tree holds the microcosm, that parent and the parent's ancestors alone; the microcosm's own roles are
        those that it has now.
        """
        kept = {one: self.nodes[one] for one in self.nodes[parent_id].path}
        kept[id] = replace(self.nodes[id], parent_id=parent_id)
        nodes = [replace(node, children=[]) for node in kept.values()]
        return Tree(self.acl_version, nodes, [r for one in kept for r in self.roles.get(one, ())])

    def access(
        self, role_ids: tuple[int, ...] | None, *, is_limited: bool = False
    ) -> RolePermissions:
        """Return the permissions of a caller in the roles `role_ids`, pseudo roles included, and in all roles that
        include users; with None, those of a guest. Computed once and cached. `is_limited`: the caller lacks the second
        factor that the site demands of moderators, so that moderator roles do not count.
        """
        key = (role_ids, is_limited)
        found = self._access.get(key)
        if found is None:
            found = self._derive(role_ids, is_limited)
            budget.charge(
                self, OBJECT_BYTES + MICROCOSM_BYTES * (len(found.rights) + len(found.view.ids))
            )
            self._access[key] = found
        return found

    def forget(self) -> None:
        """Drop the cached permissions, which are computed again at the next call that needs them."""
        self._access.clear()
        self._views.clear()

    def _derive(self, role_ids: tuple[int, ...] | None, is_limited: bool) -> RolePermissions:
        mine = frozenset(role_ids or ())

        def has(role: RoleGrant) -> bool:
            if role_ids is None:
                return role.include_guests
            return role.include_users or role.role_id in mine

        rights: dict[int, int] = {}
        special: dict[int, int] = {0: 0}
        regular: dict[int, int] = {0: 0}
        readable: list[int] = []
        for id in self.order:
            node = self.nodes[id]
            roles = self.roles.get(id, ())
            up = special[node.parent_id]
            if banned_from(id) in mine:
                up |= BANNED
            if silenced_in(id) in mine:
                up |= _SILENCED
            for role in roles:
                if role.is_banned and has(role):
                    up |= BANNED
                elif role.is_moderator and not is_limited and has(role):
                    up |= role.rights | MODERATOR
            special[id] = up
            plain = [role for role in roles if not role.is_banned and not role.is_moderator]
            if plain:
                regular[id] = 0
                for role in plain:
                    if has(role):
                        regular[id] |= role.rights
            else:
                regular[id] = regular[node.parent_id]
            rights[id] = BANNED if up & BANNED else up | regular[id]
            if node.is_live and rights[id] & READ:
                readable.append(id)
        return RolePermissions(rights, tuple(readable))

    def applying(self, id: int) -> list[RoleGrant]:
        """Return the roles that apply to the microcosm `id` of the tree (platform 5.2); [] if no role applies. First
        come moderator and banned roles of it and all its ancestors, the microcosm's own first; then the regular roles
        of the nearest microcosm, from itself upwards, that has any.
        """
        found: list[RoleGrant] = []
        regular: list[RoleGrant] = []
        for place in reversed(self.nodes[id].path):
            roles = self.roles.get(place, ())
            found += [role for role in roles if role.is_moderator or role.is_banned]
            regular = regular or [r for r in roles if not r.is_moderator and not r.is_banned]
        return found + regular

    def view(self, principal: Principal) -> ReadableMicrocosms:
        """Return the live microcosms whose items `principal` may list; none for a caller banned from the site."""
        if principal.is_site_banned:
            return _NOTHING
        access = self.access(principal.role_ids, is_limited=principal.is_limited)
        owns = principal.profile_id and not principal.is_limited
        mine = self.owned.get(principal.profile_id, frozenset()) if owns else frozenset()
        if not mine and not principal.is_site_owner:
            return access.view
        found = self._views.get(principal)
        if found is None:
            found = ReadableMicrocosms(tuple(self._overlaid(principal, access, mine)))
            budget.charge(self, OBJECT_BYTES + MICROCOSM_BYTES * len(found.ids))
            self._views[principal] = found
        return found

    def _overlaid(
        self, principal: Principal, access: RolePermissions, mine: frozenset[int]
    ) -> Iterable[int]:
        for id in self.order:
            if not self.nodes[id].is_live:
                continue
            owns = id in mine and not access.rights.get(id, 0) & BANNED
            if principal.is_site_owner or owns or id in access.view.set:
                yield id


_NOTHING: Final = ReadableMicrocosms(())


class Target(NamedTuple):
    """Object on which permission is asked.

    `item_id` 0: no particular one, such as one to be created. `owner_ids`: profiles that own it (platform 5.4: author,
    creator, recipient ...). `microcosm_id` 0: it is in no microcosm, or never existed. `parent_type`: type of the
    object that a comment is on, 0 for other objects. `is_participant`: the caller participates in the huddle that the
    object is or belongs to; `others_wrote`: somebody but its author has a live comment in it (C-24); `is_attendee`: the
    object is the caller's own answer to an event; `user_id`: id of the user that the object is, 0 if it is no user.
    """

    item_type: int
    item_id: int = 0
    microcosm_id: int = 0
    owner_ids: tuple[int, ...] = ()
    parent_type: int = 0
    is_participant: bool = False  # of the huddle concerned
    others_wrote: bool = True  # somebody other than the author has a live comment in it (C-24)
    is_attendee: bool = False  # the attendee is the caller
    user_id: int = 0  # of a user (type 14)


def unseen_comment(id: int) -> Target:
    """Return the target of a comment that does not exist for the caller: permissions on it are those on a comment in a
    huddle in which the caller does not participate.
    """
    return Target(itemtypes.COMMENT, id, parent_type=itemtypes.HUDDLE)


# Types that are in no microcosm, whichever microcosm a caller names beside them (platform 5.4, step 5).
_NOWHERE: Final = frozenset(
    {
        itemtypes.SITE,
        itemtypes.PROFILE,
        itemtypes.HUDDLE,
        itemtypes.USER,
        itemtypes.UPDATE,
        itemtypes.ROLE,
        itemtypes.WATCHER,
    }
)


class _TypeRights(NamedTuple):
    """Row of the table in platform 5.4: the rights on an object of one type, by the caller's relation to it.

    `participant`: the caller participates in the huddle that the object is or belongs to; `attendee`: the object is the
    caller's own answer to an event; `sole_author`: an owner, if nobody else has written in it; `by_role`: the caller
    has these rights as far as a role grants them, and all of them as owner of the microcosm.
    """

    everybody: PermissionSet = 0
    owner: PermissionSet = 0
    site_owner: PermissionSet = 0
    participant: PermissionSet = 0  # of the huddle concerned
    attendee: PermissionSet = 0  # who the thing is about
    sole_author: PermissionSet = 0  # an owner, if nobody else has written in it
    by_role: PermissionSet = 0  # as far as a role grants them; all to owners of the microcosm


_NONE: Final = _TypeRights()
_ROWS: Final = {
    itemtypes.SITE: _TypeRights(everybody=READ, site_owner=CREATE | UPDATE | DELETE),
    itemtypes.MICROCOSM: _TypeRights(by_role=RIGHTS),
    itemtypes.PROFILE: _TypeRights(everybody=READ, owner=CREATE | UPDATE, site_owner=CRUD),
    itemtypes.COMMENT: _TypeRights(owner=CRUD, by_role=RIGHTS),
    itemtypes.HUDDLE: _TypeRights(participant=CRUD),
    **dict.fromkeys(
        itemtypes.IN_MICROCOSM,
        _TypeRights(owner=CREATE | READ | UPDATE, sole_author=DELETE, by_role=RIGHTS),
    ),
    itemtypes.ATTENDEE: _TypeRights(owner=CREATE | READ | UPDATE, attendee=DELETE, by_role=RIGHTS),
    itemtypes.USER: _TypeRights(owner=READ | UPDATE, site_owner=READ | UPDATE),
    itemtypes.UPDATE: _TypeRights(owner=READ | UPDATE | DELETE),
    itemtypes.ROLE: _TypeRights(site_owner=RIGHTS),
    itemtypes.WATCHER: _TypeRights(owner=CRUD, site_owner=CRUD),
}
# Rows of comments by the type of what they are on, of a site whose members create microcosms, and of a huddle to come.
_COMMENT_ROWS: Final = {
    itemtypes.PROFILE: _TypeRights(everybody=READ, owner=CRUD, site_owner=CRUD),
    itemtypes.HUDDLE: _TypeRights(owner=UPDATE | DELETE, participant=CREATE | READ),
}
_OPEN_SITE: Final = _TypeRights(everybody=CREATE | READ, site_owner=UPDATE | DELETE)
_NEW_HUDDLE: Final = _TypeRights(everybody=CREATE)


def effective(
    principal: Principal, target: Target, tree: Tree, *, members_create_microcosms: bool = False
) -> PermissionSet:
    """Return the permission set of `principal` on `target` (platform 5.4, steps 1 to 9).

    `tree`: the microcosms and roles of the site. `members_create_microcosms`: the site lets every member create
    microcosms.
    """
    kind = target.item_type
    if not principal.sees_huddles and target.is_participant:
        target = target._replace(is_participant=False)
    is_guest = principal.profile_id == 0
    can = GUEST if is_guest else 0
    if is_guest and kind == itemtypes.SITE:
        return can | READ
    if principal.is_site_banned:
        own_profile = kind == itemtypes.PROFILE and target.item_id == principal.profile_id
        return can | BANNED | (READ if kind == itemtypes.SITE or own_profile else 0)
    if not kind and (target.item_id or not target.microcosm_id):
        return can
    microcosm_id = 0 if kind in _NOWHERE else target.microcosm_id
    rights = 0
    microcosm_owner = site_owner = principal.is_site_owner
    if microcosm_id:
        access = tree.access(principal.role_ids, is_limited=principal.is_limited)
        rights = access.rights.get(microcosm_id, 0)
        if rights & BANNED and not site_owner:
            return can | BANNED
        rights &= ~BANNED
        node = tree.nodes.get(microcosm_id)
        if node is not None and not is_guest and not principal.is_limited:
            microcosm_owner |= principal.profile_id in (node.owned_by, node.created_by)
    owner = not is_guest and principal.profile_id in target.owner_ids
    row = _ROWS.get(kind, _NONE)
    if kind == itemtypes.COMMENT:
        row = _COMMENT_ROWS.get(target.parent_type, row)
        owner = owner and (target.is_participant or target.parent_type != itemtypes.HUDDLE)
    elif kind == itemtypes.HUDDLE:
        owner = owner and target.is_participant
        if not target.item_id:
            row = _NONE if is_guest else _NEW_HUDDLE
    elif kind == itemtypes.SITE:
        owner = site_owner
        row = _OPEN_SITE if members_create_microcosms else row
    elif kind == itemtypes.USER:
        owner = bool(principal.user_id) and principal.user_id == target.user_id
    can |= row.everybody
    if row.by_role:
        can |= row.by_role & (RIGHTS if microcosm_owner else rights)
    if site_owner:
        can |= SITE_OWNER | row.site_owner
    if owner:
        can |= OWNER | row.owner
        if not target.others_wrote:
            can |= row.sole_author
    if microcosm_owner or rights & MODERATOR:
        can |= MODERATOR
    if target.is_participant:
        can |= row.participant
    if target.is_attendee:
        can |= row.attendee
    if rights & _SILENCED and not site_owner:
        can &= ~_SPEECH
    return can


def moderated(principal: Principal, tree: Tree) -> tuple[tuple[int, ...], bool]:
    """Return (ids, on profiles): the ids of the live microcosms whose contents `principal` may moderate, in the tree's
    order, () for none; and True if `principal` may moderate comments on profiles, as only the site's owner may. A
    caller banned from the site moderates nothing.
    """
    on_profiles = effective(
        principal, Target(itemtypes.COMMENT, parent_type=itemtypes.PROFILE), tree
    )
    ids = []
    for id in tree.order:
        node = tree.nodes[id]
        target = Target(itemtypes.MICROCOSM, id, id, (node.owned_by, node.created_by))
        if node.is_live and effective(principal, target, tree) & _MODERATES == _MODERATES:
            ids.append(id)
    return tuple(ids), on_profiles & _MODERATES == _MODERATES


def moderates(principal: Principal, tree: Tree) -> bool:
    """Return True if `principal` may moderate anything, without a walk through the tree as `moderated` does it.

    A moderator who is silenced counts too, whom `moderated` leaves out.
    """
    if principal.is_site_banned or not principal.profile_id:
        return False
    if principal.is_site_owner:
        return True
    access = tree.access(principal.role_ids, is_limited=principal.is_limited)
    if access.moderates or principal.is_limited:
        return access.moderates
    return any(
        tree.nodes[id].is_live and not access.rights.get(id, 0) & BANNED
        for id in tree.owned.get(principal.profile_id, ())
    )
