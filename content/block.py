"""Blocks: bytes that matched the name they came with. There is no other way to have one.

Called by everything that takes content by CID from outside (CAR files, other gateways) or makes it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from content import multihash
from content.cid import Cid
from runtime.errors import BadRequest, NotFound, TooLarge, Unverified

# Beyond 2 MiB no other implementation takes a block: bitswap and the trustless gateways refuse it
MAX_BLOCK_BYTES: Final = 2 << 20


@dataclass(frozen=True, slots=True)
class Block:
    """A CID and the bytes it names."""

    cid: Cid
    data: bytes

    @classmethod
    def verified(cls, cid: Cid, data: bytes) -> "Block":
        """The block, after its bytes were hashed. Raises Unverified, TooLarge, BadRequest (unknown hash)."""
        if len(data) > MAX_BLOCK_BYTES:
            raise TooLarge(
                f"a block of {len(data)} bytes is larger than {MAX_BLOCK_BYTES}",
                where=cid.text(),
                hint="split the content into smaller blocks",
            )
        try:
            fits = multihash.verify(cid.multihash, data)
        except BadRequest as error:
            raise BadRequest(
                f"the block cannot be checked: {error.message}", where=cid.text(), hint=error.hint
            ) from None
        if not fits:
            raise Unverified("the bytes do not match the CID", where=cid.text(), hint="nothing was kept")
        return cls(cid, data)

    @classmethod
    def sealed(cls, codec: int, data: bytes, code: int = multihash.SHA2_256, version: int = 1) -> "Block":
        """The block of bytes that were made here. Raises TooLarge."""
        if len(data) > MAX_BLOCK_BYTES:
            raise TooLarge(f"a block of {len(data)} bytes is larger than {MAX_BLOCK_BYTES}")
        name = multihash.of(code, data)
        return cls(Cid.v0(name) if version == 0 else Cid.v1(codec, name), data)


class BlockMissing(NotFound):
    """A block that is not here; `cid` says which, so that it can be fetched.

    `entity`: whether the whole of a directory or the beginning of a file is wanted behind the block;
    `whole`: whether all of the file is, before anything can be said of it.
    """

    def __init__(self, cid: Cid, *, hint: str = "", entity: bool = False, whole: bool = False) -> None:
        super().__init__("a block is not here", where=cid.text(), hint=hint)
        self.cid, self.entity, self.whole = cid, entity, whole
        self.root: Cid | None = None  # what it was asked for below of, where that is known


BlockReader = Callable[[Cid], bytes]
"""Returns the verified bytes of a block, those of an identity CID from its name; raises BlockMissing."""
