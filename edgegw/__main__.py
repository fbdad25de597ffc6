"""`python -m edgegw` and the `edgegw` script: hand over to the command line."""

from __future__ import annotations

from edgegw.cli import edgegw


def main() -> None:
    edgegw(prog_name="edgegw")


if __name__ == "__main__":
    main()
