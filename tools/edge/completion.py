"""`fleek-edge completion`: the script that makes a shell complete our commands."""

import click

from tools.edge.main import PROGRAM


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a shell completion script.

    \b
    Example:
      fleek-edge completion bash > ~/.local/share/bash-completion/completions/fleek-edge
      fleek-edge completion zsh > ~/.zfunc/_fleek-edge
      fleek-edge completion fish > ~/.config/fish/completions/fleek-edge.fish
    """
    click.echo(PROGRAM.completion(shell))
