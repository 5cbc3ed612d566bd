"""Versions of legal texts that ask for consent: each is kept, as everybody may read it (platform 6.1)."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from html import unescape
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.text import difference
from forumapi.text.html_tokenizer import steps
from forumapi.wire import json_fragments

# Documents of a site that may ask for consent.
ASKING: Final = ("privacy", "terms")
MOST_VERSIONS: Final = 500

INSERT = Query(
    "legal_version.insert",
    """
    INSERT INTO legal_versions (site_id, name, version, body, link, asks_again)
    SELECT %(site_id)s, %(document)s, coalesce(max(v.version), 0) + 1, %(body)s, nullif(%(link)s, ''),
           %(asks_again)s::boolean
      FROM legal_versions v
     WHERE v.site_id = %(site_id)s AND v.name = %(document)s
 RETURNING version""",
)

FIND_ALL = Query(
    "legal_version.find_all",
    """
    SELECT v.version, v.published, v.asks_again, '', coalesce(v.link, '')
      FROM legal_versions v
     WHERE v.site_id = %(site_id)s AND v.name = %(document)s
     ORDER BY v.version DESC""",
)

FIND = Query(
    "legal_version.find",
    """
    SELECT v.version, v.published, v.asks_again, v.body, coalesce(v.link, '')
      FROM legal_versions v
     WHERE v.site_id = %(site_id)s AND v.name = %(document)s AND v.version = ANY(%(versions)s)""",
)

# Each request of a member reads the flag, and the texts only where it is set.
NOTE_ASKING = Query(
    "legal_version.note_asking",
    """
    UPDATE sites s
       SET asks_consent = NOT s.asks_consent
     WHERE s.site_id = %(site_id)s
       AND s.asks_consent <> EXISTS (SELECT FROM site_templates t
                                      WHERE t.site_id = %(site_id)s AND t.asked_since IS NOT NULL)""",
)

# Elements after which a new line begins where a text is compared.
_BLOCKS: Final = re.compile(r"h[1-6]|p|li|tr|div|br|dt|dd|ul|ol|table|blockquote|pre|hr|section")
_SPACE: Final = re.compile(r"[^\S\n]+")
_LINES: Final = re.compile(r"\s*\n\s*")
_INT: Final = 2**31 - 1


class LegalVersion(NamedTuple):
    """Version of a legal text, numbered from 1 in its site and document. `asks_again`: consents to earlier versions are
    not good for it; `body`: template as `legal.LegalText` has it, "" in lists; `link`: address where the text is kept
    instead, else "".
    """

    number: int
    published: datetime.datetime
    asks_again: bool
    body: str
    link: str

    @staticmethod
    def insert(
        tx: Transaction, site_id: int, document: str, body: str, link: str, *, asks_again: bool
    ) -> int:
        """Store the next version of a text of the site, whose row is locked; return its number. `document`: one of
        ASKING. Raises Invalid beyond MOST_VERSIONS.
        """
        number: int = tx.value(
            INSERT,
            site_id=site_id,
            document=document,
            body=body,
            link=link,
            asks_again=asks_again,
        )
        if number > MOST_VERSIONS:
            raise Invalid(
                "consent", f"a text has at most {MOST_VERSIONS} versions", code=OUT_OF_RANGE
            )
        return number

    @classmethod
    def find_all(cls, tx: Reader, site_id: int, document: str) -> list[LegalVersion]:
        """Return all versions of a text, newest first, without bodies; [] for a text that never asked for consent."""
        return [cls(*row) for row in tx.rows(FIND_ALL, site_id=site_id, document=document)]

    @classmethod
    def find(
        cls, tx: Reader, site_id: int, document: str, numbers: Sequence[int]
    ) -> dict[int, LegalVersion]:
        """Return versions of a text by number; unknown numbers are left out."""
        possible = [number for number in numbers if number <= _INT]
        rows = tx.rows(FIND, site_id=site_id, document=document, versions=possible)
        return {row[0]: cls(*row) for row in rows}

    def summary(self, document: str) -> dict[str, Any]:
        """Return the version as a dict for JSON, without its text."""
        return {
            "version": self.number,
            "published": json_fragments.format_time(self.published),
            "asksAgain": self.asks_again,
            "href": href(document, self.number),
        }


def href(document: str, number: int) -> str:
    """Return the host-relative address of a version of a legal text."""
    return f"/api/v1/legal/{document}/versions/{number}"


def note_asking(tx: Transaction, site_id: int) -> None:
    """Set the flag of the site's row for texts that ask for consent: to true if one of the site's texts does, else to
    false.
    """
    tx.run(NOTE_ASKING, site_id=site_id)


def changes(old: int, new: int, before: str, after: str) -> bytes:
    """Render, as JSON, the difference between the words of two texts, both HTML, as of the versions `old` (0: nothing)
    and `new`: `from`, `to`, and `changes`, the segments of `difference.changes`, each with `op` and `text`. Tags are
    left out; a new line stands for the end of a paragraph.
    """
    changed = difference.changes(_words(before), _words(after))
    return json_fragments.dumps(
        {
            "from": old,
            "to": new,
            "changes": [{"op": one.op, "text": one.text} for one in changed],
        }
    )


def _words(html: str) -> str:
    parts = []
    for text, _, name, _ in steps(html):
        parts.append(unescape(text).replace("\n", " "))
        if name and _BLOCKS.fullmatch(name.lower()):
            parts.append("\n")
    return _LINES.sub("\n", _SPACE.sub(" ", "".join(parts))).strip()
