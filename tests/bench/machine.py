"""What a bench may know about the machine: its cores, and what a tree of processes has used.

Called by the HTTP benches and by the runner for the `machine` line of build/bench.json. Linux only: all of
it is read from /proc.
"""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SERVER_CORE: Final = 0
LOAD_CORE: Final = 1
_AHEAD: Final = -15
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds of a tree of processes since each of them started."""

    cpu_s: float

    def since(self, earlier: "Usage") -> float:
        """CPU seconds used between `earlier` and now."""
        return self.cpu_s - earlier.cpu_s


def core_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def pinned(cores: str, command: list[str]) -> list[str]:
    """`command` on `cores`, and ahead of the machine's other work where we may ask for that.

    Servers and generator all run so: what else the machine does then takes the same from every side.
    """
    ahead = ["nice", "-n", str(_AHEAD)] if os.geteuid() == 0 else []
    return [*ahead, "taskset", "-c", cores, *command]


def put_ahead(pid: int) -> None:
    """Put the session that `pid` leads ahead of others: where the kernel groups so, nice alone does not."""
    try:
        Path(f"/proc/{pid}/autogroup").write_text(str(_AHEAD))
    except OSError:
        return  # no such grouping here, or not our right: the row says when others took the core


def core_busy_s(core: int) -> float:
    """CPU seconds that programs have used on one core since the machine started."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *words = line.split()
        if name == f"cpu{core}":
            user, nice, system = (int(word) for word in words[:3])
            return (user + nice + system) / _TICKS_PER_S
    return 0.0


def describe() -> dict[str, object]:
    """The machine as build/bench.json names it, without anything that identifies its owner."""
    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": core_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
    }


def family(pid: int) -> list[int]:
    """`pid` and all its living descendants; processes that end meanwhile are left out."""
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        for task in _children_files(current):
            try:
                waiting += [int(word) for word in task.read_text().split()]
            except OSError:
                continue
    return found


def cpu_usage(pid: int) -> Usage:
    """CPU used so far by `pid` and its descendants, user and system; resolution one tick (10 ms)."""
    return Usage(sum(_cpu_s(member) for member in family(pid)))


def anonymous_rss_bytes(pid: int) -> int:
    """RssAnon of one process in bytes: its own memory, without mapped files such as the store."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def _children_files(pid: int) -> list[Path]:
    try:
        return [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def _cpu_s(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    # the command name may hold spaces and brackets: fields are counted from the last one
    fields = stat.rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / _TICKS_PER_S
