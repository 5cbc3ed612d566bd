"""Documents that describe the API: OpenAPI, AsyncAPI, and the reference pages made of the former. Wire:
docs/api/docs.md.
"""

from __future__ import annotations

import hashlib
import threading
from functools import lru_cache
from typing import Any, Final

from forumapi.apidocs import asyncapi, openapi
from forumapi.apidocs.openapi import JSON, Schema
from forumapi.apidocs.reference import reference_pages, try_pages
from forumapi.apidocs.reference.compressed_file import CompressedFile
from forumapi.apidocs.reference.reference_pages import ReferencePages
from forumapi.apidocs.reference.search_index import LONGEST_QUERY
from forumapi.concurrency.blocking_disk_calls import offload
from forumapi.errors import NotFound
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Handler, Param, needs
from forumapi.request.handler_results import RawResponse, Result
from forumapi.request.routing import RoutingTable
from forumapi.wire.json_fragments import dumps

_HTML: Final = "text/html; charset=utf-8"
_SCRIPT: Final = "text/javascript; charset=utf-8"


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
    """Contents and search of the reference of this host's API."""

    ignores_token = True
    tags_bare_answers = True

    @needs(
        ANYONE,
        media_type=_HTML,
        params=(Param("q", str, "Words that are all to occur; without it the contents alone."),),
    )
    def get(self, ctx: Context) -> Result:
        """HTML page with the contents of the reference, or with what `q` finds: operations, fields, objects, errors."""
        pages = _pages(ctx)
        query = ctx.query.get("q", "")[:LONGEST_QUERY].strip()
        if not query:
            return _page(ctx, pages.page[""])
        return _page(ctx, CompressedFile.of(pages.found(query)))


class DocsPageHandler(Handler):
    """Page of the reference of this host's API."""

    ignores_token = True
    tags_bare_answers = True

    @needs(ANYONE, media_type=_HTML)
    def get(self, ctx: Context) -> Result:
        """HTML page of the operations with one tag, such as `conversations`, or of `basics`, `errors` or `objects`.

        Each operation has its parameters, body, answers, and a recorded example in curl, Python and TypeScript. The
        page `signed-in` is where a browser returns after signing in on a page for trying operations. 404 for an unknown
        page.
        """
        name = ctx.args["page"]
        if name == try_pages.SIGNED_IN:
            return _page(ctx, try_pages.signed_in_page())
        found = _pages(ctx).page.get(name)
        if found is None:
            raise NotFound("There is no such page of the reference")
        return _page(ctx, found)


class DocsTryHandler(Handler):
    """Page for trying operations of this host's API."""

    ignores_token = True
    tags_bare_answers = True

    @needs(ANYONE, media_type=_HTML)
    def get(self, ctx: Context) -> Result:
        """HTML page with Swagger UI, which sends requests of one tag's operations, as a guest or with a token; 404 for
        an unknown tag.
        """
        pages = _pages(ctx)
        if ctx.args["page"] not in pages.parts:
            raise NotFound("There is no such page of the reference")
        made = try_pages.try_page(pages, ctx.args["page"])
        return _page(ctx, made, try_pages.CONTENT_SECURITY_POLICY)


class DocsScriptHandler(Handler):
    """Script of the reference's pages."""

    ignores_token = True
    tags_bare_answers = True

    @needs(ANYONE, media_type=_SCRIPT)
    def get(self, ctx: Context) -> Result:
        """Script of the reference's pages, by its file name; 404 for an unknown name."""
        found = try_pages.scripts().get(ctx.args["name"])
        if found is None:
            raise NotFound("There is no such script")
        return _file(ctx, found, _SCRIPT)


class DocsSearchHandler(Handler):
    """Index that the search of the reference uses in browsers."""

    ignores_token = True
    tags_bare_answers = True

    @needs(ANYONE, answer=dict[str, Any], media_type=JSON)
    def get(self, ctx: Context) -> Result:
        """The operations, objects with their fields, and errors of the reference, without the envelope."""
        return _file(ctx, _pages(ctx).published, JSON)


_making: Final = threading.Lock()


@lru_cache(2)
def _made(table: RoutingTable) -> ReferencePages:
    """Return the reference pages of a host's routing table, made once for each of the two tables in a process."""
    # A second of computation, or more on a busy machine, during which the worker's other requests go on.
    return offload(lambda: ReferencePages(openapi.host_document(table.classes)))


def _pages(ctx: Context) -> ReferencePages:
    with _making:
        return _made(ctx.app.routes(ctx.site))


def _page(
    ctx: Context, file: CompressedFile, policy: str = reference_pages.CONTENT_SECURITY_POLICY
) -> RawResponse:
    headers = (("Content-Security-Policy", policy), ("Referrer-Policy", "no-referrer"))
    return _file(ctx, file, _HTML, *headers)


def _file(
    ctx: Context, file: CompressedFile, content_type: str, *headers: tuple[str, str]
) -> RawResponse:
    """Return a file as an answer, compressed for clients that accept gzip, with an entity tag and the further
    `headers`.
    """
    vary = ("Vary", "Accept-Encoding")
    if "gzip" in ctx.environ.get("HTTP_ACCEPT_ENCODING", ""):
        tag = ("ETag", f'"{file.tag}-gzip"')
        how = ("Content-Encoding", "gzip")
        return RawResponse(file.data, content_type, (tag, vary, how, *headers))
    return RawResponse(file.content(), content_type, (("ETag", f'"{file.tag}"'), vary, *headers))
