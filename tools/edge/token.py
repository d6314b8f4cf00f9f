"""`fleek-edge token`: who may write, pin, purge and read."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import click

from handshake.principal import ALL_SCOPES, checked_scopes
from handshake.tokens import TokenRow, Tokens
from node.values import duration_s, size_bytes
from runtime.clock import SystemClock
from runtime.errors import UsageError
from tools.edge.invocation import Invocation, command

_LAST_DAY_S: Final = 253_402_214_400.0  # 9999-12-31: what a calendar of four digits can show


@click.group()
def token() -> None:
    """Make, list and revoke access tokens.

    \b
    Example:
      fleek-edge token add --account studio --scope put,read --expires 30d
      fleek-edge token ls
      fleek-edge token revoke 1f0c22aa90d1
    """


@token.command()
@click.option("--account", metavar="A", required=True, help="Who it is for; usage is counted per account.")
@click.option(
    "--scope", metavar="S[,S]...", required=True, multiple=True, help=f"Rights: {', '.join(ALL_SCOPES)}."
)
@click.option("--expires", metavar="TIME", help="How long it is good, such as 12h or 30d; default: for ever.")
@click.option(
    "--quota-bytes", metavar="N", help="Most the account may hold, such as 10GiB; default: no limit."
)
@command
def add(
    invocation: Invocation, account: str, scope: tuple[str, ...], expires: str | None, quota_bytes: str | None
) -> None:
    """Make a token and print it. It is shown this once and only a hash of it is kept.

    \b
    Example:
      fleek-edge token add --account studio --scope put,read --expires 30d --quota-bytes 10GiB
    """
    scopes = checked_scopes(each.strip() for given in scope for each in given.split(","))
    expires_s = (
        None if expires is None else SystemClock().now_s() + _spelled("--expires", expires, duration_s)
    )
    if expires_s is not None and expires_s > _LAST_DAY_S:
        raise UsageError("--expires ends after the year 9999", where="--expires", hint="without it: for ever")
    quota = None if quota_bytes is None else int(_spelled("--quota-bytes", quota_bytes, size_bytes))
    with _tokens(invocation, create=True) as tokens:
        text = tokens.add(account, scopes, expires_s=expires_s, quota_bytes=quota)
    record = {
        "token": text,
        "id": text.split("_")[1],
        "account": account,
        "scopes": list(scopes),
        "expires_s": expires_s,
        "quota_bytes": quota,
    }
    invocation.out.record(record, text)
    invocation.out.note("keep it now: it is not shown again")


@token.command()
@command
def ls(invocation: Invocation) -> None:
    """List tokens: never their secrets.

    \b
    Example:
      fleek-edge token ls --json
    """
    now_s = SystemClock().now_s()
    with _tokens(invocation) as tokens:
        for row in tokens.list():
            state = _state(row, now_s)
            record = {**dataclasses.asdict(row), "state": state}
            plain = f"{row.id}  {state:<8} {row.account:<16} {','.join(row.scopes):<24} {_limits(row)}"
            invocation.out.record(record, plain.rstrip())


@token.command()
@click.argument("identity", metavar="ID")
@command
def revoke(invocation: Invocation, identity: str) -> None:
    """Refuse a token from now on, on every worker, once this returns.

    \b
    Example:
      fleek-edge token revoke 1f0c22aa90d1
    """
    with _tokens(invocation) as tokens:
        row = tokens.revoke(identity)
    invocation.out.record(
        {"id": row.id, "account": row.account, "revoked_s": row.revoked_s}, f"revoked {row.id}"
    )


@contextmanager
def _tokens(invocation: Invocation, *, create: bool = False) -> Iterator[Tokens]:
    """The tokens of a data folder; opening its store first makes the folder, or refuses a newer one."""
    with invocation.store(create=create):
        tokens = Tokens.open(invocation.config().node.data)
        try:
            yield tokens
        finally:
            tokens.close()


def _spelled(flag: str, text: str, read: Callable[[str], float]) -> float:
    try:
        return read(text)
    except ValueError as fault:
        raise UsageError(f"{flag} {fault}", where=flag) from None


def _state(row: TokenRow, now_s: float) -> str:
    if row.revoked_s is not None:
        return "revoked"
    return "expired" if row.expires_s is not None and row.expires_s <= now_s else "good"


def _limits(row: TokenRow) -> str:
    until = ""
    if row.expires_s:
        end_s = min(row.expires_s, _LAST_DAY_S)  # others made tokens without a bound
        until = f"until {datetime.fromtimestamp(end_s, UTC):%Y-%m-%d %H:%MZ}"
    quota = f"quota {row.quota_bytes} bytes" if row.quota_bytes is not None else ""
    return "  ".join(part for part in (until, quota) if part)
