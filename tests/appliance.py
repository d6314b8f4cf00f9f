"""The real program in tests: start `fleek-edge serve` on free ports, talk to it, stop it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

COMMAND = (sys.executable, "-m", "tools.edge")
_START_WITHIN_S = 60.0
_STOP_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response as a test reads it."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> dict[str, dict[str, str]]:
        """The body as JSON."""
        parsed = json.loads(self.body)
        assert isinstance(parsed, dict)
        return parsed


def edge(data: Path, *arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run one `fleek-edge` command on a data folder to its end."""
    return subprocess.run(
        [*COMMAND, *arguments, "--data", str(data)],
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )


def edge_json(data: Path, *arguments: str, stdin: bytes | None = None) -> dict[str, object]:
    """The single JSON object that a command prints; the command must succeed."""
    done = edge(data, *arguments, "--json", stdin=stdin)
    assert done.returncode == 0, done.stderr
    parsed = json.loads(done.stdout)
    assert isinstance(parsed, dict)
    return parsed


def token(data: Path, account: str, scope: str, *flags: str) -> str:
    """A fresh token's text."""
    done = edge(data, "token", "add", "--account", account, "--scope", scope, *flags)
    assert done.returncode == 0, done.stderr
    found = re.search(rb"flk_[0-9a-f]+_[0-9a-f]+", done.stdout)
    assert found is not None, done.stdout
    return found[0].decode()


class Node:
    """A running node; a context manager that stops it."""

    def __init__(self, data: Path, *flags: str, environ: dict[str, str] | None = None) -> None:
        self.data = data
        self.log = data.with_name(f"{data.name}.log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *COMMAND,
                    "serve",
                    "--data",
                    str(data),
                    "--listen",
                    "127.0.0.1:0",
                    "--admin",
                    "127.0.0.1:0",
                    *flags,
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **(environ or {})},
            )
        self.ready = self._ready()

    def _ready(self) -> dict[str, str]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait(_START_WITHIN_S)
            raise AssertionError(f"serve ended with {code}: {self.log.read_text()}")
        parsed = json.loads(line)
        assert parsed["event"] == "ready"
        assert isinstance(parsed, dict)
        return parsed

    def __enter__(self) -> "Node":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop it and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(_STOP_WITHIN_S)
        finally:
            self.process.kill()
            assert self.process.stdout is not None
            self.process.stdout.close()

    def connect(self, which: str = "public") -> socket.socket:
        """A raw connection to a listener."""
        where = urlsplit(self.ready[which])
        assert where.hostname is not None
        return socket.create_connection((where.hostname, where.port or 80), timeout=20)

    def session(self, which: str = "public") -> http.client.HTTPConnection:
        """A kept-alive connection to a listener."""
        where = urlsplit(self.ready[which])
        return http.client.HTTPConnection(where.hostname or "", where.port, timeout=20)

    def get(self, path: str, headers: dict[str, str] | None = None, which: str = "public") -> Reply:
        """One GET on a connection of its own."""
        return self.request("GET", path, headers, which=which)

    def request(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        which: str = "public",
    ) -> Reply:
        """One request on a connection of its own."""
        session = self.session(which)
        try:
            return ask(session, method, path, headers, body)
        finally:
            session.close()

    def children(self) -> list[int]:
        """Process ids of the node's children: its workers and the keeper."""
        return children_of(self.process.pid)

    def workers(self) -> list[int]:
        """Process ids of the children that serve."""
        return [pid for pid in self.children() if "worker" in Path(f"/proc/{pid}/comm").read_text()]


def children_of(pid: int) -> list[int]:
    """Process ids of the children of a process, the oldest first (proc(5))."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ask(
    session: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> Reply:
    """One request on a kept-alive connection."""
    session.request(method, path, body=body, headers=headers or {})
    response = session.getresponse()
    return Reply(response.status, response.headers, response.read())


def eventually(what: Callable[[], bool], within_s: float = 60.0) -> None:
    """Look until it holds: what another process does has no event here that could be waited for."""
    pause, stop_s = threading.Event(), time.monotonic() + within_s
    while not what():
        assert time.monotonic() < stop_s, f"it did not come true in {within_s:.0f} s"
        pause.wait(0.02)
