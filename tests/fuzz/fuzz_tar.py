"""Fuzz target `tar`: TAR archives that become one directory, read at any pace.

The first byte says how many bytes a read gives. Invariants
 1. Only UsageError is raised.
 2. However slowly it comes, the same directories come out, or the same refusal.
 3. No name in them could lead anywhere: none is empty, a dot or two, or holds a slash or NUL.
"""

import hashlib
import io
import tarfile
from collections.abc import Callable, Sequence
from typing import BinaryIO, cast

from blockstore.adding.adding import Adding
from blockstore.adding.reading import Attributes, Keep
from blockstore.adding.tar import add_tar
from content import multihash
from content.cid import RAW, Cid
from content.unixfs.build_directory import DirectoryMade, Entry
from content.unixfs.build_file import FileMade
from runtime.errors import UsageError

TARGET = "tar"


class Taken:
    """What an archive comes to, in place of a store. Implements what `add_tar` asks of `Adding`."""

    keep = Keep(mode=True, mtime=True)

    def __init__(self) -> None:
        self.told: list[object] = []

    def note(self, text: str) -> None:
        self.told.append(text)

    def after(self, then: Callable[[], None]) -> None:
        then()

    def finish(self) -> None:
        pass

    def data(
        self, data: bytearray, attributes: Attributes, shown: str, then: Callable[[FileMade], None]
    ) -> None:
        then(self._made(bytes(data), attributes, shown))

    def stream(
        self, file: BinaryIO, shown: str, then: Callable[[FileMade], None], attributes: Attributes
    ) -> None:
        then(self._made(file.read(), attributes, shown))

    def symlink(self, target: str, attributes: Attributes, shown: str, then: Callable[[Entry], None]) -> None:
        self.told.append((shown, target, attributes))
        then(Entry("", _cid(target.encode("utf-8", "surrogateescape")), len(target)))

    def directory(self, entries: Sequence[Entry], shown: str, attributes: Attributes) -> DirectoryMade:
        for entry in entries:
            assert entry.name not in ("", ".", "..")
            assert "/" not in entry.name
            assert "\0" not in entry.name
        self.told.append((shown, [(each.name, each.cid) for each in entries], attributes))
        return DirectoryMade(_cid(repr(self.told[-1]).encode("utf-8", "surrogateescape")), 0, ())

    def _made(self, data: bytes, attributes: Attributes, shown: str) -> FileMade:
        self.told.append((shown, attributes))
        return FileMade(_cid(data), len(data), len(data))


class Slow(io.RawIOBase):
    """A file that gives at most so many bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        super().__init__()
        self._inner, self._step = io.BytesIO(data), step

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._inner.read(min(len(buffer), self._step))
        buffer[: len(data)] = data
        return len(data)


def _cid(data: bytes) -> Cid:
    return Cid.v1(RAW, multihash.sha2_256(data))


def read(file: BinaryIO) -> tuple[list[object], str]:
    """(what it came to, the root or how it was refused)."""
    taken = Taken()
    try:
        root = add_tar(cast(Adding, taken), file, "x", entries_max=1000, packed=False)
    except UsageError as error:
        assert error.message
        return taken.told, f"{error.message} {error.where}"
    return taken.told, root.text()


def one(data: bytes) -> None:
    """The invariants; raises on violation."""
    if not data:
        return
    step, data = data[0] * 4 + 1, data[1:]
    assert read(cast(BinaryIO, Slow(data, step))) == read(io.BytesIO(data)), (
        "read slowly, it means something else"
    )


def _archive(format: int, *members: tuple[str, bytes, bytes, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, kind, content, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname, info.mtime = kind, len(content), link, 1_700_000_000.25
            archive.addfile(info, io.BytesIO(content))
    return b"\x40" + out.getvalue()[: -16 * 512 if len(members) < 4 else None]


_MEMBERS = (
    ("d", tarfile.DIRTYPE, b"", ""),
    ("d/file", tarfile.REGTYPE, b"hello", ""),
    ("d/link", tarfile.SYMTYPE, b"", "file"),
    ("hard", tarfile.LNKTYPE, b"", "d/file"),
    ("n" * 120 + "/\u00fc", tarfile.REGTYPE, b"x" * 600, ""),
)
SEEDS = [
    *(_archive(each, *_MEMBERS) for each in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)),
    *(_archive(tarfile.USTAR_FORMAT, member) for member in _MEMBERS[:4]),
    _archive(tarfile.PAX_FORMAT, ("../out", tarfile.REGTYPE, b"x", "")),
    b"\x00" + hashlib.sha256(b"no archive").digest() * 20,
]
