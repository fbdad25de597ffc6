"""The front door: the `edgegw` group. Arguments only; every command lives in a module of its own.

Rules of this room:
- A command is imported when it is used, not before: `edgegw --version` and `edgegw check` must not pay
  for a web framework. A new command is one line in COMMANDS and one module beside this file.
- Exit codes are those of EXIT_CODES, for every command; a help text says only what is special there.
- What a person reads goes to stdout, complaints to stderr, and `--json` prints one JSON document.
"""

from __future__ import annotations

import importlib

import click
from click.shell_completion import CompletionItem

from edgegw import __version__

# command -> "module:attribute" and its line in `edgegw --help`, so that listing imports nothing
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("edgegw.cli.run:run", "Run the gateway."),
    "demo": ("edgegw.cli.demo:demo", "Watch a site live through a cloud outage, on this machine."),
    "console": ("edgegw.cli.console:console", "Look at the running gateway, in this terminal."),
    "status": ("edgegw.cli.status:status", "How the gateway is and what the site does."),
    "chargers": ("edgegw.cli.chargers:chargers", "All chargers, or one in detail."),
    "charger": ("edgegw.cli.charger:charger", "One charger in detail, and what may be ordered of it."),
    "power": ("edgegw.cli.power:power", "Who may draw what, and why."),
    "limit": ("edgegw.cli.power:limit", "Lower a circuit below its fuse for a while."),
    "alarms": ("edgegw.cli.alarms:alarms", "What is wrong, and what to do about it."),
    "events": ("edgegw.cli.events:events", "What chargers reported, and what to do about it."),
    "transactions": ("edgegw.cli.transactions:transactions", "Transactions, newest first."),
    "firmware": ("edgegw.cli.firmware:firmware", "Firmware kept here, and bringing it to chargers."),
    "diagnostics": ("edgegw.cli.diagnostics:diagnostics", "What chargers uploaded; fetch the log of one."),
    "messages": ("edgegw.cli.messages:messages", "OCPP messages of the last hours, and as they pass."),
    "replay": ("edgegw.cli.replay:replay", "Decide a recording of messages again, and show every decision."),
    "queue": ("edgegw.cli.queue:queue", "What waits for the cloud."),
    "log": ("edgegw.cli.log:log", "What the running gateway logs."),
    "audit": ("edgegw.cli.audit:audit", "Who ordered what of this box, newest first."),
    "call": ("edgegw.cli.call:call", "Send a CALL to a charger and print its answer."),
    "strangers": ("edgegw.cli.wiring:strangers", "Chargers that knock and are not known; let one in."),
    "commission": ("edgegw.cli.commission:commission", "Walk through a new charger, and write a report."),
    "wiring": ("edgegw.cli.wiring:wiring", "What was commissioned, as tables for the site file."),
    "meter": ("edgegw.cli.meter:meter", "Find a Modbus meter, and see what it says."),
    "mqtt": ("edgegw.cli.mqtt:mqtt", "Watch what is published at the building's broker; send a command."),
    "backup": ("edgegw.cli.backup:backup", "Copy the store of the running gateway to a file."),
    "restore": ("edgegw.cli.restore:restore", "Put a backup in the place of this box's store."),
    "doctor": (
        "edgegw.cli.doctor:doctor",
        "What looks wrong, and what to do about it.",
    ),
    "init": ("edgegw.cli.init:init", "Ask a few questions and write a site file."),
    "completion": ("edgegw.cli.completion:completion", "Completion of commands for your shell."),
    "check": ("edgegw.cli.check:check", "Read a site file and say what is wrong with it."),
}


STOPPED = 130
EXIT_CODES = """\b
Exit codes, of every command:
    0  done; of status, check and doctor: all right
    1  not done, or something is wrong: the reason is printed
    2  wrong arguments, or a wrong site file
    3  no gateway, or no broker, can be reached
    4  no answer in time
   70  console only: a bug ended it; the last line names its log
   75  run only: the store broke; start the gateway again
  130  stopped with Ctrl-C; what goes on until then (--follow) ends with 0"""


class LazyGroup(click.Group):
    """A group that imports the module of a command when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (click.Abort, KeyboardInterrupt):  # the end of input is to a question what Ctrl-C is
            click.echo("stopped", err=True)
            ctx.exit(STOPPED)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names and lines of commands without importing them: TAB must answer at once."""
        begun = ((name, line) for name, (_, line) in COMMANDS.items() if name.startswith(incomplete))
        found = [CompletionItem(name, help=line) for name, line in begun]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(__version__, package_name="edgegw", message="edgegw %(version)s")
def edgegw() -> None:
    """The gateway at a parking site, between EV chargers and the operator's cloud."""
