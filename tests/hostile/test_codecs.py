"""Blocks built to exhaust a reader: nesting, counts and lengths that lie, keys twice. Memory is measured."""

import tracemalloc
from collections.abc import Callable

import pytest

from content import dag_cbor, dag_json, dag_pb, varint
from content.block import MAX_BLOCK_BYTES
from content.cid import DAG_PB, Cid
from content.dag_value import MAX_DEPTH
from content.multihash import sha2_256
from content.unixfs import file
from runtime.errors import BadRequest, EdgeError

MIB = 1 << 20
NAME = Cid.v1(DAG_PB, sha2_256(b"hostile"))


def peak_bytes(work: Callable[[], object]) -> int:
    """The most memory that Python held during `work`, which must raise."""
    tracemalloc.start()
    with pytest.raises(EdgeError) as caught:
        work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.message
    return peak


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 5_000, MAX_BLOCK_BYTES // 2])
@pytest.mark.parametrize(
    ("opening", "closing"), [(b"\x81", b"\x00"), (b"\xa1\x60", b"\x00"), (b"\xd8\x2a", b"\x40")]
)
def test_nested_dag_cbor_ends_at_the_bound(depth: int, opening: bytes, closing: bytes) -> None:
    block = opening * depth + closing
    assert peak_bytes(lambda: dag_cbor.decode(block)) < MIB


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 5_000, MAX_BLOCK_BYTES // 6])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"/":', b"}]")])
def test_nested_dag_json_ends_at_the_bound(depth: int, opening: bytes, closing: bytes) -> None:
    block = opening * depth + b"1" + closing * depth
    assert peak_bytes(lambda: dag_json.decode(block)) < 16 * MIB


@pytest.mark.parametrize("head", ["9b", "bb", "5b", "7b", "9a", "ba", "5a", "7a"])
def test_a_count_that_is_not_there_reserves_nothing(head: str) -> None:
    lie = bytes.fromhex(head) + b"\x7f" + b"\xff" * (7 if head[1] == "b" else 3)
    assert peak_bytes(lambda: dag_cbor.decode(lie)) < MIB
    # each level claims all that is left of the block: nothing may be set aside for it either
    levels = b"".join(b"\x9a" + (MAX_BLOCK_BYTES - 5 * (n + 1)).to_bytes(4, "big") for n in range(MAX_DEPTH))
    block = levels.ljust(MAX_BLOCK_BYTES, b"\xff")
    assert peak_bytes(lambda: dag_cbor.decode(block)) < MIB


def test_the_largest_block_of_the_smallest_items_stays_below_a_bound() -> None:
    count = MAX_BLOCK_BYTES - 5
    block = b"\x9a" + count.to_bytes(4, "big") + b"\xa0" * (count - 1) + b"\xff"
    assert peak_bytes(lambda: dag_cbor.decode(block)) < 200 * MIB


@pytest.mark.parametrize(
    "block",
    [
        b"\xa2\x61a\x01\x61a\x02",
        b"\xa2\x61b\x01\x61a\x02",
        b"\xa2\x62aa\x01\x61b\x02",
        b"\xa1\x01\x01",
        b"\xa1\x41a\x01",
        b"\xa1\xd8\x2a\x41\x00\x01",
    ],
    ids=["twice", "unsorted", "longer first", "number", "bytes", "link"],
)
def test_keys_that_are_not_texts_in_order_and_once_are_refused(block: bytes) -> None:
    with pytest.raises(BadRequest, match="key") as caught:
        dag_cbor.decode(block)
    assert caught.value.where.startswith("byte ")


def test_numbers_without_end_are_refused_without_being_read() -> None:
    for text in (b"1" * 1_000_000, b"-" + b"9" * 5_000, b"1" * 5_000 + b".5", b"1e" + b"9" * 5_000):
        with pytest.raises(BadRequest):
            dag_json.decode(text)


def test_a_node_of_nothing_but_links_or_sizes_stays_small() -> None:
    link = b"\x12\x06\x0a\x04\x01\x55\x00\x00"
    links = link * (MAX_BLOCK_BYTES // len(link) - 2) + b"\x12\x00"
    assert peak_bytes(lambda: dag_pb.decode(links)) < 64 * MIB
    sizes = b"\x08\x02" + b"\x20\x00" * (MAX_BLOCK_BYTES // 2 - 16)
    node = b"\x0a" + varint.encode(len(sizes)) + sizes
    assert peak_bytes(lambda: file.size_of(NAME, node)) < 64 * MIB
