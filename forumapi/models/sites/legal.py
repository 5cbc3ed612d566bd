"""Legal documents: short texts that come with the package, or a site's own (platform 6.1).

A site's own text is a row of `site_templates` whose name is that of the document: its `body` is a template in the same
form; or its `link` is the address at which the document is kept elsewhere. A trigger on the table increments the
version of the site, so that a new text is shown within a second. Of a text that asks for consent each version is kept
(legal_version.py).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from string import Template
from typing import Any, Final, NamedTuple

import nh3

from forumapi import templates
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import OUT_OF_RANGE, Invalid, excerpt
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.sites import legal_version
from forumapi.models.sites.legal_version import ASKING, LegalVersion
from forumapi.models.sites.site import Site, lock_for_update
from forumapi.models.sites.site_validation import check_url
from forumapi.text.tag_nesting import nested
from forumapi.wire import json_fragments

SITE_DOCUMENTS: Final = ("cookies", "privacy", "terms")
ROOT_DOCUMENTS: Final = ("service",)

# What a new text does with the consent of members.
ASK: Final = "ask"
CORRECTION: Final = "correction"
NONE: Final = "none"
CONSENTS: Final = (ASK, CORRECTION, NONE)

# Date of the last change of the package's texts.
MODIFIED: Final = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)

FIND_ALL = Query(
    "legal.find_all",
    """
    SELECT t.name, t.body, coalesce(t.link, ''), t.modified, coalesce(t.version, 0), coalesce(t.asked_since, 0)
      FROM site_templates t
     WHERE t.site_id = %(site_id)s
       AND t.name IN ('legal.cookies', 'legal.privacy', 'legal.terms', 'legal.service', 'legal.services')""",
)

FIND = Query(
    "legal.find",
    """
    SELECT t.body, coalesce(t.link, ''), t.modified, coalesce(t.version, 0), coalesce(t.asked_since, 0)
      FROM site_templates t
     WHERE t.site_id = %(site_id)s AND t.name = %(name)s""",
)

UPSERT = Query(
    "legal.upsert",
    """
    INSERT INTO site_templates (site_id, name, body, link, modified, version, asked_since)
    VALUES (%(site_id)s, %(name)s, %(body)s, nullif(%(link)s, ''), now(), nullif(%(version)s, 0),
            nullif(%(asked_since)s, 0))
        ON CONFLICT (site_id, name) DO UPDATE
       SET body = EXCLUDED.body, link = EXCLUDED.link, modified = EXCLUDED.modified, version = EXCLUDED.version,
           asked_since = EXCLUDED.asked_since""",
)

DELETE = Query(
    "legal.delete",
    "DELETE FROM site_templates t WHERE t.site_id = %(site_id)s AND t.name = %(name)s",
)

# Name of the row that names the services among the texts of a site.
_SERVICES: Final = "legal.services"
MAX_TEXT: Final = 200_000
# Names that a template may use after a $.
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
    """Operator of the platform, as configured: plain text, "" for a value that is not set."""

    name: str
    email: str
    address: str


# Clients show the text as it is, so that scripts, forms and frames are removed.
_TAGS: Final = frozenset(nh3.ALLOWED_TAGS) - {"area", "map"}
_CLEANER: Final = nh3.Cleaner(
    tags=set(_TAGS),
    url_schemes={"http", "https", "mailto"},
    link_rel="nofollow noopener",
)


class LegalText(NamedTuple):
    """Legal document: `body`, HTML with the $names in NAMES, or, if `link` is not "", the address at which the document
    is kept elsewhere. `modified`: when it last changed; `is_own`: the document is the site's own, not the package's.

    `version`: number of the text, `asked_since`: first version to which a consent is good; both 0 for a text that asks
    for no consent.
    """

    body: str
    link: str
    modified: datetime.datetime
    version: int = 0
    asked_since: int = 0
    is_own: bool = True

    @classmethod
    def find(cls, tx: Reader, site_id: int, document: str) -> LegalText:
        """Read a document of the site from the database: its own, else the package's. `document`: the document's name,
        one of SITE_DOCUMENTS or ROOT_DOCUMENTS.
        """
        row = tx.row(FIND, site_id=site_id, name=f"legal.{document}")
        return cls(*row) if row else _packaged(document)

    @classmethod
    def held(cls, tx: Reader, site: Site, document: str) -> LegalText:
        """Return a document of the site, its own or else the package's, as `find` does; `document` is named as there.
        The site's own ones are read once and kept in `site`, until a new snapshot takes its place.
        """
        if site.texts is None:
            site.texts = {row[0]: cls(*row[1:]) for row in tx.rows(FIND_ALL, site_id=site.id)}
        text: LegalText | None = site.texts.get(f"legal.{document}")
        return text or _packaged(document)

    @classmethod
    def upsert(
        cls, tx: Transaction, author: Author, document: str, html: str, link: str, consent: str = ""
    ) -> None:
        """Store a legal document of the author's site in place of its earlier one: `html` or `link`, as `checked`
        returned them; and journal the change.

        `consent`: ASK makes a version that members are asked to agree to, CORRECTION one for which consents to the
        version before stay good, NONE makes the text ask for no consent; "" stands for NONE where the text asks for
        none. Raises Invalid for "" where the text asks, for CORRECTION where it does not, for a document that can't
        ask, and beyond MOST_VERSIONS versions.
        """
        site_id = author.site_id
        lock_for_update(tx, site_id)
        before = cls.find(tx, site_id, document)
        _check_consent(document, consent, before)
        version = asked_since = 0
        if consent in (ASK, CORRECTION):
            version = LegalVersion.insert(
                tx, site_id, document, html, link, asks_again=consent == ASK
            )
            asked_since = version if consent == ASK else before.asked_since
        tx.run(
            UPSERT,
            site_id=site_id,
            name=f"legal.{document}",
            body=html,
            link=link,
            version=version,
            asked_since=asked_since,
        )
        legal_version.note_asking(tx, site_id)
        journal.record_site(tx, author)

    @staticmethod
    def delete(tx: Transaction, author: Author, document: str) -> None:
        """Delete the own document of the author's site, so that the package's is shown again, and journal that; nothing
        happens if the site has none. `document`: its name, such as `terms`.
        """
        if tx.run(DELETE, site_id=author.site_id, name=f"legal.{document}"):
            legal_version.note_asking(tx, author.site_id)
            journal.record_site(tx, author)

    def render(self, site: Site, operator: Operator, services: str = "") -> bytes:
        """Render the document as JSON: `link` or `html`, `lastModified`, and the `version` of a text that asks for
        consent. `services`: result of `held_services`, named at the document's end; "" for a document that names none.
        """
        data: dict[str, Any] = {}
        if self.link:
            data["link"] = self.link
        else:
            data["html"] = self.filled(site, operator) + _sent_to(services)
        data["lastModified"] = json_fragments.format_time(self.modified)
        if self.version:
            data["version"] = self.version
        return json_fragments.dumps(data)

    def filled(self, site: Site, operator: Operator) -> str:
        """Return the text as HTML, with the values of today in place of its $names; "" where it is kept elsewhere."""
        # An unknown $name in a site's own text stays as it is, so that the document is shown in spite of it.
        html = Template(self.body).safe_substitute(_values(self, site, operator))
        # A value within an attribute can make it what the template alone is not, such as an address that runs.
        return _CLEANER.clean(html) if self.is_own else html


def held_services(tx: Reader, site: Site) -> str:
    """Return the names of the services that a site sends what people write to, as plain text with commas between, ""
    for none; from memory if `site` holds it, else from the database.
    """
    LegalText.held(tx, site, "privacy")
    found: LegalText | None = (site.texts or {}).get(_SERVICES)
    return found.body if found else ""


def name_services(tx: Transaction, site_id: int, names: Sequence[str]) -> None:
    """Store the names of the services that a site sends what people write to, in place of earlier names; () for
    none.
    """
    if names:
        tx.run(
            UPSERT,
            site_id=site_id,
            name=_SERVICES,
            body=", ".join(names),
            link="",
            version=0,
            asked_since=0,
        )
    else:
        tx.run(DELETE, site_id=site_id, name=_SERVICES)


def _check_consent(document: str, consent: str, before: LegalText) -> None:
    """Check the wish `consent` for a new text of a document, of which `before` is in force. Raises Invalid, which names
    the field, for a wish that is neither "" nor in CONSENTS, and as `LegalText.upsert` does, except for too many
    versions.
    """
    if consent not in ("", *CONSENTS):
        raise Invalid("consent", f"must be one of {', '.join(CONSENTS)}", code=OUT_OF_RANGE)
    if consent in (ASK, CORRECTION) and document not in ASKING:
        raise Invalid("consent", f"can be asked for {' and '.join(ASKING)} alone")
    if before.asked_since and not consent:
        raise Invalid("consent", f"is required, as this text asks for it: {', '.join(CONSENTS)}")
    if consent == CORRECTION and not before.asked_since:
        raise Invalid("consent", "is not asked for by the text before: there is nothing to correct")


def _sent_to(services: str) -> str:
    if not services:
        return ""
    return (
        "<h2>Checks of what you write</h2><p>To find advertising, what you write here is sent to "
        f"{escape(services)}, with your name, your e-mail address and your network address.</p>"
    )


def checked(html: str | None, link: str | None) -> tuple[str, str]:
    """Return (html, link) as `LegalText.upsert` stores them, one of them "": the template `html` without tags that are
    not allowed, such as scripts and forms, or the http(s) address `link`.

    Raises Invalid, which names the field, unless exactly one is given (None: not given); for a template that is blank
    or over MAX_TEXT characters, or has a $ that is neither doubled nor followed by a name in NAMES; and for an address
    that `check_url` refuses or that is relative.
    """
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
        raise Invalid("html", "has a $ without a name after it; write $$ for a dollar sign")
    if unknown := sorted(set(text.get_identifiers()) - set(NAMES)):
        names = ", ".join(f"${name}" for name in NAMES)
        raise Invalid("html", f"${excerpt(unknown[0])} is not a name; allowed are {names}")
    return _CLEANER.clean(nested(html, _TAGS)), ""


@cache
def _packaged(document: str) -> LegalText:
    # In the syntax of owners, who begin with it.
    html = templates.render(f"legal/{document}.html", **{name: f"${name}" for name in NAMES})
    return LegalText(html, "", MODIFIED, is_own=False)


def _values(text: LegalText, site: Site, operator: Operator) -> Mapping[str, str]:
    """Return the values of the $names in the document `text`, as HTML, by name. Titles are stored escaped; all else is
    escaped here.
    """
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
