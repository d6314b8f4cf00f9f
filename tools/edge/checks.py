"""What `fleek-edge doctor` looks at: this machine and a data folder, one function a question.

Each check looks and changes nothing (the port check binds for a moment). A failed one carries the
error that a command would meet; a warning costs speed or room, not correctness.
"""

import os
import resource
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blockstore import Store
from content import bao
from node.config import Config
from node.listeners import open_listeners
from node.values import address
from runtime.board import Board
from runtime.clock import SystemClock
from runtime.errors import EdgeError, UsageError
from tools.frame.output import human_size
from tools.frame.walk import translated

# Roots of the BLAKE3 test vectors: of nothing, and of 102,400 bytes that count modulo 251 (seven groups).
_EMPTY_ROOT: Final = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
_COUNTED_ROOT: Final = "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"
_COUNTED_BYTES: Final = 102_400
_FREE_BYTES_MIN: Final = 1 << 30  # below it a busy node fills up within seconds
_FREE_SHARE_MIN: Final = 0.05  # file systems slow down and reserve blocks near their end
_OPEN_FILES_SPARE: Final = 512  # beside one a connection: open extents (192) and packs (64), LMDB, logs
_EPOCH_MIN_S: Final = 1_735_689_600  # 2025-01-01: an earlier clock was never set
_CLOCK_SLACK_S: Final = 60  # coarse network file systems stamp a little ahead
_NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs"}
)
_SEND_BUFFER_MIN: Final = 1 << 20  # tcp_wmem's maximum; below it one write cannot hold four segments


@dataclass(frozen=True, slots=True)
class Check:
    """The answer to one question. `status` is ok, warn or fail; `error` is set where it failed."""

    name: str
    status: str
    detail: str
    hint: str = ""
    error: EdgeError | None = None


def run_checks(config: Config) -> Iterator[Check]:
    """Ask every question in turn; an answer that cannot be got is a failed check."""
    data = config.node.data
    questions: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("data folder", lambda: data_folder(data)),
        ("store format", lambda: store_format(config)),
        ("free disk", lambda: free_disk(data)),
        ("file system", lambda: file_system(data)),
        ("open files", lambda: open_files(config.http.max_connections)),
        ("address space", address_space),
        ("clock", lambda: clock(data)),
        ("native module", native_module),
        ("kernel sizes", lambda: kernel_sizes(config.http.backlog)),
        *((f"port {key}", _port_question(config, key)) for key in ("listen", "admin", "tls_listen")),
    )
    for name, ask in questions:
        try:
            yield ask()
        except EdgeError as error:
            yield Check(name, "fail", f"{error.message} ({error.where})", error.hint, error)
        except OSError as fault:
            failure = translated(fault, fault.filename or str(data))
            yield Check(name, "fail", failure.message, failure.hint, failure)


def data_folder(data: Path) -> Check:
    """It can be written, or made."""
    place = _nearest(data)
    if not place.is_dir():
        raise UsageError("a file is in the way", where=str(place), hint="name another folder with --data")
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        raise UsageError("cannot be written", where=str(place), hint="check its owner and mode")
    made = "" if place == data else " (will be made)"
    return Check("data folder", "ok", f"{data}{made}")


def store_format(config: Config) -> Check:
    """This version understands what is there."""
    if not (config.node.data / "format").exists():
        return Check("store format", "ok", "no store yet; the first put or serve makes one")
    store = Store.open(config.node.data, config.store, create=False)
    try:
        damaged = len(list(store.damage()))
    finally:
        store.close()
    if damaged:
        hint = "`fleek-edge ls` marks them; store the content again to heal it"
        return Check("store format", "warn", f"opens; {damaged} damaged segments on record", hint)
    return Check("store format", "ok", "opens, no damage on record")


def free_disk(data: Path) -> Check:
    """There is room to store something."""
    usage = shutil.disk_usage(_nearest(data))
    detail = f"{human_size(usage.free)} free of {human_size(usage.total)}"
    if usage.free < max(_FREE_BYTES_MIN, _FREE_SHARE_MIN * usage.total):
        return Check("free disk", "warn", detail, "make room, or set store.quota_bytes")
    return Check("free disk", "ok", detail)


def file_system(data: Path) -> Check:
    """LMDB needs a local file system: shared maps and locks do not work over a network."""
    kind = _file_system_kind(_nearest(data).resolve())
    if kind in _NETWORK_FILE_SYSTEMS:
        raise UsageError(f"{kind} is a network file system", where=str(data), hint="use a local disk")
    return Check("file system", "ok", kind)


def open_files(max_connections: int) -> Check:
    """A worker may open as many files as it may have connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_connections + _OPEN_FILES_SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        hint = f"ulimit -n {wanted}, or LimitNOFILE={wanted}; or lower http.max_connections"
        return Check("open files", "warn", f"{soft} allowed, {wanted} wanted", hint)
    return Check("open files", "ok", f"{soft} allowed (hard limit {hard}), {wanted} wanted")


def address_space() -> Check:
    """The store is mapped whole: the process must be 64-bit and unlimited in address space."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if sys.maxsize < 2**32:
        raise UsageError("this Python is 32-bit", where=sys.executable, hint="use a 64-bit one")
    if soft != resource.RLIM_INFINITY:
        hint = "ulimit -v unlimited, or lower the map sizes in [store]"
        return Check("address space", "warn", f"limited to {human_size(soft)}", hint)
    return Check("address space", "ok", "64-bit, unlimited")


def clock(data: Path) -> Check:
    """The clock was set: leases and tokens end by it."""
    now_s = SystemClock().now_s()
    if now_s < _EPOCH_MIN_S:
        raise UsageError("the clock is before 2025", where="system clock", hint="set it (timedatectl, NTP)")
    if data.exists() and data.stat().st_mtime > now_s + _CLOCK_SLACK_S:
        return Check("clock", "warn", "the data folder was changed in the future", "is the clock right?")
    return Check("clock", "ok", "set")


def native_module() -> Check:
    """The tree core loads and hashes the published test vectors right."""
    counted = bytes(i % 251 for i in range(_COUNTED_BYTES))
    for data, known in ((b"", _EMPTY_ROOT), (counted, _COUNTED_ROOT)):
        if bao.outboard(data)[0].hex() != known:
            raise EdgeError("the native module hashes wrongly", where="content.bao", hint="build it again")
    return Check("native module", "ok", "BLAKE3 test vectors pass")


def kernel_sizes(backlog: int) -> Check:
    """The kernel grants the queues and buffers that are asked for."""
    short = []
    queue = _kernel_number("net/core/somaxconn", 0)
    if queue is not None and queue < backlog:
        short.append(f"net.core.somaxconn={queue}, wanted {backlog}")
    send = _kernel_number("net/ipv4/tcp_wmem", 2)
    if send is not None and send < _SEND_BUFFER_MIN:
        short.append(f"net.ipv4.tcp_wmem maximum={send}, wanted {_SEND_BUFFER_MIN}")
    if short:
        return Check("kernel sizes", "warn", "; ".join(short), "raise them with sysctl")
    return Check("kernel sizes", "ok", f"backlog {queue or 'unknown'}, send buffer {send or 'unknown'}")


def port(config: Config, key: str, text: str) -> Check:
    """The address can be listened on, or our own running node does."""
    name = f"port {key}"
    place = address(text)
    if place.path:
        folder = Path(place.path).parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError("the socket's folder cannot be written", where=str(folder))
        return Check(name, "ok", text)
    try:
        for listener in open_listeners(place, 1):
            listener.close()
    except UsageError:
        if _node_runs(config.node.data) and _answers(place.host, place.port):
            return Check(name, "ok", f"{text}, taken by the node that runs on this data folder")
        raise
    return Check(name, "ok", f"{text} is free")


def _port_question(config: Config, key: str) -> Callable[[], Check]:
    text: str | None = getattr(config.node, key)
    if text is None:
        return lambda: Check(f"port {key}", "ok", "not used")
    return lambda: port(config, key, text)


def _node_runs(data: Path) -> bool:
    path = data / "run" / "board"
    if not path.exists():
        return False
    board = Board(path)
    try:
        return board.serving()[1] > 0
    finally:
        board.close()


def _answers(host: str, number: int) -> bool:
    try:
        socket.create_connection((host, number), timeout=1.0).close()
    except OSError:
        return False
    return True


def _nearest(path: Path) -> Path:
    """`path`, or the closest folder above it that exists."""
    for place in (path, *path.absolute().parents):
        if place.exists():
            return place
    return Path("/")


def _file_system_kind(place: Path) -> str:
    """The type of the file system that holds `place`, from the longest mount point above it (proc(5))."""
    best, kind = "", "unknown"
    for line in _kernel_text(Path("/proc/self/mounts")).splitlines():
        fields = line.split(" ")
        point = fields[1].replace("\\040", " ") if len(fields) > 2 else ""
        inside = point == "/" or str(place) == point or str(place).startswith(f"{point}/")
        if point and inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def _kernel_number(name: str, column: int) -> int | None:
    columns = _kernel_text(Path("/proc/sys") / name).split()
    return int(columns[column]) if len(columns) > column and columns[column].isdigit() else None


def _kernel_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""  # not Linux, or hidden from a container: then nothing is known, and nothing is wrong
