"""How much of a body a HEAD looks at: counted over blocks made here."""

from collections.abc import Iterator

import pytest

from content.block import BlockMissing
from content.cid import RAW, Cid
from gateway.head_look import Look
from net.answer import Answer, Pause
from tests.gateway.dags import Dags

LEAF = Dags().raw(b"a leaf")


async def _never() -> None:
    raise AssertionError("a HEAD waits for nothing")


def _looked(
    look: Look, items: Iterator[bytes | Pause], kind: str = "car", *, fetches: bool = False
) -> Answer:
    return look.checked(Answer(200, body=items, kind=kind), fetches=fetches)


@pytest.mark.parametrize(("block_bytes", "most"), [(10, 256), (1 << 20, 2)])
def test_a_look_ends_after_so_many_blocks_and_bytes(block_bytes: int, most: int) -> None:
    read: list[Cid] = []

    def block(cid: Cid) -> bytes:
        read.append(cid)
        return bytes(block_bytes)

    look = Look(block)
    look.read(LEAF)  # for the fields: not counted

    def endless() -> Iterator[bytes]:
        while True:
            yield b""
            look.read(LEAF)

    assert _looked(look, endless()).status == 200
    assert len(read) == 1 + most + 1


def test_a_look_ends_after_so_many_items_and_made_bytes() -> None:
    for item, most in ((b"", 1024), (bytes(1 << 10), 65)):
        left = iter(range(1 << 20))
        _looked(Look(lambda _: b""), (item for _ in left))
        assert next(left) <= most


def test_what_would_be_fetched_ends_the_look_and_what_lacks_is_raised() -> None:
    def lacks() -> Iterator[bytes | Pause]:
        yield Pause(_never)
        raise BlockMissing(Cid.v1(RAW, LEAF.multihash))

    assert _looked(Look(lambda _: b""), lacks(), fetches=True).status == 200
    with pytest.raises(BlockMissing):
        _looked(Look(lambda _: b""), lacks())
    assert _looked(Look(lambda _: b""), lacks(), "file").status == 200, (
        "the rest of a file is served by ranges"
    )
