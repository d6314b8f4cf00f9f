"""Delegated routing over HTTP: this node as a provider of what it holds, and of IPNS records.

Source: the delegated routing v1 HTTP API: `/routing/v1/providers/<cid>`, `/peers/<peer id>`, `/ipns/<name>`;
JSON or NDJSON. Nothing found is 200 with an empty list (IPIP-513). The only peer known here is this node.
"""

import json
from dataclasses import dataclass
from typing import Final

from content import ipns
from content.cid import Cid
from gateway.content_fields import CORS
from gateway.content_request import ContentRequest, parse_query, split_path
from gateway.formats import Asked, Format
from gateway.hosts import Site
from gateway.ipns_record_answer import MEDIA_TYPE, record_answer
from gateway.mutable import Names, NameUnknown
from gateway.ports import DagStore, Deny
from gateway.refusal import not_allowed
from gateway.routing_records import Filters, peer_record
from net.answer import Answer
from net.app import BodyReader
from net.bearer import TokenBook, caller, require
from net.http1 import Request
from runtime.errors import NotAcceptable, NotFound, NotImplementedHere, TooLarge

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
        if what == "ipns" and name and request.method == "PUT":
            return None
        if what in ("providers", "peers", "ipns") and name:
            if request.method not in ("GET", "HEAD"):
                return not_allowed(request, "GET, HEAD, PUT" if what == "ipns" else "GET, HEAD")
            if what == "providers":
                return self._providers(request, site, Cid.parse(name))
            return (self._peers if what == "peers" else self._record)(request, site, name)
        if what == "dht":
            raise NotImplementedHere("this node is in no DHT", where=request.path[:160])
        raise NotFound(
            "no such routing endpoint",
            where=request.path[:160],
            hint="providers/<cid>, peers/<peer id>, ipns/<name>",
        )

    async def handle(self, request: Request, body: BodyReader) -> Answer:
        """Take a record for an IPNS name. Needs scope put. Raises Unverified, TooLarge."""
        require(caller(request, self.tokens), "put")
        if (request.fields.get("content-type") or MEDIA_TYPE).partition(";")[0].strip() != MEDIA_TYPE:
            raise NotAcceptable("a record is taken as it is", where="Content-Type", hint=MEDIA_TYPE)
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
        return self._found(request, site, "Providers", here=self.dag.has(cid))

    def _peers(self, request: Request, site: Site, text: str) -> Answer:
        here = ipns.parse_name(text).multihash == ipns.parse_name(self.peer_id).multihash
        return self._found(request, site, "Peers", here=here)

    def _found(self, request: Request, site: Site, what: str, *, here: bool) -> Answer:
        """This node, where it is what was asked for and of use to the client; else nothing."""
        filters = Filters.of(parse_query(request.query))
        found = peer_record(self.peer_id, site, filters) if here else []
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
            body = json.dumps({what: found}).encode()
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
