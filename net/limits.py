"""Every bound of the HTTP server, each with the reason for its default.

One frozen record, passed whole only to `net.server.serve`; everything below takes the values
it uses. Times are seconds, sizes bytes, counts plain numbers; all are greater than zero.
"""

from dataclasses import dataclass, field, fields


def _limit(default: float, doc: str) -> float:
    value: float = field(default=default, metadata={"doc": doc})
    return value


def _count(default: int, doc: str) -> int:
    value: int = field(default=default, metadata={"doc": doc})
    return value


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one client, and all of them together, may take from one worker process."""

    # 8000 octets is what RFC 9112 §3 recommends as the least for a request line.
    request_line_bytes: int = _count(8192, "longest request line; longer is answered 414")
    # Browsers stay under 4 KiB without cookies, and a content host sets none; nginx allows 4 x 8 KiB.
    header_bytes: int = _count(16384, "longest request head, request line included; longer is answered 431")
    # Apache's LimitRequestFields is 100; real clients send under 30.
    header_count: int = _count(100, "most field lines in one request head; more are answered 431")
    # The bulk map of a store is 1 TiB; quota and rights bound an upload long before this does.
    body_bytes: int = _count(1 << 40, "longest request body; longer is answered 413")
    # 16 hex digits and an extension nobody uses; the bound is there to stop a line without an end.
    chunk_line_bytes: int = _count(256, "longest chunk-size line, extensions included")
    # We read no trailer; enough for a signature or a digest.
    trailer_bytes: int = _count(4096, "longest trailer section of a chunked body")
    # What a handler has not taken yet: one segment of content.
    body_buffer_bytes: int = _count(262144, "received body bytes held for a handler before reading stops")
    # Cheaper to read 64 KiB nobody wants than to open a new connection; above it the connection closes.
    discard_bytes: int = _count(65536, "rest of an unread request body that is read to keep a connection")
    # Bytes that wait unparsed behind a request in progress; the rest stays in the kernel.
    pipeline_bytes: int = _count(65536, "pipelined bytes held while an earlier request is answered")
    # 16 hits of 10 us each: another connection waits 160 us at most for a pipelining one.
    pipeline_depth: int = _count(16, "pipelined requests answered before other connections get a turn")
    # 2 MiB, as nginx sends at most (sendfile_max_chunk), is about 300 us of checking and handing over; larger
    # turns delay everybody's p99, smaller ones spend themselves on getting going. Large bodies on the hot
    # path have turns of their own (native/src/lend.rs).
    turn_bytes: int = _count(1 << 21, "body bytes sent on one connection before others get a turn")
    # Full handshakes over satellite links take about 3 s.
    tls_handshake_s: float = _limit(10.0, "longest TLS handshake")
    # One header fits one packet; 15 s forgives some lost ones and still ends a slow loris.
    header_s: float = _limit(15.0, "longest time from the first byte of a request head to its last")
    # nginx's client_body_timeout is 60 s between reads; 30 s with a least amount is stricter on trickles.
    body_idle_s: float = _limit(30.0, "longest wait for `progress_bytes` more of a request body")
    # As above in the other direction: a client that does not read holds kernel memory.
    write_idle_s: float = _limit(30.0, "longest wait until a client has taken `progress_bytes` more")
    # 34 B/s at the default 30 s: slower than any modem, faster than a loris.
    progress_bytes: int = _count(1024, "bytes that must move within an idle limit to start it anew")
    # nginx's default; browsers keep idle connections for 60 to 300 s.
    keep_alive_s: float = _limit(75.0, "longest time a connection may stay open without a request")
    # A commit under a loaded disk takes seconds; minutes mean that something hangs.
    answer_s: float = _limit(300.0, "longest time a handler may take once it has the whole request")
    # As nginx's lingering_timeout: long enough for the client to read an early error answer.
    linger_s: float = _limit(5.0, "longest time a closing connection is drained so that its answer arrives")
    # About 3 KiB of Python and one descriptor each.
    max_connections: int = _count(8192, "open connections of one worker; the next are answered 503")
    # What a refused client is told; a keep-alive connection turns over in this time.
    retry_after_s: int = _count(5, "Retry-After, in seconds, of a 503 answer")
    # As Linux's somaxconn: the kernel cuts it down to its own limit.
    backlog: int = _count(4096, "connections the kernel may hold before we accept them")

    def __post_init__(self) -> None:
        for spec in fields(self):
            if not getattr(self, spec.name) > 0:
                raise ValueError(f"{spec.name} must be greater than 0, not {getattr(self, spec.name)!r}")
