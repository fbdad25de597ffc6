"""`edgegw charger`: one charger, what is known of it and what may be ordered of it.

Rules of this file: `edgegw charger CP-7` is `edgegw charger detail CP-7`; the commands stand
in the files beside this one.
"""

from __future__ import annotations

import click

from edgegw.cli import charger_act, charger_hold, charger_set, charger_show


class _OneCharger(click.Group):
    """A first word that is no command is the identity of a charger."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            raise click.UsageError("name a charger first: edgegw charger CHARGER [OPTIONS]", ctx)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            rest = args[1:]
            if rest[:1] and rest[0] in self.commands:  # `charger CP-7 detail`, `charger CP-7 settings`
                return rest[0], self.commands[rest[0]], [args[0], *rest[1:]]
            return "detail", self.commands["detail"], args
        return super().resolve_command(ctx, args)


@click.group(
    cls=_OneCharger,
    context_settings={"ignore_unknown_options": False},
    subcommand_metavar="CHARGER | COMMAND CHARGER [ARGS]...",
)
def charger() -> None:
    """One charger: `edgegw charger CP-7`, and what may be ordered of it.

    What stops a car or cuts a charger off asks before on a terminal; --yes does not.
    """


for _command in (
    charger_show.detail,
    charger_show.profile,
    charger_set.settings,
    charger_set.set_value,
    charger_act.reset,
    charger_act.unlock,
    charger_act.availability,
    charger_act.start,
    charger_act.stop,
    charger_act.trigger,
    charger_hold.limit,
    charger_hold.bypass,
):
    charger.add_command(_command)
