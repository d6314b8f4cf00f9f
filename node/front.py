"""The public listener's application: the gateway, and beside it services under paths of their own.

A service (`/pinning/v1`, `/car`) is what its path names on the node's own hosts. A CID's or a website's own
origin has those paths to itself, so there they are the gateway's.
"""

from collections.abc import Sequence

from gateway.hosts import Hosts
from net.answer import Answer
from net.app import App, BodyReader
from net.http1 import Request


class Front:
    """`net.app.App` over the gateway and services. A hit costs what it costs the gateway alone."""

    def __init__(self, gateway: App, hosts: Hosts, services: Sequence[tuple[str, App]]) -> None:
        """`services`: (path without a slash at its end, who answers it and what is below it)."""
        self.shares = gateway.shares
        self.hit = gateway.hit  # the gateway's own: no memoised target is a service's
        self._gateway = gateway
        self._hosts = hosts
        self._services = tuple((path, f"{path}/", service) for path, service in services)

    def decide(self, request: Request) -> Answer | None:
        """See `net.app.App`. Raises EdgeError."""
        return self._whose(request).decide(request)

    async def handle(self, request: Request, body: BodyReader) -> Answer:
        """See `net.app.App`. Raises EdgeError."""
        return await self._whose(request).handle(request, body)

    def _whose(self, request: Request) -> App:
        for path, below, service in self._services:
            if request.path.startswith(below) or request.path == path:
                return service if self._is_own(request) else self._gateway
        return self._gateway

    def _is_own(self, request: Request) -> bool:
        """Whether the request is for the node itself, neither for an isolated origin nor for a proxy."""
        if not request.target.startswith("/") and not self._hosts.is_ours(request.host):
            return False
        return not self._hosts.site(request).is_isolated
