"""A look at the body that a HEAD does not send, so that HEAD says what becomes of the GET.

A CAR, a TAR or a listing may turn out not to be whole here, or to hold what is denied, when it is made: a GET
of it fails or is broken off. A HEAD walks the beginning of the same body and tells that error. `_ITEMS_MAX`,
`_READ_BYTES_MAX` and `_MADE_BYTES_MAX` bound it to some 10 ms; beyond them, and behind the first block that
would be fetched, it says 200. Bytes of leaves are not read: damage in them shows in the GET alone. Of a file
that lacks a block the rest is served by ranges, so HEAD describes it.
"""

from collections.abc import Iterator
from typing import Final

from content.block import BlockReader
from content.cid import Cid
from net.answer import Answer, Pause

_ITEMS_MAX: Final = 1024
_READ_BYTES_MAX: Final = 2 << 20
_BLOCK_BYTES: Final = 8 << 10  # what a small block counts: to find and parse it is the work
_MADE_BYTES_MAX: Final = 64 << 10
_KINDS: Final = ("car", "tar", "listing")


class Look:
    """The blocks of one HEAD: what its fields need, then as many more as a look may cost."""

    def __init__(self, read: BlockReader) -> None:
        self._read = read
        self._left_bytes: int | None = None

    def read(self, cid: Cid) -> bytes:
        """As the reader it was made with, which it ends the look by when that has read enough."""
        data = self._read(cid)
        if self._left_bytes is not None:
            self._left_bytes -= max(len(data), _BLOCK_BYTES)
            if self._left_bytes < 0:
                raise _Enough
        return data

    def checked(self, answer: Answer, *, fetches: bool) -> Answer:
        """`answer`, when its body begins well. Raises what that raises.

        `fetches`: what is missing would be fetched.
        """
        if answer.kind in _KINDS and isinstance(answer.body, Iterator):
            self._left_bytes = _READ_BYTES_MAX
            try:
                self._walk(answer.body, fetches=fetches)
            except _Enough:
                pass
        return answer

    def _walk(self, body: Iterator[object], *, fetches: bool) -> None:
        made_bytes = 0
        for _, item in zip(range(_ITEMS_MAX), body, strict=False):
            made_bytes += len(item) if isinstance(item, bytes) else 0
            if made_bytes > _MADE_BYTES_MAX or (fetches and isinstance(item, Pause)):
                return


class _Enough(Exception):
    """The look is over, and nothing was wrong."""
