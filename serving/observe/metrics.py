"""Figures for Prometheus, over all workers: where there are several, each writes to files that any of them adds up."""

import contextlib
import os
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from serving.observe.shared_figures import FOLDER_VARIABLE
from serving.served import Served

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """One worker's counters."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "serving_request_seconds",
            "Time to answer, by route and status",
            ["route", "status"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._predictions = Counter(
            "serving_predictions",
            "Predictions served",
            ["use_case", "variant", "model_version"],
            registry=self._registry,
        )
        self._snapshot_age = Gauge(
            "serving_snapshot_age_seconds",
            "Age of the snapshot that is served",
            ["use_case"],
            multiprocess_mode="livemax",
            registry=self._registry,
        )
        self._log_queue = Gauge(
            "serving_prediction_log_queue",
            "Predictions not on disk yet",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        self._log_dropped = Gauge(
            "serving_prediction_log_dropped",
            "Predictions that were answered and not recorded",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        self._timers: dict[tuple[str, int], Histogram] = {}
        self._counts: dict[tuple[str, str, str], Counter] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        timer = self._timers.get((route, status))
        if timer is None:
            timer = self._timers[route, status] = self._seconds.labels(route, str(status))
        timer.observe(seconds)

    def predicted(self, use_case: str, variant: str, model_version: str, rows: int) -> None:
        """Count predictions that are served."""
        count = self._counts.get((use_case, variant, model_version))
        if count is None:
            count = self._counts[use_case, variant, model_version] = self._predictions.labels(
                use_case, variant, model_version
            )
        count.inc(rows)

    def watch(self, served: dict[str, Served], queued: int, dropped: int) -> None:
        """Take in what is measured now and then rather than counted."""
        now = time.time()
        for name, one in served.items():
            if one.snapshot is not None:
                self._snapshot_age.labels(name).set(now - one.snapshot.created_at.timestamp())
        self._log_queue.set(queued)
        self._log_dropped.set(dropped)

    def page(self) -> bytes:
        """The text format that Prometheus reads."""
        if FOLDER_VARIABLE not in os.environ:
            return generate_latest(self._registry)
        _forget_dead_workers(Path(os.environ[FOLDER_VARIABLE]))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _forget_dead_workers(folder: Path) -> None:
    """What a worker that died had measured last would go on counting; what it had counted stays."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            with contextlib.suppress(FileNotFoundError):  # another worker is asked for the page as well
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
