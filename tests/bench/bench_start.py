"""How long a node takes from `exec` until it says that it serves, beside importing once what it runs."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

from tests.appliance import Node
from tests.bench.bench_store import scratch
from tests.bench.row import Row, at_most

ROUNDS: Final = 9
CEILING: Final = 1.5
_IMPORTS: Final = "import tools.edge.main, tools.edge.serve, node.worker, node.keeper"


def bench_ready() -> Row:
    """Start a node with two workers on an empty folder, and import the same modules, in turn."""
    ready, imported = [], []
    for _ in range(ROUNDS):
        with scratch() as folder:
            start = time.perf_counter()
            with Node(folder / "data", "--offline", "--workers", "2"):
                ready.append(time.perf_counter() - start)
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", _IMPORTS], check=True)
        imported.append(time.perf_counter() - start)
    why = f"ready after {statistics.median(ready):.2f} s; import alone {statistics.median(imported):.2f} s"
    return at_most("start-ready", ready, imported, CEILING, unit="s", why=why)


BENCHES: dict[str, Callable[[], Row | list[Row]]] = {"start": bench_ready}
