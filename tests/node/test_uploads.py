"""A node that is killed while it takes an upload: what it had acknowledged is there."""

import json
import os
import random
import signal
from pathlib import Path

from content import car
from content.unixfs.profile import UNIXFS_V1_2025
from pinning.challenge import NONCE_BYTES, Challenge
from pinning.verifying import verify
from tests.appliance import Node, token
from tests.pinning.arrivals import car_of, tree

_RESENT_BYTES_MAX = 16 << 20


def kill(node: Node) -> None:
    """All processes of a node at once."""
    children = Path(f"/proc/{node.process.pid}/task/{node.process.pid}/children").read_text().split()
    for pid in [node.process.pid, *map(int, children)]:
        os.kill(pid, signal.SIGKILL)
    node.stop(signal.SIGKILL)


def begin(node: Node, bearer: dict[str, str], length: int) -> str:
    reply = node.request("POST", "/car/uploads", {**bearer, "Upload-Length": str(length)})
    assert reply.status == 201, reply.body
    return str(reply.headers["Location"])


def offset(node: Node, bearer: dict[str, str], path: str) -> int:
    return int(node.request("HEAD", path, bearer).headers["Upload-Offset"])


def fields(bearer: dict[str, str], at: int) -> dict[str, str]:
    return {**bearer, "Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream"}


def test_an_upload_survives_kill_9_of_the_node(tmp_path: Path) -> None:
    dags, root = tree(1, 12_000_000, 7, 30_000, profile=UNIXFS_V1_2025)
    whole, chance, data = car_of(dags, root), random.Random(), tmp_path / "data"
    bearer = {"Authorization": f"Bearer {token(data, 'alice', 'pin')}"}
    path, acknowledged, sent = "", 0, 0
    for _ in range(3):
        with Node(data, "--workers", "1", "--offline") as node:
            path = path or begin(node, bearer, len(whole))
            at = offset(node, bearer, path)
            assert at >= acknowledged
            assert sent - at <= _RESENT_BYTES_MAX
            some, more = chance.randrange(1, 2_000_000), chance.randrange(1, 2_000_000)
            print("at", at, "send", some, "and", more)
            reply = node.request("PATCH", path, fields(bearer, at), whole[at : at + some])
            acknowledged = int(reply.headers["Upload-Offset"])
            sent = acknowledged + more
            with node.connect() as wire:  # the kill comes in the middle of a request
                given = {
                    **fields(bearer, acknowledged),
                    "Host": "x",
                    "Content-Length": str(len(whole) - acknowledged),
                }
                head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
                wire.sendall(f"PATCH {path} HTTP/1.1\r\n{head}\r\n".encode() + whole[acknowledged:sent])
                kill(node)
    with Node(data, "--workers", "1", "--offline") as node:
        at = offset(node, bearer, path)
        assert node.request("PATCH", path, fields(bearer, at), whole[at:]).status == 204
        told = json.loads(node.get(path, bearer).body)
        assert told["pins"][0]["status"] == "pinned"
        asked = Challenge(root, chance.randbytes(NONCE_BYTES), 4)
        proof = node.get(f"/pinning/v1/x/proof/{root}/{asked.nonce.hex()}/4", bearer)
        assert proof.status == 200, proof.body
        assert verify(asked, [proof.body]).missing is None
        came_from = json.loads(node.get(f"/pinning/v1/x/origins/{root}", bearer).body)
        assert [(each["kind"], each["address"]) for each in came_from["origins"]] == [("upload", "/car")]
        size = json.loads(node.get(f"/pinning/v1/x/size/{root}", bearer).body)
        assert size["size_bytes"] == told["pins"][0]["dag_size"]
        got = node.get(f"/ipfs/{root}?format=car").body
        assert {block.cid: block.data for block in car.CarReader().feed(got)} == dags.blocks
    assert not list((data / "uploads").glob("*.part"))
