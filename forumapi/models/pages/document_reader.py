"""Reader of versioned documents: from memory of this process, else memcached by one multi-get, else PostgreSQL by one
statement a kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from forumapi.cache.document_cache import Cache, Key
from forumapi.concurrency.single_flight import SingleFlight
from forumapi.database.connections import Reader
from forumapi.errors import Unavailable
from forumapi.observability import metrics
from forumapi.wire.json_fragments import Fragment

# (id, version, document) of each row that is there.
Loaded = Iterable[tuple[int, int, Fragment]]


class Kind(NamedTuple):
    """Kind of cached document. `name` ends with the number of its shape: raise it when the document's shape changes.
    `load(documents, tx, site_id, ids)` reads documents of a site from the database by their ids: (id, version,
    document) of each that exists.
    """

    name: str
    load: Callable[[Documents, Reader, int, list[int]], Loaded]


Wanted = Mapping[Kind, Mapping[int, int]]  # kind -> id -> version


# (reader, site id, microcosm, comment id, Markdown) -> (version, HTML) of a comment that another pipeline rendered. The
# microcosm is as `text.finish` takes it.
Rerender = Callable[[Reader, int, int | None, int, str], tuple[int, str]]


class Documents:
    """Reader of cached documents. `cache`: documents in this process's memory and in memcached; `rerender`: function,
    of the type Rerender, that renders a comment again which an earlier version of the pipeline rendered (C-36).
    """

    def __init__(self, cache: Cache, rerender: Rerender) -> None:
        self.cache = cache
        self.rerender = rerender
        self._single_flight = SingleFlight()

    def fetch(self, tx: Reader, site_id: int, wanted: Wanted) -> dict[Kind, dict[int, Fragment]]:
        """Return the documents of one site, by kind and id, at the versions that `wanted` has by kind and id, or newer
        ones. Raises Unavailable if the database answers with an older version.

        A row that no longer exists has no entry. A document that was read at a newer version is cached under that
        version.
        """
        local = self.cache.memory.get
        result: dict[Kind, dict[int, Fragment]] = {}
        missing: dict[Key, tuple[Kind, int]] = {}
        for kind, versions in wanted.items():
            found = result[kind] = {}
            name = kind.name
            for id, version in versions.items():
                key = (site_id, name, id, version)
                fragment = local(key)
                if fragment is None:
                    missing[key] = (kind, id)
                else:
                    found[id] = fragment
        metrics.CACHE.add(sum(map(len, result.values())), "documents", "memory")
        if missing:
            fetched = self._single_flight.do(
                (site_id, tuple(missing)), tx, lambda: self._fetch_missing(tx, site_id, missing)
            )
            for (kind, id), fragment in fetched.items():
                result[kind][id] = fragment
        return result

    def _fetch_missing(
        self, tx: Reader, site_id: int, wanted: Mapping[Key, tuple[Kind, int]]
    ) -> dict[tuple[Kind, int], Fragment]:
        """Return, by (kind, id), the documents that memory did not have a moment ago: from memory if another request
        has fetched them since, else from memcached or the database. `wanted`: (kind, id) by the document's key in the
        caches.

        Raises Unavailable if the database has an older version than the one asked for.
        """
        local = self.cache.memory.get
        result: dict[tuple[Kind, int], Fragment] = {}
        missing: dict[Key, tuple[Kind, int]] = {}
        for key, place in wanted.items():
            fragment = local(key)
            if fragment is None:
                missing[key] = place
            else:
                result[place] = fragment
        if not missing:
            return result
        shared, trips = self.cache.get_many(missing)
        tx.cache_trips += trips
        versions = {(kind.name, id): version for (_, _, id, version), (kind, _) in missing.items()}
        for key, fragment in shared.items():
            result[missing.pop(key)] = fragment
        metrics.CACHE.add(len(shared), "documents", "memcached")
        metrics.CACHE.add(len(missing), "documents", "database")
        by_kind: dict[Kind, list[int]] = {}
        for kind, id in missing.values():
            by_kind.setdefault(kind, []).append(id)
        made: dict[Key, Fragment] = {}
        for kind, ids in by_kind.items():
            for id, version, fragment in kind.load(self, tx, site_id, ids):
                if version < versions[kind.name, id]:
                    # A synchronous standby shows a change before its primary does, and went away right after.
                    raise Unavailable("The database is not available right now")
                made[site_id, kind.name, id, version] = fragment
                result[kind, id] = fragment
        if made:
            self.cache.add_many(made)
        return result
