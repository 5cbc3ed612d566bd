"""WSGI application around one App."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from forumapi import routes
from forumapi.app import App
from forumapi.request import processor
from forumapi.request.health import Health
from forumapi.request.response import ConnectionUpgrade, StreamedBody

if TYPE_CHECKING:
    from forumapi.config import Config

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Application:
    """WSGI callable around one App. Server hooks call `start`, `stop` and `apply`."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.health = Health(app)
        self.start = app.start
        self.stop = app.stop
        self.retire = app.retire
        self.apply = app.apply
        self.close_connections = app.live.close_connections

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if self.health.is_asked(environ):
            status, headers, found = self.health.answer(environ)
            start_response(status, headers)
            return (found,)
        status, headers, body = processor.respond(self.app, environ)
        start_response(status, headers)
        return body if isinstance(body, (StreamedBody, ConnectionUpgrade)) else (body,)


def create_app(config: Config, database_url: str = "") -> Application:
    """Make the application; `database_url` overrides the configured one (embedded mode, tests)."""
    return Application(App(config, routes.ROOT, routes.SITE, database_url))
