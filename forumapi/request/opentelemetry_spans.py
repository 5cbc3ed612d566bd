"""OpenTelemetry traces, if `trace_url` is set: a span for each request, with one below it for each statement.

Needs the extra `otel`, which is imported only then.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from forumapi import __version__
from forumapi.observability.log import logger

if TYPE_CHECKING:
    from forumapi.database.connections import Reader

# Statement: name, start on the clock of time.perf_counter, and seconds it took.
Step = tuple[str, float, float]


class Trace:
    """Trace of one request: its span, and in `steps` the statements that its reader ran: name, start on the clock of
    time.perf_counter, and seconds that it took.
    """

    def __init__(self, tracer: Tracer, span: Any) -> None:
        self._tracer = tracer
        self._span = span
        self._clock_ns = time.time_ns() - int(time.perf_counter() * 1e9)
        self.steps: list[Step] = []

    def end(self, name: str, status: int, attributes: dict[str, str | int]) -> None:
        """Complete the request's span, with one below it for each statement. `name`: the request's method and route;
        `status`: of the answer; `attributes`: further attributes of the span.
        """
        span = self._span
        span.update_name(name)
        span.set_attributes({**attributes, "http.response.status_code": status})
        if status >= 500:
            span.set_status(self._tracer.failed)
        for query, began, took in self.steps:
            start_ns = self._clock_ns + int(began * 1e9)
            self._tracer.statement(span, query, start_ns, start_ns + int(took * 1e9))
        span.end()


class Tracer:
    """Maker of traces, sent to the collector at `url` in batches by a thread of its own. Raises ImportError without
    `otel`.

    `percent`: share of the requests that are traced, unless the client's header `traceparent` decides.
    """

    def __init__(self, url: str, *, percent: int) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._api = trace
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(percent / 100)),
            resource=Resource({"service.name": "forumapi", "service.version": __version__}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=5))
        )
        self._spans = self._provider.get_tracer("forumapi", __version__)
        self._parents = TraceContextTextMapPropagator()
        self.failed = trace.Status(trace.StatusCode.ERROR)

    def begin(self, environ: dict[str, Any], tx: Reader) -> Trace | None:
        """Begin the trace of a request, which records the statements of `tx`; None if this request is not among those
        traced.
        """
        from opentelemetry.context import Context

        carrier = {"traceparent": environ.get("HTTP_TRACEPARENT", "")}
        parent = self._parents.extract(carrier, Context()) if carrier["traceparent"] else Context()
        span = self._spans.start_span("request", parent, kind=self._api.SpanKind.SERVER)
        if not span.is_recording():
            return None
        trace = Trace(self, span)
        tx.steps = trace.steps
        return trace

    def statement(self, parent: Any, name: str, start_ns: int, end_ns: int) -> None:
        """Send the span of a statement below the span `parent`, with its times in nanoseconds since 1970."""
        self._spans.start_span(
            name,
            self._api.set_span_in_context(parent),
            kind=self._api.SpanKind.CLIENT,
            attributes={"db.system.name": "postgresql", "db.query.summary": name},
            start_time=start_ns,
        ).end(end_ns)

    def stop(self) -> None:
        """Send the spans that are not sent yet, waiting about two seconds at most."""
        self._provider.force_flush(2_000)
        self._provider.shutdown()


def tracer(url: str, percent: int) -> Tracer | None:
    """Return the tracer to the collector at `url`, of `percent` of the requests; None if `url` is "", or if the extra
    `otel` is missing, which is logged.
    """
    if not url:
        return None
    try:
        return Tracer(url, percent=percent)
    except ImportError as error:
        logger.error("nothing is traced: pip install forumapi[otel] (%s)", error)
        return None
