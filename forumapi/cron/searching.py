"""What search looks in and triggers have not written: texts from before, and those of a site with another language."""

from __future__ import annotations

from typing import Final

from forumapi.config import Config
from forumapi.db import Query, Transaction

# Texts of one run, about a second's work. They can't be changed while it runs.
MOST: Final = 20_000

WORK: Final = Query(
    "cron.search_work",
    "SELECT w.site_id, w.item_type_id FROM search_work w ORDER BY w.item_type_id, w.site_id",
)

FILL: Final = Query(
    "cron.search_fill",
    "SELECT search_fill(%(site_id)s, %(kind)s::smallint, %(most)s::integer)",
)


def search_documents(tx: Transaction, config: Config) -> str:
    """Index what is still to be indexed, the newest of each kind first; places and people before texts."""
    done = 0
    for site_id, kind in tx.rows(WORK):
        while done < MOST:
            looked = tx.value(FILL, site_id=site_id, kind=kind, most=MOST - done)
            if not looked:
                break
            done += looked
    return f"{done} texts indexed"
