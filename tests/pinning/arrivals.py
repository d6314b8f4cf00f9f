"""A node's upload service over a store of its own, served on loopback; a book of pins in memory; CARs."""

import asyncio
import http.client
import json
import random
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvloop

from blockstore import Durability, Store, StoreSettings
from content import car
from content.cid import Cid
from content.dag_walk import walk
from handshake.tokens import Tokens
from net.limits import HttpLimits
from net.server import serve
from pinning.pin import Filter, Page, Pin, PinUsage, Progress, Status, Wish
from pinning.spool import Spools
from pinning.upload_app import Uploads
from runtime.clock import SystemClock
from runtime.errors import NotFound, QuotaExceeded
from tests.gateway.dags import Dags
from tests.net.memory_app import RecordingMeter

QUICK = StoreSettings(durability=Durability.NONE, index_map_bytes=1 << 30, bulk_map_bytes=1 << 34)


@dataclass
class MemoryBook:
    """Pins in memory, as much of both ports as arrivals need."""

    pins: dict[str, Pin] = field(default_factory=dict)
    count: int = 0

    def add(self, account: str, wish: Wish, *, quota_bytes: int | None = None) -> Pin:
        self._check(account, 0, quota_bytes)
        self.count += 1
        now_ns = int(SystemClock().now_s() * 1e9) + self.count
        pin = Pin(f"pin-{self.count}", account, now_ns, Status.QUEUED, wish)
        self.pins[pin.request_id] = pin
        return pin

    def get(self, account: str, request_id: str) -> Pin:
        pin = self.pins.get(request_id)
        if pin is None or pin.account != account:
            raise NotFound("no such pin")
        return pin

    def page(self, account: str, wanted: Filter, limit: int) -> Page:
        found = [
            pin
            for pin in reversed(self.pins.values())
            if pin.account == account
            and (not wanted.cids or pin.wish.cid in wanted.cids)
            and (wanted.after_ns is None or pin.created_ns > wanted.after_ns)
        ]
        return Page(len(found), tuple(found[:limit]))

    def stream(self, account: str | None, wanted: Filter) -> Iterator[Pin]:
        yield from self.page(account or "", wanted, 1 << 30).pins

    def replace(self, account: str, request_id: str, wish: Wish, *, quota_bytes: int | None = None) -> Pin:
        self.remove(account, request_id)
        return self.add(account, wish, quota_bytes=quota_bytes)

    def remove(self, account: str, request_id: str) -> None:
        self.get(account, request_id)
        del self.pins[request_id]

    def usage(self, account: str) -> PinUsage:
        mine = [pin for pin in self.pins.values() if pin.account == account]
        return PinUsage({}, sum(pin.dag_bytes or 0 for pin in mine))

    def due(self, now_s: float, limit: int, busy: Sequence[str] = ()) -> list[Pin]:
        return []

    def changes(self) -> int:
        return self.count

    def begin(self, request_id: str) -> Pin | None:
        return self._change(request_id, status=Status.PINNING)

    def progress(self, request_id: str, progress: Progress, cursor: bytes) -> bool:
        return False

    def cursor(self, request_id: str) -> bytes:
        return b""

    def pinned(
        self, request_id: str, dag_bytes: int, raw_bytes: int, *, quota_bytes: int | None = None
    ) -> bool:
        self._check(self.pins[request_id].account, dag_bytes, quota_bytes)
        self._change(request_id, status=Status.PINNED, dag_bytes=dag_bytes, raw_bytes=raw_bytes)
        return True

    def retry(self, request_id: str, details: str, next_try_s: float) -> bool:
        return False

    def failed(self, request_id: str, details: str) -> bool:
        return False

    def expire(self, now_s: float, limit: int) -> int:
        return 0

    def _change(self, request_id: str, **fields: Any) -> Pin | None:
        if request_id not in self.pins:
            return None
        self.pins[request_id] = replace(self.pins[request_id], **fields)
        return self.pins[request_id]

    def _check(self, account: str, more_bytes: int, quota_bytes: int | None) -> None:
        used = self.usage(account).bytes_ + more_bytes
        if quota_bytes is not None and used > quota_bytes:
            raise QuotaExceeded("over the quota")


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
    book: MemoryBook
    spools: Spools
    tokens: Tokens
    uploads: Uploads
    port: int

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
    folder: Path, keep_s: float = 3600.0, check: Callable[[tuple[Cid, ...]], None] | None = None
) -> Iterator[Service]:
    """The service, in a thread of its own."""
    store, book, tokens = Store.open(folder, QUICK), MemoryBook(), Tokens.open(folder)
    spools = Spools(folder / "uploads", keep_s)
    uploads = Uploads(store.dag, book, tokens, spools, check or (lambda roots: None), SystemClock())
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


def tree(seed: int, *sizes: int) -> tuple[Dags, Cid]:
    """A directory of files of these sizes."""
    dags, chance = Dags(), random.Random(seed)
    files = {f"file {number}": dags.file(chance.randbytes(size)) for number, size in enumerate(sizes)}
    return dags, dags.directory(files)
