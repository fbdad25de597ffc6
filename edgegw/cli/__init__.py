"""The front door: the `edgegw` group. Arguments only; every command lives in a module of its own.

Rules of this room:
- A command is imported when it is used, not before: `edgegw --version` and `edgegw check` must not pay
  for a web framework. A new command is one line in COMMANDS and one module beside this file.
- Exit codes: 0 done, 1 it did not work out (said in words), 2 wrong arguments or a wrong site file;
  commands that ask a running gateway add 3 (it cannot be reached) and 4 (no answer in time).
- What a person reads goes to stdout, complaints to stderr, and `--json` prints one JSON document.
"""

from __future__ import annotations

import importlib

import click

from edgegw import __version__

# command -> "module:attribute" and its line in `edgegw --help`, so that listing imports nothing
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("edgegw.cli.run:run", "Run the gateway."),
    "demo": ("edgegw.cli.demo:demo", "Watch a site live through a cloud outage, on this machine."),
    "status": ("edgegw.cli.status:status", "How the gateway is and what the site does."),
    "chargers": ("edgegw.cli.chargers:chargers", "All chargers, or one in detail."),
    "power": ("edgegw.cli.power:power", "Who may draw what, and why."),
    "limit": ("edgegw.cli.power:limit", "Lower a circuit below its fuse for a while."),
    "alarms": ("edgegw.cli.alarms:alarms", "What is wrong, and what to do about it."),
    "events": ("edgegw.cli.events:events", "What chargers reported, and what to do about it."),
    "transactions": ("edgegw.cli.transactions:transactions", "Transactions, newest first."),
    "firmware": ("edgegw.cli.firmware:firmware", "Firmware kept here, and bringing it to chargers."),
    "diagnostics": ("edgegw.cli.diagnostics:diagnostics", "What chargers uploaded; fetch the log of one."),
    "queue": ("edgegw.cli.queue:queue", "What waits for the cloud."),
    "audit": ("edgegw.cli.audit:audit", "Who ordered what of this box, newest first."),
    "call": ("edgegw.cli.call:call", "Send a CALL to a charger and print its answer."),
    "meter": ("edgegw.cli.meter:meter", "Find a Modbus meter, and see what it says."),
    "mqtt": ("edgegw.cli.mqtt:mqtt", "Watch what is published at the building's broker; send a command."),
    "check": ("edgegw.cli.check:check", "Read a site file and say what is wrong with it."),
}


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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="edgegw", message="edgegw %(version)s")
def edgegw() -> None:
    """The gateway at a parking site, between EV chargers and the operator's cloud."""
