"""What was evicted, deleted behind the store's back or damaged comes back from its origin when it is read."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import blake3
import pytest

from blockstore import Root, Store
from blockstore.dag_removal import evict
from blockstore.origin import Origin, OriginKind
from blockstore.origin_book import blob_name
from content.block import Block
from content.cid import Cid
from content.commp import PieceHasher, piece_cid
from content.unixfs.build_directory import DirectoryMade, Entry, build_directory
from content.unixfs.file import leaves
from content.unixfs.profile import PROFILES, UNIXFS_V0_2015, UNIXFS_V1_2025, Profile
from durable import Txn
from origins.rebuild import Rebuild
from tests.appliance import Node
from tests.node.test_damage import flip
from tests.origins import byte_server
from tests.origins.byte_server import ByteServer
from tests.origins.test_fetching import LOOPBACK, node_with
from tests.origins.test_refetch import combined
from tests.origins.trustless_source import Source, car_of, file_blocks, in_a_thread

pytestmark = pytest.mark.timeout(300)
KINDS = ("url", "arweave", "file", "gateway", "peer", "piece")
# In bulk, and (an extent of its own) larger than 2 MiB: three leaves
SIZES = {"small": 700_001, "large": 2_500_001}
CONTENTS = {
    (kind, size): random.Random(f"{kind} {size}").randbytes(SIZES[size]) for kind in KINDS for size in SIZES
}
DAGS = {key: file_blocks(content) for key, content in CONTENTS.items()}
BLOBS = {kind: random.Random(kind).randbytes(900_001) for kind in ("url", "file", "peer")}
Damage = Callable[[Path], None]


def whole_dag(key: tuple[str, str]) -> bytes:
    """The CAR of a file, root first."""
    cid, blocks = DAGS[key]
    ordered = [blocks[cid.multihash], *(each for name, each in blocks.items() if name != cid.multihash)]
    return car_of((cid,), ordered)


@cache
def piece_path(key: tuple[str, str]) -> str:
    hasher = PieceHasher()
    hasher.update(whole_dag(key))
    return f"/piece/{piece_cid(hasher.roots()[0])}"


class World:
    """A store with everything in it, and the places where it came from."""

    def __init__(self, tmp_path: Path, stack: ExitStack) -> None:
        self.data = tmp_path / "data"
        self.files = tmp_path / "files"
        self.files.mkdir()
        held: dict[str, bytes] = {}
        for (kind, size), content in CONTENTS.items():
            held[f"/{kind}-{size}"] = content
            held[f"/tx-{kind}-{size}"] = content
            if kind == "piece":
                held[piece_path((kind, size))] = whole_dag((kind, size))
        self.roots: dict[str, bytes] = {}
        for kind, content in BLOBS.items():
            (self.files / f"blob-{kind}").write_bytes(content)
            held[f"/blob-{kind}"] = content
            with Store.open(self.data) as store:
                self.roots[kind] = store.put_bytes(content).root
            held[f"/blake3/{self.roots[kind].hex()}?format=bao"] = combined(content)
        blocks = {
            name: block
            for key, (_, found) in DAGS.items()
            if key[0] in ("gateway", "peer")
            for name, block in found.items()
        }
        self.bytes = stack.enter_context(byte_server.in_a_thread(ByteServer(dict(held))))
        self.gateway = stack.enter_context(in_a_thread(Source(blocks)))
        with Store.open(self.data) as store:
            self._fill(store)

    def _fill(self, store: Store) -> None:
        for key, content in CONTENTS.items():
            kind, size = key
            cid, _ = DAGS[key]
            (self.files / f"{kind}-{size}").write_bytes(content)
            rebuild = Rebuild(store, cid, tuple(PROFILES.values()))
            rebuild.write(content)
            rebuild.finish()
            store.dag.pin(cid, Root.pin())
            store.origins.note_soon(cid.multihash, self.origin(kind, size))
        for kind, root in self.roots.items():
            place = {
                "url": Origin(OriginKind.HTTP, f"{self.bytes.url}/blob-url"),
                "file": Origin(OriginKind.LOCAL, str(self.files / "blob-file")),
                "peer": Origin(OriginKind.PEER, self.bytes.url),
            }[kind]
            store.origins.note_soon(blob_name(root), place)

    def origin(self, kind: str, size: str) -> Origin:
        host = self.gateway.url.removeprefix("http://").split(":")
        return {
            "url": Origin(OriginKind.HTTP, f"{self.bytes.url}/url-{size}"),
            "arweave": Origin(OriginKind.ARWEAVE, f"ar://tx-arweave-{size}"),
            "file": Origin(OriginKind.LOCAL, str(self.files / f"file-{size}")),
            "gateway": Origin(OriginKind.GATEWAY, self.gateway.url),
            "peer": Origin(OriginKind.PEER, f"/ip4/{host[0]}/tcp/{host[1]}/http"),
            "piece": Origin(OriginKind.FILECOIN, self.bytes.url + piece_path(("piece", size))),
        }[kind]

    @contextmanager
    def node(self, *flags: str) -> Iterator[Node]:
        settings = f'allow_nets = {LOOPBACK}\narweave_gateways = ["{self.bytes.url}"]'
        with node_with(self.data.parent, settings, "--workers", "1", *flags) as running:
            yield running


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, stack)


def evict_all(data: Path) -> None:
    with Store.open(data) as store:
        for each in list(store.list()):
            store.evict(each.hash)


def delete_all(data: Path) -> None:
    """Every value of bulk, and every extent."""
    with Store.open(data) as store:
        keys: list[bytes] = []
        with store.backing.bulk.reading() as txn:
            cursor = txn.cursor()
            more = cursor.first()
            while more:
                keys.append(cursor.key())
                more = cursor.next()

        def delete(txn: Txn) -> None:
            for key in keys:
                txn.delete(key)

        store.backing.writer.run(bulk=delete)
    for path in data.glob("extents/*/*"):
        path.unlink()


def flip_in_all(data: Path) -> None:
    """A bit in the middle and one near the end of each content."""
    for content in (*CONTENTS.values(), *BLOBS.values()):
        for at in (len(content) // 2, len(content) - 100):
            flip(data, content[at : at + 40])


DAMAGES: dict[str, Damage] = {"evicted": evict_all, "deleted": delete_all, "flipped": flip_in_all}


def damage_left(data: Path) -> list[str]:
    """What cannot be read of what the test put in."""
    with Store.open(data) as store:
        wrong = [str(key) for key, (cid, _) in DAGS.items() if not is_back(store, cid, CONTENTS[key])]
        for kind, root in store_roots(BLOBS).items():
            if not store.verify(root).intact:
                wrong.append(f"blob {kind}")
        return wrong


def store_roots(blobs: dict[str, bytes]) -> dict[str, bytes]:
    return {kind: blake3.blake3(content).digest() for kind, content in blobs.items()}


def is_back(store: Store, cid: Cid, content: bytes) -> bool:
    try:
        return b"".join(_leaves(store, cid)) == content
    except Exception:  # noqa: BLE001  whatever is wrong with it
        return False


def _leaves(store: Store, cid: Cid) -> Iterator[bytes]:
    for leaf in leaves(cid, store.dag.read):
        yield store.dag.read(leaf.cid)[leaf.block_start : leaf.block_stop]


@pytest.mark.parametrize("how", DAMAGES)
def test_the_next_read_serves_what_was_lost_from_its_origin_and_heals(world: World, how: str) -> None:
    DAMAGES[how](world.data)
    with world.node() as node:
        for key, (cid, _) in DAGS.items():
            print(key)
            reply = node.get(f"/ipfs/{cid}")
            assert (reply.status, reply.body == CONTENTS[key]) == (200, True), (how, key, reply.body[:300])
        for kind, content in BLOBS.items():
            reply = node.get(f"/blake3/{world.roots[kind].hex()}")
            assert (reply.status, reply.body == content) == (200, True), (how, kind, reply.body[:300])
    assert damage_left(world.data) == []


def test_a_memoised_answer_heals_in_its_middle(world: World) -> None:
    with world.node() as node:
        paths = {
            f"/ipfs/{cid}": CONTENTS[key] for key, (cid, _) in DAGS.items() if key[0] in ("url", "gateway")
        }
        paths |= {f"/blake3/{world.roots[kind].hex()}": BLOBS[kind] for kind in BLOBS}
        for path, content in paths.items():
            for _ in range(3):
                assert node.get(path).body == content
        flip_in_all(world.data)
        for path, content in paths.items():
            reply = node.get(path)
            assert (reply.status, reply.body == content) == (200, True), path
        for path, content in paths.items():
            assert node.get(path).body == content


def test_other_forms_heal_as_well(world: World) -> None:
    flip_in_all(world.data)
    cid, blocks = DAGS["gateway", "large"]
    other, _ = DAGS["url", "large"]
    with world.node() as node:
        reply = node.get(f"/ipfs/{cid}?format=car")
        assert reply.status == 200
        assert len(reply.body) == len(whole_dag(("gateway", "large")))
        span = node.get(f"/ipfs/{other}", {"Range": "bytes=1250000-1250100"})
        assert (span.status, span.body) == (206, CONTENTS["url", "large"][1_250_000:1_250_101])
        for block in DAGS["gateway", "small"][1].values():
            assert node.get(f"/ipfs/{block.cid}?format=raw").body == block.data
        root = world.roots["peer"].hex()
        assert node.get(f"/blake3/{root}?format=bao").body == combined(BLOBS["peer"])
        assert blocks


@pytest.mark.parametrize("form", ["bao", "bao-chunk&entity-bytes=300000:500000", "bao-outboard"])
@pytest.mark.parametrize("how", DAMAGES)
def test_proofs_of_what_was_lost_are_whole_and_heal(world: World, how: str, form: str) -> None:
    keys = [(kind, size) for kind in ("url", "gateway") for size in SIZES]
    with world.node() as node:
        paths = [f"/ipfs/{DAGS[key][0]}?format={form}" for key in keys]
        paths += [f"/blake3/{world.roots[kind].hex()}?format={form}" for kind in BLOBS]
        before = {path: node.get(path) for path in paths}
        for _ in range(1 if how == "flipped" else 2):
            DAMAGES[how](world.data)
            for path, was in before.items():
                reply = node.get(path)
                assert (was.status, reply.status, reply.body == was.body) == (200, 200, True), path
        for key in keys:
            assert node.get(f"/ipfs/{DAGS[key][0]}").body == CONTENTS[key]


def test_offline_nobody_is_dialled_and_damage_is_told(world: World) -> None:
    flip_in_all(world.data)
    with Store.open(world.data) as store:
        store.evict(world.roots["url"])
    with world.node("--offline") as node:
        assert node.get(f"/blake3/{world.roots['url'].hex()}").status == 404
        for cid, _ in DAGS.values():
            try:
                assert node.get(f"/ipfs/{cid}").status != 200
            except OSError:
                pass  # it broke off at the damage, as it must
    assert world.bytes.asked == []
    assert world.gateway.asked == []


def directory_of(
    content: bytes, profile: Profile = UNIXFS_V1_2025
) -> tuple[Cid, DirectoryMade, dict[bytes, Block]]:
    """(the file, a directory with it as `child`, all blocks)."""
    cid, blocks = file_blocks(content, profile)
    made = build_directory(profile, [Entry("child", cid, len(content))])
    return cid, made, {**blocks, **{block.cid.multihash: block for block in made.blocks}}


def pin_from(data: Path, root: Cid, held: dict[bytes, Block], source: Source) -> None:
    """A pinned root with everything below it, whose origin is a gateway."""
    with Store.open(data) as store:
        store.dag.put([Block(each.cid, each.data) for each in held.values()])
        store.dag.pin(root, Root.pin())
        store.origins.merge([(root.multihash, Origin(OriginKind.GATEWAY, source.url, added_s=1.0))])


def test_a_lost_child_is_found_by_the_origins_of_the_root_above_it(tmp_path: Path) -> None:
    content = random.Random(9).randbytes(50_000)
    cid, made, held = directory_of(content)
    with in_a_thread(Source(held)) as source:
        pin_from(tmp_path / "data", made.cid, held, source)
        evict_all(tmp_path / "data")
        with node_with(tmp_path, f"allow_nets = {LOOPBACK}", "--workers", "1") as node:
            assert node.get(f"/ipfs/{made.cid}/child").body == content
        evict_all(tmp_path / "data")
        with Store.open(tmp_path / "data") as store:  # only the child is lost
            store.dag.put(made.blocks)
        with node_with(tmp_path, f"allow_nets = {LOOPBACK}", "--workers", "1") as node:
            assert node.get(f"/ipfs/{cid}").body == content


@pytest.mark.parametrize("profile", [UNIXFS_V1_2025, UNIXFS_V0_2015], ids=lambda each: each.name)
@pytest.mark.parametrize("kind", [OriginKind.HTTP, OriginKind.GATEWAY], ids=lambda each: each.name)
@pytest.mark.parametrize("as_one", [True, False], ids=["flattened", "blocks"])
def test_an_evicted_file_takes_no_room_and_its_next_read_brings_it_back(
    tmp_path: Path, profile: Profile, kind: OriginKind, as_one: bool
) -> None:
    content = random.Random(10).randbytes(2_500_001)
    cid, blocks = file_blocks(content, profile)
    with ExitStack() as stack:
        source = stack.enter_context(in_a_thread(Source(blocks)))
        server = stack.enter_context(byte_server.in_a_thread(ByteServer({"/file": content})))
        address = f"{server.url}/file" if kind is OriginKind.HTTP else source.url
        with Store.open(tmp_path / "data") as store:
            if as_one:
                rebuild = Rebuild(store, cid, [profile])
                rebuild.write(content)
                rebuild.finish()
            else:
                store.dag.put(list(blocks.values()))
            store.dag.pin(cid, Root.pin())
            store.origins.merge([(cid.multihash, Origin(kind, address, added_s=1.0))])
            done = evict(store.backing, store.dag, cid)
            assert (done.size_bytes >= len(content), done.kept) == (True, 1)
            assert store.usage().bytes_ < 2_000, "the root with its links is left"
            assert not store.sweep().unreadable, "gc still knows what links to what"
        with node_with(tmp_path, f"allow_nets = {LOOPBACK}", "--workers", "1") as node:
            assert node.get(f"/ipfs/{cid}").body == content
            assert (
                node.get(f"/ipfs/{cid}", {"Range": "bytes=1500000-1500009"}).body == content[1500000:1500010]
            )
        with Store.open(tmp_path / "data") as store:
            assert is_back(store, cid, content)
