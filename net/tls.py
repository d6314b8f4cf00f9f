"""TLS in memory: `ssl.MemoryBIO` between the connection and its socket, 256 KiB a write.

Large writes win over writing 16 KiB records one by one, as asyncio's own transports do; what they
are worth depends on how much of a transfer is encryption (docs/performance.md). A session offers
`recv` and `sendmsg` exactly as a non-blocking socket does, so that the connection above is the same
with and without TLS.

Invariants
 1. At most one write of `_WRITE_BYTES`, sealed, waits for the kernel; more is not accepted.
 2. Nothing unsealed is sent, nothing unauthenticated is returned.

Called by `net.server` (contexts) and `net.wire`.
"""

import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runtime.errors import UsageError

# Plain bytes sealed at once: larger gained nothing, and this is the most one connection can hold back.
_WRITE_BYTES: Final = 262144
# OpenSSL keeps a buffer of the largest write until the session ends. So only this many sessions at a
# time write large (64 MiB together); the others lose about 15 % of speed and keep 64 KiB each.
_WIDE_SESSIONS: Final = 256
_NARROW_WRITE_BYTES: Final = 65536
_READ_BYTES: Final = 16384
# The longest record (RFC 8446 §5.1).
_RECORD_BYTES: Final = 16384
# Up to here a copy is cheaper than a further write.
_JOIN_BYTES: Final = 65536


class TlsContext:
    """The certificate of a listener; replaced whole by `reload`, running sessions keep theirs."""

    def __init__(self, cert: Path, key: Path, context: ssl.SSLContext) -> None:
        self._cert, self._key, self._context = cert, key, context
        self._wide = 0

    @classmethod
    def load(cls, cert: Path, key: Path) -> "TlsContext":
        """From PEM files: certificate chain, and key without a pass phrase. Raises `UsageError`."""
        return cls(cert, key, _load(cert, key))

    def reload(self) -> None:
        """Read the same two files again; on `UsageError` the old certificate stays in use."""
        self._context = _load(self._cert, self._key)

    def session(self, sock: socket.socket) -> "TlsSession":
        """A server-side session on `sock`, its handshake not begun."""
        return TlsSession(sock, self._context, self)

    def widen(self) -> bool:
        """Whether one more session may write large; it then says `narrow` when it ends."""
        if self._wide >= _WIDE_SESSIONS:
            return False
        self._wide += 1
        return True

    def narrow(self) -> None:
        """A session that wrote large has ended."""
        self._wide -= 1


def check_certificate(cert: Path, key: Path) -> None:
    """Raise `UsageError` unless the two files would do for a listener."""
    _load(cert, key)


def _load(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    try:
        # An empty pass phrase: an encrypted key is an error, not a prompt on the terminal.
        context.load_cert_chain(cert, key, password="")
    except OSError as error:  # ssl.SSLError is one
        why = error.strerror or getattr(error, "reason", None) or str(error)
        raise UsageError(
            f"the TLS certificate cannot be loaded: {why}",
            where=f"{cert}, {key}",
            hint="both are PEM files; the key belongs to the first certificate and has no pass phrase",
        ) from error
    return context


class TlsSession:
    """One connection's TLS state."""

    __slots__ = ("_held", "_in", "_out", "_owner", "_sock", "_tls", "_wide", "ended", "ready")

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, owner: TlsContext) -> None:
        self._sock, self._owner = sock, owner
        self._wide = False
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._held = memoryview(b"")
        self.ready = False  # the handshake is done
        self.ended = False  # the other side closed, with or without close_notify

    @property
    def held_bytes(self) -> int:
        """Sealed bytes that wait for the kernel."""
        return len(self._held)

    def recv(self, size: int) -> bytes:
        """What has arrived, opened; b"" at the end.

        While the handshake goes on, and after records without content, raises `BlockingIOError`
        as a socket does when nothing is there, but for the moment the handshake completes, when it
        returns b"" with `ready` fresh and `ended` false. May return more than `size`: all that one
        read of the socket completed, since nothing would tell us of the rest. Raises `OSError`.
        """
        raw = self._sock.recv(size)
        if raw:
            self._in.write(raw)
        else:
            self.ended = True
            self._in.write_eof()
        shaken = False
        try:
            if not self.ready:
                shaken = self._shake()
            data = self._open() if self.ready else b""
        finally:
            if self._out.pending:
                self._send_sealed()  # handshake messages and alerts
        if data or shaken or self.ended:
            return data
        raise BlockingIOError

    def sendmsg(self, parts: Sequence[bytes | memoryview]) -> int:
        """Seal at most 256 KiB of `parts` and send; returns how much of them was accepted.

        Raises `BlockingIOError` while sealed bytes of an earlier call wait.
        """
        if self._held and not self.flush():
            raise BlockingIOError
        if len(parts) == 2 and len(parts[1]) <= _RECORD_BYTES < len(parts[0]) + len(parts[1]):
            # Head and body make two records in any case: seal each where it lies, and send both at once.
            taken = self._tls.write(parts[0]) + self._tls.write(parts[1])
            self._send_sealed()
            return taken
        if sum(map(len, parts)) <= _JOIN_BYTES:
            joined = b"".join(parts)
            self._seal(joined)
            self._send_sealed()
            return len(joined)
        taken = self._seal_large(parts)
        self._send_sealed()
        return taken

    def _seal_large(self, parts: Sequence[bytes | memoryview]) -> int:
        """Seal at most 256 KiB of `parts`, copying only what shares a record; returns how much."""
        self._wide = self._wide or self._owner.widen()
        most = left = _WRITE_BYTES if self._wide else _NARROW_WRITE_BYTES
        small: list[bytes | memoryview] = []
        joined = 0
        for offered in parts:
            part = memoryview(offered)[:left]
            left -= len(part)
            if joined + len(part) > _RECORD_BYTES:
                # Fill the record begun by the small parts, then seal the rest in place.
                room = _RECORD_BYTES - joined if small else 0
                if room:
                    small.append(part[:room])
                    part = part[room:]
                self._seal(b"".join(small))
                small, joined = [], 0
            if len(part) > _RECORD_BYTES:
                self._seal(part)
            elif part:
                small.append(part)
                joined += len(part)
            if not left:
                break
        self._seal(b"".join(small))
        return most - left

    def flush(self) -> bool:
        """Send what is held; whether nothing is left."""
        if self._held:
            self._send_held()
        return not self._held

    def close(self) -> None:
        """The connection has ended."""
        if self._wide:
            self._wide = False
            self._owner.narrow()

    def finish(self) -> None:
        """Say that no more will be sent (close_notify); does not wait for the other side."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # its close_notify has not come: that is not waited for
        self._send_sealed()

    def _shake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.ready = True
        return True

    def _open(self) -> bytes:
        """All that can be opened of what has arrived."""
        data = b""
        try:
            while True:
                part = self._tls.read(_READ_BYTES)
                if not part:  # close_notify
                    self.ended = True
                    return data
                data = data + part if data else part
                # Asking once more would only raise, which costs as much as opening a request.
                if not self._in.pending and not self._tls.pending():
                    return data
        except ssl.SSLWantReadError:
            return data
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self.ended = True
            return data

    def _seal(self, data: bytes | memoryview) -> None:
        if data:
            sealed = self._tls.write(data)
            assert sealed == len(data), "a memory BIO takes everything"

    def _send_sealed(self) -> None:
        """Take what OpenSSL wrote and send it behind what is held."""
        sealed = self._out.read()
        if self._held:
            self._held = memoryview(self._held.tobytes() + sealed)
            if len(self._held) > 2 * _WRITE_BYTES:  # a client that asks for answers and does not read
                raise ConnectionAbortedError
            self._send_held()
            return
        sent = self._send(sealed)
        if sent != len(sealed):
            self._held = memoryview(sealed)[sent:]

    def _send(self, sealed: bytes | memoryview) -> int:
        """How much of `sealed` the kernel took, 0 when it is full."""
        try:
            return self._sock.send(sealed)
        except (BlockingIOError, InterruptedError):
            return 0

    def _send_held(self) -> None:
        sent = self._send(self._held)
        self._held = self._held[sent:] if sent < len(self._held) else memoryview(b"")
