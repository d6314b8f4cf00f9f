"""A UnixFS file or symlink as an answer, and the proofs of a file that is whole here."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from blockstore import Blob
from content.block import BlockMissing
from content.cid import Cid
from content.unixfs.file import leaves, node, size_of
from content.unixfs.message import Kind
from gateway.content_fields import blake3_fields, cache_control, content_fields, named
from gateway.content_request import ContentRequest, Reading, Target
from gateway.file_body import check_first, file_items
from gateway.media_type import SNIFF_BYTES, UNKNOWN, by_beginning, by_name
from gateway.mended import mended_proof
from gateway.proof_answer import answer_proof, parse_query
from gateway.representation import Fields, Representation, answer
from net.answer import Answer
from runtime.errors import NotAcceptable

KIND: Final = "file"
_SYMLINK_TYPE: Final = "inode/symlink"


@dataclass(frozen=True, slots=True)
class FileShown:
    """A file that stands for a path. `etag_cid`: whose CID tags it (a directory's, for its index page)."""

    cid: Cid
    name: str
    etag_cid: Cid
    status: int = 200


def file_answer(asked: ContentRequest, target: Target, reading: Reading, shown: FileShown) -> Answer:
    """The file, whole or in ranges. Raises BlockMissing when it cannot begin."""
    representation = file_representation(asked, target, reading, shown)
    if "range" not in asked.request.fields:
        check_first(shown.cid, reading, 0, representation.size_bytes)
    return answer(representation, asked.request)


def file_representation(
    asked: ContentRequest, target: Target, reading: Reading, shown: FileShown
) -> Representation:
    """Everything about a file but the conditions and ranges of one request. Raises BlockMissing."""
    cid = shown.cid
    blob = reading.file(cid)
    size = blob.size_bytes if blob is not None else size_of(cid, reading.read(cid))
    fields = content_fields(asked, target, f'"{shown.etag_cid.text()}"')
    fields.append(("Accept-Ranges", "bytes"))
    name = asked.query.get("filename") or shown.name
    kind = by_name(name) or _sniffed(asked, cid, reading, size)
    if blob is not None:
        reading.deny.check_blob(blob.root)
        fields += blake3_fields(blob.root)
    fields += _disposition(asked, shown.name)
    if not asked.site.is_isolated and kind.startswith(("text/html", "image/svg+xml", "text/xml")):
        # Under a path all sites share one origin: a page may look at nothing but itself
        fields.append(("Content-Security-Policy", "sandbox allow-scripts allow-forms allow-popups"))
    return Representation(
        etag=f'"{shown.etag_cid.text()}"',
        size_bytes=size,
        content_type=kind,
        fields=fields,
        items=lambda start, stop: file_items(cid, reading, start, stop),
        boundary=cid.text("f"),
        kind=KIND,
        account=asked.account,
        status=shown.status,
    )


def symlink_answer(asked: ContentRequest, target: Target, reading: Reading, cid: Cid) -> Answer:
    """The target of a symlink as text; it is not followed."""
    found = node(cid, reading.read(cid))
    assert found.message.kind is Kind.SYMLINK
    text = found.message.data or b""
    fields = content_fields(asked, target, f'"{cid.text()}"')
    shown = Representation(
        etag=f'"{cid.text()}"',
        size_bytes=len(text),
        content_type=_SYMLINK_TYPE,
        fields=fields,
        items=lambda start, stop: [text[start:stop]],
        boundary=cid.text("f"),
        kind=KIND,
        account=asked.account,
    )
    return answer(shown, asked.request)


def proof_of_file(asked: ContentRequest, target: Target, reading: Reading) -> Answer:
    """A BLAKE3 proof form of the file. Raises NotAcceptable where it was never whole here; BlockMissing where
    it has to be brought back first: the proof begins with what is known of all of it.
    """
    cid = target.resolved.terminal
    blob = reading.file(cid)
    if blob is None and reading.fetcher is not None and not cid.is_identity and reading.dag.was_file(cid):
        raise BlockMissing(cid, whole=True)
    if blob is None and cid.is_identity:
        raise NotAcceptable("the CID holds the bytes of this file itself: there is nothing to prove")
    if blob is None:
        raise NotAcceptable(
            "only a file that is here whole has BLAKE3 proofs",
            where=cid.text(),
            hint="add it, or import it complete; CAR and raw blocks are proofs of any DAG",
        )
    reading.deny.check_blob(blob.root)
    query = "&".join(
        part for part in asked.request.query.split("&") if part.startswith(("format=", "entity-bytes="))
    )
    wanted = parse_query(query)
    assert wanted is not None, "the form was recognised before"
    mended = mended_proof(partial(_whole, cid, reading), _again(cid, reading))
    shown = answer_proof(blob, wanted, asked.request, cache_control(target), asked.account, mended)
    shown.fields += blake3_fields(blob.root)
    return shown


def _whole(cid: Cid, reading: Reading) -> Blob:
    blob = reading.file(cid)
    if blob is None:
        raise BlockMissing(cid, whole=True)
    return blob


def _again(cid: Cid, reading: Reading) -> Callable[[], Awaitable[None]] | None:
    fetcher = reading.fetcher
    return None if fetcher is None else partial(fetcher.file, cid, reading.root)


def _sniffed(asked: ContentRequest, cid: Cid, reading: Reading, size: int) -> str:
    """The type by how the file begins; unknown where that is not here and other bytes are asked for."""
    try:
        return by_beginning(_beginning(cid, reading, size))
    except BlockMissing:
        if reading.fetcher is not None or "range" not in asked.request.fields:
            raise
        return UNKNOWN


def _beginning(cid: Cid, reading: Reading, size: int) -> bytes:
    stop = min(size, SNIFF_BYTES)
    blob = reading.file(cid)
    if blob is not None:
        return blob.read(0, stop)
    pieces = [
        reading.read(leaf.cid)[leaf.block_start : leaf.block_stop]
        for leaf in leaves(cid, reading.read, 0, stop)
    ]
    return b"".join(pieces)[:stop]


def _disposition(asked: ContentRequest, name: str) -> Fields:
    wanted = asked.query.get("filename")
    if wanted is None and asked.query.get("download") != "true":
        return []
    return [named(asked, "inline", name or asked.root_text)]
