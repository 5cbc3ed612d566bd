"""WSGI application of a web process: one App, its health endpoints, and the website beside the API."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from forumapi import routes
from forumapi.app import App
from forumapi.request import processor
from forumapi.request.health import Health
from forumapi.request.response import ConnectionUpgrade, StreamedBody
from forumapi.webclient import reserved_paths
from forumapi.webclient.session import secrets_of
from forumapi.webclient.transport import InProcess
from forumapi.webclient.website import Website

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
        self.website = self._make_website() if app.config.webclient else None

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if self.website is not None and self._is_page(environ):
            return self.website(environ, start_response)
        return self.api(environ, start_response)

    def _is_page(self, environ: dict[str, Any]) -> bool:
        """Return True for what the website answers: on `admin_listen` it answers nothing."""
        return "forumapi.private" not in environ and reserved_paths.is_page(
            environ.get("PATH_INFO", "")
        )

    def overdue(
        self, environ: dict[str, Any], start_response: StartResponse, status: int
    ) -> Iterable[bytes] | None:
        """Answer a page that took too long; None if the address is no page."""
        if self.website is None or not self._is_page(environ):
            return None
        return self.website.overdue(environ, start_response, status)

    def api(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the API alone, which has no pages but its own."""
        if self.health.is_asked(environ):
            status, headers, found = self.health.answer(environ)
            start_response(status, headers)
            return (found,)
        status, headers, body = processor.respond(self.app, environ)
        start_response(status, headers)
        return body if isinstance(body, (StreamedBody, ConnectionUpgrade)) else (body,)

    def _make_website(self) -> Website:
        config = self.app.config
        return Website(
            InProcess(self.api),
            secrets_of(config.webclient_secret, config.data_path),
            is_secure=config.scheme == "https",
            address_of=self._visitor_address,
            upload_limit=config.upload_body_limit,
            upload_timeout_s=config.upload_timeout_s,
        )

    def _visitor_address(self, environ: dict[str, Any]) -> str:
        return self.app.proxies.client_ip(environ)


def create_app(config: Config, database_url: str = "") -> Application:
    """Make the application; `database_url` overrides the configured one (embedded mode, tests)."""
    return Application(App(config, routes.ROOT, routes.SITE, database_url))
