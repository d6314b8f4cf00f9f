"""How far a large body is from what sending it costs at best.

native/examples/large_body_limit.rs does nothing but `sendfile`, or hash every byte and `sendfile`; both run
in turn with this product. One row a size.
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
_NEAR: Final = 1.3  # of the bound's: what requests, turns, metering and checks now and again may add


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
    """This product beside the bound, in CPU a GiB."""
    id = f"limit-{size_name(size_bytes)}"
    if why := servers.missing("cargo"):
        return [not_run(id, why)]
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
    checking = median(cost["checked"]) / median(cost["unchecked"])
    why = f"peer: a program that only sends; {checking:.2f} x as much when it checks each byte each time"
    return [at_most(id, cost["ours"], cost["unchecked"], _NEAR, unit="CPU ms/GiB", why=why)]


def _taken(size_bytes: int) -> dict[str, list[Round]]:
    """Rounds of all three servers, in turn."""
    with TemporaryDirectory(prefix="bench-limit-") as place, ExitStack() as stack:
        folder, objects = Path(place), Path(place, "objects")
        folder.chmod(0o755)
        objects.mkdir()
        name = servers.make_object(objects, size_bytes)
        starts = {
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
