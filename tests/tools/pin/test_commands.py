"""The commands against a service that is not ours: what is asked of it, what is printed, how it ends."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.pin.conftest import Pin
from tests.tools.pin.fake_service import SECOND_NS, START_S, TOKEN, Conduct
from tools.pin import psa

CID = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
OTHER = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"
HOUSE = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("service")


def test_add_sends_the_pin_and_prints_what_came_of_it(pin: Pin, conduct: Conduct) -> None:
    words = ["--name", "site", "--meta", "app=blog", "--origin", "/dns4/x/tcp/1", "--json"]
    record = pin("add", f"/ipfs/{CID}", *words).records[0]
    assert (record["cid"], record["status"], record["name"]) == (CID, "queued", "site")
    assert record["meta"] == {"app": "blog"}
    sent = conduct.pins[record["requestid"]][1]["pin"]
    assert sent == {"cid": CID, "name": "site", "meta": {"app": "blog"}, "origins": ["/dns4/x/tcp/1"]}
    assert set(conduct.tokens) == {f"Bearer {TOKEN}"}


def test_quiet_is_request_ids_only(pin: Pin, conduct: Conduct) -> None:
    result = pin("add", CID, OTHER, "-q")
    assert result.out.decode().split() == list(conduct.pins)
    assert pin("ls", "-q").out.decode().split() == list(conduct.pins)[::-1]


@pytest.mark.parametrize("thing", ["nonsense", "bafybad", "./not-there"])
def test_add_of_what_is_neither_cid_nor_path_asks_nobody(pin: Pin, conduct: Conduct, thing: str) -> None:
    result = pin("add", CID, thing, "--json")
    assert (result.code, result.error["message"]) == (2, "neither a CID nor a path that exists")
    assert not conduct.requests


@pytest.mark.parametrize("command", ["add", "replace"])
@pytest.mark.parametrize(
    ("origin", "why"),
    [
        ("https://ann:pw1@a.example/f", "user info"),
        ("ftp://a.example/f", "neither a multiaddr nor a URL"),
        ("http://a.example:25/f", "port 25"),
    ],
)
def test_an_origin_that_is_never_fetched_is_refused_here(
    pin: Pin, conduct: Conduct, command: str, origin: str, why: str
) -> None:
    words = [CID] if command == "add" else ["some-id", CID]
    result = pin(command, *words, "--origin", origin, "--json")
    assert (result.code, result.error["where"]) == (2, "--origin")
    assert why in result.error["message"]
    assert "pw1" not in result.err
    assert not conduct.requests


def test_a_foreign_service_takes_no_uploads_and_says_what_to_do(
    pin: Pin, conduct: Conduct, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    result = pin("add", tmp_path / "file", "--json")
    assert (result.code, result.error["message"]) == (2, "this service takes CIDs, no uploads")
    assert "Fleek Edge node" in result.error["hint"]
    assert not conduct.requests


def test_ls_goes_through_all_pages_and_shows_every_status(pin: Pin, conduct: Conduct) -> None:
    conduct.page_max = 10
    for index in range(35):
        conduct.add({"cid": CID, "name": f"n{index}"}, ("queued", "pinned", "failed")[index % 3])
    records = pin("ls", "--json").records
    assert [record["name"] for record in records] == [f"n{index}" for index in reversed(range(35))]
    assert set(records[0]) == {
        "requestid", "status", "cid", "name", "created", "origins", "meta", "delegates", "info",
    }  # fmt: skip
    assert conduct.connections == 1, "the connection is kept"
    assert len(pin("ls", "-n", "7").out.splitlines()) == 7
    assert pin("ls", "--count").out == b"35\n"


@pytest.mark.parametrize("digits", [0, 3])
def test_pins_that_share_a_printed_time_are_neither_lost_nor_repeated(
    pin: Pin, conduct: Conduct, digits: int
) -> None:
    conduct.page_max, conduct.digits, conduct.has_info, conduct.count_max = 10, digits, False, 1
    for index in range(33):
        conduct.add({"cid": CID}, created_ns=START_S * SECOND_NS + index * SECOND_NS // 9)
    assert pin("ls", "-q").out.decode().split() == list(conduct.pins)[::-1]


def test_a_crowd_that_nothing_tells_apart_is_an_error_and_not_a_short_list(
    pin: Pin, conduct: Conduct
) -> None:
    conduct.page_max, conduct.digits = 10, 3
    for _ in range(12):
        conduct.add({"cid": CID}, created_ns=START_S * SECOND_NS)
    result = pin("ls", "--json")
    assert result.code == 6
    assert "12 pins were created at" in result.error["message"]
    assert "--name" in result.error["hint"]


def test_filters_are_those_of_the_api(pin: Pin, conduct: Conduct) -> None:
    words = [
        "--cid",
        CID,
        "--cid",
        OTHER,
        "--name",
        "a b&c",
        "--match",
        "ipartial",
        "--status",
        "failed,queued",
    ]
    words += ["--meta", "k=v=w", "--before", "2025-01-31", "--after", "2024-01-31T10:00:00.5+02:00"]
    assert pin("ls", *words).code == 0
    ((_, target),) = conduct.requests
    assert f"cid={CID},{OTHER}" in target
    assert "name=a+b%26c" in target
    assert "match=ipartial" in target
    assert "status=failed,queued" in target
    assert "meta=%7B%22k%22:+%22v%3Dw%22%7D" in target
    assert "before=2025-01-31T00:00:00Z" in target
    assert "after=2024-01-31T10:00:00.5%2B02:00" in target


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["--status", "done"], "--status"),
        (["--before", "soon"], "--before"),
        (["--after", "2025-13-01"], "--after"),
        (["--meta", "novalue"], "--meta"),
        (["--cid", "nonsense"], "nonsense"),
        (["--name", "x" * 256], "--name"),
        (["--cid", CID] * 11, "--cid"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_here(
    pin: Pin, conduct: Conduct, words: list[str], where: str
) -> None:
    result = pin("ls", *words, "--json")
    assert (result.code, result.error["where"]) == (2, where)
    assert not conduct.requests


def test_status_is_found_by_request_id_and_by_cid(pin: Pin, conduct: Conduct) -> None:
    first, second = conduct.add({"cid": CID}), conduct.add({"cid": CID}, "failed")
    conduct.add({"cid": OTHER})
    assert pin("status", first, "--json").records[0]["requestid"] == first
    assert {each["requestid"] for each in pin("status", CID, "--json").records} == {first, second}
    plain = pin("status", second).out.decode()
    assert "details      it is failed" in plain
    assert pin("status", "no-such-pin", "--json").error["kind"] == "not_found"
    assert pin("status", "bafkqaaa", "--json").error["message"] == "no pin of this content"


def test_numbers_for_programs_are_not_among_what_people_are_shown(pin: Pin, conduct: Conduct) -> None:
    name = conduct.add({"cid": CID}, "pinning")
    conduct.pins[name][1]["info"] = {"progress": "3 of at least 9 blocks", "progress_blocks": "3"}
    plain = pin("status", name).out.decode()
    assert "progress     3 of at least 9 blocks\n" in plain
    assert plain.count("progress") == 1
    assert pin("status", name, "--json").records[0]["info"]["progress_blocks"] == "3"


def test_the_cid_is_not_said_again_where_it_stands_beside(pin: Pin, conduct: Conduct) -> None:
    name = conduct.add({"cid": CID}, "failed")
    conduct.pins[name][1]["info"] = {"status_details": f"{CID} could not be fetched: nobody has {CID}"}
    assert "(it could not be fetched: nobody has it)" in pin("ls").out.decode()
    assert "pinning failed: it could not be fetched" in pin("wait", name).err
    assert CID in pin("ls", "--json").records[0]["info"]["status_details"]


def test_wait_ends_with_the_pin(pin: Pin, conduct: Conduct) -> None:
    name = conduct.add({"cid": CID}, "queued")
    conduct.becomes[name] = [("queued", ""), ("pinning", "half"), ("pinned", "all of it")]
    result = pin("wait", name, "--timeout", "30s", "--json")
    assert result.code == 0
    assert [record["status"] for record in result.records] == ["pinned"]


def test_wait_for_a_pin_that_fails_leaves_6_and_the_reason(pin: Pin, conduct: Conduct) -> None:
    name = conduct.add({"cid": CID}, "queued")
    conduct.becomes[name] = [("pinning", ""), ("failed", "nobody has it")]
    result = pin("wait", name)
    assert result.code == 6
    assert "error: pinning failed: nobody has it" in result.err
    assert name in result.err


def test_wait_gives_up_when_the_time_is_over(pin: Pin, conduct: Conduct) -> None:
    name = conduct.add({"cid": CID}, "queued")
    result = pin("wait", name, "--timeout", "0", "--json")
    assert (result.code, result.error["kind"]) == (6, "timeout")


def test_add_wait_is_add_and_wait(pin: Pin, conduct: Conduct) -> None:
    conduct.becomes["pin-00000-1"] = [("queued", ""), ("pinned", "done")]
    result = pin("add", CID, "--wait", "--json")
    assert [record["status"] for record in result.records] == ["queued", "pinned"]


def test_watch_in_a_pipe_is_a_line_a_change(pin: Pin, conduct: Conduct) -> None:
    name = conduct.add({"cid": CID}, "queued")
    conduct.add({"cid": OTHER}, "pinned")
    conduct.becomes[name] = [("pinning", "1 of 3 blocks"), ("pinning", "1 of 3 blocks"), ("pinned", "all")]
    lines = pin("watch").out.decode().splitlines()
    assert [line.split()[1] for line in lines] == ["queued", "pinning", "pinned"]
    assert "1 of 3 blocks" in lines[1]
    assert pin("watch", "--json").error["message"] == "nothing is queued or pinning"


def test_rm_of_one_needs_no_force_and_of_more_does(pin: Pin, conduct: Conduct) -> None:
    names = [conduct.add({"cid": CID, "name": "draft"}) for _ in range(3)]
    refused = pin("rm", "--name", "draft", "--json")
    assert (refused.code, refused.error["kind"]) == (5, "conflict")
    assert pin("rm", CID).code == 5
    assert pin("rm", *names).code == 5
    assert list(conduct.pins) == names, "nothing was removed"
    assert pin("rm", names[0], "-q").out.decode() == f"{names[0]}\n"
    assert pin("rm", "--name", "draft", "--force").out.count(b"removed") == 2
    assert not conduct.pins
    assert pin("rm", "--name", "draft").code == 3


@pytest.mark.parametrize("words", [[], ["--force"], ["some-id", "--name", "x"]])
def test_rm_that_does_not_say_what_removes_nothing(pin: Pin, conduct: Conduct, words: list[str]) -> None:
    conduct.add({"cid": CID})
    assert pin("rm", *words).code == 2
    assert not conduct.requests


def test_replace_keeps_name_and_labels_unless_told(pin: Pin, conduct: Conduct) -> None:
    name = conduct.add({"cid": CID, "name": "site", "meta": {"a": "b"}})
    record = pin("replace", name, OTHER, "--json").records[0]
    assert (record["cid"], record["name"], record["meta"]) == (OTHER, "site", {"a": "b"})
    assert name not in conduct.pins
    assert pin("replace", name, OTHER).code == 3
    record = pin("replace", record["requestid"], CID, "--name", "", "--meta", "c=d", "--json").records[0]
    assert (record["name"], record["meta"]) == ("", {"c": "d"})


def test_request_ids_of_any_kind_stay_in_the_path(pin: Pin, conduct: Conduct) -> None:
    conduct.pins["a/../b?c#d e"] = conduct.pins.pop(conduct.add({"cid": CID}))
    assert pin("status", "a/../b?c#d e").code == 0
    assert conduct.requests[-1][1] == "/psa/pins/a%2F..%2Fb%3Fc%23d%20e"
    assert pin("status", "..").code == 2


def test_reads_wait_for_a_busy_service_and_writes_do_not(
    pin: Pin, conduct: Conduct, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(psa.Psa.__init__, "__kwdefaults__", {"pause": waited.append})
    conduct.busy = [(429, "7"), (503, None), (503, "900")]
    assert pin("ls").code == 0
    assert (waited[0], waited[2]) == (7.0, 30.0)
    conduct.busy = [(429, "1")] * 4
    assert pin("ls", "--json").error["kind"] == "busy"
    conduct.busy, conduct.requests = [(503, None)], []
    result = pin("add", CID, "--json")
    assert (result.code, result.error["kind"]) == (6, "busy")
    assert "come back" in result.error["message"]
    assert len(conduct.requests) == 1


def test_a_read_survives_one_connection_that_dies(pin: Pin, conduct: Conduct) -> None:
    conduct.add({"cid": CID})
    conduct.drops = 1
    assert len(pin("ls").out.splitlines()) == 1
    conduct.drops = 2
    assert pin("ls").code == 6
    conduct.drops, conduct.requests = 1, []
    assert pin("add", CID).code == 6
    assert len(conduct.requests) == 1, "what may have been done is not done twice"


def test_a_redirect_is_not_followed_with_the_token(pin: Pin, conduct: Conduct) -> None:
    conduct.redirect = "http://127.0.0.1:9/elsewhere"
    result = pin("ls", "--json")
    assert result.code == 6
    assert "http://127.0.0.1:9/elsewhere" in result.error["message"]


@pytest.mark.parametrize(
    "value",
    [None, [], 7, {"results": []}, {"count": "1", "results": []}, {"count": 1, "results": [7]},
     {"count": 1, "results": [{"requestid": "x"}]},
     {"count": 1, "results": [{"requestid": 1, "status": "pinned", "created": "", "pin": {"cid": "x"}}]},
     {"count": 1, "results": [{"requestid": "x", "status": "done", "created": "", "pin": {"cid": "x"}}]}],
)  # fmt: skip
def test_an_answer_that_is_none_is_an_error_with_a_reason(pin: Pin, conduct: Conduct, value: object) -> None:
    conduct.spoil = lambda _: value
    result = pin("ls", "--json")
    assert (result.code, result.out) == (6, b"")
    assert "service" in result.error["message"]


def test_what_a_service_says_cannot_drive_the_terminal(pin: Pin, conduct: Conduct) -> None:
    conduct.add({"cid": CID, "name": "a\x1b[2Jb\nc"})
    assert b"a\\x1b[2Jb\\nc" in pin("ls").out
    assert b"\x1b" not in pin("status", CID).out


def test_nobody_there_says_where_it_looked(pin: Pin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEEK_PIN_ENDPOINT", "http://127.0.0.1:9/psa")
    result = pin("ls", "--json")
    assert (result.code, result.error["kind"]) == (6, "unreachable")
    assert result.error["where"].startswith("http://127.0.0.1:9/psa/pins")


def test_a_token_that_is_refused_is_not_shown_and_the_hint_says_where_it_came_from(
    pin: Pin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEEK_PIN_TOKEN", "another-secret")
    result = pin("ls", "--json")
    assert (result.code, result.error["kind"]) == (5, "unauthenticated")
    assert "FLEEK_PIN_TOKEN" in result.error["hint"], "it came from there"
    assert "another-secret" not in result.err
    monkeypatch.delenv("FLEEK_PIN_TOKEN")
    assert "there is no token" in pin("ls", "--json").error["hint"]


def test_an_end_is_not_promised_where_a_service_knows_none(pin: Pin, conduct: Conduct) -> None:
    result = pin("add", CID, "--expires", "1h", "--json")
    assert (result.code, result.error["kind"]) == (2, "not_implemented")
    assert not conduct.pins


@pytest.mark.parametrize("words", [["origins"], ["size"]])
def test_what_only_our_nodes_know_is_not_asked_of_others(
    pin: Pin, conduct: Conduct, words: list[str]
) -> None:
    result = pin(*words, CID, "--json")
    assert (result.code, result.error["kind"]) == (2, "not_implemented")
    assert not conduct.requests


def test_watch_on_a_terminal_changes_in_place_and_keeps_what_ended(conduct: Conduct) -> None:
    name = conduct.add({"cid": CID, "name": "site"}, "queued")
    conduct.becomes[name] = [("pinning", "1 of 3 blocks"), ("pinned", "all")]
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "tools.pin", "watch"],
        cwd=HOUSE,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "200"},
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    seen = bytearray()
    try:
        while got := os.read(leader, 65536):
            seen += got
    except OSError:
        pass  # the other end is closed: all was read
    assert child.wait(60) == 0
    os.close(leader)
    assert b"pinning" in seen
    assert f"{name}  pinned   {CID}  site".encode() in seen


def test_json_errors_are_one_object(pin: Pin) -> None:
    result = pin("status", "no-such", "--json")
    assert result.out == b""
    assert json.loads(result.err)["error"]["kind"] == "not_found"


def test_what_a_service_shows_of_an_origins_secret_is_cut_off(pin: Pin, conduct: Conduct) -> None:
    conduct.add({"cid": CID, "origins": ["https://me:hunter2@h.example/x", "/dns4/x/tcp/1", 7]})
    for words in (["ls", "--json"], ["status", CID], ["export"]):
        result = pin(*words)
        assert result.code == 0
        assert b"https://h.example/x" in result.out
        assert b"hunter2" not in result.out


def test_watch_in_a_pipe_says_no_line_twice(pin: Pin, conduct: Conduct) -> None:
    name = conduct.add({"cid": CID}, status="queued")
    long = "no provider has it " * 40
    conduct.becomes[name] = [("queued", f"{long}try {number}") for number in range(4)] + [("pinned", "")]
    lines = pin("watch").out.decode().splitlines()
    assert [line.split()[1] for line in lines] == ["queued", "queued", "pinned"], (
        "as found, the reason, the end"
    )


def test_nobody_there_is_an_error_that_says_where_to_look(pin: Pin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEEK_PIN_ENDPOINT", "http://127.0.0.1:1/psa")
    for words in (["ls"], ["add", CID], ["status", "x"], ["rm", "x"]):
        result = pin(*words, "--json")
        assert (result.code, result.error["kind"]) == (6, "unreachable")
        assert "fleek-pin service ls" in result.error["hint"]


def test_an_export_that_is_refused_writes_nothing(pin: Pin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEEK_PIN_TOKEN", "another")
    refused = pin("export")
    assert (refused.code, refused.out) == (5, b"")
