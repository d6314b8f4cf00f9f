"""Records: what a service sends is looked at once, and encoded as `json` would."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import Unreachable
from tools.pin.record import encoded, record_of

ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
STATUS = st.fixed_dictionaries(
    {
        "requestid": st.text(),
        "status": st.sampled_from(["queued", "pinning", "pinned", "failed"]),
        "created": st.text(),
        "pin": st.fixed_dictionaries(
            {"cid": st.text()},
            optional={
                "name": st.none() | st.text(),
                "origins": st.none() | st.lists(ANYTHING),
                "meta": st.none() | st.dictionaries(st.text(), ANYTHING),
            },
        ),
    },
    optional={"delegates": st.lists(st.text()), "info": st.none() | st.dictionaries(st.text(), ANYTHING)},
)


@given(STATUS)
def test_a_record_is_encoded_as_json_would(status: dict[str, Any]) -> None:
    record = record_of(status, "test")
    assert encoded(record) == json.dumps(record)


@given(ANYTHING)
def test_what_is_no_pin_is_an_error_whatever_it_is(value: Any) -> None:
    with pytest.raises(Unreachable, match="a pin that is none"):
        record_of(value, "test")
