"""A trustless gateway of the blocks a test gives it; it can lie, stop short, or know no CARs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from content import car
from content.cid import Cid
from content.dag_walk import walk
from content.path import resolve
from content.ranges import parse_entity_bytes
from content.unixfs.file import blocks, size_of

Frame = tuple[Cid, bytes]


@dataclass
class Conduct:
    """What the gateway does, and what it was asked."""

    has_cars: bool = True
    repeats: bool = True  # whether it honours dups=y
    spoil: Callable[[list[Frame]], list[Frame]] = lambda frames: frames
    cut_after_bytes: int | None = None  # the connection breaks there
    end_after_bytes: int | None = None  # the body ends there, cleanly
    targets: list[str] = field(default_factory=list)
    records: dict[str, bytes] = field(default_factory=dict)
    sent_bytes: int = 0


@contextmanager
def serving(read: Callable[[Cid], bytes], conduct: Conduct) -> Iterator[str]:
    """Serve what `read` gives while the block runs; gives the address before `/ipfs/`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            conduct.targets.append(self.path)
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            _, namespace, root, *segments = unquote(parts.path, errors="surrogateescape").split("/")
            if namespace == "ipns":
                self._answer("application/vnd.ipfs.ipns-record", conduct.records[root])
            elif query["format"] == "raw":
                self._answer("application/vnd.ipld.raw", read(Cid.parse(root)))
            elif not conduct.has_cars:
                self.send_error(406)
            else:
                kind = (
                    f"application/vnd.ipld.car; version=1; order=dfs; dups={'y' if conduct.repeats else 'n'}"
                )
                self._answer(kind, self._car(Cid.parse(root), segments, query))

        def _car(self, root: Cid, segments: list[str], query: dict[str, str]) -> bytes:
            assert query["car-order"] == "dfs"
            found = resolve(root, [part for part in segments if part], read)
            span = query.get("entity-bytes")
            if span is None:
                wanted = list(walk(found.terminal, read, repeats=conduct.repeats))
            else:
                size = size_of(found.terminal, read(found.terminal))
                wanted = list(blocks(found.terminal, read, *parse_entity_bytes(span, size)))
            frames = [(cid, read(cid)) for cid in (*found.walked[:-1], *wanted)]
            body = bytearray(car.header((found.terminal,)))
            for cid, data in conduct.spoil(frames):
                body += car.frame(cid, len(data)) + data
            return bytes(body)

        def _answer(self, kind: str, body: bytes) -> None:
            whole = body if conduct.end_after_bytes is None else body[: conduct.end_after_bytes]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            try:
                for start in range(0, len(whole[: conduct.cut_after_bytes]), 65536):
                    self.wfile.write(whole[: conduct.cut_after_bytes][start : start + 65536])
                    conduct.sent_bytes += 65536
            except OSError:
                pass  # the client had enough

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
