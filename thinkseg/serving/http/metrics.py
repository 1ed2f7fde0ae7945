"""What a service tells Prometheus of itself; each service counts for itself."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from thinkseg.serving.http.batching import Batcher

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters, gauges and histograms of one service."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        seconds, sizes = _SECONDS, _SIZES
        self.requests = Counter("thinkseg_requests", "Requests answered.", ["route", "status"], registry=own)
        self.seconds = Histogram(
            "thinkseg_request_seconds", "From a request to its answer.", ["route"], buckets=seconds, registry=own
        )
        self.inside = Gauge("thinkseg_requests_inside", "Requests that wait or are worked on.", registry=own)
        self.waiting = Gauge("thinkseg_queue_length", "Jobs that wait for a model.", ["model"], registry=own)
        self.batches = Histogram("thinkseg_batch_size", "Jobs of a batch.", ["model"], buckets=sizes, registry=own)
        self.work = Histogram("thinkseg_batch_seconds", "Work on a batch.", ["model"], buckets=seconds, registry=own)
        self.left = Counter("thinkseg_clients_left", "Requests whose client went away before the answer.", registry=own)
        self.given_up = Gauge("thinkseg_batches_given_up", "Batches that hung.", ["model"], registry=own)
        self.failures = Counter("thinkseg_failures", "Completions without an answer.", ["failure"], registry=own)

    def watch(self, batcher: Batcher[Any, Any]) -> None:
        """Let gauges ask a batcher when they are read."""
        self.waiting.labels(batcher.name).set_function(lambda: batcher.waiting)
        self.given_up.labels(batcher.name).set_function(lambda: batcher.given_up)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self.registry)
