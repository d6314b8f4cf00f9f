"""The parsers that are fuzzed: each fuzz_*.py here defines one, by three names.

    TARGET: str                    what `make fuzz TARGET=` calls it
    SEEDS: list[bytes]             well-formed and nearly well-formed inputs to start from
    one(data: bytes) -> None       the invariant: raises whatever it likes when `data` breaks it

A finding is kept for ever: copy its file into `tests/fuzz/cases/<target>/`, and `make test` runs it.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
CASES: Final = HERE / "cases"


@dataclass(frozen=True, slots=True)
class Target:
    """One fuzzed parser."""

    name: str
    module: str
    seeds: tuple[bytes, ...]
    one: Callable[[bytes], None]

    def pinned(self) -> list[Path]:
        """Inputs that once broke it, oldest name first."""
        folder = CASES / self.name
        return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []

    def corpus(self) -> list[bytes]:
        """Seeds and pinned cases: where mutation starts."""
        return [*self.seeds, *(path.read_bytes() for path in self.pinned())]


def load(module: str) -> Target:
    """Import one fuzz module, by its full name, as a target."""
    found = importlib.import_module(module)
    return Target(found.TARGET, module, tuple(found.SEEDS), found.one)


def find_targets() -> dict[str, Target]:
    """All targets by name. Raises ValueError when two files use one name."""
    targets: dict[str, Target] = {}
    for path in sorted(HERE.glob("fuzz_*.py")):
        target = load(f"tests.fuzz.{path.stem}")
        if target.name in targets:
            raise ValueError(f"{path.name}: another file already calls its target {target.name!r}")
        targets[target.name] = target
    return targets
