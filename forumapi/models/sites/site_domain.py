"""Custom domains of sites: claimed, proven by DNS, checked again, released, and then reserved for a while.

`sites.domain` is the domain that is served; a row here has the domain's state. Of several sites that claim a domain,
the first with a proof gets it: an alias (CNAME) that leads to the site's own host, or a TXT record that names that
host. All changes of a domain's rows are made while the rows of all sites that have one with that domain are locked, in
the order of their ids.
"""

from __future__ import annotations

import datetime
from typing import Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.sites import site_deletion
from forumapi.outbound.safe_http_client import Outbound, OutboundError, UnansweredError

PENDING: Final = "pending"
PROVEN: Final = "proven"
UNPROVEN: Final = "unproven"
RELEASED: Final = "released"
SERVED: Final = (PROVEN, UNPROVEN)

DAY: Final = datetime.timedelta(days=1)
# No other site gets a name for so long after its site gave it up or lost it.
REST: Final = 30 * DAY
# Claims that were not proven after so long are forgotten.
CLAIM: Final = 30 * DAY
# A domain from before proofs were required is served for so long without one.
GRACE: Final = 60 * DAY
# A proof counts as gone when so many checks, over so long, did not see it.
MAX_FAILURES: Final = 3
FAILING: Final = datetime.timedelta(hours=72)

_SOON: Final = datetime.timedelta(minutes=5)
_HOUR: Final = datetime.timedelta(hours=1)

# Adopts domains that the release before, which does not know proofs, has set, cleared or changed.
ADOPT = Query(
    "site_domain.adopt",
    """
    WITH gone AS (
        DELETE FROM site_domains d
         USING sites s
         WHERE s.site_id = d.site_id AND d.state IN ('proven', 'unproven') AND s.domain IS DISTINCT FROM d.domain)
    INSERT INTO site_domains (site_id, domain, state)
    SELECT s.site_id, s.domain, 'unproven'
      FROM sites s
     WHERE s.domain <> ''
       AND NOT EXISTS (SELECT 1 FROM site_domains d
                        WHERE d.site_id = s.site_id AND d.domain = s.domain AND d.state IN ('proven', 'unproven'))
        ON CONFLICT (site_id, domain) DO UPDATE SET state = 'unproven', since = now(), next_check = now()""",
    scope=PLATFORM,
)
FORGET_CLAIMS = Query(
    "site_domain.forget_claims",
    """
    WITH gone AS (
        DELETE FROM site_domains d
         WHERE d.site_id = %(site_id)s AND d.state = 'pending' AND d.domain <> %(domain)s AND d.released IS NULL)
    UPDATE site_domains d
       SET state = 'released', since = d.released
     WHERE d.site_id = %(site_id)s AND d.state = 'pending' AND d.domain <> %(domain)s AND d.released IS NOT NULL""",
)
CLAIM_ONE = Query(
    "site_domain.claim",
    """
    INSERT INTO site_domains AS d (site_id, domain, state)
    VALUES (%(site_id)s, %(domain)s, 'pending')
        ON CONFLICT (site_id, domain) DO UPDATE
       SET state = CASE d.state WHEN 'released' THEN 'pending' ELSE d.state END,
           since = CASE d.state WHEN 'released' THEN now() ELSE d.since END,
           next_check = greatest(now(), d.checked + interval '30 seconds')""",
)
# A domain that was never proven has no rest.
RELEASE = Query(
    "site_domain.release",
    """
    WITH gone AS (
        DELETE FROM site_domains d
         WHERE d.site_id = %(site_id)s AND d.domain = %(domain)s AND d.state = 'unproven')
    UPDATE site_domains d
       SET state = 'released', since = now(), released = now(), failures = 0, failing_since = NULL
     WHERE d.site_id = %(site_id)s AND d.domain = %(domain)s AND d.state = 'proven'""",
)
OF_SITE = Query(
    "site_domain.of_site",
    """
    SELECT d.domain, d.state, d.since, d.found
      FROM site_domains d
     WHERE d.site_id = %(site_id)s AND d.state <> 'released'
     ORDER BY d.state = 'pending'""",
)
DUE = Query(
    "site_domain.due",
    """
    SELECT d.site_id, s.subdomain_key, d.domain
      FROM site_domains d
      JOIN sites s ON s.site_id = d.site_id
     WHERE d.state <> 'released' AND d.next_check <= now()
     ORDER BY d.next_check
     LIMIT %(limit)s""",
    scope=PLATFORM,
)
LOCK = Query(
    "site_domain.lock",
    """
    SELECT d.site_id, d.state, d.since, d.failures, d.failing_since, d.released,
           s.is_deleted
           AND NOT EXISTS (SELECT FROM site_states v WHERE v.site_id = s.site_id AND v.state <> 'read-only'),
           coalesce(s.domain, ''),
           coalesce(s.owned_by, 0), now()
      FROM site_domains d
      JOIN sites s ON s.site_id = d.site_id
     WHERE d.domain = %(domain)s
     ORDER BY d.site_id
       FOR NO KEY UPDATE OF s, d""",
    scope=PLATFORM,
)
MARK = Query(
    "site_domain.mark",
    """
    UPDATE site_domains d
       SET state = %(state)s, since = CASE WHEN d.state = %(state)s THEN d.since ELSE now() END,
           checked = now(), next_check = now() + %(wait_s)s * interval '1 second', found = %(found)s,
           failures = %(failures)s,
           failing_since = CASE WHEN %(failures)s > 0 THEN coalesce(d.failing_since, now()) END,
           released = CASE %(state)s WHEN 'released' THEN now() WHEN 'proven' THEN NULL ELSE d.released END
     WHERE d.site_id = %(site_id)s AND d.domain = %(domain)s""",
)
FORGET = Query(
    "site_domain.forget",
    "DELETE FROM site_domains d WHERE d.site_id = %(site_id)s AND d.domain = %(domain)s",
)
SERVE = Query(
    "site_domain.serve",
    """
    UPDATE sites s SET domain = %(domain)s, version = s.version + 1
     WHERE s.site_id = %(site_id)s
 RETURNING s.version""",
)
SWEEP = Query(
    "site_domain.sweep",
    "DELETE FROM site_domains d WHERE d.state = 'released' AND d.since < now() - %(rest_s)s * interval '1 second'",
    scope=PLATFORM,
)


class DomainProof(NamedTuple):
    """Result of looking up in DNS a proof that a domain belongs to a site: an alias (CNAME) or a TXT record.
    `is_there`: True if one of the two was found; None if none was found and no name server answered for at least one of
    them; else False.

    `found`: sentence for the site's owner on why the domain is not served: the error of the lookup, such as an unknown
    name, the alias or text of another host that DNS has, or, with a proof, the other site or rest that keeps the domain
    from this one; "" for none of these.
    """

    is_there: bool | None
    found: str = ""


_SEEN: Final = DomainProof(True)


class SiteDomain(NamedTuple):
    """Domain of a site and its state, as the owner sees it. `state`: PROVEN or UNPROVEN for the domain that is served,
    PENDING for one that waits for its proof; `since`: time at which the state began; `found`: that of the last check's
    DomainProof, a sentence on what is wrong, "" for nothing known.
    """

    domain: str
    state: str
    since: datetime.datetime
    found: str

    @classmethod
    def of_site(cls, tx: Reader, site_id: int) -> list[SiteDomain]:
        """Return the site's domains: the one that is served, then the one that waits for its proof; released ones are
        left out.
        """
        return [cls(*row) for row in tx.rows(OF_SITE, site_id=site_id)]

    @staticmethod
    def update(tx: Transaction, site_id: int, wanted: str | None, served: str | None) -> str | None:
        """Claim the domain `wanted` for the site, in place of earlier claims; or, with None, drop them and release
        `served`, the domain under which the site is served now (None: none). Return the domain that is served from now
        on, None for none, which the caller stores in the site's row.

        A wanted domain is served once it is proven, and until then `served` is; the served one named again is only
        checked again; a released domain that was proven stays reserved for REST (30 days). The site's row must be
        locked.
        """
        tx.run(FORGET_CLAIMS, site_id=site_id, domain=wanted or "")
        if wanted:
            # A domain that is claimed again is checked again.
            tx.run(CLAIM_ONE, site_id=site_id, domain=wanted)
            return served
        if served:
            tx.run(RELEASE, site_id=site_id, domain=served)
        return None


class _Row(NamedTuple):
    site_id: int
    state: str
    since: datetime.datetime
    failures: int
    failing_since: datetime.datetime | None
    released: datetime.datetime | None
    is_deleted: bool
    served: str
    owned_by: int
    now: datetime.datetime


class DueDomain(NamedTuple):
    """Domain to be checked now, and id and subdomain (`key`) of the site that is served under it or claims it."""

    site_id: int
    key: str
    domain: str

    @classmethod
    def page(cls, tx: Transaction, limit: int) -> list[DueDomain]:
        """Return up to `limit` domains of all sites that are due for a check, the longest due first. Before, bring the
        rows in the states PROVEN and UNPROVEN in line with the domains that sites are served under, and delete those of
        released domains whose reservation is over.
        """
        tx.run(ADOPT)
        tx.run(SWEEP, rest_s=REST.total_seconds())
        return [cls(*row) for row in tx.rows(DUE, limit=limit)]

    def apply_proof(self, tx: Transaction, proof: DomainProof) -> str:
        """Change the state of the domain, and under which domain the site is served, by the answer `proof` of DNS;
        return the new state, "" for a claim that is gone or that was dropped, since no proof came in time. A claim with
        a proof takes the domain from another site that has it without a proof, or that is deleted; the claim waits on,
        though proven, while another site has a proof, or while the domain rests after another site gave it up or was
        deleted. Locks the rows of all sites that have the domain.
        """
        rows = {
            row.site_id: row for row in (_Row(*row) for row in tx.rows(LOCK, domain=self.domain))
        }
        own = rows.pop(self.site_id, None)
        if own is None or own.state == RELEASED:
            return own.state if own else ""
        if own.state == PENDING:
            return self._apply_claim(tx, own, list(rows.values()), proof)
        if proof.is_there:
            return self._mark(tx, PROVEN, DAY)
        if own.state == UNPROVEN:
            if own.now - own.since < GRACE:
                return self._mark(tx, UNPROVEN, _HOUR, proof)
            # It becomes a claim, which may still be proven.
            _serve(tx, own, None)
            return self._mark(tx, PENDING, _HOUR, proof)
        if proof.is_there is None:
            return self._mark(tx, PROVEN, _HOUR, proof, failures=own.failures)
        failures = own.failures + 1
        if (
            failures >= MAX_FAILURES
            and own.failing_since
            and own.now - own.failing_since >= FAILING
        ):
            _serve(tx, own, None)
            return self._mark(tx, RELEASED, DAY, proof)
        return self._mark(tx, PROVEN, DAY, proof, failures=failures)

    def _apply_claim(
        self, tx: Transaction, own: _Row, others: list[_Row], proof: DomainProof
    ) -> str:
        age = own.now - own.since
        wait = _SOON if age < _HOUR else _HOUR
        if not proof.is_there or own.is_deleted:
            if age >= CLAIM:
                tx.run(FORGET, site_id=self.site_id, domain=self.domain)
                return ""
            return self._mark(tx, PENDING, wait, proof)
        if site_deletion.is_resting(tx, self.domain):
            said = DomainProof(True, f"The site that had {self.domain} was deleted; it still rests")
            return self._mark(tx, PENDING, _HOUR, said)
        for other in others:
            if other.released and own.now - other.released < REST:
                until = (other.released + REST).date().isoformat()
                said = DomainProof(
                    True, f"Another site gave {self.domain} up; it rests until {until}"
                )
                return self._mark(tx, PENDING, _HOUR, said)
            if other.state == PROVEN and not other.is_deleted:
                said = DomainProof(True, f"{self.domain} is proven by another site")
                return self._mark(tx, PENDING, _HOUR, said)
        for other in others:
            if other.state in SERVED:
                # A domain that was never proven, or whose site is gone, has no rest: it waits like any other claim.
                _serve(tx, other, None)
                self._replace(site_id=other.site_id)._mark(tx, PENDING, _HOUR)
        if own.served:
            tx.run(RELEASE, site_id=self.site_id, domain=own.served)
        _serve(tx, own, self.domain)
        return self._mark(tx, PROVEN, DAY)

    def _mark(
        self,
        tx: Transaction,
        state: str,
        wait: datetime.timedelta,
        proof: DomainProof = _SEEN,
        *,
        failures: int = 0,
    ) -> str:
        tx.run(
            MARK,
            site_id=self.site_id,
            domain=self.domain,
            state=state,
            wait_s=wait.total_seconds(),
            found=proof.found,
            failures=failures,
        )
        return state


def record_name(domain: str) -> str:
    """Return the name of the TXT record that proves a domain."""
    return f"_forumapi.{domain}"


def record_value(host: str) -> str:
    """Return the value of the TXT record that proves a domain to the site with this API host, and to no other."""
    return f"forumapi-site={host}"


def how_to_prove(domain: str, host: str) -> str:
    """Return a sentence that tells a site's owner how to prove the domain. `host`: the API's host of that site."""
    return (
        f"Make {domain} an alias (CNAME) of {host}, or give {record_name(domain)} the TXT record"
        f' "{record_value(host)}"'
    )


def check_dns(outbound: Outbound, domain: str, host: str) -> DomainProof:
    """Ask DNS, waiting for the answers, if `domain` belongs to the site with the API's host `host`: if it has a CNAME
    to that, or the TXT record.
    """
    unanswered = unknown = fault = ""
    for fault_of in (_alias_fault, _text_fault):
        try:
            found = fault_of(outbound, domain, host)
        except UnansweredError as error:
            unanswered = str(error)
        except OutboundError as error:
            unknown = unknown or str(error)
        else:
            if found is None:
                return DomainProof(True)
            fault = fault or found
    return DomainProof(None if unanswered else False, unanswered or fault or unknown)


def _alias_fault(outbound: Outbound, domain: str, host: str) -> str | None:
    """Return None if `domain` is an alias of `host`, else a sentence on the alias that it has, "" for none."""
    alias = outbound.cname(domain)
    if alias == host:
        return None
    return f"{domain} is an alias of {alias}, not of {host}" if alias else ""


def _text_fault(outbound: Outbound, domain: str, host: str) -> str | None:
    """Return None if a TXT record names `host`, else a sentence on one that names another host, "" for none."""
    name, value = record_name(domain), record_value(host)
    texts = outbound.texts(name)
    if value in texts:
        return None
    others = [text for text in texts if text.startswith(record_value(""))]
    return f'{name} has the TXT record "{others[0]}", which is another site\'s' if others else ""


def _serve(tx: Transaction, row: _Row, domain: str | None) -> None:
    """Store `domain` as the one under which the site of `row` is served; None: under none. Increments the site's
    version, and journals the change as the owner's.
    """
    version = tx.value(SERVE, site_id=row.site_id, domain=domain)
    journal.record_site(tx, Author(row.site_id, row.owned_by, ""), version=version)
