"""Reading one file into a store: whole, growing, shrinking, no file any more."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blockstore import Durability, Store, StoreSettings
from blockstore.bundle import Bundle
from blockstore.landings import Landings
from content.unixfs.profile import PROFILES, Profile
from runtime.errors import EdgeError, Interrupted, NotFound, UsageError
from tools.edge.local_blocks import LocalBlocks
from tools.edge.reading import Keep, Reader

SETTINGS = StoreSettings(durability=Durability.NONE, linger_s=0.0)
SEGMENT = 256 << 10
MIB = 1 << 20


class Hook:
    """A progress that does something to the file when the first bytes of it are reported."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act
        self._is_done = False

    def advance(self, done_bytes: int) -> None:
        if not self._is_done:
            self._is_done = True
            self._act()

    def line(self, text: str) -> None:
        raise AssertionError(text)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "data", SETTINGS) as store:
        yield store


class Desk:
    """A reader, and what it says."""

    def __init__(
        self, store: Store, profile: Profile, act: Callable[[], object] = lambda: None, *, stop: bool = False
    ) -> None:
        self.notes: list[str] = []
        self.store, self.landings = store, Landings()

        def check() -> None:
            if stop:
                raise Interrupted("given up")

        keep = Keep(mode=False, mtime=False)
        self.reader = Reader(store, profile, keep, self.landings, Hook(act), self.notes.append, check)

    def read(self, path: Path) -> bytes:
        bundle = Bundle(self.store, self.landings)
        made = self.reader.path(str(path), False, bundle)
        bundle.submit(urgent=True)
        self.landings.wait()
        return b"".join(LocalBlocks(self.store).pieces(made.cid))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize(
    "size", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 5]
)
def test_a_file_of_any_size_is_read_whole(store: Store, tmp_path: Path, profile: Profile, size: int) -> None:
    content = hashlib.shake_256(b"%d" % size).digest(size)
    (tmp_path / "file").write_bytes(content)
    desk = Desk(store, profile)
    assert desk.read(tmp_path / "file") == content
    assert desk.notes == []


@pytest.mark.parametrize("act", ["append", "truncate"])
def test_a_file_that_changes_while_it_is_read_is_told_of(store: Store, tmp_path: Path, act: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(4 * MIB))

    def change() -> None:
        with path.open("r+b") as file:
            if act == "append":
                file.seek(0, os.SEEK_END)
                file.write(b"more")
            else:
                file.truncate(3 * MIB)

    desk = Desk(store, PROFILES["unixfs-v1-2025"], change)
    read = desk.read(path)
    assert read == path.read_bytes()
    assert len(desk.notes) == 1
    assert str(path) in desk.notes[0]


def test_a_file_that_says_less_than_it_holds_is_read_to_its_end(store: Store) -> None:
    """Files of /proc have size 0."""
    desk = Desk(store, PROFILES["unixfs-v1-2025"])
    assert desk.read(Path("/proc/version")) == Path("/proc/version").read_bytes()


def test_what_became_a_pipe_or_a_symlink_is_refused_and_not_waited_for(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    desk = Desk(store, PROFILES["unixfs-v1-2025"])
    for name in ("pipe", "link"):
        with pytest.raises(UsageError) as caught:
            desk.read(tmp_path / name)
        assert caught.value.where == str(tmp_path / name)
    with pytest.raises(NotFound):
        desk.read(tmp_path / "gone")


def test_a_reading_that_is_given_up_leaves_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(4 * MIB))
    desk = Desk(store, PROFILES["unixfs-v1-2025"], stop=True)
    with pytest.raises(EdgeError):
        desk.read(tmp_path / "file")
    store.sweep()
    assert store.usage().blobs == 0
    with store.backing.bulk.reading() as txn:
        assert txn.stat()["entries"] == 0
