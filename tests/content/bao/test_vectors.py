"""Byte-identity with `abao`, `bao` and `bao-tree`: vectors.json, made by native/examples/vectors.rs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from content.bao import (
    Decoder,
    combined_length,
    combined_pieces,
    outboard_length,
    outboard_pieces,
    slice_length,
    slice_pieces,
    subgroup_length,
    subgroup_pieces,
)
from runtime.errors import Unverified
from tests.content.bao import oracle
from tests.content.bao.blobs import blob, gather, root_of, source

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors.json").read_text())
CASES: list[dict[str, Any]] = VECTORS["cases"]
SMALL = [case for case in CASES if case["size"] <= 60_000]


def stream(data: bytes) -> list[object]:
    return [len(data), blake3(data).hexdigest()]


def read_all(decoder: Decoder, encoded: bytes | bytearray) -> None:
    decoder.feed(encoded)
    decoder.finish()


def by_size(case: dict[str, Any]) -> str:
    return str(case["size"])


@pytest.mark.parametrize("case", CASES, ids=by_size)
def test_outboards_and_combined_encodings_are_theirs_to_the_byte(case: dict[str, Any]) -> None:
    size = case["size"]
    data = source(blob(size))
    assert root_of(blob(size)).hex() == case["root"]
    assert stream(b"".join(outboard_pieces(data))) == case["outboard"]
    assert stream(b"".join(combined_pieces(data))) == case["combined"]
    assert outboard_length(size) == case["outboard"][0]
    assert combined_length(size) == case["combined"][0]


@pytest.mark.parametrize("case", CASES, ids=by_size)
def test_slices_are_theirs_to_the_byte_and_decode(case: dict[str, Any]) -> None:
    data, root = blob(case["size"]), bytes.fromhex(case["root"])
    reader = source(data)
    for start, length, expected in case["slices"]:
        encoded = b"".join(slice_pieces(reader, start, length))
        assert stream(encoded) == expected
        assert slice_length(len(data), start, length) == expected[0]
        decoder = Decoder.slice(root, start, length)
        for offset, found in gather(decoder.feed(encoded)).items():
            assert found == data[offset : offset + len(found)]
        decoder.finish()


@pytest.mark.parametrize("case", CASES, ids=by_size)
def test_subgroup_ranges_are_theirs_to_the_byte_and_decode(case: dict[str, Any]) -> None:
    data, root = blob(case["size"]), bytes.fromhex(case["root"])
    reader = source(data)
    for pairs, expected in case["subgroup"]:
        ranges = [(start, stop) for start, stop in pairs]
        encoded = b"".join(subgroup_pieces(reader, ranges))
        assert stream(encoded) == expected
        assert subgroup_length(len(data), ranges) == expected[0]
        decoder = Decoder.subgroup(root, ranges)
        found = gather(decoder.feed(encoded))
        decoder.finish()
        for start, stop in ranges:
            for at in (start, stop - 1):
                inside = any(offset <= at < offset + len(part) for offset, part in found.items())
                assert inside or at >= len(data)
        assert all(part == data[offset : offset + len(part)] for offset, part in found.items())


@pytest.mark.parametrize("case", SMALL, ids=by_size)
def test_the_oracle_agrees_with_all_three(case: dict[str, Any]) -> None:
    data = blob(case["size"])
    assert stream(oracle.outboard(data)) == case["outboard"]
    assert stream(oracle.combined(data)) == case["combined"]
    for start, length, expected in case["slices"]:
        assert stream(oracle.slice_of(data, start, length)) == expected
    for start, length, expected in case["chunk_slices"]:
        assert stream(oracle.slice_of(data, start, length, 1024)) == expected
    for pairs, expected in case["subgroup"]:
        assert stream(oracle.subgroup(data, [(start, stop) for start, stop in pairs])) == expected


@pytest.mark.parametrize("case", VECTORS["corruptions"], ids=lambda case: f"{case['size']}-{case['ranges']}")
def test_corrupted_streams_meet_the_verdict_of_bao_tree(case: dict[str, Any]) -> None:
    data = blob(case["size"])
    ranges = [(start, stop) for start, stop in case["ranges"]]
    good = b"".join(subgroup_pieces(source(data), ranges))
    assert case["verdicts"]
    for at, bit, accepted in case["verdicts"]:
        bad = bytearray(good)
        bad[at] ^= 1 << bit
        decoder = Decoder.subgroup(root_of(data), ranges)
        if accepted:  # an unproven size in the header, and a tree of the same shape where we look
            assert at < 8
            found = gather(decoder.feed(bad))
            decoder.finish()
            assert decoder.size_bytes is None
            assert all(part == data[offset : offset + len(part)] for offset, part in found.items())
        else:
            with pytest.raises(Unverified):
                read_all(decoder, bad)


def test_the_streams_named_in_the_format_document_are_ours() -> None:
    text = (Path(__file__).parents[3] / "docs" / "formats" / "bao.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (\S+).* \| (\d+) \| `(\w{64})` \|$", text, re.MULTILINE)
    assert len(rows) == 16
    for size, form, length, expected in rows:
        data = source(blob(int(size)))
        pieces = {
            "outboard": outboard_pieces(data),
            "combined": combined_pieces(data),
            "slice": slice_pieces(data, 16384, 1),
            "sub-group": subgroup_pieces(data, [(1500, 1501)]),
        }
        assert stream(b"".join(pieces[form])) == [int(length), expected]
