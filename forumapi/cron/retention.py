"""Job that carries out the retention periods that sites have set, and what the journal of erasures keeps of them.

The journal has two kinds of lines about retention, both without names. `periods`: what a site has set. `gone`: things
whose texts were removed, as [type, id, time of creation in microseconds, version just before]; written once the removal
is committed, so that no line names what a failed batch left alive. A restored backup gets the periods; and of the
things in `gone` those that are deleted in the backup too, at that version or an earlier one, lose their texts again.
Addresses, audit and mail follow from the periods, and so do texts whose line a crash has kept out of the journal.
"""

from __future__ import annotations

import datetime
import json
import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from forumapi import itemtypes
from forumapi.cache.document_cache import Cache
from forumapi.config import Config
from forumapi.cron import erasure_journal_file, file_cleanup
from forumapi.cron.erasure_journal_file import MAX_ID
from forumapi.database.connections import Database, Transaction
from forumapi.errors import TooSlow
from forumapi.itemtypes import ItemRef
from forumapi.models.content import comment_documents
from forumapi.models.journal import audit_address_hashing
from forumapi.models.privacy import erasure_steps, retention_steps
from forumapi.models.privacy import retention as periods
from forumapi.models.privacy.retention import ADDRESSES, DELETED_TEXTS, MAIL, SitePeriods
from forumapi.models.privacy.retention_steps import Gone, RemovalBatch

logger = logging.getLogger(__name__)

# How long one run works; the next one, ten minutes later, goes on.
WORKING_S: Final = 20.0

_DOCUMENTS: Final = (comment_documents.SUMMARY.name, comment_documents.DETAIL.name)
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)
# The end of the year 9999, in microseconds.
_LATEST: Final = 253_402_300_799_999_999

# The site that the last run in this process ended at; the next run begins after it.
_last_site = 0


class UnfinishedError(Exception):
    """Failure of retention on one site or several; the log has each one's reason."""


def retention(tx: Transaction, config: Config) -> str:
    """Delete, hash or remove what is older than the periods that sites have set, except audit entries (job
    `audit_heads`), working for WORKING_S seconds at most, in transactions of its own and not in `tx`; return the result
    in words. Raises UnfinishedError.
    """
    with closing(Database(config.direct_url, size=1, prepare=False, timeout_ms=60_000)) as database:
        done = work_off(database, config, until=time.monotonic() + WORKING_S)
    return f"{done} rows past the periods of their sites"


def work_off(database: Database, config: Config, *, until: float | None = None) -> int:
    """Carry out the periods of all sites until nothing is left or the monotonic clock reaches `until` (None: no limit);
    return the number of rows that were deleted or changed. Each site has a batch of each kind in turn, so that a large
    one does not keep others waiting; the first one is the site after the one that the last run ended at.

    A site that fails is logged and left to the next run; raises UnfinishedError after the others.
    """
    global _last_site
    path = config.erasure_journal_path
    cache = Cache(config.memcached, memory_mb=1, prefix=config.cache_prefix)
    with database.write() as tx:
        sites = periods.of_sites(tx)
        _note_periods(tx, path, sites)
    left = deque(sorted(sites, key=lambda site: (site.site_id <= _last_site, site.site_id)))
    total, failed = 0, {}
    while left and (until is None or time.monotonic() < until):
        site = left.popleft()
        _last_site = site.site_id
        try:
            found = _advance(database, config, cache, path, site)
        except Exception as error:
            logger.exception("retention: site %d failed", site.site_id)
            failed[site.site_id] = error
            continue
        total += found
        if found:
            left.append(site)
    if failed:
        ids = ", ".join(map(str, failed))
        raise UnfinishedError(f"retention failed on sites {ids}") from next(iter(failed.values()))
    return total


def _advance(
    database: Database, config: Config, cache: Cache, path: Path, site: SitePeriods
) -> int:
    """Run a batch of each kind for which the site has a period, shorter than the platform's if that has one too, except
    of audit entries; return the number of rows that were deleted or changed, 0 when nothing is left. `cache`: of
    documents, which those of removed texts are deleted from; `path`: of the journal, to which removed texts are
    appended.
    """
    found, days = 0, site.days
    if days.get(ADDRESSES, config.audit_address_days) < config.audit_address_days:
        with database.write() as tx:
            found += audit_address_hashing.hash_addresses_of(
                tx, site.site_id, days[ADDRESSES], retention_steps.MOST_TRACES
            )
    if days.get(MAIL, periods.MAIL_DAYS) < periods.MAIL_DAYS:
        with database.write() as tx:
            found += retention_steps.forget_mail(tx, site.site_id, days[MAIL])
    for step in (retention_steps.remove_comments, retention_steps.remove_items):
        if DELETED_TEXTS in days:
            with database.write() as tx:
                batch = step(tx, site.site_id, days[DELETED_TEXTS])
            found += batch.rows
            _forget(cache, site.site_id, batch)
            _note_gone(path, site, batch.gone)
            _drop_files(database, batch.files)
    return found


def _drop_files(database: Database, hashes: Sequence[str]) -> None:
    """Delete the rows of those of the files that nobody has and no text links to; their objects are left to the job
    `stray_objects`. In a transaction of its own, since it reads the texts of all sites: where that takes too long, the
    rows are left to the job `unused_files`.
    """
    if not hashes:
        return
    try:
        with database.write() as tx:
            linked = file_cleanup.linked(tx, hashes)
            free = [hash for hash in hashes if hash not in linked]
            unheld = erasure_steps.lock_unheld(tx, free)
            file_cleanup.drop_unused(tx, unheld)
    except TooSlow:
        logger.warning("retention: %d files are left to the job unused_files", len(hashes))


def _forget(cache: Cache, site_id: int, batch: RemovalBatch) -> None:
    cache.delete_many(
        (site_id, name, one.ref.id, version)
        for one in batch.gone
        if one.ref.type == itemtypes.COMMENT
        for version in range(1, one.version + 1)
        for name in _DOCUMENTS
    )


# ---------------------------------------------------------------- the journal


def _note_periods(tx: Transaction, path: Path, sites: Iterable[SitePeriods]) -> None:
    """Append the periods that are not in the journal yet to the file at `path`, and mark them as written."""
    new = [site for site in sites if not site.is_journaled]
    erasure_journal_file.append(
        path,
        [_line(site, "periods", set=site.set_at, periods=dict(site.days)) for site in new],
    )
    for site in new:
        tx.run(periods.JOURNALED, site_id=site.site_id, set_at=site.set_at)


def _note_gone(path: Path, site: SitePeriods, gone: Sequence[Gone]) -> None:
    """Append the removed things `gone` to the file at `path`, as one line; do nothing if there are none."""
    things = [
        [one.ref.type, one.ref.id, (one.created - _EPOCH) // _MICROSECOND, one.version]
        for one in gone
    ]
    erasure_journal_file.append(path, [_line(site, "gone", gone=things)] if things else [])


def _line(site: SitePeriods, what: str, **values: Any) -> str:
    known = {"retention": what, "site": site.site_id, "created": site.created.isoformat()}
    return json.dumps({**known, **values}, separators=(",", ":"))


_Id = Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)]
_Time = Annotated[datetime.datetime, msgspec.Meta(tz=True)]


class PeriodsLine(msgspec.Struct, tag_field="retention", tag="periods"):
    """Line of the journal of erasures about a site's retention periods. `site`, `created`: the site, and when it was
    made; `set`: when the periods were set; `periods`: in days, by what they are for.
    """

    site: _Id
    created: _Time
    set: _Time
    periods: dict[
        Literal["addresses", "audit", "deletedTexts", "mail"],
        Annotated[int, msgspec.Meta(ge=1, le=100_000)],
    ]


class GoneLine(msgspec.Struct, tag_field="retention", tag="gone"):
    """Line of the journal of erasures about things of the site `site` whose texts were removed. `gone`: (type, id, time
    of creation in microseconds since 1970, version just before the removal) each.
    """

    site: _Id
    gone: list[
        tuple[
            Annotated[int, msgspec.Meta(ge=1, le=32_767)],
            _Id,
            Annotated[int, msgspec.Meta(ge=0, le=_LATEST)],
            Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)],
        ]
    ]


def read_journal(paths: Iterable[Path]) -> Iterator[PeriodsLine | GoneLine]:
    """Yield the lines about retention of the journals at `paths`, in order. Raises OSError, and ValueError for a line
    that is no entry.
    """
    kinds: Mapping[str, type[PeriodsLine | GoneLine]] = {"periods": PeriodsLine, "gone": GoneLine}
    for path in paths:
        for place, known in erasure_journal_file.read_lines(path):
            if "retention" not in known:
                continue
            kind = kinds.get(str(known["retention"]))
            if kind is None:
                raise ValueError(f"{place}: no entry of a journal: retention")
            yield erasure_journal_file.converted(place, known, kind)


def replay(database: Database, config: Config, lines: Iterable[PeriodsLine | GoneLine]) -> int:
    """Give the sites of a restored database the periods that `lines` have, remove the texts again that had been
    removed, and carry the periods out; return the number of rows that were deleted or changed. Raises UnfinishedError.
    """
    total = sum(_replay(database, line) for line in lines)
    return total + work_off(database, config)


def _replay(database: Database, line: PeriodsLine | GoneLine) -> int:
    with database.write() as tx:
        if isinstance(line, PeriodsLine):
            tx.run(
                periods.RESTORE,
                site_id=line.site,
                created=line.created,
                periods=json.dumps(line.periods),
                set_at=line.set.isoformat(),
            )
            return 0
        gone = [
            Gone(ItemRef(type, id), _EPOCH + made * _MICROSECOND, version)
            for type, id, made, version in line.gone
        ]
        batch = retention_steps.remove_again(tx, line.site, gone)
    _drop_files(database, batch.files)
    return batch.rows
