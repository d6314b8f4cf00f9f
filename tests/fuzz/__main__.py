"""`make fuzz TARGET=name SECONDS=60`: fuzz one parser and say what was done on the last line.

    python -m tests.fuzz TARGET [--seconds S] [--runs N] [--seed N] [--blind]

Stops after S seconds or N executions, whichever is given (both: the earlier). Guided by coverage where
atheris is installed, by blind mutation elsewhere or with --blind. The corpus that guidance finds stays in
build/fuzz/<target>/corpus for the next run; inputs that break the invariant are written beside it. The last
line is JSON; the exit code is 1 when there is a finding, 2 when there is no such target.
"""

import argparse
import hashlib
import importlib.util
import json
import re
import secrets
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.mutator import MAX_BYTES, mutations
from tests.fuzz.targets import Target, find_targets

BUILD: Final = Path(__file__).parent.parent.parent / "build" / "fuzz"
_ONE_INPUT_S: Final = 25  # an input that takes longer is a finding: nothing we parse may hang
_RSS_MIB: Final = 2048


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to go on; None = no bound of that kind."""

    seconds: float | None
    runs: int | None
    seed: int


@dataclass(frozen=True, slots=True)
class Report:
    """What one run did; the last line of output."""

    target: str
    engine: str
    executions: int
    seconds: float
    seed: int
    findings: list[str]


def fuzz_guided(target: Target, budget: Budget, folder: Path) -> Report:
    """Run libFuzzer in a child process; its findings are the files it leaves."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for data in target.corpus():
        (corpus / f"seed-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
    before = set(folder.iterdir())
    options = [f"-seed={budget.seed or 1}", f"-max_len={MAX_BYTES}", f"-timeout={_ONE_INPUT_S}"]
    options += [
        f"-artifact_prefix={folder}/",
        f"-rss_limit_mb={_RSS_MIB}",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    if budget.seconds is not None:
        options.append(f"-max_total_time={max(1, round(budget.seconds))}")
    if budget.runs is not None:
        options.append(f"-runs={budget.runs}")
    command = [sys.executable, "-m", "tests.fuzz.guided", target.module, *options, str(corpus)]
    started_s = time.monotonic()
    ended = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    took_s = time.monotonic() - started_s
    findings = sorted(str(path) for path in set(folder.iterdir()) - before)
    count = re.search(r"stat::number_of_executed_units:\s*(\d+)", ended.stdout)
    if ended.returncode != 0 or findings or count is None:
        print(ended.stdout[-20_000:])
    if ended.returncode != 0 and not findings:
        findings = [f"the engine ended with {ended.returncode} and left no input"]
    return Report(
        target.name, "atheris", int(count[1]) if count else 0, round(took_s, 1), budget.seed, findings
    )


def fuzz_blind(target: Target, budget: Budget, folder: Path) -> Report:
    """Mutate without guidance, in this process; the first finding stops the run."""
    started_s = time.monotonic()
    executions, findings = 0, list[str]()
    for data in mutations(target.corpus(), budget.seed):
        over_time = budget.seconds is not None and time.monotonic() - started_s >= budget.seconds
        if over_time or (budget.runs is not None and executions >= budget.runs):
            break
        executions += 1
        try:
            target.one(data)
        except Exception:
            traceback.print_exc()
            folder.mkdir(parents=True, exist_ok=True)
            kept = folder / f"crash-{hashlib.sha256(data).hexdigest()[:16]}"
            kept.write_bytes(data)
            findings.append(str(kept))
            break
    took_s = round(time.monotonic() - started_s, 1)
    return Report(target.name, "mutator", executions, took_s, budget.seed, findings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz one target and print the report."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Fuzz one parser.")
    parser.add_argument("target", nargs="?", default="")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--runs", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument(
        "--blind", action="store_true", help="no coverage guidance, even where it is installed"
    )
    options = parser.parse_args(arguments)
    targets = find_targets()
    target = targets.get(options.target)
    if target is None:
        print(f"make fuzz: TARGET is one of: {', '.join(targets)}", file=sys.stderr)
        return 2
    seconds = options.seconds if options.seconds is not None or options.runs is not None else 60.0
    seed = options.seed if options.seed is not None else secrets.randbelow(1 << 31)
    budget = Budget(seconds, options.runs, seed)
    blind = options.blind or importlib.util.find_spec("atheris") is None
    print(
        f"fuzzing {target.name} with seed {seed}{', without coverage guidance' if blind else ''}", flush=True
    )
    engine = fuzz_blind if blind else fuzz_guided
    report = engine(target, budget, BUILD / target.name)
    print(json.dumps(asdict(report)))
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
