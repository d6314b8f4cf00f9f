"""Origins as lines: what goes out comes in, and nothing else does."""

import json

import pytest
from hypothesis import given

from blockstore.origin import Origin, OriginKind
from blockstore.origin_lines import LINE_BYTES_MAX, line, parsed
from runtime.errors import BadRequest
from tests.blockstore.test_origin_rows import NAME, ORIGINS

PLACE = Origin(OriginKind.HTTP, "https://h/")


@given(ORIGINS)
def test_a_line_comes_back_as_it_went(origin: Origin) -> None:
    raw = line(NAME, origin)
    assert raw.count(b"\n") == 1
    if origin.kind is OriginKind.LOCAL and origin.account:
        return
    assert parsed(raw) == (NAME, origin)


def test_the_line_is_frozen() -> None:
    assert line(NAME, PLACE).decode() == (
        '{"multihash":"f' + NAME.hex() + '","kind":"http","address":"https://h/","account":"","added_s":0.0,'
        '"size_bytes":null,"first_success_s":0.0,"last_success_s":0.0,"last_failure_s":0.0,"profile":"",'
        '"sub_path":"","is_cut":false}\n'
    )


def test_what_is_not_said_has_a_default_and_a_cid_names_as_well() -> None:
    raw = b'{"cid":"bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e","kind":"http","address":"https://h/","x":1}'
    name, origin = parsed(raw)
    assert origin == PLACE
    assert name[:2] == b"\x12\x20"


def test_an_accounts_import_is_its_own_and_names_no_file_of_this_machine() -> None:
    assert parsed(line(NAME, PLACE), "ann")[1].account == "ann"
    local = line(NAME, Origin(OriginKind.LOCAL, "/etc/passwd"))
    assert parsed(local)[1].kind is OriginKind.LOCAL
    with pytest.raises(BadRequest, match="account may name"):
        parsed(local, "ann")


@pytest.mark.parametrize(
    "changed",
    [
        {"multihash": "f00"},
        {"multihash": "f" + NAME.hex() + "00"},
        {"multihash": NAME.hex()},
        {"multihash": 1},
        {"multihash": "f000161"},
        {"kind": "carrier pigeon"},
        {"address": None},
        {"added_s": -1},
        {"added_s": True},
        {"added_s": "now"},
        {"added_s": 1e300},
        {"size_bytes": 1.5},
        {"size_bytes": -1},
        {"size_bytes": 2**70},
        {"profile": []},
    ],
)
def test_a_line_that_is_not_right_is_refused(changed: dict[str, object]) -> None:
    members = {**json.loads(line(NAME, PLACE)), **changed}
    with pytest.raises(BadRequest):
        parsed(json.dumps(members).encode())


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b"1", b"\xff", b"[" * 100_000, b" " * (LINE_BYTES_MAX + 1)]
)
def test_what_is_no_line_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        parsed(raw)
