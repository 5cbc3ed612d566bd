"""Client of this machine's web process, for operators and deployments: checks its health, and takes the machine out of
service.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from typing import Any, Final

from forumapi.config import Config


def address(listen: str) -> tuple[str, int]:
    """Return the host and port by which to connect to `listen`, an address in the form of the setting `listen`, but no
    Unix socket; one for all interfaces becomes 127.0.0.1.
    """
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    return (host if host not in ("", "0.0.0.0", "::") else "127.0.0.1"), int(port)


# Statuses of a page of a web process that works. It refuses us when we have asked it more often than it allows.
ANSWERED: Final = (200, 429)


def connect(listen: str) -> http.client.HTTPConnection:
    """Return a connection to the web process at `listen`, in the form of the setting `listen`, with a time limit of 5
    seconds; a Unix socket is opened now, TCP by the first request. Raises OSError.
    """
    if listen.startswith("unix:"):
        connection = http.client.HTTPConnection("localhost", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(5)
        connection.sock.connect(listen.removeprefix("unix:"))
        return connection
    name, port = address(listen)
    return http.client.HTTPConnection(name, port, timeout=5)


def ask(listen: str, host: str, path: str) -> tuple[int, bytes]:
    """Send one GET of `path`, for the host name `host`, to the web process at `listen`; return status and body, (0,
    b"") if there is no answer.
    """
    try:
        with contextlib.closing(connect(listen)) as connection:
            return get(connection, host, path)
    except (OSError, http.client.HTTPException):
        return 0, b""


def get(connection: http.client.HTTPConnection, host: str, path: str) -> tuple[int, bytes]:
    """Send one GET of `path`, for the host name `host`, over `connection`; return status and body. Raises OSError,
    http.client.HTTPException.
    """
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.read()


def put(config: Config, *, is_out: bool) -> None:
    """Take this machine out of service (`is_out`), by making the file that the web process looks for, or put it back,
    by deleting that. Raises OSError.
    """
    if is_out:
        config.data_path.mkdir(parents=True, exist_ok=True)
        config.out_of_service_path.touch()
    else:
        config.out_of_service_path.unlink(missing_ok=True)


def health_problem(config: Config, build: str = "", *, is_out: bool = False) -> str:
    """Return in words what is wrong with the web process at the setting `listen`; "" if it answers, is of `build` ("":
    any), answers a request for the platform's own site with 200 or 429, and is ready.

    `is_out`: the machine is out of service, so it need not be ready.
    """
    status, body = ask(config.listen, "localhost", "/api/v1/version")
    if status != 200:
        return f"{config.listen} does not answer"
    found: dict[str, Any] = json.loads(body)["data"]
    if build and found["build"] != build:
        return f"it is of build {found['build']}"
    status, _ = ask(config.listen, config.platform_domain, "/api/v1/site")
    if status not in ANSWERED:
        return f"a page is answered with {status}"
    if is_out:
        return ""
    status, body = ask(config.listen, "localhost", "/api/v1/ready")
    if status == 200:
        return ""
    return f"it is not ready: {json.loads(body)['data']['state'] if body else 'no answer'}"


def check(config: Config, build: str = "", *, is_out: bool = False, wait_s: float = 0) -> str:
    """Repeat `health_problem` until it finds nothing, for `wait_s` seconds at most, and once at least; return its last
    result, "" for a healthy process. `build`, `is_out`: as for `health_problem`.
    """
    deadline = time.monotonic() + wait_s
    while (found := health_problem(config, build, is_out=is_out)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found
