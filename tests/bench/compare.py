"""Two servers in turn under the same load, and the row that comes of it.

The rule of the house (docs/performance.md): throughput is compared while the generator has room and the
difference is large; where the generator is above 90 % of its core, or the two are within 10 % of each
other, server CPU per request or per GiB is compared instead, because then throughput measures the
generator and the noise.
"""

import os
import time
from dataclasses import dataclass
from statistics import median
from typing import Final

from tests.bench import load
from tests.bench.machine import LOAD_CORE, SERVER_CORE, core_busy_s
from tests.bench.row import Row, at_least, at_most
from tests.bench.servers import Server

ROUNDS: Final = max(1, int(os.environ.get("FLEEK_BENCH_ROUNDS", "7")))
ROUND_S: Final = max(1, int(os.environ.get("FLEEK_BENCH_SECONDS", "2")))
CONNECTIONS: Final = 48
_CLOSE: Final = 0.10  # claims smaller than this are judged by CPU
_CROWDED: Final = 0.05  # more of the server core than this for others, and the row says so
_GIB: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Target:
    """One object on one server."""

    server: Server
    url: str
    large: bool = False  # plain HTTP and a body of 1 MiB or more: drained instead of asked by wrk


@dataclass(frozen=True, slots=True)
class Round:
    """One run of the generator against one server, and the server CPU it took."""

    load: load.Load
    cpu_s: float
    neighbours_share: float  # of the server core, taken by programs that are not the server

    @property
    def cpu_us_per_request(self) -> float:
        """Server CPU a request, in microseconds."""
        return 1e6 * self.cpu_s / max(1, self.load.requests)

    @property
    def cpu_ms_per_gib(self) -> float:
        """Server CPU for each GiB received, in milliseconds; counts unfinished responses too."""
        return 1e3 * self.cpu_s * _GIB / self.load.received_bytes


@dataclass(frozen=True, slots=True)
class Duel:
    """All rounds of two servers, taken in turn."""

    ours: list[Round]
    peer: list[Round]


def one_round(
    target: Target,
    *,
    connections: int = CONNECTIONS,
    duration_s: int = ROUND_S,
    think_ms: int = 0,
    load_cores: tuple[int, ...] = (LOAD_CORE,),
) -> Round:
    """Load one server once and read its CPU before and after."""
    before, busy_s, started_s = target.server.cpu(), core_busy_s(SERVER_CORE), time.monotonic()
    if target.large:
        result = load.run_large(target.url, connections=connections, duration_s=duration_s)
    else:
        result = load.run(
            target.url, connections=connections, duration_s=duration_s, think_ms=think_ms, cores=load_cores
        )
    cpu_s, took_s = target.server.cpu().since(before), time.monotonic() - started_s
    neighbours_s = max(0.0, core_busy_s(SERVER_CORE) - busy_s - cpu_s)
    return Round(result, cpu_s, neighbours_s / took_s)


def duel(
    ours: Target,
    peer: Target,
    *,
    connections: int = CONNECTIONS,
    think_ms: int = 0,
    load_cores: tuple[int, ...] = (LOAD_CORE,),
    count: int = ROUNDS,
) -> Duel:
    """`count` rounds of each in turn after one short unmeasured run of each; who goes first alternates."""
    for target in (ours, peer):
        one_round(target, connections=connections, duration_s=1)
    result = Duel([], [])
    for index in range(count):
        order = [(ours, result.ours), (peer, result.peer)]
        for target, rounds in order if index % 2 == 0 else reversed(order):
            rounds.append(
                one_round(target, connections=connections, think_ms=think_ms, load_cores=load_cores)
            )
    return result


def speed_row(id: str, rounds: Duel, floor: float, *, large: bool, cpu_ceiling: float | None = None) -> Row:
    """Judge a duel by throughput, or by server CPU where throughput cannot tell.

    `large`: bytes instead of requests are counted. `cpu_ceiling`: the promise allows CPU up to this times
    the peer's in place of throughput (bodies of 4 MiB and more); by default CPU is judged at 1 / floor.
    """
    ours, peer = _throughput(rounds.ours, large), _throughput(rounds.peer, large)
    our_cpu, peer_cpu = _cpu(rounds.ours, large), _cpu(rounds.peer, large)
    ratio = median(ours) / median(peer)
    cpu_ratio = median(our_cpu) / max(median(peer_cpu), 1e-9)
    busy = max(median(r.load.generator_share for r in side) for side in (rounds.ours, rounds.peer))
    why = (
        f"throughput {ratio:.2f} x, CPU {cpu_ratio:.2f} x, generator {100 * busy:.0f} % busy{_crowd(rounds)}"
    )
    by_cpu = busy > load.SATURATED or abs(ratio - 1) < _CLOSE or (cpu_ceiling is not None and ratio < floor)
    if by_cpu:
        unit = "CPU ms/GiB" if large else "CPU us/request"
        return at_most(id, our_cpu, peer_cpu, cpu_ceiling or 1 / floor, unit=unit, why=why)
    return at_least(id, ours, peer, floor, unit="MB/s" if large else "requests/s", why=why)


def latency_row(id: str, rounds: Duel, ceiling: float) -> Row:
    """Judge the 99th percentile of a duel at a fixed pace."""
    ours = [r.load.p99_us for r in rounds.ours]
    peer = [r.load.p99_us for r in rounds.peer]
    pace = [median(r.load.requests_per_s for r in side) for side in (rounds.ours, rounds.peer)]
    why = f"at {pace[0]:.0f} and {pace[1]:.0f} requests/s, think time drawn evenly{_crowd(rounds)}"
    return at_most(id, ours, peer, ceiling, unit="p99 us", why=why)


def _crowd(rounds: Duel) -> str:
    share = median(r.neighbours_share for r in (*rounds.ours, *rounds.peer))
    return f", NOT IDLE: others took {100 * share:.0f} % of the server core" if share > _CROWDED else ""


def _throughput(rounds: list[Round], large: bool) -> list[float]:
    if large:
        return [r.load.bytes_per_s / 1e6 for r in rounds]
    return [r.load.requests_per_s for r in rounds]


def _cpu(rounds: list[Round], large: bool) -> list[float]:
    return [r.cpu_ms_per_gib if large else r.cpu_us_per_request for r in rounds]
