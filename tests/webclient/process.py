"""Process of the website alone, `forumapi webclient`, beside the process of an API."""

from __future__ import annotations

import hashlib
import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.fixtures import Server, begin_server
from tests.services import free_port

SECRET: Final = "a secret of a front end"
# Setting of the API that names the process.
FRONT_ENDS: Final = f"website sha256:{hashlib.sha256(SECRET.encode()).hexdigest()} *"


def begin_website(
    api_url: str, folder: Path, *, command: str = "webclient", **settings: str
) -> Server:
    """Start the website of the API there."""
    port = free_port()
    given = {
        "webclient_listen": f"127.0.0.1:{port}",
        "webclient_api_url": api_url,
        "webclient_front_end_secret": SECRET,
        **settings,
    }
    # It has no database, and is not to need one.
    started = begin_server("", folder, command=command, **given)
    return Server(started.process, ("127.0.0.1", port), started.log)


def ask(server: Server, path: str, host: str = "localhost") -> tuple[int, bytes]:
    """GET as a balancer does; (0, b"") without an answer."""
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def wait_for_website(server: Server) -> None:
    """Wait until it is ready."""
    deadline = time.monotonic() + 120
    while ask(server, "/api/v1/ready")[0] != 200:
        assert server.process.poll() is None, server.log.read_text()[-2000:]
        assert time.monotonic() < deadline, server.log.read_text()[-2000:]
        time.sleep(0.05)


@contextmanager
def website_of(api: Server, folder: Path, **settings: str) -> Iterator[Server]:
    """The website of an API, for as long as this lasts."""
    started = begin_website(f"http://{api.address[0]}:{api.address[1]}", folder, **settings)
    try:
        wait_for_website(started)
        yield started
    finally:
        started.stop()
