"""What we accept, h11 accepts with the same meaning: generated requests, and the fuzz target's seeds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import fuzz_http

_TOKEN = st.text("abcXYZ019-_!~", min_size=1, max_size=8)
_VALUE = st.text('abc 019,;=\t"\xe9/:', max_size=12)
_BODY = st.lists(st.binary(min_size=1, max_size=20), max_size=4)


@st.composite
def _requests(draw: st.DrawFn) -> bytes:
    """Mostly right requests with a body, sometimes spoilt in one place."""
    lines = [f"{draw(_TOKEN)} /{draw(st.text('ab%2F?&=', max_size=9))} HTTP/1.{draw(st.sampled_from('10'))}"]
    lines += ["Host: a"] * draw(st.sampled_from([1, 1, 1, 0, 2]))
    lines += [f"{draw(_TOKEN)}:{draw(_VALUE)}" for _ in range(draw(st.integers(0, 3)))]
    parts = draw(_BODY)
    form = draw(st.sampled_from(["none", "fixed", "chunked", "both"]))
    if form in ("fixed", "both"):
        lines.append(f"Content-Length: {sum(map(len, parts)) + draw(st.sampled_from([0, 0, 0, 1]))}")
    if form in ("chunked", "both"):
        lines.append("Transfer-Encoding: chunked")
    data = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if form == "chunked":
        data += b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    elif form != "none":
        data += b"".join(parts)
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=3)) + data[at + draw(st.integers(0, 2)) :]
    return data + draw(st.sampled_from([b"", b"GET / HTTP/1.1\r\n\r\n"]))


@settings(max_examples=400, deadline=None)
@given(_requests(), st.integers(0, 255))
def test_generated_requests_mean_the_same_to_h11(data: bytes, choice: int) -> None:
    fuzz_http.one(bytes([choice]) + data)


@pytest.mark.parametrize("seed", fuzz_http.SEEDS)
def test_seeds_mean_the_same_to_h11(seed: bytes) -> None:
    for choice in (0, 1, 8, 40, 77):
        fuzz_http.one(bytes([choice]) + seed)
