"""Request bodies: fixed and chunked, whole and cut, and every way a chunk can be wrong."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.bodies import ChunkedBody, FixedBody
from net.refusal import Refused


def chunked(body_bytes: int = 1000, line_bytes: int = 32, trailer_bytes: int = 64) -> ChunkedBody:
    return ChunkedBody(body_bytes=body_bytes, line_bytes=line_bytes, trailer_bytes=trailer_bytes)


def drain(body: ChunkedBody | FixedBody, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """The body and what was left over, fed piece by piece."""
    out, rest = b"", b""
    for piece in pieces:
        got, used = body.receive(piece)
        out += b"".join(got)
        rest += piece[used:]
    return out, rest


GOOD = [
    (b"0\r\n\r\n", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"5;a=b\r\nhello\r\n00\r\nX: y\r\nZ:\r\n\r\n", b"hello"),
    (b"a\r\n\r\n\r\n\r\n\r\n\r\n\r\nB\r\n01234567890\r\n0\r\n\r\n", b"\r\n\r\n\r\n\r\n\r\n01234567890"),
]


@pytest.mark.parametrize(("data", "body"), GOOD)
def test_chunks_are_joined_and_the_next_request_is_left_alone(data: bytes, body: bytes) -> None:
    for pieces in ([data + b"GET"], [bytes([b]) for b in data + b"GET"], [data, b"GET"]):
        machine = chunked()
        assert drain(machine, pieces) == (body, b"GET")
        assert machine.complete


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\r\n", 400),
        (b"g\r\n", 400),
        (b"-1\r\n", 400),
        (b"+1\r\n", 400),
        (b"0x1\r\n", 400),
        (b" 1\r\n", 400),
        (b"1 \r\n", 400),
        (b"1 ;a\r\n", 400),
        (b"1_0\r\n", 400),
        (b"5\nhello", 400),
        (b"5;\n\r\nhello", 400),
        (b"5\r\rhello", 400),
        (b"5\r\nhelloX", 400),
        (b"5\r\nhello\n", 400),
        (b"5\r\nhello\rX", 400),
        (b"11111111111111111\r\n", 400),
        (b"5;" + b"x" * 40, 400),
        (b"5;a\x00\r\n", 400),
        (b"3e9\r\n", 413),
        (b"ffffffffffffffff\r\n", 413),
        (b"0\r\n a\r\n", 400),
        (b"0\r\nA : b\r\n", 400),
        (b"0\r\nTransfer-Encoding: gzip\r\n", 400),
        (b"0\r\ncontent-length: 5\r\n", 400),
        (b"0\r\nHost: b\r\n", 400),
        (b"0\r\n" + b"A: b\r\n" * 20, 431),
        (b"0\r\n" + b"A" * 100, 431),
    ],
)
def test_bad_chunks_are_refused_whole_and_bytewise(data: bytes, status: int) -> None:
    with pytest.raises(Refused) as whole:
        drain(chunked(), [data])
    assert whole.value.status == status
    with pytest.raises(Refused) as bytewise:
        drain(chunked(), [bytes([b]) for b in data])
    assert bytewise.value.status == status


def test_a_length_is_bounded_over_all_chunks() -> None:
    machine = chunked(body_bytes=8)
    machine.receive(b"5\r\nhello\r\n")
    with pytest.raises(Refused) as caught:
        machine.receive(b"4\r\n")
    assert caught.value.status == 413


@given(st.lists(st.binary(min_size=1, max_size=80)), st.lists(st.integers(0, 400)))
def test_any_body_survives_any_cutting(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\nrest"
    at = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in pairwise(at)]
    machine = chunked(body_bytes=10**6)
    assert drain(machine, pieces) == (b"".join(parts), b"rest")


def test_a_fixed_body_takes_exactly_its_length() -> None:
    for pieces in ([b"helloGET"], [b"he", b"llo", b"GET"], [bytes([b]) for b in b"helloGET"]):
        machine = FixedBody(5)
        assert drain(machine, pieces) == (b"hello", b"GET")
        assert machine.complete
    assert FixedBody(0).complete
