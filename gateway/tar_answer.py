"""A UnixFS tree as a TAR, streamed (path gateway specification; POSIX.1-2001 pax interchange format).

Names that would leave the folder the archive is unpacked in are refused before the first byte of them.
Long names, sizes above 8 GiB and names that are no ASCII come as pax records.
"""

import tarfile
from collections.abc import Iterator
from typing import Final

from content.block import BlockMissing
from content.cid import DAG_PB, RAW, Cid
from content.unixfs import directory
from content.unixfs.file import node, size_of
from content.unixfs.message import Kind, Message
from gateway.conditional import Verdict, evaluate_read
from gateway.content_fields import content_fields, located, named
from gateway.content_request import ContentRequest, Reading, Target
from gateway.file_body import file_items, pause_for
from gateway.representation import bodiless
from net.answer import Answer, Pause, Piece
from runtime.errors import BadRequest, Unverified

KIND: Final = "tar"
MEDIA_TYPE: Final = "application/x-tar"
# A path below the root: deeper trees than this cannot be unpacked on most systems (PATH_MAX is 4096)
_PATH_BYTES_MAX: Final = 4096
_DEPTH_MAX: Final = 400  # a frame of the stack a level
_BLOCK: Final = 512
_RECORD: Final = 20 * _BLOCK


def tar_answer(asked: ContentRequest, target: Target, reading: Reading) -> Answer:
    """The tree a path ends in. Raises BlockMissing where it cannot begin."""
    cid = target.resolved.terminal
    etag = f'W/"{cid.text()}.x-tar"'
    fields = content_fields(asked, target, etag)
    fields += [
        ("Content-Type", MEDIA_TYPE),
        named(asked, "attachment", f"{cid.text()}.tar"),
        ("X-Content-Type-Options", "nosniff"),
        ("Accept-Ranges", "none"),
        *located(asked),
    ]
    verdict = evaluate_read(etag, asked.request)
    if verdict is not Verdict.PERFORM:
        return bodiless(verdict, fields, asked.account)
    if cid.codec not in (DAG_PB, RAW):
        raise BadRequest("only files and directories come as a TAR", where=cid.text())
    try:
        kind = directory.kind_of(cid, reading.read(cid))
    except BadRequest as error:
        raise BadRequest("only files and directories come as a TAR", where=cid.text()) from error
    if directory.is_directory(kind):
        reading.deny.check_below(target.root, "/".join(target.segments))
        reading.deny.check_below(cid)
        _checked_entries(cid, cid.text(), reading)  # a bad name at the top is an error, not a broken body
    return Answer(200, fields, _items(cid, reading), kind=KIND, account=asked.account)


def _items(cid: Cid, reading: Reading) -> Iterator[bytes | Piece | Pause]:
    sent = 0
    for item in _tree(cid, cid.text(), reading, 0):
        if not isinstance(item, Pause):
            sent += len(item) if isinstance(item, bytes) else item.size_bytes
        yield item
    end = 2 * _BLOCK
    yield bytes(end + -(sent + end) % _RECORD)


def _tree(cid: Cid, path: str, reading: Reading, depth: int) -> Iterator[bytes | Piece | Pause]:
    if depth > _DEPTH_MAX or len(path.encode("utf-8", "surrogateescape")) > _PATH_BYTES_MAX:
        raise Unverified("a path in the tree is too long to be unpacked", where=path[:80])
    opened = None
    while opened is None:
        try:
            opened = _opened(cid, path, reading)
        except BlockMissing as missing:
            yield pause_for(missing, reading)
    block, kind, entries = opened
    message = node(cid, block).message if kind is not Kind.FILE or cid.codec == DAG_PB else None
    if directory.is_directory(kind):
        yield _head(path + "/", tarfile.DIRTYPE, 0, message)
        for name, child in entries:
            yield from _tree(child, name, reading, depth + 1)
    elif kind is Kind.SYMLINK:
        assert message is not None
        yield _head(
            path, tarfile.SYMTYPE, 0, message, (message.data or b"").decode("utf-8", "surrogateescape")
        )
    else:
        size = size_of(cid, block)
        yield _head(path, tarfile.REGTYPE, size, message)
        yield from file_items(cid, reading, 0, size)
        if size % _BLOCK:
            yield bytes(-size % _BLOCK)


def _opened(cid: Cid, path: str, reading: Reading) -> tuple[bytes, Kind, list[tuple[str, Cid]]]:
    """A node of the tree with its entries, if it is a directory. Raises BlockMissing, Unverified."""
    reading.deny.check(cid)
    reading.deny.check_below(cid)
    block = reading.read(cid)
    kind = directory.kind_of(cid, block)
    return block, kind, _checked_entries(cid, path, reading) if directory.is_directory(kind) else []


def _checked_entries(cid: Cid, path: str, reading: Reading) -> list[tuple[str, Cid]]:
    """Paths in the archive and CIDs of a directory's entries. Raises Unverified for a way out of it."""
    found: dict[str, Cid] = {}
    for entry in directory.entries(cid, reading.read(cid), reading.read):
        name = entry.name or ""
        clean = _inside(path, name)
        if not clean or "\0" in name:
            raise Unverified(
                "relative UnixFS paths outside the root are not allowed in a TAR",
                where=f"{cid.text()}/{name[:80]}",
                hint="fetch it as a CAR instead",
            )
        if clean in found:
            raise Unverified("two entries of a directory have one name", where=f"{cid.text()}/{name[:80]}")
        found[clean] = entry.cid
    return list(found.items())


def _inside(path: str, name: str) -> str:
    """What an entry's name means below `path`; "" where that is outside the archive's first folder."""
    kept = path.split("/")
    for part in name.split("/"):
        if part == "..":
            kept.pop()
        elif part not in ("", "."):
            kept.append(part)
        if not kept:
            return ""
    inside = len(kept) > 1 and not name.startswith("/") and kept != path.split("/")
    return "/".join(kept) if inside else ""


def _head(path: str, kind: bytes, size: int, message: Message | None, link: str = "") -> bytes:
    info = tarfile.TarInfo(path)
    info.type, info.size, info.linkname = kind, size, link
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o777 if kind == tarfile.SYMTYPE else 0o644
    if message is not None:
        if message.mode is not None:
            info.mode = message.mode & 0o7777
        if message.mtime is not None:
            info.mtime = max(0, message.mtime.seconds)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
