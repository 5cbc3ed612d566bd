"""Job that carries out the retention periods that sites have set, and what the journal of erasures keeps of them.

The journal has two kinds of lines about retention, both without names. `periods`: what a site has set. `gone`: things
whose texts were removed, as [type, id, time of creation in microseconds]; written and synced before the removal
commits. A restored backup gets the periods, and its texts of these things are removed again; addresses, audit and mail
follow from the periods.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from forumapi.cache.document_cache import Cache
from forumapi.config import Config
from forumapi.cron import erasures
from forumapi.database.connections import Database, Transaction
from forumapi.itemtypes import ItemRef
from forumapi.models.content import comment_documents
from forumapi.models.journal import audit_log_retention
from forumapi.models.privacy import retention as periods
from forumapi.models.privacy import retention_steps
from forumapi.models.privacy.retention import ADDRESSES, DELETED_TEXTS, MAIL, SitePeriods
from forumapi.models.privacy.retention_steps import Gone

# How long one run works; the next one, ten minutes later, goes on.
WORKING_S: Final = 20.0

_DOCUMENTS: Final = (comment_documents.SUMMARY.name, comment_documents.DETAIL.name)
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)


def retention(tx: Transaction, config: Config) -> str:
    """Delete, hash or remove what is older than the periods that sites have set, working for WORKING_S seconds at most,
    in transactions of its own and not in `tx`; return the result in words.
    """
    database = Database(config.direct_url, size=1, prepare=False, timeout_ms=60_000)
    try:
        done = work_off(database, config, until=time.monotonic() + WORKING_S)
    finally:
        database.close()
    return f"{done} rows past the periods of their sites"


def work_off(database: Database, config: Config, *, until: float | None = None) -> int:
    """Carry out the periods of all sites until nothing is left or the monotonic clock reaches `until` (None: no limit);
    return the number of rows. Each site has a batch of each kind in turn, so that a large one does not keep others
    waiting.
    """
    path = config.erasure_journal_path
    cache = Cache(config.memcached, memory_mb=1, prefix=config.cache_prefix)
    with database.write() as tx:
        left = periods.of_sites(tx)
        _note_periods(tx, path, left)
    total = 0
    while left:
        more = []
        for site in left:
            if until is not None and time.monotonic() >= until:
                return total
            found = _advance(database, config, cache, path, site)
            total += found
            if found:
                more.append(site)
        left = more
    return total


def _advance(
    database: Database, config: Config, cache: Cache, path: Path, site: SitePeriods
) -> int:
    """Run a batch of each kind for which the site has a period; return the number of rows, 0 when nothing is left."""
    found, days = 0, site.days
    if days.get(ADDRESSES, config.audit_address_days) < config.audit_address_days:
        with database.write() as tx:
            found += audit_log_retention.hash_addresses_of(
                tx, site.site_id, days[ADDRESSES], retention_steps.MOST_TRACES
            )
    if days.get(MAIL, periods.MAIL_DAYS) < periods.MAIL_DAYS:
        with database.write() as tx:
            found += retention_steps.forget_mail(tx, site.site_id, days[MAIL])
    for step in (retention_steps.remove_comments, retention_steps.remove_items):
        if DELETED_TEXTS in days:
            with database.write() as tx:
                count, gone = step(tx, site.site_id, days[DELETED_TEXTS], _noter(path, site))
            found += count
            cache.delete_many(
                (site.site_id, name, one.ref.id, version)
                for one in gone
                for version in range(1, one.version + 1)
                for name in _DOCUMENTS
            )
    return found


# ---------------------------------------------------------------- the journal


def _note_periods(tx: Transaction, path: Path, sites: Iterable[SitePeriods]) -> None:
    """Append the periods that are not in the journal yet to the file at `path`, and mark them as written."""
    new = [site for site in sites if not site.is_journaled]
    erasures.append(
        path,
        [_line(site, "periods", set=site.set_at, periods=dict(site.days)) for site in new],
    )
    for site in new:
        tx.run(periods.JOURNALED, site_id=site.site_id, set_at=site.set_at)


def _noter(path: Path, site: SitePeriods) -> Callable[[Sequence[Gone]], None]:
    def note(gone: Sequence[Gone]) -> None:
        things = [
            [one.ref.type, one.ref.id, (one.created - _EPOCH) // _MICROSECOND] for one in gone
        ]
        erasures.append(path, [_line(site, "gone", gone=things)])

    return note


def _line(site: SitePeriods, what: str, **values: Any) -> str:
    known = {"retention": what, "site": site.site_id, "created": site.created.isoformat()}
    return json.dumps({**known, **values}, separators=(",", ":"))


def replay(database: Database, config: Config, paths: Iterable[Path]) -> int:
    """Give the sites of a restored database the periods that the journals at `paths` have, remove the texts again that
    had been removed, and carry the periods out; return the number of rows.

    Raises OSError, and ValueError for a line that is no entry.
    """
    total = 0
    for path in paths:
        for place, known in erasures.read_lines(path):
            if "retention" not in known:
                continue
            try:
                total += _replay(database, known)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise ValueError(f"{place}: no entry of a journal: {error}") from None
    return total + work_off(database, config)


def _replay(database: Database, known: dict[str, Any]) -> int:
    site_id = known["site"]
    with database.write() as tx:
        if known["retention"] == "periods":
            tx.run(
                periods.RESTORE,
                site_id=site_id,
                created=datetime.datetime.fromisoformat(known["created"]),
                periods=json.dumps(known["periods"]),
                set_at=known["set"],
            )
            return 0
        gone = [
            Gone(ItemRef(type, id), _EPOCH + made * _MICROSECOND, 0)
            for type, id, made in known["gone"]
        ]
        return retention_steps.remove_again(tx, site_id, gone)
