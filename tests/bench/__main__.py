"""`make bench [ONLY=id]`: run the benches, write build/bench.json, print the rows as a table.

    python -m tests.bench [ONLY …] [--list] [--markdown]

ONLY is an id or the beginning of one; several may be given. A bench that breaks is a failed row, not the
end of the run. Exit code 1 when a row failed. FLEEK_BENCH_ROUNDS and FLEEK_BENCH_SECONDS shorten the HTTP
rounds for a quick look; figures worth quoting come from the defaults.
"""

import argparse
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.bench.machine import describe
from tests.bench.row import Row
from tests.bench.table import as_markdown, as_text
from tests.conftest import SEARCH_PATH

Bench = Callable[[], Row | list[Row]]

_HERE: Final = Path(__file__).parent
_RESULT: Final = _HERE.parent.parent / "build" / "bench.json"


def find_benches() -> dict[str, Bench]:
    """Every bench of every bench_*.py in this folder, by id, in the order of files and tables."""
    found: dict[str, Bench] = {}
    for path in sorted(_HERE.glob("bench_*.py")):
        module = importlib.import_module(f"tests.bench.{path.stem}")
        benches: dict[str, Bench] = module.BENCHES
        if clash := found.keys() & benches.keys():
            raise ValueError(f"{path.name} defines ids that exist already: {', '.join(sorted(clash))}")
        found |= benches
    return found


def run_one(id: str, bench: Bench) -> list[Row]:
    """The rows of one bench; one that raises becomes a failed row that says why."""
    try:
        rows = bench()
    except Exception as fault:
        traceback.print_exc()
        return [Row(id, None, None, None, None, 0, None, "fail", f"{type(fault).__name__}: {fault}")]
    return rows if isinstance(rows, list) else [rows]


def write_result(path: Path, machine: dict[str, object], rows: Sequence[Row]) -> None:
    """Write build/bench.json, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    document = {"machine": machine, "rows": [row.as_json() for row in rows]}
    partial.write_text(json.dumps(document, indent=2) + "\n")
    partial.rename(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen benches and report them."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure what was promised.")
    parser.add_argument("only", nargs="*", help="ids, or beginnings of ids; all when left out")
    parser.add_argument("--list", action="store_true", help="print the ids and stop")
    parser.add_argument(
        "--markdown", action="store_true", help="print the last result as a Markdown table and stop"
    )
    options = parser.parse_args(arguments)
    if options.markdown:
        print(as_markdown(json.loads(_RESULT.read_text())))
        return 0
    benches = find_benches()
    chosen = {
        id: bench
        for id, bench in benches.items()
        if not options.only or any(id.startswith(word) for word in options.only)
    }
    if options.list or not chosen:
        print("\n".join(benches))
        return 0 if options.list else 2
    os.environ["PATH"] = SEARCH_PATH
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are stopped on the way out
    machine, rows = describe(), []
    for id, bench in chosen.items():
        started_s = time.monotonic()
        rows += run_one(id, bench)
        print(f"{id}: {rows[-1].verdict}, {time.monotonic() - started_s:.0f} s", file=sys.stderr, flush=True)
        write_result(_RESULT, machine, rows)
    print(as_text(rows))
    return 1 if any(row.verdict == "fail" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
