"""DAGs for tests of pinning, made from numbers: with sharing, of several codecs, and in any shape."""

import random

from content import dag_cbor
from content.block import Block
from content.cid import DAG_CBOR, RAW, Cid
from content.links import links
from content.unixfs.build_directory import Entry, build_directory
from content.unixfs.profile import UNIXFS_V1_2025
from tests.origins.trustless_source import file_blocks

Held = dict[bytes, Block]


def random_dag(seed: int, size: int, links_max: int = 4) -> tuple[Cid, Held]:
    """A DAG of at most `size` blocks: each links to a few made before it, so that many are shared."""
    rng = random.Random(seed)
    made: list[Block] = []
    for number in range(size - 1):
        if not made or rng.random() < 0.5:
            made.append(Block.sealed(RAW, f"{seed} {number}".encode() * rng.randrange(1, 20)))
        else:
            below = [rng.choice(made).cid for _ in range(rng.randrange(links_max + 1))]
            made.append(Block.sealed(DAG_CBOR, dag_cbor.encode({"n": number, "below": list(below)})))
    tops = [block.cid for block in made[-links_max:]]
    root = Block.sealed(DAG_CBOR, dag_cbor.encode({"root": seed, "below": list(tops)}))
    held = {block.cid.multihash: block for block in (*made, root)}
    reached = reach(root.cid, held)
    return root.cid, {name: block for name, block in held.items() if name in reached}


def reach(root: Cid, held: Held) -> set[bytes]:
    """Multihashes of every block of the DAG."""
    found: set[bytes] = set()
    waiting = [root]
    while waiting:
        cid = waiting.pop()
        if cid.multihash in found or cid.is_identity:
            continue
        found.add(cid.multihash)
        waiting += links(cid, held[cid.multihash].data)
    return found


def tree(files: dict[str, bytes]) -> tuple[Cid, Held]:
    """A UnixFS directory of files."""
    held: Held = {}
    entries = []
    for name, data in files.items():
        cid, blocks = file_blocks(data)
        held.update(blocks)
        entries.append(Entry(name, cid, sum(len(block.data) for block in blocks.values())))
    made = build_directory(UNIXFS_V1_2025, entries)
    held.update({block.cid.multihash: block for block in made.blocks})
    return made.cid, held
