"""The pin worker of a node, and the healer, joined with what they need: pins, quotas, where content is."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from blockstore import Store
from content.cid import Cid
from gateway.deny_rules import load
from gateway.denylist import Denylist
from gateway.dnslinks import DnsLinks
from gateway.mutable import Names
from handshake.tokens import Tokens
from node.assemble import fetcher_of
from node.start import Start
from origins.healing import Healer
from pinning.attempt import Means
from pinning.fetch_ports import Quota
from pinning.meter import PinMeter
from pinning.pins import Pins
from pinning.worker import PinWorker
from runtime.clock import Clock, SystemClock
from runtime.errors import EdgeError

log = logging.getLogger("fleek.pinning")

# Steps of walks, and waits for commits: the latter would starve the former on one thread a core
_THREADS: Final = 32
# Tokens change rarely; a quota that was raised counts after this
_QUOTA_S: Final = 5.0
# What came under a denied path is known by its own name after this
_LOOK_AGAIN_S: Final = 1.0
_TOTALS_S: Final = 10.0
_REST: Final = 200
_MAY_PIN: Final = frozenset(("pin", "admin"))


class TokenQuotas:
    """Quotas of accounts: the largest of an account's tokens that may pin; none where one has none."""

    def __init__(self, tokens: Tokens, pins: Pins, clock: Clock) -> None:
        self._tokens, self._pins, self._clock = tokens, pins, clock
        self._limits: dict[str, int | None] = {}
        self._read_s = float("-inf")

    def of(self, account: str) -> Quota:
        """See `pinning.fetch_ports.Quotas`."""
        limit_bytes = self._limits_now().get(account)
        used_bytes = 0 if limit_bytes is None else self._pins.usage(account).bytes_
        return Quota(limit_bytes, used_bytes)

    def _limits_now(self) -> dict[str, int | None]:
        now_s = self._clock.tick_s()
        if now_s - self._read_s >= _QUOTA_S:
            limits: dict[str, int | None] = {}
            for row in self._tokens.list():
                if row.revoked_s is None and not _MAY_PIN.isdisjoint(row.scopes):
                    known = limits.get(row.account, 0)
                    limits[row.account] = (
                        None if known is None or row.quota_bytes is None else max(known, row.quota_bytes)
                    )
            self._limits, self._read_s = limits, now_s
        return self._limits


def _checking(start: Start, store: Store, clock: Clock) -> Callable[[Cid], None] | None:
    """What raises Blocked for content that the operator denies, below a root as well; None: no rules."""
    deny = Denylist(load(start.gateway.denylists), store.dag, store.board.generation)
    if deny.is_empty:
        return None
    lock = threading.Lock()
    looked_s = [clock.tick_s()]

    def check(cid: Cid) -> None:
        with lock:
            if clock.tick_s() - looked_s[0] >= _LOOK_AGAIN_S:
                looked_s[0] = clock.tick_s()
                deny.look_again()
            deny.check(cid)

    return check


async def _tell_totals(pins: Pins, meter: PinMeter, clock: Clock, stopping: asyncio.Event) -> None:
    """Keep the gauges of pins near the truth, for a two-hundredth of a core at most."""
    while not stopping.is_set():
        began_s = clock.tick_s()
        try:
            meter.totals(await asyncio.to_thread(pins.totals))
        except EdgeError as error:
            log.warning("pins cannot be counted: %s (%s)", error.message, error.where)
        rest_s = max(_TOTALS_S, _REST * (clock.tick_s() - began_s))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rest_s):
                await stopping.wait()


async def work_on_pins(start: Start, store: Store, stopping: asyncio.Event) -> None:
    """Bring here what is pinned, and again what is damaged, until told to stop.

    Offline, only what is here completes a pin, and nothing is healed.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "pins"))
    clock = SystemClock()
    pins = Pins(store, start.pinning.limits)
    tokens = await asyncio.to_thread(Tokens.open, start.node.data)
    fetcher = None
    if not start.node.offline:
        links = DnsLinks({}, clock.tick_s)
        fetcher = fetcher_of(start, store, Names(store.dag, links, clock.now_s), links, clock)
    sources = None if fetcher is None else fetcher.refetch
    check = _checking(start, store, clock)
    means = Means(store, pins, start.pinning, clock, fetcher, sources, check)
    meter = PinMeter(store.board.slot(start.slot))
    worker = PinWorker(means, TokenQuotas(tokens, pins, clock), meter=meter)
    work = [worker.run(stopping), _tell_totals(pins, meter, clock, stopping)]
    if fetcher is not None and start.node.heal_interval_s:
        slot = store.board.slot(start.slot)
        healer = Healer(store, fetcher, clock, slot, start.node.heal_interval_s, check)
        work.append(healer.run(stopping))
    try:
        await asyncio.gather(*work)
    finally:
        if fetcher is not None:
            await fetcher.close()
        tokens.close()
