"""A mutant: one deliberate fault as a patch, and the test that must notice it.

Each `*.patch` in this folder is a unified diff that `git apply` takes, below one line of its own:

    # test: tests/durable/test_writer.py::test_an_acknowledged_put_survives_kill — skips the fsync

Several test ids may stand there, separated by blanks: at least one must fail.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
_HEAD: Final = re.compile(r"# test: (?P<tests>\S+(?: \S+)*?)(?: (?:—|--) (?P<fault>.+))?")
_CHANGED: Final = re.compile(r"^\+\+\+ b/(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One patch, read but not applied."""

    path: Path
    tests: tuple[str, ...]
    fault: str
    changed: tuple[str, ...]  # files it touches, relative to the repository

    @property
    def name(self) -> str:
        """The file name without `.patch`."""
        return self.path.stem

    @property
    def native(self) -> bool:
        """Whether the native library must be built again for it."""
        return any(name.startswith("native/") for name in self.changed)


def read(path: Path) -> Mutant:
    """Read one patch. Raises ValueError, naming the file, when head or body is not as described above."""
    text = path.read_text()
    head = _HEAD.fullmatch(text.partition("\n")[0])
    changed = tuple(dict.fromkeys(_CHANGED.findall(text)))
    if head is None or not changed:
        raise ValueError(f"{path.name}: begins with '# test: <test id> — <what it breaks>', then a diff")
    if outside := [name for name in changed if name.startswith("tests/")]:
        raise ValueError(f"{path.name}: changes {outside[0]}; a mutant breaks the product, not its tests")
    tests = tuple(head["tests"].split())
    return Mutant(path, tests, head["fault"] or path.stem, changed)


def find_mutants() -> list[Mutant]:
    """All mutants, by name."""
    return [read(path) for path in sorted(HERE.glob("*.patch"))]
