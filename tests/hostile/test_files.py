"""Files whose nodes lie about sizes: refused at the node that lies, by name, before a byte is wrong."""

import pytest

from content import dag_pb
from content.cid import DAG_PB, RAW, Cid
from content.dag_pb import Link, Node
from content.unixfs import file
from content.unixfs.message import Kind, Message, encode
from runtime.errors import EdgeError, Unverified
from tests.hostile.test_dags import Bomb

UINT64_MAX = b"\xff" * 9 + b"\x01"


def told(*sizes: int, file_bytes: int | None, links: int = 2, own: bytes | None = None) -> tuple[Bomb, Cid]:
    """A file of `links` leaves of five bytes, told these sizes."""
    bomb = Bomb()
    leaf = bomb.put(RAW, b"five!")
    return bomb, bomb.node([Link(leaf, "", 5)] * links, Message(Kind.FILE, own, file_bytes, sizes))


@pytest.mark.parametrize(
    ("sizes", "file_bytes", "reason"),
    [
        ((5, 5), 11, "11 bytes announced, 10 in its parts"),
        ((5, 5), 9, "9 bytes announced, 10 in its parts"),
        ((5, 5), 0, "0 bytes announced"),
        ((5,), 5, "2 parts and 1 sizes"),
        ((5, 5, 0), 10, "2 parts and 3 sizes"),
        ((), 0, "2 parts and 0 sizes"),
        ((1 << 62, 1 << 62), None, "more than a file can be"),
    ],
)
def test_a_node_that_contradicts_itself_is_refused_by_name(
    sizes: tuple[int, ...], file_bytes: int | None, reason: str
) -> None:
    bomb, root = told(*sizes, file_bytes=file_bytes)
    for work in (lambda: file.size_of(root, bomb.read(root)), lambda: list(file.leaves(root, bomb.read))):
        with pytest.raises(Unverified, match=reason) as caught:
            work()
        assert caught.value.where == root.text()


@pytest.mark.parametrize("sizes", [(5, 6), (4, 5), (6, 5), (1 << 40, 5)])
def test_a_part_of_another_size_than_its_parent_says_is_refused_at_the_part(sizes: tuple[int, int]) -> None:
    bomb, root = told(*sizes, file_bytes=sum(sizes))
    with pytest.raises(Unverified, match="a part of 5 bytes was announced") as caught:
        list(file.leaves(root, bomb.read))
    assert caught.value.where == Bomb().put(RAW, b"five!").text()


def test_sizes_of_sixty_four_bits_are_no_negative_ones_and_no_overflow() -> None:
    bomb = Bomb()
    leaf = bomb.put(RAW, b"five!")
    for count in (1, 2, 3):
        said = b"\x08\x02" + b"\x20" + UINT64_MAX + b"\x20\x01" * (count - 1)
        root = bomb.put(DAG_PB, dag_pb.encode(Node((Link(leaf, "", 5),) * count, said)))
        with pytest.raises(EdgeError) as caught:
            file.size_of(root, bomb.read(root))
        assert caught.value.where == root.text()
    whole = b"\x08\x02\x12\x05five!\x18" + UINT64_MAX
    root = bomb.put(DAG_PB, dag_pb.encode(Node((), whole)))
    with pytest.raises(Unverified, match="announced, 5 in its parts"):
        file.size_of(root, bomb.read(root))


def test_a_part_that_is_no_file_is_refused_by_name() -> None:
    bomb = Bomb()
    for kind in (Kind.DIRECTORY, Kind.SYMLINK, Kind.HAMT_SHARD, Kind.METADATA):
        part = bomb.node([], Message(kind, b"five!"))
        root = bomb.node([Link(part, "", 5)], Message(Kind.FILE, None, 5, (5,)))
        with pytest.raises(Unverified, match="a part of a file is a") as caught:
            list(file.leaves(root, bomb.read))
        assert caught.value.where == part.text()


def test_parts_of_nothing_are_never_read() -> None:
    bomb = Bomb()
    missing = Cid.v1(RAW, b"\x12\x20" + bytes(32))
    root = bomb.node([Link(missing, "", 0)] * 1000, Message(Kind.FILE, b"own", 3, (0,) * 1000))
    assert [run.block_stop - run.block_start for run in file.leaves(root, bomb.read)] == [3]
    assert bomb.reads == 1
    assert dag_pb.decode(bomb.read(root)).data == encode(Message(Kind.FILE, b"own", 3, (0,) * 1000))
