"""What geocoders answered, kept for all processes and sites: they are slow, and count what they are asked."""

from __future__ import annotations

from typing import Any, Final

from forumapi.database.connections import Query, Reader
from forumapi.wire.json_fragments import dumps, loads

KEEP_DAYS: Final = 30

FIND = Query(
    "geocode.find",
    """
    SELECT c.answer::text
      FROM geocode_cache c
     WHERE c.query = %(asked)s AND c.created > now() - make_interval(days => %(days)s::int)""",
)

KEEP = Query(
    "geocode.keep",
    """
    INSERT INTO geocode_cache (query, answer)
    VALUES (%(asked)s, %(answer)s::jsonb)
        ON CONFLICT (query) DO UPDATE SET answer = EXCLUDED.answer, created = now()""",
)

FORGET = Query(
    "geocode.forget",
    "DELETE FROM geocode_cache c WHERE c.created < now() - make_interval(days => %(days)s::int)",
)


def known(tx: Reader, geocoder: str, place: str) -> dict[str, Any] | None:
    """What the geocoder said of a place lately; {} if it knows none, None if it was not asked."""
    text = tx.value(FIND, asked=_key(geocoder, place), days=KEEP_DAYS)
    return None if text is None else dict(loads(text))


def keep(tx: Reader, geocoder: str, place: str, answer: dict[str, Any]) -> None:
    """Remember an answer."""
    tx.run(KEEP, asked=_key(geocoder, place), answer=dumps(answer).decode())


def forget_old(tx: Reader) -> int:
    """Delete what is too old to be used; how many."""
    return tx.run(FORGET, days=KEEP_DAYS)


def _key(geocoder: str, place: str) -> str:
    return f"{geocoder}:{place.casefold()}"
