"""dag-cbor, dag-json and dag-pb: one encoding for each value, everything else refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content import dag_cbor, dag_json, dag_pb
from content.block import Block
from content.cid import RAW, Cid
from content.dag_value import MAX_DEPTH, Value
from content.links import links
from runtime.errors import BadRequest

CID = Block.sealed(RAW, b"x").cid
CIDS = st.binary(max_size=8).map(lambda data: Block.sealed(RAW, data).cid)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 64), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.binary(max_size=20)
    | TEXTS
    | CIDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXTS.filter(lambda key: key != "/"), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_cbor_round_trips_in_one_encoding(value: Value) -> None:
    raw = dag_cbor.encode(value)
    assert dag_cbor.decode(raw) == value
    assert dag_cbor.encode(dag_cbor.decode(raw)) == raw


@given(VALUES)
def test_json_round_trips_in_one_encoding(value: Value) -> None:
    raw = dag_json.encode(value)
    assert dag_json.decode(raw) == value
    assert dag_json.encode(dag_json.decode(raw)) == raw


@given(VALUES, st.data())
def test_cut_or_longer_cbor_is_refused(value: Value, data: st.DataObject) -> None:
    raw = dag_cbor.encode(value)
    with pytest.raises(BadRequest):
        dag_cbor.decode(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(BadRequest):
        dag_cbor.decode(raw + b"\x00")


@pytest.mark.parametrize(
    "raw",
    [
        "1800", "190001", "1a00000001", "1b0000000000000001", "3800", "5800", "7800", "9800", "b800",
        "5f40ff", "7f60ff", "9fff", "bfff", "ff", "f7", "f8ff", "e0", "f93c00", "fa3f800000",
        "fb7ff8000000000000", "fb7ff0000000000000", "fbfff0000000000000",  # NaN and infinities
        "a20000", "a1000 0".replace(" ", ""), "a2616101616102", "a2616201616101", "a262616101616201",  # keys
        "61ff", "c101", "d82a00", "d82a4101", "d82a420001", "d82b40", "1c", "5b7fffffffffffffff",
        "9b7fffffffffffffff",
        "bb7fffffffffffffff", "", "82", "61", "a1",
    ],
)  # fmt: skip
def test_cbor_that_is_not_in_its_one_form_is_refused(raw: str) -> None:
    with pytest.raises(BadRequest):
        dag_cbor.decode(bytes.fromhex(raw))


def test_deep_values_are_refused_before_the_stack_ends() -> None:
    assert dag_cbor.decode(b"\x81" * MAX_DEPTH + b"\x00")
    for depth in (MAX_DEPTH + 1, 5000, 1_000_000):
        with pytest.raises(BadRequest):
            dag_cbor.decode(b"\x81" * depth + b"\x00")
        with pytest.raises(BadRequest):
            dag_json.decode(b"[" * depth + b"]" * depth)
    assert dag_json.decode(b'"' + b"[" * 5000 + b'"') == "[" * 5000


@pytest.mark.parametrize(
    "raw",
    [
        "", "{", "[1,]", "NaN", "[Infinity]", "-Infinity", '{"a":1,"a":2}', '{"/":1}', '{"/":"x"}',
        '{"/":{"bytes":"a"}}',
        '{"/":{"bytes":"YQ=="}}', '{"/":{"bytes":"YR"}}', '{"/":{"bytes":1}}', '{"/":"bafkqaaa","a":1}',
        '{"/":{"bytes":"YQ","a":1}}',
        '"\\ud800"', "1 2", "18446744073709551616", "-18446744073709551617", "1e999", "'a'", "01",
    ],
)  # fmt: skip
def test_json_that_is_not_dag_json_is_refused(raw: str) -> None:
    with pytest.raises(BadRequest):
        dag_json.decode(raw.encode())


def test_json_says_links_and_bytes_in_the_reserved_way() -> None:
    assert (
        dag_json.encode({"b": CID, "a": b"a"})
        == b'{"a":{"/":{"bytes":"YQ"}},"b":{"/":"%s"}}' % CID.text().encode()
    )
    with pytest.raises(BadRequest):
        dag_json.encode({"/": 1})
    with pytest.raises(BadRequest):
        dag_json.decode(b"\xff")


LINKS = st.builds(
    dag_pb.Link,
    CIDS,
    st.none() | st.text(max_size=10).filter(lambda t: t.isprintable()),
    st.none() | st.integers(0, 1 << 60),
)


@given(st.lists(LINKS, max_size=5), st.none() | st.binary(max_size=20))
def test_dag_pb_round_trips(found: list[dag_pb.Link], data: bytes | None) -> None:
    node = dag_pb.Node(tuple(found), data)
    raw = dag_pb.encode(node)
    assert dag_pb.decode(raw) == node
    assert dag_pb.encode(dag_pb.decode(raw)) == raw


LINK = b"\x0a" + bytes([len(CID.raw)]) + CID.raw
FRAMED = b"\x12" + bytes([len(LINK)]) + LINK


@pytest.mark.parametrize(
    "raw",
    [
        b"\x0a", b"\x0a\x05abc", b"\x0a\x01a\x0a\x01b", FRAMED + b"\x0a\x00" + FRAMED, b"\x1a\x00",
        b"\x08\x01", b"\x12\x00",
        b"\x12\x02\x0a\x00", b"\x12\x02\x12\x00", b"\x12" + bytes([len(LINK) + 2]) + LINK + b"\x20\x01",
        b"\x12" + bytes([len(LINK) + 4]) + LINK + b"\x18\x01\x12\x00",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ],
)  # fmt: skip
def test_dag_pb_that_is_not_canonical_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        dag_pb.decode(raw)


def test_data_may_stand_before_the_links() -> None:
    assert dag_pb.decode(b"\x0a\x01d" + FRAMED).data == b"d"
    assert dag_pb.Opened(FRAMED + b"\x0a\x01d").data == (len(FRAMED) + 2, len(FRAMED) + 3)


def test_links_of_every_codec() -> None:
    value: Value = {"a": [CID, {"b": CID}], "c": 1}
    cbor, text = Block.sealed(0x71, dag_cbor.encode(value)), Block.sealed(0x0129, dag_json.encode(value))
    assert links(cbor.cid, cbor.data) == links(text.cid, text.data) == (CID, CID)
    assert links(CID, b"x") == ()
    assert links(Cid.v1(0x70, CID.multihash), FRAMED) == (CID,)
