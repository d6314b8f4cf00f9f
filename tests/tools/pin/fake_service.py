"""A pinning service in a few lines that can behave as services in the world do. Not ours, on purpose."""

import calendar
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "sekret-token-of-the-test"
SECOND_NS = 1_000_000_000
START_S = 1_700_000_000


@dataclass
class Conduct:
    """How the service behaves, and what it was asked. Pins are (created_ns, PinStatus without created)."""

    digits: int = 9  # of created times, as printed; fewer lose what distinguishes pins
    trims: bool = False  # trailing zeros of created times are not printed
    page_max: int = 1000
    count_max: int | None = None  # the most it counts beyond a page: "results + 1"
    has_info: bool = True
    busy: list[tuple[int, str | None]] = field(default_factory=list)  # refusals before it answers
    drops: int = 0  # connections to end instead of an answer
    spoil: Callable[[Any], Any] = lambda value: value
    becomes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # request id: status, details
    redirect: str | None = None
    pins: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    connections: int = 0

    def add(self, pin: dict[str, Any], status: str = "pinned", created_ns: int | None = None) -> str:
        """A pin that is there already, or was just asked for."""
        newest_ns = max((created for created, _ in self.pins.values()), default=START_S * SECOND_NS)
        name = f"pin-{len(self.pins):05}-{len(self.requests)}"
        info = {"status_details": f"it is {status}"} if self.has_info else None
        entry = {"requestid": name, "status": status, "pin": pin, "delegates": ["/dns4/x/tcp/1/p2p/12D3"]}
        self.pins[name] = (
            newest_ns + 1_000_003 if created_ns is None else created_ns,
            entry | ({"info": info} if info else {}),
        )
        return name

    def status_of(self, name: str) -> dict[str, Any] | None:
        """The PinStatus of a pin, which has moved on since it was last asked for."""
        if name not in self.pins:
            return None
        created_ns, entry = self.pins[name]
        if self.becomes.get(name):
            status, details = self.becomes[name].pop(0)
            entry |= {"status": status, "info": {"status_details": details}}
        return entry | {"created": self.printed(created_ns)}

    def printed(self, created_ns: int) -> str:
        """A created time, cut to what the service prints."""
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created_ns // SECOND_NS))
        fraction = f"{created_ns % SECOND_NS:09}"[: self.digits]
        fraction = fraction.rstrip("0") if self.trims else fraction
        return f"{whole}{'.' if fraction else ''}{fraction}Z"

    def page(self, query: dict[str, str]) -> dict[str, Any]:
        """PinResults, filtered by cid, name (exact), status, meta, before and after."""
        found = []
        for name in sorted(self.pins, key=lambda name: self.pins[name][0], reverse=True):
            created_ns, entry = self.pins[name]
            pin = entry["pin"]
            if (
                ("before" not in query or created_ns < _ns(query["before"]))
                and ("after" not in query or created_ns > _ns(query["after"]))
                and ("cid" not in query or pin["cid"] in query["cid"].split(","))
                and ("name" not in query or pin.get("name") == query["name"])
                and entry["status"] in query.get("status", "pinned").split(",")
                and json.loads(query.get("meta", "{}")).items() <= pin.get("meta", {}).items()
            ):
                found.append(entry | {"created": self.printed(created_ns)})
        results = found[: min(int(query.get("limit", "10")), self.page_max)]
        count = len(found) if self.count_max is None else min(len(found), len(results) + self.count_max)
        return {"count": count, "results": results}


def _ns(text: str) -> int:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * SECOND_NS + int(
        fraction.ljust(9, "0")[:9]
    )


class _Handler(BaseHTTPRequestHandler):
    conduct: Conduct
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        self.conduct.connections += 1
        super().setup()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if not self._begin():
            return
        if parts.path == "/psa/pins":
            self._answer(200, self.conduct.spoil(self.conduct.page(query)))
        else:
            self._one(self.conduct.status_of(self._named()))

    def do_POST(self) -> None:
        pin = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._begin():
            return
        if self.path != "/psa/pins" and self.conduct.pins.pop(self._named(), None) is None:
            self._one(None)
            return
        status = self.conduct.status_of(self.conduct.add(pin, "queued"))
        self._answer(202, self.conduct.spoil(status))

    def do_DELETE(self) -> None:
        if self._begin():
            gone = self.conduct.pins.pop(self._named(), None)
            self._answer(202, None) if gone else self._one(None)

    def _named(self) -> str:
        return unquote(self.path.removeprefix("/psa/pins/"))

    def _begin(self) -> bool:
        """Whether the request is to be answered as asked."""
        self.conduct.requests.append((self.command, self.path))
        token = self.headers["Authorization"]
        self.conduct.tokens.append(token)
        if self.conduct.drops:
            self.conduct.drops -= 1
            self.close_connection = True
            return False
        if self.conduct.redirect is not None:
            self._answer(307, None, [("Location", self.conduct.redirect)])
            return False
        if self.conduct.busy:
            status, after = self.conduct.busy.pop(0)
            error = {"error": {"reason": "BUSY", "details": "come back"}}
            self._answer(status, error, [("Retry-After", after)] if after else [])
            return False
        if token != f"Bearer {TOKEN}":
            self._answer(401, {"error": {"reason": "UNAUTHORIZED", "details": "who are you?"}})
            return False
        return True

    def _one(self, status: dict[str, Any] | None) -> None:
        if status is None:
            self._answer(404, {"error": {"reason": "NOT_FOUND", "details": "no such pin"}})
        else:
            self._answer(200, self.conduct.spoil(status))

    def _answer(self, code: int, value: Any, fields: list[tuple[str, str]] | None = None) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(code)
        for name, text in fields or []:
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(conduct: Conduct) -> Iterator[str]:
    """Serve while the block runs; gives the endpoint that `/pins` follows."""
    handler = type("Handler", (_Handler,), {"conduct": conduct})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/psa"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
