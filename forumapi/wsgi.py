"""WSGI application of a web process: the API (one App), its health endpoints and, if it is switched on, the website."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from forumapi import routes
from forumapi.app import App
from forumapi.request import processor
from forumapi.request.handler_results import ConnectionUpgrade, StreamedBody
from forumapi.request.health import Health
from forumapi.webclient import paths_left_to_api

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.webclient.website import Website

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Application:
    """WSGI callable of a web process: gives pages to the website, everything else to the health endpoints or the API.

    The server's worker calls `start`, `apply` at a reload, `retire` and `stop`, which are those of `app`, and
    `close_connections`, which is that of its live events.
    """

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
        """Return True if the website answers this request: if the address is a page of the website, and the request did
        not come in on the operators' address, the setting `admin_listen`.
        """
        return "forumapi.private" not in environ and paths_left_to_api.is_page(
            environ.get("PATH_INFO", "")
        )

    def overdue(
        self, environ: dict[str, Any], start_response: StartResponse, status: int
    ) -> Iterable[bytes] | None:
        """Answer a request whose time limit is over: with a page of the website, of the HTTP status `status`; return
        the page's body, as a WSGI application does. Return None, and answer nothing, if the address is no page of the
        website, or if there is no website.
        """
        if self.website is None or not self._is_page(environ):
            return None
        return self.website.overdue(environ, start_response, status)

    def api(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer any request as the API or a health endpoint, never as the website, and return the body as a WSGI
        application does; the website itself calls this for its requests.
        """
        if self.health.is_asked(environ):
            status, headers, found = self.health.answer(environ)
            start_response(status, headers)
            return (found,)
        status, headers, body = processor.respond(self.app, environ)
        start_response(status, headers)
        return body if isinstance(body, (StreamedBody, ConnectionUpgrade)) else (body,)

    def _make_website(self) -> Website:
        # Lazy: an eighth of the time in which a web process starts, for nothing where no website is shown.
        from forumapi.webclient.session import secrets_of
        from forumapi.webclient.transport import InProcess
        from forumapi.webclient.website import Website

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
    """Make the application of a web process; `database_url` replaces the configured one (embedded mode, tests), "" does
    not.
    """
    return Application(App(config, routes.ROOT, routes.SITE, database_url))
