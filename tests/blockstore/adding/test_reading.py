"""Reading one file into a store: whole, growing, shrinking, no file any more."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from blockstore import Durability, Store, StoreSettings
from blockstore.adding.reading import FileWork, Hand, Keep, Reader
from blockstore.bundle import Bundle
from blockstore.landings import Landings
from content.bao._native import SmallFiles
from content.unixfs.profile import PROFILES, Profile
from runtime.errors import EdgeError, Interrupted, NotFound, UsageError
from tools.edge.local_blocks import LocalBlocks

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
        work = FileWork(self.reader, str(path), os.lstat(path).st_size if path.exists() else 0, False)
        hand = Hand(self.reader, [work])
        made = work(hand)
        hand.bundle.submit(urgent=True)
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


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize(
    "keep", [Keep(mode=False, mtime=False), Keep(mode=True, mtime=True)], ids=["", "all"]
)
def test_files_read_together_become_what_each_becomes_alone(
    store: Store, tmp_path: Path, profile: Profile, keep: Keep
) -> None:
    paths = []
    for number, size in enumerate((0, 1, 16_384, 16_385, 40_000, 107_374, SEGMENT, SEGMENT + 1, 40_000)):
        paths.append(tmp_path / f"file-{number}-\udcff")
        paths[-1].write_bytes(hashlib.shake_256(b"%d" % size).digest(size))
        os.utime(paths[-1], ns=(1, 1_700_000_000_123_456_789 - number))
    desk = Desk(store, profile)
    reader = replace(desk.reader, keep=keep)
    works = [FileWork(reader, os.fspath(path), path.stat().st_size, False) for path in paths]
    hand = Hand(reader, works)
    together = [work(hand) for work in works]
    hand.bundle.submit(urgent=True)
    desk.landings.wait()
    with Store.open(tmp_path / "other", SETTINGS) as other:
        landings = Landings()
        lonely = replace(reader, store=other, landings=landings)
        bundle = Bundle(other, landings)
        assert together == [lonely.path(os.fspath(path), False, bundle) for path in paths]
        bundle.submit(urgent=True)
        landings.wait()
        assert {each.hash for each in store.list()} == {each.hash for each in other.list()}
    for path, made in zip(paths, together, strict=True):
        assert b"".join(LocalBlocks(store).pieces(made.cid)) == path.read_bytes()


def test_what_changed_after_it_was_listed_is_read_as_it_is_or_refused(store: Store, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("same", "grew", "shrank", "went")]
    for path in paths:
        path.write_bytes(bytes(1000))
    desk = Desk(store, PROFILES["unixfs-v1-2025"])
    works = [FileWork(desk.reader, os.fspath(path), 1000, False) for path in paths]
    paths[1].write_bytes(b"g" * 600_000)
    paths[2].write_bytes(b"s")
    paths[3].unlink()
    hand = Hand(desk.reader, works)
    made = [work(hand) for work in works[:3]]
    with pytest.raises(NotFound):
        works[3](hand)
    hand.bundle.submit(urgent=True)
    desk.landings.wait()
    for path, each in zip(paths, made, strict=False):
        assert b"".join(LocalBlocks(store).pieces(each.cid)) == path.read_bytes()


def test_a_hand_is_bounded_and_knows_its_places(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    path = os.fsencode(tmp_path / "file")
    with pytest.raises(ValueError, match="at most 64"):
        SmallFiles([path] * 65, False, 100_000)
    (tmp_path / "link").symlink_to("file")
    files = SmallFiles(
        [path, os.fsencode(tmp_path / "link"), b"nul\0", os.fsencode(tmp_path)], False, 100_000
    )
    assert files.data(0) == b"content"
    assert [files.told(place) is None for place in range(4)] == [False, True, True, True]
    assert SmallFiles([os.fsencode(tmp_path / "link")], True, 100_000).data(0) == b"content"
    for place in (1, 4):
        with pytest.raises(ValueError, match="file"):
            files.data(place)
    with pytest.raises(OSError, match="descriptor"):
        files.store([(0, 999_999, 0, 0)], False)
