"""`edgegw commission CHARGER` walks an installer through a new charger and writes a report.

Rules of this file: one line per thing that happens; what a person must answer is asked in words. Ctrl-C asks
whether to skip the step, give up or go on; a second one gives up.
"""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from edgegw.cli.asking import OK, REFUSED, Asking, asks_gateway
from edgegw.cli.tables import fit
from edgegw.commissioning import report as reports
from edgegw.commissioning.driver import CommissioningRun
from edgegw.commissioning.plan import Plan
from edgegw.commissioning.words import Progress, Question, StepRecord
from edgegw.control.client import ControlClient, NotReachable, Refused
from edgegw.redaction import plain

LOOK_S = 0.2
STOPPED = 130
_SIGNS = {"passed": "ok", "remark": "ok, but", "failed": "FAILED", "skipped": "skipped"}


@click.command()
@click.argument("charger")
@click.option("--connector", default=1, show_default=True, type=click.IntRange(1, 100))
@click.option("--circuit", default="", help="The fuse it hangs on; asked for when there are several.")
@click.option("--phases", default="", help='Grid phases on its terminals, such as "L2 L3 L1" or "L2".')
@click.option("--max", "max_a", type=float, help="What the charger can give, in amps per phase.")
@click.option("--min", "min_a", type=float, help="The least a car is given.")
@click.option("--safe", "safe_a", type=float, help="What it may draw when nobody steers it.")
@click.option("--report", "target", type=click.Path(path_type=Path), help="Write FILE.json and FILE.txt.")
@click.option("--force", is_flag=True, help="Replace the files of --report when they are there.")
@click.option("--by", default="", help="Your name, for the report.")
@click.option("--yes", is_flag=True, help="Answer every question with yes.")
@asks_gateway
def commission(
    client: ControlClient,
    asking: Asking,
    charger: str,
    connector: int,
    circuit: str,
    phases: str,
    max_a: float | None,
    min_a: float | None,
    safe_a: float | None,
    target: Path | None,
    force: bool,
    by: str,
    yes: bool,
) -> int:
    """Let a charger in, wire it, step its limit, check its phases and its fall-back, write a report.

    Exit code 1 when it failed or not everything could be tested (incomplete), 130 when it was given up with
    Ctrl-C; the report is written all the same.
    """
    if target is not None:  # before anybody plugs in a car
        _check_new(target, force=force)
    client.health()  # nobody there: say so before anything is asked
    plan = Plan(
        charger,
        connector,
        circuit=circuit,
        phases=" ".join(phases.replace(",", " ").split()),
        max_a=max_a,
        min_a=min_a,
        safe_a=safe_a,
        yes=yes,
    )
    run = CommissioningRun(asking.client, plan, by=by or _user())
    run.start()
    went_through = _accompany(run, Teller(quiet=asking.as_json))
    code = _finish(run, asking, target, force=force)
    return code if went_through else STOPPED


def _check_new(target: Path, *, force: bool) -> None:
    try:
        reports.check_new(target, replace=force)
    except OSError as error:
        code = "exists" if isinstance(error, FileExistsError) else "not_written"
        raise Refused(0, code, _not_written(target, error)) from error


def _not_written(target: Path, error: OSError) -> str:
    return f"the report {error.filename or target}: {error.strerror or error}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # nobody of that number has a name here
        return ""


def _finish(run: CommissioningRun, asking: Asking, target: Path | None, *, force: bool) -> int:
    """Tells and keeps what was found. Raises NotReachable when the gateway went."""
    found = run.report()
    if not run.state.fault:
        click.echo(found.to_json() if asking.as_json else _result(found), nl=not asking.as_json)
    if target is not None:
        _keep(found, target, force=force)
    if run.state.fault:
        raise NotReachable(run.state.fault)
    return OK if found.result.startswith("passed") else REFUSED


def _result(found: reports.Report) -> str:
    words = f"\nresult: {found.result}"
    return fit(f"{words}: {found.untested}") if found.result == "incomplete" else words


def _keep(found: reports.Report, target: Path, *, force: bool) -> None:
    try:
        as_json, as_text = reports.write(found, target, replace=force)
    except OSError as error:
        raise click.ClickException(_not_written(target, error)) from error
    click.echo(f"report: {as_text} and {as_json}", err=True)


class Teller:
    """Says what is new since it was asked last. Everything but the report goes to stderr with `quiet`."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._ended: set[str] = set()
        self._said = ""

    def tell(self, state: Progress) -> None:
        for step in state.steps:
            if step.key not in self._ended and step.verdict not in ("waiting", "running"):
                self._ended.add(step.key)
                self._say("\n".join(_step_lines(step)))
        now = state.fault or state.text
        stem = now.split(" in ")[0]  # a countdown is said once
        if now and stem != self._said and not state.finished:
            self._said = stem
            self._say(f"   {now}")

    def _say(self, text: str) -> None:
        click.echo(fit(plain_lines(text)), err=self._quiet)


def plain_lines(text: str) -> str:
    return "\n".join(plain(line) for line in text.splitlines())


def _step_lines(step: StepRecord) -> list[str]:
    lines = [f"{step.title}: {_SIGNS.get(step.verdict, step.verdict)} {step.text}"]
    return [*lines, *(f"     {name}: {value}" for name, value in step.values)]


def _accompany(run: CommissioningRun, teller: Teller) -> bool:
    """To its end. False: the person gave up."""
    went_through = True
    while True:
        try:
            teller.tell(run.state)
            if run.join(LOOK_S):
                break
            if run.state.question is not None:
                went_through = _ask(run, run.state.question) and went_through
        except KeyboardInterrupt:
            went_through = _interrupted(run) and went_through
    teller.tell(run.state)
    return went_through


def _ask(run: CommissioningRun, question: Question) -> bool:
    """False: given up."""
    keys = [choice.key for choice in question.choices]
    words = "\n".join(f"  {choice.key}: {choice.label}" for choice in question.choices)
    text = fit(plain_lines(question.text if keys == ["yes", "no"] else f"{question.text}\n{words}"), err=True)
    try:
        key = click.prompt(text, type=click.Choice(keys), err=True)
    except click.Abort:
        run.abort()
        return False
    run.answer(key)
    while run.state.question == question and not run.join(LOOK_S):
        pass
    return True


def _interrupted(run: CommissioningRun) -> bool:
    """False: given up."""
    try:
        said = click.prompt(
            "\nskip this step (s), give up (x), or go on (enter)?", default="", show_default=False, err=True
        )
        if said == "s":
            run.skip(click.prompt("why?", err=True))
        elif said == "x":
            run.abort()
            return False
    except (click.Abort, KeyboardInterrupt, ValueError):
        run.abort()
        return False
    return True
