"""Job that finishes redactions: deletes their files from the store, and their documents from the cache."""

from __future__ import annotations

from typing import Final

from forumapi import itemtypes
from forumapi.cache.document_cache import Cache
from forumapi.config import Config
from forumapi.cron import file_cleanup
from forumapi.database.connections import Transaction
from forumapi.models.content import comment_documents
from forumapi.models.trust import redaction

MOST: Final = 100


def redactions(tx: Transaction, config: Config) -> str:
    """Finish up to MOST redactions, by deleting the files of the removed texts and what caches hold of these; return a
    line for the job's log. Raises StorageError; the next run tries again, also where a memcached didn't answer.

    A file that another text links to, or that hangs on something else, stays with that.
    """
    rows = redaction.waiting(tx, MOST)
    if not rows:
        return "0 redactions"
    hashes = sorted({hash for row in rows for hash in row[4]})
    linked = file_cleanup.linked(tx, hashes)
    gone = redaction.unattached(tx, [hash for hash in hashes if hash not in linked])
    objects = file_cleanup.objects(tx, gone)
    file_cleanup.drop_unused(tx, gone)
    file_cleanup.delete_objects(tx, config, objects)
    cache = Cache(config.memcached, memory_mb=1, prefix=config.cache_prefix)
    is_forgotten = cache.delete_many(
        (site_id, name, id, version)
        for site_id, item_type, id, newest, _ in rows
        for version in range(1, newest + 1)
        for name in (comment_documents.SUMMARY.name, comment_documents.DETAIL.name)
        if item_type == itemtypes.COMMENT
    )
    settle = redaction.finish if is_forgotten else redaction.defer
    for site_id, item_type, id, _, _ in rows:
        settle(tx, site_id, item_type, id)
    return f"{len(rows)} redactions{'' if is_forgotten else ' wait for memcached'}"
