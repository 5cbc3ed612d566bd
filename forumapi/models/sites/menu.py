"""Menu of a site: at most ten links, replaced as a whole (platform 2.3). It is shown inside the site document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.errors import Invalid
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.sites.site_validation import check_href
from forumapi.text import short_text_cleaning
from forumapi.wire.body import given

MAX_ENTRIES: Final = 10
MAX_TEXT: Final = 50
MAX_TITLE: Final = 512

# The menu is part of the site document: the site's version moves with it.
UPDATE = Query(
    "menu.update",
    """
    WITH gone AS (
        DELETE FROM menus m
         WHERE m.site_id = %(site_id)s AND m.sequence >= cardinality(%(hrefs)s::text[])),
    put AS (
        INSERT INTO menus (site_id, sequence, href, title, text)
        SELECT %(site_id)s, e.place - 1, e.href, e.title, e.text
          FROM unnest(%(hrefs)s::text[], %(titles)s::text[], %(texts)s::text[]) WITH ORDINALITY
               AS e (href, title, text, place)
            ON CONFLICT (site_id, sequence) DO UPDATE
           SET href = EXCLUDED.href, title = EXCLUDED.title, text = EXCLUDED.text)
    UPDATE sites s
       SET version = s.version + 1
     WHERE s.site_id = %(site_id)s
 RETURNING s.version""",
)


class EntryBody(Struct):
    """Entry of a menu as a client sends it, in plain text: the address, the tooltip, and the words of the link; `title`
    may be left out.
    """

    href: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    text: str | UnsetType = UNSET


class MenuEntry(NamedTuple):
    """Entry of a menu as it is stored, HTML-escaped. `text`: the words of the link; `title`: its tooltip, may be ""."""

    href: str
    title: str
    text: str

    @classmethod
    def checked(cls, place: str, entry: EntryBody) -> MenuEntry:
        """Return a sent entry as it is stored: its texts without tags, line breaks and unprintable characters, all
        HTML-escaped. Raises Invalid, which names `place`, the entry's place in the body such as [0], and the field, for
        an address that is missing or that `check_href` refuses, a text of which nothing or more than MAX_TEXT
        characters are left, and a title of which more than MAX_TITLE characters are left, both counted before the
        escaping.
        """
        href = check_href(f"{place}.href", given(entry.href, ""))
        text = short_text_cleaning.sentence(given(entry.text, ""), quiet=False)
        if not text:
            raise Invalid(f"{place}.text", "must not be blank")
        if short_text_cleaning.length(text) > MAX_TEXT:
            raise Invalid(f"{place}.text", f"may have at most {MAX_TEXT} characters")
        title = short_text_cleaning.sentence(given(entry.title, ""), quiet=False)
        if short_text_cleaning.length(title) > MAX_TITLE:
            raise Invalid(f"{place}.title", f"may have at most {MAX_TITLE} characters")
        return cls(href, title, text)


class Menu(NamedTuple):
    """Menu of a site, its entries in order; () for none."""

    entries: Sequence[MenuEntry] = ()

    @classmethod
    def checked(cls, entries: Sequence[EntryBody]) -> Menu:
        """Return a sent menu as it is stored, in its order. Raises Invalid for a bad entry, for more than MAX_ENTRIES,
        and for no entries (P-20).
        """
        if not entries:
            raise Invalid("", "The menu may not be empty; use DELETE to remove it")
        if len(entries) > MAX_ENTRIES:
            raise Invalid("", f"A menu may have at most {MAX_ENTRIES} entries")
        return cls([MenuEntry.checked(f"[{place}]", entry) for place, entry in enumerate(entries)])

    def update(self, tx: Transaction, author: Author) -> None:
        """Store this menu in place of that of the author's site; without entries, the site then has no menu. Increments
        the site's version, and journals the change in the event log alone, not in the audit.
        """
        version = tx.value(
            UPDATE,
            site_id=author.site_id,
            hrefs=[entry.href for entry in self.entries],
            titles=[entry.title for entry in self.entries],
            texts=[entry.text for entry in self.entries],
        )
        journal.record_site(tx, author, version=version, audit=False)
