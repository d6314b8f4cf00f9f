"""`make run`: a node with real content in it, and commands to try against it.

    python -m tools.demo [--port 8080] [--data build/run/data]

Stores this repository's docs and one generated 256 MiB file through the command line, as a user would,
starts `fleek-edge serve` in the foreground, passes its ready line on, then prints commands that begin with
`$ `. Each works word for word in another shell, from any folder. Ends when the node ends, with its exit code.

Called by the Makefile only; nothing else in the product uses it.
"""

import argparse
import json
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

_ROOT: Final = Path(__file__).resolve().parent.parent
_EDGE: Final = Path(sys.executable).with_name("fleek-edge")  # beside the interpreter `make setup` installed
_MIB: Final = 1 << 20
_BIG_MIB: Final = 256
_BIG: Final = _ROOT / "build" / "run" / "random-256MiB.bin"
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


def put(data: Path, paths: Sequence[Path]) -> dict[str, str]:
    """Store `paths` with `fleek-edge put`; returns file -> hash. Raises DemoFailed."""
    command = [str(_EDGE), "put", "--data", str(data), "--json", *map(str, paths)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if ended.returncode:
        raise DemoFailed(ended.returncode)
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    return {str(Path(row["path"]).resolve()): row["blake3"] for row in rows}


def commands_to_try(ready: Mapping[str, str], data: Path, small: str, big: str) -> list[str]:
    """Shell commands that fetch and verify what was stored; `small` and `big` are hashes."""
    edge, store = shlex.quote(str(_EDGE)), shlex.quote(str(data))
    base = ready["public"].rstrip("/")
    proof = shlex.quote(f"{base}/blake3/{big}?format=bao-chunk&entity-bytes=1000000:1065535")
    fetched = [
        f"{edge} get {base}/blake3/{big} | cmp - {shlex.quote(str(_BIG))} && echo identical",
        f"{edge} get {base}/blake3/{big} --range 1000000:1000099 | wc -c",
    ]
    by_curl = [
        f"curl -fsS {base}/blake3/{small}",
        f"curl -fsS -r 1000000-1000099 {base}/blake3/{big} | wc -c",
        f"curl -fsS {proof} | wc -c",
        f"curl -fsS {ready['admin'].rstrip('/')}/metrics",
    ]
    local = [
        f"{edge} stat {big} --data {store}",
        f"{edge} verify {big} --data {store}",
        f"{edge} ls --data {store}",
    ]
    return [*(by_curl if shutil.which("curl") else []), *fetched, *local]


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


def serve(port: int, data: Path, small: str, big: str) -> int:
    """Run the node in the foreground; returns its exit code."""
    command = [str(_EDGE), "serve", "--data", str(data), "--listen", f"127.0.0.1:{port}"]
    command += ["--admin", f"127.0.0.1:{admin_port(port)}"]
    node = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None, "asked for a pipe"
    with signals_go_to(node):
        line = node.stdout.readline()
        print(line, end="", flush=True)
        if line:
            print("\nIn another shell, for example:\n")
            print(
                "\n".join(f"$ {command}" for command in commands_to_try(json.loads(line), data, small, big))
            )
            print("\nCtrl-C stops the node.", flush=True)
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
    print(f"storing docs and a {_BIG_MIB} MiB file in {data}", file=sys.stderr, flush=True)
    generate_big_file(_BIG)
    try:
        stored = put(data, [_ROOT / "docs", _BIG])
    except DemoFailed as failure:
        return failure.exit_code
    small = next(hash for path, hash in stored.items() if path.endswith(".md"))
    return serve(options.port, data, small, stored[str(_BIG)])


if __name__ == "__main__":
    sys.exit(main())
