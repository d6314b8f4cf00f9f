"""The native dag-pb reader under hostile blocks: `make fuzz TARGET=dag_pb`.

The invariant: it agrees with the plain reader of the tests, about values and about the byte that is to blame.
"""

from content import dag_pb, multihash
from content.cid import DAG_PB, RAW, Cid
from content.unixfs.build_directory import Entry, build_directory, build_symlink
from content.unixfs.message import Kind, Message, Mtime, encode
from content.unixfs.profile import UNIXFS_V0_2015, UNIXFS_V1_2025, Estimate, Profile
from tests.content.test_dag_pb import agrees
from tests.fuzz import fixtures

TARGET = "dag_pb"
_CID = Cid.v1(RAW, multihash.sha2_256(b"leaf"))
_SMALL = Profile("small", 0, False, 64, 3, 16, 200, Estimate.BLOCK)


def _seeds() -> list[bytes]:
    names = [f"entry {number}" for number in range(20)]
    entries = [Entry(name, _CID, 4) for name in names]
    seeds = [block.data for block in build_directory(_SMALL, entries).blocks[-3:]]
    seeds += [block.data for block in build_directory(UNIXFS_V1_2025, entries[:3]).blocks]
    seeds.append(build_symlink(UNIXFS_V0_2015, "../a", 0o644, Mtime(-1, 5)).data)
    sizes = Message(Kind.FILE, b"own", 9, (2, 4), mode=0o600)
    seeds.append(dag_pb.encode(dag_pb.Node((dag_pb.Link(_CID, "", 2), dag_pb.Link(_CID)), encode(sizes))))
    seeds += [block.data for block in fixtures.blocks(DAG_PB)]
    return [*seeds, b"", b"\x0a\x00", b"\x0a\x02\x08\x05" + seeds[-1][:44]]


SEEDS = _seeds()


def one(data: bytes) -> None:
    """Read `data` both ways."""
    agrees(data)
