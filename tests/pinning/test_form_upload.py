"""`POST /form` from outside: the files of a form are pinned as one directory, or nothing is."""

import hashlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from content.unixfs import directory
from pinning import form_body
from runtime.errors import Blocked
from tests.pinning.arrivals import Service, service
from tests.pinning.test_tar_upload import FILES, added, tar_of

TYPE = "multipart/form-data; boundary=XX"
LARGE = hashlib.shake_256(b"large").digest(3_000_000)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path / "data") as running:
        yield running


def form_of(*members: tuple[str, bytes], media_type: str = "") -> bytes:
    out = []
    for name, content in members:
        kind = f"Content-Type: {media_type}\r\n" if media_type else ""
        head = f'--XX\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n{kind}\r\n'
        out += [head.encode(), content, b"\r\n"]
    return b"".join([*out, b"--XX--\r\n"])


def sent(node: Service, body: Any, token: str | None = None, query: str = "", kind: str = TYPE) -> Any:
    return node.ask("POST", f"/form{query}", token or node.token(), body, Content_Type=kind)


@pytest.mark.parametrize("profile", [None, "unixfs-v1-2025", "unixfs-v0-2015"])
def test_a_form_is_pinned_as_the_directory_that_a_tar_of_the_same_makes(
    node: Service, profile: str | None
) -> None:
    query = "?name=site" + (f"&profile={profile}" if profile else "")
    reply = sent(node, form_of(*FILES), query=query)
    assert reply.status == 201, reply.body
    told = reply.json()
    root = added(node, tar_of(*FILES), profile or "unixfs-v1-2025")
    assert [(pin["cid"], pin["status"]) for pin in told["pins"]] == [(root.text(), "pinned")]
    assert (told["entries"], told["size_bytes"]) == (7, sum(len(content) for _, content in FILES))
    [pin] = node.pins()
    assert (pin.wish.cid, pin.wish.name) == (root, "site")


def test_files_are_told_by_path_and_cid(node: Service) -> None:
    told = sent(node, form_of(("a/b.txt", b"1"), ("c", b"2"))).json()
    by_path = {file["path"]: file for file in told["files"]}
    assert by_path["a/b.txt"]["size_bytes"] == 1
    assert by_path["c"]["cid"].startswith("bafkrei")


def chunks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 99_991):
        yield data[start : start + 99_991]


def test_a_length_need_not_be_told(node: Service) -> None:
    reply = sent(node, chunks(form_of(*FILES)))
    assert reply.json()["pins"][0]["cid"] == added(node, tar_of(*FILES)).text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl_sends_files_and_gives_them_paths(node: Service, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(LARGE)
    (tmp_path / 'say "hi".txt').write_text("hi")
    command = ["curl", "-fsS", "-H", f"Authorization: Bearer {node.token()}"]
    command += [
        "-F",
        f"file=@{tmp_path}/x.bin;filename=dir/x.bin",
        "-F",
        f'file=@"{tmp_path}/say \\"hi\\".txt"',
    ]
    command += ["-F", "comment=none", f"http://127.0.0.1:{node.port}/form?name=curl"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert told["pins"][0]["status"] == "pinned"
    assert told["left_out"] == ["left out: the field 'comment' (no file)"]
    assert [file["path"] for file in told["files"]] == ["dir/x.bin", 'say "hi".txt']
    [pin] = node.pins()
    read = node.store.dag.read
    names = [link.name for link in directory.entries(pin.wish.cid, read(pin.wish.cid), read)]
    assert names == ["dir", 'say "hi".txt']


def test_folders_without_files_and_inputs_without_a_file(node: Service) -> None:
    body = form_of(("empty/inside", b""), media_type="application/x-directory").replace(b"--XX--\r\n", b"")
    body += form_of(("", b""), ("a", b"1"))
    reply = sent(node, body)
    assert reply.status == 201, reply.body
    assert [file["path"] for file in reply.json()["files"]] == ["a"]
    read, cid = node.store.dag.read, node.pins()[0].wish.cid
    assert [link.name for link in directory.entries(cid, read(cid), read)] == ["a", "empty"]


WHOLE = form_of(*FILES)
REFUSED: dict[str, tuple[bytes, str]] = {
    "leads out": (form_of(("a", b"1"), ("../b", b"2")), "leads out"),
    "leads out inside": (form_of(("a/../../b", b"2")), "leads out"),
    "absolute": (form_of(("/etc/passwd", b"2")), "leads out"),
    "nul": (form_of(("a\0b", b"2")), "NUL"),
    "file and folder": (form_of(("a", b"1"), ("a/b", b"2")), "a file and a folder"),
    "folder and file": (form_of(("a/b", b"1"), ("a", b"2")), "a file and a folder"),
    "one name twice": (form_of(("a", b"1"), ("./a", b"2")), "one name"),
    "deep": (form_of(("/".join("d" * 500), b"1")), "folders inside one another"),
    "no name": (form_of(("dir/", b"1")), "no name"),
    "dot": (form_of((".", b"1")), "no name"),
    "no file": (b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--XX--', "no file"),
    "cut in a file": (WHOLE[:1_000_000], "cut short"),
    "cut behind a file": (WHOLE[: -len(b"\r\n--XX--\r\n")], "cut short"),
    "no form": (b"hello " * 1000, "cut short"),
    "nothing": (b"", "cut short"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_sound_form_leaves_no_pin(node: Service, what: str) -> None:
    body, word = REFUSED[what]
    reply = sent(node, body)
    assert reply.status == 400, reply.body
    assert word in reply.json()["error"]["message"]
    assert node.pins() == []


def test_what_is_sent_as_something_else_is_told_how(node: Service) -> None:
    for kind in ("application/x-tar", "multipart/form-data", "application/x-www-form-urlencoded"):
        reply = sent(node, WHOLE, kind=kind)
        assert (reply.status, "curl -F" in reply.json()["error"]["hint"]) == (400, True)


def test_a_body_that_breaks_off_leaves_no_pin(node: Service) -> None:
    """Behind the last delimiter as well, where the form alone would look whole."""
    for cut in (WHOLE[:1_500_000], WHOLE[:-2]):
        node.cut(node.token(), f"POST /form HTTP/1.1\r\nContent-Type: {TYPE}\r\nX:", cut, len(WHOLE))
        assert node.pins() == []


def test_the_quota_holds_while_it_comes(node: Service) -> None:
    token = node.token(quota_bytes=1_000_000)
    assert sent(node, WHOLE, token).status == 403
    assert sent(node, chunks(WHOLE), token).status == 403
    assert node.pins() == []
    assert sent(node, form_of(FILES[0]), token).status == 201


def test_too_many_entries_and_parts_are_refused(node: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form_body, "ENTRIES_MAX", 3)
    monkeypatch.setattr(form_body, "_PARTS_MAX", 5)
    assert sent(node, form_of(*((f"{each}", b"") for each in range(3)))).status == 201
    reply = sent(node, form_of(*((f"{each}", b"") for each in range(4))))
    assert (reply.status, "more than 3 entries" in reply.json()["error"]["message"]) == (400, True)
    reply = sent(node, form_of(*(("", b"") for _ in range(6))))
    assert (reply.status, "more than 5 parts" in reply.json()["error"]["message"]) == (400, True)


def test_a_token_is_needed_that_may_pin(node: Service) -> None:
    assert node.ask("POST", "/form", None, WHOLE, Content_Type=TYPE).status == 401
    assert sent(node, WHOLE, node.token(scope="read")).status == 403
    assert node.ask("GET", "/form", node.token()).status == 405
    allowed = node.ask("OPTIONS", "/form", None)
    assert (allowed.status, allowed.fields["Access-Control-Allow-Origin"]) == (204, "*")


def test_a_denied_root_is_not_pinned(tmp_path: Path) -> None:
    def check(roots: tuple[Any, ...]) -> None:
        raise Blocked("denied", where=roots[0].text())

    with service(tmp_path / "data", check=check) as node:
        assert sent(node, WHOLE).status == 410
        assert node.pins() == []


def test_forms_side_by_side(node: Service) -> None:
    replies: list[Any] = []
    threads = [
        threading.Thread(target=lambda at=at: replies.append(sent(node, form_of((f"{at}", LARGE)))))
        for at in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reply.status for reply in replies] == [201] * 4
    assert len({pin.wish.cid for pin in node.pins()}) == 4
