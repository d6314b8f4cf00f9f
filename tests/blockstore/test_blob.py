"""Reading blobs: every size, every span, and what a view may not do."""

from collections.abc import Callable

import blake3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blockstore import Blob, Store
from content.bao import _native
from runtime.errors import NotFound

SIZES = [0, 1, 1024, 16_384, 16_385, 262_143, 262_144, 262_145, 524_288, 800_000]
Content = Callable[[int], bytes]


@pytest.mark.parametrize("size", SIZES)
def test_what_was_put_is_read_back_under_its_blake3_name(store: Store, content: Content, size: int) -> None:
    data = content(size)
    put = store.put_bytes(data)
    assert put.root == blake3.blake3(data).digest()
    blob = store.blob(put.root)
    assert (blob.root, blob.size_bytes) == (put.root, size)
    assert blob.read(0, size) == data
    assert store.verify(put.root).intact


@pytest.mark.parametrize("size", SIZES)
def test_segments_and_upper_nodes_make_up_the_whole_tree(store: Store, content: Content, size: int) -> None:
    data = content(size)
    blob = store.blob(store.put_bytes(data).root)
    count = max(1, -(-size // 262_144))
    cvs = b""
    for index in range(count):
        segment, nodes = blob.segment(index)
        assert segment == data[index * 262_144 : (index + 1) * 262_144]
        cv, expected_nodes = _native.segment(segment, index, count == 1)
        assert nodes == expected_nodes
        cvs += cv
    if count > 1:
        root, upper_nodes = _native.upper(cvs)
        assert root == blob.root
        read = b"".join(blob.upper_node(index) for index in range(count - 1))
        assert read == upper_nodes
    with pytest.raises(ValueError, match="no segment"):
        blob.segment(count)
    with pytest.raises(ValueError, match="no upper node"):
        blob.upper_node(count - 1)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 800_000), st.integers(0, 800_000))
def test_any_span_is_read_exactly(store: Store, content: Content, one: int, other: int) -> None:
    data = content(800_000)
    blob = _once(store, data)
    start, stop = sorted((one, other))
    assert blob.read(start, stop) == data[start:stop]


def _once(store: Store, data: bytes) -> Blob:
    root = blake3.blake3(data).digest()
    if store.stat(root) is None:
        store.put_bytes(data)
    return store.blob(root)


def test_lend_offers_exactly_the_bytes_and_hands_back_what_use_returned(
    store: Store, content: Content
) -> None:
    data = content(800_000)
    blob = _once(store, data)
    seen: list[bytes] = []

    def use(view: memoryview) -> int:
        assert view.readonly
        seen.append(bytes(view))
        return 7

    for start, stop in (
        (0, 262_144),
        (0, 1),
        (262_144, 262_145),
        (524_288, 786_432),
        (786_432, 800_000),
        (5, 5),
    ):
        assert blob.lend(start, stop, use) == 7
        assert seen.pop() == data[start:stop]


@pytest.mark.parametrize("span", [(0, 262_145), (-1, 5), (5, 4), (799_999, 800_001), (800_001, 800_002)])
def test_a_span_that_is_not_inside_one_segment_is_refused(
    store: Store, content: Content, span: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match="not inside"):
        _once(store, content(800_000)).lend(*span, len)


def test_a_view_dies_with_the_call(store: Store, content: Content) -> None:
    blob = _once(store, content(1000))
    kept: list[memoryview] = []

    def keep(view: memoryview) -> int:
        kept.append(view)
        return 0

    blob.lend(0, 1000, keep)
    blob.lend(10, 20, keep)
    for view in kept:
        with pytest.raises(ValueError, match="released"):
            view[0]


def test_what_use_raises_comes_through_and_the_store_goes_on(store: Store, content: Content) -> None:
    data = content(1000)
    blob = _once(store, data)

    def broken(view: memoryview) -> int:
        raise ConnectionResetError("peer went away")

    for _ in range(2000):  # more than there are reader slots: none may leak
        with pytest.raises(ConnectionResetError):
            blob.lend(0, 1000, broken)
    assert blob.read(0, 1000) == data


def test_a_handle_on_a_removed_or_replaced_blob_reads_nothing(store: Store, content: Content) -> None:
    blob = _once(store, content(800_000))
    blob.read(0, 10)
    store.rm(blob.root)
    store.sweep()
    with pytest.raises(NotFound):
        blob.read(0, 10)
    with pytest.raises(NotFound):
        blob.segment(1)
    store.put_bytes(content(800_000))
    with pytest.raises(NotFound):
        blob.read(0, 10)
    assert store.blob(blob.root).read(0, 10) == content(800_000)[:10]
