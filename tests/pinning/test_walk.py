"""The walk as a value: what it passes, counts and wants, and how it goes on from a cursor."""

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content import dag_cbor, multihash
from content.block import Block
from content.cid import DAG_CBOR, RAW, Cid
from pinning.walk import CURSOR_BYTES_MAX, LEVELS_MAX, LINKS_MAX, Walk
from runtime.errors import BadRequest, TooLarge
from tests.pinning.dags import Held, random_dag, tree

ANY = 1 << 20


def go(walk: Walk, held: Held, steps: int = 1 << 30) -> list[bytes]:
    """Drive a walk over what is held; multihashes of what it passed, each when it was counted."""
    ordinals = {name: index for index, name in enumerate(held)}
    counted = []
    while steps and (cid := walk.at) is not None and cid.multihash in held:
        steps -= 1
        before = walk.blocks
        if not walk.passed(ordinals[cid.multihash]):
            if walk.has_links():
                walk.receive(held[cid.multihash].data)
            else:
                walk.found(len(held[cid.multihash].data))
        if walk.blocks > before:
            counted.append(cid.multihash)
    return counted


def chain(levels: int) -> tuple[Cid, Held]:
    block = Block.sealed(RAW, b"the end")
    held = {block.cid.multihash: block}
    for _ in range(levels):
        block = Block.sealed(DAG_CBOR, dag_cbor.encode([block.cid]))
        held[block.cid.multihash] = block
    return block.cid, held


@given(seed=st.integers(0, 10_000), size=st.integers(1, 60))
@settings(max_examples=80, deadline=None)
def test_every_block_is_passed_and_counted_once(seed: int, size: int) -> None:
    root, held = random_dag(seed, size)
    walk = Walk(root, ANY)
    assert sorted(go(walk, held)) == sorted(held)
    assert (walk.at, walk.starts_over) == (None, True)
    assert (walk.blocks, walk.bytes_) == (len(held), sum(len(block.data) for block in held.values()))


@given(seed=st.integers(0, 10_000), size=st.integers(1, 60), cuts=st.lists(st.integers(0, 30), max_size=6))
@settings(max_examples=150, deadline=None)
def test_cut_anywhere_and_resumed_it_passes_the_same_blocks(seed: int, size: int, cuts: list[int]) -> None:
    root, held = random_dag(seed, size)
    passed: set[bytes] = set()
    cursor = b""
    for steps in cuts:
        walk = Walk(root, ANY, cursor)
        passed.update(go(walk, held, steps))
        cursor = walk.cursor()
        assert len(cursor) <= CURSOR_BYTES_MAX
    walk = Walk(root, ANY, cursor)
    passed.update(go(walk, held))
    assert walk.at is None
    assert passed == set(held)


@given(seed=st.integers(0, 10_000), size=st.integers(2, 60), lost=st.integers(0, 1000))
@settings(max_examples=80, deadline=None)
def test_it_stops_at_each_block_that_is_not_here_and_wants_it(seed: int, size: int, lost: int) -> None:
    root, whole = random_dag(seed, size)
    names = sorted(whole)
    held = {
        name: block for name, block in whole.items() if random.Random(f"{lost}{name.hex()}").random() < 0.5
    }
    walk = Walk(root, ANY)
    passed = go(walk, held)
    while walk.at is not None:
        assert walk.at.multihash not in held
        wanted = [cid for cid, _ in walk.wanted(8)]
        assert wanted[0] == walk.at
        assert {cid.multihash for cid in wanted} <= set(names)
        assert walk.links_waiting >= 1
        assert walk.wanted(8, {cid.multihash for cid in wanted} | {walk.root.multihash}) == []
        held[walk.at.multihash] = whole[walk.at.multihash]
        passed += go(walk, held)
    assert sorted(passed) == names


@given(garbage=st.binary(max_size=200), seed=st.integers(0, 100), flip=st.integers(0, 1 << 16))
@settings(max_examples=150, deadline=None)
def test_a_cursor_that_is_none_starts_over(garbage: bytes, seed: int, flip: int) -> None:
    root, held = random_dag(seed, 30)
    walk = Walk(root, ANY)
    go(walk, held, 9)
    sound = bytearray(walk.cursor())
    sound[flip % len(sound)] ^= 1 + flip % 255
    other, _ = random_dag(seed + 1, 30)
    for cursor in (garbage, bytes(sound), walk.cursor()[:-1], Walk(other, ANY).cursor()):
        again = Walk(root, ANY, cursor)
        assert again.starts_over
        assert sorted(go(again, held)) == sorted(held)


def test_a_cursor_of_a_dag_that_looks_otherwise_starts_over_where_it_stops_fitting() -> None:
    root, held = random_dag(5, 60)
    walk = Walk(root, ANY)
    go(walk, held, 12)
    cursor = bytearray(walk.cursor()[:-4])
    at = cursor.rindex(b"\x12\x20") + 34
    cursor[at] = 0x7F  # a link that its block does not have
    import zlib  # noqa: PLC0415

    forged = bytes(cursor) + zlib.crc32(cursor).to_bytes(4, "big")
    again = Walk(root, ANY, forged)
    go(again, held)
    assert again.at is None


def test_what_a_subtree_on_its_way_covers_is_not_wanted_again() -> None:
    root, held = tree({f"file {index}": random.Random(index).randbytes(3 << 20) for index in range(3)})
    top = [cid for cid, _ in _after(root, held, 1).wanted(8)]
    assert len(top) == 3
    walk = _after(root, held, 2)  # inside the first file
    inside = walk.wanted(8)
    assert [parent for _, parent in inside] == [top[0]] * 3 + [root] * 2
    assert [cid for cid, _ in walk.wanted(8, {top[0].multihash})] == top[1:]
    assert walk.wanted(8, {root.multihash}) == []
    assert [cid for cid, _ in walk.wanted(8, {top[1].multihash})] == [*[cid for cid, _ in inside[:3]], top[2]]


def _after(root: Cid, held: Held, steps: int) -> Walk:
    walk = Walk(root, ANY)
    go(walk, held, steps)
    return walk


def test_content_is_counted_and_files_are_told_when_they_were_passed_whole() -> None:
    files = {"large": random.Random(1).randbytes(2_500_000), "small": b"hello", "same": b"hello"}
    root, held = tree(files)
    walk = Walk(root, ANY)
    go(walk, held)
    assert walk.content_bytes == 2_500_000 + 5
    assert [cid.codec_name for cid in walk.files] == ["dag-pb"]
    assert walk.blocks == len(held)


def test_a_file_inside_a_file_is_no_file_of_its_own() -> None:
    root, held = tree({"large": random.Random(1).randbytes(5 << 20)})
    large = _after(root, held, 1).at
    walk = Walk(root, ANY)
    go(walk, held)
    assert walk.files == [large]


def test_identity_cids_are_gone_through_and_not_counted() -> None:
    leaf = Block.sealed(RAW, b"leaf")
    inner = Cid.v1(DAG_CBOR, multihash.of(multihash.IDENTITY, dag_cbor.encode([leaf.cid])))
    nothing = Cid.v1(RAW, multihash.of(multihash.IDENTITY, b"x"))
    root = Block.sealed(DAG_CBOR, dag_cbor.encode([nothing, *([inner] * 3000), nothing]))
    held = {block.cid.multihash: block for block in (root, leaf)}
    walk = Walk(root.cid, ANY)
    assert go(walk, held) == [root.cid.multihash, leaf.cid.multihash]
    assert walk.at is None
    alone = Walk(inner, ANY)
    assert alone.at == leaf.cid
    assert Walk(nothing, ANY).at is None
    with pytest.raises(BadRequest):
        Walk(Cid.v1(DAG_CBOR, multihash.of(multihash.IDENTITY, b"\xff")), ANY)


def test_the_same_bytes_under_another_codec_are_another_block_to_walk_into() -> None:
    leaf = Block.sealed(RAW, b"leaf")
    node = Block.sealed(DAG_CBOR, dag_cbor.encode([leaf.cid]))
    as_raw = Cid.v1(RAW, node.cid.multihash)
    root = Block.sealed(DAG_CBOR, dag_cbor.encode([as_raw, node.cid]))
    held = {block.cid.multihash: block for block in (root, node, leaf)}
    assert leaf.cid.multihash in go(Walk(root.cid, ANY), held)


def test_a_deep_path_has_a_short_cursor_from_which_it_goes_on() -> None:
    root, held = chain(5000)
    walk = Walk(root, ANY)
    go(walk, held, 4000)
    cursor = walk.cursor()
    assert len(cursor) <= CURSOR_BYTES_MAX
    again = Walk(root, ANY, cursor)
    go(again, held)
    assert again.at is None


def test_depth_links_and_blocks_have_bounds() -> None:
    root, held = chain(LEVELS_MAX + 1)
    with pytest.raises(TooLarge, match="levels"):
        go(Walk(root, ANY), held)
    root, held = random_dag(3, 50)
    with pytest.raises(TooLarge, match="more than 5 blocks"):
        go(Walk(root, 5), held)
    leaf = Block.sealed(RAW, b"leaf")
    wide = Block.sealed(DAG_CBOR, dag_cbor.encode([leaf.cid] * 40_000))
    held = {leaf.cid.multihash: leaf, wide.cid.multihash: wide}
    for level in range(LINKS_MAX // 40_000):
        wide = Block.sealed(DAG_CBOR, dag_cbor.encode([wide.cid, *[leaf.cid] * 39_999, level]))
        held[wide.cid.multihash] = wide
    with pytest.raises(TooLarge, match="links"):
        go(Walk(wide.cid, ANY), held)


def test_a_block_that_is_not_of_its_codec_is_refused() -> None:
    bad = Block.sealed(DAG_CBOR, b"\xff\xff")
    with pytest.raises(BadRequest):
        go(Walk(bad.cid, ANY), {bad.cid.multihash: bad})


def test_memory_grows_with_the_path_and_a_bit_a_block() -> None:
    """Twenty thousand leaves below forty nodes: 2 MB of them if all were remembered."""
    leaves = [Block.sealed(RAW, f"{leaf}".encode()).cid for leaf in range(500)]
    node = Block.sealed(DAG_CBOR, dag_cbor.encode(list(leaves)))
    root = Block.sealed(DAG_CBOR, dag_cbor.encode([node.cid] * 40))
    walk = Walk(root.cid, ANY)
    walk.passed(0)
    walk.receive(root.data)
    ordinal = 0
    tracemalloc.start()
    try:
        while walk.at is not None:
            ordinal += 1  # as if each of them were another block
            assert not walk.passed(ordinal)
            if walk.has_links():
                walk.receive(node.data)
            else:
                walk.found(1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert walk.blocks == 1 + 40 * 501
    assert peak < 500_000


def test_a_chain_of_diamonds_takes_one_step_a_link() -> None:
    block = Block.sealed(RAW, b"the end")
    held = {block.cid.multihash: block}
    for number in range(200):
        block = Block.sealed(DAG_CBOR, dag_cbor.encode([block.cid, block.cid, number]))
        held[block.cid.multihash] = block
    walk = Walk(block.cid, ANY)
    assert len(go(walk, held, 1000)) == 201
    assert walk.at is None
