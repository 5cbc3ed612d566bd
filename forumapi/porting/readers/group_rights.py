"""Conversion of rights that a board gives to groups into roles of each forum, so that the same people read, write and
moderate as before.

Groups become roles with their own rights in each forum; where that would give somebody more or less than the board
does, roles of the one forum name the people.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from forumapi.porting.layout import ForumPermissions, PortedRef, PortedRole

Rights = int
"""Bits of what somebody may do in a forum: those of the constants from READ on, 0 for nothing."""

READ, POST, REPLY, EDIT, DELETE, LOCK, UNCHECKED = (1 << place for place in range(7))
"""Reading; topics, answers; changes, removal and locks of one's own; posts that wait for nobody."""
EDIT_ANY, DELETE_ANY, APPROVE, LOCK_ANY = (1 << place for place in range(7, 11))
MODERATOR: Final = EDIT_ANY | DELETE_ANY | APPROVE | LOCK_ANY
ALL: Final = (1 << 11) - 1
FILES: Final = 1 << 11
"""Opening the files of posts, for products that give this right apart from reading."""
KEPT_BACK: Final = "onId: not everybody who reads the thread could open its files"
_SAYABLE: Final = READ | POST | REPLY | EDIT | DELETE | LOCK | EDIT_ANY | DELETE_ANY

Key = tuple[frozenset[int], int]
"""People with the same rights: their groups, and the person's id where that counts for itself, else 0."""


class Grants(NamedTuple):
    """Settings for one group or person in one forum, as bits: `yes`, rights given, and `never`, rights denied no matter
    who gives them.
    """

    yes: Rights = 0
    never: Rights = 0

    def plus(self, other: Grants) -> Grants:
        return Grants(self.yes | other.yes, self.never | other.never)

    def result(self) -> Rights:
        rights = self.yes & ~self.never
        return rights if rights & READ else 0


NOTHING: Final = Grants()


class ForumAccess(NamedTuple):
    """Rights in one forum as the layout has them. `roles`: value for the field `usergroups` of the forum's document;
    `moderators`: people who moderate it; `holds_posts`: new posts of members wait for a moderator.
    """

    roles: tuple[PortedRole, ...]
    moderators: tuple[PortedRef, ...]
    holds_posts: bool


class GroupRights:
    """Base class of a board's rights: what the people and groups of the board may do in each forum. A product's class
    overrides `granted` and `groups_at`.

    `guests`: id of the group of those who are not signed in; `everybody`: id of the group that stands for all members.
    """

    def __init__(
        self,
        people: Iterable[int],
        memberships: Mapping[int, frozenset[int]],
        singular: Collection[int],
        *,
        guests: int,
        everybody: int,
    ) -> None:
        """Put together the people who have the same rights. `people`: ids of all of them; `memberships`: ids of the
        groups that each is in, by person's id; `singular`: ids of people with rights set for themselves, each of whom
        is kept apart. `guests`: id of the group of those who are not signed in; `everybody`: id of the group that
        stands for all members.
        """
        self._memberships = memberships
        self._guests = guests
        self._everybody = everybody
        self._alike: dict[Key, list[int]] = defaultdict(list)
        for person in people:
            groups = memberships.get(person, frozenset())
            self._alike[groups, person if person in singular else 0].append(person)

    def granted(self, forum: int, groups: frozenset[int], person: int) -> Rights:
        """Return the rights in the forum with this id of somebody in exactly these groups (ids), 0 for none; `person`:
        their id where rights are set for themselves, else 0.
        """
        raise NotImplementedError

    def groups_at(self, forum: int) -> Collection[int]:
        """Return the ids of the groups that may have rights in a forum, wherever these are set, guests, all members and
        administrators among them; without groups that stand for nobody, such as bots.

        Groups without rights there do no harm. The people of a group left out get a role that names them, but guests,
        and whoever joins later, get none.
        """
        raise NotImplementedError

    def groups(self, person: int) -> frozenset[int]:
        """Return the ids of the groups that a person is in; an empty set for an unknown person."""
        return self._memberships.get(person, frozenset())

    def members(self, group: int) -> Iterator[int]:
        """Yield the ids of the people in a group, each once, in any order; nothing for an unknown group."""
        for (groups, _), people in self._alike.items():
            if group in groups:
                yield from people

    def all_have(self, right: Rights, forum: int, *, is_locked_away: bool = False) -> bool:
        """Return True if everybody who reads a forum has the right `right`, one of the module's constants, there,
        guests and new members among them; also if nobody reads the forum. `is_locked_away`: the forum has a password,
        so that moderators alone read it.
        """
        needed = READ | (MODERATOR if is_locked_away else 0)
        newcomers = ((frozenset((group,)), 0) for group in (self._guests, self._everybody))
        found = (self.granted(forum, *key) for key in {*self._alike, *newcomers})
        return all(rights & right for rights in found if rights & needed == needed)

    def of(self, forum: int, name: str, *, is_locked_away: bool = False) -> ForumAccess:
        """Return who may do what in the forum with this id, in the layout's form. `name`: the forum's, for the titles
        of roles that exist in this forum alone; `is_locked_away`: it has a password, so that moderators alone get in.
        """
        exact = {key: self.granted(forum, *key) for key in self._alike}
        moderating = {
            key: rights for key, rights in exact.items() if rights & MODERATOR == MODERATOR
        }
        refs = _refs(person for key in moderating for person in self._alike[key])
        if is_locked_away:
            return ForumAccess(tuple(self._named(forum, name, moderating)), refs, False)
        groups = {
            group: self.granted(forum, frozenset((group,)), 0) for group in self.groups_at(forum)
        }
        newcomer = groups.get(self._everybody, 0)
        holds_posts = bool(newcomer & POST and not newcomer & UNCHECKED)
        listed = [
            PortedRole(
                id=str(group),
                forum_permissions=_permissions(rights, is_guest=group == self._guests),
            )
            for group, rights in sorted(groups.items())
            if rights & READ
        ]
        lacking: dict[Key, Rights] = {}
        barred: list[int] = []
        for key, rights in exact.items():
            given = newcomer
            for group in key[0] - {self._guests}:
                given |= groups.get(group, 0)
            given &= _SAYABLE
            if given & ~rights:
                if rights:
                    # A part of what a group gives can't be taken away: people are named one by one.
                    guests = (role for role in listed if role.id == str(self._guests))
                    named = self._named(forum, name, exact)
                    return ForumAccess((*guests, *named), refs, holds_posts)
                barred += self._alike[key]
            elif rights & _SAYABLE & ~given:
                lacking[key] = rights
        listed += self._named(forum, name, lacking)
        if barred:
            listed.append(
                PortedRole(
                    id=f"forum-{forum}-out",
                    name=f"Kept out of {name}",
                    is_banned=True,
                    users=_refs(barred),
                )
            )
        return ForumAccess(tuple(listed), refs, holds_posts)

    def _named(self, forum: int, name: str, wanted: Mapping[Key, Rights]) -> Iterator[PortedRole]:
        """Yield a role of this forum for each set of rights among the values of `wanted`, with the people who have it;
        none for people who may not read. `name`: the forum's; `wanted`: rights by the Key of the people who have them.
        """
        people: dict[ForumPermissions, list[int]] = defaultdict(list)
        for key, rights in wanted.items():
            if rights & READ:
                people[_permissions(rights)] += self._alike[key]
        for number, (permissions, members) in enumerate(people.items(), 1):
            yield PortedRole(
                id=f"forum-{forum}-{number}",
                name=f"People of {name}",
                forum_permissions=permissions,
                users=_refs(members),
            )


def _permissions(rights: Rights, *, is_guest: bool = False) -> ForumPermissions:
    if is_guest:
        return ForumPermissions(can_view=bool(rights & READ))
    return ForumPermissions(
        can_view=bool(rights & READ),
        can_post_new=bool(rights & POST),
        can_reply=bool(rights & REPLY),
        can_edit_own=bool(rights & EDIT),
        can_delete_own=bool(rights & DELETE),
        can_edit_others=bool(rights & EDIT_ANY),
        can_delete_others=bool(rights & DELETE_ANY),
        can_close_own=bool(rights & LOCK),
    )


def _refs(people: Iterable[int]) -> tuple[PortedRef, ...]:
    return tuple(PortedRef(id=str(person)) for person in sorted(people))
