"""DAGs for the tests of the gateway: built block by block with our own builders, written as one CAR."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from content import car, dag_cbor, dag_json, dag_pb
from content.block import Block
from content.cid import CBOR, DAG_CBOR, DAG_JSON, DAG_PB, JSON, RAW, Cid
from content.dag_value import Value
from content.multihash import SHA2_256
from content.unixfs import message
from content.unixfs.build_directory import Entry, build_directory, build_symlink
from content.unixfs.build_file import FileBuilder
from content.unixfs.profile import Estimate, Profile

# Small chunks and narrow nodes: a file of 10 kB has three levels; directories are sharded on request only
SMALL = Profile("small", 1, True, 1000, 4, 8, 1 << 20, Estimate.BLOCK)
FRAMED = replace(SMALL, name="framed", cid_version=0, raw_leaves=False)
SHARDED = replace(SMALL, name="sharded", shard_above_bytes=0)


@dataclass
class Dags:
    """Blocks made so far, in the order they were made."""

    blocks: dict[Cid, bytes] = field(default_factory=dict)
    sizes: dict[Cid, int] = field(default_factory=dict)

    def put(self, codec: int, data: bytes, code: int = SHA2_256) -> Cid:
        """One block as it is."""
        block = Block.sealed(codec, data, code)
        return self._keep(block.cid, data)

    def raw(self, data: bytes) -> Cid:
        return self.put(RAW, data)

    def file(self, data: bytes, profile: Profile = SMALL) -> Cid:
        """A file; of one block where it fits in a chunk."""
        builder = FileBuilder(profile)
        made = builder.write(data)
        last, whole = builder.finish()
        for each in [*made, *last]:
            if isinstance(each, Block):
                self._keep(each.cid, each.data)
            else:
                middle = data[each.offset : each.offset + each.length]
                self._keep(each.cid, each.prefix + middle + each.suffix)
        self.sizes[whole.cid] = whole.dag_bytes
        return whole.cid

    def directory(self, entries: dict[str, Cid], profile: Profile = SMALL) -> Cid:
        """A directory; a sharded one with SHARDED."""
        made = build_directory(
            profile, [Entry(name, cid, self.sizes.get(cid, 0)) for name, cid in entries.items()]
        )
        for block in made.blocks:
            self._keep(block.cid, block.data)
        self.sizes[made.cid] = made.dag_bytes
        return made.cid

    def crooked_directory(self, entries: list[tuple[str, Cid]]) -> Cid:
        """A directory with names that our builder refuses to write."""
        links = tuple(dag_pb.Link(cid, name, self.sizes.get(cid, 0)) for name, cid in entries)
        return self.node(links, message.Message(message.Kind.DIRECTORY))

    def node(self, links: tuple[dag_pb.Link, ...], what: message.Message) -> Cid:
        """A dag-pb node with a UnixFS message."""
        return self.put(DAG_PB, dag_pb.encode(dag_pb.Node(links, message.encode(what))))

    def symlink(self, target: str) -> Cid:
        block = build_symlink(SMALL, target)
        return self._keep(block.cid, block.data)

    def value(self, codec: int, value: Value) -> Cid:
        """A block of dag-cbor, dag-json, or one of their plain forms."""
        encode = dag_cbor.encode if codec in (DAG_CBOR, CBOR) else dag_json.encode
        assert codec in (DAG_CBOR, CBOR, DAG_JSON, JSON)
        return self.put(codec, encode(value))

    def children(self, cid: Cid) -> list[Cid]:
        """The links of a dag-pb node, in order."""
        return [link.cid for link in dag_pb.decode(self.blocks[cid]).links]

    def car(self, path: Path, without: set[Cid] | None = None) -> Path:
        """Everything but `without` as one CAR."""
        parts = [car.header(())]
        for cid, data in self.blocks.items():
            if cid not in (without or ()) and not cid.is_identity:
                parts += [car.frame(cid, len(data)), data]
        path.write_bytes(b"".join(parts))
        return path

    def _keep(self, cid: Cid, data: bytes) -> Cid:
        self.blocks[cid] = data
        self.sizes.setdefault(cid, len(data))
        return cid
