"""The admin listener: metrics, health, and a page about the node. Read-only; runs in the keeper.

aiohttp serves it: nothing here is hot. What it shows comes from the board (all workers' counters)
and the store's own tables.
"""

import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from blockstore import Store
from node.admin_guard import HostGuard
from node.status import status, status_page, store_numbers
from runtime.errors import EdgeError
from runtime.metrics import render

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Admin:
    """Handlers over one store, and the listener that serves them."""

    def __init__(self, store: Store, guard: HostGuard, started_s: float) -> None:
        """`started_s` is when the node started, in epoch seconds."""
        self._store = store
        self._guard = guard
        self._started_s = started_s
        self._runner: web.AppRunner | None = None

    async def start(self, listener: socket.socket) -> None:
        """Serve on an already listening socket until `stop`."""
        app = web.Application(middlewares=[self._checked], client_max_size=64 * 1024)
        app.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._health),
                web.get("/readyz", self._ready),
                web.get("/api/v1/status", self._status),
                web.get("/api/v1/damage", self._damage),
                web.get("/_/", self._page),
                web.get("/", self._home),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """Finish open answers and stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        reason = self._guard.refusal(request.headers.get("Host"), request.headers.get("Origin"))
        if reason is not None:
            return _error(403, "forbidden", reason, "add the name to admin_hosts in [node]")
        try:
            response = await handler(request)
        except EdgeError as error:
            return web.json_response(error.as_json(), status=error.outcome.http_status)
        except web.HTTPNotFound:
            return _error(404, "not_found", "nothing is served here", "try /metrics, /healthz, /readyz, /_/")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _metrics(self, _: web.Request) -> web.StreamResponse:
        text = render(self._store.board, store_numbers(self._store))
        return web.Response(body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _health(self, _: web.Request) -> web.StreamResponse:
        return web.Response(text="ok\n")

    async def _ready(self, _: web.Request) -> web.StreamResponse:
        wanted, ready = self._store.board.serving()
        code = 200 if ready else 503
        return web.json_response({"ready": bool(ready), "workers": ready, "wanted": wanted}, status=code)

    async def _status(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(status(self._store, self._started_s))

    async def _damage(self, _: web.Request) -> web.StreamResponse:
        rows = [
            {"blake3": row.hash.hex(), "segment": row.segment, "cause": row.cause, "found_s": row.found_s}
            for row in self._store.damage()
        ]
        return web.json_response({"damage": rows})

    async def _page(self, _: web.Request) -> web.StreamResponse:
        return web.Response(
            text=status_page(),
            content_type="text/html",
            headers={
                "Content-Security-Policy": "default-src 'none'; connect-src 'self';"
                " style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'"
            },
        )

    async def _home(self, _: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/_/")


def _error(code: int, kind: str, message: str, hint: str) -> web.StreamResponse:
    body = {"error": {"kind": kind, "message": message, "where": "admin", "hint": hint}}
    return web.json_response(body, status=code)
