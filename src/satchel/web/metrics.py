"""Figures for Prometheus: requests, identifications, connections, the catalogue, the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from satchel._version import __version__
from satchel.web.connections import Connections

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

Sizes = Callable[[], Mapping[str, int]]


class Metrics:
    """The figures of one server.

    Labels take few values, whatever clients send: a route is its template, never a path.
    """

    def __init__(self, sizes: Sizes) -> None:
        """Begin to count.

        Args:
            sizes: gives the size of the catalogue by name; empty while it cannot be read.
        """
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "satchel_http_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "satchel_http_request_seconds",
            "Seconds from the headers of a request to the end of its answer",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self.in_progress = Gauge(
            "satchel_http_requests_in_progress", "Requests in progress", registry=registry
        )
        self.identifications = Counter(
            "satchel_identifications", "Items identified", ("verdict",), registry=registry
        )
        self.identification_seconds = Histogram(
            "satchel_identification_seconds",
            "Seconds to identify an item, waiting included",
            buckets=SECONDS,
            registry=registry,
        )
        self.version = Gauge(
            "satchel_version", "1 for the version that runs", ("version",), registry=registry
        )
        self.version.labels(__version__).set(1)
        registry.register(_OfCatalogue(sizes))
        ProcessCollector(registry=registry)

    def follow(self, connections: Connections) -> None:
        """Give the figures of a server's connections too."""
        self._registry.register(_OfConnections(connections))

    def text(self) -> bytes:
        """All figures, in Prometheus' text format."""
        return generate_latest(self._registry)


class _OfCatalogue(Collector):
    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes

    def collect(self) -> Iterator[Metric]:
        for name, size in self._sizes().items():
            yield GaugeMetricFamily(f"satchel_catalogue_{name}", f"Catalogue: {name}", size)


class _OfConnections(Collector):
    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("satchel_connections", "Open connections", len(self._connections))
        closed = CounterMetricFamily(
            "satchel_connections_closed", "Connections that the server closed", labels=("reason",)
        )
        for reason, count in self._connections.closed.items():
            closed.add_metric((reason,), count)
        yield closed
