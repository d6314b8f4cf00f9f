"""One HTTP connection: the shell that moves bytes between a wire and the pure machines.

Theory of operation. While the connection is idle and the bytes read are exactly one plain GET,
the app's memoised hit is sent at once, head and body in one system call. Everything else goes the
general way: bytes gather in `_inbox`, `HeadReader` takes a request from them, the app decides or
handles, `Outgoing` sends. Requests are answered one at a time, in order; pipelined ones wait in
the inbox, then in the kernel.

    HANDSHAKE -> HEAD -> ANSWER -> HEAD …         keep-alive
                           |-> DISCARD -> HEAD    the rest of an unread request body
                           `-> LINGER -> CLOSED   last answer given, waiting for the client's end

Invariants
 1. At most one response is in progress; nothing of the next is sent before its end.
 2. What the kernel did not take is not read from the store yet: memory is bounded per connection.
 3. A response that breaks off after its head ends in a reset, never in a clean end.
 4. Each phase has a deadline; within a phase only `progress_bytes` of progress renew it.

Made by `net.server`.
"""

import asyncio
from enum import Enum, auto
from typing import Final

from net.answer import Answer, Hit
from net.http1 import Request
from net.incoming import Incoming, empty_body, incoming_for
from net.outgoing import ClientGone, Outgoing, Part, Pumped, begin, free
from net.refusal import Refused
from net.response import CONTINUE
from net.serving import LOG, Serving
from net.wheel import UNWATCHED
from net.wire import Wire
from runtime.errors import Busy, EdgeError, SourceTimeout

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


_LATE: Final = {Phase.HANDSHAKE: "timeout_tls_handshake", Phase.DISCARD: "timeout_body"}


class Connection:
    """A client's connection, from accept to close."""

    def __init__(
        self, wire: Wire, serving: Serving, loop: asyncio.AbstractEventLoop, *, refuse: bool
    ) -> None:
        """Take over `wire`. `refuse`: answer its first request 503 and close."""
        self._wire, self._serving, self._loop, self._refuse = wire, serving, loop, refuse
        self._phase = Phase.HEAD if wire.tls is None else Phase.HANDSHAKE
        self._idle = wire.tls is None and not refuse  # at a message boundary, nothing in the inbox
        self._inbox = b""
        self._scanned = 0
        self._hit_head = b""
        self._request: Request | None = None
        self._incoming: Incoming | None = None
        self._task: asyncio.Task[Answer] | None = None
        self._out: Outgoing | None = None
        self._keep = True
        self._mark = 0
        self._started_s = serving.now_s
        limits = serving.limits
        self.wheel_turn = UNWATCHED
        self.due_s = serving.now_s + (limits.keep_alive_s if wire.tls is None else limits.tls_handshake_s)
        wire.watch(self._readable, self._writable)
        serving.joined(self)

    # ---- reading

    def _readable(self) -> None:
        try:
            data = self._wire.recv(_READ_BYTES if self._incoming is None else _READ_BODY_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lost()
            return
        if self._idle and data[:4] == b"GET ":
            cut = data.find(b" ", 4)
            if data[cut:] in self._serving.heads.plain:
                hit = self._serving.hit(data[4:cut])
                if hit is not None:
                    self._send_hit(hit, data)
                    return
        try:
            self._received(data)
        except Exception:  # noqa: BLE001  # a bug of ours ends this connection, not the process
            LOG.exception("a connection failed")
            self.abort()

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
        if self._incoming is not None and not self._incoming.complete:
            self._feed(self._incoming)
        if self._phase is Phase.HEAD:
            self._serve_inbox()
        elif len(self._inbox) >= self._serving.limits.pipeline_bytes:
            self._wire.read(False)

    def _shaken(self, data: bytes) -> bool:
        """The TLS handshake is over; whether there is anything more to see to."""
        tls = self._wire.tls
        assert tls is not None
        if not tls.ready:
            self._lost()
            return False
        self._phase = Phase.HEAD
        self._serving.meter.count("tls_handshakes")
        self._idle = not self._refuse
        self._wait(self._serving.limits.keep_alive_s)
        self._wire.write(tls.held_bytes > 0)
        return bool(data) or tls.ended

    def _ended(self) -> None:
        """The client will send no more; it may still read (RFC 9112 §9.6)."""
        self._wire.ended = True
        self._wire.read(False)
        if self._incoming is not None and not self._incoming.complete:
            self._incoming.fail(Refused(400, "the client broke off its request body"))
        if self._phase is not Phase.ANSWER:
            self.close()

    def _lost(self) -> None:
        """The connection broke: nothing can be sent any more either."""
        if self._phase is Phase.HANDSHAKE:
            self._serving.meter.count("tls_failures")
        self.abort()

    # ---- the hit

    def _send_hit(self, hit: Hit, request: bytes) -> None:
        serving = self._serving
        self._hit_head = head_bytes = serving.opening.ok + hit.head
        size = hit.size_bytes
        try:
            if size:
                stop = size if size < hit.stride_bytes else hit.stride_bytes
                taken = hit.lend(0, stop, self._send_first)
            else:
                taken = self._send_first(b"")
        except Exception as error:  # noqa: BLE001  # before a byte left: an error answer can be given
            self._make_whole(request)
            self._answer(self._serving.error(error))
        else:
            wire = self._wire
            if taken == len(head_bytes) + size and (wire.tls is None or not wire.tls.held_bytes):
                self.due_s = serving.idle_due_s
                serving.meter.sent(None, hit.kind, size, 200)
                if serving.access is not None:
                    self._make_whole(request)
                    serving.log(wire.peer, self._request, self._started_s, 200, size, hit.kind, None)
                    self._phase, self._idle, self._request = Phase.HEAD, True, None
                return
            self._make_whole(request)
            self._out = Outgoing.rest_of_hit(hit, head_bytes, taken)
            self._pump()
        self._serve_inbox()

    def _send_first(self, view: Part) -> int:
        """Head and first stretch of a hit in one call; returns how much of both was taken."""
        try:
            return self._wire.sendmsg((self._hit_head, view))
        except OSError:
            return 0  # full or broken: `_pump` meets it again and tells them apart

    def _make_whole(self, data: bytes) -> None:
        """Read the request of a hit in full, now that more than its target is needed."""
        taken = self._serving.heads.take(data)
        assert taken is not None, "what was in the memo is whole"
        self._idle = False
        self._start(taken[0])

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
            self._begin(taken[0])
        if self._phase is Phase.HEAD:
            self._wire.read(False)  # until these are answered, the rest stays in the kernel
            self._loop.call_soon(self._serve_inbox)

    def _await_head(self) -> None:
        """A head has begun and is not whole."""
        if self._wire.ended:
            self.close()
            return
        if not self._scanned:
            self._wait(self._serving.limits.header_s)
        self._scanned = len(self._inbox)
        self._wire.read(True)

    def _rest(self) -> None:
        """At a message boundary with nothing to do."""
        if self._wire.ended or self._serving.draining:
            self.close()
            return
        self._idle = not self._refuse
        self._wire.read(True)
        self._wait(self._serving.limits.keep_alive_s)

    def _start(self, request: Request) -> None:
        self._phase = Phase.ANSWER
        self._request = request
        self._keep = request.keep_alive
        self._started_s = self._serving.clock.tick_s()

    def _begin(self, request: Request) -> None:
        """Answer `request`, or start the task that will."""
        serving = self._serving
        self._start(request)
        if request.has_body:
            self._incoming = incoming_for(request, serving.limits, self._say_continue, self._read_on)
            if self._inbox:
                self._feed(self._incoming)
        try:
            if self._refuse:
                self._keep = False
                raise Busy("this server has as many connections as it may hold")
            hit = serving.hit(request.target.encode()) if request.plain and request.method == "GET" else None
            answer = serving.app.decide(request) if hit is None else None
        except Exception as error:  # noqa: BLE001  # whatever the app raises, its client gets an answer
            self._answer(self._serving.error(error))
            return
        if hit is not None:
            self._out = Outgoing.rest_of_hit(hit, serving.opening.ok + hit.head, 0)
            self._pump()
        elif answer is not None:
            self._answer(answer)
        else:
            self._wait(serving.limits.answer_s)
            body = self._incoming if self._incoming is not None else empty_body()
            self._task = self._loop.create_task(serving.app.handle(request, body))
            self._task.add_done_callback(self._handled)

    def _handled(self, task: asyncio.Task[Answer]) -> None:
        """The handler's task ended."""
        self._task = None
        error: BaseException | None
        if task.cancelled():
            error = SourceTimeout(f"the request was not done within {self._serving.limits.answer_s:g} s")
        else:
            error = task.exception()
        if self._phase is Phase.CLOSED:
            if error is None:
                free(task.result())
            return
        self._answer(task.result() if error is None else self._serving.error(error))
        self._serve_inbox()

    def _refused(self, refused: Refused) -> None:
        """Nobody knows where the next request begins: answer and close."""
        self._phase, self._request, self._keep = Phase.ANSWER, None, False
        self._serving.meter.count("parse_errors")
        self._answer(self._serving.error(refused))

    # ---- request bodies

    def _feed(self, incoming: Incoming) -> None:
        """Move the body bytes of the inbox to where they are awaited."""
        wanted = incoming.wanted
        try:
            used = incoming.feed(self._inbox, keep=self._phase is Phase.ANSWER)
        except Refused as refused:
            incoming.fail(refused)
            self._serving.meter.count("parse_errors")
            self._inbox, self._keep = b"", False
            self._wire.read(False)
            if self._phase is Phase.DISCARD:
                self._linger()
            return
        self._inbox = self._inbox[used:]
        if incoming.complete and self._phase is Phase.DISCARD:
            self._incoming, self._phase = None, Phase.HEAD
        elif incoming.full:
            self._wire.read(False)
        if wanted:  # now it is the handler's turn
            self._wait(self._serving.limits.answer_s)

    def _read_on(self) -> None:
        """A handler asks for more of the body; while it waits, the client is timed."""
        incoming, limits, now_s = self._incoming, self._serving.limits, self._serving.now_s
        if incoming is None or self._phase is not Phase.ANSWER:
            return
        self._wire.read(True)
        if incoming.wanted:
            self._wait(incoming.due_s(now_s, limits.body_idle_s, limits.progress_bytes) - now_s)

    def _say_continue(self) -> None:
        try:
            taken = self._wire.sendmsg((CONTINUE,))
        except BlockingIOError:
            return  # it does not read; RFC 9110 §10.1.1 has it go on without, after a while
        except OSError:
            taken = 0
        if taken < len(CONTINUE):
            self._loop.call_soon(self.abort)  # broken, or no room for 25 bytes
        elif self._wire.held_bytes:
            self._wire.write(True)

    # ---- sending

    def _answer(self, answer: Answer) -> None:
        """Begin to send `answer`; the request in progress is answered by it."""
        serving, request, incoming = self._serving, self._request, self._incoming
        keep = self._keep and not (answer.close or serving.draining)
        if incoming is not None:
            keep = keep and incoming.worth_reading(serving.limits.discard_bytes)
        try:
            self._out, self._keep = begin(answer, request, serving.opening, keep_alive=keep)
        except ValueError as error:
            free(answer)
            self._answer(serving.error(error))
            return
        self._pump()

    def _writable(self) -> None:
        try:
            if not self._wire.flush():
                self._progressed()
                return
            if self._out is not None:
                self._pump()
                self._serve_inbox()
            else:
                self._wire.write(False)
        except OSError:
            self._lost()
        except Exception:  # noqa: BLE001  # as in `_readable`
            LOG.exception("a connection failed")
            self.abort()

    def _pump(self) -> None:
        """Send as much of the response as the kernel takes and its turn allows."""
        out, wire = self._out, self._wire
        assert out is not None
        try:
            state = out.pump(wire.sendmsg, self._serving.limits.turn_bytes)
        except ClientGone:
            self.abort()
            return
        except Exception as error:  # noqa: BLE001  # whatever a body raises breaks it off
            self._broke(out, error)
            return
        if state is Pumped.DONE and not wire.held_bytes:
            self._done(out)
        elif wire.writing:
            self._progressed()
        else:
            wire.write(True)
            self._mark = out.taken_bytes - wire.held_bytes
            self._wait(self._serving.limits.write_idle_s)

    def _progressed(self) -> None:
        """Give a client that takes its bytes more time."""
        if self._out is not None:
            moved = self._out.taken_bytes - self._wire.held_bytes
            if moved - self._mark >= self._serving.limits.progress_bytes:
                self._mark = moved
                self._wait(self._serving.limits.write_idle_s)

    def _broke(self, out: Outgoing, error: Exception) -> None:
        """The body could not be had to its end."""
        if out.taken_bytes:
            LOG.warning("a response broke off: %s", error, exc_info=not isinstance(error, EdgeError))
            self._serving.meter.count("aborted")
            self.abort()
            return
        self._out = None
        out.close()
        self._answer(self._serving.error(error))

    def _done(self, out: Outgoing) -> None:
        """The response has left whole."""
        self._out = None
        self._wire.write(False)
        self._account(out)
        incoming, self._request = self._incoming, None
        if not self._keep:
            self._linger()
        elif incoming is not None and not incoming.complete:
            self._phase = Phase.DISCARD
            incoming.forget()
            self._wire.read(True)
            self._wait(self._serving.limits.body_idle_s)
        else:
            self._incoming, self._phase = None, Phase.HEAD

    def _account(self, out: Outgoing) -> None:
        """Meter and log a response that has ended, one way or the other."""
        serving, incoming = self._serving, self._incoming
        left = max(0, out.body_bytes - self._wire.held_bytes)
        serving.meter.sent(out.account, out.kind, left, out.status)
        if incoming is not None and incoming.received_bytes:
            serving.meter.received(out.account, incoming.received_bytes)
        if serving.access is not None:
            peer = self._wire.peer
            serving.log(peer, self._request, self._started_s, out.status, left, out.kind, out.account)

    # ---- ends

    def _linger(self) -> None:
        """Say that we are done, and read on until the client is: else it may lose the answer."""
        self._phase, self._inbox, self._incoming = Phase.LINGER, b"", None
        if not self._wire.finish() or self._wire.ended:
            self.close()
            return
        self._wire.read(True)
        self._wait(self._serving.limits.linger_s)

    def _wait(self, seconds: float) -> None:
        self.due_s = self._serving.now_s + seconds
        self._serving.wheel.place(self)

    def overdue(self) -> None:
        """The wheel: the deadline of this phase has passed."""
        late = self._late_phase()
        if late:
            self._serving.meter.count(late)
        phase = self._phase
        if phase is Phase.HEAD and self._inbox:
            self._refused(Refused(408, "the request head did not arrive in time"))
        elif phase is Phase.ANSWER and self._out is None:
            self._hurry_handler()
        elif phase is Phase.HEAD or phase is Phase.LINGER:
            self.close()
        else:
            self.abort()

    def _late_phase(self) -> str:
        """The meter's name of what took too long."""
        if self._phase is Phase.HEAD:
            return "timeout_header" if self._inbox else "timeout_keep_alive"
        if self._phase is not Phase.ANSWER:
            return _LATE.get(self._phase, "")
        if self._out is not None:
            return "timeout_write"
        return "timeout_body" if self._incoming is not None and self._incoming.wanted else "timeout_answer"

    def _hurry_handler(self) -> None:
        """Fail the body the handler waits for, or end the handler."""
        limits, incoming = self._serving.limits, self._incoming
        if incoming is not None and incoming.wanted and not incoming.broken:
            incoming.fail(Refused(408, "the request body did not arrive in time"))
        elif self._task is not None:
            self._keep = False
            self._task.cancel()
        self._wait(limits.answer_s)

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
        out, self._out = self._out, None
        if out is not None:
            self._account(out)
            out.close()
        self._phase, self._idle, self._inbox, self._incoming = Phase.CLOSED, False, b"", None
        self._wire.close(reset=reset)
        self._serving.left(self)
        if self._task is not None:
            self._task.cancel()
