"""What every command is given: the output, the configuration and the store of this run."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import click

from blockstore import Store
from node.config import Config, load
from runtime.clock import SystemClock
from runtime.errors import NotFound
from tools.frame.output import Output

P = ParamSpec("P")


class Invocation:
    """One run of one command."""

    def __init__(self, out: Output, data: Path | None, config_file: Path | None) -> None:
        self.out = out
        self._data = data
        self._config_file = config_file

    def config(self, **flags: object) -> Config:
        """The configuration under `flags` (settings of `[node]`; None = not given). Raises UsageError."""
        return load(self._config_file, os.environ, {"data": self._data, **flags})

    @contextmanager
    def store(self, *, create: bool = False) -> Iterator[Store]:
        """The store, open until the block ends. NotFound where there is none and `create` is false."""
        config = self.config()
        data = config.node.data
        if not create and not (data / "format").exists():
            hint = "`fleek-edge put` and `fleek-edge serve` make one; --data names another folder"
            raise NotFound("there is no store here", where=str(data), hint=hint)
        store = Store.open(data, config.store, SystemClock(), create=create)
        try:
            yield store
        finally:
            store.close()


def command(
    function: Callable[Concatenate[Invocation, P], int | None],
) -> Callable[P, int | None]:
    """Give a click command `--data`, `--config` and `--json`, and its function an `Invocation` first.

    The three may also stand before the command's name (`fleek-edge --data D ls`).
    """

    @click.option(
        "--data", type=click.Path(path_type=Path), help="Data folder [env: FLEEK_EDGE_DATA; default: XDG]."
    )
    @click.option(
        "--config", "config_file", type=click.Path(path_type=Path), help="Configuration file (TOML)."
    )
    @click.option("--json", "as_json", is_flag=True, help="One JSON object a line; errors as JSON on stderr.")
    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> int | None:
        before = click.get_current_context().find_root().params
        invocation = Invocation(
            Output(as_json=options.pop("as_json") or before.get("as_json", False)),
            options.pop("data") or before.get("data"),
            options.pop("config_file") or before.get("config_file"),
        )
        return function(invocation, *args, **options)

    return wrapped
