"""Reader of NodeBB 4 on PostgreSQL, from a dump or a live database, and the folder of its uploads.

NodeBB's tables hold hashes, sets and sorted sets under keys such as `topic:12` and `tid:12:posts`. Times are
milliseconds since 1970, numbers may be text. Groups have names as ids; here they have numbers, in the order in which
they were made.
"""

from __future__ import annotations

import datetime
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from forumapi.porting.dumps.row_values import UNTITLED, as_number, as_text, as_time
from forumapi.porting.dumps.source import Source
from forumapi.porting.layout import (
    Board,
    Loss,
    PortedAlias,
    PortedAssociation,
    PortedAttachment,
    PortedAttribute,
    PortedBan,
    PortedBookmark,
    PortedComment,
    PortedConversation,
    PortedFollow,
    PortedFollowed,
    PortedForum,
    PortedMessage,
    PortedProfile,
    PortedReaction,
    PortedRecipient,
    PortedRef,
    PortedReport,
    PortedRole,
    PortedVersion,
    Unreadable,
)
from forumapi.porting.markup import foreign_markdown
from forumapi.porting.readers import group_rights
from forumapi.porting.readers.group_rights import GroupRights, Rights
from forumapi.porting.readers.table_reader import TableReader

MARKER: Final = "zset"
PREFIX: Final[str | None] = "legacy_"
TABLES: Final = ("hash", "set", "zset")
_Data = Mapping[str, Any]
_UPLOAD = r"(?:https?://[^/\s)]+)?(?:/[\w-]+)?/assets/uploads/"
_MAX_ID: Final = 64
# Beyond the rights that forums have: both are needed to read.
_ACCESS, _TOPICS = 1 << 20, 1 << 21
_PRIVILEGES: Final = {
    "read": _ACCESS,
    "topics:read": _TOPICS,
    "topics:create": group_rights.POST | group_rights.UNCHECKED,
    "topics:reply": group_rights.REPLY,
    "posts:edit": group_rights.EDIT,
    "posts:delete": group_rights.DELETE,
    "moderate": group_rights.MODERATOR,
}
_PRIVILEGE = re.compile(
    r"group:cid:(?P<cid>[0-9]+):privileges:(?P<groups>groups:)?(?P<name>[a-z:]+):members"
)


class _Keys:
    """NodeBB's values by their keys: hashes (JSON objects), sets and sorted sets (values with scores)."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def hash(self, key: str) -> _Data:
        """Return the hash that is stored under a key; {} if there is none, or it is no JSON object."""
        row = next(self._source.rows("hash", ("data",), _key=key), None)
        return _parsed(row["data"]) if row else {}

    def hashes(self, name: str) -> Iterator[tuple[int, _Data]]:
        """Yield (N, hash) for each hash under a key `<name>:N`, N a whole number, by ascending N."""
        pattern = re.compile(rf"{name}:([0-9]{{1,15}})")
        found = []
        for row in self._source.rows("hash", ("_key",)):
            if match := pattern.fullmatch(as_text(row["_key"])):
                found.append(int(match[1]))
        for number in sorted(found):
            yield number, self.hash(f"{name}:{number}")

    def sorted_set(self, key: str) -> list[tuple[str, int]]:
        """Return the members of the sorted set under a key, with their scores, in ascending order of the scores; [] if
        there is none.
        """
        rows = self._source.rows("zset", ("value", "score"), ("score", "value"), _key=key)
        return [(as_text(row["value"]), as_number(row["score"])) for row in rows]

    def matching(
        self, table: str, pattern: str, column: str
    ) -> Iterator[tuple[re.Match[str], str, int]]:
        """Yield, for each value in `column` of those rows of `table` whose key matches the regular expression `pattern`
        as a whole, the match, the value and its score, 0 without one; by ascending key, then score.
        """
        compiled = re.compile(pattern)
        rows = self._source.rows(table, ("_key", column, "score"), ("_key", "score", column))
        for row in rows:
            if match := compiled.fullmatch(as_text(row["_key"])):
                yield match, as_text(row[column]), as_number(row["score"])


class NodebbReader(TableReader):
    """Reader of a NodeBB board's documents. `source`: the board's tables; `files`: folder of its uploads, None without;
    `now`: bans that have ended by then are left out, and topics scheduled for later wait for a moderator; None for the
    present time.
    """

    name: str = "nodebb"
    losses: tuple[Loss, ...] = (
        Loss(subject="passwords", reason="people sign in with a code by mail"),
        Loss(subject="people and posts of other servers", reason="they belong to no member"),
        Loss(subject="public chat rooms", reason="huddles are private"),
        Loss(subject="messages that were deleted", reason="the others did not see them any more"),
        Loss(subject="birthdays and full names", reason="shown there only where people chose so"),
        Loss(subject="polls and other plugins' data", reason="their keys are their own"),
        Loss(subject="tags, drafts, earlier wordings, mutes", reason="not in the layout"),
    )

    def __init__(
        self, source: Source, files: Path | None = None, now: datetime.datetime | None = None
    ) -> None:
        super().__init__(source, files, now)
        self._keys = _Keys(source)
        self._config = self._keys.hash("config")
        self._names: dict[str, str] = {}
        self._people: set[int] = set()
        for id, data in self._keys.hashes("user"):
            if data.get("username"):
                self._people.add(id)
                for name in (as_text(data.get("username")), as_text(data.get("userslug"))):
                    self._names[name.casefold()] = str(id)
        self._rights_of_people: NodebbRights | None = None
        self._addresses = (
            (re.compile(_UPLOAD + r"(?P<path>[^\s)?#]+)"), r"old:attachment/\g<path>"),
            (re.compile(r"(?:\.\./)*/?post/([0-9]+)/?$"), r"old:comment/\1"),
            (re.compile(r"/(?!/)"), f"{self._address()}/"),
        )

    def _address(self) -> str:
        return as_text(self._config.get("url")).rstrip("/")

    def board(self) -> Board:
        address = self._address()
        return Board(
            title=as_text(self._config.get("title")) or "NodeBB",
            description=as_text(self._config.get("description")),
            product=self.name,
            addresses=(address,) if address else (),
            owner=next((str(one) for one in sorted(self._rights().administrators)), ""),
            language=as_text(self._config.get("defaultLang")),
        )

    def counts(self) -> Mapping[str, int]:
        counted = self._keys.hash("global")
        return {
            "profiles": as_number(counted.get("userCount")),
            "conversations": as_number(counted.get("topicCount")),
            "comments": as_number(counted.get("postCount")),
            "messages": as_number(counted.get("messageCount")),
        }

    # People

    def _banned(self) -> dict[int, _Data]:
        """Return the data of each ban that is in force on a person who becomes a profile, by the person's id; {} for a
        ban without data.
        """
        found = {}
        for value, _ in self._keys.sorted_set("users:banned"):
            id = as_number(value)
            ends = as_number(self._keys.hash(f"user:{id}").get("banned:expire"))
            if id in self._people and (not ends or ends > self._now.timestamp() * 1000):
                bans = self._keys.sorted_set(f"uid:{id}:bans:timestamp")
                found[id] = self._keys.hash(bans[-1][0]) if bans else {}
        return found

    def profiles(self) -> Iterator[PortedProfile | Unreadable]:
        banned = self._banned()
        for id, data in self._keys.hashes("user"):
            if id not in self._people:
                continue
            attributes = [
                PortedAttribute(key=key, value=as_text(data[key]))
                for key in ("website", "location")
                if as_text(data.get(key)).strip()
            ]
            if signature := as_text(data.get("signature")):
                value = self._converted(signature)
                attributes.append(PortedAttribute(key="signature", value=value))
            yield PortedProfile(
                id=str(id),
                name=as_text(data["username"]),
                email=as_text(data.get("email")),
                date_created=_time(data.get("joindate")),
                last_active=_time(data.get("lastonline")),
                is_banned=id in banned,
                text=self._converted(as_text(data.get("aboutme"))),
                avatar=_avatar(id, data),
                attributes=tuple(attributes),
            )

    def roles(self) -> Iterator[PortedRole | Unreadable]:
        rights = self._rights()
        for name, number in rights.numbers.items():
            everybody = name in ("guests", "registered-users")
            members = () if everybody else sorted(rights.members(number))
            yield PortedRole(
                id=str(number),
                name=name,
                text=as_text(self._keys.hash(f"group:{name}").get("description")),
                include_guests=name == "guests",
                include_registered_users=name == "registered-users",
                users=tuple(PortedRef(id=str(member)) for member in members),
            )

    def aliases(self) -> Iterator[PortedAlias | Unreadable]:
        for id, data in self._keys.hashes("user"):
            slug = as_text(data.get("userslug")).casefold()
            if id in self._people and 0 < len(slug) < _MAX_ID:
                yield PortedAlias(on_type="profile", on_id=str(id), alias=f"@{slug}")
        for id, data in self._keys.hashes("topic"):
            if target := as_number(data.get("mergeIntoTid")):
                yield PortedAlias(on_type="conversation", on_id=str(target), alias=str(id))

    def follows(self) -> Iterator[PortedFollow | Unreadable]:
        found: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        merged = {str(id) for id, data in self._keys.hashes("topic") if data.get("mergeIntoTid")}
        for match, value, _ in self._keys.matching("set", r"tid:([0-9]+):followers", "member"):
            if match[1] in merged:
                continue
            found[as_number(value)]["topic"].append(match[1])
        for match, value, score in self._keys.matching(
            "zset",
            r"(?:cid:([0-9]+):uid:watch:state|uid:([0-9]+):(ignored_tids|blocked_uids)|following:([0-9]+))",
            "value",
        ):
            if match[1]:
                # 1: ignored, 2: not watched, 3: tracked, 4: watched.
                kind = {1: "not", 4: "forum"}.get(score)
                if kind:
                    found[as_number(value)][kind].append(match[1])
            elif match[2]:
                found[as_number(match[2])][match[3]].append(value)
            else:
                found[as_number(match[4])]["person"].append(value)
        for person, kinds in sorted(found.items()):
            if person not in self._people:
                continue
            yield PortedFollow(
                author=str(person),
                users=tuple(PortedFollowed(id=id) for id in kinds["person"]),
                forums=tuple(PortedFollowed(id=id, notify=True) for id in kinds["forum"]),
                conversations=tuple(PortedFollowed(id=id, notify=True) for id in kinds["topic"]),
                users_ignored=tuple(kinds["blocked_uids"]),
                forums_ignored=tuple(kinds["not"]),
                conversations_ignored=tuple(kinds["ignored_tids"]),
            )

    def bans(self) -> Iterator[PortedBan | Unreadable]:
        for id, data in self._banned().items():
            yield PortedBan(
                profile=str(id),
                date_created=_time(data.get("timestamp")),
                expires=_time(data.get("expire")),
                reason=as_text(data.get("reason")),
            )

    def reports(self) -> Iterator[PortedReport | Unreadable]:
        for id, data in self._keys.hashes("flag"):
            kind = as_text(data.get("type"))
            if kind not in ("post", "user"):
                continue
            for place, (value, score) in enumerate(self._keys.sorted_set(f"flag:{id}:reports")):
                author, _, text = value.partition(";")
                yield PortedReport(
                    id=f"{id}-{place}",
                    on_type="comment" if kind == "post" else "profile",
                    on_id=as_text(data.get("targetId")),
                    author=self._author(author),
                    date_created=_time(score),
                    text=text,
                    is_closed=as_text(data.get("state")) in ("resolved", "rejected"),
                )

    # Categories and what is in them

    def forums(self) -> Iterator[PortedForum | Unreadable]:
        rows = {id: data for id, data in self._keys.hashes("category") if id > 0}
        done: set[int] = set()
        waiting = sorted(rows, key=lambda id: (as_number(rows[id].get("order")), id))
        while waiting:
            later = [id for id in waiting if as_number(rows[id].get("parentCid")) in set(waiting)]
            # What is left is a circle: it stands on top.
            for id in [id for id in waiting if id not in later] or waiting:
                yield self._forum(id, rows[id], done)
                done.add(id)
            waiting = [id for id in waiting if id not in done]

    def _forum(self, id: int, data: _Data, done: Collection[int]) -> PortedForum:
        name = as_text(data.get("name")).strip() or UNTITLED
        link = as_text(data.get("link"))
        parent = as_number(data.get("parentCid"))
        access = self._rights().of(id, name)
        texts = (self._converted(as_text(data.get("description"))), link and f"<{link}>")
        return PortedForum(
            id=str(id),
            parent_id=str(parent) if parent in done else "",
            name=name,
            text="\n\n".join(text for text in texts if text),
            display_order=as_number(data.get("order")),
            is_open=not as_number(data.get("disabled")),
            holds_posts=access.holds_posts,
            is_category=bool(link) or bool(as_number(data.get("isSection"))),
            usergroups=access.roles,
            usergroups_only=True,
            moderators=access.moderators,
        )

    def conversations(self) -> Iterator[PortedConversation | Unreadable]:
        forums = {id for id, _ in self._keys.hashes("category")}
        for id, data in self._keys.hashes("topic"):
            if data.get("mergeIntoTid"):
                continue
            first = self._keys.hash(f"post:{as_text(data.get('mainPid'))}")
            problem = "" if as_number(data.get("cid")) in forums else "forumId: names no forum"
            if problem or not first:
                reason = problem or "has no first post"
                yield Unreadable(kind="conversation", id=str(id), reason=reason)
                continue
            author = self._author(data.get("uid"))
            title = as_text(data.get("title"))
            created = _time(data.get("timestamp"))
            yield PortedConversation(
                id=str(id),
                name=title if title.strip() else UNTITLED,
                forum_id=as_text(data.get("cid")),
                author=author,
                author_name="" if author else as_text(first.get("handle")),
                date_created=created,
                view_count=as_number(data.get("viewcount")),
                is_open=not as_number(data.get("locked")),
                is_sticky=bool(as_number(data.get("pinned"))),
                # Not to be seen before its time.
                is_moderated=bool(data.get("scheduled") and created and created > self._now),
                is_deleted=bool(as_number(data.get("deleted"))),
            )

    def _posts(self) -> Iterator[tuple[int, str, _Data]]:
        """Yield each topic's posts in reading order, without those of other servers: id of the topic, id and data of
        the post.
        """
        for tid, topic in self._keys.hashes("topic"):
            ids = [as_text(topic.get("mainPid"))]
            ids += [id for id, _ in self._keys.sorted_set(f"tid:{tid}:posts")]
            for id in dict.fromkeys(ids):
                # Posts of other servers have addresses for ids.
                if id.isdigit() and (data := self._keys.hash(f"post:{id}")):
                    yield tid, id, data

    def comments(self) -> Iterator[PortedComment | Unreadable]:
        for tid, posts in groupby(self._posts(), key=lambda post: post[0]):
            before: set[str] = set()
            for _, id, data in posts:
                author = self._author(data.get("uid"))
                created = _time(data.get("timestamp"))
                edited = _time(data.get("edited"))
                answered = as_text(data.get("toPid"))
                text = as_text(data.get("sourceContent") or data.get("content"))
                yield PortedComment(
                    id=id,
                    on_id=str(tid),
                    in_reply_to=answered if answered in before else "",
                    author=author,
                    author_name="" if author else as_text(data.get("handle")),
                    date_created=created,
                    ip_address=as_text(data.get("ip")),
                    is_deleted=bool(as_number(data.get("deleted"))),
                    versions=(
                        PortedVersion(
                            editor=self._author(data.get("editor")) if edited else "",
                            date_modified=edited or created,
                            text=self._converted(text),
                        ),
                    ),
                )
                before.add(id)

    def attachments(self) -> Iterator[PortedAttachment | Unreadable]:
        holders: dict[str, list[tuple[str, str]]] = {}
        for _, id, data in self._posts():
            try:
                uploads = json.loads(as_text(data.get("uploads")) or "[]")
            except (ValueError, RecursionError):
                uploads = []
            for path in uploads if isinstance(uploads, list) else []:
                holders.setdefault(as_text(path).strip("/"), []).append(
                    (id, as_text(data.get("uid")))
                )
        for path, found in sorted(holders.items()):
            if not re.fullmatch(r"files/[^/\\]+", path) or len(path) > _MAX_ID:
                reason = "path: is no name of a file, or longer than an id may be"
                yield Unreadable(kind="attachment", id=path[:_MAX_ID], reason=reason)
                continue
            name = path.rpartition("/")[2]
            yield PortedAttachment(
                id=path,
                author=self._author(found[0][1]),
                associations=tuple(
                    PortedAssociation(on_type="comment", on_id=id) for id, _ in found
                ),
                name=re.sub(r"^[0-9]{10,}-", "", name) or name,
                path=f"uploads/{path}",
            )

    def reactions(self) -> Iterator[PortedReaction | Unreadable]:
        for match, value, _ in self._keys.matching(
            "set", r"pid:([0-9]+):(upvote|downvote)", "member"
        ):
            if as_number(value) in self._people:
                yield PortedReaction(
                    author=value,
                    on_type="comment",
                    on_id=match[1],
                    name="👍" if match[2] == "upvote" else "👎",
                )

    def bookmarks(self) -> Iterator[PortedBookmark | Unreadable]:
        for match, value, _ in self._keys.matching(
            "set", r"pid:([0-9]+):users_bookmarked", "member"
        ):
            if as_number(value) in self._people:
                yield PortedBookmark(author=value, on_type="comment", on_id=match[1])

    def messages(self) -> Iterator[PortedMessage | Unreadable]:
        for room, data in self._keys.hashes("chat:room"):
            if data.get("public"):
                continue
            joined = {
                as_number(value): score
                for value, score in self._keys.sorted_set(f"chat:room:{room}:uids")
                if as_number(value) in self._people
            }
            begun = as_number(data.get("timestamp"))
            for mid, _ in self._keys.sorted_set(f"chat:room:{room}:mids"):
                message = self._keys.hash(f"message:{mid}")
                if not message or message.get("system"):
                    continue
                time = as_number(message.get("timestamp"))
                # Who came later than the room began sees what came later than they.
                people = {
                    id for id, score in joined.items() if score <= begun + 1000 or score <= time
                }
                author = self._author(message.get("fromuid"))
                if message.get("deleted") or not people:
                    reason = "was deleted" if people else "to: nobody has a copy"
                    yield Unreadable(kind="message", id=mid, reason=reason)
                    continue
                edited = _time(message.get("edited"))
                yield PortedMessage(
                    id=mid,
                    root_id=f"room-{room}",
                    name=as_text(data.get("roomName")),
                    author=author,
                    is_deleted=as_number(author) not in people,
                    to=tuple(
                        PortedRecipient(id=str(id), is_read=True)
                        for id in sorted(people - {as_number(author)})
                    ),
                    date_created=_time(time),
                    ip_address=as_text(message.get("ip")),
                    versions=(
                        PortedVersion(
                            date_modified=edited or _time(time),
                            text=self._converted(as_text(message.get("content"))),
                        ),
                    ),
                )

    def _author(self, id: Any) -> str:
        return as_text(id) if as_text(id).isdigit() and as_number(id) in self._people else ""

    def _converted(self, text: str) -> str:
        text = text.replace("\r\n", "\n")
        text = foreign_markdown.with_addresses(text, self._addresses)
        text = foreign_markdown.without_bbcode(foreign_markdown.without_html(text))
        return foreign_markdown.with_people(foreign_markdown.with_emoji(text), self._names)

    def _rights(self) -> NodebbRights:
        if self._rights_of_people is None:
            self._rights_of_people = NodebbRights(self._keys, self._people)
        return self._rights_of_people


class NodebbRights(GroupRights):
    """Rights of a board's people. A privilege in a category is a group, whose members, people and other groups, have
    that right; a privilege without a group is nobody's.

    Reading takes two privileges, `read` and `topics:read`, without which no other one counts. Global moderators
    moderate all that they read, and administrators may do everything; but nobody may do anything in a disabled
    category. `keys`: the board's values; `people`: ids of those who become profiles.
    """

    def __init__(self, keys: _Keys, people: Collection[int]) -> None:
        names = [
            name
            for name, _ in keys.sorted_set("groups:createtime")
            if not re.match(r"cid:-?[0-9]+:privileges:", name)
        ]
        names = list(dict.fromkeys(("guests", "registered-users", *names)))
        self.numbers = {name: number for number, name in enumerate(names, 1)}
        self._off = {id for id, data in keys.hashes("category") if as_number(data.get("disabled"))}
        self._of_groups: dict[tuple[int, int], int] = defaultdict(int)
        self._of_people: dict[tuple[int, int], int] = defaultdict(int)
        for match, value, _ in keys.matching("zset", _PRIVILEGE.pattern, "value"):
            right = _PRIVILEGES.get(match["name"])
            if not right:
                continue
            forum = int(match["cid"])
            if match["groups"] and value in self.numbers:
                self._of_groups[forum, self.numbers[value]] |= right
            elif not match["groups"] and value.isdigit():
                self._of_people[forum, int(value)] |= right
        memberships: dict[int, set[int]] = {person: set() for person in people}
        for name, number in self.numbers.items():
            for value, _ in keys.sorted_set(f"group:{name}:members"):
                if as_number(value) in memberships:
                    memberships[as_number(value)].add(number)
        self._administrators = self.numbers.get("administrators", 0)
        self._moderators = self.numbers.get("Global Moderators", 0)
        super().__init__(
            sorted(people),
            {person: frozenset(groups) for person, groups in memberships.items()},
            {person for _, person in self._of_people},
            guests=self.numbers["guests"],
            everybody=self.numbers["registered-users"],
        )

    @property
    def administrators(self) -> Collection[int]:
        """Return the ids of the people in the group of administrators, each once, in any order."""
        return set(self.members(self._administrators))

    def granted(self, forum: int, groups: frozenset[int], person: int) -> Rights:
        if forum in self._off:
            return 0
        if self._administrators in groups:
            return group_rights.ALL
        rights = self._of_people.get((forum, person), 0) if person else 0
        for group in groups:
            rights |= self._of_groups.get((forum, group), 0)
        if not (rights & _ACCESS and rights & _TOPICS):
            return 0
        if self._moderators in groups:
            rights |= group_rights.MODERATOR
        return (rights | group_rights.READ) & group_rights.ALL

    def groups_at(self, forum: int) -> Collection[int]:
        found = {group for at, group in self._of_groups if at == forum}
        return (found | {self._administrators}) - {0, *self._nobody()}

    def _nobody(self) -> Collection[int]:
        return {self.numbers[name] for name in ("spiders", "fediverse") if name in self.numbers}


def _parsed(data: Any) -> _Data:
    try:
        found = json.loads(as_text(data))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _time(milliseconds: Any) -> datetime.datetime | None:
    number = as_number(milliseconds)
    moment = as_time(number // 1000)
    return moment and moment.replace(microsecond=number % 1000 * 1000)


def _avatar(id: int, data: _Data) -> PortedAttachment | None:
    """Return the picture of the person `id` that is among the uploads; None without one. `data`: the person's data in
    NodeBB.
    """
    picture = as_text(data.get("picture"))
    match = re.fullmatch(r"(?:/[\w-]+)?/assets/uploads/(profile/[\w./-]+)", unquote(picture))
    if match is None or ".." in match[1]:
        return None
    return PortedAttachment(
        id=f"avatar:{id}", name=picture.rpartition("/")[2], path=f"uploads/{match[1]}"
    )
