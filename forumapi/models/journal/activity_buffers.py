"""Buffers in memory of views, clicks on short links, last activity of profiles and last use of tokens, written to the
database in batches; a crash loses them.
"""

from __future__ import annotations

import threading
import time
from itertools import islice
from typing import Final, TypeVar

import psycopg

from forumapi.database.connections import Database
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import ApiError
from forumapi.observability.log import logger

K = TypeVar("K")
V = TypeVar("V")

ADD_VIEWS = Query(
    "activity_buffers.views",
    """
    INSERT INTO item_views (site_id, item_id, views)
    SELECT v.site_id, v.item_id, v.views
      FROM unnest(%(sites)s::bigint[], %(items)s::bigint[], %(views)s::bigint[]) AS v (site_id, item_id, views)
     WHERE EXISTS (SELECT 1 FROM items i WHERE i.site_id = v.site_id AND i.item_id = v.item_id)
     ORDER BY v.site_id, v.item_id
        ON CONFLICT (site_id, item_id) DO UPDATE SET views = item_views.views + EXCLUDED.views""",
)

TOUCH = Query(
    "activity_buffers.touch",
    """
    WITH seen AS (
        SELECT n.site_id, n.profile_id, s.seconds
          FROM unnest(%(sites)s::bigint[], %(profiles)s::bigint[], %(seconds)s::float8[])
               AS s (site_id, profile_id, seconds)
          JOIN profile_counters n ON n.site_id = s.site_id AND n.profile_id = s.profile_id
         ORDER BY n.site_id, n.profile_id
           FOR NO KEY UPDATE OF n)
    UPDATE profile_counters n
       SET last_active = greatest(n.last_active, to_timestamp(seen.seconds))
      FROM seen
     WHERE n.site_id = seen.site_id AND n.profile_id = seen.profile_id""",
)

USED = Query(
    "activity_buffers.used",
    """
    WITH seen AS (
        SELECT t.token_id, s.seconds, nullif(s.ip, '')::inet AS ip
          FROM unnest(%(tokens)s::bigint[], %(seconds)s::float8[], %(ips)s::text[]) AS s (token_id, seconds, ip)
          JOIN access_tokens t ON t.token_id = s.token_id
         ORDER BY t.token_id
           FOR NO KEY UPDATE OF t)
    UPDATE access_tokens t
       SET last_used = greatest(t.last_used, to_timestamp(seen.seconds)), last_ip = seen.ip
      FROM seen
     WHERE t.token_id = seen.token_id""",
    scope=PLATFORM,
)

ADD_HITS = Query(
    "activity_buffers.hits",
    """
    INSERT INTO link_hits (link_id, hits)
    SELECT h.link_id, h.hits
      FROM unnest(%(links)s::bigint[], %(hits)s::bigint[]) AS h (link_id, hits)
     ORDER BY h.link_id
        ON CONFLICT (link_id) DO UPDATE SET hits = link_hits.hits + EXCLUDED.hits""",
)


class Activity:
    """Buffers of one process for views of items, clicks on short links, activity of profiles and use of tokens, written
    together by its own thread.

    `flush_s`: seconds between two writes of the buffers.
    """

    ACTIVE_EVERY_S: Final = 60.0  # lastActive moves at most this often (platform 3.7)
    # So many things are remembered or wait of each kind, some 100 bytes each. Beyond, while the database is away, views
    # and activity of others are not counted.
    MOST: Final = 20_000

    def __init__(self, database: Database, *, flush_s: float = 2.0) -> None:
        self._database = database
        self._flush_s = flush_s
        self._views: dict[tuple[int, int], int] = {}
        self._hits: dict[int, int] = {}
        self._active: dict[tuple[int, int], float] = {}
        self._noted: dict[tuple[int, int], float] = {}
        self._used: dict[int, tuple[float, str]] = {}
        self._used_noted: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def viewed(self, site_id: int, item_id: int) -> None:
        """Count one view of a conversation, event or poll in memory; if views of MOST other items wait to be written,
        the view is not counted.
        """
        self._add(self._views, (site_id, item_id), 1)

    def followed(self, link_id: int) -> None:
        """Count one click on a short link in memory; if clicks on MOST other links wait to be written, the click is not
        counted.
        """
        self._add(self._hits, link_id, 1)

    def _add(self, counts: dict[K, int], key: K, by: int) -> None:
        if key in counts or len(counts) < self.MOST:
            counts[key] = counts.get(key, 0) + by

    def active(self, site_id: int, profile_id: int) -> None:
        """Record in memory that a profile is active now; nothing within ACTIVE_EVERY_S seconds after the last record of
        the profile.
        """
        now = time.time()
        key = (site_id, profile_id)
        if now - self._noted.get(key, 0.0) >= self.ACTIVE_EVERY_S:
            if len(self._noted) >= self.MOST:
                self._noted.clear()
            self._noted[key] = self._active[key] = now

    def used(self, token_id: int, ip: str) -> None:
        """Record in memory that a token is used now, from the client address `ip`; nothing within ACTIVE_EVERY_S
        seconds after the last record of the token.
        """
        now = time.time()
        if now - self._used_noted.get(token_id, 0.0) >= self.ACTIVE_EVERY_S:
            if len(self._used_noted) >= self.MOST:
                self._used_noted.clear()
            self._used_noted[token_id] = now
            self._used[token_id] = (now, ip)

    def start(self) -> None:
        """Start the thread that writes the buffers, until `stop`; nothing if it runs already."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="activity", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Have the thread end, without waiting for it, and write the buffers."""
        self._stop.set()
        self._thread = None
        self.flush()

    def _run(self) -> None:
        while not self._stop.wait(self._flush_s):
            self.flush()

    def flush(self) -> None:
        """Write the buffers to the database in one transaction of its own. A failure is only logged, and what was not
        written is kept for the next time, as far as there is room.
        """
        views, self._views = self._views, {}
        active, self._active = self._active, {}
        hits, self._hits = self._hits, {}
        used, self._used = self._used, {}
        if not (views or active or hits or used):
            return
        try:
            with self._database.write() as tx:
                if views:
                    keys = sorted(views)
                    tx.run(
                        ADD_VIEWS,
                        sites=[key[0] for key in keys],
                        items=[key[1] for key in keys],
                        views=[views[key] for key in keys],
                    )
                if active:
                    keys = sorted(active)
                    tx.run(
                        TOUCH,
                        sites=[key[0] for key in keys],
                        profiles=[key[1] for key in keys],
                        seconds=[active[key] for key in keys],
                    )
                if used:
                    tokens = sorted(used)
                    tx.run(
                        USED,
                        tokens=tokens,
                        seconds=[used[token][0] for token in tokens],
                        ips=[used[token][1] for token in tokens],
                    )
                if hits:
                    links = sorted(hits)
                    tx.run(ADD_HITS, links=links, hits=[hits[link] for link in links])
        except (ApiError, OSError, psycopg.Error) as error:
            logger.warning("views and activity were not written, will try again: %s", error)
            for key, count in views.items():
                self._add(self._views, key, count)
            for link, count in hits.items():
                self._add(self._hits, link, count)
            self._active = self._some({**active, **self._active})
            self._used = self._some({**used, **self._used})

    def _some(self, entries: dict[K, V]) -> dict[K, V]:
        """Return the last MOST entries of a buffer, which are the newest; all of them if there are fewer."""
        beyond = max(0, len(entries) - self.MOST)
        return dict(islice(entries.items(), beyond, None))
