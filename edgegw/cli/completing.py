"""Identities of chargers for whoever presses TAB: quickly or not at all, and never a word about why not."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

WITHIN_S = 0.8


def charger_names(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Those of the running gateway that begin so."""
    try:
        return [CompletionItem(name) for name in _known(context) if name.startswith(begun)]
    except Exception:  # noqa: BLE001 - the edge: a traceback in the middle of a command line helps nobody
        return []


def _known(context: click.Context) -> list[str]:
    from edgegw.cli.asking import Asking

    given: dict[str, Any] = {}
    while context is not None:  # what the outer command was told counts where this one was told nothing
        given = {**context.params, **{name: value for name, value in given.items() if value}}
        if context.parent is None:
            break
        context = context.parent
    told = {name: given[name] for name in ("socket", "config", "url", "token_file") if given.get(name)}
    with Asking(**told).client(timeout_s=WITHIN_S) as client:
        return [charger.identity for charger in client.chargers().chargers]
