"""Availability proofs: an honest prover convinces who knows the root alone, and no other prover does."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from blockstore import Store
from blockstore.importing import Importing
from content import car, multihash
from content.block import Block, BlockMissing
from content.car import CarReader
from content.cid import DAG_CBOR, RAW, Cid
from content.multihash import BLAKE3
from content.private_key import wrap
from content.unixfs.profile import UNIXFS_V0_2015, UNIXFS_V1_2025, Profile
from pinning.challenge import Challenge
from pinning.holding import Holding
from pinning.proof import Statement, read_statement
from pinning.proving import Holder, Kept, prove
from pinning.verifying import Verifier, verify
from runtime.errors import BadRequest, EdgeError, Unverified
from tests.gateway.dags import FRAMED, SHARDED, SMALL, Dags
from tests.pinning.arrivals import QUICK, car_of, tree

KEY = wrap(Ed25519PrivateKey.from_private_bytes(bytes(32)))
OTHER = wrap(Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))
MADE_MS = 1_700_000_000_123


def challenge(root: Cid, samples: int = 8) -> Challenge:
    return Challenge(root, random.randbytes(32), samples)


def answer(asked: Challenge, holder: Holder) -> bytes:
    return b"".join(prove(asked, holder, KEY.public, KEY.sign, MADE_MS).pieces)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "data", QUICK)


def brought(store: Store, dags: Dags, *roots: Cid) -> Holding:
    with Importing(store.dag) as importing:
        for block in CarReader().feed(car_of(dags, *roots)):
            importing.add(block)
        importing.finish()
    return Holding(store)


PROFILES = [SMALL, FRAMED, UNIXFS_V1_2025, UNIXFS_V0_2015]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda each: each.name)
def test_who_has_it_convinces_who_knows_the_root(store: Store, profile: Profile) -> None:
    dags, root = tree(1, 700_000, 3, 20_000, 0, profile=profile)
    asked = challenge(root)
    data = answer(asked, brought(store, dags, root))
    for step in (1, 1000, len(data)):
        if step == 1 and len(data) > 200_000:
            continue
        verdict = verify(asked, (data[at : at + step] for at in range(0, len(data), step)))
        assert (verdict.signer, verdict.made_ms, verdict.missing) == (KEY.public, MADE_MS, None)
        assert verdict.blocks > 1
    store.close()


def test_other_codecs_and_sharded_directories(store: Store) -> None:
    dags = Dags()
    files = {f"file {number}": dags.file(bytes([number]) * 3000) for number in range(40)}
    deep = dags.value(DAG_CBOR, {"a": [dags.directory(files, SHARDED), dags.raw(b"x" * 40_000)], "b": None})
    holding = brought(store, dags, deep)
    for _ in range(5):
        asked = challenge(deep)
        assert verify(asked, [answer(asked, holding)]).missing is None
    store.close()


def test_a_blob_is_proven_by_slices_alone(store: Store) -> None:
    content = random.Random(1).randbytes(5_000_000)
    put = store.put_bytes(content)
    root = Cid.v1(RAW, multihash.of(BLAKE3, content))
    assert root.digest == put.root
    asked = challenge(root)
    data = answer(asked, Holding(store))
    assert verify(asked, [data]).missing is None
    assert len(data) < 8 * 40_000, "a slice is a group, its way up, and the end"
    store.close()


def test_what_lacks_is_said_and_signed(store: Store) -> None:
    dags, root = tree(2, 100_000)
    first = next(iter(CarReader().feed(car_of(dags, root))))
    store.dag.put([first])
    asked = challenge(root)
    verdict = verify(asked, [answer(asked, Holding(store))])
    assert verdict.missing == dags.children(root)[0]
    assert verdict.blocks == 0
    store.close()


def test_no_byte_of_a_proof_can_be_changed_or_left_out(store: Store) -> None:
    dags, root = tree(3, 4000, 3)
    asked = challenge(root, 3)
    data = answer(asked, brought(store, dags, root))
    for at in {*range(0, len(data), 211), *range(300), len(data) - 1}:
        changed, left_out = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], data[:at] + data[at + 1 :]
        for spoiled in (changed, left_out, data[:at]):
            with pytest.raises(EdgeError):
                verify(asked, [spoiled])
    store.close()


def without(data: bytes, number: int) -> bytes:
    """The proof without one of its sections, soundly framed."""
    reader = CarReader()
    blocks = list(reader.feed(data))
    assert reader.roots is not None
    kept = blocks[:number] + blocks[number + 1 :]
    return car.header(reader.roots) + b"".join(car.frame(b.cid, len(b.data)) + b.data for b in kept)


def test_every_section_of_a_proof_is_needed_and_nothing_more_is_taken(store: Store) -> None:
    dags, root = tree(4, 9000, 9000)
    asked = challenge(root)
    data = answer(asked, brought(store, dags, root))
    count = len(list(CarReader().feed(data)))
    for number in range(count):
        with pytest.raises((BadRequest, Unverified)):
            verify(asked, [without(data, number)])
    stray = Block.sealed(RAW, b"stray")
    with pytest.raises(BadRequest, match="not asked for"):
        verify(asked, [data + car.frame(stray.cid, 5) + b"stray"])
    with pytest.raises(BadRequest, match="twice"):
        verify(asked, [data + car.frame(root, len(dags.blocks[root])) + dags.blocks[root]])
    store.close()


def test_an_old_proof_answers_no_new_challenge(store: Store) -> None:
    dags, root = tree(5, 9000)
    holding = brought(store, dags, root)
    old = challenge(root)
    data = answer(old, holding)
    for asked in (challenge(root), replace(old, samples=7), replace(old, root=dags.children(root)[0])):
        with pytest.raises(Unverified):
            verify(asked, [data])
    store.close()


def restated(data: bytes, change: Callable[[Statement], Statement], sign: Callable[[bytes], bytes]) -> bytes:
    """The proof with another statement, signed again: what a lying prover can do."""
    reader = CarReader()
    blocks = list(reader.feed(data))
    assert reader.roots is not None
    statement = change(read_statement(blocks[0].data)).signed(sign)
    parts = [car.header((reader.roots[0], statement.cid))]
    for block in (statement, *blocks[1:]):
        parts += [car.frame(block.cid, len(block.data)), block.data]
    return b"".join(parts)


def test_a_lie_about_where_bytes_lie_is_met_by_the_slice(store: Store) -> None:
    dags, root = tree(6, 700_000, profile=UNIXFS_V1_2025)
    asked = challenge(root, 4)
    data = answer(asked, brought(store, dags, root))

    def lying(**fields: object) -> Callable[[Statement], Statement]:
        def change(said: Statement) -> Statement:
            places = [None if place is None else replace(place, **fields) for place in said.places]  # type: ignore[arg-type]
            return replace(said, places=tuple(places))

        return change

    for change in (
        lying(blob=bytes(32)),
        lying(size_bytes=700_001),
        lying(start=1),
        lying(stop=699_999),
        lying(prefix_bytes=1),
        lying(prefix_bytes=1 << 40),
    ):
        with pytest.raises((BadRequest, Unverified)):
            verify(asked, [restated(data, change, KEY.sign)])
    honest = restated(data, lambda said: said, KEY.sign)
    assert verify(asked, [honest]).missing is None
    store.close()


def test_a_true_slice_of_another_blob_does_not_stand_for_the_block(store: Store) -> None:
    dags, root = tree(9, 300_000, profile=UNIXFS_V1_2025)
    holding = brought(store, dags, root)
    other = store.blob(store.put_bytes(random.Random(9).randbytes(300_000)[::-1]).root)

    class Elsewhere:
        read, whole = staticmethod(holding.read), staticmethod(holding.whole)

        def kept(self, cid: Cid) -> Kept | None:
            found = holding.kept(cid)
            return None if found is None else replace(found, blob=other)

    asked = challenge(root, 2)
    with pytest.raises(Unverified, match="other bytes"):
        verify(asked, [answer(asked, Elsewhere())])
    store.close()


def test_the_statement_is_the_signers(store: Store) -> None:
    dags, root = tree(7, 900)
    asked = challenge(root)
    data = answer(asked, brought(store, dags, root))
    with pytest.raises(Unverified, match="signer"):
        verify(asked, [restated(data, lambda said: replace(said, made_ms=1), OTHER.sign)])
    store.close()


def test_ways_are_drawn_by_size_and_by_the_nonce() -> None:
    """A file with nine tenths of the bytes is met nine times in ten; another nonce meets other blocks."""
    dags = Dags()
    large, small = dags.file(b"l" * 90_000), dags.file(b"s" * 10_000)
    root = dags.directory({"large": large, "small": small})
    met = [Challenge(root, bytes([n]) * 32, 1).next(0, 0, root, dags.blocks[root]) for n in range(256)]
    assert 256 * 0.8 < met.count(large) < 256 * 0.97
    assert met.count(large) + met.count(small) == 256


def test_a_missing_share_is_found_with_the_chance_that_is_promised() -> None:
    dags, root = tree(8, 400_000, 400_000)
    lost = {block for block in dags.blocks if block.codec == RAW and block.digest[0] % 5 == 0}

    class Lossy:
        def read(self, cid: Cid) -> bytes:
            if cid in lost:
                raise BlockMissing(cid)
            return dags.blocks[cid]

        def kept(self, cid: Cid) -> None:
            return None

        whole = kept

    tries = 200
    passed = sum(
        prove(Challenge(root, n.to_bytes(32, "big"), 8), Lossy(), KEY.public, KEY.sign, 1).missing is None
        for n in range(tries)
    )
    assert passed / tries == pytest.approx(0.8**8, abs=0.09)


@pytest.mark.parametrize(("nonce", "samples"), [(b"", 1), (bytes(31), 1), (bytes(32), 0), (bytes(32), 65)])
def test_a_challenge_is_bounded(nonce: bytes, samples: int) -> None:
    with pytest.raises(BadRequest):
        Challenge(Block.sealed(RAW, b"").cid, nonce, samples)


def test_a_verdict_needs_a_statement() -> None:
    asked = challenge(Block.sealed(RAW, b"x").cid)
    verifier = Verifier(asked)
    verifier.feed(car.header((asked.root, asked.root)))
    with pytest.raises(BadRequest, match="statement"):
        verifier.end()
