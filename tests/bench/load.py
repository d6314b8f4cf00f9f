"""The load generator, on a core of its own: wrk, or `tests.bench.drain` for large bodies.

The generator is part of the measurement: `Load.generator_share` says how much of its core it used. Above
0.9 the throughput is wrk's, not the server's, and a bench must compare server CPU instead (see
docs/performance.md).
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.machine import LOAD_CORE, pinned, put_ahead

SATURATED: Final = 0.9
_GRACE_S: Final = 30.0  # wrk stops by its own clock; longer than this it hangs

_REPORT: Final = """
done = function(summary, latency, requests)
  local e = summary.errors
  local form = '"requests":%d,"bytes":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"errors":%d'
  io.write(string.format('\\nREPORT {' .. form .. '}\\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""

# Thinking time drawn evenly from 0 to twice the mean, so that connections do not march in step.
_THINK: Final = """
math.randomseed(%d)
delay = function() return math.random(0, %d) end
"""


class LoadFailed(Exception):
    """The generator did not run, or counted errors: the round says nothing about speed."""


@dataclass(frozen=True, slots=True)
class Load:
    """One run of the generator."""

    requests: int
    received_bytes: int
    duration_s: float
    p50_us: float
    p99_us: float
    generator_share: float  # CPU of wrk / wall time of its cores; 1.0 = they were full

    @property
    def requests_per_s(self) -> float:
        """Completed requests a second."""
        return self.requests / self.duration_s

    @property
    def bytes_per_s(self) -> float:
        """Bytes received a second, of unfinished responses too: right for bodies that take long."""
        return self.received_bytes / self.duration_s


def run(
    url: str,
    *,
    connections: int,
    duration_s: int,
    think_ms: int = 0,
    cores: tuple[int, ...] = (LOAD_CORE,),
) -> Load:
    """Load `url` for `duration_s` whole seconds over `connections` kept-alive connections.

    `think_ms` is each connection's mean pause between requests; 0 = none. wrk runs one thread on each of
    `cores`. Raises LoadFailed.
    """
    script = _REPORT + (_THINK % (os.getpid(), 2 * think_ms) if think_ms else "")
    with tempfile.TemporaryDirectory(prefix="bench-wrk-") as folder:
        lua = Path(folder, "report.lua")
        lua.write_text(script)
        core_list = ",".join(str(core) for core in cores)
        command = ["wrk", "-t", str(len(cores)), "-c", str(connections)]
        command += ["-d", f"{duration_s}s", "--timeout", "20s", "-s", str(lua), url]
        return _measure(pinned(core_list, command), duration_s + _GRACE_S, len(cores))


def run_large(url: str, *, connections: int, duration_s: int) -> Load:
    """The same for bodies of 1 MiB and more over plain HTTP, read by `tests.bench.drain`; no latencies."""
    command = [sys.executable, "-m", "tests.bench.drain", url, str(connections), str(duration_s)]
    return _measure(pinned(str(LOAD_CORE), command), duration_s + _GRACE_S, 1)


def _measure(command: list[str], timeout_s: float, threads: int) -> Load:
    started_s = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    put_ahead(process.pid)
    watchdog = threading.Timer(timeout_s, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None, "asked for a pipe"
        output = process.stdout.read()
        _, _, used = os.wait4(process.pid, 0)  # waits as Popen.wait does, and says what it cost
        process.returncode = 0
    finally:
        watchdog.cancel()
    wall_s = time.monotonic() - started_s
    report = next((line for line in output.splitlines() if line.startswith("REPORT ")), None)
    if report is None:
        raise LoadFailed(f"the generator said: {output.strip()[-500:]}")
    numbers: dict[str, int] = json.loads(report.removeprefix("REPORT "))
    if numbers["errors"] or not numbers["bytes"]:
        raise LoadFailed(f"it counted {numbers['errors']} errors in {numbers['requests']} requests")
    return Load(
        numbers["requests"],
        numbers["bytes"],
        numbers["duration_us"] / 1e6,
        numbers["p50_us"],
        numbers["p99_us"],
        (used.ru_utime + used.ru_stime) / wall_s / threads,
    )
