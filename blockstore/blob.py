"""Reading a blob: the one file in which views of content exist, and where every byte is checked.

Every read checks the segment's XXH3 (damage since it was written; of an extent that is sent or sealed a
check holds for five seconds while nobody writes to its file); the first read since open also checks
BLAKE3 up to the blob's name (damage before that, or a wrong name), and is remembered in a bounded
memo. A view, or a descriptor of an extent, is good only inside the call of `use`.

Who calls: gateway (`lend`, on the event loop), encoders (`segment`, `upper_node`), tools (`read`).
"""

import contextlib
from collections.abc import Callable
from typing import Final

from xxhash import xxh3_64_intdigest

from blockstore import segment as stored
from blockstore import upper
from blockstore.backing import Backing, Cause
from content.bao import _native
from content.bao.geometry import SEGMENT_BYTES, segment_count
from durable import FOREIGN, Extent, ViewTxn, translated

_SHIFT: Final = SEGMENT_BYTES.bit_length() - 1
_OFFSET: Final = SEGMENT_BYTES - 1
# As much as a connection's turn (`net.limits`, turn_bytes): what is checked ahead should be sent now.
_AT_ONCE: Final = 8
# The same where bytes are read to be sealed or copied: what TLS takes at once
_SEALED_AT_ONCE: Final = 4
UseFile = Callable[[int, int, int], int]
"""Offered a descriptor, an offset in its file and a number of bytes; returns how many were taken."""


class Blob:
    """A handle on a present blob; cheap, and good while the board's generation stands.

    Implements `content.bao.source.Source`. Reading after the blob was removed raises NotFound.
    """

    __slots__ = (
        "_backing",
        "_begin",
        "_last",
        "_last_bytes",
        "_only_key",
        "_only_seed",
        "_proven",
        "content_type",
        "created_s",
        "damaged_segments",
        "lies_apart",
        "root",
        "size_bytes",
        "storage_id",
    )

    def __init__(
        self,
        backing: Backing,
        root: bytes,
        storage_id: int,
        size_bytes: int,
        content_type: str,
        created_s: float,
        damaged_segments: tuple[int, ...],
    ) -> None:
        self.root = root
        self.storage_id = storage_id
        self.size_bytes = size_bytes
        self.content_type = content_type
        self.created_s = created_s
        self.damaged_segments = damaged_segments
        self.lies_apart: bool | None = None  # known once it was read
        self._backing = backing
        self._begin = backing.bulk.begin_views
        self._last = segment_count(size_bytes) - 1
        self._last_bytes = size_bytes - self._last * SEGMENT_BYTES
        self._only_key = stored.KEY.pack(storage_id, 0)
        self._only_seed = stored.seed_of(storage_id, 0)
        self._proven = False  # a blob of one segment remembers here, without the memo

    def lend(
        self,
        start: int,
        stop: int,
        use: Callable[[memoryview], int],
        use_file: UseFile | None = None,
        file_stop: int = 0,
    ) -> int:
        """Call `use` with a view of bytes [start, stop), which lie in one segment; returns what it returned.

        Where they lie in an extent it may be offered more, as far as `file_stop`; if `use_file` is given,
        that is called instead, after the same checks. View and descriptor die with the call;
        `use` keeps no slice of the view, which would read whatever lies there later, and must not wait.
        Raises NotFound when the blob was removed meanwhile, BlobDamaged when the segment is not what
        it should be (put on record, nothing was lent). About 2 us and 6 us a 256 KiB checked; 90 us
        more on the first read of a full segment since open.
        """
        number = start >> _SHIFT
        base = start & ~_OFFSET
        size = SEGMENT_BYTES if number < self._last else self._last_bytes
        if not 0 <= start <= stop <= base + size or number > self._last:
            raise ValueError(f"[{start}, {stop}) is not inside one segment of {self.size_bytes} bytes")
        if self.lies_apart and self._last and (use_file is not None or file_stop > stop):
            taken = self._offer_apart(start, max(stop, file_stop), use, use_file)
            if taken is not None:
                return taken
        key, seed = self._address(number)
        txn = self._begin()
        value = lent = None
        try:
            value = self._value(txn, key, number)
            lent, extent = self._data(value, size, number)
            if xxh3_64_intdigest(lent, seed) != int.from_bytes(value[-16:-8], "little"):
                raise self._failed(number, Cause.CHECKSUM)
            if not self._proven and not self._backing.checked.has(self.storage_id, number):
                self._prove(lent, value, number)
            if extent is not None and use_file is not None:
                return use_file(extent.fd, start, stop - start)
            if stop - start != size:
                whole, lent = lent, lent[start - base : stop - base]
                whole.release()
            return use(lent)
        finally:
            if lent is not None:
                lent.release()
            if value is not None:
                value.release()
            txn.abort()

    def _address(self, number: int) -> tuple[bytes, int]:
        """Key and seed of a segment; those of the first, which most blobs end with, are kept."""
        if number == 0:
            return self._only_key, self._only_seed
        return stored.KEY.pack(self.storage_id, number), stored.seed_of(self.storage_id, number)

    def _offer_apart(
        self, start: int, reach: int, use: Callable[[memoryview], int], use_file: UseFile | None
    ) -> int | None:
        """What `lend` does where the data lies in an extent and was proven before; None: it must look itself.

        Segments behind the first are offered with it as far as they are checked: where that ends, what was
        not proven yet or is damaged begins, and its own turn says so.
        """
        number = start >> _SHIFT
        most = _AT_ONCE if use_file is not None else _SEALED_AT_ONCE
        beyond = min((reach + _OFFSET) >> _SHIFT, number + most)
        beyond = self._backing.checked.run(self.storage_id, number, beyond)
        if beyond == number:
            return None
        base, end = number << _SHIFT, min(beyond << _SHIFT, self.size_bytes)
        extent = self._backing.extents.get(self.storage_id, end)
        sums = None if extent is None else self._sums(extent)
        if extent is None or sums is None:
            return None
        txn, view = self._begin(), None
        try:
            intact = sums.intact_bytes(txn, number, end)
            end = min(base + intact, reach)
            if not intact:
                return None
            if use_file is not None:
                return use_file(extent.fd, start, end - start)
            view = extent.part(start, end)
            return use(view) if view is not None else None
        finally:
            if view is not None:
                view.release()
            txn.abort()

    def _sums(self, extent: Extent) -> _native.ExtentSums | None:
        """What is known of the bytes of an extent; None where no descriptor or map is left to know it by."""
        if extent.sums is None:
            with contextlib.suppress(OSError):
                extent.sums = _native.ExtentSums(extent.fd, self.storage_id)
        sums: _native.ExtentSums | None = extent.sums
        return sums

    def read(self, start: int, stop: int) -> bytes:
        """A copy of bytes [start, stop), any span inside the blob. Raises as `lend` does."""
        if not 0 <= start <= stop <= self.size_bytes:
            raise ValueError(f"[{start}, {stop}) is not inside a blob of {self.size_bytes} bytes")
        pieces: list[bytes] = []

        def keep(view: memoryview) -> int:
            pieces.append(bytes(view))
            return len(view)

        while start < stop:
            start += self.lend(start, min(stop, (start | _OFFSET) + 1), keep)
        return b"".join(pieces)

    def segment(self, index: int) -> tuple[bytes, bytes]:
        """Data of segment `index` and its group nodes in pre-order, both checked. Raises as `lend` does."""
        return self._whole(index, again=False)

    def upper_node(self, index: int) -> bytes:
        """Node `index` of the pre-order over segments, checked. Raises as `lend` does."""
        if not 0 <= index < self._last:
            raise ValueError(f"a blob of {self.size_bytes} bytes has no upper node {index}")
        backing = self._backing
        with _NodeReader(self) as node:
            if backing.checked_nodes.has(self.storage_id, index):
                return node(index)
            try:
                found = upper.proven_node(self.root, self._last + 1, index, node)
            except upper.WrongNode:
                raise self._failed(upper.UPPER_SEGMENT, Cause.TREE) from None
        backing.checked_nodes.mark(self.storage_id, index)
        return found

    def prove_segment(self, index: int) -> None:
        """Check segment `index` down to BLAKE3, remembered or not (scrub, verify). Raises as `lend` does."""
        self._whole(index, again=True)

    def _whole(self, index: int, *, again: bool) -> tuple[bytes, bytes]:
        if not 0 <= index <= self._last:
            raise ValueError(f"a blob of {self.size_bytes} bytes has no segment {index}")
        size = SEGMENT_BYTES if index < self._last else self._last_bytes
        seed = stored.seed_of(self.storage_id, index)
        txn = self._begin()
        value = data = None
        try:
            value = self._value(txn, stored.KEY.pack(self.storage_id, index), index)
            data, _ = self._data(value, size, index)
            if not stored.data_intact(value, size, seed, data) or not stored.rest_intact(value, size, seed):
                raise self._failed(index, Cause.CHECKSUM)
            if again or not self._backing.checked.has(self.storage_id, index):
                self._prove(data, value, index)
            return bytes(data), stored.nodes_of(value, size)
        finally:
            if data is not None:
                data.release()
            if value is not None:
                value.release()
            txn.abort()

    def _value(self, txn: ViewTxn, key: bytes, number: int) -> memoryview:
        try:
            value = txn.get(key)
        except FOREIGN as error:
            raise translated(error, self.root.hex()) from error
        if value is None:
            raise self._failed(number, Cause.MISSING)
        return value

    def _data(self, value: memoryview, size: int, number: int) -> tuple[memoryview, Extent | None]:
        """The data of a segment, unchecked, where it lies (of a pack a copy), and its extent if any."""
        if len(value) == stored.value_bytes(size):
            self.lies_apart = False
            return value[:size], None
        if not stored.lies_apart(value, size):
            raise self._failed(number, Cause.CHECKSUM)
        self.lies_apart = True
        extent = None
        if self._last:
            base = number * SEGMENT_BYTES
            extent = self._backing.extents.get(self.storage_id, base + size)
            part = extent.part(base, base + size) if extent is not None else None
        else:
            copy = self._backing.packs.read(self.storage_id, size)
            part = memoryview(copy) if copy is not None else None
        if part is None:
            raise self._failed(number, Cause.MISSING)
        return part, extent

    def _failed(self, number: int, cause: Cause) -> Exception:
        return self._backing.failed(self.root, self.storage_id, number, cause)

    def _prove(self, data: memoryview, value: memoryview, number: int) -> None:
        """Check data and nodes of a segment against the blob's name and remember it."""
        cv, nodes = _native.segment(data, number, self._last == 0)
        if self._last:
            with _NodeReader(self) as node:
                try:
                    expected = upper.segment_cv(self.root, self._last + 1, number, node)
                except upper.WrongNode:
                    raise self._failed(upper.UPPER_SEGMENT, Cause.TREE) from None
        else:
            expected = self.root
        if cv != expected or nodes != stored.nodes_of(value, len(data)):
            raise self._failed(number, Cause.TREE)
        if self._last == 0:
            self._proven = True
        self._backing.checked.mark(self.storage_id, number)


class _NodeReader:
    """Reads upper nodes inside one short snapshot of the index; keeps the last chunk it read."""

    __slots__ = ("_blob", "_chunk", "_nodes", "_reading", "_txn")

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._chunk = -1
        self._nodes = b""

    def __enter__(self) -> "_NodeReader":
        self._reading = self._blob._backing.index.reading()
        self._txn = self._reading.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._reading.__exit__(*problem)  # type: ignore[arg-type]

    def __call__(self, index: int) -> bytes:
        chunk, place = divmod(index, upper.CHUNK_NODES)
        if chunk != self._chunk:
            blob = self._blob
            backing = blob._backing
            value = self._txn.get(upper.KEY.pack(blob.storage_id, chunk), db=backing.catalog.upper)
            if value is None:
                raise backing.failed(blob.root, blob.storage_id, upper.UPPER_SEGMENT, Cause.MISSING)
            nodes = upper.chunk_nodes(value, blob.storage_id, chunk)
            if nodes is None or len(nodes) < (place + 1) * 64:
                raise backing.failed(blob.root, blob.storage_id, upper.UPPER_SEGMENT, Cause.CHECKSUM)
            self._chunk, self._nodes = chunk, nodes
        return self._nodes[place * 64 : place * 64 + 64]
