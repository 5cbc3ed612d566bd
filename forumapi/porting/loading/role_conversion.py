"""Conversion of an old forum's roles into roles of each microcosm, which never give more than the old ones did.

- A right that several rights of the old forum share here is given only to those who had all of them: `create` is both
  to begin a conversation and to answer, and no right counts without the right to view.
- A moderator here moderates and reads everything below too. Somebody who did not moderate all forums below gets the
  rights of a moderator in this forum alone, in a role of the ordinary kind. To a forum that inherits its roles no
  such role is added.
- A microcosm with roles of its own inherits none. One in which nobody may do anything has a role without rights.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from forumapi.porting.layout import ForumPermissions, PortedCriterion, PortedForum, PortedRole

# Columns of a role's rights.
RIGHTS: Final = (
    "can_create",
    "can_read",
    "can_update",
    "can_delete",
    "can_close_own",
    "can_open_own",
    "can_read_others",
)
ALL: Final = frozenset(RIGHTS)
MODERATORS: Final = "Moderators"
NOBODY: Final = "Nobody"


class Grant(NamedTuple):
    """Role of a microcosm, to be inserted. `key`: name under which the import keeps it, unique in the forum, such as
    `role:<old id>`; `rights`: names of the columns of RIGHTS, such as "can_read", that it gives; `is_moderator`: people
    in it moderate; `is_banned`: people in it are kept out. `include_guests`, `include_users`: all guests or all members
    are in it; `members`: old ids of the people who are named in it; `criteria`: conditions by which further people are
    in it.
    """

    key: str
    title: str
    rights: frozenset[str] = frozenset()
    is_moderator: bool = False
    is_banned: bool = False
    include_guests: bool = False
    include_users: bool = False
    members: tuple[str, ...] = ()
    criteria: tuple[PortedCriterion, ...] = ()


class ForumRights(NamedTuple):
    """Roles of one forum. `grants`: roles of its microcosm, None or () for none; without one among them that neither
    moderates nor bans, the microcosm inherits such roles from the one above.

    `reduced`: old ids of moderators who do not moderate everywhere below the forum, and have their rights in this forum
    alone; `without_rights`: old ids of such moderators who get no rights, since the forum inherits its roles.
    """

    grants: tuple[Grant, ...] | None
    reduced: tuple[str, ...] = ()
    without_rights: tuple[str, ...] = ()


class Allowed(NamedTuple):
    """People who may do something in a forum. `guests`, `members`: True if all guests or all members may; `people`: old
    ids of further people who may.
    """

    guests: bool
    members: bool
    people: frozenset[str]


class Rights:
    """Roles and moderators of all forums of an import. `roles`: those of the stream `roles`; `forums`: all forums,
    those of parents included.
    """

    def __init__(self, roles: Iterable[PortedRole], forums: Sequence[PortedForum]) -> None:
        self._roles = {role.id: role for role in roles}
        self._forums = {forum.id: forum for forum in forums}
        self._below: dict[str, list[str]] = {}
        for forum in forums:
            if forum.parent_id:
                self._below.setdefault(forum.parent_id, []).append(forum.id)
        self._moderators = {forum.id: self._moderators_of(forum) for forum in forums}

    def of(self, forum: PortedForum) -> ForumRights:
        """Return the roles that the microcosm of a forum, one of `forums`, gets; `grants` None if it has none of its
        own and inherits those of the microcosm above it.
        """
        own = self._listed(forum)
        moderators = self._moderators[forum.id]
        if own is None and not moderators:
            return ForumRights(None)
        grants = [grant for role in own or () if (grant := self._grant(role)) is not None]
        full = [id for id in moderators if self._moderates_below(forum.id, id)]
        others = [id for id in moderators if id not in full]
        # A role for them would end the inheritance.
        having = moderators if own is not None else self._inherited(forum)
        reduced = tuple(id for id in others if id in having)
        without_rights = tuple(id for id in others if id not in having)
        if full:
            grants.append(
                Grant("moderators", MODERATORS, ALL, is_moderator=True, members=tuple(full))
            )
        if reduced and own is not None:
            grants.append(Grant("moderators-here", MODERATORS, ALL, members=reduced))
        if own is not None and not any(_is_plain(grant) for grant in grants):
            grants.append(Grant("nobody", NOBODY))
        return ForumRights(tuple(grants), reduced, without_rights)

    def _inherited(self, forum: PortedForum) -> Collection[str]:
        """Return the old ids of the moderators of the forum whose roles `forum` inherits, in any order; () if no forum
        above it has roles of its own.
        """
        above = self._forums.get(forum.parent_id)
        while above is not None and self._listed(above) is None:
            above = self._forums.get(above.parent_id)
        return self._moderators[above.id] if above is not None else ()

    def allowed(
        self, forum: PortedForum, has: Callable[[ForumPermissions], bool]
    ) -> Allowed | None:
        """Return who may do something in a forum according to the source, moderators, criteria and bans left aside;
        roles that do not let people view the forum give nothing. None if neither the forum nor any above it lists
        roles. `has`: function that is called with a role's permissions and returns True if they include the thing.
        """
        own = self._listed(forum)
        if own is None:
            parent = self._forums.get(forum.parent_id)
            return self.allowed(parent, has) if parent else None
        giving = [
            role
            for role in own
            if role.forum_permissions.can_view
            and has(role.forum_permissions)
            and not role.is_banned
        ]
        return Allowed(
            any(role.include_guests for role in giving),
            any(role.include_registered_users for role in giving),
            frozenset(user.id for role in giving for user in role.users),
        )

    def moderators(self, forum: PortedForum) -> Collection[str]:
        """Return the old ids of those who moderate a forum, one of `forums`, by name or by a role, in any order;
        without people who may not view it, or whom a banned role keeps out, where roles are listed.
        """
        return self._moderators[forum.id]

    def barred(self, forum: PortedForum) -> frozenset[str]:
        """Return the old ids of people who are named in a banned role of the forum, or of one above it. A forum where a
        banned role holds all members adds nobody, since by its roles nobody has rights there.
        """
        own = self._listed(forum) or ()
        parent = self._forums.get(forum.parent_id)
        above = self.barred(parent) if parent else frozenset[str]()
        return above | {user.id for role in own if role.is_banned for user in role.users}

    def _listed(self, forum: PortedForum) -> tuple[PortedRole, ...] | None:
        """Return the source's roles that count in `forum`, with their rights there; None if `forum` inherits those of
        the forum above, or is at the top and the source has no roles.
        """
        if forum.usergroups is None:
            if forum.parent_id or not self._roles:
                return None
            return _without_barred([role for role in self._roles.values() if role.default])
        listed = [self._complete(role) for role in forum.usergroups]
        if not forum.usergroups_only:
            named = {role.id for role in listed}
            listed += [
                role for role in self._roles.values() if role.default and role.id not in named
            ]
        return _without_barred(listed)

    def _complete(self, listed: PortedRole) -> PortedRole:
        """Return `listed`, a role as a forum lists it, with the members and criteria of the role of the stream `roles`
        that has its id; the rights stay those of `listed`. The result is banned or moderating if either role is.
        Without a role of this id return `listed` unchanged.
        """
        role = self._roles.get(listed.id)
        if role is None:
            return listed
        return PortedRole(
            id=role.id,
            name=listed.name or role.name,
            is_banned=role.is_banned or listed.is_banned,
            is_moderator=role.is_moderator or listed.is_moderator,
            include_registered_users=role.include_registered_users,
            include_guests=role.include_guests,
            forum_permissions=listed.forum_permissions,
            users=role.users,
            criteria=role.criteria,
        )

    def _grant(self, role: PortedRole) -> Grant | None:
        """Return the role of a microcosm for a role of the old forum; None if that role gives or forbids nobody
        anything.
        """
        rights = _rights(role.forum_permissions)
        is_somebody = role.users or role.criteria
        everybody = role.include_guests or role.include_registered_users
        if role.is_banned:
            # All members at once are kept out by the rights that others do not give them.
            if not is_somebody:
                return None
            rights = frozenset()
        elif not rights or not (is_somebody or everybody):
            return None
        return Grant(
            f"role:{role.id or role.name}",
            role.name or "Members",
            rights,
            is_banned=role.is_banned,
            include_guests=role.include_guests and not role.is_banned,
            include_users=role.include_registered_users and not role.is_banned,
            members=tuple(dict.fromkeys(user.id for user in role.users)),
            criteria=role.criteria,
        )

    def _moderators_of(self, forum: PortedForum) -> dict[str, None]:
        """Return the old ids of those who moderate a forum, by name or by a role, as keys in their order; those who may
        not view the forum, or whom a banned role keeps out, are left out, unless neither it nor a forum above it lists
        roles.
        """
        own = self._listed(forum)
        wanted = dict.fromkeys(one.id for one in forum.moderators)
        for role in own or ():
            if role.is_moderator and role.forum_permissions.can_view:
                wanted |= dict.fromkeys(user.id for user in role.users)
        seen = self.allowed(forum, lambda rights: rights.can_view)
        if seen is None:
            return wanted
        _, everybody, people = seen
        barred = self.barred(forum)
        return {id: None for id in wanted if (everybody or id in people) and id not in barred}

    def _moderates_below(self, forum_id: str, person: str) -> bool:
        waiting = list(self._below.get(forum_id, ()))
        seen: set[str] = set()
        while waiting:
            id = waiting.pop()
            if id in seen:
                continue
            seen.add(id)
            has_own = self._listed(self._forums[id]) is not None
            if has_own and person not in self._moderators[id]:
                return False
            waiting += self._below.get(id, ())
        return True


def _rights(allowed: ForumPermissions) -> frozenset[str]:
    if not allowed.can_view:
        return frozenset()
    given = {
        "can_read": True,
        "can_read_others": True,
        "can_create": allowed.can_post_new and allowed.can_reply,
        "can_update": allowed.can_edit_others,
        "can_delete": allowed.can_delete_others,
        "can_close_own": allowed.can_close_own,
        "can_open_own": allowed.can_open_own,
    }
    return frozenset(name for name, is_given in given.items() if is_given)


def _without_barred(listed: Sequence[PortedRole]) -> tuple[PortedRole, ...]:
    """Return a forum's roles, without guests in all of them if a banned role holds all guests, and without any members,
    named ones and those by criteria too, if a banned role holds all members; in the latter case the banned roles are
    left out.
    """
    barring = [role for role in listed if role.is_banned]
    no_guests = any(role.include_guests for role in barring)
    no_members = any(role.include_registered_users for role in barring)
    if not no_guests and not no_members:
        return tuple(listed)
    return tuple(
        msgspec.structs.replace(
            role,
            include_guests=role.include_guests and not no_guests,
            include_registered_users=role.include_registered_users and not no_members,
            users=() if no_members else role.users,
            criteria=() if no_members else role.criteria,
        )
        for role in listed
        if not role.is_banned or not no_members
    )


def _is_plain(grant: Grant) -> bool:
    return not grant.is_moderator and not grant.is_banned


def columns(grant: Grant) -> Mapping[str, bool]:
    """Return for a role True or False by name of each column of table `roles` that holds a right."""
    return {name: name in grant.rights for name in RIGHTS}


def members(grants: Iterable[Grant]) -> Collection[str]:
    """Return the old ids of all people named in these roles, each once, in any order."""
    return {id for grant in grants for id in grant.members}
