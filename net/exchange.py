"""One request and its answer: from the moment the head is understood until the last byte is taken.

An exchange decides what the app is asked and when, sends what comes of it, and accounts for it
once. Which bytes are a head, and what follows the last byte, is the connection's matter.

Invariants
 1. Exactly one response is begun, and it is metered exactly once.
 2. What the kernel did not take is not read from the body yet.
 3. A response that breaks off after a byte left aborts the connection.

Made by `net.connection`.
"""

import asyncio
from typing import Final, Protocol

from net.answer import Answer, Hit
from net.http1 import Request
from net.incoming import Incoming, empty_body, incoming_for
from net.outgoing import ClientGone, Outgoing, Pumped, begin, free
from net.refusal import Refused
from net.response import CONTINUE
from net.serving import LOG, Serving
from net.wire import Wire
from runtime.errors import EdgeError, SourceTimeout

# libuv drops its watch of a socket that was reset and tells nobody: while a handler waits for a body it is
# looked at, or an upload that could be resumed stays locked by a client that is gone
_LOOK_S: Final = 1.0


class Line(Protocol):
    """What an exchange asks of its connection."""

    def wait(self, seconds: float) -> None:
        """Call `Exchange.overdue` when these seconds have passed, unless told otherwise first."""
        ...

    def finished(self) -> None:
        """The response has been taken whole."""
        ...

    def resume(self) -> None:
        """The loop is ours again after `finished` may have been called: serve what waits."""
        ...

    def abort(self) -> None:
        """End the connection with a reset."""
        ...


class Exchange:
    """A request in progress. `request` is None when its head could not be understood."""

    __slots__ = (
        "_body_due_s",
        "_closed",
        "_line",
        "_mark",
        "_out",
        "_serving",
        "_started_s",
        "_task",
        "_waiting",
        "_wire",
        "incoming",
        "keep_alive",
        "request",
    )

    def __init__(self, line: Line, wire: Wire, serving: Serving, request: Request | None) -> None:
        self._line, self._wire, self._serving = line, wire, serving
        self.request = request
        self.keep_alive = request is not None and request.keep_alive
        self.incoming: Incoming | None = None
        if request is not None and request.has_body:
            self.incoming = incoming_for(request, serving.limits, self._say_continue, self._read_on)
        self._started_s = serving.clock.tick_s()
        self._task: asyncio.Task[Answer] | None = None
        self._out: Outgoing | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._mark = 0
        self._body_due_s = 0.0
        self._closed = False

    # ---- asking the app

    def run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer the request from memory or by decision, or start the task that will."""
        serving, request = self._serving, self.request
        assert request is not None
        try:
            hit = serving.hit(request.target.encode()) if request.plain and request.method == "GET" else None
            answer = serving.app.decide(request) if hit is None else None
        except Exception as error:  # noqa: BLE001  # whatever the app raises, its client gets an answer
            self.fail(error)
            return
        if hit is not None:
            self.go_on(hit, serving.opening.ok + hit.head, 0)
        elif answer is not None:
            self._answer(answer)
        else:
            self._line.wait(serving.limits.answer_s)
            self._task = loop.create_task(serving.app.handle(request, self.incoming or empty_body()))
            self._task.add_done_callback(self._handled)

    def _handled(self, task: asyncio.Task[Answer]) -> None:
        self._task = None
        error: BaseException | None
        if task.cancelled():
            error = SourceTimeout(f"the request was not done within {self._serving.limits.answer_s:g} s")
        else:
            error = task.exception()
        if self._closed:
            if error is None:
                free(task.result())
            return
        if error is None:
            self._answer(task.result())
        else:
            self.fail(error)
        self._line.resume()

    def fail(self, error: BaseException) -> None:
        """Answer with `error`; nothing has been sent yet."""
        self._answer(self._serving.error(error))

    # ---- the request's body

    @property
    def open(self) -> bool:
        """Whether bytes of the request's body are still to come."""
        return self.incoming is not None and not self.incoming.complete

    def feed(self, data: bytes) -> bytes:
        """Take the body bytes of `data`; returns what follows them. Raises `Refused` after the answer."""
        incoming = self.incoming
        assert incoming is not None
        wanted = incoming.wanted
        try:
            used = incoming.feed(data, keep=not self._closed)
        except Refused as refused:
            self._serving.meter.count("parse_errors")
            self.keep_alive = False
            self._wire.read(False)
            if self._closed:
                raise
            incoming.fail(refused)
            return b""
        if incoming.full:
            self._wire.read(False)
        if wanted:  # now it is the handler's turn
            self._line.wait(self._serving.limits.answer_s)
        return data[used:]

    def _read_on(self) -> None:
        """The handler asks for more of the body; while it waits, the client is timed."""
        incoming, limits, now_s = self.incoming, self._serving.limits, self._serving.now_s
        if incoming is None or self._closed:
            return
        self._wire.read(True)
        if incoming.wanted:
            self._body_due_s = incoming.due_s(now_s, limits.body_idle_s, limits.progress_bytes)
            self._line.wait(min(_LOOK_S, self._body_due_s - now_s))

    def _say_continue(self) -> None:
        if self._closed or not self._wire.say(CONTINUE):
            asyncio.get_running_loop().call_soon(self._line.abort)

    # ---- the answer

    def go_on(self, hit: Hit, head: bytes, taken_bytes: int) -> None:
        """Send what remains of `hit` after `taken_bytes` of head and body have left."""
        self._out = Outgoing.rest_of_hit(hit, head, taken_bytes)
        self.pump()

    def _answer(self, answer: Answer) -> None:
        serving, incoming = self._serving, self.incoming
        keep = self.keep_alive and not (answer.close or serving.draining)
        if incoming is not None:
            keep = keep and incoming.worth_reading(serving.limits.discard_bytes)
        try:
            self._out, self.keep_alive = begin(answer, self.request, serving.opening, keep_alive=keep)
        except ValueError as error:
            free(answer)
            self.fail(error)
            return
        self.pump()

    def pump(self) -> None:
        """Send as much of the response as the kernel takes and its turn allows."""
        out, wire = self._out, self._wire
        if out is None:  # only a "100 Continue" was waiting
            wire.write(False)
            return
        try:
            send_file = wire.send_file if wire.tls is None else None
            state = out.pump(wire.sendmsg, self._serving.limits.turn_bytes, send_file, wire.room_bytes)
        except ClientGone:
            self._line.abort()
        except Exception as error:  # noqa: BLE001  # whatever a body raises breaks it off
            self._broke(out, error)
        else:
            if state is Pumped.DONE and not wire.held_bytes:
                wire.write(False)
                self._account()
                self._line.finished()
            elif state is Pumped.PAUSED:
                self._pause(out)
            elif wire.writing:
                self.progressed()
            else:
                wire.write(True)
                self._mark = out.taken_bytes - wire.held_bytes
                self._line.wait(self._serving.limits.write_idle_s)

    def _pause(self, out: Outgoing) -> None:
        """Wait for what the body waits for; the client is not at fault meanwhile."""
        self._wire.write(self._wire.held_bytes > 0)
        if self._waiting is None and out.pause is not None:
            self._line.wait(self._serving.limits.answer_s)
            self._waiting = asyncio.ensure_future(out.pause.wait())
            self._waiting.add_done_callback(self._paused)

    def _paused(self, waited: "asyncio.Future[None]") -> None:
        out, self._waiting = self._out, None
        if self._closed or out is None:
            if not waited.cancelled():
                waited.exception()
            return
        error = None if waited.cancelled() else waited.exception()
        if waited.cancelled() or (error is not None and not isinstance(error, Exception)):
            self._line.abort()
        elif isinstance(error, Exception):
            self._broke(out, error)
        else:
            out.pause = None
            self.pump()
        self._line.resume()

    def progressed(self) -> None:
        """Give a client that takes its bytes more time."""
        if self._out is not None:
            moved = self._out.taken_bytes - self._wire.held_bytes
            if moved - self._mark >= self._serving.limits.progress_bytes:
                self._mark = moved
                self._line.wait(self._serving.limits.write_idle_s)

    def _broke(self, out: Outgoing, error: Exception) -> None:
        """The body could not be had to its end."""
        if out.taken_bytes:
            LOG.warning("a response broke off: %s", error, exc_info=not isinstance(error, EdgeError))
            self._serving.meter.count("aborted")
            self._line.abort()
        else:
            self._out = None
            out.close()
            self.fail(error)

    def _account(self) -> None:
        """Meter and log the response, whole or not; from here on nothing of the body is kept."""
        out, self._out = self._out, None
        self._closed = True
        if out is None:
            return
        out.close()
        serving, incoming = self._serving, self.incoming
        left = max(0, out.body_bytes - self._wire.held_bytes)
        serving.meter.sent(out.account, out.kind, left, out.status)
        if incoming is not None:
            if incoming.received_bytes:
                serving.meter.received(out.account, incoming.received_bytes)
            incoming.forget()
        peer = self._wire.peer
        serving.log(peer, self.request, self._started_s, out.status, left, out.kind, out.account)

    # ---- ends

    def broken_off(self) -> None:
        """The client will send no more of what it announced."""
        if self.incoming is not None and not self.incoming.complete:
            self.incoming.fail(Refused(400, "the client broke off its request body"))

    def overdue(self) -> None:
        """The time that `Line.wait` was given has passed."""
        meter, incoming = self._serving.meter, self.incoming
        if self._out is not None:
            meter.count("timeout_write")
            self._line.abort()
            return
        if incoming is not None and incoming.wanted and not incoming.broken:
            if self._serving.now_s < self._body_due_s:
                self._look()
                return
            meter.count("timeout_body")
            incoming.fail(Refused(408, "the request body did not arrive in time"))
        elif self._task is not None:
            meter.count("timeout_answer")
            self.keep_alive = False
            self._task.cancel()
        self._line.wait(self._serving.limits.answer_s)

    def _look(self) -> None:
        """See whether the client is still there; in the end its body is overdue all the same."""
        self._wire.look()
        if not self._closed and self.incoming is not None and self.incoming.wanted:
            self._line.wait(min(_LOOK_S, self._body_due_s - self._serving.now_s))

    def cut(self) -> None:
        """The connection has ended: account for what left, stop the handler."""
        self._account()
        for task in (self._task, self._waiting):
            if task is not None:
                task.cancel()
