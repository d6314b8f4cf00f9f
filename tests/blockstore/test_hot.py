"""The native hot path: exactly what the general path would send, or nothing at all."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from blockstore import Store
from blockstore.hot import Entry, hot_entry, hot_path
from content.bao._native import HotEntry, HotPath
from tests.blockstore.test_packs import add

TAIL = b"HTTP/1.1\r\nHost: x\r\n\r\n"
TARGET = b"/blake3/known"
REQUEST = b"GET " + TARGET + b" " + TAIL
OPENING = b"HTTP/1.1 200 OK\r\nDate: now\r\n"
HEAD = b"ETag: x\r\n\r\n"
PLAIN = {TAIL: None}


class Hit:
    """What the path hands back."""


class Bench:
    """A store with one blob, the path over it, and both ends of a connection."""

    def __init__(self, data: Path, content: bytes) -> None:
        self.store = Store.open(data)
        self.content = content
        self.root = self.store.put_bytes(content).root
        self.blob = self.store.blob(self.root)
        self.hit = Hit()
        self.entries: dict[bytes, Entry] = {}
        self.path: HotPath | None = hot_path(self.store, self.entries)
        self.client, self.server = socket.socketpair()
        self.server.setblocking(False)
        self.client.setblocking(False)

    @classmethod
    def packed(cls, folder: Path, content: bytes) -> "Bench":
        """With the blob in a slot of a pack, where `add` puts small files."""
        made = cls(folder / "data", b"another")
        [made.root] = add(made.store, folder, content)
        made.blob, made.content = made.store.blob(made.root), content
        made.blob.read(0, len(content))
        return made

    def learn(self) -> bool:
        entry = hot_entry(self.store, self.blob, self.store.board.generation(), HEAD, self.hit)
        if entry is not None:
            self.entries[TARGET] = entry
        return entry is not None

    def turn(self, request: bytes = REQUEST) -> object:
        if request:
            self.client.send(request)
        assert self.path is not None
        return self.path.turn(self.server.fileno(), PLAIN, OPENING, self)

    def received(self) -> bytes:
        parts = []
        try:
            while part := self.client.recv(1 << 20):
                parts.append(part)
        except BlockingIOError:
            pass
        return b"".join(parts)

    def close(self) -> None:
        self.client.close()
        self.server.close()
        self.entries.clear()
        self.path = None
        self.store.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "data", os.urandom(20_000))
    made.blob.read(0, 20_000)  # proven to BLAKE3
    yield made
    made.close()


def test_only_a_proven_blob_gets_an_entry(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "data", b"never read")
    assert not bench.learn()
    bench.blob.read(0, 1)
    assert bench.learn()
    bench.close()


def test_a_known_get_is_answered_whole(bench: Bench) -> None:
    bench.learn()
    for _ in range(3):
        assert bench.turn() is bench.hit
        assert bench.received() == OPENING + HEAD + bench.content


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /blake3/other " + TAIL,
        b"HEAD " + TARGET + b" " + TAIL,
        b"get " + TARGET + b" " + TAIL,
        b"GET  " + TARGET + b" " + TAIL,
        b"GET " + TARGET + b"  " + TAIL,
        REQUEST[:-1],
        REQUEST + REQUEST,
        REQUEST + b"x",
        b"GET " + TARGET + b" HTTP/1.1\r\nHost: y\r\n\r\n",
        b"GET",
        b"GET /",
        b"\x00" * 100,
    ],
)
def test_anything_else_is_handed_back_untouched(bench: Bench, request_bytes: bytes) -> None:
    bench.learn()
    assert bench.turn(request_bytes) == request_bytes
    assert bench.received() == b""


def test_an_entry_dies_with_the_generation(bench: Bench) -> None:
    bench.learn()
    bench.store.board.bump()
    assert bench.turn() == REQUEST
    assert bench.received() == b""


def test_content_that_was_removed_or_damaged_is_not_sent(bench: Bench, tmp_path: Path) -> None:
    bench.learn()
    raw = (tmp_path / "data" / "bulk" / "data.mdb").read_bytes()
    at = raw.find(bench.content[5000:5040])
    with (tmp_path / "data" / "bulk" / "data.mdb").open("r+b") as file:
        file.seek(at)
        file.write(bytes([bench.content[5000] ^ 1]))
    assert bench.turn() == REQUEST
    assert bench.received() == b""


def test_a_missing_value_is_handed_back(bench: Bench) -> None:
    bench.learn()
    bench.store.rm(bench.root)
    # even with the generation of an entry made a moment too late, nothing is found and nothing sent
    entry = HotEntry(bench.store.board.generation(), HEAD, b"\xff" * 12, 1, 20_000, 20_100, True, bench.hit)
    bench.entries[TARGET] = entry
    assert bench.turn() == REQUEST
    assert bench.received() == b""


def test_what_a_full_kernel_did_not_take_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "data", os.urandom(600_000))
    bench.blob.read(0, 600_000)
    bench.server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
    bench.learn()
    outcome = bench.turn()
    assert isinstance(outcome, tuple)
    data, hit, taken = outcome
    assert (data, hit) == (REQUEST, bench.hit)
    got = bench.received()
    assert len(got) == taken < 262_144 + len(OPENING + HEAD)
    assert (OPENING + HEAD + bench.content).startswith(got)
    while True:  # until nothing at all is taken
        outcome = bench.turn()
        assert isinstance(outcome, tuple)
        if outcome[2] == 0:
            break
    bench.close()


def test_a_blob_of_several_segments_is_begun_and_left_to_the_general_way(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "data", os.urandom(300_000))
    bench.blob.read(0, 300_000)
    bench.server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    bench.learn()
    outcome = bench.turn()
    assert isinstance(outcome, tuple)
    assert 0 < outcome[2] <= len(OPENING + HEAD) + 262_144
    bench.close()


def test_the_ends_of_a_connection_are_told_as_recv_tells_them(bench: Bench) -> None:
    with pytest.raises(BlockingIOError):
        bench.turn(b"")
    bench.client.close()
    assert bench.turn(b"") == b""
    assert bench.path is not None
    with pytest.raises(OSError, match="file descriptor"):
        bench.path.turn(-1, PLAIN, OPENING, bench)


def test_a_client_that_is_gone_is_left_to_the_general_way(bench: Bench) -> None:
    bench.learn()
    bench.client.send(REQUEST)
    bench.client.close()
    assert bench.path is not None
    outcome = bench.path.turn(bench.server.fileno(), PLAIN, OPENING, bench)
    assert isinstance(outcome, tuple)
    assert outcome[2] == 0


def test_wrong_arguments_are_refused_plainly(bench: Bench) -> None:
    for first, value in ((0, 100), (100, 100), (100, 115), (2**64 - 1, 5)):
        with pytest.raises((ValueError, OverflowError)):
            HotEntry(1, HEAD, b"key", 1, first, value, True, None)
    with pytest.raises(TypeError):
        HotEntry("1", HEAD, b"key", 1, 1, 100, True, None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="words"):
        HotPath({}, memoryview(b"short"), lambda: None, {}, {})
    with pytest.raises(ValueError, match="segment"):
        HotEntry(1, HEAD, b"key", 1, 262_145, 100, True, None, (0, 0))
    bench.entries[TARGET] = None  # type: ignore[assignment]
    with pytest.raises(TypeError):
        bench.turn()


@pytest.mark.parametrize("size", [32_769, 100_000, 262_143, 262_144])
def test_what_lies_in_a_pack_is_answered_whole(tmp_path: Path, size: int) -> None:
    bench = Bench.packed(tmp_path, os.urandom(size))
    bench.server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    assert bench.blob.lies_apart
    assert bench.learn()
    for _ in range(3):
        assert bench.turn() is bench.hit
        assert bench.received() == OPENING + HEAD + bench.content
    bench.close()


def test_a_slot_that_was_damaged_or_emptied_is_not_sent(tmp_path: Path) -> None:
    bench = Bench.packed(tmp_path, os.urandom(100_000))
    bench.learn()
    [pack] = (tmp_path / "data" / "packs").iterdir()
    at = bench.blob.storage_id % 256 * (256 << 10)
    with pack.open("r+b") as file:
        file.seek(at + 99_999)
        file.write(bytes([bench.content[-1] ^ 1]))
    assert bench.turn() == REQUEST
    bench.store.backing.packs.free(bench.blob.storage_id)
    assert bench.turn() == REQUEST
    os.truncate(pack, at)
    assert bench.turn() == REQUEST
    assert bench.received() == b""
    bench.close()


def test_a_pack_that_is_not_open_is_left_to_the_general_way_which_opens_it(tmp_path: Path) -> None:
    bench = Bench.packed(tmp_path, os.urandom(100_000))
    bench.learn()
    bench.store.backing.packs.opened.clear()
    assert bench.turn() == REQUEST
    assert bench.received() == b""
    assert bench.blob.read(0, 10) == bench.content[:10]
    assert bench.turn() is bench.hit
    bench.close()


def test_a_blob_that_was_not_read_by_its_handle_gets_no_entry_yet(bench: Bench) -> None:
    """Where it lies is not known: an entry would be declined for ever."""
    bench.blob = bench.store.blob(bench.root)
    assert not bench.learn()
    bench.blob.read(0, 1)
    assert bench.learn()
