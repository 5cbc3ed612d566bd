"""Website of a real web process, a browser on it, and a visitor who speaks plain HTTP."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from selenium.webdriver import Chrome

from tests.api import Api
from tests.browser.conftest import browser, chromium
from tests.factories import Factory
from tests.fixtures import Server, running
from tests.webclient import page_checks
from tests.webclient.gallery import Stage, staged
from tests.webclient.hand import MODES, SCRIPT, WEBSITE_SECRET, Hand
from tests.webclient.visitor import Visitor

__all__ = ["browser", "chromium"]

# `make test` plays one step of so many, with script; `make test-wide` all others, in every mode.
ONE_OF = 40


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as wide what the slice of `make test` leaves out."""
    for item in items:
        mark = item.get_closest_marker("step")
        if mark is None:
            continue
        mode = getattr(item, "callspec", None)
        is_script = mode is not None and mode.params.get("hand") == SCRIPT
        if not is_script or zlib.crc32(mark.args[0].encode()) % ONE_OF:
            item.add_marker(pytest.mark.wide)


@pytest.fixture(scope="session")
def website(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A web process that shows the website beside the API."""
    folder = tmp_path_factory.mktemp("website")
    with running(
        database_url, folder, webclient="true", webclient_secret=WEBSITE_SECRET
    ) as started:
        yield started


@pytest.fixture(autouse=True)
def _attempts_of_others(request: pytest.FixtureRequest) -> None:
    """Forget the attempts to sign in that other tests made from this address within the hour."""
    if "website" in request.fixturenames:
        request.getfixturevalue("make").sql("DELETE FROM attempt_counters RETURNING 1")


@pytest.fixture
def api_there(website: Server) -> Iterator[Api]:
    """A client of the API of that process."""
    client = website.api()
    yield client
    client.close()


@pytest.fixture(params=MODES)
def hand(request: pytest.FixtureRequest, browser: Chrome, website: Server) -> Iterator[Hand]:
    """A person at the browser: without script, with script, or with script and without a mouse."""
    made = Hand(browser, website.address[1], request.param)
    yield made
    made.leave()


@pytest.fixture(scope="session")
def stage(
    make: Factory, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """A web process with a site on which every template can be seen."""
    operator = make.site().member
    folder = tmp_path_factory.mktemp("stage")
    with running(
        database_url,
        folder,
        webclient="true",
        webclient_secret=WEBSITE_SECRET,
        admin_user_ids=str(operator.user_id),
        plans="small members=500 comments_per_day=4000 sockets=500",
        default_plan="small",
    ) as started:
        api = started.api()
        with staged(make, api, operator) as made:
            yield made
        api.close()


@pytest.fixture
def window(browser: Chrome) -> Iterator[Chrome]:
    """A browser that has any look, width and language."""
    yield browser
    page_checks.leave(browser)


@pytest.fixture
def api(website: Server) -> Iterator[Api]:
    """Requests to the API of the same web process, for what happens behind a person's back."""
    client = website.api()
    yield client
    client.close()


@pytest.fixture
def picture(tmp_path: Path, picture_bytes: bytes) -> Path:
    """A picture, wheel.png."""
    made = tmp_path / "wheel.png"
    made.write_bytes(picture_bytes)
    return made


@pytest.fixture(scope="session")
def picture_bytes() -> bytes:
    """The bytes of a small PNG."""
    made = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(made, "PNG")
    return made.getvalue()


@pytest.fixture
def visitor(website: Server) -> Visitor:
    """A guest who speaks plain HTTP, of no site yet: `visitor.of(site, person)`."""
    return Visitor(website.address)
