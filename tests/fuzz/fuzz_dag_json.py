"""Fuzz target `dag_json`: any bytes, and any value.

The first byte chooses which. Invariants
 1. Only `BadRequest` is raised.
 2. What is read can be written and reads back the same; written twice it is the same bytes.
 3. What is written has no white space between its parts, keys in the order of their bytes, each once, and
    for every link and every byte string the one reserved form (looked at with the plain JSON library).
 4. dag-cbor holds the same value with the same links.
"""

import json
from typing import Any

from content import dag_cbor, dag_json, dag_value
from content.cid import DAG_JSON, Cid
from content.dag_value import MAX_DEPTH, Value
from runtime.errors import BadRequest
from tests.fuzz import fixtures, values
from tests.fuzz.draws import Draws

TARGET = "dag_json"


def one(data: bytes) -> None:
    """The invariants; raises on violation."""
    if not data:
        return
    if data[0] % 3 == 0:
        value = values.value(Draws(data[1:]))
        try:
            raw = dag_json.encode(value)
        except BadRequest:
            assert _has_reserved_key(value)
            return
    else:
        try:
            value = dag_json.decode(data[1:])
        except BadRequest as error:
            assert error.message.startswith("not a dag-json block")
            return
        assert values.depth_of(value) <= MAX_DEPTH
        raw = dag_json.encode(value)
    assert values.same(dag_json.decode(raw), value)
    assert dag_json.encode(dag_json.decode(raw)) == raw
    _check_form(raw, value)
    again = dag_cbor.decode(dag_cbor.encode(value))
    assert values.same(again, value)
    assert set(dag_value.links(again)) == set(dag_value.links(value))


def _has_reserved_key(value: Value) -> bool:
    if isinstance(value, dict):
        return "/" in value or any(_has_reserved_key(each) for each in value.values())
    return isinstance(value, list) and any(_has_reserved_key(each) for each in value)


def _check_form(raw: bytes, value: Value) -> None:
    def ordered(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key.encode() for key, _ in pairs]
        assert keys == sorted(set(keys)), "keys are not in order"
        return dict(pairs)

    plain = json.loads(raw, object_pairs_hook=ordered)
    tight = json.dumps(plain, separators=(",", ":"), ensure_ascii=False)
    assert tight.encode() == raw, "white space, or escapes that nobody needs"
    _compare(plain, value)


def _compare(plain: Any, value: Value) -> None:
    if isinstance(value, Cid):
        assert plain == {"/": value.text()}
    elif isinstance(value, bytes):
        assert list(plain) == ["/"]
        assert list(plain["/"]) == ["bytes"]
    elif isinstance(value, dict):
        for key, each in value.items():
            _compare(plain[key], each)
    elif isinstance(value, list):
        for one_, other in zip(plain, value, strict=True):
            _compare(one_, other)
    else:
        assert values.same(plain, value)


SEEDS: list[bytes] = [
    *(b"\x01" + dag_json.encode(value) for value in values.EDGES if value != {"/": 1}),
    *(b"\x01" + block.data for block in fixtures.blocks(DAG_JSON)),
    b"\x01" + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    b'\x01 { "b" : 1.50 , "a" : [ 1e3 , -0.0, -0, 12345678901234567890 ] } \n',
    b'\x01{"/":"bafkqaaa"}',
    b'\x01{"/":{"bytes":"AQI"}}',
    b'\x01{"/":{"bytes":"AQI="},"a":1}',
    b'\x01["\\ud83d\\ude80","\\ud800","\\u0000","\\/"]',
    b'\x01{"a":1,"a":2}',
    b"\x01[NaN,Infinity,1e999]",
    *(bytes([0, kind]) + b"\x03\x05abcdefgh\x09\x04keyvalue\x01\x02" * 3 for kind in range(11)),
]
