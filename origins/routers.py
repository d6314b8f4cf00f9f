"""IPNS records at other nodes: asked for and handed over, blocking.

Source: the delegated routing v1 HTTP API (`GET` and `PUT /routing/v1/ipns/<name>`) and the trustless gateway
(`?format=ipns-record`). What comes back is not verified here: who keeps it does that. Called by the command
line and by the keeper's thread; services on an event loop use `Fetcher`.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from content import ipns
from content.cid import Cid
from net.client import ClientLimits, fetch
from net.guard import Guard
from origins.settings import OriginSettings
from runtime.errors import EdgeError, Unreachable, UsageError

_TYPE: Final = "application/vnd.ipfs.ipns-record"
# A router may have to ask a DHT, which takes seconds
_LIMITS: Final = ClientLimits(connect_s=5.0, idle_s=15.0, redirects=2)


@dataclass(frozen=True, slots=True)
class Offered:
    """How a router took a record; `problem` is "" when it did."""

    router: str
    problem: str = ""


class Routers:
    """The routers and gateways of one configuration."""

    def __init__(self, settings: OriginSettings) -> None:
        """Raises UsageError when the certificate authorities cannot be read."""
        self._routers = [url.rstrip("/") for url in settings.routers]
        self._gateways = [url.rstrip("/") for url in settings.gateways]
        self._guard = Guard(settings.allow_nets)
        try:
            self._trust = (
                None if settings.ca_file is None else ssl.create_default_context(cafile=settings.ca_file)
            )
        except OSError as fault:
            raise UsageError(
                f"the certificate authorities cannot be read: {fault}", where="origins.ca_file"
            ) from None

    def records(self, name: Cid) -> Iterator[bytes]:
        """What each of them has under `name`, not verified; who fails is passed over."""
        text = ipns.name_text(name)
        urls = [f"{base}/routing/v1/ipns/{text}" for base in self._routers]
        urls += [f"{base}/ipns/{text}?format=ipns-record" for base in self._gateways]
        for url in urls:
            try:
                found = self._record(url)
            except EdgeError:
                continue
            if found is not None:
                yield found

    def offer(self, name: Cid, record: bytes, token: str | None = None) -> list[Offered]:
        """Hand a record to every router; `token` goes along as a bearer token."""
        headers = [("Content-Type", _TYPE)]
        headers += [("Authorization", f"Bearer {token}")] if token else []
        outcomes = []
        for base in self._routers:
            try:
                url = f"{base}/routing/v1/ipns/{ipns.name_text(name)}"
                with fetch(
                    url,
                    method="PUT",
                    headers=headers,
                    body=record,
                    limits=_LIMITS,
                    trust=self._trust,
                    guard=self._guard,
                ) as reply:
                    if reply.status not in (200, 201, 202, 204):
                        raise Unreachable(f"it answered {reply.status}", where=base)
                outcomes.append(Offered(base))
            except EdgeError as error:
                outcomes.append(Offered(base, error.message))
        return outcomes

    def _record(self, url: str) -> bytes | None:
        headers = [("Accept", _TYPE)]
        with fetch(url, headers=headers, limits=_LIMITS, trust=self._trust, guard=self._guard) as reply:
            if reply.status != 200:
                return None
            raw = b""
            for piece in reply.pieces():
                raw += piece
                if len(raw) > ipns.MAX_RECORD_BYTES:
                    return None
            return raw
