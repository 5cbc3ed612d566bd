"""Neutral layout of a forum: what a reader yields, the loader stores, and an export writes.

Ids are the old forum's, as text of 1 to 64 characters, and unique within their kind. A missing boolean is false, so a
conversation without `isOpen` is closed; but a profile without `isVisible` is visible. Times have a zone. In JSON the
names are in camel case: `dateCreated`.

**Texts** are Markdown, as a member would type it here. A reader turns BBCode and HTML into Markdown; what Markdown
lacks, such as underlining, spoilers and names above quotations, is written as the HTML that members may type too.
Links to the forum's own things are either its old addresses, which the loader resolves by the rules in
`wire/legacy_urls`, or addresses of the scheme `old:`, which name kind and id and need no rule:

    [the thread](old:conversation/12)      [post](old:comment/345)       [forum](old:forum/3)
    [@Anna Lee](old:profile/7)             a mention: the link's text begins with @
    ![map.png](old:attachment/9)           a file in its place: shown, when it is a picture
    [list.pdf](old:attachment/10)          a file in its place: linked

An attachment that no text names is shown below its comment. A link to something that does not come along is its text.

**Authors.** `author` is a profile's id. Where it is empty, `authorName` is the name under which a guest, or somebody
whose account is gone, wrote; both empty: nothing is known.

**Rights** never grow: a role or a forum says who may do something, and what no one says, nobody may.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import IO, Final, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

# Version of the layout, in `site.json` of an export.
VERSION: Final = 1
MAX_ID: Final = 64
OldId: TypeAlias = str
# Kinds of things that another can hang on, or point to.
Kind: TypeAlias = Literal[
    "site",
    "profile",
    "role",
    "forum",
    "conversation",
    "event",
    "poll",
    "comment",
    "message",
    "attachment",
]


class PortedDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base class of all documents of the layout; a field that equals its default is left out of JSON."""


class Board(PortedDocument, frozen=True, kw_only=True):
    """Old forum as a whole, one for each source; in an export the file `site.json`. `product`: its software, whose
    rules in `wire/legacy_urls` read its addresses; `addresses`: those that it had, without a slash at the end; `owner`:
    id of a profile, "" if unknown; `layout`: version of the layout.
    """

    title: str
    description: str = ""
    # Product whose rules resolve old addresses: the name of a file in `wire/legacy_urls`, or another name.
    product: str
    product_version: str = ""
    # Addresses that the forum had, without a trailing slash: `https://forum.example.org/board`. Links to them are
    # internal.
    addresses: tuple[str, ...] = ()
    owner: OldId = ""
    language: str = ""
    layout: int = VERSION


class PortedRef(PortedDocument, frozen=True, kw_only=True):
    """Reference to a document by its id; the field that holds it says of which kind."""

    id: OldId


class PortedAttribute(PortedDocument, frozen=True, kw_only=True):
    """Value under a key, such as a custom field or a signature, of the person, forum or conversation whose `attributes`
    list it. `is_date`: the value is a date such as 2021-05-30; `written_by`: id of a profile, "" for the person who has
    it; `is_granted`: an owner of the old forum wrote it, as a fact about the person. The loader ignores `is_granted`,
    which a plan counts: for roles here those attributes count whose keys whoever imports names.
    """

    key: str
    value: str | bool | float
    # The value is a date, `2021-05-30`.
    is_date: bool = False
    # Profile that wrote it; empty: the one that holds it.
    written_by: OldId = ""
    written: datetime.datetime | None = None
    # True: an owner of the old forum wrote it, as a fact about the person. A plan counts it; for roles here only
    # `--granted KEY` counts.
    is_granted: bool = False


class PortedAssociation(PortedDocument, frozen=True, kw_only=True):
    """Reference, by kind and id, to one of the things that a file is attached to."""

    on_type: Kind
    on_id: OldId


class PortedAttachment(PortedDocument, frozen=True, kw_only=True):
    """File and the things it is attached to. Its bytes come from `ForumReader.open`, which finds them by `path`, or in
    `content_url` as a base64 data URL. `content_size`: bytes, `width`, `height`: pixels, 0 if unknown; `comment`: what
    the author wrote about the file.
    """

    id: OldId
    author: OldId = ""
    author_name: str = ""
    date_created: datetime.datetime | None = None
    associations: tuple[PortedAssociation, ...] = ()
    name: str = ""
    content_size: int = 0
    content_url: str = ""
    # Where the reader finds the bytes, below the root that it was opened with.
    path: str = ""
    mimetype: str = ""
    width: int = 0
    height: int = 0
    # Line about the file that its author wrote.
    comment: str = ""


class PortedProfile(PortedDocument, frozen=True, kw_only=True):
    """Person of the old forum, who becomes a profile. No field gives a privilege on this platform: the e-mail address
    is not trusted, and signs nobody in by itself.

    `email` "": nobody can claim the profile; `is_banned`: the person is banned for good unless a document of `bans`
    says till when; `is_visible` False: it is listed nowhere; `is_bot`: it is a program's; `text`: what the person wrote
    about themselves, in Markdown, which becomes a comment of theirs on their profile.
    """

    id: OldId
    name: str
    # Empty: nobody can claim the profile.
    email: str = ""
    date_created: datetime.datetime | None = None
    last_active: datetime.datetime | None = None
    ip_address: str = ""
    receive_email_from_admins: bool = False
    receive_email_notifications: bool = False
    is_banned: bool = False
    # False: listed nowhere.
    is_visible: bool = True
    is_bot: bool = False
    # Words about oneself, in Markdown, which become the comment on one's own profile.
    text: str = ""
    usergroups: tuple[PortedRef, ...] = ()
    avatar: PortedAttachment | None = None
    attributes: tuple[PortedAttribute, ...] = ()
    time_zone: str = ""


class ForumPermissions(PortedDocument, frozen=True, kw_only=True):
    """Rights that a role gives in a forum; a missing one is not given. The rights to edit and delete are for posts,
    those to close and open for threads.
    """

    can_view: bool = False
    can_post_new: bool = False
    # Ours have no right of their own for answers: whoever may view and has one of both may answer.
    can_reply: bool = False
    can_edit_own: bool = False
    can_edit_others: bool = False
    can_delete_own: bool = False
    can_delete_others: bool = False
    can_close_own: bool = False
    can_open_own: bool = False


class PortedCriterion(PortedDocument, frozen=True, kw_only=True):
    """Condition of membership in a role: `key` names a column of the profile (COLUMNS in models/roles/criterion.py) or
    else an attribute, whose value is compared with `value` as `predicate` says. Conditions with the same `or_group` are
    joined by AND, the groups by OR.
    """

    or_group: int = 0
    key: str
    predicate: Literal["eq", "ne", "lt", "le", "ge", "gt", "substr", "nsubstr"]
    value: str | bool | float


class PortedRole(PortedDocument, frozen=True, kw_only=True):
    """Group of people and its rights. A role in a forum's `usergroups` gives its rights in that forum; if a role of the
    stream `roles` has the same id, to the members and by the criteria of that one. A role of the stream gives its own
    rights only if it is `default`: in forums that neither list roles nor are below one that does, and, unless
    `usergroups_only`, beside listed ones. `is_banned`: its members are kept out, whatever else they are in;
    `is_moderator`: they moderate; `users`: members, without those whom `criteria` make members.
    """

    id: OldId
    name: str = ""
    text: str = ""
    is_banned: bool = False
    is_moderator: bool = False
    include_registered_users: bool = False
    include_guests: bool = False
    # Applies to all forums that list no groups of their own.
    default: bool = False
    forum_permissions: ForumPermissions = ForumPermissions()
    # Members; people who are members by `criteria` are not among them.
    users: tuple[PortedRef, ...] = ()
    criteria: tuple[PortedCriterion, ...] = ()


class PortedForum(PortedDocument, frozen=True, kw_only=True):
    """Forum or category of the old forum; becomes a microcosm. `usergroups`: roles with their rights in it, None for
    those of the forum above; with `usergroups_only` False the default roles that are not listed keep their rights.
    `display_order`: lower is higher up; `is_category`: it holds forums, and no conversations; `text`: Markdown.
    `is_moderated`: the forum itself waits for a moderator; `holds_posts`: new posts of members in it wait for one;
    `moderators`: profiles that moderate it.
    """

    id: OldId
    parent_id: OldId = ""
    name: str
    author: OldId = ""
    # Markdown.
    text: str = ""
    date_created: datetime.datetime | None = None
    # Lower is higher up among those with the same parent.
    display_order: int = 0
    is_open: bool = False
    is_sticky: bool = False
    # Waits for a moderator, and nobody else reads it.
    is_moderated: bool = False
    # New posts of members wait for a moderator; everybody reads what is there. Nothing of a microcosm says so.
    holds_posts: bool = False
    is_deleted: bool = False
    # Category or link: holds forums, and no conversations.
    is_category: bool = False
    # None: as above it. Else roles with their rights here: one whose id is also in `roles()` has other rights here than
    # elsewhere, but the same members; one with an id of its own is a role of this forum alone, for example for one
    # person. A role with `isBanned` and members keeps these out, whatever else they are in.
    usergroups: tuple[PortedRole, ...] | None = None
    # True: `usergroups` are all there are; whoever is in none may do nothing, also not view. False, as in old exports:
    # the default roles that are not listed keep their rights.
    usergroups_only: bool = False
    moderators: tuple[PortedRef, ...] = ()
    attributes: tuple[PortedAttribute, ...] = ()


class PortedAttendee(PortedDocument, frozen=True, kw_only=True):
    """Answer of a person, whose id is `id`, to an event."""

    id: OldId
    state: Literal["yes", "maybe", "no", "invited"]
    date: datetime.datetime | None = None


class PortedEvent(PortedDocument, frozen=True, kw_only=True):
    """Time, place and attendees of a conversation that is an event. `when`: clock time at `time_zone`, itself without a
    zone, None if it is to be agreed; `duration`: minutes; `rsvp_limit`: most people who can attend, 0 for any number.
    """

    # Clock time at `timeZone`, without a zone; None: to be agreed.
    when: datetime.datetime | None = None
    time_zone: str = ""
    # Minutes.
    duration: int = 0
    place: str = ""
    lat: float | None = None
    lon: float | None = None
    status: Literal["proposed", "upcoming", "postponed", "cancelled", "past"] = "proposed"
    # 0: without a limit.
    rsvp_limit: int = 0
    attendees: tuple[PortedAttendee, ...] = ()


class PortedConversation(PortedDocument, frozen=True, kw_only=True):
    """Thread of a forum, without its posts; becomes a conversation, with `event` an event. Placeholders of moved
    threads are left out. `is_moderated`: the thread waits for a moderator; `by_agent`: a program that a model drives
    began it in its author's name.
    """

    id: OldId
    name: str
    forum_id: OldId
    author: OldId = ""
    author_name: str = ""
    date_created: datetime.datetime | None = None
    date_edited: datetime.datetime | None = None
    edited_by: OldId = ""
    edit_reason: str = ""
    view_count: int = 0
    is_open: bool = False
    is_sticky: bool = False
    # Waits for a moderator.
    is_moderated: bool = False
    is_deleted: bool = False
    by_agent: bool = False
    event: PortedEvent | None = None
    attributes: tuple[PortedAttribute, ...] = ()


class PortedChoice(PortedDocument, frozen=True, kw_only=True):
    """Choice of a poll, one of those to vote for. `votes`: number that the forum showed; it may exceed the ballots."""

    id: OldId
    text: str
    # Counter that the forum showed; it may exceed the ballots, which are those of people still known.
    votes: int = 0


class PortedBallot(PortedDocument, frozen=True, kw_only=True):
    """Vote of one person in a poll: the ids of the choices voted for."""

    author: OldId
    choices: tuple[OldId, ...]
    date: datetime.datetime | None = None


class PortedPoll(PortedDocument, frozen=True, kw_only=True):
    """Poll, on a conversation, or by itself in a forum; becomes an item of its own in either case. `name`: title, ""
    for the question; `max_choices`: for which a person may vote, 0 for any number; `is_poll_open`: votes are still
    taken, until `closes`; `is_open`: comments are still taken. `results`: when they are shown: always, to those who
    have voted, or once the poll is closed; `is_named`: with the voters' names. `forum_id`: that of a poll without a
    conversation. `by_agent`: as of a conversation.
    """

    id: OldId
    # Empty: a poll of its own, with comments `onType` poll.
    conversation_id: OldId = ""
    # Of a poll without a conversation; else that of the conversation counts.
    forum_id: OldId = ""
    # Empty: the question.
    name: str = ""
    question: str
    author: OldId = ""
    author_name: str = ""
    date_created: datetime.datetime | None = None
    # Answers a person may choose; 0: as many as there are.
    max_choices: int = 1
    closes: datetime.datetime | None = None
    # Votes are still taken, until `closes`.
    is_poll_open: bool = False
    is_named: bool = False
    results: Literal["always", "voted", "closed"] = "always"
    choices: tuple[PortedChoice, ...] = ()
    ballots: tuple[PortedBallot, ...] = ()
    voter_count: int = 0
    view_count: int = 0
    is_open: bool = False
    is_sticky: bool = False
    is_moderated: bool = False
    is_deleted: bool = False
    by_agent: bool = False


class PortedVersion(PortedDocument, frozen=True, kw_only=True):
    """Version of the text of a comment or message. The document's `versions` stand oldest first; the last version is
    the one that is shown. `editor`: id of a profile, "" for the author; `headline`: subject of a message, or of a post
    whose subject differs from its thread's title; `text`: Markdown.
    """

    # Empty: the author.
    editor: OldId = ""
    date_modified: datetime.datetime | None = None
    # Subject of its own, of a message or a post. A post's is given only where it differs from its thread's title.
    headline: str = ""
    # Markdown.
    text: str = ""
    edit_reason: str = ""
    ip_address: str = ""


class PortedComment(PortedDocument, frozen=True, kw_only=True):
    """Post on a conversation, event, poll or profile; becomes a comment. Posts on the same thing are yielded in reading
    order. `in_reply_to`: id of the post on the same thing that it answers, "" for none; `is_moderated`: the post waits
    for a moderator; `by_agent`: a program that a model drives wrote it in its author's name.
    """

    id: OldId
    on_type: Literal["conversation", "event", "poll", "profile"] = "conversation"
    on_id: OldId
    in_reply_to: OldId = ""
    author: OldId = ""
    author_name: str = ""
    date_created: datetime.datetime | None = None
    ip_address: str = ""
    is_moderated: bool = False
    is_deleted: bool = False
    by_agent: bool = False
    versions: tuple[PortedVersion, ...] = ()


class PortedRecipient(PortedDocument, frozen=True, kw_only=True):
    """Recipient of a private message. `id`: the person's; `is_read`: the person has read it; `is_deleted`: the person
    has removed their copy.
    """

    id: OldId
    # Has removed their copy, so that they never see it again.
    is_deleted: bool = False
    is_read: bool = False


class PortedMessage(PortedDocument, frozen=True, kw_only=True):
    """Private message; becomes a comment in a huddle. Only people with a copy see it: the author, unless `is_deleted`,
    those in `to`, and each in `bcc`, who is known to the author alone. `name`: title of the talk; `root_id`: id of the
    message that began the talk, or of the talk itself, "" if this message began it; `in_reply_to`: id of the message
    that it answers, "" for none.
    """

    id: OldId
    # Message that began the talk, or the talk's own id; empty: this one. Messages of one root and the same people
    # become one huddle; those of a root come oldest first.
    root_id: OldId = ""
    name: str = ""
    author: OldId = ""
    author_name: str = ""
    # The sender has removed their own copy.
    is_deleted: bool = False
    # Everybody with a copy at the time of reading. Groups are expanded by the reader.
    to: tuple[PortedRecipient, ...] = ()
    # Not known to each other nor to those in `to`.
    bcc: tuple[PortedRecipient, ...] = ()
    in_reply_to: OldId = ""
    date_created: datetime.datetime | None = None
    ip_address: str = ""
    versions: tuple[PortedVersion, ...] = ()


class PortedReaction(PortedDocument, frozen=True, kw_only=True):
    """Reaction of one person to an item, comment or message, such as a like. `name`: the sign, an emoji."""

    author: OldId
    on_type: Literal["conversation", "event", "poll", "comment", "message"]
    on_id: OldId
    # The sign itself, as an emoji.
    name: str = "👍"
    date: datetime.datetime | None = None


class PortedBookmark(PortedDocument, frozen=True, kw_only=True):
    """Bookmark of one person on an item or comment. `text`: the person's note, which the loader
    drops and a plan counts.
    """

    author: OldId
    on_type: Literal["conversation", "event", "poll", "comment"]
    on_id: OldId
    text: str = ""
    date: datetime.datetime | None = None


class PortedFollowed(PortedDocument, frozen=True, kw_only=True):
    """Person, forum or conversation that somebody follows, by its id. `notify`: updates of that person, forum or
    conversation come by mail too.
    """

    id: OldId
    notify: bool = False


class PortedFollow(PortedDocument, frozen=True, kw_only=True):
    """List of all that one person follows and ignores; one document for each such person."""

    author: OldId
    users: tuple[PortedFollowed, ...] = ()
    forums: tuple[PortedFollowed, ...] = ()
    conversations: tuple[PortedFollowed, ...] = ()
    users_ignored: tuple[OldId, ...] = ()
    forums_ignored: tuple[OldId, ...] = ()
    conversations_ignored: tuple[OldId, ...] = ()


class PortedBan(PortedDocument, frozen=True, kw_only=True):
    """Ban of a person, of e-mail addresses, or of IP addresses; exactly one of `profile`, `email` and `ip_address` is
    set. `is_exception` True: the opposite, an exception that other bans spare. `email`: an address, perhaps with `*`
    for parts of it; `expires`: None for good; `reason`: shown to the banned; `note`: for moderators.
    """

    profile: OldId = ""
    # Whole address, or with `*`.
    email: str = ""
    ip_address: str = ""
    # The opposite: whom other bans spare.
    is_exception: bool = False
    date_created: datetime.datetime | None = None
    # None: for good. A ban that is over is left out.
    expires: datetime.datetime | None = None
    # Shown to the banned.
    reason: str = ""
    # For moderators.
    note: str = ""


class PortedWarning(PortedDocument, frozen=True, kw_only=True):
    """Warning that a moderator gave a person. The loader leaves warnings out."""

    profile: OldId
    author: OldId = ""
    comment_id: OldId = ""
    date_created: datetime.datetime | None = None
    text: str = ""
    points: int = 0


class PortedReport(PortedDocument, frozen=True, kw_only=True):
    """Report of a post, private message or person by somebody. The loader leaves reports out."""

    id: OldId
    on_type: Literal["comment", "message", "profile"] = "comment"
    on_id: OldId
    author: OldId = ""
    date_created: datetime.datetime | None = None
    text: str = ""
    is_closed: bool = False
    closed_by: OldId = ""


class PortedAlias(PortedDocument, frozen=True, kw_only=True):
    """Further id of a thing, such as a name or slug, by which addresses of the old forum name the thing."""

    on_type: Kind
    on_id: OldId
    alias: str


class Loss(PortedDocument, frozen=True, kw_only=True):
    """Part of a product's data that its reader can't express in this layout or doesn't read, such as passwords, with
    the reason.
    """

    # "passwords", "ranks", "smilies' pictures".
    subject: str
    reason: str


class Unreadable(PortedDocument, frozen=True, kw_only=True):
    """Row of a source that can't become a document, with the reason; a reader yields this in the document's place. The
    loader lists the documents that it leaves out in the same form. `kind`: of the document, such as "comment";
    `reason`: a sentence that names the field.
    """

    kind: str
    id: OldId
    # One sentence that names field and rule: "dateCreated: 'soon' is no time".
    reason: str


@runtime_checkable
class ForumReader(Protocol):
    """Interface of a source of one forum's documents, one stream a kind. A reader writes nothing, and reads row by row.

    Each stream can be read more than once, and yields the same documents in the same order while the source is
    unchanged: after a break the loader skips what it already has. A stream that a product lacks is empty. The loader
    reads the streams in the order in which their methods stand here, and some of them again later.
    """

    # Name of the product: `phpbb`.
    name: str
    # Parts that never come along, whatever the board holds.
    losses: tuple[Loss, ...]

    def board(self) -> Board: ...

    def counts(self) -> Mapping[str, int]:
        """Return about how many documents each stream has, by the stream's name, for the estimate of the time; a stream
        that can't be estimated is missing.
        """

    def unsaid(self) -> Mapping[str, int]:
        """Return how often the texts read so far held formatting that Markdown can't express, by its name: `{"colour":
        12, "size of type": 3}`.
        """

    def profiles(self) -> Iterator[PortedProfile | Unreadable]: ...

    def roles(self) -> Iterator[PortedRole | Unreadable]: ...

    def forums(self) -> Iterator[PortedForum | Unreadable]:
        """Yield each forum after its parent; an Unreadable for a row that can't become a forum."""

    def conversations(self) -> Iterator[PortedConversation | Unreadable]: ...

    def polls(self) -> Iterator[PortedPoll | Unreadable]: ...

    def attachments(self) -> Iterator[PortedAttachment | Unreadable]: ...

    def comments(self) -> Iterator[PortedComment | Unreadable]:
        """Yield comments, those on the same thing in reading order; comments on different things may alternate. An
        Unreadable stands for a row that can't become a comment.
        """

    def messages(self) -> Iterator[PortedMessage | Unreadable]: ...

    def reactions(self) -> Iterator[PortedReaction | Unreadable]: ...

    def bookmarks(self) -> Iterator[PortedBookmark | Unreadable]: ...

    def follows(self) -> Iterator[PortedFollow | Unreadable]: ...

    def bans(self) -> Iterator[PortedBan | Unreadable]: ...

    def warnings(self) -> Iterator[PortedWarning | Unreadable]: ...

    def reports(self) -> Iterator[PortedReport | Unreadable]: ...

    def aliases(self) -> Iterator[PortedAlias | Unreadable]: ...

    def open(self, attachment: PortedAttachment) -> IO[bytes] | None:
        """Open an attachment's bytes for reading; the caller closes the file. None if the source does not have it."""

    def close(self) -> None: ...


class BaseReader:
    """Base class of products' readers: all streams are empty, and no file is found; a subclass overrides those that the
    product has.
    """

    name: str = ""
    losses: tuple[Loss, ...] = ()

    def board(self) -> Board:
        return Board(title="", product=self.name)

    def counts(self) -> Mapping[str, int]:
        return {}

    def unsaid(self) -> Mapping[str, int]:
        return {}

    def profiles(self) -> Iterator[PortedProfile | Unreadable]:
        return iter(())

    def roles(self) -> Iterator[PortedRole | Unreadable]:
        return iter(())

    def forums(self) -> Iterator[PortedForum | Unreadable]:
        return iter(())

    def conversations(self) -> Iterator[PortedConversation | Unreadable]:
        return iter(())

    def polls(self) -> Iterator[PortedPoll | Unreadable]:
        return iter(())

    def attachments(self) -> Iterator[PortedAttachment | Unreadable]:
        return iter(())

    def comments(self) -> Iterator[PortedComment | Unreadable]:
        return iter(())

    def messages(self) -> Iterator[PortedMessage | Unreadable]:
        return iter(())

    def reactions(self) -> Iterator[PortedReaction | Unreadable]:
        return iter(())

    def bookmarks(self) -> Iterator[PortedBookmark | Unreadable]:
        return iter(())

    def follows(self) -> Iterator[PortedFollow | Unreadable]:
        return iter(())

    def bans(self) -> Iterator[PortedBan | Unreadable]:
        return iter(())

    def warnings(self) -> Iterator[PortedWarning | Unreadable]:
        return iter(())

    def reports(self) -> Iterator[PortedReport | Unreadable]:
        return iter(())

    def aliases(self) -> Iterator[PortedAlias | Unreadable]:
        return iter(())

    def open(self, attachment: PortedAttachment) -> IO[bytes] | None:
        return None

    def close(self) -> None:
        pass


# Streams of a reader in the loader's order; also the names of an export's folders.
STREAMS: Final = (
    "profiles",
    "roles",
    "forums",
    "conversations",
    "polls",
    "attachments",
    "comments",
    "messages",
    "reactions",
    "bookmarks",
    "follows",
    "bans",
    "warnings",
    "reports",
    "aliases",
)
# Type of each stream's documents.
DOCUMENTS: Final[Mapping[str, type[PortedDocument]]] = {
    "profiles": PortedProfile,
    "roles": PortedRole,
    "forums": PortedForum,
    "conversations": PortedConversation,
    "polls": PortedPoll,
    "attachments": PortedAttachment,
    "comments": PortedComment,
    "messages": PortedMessage,
    "reactions": PortedReaction,
    "bookmarks": PortedBookmark,
    "follows": PortedFollow,
    "bans": PortedBan,
    "warnings": PortedWarning,
    "reports": PortedReport,
    "aliases": PortedAlias,
}
