"""Blocks that arrive in a stream, as a CAR brings them; files among them become one blob each.

When the root of a file arrives its leaves are known in order. Leaves that come in that order (as every CAR
written depth first has them) go straight into the file's blob: no second copy. A block that comes out of
order ends the run: what was gathered is kept as a fragment, the block on its own, and `finish` makes the
file whole from the pieces and lets go of them.

Invariants
 1. Only verified blocks come in (the type says so), and nothing is visible before it is durable.
 2. Memory: one segment, the writer's backlog, the rows of one file's leaves, the roots of unfinished files.
 3. A file whose leaves repeat is written out at most `_REPEAT_MAX` times its distinct bytes: small CARs
    that stand for huge files stay blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from blockstore.block_rows import FRAME_BYTES_MAX
from blockstore.dag import Dag
from blockstore.flat import MAX_LEAVES, Flat
from blockstore.landings import Landings
from content import cid as codecs
from content.block import Block, BlockMissing
from content.cid import Cid
from content.unixfs import file as unixfs
from runtime.errors import BadRequest, EdgeError, Unverified

_REPEAT_MAX: Final = 2
_UNFINISHED_MAX: Final = 1 << 20  # roots of files to look at again: 100 MB at most


@dataclass(slots=True)
class ImportReport:
    """What an import has done so far."""

    blocks: int = 0
    bytes_: int = 0
    new_blocks: int = 0
    files: int = 0  # that were made whole


class Importing:
    """An import in progress; a context manager that gives up what was not finished."""

    def __init__(self, dag: Dag) -> None:
        self._dag = dag
        self._landings = Landings()
        self._run: _Run | None = None
        self._unfinished: dict[bytes, Cid] = {}
        self._inner: set[bytes] = set()  # parts of files, which are no files of their own
        self.report = ImportReport()

    def add(self, block: Block) -> None:
        """Take one block. Blocks while the store is behind. Raises StoreFull."""
        self.report.blocks += 1
        self.report.bytes_ += len(block.data)
        self._landings.check()
        run = self._run
        if run is not None and run.takes(block):
            self.report.new_blocks += 1
            if run.complete:
                self._end_run()
            return
        parts = _parts(block)
        if run is not None and not (run.goes_on_without(block) or run.expects(block.cid)):
            self._end_run()
            run = None
        new = self._put(block, parts)
        self.report.new_blocks += new
        if len(self._inner) < _UNFINISHED_MAX:
            self._inner.update(cid.multihash for cid, _ in parts if cid.codec == codecs.DAG_PB)
        if run is not None and run.expects(block.cid):
            run.open_inner(block, parts)
            if run.complete:
                self._end_run()
        elif parts and run is None and block.cid.multihash not in self._inner:
            self._begin_run(block, parts, new=new)

    def _put(self, block: Block, parts: tuple[tuple[Cid, int], ...]) -> bool:
        """Store a block that belongs to no run: a file in one block as a file, any other as it is."""
        payload = None if parts or block.cid.codec != codecs.DAG_PB else _only_payload(block)
        if payload is None:
            return self._dag.put_soon(block, self._landings)
        if self._dag.touch(block.cid):
            return False
        start, stop = payload
        flat = Flat(self._dag, self._dag.new_ingest(), self._landings)
        flat.write(block.data[start:stop])
        flat.leaf(block.cid.multihash, 0, stop - start, block.data[:start], block.data[stop:])
        flat.finish_soon(block.cid)
        return True

    def finish(self) -> ImportReport:
        """End the import: everything added is durable when it returns, and complete files are whole."""
        self._end_run()
        self._landings.wait()
        open_files = [cid for cid in self._unfinished.values() if cid.multihash not in self._inner]
        self.report.files += _flatten_all(self._dag, self._landings, open_files)
        self.report.files += flatten_woken(self._dag)
        return self.report

    def break_off(self) -> None:
        """End an import whose stream ended early: what came is durable on return and stays for a lease.

        Of an unfinished file the leaves are kept, as a fragment. Raises StoreFull.
        """
        self._end_run()
        self._landings.wait()

    def __enter__(self) -> "Importing":
        return self

    def __exit__(self, *problem: object) -> None:
        if self._run is not None:
            self._run.flat.abort()
            self._run = None

    def _begin_run(self, block: Block, parts: tuple[tuple[Cid, int], ...], *, new: bool) -> None:
        if self._dag.whole_file(block.cid) is not None:
            return
        if not new:  # its leaves may be here too: what is missing comes alone, and `finish` joins it
            self._unfinished[block.cid.multihash] = block.cid
            return
        self._run = _Run(self._dag, self._landings, block.cid, moves=False)
        self._run.open_inner(block, parts)

    def _end_run(self) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        if run.complete and not run.broken:
            self._finished(run)
            return
        if len(self._unfinished) < _UNFINISHED_MAX:
            self._unfinished[run.root.multihash] = run.root
        if run.flat.leaf_count:
            run.flat.finish_soon(None)
        else:
            run.flat.abort()

    def _finished(self, run: "_Run") -> None:
        run.flat.finish_soon(run.root)
        self._unfinished.pop(run.root.multihash, None)
        self.report.files += 1


def flatten(dag: Dag, cid: Cid) -> bool:
    """Make a file whole whose leaves lie here and there, if all are here; whether that was done.

    A file that lacks a block is looked at again when that block comes (`blockstore.waiting`).
    """
    if cid.codec != codecs.DAG_PB or dag.whole_file(cid) is not None:
        return False
    return _flatten_all(dag, Landings(), [cid]) == 1


def flatten_all(dag: Dag, cids: Sequence[Cid]) -> int:
    """As `flatten` for many, which become durable together; how many are whole now."""
    return _flatten_all(dag, Landings(), [cid for cid in cids if cid.codec == codecs.DAG_PB])


def flatten_woken(dag: Dag) -> int:
    """Make the files whole whose missing block has come; returns how many are whole now."""
    made = 0
    while woken := dag.waiting.take_woken():
        made += _flatten_all(dag, Landings(), [Cid.v1(codecs.DAG_PB, multihash) for multihash in woken])
    return made


def _flatten_all(dag: Dag, landings: Landings, files: Sequence[Cid]) -> int:
    lacking: list[tuple[bytes, bytes]] = []
    made = sum(_flatten(dag, landings, cid, lacking) for cid in files if dag.whole_file(cid) is None)
    landings.wait()
    dag.wait_for(lacking)
    return made


def _flatten(dag: Dag, landings: Landings, cid: Cid, lacking: list[tuple[bytes, bytes]]) -> bool:
    """One file; the block it lacks goes to `lacking`."""
    run = _Run(dag, landings, cid, moves=True)
    try:
        run.copy_all()
    except BlockMissing as missing:
        run.flat.abort()
        lacking.append((missing.cid.multihash, cid.multihash))
        return False
    except (BadRequest, Unverified, _TooOften):
        run.flat.abort()
        return False
    except EdgeError:
        run.flat.abort()
        raise
    if not run.flat.leaf_count:
        run.flat.abort()
        return False
    run.flat.finish_soon(cid)
    return True


class _TooOften(Exception):
    """The file's leaves repeat so often that it stays blocks."""


class _Run:
    """One file whose leaves arrive in order."""

    def __init__(self, dag: Dag, landings: Landings, root: Cid, *, moves: bool) -> None:
        self._dag = dag
        self.root = root
        self.flat = Flat(dag, dag.new_ingest(), landings, moves=moves)
        self._expected: list[tuple[Cid, int]] = [(root, -1)]
        self._fresh_bytes = 0
        self._last: tuple[bytes, bytes] = (b"", b"")  # the leaf before: multihash, payload
        self.broken = False

    @property
    def complete(self) -> bool:
        """Whether every leaf has been taken."""
        return not self._expected

    def expects(self, cid: Cid) -> bool:
        """Whether this block comes next."""
        return bool(self._expected) and self._expected[-1][0].multihash == cid.multihash

    def takes(self, block: Block) -> bool:
        """Take a leaf when it is the next one; False when it is not, or is an inner node."""
        self._repeat_leaves(block.cid)
        if not self.expects(block.cid) or _parts(block):
            return False
        return self._take_leaf(block.cid, block.data)

    def goes_on_without(self, block: Block) -> bool:
        """Whether a block that is not expected may pass without an end of the run."""
        return self.complete or self.broken

    def open_inner(self, block: Block, parts: tuple[tuple[Cid, int], ...]) -> None:
        """Replace the expected node by its parts; its own payload comes first."""
        _, announced = self._expected.pop()
        found = unixfs.node(block.cid, block.data)
        payload = found.message.data or b""
        if announced >= 0 and announced != len(payload) + sum(size for _, size in parts):
            self.broken = True
        self.flat.write(payload)
        self._fresh_bytes += len(payload)
        self._expected += reversed(parts)

    def copy_all(self) -> None:
        """Take every part from the store, in order. Raises BlockMissing, Unverified, _TooOften."""
        dag = self._dag

        def read(cid: Cid) -> bytes:
            self.flat.parts.add(cid.multihash)
            return dag.read_sound(cid)

        for leaf in unixfs.leaves(self.root, read):
            block = dag.read_sound(leaf.cid)
            payload = block[leaf.block_start : leaf.block_stop]
            multihash = leaf.cid.multihash
            if not self.flat.has_leaf(multihash):
                self._fresh_bytes += len(payload)
            elif self.flat.size_bytes > _REPEAT_MAX * self._fresh_bytes + len(payload):
                raise _TooOften
            if self.flat.leaf_count >= MAX_LEAVES:
                raise _TooOften
            offset = self.flat.size_bytes
            self.flat.write(payload)
            prefix, suffix = block[: leaf.block_start], block[leaf.block_stop :]
            if len(prefix) + len(suffix) <= FRAME_BYTES_MAX and payload and not leaf.cid.is_identity:
                self.flat.leaf(multihash, offset, len(payload), prefix, suffix)
        self._expected = []

    def _repeat_leaves(self, arriving: Cid) -> None:
        """A CAR holds equal blocks once: where the expected leaf is the one before again, repeat it."""
        while self._expected and not self.broken:
            cid, size = self._expected[-1]
            if cid.multihash == arriving.multihash or cid.multihash != self._last[0]:
                return
            if self.flat.size_bytes > _REPEAT_MAX * self._fresh_bytes + size:
                self.broken = True
                return
            self._expected.pop()
            self.flat.write(self._last[1])

    def _take_leaf(self, cid: Cid, block: bytes) -> bool:
        start, stop = 0, len(block)
        if cid.codec == codecs.DAG_PB:
            try:
                found = unixfs.node(cid, block)
            except BadRequest:
                self.broken = True
                return False
            start = found.payload_at
            stop = start + len(found.message.data or b"")
            if found.links or not unixfs.is_file(found.message):
                self.broken = True
                return False
        _, announced = self._expected[-1]
        if (
            stop - start != announced
            or start + len(block) - stop > FRAME_BYTES_MAX
            or self.flat.leaf_count >= MAX_LEAVES
        ):
            self.broken = True
            return False
        self._expected.pop()
        payload = block[start:stop]
        self.flat.leaf(cid.multihash, self.flat.size_bytes, stop - start, block[:start], block[stop:])
        self.flat.write(payload)
        self._fresh_bytes += len(payload)
        self._last = (cid.multihash, payload)
        return True


def _parts(block: Block) -> tuple[tuple[Cid, int], ...]:
    """Parts of a file node; () for everything else, also for what is no sound UnixFS."""
    if block.cid.codec != codecs.DAG_PB:
        return ()
    try:
        return unixfs.parts(block.cid, block.data)
    except (BadRequest, Unverified):
        return ()


def _only_payload(block: Block) -> tuple[int, int] | None:
    """Where the bytes of a file lie that is this one block; None when it is not one, or is empty."""
    try:
        found = unixfs.node(block.cid, block.data)
    except BadRequest:
        return None
    length = len(found.message.data or b"")
    if not length or found.links or not unixfs.is_file(found.message) or found.message.block_bytes:
        return None
    if found.message.file_bytes not in (None, length) or len(block.data) - length > FRAME_BYTES_MAX:
        return None
    return found.payload_at, found.payload_at + length
