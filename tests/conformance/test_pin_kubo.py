"""A real kubo pins at a running node: `ipfs pin remote` whole, in the foreground and in the background."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance import Node, edge, token
from tests.conformance.ipfs import Ipfs
from tests.pinning.service import cid_of

ALL = "--status=queued,pinning,pinned,failed"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.needs("ipfs")]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pin-kubo") / "tree"
    folder.mkdir()
    (folder / "note.txt").write_text("a note\n")
    (folder / "big.bin").write_bytes(bytes(range(256)) * 20_000)
    return folder


@pytest.fixture(scope="module")
def node(tree: Path) -> Iterator[Node]:
    with Node(tree.parent / "data", "--workers", "1", "--offline") as running:
        yield running


@pytest.fixture(scope="module")
def root(node: Node, tree: Path) -> str:
    """A directory that lies in the node already."""
    done = edge(node.data, "add", "-Q", str(tree))
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def kubo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ipfs]:
    """A daemon: only an online kubo sends its origins and dials the delegates."""
    ipfs = Ipfs(tmp_path_factory.mktemp("pinning-kubo"))
    with ipfs.daemon(Routing__Type="none"):
        yield ipfs


class Remote:
    """One pinning service of a kubo, with an account of its own."""

    def __init__(self, kubo: Ipfs, node: Node, name: str) -> None:
        self.kubo, self.name = kubo, name
        self.endpoint = node.ready["public"].rstrip("/") + "/pinning/v1"
        self.token = token(node.data, name, "pin")
        kubo.run("pin", "remote", "service", "add", name, self.endpoint, self.token)

    def run(self, command: str, *arguments: str) -> str:
        return self.kubo.run("pin", "remote", command, f"--service={self.name}", *arguments).decode()

    def listed(self, *filters: str) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.run("ls", "--enc=json", *filters).splitlines()]

    def refused(self, command: str, *arguments: str) -> str:
        done = self.kubo.attempt("pin", "remote", command, f"--service={self.name}", *arguments)
        assert done.returncode != 0
        return done.stderr.decode()


@pytest.fixture
def remote(kubo: Ipfs, node: Node, request: pytest.FixtureRequest) -> Iterator[Remote]:
    made = Remote(kubo, node, request.node.name[:60].rstrip("_"))
    yield made
    kubo.run("pin", "remote", "service", "rm", made.name)


def test_add_waits_until_the_node_has_all_of_it(remote: Remote, root: str) -> None:
    said = remote.run("add", "--name=tree", f"/ipfs/{root}")
    assert [line.split() for line in said.splitlines()] == [
        ["CID:", root],
        ["Name:", "tree"],
        ["Status:", "pinned"],
    ]
    assert remote.listed() == [{"Cid": root, "Name": "tree", "Status": "pinned"}]


def test_add_in_the_background_returns_at_once_and_names_kubo_as_an_origin(
    remote: Remote, node: Node, kubo: Ipfs
) -> None:
    cid = kubo.run("add", "-Q", "--raw-leaves", stdin=b"only in kubo").decode().strip()
    said = remote.run("add", "--background", f"/ipfs/{cid}")
    assert "pinned" not in said.split()
    (pin,) = remote.listed(ALL)
    assert (pin["Cid"], pin["Status"] in ("queued", "pinning")) == (cid, True)
    bearer = {"Authorization": f"Bearer {remote.token}"}
    (told,) = json.loads(node.get("/pinning/v1/pins?status=queued,pinning", bearer).body)["results"]
    peer = json.loads(kubo.run("id", "--enc=json"))["ID"]
    assert told["pin"]["origins"]
    assert all(origin.endswith(f"/p2p/{peer}") for origin in told["pin"]["origins"])
    assert told["info"]["status_details"]


def test_lists_are_filtered_and_paged(remote: Remote, root: str) -> None:
    remote.run("add", "--name=a", f"/ipfs/{root}")
    cids = [cid_of(f"page {index}").text() for index in range(23)]
    for index, cid in enumerate(cids):
        remote.run("add", "--background", f"--name=n{index}", cid)
    assert [pin["Cid"] for pin in remote.listed(ALL)] == [*cids[::-1], root]
    assert [pin["Cid"] for pin in remote.listed()] == [root], "kubo asks for pinned ones by default"
    assert [pin["Name"] for pin in remote.listed(ALL, "--name=n7")] == ["n7"]
    assert [pin["Name"] for pin in remote.listed(ALL, f"--cid={cids[3]},{cids[5]}")] == ["n5", "n3"]
    assert remote.listed("--name=n7") == []
    assert remote.listed("--status=failed") == []


def test_services_are_listed_with_how_many_pins_they_have(remote: Remote, root: str) -> None:
    remote.run("add", f"/ipfs/{root}")
    for index in range(3):
        remote.run("add", "--background", cid_of(f"stat {index}").text())
    told = json.loads(remote.kubo.run("pin", "remote", "service", "ls", "--stat", "--enc=json"))
    (service,) = [each for each in told["RemoteServices"] if each["Service"] == remote.name]
    assert service["ApiEndpoint"] == remote.endpoint
    counts = service["Stat"]["PinCount"]
    assert service["Stat"]["Status"] == "valid"
    assert (counts["Pinned"], counts["Queued"] + counts["Pinning"], counts["Failed"]) == (1, 3, 0)


def test_rm_removes_one_and_several_only_by_force(remote: Remote, root: str) -> None:
    for name in ("one", "two", "two"):
        remote.run("add", f"--name={name}", f"/ipfs/{root}")
    remote.run("rm", "--name=one")
    assert [pin["Name"] for pin in remote.listed()] == ["two", "two"]
    assert "--force" in remote.refused("rm", "--name=two")
    assert len(remote.listed()) == 2
    remote.run("rm", "--name=two", "--force")
    assert remote.listed(ALL) == []


def test_a_wrong_token_is_told_as_we_say_it(kubo: Ipfs, node: Node, root: str) -> None:
    endpoint = node.ready["public"].rstrip("/") + "/pinning/v1"
    kubo.run("pin", "remote", "service", "add", "stranger", endpoint, "flk_no_token")
    done = kubo.attempt("pin", "remote", "add", "--service=stranger", f"/ipfs/{root}")
    kubo.run("pin", "remote", "service", "rm", "stranger")
    assert done.returncode != 0
    assert b"UNAUTHORIZED" in done.stderr
