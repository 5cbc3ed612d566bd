"""Rights of phpBB as roles of each forum: who may read, write and moderate, worked out as the board itself does.

An option is a yes where a group or the person has a yes and none a never. Groups become roles with their own rights in
each forum; where that would give somebody more or less than the board does, roles of the one forum name the people.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from forumapi.porting.dump_rows import Value
from forumapi.porting.layout import ForumPermissions, PortedRef, PortedRole
from forumapi.porting.source import Source

GUESTS: Final = 1
REGISTERED: Final = 2
BOTS: Final = 6
_YES: Final = 1
_NEVER: Final = 0
_MODERATES: Final = ("m_edit", "m_delete", "m_approve", "m_lock")
_OPTIONS: Final = (
    *("f_read", "f_post", "f_reply", "f_edit", "f_delete", "f_user_lock", "f_noapprove"),
    *_MODERATES,
)
_PLACES: Final = {name: 1 << place for place, name in enumerate(_OPTIONS)}
_READ: Final = _PLACES["f_read"]
_MODERATOR: Final = sum(_PLACES[name] for name in _MODERATES)
# Options that roles here can say.
_SAYABLE: Final = sum(
    _PLACES[name]
    for name in (
        *("f_read", "f_post", "f_reply", "f_edit", "f_delete", "f_user_lock", "m_edit", "m_delete"),
    )
)

Rights = int
"""Bits of _OPTIONS."""


class ForumAccess(NamedTuple):
    """Rights in one forum: its roles, its moderators, and True if new posts wait for one of them."""

    roles: tuple[PortedRole, ...]
    moderators: tuple[PortedRef, ...]
    is_moderated: bool


class _Grants(NamedTuple):
    """Options with a yes, and those with a never."""

    yes: Rights = 0
    never: Rights = 0

    def plus(self, other: _Grants) -> _Grants:
        return _Grants(self.yes | other.yes, self.never | other.never)

    def result(self) -> Rights:
        rights = self.yes & ~self.never
        return rights if rights & _READ else 0


_NOTHING: Final = _Grants()


class PhpbbRights:
    """Rights of a board's people in its forums."""

    def __init__(self, source: Source, people: Iterable[int]) -> None:
        self._groups = _memberships(source)
        options = {
            row["auth_option_id"]: _PLACES[str(row["auth_option"])]
            for row in source.rows("acl_options", ("auth_option_id", "auth_option"))
            if row["auth_option"] in _PLACES
        }
        roles: dict[Value, _Grants] = defaultdict(_Grants)
        for row in source.rows("acl_roles_data", ("role_id", "auth_option_id", "auth_setting")):
            granted = _granted(options.get(row["auth_option_id"], 0), row["auth_setting"])
            roles[row["role_id"]] = roles[row["role_id"]].plus(granted)
        self._of_groups = _entries(source, "acl_groups", "group_id", options, roles)
        self._of_people = _entries(source, "acl_users", "user_id", options, roles)
        own = {id for id, _ in self._of_people}
        # People with the same groups and no entries of their own have the same rights.
        self._alike: dict[tuple[frozenset[int], int], list[int]] = defaultdict(list)
        for person in people:
            groups = self._groups.get(person, frozenset())
            self._alike[groups, person if person in own else 0].append(person)

    def of(self, forum: int, name: str, *, is_locked_away: bool = False) -> ForumAccess:
        """Work out the roles of a forum. `is_locked_away`: it has a password, so that moderators alone get in."""
        exact = {key: self._rights(forum, *key) for key in self._alike}
        moderators = [
            person
            for key, rights in exact.items()
            if rights & _MODERATOR == _MODERATOR
            for person in self._alike[key]
        ]
        refs = _refs(moderators)
        if is_locked_away:
            by_rights = {
                key: rights for key, rights in exact.items() if rights & _MODERATOR == _MODERATOR
            }
            return ForumAccess(tuple(self._named(forum, name, by_rights)), refs, False)
        groups = {
            group: self._rights(forum, frozenset((group,)), 0)
            for group in {group for group, at in self._of_groups if at in (0, forum)} - {BOTS}
        }
        newcomer = groups.get(REGISTERED, 0)
        is_moderated = bool(newcomer & _PLACES["f_post"] and not newcomer & _PLACES["f_noapprove"])
        listed = [
            PortedRole(
                id=str(group), forum_permissions=_permissions(rights, is_guest=group == GUESTS)
            )
            for group, rights in sorted(groups.items())
            if rights & _READ
        ]
        lacking: dict[tuple[frozenset[int], int], Rights] = {}
        barred: list[int] = []
        for key, rights in exact.items():
            given = groups.get(REGISTERED, 0)
            for group in key[0] - {GUESTS, BOTS}:
                given |= groups.get(group, 0)
            given &= _SAYABLE
            if given & ~rights:
                if rights:
                    # A part of what a group gives can't be taken away: people are named one by one.
                    guests = [role for role in listed if role.id == str(GUESTS)]
                    return ForumAccess(
                        (*guests, *self._named(forum, name, exact)), refs, is_moderated
                    )
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
        return ForumAccess(tuple(listed), refs, is_moderated)

    def members(self, group: int) -> Iterator[int]:
        """Yield the people in a group."""
        for (groups, _), people in self._alike.items():
            if group in groups:
                yield from people

    def groups(self, person: int) -> frozenset[int]:
        """Return the groups that a person is in."""
        return self._groups.get(person, frozenset())

    def _rights(self, forum: int, groups: frozenset[int], person: int) -> Rights:
        grants = _NOTHING
        for at in (0, forum):
            for group in groups:
                grants = grants.plus(self._of_groups.get((group, at), _NOTHING))
            if person:
                grants = grants.plus(self._of_people.get((person, at), _NOTHING))
        return grants.result()

    def _named(
        self, forum: int, name: str, wanted: Mapping[tuple[frozenset[int], int], Rights]
    ) -> Iterator[PortedRole]:
        """Yield a role of this forum for all who have the same rights."""
        people: dict[ForumPermissions, list[int]] = defaultdict(list)
        for key, rights in wanted.items():
            if rights & _READ:
                people[_permissions(rights)] += self._alike[key]
        for number, (permissions, members) in enumerate(people.items(), 1):
            yield PortedRole(
                id=f"forum-{forum}-{number}",
                name=f"People of {name}",
                forum_permissions=permissions,
                users=_refs(members),
            )


def _memberships(source: Source) -> dict[int, frozenset[int]]:
    """Return the groups whose rights each person has: those who wait for one are not in it yet."""
    spared = (
        {row["group_id"] for row in source.rows("groups", ("group_id",), group_skip_auth=1)}
        if "group_skip_auth" in source.tables.get("groups", ())
        else set()
    )
    found: dict[int, set[int]] = defaultdict(set)
    columns = ("group_id", "user_id", "group_leader", "user_pending")
    for row in source.rows("user_group", columns):
        is_spared = row["group_leader"] and row["group_id"] in spared
        if not row["user_pending"] and not is_spared:
            found[int(row["user_id"] or 0)].add(int(row["group_id"] or 0))
    same: dict[frozenset[int], frozenset[int]] = {}
    frozen = {person: frozenset(groups) for person, groups in found.items()}
    return {person: same.setdefault(groups, groups) for person, groups in frozen.items()}


def _entries(
    source: Source,
    table: str,
    key: str,
    options: Mapping[Value, Rights],
    roles: Mapping[Value, _Grants],
) -> dict[tuple[int, int], _Grants]:
    """Read the entries of groups or people, by id and forum; forum 0 counts everywhere."""
    found: dict[tuple[int, int], _Grants] = defaultdict(_Grants)
    columns = (key, "forum_id", "auth_option_id", "auth_role_id", "auth_setting")
    for row in source.rows(table, columns):
        place = int(row[key] or 0), int(row["forum_id"] or 0)
        if row["auth_role_id"]:
            granted = roles.get(row["auth_role_id"], _NOTHING)
        else:
            granted = _granted(options.get(row["auth_option_id"], 0), row["auth_setting"])
        if not place[1]:
            # Only rights of moderators count in all forums.
            granted = _Grants(granted.yes & _MODERATOR, granted.never & _MODERATOR)
        found[place] = found[place].plus(granted)
    return dict(found)


def _granted(option: Rights, setting: Value) -> _Grants:
    if setting == _YES:
        return _Grants(option, 0)
    return _Grants(0, option) if setting == _NEVER else _NOTHING


def _permissions(rights: Rights, *, is_guest: bool = False) -> ForumPermissions:
    def has(name: str) -> bool:
        return bool(rights & _PLACES[name])

    if is_guest:
        return ForumPermissions(can_view=has("f_read"))
    return ForumPermissions(
        can_view=has("f_read"),
        can_post_new=has("f_post"),
        can_reply=has("f_reply"),
        can_edit_own=has("f_edit"),
        can_delete_own=has("f_delete"),
        can_edit_others=has("m_edit"),
        can_delete_others=has("m_delete"),
        can_close_own=has("f_user_lock"),
    )


def _refs(people: Iterable[int]) -> tuple[PortedRef, ...]:
    return tuple(PortedRef(id=str(person)) for person in sorted(people))
