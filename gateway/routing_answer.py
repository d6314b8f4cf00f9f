"""Delegated routing over HTTP: this node as a provider of what it holds, and of IPNS records.

Source: the delegated routing v1 HTTP API: `/routing/v1/providers/<cid>`, `/routing/v1/ipns/<name>`; JSON or
NDJSON. Peers are not known here.
"""

import json
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from content import ipns
from content.cid import Cid
from gateway.access import TokenBook, caller, require
from gateway.content_fields import CORS
from gateway.content_request import ContentRequest, split_path
from gateway.formats import Asked, Format
from gateway.hosts import Site
from gateway.ipns_record_answer import record_answer
from gateway.mutable import Names, NameUnknown
from gateway.ports import DagStore, Deny
from gateway.refusal import not_allowed
from net.answer import Answer
from net.app import BodyReader
from net.http1 import Request
from runtime.errors import NotFound, NotImplementedHere, TooLarge

ROUTING: Final = "/routing/v1/"
_NDJSON: Final = "application/x-ndjson"
_HERE_S: Final = 300  # how long others may believe that we hold something
_ABSENT_S: Final = 15


@dataclass(frozen=True, slots=True)
class Routing:
    """Answers under /routing/v1."""

    dag: DagStore
    names: Names
    deny: Deny
    tokens: TokenBook
    peer_id: str

    def decide(self, request: Request, site: Site) -> Answer | None:
        """Answer a read; None for a PUT. Raises EdgeError."""
        what, _, name = request.path[len(ROUTING) :].partition("/")
        if what == "providers" and name:
            if request.method not in ("GET", "HEAD"):
                return not_allowed(request, "GET, HEAD")
            return self._providers(request, site, Cid.parse(name))
        if what == "ipns" and name:
            if request.method == "PUT":
                return None
            if request.method not in ("GET", "HEAD"):
                return not_allowed(request, "GET, HEAD, PUT")
            return self._record(request, site, name)
        if what in ("peers", "dht"):
            raise NotImplementedHere("peers are not looked up here", where=request.path[:160])
        raise NotFound(
            "no such routing endpoint", where=request.path[:160], hint="providers/<cid>, ipns/<name>"
        )

    async def handle(self, request: Request, body: BodyReader) -> Answer:
        """Take a record for an IPNS name. Needs scope put. Raises Unverified, TooLarge."""
        require(caller(request, self.tokens), "put")
        name = ipns.parse_name(request.path[len(ROUTING) :].partition("/")[2])
        raw = b""
        async for piece in body:
            raw += piece
            if len(raw) > ipns.MAX_RECORD_BYTES:
                raise TooLarge(f"a record has at most {ipns.MAX_RECORD_BYTES} bytes")
        self.names.keep(name, raw)
        return Answer(200, [*CORS], b"", kind="record")

    def _providers(self, request: Request, site: Site, cid: Cid) -> Answer:
        self.deny.check(cid)
        here = self.dag.has(cid)
        record = {
            "Schema": "peer",
            "ID": self.peer_id,
            "Addrs": [_multiaddr(site)],
            "Protocols": ["transport-ipfs-gateway-http"],
        }
        found = [record] if here else []
        fields = [
            ("Cache-Control", f"public, max-age={_HERE_S if here else _ABSENT_S}"),
            ("Vary", "Accept"),
            *CORS,
        ]
        if _NDJSON in (request.fields.get("accept") or ""):
            fields.append(("Content-Type", _NDJSON))
            body = b"".join(json.dumps(each).encode() + b"\n" for each in found)
        else:
            fields.append(("Content-Type", "application/json"))
            body = json.dumps({"Providers": found}).encode()
        return Answer(200, fields, body, kind="routing")

    def _record(self, request: Request, site: Site, text: str) -> Answer:
        name = ipns.parse_name(text)
        self.deny.check_path("ipns", text, ())
        asked = ContentRequest(request, site, "ipns", text, "", split_path(""), {}, Asked(Format.IPNS_RECORD))
        try:
            record = self.names.record(name)
        except NameUnknown:
            raise NotFound("no record is kept for this name", where=text[:80]) from None
        return record_answer(name, record, self.names.fresh_s(record), asked)


def _multiaddr(site: Site) -> str:
    """Where this node is reached, as the client reached it."""
    parts = urlsplit(f"{site.scheme}://{site.base or 'localhost'}")
    host = parts.hostname or "localhost"
    port = parts.port or (443 if site.scheme == "https" else 80)
    kind = "ip6" if ":" in host else "ip4" if host.replace(".", "").isdigit() else "dns"
    tail = "/tls/http" if site.scheme == "https" else "/http"
    return f"/{kind}/{host}/tcp/{port}{tail}"
