"""The native tree core against the wheel, the oracle, and a stream of wrong arguments."""

import array
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content.bao import _native, combined_pieces
from content.bao.geometry import SEGMENT_BYTES, segment_count, segment_nodes_bytes
from tests.content.bao import oracle
from tests.content.bao.blobs import BOUNDARY_SIZES, blob, root_of, source

CV = bytes(32)


@pytest.mark.parametrize("size", [*BOUNDARY_SIZES, 3 * 1024 * 1024 + 17])
def test_the_root_of_a_whole_blob_is_the_wheels(size: int) -> None:
    root, nodes = _native.outboard(blob(size))
    assert root == root_of(blob(size))
    assert len(nodes) == 64 * (max(1, -(-size // 16384)) - 1)


@pytest.mark.parametrize("size", [*BOUNDARY_SIZES, 3 * 1024 * 1024 + 17])
def test_segments_and_their_upper_tree_give_the_same_root(size: int) -> None:
    data = blob(size)
    count = segment_count(size)
    parts = [data[i * SEGMENT_BYTES : (i + 1) * SEGMENT_BYTES] for i in range(count)]
    hashed = [_native.segment(part, i, count == 1) for i, part in enumerate(parts)]
    assert [len(nodes) for _, nodes in hashed] == [segment_nodes_bytes(size, i) for i in range(count)]
    cvs = b"".join(cv for cv, _ in hashed)
    root = cvs if count == 1 else _native.upper(cvs)[0]
    assert root == root_of(data)


@pytest.mark.parametrize("size", [0, 1, 1024, 1025, 16385, 50_000, 80_007, 262_145])
def test_outboards_equal_the_oracles(size: int) -> None:
    data = blob(size)
    assert size.to_bytes(8, "little") + _native.outboard(data)[1] == oracle.outboard(data)


@given(data=st.binary(max_size=3000), first=st.integers(0, 2**54 - 20))
def test_chunk_nodes_and_segments_take_any_position(data: bytes, first: int) -> None:
    nodes = _native.chunk_nodes(data, first)
    assert len(nodes) == 64 * (max(1, -(-len(data) // 1024)) - 1)
    if len(data) > 1024:
        assert nodes[:64] == b"".join(oracle.children(data, first))
    index = first // 256
    if data:
        assert _native.segment(data, index, False)[0] == oracle.subtree_cv(data, index * 256, False)


def test_parent_joins_as_the_specification_says() -> None:
    left, right = bytes(range(32)), bytes(range(32, 64))
    for is_root in (False, True):
        assert _native.parent(left, memoryview(right), is_root) == oracle.parent_cv(left, right, is_root)


def test_any_contiguous_buffer_is_taken() -> None:
    data = blob(5000)
    for form in (bytearray(data), memoryview(data), array.array("B", data), array.array("I", data)):
        assert _native.outboard(form)[0] == root_of(data)


@pytest.fixture
def nobody_is_interrupted() -> Iterator[None]:
    """Threads take turns only where the one at work gives the interpreter up."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before_s)


LONG = blob(4 << 20)
LONG_ROOT = root_of(LONG)
LONG_STREAM = memoryview(b"".join(combined_pieces(source(LONG))))[8:]
LONG_WORK: dict[str, Callable[[], object]] = {
    "outboard": lambda: _native.outboard(LONG),
    "segment": lambda: _native.segment(LONG[:SEGMENT_BYTES], 0, True),
    "chunk_nodes": lambda: _native.chunk_nodes(LONG[:16384], 0),
    "upper": lambda: _native.upper(LONG[: 1 << 20]),
    "Subtree.feed": lambda: _native.Subtree(LONG_ROOT, 0, len(LONG), True).feed(LONG_STREAM, 0),
}


@pytest.mark.parametrize("name", LONG_WORK)
@pytest.mark.usefixtures("nobody_is_interrupted")
def test_others_run_while_long_work_is_done(name: str) -> None:
    go, ran = threading.Event(), threading.Event()

    def other() -> None:
        go.wait()
        ran.set()

    thread = threading.Thread(target=other)
    thread.start()
    go.set()
    stop_s = time.monotonic() + 10
    while not ran.is_set() and time.monotonic() < stop_s:  # it has to wake up in the middle of the work
        LONG_WORK[name]()
    assert ran.is_set()
    thread.join()


WRONG: list[tuple[Callable[[], object], type[Exception]]] = [
    (lambda: _native.segment("text", 0, True), TypeError),  # type: ignore[arg-type]
    (lambda: _native.segment(b"x", "0", True), TypeError),  # type: ignore[arg-type]
    (lambda: _native.segment(b"x", 0, 1), TypeError),  # type: ignore[arg-type]
    (lambda: _native.segment(b"", 0, False), ValueError),
    (lambda: _native.segment(b"x", 1, True), ValueError),
    (lambda: _native.segment(b"x", -1, False), ValueError),
    (lambda: _native.segment(b"x", 2**46, False), ValueError),
    (lambda: _native.segment(b"x", 2**64, False), ValueError),
    (lambda: _native.segment(bytes(SEGMENT_BYTES + 1), 0, True), ValueError),
    (lambda: _native.segment(memoryview(bytes(64))[::2], 0, True), ValueError),
    (lambda: _native.upper(b""), ValueError),
    (lambda: _native.upper(CV), ValueError),
    (lambda: _native.upper(bytes(65)), ValueError),
    (lambda: _native.parent(bytes(31), CV, False), ValueError),
    (lambda: _native.parent(CV, bytes(33), False), ValueError),
    (lambda: _native.chunk_nodes(bytes(16385), 0), ValueError),
    (lambda: _native.chunk_nodes(b"x", 2**54), ValueError),
    (lambda: _native.Subtree(bytes(31), 0, 1, True), ValueError),
    (lambda: _native.Subtree(CV, 0, 0, False), ValueError),
    (lambda: _native.Subtree(CV, 1, 1, True), ValueError),
    (lambda: _native.Subtree(CV, 1, 2**64 - 1, False), ValueError),
    (lambda: _native.Subtree(CV, 0, 2**64, True), ValueError),
    (lambda: _native.Subtree(CV, 0, 1, True).feed(memoryview(b"x"), 2), ValueError),
    (lambda: _native.Subtree(CV, 0, 1, True).feed(memoryview(bytes(4))[::2], 0), ValueError),
    (lambda: _native.Subtree(CV, 0, 1, True).feed(7, 0), TypeError),  # type: ignore[arg-type]
    (lambda: _native.outboard(None), TypeError),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "error"), WRONG)
def test_wrong_arguments_are_plain_errors_and_never_a_panic(
    call: Callable[[], object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        call()


ARGUMENTS = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.text(max_size=3),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, 2**46, 2**54 - 1, 2**54, 2**64 - 1, 2**64]),
    st.sampled_from([0, 1, 31, 32, 33, 64, 1024, 1025, 16384, 16385, SEGMENT_BYTES + 1]).map(bytes),
    st.sampled_from(
        [bytearray(5), memoryview(bytes(9))[::2], memoryview(bytes(64)), array.array("d", [1.0])]
    ),
)


@settings(max_examples=400)
@given(
    name=st.sampled_from(["segment", "upper", "outboard", "parent", "chunk_nodes", "Subtree"]), data=st.data()
)
def test_whatever_is_passed_the_answer_is_a_result_or_a_plain_error(name: str, data: st.DataObject) -> None:
    arguments = data.draw(st.lists(ARGUMENTS, min_size=0, max_size=5))
    try:
        made = getattr(_native, name)(*arguments)
    except (TypeError, ValueError):
        return
    if name == "Subtree":
        fed = data.draw(st.lists(ARGUMENTS, min_size=2, max_size=2))
        with contextlib.suppress(TypeError, ValueError, _native.Mismatch):
            made.feed(*fed)
        assert made.missing_bytes is None or made.missing_bytes > 0 or made.next_chunk == 0


def test_a_subtree_of_the_largest_claim_takes_no_memory_and_refuses_its_first_node() -> None:
    subtree = _native.Subtree(CV, 0, 2**64 - 1, True)
    assert subtree.missing_bytes == 64
    with pytest.raises(_native.Mismatch) as caught:
        subtree.feed(memoryview(bytes(100)), 0)
    assert caught.value.args == (0, 2**54)
    with pytest.raises(_native.Mismatch):
        subtree.feed(memoryview(b""), 0)
