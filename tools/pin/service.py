"""`fleek-pin service | login`: which services there are, which one is asked, and with what token."""

import os
import sys
from typing import Any, Final

import click

from runtime.errors import EdgeError, UsageError
from tools.pin.book import ANY_STATUS, Wanted
from tools.pin.invocation import TOKEN_VARIABLE, Invocation, command, completed_service
from tools.pin.psa import Psa
from tools.pin.remote import RemoteBook
from tools.pin.settings import Service, checked_endpoint, checked_name, checked_token
from tools.pin.settings_file import save

_TOKEN_BYTES_MAX: Final = 8192


@click.group()
def service() -> None:
    """Add, list, choose and remove pinning services.

    Any that speaks the IPFS Pinning Service API 1.0.0. They are kept in $FLEEK_PIN_CONFIG, else in
    fleek/pin.toml of the XDG configuration folder, which nobody else may read.

    \b
    Example:
      fleek-pin service add mine https://edge.example/pinning/v1
      fleek-pin service ls --stat
    """


@service.command()
@click.argument("name")
@click.argument("endpoint", metavar="URL")
@click.option("--use/--no-use", default=None, help="Ask it from now on [default: when it is the first].")
@command
def add(invocation: Invocation, name: str, endpoint: str, use: bool | None) -> None:
    """Add a service, or give one another address.

    URL is what `/pins` follows. The token comes by `fleek-pin login NAME`, never as an argument. A new
    address does not get the token of the old one.

    \b
    Example:
      fleek-pin service add mine http://127.0.0.1:8080/pinning/v1
      fleek-pin service add other https://api.example.com/psa --use
    """
    settings = invocation.settings
    checked = checked_endpoint(endpoint, "URL")
    before = settings.services.get(checked_name(name))
    token = before.token if before is not None and before.endpoint == checked else None
    settings.services[name] = Service(name, checked, token)
    if use or (use is None and settings.use not in settings.services):
        settings.use = name
    save(settings)
    _tell(invocation, settings.services[name], in_use=settings.use == name)
    if token is None:
        invocation.out.note(f"next: `fleek-pin login {name}`")


@service.command()
@click.option("--stat", is_flag=True, help="Ask each how many pins it has.")
@command
def ls(invocation: Invocation, stat: bool) -> None:
    """List services; * marks the one in use. Tokens are not shown.

    With --stat one that does not answer is told with its error, and the exit code is that of the first.

    \b
    Example:
      fleek-pin service ls
      fleek-pin service ls --stat --json
    """
    settings = invocation.settings
    problem: EdgeError | None = None
    for name, each in sorted(settings.services.items()):
        counts: dict[str, int] | EdgeError | None = None
        if stat:
            try:
                counts = _counts(each)
            except EdgeError as error:
                counts = error
                problem = problem or error
        _tell(invocation, each, in_use=settings.use == name, counts=counts)
    if not settings.services:
        invocation.out.note("no service yet: `fleek-pin service add NAME URL`")
    if problem is not None:
        raise problem


def _counts(each: Service) -> dict[str, int]:
    """With the token kept for it: one of the environment is not meant for all services."""
    with Psa(each) as psa:
        book = RemoteBook(psa)
        return {status: book.count(Wanted(statuses=(status,))) for status in ANY_STATUS}


@service.command()
@click.argument("name", shell_complete=completed_service)
@command
def rm(invocation: Invocation, name: str) -> None:
    """Forget a service and its token. Its pins stay.

    \b
    Example:
      fleek-pin service rm other
    """
    settings = invocation.settings
    settings.service(name)
    del settings.services[name]
    settings.use = None if settings.use == name else settings.use
    save(settings)
    invocation.out.record({"service": name, "removed": True}, f"removed {name}")
    if settings.use is None and settings.services:
        invocation.out.note("none is in use now: `fleek-pin service use NAME`")


@service.command()
@click.argument("name", shell_complete=completed_service)
@command
def use(invocation: Invocation, name: str) -> None:
    """Ask this service from now on when none is named.

    \b
    Example:
      fleek-pin service use mine
    """
    settings = invocation.settings
    chosen = settings.service(name)
    settings.use = name
    save(settings)
    _tell(invocation, chosen, in_use=True)


@click.command()
@click.argument("name", required=False, shell_complete=completed_service)
@click.option("--no-check", is_flag=True, help="Keep the token without asking the service.")
@command
def login(invocation: Invocation, name: str | None, no_check: bool) -> None:
    """Keep the token of a service.

    Read from $FLEEK_PIN_TOKEN, else from standard input, where a terminal does not show it. It is tried
    first, and kept where only you can read it. Never an argument: others see those.

    \b
    Example:
      fleek-pin login mine < token.txt
      fleek-edge token add --account me --scope pin | fleek-pin login mine
    """
    settings = invocation.settings
    name = name or invocation.service_name or settings.use
    if name is None:
        raise UsageError(
            "no service to log in to", where="NAME", hint="`fleek-pin service add NAME URL` first"
        )
    known = settings.service(name)
    found = Service(name, known.endpoint, _token(name))
    if not no_check:
        with Psa(found) as psa:
            RemoteBook(psa).count(Wanted())
    settings.services[name] = found
    save(settings)
    invocation.out.record({"service": name, "logged_in": True}, f"logged in to {name}")


def _token(name: str) -> str:
    named = os.environ.get(TOKEN_VARIABLE)
    if named:
        return checked_token(named, TOKEN_VARIABLE)
    if sys.stdin.isatty():
        return checked_token(str(click.prompt(f"token of {name}", hide_input=True, err=True)), "terminal")
    data = sys.stdin.buffer.read(_TOKEN_BYTES_MAX + 1)
    if len(data) > _TOKEN_BYTES_MAX:
        raise UsageError("that is no token: too long", where="standard input")
    return checked_token(data.decode("latin-1"), "standard input")


def _tell(
    invocation: Invocation,
    each: Service,
    *,
    in_use: bool,
    counts: dict[str, int] | EdgeError | None = None,
) -> None:
    record: dict[str, Any] = {
        "service": each.name,
        "endpoint": each.endpoint,
        "has_token": each.token is not None,
        "in_use": in_use,
    }
    marks, said = "" if each.token is not None else "  (no token)", ""
    if isinstance(counts, EdgeError):
        record |= counts.as_json()
        said = f"  {counts.message}"
    elif counts is not None:
        record["pins"] = counts
        said = "  " + ", ".join(f"{number} {word}" for word, number in counts.items())
    invocation.out.record(record, f"{'*' if in_use else ' '} {each.name:<12} {each.endpoint}{marks}{said}")
