"""The walk through a new charger, as lines and texts. Pure."""

from __future__ import annotations

from rich.text import Text

from edgegw.commissioning.words import Progress, Question, StepRecord
from edgegw.redaction import plain
from edgegw.tui.table import Column, Row
from edgegw.tui.words import amps, phases

COLUMNS = (
    Column("", 1),
    Column("STEP", 29),
    Column("VERDICT", 8),
    Column("", 30, 1, rank=1),
)
_VERDICTS = {
    "waiting": (".", "dim"),
    "running": (">", "bold cyan"),
    "passed": ("v", "green"),
    "remark": ("!", "yellow"),
    "failed": ("x", "bold red"),
    "skipped": ("-", "yellow"),
}
_RESULTS = {
    "passed": ("v", "bold green"),
    "passed with remarks": ("!", "bold yellow"),
    "incomplete": ("!", "bold yellow"),
    "failed": ("x", "bold white on red"),
    "aborted": ("-", "bold yellow"),
}


def step_row(step: StepRecord) -> Row:
    sign, style = _VERDICTS[step.verdict]
    cells = ((sign, style), plain(step.title), (step.verdict, style), plain(step.text))
    return Row(step.key, cells, "dim" if step.verdict == "waiting" else "")


def about_step(step: StepRecord) -> Text:
    sign, style = _VERDICTS[step.verdict]
    text = Text()
    text.append(f"{sign} {plain(step.title)}: {step.verdict}\n", style)
    if step.text:
        text.append(plain(step.text) + "\n")
    for name, value in step.values:
        text.append(f"{plain(name):>24}  ", "cyan")
        text.append(plain(value) + "\n")
    return text


def readings(state: Progress) -> Text:
    """What was ordered, what the charger says it took and draws, and what the site's meter says."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for name, value in (
        ("limit", f"{amps(state.limit_a)} A"),
        ("charger took", f"{amps(state.accepted_a)} A"),
        ("it draws", f"{phases(state.drawn_a or ())} A" if state.drawn_a else "-"),
        ("meter", f"{phases(state.meter_a or ())} A" if state.meter_a else "-"),
    ):
        text.append(f" {name} ", "cyan")
        text.append(f"{value} ", "bold")
    return text


def now_text(state: Progress) -> Text:
    """What happens now, what to do, and what is asked."""
    text = Text()
    if state.fault:
        text.append(f"x the gateway cannot be asked, trying again: {plain(state.fault)}\n", "bold red")
    if state.finished:
        sign, style = _RESULTS.get(state.result, (" ", "bold"))
        text.append(f"{sign} {state.result or 'over'}\n", style)
    text.append("\n".join(plain(line) for line in state.text.split("\n")))
    if state.question is not None:
        text.append_text(_question(state.question))
    elif state.finished:
        text.append("\nw writes the report into a file; esc leads back", "cyan")
    return text


def _question(question: Question) -> Text:
    text = Text("\n\n")
    text.append("\n".join(plain(line) for line in question.text.split("\n")), "bold yellow")
    text.append("\n")
    keys = {choice.key for choice in question.choices}
    if keys == {"yes", "no"}:
        labels = {choice.key: plain(choice.label) for choice in question.choices}
        text.append(f"y {labels['yes']}    n {labels['no']}", "bold cyan")
    else:
        text.append("enter to choose: ", "bold cyan")
        text.append(" / ".join(plain(choice.label) for choice in question.choices), "cyan")
    return text
