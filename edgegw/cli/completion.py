"""`edgegw completion`: what makes a shell complete commands, options and the chargers of a gateway."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

VARIABLE = "_EDGEGW_COMPLETE"
HOW = {
    "bash": 'eval "$(edgegw completion bash)" in ~/.bashrc, or the output in'
    " /etc/bash_completion.d/edgegw (bash 4.4 or newer)",
    "zsh": 'eval "$(edgegw completion zsh)" in ~/.zshrc, behind compinit',
    "fish": "edgegw completion fish > ~/.config/fish/completions/edgegw.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(tuple(HOW)))
def completion(shell: str) -> None:
    """Print what a SHELL needs to complete edgegw: commands, options, and chargers of the running gateway.

    \b
    bash   eval "$(edgegw completion bash)"        in ~/.bashrc
    zsh    eval "$(edgegw completion zsh)"         in ~/.zshrc, behind compinit
    fish   edgegw completion fish > ~/.config/fish/completions/edgegw.fish
    """
    from edgegw.cli import edgegw

    found = get_completion_class(shell)
    assert found is not None, "one of click's own"
    click.echo(f"# {HOW[shell]}\n{found(edgegw, {}, 'edgegw', VARIABLE).source()}")
