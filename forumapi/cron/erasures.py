"""Erasing of profiles and accounts whose time has come, and the journal by which a restored backup erases them again.

A line of the journal (erasure_journal_file.py) is synced to disk before the first batch of its erasure.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from forumapi.cache.document_cache import Cache
from forumapi.config import Config
from forumapi.cron import erasure_journal_file, file_cleanup
from forumapi.database.connections import Database, Transaction
from forumapi.database.query import Query
from forumapi.models.content import comment_documents
from forumapi.models.people import profile_summary
from forumapi.models.privacy import erasure_steps
from forumapi.models.privacy.erasure_steps import Erasing

# How long one run works; the next one, a minute later, goes on.
WORKING_S: Final = 20.0

# Documents by what `Erasing.stale` calls them.
_KINDS: Final = {
    "comment": (comment_documents.SUMMARY.name, comment_documents.DETAIL.name),
    "profile": (profile_summary.SUMMARY.name,),
}

REPLAY_PROFILE = Query(
    "erasures.replay_profile",
    """
    INSERT INTO erasures AS e (site_id, profile_id, words, state, due, is_journaled)
    SELECT p.site_id, p.profile_id, %(words)s, 'running', now(), true
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s AND p.created = %(created)s::timestamptz
        ON CONFLICT (site_id, profile_id) DO UPDATE
       SET state = 'running', words = EXCLUDED.words, is_journaled = true
     WHERE e.state <> 'done'""",
)
REPLAY_ACCOUNT = Query(
    "erasures.replay_account",
    """
    INSERT INTO account_erasures AS e (user_id, words, state, due, is_journaled)
    SELECT u.user_id, %(words)s, 'running', now(), true
      FROM users u
     WHERE u.user_id = %(user_id)s AND u.created = %(created)s::timestamptz
       AND u.email NOT LIKE 'erased-user-%%@erased.invalid'
        ON CONFLICT (user_id) DO UPDATE SET state = 'running', words = EXCLUDED.words, is_journaled = true""",
)


class JournalEntry(NamedTuple):
    """Line of the journal of erasures. `site_id` 0: `id` is a user's, else a profile's; `created`: when that user or
    profile was made, aware.

    `words`: the person's choice about their texts, keep or remove.
    """

    site_id: int
    id: int
    created: datetime.datetime
    words: str

    @property
    def line(self) -> str:
        """Return the entry as a line of JSON, without a newline."""
        return json.dumps(
            {
                "site": self.site_id,
                "id": self.id,
                "created": self.created.isoformat(),
                "words": self.words,
            }
        )


def erasures(tx: Transaction, config: Config) -> str:
    """Erase the profiles and accounts whose time has come, working for WORKING_S seconds at most, in transactions of
    its own and not in `tx`; return the result in words.
    """
    with closing(Database(config.direct_url, size=1, prepare=False, timeout_ms=60_000)) as database:
        done = work_off(database, config, until=time.monotonic() + WORKING_S)
    return f"{done} profiles erased"


def work_off(database: Database, config: Config, *, until: float | None = None) -> int:
    """Erase profiles and accounts that are due, until none is left or the monotonic clock reaches `until` (None: no
    limit); return the number of profiles that are finished. Each batch is a transaction of its own; an erasure is in
    the journal before its first batch.
    """
    done = 0
    cache = Cache(config.memcached, memory_mb=1, prefix=config.cache_prefix)
    while until is None or time.monotonic() < until:
        with database.write() as tx:
            began = erasure_steps.begin(tx)
        with database.write() as tx:
            _note(tx, config.erasure_journal_path)
        with database.write() as tx:
            moved = erasure_steps.advance_account(tx)
        with database.write() as tx:
            _note(tx, config.erasure_journal_path)
        work = _advance(database, config, cache)
        if work is not None:
            done += work.is_done
        elif not began and not moved:
            break
    return done


def _advance(database: Database, config: Config, cache: Cache) -> Erasing | None:
    with database.write() as tx:
        work = erasure_steps.lock(tx)
        if work is None:
            return None
        erasure_steps.advance(tx, work)
        if work.uploads:
            work.objects += _drop_uploads(tx, work)
    if work.objects:
        with database.write() as tx:
            file_cleanup.delete_objects(tx, config, work.objects)
    cache.delete_many(
        (work.site_id, name, id, version)
        for part, id, newest in work.stale
        for version in range(1, newest + 1)
        for name in _KINDS[part]
    )
    return work


def _drop_uploads(tx: Transaction, work: Erasing) -> list[str]:
    """Take from the profile that is erased those of the uploads in `work` that no text links to, and delete the rows of
    files that nobody else has; return the names of these files' objects in the store, in any order. The objects are
    left to the caller.
    """
    linked = file_cleanup.linked(tx, work.uploads)
    free = [hash for hash in work.uploads if hash not in linked]
    tx.run(erasure_steps.GIVE_BACK, hashes=free, **work.where)
    unheld = erasure_steps.lock_unheld(tx, free)
    objects = file_cleanup.objects(tx, unheld)
    file_cleanup.drop_unused(tx, unheld)
    return objects


# ---------------------------------------------------------------- the journal


def _note(tx: Transaction, path: Path) -> None:
    """Append the erasures that have begun and are not in the journal to the file at `path`, sync it, and mark them as
    written.
    """
    entries = [JournalEntry(*row) for row in tx.rows(erasure_steps.UNJOURNALED)]
    erasure_journal_file.append(path, [entry.line for entry in entries])
    for entry in entries:
        if entry.site_id:
            tx.run(erasure_steps.JOURNALED_PROFILE, site_id=entry.site_id, profile_id=entry.id)
        else:
            tx.run(erasure_steps.JOURNALED_ACCOUNT, user_id=entry.id)


class _Line(msgspec.Struct):
    """Line of an erasure, as JSON has it; the keys are those of JournalEntry, `site` is its `site_id`."""

    site: Annotated[int, msgspec.Meta(ge=0, le=erasure_journal_file.MAX_ID)]
    id: Annotated[int, msgspec.Meta(ge=1, le=erasure_journal_file.MAX_ID)]
    created: Annotated[datetime.datetime, msgspec.Meta(tz=True)]
    words: Literal["keep", "remove"]


def read_journal(paths: Iterable[Path]) -> Iterator[JournalEntry]:
    """Yield the entries of the journals at `paths` in order, equal ones once, without the lines about retention periods
    (cron/retention.py) and whole sites (cron/site_deletions.py).

    Raises OSError, and ValueError for a line that is no entry.
    """
    seen = set()
    for path in paths:
        for place, known in erasure_journal_file.read_lines(path):
            if "retention" in known or "deletion" in known:
                continue
            line = erasure_journal_file.converted(place, known, _Line)
            entry = JournalEntry(line.site, line.id, line.created, line.words)
            if entry not in seen:
                seen.add(entry)
                yield entry


def replay(database: Database, config: Config, entries: Iterable[JournalEntry]) -> int:
    """Erase again those of `entries` whose profile or user a restored database has, with all else that is due there;
    return the number of profiles that are finished.

    A row with the same id that was made at another time is another person's and stays.
    """
    for entry in entries:
        with database.write() as tx:
            if entry.site_id:
                tx.run(
                    REPLAY_PROFILE,
                    site_id=entry.site_id,
                    profile_id=entry.id,
                    created=entry.created,
                    words=entry.words,
                )
            else:
                tx.run(REPLAY_ACCOUNT, user_id=entry.id, created=entry.created, words=entry.words)
    return work_off(database, config)
