"""TLS under a connection: the port to whoever speaks it, and the certificate's files.

A session offers `recv` and `sendmsg` exactly as a non-blocking socket does, so that the connection
above is the same with and without TLS. The native library has it (native/src/tls.rs; why:
docs/decisions/0013-tls-by-rustls.md); `node` hands it in.

Called by `net.server` and `net.wire`; loaded by `node`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from runtime.errors import UsageError


class TlsSession(Protocol):
    """One connection's TLS state.

    Nothing unsealed is sent, nothing unauthenticated is returned; at most 64 KiB of content, sealed,
    wait for the kernel.
    """

    @property
    def ready(self) -> bool:
        """The handshake is done."""

    @property
    def ended(self) -> bool:
        """The other side closed, with or without close_notify."""

    @property
    def held_bytes(self) -> int:
        """Sealed bytes that wait for the kernel."""

    def recv(self, size: int, /) -> bytes:
        """What one read of the socket completed, opened; b"" at the end.

        While the handshake goes on, and after records without content, raises `BlockingIOError` as a
        socket does when nothing is there; but the moment the handshake completes it returns b"" with
        `ready` fresh and `ended` false. May return more than `size`. Raises `OSError`, also for what
        breaks the protocol.
        """

    def sendmsg(self, parts: Sequence[bytes | memoryview], /) -> int:
        """Seal at most 1 MiB of `parts` and send; returns how much was taken, `held_bytes` included.

        Raises `BlockingIOError` while sealed bytes of an earlier call wait, and `OSError`.
        """

    def flush(self) -> bool:
        """Send what is held; whether nothing is left. Raises `OSError`."""

    def finish(self) -> None:
        """Say that no more will be sent (close_notify); does not wait for the other side."""

    def close(self) -> None:
        """The socket is about to be closed; its descriptor is not used again."""


class TlsServer(Protocol):
    """The certificate and key of a listener."""

    def session(self, fd: int, /) -> TlsSession:
        """A server-side session on the non-blocking socket `fd`, its handshake not begun."""


def load(cert: Path, key: Path, make: Callable[[bytes, bytes], TlsServer]) -> TlsServer:
    """From PEM files: certificate chain, and key without a pass phrase. Raises `UsageError`.

    `make` takes the content of both and raises `ValueError` that says what is wrong.
    """
    try:
        return make(cert.read_bytes(), key.read_bytes())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"the TLS certificate cannot be loaded: {why}",
            where=f"{cert}, {key}",
            hint="both are PEM files; the key belongs to the first certificate and has no pass phrase",
        ) from error
