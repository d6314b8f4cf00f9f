"""`make run`: a node with real content in it, and commands to try against it.

    python -m tools.demo [--port 8080] [--data build/run/data]

Stores this repository's docs and one generated 256 MiB file through the command line, as a user would: as
blobs (`put`), and as IPFS content under a name of its own (`add`, `name publish`). Starts `fleek-edge serve`
in the foreground, passes its ready line on, logs in to its pinning service (in a configuration of its own, in
the data folder), then prints commands that begin with `$ `. Each works word for word in another shell, from
any folder. Ends when the node ends, with its exit code.

Called by the Makefile only; nothing else in the product uses it.
"""

import argparse
import errno
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

_ROOT: Final = Path(__file__).resolve().parent.parent
_EDGE: Final = Path(sys.executable).with_name("fleek-edge")  # beside the interpreter `make setup` installed
_PIN: Final = _EDGE.with_name("fleek-pin")
_MIB: Final = 1 << 20
_BIG_MIB: Final = 256
_BIG: Final = _ROOT / "build" / "run" / "random-256MiB.bin"
_UNUSABLE: Final = 2  # exit codes of the command line
_NO_ROOM: Final = 7
_INTERRUPTED: Final = 130
_SEED: Final = 256  # the same file on every machine, so that its hash can be quoted


class DemoFailed(Exception):
    """A step before the node served did not work; the step has already said why on stderr."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def generate_big_file(path: Path) -> None:
    """Write 256 MiB of incompressible bytes once; a file of that size is taken as already there."""
    if path.is_file() and path.stat().st_size == _BIG_MIB * _MIB:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = random.Random(_SEED)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        for _ in range(_BIG_MIB):
            file.write(chance.randbytes(_MIB))
    partial.rename(path)


@dataclass(frozen=True, slots=True)
class Stored:
    """What is in the store: hashes of two blobs, CIDs of a directory and a file, an IPNS name."""

    small: str
    big: str
    folder: str
    file: str
    name: str


def store(data: Path, folder: Path, big: Path) -> Stored:
    """Store `folder` and `big` as blobs and as UnixFS, and name the folder. Raises DemoFailed."""
    rows = _edge(data, "put", str(folder), str(big))
    blobs = {str(Path(str(row["path"])).resolve()): str(row["blake3"]) for row in rows}
    added = _edge(data, "add", "-Q", str(folder))[-1]["cid"]
    return Stored(
        small=next(hash for path, hash in blobs.items() if path.endswith(".md")),
        big=blobs[str(big)],
        folder=str(added),
        file=str(_edge(data, "add", "-Q", str(big))[-1]["cid"]),
        name=str(_edge(data, "name", "publish", f"/ipfs/{added}", "--offline")[0]["name"]),
    )


def _edge(data: Path, *arguments: str) -> list[dict[str, object]]:
    """The records that a command prints. Raises DemoFailed."""
    command = [str(_EDGE), *arguments, "--data", str(data), "--json"]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if ended.returncode:
        raise DemoFailed(ended.returncode)
    return [json.loads(line) for line in ended.stdout.splitlines()]


def blob_commands(ready: Mapping[str, str], data: Path, stored: Stored) -> list[str]:
    """Shell commands that fetch and verify what was stored by its BLAKE3 hash."""
    edge, folder = shlex.quote(str(_EDGE)), shlex.quote(str(data))
    base, big = ready["public"].rstrip("/"), stored.big
    proof = shlex.quote(f"{base}/blake3/{big}?format=bao-chunk&entity-bytes=1000000:1065535")
    by_curl = [
        f"curl -fsS {base}/blake3/{stored.small}",
        f"curl -fsS -r 1000000-1000099 {base}/blake3/{big} | wc -c",
        f"curl -fsS {proof} | wc -c",
        f"curl -fsS {ready['admin'].rstrip('/')}/metrics",
    ]
    fetched = [
        f"{edge} get {base}/blake3/{big} | cmp - {shlex.quote(str(_BIG))} && echo identical",
        f"{edge} get {base}/blake3/{big} --range 1000000:1000099 | wc -c",
    ]
    local = [
        f"{edge} stat {big} --data {folder}",
        f"{edge} verify {big} --data {folder}",
        f"{edge} ls --data {folder}",
    ]
    return [*(by_curl if shutil.which("curl") else []), *fetched, *local]


def content_commands(ready: Mapping[str, str], data: Path, stored: Stored) -> list[str]:
    """Shell commands that fetch and verify the same content by CID and by name."""
    edge, folder = shlex.quote(str(_EDGE)), shlex.quote(str(data))
    base, page = ready["public"].rstrip("/"), "performance.md"
    car = shlex.quote(f"{base}/ipfs/{stored.folder}?format=car")
    proof = shlex.quote(f"{base}/ipfs/{stored.file}?format=bao-chunk&entity-bytes=1000000:1065535")
    by_curl = [
        f"curl -fsS {base}/ipfs/{stored.folder}/{page}",
        f"curl -fsS {base}/ipns/{stored.name}/{page}",
        f"curl -fsS -r 1000000-1000099 {base}/ipfs/{stored.file} | wc -c",
        f"curl -fsS {proof} | wc -c",
        f"curl -fsS {car} | {edge} dag import --no-pin - --data {folder}",
    ]
    fetched = [
        f"{edge} get {base}/ipfs/{stored.file} | cmp - {shlex.quote(str(_BIG))} && echo identical",
        f"{edge} get {base}/ipfs/{stored.folder} --archive | tar tf -",
    ]
    local = [
        f"{edge} ls {stored.folder} --data {folder}",
        f"{edge} name resolve {stored.name} --data {folder}",
    ]
    return [*(by_curl if shutil.which("curl") else []), *fetched, *local]


def log_in(ready: Mapping[str, str], data: Path) -> Path:
    """A configuration of `fleek-pin` with a token for this node; where it is. Raises DemoFailed."""
    config = data / "pin.toml"
    environ = {key: value for key, value in os.environ.items() if not key.startswith("FLEEK_PIN_")}
    environ["FLEEK_PIN_CONFIG"] = str(config)
    granted = _edge(data, "token", "add", "--account", "demo", "--scope", "pin", "--expires", "30d")
    endpoint = f"{ready['public'].rstrip('/')}/pinning/v1"
    for words, given in (
        (["service", "add", "demo", endpoint], ""),
        (["login", "demo"], granted[0]["token"]),
    ):
        ended = subprocess.run(
            [str(_PIN), *words],
            input=str(given),
            text=True,
            env=environ,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if ended.returncode:
            raise DemoFailed(ended.returncode)
    return config


def pin_commands(data: Path, stored: Stored, config: Path) -> list[str]:
    """Shell commands that pin what is here, what is uploaded, and say what became of it."""
    pin = f"FLEEK_PIN_CONFIG={shlex.quote(str(config))} {shlex.quote(str(_PIN))}"
    page = shlex.quote(str(_ROOT / "README.md"))
    return [
        f"{pin} add {stored.folder} --name docs --wait",
        f"{pin} add {page} --meta app=demo --expires 7d",
        f"{pin} ls",
        f"{pin} ls --meta app=demo --json",
        f"{pin} verify {stored.folder}",
        f"{pin} export | wc -l",
        f"{shlex.quote(str(_PIN))} origins {stored.folder} --data {shlex.quote(str(data))}",
    ]


def show(ready: Mapping[str, str], data: Path, stored: Stored, config: Path) -> None:
    """Print what to try."""
    print("\nIn another shell, for example, by BLAKE3 hash:\n")
    print("\n".join(f"$ {command}" for command in blob_commands(ready, data, stored)))
    print("\nThe same content on IPFS, by CID and by name:\n")
    print("\n".join(f"$ {command}" for command in content_commands(ready, data, stored)))
    print("\nPins, over the pinning service and without it:\n")
    print("\n".join(f"$ {command}" for command in pin_commands(data, stored, config)))
    print(f"\nIn a browser: {ready['public'].rstrip('/')}/ipfs/{stored.folder}/")
    print("\nCtrl-C stops the node.", flush=True)


def admin_port(port: int) -> int:
    """The port after the public one when it is free, else any: the ready line says which."""
    if port == 0:
        return 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port + 1))
        except (OSError, OverflowError):
            return 0
    return port + 1


@contextmanager
def signals_go_to(node: "subprocess.Popen[str]") -> Iterator[None]:
    """Pass SIGTERM and SIGHUP on; Ctrl-C reaches the node by itself, through the terminal's group."""

    def forward(number: int, _: FrameType | None) -> None:
        node.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def serve(port: int, data: Path, stored: Stored) -> int:
    """Run the node in the foreground; returns its exit code."""
    command = [str(_EDGE), "serve", "--data", str(data), "--listen", f"127.0.0.1:{port}"]
    command += ["--admin", f"127.0.0.1:{admin_port(port)}"]
    node = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None, "asked for a pipe"
    with signals_go_to(node):
        line = node.stdout.readline()
        print(line, end="", flush=True)
        if line:
            ready = json.loads(line)
            try:
                show(ready, data, stored, log_in(ready, data))
            except DemoFailed as failure:
                node.terminate()
                node.wait()
                return failure.exit_code
        for more in node.stdout:
            print(more, end="", flush=True)
        return node.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Store, serve, wait."""
    parser = argparse.ArgumentParser(prog="make run", description="A node with content in it.")
    parser.add_argument("--port", type=int, default=8080, help="public port; 0 = any free one")
    parser.add_argument("--data", type=Path, default=_BIG.parent / "data", help="data folder")
    options = parser.parse_args(arguments)
    data = options.data.resolve()
    try:
        print(f"storing docs and a {_BIG_MIB} MiB file in {data}", file=sys.stderr, flush=True)
        generate_big_file(_BIG)
        stored = store(data, _ROOT / "docs", _BIG)
    except DemoFailed as failure:
        return failure.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OSError as fault:
        print(f"error: {(fault.strerror or str(fault)).lower()}\n  where: {_BIG}", file=sys.stderr)
        return _NO_ROOM if fault.errno == errno.ENOSPC else _UNUSABLE
    return serve(options.port, data, stored)


if __name__ == "__main__":
    sys.exit(main())
