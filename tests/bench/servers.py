"""The servers a bench compares: this product and its peers, each alone on the server core.

Every server lives in a folder of its own under a temporary directory, listens on a free loopback port, and
is gone when its `with` block ends. All serve the same bytes under the same path, `/blake3/<hex>`.
"""

import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import blake3

from tests.bench.machine import (
    LOAD_CORE,
    SERVER_CORE,
    Usage,
    anonymous_rss_bytes,
    cpu_usage,
    family,
    pinned,
    put_ahead,
)
from tests.conftest import SEARCH_PATH, find_program

_START_S: Final = 60.0  # varnish compiles its rules with gcc first
_STOP_S: Final = 30.0
_PUT_S: Final = 300.0
SERVER_CORES: Final = str(SERVER_CORE)  # as taskset reads it
FLEEK_EDGE: Final = str(Path(sys.executable).with_name("fleek-edge"))


class ServerFailed(Exception):
    """A server did not start or served the wrong bytes."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it listens and what it has used."""

    name: str
    base: str  # scheme://host:port
    pid: int
    admin: str = ""

    def url(self, hash_hex: str) -> str:
        """The address of one object."""
        return f"{self.base}/blake3/{hash_hex}"

    def cpu(self) -> Usage:
        """CPU used so far by the server and all its processes."""
        return cpu_usage(self.pid)

    def rss_bytes(self) -> int:
        """Largest RssAnon among its processes."""
        return max(anonymous_rss_bytes(pid) for pid in family(self.pid))


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed P-256 certificate for 127.0.0.1, on disk as servers want it."""

    cert: Path
    key: Path


def missing(*programs: str) -> str | None:
    """Why a bench that needs `programs` cannot run here, or None when it can."""
    absent = [program for program in ("taskset", "wrk", *programs) if find_program(program) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    if len(os.sched_getaffinity(0)) < 2:
        return "needs two cores: one for the server, one for the load"
    return None


def make_object(folder: Path, size_bytes: int) -> str:
    """Write `size_bytes` of incompressible bytes to folder/<blake3 hex>, and return the name.

    The bytes are the same in every run (seeded by the size), so that rounds can be compared across runs.
    """
    chance = random.Random(size_bytes)
    hasher = blake3.blake3()
    partial = folder / "partial"
    with partial.open("wb") as file:
        left = size_bytes
        while left:
            piece = chance.randbytes(min(left, 1 << 20))
            hasher.update(piece)
            file.write(piece)
            left -= len(piece)
    name = hasher.hexdigest()
    partial.rename(folder / name)
    return name


def make_certificate(folder: Path) -> Certificate:
    """A fresh certificate; both sides of a TLS bench use the same one."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return Certificate(cert, key)


@contextmanager
def fleek_edge(
    folder: Path,
    objects: Path,
    *,
    workers: int = 1,
    tls: Certificate | None = None,
    cores: str = SERVER_CORES,
) -> Iterator[Server]:
    """This product with every file of `objects` in its store; checksums and metering are always on."""
    data = folder / "node"
    paths = [str(path) for path in sorted(objects.iterdir())]
    subprocess.run(
        [FLEEK_EDGE, "put", "--data", str(data), "--json", *paths], check=True, capture_output=True
    )
    with serving(folder, data, workers=workers, tls=tls, cores=cores) as server:
        yield server


@contextmanager
def serving(
    folder: Path,
    data: Path,
    *,
    workers: int = 1,
    tls: Certificate | None = None,
    cores: str = SERVER_CORES,
) -> Iterator[Server]:
    """This product over a store that is there."""
    command = [FLEEK_EDGE, "serve", "--data", str(data), "--offline", "--workers", str(workers)]
    command += ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    if tls:
        command += ["--tls-listen", "127.0.0.1:0", "--tls-cert", str(tls.cert), "--tls-key", str(tls.key)]
    # the access log is off for both sides, as nginx's is
    environ = {**os.environ, "FLEEK_EDGE_LOG_ACCESS": "off"}
    with running(command, folder / "fleek-edge.log", environ, cores=cores, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None, "asked for a pipe"
        watchdog = threading.Timer(_START_S, process.kill)  # ends the wait for a line that never comes
        watchdog.start()
        line = process.stdout.readline()
        watchdog.cancel()
        if not line:
            raise ServerFailed(f"fleek-edge did not start: {(folder / 'fleek-edge.log').read_text()[-2000:]}")
        ready = json.loads(line)
        for pid in family(process.pid):
            put_ahead(pid)  # each of its processes leads a session of its own
        base = ready["tls"] if tls else ready["public"]
        yield Server("fleek-edge", base.rstrip("/"), process.pid, ready["admin"].rstrip("/"))


@contextmanager
def nginx(
    folder: Path, objects: Path, *, tls: Certificate | None = None, cores: str = SERVER_CORES
) -> Iterator[Server]:
    """nginx serving `objects` as files, tuned: sendfile, tcp_nopush, no log, open files kept."""
    root, port = folder / "root", free_port()
    root.mkdir(parents=True)
    (root / "blake3").symlink_to(objects)
    secure = (
        f"ssl_certificate {tls.cert}; ssl_certificate_key {tls.key}; ssl_protocols TLSv1.3;" if tls else ""
    )
    config = folder / "nginx.conf"
    config.write_text(f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log warn;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  default_type application/octet-stream;
  open_file_cache max=1000 inactive=600s; open_file_cache_valid 600s; open_file_cache_min_uses 1;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}{" ssl" if tls else ""}; root {root}; {secure} }}
}}
""")
    command = ["nginx", "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    with running(command, folder / "nginx.log", os.environ, cores=cores) as process:
        wait_for_port(port, process)
        yield Server("nginx", f"{'https' if tls else 'http'}://127.0.0.1:{port}", process.pid)


@contextmanager
def varnish(folder: Path, objects: Path) -> Iterator[Server]:
    """varnish with everything in memory, in front of nginx that is asked once an object."""
    folder.mkdir(parents=True)
    with nginx(folder / "backend", objects, cores=str(LOAD_CORE)) as backend:
        host, _, backend_port = backend.base.removeprefix("http://").partition(":")
        rules = folder / "rules.vcl"
        rules.write_text(
            f'vcl 4.1;\nbackend default {{ .host = "{host}"; .port = "{backend_port}"; }}\n'
            "sub vcl_backend_response { set beresp.ttl = 1h; }\n"
        )
        port = free_port()
        command = ["varnishd", "-F", "-n", str(folder / "work"), "-a", f"127.0.0.1:{port}", "-f", str(rules)]
        command += ["-s", "malloc,1g", "-p", "thread_pools=1", "-j", "none"]
        with running(command, folder / "varnish.log", os.environ) as process:
            wait_for_port(port, process)
            yield Server("varnish", f"http://127.0.0.1:{port}", process.pid)


def check_served(server: Server, hash_hex: str) -> None:
    """Fetch one object and hash it: nobody may measure the speed of an error page. Raises ServerFailed."""
    context = None
    if server.base.startswith("https:"):
        context = ssl._create_unverified_context()  # a certificate made a moment ago for this bench
    with urllib.request.urlopen(server.url(hash_hex), context=context, timeout=60) as response:
        hasher = blake3.blake3()
        while piece := response.read(1 << 20):
            hasher.update(piece)
    if hasher.hexdigest() != hash_hex:
        raise ServerFailed(f"{server.name} served other bytes for {hash_hex}")


def headers(url: str) -> Mapping[str, str]:
    """The header fields of a HEAD answer."""
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=60) as response:
        return dict(response.headers.items())


def free_port() -> int:
    """A loopback port nobody listens on right now, for servers that cannot pick one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: list[str],
    log: Path,
    environ: Mapping[str, str],
    *,
    cores: str = SERVER_CORES,
    stdout: int | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """A server as a process on `cores`, ahead of other work; stopped, and if need be killed, at the end."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as messages:
        process = subprocess.Popen(
            pinned(cores, command),
            stdout=messages if stdout is None else stdout,
            stderr=messages,
            env={**environ, "PATH": SEARCH_PATH},
            start_new_session=True,
        )
    put_ahead(process.pid)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Return when somebody listens on `port`. Raises ServerFailed when the process ends first."""
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise ServerFailed(f"{process.args!r} ended with {process.returncode} before it listened")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
            continue
        return
    raise ServerFailed(f"nobody listens on port {port} after {_START_S:.0f} s")
