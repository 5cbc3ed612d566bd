"""Coordinates of a place: platform 6.5, P-56."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from forumapi.command import doctor
from forumapi.config import Config
from forumapi.outbound.geocoders import Gazetteer, GeocoderError, choose
from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.fixtures import start_server

KEW = {"lat": "51.48", "lon": "-0.29", "boundingbox": ["51.4", "51.5", "-0.3", "-0.2"], "type": "x"}


class Service:
    """A geocoder on loopback; `asked` holds the queries that it got."""

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                service.asked.append(query)
                status, body = service.answer(query["q"][0])
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Stays quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/search"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, place: str) -> tuple[int, bytes]:
        """Return what the service says of a place."""
        if place == "broken":
            return 500, b"no"
        if place == "garbled":
            return 200, b"<html>"
        if place == "odd":
            return 200, b'[{"lat": 1}]'
        if place == "slow":
            time.sleep(6)
        return 200, json.dumps([KEW] if "Kew" in place else []).encode()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A geocoder."""
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def asking(
    database_url: str, service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """A client of a web process that asks the service."""
    started = start_server(
        database_url,
        tmp_path_factory.mktemp("geocode"),
        geocode_url=service.url,
        geocode_key="sesame",
    )
    client = started.api()
    yield client
    client.close()
    started.stop()


def ask(api: Api, place: str, by: Person) -> Any:
    return api.get(f"/api/v1/geocode?q={place}", by=by)


@pytest.mark.wide
@pytest.mark.slow
def test_a_service_is_asked_once_and_its_best_match_is_the_answer(
    asking: Api, service: Service, bikes: Site
) -> None:
    first = ask(asking, "Kew%20%20gardens", bikes.member)

    assert first.status == 200
    assert first.headers["content-type"] == "application/json"
    assert json.loads(first.body) == KEW
    assert service.asked[-1] == {
        "q": ["Kew gardens"],
        "format": ["json"],
        "limit": ["1"],
        "key": ["sesame"],
    }
    before = len(service.asked)
    assert json.loads(ask(asking, "kew+GARDENS", bikes.newcomer).body) == KEW
    assert json.loads(ask(asking, "nowhere", bikes.member).body) == {}
    assert json.loads(ask(asking, "nowhere", bikes.member).body) == {}
    assert len(service.asked) == before + 1


@pytest.mark.wide
@pytest.mark.sliced(1)
@pytest.mark.slow
@pytest.mark.parametrize("place", ["broken", "garbled", "odd", "slow"])
def test_a_service_that_fails_is_502_and_asked_again(
    asking: Api, service: Service, bikes: Site, place: str
) -> None:
    refused = ask(asking, place, bikes.member)

    assert refused.status == 502
    assert refused.json()["error"][0].startswith("The geocoder failed.")
    before = len(service.asked)
    if place != "slow":
        assert ask(asking, place, bikes.member).status == 502
        assert len(service.asked) == before + 1


def test_a_place_is_needed_and_somebody_who_asks(api: Api, bikes: Site) -> None:
    assert api.get("/api/v1/geocode?q=Porto", site=bikes).status == 403
    assert api.get("/api/v1/geocode", by=bikes.member).status == 400
    assert api.get("/api/v1/geocode?q=+", by=bikes.member).status == 400
    assert api.get("/api/v1/geocode?q=" + "x" * 201, by=bikes.member).status == 400


@pytest.mark.wide
@pytest.mark.slow
def test_the_embedded_mode_has_a_gazetteer(api: Api, make: Factory, bikes: Site) -> None:
    def where(place: str) -> tuple[int, int] | None:
        found = json.loads(ask(api, place, bikes.member).body)
        if not found:
            return None
        south, north, west, east = map(float, found["boundingbox"])
        lat, lon = float(found["lat"]), float(found["lon"])
        assert south < lat < north and west < lon < east
        return round(lat), round(lon)

    assert where("Porto") == (41, -9)
    assert where("North%20gate,%20PORTO") == (41, -9)
    assert where("Paris") == (49, 2)
    assert where("Paris,%20Texas") == (34, -96)
    assert where("M%C3%BCnchen") == (48, 12)
    assert where("Paris,%20Japan") is None
    assert where("Nowhere-on-Sea") is None


def test_the_settings_choose_the_geocoder() -> None:
    url = "https://nominatim.example/search"

    assert isinstance(choose(Config(environment="embedded")), Gazetteer)
    assert choose(Config(environment="prod")) is None
    assert isinstance(choose(Config(environment="prod", geocode_provider="gazetteer")), Gazetteer)
    found = choose(Config(environment="prod", geocode_url=url))
    assert found is not None and found.name == "nominatim.example"
    assert isinstance(choose(Config(geocode_url=url, geocode_provider="gazetteer")), Gazetteer)


def test_doctor_says_which_geocoder_there_is() -> None:
    url = "https://nominatim.example/search"
    own = Config(environment="prod", geocode_provider="gazetteer")
    forgotten = Config(environment="prod", geocode_provider="nominatim")

    assert doctor.geocoder(own).found == "gazetteer"
    assert doctor.geocoder(Config(environment="prod", geocode_url=url)).found == "nominatim.example"
    assert doctor.geocoder(Config(environment="prod")).found == "none: places have no coordinates"
    assert doctor.geocoder(forgotten).mend == "set geocode_url"


def test_in_production_no_service_in_our_own_network_is_asked(service: Service) -> None:
    found = choose(Config(environment="prod", geocode_url=service.url))
    assert found is not None
    before = len(service.asked)
    with pytest.raises(GeocoderError, match="not on the open internet"):
        found.find("Kew")
    assert len(service.asked) == before
