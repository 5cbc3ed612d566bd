"""The test client: real HTTP over a socket to a real worker; every answer is held against the API document."""

from __future__ import annotations

import http.client
import json as jsonlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests import recorded_examples, schema_check
from tests.factories import Person, Site


class Headers(Mapping[str, str]):
    """Header names in any case."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = {name.lower(): value for name, value in pairs}

    def __getitem__(self, name: str) -> str:
        return self._pairs[name.lower()]

    def __iter__(self) -> Any:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)


@dataclass(frozen=True)
class Response:
    """An answer. `data` is the payload inside the envelope, `error` its first text."""

    status: int
    headers: Headers
    body: bytes

    def json(self) -> Any:
        """The whole body."""
        return jsonlib.loads(self.body)

    @property
    def data(self) -> Any:
        """Return what stands under `data`."""
        return self.json()["data"]

    @property
    def code(self) -> int:
        """The error code of an error's detail object."""
        return int(self.data["errorCode"])

    @property
    def error(self) -> str:
        """The first error text."""
        return str(self.json()["error"][0])

    @property
    def location(self) -> str:
        """The Location header."""
        return self.headers["Location"]

    @property
    def statements(self) -> int:
        """Return how many statements the request sent to PostgreSQL."""
        return int(self.headers["Server-Timing"].split("db;desc=")[1].split(",")[0])

    @property
    def cache_trips(self) -> int:
        """Return how many round trips the request made to memcached."""
        return int(self.headers["Server-Timing"].split("cache;desc=")[1])


class Api:
    """Requests to one server. `by` is who asks: a Person with a token, or None for a guest."""

    def __init__(self, address: tuple[str, int], platform_domain: str) -> None:
        self.address = address
        self.platform_domain = platform_domain
        self.checks_schema = True
        self._connection: http.client.HTTPConnection | None = None

    @property
    def base_url(self) -> str:
        """The server's address, without host name games."""
        return f"http://{self.address[0]}:{self.address[1]}"

    def request(
        self,
        method: str,
        path: str,
        *,
        site: Site | None = None,
        host: str = "",
        by: Person | None = None,
        token: str | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """One request on `site`'s host (or on that of `by`'s site, or on `host`)."""
        if not host:
            where = site or (by.site if by else None)
            host = where.host if where else self.platform_domain
        sent = {"Host": host, **(headers or {})}
        secret = token if token is not None else (by.token if by else None)
        if secret:
            sent["Authorization"] = f"Bearer {secret}"
        if json is not None:
            body = jsonlib.dumps(json).encode()
            sent.setdefault("Content-Type", "application/json")
        elif form is not None:
            body = urlencode(form).encode()
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        response = self._exchange(method, path, body, sent)
        if self.checks_schema:
            schema_check.check(response, method, path, headers=sent)
            if recorded_examples.FOLDER:
                recorded_examples.record(method, path, sent, body, response)
        return response

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Response:
        for attempt in (1, 2):
            connection = self._connection or http.client.HTTPConnection(*self.address, timeout=30)
            self._connection = connection
            try:
                connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
                for name, value in headers.items():
                    connection.putheader(name, value)
                if body is not None or method in ("POST", "PUT", "PATCH"):
                    connection.putheader("Content-Length", str(len(body or b"")))
                connection.endheaders(body)
                answer = connection.getresponse()
                return Response(answer.status, Headers(answer.getheaders()), answer.read())
            except (http.client.BadStatusLine, ConnectionError):
                # A kept-alive connection that the server has closed meanwhile; a new one is asked once.
                self.close()
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, path: str, **how: Any) -> Response:
        """GET."""
        return self.request("GET", path, **how)

    def post(self, path: str, json: Any = None, **how: Any) -> Response:
        """POST; `json` is the body."""
        return self.request("POST", path, json=json, **how)

    def put(self, path: str, json: Any = None, **how: Any) -> Response:
        """PUT; `json` is the body."""
        return self.request("PUT", path, json=json, **how)

    def patch(self, path: str, *flags: tuple[str, bool], **how: Any) -> Response:
        """PATCH flags: `("open", False)` or a whole path."""
        operations = [
            {
                "op": "replace",
                "path": name if name.startswith("/") else f"/meta/flags/{name}",
                "value": value,
            }
            for name, value in flags
        ]
        return self.request("PATCH", path, json=operations, **how)

    def delete(self, path: str, **how: Any) -> Response:
        """DELETE."""
        return self.request("DELETE", path, **how)

    def follow(self, response: Response, **how: Any) -> Response:
        """GET where a redirect leads."""
        assert response.status in (302, 307), (response.status, response.body[:300])
        return self.get(response.location, **how)
