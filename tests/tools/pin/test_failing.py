"""What a person sees of a pin that fails at a real node: of each origin, by every command and the API."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from content.block import Block
from content.cid import RAW
from tests.appliance import Node, token
from tests.origins.byte_server import ByteServer, Held, in_a_thread
from tests.tools.pin.conftest import Pin

CID = Block.sealed(RAW, b"nobody has this").cid
CONFIG = """[origins]
gateways = []
routers = []
allow_nets_for_accounts = ["127.0.0.0/8"]
[pinning]
attempts = 1
"""
Place = tuple[Node, str, str]  # the node, the server's URL, a token


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("failing")
    (folder / "config.toml").write_text(CONFIG)
    held: dict[str, bytes | Held] = {
        "/wrong": b"something else",
        "/loop": Held(b"", 302, {"Location": "/loop"}),
    }
    with (
        in_a_thread(ByteServer(held)) as server,
        Node(folder / "data", "--config", str(folder / "config.toml"), "--workers", "1") as node,
    ):
        yield node, server.url, token(node.data, "ann", "pin")


@pytest.fixture
def origins(place: Place, home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    node, url, secret = place
    monkeypatch.setenv("FLEEK_PIN_TOKEN", secret)
    monkeypatch.setenv("FLEEK_PIN_ENDPOINT", f"{node.ready['public'].rstrip('/')}/pinning/v1")
    return [f"{url}/{name}" for name in ("wrong", "absent", "loop")] + ["http://10.9.8.7/inner"]


def test_each_origin_is_told_by_wait_status_and_the_api(place: Place, pin: Pin, origins: list[str]) -> None:
    node, url, secret = place
    flags = [word for each in origins for word in ("--origin", each)]
    name = pin("add", str(CID), *flags, "-q").out.decode().strip()
    told = [
        f"{url}/wrong: the bytes are not what the CID names",
        f"{url}/absent: it answered 404: it does not have it",
        f"{url}/loop: too many redirects",
        "http://10.9.8.7/inner: its host is not at a public address: that is not dialled",
    ]
    waited = pin("wait", name, "--timeout", "60s")
    assert waited.code == 6
    assert all(each in waited.err for each in told), waited.err
    plain = pin("status", name).out.decode()
    lines = [line.strip() for line in plain.splitlines()]
    assert all(any(each in line for line in lines) for each in told), plain
    assert f"details      it could not be fetched: {url}/wrong: " in plain
    assert f"\n{'':13}{url}/absent: " in plain
    listed = pin("ls", "--cid", str(CID)).out.decode()
    assert f"(it could not be fetched: {url}/wrong: the bytes" in listed
    assert max(map(len, listed.splitlines())) < 300
    request = urllib.request.Request(
        f"{node.ready['public'].rstrip('/')}/pinning/v1/pins/{name}",
        headers={"Authorization": f"Bearer {secret}"},
    )
    with urllib.request.urlopen(request) as reply:
        details = json.load(reply)["info"]["status_details"]
    assert details.startswith(f"{CID} could not be fetched: ")
    assert all(each in details for each in told)
