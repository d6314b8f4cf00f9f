"""DNSLinks that are known now: the operator's table, and what was looked up lately."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.errors import UsageError

_FILE_BYTES_MAX: Final = 16 << 20
_KNOWN_MAX: Final = 16_384  # about 300 bytes each
# A table is read at start and reload; what it says may be kept as long as a DNS record usually is
_TABLE_TTL_S: Final = 300.0
_NAME_MAX: Final = 253


@dataclass(frozen=True, slots=True)
class _Known:
    path: str | None
    until_s: float


class DnsLinks:
    """Domain -> content path."""

    def __init__(self, table: dict[str, str], now_s: Callable[[], float]) -> None:
        """`table`: lower-case names; `now_s`: seconds that only go forward."""
        self._table = table
        self._now_s = now_s
        self._known: dict[str, _Known] = {}

    @classmethod
    def load(cls, path: Path | None, now_s: Callable[[], float]) -> "DnsLinks":
        """The operator's table from its file. Raises UsageError."""
        return cls({} if path is None else read_table(path), now_s)

    def link(self, host: str) -> tuple[str, float] | None:
        """(path, seconds it may be kept) of a domain; None when it is not known now."""
        path = self._table.get(host)
        if path is not None:
            return path, _TABLE_TTL_S
        known = self._known.get(host)
        left_s = 0.0 if known is None else known.until_s - self._now_s()
        return (known.path, left_s) if known is not None and known.path and left_s > 0 else None

    def is_known(self, host: str) -> bool:
        """Whether a domain is a DNSLink website as far as is known now."""
        return self.link(host) is not None

    def is_absent(self, host: str) -> bool:
        """Whether a domain was asked for lately and has no DNSLink."""
        known = self._known.get(host)
        return known is not None and known.path is None and known.until_s > self._now_s()

    def learn(self, host: str, path: str | None, ttl_s: float) -> None:
        """Remember what the DNS said; `path` None: there is no DNSLink."""
        if len(host) > _NAME_MAX:
            return
        while len(self._known) >= _KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[host] = _Known(path, self._now_s() + ttl_s)


def read_table(path: Path) -> dict[str, str]:
    """A table from a JSON file, `{"domains": {host: path}}` or flat. Raises UsageError."""
    try:
        with path.open("rb") as file:
            raw = file.read(_FILE_BYTES_MAX + 1)
    except OSError as fault:
        reason = (fault.strerror or "cannot be read").lower()
        raise UsageError(f"the DNSLink table cannot be read: {reason}", where=str(path)) from None
    if len(raw) > _FILE_BYTES_MAX:
        raise UsageError("the DNSLink table is above 16 MiB", where=str(path))
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the DNSLink table is no JSON: {error}", where=str(path)) from None
    domains = parsed.get("domains", parsed) if isinstance(parsed, dict) else None
    if not isinstance(domains, dict):
        raise UsageError('the DNSLink table is not {"domains": {host: "/ipfs/…"}}', where=str(path))
    table = {}
    for host, target in domains.items():
        if not isinstance(target, str) or not target.removeprefix("dnslink=").startswith(
            ("/ipfs/", "/ipns/")
        ):
            raise UsageError(f"{host!r} does not point at /ipfs/… or /ipns/…", where=str(path))
        table[str(host).lower()] = target.removeprefix("dnslink=")
    return table
