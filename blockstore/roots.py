"""Roots: why a blob is kept, by whom and until when. The words callers use, and how rows become them."""

from dataclasses import dataclass
from typing import Final

from blockstore.records import HASH_BYTES, OWNER_BYTES_MAX, RootKind, RootRow
from runtime.errors import UsageError

SECOND_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class Root:
    """One reason to keep a blob.

    `owner` is the pin's label for a local pin, the account for an account root, the process that
    asked for a lease. A root with `expires_s` holds until then, any other until it is removed.
    `created_s` and `size_bytes` are filled in by the store.
    """

    kind: RootKind
    owner: str = ""
    name: str = ""
    expires_s: float | None = None
    created_s: float = 0.0
    size_bytes: int = 0

    @classmethod
    def pin(cls, name: str = "") -> "Root":
        """A local pin: kept until unpinned. Pins of one blob under different names are different pins.

        Raises UsageError for a name that is too long, or no text.
        """
        try:
            size_bytes = len(name.encode())
        except UnicodeEncodeError:
            raise UsageError("a pin's name is text in UTF-8", where=name[:80]) from None
        if size_bytes > OWNER_BYTES_MAX:
            raise UsageError(f"a pin's name has at most {OWNER_BYTES_MAX} bytes", where=name[:80])
        return cls(RootKind.PIN, name, name)

    @classmethod
    def lease(cls, expires_s: float, owner: str = "") -> "Root":
        """Kept until `expires_s`, seconds since the epoch."""
        return cls(RootKind.LEASE, owner, "", expires_s)

    @classmethod
    def account(cls, account: str, name: str = "", expires_s: float | None = None) -> "Root":
        """Kept for `account`, and counted against its quota."""
        return cls(RootKind.ACCOUNT, account, name, expires_s)

    @classmethod
    def block(cls, multihash: bytes) -> "Root":
        """Kept because the block or file of this multihash lies in it; dropped with its row."""
        return cls(RootKind.BLOCK, multihash.hex())

    def holds(self, now_s: float) -> bool:
        """Whether it still keeps the blob at `now_s`."""
        return self.expires_s is None or self.expires_s > now_s

    def row(self, now_s: float, size_bytes: int) -> RootRow:
        """The stored value of this root, made now for a blob of `size_bytes`."""
        expires = 0 if self.expires_s is None else max(1, int(self.expires_s * SECOND_MS))
        return RootRow(int(now_s * SECOND_MS), expires, size_bytes, self.name)


LOCAL_PIN: Final = Root.pin()


def root_from(key: bytes, row: RootRow) -> Root:
    """The root a row stands for."""
    return Root(
        RootKind(key[HASH_BYTES]),
        key[HASH_BYTES + 1 :].decode(),
        row.name,
        row.expires_ms / SECOND_MS if row.expires_ms else None,
        row.created_ms / SECOND_MS,
        row.size_bytes,
    )
