"""What is refused before anything of it is fetched: a DAG of which more is here than the quota leaves. Pure.

Only different blocks that are here are counted. What a root says of the size below it (the Tsize of its
links) counts a block once for each way to it, and is whatever its author wrote: nothing is refused by it.
"""

from typing import Final

from content.cid import Cid
from pinning.measure import Blocks, Measured, measured
from runtime.errors import EdgeError, QuotaExceeded

# 10 ms: who asks waits for it, and what is larger and larger than the quota is noticed by the worker's walk
_BLOCKS_MAX: Final = 1024


def check_here(cid: Cid, blocks: Blocks, room_bytes: int) -> None:
    """Refuse a DAG of which more than `room_bytes` is here already. Raises QuotaExceeded.

    Looks at some of what is here, so what passes may still turn out to be too large. Cost: at most
    1024 blocks read.
    """

    def enough(found: Measured) -> bool:
        return found.dag_bytes > room_bytes or found.blocks >= _BLOCKS_MAX

    try:
        found = measured(cid, blocks, enough)
    except EdgeError:
        return  # whoever reads it next says what is wrong with it
    if found.dag_bytes > room_bytes:
        raise QuotaExceeded(
            f"it has {found.dag_bytes:,} bytes or more; the account's quota leaves {room_bytes:,}",
            where=cid.text(),
            hint="remove something, or ask the operator for a larger quota",
        )
