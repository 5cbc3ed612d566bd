"""Templates of mail about updates: the package's own, or those that a site has set in their place (discovery 4).

A template has a subject, a plain-text part and an HTML part, with $names as placeholders. Values are escaped for the
part that they go into (M-01); $body is HTML, sanitised when it was saved; $items and $huddles are made by templates of
the package, as text and as HTML.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from functools import cache
from html import escape
from string import Template
from typing import Any, Final, NamedTuple

import msgspec
import nh3

from forumapi import templates
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import OUT_OF_RANGE, Invalid, excerpt
from forumapi.mail.outbox import plain
from forumapi.text.tag_nesting import nested
from forumapi.wire.json_fragments import dumps

MAX_SUBJECT: Final = 200
MAX_PART: Final = 50_000
# Longest subject; a longer one is cut.
_SUBJECT_LENGTH: Final = 250

PREFIX: Final = "mail."

OWN = Query(
    "mail_templates.own",
    """
    SELECT t.name, t.body, t.modified
      FROM site_templates t
     WHERE t.site_id = %(site_id)s AND t.name LIKE 'mail.%%'""",
)

PUT = Query(
    "mail_templates.put",
    """
    INSERT INTO site_templates (site_id, name, body, modified)
    VALUES (%(site_id)s, %(name)s, %(body)s, now())
        ON CONFLICT (site_id, name) DO UPDATE SET body = EXCLUDED.body, modified = EXCLUDED.modified""",
)

DELETE = Query(
    "mail_templates.delete",
    "DELETE FROM site_templates t WHERE t.site_id = %(site_id)s AND t.name = %(name)s",
)


class Parts(msgspec.Struct, frozen=True):
    """Source of a template: subject, plain-text part and HTML part, with $names."""

    subject: str
    text: str
    html: str


class TemplateKind(NamedTuple):
    """Kind of mail: its name in the API, a description for site owners, its default subject, and the $names that its
    templates may use besides those of all mails (COMMON).

    `has_body`: the mail quotes a comment, as $body.
    """

    name: str
    description: str
    subject: str
    names: tuple[str, ...]
    has_body: bool = False


# Names in every mail.
COMMON: Final = (
    "recipient_name",
    "settings_url",
    "site_title",
    "site_url",
    "unsubscribe_url",
    "updates_url",
)
_ABOUT: Final = ("actor_name", "actor_url", "context_text", "context_url")
# Names only in the HTML part.
_BODY: Final = "body"
_ITEMS: Final = "items"
# Ends with a blank line, so that a name may follow at once.
_HUDDLES: Final = "huddles"
# Required name: without it only the mail program could offer to unsubscribe.
_NEEDED: Final = "unsubscribe_url"

# Kinds by number of the update type; 0: digest.
KINDS: Final[Mapping[int, TemplateKind]] = {
    0: TemplateKind(
        "digest",
        "What is new, once a day or a week, for those who asked for it",
        "What is new on $site_title",
        ("huddles", "items", "since"),
    ),
    1: TemplateKind(
        "new_comment",
        "A comment on something the reader follows",
        "Something new on $site_title: $context_text",
        _ABOUT,
        has_body=True,
    ),
    2: TemplateKind(
        "reply_to_comment",
        "A reply to a comment of the reader",
        "New comment on $site_title in $context_text",
        _ABOUT,
        has_body=True,
    ),
    3: TemplateKind(
        "mentioned",
        "A comment that names the reader",
        "$actor_name has mentioned you on $site_title",
        _ABOUT,
        has_body=True,
    ),
    4: TemplateKind(
        "new_comment_in_huddle",
        "A comment in a huddle the reader takes part in",
        "New comment in a private message on $site_title",
        _ABOUT,
        has_body=True,
    ),
    5: TemplateKind(
        "new_attendee",
        "Somebody comes to an event the reader follows",
        "New attendee on $site_title for $context_text",
        _ABOUT,
    ),
    6: TemplateKind(
        "new_vote",
        "A vote in a poll the reader follows",
        "New vote on $site_title in $context_text",
        ("context_text", "context_url"),
    ),
    7: TemplateKind(
        "event_reminder",
        "An event that the reader attends is close",
        "$context_text is imminent",
        ("context_text", "context_url"),
    ),
    8: TemplateKind(
        "new_item",
        "A conversation, event or poll in a forum the reader follows",
        "New on $site_title: $context_text",
        (*_ABOUT, "microcosm_title"),
    ),
    9: TemplateKind(
        "new_user",
        "A new profile on the site; the owner of the site alone is told the address",
        "New user on $site_title: $new_user",
        ("context_text", "context_url", "new_user"),
    ),
    10: TemplateKind(
        "event_invitation",
        "An invitation of the reader to an event",
        "$actor_name invites you to $context_text",
        _ABOUT,
    ),
}
BY_NAME: Final[Mapping[str, int]] = {kind.name: number for number, kind in KINDS.items()}


def names(kind: TemplateKind) -> frozenset[str]:
    """Return all names, without their $, that a template of this kind may use; `body` is for the HTML part alone, and
    `items` not for the subject.
    """
    return frozenset((*COMMON, *kind.names, *((_BODY,) if kind.has_body else ())))


@cache
def packaged(number: int) -> Parts:
    """Return the package's own template of the kind `number` (of the update type, 0: digest), in the syntax that a
    site's owner edits. Raises KeyError for a number without a kind.
    """
    kind = KINDS[number]
    values = {name: f"${name}" for name in names(kind)} | {_HUDDLES: f"${{{_HUDDLES}}}"}
    made = (
        templates.render(f"mail/updates/{kind.name}.{end}", **values) for end in ("txt", "html")
    )
    return Parts(kind.subject, *made)


# ---------------------------------------------------------------- templates of a site


class SiteTemplate(NamedTuple):
    """Template that a site has set, and when it was last changed."""

    parts: Parts
    modified: datetime.datetime


def own(tx: Reader, site_id: int) -> dict[int, SiteTemplate]:
    """Return the templates that a site has set, by the number of their kind (of the update type, 0: digest); kinds for
    which it has set none are left out.
    """
    found = {}
    for name, body, modified in tx.rows(OWN, site_id=site_id):
        number = BY_NAME.get(name.removeprefix(PREFIX))
        if number is not None:
            found[number] = SiteTemplate(msgspec.json.decode(body, type=Parts), modified)
    return found


def put(tx: Transaction, site_id: int, number: int, parts: Parts) -> None:
    """Store a site's template of the kind `number` in KINDS, in place of an earlier one. `parts`: as `checked` returns
    them. The site's version changes.
    """
    name = PREFIX + KINDS[number].name
    body = dumps({"subject": parts.subject, "text": parts.text, "html": parts.html}).decode()
    tx.run(PUT, site_id=site_id, name=name, body=body)


def delete(tx: Transaction, site_id: int, number: int) -> bool:
    """Delete a site's template of the kind `number` in KINDS, so that the package's applies again and the site's
    version changes; return False if the site had set none.
    """
    return bool(tx.run(DELETE, site_id=site_id, name=PREFIX + KINDS[number].name))


# HTML that mail programs show; they remove scripts, forms, frames and style sheets.
_TAGS: Final = (
    "a abbr b blockquote br center code del div em h1 h2 h3 h4 hr i img li ol p pre s small span strong sub sup table"
    " tbody td tfoot th thead tr u ul"
)
_ELEMENTS: Final = frozenset(_TAGS.split())
_STYLES: Final = (
    "background background-color border border-collapse border-left border-radius border-top color"
    " font-family font-size font-style font-weight height line-height margin padding text-align text-decoration"
    " vertical-align width"
)
_CLEANER: Final = nh3.Cleaner(
    tags=set(_ELEMENTS),
    attributes={
        "*": {"align", "dir", "lang", "style", "title"},
        "a": {"href"},
        "img": {"alt", "height", "src", "width"},
        "table": {"border", "cellpadding", "cellspacing", "width"},
        "td": {"colspan", "rowspan", "valign", "width"},
        "th": {"colspan", "rowspan", "valign", "width"},
    },
    filter_style_properties=set(_STYLES.split()),
    url_schemes={"http", "https", "mailto"},
    link_rel=None,
)


def checked(number: int, subject: object, text: object, html: object) -> Parts:
    """Check the parts of a template of the kind `number` in KINDS that a site's owner has sent, of any JSON type;
    return them, with the HTML sanitised. Raises Invalid, which names the part and the rule.
    """
    kind = KINDS[number]
    known = names(kind)
    head = _part("subject", subject, known - {_BODY, _ITEMS}, MAX_SUBJECT)
    if head != _line(head):
        raise Invalid("subject", "must be one line of plain text")
    body = _part("text", text, known - {_BODY}, MAX_PART)
    made = _CLEANER.clean(nested(_part("html", html, known, MAX_PART), _ELEMENTS))
    for field, value in (("text", body), ("html", made)):
        if _NEEDED not in Template(value).get_identifiers():
            raise Invalid(field, f"must contain ${_NEEDED}, the link to unsubscribe")
    return Parts(head, body, made)


def _line(text: str) -> str:
    return " ".join(text.split())


def _part(field: str, value: object, known: frozenset[str], limit: int) -> str:
    if not isinstance(value, str):
        raise Invalid(field, "is required")
    if not value.strip():
        raise Invalid(field, "may not be empty")
    if "\0" in value:
        raise Invalid(field, "may not hold the character U+0000")
    if len(value) > limit:
        raise Invalid(field, f"may have at most {limit} characters", code=OUT_OF_RANGE)
    template = Template(value)
    if not template.is_valid():
        raise Invalid(field, "has a $ without a name after it; write $$ for a dollar sign")
    unknown = sorted(set(template.get_identifiers()) - known)
    if unknown:
        allowed = ", ".join(f"${name}" for name in sorted(known))
        raise Invalid(field, f"may not contain ${excerpt(unknown[0])}; allowed are {allowed}")
    # The values of all others are short.
    for name in (_BODY, _ITEMS):
        found = [match for match in Template.pattern.finditer(value) if name in match.group(2, 3)]
        if len(found) > 1:
            raise Invalid(field, f"may contain ${name} only once")
    return value


# ---------------------------------------------------------------- rendering


class RenderedMail(NamedTuple):
    """Subject, plain-text part and HTML part of one mail."""

    subject: str
    text: str
    html: str


class CompiledTemplate:
    """Template of one kind of mail, ready to be filled any number of times. `is_own`: the site has set it; False: it is
    the package's.
    """

    __slots__ = ("_html", "_subject", "_text", "is_own")

    def __init__(self, parts: Parts, *, is_own: bool) -> None:
        self.is_own = is_own
        self._subject = Template(parts.subject)
        self._text = Template(parts.text)
        self._html = Template(parts.html)

    def render(
        self, values: Mapping[str, str], text: Mapping[str, str], html: Mapping[str, str]
    ) -> RenderedMail:
        """Fill the template, from maps of values by name (without $). `values`: for all parts, plain or HTML-escaped
        texts; each is made one line of plain text, which is escaped once in the HTML part alone.

        `text` and `html`: further values for the part of that name alone, inserted as they are. A name without a value
        is left in the mail; the subject is cut to _SUBJECT_LENGTH characters.
        """
        lines = {name: plain(value) for name, value in values.items()}
        quoted = {name: escape(value) for name, value in lines.items()}
        # A name that a kind has no longer is left in the text, so that the mail is still sent.
        return RenderedMail(
            _line(self._subject.safe_substitute(lines))[:_SUBJECT_LENGTH],
            self._text.safe_substitute({**lines, **text}),
            self._html.safe_substitute({**quoted, **html}),
        )


def document(number: int, site_template: SiteTemplate | None) -> dict[str, Any]:
    """Return the template of the kind `number` in KINDS as the API shows it (docs/api/mail.md): `site_template` or, for
    None, the package's.
    """
    kind = KINDS[number]
    parts = site_template.parts if site_template else packaged(number)
    return {
        "name": kind.name,
        "description": kind.description,
        "own": site_template is not None,
        "subject": parts.subject,
        "text": parts.text,
        "html": parts.html,
        "names": sorted(names(kind)),
    }
