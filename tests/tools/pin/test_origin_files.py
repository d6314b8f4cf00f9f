"""`fleek-pin origins export | import`: what one store knows, another learns; no secret moves."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from blockstore.origin_lines import LINE_BYTES_MAX
from content import multihash
from content.cid import Cid
from runtime.errors import EdgeError
from tests.tools.pin.conftest import Pin
from tools.pin.twice import Written

HOUSE = Path(__file__).parents[3]
CID = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
NAME = Cid.parse(CID).multihash


def row(address: str, **members: object) -> bytes:
    told = {"multihash": "f" + NAME.hex(), "kind": "http", "address": address, **members}
    return json.dumps(told).encode() + b"\n"


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return tmp_path / "one"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return tmp_path / "other"


def test_what_one_store_knows_another_learns_and_again_is_nothing_new(
    pin: Pin, one: Path, other: Path, tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text("hello")
    cid = pin("add", tmp_path / "page.html", "--data", one, "--json").records[0]["cid"]
    pin("add", CID, "--origin", "https://gateway.example", "--data", one)
    file = tmp_path / "origins.ndjson"
    told = pin("origins", "export", "--data", one, "-o", file, "--json").records[0]
    assert told == {"path": str(file), "origins": 2}, "the file, and what the pin names"
    assert pin("origins", "export", "--data", one).out == file.read_bytes()
    taken = pin("origins", "import", file, "--data", other, "--json").records[0]
    assert taken == {"added": 2, "known": 0, "refused": 0}
    for each in (cid, CID):
        assert pin("origins", each, "--data", other, "--json").records == (
            pin("origins", "show", each, "--data", one, "--json").records
        )
    again = pin("origins", "import", "-", "--data", other, "--json", stdin=file.read_bytes()).records[0]
    assert again == {"added": 0, "known": 2, "refused": 0}


def test_the_lines_that_are_shown_of_a_cid_are_imported_as_well(pin: Pin, one: Path, other: Path) -> None:
    pin("origins", "import", "-", "--data", one, stdin=row("https://a/", added_s=7, size_bytes=9))
    shown = pin("origins", CID, "--data", one, "--json").out
    assert pin("origins", "import", "-", "--data", other, stdin=shown).out == b"1 new, 0 known already\n"
    assert pin("origins", CID, "--data", other, "--json").out == shown


def test_a_merge_widens_times_and_keeps_at_most_64(pin: Pin, one: Path) -> None:
    late = row("https://a/", added_s=9, first_success_s=20, last_success_s=20)
    early = row("https://a/", added_s=3, first_success_s=10, last_success_s=10)
    pin("origins", "import", "-", "--data", one, stdin=late + early)
    (kept,) = pin("origins", CID, "--data", one, "--json").records
    assert (kept["added_s"], kept["first_success_s"], kept["last_success_s"]) == (3, 10, 20)
    many = b"".join(row(f"https://h{number}/x", added_s=number) for number in range(100, 0, -1))
    taken = pin("origins", "import", "-", "--data", one, stdin=many)
    assert taken.out == b"63 new, 0 known already, 37 worse than the 64 kept\n"
    addresses = {each["address"] for each in pin("origins", CID, "--data", one, "--json").records}
    assert addresses == {"https://a/", *(f"https://h{number}/x" for number in range(38, 101))}


def test_a_secret_in_a_line_is_neither_kept_nor_exported(pin: Pin, one: Path) -> None:
    secret = "https://me:hunter2@host/x?X-Amz-Signature=0123456789abcdef"
    pin("origins", "import", "-", "--data", one, stdin=row(secret))
    (kept,) = pin("origins", "export", "--data", one, "--json").records
    assert (kept["address"], kept["is_cut"]) == ("https://host/x", True)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"nonsense\n", "not a line of JSON"),
        (b'["a"]\n', "a line holds one object"),
        (row("no address"), "not an address of an origin"),
        (row("https://h/", kind="carrier pigeon"), "there is no such kind of origin"),
        (row("https://h/", kind="local", account="ann"), "a file of this machine is no origin"),
        (row("https://h/", account="\ud800"), "no Unicode"),
        (row("https://h/", account="a" * 5000), "at most"),
        (b'{"kind":"http","address":"https://h/"}\n', "multihash"),
        (b"{" * (LINE_BYTES_MAX + 1), f"a line of more than {LINE_BYTES_MAX} bytes"),
    ],
)
def test_a_bad_line_is_named_and_nothing_of_its_file_is_taken(
    pin: Pin, one: Path, tmp_path: Path, bad: bytes, why: str
) -> None:
    file = tmp_path / "bad.ndjson"
    file.write_bytes(row("https://a/") + b"\n" + bad + row("https://b/"))
    for path, stdin in ((str(file), b""), ("-", file.read_bytes())):
        result = pin("origins", "import", path, "--data", one, "--json", stdin=stdin)
        assert (result.code, result.error["kind"]) == (2, "bad_request")
        assert why in result.error["message"]
        assert result.error["where"].startswith(f"{path}, line 3")
    assert not one.exists(), "no store is made either"


@pytest.mark.parametrize("words", [["origins", "import"], ["import"]], ids=" ".join)
@pytest.mark.parametrize("endless", ["/dev/zero", "-"])
def test_an_endless_file_is_refused_at_once(one: Path, endless: str, words: list[str]) -> None:
    command = [sys.executable, "-m", "tools.pin", *words, endless, "--data", str(one), "--json"]
    with open("/dev/zero", "rb") as zeros:
        done = subprocess.run(command, cwd=HOUSE, stdin=zeros, capture_output=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert b"a line of more than" in done.stderr


@pytest.mark.parametrize("words", [["origins", "export"], ["export"]], ids=" ".join)
def test_a_reader_that_goes_away_is_no_error_to_tell(pin: Pin, one: Path, words: list[str]) -> None:
    pin("origins", "import", "-", "--data", one, stdin=row("https://a/"))
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "tools.pin", *words, "--data", str(one)]
    done = subprocess.run(command, cwd=HOUSE, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (130, b"")


def test_a_file_that_the_disk_has_no_room_for_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = Written(tmp_path / "out")
    file.__enter__().write(b"x")  # it waits in a buffer
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(EdgeError) as refused:
            file.__exit__(None, None, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refused.value.where == str(tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_an_export_that_fails_leaves_the_file_as_it_was(pin: Pin, one: Path, tmp_path: Path) -> None:
    file = tmp_path / "origins.ndjson"
    file.write_text("before")
    assert pin("origins", "export", "--data", one, "-o", file).code == 3, "there is no store"
    assert file.read_text() == "before"
    pin("origins", "import", "-", "--data", one, stdin=row("https://a/"))
    missing = pin("origins", "export", "--data", one, "-o", tmp_path / "no" / "such", "--json")
    assert (missing.code, missing.error["where"]) == (3, str(tmp_path / "no" / "such"))
    assert pin("origins", "export", "--data", one, "-o", "/dev/null").code == 0
    assert pin("origins", "export", "--data", one, "-o", "-").out.startswith(b"{"), "standard output"
    assert pin("origins", "export", "--data", one, "-o", file).out.endswith(b"origins.ndjson\n")
    assert file.read_bytes().count(b"\n") == 1
    assert [each for each in os.listdir(tmp_path) if each.endswith(".part")] == []


def test_a_large_file_passes_in_bounded_memory(one: Path, other: Path, tmp_path: Path) -> None:
    file = tmp_path / "many.ndjson"
    with file.open("wb") as out:
        for number in range(60_000):
            name = multihash.of(multihash.SHA2_256, number.to_bytes(4, "big"))
            out.write(row(f"https://h/{number}/" + "x" * 400, multihash="f" + name.hex()))
    assert file.stat().st_size > 30 << 20
    code = (
        "import resource, sys; from tools.pin import main\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "code = main.run(sys.argv[1:])\n"
        "anon = int(next(l for l in open('/proc/self/status') if l.startswith('RssAnon')).split()[1])\n"
        "sys.exit(code or (f'{anon} KiB' if anon > 120_000 else 0))"
    )
    for words in (
        ["import", str(file), "--data", str(one)],
        ["export", "-o", str(tmp_path / "out"), "--data", str(one)],
    ):
        command = [sys.executable, "-c", code, "origins", *words]
        done = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_bytes().count(b"\n") == 60_000


def test_a_service_is_told_apart_and_what_to_do_instead(pin: Pin, service: str, tmp_path: Path) -> None:
    for words, hint in ((["export"], "Fleek Edge node"), (["import", tmp_path / "any"], "--data DIR")):
        result = pin("origins", *words, "--json")
        assert (result.code, result.error["kind"]) == (2, "not_implemented")
        assert hint in result.error["hint"]


def test_a_cid_is_shown_with_and_without_the_word_and_options_may_come_first(pin: Pin, one: Path) -> None:
    pin("origins", "import", "-", "--data", one, stdin=row("https://a/"))
    shown = pin("origins", CID, "--data", one, "--json").out
    assert shown
    assert pin("origins", "--data", one, "--json", CID).out == shown
    assert pin("--data", one, "--json", "origins", f"/ipfs/{CID}").out.count(b"https://a/") == 1
    mistyped = pin("origins", "exprot", "--json")
    assert mistyped.code == 2
    assert "not a CID" in mistyped.error["message"]
    helped = pin("origins", "--help").out
    assert all(word in helped for word in (b"show", b"export", b"import"))
