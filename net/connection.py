"""One HTTP connection: from its bytes to exchanges, in order, and how it ends.

Theory of operation. While the connection is idle and the bytes read are exactly one plain GET,
the app's memoised hit is sent at once, head and body in one system call (`net.hot_connection` does even
that without a frame of ours). Everything else goes the general way: bytes gather in `_inbox`,
`HeadReader` takes a request from them, an `Exchange` answers it. Requests are answered one at a time;
pipelined ones wait in the inbox, then in the kernel.
Made by `net.server`.

    HANDSHAKE -> HEAD -> ANSWER -> HEAD …         keep-alive
                           |-> DISCARD -> HEAD    the rest of an unread request body
                           `-> LINGER -> CLOSED   last answer given, waiting for the client's end

Invariants
 1. At most one exchange is in progress; nothing of the next answer is sent before its end.
 2. Memory is bounded per connection: inbox, body queue and 64 KiB of joined small parts.
 3. Each phase has a deadline; within a phase only `progress_bytes` of progress renew it.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto
from typing import Final

from net.answer import Hit, file_stop
from net.exchange import Exchange
from net.http1 import Request
from net.outgoing import Part
from net.refusal import Refused
from net.serving import LOG, Serving
from net.wheel import UNWATCHED
from net.wire import Wire
from runtime.errors import Busy

# A head is far smaller; a larger buffer would be allocated and thrown away for each.
_READ_BYTES: Final = 16384
_READ_BODY_BYTES: Final = 262144


class Phase(Enum):
    """Where a connection is; the diagram is in the module's docstring."""

    HANDSHAKE = auto()
    HEAD = auto()
    ANSWER = auto()
    DISCARD = auto()
    LINGER = auto()
    CLOSED = auto()


class Connection:
    """A client's connection, from accept to close. Implements `Guest` and `Line`."""

    def __init__(
        self, wire: Wire, serving: Serving, loop: asyncio.AbstractEventLoop, *, refuse: bool
    ) -> None:
        """Take over `wire`. `refuse`: answer its first request 503 and close."""
        self._wire, self._serving, self._loop, self._refuse = wire, serving, loop, refuse
        self._recv, self._sendmsg, self._tls = wire.recv, wire.sendmsg, wire.tls
        self._phase = Phase.HEAD if wire.tls is None else Phase.HANDSHAKE
        self._idle = wire.tls is None and not refuse  # at a message boundary, nothing in the inbox
        self._inbox = b""
        self._scanned = 0
        self._hit_head = b""
        self._hit_taken = 0
        self._exchange: Exchange | None = None
        limits = serving.limits
        self.wheel_turn = UNWATCHED
        self.due_s = serving.now_s + (limits.keep_alive_s if wire.tls is None else limits.tls_handshake_s)
        wire.watch(self._readable, self._writable)
        serving.joined(self)

    # ---- reading

    def _readable(self) -> None:
        try:
            data = self._recv(_READ_BYTES if self._exchange is None else _READ_BODY_BYTES)
        except (BlockingIOError, InterruptedError):
            if self._wire.held_bytes:  # of a handshake, larger than the kernel's buffer
                self._wire.write(True)
            return
        except OSError:
            self._lost()
            return
        try:
            self._take(data)
            if data and self._tls is not None and self._tls.ended and self._phase is not Phase.CLOSED:
                self._ended()  # close_notify came with it; no event tells of that
        except Exception:  # noqa: BLE001  # a bug of ours ends this connection, not the process
            LOG.exception("a connection failed")
            self.abort()

    def _take(self, data: bytes) -> None:
        """Answer `data` at once if it is one plain GET with a hit; else see to it in general."""
        if self._idle:
            parts = data.split(b" ", 2)
            if len(parts) == 3 and parts[0] == b"GET" and parts[2] in self._serving.heads.plain:
                try:
                    hit = self._serving.hit(parts[1])
                except Exception:  # noqa: BLE001  # the exchange asks again, and answers with the error
                    hit = None
                if hit is not None:
                    self._send_hit(hit, data)
                    return
        self._received(data)

    def _received(self, data: bytes) -> None:
        """Take `data`, which was not answered at once: part of a head, a body, several requests."""
        if self._phase is Phase.HANDSHAKE and not self._shaken(data):
            return
        if not data:
            self._ended()
            return
        if self._phase is Phase.LINGER:
            return
        self._idle = False
        self._inbox = self._inbox + data if self._inbox else data
        exchange = self._exchange
        if exchange is not None and exchange.open:
            self._feed(exchange)
        if self._phase is Phase.HEAD:
            self._serve_inbox()
        elif len(self._inbox) >= self._serving.limits.pipeline_bytes:
            self._wire.read(False)

    def _feed(self, exchange: Exchange) -> None:
        """Move the body bytes of the inbox to where they belong."""
        try:
            self._inbox = exchange.feed(self._inbox)
        except Refused:  # in the rest that nobody reads: the answer was given
            self._linger()
            return
        if self._phase is Phase.DISCARD and not exchange.open:
            self._phase, self._exchange = Phase.HEAD, None

    def _shaken(self, data: bytes) -> bool:
        """The TLS handshake is over; whether there is anything more to see to."""
        tls = self._tls
        assert tls is not None
        if not tls.ready:
            self._lost()
            return False
        self._phase = Phase.HEAD
        self._serving.meter.count("tls_handshakes")
        self._idle = not self._refuse
        self.wait(self._serving.limits.keep_alive_s)
        self._wire.write(tls.held_bytes > 0)
        return bool(data) or tls.ended

    def _ended(self) -> None:
        """The client will send no more; it may still read (RFC 9112 §9.6)."""
        self._wire.ended = True
        self._wire.read(False)
        if self._phase is Phase.ANSWER and self._exchange is not None:
            self._exchange.broken_off()
        else:
            self.close()

    def _lost(self) -> None:
        """The connection broke: nothing can be sent any more either."""
        if self._phase is Phase.HANDSHAKE:
            self._serving.meter.count("tls_failures")
        self.abort()

    # ---- the hit

    def _send_hit(self, hit: Hit, data: bytes) -> None:
        serving = self._serving
        self._hit_head = head = serving.opening.ok + hit.head
        self._hit_taken, size = 0, hit.size_bytes
        try:
            if size:
                use_file = self._send_first_file if self._tls is None else None
                stop = min(size, hit.stride_bytes)
                reach = stop if stop == size else file_stop(0, size, self._wire.room_bytes(), stop)
                taken = hit.lend(0, stop, self._send_first, use_file, reach)
            else:
                taken = self._send_first(b"")
        except Exception as error:  # noqa: BLE001  # whatever a body raises
            if self._hit_taken or hit.otherwise is not None:
                self._exchange_for(data).go_on(hit, head, self._hit_taken)
            else:  # before a byte left: an error answer can be given
                self._exchange_for(data).fail(error)
        else:
            if taken == len(head) + size and (self._tls is None or not self._tls.held_bytes):
                self.due_s = serving.idle_due_s
                serving.meter.sent(None, hit.kind, size, 200)
                if serving.access is not None:
                    serving.log(self._wire.peer, self._parsed(data), None, 200, size, hit.kind, None)
                return
            self._exchange_for(data).go_on(hit, head, taken)
        self._serve_inbox()

    def _send_first(self, view: Part) -> int:
        """Head and first stretch of a hit in one call; returns how much of both was taken."""
        with suppress(OSError):  # full or broken: `Exchange.pump` meets it again and tells them apart
            self._hit_taken = self._sendmsg((self._hit_head, view))
        return self._hit_taken

    def _send_first_file(self, fd: int, offset: int, count: int) -> int:
        with suppress(OSError):
            self._hit_taken = self._wire.send_file((self._hit_head,), fd, offset, count)
        return self._hit_taken

    def _parsed(self, data: bytes) -> Request:
        """The request of a hit in full, now that more than its target is needed."""
        taken = self._serving.heads.take(data)
        assert taken is not None, "what was in the memo is whole"
        return taken[0]

    def _exchange_for(self, data: bytes) -> Exchange:
        self._idle = False
        return self._begin(self._parsed(data))

    # ---- requests

    def _serve_inbox(self) -> None:
        """Answer what is whole in the inbox, a bounded number of requests a turn."""
        for _ in range(self._serving.limits.pipeline_depth):
            if self._phase is not Phase.HEAD:
                return
            if not self._inbox:
                self._rest()
                return
            try:
                taken = self._serving.heads.take(self._inbox, self._scanned)
            except Refused as refused:
                self._refused(refused)
                return
            if taken is None:
                self._await_head()
                return
            self._inbox, self._scanned = self._inbox[taken[1] :], 0
            peer, secure = self._wire.peer, self._tls is not None
            exchange = self._begin(replace(taken[0], peer=peer, secure=secure))
            if self._refuse:
                exchange.keep_alive = False
                exchange.fail(Busy("this server has as many connections as it may hold"))
                return
            if exchange.open and self._inbox:
                self._feed(exchange)
            exchange.run(self._loop)
        if self._phase is Phase.HEAD:
            self._wire.read(False)  # until these are answered, the rest stays in the kernel
            self._loop.call_soon(self._serve_inbox)

    def _begin(self, request: Request | None) -> Exchange:
        self._phase = Phase.ANSWER
        self._exchange = Exchange(self, self._wire, self._serving, request)
        return self._exchange

    def _await_head(self) -> None:
        """A head has begun and is not whole."""
        if self._wire.ended:
            self.close()
            return
        if not self._scanned:
            self.wait(self._serving.limits.header_s)
        self._scanned = len(self._inbox)
        self._wire.read(True)

    def _rest(self) -> None:
        """At a message boundary with nothing to do."""
        if self._wire.ended or self._serving.draining:
            self.close()
            return
        self._idle = not self._refuse
        self._wire.read(True)
        self.wait(self._serving.limits.keep_alive_s)

    def _refused(self, refused: Refused) -> None:
        """Nobody knows where the next request begins: answer and close."""
        self._serving.meter.count("parse_errors")
        self._begin(None).fail(refused)

    # ---- what the exchange asks

    def wait(self, seconds: float) -> None:
        """See `Line.wait`."""
        self.due_s = self._serving.now_s + seconds
        self._serving.wheel.place(self)

    def finished(self) -> None:
        """See `Line.finished`."""
        exchange = self._exchange
        assert exchange is not None
        if not exchange.keep_alive:
            self._linger()
        elif exchange.open:
            self._phase = Phase.DISCARD
            self._wire.read(True)
            self.wait(self._serving.limits.body_idle_s)
        else:
            self._phase, self._exchange = Phase.HEAD, None

    def resume(self) -> None:
        """See `Line.resume`."""
        self._serve_inbox()

    def _writable(self) -> None:
        try:
            if not self._wire.flush():
                if self._exchange is not None:
                    self._exchange.progressed()
            elif self._phase is Phase.ANSWER and self._exchange is not None:
                self._exchange.pump()
                self._serve_inbox()
            else:
                self._wire.write(False)
        except OSError:
            self._lost()
        except Exception:  # noqa: BLE001  # as in `_readable`
            LOG.exception("a connection failed")
            self.abort()

    # ---- ends

    def _linger(self) -> None:
        """Say that we are done, and read on until the client is: else it may lose the answer."""
        self._phase, self._inbox, self._exchange = Phase.LINGER, b"", None
        if not self._wire.finish() or self._wire.ended:
            self.close()
            return
        self._wire.read(True)
        self.wait(self._serving.limits.linger_s)

    def overdue(self) -> None:
        """See `Guest.overdue`."""
        phase, meter = self._phase, self._serving.meter
        if phase is Phase.ANSWER and self._exchange is not None:
            self._exchange.overdue()
        elif phase is Phase.HEAD and self._inbox:
            meter.count("timeout_header")
            self._refused(Refused(408, "the request head did not arrive in time"))
        elif phase is Phase.HEAD:
            meter.count("timeout_keep_alive")
            self.close()
        elif phase is Phase.LINGER:
            self.close()
        else:
            meter.count("timeout_body" if phase is Phase.DISCARD else "timeout_tls_handshake")
            self.abort()

    def retire(self) -> None:
        """See `Guest.retire`."""
        if self._phase is Phase.HANDSHAKE or (self._phase is Phase.HEAD and not self._inbox):
            self.close()

    def abort(self) -> None:
        """End with a reset: what was sent so far is no whole answer."""
        self._close(reset=True)

    def close(self) -> None:
        """End; nothing is in progress."""
        self._close(reset=False)

    def _close(self, *, reset: bool) -> None:
        if self._phase is Phase.CLOSED:
            return
        self._phase, self._idle, self._inbox = Phase.CLOSED, False, b""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cut()
        self._wire.close(reset=reset)
        self._serving.left(self)
