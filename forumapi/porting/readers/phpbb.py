"""Reader of phpBB 3.0 to 3.3, from a dump of MySQL or PostgreSQL or a live PostgreSQL, and the board's folders of
files.

Times are seconds since 1970. Titles, names and comments on files are stored HTML-escaped once; for texts see
`markup/phpbb_text.py`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from forumapi.porting.dumps.dump_types import Row
from forumapi.porting.dumps.row_values import (
    UNTITLED,
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
    PortedBookmark,
    PortedChoice,
    PortedComment,
    PortedConversation,
    PortedFollow,
    PortedFollowed,
    PortedForum,
    PortedMessage,
    PortedPoll,
    PortedProfile,
    PortedRecipient,
    PortedRef,
    PortedReport,
    PortedRole,
    PortedVersion,
    PortedWarning,
    Unreadable,
)
from forumapi.porting.markup.converted_text import Converted, PostFile
from forumapi.porting.markup.phpbb_text import PhpbbText, custom_tag
from forumapi.porting.readers.phpbb_rights import GUESTS, REGISTERED, PhpbbRights
from forumapi.porting.readers.table_reader import TableReader, followed

MARKER: Final = "privmsgs_to"
PREFIX: Final[str | None] = None
TABLES: Final = (
    *(
        "acl_groups",
        "acl_options",
        "acl_roles_data",
        "acl_users",
        "attachments",
        "banlist",
        "bbcodes",
    ),
    *(
        "bookmarks",
        "config",
        "forums",
        "forums_watch",
        "groups",
        "log",
        "poll_options",
        "poll_votes",
    ),
    *(
        "posts",
        "privmsgs",
        "privmsgs_to",
        "profile_fields",
        "profile_fields_data",
        "profile_fields_lang",
    ),
    *(
        "profile_lang",
        "reports",
        "reports_reasons",
        "topics",
        "topics_watch",
        "user_group",
        "users",
    ),
    *("warnings", "zebra"),
)
ANONYMOUS: Final = 1
_IGNORED: Final = 2
_APPROVED, _DELETED = 1, 2
_GROUP_NAMES: Final = {
    "GUESTS": "Guests",
    "REGISTERED": "Registered users",
    "REGISTERED_COPPA": "Registered COPPA users",
    "GLOBAL_MODERATORS": "Global moderators",
    "ADMINISTRATORS": "Administrators",
    "BOTS": "Bots",
    "NEWLY_REGISTERED": "Newly registered users",
}
_FILE_NAME = re.compile(r"[\w.-]{1,200}")


class PhpbbReader(TableReader):
    """Reader of a phpBB board's documents. `source`: the board's tables; `files`: folder of its uploads, None without;
    `now`: bans that end before it are left out, None for the present time.
    """

    name: str = "phpbb"
    tables: ClassVar[Mapping[str, str]] = {
        "profiles": "users",
        "roles": "groups",
        "forums": "forums",
        "conversations": "topics",
        "attachments": "attachments",
        "comments": "posts",
        "messages": "privmsgs",
    }
    losses: tuple[Loss, ...] = (
        Loss(subject="passwords", reason="people sign in with a code by mail"),
        Loss(subject="birthdays", reason="the board showed an age alone"),
        Loss(
            subject="gravatars and pictures elsewhere",
            reason="addresses in a dump are never fetched",
        ),
        Loss(
            subject="profile fields that members did not see",
            reason="switched off or for moderators alone",
        ),
        Loss(
            subject="signs of moved topics",
            reason="old addresses of the topics themselves lead to them",
        ),
        Loss(subject="censored words", reason="texts come as they were written"),
        Loss(subject="passwords of forums", reason="such a forum comes for its moderators alone"),
        Loss(subject="folders of private messages", reason="huddles have none"),
        Loss(
            subject="drafts, read marks, ranks, icons, smilies' pictures",
            reason="not in the layout",
        ),
        Loss(subject="posting of guests", reason="guests read here"),
    )

    def __init__(
        self, source: Source, files: Path | None = None, now: datetime.datetime | None = None
    ) -> None:
        super().__init__(source, files, now)
        self._config = {
            str(row["config_name"]): str(row["config_value"] or "")
            for row in source.rows("config", ("config_name", "config_value"))
        }
        self._address = _address(self._config)
        self._texts = PhpbbText(
            {
                str(row["bbcode_tag"]).rstrip("=").lower(): custom_tag(
                    str(row["bbcode_tag"]).rstrip("="),
                    str(row["bbcode_match"] or ""),
                    str(row["bbcode_tpl"] or ""),
                )
                for row in source.rows("bbcodes", ("bbcode_tag", "bbcode_match", "bbcode_tpl"))
            },
            self._absolute,
        )
        columns = ("user_id", "user_type")
        self._people = {
            int(row["user_id"] or 0)
            for row in source.rows("users", columns)
            if row["user_type"] != _IGNORED and row["user_id"] != ANONYMOUS
        }
        self._rights_of_people: PhpbbRights | None = None

    def board(self) -> Board:
        return Board(
            title=decoded(self._config.get("sitename", "")),
            description=decoded(self._config.get("site_desc", "")),
            product=self.name,
            product_version=self._config.get("version", ""),
            addresses=(self._address,) if self._address else (),
            owner=self._owner(),
            language=self._config.get("default_lang", ""),
        )

    def unsaid(self) -> Mapping[str, int]:
        return dict(self._texts.unsaid)

    # People

    def profiles(self) -> Iterator[PortedProfile | Unreadable]:
        banned = {
            row["ban_userid"]
            for row in self._source.rows("banlist", ("ban_userid", "ban_end", "ban_exclude"))
            if row["ban_userid"] and not row["ban_exclude"] and not self._is_over(row["ban_end"])
        }
        fields = _ProfileFields(self._source)
        columns = (
            *("user_id", "user_type", "username", "user_email", "user_regdate", "user_lastvisit"),
            *("user_ip", "user_allow_massemail", "user_sig", "user_sig_bbcode_uid", "user_avatar"),
            *("user_avatar_type", "user_timezone", "user_last_active", "user_from", "user_website"),
            *("user_occ", "user_interests"),
        )
        for row in self._source.rows("users", columns, ("user_id",)):
            id = as_number(row["user_id"])
            if id not in self._people:
                continue
            if not (name := decoded(as_text(row["username"])).strip()):
                yield Unreadable(kind="profile", id=str(id), reason="name: is empty")
                continue
            attributes = list(fields.of(id, row))
            if signature := as_text(row["user_sig"]):
                text = self._converted(signature, row["user_sig_bbcode_uid"]).markdown
                attributes.append(PortedAttribute(key="signature", value=text))
            yield PortedProfile(
                id=str(id),
                name=name,
                email=as_text(row["user_email"]),
                date_created=as_time(row["user_regdate"]),
                last_active=as_time(row["user_last_active"]) or as_time(row["user_lastvisit"]),
                ip_address=as_text(row["user_ip"]),
                receive_email_from_admins=bool(row["user_allow_massemail"]),
                is_banned=id in banned,
                is_visible=row["user_type"] != 1,
                avatar=self._avatar(id, row),
                attributes=tuple(attributes),
                time_zone=as_text(row["user_timezone"])
                if "/" in as_text(row["user_timezone"])
                else "",
            )

    def roles(self) -> Iterator[PortedRole | Unreadable]:
        columns = ("group_id", "group_name", "group_desc", "group_desc_uid")
        for row in self._source.rows("groups", columns, ("group_id",)):
            id = as_number(row["group_id"])
            name = as_text(row["group_name"])
            if name == "BOTS":
                continue
            everybody = id in (GUESTS, REGISTERED)
            members = () if everybody else sorted(self._rights().members(id))
            yield PortedRole(
                id=str(id),
                name=_GROUP_NAMES.get(name) or decoded(name),
                text=self._converted(as_text(row["group_desc"]), row["group_desc_uid"]).markdown,
                include_guests=id == GUESTS,
                include_registered_users=id == REGISTERED,
                users=tuple(PortedRef(id=str(member)) for member in members),
            )

    def aliases(self) -> Iterator[PortedAlias | Unreadable]:
        columns = ("user_id", "username")
        for row in self._source.rows("users", columns, ("user_id",)):
            if (id := as_number(row["user_id"])) in self._people:
                alias = "@" + decoded(as_text(row["username"])).casefold()
                if len(alias) <= 64:
                    yield PortedAlias(on_type="profile", on_id=str(id), alias=alias)
        # The sign of a moved topic has an address of its own; it leads those to the topic who may read that.
        columns = ("topic_id", "topic_moved_id")
        for row in self._source.rows("topics", columns, ("topic_id",)):
            if row["topic_moved_id"]:
                yield PortedAlias(
                    on_type="conversation",
                    on_id=str(row["topic_moved_id"]),
                    alias=str(row["topic_id"]),
                )

    def follows(self) -> Iterator[PortedFollow | Unreadable]:
        source = self._source

        def found(table: str, column: str) -> Iterator[tuple[int, str, str]]:
            for row in source.rows(table, ("user_id", column), ("user_id", column)):
                yield as_number(row["user_id"]), column, str(row[column])

        def relations() -> Iterator[tuple[int, str, str]]:
            columns = ("user_id", "zebra_id", "friend", "foe")
            for row in source.rows("zebra", columns, ("user_id", "zebra_id")):
                kind = "friend" if row["friend"] else "foe"
                if as_number(row["zebra_id"]) in self._people:
                    yield as_number(row["user_id"]), kind, str(row["zebra_id"])

        watched = found("forums_watch", "forum_id"), found("topics_watch", "topic_id")
        for person, ids in self._by_person(*watched, relations()):
            yield PortedFollow(
                author=str(person),
                users=tuple(PortedFollowed(id=id) for id in ids["friend"]),
                forums=followed(ids["forum_id"]),
                conversations=followed(ids["topic_id"]),
                users_ignored=tuple(ids["foe"]),
            )

    def bans(self) -> Iterator[PortedBan | Unreadable]:
        columns = (
            *("ban_id", "ban_userid", "ban_ip", "ban_email", "ban_start", "ban_end", "ban_exclude"),
            *("ban_reason", "ban_give_reason"),
        )
        for row in self._source.rows("banlist", columns, ("ban_id",)):
            person = as_number(row["ban_userid"])
            if self._is_over(row["ban_end"]) or (person and person not in self._people):
                continue
            yield PortedBan(
                profile=str(person) if person else "",
                email=decoded(as_text(row["ban_email"])),
                ip_address=as_text(row["ban_ip"]),
                is_exception=bool(row["ban_exclude"]),
                date_created=as_time(row["ban_start"]),
                expires=as_time(row["ban_end"]),
                reason=decoded(as_text(row["ban_give_reason"])),
                note=decoded(as_text(row["ban_reason"])),
            )

    def warnings(self) -> Iterator[PortedWarning | Unreadable]:
        columns = ("warning_id", "user_id", "post_id", "log_id", "warning_time")
        for row in self._source.rows("warnings", columns, ("warning_id",)):
            if as_number(row["user_id"]) not in self._people:
                continue
            entries = self._source.rows(
                "log", ("user_id", "log_data", "log_operation"), log_id=row["log_id"]
            )
            entry = next(entries, {})
            author = as_number(entry.get("user_id"))
            yield PortedWarning(
                profile=str(row["user_id"]),
                author=str(author) if author in self._people else "",
                comment_id=str(row["post_id"]) if row["post_id"] else "",
                date_created=as_time(row["warning_time"]),
                text=decoded(_first_of_array(as_text(entry.get("log_data")))),
            )

    def reports(self) -> Iterator[PortedReport | Unreadable]:
        reasons = {
            row["reason_id"]: as_text(row["reason_title"])
            for row in self._source.rows("reports_reasons", ("reason_id", "reason_title"))
        }
        columns = (
            *("report_id", "reason_id", "post_id", "pm_id", "user_id", "report_closed"),
            *("report_time", "report_text"),
        )
        for row in self._source.rows("reports", columns, ("report_id",)):
            kind: Literal["comment", "message"] = "comment" if row["post_id"] else "message"
            reason = reasons.get(row["reason_id"], "")
            yield PortedReport(
                id=str(row["report_id"]),
                on_type=kind,
                on_id=str(row["post_id"] or row["pm_id"]),
                author=self._author(row["user_id"]),
                date_created=as_time(row["report_time"]),
                text="\n\n".join(
                    part for part in (reason, decoded(as_text(row["report_text"]))) if part
                ),
                is_closed=bool(row["report_closed"]),
            )

    # Forums and what is in them

    def forums(self) -> Iterator[PortedForum | Unreadable]:
        columns = (
            *("forum_id", "parent_id", "left_id", "forum_name", "forum_desc", "forum_desc_uid"),
            *("forum_rules", "forum_rules_uid", "forum_rules_link", "forum_link", "forum_password"),
            *("forum_type", "forum_status"),
        )
        rows = {
            as_number(row["forum_id"]): row
            for row in self._source.rows("forums", columns, ("left_id", "forum_id"))
        }
        for id in _parents_first(rows):
            row = rows[id]
            parent = as_number(row["parent_id"])
            name = decoded(as_text(row["forum_name"])).strip() or f"Forum {id}"
            link = decoded(as_text(row["forum_link"])) if row["forum_type"] == 2 else ""
            texts = (
                self._converted(as_text(row["forum_desc"]), row["forum_desc_uid"]).markdown,
                self._converted(as_text(row["forum_rules"]), row["forum_rules_uid"]).markdown,
                *(f"<{url}>" for url in (link, decoded(as_text(row["forum_rules_link"]))) if url),
            )
            access = self._rights().of(id, name, is_locked_away=bool(row["forum_password"]))
            yield PortedForum(
                id=str(id),
                parent_id=str(parent) if parent in rows and not _is_in_cycle(id, rows) else "",
                name=name,
                text="\n\n".join(text for text in texts if text),
                display_order=as_number(row["left_id"]),
                is_open=row["forum_status"] != 1,
                holds_posts=access.holds_posts,
                is_category=row["forum_type"] in (0, 2),
                usergroups=access.roles,
                usergroups_only=True,
                moderators=access.moderators,
            )

    def conversations(self) -> Iterator[PortedConversation | Unreadable]:
        with_posts = {row["topic_id"] for row in self._source.rows("posts", ("topic_id",))}
        forums = {row["forum_id"] for row in self._source.rows("forums", ("forum_id",))}
        for row in self._topics():
            id = str(row["topic_id"])
            problem = (
                "forumId: names no forum"
                if row["forum_id"] not in forums
                else "has no posts"
                if row["topic_id"] not in with_posts
                else ""
            )
            if problem:
                yield Unreadable(kind="conversation", id=id, reason=problem)
                continue
            author = self._author(row["topic_poster"])
            state = _visibility(row["topic_visibility"], row["topic_approved"])
            yield PortedConversation(
                id=id,
                name=as_title(row["topic_title"]),
                forum_id=str(row["forum_id"]),
                author=author,
                author_name="" if author else decoded(as_text(row["topic_first_poster_name"])),
                date_created=as_time(row["topic_time"]),
                view_count=as_number(row["topic_views"]),
                is_open=row["topic_status"] != 1,
                is_sticky=as_number(row["topic_type"]) > 0,
                is_moderated=state not in (_APPROVED, _DELETED),
                is_deleted=state == _DELETED,
            )

    def polls(self) -> Iterator[PortedPoll | Unreadable]:
        for row in self._topics():
            if not row["poll_start"]:
                continue
            id = row["topic_id"]
            first = next(
                self._source.rows(
                    "posts", ("bbcode_uid",), post_id=row["topic_first_post_id"], topic_id=id
                ),
                {},
            )
            uid = first.get("bbcode_uid")
            options = self._source.rows(
                "poll_options",
                ("poll_option_id", "poll_option_text", "poll_option_total"),
                ("poll_option_id",),
                topic_id=id,
            )
            choices = tuple(
                PortedChoice(
                    id=str(option["poll_option_id"]),
                    text=self._plain(as_text(option["poll_option_text"]), uid),
                    votes=as_number(option["poll_option_total"]),
                )
                for option in options
            )
            votes = self._source.rows(
                "poll_votes",
                ("vote_user_id", "poll_option_id"),
                ("vote_user_id", "poll_option_id"),
                topic_id=id,
            )
            length = as_number(row["poll_length"])
            author = self._author(row["topic_poster"])
            yield PortedPoll(
                id=str(id),
                conversation_id=str(id),
                forum_id=str(row["forum_id"]),
                question=self._plain(as_text(row["poll_title"]), uid),
                author=author,
                author_name="" if author else decoded(as_text(row["topic_first_poster_name"])),
                date_created=as_time(row["poll_start"]),
                max_choices=as_number(row["poll_max_options"]),
                closes=as_time(as_number(row["poll_start"]) + length) if length else None,
                is_poll_open=row["topic_status"] != 1,
                choices=choices,
                ballots=self._ballots(
                    votes, choices, person="vote_user_id", choice="poll_option_id"
                ),
            )

    def attachments(self) -> Iterator[PortedAttachment | Unreadable]:
        folder = self._config.get("upload_path") or "files"
        columns = (
            *("attach_id", "post_msg_id", "in_message", "poster_id", "physical_filename"),
            *("real_filename", "attach_comment", "mimetype", "filesize", "filetime", "is_orphan"),
        )
        for row in self._source.rows("attachments", columns, ("attach_id",)):
            if row["is_orphan"] or not row["post_msg_id"]:
                continue
            file = as_text(row["physical_filename"])
            if not _FILE_NAME.fullmatch(file):
                yield Unreadable(
                    kind="attachment", id=str(row["attach_id"]), reason="path: is no name of a file"
                )
                continue
            yield PortedAttachment(
                id=str(row["attach_id"]),
                author=self._author(row["poster_id"]),
                date_created=as_time(row["filetime"]),
                associations=(
                    PortedAssociation(
                        on_type="message" if row["in_message"] else "comment",
                        on_id=str(row["post_msg_id"]),
                    ),
                ),
                name=decoded(as_text(row["real_filename"])),
                content_size=as_number(row["filesize"]),
                path=f"{folder}/{file}",
                mimetype=as_text(row["mimetype"]),
                comment=decoded(as_text(row["attach_comment"])),
            )

    def comments(self) -> Iterator[PortedComment | Unreadable]:
        titles = {row["topic_id"]: as_title(row["topic_title"]) for row in self._topics()}
        columns = (
            *("post_id", "topic_id", "poster_id", "poster_ip", "post_time", "post_username"),
            *("post_subject", "post_text", "bbcode_uid", "enable_smilies", "enable_magic_url"),
            *("post_attachment", "post_edit_time", "post_edit_reason", "post_edit_user"),
            *("post_visibility", "post_approved"),
        )
        order = ("topic_id", "post_time", "post_id")
        rows = self._source.rows("posts", columns, order)
        for topic, posts in groupby(rows, key=lambda row: row["topic_id"]):
            before: set[str] = set()
            for row in posts:
                id = str(row["post_id"])
                if topic not in titles:
                    yield Unreadable(kind="comment", id=id, reason="onId: names no conversation")
                    continue
                yield self._comment(row, titles[topic], before)
                before.add(id)

    def _comment(self, row: Row, title: str, before: set[str]) -> PortedComment:
        id = str(row["post_id"])
        files = self._files_of(row["post_id"], 0) if row["post_attachment"] else ()
        text = self._converted(
            as_text(row["post_text"]),
            row["bbcode_uid"],
            files,
            smilies=row["enable_smilies"] != 0,
            links=row["enable_magic_url"] != 0,
        )
        subject = as_title(row["post_subject"])
        author = self._author(row["poster_id"])
        state = _visibility(row["post_visibility"], row["post_approved"])
        edited = as_time(row["post_edit_time"])
        return PortedComment(
            id=id,
            on_id=str(row["topic_id"]),
            in_reply_to=next((one for one in text.answered if one in before), ""),
            author=author,
            author_name="" if author else decoded(as_text(row["post_username"])),
            date_created=as_time(row["post_time"]),
            ip_address=as_text(row["poster_ip"]),
            is_moderated=state not in (_APPROVED, _DELETED),
            is_deleted=state == _DELETED,
            versions=(
                PortedVersion(
                    editor=self._author(row["post_edit_user"]) if edited else "",
                    date_modified=edited or as_time(row["post_time"]),
                    headline="" if subject in (title, f"Re: {title}", UNTITLED) else subject,
                    text=text.markdown,
                    edit_reason=decoded(as_text(row["post_edit_reason"])),
                    ip_address=as_text(row["poster_ip"]),
                ),
            ),
        )

    def bookmarks(self) -> Iterator[PortedBookmark | Unreadable]:
        columns = ("user_id", "topic_id")
        for row in self._source.rows("bookmarks", columns, columns):
            if as_number(row["user_id"]) in self._people:
                yield PortedBookmark(
                    author=str(row["user_id"]), on_type="conversation", on_id=str(row["topic_id"])
                )

    # Private messages

    def messages(self) -> Iterator[PortedMessage | Unreadable]:
        columns = (
            *("msg_id", "root_level", "author_id", "author_ip", "message_time", "message_subject"),
            *(
                "message_text",
                "bbcode_uid",
                "enable_smilies",
                "enable_magic_url",
                "message_attachment",
            ),
            *("to_address", "bcc_address", "message_edit_time", "message_edit_user"),
        )
        for row in self._source.rows("privmsgs", columns, ("message_time", "msg_id")):
            id = row["msg_id"]
            author = self._author(row["author_id"])
            to, bcc, author_has_copy = self._copies(row)
            if not to and not bcc and not author_has_copy:
                yield Unreadable(kind="message", id=str(id), reason="to: nobody has a copy")
                continue
            files = self._files_of(id, 1) if row["message_attachment"] else ()
            text = self._converted(
                as_text(row["message_text"]),
                row["bbcode_uid"],
                files,
                smilies=row["enable_smilies"] != 0,
                links=row["enable_magic_url"] != 0,
                is_message=True,
            )
            edited = as_time(row["message_edit_time"])
            subject = decoded(as_text(row["message_subject"]))
            yield PortedMessage(
                id=str(id),
                root_id=str(row["root_level"] or id),
                name=subject,
                author=author,
                is_deleted=not author_has_copy,
                to=to,
                bcc=bcc,
                date_created=as_time(row["message_time"]),
                ip_address=as_text(row["author_ip"]),
                versions=(
                    PortedVersion(
                        editor=self._author(row["message_edit_user"]) if edited else "",
                        date_modified=edited or as_time(row["message_time"]),
                        headline=subject,
                        text=text.markdown,
                        ip_address=as_text(row["author_ip"]),
                    ),
                ),
            )

    def _copies(
        self, message: Row
    ) -> tuple[tuple[PortedRecipient, ...], tuple[PortedRecipient, ...], bool]:
        """Return the recipients who become profiles and still have their copy of a private message: those who know of
        each other, then blind ones; and True if the author still has a copy.
        """
        author = as_number(message["author_id"])
        to_people, to_groups = _addresses(as_text(message["to_address"]))
        bcc_people, bcc_groups = _addresses(as_text(message["bcc_address"]))
        to: dict[int, bool] = {}
        bcc: dict[int, bool] = {}
        has_copy = False
        columns = ("user_id", "pm_unread", "pm_deleted", "folder_id")
        for row in self._source.rows(MARKER, columns, ("user_id",), msg_id=message["msg_id"]):
            person = as_number(row["user_id"])
            if person not in self._people:
                continue
            # Folders -1 and -2 are the sender's copies.
            if person == author and as_number(row["folder_id"]) in (-1, -2):
                has_copy = True
                continue
            if row["pm_deleted"]:
                continue
            groups = self._rights().groups(person)
            is_open = person in to_people or (
                person not in bcc_people
                and bool(groups & to_groups or (not bcc_people and not bcc_groups))
            )
            (to if is_open else bcc)[person] = not row["pm_unread"]
            has_copy = has_copy or person == author
        return _recipients(to), _recipients(bcc), has_copy

    # Parts

    def _rights(self) -> PhpbbRights:
        if self._rights_of_people is None:
            self._rights_of_people = PhpbbRights(self._source, self._people)
        return self._rights_of_people

    def _owner(self) -> str:
        founders = self._source.rows("users", ("user_id",), ("user_id",), user_type=3)
        return next((str(row["user_id"]) for row in founders), "")

    def _topics(self) -> Iterator[Row]:
        columns = (
            *("topic_id", "forum_id", "topic_title", "topic_poster", "topic_time", "topic_views"),
            *("topic_status", "topic_type", "topic_first_post_id", "topic_first_poster_name"),
            *("topic_moved_id", "topic_visibility", "topic_approved", "poll_title", "poll_start"),
            *("poll_length", "poll_max_options"),
        )
        for row in self._source.rows("topics", columns, ("topic_id",)):
            if not row["topic_moved_id"]:
                yield row

    def _files_of(self, holder: Any, in_message: int) -> Sequence[PostFile]:
        """Return the files of a post (`in_message` 0) or private message (1) with the id `holder`, in the order by
        which texts number them, newest first; files that were uploaded and never posted are left out.
        """
        columns = ("attach_id", "real_filename", "mimetype", "is_orphan")
        rows = self._source.rows(
            "attachments", columns, ("attach_id",), post_msg_id=holder, in_message=in_message
        )
        return [
            PostFile(
                str(row["attach_id"]),
                decoded(as_text(row["real_filename"])),
                as_text(row["mimetype"]).startswith("image/"),
            )
            for row in rows
            if not row["is_orphan"]
        ][::-1]

    def _converted(
        self, text: str, uid: Any, files: Sequence[PostFile] = (), **flags: bool
    ) -> Converted:
        return self._texts.convert(text, as_text(uid), files, **flags)

    def _plain(self, text: str, uid: Any) -> str:
        return self._texts.plain(text, as_text(uid))

    def _avatar(self, id: int, row: Row) -> PortedAttachment | None:
        kind, value = as_text(row["user_avatar_type"]), decoded(as_text(row["user_avatar"]))
        if not value:
            return None
        if kind in ("avatar.driver.upload", "1"):
            folder = self._config.get("avatar_path") or "images/avatars/upload"
            ending = value.rpartition(".")[2]
            salt = self._config.get("avatar_salt", "")
            name = f"{salt}_{id}.{ending}"
        elif kind in ("avatar.driver.local", "3"):
            folder = self._config.get("avatar_gallery_path") or "images/avatars/gallery"
            name = value
        else:
            return None
        if ".." in name or not re.fullmatch(r"[\w./ -]+", name):
            return None
        return PortedAttachment(id=f"avatar:{id}", name=value, path=f"{folder}/{name}")

    def _absolute(self, href: str) -> str:
        """Return a link's address made absolute if it begins with `./`, with `/` but not `//`, or with a page of the
        board such as `viewtopic.php`; others, and all if the board's address is unknown, unchanged.
        """
        if not self._address:
            return href
        if href.startswith("./"):
            return f"{self._address}/{href[2:]}"
        if href.startswith("/") and not href.startswith("//"):
            scheme, _, rest = self._address.partition("://")
            return f"{scheme}://{rest.partition('/')[0]}{href}"
        return f"{self._address}/{href}" if _OWN_PAGE.match(href) else href


_OWN_PAGE = re.compile(r"(?:viewtopic|viewforum|memberlist|index|download/file|app)\.php\b")


class _ProfileFields:
    """Reader of the custom profile fields that members may see, and of the four fields that 3.0 has in the table of
    users, such as the location; one object for a board. The method `of` yields a person's values as attributes.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        columns = (
            *("field_id", "field_ident", "field_type", "field_active", "field_hide"),
            *("field_no_view", "field_novalue", "field_show_profile"),
        )
        self._fields = [
            row
            for row in source.rows("profile_fields", columns, ("field_id",))
            if row["field_active"] and not row["field_hide"] and not row["field_no_view"]
        ]
        self._names: dict[Any, str] = {}
        for row in source.rows("profile_lang", ("field_id", "lang_name", "lang_id"), ("lang_id",)):
            self._names.setdefault(row["field_id"], decoded(as_text(row["lang_name"])))
        self._options: dict[Any, dict[int, str]] = {}
        values = ("field_id", "option_id", "lang_value", "lang_id")
        for row in source.rows("profile_fields_lang", values, ("lang_id",)):
            options = self._options.setdefault(row["field_id"], {})
            options.setdefault(as_number(row["option_id"]), decoded(as_text(row["lang_value"])))

    def of(self, id: int, user: Row) -> Iterator[PortedAttribute]:
        # 3.0 has four of them in the table of users.
        for column, key in (
            ("user_from", "location"),
            ("user_website", "website"),
            ("user_occ", "occupation"),
            ("user_interests", "interests"),
        ):
            if value := decoded(as_text(user[column])).strip():
                yield PortedAttribute(key=key, value=value)
        if not self._fields:
            return
        columns = ["pf_" + as_text(row["field_ident"]) for row in self._fields]
        row = next(self._source.rows("profile_fields_data", columns, user_id=id), None)
        if row is None:
            return
        for field, column in zip(self._fields, columns, strict=True):
            found = self._value(field, row[column])
            if found is not None:
                name = as_text(field["field_ident"]).removeprefix("phpbb_")
                yield PortedAttribute(key=name, value=found[0], is_date=found[1])

    def _value(self, field: Row, value: Any) -> tuple[str | bool | float, bool] | None:
        kind = as_text(field["field_type"]).rpartition(".")[2]
        # 3.0 has numbers for types.
        kind = {
            "1": "int",
            "2": "string",
            "3": "text",
            "4": "bool",
            "5": "dropdown",
            "6": "date",
        }.get(kind, kind)
        if value is None or as_text(value).strip() in ("", as_text(field["field_novalue"])):
            return None
        if kind in ("dropdown", "bool"):
            shown = self._options.get(field["field_id"], {}).get(as_number(value) - 1)
            return (shown, False) if shown else None
        if kind == "int":
            return float(as_number(value)), False
        if kind == "date":
            parts = [part.strip() for part in as_text(value).split("-")]
            try:
                day, month, year = map(int, parts)
                return datetime.date(year, month, day).isoformat(), True
            except ValueError:
                return None
        return decoded(as_text(value)), False


def _address(config: Mapping[str, str]) -> str:
    name = config.get("server_name", "")
    if not name:
        return ""
    protocol = config.get("server_protocol", "") or "http://"
    port = config.get("server_port", "")
    shown = f":{port}" if port not in ("", "0", "80", "443") else ""
    return f"{protocol}{name}{shown}{config.get('script_path', '').rstrip('/')}"


def _parents_first(rows: Mapping[int, Row]) -> Iterator[int]:
    """Yield the ids of forums as the tree shows them: each forum, then all below it; forums with the same parent in the
    order of `rows`. `rows`: all forums by id; those in a cycle of parents count as having none.
    """
    below: dict[int, list[int]] = {}
    for id, row in rows.items():
        parent = as_number(row["parent_id"])
        is_top = parent not in rows or _is_in_cycle(id, rows)
        below.setdefault(0 if is_top else parent, []).append(id)
    waiting = below.get(0, [])[::-1]
    while waiting:
        id = waiting.pop()
        yield id
        waiting += below.get(id, [])[::-1]


def _is_in_cycle(id: int, rows: Mapping[int, Row]) -> bool:
    seen = {id}
    parent = as_number(rows[id]["parent_id"])
    while parent in rows:
        if parent == id:
            return True
        if parent in seen:
            return False
        seen.add(parent)
        parent = as_number(rows[parent]["parent_id"])
    return False


def _visibility(visibility: Any, approved: Any) -> int:
    """Return the state of a topic or post as the number that phpBB 3.1 and later store: 1 (_APPROVED), 2 (_DELETED), or
    another one while it waits for a moderator. `visibility` is None for 3.0, which has only `approved`.
    """
    return as_number(visibility if visibility is not None else approved)


def _addresses(written: str) -> tuple[set[int], set[int]]:
    """Parse recipients such as `u_58:g_9`: return the ids of people, then those of groups."""
    found: dict[str, set[int]] = {"u": set(), "g": set()}
    for kind, id in re.findall(r"([ug])_([0-9]{1,10})", written):
        found[kind].add(int(id))
    return found["u"], found["g"]


def _recipients(people: Mapping[int, bool]) -> tuple[PortedRecipient, ...]:
    return tuple(
        PortedRecipient(id=str(person), is_read=is_read) for person, is_read in people.items()
    )


def _first_of_array(data: str) -> str:
    """Return the entry 0 of a serialized PHP array that begins with it, `a:1:{i:0;s:4:"text";}`; "" if that is no text,
    and for what is no such array.
    """
    found = re.match(r'a:[0-9]+:\{i:0;s:([0-9]{1,9}):"', data)
    if found is None:
        return ""
    rest = data[found.end() :].encode()
    return rest[: int(found[1])].decode("utf-8", "replace")
