"""Uploads of pins: 4 GiB cut at half, once by a reset connection and once by kill -9 of the whole node.

What is counted is what a client has to send: all bytes of bodies it wrote, less the length of the upload. The
node is the real one, with its default settings. FLEEK_BENCH_STORE_FOLDER says on which disk (it takes 9 GB),
FLEEK_BENCH_UPLOAD_SCALE divides the size for a quick look.
"""

import json
import os
import signal
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from content import car, dag_pb
from content.block import Block
from content.cid import DAG_PB, Cid
from content.unixfs.build_file import FileBuilder, LeafMade
from content.unixfs.profile import UNIXFS_V1_2025
from tests.appliance import Node, token
from tests.bench.row import Row, at_most

SCALE = int(os.environ.get("FLEEK_BENCH_UPLOAD_SCALE", "1"))
FILE_BYTES = (4 << 30) // SCALE
CHUNK_BYTES = UNIXFS_V1_2025.chunk_bytes
_RESENT_MIB_MAX = 16.0
# The store's backlog of 48 MiB, commits of 32 MiB on their way, and 40 MB that a worker starts with
_RSS_MB_MAX = 150.0
_SEND_BYTES = 1 << 18
_PATIENCE_S = 900.0


class Content:
    """A file of FILE_BYTES as a CAR, made again for each sending: nothing of it is held."""

    def __init__(self) -> None:
        self._base = os.urandom(CHUNK_BYTES)
        self._leaves: dict[Cid, int] = {}
        self._nodes: dict[Cid, bytes] = {}
        builder = FileBuilder(UNIXFS_V1_2025)
        for number in range(FILE_BYTES // CHUNK_BYTES):
            self._keep(builder.write(self.chunk(number)))
        made, file = builder.finish()
        self._keep(made)
        self.root = file.cid
        self.length = sum(len(piece) for piece in self._sections(sizes_only=True))

    def chunk(self, number: int) -> bytes:
        return number.to_bytes(8, "big") + self._base[8:]

    def _keep(self, made: list[LeafMade | Block]) -> None:
        for each in made:
            if isinstance(each, Block):
                self._nodes[each.cid] = each.data
            else:
                self._leaves[each.cid] = each.offset // CHUNK_BYTES

    def _sections(self, *, sizes_only: bool = False) -> Iterator[bytes]:
        yield car.header((self.root,))
        waiting = [self.root]
        while waiting:
            cid = waiting.pop()
            data = self._nodes.get(cid)
            if data is None:
                data = self._base if sizes_only else self.chunk(self._leaves[cid])
            yield car.frame(cid, len(data))
            yield data
            if cid.codec == DAG_PB:
                waiting += reversed([link.cid for link in dag_pb.decode(data).links])

    def from_byte(self, at: int) -> Iterator[bytes]:
        """The CAR from byte `at` on, in small pieces."""
        for piece in self._sections():
            if at >= len(piece):
                at -= len(piece)
                continue
            for start in range(at, len(piece), _SEND_BYTES):
                yield piece[start : start + _SEND_BYTES]
            at = 0


@contextmanager
def watched(node: Node) -> Iterator[list[float]]:
    """The highest RssAnon of any process of the node, in MB, while the block runs."""
    highest, stopping = [0.0], threading.Event()

    def look() -> None:
        while not stopping.wait(0.05):
            highest[0] = max(highest[0], *(rss_mb(pid) for pid in children(node)), 0.0)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield highest
    finally:
        stopping.set()
        watcher.join()


def children(node: Node) -> list[int]:
    try:
        return [
            int(pid)
            for pid in Path(f"/proc/{node.process.pid}/task/{node.process.pid}/children").read_text().split()
        ]
    except OSError:
        return []


def rss_mb(pid: int) -> float:
    """Anonymous memory of a process; 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return 0.0


def patch(node: Node, path: str, bearer: str, at: int, content: Content, stop: int | None) -> int:
    """Send a PATCH from byte `at`; reset the connection behind byte `stop`. Returns the bytes sent."""
    head = f"PATCH {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\nUpload-Offset: {at}\r\n"
    head += f"Content-Type: application/offset+octet-stream\r\nContent-Length: {content.length - at}\r\n\r\n"
    sent = 0
    with node.connect() as wire:
        wire.settimeout(_PATIENCE_S)
        wire.sendall(head.encode())
        for piece in content.from_byte(at):
            wire.sendall(piece)
            sent += len(piece)
            if stop is not None and at + sent >= stop:
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return sent
        reply = wire.recv(4096)
        assert b" 204 " in reply.split(b"\r\n", 1)[0], reply
    return sent


def upload(data: Path, content: Content, *, kill: bool) -> tuple[float, float]:
    """(MiB sent again, highest MB) of one upload that is cut at half."""
    bearer = token(data, "bench", "pin")
    fields = {"Authorization": f"Bearer {bearer}"}
    with Node(data, "--workers", "1", "--offline") as node:
        begun = node.request("POST", "/car/uploads", {**fields, "Upload-Length": str(content.length)})
        assert begun.status == 201, begun.body
        path = begun.headers["Location"]
        with watched(node) as first:
            sent = patch(node, path, bearer, 0, content, content.length // 2)
            if kill:
                for pid in (node.process.pid, *children(node)):
                    os.kill(pid, signal.SIGKILL)
    with Node(data, "--workers", "1", "--offline") as node:
        at = int(node.request("HEAD", path, fields).headers["Upload-Offset"])
        with watched(node) as second:
            sent += patch(node, path, bearer, at, content, None)
            told = json.loads(node.get(path, fields).body)
        assert told["pins"][0]["status"] == "pinned", told
        piece = node.get(f"/ipfs/{content.root}", {"Range": "bytes=0-1023"}).body
        assert piece == content.chunk(0)[:1024]
    return (sent - content.length) / (1 << 20), max(first[0], second[0])


def resumed() -> list[Row]:
    """Both cuts, and the memory of the node meanwhile."""
    content = Content()
    resent, highest = [], []
    for kill in (False, True):
        with tempfile.TemporaryDirectory(dir=os.environ.get("FLEEK_BENCH_STORE_FOLDER")) as folder:
            again, most = upload(Path(folder) / "data", content, kill=kill)
        resent.append(again)
        highest.append(most)
    gib = FILE_BYTES / (1 << 30)
    why = f"{gib:g} GiB; {resent[0]:.1f} MiB again after a reset, {resent[1]:.1f} MiB after kill -9"
    return [
        at_most("pins-upload-resume", max(resent), None, _RESENT_MIB_MAX, unit="MiB", why=why),
        at_most(
            "pins-upload-rss", max(highest), None, _RSS_MB_MAX, unit="MB", why=f"{gib:g} GiB, one worker"
        ),
    ]


BENCHES: dict[str, Callable[[], Row | list[Row]]] = {"pins-upload": resumed}
