"""Content comes back from every kind of origin, verified, and never from a liar."""

import asyncio
import os
import random
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import blake3
import pytest

import content.bao.encode as encode
from blockstore import Durability, Store, StoreSettings
from blockstore.origin import Origin, OriginKind
from blockstore.origin_book import blob_name
from content import multihash
from content.block import Block
from content.cid import DAG_CBOR, RAW, Cid
from content.commp import PieceHasher, piece_cid
from content.unixfs.profile import UNIXFS_V0_2015, UNIXFS_V1_2025
from net.guard import Guard
from net.outbound import Outbound
from origins.byte_stream import ByteStreams
from origins.fills import Fills, OneFetch
from origins.meter import OriginMeter
from origins.refetch import Refetch
from origins.said import Said
from runtime.clock import SystemClock
from runtime.errors import EdgeError, NotFound, Unreachable, Unverified
from tests.origins.byte_server import ByteServer, Held, listening
from tests.origins.trustless_source import car_of, file_blocks

BIG = random.Random(4).randbytes(3_000_000)
V1, V1_BLOCKS = file_blocks(BIG)
V0, _ = file_blocks(BIG, UNIXFS_V0_2015)
CAR = car_of((V1,), list(V1_BLOCKS.values())[::-1])
ROOT = blake3.blake3(BIG).digest()
BLAKE3_CID = Cid.v1(RAW, multihash.wrap(multihash.BLAKE3, ROOT))
Test = Callable[[Store, Refetch, ByteServer], Coroutine[Any, Any, None]]


class Gateways:
    """In place of `DagFetch`: remembers who was asked, has nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[Cid, tuple[str, ...]]] = []
        self.trusted: list[str] = []

    async def dag(self, cid: Cid, also: Sequence[str] = ()) -> None:
        self.asked.append((cid, tuple(also)))
        raise NotFound("this gateway has nothing", where=cid.text())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "data", StoreSettings(durability=Durability.NONE)) as opened:
        yield opened


@asynccontextmanager
async def refetching(
    store: Store,
    held: dict[str, bytes | Held],
    *,
    allow: Sequence[str] = ("127.0.0.0/8",),
    pace_s: float = 20.0,
    allow_accounts: Sequence[str] = ("127.0.0.0/8",),
) -> AsyncIterator[tuple[Refetch, ByteServer, Gateways]]:
    async with listening(ByteServer(held)) as server:
        outbound, strict = Outbound(Guard(allow)), Outbound(Guard(allow_accounts))
        meter = OriginMeter(store.board.slot(3))
        streams = ByteStreams(outbound, strict, [server.url, f"{server.url}/second/"], meter, pace_s)
        once = OneFetch(Fills(store.backing.index.path.parent / "run" / "fills"), 4)
        gateways = Gateways()
        try:
            yield (
                Refetch(store, streams, gateways, once, SystemClock(), gateways.trusted.append, Said()),
                server,
                gateways,
            )
        finally:
            await once.close()
            outbound.close()
            strict.close()


def note(store: Store, name: bytes, *origins: Origin) -> None:
    store.origins.merge([(name, each) for each in origins])


def http(address: str, profile: str = "", **more: Any) -> Origin:
    return Origin(OriginKind.HTTP, address, added_s=1.0, profile=profile, **more)


def is_whole(store: Store, cid: Cid) -> bool:
    blob = store.dag.file(cid)
    return blob is not None and blob.read(0, blob.size_bytes) == BIG


@pytest.mark.parametrize("cid", [V1, V0, V0.as_v1()], ids=["v1", "v0", "v0 as v1"])
@pytest.mark.parametrize("is_told", [True, False], ids=["profile on record", "profile unknown"])
def test_a_url_gives_the_file_back_by_the_profile_that_fits(store: Store, cid: Cid, is_told: bool) -> None:
    async def run() -> None:
        async with refetching(store, {"/big": BIG}) as (refetch, server, _):
            profile = (UNIXFS_V0_2015 if cid.multihash == V0.multihash else UNIXFS_V1_2025).name
            note(store, cid.multihash, http(f"{server.url}/big", profile if is_told else ""))
            await refetch.fetch(cid)
            assert is_whole(store, cid)
            store.origins.flush()
            (kept,) = store.origins.of(cid.multihash)
            assert kept.profile == profile
            assert kept.last_success_s > 0

    asyncio.run(run())


def test_bytes_that_are_something_else_are_not_kept_and_the_next_origin_is_asked(store: Store) -> None:
    async def run() -> None:
        wrong = {"/wrong": BIG[:-1] + b"?", "/short": BIG[:-1], "/long": BIG + b"x"}
        async with refetching(store, {**wrong, "/big": BIG}) as (refetch, server, _):
            liars = [http(f"{server.url}{path}", last_success_s=10.0) for path in wrong]
            note(store, V1.multihash, *liars)
            with pytest.raises(Unverified):
                await refetch.fetch(V1)
            assert not store.dag.has(V1)
            assert list(store.list()) == []
            note(store, V1.multihash, http(f"{server.url}/big"))
            await refetch.fetch(V1)
            assert is_whole(store, V1)
            store.origins.flush()
            kept = {each.address.rpartition("/")[2]: each for each in store.origins.of(V1.multihash)}
            assert all(kept[path[1:]].last_failure_s > 10 for path in wrong)
            assert kept["big"].last_failure_s == 0

    asyncio.run(run())


@pytest.mark.parametrize(
    ("held", "error"),
    [
        (Held(BIG, cut_at=100_000), Unreachable),
        (Held(b"", 404), NotFound),
        (Held(b"", 410), NotFound),
        (Held(b"", 500), Unreachable),
        (Held(b"", 302, {"Location": "http://10.0.0.1/x"}), Unreachable),
        (Held(b"", 302, {"Location": "file:///etc/passwd"}), Unreachable),
        (Held(b"", 302, {"Location": "/big"}), Unreachable),
        (Held(BIG, 200, {"Content-Encoding": "gzip"}), Unreachable),
    ],
)
def test_an_origin_that_fails_says_why(store: Store, held: Held, error: type[EdgeError]) -> None:
    async def run() -> None:
        async with refetching(store, {"/big": held}) as (refetch, server, _):
            note(store, V1.multihash, http(f"{server.url}/big"))
            with pytest.raises(error):
                await refetch.fetch(V1)
            assert list(store.list()) == []

    asyncio.run(run())


def test_private_networks_are_not_dialled_whoever_names_them(store: Store) -> None:
    async def run() -> None:
        async with refetching(store, {"/big": BIG}, allow=()) as (refetch, server, _):
            note(store, V1.multihash, http(f"{server.url}/big"))
            with pytest.raises(Unreachable, match="not dialled"):
                await refetch.fetch(V1, [f"{server.url}/other"])
            assert server.asked == []

    asyncio.run(run())


def test_nothing_known_is_not_found_and_an_upload_is_nothing_to_ask(store: Store) -> None:
    async def run() -> None:
        async with refetching(store, {}) as (refetch, _, gateways):
            note(store, V1.multihash, Origin(OriginKind.UPLOAD, "POST /car"))
            with pytest.raises(NotFound, match="no origin"):
                await refetch.fetch(V1, ["no address"])
            assert gateways.asked == []

    asyncio.run(run())


def test_an_address_that_is_only_declared_is_asked_with_the_secret_it_has(store: Store) -> None:
    async def run() -> None:
        path = "/big?X-Amz-Signature=0123456789abcdef0123456789abcdef"
        async with refetching(store, {path: BIG}) as (refetch, server, _):
            note(store, V1.multihash, http(f"{server.url}/big", is_cut=True))
            await refetch.fetch(V1, [server.url + path])
            assert is_whole(store, V1)
            assert server.asked == [path]
            store.origins.flush()
            assert all("Signature" not in each.address for _, each in store.origins.all())

    asyncio.run(run())


def test_an_arweave_transaction_is_asked_of_one_gateway_after_the_other(store: Store) -> None:
    async def run() -> None:
        async with refetching(store, {"/second/TxId/path": BIG}) as (refetch, server, _):
            note(store, V1.multihash, Origin(OriginKind.ARWEAVE, "ar://TxId/path"))
            await refetch.fetch(V1)
            assert is_whole(store, V1)
            assert server.asked == ["/TxId/path", "/second/TxId/path"]

    asyncio.run(run())


@pytest.mark.parametrize("padding", [0, 1000])
def test_a_filecoin_piece_is_a_car_that_must_have_its_commitment(store: Store, padding: int) -> None:
    async def run() -> None:
        hasher = PieceHasher()
        hasher.update(CAR)
        piece = piece_cid(hasher.roots()[0])
        path = f"/piece/{piece}"
        async with refetching(store, {path: CAR + bytes(padding)}) as (refetch, server, _):
            note(store, V1.multihash, Origin(OriginKind.FILECOIN, server.url + path))
            await refetch.fetch(V1)
            assert all(store.dag.has(each.cid) for each in V1_BLOCKS.values())

    asyncio.run(run())


def test_a_piece_with_another_commitment_failed(store: Store) -> None:
    async def run() -> None:
        path = f"/piece/{piece_cid(bytes(31) + b'?')}"
        async with refetching(store, {path: CAR}) as (refetch, server, _):
            note(store, V1.multihash, Origin(OriginKind.FILECOIN, server.url + path))
            with pytest.raises(Unverified, match="not the piece"):
                await refetch.fetch(V1)
            store.origins.flush()
            (kept,) = store.origins.of(V1.multihash)
            assert (kept.last_success_s, kept.last_failure_s > 0) == (0.0, True)
            assert all(store.dag.has(each.cid) for each in V1_BLOCKS.values()), "each is what its CID says"

    asyncio.run(run())


def test_gateways_peers_and_filecoin_by_ipfs_are_asked_as_gateways(store: Store) -> None:
    async def run() -> None:
        async with refetching(store, {}) as (refetch, _, gateways):
            note(
                store,
                V1.multihash,
                Origin(OriginKind.GATEWAY, "https://gw.example", last_success_s=9.0),
                Origin(OriginKind.PEER, "/dns4/n.example/tcp/443/tls/http/p2p/x", last_success_s=8.0),
                Origin(OriginKind.PEER, "https://node.example", last_success_s=7.0),
                Origin(OriginKind.FILECOIN, f"https://sp.example/ipfs/{V1}", last_success_s=6.0),
            )
            with pytest.raises(NotFound):
                await refetch.fetch(V1)
            assert [each for _, each in gateways.asked] == [
                ("https://gw.example",),
                ("https://n.example:443",),
                ("https://node.example",),
                ("https://sp.example",),
            ]

    asyncio.run(run())


def test_a_file_of_this_machine_is_read_where_the_operator_named_it(store: Store, tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "big"
        path.write_bytes(BIG)
        async with refetching(store, {}) as (refetch, _, _):
            note(store, V1.multihash, Origin(OriginKind.LOCAL, str(path), "ann"))
            with pytest.raises(NotFound):
                await refetch.fetch(V1)
            note(store, V1.multihash, Origin(OriginKind.LOCAL, str(path)))
            await refetch.fetch(V1)
            assert is_whole(store, V1)

    asyncio.run(run())


def test_what_turned_out_to_be_something_else_is_not_read_again_at_once(store: Store) -> None:
    async def run() -> None:
        async with refetching(store, {"/big": BIG[1:]}) as (refetch, server, _):
            note(store, V1.multihash, http(f"{server.url}/big"))
            for _ in range(3):
                with pytest.raises(Unverified, match="not what the CID names"):
                    await refetch.fetch(V1)
            assert server.asked == ["/big"]

    asyncio.run(run())


@pytest.mark.parametrize("what", ["gone", "folder", "pipe"])
def test_a_path_that_is_no_file_any_more_gives_nothing(store: Store, tmp_path: Path, what: str) -> None:
    path = tmp_path / "it"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)

    async def run() -> None:
        async with refetching(store, {}) as (refetch, _, _):
            note(store, V1.multihash, Origin(OriginKind.LOCAL, str(path)))
            with pytest.raises(NotFound if what == "gone" else Unverified):
                await refetch.fetch(V1)

    asyncio.run(run())


def test_one_block_of_any_codec_comes_from_a_url(store: Store) -> None:
    block = Block.sealed(DAG_CBOR, b"\xa0")
    raw = Block.sealed(RAW, BIG[:1000])

    async def run() -> None:
        async with refetching(store, {"/a": block.data, "/b": raw.data, "/big": BIG}) as (refetch, server, _):
            for each, path in ((block, "/a"), (raw, "/b")):
                note(store, each.cid.multihash, http(server.url + path))
                await refetch.fetch(each.cid)
                assert store.dag.read(each.cid) == each.data
            other = Block.sealed(DAG_CBOR, b"\xa1\x61a\x01")
            note(store, other.cid.multihash, http(f"{server.url}/big"))
            with pytest.raises(Unverified):
                await refetch.fetch(other.cid)

    asyncio.run(run())


# Blobs by their hash


@pytest.mark.parametrize("kind", ["url", "arweave", "file", "peer", "gateway", "cid of the hash"])
def test_a_blob_comes_back_by_its_hash(store: Store, tmp_path: Path, kind: str) -> None:
    async def run() -> None:
        (tmp_path / "big").write_bytes(BIG)
        proof = f"/blake3/{ROOT.hex()}?format=bao"
        held: dict[str, bytes | Held] = {"/big": BIG, "/Tx": BIG, proof: combined(BIG)}
        async with refetching(store, held) as (refetch, server, _):
            places = {
                "url": http(f"{server.url}/big"),
                "arweave": Origin(OriginKind.ARWEAVE, "ar://Tx"),
                "file": Origin(OriginKind.LOCAL, str(tmp_path / "big")),
                "peer": Origin(OriginKind.PEER, server.url),
                "gateway": Origin(OriginKind.GATEWAY, server.url),
                "cid of the hash": http(f"{server.url}/big"),
            }
            note(store, blob_name(ROOT), places[kind])
            await (refetch.fetch(BLAKE3_CID) if kind.startswith("cid") else refetch.blob(ROOT))
            blob = store.blob(ROOT)
            assert blob.read(0, len(BIG)) == BIG
            assert refetch.knows(blob_name(ROOT))

    asyncio.run(run())


def test_a_false_proof_is_found_at_its_first_false_group(store: Store) -> None:
    async def run() -> None:
        lie = bytearray(combined(BIG))
        lie[100_000] ^= 1
        async with refetching(store, {f"/blake3/{ROOT.hex()}?format=bao": bytes(lie)}) as (
            refetch,
            server,
            _,
        ):
            note(store, blob_name(ROOT), Origin(OriginKind.PEER, server.url))
            with pytest.raises(Unverified):
                await refetch.blob(ROOT)
            assert list(store.list()) == []

    asyncio.run(run())


def test_an_evicted_blob_comes_back_as_the_file_it_was(store: Store) -> None:
    async def run() -> None:
        async with refetching(store, {"/big": BIG}) as (refetch, server, _):
            note(store, V1.multihash, http(f"{server.url}/big"))
            await refetch.fetch(V1)
            store.evict(ROOT)
            assert not store.dag.file(V1)
            await refetch.blob(ROOT)
            assert is_whole(store, V1)
            assert server.asked == ["/big", "/big"]
            await refetch.blob(ROOT)  # it is here
            assert len(server.asked) == 2

    asyncio.run(run())


def test_two_who_want_the_same_ask_once(store: Store) -> None:
    async def run() -> None:
        async with refetching(store, {"/big": BIG}) as (refetch, server, _):
            note(store, V1.multihash, http(f"{server.url}/big"))
            await asyncio.gather(*(refetch.fetch(V1) for _ in range(5)))
            assert server.asked == ["/big"]

    asyncio.run(run())


def combined(data: bytes) -> bytes:
    """The combined encoding, from a store of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Store.open(Path(folder) / "data", StoreSettings(durability=Durability.NONE)) as other,
    ):
        put = other.put_bytes(data)
        return b"".join(bytes(each) for each in encode.combined_pieces(other.blob(put.root)))


@pytest.mark.parametrize("kind", ["url", "file", "arweave", "car", "piece"])
def test_how_large_it_is_there_is_known_once_it_came(store: Store, tmp_path: Path, kind: str) -> None:
    hasher = PieceHasher()
    hasher.update(CAR)
    piece = f"/piece/{piece_cid(hasher.roots()[0])}"
    (tmp_path / "big").write_bytes(BIG)

    async def run() -> None:
        held: dict[str, bytes | Held] = {"/big": BIG, "/Tx": BIG, "/x.car": CAR, piece: CAR}
        async with refetching(store, held) as (refetch, server, _):
            place, size_bytes = {
                "url": (http(f"{server.url}/big"), len(BIG)),
                "file": (Origin(OriginKind.LOCAL, str(tmp_path / "big"), added_s=1.0), len(BIG)),
                "arweave": (Origin(OriginKind.ARWEAVE, "ar://Tx", added_s=1.0), len(BIG)),
                "car": (http(f"{server.url}/x.car", "car"), len(CAR)),
                "piece": (Origin(OriginKind.FILECOIN, server.url + piece, added_s=1.0), len(CAR)),
            }[kind]
            note(store, V1.multihash, place)
            await refetch.fetch(V1)
            store.origins.flush()
            (kept,) = store.origins.of(V1.multihash)
            assert kept.size_bytes == size_bytes

    asyncio.run(run())


def test_a_blob_that_came_with_its_proof_has_its_own_size_on_record(store: Store) -> None:
    async def run() -> None:
        async with refetching(store, {f"/blake3/{ROOT.hex()}?format=bao": combined(BIG)}) as (
            refetch,
            server,
            _,
        ):
            note(store, blob_name(ROOT), Origin(OriginKind.PEER, server.url, added_s=1.0))
            await refetch.blob(ROOT)
            store.origins.flush()
            (kept,) = store.origins.of(blob_name(ROOT))
            assert (kept.size_bytes, kept.last_success_s > 0) == (len(BIG), True)

    asyncio.run(run())
