"""Minimal server: answers made by gunicorn and Werkzeug without any code of forumapi.

`make bench` states every figure of the application as a share of these. The file is frozen: a floor that changes
measures nothing. Two addresses:

    /size/<n>     a constant of n bytes, labelled as JSON
    /one-query    25 rows of one prepared SELECT, encoded by msgspec; FLOOR_DATABASE says where

Run it as `gunicorn ... scripts.bench.floor:application`, with the worker class under test.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
import psycopg
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

URLS = Map([Rule("/size/<int:size>", endpoint="size"), Rule("/one-query", endpoint="one_query")])

# A catalogue table every PostgreSQL has, read through its index: no schema of ours is needed.
ROWS = """
    SELECT c.oid::bigint, c.relname::text, c.relpages
      FROM pg_class c
     WHERE c.oid > %(after)s
     ORDER BY c.oid
     LIMIT 25"""

_idle: list[psycopg.Connection] = []


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a request: WSGI callable with a route, Request and Response, and nothing else."""
    request = Request(environ)
    endpoint, values = URLS.bind_to_environ(request.environ).match()
    body = constant(values["size"]) if endpoint == "size" else one_query()
    return Response(body, content_type="application/json")(environ, start_response)


@functools.cache
def constant(size: int) -> bytes:
    """Return a JSON string of exactly `size` bytes, quotes included."""
    return b'"' + b"x" * max(size - 2, 0) + b'"'


def one_query() -> bytes:
    """Return the rows of ROWS as JSON, read over an idle connection of this process."""
    connection = _idle.pop() if _idle else connect()
    rows = connection.execute(ROWS, {"after": 0}, prepare=True).fetchall()
    _idle.append(connection)
    return msgspec.json.encode(
        [{"id": oid, "name": name, "pages": pages} for oid, name, pages in rows]
    )


def connect() -> psycopg.Connection:
    """Open a connection in autocommit to FLOOR_DATABASE."""
    return psycopg.connect(os.environ["FLOOR_DATABASE"], autocommit=True)
