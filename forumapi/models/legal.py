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

from forumapi import fragments
from forumapi.db import Query, Reader
from forumapi.models.site import Site

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


def find(tx: Reader, site: Site, document: str) -> Text:
    """The text of one of the documents: the site's own, else the package's. Read once a snapshot of the site."""
    if site.texts is None:
        site.texts = {
            name: Text(body, link, modified)
            for name, body, link, modified in tx.rows(OWN, site_id=site.id)
        }
    found: Text | None = site.texts.get(f"legal.{document}")
    return found or _packaged(document)


@cache
def _packaged(document: str) -> Text:
    source = files("forumapi.templates") / f"legal.{document}.html"
    return Text(source.read_text(encoding="utf-8"), "", MODIFIED)


def render(text: Text, site: Site, operator: Operator) -> bytes:
    """The document as JSON: link or html, and lastModified."""
    data: dict[str, Any] = {}
    if text.link:
        data["link"] = text.link
    else:
        # An unknown $name of a site's own text stays as it is: a mistake in it must not take the document away.
        data["html"] = Template(text.body).safe_substitute(_values(text, site, operator))
    data["lastModified"] = fragments.when(text.modified)
    return fragments.dumps(data)


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
