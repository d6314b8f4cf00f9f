"""How fast `fleek-pin` prints a long list that a node of ours serves, and pages of it: as a user has them.

The node and the command run ahead of the machine's other work, one core each where there are two.
"""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import urlsplit

from pinning.pin import LIMIT_MAX
from tests.appliance import Node, token
from tests.bench.bench_pins import ACCOUNT, MANY, child, cid_of, timed
from tests.bench.bench_store import scratch
from tests.bench.machine import core_count, pinned, put_ahead
from tests.bench.row import Row, at_least, at_most

ROUNDS: Final = 7
FLOOR: Final = 50_000
# of an answer over HTTP: its filter, and the milliseconds that the slowest page of its kind may take
PAGES: Final = {
    "first": ("", 10),
    "status": ("status=queued,failed", 20),
    "cid": (f"cid={cid_of(MANY // 2)}", 20),
    "time": ("before=2100-01-01T00:00:00Z&after=2000-01-01T00:00:00Z", 20),
    "partial": ("name=Needle&match=partial", 300),
}


def bench_list() -> list[Row]:
    """Pins a second of `fleek-pin ls --json`, and milliseconds of pages over HTTP."""
    with scratch() as folder:
        data = folder / "data"
        child("fill", data)
        return [*served_by_node(data, folder), listed_here(data, folder)]


def served_by_node(data: Path, folder: Path) -> list[Row]:
    """Of a node on the filled store `data`; `folder` takes what is printed."""
    environ = {"FLEEK_PIN_TOKEN": token(data, ACCOUNT, "read"), "HOME": str(folder)}
    with Node(data, "--offline", "--workers", "1") as node:
        put_ahead(node.process.pid)
        environ["FLEEK_PIN_ENDPOINT"] = f"{node.ready['public'].rstrip('/')}/pinning/v1"
        pages = _pages(environ["FLEEK_PIN_ENDPOINT"], environ["FLEEK_PIN_TOKEN"])
        rounds = [_listed(folder / "list", environ, node.workers()[0]) for _ in range(ROUNDS)]
    cpu = sorted(round_[1] for round_ in rounds)[ROUNDS // 2]
    served = sorted(round_[2] for round_ in rounds)[ROUNDS // 2]
    why = f"{MANY} pins; CPU a pin: command {cpu:.1f} us, node {served:.1f} us"
    list_ = at_least("pins-cli-list", [round_[0] for round_ in rounds], None, FLOOR, unit="pins/s", why=why)
    return [*pages, list_]


def _pages(endpoint: str, token_: str) -> list[Row]:
    """One client that is kept alive: pages of ten, as they come unasked, and the longest there are."""
    parts = urlsplit(endpoint)
    client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    headers = {"Authorization": f"Bearer {token_}"}

    def page(query: str, limit: int) -> None:
        client.request("GET", f"{parts.path}/pins?limit={limit}&{query}", headers=headers)
        with client.getresponse() as answer:
            if answer.status != 200 or not answer.read():
                raise RuntimeError(f"a page of {query!r} was answered {answer.status}")

    rows = []
    for name, (query, ceiling_ms) in PAGES.items():
        short = median(timed(partial(page, query, 10)))
        why = f"over HTTP, pages of {LIMIT_MAX}; of 10: {short:.1f} ms"
        long = timed(partial(page, query, LIMIT_MAX))
        rows.append(at_most(f"pins-http-{name}", long, None, ceiling_ms, unit="ms", why=why))
    client.close()
    return rows


def listed_here(data: Path, folder: Path) -> Row:
    """Of the store itself, without a node."""
    environ = {"FLEEK_EDGE_DATA": str(data), "HOME": str(folder)}
    rounds = [_listed(folder / "list", environ, None) for _ in range(ROUNDS)]
    cpu = sorted(round_[1] for round_ in rounds)[ROUNDS // 2]
    why = f"`--data`: {MANY} pins; CPU a pin: {cpu:.1f} us"
    return at_least("pins-cli-local", [round_[0] for round_ in rounds], None, FLOOR, unit="pins/s", why=why)


def _listed(out: Path, environ: dict[str, str], worker: int | None) -> tuple[float, float, float]:
    """Pins a second, and CPU microseconds a pin of the command and of the node's worker, if there is one."""
    command = [sys.executable, "-m", "tools.pin", "ls", "--json"]
    before, served = _children_s(), _cpu_s(worker)
    start = time.perf_counter()
    with out.open("wb") as file:
        process = subprocess.Popen(
            pinned("1", command) if core_count() > 1 else command,
            stdout=file,
            env={**os.environ, **environ},
            start_new_session=True,
        )
        put_ahead(process.pid)
        if process.wait():
            raise RuntimeError(f"the command ended with {process.returncode}")
    took = time.perf_counter() - start
    with out.open("rb") as file:
        count = sum(1 for _ in file)
    if count != MANY:
        raise RuntimeError(f"{count} pins were listed, not {MANY}")
    micros = 1e6 / MANY
    return count / took, (_children_s() - before) * micros, (_cpu_s(worker) - served) * micros


def _children_s() -> float:
    return sum(os.times()[2:4])


def _cpu_s(pid: int | None) -> float:
    """CPU seconds of a process: user and system (proc(5), fields 14 and 15); of none 0."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


BENCHES: dict[str, Callable[[], Row | list[Row]]] = {"pins-cli": bench_list}
