"""Documents that describe the API: OpenAPI, AsyncAPI, and the reference page made of the former. Wire:
docs/api/README.md.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from forumapi.apidocs import api_reference_page, asyncapi, openapi
from forumapi.apidocs.openapi import JSON, Schema
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Handler, needs
from forumapi.request.handler_results import RawResponse, Result
from forumapi.wire.json_fragments import dumps

_HTML: Final = "text/html; charset=utf-8"


def _document(ctx: Context) -> Schema:
    """Return the OpenAPI document of the kind of host that the request came to: the platform's, or a site's."""
    return openapi.host_document(ctx.app.routes(ctx.site).classes)


def _bare(body: bytes, content_type: str, *headers: tuple[str, str]) -> RawResponse:
    tag = hashlib.blake2b(body, digest_size=9).hexdigest()
    return RawResponse(body, content_type, (("ETag", f'"{tag}"'), *headers))


class OpenapiHandler(Handler):
    """The API of this host as an OpenAPI document."""

    ignores_token = True
    # There is one handler for each host's table, so this is made once a process for each kind of host.
    _answer: RawResponse | None = None

    @needs(ANYONE, answer=dict[str, Any], media_type=JSON)
    def get(self, ctx: Context) -> Result:
        """The OpenAPI 3.1 document of this host, without the envelope."""
        if self._answer is None:
            self._answer = _bare(dumps(_document(ctx)), JSON)
        return self._answer


class AsyncapiHandler(Handler):
    """The WebSocket of this site as an AsyncAPI document."""

    ignores_token = True

    @needs(ANYONE, answer=dict[str, Any], media_type=JSON)
    def get(self, ctx: Context) -> Result:
        """The AsyncAPI 3 document of the site's live events over WebSocket, without the envelope."""
        scheme, _, host = ctx.site.origin.partition("://")
        return _bare(dumps(asyncapi.document(host, is_tls=scheme == "https")), JSON)


class DocsHandler(Handler):
    """The reference page of this host's API."""

    ignores_token = True
    _answer: RawResponse | None = None

    @needs(ANYONE, media_type=_HTML)
    def get(self, ctx: Context) -> Result:
        """HTML page that describes every call of this host's API, made of its OpenAPI document; without scripts."""
        if self._answer is None:
            self._answer = _bare(
                api_reference_page.page(_document(ctx)),
                _HTML,
                ("Content-Security-Policy", api_reference_page.CONTENT_SECURITY_POLICY),
                ("Referrer-Policy", "no-referrer"),
            )
        return self._answer
