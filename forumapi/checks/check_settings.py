"""Settings of a site's checks, which are all off until its owner turns them on."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from forumapi.checks.check import HOLD, PASS, TextCheck
from forumapi.checks.local_checks import (
    DomainsCheck,
    FirstThingsCheck,
    LinksCheck,
    RateCheck,
    SameTextCheck,
)
from forumapi.checks.service_checks import AkismetCheck, StopForumSpamCheck
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.outbound.safe_http_client import Outbound

# Reader of the event log that queues what is to be checked.
READER: Final = "checks"
MOST_DOMAINS: Final = 1_000
_DOMAIN: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}"
)
_KEY: Final = re.compile(r"[A-Za-z0-9]{1,64}")

FIND = Query(
    "check_settings.find",
    "SELECT s.value::text FROM site_settings s WHERE s.site_id = %(site_id)s AND s.key = 'checks'",
)
# Checks begin with what is written from now on: the reader's cursor moves to the present when they are turned on.
# Workers keep those that judge at writing with the site's snapshot: a change of the checks is one of the site.
PUT = Query(
    "check_settings.put",
    """
    WITH begun AS (
        INSERT INTO event_cursors AS c (reader, site_id, number)
        SELECT %(reader)s, h.site_id, h.number
          FROM event_heads h
         WHERE h.site_id = %(site_id)s
           AND NOT EXISTS (SELECT FROM site_settings o WHERE o.site_id = %(site_id)s AND o.key = 'checks')
            ON CONFLICT (reader, site_id) DO UPDATE SET number = greatest(c.number, EXCLUDED.number)),
    touched AS (UPDATE sites s SET version = s.version + 1 WHERE s.site_id = %(site_id)s)
    INSERT INTO site_settings (site_id, key, value) VALUES (%(site_id)s, 'checks', %(value)s::jsonb)
        ON CONFLICT (site_id, key) DO UPDATE SET value = EXCLUDED.value""",
)
DELETE = Query(
    "check_settings.delete",
    """
    WITH gone AS (
        DELETE FROM site_settings o WHERE o.site_id = %(site_id)s AND o.key = 'checks'
     RETURNING o.site_id)
    UPDATE sites s
       SET version = s.version + 1
     WHERE s.site_id = %(site_id)s AND EXISTS (SELECT FROM gone)""",
)


class RoleRate(msgspec.Struct, forbid_unknown_fields=True):
    """Number of comments and items, `perHour`, that each person in the role `roleId` may write in an hour before a
    check holds further ones; 0: any number. It replaces `perHour` of CheckSettings for these people.
    """

    roleId: int
    perHour: int


class CheckSettings(msgspec.Struct, kw_only=True):
    """Checks that a site has turned on; a check is off with 0, an empty list or text, False, or None for `maxLinks`.

    `firstPosts`: the texts of an author who has fewer than so many other comments and items, neither deleted nor
    hidden, are held; `maxLinks`: a text with more links than that is held (0: with one); `domains`: a text with a link
    to one of these or their subdomains is held; `perHour`: a text is held if its author has written more than so many
    comments and items in the last hour, with another limit for people in the roles of `rates`; `sameText`: a text that
    was written on so many other sites within a day, or more, is held. `stopForumSpam`: that service is asked;
    `akismetKey`: key of the site's account, with which Akismet is asked. `onFailure`: PASS or HOLD, for a text that a
    check could not judge. `beforeShown`: checks that ask no service judge in the transaction that writes the text,
    before anybody can read it.
    """

    firstPosts: int = 0
    maxLinks: int | None = None
    domains: list[str] = []
    perHour: int = 0
    rates: list[RoleRate] = []
    sameText: int = 0
    stopForumSpam: bool = False
    akismetKey: str = ""
    onFailure: str = PASS
    beforeShown: bool = False

    def check(self) -> None:
        """Check the settings, and turn `domains` in place into lower case, without dots at the end. Raises Invalid for
        a number outside its limits, a malformed domain or key, too many domains or roles, and an unknown `onFailure`.
        """
        for name, most in (("firstPosts", 100), ("perHour", 10_000), ("sameText", 100)):
            if not 0 <= getattr(self, name) <= most:
                raise Invalid(name, f"must be 0 to {most}", code=OUT_OF_RANGE)
        if self.maxLinks is not None and not 0 <= self.maxLinks <= 100:
            raise Invalid("maxLinks", "must be 0 to 100, or null", code=OUT_OF_RANGE)
        if len(self.domains) > MOST_DOMAINS:
            raise Invalid("domains", f"may have at most {MOST_DOMAINS}", code=OUT_OF_RANGE)
        self.domains = [domain.lower().rstrip(".") for domain in self.domains]
        for number, domain in enumerate(self.domains):
            if not _DOMAIN.fullmatch(domain):
                raise Invalid(f"domains[{number}]", "must be a domain, such as example.com")
        if len(self.rates) > 100:
            raise Invalid("rates", "may have at most 100", code=OUT_OF_RANGE)
        for number, rate in enumerate(self.rates):
            if rate.roleId <= 0 or not 0 <= rate.perHour <= 10_000:
                raise Invalid(f"rates[{number}]", "must have a role, and 0 to 10000 perHour")
        if self.akismetKey and not _KEY.fullmatch(self.akismetKey):
            raise Invalid("akismetKey", "must have up to 64 letters and digits")
        if self.onFailure not in (PASS, HOLD):
            raise Invalid("onFailure", f"must be {PASS} or {HOLD}")

    def local_checks(self) -> list[TextCheck]:
        """Make the checks that are on and ask no service, in a fixed order."""
        made: list[TextCheck] = []
        if self.firstPosts:
            made.append(FirstThingsCheck(self.firstPosts))
        if self.maxLinks is not None:
            made.append(LinksCheck(self.maxLinks))
        if self.domains:
            made.append(DomainsCheck(tuple(self.domains)))
        if self.perHour or self.rates:
            of_roles = {rate.roleId: rate.perHour or 1 << 30 for rate in self.rates}
            made.append(RateCheck(self.perHour, of_roles))
        if self.sameText:
            made.append(SameTextCheck(self.sameText))
        return made

    def checks(self, outbound: Outbound, spam_url: str, akismet_url: str) -> list[TextCheck]:
        """Make the checks that are on, local ones first. `outbound`: client for those that ask a service; `spam_url`,
        `akismet_url`: addresses of the services, "" for the public ones.
        """
        made = self.local_checks()
        if self.stopForumSpam:
            made.append(StopForumSpamCheck(outbound, spam_url))
        if self.akismetKey:
            made.append(AkismetCheck(outbound, self.akismetKey, akismet_url))
        return made

    @property
    def document(self) -> dict[str, Any]:
        """Return the settings as a dict for JSON, in which `akismetKey` is True or False: if there is a key."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data | {"akismetKey": bool(self.akismetKey)}


def find(tx: Reader, site_id: int) -> CheckSettings | None:
    """Return the settings of a site's checks; None if none are stored, so that all checks are off."""
    stored = tx.value(FIND, site_id=site_id)
    return msgspec.json.decode(stored, type=CheckSettings) if stored else None


def put(tx: Transaction, author: Author, settings: CheckSettings) -> None:
    """Store the checks' settings of the author's site in place of earlier ones; `settings.check` must have been called.
    On a site without settings the checks begin with what is written from now on. `author`: who changes them, for the
    audit.
    """
    value = msgspec.json.encode(settings).decode()
    tx.run(PUT, site_id=author.site_id, reader=READER, value=value)
    journal.record_site(tx, author)


def delete(tx: Transaction, author: Author) -> None:
    """Delete the checks' settings of the author's site, which turns all checks off; nothing happens if none are stored.
    `author`: who does so, for the audit.
    """
    if tx.run(DELETE, site_id=author.site_id):
        journal.record_site(tx, author)
