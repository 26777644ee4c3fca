"""What a render counts, as Prometheus reads it: pure, from results to text and back. ``textfile`` has the file.

Counters can't be set in prometheus_client, and ours go on from an older file: so a render's metrics are a plain table
of values, which a collector of our own gives to a registry of our own.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from clipcut.errors import Reason
from clipcut.results import ClipResult, Fetched, Outcome, RenderStatus, Status

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

BUCKETS_MS = (100, 250, 500, 1000, 2500, 5000, 10000, 20000, 45000, 120000)

Key = tuple[str, str]
"""A sample's name, and the value of the label that it has beside ``timeline``; empty if it has none."""

Values = Mapping[Key, float]


@attrs.frozen
class Family:
    """One metric: its name, its constant help text, its type, and the label that it has beside ``timeline``."""

    name: str
    help: str
    kind: str = "gauge"
    label: str = ""
    of: tuple[str, ...] = ("",)


_DURATION = "render_clip_duration_ms"
_ALL_REASONS, _ALL_STATUSES, _ALL_ENDS = (tuple(map(str, kind)) for kind in (Reason, Status, RenderStatus))
FAMILIES = (
    Family("render_clip_inflight", "Clips at work now."),
    Family("render_clip_total", "Clips that ended, by status.", "counter", "status", _ALL_STATUSES),
    Family("render_clip_failures_total", "Rungs that failed, by reason.", "counter", "reason", _ALL_REASONS),
    Family("render_clip_placeholder_total", "Clips that were filled with the placeholder.", "counter"),
    Family("render_clip_retries_total", "Requests that were sent again.", "counter"),
    Family("render_clip_fetched_bytes_total", "Bytes that came over the network.", "counter"),
    Family(_DURATION, "How long clips were at work, in milliseconds.", "histogram"),
    Family("render_clip_peak_parallelism", "The most clips at work at once, in this run or the last."),
    Family("render_clip_max_parallelism", "Clips that may be at work at once."),
    Family("render_runs_total", "Runs that ended, by status.", "counter", "status", _ALL_ENDS),
    Family("render_run_started_timestamp_seconds", "When this run began, or the last one."),
    Family("render_last_run_timestamp_seconds", "When the last run ended."),
    Family("render_last_success_timestamp_seconds", "When the last run with an output ended."),
    Family("render_last_duration_seconds", "How long the last run took."),
    Family("render_last_output_seconds", "How long the last run's output plays; 0 if there was none."),
    Family("render_last_exit_code", "The last run's exit code."),
)


def _sample_keys(family: Family) -> Iterator[Key]:
    """Yield the samples that a family may have."""
    if family.kind != "histogram":
        yield from ((family.name, value) for value in family.of)
        return
    yield from ((f"{family.name}_bucket", _edge(edge)) for edge in (*BUCKETS_MS, math.inf))
    yield from ((f"{family.name}_count", ""), (f"{family.name}_sum", ""))


def _edge(edge: float) -> str:
    return "+Inf" if math.isinf(edge) else f"{float(edge)}"


COUNTED = frozenset(key for family in FAMILIES if family.kind != "gauge" for key in _sample_keys(family))
"""The samples that go on from run to run."""
KEPT = frozenset(key for family in FAMILIES for key in _sample_keys(family))
"""The samples that are known at all."""


def counts_of(clips: Iterable[ClipResult], fetched: Fetched) -> Counter[Key]:
    """Return what a render adds to the counters.

    Args:
        clips: Those that have ended.
        fetched: What came over the network.
    """
    counts: Counter[Key] = Counter()
    for clip in clips:
        counts["render_clip_total", clip.status] += 1
        counts["render_clip_placeholder_total", ""] += clip.status is Status.FALLBACK_PLACEHOLDER
        for attempt in clip.attempts:
            if attempt.outcome is not Outcome.SKIPPED and attempt.reason is not None:
                counts["render_clip_failures_total", attempt.reason] += 1
        if clip.parallel_slot is not None:
            _observe(counts, clip.duration_ms)
    counts["render_clip_retries_total", ""] = fetched.retries
    counts["render_clip_fetched_bytes_total", ""] = fetched.size
    return counts


def _observe(counts: Counter[Key], duration_ms: int) -> None:
    for edge in (*BUCKETS_MS, math.inf):
        counts[f"{_DURATION}_bucket", _edge(edge)] += duration_ms <= edge
    counts[f"{_DURATION}_count", ""] += 1
    counts[f"{_DURATION}_sum", ""] += duration_ms


def added(base: Values, counts: Mapping[Key, float], gauges: Mapping[str, float]) -> dict[Key, float]:
    """Return a file's values: the old counters gone on from, the new gauges, and of the old ones what isn't new.

    Args:
        base: The values of the file before this run.
        counts: What this run has added so far.
        gauges: By name.
    """
    values: dict[Key, float] = {key: base.get(key, 0) + counts.get(key, 0) for key in COUNTED}
    values |= {key: value for key, value in base.items() if key in KEPT - COUNTED}
    return values | {(name, ""): value for name, value in gauges.items()}


def metrics_text(values: Values, timeline: str) -> bytes:
    """Write values in Prometheus' text format.

    Args:
        values: Every counter; of gauges those that are there are written.
        timeline: The label that tells this job's metrics from others'.
    """
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415  a light start

    registry = CollectorRegistry()
    registry.register(_Table(values, timeline))
    return generate_latest(registry)


class _Table:
    """Gives a table of values to a registry."""

    def __init__(self, values: Values, timeline: str) -> None:
        self._values = values
        self._timeline = timeline

    def collect(self) -> "Iterator[Metric]":
        """Yield each family that has a value."""
        for family in FAMILIES:
            if any(key in self._values for key in _sample_keys(family)):
                yield self._family(family)

    def _family(self, family: Family) -> "Metric":
        from prometheus_client import core  # noqa: PLC0415

        labels = ["timeline", *([family.label] if family.label else [])]
        if family.kind == "histogram":
            return self._histogram(core.HistogramMetricFamily(family.name, family.help, labels=labels), family.name)
        kinds: dict[str, Any] = {"counter": core.CounterMetricFamily, "gauge": core.GaugeMetricFamily}
        metric: Metric = kinds[family.kind](family.name, family.help, labels=labels)
        for value in family.of:
            if (found := self._values.get((family.name, value))) is not None:
                metric.add_metric([self._timeline, *([value] if family.label else [])], found)  # type: ignore[attr-defined]
        return metric

    def _histogram(self, metric: Any, name: str) -> "Metric":
        buckets = [(_edge(edge), self._values[f"{name}_bucket", _edge(edge)]) for edge in (*BUCKETS_MS, math.inf)]
        metric.add_metric([self._timeline], buckets, self._values[f"{name}_sum", ""])
        return metric  # type: ignore[no-any-return]


@attrs.frozen
class Older:
    """What an older file holds: the values of this timeline, and the names of others whose values are there too."""

    values: dict[Key, float]
    others: frozenset[str] = frozenset()


def read_metrics(text: str, timeline: str) -> Older:
    """Read a file that ``metrics_text`` wrote.

    Raises:
        ValueError: It isn't one; says why.
    """
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    others: set[str] = set()
    values: dict[Key, float] = {}
    try:
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    except Exception as exc:  # the parser has many ways of not understanding
        raise ValueError("it is not in Prometheus' text format") from exc
    for sample in samples:
        labels = dict(sample.labels)
        owner = labels.pop("timeline", "")
        key = (sample.name, next(iter(labels.values()), ""))
        if key not in KEPT:
            continue
        if owner != timeline:
            others.add(owner)
        elif key in values or not 0 <= sample.value < math.inf:
            raise ValueError(f"{sample.name} stands in it twice or has a value that it can't have")
        else:
            values[key] = sample.value
    _check_histogram(values)
    return Older(values, frozenset(others))


def _check_histogram(values: Values) -> None:
    """See that buckets only grow, and that the last is the count."""
    buckets = [values.get((f"{_DURATION}_bucket", _edge(edge)), 0) for edge in (*BUCKETS_MS, math.inf)]
    if buckets != sorted(buckets) or buckets[-1] != values.get((f"{_DURATION}_count", ""), 0):
        raise ValueError(f"the buckets of {_DURATION} don't fit together")
