"""Directory trees for round trips, and what a folder on the disk holds."""

import os
import random
import stat
from pathlib import Path

DEPTH = 200
LONG = "l" * 255
NFC, NFD = "caf\u00e9", "cafe\u0301"
NOT_TEXT = b"not \xff\xfe text"


def many_shapes(folder: Path) -> Path:
    """A tree with every kind of name and entry that a file system has."""
    chance = random.Random(7)
    (folder / "sub" / "empty").mkdir(parents=True)
    for name in (NFC, NFD, LONG, "a blank", "per%cent?#", "new\nline", "-dash", "semi;colon"):
        (folder / name).write_text(f"content of {name}")
    with open(os.path.join(os.fsencode(folder), NOT_TEXT), "wb") as file:
        file.write(b"bytes")
    (folder / "none").write_bytes(b"")
    (folder / "sub" / "big").write_bytes(chance.randbytes(3_300_000))
    (folder / "sub" / "zeros").write_bytes(bytes(3 << 20))
    (folder / "sub" / "again").write_bytes((folder / "sub" / "big").read_bytes())
    (folder / "sub" / "up").symlink_to("../none")
    (folder / "dangling").symlink_to("sub/nowhere")
    (folder / "sub" / "big").chmod(0o640)
    (folder / "sub" / "empty").chmod(0o555)
    os.utime(folder / "none", ns=(0, 1_234_567_890_123_456_789))
    os.utime(folder / "sub" / "up", ns=(0, 987_654_321_000_000_000), follow_symlinks=False)
    return folder


def deep(folder: Path) -> Path:
    """200 folders inside one another."""
    at = folder
    for level in range(DEPTH):
        at = at / f"{level}"
    at.mkdir(parents=True)
    (at / "bottom").write_text("deep")
    return folder


def wide(folder: Path, count: int = 6000) -> Path:
    """A directory that every profile shards."""
    folder.mkdir(parents=True)
    for index in range(count):
        (folder / f"entry-{index:05}.txt").write_text(f"{index}\n")
    return folder


def content_of(folder: Path, *, attributes: bool = False) -> dict[bytes, tuple[object, ...]]:
    """Everything below a folder by its path in bytes; with `attributes` modes and times too."""
    found: dict[bytes, tuple[object, ...]] = {}
    top = os.fsencode(folder)
    for at, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = os.path.join(at, name)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                what: tuple[object, ...] = ("link", os.readlink(path))
            elif stat.S_ISDIR(status.st_mode):
                what = ("folder",)
            else:
                with open(path, "rb") as file:
                    what = ("file", file.read())
            if attributes:
                mode = None if what[0] == "link" else stat.S_IMODE(status.st_mode)
                what = (*what, mode, status.st_mtime_ns)
            found[os.path.relpath(path, top)] = what
    return found
