"""Reader of SMF 2.0 and 2.1, from a dump of MySQL or PostgreSQL or a live PostgreSQL, and the board's folders of files.

Times are seconds since 1970; titles and names are stored HTML-escaped; for texts see `markup/smf_text.py`. Categories
and boards are numbered apart, so that a category's id has a minus. SMF keeps the board's name and address in a file
beside the database: the address is taken from that of its smilies or avatars.
"""

from __future__ import annotations

import datetime
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import ip_address, summarize_address_range
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from forumapi.porting.dumps.dump_types import Row
from forumapi.porting.dumps.row_values import (
    UNTITLED,
    as_address,
    as_number,
    as_text,
    as_time,
    as_title,
    decoded,
)
from forumapi.porting.dumps.source import Source
from forumapi.porting.layout import (
    Board,
    Loss,
    PortedAlias,
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
    PortedReport,
    PortedRole,
    PortedVersion,
    PortedWarning,
    Unreadable,
)
from forumapi.porting.markup.converted_text import PostFile
from forumapi.porting.markup.smf_text import SmfText
from forumapi.porting.markup.text_tree import TextNode, to_markdown
from forumapi.porting.readers import group_rights
from forumapi.porting.readers.group_rights import NOTHING, Grants, GroupRights, Rights
from forumapi.porting.readers.table_reader import TableReader, followed, parents_first

MARKER: Final = "personal_messages"
PREFIX: Final[str | None] = None
TABLES: Final = (
    *("attachments", "ban_groups", "ban_items", "board_permissions", "boards", "categories"),
    *("custom_fields", "log_comments", "log_notify", "log_polls", "log_reported", "members"),
    *("log_reported_comments", "membergroups", "messages", "moderators", "personal_messages"),
    *("pm_recipients", "poll_choices", "polls", "settings", "smileys", "themes", "topics"),
    *("user_likes",),
)
GUESTS: Final = -1
MEMBERS: Final = 0
ADMINISTRATORS: Final = 1
MODERATORS: Final = 3
_PERMISSIONS: Final = {
    "post_new": group_rights.POST | group_rights.UNCHECKED,
    "post_reply_any": group_rights.REPLY,
    "modify_own": group_rights.EDIT,
    "delete_own": group_rights.DELETE,
    "lock_own": group_rights.LOCK,
    "modify_any": group_rights.EDIT_ANY,
    "delete_any": group_rights.DELETE_ANY,
    "approve_posts": group_rights.APPROVE,
    "lock_any": group_rights.LOCK_ANY,
}
_RESULTS: Final[Mapping[int, Literal["always", "voted", "closed"]]] = {
    0: "always",
    1: "voted",
    2: "closed",
}
_GENDERS: Final = {"{gender_1}": "Male", "{gender_2}": "Female"}


class SmfReader(TableReader):
    """Reader of an SMF board's documents. `source`: the board's tables; `files`: folder of its uploads, None without;
    `now`: bans that end before it are left out, None for the present time.
    """

    name: str = "smf"
    tables: ClassVar[Mapping[str, str]] = {
        "profiles": "members",
        "roles": "membergroups",
        "forums": "boards",
        "conversations": "topics",
        "polls": "polls",
        "attachments": "attachments",
        "comments": "messages",
        "messages": "personal_messages",
        "reactions": "user_likes",
    }
    losses: tuple[Loss, ...] = (
        Loss(subject="passwords", reason="people sign in with a code by mail"),
        Loss(subject="name of the board", reason="it stands in a file beside the database"),
        Loss(
            subject="gravatars and pictures elsewhere",
            reason="addresses in a dump are never fetched",
        ),
        Loss(subject="birthdays", reason="members chose a calendar for them, not their profile"),
        Loss(
            subject="profile fields that members did not see",
            reason="switched off or for administrators",
        ),
        Loss(
            subject="signs of moved topics",
            reason="old addresses of the topics themselves lead to them",
        ),
        Loss(subject="censored words", reason="texts come as they were written"),
        Loss(subject="bans of host names", reason="names of machines are not known here"),
        Loss(subject="labels of private messages", reason="huddles have none"),
        Loss(subject="files that wait for approval", reason="nobody but moderators saw them"),
        Loss(
            subject="HTML of administrators", reason="nothing in a dump is trusted: its text comes"
        ),
        Loss(
            subject="drafts, read marks, ranks, calendar, smilies' pictures",
            reason="not in the layout",
        ),
    )

    def __init__(
        self, source: Source, files: Path | None = None, now: datetime.datetime | None = None
    ) -> None:
        super().__init__(source, files, now)
        self._settings = {
            str(row["variable"]): as_text(row["value"])
            for row in source.rows("settings", ("variable", "value"))
        }
        smilies = [as_text(row["code"]) for row in source.rows("smileys", ("code",))]
        self._texts = SmfText([code for code in smilies if code])
        self._people = {
            as_number(row["id_member"]) for row in source.rows("members", ("id_member",))
        }
        self._rights_of_people: SmfRights | None = None

    def board(self) -> Board:
        address = ""
        for key, ending in (("smileys_url", "/Smileys"), ("avatar_url", "/avatars")):
            if self._settings.get(key, "").endswith(ending):
                address = address or self._settings[key].removesuffix(ending)
        return Board(
            title=decoded(self._settings.get("mbname", "")) or "SMF",
            product=self.name,
            product_version=self._settings.get("smfVersion", ""),
            addresses=(address,) if address else (),
            owner=next((str(one) for one in sorted(self._rights().members(ADMINISTRATORS))), ""),
        )

    def unsaid(self) -> Mapping[str, int]:
        return dict(self._texts.unsaid)

    # People

    def profiles(self) -> Iterator[PortedProfile | Unreadable]:
        fields = self._fields()
        columns: tuple[str, ...] = (
            *("id_member", "member_name", "real_name", "email_address", "date_registered"),
            *("last_login", "member_ip", "is_activated", "signature", "personal_text", "avatar"),
            *("website_url", "usertitle", "timezone"),
        )
        for row in self._source.rows("members", columns, ("id_member",)):
            id = as_number(row["id_member"])
            name = decoded(as_text(row["real_name"]) or as_text(row["member_name"])).strip()
            if not name:
                yield Unreadable(kind="profile", id=str(id), reason="name: is empty")
                continue
            state = as_number(row["is_activated"])
            time_zone = as_text(row["timezone"])
            yield PortedProfile(
                id=str(id),
                name=name,
                email=as_text(row["email_address"]),
                date_created=as_time(row["date_registered"]),
                last_active=as_time(row["last_login"]),
                ip_address=as_address(row["member_ip"]),
                # Ten more than the state: banned.
                is_banned=state >= 10,
                is_visible=state % 10 == 1,
                text=to_markdown(TextNode("block", decoded(as_text(row["personal_text"])))),
                avatar=self._avatar(id, as_text(row["avatar"])),
                attributes=tuple(self._attributes(id, row, fields)),
                time_zone=time_zone if "/" in time_zone else "",
            )

    def _fields(self) -> Mapping[str, str]:
        """Return the attribute keys of the custom profile fields that members may see (`col_name` without "cust_"), by
        `col_name`, which is the value of `variable` in the rows of table `themes` that hold people's values.
        """
        columns: tuple[str, ...] = ("col_name", "private", "active")
        return {
            as_text(row["col_name"]): as_text(row["col_name"]).removeprefix("cust_")
            for row in self._source.rows("custom_fields", columns)
            if row["active"] and as_number(row["private"]) < 2
        }

    def _attributes(
        self, id: int, row: Row, fields: Mapping[str, str]
    ) -> Iterator[PortedAttribute]:
        for column, key in (("website_url", "website"), ("usertitle", "title")):
            if value := decoded(as_text(row[column])).strip():
                yield PortedAttribute(key=key, value=value)
        values = self._source.rows(
            "themes", ("variable", "value", "id_theme"), ("variable",), id_member=id
        )
        for one in values:
            name = fields.get(as_text(one["variable"]))
            value = decoded(as_text(one["value"])).strip()
            value = _GENDERS.get(value, "" if value.startswith("{") else value)
            if name and value:
                yield PortedAttribute(key=name, value=value)
        if signature := as_text(row["signature"]):
            text = self._texts.convert(signature, is_message=True).markdown
            yield PortedAttribute(key="signature", value=text)

    def _avatar(self, id: int, value: str) -> PortedAttachment | None:
        columns: tuple[str, ...] = (
            "id_attach",
            "filename",
            "file_hash",
            "id_folder",
            "attachment_type",
            "mime_type",
        )
        for row in self._source.rows("attachments", columns, ("id_attach",), id_member=id):
            if row["attachment_type"] == 1:
                name = as_text(row["filename"])
                path = self._path(row) if row["file_hash"] else f"custom_avatar/{name}"
                return PortedAttachment(
                    id=f"avatar:{id}", name=name, path=path, mimetype=as_text(row["mime_type"])
                )
        if value and "://" not in value and ".." not in value:
            return PortedAttachment(
                id=f"avatar:{id}", name=value.rpartition("/")[2], path=f"avatars/{value}"
            )
        return None

    def roles(self) -> Iterator[PortedRole | Unreadable]:
        yield PortedRole(id=str(GUESTS), name="Guests", include_guests=True)
        yield PortedRole(id=str(MEMBERS), name="Members", include_registered_users=True)
        columns: tuple[str, ...] = ("id_group", "group_name", "description")
        for row in self._source.rows("membergroups", columns, ("id_group",)):
            id = as_number(row["id_group"])
            if id == MODERATORS:
                # Each board has its own.
                continue
            yield PortedRole(
                id=str(id),
                name=decoded(as_text(row["group_name"])),
                text=self._texts.convert(as_text(row["description"])).markdown,
                users=tuple(PortedRef(id=str(one)) for one in sorted(self._rights().members(id))),
            )

    def aliases(self) -> Iterator[PortedAlias | Unreadable]:
        columns: tuple[str, ...] = ("id_member", "member_name", "real_name")
        for row in self._source.rows("members", columns, ("id_member",)):
            names = (decoded(as_text(row[one])).casefold() for one in ("real_name", "member_name"))
            for name in dict.fromkeys(names):
                if 0 < len(name) < 64:
                    yield PortedAlias(
                        on_type="profile", on_id=str(row["id_member"]), alias=f"@{name}"
                    )
        columns = ("id_topic", "id_redirect_topic")
        for row in self._source.rows("topics", columns, ("id_topic",)):
            if row["id_redirect_topic"]:
                yield PortedAlias(
                    on_type="conversation",
                    on_id=str(row["id_redirect_topic"]),
                    alias=str(row["id_topic"]),
                )

    def follows(self) -> Iterator[PortedFollow | Unreadable]:
        def watched() -> Iterator[tuple[int, str, str]]:
            columns = ("id_member", "id_topic", "id_board")
            for row in self._source.rows("log_notify", columns, columns):
                kind = "topic" if row["id_topic"] else "board"
                yield as_number(row["id_member"]), kind, str(row["id_topic"] or row["id_board"])

        def relations() -> Iterator[tuple[int, str, str]]:
            columns = ("id_member", "buddy_list", "pm_ignore_list", "ignore_boards")
            for row in self._source.rows("members", columns, ("id_member",)):
                for column, kind in (("buddy_list", "friend"), ("pm_ignore_list", "foe")):
                    for id in sorted(_ids(row[column]) & self._people):
                        yield as_number(row["id_member"]), kind, str(id)
                for id in sorted(_ids(row["ignore_boards"])):
                    yield as_number(row["id_member"]), "not", str(id)

        for person, ids in self._by_person(watched(), relations()):
            yield PortedFollow(
                author=str(person),
                users=tuple(PortedFollowed(id=id) for id in ids["friend"]),
                forums=followed(ids["board"]),
                conversations=followed(ids["topic"]),
                users_ignored=tuple(ids["foe"]),
                forums_ignored=tuple(ids["not"]),
            )

    def bans(self) -> Iterator[PortedBan | Unreadable]:
        columns: tuple[str, ...] = (
            *("id_ban_group", "ban_time", "expire_time", "cannot_access", "cannot_post"),
            *("cannot_login", "reason", "notes"),
        )
        groups = {row["id_ban_group"]: row for row in self._source.rows("ban_groups", columns)}
        columns = ("id_ban", "id_ban_group", "ip_low", "ip_high", "email_address", "id_member")
        for row in self._source.rows("ban_items", columns, ("id_ban",)):
            group = groups.get(row["id_ban_group"])
            if group is None:
                yield Unreadable(kind="ban", id=str(row["id_ban"]), reason="belongs to no ban")
                continue
            is_felt = group["cannot_access"] or group["cannot_post"] or group["cannot_login"]
            person = as_number(row["id_member"])
            email = decoded(as_text(row["email_address"])).replace("%", "*")
            networks = _networks(row["ip_low"], row["ip_high"]) if row["ip_low"] else [""]
            is_meant = person in self._people or email or networks != [""]
            if self._is_over(group["expire_time"]) or not is_felt or not is_meant:
                continue
            for network in networks:
                yield PortedBan(
                    profile=str(person) if person else "",
                    email=email,
                    ip_address=network,
                    date_created=as_time(group["ban_time"]),
                    expires=as_time(group["expire_time"]),
                    reason=decoded(as_text(group["reason"])),
                    note=decoded(as_text(group["notes"])),
                )

    def warnings(self) -> Iterator[PortedWarning | Unreadable]:
        columns: tuple[str, ...] = (
            "id_comment",
            "id_member",
            "id_recipient",
            "log_time",
            "counter",
            "body",
        )
        rows = self._source.rows("log_comments", columns, ("id_comment",), comment_type="warning")
        for row in rows:
            if as_number(row["id_recipient"]) in self._people:
                yield PortedWarning(
                    profile=str(row["id_recipient"]),
                    author=self._author(row["id_member"]),
                    date_created=as_time(row["log_time"]),
                    text=decoded(as_text(row["body"])),
                    points=as_number(row["counter"]),
                )

    def reports(self) -> Iterator[PortedReport | Unreadable]:
        columns: tuple[str, ...] = ("id_report", "id_msg", "id_member", "closed")
        reported = {row["id_report"]: row for row in self._source.rows("log_reported", columns)}
        columns = ("id_comment", "id_report", "id_member", "comment", "time_sent")
        for row in self._source.rows("log_reported_comments", columns, ("id_comment",)):
            report = reported.get(row["id_report"])
            if report is None or not (report["id_msg"] or report["id_member"]):
                continue
            kind: Literal["comment", "profile"] = "comment" if report["id_msg"] else "profile"
            yield PortedReport(
                id=str(row["id_comment"]),
                on_type=kind,
                on_id=str(report["id_msg"] or report["id_member"]),
                author=self._author(row["id_member"]),
                date_created=as_time(row["time_sent"]),
                text=decoded(as_text(row["comment"])),
                is_closed=bool(report["closed"]),
            )

    # Boards and what is in them

    def forums(self) -> Iterator[PortedForum | Unreadable]:
        rights = self._rights()
        columns: tuple[str, ...] = ("id_cat", "cat_order", "name", "description")
        categories = list(self._source.rows("categories", columns, ("cat_order", "id_cat")))
        for row in categories:
            id = -as_number(row["id_cat"])
            name = as_title(row["name"])
            yield PortedForum(
                id=str(id),
                name=name,
                text=self._texts.convert(as_text(row["description"])).markdown,
                display_order=as_number(row["cat_order"]),
                is_open=True,
                is_category=True,
                usergroups=rights.of(id, name).roles,
                usergroups_only=True,
            )
        columns = (
            *("id_board", "id_cat", "id_parent", "board_order", "name", "description", "redirect"),
        )
        rows = {
            as_number(row["id_board"]): row
            for row in self._source.rows("boards", columns, ("board_order", "id_board"))
        }
        known = {as_number(row["id_cat"]) for row in categories}
        recycled = as_number(self._settings.get("recycle_board"))
        above = {id: as_number(row["id_parent"]) for id, row in rows.items()}
        for id, parent in parents_first(above):
            row = rows[id]
            name = as_title(row["name"])
            link = decoded(as_text(row["redirect"]))
            texts = (
                self._texts.convert(as_text(row["description"])).markdown,
                link and f"<{link}>",
            )
            category = as_number(row["id_cat"])
            access = rights.of(id, name, is_locked_away=id == recycled)
            yield PortedForum(
                id=str(id),
                parent_id=str(parent or (-category if category in known else "")),
                name=name,
                text="\n\n".join(text for text in texts if text),
                display_order=as_number(row["board_order"]),
                is_open=True,
                holds_posts=access.holds_posts,
                is_category=bool(link),
                usergroups=access.roles,
                usergroups_only=True,
                moderators=access.moderators,
            )

    def _topics(self) -> Iterator[Row]:
        columns: tuple[str, ...] = (
            *("id_topic", "id_board", "is_sticky", "locked", "approved", "id_first_msg", "id_poll"),
            *("id_member_started", "num_views", "id_redirect_topic"),
        )
        for row in self._source.rows("topics", columns, ("id_topic",)):
            if not row["id_redirect_topic"]:
                yield row

    def _first(self, topic: Row) -> Row | None:
        columns: tuple[str, ...] = ("subject", "poster_name", "poster_time", "id_topic")
        rows = self._source.rows("messages", columns, id_msg=topic["id_first_msg"])
        return next((row for row in rows if row["id_topic"] == topic["id_topic"]), None)

    def conversations(self) -> Iterator[PortedConversation | Unreadable]:
        boards = {row["id_board"] for row in self._source.rows("boards", ("id_board",))}
        for row in self._topics():
            id = str(row["id_topic"])
            first = self._first(row)
            if first is None or row["id_board"] not in boards:
                reason = "has no first post" if first is None else "forumId: names no forum"
                yield Unreadable(kind="conversation", id=id, reason=reason)
                continue
            author = self._author(row["id_member_started"])
            yield PortedConversation(
                id=id,
                name=as_title(first["subject"]),
                forum_id=str(row["id_board"]),
                author=author,
                author_name="" if author else decoded(as_text(first["poster_name"])),
                date_created=as_time(first["poster_time"]),
                view_count=as_number(row["num_views"]),
                is_open=not row["locked"],
                is_sticky=bool(row["is_sticky"]),
                is_moderated=row["approved"] == 0,
            )

    def polls(self) -> Iterator[PortedPoll | Unreadable]:
        columns: tuple[str, ...] = (
            *("id_poll", "question", "voting_locked", "max_votes", "expire_time", "hide_results"),
            *("id_member", "poster_name"),
        )
        for topic in self._topics():
            poll = next(self._source.rows("polls", columns, id_poll=topic["id_poll"] or -1), None)
            first = self._first(topic)
            if poll is None or first is None:
                continue
            id = poll["id_poll"]
            choices = tuple(
                PortedChoice(
                    id=str(row["id_choice"]),
                    text=self._texts.plain(as_text(row["label"])),
                    votes=as_number(row["votes"]),
                )
                for row in self._source.rows(
                    "poll_choices", ("id_choice", "label", "votes"), ("id_choice",), id_poll=id
                )
            )
            votes = self._source.rows(
                "log_polls", ("id_member", "id_choice"), ("id_member", "id_choice"), id_poll=id
            )
            author = self._author(poll["id_member"])
            yield PortedPoll(
                id=str(id),
                conversation_id=str(topic["id_topic"]),
                forum_id=str(topic["id_board"]),
                question=self._texts.plain(as_text(poll["question"])),
                author=author,
                author_name="" if author else decoded(as_text(poll["poster_name"])),
                date_created=as_time(first["poster_time"]),
                max_choices=as_number(poll["max_votes"]) or 1,
                closes=as_time(poll["expire_time"]),
                is_poll_open=not poll["voting_locked"],
                results=_RESULTS.get(as_number(poll["hide_results"]), "closed"),
                choices=choices,
                ballots=self._ballots(votes, choices, person="id_member", choice="id_choice"),
            )

    def attachments(self) -> Iterator[PortedAttachment | Unreadable]:
        columns: tuple[str, ...] = (
            *("id_attach", "id_msg", "id_folder", "attachment_type", "filename", "file_hash"),
            *("size", "width", "height", "mime_type", "approved"),
        )
        for row in self._source.rows("attachments", columns, ("id_attach",)):
            if row["attachment_type"] != 0 or not row["id_msg"] or row["approved"] == 0:
                continue
            post = next(
                self._source.rows("messages", ("id_member", "poster_time"), id_msg=row["id_msg"]),
                {},
            )
            yield PortedAttachment(
                id=str(row["id_attach"]),
                author=self._author(post.get("id_member")),
                date_created=as_time(post.get("poster_time")),
                associations=(PortedAssociation(on_type="comment", on_id=str(row["id_msg"])),),
                name=as_text(row["filename"]),
                content_size=as_number(row["size"]),
                path=self._path(row),
                mimetype=as_text(row["mime_type"]),
                width=as_number(row["width"]),
                height=as_number(row["height"]),
            )

    def _path(self, row: Row) -> str:
        """Return an attachment's path below the folder of the board's uploads, `<folder>/<id>_<hash>.dat`; `row`: with
        `id_attach`, `id_folder` and `file_hash`.

        `<folder>` is the name, without the path before it, that the attachment's folder had on the server, if the
        setting `attachmentUploadDir` is a JSON object that lists this folder; else, as for a board with one folder,
        `attachments`.
        """
        folder = "attachments"
        written = self._settings.get("attachmentUploadDir", "")
        try:
            folders = json.loads(written) if written.startswith("{") else {}
        except (ValueError, RecursionError):
            folders = {}
        if isinstance(folders, dict):
            named = as_text(folders.get(str(row["id_folder"]))).rstrip("/").rpartition("/")[2]
            folder = named or folder
        return f"{folder}/{as_number(row['id_attach'])}_{as_text(row['file_hash'])}.dat"

    def comments(self) -> Iterator[PortedComment | Unreadable]:
        titles = {}
        for row in self._topics():
            if first := self._first(row):
                titles[row["id_topic"]] = as_title(first["subject"])
        files: dict[Any, list[PostFile]] = defaultdict(list)
        columns: tuple[str, ...] = (
            "id_attach",
            "id_msg",
            "attachment_type",
            "filename",
            "mime_type",
            "approved",
        )
        for row in self._source.rows("attachments", columns, ("id_attach",)):
            if row["attachment_type"] == 0 and row["id_msg"] and row["approved"] != 0:
                is_picture = as_text(row["mime_type"]).startswith("image/")
                file = PostFile(str(row["id_attach"]), as_text(row["filename"]), is_picture)
                files[row["id_msg"]].append(file)
        columns = (
            *("id_msg", "id_topic", "id_member", "poster_time", "poster_name", "poster_ip"),
            *("subject", "body", "smileys_enabled", "modified_time", "modified_reason", "approved"),
        )
        moved = {
            row["id_topic"]
            for row in self._source.rows("topics", ("id_topic", "id_redirect_topic"))
            if row["id_redirect_topic"]
        }
        rows = self._source.rows("messages", columns, ("id_topic", "id_msg"))
        for topic, posts in groupby(rows, key=lambda row: row["id_topic"]):
            before: set[str] = set()
            if topic in moved:
                continue
            for row in posts:
                id = str(row["id_msg"])
                if topic not in titles:
                    yield Unreadable(kind="comment", id=id, reason="onId: names no conversation")
                    continue
                yield self._comment(row, titles[topic], before, files.get(row["id_msg"], ()))
                before.add(id)

    def _comment(
        self, row: Row, title: str, before: Collection[str], files: Iterable[PostFile]
    ) -> PortedComment:
        text = self._texts.convert(
            as_text(row["body"]), list(files), smilies=row["smileys_enabled"] != 0
        )
        subject = as_title(row["subject"])
        author = self._author(row["id_member"])
        edited = as_time(row["modified_time"])
        return PortedComment(
            id=str(row["id_msg"]),
            on_id=str(row["id_topic"]),
            in_reply_to=next((one for one in text.answered if one in before), ""),
            author=author,
            author_name="" if author else decoded(as_text(row["poster_name"])),
            date_created=as_time(row["poster_time"]),
            ip_address=as_address(row["poster_ip"]),
            is_moderated=row["approved"] == 0,
            versions=(
                PortedVersion(
                    date_modified=edited or as_time(row["poster_time"]),
                    headline="" if subject in (title, f"Re: {title}", UNTITLED) else subject,
                    text=text.markdown,
                    edit_reason=decoded(as_text(row["modified_reason"])),
                    ip_address=as_address(row["poster_ip"]),
                ),
            ),
        )

    def reactions(self) -> Iterator[PortedReaction | Unreadable]:
        columns: tuple[str, ...] = ("id_member", "content_id", "like_time")
        rows = self._source.rows(
            "user_likes", columns, ("content_id", "id_member"), content_type="msg"
        )
        for row in rows:
            if as_number(row["id_member"]) in self._people:
                yield PortedReaction(
                    author=str(row["id_member"]),
                    on_type="comment",
                    on_id=str(row["content_id"]),
                    date=as_time(row["like_time"]),
                )

    def messages(self) -> Iterator[PortedMessage | Unreadable]:
        columns: tuple[str, ...] = (
            *("id_pm", "id_pm_head", "id_member_from", "deleted_by_sender", "msgtime", "subject"),
            *("body", "from_name"),
        )
        for row in self._source.rows("personal_messages", columns, ("msgtime", "id_pm")):
            to: list[PortedRecipient] = []
            bcc: list[PortedRecipient] = []
            copies = self._source.rows(
                "pm_recipients",
                ("id_member", "bcc", "is_read", "deleted"),
                ("id_member",),
                id_pm=row["id_pm"],
            )
            for copy in copies:
                if as_number(copy["id_member"]) in self._people and not copy["deleted"]:
                    # The lowest bit: read; the next: answered.
                    is_read = bool(as_number(copy["is_read"]) & 1)
                    person = PortedRecipient(id=str(copy["id_member"]), is_read=is_read)
                    (bcc if copy["bcc"] else to).append(person)
            author = self._author(row["id_member_from"])
            has_copy = bool(author) and not row["deleted_by_sender"]
            if not to and not bcc and not has_copy:
                yield Unreadable(
                    kind="message", id=str(row["id_pm"]), reason="to: nobody has a copy"
                )
                continue
            subject = decoded(as_text(row["subject"]))
            yield PortedMessage(
                id=str(row["id_pm"]),
                root_id=str(row["id_pm_head"] or row["id_pm"]),
                name=subject,
                author=author,
                author_name="" if author else decoded(as_text(row["from_name"])),
                is_deleted=not has_copy,
                to=tuple(to),
                bcc=tuple(bcc),
                date_created=as_time(row["msgtime"]),
                versions=(
                    PortedVersion(
                        date_modified=as_time(row["msgtime"]),
                        headline=subject,
                        text=self._texts.convert(as_text(row["body"]), is_message=True).markdown,
                    ),
                ),
            )

    def _rights(self) -> SmfRights:
        if self._rights_of_people is None:
            self._rights_of_people = SmfRights(self._source)
        return self._rights_of_people


class SmfRights(GroupRights):
    """Rights of a board's people, through their groups, those by number of posts included, and as moderators of a
    board.

    Regular members are those without a primary group; administrators may do everything.
    """

    def __init__(self, source: Source) -> None:
        self._moderators: dict[int, set[int]] = defaultdict(set)
        for row in source.rows("moderators", ("id_board", "id_member")):
            self._moderators[as_number(row["id_board"])].add(as_number(row["id_member"]))
        self._boards: dict[int, tuple[set[int], set[int], int]] = {}
        self._below: dict[int, list[int]] = defaultdict(list)
        columns: tuple[str, ...] = (
            "id_board",
            "id_cat",
            "member_groups",
            "deny_member_groups",
            "id_profile",
        )
        for row in source.rows("boards", columns):
            board = as_number(row["id_board"])
            self._boards[board] = (
                _ids(row["member_groups"]),
                _ids(row["deny_member_groups"]),
                as_number(row["id_profile"]),
            )
            self._below[-as_number(row["id_cat"])].append(board)
        self._granted: dict[tuple[int, int], Grants] = defaultdict(Grants)
        columns = ("id_group", "id_profile", "permission", "add_deny")
        for row in source.rows("board_permissions", columns):
            if right := _PERMISSIONS.get(as_text(row["permission"])):
                key = as_number(row["id_group"]), as_number(row["id_profile"])
                one = Grants(right, 0) if row["add_deny"] else Grants(0, right)
                self._granted[key] = self._granted[key].plus(one)
        memberships = {}
        columns = ("id_member", "id_group", "additional_groups", "id_post_group")
        for row in source.rows("members", columns):
            groups = {as_number(row["id_group"]), as_number(row["id_post_group"])}
            if as_number(row["id_group"]):
                # A post group of 0 is none, and is not that of regular members.
                groups.discard(MEMBERS)
            memberships[as_number(row["id_member"])] = frozenset(
                groups | _ids(row["additional_groups"])
            )
        super().__init__(
            sorted(memberships),
            memberships,
            {person for people in self._moderators.values() for person in people},
            guests=GUESTS,
            everybody=MEMBERS,
        )

    def granted(self, forum: int, groups: frozenset[int], person: int) -> Rights:
        if forum < 0:
            # A category is seen by whoever sees a board in it.
            below = (self.granted(board, groups, person) for board in self._below[forum])
            return group_rights.READ if any(below) else 0
        if ADMINISTRATORS in groups:
            return group_rights.ALL
        allowed, denied, profile = self._boards[forum]
        if not groups & allowed or groups & denied:
            return 0
        if person in self._moderators.get(forum, ()):
            groups |= {MODERATORS}
        grants = Grants(group_rights.READ)
        for group in groups:
            grants = grants.plus(self._granted.get((group, profile), NOTHING))
        return grants.result()

    def groups_at(self, forum: int) -> Collection[int]:
        boards = self._below[forum] if forum < 0 else [forum]
        return {group for board in boards for group in self._boards[board][0]} | {ADMINISTRATORS}


def _ids(written: Any) -> set[int]:
    """Parse a list of numbers such as `-1,0,2`; anything between the numbers separates them."""
    return {int(one) for one in re.findall(r"-?[0-9]{1,9}", as_text(written))}


def _networks(low: Any, high: Any) -> list[str]:
    """Return the networks, in CIDR notation and ascending order, that cover the range from one IP address to another,
    the first 64 if there are more; the address alone if both are equal or `high` is empty, [] for what is no range.
    """
    try:
        first, last = ip_address(low), ip_address(high or low)
        if first == last:
            return [str(first)]
        return [str(one) for one in summarize_address_range(first, last)][:64]
    except (ValueError, TypeError):
        return []
