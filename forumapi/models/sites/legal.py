"""Legal documents: short texts that come with the package, or a site's own (platform 6.1).

A site's own text is a row of `site_templates` whose name is that of the document: its `body` is a template in the same
form, its `link` says that the document is kept elsewhere. A trigger on the table moves the version of the site, so that
a new text is shown within a second.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, Final, NamedTuple

import nh3

from forumapi.database.connections import Query, Reader, Transaction
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.sites.site import Site
from forumapi.models.sites.site_rules import check_url
from forumapi.wire import json_fragments

SITE_DOCUMENTS: Final = ("cookies", "privacy", "terms")
ROOT_DOCUMENTS: Final = ("service",)

# When the texts of the package were last changed.
MODIFIED: Final = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)

OWN = Query(
    "legal.own",
    """
    SELECT t.name, t.body, coalesce(t.link, ''), t.modified
      FROM site_templates t
     WHERE t.site_id = %(site_id)s
       AND t.name IN ('legal.cookies', 'legal.privacy', 'legal.terms', 'legal.service')""",
)


FIND_OWN = Query(
    "legal.find_own",
    """
    SELECT t.body, coalesce(t.link, ''), t.modified
      FROM site_templates t
     WHERE t.site_id = %(site_id)s AND t.name = %(name)s""",
)

PUT = Query(
    "legal.put",
    """
    INSERT INTO site_templates (site_id, name, body, link, modified)
    VALUES (%(site_id)s, %(name)s, %(body)s, nullif(%(link)s, ''), now())
        ON CONFLICT (site_id, name) DO UPDATE
       SET body = EXCLUDED.body, link = EXCLUDED.link, modified = EXCLUDED.modified""",
)

DELETE = Query(
    "legal.delete",
    "DELETE FROM site_templates t WHERE t.site_id = %(site_id)s AND t.name = %(name)s",
)

MAX_TEXT: Final = 200_000
# What may stand in a template after a $.
NAMES: Final = (
    "contact",
    "cookies_url",
    "modified",
    "operator_address",
    "operator_contact",
    "operator_email",
    "operator_name",
    "privacy_url",
    "site_title",
    "site_url",
)


class Operator(NamedTuple):
    """Who runs the platform, as configured: plain text, "" where it is not."""

    name: str
    email: str
    address: str


class Text(NamedTuple):
    """A document before it is filled in: a template, or a link to where it is kept."""

    body: str
    link: str
    modified: datetime.datetime
    is_own: bool = True  # the site's, not the package's


def find(tx: Reader, site: Site, document: str) -> Text:
    """The text of one of the documents: the site's own, else the package's. Read once a snapshot of the site."""
    if site.texts is None:
        site.texts = {
            name: Text(body, link, modified)
            for name, body, link, modified in tx.rows(OWN, site_id=site.id)
        }
    found: Text | None = site.texts.get(f"legal.{document}")
    return found or _packaged(document)


def template(tx: Reader, site_id: int, document: str) -> Text:
    """The template of a document as it is stored now."""
    row = tx.row(FIND_OWN, site_id=site_id, name=f"legal.{document}")
    return Text(*row) if row else _packaged(document)


def checked(html: str | None, link: str | None) -> tuple[str, str]:
    """(text, link), of which one is empty, as they may be stored. Raises Invalid with the name and the rule."""
    if (html is None) == (link is None):
        raise Invalid("html", "or link is required, and only one of them")
    if link is not None:
        address = check_url("link", link)
        if not address.lower().startswith(("http://", "https://")):
            raise Invalid("link", "must be a whole address, with http or https")
        return "", address
    assert html is not None
    if not html.strip() or "\0" in html:
        raise Invalid("html", "must be a text")
    if len(html) > MAX_TEXT:
        raise Invalid("html", f"may have at most {MAX_TEXT} characters", code=OUT_OF_RANGE)
    text = Template(html)
    if not text.is_valid():
        raise Invalid("html", "has a $ that begins no name; write $$ for the sign itself")
    if unknown := sorted(set(text.get_identifiers()) - set(NAMES)):
        names = ", ".join(f"${name}" for name in NAMES)
        raise Invalid("html", f"${unknown[0]} stands for nothing here; there are {names}")
    return _CLEANER.clean(html), ""


# Pages of clients show it as it is: nothing that runs, sends or frames anything.
_CLEANER: Final = nh3.Cleaner(
    tags=set(nh3.ALLOWED_TAGS) - {"area", "map"},
    url_schemes={"http", "https", "mailto"},
    link_rel="nofollow noopener",
)


def put(tx: Transaction, author: Author, document: str, html: str, link: str) -> None:
    """Store a site's own text, or where it keeps it."""
    tx.run(PUT, site_id=author.site_id, name=f"legal.{document}", body=html, link=link)
    _record(tx, author)


def delete(tx: Transaction, author: Author, document: str) -> None:
    """Go back to the package's text; nothing where the site has none of its own."""
    if tx.run(DELETE, site_id=author.site_id, name=f"legal.{document}"):
        _record(tx, author)


def _record(tx: Transaction, author: Author) -> None:
    journal.record_site(tx, author)


@cache
def _packaged(document: str) -> Text:
    source = files("forumapi.templates") / f"legal.{document}.html"
    return Text(source.read_text(encoding="utf-8"), "", MODIFIED, is_own=False)


def render(text: Text, site: Site, operator: Operator) -> bytes:
    """The document as JSON: link or html, and lastModified."""
    data: dict[str, Any] = {}
    if text.link:
        data["link"] = text.link
    else:
        # An unknown $name of a site's own text stays as it is: a mistake in it must not take the document away.
        html = Template(text.body).safe_substitute(_values(text, site, operator))
        # A value within an attribute makes of it what no template shows: an address that runs, for one.
        data["html"] = _CLEANER.clean(html) if text.is_own else html
    data["lastModified"] = json_fragments.when(text.modified)
    return json_fragments.dumps(data)


def _values(text: Text, site: Site, operator: Operator) -> Mapping[str, str]:
    """What the $names stand for, as HTML. Titles are stored escaped; everything else is escaped here."""
    contact = escape(operator.email)
    contact = f'<a href="mailto:{contact}">{contact}</a>' if contact else "the owner of this site"
    return {
        "site_title": site.title,
        "site_url": escape(site.page("")),
        "cookies_url": escape(site.page("/legal/cookies")),
        "privacy_url": escape(site.page("/legal/privacy")),
        "contact": contact,
        "operator_name": escape(operator.name) or "the operator of this platform",
        "operator_email": escape(operator.email),
        "operator_contact": contact if operator.email else "the address given on this platform",
        "operator_address": escape(operator.address) or "whose address is given on request",
        "modified": f"{text.modified.day} {text.modified:%B %Y}",
    }
