"""Canonical form of the rights in a forum's documents: who may do what in each forum, whatever roles say so.

A role has no canonical form of its own, since platforms spread the same rights over different roles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from forumapi.porting.layout import ForumPermissions, PortedForum, PortedRole

GUESTS: Final = "guests"
MEMBERS: Final = "members"
RIGHTS: Final = ("view", "create", "edit", "delete", "close own", "open own")
MODERATE: Final = "moderate"

_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class CanonicalRights(msgspec.Struct, frozen=True):
    """Rights in one forum. `has`: for each of "view", "create", "edit", "delete" (others' texts), "close own", "open
    own" and "moderate", the sorted names of those who have it: "guests" for all guests, "members" for all members, and,
    unless "members" is there, canonical ids of profiles and roles' criteria as text; [] for nobody. `barred`: the
    sorted names of those who are kept out.
    """

    has: dict[str, list[str]]
    barred: list[str]


class RightsFolder:
    """Converter of roles and forums into CanonicalRights. `person`: function that is called with a profile's id in the
    documents and returns its canonical id, "" for an unknown one.
    """

    def __init__(self, person: Callable[[str], str]) -> None:
        self._person = person
        self._roles: dict[str, PortedRole] = {}
        # Roles, and moderators by name, of the forums so far: those that a forum below may take over.
        self._listed: dict[str, tuple[PortedRole, ...]] = {}
        self._moderators: dict[str, frozenset[str]] = {}

    def add_role(self, role: PortedRole) -> None:
        """Add a role of the stream `roles`. All such roles have to be added before the first call of `fold`."""
        self._roles[role.id] = role

    def fold(self, forum: PortedForum) -> CanonicalRights:
        """Return the rights that people have in a forum. Call `fold` for the forum's parent first, whose roles and
        moderators the forum may inherit.
        """
        listed = self._listed[forum.id] = self._own(forum)
        barred = {
            name for role in listed if role.is_banned for name in self._people(role, with_all=True)
        }
        has: dict[str, set[str]] = {right: set() for right in (*RIGHTS, MODERATE)}
        named = {self._person(one.id) for one in forum.moderators}
        if forum.usergroups is None:
            named |= self._moderators.get(forum.parent_id, frozenset())
        for role in listed:
            if role.is_banned:
                continue
            people = self._people(role, with_all=True)
            for right in _rights(role.forum_permissions):
                has[right] |= people
            if role.is_moderator and role.forum_permissions.can_view:
                named |= self._people(role, with_all=False)
        seen = has["view"]
        moderators = {name for name in named - {""} - barred if MEMBERS in seen or name in seen}
        self._moderators[forum.id] = frozenset(moderators)
        for names in has.values():
            names |= moderators
            names -= barred
        return CanonicalRights(
            {right: _sorted(names) for right, names in has.items()}, sorted(barred)
        )

    def _own(self, forum: PortedForum) -> tuple[PortedRole, ...]:
        defaults = [role for role in self._roles.values() if role.default]
        if forum.usergroups is None:
            return self._listed.get(forum.parent_id, tuple(defaults))
        listed = [self._complete(role) for role in forum.usergroups]
        if not forum.usergroups_only:
            named = {role.id for role in listed}
            listed += [role for role in defaults if role.id not in named]
        return tuple(listed)

    def _complete(self, listed: PortedRole) -> PortedRole:
        """Return the role of the stream `roles` with the id of `listed`, a role that a forum lists, with the rights
        that `listed` gives in place of its own; nothing else of `listed` counts. Without such a role `listed` itself.
        """
        role = self._roles.get(listed.id)
        if role is None:
            return listed
        return msgspec.structs.replace(role, forum_permissions=listed.forum_permissions)

    def _people(self, role: PortedRole, *, with_all: bool) -> set[str]:
        found = {name for one in role.users if (name := self._person(one.id))}
        if with_all:
            found |= {GUESTS} if role.include_guests else set()
            found |= {MEMBERS} if role.include_registered_users else set()
            if role.criteria:
                found.add(_condition(role))
        return found


def _rights(allowed: ForumPermissions) -> Iterable[str]:
    if not allowed.can_view:
        return ()
    given = (
        True,
        allowed.can_post_new and allowed.can_reply,
        allowed.can_edit_others,
        allowed.can_delete_others,
        allowed.can_close_own,
        allowed.can_open_own,
    )
    return [right for right, is_given in zip(RIGHTS, given, strict=True) if is_given]


def _condition(role: PortedRole) -> str:
    """Return the criteria of a role as text, equal for equal criteria in any order and notation of numbers."""
    parts = [
        [
            one.or_group,
            one.key,
            one.predicate,
            one.value if isinstance(one.value, (bool, str)) else float(one.value),
        ]
        for one in role.criteria
    ]
    return _encode(sorted(parts, key=_encode)).decode()


def _sorted(names: set[str]) -> list[str]:
    """Return names of those who have a right, sorted; if "members" is among them, only that, and "guests" if among them
    too.
    """
    return sorted(names & {GUESTS, MEMBERS} if MEMBERS in names else names)
