"""One LMDB environment: opening it safely, reading it briefly, telling how full it is.

Facts this rests on (LMDB 0.9 source; figures in docs/performance.md):
 - writes go through pwrite, never through the map (no `writemap`), so a full disk is an error
   at commit and not a SIGBUS; only the lock file is written through a map, and `reserve_file`
   allocates its blocks first;
 - `set_mapsize` while another thread reads pulls the map from under it, so the map size is
   given once, large, and costs address space only;
 - a reader that was killed keeps its slot until `reader_check`, and an open snapshot keeps old
   pages from being reused, so both are kept short and swept up.

Called by `durable.commit` for changes and by `blockstore` for reads. One process opens one
environment once (LMDB's own rule) and never carries it across fork.
"""

import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeAlias

import lmdb

from durable.errors import FOREIGN, translated
from durable.files import reserve_file
from durable.transaction import Reading, Txn, ViewTxn
from runtime.errors import UsageError

Table: TypeAlias = Any  # an opaque lmdb database handle
_READER_BYTES: Final = 64
_LOCK_HEAD_BYTES: Final = 128  # mdb.c, MDB_txninfo: two cache lines before the reader table
_KEPT_BYTES: Final = 1 << 20  # a deletion copies the pages on its way down, and the free list
_SPARE_TXNS: Final = 8  # finished snapshots kept for reuse: one a thread that reads, and some


class Durability(StrEnum):
    """What a finished commit has survived.

    FULL: power loss keeps every acknowledged commit. LAZY: power loss may take back the last
    commits of the index, never order or integrity. NONE: a killed process loses nothing, power
    loss may ruin the store; for caches that can be filled again, and for tests.
    """

    FULL = "full"
    LAZY = "lazy"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class EnvironmentUse:
    """How full an environment is: pages ever handed out, and those of them that wait for reuse."""

    map_bytes: int
    used_bytes: int
    free_bytes: int
    readers: int


class Environment:
    """An open environment and its named tables."""

    def __init__(self, env: lmdb.Environment, path: Path, tables: dict[str, Table]) -> None:
        self._env = env
        self.path = path
        self.tables = tables
        self._closed = threading.Event()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        map_bytes: int,
        tables: Iterable[str] = (),
        durability: Durability = Durability.FULL,
        lazy_meta: bool = False,
        max_readers: int = 1024,
    ) -> "Environment":
        """Open (creating when missing) the environment in folder `path` with its `tables`.

        `lazy_meta` says whether LAZY applies here: the environment that is committed first must
        stay FULL or order would be lost. Raises StoreFull, UsageError, BlobDamaged.
        """
        names = tuple(tables)
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            reserve_file(path / "lock.mdb", _LOCK_HEAD_BYTES + _READER_BYTES * max_readers)
            env = lmdb.open(
                os.fspath(path),
                map_size=map_bytes,
                max_dbs=len(names),
                max_readers=max_readers,
                max_spare_txns=_SPARE_TXNS,
                mode=0o600,
                readahead=False,  # reads are random; read-ahead would throw hot pages out
                sync=durability is not Durability.NONE,
                metasync=durability is Durability.FULL or (durability is Durability.LAZY and not lazy_meta),
            )
            env.reader_check()
            with env.begin(write=True) as txn:  # one commit makes all tables of a new store
                handles = {name: env.open_db(name.encode(), txn=txn) for name in names}
        except FOREIGN as error:
            if "already open in this process" in str(error):
                raise UsageError("this process has the store open already", where=os.fspath(path)) from error
            raise translated(error, os.fspath(path)) from error
        return cls(env, path, handles)

    def reading(self) -> Reading:
        """A short snapshot of copies: `with environment.reading() as txn`. About 1.5 us and 0.5 us a get."""
        return Reading(self._begin_read, os.fspath(self.path))

    def begin_views(self) -> ViewTxn:
        """A snapshot of views, for the hot path. The caller aborts it before it does anything slow."""
        try:
            return self._env.begin(None, None, False, True)
        except FOREIGN as error:
            return self._begin_again(error, True)  # type: ignore[no-any-return]

    def _begin_read(self) -> Any:
        try:
            return self._env.begin()
        except FOREIGN as error:
            return self._begin_again(error, False)

    def _begin_again(self, error: Exception, views: bool) -> Any:
        if not isinstance(error, lmdb.ReadersFullError):
            raise translated(error, os.fspath(self.path)) from error
        try:
            self._env.reader_check()  # dead processes' slots
            return self._env.begin(buffers=True) if views else self._env.begin()
        except FOREIGN as again:
            raise translated(again, os.fspath(self.path)) from again

    def begin_write(self) -> Any:
        """The one write transaction; only `durable.commit` calls this. Waits for other processes' writers."""
        return self._env.begin(write=True)

    def reader_check(self) -> int:
        """Free the reader slots of dead processes; returns how many there were."""
        try:
            return self._env.reader_check()
        except FOREIGN as error:
            raise translated(error, os.fspath(self.path)) from error

    def use(self) -> EnvironmentUse:
        """How full it is. Walks the free list: about 1 ms a GiB that is free."""
        try:
            info, page = self._env.info(), self._env.stat()["psize"]
            free = self._free_pages()
        except FOREIGN as error:
            raise translated(error, os.fspath(self.path)) from error
        return EnvironmentUse(
            map_bytes=info["map_size"],
            used_bytes=(info["last_pgno"] + 1) * page,
            free_bytes=free * page,
            readers=sum(line.lstrip()[:1].isdigit() for line in self._env.readers().splitlines()),
        )

    def _free_pages(self) -> int:
        """Pages LMDB keeps for reuse; it hides its free list, so pages in use are subtracted."""
        with self._env.begin() as txn:
            return max(0, int(self._env.info()["last_pgno"]) + 1 - self._used_pages(txn))

    def _used_pages(self, txn: Any) -> int:
        stats = [txn.stat(), *(txn.stat(handle) for handle in self.tables.values())]
        return 2 + sum(
            int(s["branch_pages"] + s["leaf_pages"] + s["overflow_pages"]) for s in stats
        )  # 2 metas

    def room_bytes(self, txn: Any) -> int:
        """Bytes of the map that hold nothing, less what is kept back so that deleting always works. 5 us."""
        map_bytes = int(self._env.info()["map_size"])
        page = int(txn.stat()["psize"])
        kept = min(_KEPT_BYTES, map_bytes // 16)
        return map_bytes - self._used_pages(txn) * page - kept

    def disk_room_bytes(self, txn: Any) -> int:
        """Bytes that the free pages of its file and the free disk can take, less a sixteenth of the file or
        what else deletions may need. 5 us.
        """
        room, page = os.statvfs(self.path), int(txn.stat()["psize"])
        pages = int(self._env.info()["last_pgno"]) + 1
        in_file = max(0, pages - self._used_pages(txn)) * page
        return in_file + room.f_bavail * room.f_frsize - min(_KEPT_BYTES, pages * page // 16)

    def turn_over(self) -> None:
        """Commit a change of nothing: LMDB lends freed pages out again only after one more commit."""
        try:
            with self._env.begin(write=True) as txn:
                txn.put(b"\0", b"")
                txn.delete(b"\0")
        except FOREIGN:
            return  # without room for even that, the caller's own failure says so

    def sync(self) -> None:
        """Put every commit so far on the disk, whatever the durability."""
        try:
            self._env.sync(True)
        except FOREIGN as error:
            raise translated(error, os.fspath(self.path)) from error

    def close(self) -> None:
        """Close the map. No other thread may be inside a read: a view of it would be a crash."""
        if not self._closed.is_set():
            self._closed.set()
            self._env.close()


__all__ = ["Durability", "Environment", "EnvironmentUse", "Table", "Txn"]
