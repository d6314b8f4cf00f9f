"""The access log: one line a response, formatted and written by a thread of its own.

The loop only appends a record to a bounded deque. When the writer cannot keep up, records are
dropped and counted; a request never waits for a disk. Called by `net.connection` (record) and
by whoever assembles the node (open, reopen after rotation, close).
"""

import json
import os
import sys
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from runtime.clock import Clock
from runtime.errors import UsageError

FORMATS: Final = ("off", "combined", "json")
# How long a record may wait: short enough to follow with `tail -f`, long enough to write in batches.
_BATCH_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where and how responses are logged."""

    # Off, as the counters at /metrics answer most questions and cost less.
    access: str = field(default="off", metadata={"doc": "access log format: off, combined or json"})
    # Standard error, where a container's other logs go; standard output carries data only.
    access_file: str = field(default="-", metadata={"doc": 'access log file; "-" is standard error'})
    # About a second of one worker's top speed; 300 bytes each make 20 MB at worst.
    queue_lines: int = field(
        default=65536, metadata={"doc": "records held for the writer before new ones are dropped"}
    )

    def __post_init__(self) -> None:
        if self.access not in FORMATS:
            raise ValueError(f"access is one of {', '.join(FORMATS)}, not {self.access!r}")
        if self.queue_lines < 1:
            raise ValueError(f"queue_lines must be at least 1, not {self.queue_lines}")


class Record(NamedTuple):
    """One response, as logged. `bytes_` counts body bytes that left; `took_s` is head to last byte."""

    when_s: float
    peer: str
    account: str | None
    request_line: str
    status: int
    bytes_: int
    referer: str
    agent: str
    took_s: float
    kind: str


class AccessLog:
    """An open access log."""

    def __init__(self, settings: LogSettings, clock: Clock) -> None:
        """Opens the file and starts the writer. Raises `UsageError` when it cannot be opened."""
        self._settings = settings
        self.clock = clock
        self._format = json_line if settings.access == "json" else combined_line
        self._queue: deque[Record] = deque()
        self._fd = self._open_file()
        self._stop = threading.Event()
        self._reopen = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, settings: LogSettings, clock: Clock) -> "AccessLog | None":
        """The log that `settings` ask for; None when they ask for none."""
        return None if settings.access == "off" else cls(settings, clock)

    def record(self, record: Record) -> bool:
        """Queue one line; False when it was dropped because the writer is behind. Under 1 us."""
        if len(self._queue) >= self._settings.queue_lines:
            self.dropped += 1
            return False
        self._queue.append(record)
        return True

    def reopen(self) -> None:
        """Write further lines to a freshly opened file (after it was rotated away)."""
        self._reopen = True

    def close(self) -> None:
        """Write what is queued and stop; waits for the writer, at most 5 s."""
        self._stop.set()
        self._thread.join(5.0)

    def _open_file(self) -> int:
        path = self._settings.access_file
        if path == "-":
            return os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2)
        try:
            return os.open(Path(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise UsageError(f"the access log cannot be opened: {error.strerror}", where=path) from error

    def _run(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.wait(_BATCH_S)
            if self._reopen:
                self._reopen = False
                self._swap()
            self._write()
        os.close(self._fd)

    def _swap(self) -> None:
        try:
            fresh = self._open_file()
        except UsageError:
            return  # the old file still takes lines
        os.close(self._fd)
        self._fd = fresh

    def _write(self) -> None:
        while count := min(len(self._queue), 1024):
            batch = "".join([self._format(self._queue.popleft()) for _ in range(count)])
            rest = memoryview(batch.encode("utf-8", "backslashreplace"))
            try:
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
            except OSError:
                self.dropped += count  # a full disk: serving goes on, the count tells


def combined_line(record: Record) -> str:
    """`record` in the combined format of Apache and nginx."""
    when = datetime.fromtimestamp(record.when_s, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return (
        f"{record.peer} - {record.account or '-'} [{when}] "
        f'"{_quoted(record.request_line)}" {record.status} {record.bytes_} '
        f'"{_quoted(record.referer) or "-"}" "{_quoted(record.agent) or "-"}"\n'
    )


def json_line(record: Record) -> str:
    """`record` as one JSON object."""
    fields = {
        "time": datetime.fromtimestamp(record.when_s, UTC).isoformat(timespec="milliseconds"),
        "peer": record.peer,
        "account": record.account,
        "request": record.request_line,
        "status": record.status,
        "bytes": record.bytes_,
        "kind": record.kind,
        "duration_s": round(record.took_s, 6),
        "referer": record.referer,
        "user_agent": record.agent,
    }
    return json.dumps(fields, separators=(",", ":")) + "\n"


def _quoted(text: str) -> str:
    """`text` from outside, unable to end a quoted field or a line."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(c if " " <= c <= "~" and c not in '"\\' else f"\\x{ord(c):02X}" for c in text)
