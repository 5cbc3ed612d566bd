"""Web process of the website alone (`forumapi webclient`), which asks the API over HTTP, like any other program.

It has the master, workers, limits and reloads of the API's web process, but no database and no store of files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from forumapi.config import Config
from forumapi.server.master import ForumApplication
from forumapi.server.worker import StartResponse
from forumapi.webclient import paths_left_to_api
from forumapi.webclient.session import secrets_of
from forumapi.webclient.transport import OverHttp
from forumapi.webclient.website import Website
from forumapi.wire.client_address import Proxies

# What a balancer asks this process itself, as it asks the API's.
READY: Final = "/api/v1/ready"


class WebsiteApplication:
    """WSGI callable of the website's own web process: the website, and the path READY, by which load balancers ask if
    the process takes requests. The server's worker calls `apply` at a reload.
    """

    def __init__(self, config: Config) -> None:
        self.health = self
        self._is_draining = False
        self._proxies = Proxies(config.trusted_proxies)
        transport = OverHttp(
            config.webclient_api_url,
            config.webclient_front_end_secret,
            timeout_s=config.request_timeout_s,
            upload_timeout_s=config.upload_timeout_s,
        )
        self.website = Website(
            transport,
            secrets_of(config.webclient_secret, config.data_path),
            is_secure=config.scheme == "https",
            address_of=self._address,
            upload_limit=config.upload_body_limit,
            upload_timeout_s=config.upload_timeout_s,
        )

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if paths_left_to_api.is_page(environ.get("PATH_INFO", "")):
            return self.website(environ, start_response)
        status, state = "404 Not Found", "website"
        if environ["PATH_INFO"] == READY:
            status = "503 Service Unavailable" if self._is_draining else "200 OK"
            state = "draining" if self._is_draining else "ready"
        body = json.dumps({"status": int(status[:3]), "data": {"state": state}}).encode()
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return (body,)

    def overdue(
        self, environ: dict[str, Any], start_response: StartResponse, status: int
    ) -> Iterable[bytes] | None:
        """Answer a request whose time limit is over with a page of the HTTP status `status`; return its body, as a WSGI
        application does, here never None.
        """
        return self.website.overdue(environ, start_response, status)

    def _address(self, environ: dict[str, Any]) -> str:
        return self._proxies.client_ip(environ)

    def drain(self) -> None:
        """Answer 503 to READY from now on, since this process is about to stop."""
        self._is_draining = True

    def apply(self, config: Config) -> None:
        """Take over the settings that need no new process: the trusted proxies."""
        self._proxies = Proxies(config.trusted_proxies)


class WebsiteProcess(ForumApplication):
    """Application object of the master of `forumapi webclient`."""

    def load(self) -> WebsiteApplication:
        """Make and return the website's WSGI application, with the present settings; called in each worker."""
        return WebsiteApplication(self.settings.current)
