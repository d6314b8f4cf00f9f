"""What commands bring in keeps where it came from: files by hash, DAGs by their roots."""

from pathlib import Path

from blockstore import Store
from blockstore.origin import Origin, OriginKind
from blockstore.origin_book import blob_name
from content.cid import Cid
from tests.tools import trees
from tests.tools.conftest import Edge


def _kept(data: Path) -> dict[bytes, list[Origin]]:
    with Store.open(data) as store:
        return {name: store.origins.of(name) for name, _ in store.origins.all()}


def test_each_file_that_is_put_keeps_its_path(edge: Edge, data: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_bytes(b"one")
    (tmp_path / "sub" / "b").write_bytes(b"two")
    records = edge("put", tmp_path / "sub" / ".." / "sub", "--json").records
    kept = _kept(data)
    assert len(kept) == len(records) == 2
    for record in records:
        (origin,) = kept[blob_name(bytes.fromhex(record["blake3"]))]
        path = tmp_path / "sub" / Path(record["path"]).name
        assert (origin.kind, origin.address, origin.account) == (OriginKind.LOCAL, str(path), "")
        assert origin.size_bytes == 3
        assert origin.added_s == origin.first_success_s == origin.last_success_s > 0


def test_of_a_tree_that_is_added_the_root_keeps_its_path_and_how_it_was_made(
    edge: Edge, data: Path, tmp_path: Path
) -> None:
    tree = trees.many_shapes(tmp_path / "tree")
    plain = edge("add", "-Q", tree).out.decode().strip()
    flags = ("--profile", "unixfs-v0-2015", "--preserve-mode", "--no-hidden", "--no-pin")
    other = edge("add", "-Q", *flags, tree).out.decode().strip()
    kept = _kept(data)
    assert set(kept) == {Cid.parse(plain).multihash, Cid.parse(other).multihash}
    (origin,) = kept[Cid.parse(plain).multihash]
    assert (origin.kind, origin.address, origin.profile) == (
        OriginKind.LOCAL,
        str(tree),
        "unixfs-v1-2025",
    )
    shown = edge("add", "--json", tree).records[-1]
    assert (shown["cid"], origin.size_bytes) == (plain, shown["size_bytes"])
    (origin,) = kept[Cid.parse(other).multihash]
    assert origin.profile == "unixfs-v0-2015+mode+no-hidden"


def test_a_car_and_standard_input_are_origins_too(edge: Edge, data: Path, tmp_path: Path) -> None:
    piped = edge("add", "-Q", "-", stdin=b"from a pipe").out.decode().strip()
    exported = edge("dag", "export", piped).out
    (tmp_path / "x.car").write_bytes(exported)
    edge("dag", "import", tmp_path / "x.car")
    kept = _kept(data)
    rows = kept[Cid.parse(piped).multihash]
    assert [(each.kind, each.address, each.size_bytes) for each in rows] == [
        (OriginKind.LOCAL, str(tmp_path / "x.car"), len(exported)),
        (OriginKind.UPLOAD, "standard input", len(b"from a pipe")),
    ]
