"""`fleek-pin` against a node of our own: uploads whole and cut, proofs, origins, sizes, manifests."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.appliance import Node, edge_json, token
from tests.tools.pin.conftest import Pin

HOUSE = Path(__file__).parents[3]
ELSEWHERE = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("node") / "data", "--offline") as running:
        yield running


@pytest.fixture
def account(node: Node, home: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """An account of the test's own, whose token `pin` uses."""
    name = f"a{random.randrange(1 << 40)}"
    monkeypatch.setenv("FLEEK_PIN_TOKEN", token(node.data, name, "pin"))
    monkeypatch.setenv("FLEEK_PIN_ENDPOINT", f"{node.ready['public'].rstrip('/')}/pinning/v1")
    return name


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "sub" / "empty").mkdir(parents=True)
    (folder / "index.html").write_text("hello")
    (folder / "again.html").write_text("hello")
    (folder / "nothing").write_text("")
    (folder / "link").symlink_to("index.html")
    (folder / ".hidden").write_text("h")
    (folder / "sub" / "big.bin").write_bytes(random.Random(5).randbytes(7_000_000))
    return folder


@pytest.mark.parametrize("profile", ["unixfs-v1-2025", "unixfs-v0-2015"])
def test_what_is_uploaded_has_the_cid_that_fleek_edge_gives_it(
    node: Node, account: str, pin: Pin, tree: Path, tmp_path: Path, profile: str
) -> None:
    record = pin("add", tree, "--profile", profile, "--meta", "a=b", "--json").records[0]
    assert (record["status"], record["name"], record["meta"]) == ("pinned", "site", {"a": "b"})
    assert record["cid"] == edge_json(tmp_path / "other", "add", str(tree), "--profile", profile, "-Q")["cid"]
    small = pin("add", tree / "index.html", "--no-hidden", "--name", "page", "--json").records[0]
    assert (small["status"], small["name"]) == ("pinned", "page")
    assert edge_json(node.data, "verify", record["cid"])["cid"] == record["cid"]
    plain = node.get(f"/ipfs/{record['cid']}/sub/big.bin").body
    assert plain == (tree / "sub" / "big.bin").read_bytes()


def test_a_pipe_a_car_and_several_at_once(account: str, pin: Pin, tree: Path, tmp_path: Path) -> None:
    data = random.Random(6).randbytes(5_000_000)
    piped = pin("add", "-", "--name", "piped", "--json", stdin=data).records[0]
    (tmp_path / "same").write_bytes(data)
    records = pin("add", tmp_path / "same", tree, "--json").records
    assert records[0]["cid"] == piped["cid"]
    local = tmp_path / "local"
    root = edge_json(local, "add", str(tree), "-Q")["cid"]
    car = tmp_path / "tree.car"
    with car.open("wb") as file:
        command = [sys.executable, "-m", "tools.edge", "dag", "export", str(root), "--data", str(local)]
        subprocess.run(command, cwd=HOUSE, stdout=file, check=True)
    record = pin("add", car, "--json").records[0]
    assert (record["cid"], record["name"]) == (root, "tree.car")
    assert root == records[1]["cid"]
    car.write_bytes(b"no car at all" * 100)
    refused = pin("add", car, "--json")
    assert refused.code == 2
    assert "the service answered 400" in refused.error["message"]


class Cutter:
    """A wire to the node that ends after so many bytes from the client, so many times."""

    def __init__(self, node: Node, cuts: list[int]) -> None:
        where = urlsplit(node.ready["public"])
        self._target = (str(where.hostname), where.port or 80)
        self._cuts = cuts
        self.sent_bytes = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}/pinning/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                cut = self._cuts.pop(0) if self._cuts else None
                threading.Thread(target=self._carry, args=(client, cut), daemon=True).start()

    def _carry(self, client: socket.socket, cut: int | None) -> None:
        with client, socket.create_connection(self._target) as server:
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            left = cut
            with contextlib.suppress(OSError):
                while data := client.recv(65536 if left is None else min(65536, left)):
                    server.sendall(data)
                    self.sent_bytes += len(data)
                    left = None if left is None else left - len(data)
                    if left == 0:
                        client.shutdown(socket.SHUT_RDWR)
                        break
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big.bin"
    path.write_bytes(random.Random(7).randbytes(40 << 20))
    return path


def test_an_upload_that_is_cut_goes_on_by_itself_and_sends_little_again(
    node: Node, account: str, pin: Pin, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cutter = Cutter(node, [random.randrange(1 << 20, 20 << 20) for _ in range(3)])
    monkeypatch.setenv("FLEEK_PIN_ENDPOINT", cutter.address)
    record = pin("add", big, "--json").records[0]
    cutter.close()
    assert (record["status"], int(record["info"]["raw_size"])) == ("pinned", 40 << 20)
    assert cutter.sent_bytes < (40 << 20) + (16 << 20)


def test_an_upload_that_was_given_up_goes_on_when_the_command_is_given_again(
    node: Node, account: str, pin: Pin, big: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cutter = Cutter(node, [25 << 20])
    monkeypatch.setenv("FLEEK_PIN_ENDPOINT", cutter.address)
    command = [sys.executable, "-m", "tools.pin", "add", str(big), "--json"]
    child = subprocess.Popen(command, cwd=HOUSE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while cutter.sent_bytes < 8 << 20 and child.poll() is None:
        os.sched_yield()
    child.kill()
    child.communicate()
    assert list((home / "state" / "fleek" / "uploads").iterdir()), "where it is kept"
    before = cutter.sent_bytes
    record = pin("add", big, "--json").records[0]
    cutter.close()
    assert record["status"] == "pinned"
    assert cutter.sent_bytes - before < (40 << 20) - before + (16 << 20)
    assert not list((home / "state" / "fleek" / "uploads").iterdir()), "and let go of"


def test_a_quota_refuses_up_front(
    node: Node, home: Path, pin: Pin, big: Path, monkeypatch: pytest.MonkeyPatch, account: str
) -> None:
    monkeypatch.setenv("FLEEK_PIN_TOKEN", token(node.data, f"{account}q", "pin", "--quota-bytes", "1MiB"))
    result = pin("add", big, "--json")
    assert (result.code, result.error["where"].endswith("/car/uploads?name=big.bin")) == (5, True)


def test_a_pin_is_proven_and_what_was_lost_is_not(
    node: Node, account: str, pin: Pin, tree: Path, tmp_path: Path
) -> None:
    record = pin("add", tree, "--json").records[0]
    proof = pin("verify", record["cid"], "--samples", "64", "-o", tmp_path / "proof.car", "--json").records[0]
    assert proof["proven"] is True
    assert proof["signer"] in record["delegates"][0]
    assert (tmp_path / "proof.car").stat().st_size > proof["size_bytes"]
    full = pin("verify", record["cid"], "-o", "/dev/full", "--json")
    assert (full.code, full.error["where"]) == (7, "/dev/full")
    edge_json(node.data, "evict", record["cid"])
    result = pin("verify", record["requestid"], "--samples", "64", "--json")
    assert (result.code, result.error["kind"]) == (4, "unverified")
    assert "lacks block" in result.error["message"]
    pin("add", tree)
    assert pin("verify", record["requestid"]).code == 0
    waiting = pin("add", ELSEWHERE, "-q").out.decode().strip()
    assert pin("verify", waiting).code == 3


def test_size_and_origins_come_from_the_node(account: str, pin: Pin, tree: Path) -> None:
    cid = pin("add", tree, "--json").records[0]["cid"]
    assert pin("size", cid, "--json").records[0]["how"] == "measured"
    assert pin("size", ELSEWHERE).code == 3
    pin("add", ELSEWHERE, "--origin", "https://gateway.example")
    assert pin("origins", ELSEWHERE, "--json").records[0]["address"] == "https://gateway.example"
    assert pin("origins", "bafkqaaa").code == 3


def test_an_origin_of_what_is_uploaded_is_refused_and_not_forgotten(
    account: str, pin: Pin, tree: Path
) -> None:
    result = pin("add", ELSEWHERE, tree, "--origin", "https://a.example/x", "--json")
    assert (result.code, result.error["where"]) == (2, "--origin")
    assert pin("ls", "-q").out == b""


def test_an_end_is_kept_by_the_node(account: str, pin: Pin) -> None:
    record = pin("add", ELSEWHERE, "--expires", "2h", "--json").records[0]
    assert record["info"]["pinned_until"] > record["created"]


def test_a_manifest_brings_pins_to_another_place(
    account: str, pin: Pin, tree: Path, tmp_path: Path, home: Path
) -> None:
    pin("add", tree, "--meta", "a=b", "--expires", "2h")
    pin("add", ELSEWHERE, "--name", "far", "--origin", "https://gateway.example")
    file = tmp_path / "pins.manifest"
    assert pin("export", "-o", file, "--json").records[0]["pins"] == 2
    assert (home / "config" / "fleek" / "pin.key").stat().st_mode & 0o777 == 0o600
    text = pin("export").out
    assert len(text.splitlines()) == 4
    other = tmp_path / "other"
    edge_json(other, "add", str(tree), "-Q")
    records = pin("import", file, "--data", other, "--json").records
    assert [(each["name"], each["meta"], each["status"]) for each in records] == [
        ("far", {}, "queued"), ("site", {"a": "b"}, "pinned"),
    ]  # fmt: skip
    assert records[1]["info"]["pinned_until"]
    assert pin("import", "-", "--data", other, "--missing", stdin=text).out == b""
    again = pin("export", "--data", other).out
    assert b'"signer"' in again
    signer = pin("import", file, "--data", other, "--signer", "12D3KooWnobody", "--json")
    assert (signer.code, signer.error["kind"]) == (4, "unverified")
    file.write_bytes(text.replace(b"far", b"fur"))
    result = pin("import", file, "--data", other, "--json")
    assert (result.code, result.error["kind"]) == (4, "unverified")
    file.write_bytes(text[:-20])
    assert pin("import", file, "--data", other).code == 4
    assert pin("ls", "--data", other, "--count").out == b"2\n"


def test_the_same_pins_are_seen_through_the_service_and_filters_agree(account: str, pin: Pin) -> None:
    names = [
        pin("add", ELSEWHERE, "--name", f"n{index % 3}", "-q").out.decode().strip() for index in range(9)
    ]
    assert pin("ls", "-q").out.decode().split() == names[::-1]
    assert pin("ls", "--name", "n1", "-q").out.decode().split() == names[1::3][::-1]
    fourth = pin("status", names[4], "--json").records[0]
    assert pin("ls", "--before", fourth["created"], "-q").out.decode().split() == names[:4][::-1]
    assert pin("ls", "--after", fourth["created"], "--count").out == b"4\n"
    assert pin("rm", "--name", "n1", "--force").code == 0
    assert pin("ls", "--count").out == b"6\n"


def test_secrets_of_origins_are_shown_nowhere(
    node: Node, account: str, pin: Pin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "b7f3c09a55d14e6f8a217c3d9e0f1a2b"
    origins = [f"https://files.example/x?token={secret}", f"https://s3.example/y?X-Amz-Signature={secret}"]
    words = [word for each in origins for word in ("--origin", each)]
    for place in ((), ("--data", tmp_path / "other")):
        if place:
            edge_json(tmp_path / "other", "put", str(Path(__file__)))
        record = pin("add", ELSEWHERE, *words, *place, "--json").records[0]
        assert record["origins"] == ["https://files.example/x", "https://s3.example/y"]
        for command in (["ls"], ["status", record["requestid"]], ["export"], ["origins", ELSEWHERE]):
            for form in ((), ("--json",)):
                result = pin(*command, *place, *form)
                assert result.code == 0
                assert secret.encode() not in result.out
                assert secret not in result.err
    authorization = {"Authorization": f"Bearer {os.environ['FLEEK_PIN_TOKEN']}"}
    for path in ("pins?status=queued,failed", "x/list?status=queued,failed"):
        body = node.get(f"/pinning/v1/{path}", authorization).body
        assert b"https://s3.example/y" in body
        assert secret.encode() not in body


def test_an_account_exports_its_own_origins_and_no_others(
    node: Node, account: str, pin: Pin, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cid = pin("add", tree, "--json").records[0]["cid"]
    pin("add", ELSEWHERE, "--origin", "https://mine.example/x")
    others = token(node.data, f"{account}o", "pin")
    with monkeypatch.context() as other:
        other.setenv("FLEEK_PIN_TOKEN", others)
        pin("add", ELSEWHERE, "--origin", "https://others.example/x")
    file = tmp_path / "mine.ndjson"
    assert pin("origins", "export", "-o", file, "--json").records[0]["origins"] == 2
    assert pin("origins", "export").out == file.read_bytes()
    assert b"others.example" not in file.read_bytes()
    rows = pin("origins", "export", "--json").records
    assert {row["account"] for row in rows} == {account}
    taken = pin("origins", "import", file, "--data", tmp_path / "own", "--json").records[0]
    assert taken == {"added": 2, "known": 0, "refused": 0}
    assert pin("origins", cid, "--data", tmp_path / "own", "--json").records[0]["kind"] == "upload"
    monkeypatch.setenv("FLEEK_PIN_TOKEN", "flk_0_0")
    assert pin("origins", "export", "--json").code == 5
