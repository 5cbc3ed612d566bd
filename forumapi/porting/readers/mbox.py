"""Reader of a mailing list's archive: an mbox file, or a folder of them.

Threads follow Message-ID, References and In-Reply-To, never subjects alone. Ids are the hashes that Mailman 3 has in
its addresses: the SHA-1 of the Message-ID in base 32. People are their addresses. An archive does not say who could
read it: those who wrote to the list may, and nobody else.
"""

from __future__ import annotations

import base64
import codecs
import datetime
import email
import hashlib
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from email.errors import MessageError
from email.header import decode_header
from email.message import Message
from email.policy import Compat32
from email.utils import getaddresses, parsedate_to_datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

from forumapi.porting.dumps import mbox_file
from forumapi.porting.dumps.dump_types import MAX_VALUE, DumpError
from forumapi.porting.dumps.row_values import UNTITLED
from forumapi.porting.dumps.source import MAX_DUMP
from forumapi.porting.layout import (
    BaseReader,
    Board,
    ForumPermissions,
    Loss,
    PortedAssociation,
    PortedAttachment,
    PortedComment,
    PortedConversation,
    PortedForum,
    PortedProfile,
    PortedRef,
    PortedRole,
    PortedVersion,
    Unreadable,
)
from forumapi.porting.markup import mail_text
from forumapi.porting.markup.text_tree import Unsaid
from forumapi.porting.readers.table_reader import data_url

# Tried where a part names no character set, or a wrong one.
_CHARSETS: Final = ("utf-8", "cp1252")
_MESSAGE_ID = re.compile(r"<([^<>\s]{1,998})>")
# Signs of an answer, at the beginning or behind the list's name: "Re: ", "[bikes] AW: Re[2]: ".
_PREFIX = re.compile(
    r"^(?P<list>(?:\[[^\[\]]{1,100}\]\s*)?)(?:(?:re|aw|sv|vs|antw|odp)(?:\[[0-9]+\])?\s*:\s*)+",
    re.I,
)
_HIDDEN_ADDRESS = re.compile(r"^\s*(\S+) at (\S+\.\S+?)(?=\s|$)")
_SIGNATURES: Final = frozenset(("application/pgp-signature", "application/pkcs7-signature"))
_MOST_REFERENCES: Final = 200
_LONGEST: Final = 2_000
# Most characters by header, of those that are read; many parsers of headers need the square of the length.
_LENGTHS: Final = {
    "references": 65_536,
    **dict.fromkeys(
        (
            *("message-id", "in-reply-to", "from", "list-id", "subject", "date", "x-no-archive"),
            *("content-type", "content-disposition", "content-transfer-encoding"),
        ),
        _LONGEST,
    ),
}
# Python's codecs that are no character sets of mail: they need the square of the length, or are notations of Python.
_NO_CHARSETS: Final = frozenset(
    ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape")
)
# What the package `email` raises for headers and parts that it can't parse.
_BROKEN: Final = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, MessageError),
    *(RecursionError, TypeError, ValueError),
)
_WRITERS: Final = ForumPermissions(can_view=True, can_post_new=True, can_reply=True)
_SCHEMA: Final = """
    CREATE TABLE mails (id TEXT PRIMARY KEY, list TEXT, thread TEXT, parent TEXT, person TEXT, subject TEXT,
        sent REAL, number INTEGER, data BLOB);
    CREATE TABLE known (list TEXT, id TEXT, thread TEXT, PRIMARY KEY (list, id)) WITHOUT ROWID;
    CREATE TABLE people (id TEXT PRIMARY KEY, address TEXT, name TEXT, first REAL, last REAL);
    CREATE TABLE writers (list TEXT, person TEXT, PRIMARY KEY (list, person)) WITHOUT ROWID;
    CREATE TABLE lists (id TEXT PRIMARY KEY, name TEXT);
    CREATE TABLE broken (id TEXT, reason TEXT);"""


class _Head(NamedTuple):
    """Headers of one message as far as threads and people need them. `id`: hash of its Message-ID, or of its bytes
    without one; `references`: hashes of the Message-IDs that the message refers to, the nearest one last; `list`,
    `list_name`: id and name of the mailing list, "" without one; `address`, `name`: the author's, "" if unknown, and
    `name` also "" if an address stands in it; `sent`: seconds since 1970, None if unknown; `is_archived`: False if the
    author wanted the message in no archive.
    """

    id: str
    references: list[str]
    list: str
    list_name: str
    address: str
    name: str
    subject: str
    sent: float | None
    is_archived: bool


class _MailPolicy(Compat32):
    """Policy by which mail is parsed: each header named in _LENGTHS is cut to the number of characters given there
    (References 65,536, others 2,000); headers are written as they were. `unsaid`: counts of cut headers, by a phrase
    that names header and length; added to in place.
    """

    _unsaid: Unsaid

    def __init__(self, unsaid: Unsaid) -> None:
        super().__init__()
        # Attributes of a policy are read-only.
        object.__setattr__(self, "_unsaid", unsaid)

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        most = _LENGTHS.get(name.lower(), len(value))
        if len(value) > most:
            self._unsaid[f"end of a header {name.lower()} above {most} characters"] += 1
        return name, value[:most]

    def fold_binary(self, name: str, value: str) -> bytes:
        return f"{name}: {value}{self.linesep}".encode("utf-8", "surrogateescape")


class MboxReader(BaseReader):
    """Reader of an archive's documents. All messages lie in a temporary SQLite file, which `close` removes."""

    name: str = "mbox"
    losses: tuple[Loss, ...] = (
        Loss(
            subject="who could read the archive",
            reason="the file does not say: those who wrote to the list may, until an owner opens it to more",
        ),
        Loss(subject="subscriptions", reason="they are not in an archive"),
        Loss(subject="numbers of pages", reason="Mailman 2 numbers its pages outside of the file"),
        Loss(subject="signatures of OpenPGP and S/MIME", reason="they do not fit converted texts"),
        Loss(subject="pictures and colours of HTML", reason="text and links come"),
    )

    def __init__(self, path: Path, *, folder: Path | None = None, most: int | None = None) -> None:
        """Read the whole archive at `path`, a file or folder as `mbox_file.read` takes it. Raises DumpError, also for
        an archive without messages, and OSError.

        `folder`: for the temporary file, None for the system's. `most`: bytes that each file may have after
        decompression, None for MAX_DUMP.
        """
        self._path = path
        self._unsaid = Unsaid()
        self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115
            prefix="forumapi-import-", suffix=".sqlite", dir=folder
        )
        self._database = sqlite3.connect(self._file.name, isolation_level=None)
        try:
            self._database.executescript(
                f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;{_SCHEMA}"
            )
            self._database.execute("BEGIN")
            for mail in mbox_file.read(path, MAX_DUMP if most is None else most):
                self._take(mail)
            self._thread()
            self._database.execute("COMMIT")
            if not self._database.execute("SELECT 1 FROM mails LIMIT 1").fetchone():
                raise DumpError(f"{path.name}: holds no message")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._database.close()
        self._file.close()

    def _take(self, mail: mbox_file.MboxMessage) -> None:
        run = self._database.execute
        where = f"{mail.file[-40:]}:{mail.number}"
        if mail.data is None:
            reason = f"is longer than {mbox_file.MAX_MESSAGE} bytes"
            run("INSERT INTO broken VALUES (?, ?)", (where, reason))
            return
        try:
            head = _head(mail)
        except _BROKEN as error:
            run("INSERT INTO broken VALUES (?, ?)", (where, f"headers: {_told(error)}"))
            return
        problem = "" if head.address else "From: names no address"
        problem = problem or ("" if head.is_archived else "its author wanted it in no archive")
        if problem:
            run("INSERT INTO broken VALUES (?, ?)", (where, problem))
            return
        person = _hash(head.address)
        added = run(
            "INSERT INTO mails VALUES (?, ?, '', ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                *(head.id, head.list, " ".join(head.references), person, head.subject, head.sent),
                *(mail.number, mail.data),
            ),
        )
        if not added.rowcount:
            run("INSERT INTO broken VALUES (?, ?)", (where, "Message-ID: another message has it"))
            return
        run(
            """INSERT INTO people VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
                name = CASE WHEN excluded.name > '' THEN excluded.name ELSE name END,
                first = min(coalesce(first, excluded.first), coalesce(excluded.first, first)),
                last = max(coalesce(last, excluded.last), coalesce(excluded.last, last))""",
            (person, head.address, head.name, head.sent, head.sent),
        )
        run("INSERT INTO writers VALUES (?, ?) ON CONFLICT DO NOTHING", (head.list, person))
        run("INSERT INTO lists VALUES (?, ?) ON CONFLICT DO NOTHING", (head.list, head.list_name))

    def _thread(self) -> None:
        """Give each message, the earliest first, its thread: that in which another message of its list has named it,
        else that of the nearest message it refers to that is in a thread or named in one; else a new thread. Its parent
        is the nearest message it refers to, which may be missing in the archive; "" if it refers to none.
        """
        run = self._database.execute
        order = "SELECT id, list, parent FROM mails ORDER BY sent IS NULL, sent, number, id"
        for id, list_id, written in run(order).fetchall():
            thread, parent = "", ""
            references = [*written.split()]
            for one in (id, *reversed(references)):
                row = run(
                    "SELECT thread FROM known WHERE list = ? AND id = ?", (list_id, one)
                ).fetchone()
                if row:
                    thread = row[0]
                    break
            parent = references[-1] if references else ""
            thread = thread or (references[0] if references else id)
            run("UPDATE mails SET thread = ?, parent = ? WHERE id = ?", (thread, parent, id))
            self._database.executemany(
                "INSERT INTO known VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                [(list_id, one, thread) for one in (id, *references)],
            )

    def _rows(self, columns: str) -> Iterator[tuple[Any, ...]]:
        """Read the table `mails` of this reader's SQLite database; yield a row for each message, of the values of
        `columns` (SQL expressions over that table, with commas between). The messages of a mailing list come together,
        in it those of a thread, and in that the earliest sent first, those without a time last.
        """
        return self._database.cursor().execute(
            f"SELECT {columns} FROM mails ORDER BY list, thread, sent IS NULL, sent, number, id"
        )

    def board(self) -> Board:
        names = self._database.execute(
            "SELECT name FROM lists WHERE name > '' ORDER BY name"
        ).fetchone()
        return Board(
            title=names[0] if names else self._path.name.partition(".")[0], product=self.name
        )

    def counts(self) -> Mapping[str, int]:
        counted = self._database.execute(
            "SELECT count(*), count(DISTINCT thread), (SELECT count(*) FROM people) FROM mails"
        ).fetchone()
        return dict(zip(("comments", "conversations", "profiles"), counted, strict=True))

    def unsaid(self) -> Mapping[str, int]:
        return dict(self._unsaid)

    def profiles(self) -> Iterator[PortedProfile | Unreadable]:
        rows = self._database.cursor().execute(
            "SELECT id, address, name, first, last FROM people ORDER BY id"
        )
        for id, address, name, first, last in rows:
            yield PortedProfile(
                id=id,
                name=name or address.partition("@")[0],
                email=address,
                date_created=_time(first),
                last_active=_time(last),
            )

    def forums(self) -> Iterator[PortedForum | Unreadable]:
        for list_id, name in self._database.execute(
            "SELECT id, name FROM lists ORDER BY id"
        ).fetchall():
            writers = self._database.execute(
                "SELECT person FROM writers WHERE list = ? ORDER BY person", (list_id,)
            )
            title = name or self._path.name.partition(".")[0] or UNTITLED
            yield PortedForum(
                id=_hash(list_id),
                name=title,
                is_open=True,
                usergroups=(
                    PortedRole(
                        id=f"writers-{_hash(list_id)}",
                        name=f"Writers of {title}",
                        forum_permissions=_WRITERS,
                        users=tuple(PortedRef(id=row[0]) for row in writers),
                    ),
                ),
                usergroups_only=True,
            )

    def conversations(self) -> Iterator[PortedConversation | Unreadable]:
        rows = self._rows("list, thread, subject, person, sent")
        for (list_id, thread), mails in groupby(rows, key=lambda row: row[:2]):
            _, _, subject, person, sent = next(mails)
            yield PortedConversation(
                id=_thread_id(list_id, thread),
                name=_bare(subject) or UNTITLED,
                forum_id=_hash(list_id),
                author=person,
                date_created=_time(sent),
                is_open=True,
            )

    def comments(self) -> Iterator[PortedComment | Unreadable]:
        for id, reason in self._database.execute("SELECT id, reason FROM broken").fetchall():
            yield Unreadable(kind="comment", id=id, reason=reason)
        rows = self._rows("list, thread, id, parent, person, subject, sent, data")
        for (list_id, thread), mails in groupby(rows, key=lambda row: row[:2]):
            before: set[str] = set()
            title = ""
            for _, _, id, parent, person, subject, sent, data in mails:
                try:
                    text = self._text(data)
                except _BROKEN as error:
                    yield Unreadable(kind="comment", id=id, reason=f"text: {_told(error)}")
                    continue
                bare = _bare(subject)
                title = title if before else bare
                yield PortedComment(
                    id=id,
                    on_id=_thread_id(list_id, thread),
                    in_reply_to=parent if parent in before else "",
                    author=person,
                    date_created=_time(sent),
                    versions=(
                        PortedVersion(
                            date_modified=_time(sent),
                            headline="" if bare == title else subject,
                            text=text,
                        ),
                    ),
                )
                before.add(id)

    def attachments(self) -> Iterator[PortedAttachment | Unreadable]:
        for id, person, sent, data in self._rows("id, person, sent, data"):
            try:
                parts = [part for part in self._parts(data, Unsaid()) if _is_kept(part)]
            except _BROKEN:
                # `comments` says so.
                continue
            for number, part in enumerate(parts, 1):
                key = f"{id}-{number}"
                try:
                    content, name, kind = _content(part), _file_name(part), part.get_content_type()
                except _BROKEN as error:
                    yield Unreadable(kind="attachment", id=key, reason=f"bytes: {_told(error)}")
                    continue
                if len(content) > MAX_VALUE:
                    reason = f"bytes: more than {MAX_VALUE}"
                    yield Unreadable(kind="attachment", id=key, reason=reason)
                    continue
                yield PortedAttachment(
                    id=key,
                    author=person,
                    date_created=_time(sent),
                    associations=(PortedAssociation(on_type="comment", on_id=id),),
                    name=name or f"part-{number}",
                    content_size=len(content),
                    content_url=data_url(content),
                    mimetype=kind,
                )

    def _text(self, data: bytes) -> str:
        """Return the Markdown of a message's texts; of alternatives that of the plain text, or of the HTML if there is
        none.
        """
        written = []
        for part in self._parts(data, self._unsaid):
            if _is_file(part):
                continue
            text = self._decoded(part)
            if part.get_content_type() == "text/html":
                written.append(mail_text.from_html(text))
                continue
            flowed = str(part.get_param("format", "")).lower() == "flowed"
            delete = str(part.get_param("delsp", "")).lower() == "yes"
            written.append(mail_text.from_plain(text, flowed=flowed, delete_space=delete))
        return "\n\n".join(text for text in written if text)

    def _parts(self, data: bytes, unsaid: Unsaid) -> list[Message]:
        """Return the parts of a message that hold content, [] if they are nested too deep. `unsaid`: counts of what was
        left out, added to in place.
        """
        try:
            return list(_leaves(email.message_from_bytes(data, policy=_MailPolicy(unsaid))))
        except RecursionError:
            unsaid["message of parts within parts without end"] += 1
            return []

    def _decoded(self, part: Message) -> str:
        content = part.get_payload(decode=True)
        data = content if isinstance(content, bytes) else b""
        text = _in_charset(data, part.get_content_charset())
        if text is None:
            self._unsaid["letters in an unknown character set"] += 1
        return data.decode("latin-1") if text is None else text


def _head(mail: mbox_file.MboxMessage) -> _Head:
    data = mail.data or b""
    message = email.message_from_bytes(
        data.partition(b"\r\n\r\n" if b"\r\n\r\n" in data[:65536] else b"\n\n")[0],
        policy=_MailPolicy(Unsaid()),
    )
    own = _MESSAGE_ID.findall(_header(message, "Message-ID"))
    named = _MESSAGE_ID.findall(_header(message, "References"))[-_MOST_REFERENCES:]
    answered = _MESSAGE_ID.findall(_header(message, "In-Reply-To"))[:1]
    if answered and (not named or answered[0] not in named):
        named += answered
    own_id = own[0] if own else hashlib.sha256(data).hexdigest()
    written = _HIDDEN_ADDRESS.sub(r"\1@\2", _raw(message, "From"))
    name, address = next(iter(getaddresses([written])), ("", ""))
    name = " ".join(_words(name).split())
    list_id, list_name = _list_of(_header(message, "List-Id"))
    return _Head(
        id=_hash(own_id),
        references=[_hash(one) for one in dict.fromkeys(named) if one != own_id],
        list=list_id,
        list_name=list_name,
        address=address.lower() if re.fullmatch(r"[^@\s]+@[^@\s]+", address) else "",
        # A name that is an address is none to be shown.
        name="" if "@" in name or " at " in name else name,
        subject=" ".join(_header(message, "Subject").split()),
        sent=_sent(_header(message, "Date"), mail.postmark),
        is_archived=_header(message, "X-No-Archive").strip().lower() != "yes",
    )


def _list_of(written: str) -> tuple[str, str]:
    """Return the id, in lower case, and the name of the header List-Id, `"Name" <id>`; without a name, the id's part
    before its first dot is the name. Both are "" for another form.
    """
    name, _, rest = written.partition("<")
    id, end, _ = rest.partition(">")
    if not id or not end or "<" in id:
        return "", ""
    name = name.strip().removeprefix('"').removesuffix('"').strip()
    return id.strip().lower(), name or id.partition(".")[0]


def _bare(subject: str) -> str:
    """Return a subject without the signs of an answer at its beginning, such as "Re: ", or behind the list's name
    there: "[bikes] Re: wheels" becomes "[bikes] wheels".
    """
    return _PREFIX.sub(r"\g<list>", subject, count=1).strip()


def _told(error: BaseException) -> str:
    return f"the message is damaged: {type(error).__name__}"


def _in_charset(data: bytes, charset: str | None) -> str | None:
    """Decode bytes by `charset` (None: ASCII) or, where that is unknown or does not fit, by UTF-8 or else Windows-1252;
    return None where none fits.
    """
    for one in (charset or "ascii", *_CHARSETS):
        try:
            if codecs.lookup(one).name.replace("_", "-") not in _NO_CHARSETS:
                return data.decode(one)
        except (ValueError, LookupError):
            continue
    return None


def _raw(message: Message, name: str) -> str:
    value = message.get(name, "")
    # Bytes beyond ASCII come as surrogates, or as an object that holds them.
    return " ".join(str(value).split()) if isinstance(value, str) else _words(str(value))


def _header(message: Message, name: str) -> str:
    return _words(_raw(message, name))


def _words(written: str) -> str:
    """Return a header's text with its encoded words decoded; a charset that is unknown or wrong counts as UTF-8, where
    that does not fit as Windows-1252 or Latin-1. A text that is damaged, or above 2,000 characters, comes as it is.
    """
    if len(written) > _LONGEST:
        return written
    try:
        parts = decode_header(written)
    except (ValueError, LookupError, MessageError):
        return written
    found = []
    for part, charset in parts:
        if isinstance(part, str):
            part = (
                part.encode("ascii", "surrogateescape")
                if part.isascii()
                else part.encode("utf-8", "surrogateescape")
            )
        text = _in_charset(part, charset)
        found.append(part.decode("latin-1") if text is None else text)
    return "".join(found)


def _sent(written: str, postmark: str) -> float | None:
    """Return the time of the header Date, given as `written`, else that of `postmark`, the line before the message, in
    seconds since 1970; without a zone it is UTC. None if neither names a time since 1970.
    """
    for text in (written, re.sub(r"^From \S+(?: at \S+)?\s*", "", postmark)):
        try:
            moment = parsedate_to_datetime(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=datetime.UTC)
            # A year 10000 in UTC is an OverflowError.
            moment = moment.astimezone(datetime.UTC)
        except (TypeError, ValueError, IndexError, OverflowError):
            continue
        if moment.year >= 1970:
            return moment.timestamp()
    return None


def _time(seconds: float | None) -> datetime.datetime | None:
    return None if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _hash(text: str) -> str:
    """Return the SHA-1 of a text in base 32: 32 characters, as Mailman's Message-ID-Hash."""
    digest = hashlib.sha1(text.encode("utf-8", "replace"), usedforsecurity=False).digest()
    return base64.b32encode(digest).decode()


def _thread_id(list_id: str, thread: str) -> str:
    """Return the id of the thread of a list that begins with the message `thread`. One message may begin threads in two
    lists, so that the list is part of the id, unless `list_id` is "".
    """
    return thread if not list_id else thread + "-" + _hash(list_id)[:8]


def _is_file(part: Message) -> bool:
    """Return True for a part that is a file of its own: one that has a name, is marked as an attachment, or is neither
    plain text nor HTML.
    """
    if part.get_content_disposition() == "attachment" or part.get_filename():
        return True
    return part.get_content_type() not in ("text/plain", "text/html")


def _leaves(part: Message) -> Iterator[Message]:
    """Yield the parts that hold content, an enclosed message as one part; of alternatives none in HTML where one is
    plain text.
    """
    if not part.is_multipart() or part.get_content_type() == "message/rfc822":
        yield part
        return
    below = [one for one in part.get_payload() if isinstance(one, Message)]
    if part.get_content_type() == "multipart/alternative":
        plain = [one for one in below if one.get_content_type() == "text/plain"]
        below = [one for one in below if not plain or one.get_content_type() != "text/html"]
    for one in below:
        yield from _leaves(one)


def _is_kept(part: Message) -> bool:
    return _is_file(part) and part.get_content_type() not in _SIGNATURES


def _content(part: Message) -> bytes:
    if part.get_content_type() == "message/rfc822":
        return b"".join(one.as_bytes() for one in part.get_payload() if isinstance(one, Message))
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _file_name(part: Message) -> str:
    return _words(part.get_filename() or "").replace("\\", "/").rpartition("/")[2]
