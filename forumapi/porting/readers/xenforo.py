"""Reader of XenForo 2, from a dump of MySQL, and the board's folders `internal_data/` and `data/`.

Texts are BBCode as typed. Nodes are categories, forums, links and pages. Rights come from groups and people, for the
board and for nodes, and are inherited from a node to those below it.
"""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from forumapi.porting.dumps.dump_types import Row
from forumapi.porting.dumps.row_values import UNTITLED, as_address, as_number, as_text, as_time
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
    PortedReaction,
    PortedRecipient,
    PortedRef,
    PortedRole,
    PortedVersion,
    Unreadable,
)
from forumapi.porting.markup.converted_text import PostFile
from forumapi.porting.markup.xenforo_vbulletin_text import XenforoVbulletinText
from forumapi.porting.readers import group_rights
from forumapi.porting.readers.group_rights import GroupRights, Rights
from forumapi.porting.readers.table_reader import TableReader, parents_first

MARKER: Final = "conversation_recipient"
PREFIX: Final[str | None] = None
TABLES: Final = (
    *("attachment", "attachment_data", "bookmark_item", "conversation_master", "forum", "ip"),
    *("conversation_message", "conversation_recipient", "forum_watch", "link_forum", "node"),
    *("option", "permission_entry", "permission_entry_content", "poll", "poll_response", "post"),
    *("poll_vote", "reaction", "reaction_content", "thread", "thread_redirect", "thread_watch"),
    *("user", "user_ban", "user_field", "user_field_value", "user_follow", "user_group"),
    *("user_ignored", "user_privacy", "user_profile"),
)
GUESTS, MEMBERS, ADMINISTRATORS, MODERATORS = range(1, 5)
# Waiting for approval, refused, or switched off. Who has not confirmed an address does so by signing in here.
_REFUSED: Final = ("moderated", "rejected", "disabled")
_PICTURES: Final = ("png", "jpg", "jpeg", "jpe", "gif", "webp")
# The product's own six; others have no sign here.
_SIGNS: Final = {1: "👍", 2: "❤️", 3: "😂", 4: "😮", 5: "😢", 6: "😡"}
_VIEW: Final = (
    ("general", "view"),
    ("general", "viewNode"),
    ("forum", "viewContent"),
    ("forum", "viewOthers"),
)
_RIGHTS: Final = {
    ("forum", "viewAttachment"): group_rights.FILES,
    ("forum", "postThread"): group_rights.POST,
    ("forum", "postReply"): group_rights.REPLY,
    ("forum", "editOwnPost"): group_rights.EDIT,
    ("forum", "deleteOwnPost"): group_rights.DELETE,
    ("general", "submitWithoutApproval"): group_rights.UNCHECKED,
    ("forum", "editAnyPost"): group_rights.EDIT_ANY,
    ("forum", "deleteAnyPost"): group_rights.DELETE_ANY,
    ("forum", "approveUnapprove"): group_rights.APPROVE,
    ("forum", "lockUnlockThread"): group_rights.LOCK_ANY,
}
# Of several values for one permission the first of these counts.
_ORDER: Final = ("deny", "content_allow", "reset", "allow")
_Permission = tuple[str, str]


class XenforoReader(TableReader):
    """Reader of a XenForo board's documents. `source`: the board's tables; `files`: folder of its uploads, None
    without; `now`: bans that end before it are left out, None for the present time.
    """

    name: str = "xenforo"
    tables: ClassVar[Mapping[str, str]] = {
        "profiles": "user",
        "roles": "user_group",
        "forums": "node",
        "conversations": "thread",
        "polls": "poll",
        "attachments": "attachment",
        "comments": "post",
        "messages": "conversation_message",
        "reactions": "reaction_content",
    }
    losses: tuple[Loss, ...] = (
        Loss(subject="passwords", reason="people sign in with a code by mail"),
        Loss(subject="gravatars", reason="addresses in a dump are never fetched"),
        Loss(
            subject="profile fields that members did not see", reason="not shown on profile pages"
        ),
        Loss(
            subject="profiles that their people did not show to everyone",
            reason="name, title and avatar come: they stand beside each post",
        ),
        Loss(
            subject="files of threads whose readers could not all open them, guests included",
            reason="whoever reads a post here opens its files: give the right on the board first",
        ),
        Loss(subject="birthdays", reason="people chose who sees them"),
        Loss(
            subject="signs of moved threads",
            reason="their old addresses lead to the threads themselves",
        ),
        Loss(subject="profile posts and their comments", reason="not read"),
        Loss(subject="pages and searches among the nodes", reason="they hold no threads"),
        Loss(subject="reactions of the board's own", reason="their signs are pictures"),
        Loss(
            subject="warnings, reports, drafts, read marks, earlier wordings, trophies, tags",
            reason="not in the layout, or not read",
        ),
    )

    def __init__(
        self, source: Source, files: Path | None = None, now: datetime.datetime | None = None
    ) -> None:
        super().__init__(source, files, now)
        self._people = {as_number(row["user_id"]) for row in source.rows("user", ("user_id",))}
        self._options = {
            as_text(row["option_id"]): as_text(row["option_value"])
            for row in source.rows("option", ("option_id", "option_value"))
        }
        self._texts = XenforoVbulletinText()
        self._rights = XenforoRights(source)

    def board(self) -> Board:
        address = self._options.get("boardUrl", "").rstrip("/")
        return Board(
            title=self._options.get("boardTitle", "") or "XenForo",
            description=self._options.get("boardDescription", ""),
            product=self.name,
            addresses=(address,) if address else (),
            owner=next(
                (
                    str(row["user_id"])
                    for row in self._source.rows("user", ("user_id",), ("user_id",), is_admin=1)
                ),
                "",
            ),
        )

    def unsaid(self) -> Mapping[str, int]:
        return dict(self._texts.unsaid)

    # People

    def _banned(self) -> Iterator[Row]:
        """Yield the rows of bans in force, then for each further person whose registration waits for approval, was
        refused or was switched off, and who could not write either, a row with `user_id` alone set, the others None.
        """
        banned = set()
        columns = ("user_id", "ban_date", "end_date", "user_reason")
        for row in self._source.rows("user_ban", columns, ("user_id",)):
            if as_number(row["user_id"]) in self._people and not self._is_over(row["end_date"]):
                banned.add(as_number(row["user_id"]))
                yield row
        for row in self._source.rows("user", ("user_id", "user_state"), ("user_id",)):
            is_banned = as_number(row["user_id"]) in banned
            if as_text(row["user_state"]) in _REFUSED and not is_banned:
                yield dict.fromkeys(columns) | {"user_id": row["user_id"]}

    def profiles(self) -> Iterator[PortedProfile | Unreadable]:
        banned = {as_number(row["user_id"]) for row in self._banned()}
        shown = {
            as_text(row["field_id"])
            for row in self._source.rows("user_field", ("field_id", "viewable_profile"))
            if row["viewable_profile"]
        }
        columns = (
            *("user_id", "username", "email", "register_date", "last_activity", "user_state"),
            *("custom_title", "avatar_date", "timezone"),
        )
        for row in self._source.rows("user", columns, ("user_id",)):
            id = as_number(row["user_id"])
            name = as_text(row["username"]).strip()
            if not name:
                yield Unreadable(kind="profile", id=str(id), reason="username: is empty")
                continue
            about_columns = ("signature", "website", "location", "about")
            about = next(
                self._source.rows("user_profile", about_columns, user_id=row["user_id"]),
                dict.fromkeys(about_columns),
            )
            privacy = self._source.rows("user_privacy", ("allow_view_profile",), user_id=id)
            is_open = as_text(next(privacy, {}).get("allow_view_profile")) == "everyone"
            values = [("title", as_text(row["custom_title"]))]
            if is_open:
                values += [
                    ("website", as_text(about["website"])),
                    ("location", as_text(about["location"])),
                    ("signature", self._words(about["signature"])),
                ]
                fields = self._source.rows(
                    "user_field_value", ("field_id", "field_value"), ("field_id",), user_id=id
                )
                values += [
                    (as_text(one["field_id"]), as_text(one["field_value"]))
                    for one in fields
                    if as_text(one["field_id"]) in shown
                ]
            time_zone = as_text(row["timezone"])
            yield PortedProfile(
                id=str(id),
                name=name,
                email=as_text(row["email"]),
                date_created=as_time(row["register_date"]),
                last_active=as_time(row["last_activity"]),
                is_banned=id in banned,
                is_visible=as_text(row["user_state"]) == "valid",
                text=self._words(about["about"]) if is_open else "",
                avatar=self._avatar(id) if row["avatar_date"] else None,
                attributes=tuple(
                    PortedAttribute(key=key, value=value) for key, value in values if value.strip()
                ),
                time_zone=time_zone if "/" in time_zone else "",
            )

    def _words(self, text: Any) -> str:
        return self._texts.convert(as_text(text), is_message=True).markdown

    def _avatar(self, id: int) -> PortedAttachment:
        # The size as sent, or the largest, in the order in which releases of the product have kept them.
        paths = [f"data/avatars/{size}/{id // 1000}/{id}.jpg" for size in ("o", "l")]
        there = [path for path in paths if self._files and (self._files / path).is_file()]
        return PortedAttachment(
            id=f"avatar:{id}", name=f"{id}.jpg", path=there[0] if there else paths[0]
        )

    def roles(self) -> Iterator[PortedRole | Unreadable]:
        columns = ("user_group_id", "title")
        for row in self._source.rows("user_group", columns, ("user_group_id",)):
            id = as_number(row["user_group_id"])
            members = () if id in (GUESTS, MEMBERS) else sorted(self._rights.members(id))
            yield PortedRole(
                id=str(id),
                name=as_text(row["title"]),
                include_guests=id == GUESTS,
                include_registered_users=id == MEMBERS,
                users=tuple(PortedRef(id=str(member)) for member in members),
            )

    def aliases(self) -> Iterator[PortedAlias | Unreadable]:
        for row in self._source.rows(
            "thread_redirect", ("thread_id", "redirect_key"), ("thread_id",)
        ):
            if key := re.match(r"thread-([0-9]{1,12})-", as_text(row["redirect_key"])):
                yield PortedAlias(
                    on_type="conversation", on_id=str(int(key[1])), alias=str(row["thread_id"])
                )

    def follows(self) -> Iterator[PortedFollow | Unreadable]:
        found: dict[int, dict[str, list[PortedFollowed]]] = defaultdict(lambda: defaultdict(list))
        for table, column, mail in (
            ("thread_watch", "thread_id", "email_subscribe"),
            ("forum_watch", "node_id", "send_email"),
            ("user_follow", "follow_user_id", ""),
            ("user_ignored", "ignored_user_id", ""),
        ):
            columns = ("user_id", column, *((mail,) if mail else ()))
            for row in self._source.rows(table, columns, ("user_id", column)):
                one = PortedFollowed(id=str(row[column]), notify=bool(mail and row[mail]))
                found[as_number(row["user_id"])][table].append(one)
        for person, kinds in sorted(found.items()):
            if person in self._people:
                yield PortedFollow(
                    author=str(person),
                    users=tuple(kinds["user_follow"]),
                    forums=tuple(kinds["forum_watch"]),
                    conversations=tuple(kinds["thread_watch"]),
                    users_ignored=tuple(one.id for one in kinds["user_ignored"]),
                )

    def bans(self) -> Iterator[PortedBan | Unreadable]:
        for row in self._banned():
            yield PortedBan(
                profile=str(row["user_id"]),
                date_created=as_time(row["ban_date"]),
                expires=as_time(row["end_date"]),
                reason=as_text(row["user_reason"]),
            )

    # Nodes and what is in them

    def forums(self) -> Iterator[PortedForum | Unreadable]:
        columns: tuple[str, ...] = (
            *("node_id", "title", "description", "node_type_id", "parent_node_id", "display_order"),
        )
        rows = {
            as_number(row["node_id"]): row
            for row in self._source.rows("node", columns, ("display_order", "node_id"))
            if as_text(row["node_type_id"]) in ("Category", "Forum", "LinkForum")
        }
        links = {
            as_number(row["node_id"]): as_text(row["link_url"])
            for row in self._source.rows("link_forum", ("node_id", "link_url"))
        }
        columns = ("node_id", "allow_posting", "moderate_threads", "moderate_replies")
        settings = {as_number(row["node_id"]): row for row in self._source.rows("forum", columns)}
        above = {id: as_number(row["parent_node_id"]) for id, row in rows.items()}
        for id, parent in parents_first(above):
            row, own = rows[id], settings.get(id, {})
            name = as_text(row["title"]).strip() or UNTITLED
            access = self._rights.of(id, name)
            texts = (self._words(row["description"]), links.get(id) and f"<{links[id]}>")
            yield PortedForum(
                id=str(id),
                parent_id=str(parent or ""),
                name=name,
                text="\n\n".join(text for text in texts if text),
                display_order=as_number(row["display_order"]),
                is_open=own.get("allow_posting") != 0,
                holds_posts=access.holds_posts
                or bool(own.get("moderate_threads") or own.get("moderate_replies")),
                is_category=as_text(row["node_type_id"]) != "Forum",
                usergroups=access.roles,
                usergroups_only=True,
                moderators=access.moderators,
            )

    def _threads(self) -> Iterator[Row]:
        columns = (
            *("thread_id", "node_id", "title", "view_count", "user_id", "username", "post_date"),
            *("sticky", "discussion_state", "discussion_open", "discussion_type"),
        )
        for row in self._source.rows("thread", columns, ("thread_id",)):
            if as_text(row["discussion_type"]) != "redirect":
                yield row

    def conversations(self) -> Iterator[PortedConversation | Unreadable]:
        for row in self._threads():
            author = self._author(row["user_id"])
            yield PortedConversation(
                id=str(row["thread_id"]),
                name=as_text(row["title"]).strip() or UNTITLED,
                forum_id=str(row["node_id"]),
                author=author,
                author_name="" if author else as_text(row["username"]),
                date_created=as_time(row["post_date"]),
                view_count=as_number(row["view_count"]),
                is_open=bool(row["discussion_open"]),
                is_sticky=bool(row["sticky"]),
                is_moderated=as_text(row["discussion_state"]) == "moderated",
                is_deleted=as_text(row["discussion_state"]) == "deleted",
            )

    def polls(self) -> Iterator[PortedPoll | Unreadable]:
        threads = {as_number(row["thread_id"]): row for row in self._threads()}
        columns = (
            *("poll_id", "content_type", "content_id", "question", "voter_count", "public_votes"),
            *("max_votes", "close_date", "view_results_unvoted"),
        )
        for row in self._source.rows("poll", columns, ("poll_id",)):
            thread = threads.get(as_number(row["content_id"]))
            if as_text(row["content_type"]) != "thread" or thread is None:
                reason = "contentId: names no thread"
                yield Unreadable(kind="poll", id=str(row["poll_id"]), reason=reason)
                continue
            of_poll = {"poll_id": row["poll_id"]}
            choices = tuple(
                PortedChoice(
                    id=str(one["poll_response_id"]),
                    text=as_text(one["response"]),
                    votes=as_number(one["response_vote_count"]),
                )
                for one in self._source.rows(
                    "poll_response",
                    ("poll_response_id", "response", "response_vote_count"),
                    ("poll_response_id",),
                    **of_poll,
                )
            )
            order = ("user_id", "poll_response_id")
            votes = self._source.rows("poll_vote", (*order, "vote_date"), order, **of_poll)
            author = self._author(thread["user_id"])
            yield PortedPoll(
                id=str(row["poll_id"]),
                conversation_id=str(thread["thread_id"]),
                forum_id=str(thread["node_id"]),
                question=as_text(row["question"]) or UNTITLED,
                author=author,
                author_name="" if author else as_text(thread["username"]),
                date_created=as_time(thread["post_date"]),
                max_choices=as_number(row["max_votes"]),
                closes=as_time(row["close_date"]),
                is_poll_open=True,
                is_named=bool(row["public_votes"]),
                results="voted" if row["view_results_unvoted"] == 0 else "always",
                choices=choices,
                ballots=self._ballots(
                    votes, choices, person="user_id", choice="poll_response_id", date="vote_date"
                ),
                voter_count=as_number(row["voter_count"]),
            )

    def comments(self) -> Iterator[PortedComment | Unreadable]:
        threads = {as_number(row["thread_id"]) for row in self._threads()}
        files = self._files_of("post")
        columns = (
            *("post_id", "thread_id", "user_id", "username", "post_date", "message", "ip_id"),
            *("message_state", "last_edit_date", "last_edit_user_id"),
        )
        rows = self._source.rows("post", columns, ("thread_id", "post_date", "post_id"))
        for thread, posts in groupby(rows, key=lambda row: as_number(row["thread_id"])):
            before: set[str] = set()
            for row in posts:
                id = str(row["post_id"])
                if thread not in threads:
                    reason = "onId: names no conversation"
                    yield Unreadable(kind="comment", id=id, reason=reason)
                    continue
                text = self._texts.convert(as_text(row["message"]), files.get(id, ()))
                author = self._author(row["user_id"])
                edited = as_time(row["last_edit_date"])
                yield PortedComment(
                    id=id,
                    on_id=str(thread),
                    in_reply_to=next((one for one in text.answered if one in before), ""),
                    author=author,
                    author_name="" if author else as_text(row["username"]),
                    date_created=as_time(row["post_date"]),
                    ip_address=self._machine(row["ip_id"]),
                    is_moderated=as_text(row["message_state"]) == "moderated",
                    is_deleted=as_text(row["message_state"]) == "deleted",
                    versions=(
                        PortedVersion(
                            editor=self._author(row["last_edit_user_id"]) if edited else "",
                            date_modified=edited or as_time(row["post_date"]),
                            text=text.markdown,
                        ),
                    ),
                )
                before.add(id)

    def _machine(self, id: Any) -> str:
        if not id:
            return ""
        return as_address(next(self._source.rows("ip", ("ip",), ip_id=id), {}).get("ip"))

    def _attached(self) -> Iterator[tuple[Row, Row]]:
        """Yield the row of each attachment of a post or message with the row of its file's data, by ascending id;
        attachments without such data, and those of posts that were never sent, are left out.
        """
        columns: tuple[str, ...] = ("data_id", "user_id", "filename", "file_size", "file_hash")
        columns += ("upload_date", "width", "height")
        for row in self._source.rows(
            "attachment",
            ("attachment_id", "data_id", "content_type", "content_id", "unassociated"),
            ("attachment_id",),
        ):
            is_ours = as_text(row["content_type"]) in ("post", "conversation_message")
            data = next(self._source.rows("attachment_data", columns, data_id=row["data_id"]), None)
            if is_ours and data is not None and not row["unassociated"]:
                yield row, data

    @cached_property
    def _closed_threads(self) -> set[int]:
        """Return the ids of the threads whose files not everybody who reads the thread could open."""
        forums = {as_number(row["node_id"]) for row in self._source.rows("node", ("node_id",))}
        closed = {one for one in forums if not self._rights.all_have(group_rights.FILES, one)}
        threads = self._threads()
        return {as_number(row["thread_id"]) for row in threads if row["node_id"] in closed}

    def _is_kept_back(self, attachment: Row) -> bool:
        """Return True for an attachment of a post in a thread whose files not everybody who reads the thread could
        open.
        """
        if as_text(attachment["content_type"]) != "post":
            return False
        posts = self._source.rows("post", ("thread_id",), post_id=attachment["content_id"])
        return as_number(next(posts, {}).get("thread_id")) in self._closed_threads

    def _files_of(self, kind: str) -> Mapping[str, list[PostFile]]:
        found: dict[str, list[PostFile]] = defaultdict(list)
        for row, data in self._attached():
            if as_text(row["content_type"]) == kind and not self._is_kept_back(row):
                name = as_text(data["filename"])
                is_picture = name.rpartition(".")[2].lower() in _PICTURES
                file = PostFile(str(row["attachment_id"]), name, is_picture)
                found[str(row["content_id"])].append(file)
        return found

    def attachments(self) -> Iterator[PortedAttachment | Unreadable]:
        for row, data in self._attached():
            if self._is_kept_back(row):
                id = str(row["attachment_id"])
                yield Unreadable(kind="attachment", id=id, reason=group_rights.KEPT_BACK)
                continue
            number = as_number(data["data_id"])
            on: Literal["comment", "message"] = (
                "comment" if as_text(row["content_type"]) == "post" else "message"
            )
            folder = f"internal_data/attachments/{number // 1000}"
            yield PortedAttachment(
                id=str(row["attachment_id"]),
                author=self._author(data["user_id"]),
                date_created=as_time(data["upload_date"]),
                associations=(PortedAssociation(on_type=on, on_id=str(row["content_id"])),),
                name=as_text(data["filename"]),
                content_size=as_number(data["file_size"]),
                path=f"{folder}/{number}-{as_text(data['file_hash'])}.data",
                width=as_number(data["width"]),
                height=as_number(data["height"]),
            )

    def messages(self) -> Iterator[PortedMessage | Unreadable]:
        files = self._files_of("conversation_message")
        titles = {
            row["conversation_id"]: as_text(row["title"])
            for row in self._source.rows("conversation_master", ("conversation_id", "title"))
        }
        columns = (
            *("message_id", "conversation_id", "message_date", "user_id", "username", "message"),
        )
        order = ("conversation_id", "message_date", "message_id")
        rows = self._source.rows("conversation_message", columns, order)
        for talk, messages in groupby(rows, key=lambda row: row["conversation_id"]):
            read = {
                as_number(row["user_id"]): as_number(row["last_read_date"])
                for row in self._source.rows(
                    "conversation_recipient",
                    ("user_id", "recipient_state", "last_read_date"),
                    conversation_id=talk,
                )
                # Others have left, and see nothing of it.
                if as_text(row["recipient_state"]) == "active"
                and as_number(row["user_id"]) in self._people
            }
            for row in messages:
                id = str(row["message_id"])
                if not read:
                    reason = "to: nobody has a copy"
                    yield Unreadable(kind="message", id=id, reason=reason)
                    continue
                author, sent = as_number(row["user_id"]), as_time(row["message_date"])
                text = self._texts.convert(
                    as_text(row["message"]), files.get(id, ()), is_message=True
                )
                yield PortedMessage(
                    id=id,
                    root_id=f"talk-{talk}",
                    name=titles.get(talk, ""),
                    author=self._author(author),
                    author_name="" if author in self._people else as_text(row["username"]),
                    is_deleted=author not in read,
                    to=tuple(
                        PortedRecipient(
                            id=str(one), is_read=read[one] >= as_number(row["message_date"])
                        )
                        for one in sorted(read.keys() - {author})
                    ),
                    date_created=sent,
                    versions=(PortedVersion(date_modified=sent, text=text.markdown),),
                )

    def reactions(self) -> Iterator[PortedReaction | Unreadable]:
        columns = ("reaction_id", "content_type", "content_id", "reaction_user_id", "reaction_date")
        rows = self._source.rows("reaction_content", columns, ("content_id", "reaction_user_id"))
        kinds: Mapping[str, Literal["comment", "message"]] = {
            "post": "comment",
            "conversation_message": "message",
        }
        for row in rows:
            kind = kinds.get(as_text(row["content_type"]))
            sign = _SIGNS.get(as_number(row["reaction_id"]))
            if kind and sign and as_number(row["reaction_user_id"]) in self._people:
                yield PortedReaction(
                    author=str(row["reaction_user_id"]),
                    on_type=kind,
                    on_id=str(row["content_id"]),
                    name=sign,
                    date=as_time(row["reaction_date"]),
                )

    def bookmarks(self) -> Iterator[PortedBookmark | Unreadable]:
        columns = ("user_id", "content_type", "content_id", "bookmark_date", "message")
        kinds: Mapping[str, Literal["comment", "conversation"]] = {
            "post": "comment",
            "thread": "conversation",
        }
        for row in self._source.rows("bookmark_item", columns, ("user_id", "bookmark_id")):
            kind = kinds.get(as_text(row["content_type"]))
            if kind and as_number(row["user_id"]) in self._people:
                yield PortedBookmark(
                    author=str(row["user_id"]),
                    on_type=kind,
                    on_id=str(row["content_id"]),
                    text=as_text(row["message"]),
                    date=as_time(row["bookmark_date"]),
                )


class XenforoRights(GroupRights):
    """Rights of a board's people, through their groups and their own entries, on the board and down the nodes.

    At each node the strongest value of all groups and the person counts, in the order `deny`, `content_allow`, `reset`,
    `allow`; a `deny` above holds below too, else the node's value replaces that of the node above. But somebody who
    does not see a node sees none below it. A dump without the table of the board's own entries is not a whole one:
    members, moderators and administrators have what the product gives them at first, and guests nothing.
    """

    def __init__(self, source: Source) -> None:
        self._parents: dict[int, int] = {}
        self._categories: set[int] = set()
        for row in source.rows("node", ("node_id", "parent_node_id", "node_type_id")):
            node, parent = as_number(row["node_id"]), as_number(row["parent_node_id"])
            self._parents[node] = parent
            if as_text(row["node_type_id"]) != "Forum":
                self._categories.add(node)
        wanted = {*_VIEW, *_RIGHTS}
        # Values by node (0: the board), and by group or person.
        self._of_groups: dict[tuple[int, int], dict[_Permission, str]] = defaultdict(dict)
        self._of_people: dict[tuple[int, int], dict[_Permission, str]] = defaultdict(dict)
        columns: tuple[str, ...] = ("user_group_id", "user_id", "permission_group_id")
        columns += ("permission_id", "permission_value")
        for table in ("permission_entry", "permission_entry_content"):
            for row in source.rows(table, (*columns, "content_type", "content_id")):
                permission = as_text(row["permission_group_id"]), as_text(row["permission_id"])
                is_content = table == "permission_entry_content"
                if permission not in wanted or (
                    is_content and as_text(row["content_type"]) != "node"
                ):
                    continue
                node = as_number(row["content_id"]) if is_content else 0
                person, group = as_number(row["user_id"]), as_number(row["user_group_id"])
                entries = self._of_people[node, person] if person else self._of_groups[node, group]
                entries[permission] = as_text(row["permission_value"])
        if "permission_entry" not in source.tables:
            self._assume()
        memberships = {}
        for row in source.rows("user", ("user_id", "user_group_id", "secondary_group_ids")):
            listed = {
                int(one) for one in re.findall(r"[0-9]{1,9}", as_text(row["secondary_group_ids"]))
            }
            groups = listed | {as_number(row["user_group_id"])}
            memberships[as_number(row["user_id"])] = frozenset(groups)
        super().__init__(
            sorted(memberships),
            memberships,
            {person for _, person in self._of_people},
            guests=GUESTS,
            everybody=MEMBERS,
        )

    def _assume(self) -> None:
        write = [one for one, right in _RIGHTS.items() if not right & group_rights.MODERATOR]
        for group in (MEMBERS, ADMINISTRATORS, MODERATORS):
            more = write if group == MEMBERS else _RIGHTS
            self._of_groups[0, group] = dict.fromkeys((*_VIEW, *more), "allow")

    def granted(self, forum: int, groups: frozenset[int], person: int) -> Rights:
        path: list[int] = []
        node = forum
        while node and node not in path:
            path.insert(0, node)
            node = self._parents.get(node, 0)
        held: dict[_Permission, str] = {}
        for node in (0, *path):
            found = [self._of_groups.get((node, group), {}) for group in groups]
            found.append(self._of_people.get((node, person), {}) if person else {})
            # An entry of no group and no person, such as a private node's, counts for everybody.
            found.append(self._of_groups.get((node, 0), {}))
            for permission in {one for entries in found for one in entries}:
                values = {entries.get(permission, "") for entries in found}
                value = next((one for one in _ORDER if one in values), "")
                if value and held.get(permission) != "deny":
                    held[permission] = value
            # Whoever does not see a node sees none below it.
            if node and held.get(("general", "viewNode")) not in ("allow", "content_allow"):
                return 0
        has = {one for one, value in held.items() if value in ("allow", "content_allow")}
        needed = _VIEW[:2] if forum in self._categories else _VIEW
        if not has.issuperset(needed):
            return 0
        rights = group_rights.READ
        for permission, right in _RIGHTS.items():
            rights |= right if permission in has else 0
        return rights & (group_rights.READ | group_rights.FILES) if GUESTS in groups else rights

    def groups_at(self, forum: int) -> Collection[int]:
        return {group for _, group in self._of_groups if group} | {GUESTS, MEMBERS}
