"""GET of a stored object, hot and kept alive, beside nginx and varnish; and two workers beside one.

Numbers promised: plain HTTP at five sizes, p99 at half load, TLS 1.3 at two sizes, varnish at two sizes,
CPU and throughput of two workers. Every server has the server core for itself, the generator has another;
objects are served once and hashed before anything is timed.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench import servers
from tests.bench.compare import ROUNDS, Target, duel, latency_row, one_round, speed_row
from tests.bench.machine import LOAD_CORE, SERVER_CORE, core_count
from tests.bench.row import Row, at_least, at_most, not_run
from tests.bench.servers import Server

KIB: Final = 1 << 10
MIB: Final = 1 << 20
_LARGE_BYTES: Final = 256 * KIB  # from here on bytes are counted, not requests
_HUGE_BYTES: Final = 64 * MIB
_HUGE_CONNECTIONS: Final = 8  # 48 transfers of 256 MiB would each see a sliver of a round
_PACED_CONNECTIONS: Final = 128  # so that one connection's mean pause is many of wrk's 1 ms ticks
_FREE_CORES: Final = 4  # two for the workers, two for the load

Start = Callable[[Path, Path], AbstractContextManager[Server]]

# size -> floor of the throughput ratio, ceiling of CPU per GiB where the promise names one
PLAIN: Final = {
    1 * KIB: (1.0, None),
    16 * KIB: (0.9, None),
    256 * KIB: (0.9, None),
    4 * MIB: (0.85, 1.15),
    256 * MIB: (0.85, 1.15),
}
TLS: Final = {16 * KIB: 1.1, 4 * MIB: 1.3}
VARNISH: Final = {1 * KIB: 1.5, 16 * KIB: 1.5}
PACED: Final = {1 * KIB: 1.2, 16 * KIB: 1.2}


def size_name(size_bytes: int) -> str:
    """1 KiB as `1KiB`: the form used in ids."""
    return f"{size_bytes // MIB}MiB" if size_bytes >= MIB else f"{size_bytes // KIB}KiB"


@contextmanager
def pair(size_bytes: int, ours: Start, peer: Start) -> Iterator[tuple[Target, Target]]:
    """One object of `size_bytes` on both servers, checked to be the same bytes."""
    with tempfile.TemporaryDirectory(prefix="bench-http-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # servers may drop their rights
        objects = folder / "objects"
        objects.mkdir()
        object_name = servers.make_object(objects, size_bytes)
        targets = []
        for start, place in ((ours, "ours"), (peer, "peer")):
            server = stack.enter_context(start(folder / place, objects))
            servers.check_served(server, object_name)
            large = size_bytes >= MIB and server.base.startswith("http:")
            targets.append(Target(server, server.url(object_name), large))
        yield targets[0], targets[1]


def plain(size_bytes: int) -> Row:
    """Throughput or CPU beside nginx over plain HTTP."""
    id = f"http-{size_name(size_bytes)}"
    if why := servers.missing("nginx"):
        return not_run(id, why)
    floor, cpu_ceiling = PLAIN[size_bytes]
    connections = _HUGE_CONNECTIONS if size_bytes >= _HUGE_BYTES else 48
    with pair(size_bytes, servers.fleek_edge, servers.nginx) as (ours, peer):
        # Lent pages cost so little to send that the noise of one round is larger than what is judged.
        count = ROUNDS if cpu_ceiling is None else 2 * ROUNDS + 1
        rounds = duel(ours, peer, connections=connections, count=count)
    return speed_row(id, rounds, floor, large=size_bytes >= _LARGE_BYTES, cpu_ceiling=cpu_ceiling)


def secure(size_bytes: int) -> Row:
    """Throughput or CPU beside nginx over TLS 1.3, same certificate, same cipher choice of the client."""
    id = f"tls-{size_name(size_bytes)}"
    if why := servers.missing("nginx", "openssl"):
        return not_run(id, why)
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as name:
        certificate = servers.make_certificate(Path(name))
        ours, peer = (partial(start, tls=certificate) for start in (servers.fleek_edge, servers.nginx))
        with pair(size_bytes, ours, peer) as (our_target, peer_target):
            rounds = duel(our_target, peer_target)
    return speed_row(id, rounds, TLS[size_bytes], large=size_bytes >= _LARGE_BYTES)


def beside_varnish(size_bytes: int) -> Row:
    """Throughput or CPU beside a varnish hit."""
    id = f"varnish-{size_name(size_bytes)}"
    if why := servers.missing("varnishd", "nginx"):
        return not_run(id, why)
    with pair(size_bytes, servers.fleek_edge, servers.varnish) as (ours, peer):
        rounds = duel(ours, peer)
    return speed_row(id, rounds, VARNISH[size_bytes], large=False)


def paced(size_bytes: int) -> Row:
    """p99 beside nginx while both are asked for half of what the slower of them can do."""
    id = f"p99-{size_name(size_bytes)}"
    if why := servers.missing("nginx"):
        return not_run(id, why)
    with pair(size_bytes, servers.fleek_edge, servers.nginx) as (ours, peer):
        peak_per_s = min(one_round(target).load.requests_per_s for target in (ours, peer))
        think_ms = max(1, round(1000 * _PACED_CONNECTIONS / (peak_per_s / 2)))
        rounds = duel(ours, peer, connections=_PACED_CONNECTIONS, think_ms=think_ms)
    return latency_row(id, rounds, PACED[size_bytes])


def workers_cpu() -> Row:
    """CPU of 1,000 requests with two workers beside one: what sharing the store costs."""
    id = "workers-cpu"
    if why := servers.missing():
        return not_run(id, why)
    with pair(16 * KIB, partial(servers.fleek_edge, workers=2), servers.fleek_edge) as (two, one):
        rounds = duel(two, one)
    ours, peer = ([r.cpu_us_per_request / 1e3 for r in side] for side in (rounds.ours, rounds.peer))
    return at_most(id, ours, peer, 1.1, unit="CPU s/1000 requests", why="both workers share the server core")


def workers_throughput() -> Row:
    """Throughput of two workers on two cores beside one on one."""
    id = "workers-throughput"
    if why := servers.missing():
        return not_run(id, why)
    if core_count() < _FREE_CORES:
        return not_run(id, f"needs {_FREE_CORES} free cores, this machine has {core_count()}")
    both = partial(servers.fleek_edge, workers=2, cores=f"{SERVER_CORE},2")
    with pair(16 * KIB, both, servers.fleek_edge) as (two, one):
        rounds = duel(two, one, load_cores=(LOAD_CORE, 3))
    ours, peer = ([r.load.requests_per_s for r in side] for side in (rounds.ours, rounds.peer))
    return at_least(id, ours, peer, 1.8, unit="requests/s")


BENCHES: Final[dict[str, Callable[[], Row]]] = {
    **{f"http-{size_name(size)}": partial(plain, size) for size in PLAIN},
    **{f"p99-{size_name(size)}": partial(paced, size) for size in PACED},
    **{f"tls-{size_name(size)}": partial(secure, size) for size in TLS},
    **{f"varnish-{size_name(size)}": partial(beside_varnish, size) for size in VARNISH},
    "workers-cpu": workers_cpu,
    "workers-throughput": workers_throughput,
}
