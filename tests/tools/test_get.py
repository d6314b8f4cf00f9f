"""`get`: from the store and from servers honest, lying, broken and slow to finish."""

import os
import pty
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from content import names
from content.bao.geometry import GROUP_BYTES, SEGMENT_BYTES
from tests.tools.conftest import Edge
from tests.tools.source_server import Behaviour, Held, serving

SIZES = [
    0,
    1,
    1024,
    GROUP_BYTES,
    GROUP_BYTES + 1,
    SEGMENT_BYTES,
    SEGMENT_BYTES + 1,
    3 * SEGMENT_BYTES + 12_345,
]
BIG = 3 * SEGMENT_BYTES + 12_345


def _content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", SIZES)
def test_what_was_put_is_got_by_every_spelling_of_its_name(edge: Edge, tmp_path: Path, size: int) -> None:
    content = _content(size)
    record = edge("put", "-", "--json", stdin=content).records[0]
    for name in (record["blake3"], record["blake3"].upper(), record["cid"]):
        assert edge("get", name).out == content
    result = edge("get", record["cid"], "-o", tmp_path / "out", "--json")
    assert (tmp_path / "out").read_bytes() == content
    assert result.records == [
        {"path": str(tmp_path / "out"), "blake3": record["blake3"], "cid": record["cid"], "size_bytes": size}
    ]
    assert not (tmp_path / "out.part").exists()


@pytest.mark.parametrize("size", SIZES)
def test_a_url_gives_the_same_bytes_to_stdout_and_to_a_file(edge: Edge, tmp_path: Path, size: int) -> None:
    content = _content(size)
    with serving(content, Behaviour()) as url:
        assert edge("get", url).out == content
        result = edge("get", url, "-o", tmp_path / "out", "--json")
    assert (tmp_path / "out").read_bytes() == content
    assert [path.name for path in tmp_path.glob("out*")] == ["out"]
    assert result.records[0]["size_bytes"] == size
    assert result.records[0]["resumed_bytes"] == 0


@pytest.mark.parametrize(
    ("span", "start", "stop"),
    [
        ("0:0", 0, 1),
        ("5:*", 5, None),
        ("16384:16384", 16384, 16385),
        ("16000:300000", 16000, 300001),
        ("0:99999999", 0, None),
    ],
)
def test_a_range_is_the_same_from_the_store_and_from_a_url(
    edge: Edge, tmp_path: Path, span: str, start: int, stop: int | None
) -> None:
    content = _content(BIG)
    name = edge("put", "-", "--json", stdin=content).records[0]["blake3"]
    assert edge("get", name, "--range", span).out == content[start:stop]
    with serving(content, Behaviour()) as url:
        shown = edge("get", url, "--range", span)
        assert (shown.code, shown.out) == (0, content[start:stop])
        assert edge("get", url, "--range", span, "-o", tmp_path / "out").code == 0
    assert (tmp_path / "out").read_bytes() == content[start:stop]


@pytest.mark.parametrize("span", ["", "5", "5:", "a:b", "-5:*", "9:3", "1:2:3", "0:-1"])
def test_a_malformed_range_is_refused_before_anything_is_asked(edge: Edge, span: str) -> None:
    behaviour = Behaviour()
    with serving(b"x", behaviour) as url:
        assert edge("get", url, f"--range={span}").code == 2
    assert behaviour.targets == []


def test_a_range_past_the_end_of_a_url_is_empty(edge: Edge) -> None:
    with serving(_content(20_000), Behaviour()) as url:
        assert (edge("get", url, "--range", "50000:*").code, edge("get", url, "--range", "50000:*").out) == (
            0,
            b"",
        )


def test_any_address_of_the_blob_will_do(edge: Edge) -> None:
    content = _content(20_000)
    behaviour = Behaviour()
    root = Held(content).root
    with serving(content, behaviour) as url:
        base = url.removesuffix(root.hex())
        assert edge("get", f"{base}{names.cid(root)}?download=1#x").out == content
    assert behaviour.targets == [f"/blake3/{root.hex()}?format=bao"]


def _flip(at: int) -> Behaviour:
    def spoil(body: bytes) -> bytes:
        changed = bytearray(body)
        changed[at] ^= 1
        return bytes(changed)

    return Behaviour(spoil=spoil)


@pytest.mark.parametrize("at", [0, 7, 8, 100, 5000, -1, BIG // 2])
def test_a_server_that_changes_one_bit_is_refused_with_4(edge: Edge, tmp_path: Path, at: int) -> None:
    content = _content(BIG)
    with serving(content, _flip(at)) as url:
        shown = edge("get", url)
        kept = edge("get", url, "-o", tmp_path / "out", "--json")
    assert (shown.code, kept.code) == (4, 4)
    assert kept.error["kind"] == "unverified"
    assert "chunk" in kept.error["where"]
    assert content.startswith(shown.out), "only proven bytes reach stdout"
    assert not (tmp_path / "out").exists()
    part = tmp_path / "out.part"
    assert not part.exists() or content.startswith(part.read_bytes())


def test_a_liar_is_left_at_the_first_bad_group(edge: Edge) -> None:
    content = _content(64 << 20)
    behaviour = _flip(5 << 20)
    with serving(content, behaviour) as url:
        result = edge("get", url)
    assert result.code == 4
    assert (4 << 20) < len(result.out) < (5 << 20) + SEGMENT_BYTES
    assert behaviour.sent_bytes < 32 << 20, "the rest was not read"


def test_a_server_of_other_content_is_refused(edge: Edge, tmp_path: Path) -> None:
    with serving(_content(50_000), Behaviour()) as url:
        other = url[:-64] + Held(b"something else").root.hex()
        assert edge("get", other, "-o", tmp_path / "out").code == 4
    assert list(tmp_path.glob("out*")) == []


@pytest.mark.parametrize("extra", [b"\0", b"x" * 100_000])
def test_bytes_after_the_end_are_refused(edge: Edge, tmp_path: Path, extra: bytes) -> None:
    with serving(_content(50_000), Behaviour(spoil=lambda body: body + extra)) as url:
        assert edge("get", url, "-o", tmp_path / "out").code == 4
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("keep", [0, 1, 8, 20_000])
def test_a_body_that_is_short_but_ends_cleanly_is_a_lie(edge: Edge, tmp_path: Path, keep: int) -> None:
    with serving(_content(BIG), Behaviour(spoil=lambda body: body[:keep])) as url:
        assert edge("get", url, "-o", tmp_path / "out").code == 4
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("cut", [1, 8, GROUP_BYTES, 5 * GROUP_BYTES, SEGMENT_BYTES + 99_999, BIG])
def test_a_download_that_breaks_off_is_resumed(edge: Edge, tmp_path: Path, cut: int) -> None:
    content = _content(BIG)
    behaviour = Behaviour(cut_after_bytes=cut)
    with serving(content, behaviour) as url:
        broken = edge("get", url, "-o", tmp_path / "out", "--json")
        assert (broken.code, broken.error["kind"]) == (6, "unreachable")
        assert not (tmp_path / "out").exists()
        part = tmp_path / "out.part"
        there = part.stat().st_size if part.exists() else 0
        assert not part.exists() or content.startswith(part.read_bytes())
        behaviour.cut_after_bytes = None
        again = edge("get", url, "-o", tmp_path / "out", "--json")
    assert again.code == 0
    assert (tmp_path / "out").read_bytes() == content
    resumed = max(0, there // GROUP_BYTES - 1) * GROUP_BYTES
    assert again.records[0]["resumed_bytes"] == resumed
    assert behaviour.targets[1].endswith(f"entity-bytes={resumed}:*" if resumed else "?format=bao")
    if cut >= 5 * GROUP_BYTES:
        assert resumed > 0, "the test must have resumed something"


def test_a_download_that_was_whole_but_not_named_is_finished(edge: Edge, tmp_path: Path) -> None:
    content = _content(4 * GROUP_BYTES)
    (tmp_path / "out.part").write_bytes(content)
    with serving(content, Behaviour()) as url:
        assert (
            edge("get", url, "-o", tmp_path / "out", "--json").records[0]["resumed_bytes"] == 3 * GROUP_BYTES
        )
    assert (tmp_path / "out").read_bytes() == content


def test_a_download_that_is_interrupted_leaves_130_and_what_it_had_proven(edge: Edge, tmp_path: Path) -> None:
    content = _content(BIG)
    behaviour = Behaviour(wait_at_bytes=2 * SEGMENT_BYTES)
    part = tmp_path / "out.part"
    with serving(content, behaviour) as url:
        child = subprocess.Popen(
            [sys.executable, "-m", "tools.edge", "get", url, "-o", tmp_path / "out"],
            cwd=Path(__file__).parents[2],
            stderr=subprocess.PIPE,
        )
        deadline_s = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size >= SEGMENT_BYTES):
            assert time.monotonic() < deadline_s
            assert child.poll() is None
            threading.Event().wait(0.01)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
        behaviour.go_on.set()
        assert (child.returncode, err) == (130, b"")
        assert content.startswith(part.read_bytes())
        assert not (tmp_path / "out").exists()
        behaviour.wait_at_bytes = None
        assert edge("get", url, "-o", tmp_path / "out", "--json").records[0]["resumed_bytes"] > 0
    assert (tmp_path / "out").read_bytes() == content


@pytest.mark.parametrize("left", [_content(5 * GROUP_BYTES), bytes(60 * GROUP_BYTES)])
def test_a_part_of_something_else_is_started_afresh(edge: Edge, tmp_path: Path, left: bytes) -> None:
    content = _content(BIG)
    (tmp_path / "out.part").write_bytes(left)
    with serving(content, Behaviour()) as url:
        result = edge("get", url, "-o", tmp_path / "out", "--json")
    assert result.records[0]["resumed_bytes"] == 0
    assert (tmp_path / "out").read_bytes() == content


def test_a_part_that_was_changed_in_the_middle_never_gets_its_name(edge: Edge, tmp_path: Path) -> None:
    content = _content(BIG)
    left = bytearray(content[: 6 * GROUP_BYTES])
    left[10] ^= 1
    (tmp_path / "out.part").write_bytes(left)
    with serving(content, Behaviour()) as url:
        result = edge("get", url, "-o", tmp_path / "out", "--json")
        assert (result.code, result.error["where"]) == (4, str(tmp_path / "out.part"))
        assert list(tmp_path.glob("out*")) == []
        assert edge("get", url, "-o", tmp_path / "out").code == 0
    assert (tmp_path / "out").read_bytes() == content


def test_a_torn_tail_behind_the_last_whole_group_is_replaced(edge: Edge, tmp_path: Path) -> None:
    content = _content(BIG)
    (tmp_path / "out.part").write_bytes(content[: 6 * GROUP_BYTES] + b"torn")
    with serving(content, Behaviour()) as url:
        result = edge("get", url, "-o", tmp_path / "out", "--json")
    assert result.records[0]["resumed_bytes"] == 5 * GROUP_BYTES
    assert (tmp_path / "out").read_bytes() == content


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, 5, "unauthenticated"),
        (403, 5, "forbidden"),
        (404, 3, "not_found"),
        (410, 3, "not_found"),
        (429, 6, "busy"),
        (500, 6, "unreachable"),
        (503, 6, "busy"),
        (504, 6, "timeout"),
        (206, 6, "unreachable"),
    ],
)
def test_a_refusal_of_the_server_is_told_in_our_kinds(
    edge: Edge, tmp_path: Path, status: int, code: int, kind: str
) -> None:
    body = b'{"error": {"message": "no\\u001b[2J"}}'
    with serving(b"x", Behaviour(status=status, error_body=body)) as url:
        result = edge("get", url, "-o", tmp_path / "out", "--json")
    assert (result.code, result.error["kind"]) == (code, kind)
    assert f"answered {status}" in result.error["message"]
    assert "\x1b" not in result.error["message"]
    assert list(tmp_path.glob("out*")) == [], "nothing was fetched, so nothing is left"


@pytest.mark.parametrize(
    "body", [b"", b"[", b"[" * 100_000, b'{"error": 5}', b"x" * 100_000, b'{"error":{"message":5}}']
)
def test_a_refusal_in_any_words_is_a_refusal(edge: Edge, body: bytes) -> None:
    with serving(b"x", Behaviour(status=404, error_body=body)) as url:
        result = edge("get", url)
    assert result.code == 3
    assert len(result.err) < 1000


def test_a_redirect_is_followed_and_its_content_proven(edge: Edge) -> None:
    with (
        serving(_content(50_000), Behaviour()) as url,
        serving(b"", Behaviour(status=302, location=f"{url}?format=bao")) as first,
    ):
        named = first[:-64] + url[-64:]
        assert edge("get", named).out == _content(50_000)


def test_nobody_listening_is_unreachable(edge: Edge, tmp_path: Path) -> None:
    with serving(b"x", Behaviour()) as url:
        pass
    result = edge("get", url, "-o", tmp_path / "out", "--json")
    assert (result.code, result.error["kind"]) == (6, "unreachable")


def test_a_token_comes_from_a_file_or_the_environment(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behaviour = Behaviour()
    (tmp_path / "token").write_text("flk_a_b\n")
    with serving(b"x", behaviour) as url:
        edge("get", url)
        edge("get", url, "--token-file", tmp_path / "token")
        monkeypatch.setenv("FLEEK_EDGE_TOKEN", "flk_c_d")
        edge("get", url)
        assert edge("get", url, "--token-file", tmp_path / "nothing").code == 3
    assert behaviour.tokens == [None, "Bearer flk_a_b", "Bearer flk_c_d"]


def test_what_is_not_stored_is_not_found(edge: Edge, tmp_path: Path) -> None:
    edge("put", "-", stdin=b"x")
    result = edge("get", "00" * 32, "-o", tmp_path / "out")
    assert result.code == 3
    assert list(tmp_path.glob("out*")) == []


def _on_a_terminal(*argv: str) -> tuple[int, bytes]:
    """Exit code and what a terminal as stdout got to see; stderr is not it."""
    leader, follower = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "tools.edge", *argv],
        cwd=Path(__file__).parents[2],
        stdout=follower,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(follower)
    seen = b""
    try:
        while data := os.read(leader, 65536):
            seen += data
    except OSError:
        pass  # the other end is closed: all was read
    os.close(leader)
    return done.returncode, seen


def test_binary_data_is_not_thrown_at_a_terminal(edge: Edge) -> None:
    name = edge("put", "-", "--json", stdin=b"a\0b").records[0]["blake3"]
    text = edge("put", "-", "--json", stdin=b"plain text").records[0]["blake3"]
    assert _on_a_terminal("get", name) == (2, b"")
    assert _on_a_terminal("get", name, "--force") == (0, b"a\0b")
    assert _on_a_terminal("get", name, "-o", "-") == (0, b"a\0b")
    assert _on_a_terminal("get", text) == (0, b"plain text")


def test_a_device_is_written_to_and_never_replaced(edge: Edge, tmp_path: Path) -> None:
    name = edge("put", "-", "--json", stdin=b"x" * 100_000).records[0]["blake3"]
    cid = edge("add", "-", "-Q", stdin=b"x" * 100_000).out.decode().strip()
    place = tmp_path / "out"
    place.symlink_to(os.devnull)
    with serving(b"x" * 100_000, Behaviour()) as url:
        for wanted in (name, cid, url):
            assert edge("get", wanted, "-o", place).code == 0
    assert os.readlink(place) == os.devnull
    assert edge("get", name, "-o", "/dev/stdout").out == b"x" * 100_000
    assert sorted(os.listdir(tmp_path)) == ["data", "out"]
