"""The list of a Fleek Edge node as the command reads it: to its end, and by pages from where it broke off."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from runtime.errors import Unauthenticated
from tools.pin.book import Wanted
from tools.pin.psa import Psa
from tools.pin.remote import RemoteBook
from tools.pin.settings import Service


def status(number: int) -> dict[str, Any]:
    created = f"2026-01-01T00:00:00.{number:09}Z"
    return {"requestid": f"r{number}", "status": "pinned", "created": created, "pin": {"cid": "bafy"}}


PINS = [status(number) for number in (3, 2, 1)]


class _Node(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[str]
    head: int  # status of `x/list`
    lines: int  # of the list before it breaks off, if it has more

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if "/x/list" not in self.path:
            rest = PINS[self.lines :]  # created strictly before the last that was streamed
            self._whole(200, json.dumps({"count": len(rest), "results": rest}).encode())
        elif self.head != 200:
            self._whole(self.head, b"{}")
        else:
            flat = [{**each, "cid": "bafy"} for each in PINS[: self.lines]]
            body = "".join(f"{json.dumps(each)}\n" for each in flat).encode()
            cut = self.lines < len(PINS)
            self._whole(200, body, len(body) + cut)
            self.close_connection = True

    def _whole(self, code: int, body: bytes, length: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing to standard error."""


@contextmanager
def node(head: int, lines: int) -> Iterator[tuple[RemoteBook, list[str]]]:
    asked: list[str] = []
    handler = type("Node", (_Node,), {"head": head, "lines": lines, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            endpoint = f"http://127.0.0.1:{server.server_address[1]}/pinning/v1"
            with Psa(Service("mine", endpoint, None)) as psa:
                yield RemoteBook(psa), asked
        finally:
            server.shutdown()
            thread.join()


def test_a_whole_list_is_asked_for_once() -> None:
    with node(200, 3) as (book, asked):
        assert [record["requestid"] for record in book.pins(Wanted())] == ["r3", "r2", "r1"]
        assert [path.partition("?")[0] for path in asked] == ["/pinning/v1/x/list"]
        found = [json.loads(line) for text in book.lines(Wanted()) for line in text.splitlines()]
        assert [record["requestid"] for record in found] == ["r3", "r2", "r1"]


@pytest.mark.parametrize("head", [404, 503])
def test_a_node_that_streams_none_is_asked_for_pages(head: int) -> None:
    with node(head, 0) as (book, asked):
        assert [record["requestid"] for record in book.pins(Wanted())] == ["r3", "r2", "r1"]
        assert len(asked) == 2


def test_a_list_that_breaks_off_goes_on_by_pages() -> None:
    with node(200, 2) as (book, asked):
        found = [json.loads(line) for text in book.lines(Wanted()) for line in text.splitlines()]
        assert [record["requestid"] for record in found] == ["r3", "r2", "r1"], "none lost, none twice"
        assert f"before={PINS[1]['created']}" in asked[1]


def test_a_refusal_is_not_taken_for_a_break() -> None:
    with node(401, 0) as (book, asked), pytest.raises(Unauthenticated):
        list(book.pins(Wanted()))
    assert len(asked) == 1
