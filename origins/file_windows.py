"""Bytes of a file that is not here: fetched in windows, a few ahead of who reads.

Theory of operation. A file is a row of windows of 8 MiB. A reader at some byte has the window it stands in
fetched, and the next two if it reads on into them. Each window is one fetch over all workers and is asked of
one source as the CAR of just those bytes (`entity-bytes`), or block by block where a source gives no CARs.
So several windows come from several sources at once; a source that breaks off is followed by the next, which
is asked only for what has not arrived; a range costs the parts of windows that lie in it; and where the
reader leaves, nothing is asked for beyond the windows under way.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from blockstore.dag import Dag
from blockstore.importing import flatten, flatten_woken
from content.block import MAX_BLOCK_BYTES, BlockMissing
from content.cid import DAG_PB, Cid
from content.unixfs.file import MAX_FILE_BYTES, blocks, leaves, size_of
from origins.arrivals import Arrivals
from origins.fills import OneFetch
from origins.looking import Looking
from origins.sources import Sources
from origins.steps import step
from origins.trustless import Gain, NoCars, Trustless
from runtime.errors import EdgeError, NotFound, TooManyRequests, Unreachable

log = logging.getLogger("fleek.origins")

WINDOW_BYTES: Final = 8 << 20
# One being sent to the reader, two on their way: 24 MiB a reader, on the disk and not in memory
_AHEAD: Final = 2
# What a CAR of a window may hold besides its bytes: inner nodes, and the whole of the leaves at both ends
_CAR_OVERHEAD_BYTES: Final = 4 * MAX_BLOCK_BYTES
# Blocks of a window asked of one source at once when it gives no CARs: 12 connections for a reader
_AT_ONCE: Final = 4
# Blocks that another worker brings are looked for this often
_LOOK_S: Final = 0.05


class FileWindows:
    """Fetches of parts of files."""

    def __init__(
        self,
        dag: Dag,
        once: OneFetch,
        trustless: Trustless,
        sources: Sources,
        looking: Looking,
        arrivals: Arrivals,
    ) -> None:
        self._dag, self._once, self._trustless, self._sources = dag, once, trustless, sources
        self._looking, self._arrivals = looking, arrivals
        self._joining: set[asyncio.Task[None]] = set()
        self._is_closing = False

    async def span(self, cid: Cid, start: int, stop: int, also: Sequence[str] = ()) -> None:
        """Return when what is needed for byte `start` of the file is here; up to `stop` it will be wanted.

        `also`: sources that are said to have it.

        Raises NotFound, Unreachable, SourceTimeout, TooManyRequests; Unverified for a DAG that lies.
        """
        while (missing := first_missing(self._dag, cid, start, start + 1)) is not None:
            await self._settled(missing[0])
            task = self._window(cid, start, stop, also)
            self._look_ahead(cid, start, stop, also)
            await self._arrivals.wait(missing[0].multihash, task, _LOOK_S)
            if task.done() and not self._dag.has(missing[0]):
                task.result()

    async def _settled(self, missing: Cid) -> None:
        """Have damage that was just found on record: what comes is not stored while it seems to be here."""
        if self._dag.is_known(missing):
            await step(self._dag.settle)

    def enters_window(self, start: int, end: int) -> bool:
        """Whether who takes bytes [start, end) comes to another window."""
        return start // WINDOW_BYTES != end // WINDOW_BYTES

    def passed(self, cid: Cid, start: int, end: int, stop: int, also: Sequence[str] = ()) -> None:
        """A reader on its way to `stop` takes bytes [start, end): fetch on ahead where a window begins."""
        if self.enters_window(start, end):
            self._look_ahead(cid, end, stop, also)

    async def close(self) -> None:
        """Stop what is under way here; fetches are `OneFetch`'s. What a thread does is waited for."""
        self._is_closing = True
        for task in self._joining:
            task.cancel()
        await asyncio.gather(*self._joining, return_exceptions=True)

    def _look_ahead(self, cid: Cid, start: int, stop: int, also: Sequence[str]) -> None:
        for ahead in range(1, _AHEAD + 1):
            at = (start // WINDOW_BYTES + ahead) * WINDOW_BYTES
            if at < stop and first_missing(self._dag, cid, at, at + 1) is not None:
                with contextlib.suppress(TooManyRequests):  # a wish: what is being read is not broken off
                    self._window(cid, at, stop, also)

    def _window(self, cid: Cid, start: int, stop: int, also: Sequence[str]) -> "asyncio.Task[None]":
        """The fetch of the window at `start`, from there to its end or to `stop`."""
        number = start // WINDOW_BYTES
        end = min(stop, (number + 1) * WINDOW_BYTES)
        return self._once.start(
            _window_name(cid, number),
            lambda: first_missing(self._dag, cid, start, end) is None,
            lambda: self._fetch(cid, start, end, also),
        )

    async def _fetch(self, cid: Cid, start: int, stop: int, also: Sequence[str]) -> None:
        async def attempt(source: str, gain: Gain) -> None:
            while (missing := first_missing(self._dag, cid, start, stop)) is not None:
                await self._settled(missing[0])
                await self._from(source, cid, (missing[1], stop), gain)
                if first_missing(self._dag, cid, start, stop) == missing:
                    self._sources.failed(source)
                    raise Unreachable("its CAR does not hold what it is of", where=source)

        name = b" ".join((_window_name(cid, start // WINDOW_BYTES), *map(str.encode, also)))
        await self._looking.look(name, cid, attempt, also=also)
        if self._is_closing:
            return
        task = asyncio.create_task(self._join(cid, stop))
        self._joining.add(task)
        task.add_done_callback(self._joined)

    async def _join(self, cid: Cid, stop: int) -> None:
        """Make one blob of a file whose last window has come, and of files that lacked what has come."""
        await step(flatten_woken, self._dag)
        if stop < size_of(cid, self._dag.read(cid)):
            return
        number = (stop - 1) // WINDOW_BYTES
        names = (_window_name(cid, each) for each in range(max(0, number - _AHEAD), number + 1))
        running = [task for task in map(self._once.running, names) if task is not None]
        if running:
            await asyncio.wait(running)

        def join() -> None:
            if first_missing(self._dag, cid, 0, stop) is None:  # copies nothing for a file with holes
                flatten(self._dag, cid)

        await self._once_whole(cid, join)

    async def whole(self, cid: Cid) -> None:
        """Make one blob of a file whose blocks are all here.

        Raises BlockMissing where one is damaged, NotFound where the file stays blocks.
        """

        def join() -> None:
            flatten(self._dag, cid)

        await asyncio.shield(self._once_whole(cid, join))
        if self._dag.whole_file(cid) is None:
            await step(self._dag.settle)
            lacking = first_missing(self._dag, cid, 0, MAX_FILE_BYTES)
            if lacking is not None:
                raise BlockMissing(lacking[0])
            raise NotFound("the file is kept in blocks, not as one blob", where=cid.text())

    def _once_whole(self, cid: Cid, join: Callable[[], None]) -> "asyncio.Task[None]":
        return self._once.start(
            cid.multihash + b" whole",
            lambda: self._dag.whole_file(cid) is not None,
            lambda: step(join),
        )

    def _joined(self, task: "asyncio.Task[None]") -> None:
        self._joining.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("a file that was fetched stays in blocks: %s", task.exception())

    async def _from(self, source: str, cid: Cid, span: tuple[int, int], gain: Gain) -> None:
        start, stop = span
        if self._sources.scores.gives_cars(source):
            query = f"&entity-bytes={start}:{stop - 1}"
            try:
                await self._trustless.car(source, cid, query, stop - start + _CAR_OVERHEAD_BYTES, gain)
                return
            except NoCars:
                self._sources.scores.gives_no_cars(source)
        while wanted := list(_missing(self._dag, cid, start, stop)):
            try:
                async with asyncio.TaskGroup() as group:
                    for each in wanted:
                        group.create_task(self._trustless.block(source, each, gain))
            except ExceptionGroup as several:
                raise next(
                    (each for each in several.exceptions if isinstance(each, EdgeError)), several
                ) from None


def rejoin(dag: Dag, blob: bytes) -> None:
    """Make a file whole again whose blob is damaged and whose blocks are all here. Blocking."""
    for name in dag.whole_names(blob):
        cid = Cid.v1(DAG_PB, name)
        try:
            if (
                dag.whole_file(cid) is None
                and first_missing(dag, cid, 0, size_of(cid, dag.read(cid))) is None
            ):
                flatten(dag, cid)
        except EdgeError as error:
            log.info("a file stays in blocks: %s (%s)", error.message, error.where)


def _window_name(cid: Cid, number: int) -> bytes:
    return cid.multihash + b" window " + str(number).encode()


def first_missing(dag: Dag, cid: Cid, start: int, stop: int) -> tuple[Cid, int] | None:
    """The first block that bytes [start, stop) of a file lack, and the byte from which it is needed.

    Raises Unverified where the DAG lies, BadRequest where it is no file.
    """
    at = start
    try:
        for leaf in leaves(cid, dag.read_sound, start, stop):
            if not dag.has(leaf.cid):
                return leaf.cid, max(at, leaf.file_offset)
            at = leaf.file_offset + leaf.block_stop - leaf.block_start
    except BlockMissing as missing:
        return missing.cid, at
    return None


def _missing(dag: Dag, cid: Cid, start: int, stop: int) -> Iterator[Cid]:
    """Blocks that bytes [start, stop) lack, as far as can be known now; each once, `_AT_ONCE` at most."""
    seen: set[bytes] = set()
    try:
        for each in blocks(cid, dag.read_sound, start, stop):
            if each.multihash not in seen and not dag.has(each):
                seen.add(each.multihash)
                yield each
                if len(seen) == _AT_ONCE:
                    return
    except BlockMissing:
        return
