"""`make mutants`: break the product on purpose, one patch at a time, in a copy; the named test must fail.

    python -m tests.mutants [ONLY …]

First every named test must pass on the unbroken copy, or its later failure would prove nothing. Then each
patch is applied, its tests run, and the patch taken back. A test that hangs counts as one that noticed.
The last line is JSON; exit code 1 when a mutant survived or could not be tried.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from tests.mutants.patches import ROOT, Mutant, find_mutants

Fate = Literal["caught", "survived", "broken patch"]

_TESTS_FAILED: Final = 1  # pytest's exit code; 2 to 5 mean that nothing was tried
_HANGS_S: Final = 600
_NOT_COPIED: Final = shutil.ignore_patterns(
    ".git", ".venv", "build", "target", "__pycache__", ".*_cache", ".hypothesis"
)
_LIBRARY: Final = Path("content/bao/_native.abi3.so")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one mutant."""

    name: str
    fate: Fate
    fault: str
    why: str = ""


def run_tests(copy: Path, tests: Iterable[str]) -> tuple[int, str]:
    """pytest's exit code and output for `tests` in the copy; a hang counts as a failure."""
    # child processes of a test must see the copy too, not the installed tree
    environ = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    try:
        ended = subprocess.run(
            command, check=False, cwd=copy, env=environ, capture_output=True, text=True, timeout=_HANGS_S
        )
    except subprocess.TimeoutExpired:
        return _TESTS_FAILED, f"still running after {_HANGS_S} s"
    return ended.returncode, ended.stdout[-4000:] + ended.stderr[-2000:]


def apply(copy: Path, mutant: Mutant, *, back: bool = False) -> str:
    """Apply a patch to the copy, or take it back; returns git's complaint, empty when it went well."""
    command = ["git", "apply", *(["--reverse"] if back else []), str(mutant.path)]
    ended = subprocess.run(command, check=False, cwd=copy, capture_output=True, text=True)
    return ended.stderr.strip() if ended.returncode else ""


def build_native(copy: Path) -> str:
    """Build the copy's native library in place; returns cargo's complaint, empty when it went well."""
    target = ROOT / "build" / "mutants-target"  # kept between runs: the second build takes seconds
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", "native/Cargo.toml"]
    environ = {**os.environ, "CARGO_TARGET_DIR": str(target), "PYO3_PYTHON": sys.executable}
    ended = subprocess.run(command, check=False, cwd=copy, env=environ, capture_output=True, text=True)
    if ended.returncode:
        return ended.stderr[-2000:]
    shutil.copy2(target / "release" / "lib_native.so", copy / _LIBRARY)
    return ""


def try_mutant(copy: Path, mutant: Mutant) -> Outcome:
    """Break the copy, run the named tests, mend it."""
    if complaint := apply(copy, mutant):
        return Outcome(mutant.name, "broken patch", mutant.fault, complaint)
    library = (copy / _LIBRARY).read_bytes()
    try:
        if mutant.native and (complaint := build_native(copy)):
            return Outcome(mutant.name, "broken patch", mutant.fault, complaint)
        code, output = run_tests(copy, mutant.tests)
    finally:
        apply(copy, mutant, back=True)
        (copy / _LIBRARY).write_bytes(library)
    if code == _TESTS_FAILED:
        return Outcome(mutant.name, "caught", mutant.fault)
    fate: Fate = "survived" if code == 0 else "broken patch"
    return Outcome(mutant.name, fate, mutant.fault, output)


def main(only: Sequence[str]) -> int:
    """Try the mutants whose name holds one of the words `only`, or all."""
    mutants = [m for m in find_mutants() if not only or any(word in m.name for word in only)]
    if not mutants:
        print("make mutants: no such patch in tests/mutants", file=sys.stderr)
        return 2
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder, "tree")
        shutil.copytree(ROOT, copy, ignore=_NOT_COPIED, symlinks=True)
        code, output = run_tests(copy, dict.fromkeys(test for m in mutants for test in m.tests))
        if code:
            print(
                f"{output}\nmake mutants: the named tests must pass before anything is broken",
                file=sys.stderr,
            )
            return 1
        for mutant in mutants:
            outcomes.append(try_mutant(copy, mutant))
            print(f"{outcomes[-1].fate:12} {mutant.name}: {mutant.fault}", flush=True)
            if outcomes[-1].why:
                print(outcomes[-1].why)
    failed = [asdict(outcome) for outcome in outcomes if outcome.fate != "caught"]
    caught = len(outcomes) - len(failed)
    print(json.dumps({"mutants": len(outcomes), "caught": caught, "survived": [f["name"] for f in failed]}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
