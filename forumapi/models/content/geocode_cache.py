"""Cache of geocoders' answers, a table that all processes and sites share: geocoders are slow and limit requests."""

from __future__ import annotations

from typing import Any, Final

from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.wire.json_fragments import dumps, loads

KEEP_DAYS: Final = 30

FIND = Query(
    "geocode_cache.find",
    """
    SELECT c.answer::text
      FROM geocode_cache c
     WHERE c.query = %(asked)s AND c.created > now() - make_interval(days => %(days)s::int)""",
)

STORE = Query(
    "geocode_cache.store",
    """
    INSERT INTO geocode_cache (query, answer)
    VALUES (%(asked)s, %(answer)s::jsonb)
        ON CONFLICT (query) DO UPDATE SET answer = EXCLUDED.answer, created = now()""",
)

DELETE_OLD = Query(
    "geocode_cache.delete_old",
    "DELETE FROM geocode_cache c WHERE c.created < now() - make_interval(days => %(days)s::int)",
)


def find(tx: Reader, geocoder: str, place: str) -> dict[str, Any] | None:
    """Return a geocoder's cached answer about a place, as `store` got it; {} if the geocoder knows no such place, None
    if no answer of the last KEEP_DAYS is cached. `geocoder`: its name; `place`: the text that was asked for; capitals
    and small letters make no difference.
    """
    text = tx.value(FIND, asked=_key(geocoder, place), days=KEEP_DAYS)
    return None if text is None else dict(loads(text))


def store(tx: Reader, geocoder: str, place: str, answer: dict[str, Any]) -> None:
    """Store a geocoder's answer about a place, in place of an earlier one; {} if the geocoder knows no such place.
    `geocoder` and `place` as in `find`.
    """
    tx.run(STORE, asked=_key(geocoder, place), answer=dumps(answer).decode())


def delete_old(tx: Reader) -> int:
    """Delete answers older than KEEP_DAYS days; return their number."""
    return tx.run(DELETE_OLD, days=KEEP_DAYS)


def _key(geocoder: str, place: str) -> str:
    return f"{geocoder}:{place.casefold()}"
