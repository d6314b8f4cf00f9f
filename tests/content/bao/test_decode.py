"""The decoder: every split, every kind of damage, every lie about the size; bounded memory throughout."""

import sys
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from content.bao import Decoder, combined_pieces, slice_pieces, subgroup_pieces
from runtime.errors import BadRequest, Unverified
from tests.content.bao import oracle
from tests.content.bao.blobs import BOUNDARY_SIZES, KIB, blob, gather, root_of, source

Ranges = list[tuple[int, int]]


def combined(size: int) -> bytes:
    return b"".join(combined_pieces(source(blob(size))))


def subgroup(size: int, ranges: Ranges) -> bytes:
    return b"".join(subgroup_pieces(source(blob(size)), ranges))


def refuse(decoder: Decoder, encoded: bytes | bytearray, step: int = 1 << 30) -> Unverified:
    """Feed all of a bad stream; the error, after checking that the decoder stays shut."""
    with pytest.raises(Unverified) as caught:
        drain(decoder, encoded, step)
    for again in (lambda: decoder.feed(b"more"), decoder.finish):
        with pytest.raises(Unverified):
            again()
    return caught.value


def drain(decoder: Decoder, encoded: bytes | bytearray, step: int) -> dict[int, bytes]:
    pieces = []
    for at in range(0, len(encoded), step):
        pieces += decoder.feed(encoded[at : at + step])
    decoder.finish()
    return gather(pieces)


@pytest.mark.parametrize("size", BOUNDARY_SIZES)
@pytest.mark.parametrize("step", [1000, 16384, 262144])
def test_a_blob_of_any_boundary_size_comes_back_however_it_is_split(size: int, step: int) -> None:
    decoder = Decoder.combined(root_of(blob(size)))
    encoded = combined(size)
    assert drain(decoder, encoded, step) == ({0: blob(size)} if size else {})
    assert decoder.done
    assert decoder.size_bytes == decoder.claimed_size_bytes == size


@pytest.mark.parametrize("size", [0, 1, 1025, 16384, 16385, 50_001])
def test_byte_by_byte_gives_what_one_feed_gives(size: int) -> None:
    decoder = Decoder.combined(root_of(blob(size)))
    assert drain(decoder, combined(size), 1) == ({0: blob(size)} if size else {})
    ranges = [(500, 1500), (20_000, 20_001), (size + 1, size + 2)]
    decoder = Decoder.subgroup(root_of(blob(size)), ranges)
    encoded = subgroup(size, ranges)
    at_once = gather(Decoder.subgroup(root_of(blob(size)), ranges).feed(encoded))
    assert drain(decoder, encoded, 1) == at_once


def test_bytes_come_out_as_soon_as_their_leaf_is_complete() -> None:
    encoded = combined(3 * 16 * KIB)
    decoder = Decoder.combined(root_of(blob(3 * 16 * KIB)))
    first_leaf = 8 + 64 + 64 + 16 * KIB
    assert decoder.feed(encoded[: first_leaf - 1]) == []
    assert gather(decoder.feed(encoded[first_leaf - 1 : first_leaf])) == {0: blob(16 * KIB)}


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(data=st.data())
def test_any_query_split_anywhere_shows_what_the_oracle_shows(data: st.DataObject) -> None:
    size = data.draw(st.one_of(st.sampled_from(BOUNDARY_SIZES[:-4]), st.integers(0, 90_000)), label="size")
    if size > 100_000:
        size %= 100_000
    near = st.integers(0, size + 3000)
    pair = st.tuples(near, st.integers(1, size + 3000)).map(lambda p: (p[0], p[0] + p[1]))
    ranges = data.draw(st.lists(pair, min_size=1, max_size=4), label="ranges")
    encoded = subgroup(size, ranges)
    assert encoded == oracle.subgroup(blob(size), ranges)
    decoder = Decoder.subgroup(root_of(blob(size)), ranges)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(encoded)), max_size=8), label="cuts"))
    pieces = []
    for start, stop in pairwise([0, *cuts, len(encoded)]):
        pieces += decoder.feed(encoded[start:stop])
    decoder.finish()
    for offset, part in gather(pieces).items():
        assert part == blob(size)[offset : offset + len(part)]
    if decoder.size_bytes is not None:
        assert decoder.size_bytes == size


@pytest.mark.parametrize("size", [0, 1, 1024, 16384, 16385, 40_000, 300_000])
@pytest.mark.parametrize("extra", [b"\0", b"x" * 70_000])
def test_bytes_after_the_end_are_refused(size: int, extra: bytes) -> None:
    root = root_of(blob(size))
    error = refuse(Decoder.combined(root), combined(size) + extra)
    assert "follow the end" in error.message
    decoder = Decoder.combined(root)
    drain(decoder, combined(size), 1 << 20)
    refuse(decoder, extra)


@pytest.mark.parametrize("size", [0, 1, 1025, 16385, 80_007, 300_000])
def test_a_stream_cut_anywhere_is_refused_and_says_where(size: int) -> None:
    encoded = combined(size)
    for cut in {0, 1, 7, 8, 9, 71, 72, 73, 136, len(encoded) // 2, len(encoded) - 1} & set(
        range(len(encoded))
    ):
        error = refuse(Decoder.combined(root_of(blob(size))), encoded[:cut])
        assert "ended early" in error.message
        assert error.where.startswith("chunk ")


def test_the_refusal_names_the_first_chunk_that_differs() -> None:
    size = 40 * 16 * KIB
    encoded = bytearray(combined(size))
    where = encoded.index(blob(size)[23 * 16 * KIB : 23 * 16 * KIB + 64])
    encoded[where + 5000] ^= 1
    encoded[-1] ^= 1
    for step in (1 << 30, 100_000, 999):
        error = refuse(Decoder.combined(root_of(blob(size))), encoded, step)
        assert error.where == f"chunk {23 * 16}"
        assert "368 to 383" in error.message


def test_nothing_of_a_damaged_group_and_nothing_after_it_is_ever_returned() -> None:
    size = 300_000
    returned: list[int] = []

    def read(encoded: bytearray) -> None:
        decoder = Decoder.combined(root_of(blob(size)))
        for start in range(0, len(encoded), 4096):
            for piece in decoder.feed(encoded[start : start + 4096]):
                end = piece.offset_bytes + len(piece.data)
                assert bytes(piece.data) == blob(size)[piece.offset_bytes : end]
                returned.append(end)

    for at in range(8, len(combined(size)), 7919):
        encoded = bytearray(combined(size))
        encoded[at] ^= 0x80
        returned[:] = [0]
        with pytest.raises(Unverified):
            read(encoded)
        assert returned[-1] <= at


# One stream with every class of position: header, node at each depth, left and right half, first, inner,
# last and short leaf; and for the sub-group form nodes inside a group.
@pytest.mark.parametrize("ranges", [[(0, 1 << 62)], [(33_000, 50_000)], [(1500, 1501), (79_000, 90_000)]])
def test_every_flipped_bit_is_refused(ranges: Ranges) -> None:
    size = 80_007
    good = subgroup(size, ranges)
    proves_size = ranges[-1][1] > size
    root = root_of(blob(size))
    positions = [*range(200), *range(200, len(good), 997), *range(len(good) - 70, len(good))]
    for at in positions:
        bad = bytearray(good)
        bad[at] ^= 1 << at % 8
        decoder = Decoder.subgroup(root, ranges)
        if at >= 8 or proves_size:
            refuse(decoder, bad)


def test_reordered_leaves_and_nodes_are_refused() -> None:
    size = 4 * 16 * KIB
    good = combined(size)
    first, second = good[136 : 136 + 16384], good[136 + 16384 : 136 + 32768]
    swapped = good[:136] + second + first + good[136 + 32768 :]
    assert refuse(Decoder.combined(root_of(blob(size))), swapped).where == "chunk 0"
    flipped = good[:8] + good[40:72] + good[8:40] + good[72:]
    assert refuse(Decoder.combined(root_of(blob(size))), flipped).where == "chunk 0"
    doubled = good[: 136 + 16384] + first + good[136 + 32768 :]
    assert refuse(Decoder.combined(root_of(blob(size))), doubled).where == "chunk 16"


@pytest.mark.parametrize("step", [1 << 30, 1000])
def test_a_whole_subtree_of_another_blob_is_refused_wherever_it_is_spliced_in(step: int) -> None:
    """Nodes and leaves that match one another are not enough: each must match what stands above it."""
    groups = 32
    mine = blob(groups * 16 * KIB)
    other = bytes(byte ^ 1 for byte in mine)
    good, forged = (b"".join(combined_pieces(source(data))) for data in (mine, other))
    places: list[tuple[int, int, int]] = []

    def place(at: int, first: int, count: int) -> int:
        length = count * 16 * KIB + 64 * (count - 1)
        places.append((at, at + length, first * 16))
        if count > 1:
            place(place(at + 64, first, count // 2), first + count // 2, count // 2)
        return at + length

    place(8, 0, groups)
    for start, stop, chunk in places:
        bad = good[:start] + forged[start:stop] + good[stop:]
        assert refuse(Decoder.combined(root_of(mine)), bad, step).where == f"chunk {chunk}"


LIES = [-16384, -1024, -1, 1, 1024, 16384, 1 << 40, (1 << 64) - (1 << 21)]
LIED_ABOUT = [1, 1024, 1025, 16384, 16385, 32768, 50_000, 262_144, 262_145, 600_000]


@pytest.mark.parametrize(
    ("size", "claim"), [(size, size + lie) for size in LIED_ABOUT for lie in LIES if size + lie >= 0]
)
def test_a_plausible_lie_about_the_size_is_refused_by_the_last_chunk_at_the_latest(
    size: int, claim: int
) -> None:
    encoded = claim.to_bytes(8, "little") + combined(size)[8:]
    decoder = Decoder.combined(root_of(blob(size)))
    refuse(decoder, encoded)
    assert decoder.size_bytes is None


def test_a_liar_who_also_sends_the_stream_of_the_shorter_claim_is_refused() -> None:
    """The prefix of a blob is not the blob: even a well-formed proof of it has another root."""
    for size, claim in ((16385, 16384), (50_000, 32768), (600_000, 262_144), (1025, 1024)):
        refuse(Decoder.combined(root_of(blob(size))), combined(claim))


def test_the_size_stays_unproven_until_the_last_chunk() -> None:
    size = 100_000
    decoder = Decoder.subgroup(root_of(blob(size)), [(0, 2000)])
    drain(decoder, subgroup(size, [(0, 2000)]), 100)
    assert decoder.size_bytes is None
    assert decoder.claimed_size_bytes == size
    decoder = Decoder.subgroup(root_of(blob(size)), [(0, 2000), (1 << 40, (1 << 40) + 1)])
    encoded = subgroup(size, [(0, 2000), (1 << 40, (1 << 40) + 1)])
    decoder.feed(encoded[:-1])
    assert decoder.size_bytes is None
    decoder.feed(encoded[-1:])
    assert decoder.size_bytes == size


def test_the_largest_claim_costs_no_memory() -> None:
    decoder = Decoder.combined(bytes(32))
    assert decoder.feed(b"\xff" * 8 + bytes(63)) == []
    assert decoder.claimed_size_bytes == 2**64 - 1
    refuse(decoder, bytes(1000))
    decoder = Decoder.slice(bytes(32), 2**63, 2**63)
    decoder.feed(b"\xff" * 8)
    refuse(decoder, bytes(64))


def test_what_is_held_between_feeds_is_less_than_a_group() -> None:
    encoded = combined(40 * 16 * KIB)
    decoder = Decoder.combined(root_of(blob(40 * 16 * KIB)))
    returned = fed = 0
    for at in range(0, len(encoded), 1000):
        fed += len(encoded[at : at + 1000])
        returned += sum(len(piece.data) for piece in decoder.feed(encoded[at : at + 1000]))
        assert fed - returned < 16 * KIB + 64 * (at // (16 * KIB) + 8)
    assert sys.getsizeof(decoder) < 1000


def test_a_fed_buffer_may_be_reused_for_what_is_still_held() -> None:
    size = 50_000
    encoded, buffer = combined(size), bytearray(5000)
    decoder = Decoder.combined(root_of(blob(size)))
    out = bytearray()
    for at in range(0, len(encoded), 5000):
        part = encoded[at : at + 5000]
        buffer[: len(part)] = part
        out += b"".join(bytes(piece.data) for piece in decoder.feed(memoryview(buffer)[: len(part)]))
    decoder.finish()
    assert out == blob(size)


def test_a_slice_returns_the_groups_around_it() -> None:
    size = 100_000
    encoded = b"".join(slice_pieces(source(blob(size)), 20_000, 20_000))
    decoder = Decoder.slice(root_of(blob(size)), 20_000, 20_000)
    assert drain(decoder, encoded, 777) == {16384: blob(size)[16384:49152]}


def test_a_proof_for_another_root_is_refused_at_once() -> None:
    for size in (0, 1, 20_000, 300_000):
        assert refuse(Decoder.combined(root_of(b"another")), combined(size)).where == "chunk 0"


@pytest.mark.parametrize("ranges", [[], [(5, 5)], [(6, 5)], [(-1, 5)]])
def test_wrong_questions_are_bad_requests(ranges: Ranges) -> None:
    with pytest.raises(BadRequest):
        Decoder.subgroup(bytes(32), ranges)
    with pytest.raises(BadRequest):
        Decoder.slice(bytes(32), -1, 5)
    with pytest.raises(BadRequest):
        Decoder.combined(bytes(31))
