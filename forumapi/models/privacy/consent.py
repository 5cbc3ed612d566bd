"""Consents of profiles to versions of a site's legal texts (platform 6.1).

The identity statement reads which text a profile has yet to agree to, with each request, so a consent, its withdrawal
and a new version are effective on the next request.
"""

from __future__ import annotations

import datetime
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.sites import legal_version
from forumapi.wire import json_fragments

# First text, with its version, that the profile `p` has yet to agree to before it may write on the site `s`: null for
# none, and for the site's owner. Part of the identity statement.
MISSING: Final = """
    CASE WHEN s.asks_consent AND p.profile_id IS DISTINCT FROM s.owned_by
         THEN missing_consent(s.site_id, p.profile_id) END"""
# Before the name of a text among the site's templates.
PREFIX: Final = "legal."

ASKED = Query(
    "consent.asked",
    """
    SELECT t.name, t.version, t.asked_since,
           coalesce((SELECT max(c.version) FROM consents c
                      WHERE c.site_id = %(site_id)s AND c.profile_id = %(profile_id)s
                        AND 'legal.' || c.name = t.name), 0),
           s.owned_by IS NOT DISTINCT FROM %(profile_id)s::bigint
      FROM site_templates t
      JOIN sites s ON s.site_id = t.site_id
     WHERE t.site_id = %(site_id)s AND t.asked_since IS NOT NULL
     ORDER BY t.name""",
)

FIND_ALL = Query(
    "consent.find_all",
    """
    SELECT c.name, c.version, c.given
      FROM consents c
     WHERE c.site_id = %(site_id)s AND c.profile_id = %(profile_id)s
     ORDER BY c.given DESC, c.name, c.version DESC""",
)

INSERT = Query(
    "consent.insert",
    """
    INSERT INTO consents (site_id, profile_id, name, version)
    VALUES (%(site_id)s, %(profile_id)s, %(document)s, %(version)s)
        ON CONFLICT DO NOTHING""",
)

WITHDRAW = Query(
    "consent.withdraw",
    """
    WITH taken AS (
        DELETE FROM consents c
         WHERE c.site_id = %(site_id)s AND c.profile_id = %(profile_id)s AND c.name = %(document)s
     RETURNING c.site_id, c.profile_id, c.name, c.version, c.given)
    INSERT INTO withdrawn_consents (site_id, profile_id, name, version, given)
    SELECT t.site_id, t.profile_id, t.name, t.version, t.given FROM taken t""",
)

FIND_WITHDRAWN = Query(
    "consent.find_withdrawn",
    """
    SELECT c.name, c.version, c.given, c.withdrawn
      FROM withdrawn_consents c
     WHERE c.site_id = %(site_id)s AND c.profile_id = %(profile_id)s
     ORDER BY c.withdrawn DESC, c.name, c.version DESC, c.given DESC""",
)

# Whoever agreed to a version again after a withdrawal has agreed to it.
COUNT = Query(
    "consent.count",
    """
    SELECT v.name, v.version, v.published,
           (SELECT count(*) FROM consents c
             WHERE c.site_id = v.site_id AND c.name = v.name AND c.version = v.version),
           (SELECT count(DISTINCT w.profile_id) FROM withdrawn_consents w
             WHERE w.site_id = v.site_id AND w.name = v.name AND w.version = v.version
               AND NOT EXISTS (SELECT FROM consents c
                                WHERE c.site_id = w.site_id AND c.profile_id = w.profile_id
                                  AND c.name = w.name AND c.version = w.version))
      FROM legal_versions v
     WHERE v.site_id = %(site_id)s
     ORDER BY v.name, v.version DESC""",
)


class AskedText(NamedTuple):
    """Legal text that asks for consent. `text`: its name, such as terms; `version`: its number; `since`: first version
    to which a consent is good; `agreed`: newest version that the profile has agreed to, 0 for none; `is_owner`: the
    profile owns the site, and is not asked.
    """

    text: str
    version: int
    since: int
    agreed: int
    is_owner: bool

    @classmethod
    def find_all(cls, tx: Reader, site_id: int, profile_id: int) -> list[AskedText]:
        """Return the texts of the site that ask for consent, by name, with what the profile has agreed to."""
        rows = tx.rows(ASKED, site_id=site_id, profile_id=profile_id)
        return [cls(row[0].removeprefix(PREFIX), *row[1:]) for row in rows]

    def document(self) -> dict[str, Any]:
        """Return the text as a dict for JSON."""
        return {
            "text": self.text,
            "version": self.version,
            "askedSince": self.since,
            "agreed": self.agreed,
            "needed": self.agreed < self.since and not self.is_owner,
            "href": legal_version.href(self.text, self.version),
        }


class Consent(NamedTuple):
    """Consent of a profile to a version of a legal text of its site, named `text`: when it was `given`, and when it was
    `withdrawn`, None for one in force.
    """

    text: str
    version: int
    given: datetime.datetime
    withdrawn: datetime.datetime | None = None

    @classmethod
    def find_all(cls, tx: Reader, site_id: int, profile_id: int) -> list[Consent]:
        """Return the profile's consents to any version that are not withdrawn, newest first."""
        return [cls(*row) for row in tx.rows(FIND_ALL, site_id=site_id, profile_id=profile_id)]

    @classmethod
    def find_withdrawn(cls, tx: Reader, site_id: int, profile_id: int) -> list[Consent]:
        """Return the consents that the profile has withdrawn, the last withdrawn first."""
        rows = tx.rows(FIND_WITHDRAWN, site_id=site_id, profile_id=profile_id)
        return [cls(*row) for row in rows]

    @staticmethod
    def insert(tx: Transaction, site_id: int, profile_id: int, text: str, version: int) -> None:
        """Store that the profile agrees to an existing version of the text, from now on; nothing changes if the profile
        agrees to that version already. Writes no audit entry, since those hold client addresses.
        """
        tx.run(INSERT, site_id=site_id, profile_id=profile_id, document=text, version=version)

    @staticmethod
    def withdraw(tx: Transaction, site_id: int, profile_id: int, text: str) -> None:
        """Withdraw the profile's consents to all versions of a text; the consents are kept as withdrawn ones, and
        nothing changes if there are none. Writes no audit entry, as `insert`.
        """
        tx.run(WITHDRAW, site_id=site_id, profile_id=profile_id, document=text)

    def document(self) -> dict[str, Any]:
        """Return the consent as a dict for JSON, with `withdrawn` only if it was."""
        data = {
            "text": self.text,
            "version": self.version,
            "given": json_fragments.format_time(self.given),
            "href": legal_version.href(self.text, self.version),
        }
        if self.withdrawn is not None:
            data["withdrawn"] = json_fragments.format_time(self.withdrawn)
        return data


class ConsentCount(NamedTuple):
    """Number of profiles that have agreed to a version of the legal text named `text`, and of those that have withdrawn
    that and not agreed again. One profile counts at each version that it agreed to.
    """

    text: str
    version: int
    published: datetime.datetime
    agreed: int
    withdrawn: int

    @classmethod
    def find_all(cls, tx: Reader, site_id: int) -> list[ConsentCount]:
        """Return the numbers for all versions that are stored of texts that ask or asked for consent, by name of the
        text, newest version first; [] if no text of the site has ever asked.
        """
        return [cls(*row) for row in tx.rows(COUNT, site_id=site_id)]

    def document(self) -> dict[str, Any]:
        """Return the numbers as a dict for JSON."""
        return {
            "text": self.text,
            "version": self.version,
            "published": json_fragments.format_time(self.published),
            "agreed": self.agreed,
            "withdrawn": self.withdrawn,
            "href": legal_version.href(self.text, self.version),
        }
