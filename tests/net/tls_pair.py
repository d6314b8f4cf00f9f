"""A TLS session of ours and a client of Python's, joined by two sockets that the test reads and writes."""

import ssl
from socket import socketpair

from net.tls import TlsServer


class Pair:
    """Both ends of one connection; nothing moves but when the test says so."""

    def __init__(
        self, server: TlsServer, client: ssl.SSLContext, *, resume: ssl.SSLSession | None = None
    ) -> None:
        self.sock, self.far = socketpair()
        self.sock.setblocking(False)
        self.far.setblocking(False)
        self.session = server.session(self.sock.fileno())
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(
            self._incoming, self._outgoing, server_hostname="localhost", session=resume
        )

    def __enter__(self) -> "Pair":
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()
        self.sock.close()
        self.far.close()

    def wire(self) -> bytes:
        """What the server has sent and nobody has read."""
        data = b""
        try:
            while piece := self.far.recv(65536):
                data += piece
        except BlockingIOError:
            pass
        return data

    def hear(self, data: bytes) -> None:
        """The client receives `data`."""
        self._incoming.write(data)

    def said(self) -> bytes:
        """What the client wants to send."""
        return self._outgoing.read()

    def feed(self, data: bytes, *, at_a_time: int = 65536) -> bytes:
        """The server receives `data` in pieces; returns the content it opened. Raises `OSError`."""
        content = b""
        for start in range(0, len(data), at_a_time):
            self.far.sendall(data[start : start + at_a_time])
            try:
                content += self.session.recv(65536)
            except BlockingIOError:
                pass
        return content

    def shake(self, *, at_a_time: int = 65536) -> bytes:
        """The whole handshake; returns what the server sent in it, tickets included."""
        sent = b""
        for _ in range(10):
            try:
                self.client.do_handshake()
            except ssl.SSLWantReadError:
                pass
            self.feed(self.said(), at_a_time=at_a_time)
            flight = self.wire()
            sent += flight
            self.hear(flight)
            if self.session.ready and not flight:
                return sent
        raise AssertionError("the handshake does not end")

    def seal(self, content: bytes) -> bytes:
        """`content` as the client sends it, each call in records of its own."""
        self.client.write(content)
        return self.said()

    def read(self) -> bytes:
        """All content that the client opens of what the server sent."""
        data = b""
        try:
            while True:
                self.hear(self.wire())
                while part := self.client.read(65536):
                    data += part
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):  # nothing more now, or ever
            return data

    def end(self) -> None:
        """The client says close_notify."""
        try:
            self.client.unwrap()
        except ssl.SSLError:
            pass  # it would wait for the answer
