"""Who a request comes from and what it may do. Pure values; services see only this."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from runtime.errors import Forbidden, UsageError

ALL_SCOPES: Final = ("admin", "put", "pin", "purge", "read")


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose token was checked. The scope `admin` includes every other."""

    token_id: str
    account: str
    scopes: frozenset[str]
    quota_bytes: int | None

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the caller holds `scope`."""
        if scope not in self.scopes and "admin" not in self.scopes:
            raise Forbidden(
                f"the token lacks the scope {scope}",
                where=f"token {self.token_id}",
                hint=f"an operator makes one with: fleek-edge token add --account NAME --scope {scope}",
            )


def checked_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes in their fixed order, each once. Raises UsageError for none or an unknown one."""
    wanted = set(scopes)
    unknown = sorted(wanted.difference(ALL_SCOPES))
    if unknown or not wanted:
        what = f"unknown scope {unknown[0]!r}" if unknown else "no scope is given"
        raise UsageError(what, where="--scope", hint="scopes are " + ", ".join(ALL_SCOPES))
    return tuple(scope for scope in ALL_SCOPES if scope in wanted)
