"""The API over the pins of a store, and a client that speaks it: for tests in one process."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from content.block import Block
from content.cid import DAG_PB, RAW, Cid
from handshake.principal import Principal
from net.http1 import Request
from pinning.api import Extra, PinApi
from pinning.pins import Pins
from runtime.errors import Blocked, Unauthenticated
from tests.manual_clock import ManualClock
from tests.net.memory_app import Client, Response, served

PEER = "12D3KooWGSBxHvrJkLmPTqWyJ6N8bVPrDvFTmjH3BEZHEVzZ9hDR"
DELEGATE = f"/dns4/edge.example/tcp/443/tls/http/p2p/{PEER}"
TOKENS = {
    "pinner": Principal("a", "ada", frozenset(("pin",)), None),
    "reader": Principal("b", "ada", frozenset(("read",)), None),
    "putter": Principal("c", "ada", frozenset(("put",)), None),
    "full": Principal("d", "ada", frozenset(("pin",)), 0),
    "other": Principal("e", "bob", frozenset(("pin", "read")), None),
    "admin": Principal("f", "root", frozenset(("admin",)), None),
}


def cid_of(text: str, codec: int = RAW) -> Cid:
    """The CID of a short text as one block."""
    return Block.sealed(codec, text.encode()).cid


DENIED = cid_of("denied")
V0 = Cid.v0(Block.sealed(DAG_PB, b"").cid.multihash)


class TokenTable:
    """Tokens by their text; implements `TokenBook`."""

    def principal(self, text: str) -> Principal:
        if text not in TOKENS:
            raise Unauthenticated("unknown token", where="token")
        return TOKENS[text]


class OneDenied:
    """A denylist with one rule."""

    def check(self, cid: Cid) -> None:
        if cid.multihash == DENIED.multihash:
            raise Blocked("this content is denied here", where=cid.text())


def delegates(request: Request) -> tuple[str, ...]:
    return (DELEGATE,)


class Service:
    """A client of a running service, and what it runs over."""

    def __init__(self, client: Client, book: Pins, connect: Callable[[], Awaitable[Client]]) -> None:
        """`connect()`: another connection to the same service."""
        self.client, self.book, self.connect = client, book, connect

    async def raw(
        self, method: str, path: str, token: str | None, body: bytes | None, fields: dict[str, str]
    ) -> Response:
        lines = [f"{method} {path} HTTP/1.1", "Host: edge.example"]
        if token is not None:
            lines.append(f"Authorization: Bearer {token}")
        if body is not None:
            lines += [f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        head = "\r\n".join([*lines, "", ""]).encode()
        return await self.client.ask(head + (body or b""), to_head=method == "HEAD")

    async def ask(
        self,
        method: str,
        path: str = "/pins",
        pin: object = None,
        token: str | None = "pinner",
        **fields: str,
    ) -> tuple[int, Any]:
        """(status, parsed body) of a request below the API's base."""
        body = None if pin is None else pin if isinstance(pin, bytes) else json.dumps(pin).encode()
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        if body is not None:
            named.setdefault("Content-Type", "application/json")
        reply = await self.raw(method, f"/pinning/v1{path}", token, body, named)
        return reply.status, json.loads(reply.body) if reply.body else None

    async def add(self, text: str, token: str = "pinner", **members: object) -> Any:
        """The PinStatus of a new pin."""
        status, told = await self.ask("POST", pin={"cid": cid_of(text).text(), **members}, token=token)
        assert status == 202, told
        return told


@asynccontextmanager
async def service(book: Pins, extras: Mapping[str, Extra] | None = None) -> AsyncIterator[Service]:
    """The API on a free port."""
    api = PinApi(book, TokenTable(), OneDenied(), delegates, ManualClock(), extras or {})
    try:
        async with served(api) as server:
            yield Service(await server.client(), book, server.client)
    finally:
        api.close()
