"""Traces: what a collector of OpenTelemetry gets, and what it costs where there is none."""

from __future__ import annotations

import http.server
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.factories import Factory, Site
from tests.fixtures import PROJECT, Server, start_server

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Collector(http.server.ThreadingHTTPServer):
    """Takes traces over HTTP, as a collector does."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.spans: queue.Queue[Span] = queue.Queue()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1/traces"

    def trace(self, trace_id: str, count: int, among: str = "") -> list[Span]:
        """The first `count` spans of a trace, and further ones until one is named `among`."""
        found: list[Span] = []
        while len(found) < count or (among and among not in [one.name for one in found]):
            span = self.spans.get(timeout=20)
            if span.trace_id.hex() == trace_id:
                found.append(span)
        return found


class _Take(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Collector)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.server.spans.put(span)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """A running collector."""
    with Collector() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def traced(
    database_url: str, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A web process that traces what its clients ask it to."""
    with pytest.MonkeyPatch.context() as patch:
        # OpenTelemetry's own setting, in ms: how long spans wait for others.
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        started = start_server(
            database_url,
            tmp_path_factory.mktemp("traced"),
            trace_url=collector.url,
            trace_percent="0",
        )
    yield started
    started.stop()


@pytest.mark.wide
def test_a_request_is_a_span_with_its_statements_below_it(
    traced: Server, collector: Collector, make: Factory, bikes: Site
) -> None:
    comment = make.comment(make.conversation(bikes))
    api = traced.api()
    # Not sampled, and nobody asked for it.
    api.get(comment.path, site=bikes, by=bikes.member)
    api.get(
        comment.path,
        site=bikes,
        by=bikes.member,
        headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "traced"},
    )
    # The statements end before the request does.
    spans: list[Span] = []
    while not spans or spans[-1].kind != Span.SPAN_KIND_SERVER:
        spans += collector.trace(TRACE, 1)
    *statements, request = spans

    assert request.name == "GET /api/v1/comments/{id}"
    assert request.parent_span_id.hex() == PARENT
    values = {one.key: one.value for one in request.attributes}
    assert values["request"].string_value == "traced"
    assert values["site"].int_value == bikes.id
    assert values["http.response.status_code"].int_value == 200
    assert len(statements) >= 2
    assert {span.parent_span_id for span in statements} == {request.span_id}
    assert "identity" in statements[0].name
    for span in statements:
        assert request.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= request.end_time_unix_nano
    assert collector.spans.empty()


@pytest.mark.wide
def test_the_statements_of_a_write_are_traced_too(
    traced: Server, collector: Collector, make: Factory, bikes: Site
) -> None:
    conversation = make.conversation(bikes)
    trace_id = TRACE[::-1]
    body = {"itemType": "conversation", "itemId": conversation.id, "markdown": "Traced"}
    traced.api().post(
        "/api/v1/comments",
        body,
        site=bikes,
        by=bikes.member,
        headers={"traceparent": f"00-{trace_id}-{PARENT}-01"},
    )
    names = [span.name for span in collector.trace(trace_id, 5, "comment.insert")]

    assert "identity.find" in names


@pytest.mark.wide
def test_without_an_address_nothing_of_it_is_imported() -> None:
    code = (
        "import sys\nfrom forumapi import config, wsgi\n"
        "app = wsgi.create_app(config.load(), 'postgresql://nobody@127.0.0.1:1/none').app\n"
        "print(app.tracer, any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["None", "False"]
