"""Test data that is not part of the repository, where it is there: public fixtures and vectors.

`FLEEK_SHARED_DATA` names the folder; else `../shared/data` beside the repository. A test whose data is
missing is skipped and listed with the reason.
"""

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).parent.parent.parent / "shared" / "data"


def shared_data(name: str) -> Path:
    """A file or folder of the shared data; skips the test where it is missing."""
    folder = Path(os.environ.get("FLEEK_SHARED_DATA") or _BESIDE)
    path = folder / name
    if not path.exists():
        pytest.skip(f"needs the shared test data `{name}`, which is not beside this repository")
    return path


def shared_files(name: str, pattern: str) -> list[Path]:
    """Files of a folder of the shared data by their names; none where the folder is missing."""
    folder = Path(os.environ.get("FLEEK_SHARED_DATA") or _BESIDE) / name
    return sorted(folder.glob(pattern))
