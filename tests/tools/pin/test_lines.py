"""Lines of pins: passed on when they are as ours, written again when not, refused when they are no pins."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinning.api_json import record_json
from pinning.pin import Pin
from runtime.errors import Unreachable
from tests.pinning.test_api_json import PINS
from tools.pin import lines
from tools.pin.record import encoded, record_of

WHERE = "https://edge.example/pinning/v1"
DELEGATES = '["/dns4/a/tcp/1", "/x"]'


@given(st.lists(PINS, max_size=3))
def test_what_a_node_writes_is_passed_on_as_it_is(pins: list[Pin]) -> None:
    text = "".join(record_json(pin, DELEGATES) for pin in pins)
    assert lines._LINES.fullmatch(text.encode()) is not None
    assert lines.checked(text.encode(), WHERE) == text
    found = list(lines.records(text.encode(), WHERE))
    assert [f"{encoded(record)}\n" for record in found] == text.splitlines(keepends=True)


def test_another_form_is_written_again_without_control_characters() -> None:
    pin = {"requestid": "i", "status": "pinned", "cid": "c", "name": "\x9b\x7fé", "created": "t", "x": 1}
    line = json.dumps(pin, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    told = lines.checked(line, WHERE)
    assert told == encoded(record_of({**pin, "pin": pin}, WHERE)) + "\n"
    assert told.isascii()


@pytest.mark.parametrize("line", [b"<html>\n", b"1\n", b"{}\n", b"[" * 100_000 + b"\n", b"\xff\n", b"\n"])
def test_what_is_no_pin_is_refused(line: bytes) -> None:
    with pytest.raises(Unreachable):
        lines.checked(line, WHERE)


def test_lines_are_whole_however_they_come() -> None:
    text = b"one\ntwo\nthree\n"
    for step in range(1, len(text) + 1):
        pieces = [text[at : at + step] for at in range(0, len(text), step)]
        chunks = list(lines.whole_lines(pieces, WHERE))
        assert b"".join(chunks) == text
        assert all(chunk.endswith(b"\n") for chunk in chunks)
    for pieces in ([b"one\ntw"], [b"x" * (lines.LINE_BYTES_MAX + 1)]):
        with pytest.raises(Unreachable):
            list(lines.whole_lines(pieces, WHERE))
