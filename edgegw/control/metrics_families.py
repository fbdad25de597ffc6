"""Shapes of metrics that the files beside this one fill. Import late: it loads the metrics library.

Rules of the names (the conventions of Prometheus; `promtool check metrics` holds us to them):
- `edgegw_` first, base units last: seconds, bytes, amperes, volts, watts, joules. Energy is joules although
  a site thinks in Wh: `rate()` of a counter of joules is watts, with no factor that somebody forgets.
- Ages, not instants: the box knows them even while its clock, or that of the watcher, is wrong.
- Labels are what the site file or the catalogue bounds: charger, connector, circuit, meter, phase, kind and
  the like. Never a text that a charger or a person wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from edgegw.runtime.histogram import Histogram

Sample = tuple[Sequence[str], float | None]  # values of the labels; the number, None: not known
Labelled = Iterable[Sample]
PHASES = ("L1", "L2", "L3")


def gauge(name: str, text: str, value: float | None) -> Metric:
    return gauges(name, text, (), [((), value)])


def gauges(name: str, text: str, labels: Sequence[str], found: Labelled) -> Metric:
    return _filled(GaugeMetricFamily(name, text, labels=labels), found)


def counter(name: str, text: str, value: float | None) -> Metric:
    return counters(name, text, (), [((), value)])


def counters(name: str, text: str, labels: Sequence[str], found: Labelled) -> Metric:
    """`name` without "_total"; the library appends it."""
    return _filled(CounterMetricFamily(name, text, labels=labels), found)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, found: Labelled) -> Metric:
    for labels, value in found:
        if value is not None:
            family.add_metric(labels, float(value))
    return family


def histogram(name: str, text: str, seen: Histogram) -> Metric:
    return histograms(name, text, (), {(): seen})


def histograms(
    name: str, text: str, labels: Sequence[str], seen: Mapping[tuple[str, ...], Histogram]
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, one in seen.items():
        buckets = [(_le(bound_s), count) for bound_s, count in one.cumulative()]
        family.add_metric(values, buckets, one.sum_s)
    return family


def _le(bound_s: float) -> str:
    return "+Inf" if bound_s == float("inf") else repr(bound_s)
