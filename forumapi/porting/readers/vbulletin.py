"""Reader of vBulletin 3.8 and 4, from a dump of MySQL, and the folders of its files.

Titles and names are stored HTML-escaped, texts as typed, with `&#1055;` for letters beyond the board's character set.
Rights are bits: a group's, or in their place those that the group has in a forum, or in the nearest one above it.
"""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Final

from forumapi.porting.dumps.dump_types import Row
from forumapi.porting.dumps.row_values import (
    UNTITLED,
    as_address,
    as_number,
    as_text,
    as_time,
    as_title,
    days_after,
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
from forumapi.porting.readers.table_reader import TableReader, data_url, parents_first

MARKER: Final = "pmtext"
PREFIX: Final[str | None] = None
TABLES: Final = (
    *("attachment", "contenttype", "customavatar", "editlog", "filedata", "forum", "moderator"),
    *("forumpermission", "pm", "pmtext", "poll", "pollvote", "post", "profilefield", "setting"),
    *("subscribeforum", "subscribethread", "thread", "user", "userban", "userfield", "usergroup"),
    *("usertextfield",),
)
GUESTS, MEMBERS, UNCONFIRMED, WAITING, SUPER_MODERATORS, ADMINISTRATORS = range(1, 7)
BANNED: Final = 8
_ALLOWS_MORE_GROUPS, _NOT_BANNED_GROUP = 16, 32
_SENT: Final = -1
_REDIRECT: Final = 10
_WAITS, _DELETED = 0, 2
_ACTIVE, _ALLOWS_POSTS, _HOLDS_THREADS, _CHECKS_POSTS, _CHECKS_THREADS = (1, 2, 4, 8, 16)
_CAN_VIEW, _CAN_VIEW_OTHERS, _CAN_VIEW_THREADS, _UNCHECKED = 1, 2, 524288, 131072
_RIGHTS: Final = {
    16: group_rights.POST,
    64: group_rights.REPLY,
    128: group_rights.EDIT,
    256: group_rights.DELETE,
    1024: group_rights.LOCK,
    4096: group_rights.FILES,
    _UNCHECKED: group_rights.UNCHECKED,
}
_MODERATORS_RIGHTS: Final = {
    1: group_rights.EDIT_ANY,
    2: group_rights.DELETE_ANY,
    4: group_rights.LOCK_ANY,
    64: group_rights.APPROVE,
}
_FIRST_RIGHTS: Final = _CAN_VIEW | _CAN_VIEW_OTHERS | _CAN_VIEW_THREADS | sum(_RIGHTS)
_FIELDS: Final = {1: "biography", 2: "location", 3: "interests", 4: "occupation"}
_PICTURES: Final = ("png", "jpg", "jpeg", "jpe", "gif", "webp")


class VbulletinReader(TableReader):
    """Reader of a vBulletin board's documents. `source`: the board's tables; `files`: folder of its uploads, None
    without; `now`: bans that end before it are left out, None for the present time.
    """

    name: str = "vbulletin"
    tables: ClassVar[Mapping[str, str]] = {
        "profiles": "user",
        "roles": "usergroup",
        "forums": "forum",
        "conversations": "thread",
        "polls": "poll",
        "attachments": "attachment",
        "comments": "post",
        "messages": "pmtext",
    }
    losses: tuple[Loss, ...] = (
        Loss(subject="passwords", reason="people sign in with a code by mail"),
        Loss(subject="pictures of the product's gallery", reason="not among the board's files"),
        Loss(
            subject="profile fields that members did not see",
            reason="hidden, or not said to be shown",
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
        Loss(subject="passwords of forums", reason="such a forum comes for its moderators alone"),
        Loss(subject="folders of private messages", reason="huddles have none"),
        Loss(subject="files that wait for approval", reason="nobody but moderators saw them"),
        Loss(
            subject="blogs, albums, groups, articles, visitor messages",
            reason="other parts of the product: not read",
        ),
        Loss(
            subject="reputation, infractions, reports, drafts, read marks, earlier wordings, tags, prefixes",
            reason="not in the layout, or not read",
        ),
    )

    def __init__(
        self, source: Source, files: Path | None = None, now: datetime.datetime | None = None
    ) -> None:
        super().__init__(source, files, now)
        self._people = {as_number(row["userid"]) for row in source.rows("user", ("userid",))}
        self._settings = {
            as_text(row["varname"]): as_text(row["value"])
            for row in source.rows("setting", ("varname", "value"))
        }
        self._texts = XenforoVbulletinText()
        self._rights = VbulletinRights(source)

    def board(self) -> Board:
        address = self._settings.get("bburl", "").rstrip("/")
        return Board(
            title=decoded(self._settings.get("bbtitle", "")) or "vBulletin",
            product=self.name,
            addresses=(address,) if address else (),
            owner=next((str(one) for one in sorted(self._rights.members(ADMINISTRATORS))), ""),
        )

    def unsaid(self) -> Mapping[str, int]:
        return dict(self._texts.unsaid)

    # People

    def _bans(self) -> Mapping[int, Row]:
        """Return the rows of bans in force, of people who become profiles, by the person's id; an empty row for a
        person without such a ban who is in a group of banned people, or waits for approval.
        """
        found: dict[int, Row] = {
            person: {} for person in self._rights.refused if person in self._people
        }
        for row in self._source.rows("userban", ("userid", "bandate", "liftdate", "reason")):
            if as_number(row["userid"]) in self._people and not self._is_over(row["liftdate"]):
                found[as_number(row["userid"])] = row
        return dict(sorted(found.items()))

    def profiles(self) -> Iterator[PortedProfile | Unreadable]:
        banned = self._bans()
        shown = {
            as_number(row["profilefieldid"])
            for row in self._source.rows("profilefield", ("profilefieldid", "hidden"))
            if row["hidden"] == 0
        }
        fields = tuple(f"field{id}" for id in sorted(shown))
        columns = (
            *("userid", "username", "email", "joindate", "lastactivity", "usergroupid"),
            *("usertitle", "homepage", "ipaddress", "avatarrevision"),
        )
        for row in self._source.rows("user", columns, ("userid",)):
            id = as_number(row["userid"])
            name = decoded(as_text(row["username"])).strip()
            if not name:
                yield Unreadable(kind="profile", id=str(id), reason="username: is empty")
                continue
            signature = next(self._source.rows("usertextfield", ("signature",), userid=id), {})
            written = next(self._source.rows("userfield", fields, userid=id), {})
            values = [
                ("title", decoded(as_text(row["usertitle"]))),
                ("website", decoded(as_text(row["homepage"]))),
                ("signature", self._words(signature.get("signature"))),
                *(
                    (
                        _FIELDS.get(field, f"field{field}"),
                        decoded(as_text(written.get(f"field{field}"))),
                    )
                    for field in sorted(shown)
                ),
            ]
            yield PortedProfile(
                id=str(id),
                name=name,
                email=as_text(row["email"]),
                date_created=as_time(row["joindate"]),
                last_active=as_time(row["lastactivity"]),
                ip_address=as_address(row["ipaddress"]),
                is_banned=id in banned,
                is_visible=as_number(row["usergroupid"]) not in (UNCONFIRMED, WAITING),
                avatar=self._avatar(id, as_number(row["avatarrevision"])),
                attributes=tuple(
                    PortedAttribute(key=key, value=value) for key, value in values if value.strip()
                ),
            )

    def _avatar(self, id: int, revision: int) -> PortedAttachment | None:
        columns = ("filedata", "filename", "visible")
        row = next(self._source.rows("customavatar", columns, userid=id), None)
        if row is None or row["visible"] == 0:
            return None
        return PortedAttachment(
            id=f"avatar:{id}",
            name=as_text(row["filename"]),
            content_url=data_url(row["filedata"]),
            path=f"customavatars/avatar{id}_{revision}.gif",
        )

    def _words(self, text: Any) -> str:
        return self._texts.convert(_letters(text), is_message=True).markdown

    def roles(self) -> Iterator[PortedRole | Unreadable]:
        columns = ("usergroupid", "title", "description")
        for row in self._source.rows("usergroup", columns, ("usergroupid",)):
            id = as_number(row["usergroupid"])
            members = () if id in (GUESTS, MEMBERS) else sorted(self._rights.members(id))
            yield PortedRole(
                id=str(id),
                name=as_title(row["title"]),
                text=self._words(row["description"]),
                include_guests=id == GUESTS,
                include_registered_users=id == MEMBERS,
                users=tuple(PortedRef(id=str(member)) for member in members),
            )

    def aliases(self) -> Iterator[PortedAlias | Unreadable]:
        columns = ("threadid", "open", "pollid")
        for row in self._source.rows("thread", columns, ("threadid",), open=_REDIRECT):
            yield PortedAlias(
                on_type="conversation", on_id=str(row["pollid"]), alias=str(row["threadid"])
            )
        for row in self._source.rows("pm", ("pmid", "pmtextid"), ("pmid",)):
            yield PortedAlias(
                on_type="message",
                on_id=f"text-{as_number(row['pmtextid'])}",
                alias=str(row["pmid"]),
            )

    def follows(self) -> Iterator[PortedFollow | Unreadable]:
        found: dict[int, dict[str, list[PortedFollowed]]] = defaultdict(lambda: defaultdict(list))
        for table, column in (("subscribethread", "threadid"), ("subscribeforum", "forumid")):
            columns = ("userid", column, "emailupdate")
            for row in self._source.rows(table, columns, ("userid", column)):
                one = PortedFollowed(id=str(row[column]), notify=bool(row["emailupdate"]))
                found[as_number(row["userid"])][table].append(one)
        columns = ("userid", "buddylist", "ignorelist")
        for row in self._source.rows("usertextfield", columns, ("userid",)):
            for column in columns[1:]:
                for id in re.findall(r"[0-9]{1,10}", as_text(row[column])):
                    if int(id) in self._people:
                        found[as_number(row["userid"])][column].append(PortedFollowed(id=id))
        for person, kinds in sorted(found.items()):
            if person in self._people:
                yield PortedFollow(
                    author=str(person),
                    users=tuple(kinds["buddylist"]),
                    forums=tuple(kinds["subscribeforum"]),
                    conversations=tuple(kinds["subscribethread"]),
                    users_ignored=tuple(one.id for one in kinds["ignorelist"]),
                )

    def bans(self) -> Iterator[PortedBan | Unreadable]:
        for person, row in self._bans().items():
            yield PortedBan(
                profile=str(person),
                date_created=as_time(row.get("bandate")),
                expires=as_time(row.get("liftdate")),
                reason=decoded(as_text(row.get("reason"))),
            )

    # Forums and what is in them

    def forums(self) -> Iterator[PortedForum | Unreadable]:
        columns = (
            *("forumid", "parentid", "title", "description", "displayorder", "options", "link"),
        )
        rows = {
            as_number(row["forumid"]): row
            for row in self._source.rows("forum", columns, ("displayorder", "forumid"))
        }
        above = {id: as_number(row["parentid"]) for id, row in rows.items()}
        for id, parent in parents_first(above):
            row = rows[id]
            name = as_title(row["title"])
            options = as_number(row["options"])
            link = decoded(as_text(row["link"]))
            access = self._rights.of(id, name, is_locked_away=self._rights.is_locked(id))
            texts = (self._words(decoded(as_text(row["description"]))), link and f"<{link}>")
            yield PortedForum(
                id=str(id),
                parent_id=str(parent or ""),
                name=name,
                text="\n\n".join(text for text in texts if text),
                display_order=as_number(row["displayorder"]),
                is_open=bool(options & _ALLOWS_POSTS) or not options & _HOLDS_THREADS,
                holds_posts=access.holds_posts or bool(options & (_CHECKS_POSTS | _CHECKS_THREADS)),
                is_category=bool(link) or not options & _HOLDS_THREADS,
                usergroups=access.roles,
                usergroups_only=True,
                moderators=access.moderators,
            )

    def _threads(self) -> Iterator[Row]:
        columns = (
            *("threadid", "forumid", "title", "postuserid", "postusername", "dateline", "open"),
            *("sticky", "visible", "pollid", "views"),
        )
        for row in self._source.rows("thread", columns, ("threadid",)):
            if row["open"] != _REDIRECT:
                yield row

    def conversations(self) -> Iterator[PortedConversation | Unreadable]:
        for row in self._threads():
            author = self._author(row["postuserid"])
            yield PortedConversation(
                id=str(row["threadid"]),
                name=as_title(row["title"]),
                forum_id=str(row["forumid"]),
                author=author,
                author_name="" if author else decoded(as_text(row["postusername"])),
                date_created=as_time(row["dateline"]),
                view_count=as_number(row["views"]),
                is_open=bool(row["open"]),
                is_sticky=bool(row["sticky"]),
                is_moderated=row["visible"] == _WAITS,
                is_deleted=row["visible"] == _DELETED,
            )

    def polls(self) -> Iterator[PortedPoll | Unreadable]:
        threads = {as_number(row["pollid"]): row for row in self._threads() if row["pollid"]}
        columns = (
            *("pollid", "question", "dateline", "options", "votes", "active", "timeout"),
            *("multiple", "voters", "public"),
        )
        for row in self._source.rows("poll", columns, ("pollid",)):
            thread = threads.get(as_number(row["pollid"]))
            if thread is None:
                reason = "conversationId: no thread has it"
                yield Unreadable(kind="poll", id=str(row["pollid"]), reason=reason)
                continue
            texts = as_text(row["options"]).split("|||")
            counts = as_text(row["votes"]).split("|||") + ["0"] * len(texts)
            choices = tuple(
                PortedChoice(
                    id=str(number),
                    text=self._texts.plain(decoded(text)),
                    votes=as_number(count.strip()),
                )
                for number, (text, count) in enumerate(zip(texts, counts, strict=False), 1)
            )
            votes = self._source.rows(
                "pollvote",
                ("userid", "voteoption", "votedate"),
                ("userid", "voteoption"),
                pollid=row["pollid"],
            )
            begun, days = as_time(row["dateline"]), as_number(row["timeout"])
            author = self._author(thread["postuserid"])
            yield PortedPoll(
                id=str(row["pollid"]),
                conversation_id=str(thread["threadid"]),
                forum_id=str(thread["forumid"]),
                question=as_title(row["question"]),
                author=author,
                author_name="" if author else decoded(as_text(thread["postusername"])),
                date_created=begun,
                max_choices=0 if row["multiple"] else 1,
                closes=days_after(begun, min(days, 36_500)),
                is_poll_open=bool(row["active"]),
                is_named=bool(row["public"]),
                choices=choices,
                ballots=self._ballots(
                    votes, choices, person="userid", choice="voteoption", date="votedate"
                ),
                voter_count=as_number(row["voters"]),
            )

    def comments(self) -> Iterator[PortedComment | Unreadable]:
        titles = {as_number(row["threadid"]): as_title(row["title"]) for row in self._threads()}
        files: dict[str, list[PostFile]] = defaultdict(list)
        for one in self._attached:
            if isinstance(one, Unreadable):
                continue
            is_picture = one.name.rpartition(".")[2].lower() in _PICTURES
            files[one.associations[0].on_id].append(PostFile(one.id, one.name, is_picture))
        columns = (
            *("postid", "threadid", "userid", "username", "title", "dateline", "pagetext"),
            *("allowsmilie", "visible", "ipaddress"),
        )
        rows = self._source.rows("post", columns, ("threadid", "dateline", "postid"))
        for thread, posts in groupby(rows, key=lambda row: as_number(row["threadid"])):
            before: set[str] = set()
            for row in posts:
                id = str(row["postid"])
                if thread not in titles:
                    reason = "onId: names no conversation"
                    yield Unreadable(kind="comment", id=id, reason=reason)
                    continue
                yield self._comment(row, titles[thread], before, files.get(id, []))
                before.add(id)

    def _comment(
        self, row: Row, title: str, before: Collection[str], files: list[PostFile]
    ) -> PortedComment:
        text = self._texts.convert(
            _letters(row["pagetext"]), files, smilies=row["allowsmilie"] != 0
        )
        subject = as_title(row["title"])
        author = self._author(row["userid"])
        columns = ("userid", "dateline", "reason")
        edit = next(self._source.rows("editlog", columns, postid=row["postid"]), {})
        created, address = as_time(row["dateline"]), as_address(row["ipaddress"])
        return PortedComment(
            id=str(row["postid"]),
            on_id=str(row["threadid"]),
            in_reply_to=next((one for one in text.answered if one in before), ""),
            author=author,
            author_name="" if author else decoded(as_text(row["username"])),
            date_created=created,
            ip_address=address,
            is_moderated=row["visible"] == _WAITS,
            is_deleted=row["visible"] == _DELETED,
            versions=(
                PortedVersion(
                    editor=self._author(edit.get("userid")),
                    date_modified=as_time(edit.get("dateline")) or created,
                    headline="" if subject in (title, f"Re: {title}", UNTITLED) else subject,
                    text=text.markdown,
                    edit_reason=decoded(as_text(edit.get("reason"))),
                    ip_address=address,
                ),
            ),
        )

    @cached_property
    def _closed_threads(self) -> set[int]:
        """Return the ids of the threads whose files not everybody who reads the thread could open."""
        closed = {
            forum
            for row in self._source.rows("forum", ("forumid",))
            if not self._rights.all_have(
                group_rights.FILES,
                forum := as_number(row["forumid"]),
                is_locked_away=self._rights.is_locked(forum),
            )
        }
        threads = self._threads()
        return {as_number(row["threadid"]) for row in threads if row["forumid"] in closed}

    @cached_property
    def _attached(self) -> list[PortedAttachment | Unreadable]:
        """Return the attachments of posts, without their bytes, in the order of their ids; an Unreadable for each that
        not everybody who reads the thread could open. Attachments that wait for approval are left out.
        """
        posts = {
            row["contenttypeid"]
            for row in self._source.rows("contenttype", ("contenttypeid", "class"))
            if as_text(row["class"]) == "Post"
        }
        is_old = "postid" in self._source.tables.get("attachment", ())
        columns = (
            *("attachmentid", "contenttypeid", "contentid", "postid", "userid", "dateline"),
            *("filedataid", "state", "visible", "filename"),
        )
        found: list[PortedAttachment | Unreadable] = []
        for row in self._source.rows("attachment", columns, ("attachmentid",)):
            post = row["postid"] if is_old else row["contentid"]
            if not post or not (is_old or row["contenttypeid"] in posts):
                continue
            if row["visible"] == 0 or as_text(row["state"]) == "moderation":
                continue
            id = str(row["attachmentid"])
            thread = next(self._source.rows("post", ("threadid",), postid=post), {}).get("threadid")
            if as_number(thread) in self._closed_threads:
                found.append(Unreadable(kind="attachment", id=id, reason=group_rights.KEPT_BACK))
                continue
            number = row["attachmentid"] if is_old else row["filedataid"]
            folder = "/".join(str(as_number(row["userid"])))
            found.append(
                PortedAttachment(
                    id=id,
                    author=self._author(row["userid"]),
                    date_created=as_time(row["dateline"]),
                    associations=(PortedAssociation(on_type="comment", on_id=str(post)),),
                    name=as_text(row["filename"]),
                    path=f"{folder}/{as_number(number)}.attach",
                )
            )
        return found

    def attachments(self) -> Iterator[PortedAttachment | Unreadable]:
        is_old = "postid" in self._source.tables.get("attachment", ())
        table, key = ("attachment", "attachmentid") if is_old else ("filedata", "filedataid")
        for one in self._attached:
            if isinstance(one, Unreadable):
                yield one
                continue
            number = one.path.rpartition("/")[2].removesuffix(".attach")
            equal: dict[str, Any] = {key: int(number)}
            row = next(self._source.rows(table, ("filedata",), **equal), {})
            yield PortedAttachment(
                id=one.id,
                author=one.author,
                date_created=one.date_created,
                associations=one.associations,
                name=one.name,
                path=one.path,
                content_url=data_url(row.get("filedata")),
            )

    def messages(self) -> Iterator[PortedMessage | Unreadable]:
        text_of: dict[int, int] = {}
        parents: dict[int, int] = {}
        for row in self._source.rows("pm", ("pmid", "pmtextid", "parentpmid"), ("pmid",)):
            text = as_number(row["pmtextid"])
            text_of[as_number(row["pmid"])] = text
            if (parent := text_of.get(as_number(row["parentpmid"]))) and parent != text:
                parents.setdefault(text, parent)
        columns = ("pmtextid", "fromuserid", "fromusername", "title", "message", "touserarray")
        rows = self._source.rows("pmtext", (*columns, "dateline"), ("dateline", "pmtextid"))
        for row in rows:
            text = as_number(row["pmtextid"])
            root, seen = text, {text}
            while (above := parents.get(root)) and above not in seen:
                seen.add(above)
                root = above
            yield self._message(row, root)

    def _message(self, row: Row, root: int) -> PortedMessage | Unreadable:
        id, author = f"text-{as_number(row['pmtextid'])}", as_number(row["fromuserid"])
        copies = {
            as_number(copy["userid"]): bool(copy["messageread"])
            for copy in self._source.rows(
                "pm", ("userid", "messageread"), ("userid", "pmid"), pmtextid=row["pmtextid"]
            )
            if as_number(copy["userid"]) in self._people
        }
        if not copies:
            return Unreadable(kind="message", id=id, reason="to: nobody has a copy")
        hidden = blind_copies(as_text(row["touserarray"]), set(copies) - {author})
        subject, sent = decoded(as_text(row["title"])), as_time(row["dateline"])
        to, bcc = (
            tuple(
                PortedRecipient(id=str(one), is_read=is_read)
                for one, is_read in copies.items()
                if one != author and (one in hidden) == is_blind
            )
            for is_blind in (False, True)
        )
        return PortedMessage(
            id=id,
            root_id=f"text-{root}",
            name=subject,
            author=self._author(author),
            author_name="" if author in self._people else decoded(as_text(row["fromusername"])),
            is_deleted=author not in copies,
            to=to,
            bcc=bcc,
            date_created=sent,
            versions=(
                PortedVersion(
                    date_modified=sent, headline=subject, text=self._words(row["message"])
                ),
            ),
        )


class VbulletinRights(GroupRights):
    """Rights of a board's people, through all of their groups (the first one alone where it allows no others), and as
    moderators of a forum and of those below it.

    People whose first group is one of banned people, or of people who wait for approval or for a mail to be confirmed,
    count as members; `refused` holds the ids of the banned ones and of those who wait for approval. A dump whose groups
    have no rights is not a whole one: members have what the product gives them at first, and guests nothing.
    """

    def __init__(self, source: Source) -> None:
        self._parents: dict[int, int] = {}
        self._options: dict[int, int] = {}
        self._passwords: set[int] = set()
        for row in source.rows("forum", ("forumid", "parentid", "options", "password")):
            forum = as_number(row["forumid"])
            self._parents[forum] = as_number(row["parentid"])
            self._options[forum] = as_number(row["options"])
            if as_text(row["password"]):
                self._passwords.add(forum)
        is_whole = "forumpermissions" in source.tables.get("usergroup", ())
        self._of_groups: dict[int, int] = {}
        self._super = {SUPER_MODERATORS, ADMINISTRATORS}
        banned = {BANNED}
        alone: set[int] = set()
        columns = ("usergroupid", "forumpermissions", "genericoptions", "adminpermissions")
        for row in source.rows("usergroup", columns):
            group = as_number(row["usergroupid"])
            given = as_number(row["forumpermissions"]) if is_whole else _FIRST_RIGHTS
            self._of_groups[group] = given if is_whole or group != GUESTS else 0
            options = row["genericoptions"]
            if options is not None and not as_number(options) & _NOT_BANNED_GROUP:
                banned.add(group)
            if options is not None and not as_number(options) & _ALLOWS_MORE_GROUPS:
                alone.add(group)
            if row["adminpermissions"] is not None and not as_number(row["adminpermissions"]) & 3:
                self._super.discard(group)
        self._here: dict[tuple[int, int], int] = {}
        for row in source.rows("forumpermission", ("forumid", "usergroupid", "forumpermissions")):
            key = as_number(row["forumid"]), as_number(row["usergroupid"])
            self._here[key] = as_number(row["forumpermissions"])
        self._moderators: dict[tuple[int, int], int] = defaultdict(int)
        for row in source.rows("moderator", ("userid", "forumid", "permissions")):
            key = as_number(row["forumid"]), as_number(row["userid"])
            self._moderators[key] |= as_number(row["permissions"])
        memberships = {}
        self.refused: set[int] = set()
        for row in source.rows("user", ("userid", "usergroupid", "membergroupids")):
            person, first = as_number(row["userid"]), as_number(row["usergroupid"])
            groups = {int(one) for one in re.findall(r"[0-9]{1,9}", as_text(row["membergroupids"]))}
            if first in banned or first == WAITING:
                self.refused.add(person)
            if first in alone:
                groups = set()
            outside = banned | {UNCONFIRMED, WAITING, GUESTS}
            memberships[person] = frozenset(
                groups - outside | {MEMBERS if first in outside else first}
            )
        super().__init__(
            sorted(memberships),
            memberships,
            {person for _, person in self._moderators},
            guests=GUESTS,
            everybody=MEMBERS,
        )

    def _path(self, forum: int) -> list[int]:
        """Return the ids of a forum and of those above it, from the bottom up."""
        path: list[int] = []
        while forum > 0 and forum not in path:
            path.append(forum)
            forum = self._parents.get(forum, 0)
        return path

    def is_locked(self, forum: int) -> bool:
        """Return True if the forum, or one above it, has a password."""
        return not self._passwords.isdisjoint(self._path(forum))

    def _bits(self, path: list[int], group: int) -> int:
        keys = ((forum, group) for forum in path)
        return next(
            (self._here[key] for key in keys if key in self._here), self._of_groups.get(group, 0)
        )

    def granted(self, forum: int, groups: frozenset[int], person: int) -> Rights:
        path = self._path(forum)
        bits = 0
        # Whoever does not see a forum sees none below it; nobody sees one that is switched off.
        for place in reversed(range(len(path))):
            bits = 0
            for group in groups:
                bits |= self._bits(path[place:], group)
            if not bits & _CAN_VIEW or not self._options.get(path[place], 0) & _ACTIVE:
                return 0
        holds_threads = self._options.get(forum, 0) & _HOLDS_THREADS
        needed = _CAN_VIEW_OTHERS | _CAN_VIEW_THREADS
        if holds_threads and bits & needed != needed:
            return 0
        rights = group_rights.READ
        for bit, right in _RIGHTS.items():
            rights |= right if bits & bit else 0
        if GUESTS in groups:
            return rights & (group_rights.READ | group_rights.FILES)
        if groups & self._super:
            return rights | group_rights.MODERATOR
        for one in (-1, *path) if person else ():
            for bit, right in _MODERATORS_RIGHTS.items():
                rights |= right if self._moderators.get((one, person), 0) & bit else 0
        return rights

    def groups_at(self, forum: int) -> Collection[int]:
        return set(self._of_groups) - {UNCONFIRMED, WAITING, BANNED}


def blind_copies(written: str, recipients: set[int]) -> set[int]:
    """Return those of the `recipients` (ids of people) who are not to be shown to the others: whom `written`, the
    message's list of recipients as a serialized array of PHP, names as blind copies or not at all. All `recipients` if
    the list can't be read.
    """
    for charset in ("utf-8", "cp1252"):
        try:
            value, end = _php(written.encode(charset), 0, 0)
        except (ValueError, IndexError, UnicodeEncodeError):
            continue
        if isinstance(value, dict) and end:
            blind, open_to = value.get("bcc"), value.get("cc", value)
            hidden = set(blind) if isinstance(blind, dict) else set()
            named = set(open_to) if isinstance(open_to, dict) else set()
            return {one for one in recipients if one in hidden or one not in named}
    return recipients


def _php(data: bytes, position: int, depth: int) -> tuple[Any, int]:
    """Parse a serialized number, text or array of PHP from `position` on; return it, an array as a dict, and the
    position after it. `depth`: number of arrays around the value. Raises ValueError, IndexError for anything else, also
    for arrays of more than 10,000 entries, or more than four levels deep.
    """
    kind = data[position : position + 2]
    if kind == b"i:":
        end = data.index(b";", position)
        return int(data[position + 2 : end]), end + 1
    colon = data.index(b":", position + 2)
    size = int(data[position + 2 : colon])
    if kind == b"s:" and size >= 0 and data[colon + size + 2 : colon + size + 4] == b'";':
        text = data[colon + 2 : colon + 2 + size]
        return text.decode("utf-8", "replace"), colon + size + 4
    if kind != b"a:" or not 0 <= size <= 10_000 or depth > 3 or data[colon + 1 : colon + 2] != b"{":
        raise ValueError("neither a number nor a text nor an array")
    position = colon + 2
    found: dict[Any, Any] = {}
    for _ in range(size):
        key, position = _php(data, position, depth + 1)
        if isinstance(key, dict):
            raise ValueError("a key is an array")
        found[key], position = _php(data, position, depth + 1)
    if data[position : position + 1] != b"}":
        raise ValueError("an array has no end")
    return found, position + 1


def _letters(text: Any) -> str:
    """Return a text as typed, its letters beyond the board's character set, `&#1055;`, decoded."""
    return re.sub(r"&#[0-9]{3,7};", lambda match: decoded(match[0]), as_text(text))
