"""The native dag-pb reader agrees with the plain one: values, refusals, and which byte is to blame."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content import dag_pb, multihash, varint
from content.bao._native import PbNode
from content.cid import DAG_PB, RAW, Cid
from content.unixfs import message
from runtime.errors import BadRequest
from tests.content import dag_pb_oracle as oracle

DIGEST = multihash.sha2_256(b"leaf")
CID = Cid.v1(RAW, DIGEST)
LINK = b"\x0a" + bytes([len(CID.raw)]) + CID.raw
IDENTITY = bytes.fromhex("01550000")


def field(key: int, body: bytes) -> bytes:
    """A length-delimited field."""
    return bytes((key,)) + varint.encode(len(body)) + body


cids = st.sampled_from(
    [
        CID.raw,
        DIGEST,
        Cid.v1(DAG_PB, DIGEST).raw,
        Cid.v1(0x0129, DIGEST).raw,
        IDENTITY,
        b"\x01\x55\x13\x40" + bytes(64),
    ]
)
links = st.builds(
    lambda cid, name, size: (
        field(0x0A, cid)
        + (b"" if name is None else field(0x12, name))
        + (b"" if size is None else b"\x18" + varint.encode(size))
    ),
    cids,
    st.none() | st.binary(max_size=12) | st.text(max_size=6).map(str.encode),
    st.none() | st.integers(0, (1 << 63) - 1),
)
messages = st.lists(
    st.sampled_from(
        [b"\x08\x05", b"\x08\x01", b"\x12\x02hi", b"\x18\x02", b"\x20\x01", b"\x22\x02\x01\x02", b"\x28\x22"]
    )
    | st.sampled_from(
        [b"\x30\x80\x02", b"\x38\xa4\x03", b"\x42\x02\x08\x05", b"\x42\x07\x08\x05\x15\x01\0\0\0"]
    )
    | st.sampled_from(
        [b"\x42\x0b\x08" + b"\xff" * 9 + b"\x01", b"\x50\x01", b"\x5d\0\0\0\0", b"\x42\0", b"\x0b"]
    ),
    max_size=8,
).map(b"".join)
nodes = st.builds(
    lambda found, data, front: (
        (field(0x0A, data) if data is not None and front else b"")
        + b"".join(field(0x12, link) for link in found)
        + (field(0x0A, data) if data is not None and not front else b"")
    ),
    st.lists(links, max_size=5),
    st.none() | messages | st.binary(max_size=20),
    st.booleans(),
)


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """A sound node with some bytes changed, cut out, doubled or put in."""
    raw = bytearray(draw(nodes))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(raw)))
        stop = min(len(raw), at + draw(st.integers(0, 6)))
        raw[at:stop] = draw(st.binary(max_size=3) | st.just(bytes(raw[at:stop]) * 2) | st.just(b"\x80"))
    return bytes(raw)


def agrees(block: bytes) -> None:
    """Both readers give the same, or both refuse at the same byte."""
    expected = _read(block)
    if isinstance(expected, int):
        with pytest.raises(ValueError) as refused:
            PbNode(block)
        assert refused.value.args[1] == expected, refused.value.args
        return
    found = PbNode(block)
    assert tuple(found.links()) == expected.links
    assert [found.link(index) for index in range(len(found))] == list(expected.links)
    assert found.cids() == [cid for cid, _, _ in expected.links]
    assert found.data == expected.data
    for cid, name, size in expected.links:
        index = next(at for at, link in enumerate(expected.links) if link[1] == name)
        assert name is None or found.find(name.encode("utf-8", "surrogateescape")) == index
        assert (name or "", cid, size) in found.entries(0)[0]
    if expected.data is not None:
        _agrees_on_message(block, found, expected.data)


def _read(block: bytes) -> oracle.Node | int:
    """The node, or the byte that is to blame."""
    try:
        return oracle.node(block)
    except oracle.Refused as refused:
        return refused.at


def _agrees_on_message(block: bytes, found: PbNode, span: tuple[int, int]) -> None:
    start, stop = span
    try:
        kind, payload, *rest = oracle.message(block[start:stop])
    except oracle.Refused:
        with pytest.raises(ValueError):
            found.unixfs()
        return
    moved = None if payload is None else (start + payload[0], start + payload[1])
    assert found.unixfs() == (kind, moved, *rest)


@given(nodes)
def test_sound_nodes_are_read_as_the_plain_reader_reads_them(block: bytes) -> None:
    agrees(block)


@given(mutants() | st.binary(max_size=60))
def test_what_is_refused_and_at_which_byte_is_what_the_plain_reader_says(block: bytes) -> None:
    agrees(block)


def test_random_bytes_never_break_the_reader() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    base = b"".join(field(0x12, LINK + field(0x12, b"0%X" % at)) for at in range(8)) + field(
        0x0A, b"\x08\x05\x12\x01\xff"
    )
    for _ in range(20_000):
        raw = bytearray(base if chance.random() < 0.8 else chance.randbytes(chance.randrange(80)))
        for _ in range(chance.randrange(1, 5)):
            if raw:
                raw[chance.randrange(len(raw))] = chance.choice(
                    (0, 0x0A, 0x12, 0x18, 0x7F, 0x80, 0xFF, chance.randrange(256))
                )
        agrees(bytes(raw[: chance.randrange(len(raw) + 1)] if chance.random() < 0.3 else raw))


@pytest.mark.parametrize(
    ("block", "at"),
    [
        (b"\x1a\x00", 0),  # an unknown field
        (b"\x12", 1),  # a length that is not there
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 0),  # 2^63 - 1 bytes announced
        (b"\x12" + b"\xff" * 10, 1),  # a varint bomb
        (b"\x0a\x80\x00", 2),  # a number that is not in its shortest form
        (field(0x0A, b"a") * 2, 3),  # data twice
        (field(0x12, LINK) + field(0x0A, b"") + field(0x12, LINK), 42),  # links in two runs
        (field(0x12, field(0x12, b"n") + LINK), 2),  # name before hash
        (field(0x12, LINK + b"\x18\x01" + field(0x12, b"n")), 42),  # size before name
        (field(0x12, LINK + LINK), 40),  # hash twice
        (field(0x12, LINK + b"\x20\x01"), 40),  # an unknown field of a link
        (field(0x12, b""), 2),  # no hash
        (field(0x12, field(0x0A, CID.raw + b"x")), 4),  # bytes after the CID
        (field(0x12, field(0x0A, CID.raw[:-1])), 4),  # a CID cut short
        (field(0x12, field(0x0A, b"\x02" + CID.raw[1:])), 4),  # an unknown CID version
        (field(0x12, LINK + b"\x18" + b"\xff" * 9 + b"\x01"), 41),  # a size of 2^64 - 1
    ],
)
def test_a_refusal_says_which_byte_breaks_the_form(block: bytes, at: int) -> None:
    with pytest.raises(BadRequest) as refused:
        dag_pb.Opened(block)
    assert refused.value.where == f"byte {at}"
    agrees(block)


def test_a_block_full_of_the_smallest_links_is_read() -> None:
    link = field(0x12, field(0x0A, IDENTITY))
    count = (2 << 20) // len(link)
    assert len(dag_pb.Opened(link * count)) == count


def test_the_message_says_where_its_payload_lies_in_the_block() -> None:
    block = field(0x12, LINK) + field(0x0A, b"\x08\x02\x12\x03abc\x18\x05\x20\x02")
    found, start = message.read(dag_pb.Opened(block))
    assert (found.kind, found.data, found.file_bytes, found.block_bytes) == (
        message.Kind.FILE,
        b"abc",
        5,
        (2,),
    )
    assert block[start : start + 3] == b"abc"


@pytest.mark.parametrize(
    "data", [None, b"", b"\x12\x01a", b"\x08\x09", b"\x0f", b"\x08\x01\x42\x00", b"\x08\x02\x22\x01\xff"]
)
def test_what_is_no_unixfs_message_is_refused(data: bytes | None) -> None:
    with pytest.raises(BadRequest, match="not a UnixFS node"):
        message.read(dag_pb.Opened(b"" if data is None else field(0x0A, data)))


def test_links_of_a_shard_are_those_of_its_bits() -> None:
    def node(*names: bytes) -> PbNode:
        return PbNode(b"".join(field(0x12, LINK + field(0x12, name)) for name in names))

    sound = node(b"00a", b"0F", b"A0b")
    bits = (1 << 0 | 1 << 0x0F | 1 << 0xA0).to_bytes(21, "big")
    assert sound.in_slots(bits, 2)
    assert sound.in_slots(b"\0" + bits, 2)
    assert not sound.in_slots(bits[:-1], 2)  # other bits
    assert not sound.in_slots((1 << 0 | 1 << 0x0F).to_bytes(21, "big"), 2)  # fewer
    assert not sound.in_slots((1 | 1 << 0x0F | 1 << 0xA0 | 1 << 0xA1).to_bytes(21, "big"), 2)  # more
    assert not sound.in_slots(bits, 3)
    assert not node(b"00a", b"A0b", b"0F").in_slots(bits, 2)  # out of order
    assert not node(b"00a", b"0f", b"A0b").in_slots(bits, 2)  # not as it is written
    assert not node(b"00a", b"0", b"A0b").in_slots(bits, 2)
    assert node().in_slots(b"", 2)
    assert sound.entries(2) == ([("a", CID.raw, None), ("b", CID.raw, None)], [CID.raw])
