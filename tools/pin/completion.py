"""`fleek-pin completion`: the script that makes a shell complete our commands."""

import click

from tools.pin.main import PROGRAM


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a shell completion script.

    \b
    Example:
      fleek-pin completion bash > ~/.local/share/bash-completion/completions/fleek-pin
      fleek-pin completion zsh > ~/.zfunc/_fleek-pin
      fleek-pin completion fish > ~/.config/fish/completions/fleek-pin.fish
    """
    click.echo(PROGRAM.completion(shell))
