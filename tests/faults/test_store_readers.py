"""Readers killed inside a read: their slots come back, and the space they pinned is used again."""

import os
import select
import signal
from pathlib import Path

from blockstore import Durability, Store, StoreSettings

SETTINGS = StoreSettings(
    durability=Durability.NONE, max_readers=16, index_map_bytes=1 << 28, bulk_map_bytes=1 << 30
)


def hold(ready: int) -> int:
    """Say that the view is held, and hold it until the end."""
    os.write(ready, b"r")
    signal.pause()
    return 0


def killed_reader(data: Path, root: bytes) -> None:
    """Fork a process that is killed while it holds a view."""
    ready, ready_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with Store.open(data, SETTINGS) as store:
                store.blob(root).lend(0, 10, lambda _: hold(ready_write))
        finally:
            os._exit(1)
    begun = select.select([ready], [], [], 10)[0]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert begun, "the reader found no slot"
    os.close(ready)
    os.close(ready_write)


def test_readers_that_were_killed_leave_no_slot_taken(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Store.open(data, SETTINGS) as store:
        root = store.put_bytes(b"0123456789" * 1000).root
    witness = os.fork()  # while one process has the store open, LMDB does not start with a fresh table
    if witness == 0:
        Store.open(data, SETTINGS)
        signal.pause()
    try:
        for _ in range(40):  # more than there are slots
            killed_reader(data, root)
        with Store.open(data, SETTINGS) as store:
            assert store.blob(root).read(0, 10) == b"0123456789"
            assert store.usage().readers <= 5
    finally:
        os.kill(witness, signal.SIGKILL)
        os.waitpid(witness, 0)


def test_a_running_process_takes_back_the_slots_of_the_dead_when_it_runs_out(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Store.open(data, SETTINGS) as store:
        root = store.put_bytes(bytes(1000)).root
    pids = []
    ready, ready_write = os.pipe()
    for _ in range(12):
        pid = os.fork()
        if pid == 0:
            store = Store.open(data, SETTINGS)
            store.blob(root).lend(0, 10, lambda _: hold(ready_write))
            os._exit(1)
        pids.append(pid)
    seen = 0
    while seen < len(pids):
        assert select.select([ready], [], [], 30)[0]
        seen += len(os.read(ready, 100))
    survivor = Store.open(data, SETTINGS)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    blob = survivor.blob(root)
    nested: list[int] = []

    def deeper(view: memoryview) -> int:
        nested.append(len(view))
        return blob.lend(0, 10, deeper) if len(nested) < 12 else 0

    blob.lend(0, 10, deeper)  # twelve reads at once: only with the dead readers' slots
    assert len(nested) == 12
    survivor.close()


def test_space_pinned_by_a_killed_reader_is_used_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Store.open(data, SETTINGS) as store:
        root = store.put_bytes(bytes(100)).root
    killed_reader(data, root)
    with Store.open(data, SETTINGS) as store:
        for number in range(30):
            store.rm(store.put_bytes(number.to_bytes(4, "big") * 500_000).root)
            store.sweep()
        assert store.usage().bulk_used_bytes < 12_000_000  # 60 MB went through
