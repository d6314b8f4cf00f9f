"""`get http://…/ipfs/…`: from gateways honest, lying, broken, and without CARs; nothing unproven is kept."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blockstore import Store
from content import dag_pb
from content.block import Block
from content.cid import DAG_PB, RAW, Cid
from content.unixfs.message import Kind, Message, encode
from tests.tools import trees
from tests.tools.conftest import Edge
from tests.tools.gateway_server import Conduct, Frame, serving

BIG = 5_300_000


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return trees.many_shapes(tmp_path / "tree")


@pytest.fixture
def source(data: Path, tree: Path, edge: Edge) -> Iterator[Store]:
    """A store with the tree in it, which the gateway serves."""
    assert edge("add", tree, "--preserve-mode", "--preserve-mtime").code == 0
    with Store.open(data) as store:
        yield store


@pytest.fixture
def cid(source: Store) -> str:
    return next(iter(source.dag.roots())).cid.text()


def _file(store: Store, edge: Edge, tmp_path: Path, profile: str = "unixfs-v1-2025") -> tuple[str, bytes]:
    """A file of several leaves in the store; its CID and bytes."""
    content = random.Random(BIG).randbytes(BIG)
    (tmp_path / "file").write_bytes(content)
    store.close()
    name = edge("add", "-Q", "--profile", profile, tmp_path / "file").out.decode().strip()
    return name, content


@pytest.mark.parametrize("conduct", [Conduct(), Conduct(repeats=False), Conduct(has_cars=False)])
def test_every_kind_of_gateway_gives_the_same_tree(
    edge: Edge, tmp_path: Path, source: Store, cid: str, tree: Path, conduct: Conduct
) -> None:
    with serving(source.dag.read, conduct) as base:
        result = edge("get", f"{base}/ipfs/{cid}", "-o", tmp_path / "back", "--json")
    assert (result.code, result.err) == (0, "")
    assert trees.content_of(tmp_path / "back", attributes=True) == trees.content_of(tree, attributes=True)
    cars = [target for target in conduct.targets if "format=car" in target]
    assert len(cars) == 1
    if conduct.has_cars:
        assert conduct.targets == cars, "one request is enough"


@pytest.mark.parametrize("build", [trees.deep, trees.wide])
def test_deep_and_sharded_directories_come_in_one_request(
    edge: Edge, tmp_path: Path, data: Path, build: Callable[[Path], Path]
) -> None:
    tree = build(tmp_path / "tree")
    cid = edge("add", "-Q", tree).out.decode().strip()
    conduct = Conduct()
    with Store.open(data) as store, serving(store.dag.read, conduct) as base:
        assert edge("get", f"{base}/ipfs/{cid}/", "-o", tmp_path / "back").code == 0
    assert trees.content_of(tmp_path / "back") == trees.content_of(tree)
    assert len(conduct.targets) == 1


def test_a_path_with_odd_names_is_asked_for_and_walked(
    edge: Edge, tmp_path: Path, source: Store, cid: str, tree: Path
) -> None:
    conduct = Conduct()
    with serving(source.dag.read, conduct) as base:
        assert edge("get", f"{base}/ipfs/{cid}/per%25cent%3F%23").out == b"content of per%cent?#"
        assert edge("get", f"{base}/ipfs/{cid}/not%20%FF%FE%20text").out == b"bytes"
        big = (tree / "sub" / "big").read_bytes()
        assert (
            edge("get", f"{base}/ipfs/{cid}/sub/big?download=1", "--range", "9:1500000").out == big[9:1500001]
        )
        assert edge("get", f"{base}/ipfs/{cid}/sub/nothing", "--json").code in (3, 6)
    assert any(target.startswith(f"/ipfs/{cid}/per%25cent%3F%23?") for target in conduct.targets)


def _flip(at: int) -> Callable[[list[Frame]], list[Frame]]:
    def spoil(frames: list[Frame]) -> list[Frame]:
        name, block = frames[at]
        return [*frames[:at], (name, bytes((block[0] ^ 1, *block[1:]))), *frames[at + 1 :]]

    return spoil


@pytest.mark.parametrize("at", [0, 3, 9])
def test_a_server_that_changes_one_bit_of_a_block_is_refused_with_4(
    edge: Edge, tmp_path: Path, source: Store, cid: str, at: int
) -> None:
    with serving(source.dag.read, Conduct(spoil=_flip(at))) as base:
        result = edge("get", f"{base}/ipfs/{cid}", "-o", tmp_path / "back", "--json")
    assert (result.code, result.error["kind"]) == (4, "unverified")
    assert not (tmp_path / "back").exists()
    assert not (tmp_path / "back.part").exists()


def test_a_liar_is_left_at_its_first_bad_block(edge: Edge, tmp_path: Path, source: Store) -> None:
    name, content = _file(source, edge, tmp_path)
    with Store.open(source.backing.index.path.parent) as store:
        conduct = Conduct(spoil=_flip(2))
        with serving(store.dag.read, conduct) as base:
            shown = edge("get", f"{base}/ipfs/{name}")
    assert shown.code == 4
    assert shown.out == content[: 1 << 20], "the leaf before the bad one, and no byte of that"


def test_true_blocks_of_something_else_are_a_lie_too(
    edge: Edge, tmp_path: Path, source: Store, cid: str
) -> None:
    stray = [Block.sealed(RAW, bytes([at])) for at in range(200)]

    def spoil(frames: list[Frame]) -> list[Frame]:
        return [(block.cid, block.data) for block in stray] + frames

    with serving(source.dag.read, Conduct(spoil=spoil)) as base:
        result = edge("get", f"{base}/ipfs/{cid}", "-o", tmp_path / "back", "--json")
    assert (result.code, result.error["kind"]) == (4, "unverified")


@pytest.mark.parametrize("how", ["cut_after_bytes", "end_after_bytes"])
@pytest.mark.parametrize("kept", [1, 30, 300, 1_500_000, 2_000_001])
def test_a_car_that_is_cut_short_is_unreachable_however_its_body_ended(
    edge: Edge, tmp_path: Path, source: Store, cid: str, how: str, kept: int
) -> None:
    conduct = Conduct()
    setattr(conduct, how, kept)
    with serving(source.dag.read, conduct) as base:
        result = edge("get", f"{base}/ipfs/{cid}", "-o", tmp_path / "back", "--json")
    assert (result.code, result.error["kind"]) == (6, "unreachable")
    assert not (tmp_path / "back").exists()


def test_a_car_that_ends_between_two_blocks_is_cut_short_all_the_same(
    edge: Edge, tmp_path: Path, source: Store, cid: str
) -> None:
    with serving(source.dag.read, Conduct(spoil=lambda frames: frames[:4])) as base:
        result = edge("get", f"{base}/ipfs/{cid}", "-o", tmp_path / "back", "--json")
    assert (result.code, result.error["kind"]) == (6, "unreachable")


def test_one_flipped_bit_of_a_single_block_is_refused_too(
    edge: Edge, tmp_path: Path, source: Store, cid: str
) -> None:
    def read(wanted: Cid) -> bytes:
        block = source.dag.read(wanted)
        return bytes((*block[:-1], block[-1] ^ 1)) if wanted.codec == RAW else block

    with serving(read, Conduct(has_cars=False)) as base:
        result = edge("get", f"{base}/ipfs/{cid}", "-o", tmp_path / "back", "--json")
    assert (result.code, result.error["kind"]) == (4, "unverified")


@pytest.mark.parametrize("profile", ["unixfs-v1-2025", "unixfs-v0-2015"])
def test_a_download_that_breaks_off_is_resumed_behind_its_last_whole_leaf(
    edge: Edge, tmp_path: Path, source: Store, profile: str
) -> None:
    name, content = _file(source, edge, tmp_path, profile)
    conduct = Conduct(cut_after_bytes=3_000_000)
    with (
        Store.open(source.backing.index.path.parent) as store,
        serving(store.dag.read, conduct) as base,
    ):
        broken = edge("get", f"{base}/ipfs/{name}", "-o", tmp_path / "out", "--json")
        assert (broken.code, broken.error["kind"]) == (6, "unreachable")
        part = (tmp_path / "out.part").read_bytes()
        assert content.startswith(part)
        assert len(part) > 2_000_000
        conduct.cut_after_bytes = None
        conduct.targets.clear()
        done = edge("get", f"{base}/ipfs/{name}", "-o", tmp_path / "out", "--json")
    assert done.records[0]["resumed_bytes"] == len(part)
    assert (tmp_path / "out").read_bytes() == content
    asked = [target for target in conduct.targets if "format=car" in target]
    assert [f"entity-bytes={len(part)}:*" in target for target in asked] == [True]
    assert len(conduct.targets) == 2, "the root, then the rest"


@pytest.mark.parametrize("at", [0, 1_500_000])
def test_a_part_that_is_not_of_the_file_is_taken_over_only_as_far_as_it_is(
    edge: Edge, tmp_path: Path, source: Store, at: int
) -> None:
    name, content = _file(source, edge, tmp_path)
    left = bytearray(content[:4_000_000])
    left[at] ^= 1
    (tmp_path / "out.part").write_bytes(left)
    with Store.open(source.backing.index.path.parent) as store, serving(store.dag.read, Conduct()) as base:
        done = edge("get", f"{base}/ipfs/{name}", "-o", tmp_path / "out", "--json")
    assert done.records[0]["resumed_bytes"] == at >> 20 << 20
    assert (tmp_path / "out").read_bytes() == content


@pytest.mark.parametrize("extra", [b"", b"more than the file has"])
def test_a_part_that_is_whole_is_finished_without_asking_for_more(
    edge: Edge, tmp_path: Path, source: Store, extra: bytes
) -> None:
    name, content = _file(source, edge, tmp_path)
    (tmp_path / "out.part").write_bytes(content + extra)
    conduct = Conduct()
    with Store.open(source.backing.index.path.parent) as store, serving(store.dag.read, conduct) as base:
        done = edge("get", f"{base}/ipfs/{name}", "-o", tmp_path / "out", "--json")
    assert done.records[0]["resumed_bytes"] == BIG
    assert (tmp_path / "out").read_bytes() == content
    assert not any("format=car" in target for target in conduct.targets)


def test_a_root_that_two_entries_share_is_not_confused_by_a_gateway_without_repeats(
    edge: Edge, tmp_path: Path, data: Path
) -> None:
    leaf = Block.sealed(RAW, b"same")
    links = tuple(dag_pb.Link(leaf.cid, name, 4) for name in ("a", "b", "c"))
    root = Block.sealed(DAG_PB, dag_pb.encode(dag_pb.Node(links, encode(Message(Kind.DIRECTORY)))))
    blocks = {each.cid.multihash: each.data for each in (leaf, root)}
    for repeats in (True, False):
        with serving(lambda cid: blocks[cid.multihash], Conduct(repeats=repeats)) as base:
            target = tmp_path / f"back-{repeats}"
            assert edge("get", f"{base}/ipfs/{root.cid}", "-o", target).code == 0
            assert {path.read_bytes() for path in target.iterdir()} == {b"same"}


@pytest.mark.parametrize("url", ["http://h/ipfs/nonsense", "http://h/ipfs/", "http://h/ipns/example.org/x"])
def test_addresses_that_cannot_be_verified_are_refused_before_anything_is_asked(edge: Edge, url: str) -> None:
    assert edge("get", url).code == 2
