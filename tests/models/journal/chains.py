"""Audits of sites for tests: what is written is numbered and chained at once, whether or not a web process does too."""

from __future__ import annotations

import datetime

from forumapi.database.connections import Connection, Transaction
from forumapi.events import event_log
from forumapi.models.journal import audit_chain, audit_check, journal
from forumapi.models.journal.audit_check import SiteCheck
from forumapi.models.journal.audit_hash import Head, Keys
from forumapi.models.journal.journal import Author
from tests.factories import Factory, Person, Site
from tests.services import wait_until

KEY = "secret-of-the-tests"
KEYS = Keys([KEY])


def chain(make: Factory, url: str, site: Site) -> None:
    """Number the site's events, and append their entries."""
    connection = Connection(url, prepare=False, timeout_s=10)
    try:
        event_log.number(connection)
    finally:
        connection.close()
    wait_until(lambda: _read(make, site), "the audit was never read")


def _read(make: Factory, site: Site) -> bool:
    with make.database.write() as tx:
        batch = event_log.begin(tx, audit_chain.NAME, site.id, 100)
        if batch is not None:
            audit_chain.work(tx, site.id, batch.events)
            event_log.move(tx, audit_chain.NAME, site.id, batch.upto)
    ((is_read,),) = make.sql(
        """SELECT NOT EXISTS (SELECT 1 FROM event_heads h
                                LEFT JOIN event_cursors c ON c.site_id = h.site_id AND c.reader = 'audit'
                               WHERE h.site_id = %(id)s AND h.number > coalesce(c.number, 0))""",
        id=site.id,
    )
    return bool(is_read)


def sign(make: Factory, site: Site, keys: Keys = KEYS) -> Head:
    """Sign the head of the site's chain."""
    with make.database.write() as tx:
        return audit_chain.sign(tx, site.id, keys)


def verify(make: Factory, site: Site, *heads: Head, tx: Transaction | None = None) -> SiteCheck:
    """Check the site's chain; `tx`: in this transaction."""
    if tx is not None:
        return audit_check.check(tx, site.id, KEYS, list(heads))
    with make.database.write() as own:
        return audit_check.check(own, site.id, KEYS, list(heads))


def act(make: Factory, by: Person, kind: str, item_type: int, *ids: int, **detail: object) -> None:
    """Record that somebody did something to some things, from an address."""
    with make.database.write() as tx:
        author = Author(by.site.id, by.id, "192.0.2.1")
        journal.record_many(tx, author, kind, item_type, ids, detail=detail)


def age(make: Factory, url: str, site: Site, days: int, upto: int) -> None:
    """Have the first entries, up to a number, be older, chain and all: as if time had passed."""
    # No web process of other tests is at them meanwhile.
    chain(make, url, site)
    by = datetime.timedelta(days=days)
    rows = make.sql(
        "SELECT audit_id FROM audit_log WHERE site_id = %(id)s ORDER BY audit_id LIMIT %(upto)s",
        id=site.id,
        upto=upto,
    )
    make.sql(
        "UPDATE audit_log SET created = created - %(by)s::interval WHERE audit_id = ANY(%(ids)s::bigint[]) RETURNING 1",
        by=f"{by.days} days",
        ids=[row[0] for row in rows],
    )
    # The events are read anew.
    make.sql(
        """WITH entries AS (DELETE FROM audit_entries WHERE site_id = %(id)s),
                heads AS (DELETE FROM audit_heads WHERE site_id = %(id)s)
           UPDATE event_cursors SET number = 0 WHERE reader = %(reader)s AND site_id = %(id)s RETURNING 1""",
        id=site.id,
        reader=audit_chain.NAME,
    )
