"""What every command of `fleek-pin` is given: the output, the settings, and the pins it is to work on."""

import functools
import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec

import click

from runtime.errors import UsageError
from tools.frame.output import Output
from tools.pin.book import Book
from tools.pin.settings import (
    FROM_ENVIRONMENT,
    Service,
    Settings,
    checked_endpoint,
    checked_token,
    read_settings,
    service_names,
)

P = ParamSpec("P")
ENDPOINT_VARIABLE: Final = "FLEEK_PIN_ENDPOINT"
TOKEN_VARIABLE: Final = "FLEEK_PIN_TOKEN"  # noqa: S105  # its name
_DATA_VARIABLE: Final = "FLEEK_EDGE_DATA"


class Invocation:
    """One run of one command. `service_name`, `data`: what the command line said, if it did."""

    def __init__(self, out: Output, service_name: str | None, data: Path | None) -> None:
        self.out = out
        self.service_name = service_name
        self._data = data

    @functools.cached_property
    def settings(self) -> Settings:
        """What `pin.toml` says. Raises UsageError, Forbidden."""
        return read_settings(os.environ)

    def service(self, name: str | None = None) -> Service | None:
        """Who is asked: `name`, --service, the environment, or the one in use; None: the store of `data`.

        A token of the environment wins over the one kept. Raises UsageError, NotFound.
        """
        if self._data is not None:
            if self.service_name is not None:
                raise UsageError("give --service or --data, not both", where="--service, --data")
            return None
        found = self._chosen(name or self.service_name)
        token = os.environ.get(TOKEN_VARIABLE)
        if found is None or not token:
            return found
        return Service(found.name, found.endpoint, checked_token(token, TOKEN_VARIABLE))

    def _chosen(self, name: str | None) -> Service | None:
        if name is not None:
            return self.settings.service(name)
        endpoint = os.environ.get(ENDPOINT_VARIABLE)
        if endpoint:
            return Service(FROM_ENVIRONMENT, checked_endpoint(endpoint, ENDPOINT_VARIABLE))
        if self.settings.use is not None:
            return self.settings.service(self.settings.use)
        if os.environ.get(_DATA_VARIABLE):
            return None
        if self.settings.services:
            hint = (
                f"`fleek-pin service use NAME`, or --service NAME; known: {', '.join(self.settings.services)}"
            )
            raise UsageError("no service is in use", where=str(self.settings.path), hint=hint)
        hint = "`fleek-pin service add NAME URL`, then `fleek-pin login NAME`; or --data DIR for a store here"
        raise UsageError("no pinning service is configured", where=str(self.settings.path), hint=hint)

    @property
    def data(self) -> Path | None:
        """The data folder that was named, for a command that works on the store."""
        return self._data

    @contextmanager
    def book(self, *, create: bool = False) -> Iterator[Book]:
        """The pins of whoever is asked. `create`: make the store of a data folder that has none."""
        service = self.service()
        # By name: neither HTTP nor the store is loaded by those who need the other
        if service is None:
            local = importlib.import_module("tools.pin.local")
            with local.opened(self._data, create=create) as book:
                yield book
        else:
            psa = importlib.import_module("tools.pin.psa").Psa(service)
            with psa:
                yield importlib.import_module("tools.pin.remote").RemoteBook(psa)


def completed_service(_context: click.Context, _parameter: click.Parameter, beginning: str) -> list[str]:
    """For a shell that completes the name of a service."""
    return service_names(os.environ, beginning)


def command(
    function: Callable[Concatenate[Invocation, P], int | None],
) -> Callable[P, int | None]:
    """Give a click command `--service`, `--data` and `--json`, and its function an `Invocation` first.

    The three may also stand before the command's name (`fleek-pin --service mine ls`).
    """

    @click.option(
        "--service",
        "service_name",
        metavar="NAME",
        shell_complete=completed_service,
        help="Service [default: the one in use].",
    )
    @click.option(
        "--data",
        type=click.Path(path_type=Path),
        help="Work on the store in this folder; needs no service and no node.",
    )
    @click.option("--json", "as_json", is_flag=True, help="One JSON object a line; errors as JSON on stderr.")
    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> int | None:
        before = click.get_current_context().find_root().params
        data = options.pop("data") or before.get("data")
        invocation = Invocation(
            Output(as_json=options.pop("as_json") or before.get("as_json", False)),
            options.pop("service_name") or before.get("service"),
            None if data is None else Path(data),
        )
        return function(invocation, *args, **options)

    return wrapped
