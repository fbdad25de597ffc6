"""The third program: do the chargers' ledgers and the cloud's ledger tell the same story?

    python -m edgegw.sim.audit CHARGERS.jsonl... --cloud CLOUD.jsonl [--json]

Exit 0 when every check holds, 1 when one is broken, 2 when a ledger cannot be read. It looks at
nothing but the ledgers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from edgegw.sim.evidence import gather
from edgegw.sim.verdict import Verdict, judge

OFFENDERS_SHOWN = 10


def audit(
    chargers: Iterable[str | Path],
    cloud: str | Path,
    *,
    replies_lost: int = 0,
    complete: bool = False,
) -> Verdict:
    """Compare ledgers. chargers: ledger files, or directories of `*.jsonl`. Raises OSError."""
    return judge(gather(_files(chargers), cloud), replies_lost=replies_lost, complete=complete)


def _files(paths: Iterable[str | Path]) -> list[Path]:
    found: list[Path] = []
    for path in map(Path, paths):
        found += sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    return found


def table(verdict: Verdict) -> str:
    """The verdict for people."""
    lines = []
    for check in verdict.checks:
        mark = "ok    " if check.holds else "BROKEN"
        lines.append(f"{mark} {check.name:<9} {check.title} ({check.counted})")
        lines += [f"           - {offender}" for offender in check.offenders[:OFFENDERS_SHOWN]]
        if len(check.offenders) > OFFENDERS_SHOWN:
            lines.append(f"           ... and {len(check.offenders) - OFFENDERS_SHOWN} more")
    lines.append("")
    lines += [f"{name.replace('_', ' '):<36}{value:>12,.10g}" for name, value in verdict.facts.items()]
    lines.append("")
    lines.append("the ledgers agree" if verdict.holds else "THE LEDGERS DO NOT AGREE")
    return "\n".join(lines)


def as_json(verdict: Verdict) -> str:
    checks = [{**asdict(check), "holds": check.holds} for check in verdict.checks]
    return json.dumps({"holds": verdict.holds, "checks": checks, "facts": verdict.facts})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="edgegw.sim.audit", description="compare ledgers")
    parser.add_argument("chargers", nargs="+", help="charger ledgers, or directories of them")
    parser.add_argument("--cloud", required=True, help="the cloud's ledger")
    parser.add_argument("--replies-lost", type=int, default=0, help="doubles allowed beyond the explained")
    parser.add_argument("--complete", action="store_true", help="also require that nothing is still open")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        verdict = audit(
            options.chargers, options.cloud, replies_lost=options.replies_lost, complete=options.complete
        )
    except OSError as error:
        sys.stderr.write(f"edgegw.sim.audit: {error}\n")
        return 2
    sys.stdout.write((as_json(verdict) if options.json else table(verdict)) + "\n")
    return 0 if verdict.holds else 1


if __name__ == "__main__":
    sys.exit(main())
