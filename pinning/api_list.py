"""`GET …/x/list`: every pin that a filter means, one JSON object a line, made while the client reads. Shell.

A page of the specification has 1,000 pins and a count; a million pins are a thousand of them. Here a thread
makes one chunk at a time, one ahead of what the connection sends: no snapshot, lock or thread is held between
two chunks, and a client that stops reading costs those two chunks.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from typing import Final

from net.answer import Answer, Pause
from pinning.api_json import record_json
from pinning.pin import Pin

MEDIA_TYPE: Final = "application/x-ndjson"
# Some 500 pins: 4 ms of Python in a thread, which the loop that serves content may have to wait for
CHUNK_CHARS: Final = 196_608


def list_answer(pins: Iterator[Pin], delegates: str, readers: Executor) -> Answer:
    """The answer that streams `pins`, read in `readers`; `delegates`: a JSON array of `json.dumps`."""
    fields = [("Content-Type", MEDIA_TYPE)]
    return Answer(200, fields, _chunks(pins, delegates, readers))


def _chunks(pins: Iterator[Pin], delegates: str, readers: Executor) -> Iterator[bytes | Pause]:
    ahead: Future[bytes] | None = None
    made = b""

    async def make() -> None:
        nonlocal ahead, made
        made = await asyncio.wrap_future(ahead or readers.submit(chunk, pins, delegates))
        # while the connection sends this one; never two at a time
        ahead = readers.submit(chunk, pins, delegates) if made else None

    while True:
        yield Pause(make)
        if not made:
            return
        yield made


def chunk(pins: Iterator[Pin], delegates: str) -> bytes:
    """Whole lines of the next pins, empty at the end. One pin is at most about 72 KiB above CHUNK_CHARS."""
    lines: list[str] = []
    room = CHUNK_CHARS
    for pin in pins:
        line = record_json(pin, delegates)
        lines.append(line)
        room -= len(line)
        if room < 0:
            break
    return "".join(lines).encode("ascii")
