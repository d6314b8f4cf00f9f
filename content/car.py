"""CAR files: a header with roots, then blocks, each behind its length and CID; read verified, as they come.

    CARv1 = varint length || dag-cbor {"roots": [links], "version": 1} || { varint length || CID || block }*
    CARv2 = pragma of 11 bytes || 40 bytes (characteristics, data offset and size, index offset) || … CARv1 …

Source: the CARv1 and CARv2 specifications. The reader is a machine without I/O: bytes in, verified blocks
out; at most one block is held. The index of a CARv2 is passed over, never believed.

Called by import, export, uploads and retrieval.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from content import dag_cbor, varint
from content.block import MAX_BLOCK_BYTES, Block
from content.cid import MAX_BYTES as MAX_CID_BYTES
from content.cid import Cid
from content.cid import read as read_cid
from runtime.errors import BadRequest, TooLarge

# Held until it is whole; so many bytes name 25,000 roots
MAX_HEADER_BYTES: Final = 1 << 20
_V2_PRAGMA: Final = bytes.fromhex("0aa16776657273696f6e02")
_V2_HEADER_BYTES: Final = 40
_MAP: Final = 0b101  # a header is a CBOR map: of two, the pragma of a CARv2 of one
_SHOWN_BYTES: Final = 8
# What people send in the place of a CAR, or around one
_OTHERS: Final = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"%PDF", "a PDF"),
    (b"<", "HTML or XML"),
    (b"{", "JSON"),
)
_SECTION_MAX: Final = MAX_CID_BYTES + MAX_BLOCK_BYTES


def header(roots: Sequence[Cid]) -> bytes:
    """The bytes a CARv1 begins with."""
    body = dag_cbor.encode({"roots": list(roots), "version": 1})
    return varint.encode(len(body)) + body


def frame(cid: Cid, block_bytes: int) -> bytes:
    """What stands before a block of `block_bytes`."""
    return varint.encode(len(cid.raw) + block_bytes) + cid.raw


class NoCar(BadRequest):
    """The bytes do not begin as a CAR does: they are something else, or nothing."""


class CarReader:
    """Reads one CAR, fed at any split. After an error it is of no more use.

    What is wrong is a NoCar (something else was sent), a BadRequest (a CAR that is broken or cut), a TooLarge
    (it announces more than is taken here) or an Unverified (bytes that are not those of their CID).
    """

    def __init__(self, *, padded: bool = False) -> None:
        """`padded`: zeros may follow the last section, as in a Filecoin piece."""
        self._padded, self._in_padding = padded, False
        self._held = bytearray()
        self._at = 0  # of the stream, for messages
        self._skip = 0
        self._left: int | None = None  # bytes of the CARv1 inside a CARv2; None until told, or in a CARv1
        self._is_v2 = False
        self._over = False
        self._is_other = False  # it begins as no CAR does
        self.roots: tuple[Cid, ...] | None = None

    @property
    def held_bytes(self) -> int:
        """Bytes that wait for the rest of their section: at most one section, and what was fed last."""
        return len(self._held)

    @property
    def at(self) -> int:
        """Where in the stream the next section begins: everything before it was handed out."""
        return self._at

    def go_on_at(self, at: int) -> None:
        """Go on at a section that an earlier reader of this CAR stood at. Raises BadRequest.

        Called when the header has been read and nothing is held behind it.
        """
        passed = at - self._at
        if self.roots is None or passed < 0 or (self._left is not None and passed > self._left):
            raise _broken("there is no section where it should go on", at)
        self._held.clear()
        self._at = at
        if self._left is not None:
            self._left -= passed

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Block]:
        """The blocks that `data` completes. Raises BadRequest, TooLarge, Unverified; exhaust it."""
        self._held += data
        while not self._over and (found := self._section()) is not None:
            start, stop = found
            if self.roots is None:
                self._header(bytes(self._held[start:stop]))
            else:
                yield self._block(start, stop)
            self._drop(stop)

    def end(self) -> None:
        """Say that the stream is over. Raises BadRequest when it was cut short."""
        if self.roots is None:
            self._refuse_other(1)
            if not self._at and not self._held:
                raise NoCar("this is not a CAR: it is empty", where="byte 0")
            raise _broken("it ends before its header does", self._at)
        if not self._over and (self._held or self._left):
            raise _broken("it is cut short", self._at)

    def _refuse_other(self, known_bytes: int) -> None:
        """Raise what no CAR is told to be; only with so many bytes, or it would hang on how they are cut."""
        if self._is_other and len(self._held) >= known_bytes:
            raise _no_car(bytes(self._held[:_SHOWN_BYTES]), self._at)

    def _section(self) -> tuple[int, int] | None:
        """(start, stop) of the next section's body in what is held; None when more is needed."""
        if self._is_v2 and self._left is None and not self._second_header():
            return None
        if self._skip and not self._pass_over():
            return None
        if self._left == 0:
            self._over = True
            self._held.clear()
            return None
        held = self._held
        if not held or (self._padded and self.roots is not None and self._is_padding()):
            return None
        length = shift = index = 0
        while True:
            if index == len(held):
                return None
            byte = held[index]
            length |= (byte & 0x7F) << shift
            index += 1
            if byte < 0x80:
                break
            shift += 7
            if shift > 56:
                raise self._no_length("a length is longer than 9 bytes")
        if byte == 0 and shift:
            raise self._no_length("a length is not in its shortest form")
        self._check_length(length, index)
        if self.roots is None and index < len(held) and held[index] >> 5 != _MAP:
            self._is_other = True
            self._refuse_other(_SHOWN_BYTES)
            return None
        return (index, index + length) if len(held) >= index + length else None

    def _is_padding(self) -> bool:
        """Whether the sections are over and zeros follow; drops those that are held."""
        self._in_padding = self._in_padding or self._held[0] == 0
        if self._in_padding:
            if self._held.count(0) != len(self._held):
                raise _broken("something else than zeros follows its last section", self._at)
            self._at += len(self._held)
            self._held.clear()
        return self._in_padding

    def _check_length(self, length: int, index: int) -> None:
        if length == 0:
            raise self._no_length("a section is empty")
        bound = MAX_HEADER_BYTES if self.roots is None else _SECTION_MAX
        if length > bound:
            what = "header" if self.roots is None else "block"
            raise TooLarge(
                f"the CAR announces a {what} of {length} bytes; at most {bound} are taken",
                where=f"byte {self._at}",
            )
        if self._left is not None and index + length > self._left:
            raise _broken("a section reaches over the end that its header tells", self._at)

    def _no_length(self, what: str) -> BadRequest:
        """A length that is none; where the first one should be, there is no CAR."""
        return _broken(what, self._at, NoCar if self._at == 0 else BadRequest)

    def _drop(self, count: int) -> None:
        del self._held[:count]
        self._at += count
        if self._left is not None:
            self._left -= count

    def _pass_over(self) -> bool:
        count = min(self._skip, len(self._held))
        del self._held[:count]
        self._at += count
        self._skip -= count
        return self._skip == 0

    def _header(self, body: bytes) -> None:
        if not self._is_v2 and self._at == 0 and body == _V2_PRAGMA[1:]:
            self._is_v2 = True
            return
        try:
            value = dag_cbor.decode(body)
        except BadRequest as error:
            raise _broken(f"its header cannot be read: {error.message}", self._at) from None
        version, roots = (
            (value.get("version"), value.get("roots"))
            if isinstance(value, dict) and len(value) == 2
            else (None, None)
        )
        if type(version) is not int or version != 1 or not isinstance(roots, list):
            raise _broken("its header is not that of a CARv1", self._at, NoCar)
        found = [root for root in roots if isinstance(root, Cid)]
        if len(found) != len(roots):
            raise _broken("a root is not a link", self._at, NoCar)
        self.roots = tuple(found)

    def _second_header(self) -> bool:
        """Read what follows the pragma of a CARv2: where its CARv1 lies; whether that is known now."""
        if len(self._held) < _V2_HEADER_BYTES:
            return False
        offset = int.from_bytes(self._held[16:24], "little")
        size = int.from_bytes(self._held[24:32], "little")
        del self._held[:_V2_HEADER_BYTES]
        self._at += _V2_HEADER_BYTES
        if offset < self._at or size == 0 or max(offset, size) >> 63:
            raise _broken("the header of a CARv2 does not say where its data lies", self._at)
        self._skip, self._left = offset - self._at, size
        return True

    def _block(self, start: int, stop: int) -> Block:
        with memoryview(self._held) as whole, whole[start:stop] as view:
            try:
                cid, at = read_cid(view[: MAX_CID_BYTES + 8], 0)
            except BadRequest as error:
                raise _broken(f"a block's name is no CID ({error.message})", self._at) from None
            data = bytes(view[at:])
        return Block.verified(cid, data)


def _broken(what: str, at: int, kind: type[BadRequest] = BadRequest) -> BadRequest:
    return kind(f"not a sound CAR: {what}", where=f"byte {at}")


def _no_car(found: bytes, at: int) -> NoCar:
    """What is sent is something else, and what it looks like."""
    what = next((name for magic, name in _OTHERS if found.startswith(magic)), "")
    text = (
        repr(found.decode("ascii"))
        if found.isascii() and found.decode("ascii").isprintable()
        else found.hex()
    )
    problem = f"this is not a CAR: it begins with {text}" + (f", as {what} does" if what else "")
    return NoCar(problem, where=f"byte {at}", hint="ipfs dag export makes a CAR; unpack what is compressed")
