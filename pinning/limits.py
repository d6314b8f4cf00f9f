"""What an account may not pass: how many pins and origins it has, and the bytes of its quota. Pure."""

from dataclasses import dataclass
from typing import Final

from pinning.accounts import Tally
from runtime.errors import QuotaExceeded

_HINT: Final = "remove pins of this account, or ask the operator for larger limits"
_QUOTA_HINT: Final = "remove pins of this account, or raise the token's quota"


@dataclass(frozen=True, slots=True)
class PinLimits:
    """How much of each an account may have; 0: no limit. Settings of section `[pinning]` give them.

    `open_max`: pins that are queued or pinning; `pins_max`: pins in all; `origins_max`: origins of its pins
    that are kept on record, where nothing ever takes one away.
    """

    open_max: int = 0
    pins_max: int = 0
    origins_max: int = 0


def check_count(limits: PinLimits, account: str, tally: Tally, *, more: int, more_open: int) -> None:
    """Refuse what would give an account more pins than it may have. Raises QuotaExceeded."""
    for what, limit, has, comes in (
        ("pins", limits.pins_max, tally.pins, more),
        ("pins that wait for their content", limits.open_max, tally.open, more_open),
    ):
        if limit and comes > 0 and has + comes > limit:
            problem = f"the account has {has:,} {what}; at most {limit:,} are taken"
            raise QuotaExceeded(problem, where=account, hint=_HINT)


def may_note(limits: PinLimits, tally: Tally) -> bool:
    """Whether another origin that the account names is kept on record."""
    return not limits.origins_max or tally.origins < limits.origins_max


def check_quota(account: str, used_bytes: int, quota_bytes: int) -> None:
    """Refuse an account that is at its quota already. Raises QuotaExceeded."""
    if used_bytes >= quota_bytes:
        problem = f"the account uses {used_bytes} of its {quota_bytes} bytes already"
        raise QuotaExceeded(problem, where=account, hint=_QUOTA_HINT)


def check_more(account: str, used_bytes: int, more_bytes: int, quota_bytes: int) -> None:
    """Refuse so many bytes more. Raises QuotaExceeded."""
    if used_bytes + more_bytes > quota_bytes:
        problem = (
            f"the account uses {used_bytes} bytes; {more_bytes} more would pass its quota of {quota_bytes}"
        )
        raise QuotaExceeded(problem, where=account, hint=_QUOTA_HINT)
