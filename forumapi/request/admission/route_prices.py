"""Prices of routes, from route_prices.toml: milliseconds of CPU for one request, in the worker and in PostgreSQL."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

_FILE: Final = Path(__file__).with_suffix(".toml")
_read: Final[dict[str, Any]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
# Price of a route that the file does not name: of a read, and of a write.
UNKNOWN_READ: Final = float(sum(_read["unknown"]["read"]))
UNKNOWN_WRITE: Final = float(sum(_read["unknown"]["write"]))
# Added to a call that the website makes, which is for a page that is made of its answer.
PAGE: Final = float(sum(_read["unknown"]["page"]))
PRICES: Final[dict[tuple[str, str], float]] = {
    (verb, route): float(sum(parts))
    for verb in ("GET", "POST")
    for route, parts in _read[verb].items()
}


def price(verb: str, route: str, *, is_page: bool = False) -> float:
    """Return the price in milliseconds of the method `verb` at the address template `route`; UNKNOWN_READ or
    UNKNOWN_WRITE if PRICES has none. `is_page`: the website asks, and the page that it makes of the answer is part of
    the price.
    """
    found = PRICES.get((verb, route))
    if found is None:
        found = UNKNOWN_READ if verb == "GET" else UNKNOWN_WRITE
    return found + PAGE if is_page else found
