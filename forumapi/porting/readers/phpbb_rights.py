"""Rights of phpBB's people in its forums, computed as the board itself does.

A right is given if a group or the person has a "yes" and none of them a "never"; without the right to read no other one
counts. Rights set for a forum count in that forum, moderators' rights also when set for the whole board.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from forumapi.porting.dumps.dump_types import Value
from forumapi.porting.dumps.source import Source
from forumapi.porting.readers import group_rights
from forumapi.porting.readers.group_rights import MODERATOR, NOTHING, Grants, GroupRights, Rights

GUESTS: Final = 1
REGISTERED: Final = 2
BOTS: Final = 6
_YES: Final = 1
_NEVER: Final = 0
_OPTIONS: Final = {
    "f_read": group_rights.READ,
    "f_post": group_rights.POST,
    "f_reply": group_rights.REPLY,
    "f_edit": group_rights.EDIT,
    "f_delete": group_rights.DELETE,
    "f_user_lock": group_rights.LOCK,
    "f_noapprove": group_rights.UNCHECKED,
    "m_edit": group_rights.EDIT_ANY,
    "m_delete": group_rights.DELETE_ANY,
    "m_approve": group_rights.APPROVE,
    "m_lock": group_rights.LOCK_ANY,
}

_Entries = Mapping[tuple[int, int], Grants]


class PhpbbRights(GroupRights):
    """Rights of a phpBB board's people in its forums, read from the tables of `source`. `people`: ids of those who
    become profiles.
    """

    def __init__(self, source: Source, people: Iterable[int]) -> None:
        options = {
            row["auth_option_id"]: _OPTIONS[str(row["auth_option"])]
            for row in source.rows("acl_options", ("auth_option_id", "auth_option"))
            if row["auth_option"] in _OPTIONS
        }
        roles: dict[Value, Grants] = defaultdict(Grants)
        for row in source.rows("acl_roles_data", ("role_id", "auth_option_id", "auth_setting")):
            granted = _granted(options.get(row["auth_option_id"], 0), row["auth_setting"])
            roles[row["role_id"]] = roles[row["role_id"]].plus(granted)
        self._of_groups = _entries(source, "acl_groups", "group_id", options, roles)
        self._of_people = _entries(source, "acl_users", "user_id", options, roles)
        super().__init__(
            people,
            _memberships(source),
            {person for person, _ in self._of_people},
            guests=GUESTS,
            everybody=REGISTERED,
        )

    def granted(self, forum: int, groups: frozenset[int], person: int) -> Rights:
        grants = NOTHING
        for at in (0, forum):
            for group in groups:
                grants = grants.plus(self._of_groups.get((group, at), NOTHING))
            if person:
                grants = grants.plus(self._of_people.get((person, at), NOTHING))
        return grants.result()

    def groups_at(self, forum: int) -> Collection[int]:
        return {group for group, at in self._of_groups if at in (0, forum)} - {BOTS}


def _memberships(source: Source) -> dict[int, frozenset[int]]:
    """Return the ids of the groups whose rights each person has, by the person's id; without groups that the person has
    only applied to, and without groups led by the person whose rights, by the board's setting, do not apply to their
    leaders.
    """
    rows = source.rows("groups", ("group_id", "group_skip_auth"))
    spared = {row["group_id"] for row in rows if row["group_skip_auth"]}
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
    roles: Mapping[Value, Grants],
) -> _Entries:
    """Return the settings for groups or people from `table`, by their id (column `key`) and forum; under forum 0, for
    the whole board, the rights of moderators alone. `options`: rights by option's id; `roles`: what each role's id
    stands for.
    """
    found: dict[tuple[int, int], Grants] = defaultdict(Grants)
    columns = (key, "forum_id", "auth_option_id", "auth_role_id", "auth_setting")
    for row in source.rows(table, columns):
        place = int(row[key] or 0), int(row["forum_id"] or 0)
        if row["auth_role_id"]:
            granted = roles.get(row["auth_role_id"], NOTHING)
        else:
            granted = _granted(options.get(row["auth_option_id"], 0), row["auth_setting"])
        if not place[1]:
            # Only rights of moderators count in all forums.
            granted = Grants(granted.yes & MODERATOR, granted.never & MODERATOR)
        found[place] = found[place].plus(granted)
    return dict(found)


def _granted(option: Rights, setting: Value) -> Grants:
    if setting == _YES:
        return Grants(option, 0)
    return Grants(0, option) if setting == _NEVER else NOTHING
