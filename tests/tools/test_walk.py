"""Which files the paths of a command line stand for."""

import errno
import os
from pathlib import Path

import pytest

from runtime.errors import EdgeError, Forbidden, NotFound, StoreFull, UsageError
from tools.frame.walk import check_named, files, total_bytes, translated


def _walk(*paths: str) -> tuple[list[str], list[tuple[str, str]]]:
    skipped: list[tuple[str, str]] = []
    return list(files(paths, lambda path, why: skipped.append((path, why)))), skipped


def _tree(root: Path) -> str:
    for name in ("b/two", "a/one", "c"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return str(root)


def test_a_directory_stands_for_its_files_in_the_order_of_names(tmp_path: Path) -> None:
    root = _tree(tmp_path)
    assert _walk(root)[0] == [f"{root}/a/one", f"{root}/b/two", f"{root}/c"]


def test_files_and_stdin_stand_for_themselves_in_the_order_given() -> None:
    assert _walk("z", "-", "a")[0] == ["z", "-", "a"]


def test_links_inside_a_directory_are_left_out_and_named_ones_followed(tmp_path: Path) -> None:
    root = _tree(tmp_path / "tree")
    os.symlink("/etc", f"{root}/etc")
    os.symlink(root, f"{root}/loop")
    os.symlink(root, tmp_path / "named")
    os.mkfifo(f"{root}/pipe")
    found, skipped = _walk(str(tmp_path / "named"))
    assert len(found) == 3
    assert sorted(Path(path).name + ": " + why for path, why in skipped) == [
        "etc: symbolic link",
        "loop: symbolic link",
        "pipe: not a regular file",
    ]


def test_a_name_that_is_no_text_is_walked_like_any_other(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff\xfe")).write_text("x")
    assert [os.fsencode(path)[-2:] for path in _walk(str(tmp_path))[0]] == [b"\xff\xfe"]


def test_a_directory_nested_too_deep_is_refused(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    with pytest.raises(UsageError, match="nested more than 256 deep"):
        _walk(str(tmp_path))


def test_what_does_not_exist_is_said_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        check_named([str(tmp_path), "-", f"{tmp_path}/nothing"])
    assert caught.value.where == f"{tmp_path}/nothing"


def test_the_total_is_known_for_files_and_not_for_streams(tmp_path: Path) -> None:
    root = _tree(tmp_path)
    assert total_bytes([root]) == len("a/one") + len("b/two") + 1
    assert total_bytes([root, "-"]) is None


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, NotFound),
        (errno.ENOTDIR, NotFound),
        (errno.EACCES, Forbidden),
        (errno.EPERM, Forbidden),
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EIO, UsageError),
    ],
)
def test_errors_of_the_system_are_told_in_our_kinds(number: int, kind: type[EdgeError]) -> None:
    error = translated(OSError(number, os.strerror(number)), "/x")
    assert type(error) is kind
    assert error.where == "/x"
