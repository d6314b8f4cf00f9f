"""Fuzz target `dag_cbor`: any bytes, and any value.

The first byte chooses which. Invariants
 1. Only `BadRequest` is raised.
 2. Bytes that are accepted are the one encoding of their value.
 3. A value that is written reads back as it was, links, integers and floats told apart.
 4. The plain reader of the tests says the same, and blames the same byte.
 5. libipld (Rust) agrees: what we accept it reads as the same value, but for -0.0, which it refuses and
    the specification does not; what it reads and writes back unchanged we accept, but for links that are no
    CIDs here (it does not look) and values nested too deep.
"""

from typing import Any

import libipld

from content import dag_cbor, dag_value
from content.cid import DAG_CBOR, Cid
from content.dag_value import MAX_DEPTH, Value
from runtime.errors import BadRequest
from tests.content import dag_cbor_oracle
from tests.fuzz import fixtures, values
from tests.fuzz.draws import Draws

TARGET = "dag_cbor"
_NEGATIVE_ZERO = b"\xfb\x80" + bytes(7)


def one(data: bytes) -> None:
    """The invariants; raises on violation."""
    if not data:
        return
    if data[0] % 3 == 0:
        _any_value(Draws(data[1:]))
    else:
        _any_bytes(data[1:])


def _any_value(draws: Draws) -> None:
    value = values.value(draws)
    raw = dag_cbor.encode(value)
    assert values.same(dag_cbor.decode(raw), value)
    _check_theirs(raw, value)


def _any_bytes(raw: bytes) -> None:
    try:
        value = dag_cbor.decode(raw)
    except BadRequest as error:
        _agree_to_refuse(raw, error)
        return
    assert values.same(dag_cbor_oracle.decode(raw), value), "the plain reader reads another value"
    assert dag_cbor.encode(value) == raw, "two encodings of one value"
    assert values.depth_of(value) <= MAX_DEPTH
    assert all(isinstance(link, Cid) for link in dag_value.links(value))
    _check_theirs(raw, value)


def _check_theirs(raw: bytes, value: Value) -> None:
    if _NEGATIVE_ZERO not in raw:
        assert values.same(_plain(value), libipld.decode_dag_cbor(raw)), "libipld reads another value"


def _agree_to_refuse(raw: bytes, refusal: BadRequest) -> None:
    try:
        dag_cbor_oracle.decode(raw)
    except BadRequest as error:
        assert (error.message, error.where) == (refusal.message, refusal.where)
    else:
        raise AssertionError(f"refused ({refusal.message}), and the plain reader takes it")
    why = refusal.message
    try:
        theirs = libipld.decode_dag_cbor(raw)
        again = libipld.encode_dag_cbor(theirs)
    except (ValueError, RecursionError, OverflowError, TypeError):
        return
    lax = "nested deeper" in why or "link" in why or "NaN" in why
    assert lax or again != raw, f"refused ({why}), and libipld takes it as canonical"


def _plain(value: Value) -> Any:
    """A value as libipld gives it: links as bytes."""
    if isinstance(value, Cid):
        return value.raw
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value


SEEDS: list[bytes] = [
    *(b"\x01" + dag_cbor.encode(value) for value in values.EDGES),
    *(b"\x01" + block.data for block in fixtures.blocks(DAG_CBOR)),
    b"\x01" + b"\x81" * (MAX_DEPTH + 1) + b"\x00",
    b"\x01\xa2\x61\x62\x01\x61\x61\x02",
    b"\x01\xbf\xff",
    b"\x01\xfa\x3f\x80\x00\x00",
    b"\x01\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
    *(bytes([0, kind]) + b"\x03\x05abcdefgh\x09\x04keyvalue\x01\x02" * 3 for kind in range(11)),
]
