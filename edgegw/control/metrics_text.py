"""The text of a scrape. The metrics library chooses the format and writes the head of each metric; the lines
below it, thousands on a big site, are written here: the library takes four times as long for the same bytes.

Rules of this file:
- Byte for byte what the library would write; a test holds the two against each other.
- Only what our metrics have: no timestamps, no exemplars, names of the old alphabet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

END = b"# EOF\n"  # of OpenMetrics


def written(families: Iterable[Metric], accept: str) -> tuple[bytes, str]:
    """(body, content type): text 0.0.4, or OpenMetrics for who asks for it."""
    encoder, content_type = choose_encoder(accept)
    parts: list[bytes] = []
    for family in families:
        head = encoder(Seen([Metric(family.name, family.documentation, family.type)]))
        parts += (head.removesuffix(END), "".join(_lines(family)).encode())
    if "openmetrics" in content_type:
        parts.append(END)
    return b"".join(parts), content_type


class Seen(Collector):
    """What was collected already, in the shape that the encoders take."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _lines(family: Metric) -> Iterator[str]:
    for sample in family.samples:
        value = floatToGoString(sample.value)  # type: ignore[no-untyped-call]
        yield f"{sample.name}{_labels(sample.labels)} {value}\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join([f'{name}="{_escaped(labels[name])}"' for name in sorted(labels)]) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
