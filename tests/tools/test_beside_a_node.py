"""The same commands while a node runs on the folder: what they do, the node shows at once."""

from pathlib import Path

from tests import appliance
from tests.tools import trees


def test_content_is_added_named_listed_got_and_removed_while_it_is_served(tmp_path: Path) -> None:
    data = tmp_path / "data"
    tree = trees.wide(tmp_path / "tree", 20)
    with appliance.Node(data, "--offline") as node:

        def edge(*argv: str) -> str:
            done = appliance.edge(data, *argv)
            assert (done.returncode, done.stderr) == (0, b""), argv
            return done.stdout.decode()

        cid = edge("add", "-Q", str(tree)).strip()
        path = f"/ipfs/{cid}/entry-00007.txt"
        assert node.get(path).body == b"7\n"
        assert edge("cat", path) == "7\n"
        assert len(edge("ls", cid).splitlines()) == 20
        name = edge("name", "publish", cid, "--offline").split()[0]
        assert node.get(f"/ipns/{name}/entry-00007.txt").body == b"7\n"
        edge("get", f"{node.ready['public']}/ipns/{name}", "-o", str(tmp_path / "back"))
        assert trees.content_of(tmp_path / "back") == trees.content_of(tree)
        edge("unpin", cid)
        edge("pin", cid, "--name", "again")
        edge("verify", cid)
        edge("evict", cid)
        assert node.get(path).status == 404
        edge("rm", cid)
        assert node.get(f"/ipfs/{cid}/").status == 404
