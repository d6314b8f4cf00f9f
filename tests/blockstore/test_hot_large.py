"""Bodies in extents on the hot path: sent whole by its thread, or given back where it may not go on."""

import os
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blockstore.test_extent_sums import flip
from tests.blockstore.test_extents import files
from tests.blockstore.test_hot import HEAD, OPENING, Bench

pytestmark = pytest.mark.timeout(60)
SEGMENT = 262_144
SIZE = 24 * SEGMENT + 4321
CONTENT = os.urandom(SIZE)
ANSWER = OPENING + HEAD + CONTENT


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """With a large blob that was proven, and sent once the general way, which learned its sums."""
    made = Bench(tmp_path / "data", CONTENT)
    made.blob.read(0, SIZE)
    start = 0
    while start < SIZE:
        stop = min(start - start % SEGMENT + SEGMENT, SIZE)
        start += made.blob.lend(start, stop, len, lambda fd, offset, count: count, SIZE)
    assert made.learn()
    yield made
    made.close()


def take(bench: Bench, count: int) -> bytes:
    """So many bytes as the client gets them."""
    bench.client.settimeout(20)
    parts = []
    while count and (part := bench.client.recv(min(count, 1 << 20))):
        parts.append(part)
        count -= len(part)
    bench.client.setblocking(False)
    return b"".join(parts)


def news(bench: Bench, timeout_s: float = 20) -> list[tuple[object, bool]]:
    """What the path tells when it rings."""
    assert bench.path is not None
    ready, _, _ = select.select([bench.path.fileno()], [], [], timeout_s)
    return bench.path.ended() if ready else []


def begun(bench: Bench) -> bool:
    outcome = bench.turn()
    return isinstance(outcome, tuple) and len(outcome) == 2 and outcome[1] is bench.hit


def path_of(bench: Bench) -> Path:
    [path] = files(bench.store)
    return path


def test_a_large_body_comes_whole_and_its_owner_is_told(bench: Bench) -> None:
    assert bench.path is not None
    for _ in range(5):
        assert begun(bench)
        assert take(bench, len(ANSWER)) == ANSWER
        assert news(bench) == [(bench, True)]
        assert bench.path.taken_bytes(bench.server.fileno()) is None
        assert bench.received() == b""


def test_it_comes_whole_when_its_checks_are_remembered_too(bench: Bench) -> None:
    rested_s = path_of(bench).stat().st_ctime + 0.2
    while time.time() < rested_s:
        assert begun(bench)
        assert take(bench, len(ANSWER)) == ANSWER
        assert news(bench) == [(bench, True)]
    for _ in range(3):
        assert begun(bench)
        assert take(bench, len(ANSWER)) == ANSWER
        assert news(bench) == [(bench, True)]


def test_what_is_taken_back_is_sent_no_further(bench: Bench) -> None:
    assert bench.path is not None
    assert begun(bench)
    fd = bench.server.fileno()
    part = take(bench, 3_000_000)
    taken = bench.path.take_back(fd)
    assert taken is not None
    assert 3_000_000 <= taken < len(ANSWER)
    assert part + take(bench, taken - 3_000_000) == ANSWER[:taken]
    assert bench.received() == b""
    assert news(bench, 0.0) == []
    assert bench.path.take_back(fd) is None
    assert bench.path.taken_bytes(fd) is None


@pytest.mark.parametrize("at", [0, 5 * SEGMENT + 9, 23 * SEGMENT, SIZE - 1])
def test_not_a_byte_of_a_damaged_segment_leaves(bench: Bench, at: int) -> None:
    assert bench.path is not None
    assert begun(bench)  # it was whole a moment ago
    assert take(bench, len(ANSWER)) == ANSWER
    assert news(bench) == [(bench, True)]
    flip(path_of(bench), at)
    outcome = bench.turn()
    if at < SEGMENT:
        assert isinstance(outcome, bytes)
        return
    assert isinstance(outcome, tuple)
    sound = len(OPENING + HEAD) + at - at % SEGMENT
    assert take(bench, sound) == ANSWER[:sound]
    assert news(bench) == [(bench, False)]
    assert bench.path.take_back(bench.server.fileno()) == sound
    assert bench.received() == b""


@pytest.mark.parametrize("at", [0, 5 * SEGMENT + 9, SIZE - 1])
def test_not_a_byte_of_what_was_changed_since_its_check_was_remembered_leaves(bench: Bench, at: int) -> None:
    rested_s = path_of(bench).stat().st_ctime + 0.2
    while time.time() < rested_s:
        assert begun(bench)
        assert take(bench, len(ANSWER)) == ANSWER
        assert news(bench) == [(bench, True)]
    assert begun(bench)  # from now on its checks are remembered
    assert take(bench, len(ANSWER)) == ANSWER
    assert news(bench) == [(bench, True)]
    flip(path_of(bench), at)
    sound = len(OPENING + HEAD) + at - at % SEGMENT
    if begun(bench):
        assert take(bench, sound) == ANSWER[:sound]
        assert news(bench) == [(bench, False)]
        assert bench.path is not None
        assert bench.path.take_back(bench.server.fileno()) == sound
    else:
        assert at < SEGMENT
    assert bench.received() == b""


def test_damage_behind_what_has_left_stops_a_body_on_its_way(bench: Bench) -> None:
    assert bench.path is not None
    assert begun(bench)
    flip(path_of(bench), SIZE - 1)
    sound = len(OPENING + HEAD) + 24 * SEGMENT
    assert take(bench, sound) == ANSWER[:sound]
    assert news(bench) == [(bench, False)]


def test_a_body_that_was_removed_is_given_back_though_its_client_takes_nothing(bench: Bench) -> None:
    assert bench.path is not None
    assert begun(bench)
    while bench.path.taken_bytes(bench.server.fileno()) == len(OPENING + HEAD):
        pass  # the thread's first turn is to come, which would give the body back as well
    bench.store.rm(bench.root)
    assert news(bench) == [(bench, False)]
    taken = bench.path.take_back(bench.server.fileno())
    assert taken is not None
    assert taken < len(ANSWER)
    assert take(bench, taken) == ANSWER[:taken]
    assert not begun(bench)


def test_a_client_that_is_gone_is_told(bench: Bench) -> None:
    assert begun(bench)
    bench.client.close()
    assert news(bench) == [(bench, False)]


def test_a_path_ends_while_bodies_are_going(bench: Bench) -> None:
    assert begun(bench)
    bench.path = None  # joins its thread


def test_a_socket_of_the_same_number_is_another_body(bench: Bench) -> None:
    """News of a body whose socket was closed and whose number is in use again are nobody's."""
    assert bench.path is not None
    assert begun(bench)
    assert take(bench, len(ANSWER)) == ANSWER
    fd = bench.server.fileno()
    select.select([bench.path.fileno()], [], [], 20)
    assert bench.path.take_back(fd) == len(ANSWER)
    bench.client.close()
    bench.server.close()
    bench.client, bench.server = socket.socketpair()
    assert bench.server.fileno() == fd or bench.client.fileno() == fd
    bench.server.setblocking(False)
    assert begun(bench)
    assert bench.path.ended() == []
    assert take(bench, len(ANSWER)) == ANSWER
    assert news(bench) == [(bench, True)]
