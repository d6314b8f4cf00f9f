"""A server of one blob that can be told to lie, stop short, stall or refuse."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from content import bao
from content.bao import encode
from content.bao.geometry import NODE_BYTES, SEGMENT_BYTES, segment_count
from content.ranges import parse_entity_bytes

MEDIA_TYPE = "application/vnd.fleek.bao"


class Held:
    """A blob in memory with its tree (`content.bao.source.Source`)."""

    def __init__(self, data: bytes) -> None:
        self.size_bytes = len(data)
        count = segment_count(len(data))
        self._data = [data[index * SEGMENT_BYTES : (index + 1) * SEGMENT_BYTES] for index in range(count)]
        sealed = [bao.segment(each, index, count == 1) for index, each in enumerate(self._data)]
        self._nodes = [nodes for _, nodes in sealed]
        cvs = b"".join(cv for cv, _ in sealed)
        self.root, self._upper = (cvs, b"") if count == 1 else bao.upper(cvs)

    def segment(self, index: int) -> tuple[bytes, bytes]:
        return self._data[index], self._nodes[index]

    def upper_node(self, index: int) -> bytes:
        return self._upper[index * NODE_BYTES : (index + 1) * NODE_BYTES]


@dataclass
class Behaviour:
    """What the server does to an honest body, and what it was asked."""

    spoil: Callable[[bytes], bytes] = lambda body: body
    cut_after_bytes: int | None = None  # close the connection there, in the middle of the promised body
    wait_at_bytes: int | None = None  # send so much, then nothing until `go_on` is set
    go_on: threading.Event = field(default_factory=threading.Event)
    status: int = 200
    error_body: bytes = b""
    location: str | None = None
    targets: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    sent_bytes: int = 0


def proof(held: Held, query: str) -> bytes:
    """The honest answer to a query."""
    wanted = parse_qs(query)
    assert wanted["format"] == ["bao"], query
    if "entity-bytes" not in wanted:
        return b"".join(encode.combined_pieces(held))
    start, stop = parse_entity_bytes(wanted["entity-bytes"][0], held.size_bytes)
    return b"".join(encode.slice_pieces(held, start, stop - start))


@contextmanager
def serving(data: bytes, behaviour: Behaviour) -> Iterator[str]:
    """Serve `data` while the block runs; gives its address."""
    held = Held(data)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behaviour.targets.append(self.path)
            behaviour.tokens.append(self.headers.get("Authorization"))
            body = behaviour.error_body
            if behaviour.status == 200:
                body = behaviour.spoil(proof(held, urlsplit(self.path).query))
            self.send_response(behaviour.status)
            self.send_header("Content-Type", MEDIA_TYPE)
            self.send_header("Content-Length", str(len(body)))
            if behaviour.location is not None:
                self.send_header("Location", behaviour.location)
            self.end_headers()
            self._send(body[: behaviour.cut_after_bytes])

        def _send(self, body: bytes) -> None:
            try:
                for start in range(0, len(body), 16384):
                    if behaviour.wait_at_bytes is not None and start >= behaviour.wait_at_bytes:
                        behaviour.go_on.wait(60)
                    self.wfile.write(body[start : start + 16384])
                    behaviour.sent_bytes = min(start + 16384, len(body))
            except OSError:
                pass  # the client had enough, which is what a lie deserves

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/blake3/{held.root.hex()}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
