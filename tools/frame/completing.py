"""What a shell that completes a command line is told of arguments that are files."""

import click
from click.shell_completion import CompletionItem


def completed_path(
    _context: click.Context, _parameter: click.Parameter, beginning: str
) -> list[CompletionItem]:
    """For arguments that are paths, or may be: the shell completes them itself."""
    return [CompletionItem(beginning, type="file")]
