"""The generator for large bodies counts what came, and refuses to measure anything but whole 200s."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.bench.drain import UnexpectedAnswer, drain

BODY = bytes(1 << 20)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/missing" else 200)
        if self.path != "/unbounded":
            self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        try:
            self.wfile.write(BODY)
        except OSError:
            self.close_connection = True  # the generator stops in the middle of a body, as it should

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # connections reset by the generator are part of the test


@pytest.fixture
def base() -> Iterator[str]:
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_bytes_of_unfinished_answers_count_and_ended_answers_are_requests(base: str) -> None:
    numbers = drain(f"{base}/whole", 2, 0.5)
    assert numbers["requests"] >= 2
    assert numbers["bytes"] > numbers["requests"] * len(BODY)
    assert numbers["bytes"] < (numbers["requests"] + 3) * (len(BODY) + 300)
    assert 500_000 <= numbers["duration_us"] < 5_000_000


@pytest.mark.parametrize("path", ["/missing", "/unbounded"])
def test_anything_but_a_whole_200_is_refused(base: str, path: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        drain(base + path, 1, 0.5)
