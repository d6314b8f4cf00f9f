"""Bytes of which nobody has said how they became the content: taken as all that they may be, side by side.

They may be the file itself, whatever it looks like; a CAR or a TAR is told by how it begins.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from blockstore.adding.tar import begins_as_tar
from content.car import CarReader
from origins.failure import worse
from origins.sinks import CarSink, Sink
from origins.tar_sink import TarSink
from runtime.errors import BadRequest, EdgeError, StoreFull, TooLarge, Unverified

_TAR_BLOCK_BYTES: Final = 512
_PACKED: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")


class Guess:
    """See `origins.sinks.Sink`."""

    def __init__(
        self, plain: Sink, car: Callable[[], CarSink], tar: Callable[[], TarSink], *, packed: bool
    ) -> None:
        """`plain`: for the bytes as they are. `car`, `tar`: make what takes them as that. `packed`: a TAR may
        be compressed.
        """
        self._make_car, self._make_tar, self._packed = car, tar, packed
        self._sinks: list[Sink] = [plain]
        self._car: CarSink | None = None
        self._problem: EdgeError | None = None
        self._fitted: Sink | None = None
        self.size_bytes = 0

    @property
    def sub_path(self) -> str:
        """Where in what came the content was."""
        return self._fitted.sub_path if isinstance(self._fitted, TarSink) else ""

    def write(self, data: bytes) -> None:
        """See `Sink`."""
        if not self.size_bytes:
            self._begin(data)
        self.size_bytes += len(data)
        for sink in list(self._sinks):
            try:
                sink.write(data)
            except StoreFull:
                raise
            except EdgeError as error:
                if self._car is not None and sink is self._car and self._car.has_begun:
                    raise  # a CAR it is, and no other reading of it is of use
                self._drop(sink, error)
        if not self._sinks:
            assert self._problem is not None, "each that was dropped had one"
            raise self._problem
        if self._car is not None and self._car.has_begun:
            self._keep_only(self._car)

    def finish(self) -> str:
        """See `Sink`."""
        for sink in list(self._sinks):
            try:
                how = sink.finish()
            except StoreFull:
                raise
            except EdgeError as error:
                self._drop(sink, error)
            else:
                self._keep_only(sink)
                self._fitted = sink
                return how
        assert self._problem is not None, "each that was dropped had one"
        raise self._problem

    def abort(self) -> None:
        """See `Sink`."""
        for sink in self._sinks:
            sink.abort()
        self._sinks = []

    def _begin(self, first: bytes) -> None:
        if _begins_as_car(first):
            self._car = self._make_car()
            self._sinks.insert(0, self._car)
        elif (self._packed and first.startswith(_PACKED)) or (
            len(first) >= _TAR_BLOCK_BYTES and begins_as_tar(first)
        ):
            self._sinks.append(self._make_tar())

    def _drop(self, sink: Sink, error: EdgeError) -> None:
        sink.abort()
        self._sinks.remove(sink)
        self._problem = error if self._problem is None else worse(self._problem, error)

    def _keep_only(self, kept: Sink) -> None:
        for sink in self._sinks:
            if sink is not kept:
                sink.abort()
        self._sinks = [kept]


def _begins_as_car(first: bytes) -> bool:
    reader = CarReader()
    with suppress(BadRequest, TooLarge, Unverified):
        for _ in reader.feed(first):
            break
    return reader.roots is not None
