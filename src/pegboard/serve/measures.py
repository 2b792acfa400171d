"""What Prometheus may ask about: requests, photos, batches, the queue and the model."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from pegboard.serve.models import Model

MEDIA_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16)


class Measures:
    """Counts of one server. No label holds anything a client has chosen."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        of = self._registry
        self.requests = Counter(
            "pegboard_requests", "Requests answered.", ("route", "method", "status"), registry=of
        )
        self.seconds = Histogram(
            "pegboard_request_seconds", "From head to answer.", ("route",),
            buckets=_SECONDS, registry=of,
        )  # fmt: skip
        self.photos = Counter(
            "pegboard_photos", "Photos by what was answered.", ("answer",), registry=of
        )
        self.batches = Histogram(
            "pegboard_batch_photos", "Photos in one batch.", buckets=_SIZES, registry=of
        )
        self.reloads = Counter(
            "pegboard_reloads", "Attempts to read the bundle again.", ("outcome",), registry=of
        )
        self._in_progress = Gauge(
            "pegboard_requests_in_progress", "Requests being answered.", registry=of
        )
        self._waiting = Gauge("pegboard_photos_waiting", "Photos waited for.", registry=of)
        self._bytes = Gauge("pegboard_request_bytes", "Bytes held by requests.", registry=of)
        self._stalled = Gauge(
            "pegboard_stalled_connections_closed", "Connections that stalled.", registry=of
        )
        self._model = Gauge(
            "pegboard_model_info", "1 for the model that answers.", ("name", "sha256"), registry=of
        )

    def watch(
        self,
        *,
        in_progress: Callable[[], int],
        waiting: Callable[[], int],
        held: Callable[[], int],
        stalled: Callable[[], int],
    ) -> None:
        """Have the figures of the moment asked for when somebody wants to know."""
        self._in_progress.set_function(in_progress)
        self._waiting.set_function(waiting)
        self._bytes.set_function(held)
        self._stalled.set_function(stalled)

    def tell_model(self, model: Model) -> None:
        """Say which model answers."""
        self._model.clear()
        self._model.labels(model.name, model.sha256).set(1)

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self._registry)
