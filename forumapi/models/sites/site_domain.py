"""Custom domains of sites: claimed, proven by DNS, looked at again, taken away, resting (platform 2.1).

`sites.domain` is the one that is served; a row here says how it stands with it. Who claims a domain gets it with the
first proof: an alias (CNAME) that leads to the site's own host, or a TXT record that names that host. All changes of a
domain's rows are made while the rows of all sites that have one of that name are locked, in the order of their ids.
"""

from __future__ import annotations

import datetime
from typing import Final, NamedTuple

from forumapi.database.connections import Query, Reader, Transaction
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.outbound.safe_http_client import Outbound, OutboundError, UnansweredError

PENDING: Final = "pending"
PROVEN: Final = "proven"
UNPROVEN: Final = "unproven"
RELEASED: Final = "released"
SERVED: Final = (PROVEN, UNPROVEN)

DAY: Final = datetime.timedelta(days=1)
# A name that its site gave up, or lost, is nobody else's for so long.
REST: Final = 30 * DAY
# A claim that was not proven by then is forgotten.
CLAIM: Final = 30 * DAY
# A domain from before proofs were asked for is served for so long without one.
GRACE: Final = 60 * DAY
# A proof that was there once is gone when so many looks, over so long, did not see it.
MAX_FAILURES: Final = 3
FAILING: Final = datetime.timedelta(hours=72)

_SOON: Final = datetime.timedelta(minutes=5)
_HOUR: Final = datetime.timedelta(hours=1)

# Domains that the release before has set, cleared or changed, which knows nothing of proofs.
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
)
FORGET_CLAIMS = Query(
    "site_domain.forget_claims",
    "DELETE FROM site_domains d WHERE d.site_id = %(site_id)s AND d.state = 'pending' AND d.domain <> %(domain)s",
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
RELEASE = Query(
    "site_domain.release",
    """
    INSERT INTO site_domains AS d (site_id, domain, state, released)
    VALUES (%(site_id)s, %(domain)s, 'released', now())
        ON CONFLICT (site_id, domain) DO UPDATE
       SET state = 'released', since = now(), released = now(), failures = 0, failing_since = NULL""",
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
)
LOCK = Query(
    "site_domain.lock",
    """
    SELECT d.site_id, d.state, d.since, d.failures, d.failing_since, d.released, s.is_deleted, coalesce(s.domain, ''),
           coalesce(s.owned_by, 0), now()
      FROM site_domains d
      JOIN sites s ON s.site_id = d.site_id
     WHERE d.domain = %(domain)s
     ORDER BY d.site_id
       FOR NO KEY UPDATE OF s, d""",
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
)


class Standing(NamedTuple):
    """How it stands with a domain of a site, for its owner."""

    domain: str
    state: str
    since: datetime.datetime
    found: str


class Due(NamedTuple):
    """A domain that is to be looked at, and whose it is or is to be."""

    site_id: int
    key: str
    domain: str


class Proof(NamedTuple):
    """Answer of DNS: `is_there` None where nobody answered; `found` is for the owner."""

    is_there: bool | None
    found: str = ""


_SEEN: Final = Proof(True)


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


def record_name(domain: str) -> str:
    """The name of the TXT record that proves a domain."""
    return f"_forumapi.{domain}"


def record_value(host: str) -> str:
    """The text of that record, for the site of this API host: nobody else's proof."""
    return f"forumapi-site={host}"


def how_to_prove(domain: str, host: str) -> str:
    """Tell the owner, in a sentence, what to do."""
    return (
        f"Make {domain} an alias (CNAME) of {host}, or give {record_name(domain)} the TXT record"
        f' "{record_value(host)}"'
    )


def look(outbound: Outbound, domain: str, host: str) -> Proof:
    """Ask DNS if `domain` belongs to the site of `host`."""
    is_unanswered = False
    found = ""
    for proves in (_is_alias, _is_named):
        try:
            if proves(outbound, domain, host):
                return Proof(True)
        except UnansweredError as error:
            is_unanswered, found = True, str(error)
        except OutboundError as error:
            found = found or str(error)
    return Proof(None if is_unanswered else False, found)


def _is_alias(outbound: Outbound, domain: str, host: str) -> bool:
    return outbound.cname(domain) == host


def _is_named(outbound: Outbound, domain: str, host: str) -> bool:
    return record_value(host) in outbound.texts(record_name(domain))


def change(tx: Transaction, site_id: int, wanted: str | None, served: str | None) -> str | None:
    """The domain that a site serves whose owner wants another than `served`, which goes on until that is proven.

    The site's row is locked by the caller. With nothing wanted it gives up its domain, which then rests.
    """
    tx.run(FORGET_CLAIMS, site_id=site_id, domain=wanted or "")
    if wanted:
        # Asked for again it is looked at again.
        tx.run(CLAIM_ONE, site_id=site_id, domain=wanted)
        return served
    if served:
        tx.run(RELEASE, site_id=site_id, domain=served)
    return None


def of_site(tx: Reader, site_id: int) -> list[Standing]:
    """List the domains that a site serves, and then those that it waits for."""
    return [Standing(*row) for row in tx.rows(OF_SITE, site_id=site_id)]


def due(tx: Transaction, limit: int) -> list[Due]:
    """Domains whose time has come, the longest due first."""
    tx.run(ADOPT)
    tx.run(SWEEP, rest_s=REST.total_seconds())
    return [Due(*row) for row in tx.rows(DUE, limit=limit)]


def settle(tx: Transaction, one: Due, proof: Proof) -> str:
    """Act on what was seen of a domain; the state that it has now, "" for none."""
    rows = {row.site_id: row for row in (_Row(*row) for row in tx.rows(LOCK, domain=one.domain))}
    own = rows.pop(one.site_id, None)
    if own is None or own.state == RELEASED:
        return own.state if own else ""
    if own.state == PENDING:
        return _settle_claim(tx, one, own, list(rows.values()), proof)
    if proof.is_there:
        return _mark(tx, one, PROVEN, DAY)
    if own.state == UNPROVEN:
        if own.now - own.since < GRACE:
            return _mark(tx, one, UNPROVEN, _HOUR, proof)
        # It may still be proven, as a claim.
        _serve(tx, own, None)
        return _mark(tx, one, PENDING, _HOUR, proof)
    if proof.is_there is None:
        return _mark(tx, one, PROVEN, _HOUR, proof, failures=own.failures)
    failures = own.failures + 1
    if failures >= MAX_FAILURES and own.failing_since and own.now - own.failing_since >= FAILING:
        _serve(tx, own, None)
        return _mark(tx, one, RELEASED, DAY, proof)
    return _mark(tx, one, PROVEN, DAY, proof, failures=failures)


def _settle_claim(tx: Transaction, one: Due, own: _Row, others: list[_Row], proof: Proof) -> str:
    age = own.now - own.since
    wait = _SOON if age < _HOUR else _HOUR
    if not proof.is_there or own.is_deleted:
        if age >= CLAIM:
            tx.run(FORGET, site_id=one.site_id, domain=one.domain)
            return ""
        return _mark(tx, one, PENDING, wait, proof)
    for other in others:
        if other.released and own.now - other.released < REST:
            until = (other.released + REST).date().isoformat()
            said = Proof(True, f"Another site gave {one.domain} up; it rests until {until}")
            return _mark(tx, one, PENDING, _HOUR, said)
        if other.state == PROVEN and not other.is_deleted:
            said = Proof(True, f"{one.domain} is proven by another site")
            return _mark(tx, one, PENDING, _HOUR, said)
    for other in others:
        if other.state in SERVED:
            # Never proven, or of a site that is gone: it has no rest, and waits like any other claim.
            _serve(tx, other, None)
            _mark(tx, one._replace(site_id=other.site_id), PENDING, _HOUR)
    if own.served:
        tx.run(RELEASE, site_id=one.site_id, domain=own.served)
    _serve(tx, own, one.domain)
    return _mark(tx, one, PROVEN, DAY)


def _mark(
    tx: Transaction,
    one: Due,
    state: str,
    wait: datetime.timedelta,
    proof: Proof = _SEEN,
    *,
    failures: int = 0,
) -> str:
    tx.run(
        MARK,
        site_id=one.site_id,
        domain=one.domain,
        state=state,
        wait_s=wait.total_seconds(),
        found=proof.found,
        failures=failures,
    )
    return state


def _serve(tx: Transaction, row: _Row, domain: str | None) -> None:
    """From now on the site is found under this domain, or under none."""
    version = tx.value(SERVE, site_id=row.site_id, domain=domain)
    journal.record_site(tx, Author(row.site_id, row.owned_by, ""), version=version)
