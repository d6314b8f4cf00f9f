"""`POST /tar` and `/tar/uploads` from outside: a directory is pinned on arrival, or nothing is."""

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blockstore.adding.adding import Adding
from blockstore.adding.reading import Keep
from blockstore.adding.tar import add_tar
from content.cid import Cid
from content.unixfs.profile import PROFILES
from pinning import tar_body
from runtime.errors import Blocked
from tests.pinning.arrivals import Service, service

Member = tuple[str, bytes]
FILES = (
    ("site/index.html", b"<h1>hello</h1>"),
    ("site/empty", b""),
    ("site/img/large.bin", hashlib.shake_256(b"large").digest(3_000_000)),
    ("site/img/\u00fc.txt", b"umlaut"),
)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path / "data") as running:
        yield running


def tar_of(*members: Member, more: Callable[[tarfile.TarFile], None] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if more is not None:
            more(archive)
    return out.getvalue()


class Unseen:
    def advance(self, done_bytes: int) -> None:
        pass


def added(node: Service, tar: bytes, profile: str = "unixfs-v1-2025") -> Cid:
    """The root that the command line gives the same archive."""
    keep = Keep(mode=False, mtime=False)
    with Adding(node.store, PROFILES[profile], keep, Unseen(), print, lambda *_: None) as adding:
        return add_tar(adding, io.BytesIO(tar), "x")


@pytest.mark.parametrize("profile", [None, *PROFILES])
def test_a_tar_is_pinned_as_the_directory_that_add_makes(node: Service, profile: str | None) -> None:
    tar = tar_of(*FILES)
    query = "?name=site" + (f"&profile={profile}" if profile else "")
    reply = node.ask("POST", f"/tar{query}", node.token(), tar)
    assert reply.status == 201, reply.body
    told = reply.json()
    root = added(node, tar, profile or "unixfs-v1-2025")
    assert [(pin["cid"], pin["status"]) for pin in told["pins"]] == [(root.text(), "pinned")]
    assert (told["entries"], told["size_bytes"]) == (7, sum(len(content) for _, content in FILES))
    [pin] = node.pins()
    assert (pin.wish.cid, pin.wish.name) == (root, "site")


def chunks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 100_000):
        yield data[start : start + 100_000]


def test_a_length_need_not_be_told(node: Service) -> None:
    tar = tar_of(*FILES)
    reply = node.ask("POST", "/tar", node.token(), chunks(tar))
    assert reply.status == 201, reply.body
    assert reply.json()["pins"][0]["cid"] == added(node, tar).text()


def test_an_upload_is_gone_on_with_and_pinned_at_its_end(node: Service) -> None:
    tar, token = tar_of(*FILES), node.token()
    begun = node.ask("POST", "/tar/uploads?profile=unixfs-v0-2015", token, Upload_Length=str(len(tar)))
    path = begun.fields["Location"]
    assert path.startswith("/tar/uploads/")
    assert node.patch(token, path, 0, tar[:300]).status == 204
    at = node.offset(token, path)
    assert at == 300
    assert node.patch(token, path, at, tar[at:2_000_000]).status == 204
    assert node.patch(token, path, 2_000_000, tar[2_000_000:]).status == 204
    told = node.ask("GET", path, token).json()
    assert (told["done"], told["pins"][0]["status"]) == (True, "pinned")
    assert told["pins"][0]["cid"] == added(node, tar, "unixfs-v0-2015").text()


def odd(kind: bytes, name: str, link: str = "") -> Callable[[tarfile.TarFile], None]:
    def more(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        archive.addfile(info)

    return more


WHOLE = tar_of(*FILES)
REFUSED: dict[str, tuple[bytes, str]] = {
    "leads out": (tar_of(("a", b"1"), ("../b", b"2")), "leads out"),
    "absolute": (tar_of(("a", b"1"), ("/etc/passwd", b"2")), "leads out"),
    "file and folder": (tar_of(("a", b"1"), ("a/b", b"2")), "a file and a folder"),
    "link to nothing": (tar_of(("a", b"1"), more=odd(tarfile.LNKTYPE, "b", "c")), "hard link"),
    "deep": (tar_of(("/".join("d" * 500), b"1")), "folders inside one another"),
    "cut in a file": (WHOLE[:1_000_000], "not a sound TAR"),
    "garbage behind": (WHOLE[: 512 * 40] + os.urandom(5000), "TAR"),
    "compressed": (gzip.compress(WHOLE), "no"),
    "no TAR": (b"hello " * 1000, "no"),
    "nothing": (b"", "TAR"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("resumable", [False, True], ids=["at once", "resumable"])
def test_what_is_no_sound_tar_leaves_no_pin(node: Service, what: str, resumable: bool) -> None:
    tar, word = REFUSED[what]
    token = node.token()
    if not resumable:
        reply = node.ask("POST", "/tar", token, tar)
    elif tar:
        begun = node.ask("POST", "/tar/uploads", token, Upload_Length=str(len(tar)))
        reply = node.patch(token, begun.fields["Location"], 0, tar)
    else:
        reply = node.ask("POST", "/tar/uploads", token, Upload_Length="0")
        word = ""
    assert reply.status == 400, reply.body
    error: dict[str, Any] = reply.json()["error"]
    assert word in error["message"]
    assert node.pins() == []


def test_a_body_that_breaks_off_leaves_no_pin(node: Service) -> None:
    """At the border of a member as well, where the archive alone would look whole."""
    first = tar_of(FILES[0])[: 2 * 512]
    for cut in (first, WHOLE[:1_500_000]):
        node.cut(node.token(), "POST /tar", cut, len(WHOLE))
        assert node.pins() == []


def test_the_quota_holds_while_it_comes(node: Service) -> None:
    token = node.token(quota_bytes=1_000_000)
    assert node.ask("POST", "/tar", token, WHOLE).status == 403
    reply = node.ask("POST", "/tar", token, chunks(WHOLE))
    assert reply.status == 403, reply.body
    assert node.ask("POST", "/tar/uploads", token, Upload_Length=str(len(WHOLE))).status == 403
    assert node.pins() == []
    assert node.ask("POST", "/tar", token, tar_of(FILES[0])).status == 201


def test_too_many_entries_are_refused(node: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_body, "ENTRIES_MAX", 3)
    assert (
        node.ask("POST", "/tar", node.token(), tar_of(*((f"{each}", b"") for each in range(3)))).status == 201
    )
    reply = node.ask("POST", "/tar", node.token(), tar_of(*((f"{each}", b"") for each in range(4))))
    assert reply.status == 400
    assert "more than 3 entries" in reply.json()["error"]["message"]


def test_devices_are_left_out_and_told_of(node: Service) -> None:
    tar = tar_of(("a", b"1"), more=odd(tarfile.CHRTYPE, "null"))
    told = node.ask("POST", "/tar", node.token(), tar).json()
    assert told["pins"][0]["status"] == "pinned"
    assert "null" in told["left_out"][0]


def test_a_denied_root_is_not_pinned(tmp_path: Path) -> None:
    def check(roots: tuple[Cid, ...]) -> None:
        raise Blocked("denied", where=roots[0].text())

    with service(tmp_path / "data", check=check) as node:
        assert node.ask("POST", "/tar", node.token(), WHOLE).status == 410
        assert node.pins() == []


def test_a_profile_that_is_none_and_a_token_that_may_not_are_refused(node: Service) -> None:
    reply = node.ask("POST", "/tar?profile=best", node.token(), WHOLE)
    assert (reply.status, reply.json()["error"]["where"]) == (400, "best")
    assert node.ask("POST", "/tar", None, WHOLE).status == 401
    assert node.ask("POST", "/tar", node.token(scope="read"), WHOLE).status == 403
    assert node.ask("GET", "/tar", node.token()).status == 405


def test_more_archives_at_once_than_there_are_readers_are_told_to_wait(
    node: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_body, "AT_ONCE", 0)
    reply = node.ask("POST", "/tar", node.token(), WHOLE)
    assert (reply.status, reply.fields["Retry-After"]) == (503, "1")
