"""Bytes of which nobody has said what they are: who takes them, and who no more."""

import gzip
import random
from functools import partial
from pathlib import Path

from blockstore import Store
from content.block import Block
from content.cid import RAW
from content.unixfs.profile import UNIXFS_V1_2025
from origins.guess import Guess
from origins.rebuild import Rebuild
from origins.sinks import CarSink
from origins.tar_sink import TarSink
from runtime.errors import EdgeError, TooLarge, Unverified
from tests.origins.trustless_source import car_of, file_blocks

CONTENT = random.Random(11).randbytes(3_000_000)
CID, BLOCKS = file_blocks(CONTENT)


def never() -> TarSink:
    raise AssertionError("it is no TAR that could be read")


def guess(store: Store, plain: Rebuild, room_bytes: int | None = None) -> Guess:
    return Guess(plain, partial(CarSink, store, CID, None, room_bytes), never, packed=False)


def test_a_compressed_file_that_may_be_no_archive_is_not_kept_beside_itself(tmp_path: Path) -> None:
    content = gzip.compress(b"a page\n" * 1000)
    cid, _ = file_blocks(content)
    with Store.open(tmp_path / "data") as store:
        taken = guess(store, Rebuild(store, cid, ()))
        taken.write(content)
        assert taken.finish() == "block"
        assert store.dag.has(cid)


def test_a_car_that_was_refused_takes_nothing_more(tmp_path: Path) -> None:
    root = BLOCKS[CID.multihash]
    leaves = [each for name, each in BLOCKS.items() if name != CID.multihash]
    strangers = [Block.sealed(RAW, bytes([number]) * 900_000) for number in range(3)]
    car = car_of((CID,), [root, *leaves, *strangers])
    half = car.index(strangers[0].data)
    with Store.open(tmp_path / "data") as store:
        taken = guess(
            store, Rebuild(store, CID, [UNIXFS_V1_2025]), sum(len(each.data) for each in leaves) - 1
        )
        problem: EdgeError | None = None
        try:
            for piece in (car[:half], car[half:]):
                taken.write(piece)
            taken.finish()
        except (TooLarge, Unverified) as error:
            problem = error
        finally:
            taken.abort()
        assert isinstance(problem, TooLarge), problem
        assert "there is room for" in problem.message
