"""A blob from another server: asked for with its proof, and handed on only as far as it is proven.

Invariants
 1. No byte leaves here that the root does not vouch for; the first bad group ends the download.
 2. An interrupted download leaves FILE.part with proven bytes. The next one starts at its last whole
    group, which is fetched again and compared, and hashes the whole file before it gets its name.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from content import bao, names
from content.bao.decode import Decoder
from content.bao.geometry import GROUP_BYTES, SEGMENT_BYTES, SIZE_LIMIT, segment_bytes, segment_count
from net.client import ClientLimits, fetch
from runtime.errors import Unverified
from tools.edge.address import RemoteBlob
from tools.edge.partial_file import PartialFile
from tools.edge.refusal import checked_reply
from tools.frame.output import Output

# Following a redirect is harmless where content is proven; five is what curl and browsers find enough.
_LIMITS: Final = ClientLimits(redirects=5)
Piece = tuple[int, memoryview]  # offset in the blob and proven bytes there; good until the next is asked for


@dataclass(frozen=True, slots=True)
class Fetched:
    """A finished download: the blob's size, and how much of it an earlier run had left."""

    size_bytes: int
    resumed_bytes: int


class Remote:
    """A blob on a server, with what it takes to ask for it."""

    def __init__(self, blob: RemoteBlob, token: str | None, out: Output) -> None:
        self.blob = blob
        self.size_bytes: int | None = None  # once `pieces` reached the blob's end, which proves it
        self._token = token
        self._out = out

    def pieces(self, start: int | None = None, stop: int | None = None) -> Generator[Piece, None, None]:
        """The proven bytes of [start, stop), in order; all of the blob without `start`.

        Raises Unverified at the first group that is wrong, or when the stream is short or too long,
        and what `net.client` raises when the server does not answer.
        """
        first, last = start or 0, SIZE_LIMIT if stop is None else stop
        root = self.blob.root
        decoder = Decoder.combined(root) if start is None else Decoder.slice(root, first, last - first)
        url = self.blob.proof_url(start, stop)
        try:
            with fetch(url, headers=self._headers(), limits=_LIMITS) as reply:
                checked_reply(reply, url)
                with self._out.progress("fetching", reply.content_length) as bar:
                    for data in reply.pieces():
                        bar.advance(len(data))
                        yield from _within(decoder, data, first, last)
            decoder.finish()
        except Unverified as error:
            hint = "the server sent something else than this blob; only proven bytes were kept"
            raise Unverified(error.message, where=f"{error.where} of {url}", hint=hint) from None
        self.size_bytes = decoder.size_bytes

    def _headers(self) -> list[tuple[str, str]]:
        headers = [("Accept", "application/vnd.fleek.bao"), ("Accept-Encoding", "identity")]
        return [*headers, ("Authorization", f"Bearer {self._token}")] if self._token else headers


def download(remote: Remote, part: PartialFile) -> Fetched:
    """All of the blob into `part`, taking over what an earlier run left there; publishes it.

    Raises Unverified when the server lies, and when what was left there was changed since: then the
    part is removed.
    """
    resumed_bytes = _resumed(remote, part)
    if resumed_bytes == 0:
        part.restart()
        for offset, data in remote.pieces():
            part.write(offset, data)
    assert remote.size_bytes is not None, "the end of the blob was among what was fetched"
    if resumed_bytes and _hash(part, remote.size_bytes) != remote.blob.root:
        part.discard()
        hint = "it was changed since it was written, and is removed; the same command starts afresh"
        raise Unverified("the partial file does not match the hash", where=str(part.path), hint=hint)
    part.publish(remote.size_bytes)
    return Fetched(remote.size_bytes, resumed_bytes)


def _resumed(remote: Remote, part: PartialFile) -> int:
    """Fetch what is missing behind the last whole group of `part`; 0 when that group is not the blob's."""
    start = part.resumable_bytes()
    if start == 0:
        return 0
    with closing(remote.pieces(start)) as pieces:
        for offset, data in pieces:
            known = part.read(offset, max(0, min(start + GROUP_BYTES - offset, len(data))))
            if known != data[: len(known)]:
                return 0  # of another blob, or it never reached the disk before a crash
            part.write(offset, data)
    assert remote.size_bytes is not None, "a slice to the end proves the size"
    return start if remote.size_bytes > start else 0


def _within(decoder: Decoder, data: bytes, first: int, last: int) -> Iterator[Piece]:
    """What `data` proves, cut to [first, last): proofs come in whole groups."""
    for proven in decoder.feed(data):
        begin = max(first - proven.offset_bytes, 0)
        end = min(last - proven.offset_bytes, len(proven.data))
        if begin < end:
            yield proven.offset_bytes + begin, memoryview(proven.data)[begin:end]


def _hash(part: PartialFile, size_bytes: int) -> bytes:
    """The root of the first `size_bytes` of the file, a segment at a time."""
    count = segment_count(size_bytes)
    values = []
    for index in range(count):
        data = part.read(index * SEGMENT_BYTES, segment_bytes(size_bytes, index))
        if len(data) != segment_bytes(size_bytes, index):
            return b""  # shorter than the blob: no root at all
        values.append(bao.segment(data, index, count == 1)[0])
    return values[0] if count == 1 else bao.upper(b"".join(values))[0]


def describe(remote: Remote, fetched: Fetched, target: str) -> dict[str, object]:
    """The record of a finished download."""
    root = remote.blob.root
    return {
        "path": target,
        "blake3": names.hex(root),
        "cid": names.cid(root),
        "size_bytes": fetched.size_bytes,
        "resumed_bytes": fetched.resumed_bytes,
    }
