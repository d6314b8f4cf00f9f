"""A trustless gateway made for tests: holds blocks, answers as told, and counts what it sends."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from content import car
from content.block import Block, BlockMissing
from content.cid import Cid
from content.links import links_through
from content.unixfs import directory
from content.unixfs.build_file import FileBuilder, LeafMade
from content.unixfs.file import blocks, is_file, node
from content.unixfs.profile import UNIXFS_V1_2025, Profile

CAR_TYPE = "application/vnd.ipld.car; version=1; order=dfs; dups=n"
RAW_TYPE = "application/vnd.ipld.raw"


def file_blocks(data: bytes, profile: Profile = UNIXFS_V1_2025) -> tuple[Cid, dict[bytes, Block]]:
    """A UnixFS file: its root, and its blocks by multihash."""
    builder = FileBuilder(profile)
    made = builder.write(data)
    rest, whole = builder.finish()
    found = {}
    for each in [*made, *rest]:
        block = each
        if isinstance(each, LeafMade):
            block = Block.verified(
                each.cid, each.prefix + data[each.offset : each.offset + each.length] + each.suffix
            )
        assert isinstance(block, Block)
        found[block.cid.multihash] = block
    return whole.cid, found


@dataclass(frozen=True)
class Asked:
    """One request as a source saw it."""

    cid: Cid
    query: dict[str, str]
    connection: int

    @property
    def is_car(self) -> bool:
        return self.query.get("format") == "car"


@dataclass
class Response:
    """One answer; `length` None sends what a server that cannot count would: until the connection closes."""

    status: int = 200
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = -1  # -1: that of the body
    cut_at: int | None = None
    stall_at: int | None = None  # goes on when `Source.go_on` is set
    drip_bytes: int = 65536


Behave = Callable[["Source", Asked], Awaitable[Response] | Response]


class Source:
    """The server."""

    def __init__(self, held: dict[bytes, Block], behave: Behave | None = None) -> None:
        self.held, self.behave = held, behave or Source.honest
        self.asked: list[Asked] = []
        self.connections = 0
        self.sent_bytes = self.most_open = 0
        self.go_on = asyncio.Event()
        self.url = ""
        self.loop: asyncio.AbstractEventLoop | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    def release(self) -> None:
        """Let answers that stall go on; from another thread."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.go_on.set)

    def hang_up(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.close()

    # Answers

    def honest(self, asked: Asked) -> Response:
        """What the specification says."""
        try:
            body = self.car(asked) if asked.is_car else self.held[asked.cid.multihash].data
        except (KeyError, BlockMissing):
            return Response(404, body=b"not here")
        return Response(fields={"Content-Type": CAR_TYPE if asked.is_car else RAW_TYPE}, body=body)

    def read(self, cid: Cid) -> bytes:
        """A block that is held."""
        if cid.multihash not in self.held:
            raise BlockMissing(cid)
        return self.held[cid.multihash].data

    def car_blocks(self, asked: Asked) -> list[Block]:
        """The blocks of the CAR that is asked for."""
        start, stop = 0, None
        if "entity-bytes" in asked.query:
            first, _, last = asked.query["entity-bytes"].partition(":")
            start, stop = int(first), None if last == "*" else int(last) + 1
        block = self.held[asked.cid.multihash]
        if asked.query.get("dag-scope") == "all":
            return self.whole(asked.cid)
        if asked.cid.codec == 0x70 and is_file(node(asked.cid, block.data).message):
            cids = list(blocks(asked.cid, self.read, start, stop))
        elif asked.cid.codec == 0x70:
            cids = [asked.cid, *directory.shards(asked.cid, block.data, self.read)]
        else:
            cids = [asked.cid]
        return [Block(cid, self.read(cid)) for cid in cids]

    def whole(self, root: Cid) -> list[Block]:
        """The blocks of the DAG that are held, depth first; what is below one that lacks is left out."""
        found: dict[bytes, Block] = {}
        waiting = [root]
        while waiting:
            cid = waiting.pop()
            block = self.held.get(cid.multihash)
            if block is not None and cid.multihash not in found:
                found[cid.multihash] = Block(cid, block.data)
                waiting += reversed(links_through(cid, block.data))
        return list(found.values())

    def car(self, asked: Asked) -> bytes:
        """That CAR."""
        return car_of((asked.cid,), self.car_blocks(asked))

    # Serving

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._writers.add(writer)
        self.most_open = max(self.most_open, len(self._writers))
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                target = head.split(b" ", 2)[1].decode()
                parts = urlsplit(target)
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                asked = Asked(Cid.parse(parts.path.rpartition("/")[2]), query, number)
                self.asked.append(asked)
                response = self.behave(self, asked)
                if not isinstance(response, Response):
                    response = await response
                if not await self._send(writer, response) or b"connection: close" in head.lower():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, response: Response) -> bool:
        length = len(response.body) if response.length == -1 else response.length
        lines = [
            f"HTTP/1.1 {response.status} X",
            *(f"{name}: {text}" for name, text in response.fields.items()),
        ]
        lines.append("Connection: close" if length is None else f"Content-Length: {length}")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        at = 0
        end = len(response.body) if response.cut_at is None else response.cut_at
        while at < end:
            stop = min(end, at + response.drip_bytes)
            if response.stall_at is not None and at <= response.stall_at < stop:
                stop = max(response.stall_at, at)
                writer.write(response.body[at:stop])
                await writer.drain()
                self.sent_bytes += stop - at
                at = stop
                await self.go_on.wait()
                response.stall_at = None
                continue
            writer.write(response.body[at:stop])
            self.sent_bytes += stop - at
            at = stop
            await writer.drain()
        if end < len(response.body):
            writer.transport.close()
            return False
        return length is not None


def car_of(roots: tuple[Cid, ...], found: list[Block]) -> bytes:
    """A CAR of these blocks in this order."""
    return car.header(roots) + b"".join(car.frame(each.cid, len(each.data)) + each.data for each in found)


@asynccontextmanager
async def serving(source: Source, host: str = "127.0.0.1") -> AsyncIterator[Source]:
    """The source, listening on a free port."""
    server = await asyncio.start_server(source._serve, host, 0, limit=1 << 20)
    source.url = f"http://{host}:{server.sockets[0].getsockname()[1]}"
    try:
        yield source
    finally:
        source.go_on.set()
        server.close()
        source.hang_up()
        await asyncio.sleep(0)


@contextmanager
def in_a_thread(source: Source) -> Iterator[Source]:
    """The source on a loop of its own, for nodes that run as programs."""
    ready, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with serving(source):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    source.loop = loops[0]
    try:
        yield source
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()
