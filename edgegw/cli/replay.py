"""`edgegw replay FILE`: what was recorded, decided again. Needs no gateway and changes nothing.

Exit codes: 0 all that could be decided again came out the same; 1 something differs, or the file is damaged;
2 wrong arguments.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from edgegw import __version__
from edgegw.cli.asking import OK, REFUSED
from edgegw.cli.flight_file import FlightFault, FlightReader
from edgegw.cli.frame_text import fold, terminal_width
from edgegw.cli.progress import moving
from edgegw.cli.replay_words import decided, frame_words, happened
from edgegw.cli.tables import number
from edgegw.core.flight import Line
from edgegw.core.replaying import Counts, Decided, Differs, Replay
from edgegw.redaction import plain
from edgegw.runtime.flight_redaction import redacted
from edgegw.wire.timestamps import format_timestamp, parse_timestamp

Found = Decided | Differs


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--charger", help="Show only this one; all are decided again, they share what the site knows.")
@click.option("--until", metavar="TIME", help="Stop there: 03:44, 03:44:07 or 2026-11-21T03:44:07Z (UTC).")
@click.option("--differences", is_flag=True, help="Show only where it came out otherwise.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def replay(file: Path, charger: str | None, until: str | None, differences: bool, as_json: bool) -> None:
    """Run a recording through the decisions again and show each of them.

    FILE is what `edgegw messages --export FILE` wrote. Card ids in it are masked and passwords left out,
    which changes no decision: the same card looks the same everywhere.
    """
    sys.exit(_carry_out(file, Show(charger, differences=differences, as_json=as_json), until))


def _carry_out(file: Path, show: Show, until: str | None) -> int:
    try:
        with FlightReader(file) as reader:
            return _replay(reader, show, _Until(until))
    except FlightFault as fault:
        show.fail(str(fault))
        return REFUSED


def _replay(reader: FlightReader, show: Show, until: _Until) -> int:
    """Raises FlightFault."""
    again = _begin(reader)
    show.header(reader)
    try:
        with moving("deciding again", reader.size_bytes, quiet=show.is_lively) as moved:
            for line in reader.lines():
                if until.is_over(line):
                    break
                if charger_is_wanted(line, reader):
                    for found in _fed(again, line, reader.number):
                        show.take(found)
                if not reader.number % 500:
                    moved(reader.read_bytes)
    finally:  # also of a damaged file: what came before it counts
        for found in again.end():
            show.take(found)
        show.summary(again.counts)
    return REFUSED if again.counts.differing else OK


def charger_is_wanted(line: Line, reader: FlightReader) -> bool:
    """A file of one charger may hold nothing else; all of a site's are fed, whichever is shown."""
    return not reader.header.charger or line.charger in ("", reader.header.charger)


def _begin(reader: FlightReader) -> Replay:
    try:
        return Replay(reader.header.site or {}, _zone, redacted)
    except (ValueError, TypeError) as error:
        raise FlightFault(
            f"line 1: what the site decides cannot be read: {plain(str(error))[:200]}"
        ) from error


def _fed(again: Replay, line: Line, line_number: int) -> Iterator[Found]:
    try:
        yield from again.feed(line)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise FlightFault(f"line {line_number} is damaged: {plain(str(error))[:200]}") from error


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


class _Until:
    """The end that was asked for; a time of day is the first after the recording begins."""

    def __init__(self, text: str | None) -> None:
        self._text = text or ""
        self._at: float | None = None
        if text is not None and ":" in text and len(text) <= 8:
            self._clock_s()
        elif text is not None:
            parsed = parse_timestamp(text)
            if parsed is None:
                raise click.UsageError(f"--until {text}: must be 03:44, 03:44:07 or 2026-11-21T03:44:07Z")
            self._at = parsed[0]

    def _clock_s(self) -> float:
        try:
            parts = [int(part) for part in self._text.split(":")]
            hours, minutes, seconds = (*parts, 0, 0)[:3]
            return datetime(2000, 1, 1, hours, minutes, seconds, tzinfo=UTC).timestamp() % 86_400
        except ValueError as error:
            raise click.UsageError(f"--until {self._text}: must be a time of day such as 03:44") from error

    def is_over(self, line: Line) -> bool:
        if self._text and self._at is None:
            self._at = line.at + (self._clock_s() - line.at) % 86_400
        return self._at is not None and line.at > self._at


class Show:
    """Prints what is found, for people or as JSON."""

    def __init__(self, charger: str | None, *, differences: bool, as_json: bool) -> None:
        self._charger = charger
        self._differences = differences
        self._as_json = as_json
        self._width = None if as_json else terminal_width()
        self.is_lively = as_json or (not differences and self._width is not None)  # no bar in between

    def header(self, reader: FlightReader) -> None:
        header = reader.header
        if not self._as_json:
            self._say(f"site {header.site_id}, recorded by edgegw {header.edgegw}")
            if header.edgegw != __version__:
                self._say(f"this is edgegw {__version__}: where they decide otherwise, it differs")

    def take(self, found: Found) -> None:
        who = found.charger if isinstance(found, Differs) else found.line.charger
        if self._charger is not None and who not in (self._charger, ""):
            return
        if isinstance(found, Differs):
            self._differs(found)
        elif not self._differences:
            self._decided(found)

    def _decided(self, found: Decided) -> None:
        line = found.line
        if self._as_json:
            self._json(_as_json(found))
            return
        self._say(f"{_time(line.at)} {line.charger:<12} {happened(line)}")
        for effect in found.effects:
            self._say(f"    - {decided(effect)}")
        if found.note:
            self._say(f"    ({found.note})")

    def _differs(self, found: Differs) -> None:
        if self._as_json:
            self._json(
                {
                    "differs": {**_at(found.at), "charger": found.charger, "leg": found.leg}
                    | {"then": found.then, "text": found.text}
                }
            )
            return
        when = "sent then, not now" if found.then else "sent now, not then"
        words = frame_words(found.text.encode("utf-8", "replace"))
        self._say(f"{_time(found.at)} {found.charger:<12} DIFFERS, {when}, to the {found.leg}: {words}")

    def summary(self, counts: Counts) -> None:
        if self._as_json:
            self._json({"summary": {name: getattr(counts, name) for name in Counts.__struct_fields__}})
            return
        self._say("")
        self._say(
            f"{number(counts.events, 'event')} decided again, {number(counts.same, 'frame')} sent alike"
        )
        rest = {
            "frames differ: another version, what was before the recording, or a bug": counts.differing,
            "events could not be decided again": counts.undecided,
            "sent frames could not be compared: the state they came from is not recorded": counts.unjudged,
            "frames were decided on when the connection or the recording ended": counts.unsent,
            "events are missing: the recorder had no room for them": counts.missing,
        }
        for words, count in rest.items():
            if count:
                self._say(f"{count} {words}")

    def fail(self, text: str) -> None:
        if self._as_json:
            self._json({"error": {"code": "damaged", "text": text}})
        else:
            click.echo(f"edgegw: {plain(text)}", err=True)

    def _say(self, text: str) -> None:
        line = plain(text)
        click.echo(line if self._width is None else "\n".join(fold(line, self._width)))

    def _json(self, document: dict[str, Any]) -> None:
        click.echo(json.dumps(document))


def _as_json(found: Decided) -> dict[str, Any]:
    line = found.line
    return {
        **_at(line.at),
        "n": line.n,
        "charger": line.charger,
        "event": line.what,
        "action": line.action,
        "decided": [{"what": type(effect).__name__, "words": decided(effect)} for effect in found.effects],
        "note": found.note,
    }


def _at(at: float) -> dict[str, str]:
    return {"at": format_timestamp(at)}


def _time(at: float) -> str:
    return format_timestamp(at)[11:23]
