"""Fuzz target `pin_request`: queries and bodies of the pinning API, and the times in them.

The first byte chooses which. Invariants
 1. Only BadRequest is raised, and it names a field.
 2. What is taken keeps the bounds of the specification, and is told as JSON that says the same, less
    secrets of origins.
 3. A time that is taken is the same after it was written and read again.
"""

import json
from dataclasses import replace

from blockstore.origin_address import shown
from pinning import api_query, timestamps
from pinning.api_json import pin_json
from pinning.pin import Pin, Status
from runtime.errors import BadRequest

TARGET = "pin_request"
NOW_S = 1_700_000_000.0
_CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"


def one(data: bytes) -> None:
    """The invariants; raises on violation."""
    if not data:
        return
    kind, rest = data[0] % 3, data[1:]
    try:
        if kind == 0:
            _query(rest.decode("latin-1"))
        elif kind == 1:
            _body(rest)
        else:
            _time(rest.decode("utf-8", "replace"))
    except BadRequest as error:
        assert error.where, f"names no field: {error.message}"
        assert error.message.isprintable(), f"not one line: {error.message!r}"


def _query(query: str) -> None:
    asked = api_query.listing(query)
    wanted = asked.wanted
    assert 1 <= asked.limit <= 1000
    assert len(wanted.cids) <= 10
    assert wanted.name is None or len(wanted.name) <= 255
    for ns in (wanted.before_ns, wanted.after_ns):
        assert ns is None or 0 <= ns <= timestamps.MAX_NS


def _body(body: bytes) -> None:
    wish = api_query.wish(body, NOW_S)
    assert wish.expires_s is None or wish.expires_s > NOW_S
    told = json.loads(pin_json(Pin("id", "ada", 5, Status.PINNED, wish), "[]"))["pin"]
    assert told["cid"] == str(wish.cid)
    assert told.get("name") == wish.name
    without_secrets = shown(wish.origins)
    assert tuple(told.get("origins", ())) == without_secrets
    assert told.get("meta", {}) == wish.meta
    again = api_query.wish(json.dumps(told).encode(), NOW_S)
    assert again == replace(wish, origins=without_secrets), "what is told is not what was asked"


def _time(text: str) -> None:
    ns = timestamps.read(text, "time")
    assert timestamps.read(timestamps.written(ns), "time") == ns
    assert 0 <= timestamps.read(text, "time", up=True) - ns <= 1


SEEDS = [
    b"\x00cid=%s&name=a+b&match=ipartial&status=queued,failed&limit=1000" % _CID.encode(),
    b'\x00before=2023-01-01T00:00:00.000000002Z&after=2022-01-01T00:00:00%2B01:00&meta={"a":"b"}',
    b'\x01{"cid":"%s","name":"n","origins":["/ip4/192.0.2.1/tcp/1","https://a.example/x"],"meta":{"a":"\\u00e9",'
    b'"pinned_until":"2030-01-01T00:00:00Z"}}' % _CID.encode(),
    b"\x022023-11-14T22:13:20.123456789+02:00",
]
