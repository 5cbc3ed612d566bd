"""A headless Chromium, which finds every host of the tests on loopback, and a client's own site for it to go to."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from forumapi.concurrency.end_with_parent import end_with_parent
from tests import services

FLAGS = (
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
    "--remote-debugging-port=0",
    "--lang=en",
)


class Browser(Chrome):
    """A driver that has a whole page when it has opened one: ChromeDriver itself comes back now and then while the page
    is still read, before its style sheets are there.
    """

    def get(self, url: str) -> None:
        """Open an address."""
        super().get(url)
        self._wait()

    def refresh(self) -> None:
        """Open the present address again."""
        super().refresh()
        self._wait()

    def _wait(self) -> None:
        services.wait_until(
            lambda: self.execute_script("return document.readyState") == "complete",
            "the page is not complete",
        )


@contextmanager
def driven(folders: pytest.TempPathFactory, *, is_whole: bool = False) -> Iterator[Chrome]:
    """A browser in English, with a new profile. `is_whole`: one that can notify, for twice the CPU."""
    programs = services.chromium_programs()
    if programs is None:
        pytest.skip("Chromium and its driver are not installed (`scripts/testdb prepare`)")
    profile = folders.mktemp("chromium")
    env = {**os.environ, "HOME": str(folders.mktemp("home"))}
    command = [programs.whole, "--headless"] if is_whole else [programs.headless]
    # The driver drives a headless shell that runs, but can't start one.
    process = subprocess.Popen(
        [*command, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=end_with_parent,  # noqa: PLW1509
    )
    port = profile / "DevToolsActivePort"
    services.wait_until(lambda: port.exists() and port.read_text() != "", "Chromium did not start")
    options = ChromeOptions()
    options.debugger_address = f"127.0.0.1:{port.read_text().split()[0]}"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Browser(options=options, service=Service(programs.driver, env=env))
    try:
        yield driver
    finally:
        driver.quit()
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One browser for all tests of the process."""
    with driven(tmp_path_factory) as driver:
        yield driver


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
