"""A CAR of a path and the DAG behind it (trustless gateway specification, CARv1 specification).

Blocks in depth-first order, the path's first, each once (or with `dups=y` whenever it is met). A block that
lies in a blob is lent from there. What turns out to be missing is waited for, or breaks the body off: a CAR
that ends cleanly is whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from xxhash import xxh3_64_hexdigest

from content import car
from content import cid as codecs
from content.block import BlockMissing
from content.cid import Cid
from content.dag_walk import walk
from content.ranges import MAX_DIGITS, parse_entity_bytes
from content.unixfs import directory
from content.unixfs.file import blocks, is_file, node, size_of
from gateway.conditional import Verdict, evaluate_read
from gateway.content_fields import content_fields, located, named
from gateway.content_request import ContentRequest, Reading, Target
from gateway.file_body import pause_for
from gateway.mended import block_span
from gateway.representation import bodiless
from net.answer import Answer, Pause, Piece
from runtime.errors import BadRequest, EdgeError, NotAcceptable

KIND: Final = "car"
SCOPES: Final = ("block", "entity", "all")
_ORDERS: Final = ("dfs", "unk")
_RANGE_MAX: Final = 2 * MAX_DIGITS + 3


@dataclass(frozen=True, slots=True)
class CarForm:
    """Which CAR is asked for."""

    scope: str
    entity_bytes: str
    dups: bool


def car_answer(asked: ContentRequest, target: Target, reading: Reading) -> Answer:
    """The CAR. Raises BlockMissing where it cannot begin, BadRequest, NotAcceptable for unknown forms."""
    form = _form(asked)
    dups = "y" if form.dups else "n"
    cid = target.resolved.terminal
    key = f"{form.scope}|{form.entity_bytes}|{form.dups}|{asked.ipfs_path}"
    etag = f'W/"{cid.text()}.car.{xxh3_64_hexdigest(key.encode())}"'
    fields = content_fields(asked, target, etag)
    fields += [
        ("Content-Type", f"application/vnd.ipld.car; version=1; order=dfs; dups={dups}"),
        named(asked, "attachment", f"{cid.text()}.car"),
        ("X-Content-Type-Options", "nosniff"),
        ("Accept-Ranges", "none"),
        *located(asked, f"&car-version=1&car-order=dfs&car-dups={dups}"),
    ]
    verdict = evaluate_read(etag, asked.request)
    if verdict is not Verdict.PERFORM:
        return bodiless(verdict, fields, asked.account)
    span = _span(cid, reading.read(cid), form)
    if form.scope == "all":
        reading.deny.check_below(target.root, "/".join(target.segments))
    wanted = _wanted(target, reading, form, span)
    body = _items(cid, wanted, reading, form)
    return Answer(200, fields, body, kind=KIND, account=asked.account)


def _form(asked: ContentRequest) -> CarForm:
    query = asked.query
    scope = query.get("dag-scope", "all")
    if scope not in SCOPES:
        raise BadRequest("there is no such dag-scope", where=scope[:32], hint=f"one of {', '.join(SCOPES)}")
    dups = _acceptable(query, asked.asked.parameters or ({},))
    entity_bytes = query.get("entity-bytes", "")
    if len(entity_bytes) > _RANGE_MAX:
        raise BadRequest("entity-bytes is too long", where=entity_bytes[:40])
    return CarForm("entity" if entity_bytes else scope, entity_bytes, dups == "y")


def _acceptable(query: dict[str, str], wanted: tuple[dict[str, str], ...]) -> str:
    """`dups` of the first wanted form that is written here; what the query says counts more.

    Raises NotAcceptable, BadRequest for the first one where none is.
    """
    problem: EdgeError | None = None
    for each in wanted:
        version = query.get("car-version") or each.get("version", "1")
        order = query.get("car-order") or each.get("order", "dfs")
        dups = query.get("car-dups") or each.get("dups", "n")
        if version != "1":
            found: EdgeError = NotAcceptable(f"CAR version {version[:16]} is not written here", hint="1 is")
        elif order not in _ORDERS:
            found = NotAcceptable(f"CARs are not written in order {order[:16]}", hint="dfs is the order here")
        elif dups not in ("y", "n"):
            found = BadRequest("dups is y or n", where=f"dups={dups[:16]}")
        else:
            return dups
        problem = problem or found
    assert problem is not None, "there is at least one"
    raise problem


def _span(cid: Cid, block: bytes, form: CarForm) -> tuple[int, int | None]:
    """Which bytes of a file are wanted. Raises BadRequest where entity-bytes is malformed."""
    if not form.entity_bytes:
        return 0, None
    try:
        size = size_of(cid, block)
    except BadRequest:
        size = 0  # no file: entity-bytes selects nothing of it, and is only checked for its form
    try:
        return parse_entity_bytes(form.entity_bytes, size)
    except BadRequest:
        first, _, last = form.entity_bytes.partition(":")
        if first.startswith("-") == last.startswith("-"):
            raise
        return size, size  # well-formed, but nothing of this file: the root block shows why


def _wanted(target: Target, reading: Reading, form: CarForm, span: tuple[int, int | None]) -> Iterator[Cid]:
    """The CIDs of the CAR, each before it is read by the walk that goes on behind it."""
    resolved = target.resolved
    yield from resolved.walked[:-1]
    cid = resolved.terminal
    if form.scope == "all":
        for each in walk(cid, reading.read, repeats=form.dups):
            reading.deny.check_below(each)
            yield each
    elif form.scope == "entity":
        yield from _entity(cid, reading, span)
    else:
        yield cid


def _entity(cid: Cid, reading: Reading, span: tuple[int, int | None]) -> Iterator[Cid]:
    if cid.codec != codecs.DAG_PB:
        yield cid
        return
    block = reading.read(cid)
    try:
        found = node(cid, block)
    except BadRequest:
        yield cid  # dag-pb that is no UnixFS is an entity of one block
        return
    if is_file(found.message):
        yield from blocks(cid, reading.read, *span)
    else:
        yield cid
        yield from directory.shards(cid, block, reading.read)


def _items(
    cid: Cid, wanted: Iterator[Cid], reading: Reading, form: CarForm
) -> Iterator[bytes | Piece | Pause]:
    yield car.header((cid,))
    sent: set[bytes] = set()
    for each in wanted:
        if each.is_identity:
            continue
        if not form.dups:
            if each.raw in sent:
                continue
            sent.add(each.raw)
        reading.deny.check(each)
        found = reading.slice(each)
        while found is None:
            yield pause_for(BlockMissing(each), reading)
            found = reading.slice(each)
        yield car.frame(each, found.size_bytes) + found.prefix
        if found.stop > found.start:
            before = len(found.prefix)
            yield block_span(each, reading, before, before + found.stop - found.start)
        if found.suffix:
            yield found.suffix
