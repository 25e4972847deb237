"""Numbers for monitoring, in the words of Prometheus: how long searches take, and what went wrong."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from adapters.search.search_state import IndexState
from app.search.reconcile import Reconciled

QUERY_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Meter:
    """Counts of one process since its start, and gauges of the indexes, which all processes share."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._queries = Histogram(
            "search_query_seconds",
            "How long a backend took to answer a search, the query's vector included.",
            ("backend", "mode"),
            registry=registry,
            buckets=QUERY_SECONDS,
        )
        self._degraded = Counter(
            "search_degraded",
            "Searches that were answered with less than was asked for.",
            ("reason",),
            registry=registry,
        )
        self._errors = Counter(
            "search_backend_errors",
            "What an index answered instead of doing what it should.",
            ("backend", "class"),
            registry=registry,
        )
        self._embedding = Histogram(
            "search_embed_seconds", "How long the vectors of 16 texts took.", registry=registry
        )
        self._amiss = Counter(
            "search_reconcile",
            "Sources that reconciling found missing, or there though they should not be.",
            ("found",),
            registry=registry,
        )
        per_backend = {
            "pending": "Sources that are still to be indexed.",
            "failed": "Sources whose indexing was given up.",
            "lag_positions": "Events that cannot be found yet, in the project that has most of them.",
            "lag_seconds": "Age of the oldest event that cannot be found yet.",
            "sources": "Sources in the index.",
            "chunks": "Chunks in the index.",
            "without_vectors": "Sources that are found by their words alone.",
        }
        self._gauges = {
            name: Gauge(f"search_index_{name}", text, ("backend",), registry=registry)
            for name, text in per_backend.items()
        }

    @contextmanager
    def query(self, backend: str, mode: str) -> Iterator[None]:
        """Time a search; one that is refused or fails counts as well."""
        with self._queries.labels(backend, mode).time():
            yield

    def degraded(self, reasons: Sequence[str]) -> None:
        """Count a search that was answered with less."""
        for reason in reasons:
            self._degraded.labels(reason).inc()

    def failed(self, backend: str, kind: str) -> None:
        """Count an error of an index."""
        self._errors.labels(backend, kind).inc()

    def embedding(self) -> AbstractContextManager[object]:
        """Time a batch of vectors."""
        return self._embedding.time()

    def reconciled(self, found: Reconciled) -> None:
        """Count what was amiss."""
        self._amiss.labels("missing").inc(found.missing)
        self._amiss.labels("stale").inc(found.stale)

    def text(self, standing: Sequence[IndexState]) -> bytes:
        """All of it, as Prometheus reads it.

        Args:
            standing: How each project stands in each index, now.
        """
        for backend in {one.backend for one in standing}:
            rows = [one for one in standing if one.backend == backend]
            lag = max(one.position - one.indexed_position for one in rows)
            self._gauges["lag_positions"].labels(backend).set(lag)
            seconds = max(one.lag_seconds for one in rows)
            self._gauges["lag_seconds"].labels(backend).set(seconds)
            for name in ("pending", "failed", "sources", "chunks", "without_vectors"):
                total = sum(getattr(one, name) for one in rows)
                self._gauges[name].labels(backend).set(total)
        return generate_latest(self._registry)
