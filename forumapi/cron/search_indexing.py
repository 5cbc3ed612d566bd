"""Jobs of search: index texts that database triggers do not (of before the index, or in a changed language), and keep
the vocabulary.
"""

from __future__ import annotations

import time
from typing import Final

from forumapi.config import Config
from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query

# Texts of one run, about half a second's work, and its maximum duration. They are locked while it runs.
MOST: Final = 10_000
INDEXING_S: Final = 1.0

# Bytes of text whose words one statement learns, a fraction of a second's work, and the maximum duration of a run.
LEARNT_AT_ONCE: Final = 1_000_000
LEARNING_S: Final = 10.0

# Locked in the order in which requests lock: places, items, comments, people.
WORK: Final = Query(
    "search_indexing.work",
    """
    SELECT w.site_id, w.item_type_id
      FROM search_work w
     ORDER BY array_position('{2,6,4,3}', w.item_type_id::integer), w.site_id""",
    scope=PLATFORM,
)

FILL: Final = Query(
    "search_indexing.fill",
    "SELECT search_fill(%(site_id)s, %(kind)s::smallint, %(most)s::integer)",
)

LEARN: Final = Query(
    "search_indexing.learn",
    """
    SELECT l.looked, l.kind, l.site, l.is_last
      FROM search_learn(%(most)s::integer, %(kind)s::smallint, %(site)s::bigint) l""",
)


# Deleted texts of one run.
FORGOTTEN_AT_ONCE: Final = 5_000

FORGET: Final = Query("search_indexing.forget", "SELECT search_unlearn(%(most)s::integer)")


def search_documents(tx: Transaction, config: Config) -> str:
    """Index texts of the reindexing queue, for INDEXING_S seconds and MOST texts at most, the newest of each kind
    first; return the result in words.
    """
    ends = time.monotonic() + INDEXING_S
    done = 0
    for site_id, kind in tx.rows(WORK):
        while done < MOST and time.monotonic() < ends:
            looked = tx.value(FILL, site_id=site_id, kind=kind, most=MOST - done)
            if not looked:
                break
            done += looked
    return f"{done} texts indexed"


def search_words(tx: Transaction, config: Config) -> str:
    """Add the words of new texts to the vocabulary by which search completes and corrects words, for LEARNING_S seconds
    at most, and remove those of deleted texts, FORGOTTEN_AT_ONCE texts a run; return the result in words.
    """
    ends = time.monotonic() + LEARNING_S
    forgotten = tx.value(FORGET, most=FORGOTTEN_AT_ONCE)
    learnt, kind, site_id, is_last = 0, 0, 0, False
    while not is_last and time.monotonic() < ends:
        looked, kind, site_id, is_last = learn(tx, LEARNT_AT_ONCE, kind, site_id)
        learnt += looked
    return f"words of {learnt} texts learnt, {forgotten} words forgotten"


def learn(tx: Transaction, most: int, kind: int, site_id: int) -> tuple[int, int, int, bool]:
    """Add the words of texts, up to `most` bytes of them, to the vocabulary. `kind`, `site_id`: where the last call
    ended, as it returned them; 0, 0 for the first texts.

    Return the number of texts, the kind and site for the next call, and True if no texts are left.
    """
    (found,) = tx.rows(LEARN, most=most, kind=kind, site=site_id)
    looked, at_kind, at_site, is_last = found
    return looked, at_kind, at_site, is_last
