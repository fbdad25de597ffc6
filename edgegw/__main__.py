"""`python -m edgegw` and the `edgegw` script: hand over to the command line."""

from __future__ import annotations

import gc

from edgegw.cli import edgegw

# What is imported stays: to look through it again and again would be a tenth of the start.
COLLECT_AFTER_OBJECTS = 50_000


def main() -> None:
    gc.set_threshold(COLLECT_AFTER_OBJECTS)
    edgegw(prog_name="edgegw")


if __name__ == "__main__":
    main()
