"""What search looks in and triggers don't write: texts from before, those of a changed language, and words."""

from __future__ import annotations

import time
from typing import Final

from forumapi.config import Config
from forumapi.db import Query, Transaction

# Texts of one run, about half a second's work. They can't be changed while it runs.
MOST: Final = 10_000

# Texts of one kind of one site that words are learnt from at once, and how long a run goes on while there are more.
MOST_AT_ONCE: Final = 2_000
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

LEARN: Final = Query("cron.search_learn", "SELECT search_learn(%(most)s::integer)")


def search_documents(tx: Transaction, config: Config) -> str:
    """Index what is still to be indexed, the newest of each kind first."""
    done = 0
    for site_id, kind in tx.rows(WORK):
        while done < MOST:
            looked = tx.value(FILL, site_id=site_id, kind=kind, most=MOST - done)
            if not looked:
                break
            done += looked
    return f"{done} texts indexed"


def search_words(tx: Transaction, config: Config) -> str:
    """Learn words from new texts, for completing and correcting what people type."""
    began = time.monotonic()
    learnt = 0
    while time.monotonic() < began + LEARNING_S:
        now = tx.value(LEARN, most=MOST_AT_ONCE)
        learnt += now
        if not now:
            break
    return f"words of {learnt} texts learnt"
