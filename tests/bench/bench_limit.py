"""What a large body costs a server that checks what it sends, at best: the bound of `http-4MiB` and its like.

native/examples/large_body_limit.rs does nothing but hash and `sendfile`; it runs in turn with nginx, with
itself without the hash, and with this product. One row a size says whether CPU at 1.15 of nginx's can be had
by whoever reads what it sends, one how far this product is from that bound.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from tests.bench import servers
from tests.bench.bench_http import MIB, size_name
from tests.bench.compare import ROUNDS, Round, Target, one_round
from tests.bench.row import Row, at_most, not_run
from tests.bench.servers import Server

_NATIVE: Final = Path(__file__).parents[2] / "native"
_PROGRAM: Final = _NATIVE / "target/release/examples/large_body_limit"
_CONNECTIONS: Final = {4 * MIB: 48, 256 * MIB: 8}  # as bench_http has them
_PROMISED: Final = 1.15  # of nginx's CPU a GiB
_NEAR: Final = 1.5  # of the bound's: what requests, turns and their metering may add in Python


@contextmanager
def limit(folder: Path, objects: Path, name: str, *words: str) -> Iterator[Server]:
    """The bounding program over one object."""
    command = [str(_PROGRAM), str(objects / name), *words]
    log = folder / f"limit{len(words)}.log"
    with servers.running(command, log, os.environ, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None, "asked for a pipe"
        port = int(process.stdout.readline())
        yield Server("limit", f"http://127.0.0.1:{port}", process.pid)


def beside_the_limit(size_bytes: int) -> list[Row]:
    """Bound beside nginx, and this product beside the bound, in CPU a GiB."""
    ids = f"limit-{size_name(size_bytes)}", f"limit-{size_name(size_bytes)}-ours"
    if why := servers.missing("nginx", "cargo"):
        return [not_run(id, why) for id in ids]
    build = [
        "cargo",
        "build",
        "--release",
        "--quiet",
        "--example",
        "large_body_limit",
        "--no-default-features",
    ]
    subprocess.run(build, cwd=_NATIVE, check=True)
    taken = _taken(size_bytes)
    cost = {who: [each.cpu_ms_per_gib for each in rounds] for who, rounds in taken.items()}
    alone = median(cost["unchecked"]) / median(cost["nginx"])
    why = f"the same without XXH3: {alone:.2f} x nginx; above the promise: no server that reads what it sends"
    return [
        at_most(ids[0], cost["checked"], cost["nginx"], _PROMISED, unit="CPU ms/GiB", why=why),
        at_most(ids[1], cost["ours"], cost["checked"], _NEAR, unit="CPU ms/GiB", why="peer: the bound"),
    ]


def _taken(size_bytes: int) -> dict[str, list[Round]]:
    """Rounds of all four servers, in turn."""
    with TemporaryDirectory(prefix="bench-limit-") as place, ExitStack() as stack:
        folder, objects = Path(place), Path(place, "objects")
        folder.chmod(0o755)
        objects.mkdir()
        name = servers.make_object(objects, size_bytes)
        starts = {
            "nginx": servers.nginx(folder / "nginx", objects),
            "checked": limit(folder, objects, name),
            "unchecked": limit(folder, objects, name, "unchecked"),
            "ours": servers.fleek_edge(folder / "ours", objects),
        }
        targets = {}
        for who, start in starts.items():
            server = stack.enter_context(start)
            servers.check_served(server, name)
            targets[who] = Target(server, server.url(name), large=True)
        taken: dict[str, list[Round]] = {who: [] for who in targets}
        connections = _CONNECTIONS[size_bytes]
        for target in targets.values():
            one_round(target, connections=connections, duration_s=1)
        for turn in range(ROUNDS):
            for who, target in list(targets.items())[:: 1 if turn % 2 == 0 else -1]:
                taken[who].append(one_round(target, connections=connections))
        return taken


BENCHES: Final[dict[str, Callable[[], list[Row]]]] = {
    f"limit-{size_name(size)}": partial(beside_the_limit, size) for size in _CONNECTIONS
}
