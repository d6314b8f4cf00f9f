"""What an operator may set about fetching. Values are checked when made."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from net.guard import checked_url
from runtime.errors import EdgeError


def _doc(text: str) -> dict[str, Any]:
    return {"doc": text}


@dataclass(frozen=True, slots=True)
class OriginSettings:
    """Section `[origins]`."""

    gateways: tuple[str, ...] = field(
        default=(), metadata=_doc("trustless gateways that are asked for what is not here, as https://host")
    )
    routers: tuple[str, ...] = field(
        default=(), metadata=_doc("delegated routers that know providers and IPNS records, as https://host")
    )
    arweave_gateways: tuple[str, ...] = field(
        default=("https://arweave.net",),
        metadata=_doc("gateways that are asked for ar:// origins, one after the other"),
    )
    allow_nets: tuple[str, ...] = field(
        default=(), metadata=_doc("networks that may be dialled although they are not public, as 10.1.0.0/16")
    )
    allow_nets_for_accounts: tuple[str, ...] = field(
        default=(),
        metadata=_doc("as allow_nets, for addresses that accounts name as origins of what they pin"),
    )
    ca_file: Path | None = field(
        default=None, metadata=_doc("certificate authorities to trust (PEM) in place of the machine's")
    )
    max_fetches: int = field(
        default=64, metadata={"doc": "blocks a worker fetches at once; more wait their turn", "min": 1}
    )
    fetch_timeout_s: float = field(default=30.0, metadata=_doc("longest time one block is looked for"))
    hedge_s: float = field(default=0.5, metadata=_doc("a source that has not answered by then gets company"))

    def __post_init__(self) -> None:
        for url in (*self.gateways, *self.routers, *self.arweave_gateways):
            try:
                checked_url(url)
            except EdgeError as error:
                raise ValueError(
                    f"gateways and routers are http(s) URLs: {error.message} ({url[:80]})"
                ) from None
