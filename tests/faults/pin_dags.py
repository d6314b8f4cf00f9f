"""The DAGs of the pin rounds, made from numbers: a few files, some of them and one block in every DAG."""

import random
from functools import lru_cache

from content import dag_cbor
from content.block import Block
from content.cid import DAG_CBOR, RAW
from content.unixfs.build_directory import Entry, build_directory
from content.unixfs.profile import Estimate, Profile
from tests.origins.trustless_source import file_blocks

NUMBERS = 240
_PROFILE = Profile("small", 1, True, 16_384, 5, 256, 1 << 18, Estimate.BLOCK)
_SIZES = (0, 100, 16_384, 40_000, 120_000)


@lru_cache(maxsize=NUMBERS)
def dag_of(number: int) -> tuple[Block, ...]:
    """Every different block of DAG `number`, the root first."""
    rng = random.Random(f"pinned dag {number}")
    contents = [random.Random("shared").randbytes(20_000)]
    contents.append(random.Random(f"shared {number % 7}").randbytes(60_000))
    contents += (rng.randbytes(rng.choice(_SIZES)) for _ in range(2))
    blocks: dict[bytes, Block] = {}
    entries = []
    for index, content in enumerate(contents):
        cid, made = file_blocks(content, _PROFILE)
        blocks.update(made)
        entries.append(Entry(f"file-{index}", cid, sum(len(block.data) for block in made.values())))
    folder = build_directory(_PROFILE, entries)
    shared = Block.sealed(RAW, b"in every DAG")
    root = Block.sealed(
        DAG_CBOR, dag_cbor.encode({"folder": folder.cid, "number": number, "shared": shared.cid})
    )
    return (root, *folder.blocks, *blocks.values(), shared)


def everything() -> dict[bytes, Block]:
    """The blocks of all DAGs, by multihash."""
    return {block.cid.multihash: block for number in range(NUMBERS) for block in dag_of(number)}
