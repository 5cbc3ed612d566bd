"""A headless Chromium, which finds every host of the tests on loopback, and a client's own site for it to go to."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests import services

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-software-rasterizer",
    "--process-per-site",
    "--renderer-process-limit=1",
    "--disable-site-isolation-trials",
    "--disable-extensions",
    "--mute-audio",
    # Tests have no TLS, and nobody to ask about names.
    "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,SpareRendererForSitePerProcess,BackForwardCache,IsolateOrigins,site-per-process,Translate,OptimizationHints,MediaRouter",
    "--host-resolver-rules=MAP *.forum.test 127.0.0.1, MAP forum.test 127.0.0.1",
    "--no-proxy-server",
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One browser for all tests of the process, in English, with a new profile."""
    programs = services.chromium_programs()
    if programs is None:
        pytest.skip("Chromium and its driver are not installed (`scripts/testdb prepare`)")
    options = ChromeOptions()
    options.binary_location = programs.browser
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}", "--lang=en"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    env = {**os.environ, "HOME": str(tmp_path_factory.mktemp("home"))}
    driver = Chrome(options=options, service=Service(programs.driver, env=env))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: Chrome) -> Chrome:
    """The browser with nothing left of other tests."""
    chromium.get("about:blank")
    chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})
    chromium.get_log("browser")
    return chromium


class Callback(ThreadingHTTPServer):
    """The client's site: it keeps where people came back to, and can show a page of its own."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Visit)
        self.page = "<h1>Back at the client</h1>"
        self.visits: list[dict[str, str]] = []

    @property
    def address(self) -> str:
        """Return where it is."""
        return f"http://127.0.0.1:{self.server_port}/back"


class _Visit(BaseHTTPRequestHandler):
    server: Callback

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if query:
            self.server.visits.append({name: values[0] for name, values in query.items()})
        body = f"<!doctype html><title>Client</title>{self.server.page}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Tests say what happens."""


@pytest.fixture
def callback() -> Iterator[Callback]:
    """A client's site on loopback."""
    server = Callback()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
