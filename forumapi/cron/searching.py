"""What search looks in and triggers don't write: texts from before, those of a changed language, and words."""

from __future__ import annotations

import time
from typing import Final

from forumapi.config import Config
from forumapi.database.connections import Query, Transaction

# Texts of one run, about half a second's work, and how long it goes on where they are long. They can't be changed while
# it runs.
MOST: Final = 10_000
INDEXING_S: Final = 1.0

# Bytes of text that one statement learns words from, a fraction of a second's work, and how long a run goes on while
# there are more.
LEARNT_AT_ONCE: Final = 1_000_000
LEARNING_S: Final = 10.0

# Locked in the order in which requests lock: places, items, comments, people.
WORK: Final = Query(
    "cron.search_work",
    """
    SELECT w.site_id, w.item_type_id
      FROM search_work w
     ORDER BY array_position('{2,6,4,3}', w.item_type_id::integer), w.site_id""",
)

FILL: Final = Query(
    "cron.search_fill",
    "SELECT search_fill(%(site_id)s, %(kind)s::smallint, %(most)s::integer)",
)

LEARN: Final = Query(
    "cron.search_learn",
    """
    SELECT l.looked, l.kind, l.site, l.is_last
      FROM search_learn(%(most)s::integer, %(kind)s::smallint, %(site)s::bigint) l""",
)


# Texts that are gone, of one run.
FORGOTTEN_AT_ONCE: Final = 5_000

FORGET: Final = Query("cron.search_forget", "SELECT search_unlearn(%(most)s::integer)")


def search_documents(tx: Transaction, config: Config) -> str:
    """Index what is still to be indexed, the newest of each kind first."""
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
    """Learn words from new texts, for completing and correcting what people type, and forget those of texts gone."""
    ends = time.monotonic() + LEARNING_S
    forgotten = tx.value(FORGET, most=FORGOTTEN_AT_ONCE)
    learnt, kind, site_id, is_last = 0, 0, 0, False
    while not is_last and time.monotonic() < ends:
        looked, kind, site_id, is_last = learn(tx, LEARNT_AT_ONCE, kind, site_id)
        learnt += looked
    return f"words of {learnt} texts learnt, {forgotten} words forgotten"


def learn(tx: Transaction, most: int, kind: int, site_id: int) -> tuple[int, int, int, bool]:
    """Learn from up to `most` bytes behind a kind of texts of a site (0, 0: from the start).

    How many texts were looked at, behind which kind and site to go on, and whether there is no more to do.
    """
    (found,) = tx.rows(LEARN, most=most, kind=kind, site=site_id)
    looked, at_kind, at_site, is_last = found
    return looked, at_kind, at_site, is_last
