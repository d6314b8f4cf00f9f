"""FILE.part: what a download may leave behind and what it takes over."""

import os
import stat
from pathlib import Path

import pytest

from content.bao.geometry import GROUP_BYTES
from runtime.errors import Conflict, EdgeError, NotFound, StoreFull, UsageError
from tools.edge.partial_file import PartialFile, output_at


def test_the_file_appears_only_when_published(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"before")
    with PartialFile(target) as part:
        part.write(0, b"hello world")
        assert target.read_bytes() == b"before"
        part.publish(5)
    assert target.read_bytes() == b"hello"
    assert os.listdir(tmp_path) == ["out"]


def test_what_was_written_stays_when_the_download_fails(tmp_path: Path) -> None:
    part = PartialFile(tmp_path / "out")
    part.write(0, b"x" * 10)
    part.__exit__(RuntimeError, RuntimeError(), None)
    assert os.listdir(tmp_path) == ["out.part"]
    assert (tmp_path / "out.part").stat().st_size == 10


@pytest.mark.parametrize(
    ("there", "start"),
    [
        (0, 0),
        (GROUP_BYTES - 1, 0),
        (GROUP_BYTES, 0),
        (2 * GROUP_BYTES - 1, 0),
        (2 * GROUP_BYTES, GROUP_BYTES),
        (5 * GROUP_BYTES + 7, 4 * GROUP_BYTES),
    ],
)
def test_a_resume_begins_at_the_last_whole_group(tmp_path: Path, there: int, start: int) -> None:
    (tmp_path / "out.part").write_bytes(bytes(there))
    with PartialFile(tmp_path / "out") as part:
        assert part.resumable_bytes() == start


def test_a_second_download_of_the_same_file_is_refused(tmp_path: Path) -> None:
    with PartialFile(tmp_path / "out"), pytest.raises(Conflict, match="another download"):
        PartialFile(tmp_path / "out")


def test_a_directory_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory"):
        PartialFile(tmp_path)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        PartialFile(tmp_path / "no" / "out")


def test_a_link_left_in_place_of_the_part_is_not_written_through(tmp_path: Path) -> None:
    os.symlink(tmp_path / "victim", tmp_path / "out.part")
    with pytest.raises(EdgeError):
        PartialFile(tmp_path / "out")
    assert not (tmp_path / "victim").exists()


def test_a_discarded_part_is_gone(tmp_path: Path) -> None:
    with PartialFile(tmp_path / "out") as part:
        part.write(0, b"x")
        part.discard()
        part.discard()
    assert os.listdir(tmp_path) == []


def test_a_pipe_that_is_there_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with output_at(pipe) as part:
        assert part.resumable_bytes() == 0
        part.restart()
        part.write(0, b"hello ")
        part.write(6, b"world")
        part.publish(11)
        assert os.read(reader, 100) == b"hello world"
    os.close(reader)
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_link_to_a_device_is_followed_and_nothing_is_made_beside_it(tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to(os.devnull)
    with output_at(tmp_path / "null") as part:
        part.write(0, b"x")
        part.discard()
    assert os.readlink(tmp_path / "null") == os.devnull
    assert os.listdir(tmp_path) == ["null"]


def test_a_device_without_room_is_store_full(tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    with output_at(tmp_path / "full") as part, pytest.raises(StoreFull):
        part.write(0, b"x")


@pytest.mark.parametrize(("name", "kind"), [("a" * 300, UsageError), ("x/y", NotFound)])
def test_a_name_that_no_file_can_have_is_said_so(tmp_path: Path, name: str, kind: type[EdgeError]) -> None:
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(kind):
        output_at(tmp_path / name)


@pytest.mark.parametrize("name", [".", "/", ""])
def test_a_folder_without_a_name_of_its_own_is_no_output_either(name: str) -> None:
    with pytest.raises(UsageError, match="is a directory"):
        output_at(Path(name))
