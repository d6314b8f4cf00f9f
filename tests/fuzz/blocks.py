"""A small random store: blocks that point at each other in any way, cycles included, read with a count.

Real blocks cannot form a cycle, because a name is a hash; readers must end all the same, so names here are
numbers and nothing is hashed.
"""

from collections.abc import Callable
from typing import Final

from content import dag_cbor, dag_json, dag_pb, multihash
from content.block import BlockMissing
from content.cid import DAG_CBOR, DAG_JSON, DAG_PB, RAW, Cid
from content.dag_pb import Link, Node
from content.unixfs import message
from content.unixfs.hamt import MURMUR3_X64_64, hash_bits, slot
from content.unixfs.message import Kind, Message
from runtime.errors import BadRequest
from tests.fuzz import values
from tests.fuzz.draws import Draws

_CODECS: Final = (DAG_PB, DAG_PB, DAG_PB, RAW, DAG_CBOR, DAG_JSON)
NAMES: Final = ("a", "b", "readme.md", "x", "", "é", "..", "a/b", "\udcff")
_FANOUTS: Final = (8, 16, 256, 1024, 0, 7, 2048)


class Blocks:
    """Blocks by number; a `BlockReader` that counts."""

    def __init__(self, draws: Draws) -> None:
        self.count = 1 + draws.below(8)
        self.codecs = [_CODECS[draws.below(len(_CODECS))] for _ in range(self.count)]
        self.codecs[0] = DAG_PB if draws.chance(200) else self.codecs[0]
        self.cids = tuple(_name(number, codec) for number, codec in enumerate(self.codecs))
        self.sizes = [0] * self.count  # of files, as far as they are told truly
        self.data: dict[bytes, bytes] = {}
        self.reads = 0
        for number in reversed(range(self.count)):
            self.data[self.cids[number].multihash] = self._block(number, draws)

    def read(self, cid: Cid) -> bytes:
        """The block. Raises BlockMissing."""
        self.reads += 1
        if cid.is_identity:
            return cid.digest
        found = self.data.get(cid.multihash)
        if found is None:
            raise BlockMissing(cid)
        return found

    def _block(self, number: int, draws: Draws) -> bytes:
        codec = self.codecs[number]
        if codec == DAG_PB:
            makers: tuple[Callable[[int, Draws], bytes], ...] = (
                self._file,
                self._file,
                self._directory,
                self._shard,
                self._shard,
            )
            return makers[draws.below(len(makers))](number, draws)
        if codec == RAW:
            raw = draws.chunk(40)
            self.sizes[number] = len(raw)
            return raw
        value = values.value(draws, 0, self.cids)
        if codec == DAG_CBOR:
            return dag_cbor.encode(value)
        try:
            return dag_json.encode(value)
        except BadRequest:
            return b"null"

    def _target(self, number: int, draws: Draws) -> int:
        """Mostly a block further on, as in a DAG; sometimes any, itself included; rarely one not here."""
        if draws.chance(16):
            return -1
        if draws.chance(32) or number + 1 == self.count:
            return draws.below(self.count)
        return number + 1 + draws.below(self.count - number - 1)

    def _cid(self, number: int) -> Cid:
        return self.cids[number] if number >= 0 else _name(99, RAW)

    def _file(self, number: int, draws: Draws) -> bytes:
        own = draws.chunk(20)
        links, sizes = [], []
        for _ in range(draws.below(7)):
            target = self._target(number, draws)
            links.append(Link(self._cid(target), "", 1))
            lie = int.from_bytes(draws.chunk(8), "big") >> 1 if draws.chance(8) else None
            sizes.append(min(self.sizes[target] if lie is None else lie, 1 << 60))
        total = len(own) + sum(sizes)
        self.sizes[number] = total
        told = None if draws.chance(20) else total + draws.chance(6)
        said = Message(Kind.FILE, own or None, told and min(told, (1 << 63) - 1), tuple(sizes))
        return dag_pb.encode(Node(tuple(links), message.encode(said)))

    def _directory(self, number: int, draws: Draws) -> bytes:
        links = tuple(
            Link(self._cid(self._target(number, draws)), NAMES[draws.below(len(NAMES))], draws.byte())
            for _ in range(draws.below(6))
        )
        return dag_pb.encode(Node(links, message.encode(Message(Kind.DIRECTORY))))

    def _shard(self, number: int, draws: Draws) -> bytes:
        """A shard, mostly sound at the level that is drawn."""
        fanout = _FANOUTS[draws.below(len(_FANOUTS))] if draws.chance(16) else 256
        level = draws.below(3)
        width, bits, links = len(f"{max(fanout, 1) - 1:X}"), 0, dict[int, Link]()
        for _ in range(draws.below(8)):
            name = NAMES[draws.below(len(NAMES))] if draws.chance(200) else ""
            place = draws.below(max(fanout, 1))
            if name and fanout.bit_count() == 1 and not draws.chance(10):
                place = slot(hash_bits(name), level, fanout)
            bits |= 1 << place
            links[place] = Link(self._cid(self._target(number, draws)), f"{place:0{width}X}{name}", 1)
        ordered = tuple(links[place] for place in sorted(links))
        field = bits.to_bytes((bits.bit_length() + 7) // 8, "big")
        if draws.chance(8):
            field = draws.chunk(40)
        said = Message(Kind.HAMT_SHARD, field, None, (), MURMUR3_X64_64, fanout)
        return dag_pb.encode(Node(ordered, message.encode(said)))


def _name(number: int, codec: int) -> Cid:
    return Cid.v1(codec, multihash.wrap(multihash.SHA2_256, bytes([number]) * 32))
