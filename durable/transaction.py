"""The shape of an LMDB transaction as the rest of the product sees it, without importing lmdb.

`Txn` hands out bytes (copies); `ViewTxn` hands out views that are good only until its `abort`:
using one later reads whatever the page holds by then. Only `blockstore.blob` takes views.
"""

from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol, TypeAlias

from durable.errors import FOREIGN, translated

Buffer: TypeAlias = bytes | bytearray | memoryview


class Cursor(Protocol):
    """A place in one table, in key order."""

    def set_range(self, key: Buffer, /) -> bool: ...
    def first(self) -> bool: ...
    def last(self) -> bool: ...
    def next(self) -> bool: ...
    def prev(self) -> bool: ...
    def key(self) -> bytes: ...
    def value(self) -> bytes: ...
    def delete(self) -> bool: ...
    def iternext(self) -> Iterator[tuple[bytes, bytes]]: ...
    def iterprev(self) -> Iterator[tuple[bytes, bytes]]: ...


class Txn(Protocol):
    """A snapshot to read, or (on the writer thread) the one open change."""

    def get(self, key: Buffer, /, *, db: Any = ...) -> bytes | None: ...
    def put(
        self, key: Buffer, value: Buffer, *, overwrite: bool = ..., append: bool = ..., db: Any = ...
    ) -> bool: ...
    def delete(self, key: Buffer, /, *, db: Any = ...) -> bool: ...
    def cursor(self, db: Any = ...) -> Cursor: ...
    def stat(self, db: Any = ...) -> Mapping[str, int]: ...


class ViewTxn(Protocol):
    """A snapshot whose values are views into the map."""

    def get(self, key: Buffer, /) -> memoryview | None: ...
    def abort(self) -> None: ...


class Reading:
    """Context of one short read: `with environment.reading() as txn`; copies only."""

    __slots__ = ("_begin", "_txn", "_where")

    def __init__(self, begin: Callable[[], Any], where: str) -> None:
        self._begin = begin
        self._where = where

    def __enter__(self) -> Txn:
        self._txn = self._begin()
        return self._txn  # type: ignore[no-any-return]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._txn.abort()
        if isinstance(error, FOREIGN):
            raise translated(error, self._where) from error
