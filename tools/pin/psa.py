"""HTTP towards a Pinning Service API: one request after the other on one connection, refusals as errors.

Invariants
 1. Only reads are repeated: when the service is busy (429, 503), after the time it names, and once when it
    broke off, as a kept connection may turn out to be dead.
 2. The token goes to the endpoint it was given for and nowhere else: redirects are not followed.
"""

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from net.client import ClientLimits, Reply
from net.session import Session
from runtime.errors import (
    EdgeError,
    NotFound,
    QuotaExceeded,
    SourceTimeout,
    Unauthenticated,
    Unreachable,
)
from tools.frame.refusal import kind_of, words_of
from tools.pin.settings import FROM_ENVIRONMENT, Service

_LIMITS: Final = ClientLimits(connect_s=10.0, idle_s=60.0)
# A page of 1000 pins has some 600 KB; with 20 origins each and much meta a few MB
_BODY_BYTES_MAX: Final = 64 << 20
_TRIES: Final = 4
_WAIT_S_MAX: Final = 30.0  # longer than this a person rather comes back
_BUSY: Final = (429, 503)
_FUNDS: Final = (402, 409)  # of this API: insufficient funds, and so quota
_REDIRECTS: Final = range(300, 400)
_SUCCESS: Final = range(200, 300)
NO_SUCH_API: Final = "is the address that of a Pinning Service API? Those of Fleek Edge end in /pinning/v1"


class Psa:
    """The API of one service. A context manager that ends the connection."""

    def __init__(self, service: Service, *, pause: Callable[[float], None] = time.sleep) -> None:
        """`pause` waits for so many seconds. Raises UsageError: no endpoint that can be asked."""
        self.service = service
        self._pause = pause
        self._session = Session(service.endpoint, limits=_LIMITS)
        rest = service.endpoint.split("://", 1)[1].partition("/")[2]
        self.base = f"/{rest}" if rest else ""  # the path that `/pins` follows
        self._asked = ""

    def __enter__(self) -> "Psa":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._session.close()

    def sibling(self) -> "Psa":
        """The same service over another connection."""
        return Psa(self.service, pause=self._pause)

    def get(self, path: str) -> Any:
        """What the service has at `path` below its endpoint. Raises what it refuses with."""
        self.begin(path)
        return self.finish()

    def begin(self, path: str) -> None:
        """Ask for `path`; `finish` is due next. In between the service works while the caller does."""
        self._asked = self._target(path)
        self._send("GET", self._asked, self._headers())

    def finish(self) -> Any:
        """The answer to what was begun, as JSON. Raises what the service refuses with, Unreachable."""
        for left in range(_TRIES - 1, -1, -1):
            try:
                reply = self._session.receive()
                body = self._session.body(reply, _BODY_BYTES_MAX)
            except (Unreachable, SourceTimeout):
                if left != _TRIES - 1:
                    raise
            else:
                if reply.status not in _BUSY or not left:
                    return self.checked(reply, body)
                self._pause(_wait_s(reply, _TRIES - left))
            self._send("GET", self._asked, self._headers())
        raise AssertionError("the last try returns or raises")

    def stream(self, path: str) -> Iterator[bytes]:
        """The body at `path` as it comes; asked for once. Raises what the service refuses with."""
        self._send("GET", self._target(path), self._headers())
        reply = self._session.receive()
        if reply.status not in _SUCCESS:
            raise self.refusal(reply, self._session.body(reply, _BODY_BYTES_MAX))
        try:
            yield from reply.pieces()
        except BaseException:
            self.close()
            raise

    def change(self, method: str, path: str, value: Any = None) -> Any:
        """POST or DELETE once; the answer as JSON, None without one. Raises what the service refuses with."""
        body = b"" if value is None else json.dumps(value).encode()
        headers = [("Content-Type", "application/json")] if body else []
        sent = (body,) if body else ()
        return self.checked(*self.exchange(method, self._target(path), headers, sent, len(body)))

    def exchange(
        self,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        body: Iterable[bytes] = (),
        body_bytes: int = 0,
    ) -> tuple[Reply, bytes]:
        """Send a body to a path of the service's host, once; the answer, whatever its status.

        Raises Unreachable, SourceTimeout.
        """
        self._send(method, target, [*self._headers(), *headers], body, body_bytes)
        reply = self._session.receive()
        return reply, self._session.body(reply, _BODY_BYTES_MAX)

    def refusal(self, reply: Reply, body: bytes, *, of_pins: bool = False) -> EdgeError:
        """The error that stands for an answer that is no success; `of_pins`: as the API has it."""
        words = words_of(body)
        said = f": {words!r}" if words else ""
        if reply.status in _REDIRECTS:
            target = (reply.fields.get("location") or "")[:200]
            hint = f"if that is right: `fleek-pin service add {self.service.name} URL` with the new address"
            return Unreachable(f"the service sends elsewhere: {target!r}", where=reply.url, hint=hint)
        kind = QuotaExceeded if of_pins and reply.status in _FUNDS else kind_of(reply.status)
        return kind(f"the service answered {reply.status}{said}", where=reply.url, hint=self._hint(kind))

    def checked(self, reply: Reply, body: bytes) -> Any:
        """An answer as `change` has it. Raises what the service refuses with, Unreachable for no JSON."""
        if reply.status not in _SUCCESS:
            raise self.refusal(reply, body, of_pins=True)
        if not body:
            return None
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise Unreachable("the service sent no JSON", where=reply.url, hint=NO_SUCH_API) from None

    def _send(
        self,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        body: Iterable[bytes] = (),
        body_bytes: int = 0,
    ) -> None:
        try:
            self._session.send(method, target, headers, body, body_bytes)
        except (Unreachable, SourceTimeout) as error:
            hint = "is the service running, and its address right? `fleek-pin service ls` shows it"
            error.hint = error.hint or hint
            raise

    def _hint(self, kind: type[EdgeError]) -> str:
        name = self.service.name
        if kind is Unauthenticated:
            if name == FROM_ENVIRONMENT:
                have = "the token was not accepted" if self.service.token else "there is no token"
                return f"{have}: set FLEEK_PIN_TOKEN to one of this service"
            if self.service.token:
                return f"`fleek-pin login {name}` keeps another; $FLEEK_PIN_TOKEN, where it is set, wins"
            return f"there is no token: `fleek-pin login {name}` keeps one, or set FLEEK_PIN_TOKEN"
        if kind is NotFound and not self.base.endswith("/pinning/v1"):
            return "if nothing is found here at all: the endpoint of a Fleek Edge node ends in /pinning/v1"
        return "it may work later" if kind(" ").outcome.may_retry else ""

    def _headers(self) -> list[tuple[str, str]]:
        headers = [("Accept", "application/json"), ("Accept-Encoding", "identity")]
        token = self.service.token
        return [*headers, ("Authorization", f"Bearer {token}")] if token else headers

    def _target(self, path: str) -> str:
        return f"{self.base}{path}"


def _wait_s(reply: Reply, tried: int) -> float:
    """How long a busy service wants to be left alone (RFC 9110 §10.2.3, seconds), else ever longer."""
    named = reply.fields.get("retry-after") or ""
    if named.isascii() and named.isdigit():
        return min(float(named[:9]), _WAIT_S_MAX)
    return float(min(0.5 * 2**tried, _WAIT_S_MAX)) * random.uniform(0.5, 1.0)
