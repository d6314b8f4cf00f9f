"""Small files that have to be whole or absent, where a write takes less than it was given."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from durable.files import replace_file_durably, write_file_durably
from runtime.errors import StoreFull


@contextmanager
def files_end_at(size_bytes: int) -> Iterator[None]:
    """No file may be longer: a write across the end takes what is before it, the next is refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_takes_a_part_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "record"
    with files_end_at(10), pytest.raises(StoreFull):
        write_file_durably(path, b"x" * 100)
    assert not list(tmp_path.iterdir())
    assert write_file_durably(path, b"old")
    with files_end_at(10), pytest.raises(StoreFull):
        replace_file_durably(path, b"y" * 100)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["record"]
    replace_file_durably(path, b"new")
    assert path.read_bytes() == b"new"
