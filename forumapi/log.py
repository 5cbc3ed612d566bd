"""What the processes say: one logger, one line an event, one structured line a request (platform 7.2).

No token, no query string and no whole address is ever written: ids in a path become `{id}`, of an address the last two
groups stay.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from functools import lru_cache
from pathlib import Path
from typing import Final

logger: Final = logging.getLogger("forumapi")

# Whatever is no plain lower-case word may be an id, a hash, a name or a token; words longer than any of ours too.
_OPAQUE: Final = re.compile(r"/(?!v1(?:/|$)|openapi\.json$)(?:[^/]*[^a-z0/][^/]*|[a-z]{21,})")

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def set_level(level: str) -> None:
    """`level` is debug, info, warning or error."""
    logger.setLevel(_LEVELS[level])


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03dZ %(levelname)s %(process)d %(message)s", "%Y-%m-%dT%H:%M:%S"
        )
        self.converter = time.gmtime


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "pid": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class Output:
    """Where the lines of this process go. One write call a line, so that the lines of several processes don't mix."""

    def __init__(self, target: str = "stderr") -> None:
        self._target = target
        self._fd = self._open()

    def _open(self) -> int:
        if self._target == "stderr":
            return 2
        path = Path(self._target)
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def reopen(self) -> None:
        """Open the file again, after something else renamed it."""
        if self._fd != 2:
            old, self._fd = self._fd, self._open()
            os.close(old)

    def write(self, line: str) -> None:
        """Write one line; a full disk or a closed pipe costs the line, never the request."""
        try:
            os.write(self._fd, (line + "\n").encode("utf-8", "backslashreplace"))
        except OSError:
            pass


class _Handler(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.write(self.format(record))


def configure(
    *, level: str = "info", form: str = "text", target: str = "stderr", access: bool = False
) -> Output:
    """Send this process's log to `target` (stderr or a file) as lines of text or json; called once, at the start.

    With `access`, `requests` gives where their lines go.
    """
    global _requests, _output
    output = _output = Output(target)
    _requests = AccessLog(output, form=form) if access else None
    handler = _Handler(output)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logger.handlers[:] = [handler]
    logger.propagate = False
    set_level(level)
    return output


@lru_cache(4096)
def path_template(path: str) -> str:
    """The path with whatever may be an id or a secret replaced: `/api/v1/comments/{id}`. Never holds odd characters."""
    return _OPAQUE.sub("/{id}", path)


def short_address(ip: str) -> str:
    """The last two groups of an address (platform 7.2): `..3.4`."""
    separator = ":" if ":" in ip else "."
    return ".." + separator.join(ip.split(separator)[-2:]) if ip else "-"


class AccessLog:
    """One line a request: method, path template, status, bytes, milliseconds, who, and what went wrong."""

    def __init__(self, output: Output, *, form: str = "text") -> None:
        self._output = output
        self._is_json = form == "json"
        self._second = 0
        self._stamp = ""

    def write(
        self,
        method: str,
        path: str,
        status: int,
        size: int,
        seconds: float,
        *,
        site_id: int = 0,
        user_id: int = 0,
        profile_id: int = 0,
        ip: str = "",
        request_id: str = "",
        error: str = "",
    ) -> None:
        """`path` is the raw one, without query; `size` counts the body's bytes; `error` is what the client was told."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        stamp = f"{self._stamp}.{int((now - second) * 1000):03d}Z"
        if self._is_json:
            line = {
                "time": stamp,
                "level": "access",
                "pid": os.getpid(),
                "method": method,
                "path": path_template(path),
                "status": status,
                "bytes": size,
                "ms": round(seconds * 1000, 1),
                "site": site_id,
                "user": user_id,
                "profile": profile_id,
                "ip": short_address(ip),
                "request": request_id,
                "error": error,
            }
            self._output.write(json.dumps(line, ensure_ascii=False))
            return
        who = f"site={site_id} user={user_id} profile={profile_id} ip={short_address(ip)}"
        said = f" error={json.dumps(error)}" if error else ""
        self._output.write(
            f"{stamp} ACCESS {os.getpid()} {method} {path_template(path)} {status} {size}B"
            f" {seconds * 1000:.1f}ms {who} request={request_id or '-'}{said}"
        )


_requests: AccessLog | None = None
_output: Output | None = None


def requests() -> AccessLog | None:
    """Where the lines of requests go; None when `configure` was not asked for them."""
    return _requests


def reopen() -> None:
    """Open this process's log file again, after something else renamed it."""
    if _output is not None:
        _output.reopen()
