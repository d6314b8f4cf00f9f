"""A DNS server on loopback for tests: TXT records by name, and what it was asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import dns.asyncresolver
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.TXT import TXT


@dataclass(frozen=True)
class Answer:
    """What a name is answered with; a text may be given in several strings."""

    texts: tuple[str | tuple[str, ...], ...]
    ttl_s: int
    rcode: str
    is_silent: bool

    def __init__(
        self, *texts: str | tuple[str, ...], ttl_s: int = 300, rcode: str = "NOERROR", is_silent: bool = False
    ) -> None:
        for name, value in (("texts", texts), ("ttl_s", ttl_s), ("rcode", rcode), ("is_silent", is_silent)):
            object.__setattr__(self, name, value)


class Server(asyncio.DatagramProtocol):
    """Answers from a table; names that are not in it do not exist."""

    def __init__(self, table: dict[str, Answer]) -> None:
        self.table = table
        self.asked: list[str] = []
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        name = query.question[0].name
        self.asked.append(name.to_text())
        answer = self.table.get(name.to_text(), Answer(rcode="NXDOMAIN"))
        if answer.is_silent or self._transport is None:
            return
        reply = dns.message.make_response(query)
        reply.set_rcode(dns.rcode.from_text(answer.rcode))
        records = [
            TXT(dns.rdataclass.IN, dns.rdatatype.TXT, (text,) if isinstance(text, str) else text)
            for text in answer.texts
        ]
        if records:
            reply.answer.append(dns.rrset.from_rdata_list(name, answer.ttl_s, records))
        self._transport.sendto(reply.to_wire(), addr)

    def resolver(self) -> dns.asyncresolver.Resolver:
        """A resolver that asks this server alone."""
        assert self._transport is not None
        found = dns.asyncresolver.Resolver(configure=False)
        found.nameservers = ["127.0.0.1"]
        found.port = self._transport.get_extra_info("sockname")[1]
        return found


@asynccontextmanager
async def dns_server(table: dict[str, Answer]) -> AsyncIterator[Server]:
    """A running server."""
    server = Server(table)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()
