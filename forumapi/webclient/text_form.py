"""Form in which a comment or an item is written: its fields, draft, uploads, and why it was refused."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import msgspec

from forumapi.webclient.api import Failure
from forumapi.webclient.template_environment import environment, plain
from forumapi.webclient.transport import FormBody
from forumapi.webclient.typed_number import typed_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from werkzeug.datastructures import FileStorage

    from forumapi.webclient.visit import Visit

# As the API has them: they are told before the API is asked.
TEXT_LENGTH: Final = 50_000
TITLE_LENGTH: Final = 150
MOST_FILES: Final = 25
# Statuses after which a form with a text stands again: also those of a place that is gone, so that no text is lost.
WRITING_REFUSALS: Final = (400, 403, 404, 409, 412, 413, 422, 429, 503)

# Fields that only the form of an item of this type has. A field may stand in a form several times.
FIELDS: Final = {
    "event": ("day", "time", "tz", "hours", "where", "rsvpLimit", "status"),
    "poll": ("question", "choice", "choiceId", "multi", "named", "results", "closes", "tz"),
}
# Fields of one name that are read.
MOST_VALUES: Final = 200

_HASH: Final = re.compile(r"[0-9a-f]{40}")


class SentFile(NamedTuple):
    """File that the API stores already, so that a form names it in place of sending it: its SHA-1 hash in hexadecimal,
    and its name.
    """

    hash: str
    name: str

    @property
    def value(self) -> str:
        """The file as the value of a form's field `file`: hash, space, name."""
        return f"{self.hash} {self.name}"

    @classmethod
    def parse(cls, value: str) -> Self | None:
        """Return the file that `value`, of a form's field `file`, names; None if the value does not begin with a hash.
        The file's name is cut to 255 characters; a missing name becomes the hash.
        """
        hash, _, name = value.partition(" ")
        return cls(hash, name[:255] or hash) if _HASH.fullmatch(hash) else None


@dataclass
class Writing:
    """State of the form of a comment or an item: the values of its fields, and the reason why the website or the API
    refused it.

    `text`: Markdown, as typed; `title`: plain text, "" in forms without one. `reply_to`: id of the comment that is
    answered, 0 for none. `fields`: values of the fields that only forms of the item's type have (FIELDS). `files`:
    files to be attached; `kept`: hashes of the files that were attached when the form was shown. `etag`: entity tag of
    the comment or item that is edited, "" for a new one.

    `draft`: version of the stored draft that saving replaces, 0 for none; `saved`: when that draft was saved, as the
    API writes times. `preview`: the text as HTML, None if no preview is asked for. `other`: the text that was stored
    elsewhere since the form was shown, of a comment or draft in Markdown, of an item its fields as plain text; None if
    none was. `problem` or `failure`: the website's or the API's reason for a refusal; `status`: HTTP status of the page
    with the form.
    """

    text: str = ""
    title: str = ""
    reply_to: int = 0
    fields: dict[str, list[str]] = field(default_factory=dict)
    files: list[SentFile] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    draft: int = 0
    saved: str = ""
    etag: str = ""
    preview: str | None = None
    other: str | None = None
    problem: str = ""
    failure: Failure | None = None
    status: int = 200

    @classmethod
    def read(cls, visit: Visit, kind: str = "") -> Self:
        """Read the sent form, and upload the files that came with it; the first refused upload becomes the form's
        `problem` or `failure`.

        `kind`: type of the item that the form is for; "" for a comment. Of files that the form names, as they are
        stored already, the first MOST_FILES (25) count. Raises Failure for an upload refused for another reason than
        the file (`file_problem`), with a status that is not in WRITING_REFUSALS.
        """
        made = cls(
            text=visit.field("markdown"),
            title=visit.field("title"),
            reply_to=_number(visit.field("inReplyTo")),
            draft=_number(visit.field("draft")),
            etag=visit.field("etag"),
        )
        if visit.field("unreply"):
            made.reply_to = 0
        fields = visit.form
        if fields is not None:
            for name in FIELDS.get(kind, ()):
                made.fields[name] = fields.getlist(name)[:MOST_VALUES]
            made.kept = [one for one in fields.getlist("had") if _HASH.fullmatch(one)]
            found = (SentFile.parse(one) for one in fields.getlist("file")[:MOST_FILES])
            made.files = [one for one in found if one is not None]
        sent = visit.files.getlist("files") if visit.files is not None else []
        for one in sent:
            if one.filename:
                made._store(visit, one, one.filename)
        return made

    @classmethod
    def of_draft(cls, draft: dict[str, Any]) -> Self:
        """Return the state of a form from a draft as the API shows it. Any client may have written its content: parts
        of the wrong type are left out.
        """
        made = cls(draft=draft["version"], saved=draft["meta"]["edited"])
        content = draft["content"]
        made.text = _text(content.get("markdown"))
        made.title = _text(content.get("title"))
        reply = content.get("inReplyTo")
        made.reply_to = reply if type(reply) is int and reply > 0 else 0
        fields = content.get("fields")
        for name, values in fields.items() if isinstance(fields, dict) else ():
            if isinstance(values, list):
                made.fields[name] = [_text(one) for one in values[:MOST_VALUES]]
        files = content.get("files")
        for one in files if isinstance(files, list) else []:
            found = SentFile.parse(one) if isinstance(one, str) else None
            if found is not None:
                made.files.append(found)
        return made

    def value(self, name: str) -> str:
        """Return the first value of `name`, one of the fields that only forms of the item's type have (FIELDS); ""
        without one.
        """
        found = self.fields.get(name)
        return found[0] if found else ""

    @property
    def is_empty(self) -> bool:
        """Return True if there is no text, title, file or value of a field that only forms of the item's type have
        (FIELDS).
        """
        has_fields = any(any(values) for values in self.fields.values())
        return not (self.text.strip() or self.title.strip() or self.files or has_fields)

    @property
    def is_refused(self) -> bool:
        """Return True if a reason not to post the form is kept, the website's (`problem`) or the API's (`failure`)."""
        return bool(self.problem or self.failure)

    def reason(self, visit: Visit) -> str:
        """Return why the form is refused, as a text without markup in the visitor's language; in English where the API
        alone has a text. "" for a form that is not refused.
        """
        if self.failure is None:
            return self.problem
        forms: Any = environment(visit.language.code).get_template("_forms.html").module
        return str(forms.say(self.failure).striptags())

    def content(self, about: str = "") -> dict[str, Any]:
        """Return the form as the object `content` of a draft, from which `of_draft` makes the form again. `about`:
        title of the item that is commented on, cut to 300 characters, "" for none.
        """
        made: dict[str, Any] = {"markdown": self.text}
        if self.title:
            made["title"] = self.title
        if self.reply_to:
            made["inReplyTo"] = self.reply_to
        if any(any(values) for values in self.fields.values()):
            made["fields"] = self.fields
        if self.files:
            made["files"] = [one.value for one in self.files]
        if about:
            made["about"] = about[:300]
        return made

    def check(self, visit: Visit, *, has_title: bool = False, needs_text: bool = True) -> None:
        """Refuse the form if its title or text is missing or too long; the first reason found is kept, in the visitor's
        language and with status 400. `has_title`: the form has a title, which it needs; `needs_text` False: the text
        may be missing.
        """
        gettext, ngettext = visit.language.gettext, visit.language.ngettext
        over = len(self.text) - TEXT_LENGTH
        if has_title and not self.title.strip():
            self.refuse(gettext("A title is missing."))
        elif has_title and len(self.title) > TITLE_LENGTH:
            self.refuse(gettext("The title is too long: at most 150 characters."))
        elif needs_text and not self.text.strip():
            self.refuse(gettext("There is no text yet. Write something first."))
        elif over > 0:
            said = ngettext(
                "That is too long by %(num)d character: at most 50,000 are possible.",
                "That is too long by %(num)d characters: at most 50,000 are possible.",
                over,
            )
            self.refuse(said % {"num": over})

    def refuse(self, problem: str, status: int = 400) -> None:
        """Refuse the form: keep the reason `problem`, a translated sentence, and its HTTP status, unless a reason is
        kept already.
        """
        if not self.is_refused:
            self.problem, self.status = problem, status

    def failed(self, failure: Failure) -> None:
        """Keep the API's refusal and its status, unless a reason is kept already. Raises `failure` again if its status
        is not in WRITING_REFUSALS, after which forms are shown again.
        """
        if failure.status not in WRITING_REFUSALS:
            raise failure
        if not self.is_refused:
            self.failure, self.status = failure, failure.status

    def _store(self, visit: Visit, file: FileStorage, name: str) -> None:
        try:
            self.files.append(upload(visit, file))
        except Failure as failure:
            said = file_problem(visit, name, failure)
            if not said:
                self.failed(failure)
            else:
                self.refuse(said, failure.status)


def _number(text: str) -> int:
    return typed_number(text, 0)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def once(key: str, body: Any) -> str:
    """Return the Idempotency-Key for the call that sends `body`, made of the form's `key` and a hash of the body, so
    that a form corrected after a refusal is another request; "" without `key`.
    """
    if not key:
        return ""
    return f"{key[:64]}.{hashlib.sha256(msgspec.json.encode(body)).hexdigest()[:20]}"


# ---------------------------------------------------------------- files


def upload(visit: Visit, file: FileStorage) -> SentFile:
    """Upload a file of the sent form to the API; return the file's hash, and its name as the API has cleaned it. Raises
    Failure if the API refuses the file.
    """
    found = store(visit, file)
    return SentFile(found["fileHash"], plain(found["fileName"]))


def store(visit: Visit, file: FileStorage, **fit: int) -> dict[str, Any]:
    """Upload a file of the sent form to the API; return the file as the API shows it. `fit`: `maxWidth` and `maxHeight`
    in pixels, to which a picture is made smaller. Raises Failure if the API refuses the file.
    """
    name = (file.filename or "").replace("\\", "/").rpartition("/")[2][:255]
    form = FormBody(file.stream, name, file.mimetype)
    found: dict[str, Any] = visit.api.call("POST", "/files", query=fit, form=form).data[0]
    return found


def store_picture(visit: Visit, picture: FileStorage, side: int) -> dict[str, Any]:
    """Upload the file `picture` of a sent form, made smaller to `side` pixels in width and height at most; return it as
    the API shows it. Raises Failure if the API refuses the file, and with 400 for a file that is no picture, with a
    translated text that says why.
    """
    name = picture.filename or ""
    try:
        made = store(visit, picture, maxWidth=side, maxHeight=side)
    except Failure as failure:
        said = file_problem(visit, name, failure)
        raise Failure(failure.status, 0, said) if said else failure from None
    if "width" not in made:
        text = visit.language.gettext("That is no picture: choose a JPEG, PNG, GIF or WebP file.")
        raise Failure(400, 0, text)
    return made


def file_problem(visit: Visit, name: str, failure: Failure) -> str:
    """Return a translated sentence that says why the API refused the upload of the file `name`; "" if the refusal,
    `failure`, is not about the file: has neither error code 21 nor status 400 or 413.
    """
    gettext = visit.language.gettext
    if failure.code == 21:
        text = gettext(
            "%(name)s can’t be shown: pictures are GIF, JPEG, PNG or WebP, and must not be damaged."
        )
    elif failure.status == 413:
        text = gettext("%(name)s is too large, or there is no room left for more files.")
    elif failure.status == 400:
        text = gettext("%(name)s could not be read: it is empty or damaged.")
    else:
        return ""
    return text % {"name": name}


def attach(visit: Visit, comment: int, files: Iterable[SentFile]) -> None:
    """Attach uploaded files to the comment with this id, besides those attached already, one call each. Raises Failure
    at the first file that the API refuses; those before it stay attached.
    """
    for one in files:
        body = {"fileHash": one.hash, "fileName": one.name}
        visit.api.write("POST", f"/comments/{comment}/attachments", body)


# ---------------------------------------------------------------- forms on pages


def comment_form(visit: Visit, kind: str, item: int, *, has_draft: bool) -> Writing:
    """Return the contents of the form for a comment on an item or profile: the contents that were refused in this
    request, else the draft, else an empty form. Raises Failure as `draft_of` and `quote_of` do.

    `kind`: type of the thing with the id `item`, such as `conversation`; `has_draft` False: the API is not asked for a
    draft. The page's query parameter `quote` names a comment to answer and to quote below the text, `reply` one to
    answer alone; both win over the draft's comment to answer, and `quote` over `reply`.
    """
    if visit.writing is not None:
        return visit.writing
    made = (draft_of(visit, f"/{kind}s/{item}") if has_draft else None) or Writing()
    quoted = _number(visit.query.get("quote", ""))
    reply = quoted or _number(visit.query.get("reply", ""))
    if reply:
        made.reply_to = reply
    if quoted:
        quote = quote_of(visit, quoted)
        if quote and quote not in made.text:
            made.text = f"{made.text.rstrip()}\n\n{quote}" if made.text.strip() else quote
    return made


def draft_of(visit: Visit, place: str) -> Writing | None:
    """Return the visitor's draft that belongs to the thing at the path `place` of the API, such as `/polls/4` or
    `/microcosms/2`; None if there is no draft, and for things of which the visitor can have none. Raises Failure
    for other refusals.
    """
    try:
        return Writing.of_draft(visit.api.get(f"{place}/draft"))
    except Failure as failure:
        if failure.status not in (400, 403, 404):
            raise
        return None


def quote_of(visit: Visit, comment: int) -> str:
    """Return the text of the comment with this id as a quotation in Markdown, without what the comment quotes itself;
    "" if nothing is left, or the API refuses the comment. Raises Failure from status 500 on.
    """
    try:
        text = str(visit.api.get(f"/comments/{comment}")["markdown"])
    except Failure as failure:
        if failure.status >= 500:
            raise
        return ""
    lines = text.strip().split("\n")
    # What the comment quotes itself stays out.
    own = "\n".join(line for line in lines if not line.startswith(">")).strip()
    quoted = "\n".join(f"> {line}".rstrip() for line in own.split("\n"))
    return f"{quoted}\n\n" if own else ""
