"""Names of a blob: every accepted text gives the root back, everything else is refused with a reason."""

from re import fullmatch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multiformats import CID
from multiformats import multibase as oracle

from content import names
from runtime.errors import BadRequest

# base8 is left to the fixed case below: the oracle pads it, the multibase table says it has no padding
BASES = [
    "base10",
    "base16",
    "base16upper",
    "base32",
    "base32upper",
    "base32pad",
    "base32padupper",
    "base32hex",
    "base32hexupper",
    "base32hexpad",
    "base32hexpadupper",
    "base32z",
    "base36",
    "base36upper",
    "base58btc",
    "base58flickr",
    "base64",
    "base64pad",
    "base64url",
    "base64urlpad",
]
roots = st.binary(min_size=32, max_size=32) | st.builds(
    lambda zeros, tail: (bytes(zeros) + tail)[:32], st.integers(0, 32), st.binary(min_size=32, max_size=32)
)


@given(roots, st.sampled_from(BASES))
@example(bytes(10) + b"\x1b" + bytes(21), "base10")
def test_every_multibase_of_digest_multihash_and_cid_names_the_root(root: bytes, base: str) -> None:
    multihash = b"\x1e\x20" + root
    cid = CID("base32", 1, "raw", multihash)
    for raw in (root, multihash, bytes(cid)):
        text = oracle.encode(raw, base)
        if fullmatch(r"[0-9a-fA-F]{64}", text):
            assert names.parse(text) == bytes.fromhex(text), "base 10 can look like hex: that wins"
        else:
            assert names.parse(text) == root


@given(roots)
def test_written_names_read_back_and_agree_with_the_oracle(root: bytes) -> None:
    assert names.cid(root) == str(CID("base32", 1, "raw", b"\x1e\x20" + root))
    assert names.parse(names.cid(root)) == names.parse(names.hex(root)) == root
    assert names.parse(names.hex(root).upper()) == root


def test_base8_is_read_without_padding() -> None:
    root = bytes(range(32))
    bits = int.from_bytes(root, "big") << 2
    text = "7" + "".join(str(bits >> 3 * place & 7) for place in range(85, -1, -1))
    assert names.parse(text) == root


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        "0" * 63,
        "0" * 65,
        "g" * 64,
        "x" + "0" * 64,
        "Qm" + "a" * 44,
        "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",  # dag-pb, sha2-256
        "f" + "0" * 62,
        "b" + "a" * 53,
        "z" * 600,
        "f" + "0" * 63 + "\u0660",
        "\u0661" * 64,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        names.parse(text)


@given(roots, st.integers(1, 31))
def test_stray_bits_in_the_last_character_are_refused(root: bytes, stray: int) -> None:
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    text = "b" + oracle.encode(root, "base32")[1:]
    last = alphabet.index(text[-1])
    changed = text[:-1] + alphabet[last ^ (stray & 0b1111 or 1)]  # 52 * 5 - 256 = 4 spare bits
    with pytest.raises(BadRequest):
        names.parse(changed)
