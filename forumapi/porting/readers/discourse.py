"""Reader of Discourse, from a dump of its PostgreSQL, a live one, or an IntermediateDB, and the folder of its uploads.

An IntermediateDB is the SQLite file by which Discourse's own converters pass a forum on: it has the same tables with
fewer columns, and `original_id` in place of `id`. Times are UTC. Groups that stand for everybody, for staff and for
levels of trust have fixed numbers. A topic of the archetype `private_message` is a talk between those whom it names.
"""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from html import unescape
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from forumapi.porting.dumps.dump_types import Row
from forumapi.porting.dumps.row_values import UNTITLED, as_number, as_text, as_utc
from forumapi.porting.dumps.source import Source
from forumapi.porting.layout import (
    Board,
    Loss,
    PortedAlias,
    PortedAssociation,
    PortedAttachment,
    PortedAttribute,
    PortedBallot,
    PortedBan,
    PortedBookmark,
    PortedChoice,
    PortedComment,
    PortedConversation,
    PortedFollow,
    PortedForum,
    PortedMessage,
    PortedPoll,
    PortedProfile,
    PortedReaction,
    PortedRecipient,
    PortedRef,
    PortedRole,
    PortedVersion,
    Unreadable,
)
from forumapi.porting.markup import discourse_text
from forumapi.porting.markup.converted_text import PostFile
from forumapi.porting.markup.discourse_text import DiscourseText
from forumapi.porting.readers import group_rights
from forumapi.porting.readers.group_rights import GroupRights, Rights
from forumapi.porting.readers.table_reader import TableReader, data_url, followed, parents_first

MARKER: Final = "topic_users"
PREFIX: Final[str | None] = ""
TABLES: Final = (
    *("bookmarks", "categories", "category_groups", "category_moderation_groups", "category_users"),
    *("category_settings", "chat_channels", "chat_messages", "direct_message_users", "groups"),
    *("group_users", "ignored_users", "muted_users", "poll_options", "poll_votes", "polls"),
    *("post_actions", "posts", "site_settings", "topic_allowed_groups", "topic_allowed_users"),
    *("topic_users", "topics", "uploads", "user_chat_channel_memberships", "user_custom_fields"),
    *("user_emails", "user_fields", "user_options", "user_profiles", "user_suspensions", "users"),
)
GUESTS: Final = -1
EVERYBODY, ADMINS, MODERATORS, STAFF = range(4)
# Levels of trust from 0 to 4 are the groups from 10 to 14.
_TRUST: Final = 10
_REGULAR, _MODERATOR_ACTION, _SMALL_ACTION, _WHISPER = range(1, 5)
_LIKE: Final = 2
_FULL, _REPLY_ONLY, _READ_ONLY = range(1, 4)
_MUTED, _TRACKED, _WATCHED = 0, 2, 3
_RESULTS: Final[Mapping[int, Literal["always", "voted", "closed"]]] = {
    0: "always",
    1: "voted",
    2: "closed",
}
_GROUPS: Final = {
    GUESTS: "Guests",
    EVERYBODY: "Everybody",
    ADMINS: "Administrators",
    MODERATORS: "Moderators",
    STAFF: "Staff",
    **{_TRUST + level: f"Trust level {level}" for level in range(5)},
}
_NUMBERS: Final = ("original_id", "id")
_PICTURES: Final = ("png", "jpg", "jpeg", "gif", "webp", "avif", "svg", "heic")


class DiscourseReader(TableReader):
    """Reader of a Discourse board's documents. `source`: the board's tables; `files`: folder of its uploads, None
    without; `now`: bans that have ended by then are left out, and topics pinned until then are not pinned; None for the
    present time.
    """

    name: str = "discourse"
    tables: ClassVar[Mapping[str, str]] = {
        "profiles": "users",
        "roles": "groups",
        "forums": "categories",
        "conversations": "topics",
        "polls": "polls",
        "attachments": "uploads",
        "comments": "posts",
        "messages": "chat_messages",
        "reactions": "post_actions",
    }
    losses: tuple[Loss, ...] = (
        Loss(subject="passwords", reason="people sign in with a code by mail"),
        Loss(subject="whispers", reason="staff alone saw them, in threads that others read"),
        Loss(subject="small actions", reason="what moderators did is no post"),
        Loss(
            subject="unlisted topics", reason="lists here show every thread: they wait for approval"
        ),
        Loss(
            subject="silenced people", reason="nobody here reads without writing: they are banned"
        ),
        Loss(subject="public chat channels", reason="huddles are private"),
        Loss(subject="profile fields that members did not see", reason="not shown on profiles"),
        Loss(
            subject="profiles that their people hid",
            reason="name, title and avatar come: they stand beside each post",
        ),
        Loss(subject="full names", reason="left out where the board showed them to staff alone"),
        Loss(subject="files that no post names", reason="nobody saw them"),
        Loss(subject="signs of reactions", reason="a plugin's: its table of likes comes"),
        Loss(subject="bans of addresses and networks", reason="not read"),
        Loss(
            subject="old addresses of private messages",
            reason="they have the form of a topic's, and would tell which topics are private",
        ),
        Loss(
            subject="permalinks", reason="they are single addresses, and have no form of their own"
        ),
        Loss(
            subject="tags, badges, drafts, read marks, earlier wordings", reason="not in the layout"
        ),
    )

    def __init__(
        self, source: Source, files: Path | None = None, now: datetime.datetime | None = None
    ) -> None:
        super().__init__(source, files, now)
        self._settings = {
            as_text(row["name"]): as_text(row["value"])
            for row in source.rows("site_settings", ("name", "value"))
        }
        self._names: dict[str, str] = {}
        self._system: dict[int, str] = {}
        for row in source.rows("users", (*_NUMBERS, "username")):
            id, name = _id(row), as_text(row["username"])
            if id > 0:
                self._people.add(id)
                self._names[name.casefold()] = str(id)
            else:
                # The board's own voices.
                self._system[id] = name
        self._private = {
            _id(row)
            for row in source.rows("topics", (*_NUMBERS, "archetype"))
            if as_text(row["archetype"]) == "private_message"
        }
        self._rights = DiscourseRights(source, "login_required" in self._on())
        self._texts = DiscourseText(self._names, self._post, self._file, self._address())

    def _on(self) -> set[str]:
        """Return the names of those site settings of the dump that are switched on."""
        return {name for name, value in self._settings.items() if value in ("t", "true", "1")}

    def _address(self) -> str:
        host = self._settings.get("force_hostname", "")
        return f"https://{host}" if host else ""

    def board(self) -> Board:
        return Board(
            title=self._settings.get("title", "") or "Discourse",
            description=self._settings.get("site_description", ""),
            product=self.name,
            addresses=(self._address(),) if self._address() else (),
            owner=next((str(one) for one in sorted(self._rights.members(ADMINS))), ""),
            language=self._settings.get("default_locale", ""),
        )

    def unsaid(self) -> Mapping[str, int]:
        return dict(self._texts.unsaid)

    # People

    def profiles(self) -> Iterator[PortedProfile | Unreadable]:
        banned = {ban.profile for ban in self.bans() if isinstance(ban, PortedBan)}
        shown = self._shown_fields()
        has_full_names = self._settings.get("enable_names", "t") in ("t", "true", "1")
        hiding = ("hide_profile", "hide_profile_and_presence")
        columns = (
            *(*_NUMBERS, "username", "name", "created_at", "last_seen_at", "active", "staged"),
            *("title", "registration_ip_address", "uploaded_avatar_id"),
        )
        for row in self._source.rows("users", columns, _NUMBERS):
            if (id := _id(row)) not in self._people:
                continue
            if not (name := as_text(row["username"]).strip()):
                yield Unreadable(kind="profile", id=str(id), reason="username: is empty")
                continue
            about = self._of("user_profiles", id, "bio_raw", "location", "website")
            options = self._of("user_options", id, "timezone", *hiding)
            is_hidden = any(options[column] for column in hiding)
            full_name = as_text(row["name"]) if has_full_names and not is_hidden else ""
            values = [
                ("full name", full_name if full_name != name else ""),
                ("title", as_text(row["title"])),
            ]
            if not is_hidden:
                values += [
                    ("location", as_text(about["location"])),
                    ("website", as_text(about["website"])),
                ]
                fields = self._source.rows(
                    "user_custom_fields", ("name", "value"), ("name", "value"), user_id=id
                )
                values += [
                    (shown.get(as_text(one["name"]), ""), as_text(one["value"])) for one in fields
                ]
            avatar = self._uploads.get(as_text(row["uploaded_avatar_id"]))
            yield PortedProfile(
                id=str(id),
                name=name,
                email=self._email(id),
                date_created=as_utc(row["created_at"]),
                last_active=as_utc(row["last_seen_at"]),
                ip_address=as_text(row["registration_ip_address"]).partition("/")[0],
                is_banned=str(id) in banned,
                is_visible=row["active"] != 0 and not row["staged"],
                text="" if is_hidden else self._texts.convert(as_text(about["bio_raw"])),
                avatar=self._attachment(avatar, f"avatar:{id}") if avatar else None,
                attributes=tuple(
                    PortedAttribute(key=key, value=value)
                    for key, value in values
                    if key and value.strip()
                ),
                time_zone=as_text(options["timezone"]),
            )

    def _of(self, table: str, person: int, *columns: str) -> Row:
        """Return, of a table with rows about people, the row of the person with this id, with these columns; all of
        them None if the person has no row there.
        """
        rows = self._source.rows(table, columns, user_id=person)
        return next(rows, dict.fromkeys(columns))

    def _email(self, person: int) -> str:
        rows = self._source.rows("user_emails", ("email", "primary"), ("email",), user_id=person)
        return next((as_text(row["email"]) for row in rows if row["primary"]), "")

    def _shown_fields(self) -> Mapping[str, str]:
        """Return the names of the custom fields that profiles show, by the keys under which people's values are stored;
        {} if the source does not say which fields are shown.
        """
        columns = (*_NUMBERS, "name", "show_on_profile", "show_on_user_card")
        return {
            f"user_field_{_id(row)}": as_text(row["name"])
            for row in self._source.rows("user_fields", columns)
            if row["show_on_profile"] or row["show_on_user_card"]
        }

    def roles(self) -> Iterator[PortedRole | Unreadable]:
        names = {id: (name, "") for id, name in _GROUPS.items()}
        columns = (*_NUMBERS, "name", "full_name", "bio_raw")
        for row in self._source.rows("groups", columns, _NUMBERS):
            if (id := _id(row)) not in names:
                name = as_text(row["full_name"]).strip() or as_text(row["name"])
                names[id] = name, self._texts.convert(as_text(row["bio_raw"]))
        for id, (name, text) in names.items():
            members = () if id <= EVERYBODY else sorted(self._rights.members(id))
            yield PortedRole(
                id=str(id),
                name=name,
                text=text,
                include_guests=id == GUESTS,
                include_registered_users=id == EVERYBODY,
                users=tuple(PortedRef(id=str(member)) for member in members),
            )

    def aliases(self) -> Iterator[PortedAlias | Unreadable]:
        for name, id in self._names.items():
            if 0 < len(name) < 64:
                yield PortedAlias(on_type="profile", on_id=id, alias=f"@{name}")
        for number in self._holders:
            id, row = self._uploads[number]
            if re.fullmatch(r"[0-9a-f]{40}", as_text(row["sha1"])):
                short = discourse_text.short_name(id)
                yield PortedAlias(on_type="attachment", on_id=id, alias=short)

    def follows(self) -> Iterator[PortedFollow | Unreadable]:
        found: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for table, column, name in (
            ("topic_users", "topic_id", "topic"),
            ("category_users", "category_id", "forum"),
        ):
            columns = ("user_id", column, "notification_level")
            for row in self._source.rows(table, columns, ("user_id", column)):
                level = row["notification_level"]
                is_muted = level is not None and as_number(level) == _MUTED
                if as_number(row[column]) in self._private and name == "topic":
                    continue
                if is_muted or as_number(level) >= _WATCHED:
                    kind = f"not {name}" if is_muted else name
                    found[as_number(row["user_id"])][kind].append(str(row[column]))
        for table, column in (
            ("muted_users", "muted_user_id"),
            ("ignored_users", "ignored_user_id"),
        ):
            for row in self._source.rows(table, ("user_id", column), ("user_id", column)):
                found[as_number(row["user_id"])]["not person"].append(str(row[column]))
        for person, kinds in sorted(found.items()):
            if person in self._people:
                yield PortedFollow(
                    author=str(person),
                    forums=followed(kinds["forum"]),
                    conversations=followed(kinds["topic"]),
                    users_ignored=tuple(dict.fromkeys(kinds["not person"])),
                    forums_ignored=tuple(kinds["not forum"]),
                    conversations_ignored=tuple(kinds["not topic"]),
                )

    def bans(self) -> Iterator[PortedBan | Unreadable]:
        columns = (*_NUMBERS, "suspended_at", "suspended_till", "silenced_till")
        for row in self._source.rows("users", columns, _NUMBERS):
            if (id := _id(row)) not in self._people:
                continue
            told = self._of("user_suspensions", id, "suspended_at", "suspended_till", "reason")
            ends = [
                as_utc(one)
                for one in (row["suspended_till"], told["suspended_till"], row["silenced_till"])
            ]
            if until := max((end for end in ends if end and end > self._now), default=None):
                yield PortedBan(
                    profile=str(id),
                    date_created=as_utc(row["suspended_at"] or told["suspended_at"]),
                    expires=until,
                    reason=as_text(told["reason"]),
                )

    # Categories and what is in them

    def forums(self) -> Iterator[PortedForum | Unreadable]:
        columns = (*_NUMBERS, "parent_category_id", "name", "description", "position", "created_at")
        rows = {
            _id(row): row
            for row in self._source.rows("categories", columns, ("position", *_NUMBERS))
        }
        above = {id: as_number(row["parent_category_id"]) for id, row in rows.items()}
        for id, parent in parents_first(above):
            row = rows[id]
            name = as_text(row["name"]).strip() or UNTITLED
            access = self._rights.of(id, name)
            yield PortedForum(
                id=str(id),
                parent_id=str(parent or ""),
                name=name,
                text=self._texts.convert(as_text(row["description"])),
                date_created=as_utc(row["created_at"]),
                display_order=as_number(row["position"]),
                is_open=True,
                holds_posts=access.holds_posts or self._rights.holds_posts(id),
                usergroups=access.roles,
                usergroups_only=True,
                moderators=access.moderators,
            )

    def conversations(self) -> Iterator[PortedConversation | Unreadable]:
        columns = (
            *(*_NUMBERS, "title", "category_id", "user_id", "created_at", "views", "closed"),
            *("archived", "pinned_at", "pinned_until", "visible", "deleted_at"),
        )
        for row in self._source.rows("topics", columns, _NUMBERS):
            if (id := _id(row)) in self._private:
                continue
            if row["category_id"] is None:
                reason = "forumId: the topic is in no category"
                yield Unreadable(kind="conversation", id=str(id), reason=reason)
                continue
            author = self._author(row["user_id"])
            until = as_utc(row["pinned_until"])
            yield PortedConversation(
                id=str(id),
                name=as_text(row["title"]).strip() or UNTITLED,
                forum_id=str(row["category_id"]),
                author=author,
                author_name=self._name(row["user_id"]),
                date_created=as_utc(row["created_at"]),
                view_count=as_number(row["views"]),
                is_open=not row["closed"] and not row["archived"],
                is_sticky=bool(row["pinned_at"]) and (until is None or until > self._now),
                is_moderated=row["visible"] == 0,
                is_deleted=bool(row["deleted_at"]),
            )

    def polls(self) -> Iterator[PortedPoll | Unreadable]:
        columns = (
            *(*_NUMBERS, "post_id", "name", "title", "type", "status", "results", "visibility"),
            *("max", "close_at", "created_at", "anonymous_voters"),
        )
        for row in self._source.rows("polls", columns, _NUMBERS):
            yield self._poll(row)

    def _poll(self, row: Row) -> PortedPoll | Unreadable:
        id = _id(row)
        columns = (
            "topic_id",
            "user_id",
            "raw",
            "deleted_at",
            "hidden",
            "user_deleted",
            "post_type",
        )
        post = self._by_id("posts", columns, row["post_id"])
        options = list(
            self._source.rows(
                "poll_options", (*_NUMBERS, "html", "anonymous_votes"), _NUMBERS, poll_id=id
            )
        )
        raw = as_text(post["raw"]) if post else ""
        written = discourse_text.choices(raw, as_text(row["name"]) or "poll")
        texts = [_plain(as_text(one["html"])) for one in options]
        if not all(texts) and len(written) == len(options):
            texts = written
        problem = ""
        if post is None:
            problem = "postId: names no post"
        elif as_number(post["topic_id"]) in self._private:
            problem = "stands in a private message"
        elif _is_gone(post) or post["post_type"] == _WHISPER:
            problem = "stands in a post that was deleted or hidden"
        elif not options or not all(texts):
            problem = "choices: the post has no texts for them"
        elif as_number(row["results"]) not in _RESULTS:
            problem = "results: were for staff alone"
        elif as_number(row["type"]) > 2:
            problem = "type: its votes are an order of the choices"
        if post is None or problem:
            return Unreadable(kind="poll", id=str(id), reason=problem)
        ballots: list[PortedBallot] = []
        counts: dict[int, int] = {_id(one): as_number(one["anonymous_votes"]) for one in options}
        order = ("user_id", "poll_option_id")
        votes = self._source.rows("poll_votes", (*order, "created_at"), order, poll_id=id)
        for person, cast in groupby(votes, key=lambda vote: as_number(vote["user_id"])):
            chosen = {as_number(vote["poll_option_id"]): vote for vote in cast}
            for one in chosen.keys() & counts.keys():
                counts[one] += 1
            ids = tuple(str(one) for one in chosen if one in counts)
            if person in self._people and ids:
                date = as_utc(next(iter(chosen.values()))["created_at"])
                ballots.append(PortedBallot(author=str(person), choices=ids, date=date))
        topic = self._by_id("topics", ("title", "category_id"), post["topic_id"]) or {}
        is_multiple = as_number(row["type"]) == 1
        return PortedPoll(
            id=str(id),
            conversation_id=str(post["topic_id"]),
            forum_id=as_text(topic.get("category_id")),
            question=as_text(row["title"]).strip() or as_text(topic.get("title")) or UNTITLED,
            author=self._author(post["user_id"]),
            author_name=self._name(post["user_id"]),
            date_created=as_utc(row["created_at"]),
            max_choices=as_number(row["max"]) if is_multiple else 1,
            closes=as_utc(row["close_at"]),
            is_poll_open=not row["status"],
            is_named=as_number(row["visibility"]) == 1,
            results=_RESULTS[as_number(row["results"])],
            choices=tuple(
                PortedChoice(id=str(_id(one)), text=text, votes=counts[_id(one)])
                for one, text in zip(options, texts, strict=True)
            ),
            ballots=tuple(ballots),
            voter_count=len(ballots) + as_number(row["anonymous_voters"]),
        )

    # Posts

    def _posts(self, columns: tuple[str, ...], *, private: bool) -> Iterator[tuple[int, Row]]:
        """Yield for each post the id of its topic and its row, in reading order: posts of public topics or, with
        `private`, of private ones alone; "small actions", such as a note that the topic was closed, are left out.
        `columns`: those of the row beside its ids, number in the topic, and type.
        """
        wanted = (*_NUMBERS, "topic_id", "post_number", "post_type", *columns)
        for row in self._source.rows("posts", wanted, ("topic_id", "post_number", *_NUMBERS)):
            topic = as_number(row["topic_id"])
            is_action = as_number(row["post_type"]) == _SMALL_ACTION
            if not is_action and (topic in self._private) == private:
                yield topic, row

    def comments(self) -> Iterator[PortedComment | Unreadable]:
        topics = {_id(row) for row in self._source.rows("topics", _NUMBERS)}
        columns = (
            *("user_id", "raw", "created_at", "last_version_at", "last_editor_id", "edit_reason"),
            *("reply_to_post_id", "reply_to_post_number", "deleted_at", "user_deleted", "hidden"),
        )
        rows = self._posts(columns, private=False)
        for topic, posts in groupby(rows, key=lambda one: one[0]):
            before: dict[int, str] = {}
            for _, row in posts:
                id = str(_id(row))
                problem = "" if topic in topics else "onId: names no conversation"
                if problem or row["post_type"] == _WHISPER:
                    reason = problem or "was a whisper, which staff alone saw"
                    yield Unreadable(kind="comment", id=id, reason=reason)
                    continue
                answered = as_text(row["reply_to_post_id"] or "")
                answered = answered or before.get(as_number(row["reply_to_post_number"]), "")
                yield PortedComment(
                    id=id,
                    on_id=str(topic),
                    in_reply_to=answered if answered in before.values() else "",
                    author=self._author(row["user_id"]),
                    author_name=self._name(row["user_id"]),
                    date_created=as_utc(row["created_at"]),
                    is_moderated=bool(row["hidden"]),
                    is_deleted=bool(row["deleted_at"] or row["user_deleted"]),
                    versions=(self._version(row),),
                )
                before[as_number(row["post_number"])] = id

    def _version(self, row: Row) -> PortedVersion:
        created, changed = as_utc(row["created_at"]), as_utc(row.get("last_version_at"))
        is_edited = bool(created and changed and changed > created)
        return PortedVersion(
            editor=self._author(row.get("last_editor_id")) if is_edited else "",
            date_modified=changed if is_edited else created,
            text=self._texts.convert(as_text(row["raw"])),
            edit_reason=as_text(row.get("edit_reason")),
        )

    def messages(self) -> Iterator[PortedMessage | Unreadable]:
        titles = {
            _id(row): as_text(row["title"])
            for row in self._source.rows("topics", (*_NUMBERS, "title"))
            if _id(row) in self._private
        }
        columns = ("user_id", "raw", "created_at", "deleted_at", "user_deleted", "hidden")
        rows = self._posts(columns, private=True)
        for topic, posts in groupby(rows, key=lambda one: one[0]):
            people = self._participants(topic)
            read = {
                as_number(row["user_id"]): as_number(row["last_read_post_number"])
                for row in self._source.rows(
                    "topic_users", ("user_id", "last_read_post_number"), topic_id=topic
                )
            }
            for _, row in posts:
                has_read = {
                    one for one in people if read.get(one, 0) >= as_number(row["post_number"])
                }
                root = f"topic-{topic}"
                yield self._message(str(_id(row)), root, titles[topic], row, people, has_read)
        yield from self._chats()

    def _message(
        self,
        id: str,
        root: str,
        name: str,
        row: Row,
        people: Collection[int],
        read: Collection[int],
    ) -> PortedMessage | Unreadable:
        """Return the post `row` as a message of the talk with the id `root` and the title `name`; an Unreadable for a
        post that was deleted, hidden or for staff, or that nobody has. `id`: old id of the message; `people`: ids of
        those in the talk, and `read`: of those among them who have read the message.
        """
        problem = "" if people else "to: nobody has a copy, or the file does not say who"
        if not problem and (_is_gone(row) or row.get("post_type") == _WHISPER):
            problem = "was deleted, or for staff"
        if problem:
            return Unreadable(kind="message", id=id, reason=problem)
        author = as_number(row["user_id"])
        return PortedMessage(
            id=id,
            root_id=root,
            name=name,
            author=self._author(author),
            author_name=self._name(row["user_id"]),
            # Whoever has left, or was removed, does not see it any more.
            is_deleted=author not in people,
            to=tuple(
                PortedRecipient(id=str(one), is_read=one in read)
                for one in sorted(set(people) - {author})
            ),
            date_created=as_utc(row["created_at"]),
            versions=(self._version(row),),
        )

    def _participants(self, topic: int) -> set[int]:
        """Return the ids of the people who see a private topic, members of its groups included, so far as they become
        profiles.
        """
        rows = self._source.rows("topic_allowed_users", ("user_id",), topic_id=topic)
        people = {as_number(row["user_id"]) for row in rows}
        rows = self._source.rows("topic_allowed_groups", ("group_id",), topic_id=topic)
        for row in rows:
            people.update(self._rights.members(as_number(row["group_id"])))
        return people & self._people

    def _chats(self) -> Iterator[PortedMessage | Unreadable]:
        wanted = (*_NUMBERS, "name", "chatable_id", "chatable_type")
        for channel in self._source.rows("chat_channels", wanted, _NUMBERS):
            if as_text(channel["chatable_type"]) != "DirectMessage":
                continue
            id = _id(channel)
            rows = [
                *self._source.rows(
                    "direct_message_users",
                    ("user_id",),
                    direct_message_channel_id=channel["chatable_id"],
                )
            ] or [
                *self._source.rows(
                    "user_chat_channel_memberships", ("user_id",), chat_channel_id=id
                )
            ]
            people = {as_number(row["user_id"]) for row in rows} & self._people
            columns = (*_NUMBERS, "user_id", "message", "created_at", "deleted_at")
            found = self._source.rows(
                "chat_messages", columns, ("created_at", *_NUMBERS), chat_channel_id=id
            )
            name = as_text(channel["name"])
            for row in found:
                one = {**row, "raw": row["message"]}
                yield self._message(f"chat-{_id(row)}", f"chat-{id}", name, one, people, people)

    def reactions(self) -> Iterator[PortedReaction | Unreadable]:
        columns = ("user_id", "post_id", "created_at", "deleted_at")
        order = ("post_id", "user_id")
        private = {_id(row) for _, row in self._posts((), private=True)}
        rows = self._source.rows("post_actions", columns, order, post_action_type_id=_LIKE)
        for row in rows:
            if as_number(row["user_id"]) in self._people and not row["deleted_at"]:
                is_private = as_number(row["post_id"]) in private
                yield PortedReaction(
                    author=str(row["user_id"]),
                    on_type="message" if is_private else "comment",
                    on_id=str(row["post_id"]),
                    date=as_utc(row["created_at"]),
                )

    def bookmarks(self) -> Iterator[PortedBookmark | Unreadable]:
        if "bookmarks" not in self._source.tables:
            rows = self._source.rows(
                "topic_users", ("user_id", "topic_id"), ("user_id", "topic_id"), bookmarked=1
            )
            for row in rows:
                yield self._bookmark(row["user_id"], "conversation", row["topic_id"], {})
            return
        columns = (
            *("user_id", "bookmarkable_type", "bookmarkable_id", "post_id", "topic_id", "name"),
            *("for_topic", "created_at"),
        )
        for row in self._source.rows("bookmarks", columns, ("user_id", *_NUMBERS)):
            kind = as_text(row["bookmarkable_type"])
            on, id = row["bookmarkable_type"] and kind, row["bookmarkable_id"]
            if on is None:
                on, id = (
                    ("Topic", row["topic_id"]) if row["for_topic"] else ("Post", row["post_id"])
                )
            if on in ("Topic", "Post") and as_number(row["user_id"]) in self._people:
                target: Literal["conversation", "comment"] = (
                    "conversation" if on == "Topic" else "comment"
                )
                yield self._bookmark(row["user_id"], target, id, row)

    def _bookmark(
        self, person: Any, on: Literal["conversation", "comment"], id: Any, row: Mapping[str, Any]
    ) -> PortedBookmark:
        return PortedBookmark(
            author=str(person),
            on_type=on,
            on_id=str(id),
            text=as_text(row.get("name")),
            date=as_utc(row.get("created_at")),
        )

    # Files

    @cached_property
    def _uploads(self) -> Mapping[str, tuple[str, Row]]:
        """Return id and row of each upload by the number of its row, as text. The id is the SHA-1 of the bytes, as in
        addresses; the number where the row lacks it.
        """
        columns = (
            *("id", "sha1", "placeholder_hash", "original_filename", "filename", "filesize", "url"),
            *("path", "user_id", "created_at", "width", "height"),
        )
        return {
            as_text(row["id"]): (as_text(row["sha1"]) or as_text(row["id"]), row)
            for row in self._source.rows("uploads", columns, ("id",))
        }

    @cached_property
    def _found_files(self) -> Mapping[str, str]:
        """Return the number of an upload's row, as text, by each key that texts name the upload by: its SHA-1 in 40
        hexadecimal digits, the 32 hexadecimal digits in `[upload|…]`, its URL as in the row.
        """
        found = {}
        for number, (_, row) in self._uploads.items():
            for key in (row["sha1"], row["placeholder_hash"], row["url"]):
                if key:
                    found[as_text(key)] = number
        return found

    def _file(self, key: str) -> PostFile | None:
        number = self._found_files.get(key)
        if number is None:
            return None
        id, row = self._uploads[number]
        name = _file_name(row)
        return PostFile(id, name, name.rpartition(".")[2].lower() in _PICTURES)

    @cached_property
    def _holders(self) -> Mapping[str, tuple[PortedAssociation, ...]]:
        """Return for each upload that posts (whispers left aside) or private messages name, by the number of its row as
        text, references to these posts and messages, in the order of the uploads.
        """
        holders: dict[str, list[PortedAssociation]] = defaultdict(list)
        for is_private in (False, True):
            for _, row in self._posts(("raw",), private=is_private):
                if row["post_type"] == _WHISPER:
                    continue
                holder = PortedAssociation(
                    on_type="message" if is_private else "comment", on_id=str(_id(row))
                )
                keys = discourse_text.files(as_text(row["raw"]))
                for number in dict.fromkeys(map(self._found_files.get, keys)):
                    if number is not None:
                        holders[number].append(holder)
        return {number: tuple(holders[number]) for number in self._uploads if number in holders}

    def attachments(self) -> Iterator[PortedAttachment | Unreadable]:
        for number, holders in self._holders.items():
            upload = self._uploads[number]
            yield self._attachment(upload, upload[0], holders)

    def _attachment(
        self, upload: tuple[str, Row], id: str, holders: tuple[PortedAssociation, ...] = ()
    ) -> PortedAttachment:
        _, row = upload
        url = as_text(row["url"])
        path = as_text(row["path"]) or (
            "/uploads/" + url.partition("/uploads/")[2] if "/uploads/" in url else ""
        )
        return PortedAttachment(
            id=id,
            author=self._author(row["user_id"]),
            date_created=as_utc(row["created_at"]),
            associations=holders,
            name=_file_name(row),
            content_size=as_number(row["filesize"]),
            path=path.lstrip("/"),
            content_url=self._content(row["id"]),
            width=as_number(row["width"]),
            height=as_number(row["height"]),
        )

    def _content(self, number: Any) -> str:
        """Return the bytes of the upload with this number as a data URL, where the source is an IntermediateDB (the
        SQLite file of Discourse's own converters) that holds them; else "".
        """
        if "data" not in self._source.tables.get("uploads", ()):
            return ""
        row = next(self._source.rows("uploads", ("data",), id=number), {})
        return data_url(row.get("data"))

    # Look-ups

    def _by_id(self, table: str, columns: tuple[str, ...], id: Any) -> Row | None:
        there = self._source.tables.get(table, ())
        equal = {"original_id" if "original_id" in there else "id": id}
        return next(self._source.rows(table, columns, **equal), None) if id is not None else None

    def _post(self, topic: int, number: int) -> str:
        rows = self._source.rows("posts", _NUMBERS, topic_id=topic, post_number=number)
        row = next(rows, None)
        return str(_id(row)) if row else ""

    def _name(self, id: Any) -> str:
        return self._system.get(as_number(id), "") if id is not None else ""


class DiscourseRights(GroupRights):
    """Rights of a board's people, through their groups, those of staff and levels of trust included.

    A category that is not restricted is read by everybody, except that guests read nothing of a closed board; its
    groups say who writes, and all members do if it names no group. A restricted category is read by its groups and by
    administrators alone: a moderator needs a group as others do.
    """

    def __init__(self, source: Source, is_closed: bool) -> None:
        """Read the rights from the tables of `source`. `is_closed`: guests see nothing of the board."""
        self._is_closed = is_closed
        self._restricted: dict[int, bool] = {}
        for row in source.rows("categories", (*_NUMBERS, "read_restricted")):
            self._restricted[_id(row)] = bool(row["read_restricted"])
        self._granted: dict[int, dict[int, int]] = defaultdict(dict)
        columns: tuple[str, ...] = ("category_id", "group_id", "permission_type")
        for row in source.rows("category_groups", columns):
            here = self._granted[as_number(row["category_id"])]
            here[as_number(row["group_id"])] = as_number(row["permission_type"])
        self._moderators: dict[int, set[int]] = defaultdict(set)
        for row in source.rows("category_moderation_groups", ("category_id", "group_id")):
            self._moderators[as_number(row["category_id"])].add(as_number(row["group_id"]))
        columns = ("category_id", "require_topic_approval", "require_reply_approval")
        self._holding = {
            as_number(row["category_id"])
            for row in source.rows("category_settings", columns)
            if row["require_topic_approval"] or row["require_reply_approval"]
        }
        memberships: dict[int, set[int]] = {}
        for row in source.rows("users", (*_NUMBERS, "admin", "moderator", "trust_level")):
            if (id := _id(row)) > 0:
                level = min(max(as_number(row["trust_level"]), 0), 4)
                groups = {EVERYBODY, *range(_TRUST, _TRUST + level + 1)}
                groups |= {ADMINS, STAFF} if row["admin"] else set()
                groups |= {MODERATORS, STAFF} if row["moderator"] else set()
                memberships[id] = groups
        for row in source.rows("group_users", ("group_id", "user_id")):
            # Groups of the board's own are computed from the person, as the board does.
            if as_number(row["user_id"]) in memberships and as_number(row["group_id"]) > _TRUST + 4:
                memberships[as_number(row["user_id"])].add(as_number(row["group_id"]))
        super().__init__(
            sorted(memberships),
            {person: frozenset(groups) for person, groups in memberships.items()},
            (),
            guests=GUESTS,
            everybody=EVERYBODY,
        )

    def holds_posts(self, forum: int) -> bool:
        """Return True if topics or replies that people post in the category with this id wait for approval."""
        return forum in self._holding

    def granted(self, forum: int, groups: frozenset[int], person: int) -> Rights:
        if ADMINS in groups:
            return group_rights.ALL
        here = self._granted.get(forum, {})
        is_guest = GUESTS in groups
        # Guests have what everybody has, except that nothing lets them write.
        level = min((here[group] for group in groups | {EVERYBODY} if here.get(group)), default=0)
        if not here and not self._restricted[forum]:
            level = _FULL
        if (is_guest and self._is_closed) or (self._restricted[forum] and not level):
            return 0
        rights = group_rights.READ
        if not is_guest:
            if level and level <= _REPLY_ONLY:
                rights |= group_rights.REPLY | group_rights.EDIT | group_rights.DELETE
            if level == _FULL:
                rights |= group_rights.POST | group_rights.UNCHECKED
            if MODERATORS in groups or groups & self._moderators.get(forum, set()):
                rights |= group_rights.MODERATOR
        return rights

    def groups_at(self, forum: int) -> Collection[int]:
        own = {GUESTS, EVERYBODY, ADMINS, MODERATORS}
        return own | set(self._granted.get(forum, ())) | self._moderators.get(forum, set())


def _id(row: Mapping[str, Any]) -> int:
    """Return the number of a row: that of the old board in an IntermediateDB, the SQLite file of Discourse's own
    converters, else the row's own.
    """
    return as_number(row["id"] if row["original_id"] is None else row["original_id"])


def _is_gone(post: Mapping[str, Any]) -> bool:
    """Return True for a post that was deleted, or that the board hid."""
    return bool(post.get("deleted_at") or post.get("user_deleted") or post.get("hidden"))


def _plain(html: str) -> str:
    return unescape(re.sub(r"<[^<>]*>", "", html)).strip()


def _file_name(row: Row) -> str:
    return as_text(row["original_filename"]) or as_text(row["filename"])
