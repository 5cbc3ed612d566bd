"""Reader of Misago 0.39, from a dump of PostgreSQL or a live one, and the folder of its files.

Texts are Markdown of Misago's own flavour. Posts that record an event of a thread, such as its closing, are left out. A
private thread is one talk between the people who are in it now.
"""

from __future__ import annotations

import datetime
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from forumapi.porting.dumps.dump_types import Row
from forumapi.porting.dumps.row_values import (
    UNTITLED,
    as_end,
    as_moment,
    as_number,
    as_text,
    days_after,
)
from forumapi.porting.dumps.source import Source
from forumapi.porting.layout import (
    Board,
    Loss,
    PortedAssociation,
    PortedAttachment,
    PortedAttribute,
    PortedBan,
    PortedChoice,
    PortedComment,
    PortedConversation,
    PortedFollow,
    PortedFollowed,
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
from forumapi.porting.markup import foreign_markdown
from forumapi.porting.readers import group_rights
from forumapi.porting.readers.group_rights import GroupRights, Rights
from forumapi.porting.readers.table_reader import TableReader, followed

_T = TypeVar("_T")

MARKER: Final = "threads_threadparticipant"
PREFIX: Final[str | None] = "misago_"
TABLES: Final = (
    *("acl_role", "categories_category", "categories_categoryrole", "categories_rolecategoryacl"),
    *(
        "conf_setting",
        "notifications_watchedthread",
        "threads_attachment",
        "threads_attachmenttype",
    ),
    *("threads_poll", "threads_pollvote", "threads_post", "threads_postlike", "threads_thread"),
    *("threads_threadparticipant", "users_ban", "users_rank_roles", "users_user"),
    *("users_user_blocks", "users_user_follows", "users_user_roles"),
)
_FIELD = re.compile(r'"((?:[^"\\]|\\.)*)"=>(?:"((?:[^"\\]|\\.)*)"|NULL)')


class MisagoReader(TableReader):
    """Reader of a Misago board's documents. `source`: the board's tables; `files`: folder of its uploads, None without;
    `now`: bans that end before it are left out, None for the present time.
    """

    name: str = "misago"
    tables: ClassVar[Mapping[str, str]] = {
        "profiles": "users_user",
        "forums": "categories_category",
        "conversations": "threads_thread",
        "polls": "threads_poll",
        "attachments": "threads_attachment",
        "comments": "threads_post",
        "reactions": "threads_postlike",
    }
    losses: tuple[Loss, ...] = (
        Loss(subject="passwords", reason="people sign in with a code by mail"),
        Loss(subject="events of threads", reason="what moderators did is no post"),
        Loss(
            subject="gravatars and made-up pictures", reason="addresses in a dump are never fetched"
        ),
        Loss(subject="best answers, ranks, earlier names", reason="not in the layout"),
        Loss(subject="earlier wordings of posts", reason="the last one comes"),
    )

    def __init__(
        self, source: Source, files: Path | None = None, now: datetime.datetime | None = None
    ) -> None:
        super().__init__(source, files, now)
        self._settings = {
            as_text(row["setting"]): as_text(row["dry_value"])
            for row in source.rows("conf_setting", ("setting", "dry_value"))
        }
        self._names: dict[str, str] = {}
        for row in source.rows("users_user", ("id", "username", "slug")):
            for name in (as_text(row["username"]), as_text(row["slug"])):
                self._names[name.casefold()] = str(row["id"])
        self._people = {as_number(id) for id in self._names.values()}
        self._private = {
            row["id"]
            for row in source.rows("categories_category", ("id",), special_role="private_threads")
        }
        self._rights_of_people: MisagoRights | None = None
        address = self._address()
        self._addresses = (
            (re.compile(r"(?:https?:)?(?://[^/]+)?/a/[0-9a-f]+/([0-9]+)/.*"), r"old:attachment/\1"),
            (re.compile(r"/(?!/)"), f"{address}/" if address else "/"),
        )

    def _address(self) -> str:
        return self._settings.get("forum_address", "").rstrip("/")

    def board(self) -> Board:
        address = self._address()
        owners = self._source.rows("users_user", ("id",), ("id",), is_superuser=1)
        return Board(
            title=self._settings.get("forum_name", "") or "Misago",
            description=self._settings.get("forum_description", ""),
            product=self.name,
            addresses=(address,) if address else (),
            owner=next((str(row["id"]) for row in owners), ""),
        )

    # People

    def _bans(self) -> Iterator[Row]:
        columns = (
            *("id", "check_type", "banned_value", "user_message", "staff_message", "expires_on"),
            *("registration_only",),
        )
        for row in self._source.rows("users_ban", columns, ("id",)):
            expires = as_end(row["expires_on"])
            if not row["registration_only"] and (expires is None or expires > self._now):
                yield row

    def profiles(self) -> Iterator[PortedProfile | Unreadable]:
        banned = {
            self._names.get(as_text(row["banned_value"]).casefold())
            for row in self._bans()
            if as_number(row["check_type"]) == 0
        }
        columns = (
            *("id", "username", "email", "joined_on", "last_login", "joined_from_ip", "title"),
            *("is_active", "requires_activation", "signature", "profile_fields", "avatars"),
        )
        for row in self._source.rows("users_user", columns, ("id",)):
            attributes = [
                PortedAttribute(key=key, value=value)
                for key, value in _fields(as_text(row["profile_fields"]))
                if value.strip() and key != "join_ip"
            ]
            if title := as_text(row["title"]).strip():
                attributes.append(PortedAttribute(key="title", value=title))
            if signature := as_text(row["signature"]):
                value = self._converted(signature)
                attributes.append(PortedAttribute(key="signature", value=value))
            yield PortedProfile(
                id=str(row["id"]),
                name=as_text(row["username"]),
                email=as_text(row["email"]),
                date_created=as_moment(row["joined_on"]),
                last_active=as_moment(row["last_login"]),
                ip_address=as_text(row["joined_from_ip"]).partition("/")[0],
                is_banned=str(row["id"]) in banned,
                is_visible=bool(row["is_active"]) and not row["requires_activation"],
                avatar=_avatar(row["id"], as_text(row["avatars"])),
                attributes=tuple(attributes),
            )

    def roles(self) -> Iterator[PortedRole | Unreadable]:
        columns = ("id", "name", "special_role")
        for row in self._source.rows("acl_role", columns, ("id",)):
            special = as_text(row["special_role"])
            members = () if special else sorted(self._rights().members(as_number(row["id"])))
            yield PortedRole(
                id=str(row["id"]),
                name=as_text(row["name"]),
                include_guests=special == "anonymous",
                include_registered_users=special == "authenticated",
                users=tuple(PortedRef(id=str(member)) for member in members),
            )

    def follows(self) -> Iterator[PortedFollow | Unreadable]:
        def pairs(table: str, person: str, other: str, kind: str) -> Iterator[tuple[int, str, str]]:
            for row in self._source.rows(table, (person, other), (person, other)):
                yield as_number(row[person]), kind, str(row[other])

        private = {row["id"] for row in self._threads(private=True)}
        for person, ids in self._by_person(
            pairs("notifications_watchedthread", "user_id", "thread_id", "thread"),
            pairs("users_user_follows", "from_user_id", "to_user_id", "person"),
            pairs("users_user_blocks", "from_user_id", "to_user_id", "blocked"),
        ):
            threads = (id for id in ids["thread"] if as_number(id) not in private)
            yield PortedFollow(
                author=str(person),
                users=tuple(PortedFollowed(id=id) for id in ids["person"]),
                conversations=followed(threads),
                users_ignored=tuple(ids["blocked"]),
            )

    def bans(self) -> Iterator[PortedBan | Unreadable]:
        for row in self._bans():
            kind, value = as_number(row["check_type"]), as_text(row["banned_value"])
            person = self._names.get(value.casefold(), "") if kind == 0 else ""
            if kind == 0 and not person:
                reason = f"profile: nobody is named {value}"
                yield Unreadable(kind="ban", id=str(row["id"]), reason=reason)
                continue
            yield PortedBan(
                profile=person,
                email=value if kind == 1 else "",
                ip_address=value if kind == 2 else "",
                expires=as_end(row["expires_on"]),
                reason=as_text(row["user_message"]),
                note=as_text(row["staff_message"]),
            )

    # Categories and what is in them

    def forums(self) -> Iterator[PortedForum | Unreadable]:
        columns = ("id", "parent_id", "name", "description", "lft", "is_closed", "level")
        rows = list(self._source.rows("categories_category", columns, ("tree_id", "lft"), level=1))
        for level in range(2, 50):
            deeper = list(
                self._source.rows("categories_category", columns, ("tree_id", "lft"), level=level)
            )
            if not deeper:
                break
            rows += deeper
        known = {row["id"] for row in rows}
        for row in rows:
            name = as_text(row["name"]).strip() or UNTITLED
            access = self._rights().of(as_number(row["id"]), name)
            yield PortedForum(
                id=str(row["id"]),
                parent_id=str(row["parent_id"]) if row["parent_id"] in known else "",
                name=name,
                text=self._converted(as_text(row["description"])),
                display_order=as_number(row["lft"]),
                is_open=not row["is_closed"],
                holds_posts=access.holds_posts,
                usergroups=access.roles,
                usergroups_only=True,
                moderators=access.moderators,
            )

    def _threads(self, *, private: bool) -> Iterator[Row]:
        columns = (
            *("id", "title", "category_id", "starter_id", "starter_name", "started_on", "weight"),
            *("is_closed", "is_hidden", "is_unapproved"),
        )
        for row in self._source.rows("threads_thread", columns, ("id",)):
            if (row["category_id"] in self._private) == private:
                yield row

    def conversations(self) -> Iterator[PortedConversation | Unreadable]:
        for row in self._threads(private=False):
            author = self._author(row["starter_id"])
            yield PortedConversation(
                id=str(row["id"]),
                name=as_text(row["title"]) if as_text(row["title"]).strip() else UNTITLED,
                forum_id=str(row["category_id"]),
                author=author,
                author_name="" if author else as_text(row["starter_name"]),
                date_created=as_moment(row["started_on"]),
                is_open=not row["is_closed"],
                is_sticky=as_number(row["weight"]) > 0,
                is_moderated=bool(row["is_unapproved"]),
                is_deleted=bool(row["is_hidden"]),
            )

    def polls(self) -> Iterator[PortedPoll | Unreadable]:
        columns = (
            *("id", "thread_id", "category_id", "question", "choices", "allowed_choices", "length"),
            *("posted_on", "poster_id", "poster_name", "is_public"),
        )
        for row in self._source.rows("threads_poll", columns, ("id",)):
            read = _json(as_text(row["choices"]), list)
            if read is None:
                yield Unreadable(kind="poll", id=str(row["id"]), reason="choices: is no JSON list")
                continue
            listed = [one for one in read if isinstance(one, dict)]
            choices = tuple(
                PortedChoice(
                    id=as_text(one.get("hash")),
                    text=as_text(one.get("label")),
                    votes=as_number(one.get("votes")),
                )
                for one in listed
            )
            votes = self._source.rows(
                "threads_pollvote",
                ("voter_id", "choice_hash"),
                ("voter_id", "choice_hash"),
                poll_id=row["id"],
            )
            begun = as_moment(row["posted_on"])
            author = self._author(row["poster_id"])
            yield PortedPoll(
                id=str(row["id"]),
                conversation_id=str(row["thread_id"]),
                forum_id=str(row["category_id"]),
                question=as_text(row["question"]),
                author=author,
                author_name="" if author else as_text(row["poster_name"]),
                date_created=begun,
                max_choices=as_number(row["allowed_choices"]) or 1,
                closes=days_after(begun, as_number(row["length"])),
                is_poll_open=True,
                is_named=bool(row["is_public"]),
                choices=choices,
                ballots=self._ballots(votes, choices, person="voter_id", choice="choice_hash"),
            )

    def attachments(self) -> Iterator[PortedAttachment | Unreadable]:
        types = {
            row["id"]: as_text(row["mimetypes"]).split(",")[0]
            for row in self._source.rows("threads_attachmenttype", ("id", "mimetypes"))
        }
        columns = (
            *("id", "post_id", "uploaded_on", "uploader_id", "uploader_name", "filename", "size"),
            *("image", "file", "filetype_id"),
        )
        for row in self._source.rows("threads_attachment", columns, ("id",)):
            post = next(
                self._source.rows("threads_post", ("category_id",), id=row["post_id"] or -1), None
            )
            if post is None:
                continue
            author = self._author(row["uploader_id"])
            is_private = post["category_id"] in self._private
            yield PortedAttachment(
                id=str(row["id"]),
                author=author,
                author_name="" if author else as_text(row["uploader_name"]),
                date_created=as_moment(row["uploaded_on"]),
                associations=(
                    PortedAssociation(
                        on_type="message" if is_private else "comment", on_id=str(row["post_id"])
                    ),
                ),
                name=as_text(row["filename"]),
                content_size=as_number(row["size"]),
                path=f"media/{as_text(row['image']) or as_text(row['file'])}",
                mimetype=types.get(row["filetype_id"], ""),
            )

    def _posts(self, columns: tuple[str, ...], *, private: bool) -> Iterator[Row]:
        wanted = (*columns, "id", "thread_id", "category_id", "is_event")
        for row in self._source.rows("threads_post", wanted, ("thread_id", "id")):
            if not row["is_event"] and (row["category_id"] in self._private) == private:
                yield row

    def comments(self) -> Iterator[PortedComment | Unreadable]:
        threads = {row["id"] for row in self._threads(private=False)}
        columns = (
            *("poster_id", "poster_name", "posted_on", "updated_on", "original", "edits"),
            *("last_editor_id", "is_hidden", "is_unapproved"),
        )
        for row in self._posts(columns, private=False):
            if row["thread_id"] not in threads:
                reason = "onId: names no conversation"
                yield Unreadable(kind="comment", id=str(row["id"]), reason=reason)
                continue
            author = self._author(row["poster_id"])
            created = as_moment(row["posted_on"])
            edited = as_moment(row["updated_on"]) if row["edits"] else None
            yield PortedComment(
                id=str(row["id"]),
                on_id=str(row["thread_id"]),
                author=author,
                author_name="" if author else as_text(row["poster_name"]),
                date_created=created,
                is_moderated=bool(row["is_unapproved"]),
                is_deleted=bool(row["is_hidden"]),
                versions=(
                    PortedVersion(
                        editor=self._author(row["last_editor_id"]) if edited else "",
                        date_modified=edited or created,
                        text=self._converted(as_text(row["original"])),
                    ),
                ),
            )

    def reactions(self) -> Iterator[PortedReaction | Unreadable]:
        columns = ("post_id", "liker_id", "liked_on", "category_id")
        for row in self._source.rows("threads_postlike", columns, ("id",)):
            if as_number(row["liker_id"]) in self._people:
                yield PortedReaction(
                    author=str(row["liker_id"]),
                    on_type="message" if row["category_id"] in self._private else "comment",
                    on_id=str(row["post_id"]),
                    date=as_moment(row["liked_on"]),
                )

    def messages(self) -> Iterator[PortedMessage | Unreadable]:
        titles = {row["id"]: as_text(row["title"]) for row in self._threads(private=True)}
        columns = (
            *("poster_id", "poster_name", "posted_on", "original", "is_hidden", "is_unapproved"),
        )
        for thread, posts in groupby(
            self._posts(columns, private=True), key=lambda row: row["thread_id"]
        ):
            people = {
                as_number(row["user_id"])
                for row in self._source.rows(MARKER, ("user_id",), thread_id=thread)
            } & self._people
            for row in posts:
                id = str(row["id"])
                # Hidden ones were seen by moderators alone.
                if not people or row["is_hidden"] or row["is_unapproved"]:
                    reason = "to: nobody has a copy" if not people else "was hidden"
                    yield Unreadable(kind="message", id=id, reason=reason)
                    continue
                author = self._author(row["poster_id"])
                created = as_moment(row["posted_on"])
                yield PortedMessage(
                    id=id,
                    root_id=f"thread-{thread}",
                    name=titles.get(thread, ""),
                    author=author,
                    author_name="" if author else as_text(row["poster_name"]),
                    # Whoever has left, or was removed, does not see it any more.
                    is_deleted=as_number(author) not in people,
                    to=tuple(
                        PortedRecipient(id=str(one), is_read=True)
                        for one in sorted(people - {as_number(author)})
                    ),
                    date_created=created,
                    versions=(
                        PortedVersion(
                            date_modified=created, text=self._converted(as_text(row["original"]))
                        ),
                    ),
                )

    def _converted(self, text: str) -> str:
        text = text.replace("\r\n", "\n")
        text = foreign_markdown.with_rules_and_code(text)
        text = foreign_markdown.with_addresses(text, self._addresses)
        text = foreign_markdown.without_tables(foreign_markdown.without_html(text))
        text = foreign_markdown.with_quotations(text, self._cited)
        return foreign_markdown.with_people(text, self._names)

    def _cited(self, author: str) -> str:
        name = author.removeprefix("@")
        id = self._names.get(name.casefold())
        shown = re.sub(r"([\\\[\]<*_`&])", r"\\\1", name)
        return f"<cite>[{shown}](old:profile/{id}):</cite>" if id else f"<cite>{shown}:</cite>"

    def _rights(self) -> MisagoRights:
        if self._rights_of_people is None:
            self._rights_of_people = MisagoRights(self._source)
        return self._rights_of_people


class MisagoRights(GroupRights):
    """Rights of a board's people, through their roles and those of their rank: every right that any of these roles
    gives. Somebody who does not see a category sees none below it.
    """

    def __init__(self, source: Source) -> None:
        kinds = {
            row["id"]: _rights(as_text(row["permissions"]))
            for row in source.rows("categories_categoryrole", ("id", "permissions"))
        }
        self._granted: dict[tuple[int, int], Rights] = defaultdict(int)
        columns = ("category_id", "role_id", "category_role_id")
        for row in source.rows("categories_rolecategoryacl", columns):
            key = as_number(row["category_id"]), as_number(row["role_id"])
            self._granted[key] |= kinds.get(row["category_role_id"], 0)
        self._parents = {
            as_number(row["id"]): as_number(row["parent_id"])
            for row in source.rows("categories_category", ("id", "parent_id", "level"))
            if as_number(row["level"]) > 1
        }
        special = {
            as_text(row["special_role"]): as_number(row["id"])
            for row in source.rows("acl_role", ("id", "special_role"))
        }
        everybody = special.get("authenticated", 0)
        of_ranks: dict[int, set[int]] = defaultdict(set)
        for row in source.rows("users_rank_roles", ("rank_id", "role_id")):
            of_ranks[as_number(row["rank_id"])].add(as_number(row["role_id"]))
        found: dict[int, set[int]] = {}
        for row in source.rows("users_user", ("id", "rank_id")):
            found[as_number(row["id"])] = {everybody} | of_ranks[as_number(row["rank_id"])]
        for row in source.rows("users_user_roles", ("user_id", "role_id")):
            if as_number(row["user_id"]) in found:
                found[as_number(row["user_id"])].add(as_number(row["role_id"]))
        super().__init__(
            sorted(found),
            {person: frozenset(roles) for person, roles in found.items()},
            (),
            guests=special.get("anonymous", -1),
            everybody=everybody,
        )

    def granted(self, forum: int, groups: frozenset[int], person: int) -> Rights:
        seen = {forum}
        above = self._parents.get(forum, 0)
        while above and above not in seen:
            if not self._here(above, groups) & group_rights.READ:
                return 0
            seen.add(above)
            above = self._parents.get(above, 0)
        rights = self._here(forum, groups)
        return rights if rights & group_rights.READ else 0

    def _here(self, forum: int, groups: Collection[int]) -> Rights:
        rights = 0
        for group in groups:
            rights |= self._granted.get((forum, group), 0)
        return rights

    def groups_at(self, forum: int) -> Collection[int]:
        return {group for at, group in self._granted if at == forum}


def _json(written: str, kind: type[_T]) -> _T | None:
    """Return the value of a JSON text; None if the text is no JSON, or its value is none of that type."""
    try:
        value = json.loads(written)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, kind) else None


def _rights(written: str) -> Rights:
    """Return the rights that a role of categories gives, from its JSON; 0 if the role does not let people see the
    category and all threads in it, and for a text that is no JSON object.
    """
    granted = _json(written, dict) or {}
    category, threads = (
        value if isinstance(value := granted.get(key), dict) else {}
        for key in ("misago.categories.permissions", "misago.threads.permissions.threads")
    )
    # Who sees only their own threads sees none here.
    if not (
        category.get("can_see")
        and category.get("can_browse")
        and threads.get("can_see_all_threads")
    ):
        return 0
    rights = group_rights.READ
    for key, least, right in (
        ("can_start_threads", 1, group_rights.POST),
        ("can_reply_threads", 1, group_rights.REPLY),
        ("can_edit_posts", 1, group_rights.EDIT),
        ("can_hide_own_posts", 2, group_rights.DELETE),
        ("can_edit_posts", 2, group_rights.EDIT_ANY),
        ("can_hide_posts", 2, group_rights.DELETE_ANY),
        ("can_approve_content", 1, group_rights.APPROVE),
        ("can_close_threads", 1, group_rights.LOCK_ANY),
    ):
        if as_number(threads.get(key)) >= least:
            rights |= right
    if not threads.get("require_threads_approval"):
        rights |= group_rights.UNCHECKED
    return rights


def _fields(written: str) -> Iterator[tuple[str, str]]:
    """Yield key and value of each entry of a text in PostgreSQL's form for hstore, `"key"=>"value", …`; the value is ""
    for NULL.
    """
    for key, value in _FIELD.findall(written):
        yield re.sub(r"\\(.)", r"\1", key), re.sub(r"\\(.)", r"\1", value)


def _avatar(id: Any, written: str) -> PortedAttachment | None:
    """Return the largest avatar of the person `id` that is among the board's files; None without one. `written`: the
    person's avatars as JSON, a list with `size` and `url` of each.
    """
    own = [
        (as_number(one.get("size")), as_text(one.get("url")))
        for one in _json(written, list) or ()
        if isinstance(one, dict) and as_text(one.get("url")).startswith("/media/")
    ]
    if not own:
        return None
    url = max(own)[1]
    return PortedAttachment(id=f"avatar:{id}", name=url.rpartition("/")[2], path=url[1:])
