"""Several processes on one store: they see one another's work, and none answers what another removed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import blake3

from tests.blockstore.conftest import Opener
from tests.blockstore.test_ingest import leaks_here

Content = Callable[[int], bytes]
ROOT = Path(__file__).parent.parent.parent
HEAD = """
import random, sys
from pathlib import Path
from tests.blockstore.conftest import KILL_SAFE
from blockstore import Store
content = lambda size: random.Random(size).randbytes(size)
store = Store.open(Path(sys.argv[1]), KILL_SAFE)
"""


def start(data: Path, script: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + script, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_processes_that_put_the_same_content_at_once_leave_one_record_and_no_leak(
    open_store: Opener, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    script = """
print("ready", flush=True); sys.stdin.readline()
puts = [store.put_bytes(content(size)) for size in (10, 300_000, 16_385, 900_000, 70_000)]
print(sum(not put.already for put in puts), flush=True)
store.close()
"""
    processes = [start(data, script) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    fresh = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(fresh) == 5
    store = open_store()
    assert store.usage().blobs == 5
    assert all(store.verify(stat.hash).intact for stat in store.list())
    store.sweep()
    assert leaks_here(store) == []


def test_what_one_process_removes_no_other_reads_once_rm_returned(
    open_store: Opener, tmp_path: Path, content: Content
) -> None:
    store = open_store()
    root = store.put_bytes(content(300_000)).root
    script = """
from runtime.errors import NotFound
root = bytes.fromhex(sys.stdin.readline())
blob, generation = store.blob(root), store.board.generation()
print(len(blob.read(0, 300_000)), flush=True)
sys.stdin.readline()
print(store.board.generation() != generation, flush=True)
try:
    store.blob(root)
    print("still there", flush=True)
except NotFound:
    print("gone", flush=True)
"""
    process = start(tmp_path / "data", script)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(root.hex() + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "300000\n"
    store.rm(root)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "True\n"
    assert process.stdout.readline() == "gone\n"
    process.communicate(timeout=30)


def test_content_another_process_is_still_writing_is_not_swept(
    open_store: Opener, tmp_path: Path, content: Content
) -> None:
    script = """
ingest = store.ingest()
ingest.write(content(3_000_000))
store.backing.writer.run(index=lambda txn: None)
print("written", flush=True); sys.stdin.readline()
print(ingest.finish().root.hex(), flush=True)
store.close()
"""
    process = start(tmp_path / "data", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    store = open_store()
    assert store.sweep().orphans == 0
    out, _ = process.communicate("\n", timeout=30)
    root = bytes.fromhex(out)
    assert root == blake3.blake3(content(3_000_000)).digest()
    assert store.verify(root).intact


def test_a_transfer_is_shared_by_processes(open_store: Opener, tmp_path: Path, content: Content) -> None:
    store = open_store()
    data = content(900_000)
    root = blake3.blake3(data).digest()
    partial = store.partial(root, len(data))
    script = f"""
partial = store.partial(bytes.fromhex("{root.hex()}"), 900_000)
partial.add(16_384 * 20, content(900_000)[16_384 * 20:])
partial.flush()
store.close()
"""
    process = start(tmp_path / "data", script)
    process.communicate(timeout=30)
    assert process.returncode == 0
    partial.add(0, data[: 16_384 * 20])
    assert not partial.complete().already
    assert store.blob(root).read(0, len(data)) == data
