"""What an operator may set about a store, each with its reason. Values are checked when made."""

from dataclasses import dataclass, field
from typing import Any, Final

from durable import Durability
from runtime.errors import UsageError

_KIB: Final = 1 << 10
_MIB: Final = 1 << 20
_GIB: Final = 1 << 30


def _doc(text: str) -> dict[str, Any]:
    return {"doc": text}


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Section `[store]`."""

    durability: Durability = field(
        default=Durability.FULL,
        metadata=_doc(
            "full: an acknowledged put survives power loss; lazy: power loss may take back the last commits,"
            " nothing breaks; none: power loss may ruin the store (caches and tests only)"
        ),
    )
    quota_bytes: int = field(
        default=0,
        metadata=_doc("most bytes of blobs the store may hold, a put above it is refused; 0: no limit"),
    )
    bulk_map_bytes: int = field(
        default=1 << 40,
        metadata=_doc("address space for content; costs nothing until used; the same for every process"),
    )
    index_map_bytes: int = field(
        default=64 * _GIB, metadata=_doc("address space for the index; about 600 bytes are used a small blob")
    )
    extent_above_bytes: int = field(
        default=2 * _MIB,
        metadata=_doc(
            "a blob larger than this lies in a file of its own, which is sent without a copy; the largest"
            " IPFS block does not"
        ),
    )
    commit_bytes: int = field(
        default=32 * _MIB, metadata=_doc("content a commit may carry; larger is faster and takes more memory")
    )
    backlog_bytes: int = field(
        default=48 * _MIB,
        metadata=_doc("content one process holds in memory for its writer before writers have to wait"),
    )
    linger_s: float = field(
        default=0.2,
        metadata=_doc("how long content nobody waits for is held for a fuller commit, in seconds"),
    )
    max_readers: int = field(
        default=1024, metadata=_doc("reads in progress over all processes; fixed when the lock file is made")
    )
    lease_s: float = field(
        default=86_400.0,
        metadata=_doc("how long unfinished transfers and unpinned puts are kept from gc, in seconds"),
    )
    step_s: float = field(
        default=0.01, metadata=_doc("longest time gc holds the write lock in one step, in seconds")
    )
    scrub_step_bytes: int = field(default=8 * _MIB, metadata=_doc("content that one step of scrub reads"))
    checked_memo_bytes: int = field(
        default=16 * _MIB,
        metadata=_doc("memory for remembering which segments were checked against BLAKE3 since start"),
    )

    def __post_init__(self) -> None:
        """Refuse what cannot work: UsageError naming the setting."""
        floors: dict[str, float] = {
            "quota_bytes": 0,
            "bulk_map_bytes": _MIB,
            "index_map_bytes": _MIB,
            "extent_above_bytes": 256 * _KIB,
            "commit_bytes": 512 * _KIB,
            "backlog_bytes": 512 * _KIB,
            "linger_s": 0,
            "max_readers": 16,
            "lease_s": 1,
            "step_s": 0.001,
            "scrub_step_bytes": 256 * _KIB,
            "checked_memo_bytes": 64 * _KIB,
        }
        for name, floor in floors.items():
            if getattr(self, name) < floor:
                raise UsageError(f"{name} must be at least {floor}", where=f"store.{name}")
        object.__setattr__(self, "durability", _durability(self.durability))


def _durability(value: str) -> Durability:
    try:
        return Durability(value)
    except ValueError:
        raise UsageError(
            f"durability is full, lazy or none, not {value!r}", where="store.durability"
        ) from None
