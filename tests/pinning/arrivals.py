"""A node's upload service over a store of its own, served on loopback; its pins; CARs."""

import asyncio
import http.client
import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from blockstore import Durability, Store, StoreSettings
from content import car
from content.cid import Cid
from content.dag_walk import walk
from content.unixfs.profile import Profile
from handshake.tokens import Tokens
from net.limits import HttpLimits
from net.server import serve
from pinning.pin import Filter, Pin
from pinning.pins import Pins
from pinning.spool import Spools
from pinning.upload_app import Uploads
from runtime.clock import SystemClock
from tests.gateway.dags import SMALL, Dags
from tests.net.memory_app import RecordingMeter

QUICK = StoreSettings(durability=Durability.NONE, index_map_bytes=1 << 30, bulk_map_bytes=1 << 34)


class MovedClock(SystemClock):
    """The machine's clock, so many seconds ahead."""

    ahead_s = 0.0

    def now_s(self) -> float:
        return super().now_s() + self.ahead_s


@dataclass(frozen=True)
class Reply:
    """A response."""

    status: int
    fields: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Service:
    """What runs, and how to ask it."""

    store: Store
    book: Pins
    spools: Spools
    tokens: Tokens
    uploads: Uploads
    port: int

    def pins(self, account: str = "alice") -> list[Pin]:
        """The account's pins, oldest first."""
        return list(self.book.stream(account, Filter()))[::-1]

    def token(self, account: str = "alice", scope: str = "pin", quota_bytes: int | None = None) -> str:
        return self.tokens.add(account, [scope], quota_bytes=quota_bytes)

    def ask(self, method: str, path: str, token: str | None, body: Any = None, **fields: str) -> Reply:
        """One request; `fields` with _ for -."""
        session = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in fields.items()}
            if token is not None:
                named["Authorization"] = f"Bearer {token}"
            session.request(method, path, body=body, headers=named)
            answer = session.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            session.close()

    def begin(self, token: str, length: int, query: str = "") -> str:
        """A fresh resumable upload's path."""
        reply = self.ask("POST", f"/car/uploads{query}", token, Upload_Length=str(length))
        assert reply.status == 201, reply.body
        return reply.fields["Location"]

    def patch(self, token: str, path: str, offset: int, data: Any) -> Reply:
        fields = {"Upload_Offset": str(offset), "Content_Type": "application/offset+octet-stream"}
        return self.ask("PATCH", path, token, data, **fields)

    def offset(self, token: str, path: str) -> int:
        reply = self.ask("HEAD", path, token)
        assert reply.status == 200
        return int(reply.fields["Upload-Offset"])

    def cut(self, token: str, head: str, data: bytes, promised: int) -> None:
        """Send a part of a body, wait until it was taken, and break the connection off."""
        text = (
            f"{head} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {promised}\r\n"
        )
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as sock:
            sock.sendall(text.encode() + data)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass


@contextmanager
def service(
    folder: Path,
    keep_s: float = 3600.0,
    check: Callable[[tuple[Cid, ...]], None] | None = None,
    clock: SystemClock | None = None,
) -> Iterator[Service]:
    """The service, in a thread of its own."""
    store, tokens = Store.open(folder, QUICK, clock or SystemClock()), Tokens.open(folder)
    book = Pins(store)
    spools = Spools(folder / "uploads", keep_s)
    uploads = Uploads(
        store,
        book,
        lambda form, account, root, size_bytes: None,
        tokens,
        spools,
        check or (lambda roots: None),
        SystemClock(),
    )
    sock = socket.create_server(("127.0.0.1", 0))
    stop, started = asyncio.Event(), threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        listener = await serve(sock, uploads, HttpLimits(), RecordingMeter())
        started.set()
        await stop.wait()
        await listener.drain(5.0)

    thread = threading.Thread(target=lambda: uvloop.run(main()), daemon=True)
    port = sock.getsockname()[1]
    thread.start()
    assert started.wait(20)
    try:
        yield Service(store, book, spools, tokens, uploads, port)
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(20)
        tokens.close()
        store.close()


def car_of(dags: Dags, *roots: Cid, without: frozenset[Cid] = frozenset()) -> bytes:
    """A CAR of whole DAGs, depth first."""
    parts, done = [car.header(roots)], set()
    for root in roots:
        for cid in walk(root, lambda each: dags.blocks[each]):
            if cid not in without and cid not in done:
                done.add(cid)
                parts += [car.frame(cid, len(dags.blocks[cid])), dags.blocks[cid]]
    return b"".join(parts)


def tree(seed: int, *sizes: int, profile: Profile = SMALL) -> tuple[Dags, Cid]:
    """A directory of files of these sizes."""
    dags, chance = Dags(), random.Random(seed)
    files = {
        f"file {number}": dags.file(chance.randbytes(size), profile) for number, size in enumerate(sizes)
    }
    return dags, dags.directory(files)
