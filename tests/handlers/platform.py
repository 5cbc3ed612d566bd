"""The whole application over WSGI, on a real database: what tests of sites and hosts ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from werkzeug.test import Client

from forumapi.config import Config
from forumapi.wsgi import Application, create_app
from tests.api import Api, Headers, Response
from tests.factories import Factory, Site

DOMAIN = "forum.example"


class WsgiApi(Api):
    """The test client without a socket: the Host header may be anything."""

    def __init__(self, application: Application) -> None:
        super().__init__(("", 0), DOMAIN)
        self.application = application
        self._client = Client(application)

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Response:
        answer = self._client.open(
            path, method=method, headers=dict(headers), data=body, buffered=True
        )
        return Response(answer.status_code, Headers(list(answer.headers)), answer.data)


class Platform:
    """One application: `api` asks it, `make` makes situations. `settings` are those of Config."""

    domain = DOMAIN

    def __init__(self, database_url: str, **settings: Any) -> None:
        chosen: dict[str, Any] = {
            "environment": "development",
            "platform_domain": DOMAIN,
            "webclient": False,
            "site_poll_ms": 100,
            "rate_limit_token_per_minute": 0,
            "rate_limit_address_per_minute": 0,
            "crawl_budget_per_minute": 0,
            "access_log": False,
            "server_timing_header": True,
        }
        self.config = Config(**(chosen | settings))
        self.database_url = database_url
        self.application = create_app(self.config, database_url)
        self.app = self.application.app
        self.api = WsgiApi(self.application)
        self.make = Factory(self.app.database, DOMAIN)

    def sql(self, statement: str, **params: Any) -> list[tuple[Any, ...]]:
        """Rows of any statement, committed."""
        return self.make.sql(statement, **params)

    def path(self, site: Site) -> str:
        """The site's address on the root host."""
        return f"/api/v1/sites/{site.id}"


def eventually(true: Callable[[], bool], within_s: float = 1.0) -> bool:
    """Return whether it comes true within that time."""
    until = time.monotonic() + within_s
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(scope="module")
def platform(platform_database: str) -> Iterator[Platform]:
    """A started application on the root host and all site hosts of forum.example; each test makes sites of its own."""
    made = Platform(platform_database)
    made.application.start()
    yield made
    made.application.stop()
