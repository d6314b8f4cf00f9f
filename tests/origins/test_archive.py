"""What was in a TAR or a CAR comes back from it: verified, and only if it is as it was."""

import asyncio
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from blockstore import Store
from runtime.errors import NotFound
from tests.origins.test_folder import BIG, TEXT, Added, add, same
from tests.origins.test_healing import delete_all, evict_all
from tests.origins.test_refetch import refetching

pytestmark = pytest.mark.timeout(300)


def packed(mode: str = "w") -> bytes:
    """A TAR with a name that comes twice, a hard link, a symlink, a hidden file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in (
            ("site/index.html", b"an older page"),
            ("site/sub/big", BIG),
            ("site/index.html", TEXT),
            ("site/.hidden", b"few"),
        ):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o640, 1_600_000_000
            tar.addfile(member, io.BytesIO(content))
        for name, kind, target in (
            ("site/again", tarfile.LNKTYPE, "site/sub/big"),
            ("site/link", tarfile.SYMTYPE, "index.html"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return out.getvalue()


def added_tar(tmp_path: Path, *flags: str, mode: str = "w") -> Added:
    return add(tmp_path, "--tar", *flags, make=lambda path: _written(path, packed(mode)))


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


LOSSES: dict[str, Callable[[Path], None]] = {"evicted": evict_all, "deleted": delete_all}
FLAGS = {"plain": (), "attributes": ("--preserve-mode", "--preserve-mtime", "--profile", "unixfs-v0-2015")}


@pytest.mark.parametrize("how", LOSSES)
@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_a_tar_of_this_machine_is_read_again(tmp_path: Path, how: str, flags: tuple[str, ...]) -> None:
    added = added_tar(tmp_path, *flags, mode="w" if flags else "w:gz")
    LOSSES[how](added.data)
    with added.node() as node:
        assert node.get(f"/ipfs/{added.root}/site/sub/", {"Accept": "text/html"}).status == 200
        span = node.get(f"/ipfs/{added.root}/site/sub/big", {"Range": "bytes=2000000-2000099"})
        assert (span.status, span.body) == (206, BIG[2_000_000:2_000_100])
    assert str(added.cids["site/index.html"]) in added.lacks()  # only what was asked for was stored
    with added.node() as node:
        assert same(node.get(f"/ipfs/{added.root}/site/index.html"), TEXT)
        assert same(node.get(f"/ipfs/{added.root}/site/.hidden"), b"few")
        assert same(node.get(f"/ipfs/{added.root}/site/again"), BIG)
    assert added.lacks() == []


def test_a_file_that_was_in_a_tar_is_found_by_its_own_name(tmp_path: Path) -> None:
    added = added_tar(tmp_path)
    with Store.open(added.data) as store:
        blob = store.dag.file(added.cids["site/sub/big"])
        assert blob is not None
    for path in (f"/ipfs/{added.cids['site/sub/big']}", f"/blake3/{blob.root.hex()}"):
        evict_all(added.data)
        with added.node() as node:
            assert same(node.get(path), BIG)


def test_a_tar_that_has_changed_says_so_and_gives_what_has_not(tmp_path: Path) -> None:
    added = added_tar(tmp_path)
    evict_all(added.data)
    other = packed().replace(TEXT, TEXT[:-2] + b"?\n")
    added.tree.write_bytes(other)
    with added.node() as node:
        reply = node.get(f"/ipfs/{added.root}/site/index.html", {"Accept": "application/json"})
        assert (reply.status, "changed" in reply.json()["error"]["message"]) == (502, True)
        assert same(node.get(f"/ipfs/{added.cids['site/sub/big']}"), BIG)
    with Store.open(added.data) as store:
        sizes = [store.blob(each.hash).size_bytes for each in store.list() if _is_here(store, each.hash)]
        assert [size for size in sizes if size > 1000] == [len(BIG)]
    added.tree.write_bytes(packed()[:1_000_000])
    with added.node() as node:
        assert node.get(f"/ipfs/{added.root}/site/index.html").status == 502


def _is_here(store: Store, root: bytes) -> bool:
    try:
        return store.blob(root).size_bytes >= 0
    except NotFound:
        return False


def test_all_of_a_tar_comes_back_at_once(tmp_path: Path) -> None:
    added = added_tar(tmp_path)
    evict_all(added.data)

    async def run() -> None:
        with Store.open(added.data) as store:
            async with refetching(store, {}) as (refetch, _, _):
                await refetch.fetch(added.root)

    asyncio.run(run())
    assert added.lacks() == []
