"""Kinds of reports that a site offers: the owner's own list, else the platform's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.trust import dsa_terms
from forumapi.text import short_text_cleaning
from forumapi.wire.json_fragments import dumps, loads

MOST_KINDS: Final = 30
MOST_TITLE: Final = 100
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,40}")

FIND = Query(
    "site_report_kinds.find",
    "SELECT s.value::text FROM site_settings s WHERE s.site_id = %(site_id)s AND s.key = 'report_kinds'",
)
PUT = Query(
    "site_report_kinds.put",
    """
    INSERT INTO site_settings (site_id, key, value) VALUES (%(site_id)s, 'report_kinds', %(value)s::jsonb)
        ON CONFLICT (site_id, key) DO UPDATE SET value = EXCLUDED.value""",
)
DELETE = Query(
    "site_report_kinds.delete",
    "DELETE FROM site_settings s WHERE s.site_id = %(site_id)s AND s.key = 'report_kinds'",
)


class ReportKind(NamedTuple):
    """Kind of report that a site offers: its name in reports, its title, HTML-escaped, and the category of a report
    that names none.
    """

    name: str
    title: str
    category: str

    @property
    def document(self) -> dict[str, Any]:
        """Return the kind as a dict for JSON."""
        return {"kind": self.name, "title": self.title, "category": self.category}


_TITLES: Final = {
    "spam": "Spam or advertising",
    "abuse": "An insult or a threat",
    "offTopic": "It does not belong here",
    "illegal": "It is against the law",
    "other": "Something else",
}
DEFAULTS: Final = tuple(
    ReportKind(name, _TITLES[name], category) for name, category in dsa_terms.KINDS.items()
)


def find(tx: Reader, site_id: int) -> tuple[ReportKind, ...]:
    """Return the kinds of reports of a site in their order: its own, else the platform's."""
    stored = tx.value(FIND, site_id=site_id)
    return tuple(ReportKind(*one) for one in loads(stored)) if stored else DEFAULTS


def checked(sent: Sequence[Mapping[str, str]]) -> tuple[ReportKind, ...]:
    """Return an owner's list of kinds, sent as dicts with kind, title and category, checked, in its order; titles are
    without tags and unprintable characters, in small letters if they are all in capitals, and HTML-escaped, and a
    category "" becomes the default one of its kind.

    Raises Invalid, which names the bad entry, for a kind that is not 1 to 40 letters, digits, _ or -, for a title that
    is not one line of 1 to MOST_TITLE characters, counted before the escaping, and for an unknown category; also,
    without an entry, for more than MOST_KINDS kinds, for a repeated kind, and for a list without `illegal`: people may
    report what is against the law, whatever else a site takes.
    """
    if len(sent) > MOST_KINDS:
        raise Invalid("", f"may have at most {MOST_KINDS} kinds", code=OUT_OF_RANGE)
    made = []
    for number, one in enumerate(sent):
        name, title = one["kind"], short_text_cleaning.block(one["title"])
        if not _NAME.fullmatch(name):
            raise Invalid(f"[{number}].kind", "must have 1 to 40 letters, digits, _ or -")
        if not 1 <= short_text_cleaning.length(title) <= MOST_TITLE or "\n" in title:
            raise Invalid(f"[{number}].title", f"must be one line of 1 to {MOST_TITLE} characters")
        category = one["category"] or dsa_terms.KINDS.get(name, dsa_terms.VIOLATION)
        if category not in dsa_terms.CATEGORIES:
            raise Invalid(f"[{number}].category", "must be a category of the Digital Services Act")
        made.append(ReportKind(name, title, category))
    names = [one.name for one in made]
    if len(set(names)) < len(names):
        raise Invalid("", "may name each kind only once")
    if dsa_terms.REPORT_ILLEGAL not in names:
        raise Invalid("", f"must have the kind {dsa_terms.REPORT_ILLEGAL}")
    return tuple(made)


def put(tx: Transaction, author: Author, kinds: Sequence[ReportKind]) -> None:
    """Store these kinds of reports as the own list of the author's site, in place of an earlier one. `checked` has
    checked them. The site's row must be locked; the change is journaled.
    """
    value = dumps([list(one) for one in kinds]).decode()
    tx.run(PUT, site_id=author.site_id, value=value)
    journal.record_site(tx, author)


def delete(tx: Transaction, author: Author) -> None:
    """Delete the own list of the author's site, if there is one, so that the platform's kinds are in force again, and
    journal that. The site's row must be locked.
    """
    if tx.run(DELETE, site_id=author.site_id):
        journal.record_site(tx, author)
