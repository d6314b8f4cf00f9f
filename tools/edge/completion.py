"""`fleek-edge completion`: the script that makes a shell complete our commands."""

import click
from click.shell_completion import get_completion_class

from tools.edge.main import COMPLETE_VARIABLE, PROGRAM, edge


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
    script = get_completion_class(shell)
    assert script is not None, "click knows the three shells of the choice"
    click.echo(script(edge, {}, PROGRAM, COMPLETE_VARIABLE).source())
