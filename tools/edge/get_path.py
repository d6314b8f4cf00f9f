"""Files and directories by content path, out of the store or from a trustless gateway: half of `get`.

The same walk writes both; only where its blocks come from differs.
"""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from content import ipns
from content.cid import Cid
from content.path import resolve
from content.ranges import parse_entity_bytes
from content.unixfs import directory
from content.unixfs.file import node, size_of
from content.unixfs.message import Kind
from net.client import ClientLimits, fetch
from runtime.clock import SystemClock
from runtime.errors import BadRequest, TooLarge, Unreachable, UsageError
from tools.edge.address import RemotePath
from tools.edge.delivery import keep, show, tell_replaced
from tools.edge.invocation import Invocation
from tools.edge.local_blocks import LocalBlocks
from tools.edge.named import ContentPath, content_path
from tools.edge.naming import resolved
from tools.edge.partial_file import PartialFile, output_at
from tools.edge.proven import proven_bytes
from tools.edge.refusal import checked_reply
from tools.edge.remote_blocks import RemoteBlocks
from tools.edge.tree import Blocks, write_tree
from tools.edge.tree_archive import ArchiveWriter
from tools.edge.tree_folder import FolderWriter, is_left
from tools.edge.tree_resume import TreeResumed
from tools.frame.output import Progress, Unseen, human_size

# As kubo and `gateway.mutable` have it: longer chains mean a loop
_HOPS_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to become of it."""

    target: Path | None
    span: str | None
    archive: bool
    to_terminal: bool
    to_stdout: bool


def get_local(invocation: Invocation, path: ContentPath, wanted: Wanted) -> None:
    """A path out of the store. Raises BlockMissing where a block is not here."""
    with invocation.store() as store, invocation.out.progress("writing", None) as bar:
        _deliver(invocation, LocalBlocks(store), resolved(invocation, store, path), path.name, wanted, bar)


def get_remote(invocation: Invocation, remote: RemotePath, token: str | None, wanted: Wanted) -> None:
    """A path from a gateway, every block checked. Raises Unverified at the first that is wrong."""
    followed = _followed(remote)
    root, segments = Cid.parse(followed.path.root), followed.path.segments
    target = wanted.target if wanted.span is None and not wanted.archive else None
    with (
        invocation.out.progress("fetching", None) as bar,
        RemoteBlocks(followed, token, bar) as blocks,
    ):
        if target is not None and _has_part(target):
            cid = _end(root, segments, blocks)
            if _kind(cid, blocks) is Kind.FILE:
                _resume(invocation, blocks, cid, target, lambda: _end(root, segments, blocks))
                return
        folder = _folder_left(remote.path.name, wanted)
        if folder is not None:
            cid = _end(root, segments, blocks)
            if directory.is_directory(_kind(cid, blocks)):
                _folder(invocation, blocks, cid, folder, Unseen())
                return
        blocks.open(_checked_span(wanted.span))
        cid = _end(root, segments, blocks)
        _deliver(invocation, blocks, cid, remote.path.name, wanted, Unseen())


def _deliver(
    invocation: Invocation, blocks: Blocks, cid: Cid, name: str, wanted: Wanted, bar: Progress
) -> None:
    kind = _kind(cid, blocks)
    if wanted.archive:
        _archive(cid, name, blocks, wanted)
    elif kind is Kind.FILE:
        _file(invocation, blocks, cid, wanted, bar)
    elif kind is Kind.SYMLINK:
        target = (node(cid, blocks.read(cid)).message.data or b"").decode("utf-8", "replace")
        raise UsageError("a symlink by itself is not fetched", where=f"it points at {target[:160]}")
    elif wanted.span is not None or wanted.to_stdout:
        hint = "-o DIR writes it, --archive makes a TAR of it"
        raise UsageError("it is a directory", where=name, hint=hint)
    else:
        _folder(invocation, blocks, cid, wanted.target or _here(name), bar)


def _file(invocation: Invocation, blocks: Blocks, cid: Cid, wanted: Wanted, bar: Progress) -> None:
    block = blocks.read(cid)
    size = size_of(cid, block)
    start, stop = (0, size) if wanted.span is None else parse_entity_bytes(wanted.span, size)
    pieces = blocks.pieces(cid, block, start, stop)
    if wanted.target is None:
        show(pieces, to_terminal=wanted.to_terminal)
        return
    tell_replaced(invocation.out, wanted.target)
    with output_at(wanted.target) as part:
        if isinstance(blocks, RemoteBlocks) and wanted.span is None:
            part.restart()
            _append(blocks, cid, block, 0, part)
            part.publish(size)
            written = size
        else:
            written = keep(_watched(pieces, bar), part)
    _tell_file(invocation, cid, wanted.target, written, 0)


def _folder(invocation: Invocation, blocks: Blocks, cid: Cid, target: Path, bar: Progress) -> None:
    resumed_bytes = 0
    remote = isinstance(blocks, RemoteBlocks)
    with FolderWriter(target, bar.advance, invocation.out.warn, keeps=remote) as writer:
        if isinstance(blocks, RemoteBlocks) and writer.takes_over:
            rest = TreeResumed(blocks, writer)
            rest.finish(cid, target.name)
            walked, resumed_bytes = rest.walked, rest.resumed_bytes
        else:
            walked = write_tree(cid, target.name, blocks, writer)
    record = {
        "path": str(target),
        "cid": cid.text(),
        "size_bytes": walked.size_bytes,
        "resumed_bytes": resumed_bytes,
        "files": walked.files,
        "folders": walked.folders,
        "symlinks": walked.symlinks,
    }
    invocation.out.record(record, f"{cid}  {target}")
    invocation.out.note(
        f"{walked.files} files, {walked.folders} folders, {walked.symlinks} symlinks, "
        f"{human_size(walked.size_bytes)}"
    )


def _folder_left(name: str, wanted: Wanted) -> Path | None:
    """Where a directory would go, when an earlier run left some of it there."""
    if wanted.archive or wanted.to_stdout or wanted.span is not None:
        return None
    try:
        target = wanted.target or _here(name)
    except UsageError:
        return None
    return target if is_left(target) else None


def _archive(cid: Cid, name: str, blocks: Blocks, wanted: Wanted) -> None:
    if sys.stdout.isatty() and not wanted.to_terminal:
        raise UsageError("a TAR is binary data", where="stdout", hint="pipe it into `tar x`, or use --force")
    writer = ArchiveWriter(sys.stdout.buffer)
    write_tree(cid, name, blocks, writer)
    writer.finish()
    sys.stdout.buffer.flush()


def _resume(
    invocation: Invocation, blocks: RemoteBlocks, cid: Cid, target: Path, again: Callable[[], Cid]
) -> None:
    """Go on with FILE.part behind the leaves in it that are the file's; `again` walks the path once more."""
    tell_replaced(invocation.out, target)
    block = blocks.read(cid)
    size = size_of(cid, block)
    with output_at(target) as part:
        start = proven_bytes(cid, block, blocks, part)
        if start < size or part.written_bytes > size:
            part.cut(start)
        if start < size:
            blocks.open(f"{start}:*")
            again()
            _append(blocks, cid, block, start, part)
        part.publish(size)
    _tell_file(invocation, cid, target, size, start)


def _append(blocks: Blocks, cid: Cid, block: bytes, start: int, part: PartialFile) -> None:
    at = start
    for data in blocks.pieces(cid, block, start):
        part.write(at, data)
        at += len(data)


def _followed(remote: RemotePath) -> RemotePath:
    """The address as one of immutable content; the records of names are verified on the way."""
    for _ in range(_HOPS_MAX):
        path = remote.path
        if path.namespace == "ipfs":
            return remote
        try:
            name = ipns.parse_name(path.root)
        except BadRequest:
            hint = f"`fleek-edge name resolve {path.root[:80]}` asks the DNS; get what it says"
            raise UsageError("the word of a domain cannot be verified", where=str(path), hint=hint) from None
        record = ipns.verified(name, _record(remote), SystemClock().now_s())
        pointed = content_path(record.value)
        following = ContentPath(pointed.namespace, pointed.root, (*pointed.segments, *path.segments))
        remote = RemotePath(remote.base, following, remote.by_subdomain)
    raise Unreachable(f"names lead on for more than {_HOPS_MAX} steps", where=str(remote.path))


def _record(remote: RemotePath) -> bytes:
    url = remote.record_url()
    headers = [("Accept", "application/vnd.ipfs.ipns-record")]
    with fetch(url, headers=headers, limits=ClientLimits(redirects=5)) as reply:
        checked_reply(reply, url)
        raw = b""
        for piece in reply.pieces():
            raw += piece
            if len(raw) > ipns.MAX_RECORD_BYTES:
                raise TooLarge(f"a record has at most {ipns.MAX_RECORD_BYTES} bytes", where=url)
    return raw


def _end(root: Cid, segments: tuple[str, ...], blocks: Blocks) -> Cid:
    found = resolve(root, segments, blocks.read)
    if found.remainder:
        raise BadRequest("the path ends inside a block", where="/".join((root.text(), *segments))[:200])
    return found.terminal


def _kind(cid: Cid, blocks: Blocks) -> Kind:
    """FILE, DIRECTORY, HAMT_SHARD or SYMLINK. Raises BadRequest for what is no UnixFS."""
    kind = directory.kind_of(cid, blocks.read(cid))
    return Kind.FILE if kind is Kind.RAW else kind


def _checked_span(span: str | None) -> str | None:
    if span is not None:
        parse_entity_bytes(span, 1 << 62)
    return span


def _here(name: str) -> Path:
    """Where a directory goes that was not told where. Raises UsageError for a name that is none."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise UsageError("this is not a name for a folder", where=name[:80], hint="name one with -o DIR")
    return Path(name)


def _has_part(target: Path) -> bool:
    try:
        part = os.stat(target.with_name(f"{target.name}.part"))
    except (OSError, ValueError):  # not there, or no name that a file can have: whoever writes it says so
        return False
    return stat.S_ISREG(part.st_mode) and part.st_size > 0


def _watched(pieces: Iterator[bytes], bar: Progress) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        bar.advance(len(piece))


def _tell_file(invocation: Invocation, cid: Cid, target: Path, size_bytes: int, resumed_bytes: int) -> None:
    record = {
        "path": str(target),
        "cid": cid.text(),
        "size_bytes": size_bytes,
        "resumed_bytes": resumed_bytes,
    }
    invocation.out.record(record, f"{cid}  {target}")
